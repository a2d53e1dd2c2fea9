"""Filling in time first, then in space and time what is left.

Sources of the second step are observed cells and cells filled in time, never a value of
the same step. The pole hole is left to its own rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from seaice.gapfill import FillStep
from seaice.gapfill.gaussian import Gaussian
from seaice.gapfill.temporal import Temporal


@dataclass(frozen=True, kw_only=True)
class Hybrid(Temporal, Gaussian):
    """Fill in time as :class:`Temporal`, then the rest as :class:`Gaussian`.

    Parameters, defaults and errors are those of the two.

    Examples
    --------
    >>> stack = np.full((3, 1, 3), np.nan, np.float32)
    >>> stack[0], stack[2] = [[10, 20, np.nan]], [[30, 40, np.nan]]
    >>> filled = Hybrid().fill(stack, np.ones((1, 3), bool))
    >>> filled.values[1, 0, :2], filled.flag[1, 0]
    (array([20., 30.], dtype=float32), array([1, 1, 3], dtype=uint8))
    """

    name: ClassVar[str] = "hybrid"

    def steps(self, hole: np.ndarray | None = None) -> list[FillStep]:
        """The steps of both methods, one after the other."""
        return [*Temporal.steps(self, hole), *Gaussian.steps(self, hole)]

    def describe(self, kilometres: float) -> str:
        """Both methods in words."""
        return f"{Temporal.describe(self, kilometres)}; {Gaussian.describe(self, kilometres)}"
