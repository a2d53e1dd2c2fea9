"""Digests of the values that a fixed, small run of every stage computes on simulated data.

Two versions of the toolbox compute the same if their digests, made on one machine with the
same libraries, are equal. Values are decoded before (packing and compression do not count) and
rounded to six decimals; times of writing, versions, paths and sentences for people are left out.

Examples
  python tests/digests.py --output_file before.json --checkout ../old
  python tests/digests.py --output_file after.json --compare before.json
  python tests/digests.py --output_file after.json --compare before.json --leave_out swaths/flat
"""

import argparse
import csv
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

DECIMALS = 6
START, END = date(2024, 2, 20), date(2024, 4, 12)
ABSENT = [START + timedelta(days=number) for number in (4, *range(14, 18))]
DEFECTS = {START + timedelta(days=31): "all_zero"}
OUTAGES = {START + timedelta(days=7): (0, 14), START + timedelta(days=8): (5, 20)}
ORBITS = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 1, 2, tzinfo=UTC)
TRACKS = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 1, 6, tzinfo=UTC)

# Sums depend on the number of threads; so does the training of a network.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
# Names of variables, columns and keys that hold no result: the cost of the run, bytes of the
# simulated files, sentences for people.
NO_RESULTS = {"seconds", "peak_memory_bytes", "input_sha256", "day_reason", "pole_hole_rule"}

Digest = dict[str, Any]


def digest(*arrays: Any) -> Digest:
    """Digest of the values of one or several arrays, tensors or lists.

    Shape, kind of type (float, int, unsigned, bool, text) and rounded values count; byte order,
    width, memory layout, the bits of NaN and the sign of zero do not. The other entries tell a
    reader how large a difference is: shapes, number of finite values and their mean.
    """
    sha256, finite, total = hashlib.sha256(), 0, 0.0
    shapes = set()
    for array in arrays:
        values = np.asarray(array)
        kind, content = _canonical(values)
        sha256.update(f"{kind}{values.shape}".encode() + content)
        shapes.add("x".join(map(str, values.shape)) or "scalar")
        if kind != "text":
            # Simulated granules hold fill values near the largest float32.
            numbers = values[np.isfinite(values) & (np.abs(values) < 1e30)]
            finite, total = finite + numbers.size, total + float(numbers.sum(dtype=np.float64))
    return {
        "sha256": sha256.hexdigest(),
        "arrays": len(arrays),
        "shapes": sorted(shapes)[:2],
        "finite": finite,
        "mean": float(f"{total / finite:.6g}") if finite else None,
    }


def _canonical(values: np.ndarray) -> tuple[str, bytes]:
    """The kind of an array, and bytes that are equal where its rounded values are equal."""
    kind = values.dtype.kind
    if kind == "f":
        numbers = values.astype(np.float64)
        small = np.abs(numbers) < 2**53 / 10**DECIMALS  # larger ones have no such decimals
        numbers[small] = np.round(numbers[small], DECIMALS) + 0.0  # -0.0 becomes 0.0
        numbers[np.isnan(numbers)] = np.nan
        return kind, numbers.tobytes()
    if kind in "iub":
        return kind, values.astype({"i": "<i8", "u": "<u8", "b": "?"}[kind]).tobytes()
    return "text", "\0".join(map(str, values.ravel())).encode()


def differences(before: Mapping[str, Digest], after: Mapping[str, Digest]) -> list[str]:
    """One line for each name that only one run has or whose values differ."""
    lines = []
    for name in sorted(before.keys() | after.keys()):
        if name not in after or name not in before:
            lines.append(f"{name}: only {'before' if name in before else 'after'}")
        elif before[name]["sha256"] != after[name]["sha256"]:
            parts = [part for part in before[name] if part != "sha256"]
            values = [f"{part} {before[name][part]} -> {after[name][part]}" for part in parts]
            lines.append(f"{name}: {', '.join(values)}")
    return lines


