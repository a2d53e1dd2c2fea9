"""Stages that draw maps: of a day, a gridded field, a mask, and a day before and after filling."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.daily.source import is_daily_name
from seaice.drawing import draw, palette
from seaice.drawing.coastlines import Choice, Coastlines, find_coastlines
from seaice.drawing.palette import Swatch
from seaice.drawing.source import describe_source
from seaice.fields.stack import find_concentration
from seaice.grids import Grid
from seaice.open_file.address import Place, locate
from seaice.pictures.field_map import (
    EXTENTS,
    Extent,
    MapView,
    crop_to_data,
    cut_field,
    draw_field_classes,
    draw_field_values,
    make_field_figure,
)
from seaice.pictures.foreign_field import read_foreign_field
from seaice.pictures.read_concentration import (
    DayComparison,
    MapDay,
    read_comparison,
    read_map_day,
    read_surface,
    recognise_kind,
)
from seaice.pictures.read_field import MapField, is_own_grid, read_field
from seaice.pictures.study_area import StudyArea
from seaice.report import Report
from seaice.runtime.atomic_write import atomic
from seaice.runtime.output_checks import (
    Output,
    check_outputs,
)
from seaice.sources.bremen.reader import read_attributes

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
    bbox: Sequence[float] | None = None,
    bounds: Sequence[float] | None = None,
    region: str | None = None,
    title: str | None = None,
    dpi: int = 300,
    show: bool = False,
) -> Report:
    """Draw a map of a file; its content decides what kind of map.

    Parameters
    ----------
    input_file : Path
        A daily file of any format, a cube, a mask, or a gridded file such as freeboard or
        brightness temperature; or the address of a Zarr group.
    output_file : Path, optional
        Picture to write; by default named after the input file, in the working folder.
    date : datetime.date, optional
        Day of a cube, or a day within a time step; needed if the file has several.
    variable : str, optional
        Variable to draw instead of the main one of the file.
    land_mask_file : Path, optional
        Mask that tells land from missing cells in a daily file, and shows land in other maps.
    coastlines : {"auto", "natural_earth", "mask", "none"}
        Source of the coastlines; see :func:`seaice.drawing.coastlines.find_coastlines`.
    ice_edge : float, optional
        Concentration, percent, along which a line is drawn.
    extent : {"data", "grid"}, optional
        Part of the grid that the map of a gridded file shows; see
        :func:`seaice.pictures.field_map.crop_to_data`.
    vmin, vmax : float, optional
        First and last value of the colours, percent for a concentration; see
        :func:`seaice.pictures.colour_scale.choose_scale`.
    bbox, bounds, region
        Study area; see :class:`seaice.pictures.study_area.StudyArea`. By default the whole map.
    title : str, optional
        Title, instead of the name of what is drawn and its day.
    dpi : int
        Dots per inch of the picture.
    show : bool
        Whether to open a window too.

    Raises
    ------
    InputError
        If the input is missing or cannot be drawn, does not hold the day or the variable, or an
        option does not fit it.
    """
    source = locate(input_file)
    # The default name depends on the content, but its folder and ending are known now.
    _check_picture(output_file or Path("map.png"), dpi, source, land_mask_file)
    kind = recognise_kind(source)
    common: dict[str, Any] = {"coastlines": coastlines, "dpi": dpi, "show": show}
    area = StudyArea(bbox=bbox, bounds=bounds, region=region)
    limits = {"vmin": vmin, "vmax": vmax}
    if kind == "gridded" and ice_edge is not None and variable is None:
        kind = "gridded" if find_concentration(source) is None else "cube"
    if kind == "gridded" or variable not in (None, "sea_ice_conc"):
        _refuse_options("gridded statistics", ice_edge=ice_edge)
        read = read_field if is_own_grid(source, variable) else read_foreign_field
        field = read(source, variable, date, land_mask_file)
        if area.is_set:
            _refuse_options("a study area", extent=extent)
            field = cut_field(field, *area.find_cells(field.grid))
            extent = "grid"
        options = {"extent": extent, "title": title, **limits}
        return _visualize_field(field, source, output_file, options, **common)
    if kind == "mask":
        needless = {"date": date, "land_mask_file": land_mask_file, "ice_edge": ice_edge}
        area_options = {
            "bbox": bbox,
            "bounds": bounds,
            "region": region,
            "title": title,
            "extent": extent,
        }
        _refuse_options("a mask", variable=variable, **needless, **limits, **area_options)
        return visualize_mask(input_file=input_file, output_file=output_file, **common)
    _refuse_options("a concentration, drawn on its whole grid or a study area", extent=extent)
    colours = (0.0 if vmin is None else vmin, 100.0 if vmax is None else vmax)
    if not colours[0] < colours[1]:
        raise InputError(
            f"expected --vmin below --vmax, found {colours[0]:g} to {colours[1]:g}; change one"
        )
    day = read_map_day(source, date, land_mask_file)
    day = day.cut(*area.find_cells(day.grid)) if area.is_set else day
    choices = {"ice_edge": ice_edge, "limits": colours, "title": title}
    return _visualize_day(day, source, output_file, choices, **common)


def _refuse_options(kind: str, **options: object) -> None:
    """Raise InputError if an option is set that a kind of map does not have."""
    for name, value in options.items():
        if value is not None:
            raise InputError(f"--{name} does not fit {kind}; leave it out")


def _visualize_day(
    day: MapDay,
    input_file: Place,
    output_file: Path | None,
    options: Mapping[str, Any],
    *,
    coastlines: Choice,
    dpi: int,
    show: bool,
) -> Report:
    if output_file is None:
        stamp = "" if day.date is None else f"{day.date:%Y%m%d}"
        output_file = _make_default_name(input_file, stamp)
    coast = _choose_coast(coastlines, day.grid, day.land)
    figure, ax = draw.make_map_figure(day.grid)
    image = draw.draw_concentration(ax, day.concentration, day.grid, day.land, limits=options["limits"])
    swatches = _draw_coast_and_hole(ax, day, coast)
    if options["ice_edge"] is not None:
        swatches.append(draw.draw_ice_edge(ax, day.concentration, day.grid, level=options["ice_edge"]))
    draw.draw_scale_bar(ax, day.grid)
    draw.draw_colorbar(ax, image)
    draw.draw_legend(ax, swatches)
    name = f"Sea ice concentration, {day.date or input_file.name}"
    if options["title"] is None:
        draw.draw_title(ax, name, day.source)
    else:
        draw.draw_title(ax, options["title"], f"{name}\n{day.source}")
    return _save(figure, output_file, coast, dpi=dpi, show=show)


def _make_default_name(input_file: Place, *stamps: str) -> Path:
    """Make the name of a picture from that of the input file and stamps that it does not contain."""
    parts = [input_file.stem]
    parts += [stamp for stamp in stamps if stamp and stamp not in input_file.stem]
    return Path(f"{'_'.join(parts)}.png")


def _visualize_field(
    field: MapField,
    input_file: Place,
    output_file: Path | None,
    options: Mapping[str, Any],
    *,
    coastlines: Choice,
    dpi: int,
    show: bool,
) -> Report:
    if output_file is None:
        output_file = _make_default_name(input_file, "" if field.is_main else field.name, field.stamp)
    if options["extent"] not in (None, *EXTENTS):
        raise InputError(
            f"expected --extent {' or '.join(EXTENTS)}, found {options['extent']!r}; change it"
        )
    limits = {"vmin": options["vmin"], "vmax": options["vmax"]}
    view = crop_to_data(field, options["extent"])
    coast = _choose_coast(coastlines, view.grid, view.land)
    figure, ax = make_field_figure(view, title=options["title"])
    if field.flags is None:
        swatches, description = draw_field_values(ax, view, **limits)
    else:
        _refuse_options(f"the classes of {field.name}", **limits)
        swatches, description = draw_field_classes(ax, view)
    _draw_coast(ax, view, coast, paint=view.land is None)
    shows_land = view.land is not None or coast.has_polygons
    if shows_land and palette.LAND not in {swatch.colour for swatch in swatches}:
        swatches.insert(0, palette.LAND_SWATCH)
    draw.draw_scale_bar(ax, view.grid)
    draw.draw_legend(ax, swatches)
    report = _save(figure, output_file, coast, dpi=dpi, show=show)
    report.lines += [*description, *field.notes]
    return report


def visualize_mask(
    *,
    input_file: Path,
    output_file: Path | None = None,
    coastlines: Choice = "auto",
    dpi: int = 300,
    show: bool = False,
) -> Report:
    """Draw the surface classes of a mask, and beside them the share of missing days.

    Parameters
    ----------
    input_file : Path
        Mask of ``create_mask.py``.
    coastlines : {"auto", "natural_earth", "none"}
        Coastlines to compare the mask with.
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
    coast = _choose_coast(coastlines, mask.grid, None)
    figure, (left, right) = draw.make_map_panels(mask.grid, 2, height=6.5, top=1.15)
    draw.draw_classes(left, mask.surface, mask.grid, classes)
    ratio = draw.draw_ratio(right, mask.nan_ratio, mask.grid)
    if coast.lines is not None:
        # A thin line, so that the class of coast cells can be seen.
        draw.draw_coastlines(left, coast.lines, paint=False, width=0.2)
    draw.draw_outline(right, mask.land, mask.grid, colour=palette.MASK_EDGE)
    draw.draw_legend(right, [palette.make_line_swatch("edge of land in the mask", palette.MASK_EDGE)])
    draw.draw_scale_bar(left, mask.grid)
    draw.draw_legend(left, list(classes.values()), columns=2)
    draw.draw_colorbar(right, ratio, label="share of days without a value")
    draw.draw_title(left, "Surface classes")
    draw.draw_title(right, "Missing share")
    draw.draw_heading(figure, "Surface mask", source)
    return _save(figure, output_file, coast, dpi=dpi, show=show)


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
    """Draw three maps of a day: as observed, as in a cube, and the flags of the cube.

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
        Whether to draw land like any other cell without a value.
    coastlines, dpi, show
        As for :func:`visualize`.

    Raises
    ------
    InputError
        If an input is missing or of another kind, the cube lacks the day, or the two lie on
        different grids.
    """
    original_file, cube = Path(original_file), locate(consolidated_file)
    output_file = output_file or Path(f"interpolation_comparison_{date:%Y%m%d}.png")
    _check_picture(output_file, dpi, original_file, cube)
    comparison = read_comparison(original_file, cube, date)
    coast = _choose_coast(coastlines, comparison.raw.grid, comparison.raw.land)
    figure = _draw_comparison(comparison, coast, paint_land=not no_land)
    draw.draw_heading(
        figure,
        f"Sea ice concentration before and after filling, {date}",
        describe_source(
            read_attributes(original_file),
            f"{original_file.name} · {cube.name} · {comparison.raw.grid}",
        ),
    )
    report = _save(figure, output_file, coast, dpi=dpi, show=show)
    report.lines += comparison.describe()
    return report


