"""Filling days that are read one by one, with only the days within reach in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from seaice.gapfill import Filled, Frames, Stage, begin_day, empty


class FillStream:
    """Runs the stages of a method over a run of days.

    Each stage keeps the frames it looks at in a ring that is written over as the days go
    by: memory is one frame for every day within reach, whatever the length of the run.

    Parameters
    ----------
    read : callable
        ``read(day, frame)`` puts the raw values of a day (an integer) into ``frame``,
        float32 (rows, columns), NaN for missing. Called once a day, in order.
    seen : (int, int)
        First and last day that may be looked at; days beyond do not exist.
    ocean : ndarray of bool, shape (rows, columns)
    stages : sequence of Stage
        At least one.

    Examples
    --------
    >>> from seaice.gapfill import temporal
    >>> stack = np.array([10, np.nan, 30], np.float32).reshape(3, 1, 1)
    >>> def read(day, frame):
    ...     frame[:] = stack[day]
    >>> stream = FillStream(read, (0, 2), np.ones((1, 1), bool), temporal.stages())
    >>> [float(day.values[0, 0]) for day in stream.days(0, 2)]
    [10.0, 20.0, 30.0]
    """

    def __init__(
        self,
        read: Callable[[int, np.ndarray], None],
        seen: tuple[int, int],
        ocean: np.ndarray,
        stages: Sequence[Stage],
    ) -> None:
        self._read = read
        self._seen = seen
        self._ocean = ocean
        self._stages = list(stages)
        raw = np.empty((2 * stages[0].reach + 1, *ocean.shape), np.float32)
        self._rings: list[np.ndarray | Filled] = [raw]
        self._rings += [empty((2 * s.reach + 1, *ocean.shape)) for s in stages[1:]]
        self._next: list[int] = []

    def days(self, first: int, last: int) -> Iterator[Filled]:
        """Yield every day from first to last, filled.

        The arrays of a day (rows, columns) are used again for the next one: copy what is to
        be kept.
        """
        reaches = [stage.reach for stage in self._stages]
        ahead = [sum(reaches[k:]) for k in range(len(reaches))]
        self._next = [max(self._seen[0], first - reach) for reach in ahead]
        day = empty(self._ocean.shape)
        for number in range(first, last + 1):
            self._make(len(self._stages), number, day)
            yield day

    def _make(self, level: int, number: int, day: Filled) -> None:
        """Run stage ``level`` (1 is the first) for one day."""
        stage, ring = self._stages[level - 1], self._rings[level - 1]
        self._supply(level - 1, number + stage.reach)
        slots = len(ring.values if isinstance(ring, Filled) else ring)
        begin = max(self._seen[0], number - stage.reach)
        end = min(self._seen[1], number + stage.reach)
        order = np.arange(begin, end + 1) % slots
        values = ring.values if isinstance(ring, Filled) else ring
        here = number % slots
        begin_day(ring.day(here) if isinstance(ring, Filled) else ring[here], self._ocean, day)
        stage.fill_day(Frames(values, order), number - begin, self._ocean, day)

    def _supply(self, level: int, until: int) -> None:
        """Put the days up to ``until`` into the ring that stage ``level`` + 1 looks at."""
        ring = self._rings[level]
        while self._next[level] <= min(until, self._seen[1]):
            number = self._next[level]
            if isinstance(ring, Filled):
                self._make(level, number, ring.day(number % len(ring.values)))
            else:
                self._read(number, ring[number % len(ring)])
            self._next[level] += 1
