"""Registered grids, and recognising a grid by its coordinates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from seaice import InputError
from seaice.grids.grid import Grid
from seaice.grids.projection import (
    describe_projection,
    is_latitude_longitude,
    lie_alike,
    list_projections,
)

# First part of a grid id: EPSG code, then the west, south, east and north edge in metres. The
# outer edges are the same for every cell size. Polar stereographic: NSIDC, Hughes 1980
# ellipsoid, as in the Bremen files. EASE-Grid 2.0: Brodzik et al. 2012, doi:10.3390/ijgi1010032;
# osisafn and osisafs are the middle of it, on which OSI SAF and ESA CCI give their climate records.
_FAMILIES: dict[str, tuple[int, float, float, float, float]] = {
    "n": (3411, -3_850_000, -5_350_000, 3_750_000, 5_850_000),
    "s": (3412, -3_950_000, -3_950_000, 3_950_000, 4_350_000),
    "ease2n": (6931, -9_000_000, -9_000_000, 9_000_000, 9_000_000),
    "ease2s": (6932, -9_000_000, -9_000_000, 9_000_000, 9_000_000),
    "osisafn": (6931, -5_400_000, -5_400_000, 5_400_000, 5_400_000),
    "osisafs": (6932, -5_400_000, -5_400_000, 5_400_000, 5_400_000),
}
# Second part of a grid id: the cell sizes of every family, metres.
_STEPS: dict[str, tuple[int, ...]] = {
    "n": (3125, 6250, 10000, 12500, 25000),
    "s": (3125, 6250, 10000, 12500, 25000),
    "ease2n": (6250, 12500, 25000),
    "ease2s": (6250, 12500, 25000),
    "osisafn": (12500, 25000, 50000),
    "osisafs": (12500, 25000, 50000),
}


def list_grid_ids() -> list[str]:
    """List the ids of all registered grids."""
    return [f"{family}{step}" for family, steps in _STEPS.items() for step in steps]


def get_grid(grid_id: str) -> Grid:
    """Return the registered grid with an id.

    Raises
    ------
    InputError
        If no registered grid has this id; the message lists all ids.
    """
    match = re.fullmatch(rf"({'|'.join(_FAMILIES)})(\d+)", grid_id)
    if match is None or int(match[2]) not in _STEPS[match[1]]:
        raise InputError(f"unknown grid {grid_id!r}; expected one of {', '.join(list_grid_ids())}")
    code, west, south, east, north = _FAMILIES[match[1]]
    step = float(match[2])
    return Grid(
        id=grid_id,
        rows=round((north - south) / step),
        columns=round((east - west) / step),
        step=step,
        west=west,
        south=south,
        projection=f"EPSG:{code}",
    )


def recognise_grid(x: np.ndarray, y: np.ndarray, attributes: Mapping[str, Any] | None = None) -> Grid:
    """Recognise a grid by its coordinates.

    Parameters
    ----------
    x, y : ndarray
        Cell-centre coordinates in metres, or in degrees where the attributes are those of latitude
        and longitude; ascending and evenly spaced.
    attributes : mapping, optional
        Attributes of the grid-mapping variable of the file, in any spelling: ``crs_wkt`` or
        ``spatial_ref``, ``srid``, ``proj4text``, or the parameters of CF. Where they disagree, that one
        is taken with which the cells are those of a registered grid, else the first of these.
        Without them a grid is accepted only if its cells are those of a registered one.

    Returns
    -------
    Grid
        The registered grid with these cells (with the projection of the file where that
        differs), else a grid with an id such as ``epsg3413_25000``, or ``custom`` without an EPSG code.

    Raises
    ------
    InputError
        If the coordinates are not evenly spaced and ascending, the cells are not square, or
        the projection is not given and cannot be told from the coordinates.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    projections = list_projections(attributes) if attributes else iter(())
    first = next(projections, None)
    if first is not None and is_latitude_longitude(first):
        return _make_geographic_grid(x, y, first)
    step = _measure_spacing(x, "x")
    step_y = _measure_spacing(y, "y")
    if abs(step_y - step) > 1e-6 * step:
        raise InputError(f"cells are not square: {step:g} m in x, {step_y:g} m in y")
    west, south = float(x[0]) - step / 2, float(y[0]) - step / 2
    grid = Grid("custom", y.size, x.size, step, west, south, first or "EPSG:3411")
    return _search_registered(grid, first, projections) or _name_or_refuse(grid, first)