class Run:
    """Stages of a checkout, run in a folder, and the digests of what they wrote.

    ``left_out`` are beginnings of the names of digests that are not wanted.
    """

    def __init__(self, checkout: Path, folder: Path, left_out: Sequence[str] = ()) -> None:
        self.checkout, self.folder, self.left_out = checkout, folder, tuple(left_out)
        self.digests: dict[str, Digest] = {}

    def scripts(self, *commands: str) -> None:
        """Run scripts as a user would, two at a time; SystemExit if one fails."""
        with ThreadPoolExecutor(2) as pool:
            for command, ended in zip(commands, pool.map(self._script, commands), strict=True):
                if ended.returncode:
                    raise SystemExit(f"status {ended.returncode}: {command}\n{ended.stderr}")

    def _script(self, command: str) -> subprocess.CompletedProcess[str]:
        name, *words = shlex.split(command)
        program = [sys.executable, str(self.checkout / name), *words]
        return subprocess.run(program, cwd=self.folder, capture_output=True, text=True)

    def wants(self, name: str) -> bool:
        """Whether no beginning of this name is left out."""
        return not name.startswith(self.left_out)

    def add(self, name: str, *arrays: Any) -> None:
        """Take the digest of some arrays, all under one name."""
        if self.wants(name) and name.rpartition("/")[2] not in NO_RESULTS:
            self.digests[name] = digest(*arrays)

    def add_files(self, name: str, *paths: Path) -> None:
        """Take the digests of files of one layout, one for each variable, column or key."""
        contents = [dict(CONTENTS[path.suffix](path)) for path in paths]
        self.add(f"{name}/files", [path.name for path in paths])
        for variable in sorted({variable for content in contents for variable in content}):
            arrays = [content[variable] for content in contents if variable in content]
            self.add(f"{name}/{variable}", *arrays)


def variables_of(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Decoded variables of a NetCDF file or a Zarr group."""
    import xarray

    engine = "zarr" if path.suffix == ".zarr" else "netcdf4"
    with xarray.open_dataset(path, engine=engine, decode_times=False) as dataset:
        for name, variable in dataset.variables.items():
            yield str(name), variable.values


def columns_of(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Columns of a table, numbers as such."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name in rows[0]:
        column = [row[name] for row in rows]
        try:
            yield name, np.array([text or "nan" for text in column], np.float64)
        except ValueError:
            yield name, np.array(column)


def numbers_of(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Numbers below each key at the top of a JSON file, in the order of the file."""
    for key, value in json.loads(path.read_text(encoding="utf-8")).items():
        if numbers := [*_leaves(value)]:
            yield key, np.array(numbers, np.float64)


def _leaves(value: Any) -> Iterator[float]:
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, dict):
        yield from _leaves([entry for key, entry in value.items() if key not in NO_RESULTS])
    elif isinstance(value, list):
        for entry in value:
            yield from _leaves(entry)


def datasets_of(path: Path) -> dict[str, Any]:
    """Arrays of an HDF5 file as they are stored, those of groups too."""
    import h5py

    with h5py.File(path) as file:
        names: list[str] = []
        file.visit(names.append)
        return {name: file[name][()] for name in names if isinstance(file[name], h5py.Dataset)}


CONTENTS: Mapping[str, Callable[[Path], Any]] = {
    ".nc": variables_of,
    ".zarr": variables_of,
    ".csv": columns_of,
    ".json": numbers_of,
    ".tif": lambda path: {"pixels": Image.open(path)},
    ".txt": lambda path: {"words": path.read_text(encoding="utf-8").split()},
    ".npz": np.load,
}


