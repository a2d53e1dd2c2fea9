"""Reading fields with gaps from NetCDF files and Zarr groups of any origin.

A field is one variable: a map or a stack of maps, on latitude and longitude or in a map projection.
Values that are no good observations become missing here: values of poor quality or out of range, flag
codes among the data, and values that an earlier run filled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.dates import day_number
from seaice.fields.axes import FieldAxes, read_axes
from seaice.fields.mask import SeaMask, find_sea
from seaice.fields.open import (
    CONCENTRATION_NAMES,
    UNASKED_FILL,
    decode_stored,
    drop_fill_value,
    is_zero_missing,
    open_stored,
)
from seaice.fields.options import ReadOptions
from seaice.fields.plausible import (
    check_concentration,
    drop_impossible_temperatures,
    drop_undeclared_codes,
    refuse_lone_code,
    refuse_other_unit,
)
from seaice.flags import SurfaceClass, find_flag_value, read_surface_codes
from seaice.gapfill.field import GappyField
from seaice.grids import Grid
from seaice.open_file import summarise_error
from seaice.open_file.address import Place, locate
from seaice.units import normalise_name

if TYPE_CHECKING:
    import xarray as xr


# Variables that are chosen before any other.
_PREFERRED = ("sea_ice_conc", "sea_surface_temperature", "analysed_sst")


@dataclass(frozen=True)
class FieldSource:
    """A field that was read from a file, with all that is needed to write one like it.

    Attributes
    ----------
    field : GappyField
    path : Path
        The file.
    variable : str
        Name of the variable.
    axes : FieldAxes
    attributes : dict
        Attributes of the variable.
    encoding : dict
        Packing of the variable: ``dtype``, ``scale_factor``, ``add_offset``, ``_FillValue``.
    file_attributes : dict
        Attributes of the file.
    is_concentration : bool
        Whether the variable is ice concentration.
    sea : SeaMask
        The sea cells and the origin of the mask.
    maps : slice
        Maps of the file that were read.
    keeps_zero : bool
        Whether 0 is a value although the file declares it as missing.
    notes : tuple of str
        Which values became missing and why, one sentence each.
    """

    field: GappyField
    path: Place
    variable: str
    axes: FieldAxes
    attributes: dict[str, Any]
    encoding: dict[str, Any]
    file_attributes: dict[str, Any]
    is_concentration: bool
    sea: SeaMask
    maps: slice
    keeps_zero: bool = False
    notes: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid | None:
        """The grid of square cells; None on latitude and longitude."""
        return self.axes.grid

    def describe(self) -> dict[str, Any]:
        """Return the origin of the values, for the provenance of an output."""
        return {
            "input_file": str(self.path),
            "variable": self.variable,
            "mask": self.sea.source,
            "notes": list(self.notes),
        }


def read_gappy(path: Place, options: ReadOptions = ReadOptions()) -> FieldSource:
    """Read a field with gaps.

    Parameters
    ----------
    path : Path
        NetCDF file or Zarr group (``.zarr``).
    options : ReadOptions

    Returns
    -------
    FieldSource
        Values are float64 if they are packed with an offset or stored so, else float32.

    Raises
    ------
    InputError
        If the file is missing or unreadable, the variable does not exist or is no stack of maps, the
        mask has another shape, or the file has no map of the date range.
    """
    path = locate(path)
    with open_stored(path) as stored:
        dataset = decode_stored(stored, path)
        name = choose_variable(dataset, path, options.variable)
        notes: list[str] = []
        is_concentration = options.concentration or is_named_concentration(dataset[name])
        # The error of a concentration has its standard name and a second word.
        is_ice = is_concentration and " " not in str(dataset[name].attrs.get("standard_name", ""))
        keeps_zero = is_ice and keeps_zero_value(dataset[name], options, path, notes)
        if keeps_zero:
            drop_fill_value(stored[name])
            dataset = decode_stored(stored, path)
        elif UNASKED_FILL in stored[name].encoding:
            notes.append(f"0 is the fill value of {name} in Zarr and taken as a value")
        elif is_zero_missing(dataset[name]):
            notes.append(f"0 is declared as missing in {name}")
        array = dataset[name]
        axes = read_axes(dataset, array, path)
        maps = _select_maps(axes, options, path)
        array, axes = array.isel({axes.time: maps} if axes.time else {}), axes.select_maps(maps)
        values = read_maps(array, axes, path)
        limits = choose_limits(array, options, is_concentration)
        land = _drop_codes(array, values, notes)
        drop_undeclared_codes(values, array, dataset.attrs, notes)
        has_own_limits = options.valid_range is not None
        if not has_own_limits:
            attributes = array.attrs
            drop_impossible_temperatures(
                values,
                str(attributes.get("units", "1")),
                str(attributes.get("standard_name", "")),
                notes,
            )
            if is_ice:
                notes += check_concentration(values, limits[1], axes, path, name)
                refuse_other_unit(values, limits, path, name)
        drop_outside(values, limits, notes)
        if not has_own_limits:
            refuse_lone_code(values, path, name)
        _drop_poor_quality(dataset, axes, maps, values, options, notes)
        if not options.keep_filled:
            _drop_filled(dataset, name, axes, maps, values, notes)
        if axes.time is not None and len(axes.days) > 1 and axes.time_variable is None:
            notes.append(f"{axes.time} has no times: the maps count as days one after the other")
        attributes, encoding = dict(array.attrs), dict(array.encoding)
        sea = find_sea(dataset, axes, values, land, options=options, input_file=path, variable=name)
        return FieldSource(
            field=GappyField(
                values,
                sea.cells,
                axes.days,
                *axes.compute_positions(),
                axes.wraps,
                limits,
                str(attributes.get("units", "1")),
                is_concentration,
            ),
            path=path,
            variable=name,
            axes=axes,
            attributes=attributes,
            encoding=encoding,
            file_attributes=dict(dataset.attrs),
            is_concentration=is_concentration,
            sea=sea,
            maps=maps,
            keeps_zero=keeps_zero,
            notes=tuple(notes + ([sea.note] if sea.note else [])),
        )


def read_concentration(path: Place, options: ReadOptions) -> FieldSource:
    """Read a field of ice concentration as :func:`read_gappy` does; InputError if it is none."""
    source = read_gappy(path, options)
    if not source.is_concentration:
        raise InputError(
            f"{source.variable} of {path} is not known to be ice concentration; if it is, say "
            "--concentration, with --valid_range 0 and what full ice is"
        )
    return source


def choose_variable(dataset: xr.Dataset, path: Place, name: str | None) -> str:
    """Choose the variable to read: the one that is named, else the only one that can be a field.

    Raises
    ------
    InputError
        If there is no such variable, or several can be a field; the message lists them.
    """
    maps = [str(n) for n, v in dataset.data_vars.items() if v.ndim >= 2 and v.dtype.kind in "fiu"]
    if name is not None:
        if name not in dataset.data_vars:
            raise InputError(f"{path} has no variable {name!r}; it holds {', '.join(maps) or 'none'}")
        return name
    preferred = [n for n in maps if n in _PREFERRED]
    ancillary = {
        word for n in maps for word in str(dataset[n].attrs.get("ancillary_variables", "")).split()
    }
    candidates = preferred or [n for n in maps if n not in ancillary and can_be_field(dataset[n])]
    # An error or a count of observations has the standard name of the field and a second word.
    plain = [n for n in candidates if " " not in str(dataset[n].attrs.get("standard_name", ""))]
    candidates = plain or candidates
    if len(candidates) != 1:
        raise InputError(
            f"{path}: expected one field, found {', '.join(maps) or 'none'}; choose one with --variable"
        )
    return candidates[0]


def can_be_field(array: xr.DataArray) -> bool:
    """Whether a variable may be a field: no flags, mask, grid mapping, positions or bounds."""
    attributes = array.attrs
    name = str(attributes.get("standard_name", ""))
    return (
        array.ndim >= 2
        and not {"flag_masks", "grid_mapping_name"} & set(attributes)
        and "status_flag" not in name
        and "binary_mask" not in name
        and array.name not in ("mask", "land_mask", "lat", "lon", "latitude", "longitude")
        and not str(array.name).endswith(("_bnds", "_bounds"))
    )


def _select_maps(axes: FieldAxes, options: ReadOptions, path: Place) -> slice:
    """Select the maps within the date range of the options, as an index range."""
    if options.start_date is None and options.end_date is None:
        return slice(0, len(axes.days))
    if axes.time is None:
        raise InputError(
            f"{path} holds one map without a time axis; leave out --start_date and --end_date"
        )
    first = -np.inf if options.start_date is None else day_number(options.start_date)
    last = np.inf if options.end_date is None else day_number(options.end_date) + 1
    inside = np.flatnonzero((axes.days >= first) & (axes.days < last))
    if not inside.size:
        dates = f"{options.start_date or 'its beginning'} to {options.end_date or 'its end'}"
        raise InputError(f"{path} has no map from {dates}; it holds {axes.describe_days()}")
    return slice(int(inside[0]), int(inside[-1]) + 1)


def read_maps(array: xr.DataArray, axes: FieldAxes, path: Place) -> np.ndarray:
    """Read the values of a variable.

    Returns
    -------
    ndarray of float32 or float64, shape (time, y, x)
        NaN is missing. Row 0 is the smallest y if the field lies on a grid.

    Raises
    ------
    InputError
        If the variable cannot be read or holds no numbers.
    """
    array = array.squeeze([d for d in array.dims if d not in (axes.time, axes.y, axes.x)])
    order = (axes.y, axes.x) if axes.time is None else (axes.time, axes.y, axes.x)
    try:
        values = np.asarray(array.transpose(*order).values)
    except MemoryError:
        shape = " x ".join(map(str, array.shape))
        raise InputError(
            f"{path}: {array.name} of {shape} values does not fit into memory; "
            "choose fewer days with --start_date and --end_date, or cut a part out"
        ) from None
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{path} is damaged: {array.name} cannot be read ({summarise_error(error)})"
        ) from None
    if values.dtype.kind not in "fiu":
        raise InputError(f"{path}: expected numbers in {array.name}, found {values.dtype}")
    has_offset = array.encoding.get("add_offset", 0) != 0  # kelvin: float32 would round twice
    needs_float64 = has_offset or values.dtype == np.float64 or values.dtype.itemsize > 4
    values = np.array(values, np.float64 if needs_float64 else np.float32).reshape(-1, *axes.shape)
    values[~np.isfinite(values)] = np.nan
    return axes.turn(values)


def is_named_concentration(array: xr.DataArray) -> bool:
    """Whether the standard name of a variable is that of ice concentration."""
    standard = str(array.attrs.get("standard_name", ""))
    return standard.split(" ")[0] in CONCENTRATION_NAMES


def keeps_zero_value(array: xr.DataArray, options: ReadOptions, path: Place, notes: list[str]) -> bool:
    """Whether 0 is a value of a concentration although it is declared as missing.

    No ice is an observation, and where 0 also stands for a gap only the user can tell them apart.
    """
    if not is_zero_missing(array):
        return False
    if options.valid_range is None:
        raise InputError(
            f"{path}: {array.name} declares 0 as missing, which is also no ice; say --valid_range LOW "
            "HIGH: LOW 0 if 0 is open water, above 0 if it is missing"
        )
    keeps_zero = options.valid_range[0] <= 0
    if keeps_zero:
        notes.append("0 is declared as missing and taken as no ice, as --valid_range says")
    return keeps_zero


def choose_limits(
    array: xr.DataArray, options: ReadOptions, is_concentration: bool
) -> tuple[float, float]:
    """Choose the smallest and largest valid value, in the unit of the field."""
    if options.valid_range is not None:
        low, high = options.valid_range
        if not low < high:
            raise InputError(f"expected valid_range LOW HIGH with LOW below HIGH, found {low} {high}")
        return low, high
    low, high = _read_limits(array)
    if is_concentration and not np.isfinite(high):
        percent = normalise_name(str(array.attrs.get("units", "1"))) == "%"
        low, high = 0.0, 100.0 if percent else 1.0
    return low, high


def _read_limits(array: xr.DataArray) -> tuple[float, float]:
    """Read the smallest and largest valid value from the attributes, in the unit of the field."""
    attribute = array.attrs.get("valid_range")
    if attribute is None:
        attribute = [array.attrs.get("valid_min", -np.inf), array.attrs.get("valid_max", np.inf)]
    encoding = array.encoding
    limits = [
        np.asarray(v) for v in (attribute if isinstance(attribute, list) else np.atleast_1d(attribute))
    ]
    stored = np.dtype(encoding.get("dtype", np.float64))
    if "_Unsigned" in encoding and stored.kind in "iu":
        limits = [
            apply_unsigned(v.astype(stored) if v.dtype.kind in "iu" else v, encoding) for v in limits
        ]
    try:
        low, high = (float(v) for v in limits)
    except (TypeError, ValueError):
        raise InputError(
            f"{array.name}: expected two numbers as its valid range, found {attribute!r}; say "
            "--valid_range LOW HIGH"
        ) from None
    is_packed = "scale_factor" in encoding or "add_offset" in encoding
    # CF: limits of the stored type are packed numbers, others are in the unit of the field.
    if is_packed and any(v.dtype.kind in "iu" for v in limits):
        scale, offset = _read_packing(array)
        low, high = sorted((low * scale + offset, high * scale + offset))
    return -np.inf if np.isnan(low) else low, np.inf if np.isnan(high) else high


def _read_packing(array: xr.DataArray) -> tuple[float, float]:
    """Read scale factor and offset of a variable."""
    encoding = array.encoding
    return float(encoding.get("scale_factor", 1)), float(encoding.get("add_offset", 0))


def apply_unsigned(stored: np.ndarray, attributes: Mapping[str, Any]) -> np.ndarray:
    """Return stored integers with the sign that an ``_Unsigned`` attribute asks for, without a copy.

    Formats without unsigned integers use this attribute of the NetCDF conventions.
    """
    kind = {"true": "u", "false": "i"}.get(str(attributes.get("_Unsigned", "")).lower())
    if kind is None or stored.dtype.kind not in "iu":
        return stored
    dtype = np.dtype(f"{kind}{stored.dtype.itemsize}")
    return stored.view(dtype.newbyteorder(stored.dtype.byteorder))


def list_codes(array: xr.DataArray) -> list[tuple[float, float, SurfaceClass]]:
    """List the flag codes among the data: number in the unit of the field, half a step, class.

    The number is NaN for a code that is also the fill value: its cells are missing already.
    """
    codes = read_surface_codes(array.attrs)
    if codes is None or codes.are_bits:
        return []
    scale, offset = _read_packing(array)
    fill = np.atleast_1d(array.encoding.get("_FillValue", np.nan))[0]
    stored = np.dtype(array.encoding.get("dtype", np.float64))
    is_unsigned = str(array.encoding.get("_Unsigned", "")).lower() == "true"
    listed = []
    for code, surface in codes.classes.items():
        number = code + (1 << (8 * stored.itemsize)) if code < 0 and is_unsigned else code
        value = np.nan if fill == number else float(number) * scale + offset
        listed.append((value, abs(scale) / 4, surface))
    return listed


def find_code(values: np.ndarray, value: float, tolerance: float) -> np.ndarray:
    """Find the cells with a code of :func:`list_codes`."""
    if np.isnan(value):
        return np.isnan(values)
    return np.isclose(values, value, rtol=0, atol=tolerance)


LAND_CLASSES = (SurfaceClass.LAND, SurfaceClass.LAKE, SurfaceClass.OUTSIDE)


def _drop_codes(array: xr.DataArray, values: np.ndarray, notes: list[str]) -> np.ndarray | None:
    """Set flag codes among the data to NaN; return the cells whose code means land, or None."""
    codes = list_codes(array)
    if not codes:
        return None
    land = np.zeros(values.shape[1:], bool)
    is_missing = np.isnan(values)
    for value, tolerance, surface in codes:
        has_code = is_missing if np.isnan(value) else find_code(values, value, tolerance)
        if surface in LAND_CLASSES:
            # A code that is also the fill value is missing already.
            land |= has_code.all(axis=0) if np.isnan(value) else has_code.any(axis=0)
        values[has_code] = np.nan
    words = read_surface_codes(array.attrs)
    assert words is not None
    notes.append(f"flag codes among the data are missing values: {', '.join(words.words.values())}")
    return land if land.any() else None


def drop_outside(values: np.ndarray, limits: tuple[float, float], notes: list[str]) -> None:
    """Set values outside the limits to NaN."""
    low, high = limits
    # A value that was packed and unpacked may differ from its limit by rounding of float32.
    tolerance = 1e-6 * max(abs(v) for v in (low, high, 1.0) if np.isfinite(v))
    outside = (values < low - tolerance) | (values > high + tolerance)
    if outside.any():
        values[outside] = np.nan
        notes.append(f"{int(outside.sum())} values outside {low:g} to {high:g} are missing values")


def _drop_poor_quality(
    dataset: xr.Dataset,
    axes: FieldAxes,
    maps: slice,
    values: np.ndarray,
    options: ReadOptions,
    notes: list[str],
) -> None:
    """Set values whose GHRSST quality level is below that of the options to NaN."""
    if "quality_level" not in dataset.variables or options.quality_level <= 0:
        return
    quality = dataset["quality_level"]
    if quality.sizes != {**quality.sizes, axes.y: axes.shape[0], axes.x: axes.shape[1]}:
        raise InputError("expected quality_level on the cells of the field, found another shape")
    quality = quality.isel({axes.time: maps} if axes.time in quality.dims else {})
    quality_axes = axes if axes.time in quality.dims else axes.drop_time()
    level = read_maps(quality, quality_axes, Path("quality_level"))
    poor = np.isfinite(values) & ~(level >= options.quality_level)
    values[poor] = np.nan
    notes.append(
        f"quality_level of at least {options.quality_level}: {int(poor.sum())} values taken out"
    )


def _drop_filled(
    dataset: xr.Dataset,
    name: str,
    axes: FieldAxes,
    maps: slice,
    values: np.ndarray,
    notes: list[str],
) -> None:
    """Set values that an earlier run filled to NaN: they are no observations."""
    listed = str(dataset[name].attrs.get("ancillary_variables", "")).split()
    if "fill_flag" not in listed or "fill_flag" not in dataset.variables:
        return
    flag = dataset["fill_flag"]
    observed = find_flag_value(flag.attrs, "observed")
    flag = flag.isel({axes.time: maps} if axes.time in flag.dims else {})
    filled = np.isfinite(values) & (read_maps(flag, axes, Path("fill_flag")) != observed)
    values[filled] = np.nan
    notes.append(f"{int(filled.sum())} values were filled by an earlier run and are filled anew")
