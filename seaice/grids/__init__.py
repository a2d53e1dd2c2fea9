"""Grids: shape, map projection, cell centres and cell areas, and their CF attributes.

A grid is registered (:func:`get_grid`), described by an EPSG code, cell size and edges
(:func:`parse_grid`), or read from a file (:func:`read_file_grid`). Row 0 is always the smallest y, as
in the University of Bremen files.
"""

from seaice.grids.file import find_layout, read_file_grid
from seaice.grids.grid import Grid, Hemisphere, Units
from seaice.grids.layout import (
    CellLayout,
    Coordinate,
    convert_to_metres,
    read_layout,
    read_metres,
    recognise_layout,
)
from seaice.grids.parse import describe_grid, parse_grid
from seaice.grids.registry import get_grid, list_grid_ids, recognise_grid

__all__ = [
    "CellLayout",
    "Coordinate",
    "Grid",
    "Hemisphere",
    "Units",
    "convert_to_metres",
    "describe_grid",
    "find_layout",
    "get_grid",
    "list_grid_ids",
    "parse_grid",
    "read_file_grid",
    "read_layout",
    "read_metres",
    "recognise_grid",
    "recognise_layout",
]
