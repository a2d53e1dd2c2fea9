"""Files of forecasts: written by initial day and lead, read back, and IceNet's read too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from seaice import InputError, cf, grids
from seaice.cf import Variable
from seaice.dates import day_number, read_days
from seaice.grids import CellLayout, Grid
from seaice.open_file import explain_damage, open_netcdf
from seaice.runtime.atomic_write import atomic

if TYPE_CHECKING:
    import netCDF4

_REFERENCE, _LEAD, _MEMBER = "forecast_reference_time", "leadtime", "realization"
_MAPS = (_REFERENCE, _LEAD, "y", "x")
# Concentration of own files and of IceNet's, with the dimension of their initial days.
_CONCENTRATIONS = {"sea_ice_conc": _REFERENCE, "sic_mean": "time"}
_TIME_UNITS = {name: cf.TIME_ATTRIBUTES[name] for name in ("units", "calendar", "units_metadata")}
_SHARE = {
    "units": "1",
    "scale_factor": np.float32(cf.CONCENTRATION_SCALE),
    "valid_range": np.array([0, 10000], dtype=np.int16),
}
_CONCENTRATION = {
    "standard_name": "sea_ice_area_fraction",
    "long_name": "forecast of sea ice concentration",
    "cell_methods": "time: mean",
    **_SHARE,
}
_PROBABILITY = {
    "long_name": "probability of at least 15 percent of ice",
    "threshold": cf.ICE_EDGE,
    **_SHARE,
}


def write_forecast(
    path: Path,
    *,
    initial_days: Sequence[date],
    leads: Sequence[int],
    forecast: Iterable[tuple[date, *tuple[np.ndarray, ...]]],
    grid: Grid,
    attributes: Mapping[str, Any],
    surface: np.ndarray | None = None,
    members: int | None = None,
    has_probability: bool = False,
) -> Path:
    """Write a forecast file, whole or not at all.

    Parameters
    ----------
    path : Path
    initial_days : sequence of date
        In order.
    leads : sequence of int
        Days from the initial day to the day that is forecast.
    forecast : iterable of (date, ndarray) or (date, ndarray, ndarray)
        For each initial day, in order, the concentration as a fraction, shape (leads, rows,
        columns) or with ``members`` (members, leads, rows, columns), NaN outside the ocean; and with
        ``has_probability`` the probability of ice, shape (leads, rows, columns).
    grid : Grid
    attributes : mapping
        Global attributes such as ``title``, ``method`` and ``training_days``; see
        :func:`describe_forecast`.
    surface : ndarray of uint8, shape (rows, columns), optional
        Surface classes, which tell land from missing values.
    members : int, optional
        Members of an ensemble; without them there is one forecast.
    has_probability : bool
        Whether the forecast has a probability of its own.

    Returns
    -------
    Path
    """
    import netCDF4

    if not initial_days or not leads:
        raise InputError(f"{path}: expected initial days and leads to write, found none")
    with atomic(Path(path), kind=cf.KINDS["forecast"]) as part, netCDF4.Dataset(part, "w") as dataset:
        _define_axes(dataset, initial_days, leads, grid, members)
        if surface is not None:
            cf.define_variable(dataset, "surface")[:] = surface
        dimensions = _MAPS if members is None else (_MEMBER, *_MAPS)
        shares = [_define_shares(dataset, "sea_ice_conc", dimensions, _CONCENTRATION)]
        if has_probability:
            shares.append(_define_shares(dataset, "ice_probability", _MAPS, _PROBABILITY))
        dataset.setncatts(dict(attributes))
        for number, (day, (from_day, *values)) in enumerate(zip(initial_days, forecast, strict=True)):
            if day != from_day:
                raise ValueError(f"the forecast of {from_day} came where that of {day} was expected")
            for variable, maps in zip(shares, values, strict=True):
                _write_maps(variable, number, maps, f"{path}, {day}")
    return Path(path)


def describe_forecast(
    *, method: str, title: str, parameters: Mapping[str, Any], source: Mapping[str, Any], references: str
) -> dict[str, Any]:
    """Describe a forecast by the global attributes of its file.

    Parameters
    ----------
    method : str
        Name under which it is scored.
    title : str
    parameters : mapping
        What its values depend on, training days too.
    source : mapping
        Global attributes of the cube.
    references : str
        Where the method is described.
    """
    described = cf.describe_file(
        title=title,
        summary=f"daily forecasts of sea ice concentration by initial day and lead: {title}",
        source=str(source.get("source", "a cube of sea ice concentration")),
        stage="forecast",
        parameters=parameters,
        references=references,
        keywords=cf.CONCENTRATION_KEYWORDS,
        processing_level="Level 4",
    )
    return described | {
        "method": method,
        "training_days": str(parameters.get("training_days", "none")),
        "input_product": str(source.get("title", "unknown")),
        "fill_rule": "last observed value before; pole hole: mean of its rim",
    }


class ForecastFile:
    """A forecast file of this toolbox or of IceNet, open for reading.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        If it cannot be read or is no forecast file.

    Attributes
    ----------
    path : Path
    method : str
        Name of the method; of files without one that of the file.
    initial_days : list of date
    leads : list of int
        Days from the initial day to the forecast day.
    members : int
        1 without an ensemble.
    grid : Grid
    attributes : dict
        Global attributes.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._dataset = open_netcdf(self.path)
        try:
            with explain_damage(self.path, "NetCDF"):
                self._read_axes()
        except BaseException:
            self._dataset.close()
            raise

    @property
    def has_probability(self) -> bool:
        """Whether the file holds a probability of ice of its own."""
        return "ice_probability" in self._dataset.variables

    def read(self, day: date, leads: Sequence[int] | None = None) -> np.ndarray:
        """Concentration forecast from an initial day.

        Parameters
        ----------
        day : date
        leads : sequence of int, optional
            Leads of the file; by default all.

        Returns
        -------
        ndarray of float32, shape (members, leads, rows, columns)
            Fraction 0..1; NaN outside the ocean. Rows from the smallest y on.
        """
        return self._read_shares(self._name, day, leads)

    def read_probability(self, day: date, leads: Sequence[int] | None = None) -> np.ndarray | None:
        """Probability of ice, float32 (leads, rows, columns); None if the file has none of its own."""
        return self._read_shares("ice_probability", day, leads)[0] if self.has_probability else None

    def close(self) -> None:
        """Close the file."""
        self._dataset.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _read_axes(self) -> None:
        dataset = self._dataset
        dataset.set_auto_maskandscale(False)
        variables = dataset.variables
        self.attributes = {name: dataset.getncattr(name) for name in dataset.ncattrs()}
        self.method = str(self.attributes.get("method", self.path.stem))
        for name, reference in _CONCENTRATIONS.items():
            if name in variables and {reference, _LEAD} <= set(variables[name].dimensions):
                break
        else:
            raise InputError(
                f"{self.path} is no forecast file: expected sea_ice_conc({', '.join(_MAPS)}) or "
                f"IceNet's sic_mean, found {', '.join(list(variables)[:8]) or 'nothing'}"
            )
        self._name, self._reference = name, reference
        self.members = len(dataset.dimensions[_MEMBER]) if _MEMBER in variables[name].dimensions else 1
        self._layout, self.grid = _read_cells(dataset, self.path)
        self.initial_days = _read_days(variables[reference])
        self.leads = self._read_leads()
        self._number = {day: number for number, day in enumerate(self.initial_days)}

    def _read_leads(self) -> list[int]:
        variables = self._dataset.variables
        if "forecast_date" in variables:
            first = _read_days(variables["forecast_date"], row=0)
            return [(day - self.initial_days[0]).days for day in first]
        units = str(getattr(variables[_LEAD], "units", "days"))
        if units not in ("day", "days", "d", "1"):
            raise InputError(f"{self.path}: expected leadtime in days, found {units!r}")
        return [int(lead) for lead in variables[_LEAD][:]]

    def _read_shares(self, name: str, day: date, leads: Sequence[int] | None) -> np.ndarray:
        if day not in self._number:
            raise InputError(
                f"{self.path} has no forecast from {day}: it reaches from {self.initial_days[0]} to "
                f"{self.initial_days[-1]}"
            )
        variable = self._dataset.variables[name]
        part: dict[str, int | list[int]] = {self._reference: self._number[day]}
        if leads is not None:
            part[_LEAD] = [self.leads.index(lead) for lead in leads]
        with explain_damage(self.path, "NetCDF"):
            stored = variable[tuple(part.get(d, slice(None)) for d in variable.dimensions)]
        attributes = {key: variable.getncattr(key) for key in variable.ncattrs()}
        values = cf.ValuePacking.read(attributes, name).unpack(np.asarray(stored))
        names = [_ROLES.get(d, d) for d in variable.dimensions if d != self._reference]
        ordered = [d for d in (_MEMBER, _LEAD, "y", "x") if d in names]
        values = values.transpose([names.index(d) for d in ordered])
        turned = (self._layout.turned_rows, self._layout.turned_columns)
        rows, columns = (slice(None, None, -1 if is_turned else 1) for is_turned in turned)
        values = np.ascontiguousarray(values[..., rows, columns])
        _check_shares(values, f"{self.path}, {day}")
        return values if _MEMBER in ordered else values[np.newaxis]


