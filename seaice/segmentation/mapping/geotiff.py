"""GeoTIFF files of classes or percent on a polar stereographic grid."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import seaice
from seaice import InputError
from seaice.grids import Grid
from seaice.runtime.atomic_write import atomic
from seaice.settings import install_command

# Numbers of the tags in a TIFF file: those of GeoTIFF and GDAL, description and software.
_DESCRIPTION, _SOFTWARE, _NO_DATA = 270, 305, 42113
_PIXEL_SCALE, _TIE_POINT, _GEO_KEYS = 33550, 33922, 34735
# Types of the values of a tag.
_TEXT, _SHORT, _DOUBLE = 2, 3, 12
# The directory of GeoKeys without its last value, the EPSG code. Its head says version 1.1.0 and three
# keys. A key is its number, 0 and 1 for one value in place, and the value: 1024, model type: 1,
# projected; 1025, raster type: 1, a value belongs to the area of its pixel; 3072, projection: the code.
_KEY_DIRECTORY = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1)


def write_geotiff(
    path: Path,
    field: np.ndarray,
    grid: Grid,
    epsg_code: int,
    *,
    colours: Sequence[tuple[int, int, int]] | None = None,
    description: str = "",
    cloud_optimised: bool = False,
) -> None:
    """Write one band of uint8 with its position on the map; 255 is no data.

    Parameters
    ----------
    path : Path
    field : ndarray of uint8, shape (rows, columns)
        On the grid, row 0 the smallest y; in the file north is up.
    grid : Grid
    epsg_code : int
        Code of the map projection of the grid.
    colours : sequence of (int, int, int), optional
        Red, green and blue of each of the 256 values.
    description : str
    cloud_optimised : bool
        Write tiles and overviews in the order of a cloud-optimised GeoTIFF, by rasterio.

    Raises
    ------
    InputError
        If rasterio is not installed, which tiles and overviews need.
    OSError
        If the file cannot be written.
    """
    from PIL import Image, TiffImagePlugin

    image = Image.fromarray(np.ascontiguousarray(field[::-1]))
    if colours is not None:
        image.putpalette([part for colour in colours for part in colour])
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    north = grid.south + grid.rows * grid.step
    for number, kind, value in (
        (_DESCRIPTION, _TEXT, description),
        (_SOFTWARE, _TEXT, f"seaice {seaice.__version__}"),
        (_PIXEL_SCALE, _DOUBLE, (grid.step, grid.step, 0.0)),
        # Column, row and height in the image, then x, y and height of the same point on the map.
        (_TIE_POINT, _DOUBLE, (0.0, 0.0, 0.0, grid.west, north, 0.0)),
        (_GEO_KEYS, _SHORT, (*_KEY_DIRECTORY, epsg_code)),
        (_NO_DATA, _TEXT, "255"),
    ):
        tags.tagtype[number] = kind
        tags[number] = value
    with atomic(path) as part:
        image.save(part, format="TIFF", compression="tiff_adobe_deflate", tiffinfo=tags)
        if cloud_optimised:
            _rearrange(part)


def check_rasterio() -> None:
    """InputError if rasterio is not installed, with what to type."""
    if find_spec("rasterio") is None:
        raise InputError(f"cloud-optimised GeoTIFFs need rasterio: {install_command('rasterio')}")


def _rearrange(path: Path) -> None:
    """Write a GeoTIFF anew in tiles, with overviews of every 2nd, 4th, ... cell."""
    check_rasterio()
    import rasterio.shutil

    plain = path.with_name(f"{path.name}.plain.tif")
    path.replace(plain)
    try:
        # Classes have no mean.
        rasterio.shutil.copy(
            plain, path, driver="COG", compress="DEFLATE", overview_resampling="NEAREST"
        )
    finally:
        plain.unlink(missing_ok=True)
