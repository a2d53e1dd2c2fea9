"""Reading one University of Bremen day, in any of its forms, with every check.

NetCDF through netCDF4, HDF4 through pyhdf (an extra), GeoTIFF through Pillow.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError, grids
from seaice.grids import Grid
from seaice.open_file import (
    UnreadableFile,
    hdf5_damage,
    is_web_page,
    open_netcdf,
    read_content,
)
from seaice.settings import install_command
from seaice.sources.bremen.hdf5_rows import read_rows
from seaice.sources.bremen.names import (
    DayFile,
    RejectedDay,
)

# Above this an observed 100 percent with rounding is no excuse any more.
_TOLERANCE = 1e-3
_PACKING = ("scale_factor", "add_offset", "_FillValue")
_MOST_CELLS = 1 << 27  # of a day; the finest grid has a tenth
_HDF4_DATASET = "ASI Ice Concentration"


def read_day(
    path: Path,
    *,
    grid: Grid | None = None,
    out: np.ndarray | None = None,
    content: bytes | None = None,
) -> tuple[np.ndarray, Grid]:
    """Read one daily file and check that it can be used.

    Parameters
    ----------
    path : Path
        A ``.nc``, ``.hdf`` or ``.tif`` file of the Bremen layout.
    grid : Grid, optional
        The grid expected.
    out : ndarray of float32, shape (rows, columns), optional
        An array that may be used for the result (whoever reads many days saves memory and
        time with it); what it holds after an error is of no use.
    content : bytes, optional
        What :func:`read_file` has read of it: a digest of these bytes is one of the values.

    Returns
    -------
    concentration : ndarray of float32, shape (rows, columns)
        Percent, 0..100; NaN is missing (land, pole hole or not observed). Row 0 is
        the smallest y. It may be ``out`` or another array.
    grid : Grid
        The file's grid.

    Raises
    ------
    RejectedDay
        If the file is no such file, is damaged or odd in whatever way, lies on another grid, or
        holds only missing values, only zeros, or values outside 0..100. The message is the reason.
    """
    concentration, found = read_unjudged(path, grid=grid, out=out, content=content)
    _check_values(concentration)
    return concentration, found


def read_unjudged(
    path: Path,
    *,
    grid: Grid | None = None,
    out: np.ndarray | None = None,
    content: bytes | None = None,
) -> tuple[np.ndarray, Grid]:
    """Read one daily file as :func:`read_day`, but do not check its values.

    For a download: a day that holds nothing but missing values is what upstream has.
    """
    path = Path(path)
    with _reject_whatever_is_raised():
        concentration, found = _read(path, read_file(path) if content is None else content, out)
    if grid is not None and not grid.same_cells(found):
        raise RejectedDay(f"on another grid: expected {grid}, found {found}")
    return concentration, found


def read_grid_of(path: Path) -> Grid:
    """Read only the grid of a daily file (see :func:`read_day` for errors)."""
    path = Path(path)
    with _reject_whatever_is_raised():
        content = read_file(path)
        if path.suffix == ".nc":
            with _open_netcdf(path, content) as dataset:
                return _netcdf_grid(dataset)
        return _read(path, content)[1]


def read_file(path: Path) -> bytes:
    """Read the bytes of a daily file; RejectedDay if it cannot be one."""
    try:
        content = read_content(path)
    except UnreadableFile as error:
        raise RejectedDay(error.reason) from None
    if not content:
        raise RejectedDay("the file is empty")
    if is_web_page(content[:512]) and content.lstrip()[:1] == b"<":
        raise RejectedDay("a web page (HTML) under the name of a data file")
    return content


@contextmanager
def _reject_whatever_is_raised() -> Iterator[None]:
    """Make whatever a library raises on an odd file the rejection of this day alone."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise RejectedDay(f"cannot be read ({type(error).__name__}: {_short(error)})") from None


def _read(path: Path, content: bytes, out: np.ndarray | None = None) -> tuple[np.ndarray, Grid]:
    if path.suffix == ".nc":
        return _read_netcdf(path, content, out)
    if path.suffix == ".hdf":
        return _read_hdf4(path, content)
    if path.suffix == ".tif":
        return _read_geotiff(path, content)
    raise RejectedDay(f"expected a .nc, .hdf or .tif file, found {path.name}")


def _check_values(concentration: np.ndarray) -> None:
    lowest = np.fmin.reduce(concentration, axis=None)
    highest = np.fmax.reduce(concentration, axis=None)
    if np.isnan(lowest):
        raise RejectedDay("every cell is missing")
    if not (lowest >= -_TOLERANCE and highest <= 100 + _TOLERANCE):
        count = int((~np.isnan(concentration) & ~((concentration >= 0) & (concentration <= 100))).sum())
        raise RejectedDay(
            f"{count} values outside 0..100 percent (smallest {lowest:g}, largest {highest:g})"
        )
    if highest <= 0:
        raise RejectedDay("every observed cell is exactly 0 percent")
    np.clip(concentration, 0, 100, out=concentration)


def _open_netcdf(path: Path, content: bytes) -> Any:
    try:
        return open_netcdf(path, content=content)
    except UnreadableFile as error:
        raise RejectedDay(
            f"no readable NetCDF file, truncated or damaged ({error.reason[:120]})"
        ) from None


