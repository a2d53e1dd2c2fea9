"""Filling in time, corrected by a small network that was fitted to the record itself.

A first fill is that of :mod:`seaice.gapfill.departure`. Then every cell that was filled in time is
filled once more: the linear fill between its nearest observed days, plus an increment that a network
tells from the neighbourhood of the cell on both days and on four more days to either side, scaled by
the standard error of a random walk between the two days. Where cells nearby are observed on the day
itself, their departures from their own prediction are added by simple kriging. Both networks, for gaps
with two ends and with one, look at observed values alone; the number of hidden units is small, so that
fifteen days of a record are enough to fit them (:mod:`seaice.gapfill.increments.fit`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from seaice import InputError
from seaice.gapfill import FillStep, Frames, Record, select_cells
from seaice.gapfill.departure import Departure
from seaice.gapfill.increments.fit import choose_weights
from seaice.gapfill.increments.weights import (
    IncrementWeights,
    Network,
    describe_weights,
    packaged_weights,
    read_weights,
)
from seaice.runtime.threads import each_band

# Days to either side that a filled value may depend on: 9 to the end of a gap, 4 beyond it, and 2 for
# what is missing there. It is as much as the steps before look ahead.
SIGHT = 15
# Neighbours of the day count within so many cells.
REACH = 6
# Correlation of two departures at a distance of d cells: exp(-(d / length) ** power).
_LENGTH, _POWER = 3.0, 0.6


@dataclass(frozen=True, kw_only=True)
class Increments(Departure):
    """Fill by ``departure``, then correct what was filled in time by a network fitted to the record.

    A value lies between 0 and 100 percent; it may leave the range of its sources. Cells are flagged
    INCREMENT_TWO_SIDED or INCREMENT_ONE_SIDED, or KRIGED_TWO_SIDED or KRIGED_ONE_SIDED where observed
    cells of the day within 6 cells took part; all have ``days_back_forward``. Cells without ice about
    them on both days, and gaps longer than the networks know, keep fill and flag of ``departure``.

    Parameters
    ----------
    weights : Path, optional
        File with fitted weights, of ``fill_gaps.py fit`` or a cube. By default they are fitted to the
        record, or where that does not help those of the package.
    fitted : IncrementWeights, optional
        The weights; by default those of the file or of the package.

    Raises
    ------
    InputError
        For parameters out of range, or a file that holds no weights.

    See Also
    --------
    seaice.gapfill.departure.Departure : all other parameters.
    """

    name: ClassVar[str] = "increments"
    concentration_only: ClassVar[bool] = True

    weights: Path | None = None
    fitted: IncrementWeights | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights is not None and self.fitted is None:
            object.__setattr__(self, "fitted", read_weights(Path(self.weights)))

    @property
    def weights_in_use(self) -> IncrementWeights:
        """The weights that fill."""
        return self.fitted or packaged_weights()

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter by name; the weights by their digest."""
        own = {n: v for n, v in super().parameters.items() if n not in ("weights", "fitted")}
        return own | {"fill_weights": self.weights_in_use.digest}

    def describe(self, kilometres: float) -> str:
        """The parts of the method in words, and what its weights were fitted to."""
        cells = REACH
        return (
            f"{super().describe(kilometres)}; weights {describe_weights(self.weights_in_use)}; "
            f"neighbours of the day within {cells} cells ({cells * kilometres:.4g} km)"
        )

    @property
    def notes(self) -> dict[str, Any]:
        """The weights by their digest and in words."""
        weights = self.weights_in_use
        return {"fill_weights": weights.digest, "weights": describe_weights(weights)}

    def attributes(self) -> dict[str, Any]:
        """The weights, as :func:`read_weights` finds them in a cube."""
        return {"fill_weights": self.weights_in_use.to_json()}

    def restore(self, attributes: Mapping[str, Any]) -> Self:
        """The method with the weights of a cube, unless they are given or those of the package."""
        text = attributes.get("fill_weights")
        if text is None or self._is_decided:
            return self
        try:
            return replace(self, fitted=IncrementWeights.of_json(str(text)))
        except ValueError as error:
            raise InputError(
                f"the fill_weights of the cube cannot be read ({error}); make it again with --force"
            ) from None

    @property
    def _is_decided(self) -> bool:
        """Whether the weights are given, or those of the package, so that no record is fitted."""
        return self.fitted is not None or self.past_only

    def fit(self, record: Record) -> Self:
        """The method with weights that suit a record: its own where they help, else packaged ones.

        With ``past_only`` those of the package: a fit would know days that come later.
        """
        if self._is_decided:
            return self
        return replace(self, fitted=choose_weights(record, packaged_weights(), self._smearing()))

    def steps(self, hole: np.ndarray | None = None) -> list[FillStep]:
        """The steps of ``departure``, then one that corrects what they filled in time."""
        step = FillStep(0, self._add_increments, SIGHT, rewrites=True, needs_ice=True)
        return [*super().steps(hole), step]

    def _add_increments(self, frames: Frames, t: int) -> None:
        from seaice.gapfill.increments import _kernels as kernels

        weights = self.weights_in_use
        cells, day, gaps, is_fitted = frames.cells, frames.day, frames.gaps, weights.is_fitted
        if not is_fitted.any():
            return
        state = np.zeros(len(cells), np.uint8)
        limits = (self.max_gap_days, 0 if self.past_only else self.max_gap_days)
        lead = 0 if self.past_only else kernels.ACTIVITY_DAYS
        rule = (limits, is_fitted, self._smearing(), *self._networks(weights))

        offsets, correlation = _neighbourhood()
        near = offsets if len(gaps) < len(cells) else offsets[:0]
        blocks = np.zeros((2, *(-(-n // kernels.BLOCK) for n in cells.ocean.shape)), np.uint8)
        marked = np.zeros([-(-n // kernels.TILE) for n in cells.ocean.shape], bool)
        where = (frames.order[t], cells.rows, cells.columns, cells.index, frames.ice, frames.order, t)
        marking = (frames.flag, day.days_back_forward, *where, is_fitted, near, *blocks)
        each_band(kernels.mark_cells, len(gaps), gaps, *marking, state, marked)
        tiles = np.argwhere(marked)
        size = len(tiles) * kernels.TILE**2
        results = (state, np.empty(len(cells), np.int32), np.empty(size, np.float32), np.empty(size))
        sources = (frames.values, frames.flag, day.days_back_forward, frames.order, t, lead, cells.index)
        each_band(kernels.predict, len(tiles), tiles, *sources, *rule, *results, multiple=1)
        # What the networks leave as it is may still be corrected by neighbours.
        without_ice = select_cells(gaps, state, kernels.WITHOUT_ICE)
        self._fill_cells(frames, t, without_ice, super()._refilled_gaps())
        filled = (offsets, correlation, day.values, day.flag, day.days_back_forward)
        each_band(kernels.krige, len(tiles), tiles, cells.index, *results, *filled, multiple=1)

    def _refilled_gaps(self) -> np.ndarray:
        return self.weights_in_use.is_fitted

    @staticmethod
    def _networks(weights: IncrementWeights) -> tuple[Network, Network, np.ndarray]:
        """Both networks and their thresholds; where one lacks, the other is there and not used."""
        two, one = weights.two_sided or weights.one_sided, weights.one_sided or weights.two_sided
        assert two is not None and one is not None  # else no gap is known
        return two.network, one.network, np.stack([two.thresholds, one.thresholds])


@lru_cache(maxsize=1)
def _neighbourhood() -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns to cells within reach, nearest first; correlations by squared distance."""
    offsets = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1].reshape(2, -1).T
    square = (offsets**2).sum(axis=1)
    near = (square > 0) & (square <= REACH**2)
    order = np.lexsort((offsets[near, 1], offsets[near, 0], square[near]))
    distance = np.sqrt(np.arange(4.0 * REACH**2 + 1))
    return np.ascontiguousarray(offsets[near][order]), np.exp(-((distance / _LENGTH) ** _POWER))
