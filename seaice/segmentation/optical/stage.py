"""Cloud-poor Sentinel-2 images on the pixels of SAR scenes: the stage behind ``sentinel2``."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from seaice import InputError, cf
from seaice.dates import format_timestamp
from seaice.report import Progress, Report, format_count
from seaice.runtime.options import Count, Range
from seaice.segmentation.charts.cells import ScenePixels, read_scene_pixels
from seaice.segmentation.data.inputs import OPTICAL_BANDS
from seaice.segmentation.data.optical import locate_optical
from seaice.segmentation.mapping.scene_map import Layer, write_layers
from seaice.segmentation.optical.pixels import CLEAR, MASK_CLASSES, MISSING, OpticalPixels
from seaice.sources.ai4arctic.scene import list_scenes
from seaice.sources.sentinel2.catalogue import BANDS, Image, hide_query, search_images

logger = logging.getLogger(__name__)

EARTH_SEARCH = "https://earth-search.aws.element84.com/v1"
# Points along a side of a scene that are searched for: an image is 110 km wide.
_POINTS = 9
_FILL = -32768
_STEP = 1e-4
_REFERENCES = "Copernicus Sentinel-2 Level-2A; ESA, S2-PDGS-TAS-DI-PSD"


def fetch_sentinel2(
    *,
    scene: Sequence[Path],
    output_dir: Path,
    catalogue: str = EARTH_SEARCH,
    collection: str = "sentinel-2-l2a",
    bands: Sequence[str] = OPTICAL_BANDS,
    hours: Annotated[float, Range(0, unit="H")] = 12.0,
    cloud: Annotated[float, Range(0, 100, unit="PERCENT")] = 40.0,
    most_images: Count = 12,
    dry_run: bool = False,
    force: bool = False,
) -> Report:
    """Fetch cloud-poor Sentinel-2 images over SAR scenes, on the pixels of the scenes.

    A pixel has the reflectance of the best image that shows it clear: little cloud, near in time. The
    mask tells clear pixels from clouds and from pixels without an image.

    Parameters
    ----------
    scene : sequence of Path
        Scenes, ``*_prep.nc``, or folders of them.
    output_dir : Path
        Made where it does not exist: ``SCENE_sentinel2.nc``, which ``patches --sentinel2`` reads.
    catalogue : str
        Address of a STAC API. The token of an account is taken from ``SEAICE_STAC_TOKEN``.
    collection : str
        Name of the Level-2A collection.
    bands : sequence of str
        blue, green, red, nir, swir16, swir22.
    hours : float
        Images at most so long before or after the scene: ice drifts.
    cloud : float
        Largest cloud cover of an image, percent.
    most_images : int
        Images of a scene, at most; the best first.
    dry_run : bool
        Only say which images there are.
    force : bool
        Fetch again what is there.

    Returns
    -------
    Report
        ``values``: images by scene, and the share of clear pixels.

    Raises
    ------
    InputError
        If a scene cannot be read, or the catalogue cannot be searched.
    """
    unknown = [band for band in bands if band not in BANDS]
    if unknown or not bands:
        raise InputError(
            f"expected bands among {', '.join(BANDS)}, found {', '.join(unknown) or 'none'}"
        )
    scenes = [Path(scene)] if isinstance(scene, str | Path) else [Path(path) for path in scene]
    paths = [path for given in scenes for path in (list_scenes(given) if given.is_dir() else [given])]
    output_dir = Path(output_dir)
    if not dry_run:
        output_dir.mkdir(parents=True, exist_ok=True)
    report = Report()
    with Progress(total=len(paths), label="scenes", logger=logger) as progress:
        for path in paths:
            pixels = read_scene_pixels(path)
            target = locate_optical(output_dir, pixels.name)
            if target.exists() and not force and not dry_run:
                report.outputs.append(target)
                progress.unit(f"{pixels.name}: already there")
                continue
            images = _search(pixels, catalogue, collection, bands, hours, cloud)[:most_images]
            report.values[pixels.name] = {"images": [image.id for image in images]}
            if not images:
                report.left_out.append(
                    f"{pixels.name}: no image within {hours:g} h and with at most {cloud:g} % cloud; "
                    "widen --hours or --cloud"
                )
            elif dry_run:
                report.lines += [f"{pixels.name}: {image.describe()}" for image in images]
            else:
                line = _fetch(pixels, images, bands, target, report)
                report.lines.append(line)
            progress.unit(f"{pixels.name}: {format_count(len(images), 'image')}")
    return report


def _search(
    pixels: ScenePixels,
    catalogue: str,
    collection: str,
    bands: Sequence[str],
    hours: float,
    cloud: float,
) -> list[Image]:
    if pixels.start is None:
        raise InputError(f"expected the time of the scene in its name, found {pixels.path}; rename it")
    lines, samples = (np.linspace(0, count - 1, _POINTS) for count in pixels.shape)
    latitude, longitude = pixels.positions.interpolate(lines[:, None], samples[None])
    return search_images(
        catalogue,
        collection=collection,
        time=pixels.start,
        hours=hours,
        cloud=cloud,
        latitude=latitude,
        longitude=longitude,
        bands=bands,
    )


def _fetch(
    pixels: ScenePixels, images: Sequence[Image], bands: Sequence[str], target: Path, report: Report
) -> str:
    """Read the images of a scene and write its file; returns a line about it."""
    optical = OpticalPixels.make(pixels.shape, bands)
    used: list[Image] = []
    for image in images:
        try:
            count = optical.add(pixels, image, len(used))
        except InputError as error:
            report.failed.append(f"{pixels.name}: {error}")
            continue
        if count:
            used.append(image)
    clear, missing = ((optical.mask == code).mean() for code in (CLEAR, MISSING))
    report.values[pixels.name]["clear"] = float(clear)
    if not used:
        return f"{pixels.name}: none of {format_count(len(images), 'image')} shows a pixel clear"
    _write(target, pixels, optical, used)
    report.outputs.append(target)
    return (
        f"{target}: {100 * clear:.1f} % of the pixels clear, {100 * (1 - clear - missing):.1f} % "
        f"clouded, of {format_count(len(used), 'image')}"
    )


def _write(target: Path, pixels: ScenePixels, optical: OpticalPixels, used: Sequence[Image]) -> None:
    layers = {}
    for band, values in optical.reflectance.items():
        with np.errstate(invalid="ignore"):
            steps = np.rint(values / _STEP).clip(_FILL + 1, 32767)
        stored = np.where(np.isnan(steps), _FILL, steps).astype(np.int16)
        attributes: dict[str, Any] = {
            "standard_name": "surface_bidirectional_reflectance",
            "long_name": f"surface reflectance in the {band} band of Sentinel-2, mean over about 80 m",
            "units": "1",
            "scale_factor": _STEP,
            "ancillary_variables": "sentinel2_mask",
        }
        layers[f"sentinel2_{band}"] = Layer(stored, attributes, _FILL)
    layers["sentinel2_mask"] = Layer(
        optical.mask,
        {
            "standard_name": "status_flag",
            "long_name": "what Sentinel-2 shows",
            "flag_values": np.array(list(MASK_CLASSES.values()), np.uint8),
            "flag_meanings": " ".join(MASK_CLASSES),
        },
    )
    layers["sentinel2_image"] = Layer(
        optical.source, {"long_name": "number of the image in the attribute images, from 0 on"}, 255
    )
    listed = [
        {
            "id": image.id,
            "time": format_timestamp(image.time),
            "hours_from_scene": round(image.hours, 3),
            "cloud_percent": image.cloud,
            "address": hide_query(image.assets["classes"]),
        }
        for image in used
    ]
    attributes = cf.describe_file(
        title="Sentinel-2 reflectance on the pixels of a SAR scene",
        summary="every pixel from the best image that shows it without cloud",
        source="Copernicus Sentinel-2 Level-2A",
        stage="sentinel2",
        parameters={"scene": pixels.name, "bands": list(optical.reflectance)},
        references=_REFERENCES,
    )
    write_layers(
        target, layers, pixels.positions, pixels.start, attributes | {"images": json.dumps(listed)}
    )
