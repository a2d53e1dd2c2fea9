"""Parts of a record for training, validation and test, and normalisation by the first alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
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
from seaice.gapfill import get_method
from seaice.runtime.atomic_write import atomic
from seaice.training.windows import (
    block_list,
    check_count,
    region_slices,
)

logger = logging.getLogger(__name__)

SHARES: Mapping[str, float] = MappingProxyType({"train": 0.7, "validation": 0.15, "test": 0.15})


# Of the filling that consolidate_data.py does unless told otherwise: 9 days in time, then 3 around.
USUAL_REACH = 12


def filling_reach(consolidated_file_path: Path | str) -> int:
    """How many days away the observations may lie that a cube's filled values are made of.

    Parameters
    ----------
    consolidated_file_path : Path
        The cube; the method and the windows it was filled with are written in it.

    Returns
    -------
    int
        8, the reach of the default filling, where the file does not tell; a warning says so.
    """
    with CubeFile(Path(consolidated_file_path)) as cube:
        try:
            parameters = cube.parameters
            return get_method(parameters["method"]).reach(parameters)
        except (InputError, KeyError):
            logger.warning(
                "%s does not tell how it was filled; its filled values are taken to reach %d days, "
                "as by default",
                consolidated_file_path,
                USUAL_REACH,
            )
            return USUAL_REACH


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
    """Divide a record into contiguous blocks of days, each wholly in one part.

    Neighbouring days of sea ice are nearly copies of one another, so a random split of
    days would let a model see its test. Between two blocks of different parts
    ``gap_days`` belong to neither.

    Parameters
    ----------
    start, end : dates in any form
        First and last day.
    shares : mapping of str to float
        Parts by name and how much of the days each gets, in any unit.
    gap_days : int, optional
        Days left out between parts. At least the reach of the gap filling keeps an
        observation of one part out of the filled values of another: by default the reach of
        ``cube``, or without it 8 days, that of the default filling (5 in time, then 3 around).
    cube : Path, optional
        The cube to be divided (see :func:`filling_reach`). A smaller ``gap_days`` is warned of.
    block_days : int, optional
        Length of a block. Without it every part is one block, in the order of
        ``shares``. With it the parts alternate along the record in a fixed random order,
        so that each sees several seasons; neighbouring blocks of one part become one.
    seed : int
        Of that order. It depends on nothing else, on no library's random numbers.

    Returns
    -------
    dict of str to list of DateRange
        For ``blocks=`` of the Dataset.

    Raises
    ------
    InputError
        If the record is too short for the parts or a share is not positive.

    Examples
    --------
    >>> parts = date_blocks(20240101, 20240409, shares={"train": 3, "test": 1}, gap_days=20)
    >>> for name, blocks in parts.items():
    ...     print(name, *blocks)
    train 2024-01-01 to 2024-02-29
    test 2024-03-21 to 2024-04-09
    """
    period = DateRange.parse(start, end)
    gap_days = _free_days(gap_days, cube)
    if not _are_shares(shares):
        raise InputError(f"expected parts with positive shares, found {shares!r}")
    if block_days is None:
        lengths = _in_proportion(len(period) - gap_days * (len(shares) - 1), shares)
        names = list(shares)
    else:
        block_days = check_count("block_days", block_days, 1)
        lengths = _even_lengths(len(period), block_days, gap_days)
        names = _dealt(len(lengths), shares, seed)
    if len(lengths) < len(shares) or min(lengths) < 1:
        raise InputError(
            f"{period} has {len(period)} days, too few for {len(shares)} parts "
            f"with {gap_days} days between them; shorten gap_days or block_days, or lengthen it"
        )
    return _laid_out(period, names, lengths, gap_days, list(shares))


def _free_days(gap_days: int | None, cube: Path | str | None) -> int:
    """``gap_days``, by default the reach of the cube's filling."""
    reach = USUAL_REACH if cube is None else filling_reach(cube)
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


def _in_proportion(total: int, shares: Mapping[str, float]) -> list[int]:
    """Whole numbers with the sum ``total`` (largest remainders), at least 1 each if possible."""
    weights = np.array(list(shares.values()), dtype=np.float64)
    ideal = weights / weights.sum() * max(0, total)
    counts = np.floor(ideal).astype(int)
    for i in np.argsort(counts - ideal, kind="stable")[: max(0, total) - counts.sum()]:
        counts[i] += 1
    while counts.min() < 1 and counts.max() > 1:
        counts[counts.argmax()] -= 1
        counts[counts.argmin()] += 1
    return [int(c) for c in counts]


