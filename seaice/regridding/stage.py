"""The stage: a cube or field on another grid, or its values at points."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError, cf
from seaice.cube.existing import check_output
from seaice.cube.file import CubeFile
from seaice.cube.target import container_of
from seaice.cube.zarr import encode_fill_value, make_plain
from seaice.dates import from_day_number
from seaice.grids import Grid, describe_grid, parse_grid
from seaice.open_file.address import Place, locate
from seaice.regridding.maps import (
    CarryTask,
    Outcome,
    carry_maps,
    choose_class_fill,
    describe_output,
    make_packing,
    prepare_ground,
)
from seaice.regridding.output import LAND_SHARE, VALID_SHARE, fill_floats, list_field_rows
from seaice.regridding.sample import sample_file
from seaice.regridding.source import CubeSource, Source, open_source, select_maps
from seaice.regridding.weights import METHODS
from seaice.report import Report, format_count
from seaice.runtime.atomic_write import atomic, exclusive
from seaice.runtime.output_checks import resolve_links
from seaice.runtime.workers import Engine

_TEXTS = ("day_reason", "input_file", "input_sha256")


def regrid(
    *,
    input_file: Path,
    output_file: Path,
    grid: str | None = None,
    points: Path | None = None,
    method: str | None = None,
    variable: str | None = None,
    start_date: date | None = None,
    end_date: date | None = None,
    smallest_share: float = 0.5,
    smallest_ocean_share: float = 0.5,
    workers: int = 1,
) -> Report:
    """Write a cube or a field on another grid, or its values at points.

    Parameters
    ----------
    input_file : Path
        Cube of ``consolidate_data.py``, or any field on a grid of square cells; or the address of a
        Zarr group.
    output_file : Path
        NetCDF or Zarr (``.zarr``); for points a table (``.csv``) or NetCDF.
    grid : str, optional
        The grid to write, see :func:`seaice.grids.parse.parse_grid`. Either this or ``points``.
    points : Path, optional
        Table or NetCDF file of times and positions.
    method : {"conservative", "nearest", "bilinear"}, optional
        By default conservative; nearest for classes and at points.
    variable : str, optional
        Variable of a field file that holds several.
    start_date, end_date : date, optional
        First and last day; by default those of the input.
    smallest_share : float
        A cell, or a point between cells, has a value where at least so much of what is not land had one.
    smallest_ocean_share : float
        A cell is ocean where at least so much of it is. With 0 here and for ``smallest_share`` no value
        of the input is lost, and coasts are broader.
    workers : int
        Processes that share the maps; the result does not depend on them.

    Returns
    -------
    Report
        ``values`` has ``cells``, ``days`` and the area sums of a regridded file, or the counts of points
        by reason.

    Raises
    ------
    InputError
        If the input holds no such field, the grids do not meet, or the points have no time or position.
    """
    if (grid is None) == (points is None):
        raise InputError("expected either --grid or --points, found " + ("both" if grid else "neither"))
    if method is not None and method not in METHODS:
        raise InputError(f"expected a method out of {', '.join(METHODS)}, found {method!r}")
    output_file = Path(output_file)
    source = open_source(input_file, variable)
    try:
        _check_apart(output_file, source.path, points, grid)
        if points is not None:
            return sample_file(
                source, points, output_file, method or "nearest", start_date, end_date, smallest_share
            )
        assert grid is not None
        check_output(output_file, None)
        target, engine = parse_grid(grid), Engine(workers)
        chosen = _choose_method(source, method)
        numbers = select_maps(source, start_date, end_date)
        parameters = {
            "method": chosen,
            "grid": describe_grid(target),
            "smallest_share": smallest_share,
            "smallest_ocean_share": smallest_ocean_share,
            "input": source.path.name,
        }
        task = CarryTask(locate(input_file), variable, Path(), target, smallest_share, None)
        kind = "cube" if isinstance(source, CubeSource) else "regridded field"
        with exclusive(output_file, kind=kind):
            if isinstance(source, CubeSource):
                outcomes = _write_cube(source, output_file, task, numbers, engine, parameters)
            else:
                outcomes = _write_field(source, output_file, task, numbers, engine, parameters)
        return _report(source, output_file, target, outcomes, chosen)
    finally:
        source.close()


def _check_apart(output_file: Path, *inputs: Place | str | None) -> None:
    for place in inputs:
        # A grid is a name or a file.
        path = Path(place) if isinstance(place, str) else place
        if isinstance(path, Path) and resolve_links(path) == resolve_links(output_file):
            raise InputError(f"the output would replace an input: {output_file}; choose another name")


def _choose_method(source: Source, method: str | None) -> str:
    if not source.is_classes:
        return method or "conservative"
    if method not in (None, "nearest"):
        raise InputError(
            f"{source.variable} of {source.path} holds classes, of which there is no mean; leave out "
            "--method, or say nearest"
        )
    return "nearest"


def _write_cube(
    source: CubeSource, output_file: Path, task: CarryTask, numbers: range, engine: Engine,
    parameters: dict[str, Any],
) -> list[Outcome]:  # fmt: skip
    cube, container, grid = source.cube, container_of(output_file), task.grid
    dates = [cube.dates[number] for number in numbers]
    packing = make_packing(output_file, grid)
    with (
        prepare_ground(
            output_file, source, grid, parameters["method"], parameters["smallest_ocean_share"]
        ) as (folder, surface, land),
        atomic(
            output_file, verify=lambda path: _verify(path, dates), locked=True, checksum=True
        ) as part,
    ):
        container.create(
            part,
            start=dates[0],
            days=len(dates),
            grid=grid,
            surface=surface,
            lat_lon=cube.has("lat"),
            attributes=describe_output(source, grid, parameters, "cube", dates),
            compression=packing.compression,
            further=(VALID_SHARE, LAND_SHARE),
        )
        task = replace(task, folder=folder, packing=packing, threads=engine.threads)
        with container.Cube(part) as out:
            out.put_map("land_share", fill_floats(land))
            outcomes = carry_maps(
                task, numbers, engine, source.periods, lambda i, day: out.put_day(i, day.stored)
            )
            out.put_table(0, _make_table(cube, numbers, outcomes))
    return outcomes


def _make_table(cube: CubeFile, numbers: range, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Make the per-day variables of a cube: counts of its cells, the rest as in the input."""
    names = list(outcomes[0].counts)
    table: dict[str, Any] = {
        name: np.array([outcome.counts[name] for outcome in outcomes], np.int32) for name in names
    }
    if cube.has("day_status"):
        table["day_status"] = np.asarray(cube.variable("day_status"))[numbers.start : numbers.stop]
    for name in _TEXTS:
        if cube.has(name):
            table[name] = cube.texts(name)[numbers.start : numbers.stop]
    return table


