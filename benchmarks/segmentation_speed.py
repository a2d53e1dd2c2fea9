"""Steps a second of training and scenes an hour of mapping, in float32 and bf16, against plain loops.

Training: the same updates of three heads on batches in memory, against a loop as in the starter code of
the AutoICE challenge (float32, a loss read after every head). Maps: a scene by overlapping tiles with
layers of uncertainty, against the whole scene at once, as that code does it. Every ratio is of times of
the same run. On a GPU it takes less than five minutes. On a shared machine compare CPU seconds.

  python benchmarks/segmentation_speed.py
  python benchmarks/segmentation_speed.py --device cuda --side 5000 --batch_size 32 --updates 100
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
import torch
from stopwatch import Seconds, timed
from torch.nn import functional

from seaice.runtime.networks.checkpoint_file import save_checkpoint
from seaice.runtime.networks.device import choose_device
from seaice.runtime.networks.precision import choose_memory_format
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.heads.head import count_outputs, list_heads
from seaice.segmentation.mapping.head_layers import LayerPlan, make_predictor
from seaice.segmentation.mapping.predict_scene import map_scene
from seaice.segmentation.networks.checkpoint import describe_model, load_model
from seaice.segmentation.networks.registry import build_network
from seaice.segmentation.training.distributed import ProcessGroup
from seaice.segmentation.training.trainer import Trainer, TrainingPlan, TrainingSetup
from seaice.simulate.sar import write_scenes
from seaice.sources.ai4arctic.scene import Scene, open_scene

TASK = "sic+sod+floe"
SIZE = 224
ROUNDS = 3


def build(seed: int = 0) -> torch.nn.Module:
    """The default UNet with three heads."""
    torch.manual_seed(seed)
    return build_network("unet", channels=2, classes=count_outputs(TASK))


class Batches:
    """Stands for the patches: batches are made here, so that reading files is no part of the times."""

    size = SIZE

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count


def make_batches(count: int, batch_size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Random images and charts."""
    rng = np.random.default_rng(0)
    shape = batch_size, SIZE, SIZE
    classes = [head.classes for head in list_heads(TASK)]
    return [
        (
            torch.from_numpy(rng.standard_normal((batch_size, 2, SIZE, SIZE), np.float32)),
            torch.from_numpy(np.stack([rng.integers(0, k, shape, np.uint8) for k in classes], axis=1)),
        )
        for _ in range(count)
    ]


def train_here(folder: Path, device: torch.device, batches: Any, precision: str, last: bool) -> Any:
    """A function that makes all updates of :class:`Trainer` on the batches."""
    plan = TrainingPlan(
        epochs=1,
        updates=len(batches),
        learning_rate=1e-3,
        batch_size=len(batches[0][0]),
        patience=0,
        seed=0,
        precision=precision,
        workers=0,
        memory_format=choose_memory_format(precision, channels_last=last),
    )
    patches: Any = Batches(len(batches) * plan.batch_size)
    setup = TrainingSetup(build(), patches, patches, TASK, LabelRule(), None, {})
    trainer = Trainer(setup, plan, ProcessGroup(0, 1, device), folder, resume=False)
    trainer.network.train()

    def run() -> None:
        for images, charts in batches:
            trainer._update(trainer.network, images, charts)

    return run


def train_plainly(device: torch.device, batches: Any) -> Callable[[], None]:
    """The loop of the starter code: three cross entropies, each read, in float32."""
    network = build().to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    sizes = [head.outputs for head in list_heads(TASK)]

    def run() -> None:
        for images, charts in batches:
            logits = network(images.to(device)).split(sizes, dim=1)
            losses = [
                functional.cross_entropy(part, charts[:, k].long().to(device), ignore_index=255)
                for k, part in enumerate(logits)
            ]
            optimizer.zero_grad()
            sum(losses).backward()  # type: ignore[union-attr]
            optimizer.step()
            [loss.item() for loss in losses]

    return run


def write_model(path: Path) -> Path:
    """A checkpoint of the network with random weights."""
    network = build()
    note = describe_model(
        model="unet", options={}, inputs="sar", channels=2, task=TASK, rule=LabelRule()
    )
    save_checkpoint(path, note | {"state": network.state_dict(), "epoch": 1, "metrics": {}})
    return path


