"""The days of a cube as a moving picture: GIF, or MP4 through ffmpeg.

One day and one frame are in memory at a time, whatever the length of the cube.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.flags import Surface
from seaice.grids import Grid
from seaice.report import Progress, Report
from seaice.runtime.atomic_write import atomic
from seaice.runtime.output_checks import (
    Output,
    check_outputs,
)
from seaice.sources.bremen.names import DayFile

logger = logging.getLogger(__name__)

# Takes a frame, uint8 (height, width, 3).
Add = Callable[[np.ndarray], None]
Encoder = Callable[[Path, np.ndarray, float], AbstractContextManager[Add]]

# One code of a GIF's 256 colours means «as in the frame before».
_UNCHANGED = 255


def animate(
    *,
    input_file: Path,
    output_file: Path,
    start_date: date | None = None,
    end_date: date | None = None,
    fps: float = 10.0,
    pixels: int = 800,
) -> Report:
    """Show a cube day by day: concentration, land and the date.

    Parameters
    ----------
    input_file : Path
        Cube of ``consolidate_data.py``.
    output_file : Path
        ``.gif``, or ``.mp4`` where ``ffmpeg`` is on the PATH.
    start_date, end_date : date, optional
        First and last day; by default those of the cube.
    fps : float
        Days a second.
    pixels : int
        Longer side of a frame.

    Raises
    ------
    InputError
        If the ending is neither, ffmpeg is missing or fails, or the cube lacks a day.
    """
    output_file = Path(output_file)
    encoder = check_animation(output_file, fps=fps, pixels=pixels)
    check_outputs(
        [Output("output_file", output_file, "animation")], [input_file], is_daily_file=DayFile.parse
    )
    with CubeFile(input_file) as cube:
        days = chosen_days(cube, start_date, end_date)
        with (
            Progress(total=len(days), label="frames", logger=logger) as progress,
            atomic(output_file) as temporary,
        ):
            picture = DayPicture(cube, pixels=pixels)
            with encoder(temporary, picture.palette_frame(), fps) as add:
                for number in days:
                    add(picture.frame(number))
                    progress.unit(str(cube.dates[number]))
    size = output_file.stat().st_size / 1e6
    width, height = picture.size
    line = f"wrote {output_file}: {len(days)} frames of {width} x {height} pixels, {size:.1f} MB"
    return Report(lines=[line], outputs=[output_file])


def chosen_days(cube: CubeFile, start_date: date | None, end_date: date | None) -> range:
    """Positions of the days from one to another; by default all of the cube.

    Raises
    ------
    InputError
        If the cube does not reach one of them, or they are out of order.
    """
    first = 0 if start_date is None else cube.index(start_date)
    last = len(cube.dates) - 1 if end_date is None else cube.index(end_date)
    if last < first:
        raise InputError(
            f"the date range ends ({cube.dates[last]}) before it starts ({cube.dates[first]}); "
            "exchange the dates"
        )
    return range(first, last + 1)


def check_animation(path: Path, *, fps: float, pixels: int) -> Encoder:
    """The encoder for a file; InputError, before any work, if it or the numbers cannot be."""
    if not 0 < fps <= 50 or not 100 <= pixels <= 4000:
        raise InputError(
            f"expected 0 < fps <= 50 and 100 to 4000 pixels, found fps {fps:g} and {pixels} pixels"
        )
    return encoder_for(path)


def encoder_for(path: Path) -> Encoder:
    """:func:`gif` or :func:`mp4`, by the ending; InputError if it is neither or ffmpeg is missing."""
    if path.suffix.lower() == ".gif":
        return gif
    if path.suffix.lower() != ".mp4":
        raise InputError(f"expected a .gif or .mp4 file for the animation, found {path}")
    if shutil.which("ffmpeg") is None:
        raise InputError(
            f"writing {path} needs ffmpeg, which is not on the PATH: install it, or give "
            f"{path.with_suffix('.gif').name}, which needs nothing more"
        )
    return mp4


class DayPicture:
    """A map of a cube that shows one day after the other.

    Parameters
    ----------
    cube : CubeFile
    pixels : int
        Longer side of a frame; a finer grid is thinned to about that many cells.

    Attributes
    ----------
    grid : Grid
        What is drawn: the cube's grid, thinned.
    size : tuple of int
        Width and height of a frame, both even, as video codecs want them.
    """

    def __init__(self, cube: CubeFile, *, pixels: int) -> None:
        from seaice.drawing import (
            draw,
            palette,
        )

        self._cube = cube
        self._thin = max(1, max(cube.grid.shape) // pixels)
        grid = self._thinned_grid(cube.grid)
        self.grid = grid
        self._measured = cube.flag_value("observed")
        land = self._thinned(cube.surface) == Surface.LAND
        self._ocean_cells = max(1, int(land.size - land.sum()))
        self._figure, ax = draw.polar_figure(grid, height=5.0)
        self._image = draw.draw_concentration(
            ax, np.full(grid.shape, np.nan, dtype=np.float32), grid, land=land
        )
        draw.draw_colorbar(ax, self._image)
        swatches = [palette.Swatch("no value", palette.NO_VALUE, hatched=True)]
        if land.any():
            swatches.insert(0, palette.Swatch("land", palette.LAND))
        draw.draw_legend(ax, swatches)
        width, height = self._figure.get_size_inches()
        dpi = pixels / max(width, height)
        self.size = (int(width * dpi) // 2 * 2, int(height * dpi) // 2 * 2)
        self._figure.set_dpi(dpi)
        # Half a pixel more, so that rounding down inside matplotlib gives this very size.
        self._figure.set_size_inches((self.size[0] + 0.5) / dpi, (self.size[1] + 0.5) / dpi)

    def _thinned_grid(self, grid: Grid) -> Grid:
        rows, columns = (n // self._thin for n in grid.shape)
        return replace(
            grid, id=f"{grid.id}_thinned", rows=rows, columns=columns, step=grid.step * self._thin
        )

    def _thinned(self, field: np.ndarray) -> np.ndarray:
        """The cell in the middle of every block of cells."""
        rows, columns = (n // self._thin * self._thin for n in field.shape)
        middle = self._thin // 2
        return field[middle : rows : self._thin, middle : columns : self._thin]

    def frame(self, number: int) -> np.ndarray:
        """The day at a position of the cube's axis, uint8 (height, width, 3)."""
        percent = 100 * self._thinned(self._cube.concentration(number))
        observed = self._thinned(self._cube.flags(number)) == self._measured
        filled = np.count_nonzero(~np.isnan(percent) & ~observed) / self._ocean_cells
        return self._drawn(
            percent,
            f"Sea ice concentration, {self._cube.dates[number]}",
            f"filled values: {100 * filled:.1f} % of the ocean",
        )

    def palette_frame(self) -> np.ndarray:
        """A frame with every colour that a day can show."""
        ramp = np.linspace(0, 100, self.grid.columns, dtype=np.float32)
        return self._drawn(np.broadcast_to(ramp, self.grid.shape), "0123456789", "0123456789")

    def _drawn(self, percent: np.ndarray, title: str, subtitle: str) -> np.ndarray:
        from seaice.drawing import draw

        draw.draw_frame(self._image, percent)
        draw.draw_title(self._image.axes, title, subtitle)
        canvas: Any = self._figure.canvas
        canvas.draw()
        width, height = self.size
        return np.asarray(canvas.buffer_rgba())[:height, :width, :3]