def _verify(path: Path, dates: list[date]) -> None:
    with CubeFile(path, only_cube=True) as cube:
        if cube.dates != dates:
            raise OSError(f"the file just written does not hold every day: {path}")
        cube.concentration(-1)


def _write_field(
    source: Source, output_file: Path, task: CarryTask, numbers: range, engine: Engine,
    parameters: dict[str, Any],
) -> list[Outcome]:  # fmt: skip
    grid, periods = task.grid, source.periods
    dtype, fill = choose_class_fill(source) if source.is_classes else (np.dtype(np.float32), None)
    rows = list_field_rows(source, dtype, fill)
    chosen = None if periods is None else periods[numbers.start : numbers.stop]
    dates = [] if chosen is None else [from_day_number(int(n)) for n in (chosen.min(), chosen.max())]
    attributes = describe_output(source, grid, parameters, "regridded field", dates)
    create = _create_zarr if output_file.suffix == ".zarr" else _create_netcdf
    with (
        prepare_ground(
            output_file, source, grid, parameters["method"], parameters["smallest_ocean_share"]
        ) as (folder, surface, land),
        atomic(output_file, locked=True, checksum=True) as part,
        create(part, grid, rows, chosen, attributes) as variables,
    ):
        for name, values in (("surface", surface), ("land_share", fill_floats(land))):
            if name in variables:
                variables[name][:] = values

        def receive(i: int, outcome: Outcome) -> None:
            for name, values in outcome.stored.items():
                variables[name][i if chosen is not None else ...] = values

        task = replace(task, folder=folder, fill=fill, threads=engine.threads)
        return carry_maps(task, numbers, engine, periods, receive)


