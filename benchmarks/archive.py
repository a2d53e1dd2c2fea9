"""Archives of swaths against numpy.savez_compressed of an array of dictionaries.

Claim: a swath of an HDF5 archive opens at least 100 times faster than the classic archive
loads; checkpoints write at most 1.1 times the bytes of the archive; the memory is that of
one swath. Named alternatives are the classic code (numpy.savez_compressed of an object
array) and HDF5 with differences along the scan, shuffle and zstd 3 in opaque bytes, which no
plain reader understands. Every side runs in a process of its own, and reads back what it wrote,
else the exit status is 1.

  python benchmarks/archive.py
  python benchmarks/archive.py --swaths 300 --scans 2040
  python benchmarks/archive.py --swaths 300 --scans 2040 --coordinates
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.sources.amsr2.swath import (
    COREGISTERED,
    Positions,
    Swath,
)
from seaice.swaths.archive import (
    LAYOUTS,
    create_archive,
    load_swaths,
)
from seaice.swaths.archive.checkpoint import Checkpoints

SIDES = ("numpy", "swath_array", "hdf5", "delta_zstd")
TITLES = {
    "numpy": "classic code: numpy.savez_compressed",
    "swath_array": "toolbox, swath_array",
    "hdf5": "toolbox, hdf5",
    "delta_zstd": "HDF5 of differences, shuffle, zstd 3",
}
PIXELS = 243
NOISE = 0.6  # kelvin
OPENED = 15  # swaths opened one by one


def make_counts(path: Path, swaths: int, scans: int) -> None:
    """Counts that look calibrated: smooth fields and the noise of a radiometer."""
    rng = np.random.default_rng(1)
    counts = np.lib.format.open_memmap(path, "w+", np.uint16, (swaths, scans, PIXELS))
    scan, pixel = np.arange(scans)[:, None], np.arange(PIXELS)[None]
    for index in range(swaths):
        edge = np.tanh(3 * np.sin(scan / 150 + index) + 2 * np.cos(pixel / 60 - index))
        kelvin = 185 + 45 * edge + 6 * np.sin(scan / 11 + pixel / 17 + index)
        kelvin = kelvin + rng.normal(0, NOISE, kelvin.shape)
        counts[index] = np.round(kelvin * 100)


def swath_of(counts: np.ndarray, index: int, *, coordinates: bool) -> Swath:
    scans = len(counts)
    positions = {}
    if coordinates:
        along = np.radians(np.arange(scans)[:, None] * 0.09 - 85 + index % 7)
        across = np.radians(np.linspace(-6.5, 6.5, PIXELS))[None]
        latitude = np.degrees(np.arcsin(np.cos(across) * np.sin(along)))
        longitude = np.degrees(np.arctan2(np.sin(across), np.cos(across) * np.cos(along)))
        places = latitude.astype(np.float32), longitude.astype(np.float32)
        positions = {"36.5": Positions(*places, COREGISTERED)}
    times = 1.5e9 + 2964.0 * index + 1.49985 * np.arange(scans)
    name = f"GW1AM2_2020{index:08d}_001A_L1SGBTBR_2220220"
    return Swath({"36.5H": counts}, {"36.5H": 0.01}, positions, times, name, "A")


def swaths_of(folder: Path, *, coordinates: bool) -> Iterator[Swath]:
    # Read, not mapped: the pages of a map would be counted as memory of the process.
    with (folder / "counts.npy").open("rb") as file:
        np.lib.format.read_magic(file)
        count, *shape = np.lib.format.read_array_header_1_0(file)[0]
        for index in range(count):
            counts = np.fromfile(file, np.uint16, shape[0] * shape[1]).reshape(shape)
            yield swath_of(counts, index, coordinates=coordinates)


def write(side: str, folder: Path, path: Path, *, coordinates: bool) -> None:
    swaths = swaths_of(folder, coordinates=coordinates)
    count = len(np.load(folder / "counts.npy", mmap_mode="r"))
    if side == "numpy":
        items = np.empty(count, object)
        for index, swath in enumerate(swaths):
            metadata = {"orbit_type": "A", "scale_factor": 0.01, "shape": swath.shape}
            items[index] = {**swath.name_arrays(), "temperature": swath.counts["36.5H"].copy()}
            items[index]["metadata"] = metadata
        np.savez_compressed(path, swath_array=items, period="a to b")
    elif side == "delta_zstd":
        _write_delta(swaths, path)
    else:
        with create_archive(path, layout=side, count=count) as writer:
            for swath in swaths:
                writer.add(swath)
            writer.finish({"period": "a to b"})


def _write_delta(swaths: Iterator[Swath], path: Path) -> None:
    import h5py
    from numcodecs import zstd

    with h5py.File(path, "w") as file:
        for index, swath in enumerate(swaths):
            for name, array in swath.name_arrays().items():
                plain = array
                if name == "temperature":
                    plain = np.diff(array, axis=1, prepend=np.uint16(0))
                octets = plain.reshape(-1).view(np.uint8).reshape(-1, plain.itemsize)
                packed = zstd.compress(np.ascontiguousarray(octets.T), 3)
                file[f"{index:05d}/{name}"] = np.frombuffer(packed, np.uint8)


def open_one(side: str, path: Path, index: int, shape: tuple[int, int]) -> np.ndarray:
    """Raw counts of one swath of a file that is not open."""
    if side == "numpy":
        with np.load(path, allow_pickle=True) as file:
            return np.asarray(file["swath_array"][index]["temperature"])
    if side == "delta_zstd":
        import h5py
        from numcodecs import zstd

        with h5py.File(path) as file:
            packed = file[f"{index:05d}/temperature"][:]
        planes = np.frombuffer(zstd.decompress(packed), np.uint8).reshape(2, -1)
        steps = np.ascontiguousarray(planes.T).view(np.uint16).reshape(shape)
        return np.cumsum(steps, axis=1, dtype=np.uint16)
    with load_swaths(path) as archive:
        return np.asarray(archive[index].counts["36.5H"])


def run_side(side: str, folder: Path, *, coordinates: bool) -> dict[str, Any]:
    """Write and read in this process; for a process of its own."""
    path = folder / f"{side}{'.npz' if side in ('numpy', 'swath_array') else '.h5'}"
    write(side, folder / "warm", folder / f"warm_{path.name}", coordinates=coordinates)  # imports
    before = _peak()
    began, cpu = time.perf_counter(), time.process_time()
    write(side, folder, path, coordinates=coordinates)
    wrote, wrote_cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = _peak() - before
    counts = np.load(folder / "counts.npy", mmap_mode="r")
    whole = side in ("numpy", "swath_array")
    seconds, equal = [], True
    for index in np.linspace(0, len(counts) - 1, 2 if whole else OPENED).astype(int):
        began = time.perf_counter()
        found = open_one(side, path, int(index), counts.shape[1:])
        seconds.append(time.perf_counter() - began)
        equal &= bool((found == counts[index]).all())
    size = path.stat().st_size
    return {
        "side": side,
        "bytes": size / len(counts),
        "share": size / counts.nbytes,
        "write": wrote,
        "cpu": wrote_cpu,
        "peak": peak,
        "open": statistics.median(seconds),
        "equal": equal,
    }


def _peak() -> float:
    """Most memory of this process so far, MB."""
    # What getrusage says begins with the parent's.
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def checkpoints(folder: Path, layout: str, *, coordinates: bool) -> None:
    """Bytes that checkpoints write, and the seconds to put the archive together of them."""
    path = folder / f"final_{layout}{'.h5' if layout == 'hdf5' else '.npz'}"
    store = Checkpoints(path, layout=layout, parameters={})
    names = []
    began = time.perf_counter()
    for swath in swaths_of(folder, coordinates=coordinates):
        store.add(swath)
        names.append(swath.granule_id)
    wrote = time.perf_counter() - began
    size = sum(file.stat().st_size for file in store.folder.iterdir())
    began = time.perf_counter()
    store.assemble(path, names, {"period": "a to b"})
    put = time.perf_counter() - began
    final = path.stat().st_size
    print(
        f"{layout:12} checkpoints {size / 1e6:8.1f} MB in {wrote:5.1f} s, archive {final / 1e6:8.1f} MB "
        f"put together in {put:5.1f} s: {size / final:.3f} of its bytes"
    )
    store.remove()


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--swaths", type=int, default=60)
    parser.add_argument("--scans", type=int, default=2040)
    parser.add_argument("--coordinates", action="store_true", help="with positions")
    parser.add_argument("--folder", type=Path, help="for the files; a temporary one by default")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.side:
        print(json.dumps(run_side(options.side, options.folder, coordinates=options.coordinates)))
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        (folder / "warm").mkdir()
        make_counts(folder / "counts.npy", options.swaths, options.scans)
        make_counts(folder / "warm" / "counts.npy", 2, 20)
        return compare(folder, options)


def compare(folder: Path, options: argparse.Namespace) -> int:
    extra = ["--coordinates"] if options.coordinates else []
    results = {}
    for side in SIDES:
        command = [sys.executable, __file__, "--side", side, "--folder", str(folder), *extra]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        results[side] = json.loads(done.stdout.splitlines()[-1])
    with_positions = ", with positions" if options.coordinates else ""
    print(f"{options.swaths} swaths of {options.scans} x {PIXELS}{with_positions}")
    print(
        f"{'':38} {'kB each':>9} {'of raw':>7} {'write s':>8} {'CPU s':>6} {'peak MB':>8} {'open s':>10}"
    )
    for side, found in results.items():
        print(
            f"{TITLES[side]:38} {found['bytes'] / 1e3:9.1f} {found['share']:7.3f} {found['write']:8.2f} "
            f"{found['cpu']:6.2f} {found['peak']:8.0f} {found['open']:10.4f}"
        )
    ratio = results["numpy"]["open"] / results["hdf5"]["open"]
    ours = results["swath_array"]["open"] / results["hdf5"]["open"]
    print(
        f"a swath of hdf5 opens {ratio:.0f} times faster than numpy loads the classic archive "
        f"({ours:.0f} times than load_swaths does)"
    )
    for layout in LAYOUTS:
        checkpoints(folder, layout, coordinates=options.coordinates)
    unequal = [side for side, found in results.items() if not found["equal"]]
    if unequal:
        print(f"read back otherwise than written: {', '.join(unequal)}")
    return 1 if unequal else 0


if __name__ == "__main__":
    sys.exit(main())
