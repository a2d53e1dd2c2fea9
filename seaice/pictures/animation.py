"""Animation of the days of a cube: GIF, or MP4 with ffmpeg.

However long the cube is, one day and one picture of the animation are in memory at a time.
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
from seaice.daily.source import is_daily_name
from seaice.grids import Grid
from seaice.report import Progress, Report, format_count
from seaice.runtime.atomic_write import atomic
from seaice.runtime.output_checks import (
    Output,
    check_outputs,
)

logger = logging.getLogger(__name__)

# Adds a picture, uint8 (height, width, 3), to an animation.
AddPicture = Callable[[np.ndarray], None]
# Opens an animation: arguments are its path, a picture with all colours, and pictures a second.
Encoder = Callable[[Path, np.ndarray, float], AbstractContextManager[AddPicture]]

# Of the 256 codes of a GIF, the one that keeps the pixel of the picture before.
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
    """Make an animation of a cube: the map of concentration with its date, day by day.

    Parameters
    ----------
    input_file : Path
        Cube of ``consolidate_data.py``.
    output_file : Path
        Animation to write: ``.gif``, or ``.mp4`` if ``ffmpeg`` is on the PATH.
    start_date, end_date : date, optional
        First and last day; by default those of the cube.
    fps : float
        Days shown in a second.
    pixels : int
        Longer side of the animation.

    Raises
    ------
    InputError
        If the ending is another one, ffmpeg is missing or fails, or the cube lacks a day.
    """
    output_file = Path(output_file)
    encoder = check_animation(output_file, fps=fps, pixels=pixels)
    check_outputs(
        [Output("output_file", output_file, "animation")], [input_file], is_daily_file=is_daily_name
    )
    with CubeFile(input_file) as cube:
        days = select_days(cube, start_date, end_date)
        with (
            Progress(total=len(days), label="frames", logger=logger) as progress,
            atomic(output_file) as temporary,
        ):
            picture = DayPicture(cube, pixels=pixels)
            with encoder(temporary, picture.draw_all_colours(), fps) as add:
                for position in days:
                    add(picture.draw_day(position))
                    progress.unit(str(cube.dates[position]))
    size = output_file.stat().st_size / 1e6
    width, height = picture.size
    line = (
        f"wrote {output_file}: {format_count(len(days), 'frame')} of {width} x {height} "
        f"pixels, {size:.1f} MB"
    )
    return Report(lines=[line], outputs=[output_file])


def select_days(cube: CubeFile, start_date: date | None, end_date: date | None) -> range:
    """Return the positions of days on the time axis of a cube; by default of all days.

    Raises
    ------
    InputError
        If the cube lacks the first or the last day, or the last lies before the first.
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
    """Choose the encoder of a file, before any work; InputError if ending or numbers do not fit."""
    if not 0 < fps <= 50 or not 100 <= pixels <= 4000:
        raise InputError(
            f"expected 0 < fps <= 50 and 100 to 4000 pixels, found fps {fps:g} and {pixels} pixels"
        )
    return _choose_encoder(path)


def _choose_encoder(path: Path) -> Encoder:
    """Choose an encoder by the ending; InputError if there is none or ffmpeg is missing."""
    if path.suffix.lower() == ".gif":
        return write_gif
    if path.suffix.lower() != ".mp4":
        raise InputError(f"expected a .gif or .mp4 file for the animation, found {path}")
    if shutil.which("ffmpeg") is None:
        raise InputError(
            f"writing {path} needs ffmpeg, which is not on the PATH: install it, or give "
            f"{path.with_suffix('.gif').name}, which needs nothing more"
        )
    return write_mp4


