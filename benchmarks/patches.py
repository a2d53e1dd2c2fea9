"""Patch extraction against reading alone: scenes a minute, MB/s, and the ratio of one run.

Cutting a scene into patches takes two to three times as long as reading what it needs of it (SAR,
ice chart, distance, AMSR2, with h5py and nothing else): digests of the input and of every patch,
counting all places, and writing are the rest. "Classic" is the way of the
published patches: up to ten tries a patch, each reading both SAR channels anew. Simulated scenes;
their edges grow with the size, so that shares of kinds say what a draw does, not what the Arctic is.

  python benchmarks/patches.py --size 1500 --scenes 2
  python benchmarks/patches.py --size 5000 --scenes 1 --repeats 1
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import stopwatch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.segmentation.data.cut import make_patches
from seaice.simulate import write_scenes
from seaice.sources.ai4arctic.scene import (
    AMSR2_CHANNELS,
    SAR_CHANNELS,
    list_scenes,
)

NEEDED = (*SAR_CHANNELS, "SIC", "distance_map", *AMSR2_CHANNELS)
OURS, READING, CLASSIC = "patches, toolbox", "reading alone", "classic tries"


def read_all(paths: Sequence[Path]) -> int:
    """Read the variables that patches need; bytes of the arrays."""
    import h5py

    total = 0
    for path in paths:
        with h5py.File(path) as file:
            total += sum(file[name][...].nbytes for name in NEEDED)
    return total


def classic(paths: Sequence[Path], per_scene: int, size: int) -> None:
    """Random crops, the whole SAR read for every try that passes the chart."""
    import h5py

    rng = np.random.default_rng(0)
    for path in paths:
        with h5py.File(path) as file:
            chart = file["SIC"][...]
            found = 0
            for _ in range(10 * per_scene):
                row, column = (int(rng.integers(0, n - size)) for n in chart.shape)
                box = np.s_[row : row + size, column : column + size]
                if (chart[box] != 255).mean() < 0.3:
                    continue
                sar = np.stack([file[name][...][box] for name in SAR_CHANNELS])
                found += not np.isnan(sar).any()
                if found == per_scene:
                    break


def kinds(source: Path, folder: Path, size: int, per_scene: int) -> None:
    """Shares of kinds of patches by either way to draw."""
    for sampling in ("stratified", "random"):
        out = folder / sampling
        values = make_patches(
            input_dir=source, output_dir=out, size=size, per_scene=per_scene, sampling=sampling
        ).values
        shares = ", ".join(
            f"{100 * values[kind] / values['patches']:.0f} % {kind}"
            for kind in ("water", "mixed", "ice")
        )
        print(f"{sampling:12} {values['patches']:5} patches: {shares}")


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1500, help="pixels along a side of a scene")
    parser.add_argument("--scenes", type=int, default=2)
    parser.add_argument("--patch", type=int, default=224)
    parser.add_argument("--per_scene", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one by default")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        shape = (options.size, options.size + options.size // 25)
        write_scenes(folder / "scenes", scenes=options.scenes, test_scenes=0, size=shape)
        return measure(options, folder)


def measure(options: argparse.Namespace, folder: Path) -> int:
    source, out = folder / "scenes", folder / "patches"
    paths = list_scenes(source)
    content, stored = read_all(paths), sum(path.stat().st_size for path in paths)
    shared = {"size": options.patch, "per_scene": options.per_scene}

    def cut(workers: int = 1) -> None:
        shutil.rmtree(out, ignore_errors=True)
        make_patches(input_dir=source, output_dir=out, workers=workers, **shared)

    cut()
    sides = {
        READING: lambda: read_all(paths),
        OURS: cut,
        CLASSIC: lambda: classic(paths, options.per_scene, options.patch),
    }
    times = stopwatch.in_turn(sides, options.repeats)
    count = len(list(out.glob("*.npz")))
    print(
        f"scenes: {len(paths)} of {content / 1e6 / len(paths):.0f} MB, "
        f"{stored / 1e6 / len(paths):.0f} MB as stored; {count} patches of {options.patch}"
    )
    print(f"{'':18} {'s':>8} {'CPU s':>8} {'scenes/min':>11} {'MB/s':>8} {'of reading':>11}")
    for name, seconds in times.items():
        ratio = seconds.wall / times[READING].wall
        rate, speed = 60 * len(paths) / seconds.wall, content / 1e6 / seconds.wall
        print(
            f"{name:18} {seconds.wall:8.2f} {seconds.cpu:8.2f} {rate:11.1f} {speed:8.0f} {ratio:11.2f}"
        )
    if options.workers > 1:
        wall = stopwatch.timed(lambda: cut(options.workers)).wall
        print(f"{options.workers} workers, with starting them: {60 * len(paths) / wall:.1f} scenes/min")
    kinds(source, folder, options.patch, options.per_scene)
    return 0


if __name__ == "__main__":
    sys.exit(main())
