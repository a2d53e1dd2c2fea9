"""Wall and CPU seconds of several ways to do the same, run in turn in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

# A side that takes less is run three more times and the first one is not counted: after a side
# of another size memory is taken from the system anew, which can cost more than the work.
QUICK = 5.0


class Seconds(NamedTuple):
    """Wall seconds, and CPU seconds of all threads of the process."""

    wall: float
    cpu: float


def timed(run: Callable[[], Any]) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def _round(run: Callable[[], Any]) -> list[Seconds]:
    first = timed(run)
    return [timed(run) for _ in range(3)] if first.wall < QUICK else [first]


def medians(runs: list[Seconds]) -> Seconds:
    return Seconds(statistics.median(r.wall for r in runs), statistics.median(r.cpu for r in runs))


def in_turn(sides: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, Seconds]:
    """Medians of ``repeats`` rounds of all sides, so that a slow minute hits each alike.

    Nothing is warmed up here: run each side once before, to check what it gives.
    """
    runs: dict[str, list[Seconds]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, run in sides.items():
            runs[name] += _round(run)
    return {name: medians(of_side) for name, of_side in runs.items()}
