"""A crew of threads that works through a list of jobs and stops when told to."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from queue import SimpleQueue
from typing import Protocol, TypeVar

J = TypeVar("J", contravariant=True)
R = TypeVar("R", covariant=True)

_LATER = 0.2  # seconds until a job that had to be put back is looked at again
_PATIENCE = 1.5  # seconds the threads are given to leave their work in order


class Worker(Protocol[J, R]):
    """What one thread works with; made, used and closed in that thread."""

    def do(self, job: J) -> R | None:
        """Do a job; None puts it back to the end of the list."""

    def close(self) -> None:
        """Release what the worker holds."""


def work_off(
    jobs: Iterable[J],
    make_worker: Callable[[], Worker[J, R]],
    *,
    threads: int,
    stop: threading.Event,
) -> Generator[R, None, None]:
    """Do all jobs in several threads and yield the results as they come.

    For work that waits (network, disk). The threads are daemons: one that hangs in a
    silent connection does not keep an interrupted program alive. Close the generator
    (``contextlib.closing``) so that they stop when the caller leaves early.

    Parameters
    ----------
    jobs : iterable
    make_worker : callable
        Makes the worker of one thread.
    threads : int
        At most so many; never more than jobs.
    stop : threading.Event
        When set, no further job is begun. Set on leaving.

    Raises
    ------
    Exception
        Whatever a worker raised: results are for failures that are foreseen.
    """
    waiting: deque[J] = deque(jobs)
    results: SimpleQueue[R | BaseException | None] = SimpleQueue()

    def work() -> None:
        try:
            worker = make_worker()
            try:
                while not stop.is_set() and waiting:
                    _one(worker)
            finally:
                worker.close()
        except BaseException as error:
            results.put(error)
        finally:
            results.put(None)

    def _one(worker: Worker[J, R]) -> None:
        try:
            job = waiting.popleft()
        except IndexError:  # another thread was quicker
            return
        result = worker.do(job)
        if result is None:
            waiting.append(job)
            stop.wait(_LATER)
        else:
            results.put(result)

    crew = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, len(waiting)))]
    try:
        for thread in crew:
            thread.start()
        running = len(crew)
        while running:
            result = results.get()
            if result is None:
                running -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result
    finally:
        stop.set()
        deadline = time.monotonic() + _PATIENCE
        for thread in crew:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
