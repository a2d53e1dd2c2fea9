"""Tie points: the brightness temperatures of open water and of closed ice, and how they vary together.

They belong to one sensor and one version of its product: AMSR2 is 1 to 5 kelvin warmer than AMSR-E over
the same water. The files of the package were fitted to the Round Robin Data Package of the ESA Climate
Change Initiative (Pedersen et al. 2019, doi:10.6084/m9.figshare.6626549), AMSR2 L1R version 2 and
AMSR-E L2A version 12.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np

from seaice import InputError
from seaice.runtime.digests import digest_parts
from seaice.runtime.json_files import parse_json
from seaice.sources.round_robin import RoundRobinSamples

Hemisphere = Literal["north", "south"]
HEMISPHERES: tuple[Hemisphere, ...] = ("north", "south")
FORMAT = "sea ice tie points 1"
PACKAGED = Path(__file__).parent / "packaged"

# Of twelve channels, from the coarsest footprint to the finest.
CHANNELS = tuple(f"{ghz}{p}" for ghz in ("6.9", "10.7", "18.7", "23.8", "36.5", "89") for p in "VH")
# An ice sample counts by its distance in days from the middle of the month: all of the year a little,
# so that a month with few samples, or a year unlike others, does not make errors look small.
_SEASON_DAYS, _WHOLE_YEAR = 45.0, 0.2
_YEAR = 365.25
LEAST_SAMPLES = 100


@dataclass(frozen=True, eq=False)
class Signature:
    """Brightness temperatures of one surface.

    Attributes
    ----------
    mean : ndarray of float64, shape (channels,)
        Kelvin.
    covariance : ndarray of float64, shape (channels, channels)
        Square kelvin.
    """

    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def fit(cls, kelvin: np.ndarray, weights: np.ndarray | None = None) -> Self:
        """Mean and covariance of samples, shape (channels, samples)."""
        weights = np.ones(kelvin.shape[1]) if weights is None else weights
        shares = weights / weights.sum()
        mean = kelvin @ shares
        departures = kelvin - mean[:, None]
        return cls(mean, (departures * shares) @ departures.T)

    def blend(self, other: Signature, share: float) -> Signature:
        """Signature of a mixture of samples, a share of them the other's."""
        step = other.mean - self.mean
        covariance = (1 - share) * self.covariance + share * other.covariance
        return Signature(
            self.mean + share * step, covariance + share * (1 - share) * np.outer(step, step)
        )


@dataclass(frozen=True, eq=False)
class Signatures:
    """Water and ice of one sensor, hemisphere and time of the year.

    Attributes
    ----------
    sensor, product : str
        Such as ``AMSR2`` and ``JAXA L1 version 2``.
    hemisphere : {"north", "south"}
    day : date
    channels : tuple of str
    water, ice : Signature
    """

    sensor: str
    product: str
    hemisphere: Hemisphere
    day: date
    channels: tuple[str, ...]
    water: Signature
    ice: Signature

    def select(self, channels: Sequence[str]) -> Signatures:
        """Return those of some channels, in their order.

        Raises
        ------
        InputError
            If a channel is not among them.
        """
        absent = [channel for channel in channels if channel not in self.channels]
        if absent:
            raise InputError(
                f"expected tie points of {', '.join(absent)}, found those of {', '.join(self.channels)}"
            )
        numbers = [self.channels.index(channel) for channel in channels]
        water, ice = (
            Signature(part.mean[numbers], part.covariance[np.ix_(numbers, numbers)])
            for part in (self.water, self.ice)
        )
        return replace(self, channels=tuple(channels), water=water, ice=ice)


