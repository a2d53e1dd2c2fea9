"""Reading one University of Bremen day, in any of its forms, with every check.

NetCDF through netCDF4, HDF4 through pyhdf (an extra), GeoTIFF through Pillow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError, grids
from seaice.dates import read_days
from seaice.grids import CellLayout, Grid
from seaice.open_file import (
    DAMAGE,
    UnreadableFile,
    hdf5_damage,
    is_web_page,
    open_netcdf,
    read_content,
)
from seaice.settings import install_command
from seaice.sources import RejectedDay, geotiff
from seaice.sources.bremen import names
from seaice.sources.bremen.hdf5_rows import read_rows
from seaice.sources.bremen.names import DayFile, Form

# Above this an observed 100 percent with rounding is no excuse any more.
_TOLERANCE = 1e-3
# So many cells of at most one percent of ice, and none with more, are no sea.
_MANY_CELLS = 20
# Of the cells of a whole grid, at least half are land or pole hole, and more than that on no grid are
# open water.
_LARGEST_ZERO_SHARE = 0.4
_PACKING = ("scale_factor", "add_offset", "_FillValue")
_MOST_CELLS = 1 << 27  # of a day; the finest grid has a tenth
# Every simulated file has this word among its attributes, which no form compresses.
SIMULATED_MARK = b"SIMULATED"
_HDF4_DATASET = "ASI Ice Concentration"


def read_attributes(path: Path) -> dict[str, Any]:
    """Read the global attributes of a daily file; empty if the file is no NetCDF or damaged."""
    try:
        with open_netcdf(path) as dataset:
            return {name: dataset.getncattr(name) for name in dataset.ncattrs()}
    except (InputError, OSError, RuntimeError):
        return {}


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
    _check_values(concentration, found)
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
        if _find_form(path, content) == "nc":
            with _open_netcdf(path, content) as dataset:
                return _read_layout(dataset).grid
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


def identify_file(path: Path) -> DayFile | None:
    """Tell from its content which daily file a file of another name is.

    The day is that of its ``time``, or of the name in its ``history``; the real files have their own
    name there.

    Returns
    -------
    DayFile or None
        None if the content does not tell the day.

    Raises
    ------
    LookupError
        If it is no daily file.
    """
    named = re.match(r"asi[-_]", path.name, re.IGNORECASE)
    try:
        content = read_content(path)
        if _find_form(path, content) != "nc":
            raise RejectedDay("no NetCDF file")
        with _open_netcdf(path, content) as dataset:
            grid = _read_layout(dataset).grid
            history = str(getattr(dataset, "history", ""))
            file = names.find_name(history, path=path)
            day = _read_day_of(dataset)
    except (InputError, *DAMAGE):
        if named:
            return None
        raise LookupError(f"{path} is no daily file") from None
    if day is None:
        return file
    # Parts of a grid are named as the whole of it.
    grid_id = f"{str(grid.hemisphere)[0]}{grid.step:.0f}" if file is None else file.grid_id
    return DayFile("AMSR2", grid_id, day, "0", "nc", path)


def _read_day_of(dataset: Any) -> date | None:
    """Read the day of a file that has a time; None if it has none, or several."""
    if "time" not in dataset.variables or dataset.variables["time"].size != 1:
        return None
    time = dataset.variables["time"]
    try:
        values = np.atleast_1d(np.ma.filled(time[:], np.nan) if time.dtype.kind == "f" else time[:])
        return read_days(np.asarray(values), {k: time.getncattr(k) for k in time.ncattrs()})[0]
    except InputError:
        return None


# First bytes of the forms. HDF5 and NetCDF-3 are NetCDF.
_SIGNATURES: dict[bytes, Form] = {
    b"\x89HDF": "nc",
    b"CDF": "nc",
    b"\x0e\x03\x13\x01": "hdf",
    b"II*\0": "tif",
    b"MM\0*": "tif",
}


def _find_form(path: Path, content: bytes) -> Form | None:
    """Find the form of a daily file by its ending, else by its first bytes."""
    file = DayFile.parse(path.name)
    if file is not None:
        return file.form
    by_ending: dict[str, Form] = {".nc": "nc", ".hdf": "hdf", ".tif": "tif"}
    if path.suffix in by_ending:
        return by_ending[path.suffix]
    return next((form for start, form in _SIGNATURES.items() if content.startswith(start)), None)


def _read(path: Path, content: bytes, out: np.ndarray | None = None) -> tuple[np.ndarray, Grid]:
    form = _find_form(path, content)
    if form == "nc":
        return _read_netcdf(path, content, out)
    if form == "hdf":
        return _read_hdf4(path, content)
    if form == "tif":
        return _read_geotiff(path, content)
    raise RejectedDay(f"expected a .nc, .hdf or .tif file, found {path.name}")


def _check_values(concentration: np.ndarray, grid: Grid) -> None:
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
    if highest <= 1 + _TOLERANCE and np.count_nonzero(concentration > 0) >= _MANY_CELLS:
        raise RejectedDay(f"no value above {highest:.3g} percent: fractions 0 to 1, not percent")
    is_whole = grid.id in grids.list_grid_ids()
    if is_whole and not any(np.isnan(row).any() for row in concentration):
        zeros = np.count_nonzero(concentration <= 0) / concentration.size
        if zeros > _LARGEST_ZERO_SHARE:
            raise RejectedDay(f"no cell is missing and {zeros:.0%} are 0 percent: 0 stands for missing")
    if lowest < 0 or highest > 100:
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
        layout = _read_layout(dataset)
        variable, grid = dataset.variables["z"], layout.grid
        single = [d for d in variable.dimensions if d not in ("y", "x")]
        if sorted(set(variable.dimensions) - set(single)) != ["x", "y"] or any(
            len(dataset.dimensions[d]) != 1 for d in single
        ):
            raise RejectedDay(f"expected z(y, x), found z({', '.join(variable.dimensions)})")
        _check_day(path, dataset)
        plain = _is_plain(variable)
        if plain and layout.is_usual(variable.dimensions) and not single:
            rows = np.empty(grid.shape, np.float32) if out is None or out.shape != grid.shape else out
            if read_rows(content, "z", rows):
                return rows, grid
        variable.set_auto_maskandscale(not plain)

        def read_stored(index: tuple[int | slice, ...]) -> np.ndarray:
            values = variable[index]
            return values if plain else np.ma.filled(values.astype(np.float32), np.nan)

        try:
            hdf5_damage.check_content(content, chunks=True)
            return layout.read(variable.dimensions, read_stored, dict.fromkeys(single, 0)), grid
        except (OSError, RuntimeError) as error:
            raise RejectedDay(f"the data are damaged ({_short(error)})") from None


def _check_day(path: Path, dataset: Any) -> None:
    """Reject a file whose time says another day than its name."""
    file, day = DayFile.parse(path.name), _read_day_of(dataset)
    if file is not None and day is not None and day != file.day:
        raise RejectedDay(f"its name says {file.day}, its time {day}")


def _is_plain(variable: Any) -> bool:
    """Whether z is float32 with NaN for missing; InputError if it is not even numbers."""
    packing = {k: variable.getncattr(k) for k in variable.ncattrs() if k in _PACKING}
    texts = [k for k, v in packing.items() if not np.issubdtype(np.asarray(v).dtype, np.number)]
    if texts or np.dtype(variable.dtype).kind not in "fiu" or _is_of_any_length(variable):
        what = f"{texts[0]} as text" if texts else f"type {variable.dtype}"
        raise RejectedDay(f"expected numbers in z, found {what}")
    fill = packing.get("_FillValue", np.float32(np.nan))
    missing = [fill] + [variable.getncattr(k) for k in variable.ncattrs() if k == "missing_value"]
    scale, offset = packing.get("scale_factor", 1), packing.get("add_offset", 0)
    if any((np.asarray(number, np.float64) * scale + offset == 0).any() for number in missing):
        raise RejectedDay("its attributes say that 0 percent is missing, which is open water")
    return bool(variable.dtype == np.float32 and not packing.keys() - {"_FillValue"} and np.isnan(fill))


def _is_of_any_length(variable: Any) -> bool:
    """Whether every cell of a variable is a list of its own."""
    return not isinstance(variable.datatype, np.dtype)


def _read_layout(dataset: Any) -> CellLayout:
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
        return grids.read_layout(grids.Coordinate.read(x), grids.Coordinate.read(y), attributes)
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
    codes, tags = geotiff.read_codes(content)
    if codes.ndim != 2 or codes.dtype != np.uint8:
        raise RejectedDay(f"expected one band of 8 bits, found {codes.shape} {codes.dtype}")
    grid = _grid_by_name(path, codes.shape)
    # Without a position, as by far the most: the first row is in the north.
    axes = geotiff.read_axes(tags, codes.shape)
    layout = CellLayout(grid, turned_rows=True) if axes is None else _compare_axes(axes, grid)
    values = layout.read(("y", "x"), codes.__getitem__, {}).astype(np.float32)
    values[values > 100] = np.nan  # codes above 100: land (120) and no data
    return values, grid


def _compare_axes(axes: geotiff.CellAxes, grid: Grid) -> CellLayout:
    """The order of cells that lie where the tags say; RejectedDay if those are other cells."""
    xx, yy = axes.x[1] - axes.x[0], axes.y[1] - axes.y[0]
    tolerance = 0.75 * grid.step  # some programs name corners where others name centres
    x, y = axes.x[:: -1 if xx < 0 else 1], axes.y[:: -1 if yy < 0 else 1]
    if np.abs(x - grid.x).max() > tolerance or np.abs(y - grid.y).max() > tolerance:
        raise RejectedDay(
            f"on another grid: expected {grid}, found cells of {abs(xx):g} x {abs(yy):g} m from "
            f"x {x[0]:g}, y {y[0]:g}"
        )
    return CellLayout(grid, turned_rows=bool(yy < 0), turned_columns=bool(xx < 0))


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
