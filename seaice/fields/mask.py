"""Mask of a field: which of its cells are sea, read from a mask by the meaning of its codes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError, masks
from seaice.fields.alignment import match_cells
from seaice.fields.axes import FieldAxes, read_axes
from seaice.fields.open import open_field
from seaice.flags import SurfaceClass, SurfaceCodes, is_ocean, read_surface_codes, translate_surface
from seaice.open_file import explain_damage
from seaice.open_file.address import Place

if TYPE_CHECKING:
    import xarray as xr

    from seaice.fields.options import ReadOptions

# Names of variables that may be a mask, the likeliest first.
_CANDIDATES = (
    "surface", "land_mask", "mask", "l2p_flags", "sea_binary_mask", "landmask", "land_sea_mask",
    "surface_type_mask", "surface_type", "lsm", "sftlf", "sftof", "tmask", "status_flag",
)  # fmt: skip
# Standard names of masks and shares of land or sea: whether large numbers are sea.
_STANDARD_MASKS = {
    "land_binary_mask": False,
    "sea_binary_mask": True,
    "land_area_fraction": False,
    "sea_area_fraction": True,
}
_VERTICAL_NAMES = ("depth", "deptht", "lev", "level", "z", "height", "olevel")


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
        Advice for the user; empty if there is none.
    unknown : ndarray of bool, shape (y, x), or None
        Cells for which the mask has no number.
    surface : ndarray of uint8, shape (y, x), or None
        Codes of :class:`seaice.flags.Surface`, of a mask that has them.
    """

    cells: np.ndarray
    source: str
    note: str = ""
    unknown: np.ndarray | None = None
    surface: np.ndarray | None = None

    def settle_unknown(self, observed: np.ndarray) -> SeaMask:
        """Return the mask with cells of no class as sea where the field was ever observed."""
        if self.unknown is None:
            return self
        count = int((self.unknown & ~observed).sum())
        note = f"{count} cells without a class in the mask count as land, they were never observed"
        return replace(
            self,
            cells=self.cells | (self.unknown & observed),
            note="; ".join(text for text in (self.note, note if count else "") if text),
            unknown=None,
        )

    def compare_with(self, observed: np.ndarray) -> SeaMask:
        """Return the mask with a note if much of what was observed lies on its land."""
        on_land, count = int((observed & ~self.cells).sum()), int(observed.sum())
        if on_land <= 0.5 * count:
            return self
        note = (
            f"{on_land} of {count} observed cells lie on land and are not used: check the mask "
            "(--mask_means, --sea_codes)"
        )
        return replace(self, note="; ".join(text for text in (self.note, note) if text))