@contextmanager
def _create_netcdf(
    path: Path,
    grid: Grid,
    rows: Sequence[cf.Variable],
    periods: np.ndarray | None,
    attributes: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    import netCDF4

    with netCDF4.Dataset(path, "w") as dataset:
        dataset.setncatts(attributes)
        if periods is not None:
            cf.write_time(dataset, periods[:, 0].astype(np.int32), periods[:, 1].astype(np.int32) + 1)
        cf.write_grid(dataset, grid)
        yield {row.name: cf.define_variable(dataset, row) for row in rows}


@contextmanager
def _create_zarr(
    path: Path,
    grid: Grid,
    rows: Sequence[cf.Variable],
    periods: np.ndarray | None,
    attributes: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    import zarr

    group = zarr.create_group(str(path), zarr_format=3, attributes={**attributes, "grid_id": grid.id})
    tile = cf.choose_chunk_shape(grid.shape)
    sizes = {"y": grid.rows, "x": grid.columns, "bnds": 2}
    sizes["time"] = 0 if periods is None else len(periods)

    def make(row: cf.Variable, values: np.ndarray | None = None, *, described: bool = True) -> Any:
        shape = tuple(sizes[name] for name in row.dimensions)
        chunks = tuple({"time": 1, "y": tile[0], "x": tile[1]}.get(name, 2) for name in row.dimensions)
        texts = cf.describe_variable(row, lat_lon=False) if described else row.attributes
        plain = {k: make_plain(v) for k, v in texts.items()}
        if row.fill_value is not None:
            plain["_FillValue"] = encode_fill_value(row.fill_value, row.dtype)
        array = group.create_array(
            row.name,
            shape=shape,
            chunks=shape if values is not None else chunks,
            dtype=row.dtype,
            fill_value=0 if row.fill_value is None else row.fill_value,
            dimension_names=row.dimensions,
            attributes=plain,
        )
        if values is not None:
            array[...] = values
        return array

    if periods is not None:
        make(cf.Variable("time", ("time",), "i4", cf.TIME_ATTRIBUTES), periods[:, 0])
        make(cf.Variable("time_bnds", ("time", "bnds"), "i4"), periods + np.array([0, 1]))
    for name, values in (("y", grid.y), ("x", grid.x)):
        make(cf.Variable(name, (name,), "f8", cf.describe_axis(name, grid)), values)
    make(cf.Variable("crs", (), "i4", cf.describe_crs(grid)), np.array(0))
    yield {row.name: make(row) for row in rows}
    with warnings.catch_warnings():
        # Not yet in the specification, hence a warning; without it xarray warns whoever reads.
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(str(path))


def _report(
    source: Source, output_file: Path, grid: Grid, outcomes: Sequence[Outcome], method: str
) -> Report:
    maps = format_count(len(outcomes), "map" if source.periods is None else "day")
    valued = float(np.mean([outcome.valued for outcome in outcomes]))
    lines = [
        f"{source.variable}: {maps} from {source.grid} to {grid}, {method}",
        f"{100 * valued:.2f} % of the cells that count have a value, on average",
    ]
    values: dict[str, Any] = {"days": len(outcomes), "valued": valued, "method": method}
    before, after = (float(sum(getattr(o, name) for o in outcomes)) for name in ("before", "after"))
    is_ice = source.attributes.get("standard_name") == "sea_ice_area_fraction"
    if method == "conservative" and is_ice and before > 0:
        values |= {"area_before": before / len(outcomes), "area_after": after / len(outcomes)}
        lines.append(
            f"ice area within the grid: {before / len(outcomes) / 1e6:.4f} million km2 a day, of which "
            f"{100 * after / before:.3f} % lie in cells with a value; the rest in cells that are mostly "
            "land or had too few values"
        )
    lines.append(f"wrote {output_file}")
    return Report(lines=lines, outputs=[output_file], values=values)
