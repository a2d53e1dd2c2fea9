"""The one way to open NetCDF, HDF5 and Zarr for reading; a bad file is one clear line.

The libraries answer a web page under the name of a data file, a file cut short or a flipped
bit with messages of their own, or never. Here every such file is an :class:`UnreadableFile`.
Before a library sees a file, its checksum is compared (:mod:`seaice.open_file.checksum`); a file without
one, of another program or an earlier version, must have tables of texts that end, and every chunk
that its index should list, or all the bytes that the header of a classic NetCDF file promises.
Files are opened for writing by their writers
(:mod:`seaice.runtime.atomic_write`).
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from seaice import InputError
from seaice.open_file import classic_netcdf, hdf5_damage
from seaice.open_file.address import Address, Place, find_zarr_format, open_store
from seaice.open_file.checksum import compare_checksum, compare_content

if TYPE_CHECKING:
    import h5py
    import netCDF4
    import xarray
    import zarr

Format = Literal["NetCDF", "HDF5", "Zarr"]

# The errors that libraries raise on damage: also absurd sizes, and groups where datasets should be.
DAMAGE = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    SystemError,
)


def is_netcdf(path: Path) -> bool:
    """Whether a file begins as HDF5 or classic NetCDF does; False too where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(4).startswith((hdf5_damage.SIGNATURE[:4], classic_netcdf.MAGIC))
    except OSError:
        return False  # who reads the file tells the reason


