"""Pictures of swaths in scan coordinates, for a quick look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seaice.drawing import palette
from seaice.runtime import atomic_write
from seaice.sources.amsr2.swath import Swath

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_WIDTH, _ROW_HEIGHT = 11.0, 1.9  # inches
MOST_ROWS = 56  # of a picture: four swaths of 14 channels
_PERCENTILES = (2, 98)  # of the temperatures, at the ends of the colours


def draw_swath(ax: Axes, swath: Swath, *, channel: str | None = None) -> AxesImage:
    """Draw the brightness temperatures of a swath, with the flight direction from left to right.

    Colours are those of maps of temperature and span the 2nd to the 98th percentile; missing pixels are
    grey.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    swath : Swath
    channel : str, optional
        The first channel by default.

    Returns
    -------
    matplotlib.image.AxesImage
        For a colour bar in kelvin.
    """
    kelvin = np.rot90(swath.kelvin(channel))
    measured = kelvin[np.isfinite(kelvin)]
    low, high = np.percentile(measured, _PERCENTILES) if measured.size else (0.0, 1.0)
    image = ax.imshow(
        kelvin,
        cmap=palette.make_temperature_colormap(),
        vmin=low,
        vmax=max(high, low + 0.01),
        aspect="auto",
        interpolation="nearest",
    )
    ax.set_yticks([])
    ax.set_title(_format_title(swath, channel or swath.channels[0]), fontsize=8, loc="left")
    return image


def write_swath_sheet(path: Path, swaths: Sequence[Swath], *, dpi: int = 150) -> None:
    """Write a picture of several swaths, one below the other, with a row for every channel.

    Parameters
    ----------
    path : Path
        PNG file.
    swaths : sequence of Swath
    dpi : int

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [(swath, channel) for swath in swaths for channel in swath.channels]
    height = _ROW_HEIGHT * len(rows) + 0.5
    figure = Figure(figsize=(_WIDTH, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for ax, (swath, channel) in zip(axes, rows, strict=True):
        image = draw_swath(ax, swath, channel=channel)
        figure.colorbar(image, ax=ax, pad=0.01).set_label("K", fontsize=8)
        ax.tick_params(labelsize=7)
    axes[-1].set_xlabel("scan", fontsize=8)
    with atomic_write.atomic(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png")


def _format_title(swath: Swath, channel: str) -> str:
    direction = {"A": "ascending", "D": "descending"}.get(swath.orbit_type, "direction unknown")
    start = swath.start_time
    time = f"{start:%Y-%m-%d %H:%M:%S} UTC" if start else "time unknown"
    return f"{swath.granule_id or 'swath without a name'}   {channel}   {direction}   {time}"
