"""Flip single bits in every kind of file that the toolbox writes, and count what its readers make of it.

Each flip is in a fresh copy. A reader in a process of its own, with a time limit, either refuses the
file in one line, or gives the values, places and dates of the whole file. Anything else is counted
as a fault: another value without a word, another error than a refusal, the end of the process, or no
answer in time. Not part of ``make test``: a thousand flips of every kind take a while.

Examples:
  python tests/flip_bits.py --flips 1000 --seed 1
  python tests/flip_bits.py --flips 200 --kinds daily cube
  python tests/flip_bits.py --kinds other_daily --file asi-AMSR2-n6250-20200101-v5.4.nc
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

LIMIT = 20.0  # seconds for a file of some kilobytes
FAULTS = ("other values", "crash", "died", "hang")


def digest(**parts: Any) -> dict[str, str]:
    """Digest of every part of what a reader gives, by name."""
    import numpy as np

    digests = {}
    for name, value in parts.items():
        if isinstance(value, np.ndarray) and value.dtype.kind not in "OUST":
            content = f"{value.dtype} {value.shape} ".encode() + np.ascontiguousarray(value).tobytes()
        else:
            content = repr(value.tolist() if isinstance(value, np.ndarray) else value).encode()
        digests[name] = hashlib.sha256(content).hexdigest()[:16]
    return digests


def read_daily(path: Path) -> dict[str, str]:
    from seaice.sources.bremen.reader import read_day

    values, grid = read_day(path)
    return digest(values=values, grid=str(grid))


def read_cube(path: Path) -> dict[str, str]:
    from seaice import ConsolidatedSICDataset
    from seaice.cube.file import CubeFile

    with CubeFile(path) as cube:
        names = ("days_back_forward", "sea_ice_conc_error", "missing_ocean_cells", "day_status")
        parts = {name: cube.variable(name) for name in names}
        parts |= {"values": cube.concentration(slice(None)), "flags": cube.flags(slice(None))}
        parts |= {"dates": cube.dates, "grid": str(cube.grid), "surface": cube.surface}
        parts |= {name: cube.texts(name) for name in ("input_file", "input_sha256")}
        start, end = cube.dates[0], cube.dates[-1]
    items = ConsolidatedSICDataset(path, start, end, input_length=2, pred_length=1)
    return digest(**parts, first=str([items[0][k] for k in range(2)]), last=items[-1][0].numpy())


def read_mask(path: Path) -> dict[str, str]:
    from seaice.masks import read_mask

    mask = read_mask(path)
    return digest(surface=mask.surface, land=mask.land, ratio=mask.nan_ratio, grid=str(mask.grid))


def read_archive(path: Path) -> dict[str, str]:
    from seaice.swaths.archive import load_swaths

    parts: dict[str, Any] = {}
    with load_swaths(path) as swaths:
        for number, swath in enumerate(swaths):
            for name, array in swath.name_arrays().items():
                parts[f"{number} {name}"] = array
            parts[f"{number} kelvin"] = swath.kelvin()
            parts[f"{number} id"] = (swath.granule_id, swath.orbit_type, swath.start_time)
    return digest(**parts)


def read_field(path: Path) -> dict[str, str]:
    from seaice.fields.options import ReadOptions
    from seaice.fields.read import read_gappy
    from seaice.open_file import explain_damage, open_xarray

    source = read_gappy(path, ReadOptions(variable="sea_surface_temperature"))
    kind = "Zarr" if path.is_dir() else "NetCDF"
    with explain_damage(path, kind), open_xarray(path, decode=False) as dataset:
        flags = dataset["fill_flag"].values
    axes = (source.axes.latitude, source.axes.longitude)
    return digest(values=source.field.values, days=source.field.days, flags=flags, places=repr(axes))


def read_gridded(path: Path) -> dict[str, str]:
    from seaice.pictures.read_field import read_field

    field = read_field(path, None, None)
    return digest(values=field.values, grid=str(field.grid), step=str(field.step))


READERS: dict[str, Callable[[Path], dict[str, str]]] = {
    "daily": read_daily,
    "other_daily": read_daily,
    "cube": read_cube,
    "cube_zstd": read_cube,
    "cube_none": read_cube,
    "cube_zarr": read_cube,
    "cube_zarr_none": read_cube,
    "mask": read_mask,
    "archive_hdf5": read_archive,
    "archive_classic": read_archive,
    "field": read_field,
    "field_zarr": read_field,
    "gridded": read_gridded,
}


def make_samples(folder: Path) -> dict[str, Path]:
    """Write a small file of every kind as the stages write them."""
    from datetime import date, timedelta

    import h5py
    import swaths
    from days import START, make_folder

    import consolidate_data
    import create_mask
    import fill_gaps
    import grid_swaths
    from seaice.gapfill.increments.weights import PACKAGED
    from seaice.simulate.sst import write_sst
    from seaice.swaths.split import split_archives

    days = make_folder(folder / "days", days=16)
    samples = {"daily": days.file(0), "other_daily": folder / "other" / days.file(0).name}
    samples["other_daily"].parent.mkdir()
    shutil.copy(days.file(0), samples["other_daily"])
    h5py.File(samples["other_daily"], "r+").close()  # as others write it: without our checksum
    period = ["--start_date", f"{START}", "--end_date", f"{days.end}", "--quiet"]
    source = ["--source_dir", str(days.path)]
    samples["mask"] = folder / "mask.nc"
    run(create_mask, *source, *period, "--output_file", samples["mask"])
    fitted = ["--weights", PACKAGED]
    for kind, name, compression in (
        ("cube", "cube.nc", "zlib"),
        ("cube_zstd", "zstd.nc", "zstd"),
        ("cube_none", "none.nc", "none"),
        ("cube_zarr", "cube.zarr", "zstd"),
        ("cube_zarr_none", "none.zarr", "none"),
    ):
        samples[kind] = folder / name
        words = ["--land_mask_file", samples["mask"], "--compression", compression, *fitted]
        run(consolidate_data, *source, *period, *words, "--output_file", samples[kind])
    archive = swaths.write(folder / "a.h5", [swaths.make_swath(n, scans=40) for n in range(3)])
    for kind, layout in (("archive_hdf5", "hdf5"), ("archive_classic", "swath_array")):
        report = split_archives(input=[archive], output_dir=folder / kind, layout=layout)
        samples[kind] = report.outputs[0]
    grids = folder / "grids"
    run(grid_swaths, "--input", archive, "--output_dir", grids, "--grid", "n25000", "--quiet")
    samples["gridded"] = sorted(grids.glob("*.nc"))[0]
    (folder / "sst").mkdir()
    write_sst(folder / "sst", [date(2024, 1, 1) + timedelta(days=n) for n in range(4)], step=6.0)
    for kind, name in (("field", "filled.nc"), ("field_zarr", "filled.zarr")):
        samples[kind] = folder / name
        words = ["--input_file", folder / "sst" / "l3s.nc", "--output_file", samples[kind]]
        run(fill_gaps, "fill", *words, "--method", "linear", "--quiet")
    return samples


def run(stage: Any, *words: Any) -> None:
    """Run a stage; its exit status must be 0."""
    with contextlib.redirect_stdout(io.StringIO()):
        status = stage.main([str(word) for word in words])
    if status:
        raise SystemExit(f"{stage.__name__} ended with {status}")


def flip(source: Path, target: Path, chance: random.Random) -> str:
    """Copy a file or folder with one bit flipped; returns which."""
    files = sorted(file for file in source.rglob("*") if file.is_file()) if source.is_dir() else [source]
    sizes = [file.stat().st_size for file in files]
    position = chance.randrange(8 * sum(sizes))
    for file, size in zip(files, sizes, strict=True):
        copy = target / file.relative_to(source) if source.is_dir() else target
        copy.parent.mkdir(parents=True, exist_ok=True)
        content = file.read_bytes()
        if 0 <= position < 8 * size:
            flipped = bytearray(content)
            flipped[position // 8] ^= 1 << position % 8
            content, bit = bytes(flipped), f"{file.name} byte {position // 8} bit {position % 8}"
        copy.write_bytes(content)
        position -= 8 * size
    return bit


def answer_questions() -> None:
    """Read the files named on standard input, one line each, and answer in one line."""
    from seaice import InputError

    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries may print
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer: dict[str, Any] = {"values": READERS[question["kind"]](Path(question["path"]))}
        except InputError as error:
            text = str(error)
            answer = {"refused": text} if "\n" not in text else {"crash": f"several lines: {text}"}
        except BaseException:
            answer = {"crash": traceback.format_exc(limit=-12)}
        channel.write(json.dumps(answer) + "\n")


class Reader:
    """A process that reads files; started again after it died or did not answer."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._is_warm = False

    def ask(self, kind: str, path: Path, *, limit: float = LIMIT) -> dict[str, Any]:
        """What reading a file gives, or how it ended; a new process gets time to compile."""
        if self._process is None:
            words = [sys.executable, __file__, "--answer"]
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"kind": kind, "path": str(path)}) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], limit if self._is_warm else 10 * LIMIT)
        line = process.stdout.readline() if ready else ""
        if line:
            self._is_warm = True
            return dict(json.loads(line))
        outcome = {"died": f"status {process.wait()}"} if ready else {"hang": f"{limit:g} s"}
        self.close()
        return outcome

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process, self._is_warm = None, False