@dataclass(frozen=True, eq=False)
class TiePoints:
    """Tie points of one sensor and hemisphere, ice by calendar month.

    Attributes
    ----------
    sensor, product : str
        Whose temperatures they are for.
    hemisphere : {"north", "south"}
    channels : tuple of str
    water : Signature
    ice : tuple of 12 Signature
        In the middle of each month.
    origin : mapping
        Numbers, days and source of the samples.
    """

    sensor: str
    product: str
    hemisphere: Hemisphere
    channels: tuple[str, ...]
    water: Signature
    ice: tuple[Signature, ...]
    origin: Mapping[str, Any]

    @cached_property
    def digest(self) -> str:
        """The start of the SHA-256 of the numbers."""
        return digest_parts([self.to_json()])[:16]

    @lru_cache(maxsize=512)  # noqa: B019 - tie points live as long as the program
    def choose(self, day: date, *, hemisphere: Hemisphere | None = None) -> Signatures:
        """Return the signatures of a day, ice between those of two months.

        Parameters
        ----------
        day : date
        hemisphere : {"north", "south"}, optional
            Where they are to be used; in the other hemisphere the seasons are half a year apart.
        """
        shift = 0 if hemisphere in (None, self.hemisphere) else 6
        months = (day.timetuple().tm_yday - 0.5) / _YEAR * 12 - 0.5 + shift
        first = int(np.floor(months))
        ice = self.ice[first % 12].blend(self.ice[(first + 1) % 12], months - first)
        side = hemisphere or self.hemisphere
        return Signatures(self.sensor, self.product, side, day, self.channels, self.water, ice)

    def check(self, *, sensor: str, product: str, hemisphere: str, source: object) -> None:
        """Refuse temperatures of another sensor, product or hemisphere.

        Raises
        ------
        InputError
        """
        expected = f"{self.sensor}, {self.product}, {self.hemisphere}"
        actual = f"{sensor}, {product}, {hemisphere}"
        if expected != actual:
            raise InputError(
                f"expected temperatures of {expected} for these tie points, found {actual}: {source}; "
                "make tie points of that sensor with retrieve_concentration.py fit or refresh"
            )

    def to_json(self) -> str:
        """The tie points as a text; :func:`read_tie_points` reads it."""
        stored = {
            "format": FORMAT,
            "sensor": self.sensor,
            "product": self.product,
            "hemisphere": self.hemisphere,
            "origin": dict(self.origin),
            "channels": list(self.channels),
            "water": _store(self.water),
            "ice_by_month": [_store(part) for part in self.ice],
        }
        return json.dumps(stored, indent=1) + "\n"


def _store(signature: Signature) -> dict[str, Any]:
    """Means, and the lower triangle of the covariances by rows, to 0.01 kelvin and square kelvin."""
    rows, columns = np.tril_indices(len(signature.mean))
    return {
        "mean": [round(float(v), 2) for v in signature.mean],
        "covariance": [round(float(v), 2) for v in signature.covariance[rows, columns]],
    }


def _restore(stored: Mapping[str, Any], size: int) -> Signature:
    mean = np.array(stored["mean"], np.float64)
    covariance = np.zeros((size, size))
    rows, columns = np.tril_indices(size)
    covariance[rows, columns] = covariance[columns, rows] = np.array(stored["covariance"], np.float64)
    if mean.shape != (size,) or not (np.linalg.eigvalsh(covariance) > 0).all():
        raise ValueError("no covariance")
    if not ((mean > 50) & (mean < 330)).all():
        raise ValueError("no kelvin")
    return Signature(mean, covariance)


def read_tie_points(path: Path) -> TiePoints:
    """Read tie points from a JSON file.

    Raises
    ------
    InputError
        If it holds none.

    Examples
    --------
    >>> points = read_tie_points(PACKAGED / "amsr2_north.json")
    >>> points.sensor, points.hemisphere, len(points.channels)
    ('AMSR2', 'north', 12)
    """
    try:
        stored = parse_json(path.read_text(encoding="utf-8"))
        if stored["format"] != FORMAT or stored["hemisphere"] not in HEMISPHERES:
            raise ValueError("another format")
        size = len(stored["channels"])
        months = stored["ice_by_month"]
        if len(months) != 12:
            raise ValueError("not twelve months")
        return TiePoints(
            str(stored["sensor"]),
            str(stored["product"]),
            cast(Hemisphere, stored["hemisphere"]),
            tuple(map(str, stored["channels"])),
            _restore(stored["water"], size),
            tuple(_restore(month, size) for month in months),
            dict(stored["origin"]),
        )
    except OSError as error:
        raise InputError(
            f"expected a file of tie points, found none ({error.strerror}): {path}"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"expected tie points as retrieve_concentration.py fit writes them, found something else "
            f"({error}): {path}"
        ) from None


