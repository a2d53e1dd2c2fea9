"""Two ways into an ICESat-2 file: h5py, and h5coro, which reads well from S3.

Both give the same values. h5coro 1.0.7 cannot read the attributes of these files, so that
fill values come from how a dataset was made, where the products hold the same number.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from seaice import InputError
from seaice.open_file import open_hdf5
from seaice.settings import install_command

Engine = Literal["h5py", "h5coro"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"

# A whole pass over a polar sea has about a million segments: more is damage.
_MOST_ELEMENTS = 20_000_000


class RemoteFile(Protocol):
    """A file on S3, as :class:`seaice.sources.icesat2.search.CloudGranule` is one."""

    @property
    def name(self) -> str:
        """Name of the file."""

    @property
    def url(self) -> str:
        """Address, ``s3://bucket/key``."""

    def open(self) -> Any:
        """A file-like object."""

    def credentials(self) -> Mapping[str, str]:
        """Of S3, valid now."""


class HdfFile(Protocol):
    """What a reader of granules asks of a file."""

    def members(self, group: str) -> frozenset[str] | None:
        """Names in a group; None where there is no such group."""

    def read(self, name: str) -> tuple[np.ndarray, float | None]:
        """Values of a dataset and its fill value; raises KeyError where there is none."""

    def text(self, name: str, attribute: str) -> str | None:
        """A text attribute of a group; None where it is not there or cannot be read."""


@contextlib.contextmanager
def open_granule(source: Path | RemoteFile, engine: Engine) -> Iterator[HdfFile]:
    """Open a file for reading.

    Raises
    ------
    InputError
        If the engine is not known or not installed.
    """
    if engine == "h5py":
        with contextlib.ExitStack() as stack:
            file = source if isinstance(source, Path) else stack.enter_context(source.open())
            yield _H5pyFile(stack.enter_context(open_hdf5(file)))
    elif engine == "h5coro":
        with contextlib.closing(_h5coro(source)) as file:
            yield _H5coroFile(file)
    else:
        raise InputError(f"expected the engine h5py or h5coro, found {engine!r}")


class _H5pyFile:
    def __init__(self, file: Any) -> None:
        self._file = file

    def members(self, group: str) -> frozenset[str] | None:
        import h5py

        try:
            found = self._object(group)
        except KeyError:
            return None
        return frozenset(found) if isinstance(found, h5py.Group) else None

    def _object(self, name: str) -> Any:
        """A group or dataset; KeyError only if there is none, which h5py also says of damage."""
        if name == "/":
            return self._file
        group, _, own = name.rpartition("/")
        above = self._object(group or "/")
        if own not in set(above):
            raise KeyError(name)
        try:
            return above[own]
        except KeyError as error:
            raise OSError(f"{name}: {error}") from error

    def read(self, name: str) -> tuple[np.ndarray, float | None]:
        dataset = self._object(name)
        if dataset.size is None or dataset.size > _MOST_ELEMENTS:
            raise ValueError(f"{name} has the shape {dataset.shape}")
        values = dataset[()]
        if dataset.dtype.kind != "f":
            return values, None
        if "_FillValue" in dataset.attrs:
            return values, float(np.ravel(dataset.attrs["_FillValue"])[0])
        # 0 is what HDF5 says where nobody said anything.
        return values, float(dataset.fillvalue) or None

    def text(self, name: str, attribute: str) -> str | None:
        return _text(self._file[name].attrs.get(attribute))


class _H5coroFile:
    def __init__(self, file: Any) -> None:
        self._file = file

    def members(self, group: str) -> frozenset[str] | None:
        with _any_error(group):
            links, _, metadata = self._file.inspectPath(group, w_attr=False)
        return frozenset(links) if links and (metadata is None or metadata.type is None) else None

    def read(self, name: str) -> tuple[np.ndarray, float | None]:
        with _any_error(name):
            found = self._file.readDatasets([name], block=True).datasets[name]
            values, metadata = found.values, found.meta
        if values is None:
            # A wrong name gives no error, nor does damage: only the list of names tells.
            group, _, own = name.rpartition("/")
            if own in (self.members(group) or ()):
                raise OSError(f"h5coro cannot read {name}")
            raise KeyError(name)
        if isinstance(values, str | bytes | bytearray):
            return np.array([(_text(values) or "").encode("ascii", "replace")]), None
        values = np.asarray(values)
        if values.dtype.kind != "f" or not metadata.fillvalue:
            return values, None
        bits = int(metadata.fillvalue).to_bytes(values.dtype.itemsize, "little")
        return values, float(np.frombuffer(bits, values.dtype.newbyteorder("<"))[0]) or None

    def text(self, name: str, attribute: str) -> str | None:
        with _any_error(name):
            path = f"{name}/{attribute}".lstrip("/")
            found = self._file.readDatasets([path], block=True, enableAttributes=True)
            return _text(found.datasets[path].values)


def _h5coro(source: Path | RemoteFile) -> Any:
    try:
        from h5coro import filedriver
        from h5coro.h5coro import H5Coro
    except ImportError:
        raise InputError(
            f"the engine h5coro is not installed: {install_command('h5coro')}, or take the engine h5py"
        ) from None
    # It prints a warning for every name that is not there, past the logging of the program.
    logging.getLogger("h5coro.logger").setLevel(logging.CRITICAL)
    if isinstance(source, Path):
        # h5coro reads on for ever in a file that is cut short; the library knows its length.
        open_hdf5(source).close()
        with _any_error(str(source)):
            return H5Coro(str(source), filedriver.FileDriver)
    from h5coro import s3driver

    address = source.url.removeprefix("s3://")
    with _any_error(source.url):
        return H5Coro(address, s3driver.S3Driver, credentials=dict(source.credentials()))


@contextlib.contextmanager
def _any_error(what: str) -> Iterator[None]:
    """Whatever goes wrong within h5coro, which checks little, as a failure to read."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OSError(f"h5coro cannot read {what}: {reason}") from error


def _text(value: Any) -> str | None:
    value = value[0] if isinstance(value, np.ndarray) and value.size else value
    if isinstance(value, bytes | bytearray):
        value = bytes(value).decode("ascii", "replace")
    if not isinstance(value, str):
        return None
    # h5coro gives the look of a bytearray for its content.
    return value.removeprefix("bytearray(b'").removesuffix("')").strip("\x00 ")
