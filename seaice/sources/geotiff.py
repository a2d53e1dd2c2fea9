"""GeoTIFF files of one band: their numbers as stored, and where their cells lie.

Tags and their meaning: TIFF 6.0, section 2, and OGC GeoTIFF 1.1, section 7 and annex B.6.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from seaice.sources import RejectedDay

_PIXEL_SCALE, _TIE_POINT, _TRANSFORMATION, _GEO_KEYS = 33550, 33922, 34264, 34735
_RASTER_TYPE = 1025  # its value is 1 where positions are those of corners, 2 where of centres
_PROJECTION = 3072  # its value is an EPSG code, or 32767
_PHOTOMETRIC, _BITS, _PALETTE, _GREY = 262, 258, 3, 1
_MOST_CELLS = 1 << 27
# Bytes of a value of each type of TIFF 6.0, where they are not one.
_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}


class CellAxes(NamedTuple):
    """Centres of the columns and of the rows of a GeoTIFF, as they follow each other in the file."""

    x: np.ndarray
    y: np.ndarray


def read_codes(content: bytes) -> tuple[np.ndarray, dict[int, Any]]:
    """Read the numbers of the only band of a GeoTIFF, and its tags.

    Returns
    -------
    codes : ndarray, shape (rows, columns)
        As stored: numbers of a palette are not replaced by colours.
    tags : dict of int to object

    Raises
    ------
    RejectedDay
        If it is none, is damaged or too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(_replace_palette(content))) as image:
            if math.prod(image.size) > _MOST_CELLS:
                raise RejectedDay(f"expected at most {_MOST_CELLS} cells, found {image.size}")
            return np.array(image), dict(getattr(image, "tag_v2", {}))
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        if isinstance(error, RejectedDay):
            raise
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise RejectedDay(f"not a readable GeoTIFF, truncated or damaged ({reason})") from None


def _replace_palette(content: bytes) -> bytes:
    """Call the numbers of a palette of 16 bits grey: Pillow reads no such palette, but such numbers."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    if order is None:
        return content
    places: dict[int, tuple[int, int]] = {}
    for place in _list_entries(content, order):
        tag, kind, count, short = struct.unpack_from(f"{order}HHIH", content, place)
        size = count * _SIZES.get(kind, 1)
        (start,) = struct.unpack_from(f"{order}I", content, place + 8)
        if size > 4 and start + size > len(content):
            raise RejectedDay("not a readable GeoTIFF, truncated or damaged (values beyond its end)")
        places[tag] = place + 8, short
    place, photometric = places.get(_PHOTOMETRIC, (0, 0))
    if photometric != _PALETTE or places.get(_BITS, (0, 0))[1] != 16:
        return content
    return content[:place] + struct.pack(f"{order}H", _GREY) + content[place + 2 :]


def _list_entries(content: bytes, order: str) -> range:
    """List where the entries of the directory of a TIFF file start."""
    try:
        (start,) = struct.unpack_from(f"{order}I", content, 4)
        (count,) = struct.unpack_from(f"{order}H", content, start)
    except struct.error:
        start, count = len(content), 1
    if start + 2 + 12 * count > len(content):
        raise RejectedDay("not a readable GeoTIFF, truncated or damaged (its directory is cut off)")
    return range(start + 2, start + 2 + 12 * count, 12)


def read_axes(tags: Mapping[int, Any], shape: tuple[int, ...]) -> CellAxes | None:
    """Read where the cells of a GeoTIFF lie; None if its tags do not tell.

    Raises
    ------
    RejectedDay
        If the axes are turned against those of the map projection.
    """
    if _TRANSFORMATION in tags:
        xx, xy, _, x0, yx, yy, _, y0 = (float(number) for number in tags[_TRANSFORMATION][:8])
    elif _PIXEL_SCALE in tags and _TIE_POINT in tags:
        column, row, _, x0, y0 = (float(number) for number in tags[_TIE_POINT][:5])
        xx, yy, xy, yx = float(tags[_PIXEL_SCALE][0]), -float(tags[_PIXEL_SCALE][1]), 0.0, 0.0
        x0, y0 = x0 - column * xx, y0 - row * yy
    else:
        return None
    if xy or yx or not xx or not yy:
        raise RejectedDay("its cells are turned against the axes of the map projection")
    centre = 0.0 if _read_key(tags, _RASTER_TYPE) == 2 else 0.5
    rows, columns = shape
    return CellAxes(x0 + (np.arange(columns) + centre) * xx, y0 + (np.arange(rows) + centre) * yy)


def read_epsg_code(tags: Mapping[int, Any]) -> int | None:
    """Read the EPSG code of the map projection; None if the tags name none."""
    code = _read_key(tags, _PROJECTION)
    return code if code and code != 32767 else None


def _read_key(tags: Mapping[int, Any], key: int) -> int | None:
    keys = list(tags.get(_GEO_KEYS, ()))
    values = (int(keys[i + 3]) for i in range(4, len(keys) - 3, 4) if keys[i] == key)
    return next(values, None)