def _draw_comparison(comparison: DayComparison, coast: _Coast, *, paint_land: bool) -> Figure:
    raw, filled = comparison.raw, comparison.filled
    grid, land = raw.grid, raw.land if paint_land else None
    figure, (left, middle, right) = draw.make_map_panels(
        grid, 3, height=6.0, right=2.6, bottom=1.0, top=1.15
    )
    draw.draw_concentration(left, raw.concentration, grid, land)
    image = draw.draw_concentration(middle, filled.concentration, grid, land)
    classes = dict(comparison.classes)
    if not paint_land:
        classes[comparison.land_code] = palette.make_no_value_swatch("land")
    draw.draw_classes(right, comparison.flags, grid, classes)
    for ax, title in ((left, "As observed"), (middle, "Gaps filled"), (right, "How values came about")):
        _draw_coast(ax, raw, coast, paint=False)
        draw.draw_title(ax, title)
        water = draw.draw_water(ax, raw.surface, grid) if paint_land else []
    draw.draw_scale_bar(left, grid)
    swatches = [palette.LAND_SWATCH, *water] if paint_land else []
    missing = "not observed" if paint_land else "land or not observed"
    swatches.append(palette.make_no_value_swatch(missing))
    hole = draw.draw_pole_hole(left, raw.hole, grid)
    draw.draw_legend(left, [*swatches, hole] if hole else swatches)
    draw.draw_colorbar(middle, image, below=middle)
    draw.draw_legend(right, _join_hatched(classes), side="right", title="share of ocean cells")
    return figure


