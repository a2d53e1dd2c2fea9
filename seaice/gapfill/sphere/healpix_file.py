"""HEALPix cells as a NetCDF file that xdggs opens as it is.

Two conventions at once: ``cell_ids`` has the attributes that xdggs reads, and no others, as it refuses
them; ``healpix_index`` holds the same numbers in the words of CF, with the grid mapping
``crs``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.gapfill.sphere.cells import (
    Cells,
    check_nside,
)
from seaice.open_file import open_netcdf
from seaice.runtime.atomic_write import atomic

_TIME = {"standard_name": "time", "units": "days since 1970-01-01", "calendar": "standard", "axis": "T"}


def write_cells(
    path: Path,
    *,
    nside: int,
    ids: np.ndarray,
    variables: Mapping[str, np.ndarray],
    days: np.ndarray,
    variable_attributes: Mapping[str, Mapping[str, Any]] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Write maps on nested HEALPix cells.

    Parameters
    ----------
    path : Path
        Appears whole or not at all.
    nside : int
        A power of two.
    ids : ndarray of int64, shape (cell,)
        Nested numbers; any part of the sphere.
    variables : mapping of str to ndarray
        Arrays by name, of shape (time, cell) or (cell,). NaN is missing.
    days : ndarray of float64, shape (time,)
        Days since 1970-01-01.
    variable_attributes : mapping of str to mapping, optional
        Attributes by variable, such as ``units`` and ``long_name``. Without them only whole numbers
        have ``units``.
    attributes : mapping, optional
        Attributes of the file.

    Raises
    ------
    InputError
        For an array of another shape, or a number that is no cell.
    """
    import netCDF4

    check_nside(nside)
    if ids.size == 0 or ids.min() < 0 or ids.max() >= 12 * nside**2:
        raise InputError(f"expected cell numbers from 0 to {12 * nside**2 - 1}, found others or none")
    for name, values in variables.items():
        whole = (days.size, ids.size)
        if values.shape not in (whole, whole[1:]):
            raise InputError(f"expected {name} of shape {whole} or {whole[1:]}, found {values.shape}")
    with atomic(path, checksum=True) as temporary, netCDF4.Dataset(temporary, "w") as dataset:
        dataset.setncatts({"Conventions": "CF-1.13", **(attributes or {})})
        dataset.createDimension("time", days.size)
        dataset.createDimension("cells", ids.size)
        time = dataset.createVariable("time", "f8", ("time",))
        time.setncatts(_TIME)
        time[:] = days
        _write_grid(dataset, nside, ids)
        for name, values in variables.items():
            fill = {"fill_value": np.nan} if values.dtype.kind == "f" else {"fill_value": False}
            dimensions = ("time", "cells")[2 - values.ndim :]
            variable = dataset.createVariable(
                name, values.dtype, dimensions, compression="zlib", complevel=1, **fill
            )
            own = (variable_attributes or {}).get(name, {})
            units = {} if values.dtype.kind == "f" else {"units": "1"}  # only of a count it is known
            variable.setncatts({**units, "long_name": name, **own, "grid_mapping": "crs"})
            variable[:] = values


def _write_grid(dataset: Any, nside: int, ids: np.ndarray) -> None:
    level = int(np.log2(nside))
    cell_ids = dataset.createVariable("cell_ids", "i8", ("cells",), compression="zlib", complevel=1)
    cell_ids.setncatts({"grid_name": "healpix", "level": np.int32(level), "indexing_scheme": "nested"})
    index = dataset.createVariable("healpix_index", "i8", ("cells",), compression="zlib", complevel=1)
    index.setncatts(
        {
            "standard_name": "healpix_index",
            "long_name": "number of the HEALPix cell in nested order",
            "units": "1",
        }
    )
    cell_ids[:] = index[:] = ids
    crs = dataset.createVariable("crs", "i1", ())
    crs.setncatts(
        {
            "grid_mapping_name": "healpix",
            "refinement_level": np.int32(level),
            "indexing_scheme": "nested",
        }
    )


def cell_variables(cells: Cells) -> dict[str, np.ndarray]:
    """Variables of a file from the result of :func:`seaice.gapfill.sphere.cells.aggregate`."""
    return {
        "mean": cells.values,
        "observed_points": cells.observed_points,
        "sea_points": cells.sea_points,
        "points": cells.points,
    }


def read_cells(path: Path) -> tuple[int, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Read a file of :func:`write_cells`.

    Returns
    -------
    nside : int
    ids : ndarray of int64, shape (cell,)
    days : ndarray of float64, shape (time,)
    variables : dict of str to ndarray

    Raises
    ------
    InputError
        If the file is missing or holds no nested HEALPix cells.
    """
    if not Path(path).is_file():
        raise InputError(f"no such file of HEALPix cells: {path}")
    with open_netcdf(path) as dataset:
        dataset.set_auto_mask(False)
        crs: Any = dataset.variables.get("crs")
        scheme = getattr(crs, "indexing_scheme", None)
        if scheme != "nested" or "cell_ids" not in dataset.variables:
            raise InputError(
                f"expected nested HEALPix cells, found indexing_scheme {scheme!r} in {path}; write the "
                "file with write_cells"
            )
        own = [n for n in dataset.variables if n not in ("time", "cell_ids", "healpix_index", "crs")]
        return (
            2 ** int(crs.refinement_level),
            np.asarray(dataset["cell_ids"][:]),
            np.asarray(dataset["time"][:]),
            {name: np.asarray(dataset[name][:]) for name in own},
        )