# Dimensions of IceNet.
_ROLES = {"yc": "y", "xc": "x"}


def _define_axes(
    dataset: netCDF4.Dataset,
    initial_days: Sequence[date],
    leads: Sequence[int],
    grid: Grid,
    members: int | None,
) -> None:
    cf.write_grid(dataset, grid, lat_lon=True)
    numbers = np.array([day_number(day) for day in initial_days], np.int32)
    axes: dict[str, tuple[np.ndarray, dict[str, str]]] = {
        _REFERENCE: (
            numbers,
            {"standard_name": _REFERENCE, "long_name": "initial day, UTC", **_TIME_UNITS},
        ),
        _LEAD: (
            np.array(leads, np.int32),
            {"standard_name": "forecast_period", "long_name": "lead", "units": "days"},
        ),
    }
    if members is not None:
        axes[_MEMBER] = (
            np.arange(members, dtype=np.int32),
            {"standard_name": "realization", "units": "1"},
        )
    for name, (values, attributes) in axes.items():
        dataset.createDimension(name, values.size)
        variable = dataset.createVariable(name, "i4", (name,))
        variable.setncatts(attributes)
        variable[:] = values
    time = dataset.createVariable("time", "i4", (_REFERENCE, _LEAD))
    time.setncatts({"standard_name": "time", "long_name": "day that is forecast, UTC", **_TIME_UNITS})
    time[:] = numbers[:, np.newaxis] + np.array(leads, np.int32)


