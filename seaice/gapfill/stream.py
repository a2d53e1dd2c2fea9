"""Filling days that are read one by one, with only the days within reach in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from seaice.flags import FillFlag
from seaice.gapfill import (
    Filled,
    FillStep,
    Frames,
    allocate_ice,
    find_gaps,
    lead_of_steps,
    put_raw_day,
    reach_of_steps,
)
from seaice.gapfill.ocean_cells import OceanCells

# Days that are read while another is filled.
_AHEAD = 1


class FillStream:
    """Runs the steps of a daily method over a run of days.

    The ocean cells of all days lie in one ring that is written over as the days go by: memory is
    one value and one flag a cell for every day within reach and a few more, whatever the length of
    the run. What only the days in work need lies in a shorter ring. Days ahead are read in a thread
    of their own.

    Parameters
    ----------
    read : callable
        ``read(day, frame)`` puts the raw values of a day (an integer) into ``frame``,
        float32 (rows, columns), NaN for missing. Called once a day, in order, in one thread. It
        returns None, or flags of the values, uint8 (rows, columns): those that are not OBSERVED
        stay as they are and are no source for others.
    seen : (int, int)
        First and last day that may be looked at; days beyond do not exist.
    cells : OceanCells
    steps : sequence of FillStep
        At least one.
    keep : int
        The arrays of a day stay as they are until so many further days have been yielded.

    Examples
    --------
    >>> from seaice.gapfill.temporal import Temporal
    >>> stack = np.array([10, np.nan, 30], np.float32).reshape(3, 1, 1)
    >>> def read(day, frame):
    ...     frame[:] = stack[day]
    >>> from seaice.gapfill.ocean_cells import OceanCells
    >>> stream = FillStream(read, (0, 2), OceanCells.everywhere((1, 1)), Temporal().steps())
    >>> [float(day.values[0]) for day, _ in stream.days(0, 2)]
    [10.0, 20.0, 30.0]
    """

    def __init__(
        self,
        read: Callable[[int, np.ndarray], np.ndarray | None],
        seen: tuple[int, int],
        cells: OceanCells,
        steps: Sequence[FillStep],
        *,
        keep: int = 1,
    ) -> None:
        self._read = read
        self._seen = seen
        self._cells = cells
        self._steps = list(steps)
        # How far each step runs ahead of the last one, and how far the whole looks ahead.
        self._lead = lead_of_steps(self._steps)
        self._ahead = reach_of_steps(self._steps)
        back = max(s.width - lead for s, lead in zip(self._steps, self._lead, strict=True))
        slots = max(back, keep) + 1 + self._ahead + _AHEAD
        self._values = np.empty((slots, len(cells)), np.float32)
        self._flag = np.empty((slots, len(cells)), np.uint8)
        in_work = (keep + 1 + self._lead[0], len(cells))
        self._days_back_forward, self._change = np.empty(in_work, np.uint8), np.empty(in_work, np.uint8)
        self._gaps = [np.empty(0, np.int32)] * in_work[0]
        self._ice = allocate_ice(slots, cells, self._steps)
        self._frame = np.empty(cells.ocean.shape, np.float32)

    def days(self, first: int, last: int) -> Iterator[tuple[Filled, np.ndarray]]:
        """Yield every day from first to last, filled, and the numbers of its cells not observed.

        The arrays of the day have the shape (cells,).
        """
        begin = max(self._seen[0], first - self._ahead)
        end = min(self._seen[1], last + self._ahead)
        done = [max(self._seen[0], first - lead) for lead in self._lead]
        read = arrived = begin
        coming: dict[int, Future[None]] = {}
        with ThreadPoolExecutor(1, thread_name_prefix="reader") as reader:
            try:
                # The days before the first are gone through too, so that the ring is wide enough.
                for number in range(first - self._ahead, last + 1):
                    while read <= min(end, number + self._ahead + _AHEAD):
                        coming[read] = reader.submit(self._fetch, read)
                        read += 1
                    while arrived <= min(end, number + self._ahead):
                        coming.pop(arrived).result()
                        arrived += 1
                    for k, lead in enumerate(self._lead):
                        while done[k] <= min(end, number + lead):
                            self._fill(k, done[k], begin, arrived - 1)
                            done[k] += 1
                    if number >= first:
                        yield self._day(number), self._gaps[number % len(self._change)]
            finally:
                for future in coming.values():
                    future.cancel()

    def _fetch(self, number: int) -> None:
        flags = self._read(number, self._frame)
        slot = number % len(self._values)
        blocks = self._ice[slot] if len(self._ice) else None
        put_raw_day(self._frame, self._values[slot], self._flag[slot], self._cells, blocks)
        if flags is not None:
            is_value = self._flag[slot] == FillFlag.OBSERVED
            np.copyto(self._flag[slot], self._cells.compress(flags), where=is_value)

    def _day(self, number: int) -> Filled:
        slot, in_work = number % len(self._values), number % len(self._change)
        notes = self._days_back_forward[in_work], self._change[in_work]
        return Filled(self._values[slot], self._flag[slot], *notes)

    def _fill(self, k: int, number: int, begin: int, end: int) -> None:
        step, day = self._steps[k], self._day(number)
        gaps = number % len(self._gaps)
        if k == 0:
            self._gaps[gaps] = find_gaps(day.flag)
            day.days_back_forward[:] = 0
            day.change[:] = 0
        earliest = max(begin, number - step.width)
        order = np.arange(earliest, min(end, number + step.width) + 1) % len(self._values)
        frames = Frames(self._values, self._flag, order, self._cells, day, self._gaps[gaps], self._ice)
        step.fill_day(frames, number - earliest)
