"""Reading gappy fields of any kind from NetCDF or Zarr.

One variable, one map or a stack of them, on latitude and longitude or in a projected plane. What
may not be used is taken out here: values of poor quality, values out of range, flag codes inside
the data, and values that an earlier run has filled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.dates import day_number
from seaice.fields.axes import (
    Axes,
    axes_of,
)
from seaice.fields.mask import (
    LAND_WORDS,
    Sea,
    sea_of,
)
from seaice.fields.open import (
    Reading,
    short,
)
from seaice.flags import find_flag_value
from seaice.gapfill.field import GappyField
from seaice.grids import Grid
from seaice.open_file import open_xarray

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Source:
    """A field as it was read, with what is needed to write one like it.

    Attributes
    ----------
    field : GappyField
    path : Path
    variable : str
    axes : Axes
        Names, coordinates and grid.
    attributes : dict
        Of the variable.
    encoding : dict
        How it is packed: ``dtype``, ``scale_factor``, ``add_offset``, ``_FillValue``.
    file_attributes : dict
        Of the file.
    is_concentration : bool
    sea : Sea
        Where the mask comes from.
    chosen : slice
        Maps of the file that were read.
    notes : tuple of str
        What was taken out and why, one sentence each.
    """

    field: GappyField
    path: Path
    variable: str
    axes: Axes
    attributes: dict[str, Any]
    encoding: dict[str, Any]
    file_attributes: dict[str, Any]
    is_concentration: bool
    sea: Sea
    chosen: slice
    notes: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid | None:
        """The projected grid; None on latitude and longitude."""
        return self.axes.grid

    def describe(self) -> dict[str, Any]:
        """Where the values come from, for provenance."""
        found = {"input_file": str(self.path), "variable": self.variable, "mask": self.sea.source}
        return {**found, "notes": list(self.notes)}


def read_gappy(path: Path, reading: Reading = Reading()) -> Source:
    """Read a gappy field.

    Parameters
    ----------
    path : Path
        NetCDF file or Zarr group (``.zarr``).
    reading : Reading

    Returns
    -------
    Source
        Values as float64 where they are packed with an offset or stored as such, else float32.

    Raises
    ------
    InputError
        If the file is missing or unreadable, the variable is not there or is no stack of maps, the
        mask has another shape, or no day of the period is in the file.
    """
    path = Path(path)
    with open_xarray(path) as dataset:
        name = choose_variable(dataset, path, reading.variable)
        array = dataset[name]
        axes = axes_of(dataset, array, path)
        chosen = _period(axes, reading, path)
        array, axes = array.isel({axes.time: chosen} if axes.time else {}), axes.only(chosen)
        is_concentration = reading.concentration or _says_concentration(array)
        values = read_maps(array, axes, path)
        notes: list[str] = []
        limits = _limits(array, reading, is_concentration)
        land = _drop_codes(array, values, notes)
        _drop_outside(values, limits, notes)
        _drop_poor(dataset, axes, chosen, values, reading, notes)
        _drop_filled(dataset, name, axes, chosen, values, notes)
        attributes, encoding = dict(array.attrs), dict(array.encoding)
        sea = sea_of(dataset, axes, values, land, mask_of=reading, input_file=path)
        return Source(
            field=GappyField(
                values,
                sea.cells,
                axes.days,
                *axes.positions(),
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
            chosen=chosen,
            notes=tuple(notes + ([sea.note] if sea.note else [])),
        )


def choose_variable(dataset: xr.Dataset, path: Path, wanted: str | None) -> str:
    """The variable to read: the one named, or the only one that can be meant.

    Raises
    ------
    InputError
        With the names that could be chosen.
    """
    maps = [str(n) for n, v in dataset.data_vars.items() if v.ndim >= 2 and v.dtype.kind in "fiu"]
    if wanted is not None:
        if wanted not in dataset.data_vars:
            raise InputError(f"{path} has no variable {wanted!r}; it holds {', '.join(maps) or 'none'}")
        return wanted
    known = [n for n in maps if n in _KNOWN] or [n for n in maps if _is_data(dataset[n])]
    if len(known) != 1:
        raise InputError(
            f"{path}: expected one field, found {', '.join(maps) or 'none'}; choose one with --variable"
        )
    return known[0]


_KNOWN = ("sea_ice_conc", "sea_surface_temperature", "analysed_sst")


def _is_data(array: xr.DataArray) -> bool:
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


def _period(axes: Axes, reading: Reading, path: Path) -> slice:
    """Index range of the maps within the period."""
    if reading.start_date is None and reading.end_date is None:
        return slice(0, len(axes.days))
    if axes.time is None:
        raise InputError(
            f"{path} holds one map without a time axis; leave out --start_date and --end_date"
        )
    first = -np.inf if reading.start_date is None else day_number(reading.start_date)
    last = np.inf if reading.end_date is None else day_number(reading.end_date) + 1
    inside = np.flatnonzero((axes.days >= first) & (axes.days < last))
    if not inside.size:
        span = f"{reading.start_date or 'its beginning'} to {reading.end_date or 'its end'}"
        raise InputError(f"{path} has no map from {span}; it holds {axes.span()}")
    return slice(int(inside[0]), int(inside[-1]) + 1)


def read_maps(array: xr.DataArray, axes: Axes, path: Path) -> np.ndarray:
    """Values (time, y, x), NaN for missing, float32 or float64."""
    array = array.squeeze([d for d in array.dims if d not in (axes.time, axes.y, axes.x)])
    order = (axes.y, axes.x) if axes.time is None else (axes.time, axes.y, axes.x)
    try:
        values = np.asarray(array.transpose(*order).values)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path} is damaged: {array.name} cannot be read ({short(error)})") from None
    if values.dtype.kind not in "fiu":
        raise InputError(f"{path}: expected numbers in {array.name}, found {values.dtype}")
    packed = array.encoding.get("add_offset", 0) != 0  # kelvin: float32 would round twice
    wide = packed or values.dtype == np.float64 or values.dtype.itemsize > 4
    values = np.array(values, np.float64 if wide else np.float32).reshape(-1, *axes.shape)
    values[~np.isfinite(values)] = np.nan
    return axes.upward(values)


def _says_concentration(array: xr.DataArray) -> bool:
    standard = str(array.attrs.get("standard_name", ""))
    return standard.split(" ")[0] in ("sea_ice_area_fraction", "sea_ice_concentration")


def _limits(array: xr.DataArray, reading: Reading, is_concentration: bool) -> tuple[float, float]:
    """Least and largest value, unpacked."""
    if reading.valid_range is not None:
        low, high = reading.valid_range
        if not low < high:
            raise InputError(f"expected valid_range LOW HIGH with LOW below HIGH, found {low} {high}")
        return low, high
    low, high = _said_limits(array)
    if is_concentration and not np.isfinite(high):
        percent = str(array.attrs.get("units", "1")).strip() in ("%", "percent")
        low, high = 0.0, 100.0 if percent else 1.0
    return low, high


def _said_limits(array: xr.DataArray) -> tuple[float, float]:
    """What the attributes say of least and largest value, unpacked."""
    said = array.attrs.get("valid_range")
    if said is None:
        said = [array.attrs.get("valid_min", -np.inf), array.attrs.get("valid_max", np.inf)]
    packed = array.encoding
    ends = [np.asarray(v) for v in (said if isinstance(said, list) else np.atleast_1d(said))]
    stored = np.dtype(packed.get("dtype", np.float64))
    if "_Unsigned" in packed and stored.kind in "iu":
        ends = [as_meant(v.astype(stored) if v.dtype.kind in "iu" else v, packed) for v in ends]
    try:
        low, high = (float(v) for v in ends)
    except (TypeError, ValueError):
        raise InputError(
            f"{array.name}: expected two numbers as its valid range, found {said!r}; say "
            "--valid_range LOW HIGH"
        ) from None
    if ("scale_factor" in packed or "add_offset" in packed) and any(v.dtype.kind in "iu" for v in ends):
        scale, offset = float(packed.get("scale_factor", 1)), float(packed.get("add_offset", 0))
        low, high = sorted((low * scale + offset, high * scale + offset))
    return -np.inf if np.isnan(low) else low, np.inf if np.isnan(high) else high


def as_meant(stored: np.ndarray, attributes: Mapping[str, Any]) -> np.ndarray:
    """Stored integers by their ``_Unsigned`` attribute, which older formats use; no copy."""
    kind = {"true": "u", "false": "i"}.get(str(attributes.get("_Unsigned", "")).lower())
    if kind is None or stored.dtype.kind not in "iu":
        return stored
    meant = np.dtype(f"{kind}{stored.dtype.itemsize}")
    return stored.view(meant.newbyteorder(stored.dtype.byteorder))


def _drop_codes(array: xr.DataArray, values: np.ndarray, notes: list[str]) -> np.ndarray | None:
    """Take out flag codes that stand among the data; the cells whose code means land, or None."""
    if not {"flag_values", "flag_meanings"} <= set(array.attrs):
        return None
    packed = array.encoding
    scale, offset = float(packed.get("scale_factor", 1)), float(packed.get("add_offset", 0))
    land = np.zeros(values.shape[1:], bool)
    words = str(array.attrs["flag_meanings"]).split()
    for code, word in zip(np.atleast_1d(array.attrs["flag_values"]), words, strict=False):
        said = np.isclose(values, float(code) * scale + offset, rtol=0, atol=abs(scale) / 4)
        values[said] = np.nan
        if word.lower() in LAND_WORDS:
            land |= said.any(axis=0)
    notes.append(f"flag codes among the data are missing values: {', '.join(words)}")
    return land if land.any() else None


def _drop_outside(values: np.ndarray, limits: tuple[float, float], notes: list[str]) -> None:
    low, high = limits
    # Half a step of float32 at the ends: packed limits do not come back to the last bit.
    slack = 1e-6 * max(abs(v) for v in (low, high, 1.0) if np.isfinite(v))
    outside = (values < low - slack) | (values > high + slack)
    if outside.any():
        values[outside] = np.nan
        notes.append(f"{int(outside.sum())} values outside {low:g} to {high:g} are missing values")


def _drop_poor(
    dataset: xr.Dataset,
    axes: Axes,
    chosen: slice,
    values: np.ndarray,
    reading: Reading,
    notes: list[str],
) -> None:
    """Values below the wanted GHRSST quality."""
    if "quality_level" not in dataset.variables or reading.quality_level <= 0:
        return
    quality = dataset["quality_level"]
    if quality.sizes != {**quality.sizes, axes.y: axes.shape[0], axes.x: axes.shape[1]}:
        raise InputError("expected quality_level on the cells of the field, found another shape")
    quality = quality.isel({axes.time: chosen} if axes.time in quality.dims else {})
    level = read_maps(quality, axes if axes.time in quality.dims else axes.flat(), Path("quality_level"))
    poor = np.isfinite(values) & ~(level >= reading.quality_level)
    values[poor] = np.nan
    notes.append(
        f"quality_level of at least {reading.quality_level}: {int(poor.sum())} values taken out"
    )


def _drop_filled(
    dataset: xr.Dataset,
    name: str,
    axes: Axes,
    chosen: slice,
    values: np.ndarray,
    notes: list[str],
) -> None:
    """Values that an earlier run has filled: they are no observations."""
    listed = str(dataset[name].attrs.get("ancillary_variables", "")).split()
    if "fill_flag" not in listed or "fill_flag" not in dataset.variables:
        return
    flag = dataset["fill_flag"]
    observed = find_flag_value(flag.attrs, "observed")
    flag = flag.isel({axes.time: chosen} if axes.time in flag.dims else {})
    filled = np.isfinite(values) & (read_maps(flag, axes, Path("fill_flag")) != observed)
    values[filled] = np.nan
    notes.append(f"{int(filled.sum())} values were filled by an earlier run and are filled anew")
