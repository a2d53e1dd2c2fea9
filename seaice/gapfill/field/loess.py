"""Filling by local regression in a window of one map (LOESS).

The weights are tricube (Cleveland 1979, doi:10.1080/01621459.1979.10481038) of the distance
sqrt((dx/nx)^2 + (dy/ny)^2) in cells, and degree 0 is the weighted mean: ``fill.loess`` of pyinterp
with ``max_iterations=1``. Three things differ from it. At a border the window is cut, where
pyinterp mirrors it and counts cells twice. Over the seam of a global grid dx is the short way.
pyinterp before 2026 takes dx and dy in the unit of the axes, which is the same only where
neighbours are one unit apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.field import FieldFill, FieldMethod, GappyField, finish
from seaice.runtime.options import Range
from seaice.runtime.threads import each_band


@dataclass(frozen=True, kw_only=True)
class Loess(FieldMethod):
    """Fill each missing sea cell from the observed cells of its window, map by map.

    A cell whose window holds no value stays missing; more ``passes`` grow the values into larger
    gaps. The cost is O(nx ny) for each missing cell.

    Parameters
    ----------
    nx : int
        Half-width of the window along a row, cells; at the half-width itself the weight is 0.
    ny : int
        Half-width of the window along a column, cells; at the half-width itself the weight is 0.
    degree : int
        0: weighted mean, within the range of its sources; 1: weighted plane.
    passes : int
        Rounds; from the second on, the estimates of the rounds before are sources too.

    Raises
    ------
    InputError
        For windows that hold no neighbour, or another degree.
    """

    name: ClassVar[str] = "loess"

    nx: int = 5
    ny: int = 5
    degree: int = 0
    passes: Annotated[int, Range(1)] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nx < 1 or self.ny < 1 or max(self.nx, self.ny) < 2:
            raise InputError(
                f"expected nx and ny of at least 1, one of them of at least 2, found {self.nx} and "
                f"{self.ny}: the weight at the half-width itself is 0, so that such a window holds no "
                "neighbour"
            )
        if self.degree not in (0, 1):
            raise InputError(
                f"degree must be 0 (weighted mean) or 1 (weighted plane), found {self.degree}"
            )

    def fill(self, gappy: GappyField) -> FieldFill:
        """Fill every map; InputError for a window that is wider than the map."""
        self._check_window(gappy)
        from seaice.gapfill.field import _loess_kernels

        weights = np.empty((2 * self.ny + 1, 2 * self.nx + 1))
        _loess_kernels.tricube_window(weights, self.ny, self.nx)
        estimate = np.full(gappy.values.shape, np.nan)
        most_passes = 0
        for t in range(len(gappy.values)):
            has_value, values = gappy.observed[t], gappy.values[t].astype(np.float64)
            if not has_value.any():
                continue
            # Sums of departures from the mean of the map keep their digits at 290 K as well.
            centre = float(values[has_value].mean())
            values -= centre
            for number in range(1, self.passes + 1):
                filled = _one_pass(values, has_value, gappy, weights, self.degree)
                new = np.isfinite(filled)
                if not new.any():
                    break
                estimate[t][new] = filled[new] + centre
                values[new] = filled[new]
                has_value, most_passes = has_value | new, max(most_passes, number)
        return finish(gappy, estimate, FillFlag.LOESS, notes={"passes": most_passes})

    def _check_window(self, gappy: GappyField) -> None:
        (rows, columns), nx, ny = gappy.sea.shape, self.nx, self.ny
        if (2 * nx + 1 > columns and gappy.wraps) or nx > columns or ny > rows:
            raise InputError(
                f"a window of half-widths nx {nx} and ny {ny} is wider than the map of {columns} x "
                f"{rows} cells; take a smaller one"
            )


def _one_pass(
    values: np.ndarray, has_value: np.ndarray, gappy: GappyField, weights: np.ndarray, degree: int
) -> np.ndarray:
    """Values for the missing cells of a map from the cells with a value; NaN elsewhere."""
    from seaice.gapfill.field import _loess_kernels

    filled = np.empty(values.shape)
    margin = ((0, 0), (weights.shape[1] // 2,) * 2)
    beyond: Literal["wrap", "constant"] = "wrap" if gappy.wraps else "constant"
    present = np.pad(has_value.astype(np.float64), margin, mode=beyond)
    padded = np.pad(np.where(has_value, values, 0.0), margin, mode=beyond)
    to_fill = gappy.sea & ~has_value
    each_band(_loess_kernels.loess, len(values), padded, present, to_fill, weights, degree == 1, filled)
    return filled
