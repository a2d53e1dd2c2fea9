"""Bands of an image on pixels of about the size of SAR pixels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from seaice import InputError
from seaice.settings import catalogue_token, install_command
from seaice.sources.sentinel2.catalogue import Image, hide_query

# Classes of the scene classification: without data or defective, shadow of clouds, clouds and cirrus.
NO_DATA, CLOUD = (0, 1), (3, 8, 9, 10)
_METRES = 80.0


@dataclass(frozen=True)
class Raster:
    """A band, averaged to pixels of about 80 m.

    Attributes
    ----------
    values : ndarray, shape (rows, columns)
    crs : str
        Projection, as pyproj reads it.
    corner : (float, float)
        x and y of the upper left corner.
    step : (float, float)
        Size of a pixel in x, and in y downwards.
    """

    values: np.ndarray
    crs: str
    corner: tuple[float, float]
    step: tuple[float, float]

    def sample(self, x: np.ndarray, y: np.ndarray, missing: float) -> np.ndarray:
        """Values of the pixels that hold some points; ``missing`` outside."""
        with np.errstate(invalid="ignore"):
            column = np.floor((x - self.corner[0]) / self.step[0])
            row = np.floor((self.corner[1] - y) / self.step[1])
        rows, columns = self.values.shape
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        sampled = np.full(x.shape, missing, self.values.dtype)
        sampled[inside] = self.values[row[inside].astype(np.intp), column[inside].astype(np.intp)]
        return sampled


def read_reflectance(image: Image, band: str) -> Raster:
    """Read a band: reflectance, float32, NaN without data.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    scale, offset = image.scales[band]
    # 0 is no data, whether the file says so or not, and takes no part in a mean.
    with _open(image, band) as raster, WarpedVRT(raster, src_nodata=0, nodata=0) as numbers:
        mean = _read(numbers, np.float32, Resampling.average)
    values = np.where(mean.values > 0, mean.values * np.float32(scale) + np.float32(offset), np.nan)
    return Raster(values.astype(np.float32), mean.crs, mean.corner, mean.step)


def read_classes(image: Image) -> Raster:
    """Read the scene classification: the most frequent class of every pixel, uint8.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    from rasterio.enums import Resampling

    with _open(image, "classes") as raster:
        return _read(raster, np.uint8, Resampling.mode)


def _read(raster: Any, kind: type, resampling: Any) -> Raster:
    factor = [max(1, round(_METRES / abs(step))) for step in (raster.transform.e, raster.transform.a)]
    shape = tuple(-(-count // f) for count, f in zip(raster.shape, factor, strict=True))
    values = raster.read(1, out_shape=shape, resampling=resampling, out_dtype=kind)
    bounds = raster.bounds
    step = ((bounds.right - bounds.left) / shape[1], (bounds.top - bounds.bottom) / shape[0])
    return Raster(values, raster.crs.to_wkt(), (bounds.left, bounds.top), step)


@contextmanager
def _open(image: Image, band: str) -> Iterator[Any]:
    address = image.assets[band]
    try:
        import rasterio
        from rasterio.errors import RasterioError
    except ImportError as error:
        raise InputError(f"sentinel2 needs rasterio ({error}): {install_command('rasterio')}") from None
    options = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_HTTP_MAX_RETRY": "3"}
    token = catalogue_token()
    if token and image.is_of_catalogue(address):
        options["GDAL_HTTP_HEADERS"] = f"Authorization: Bearer {token}"
    try:
        with rasterio.Env(**options), rasterio.open(address) as raster:
            if raster.crs is None or raster.crs.is_geographic:
                raise ValueError("expected a map projection, found none")
            yield raster
    except (RasterioError, OSError, ValueError) as error:
        reason = " ".join(str(error).replace(address, hide_query(address)).split())[:160]
        raise InputError(f"an image cannot be read ({reason}): {hide_query(address)}") from None