def _define_shares(
    dataset: netCDF4.Dataset, name: str, dimensions: tuple[str, ...], attributes: Mapping[str, Any]
) -> netCDF4.Variable:
    row = Variable(name, dimensions, "i2", attributes, cf.CONCENTRATION_FILL)
    variable = cf.define_variable(dataset, row)
    variable.coordinates = "time lat lon"
    return variable


def _write_maps(variable: netCDF4.Variable, number: int, values: np.ndarray, where: str) -> None:
    _check_shares(values, where)
    unknown = np.isnan(values)
    steps = np.rint(np.where(unknown, 0, values).clip(0, 1) / cf.CONCENTRATION_SCALE).astype(np.int16)
    steps[unknown] = cf.CONCENTRATION_FILL
    variable[(slice(None),) * (variable.ndim - 4) + (number,)] = steps


def _check_shares(values: np.ndarray, where: str) -> None:
    """Refuse concentration that is no fraction."""
    lowest, highest = (
        reduce(values, axis=None, initial=0) for reduce in (np.fmin.reduce, np.fmax.reduce)
    )
    if lowest < -0.01 or highest > 1.5:
        raise InputError(
            f"{where}: expected concentration as fractions 0 to 1, found {lowest:g} to {highest:g}; "
            "divide percent by 100, or give the variable its units"
        )


def _read_cells(dataset: netCDF4.Dataset, path: Path) -> tuple[CellLayout, Grid]:
    attributes = {
        name: {key: variable.getncattr(key) for key in variable.ncattrs()}
        for name, variable in dataset.variables.items()
    }
    dimensions = {name: variable.dimensions for name, variable in dataset.variables.items()}
    try:
        layout = grids.find_layout(
            attributes, dimensions, lambda name: np.asarray(dataset.variables[name][:])
        )
    except InputError as error:
        raise InputError(f"{path} cannot be used as a forecast: {error}") from None
    return layout, layout.grid


def _read_days(variable: netCDF4.Variable, row: int | None = None) -> list[date]:
    values = np.asarray(variable[:] if row is None else variable[row])
    return read_days(values, {key: variable.getncattr(key) for key in variable.ncattrs()})
