"""What all Datasets of windows of days share: samples, regions, random patches, epochs and pickling."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Sequence
from datetime import date
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from seaice import InputError
from seaice.dates import DateRange, parse_date
from seaice.grids import Grid
from seaice.runtime.threads import allowed_processors
from seaice.training.splits import Statistics
from seaice.training.windows import (
    REASONS,
    DayShares,
    Window,
    check_count,
    check_pair,
    list_patch_corners,
    number_blocks,
    select_windows,
)

logger = logging.getLogger(__name__)

# Bytes of the samples that GetInputs and GetTargets build at a time.
_BYTES_AT_ONCE = 1 << 26


class WindowDataset(Dataset[Any]):
    """Dataset whose samples are windows of days of a region or of random patches of it.

    A subclass sets what is listed here, calls :meth:`_select_samples` and :meth:`_set_patches`, and
    builds items.

    Attributes
    ----------
    window : Window
        Days of a sample.
    date_range : DateRange
        First and last day of all samples.
    dropped : dict of str to int
        Number of windows that are no samples, by reason.
    grid : Grid
        Grid of the region.
    ocean : ndarray of bool, shape (rows, columns)
        True over ocean, in the region.
    """

    window: Window
    date_range: DateRange
    dropped: dict[str, int]
    grid: Grid
    ocean: np.ndarray
    _name: str
    _seed: int
    _returns: tuple[str, ...] | None
    _transform: Callable[[Any], Any] | None

    def _set_region(self, grid: Grid, rows: slice, columns: slice) -> None:
        self._rows, self._columns = rows, columns
        self.grid = grid
        if (rows.stop - rows.start, columns.stop - columns.start) != grid.shape:
            self.grid = grid.crop(rows, columns)

    def _select_samples(
        self,
        starts: np.ndarray,
        shares: DayShares,
        blocks: Sequence[DateRange] | None,
        largest_missing_share: float,
        largest_filled_share: float,
        name: str,
    ) -> np.ndarray:
        """Select the windows that are samples, and return their days, numbered from the first one."""
        days = starts[:, np.newaxis] + self.window.offsets
        limits: dict[str, Any] = {
            "block": number_blocks(self.date_range, blocks),
            "largest_missing_share": largest_missing_share,
            "largest_filled_share": largest_filled_share,
        }
        keep, self.dropped = select_windows(days, shares, **limits)
        reasons = ", ".join(f"{n} {REASONS[r]}" for r, n in self.dropped.items() if n) or "none"
        logger.info("%s: %d samples, dropped: %s", Path(name).name, keep.sum(), reasons)
        if not keep.any():
            # The advice names the smallest limit that would keep a window.
            almost, _ = select_windows(days, shares, **limits | {"largest_missing_share": 1.0})
            advice = ""
            if almost.any():
                share = shares.missing[days[almost]].max(axis=1).min()
                advice = f"; largest_missing_share={np.ceil(share * 1e4) / 1e4:.4f} keeps some"
            raise InputError(
                f"no sample is left of the {len(starts)} windows from {self.date_range} in {name}: "
                f"{reasons}{advice}"
            )
        numbers = [int(f"{day:%Y%m%d}") for day in self.date_range]
        self._dates = np.array(numbers, dtype=np.int64)[days[keep]]
        return days[keep]

    def _set_patches(
        self,
        size: int | tuple[int, int] | None,
        ocean: np.ndarray,
        smallest_ocean_share: float,
        exception: str = "",
    ) -> None:
        """Prepare random patches of a size; ``ocean`` are the cells of the region that count."""
        self._patch = None if size is None else check_pair("patch_size", size)
        self._epoch: torch.Tensor | None = None
        if self._patch is None:
            return
        if any(p > n for p, n in zip(self._patch, self.ocean.shape, strict=True)):
            raise InputError(
                f"a patch of {self._patch[0]} x {self._patch[1]} cells does not fit in {self.grid}; "
                "choose a smaller patch_size or a larger region"
            )
        self._corners = list_patch_corners(ocean, self._patch, smallest_ocean_share)
        if not self._corners.size:
            condition = f"an ocean share of {smallest_ocean_share:g}"
            advice = "lower smallest_ocean_share"
            if not ocean.any():
                condition, advice = "an ocean cell", "choose another region"
            raise InputError(
                f"no patch of {self._patch[0]} x {self._patch[1]} cells in {self.grid} has "
                f"{condition}{exception}; {advice}"
            )
        # In shared memory: workers that live on between epochs see what set_epoch writes.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which decides the random patches; call it before every pass over the loader."""
        number = check_count("epoch", epoch, 0)
        if self._epoch is not None:
            self._epoch[0] = number

    def __len__(self) -> int:
        return len(self._dates)

    def __getitem__(self, index: int | slice) -> Any:
        """Return the item of a sample, or the list of the items of a slice."""
        if isinstance(index, slice):
            return self.__getitems__(range(*index.indices(len(self))))
        return self.__getitems__([index])[0]

    def __repr__(self) -> str:
        inputs, targets = self.window.input_length, self.window.pred_length
        samples = f"{len(self)} samples of {inputs} input and {targets} target days"
        patches = "" if self._patch is None else f", in patches of {self._patch[0]} x {self._patch[1]}"
        days_and_cells = f"{self.date_range} on {self.grid}{patches}"
        return f"{type(self).__name__}({self._name}: {samples}, {days_and_cells})"

    def sample_days(self, index: int) -> tuple[list[date], list[date]]:
        """Return the input days and the target days of a sample; nothing is read."""
        days = [parse_date(number) for number in self._dates[self._check_index(index)].tolist()]
        return days[: self.window.input_length], days[self.window.input_length :]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return the items of a training batch; a chunk that several of them need is decoded once."""
        numbers = [self._check_index(index) for index in indices]
        parts = self._build_items(numbers, self._returns or ("inputs", "targets"))
        items = [self._pack_item(part) for part in parts]
        return items if self._transform is None else [self._transform(item) for item in items]

    def _pack_item(self, parts: dict[str, torch.Tensor]) -> Any:
        return parts if self._returns else (parts["inputs"], parts["targets"])

    def close(self) -> None:
        """Close the files in this process; the next item opens them again."""
        raise NotImplementedError

    def _build_items(
        self, numbers: Sequence[int], parts: Sequence[str]
    ) -> list[dict[str, torch.Tensor]]:
        """Build the named parts of some samples."""
        raise NotImplementedError

    def _check_index(self, index: int) -> int:
        try:
            number = operator.index(index)
        except TypeError:
            raise InputError(
                f"expected the number of a sample, 0 to {len(self) - 1}, found {index!r}; "
                "GetTimes() lists the days of all samples, sample_days(number) those of one"
            ) from None
        number += len(self) if number < 0 else 0
        if not 0 <= number < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return number

    def _locate_sample(self, number: int) -> tuple[slice, slice]:
        """Return the rows and columns of a sample in the grid of the cube: the region or its patch."""
        if self._patch is None or self._epoch is None:
            return self._rows, self._columns
        random = np.random.default_rng((self._seed, int(self._epoch[0]), number))
        corner = int(self._corners[random.integers(self._corners.size)])
        row, column = divmod(corner, self.ocean.shape[1] - self._patch[1] + 1)
        row, column = row + self._rows.start, column + self._columns.start
        return slice(row, row + self._patch[0]), slice(column, column + self._patch[1])

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._epoch is not None:
            self._epoch.share_memory_()

    def GetInputs(self) -> torch.Tensor:
        """Return the inputs of all samples, float32 (N, Tin, C, H, W), without ``transform``."""
        return self._stack_samples("inputs")

    def GetTargets(self) -> torch.Tensor:
        """Return the targets of all samples, float32 (N, Tout, C, H, W), without ``transform``."""
        return self._stack_samples("targets")

    def GetTimes(self) -> np.ndarray:
        """Return the days of all samples, inputs then targets, int64 YYYYMMDD (N, Tin + Tout)."""
        return self._dates.copy()

    def _stack_samples(self, part: str) -> torch.Tensor:
        first = self._build_items([0], (part,))[0][part]
        stack = first.new_empty((len(self), *first.shape))
        step = max(1, _BYTES_AT_ONCE // (first.nelement() * first.element_size()))
        for start in range(0, len(self), step):
            numbers = range(start, min(start + step, len(self)))
            for number, item in zip(numbers, self._build_items(numbers, (part,)), strict=True):
                stack[number] = item[part]
        return stack


def count_threads() -> int:
    """Return how many threads may decode: one in a worker, as a loader has many workers already."""
    return 1 if get_worker_info() is not None else allowed_processors()


def check_number(name: str, value: float) -> float:
    """Return a number; InputError if it is none."""
    if not isinstance(value, Real):
        raise InputError(f"expected {name} as a number, found {value!r}")
    return value


def load_statistics(statistics: Statistics | Path | str | None) -> Statistics | None:
    """Return statistics that are given as such or as the path of their file."""
    if statistics is None or isinstance(statistics, Statistics):
        return statistics
    if not isinstance(statistics, str | Path):
        raise InputError(
            f"expected statistics of measure_statistics or the path of its file, found {statistics!r}"
        )
    return Statistics.load(Path(statistics))
