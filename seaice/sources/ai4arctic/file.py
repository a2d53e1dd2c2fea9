"""Reading variables of AI4Arctic files as they are stored.

A variable whose attributes give its numbers another meaning than in the dataset is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.open_file import explain_damage, open_hdf5
from seaice.sources.ai4arctic.tables import (
    CLASS_COUNTS,
    NO_CLASS,
    SAR_CHANNELS,
)

if TYPE_CHECKING:
    import h5py

_PACKING = ("scale_factor", "add_offset")
_FILL_ATTRIBUTES = ("_FillValue", "missing_value")
# The number that netCDF stores where nothing was written, unless a file names another one. Values whose
# chunk is lost by damage are read as this number too.
_NETCDF_FILL_VALUE = 9.969209968386869e36
# Numbers of SAR and charts that stand for missing values, and the attribute in which files state them.
_BLANK_VALUES: dict[str, tuple[int, str]] = {
    **dict.fromkeys(SAR_CHANNELS, (0, "variable_fill_value")),
    **dict.fromkeys(CLASS_COUNTS, (NO_CLASS, "chart_fill_value")),
}


def read_contents(path: Path) -> tuple[dict[str, tuple[int, ...]], tuple[str, ...], dict[str, Any]]:
    """Read the list of variables and the global attributes of a file.

    Returns
    -------
    shapes : dict of str to tuple of int
        Shape of every variable by its name.
    axes : tuple of str
        Names of the dimensions of the SAR; empty if the file does not name all of them.
    attributes : dict
        Global attributes as numbers and texts.

    Raises
    ------
    InputError
        If the file is damaged or is not an HDF5 file.
    """
    with explain_damage(path, "HDF5"), open_hdf5(path) as file:
        # A variable without any value has None for a shape.
        shapes = {name: item.shape or () for name, item in file.items() if hasattr(item, "shape")}
        sar = SAR_CHANNELS[0]
        axes = _list_axes(file[sar]) if shapes.get(sar) else ()
        attributes = {key: file.attrs[key] for key in file.attrs if not key.startswith("_")}
    return shapes, axes, {key: _unwrap(value) for key, value in attributes.items()}


def read_variable(
    path: Path, name: str, shape: tuple[int, ...], dtype: type | None, axes: tuple[str, ...] = ()
) -> np.ndarray:
    """Read a variable whose shape and type are expected, in one call of the library.

    Parameters
    ----------
    path : Path
    name : str
    shape : tuple of int
    dtype : type, optional
        float32 or float64, with NaN for missing values; None for integers as they are stored.
    axes : tuple of str
        Dimensions of the variable; it is refused if it has them in the opposite order.

    Returns
    -------
    ndarray, shape ``shape``

    Raises
    ------
    InputError
        If the variable is absent, damaged, packed, of another shape or type, or marks missing
        values in another way than the dataset does.
    """
    with explain_damage(path, "HDF5"), open_hdf5(path) as file:
        if name not in file:
            raise InputError(f"expected a variable {name}, found none: {path}; fetch it again")
        stored = file[name]
        difference = _describe_difference(stored, shape, dtype, axes)
        if difference:
            raise InputError(f"expected {name} {difference}: {path}; fetch it again")
        values = _mark_missing(stored, np.asarray(stored[...]), name, path)
        return values if dtype is None else values.astype(dtype, copy=False)


def _describe_difference(
    stored: h5py.Dataset, shape: tuple[int, ...], dtype: type | None, axes: tuple[str, ...]
) -> str:
    """Describe how a variable differs from what is expected; empty if it does not."""
    if stored.shape != shape:
        return f"of shape {shape}, found {stored.shape}"
    if stored.dtype.kind not in ("ui" if dtype is None else "f"):
        numbers = "whole numbers" if dtype is None else "floating-point numbers"
        return f"in {numbers}, found {stored.dtype}"
    packing = [key for key in _PACKING if key in stored.attrs]
    if packing:
        return f"as published, found it packed with {' and '.join(packing)}"
    if axes and axes != axes[::-1] == _list_axes(stored):
        return f"over {', '.join(axes)}, found {', '.join(axes[::-1])}"
    return ""


def _list_axes(item: h5py.Dataset) -> tuple[str, ...]:
    """List the names of the dimensions; empty if the file does not name all of them."""
    scales = [axis[0].name for axis in item.dims if len(axis)]
    return tuple(str(name).rpartition("/")[2] for name in scales) if len(scales) == item.ndim else ()


def _mark_missing(stored: h5py.Dataset, values: np.ndarray, name: str, path: Path) -> np.ndarray:
    """Set values to NaN that the file declares missing.

    SAR and charts have a number of their own for missing values (0 and 255), which stays in the
    values. Values that such a variable marks with another number are refused.
    """
    blank, blank_attribute = _BLANK_VALUES.get(name, (None, ""))
    keys = [key for key in (*_FILL_ATTRIBUTES, blank_attribute) if key and key in stored.attrs]
    fill_values = {key: stored.attrs[key] for key in keys}
    if stored.dtype.kind == "f":
        fill_values.setdefault("_FillValue", _NETCDF_FILL_VALUE)
    for key, attribute in fill_values.items():
        fill_value = np.asarray(attribute)
        if fill_value.dtype.kind not in "uif" or (fill_value == blank).all():
            continue
        if stored.dtype.kind == "f":
            fill_value = fill_value.astype(stored.dtype)
        missing = np.isin(values, fill_value)
        if blank is None:
            values = np.where(missing, np.nan, values)
        elif missing.any():
            raise InputError(
                f"expected missing values of {name} as {blank}, found {key} {fill_value.ravel()[0]}: "
                f"{path}; fetch the ready-to-train version again"
            )
    return values


def _unwrap(value: Any) -> Any:
    """Unwrap an attribute of one element into a number or a text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray) and value.size == 1:
        return value.item()
    return value.item() if isinstance(value, np.generic) else value