def write_inputs(run: Run) -> None:
    """Simulated files of every source; one digest for all that lies in a folder."""
    from seaice import simulate
    from seaice.simulate.sst import write_sst

    if not Path(simulate.__file__).is_relative_to(run.checkout):
        raise SystemExit(f"seaice is imported from {simulate.__file__}, not from {run.checkout}")
    folder = run.folder
    period = {"start_date": START, "end_date": END, "absent_days": ABSENT}
    gaps = {"defects": DEFECTS, "outages": OUTAGES}
    simulate.simulate_days(output_dir=folder / "days", **period, **gaps, seed=3)
    for granule in simulate.list_simulated_granules(*ORBITS):
        simulate.write_granule(folder / "l1b", granule)
    for granule in simulate.list_simulated_passes(*TRACKS):
        simulate.write_atl10(folder / "atl10", granule, segments=4000)
    (folder / "sst").mkdir()
    write_sst(folder / "sst", [date(2024, 6, 1) + timedelta(days=i) for i in range(12)], step=4.0)
    simulate.write_scenes(folder / "scenes", scenes=4, test_scenes=1, size=(160, 190), seed=3)
    for source in ("days", "l1b", "atl10", "sst", "scenes"):
        paths = sorted(p for p in (folder / source).rglob("*") if p.suffix in (".nc", ".h5"))
        contents = [datasets_of(path) for path in paths]
        run.add(f"inputs/{source}", *(content[name] for content in contents for name in sorted(content)))


def make_cubes(run: Run) -> None:
    """Mask, cubes and ice index; the last cube has errors that were calibrated on the first."""
    import xarray

    period = f"--source_dir days --start_date {START} --end_date {END}"
    run.scripts(f"create_mask.py {period} --output_file mask.nc")
    run.add_files("mask", run.folder / "mask.nc")
    make = f"consolidate_data.py {period} --land_mask_file mask.nc --output_file"
    cubes = {
        "cube.nc": "",
        "cube.zarr": "",
        "hybrid.nc": "--method hybrid --max_gap_days 2 --pole_hole keep --lat_lon",
        "temporal.nc": "--method temporal --past_only",
        "gaussian.nc": "--method gaussian --compression none",
    }
    run.scripts(*(f"{make} {name} {options}" for name, options in cubes.items()))
    # From the pole to the ice edge, for what would take a while on all of the cube.
    with xarray.open_dataset(run.folder / "cube.nc", decode_times=False, mask_and_scale=False) as cube:
        strip = cube[["sea_ice_conc", "fill_flag", "surface", "crs"]]
        strip = strip.isel(time=slice(46), y=slice(200, 330), x=slice(130, 165))
        strip.to_netcdf(run.folder / "strip.nc")
    field = "--input_file strip.nc --variable sea_ice_conc"
    run.scripts(f"fill_gaps.py calibrate {field} --seeds 1 --output_file errors.json")
    run.add_files("calibrated", run.folder / "errors.json")
    run.scripts(f"{make} errors.nc --error_table errors.json")
    outputs = "--output_csv index.csv --output_file index.nc"
    run.scripts(f"ice_index.py --input_file cube.nc {outputs} --region box=160,220,120,180")
    for name in (*cubes, "errors.nc", "index.csv", "index.nc"):
        run.add_files(name, run.folder / name)


def collect_swaths(run: Run) -> None:
    """Archives in both layouts, and daily grids of them."""
    from utils import load_swaths

    layouts = ("swath_array", "hdf5")
    start, end = (f"'{moment:%Y-%m-%d %H:%M}'" for moment in ORBITS)
    collect = f"amsr2_processor.py --input_dir l1b --channels 36.5H 89AH --start {start} --end {end}"
    run.scripts(*(f"{collect} --layout {name} --output_dir {name}" for name in layouts))
    for name in layouts:
        (path,) = (run.folder / name).glob("AMSR2_*")
        run.add(f"swaths/{name}/files", [path.name])
        with load_swaths(path) as archive:
            swaths = list(archive)
            for array in swaths[0].name_arrays():
                run.add(f"swaths/{name}/{array}", *(swath.name_arrays()[array] for swath in swaths))
            for channel in swaths[0].channels:
                run.add(f"swaths/{name}/kelvin_{channel}", *(swath.kelvin(channel) for swath in swaths))
            texts = [[swath.granule_id, swath.orbit_type, swath.start_time] for swath in swaths]
            run.add(f"swaths/{name}/granules", np.array(texts, str))
    grid = "grid_swaths.py --grid n25000 --input"
    run.scripts(
        f"{grid} swath_array --output_dir bucket --resample bucket",
        f"{grid} hdf5 --output_dir nearest --resample nearest --channels 36.5H",
    )
    for name in ("bucket", "nearest"):
        run.add_files(f"temperatures/{name}", *sorted((run.folder / name).iterdir()))


