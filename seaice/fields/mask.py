"""Which cells of a field are sea: read from a mask, by what its attributes say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError, masks
from seaice.fields.axes import (
    Axes,
    axes_of,
)
from seaice.open_file import open_xarray

if TYPE_CHECKING:
    import xarray as xr

    from seaice.fields.open import Reading

_SEA_WORDS = {"sea", "water", "ocean", "open_ocean"}
LAND_WORDS = {"land", "coast", "land_mass"}
_CANDIDATES = ("surface", "land_mask", "mask", "l2p_flags", "sea_binary_mask", "landmask")


@dataclass(frozen=True)
class Sea:
    """Sea cells.

    Attributes
    ----------
    cells : ndarray of bool, shape (y, x)
    source : str
        File and variable they come from.
    note : str
        What the user should know; empty if the mask is a plain one.
    """

    cells: np.ndarray
    source: str
    note: str = ""


def sea_of(
    dataset: xr.Dataset,
    axes: Axes,
    values: np.ndarray,
    land: np.ndarray | None,
    *,
    mask_of: Reading,
    input_file: Path,
) -> Sea:
    """The sea cells of a field.

    From the mask file, else from a mask in the input file that explains itself, else from the
    codes for land among the data (``land``), else: of a stack, cells that were ever observed; of
    one map, all cells.

    Raises
    ------
    InputError
        If a mask is asked for that is not there, has another shape or lies on other cells, does
        not say what its numbers mean, or has no sea.
    """
    if mask_of.mask_file is not None:
        sea = _from_file(Path(mask_of.mask_file), axes, mask_of)
    elif mask_of.mask_variable is not None:
        sea = _from_variable(dataset, axes, mask_of.mask_variable, mask_of, input_file)
    else:
        sea = _from_input(dataset, axes, mask_of, input_file) or _from_values(values, land)
    if not sea.cells.any():
        if mask_of.mask_file is None and not np.isfinite(values).any():
            raise InputError(
                f"{input_file} has no value that may be used; check --variable, --quality_level and "
                "--valid_range"
            )
        raise InputError(f"{sea.source} has no sea at all; check what 1 means in it")
    return sea


def _from_file(path: Path, axes: Axes, mask_of: Reading) -> Sea:
    with open_xarray(path) as dataset:
        if {"surface", "nan_ratio"} <= set(dataset.variables) and mask_of.mask_variable is None:
            return _from_ours(path, axes)
        names = [mask_of.mask_variable] if mask_of.mask_variable else _CANDIDATES
        for name in names:
            if name in dataset.variables:
                return _from_variable(dataset, axes, str(name), mask_of, path)
        raise InputError(
            f"{path}: expected a mask called {', '.join(map(str, names))}, found "
            f"{', '.join(map(str, dataset.data_vars))}; name it with --mask_variable"
        )


def _from_ours(path: Path, axes: Axes) -> Sea:
    mask = masks.read_mask(path)
    if mask.surface.shape != axes.shape:
        raise InputError(
            f"{path}: expected a mask of {axes.shape[0]} x {axes.shape[1]} cells, found "
            f"{mask.surface.shape[0]} x {mask.surface.shape[1]}; make one from files of this grid"
        )
    if axes.grid is not None and not mask.grid.same_cells(axes.grid):
        raise InputError(f"{path} lies on another grid: {mask.grid}, expected {axes.grid}")
    return Sea(mask.ocean, f"{path}: surface")


def _from_input(dataset: xr.Dataset, axes: Axes, mask_of: Reading, path: Path) -> Sea | None:
    for name in _CANDIDATES:
        if name not in dataset.variables:
            continue
        plane = {axes.y, axes.x}
        if not plane <= set(map(str, dataset[name].dims)):
            continue
        if mask_of.mask_means or _explains_itself(dataset[name].attrs):
            return _from_variable(dataset, axes, name, mask_of, path)
    return None


def _explains_itself(attributes: dict[str, Any]) -> bool:
    words = set(str(attributes.get("flag_meanings", "")).lower().split())
    standard = str(attributes.get("standard_name", ""))
    return bool(words & (_SEA_WORDS | LAND_WORDS)) or standard in ("land_binary_mask", "sea_binary_mask")


def _from_variable(dataset: xr.Dataset, axes: Axes, name: str, mask_of: Reading, path: Path) -> Sea:
    if name not in dataset.variables:
        held = ", ".join(map(str, dataset.data_vars))
        raise InputError(f"{path} has no variable {name!r} for the mask; it holds {held}")
    array = dataset[name]
    own = axes_of(dataset, array, path)
    if own.shape != axes.shape:
        raise InputError(
            f"{path}: expected {name} of {axes.shape[0]} x {axes.shape[1]} cells, found "
            f"{own.shape[0]} x {own.shape[1]}; the mask must lie on the cells of the field"
        )
    turned = _compare_places(own, axes, name, path)
    if own.time is not None:
        array = array.isel({own.time: 0})
    array = array.squeeze([d for d in array.dims if d not in (own.y, own.x)])
    codes = own.upward(np.nan_to_num(np.asarray(array.transpose(own.y, own.x).values, np.float64)))
    cells = _sea_codes(codes[::-1] if turned else codes, array.attrs, mask_of, f"{path}: {name}")
    return Sea(np.ascontiguousarray(cells), f"{path}: {name}")


def _compare_places(own: Axes, axes: Axes, name: str, path: Path) -> bool:
    """Whether the rows of the mask run the other way; refuse a mask of another place."""
    pairs = [(own.latitude, axes.latitude), (own.longitude, axes.longitude)]
    if any(a is None or b is None or a.ndim != b.ndim for a, b in pairs):
        if own.grid is not None and axes.grid is not None and not own.grid.same_cells(axes.grid):
            raise InputError(f"{path}: {name} lies on another grid: {own.grid}, expected {axes.grid}")
        return False
    latitude, expected = np.asarray(own.latitude), np.asarray(axes.latitude)
    turned = bool(
        latitude.ndim == 1 and np.sign(latitude[-1] - latitude[0]) != np.sign(expected[-1] - expected[0])
    )
    latitude = latitude[::-1] if turned else latitude
    away = np.nanmax(np.abs(latitude - expected), initial=0)
    east = np.abs(np.asarray(own.longitude) - np.asarray(axes.longitude)) % 360
    away = max(away, np.nanmax(np.minimum(east, 360 - east), initial=0))
    step = np.nanmedian(np.abs(np.diff(expected, axis=0))) if expected.shape[0] > 1 else 1.0
    if away > 0.25 * step:
        raise InputError(
            f"{path}: {name} lies {away:.3g} degrees away from the field; expected the same cells"
        )
    return turned


def _sea_codes(
    codes: np.ndarray, attributes: dict[str, Any], mask_of: Reading, where: str
) -> np.ndarray:
    """Sea cells by the meaning of the codes."""
    if mask_of.mask_means is not None:
        return np.asarray((codes == 1) if mask_of.mask_means == "sea" else (codes != 1))
    standard = str(attributes.get("standard_name", ""))
    if standard in ("land_binary_mask", "sea_binary_mask"):
        return np.asarray((codes == 1) if standard == "sea_binary_mask" else (codes != 1))
    words = str(attributes.get("flag_meanings", "")).lower().split()
    if "flag_masks" in attributes:
        bits = dict(zip(words, np.atleast_1d(attributes["flag_masks"]).tolist(), strict=False))
        return _sea_bits(codes.astype(np.int64), bits, where)
    if "flag_values" in attributes:
        values = np.atleast_1d(attributes["flag_values"]).tolist()
        land = [v for v, word in zip(values, words, strict=False) if word == "land"]
        sea = [v for v, word in zip(values, words, strict=False) if word in _SEA_WORDS]
        if land:
            return ~np.isin(codes, land)
        if sea:
            return np.isin(codes, sea)
    raise InputError(
        f"{where} does not say what its numbers mean; tell what 1 is with --mask_means sea or land"
    )


def _sea_bits(codes: np.ndarray, bits: dict[str, int], where: str) -> np.ndarray:
    """A bit field: GHRSST marks water under ice with both bits, so a cell with the sea bit is sea."""
    for word in _SEA_WORDS:
        if word in bits:
            return (codes & bits[word]) != 0
    for word in LAND_WORDS:
        if word in bits:
            return (codes & bits[word]) == 0
    raise InputError(f"{where}: expected a bit for sea or land, found {', '.join(bits)}")


def _from_values(values: np.ndarray, land: np.ndarray | None) -> Sea:
    if land is not None:
        return Sea(~land, "code for land among the data")
    if len(values) == 1:
        cells = np.ones(values.shape[1:], bool)
        note = "no mask: every missing cell counts as sea, land too; give one with --mask_file"
        return Sea(cells, "none", note)
    cells = np.isfinite(values).any(axis=0)
    note = (
        f"no mask: {int((~cells).sum())} cells that were never observed count as land; give one with "
        "--mask_file"
    )
    return Sea(cells, "cells observed at least once", note)
