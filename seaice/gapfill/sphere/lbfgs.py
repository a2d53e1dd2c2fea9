"""Changing the gaps of a map until it has the statistics of a reference: loss, descent, checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.gapfill.sphere.statistics import (
    Operator,
    Target,
)
from seaice.runtime.atomic_write import atomic

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

# Iterations between two looks at progress, checkpoint and early stop.
CHUNK = 10
HISTORY = 10


@dataclass(frozen=True)
class Problem:
    """One map whose gaps are to be filled, in units of its spread about its mean.

    Attributes
    ----------
    operator : Operator
    target : Target
    start : ndarray of float64, shape (cell,)
        Whole map; only gap cells will change.
    gap : ndarray of bool, shape (cell,)
    masks : ndarray of float64, shape (mask, cell)
    border : ndarray of int64, shape (pair, 2)
        A gap cell and an observed cell beside it.
    typical : float
        Mean squared difference of observed neighbours.
    continuity : float
        Weight of the borders against the statistics.
    """

    operator: Operator
    target: Target
    start: np.ndarray
    gap: np.ndarray
    masks: np.ndarray
    border: np.ndarray
    typical: float
    continuity: float

    def loss(self) -> Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
        """A function of the gap cells: the loss, and the distance of the statistics in it."""
        import torch

        base, masks = self.operator.tensor(self.start), self.operator.tensor(self.masks)
        where = torch.tensor(np.flatnonzero(self.gap), device=self.operator.device)
        inside, outside = torch.tensor(self.border.T.copy(), device=self.operator.device)

        def value(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            whole = base.index_copy(0, where, x)
            distance = self.target.distance(self.operator.coefficients(whole, masks))
            if not self.continuity or not len(inside):
                return distance, distance
            steps = ((whole[inside] - whole[outside]) ** 2).mean() / self.typical
            return distance + self.continuity * steps, distance

        return value


@dataclass
class Descent:
    """The state of a descent, or its result.

    Attributes
    ----------
    values : ndarray of float64, shape (gap cell,)
    loss, distance : list of float
        Values at the start and after every chunk of iterations.
    iterations : int
    finished : bool
    """

    values: np.ndarray
    loss: list[float] = field(default_factory=list)
    distance: list[float] = field(default_factory=list)
    iterations: int = 0
    finished: bool = False


def descend(
    problem: Problem,
    *,
    iterations: int,
    tolerance: float,
    state: dict[str, Any] | None = None,
    after_chunk: Callable[[dict[str, Any]], None] | None = None,
) -> Descent:
    """Lower the loss by L-BFGS with a Wolfe line search.

    Parameters
    ----------
    problem : Problem
    iterations : int
        Largest number of iterations.
    tolerance : float
        Stop when ten iterations lower the loss by less than this share.
    state : dict, optional
        The last argument of ``after_chunk``; the descent goes on as if it had not been stopped.
    after_chunk : callable, optional
        Called with a state that ``torch.save`` can write, after every ten iterations.
    """
    import torch

    value = problem.loss()
    x = problem.operator.tensor(problem.start[problem.gap]).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [x],
        max_iter=CHUNK,
        max_eval=100 * CHUNK,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=0.0,
        tolerance_change=0.0,
    )
    done = Descent(problem.start[problem.gap])
    if state is not None:
        with torch.no_grad():
            x.copy_(state["x"])
        optimiser.load_state_dict(state["optimiser"])
        done = Descent(x.detach().cpu().numpy(), *(state[k] for k in ("loss", "distance", "iterations")))
    last: list[torch.Tensor] = []

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss, distance = value(x)
        loss.backward()
        # The modulus has no slope at exactly 0.
        x.grad = torch.nan_to_num(x.grad) if x.grad is not None else None
        last[:] = [loss.detach(), distance.detach()]
        return loss

    if state is None:
        closure()
        done.loss.append(float(last[0]))
        done.distance.append(float(last[1]))
    while done.iterations < iterations and not done.finished:
        optimiser.param_groups[0]["max_iter"] = min(CHUNK, iterations - done.iterations)
        optimiser.step(closure)
        done.iterations = int(optimiser.state[x]["n_iter"])
        with torch.no_grad():
            loss, distance = value(x)
        done.loss.append(float(loss))
        done.distance.append(float(distance))
        done.finished = done.loss[-2] - done.loss[-1] < tolerance * done.loss[-2]
        logger.debug("%d iterations: loss %.4g", done.iterations, done.loss[-1])
        if after_chunk is not None and not done.finished:
            after_chunk(_state(x, optimiser, done))
    done.values = x.detach().cpu().numpy()
    done.finished = True
    return done


def _state(x: torch.Tensor, optimiser: torch.optim.Optimizer, done: Descent) -> dict[str, Any]:
    return {
        "x": x.detach().clone(),
        "optimiser": optimiser.state_dict(),
        "loss": list(done.loss),
        "distance": list(done.distance),
        "iterations": done.iterations,
    }


class Checkpoint:
    """The finished descents and the one under way, in a file.

    Parameters
    ----------
    path : Path or None
        None keeps nothing.
    digest : str
        Digest of the field and all parameters: a checkpoint of others is refused.

    Raises
    ------
    InputError
        If the file belongs to another field or other parameters, or is no checkpoint.
    """

    def __init__(self, path: Path | None, digest: str) -> None:
        import torch

        self._path, self._digest = path, digest
        self._done: dict[str, dict[str, Any]] = {}
        self._under_way: dict[str, Any] | None = None
        self._key = ""
        if path is None or not Path(path).exists():
            return
        try:
            stored = torch.load(path, map_location="cpu", weights_only=True)
            same = stored["digest"] == digest
        except Exception as error:  # a file of anything fails in any way
            raise InputError(
                f"expected a checkpoint of scattering in {path}, found something else "
                f"({type(error).__name__}); remove it or choose another name"
            ) from None
        if not same:
            raise InputError(
                f"the checkpoint {path} belongs to another field or other parameters; remove it or "
                "choose another name"
            )
        self._done, self._key = stored["done"], stored["key"]
        self._under_way = stored["under_way"]

    def finished(self, key: str) -> Descent | None:
        """A descent that was finished before."""
        import torch

        stored = self._done.get(key)
        if stored is None:
            return None
        values = torch.as_tensor(stored["values"]).numpy()
        return Descent(values, stored["loss"], stored["distance"], stored["iterations"], True)

    def state(self, key: str) -> dict[str, Any] | None:
        """The state of a descent that was stopped on its way."""
        return self._under_way if key == self._key else None

    def keep(self, key: str, state: dict[str, Any]) -> None:
        """Store a descent under way."""
        self._key, self._under_way = key, state
        self._write()

    def finish(self, key: str, descent: Descent) -> None:
        """Store a finished descent."""
        import torch

        self._done[key] = {
            "values": torch.tensor(descent.values),
            "loss": descent.loss,
            "distance": descent.distance,
            "iterations": descent.iterations,
        }
        self._key, self._under_way = "", None
        self._write()

    def _write(self) -> None:
        import torch

        if self._path is None:
            return
        with atomic(Path(self._path)) as temporary:
            torch.save(
                {
                    "digest": self._digest,
                    "done": self._done,
                    "key": self._key,
                    "under_way": self._under_way,
                },
                temporary,
            )
