"""Mask of a field: which of its cells are sea, read from a mask by the meaning of its codes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError, masks
from seaice.fields.axes import FieldAxes, read_axes
from seaice.open_file import open_xarray

if TYPE_CHECKING:
    import xarray as xr

    from seaice.fields.options import ReadOptions

_SEA_WORDS = {"sea", "water", "ocean", "open_ocean"}
LAND_WORDS = {"land", "coast", "land_mass"}
_CANDIDATES = ("surface", "land_mask", "mask", "l2p_flags", "sea_binary_mask", "landmask")


@dataclass(frozen=True)
class SeaMask:
    """Sea cells of a field, and where they were read from.

    Attributes
    ----------
    cells : ndarray of bool, shape (y, x)
        True over sea.
    source : str
        File and variable of the mask, or how it was made without one.
    note : str
        Advice for the user; empty if the mask was read from a file.
    """

    cells: np.ndarray
    source: str
    note: str = ""


def find_sea(
    dataset: xr.Dataset,
    axes: FieldAxes,
    values: np.ndarray,
    land: np.ndarray | None,
    *,
    options: ReadOptions,
    input_file: Path,
) -> SeaMask:
    """Find the sea cells of a field.

    They come from the mask file, else from a mask in the input file whose attributes explain it,
    else from codes for land among the data. Without any of these, the sea is every cell that was
    observed at least once in a stack of maps, and every cell of one map.

    Parameters
    ----------
    dataset : xarray.Dataset
        The open input file.
    axes : FieldAxes
        Axes of the field.
    values : ndarray, shape (time, y, x)
        The field; NaN is missing.
    land : ndarray of bool, shape (y, x), or None
        Cells with a code for land among the data.
    options : ReadOptions
    input_file : Path
        Path of the input file, for messages.

    Raises
    ------
    InputError
        If the mask that the options name does not exist, has another shape or lies on other
        cells, does not say what its numbers mean, or has no sea.
    """
    if options.mask_file is not None:
        sea = _read_from_file(Path(options.mask_file), axes, options)
    elif options.mask_variable is not None:
        sea = _read_from_variable(dataset, axes, options.mask_variable, options, input_file)
    else:
        sea = _read_from_input(dataset, axes, options, input_file) or _derive_from_values(values, land)
    if not sea.cells.any():
        if options.mask_file is None and not np.isfinite(values).any():
            raise InputError(
                f"{input_file} has no value that may be used; check --variable, --quality_level and "
                "--valid_range"
            )
        raise InputError(f"{sea.source} has no sea at all; check what 1 means in it")
    return sea


def _read_from_file(path: Path, axes: FieldAxes, options: ReadOptions) -> SeaMask:
    with open_xarray(path) as dataset:
        if {"surface", "nan_ratio"} <= set(dataset.variables) and options.mask_variable is None:
            return _read_from_mask_file(path, axes)
        names = [options.mask_variable] if options.mask_variable else _CANDIDATES
        for name in names:
            if name in dataset.variables:
                return _read_from_variable(dataset, axes, str(name), options, path)
        raise InputError(
            f"{path}: expected a mask called {', '.join(map(str, names))}, found "
            f"{', '.join(map(str, dataset.data_vars))}; name it with --mask_variable"
        )


def _read_from_mask_file(path: Path, axes: FieldAxes) -> SeaMask:
    """Read the sea from a mask of ``create_mask.py``."""
    mask = masks.read_mask(path)
    if mask.surface.shape != axes.shape:
        raise InputError(
            f"{path}: expected a mask of {axes.shape[0]} x {axes.shape[1]} cells, found "
            f"{mask.surface.shape[0]} x {mask.surface.shape[1]}; make one from files of this grid"
        )
    if axes.grid is not None and not mask.grid.same_cells(axes.grid):
        raise InputError(f"{path} lies on another grid: {mask.grid}, expected {axes.grid}")
    return SeaMask(mask.ocean, f"{path}: surface")


def _read_from_input(
    dataset: xr.Dataset, axes: FieldAxes, options: ReadOptions, path: Path
) -> SeaMask | None:
    for name in _CANDIDATES:
        if name not in dataset.variables:
            continue
        if not {axes.y, axes.x} <= set(map(str, dataset[name].dims)):
            continue
        if options.mask_means or _explains_itself(dataset[name].attrs):
            return _read_from_variable(dataset, axes, name, options, path)
    return None


def _explains_itself(attributes: dict[str, Any]) -> bool:
    words = set(str(attributes.get("flag_meanings", "")).lower().split())
    standard = str(attributes.get("standard_name", ""))
    return bool(words & (_SEA_WORDS | LAND_WORDS)) or standard in ("land_binary_mask", "sea_binary_mask")


def _read_from_variable(
    dataset: xr.Dataset, axes: FieldAxes, name: str, options: ReadOptions, path: Path
) -> SeaMask:
    if name not in dataset.variables:
        names = ", ".join(map(str, dataset.data_vars))
        raise InputError(f"{path} has no variable {name!r} for the mask; it holds {names}")
    array = dataset[name]
    mask_axes = read_axes(dataset, array, path)
    if mask_axes.shape != axes.shape:
        raise InputError(
            f"{path}: expected {name} of {axes.shape[0]} x {axes.shape[1]} cells, found "
            f"{mask_axes.shape[0]} x {mask_axes.shape[1]}; the mask must lie on the cells of the field"
        )
    are_rows_reversed = _compare_positions(mask_axes, axes, name, path)
    if mask_axes.time is not None:
        array = array.isel({mask_axes.time: 0})
    array = array.squeeze([d for d in array.dims if d not in (mask_axes.y, mask_axes.x)])
    codes = mask_axes.turn_rows(
        np.nan_to_num(np.asarray(array.transpose(mask_axes.y, mask_axes.x).values, np.float64))
    )
    codes = codes[::-1] if are_rows_reversed else codes
    cells = _select_sea(codes, array.attrs, options, f"{path}: {name}")
    return SeaMask(np.ascontiguousarray(cells), f"{path}: {name}")


def _compare_positions(mask_axes: FieldAxes, axes: FieldAxes, name: str, path: Path) -> bool:
    """Return whether rows of mask and field run in opposite directions; refuse a mask of other cells."""
    pairs = [(mask_axes.latitude, axes.latitude), (mask_axes.longitude, axes.longitude)]
    if any(a is None or b is None or a.ndim != b.ndim for a, b in pairs):
        if (
            mask_axes.grid is not None
            and axes.grid is not None
            and not mask_axes.grid.same_cells(axes.grid)
        ):
            raise InputError(
                f"{path}: {name} lies on another grid: {mask_axes.grid}, expected {axes.grid}"
            )
        return False
    latitude, expected = np.asarray(mask_axes.latitude), np.asarray(axes.latitude)
    are_rows_reversed = bool(
        latitude.ndim == 1 and np.sign(latitude[-1] - latitude[0]) != np.sign(expected[-1] - expected[0])
    )
    latitude = latitude[::-1] if are_rows_reversed else latitude
    distance = np.nanmax(np.abs(latitude - expected), initial=0)
    # Longitudes may be 0 to 360 in one file and -180 to 180 in the other.
    east = np.abs(np.asarray(mask_axes.longitude) - np.asarray(axes.longitude)) % 360
    distance = max(distance, np.nanmax(np.minimum(east, 360 - east), initial=0))
    step = np.nanmedian(np.abs(np.diff(expected, axis=0))) if expected.shape[0] > 1 else 1.0
    if distance > 0.25 * step:
        raise InputError(
            f"{path}: {name} lies {distance:.3g} degrees away from the field; expected the same cells"
        )
    return are_rows_reversed


def _select_sea(
    codes: np.ndarray, attributes: dict[str, Any], options: ReadOptions, mask_name: str
) -> np.ndarray:
    """Select the sea cells by the meaning of the codes; bool (y, x)."""
    if options.mask_means is not None:
        return np.asarray((codes == 1) if options.mask_means == "sea" else (codes != 1))
    standard = str(attributes.get("standard_name", ""))
    if standard in ("land_binary_mask", "sea_binary_mask"):
        return np.asarray((codes == 1) if standard == "sea_binary_mask" else (codes != 1))
    words = str(attributes.get("flag_meanings", "")).lower().split()
    if "flag_masks" in attributes:
        bits = dict(zip(words, np.atleast_1d(attributes["flag_masks"]).tolist(), strict=False))
        return _select_sea_by_bits(codes.astype(np.int64), bits, mask_name)
    if "flag_values" in attributes:
        values = np.atleast_1d(attributes["flag_values"]).tolist()
        land = [v for v, word in zip(values, words, strict=False) if word == "land"]
        sea = [v for v, word in zip(values, words, strict=False) if word in _SEA_WORDS]
        if land:
            return ~np.isin(codes, land)
        if sea:
            return np.isin(codes, sea)
    raise InputError(
        f"{mask_name} does not say what its numbers mean; tell what 1 is with --mask_means sea or land"
    )


def _select_sea_by_bits(codes: np.ndarray, bits: dict[str, int], mask_name: str) -> np.ndarray:
    """Select the sea cells of a bit field, by the bit for sea if there is one.

    GHRSST sets the bits for sea and for ice where there is ice: such a cell is sea.
    """
    for word in _SEA_WORDS:
        if word in bits:
            return (codes & bits[word]) != 0
    for word in LAND_WORDS:
        if word in bits:
            return (codes & bits[word]) == 0
    raise InputError(f"{mask_name}: expected a bit for sea or land, found {', '.join(bits)}")


def _derive_from_values(values: np.ndarray, land: np.ndarray | None) -> SeaMask:
    if land is not None:
        return SeaMask(~land, "code for land among the data")
    if len(values) == 1:
        cells = np.ones(values.shape[1:], bool)
        note = "no mask: every missing cell counts as sea, land too; give one with --mask_file"
        return SeaMask(cells, "none", note)
    cells = np.isfinite(values).any(axis=0)
    note = (
        f"no mask: {int((~cells).sum())} cells that were never observed count as land; give one with "
        "--mask_file"
    )
    return SeaMask(cells, "cells observed at least once", note)
