"""Opening field files: which stored numbers mean missing, decided for every container alike."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seaice.open_file import explain_damage, open_xarray, open_zarr
from seaice.open_file.address import Place, find_zarr_format
from seaice.units import normalise_name

if TYPE_CHECKING:
    import xarray as xr

_POSITIONS = ("latitude", "longitude", "time", "projection_x_coordinate", "projection_y_coordinate")
_FLAG_ATTRIBUTES = {"flag_values", "flag_masks", "flag_meanings"}
UNASKED_FILL = "unasked_fill_value"  # in the encoding of a variable whose fill value was put aside
CONCENTRATION_NAMES = ("sea_ice_area_fraction", "sea_ice_concentration")


def open_stored(path: Place) -> xr.Dataset:
    """Open a field file as stored, with the fill values that its variables really have.

    In Zarr version 2 every array has a fill value, and libraries write 0 unless they are asked for
    another. Where an array also has the attribute ``_FillValue``, that one holds. A fill value of 0 is
    no sign of missing values in coordinates, flags and ice concentration, where 0 means something.

    Raises
    ------
    UnreadableFile
        As :func:`seaice.open_file.open_xarray`.
    """
    dataset = show_last_forecast(open_xarray(path, decode=False))
    if not path.is_dir() or find_zarr_format(path) != 2:
        return dataset
    with explain_damage(path, "Zarr"):
        group = open_zarr(path, zarr_format=2)
        bounds = {variable.attrs.get("bounds") for variable in dataset.variables.values()}
        for name, variable in dataset.variables.items():
            if "_FillValue" not in variable.attrs or str(name) not in group:
                continue
            declared = group[str(name)].attrs.get("_FillValue")
            if declared is not None and variable.dtype.kind in "fiu":
                variable.attrs["_FillValue"] = variable.dtype.type(declared)
            elif (
                declared is None
                and variable.attrs["_FillValue"] == 0
                and (name in bounds or _has_meaning_at_zero(variable))
            ):
                del variable.attrs["_FillValue"]
                variable.encoding[UNASKED_FILL] = 0
    return dataset


def show_last_forecast(stored: xr.Dataset) -> xr.Dataset:
    """Show the last forecast of a file of forecasts as maps by day, an ensemble by its mean."""
    initial, lead, member = "forecast_reference_time", "leadtime", "realization"
    if "time" not in stored.variables or set(stored["time"].dims) != {initial, lead}:
        return stored
    day = stored.isel({initial: -1}).swap_dims({lead: "time"}).drop_vars([initial, lead])
    for name, variable in day.data_vars.items():
        if member in variable.dims:
            fill = variable.attrs.get("_FillValue")
            mean = variable.where(variable != fill).mean(member, keep_attrs=True, skipna=False)
            day[name] = mean.round().fillna(fill).astype(variable.dtype)
    return day.drop_vars(member, errors="ignore")


def _has_meaning_at_zero(variable: Any) -> bool:
    attributes = variable.attrs
    standard = str(attributes.get("standard_name", ""))
    return bool(
        variable.ndim < 2
        or _FLAG_ATTRIBUTES & set(attributes)
        or "binary_mask" in standard
        or standard.endswith("_area_fraction")
        or normalise_name(str(attributes.get("units", ""))) == "%"
        or standard in (*_POSITIONS, *CONCENTRATION_NAMES)
        or str(attributes.get("units", "")).startswith("degrees_")
    )


def decode_stored(stored: xr.Dataset, path: Place) -> xr.Dataset:
    """Apply the CF conventions to a file as stored, times left out: scale, offset, missing values."""
    import xarray as xr

    kind: Literal["Zarr", "NetCDF"] = "Zarr" if path.is_dir() else "NetCDF"
    with explain_damage(path, kind), warnings.catch_warnings():
        # Two fill values in one variable: nothing to act upon.
        warnings.simplefilter("ignore")
        return xr.decode_cf(stored, decode_times=False, decode_timedelta=False)


def open_field(path: Place) -> xr.Dataset:
    """Open a field file by the CF conventions, with times as numbers.

    Raises
    ------
    UnreadableFile
        As :func:`seaice.open_file.open_xarray`.
    """
    return decode_stored(open_stored(path), path)


def is_zero_missing(array: xr.DataArray) -> bool:
    """Whether the declared fill value of a decoded variable stands for the number 0."""
    encoding = array.encoding
    fills = [encoding[name] for name in ("_FillValue", "missing_value") if name in encoding]
    scale, offset = float(encoding.get("scale_factor", 1)), float(encoding.get("add_offset", 0))
    numbers = [np.atleast_1d(fill) for fill in fills]
    return any(bool((n * scale + offset == 0).any()) for n in numbers if n.dtype.kind in "fiu")


def drop_fill_value(variable: xr.DataArray) -> None:
    """Drop the fill value of a variable as stored, so that all its numbers are values."""
    for name in ("_FillValue", "missing_value"):
        variable.attrs.pop(name, None)