def judge(answer: dict[str, Any], whole: dict[str, str]) -> tuple[str, str]:
    """The outcome of a flip in words, and its detail."""
    for outcome in ("refused", "crash", "died", "hang"):
        if outcome in answer:
            return outcome, str(answer[outcome])
    if answer["values"] == whole:
        return "same values", ""
    names = sorted(n for n in whole | answer["values"] if whole.get(n) != answer["values"].get(n))
    return "other values", ", ".join(names)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=1000, help="flips of every kind (default 1000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", choices=list(READERS), default=list(READERS))
    parser.add_argument("--file", type=Path, help="flip this file instead of one of our own")
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.answer:
        answer_questions()
        return 0
    faults = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = dict.fromkeys(args.kinds, args.file) if args.file else make_samples(folder / "samples")
        reader = Reader()
        for kind in args.kinds:
            chance = random.Random(f"{args.seed} {kind}")
            whole = reader.ask(kind, samples[kind], limit=10 * LIMIT)
            if "values" not in whole:
                raise SystemExit(f"{kind} cannot be read without a flip: {whole}")
            counts: Counter[str] = Counter()
            for number in range(args.flips):
                # A new name each time: the libraries keep open files by their inode.
                copy = folder / "flipped" / str(number) / samples[kind].name
                bit = flip(samples[kind], copy, chance)
                outcome, detail = judge(reader.ask(kind, copy), whole["values"])
                shutil.rmtree(copy.parent)
                counts[outcome] += 1
                if outcome in FAULTS:
                    faults += 1
                    print(f"  {kind}: {bit}: {outcome}: {detail}", flush=True)
            text = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
            print(f"{kind}: {args.flips} flips: {text}", flush=True)
        reader.close()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
