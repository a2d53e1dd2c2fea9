"""Simulated files in the layout of the true archives, for trials and tests.

Daily files of the University of Bremen, small, realistic and free of rights: a pack that grows, melts
and drifts between the coasts of the Earth (:mod:`seaice.simulate.sea`), and gaps as a real orbit makes
them (:mod:`seaice.swaths.orbit`). Granules of AMSR2 level 1 come from :mod:`seaice.simulate.amsr2`,
the ice that they see from :mod:`seaice.simulate.globe.ice_cover`; those of ICESat-2 from
:mod:`seaice.simulate.atl10`, SAR scenes from :mod:`seaice.simulate.sar`, ice charts from
:mod:`seaice.simulate.ice_chart`.
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
    compute_true_positions,
    list_simulated_granules,
    write_granule,
)
from seaice.simulate.atl10 import (
    PassDefect,
    write_atl10,
)
from seaice.simulate.atl10_segments import (
    SimulatedPass,
    list_simulated_passes,
    simulate_segments,
)
from seaice.simulate.globe.ice_cover import (
    compute_true_concentration,
    compute_true_day,
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
    "compute_true_concentration",
    "compute_true_day",
    "compute_true_positions",
    "list_simulated_granules",
    "list_simulated_passes",
    "simulate_days",
    "simulate_segments",
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

# Kilometres by which the swath of a day is narrower: the pole hole of the true files has 687 to 726
# cells of 6.25 km.
_NARROWING = np.arange(0, 5.1, 0.5)


class SimulatedObservations:
    """Invented sea ice and the observations of it by a radiometer with a wide swath, day by day.

    A day depends on the seed and its date alone, not on the other days that are computed or on their
    order; in order it is faster.

    Parameters
    ----------
    grid : Grid
        A registered grid of the ``n`` or ``s`` family.
    seed : int, optional
        Seed of the invented ice and of the half orbits that are lost.
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
    >>> truth, observed = sea.compute_truth(date(2020, 3, 1)), sea.observe(date(2020, 3, 1))
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

    def compute_truth(self, day: date) -> np.ndarray:
        """Compute the concentration of all sea, percent, float32 (rows, columns); NaN over land."""
        return self._sea.compute_truth(day)

    def find_covered_cells(self, day: date) -> np.ndarray:
        """Find the cells, land too, that a received half orbit covers, bool (rows, columns)."""
        rng = self._make_generator(10, day)
        width = orbit.SWATH_WIDTH - rng.choice(_NARROWING)
        return self._swaths.find_covered(self.list_received(day), swath_width=width)

    def list_received(self, day: date) -> list[orbit.HalfOrbit]:
        """List the half orbits of a day that were not lost."""
        halves = orbit.list_half_orbits(day)
        rng = self._make_generator(11, day)
        count = min(int(rng.poisson(self._mean_dropped)), len(halves))
        lost = set(rng.choice(len(halves), count, replace=False).tolist())
        first, last = self._outages.get(day, (0.0, 0.0))
        return [
            half
            for i, half in enumerate(halves)
            if i not in lost and not first <= orbit.compute_start_hour(half) < last
        ]

    def observe(self, day: date) -> np.ndarray:
        """Truth where it was observed, percent, float32 (rows, columns); NaN elsewhere."""
        values = self.compute_truth(day)
        values[~self.find_covered_cells(day) | self._sea.draw_coastal_dropouts(day)] = np.nan
        return values

    def _make_generator(self, stream: int, day: date) -> np.random.Generator:
        return np.random.default_rng([self._seed, stream, day.toordinal()])


@dataclass(frozen=True)
class SimulatedDays:
    """A folder of simulated daily files, and the truth behind them.

    Attributes
    ----------
    grid : Grid
    dates : tuple of date
        Every day of the date range, absent ones too.
    paths : dict of date to Path
        The files written; absent days have none.
    absent : frozenset of date
        Days without a file.
    defects : dict of date to str
        Days whose file cannot be used, with the kind of damage.
    land : ndarray of bool, shape (rows, columns)
    """

    grid: Grid
    dates: tuple[date, ...]
    paths: dict[date, Path]
    absent: frozenset[date]
    defects: dict[date, Defect]
    land: np.ndarray
    _source: SimulatedObservations = field(repr=False)

    def compute_truth(self, day: Any) -> np.ndarray:
        """Compute the concentration of all sea on a day.

        Returns
        -------
        ndarray of float32, shape (rows, columns)
            Percent; NaN over land only. The day may lie outside the date range.
        """
        return self._source.compute_truth(parse_date(day))

    def read_observed(self, day: Any) -> np.ndarray:
        """Concentration that can be read from the file of a day.

        Returns
        -------
        ndarray of float32, shape (rows, columns)
            Percent; NaN where land or not observed, which is everywhere on a day that is
            absent, has a defect or lies outside the date range.
        """
        day = parse_date(day)
        if day not in self.paths or day in self.defects:
            return np.full(self.grid.shape, np.nan, np.float32)
        return self._source.observe(day)


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
        The same seed gives the same files, byte for byte, and the same ice on every grid.
    dropped_half_orbits : float, optional
        Mean number of half orbits lost a day. A few of them leave wedges at low latitudes
        and rarely touch the ice, since beyond 55 degrees the passes of day and night cover
        each other; for gaps within the ice use ``outages`` of twelve hours or more.
    absent_days : iterable of dates, optional
        Days for which no file is written; a file of such a day must not exist.
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
        If a day of ``absent_days``, ``outages`` or ``defects`` lies outside the date range, a kind of
        defect or a grid is unknown, or the file of an absent day exists.
    """
    date_range = DateRange.parse(start_date, end_date)
    absent = frozenset(parse_date(day) for day in absent_days)
    hours = {parse_date(day): span for day, span in (outages or {}).items()}
    damaged = {parse_date(day): kind for day, kind in (defects or {}).items()}
    for role, days in (("absent", absent), ("outage", hours), ("defect", damaged)):
        _check_inside(role, days, date_range)
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
        for day in date_range
        if day not in absent
    }
    for day in sorted(absent):
        stale = folder / DayFile("AMSR2", grid, day, VERSION, "nc").name
        if stale.exists():
            raise InputError(f"expected no file for the absent day {day}, found {stale}; remove it")
    for day, path in paths.items():
        _write_file(path, source.observe(day), source.grid, damaged.get(day))
    return SimulatedDays(source.grid, tuple(date_range), paths, absent, damaged, source.land, source)


def _check_inside(role: str, days: Collection[date], date_range: DateRange) -> None:
    outside = sorted(day for day in days if day not in date_range)
    if outside:
        raise InputError(
            f"expected {role} days from {date_range}, found {listing([str(day) for day in outside])}"
        )


def _write_file(path: Path, values: np.ndarray, grid: Grid, defect: Defect | None) -> None:
    """Write the file of a day, sound or with a defect."""
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
        observed = np.flatnonzero(~np.isnan(values))
        values.flat[observed[:: max(1, observed.size // 100)]] = 250
    elif defect == "other_grid":
        grid = grids.get_grid(("s" if grid.id[0] == "n" else "n") + grid.id[1:])
        values = np.full(grid.shape, 50, np.float32)
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
