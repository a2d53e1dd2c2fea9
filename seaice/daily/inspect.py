"""Description of a folder of daily files, and of the missing values in a part of the grid."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seaice import InputError
from seaice.daily.folder import (
    DailyGrids,
    DayRecord,
    HealthRule,
    describe_days,
    describe_unnamed,
)
from seaice.daily.health.judge import Finding
from seaice.daily.source import BREMEN, count_files, is_daily_name
from seaice.dates import DateRange, format_runs
from seaice.fields.describe import describe_fields, is_field_file, list_field_files
from seaice.grids import Grid, list_grid_ids
from seaice.masks import Mask, read_mask
from seaice.open_file.address import Address, Place, locate
from seaice.regions import Box
from seaice.report import Progress, Report, add_picture, listing
from seaice.runtime.atomic_write import atomic
from seaice.runtime.output_checks import (
    Output,
    check_outputs,
)
from seaice.sources.bremen import names as bremen
from seaice.sources.bremen.reader import identify_file, read_grid_of
from seaice.sources.products import (
    FolderListing,
    ProductFile,
    find_product_files,
    get_product,
    read_product_grid,
)

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes

logger = logging.getLogger(__name__)


def get_dims(*, source_dir: Path, product: Sequence[str | Path] = ()) -> Report:
    """Describe a folder of daily files: size of a field, grids, forms, days.

    Only the first readable file of every grid is opened; empty files are recognised by their
    size. ``consolidate_data.py`` checks every value.

    Parameters
    ----------
    source_dir : Path
        Searched with all its subfolders. A cube or any other file of maps, or a folder of these
        alone, is described too.
    product : sequence of str or Path
        Products to describe; by default all that the folder holds.

    Returns
    -------
    Report
        ``values`` has ``height`` and ``width`` (rows and columns) of the first readable file.

    Raises
    ------
    InputError
        If there is no daily file, or none can be read.
    """
    source = locate(source_dir)
    if isinstance(source, Address) or is_field_file(source):
        return _describe_field_files([source])
    source_dir = Path(source_dir)
    names: Sequence[str | Path] = product
    if not names and source_dir.is_dir():
        names = list(count_files(source_dir))
    if not names and source_dir.is_dir():
        fields = list_field_files(source_dir)
        if fields and not any(bremen.DayFile.parse(path.name) for path in fields):
            return _describe_field_files(fields)
    report = Report()
    for name in names:
        if name != BREMEN:
            _describe_product(find_product_files(source_dir, get_product(name)), report)
    if not names or BREMEN in names:
        _describe_bremen(source_dir, report)
    return report


def _describe_field_files(paths: Sequence[Place]) -> Report:
    """Describe cubes and other files of maps; one that cannot be read is left out."""
    report = Report()
    for path in paths:
        try:
            lines, shape = describe_fields(path)
        except InputError as error:
            if len(paths) == 1:
                raise
            report.left_out.append(str(error))
            continue
        report.lines += lines
        if not report.values:
            report.values = {"height": shape[0], "width": shape[1]}
            report.lines += [f"height (rows): {shape[0]}", f"width (columns): {shape[1]}"]
    return report


def _describe_product(listed: FolderListing, report: Report) -> None:
    """Describe the files of a product; the first readable one of every grid in the names is opened."""
    files = listed.files
    report.lines.append(f"product: {files[0].product.name} ({files[0].product.title})")
    by_grid: dict[tuple[str, str], list[ProductFile]] = {}
    for file in files:
        by_grid.setdefault((file.hemisphere or "", file.resolution), []).append(file)
    for _, of_grid in sorted(by_grid.items()):
        grid = None
        for file in of_grid:
            try:
                grid = read_product_grid(file)
                break
            except InputError as error:
                report.left_out.append(f"{file.path}: {error}")
        if grid is not None:
            report.lines.append(f"grid: {grid}")
            if not report.values:
                report.values = {"height": grid.rows, "width": grid.columns}
    if not report.values:
        raise InputError(
            f"not one of the {len(files)} days of {files[0].product.name} can be read "
            f"({listing(report.left_out, limit=1)})"
        )
    for label, words in (
        ("versions", [file.version for file in files if file.version]),
        ("satellites", [file.satellite for file in files if file.satellite]),
    ):
        if words:
            report.lines.append(_summarise(label, words))
    report.lines += _summarise_days([file.day for file in files])
    report.left_out += describe_unnamed(listed.unnamed) + listed.notes


def _describe_bremen(source_dir: Path, report: Report) -> None:
    listed_files, unnamed = bremen.find_files(source_dir, identify_file)
    files = sorted(listed_files, key=lambda f: (f.day, str(f.path)))
    report.left_out += describe_unnamed(unnamed)
    empty = [f for f in files if f.path.stat().st_size == 0]
    report.left_out += [f"{f.path}: the file is empty" for f in empty]
    for grid_id in dict.fromkeys(f.grid_id for f in files):
        grid = _read_first_grid([f for f in files if f.grid_id == grid_id and f not in empty], report)
        if grid is None:
            continue
        if not report.values:
            report.values = {"height": grid.rows, "width": grid.columns}
            report.lines += [f"height (rows): {grid.rows}", f"width (columns): {grid.columns}"]
        report.lines.append(f"grid: {grid}")
        if grid.id != grid_id and grid.id in list_grid_ids():
            report.left_out.append(f"the files named {grid_id} are on the grid {grid}")
    if not report.values:
        raise InputError(
            f"not one of the {len(files)} daily files in {source_dir} can be read "
            f"({listing(report.left_out, limit=1)}); fetch them again with download.py"
        )
    report.lines += _summarise_files(files)


def _read_first_grid(files: Sequence[bremen.DayFile], report: Report) -> Grid | None:
    for file in files:
        try:
            return read_grid_of(file.path)
        except InputError as error:
            report.left_out.append(f"{file.path}: {error}")
    return None


def _summarise_files(files: Sequence[bremen.DayFile]) -> list[str]:
    lines = []
    for label, names in (
        ("grids", [f.grid_id for f in files]),
        ("forms", [f.form for f in files]),
        ("sensors", [f.sensor for f in files]),
        ("versions", [f.version for f in files]),
    ):
        lines.append(_summarise(label, names))
    return lines + _summarise_days([f.day for f in files])


def _summarise(label: str, names: Sequence[str]) -> str:
    counts = Counter(names).most_common()
    return f"{label}: {listing([f'{name} ({count} files)' for name, count in counts])}"


def _summarise_days(days: Sequence[date]) -> list[str]:
    period = DateRange(min(days), max(days))
    lines = [f"files: {len(days)}, first day {period.start}, last day {period.end}"]
    absent = [day for day in period if day not in set(days)]
    if absent:
        lines.append(f"days without a file in between: {len(absent)} ({listing(format_runs(absent))})")
    return lines


@dataclass(frozen=True)
class BoxDay:
    """Missing cells of a box on one day.

    Attributes
    ----------
    record : DayRecord
    cells : int
        Number of cells of the box, or of its ocean cells if there is a mask.
    missing : int or None
        Number of missing cells; None if the day is absent or rejected.
    findings : sequence of Finding
        What makes the day suspicious, the whole field looked at.
    """

    record: DayRecord
    cells: int
    missing: int | None
    findings: Sequence[Finding] = ()

    @property
    def percent(self) -> float | None:
        """Missing cells in percent of the cells."""
        return None if self.missing is None else 100 * self.missing / self.cells


def count_missing(field: np.ndarray, cells: np.ndarray) -> int:
    """Count the missing values of a field in a selection of cells.

    Parameters
    ----------
    field : ndarray of float
        NaN is missing.
    cells : ndarray of bool, same shape
        True in the selected cells.

    Examples
    --------
    >>> count_missing(np.array([1.0, np.nan, np.nan]), np.array([True, True, False]))
    1
    """
    return int(np.count_nonzero(np.isnan(field) & cells))


def find_missing(
    *,
    source_dir: Path,
    start_date: date,
    end_date: date,
    ymin: int | None = None,
    ymax: int | None = None,
    xmin: int | None = None,
    xmax: int | None = None,
    bounds: Sequence[float] | None = None,
    threshold_percent: float = 0.1,
    land_mask_file: Path | None = None,
    grid: str | None = None,
    product: Sequence[str | Path] = (),
    output_csv: Path | None = None,
    output_file: Path | None = None,
) -> Report:
    """List the days with missing data in a box of the grid, and the suspicious days of the record.

    Parameters
    ----------
    source_dir : Path
        Folder of daily files.
    start_date, end_date : date
        First and last day.
    ymin, ymax, xmin, xmax : int, optional
        Half-open ranges of rows and columns; row 0 is the smallest y.
    bounds : sequence of four floats, optional
        West, east, south, north in metres of the projection, instead of the ranges.
    threshold_percent : float
        Days with at least this percentage of missing cells are listed.
    land_mask_file : Path, optional
        Mask of ``create_mask.py``; with it only ocean cells are counted.
    grid : str, optional
        Use only files of this grid.
    product : sequence of str or Path
        Products to read, in order of preference; by default that of the folder.
    output_csv, output_file : Path, optional
        CSV file for the table; picture of the first readable day with the box.

    Returns
    -------
    Report
        ``values["days"]`` are the :class:`BoxDay`, ``values["listed"]`` the dates at or
        above the threshold, ``values["suspicious"]`` those with findings.
    """
    check_outputs(
        [
            Output("output_csv", output_csv, "table", ("date", "status", "reason")),
            Output("output_file", output_file, "picture"),
        ],
        [land_mask_file],
        is_daily_file=is_daily_name,
    )
    mask = None if land_mask_file is None else read_mask(land_mask_file)
    daily = DailyGrids(
        source_dir=source_dir,
        period=DateRange(start_date, end_date),
        grid=None if mask is None else mask.grid,
        grid_id=grid,
        product=product,
        health=HealthRule(),
    )
    box = _make_box(daily.grid, (ymin, ymax, xmin, xmax), bounds)
    ocean = np.ones(daily.grid.shape, dtype=bool) if mask is None else mask.ocean
    inside = ocean[box.rows, box.columns]
    cells = int(np.count_nonzero(inside))
    if not cells:
        raise InputError(f"the box ({box}) holds no ocean cell of {land_mask_file}; choose another")
    days: list[BoxDay] = []
    first: tuple[np.ndarray, BoxDay] | None = None
    with Progress(total=len(daily.period), label="days", logger=logger) as progress:
        for day in daily.period:
            field, record = daily.read(day, with_digest=False)
            missing = None if field is None else count_missing(field[box.rows, box.columns], inside)
            findings = [] if field is None else daily.judge(day)
            days.append(BoxDay(record, cells, missing, findings))
            if first is None and field is not None:
                first = field, days[-1]
            progress.unit(_format_day(days[-1]))
    noun = (
        "ocean cells"
        if mask is not None
        else "cells, land among them (give --land_mask_file to leave it out)"
    )
    report = Report(lines=[f"box {box}: {cells} {noun}"])
    _report_days(days, threshold_percent, daily.unnamed, report)
    if output_csv is not None:
        write_csv(days, threshold_percent, Path(output_csv))
        _add_output(report, output_csv)
    if output_file is not None:
        if first is None:
            report.failed.append(f"no day can be read, so {output_file} was not drawn")
        else:
            with add_picture(report, Path(output_file), is_asked=True):
                draw_box(*first, box, daily.grid, mask, Path(output_file))
                report.lines.append(f"wrote {output_file}")
    return report


def _add_output(report: Report, path: Path) -> None:
    report.outputs.append(Path(path))
    report.lines.append(f"wrote {path}")


def _make_box(grid: Grid, ranges: tuple[int | None, ...], bounds: Sequence[float] | None) -> Box:
    limits = [number for number in ranges if number is not None]
    if bounds is not None and not limits:
        west, east, south, north = bounds
        return Box.from_bounds((west, east, south, north), grid)
    if bounds is not None or len(limits) != 4:
        raise InputError(
            "expected either --ymin, --ymax, --xmin and --xmax or --bounds, found "
            f"{len(limits)} of the four{' and --bounds' if bounds is not None else ''}"
        )
    box = Box(*limits)
    box.check(grid)
    return box


def _format_day(day: BoxDay) -> str:
    if day.missing is None:
        return f"{day.record.day}  {day.record.status.name.lower()}"
    kinds = ", ".join(finding.kind.replace("_", " ") for finding in day.findings)
    suspicion = f"  suspicious: {kinds}" if kinds else ""
    return f"{day.record.day}  {day.missing:9d}  {day.percent:8.3f}{suspicion}"


def _report_days(
    days: Sequence[BoxDay], threshold_percent: float, unnamed: Sequence[Path], report: Report
) -> None:
    report.lines += ["day         missing    percent", *(_format_day(day) for day in days)]
    listed = [d for d in days if d.percent is not None and d.percent >= threshold_percent]
    names = ", ".join(str(d.record.day) for d in listed) or "none"
    readable = sum(d.missing is not None for d in days)
    report.lines.append(
        f"days with at least {threshold_percent:g} percent missing: {len(listed)} of {readable} "
        f"readable: {names}"
    )
    suspicious = [day for day in days if day.findings]
    report.lines.append(f"suspicious days: {len(suspicious)} of {readable} readable")
    for day in suspicious:
        report.lines += [f"{day.record.day}  {finding.text}" for finding in day.findings]
    lines, left_out = describe_days((d.record for d in days), unnamed)
    report.lines += lines
    report.left_out += left_out
    report.values |= {"days": list(days), "listed": [d.record.day for d in listed]}
    report.values["suspicious"] = [day.record.day for day in suspicious]


def write_csv(days: Sequence[BoxDay], threshold_percent: float, path: Path) -> None:
    """Write one row a day; numbers are empty where the day is absent or rejected."""
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["date", "status", "reason", "cells", "missing_cells", "missing_percent",
             f"at_least_{threshold_percent:g}_percent", "findings", "suspicious"]
        )  # fmt: skip
        for day in days:
            row: list[object] = [
                day.record.day,
                day.record.status.name.lower(),
                day.record.reason,
                day.cells,
            ]
            if day.percent is None:
                writer.writerow([*row, "", "", "", "", ""])
            else:
                reached = int(day.percent >= threshold_percent)
                kinds = " ".join(finding.kind for finding in day.findings)
                text = "; ".join(finding.text for finding in day.findings)
                writer.writerow([*row, day.missing, f"{day.percent:.4f}", reached, kinds, text])


def draw_box(
    field: np.ndarray, day: BoxDay, box: Box, grid: Grid, mask: Mask | None, path: Path
) -> None:
    """Draw a day, the whole grid with the box and the box alone, and save the picture.

    Parameters
    ----------
    field : ndarray of float32, shape (rows, columns)
        Percent; NaN is missing.
    """
    from seaice.drawing import (
        draw,
        palette,
    )
    from seaice.drawing.decorations import get_text_scale
    from seaice.drawing.graticule import draw_graticule

    near = _enlarge(box, grid)
    near_grid = grid.crop(near.rows, near.columns)
    figure, axes = draw.make_map_panels(grid, 2, height=5.5, graticule=False)
    frame = palette.Swatch(f"box {box}", palette.ICE_EDGE, "line")
    no_value = "no value" if mask is not None else "no value (land, or missing)"
    swatches = [frame, palette.Swatch(no_value, palette.NO_VALUE, hatched=True)]
    if mask is not None:
        swatches.append(palette.Swatch("land", palette.LAND))
    for ax, part, part_grid in zip(
        axes, (Box(0, grid.rows, 0, grid.columns), near), (grid, near_grid), strict=True
    ):
        ax.set_xlim(*part_grid.extent[:2])
        ax.set_ylim(*part_grid.extent[2:])
        land = None if mask is None else mask.land[part.rows, part.columns]
        image = draw.draw_concentration(ax, field[part.rows, part.columns], part_grid, land=land)
        draw_graticule(ax, part_grid, unit=get_text_scale(ax), zorder=3)
        _draw_outline(ax, grid.crop(box.rows, box.columns), colour=palette.ICE_EDGE)
    draw.draw_title(axes[0], f"Sea ice concentration, {day.record.day}", str(grid))
    draw.draw_title(
        axes[1], f"{day.percent:.2f} % of the box missing", f"{day.missing} of {day.cells} cells"
    )
    draw.draw_colorbar(axes[1], image)
    draw.draw_legend(axes[0], swatches, columns=1)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150, format=path.suffix.lower().lstrip("."))


def _enlarge(box: Box, grid: Grid) -> Box:
    """Enlarge a box by a margin, to the proportions of the grid and within it."""
    shape = grid.rows / grid.columns
    rows = max(1.5 * (box.ymax - box.ymin), 1.5 * shape * (box.xmax - box.xmin), 24)
    sizes = min(round(rows), grid.rows), min(round(rows / shape), grid.columns)
    starts = [
        min(max((low + high - size) // 2, 0), limit - size)
        for low, high, size, limit in zip(
            (box.ymin, box.xmin), (box.ymax, box.xmax), sizes, grid.shape, strict=True
        )
    ]
    return Box(starts[0], starts[0] + sizes[0], starts[1], starts[1] + sizes[1])


def _draw_outline(ax: GeoAxes, grid: Grid, *, colour: str) -> None:
    from matplotlib.patches import Rectangle

    west, east, south, north = grid.extent
    ax.add_patch(
        Rectangle((west, south), east - west, north - south, fill=False, edgecolor=colour,
                  linewidth=1.6, zorder=5)
    )  # fmt: skip
