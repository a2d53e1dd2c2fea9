"""Splits of a cube by date into training, validation and test parts, and statistics of one part."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.dates import (
    DateRange,
    parse_date,
)
from seaice.gapfill.increments import Increments
from seaice.gapfill.methods import recorded_method
from seaice.runtime.digests import sort_by_digest
from seaice.runtime.json_files import parse_json, write_json
from seaice.training.windows import (
    check_blocks,
    check_count,
    find_region_slices,
)

logger = logging.getLogger(__name__)

SHARES: Mapping[str, float] = MappingProxyType({"train": 0.7, "validation": 0.15, "test": 0.15})
# Reach of the default filling of consolidate_data.py: 9 days in time, then 7 beyond.
DEFAULT_REACH = Increments().reach


def filling_reach(consolidated_file_path: Path | str) -> int:
    """Return the reach of the filling of a cube: how many days away the source values may lie.

    Parameters
    ----------
    consolidated_file_path : Path
        The cube. The method and the parameters of its filling are read from it.

    Returns
    -------
    int
        Days to either side. If the cube does not say how it was filled: 15, the reach of the
        default filling, with a warning in the log.

    Raises
    ------
    InputError
        If the file is no cube.
    """
    with CubeFile(consolidated_file_path) as cube:
        try:
            return recorded_method(cube.parameters).reach
        except (InputError, KeyError):
            logger.warning(
                "%s does not tell how it was filled; its filled values are taken to reach %d days, "
                "as by default",
                consolidated_file_path,
                DEFAULT_REACH,
            )
            return DEFAULT_REACH


def date_blocks(
    start: Any,
    end: Any,
    *,
    shares: Mapping[str, float] = SHARES,
    gap_days: int | None = None,
    cube: Path | str | None = None,
    block_days: int | None = None,
    seed: int = 0,
) -> dict[str, list[DateRange]]:
    """Split a date range into blocks of days, each of which belongs to one part.

    The sea ice of one day is nearly that of the next, so a random split of single days would show
    a model its test data. Between two blocks of different parts ``gap_days`` days belong to neither.

    A claim of skill needs a test that lies after all training days, of whole years where there are
    some: parts without ``block_days``, with the test last. With ``block_days`` every season has days of
    all parts, and a network is asked about winters whose weeks before and after it has seen: good for
    tuning, too easy for a claim.

    Parameters
    ----------
    start, end : date, int or str
        First and last day, in any form :func:`seaice.dates.parse_date` accepts.
    shares : mapping of str to float
        Names of the parts, and how much of the days each gets; only the ratios count.
    gap_days : int, optional
        Days left out between parts. If they are at least the reach of the gap filling, no
        observation of one part enters a filled value of another. By default the reach of ``cube``,
        or without it 15 days, the reach of the default filling (9 days in time, then 7 for
        what was before and after).
    cube : Path, optional
        The cube that is split (see :func:`filling_reach`). If ``gap_days`` is smaller than its reach,
        the log has a warning.
    block_days : int, optional
        Length of a block in days. Without it every part is one block, in the order of ``shares``.
        With it the parts alternate in a random order, so that each gets several seasons;
        neighbouring blocks of one part are joined. For tuning, not for a claim of skill.
    seed : int
        Seed of that order. The order depends on the seed alone, not on the version of a library.

    Returns
    -------
    dict of str to list of DateRange
        Blocks of every part, for ``blocks=`` of the Dataset.

    Raises
    ------
    InputError
        If there are too few days for the parts or a share is not positive.

    Examples
    --------
    >>> parts = date_blocks(20240101, 20240409, shares={"train": 3, "test": 1}, gap_days=20)
    >>> for name, blocks in parts.items():
    ...     print(name, *blocks)
    train 2024-01-01 to 2024-02-29
    test 2024-03-21 to 2024-04-09
    """
    date_range = DateRange.parse(start, end)
    gap_days = _choose_gap_days(gap_days, cube)
    if not _are_shares(shares):
        raise InputError(f"expected parts with positive shares, found {shares!r}")
    if block_days is None:
        lengths = _divide_in_proportion(len(date_range) - gap_days * (len(shares) - 1), shares)
        names = list(shares)
    else:
        block_days = check_count("block_days", block_days, 1)
        lengths = _divide_evenly(len(date_range), block_days, gap_days)
        names = _shuffle_parts(len(lengths), shares, seed)
    if len(lengths) < len(shares) or min(lengths) < 1:
        raise InputError(
            f"{date_range} has {len(date_range)} days, too few for {len(shares)} parts "
            f"with {gap_days} days between them; shorten gap_days or block_days, or lengthen it"
        )
    return _place_blocks(date_range, names, lengths, gap_days, list(shares))


def _choose_gap_days(gap_days: int | None, cube: Path | str | None) -> int:
    """Return ``gap_days``, by default the reach of the filling of the cube."""
    reach = DEFAULT_REACH if cube is None else filling_reach(cube)
    if gap_days is None:
        return reach
    days = check_count("gap_days", gap_days, 0)
    if cube is not None and days < reach:
        logger.warning(
            "gap_days=%d is less than the %d days that filled values of %s reach: observations of "
            "one part enter another; leave gap_days out",
            days,
            reach,
            cube,
        )
    return days


def _are_shares(shares: Any) -> bool:
    return (
        isinstance(shares, Mapping)
        and len(shares) > 0
        and all(isinstance(share, Real) and 0 < float(share) < float("inf") for share in shares.values())
    )


def _divide_in_proportion(total: int, shares: Mapping[str, float]) -> list[int]:
    """Divide a whole number by shares (largest remainders); every part gets at least 1 if possible."""
    weights = np.array(list(shares.values()), dtype=np.float64)
    ideal = weights / weights.sum() * max(0, total)
    counts = np.floor(ideal).astype(int)
    for i in np.argsort(counts - ideal, kind="stable")[: max(0, total) - counts.sum()]:
        counts[i] += 1
    while counts.min() < 1 and counts.max() > 1:
        counts[counts.argmax()] -= 1
        counts[counts.argmin()] += 1
    return [int(c) for c in counts]


def _divide_evenly(days: int, block_days: int, gap_days: int) -> list[int]:
    """Return the lengths of as many blocks as fit; the last one gets the days that remain."""
    count = max(0, (days + gap_days) // (block_days + gap_days))
    lengths = [block_days] * count
    if lengths:
        lengths[-1] += days - count * block_days - (count - 1) * gap_days
    return lengths


def _shuffle_parts(count: int, shares: Mapping[str, float], seed: int) -> list[str]:
    """Return the part of every block in a random order; the order of digests never changes."""
    numbers = _divide_in_proportion(count, shares)
    names = [name for name, number in zip(shares, numbers, strict=True) for _ in range(number)]
    order = sort_by_digest(range(count), str(seed))
    return [names[k] for k in order] if len(names) == count else []


def _place_blocks(
    date_range: DateRange,
    names: Sequence[str],
    lengths: Sequence[int],
    gap_days: int,
    parts: Sequence[str],
) -> dict[str, list[DateRange]]:
    """Place blocks one after the other with gaps between them; join neighbours of one part."""
    blocks: dict[str, list[DateRange]] = {part: [] for part in parts}
    first = date_range.start
    previous = None
    for name, length in zip(names, lengths, strict=True):
        last = first + timedelta(days=length - 1)
        if name == previous:
            blocks[name][-1] = DateRange(blocks[name][-1].start, last)
        else:
            blocks[name].append(DateRange(first, last))
        previous = name
        first = last + timedelta(days=gap_days + 1)
    return blocks


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of the concentration of ocean cells over some days.

    Attributes
    ----------
    mean, std : float
        Fractions 0..1, over all ocean cells with a value, observed or filled.
    cells : int
        Number of values.
    days : int
        Number of days with at least one value.
    periods : tuple of str
        The blocks of days, as text.
    cube : str
        Name of the file of the cube.

    Raises
    ------
    InputError
        If the mean is not finite or the standard deviation not above 0.
    """

    mean: float
    std: float
    cells: int
    days: int
    periods: tuple[str, ...]
    cube: str

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mean) and np.isfinite(self.std) and self.std > 0):
            raise InputError(
                f"expected a finite mean and a positive standard deviation, found {self.mean} and "
                f"{self.std}: the days measured hold no two different values"
            )

    def normalise(self, values: Any) -> Any:
        """Return ``(values - mean) / std`` of an array or tensor."""
        return (values - self.mean) / self.std

    def restore(self, values: Any) -> Any:
        """Return ``values * std + mean``: the inverse of :meth:`normalise`."""
        return values * self.std + self.mean

    def save(self, path: Path) -> Path:
        """Write the statistics to a JSON file, and return its path."""
        write_json(Path(path), dataclasses.asdict(self))
        return Path(path)

    @classmethod
    def load(cls, path: Path) -> Statistics:
        """Read statistics from a file of :meth:`save`; InputError if it is no such file."""
        path = Path(path)
        if not path.is_file():
            raise InputError(f"no such statistics file: {path}; save it with Statistics.save")
        try:
            stored = parse_json(path.read_text(encoding="utf-8"))
            return cls(**{**stored, "periods": tuple(stored["periods"])})
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} is no file of Statistics.save ({error})") from None


