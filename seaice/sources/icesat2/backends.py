"""The two libraries that read ICESat-2 files: h5py, and h5coro, which reads well from S3.

Both give the same values. h5coro 1.0.7 cannot read the attributes of these files. With it, fill
values come from the creation properties of a dataset, where the products hold the same number.
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

# A pass over a polar sea has about a million segments; a dataset of more elements is damaged.
_MAX_ELEMENTS = 20_000_000


class RemoteFile(Protocol):
    """A file on S3, such as a :class:`seaice.sources.icesat2.search.CloudGranule`."""

    @property
    def name(self) -> str:
        """File name."""

    @property
    def url(self) -> str:
        """Address, ``s3://bucket/key``."""

    def open(self) -> Any:
        """Open the file as a file-like object."""

    def get_credentials(self) -> Mapping[str, str]:
        """Get credentials of S3 that are valid now."""


class HdfFile(Protocol):
    """The methods that a reader of granules needs of an open file."""

    def list_members(self, group: str) -> frozenset[str] | None:
        """List the names in a group; None if there is no such group."""

    def read(self, name: str) -> tuple[np.ndarray, float | None]:
        """Read the values of a dataset and its fill value; KeyError if there is no such dataset."""

    def read_text(self, name: str, attribute: str) -> str | None:
        """Read a text attribute of a group; None if it is absent or cannot be read."""


@contextlib.contextmanager
def open_granule(source: Path | RemoteFile, engine: Engine) -> Iterator[HdfFile]:
    """Open a granule for reading.

    Raises
    ------
    InputError
        If the engine is none of the two or is not installed.
    """
    if engine == "h5py":
        with contextlib.ExitStack() as stack:
            file = source if isinstance(source, Path) else stack.enter_context(source.open())
            yield _H5pyFile(stack.enter_context(open_hdf5(file)))
    elif engine == "h5coro":
        with contextlib.closing(_open_with_h5coro(source)) as file:
            yield _H5coroFile(file)
    else:
        raise InputError(f"expected the engine h5py or h5coro, found {engine!r}")


class _H5pyFile:
    """An HDF5 file that h5py reads."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def list_members(self, group: str) -> frozenset[str] | None:
        import h5py

        try:
            item = self._get_item(group)
        except KeyError:
            return None
        return frozenset(item) if isinstance(item, h5py.Group) else None

    def _get_item(self, name: str) -> Any:
        """Get a group or dataset; KeyError only if it is absent.

        h5py raises KeyError for damage too, so that absence is seen from the list of names.
        """
        if name == "/":
            return self._file
        group, _, own_name = name.rpartition("/")
        parent = self._get_item(group or "/")
        if own_name not in set(parent):
            raise KeyError(name)
        try:
            return parent[own_name]
        except KeyError as error:
            raise OSError(f"{name}: {error}") from error

    def read(self, name: str) -> tuple[np.ndarray, float | None]:
        dataset = self._get_item(name)
        if dataset.size is None or dataset.size > _MAX_ELEMENTS:
            raise ValueError(f"{name} has the shape {dataset.shape}")
        values = dataset[()]
        if dataset.dtype.kind != "f":
            return values, None
        if "_FillValue" in dataset.attrs:
            return values, float(np.ravel(dataset.attrs["_FillValue"])[0])
        # HDF5 reports 0 if no fill value was set.
        return values, float(dataset.fillvalue) or None

    def read_text(self, name: str, attribute: str) -> str | None:
        return _decode_text(self._file[name].attrs.get(attribute))


class _H5coroFile:
    """An HDF5 file that h5coro reads."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def list_members(self, group: str) -> frozenset[str] | None:
        with _convert_any_error(group):
            links, _, metadata = self._file.inspectPath(group, w_attr=False)
        return frozenset(links) if links and (metadata is None or metadata.type is None) else None

    def read(self, name: str) -> tuple[np.ndarray, float | None]:
        with _convert_any_error(name):
            dataset = self._file.readDatasets([name], block=True).datasets[name]
            values, metadata = dataset.values, dataset.meta
        if values is None:
            # Neither a wrong name nor damage raises an error; the list of names tells them apart.
            group, _, own_name = name.rpartition("/")
            if own_name in (self.list_members(group) or ()):
                raise OSError(f"h5coro cannot read {name}")
            raise KeyError(name)
        if isinstance(values, str | bytes | bytearray):
            return np.array([(_decode_text(values) or "").encode("ascii", "replace")]), None
        values = np.asarray(values)
        if values.dtype.kind != "f" or not metadata.fillvalue:
            return values, None
        # h5coro gives the bits of the fill value as a whole number; they are read as a float of
        # the stored type. 0 means that no fill value was set.
        bits = int(metadata.fillvalue).to_bytes(values.dtype.itemsize, "little")
        return values, float(np.frombuffer(bits, values.dtype.newbyteorder("<"))[0]) or None

    def read_text(self, name: str, attribute: str) -> str | None:
        with _convert_any_error(name):
            path = f"{name}/{attribute}".lstrip("/")
            answer = self._file.readDatasets([path], block=True, enableAttributes=True)
            return _decode_text(answer.datasets[path].values)


def _open_with_h5coro(source: Path | RemoteFile) -> Any:
    """Open a file with h5coro; InputError if h5coro is not installed."""
    try:
        from h5coro import filedriver
        from h5coro.h5coro import H5Coro
    except ImportError:
        raise InputError(
            f"the engine h5coro is not installed: {install_command('h5coro')}, or use the engine h5py"
        ) from None
    # h5coro prints a warning for every absent name, past the logging of the program.
    logging.getLogger("h5coro.logger").setLevel(logging.CRITICAL)
    if isinstance(source, Path):
        # h5coro reads for ever in a file that is cut short; h5py refuses such a file.
        open_hdf5(source).close()
        with _convert_any_error(str(source)):
            return H5Coro(str(source), filedriver.FileDriver)
    from h5coro import s3driver

    address = source.url.removeprefix("s3://")
    with _convert_any_error(source.url):
        return H5Coro(address, s3driver.S3Driver, credentials=dict(source.get_credentials()))


@contextlib.contextmanager
def _convert_any_error(name: str) -> Iterator[None]:
    """Convert every error of h5coro, which checks little, to an OSError that names the object."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OSError(f"h5coro cannot read {name}: {reason}") from error


def _decode_text(value: Any) -> str | None:
    """Decode the text of an attribute or dataset; None if it is not text."""
    value = value[0] if isinstance(value, np.ndarray) and value.size else value
    if isinstance(value, bytes | bytearray):
        value = bytes(value).decode("ascii", "replace")
    if not isinstance(value, str):
        return None
    # h5coro gives the printed form of a bytearray instead of its content.
    return value.removeprefix("bytearray(b'").removesuffix("')").strip("\x00 ")