def _even_lengths(days: int, block_days: int, gap_days: int) -> list[int]:
    count = max(0, (days + gap_days) // (block_days + gap_days))
    lengths = [block_days] * count
    if lengths:  # the rest of the record goes to the last block
        lengths[-1] += days - count * block_days - (count - 1) * gap_days
    return lengths


def _dealt(count: int, shares: Mapping[str, float], seed: int) -> list[str]:
    """Name of the part of every block, in a random order that no library version changes."""
    numbers = _in_proportion(count, shares)
    names = [name for name, number in zip(shares, numbers, strict=True) for _ in range(number)]
    order = sorted(range(count), key=lambda k: hashlib.sha256(f"{seed} {k}".encode()).digest())
    return [names[k] for k in order] if len(names) == count else []


def _laid_out(
    period: DateRange, names: Sequence[str], lengths: Sequence[int], gap_days: int, parts: Sequence[str]
) -> dict[str, list[DateRange]]:
    result: dict[str, list[DateRange]] = {part: [] for part in parts}
    first = period.start
    previous = None
    for name, length in zip(names, lengths, strict=True):
        last = first + timedelta(days=length - 1)
        if name == previous:
            result[name][-1] = DateRange(result[name][-1].start, last)
        else:
            result[name].append(DateRange(first, last))
        previous = name
        first = last + timedelta(days=gap_days + 1)
    return result


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of concentration over ocean cells of given days.

    Attributes
    ----------
    mean, std : float
        Fraction 0..1, over all ocean cells with a value, measured or filled.
    cells : int
        Number of values.
    days : int
        Number of days with at least one.
    periods : tuple of str
        The blocks of days measured.
    cube : str
        Name of the cube.
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
        """``(values - mean) / std``, of an array or tensor."""
        return (values - self.mean) / self.std

    def restore(self, values: Any) -> Any:
        """Inverse of :meth:`normalise`."""
        return values * self.std + self.mean

    def save(self, path: Path) -> Path:
        """Write a JSON file."""
        text = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
        with atomic(Path(path)) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, path: Path) -> Statistics:
        """Read what :meth:`save` wrote; InputError if it is no such file."""
        path = Path(path)
        if not path.is_file():
            raise InputError(f"no such statistics file: {path}; save it with Statistics.save")
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
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
    """Mean and standard deviation of the ocean cells of some blocks of days.

    Give the blocks of the training part alone and hand the result to the datasets of
    every part: nothing about the other days enters.

    Parameters
    ----------
    consolidated_file_path : Path
        The cube.
    blocks : iterable of DateRange
        E.g. ``date_blocks(...)["train"]``. Days the cube lacks are passed over.
    region, bounds : optional
        See :func:`seaice.training.windows.region_slices`.

    Returns
    -------
    Statistics

    Raises
    ------
    InputError
        If the blocks are no Periods or hold no two different values.
    """
    blocks = block_list(blocks)
    wanted = {day for block in blocks for day in block}
    cells = days = 0
    mean = squares = 0.0  # squares: sum of squared differences from the mean
    with CubeFile(Path(consolidated_file_path)) as cube:
        rows, columns = region_slices(cube.grid, region, bounds)
        ocean = cube.ocean[rows, columns]
        for position, day in enumerate(cube.dates):
            if parse_date(day) not in wanted:
                continue
            values = cube.concentration(position, rows, columns)[ocean]
            values = values[~np.isnan(values)].astype(np.float64)
            if not values.size:
                continue
            # Chan, Golub and LeVeque (1983), doi:10.1080/00031305.1983.10483115: one pass
            # over any number of days without loss of digits.
            difference = values.mean() - mean
            total = cells + values.size
            squares += ((values - values.mean()) ** 2).sum()
            squares += difference**2 * cells * values.size / total
            mean += difference * values.size / total
            cells, days = total, days + 1
        name = cube.path.name
    return Statistics(
        mean=float(mean),
        std=float(np.sqrt(squares / cells)) if cells else 0.0,
        cells=cells,
        days=days,
        periods=tuple(str(block) for block in blocks),
        cube=name,
    )
