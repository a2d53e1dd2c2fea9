"""The whole way on simulated scenes: patches, training, held-out scenes, a map, its share of ice.

Writes scenes in the layout of AI4Arctic, cuts patches, trains the UNet with parts of the scenes, with
and without AMSR2 and with three seeds (equal updates), scores all on the official test scenes beside a
threshold classifier and chance, maps those scenes and draws everything. Half an hour on two
processors; ``--updates 20 --scenes 8`` shows the way in minutes, with poor scores.

  python benchmarks/segmentation.py --keep /tmp/study
  python benchmarks/segmentation.py --updates 400 --scenes 40 --fractions 0.05 0.25 1
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.simulate.sar import write_scenes


def run(*words: object) -> None:
    """Run a subcommand as a user would, showing the command and what it says."""
    told = [str(word) for word in words]
    print(f"\n$ python segmentation.py {' '.join(told)}", flush=True)
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, str(ROOT / "segmentation.py"), *told])
    if done.returncode:
        raise SystemExit(f"{told[0]} ended with status {done.returncode}")
    print(f"({time.perf_counter() - begin:.0f} s)", flush=True)


def study(folder: Path, options: argparse.Namespace) -> None:
    """Everything, in one folder."""
    scenes, patches = folder / "scenes", folder / "patches"
    write_scenes(scenes, scenes=options.scenes, test_scenes=options.test_scenes, seed=options.seed)
    run("patches", "--input_dir", scenes, "--output_dir", patches, "--size", 128, "--workers", 2)
    run("split", "--patch_dir", patches)
    parts = ",".join(map(str, options.fractions))
    plan = ["--fractions", parts, "--seeds", 3, "--updates", options.updates, "--epochs", 10]
    plan += ["--batch_size", 8, "--learning_rate", options.learning_rate, "--augment"]
    both = ["--inputs", "sar", "sar+amsr2"]
    trained = folder / "study"
    run("data-efficiency", "--patch_dir", patches, "--output_dir", trained, *both, *plan)
    run("plot", "--kind", "efficiency", "--input_files", trained, "--output_file", folder / "study.png")
    one = trained / f"sar_fraction_{max(options.fractions):g}_seed_42"
    model, tested = ["--checkpoint", one / "best.pt"], ["--patch_dir", patches, "--output_file"]
    run("evaluate", *model, *tested, folder / "evaluation.json")
    run("plot", "--kind", "panels", *model, *tested, folder / "panels.png")
    run("plot", "--kind", "embedding", *model, *tested, folder / "embedding.png")
    run("plot", "--kind", "curves", "--input_files", one, "--output_file", folder / "curves.png")
    maps = folder / "maps"
    run("predict", *model, "--scene", scenes / "test", "--output_dir", maps)
    whole = sorted(maps.glob("*_ice.nc"))[0]
    run("plot", "--kind", "scene", "--input_files", whole, "--output_file", folder / "scene.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenes", type=int, default=24, help="training scenes")
    parser.add_argument("--test_scenes", type=int, default=8, help="at most 20")
    parser.add_argument("--updates", type=int, default=200, help="steps of each training")
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--fractions", type=float, nargs="+", default=[0.1, 1.0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files (default: temporary)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        study(folder, options)


if __name__ == "__main__":
    main()
