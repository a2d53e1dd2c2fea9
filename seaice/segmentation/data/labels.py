"""From classes of an ice chart to what a model learns: ice or water."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np

from seaice import InputError
from seaice.sources.ai4arctic.tables import (
    NO_CLASS,
    SIC_PERCENT,
)

WATER, ICE, IGNORED = 0, 1, 255
CLASS_NAMES = ("water", "ice")
# The rule of the published patches, by which their kinds are named.
PUBLISHED_THRESHOLD = 0.20


@dataclass(frozen=True)
class LabelRule:
    """A pixel is ice from a concentration on.

    Class k of a chart is 10 k percent, so that a threshold counts as the next full tenth:
    0.15 and 0.20 are the same rule.

    Attributes
    ----------
    ice_threshold : float
        Fraction above 0, up to 1.

    Examples
    --------
    >>> LabelRule(0.20).classes(np.array([0, 1, 2, 10, 255], np.uint8)).tolist()
    [0, 0, 1, 1, 255]
    >>> LabelRule(0.15).first_class
    2
    """

    ice_threshold: float = PUBLISHED_THRESHOLD

    def __post_init__(self) -> None:
        threshold = self.ice_threshold
        is_number = isinstance(threshold, Real) and not isinstance(threshold, bool)
        if not is_number or not 0 < threshold <= 1:
            raise InputError(
                f"expected an ice_threshold as a fraction above 0, up to 1, found {threshold!r}; "
                "20 percent is 0.20"
            )

    @property
    def first_class(self) -> int:
        """Smallest class that is ice; class 0 is water, however small the threshold."""
        # In percent and with a margin: 0.3 * 100 is a little more than 30.
        return next(k for k, p in enumerate(SIC_PERCENT) if k and p >= 100 * self.ice_threshold - 1e-6)

    def classes(self, sic: np.ndarray) -> np.ndarray:
        """0 water, 1 ice, 255 ignored; uint8 of the shape of ``sic``.

        Parameters
        ----------
        sic : ndarray of uint8
            Classes 0..10, 255: no data.

        Raises
        ------
        InputError
            If there is another class, or the array is not of uint8.
        """
        sic = np.asarray(sic)
        if sic.dtype != np.uint8:
            raise InputError(f"expected classes of ice concentration as uint8, found {sic.dtype}")
        table = np.full(256, 254, np.uint8)
        table[: len(SIC_PERCENT)] = np.arange(len(SIC_PERCENT)) >= self.first_class
        table[NO_CLASS] = IGNORED
        made: np.ndarray = table[sic]
        if (made == 254).any():
            raise InputError(f"expected classes 0 to 10 or 255, found {int(sic[made == 254][0])}")
        return made

    def describe(self) -> str:
        """The rule in one line, for results and people."""
        first = self.first_class
        text = f"ice: class {first} and above ({SIC_PERCENT[first]} percent or more); "
        text += f"water: up to class {first - 1} ({SIC_PERCENT[first - 1]} percent); ignored: 255"
        if abs(SIC_PERCENT[first] - 100 * self.ice_threshold) > 1e-6:
            text += (
                f"; charts are in tenths, so that a threshold of {100 * self.ice_threshold:g} percent "
                f"cannot be told from {SIC_PERCENT[first]}"
            )
        return text
