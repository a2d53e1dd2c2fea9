"""Surface mask from many days: by the classes of their product, else by how often a cell is missing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from seaice import (
    InputError,
    cf,
)
from seaice.daily.folder import (
    DailyGrids,
    DayRecord,
    describe_days,
)
from seaice.daily.source import is_daily_name
from seaice.daily.surface import MONTHS, SurfaceCount
from seaice.dates import (
    DateRange,
    day_number,
    from_day_number,
)
from seaice.flags import (
    DayStatus,
    Surface,
    is_ocean,
)
from seaice.grids import Grid
from seaice.masking.valid_ice import ValidIce, read_valid_ice
from seaice.masks import (
    Mask,
    find_pole_hole,
    read_mask,
)
from seaice.report import Progress, Report, format_count
from seaice.runtime.atomic_write import (
    atomic,
    exclusive,
)
from seaice.runtime.threads import use_threads
from seaice.runtime.workers import (
    Engine,
    split_days,
)

logger = logging.getLogger(__name__)

FEW_DAYS = 20  # with fewer days the report warns
_SPANS_PER_WORKER = 2  # runs of days, so that a slow worker delays the end less


def create_mask(
    *,
    source_dir: Path,
    start_date: date,
    end_date: date,
    output_file: Path,
    threshold: float = 0.85,
    grid: str | None = None,
    product: Sequence[str | Path] = (),
    valid_ice: Sequence[str | Path] = (),
    bad_days_file: Path | None = None,
    workers: int = 1,
    dask: str | None = None,
) -> Report:
    """Make a mask file from daily grids: one pass, one day in memory, O(days x cells).

    Parameters
    ----------
    source_dir : Path
        Folder of daily files.
    start_date, end_date : date
        First and last day. The more days, the fewer cells are classified as land by chance.
    output_file : Path
        NetCDF file to write: ``land_mask``, ``nan_ratio`` and ``surface`` on (y, x).
    threshold : float
        Smallest share of missing days that makes a cell land, 0..1. A product that tells land in
        its files decides by what they say on most days.
    grid : str, optional
        Use only files of this grid.
    product : sequence of str or Path
        Products to read, in order of preference; by default that of the folder.
    valid_ice : sequence of str or Path
        Files of the cells on which ice is possible in a month
        (:func:`seaice.masking.valid_ice.read_valid_ice`). Their lakes become lakes of the mask;
        with all twelve months, cells without ice in any become such.
    bad_days_file : Path, optional
        YAML file with a list of days that are not used.
    workers : int
        Local processes that share the days.
    dask : str, optional
        ``local`` or the address of a dask.distributed scheduler, whose workers share the days.

    Returns
    -------
    Report
        ``values``: number of cells of every surface class. Rejected days are failures.

    Raises
    ------
    InputError
        If no day can be read, the threshold is out of range, or the output is another file.
    """
    engine = Engine(workers, dask)
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold must be from 0 to 1, found {threshold}")
    output_file = Path(output_file)
    if output_file.suffix != ".nc":
        raise InputError(f"expected an output name that ends in .nc, found {output_file}")
    if is_daily_name(output_file.name):
        raise InputError(
            f"the output has the name of a daily file: {output_file}; choose another --output_file"
        )
    period = DateRange.parse(start_date, end_date)
    days = DailyGrids(
        source_dir=source_dir,
        period=period,
        grid_id=grid,
        bad_days_file=bad_days_file,
        product=product,
    )
    ice = read_valid_ice(valid_ice, days.grid) if valid_ice else None
    with exclusive(output_file, kind="mask"):
        return _create_mask(days, period, output_file, threshold, ice, engine)


def _create_mask(
    days: DailyGrids,
    period: DateRange,
    output_file: Path,
    threshold: float,
    ice: ValidIce | None,
    engine: Engine,
) -> Report:
    count, records = _count_days(days, period, engine)
    if not count.days:
        raise InputError(
            f"not one day from {period} in {days.source_dir} can be used ({records[0].reason}); "
            "nothing written"
        )
    if count.has_classes:
        surface, rule = count.classify(days.grid), "classes: what the files say on most days"
    else:
        surface = classify(count.missing, count.days, days.grid, threshold=threshold)
        rule = f"land is missing on >= {threshold:g} of them"
    mask = Mask(surface, count.nan_ratio, days.grid, count.valid_ice)
    if ice is not None:
        mask = add_valid_ice(mask, ice)
    parameters = {
        "source_dir": str(days.source_dir),
        "start_date": period.start,
        "end_date": period.end,
        "threshold": threshold,
        "days_used": count.days,
    }
    with atomic(output_file, verify=read_mask, locked=True, checksum=True) as temporary:
        write_mask(temporary, mask, parameters, days.describe_source(records))
    return _report(output_file, mask, records, days.unnamed, period, rule)


def add_valid_ice(mask: Mask, ice: ValidIce) -> Mask:
    """Add to a mask where ice is possible, month by month, and the lakes of these files.

    Parameters
    ----------
    mask : Mask
    ice : ValidIce

    Returns
    -------
    Mask
        Lakes of the files become lakes. Ocean on which ice is possible in no month becomes
        NEVER_ICE, if all twelve months were given.
    """
    surface = mask.surface.copy()
    surface[ice.lakes & (surface != Surface.LAND)] = Surface.LAKE
    if ice.never is not None:
        surface[ice.never & is_ocean(surface)] = Surface.NEVER_ICE
    return replace(mask, surface=surface, valid_ice={**mask.valid_ice, **ice.months})


def _count_days(
    days: DailyGrids, period: DateRange, engine: Engine
) -> tuple[SurfaceCount, list[DayRecord]]:
    count = SurfaceCount()
    records: dict[date, DayRecord] = {}
    with Progress(total=len(period), label="days", logger=logger) as progress:

        def note_record(record: DayRecord) -> None:
            records[record.day] = record
            reason = f" ({record.reason})" if record.reason else ""
            progress.unit(f"{record.day} {record.status.name.lower()}{reason}")

        if engine.is_here:
            _add_days(days, count, note_record)
        else:
            numbers = day_number(period.start), day_number(period.end)
            parts = _SPANS_PER_WORKER * engine.workers
            cut = [tuple(map(from_day_number, s)) for s in split_days(*numbers, parts=parts, multiple=1)]
            units = [(days.select(DateRange(start, end)), engine.threads) for start, end in cut]

            def add_part(_: int, part: tuple[SurfaceCount, list[DayRecord]]) -> None:
                count.merge(part[0])
                for record in part[1]:
                    note_record(record)

            with engine.start() as workers:
                workers.do(count_surface, units, add_part)
    return count, [records[day] for day in period]


def count_surface(days: DailyGrids, threads: int | None) -> tuple[SurfaceCount, list[DayRecord]]:
    """Count the days on which cells have no value, the unit of work of a mask.

    Parameters
    ----------
    days : DailyGrids
    threads : int or None
        Number of threads; None: as many as there are processors.

    Returns
    -------
    count : SurfaceCount
    records : list of DayRecord
        Status of every day.
    """
    use_threads(threads)
    count, records = SurfaceCount(), list[DayRecord]()
    _add_days(days, count, records.append)
    return count, records


def _add_days(days: DailyGrids, count: SurfaceCount, note_record: Callable[[DayRecord], None]) -> None:
    frame = np.empty(days.grid.shape, np.float32)
    for day in days.period:
        content, record = days.read_content(day, out=frame, with_digest=False)
        if content is not None:
            count.add(content, day)
        note_record(record)


def classify(missing: np.ndarray, days: int, grid: Grid, *, threshold: float = 0.85) -> np.ndarray:
    """Classify the surface by counts of missing days.

    Parameters
    ----------
    missing : ndarray of integers, shape (rows, columns)
        Number of days on which a cell is missing.
    days : int
        Number of days that were read.
    grid : Grid
    threshold : float
        Land where missing / days >= threshold, but not in the pole hole.

    Returns
    -------
    ndarray of uint8, shape (rows, columns)
        Codes of :class:`seaice.flags.Surface`. A cell beside land is coast even if it is
        rarely observed (``nan_ratio`` shows that anyway).

    Examples
    --------
    >>> from seaice.grids import get_grid
    >>> grid = get_grid("n25000").crop(slice(0, 1), slice(0, 4))
    >>> classify(np.array([[20, 0, 0, 12]]), 20, grid)
    array([[1, 2, 0, 4]], dtype=uint8)
    """
    from scipy.ndimage import binary_dilation

    always = missing >= np.ceil(threshold * days - 1e-9)
    hole = find_pole_hole(always, grid)
    land = always & ~hole
    beside = binary_dilation(land, structure=np.ones((3, 3), bool)) & ~land
    surface = np.full(missing.shape, Surface.OCEAN, np.uint8)
    surface[2 * missing > days] = Surface.RARELY_OBSERVED_OCEAN
    surface[beside] = Surface.COAST
    surface[hole] = Surface.POLE_HOLE
    surface[land] = Surface.LAND
    return surface


def write_mask(
    path: Path, mask: Mask, parameters: dict[str, object], origin: Mapping[str, Any] | None = None
) -> None:
    """Write a mask file.

    Parameters
    ----------
    path : Path
    mask : Mask
    parameters : dict
        Stored as JSON.
    origin : mapping, optional
        Global attributes ``source`` and ``references``.
    """
    import netCDF4

    with netCDF4.Dataset(path, "w") as dataset:
        dataset.setncatts(
            cf.describe_file(
                title="Sea ice surface mask",
                summary="Land, coast, lakes, pole hole and ocean cells of a daily sea ice "
                "concentration grid, told apart by the product or by how often they are missing",
                stage="create_mask",
                parameters=parameters,
                grid=mask.grid,
                processing_level="Level 4",
                **(origin or {"source": "unknown", "references": "none"}),
            )
        )
        cf.write_grid(dataset, mask.grid)
        cf.define_variable(dataset, "land_mask")[:] = mask.land.astype(np.uint8)
        cf.define_variable(dataset, "surface")[:] = mask.surface
        cf.define_variable(dataset, "nan_ratio")[:] = mask.nan_ratio
        if mask.valid_ice:
            dataset.createDimension("month", len(mask.valid_ice))
            cf.define_variable(dataset, "month")[:] = np.array(list(mask.valid_ice), np.int8)
            cf.define_variable(dataset, "valid_ice")[:] = np.stack(
                [is_valid.astype(np.uint8) for is_valid in mask.valid_ice.values()]
            )


def _describe_months(mask: Mask) -> str:
    absent = [str(month) for month in MONTHS if month not in mask.valid_ice]
    text = f"cells on which ice is possible: {format_count(len(mask.valid_ice), 'month')}"
    return f"{text}; not known for month {', '.join(absent)}" if absent else text


def _report(
    output_file: Path,
    mask: Mask,
    records: list[DayRecord],
    unnamed: Sequence[Path],
    period: DateRange,
    rule: str,
) -> Report:
    lines, left_out = describe_days(records, unnamed)
    used = sum(r.status == DayStatus.PRESENT for r in records)
    area = mask.grid.cell_area()
    counts = {c: int((mask.surface == c).sum()) for c in Surface}
    if mask.valid_ice:
        lines.append(_describe_months(mask))
    head = [
        f"{output_file}: surface of {mask.grid}",
        f"days read: {used} of {len(period)} ({period}); {rule}",
    ]
    for surface, count in counts.items():
        share = 100 * count / mask.surface.size
        square_km = area[mask.surface == surface].sum()
        name = surface.name.lower().replace("_", " ")
        head.append(
            f"  {int(surface)} {name:<22} {count:>9} cells {share:6.2f} % {square_km:>13,.0f} km2"
        )
    if used < FEW_DAYS and rule.startswith("land"):
        lines.append(
            f"only {format_count(used, 'day')} could be read: a cell that happened to be missing on "
            f"all of them is called "
            f"land; use {FEW_DAYS} days or more"
        )
    if counts[Surface.LAND] in (0, mask.surface.size):
        lines.append(
            "every cell is land: is the threshold right?" if counts[Surface.LAND] else "no land found"
        )
    values = {c.name.lower(): n for c, n in counts.items()} | {"days_used": used}
    return Report(head + lines, [], [output_file], values, left_out)
