"""Variables of AI4Arctic files as they are stored; refused where they mean something else."""

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
_FILLS = ("_FillValue", "missing_value")
# What netCDF puts where nothing was written, or what was written is lost, if a file names no other.
_NEVER_WRITTEN = 9.969209968386869e36
# What stands for missing values, and the attribute by which the dataset says so.
_BLANK: dict[str, tuple[int, str]] = {
    **dict.fromkeys(SAR_CHANNELS, (0, "variable_fill_value")),
    **dict.fromkeys(CLASS_COUNTS, (NO_CLASS, "chart_fill_value")),
}


def contents(path: Path) -> tuple[dict[str, tuple[int, ...]], tuple[str, ...], dict[str, Any]]:
    """Shapes of the variables by name, dimensions of the SAR, and the global attributes.

    Raises
    ------
    InputError
        If it is no HDF5 file, or damaged.
    """
    with explain_damage(path, "HDF5"), open_hdf5(path, check_heaps=True) as file:
        # A variable without any value has None for a shape.
        shapes = {name: item.shape or () for name, item in file.items() if hasattr(item, "shape")}
        sar = SAR_CHANNELS[0]
        axes = _axes(file[sar]) if shapes.get(sar) else ()
        attributes = {key: file.attrs[key] for key in file.attrs if not key.startswith("_")}
    return shapes, axes, {key: _plain(value) for key, value in attributes.items()}


def read_variable(
    path: Path, name: str, shape: tuple[int, ...], kind: type | None, axes: tuple[str, ...] = ()
) -> np.ndarray:
    """A variable of a known shape, in one read.

    Parameters
    ----------
    path : Path
    name : str
    shape : tuple of int
    kind : type, optional
        float32 or float64, NaN: missing; None for whole numbers as they are.
    axes : tuple of str
        Dimensions that it must not have in the opposite order.

    Raises
    ------
    InputError
        If it is not there, damaged, packed, of another shape or kind, or marks missing values
        otherwise than the dataset does.
    """
    with explain_damage(path, "HDF5"), open_hdf5(path) as file:
        if name not in file:
            raise InputError(f"expected a variable {name}, found none: {path}; fetch it again")
        stored = file[name]
        wrong = _what_is_wrong(stored, shape, kind, axes)
        if wrong:
            raise InputError(f"expected {name} {wrong}: {path}; fetch it again")
        values = _with_blanks(stored, np.asarray(stored[...]), name, path)
        return values if kind is None else values.astype(kind, copy=False)


def _what_is_wrong(
    stored: h5py.Dataset, shape: tuple[int, ...], kind: type | None, axes: tuple[str, ...]
) -> str:
    """What was expected of a variable, and what was found; empty if it is as it should be."""
    if stored.shape != shape:
        return f"of shape {shape}, found {stored.shape}"
    if stored.dtype.kind not in ("ui" if kind is None else "f"):
        wanted = "whole numbers" if kind is None else "floating-point numbers"
        return f"in {wanted}, found {stored.dtype}"
    packing = [key for key in _PACKING if key in stored.attrs]
    if packing:
        return f"as published, found it packed with {' and '.join(packing)}"
    if axes and axes != axes[::-1] == _axes(stored):
        return f"over {', '.join(axes)}, found {', '.join(axes[::-1])}"
    return ""


def _axes(item: h5py.Dataset) -> tuple[str, ...]:
    """Names of the dimensions; empty where the file does not tell all of them."""
    scales = [axis[0].name for axis in item.dims if len(axis)]
    return tuple(str(name).rpartition("/")[2] for name in scales) if len(scales) == item.ndim else ()


def _with_blanks(stored: h5py.Dataset, values: np.ndarray, name: str, path: Path) -> np.ndarray:
    """NaN where the file says that a number is missing.

    SAR and charts have a number of their own for it (0 and 255), and no other is taken.
    """
    blank, own = _BLANK.get(name, (None, ""))
    marks = {key: stored.attrs[key] for key in (*_FILLS, own) if key and key in stored.attrs}
    if stored.dtype.kind == "f":
        marks.setdefault("_FillValue", _NEVER_WRITTEN)
    for key, mark in marks.items():
        told = np.asarray(mark)
        if told.dtype.kind not in "uif" or (told == blank).all():
            continue
        told = told.astype(stored.dtype) if stored.dtype.kind == "f" else told
        here = np.isin(values, told)
        if blank is None:
            values = np.where(here, np.nan, values)
        elif here.any():
            raise InputError(
                f"expected missing values of {name} as {blank}, found {key} {told.ravel()[0]}: {path}; "
                "fetch the ready-to-train version again"
            )
    return values


def _plain(value: Any) -> Any:
    """A number or text where an attribute is one."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray) and value.size == 1:
        return value.item()
    return value.item() if isinstance(value, np.generic) else value
