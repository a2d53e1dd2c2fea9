"""The report of a cube as one HTML page: the stage behind report.py."""

from __future__ import annotations

import csv
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

import seaice
from seaice import InputError, cf
from seaice.cube.file import CubeFile
from seaice.cube_report import figures
from seaice.cube_report.coverage import Coverage, measure_coverage
from seaice.cube_report.page import Page
from seaice.drawing.decorations import write_plain_text
from seaice.flags import DayStatus
from seaice.ice_index.climate.climatology import LEAST_YEARS
from seaice.ice_index.climate.periods import LEAST_DAYS
from seaice.ice_index.climate.pictures import draw_years
from seaice.ice_index.climate.record import describe_climate
from seaice.ice_index.series import MILLION, IndexSeries, draw_series
from seaice.ice_index.stage import ice_index, read_divisions
from seaice.regions import find_region_file, find_seas
from seaice.report import Report, format_count
from seaice.runtime.atomic_write import atomic
from seaice.runtime.output_checks import Output, check_outputs

logger = logging.getLogger(__name__)

# Command lines that are shown, and further ones that are folded.
_HISTORY_LINES, _LONGEST_HISTORY = 5, 1000
# Rows of scores, and suspicious days with pictures, at most.
_SCORE_ROWS, _THUMBNAIL_DAYS = 60, 12
_TOOLBOX = "seaice toolbox, CITATION.cff"


@write_plain_text()
def report_cube(
    *,
    input_file: Path,
    output_file: Path,
    land_mask_file: Path | None = None,
    region: Sequence[str] | None = None,
    series_file: Sequence[Path] = (),
    scores: Path | None = None,
) -> Report:
    """Write one self-contained HTML page about a cube.

    Parameters
    ----------
    input_file : Path
        Cube of ``consolidate_data.py``, or other daily maps of ice concentration.
    output_file : Path
        Page to write, ``.html``. It needs no other file and no network.
    land_mask_file : Path, optional
        Mask of ``create_mask.py``, for extent and area as in ``ice_index.py``.
    region : sequence of str, optional
        Regions as in ``ice_index.py``; by default the seas with ocean cells on the grid.
    series_file : sequence of Path
        Series of earlier years of the same regions, as for ``ice_index.py``: with three years or more
        the years are drawn over each other.
    scores : Path, optional
        Folder of ``fill_gaps.py score`` with held-out scores of the filling.

    Returns
    -------
    Report
        ``values["coverage"]`` and ``values["series"]`` hold the numbers of the page.

    Raises
    ------
    InputError
        If the cube, the mask, a region or the scores cannot be read, or the output is no ``.html``.
    """
    output_file = Path(output_file)
    regions = list(region or [])
    check_outputs(
        [Output("output_file", output_file, "page")],
        [input_file, land_mask_file, *map(find_region_file, regions)],
    )
    rows = _read_scores(Path(scores)) if scores is not None else None
    with CubeFile(input_file) as cube:
        regions = regions or find_seas(cube.grid, cube.ocean)
        index = ice_index(
            input_file=input_file,
            series_file=series_file,
            region=regions,
            land_mask_file=land_mask_file,
        )
        series: IndexSeries = index.values["series"]
        coverage = measure_coverage(cube, read_divisions(cube, cube.ocean, regions))
        page = Page(f"Report of {cube.path.name}")
        _add_summary(page, cube, coverage)
        _add_coverage(page, cube, coverage)
        _add_filling(page, coverage)
        _add_days(page, cube, coverage)
        _add_extent(page, series)
        if rows is not None:
            _add_scores(page, rows, Path(scores or ""))
        _add_provenance(page, cube)
        with atomic(output_file) as temporary:
            temporary.write_text(page.render(), encoding="utf-8")
    size = output_file.stat().st_size / 1e6
    line = f"wrote {output_file}: {format_count(len(coverage.dates), 'day')}, {size:.1f} MB"
    values = {"coverage": coverage, "series": series}
    return Report([line], outputs=[output_file], values=values)


def _add_summary(page: Page, cube: CubeFile, coverage: Coverage) -> None:
    status = Counter(coverage.status.tolist())
    days = coverage.dates
    shares = [100 * coverage.share_of(kind)[:, 0].mean() for kind in ("observed", "filled", "missing")]
    page.add_text(
        f"{format_count(len(days), 'day')}, {days[0]} to {days[-1]}, on {cube.grid}. "
        f"{status[DayStatus.PRESENT]} present, {len(coverage.suspicious)} of them suspicious, "
        f"{status[DayStatus.ABSENT]} absent, {status[DayStatus.REJECTED]} rejected. Of the ocean "
        f"{shares[0]:.2f} % was observed, {shares[1]:.2f} % was filled and {shares[2]:.2f} % is missing."
    )
    if cf.is_simulated(cube.attributes):
        page.add_text("The data of this cube are simulated.", kind="alarm")


