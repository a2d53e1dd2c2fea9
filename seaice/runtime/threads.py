"""The one pool of threads for work that computes, and worker threads for work that waits.

Compiled loops and codecs release the interpreter and write disjoint parts of arrays, so plain
threads do (:func:`for_each`, :func:`each_band`). Unlike Numba's own threads they may be started
from any thread and after a fork. Downloads wait for servers in threads of their own
(:func:`work_off`).
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Job = TypeVar("Job", contravariant=True)
Outcome = TypeVar("Outcome", covariant=True)

# Enough bands that a thread that is done early finds more to do.
_BANDS_PER_THREAD = 4
_ROWS = 32
# Cells to decode: about ten milliseconds of work. With less, threads lose as much as they gain.
_WORTH_IT = 1 << 23
# More threads would queue for the interpreter, which every chunk needs for some microseconds.
_MOST_DECODERS = 16

_threads: int | None = None
# By process and size. Threads do not live on in a forked child: it starts its own.
_executors: dict[tuple[int, int], ThreadPoolExecutor] = {}
_this_thread = threading.local()


def count_threads() -> int:
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


def allowed_processors() -> int:
    """Threads that decode chunks for training: :func:`count_threads`, at most 16."""
    return min(_MOST_DECODERS, count_threads())


def each_band(kernel: Callable[..., Any], rows: int, *arguments: Any, multiple: int = _ROWS) -> None:
    """Call ``kernel(first_row, end_row, *arguments)`` for bands that together are all rows.

    A band begins at a ``multiple`` of rows.
    """
    blocks = -(-rows // multiple)
    size = multiple * max(1, -(-blocks // (count_threads() * _BANDS_PER_THREAD)))
    edges = range(0, rows, size)
    for_each(lambda first: kernel(first, min(rows, first + size), *arguments), edges)


def for_each(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int | None = None,
    cells: int | None = None,
) -> list[Result]:
    """Call a function that releases the interpreter with every item; the first error is raised.

    Parameters
    ----------
    function : callable
        Calls must not write to the same place: they are done in no certain order.
    items : iterable
    threads : int, optional
        At most so many; 1 works in the caller's own thread. By default :func:`count_threads`.
    cells : int, optional
        Number of cells in all calls together; few cells are done in the caller's own thread.

    Returns
    -------
    list
        The results, in the order of the items.

    Examples
    --------
    >>> for_each(abs, [-2, 1, -3])
    [2, 1, 3]
    """
    items = list(items)
    count = count_threads() if threads is None else threads
    is_small = len(items) < 2 or (cells is not None and cells < _WORTH_IT)
    # A thread of the pool that waited for the pool could wait for ever.
    if count < 2 or is_small or getattr(_this_thread, "is_pooled", False):
        return [function(item) for item in items]
    return list(_executor(count).map(function, items))


def _executor(count: int) -> ThreadPoolExecutor:
    key = (os.getpid(), count)
    executor = _executors.get(key)
    if executor is None:
        # No lock, which a fork could leave locked in the child. Of two callers at once one wins;
        # the threads of the other's pool were never started.
        pool = ThreadPoolExecutor(count, thread_name_prefix="seaice", initializer=_mark_thread)
        executor = _executors.setdefault(key, pool)
    return executor


def _mark_thread() -> None:
    _this_thread.is_pooled = True


_LATER = 0.2  # seconds until a job that had to be put back is looked at again
_GRACE = 1.5  # seconds the threads are given to leave their work in order


class Worker(Protocol[Job, Outcome]):
    """Worker of one thread; created, used and closed in that thread."""

    def do(self, job: Job) -> Outcome | None:
        """Do a job; None puts it back to the end of the list."""

    def close(self) -> None:
        """Release what the worker holds."""


def work_off(
    jobs: Iterable[Job],
    start_worker: Callable[[], Worker[Job, Outcome]],
    *,
    threads: int,
    stop: threading.Event,
) -> Generator[Outcome, None, None]:
    """Do all jobs in several threads and yield the outcomes as they come.

    For work that waits (network, disk). The threads are daemons: one that hangs in a
    silent connection does not keep an interrupted program alive. Close the generator
    (``contextlib.closing``) so that they stop when the caller leaves early.

    Parameters
    ----------
    jobs : iterable
    start_worker : callable
        Returns the worker of one thread.
    threads : int
        At most so many; never more than jobs.
    stop : threading.Event
        When set, no further job is begun. Set when the caller leaves early.

    Raises
    ------
    Exception
        Whatever a worker raised: outcomes are for failures that are foreseen.
    """
    waiting: deque[Job] = deque(jobs)
    outcomes: SimpleQueue[Outcome | BaseException | None] = SimpleQueue()

    def work() -> None:
        try:
            worker = start_worker()
            try:
                while not stop.is_set() and waiting:
                    do_next(worker)
            finally:
                worker.close()
        except BaseException as error:
            outcomes.put(error)
        finally:
            outcomes.put(None)

    def do_next(worker: Worker[Job, Outcome]) -> None:
        try:
            job = waiting.popleft()
        except IndexError:  # another thread was quicker
            return
        outcome = worker.do(job)
        if outcome is None:
            waiting.append(job)
            stop.wait(_LATER)
        else:
            outcomes.put(outcome)

    crew = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, len(waiting)))]
    try:
        for thread in crew:
            thread.start()
        running = len(crew)
        while running:
            outcome = outcomes.get()
            if outcome is None:
                running -= 1
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                yield outcome
    except BaseException:
        stop.set()
        deadline = time.monotonic() + _GRACE
        for thread in crew:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        raise
