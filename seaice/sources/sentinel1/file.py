"""Files and folders that hold an image of Sentinel-1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from seaice import InputError
from seaice.runtime.digests import digest_file, digest_parts
from seaice.sources.sentinel1.geotiff_image import Unit, read_geotiff_image
from seaice.sources.sentinel1.image import Sentinel1Image
from seaice.sources.sentinel1.safe_image import read_safe_image

# What is done about thermal noise, or was done by whoever made a GeoTIFF.
Noise = Literal["esa", "esa_floor", "none", "nersc"]

_TIFF = (".tif", ".tiff")


def is_image(path: Path) -> bool:
    """Whether a path looks like an image: a SAFE folder, a zip or a TIFF."""
    if path.is_dir():
        return path.suffix == ".SAFE" or (path / "manifest.safe").is_file()
    return path.suffix.lower() in (".zip", *_TIFF)


def list_images(folder: Path) -> list[Path]:
    """List the images directly in a folder, by their names; a SAFE folder is one image.

    Files named after an image in the folder, such as its maps, are left out.
    """
    if is_image(folder):
        return [folder]
    images = sorted(path for path in folder.iterdir() if path.name.startswith("S1") and is_image(path))
    stems = tuple(f"{path.stem}_" for path in images)
    return [path for path in images if not path.name.startswith(stems)]


def digest_image(path: Path) -> str:
    """Compute the SHA-256 of an image; of a folder, that of the names and digests of its files.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    if not path.is_dir():
        return digest_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return digest_parts(f"{file.relative_to(path).as_posix()} {digest_file(file)}\n" for file in files)


def open_image(
    path: Path,
    *,
    noise: Noise | None = None,
    bands: Sequence[str] | None = None,
    unit: Unit | None = None,
) -> Sentinel1Image:
    """Read an image with pixels of 80 m.

    Parameters
    ----------
    path : Path
        SAFE folder, zip of one, or GeoTIFF.
    noise : {"esa", "esa_floor", "none", "nersc"}, optional
        What to do about thermal noise, by default esa_floor; see
        :func:`seaice.sources.sentinel1.safe_image.read_safe_image`. For a GeoTIFF, what was done.
    bands, unit
        For a GeoTIFF, see :func:`seaice.sources.sentinel1.geotiff_image.read_geotiff_image`.

    Raises
    ------
    InputError
        If the image cannot be used, or an option does not fit its format.
    """
    if path.suffix.lower() in _TIFF and not path.is_dir():
        return read_geotiff_image(path, bands=bands, unit=unit, noise=noise)
    if bands is not None or unit is not None:
        raise InputError(f"expected --bands and --unit with a GeoTIFF, found {path}; leave them out")
    if noise == "nersc":
        raise InputError(
            f"expected --noise esa, esa_floor or none for a SAFE product, found nersc: {path}; correct "
            "it with sentinel1denoised and give its GeoTIFF"
        )
    return read_safe_image(path, noise or "esa_floor")
