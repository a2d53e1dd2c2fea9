"""Series of daily sea ice extent and area, written as CSV, NetCDF or a picture."""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import cf
from seaice.dates import day_number
from seaice.drawing.decorations import write_plain_text
from seaice.ice_index.interval import LEVEL
from seaice.report import format_count
from seaice.runtime.atomic_write import atomic

if TYPE_CHECKING:
    import netCDF4
    from matplotlib.axes import Axes

MILLION = 1e6
# Characters of the note below a picture on an inch of its width.
_NOTE_CHARACTERS = 17

# Name, units and attributes of each series; the order is that of the columns of the CSV.
COLUMNS: dict[str, tuple[str, dict[str, str]]] = {
    "extent": (
        "km2",
        {
            "standard_name": "sea_ice_extent",
            "long_name": "area of the cells covered by sea ice",
            "ancillary_variables": "extent_low extent_high",
        },
    ),
    "area": (
        "km2",
        {
            "standard_name": "sea_ice_area",
            "long_name": "area of the sea ice",
            "ancillary_variables": "area_low area_high",
        },
    ),
    "missing_area": (
        "km2",
        {"long_name": "area of the ocean cells without a value, neither ice nor water"},
    ),
    "pole_hole_as_ice": (
        "km2",
        {"long_name": "area that the extent takes for ice because it lies in the pole hole"},
    ),
    "filled_share": (
        "1",
        {"long_name": "share of the extent in cells that were not observed on the day"},
    ),
    "extent_low": ("km2", {"long_name": "lower end of the 95 percent interval of the extent"}),
    "extent_high": ("km2", {"long_name": "upper end of the 95 percent interval of the extent"}),
    "area_low": ("km2", {"long_name": "lower end of the 95 percent interval of the area"}),
    "area_high": ("km2", {"long_name": "upper end of the 95 percent interval of the area"}),
}


@dataclass(frozen=True)
class IndexSeries:
    """Daily extent and area by region.

    Attributes
    ----------
    dates : list of date
    regions : list of str
    extent, area, missing_area, pole_hole_as_ice : ndarray of float64, shape (days, regions)
        km2; extent and area are NaN where a region has no value at all on a day.
    filled_share : ndarray of float64, shape (days, regions)
        Share of the extent in cells that were not observed, 0..1.
    extent_low, extent_high, area_low, area_high : ndarray of float64, shape (days, regions)
        Ends of the 95 percent intervals that the expected errors of filled cells make, km2; equal
        to the value where all was observed, NaN where a cube has filled cells and no errors.
    threshold : float
        Concentration from which a cell is ice-covered, fraction.
    pole_hole, pole_hole_rule : str
        Name of the convention for the pole hole, and its meaning as a sentence.
    source, references : str
        Names of the cube and of other sources, and the publications to cite.
    is_simulated : bool
        Whether the cube says that its data are simulated.
    surface_rule : str
        Which cells count, as a sentence; empty where a source does not tell it.
    """

    dates: list[date]
    regions: list[str]
    extent: np.ndarray
    area: np.ndarray
    missing_area: np.ndarray
    pole_hole_as_ice: np.ndarray
    filled_share: np.ndarray
    extent_low: np.ndarray
    extent_high: np.ndarray
    area_low: np.ndarray
    area_high: np.ndarray
    threshold: float
    pole_hole: str
    pole_hole_rule: str
    source: str
    references: str
    is_simulated: bool = False
    surface_rule: str = ""

    def describe_convention(self) -> str:
        """Return threshold, pole hole and counted cells in one line, for outputs."""
        parts = [f"ice-covered from {100 * self.threshold:g} percent", self.pole_hole_rule]
        return "; ".join(part for part in (*parts, self.surface_rule) if part)

    def summarise(self) -> list[str]:
        """Lines for a report: the range of the extent by region, and the share of filled values."""
        lines = [
            f"{len(self.dates)} days, {self.dates[0]} to {self.dates[-1]}; {self.describe_convention()}"
        ]
        for number, name in enumerate(self.regions):
            extent = self.extent[:, number]
            days_with_value = np.flatnonzero(~np.isnan(extent))
            if not days_with_value.size:
                lines.append(f"{name}: no value on any day")
                continue
            low = days_with_value[np.argmin(extent[days_with_value])]
            high = days_with_value[np.argmax(extent[days_with_value])]
            text = (
                f"{name}: extent {extent[low] / MILLION:.3f} ({self.dates[low]}) to "
                f"{extent[high] / MILLION:.3f} ({self.dates[high]}) million km2"
            )
            area, missing = self.area[days_with_value, number], self.missing_area[:, number]
            if np.isfinite(area).any():
                text += f", mean area {np.nanmean(area) / MILLION:.3f}"
            if np.isfinite(missing).any():
                text += f", missing at most {np.nanmax(missing) / MILLION:.3f}"
            share = self.filled_share[days_with_value, number]
            if np.isfinite(share).any():
                text += f"; filled values carry {100 * np.nanmean(share):.1f} percent of the extent"
            text += self._describe_interval(days_with_value, number)
            empty = len(self.dates) - days_with_value.size
            if empty:
                text += f"; {format_count(empty, 'day')} without any value"
            lines.append(text)
        return lines

    def _describe_interval(self, days: np.ndarray, region: int) -> str:
        """The day whose extent is least certain, as the end of a sentence; empty if all are certain."""
        width = (self.extent_high - self.extent_low)[days, region]
        # Published series have neither: only a cube tells what was filled.
        is_of_cube = ~np.isnan(self.filled_share[days, region]) | (self.extent[days, region] == 0)
        unbounded = int((np.isnan(width) & is_of_cube).sum())
        if unbounded:
            return (
                f"; {format_count(unbounded, 'filled day')} without an interval: the cube has no "
                "expected errors"
            )
        widest = int(np.nan_to_num(width).argmax())
        if not width[widest] > 0:
            return ""
        return (
            f"; the widest 95 percent interval is that of {self.dates[days[widest]]}, "
            f"{self.extent_low[days[widest], region] / MILLION:.3f} to "
            f"{self.extent_high[days[widest], region] / MILLION:.3f}"
        )


