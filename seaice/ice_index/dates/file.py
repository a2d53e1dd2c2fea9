"""Writing of dates, ice-free days, mean concentration and trends as CF NetCDF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import cf
from seaice.cf import Variable
from seaice.dates import day_number
from seaice.flags import flag_attributes
from seaice.grids import Grid
from seaice.ice_index.dates.events import EVENTS, NO_DAY, DateRule, DateStatus
from seaice.ice_index.dates.ice_year import IceYear
from seaice.ice_index.dates.season_state import SeasonState
from seaice.ice_index.dates.trend import LEAST_YEARS, SIGNIFICANCE, Trend, compute_trend
from seaice.runtime.atomic_write import atomic

if TYPE_CHECKING:
    import netCDF4

_MAPS, _MAP = ("time", "y", "x"), ("y", "x")
ICE_FREE, MEAN = "ice_free_days", "sea_ice_conc_mean"
_COUNTING = "1 is 1 January of the year in which the ice year starts (time), 366 or 367 the one after"
_INTERVAL = (
    "95 percent interval from the expected errors of filled values; a missing value may be anything. "
    "The first or last day of its part of the ice year also stands for no such day. No width where all "
    "days that matter were observed"
)


# Variables of which there are trends, and the unit of a change in ten years.
TREND_UNITS: dict[str, str] = {
    **dict.fromkeys((event.variable for event in EVENTS.values()), "day/(10 year)"),
    ICE_FREE: "day/(10 year)",
    MEAN: "percent/(10 year)",
}


def describe_dates(name: str, rule: DateRule) -> list[Variable]:
    """Describe the variables of an event: its day, the two ends of its interval, and its status."""
    event = EVENTS[name]
    day, words = event.variable, event.title[0].lower() + event.title[1:]
    parts = [f"{day}_{part}" for part in ("earliest", "latest", "status")]
    definition = event.define(rule.threshold, rule.closed_threshold, rule.run_days)
    plain = {"units": "1", "comment": f"{definition}; {_COUNTING}"}
    return [
        Variable(
            day,
            _MAPS,
            "i2",
            {"long_name": words, **plain, "ancillary_variables": " ".join(parts)},
            NO_DAY,
        ),
        *(
            Variable(
                part,
                _MAPS,
                "i2",
                {"long_name": f"{words}, {end} possible", "units": "1", "comment": _INTERVAL},
                NO_DAY,
            )
            for part, end in zip(parts[:2], ("earliest", "latest"), strict=True)
        ),
        Variable(
            parts[2],
            _MAPS,
            "u1",
            {
                "standard_name": "status_flag",
                "long_name": f"status of the {words}",
                **flag_attributes(DateStatus),
            },
        ),
    ]


def _describe_counts(rule: DateRule, year_label: str) -> list[Variable]:
    parts = [f"{ICE_FREE}_{part}" for part in ("fewest", "most")]
    below = f"days of the ice year with less than {100 * rule.threshold:g} percent ice"
    names = [
        (ICE_FREE, f"number of {below}", {"ancillary_variables": " ".join(parts)}),
        (parts[0], f"least possible number of {below}", {"comment": _INTERVAL}),
        (parts[1], f"largest possible number of {below}", {"comment": _INTERVAL}),
    ]
    counts = [
        Variable(name, _MAPS, "i2", {"long_name": text, "units": "1", **more}, NO_DAY)
        for name, text, more in names
    ]
    mean = {
        "standard_name": "sea_ice_area_fraction",
        "long_name": f"mean sea ice concentration, {year_label}",
        "units": "1",
        "cell_methods": "time: mean",
        "scale_factor": np.float32(cf.CONCENTRATION_SCALE),
        "valid_range": np.array([0, 10000], np.int16),
    }
    return [*counts, Variable(MEAN, _MAPS, "i2", mean, cf.CONCENTRATION_FILL)]


def name_months(months: Sequence[int]) -> str:
    """Name the months of a mean.

    Examples
    --------
    >>> name_months((9,)), name_months(())
    ('September', 'ice year')
    """
    import calendar

    return ", ".join(calendar.month_name[month] for month in months) or "ice year"


class DatesWriter:
    """Writes one ice year after the other into an open file, and then the trends.

    Parameters
    ----------
    dataset : netCDF4.Dataset
        With grid and time.
    grid : Grid
    cells : ndarray of int64, shape (cells,)
        Flat numbers of the cells that are followed.
    rule : DateRule
    """

    def __init__(self, dataset: netCDF4.Dataset, grid: Grid, cells: np.ndarray, rule: DateRule) -> None:
        self._dataset, self._grid, self._cells = dataset, grid, cells
        described = [part for name in EVENTS for part in describe_dates(name, rule)]
        described += _describe_counts(rule, name_months(rule.months))
        self._variables = {row.name: cf.define_variable(dataset, row) for row in described}

    def write_year(self, number: int, state: SeasonState) -> None:
        """Write the ice year at a position of the time axis."""
        for name, event in EVENTS.items():
            dates = state.find_dates(name)
            day = event.variable
            names = (day, f"{day}_earliest", f"{day}_latest", f"{day}_status")
            for part, values in zip(names, dates, strict=True):
                self._put(part, number, values, DateStatus.LAND if values is dates.status else NO_DAY)
        counts = state.count_ice_free_days()
        for part, values in zip(("", "_fewest", "_most"), counts, strict=True):
            self._put(f"{ICE_FREE}{part}", number, values, NO_DAY)
        mean = state.average() / np.float32(cf.CONCENTRATION_SCALE)
        packed = np.where(np.isnan(mean), cf.CONCENTRATION_FILL, np.rint(np.nan_to_num(mean)))
        self._put(MEAN, number, packed.astype(np.int16), cf.CONCENTRATION_FILL)

    def _put(self, name: str, number: int, values: np.ndarray, elsewhere: int) -> None:
        field = np.full(self._grid.shape, elsewhere, values.dtype)
        field.reshape(-1)[self._cells] = values
        self._variables[name][number] = field

    def read(self, name: str, number: int) -> np.ndarray:
        """Read a map that was written: float32 with NaN for missing, or the codes of a status."""
        return self._unpack(name, self._variables[name][number])

    def _unpack(self, name: str, stored: np.ndarray) -> np.ndarray:
        if name.endswith("_status"):
            return stored
        scale = np.float32(100 * cf.CONCENTRATION_SCALE if name == MEAN else 1)
        missing = cf.CONCENTRATION_FILL if name == MEAN else NO_DAY
        return np.where(stored == missing, np.float32(np.nan), stored * scale).astype(np.float32)

    def write_trends(self, years: np.ndarray) -> None:
        """Write the trend of every quantity over the ice years, int (years,)."""
        for name, units in TREND_UNITS.items():
            long_name = self._variables[name].long_name
            rows = [
                Variable(
                    f"{name}_trend",
                    _MAP,
                    "f4",
                    {
                        "long_name": f"trend of {long_name}",
                        "units": units,
                        "ancillary_variables": f"{name}_trend_p_value {name}_trend_years",
                        "comment": f"least squares; NaN with fewer than {LEAST_YEARS} years",
                    },
                    np.nan,
                ),
                Variable(
                    f"{name}_trend_p_value",
                    _MAP,
                    "f4",
                    {
                        "long_name": f"p-value of the trend of {long_name}",
                        "units": "1",
                        "comment": "effective number of years from the correlation of residuals from "
                        f"year to year; significant below {SIGNIFICANCE:g}",
                    },
                    np.nan,
                ),
                Variable(
                    f"{name}_trend_years",
                    _MAP,
                    "i2",
                    {"long_name": f"number of ice years with {long_name}", "units": "1"},
                ),
            ]
            variables = [cf.define_variable(self._dataset, row) for row in rows]
            for band, trend in self._compute_bands(name, years):
                for variable, values in zip(variables, trend, strict=True):
                    variable[band] = values

    def _compute_bands(self, name: str, years: np.ndarray) -> Iterator[tuple[slice, Trend]]:
        """Trends of bands of rows, arrays (rows, columns)."""
        rows, columns = self._grid.shape
        depth = cf.choose_chunk_shape(self._grid.shape)[0]
        for begin in range(0, rows, depth):
            band = slice(begin, min(rows, begin + depth))
            values = self._unpack(name, self._variables[name][:, band])
            trend = compute_trend(values.reshape(len(years), -1), years)
            yield band, Trend(*(part.reshape(-1, columns) for part in trend))

    def read_trend(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Read the slopes and p-values of a quantity, float32 (rows, columns)."""
        slope, p_value = (
            np.asarray(self._dataset[f"{name}_{part}"][:]) for part in ("trend", "trend_p_value")
        )
        return slope, p_value


@contextmanager
def open_dates_file(
    path: Path,
    *,
    grid: Grid,
    years: Sequence[IceYear],
    cells: np.ndarray,
    rule: DateRule,
    attributes: Mapping[str, Any],
) -> Iterator[DatesWriter]:
    """Open a file for the dates of ice years; it is there when the context ends without an error."""
    import netCDF4

    with (
        atomic(path, kind=cf.KINDS["ice_dates"]) as temporary,
        netCDF4.Dataset(temporary, "w") as dataset,
    ):
        cf.write_grid(dataset, grid)
        starts, ends = (
            np.array([day_number(day) for day in days], np.int32)
            for days in zip(*((year.start, year.end) for year in years), strict=True)
        )
        cf.write_time(dataset, starts, ends)
        dataset["time"].long_name = "first day of the ice year"
        label = dataset.createVariable("ice_year", "i4", ("time",))
        label.setncatts({"long_name": "calendar year of the minimum of the ice year", "units": "1"})
        label[:] = [year.label for year in years]
        dataset.setncatts(dict(attributes))
        yield DatesWriter(dataset, grid, cells, rule)