def measure_statistics(
    consolidated_file_path: Path,
    blocks: Iterable[DateRange],
    *,
    region: tuple[int, int, int, int] | None = None,
    bounds: tuple[float, float, float, float] | None = None,
) -> Statistics:
    """Measure mean and standard deviation of the ocean cells over some blocks of days.

    Measure the blocks of the training part and use the result in the Datasets of all parts: so
    no value of the other days enters the normalisation.

    Parameters
    ----------
    consolidated_file_path : Path
        The cube.
    blocks : iterable of DateRange
        For example ``date_blocks(...)["train"]``. Days that the cube lacks are skipped.
    region, bounds : optional
        See :func:`seaice.training.windows.find_region_slices`.

    Returns
    -------
    Statistics

    Raises
    ------
    InputError
        If the blocks are no date ranges or hold no two different values.
    """
    blocks = check_blocks(blocks)
    days_of_blocks = {day for block in blocks for day in block}
    moments = RunningMoments()
    with CubeFile(consolidated_file_path) as cube:
        rows, columns = find_region_slices(cube.grid, region, bounds)
        ocean = cube.ocean[rows, columns]
        for position, day in enumerate(cube.dates):
            if parse_date(day) in days_of_blocks:
                moments.add(cube.concentration(position, rows, columns)[ocean])
        return moments.finish(blocks, cube.path.name)


class RunningMoments:
    """Mean and standard deviation of values that come day by day, in one pass without loss of digits.

    Means and sums of squares of two sets are combined as by Chan, Golub and LeVeque (1983),
    doi:10.1080/00031305.1983.10483115.
    """

    def __init__(self) -> None:
        self._cells = self._days = 0
        self._mean = self._squares = 0.0  # squares: sum of squared differences from the mean

    def add(self, values: np.ndarray) -> None:
        """Add the values of a day; NaN does not count."""
        values = values[~np.isnan(values)].astype(np.float64)
        if not values.size:
            return
        difference = values.mean() - self._mean
        total = self._cells + values.size
        self._squares += ((values - values.mean()) ** 2).sum()
        self._squares += difference**2 * self._cells * values.size / total
        self._mean += difference * values.size / total
        self._cells, self._days = total, self._days + 1

    def finish(self, blocks: Iterable[DateRange], name: str) -> Statistics:
        """Return the statistics of all days; InputError if they hold no two different values."""
        return Statistics(
            mean=float(self._mean),
            std=float(np.sqrt(self._squares / self._cells)) if self._cells else 0.0,
            cells=self._cells,
            days=self._days,
            periods=tuple(str(block) for block in blocks),
            cube=name,
        )
