"""The weights of the networks of the method ``increments``: what they are, and the files they are in."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from seaice import InputError
from seaice.gapfill.temporal import LARGEST_GAP
from seaice.runtime.digests import digest_parts
from seaice.runtime.json_files import parse_json

PACKAGED = Path(__file__).with_name("weights.json")
_CODES = 256
# Numbers of gaps: 10 x days back + days forward.
GAPS = 11 * LARGEST_GAP + 1


class Network(NamedTuple):
    """Weights of a network of two hidden layers, float32."""

    weights_1: np.ndarray
    bias_1: np.ndarray
    weights_2: np.ndarray
    bias_2: np.ndarray
    weights_3: np.ndarray
    bias_3: np.ndarray

    @classmethod
    def of_sizes(cls, features: int, first: int, second: int) -> Self:
        """A network whose output is 0."""
        shapes = (features, first), (first,), (first, second), (second,), (second,), (1,)
        return cls(*(np.zeros(shape, np.float32) for shape in shapes))


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A network, and for which gaps it was fitted.

    Attributes
    ----------
    network : Network
    thresholds : ndarray of float32, shape (100,)
        By 10 x days back + days forward: percent that are moved to 15, so that the extent is kept.
    longest : int
        Longest gap that it was fitted to, days from value to value.
    """

    network: Network
    thresholds: np.ndarray
    longest: int


@dataclass(frozen=True, eq=False)
class IncrementWeights:
    """The networks of :class:`Increments`.

    Attributes
    ----------
    two_sided, one_sided : FittedNetwork or None
        For gaps with observed days on both sides, and on one side alone. Without a network these
        gaps keep the fill of ``departure``.
    made_of : mapping
        What they were fitted to: for both kinds of gaps origin, days, samples and held-out gain.
    """

    two_sided: FittedNetwork | None
    one_sided: FittedNetwork | None
    made_of: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """The start of the SHA-256 of the weights, kept in the parameters of a cube."""
        return digest_parts([self.to_json()])[:16]

    @property
    def is_fitted(self) -> np.ndarray:
        """Whether a gap is known, bool (256,), by 10 x days back + days forward."""
        known = np.zeros(_CODES, bool)
        for back in range(LARGEST_GAP + 1):
            for forward in range(LARGEST_GAP + 1):
                fitted = self.two_sided if back and forward else self.one_sided
                is_gap = 0 < back + forward <= (fitted.longest if fitted else 0)
                known[10 * back + forward] = is_gap
        return known

    def to_json(self) -> str:
        """The weights as a text; :func:`read_weights` reads it."""
        stored: dict[str, Any] = {"made_of": dict(self.made_of)}
        for name in ("two_sided", "one_sided"):
            fitted: FittedNetwork | None = getattr(self, name)
            stored[name] = fitted and {
                "longest": fitted.longest,
                # The shortest numbers that give the same float32 again.
                "thresholds": [float(str(v)) for v in fitted.thresholds],
                **{part: _as_text(array) for part, array in fitted.network._asdict().items()},
            }
        return json.dumps(stored, indent=1)

    @classmethod
    def of_json(cls, text: str) -> Self:
        """The weights from a text; ValueError if it holds none."""
        try:
            stored = parse_json(text)
            return cls(
                _fitted_network(stored["two_sided"]),
                _fitted_network(stored["one_sided"]),
                dict(stored["made_of"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(type(error).__name__) from None


def _as_text(array: np.ndarray) -> str:
    return base64.b64encode(array.astype("<f4").tobytes()).decode("ascii")


def _fitted_network(stored: Mapping[str, Any] | None) -> FittedNetwork | None:
    if stored is None:
        return None
    from seaice.gapfill.increments._kernels import FEATURES

    arrays = {
        name: np.frombuffer(base64.b64decode(stored[name], validate=True), "<f4").astype(np.float32)
        for name in Network._fields
    }
    units = arrays["bias_1"].size, arrays["bias_2"].size
    empty = Network.of_sizes(FEATURES, *units)
    network = Network(*(arrays[n].reshape(e.shape) for n, e in zip(Network._fields, empty, strict=True)))
    thresholds = np.array(stored["thresholds"], np.float32)
    longest = int(stored["longest"])
    if thresholds.shape != (GAPS,) or not 0 <= longest <= 2 * LARGEST_GAP:
        raise ValueError("thresholds or lengths of gaps of another kind")
    if not (all(np.isfinite(a).all() for a in network) and ((thresholds > 1) & (thresholds < 30)).all()):
        raise ValueError("numbers that no fit gives")
    return FittedNetwork(network, thresholds, longest)


def read_weights(path: Path) -> IncrementWeights:
    """Read weights from a file of ``fill_gaps.py fit``, or those with which a cube was filled.

    Raises
    ------
    InputError
        If the file is missing or holds no weights.
    """
    try:
        if path.is_dir() or path.suffix == ".nc":
            from seaice.open_file import open_xarray

            with open_xarray(path) as dataset:
                return IncrementWeights.of_json(str(dataset.attrs.get("fill_weights", "")))
        return IncrementWeights.of_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no such file of weights: {path}; make one with fill_gaps.py fit") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} holds no weights of the method increments ({type(error).__name__}); give a file of "
            "fill_gaps.py fit or a cube that was filled by increments"
        ) from None


@lru_cache(maxsize=1)
def packaged_weights() -> IncrementWeights:
    """The weights of this package, fitted to January to March 2025 at 25 km."""
    return IncrementWeights.of_json(PACKAGED.read_text(encoding="utf-8"))


def describe_weights(weights: IncrementWeights) -> str:
    """Where the weights come from and what they gain, in words."""
    texts = []
    for kind in ("two", "one"):
        note = weights.made_of.get(f"{kind}_sided", {})
        gain = note.get("held_out_gain_percent")
        judged = "" if gain is None else f", RMSE {gain:+.1f} % on held-out days"
        texts.append(f"{kind}-sided {_ORIGINS.get(str(note.get('origin')), 'of a file')}{judged}")
    return "; ".join(texts)


_ORIGINS = {
    "record": "fitted to the record",
    "package": "of the package",
    "none": "none, as neither the record's nor those of the package help",
}
