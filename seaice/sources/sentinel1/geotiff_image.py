"""GeoTIFFs of backscatter that others have made, placed by control points or on a map projection."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice import InputError
from seaice.report import listing
from seaice.sources.ai4arctic.geolocation import Geolocation
from seaice.sources.sentinel1.image import (
    PIXEL_METRES,
    Sentinel1Image,
    average_pixels,
    convert_to_decibels,
)
from seaice.sources.sentinel1.names import ProductName, parse_start
from seaice.sources.sentinel1.positions import Residual, fit_control_points, measure_distance
from seaice.sources.sentinel1.raster import open_raster, read_rows, split_rows

logger = logging.getLogger(__name__)

Unit = Literal["linear", "dB"]

POLARISATIONS = ("HH", "HV", "VV", "VH")
_LATTICE = 21
# Largest sigma nought that half of the pixels of an image of sea and ice may exceed, linear.
_LARGEST_MEDIAN = 3.0


def read_geotiff_image(
    path: Path,
    *,
    bands: Sequence[str] | None = None,
    unit: Unit | None = None,
    noise: str | None = None,
) -> Sentinel1Image:
    """Read sigma nought from a GeoTIFF as an image of 80 m in decibels.

    Parameters
    ----------
    path : Path
    bands : sequence of str, optional
        Polarisation of every band, ``HH``, ``HV``, ``VV`` or ``VH``; by default from the descriptions of
        the bands, or a tag ``polarisation``.
    unit : {"linear", "dB"}, optional
        By default what the file says, else by the values: decibels of the sea are below 0, power is not.
    noise : str, optional
        What was done about thermal noise, such as ``nersc``; by default what a tag ``noise`` says, else
        ``unknown``. Nothing is subtracted.

    Returns
    -------
    Sentinel1Image
        Pixels without data, not finite, or 0 are NaN.

    Raises
    ------
    InputError
        If the file is no such image, or lacks what ``bands`` or ``unit`` would state.
    """
    with open_raster(str(path), path) as raster:
        tags = {str(key).lower(): str(value) for key, value in raster.tags().items()}
        names = _name_bands(raster, tags, bands, path)
        if not np.issubdtype(np.dtype(raster.dtypes[0]), np.floating):
            raise InputError(
                f"expected sigma nought in floating-point numbers, found {raster.dtypes[0]}: {path}; "
                "digital numbers need their calibration: give the SAFE product"
            )
        start = parse_start(path.name) or _parse_tag_time(tags)
        if start is None:
            raise InputError(
                f"expected the start of the image as YYYYMMDDThhmmss in its name, found none: {path}; "
                "rename the file"
            )
        positions, residual, factor = _locate_pixels(raster, path)
        file_unit = unit or _read_unit(raster, tags, path)
        power = _read_power(raster, len(names), factor, file_unit)
    if not np.isfinite(power[0]).any():
        raise InputError(f"expected pixels with backscatter, found none: {path}")
    at_floor = {name: convert_to_decibels(power[k]) for k, name in enumerate(names)}
    name = ProductName.parse(path.name)
    return Sentinel1Image(
        path=path,
        name=path.stem,
        start=start,
        decibels=dict(zip(names, power, strict=True)),
        positions=positions,
        residual=residual,
        noise=noise or tags.get("noise", "unknown"),
        noise_power={},
        tie_points=None,
        swath_bounds=(),
        attributes={
            "product": path.name,
            "platform": "" if name is None else name.platform,
            "processor_version": tags.get("tifftag_software", ""),
            "border": "pixels without data",
            "unit": file_unit,
        }
        | {f"share_at_floor_{name}": share for name, share in at_floor.items()},
        factor=factor,
    )


def _name_bands(
    raster: Any, tags: Mapping[str, str], bands: Sequence[str] | None, path: Path
) -> tuple[str, ...]:
    """Polarisations of the bands that are read: the first ones of the file."""
    if bands is None:
        texts = [str(text or "") for text in raster.descriptions]
        shared = tags.get("polarisation", tags.get("polarization", ""))
        if not any(texts) and shared:
            texts = shared.replace(",", " ").split()
        words = [[pol for pol in POLARISATIONS if pol in text.upper()] for text in texts]
        names = tuple(word[0] for word in words if len(word) == 1)
        if len(names) != len(words) or len(names) != raster.count:
            raise InputError(
                f"expected bands called by their polarisation, found {listing(texts) or 'none'}: "
                f"{path}; give --bands, such as HV, or HH HV"
            )
    else:
        names = tuple(band.upper() for band in bands)
    if len(set(names)) != len(names) or not set(names) <= set(POLARISATIONS):
        raise InputError(
            f"expected each band once, among {', '.join(POLARISATIONS)}, found {' '.join(names)}: {path}"
        )
    if len(names) != raster.count:
        raise InputError(
            f"expected {len(names)} bands for {' '.join(names)}, found {raster.count}: {path}; name all"
        )
    return names


def _parse_tag_time(tags: Mapping[str, str]) -> datetime | None:
    """Start of the image by a tag of nansat; the TIFF's own time is that of writing."""
    text = tags.get("time_coverage_start", "")
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def _read_unit(raster: Any, tags: Mapping[str, str], path: Path) -> Unit:
    """Unit of the values by the file, else by the values of some rows in the middle."""
    text = " ".join([str(raster.units[0] or ""), tags.get("units", ""), tags.get("unit", "")]).lower()
    if "db" in text.split() or "decibel" in text:
        return "dB"
    first = max(0, raster.height // 2 - 100)
    sample = _mark_missing(read_rows(raster, 1, range(first, min(first + 200, raster.height))), raster)
    finite = sample[np.isfinite(sample)]
    median, share_below = (
        (float(np.median(finite)), float((finite < 0).mean())) if finite.size else (0, 0)
    )
    if share_below > 0.5 and median > -60:
        unit: Unit = "dB"
    elif share_below < 0.3 and 0 < median < _LARGEST_MEDIAN:
        unit = "linear"
    else:
        raise InputError(
            f"expected sigma nought, linear or dB, found a median of {median:.3g}: {path}; give --unit"
        )
    logger.info("%s states no unit: its median of %.3g is taken as %s", path.name, median, unit)
    return unit


def _mark_missing(values: np.ndarray, raster: Any) -> np.ndarray:
    """Set what is no value, or 0, to NaN; float32."""
    field = values.astype(np.float32)
    with np.errstate(invalid="ignore"):
        missing = ~np.isfinite(field) | (field == 0)
        if raster.nodata is not None:
            missing |= field == np.float32(raster.nodata)
    field[missing] = np.nan
    return field


def _read_power(raster: Any, count: int, factor: int, unit: Unit) -> np.ndarray:
    """Linear power of all bands, averaged, float32 (bands, lines, samples)."""
    shape = raster.height // factor, raster.width // factor
    power = np.empty((count, *shape), np.float32)
    for rows in split_rows(raster.height, raster.width, factor):
        part = np.stack([_mark_missing(read_rows(raster, k + 1, rows), raster) for k in range(count)])
        if unit == "dB":
            part = 10 ** (part / 10)
        part[:, np.isnan(part).any(axis=0)] = np.nan
        power[:, rows.start // factor : rows.stop // factor] = average_pixels(part, factor)
    return power


def _locate_pixels(raster: Any, path: Path) -> tuple[Geolocation, Residual, int]:
    """Positions of the means, their residual, and how many pixels make one."""
    points, projection = raster.gcps
    if points:
        gcp_projection = projection or "EPSG:4326"
        x, y = (np.array([getattr(point, axis) for point in points]) for axis in "xy")
        lat, lon = _to_degrees(x, y, gcp_projection, path)
        # In a TIFF 0 is the edge of the first pixel.
        lines = np.array([point.row for point in points]) - 0.5
        samples = np.array([point.col for point in points]) - 0.5
        table = np.stack([lines, samples, lat, lon], axis=1)
        if not np.isfinite(table).all():
            raise InputError(f"expected control points on Earth, found others: {path}")
        factor = _choose_factor(fit_control_points(table, raster.shape, 1)[0], path)
        shape = raster.height // factor, raster.width // factor
        return *fit_control_points(table, shape, factor), factor
    if raster.crs is None:
        raise InputError(
            f"expected control points or a map projection, found none: {path}; export the image with one"
        )
    factor = _choose_factor(_sample_projection(raster, 1, path), path)
    positions = _sample_projection(raster, factor, path)
    name = f"{raster.crs.to_string()[:40]}, which the file states"
    return positions, Residual(np.nan, np.nan, name), factor


def _to_degrees(
    x: np.ndarray, y: np.ndarray, projection: Any, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    try:
        text = projection if isinstance(projection, str) else projection.to_wkt()
        transformer = Transformer.from_crs(text, "EPSG:4326", always_xy=True)
        lon, lat = transformer.transform(x, y)
    except ProjError as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"expected a map projection, found {reason}: {path}") from None
    return np.asarray(lat), np.asarray(lon)


def _sample_projection(raster: Any, factor: int, path: Path) -> Geolocation:
    """Positions at a lattice of pixels of a raster on a map projection."""
    shape = raster.height // factor, raster.width // factor
    lines, samples = (np.linspace(0, count - 1, _LATTICE) for count in shape)
    rows, columns = np.meshgrid((lines + 0.5) * factor, (samples + 0.5) * factor, indexing="ij")
    transform = raster.transform
    x = transform.a * columns + transform.b * rows + transform.c
    y = transform.d * columns + transform.e * rows + transform.f
    lat, lon = _to_degrees(x.ravel(), y.ravel(), raster.crs, path)
    grid = (_LATTICE, _LATTICE)
    return Geolocation(lines, samples, lat.reshape(grid), lon.reshape(grid), shape)


def _choose_factor(positions: Geolocation, path: Path) -> int:
    """How many pixels of a file make 80 m."""
    lat, lon = positions.latitude, positions.longitude
    steps = [
        float(measure_distance(lat[1:], lon[1:], lat[:-1], lon[:-1]).mean())
        / np.diff(positions.lines)[0],
        float(measure_distance(lat[:, 1:], lon[:, 1:], lat[:, :-1], lon[:, :-1]).mean())
        / np.diff(positions.samples)[0],
    ]
    factor = max(1, round(2 * PIXEL_METRES / (steps[0] + steps[1])))
    if not all(0.85 < factor * step / PIXEL_METRES < 1.15 for step in steps):
        raise InputError(
            f"expected pixels of 80 m or a whole part of it, such as 40 m, found {steps[0]:.1f} x "
            f"{steps[1]:.1f} m: {path}; resample the image"
        )
    return factor
