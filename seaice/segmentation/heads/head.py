"""Heads of a network: what it predicts at once, each from a chart of its own.

A task is the name of one head, or of several joined by plus signs, such as ``sic+sod+floe``. All heads
share the network; each has its own channels of the output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from seaice import InputError
from seaice.sources.ai4arctic.tables import CLASS_COUNTS

if TYPE_CHECKING:
    import torch

Task = Literal["classes", "sic", "sic-regression", "sod", "floe"]
TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True)
class Head:
    """What one head predicts.

    Attributes
    ----------
    name : str
        classes (water and ice), sic, sic-regression, sod or floe.
    chart : str
        SIC, SOD or FLOE.
    outputs : int
        Channels of the output.
    classes : int
        Number of classes that scores count.
    score : str
        Score by which the best epoch is chosen.
    """

    name: str
    chart: str
    outputs: int
    classes: int
    score: str

    @property
    def has_probabilities(self) -> bool:
        """Whether it predicts the probability of each class."""
        return self.outputs > 1

    @property
    def is_type(self) -> bool:
        """Whether its classes are types of ice, which are not numbers."""
        return self.chart != "SIC"


_LEVELS = CLASS_COUNTS["SIC"]
HEADS: Mapping[str, Head] = {
    head.name: head
    for head in (
        Head("classes", "SIC", 2, 2, "iou_mean"),
        Head("sic", "SIC", _LEVELS, _LEVELS, "r2"),
        Head("sic-regression", "SIC", 1, _LEVELS, "r2"),
        Head("sod", "SOD", CLASS_COUNTS["SOD"], CLASS_COUNTS["SOD"], "f1"),
        Head("floe", "FLOE", CLASS_COUNTS["FLOE"], CLASS_COUNTS["FLOE"], "f1"),
    )
}
# Weight of each chart in the combined score of the AutoICE challenge, and in the loss of several heads.
CHART_WEIGHTS: Mapping[str, int] = {"SIC": 2, "SOD": 2, "FLOE": 1}


def list_heads(task: str) -> tuple[Head, ...]:
    """List the heads of a task in the order of their channels.

    Raises
    ------
    InputError
        If there is no such head, or two heads predict one chart.

    Examples
    --------
    >>> [head.name for head in list_heads("sic+floe")]
    ['sic', 'floe']
    """
    names = task.split("+")
    for name in names:
        if name not in HEADS:
            raise InputError(f"expected a task among {', '.join(TASKS)}, found {name!r}")
    heads = tuple(HEADS[name] for name in names)
    if len({head.chart for head in heads}) < len(heads):
        raise InputError(
            f"expected tasks of different charts, found {' and '.join(names)}; leave one out"
        )
    return heads


def join_tasks(names: Sequence[str] | str) -> str:
    """Join names of heads to a task, in the order of SIC, SOD, FLOE.

    Examples
    --------
    >>> join_tasks(["floe", "sic", "sod"]), join_tasks("classes")
    ('sic+sod+floe', 'classes')
    """
    heads = list_heads(names if isinstance(names, str) else "+".join(names))
    order = list(CHART_WEIGHTS)
    return "+".join(head.name for head in sorted(heads, key=lambda head: order.index(head.chart)))


def weigh_heads(task: str) -> list[float]:
    """Weight of every head in loss and combined score; their sum is 1.

    Examples
    --------
    >>> weigh_heads("sic+sod+floe"), weigh_heads("classes")
    ([0.4, 0.4, 0.2], [1.0])
    """
    weights = [CHART_WEIGHTS[head.chart] for head in list_heads(task)]
    return [weight / sum(weights) for weight in weights]


def count_outputs(task: str) -> int:
    """Number of channels that the output of a network has, of all heads together."""
    return sum(head.outputs for head in list_heads(task))


def split_outputs(outputs: torch.Tensor, task: str) -> list[torch.Tensor]:
    """Split an output (B, K, H, W) into those of the heads."""
    return list(outputs.split([head.outputs for head in list_heads(task)], dim=1))
