"""Bytes, writing and reading of a cube for several chunk shapes, packings and codecs.

Claim: chunks of one day and about 256 cells, int16 in steps of 0.0001, shuffle and zlib 1 (the
default of this toolbox, readable by any HDF5 since 1.8) are within reach of the best choice for
each kind of access. The named alternatives are the other rows: one thing varied at a time, and
the combinations that could win.

A cube of concentration, fill_flag and days_back_forward is written day by day through netCDF4
(as many days at a time as a chunk is deep), the filled simulated days over and over again.
Reading is through netCDF4 (and h5py) at random days and places, the same ones for every layout,
and includes the step to float32 with NaN. The chunk cache is off, so that a read is never
spared by the one before; within one read no chunk is decoded twice. Files are in the page
cache and all this is one thread: CPU milliseconds are what a quiet machine takes. Every layout
must give back what was put in (int16 to half a step), else the exit status is 1.

  python benchmarks/storage.py
  python benchmarks/storage.py --grid n3125 --days 12 --folder /tmp/days
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import simulated

SCALE, FILL = 0.0001, -32768
PATCH, WINDOW = 256, 8
# Reads of a kind, but none begun after so many seconds if there were four.
READS, LONGEST = 60, 3.0


@dataclass(frozen=True)
class Layout:
    """One row of the table. ``cells`` is the chunk length aimed at; None: whatever netCDF4 takes."""

    name: str
    depth: int = 1
    cells: int | None = 256
    packed: bool = True
    codec: str | None = "zlib"
    level: int = 1
    shuffle: bool = True

    def chunks(self, shape: tuple[int, int]) -> list[int] | None:
        """Of (time, y, x): each axis of a frame in equal parts."""
        if self.cells is None:
            return None
        parts = [max(1, round(n / self.cells)) for n in shape]
        return [self.depth, *(-(-n // p) for n, p in zip(shape, parts, strict=True))]


DEFAULT = Layout("default: 1 day, about 256 cells, int16, zlib 1")
FULL_FRAME = 10**6


def layouts() -> Iterator[Layout]:
    yield DEFAULT
    yield replace(DEFAULT, name="chunk: full frame", cells=FULL_FRAME)
    for cells in (512, 400, 128):
        yield replace(DEFAULT, name=f"chunk: about {cells}", cells=cells)
    yield replace(DEFAULT, name="chunk: 8 days, about 256", depth=8, cells=256)
    yield replace(DEFAULT, name="chunk: netCDF4's own", cells=None)
    yield replace(DEFAULT, name="packing: float32", packed=False)
    yield replace(DEFAULT, name="codec: none", codec=None)
    yield replace(DEFAULT, name="codec: zlib 1, no shuffle", shuffle=False)
    yield replace(DEFAULT, name="codec: zlib 4", level=4)
    yield replace(DEFAULT, name="codec: zstd 1", codec="zstd")
    yield replace(DEFAULT, name="codec: zstd 3", codec="zstd", level=3)
    zstd = replace(DEFAULT, codec="zstd")  # the library shuffles for zlib alone
    yield replace(zstd, name="zstd 1, full frame", cells=FULL_FRAME)
    for cells in (512, 400, 128):
        yield replace(zstd, name=f"zstd 1, about {cells}", cells=cells)
    yield replace(zstd, name="zstd 1, 8 days, about 256", depth=8, cells=256)
    yield replace(zstd, name="zstd 1, 8 days, about 128", depth=8, cells=128)
    yield replace(zstd, name="zstd 1, float32", packed=False)
    yield replace(DEFAULT, name="the default once more")


@dataclass(frozen=True)
class Fields:
    """Filled days: fractions (NaN where missing), flags and days, each (days, rows, columns)."""

    fractions: np.ndarray
    flags: np.ndarray
    days: np.ndarray


def filled_fields(days: simulated.Days) -> Fields:
    from seaice.gapfill.hybrid import Hybrid

    filled = Hybrid().fill(days.stack(), days.ocean())
    return Fields(filled.values / np.float32(100), filled.flag, filled.days_back_forward)


def pack(fractions: np.ndarray) -> np.ndarray:
    missing = np.isnan(fractions)
    steps = np.rint(np.where(missing, 0, fractions).astype(np.float64) / SCALE)
    return np.where(missing, FILL, steps).astype(np.int16)


def unpack(stored: np.ndarray) -> np.ndarray:
    if stored.dtype == np.float32:
        return stored
    values = stored * np.float32(SCALE)
    values[stored == FILL] = np.nan
    return values


def create(dataset: Any, layout: Layout, shape: tuple[int, int]) -> list[Any]:
    for name, size in (("time", None), ("y", shape[0]), ("x", shape[1])):
        dataset.createDimension(name, size)
    kinds = {
        "sea_ice_conc": ("i2", FILL) if layout.packed else ("f4", np.float32(np.nan)),
        "fill_flag": ("u1", None),
        "days_back_forward": ("u1", None),
    }
    variables = []
    for name, (kind, fill) in kinds.items():
        options: dict[str, Any] = {"fill_value": fill, "chunksizes": layout.chunks(shape)}
        if layout.codec:
            options |= {"compression": layout.codec, "complevel": layout.level}
            options["shuffle"] = layout.shuffle and kind != "u1"
        variable = dataset.createVariable(name, kind, ("time", "y", "x"), **options)
        variable.set_auto_maskandscale(False)
        variables.append(variable)
    return variables


def write(path: Path, layout: Layout, fields: Fields, stored: np.ndarray, count: int) -> float:
    """CPU seconds a day, median."""
    import netCDF4

    times = []
    with netCDF4.Dataset(path, "w") as dataset:
        variables = create(dataset, layout, stored.shape[1:])
        for first in range(0, count, layout.depth):
            last = min(count, first + layout.depth)
            days = np.arange(first, last) % len(stored)
            arrays = [stored[days], fields.flags[days], fields.days[days]]
            begin = process_time()
            for variable, values in zip(variables, arrays, strict=True):
                variable[first:last] = values
            dataset.sync()
            times.append((process_time() - begin) / (last - first))
    return statistics.median(times)


def stored_bytes(path: Path) -> tuple[int, int]:
    """Of the whole file, and of the concentration."""
    import h5py

    with h5py.File(path) as file:
        return path.stat().st_size, file["sea_ice_conc"].id.get_storage_size()


def places(shape: tuple[int, int], count: int, rng: np.random.Generator) -> dict[str, list[Any]]:
    """Where to read, for each kind of access."""
    first = [slice(s, s + WINDOW) for s in rng.integers(0, count - WINDOW + 1, READS)]
    corners = [rng.integers(0, n - min(PATCH, n) + 1, READS) for n in shape]
    points = [rng.integers(0, n, READS) for n in shape]
    whole = slice(None)
    return {
        "frames": [(days, whole, whole) for days in first[:8]],
        "patch": [
            (days, slice(y, y + PATCH), slice(x, x + PATCH))
            for days, y, x in zip(first, *corners, strict=True)
        ],
        "series": [(whole, int(y), int(x)) for y, x in zip(*points, strict=True)],
    }


def read_seconds(read: Callable[[Any], np.ndarray], where: list[Any]) -> float:
    """CPU seconds, the first read left out.

    A mean where the places differ in how much ice they hold, since all count; else a median.
    """
    times: list[float] = []
    for place in where:
        begin = process_time()
        read(place)
        times.append(process_time() - begin)
        if sum(times) > LONGEST and len(times) >= 4:
            break
    whole_frames = where[0][1] == slice(None)
    return statistics.median(times[1:]) if whole_frames else statistics.mean(times[1:])


def read_times(path: Path, where: dict[str, list[Any]]) -> dict[str, float]:
    import h5py
    import netCDF4

    times = {}
    for kind, chosen in where.items():
        with netCDF4.Dataset(path) as dataset:
            variable = dataset["sea_ice_conc"]
            variable.set_var_chunk_cache(size=0)
            variable.set_auto_maskandscale(False)
            times[kind] = read_seconds(lambda place, v=variable: unpack(v[place]), chosen)
    with h5py.File(path, rdcc_nbytes=0) as file:
        stored = file["sea_ice_conc"]
        times["h5py"] = read_seconds(lambda place: unpack(stored[place]), where["patch"])
    return times


def is_the_same(path: Path, fields: Fields, stored: np.ndarray, count: int) -> bool:
    """Whether every day comes back as stored, and the first ones as the values put in."""
    import netCDF4

    names = {"sea_ice_conc": stored, "fill_flag": fields.flags, "days_back_forward": fields.days}
    with netCDF4.Dataset(path) as dataset:
        dataset.set_auto_maskandscale(False)
        for first in range(0, count, WINDOW):
            part = slice(first, min(count, first + WINDOW))
            days = np.arange(part.start, part.stop) % len(stored)
            for name, values in names.items():
                is_float = values.dtype == np.float32
                if not np.array_equal(dataset[name][part], values[days], equal_nan=is_float):
                    return False
        apart = np.abs(unpack(dataset["sea_ice_conc"][0]) - fields.fractions[0])
    same_missing = np.isnan(apart) == np.isnan(fields.fractions[0])
    return bool(same_missing.all() and np.nanmax(apart) <= SCALE / 2 + 1e-6)


HEAD = (
    "| layout | chunk | MB a day | of it concentration | write a day | 8 frames | "
    "patch, 8 days | the same, h5py | series |\n|---|---|--:|--:|--:|--:|--:|--:|--:|"
)


def measure(path: Path, layout: Layout, fields: Fields, packed: np.ndarray, count: int) -> str | None:
    """A row of the table; None where the content is not what was put in."""
    import netCDF4

    stored = packed if layout.packed else fields.fractions
    seconds = write(path, layout, fields, stored, count)
    if not is_the_same(path, fields, stored, count):
        return None
    whole, concentration = (n / count / 1e6 for n in stored_bytes(path))
    with netCDF4.Dataset(path) as dataset:
        chunk = " x ".join(map(str, dataset["sea_ice_conc"].chunking()))
    where = places(stored.shape[1:], count, np.random.default_rng(0))
    ms = {kind: 1e3 * t for kind, t in read_times(path, where).items()}
    return (
        f"| {layout.name} | {chunk} | {whole:.2f} | {concentration:.2f} | {1e3 * seconds:.1f} | "
        f"{ms['frames']:.1f} | {ms['patch']:.2f} | {ms['h5py']:.2f} | {ms['series']:.1f} |"
    )


def main(words: Sequence[str] | None = None) -> int:
    parser = simulated.parser_of(__doc__, days=12, repeats=1)
    parser.add_argument("--cube_days", type=int, default=60, help="days of a cube [%(default)s]")
    parser.add_argument("--only", default="", help="only layouts whose name holds this")
    options = parser.parse_args(words)
    if options.cube_days < WINDOW or options.days < 1:
        parser.error(f"--cube_days must be at least {WINDOW} and --days at least 1")
    with simulated.simulated_days(options) as days:
        fields = filled_fields(days)
        packed = pack(fields.fractions)
        print(f"grid {days.grid}, {options.cube_days} days; writing of all three variables, reading")
        print(f"of the concentration; patches of {PATCH} x {PATCH} cells; CPU ms\n")
        print(HEAD)
        path = days.folder / "storage.nc"
        for layout in [ly for ly in layouts() if options.only in ly.name] * options.repeats:
            row = measure(path, layout, fields, packed, options.cube_days)
            path.unlink()
            if row is None:
                print(f"{layout.name}: what was read is not what was written")
                return 1
            print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
