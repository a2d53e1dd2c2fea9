"""A cube as a map-style torch Dataset of windows: some days in, some days out."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.dates import (
    DateRange,
    parse_date,
)
from seaice.flags import Surface
from seaice.grids import Grid
from seaice.masks import read_mask
from seaice.runtime.threads import allowed_processors
from seaice.training.cache import open_cache
from seaice.training.chunks.watched_file import (
    FileState,
    another_cube,
)
from seaice.training.items import (
    PARTS,
    ItemArrays,
    Samples,
    flag_weights,
    known_parts,
    paints_of,
)
from seaice.training.reader import (
    CubeReader,
    Name,
    cube_state,
)
from seaice.training.splits import Statistics
from seaice.training.windows import (
    REASONS,
    Window,
    block_numbers,
    check_count,
    check_pair,
    check_share,
    day_shares,
    patch_corners,
    pole_hole_is_missing,
    region_slices,
    usable,
)

logger = logging.getLogger(__name__)

# Bytes read at once where all samples are wanted.
_AT_ONCE = 1 << 26

__all__ = ["PARTS", "ConsolidatedSICDataset", "load_ocean_mask"]


def load_ocean_mask(path: Path) -> torch.Tensor:
    """Read the factor that sets land to zero: ``inputs * load_ocean_mask(path)``.

    Parameters
    ----------
    path : Path
        A mask of ``create_mask.py`` or a cube of ``consolidate_data.py``.

    Returns
    -------
    tensor of float32, shape (rows, columns)
        1 over ocean (coast, pole hole and rarely observed ocean too), 0 over land: the
        opposite of the mask file's ``land_mask``.

    Raises
    ------
    InputError
        If the file is neither.
    """
    try:
        ocean = read_mask(Path(path)).ocean
    except InputError as no_mask:
        try:
            with CubeFile(Path(path)) as cube:
                ocean = cube.ocean
        except InputError as no_cube:
            if "is damaged" in str(no_cube):
                raise
            raise InputError(f"{no_mask}; a cube of consolidate_data.py would do too") from None
    return torch.from_numpy(ocean.astype(np.float32))


class ConsolidatedSICDataset(Dataset[Any]):
    """Windows of a consolidated cube, as pairs of float32 tensors (T, 1, H, W).

    Days ``start_time`` to ``end_time`` are numbered; sample i begins ``i * samples_gap``
    days after the first, takes ``input_length`` days every ``input_gap`` days, and
    ``pred_length`` target days every ``pred_gap`` days, the first ``pred_shift`` days after
    the last input. Windows that use a day without data are dropped, see ``dropped``.

    Values are fractions 0..1 without NaN: land is ``land_value``, what stayed missing over
    the ocean is ``missing_value``. Every process opens the cube for itself, on first use, so
    the Dataset works with any number of workers and any way of starting them. Chunks are read
    past the NetCDF library, those of a batch once; a process that is no loader's worker decodes
    them in as many threads as it may use processors.

    Parameters
    ----------
    consolidated_file_path : Path
        A cube of ``consolidate_data.py``.
    start_time, end_time : date, int or str
        First and last day a window may use, in any form :func:`seaice.dates.parse_date` reads.
    input_length, pred_length : int
        Days in, days out.
    input_gap, pred_shift, pred_gap, samples_gap : int
        See above; all 1 by default. ``pred_shift=0`` lets the first target be the last input.
    preload_data : bool
        Read all days once into memory (2 bytes a cell and day, 1 more for flags). Workers
        started by spawn or forkserver get a copy each.
    blocks : sequence of DateRange, optional
        A window must lie wholly within one; see :func:`seaice.training.splits.date_blocks`, which keeps
        the parts further apart than the cube's filling reaches.
    region : (ymin, ymax, xmin, xmax), optional
        Half-open index ranges; row 0 is the south edge. Only these cells are read.
    bounds : (west, south, east, north), optional
        The cells whose centres lie within, in projected metres.
    patch_size : int or (rows, columns), optional
        Take a random patch of this size from every sample: another one in every epoch (call
        :meth:`set_epoch`), the same one for the same ``seed``, epoch and index whatever
        the workers.
    seed : int
        Of the patches.
    smallest_ocean_share : float
        Patches with a smaller share of ocean cells, or with none, are not taken. A pole hole
        without values on a day of the samples counts as no ocean here.
    largest_missing_share : float
        A window is dropped if on one of its days a larger share of the ocean cells outside
        the pole hole is missing. A pole hole that was kept counts only in a region that holds
        no other ocean.
    largest_filled_share : float
        A window is dropped if a larger share of its ocean cells, over all its days, holds
        filled values. Both shares are those of the region, not of a patch.
    land_value, missing_value : float
        Put in last, after normalisation; NaN is allowed.
    statistics : Statistics or Path, optional
        Normalise the inputs by the training part's mean and standard deviation
        (:func:`seaice.training.splits.measure_statistics`). Targets stay fractions.
    returns : sequence of str, optional
        Without it an item is the tuple ``(inputs, targets)``. With it an item is a dict of
        the parts named: inputs, targets; dates (int64 YYYYMMDD, inputs then targets); ocean
        (float32 (1, H, W), 1 = ocean); input_flags, target_flags (uint8, codes of
        ``fill_flag`` as in the file); input_weights, target_weights (float32: 1 measured,
        ``filled_weight`` filled, 0 land and missing); origin (int64, row and column of the
        first cell in the cube's grid).
    filled_weight : float
        Weight of a filled value. 0: what nobody measured teaches nothing.
    transform : callable, optional
        Applied to every item.
    cache : Path, optional
        Folder of a training cache (:mod:`seaice.training.cache`) that the concentration is read
        from. Made of all days of the cube if there is none; other processes wait for that.
    cache_dtype : {"float16", "uint8", "int16"}
        Of the cache: wrong by at most 0.024 percent, by at most 0.2 percent, not at all.

    Attributes
    ----------
    path : Path
        Absolute.
    window : Window
    period : DateRange
    dropped : dict of str to int
        Windows that are no samples, by reason: outside_blocks, absent_day, missing_cells,
        filled_cells. A window counts under the first that applies.
    grid : Grid
        Of the region.
    ocean : ndarray of bool, shape (rows, columns)
        True over ocean, in the region.

    Raises
    ------
    InputError
        If the cube is unusable or does not reach the dates, the window does not fit, the
        region leaves the grid, the cache is another cube's, or no sample is left; the message
        says why. On reading, if the cube was changed since or is damaged.
    """

    def __init__(
        self,
        consolidated_file_path: Path | str,
        start_time: Any,
        end_time: Any,
        input_length: int,
        pred_length: int,
        input_gap: int = 1,
        pred_shift: int = 1,
        pred_gap: int = 1,
        samples_gap: int = 1,
        preload_data: bool = False,
        *,
        blocks: Sequence[DateRange] | None = None,
        region: tuple[int, int, int, int] | None = None,
        bounds: tuple[float, float, float, float] | None = None,
        patch_size: int | tuple[int, int] | None = None,
        seed: int = 0,
        smallest_ocean_share: float = 0.0,
        largest_missing_share: float = 0.0,
        largest_filled_share: float = 1.0,
        land_value: float = 0.0,
        missing_value: float = 0.0,
        statistics: Statistics | Path | str | None = None,
        returns: Sequence[str] | None = None,
        filled_weight: float = 0.0,
        transform: Callable[[Any], Any] | None = None,
        cache: Path | str | None = None,
        cache_dtype: str = "float16",
    ) -> None:
        self.path = Path(consolidated_file_path).absolute()
        self.window = Window(input_length, pred_length, input_gap, pred_shift, pred_gap)
        self.period = DateRange.parse(start_time, end_time)
        self._returns = None if returns is None else known_parts(returns)
        self._with_flags = any("flags" in p or "weights" in p for p in self._returns or ())
        self._land_value = _number("land_value", land_value)
        self._missing_value = _number("missing_value", missing_value)
        self._statistics = _loaded(statistics)
        self._transform = transform
        for name, share in (
            ("smallest_ocean_share", smallest_ocean_share),
            ("largest_missing_share", largest_missing_share),
            ("largest_filled_share", largest_filled_share),
        ):
            check_share(name, share)
        self._seed = check_count("seed", seed, 0)
        starts = self.window.starts(self.period, samples_gap)
        state = cube_state(self.path)
        # The handle is closed again: a worker started by fork shall inherit none.
        with CubeFile(self.path) as cube:
            _check_reach(cube, self.period)
            self._take_region(cube, *region_slices(cube.grid, region, bounds))
            self._take_samples(cube, starts, blocks, largest_missing_share, largest_filled_share)
            weights = flag_weights(cube, filled_weight)
            self._take_patches(cube, patch_size, smallest_ocean_share)
            self._take_reader(cube, state, weights, cache, cache_dtype)
        if preload_data:
            self._reader.preload(self._positions, self._rows, self._columns, _threads())

    def _take_region(self, cube: CubeFile, rows: slice, columns: slice) -> None:
        self._rows, self._columns = rows, columns
        self.grid: Grid = cube.grid
        if (rows.stop - rows.start, columns.stop - columns.start) != cube.grid.shape:
            self.grid = cube.grid.crop(rows, columns)
        self.ocean: np.ndarray = cube.ocean[rows, columns]
        if not self.ocean.any():
            raise InputError(f"{self.grid} of {self.path} holds no ocean cell; choose another region")

    def _take_samples(
        self,
        cube: CubeFile,
        starts: np.ndarray,
        blocks: Sequence[DateRange] | None,
        largest_missing_share: float,
        largest_filled_share: float,
    ) -> None:
        shares = day_shares(
            cube, self.period, self._rows, self._columns, filled=largest_filled_share < 1
        )
        days = starts[:, np.newaxis] + self.window.offsets
        limits: dict[str, Any] = {
            "block": block_numbers(self.period, blocks),
            "largest_missing_share": largest_missing_share,
            "largest_filled_share": largest_filled_share,
        }
        keep, self.dropped = usable(days, shares, **limits)
        said = ", ".join(f"{n} {REASONS[r]}" for r, n in self.dropped.items() if n) or "none"
        logger.info("%s: %d samples, dropped: %s", self.path.name, keep.sum(), said)
        if not keep.any():
            wanting, _ = usable(days, shares, **limits | {"largest_missing_share": 1.0})
            advice = ""
            if wanting.any():
                share = shares.missing[days[wanting]].max(axis=1).min()
                advice = f"; largest_missing_share={np.ceil(share * 1e4) / 1e4:.4f} keeps some"
            raise InputError(
                f"no sample is left of the {len(starts)} windows from {self.period} in {self.path}: "
                f"{said}{advice}"
            )
        self._positions = shares.position[days[keep]]
        numbers = [int(f"{day:%Y%m%d}") for day in self.period]
        self._dates = np.array(numbers, dtype=np.int64)[days[keep]]

    def _take_patches(
        self, cube: CubeFile, size: int | tuple[int, int] | None, smallest_ocean_share: float
    ) -> None:
        self._patch = None if size is None else check_pair("patch_size", size)
        self._epoch: torch.Tensor | None = None
        if self._patch is None:
            return
        if any(p > n for p, n in zip(self._patch, self.ocean.shape, strict=True)):
            raise InputError(
                f"a patch of {self._patch[0]} x {self._patch[1]} cells does not fit in {self.grid}; "
                "choose a smaller patch_size or a larger region"
            )
        ocean, where = self.ocean, ""
        if pole_hole_is_missing(cube, np.unique(self._positions), self._rows, self._columns):
            ocean = ocean & (cube.surface[self._rows, self._columns] != Surface.POLE_HOLE)
            where = " outside the missing pole hole"
        self._corners = patch_corners(ocean, self._patch, smallest_ocean_share)
        if not self._corners.size:
            wanted, advice = f"an ocean share of {smallest_ocean_share:g}", "lower smallest_ocean_share"
            if not ocean.any():
                wanted, advice = "an ocean cell", "choose another region"
            raise InputError(
                f"no patch of {self._patch[0]} x {self._patch[1]} cells in {self.grid} has "
                f"{wanted}{where}; {advice}"
            )
        # In shared memory, so that workers kept between epochs see set_epoch too.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def _take_reader(
        self,
        cube: CubeFile,
        state: FileState | None,
        weights: np.ndarray,
        cache: Path | str | None,
        cache_dtype: str,
    ) -> None:
        if state is None:  # it came only after it had been looked for
            raise another_cube(self.path)
        names: list[Name] = ["concentration", "flags"] if self._with_flags else ["concentration"]
        cached = None
        if cache is not None:
            folder = Path(cache).absolute()
            cached = open_cache(folder, cube, state, cache_dtype, np.unique(self._positions))
        self._reader = CubeReader(cube, state, names, cached)
        paints = paints_of(
            self._reader,
            missing_value=self._missing_value,
            statistics=self._statistics,
            weights=weights if self._with_flags else None,
        )
        length = self.window.input_length
        samples = Samples(self._positions, self._dates, length, self._rows, self._columns, ~self.ocean)
        self._arrays = ItemArrays(self._reader, samples, paints, self._land_value)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's random patches; call it before every pass over the loader."""
        number = check_count("epoch", epoch, 0)
        if self._epoch is not None:
            self._epoch[0] = number

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The items of a batch; what several of them need is read and decoded once."""
        made = self._items([self._number(i) for i in indices], self._returns or ("inputs", "targets"))
        items = made if self._returns else [(item["inputs"], item["targets"]) for item in made]
        return items if self._transform is None else [self._transform(item) for item in items]

    def _number(self, index: int) -> int:
        number = operator.index(index)
        number += len(self) if number < 0 else 0
        if not 0 <= number < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return number

    def _items(self, numbers: Sequence[int], parts: Sequence[str]) -> list[dict[str, torch.Tensor]]:
        boxes = [(number, *self._part(number)) for number in numbers]
        made = self._arrays.make(boxes, parts, _threads())
        return [{part: torch.from_numpy(item[part]) for part in parts} for item in made]

    def _part(self, number: int) -> tuple[slice, slice]:
        """Rows and columns of a sample in the cube's grid."""
        if self._patch is None or self._epoch is None:
            return self._rows, self._columns
        random = np.random.default_rng((self._seed, int(self._epoch[0]), number))
        corner = int(self._corners[random.integers(self._corners.size)])
        row, column = divmod(corner, self.ocean.shape[1] - self._patch[1] + 1)
        row, column = row + self._rows.start, column + self._columns.start
        return slice(row, row + self._patch[0]), slice(column, column + self._patch[1])

    def close(self) -> None:
        """Close this process's handle of the cube; the next item opens it again."""
        self._reader.close()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._epoch is not None:
            self._epoch.share_memory_()

    def GetInputs(self) -> torch.Tensor:
        """Inputs of all samples, float32 (N, Tin, 1, H, W), without ``transform``."""
        return self._all("inputs")

    def GetTargets(self) -> torch.Tensor:
        """Targets of all samples, float32 (N, Tout, 1, H, W), without ``transform``."""
        return self._all("targets")

    def GetTimes(self) -> np.ndarray:
        """Days of all samples, inputs then targets, int64 YYYYMMDD (N, Tin + Tout)."""
        return self._dates.copy()

    def _all(self, part: str) -> torch.Tensor:
        first = self._items([0], (part,))[0][part]
        stack = first.new_empty((len(self), *first.shape))
        step = max(1, _AT_ONCE // (first.nelement() * first.element_size()))
        for begin in range(0, len(self), step):
            numbers = range(begin, min(begin + step, len(self)))
            for number, item in zip(numbers, self._items(numbers, (part,)), strict=True):
                stack[number] = item[part]
        return stack


def _threads() -> int:
    """Threads that may decode: a loader has as many workers as it should already."""
    return 1 if get_worker_info() is not None else allowed_processors()


def _number(name: str, value: float) -> float:
    if not isinstance(value, Real):
        raise InputError(f"expected {name} as a number, found {value!r}")
    return value


def _loaded(statistics: Statistics | Path | str | None) -> Statistics | None:
    if statistics is None or isinstance(statistics, Statistics):
        return statistics
    if not isinstance(statistics, str | Path):
        raise InputError(
            f"expected statistics of measure_statistics or the path of its file, found {statistics!r}"
        )
    return Statistics.load(Path(statistics))


def _check_reach(cube: CubeFile, period: DateRange) -> None:
    if not cube.dates:
        raise InputError(f"{cube.path} holds no day; make it anew with consolidate_data.py")
    first, last = parse_date(cube.dates[0]), parse_date(cube.dates[-1])
    for name, day in (("start_time", period.start), ("end_time", period.end)):
        if not first <= day <= last:
            raise InputError(
                f"{cube.path} reaches from {first} to {last}, found {name} {day}; choose days within"
            )
