"""The page as a folder that opens from the disk: every answer is a script file.

A page opened from the disk may not fetch files, but may load scripts. Series are on coarse cells of
about 25 km, as the values of every cell would be many times larger.
"""

from __future__ import annotations

import base64
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.browse.answers import Answers, FileAnswers, View, write_json
from seaice.browse.layers import NO_VALUE
from seaice.browse.page_files import load_page_files
from seaice.browse.series import SeriesStore
from seaice.report import Progress
from seaice.runtime.atomic_write import atomic

logger = logging.getLogger(__name__)

# Coarse cells along a side of a file of series.
BLOCK = 32
_STEPS = 10_000  # of a share; values and errors have steps of a hundredth
# A mark by which an earlier export is recognised.
MARK = "seaice_page.txt"
_MARK_TEXT = "A page of browse.py: open index.html. The folder is replaced by the next export.\n"


def choose_view(shape: tuple[int, int], largest_side: int) -> View:
    """One tile of a level on which no side has more cells than a limit."""
    level = max(0, int(np.ceil(np.log2(max(shape) / largest_side))))
    return View(max(shape), (level,))


def export_page(answers: Answers, folder: Path) -> int:
    """Write the page to a new folder.

    Returns
    -------
    int
        Bytes written.
    """
    written = 0
    for name, (page_file, _) in load_page_files().items():
        path = folder / (name if name == "index.html" else f"page/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == "index.html":
            page_file = page_file.replace(b'<html lang="en">', b'<html lang="en" data-exported="true">')
        path.write_bytes(page_file)
        written += len(page_file)
    (folder / MARK).write_text(_MARK_TEXT, encoding="utf-8")
    for key, content in _list_answers(answers):
        path = folder / "data" / f"{key}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, InputError):
            text = f'seaiceRefuse("{key}",{write_json(str(content)).decode("ascii")});\n'
        else:
            packed = base64.b64encode(zlib.compress(content, 6)).decode("ascii")
            text = f'seaiceReceive("{key}","{packed}");\n'
        path.write_text(text, encoding="ascii")
        written += len(text)
    return written


def _list_answers(answers: Answers) -> Iterator[tuple[str, bytes | InputError]]:
    """All that the page may ask, with keys and contents, or why they cannot be read."""
    yield "meta", write_json(answers.describe())
    for number, file in enumerate(answers.files):
        file.wait()
        yield f"summary/{number}", write_json(file.summarise())
        yield f"positions/{number}", file.read_positions()
        yield f"coast/{number}", file.read_coast()
        for store_number, store in _list_stores(file):
            for key, content in _list_series(store):
                yield f"{key.format(file=number, store=store_number)}", content
        if file.maps.series:
            for region in range(len(file.open_store(file.maps.series[0]).summary.regions)):
                yield f"region/{number}/{region}", write_json(file.read_region(region))
        yield from _list_tiles(number, file)


def _list_stores(file: FileAnswers) -> Iterator[tuple[int, SeriesStore]]:
    """Stores of a file, each with the number of the first layer it belongs to."""
    stores: list[SeriesStore] = []
    for number, layer in enumerate(file.maps.layers):
        if layer.name in file.maps.series:
            store = file.open_store(layer.name)
            if not any(store is other for other in stores):
                stores.append(store)
                file.wait()
                yield number, store


def _list_series(store: SeriesStore) -> Iterator[tuple[str, bytes]]:
    rows, columns = store.coarse_shape
    yield "ocean/{file}/{store}", store.ocean_area.astype("<f4").tobytes()
    starts = [range(0, count, BLOCK) for count in (rows, columns)]
    has_values = np.zeros([len(part) for part in starts], np.uint8)
    for i, row in enumerate(starts[0]):
        for j, column in enumerate(starts[1]):
            part = slice(row, row + BLOCK), slice(column, column + BLOCK)
            content = pack_block(store.read_sums(*part), store.ocean_area[part])
            if content:
                has_values[i, j] = 1
                yield f"block/{{file}}/{{store}}/{i}/{j}", content
    yield "blocks/{file}/{store}", has_values.tobytes()


def pack_block(sums: dict[str, np.ndarray], ocean: np.ndarray) -> bytes:
    """Pack the series of coarse cells; nothing where no cell has a value on any day.

    Parameters
    ----------
    sums : dict of str to ndarray of float32, shape (days, rows, columns)
        Of a :class:`SeriesStore`.
    ocean : ndarray of float64, shape (rows, columns)
        Area that may have a value, km2.

    Returns
    -------
    bytes
        int16 arrays (days, rows, columns), one after another: mean (hundredths), share of the area with
        a value (steps of 1/10000), and of ice the share observed of that, the share of the area within
        the extent, and the mean expected error (hundredths). -32768 is no value.
    """
    area = sums["area"]
    if not area.any():
        return b""
    parts = [
        _divide(sums["amount"], area, 1 / 100),
        _divide(area, np.broadcast_to(ocean, area.shape), 1 / _STEPS),
    ]
    if "observed" in sums:
        parts += [
            _divide(sums["observed"], area, 1 / _STEPS),
            _divide(sums["extent"], np.broadcast_to(ocean, area.shape), 1 / _STEPS),
            _divide(sums["error_amount"], sums["error_area"], 1 / 100),
        ]
    return b"".join(part.tobytes() for part in parts)


def _divide(above: np.ndarray, below: np.ndarray, step: float) -> np.ndarray:
    ratio = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    steps = np.rint(ratio / step).clip(-32767, 32767)
    return np.where(np.isnan(steps), NO_VALUE, steps).astype("<i2")


def _list_tiles(number: int, file: FileAnswers) -> Iterator[tuple[str, bytes | InputError]]:
    layers, count = file.maps.layers, len(file.maps.steps)
    (level,) = file.view.levels
    total = sum(1 if layer.is_static else count for layer in layers)
    with Progress(total=total, label="maps", logger=logger) as progress:
        for place, layer in enumerate(layers):
            for step in range(1 if layer.is_static else count):
                content: bytes | InputError
                try:
                    content = file.read_tile(place, step, level, 0, 0)
                except InputError as error:
                    logger.warning("%s", error)
                    content = error
                progress.unit(f"{layer.name} {file.maps.steps[step]}")
                yield f"tile/{number}/{place}/{step}/{level}/0/0", content


def write_folder(answers: Answers, output_dir: Path) -> int:
    """Write the page to a folder, whole or not at all; an earlier export is replaced."""
    with atomic(output_dir, mark=MARK) as part:
        part.mkdir()
        return export_page(answers, part)
