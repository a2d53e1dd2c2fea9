"""Units of work on other processes or machines; a unit whose worker dies is done again.

A unit is a call of one function with small arguments. Units do not depend on each other and
write to disjoint parts of an output, or return their result.
"""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from seaice import InputError
from seaice.runtime.threads import count_threads
from seaice.settings import install_command

logger = logging.getLogger(__name__)

# A unit that has taken so many workers down with it is given up.
ATTEMPTS = 3
_CHECK_SECONDS = 0.5
_ANSWER_SECONDS = 10
_GUARD = '; a program of your own that asks for workers must do so below if __name__ == "__main__"'

_unit_lock = threading.Lock()


@dataclass(frozen=True)
class Engine:
    """Where units are done.

    Attributes
    ----------
    workers : int
        Local processes; 1 does everything in this one.
    dask : str, optional
        ``local``, or the address of a dask.distributed scheduler. Scheduler and workers need
        this package, the workers the same paths. Whatever the threads of a worker, it does one
        unit at a time.
    """

    workers: int = 1
    dask: str | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError(f"workers must be at least 1, found {self.workers}")

    @property
    def is_here(self) -> bool:
        """Whether everything is done in this process."""
        return self.workers == 1 and self.dask is None

    @property
    def threads(self) -> int | None:
        """Threads for each worker process so that together they use this machine once."""
        if self.dask not in (None, "local"):
            return None
        return max(1, count_threads() // self.workers)

    @contextmanager
    def start(self) -> Iterator[WorkerGroup]:
        """Start the workers; leaving stops those that were started."""
        workers: WorkerGroup
        if self.is_here:
            workers = _NoWorkers()
        elif self.dask is None:
            workers = _Processes(self.workers)
        else:
            workers = _Dask(self.dask, self.workers)
        try:
            yield workers
        finally:
            workers.stop()


@dataclass(frozen=True)
class _Work:
    """The arguments of :meth:`WorkerGroup.do`, and which units are not done.

    Attributes
    ----------
    waiting : dict of int to int
        Number of workers that a unit may have killed, by the position of every unit not done.
    """

    function: Callable[..., Any]
    units: Sequence[tuple[Any, ...]]
    receive: Callable[[int, Any], None]
    check: Callable[[], None]
    waiting: dict[int, int]


class WorkerGroup:
    """Workers that are running."""

    def do(
        self,
        function: Callable[..., Any],
        units: Sequence[tuple[Any, ...]],
        receive: Callable[[int, Any], None],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Call ``function(*unit)`` for every unit, in any order.

        Parameters
        ----------
        function : callable
            Importable by name on every worker.
        units : sequence of tuple
        receive : callable
            Called with the position of a finished unit and what the function returned.
        check : callable
            Called now and then while units are being done; ends the work where it raises.

        Raises
        ------
        OSError
            If the workers that do a unit die again and again.
        Exception
            What a unit raised.
        """
        self._do(_Work(function, units, receive, check, dict.fromkeys(range(len(units)), 0)))

    def _do(self, work: _Work) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """Stop the workers, at once."""
        raise NotImplementedError


class _NoWorkers(WorkerGroup):
    """No workers: this process does the units, in their order."""

    def _do(self, work: _Work) -> None:
        for number, unit in enumerate(work.units):
            work.check()
            work.receive(number, work.function(*unit))

    def stop(self) -> None:
        """Nothing was started."""


class _Processes(WorkerGroup):
    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._children: list[multiprocessing.process.BaseProcess] = []

    def _do(self, work: _Work) -> None:
        waiting = work.waiting
        while waiting:
            done_before = len(waiting)
            try:
                self._do_round(work)
            except BrokenProcessPool:
                stuck = len(waiting) == done_before
                for i in waiting:
                    waiting[i] = waiting[i] + 1 if stuck else 0
                logger.warning("a worker process died; its work is done again")
                if stuck and max(waiting.values()) >= ATTEMPTS:
                    unguarded = "" if len(waiting) < len(work.units) else _GUARD
                    raise OSError(
                        f"worker processes died {ATTEMPTS} times in a row (killed for memory?); "
                        f"use fewer --workers and run the same command again{unguarded}"
                    ) from None

    def _do_round(self, work: _Work) -> None:
        # Spawn: a forked child would inherit locks of our threads in whatever state.
        context = multiprocessing.get_context("spawn")
        before = set(multiprocessing.active_children())
        count = min(self._workers, len(work.waiting))
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_prepare_worker)
        try:
            with _hold_back_interrupts():
                pending = {pool.submit(work.function, *work.units[i]): i for i in work.waiting}
            # With an end of its own this process would wait for ever for the rest of a result whose
            # worker was stopped while it sent it.
            pool._result_queue._writer.close()  # type: ignore[attr-defined]
            self._children = [p for p in multiprocessing.active_children() if p not in before]
            _collect(pending, work)
        except BaseException:
            self.stop()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            self._children = []

    def stop(self) -> None:
        for child in self._children:
            child.terminate()


@contextmanager
def _hold_back_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach before they are ready for it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _do_alone(function: Callable[..., Any], *unit: Any) -> Any:
    """Do a unit while no other thread of this process does one, as the HDF5 libraries demand."""
    with _unit_lock:
        return function(*unit)


def _prepare_worker() -> None:
    """Ignore Ctrl-C, which reaches every process of a terminal; end when the parent process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        # A killed parent does not close the queue its workers wait at: they would stay for ever.
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


class _Dask(WorkerGroup):
    def __init__(self, address: str, workers: int) -> None:
        try:
            from distributed import Client, LocalCluster
        except ModuleNotFoundError:
            raise InputError(
                f"--dask needs dask.distributed: {install_command('distributed')}"
            ) from None
        self._cluster = None
        if address == "local":
            with _hold_back_interrupts():
                self._cluster = LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=40
                )
            address = self._cluster.scheduler_address
        try:
            self._client = Client(address, timeout=_ANSWER_SECONDS, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            if self._cluster is not None:
                self._cluster.close()
            raise InputError(
                f"no dask scheduler answers at {address} ({error}); start one, or use --dask local"
            ) from None

    def _do(self, work: _Work) -> None:
        from distributed import KilledWorker

        # Not pure: a unit that is asked for again shall be done again.
        executor = self._client.get_executor(pure=False)
        pending = {
            executor.submit(_do_alone, work.function, *unit): i for i, unit in enumerate(work.units)
        }
        try:
            _collect(pending, work)
        except KilledWorker as error:
            raise OSError(
                f"dask workers died again and again at the same work ({error}); look at their logs, "
                "give them more memory and run the same command again"
            ) from None
        except CancelledError:
            raise OSError(
                "the dask scheduler has dropped the work (was it restarted?); run the same command again"
            ) from None
        except RuntimeError as error:
            if "deserialization" not in str(error):
                raise
            raise InputError(
                "the dask scheduler or a worker cannot import this package; install it there too, in "
                "the same version"
            ) from error
        finally:
            executor.shutdown(wait=False)

    def stop(self) -> None:
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _collect(pending: dict[Future[Any], int], work: _Work) -> None:
    """Receive the result of every finished unit; raise what a unit raised."""
    while pending:
        finished, _ = wait(pending, timeout=_CHECK_SECONDS, return_when=FIRST_COMPLETED)
        # What is finished counts even if another unit of the same moment has failed.
        for future in sorted(finished, key=lambda f: f.exception() is not None):
            i = pending.pop(future)
            result = future.result()
            del work.waiting[i]
            work.receive(i, result)
        work.check()


def split_days(first: int, last: int, *, parts: int, multiple: int) -> list[tuple[int, int]]:
    """Cut a run of days into at most ``parts`` runs whose lengths are multiples of a batch.

    Examples
    --------
    >>> split_days(1, 100, parts=3, multiple=30)
    [(1, 60), (61, 100)]
    """
    batches = -(-(last - first + 1) // multiple)
    step = multiple * -(-batches // parts)
    return [(a, min(last, a + step - 1)) for a in range(first, last + 1, step)]
