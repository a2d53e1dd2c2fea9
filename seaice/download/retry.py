"""How often something that may fail for a while is tried, and how long one waits in between."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")

# Bytes: an attempt that brings a file so much further is no failure in a row.
PROGRESS = 64 * 1024


class Stopped(Exception):
    """The run is being stopped; partial files stay for the next one."""


class GaveUp(Exception):
    """No attempt is left, or the last failure was final.

    Attributes
    ----------
    error : Exception
        The last failure.
    failures : int
        Failed attempts in a row.
    """

    def __init__(self, error: Exception, failures: int) -> None:
        super().__init__(str(error))
        self.error = error
        self.failures = failures


@dataclass(frozen=True)
class RetryPolicy:
    """How often something is tried, and how long one waits in between.

    Attributes
    ----------
    retries : int
        Further attempts after the first.
    delay : float
        Seconds before the first further attempt; twice as many before each next.
    longest_delay : float
        Cap on them, seconds.
    jitter : tuple of float
        Each wait is multiplied by a random number between these two, so that threads that
        failed together do not come back together.
    longest_retry_after : float
        Cap on the wait that a server asks for with Retry-After, seconds.
    timeout : float
        Longest silence of the server, seconds.
    """

    retries: int = 3
    delay: float = 5.0
    longest_delay: float = math.inf
    jitter: tuple[float, float] = (1.0, 1.4)
    longest_retry_after: float = 300.0
    timeout: float = 60.0

    def draw_delay(self, failures: int) -> float:
        """Seconds to wait after that many failures in a row (from 1), with jitter."""
        return min(self.longest_delay, self.delay * 2.0 ** min(failures - 1, 10)) * random.uniform(
            *self.jitter
        )

    def wait(self, failures: int, stop: threading.Event) -> None:
        """Wait after that many failures in a row (from 1).

        Raises
        ------
        Stopped
            If ``stop`` is set meanwhile.
        """
        pause(self.draw_delay(failures), stop)


DEFAULT_POLICY = RetryPolicy()


def pause(seconds: float, stop: threading.Event) -> None:
    """Wait; raise :class:`Stopped` if ``stop`` is set before or meanwhile."""
    if stop.wait(max(0.0, seconds)):
        raise Stopped("stopped")


def retry(
    attempt: Callable[[], Result],
    policy: RetryPolicy,
    *,
    stop: threading.Event,
    errors: tuple[type[Exception], ...],
    announce: Callable[[Exception, int], None],
    may_pass: Callable[[Exception], bool] = lambda error: True,
    count_bytes: Callable[[], int] = lambda: 0,
) -> Result:
    """Call a function until it succeeds, as often as a policy allows.

    Parameters
    ----------
    attempt : callable
        Its result is returned.
    policy : RetryPolicy
    stop : threading.Event
    errors : tuple of exception types
        Failures; any other exception is passed on.
    announce : callable
        Called with a failure and the number of failures in a row before each further attempt.
    may_pass : callable
        Whether another attempt may overcome a failure.
    count_bytes : callable
        Bytes that have arrived so far, all attempts together. At least 64 KiB more than ever
        before start the count of failures anew.

    Raises
    ------
    GaveUp
        If no attempt is left.
    Stopped
        If ``stop`` is set.

    Examples
    --------
    >>> retry(lambda: 7, RetryPolicy(), stop=threading.Event(), errors=(OSError,), announce=print)
    7
    """
    failures, furthest = 0, count_bytes()
    while True:
        if stop.is_set():
            raise Stopped("stopped")
        try:
            return attempt()
        except errors as error:
            failures += 1
            arrived = count_bytes()
            if arrived > furthest + PROGRESS:
                failures, furthest = 1, arrived
            if failures > policy.retries or not may_pass(error):
                raise GaveUp(error, failures) from error
            announce(error, failures)
        policy.wait(failures, stop)
