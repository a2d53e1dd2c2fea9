"""Share of ice by cell of a map grid, as it lies beside a cube of daily concentration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seaice import (
    InputError,
    cf,
)
from seaice.cf import Variable
from seaice.cube.file import CubeFile
from seaice.dates import from_day_number
from seaice.gridding import BucketAccumulator, cells_of
from seaice.gridding.file import (
    FILL,
    Step,
    write_gridded,
)
from seaice.grids import Grid
from seaice.open_file import open_netcdf
from seaice.segmentation.data.labels import ICE
from seaice.segmentation.mapping.scene_map import SceneMap
from seaice.sources.ai4arctic.tables import PIXEL_METRES

ICE_EDGE = 0.15
_BAND = 128  # lines at a time
_DIMENSIONS = ("time", "y", "x")


def share_variables(names: tuple[str, ...]) -> tuple[Variable, ...]:
    """Variables of a file of ice shares; ``names`` are the layers of the map."""
    if "ice_concentration" in names:
        text = "sea ice concentration, mean of what is expected of an ice chart"
    else:
        text = "share of ice among the pixels of water and ice in the cell"
    rows = [
        Variable(
            "sea_ice_conc",
            _DIMENSIONS,
            "f4",
            {
                "standard_name": "sea_ice_area_fraction",
                "long_name": text,
                "units": "1",
                "cell_methods": "area: mean",
                "ancillary_variables": "pixel_count",
            },
            FILL,
        ),
        Variable(
            "pixel_count",
            _DIMENSIONS,
            "i4",
            {
                "long_name": "number of pixels of water and ice in the cell",
                "units": "1",
                "cell_methods": "area: sum",
            },
        ),
    ]
    if "ice_probability" in names:
        attributes = {
            "long_name": "mean probability of ice of the pixels, not calibrated",
            "units": "1",
            "cell_methods": "area: mean",
            "ancillary_variables": "pixel_count",
        }
        rows.append(Variable("probability_mean", _DIMENSIONS, "f4", attributes, FILL))
    return tuple(rows)


def share_fields(made: SceneMap, grid: Grid) -> dict[str, np.ndarray]:
    """Fields of :func:`share_variables` on a grid, shape (rows, columns); NaN without a pixel."""
    main = made.layers.get("ice_concentration")
    # Concentration is its own share; classes are counted.
    shares = (made.surface == ICE).astype(np.float32) if main is None else main
    known = np.isfinite(next(iter(made.layers.values())))
    sums = {"sea_ice_conc": (BucketAccumulator(grid), shares)}
    if "ice_probability" in made.layers:
        sums["probability_mean"] = (BucketAccumulator(grid), made.layers["ice_probability"])
    columns = np.arange(known.shape[1])[None]
    for first in range(0, known.shape[0], _BAND):
        part = slice(first, first + _BAND)
        there = known[part]
        if not there.any():
            continue
        rows = np.arange(first, first + len(there))[:, None]
        lat, lon = made.positions.at(rows, columns)
        cells = cells_of(lat[there], lon[there], grid)
        for accumulator, values in sums.values():
            accumulator.add_cells(cells, values[part][there], track="scene")
    found = {name: accumulator.result() for name, (accumulator, _) in sums.items()}
    fields = {name: buckets.field("mean") for name, buckets in found.items()}
    return fields | {"pixel_count": found["sea_ice_conc"].field("count")}


def write_share(path: Path, made: SceneMap, grid: Grid, attributes: Mapping[str, Any]) -> None:
    """Write the shares on the whole grid, the cells of a cube; the time step is the scene's day.

    Raises
    ------
    InputError
        If the scene does not lie on the grid.
    OSError
        If the file cannot be written.
    """
    fields = share_fields(made, grid)
    if not fields["pixel_count"].any():
        raise InputError(
            f"expected pixels on the grid {grid}, found none; choose another --ice_share_grid"
        )
    day = made.start.date()
    write_gridded(
        path,
        grid=grid,
        steps=[Step(day, day)],
        variables=share_variables(tuple(made.layers)),
        fields=lambda number: fields,
        attributes={**attributes, "time_coverage_start": f"{made.start:%Y-%m-%dT%H:%M:%SZ}"},
    )


def grid_of_cube(path: Path) -> Grid:
    """Grid of a cube."""
    with CubeFile(path) as cube:
        return cube.grid


def compare_with_cube(share_file: Path, cube_file: Path, *, least: float = 0.5) -> dict[str, Any]:
    """Shares of ice beside the concentration that a cube has for the day.

    Parameters
    ----------
    share_file : Path
        From :func:`write_share`.
    cube_file : Path
        Of ``consolidate_data.py``, on the same cells.
    least : float
        Part of a cell that pixels of water and ice must cover.

    Returns
    -------
    dict
        ``day``, ``cells`` compared, ``filled`` (cells among them that no sensor saw that day),
        ``difference_mean`` and ``rmse`` (scene minus cube, fractions), ``agreement`` (share of the
        cells that are on the same side of 15 percent). None where no cell is compared.

    Raises
    ------
    InputError
        If the grids differ or the cube does not have the day.
    """
    with open_netcdf(share_file) as dataset:
        grid = cf.read_grid(dataset)
        share = np.ma.filled(dataset["sea_ice_conc"][0].astype(np.float32), np.nan)
        count = np.asarray(dataset["pixel_count"][0])
        day = from_day_number(int(dataset["time"][0]))
    with CubeFile(cube_file) as cube:
        if not cube.grid.same_cells(grid):
            raise InputError(
                f"expected the cells of {cube_file} ({cube.grid}), found {grid} in {share_file}; "
                "leave --ice_share_grid out"
            )
        number = cube.index(day)
        other = cube.concentration(number)
        observed = cube.flags(number) == cube.flag_value("observed")
    both = np.isfinite(share) & np.isfinite(other)
    both &= count >= least * (grid.step / PIXEL_METRES) ** 2
    cells = int(both.sum())
    found: dict[str, Any] = {"day": str(day), "cells": cells, "filled": int((both & ~observed).sum())}
    if not cells:
        return found | dict.fromkeys(("difference_mean", "rmse", "agreement"))
    difference = share[both].astype(np.float64) - other[both]
    same = (share[both] >= ICE_EDGE) == (other[both] >= ICE_EDGE)
    return found | {
        "difference_mean": float(difference.mean()),
        "rmse": float(np.sqrt((difference**2).mean())),
        "agreement": float(same.mean()),
    }