class UnreadableFile(InputError):
    """A file or folder cannot be read as the format it should have.

    Attributes
    ----------
    reason : str
        Why, without the path.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


LARGEST_FILE = 1 << 30  # bytes of a file that is read at once


def read_content(path: Path, *, most: int = LARGEST_FILE) -> bytes:
    """Read a whole file at once, so that its values and its digest are of the same bytes.

    Parameters
    ----------
    path : Path
    most : int
        Bytes that it may have.

    Raises
    ------
    UnreadableFile
        If there is no such file, it may not be read, is larger, or is a pipe or a device.
    """
    try:
        # A pipe would be waited for.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableFile(f"expected a file, found {_PIPE}: {path}", f"found {_PIPE}")
            if status.st_size > most:
                reason = f"it has {status.st_size} bytes, more than any such file"
                raise UnreadableFile(f"{path} cannot be read: {reason}", reason)
            return file.read()
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise UnreadableFile(f"{path} {reason}", reason) from None


def open_netcdf(
    path: Path, *, content: bytes | None = None, is_checked: bool = False
) -> netCDF4.Dataset:
    """Open a NetCDF file for reading; the caller closes it, best with ``with``.

    Parameters
    ----------
    path : Path
    content : bytes, optional
        What :func:`read_content` has read of it; the file is then not read again, and the indexes
        of its chunks are left to the reader (:func:`seaice.open_file.hdf5_damage.check_content`).
    is_checked : bool
        The same content was opened before; it is not looked through for damage again.

    Raises
    ------
    UnreadableFile
        If there is no such file, it may not be read, or it is damaged or something else.

    Examples
    --------
    >>> open_netcdf(Path("absent.nc"))
    Traceback (most recent call last):
    seaice.open_file.UnreadableFile: no such file: absent.nc
    """
    import netCDF4

    with explain_damage(path, "NetCDF"):
        if content is not None:
            if not compare_content(content):
                classic_netcdf.check_content(content)
                hdf5_damage.check_content(content, chunks=False)
            return netCDF4.Dataset(path.name, memory=content)
        if not is_checked:
            _check_content(path)
        return netCDF4.Dataset(path)


def open_hdf5(path: Path | BinaryIO, *, for_names: bool = False) -> h5py.File:
    """Open an HDF5 file for reading; the caller closes it, best with ``with``.

    Parameters
    ----------
    path : Path or binary file
        An open file, such as one on S3, is handed to the library as it is.
    for_names : bool
        Only the names of datasets and groups will be read: the content is not checked, which of a
        large file takes a while.

    Raises
    ------
    UnreadableFile
        As :func:`open_netcdf`.
    """
    import h5py

    if not isinstance(path, Path):
        return h5py.File(path, "r")
    with explain_damage(path, "HDF5"):
        if not for_names or not path.is_file():
            _check_content(path, chunks=False)
        return h5py.File(path, "r")


def open_zarr(path: Place, *, zarr_format: Literal[2, 3] = 3) -> zarr.Group:
    """Open a Zarr group in a folder or at an address for reading; there is nothing to close.

    Parameters
    ----------
    path : Path or Address
    zarr_format : {2, 3}
        Version of the format that the group must have.

    Raises
    ------
    UnreadableFile
        If it is none, or its metadata cannot be read.
    """
    import zarr

    with explain_damage(path, "Zarr"):
        if isinstance(path, Address):
            return zarr.open_group(open_store(path), mode="r", zarr_format=zarr_format)
        compare_checksum(path)
        return zarr.open_group(str(path), mode="r", zarr_format=zarr_format)


def open_xarray(path: Place, *, decode: bool = True) -> xarray.Dataset:
    """Open a NetCDF file or a Zarr group of any version with xarray, without dask.

    Parameters
    ----------
    path : Path or Address
    decode : bool
        Apply the CF conventions: scale, missing values, times (not durations: a field in days
        is a field of numbers). Otherwise everything is as stored.

    Raises
    ------
    UnreadableFile
        As :func:`open_netcdf`.
    """
    import xarray

    is_zarr = path.is_dir()
    zarr_format = find_zarr_format(path) if is_zarr else None
    if is_zarr and zarr_format is None:
        raise InputError(f"expected a NetCDF file or a Zarr group, found the folder {path}")
    with explain_damage(path, "Zarr" if is_zarr else "NetCDF"), warnings.catch_warnings():
        # Two fill values in one variable, names of other conventions: nothing to act upon.
        warnings.simplefilter("ignore")
        if isinstance(path, Address):
            store = open_store(path)
            return xarray.open_zarr(
                store,
                chunks=None,
                decode_cf=decode,
                decode_timedelta=False,
                zarr_format=zarr_format,
            )
        if is_zarr:
            compare_checksum(path)
        else:
            _check_content(path)
        return xarray.open_dataset(
            path,
            engine="zarr" if is_zarr else "netcdf4",
            chunks=None,
            decode_cf=decode,
            decode_timedelta=False,
        )


@contextmanager
def explain_damage(path: Place, kind: Format) -> Iterator[None]:
    """Turn what a library raises while a file is read into :class:`UnreadableFile`.

    An :class:`seaice.InputError` passes: its text says already what is wrong.
    """
    try:
        yield
    except InputError:
        raise
    except DAMAGE as error:
        raise _unreadable(path, kind, error) from error


def summarise_error(error: BaseException) -> str:
    """Return the message of an error of a library as one line of at most 200 characters."""
    return " ".join(str(error).split())[:200]


_PIPE = "a pipe or a device"


def _unreadable(path: Place, kind: Format, error: BaseException) -> UnreadableFile:
    """The error to raise for a file on which a library failed."""
    noun = {"NetCDF": "a NetCDF file", "HDF5": "an HDF5 file", "Zarr": "a Zarr group"}[kind]
    content = ""
    try:
        if isinstance(path, Path) and (kind != "Zarr" or not path.is_dir()):
            content = _other_content(path)
    except (FileNotFoundError, NotADirectoryError):
        return UnreadableFile(f"no such file: {path}", "no such file")
    except OSError as refusal:
        reason = f"the file cannot be read ({refusal.strerror})"
        return UnreadableFile(f"{reason}: {path}; check its permissions", reason)
    if content:
        advice = "; fetch it again" if path.is_file() else ""
        return UnreadableFile(f"expected {noun}, found {content}: {path}{advice}", f"found {content}")
    words = (isinstance(error, OSError) and error.strerror) or str(error)  # without number and path
    reason = " ".join(words.split())[:300] or type(error).__name__
    advice = "fetch or make it again" if isinstance(path, Path) else "try again later"
    text = f"{path} is no readable {noun.partition(' ')[2]} ({reason}); {advice}"
    return UnreadableFile(text, reason)


def _other_content(path: Path) -> str:
    """What a path holds that is no data at all, in words; empty if it may be a data file."""
    if path.is_dir():
        return "a folder"
    if not path.is_file():
        path.stat()
        return _PIPE
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "an empty file"
    return "a web page" if is_web_page(start) else ""


def is_web_page(start: bytes) -> bool:
    """Whether the first bytes of a file are those of an HTML page.

    Examples
    --------
    >>> is_web_page(b"<!DOCTYPE html><html><body>log in</body></html>")
    True
    """
    return b"<html" in start.lower() or b"<!doctype" in start.lower()


def _check_content(path: Path, *, chunks: bool = True) -> None:
    """Compare the checksum of a file; without one, look for the damage that its library does not see.

    An HDF5 file may have thousands of datasets of which few are read; see
    :func:`seaice.open_file.hdf5_damage.check_chunks`.

    Raises
    ------
    OSError
        If it is damaged, cannot be read, or is a device or a pipe, which may have no end.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("expected a regular file")
    if not compare_checksum(path):
        classic_netcdf.check_file(path)
        hdf5_damage.check_file(path, chunks=chunks)
