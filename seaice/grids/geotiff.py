"""The grid of a GeoTIFF from its tags, which are read without the image.

Tags and keys: OGC GeoTIFF 1.1 (https://docs.ogc.org/is/19-008r4/19-008r4.html), section 7 and annex B.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from seaice import InputError
from seaice.grids.layout import CellLayout, recognise_layout
from seaice.open_file import UnreadableFile

_WIDTH, _HEIGHT = 256, 257
_PIXEL_SCALE, _TIE_POINT, _TRANSFORMATION, _GEO_KEYS = 33550, 33922, 34264, 34735
_MODEL, _RASTER, _GEOGRAPHIC, _PROJECTED = 1024, 1025, 2048, 3072
_IS_POINT = 2  # value of _RASTER where positions are those of centres, not of upper left corners
# The formats of a number, by the type of a tag.
_FORMATS = {1: "B", 3: "H", 4: "I", 9: "i", 11: "f", 12: "d", 16: "Q"}
_MOST_VALUES = 1 << 16


def read_tags(path: Path) -> dict[int, tuple[Any, ...]]:
    """Read the tags of the first image of a TIFF or BigTIFF file that hold numbers.

    Raises
    ------
    UnreadableFile
        If there is no such file, or it is no TIFF.
    """
    try:
        with path.open("rb") as file:
            return _read_directory(file)
    except FileNotFoundError:
        raise UnreadableFile(f"no such file: {path}", "no such file") from None
    except OSError as error:
        reason = str(error.strerror or error)
        raise UnreadableFile(f"{path} cannot be read: {reason}", reason) from None
    except (ValueError, struct.error) as error:
        raise UnreadableFile(f"{path} is no readable GeoTIFF ({error})", str(error)) from None


def _read_directory(file: BinaryIO) -> dict[int, tuple[Any, ...]]:
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None or len(start) < 8:
        raise ValueError("it does not begin as one")
    is_big = struct.unpack_from(f"{order}H", start, 2)[0] == 43
    count_format, entry_format, offset_format = ("Q", "HHQ", "Q") if is_big else ("H", "HHI", "I")
    (offset,) = struct.unpack_from(order + offset_format, start, 8 if is_big else 4)
    file.seek(offset)
    (count,) = _unpack(file, order + count_format)
    inline = struct.calcsize(offset_format)
    entries = [(*_unpack(file, order + entry_format), file.read(inline)) for _ in range(count)]
    tags = {}
    for tag, kind, number, value in entries:
        if kind in _FORMATS and number <= _MOST_VALUES:
            layout = f"{order}{number}{_FORMATS[kind]}"
            if struct.calcsize(layout) > inline:
                file.seek(struct.unpack(order + offset_format, value)[0])
                tags[tag] = _unpack(file, layout)
            else:
                tags[tag] = struct.unpack_from(layout, value)
    return tags


def _unpack(file: BinaryIO, layout: str) -> tuple[Any, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def read_geotiff_layout(path: Path) -> CellLayout:
    """Read the grid of a GeoTIFF and the order of its cells.

    Raises
    ------
    InputError
        If it has no position, is turned against the axes of its map projection, or names no projection
        by an EPSG code.
    """
    tags = read_tags(path)
    keys = _read_keys(tags)
    x0, xx, y0, yy = _read_position(tags, path)
    code = keys.get(_PROJECTED if keys.get(_MODEL, 1) == 1 else _GEOGRAPHIC, 32767)
    if code in (0, 32767):
        raise InputError(
            f"{path} names no EPSG code: give the grid as EPSG:CODE:STEP:WEST,SOUTH,EAST,NORTH"
        )
    centre = 0.0 if keys.get(_RASTER) == _IS_POINT else 0.5
    x = x0 + (np.arange(tags[_WIDTH][0]) + centre) * xx
    y = y0 + (np.arange(tags[_HEIGHT][0]) + centre) * yy
    return recognise_layout(x, y, {"epsg_code": f"EPSG:{code}"})


def _read_keys(tags: Mapping[int, tuple[Any, ...]]) -> dict[int, int]:
    """Read the keys whose value stands beside them."""
    numbers = tags.get(_GEO_KEYS, ())
    entries = (numbers[i : i + 4] for i in range(4, len(numbers) - 3, 4))
    return {key: value for key, tag, _, value in entries if tag == 0}


def _read_position(tags: Mapping[int, tuple[Any, ...]], path: Path) -> tuple[float, float, float, float]:
    """Read x of the first column and its step, and the same of the rows."""
    if _TRANSFORMATION in tags:
        xx, xy, _, x0, yx, yy, _, y0 = (float(number) for number in tags[_TRANSFORMATION][:8])
        if xy or yx:
            raise InputError(f"the cells of {path} are turned against the axes of the map projection")
        return x0, xx, y0, yy
    if _PIXEL_SCALE in tags and _TIE_POINT in tags:
        column, row, _, x0, y0 = (float(number) for number in tags[_TIE_POINT][:5])
        xx, yy = float(tags[_PIXEL_SCALE][0]), -float(tags[_PIXEL_SCALE][1])
        return x0 - column * xx, xx, y0 - row * yy, yy
    raise InputError(f"{path} is a TIFF without a position on the Earth")