def _join_hatched(classes: Mapping[int, Swatch]) -> list[Swatch]:
    """List the legend entries of classes; those in the same hatched grey become one entry."""
    swatches = [swatch for swatch in classes.values() if not swatch.hatched]
    hatched = [swatch.label for swatch in classes.values() if swatch.hatched]
    if len(hatched) == 1:
        swatches.append(palette.make_no_value_swatch(hatched[0]))
    elif hatched:  # land and cells that were not filled; the report has their shares
        swatches.append(palette.make_no_value_swatch("land or not filled"))
    return swatches


@dataclass(frozen=True)
class _Coast:
    """Coast of a map: coastlines, the outline of the mask, or none; and a line for the report."""

    lines: Coastlines | None
    draw_outline: bool
    note: str | None

    @property
    def has_polygons(self) -> bool:
        """Whether there are land areas to fill."""
        return self.lines is not None and bool(self.lines.polygons)


def _choose_coast(choice: Choice, grid: Grid, land: np.ndarray | None) -> _Coast:
    """Choose how the coast is drawn; InputError if the choice needs a mask that there is not."""
    if choice == "mask" and land is None:
        raise InputError(
            "--coastlines mask needs a land mask, which this file alone does not hold; "
            "give --land_mask_file"
        )
    lines, reason = find_coastlines(choice, grid)
    if lines is not None:
        return _Coast(lines, False, f"coastlines: {lines.source}")
    draw_outline = choice != "none" and land is not None
    coast = "the outline of the land mask" if draw_outline else "none"
    return _Coast(None, draw_outline, f"coastlines: {coast}, because {reason}" if reason else None)