def _add_coverage(page: Page, cube: CubeFile, coverage: Coverage) -> None:
    page.add_heading("Coverage by day and region")
    page.add_picture(
        figures.draw_coverage(coverage), "Share of the ocean that was observed, filled and missing"
    )
    page.add_picture(figures.draw_regions(coverage), "Share of every region that was observed, by day")
    rows = []
    kinds = ("observed", "filled", "missing")
    means = [100 * coverage.share_of(kind).mean(axis=0) for kind in kinds]
    lowest = coverage.share_of("observed").argmin(axis=0)
    for i, name in enumerate(coverage.regions):
        share = 100 * coverage.share_of("observed")[:, i]
        days = "every day" if np.ptp(share) < 1e-9 else str(coverage.dates[lowest[i]])
        worst = f"{share.min():.1f} % on {days}"
        area = coverage.area[0, i].sum() / 1e6
        rows.append([name.replace("_", " "), f"{area:.3f}", *(f"{m[i]:.2f} %" for m in means), worst])
    header = ["region", "ocean, million km²", *kinds, "least observed"]
    page.add_table(header, rows)
    page.add_picture(
        figures.draw_observed_days(cube, coverage),
        "Share of days on which a cell was not observed",
        is_wide=False,
    )


def _add_filling(page: Page, coverage: Coverage) -> None:
    page.add_heading("How values came about")
    flags_picture = figures.draw_flags(coverage)
    if flags_picture is not None:
        page.add_picture(flags_picture, "How the values that were not observed came about")
    total = coverage.cells.sum()
    has_error = ~np.isnan(coverage.error)
    rows = []
    swatches = figures.name_flags(coverage.flags)
    for i, (name, swatch) in enumerate(zip(coverage.flags, swatches, strict=True)):
        cells = coverage.cells[:, i]
        weights = np.where(has_error[:, i], cells, 0)
        errors = (np.nan_to_num(coverage.error[:, i]) * weights).sum()
        error = f"{100 * errors / weights.sum():.2f}" if weights.sum() else ""
        rows.append(
            [
                name.replace("_", " "),
                swatch.label,
                f"{cells.sum()}",
                f"{100 * cells.sum() / total:.3f} %",
                error,
            ]
        )
    header = ["flag", "in pictures", "cells", "share", "mean expected error, percentage points"]
    page.add_table(header, rows)
    errors_picture = figures.draw_errors(coverage)
    if errors_picture is None:
        page.add_text("The cube has no expected errors.", kind="note")
    else:
        page.add_picture(errors_picture, "Mean expected standard error of the filled cells of a day")


def _add_days(page: Page, cube: CubeFile, coverage: Coverage) -> None:
    page.add_heading("Absent, rejected and suspicious days")
    rows = []
    for word, days in (
        ("absent", coverage.list_days(DayStatus.ABSENT)),
        ("rejected", coverage.list_days(DayStatus.REJECTED)),
        ("suspicious", coverage.suspicious),
    ):
        rows += [[str(coverage.dates[i]), word, coverage.reasons[i]] for i in days]
    if not rows:
        page.add_text("None.")
        return
    page.add_table(["day", "status", "reason"], sorted(rows))
    suspicious = coverage.suspicious
    for day in suspicious[:_THUMBNAIL_DAYS]:
        around = [i for i in (day - 1, day, day + 1) if 0 <= i < len(coverage.dates)]
        caption = (
            f"{coverage.dates[day]} between the days beside it, cells that were not observed in orange: "
            f"{coverage.reasons[day]}"
        )
        page.add_picture(figures.draw_thumbnails(cube, around), caption)
    if len(suspicious) > _THUMBNAIL_DAYS:
        page.add_text(f"Pictures of the first {_THUMBNAIL_DAYS} of {len(suspicious)}.", kind="note")