def find_sea(
    dataset: xr.Dataset,
    axes: FieldAxes,
    values: np.ndarray,
    land: np.ndarray | None,
    *,
    options: ReadOptions,
    input_file: Place,
    variable: str,
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
    variable : str
        Name of the variable of the field.

    Raises
    ------
    InputError
        If the mask that the options name does not exist, has another shape or lies on other
        cells, does not say what its numbers mean, or has no sea.
    """
    if options.mask_file is not None:
        sea = _read_from_file(Path(options.mask_file), axes, options)
    else:
        sea = _read_from_input(dataset, axes, options, input_file, variable) or _derive_from_values(
            values, land
        )
    observed = np.isfinite(values).any(axis=0)
    sea = sea.settle_unknown(observed)
    if not sea.cells.any():
        if options.mask_file is None and not observed.any():
            raise InputError(
                f"{input_file} has no value that may be used; check --variable, --quality_level and "
                "--valid_range"
            )
        raise InputError(f"{sea.source} has no sea at all; check what 1 means in it")
    return sea.compare_with(observed)


def read_sea_of_input(
    dataset: xr.Dataset, axes: FieldAxes, path: Place, variable: str
) -> SeaMask | None:
    """Read the sea from a mask in the file of a field; None if it has none that explains itself."""
    from seaice.fields.options import ReadOptions

    return _read_from_input(dataset, axes, ReadOptions(), path, variable)


def _read_from_file(path: Path, axes: FieldAxes, options: ReadOptions) -> SeaMask:
    with open_field(path) as dataset:
        is_own_mask = {"surface", "nan_ratio"} <= set(dataset.variables)
        if is_own_mask and options.mask_variable is None and not options.names_surface:
            return _read_from_mask_file(path, axes)
        name = options.mask_variable or _choose_mask(dataset, (), options)
        if name is None:
            raise InputError(
                f"{path}: expected a mask called {', '.join(_CANDIDATES)}, found "
                f"{', '.join(map(str, dataset.data_vars))}; name it with --mask_variable"
            )
        return _read_from_variable(dataset, axes, name, options, path)


def _read_from_mask_file(path: Path, axes: FieldAxes) -> SeaMask:
    """Read the sea from a mask of ``create_mask.py``."""
    mask = masks.read_mask(path)
    order = match_cells(FieldAxes.of_grid(mask.grid), axes, path, "surface")
    surface = order.arrange(mask.surface)
    return SeaMask(is_ocean(surface), f"{path}: surface", order.note, surface=surface)


def _read_from_input(
    dataset: xr.Dataset, axes: FieldAxes, options: ReadOptions, path: Place, variable: str
) -> SeaMask | None:
    """Read the sea from a mask of the input file itself; None if there is none that explains itself."""
    name = options.mask_variable
    if name is None:
        listed = str(dataset[variable].attrs.get("ancillary_variables", "")).split()
        on_cells = [
            str(n)
            for n, array in dataset.variables.items()
            if n != variable and {axes.y, axes.x} <= set(map(str, array.dims))
        ]
        flags = [n for n in listed if n in on_cells and _holds_flags(dataset[n])]
        name = _choose_mask(dataset, flags, options, among=on_cells)
    if name is None:
        if options.names_surface:
            raise InputError(
                f"{path} holds no mask whose codes could be sea or land; name one with --mask_variable "
                "or --mask_file"
            )
        return None
    return _read_from_variable(dataset, axes, name, options, path, is_input=True)


def _holds_flags(array: xr.DataArray) -> bool:
    """Whether a variable holds flags and not numbers with flags among them."""
    stored = np.dtype(array.encoding.get("dtype", array.dtype))
    return stored.kind in "iub" and "scale_factor" not in array.encoding and array.name != "fill_flag"


def _choose_mask(
    dataset: xr.Dataset,
    flags: Sequence[str],
    options: ReadOptions,
    *,
    among: Collection[str] | None = None,
) -> str | None:
    """Choose the variable that is a mask: by its usual name, standard name, or as flags of the field.

    Parameters
    ----------
    flags : sequence of str
        Flag variables that the field names.
    among : collection of str, optional
        Names to choose from, of which only a mask that explains itself is taken; by default all, of
        which the first with a usual name is taken.
    """
    names = [n for n in _CANDIDATES if n in dataset.variables]
    names += [
        str(n) for n, v in dataset.variables.items() if v.attrs.get("standard_name") in _STANDARD_MASKS
    ]
    names += flags
    if among is not None:
        names = [name for name in names if name in among]
    for name in names:
        if options.mask_means or options.names_surface or _explains_itself(dataset[name].attrs):
            return name
    return names[0] if names and among is None else None


def _explains_itself(attributes: Mapping[str, Any]) -> bool:
    codes = read_surface_codes(attributes)
    tells_surface = codes is not None and codes.tells_surface
    return tells_surface or str(attributes.get("standard_name", "")) in _STANDARD_MASKS


def _read_from_variable(
    dataset: xr.Dataset,
    axes: FieldAxes,
    name: str,
    options: ReadOptions,
    path: Place,
    *,
    is_input: bool = False,
) -> SeaMask:
    if name not in dataset.variables:
        names = ", ".join(map(str, dataset.data_vars))
        raise InputError(f"{path} has no variable {name!r} for the mask; it holds {names}")
    with explain_damage(path, "Zarr" if path.is_dir() else "NetCDF"):
        array = _take_surface(dataset, dataset[name]).load()
    mask_axes = read_axes(dataset, array, path)
    codes, is_missing = _read_numbers(array, mask_axes, path)
    is_beside = is_input and (mask_axes.y, mask_axes.x) == (axes.y, axes.x)
    # Only the field may name the projection by which the order of the rows is known.
    turn = (axes if is_beside else mask_axes).turn
    codes, is_missing, order_note = turn(codes), turn(is_missing), ""
    if not is_beside:
        order = match_cells(mask_axes, axes, path, name)
        codes, is_missing, order_note = order.arrange(codes), order.arrange(is_missing), order.note
    source = f"{path}: {name}"
    cells, note = _select_sea(codes, is_missing, array.attrs, options, source)
    notes = "; ".join(text for text in (order_note, note) if text)
    unknown = is_missing if is_missing.any() else None
    surface = None
    if name == "surface" and unknown is None and not options.names_surface:
        with suppress(InputError):  # classes of somebody else
            surface = translate_surface(codes.astype(np.int64), array.attrs)
    return SeaMask(cells & ~is_missing, source, notes, unknown, surface)


def _take_surface(dataset: xr.Dataset, array: xr.DataArray) -> xr.DataArray:
    """Take the level of a mask that is nearest the surface of the sea."""
    for dimension in map(str, array.dims):
        attributes = dataset[dimension].attrs if dimension in dataset.variables else {}
        if dimension in _VERTICAL_NAMES or attributes.get("axis") == "Z" or "positive" in attributes:
            heights = np.abs(np.asarray(dataset[dimension].values, np.float64))
            array = array.isel({dimension: int(np.argmin(heights))})
    return array


def _read_numbers(array: xr.DataArray, axes: FieldAxes, path: Place) -> tuple[np.ndarray, np.ndarray]:
    """Read the numbers of a mask, float64 (rows, columns) as stored, and where they are missing.

    A fill value that the attributes explain is a code like any other.
    """
    extra = [d for d in array.dims if d not in (axes.time, axes.y, axes.x)]
    array = array.squeeze(extra)
    order = (axes.y, axes.x) if axes.time is None else (axes.time, axes.y, axes.x)
    try:
        maps = np.asarray(array.transpose(*order).values, np.float64).reshape(-1, *axes.shape)
    except MemoryError:
        shape = " x ".join(map(str, array.shape))
        raise InputError(f"{path}: {array.name} of {shape} values does not fit into memory") from None
    fill = array.encoding.get("_FillValue")
    explained = read_surface_codes(array.attrs)
    is_binary = array.attrs.get("standard_name") in ("land_binary_mask", "sea_binary_mask")
    if fill is not None and np.ndim(fill) == 0 and np.isfinite(fill):
        codes = () if explained is None or explained.are_bits else explained.classes
        if int(fill) in codes or (is_binary and fill in (0, 1)):
            maps = np.where(np.isnan(maps), float(fill), maps)
    is_missing = np.isnan(maps)
    first = int(np.argmin(is_missing.all(axis=(1, 2))))  # the first map with numbers
    return np.nan_to_num(maps[first]), is_missing[first]


def _select_sea(
    codes: np.ndarray,
    is_missing: np.ndarray,
    attributes: Mapping[str, Any],
    options: ReadOptions,
    mask_name: str,
) -> tuple[np.ndarray, str]:
    """Select the sea cells by the meaning of the codes.

    Returns
    -------
    cells : ndarray of bool, shape (rows, columns)
    note : str
        Advice for the user; empty if there is none.
    """
    if options.names_surface:
        return _select_by_options(codes, is_missing, options, mask_name), ""
    explained = read_surface_codes(attributes)
    if explained is not None and explained.tells_surface:
        one = explained.classes.get(1)
        meaning = {SurfaceClass.SEA: "sea", SurfaceClass.LAND: "land"}.get(one or SurfaceClass.UNKNOWN)
        if options.mask_means in (None, meaning):
            if explained.are_bits or explained.explains_as_bits(codes[~is_missing]):
                return _select_by_bits(codes.astype(np.int64), explained)
            return _select_by_codes(codes, is_missing, explained, mask_name)
    is_sea_large = _STANDARD_MASKS.get(str(attributes.get("standard_name", "")))
    if options.mask_means is not None:
        is_sea_large = options.mask_means == "sea"
        _refuse_bits(codes, mask_name)
    if is_sea_large is None:
        raise InputError(
            f"{mask_name} does not say what its numbers mean; tell what 1 is with --mask_means sea or "
            "land, or name the numbers with --sea_codes or --land_codes"
        )
    is_large = codes == 1
    if (codes % 1 != 0).any() or str(attributes.get("standard_name", "")).endswith("area_fraction"):
        # Shares of land or sea: a cell is what most of it is.
        is_large = codes >= (50 if codes.max() > 1 else 0.5)
    return (is_large if is_sea_large else ~is_large), ""


def _refuse_bits(codes: np.ndarray, mask_name: str) -> None:
    """Refuse numbers that are 1 together with further bits, of which «1 is sea» says nothing."""
    odd = np.unique(codes[(codes > 1) & (codes % 2 == 1)]).astype(int)
    if odd.size:
        raise InputError(
            f"{mask_name} holds {', '.join(map(str, odd[:5]))} besides 1, which may be 1 with further "
            "bits (sea with ice); say --sea_bits 1, or --sea_codes 1 and what else is sea"
        )


def _select_by_options(
    codes: np.ndarray, is_missing: np.ndarray, options: ReadOptions, mask_name: str
) -> np.ndarray:
    """Select the sea cells by the codes or bits that the user names."""
    if (options.sea_codes or options.land_codes) and (options.sea_bits or options.land_bits):
        raise InputError(
            "expected codes or bits of the mask, found both; give --sea_codes or --sea_bits"
        )
    if options.sea_bits or options.land_bits:
        numbers = codes.astype(np.int64)
        has_land = (numbers & sum(set(options.land_bits))) != 0
        return ~has_land if not options.sea_bits else (numbers & sum(set(options.sea_bits))) != 0
    is_sea, is_land = np.isin(codes, options.sea_codes), np.isin(codes, options.land_codes)
    if options.sea_codes and options.land_codes:
        _refuse_unexplained(codes, is_missing | is_sea | is_land, mask_name)
    return is_sea if options.sea_codes else ~is_land


def _refuse_unexplained(codes: np.ndarray, is_explained: np.ndarray, mask_name: str) -> None:
    unexplained = np.unique(codes[~is_explained])
    if unexplained.size:
        listed = ", ".join(f"{code:g}" for code in unexplained[:5])
        raise InputError(
            f"{mask_name}: {int((~is_explained).sum())} cells have numbers without a meaning "
            f"({listed}); say what is sea with --sea_codes, and what is land with --land_codes"
        )


def _select_by_codes(
    codes: np.ndarray, is_missing: np.ndarray, explained: SurfaceCodes, mask_name: str
) -> tuple[np.ndarray, str]:
    """Select the sea cells of a mask with one code for each cell."""
    listed = explained.list_codes
    _refuse_unexplained(codes, is_missing | np.isin(codes, list(explained.classes)), mask_name)
    lakes = np.isin(codes, listed(SurfaceClass.LAKE))
    land = listed(SurfaceClass.LAND, SurfaceClass.LAKE, SurfaceClass.OUTSIDE, SurfaceClass.MISSING)
    if listed(SurfaceClass.LAND):
        cells = ~np.isin(codes, land)
    else:
        cells = np.isin(codes, listed(SurfaceClass.SEA, SurfaceClass.ICE))
    return cells, _describe_lakes(lakes)


def _select_by_bits(codes: np.ndarray, explained: SurfaceCodes) -> tuple[np.ndarray, str]:
    """Select the sea cells of a bit field, by the bits for sea if there are any.

    GHRSST sets the bits for sea and for ice where there is ice: such a cell is sea. With the bit for
    lakes it is a lake, whatever else is set.
    """
    sea, ice, land, lake, outside = (
        (codes & sum(explained.list_codes(surface))) != 0
        for surface in (
            SurfaceClass.SEA,
            SurfaceClass.ICE,
            SurfaceClass.LAND,
            SurfaceClass.LAKE,
            SurfaceClass.OUTSIDE,
        )
    )
    cells = ~land
    if explained.list_codes(SurfaceClass.SEA):
        cells = sea | (ice & ~land)
    return cells & ~lake & ~outside, _describe_lakes(lake)


def _describe_lakes(lakes: np.ndarray) -> str:
    count = int(lakes.sum())
    return f"{count} cells of lakes and rivers count as land" if count else ""


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