def _draw_coast(ax: GeoAxes, day: MapDay | MapView, coast: _Coast, *, paint: bool) -> None:
    if coast.lines is not None:
        draw.draw_coastlines(ax, coast.lines, paint=paint)
    elif coast.draw_outline and day.land is not None:
        draw.draw_outline(ax, day.land, day.grid)


def _draw_coast_and_hole(ax: GeoAxes, day: MapDay, coast: _Coast) -> list[Swatch]:
    """Draw coast and pole hole of a single map; return the entries of its legend."""
    _draw_coast(ax, day, coast, paint=day.land is None)
    shows_land = day.land is not None or coast.has_polygons
    swatches = []
    if shows_land:
        swatches.append(palette.LAND_SWATCH)
    if day.land is not None:
        swatches += draw.draw_water(ax, day.surface, day.grid)
    missing = np.isnan(day.concentration)
    if day.land is not None:
        missing &= ~day.land
    if missing.any():
        label = day.missing if shows_land else f"land or {day.missing}"
        swatches.append(palette.make_no_value_swatch(label))
    hole = draw.draw_pole_hole(ax, day.hole, day.grid)
    return [*swatches, hole] if hole else swatches


def _check_picture(output_file: Path, dpi: int, *inputs: Place | None) -> None:
    """Raise InputError, before any work, if the picture could not be written."""
    if not 20 <= dpi <= 1200:
        raise InputError(f"expected 20 to 1200 dots per inch, found {dpi}")
    files = [path for path in inputs if isinstance(path, Path)]
    check_outputs([Output("output_file", output_file, "picture")], files, is_daily_file=is_daily_name)


def _save(figure: Figure, output_file: Path, coast: _Coast, *, dpi: int, show: bool) -> Report:
    """Save a figure, open a window if asked for, and return the report."""
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
    """Show a figure until its window is closed; return the reason if there can be no window."""
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