def _search_registered(grid: Grid, first: str | None, further: Iterator[str]) -> Grid | None:
    """Search the one registered grid with the cells of a grid; None if there is none or several."""
    same_shape = [registered for i in list_grid_ids() if (registered := get_grid(i)).shape == grid.shape]
    if not same_shape:
        return None
    projections = [first] if first is None else [first, *further]
    for projection in projections:
        matches = []
        for registered in same_shape:
            candidate = replace(grid, projection=projection or registered.projection)
            is_alike = lie_alike(registered.projection, candidate.projection)
            if is_alike and registered.has_same_numbers(candidate):
                matches.append(replace(registered, projection=candidate.projection))
        if len(matches) == 1:
            return matches[0]
    # The edges of these grids belong to one projection. Some files of NSIDC name the meridian
    # at the top, 135 degrees, where that at the bottom is meant.
    for registered in same_shape:
        is_of_nsidc = registered.id[0] in "ns" and _point_opposite_ways(registered, grid)
        if is_of_nsidc and registered.has_same_numbers(grid):
            return registered
    return None


def _name_or_refuse(grid: Grid, projection: str | None) -> Grid:
    if projection is None:
        raise InputError(
            f"cannot tell the projection of a grid of {grid.rows} x {grid.columns} cells of "
            f"{grid.step:g} m: expected a grid-mapping variable or the cells of a registered grid"
        )
    return name_grid(grid)


def name_grid(grid: Grid) -> Grid:
    """Return a grid that is not registered with a name by its projection and cell size."""
    code = grid.projection.removeprefix("EPSG:")
    return replace(grid, id=f"epsg{code}_{grid.step:.10g}" if code.isdigit() else "custom")


def _point_opposite_ways(first: Grid, second: Grid) -> bool:
    """Whether two polar stereographic projections have opposite meridians at their top."""
    meridians = []
    for attributes in map(describe_projection, (first.projection, second.projection)):
        if attributes.get("grid_mapping_name") != "polar_stereographic":
            return False
        meridians.append(attributes["straight_vertical_longitude_from_pole"])
    return bool(abs(abs(meridians[0] - meridians[1]) % 360 - 180) < 0.01)


def _measure_spacing(values: np.ndarray, name: str) -> float:
    if values.ndim != 1 or values.size < 2:
        raise InputError(f"expected a list of {name} coordinates, found shape {values.shape}")
    steps = np.diff(values)
    step = float((values[-1] - values[0]) / (values.size - 1))
    tolerance = 1e-3 * step
    if np.isfinite(values).all() and (values == values.astype(np.float32)).all():
        # Numbers that a file holds as float32 are off by up to half of the last digit each.
        tolerance = max(tolerance, float(np.spacing(np.abs(values).max().astype(np.float32))))
    if not (np.isfinite(steps).all() and step > 0 and np.allclose(steps, step, rtol=0, atol=tolerance)):
        raise InputError(f"{name} coordinates are not ascending in even steps")
    return step


def _make_geographic_grid(longitude: np.ndarray, latitude: np.ndarray, projection: str) -> Grid:
    """Make the grid of latitude and longitude with these cell centres, degrees."""
    step = _measure_spacing(longitude, "longitude")
    step_y = _measure_spacing(latitude, "latitude")
    if abs(step_y - step) * max(longitude.size, latitude.size) > 0.02 * step:
        raise InputError(
            f"cells are not square: {step:g} degrees of longitude, {step_y:g} degrees of latitude"
        )
    # Seconds of arc, or halves of cells, where that is what a rounded number means.
    seconds = round(step * 3600) / 3600
    step = seconds if abs(step - seconds) * longitude.size < 0.01 * step else step
    west, south = (_snap(float(values[0]) - step / 2, step / 2) for values in (longitude, latitude))
    return make_geographic_grid(latitude.size, longitude.size, step, west, south, projection)


def _snap(edge: float, unit: float) -> float:
    multiple = round(edge / unit) * unit
    return multiple if abs(edge - multiple) < 1e-3 * unit else edge


def make_geographic_grid(
    rows: int, columns: int, step: float, west: float, south: float, projection: str
) -> Grid:
    """Make a grid of latitude and longitude.

    Raises
    ------
    InputError
        If cells lie beyond a pole, or the last columns are the first once more.
    """
    # Rows whose centres are the poles reach half a cell beyond them.
    north, margin = south + rows * step, 0.501 * step
    if south < -90 - margin or north > 90 + margin:
        raise InputError(f"expected latitudes from -90 to 90 degrees, found {south:g} to {north:g}")
    if columns * step > 360 + 0.01 * step:
        raise InputError(
            f"the columns reach over {columns * step:g} degrees of longitude: the last repeats the "
            "first; leave it out"
        )
    return name_grid(Grid("custom", rows, columns, step, west, south, projection))
