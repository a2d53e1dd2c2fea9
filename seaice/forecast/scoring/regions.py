"""Regions over which forecasts are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seaice import InputError
from seaice.forecast.record import SeaIceRecord
from seaice.regions import read_regions
from seaice.scoring.measures import is_between

ACTIVE, OCEAN, MARGINAL = "active", "ocean", "marginal"


@dataclass(frozen=True)
class ScoredRegion:
    """Cells that are scored together.

    Attributes
    ----------
    name : str
    cells : ndarray of bool, shape (rows, columns)
        Ocean cells outside the pole hole.
    area : float
        Their true area, km2.
    is_marginal : bool
        Whether only the cells with 5 to 95 percent of observed ice count, other ones on each day. As
        they are chosen by the truth, no forecast should be ranked by them alone.
    """

    name: str
    cells: np.ndarray
    area: float
    is_marginal: bool = False

    def select(self, observed: np.ndarray) -> np.ndarray:
        """Return the cells that count on a day with these observations, bool (rows, columns)."""
        return self.cells & is_between(observed) if self.is_marginal else self.cells


def find_regions(names: Sequence[str], record: SeaIceRecord, active: np.ndarray) -> list[ScoredRegion]:
    """Find the regions that an option names; the active region always comes first.

    Parameters
    ----------
    names : sequence of str
        ``active``, ``ocean`` (all ocean cells), ``marginal`` (active cells with 5 to 95 percent of
        observed ice), or what :func:`seaice.regions.read_regions` reads.
    record : SeaIceRecord
    active : ndarray of bool, shape (rows, columns)
        The active region.

    Raises
    ------
    InputError
        If a region has no cell that can be scored.
    """
    scored = record.ocean & ~record.hole
    masks = {ACTIVE: active}
    for name in names:
        if name == OCEAN:
            masks[name] = scored
        elif name == MARGINAL:
            masks[name] = active
        elif name != ACTIVE:
            regions = read_regions(name, record.grid)
            masks |= {
                label: (regions.codes == code) & scored for code, label in enumerate(regions.names, 1)
            }
    empty = [name for name, cells in masks.items() if not cells.any()]
    if empty:
        raise InputError(
            f"expected regions with ocean cells, found none in {', '.join(empty)}; the active region "
            "needs training days with ice, others need ocean in the mask"
        )
    area = record.cell_area
    return [
        ScoredRegion(name, cells, float(area[cells].sum()), name == MARGINAL)
        for name, cells in masks.items()
    ]
