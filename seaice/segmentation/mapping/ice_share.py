"""Share of ice in the cells of a grid, for comparison with a cube of daily concentration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seaice import (
    InputError,
    cf,
)
from seaice.cf import ICE_EDGE, Variable
from seaice.cube.file import CubeFile
from seaice.dates import format_timestamp, from_day_number
from seaice.gridding import BucketAccumulator, locate_cells
from seaice.gridding.file import (
    FILL,
    TimeStep,
    write_gridded,
)
from seaice.grids import Grid
from seaice.open_file import open_netcdf
from seaice.segmentation.data.labels import ICE, WATER
from seaice.segmentation.mapping.scene_map import SceneMap
from seaice.sources.ai4arctic.tables import PIXEL_METRES

_BAND = 128  # lines at a time
_DIMENSIONS = ("time", "y", "x")


def define_variables(scene_map: SceneMap) -> tuple[Variable, ...]:
    """Define the variables of a file of ice shares by the layers of the map."""
    names = tuple(scene_map.layers)
    if "ice_concentration" in names:
        text = "sea ice concentration, mean of what is expected of an ice chart"
    else:
        text = "share of ice among the pixels of water and ice in the cell"
    variables = [
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
            "long_name": "mean probability of ice of the pixels, "
            + ("calibrated on validation scenes" if scene_map.calibrated else "not calibrated"),
            "units": "1",
            "cell_methods": "area: mean",
            "ancillary_variables": "pixel_count",
        }
        variables.append(Variable("probability_mean", _DIMENSIONS, "f4", attributes, FILL))
    return tuple(variables)


def compute_fields(scene_map: SceneMap, grid: Grid) -> dict[str, np.ndarray]:
    """Average the pixels of a scene in the cells of a grid.

    Returns
    -------
    dict of str to ndarray, shape (rows, columns)
        Fields by name, see :func:`define_variables`; NaN in a cell without a pixel of water or ice.
    """
    concentration = scene_map.layers.get("ice_concentration")
    # The mean of concentrations is the share of ice; without them pixels of ice are counted.
    is_ice = scene_map.surface == ICE
    shares = is_ice.astype(np.float32) if concentration is None else concentration
    has_value = (scene_map.surface == WATER) | is_ice
    sums = {"sea_ice_conc": (BucketAccumulator(grid), shares)}
    if "ice_probability" in scene_map.layers:
        sums["probability_mean"] = (BucketAccumulator(grid), scene_map.layers["ice_probability"])
    columns = np.arange(has_value.shape[1])[None]
    for first in range(0, has_value.shape[0], _BAND):
        band = slice(first, first + _BAND)
        selection = has_value[band]
        if not selection.any():
            continue
        rows = np.arange(first, first + len(selection))[:, None]
        latitude, longitude = scene_map.positions.interpolate(rows, columns)
        cells = locate_cells(latitude[selection], longitude[selection], grid)
        for accumulator, values in sums.values():
            accumulator.add_cells(cells, values[band][selection], track="scene")
    buckets = {name: accumulator.get_buckets() for name, (accumulator, _) in sums.items()}
    fields = {name: bucket.make_field("mean") for name, bucket in buckets.items()}
    return fields | {"pixel_count": buckets["sea_ice_conc"].make_field("count")}


def write_ice_share(path: Path, scene_map: SceneMap, grid: Grid, attributes: Mapping[str, Any]) -> None:
    """Write the shares of ice in all cells of a grid; the time step is the day of the scene.

    Raises
    ------
    InputError
        If the scene does not lie on the grid.
    OSError
        If the file cannot be written.
    """
    fields = compute_fields(scene_map, grid)
    if not fields["pixel_count"].any():
        raise InputError(
            f"expected pixels on the grid {grid}, found none; choose another --ice_share_grid"
        )
    day = scene_map.start.date()
    write_gridded(
        path,
        grid=grid,
        steps=[TimeStep(day, day)],
        variables=define_variables(scene_map),
        fields=lambda number: fields,
        attributes={**attributes, "time_coverage_start": format_timestamp(scene_map.start)},
    )


def read_cube_grid(path: Path) -> Grid:
    """Read the grid of a cube."""
    with CubeFile(path) as cube:
        return cube.grid


def compare_with_cube(share_file: Path, cube_file: Path, *, least: float = 0.5) -> dict[str, Any]:
    """Compare shares of ice with the concentration of a cube on the same day.

    Parameters
    ----------
    share_file : Path
        File of :func:`write_ice_share`.
    cube_file : Path
        Cube of ``consolidate_data.py``, on the same cells.
    least : float
        Least part of a cell that pixels of water and ice must cover.

    Returns
    -------
    dict
        ``day``; number of ``cells`` compared; ``filled``, the number of those that the cube has not
        observed that day; ``difference_mean`` and ``rmse`` of scene minus cube, fractions;
        ``agreement``, the share of the cells that are on the same side of 15 percent. The last three
        are None where no cell is compared.

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
        concentration = cube.concentration(number)
        observed = cube.flags(number) == cube.flag_value("observed")
    compared = np.isfinite(share) & np.isfinite(concentration)
    compared &= count >= least * (1000 * grid.kilometres / PIXEL_METRES) ** 2
    cells, filled = int(compared.sum()), int((compared & ~observed).sum())
    comparison: dict[str, Any] = {"day": str(day), "cells": cells, "filled": filled}
    if not cells:
        return comparison | dict.fromkeys(("difference_mean", "rmse", "agreement"))
    difference = share[compared].astype(np.float64) - concentration[compared]
    agrees = (share[compared] >= ICE_EDGE) == (concentration[compared] >= ICE_EDGE)
    return comparison | {
        "difference_mean": float(difference.mean()),
        "rmse": float(np.sqrt((difference**2).mean())),
        "agreement": float(agrees.mean()),
    }
