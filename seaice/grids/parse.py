"""A grid as a text: an id, an EPSG code with cell size and edges, or a file to take it from."""

from __future__ import annotations

import re
from pathlib import Path

from seaice import InputError
from seaice.grids.file import read_file_grid
from seaice.grids.grid import Grid
from seaice.grids.projection import check_projection, is_latitude_longitude, read_crs
from seaice.grids.registry import (
    get_grid,
    list_grid_ids,
    make_geographic_grid,
    name_grid,
    recognise_grid,
)

_NUMBER = r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*"
_PATTERN = re.compile(rf"EPSG:(\d+):{_NUMBER}:{','.join([_NUMBER] * 4)}", re.IGNORECASE)
FORM = "EPSG:CODE:STEP:WEST,SOUTH,EAST,NORTH"


def parse_grid(text: str) -> Grid:
    """Parse the text of an option that names a grid.

    Parameters
    ----------
    text : str
        The id of a registered grid; ``EPSG:CODE:STEP:WEST,SOUTH,EAST,NORTH`` with the side of a cell and
        the outer edges in the units of the projection (metres, or degrees); or the path of a NetCDF
        file, Zarr group or GeoTIFF whose grid is taken.

    Raises
    ------
    InputError
        If it is none of these, or the edges are not a whole number of cells apart.

    Examples
    --------
    >>> str(parse_grid("EPSG:3413:25000:-3850000,-5350000,3750000,5850000"))
    'n25000 (448 x 304 cells of 25 km)'
    >>> str(parse_grid("EPSG:4326:0.25:-180,-90,180,90"))
    'epsg4326_0.25 (720 x 1440 cells of 0.25 degrees)'
    """
    text = str(text).strip()
    if text in list_grid_ids():
        return get_grid(text)
    match = _PATTERN.fullmatch(text)
    if match is not None:
        try:
            step, west, south, east, north = (float(number) for number in match.groups()[1:])
        except ValueError:
            raise InputError(f"expected {FORM}, found {text!r}") from None
        return _make_grid(int(match[1]), step, west, south, east, north)
    path = Path(text)
    if path.exists():
        return read_file_grid(path)
    if text.upper().startswith("EPSG:"):
        raise InputError(f"expected {FORM}, found {text!r}")
    if path.suffix and not path.suffix[1:].isdigit():
        raise InputError(f"no such file to take the grid from: {text}")
    ids = ", ".join(list_grid_ids())
    raise InputError(f"unknown grid {text!r}; expected one of {ids}, {FORM}, or a file with a grid")


def describe_grid(grid: Grid) -> str:
    """Describe a grid as the text from which :func:`parse_grid` makes it, where it has an EPSG code.

    Examples
    --------
    >>> describe_grid(get_grid("n25000")), describe_grid(get_grid("n25000").crop(slice(2), slice(3)))
    ('n25000', 'EPSG:3411:25000:-3850000,-5350000,-3775000,-5300000')
    """
    if grid.id in list_grid_ids() and get_grid(grid.id) == grid:
        return grid.id
    west, east, south, north = grid.extent
    edges = ",".join(f"{edge:.12g}" for edge in (west, south, east, north))
    return f"{grid.projection}:{grid.step:.12g}:{edges}"


def _make_grid(code: int, step: float, west: float, south: float, east: float, north: float) -> Grid:
    from pyproj.exceptions import CRSError

    projection = f"EPSG:{code}"
    try:
        check_projection(read_crs(projection))
    except CRSError:
        raise InputError(f"{projection}: PROJ knows no such code; see https://epsg.io") from None
    if not step > 0:
        raise InputError(f"expected a cell size above 0, found {step:g}")
    is_geographic = is_latitude_longitude(projection)
    if is_geographic and east <= west:
        east += 360  # across 180 degrees
    columns = _count_cells(west, east, step, ("west", "east"))
    rows = _count_cells(south, north, step, ("south", "north"))
    if is_geographic:
        return make_geographic_grid(rows, columns, step, west, south, projection)
    grid = Grid("custom", rows, columns, step, west, south, projection)
    # A registered grid, if it has these cells: the same that is read from a file of it.
    return (
        recognise_grid(grid.x, grid.y, {"epsg_code": projection})
        if min(grid.shape) > 1
        else name_grid(grid)
    )


def _count_cells(low: float, high: float, step: float, names: tuple[str, str]) -> int:
    """Count the cells between two edges; InputError unless it is a whole number of them."""
    if not high > low:
        raise InputError(f"expected {names[0]} below {names[1]}, found {low:g} and {high:g}")
    count = (high - low) / step
    cells = round(count)
    if cells >= 1 and abs(count - cells) <= 1e-6:
        return cells
    fewer, more = int(count), int(count) + 1
    nearest = " or ".join(f"{low + n * step:.12g}" for n in (fewer, more) if n > 0)
    raise InputError(
        f"the edges {names[0]} {low:.12g} and {names[1]} {high:.12g} lie {count:.6g} cells of {step:g} "
        f"apart, not a whole number; the nearest {names[1]} edge is {nearest}"
    )
