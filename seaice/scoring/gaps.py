"""Gaps cut on purpose out of what was observed, so that the truth below them is known.

Only observed sea cells are cut. Every kind draws from a seed of its own, so that asking for one
kind more moves no other gap, but for the cells that both would cut: those belong to the kind
that comes first in :data:`seaice.scoring.shapes.SHAPES`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from seaice import InputError
from seaice.gapfill.field import GappyField
from seaice.grids import Grid
from seaice.scoring.shapes import (
    Cut,
    GapContext,
    GapSettings,
)

_LARGEST_NUMBER = int(np.iinfo(np.uint16).max)


@dataclass(frozen=True)
class Gap:
    """A gap that was cut.

    Attributes
    ----------
    kind : str
    days : int
        Its length, maps in a row; 0 where the kind has none.
    first : int
        Its first map.
    cells : int
        Observed cells that it removed.
    """

    kind: str
    days: int
    first: int
    cells: int


@dataclass(frozen=True)
class HeldOut:
    """Observed cells that are kept from the methods.

    Attributes
    ----------
    number : ndarray of uint16, shape (time, y, x)
        0 where nothing was cut, else 1 + the place in ``gaps``.
    gaps : tuple of Gap
    seed : int
    settings : GapSettings
    left_out : mapping of str to str
        Kinds that this field cannot have, and why.
    """

    number: np.ndarray
    gaps: tuple[Gap, ...]
    seed: int = 0
    settings: GapSettings = field(default_factory=GapSettings)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def mask(self) -> np.ndarray:
        """True where a cell is held out, bool (time, y, x)."""
        made: np.ndarray = self.number > 0
        return made

    @property
    def kinds(self) -> list[str]:
        """The kinds of its gaps, in the order they were cut."""
        return list(dict.fromkeys(gap.kind for gap in self.gaps))

    def cut(self, gappy: GappyField) -> GappyField:
        """The field as a method gets it: a copy, NaN at the held-out cells."""
        values = gappy.values.copy()
        values[self.mask] = np.nan
        return replace(gappy, values=values)

    def describe(self) -> dict[str, Any]:
        """Plain values for a record: seed, settings, gaps and cells by kind."""
        return {
            "seed": self.seed,
            "settings": {k: _plain(v) for k, v in vars(self.settings).items()},
            "left_out": dict(self.left_out),
            "held_out_cells": sum(gap.cells for gap in self.gaps),
            "kinds": {
                kind: {
                    "gaps": sum(gap.kind == kind for gap in self.gaps),
                    "cells": sum(gap.cells for gap in self.gaps if gap.kind == kind),
                }
                for kind in self.kinds
            },
        }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def cut_gaps(
    gappy: GappyField,
    kinds: Sequence[str] | None = None,
    *,
    grid: Grid | None = None,
    settings: GapSettings | None = None,
    given: np.ndarray | None = None,
    seed: int = 0,
) -> HeldOut:
    """Cut gaps of some kinds out of the observed cells of a field.

    Parameters
    ----------
    gappy : GappyField
    kinds : sequence of str, optional
        Names of :data:`seaice.scoring.shapes.SHAPES`; their order does not matter. By default
        every kind that the field can have; the others are in ``left_out``.
    grid : Grid, optional
        Of the field; wanted by ``orbits`` and, without latitudes, by ``pole_hole``.
    settings : GapSettings, optional
    given : ndarray of bool, shape (time, y, x), optional
        Cells of the kind ``given``.
    seed : int

    Returns
    -------
    HeldOut

    Raises
    ------
    InputError
        For an unknown kind, a kind that this field cannot have or that finds nothing to cut, or
        gaps that would leave nothing observed.
    """
    from seaice.scoring.shapes import SHAPES

    unknown = [kind for kind in kinds or () if kind not in SHAPES]
    if unknown or (kinds is not None and not kinds):
        found = unknown[0] if unknown else "none"
        raise InputError(f"expected kinds of gaps out of {', '.join(SHAPES)}, found {found}")
    settings = settings or GapSettings()
    observed = gappy.observed
    ground = GapContext(gappy, observed, grid, settings, given)
    number = np.zeros(observed.shape, np.uint16)
    gaps: list[Gap] = []
    left_out: dict[str, str] = {}
    for kind in (k for k in SHAPES if kinds is None or k in kinds):
        rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
        try:
            made = list(_carve(kind, SHAPES[kind](ground, rng), number, observed, len(gaps)))
            if not made:
                raise InputError(f"{kind} meets no observed cell that is still there; leave it out")
        except InputError as error:
            if kinds is not None:
                raise
            left_out[kind] = str(error)
            continue
        gaps += made
    if not gaps:
        raise InputError(f"no gap can be cut into this field: {'; '.join(left_out.values())}")
    if not observed.any():
        raise InputError(
            f"the gaps ({', '.join(dict.fromkeys(gap.kind for gap in gaps))}) leave nothing observed of "
            f"{len(observed)} maps; ask for fewer or shorter ones"
        )
    return HeldOut(number, tuple(gaps), seed, settings, left_out)


def _carve(
    kind: str, cuts: Sequence[Cut], number: np.ndarray, observed: np.ndarray, already: int
) -> Iterator[Gap]:
    """Mark each cut in ``number`` and take it out of ``observed``; yield those that met something."""
    for cut in cuts:
        cells = observed[cut.frames] & cut.cells
        count = int(cells.sum())
        if not count:
            continue
        already += 1
        if already > _LARGEST_NUMBER:
            raise InputError(
                f"more than {_LARGEST_NUMBER} gaps; ask for fewer kinds or a shorter period"
            )
        number[cut.frames][cells] = already
        observed[cut.frames] &= ~cells
        yield Gap(kind, cut.days, cut.frames.start, count)


def days_missing(gappy: GappyField, held_out: HeldOut) -> np.ndarray:
    """How long the gap is, in days, that a held-out cell lies in once all gaps are cut.

    Counted along time at that cell, real gaps included: days between the observed days before and
    after, neither of them counted. At an end of the record the gap ends with the record.

    Returns
    -------
    ndarray of uint16, shape (cells,)
        In the order of ``np.flatnonzero(held_out.number)``; at least 1.

    Examples
    --------
    >>> values = np.zeros((5, 1, 1), np.float32)
    >>> values[3] = np.nan
    >>> field = GappyField(values, np.ones((1, 1), bool), np.arange(5.0))
    >>> held_out = HeldOut(np.array([0, 0, 1, 0, 0], np.uint16).reshape(5, 1, 1), ())
    >>> days_missing(field, held_out).tolist()
    [2]
    """
    days = np.floor(gappy.days)
    shape = gappy.sea.shape
    since = np.full(held_out.mask.sum(), 0.0, np.float32)
    counts = np.count_nonzero(held_out.number, axis=(1, 2))
    ends = np.cumsum(counts)
    for step, edge in ((1, days[0] - 1), (-1, days[-1] + 1)):
        last = np.full(shape, edge)
        for t in range(len(days))[::step]:
            cut = held_out.number[t] > 0
            since[ends[t] - counts[t] : ends[t]] += np.abs(days[t] - last[cut])
            last[np.isfinite(gappy.values[t]) & ~cut] = days[t]
    return np.clip(since - 1, 1, _LARGEST_NUMBER).astype(np.uint16)
