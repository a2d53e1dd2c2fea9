"""How often a thing is tried that may fail for a while, and how long one waits in between."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass


class Halted(Exception):
    """The run is being stopped."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often a thing is tried, and how long one waits in between.

    Attributes
    ----------
    retries : int
        Further attempts after the first.
    delay : float
        Seconds before the first further attempt; twice as many before each next, and up to
        two fifths of ``delay`` more by chance.
    timeout : float
        Longest silence of the server, seconds.
    """

    retries: int = 3
    delay: float = 5.0
    timeout: float = 60.0

    def wait(self, failures: int, stop: threading.Event) -> float:
        """Wait after so many failures (from 1); returns the seconds.

        Raises
        ------
        Halted
            If ``stop`` is set meanwhile.
        """
        seconds = self.delay * 2.0 ** min(failures - 1, 10) + random.uniform(0, 0.4 * self.delay)
        if stop.wait(seconds):
            raise Halted
        return seconds
