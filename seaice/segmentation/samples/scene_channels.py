"""Channels of a scene by name, and windows of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from seaice.segmentation.data.coarse_cells import expand_coarse, find_coarse_window
from seaice.segmentation.data.inputs import DISTANCE, INCIDENCE, OPTICAL
from seaice.segmentation.data.optical import read_optical
from seaice.sources.ai4arctic.tables import AMSR2_CHANNELS, ERA5_FIELDS, SAR_CHANNELS


class ChannelSource(Protocol):
    """What channels are read from: a scene of AI4Arctic, or an image in the same scale."""

    def read_sar(self) -> np.ndarray:
        """HH and HV, (2, lines, samples)."""

    def read_incidence(self) -> np.ndarray:
        """Incidence angle, (lines, samples)."""

    def read_distance(self) -> np.ndarray:
        """Zone of distance to land, (lines, samples)."""

    def read_amsr2(self) -> np.ndarray:
        """Brightness temperatures of cells, (14, h, w)."""

    def read_era5(self) -> np.ndarray:
        """ERA5 fields of cells, (6, h, w)."""


def read_channels(
    scene: ChannelSource, channels: Sequence[str], *, sentinel2: Path | None = None
) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Read the channels of a scene: those of every pixel, and those of the cells of 2 km.

    Parameters
    ----------
    scene : ChannelSource
    channels : sequence of str
        Of :func:`seaice.segmentation.data.inputs.list_channels`.
    sentinel2 : Path, optional
        File of optical images on the pixels of the scene; without it no pixel is seen by them.

    Returns
    -------
    pixels : list of ndarray of float32, shape (lines, samples)
        Missing angles and distances are 0, the mean of the channel.
    cells : ndarray of float32, shape (channels, h, w), or None
        NaN where missing; None without such a channel.
    """
    read = dict(zip(SAR_CHANNELS, scene.read_sar(), strict=True))
    if INCIDENCE in channels:
        read[INCIDENCE] = np.nan_to_num(scene.read_incidence(), nan=0.0)
    if DISTANCE in channels:
        read[DISTANCE] = np.nan_to_num(scene.read_distance(), nan=0.0)
    if set(OPTICAL) & set(channels):
        shape = read[SAR_CHANNELS[0]].shape
        optical = np.zeros((len(OPTICAL), *shape), np.float32)
        if sentinel2 is not None:
            optical = read_optical(sentinel2, shape)
        read |= dict(zip(OPTICAL, optical, strict=True))
    cells = [
        coarse[[name in channels for name in names]]
        for names, read_cells in ((AMSR2_CHANNELS, scene.read_amsr2), (ERA5_FIELDS, scene.read_era5))
        if set(names) & set(channels)
        for coarse in (read_cells(),)
    ]
    pixels = [read[name] for name in channels if name in read]
    return pixels, np.concatenate(cells) if cells else None


def read_window(
    pixels: Sequence[np.ndarray] | np.ndarray,
    cells: np.ndarray | None,
    row: int,
    column: int,
    size: int,
) -> np.ndarray:
    """Image of a window, (channels, size, size) float32.

    Beyond the end of the scene there is no SAR; missing values of cells are 0.

    Parameters
    ----------
    pixels, cells
        As :func:`read_channels` returns them.
    row, column : int
        Upper left pixel.
    size : int
    """
    count = len(pixels)
    image = np.zeros((count + (0 if cells is None else len(cells)), size, size), np.float32)
    for layer, channel in zip(image, pixels, strict=False):
        part = channel[row : row + size, column : column + size]
        layer[: part.shape[0], : part.shape[1]] = part
    if cells is not None:
        rows = find_coarse_window(row, size, cells.shape[1])
        columns = find_coarse_window(column, size, cells.shape[2])
        expanded = expand_coarse(cells[:, rows, columns], (row, column), size)
        image[count:] = np.nan_to_num(expanded, nan=0.0)
    return image