def grid_freeboard(run: Run) -> None:
    """Freeboard of all segments, and that of leads alone by day."""
    grid = "grid_freeboard.py --input_dir atl10 --grid ease2n25000 --output_file"
    run.scripts(
        f"{grid} freeboard.nc --period all --beams all",
        f"{grid} leads.nc --period day --surface lead --min_count 2",
    )
    run.add_files("freeboard/all", run.folder / "freeboard.nc")
    run.add_files("freeboard/leads", run.folder / "leads.nc")


def fill_fields(run: Run) -> None:
    """Sea surface temperature filled by several methods, and scores of methods."""
    field = "--input_file sst/l3s.nc --mask_file sst/l4.nc"
    strip = "--input_file strip.nc --variable sea_ice_conc"
    wide = "--methods temporal departure wide=departure --parameters wide.neighbour_sigma=3"
    gaps = "--gaps outages clouds --outage_days 2"
    methods = ("linear", "loess", "departure", "temporal", "harmonic", "eof")
    run.scripts(
        f"fill_gaps.py score {field} --methods linear loess eof --gaps clouds --output_dir sst_scores",
        f"fill_gaps.py score {strip} {wide} {gaps} --output_dir cube_scores",
        *(f"fill_gaps.py fill {field} --method {name} --output_file {name}_sst.nc" for name in methods),
    )
    for name in methods:
        run.add_files(f"filled/{name}", run.folder / f"{name}_sst.nc")
    for name in ("sst_scores", "cube_scores"):
        for suffix in ("csv", "json"):
            run.add_files(f"{name}/{suffix}", run.folder / name / f"scores.{suffix}")


def read_batches(run: Run) -> None:
    """Batches of the Dataset, from chunks and from training caches."""
    from torch.utils.data import DataLoader

    import utils

    cube, cache = run.folder / "cube.nc", run.folder / "cache"
    run.scripts("cache_cube.py --cube_file cube.nc --output_dir cache")
    parts = utils.date_blocks(START, END, cube=cube, shares={"train": 3, "test": 1})
    run.add("batches/blocks", [[name, *map(str, blocks)] for name, blocks in parts.items()])
    statistics = utils.measure_statistics(cube, parts["train"])
    numbers = [statistics.mean, statistics.std, statistics.cells, statistics.days]
    run.add("batches/statistics", np.array(numbers, np.float64))
    run.add("batches/ocean_mask", utils.load_ocean_mask(run.folder / "mask.nc"))
    returns = ["inputs", "targets", "dates", "ocean", "input_flags", "target_flags"]
    returns += ["input_weights", "target_weights", "origin"]
    part = {"region": (100, 260, 60, 220), "returns": returns, "filled_weight": 0.5}
    normalised = {**part, "statistics": statistics, "land_value": 2.0}
    kinds: dict[str, tuple[Path, dict[str, Any]]] = {
        "plain": (cube, {}),
        "zarr": (run.folder / "cube.zarr", {}),
        "preloaded": (cube, {**part, "preload_data": True}),
        "normalised": (cube, normalised),
        "patches": (cube, {**normalised, "patch_size": 32, "seed": 1, "smallest_ocean_share": 0.3}),
        "cache_float16": (cube, {"cache": cache}),
        "cache_int16": (cube, {**normalised, "cache": run.folder / "int16", "cache_dtype": "int16"}),
        "missing_kept": (run.folder / "hybrid.nc", {**part, "largest_missing_share": 0.5}),
    }
    for kind, (path, options) in kinds.items():
        dataset = utils.ConsolidatedSICDataset(path, START, END, 3, 2, 1, 2, samples_gap=5, **options)
        dataset.set_epoch(2)
        batch = next(iter(DataLoader(dataset, batch_size=4)))
        batch = batch if isinstance(batch, dict) else dict(zip(returns, batch, strict=False))
        deep = utils.unfold_StackOverChannel(batch["inputs"], 8)
        batch |= {"unfolded": deep, "folded": utils.fold_tensor(deep, batch["inputs"].shape[-2:], 8)}
        batch |= {"times": dataset.GetTimes(), "dropped": sorted(dataset.dropped.values())}
        for name, values in batch.items():
            run.add(f"batches/{kind}/{name}", values)
        dataset.close()


