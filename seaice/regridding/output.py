"""What is written of a day on another grid: rows of the table of variables, and their stored numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from seaice import cf
from seaice.cube.packing import Packing
from seaice.flags import FillFlag, Surface, flag_attributes
from seaice.regridding.carry import ERROR_RULE, FLAG_RULE, CarriedDay
from seaice.regridding.source import Source

_FLOAT_FILL = float(np.float32(9.96921e36))
# Attributes that hold for stored numbers of the input, not for these.
_STALE = {
    "_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned", "grid_mapping",
    "coordinates", "ancillary_variables", "valid_range", "valid_min", "valid_max",
    "actual_range", "_ChunkSizes",
}  # fmt: skip
_FLAGS = {"flag_values", "flag_meanings", "flag_masks"}

VALID_SHARE = cf.Variable(
    "valid_share",
    ("time", "y", "x"),
    "f4",  # with it the area of ice is exact
    {
        "long_name": "share of the ocean area of a cell that had a value on the grid of the input",
        "units": "1",
        "valid_range": np.array([0, 1], dtype=np.float32),
        "comment": "missing in a cell that is all land; outside the grid of the input there was none",
    },
    _FLOAT_FILL,
)
LAND_SHARE = cf.Variable(
    "land_share",
    ("y", "x"),
    "f4",
    {
        "standard_name": "land_area_fraction",
        "long_name": "share of the cell that is land of the input",
        "units": "1",
        "comment": "missing in cells outside that grid; area of ice: "
        "sea_ice_conc * (1 - land_share) * valid_share * area of the cell",
    },
    _FLOAT_FILL,
)
COMMENT = f"fill flags: {FLAG_RULE}. Expected errors: {ERROR_RULE}."


def fill_floats(values: np.ndarray) -> np.ndarray:
    """Store values as float32 with the fill value of NetCDF for NaN."""
    return np.where(np.isnan(values), np.float32(_FLOAT_FILL), values.astype(np.float32))


def store_cube_day(day: CarriedDay) -> dict[str, np.ndarray]:
    """Store a day of a cube in the types of its variables."""
    with np.errstate(invalid="ignore"):
        stored = np.rint(day.values.astype(np.float64) / cf.CONCENTRATION_SCALE)
    flags = np.zeros(day.values.shape, np.uint8) if day.flags is None else day.flags
    errors = np.full(flags.shape, cf.ERROR_FILL, np.int8)
    if day.errors is not None:
        known = ~np.isnan(day.errors)
        errors[known] = np.clip(np.rint(day.errors[known] / cf.ERROR_SCALE), 0, 127)
    return {
        "sea_ice_conc": np.where(np.isnan(stored), cf.CONCENTRATION_FILL, stored).astype(np.int16),
        "fill_flag": flags,
        "days_back_forward": np.zeros_like(flags) if day.days is None else day.days,
        "sea_ice_conc_error": errors,
        "valid_share": fill_floats(day.share),
    }


def pack_maps(maps: dict[str, np.ndarray], packing: Packing) -> dict[str, list[bytes]]:
    """Pack stored maps into the chunks of a cube."""
    compress, chunks = packing.compressor(), {}
    height, width = packing.tile
    for name, stored in maps.items():
        of_map = []
        for y, x in packing.corners:
            tile = np.zeros(packing.tile, stored.dtype)
            part = stored[y : y + height, x : x + width]
            tile[: part.shape[0], : part.shape[1]] = part
            if packing.shuffled and stored.itemsize > 1:
                tile = np.ascontiguousarray(tile.view(np.uint8).reshape(-1, stored.itemsize).T)
            of_map.append(compress(tile))
        chunks[name] = of_map
    return chunks


def count_cells(day: CarriedDay, surface: np.ndarray, ocean: np.ndarray) -> dict[str, int]:
    """Count the cells of a day as the table of a cube has them."""
    is_missing = np.isnan(day.values) & ocean
    hole = surface == Surface.POLE_HOLE
    filled = ~np.isnan(day.values)
    if day.flags is not None:
        filled &= day.flags != FillFlag.OBSERVED
    return {
        "missing_ocean_cells": int((is_missing & ~hole).sum()),
        "missing_pole_cells": int((is_missing & hole).sum()),
        "filled_ocean_cells": int(filled.sum()),
    }


def list_field_rows(source: Source, dtype: np.dtype, fill: Any) -> list[cf.Variable]:
    """List the variables of a field on another grid; with ``time`` where the input has one."""
    dimensions = ("y", "x") if source.periods is None else ("time", "y", "x")
    attributes = {k: v for k, v in source.attributes.items() if k not in _STALE}
    if source.is_classes:
        kept = {k: v for k, v in source.attributes.items() if k in _FLAGS or k == "valid_range"}
        return [cf.Variable(source.variable, dimensions, dtype.str[1:], {**attributes, **kept}, fill)]
    attributes = {k: v for k, v in attributes.items() if k not in _FLAGS}
    ancillary = ["valid_share"]
    rows = []
    if source.flag_attributes is not None:
        ancillary.append("fill_flag")
        flags = {k: v for k, v in source.flag_attributes.items() if k not in _STALE}
        rows.append(cf.Variable("fill_flag", dimensions, "u1", flags))
    name = f"{source.variable}_error"
    if source.read(0).errors is not None:
        ancillary.append(name)
        rows.append(cf.Variable(name, dimensions, "f4", _describe_errors(source), _FLOAT_FILL))
    attributes["ancillary_variables"] = " ".join(ancillary)
    share = cf.Variable("valid_share", dimensions, "f4", VALID_SHARE.attributes, _FLOAT_FILL)
    rows = [cf.Variable(source.variable, dimensions, "f4", attributes, _FLOAT_FILL), share, *rows]
    if source.surface is not None:
        surface = {"long_name": "surface class", **flag_attributes(Surface)}
        rows += [cf.Variable("surface", ("y", "x"), "u1", surface), LAND_SHARE]
    return rows


def _describe_errors(source: Source) -> dict[str, Any]:
    standard = str(source.attributes.get("standard_name", "")).split(" ")[0]
    named = {"standard_name": f"{standard} standard_error"} if standard else {}
    return {
        **named,
        "long_name": f"expected standard error of {source.variable}",
        "units": source.attributes.get("units", "1"),
    }


def store_field_day(source: Source, day: CarriedDay) -> dict[str, np.ndarray]:
    """Store a map of a field in the types of its variables."""
    stored = {
        source.variable: fill_floats(day.values),
        "valid_share": fill_floats(day.share),
    }
    if day.flags is not None:
        stored["fill_flag"] = day.flags
    if day.errors is not None:
        stored[f"{source.variable}_error"] = fill_floats(day.errors)
    return stored
