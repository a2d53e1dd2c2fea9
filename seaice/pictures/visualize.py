"""Stages that draw a file: one day, gridded statistics, a mask, raw beside filled."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.drawing import coastlines as coasts
from seaice.drawing import (
    draw,
    palette,
)
from seaice.drawing.coastlines import (
    Choice,
    Coastlines,
)
from seaice.drawing.palette import Swatch
from seaice.grids import Grid
from seaice.pictures.field_map import (
    EXTENTS,
    Extent,
    View,
    draw_field_classes,
    draw_field_values,
    field_figure,
    view_of,
)
from seaice.pictures.read_concentration import (
    Day,
    Pair,
    kind_of,
    read_any,
    read_pair,
    read_surface,
)
from seaice.pictures.read_field import (
    Field,
    read_field,
)
from seaice.report import Report
from seaice.runtime.atomic_write import atomic
from seaice.runtime.output_checks import (
    Output,
    check_outputs,
)
from seaice.sources.bremen.names import DayFile

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes
    from matplotlib.figure import Figure


def visualize(
    *,
    input_file: Path,
    output_file: Path | None = None,
    date: datetime.date | None = None,
    variable: str | None = None,
    land_mask_file: Path | None = None,
    coastlines: Choice = "auto",
    ice_edge: float | None = None,
    extent: Extent | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    dpi: int = 300,
    show: bool = False,
) -> Report:
    """Draw a map of what a file holds, told by its content.

    Parameters
    ----------
    input_file : Path
        A daily file in any of its forms, a cube, a mask, or gridded statistics such as
        freeboard or brightness temperature.
    output_file : Path, optional
        Picture to write; by default named after the input, in the working folder.
    date : datetime.date, optional
        Day of a cube, or a day of the time step; needed if there is more than one.
    variable : str, optional
        Another variable than the one the file is about.
    land_mask_file : Path, optional
        Mask that tells land from missing in a daily file, and shows land below statistics.
    coastlines : {"auto", "natural_earth", "mask", "none"}
        Where coast outlines come from; see :func:`seaice.drawing.coastlines.find`.
    ice_edge : float, optional
        Also draw the line of this concentration, percent.
    extent : {"data", "grid"}, optional
        Part of the grid that statistics are drawn on; see :func:`seaice.pictures.field_map.view_of`.
    vmin, vmax : float, optional
        Range of the colours of statistics; see :func:`seaice.pictures.colour_scale.scale_of`.
    dpi : int
        Dots per inch of the picture.
    show : bool
        Also open a window.

    Raises
    ------
    InputError
        If the input is missing or nothing that can be drawn, does not hold the day or the
        variable, or an option does not fit it.
    """
    input_file = Path(input_file)
    # Without a date the default name is not yet known, but its folder and ending are.
    _check_picture(output_file or Path("map.png"), dpi, input_file, land_mask_file)
    kind = kind_of(input_file)
    finish: dict[str, Any] = {"coastlines": coastlines, "dpi": dpi, "show": show}
    colours = {"extent": extent, "vmin": vmin, "vmax": vmax}
    if kind == "gridded" or variable not in (None, "sea_ice_conc"):
        _refuse_options("gridded statistics", ice_edge=ice_edge)
        field = read_field(input_file, variable, date, land_mask_file)
        return _visualize_field(field, input_file, output_file, colours, **finish)
    if kind == "mask":
        more = {"date": date, "land_mask_file": land_mask_file, "ice_edge": ice_edge, **colours}
        _refuse_options("a mask", variable=variable, **more)
        return visualize_mask(input_file=input_file, output_file=output_file, **finish)
    _refuse_options("a concentration, drawn from 0 to 100 percent on its whole grid", **colours)
    day = read_any(input_file, date, land_mask_file)
    return _visualize_day(day, input_file, output_file, ice_edge, **finish)


def _refuse_options(what: str, **given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise InputError(f"--{name} does not fit {what}; leave it out")


def _visualize_day(
    day: Day,
    input_file: Path,
    output_file: Path | None,
    ice_edge: float | None,
    *,
    coastlines: Choice,
    dpi: int,
    show: bool,
) -> Report:
    if output_file is None:
        stamp = "" if day.date is None else f"{day.date:%Y%m%d}"
        output_file = _default_name(input_file, stamp)
    coast = _coast(coastlines, day.grid, day.land)
    figure, ax = draw.polar_figure(day.grid)
    image = draw.draw_concentration(ax, day.concentration, day.grid, day.land)
    swatches = _draw_around(ax, day, coast)
    if ice_edge is not None:
        swatches.append(draw.draw_ice_edge(ax, day.concentration, day.grid, level=ice_edge))
    draw.draw_scale_bar(ax, day.grid)
    draw.draw_colorbar(ax, image)
    draw.draw_legend(ax, swatches)
    draw.draw_title(ax, f"Sea ice concentration, {day.date or input_file.name}", day.source)
    return _finish(figure, output_file, coast, dpi=dpi, show=show)


def _default_name(input_file: Path, *stamps: str) -> Path:
    told = [input_file.stem]
    told += [stamp for stamp in stamps if stamp and stamp not in input_file.stem]
    return Path(f"{'_'.join(told)}.png")


def _visualize_field(
    field: Field,
    input_file: Path,
    output_file: Path | None,
    colours: Mapping[str, Any],
    *,
    coastlines: Choice,
    dpi: int,
    show: bool,
) -> Report:
    if output_file is None:
        output_file = _default_name(input_file, "" if field.is_main else field.name, field.stamp)
    if colours["extent"] not in (None, *EXTENTS):
        raise InputError(
            f"expected --extent {' or '.join(EXTENTS)}, found {colours['extent']!r}; change it"
        )
    view = view_of(field, colours["extent"])
    coast = _coast(coastlines, view.grid, view.land)
    figure, ax = field_figure(view)
    if field.flags is None:
        swatches, told = draw_field_values(ax, view, vmin=colours["vmin"], vmax=colours["vmax"])
    else:
        _refuse_options(f"the classes of {field.name}", vmin=colours["vmin"], vmax=colours["vmax"])
        swatches, told = draw_field_classes(ax, view)
    _draw_coast(ax, view, coast, paint=view.land is None)
    painted = view.land is not None or (coast.natural is not None and bool(coast.natural.polygons))
    if painted and palette.LAND not in {swatch.colour for swatch in swatches}:
        swatches.insert(0, palette.LAND_SWATCH)
    draw.draw_scale_bar(ax, view.grid)
    draw.draw_legend(ax, swatches)
    report = _finish(figure, output_file, coast, dpi=dpi, show=show)
    report.lines += told
    return report


def visualize_mask(
    *,
    input_file: Path,
    output_file: Path | None = None,
    coastlines: Choice = "auto",
    dpi: int = 300,
    show: bool = False,
) -> Report:
    """Draw the surface classes of a mask beside the missing share they come from.

    Parameters
    ----------
    input_file : Path
        Mask of ``create_mask.py``.
    coastlines : {"auto", "natural_earth", "none"}
        Coast outlines to compare the mask with.
    output_file, dpi, show
        As for :func:`visualize`.

    Raises
    ------
    InputError
        If the input is missing or no mask.
    """
    input_file = Path(input_file)
    output_file = Path(f"{input_file.stem}.png") if output_file is None else output_file
    _check_picture(output_file, dpi, input_file)
    mask, classes, source = read_surface(input_file)
    coast = _coast(coastlines, mask.grid, None)
    figure, (left, right) = draw.polar_panels(mask.grid, 2, height=6.5, top=1.15)
    draw.draw_classes(left, mask.surface, mask.grid, classes)
    ratio = draw.draw_ratio(right, mask.nan_ratio, mask.grid)
    if coast.natural is not None:  # thin, so that the class of coast cells shows
        draw.draw_coastlines(left, coast.natural, paint=False, width=0.2)
    draw.draw_outline(right, mask.land, mask.grid, colour=palette.MASK_EDGE)
    draw.draw_legend(right, [palette.line("edge of land in the mask", palette.MASK_EDGE)])
    draw.draw_scale_bar(left, mask.grid)
    draw.draw_legend(left, list(classes.values()), columns=2)
    draw.draw_colorbar(right, ratio, label="share of days without a value")
    draw.draw_title(left, "Surface classes")
    draw.draw_title(right, "Missing share")
    draw.draw_heading(figure, "Surface mask", source)
    return _finish(figure, output_file, coast, dpi=dpi, show=show)


def compare(
    *,
    original_file: Path,
    consolidated_file: Path,
    date: datetime.date,
    output_file: Path | None = None,
    no_land: bool = False,
    coastlines: Choice = "auto",
    dpi: int = 300,
    show: bool = False,
) -> Report:
    """Draw a day as observed, the same day of a cube, and how its values came about.

    Parameters
    ----------
    original_file : Path
        Daily file.
    consolidated_file : Path
        Cube.
    date : datetime.date
        The day.
    output_file : Path, optional
        Picture to write; by default ``interpolation_comparison_YYYYMMDD.png`` in the
        working folder.
    no_land : bool
        Do not paint land: cells without a value stay visible there too.
    coastlines, dpi, show
        As for :func:`visualize`.

    Raises
    ------
    InputError
        If an input is missing or of the wrong kind, the cube does not hold the day, or
        the two lie on different grids.
    """
    original_file, consolidated_file = Path(original_file), Path(consolidated_file)
    output_file = output_file or Path(f"interpolation_comparison_{date:%Y%m%d}.png")
    _check_picture(output_file, dpi, original_file, consolidated_file)
    pair = read_pair(original_file, consolidated_file, date)
    coast = _coast(coastlines, pair.raw.grid, pair.raw.land)
    figure = _draw_pair(pair, coast, paint_land=not no_land)
    draw.draw_heading(
        figure,
        f"Sea ice concentration before and after filling, {date}",
        f"{original_file.name} · {consolidated_file.name} · {pair.raw.grid}",
    )
    report = _finish(figure, output_file, coast, dpi=dpi, show=show)
    report.lines += pair.findings()
    return report


def _draw_pair(pair: Pair, coast: _Coast, *, paint_land: bool) -> Figure:
    grid, land = pair.raw.grid, pair.raw.land if paint_land else None
    figure, (left, middle, right) = draw.polar_panels(
        grid, 3, height=6.0, right=2.6, bottom=1.0, top=1.15
    )
    draw.draw_concentration(left, pair.raw.concentration, grid, land)
    image = draw.draw_concentration(middle, pair.filled.concentration, grid, land)
    classes = pair.classes if paint_land else {**pair.classes, pair.land_code: palette.no_value("land")}
    draw.draw_classes(right, pair.flags, grid, classes)
    entries = _entries(classes)
    for ax, title in ((left, "As observed"), (middle, "Gaps filled"), (right, "How values came about")):
        _draw_coast(ax, pair.raw, coast, paint=False)
        draw.draw_title(ax, title)
    draw.draw_scale_bar(left, grid)
    known = [palette.LAND_SWATCH] if paint_land else []
    known.append(palette.no_value("not observed" if paint_land else "land or not observed"))
    hole = draw.draw_pole_hole(left, pair.raw.hole, grid)
    draw.draw_legend(left, [*known, hole] if hole else known)
    draw.draw_colorbar(middle, image, below=middle)
    draw.draw_legend(right, entries, side="right", title="share of ocean cells")
    return figure


def _entries(classes: Mapping[int, Swatch]) -> list[Swatch]:
    """The legend of classes; those shown by the same hatched grey share one entry."""
    entries = [swatch for swatch in classes.values() if not swatch.hatched]
    hatched = [swatch.label for swatch in classes.values() if swatch.hatched]
    if len(hatched) == 1:
        entries.append(palette.no_value(hatched[0]))
    elif hatched:  # land, and what was not filled; the report has the share
        entries.append(palette.no_value("land or not filled"))
    return entries


@dataclass(frozen=True)
class _Coast:
    """How coasts are drawn: Natural Earth, else the outline of the mask, else not."""

    natural: Coastlines | None
    outline: bool
    note: str | None


def _coast(choice: Choice, grid: Grid, land: np.ndarray | None) -> _Coast:
    if choice == "mask" and land is None:
        raise InputError(
            "--coastlines mask needs a land mask, which this file alone does not hold; "
            "give --land_mask_file"
        )
    natural, reason = coasts.find(choice, grid)
    outline = natural is None and choice != "none" and land is not None
    if natural is not None:
        return _Coast(natural, outline, f"coastlines: {natural.source}")
    drawn = "the outline of the land mask" if outline else "none"
    return _Coast(None, outline, f"coastlines: {drawn}, because {reason}" if reason else None)


def _draw_coast(ax: GeoAxes, day: Day | View, coast: _Coast, *, paint: bool) -> None:
    if coast.natural is not None:
        draw.draw_coastlines(ax, coast.natural, paint=paint)
    elif coast.outline and day.land is not None:
        draw.draw_outline(ax, day.land, day.grid)


def _draw_around(ax: GeoAxes, day: Day, coast: _Coast) -> list[Swatch]:
    """Draw coast and pole hole of a single map; return the entries of its legend."""
    painted = coast.natural is not None and bool(coast.natural.polygons)
    _draw_coast(ax, day, coast, paint=day.land is None)
    swatches = []
    if day.land is not None or painted:
        swatches.append(palette.LAND_SWATCH)
    missing = np.isnan(day.concentration)
    if day.land is not None:
        missing &= ~day.land
    if missing.any():
        told = day.land is not None or painted
        swatches.append(palette.no_value(day.missing if told else f"land or {day.missing}"))
    hole = draw.draw_pole_hole(ax, day.hole, day.grid)
    return [*swatches, hole] if hole else swatches


def _check_picture(output_file: Path, dpi: int, *inputs: Path | None) -> None:
    """Refuse before any work what could not be written after it."""
    if not 20 <= dpi <= 1200:
        raise InputError(f"expected 20 to 1200 dots per inch, found {dpi}")
    check_outputs([Output("output_file", output_file, "picture")], inputs, is_daily_file=DayFile.parse)


def _finish(figure: Figure, output_file: Path, coast: _Coast, *, dpi: int, show: bool) -> Report:
    output_file = Path(output_file)
    with atomic(output_file) as temporary:
        figure.savefig(temporary, dpi=dpi, format=output_file.suffix.lower().lstrip("."))
    lines = [f"picture: {output_file}"]
    if coast.note:
        lines.append(coast.note)
    report = Report(lines=lines, outputs=[output_file])
    if show:
        reason = _open_window(figure)
        if reason:
            report.failed.append(f"no window: {reason}; look at {output_file}")
    return report


def _open_window(figure: Figure) -> str | None:
    """Show a figure until its window is closed; the reason if there can be no window."""
    from matplotlib import pyplot
    from matplotlib.backends import BackendFilter, backend_registry

    try:
        backend = pyplot.get_backend()
        if backend.lower() not in backend_registry.list_builtin(BackendFilter.INTERACTIVE):
            return f"the drawing backend {backend} has none (is there a display?)"
        pyplot.figure(figure)
    except ImportError as error:
        return str(error)
    pyplot.show()
    pyplot.close(figure)
    return None