def _read_netcdf(path: Path, content: bytes, out: np.ndarray | None) -> tuple[np.ndarray, Grid]:
    with _open_netcdf(path, content) as dataset:
        grid = _netcdf_grid(dataset)
        variable = dataset.variables["z"]
        if variable.dimensions != ("y", "x"):
            raise RejectedDay(f"expected z(y, x), found z({', '.join(variable.dimensions)})")
        plain = _is_plain(variable)
        if plain and out is not None and out.shape == grid.shape and read_rows(content, "z", out):
            return out, grid
        variable.set_auto_maskandscale(not plain)
        try:
            hdf5_damage.check_content(content, chunks=True)
            values = variable[:]
        except (OSError, RuntimeError) as error:
            raise RejectedDay(f"the data are damaged ({_short(error)})") from None
    if not plain:
        values = np.ma.filled(values.astype(np.float32), np.nan)
    return values, grid


def _is_plain(variable: Any) -> bool:
    """Whether z is float32 with NaN for missing; InputError if it is not even numbers."""
    packing = {k: variable.getncattr(k) for k in variable.ncattrs() if k in _PACKING}
    texts = [k for k, v in packing.items() if not np.issubdtype(np.asarray(v).dtype, np.number)]
    if texts or np.dtype(variable.dtype).kind not in "fiu" or _is_of_any_length(variable):
        what = f"{texts[0]} as text" if texts else f"type {variable.dtype}"
        raise RejectedDay(f"expected numbers in z, found {what}")
    fill = packing.get("_FillValue", np.float32(np.nan))
    return bool(variable.dtype == np.float32 and not packing.keys() - {"_FillValue"} and np.isnan(fill))


def _is_of_any_length(variable: Any) -> bool:
    """Whether every cell of a variable is a list of its own."""
    return not isinstance(variable.datatype, np.dtype)


def _netcdf_grid(dataset: Any) -> Grid:
    missing = [name for name in ("x", "y", "z") if name not in dataset.variables]
    if missing:
        raise RejectedDay(
            f"expected variables x, y and z, found no {' and no '.join(missing)} "
            f"(the file holds {', '.join(dataset.variables) or 'nothing'})"
        )
    for name in ("x", "y"):
        variable = dataset.variables[name]
        is_axis = variable.ndim == 1 and np.dtype(variable.dtype).kind in "fiu"
        if not is_axis or _is_of_any_length(variable):
            raise RejectedDay(
                f"expected numbers along one axis as {name}, found {variable.dtype} {variable.shape}"
            )
    x, y, z = (dataset.variables[name] for name in ("x", "y", "z"))
    if max(math.prod(z.shape), x.size * y.size) > _MOST_CELLS:
        raise RejectedDay(f"expected at most {_MOST_CELLS} cells, found {z.shape}")
    name = getattr(z, "grid_mapping", "")
    attributes: dict[str, Any] = {}
    if name in dataset.variables:
        mapping = dataset.variables[name]
        attributes = {k: mapping.getncattr(k) for k in mapping.ncattrs()}
    try:
        return grids.recognise_grid(grids.read_metres(x), grids.read_metres(y), attributes)
    except (OSError, RuntimeError) as error:
        raise RejectedDay(f"the coordinates are damaged ({_short(error)})") from None
    except InputError as error:
        raise RejectedDay(str(error)) from None


def _read_hdf4(path: Path, content: bytes) -> tuple[np.ndarray, Grid]:
    try:
        from pyhdf.error import HDF4Error
        from pyhdf.SD import SD
    except ModuleNotFoundError:
        raise InputError(
            f"reading {path.name} needs pyhdf: {install_command('pyhdf')} "
            "(or use the NetCDF form of the day)"
        ) from None
    try:
        file = SD(str(path))
        values = np.asarray(file.select(_HDF4_DATASET).get(), dtype=np.float32)
        file.end()
        if read_file(path) != content:  # the library reads the file by itself
            raise RejectedDay("was replaced while it was read")
    except HDF4Error as error:
        raise RejectedDay(f"not a readable HDF4 file with '{_HDF4_DATASET}' ({_short(error)})") from None
    return values, _grid_by_name(path, values.shape)


def _read_geotiff(path: Path, content: bytes) -> tuple[np.ndarray, Grid]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as image:
            if math.prod(image.size) > _MOST_CELLS:
                raise RejectedDay(f"expected at most {_MOST_CELLS} cells, found {image.size}")
            codes = np.array(image)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise RejectedDay(f"not a readable GeoTIFF, truncated or damaged ({_short(error)})") from None
    if codes.ndim != 2 or codes.dtype != np.uint8:
        raise RejectedDay(f"expected one band of 8 bits, found {codes.shape} {codes.dtype}")
    values = codes[::-1].astype(np.float32)  # a GeoTIFF has its first row in the north
    values[values > 100] = np.nan  # codes above 100: land (120) and no data
    return values, _grid_by_name(path, values.shape)


def _grid_by_name(path: Path, shape: tuple[int, ...]) -> Grid:
    """The forms without coordinates: the name's grid, if the shape agrees."""
    file = DayFile.parse(path.name)
    if file is None:
        raise RejectedDay("the name does not tell the grid (expected asi-AMSR2-GRID-YYYYMMDD-v5.4)")
    try:
        grid = grids.get_grid(file.grid_id)
    except InputError as error:
        raise RejectedDay(str(error)) from None
    if grid.shape != shape:
        raise RejectedDay(
            f"on another grid: expected {grid}, found {' x '.join(map(str, shape))} cells; "
            "a regional cut-out can be read in its NetCDF form only"
        )
    return grid


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text[:120] or type(error).__name__
