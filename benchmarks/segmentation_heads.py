"""Three heads of one network against networks of one head each and the majority class, three seeds.

Writes simulated scenes in the layout of AI4Arctic, cuts patches, trains a small UNet on concentration,
stage of development and floe size at once and on each alone with as many updates, and scores all on the
official test scenes: means over seeds with intervals of 95 percent, gains by seed, and how reliable
probabilities are before and after their temperature. A quarter of an hour of one processor.

  python benchmarks/segmentation_heads.py --keep /tmp/heads
  python benchmarks/segmentation_heads.py --updates 800 --scenes 60 --base 16
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.segmentation.data.cut import make_patches
from seaice.segmentation.data.splits import split_scenes
from seaice.segmentation.evaluation.metrics import compute_seed_interval
from seaice.segmentation.study.evaluate import evaluate
from seaice.segmentation.training.train import train
from seaice.simulate.sar import write_scenes

THREE = ("sic", "sod", "floe")
SCORES = {"sic": "r2", "sod": "f1", "floe": "f1"}
WEIGHTS = {"sic": 0.4, "sod": 0.4, "floe": 0.2}


def score(folder: Path, patches: Path, task: tuple[str, ...], seed: int, options: Any) -> dict[str, Any]:
    """Train and evaluate once, or read the scores of an earlier run."""
    output = folder / f"{'_'.join(task)}_{seed}"
    scores = output / "test.json"
    if not scores.exists():
        train(
            patch_dir=patches,
            output_dir=output,
            task=task,  # type: ignore[arg-type]
            options=(f"base={options.base}",),
            epochs=5,
            updates=options.updates,
            batch_size=8,
            learning_rate=3e-3,
            patience=0,
            augment=True,
            calibrate=True,
            precision=options.precision,
            seed=seed,
        )
        evaluate(
            checkpoint=output / "best.pt",
            patch_dir=patches,
            output_file=scores,
            baselines=task == THREE,
        )
    content: dict[str, Any] = json.loads(scores.read_text())
    return content


def find_scores(content: Mapping[str, Any], task: tuple[str, ...], method: str) -> dict[str, float]:
    """Leading score of every head by its name, of the network or of the majority class."""
    line = next(
        line for line in content["results"] if line["method"] == method and line["subset"] == "all"
    )
    prefix = {name: f"{name}_" if len(task) > 1 else "" for name in task}
    return {name: line["scores"][f"{prefix[name]}{SCORES[name]}"]["value"] for name in task}


def add_combined(scores: dict[str, float]) -> dict[str, float]:
    """Scores of the three charts with the combined one of the challenge."""
    return scores | {"combined": sum(WEIGHTS[name] * scores[name] for name in THREE)}


def show(label: str, by_seed: list[dict[str, float]]) -> None:
    """Print the mean of every score with its interval."""
    texts = []
    for name in (*THREE, "combined"):
        interval = compute_seed_interval([scores[name] for scores in by_seed])
        texts.append(f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})")
    print(f"| {label} | " + " | ".join(texts) + " |")


def study(folder: Path, options: argparse.Namespace) -> None:
    """Everything, in one folder."""
    scenes, patches = folder / "scenes", folder / "patches"
    if not (patches / "split.json").exists():
        write_scenes(scenes, scenes=options.scenes, test_scenes=6, size=(450, 450), seed=2)
        make_patches(input_dir=scenes, output_dir=patches, size=96, per_scene=12)
        split_scenes(patch_dir=patches)
    seeds = range(42, 42 + options.seeds)
    together = [score(folder, patches, THREE, seed, options) for seed in seeds]
    alone = {name: [score(folder, patches, (name,), seed, options) for seed in seeds] for name in THREE}
    three = [add_combined(find_scores(content, THREE, "unet")) for content in together]
    single = [
        add_combined({name: find_scores(alone[name][k], (name,), "unet")[name] for name in THREE})
        for k in range(len(three))
    ]
    majority = add_combined(find_scores(together[0], THREE, "majority class"))
    print("| | R2 of SIC | F1 of SOD | F1 of FLOE | combined |\n|---|---|---|---|---|")
    show("three heads of one network", three)
    show("three networks of one head", single)
    show(
        "gain of one network, same seed",
        [{name: a[name] - b[name] for name in a} for a, b in zip(three, single, strict=True)],
    )
    print("| majority class | " + " | ".join(f"{majority[n]:.3f}" for n in (*THREE, "combined")) + " |")
    print("\n| head | temperature | calibration error before | after |\n|---|---|---|---|")
    for name in THREE:
        curves = [content["reliability"][name] for content in together]
        means = [sum(c["temperature"] for c in curves) / len(curves)]
        means += [
            sum(c[key]["calibration_error"] for c in curves) / len(curves) for key in ("before", "after")
        ]
        print(f"| {name} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenes", type=int, default=30, help="training scenes")
    parser.add_argument("--updates", type=int, default=150, help="steps of each training")
    parser.add_argument("--base", type=int, default=8, help="width of the UNet")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--precision", default="auto", help="bf16 where a processor has it")
    parser.add_argument("--keep", type=Path, help="folder for the files (default: temporary)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        study(folder, options)


if __name__ == "__main__":
    main()