class DayPicture:
    """Picture with a map of a cube in which one day after the other is drawn.

    Parameters
    ----------
    cube : CubeFile
        The open cube.
    pixels : int
        Longer side of the picture. Of a finer grid every n-th cell is drawn, about so many.

    Attributes
    ----------
    grid : Grid
        Grid of the cells that are drawn.
    size : tuple of int
        Width and height of the picture; both are even, because video codecs need that.
    """

    def __init__(self, cube: CubeFile, *, pixels: int) -> None:
        from seaice.drawing import (
            draw,
            palette,
        )

        self._cube = cube
        self._step = max(1, max(cube.grid.shape) // pixels)
        grid = self._thin_grid(cube.grid)
        self.grid = grid
        self._observed_code = cube.flag_value("observed")
        land = ~self._thin(cube.ocean)
        self._ocean_cells = max(1, int(land.size - land.sum()))
        self._figure, ax = draw.make_map_figure(grid, height=5.0)
        self._image = draw.draw_concentration(
            ax, np.full(grid.shape, np.nan, dtype=np.float32), grid, land=land
        )
        draw.draw_colorbar(ax, self._image)
        swatches = [palette.Swatch("no value", palette.NO_VALUE, hatched=True)]
        water = draw.draw_water(ax, self._thin(cube.surface), grid)
        if land.any():
            swatches = [palette.Swatch("land", palette.LAND), *water, *swatches]
        draw.draw_legend(ax, swatches)
        width, height = self._figure.get_size_inches()
        dpi = pixels / max(width, height)
        self.size = (int(width * dpi) // 2 * 2, int(height * dpi) // 2 * 2)
        self._figure.set_dpi(dpi)
        # Half a pixel more, because matplotlib rounds down to whole pixels.
        self._figure.set_size_inches((self.size[0] + 0.5) / dpi, (self.size[1] + 0.5) / dpi)

    def _thin_grid(self, grid: Grid) -> Grid:
        rows, columns = (cells // self._step for cells in grid.shape)
        return replace(
            grid, id=f"{grid.id}_thinned", rows=rows, columns=columns, step=grid.step * self._step
        )

    def _thin(self, field: np.ndarray) -> np.ndarray:
        """Return the cell in the middle of every block of cells."""
        rows, columns = (cells // self._step * self._step for cells in field.shape)
        middle = self._step // 2
        return field[middle : rows : self._step, middle : columns : self._step]

    def draw_day(self, position: int) -> np.ndarray:
        """Draw the day at a position of the time axis; uint8 (height, width, 3)."""
        percent = 100 * self._thin(self._cube.concentration(position))
        subtitle = ""
        if self._cube.has("fill_flag"):
            observed = self._thin(self._cube.flags(position)) == self._observed_code
            filled = np.count_nonzero(~np.isnan(percent) & ~observed) / self._ocean_cells
            subtitle = f"filled values: {100 * filled:.1f} % of the ocean"
        return self._draw(percent, f"Sea ice concentration, {self._cube.dates[position]}", subtitle)

    def draw_all_colours(self) -> np.ndarray:
        """Draw a picture with every colour that a day can have; uint8 (height, width, 3)."""
        ramp = np.linspace(0, 100, self.grid.columns, dtype=np.float32)
        return self._draw(np.broadcast_to(ramp, self.grid.shape), "0123456789", "0123456789")

    def _draw(self, percent: np.ndarray, title: str, subtitle: str) -> np.ndarray:
        from seaice.drawing import draw

        draw.draw_frame(self._image, percent)
        draw.draw_title(self._image.axes, title, subtitle)
        canvas: Any = self._figure.canvas
        canvas.draw()
        width, height = self.size
        return np.asarray(canvas.buffer_rgba())[:height, :width, :3]


@contextmanager
def write_gif(path: Path, all_colours: np.ndarray, fps: float) -> Iterator[AddPicture]:
    """Write a GIF picture by picture.

    Parameters
    ----------
    path : Path
    all_colours : ndarray of uint8, shape (height, width, 3)
        Picture from which the 255 colours of the animation are taken.
    fps : float
        Pictures a second; the format counts in hundredths of a second.

    Yields
    ------
    callable
        Function that adds a picture, uint8 (height, width, 3).
    """
    from PIL import GifImagePlugin, Image

    # Image.save would keep all pictures in memory until the last one.
    colours = Image.fromarray(all_colours).quantize(_UNCHANGED)
    duration = 10 * max(2, round(100 / fps))  # players show anything faster at 10 a second
    last_codes: np.ndarray | None = None
    with path.open("wb") as file:
        header, _ = GifImagePlugin.getheader(
            _make_palette_image(np.asarray(colours), colours), info={"loop": 0}
        )
        file.writelines(header)

        def add(picture: np.ndarray) -> None:
            nonlocal last_codes
            codes = np.asarray(
                Image.fromarray(picture).quantize(palette=colours, dither=Image.Dither.NONE)
            )
            # Equal pixels become one code, which compresses to little.
            changed = codes if last_codes is None else np.where(codes == last_codes, _UNCHANGED, codes)
            last_codes = codes
            image = _make_palette_image(changed.astype(np.uint8), colours)
            file.writelines(
                GifImagePlugin.getdata(image, duration=duration, transparency=_UNCHANGED, disposal=1)
            )

        yield add
        file.write(b";")  # the trailer of the format


def _make_palette_image(codes: np.ndarray, colours: Any) -> Any:
    """Make an image of codes with the palette of another image."""
    from PIL import Image

    image = Image.fromarray(codes, mode="P")
    table = list(colours.getpalette())[: 3 * _UNCHANGED]
    image.putpalette(table + [0] * (768 - len(table)))
    return image


@contextmanager
def write_mp4(path: Path, all_colours: np.ndarray, fps: float) -> Iterator[AddPicture]:
    """Write an MP4 picture by picture with ffmpeg (parameters as of :func:`write_gif`).

    Raises
    ------
    InputError
        If ffmpeg fails; the message holds the last line that it wrote.
    """
    height, width = all_colours.shape[:2]
    command = [
        "ffmpeg", "-nostdin", "-loglevel", "error", "-y",
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-",
        "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path),
    ]  # fmt: skip
    with TemporaryFile() as output:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output)
        pipe = process.stdin
        assert pipe is not None  # because of stdin=PIPE

        def add(picture: np.ndarray) -> None:
            pipe.write(np.ascontiguousarray(picture).data)

        failed = False
        try:
            yield add
            pipe.flush()
        except BrokenPipeError:
            failed = True  # ffmpeg has ended; its message is read below
        except BaseException:
            process.kill()
            raise
        finally:
            with suppress(BrokenPipeError):
                pipe.close()
            status = process.wait()
        if failed or status != 0:
            output.seek(0)
            lines = output.read().decode("utf-8", "replace").strip().splitlines() or [f"status {status}"]
            raise InputError(f"ffmpeg could not write the video ({lines[-1]}); give a .gif file instead")