def segment_scenes(run: Run) -> None:
    """SAR patches, a network trained for a moment, its scores and its map of a scene."""
    script = "segmentation.py"
    run.scripts(f"{script} patches --input_dir scenes --output_dir patches --size 64 --per_scene 8")
    run.scripts(f"{script} split --patch_dir patches")
    run.add_files("patches/arrays", *sorted((run.folder / "patches").glob("*.npz")))
    run.add_files("patches/manifest", run.folder / "patches" / "patches.csv")
    run.add_files("patches/split", *sorted((run.folder / "patches").glob("*.txt")))
    network = "--options base=4 depth=2 --inputs sar+amsr2 --device cpu --output_dir network"
    short = "--updates 30 --epochs 2 --batch_size 8 --learning_rate 4e-3 --augment"
    run.scripts(f"{script} train --patch_dir patches {network} {short}")
    model = "--checkpoint network/best.pt --device cpu"
    run.scripts(
        f"{script} evaluate {model} --patch_dir patches --repeats 50 --output_file network.json",
        f"{script} predict {model} --scene scenes/test --output_dir maps --ice_share_grid n12500",
    )
    run.add_files("network/log", run.folder / "network" / "log.csv")
    run.add_files("network/scores", run.folder / "network.json")
    for path in sorted((run.folder / "maps").iterdir()):
        run.add_files(f"network/maps/{path.stem}", path)


# In this order: what one writes, others read.
STAGES = (
    write_inputs, make_cubes, collect_swaths, grid_freeboard, fill_fields, read_batches, segment_scenes
)  # fmt: skip


def main() -> int:
    """Run all stages, write the digests, compare them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    own = Path(__file__).resolve().parent.parent
    parser.add_argument("--output_file", type=Path, required=True, help="digests to write (.json)")
    parser.add_argument("--compare", type=Path, help="digests of another run; status 1 if any differs")
    parser.add_argument("--checkout", type=Path, default=own, help="what to run (default: this one)")
    parser.add_argument("--leave_out", nargs="+", default=[], help="beginnings of names of digests")
    parser.add_argument("--work_dir", type=Path, help="keep what the run writes in this new folder")
    arguments = parser.parse_args()
    os.environ.update(ONE_THREAD, MPLBACKEND="agg")
    checkout = arguments.checkout.resolve()
    sys.path.insert(0, str(checkout))
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.work_dir or Path(scratch) / "run").resolve()
        folder.mkdir(parents=True)
        run = Run(checkout, folder, arguments.leave_out)
        for stage in STAGES:
            begin = time.perf_counter()
            stage(run)
            print(f"{stage.__name__}: {time.perf_counter() - begin:.0f} s", flush=True)
    arguments.output_file.write_text(json.dumps(run.digests, indent=1) + "\n", encoding="utf-8")
    print(f"{arguments.output_file}: {len(run.digests)} digests")
    if arguments.compare is None:
        return 0
    before = json.loads(arguments.compare.read_text(encoding="utf-8"))
    lines = differences({name: d for name, d in before.items() if run.wants(name)}, run.digests)
    print("\n".join([*lines, f"{len(lines)} digests differ from {arguments.compare}"]))
    return 1 if lines else 0


if __name__ == "__main__":
    raise SystemExit(main())
