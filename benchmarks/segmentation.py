"""The whole way on simulated scenes: patches, training, held-out scenes, a map, its share of ice.

Writes scenes in the layout of AI4Arctic, cuts patches, trains the UNet with parts of the scenes and
three seeds (equal updates), once with SAR alone and once with AMSR2 too, scores on the official test
scenes beside a threshold classifier and chance, maps one scene and draws it. Minutes on a processor.

  python benchmarks/segmentation.py --keep /tmp/study
  python benchmarks/segmentation.py --updates 200 --scenes 16 --fractions 0.1 0.25 1
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

from seaice.simulated_sar import write_scenes  # noqa: E402


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
    write_scenes(scenes, scenes=options.scenes, test_scenes=4, seed=options.seed)
    run("patches", "--input_dir", scenes, "--output_dir", patches, "--size", 128, "--workers", 2)
    run("split", "--patch_dir", patches)
    common = ["--patch_dir", patches, "--seeds", 3, "--updates", options.updates]
    common += ["--epochs", 4, "--learning_rate", options.learning_rate]
    parts = ["--fractions", ",".join(map(str, options.fractions))]
    run("data-efficiency", *common, *parts, "--output_dir", folder / "sar")
    both = ["--inputs", "sar+amsr2", "--fractions", "1.0"]
    run("data-efficiency", *common, *both, "--output_dir", folder / "amsr2")
    checkpoint = sorted((folder / "sar").rglob("best.pt"))[-1]
    report = folder / "evaluation.json"
    run("evaluate", "--checkpoint", checkpoint, "--patch_dir", patches, "--output_file", report)
    scene = sorted((scenes / "test").glob("*_prep.nc"))[0]
    maps = folder / "maps"
    run("predict", "--checkpoint", checkpoint, "--scene", scene, "--output_dir", maps)
    whole = sorted(maps.glob("*_ice.nc"))[0]
    run("plot", "--kind", "scene", "--input_files", whole, "--output_file", folder / "scene.png")
    drawn = ["--checkpoint", checkpoint, "--patch_dir", patches]
    run("plot", "--kind", "panels", *drawn, "--output_file", folder / "panels.png")
    run("plot", "--kind", "embedding", *drawn, "--output_file", folder / "embedding.png")
    results = sorted((folder / "sar").glob("*.json"))[:1]
    run("plot", "--kind", "efficiency", "--input_files", *results, "--output_file", folder / "study.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenes", type=int, default=12, help="training scenes")
    parser.add_argument("--updates", type=int, default=80, help="steps of each training")
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--fractions", type=float, nargs="+", default=[0.25, 1.0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files (default: temporary)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        study(folder, options)


if __name__ == "__main__":
    main()
