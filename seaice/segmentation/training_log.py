"""What a training tells of its epochs: a table, a line for people, and TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from seaice.atomic import atomic


def told(line: Mapping[str, float], name: str) -> str:
    """An epoch in one line; ``name`` is the score to tell."""
    return (
        f"epoch {line['epoch']:.0f}: loss {line['train_loss']:.4f}, validation "
        f"{line['validation_loss']:.4f}, {name} {line[name]:.4f} ({line['seconds']:.1f} s)"
    )


def write_log(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """The table of all epochs."""
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)


def to_tensorboard(folder: Path, line: Mapping[str, float]) -> None:
    """Also for TensorBoard, where it is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    epoch = int(line["epoch"])
    with SummaryWriter(str(folder), purge_step=epoch) as writer:
        for name, value in line.items():
            if name not in ("epoch", "seconds"):
                writer.add_scalar(name, value, epoch)
