"""The grid of a file: NetCDF, HDF5, Zarr or GeoTIFF of any program that describes its cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.grids.geotiff import read_geotiff_layout
from seaice.grids.grid import Grid
from seaice.grids.layout import CellLayout, Coordinate, read_layout
from seaice.grids.projection import is_grid_mapping
from seaice.open_file import explain_damage, open_netcdf, open_zarr

# Names and standard names of the coordinates along columns and along rows, projected ones first.
_PAIRS = (
    (
        {"projection_x_coordinate", "x", "xc", "xgrid", "projection_x", "easting"},
        {"projection_y_coordinate", "y", "yc", "ygrid", "projection_y", "northing"},
    ),
    ({"longitude", "lon", "degrees_east"}, {"latitude", "lat", "degrees_north"}),
)
_GEOTIFF = (".tif", ".tiff")


def read_file_grid(path: Path) -> Grid:
    """Read the grid of a file.

    Parameters
    ----------
    path : Path
        NetCDF (a daily product, a cube, a mask, a field), a Zarr group, or GeoTIFF.

    Raises
    ------
    InputError
        If the file cannot be read, names no coordinates, or its cells are none of a
        :class:`~seaice.grids.grid.Grid`.
    """
    try:
        if path.suffix.lower() in _GEOTIFF:
            return read_geotiff_layout(path).grid
        if path.is_dir():
            return _read_zarr(path).grid
        with open_netcdf(path) as dataset:
            attributes = {
                name: {key: variable.getncattr(key) for key in variable.ncattrs()}
                for name, variable in dataset.variables.items()
            }
            dimensions = {name: variable.dimensions for name, variable in dataset.variables.items()}
            with explain_damage(path, "NetCDF"):
                return find_layout(
                    attributes, dimensions, lambda name: np.asarray(dataset.variables[name][:])
                ).grid
    except InputError as error:
        if str(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from None


def _read_zarr(path: Path) -> CellLayout:
    for version in (3, 2):
        if (path / ("zarr.json" if version == 3 else ".zgroup")).is_file():
            group = open_zarr(path, zarr_format=version)  # type: ignore[arg-type]
            break
    else:
        raise InputError(f"expected a file with a grid, or a Zarr group, found the folder {path}")
    with explain_damage(path, "Zarr"):
        arrays = dict(group.arrays())
        attributes = {name: dict(array.attrs) for name, array in arrays.items()}
        dimensions = {}
        for name, array in arrays.items():
            names: Any = getattr(array.metadata, "dimension_names", None)
            names = names or attributes[name].get("_ARRAY_DIMENSIONS", ())
            dimensions[name] = tuple(map(str, names))
        return find_layout(attributes, dimensions, lambda name: np.asarray(arrays[name][...]))


def find_layout(
    attributes: Mapping[str, Mapping[str, Any]],
    dimensions: Mapping[str, tuple[str, ...]],
    read: Callable[[str], np.ndarray],
) -> CellLayout:
    """Find the coordinates and the grid mapping among the variables of a file.

    Coordinates are recognised by their standard name, name or units; the grid mapping is the one that
    a variable on these coordinates names, else any that describes a projection.

    Parameters
    ----------
    attributes : mapping of str to mapping
        Attributes of every variable.
    dimensions : mapping of str to tuple of str
        Dimensions of every variable.
    read : callable
        ``read(name)`` returns the values of a variable.

    Raises
    ------
    InputError
        If there are none; see also :func:`seaice.grids.layout.read_layout`.
    """
    for names in _PAIRS:
        x, y = (_find_coordinate(choices, attributes, dimensions) for choices in names)
        if x is not None and y is not None:
            mapping = _find_mapping(attributes, dimensions, {*dimensions[x], *dimensions[y]})
            columns, rows = (Coordinate(name, read(name), attributes[name]) for name in (x, y))
            return read_layout(columns, rows, mapping)
    names_in_file = ", ".join(list(attributes)[:8]) or "nothing"
    raise InputError(
        "expected coordinates along rows and columns (x and y, or longitude and latitude with one "
        f"dimension each), found {names_in_file}"
    )


def _find_coordinate(
    names: set[str],
    attributes: Mapping[str, Mapping[str, Any]],
    dimensions: Mapping[str, tuple[str, ...]],
) -> str | None:
    for name, described in attributes.items():
        words = {str(described.get(key, "")).lower() for key in ("standard_name", "units")}
        if len(dimensions[name]) == 1 and not names.isdisjoint({name.lower(), *words}):
            return name
    return None


def _find_mapping(
    attributes: Mapping[str, Mapping[str, Any]],
    dimensions: Mapping[str, tuple[str, ...]],
    gridded: set[str],
) -> Mapping[str, Any] | None:
    for name, described in attributes.items():
        if gridded <= set(dimensions[name]):
            # The extended form of CF is «crs: x y».
            mapping = str(described.get("grid_mapping", "")).partition(":")[0].strip()
            if mapping in attributes:
                return attributes[mapping]
    return next((described for described in attributes.values() if is_grid_mapping(described)), None)