def name_column(name: str) -> str:
    """Column of a table for one of :data:`COLUMNS`, with its unit."""
    return f"{name}_{COLUMNS[name][0]}".removesuffix("_1")


def write_csv(series: IndexSeries, path: Path) -> None:
    """Write one row a day and region; a field is empty where there is no value."""
    header = ["date", "region", *map(name_column, COLUMNS)]
    with (
        atomic(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*header, "threshold", "pole_hole_rule", "surface_rule"])
        for i, day in enumerate(series.dates):
            for j, region in enumerate(series.regions):
                values = [
                    format_number(getattr(series, name)[i, j], ".1f" if unit == "km2" else ".5f")
                    for name, (unit, _) in COLUMNS.items()
                ]
                rules = f"{series.threshold:g}", series.pole_hole_rule, series.surface_rule
                writer.writerow([day, region, *values, *rules])


def format_number(value: float, form: str = ".1f") -> str:
    """Format a number of a table; NaN is an empty field.

    Examples
    --------
    >>> format_number(2.25, ".2f"), format_number(float("nan"))
    ('2.25', '')
    """
    return "" if np.isnan(value) else format(float(value), form)


def write_netcdf(
    series: IndexSeries, path: Path, *, add: Callable[[netCDF4.Dataset], None] | None = None
) -> None:
    """Write a CF time series with the dimensions time and region.

    Parameters
    ----------
    series : IndexSeries
    path : Path
    add : callable, optional
        Adds variables to the open file.
    """
    import netCDF4

    with atomic(path, checksum=True) as temporary, netCDF4.Dataset(temporary, "w") as dataset:
        numbers = np.array([day_number(day) for day in series.dates], dtype=np.int32)
        cf.write_time(dataset, numbers)
        dataset.createDimension("region", len(series.regions))
        names = dataset.createVariable("region_name", str, ("region",))
        names.long_name = "name of the region"
        names[:] = np.array(series.regions, dtype=object)
        threshold = dataset.createVariable("threshold", "f8", ())
        threshold.setncatts(
            {
                "standard_name": "sea_ice_area_fraction",
                "long_name": "concentration from which a cell is ice-covered",
                "units": "1",
            }
        )
        threshold[...] = series.threshold
        for name, (unit, attributes) in COLUMNS.items():
            stored = attributes.get("standard_name", name)
            variable = dataset.createVariable(stored, "f8", ("time", "region"), fill_value=np.nan)
            variable.setncatts(
                {
                    **attributes,
                    "units": unit,
                    "coordinates": "region_name threshold",
                    "comment": series.pole_hole_rule,
                }
            )
            variable[:] = getattr(series, name)
        dataset.setncatts(_describe_file(series))
        if add is not None:
            add(dataset)


def _describe_file(series: IndexSeries) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "input_file": series.source,
        "threshold": series.threshold,
        "pole_hole": series.pole_hole,
    }
    described = cf.describe_file(
        title="Daily sea ice extent and area",
        summary="Sums over true cell areas. A cell without a value counts neither as ice nor as "
        f"water: see missing_area. Convention: {series.describe_convention()}.",
        source=f"{'simulated ' * series.is_simulated}sea ice concentration of {series.source}",
        stage="ice_index",
        parameters=parameters,
        references=series.references,
    )
    return {**described, "surface_rule": series.surface_rule}