def _add_extent(page: Page, series: IndexSeries) -> None:
    page.add_heading("Extent and area")
    picture = _draw_in_memory(partial(draw_series, series, most_columns=3))
    page.add_picture(picture, "Daily sea ice extent and area by region")
    if series.dates[-1].year - series.dates[0].year >= LEAST_YEARS:
        whole, *_ = describe_climate(series, least_days=LEAST_DAYS)
        picture = _draw_in_memory(partial(draw_years, whole, note=series.source))
        page.add_picture(picture, "Extent of the years over each other")
    page.add_text(f"In million km², {series.describe_convention()}:")
    header = ["region", "lowest extent", "on", "highest extent", "on", "mean area", "missing at most",
              "share of filled values", "widest 95 % interval", "on"]  # fmt: skip
    rows = [_describe_region(series, number) for number in range(len(series.regions))]
    page.add_table(header, rows)


def _describe_region(series: IndexSeries, number: int) -> list[str]:
    """Lowest and highest extent, mean area and the share and interval of filled values of a region."""
    name = series.regions[number].replace("_", " ")
    extent, area, missing, low, high = (
        getattr(series, column)[:, number] / MILLION
        for column in ("extent", "area", "missing_area", "extent_low", "extent_high")
    )
    if np.isnan(extent).all():
        return [name, "no value on any day"]
    row = [name]
    for day in (np.nanargmin(extent), np.nanargmax(extent)):
        row += [f"{extent[day]:.3f}", str(series.dates[day])]
    row += [_average(area, "{:.3f}"), "" if np.isnan(missing).all() else f"{np.nanmax(missing):.3f}"]
    row.append(_average(100 * series.filled_share[:, number], "{:.1f} %"))
    width = np.nan_to_num(high - low)
    widest = int(width.argmax())
    if width[widest] > 0:
        row += [f"{low[widest]:.3f} to {high[widest]:.3f}", str(series.dates[widest])]
    return row


def _average(values: np.ndarray, form: str) -> str:
    return "" if np.isnan(values).all() else form.format(np.nanmean(values))


def _draw_in_memory(draw: Callable[[Path], None]) -> bytes:
    """The bytes of a picture that a function writes to a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        draw(path)
        return path.read_bytes()


def _read_scores(folder: Path) -> list[list[str]]:
    path = folder / "scores.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"expected scores.csv of fill_gaps.py score in {folder}, which cannot be read: {error}"
        ) from None
    if len(rows) < 2:
        raise InputError(f"expected rows of scores in {path}, found none")
    return rows


def _add_scores(page: Page, rows: Sequence[Sequence[str]], folder: Path) -> None:
    page.add_heading("Scores on held-out gaps")
    page.add_table(rows[0], rows[1 : _SCORE_ROWS + 1])
    if len(rows) > _SCORE_ROWS + 1:
        page.add_text(f"The first {_SCORE_ROWS} of {len(rows) - 1} rows.", kind="note")
    picture = folder / "scores.png"
    if picture.is_file():
        page.add_picture(picture.read_bytes(), "Scores on held-out gaps")


def _add_provenance(page: Page, cube: CubeFile) -> None:
    page.add_heading("Where the cube comes from")
    attributes = {name: str(value) for name, value in cube.attributes.items()}
    names = ("title", "source", "institution", "software_version", "date_created", "creator_name")
    page.add_table(
        ["attribute", "value"], [[name, attributes[name]] for name in names if attributes.get(name)]
    )
    lines = attributes.get("history", "the file has no history").splitlines()
    page.add_text("Command lines and parameters of the cube:")
    page.add_list(lines[-_HISTORY_LINES:])
    if len(lines) > _HISTORY_LINES:
        text = format_count(len(lines) - _HISTORY_LINES, "earlier command line")
        earlier = [[line] for line in lines[-_LONGEST_HISTORY:-_HISTORY_LINES]]
        page.add_table(["command line"], earlier, folded=text)
    if cube.is_cube:
        parameters = [[name, _write(value)] for name, value in sorted(cube.parameters.items())]
        page.add_table(["parameter", "value"], parameters, folded="Parameters")
    if cube.has("input_file") and cube.has("input_sha256"):
        files = zip(cube.dates, cube.texts("input_file"), cube.texts("input_sha256"), strict=True)
        rows = [[str(day), name, digest] for day, name, digest in files if name]
        header = ["day", "file", "SHA-256"]
        page.add_table(header, rows, folded=f"{format_count(len(rows), 'input file')} with digests")
    page.add_heading("Please cite")
    page.add_list([*_list_references(attributes.get("references", "")), _TOOLBOX])
    page.add_text(f"Made by seaice {seaice.__version__}.", kind="note")


def _write(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _list_references(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\n", ";").split(";") if part.strip()]
