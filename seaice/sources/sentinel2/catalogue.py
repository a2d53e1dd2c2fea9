"""Images that a STAC catalogue lists over a scene within some hours.

Catalogues name the bands of an image in their own ways, and tell in different places which offset its
numbers have.

References
----------
Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD: Level-2A, scene classification, and the
offset of -1000 of processing baselines from 04.00 on. STAC API 1.0.0, https://api.stacspec.org.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from seaice import InputError
from seaice.settings import catalogue_token, install_command

logger = logging.getLogger(__name__)

# Bands by the names of this toolbox: names of other catalogues.
BANDS: Mapping[str, tuple[str, ...]] = {
    "blue": ("blue", "B02", "B02_10m"),
    "green": ("green", "B03", "B03_10m"),
    "red": ("red", "B04", "B04_10m"),
    "nir": ("nir", "B08", "B08_10m"),
    "swir16": ("swir16", "B11", "B11_20m"),
    "swir22": ("swir22", "B12", "B12_20m"),
}
CLASSES = ("scl", "SCL", "SCL_20m")
# Reflectance of a step of the numbers, and the offset since processing baseline 04.00.
_SCALE, _OFFSET, _OFFSET_BASELINE = 1e-4, -0.1, 4.0
# Percent of cloud and days from the scene that count alike: ten percent are half a day.
_CLOUD_WEIGHT, _DAY_WEIGHT = 0.5, 10.0
_MOST_IMAGES = 500
# What reading the answer of something that is no STAC API may raise.
_MALFORMED = (OSError, LookupError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True)
class Image:
    """An image of a catalogue.

    Attributes
    ----------
    id : str
    time : datetime
        UTC.
    cloud : float
        Percent of its area.
    hours : float
        From the scene to the image.
    assets : mapping of str to str
        Addresses of bands, by the names of :data:`BANDS`, and of ``classes``.
    scales : mapping of str to (float, float)
        Scale and offset from number to reflectance, by band.
    host : str
        Host of the catalogue.
    """

    id: str
    time: datetime
    cloud: float
    hours: float
    assets: Mapping[str, str]
    scales: Mapping[str, tuple[float, float]]
    host: str

    def is_of_catalogue(self, address: str) -> bool:
        """Whether the account of the catalogue is for an address: it is no secret to other hosts."""
        parts = urlsplit(address)
        return parts.scheme == "https" and (parts.hostname or "") == self.host

    @property
    def rank(self) -> float:
        """Small for images with little cloud and near in time."""
        return _CLOUD_WEIGHT * self.cloud + _DAY_WEIGHT * abs(self.hours) / 24

    def describe(self) -> str:
        """The image in a line."""
        return f"{self.id}: {self.cloud:.0f} % cloud, {self.hours:+.1f} h from the scene"


def search_images(
    catalogue: str,
    *,
    collection: str,
    time: datetime,
    hours: float,
    cloud: float,
    latitude: np.ndarray,
    longitude: np.ndarray,
    bands: Sequence[str],
) -> list[Image]:
    """Search a catalogue for images over some points, the best first.

    Parameters
    ----------
    catalogue : str
        Address of a STAC API.
    collection : str
    time : datetime
        UTC.
    hours : float
        Images at most so long before or after.
    cloud : float
        Largest cloud cover, percent.
    latitude, longitude : ndarray, one shape
        Points of which an image must hold one, degrees: points know neither a date line nor a pole.
    bands : sequence of str
        Names of :data:`BANDS` that an image must have.

    Raises
    ------
    InputError
        If the catalogue cannot be asked, or gives no answer of a STAC API.
    """
    try:
        from pystac_client import Client
        from pystac_client.exceptions import APIError
    except ImportError as error:
        command = install_command("pystac_client")
        raise InputError(f"sentinel2 needs pystac_client ({error}): {command}") from None
    from requests.exceptions import RequestException

    points = np.stack([longitude.ravel(), latitude.ravel()], axis=1).round(4).tolist()
    span = [time - timedelta(hours=hours), time + timedelta(hours=hours)]
    token = catalogue_token()
    try:
        client = Client.open(catalogue, headers={"Authorization": f"Bearer {token}"} if token else None)
        search = client.search(
            collections=[collection],
            intersects={"type": "MultiPoint", "coordinates": points},
            datetime=(span[0], span[1]),
            max_items=_MOST_IMAGES,
        )
        items = list(search.items_as_dicts())
    except (APIError, RequestException, NotImplementedError, *_MALFORMED) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(
            f"expected a STAC API at {catalogue}, which cannot be searched ({reason}); check the "
            "address, the network and the account"
        ) from None
    host = urlsplit(catalogue).hostname or ""
    images = [_read_image(item, time, bands, host) for item in items]
    usable = [image for image in images if image is not None]
    logger.info("%s lists %d images, %d with all bands", catalogue, len(items), len(usable))
    return sorted((i for i in usable if i.cloud <= cloud), key=lambda image: (image.rank, image.id))


def _read_image(
    item: Mapping[str, Any], time: datetime, bands: Sequence[str], host: str
) -> Image | None:
    """An image of an item of the catalogue; None if it lacks a band or its properties."""
    properties, listed = item.get("properties", {}), item.get("assets", {})
    names = {band: _find_asset(listed, BANDS[band]) for band in bands}
    classes = _find_asset(listed, CLASSES)
    try:
        taken = datetime.fromisoformat(str(properties["datetime"])).astimezone(UTC)
        cloud = float(properties["eo:cloud_cover"])
    except (KeyError, TypeError, ValueError):
        return None
    assets = {band: listed[name] for band, name in names.items() if name is not None}
    if classes is None or len(assets) < len(bands):
        return None
    return Image(
        id=str(item.get("id", "")),
        time=taken,
        cloud=cloud,
        hours=(taken - time).total_seconds() / 3600,
        assets={b: a["href"] for b, a in assets.items()} | {"classes": listed[classes]["href"]},
        scales={band: _find_scale(asset, properties) for band, asset in assets.items()},
        host=host,
    )


def _find_asset(assets: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if "href" in assets.get(name, {})), None)


def _find_scale(asset: Mapping[str, Any], properties: Mapping[str, Any]) -> tuple[float, float]:
    """Scale and offset of a band.

    Element 84's catalogue subtracts the offset itself and says so, but lists it all the same.
    """
    listed = [*asset.get("raster:bands", []), *asset.get("bands", []), asset]
    scale = next((float(b["scale"]) for b in listed if "scale" in b), None)
    scale = scale or next((float(b["raster:scale"]) for b in listed if "raster:scale" in b), _SCALE)
    if properties.get("earthsearch:boa_offset_applied") is True:
        return scale, 0.0
    for name in ("offset", "raster:offset"):
        for band in listed:
            if name in band:
                return scale, float(band[name])
    baseline = properties.get("s2:processing_baseline", properties.get("processing:version", "0"))
    number = re.match(r"\d+(\.\d+)?", str(baseline))
    is_later = number is not None and float(number[0]) >= _OFFSET_BASELINE
    return scale, _OFFSET if is_later else 0.0


def hide_query(address: str) -> str:
    """An address without its query, which may hold a signature.

    Examples
    --------
    >>> hide_query("https://example.org/B02.tif?sig=secret")
    'https://example.org/B02.tif'
    """
    parts = urlsplit(address)
    return urlunsplit(parts._replace(query="", fragment="", netloc=parts.netloc.rpartition("@")[2]))
