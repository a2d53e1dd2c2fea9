"""Dataset for PyTorch: samples of some input days and some later target days of a cube."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.dates import DateRange, parse_date
from seaice.flags import Surface
from seaice.masks import read_mask
from seaice.open_file.address import Address, locate
from seaice.training.cache import open_cache
from seaice.training.chunks.watched_file import FileState, make_changed_cube_error
from seaice.training.items import (
    PARTS,
    ItemBuilder,
    SampleList,
    check_parts,
    make_flag_weights,
    make_lookups,
)
from seaice.training.reader import CubeReader, Quantity, read_cube_state
from seaice.training.splits import Statistics
from seaice.training.window_dataset import (
    WindowDataset,
    check_number,
    count_threads,
    load_statistics,
)
from seaice.training.windows import (
    Window,
    check_count,
    check_share,
    find_region_slices,
    is_pole_hole_missing,
    measure_day_shares,
)

__all__ = ["PARTS", "ConsolidatedSICDataset", "load_ocean_mask"]


def load_ocean_mask(path: Path) -> torch.Tensor:
    """Read the ocean mask to multiply fields by: ``inputs * load_ocean_mask(path)`` sets land to 0.

    Parameters
    ----------
    path : Path
        A mask of ``create_mask.py`` or a cube of ``consolidate_data.py``.

    Returns
    -------
    tensor of float32, shape (rows, columns)
        1 over ocean (also coast, pole hole and rarely observed ocean), 0 over land: the opposite
        of ``land_mask`` in the mask file.

    Raises
    ------
    InputError
        If the file is neither a mask nor a cube.
    """
    try:
        place = locate(path)
        if isinstance(place, Address):
            raise InputError(f"a mask is a file, found the address {place}")
        ocean = read_mask(place).ocean
    except InputError as no_mask:
        try:
            with CubeFile(path) as cube:
                ocean = cube.ocean
        except InputError as no_cube:
            if "is damaged" in str(no_cube):
                raise
            raise InputError(f"{no_mask}; a cube of consolidate_data.py would do too") from None
    return torch.from_numpy(ocean.astype(np.float32))


class ConsolidatedSICDataset(WindowDataset):
    """Dataset of samples from a cube: pairs of float32 tensors (T, 1, H, W), inputs and targets.

    Sample i starts ``i * samples_gap`` days after ``start_time``. Its inputs are ``input_length``
    days, one every ``input_gap`` days. Its targets are ``pred_length`` days, one every ``pred_gap``
    days, the first of them ``pred_shift`` days after the last input. Samples with a day that is
    absent or has too many missing cells are left out and counted in ``dropped``.

    Values are fractions 0..1 without NaN: land has ``land_value``, a missing ocean cell
    ``missing_value``. Every process opens the cube for itself on first use, so the Dataset works
    with any number of workers and any way of starting them. The chunks of a training batch are
    decoded once, without the NetCDF library. A worker of a DataLoader decodes in one thread, any
    other process in as many threads as it may use processors.

    Parameters
    ----------
    consolidated_file_path : Path
        A cube of ``consolidate_data.py``.
    start_time, end_time : date, int or str
        First and last day of all samples, in any form :func:`seaice.dates.parse_date` accepts.
    input_length, pred_length : int
        Number of input days and of target days.
    input_gap, pred_shift, pred_gap, samples_gap : int
        Steps in days, see above; all 1 by default. With ``pred_shift=0`` the first target is the
        last input.
    preload_data : bool
        Read all days into memory at the start (2 bytes a cell and day, 1 more for flags). Workers
        started by spawn or forkserver get a copy each.
    blocks : sequence of DateRange, optional
        Every sample must lie wholly within one block. :func:`seaice.training.splits.date_blocks`
        makes blocks that are further apart than the reach of the cube's filling.
    region : (ymin, ymax, xmin, xmax), optional
        Half-open index ranges; row 0 is the southernmost row. Only these cells are read.
    bounds : (west, south, east, north), optional
        Region of the cells whose centres lie within, in metres of the map projection.
    patch_size : int or (rows, columns), optional
        Take a random patch of this size from every sample. The patch depends on ``seed``, epoch
        (:meth:`set_epoch`) and index alone, not on the workers.
    seed : int
        Seed of the patches.
    smallest_ocean_share : float
        Smallest share of ocean cells in a patch, 0..1; a patch has at least one. If the pole hole is
        missing on a day of the samples, its cells do not count as ocean here.
    largest_missing_share : float
        Largest share of missing cells on any day of a sample, 0..1, among the ocean cells outside
        the pole hole. Cells of the pole hole count only in a region without other ocean.
    largest_filled_share : float
        Largest share of filled values among the ocean cells of a sample over all its days, 0..1.
        This share and the one before are those of the region, not of a patch.
    land_value, missing_value : float
        Values of land cells and of missing ocean cells, after normalisation; NaN is allowed.
    statistics : Statistics or Path, optional
        Mean and standard deviation of the training part to normalise the inputs by
        (:func:`seaice.training.splits.measure_statistics`). Targets stay fractions.
    returns : sequence of str, optional
        Names of the parts of an item, which is then a dict; without it an item is the tuple
        ``(inputs, targets)``. Parts: inputs, targets; dates (int64 YYYYMMDD, inputs then targets);
        ocean (float32 (1, H, W), 1 = ocean); input_flags, target_flags (uint8, codes of
        ``fill_flag`` in the file); input_weights, target_weights (float32: 1 observed,
        ``filled_weight`` filled, 0 land and missing); origin (int64, row and column of the first
        cell in the grid of the cube).
    filled_weight : float
        Weight of a filled value; by default 0, so that only observed values count in a loss.
    transform : callable, optional
        Function that is applied to every item.
    cache : Path, optional
        Folder of a training cache (:mod:`seaice.training.cache`) to read the concentration from. If
        there is none, it is made of all days of the cube, by one process while others wait.
    cache_dtype : {"float16", "uint8", "int16"}
        Encoding of the cache, with an error of at most 0.024 percent, at most 0.2 percent, or none.

    Attributes
    ----------
    path : Path
        Absolute path of the cube.
    window : Window
        Days of a sample.
    date_range : DateRange
        First and last day of all samples.
    dropped : dict of str to int
        Number of windows that are no samples, by reason: outside_blocks, absent_day, missing_cells,
        filled_cells. A window is counted under the first reason that applies.
    grid : Grid
        Grid of the region.
    ocean : ndarray of bool, shape (rows, columns)
        True over ocean, in the region.

    Raises
    ------
    InputError
        If the cube cannot be used or lacks the days, no window fits, the region leaves the grid,
        the cache belongs to another cube, or no sample is left; the message says which. Later, on
        reading, if the cube was changed since or is damaged.
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
        self.path = locate(consolidated_file_path).absolute()
        self._name = repr(self.path.name)
        self.window = Window(input_length, pred_length, input_gap, pred_shift, pred_gap)
        self.date_range = DateRange.parse(start_time, end_time)
        self._returns = None if returns is None else check_parts(returns)
        self._with_flags = any("flags" in p or "weights" in p for p in self._returns or ())
        self._land_value = check_number("land_value", land_value)
        self._missing_value = check_number("missing_value", missing_value)
        self._statistics = load_statistics(statistics)
        self._transform = transform
        for name, share in (
            ("smallest_ocean_share", smallest_ocean_share),
            ("largest_missing_share", largest_missing_share),
            ("largest_filled_share", largest_filled_share),
        ):
            check_share(name, share)
        self._seed = check_count("seed", seed, 0)
        starts = self.window.list_starts(self.date_range, samples_gap)
        state = read_cube_state(self.path)
        # The cube is closed again, so that a worker started by fork inherits no open handle.
        with CubeFile(self.path) as cube:
            _check_dates(cube, self.date_range)
            self._set_region(cube.grid, *find_region_slices(cube.grid, region, bounds))
            self.ocean = cube.ocean[self._rows, self._columns]
            if not self.ocean.any():
                raise InputError(
                    f"{self.grid} of {self.path} holds no ocean cell; choose another region"
                )
            shares = measure_day_shares(
                cube, self.date_range, self._rows, self._columns, filled=largest_filled_share < 1
            )
            limits = largest_missing_share, largest_filled_share
            days = self._select_samples(starts, shares, blocks, *limits, str(self.path))
            self._positions = shares.position[days]
            weights = make_flag_weights(cube, filled_weight)
            self._list_patches(cube, patch_size, smallest_ocean_share)
            self._set_reader(cube, state, weights, cache, cache_dtype)
        if preload_data:
            self._reader.preload(self._positions, self._rows, self._columns, count_threads())

    def _list_patches(self, cube: CubeFile, size: Any, smallest_ocean_share: float) -> None:
        ocean, exception = self.ocean, ""
        days = np.unique(self._positions)
        if size is not None and is_pole_hole_missing(cube, days, self._rows, self._columns):
            ocean = ocean & (cube.surface[self._rows, self._columns] != Surface.POLE_HOLE)
            exception = " outside the missing pole hole"
        self._set_patches(size, ocean, smallest_ocean_share, exception)

    def _set_reader(
        self,
        cube: CubeFile,
        state: FileState | None,
        weights: np.ndarray,
        cache: Path | str | None,
        cache_dtype: str,
    ) -> None:
        if state is None:  # the cube did not exist when its state was read, and was written since
            raise make_changed_cube_error(self.path)
        quantities: list[Quantity] = ["concentration"]
        if self._with_flags:
            quantities.append("flags")
        cached = None
        if cache is not None:
            folder = Path(cache).absolute()
            cached = open_cache(folder, cube, state, cache_dtype, np.unique(self._positions))
        self._reader = CubeReader(cube, state, quantities, cached)
        lookups = make_lookups(
            self._reader,
            missing_value=self._missing_value,
            statistics=self._statistics,
            weights=weights if self._with_flags else None,
        )
        length = self.window.input_length
        samples = SampleList(
            self._positions, self._dates, length, self._rows, self._columns, ~self.ocean
        )
        self._builder = ItemBuilder(self._reader, samples, lookups, self._land_value)

    def _build_items(
        self, numbers: Sequence[int], parts: Sequence[str]
    ) -> list[dict[str, torch.Tensor]]:
        boxes = [(number, *self._locate_sample(number)) for number in numbers]
        items = self._builder.build(boxes, parts, count_threads())
        return [{part: torch.from_numpy(item[part]) for part in parts} for item in items]

    def close(self) -> None:
        """Close the cube in this process; the next item opens it again."""
        self._reader.close()


def _check_dates(cube: CubeFile, date_range: DateRange) -> None:
    """Raise InputError if the first or the last day lies outside the cube."""
    if not cube.dates:
        raise InputError(f"{cube.path} holds no day; make it anew with consolidate_data.py")
    first, last = parse_date(cube.dates[0]), parse_date(cube.dates[-1])
    for name, day in (("start_time", date_range.start), ("end_time", date_range.end)):
        if not first <= day <= last:
            raise InputError(
                f"{cube.path} reaches from {first} to {last}, found {name} {day}; choose days within"
            )
