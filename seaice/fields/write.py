"""Writing a filled field like the file it came from: same coordinates, same packing, plus flags.

Observed cells get the very numbers of the input file back. Filled ones are packed the same way.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import (
    InputError,
    cf,
    units,
)
from seaice.fields.read import (
    Source,
    as_meant,
)
from seaice.flags import (
    FillFlag,
    flag_attributes,
)
from seaice.gapfill.field import FieldFill
from seaice.open_file import open_xarray
from seaice.runtime import atomic_write

if TYPE_CHECKING:
    import xarray as xr

# Attributes that speak of the values as they were stored.
_OF_PACKING = ("_FillValue", "missing_value", "scale_factor", "add_offset")
_OF_RANGE = ("valid_range", "valid_min", "valid_max", "flag_values", "flag_meanings", "actual_range")
_FILL: dict[str, Any] = {"f4": np.float32(9.96921e36), "f8": np.float64(9.969209968386869e36)}


def write_filled(
    path: Path,
    source: Source,
    filled: FieldFill,
    *,
    wanted_units: str | None,
    parameters: Mapping[str, Any],
    call: Mapping[str, Any],
    locked: bool = False,
) -> None:
    """Write a filled field.

    Parameters
    ----------
    path : Path
        NetCDF file, or Zarr group if the name ends in ``.zarr``.
    source : Source
        What was read.
    filled : FieldFill
    wanted_units : str or None
        Units to change to; None keeps units and packing.
    parameters : mapping
        What the result depends on, method first.
    call : mapping
        What else the stage was called with, for ``history``.
    locked : bool
        The caller holds :func:`seaice.runtime.atomic_write.exclusive` for this path.

    Raises
    ------
    InputError
        If the units cannot be changed.
    OSError
        If the file cannot be written.
    """
    own = str(source.attributes.get("units", "1"))
    units.find_conversion(own, wanted_units or own)  # refuse before anything is read again
    with open_xarray(source.path, decode=False) as stored:
        dataset = _frame(stored, source)
        dataset[source.variable] = _values(stored, source, filled, own, wanted_units)
        dataset["fill_flag"] = _flags(source, filled)
        if filled.error is not None:
            error = source.axes.upward(filled.error)
            factor = units.find_conversion(own, wanted_units or own)[0]
            dataset[f"{source.variable}_error"] = _error(source, error * factor, wanted_units or own)
        if "land_mask" not in dataset:
            dataset["land_mask"] = _land(source)
        dataset.attrs = _attributes(source, filled, parameters, call)
        with atomic_write.atomic(path, verify=_opens, locked=locked) as part:
            _write(dataset, part)


def _frame(stored: xr.Dataset, source: Source) -> xr.Dataset:
    """Coordinates, bounds, projection and positions of the input, as they are stored."""
    axes = source.axes
    own = stored[source.variable]
    dimensions = {d for d in (axes.time, axes.y, axes.x) if d}
    keep = {str(d) for d in dimensions if d in stored.variables}
    keep |= {stored[d].attrs["bounds"] for d in keep if stored[d].attrs.get("bounds") in stored}
    keep |= set(str(own.attrs.get("coordinates", "")).split()) & set(map(str, stored.variables))
    for name, variable in stored.variables.items():
        if variable.attrs.get("standard_name") in ("latitude", "longitude"):
            keep.add(str(name))
    frame = stored[sorted(n for n in keep if set(stored[n].dims) <= dimensions | _bounds_of(stored))]
    if axes.time in frame.dims:
        frame = frame.isel({axes.time: source.chosen})
    # How another container packs its chunks is of no use in this one.
    frame = frame.load().copy().drop_encoding()
    for name in frame.dims:
        if name in frame.variables:  # coordinates have no missing values; xarray would say NaN
            frame[name].attrs = _without_fill(frame[name].attrs)
            frame[name].encoding["_FillValue"] = None
    for word in str(own.attrs.get("grid_mapping", "")).replace(":", " ").split():
        if word in stored.variables and word not in dimensions:
            # Only its attributes count, and a character would come with a dimension.
            frame[word] = ((), np.int32(0), _without_fill(stored[word].attrs))
    return frame


def _without_fill(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(k): v for k, v in attributes.items() if k not in ("_FillValue", "missing_value")}


def _bounds_of(stored: xr.Dataset) -> set[Any]:
    return {d for d, n in stored.sizes.items() if n in (2, 4) and str(d) not in stored.coords}


def _dimensions(source: Source) -> tuple[str, ...]:
    axes = source.axes
    return (axes.y, axes.x) if axes.time is None else (axes.time, axes.y, axes.x)


def _shaped(source: Source, stack: np.ndarray) -> np.ndarray:
    """A stack (time, y, x) in the shape and the order of rows of the file."""
    return source.axes.upward(stack) if source.axes.time else source.axes.upward(stack)[0]


def _values(
    stored: xr.Dataset, source: Source, filled: FieldFill, own: str, wanted: str | None
) -> xr.Variable:
    import xarray as xr

    attributes = {k: v for k, v in stored[source.variable].attrs.items() if k not in _OF_RANGE}
    attributes["ancillary_variables"] = _ancillary(source, filled)
    if wanted is not None and units.find_conversion(own, wanted) != (1.0, 0.0):
        for name in (*_OF_PACKING, "_Unsigned"):
            attributes.pop(name, None)
        attributes["units"] = wanted
        values = units.convert(filled.values.astype(np.float64), own, wanted).astype(np.float32)
        attributes["_FillValue"] = _FILL["f4"]
        stack = np.where(np.isfinite(values), values, _FILL["f4"])
    else:
        stack, fill = _packed(stored, source, filled)
        attributes["_FillValue"] = fill
        attributes.pop("missing_value", None)
    return xr.Variable(_dimensions(source), _shaped(source, stack), attributes)


def _packed(stored: xr.Dataset, source: Source, filled: FieldFill) -> tuple[np.ndarray, Any]:
    """The stack as it is stored, and its fill value."""
    axes, array = source.axes, stored[source.variable]
    if axes.time:
        array = array.isel({axes.time: source.chosen})
    array = array.squeeze([d for d in array.dims if d not in (axes.time, axes.y, axes.x)])
    raw = axes.upward(np.asarray(array.transpose(*_dimensions(source)).values))
    dtype = raw.dtype if raw.dtype.itemsize > 2 or raw.dtype.kind != "f" else np.dtype(np.float32)
    raw = as_meant(raw.reshape(filled.values.shape).astype(dtype, copy=False), array.attrs)
    observed = filled.flag == FillFlag.OBSERVED
    fill = _fill_value(array.attrs, dtype, raw[observed])
    made = np.full(raw.shape, fill, raw.dtype)
    made[observed] = raw[observed]
    new = np.isfinite(filled.values) & ~observed
    scale = float(array.attrs.get("scale_factor", 1))
    numbers = (filled.values[new].astype(np.float64) - float(array.attrs.get("add_offset", 0))) / scale
    if raw.dtype.kind in "iu":
        limits = np.iinfo(raw.dtype)
        numbers = np.clip(np.rint(numbers), limits.min, limits.max)
        numbers[numbers == fill] += -1 if fill == limits.max else 1  # a value, not «missing»
    made[new] = numbers.astype(raw.dtype)
    return made.view(dtype), fill.view(dtype)


def _fill_value(attributes: Mapping[str, Any], dtype: np.dtype, observed: np.ndarray) -> Any:
    """What stands for «missing»: that of the input, or a number that nothing observed has."""
    for name in ("_FillValue", "missing_value"):
        given = np.atleast_1d(attributes.get(name, "none"))[:1]
        if given.dtype.kind in "fiu" and (dtype.kind == "f" or given.astype(dtype)[0] == given[0]):
            return as_meant(given.astype(dtype), attributes)[0]
    if dtype.kind == "f":
        return _FILL[f"f{dtype.itemsize}"]
    limits, used = np.iinfo(observed.dtype), set(np.unique(observed).tolist())
    numbers = range(limits.min, limits.max + 1)
    for number in reversed(numbers) if observed.dtype.kind == "u" else numbers:
        if number not in used:
            return observed.dtype.type(number)
    raise InputError("the packing leaves no number for missing values; give --units to unpack them")


def _flags(source: Source, filled: FieldFill) -> xr.Variable:
    import xarray as xr

    attributes = {
        "standard_name": "status_flag",
        "long_name": f"how the values of {source.variable} came about",
        **flag_attributes(FillFlag),
        **_mapping(source),
    }
    return xr.Variable(_dimensions(source), _shaped(source, filled.flag), attributes)


def _error(source: Source, error: np.ndarray, unit: str) -> xr.Variable:
    import xarray as xr

    attributes = {
        "long_name": f"expected standard error of the filled values of {source.variable}",
        "units": unit,
        "_FillValue": _FILL["f4"],
        **_mapping(source),
    }
    standard = source.attributes.get("standard_name")
    if standard and " " not in str(standard):
        attributes["standard_name"] = f"{standard} standard_error"
    if units.normalise_name(unit) in ("K", "degC"):
        attributes |= {"units": "K", "units_metadata": "temperature: difference"}
    stack = np.where(np.isfinite(error), error, _FILL["f4"]).astype(np.float32)
    return xr.Variable(_dimensions(source), stack if source.axes.time else stack[0], attributes)


def _land(source: Source) -> xr.Variable:
    import xarray as xr

    axes = source.axes
    attributes = {**cf.VARIABLES["land_mask"].attributes, **_mapping(source)}
    land = axes.upward((~source.field.sea).astype(np.uint8))
    return xr.Variable((axes.y, axes.x), land, attributes)


def _mapping(source: Source) -> dict[str, str]:
    """``grid_mapping`` and ``coordinates`` as the input has them."""
    told = {**source.encoding, **source.attributes}
    return {k: str(told[k]) for k in ("grid_mapping", "coordinates") if told.get(k)}


def _ancillary(source: Source, filled: FieldFill) -> str:
    return "fill_flag" + (f" {source.variable}_error" if filled.error is not None else "")


def _attributes(
    source: Source, filled: FieldFill, parameters: Mapping[str, Any], call: Mapping[str, Any]
) -> dict[str, Any]:
    before = source.file_attributes
    title = str(before.get("title", source.path.name))
    made = cf.global_attributes(
        title=f"{source.variable}, gaps filled: {title}",
        summary=f"{source.variable} of {source.path.name} with its gaps filled; fill_flag tells how",
        source=str(before.get("source", source.path.name)),
        stage="fill_field",
        parameters=parameters,
        references=str(before.get("references", "see the input file")),
        call=call,
    )
    made["input"] = json.dumps(source.describe())
    made["fill_notes"] = json.dumps(dict(filled.notes), default=str)
    return cf.with_history(made, str(before.get("history", "")))


def _write(dataset: xr.Dataset, part: Path) -> None:
    if part.suffix == atomic_write.FOLDER_ENDING:
        with warnings.catch_warnings():
            # Metadata in one place are no part of Zarr 3 yet; without them xarray warns its reader.
            warnings.simplefilter("ignore")
            dataset.to_zarr(part, mode="w", consolidated=True, zarr_format=3)
        return
    encoding = {}
    for name, variable in dataset.variables.items():
        if variable.ndim >= 2 and variable.dtype.kind in "fiu":
            tile = cf.tile_of(variable.shape[-2:])
            chunks = (*(1,) * (variable.ndim - 2), *tile)
            encoding[name] = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks}
    dataset.to_netcdf(part, engine="netcdf4", encoding=encoding)


def _opens(path: Path) -> None:
    try:
        with open_xarray(path):
            return
    except InputError as error:
        raise OSError(f"the file just written cannot be read: {error}") from None
