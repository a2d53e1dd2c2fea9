"""Threads of this process that decode; made when first needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from seaice import bands

J = TypeVar("J")

# More would queue for the interpreter, which every chunk needs for some microseconds.
_MOST = 16

# Cells: about ten milliseconds of work. With less, threads lose as much as they gain.
_WORTH_IT = 1 << 23

# By process and size. Threads do not live on in a forked child: it makes its own.
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def allowed_processors() -> int:
    """Threads for this process (:func:`seaice.bands.threads`), at most 16."""
    return min(_MOST, bands.threads())


def each(work: Callable[[J], None], jobs: Sequence[J], threads: int, cells: int) -> None:
    """Do all jobs, begun in order; the first error is raised.

    Parameters
    ----------
    work : callable
        Jobs must not write to the same place: they are done in no certain order.
    jobs : sequence
    threads : int
        At most so many; 1 works in the caller's own thread.
    cells : int
        That all jobs together decode. For few the caller's own thread is as quick.
    """
    if threads < 2 or len(jobs) < 2 or cells < _WORTH_IT:
        for job in jobs:
            work(job)
        return
    for _ in _pool(threads).map(work, jobs):
        pass


def _pool(threads: int) -> ThreadPoolExecutor:
    key = (os.getpid(), threads)
    pool = _pools.get(key)
    if pool is None:
        # One of two callers at once wins; the threads of the other were never started.
        pool = _pools.setdefault(key, ThreadPoolExecutor(threads, thread_name_prefix="seaice-loading"))
    return pool