@contextmanager
def gif(path: Path, palette_frame: np.ndarray, fps: float) -> Iterator[Add]:
    """Write a GIF frame by frame.

    Parameters
    ----------
    path : Path
    palette_frame : ndarray of uint8, shape (height, width, 3)
        Its colours become the 255 of all frames.
    fps : float
        Frames a second; the format knows hundredths of a second.

    Yields
    ------
    callable
        Takes a frame.
    """
    from PIL import GifImagePlugin, Image

    # Image.save would hold every frame until the last has come.
    colours = Image.fromarray(palette_frame).quantize(_UNCHANGED)
    duration = 10 * max(2, round(100 / fps))  # players slow anything faster down to 10 a second
    before: np.ndarray | None = None
    with path.open("wb") as file:
        header, _ = GifImagePlugin.getheader(
            _with_colours(np.asarray(colours), colours), info={"loop": 0}
        )
        file.writelines(header)

        def add(frame: np.ndarray) -> None:
            nonlocal before
            codes = np.asarray(
                Image.fromarray(frame).quantize(palette=colours, dither=Image.Dither.NONE)
            )
            changed = codes if before is None else np.where(codes == before, _UNCHANGED, codes)
            before = codes
            image = _with_colours(changed.astype(np.uint8), colours)
            file.writelines(
                GifImagePlugin.getdata(image, duration=duration, transparency=_UNCHANGED, disposal=1)
            )

        yield add
        file.write(b";")


def _with_colours(codes: np.ndarray, colours: Any) -> Any:
    from PIL import Image

    image = Image.fromarray(codes, mode="P")
    table = list(colours.getpalette())[: 3 * _UNCHANGED]
    image.putpalette(table + [0] * (768 - len(table)))
    return image


@contextmanager
def mp4(path: Path, palette_frame: np.ndarray, fps: float) -> Iterator[Add]:
    """Write an MP4 through ffmpeg, frame by frame (see :func:`gif` for the parameters).

    Raises
    ------
    InputError
        If ffmpeg fails; the message is its last line.
    """
    height, width = palette_frame.shape[:2]
    command = [
        "ffmpeg", "-nostdin", "-loglevel", "error", "-y",
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-",
        "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path),
    ]  # fmt: skip
    with TemporaryFile() as said:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said)
        pipe = process.stdin
        assert pipe is not None  # asked for above

        def add(frame: np.ndarray) -> None:
            pipe.write(np.ascontiguousarray(frame).data)

        failed = False
        try:
            yield add
            pipe.flush()
        except BrokenPipeError:
            failed = True  # ffmpeg has gone; what it said comes below
        except BaseException:
            process.kill()
            raise
        finally:
            with suppress(BrokenPipeError):
                pipe.close()
            status = process.wait()
        if failed or status != 0:
            said.seek(0)
            words = said.read().decode("utf-8", "replace").strip().splitlines() or [f"status {status}"]
            raise InputError(f"ffmpeg could not write the video ({words[-1]}); give a .gif file instead")
