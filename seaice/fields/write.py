"""Writing a filled field in the form of its input file: same coordinates, same packing, plus flags.

Observed cells keep the stored numbers of the input file, filled cells are packed in the same way.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError, cf, units
from seaice.fields.open import CONCENTRATION_NAMES, drop_fill_value, open_stored
from seaice.fields.read import FieldSource, apply_unsigned
from seaice.flags import FillFlag, flag_attributes
from seaice.gapfill.field import FieldFill
from seaice.open_file import explain_damage, open_xarray
from seaice.runtime import atomic_write

if TYPE_CHECKING:
    import xarray as xr

# Attributes that do not hold for values in other units, and for filled values.
_PACKING_ATTRIBUTES = ("_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned")
_RANGE_ATTRIBUTES = (
    "valid_range", "valid_min", "valid_max", "flag_values", "flag_meanings", "actual_range",
)  # fmt: skip
_CHECKED_ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
# The default fill values of the NetCDF library.
_FILL: dict[str, Any] = {"f4": np.float32(9.96921e36), "f8": np.float64(9.969209968386869e36)}


def write_filled(
    path: Path,
    source: FieldSource,
    filled: FieldFill,
    *,
    target_units: str | None,
    parameters: Mapping[str, Any],
    call: Mapping[str, Any],
    locked: bool = False,
) -> None:
    """Write a filled field.

    Parameters
    ----------
    path : Path
        NetCDF file, or Zarr group if the name ends in ``.zarr``.
    source : FieldSource
        The field as it was read.
    filled : FieldFill
        The filled values, their flags and, where there are any, their errors.
    target_units : str or None
        Units of the output; None keeps units and packing of the input.
    parameters : mapping
        Parameters that the result depends on, method first.
    call : mapping
        Other options of the stage, for ``history``.
    locked : bool
        Whether the caller holds :func:`seaice.runtime.atomic_write.exclusive` for this path.

    Raises
    ------
    InputError
        If no conversion to the units is known.
    OSError
        If the file cannot be written.
    """
    source_units = str(source.attributes.get("units", "1"))
    # Refused before the file is read again.
    factor, _ = units.find_conversion(source_units, target_units or source_units)
    factor *= _find_share(source)
    with open_stored(source.path) as stored:
        if source.keeps_zero:
            drop_fill_value(stored[source.variable])
        with explain_damage(source.path, "Zarr" if source.path.is_dir() else "NetCDF"):
            dataset = _copy_coordinates(stored, source)
            values = _make_values(stored, source, filled, source_units, target_units)
        dataset[source.variable] = values
        dataset["fill_flag"] = _make_flags(source, filled)
        if filled.error is not None:
            error = source.axes.turn(filled.error) * factor
            dataset[f"{source.variable}_error"] = _make_errors(
                source, error, target_units or source_units
            )
        if "land_mask" not in dataset:
            dataset["land_mask"] = _make_land_mask(source)
        if source.sea.surface is not None:
            dataset["surface"] = _make_surface(source, source.sea.surface)
        dataset.attrs = _make_global_attributes(source, filled, parameters, call)
        with atomic_write.atomic(path, verify=_check_readable, locked=locked, checksum=True) as part:
            _write(dataset, part)


def _copy_coordinates(stored: xr.Dataset, source: FieldSource) -> xr.Dataset:
    """Copy coordinates, bounds, grid mapping and positions of the input, as they are stored."""
    axes = source.axes
    attributes = stored[source.variable].attrs
    dimensions = {d for d in (axes.time, axes.y, axes.x) if d}
    keep = {str(d) for d in dimensions if d in stored.variables} | set(axes.variables)
    keep |= {stored[d].attrs["bounds"] for d in keep if stored[d].attrs.get("bounds") in stored}
    keep |= set(str(attributes.get("coordinates", "")).split()) & set(map(str, stored.variables))
    for name, variable in stored.variables.items():
        if variable.attrs.get("standard_name") in ("latitude", "longitude"):
            keep.add(str(name))
    coordinates = stored[
        sorted(n for n in keep if set(stored[n].dims) <= dimensions | _list_bounds_dimensions(stored))
    ]
    if axes.time in coordinates.dims:
        coordinates = coordinates.isel({axes.time: source.maps})
    # The chunks and filters of the input may not exist in the container of the output.
    coordinates = coordinates.load().copy().drop_encoding()
    for name in coordinates.dims:
        if name in coordinates.variables:
            # Coordinates have no missing values, but xarray would write NaN as their fill value.
            coordinates[name].attrs = _drop_fill_value(coordinates[name].attrs)
            coordinates[name].encoding["_FillValue"] = None
    for word in str(attributes.get("grid_mapping", "")).replace(":", " ").split():
        if word in stored.variables and word not in dimensions:
            # Only its attributes matter; a character as value would need a dimension.
            coordinates[word] = ((), np.int32(0), _drop_fill_value(stored[word].attrs))
    return coordinates


def _drop_fill_value(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(k): v for k, v in attributes.items() if k not in ("_FillValue", "missing_value")}


def _list_bounds_dimensions(stored: xr.Dataset) -> set[Any]:
    """List the dimensions that may number the corners of bounds: 2 or 4 long, without a coordinate."""
    return {d for d, n in stored.sizes.items() if n in (2, 4) and str(d) not in stored.coords}


def _list_dimensions(source: FieldSource) -> tuple[str, ...]:
    axes = source.axes
    return (axes.y, axes.x) if axes.time is None else (axes.time, axes.y, axes.x)


def _restore_shape(source: FieldSource, stack: np.ndarray) -> np.ndarray:
    """Bring a stack (time, y, x) to the dimensions and the order of rows of the file."""
    stack = source.axes.turn(stack)
    return stack if source.axes.time else stack[0]


def _make_values(
    stored: xr.Dataset, source: FieldSource, filled: FieldFill, own_units: str, target: str | None
) -> xr.Variable:
    """Make the variable of the filled values: packed as in the input, or float32 in other units."""
    import xarray as xr

    attributes = {k: v for k, v in stored[source.variable].attrs.items() if k not in _RANGE_ATTRIBUTES}
    attributes["ancillary_variables"] = _list_ancillary_variables(source, filled)
    share = _find_share(source)
    if source.is_concentration:
        attributes.setdefault("standard_name", CONCENTRATION_NAMES[0])
        attributes.setdefault("units", own_units)
    if share != 1:
        attributes["scale_factor"] = float(attributes.get("scale_factor", 1)) * share
        if "add_offset" in attributes:
            attributes["add_offset"] = float(attributes["add_offset"]) * share
    if target is not None and units.find_conversion(own_units, target) != (1.0, 0.0):
        for name in _PACKING_ATTRIBUTES:
            attributes.pop(name, None)
        attributes["units"] = target
        unpacked = filled.values.astype(np.float64) * share
        values = units.convert(unpacked, own_units, target).astype(np.float32)
        attributes["_FillValue"] = _FILL["f4"]
        stack = np.where(np.isfinite(values), values, _FILL["f4"])
    else:
        stack, fill = _pack(stored, source, filled)
        attributes["_FillValue"] = fill
        attributes.pop("missing_value", None)
    return xr.Variable(_list_dimensions(source), _restore_shape(source, stack), attributes)


def _find_share(source: FieldSource) -> float:
    """Find the factor to the units of a concentration that only an option says what full ice is of."""
    full = source.field.valid_range[1]
    if not source.is_concentration or "standard_name" in source.attributes or not np.isfinite(full):
        return 1.0
    is_percent = units.normalise_name(str(source.attributes.get("units", "1"))) == "%"
    return float((100.0 if is_percent else 1.0) / full)


def _pack(stored: xr.Dataset, source: FieldSource, filled: FieldFill) -> tuple[np.ndarray, Any]:
    """Pack the filled values like the input.

    Returns
    -------
    packed : ndarray, shape (time, y, x)
        The stored numbers of the input where it was observed.
    fill : scalar
        The stored number that means missing.
    """
    axes, array = source.axes, stored[source.variable]
    if axes.time:
        array = array.isel({axes.time: source.maps})
    array = array.squeeze([d for d in array.dims if d not in (axes.time, axes.y, axes.x)])
    raw = axes.turn(np.asarray(array.transpose(*_list_dimensions(source)).values))
    # NetCDF has no float16.
    dtype = raw.dtype if raw.dtype.itemsize > 2 or raw.dtype.kind != "f" else np.dtype(np.float32)
    raw = apply_unsigned(raw.reshape(filled.values.shape).astype(dtype, copy=False), array.attrs)
    observed = filled.flag == FillFlag.OBSERVED
    fill = _choose_fill_value(array.attrs, dtype, raw[observed])
    packed = np.full(raw.shape, fill, raw.dtype)
    packed[observed] = raw[observed]
    is_filled = np.isfinite(filled.values) & ~observed
    scale, offset = float(array.attrs.get("scale_factor", 1)), float(array.attrs.get("add_offset", 0))
    numbers = (filled.values[is_filled].astype(np.float64) - offset) / scale
    if raw.dtype.kind in "iu":
        limits = np.iinfo(raw.dtype)
        numbers = np.clip(np.rint(numbers), limits.min, limits.max)
        # A filled value that would be stored as the fill value is moved by one step.
        numbers[numbers == fill] += -1 if fill == limits.max else 1
    packed[is_filled] = numbers.astype(raw.dtype)
    return packed.view(dtype), fill.view(dtype)


def _choose_fill_value(attributes: Mapping[str, Any], dtype: np.dtype, observed: np.ndarray) -> Any:
    """Choose the stored number for missing: that of the input, else one that no observed cell has."""
    for name in ("_FillValue", "missing_value"):
        value = np.atleast_1d(attributes.get(name, "none"))[:1]
        if value.dtype.kind in "fiu" and (dtype.kind == "f" or value.astype(dtype)[0] == value[0]):
            return apply_unsigned(value.astype(dtype), attributes)[0]
    if dtype.kind == "f":
        return _FILL[f"f{dtype.itemsize}"]
    limits, used = np.iinfo(observed.dtype), set(np.unique(observed).tolist())
    numbers = range(limits.min, limits.max + 1)
    for number in reversed(numbers) if observed.dtype.kind == "u" else numbers:
        if number not in used:
            return observed.dtype.type(number)
    raise InputError("the packing leaves no number for missing values; give --units to unpack them")


def _make_flags(source: FieldSource, filled: FieldFill) -> xr.Variable:
    import xarray as xr

    attributes = {
        "standard_name": "status_flag",
        "long_name": f"how the values of {source.variable} came about",
        **flag_attributes(FillFlag),
        **_copy_references(source),
    }
    return xr.Variable(_list_dimensions(source), _restore_shape(source, filled.flag), attributes)


def _make_errors(source: FieldSource, error: np.ndarray, unit: str) -> xr.Variable:
    """Make the variable of the expected errors, given in the order of rows of the file."""
    import xarray as xr

    attributes = {
        "long_name": f"expected standard error of the filled values of {source.variable}",
        "units": unit,
        "_FillValue": _FILL["f4"],
        **_copy_references(source),
    }
    standard = source.attributes.get("standard_name")
    if source.is_concentration:
        standard = standard or CONCENTRATION_NAMES[0]
    if standard and " " not in str(standard):
        attributes["standard_name"] = f"{standard} standard_error"
    if units.normalise_name(unit) in ("K", "degC"):
        # An error is a difference of temperatures: in kelvin also for values in degrees Celsius.
        attributes |= {"units": "K", "units_metadata": "temperature: difference"}
    stack = np.where(np.isfinite(error), error, _FILL["f4"]).astype(np.float32)
    return xr.Variable(_list_dimensions(source), stack if source.axes.time else stack[0], attributes)


def _make_land_mask(source: FieldSource) -> xr.Variable:
    import xarray as xr

    axes = source.axes
    attributes = {**cf.VARIABLES["land_mask"].attributes, **_copy_references(source)}
    land = axes.turn((~source.field.sea).astype(np.uint8))
    return xr.Variable((axes.y, axes.x), land, attributes)


def _make_surface(source: FieldSource, surface: np.ndarray) -> xr.Variable:
    import xarray as xr

    attributes = {**cf.VARIABLES["surface"].attributes, **_copy_references(source)}
    return xr.Variable((source.axes.y, source.axes.x), source.axes.turn(surface), attributes)


def _copy_references(source: FieldSource) -> dict[str, str]:
    """Copy the attributes ``grid_mapping`` and ``coordinates`` of the input, if it has them."""
    attributes = {**source.encoding, **source.attributes}
    return {k: str(attributes[k]) for k in ("grid_mapping", "coordinates") if attributes.get(k)}


def _list_ancillary_variables(source: FieldSource, filled: FieldFill) -> str:
    return "fill_flag" + (f" {source.variable}_error" if filled.error is not None else "")


def _make_global_attributes(
    source: FieldSource, filled: FieldFill, parameters: Mapping[str, Any], call: Mapping[str, Any]
) -> dict[str, Any]:
    before = source.file_attributes
    title = str(before.get("title", source.path.name))
    attributes = cf.describe_file(
        title=f"{source.variable}, gaps filled: {title}",
        summary=f"{source.variable} of {source.path.name} with its gaps filled; fill_flag tells how",
        source=str(before.get("source", source.path.name)),
        stage="fill_field",
        parameters=parameters,
        references=str(before.get("references", "see the input file")),
        call=call,
    )
    attributes["input"] = json.dumps(source.describe())
    attributes["fill_notes"] = json.dumps(dict(filled.notes), default=str)
    return cf.add_history(attributes, str(before.get("history", "")))


def _write(dataset: xr.Dataset, part: Path) -> None:
    if part.suffix == atomic_write.FOLDER_ENDING:
        with warnings.catch_warnings():
            # Consolidated metadata are not part of the Zarr 3 specification yet, hence a warning;
            # without them xarray warns everybody who opens the group.
            warnings.simplefilter("ignore")
            checked = {name: {"compressors": [_CHECKED_ZSTD]} for name in dataset.variables}
            dataset.to_zarr(part, mode="w", consolidated=True, zarr_format=3, encoding=checked)
        return
    encoding = {}
    for name, variable in dataset.variables.items():
        if variable.ndim >= 2 and variable.dtype.kind in "fiu":
            tile = cf.choose_chunk_shape(variable.shape[-2:])
            chunks = (*(1,) * (variable.ndim - 2), *tile)
            encoding[name] = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks}
    dataset.to_netcdf(part, engine="netcdf4", encoding=encoding)


def _check_readable(path: Path) -> None:
    """Raise OSError if the file cannot be opened."""
    try:
        with open_xarray(path):
            return
    except InputError as error:
        raise OSError(f"the file just written cannot be read: {error}") from None