def find_packaged_tie_points(sensor: str, hemisphere: str) -> TiePoints:
    """Return the tie points of the package for a sensor and hemisphere.

    Raises
    ------
    InputError
        If it has none.
    """
    path = PACKAGED / f"{sensor.lower().replace('-', '')}_{hemisphere}.json"
    if not path.is_file():
        available = ", ".join(sorted(file.stem for file in PACKAGED.glob("*.json")))
        raise InputError(
            f"expected tie points of {sensor} {hemisphere}, found {available} in the package; fit own "
            "ones with retrieve_concentration.py fit, or name a file with --tie_points"
        )
    return read_tie_points(path)


def is_fitted_day(ordinal: np.ndarray) -> np.ndarray:
    """Tell the days that tie points are fitted to: three of four.

    The days between judge them, and the simulator takes its statistics from these alone.

    Parameters
    ----------
    ordinal : ndarray of int
        As of :meth:`datetime.date.toordinal`.
    """
    return np.asarray(ordinal % 4 != 3)


def fit_tie_points(
    samples: RoundRobinSamples,
    *,
    sensor: str,
    product: str,
    hemisphere: Hemisphere,
    source: str,
    all_days: bool = False,
    ice_samples: RoundRobinSamples | None = None,
) -> TiePoints:
    """Fit tie points to samples of known concentration.

    Parameters
    ----------
    samples : RoundRobinSamples
        Of one sensor, open water (0) and closed ice (1); samples without a channel are left out.
    sensor, product : str
    hemisphere : {"north", "south"}
    source : str
        Where the samples come from.
    all_days : bool
        Whether the samples are of all days, for the record.
    ice_samples : RoundRobinSamples, optional
        Ice of the other hemisphere, half a year apart, where a hemisphere has none of its own.

    Raises
    ------
    InputError
        If there are less than 100 samples of a surface.
    """
    surfaces = {"water": (samples, 0), "ice": (ice_samples or samples, 1)}
    kelvin, chosen_samples = {}, {}
    for surface, (part, concentration) in surfaces.items():
        values = part.stack(CHANNELS)
        is_usable = (part.concentration == concentration) & ~np.isnan(values).any(0)
        if is_usable.sum() < LEAST_SAMPLES:
            raise InputError(
                f"expected at least {LEAST_SAMPLES} samples of {surface} with all channels of {sensor} "
                f"{hemisphere}, found {is_usable.sum()}"
            )
        kelvin[surface], chosen_samples[surface] = values[:, is_usable], part.select(is_usable)
    shift = 0.0 if ice_samples is None else _YEAR / 2
    months = []
    for month in range(12):
        middle = (month + 0.5) * _YEAR / 12 + shift
        days_off = (chosen_samples["ice"].day_of_year - middle + _YEAR / 2) % _YEAR - _YEAR / 2
        weights = _WHOLE_YEAR + (1 - _WHOLE_YEAR) * np.exp(-((days_off / _SEASON_DAYS) ** 2) / 2)
        months.append(Signature.fit(kelvin["ice"], weights))
    origin: dict[str, Any] = {
        "source": source,
        "days": "all" if all_days else "those whose number (0001-01-01 is 1) leaves 0, 1 or 2 by 4",
        "ice_of_other_hemisphere": ice_samples is not None,
    }
    for surface, part in chosen_samples.items():
        times = part.time.astype("datetime64[D]")
        origin[surface] = {
            "samples": len(part),
            "first_day": str(times.min()),
            "last_day": str(times.max()),
        }
    water = Signature.fit(kelvin["water"])
    return TiePoints(sensor, product, hemisphere, CHANNELS, water, tuple(months), origin)
