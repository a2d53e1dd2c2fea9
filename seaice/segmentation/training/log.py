"""The log of a training: ``log.csv`` with a line for each epoch, and the same for TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.runtime.atomic_write import atomic

LOG_FILE = "log.csv"


def format_epoch(line: Mapping[str, float], score: str) -> str:
    """Format an epoch in one line of text.

    Parameters
    ----------
    line : mapping of str to float
        Line of the log.
    score : str
        Name of the score to show.
    """
    return (
        f"epoch {line['epoch']:.0f}: loss {line['train_loss']:.4f}, validation "
        f"{line['validation_loss']:.4f}, {score} {line[score]:.4f} ({line['seconds']:.1f} s)"
    )


def write_log(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write the lines of all epochs as a table."""
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)


def read_log(path: Path) -> dict[str, np.ndarray]:
    """Read the columns of ``log.csv``, float64 (epochs,) by name.

    Raises
    ------
    InputError
        If the file cannot be read or is another table.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        columns = {name: np.array([float(line[name]) for line in lines]) for name in lines[0]}
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}); give log.csv of a training") from None
    except (ValueError, TypeError, IndexError, UnicodeDecodeError):
        raise InputError(f"expected log.csv of a training, found another table: {path}") from None
    lacking = {"epoch", "train_loss", "validation_loss"} - set(columns)
    if lacking:
        raise InputError(f"expected a column {sorted(lacking)[0]} in {path}, found none")
    return columns


def write_tensorboard(folder: Path, line: Mapping[str, float]) -> None:
    """Add an epoch to the files of TensorBoard, where it is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    epoch = int(line["epoch"])
    with SummaryWriter(str(folder), purge_step=epoch) as writer:
        for name, value in line.items():
            if name not in ("epoch", "seconds"):
                writer.add_scalar(name, value, epoch)
