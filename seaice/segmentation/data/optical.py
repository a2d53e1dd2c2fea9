"""Sentinel-2 on the pixels of a scene as a network sees it, of the file of ``sentinel2``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.flags import find_flag_value
from seaice.open_file import open_netcdf
from seaice.segmentation.data.inputs import CHANNEL_SCALING, OPTICAL, OPTICAL_BANDS, OPTICAL_MASK


def locate_optical(folder: Path, scene: str) -> Path:
    """Path of the file that belongs to a scene."""
    return folder / f"{scene}_sentinel2.nc"


def read_optical(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Read scaled reflectance and mask.

    Parameters
    ----------
    path : Path
        A scene without a file has no clear pixel.
    shape : (int, int)
        Lines and samples of the scene.

    Returns
    -------
    ndarray of float32, shape (channels, lines, samples)
        :data:`seaice.segmentation.data.inputs.OPTICAL`; 0 in all of them where a pixel is not clear.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a band, or is of another scene.
    """
    stack = np.zeros((len(OPTICAL), *shape), np.float32)
    if not path.is_file():
        return stack
    try:
        with open_netcdf(path) as dataset:
            mask = dataset[OPTICAL_MASK]
            attributes = {name: mask.getncattr(name) for name in mask.ncattrs()}
            clear = np.ma.getdata(mask[:]) == find_flag_value(attributes, "clear")
            fields = [np.ma.filled(dataset[f"sentinel2_{b}"][:].astype(float), 0) for b in OPTICAL_BANDS]
    except (LookupError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(
            f"expected {', '.join(OPTICAL_BANDS)} and a mask of segmentation.py sentinel2, found a file "
            f"that cannot be read ({reason}): {path}; fetch it again with --force"
        ) from None
    if clear.shape != shape:
        raise InputError(
            f"expected {shape[0]} x {shape[1]} pixels, those of the scene, found {clear.shape[0]} x "
            f"{clear.shape[1]}: {path}; fetch it again with --force"
        )
    for layer, name, field in zip(stack, OPTICAL, [*fields, clear], strict=True):
        mean, deviation = CHANNEL_SCALING[name]
        layer[clear] = (field[clear] - mean) / deviation
    return stack
