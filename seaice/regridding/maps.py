"""Cubes and fields on another grid, map after map, in one process or several."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seaice import InputError, cf
from seaice.cube.packing import Packing
from seaice.dates import from_day_number
from seaice.flags import is_ocean, read_flag_values
from seaice.grids import Grid, describe_grid
from seaice.regridding.carry import CarriedDay, carry_day, carry_surface
from seaice.regridding.output import (
    COMMENT,
    count_cells,
    pack_maps,
    store_cube_day,
    store_field_day,
)
from seaice.regridding.source import Source, find_ocean, open_once
from seaice.regridding.weights import SENSIBLE_REFINEMENT, Weights, compute_matrix, leave_out_land
from seaice.report import Progress
from seaice.runtime.atomic_write import open_own_folder
from seaice.runtime.threads import use_threads
from seaice.runtime.workers import Engine

logger = logging.getLogger(__name__)

_COMPRESSION = "zlib"


@dataclass(frozen=True)
class CarryTask:
    """All that the maps of one run share.

    Attributes
    ----------
    path : Path
        The input.
    variable : str or None
        As it was asked for.
    folder : Path
        Where the weights, the surface and the reach of source cells are.
    grid : Grid
        The target.
    smallest_share : float
    packing : Packing or None
        How days become chunks of a cube; None for a field.
    fill : int or None
        Stored number of missing classes; None if the field has no classes.
    threads : int or None
        Threads of a worker process.
    """

    path: Any
    variable: str | None
    folder: Path
    grid: Grid
    smallest_share: float
    packing: Packing | None
    fill: int | None = None
    threads: int | None = None


class Outcome(NamedTuple):
    """A map that was carried.

    Attributes
    ----------
    stored : dict
        Chunks of a cube, or stored maps, by variable.
    counts : dict of str to int
        Cells of the day, for the table of a cube.
    valued : float
        Share of the cells that count with a value.
    before, after : float
        Sum of value times area of all that reaches the target, and of what has a value there, km2.
    """

    stored: dict[str, Any]
    counts: dict[str, int]
    valued: float
    before: float
    after: float


class _Ground(NamedTuple):
    """What is the same on all maps: weights, and surface and reach if the input has them."""

    weights: Weights
    surface: np.ndarray
    ocean: np.ndarray
    reach: np.ndarray


@lru_cache(maxsize=1)
def _load_ground(folder: Path, stamp: float) -> _Ground:
    surface, reach = (np.load(folder / f"{name}.npy") for name in ("surface", "reach"))
    return _Ground(Weights.load(folder), surface, is_ocean(surface), reach)


@contextmanager
def prepare_ground(
    output_file: Path, source: Source, grid: Grid, method: str, smallest_ocean_share: float
) -> Iterator[tuple[Path, np.ndarray, np.ndarray]]:
    """Compute the weights, once, and keep them in a hidden folder beside the output meanwhile.

    Yields
    ------
    folder : Path
    surface : ndarray of uint8, shape of the grid
    land : ndarray of float32, shape of the grid
        Land share.
    """
    folder = output_file.resolve().with_name(f".{output_file.name}.weights")
    matrix, whole = compute_matrix(source.grid, grid, method)
    if source.grid.kilometres > SENSIBLE_REFINEMENT * grid.kilometres:
        logger.warning(
            "cells of %s are divided into cells of %s, which show the cells of the input and no more "
            "detail; a coarser --grid says the same",
            source.grid.describe_step(),
            grid.describe_step(),
        )
    everywhere = leave_out_land(matrix, whole, np.ones(source.grid.shape, bool))
    own = np.zeros(source.grid.shape, np.uint8) if source.surface is None else source.surface
    surface = carry_surface(everywhere, grid.shape, own, smallest_ocean_share=smallest_ocean_share)
    weights = leave_out_land(matrix, whole, find_ocean(source))
    reach = np.bincount(weights.indices, weights.weights, source.grid.rows * source.grid.columns)
    del matrix, everywhere
    open_own_folder(folder)
    try:
        weights.save(folder)
        np.save(folder / "surface.npy", surface)
        np.save(folder / "reach.npy", reach)
        yield folder, surface, weights.land.reshape(grid.shape)
    finally:
        open_once.cache_clear()
        _load_ground.cache_clear()
        shutil.rmtree(folder, ignore_errors=True)


def carry_map(task: CarryTask, number: int) -> Outcome:
    """Carry a map of the input to the target; the unit of work of a run."""
    if task.threads is not None:
        use_threads(task.threads)
    source = open_once(task.path, task.variable)
    ground = _load_ground(task.folder, (task.folder / "reach.npy").stat().st_mtime)
    content = source.read(number)
    if task.fill is not None:
        return _carry_classes(task, ground, source.variable, content.values)
    missing = _find_code(source.flag_attributes, "not_filled")
    day = carry_day(
        ground.weights,
        task.grid.shape,
        content.values,
        smallest_share=task.smallest_share,
        flags=content.flags,
        days=content.days,
        errors=content.errors,
        missing_flag=missing,
    )
    day = _leave_land_empty(day, ground.ocean, _find_code(source.flag_attributes, "land"))
    has_value = ~np.isnan(day.values)
    values = np.nan_to_num(content.values.astype(np.float64)).ravel()
    share = np.nan_to_num(day.share.astype(np.float64)) * ground.weights.room.reshape(task.grid.shape)
    after = float((np.nan_to_num(day.values.astype(np.float64)) * share).sum())
    counts = count_cells(day, ground.surface, ground.ocean)
    if task.packing is None:
        stored: dict[str, Any] = store_field_day(source, day)
    else:
        stored = pack_maps(store_cube_day(day), task.packing)
    valued = float(has_value.sum() / max(1, ground.ocean.sum()))
    return Outcome(stored, counts, valued, float(values @ ground.reach), after)


def _find_code(attributes: dict[str, Any] | None, meaning: str) -> int:
    """Find the code of a flag; of a file without it the largest that it does not use."""
    codes = {} if attributes is None else read_flag_values(attributes)
    return codes.get(meaning, max(set(range(256)) - set(codes.values()), default=255))


def _leave_land_empty(day: CarriedDay, ocean: np.ndarray, code: int) -> CarriedDay:
    """Take the values off cells that are mostly land, as cubes have none there."""
    land = ~ocean
    day.values[land] = np.nan
    for part, nothing in ((day.flags, code), (day.days, 0), (day.errors, np.nan)):
        if part is not None:
            part[land] = nothing
    return day


def _carry_classes(task: CarryTask, ground: _Ground, name: str, values: np.ndarray) -> Outcome:
    assert task.fill is not None
    counts = np.diff(ground.weights.indptr)
    has_cell = counts > 0
    numbers = np.where(np.isnan(values), task.fill, values) if values.dtype.kind == "f" else values
    stored = np.full(counts.size, task.fill, _choose_dtype(values))
    stored[has_cell] = numbers.ravel()[ground.weights.indices[ground.weights.indptr[:-1][has_cell]]]
    return Outcome({name: stored.reshape(task.grid.shape)}, {}, float(has_cell.mean()), 0.0, 0.0)


def _choose_dtype(values: np.ndarray) -> np.dtype:
    return values.dtype if values.dtype.kind in "iu" else np.dtype(np.int16)


def choose_class_fill(source: Source) -> tuple[np.dtype, int]:
    """Choose type and missing number of classes: a number that no class has."""
    dtype = _choose_dtype(source.read(0).values)
    used = {
        int(v)
        for n in ("flag_values", "flag_masks")
        for v in np.atleast_1d(source.attributes.get(n, ()))
    }
    if "flag_masks" in source.attributes:  # any sum of the bits may occur
        used |= set(range(sum(used) + 1))
    highest = np.iinfo(dtype).max
    free = next((n for n in range(highest, highest - 300, -1) if n not in used), None)
    if free is None:
        raise InputError(
            f"{source.path}: the numbers of {source.variable} leave none for missing cells; choose "
            "another --variable"
        )
    return dtype, free


def carry_maps(
    task: CarryTask,
    numbers: range,
    engine: Engine,
    periods: np.ndarray | None,
    receive: Callable[[int, Outcome], None],
) -> list[Outcome]:
    """Carry maps with the workers of an engine; ``receive`` gets each, with its position, as it comes.

    Returns
    -------
    list of Outcome
        In the order of the maps, without what is stored.
    """
    outcomes: dict[int, Outcome] = {}
    with (
        Progress(total=len(numbers), label="maps", logger=logger) as progress,
        engine.start() as workers,
    ):

        def take(i: int, outcome: Outcome) -> None:
            receive(i, outcome)
            outcomes[i] = outcome._replace(stored={})
            name = "map" if periods is None else str(from_day_number(int(periods[numbers[i], 0])))
            progress.unit(f"{name} {100 * outcome.valued:.1f} % of the cells have a value")

        workers.do(carry_map, [(task, number) for number in numbers], take)
    return [outcomes[i] for i in range(len(numbers))]


def describe_output(
    source: Source,
    grid: Grid,
    parameters: dict[str, Any],
    kind: str,
    dates: list[date],
) -> dict[str, Any]:
    """Describe a regridded file by global attributes; what the input says of its data is kept."""
    before = {
        name: value
        for name, value in source.file_attributes.items()
        if not name.startswith(("geospatial_", "date_", "time_coverage_")) and name not in _DROPPED
    }
    title = str(before.get("title", source.path.name))
    described = cf.describe_file(
        title=f"{title}, on the grid {describe_grid(grid)}",
        summary=f"{source.variable} of {source.path.name} on another grid; valid_share tells how much "
        "of a cell had a value",
        source=str(before.get("source", source.path.name)),
        stage="regrid",
        parameters=parameters,
        references=str(before.get("references", "see the input file")),
        call={"input_file": source.path},
        grid=grid,
        processing_level=str(before.get("processing_level", "Level 4")),
    )
    described[cf.KIND_ATTRIBUTE] = kind
    described["input"] = source.path.name
    earlier = str(source.file_attributes.get("comment", ""))
    described["comment"] = f"{COMMENT} {earlier}".strip()
    if dates:
        described["time_coverage_start"] = f"{dates[0]}T00:00:00Z"
        described["time_coverage_end"] = f"{dates[-1]}T23:59:59Z"
    described["regridding"] = (
        f"{parameters['method']} from {source.grid} ({source.grid.projection}) to {grid} "
        f"({grid.projection})"
    )
    return before | cf.add_history(described, str(source.file_attributes.get("history", "")))


_DROPPED = ("history", "halo_inputs", "grid_id", "parameters", "_NCProperties", "title", "summary")


def make_packing(path: Path, grid: Grid) -> Packing:
    """Make the packing of a cube on a grid."""
    return Packing(_COMPRESSION, path.suffix == ".zarr", grid.shape, cf.choose_chunk_shape(grid.shape))