@write_plain_text()
def draw_series(series: IndexSeries, path: Path, *, most_columns: int = 4) -> None:
    """Draw extent and area of every region against time, and save the picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(series.regions)
    columns = min(most_columns, 1 if count == 1 else 2 if count < 5 else 3 if count < 10 else 4)
    rows = -(-count // columns)
    size = (8.5, 4.8) if count == 1 else (3.4 * columns + 0.6, 2.2 * rows + 1.3)
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for number, ax in enumerate(panels.flat):
        if number < count:
            _draw_region(ax, series, number, small=count > 1)
            ax.tick_params(labelbottom=number + columns >= count)  # the last panel of its column
            if number % columns == 0:
                ax.set_ylabel("million km²", fontsize=7 if count > 1 else 9)
        else:
            ax.set_axis_off()
    first, last = series.dates[0], series.dates[-1]
    period = str(first) if first == last else f"{first} to {last}"
    figure.suptitle(f"Sea ice extent and area, {period}", fontsize=12)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    note = f"ice-covered from {100 * series.threshold:g} %; {series.pole_hole_rule}; {series.source}"
    note += "; simulated data" * series.is_simulated
    note = textwrap.fill(note, int(_NOTE_CHARACTERS * size[0]))
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8,
                  frameon=False, title=note, title_fontsize=7)  # fmt: skip
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150, format=path.suffix.lower().lstrip("."))


def _draw_region(ax: Axes, series: IndexSeries, number: int, *, small: bool) -> None:
    import matplotlib.dates as mdates

    days = np.array(series.dates, dtype="datetime64[D]")
    extent, area, missing = (
        getattr(series, name)[:, number] / MILLION for name in ("extent", "area", "missing_area")
    )
    alone = len(days) == 1
    marker = "o" if alone else None
    if np.nanmax(missing[np.isfinite(extent)], initial=0) > 0:
        label = "extent if every missing cell were ice"
        if alone:
            ax.vlines(days, extent, extent + missing, color="#c9c9c9", linewidth=6, label=label)
        else:
            ax.fill_between(days, extent, extent + missing, color="#c9c9c9", linewidth=0, label=label)
    _shade_filled_days(ax, days, series.filled_share[:, number])
    _draw_intervals(ax, days, series, number)
    ax.plot(days, extent, color="#14304f", linewidth=1.5, marker=marker, label="extent")
    ax.plot(days, area, color="#3f8fc5", linewidth=1.5, marker=marker, label="area")
    ax.set_title(series.regions[number], fontsize=8 if small else 10)
    if alone:  # a locator would mark hours, and the two values fill the height
        ax.set_xticks(days, [str(days[0])])
        ax.set_xlim(days[0] - np.timedelta64(1, "D"), days[0] + np.timedelta64(1, "D"))
        ax.set_ylim(0, max(1.15 * float(np.nan_to_num(extent + missing)[0]), 0.001))
    else:
        locator = mdates.AutoDateLocator(minticks=2, maxticks=4 if small else 8)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
        ax.margins(x=0.01)
    ax.tick_params(labelsize=7 if small else 9)
    ax.grid(color="#e4e4e4", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)


def _draw_intervals(ax: Axes, days: np.ndarray, series: IndexSeries, number: int) -> None:
    """Draw the intervals of filled days as bands behind the lines."""
    label = f"{100 * LEVEL:.0f} % interval where filled"
    for name, colour in (("extent", "#9fb3cb"), ("area", "#a9d0ec")):
        low, high = (getattr(series, f"{name}_{end}")[:, number] / MILLION for end in ("low", "high"))
        if not np.nanmax((high - low)[np.isfinite(high)], initial=0) > 0:
            continue
        drawn = (
            ax.vlines(days, low, high, color=colour, linewidth=3)
            if len(days) == 1
            else ax.fill_between(days, low, high, color=colour, linewidth=0)
        )
        if name == "extent":
            drawn.set_label(label)


def _shade_filled_days(ax: Axes, days: np.ndarray, filled_share: np.ndarray) -> None:
    """Mark the days of which most of the extent rests on values that were not observed."""
    half_a_day = np.timedelta64(12, "h")
    label: str | None = "days mostly filled"
    for day in days[np.nan_to_num(filled_share) > 0.5]:
        middle = day.astype("datetime64[h]")
        ax.axvspan(middle - half_a_day, middle + half_a_day, color="#f3ead8", linewidth=0, label=label)
        label = None  # one entry in the legend
