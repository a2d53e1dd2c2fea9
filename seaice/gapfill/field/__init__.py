"""Fields of any kind with gaps, and what a method for them returns.

A field method (:class:`FieldMethod`) works on one map or a stack of maps, on any grid, in any
unit. All of them end in :func:`finish`, which holds the laws of filling: observed cells keep their
bits, land is neither used nor filled, what leaves the valid range is clipped and counted, and every
value that was not observed bears the method's flag.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill import FillingMethod


@dataclass(frozen=True)
class GappyField:
    """Maps with gaps.

    Attributes
    ----------
    values : ndarray of float32 or float64, shape (time, y, x)
        NaN is missing.
    sea : ndarray of bool, shape (y, x)
        True where cells may be filled and used.
    days : ndarray of float64, shape (time,)
        Days since 1970-01-01, ascending. One map without a time has ``[0.0]``.
    latitude, longitude : ndarray of float64, shape (y, x), or None
        Degrees north and east of the cell centres; None where the file has none.
    wraps : bool
        The last column neighbours the first (a global grid of longitudes).
    valid_range : (float, float)
        Physical limits in the unit of ``values``.
    units : str
    is_concentration : bool
        Ice concentration, 0 to the upper end of ``valid_range``.
    """

    values: np.ndarray
    sea: np.ndarray
    days: np.ndarray
    latitude: np.ndarray | None = None
    longitude: np.ndarray | None = None
    wraps: bool = False
    valid_range: tuple[float, float] = (-np.inf, np.inf)
    units: str = "1"
    is_concentration: bool = False

    def __post_init__(self) -> None:
        values, sea = self.values, self.sea
        if values.ndim != 3 or values.dtype not in (np.float32, np.float64):
            raise InputError(
                f"expected float maps (time, y, x), found {values.dtype} of shape {values.shape}"
            )
        if sea.dtype != np.bool_ or sea.shape != values.shape[1:]:
            raise InputError(
                f"expected a bool mask of shape {values.shape[1:]}, found {sea.dtype} of {sea.shape}"
            )
        if self.days.shape != values.shape[:1]:
            raise InputError(f"expected {len(values)} times, found {self.days.size}")
        if not (np.diff(self.days) > 0).all():
            raise InputError(
                f"expected {len(values)} ascending times, found some equal or descending; sort the maps "
                "by time and keep one of each"
            )
        for name in ("latitude", "longitude"):
            array = getattr(self, name)
            if array is not None and array.shape != sea.shape:
                raise InputError(f"expected {name} of shape {sea.shape}, found {array.shape}")

    @property
    def observed(self) -> np.ndarray:
        """True where there is a value that may be used, bool (time, y, x)."""
        observed: np.ndarray = np.isfinite(self.values) & self.sea
        return observed

    @property
    def missing(self) -> np.ndarray:
        """True where a sea cell has no value, bool (time, y, x)."""
        missing: np.ndarray = ~np.isfinite(self.values) & self.sea
        return missing

    def only(self, days: slice) -> GappyField:
        """Return the field with some of its maps; no copy."""
        return replace(self, values=self.values[days], days=self.days[days])


@dataclass(frozen=True)
class FieldFill:
    """Result of a field method.

    Attributes
    ----------
    values : ndarray, shape (time, y, x)
        dtype and unit of the field; NaN over land and where a cell is still missing.
    flag : ndarray of uint8, shape (time, y, x)
        :class:`seaice.flags.FillFlag`.
    error : ndarray of float32, shape (time, y, x), or None
        Expected standard error of the filled values, NaN everywhere else; None where the method
        has no estimate.
    notes : mapping of str to plain values
        Numbers that the method reports: modes kept, condition number, values clipped.
    """

    values: np.ndarray
    flag: np.ndarray
    error: np.ndarray | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FieldMethod(FillingMethod):
    """A method that fills the maps of a field."""

    @abstractmethod
    def fill(self, gappy: GappyField) -> FieldFill:
        """Fill the gaps; arrays that a method can use besides are keyword arguments of its own.

        Raises
        ------
        InputError
            For fields that the method cannot fill.
        """


def finish(
    gappy: GappyField,
    estimate: np.ndarray,
    flag: FillFlag | np.ndarray,
    *,
    error: np.ndarray | None = None,
    notes: Mapping[str, Any] | None = None,
) -> FieldFill:
    """Put a method's estimates into the gaps of a field, and nowhere else.

    Parameters
    ----------
    gappy : GappyField
    estimate : ndarray of float, shape (time, y, x)
        Only its values at missing sea cells are looked at; NaN: still missing.
    flag : FillFlag, or ndarray of uint8, shape (time, y, x)
        How the estimates came about.
    error : ndarray of float, shape (time, y, x), optional
        Expected standard error of the estimates.
    notes : mapping, optional
        ``clipped`` is added to them: the number of values brought back to the valid range.
    """
    observed, missing = gappy.observed, gappy.missing
    filled = missing & np.isfinite(estimate)
    low, high = gappy.valid_range
    inside = np.clip(estimate[filled], low, high).astype(gappy.values.dtype)
    clipped = int((inside != estimate[filled].astype(gappy.values.dtype)).sum())
    values = np.where(observed, gappy.values, np.asarray(np.nan, gappy.values.dtype))
    values[filled] = inside
    flags = np.full(values.shape, FillFlag.NOT_FILLED, np.uint8)
    flags[:, ~gappy.sea] = FillFlag.LAND
    flags[observed] = FillFlag.OBSERVED
    flags[filled] = flag[filled] if isinstance(flag, np.ndarray) else flag
    if error is not None:
        error = np.where(filled, error, np.nan).astype(np.float32)
    return FieldFill(values, flags, error, {**(notes or {}), "clipped": clipped})