def map_here(path: Path, scene: Scene, device: str, precision: str, batch_size: int) -> Any:
    """A function that maps the scene by overlapping tiles; it returns the map."""
    model = load_model(path, device, precision)
    plan = LayerPlan(TASK, with_uncertainty=True)
    predict = make_predictor([model], plan)
    return lambda: map_scene(scene, predict, plan, model.rule, batch_size=batch_size)


def map_at_once(path: Path, scene: Scene, device: str) -> Callable[[], list[np.ndarray]]:
    """A function that predicts the whole scene at once, and the classes of all heads."""
    model = load_model(path, device)
    sizes = [head.outputs for head in list_heads(TASK)]

    def run() -> list[np.ndarray]:
        image = torch.from_numpy(scene.read_sar().copy())[None].to(model_device)
        parts = model.predict(image).split(sizes, dim=1)
        return [part.argmax(dim=1).to(torch.uint8).cpu().numpy() for part in parts]

    model_device = next(model.network.parameters()).device
    return run


def compare(title: str, sides: Mapping[str, Callable[[], Any]], unit: str, count: float) -> None:
    """Time all sides in turn and print rates and ratios to the first one."""
    runs: dict[str, list[Seconds]] = {name: [] for name in sides}
    for run in sides.values():
        run()
    for _ in range(ROUNDS):
        for name, run in sides.items():
            runs[name].append(timed(run))
    print(f"\n{title}\n| | {unit} | wall s | CPU s | ratio of wall | ratio of CPU |")
    print("|---|---|---|---|---|---|")
    first: Seconds | None = None
    for name, seconds in runs.items():
        # The fastest round: whatever else runs on the machine only makes rounds slower.
        best = Seconds(min(s.wall for s in seconds), min(s.cpu for s in seconds))
        first = first or best
        print(
            f"| {name} | {count / best.wall:.2f} | {best.wall:.2f} | {best.cpu:.2f} | "
            f"{first.wall / best.wall:.2f} | {first.cpu / best.cpu:.2f} |",
            flush=True,
        )


def check_batches(path: Path, scene: Scene, device: str) -> None:
    """Print whether maps of different batches of tiles are equal to the last bit."""
    for precision in ("fp32", "bf16"):
        one, other = (map_here(path, scene, device, precision, count)().layers for count in (1, 7))
        same = all(
            np.array_equal(one[name], other[name], equal_nan=one[name].dtype != np.uint8) for name in one
        )
        print(f"{precision}, batches of 1 and 7 tiles: {'equal to the last bit' if same else 'differ'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--updates", type=int, default=3, help="steps in a round")
    parser.add_argument("--batch_size", type=int, default=4, help="patches of a step, tiles of a batch")
    parser.add_argument("--side", type=int, default=700, help="pixels along a side of the scene")
    options = parser.parse_args()
    device = choose_device(options.device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "processor"
    print(f"{where}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        batches = make_batches(options.updates, options.batch_size)
        sides: dict[str, Callable[[], Any]] = {
            "loop of the starter code": train_plainly(device, batches)
        }
        for name, precision, last in (
            ("train, fp32", "fp32", False),
            ("train, fp32, channels last", "fp32", True),
            ("train, bf16", "bf16", False),
        ):
            sides[name] = train_here(folder, device, batches, precision, last)
        title = f"Training, three heads, batches of {options.batch_size} patches of {SIZE} x {SIZE}"
        compare(title, sides, "steps a second", options.updates)
        side = options.side, options.side
        written = write_scenes(folder / "scenes", scenes=1, test_scenes=0, size=side)
        scene, path = open_scene(written[0].path), write_model(folder / "model.pt")
        scene.read_sar()
        maps: dict[str, Callable[[], Any]] = {
            "whole scene at once, fp32": map_at_once(path, scene, str(device))
        }
        for precision in ("fp32", "bf16"):
            maps[f"overlapping tiles, {precision}"] = map_here(
                path, scene, str(device), precision, options.batch_size
            )
        compare(f"Maps of {side[0]} x {side[1]} pixels", maps, "scenes an hour", 3600)
        check_batches(path, scene, str(device))


if __name__ == "__main__":
    main()
