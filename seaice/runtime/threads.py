"""Bands of rows worked on by several threads.

The compiled loops release the interpreter and write disjoint rows, so plain threads do;
unlike Numba's own they may be started from any thread and after a fork.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Enough bands that a thread that is done early finds more to do.
_BANDS_PER_THREAD = 4
_ROWS = 32

_lock = threading.Lock()
_threads: int | None = None
_pool: ThreadPoolExecutor | None = None
_owner: tuple[int, int] | None = None


def threads() -> int:
    """Threads in use: those of :func:`use_threads`, or every processor this process may use."""
    if _threads is not None:
        return _threads
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_threads(count: int | None) -> None:
    """Choose the number of threads; None for every processor. Results never depend on it."""
    global _threads
    _threads = count


def each_band(kernel: Callable[..., Any], rows: int, *arguments: Any) -> None:
    """Call ``kernel(first_row, end_row, *arguments)`` for bands that together are all rows.

    A band begins at a multiple of 32 rows.
    """
    count = threads()
    blocks = -(-rows // _ROWS)
    size = _ROWS * max(1, -(-blocks // (count * _BANDS_PER_THREAD)))
    edges = range(0, rows, size)
    for_each(lambda first: kernel(first, min(rows, first + size), *arguments), edges)


def for_each(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """The results of a function that releases the interpreter, in the order of the items."""
    if threads() == 1:
        return [function(item) for item in items]
    return list(_executor().map(function, items))


def _executor() -> ThreadPoolExecutor:
    global _pool, _owner
    wanted = os.getpid(), threads()
    with _lock:
        # A pool does not survive a fork: its threads are not there in the child.
        if _pool is None or _owner != wanted:
            if _pool is not None and _owner is not None and _owner[0] == os.getpid():
                _pool.shutdown(wait=False)
            _pool, _owner = ThreadPoolExecutor(wanted[1], thread_name_prefix="band"), wanted
        return _pool


J = TypeVar("J")


# More would queue for the interpreter, which every chunk needs for some microseconds.
_MOST = 16


# Cells: about ten milliseconds of work. With less, threads lose as much as they gain.
_WORTH_IT = 1 << 23


# By process and size. Threads do not live on in a forked child: it makes its own.
_shared_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def allowed_processors() -> int:
    """Threads for this process (:func:`seaice.runtime.threads.threads`), at most 16."""
    return min(_MOST, threads())


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
    for _ in _pool_of(threads).map(work, jobs):
        pass


def _pool_of(threads: int) -> ThreadPoolExecutor:
    key = (os.getpid(), threads)
    pool = _shared_pools.get(key)
    if pool is None:
        # One of two callers at once wins; the threads of the other were never started.
        pool = _shared_pools.setdefault(
            key, ThreadPoolExecutor(threads, thread_name_prefix="seaice-loading")
        )
    return pool
