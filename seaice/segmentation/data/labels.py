"""Labels of water and ice from the concentration classes of an ice chart."""

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
# The rule of the published patches; the kinds of patches (water, mixed, ice) go by it too.
PUBLISHED_THRESHOLD = 0.20
# Stands in the look-up table for every value that is no class of a chart.
_INVALID = 254


@dataclass(frozen=True)
class LabelRule:
    """The rule that a pixel is ice from a certain concentration on.

    Class k of a chart is 10 k percent, so a threshold between two tenths counts as the larger one:
    0.15 and 0.20 are the same rule.

    Attributes
    ----------
    ice_threshold : float
        Fraction above 0, up to 1.

    Raises
    ------
    InputError
        If the threshold is no such fraction.

    Examples
    --------
    >>> LabelRule(0.20).label(np.array([0, 1, 2, 10, 255], np.uint8)).tolist()
    [0, 0, 1, 1, 255]
    >>> LabelRule(0.15).first_ice_class
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
    def first_ice_class(self) -> int:
        """Smallest class that is ice; class 0 is water, however small the threshold."""
        # In percent and with a margin: 0.3 * 100 is a little more than 30.
        return next(k for k, p in enumerate(SIC_PERCENT) if k and p >= 100 * self.ice_threshold - 1e-6)

    def label(self, sic: np.ndarray) -> np.ndarray:
        """Label the classes of a chart as water or ice.

        Parameters
        ----------
        sic : ndarray of uint8
            Classes 0..10, 255: no data.

        Returns
        -------
        ndarray of uint8, same shape
            0 water, 1 ice, 255 ignored.

        Raises
        ------
        InputError
            If there is another class, or the array is not of uint8.
        """
        sic = np.asarray(sic)
        if sic.dtype != np.uint8:
            raise InputError(f"expected classes of ice concentration as uint8, found {sic.dtype}")
        table = np.full(256, _INVALID, np.uint8)
        table[: len(SIC_PERCENT)] = np.arange(len(SIC_PERCENT)) >= self.first_ice_class
        table[NO_CLASS] = IGNORED
        labels: np.ndarray = table[sic]
        if (labels == _INVALID).any():
            raise InputError(f"expected classes 0 to 10 or 255, found {int(sic[labels == _INVALID][0])}")
        return labels

    def describe(self) -> str:
        """Describe the rule in one line, for files and reports."""
        first = self.first_ice_class
        text = f"ice: class {first} and above ({SIC_PERCENT[first]} percent or more); "
        text += f"water: up to class {first - 1} ({SIC_PERCENT[first - 1]} percent); ignored: 255"
        if abs(SIC_PERCENT[first] - 100 * self.ice_threshold) > 1e-6:
            text += (
                f"; charts are in tenths, so that a threshold of {100 * self.ice_threshold:g} percent "
                f"cannot be told from {SIC_PERCENT[first]}"
            )
        return text
