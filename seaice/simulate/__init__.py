"""Simulated files in the true layout of their archives, for trials and tests.

Daily files of the University of Bremen, small, realistic and free of rights: coasts, a pack
that grows, melts and drifts (:mod:`seaice.simulate.sea`), and gaps as a real orbit makes them
(:mod:`seaice.swaths.orbit`). Granules of AMSR2 level 1 come from :mod:`seaice.simulate.amsr2`,
those of ICESat-2 from :mod:`seaice.simulate.atl10`, SAR scenes with ice charts from
:mod:`seaice.simulate.sar`.
No value in these files was measured, and each says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from seaice import (
    InputError,
    grids,
)
from seaice.dates import (
    DateRange,
    parse_date,
)
from seaice.grids import Grid
from seaice.report import listing
from seaice.simulate import damage
from seaice.simulate.amsr2 import (
    GranuleDefect,
    SimulatedGranule,
    simulated_granules,
    true_positions,
    write_granule,
)
from seaice.simulate.atl10 import (
    PassDefect,
    SimulatedPass,
    simulated_passes,
    simulated_segments,
    write_atl10,
)
from seaice.simulate.sar import (
    SimulatedScene,
    write_scenes,
)
from seaice.simulate.sea import SyntheticSea
from seaice.sources.bremen.names import (
    VERSION,
    DayFile,
)
from seaice.sources.bremen.writer import (
    write_day,
    write_day_geotiff,
    write_day_hdf4,
)
from seaice.swaths import orbit

__all__ = [
    "Defect",
    "GranuleDefect",
    "PassDefect",
    "SimulatedDays",
    "SimulatedGranule",
    "SimulatedObservations",
    "SimulatedPass",
    "SimulatedScene",
    "simulate_days",
    "simulated_granules",
    "simulated_passes",
    "simulated_segments",
    "true_positions",
    "write_atl10",
    "write_day",
    "write_day_geotiff",
    "write_day_hdf4",
    "write_granule",
    "write_scenes",
]

Defect = Literal[
    "truncated",
    "bit_flipped",
    "empty",
    "html",
    "all_zero",
    "all_missing",
    "out_of_range",
    "other_grid",
    "no_variable",
]

# Kilometres by which the swath is narrower on some days than on others: the hole of the true
# files has 687 to 726 cells of 6.25 km.
_NARROWER = np.arange(0, 5.1, 0.5)


class SimulatedObservations:
    """An invented sea and what a wide-swath radiometer sees of it, day by day.

    Every day is computed from the seed and its date alone: the same whichever other days
    are asked for, and in whatever order (asking in order is faster).

    Parameters
    ----------
    grid : Grid
        A registered grid of the ``n`` or ``s`` family.
    seed : int, optional
        The invented world, and which half orbits are lost.
    dropped_half_orbits : float, optional
        Mean number of half orbits lost a day, of 29 or 30.
    outages : mapping of date to (float, float), optional
        UTC hours (from, to) of a day in which nothing was received.

    Attributes
    ----------
    grid : Grid
    land : ndarray of bool, shape (rows, columns)

    Examples
    --------
    >>> sea = SimulatedObservations(grids.get_grid("n25000"), seed=1)
    >>> truth, observed = sea.truth(date(2020, 3, 1)), sea.observed(date(2020, 3, 1))
    >>> float(np.nanmin(truth)), float(np.nanmax(truth))
    (0.0, 100.0)
    >>> bool(np.isnan(observed).sum() > np.isnan(truth).sum())
    True
    """

    def __init__(
        self,
        grid: Grid,
        *,
        seed: int = 0,
        dropped_half_orbits: float = 2.0,
        outages: Mapping[date, tuple[float, float]] | None = None,
    ) -> None:
        if not 0 <= dropped_half_orbits <= 28:
            raise InputError(
                f"expected 0 to 28 dropped half orbits a day, found {dropped_half_orbits:g}"
            )
        for day, (first, last) in (outages or {}).items():
            if not 0 <= first < last <= 24:
                raise InputError(f"expected hours 0 <= from < to <= 24 for {day}, found {first}, {last}")
        self.grid = grid
        self._sea = SyntheticSea(grid, seed=seed)
        self._swaths = orbit.SwathMap(grid)
        self._seed = seed
        self._mean_dropped = dropped_half_orbits
        self._outages = dict(outages or {})
        self.land = self._sea.land

    def truth(self, day: date) -> np.ndarray:
        """Concentration wherever there is sea, percent, float32 (rows, columns); NaN over land."""
        return self._sea.truth(day)

    def seen(self, day: date) -> np.ndarray:
        """Cells, land too, that a received half orbit covers, bool (rows, columns)."""
        rng = self._random(10, day)
        width = orbit.SWATH_WIDTH - rng.choice(_NARROWER)
        return self._swaths.covered(self.received(day), swath_width=width)

    def received(self, day: date) -> list[orbit.HalfOrbit]:
        """Half orbits of a day that were not lost."""
        halves = orbit.half_orbits(day)
        rng = self._random(11, day)
        count = min(int(rng.poisson(self._mean_dropped)), len(halves))
        lost = set(rng.choice(len(halves), count, replace=False).tolist())
        first, last = self._outages.get(day, (0.0, 0.0))
        return [
            half
            for i, half in enumerate(halves)
            if i not in lost and not first <= orbit.hours_of_day(half) < last
        ]

    def observed(self, day: date) -> np.ndarray:
        """The truth where it was seen, percent, float32 (rows, columns); NaN elsewhere."""
        values = self.truth(day)
        values[~self.seen(day) | self._sea.coastal_dropouts(day)] = np.nan
        return values

    def _random(self, stream: int, day: date) -> np.random.Generator:
        return np.random.default_rng([self._seed, stream, day.toordinal()])


@dataclass(frozen=True)
class SimulatedDays:
    """A folder of simulated days, and what they hide.

    Attributes
    ----------
    grid : Grid
    dates : tuple of date
        Every day of the period, absent ones too.
    paths : dict of date to Path
        The files written; absent days have none.
    absent : frozenset of date
        Days without a file.
    defects : dict of date to str
        Days whose file cannot be used, and what was done to it.
    land : ndarray of bool, shape (rows, columns)
    """

    grid: Grid
    dates: tuple[date, ...]
    paths: dict[date, Path]
    absent: frozenset[date]
    defects: dict[date, Defect]
    land: np.ndarray
    _source: SimulatedObservations = field(repr=False)

    def truth(self, day: Any) -> np.ndarray:
        """Concentration of a day wherever there is sea.

        Returns
        -------
        ndarray of float32, shape (rows, columns)
            Percent; NaN over land only. Any day may be asked for, outside the period too.
        """
        return self._source.truth(parse_date(day))

    def observed(self, day: Any) -> np.ndarray:
        """What can be read from the file of a day.

        Returns
        -------
        ndarray of float32, shape (rows, columns)
            Percent; NaN where land or not observed, which is everywhere on a day that is
            absent, has a defect or lies outside the period.
        """
        day = parse_date(day)
        if day not in self.paths or day in self.defects:
            return np.full(self.grid.shape, np.nan, np.float32)
        return self._source.observed(day)


def simulate_days(
    *,
    output_dir: Path,
    start_date: Any,
    end_date: Any,
    grid: str = "n25000",
    seed: int = 0,
    dropped_half_orbits: float = 2.0,
    absent_days: Iterable[Any] = (),
    outages: Mapping[Any, tuple[float, float]] | None = None,
    defects: Mapping[Any, Defect] | None = None,
) -> SimulatedDays:
    """Write a folder of simulated daily files, one day at a time.

    Parameters
    ----------
    output_dir : Path
        Made if it does not exist. Files of the same name are replaced.
    start_date, end_date
        First and last day, in any form :func:`seaice.dates.parse_date` reads.
    grid : str, optional
        A grid of the ``n`` or ``s`` family.
    seed : int, optional
        The same seed gives the same files, byte for byte, and the same world on every grid.
    dropped_half_orbits : float, optional
        Mean number of half orbits lost a day. A few of them leave wedges at low latitudes
        and rarely touch the ice, since beyond 55 degrees the passes of day and night cover
        each other; for gaps within the ice use ``outages`` of twelve hours or more.
    absent_days : iterable of dates, optional
        Days for which no file is written; none may be there already.
    outages : mapping of date to (float, float), optional
        UTC hours (from, to) of a day in which nothing was received.
    defects : mapping of date to str, optional
        Days whose file is damaged, with the kind of :data:`Defect`.

    Returns
    -------
    SimulatedDays

    Raises
    ------
    InputError
        If a day of ``absent_days``, ``outages`` or ``defects`` lies outside the period, or
        a kind of defect or a grid is not known.
    """
    period = DateRange.parse(start_date, end_date)
    absent = frozenset(parse_date(day) for day in absent_days)
    hours = {parse_date(day): span for day, span in (outages or {}).items()}
    damaged = {parse_date(day): kind for day, kind in (defects or {}).items()}
    for what, days in (("absent", absent), ("outage", hours), ("defect", damaged)):
        _check_inside(what, days, period)
    for kind in damaged.values():
        if kind not in get_args(Defect):
            raise InputError(f"unknown defect {kind!r}; known are {', '.join(get_args(Defect))}")
    source = SimulatedObservations(
        grids.get_grid(grid), seed=seed, dropped_half_orbits=dropped_half_orbits, outages=hours
    )
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {
        day: folder / DayFile("AMSR2", grid, day, VERSION, "nc").name
        for day in period
        if day not in absent
    }
    for day in sorted(absent):
        stale = folder / DayFile("AMSR2", grid, day, VERSION, "nc").name
        if stale.exists():
            raise InputError(f"expected no file for the absent day {day}, found {stale}; remove it")
    for day, path in paths.items():
        _write(path, source.observed(day), source.grid, damaged.get(day))
    return SimulatedDays(source.grid, tuple(period), paths, absent, damaged, source.land, source)


def _check_inside(what: str, days: Collection[date], period: DateRange) -> None:
    outside = sorted(day for day in days if day not in period)
    if outside:
        raise InputError(
            f"expected {what} days from {period}, found {listing([str(day) for day in outside])}"
        )


def _write(path: Path, values: np.ndarray, grid: Grid, defect: Defect | None) -> None:
    """Write a day's file, sound or with a defect."""
    if defect == "empty":
        path.write_bytes(b"")
        return
    if defect == "html":
        path.write_text(damage.ERROR_PAGE)
        return
    if defect == "all_zero":
        values[~np.isnan(values)] = 0
    elif defect == "all_missing":
        values[:] = np.nan
    elif defect == "out_of_range":
        seen = np.flatnonzero(~np.isnan(values))
        values.flat[seen[:: max(1, seen.size // 100)]] = 250
    elif defect == "other_grid":
        other = grids.get_grid(("s" if grid.id[0] == "n" else "n") + grid.id[1:])
        grid, values = other, np.full(other.shape, 50, np.float32)
    write_day(path, values, grid)
    if defect == "truncated":
        damage.cut_in_half(path)
    elif defect == "bit_flipped":
        damage.flip_bit(path, "z")
    elif defect == "no_variable":
        _rename_variable(path)


def _rename_variable(path: Path) -> None:
    import netCDF4

    with netCDF4.Dataset(path, "a") as dataset:
        dataset.renameVariable("z", "quicklook")
