"""The containers of concentration products: NetCDF, HDF-EOS5, plain binary and GeoTIFF.

Each is opened as a :class:`StoredFile`, which hands out its variables as they are stored: raw numbers,
dimensions called ``time``, ``y`` and ``x``, and attributes. Nothing is scaled and no code is replaced
here.
"""

from __future__ import annotations

import io
import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seaice.open_file import hdf5_damage, is_web_page, open_hdf5, open_netcdf, read_content
from seaice.sources import RejectedDay, geotiff
from seaice.sources.products.product import Form

_MOST_CELLS = 1 << 27  # of a day


@dataclass(frozen=True)
class StoredVariable:
    """A variable of a file, as it is stored.

    Attributes
    ----------
    name : str
        With its groups in front.
    dimensions : tuple of str
        ``time``, ``y`` and ``x``, and leading by their names.
    shape : tuple of int
    dtype : numpy.dtype
        That of what is read: unsigned where an attribute says so.
    attributes : mapping
    read_stored : callable
        Reads the part that an index describes.
    """

    name: str
    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    attributes: Mapping[str, Any] = field(repr=False)
    read_stored: Callable[[tuple[int | slice, ...]], np.ndarray] = field(repr=False)

    @property
    def cells(self) -> tuple[int, int]:
        """Number of cells in y and in x."""
        sizes = dict(zip(self.dimensions, self.shape, strict=True))
        return sizes["y"], sizes["x"]


class StoredAxes(NamedTuple):
    """Coordinates of the cells of a variable, as they are stored, and what they mean.

    Attributes
    ----------
    x, y : StoredVariable
    mapping : dict
        Attributes of the CF grid mapping; empty if the file has none.
    """

    x: StoredVariable
    y: StoredVariable
    mapping: dict[str, Any]


class StoredFile(ABC):
    """An open file of any container."""

    @abstractmethod
    def list_variables(self) -> Sequence[str]:
        """List the names of all variables, those in groups with the path in front."""

    @abstractmethod
    def get_variable(self, name: str) -> StoredVariable:
        """Return a variable of :meth:`list_variables`."""

    def find_axes(self, variable: StoredVariable) -> StoredAxes | None:
        """Find the coordinates of a variable; None if the file has none."""
        return None

    def find_time(self) -> StoredVariable | None:
        """Find the time axis; None if the file has none."""
        return None

    def find_names(self, patterns: Sequence[str]) -> list[str]:
        """Find the names that patterns fit, those of the first pattern first."""
        names = self.list_variables()
        fitting: dict[str, None] = {}
        for pattern in patterns:
            # A pattern without a path is one of the root group.
            expression = _translate(pattern)
            fitting.update(
                (n, None)
                for n in sorted(names)
                if n.count("/") == pattern.count("/") and expression.match(n)
            )
        return list(fitting)


@lru_cache(maxsize=256)
def _translate(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


@contextmanager
def open_stored(
    form: Form, path: Path, *, content: bytes | None = None, shapes: Sequence[tuple[int, int]] = ()
) -> Iterator[StoredFile]:
    """Open a file of a product.

    Parameters
    ----------
    form : Form
    path : Path
    content : bytes, optional
        What was read of it before.
    shapes : sequence of (int, int)
        Numbers of rows and columns that a binary file may have.

    Raises
    ------
    InputError
        If it is no file of this container, or damaged.
    """
    if form.container == "netcdf":
        with _open_netcdf(path, content) as dataset:
            yield NetcdfFile(dataset, content)
    elif form.container == "hdf5":
        content = _read_whole(path, content)
        hdf5_damage.check_content(content, chunks=False)
        with open_hdf5(io.BytesIO(content)) as file:
            yield Hdf5File(file, content)
    elif form.container == "binary":
        yield BinaryFile(form, _read_whole(path, content), shapes)
    else:
        yield GeotiffFile(_read_whole(path, content))


def _read_whole(path: Path, content: bytes | None) -> bytes:
    content = read_content(path) if content is None else content
    if not content:
        raise RejectedDay("the file is empty")
    if is_web_page(content[:512]) and content.lstrip()[:1] == b"<":
        raise RejectedDay("a web page (HTML) under the name of a data file")
    return content


# Files of many days are opened for every day: their whole content is looked through once.
_checked: dict[Path, tuple[int, int, int]] = {}
_MOST_CHECKED = 1024


def _open_netcdf(path: Path, content: bytes | None) -> Any:
    if content is not None:
        return open_netcdf(path, content=content)
    try:
        status = os.stat(path)
        state = status.st_ino, status.st_size, status.st_mtime_ns
    except OSError:
        state = None  # the opener says what is wrong
    dataset = open_netcdf(path, is_checked=state is not None and _checked.get(path) == state)
    if state is not None:
        if len(_checked) >= _MOST_CHECKED:
            _checked.clear()
        _checked[path] = state
    return dataset


# --- NetCDF -------------------------------------------------------------------------------------------

_X_NAMES = {"x", "xc", "xgrid", "projection_x_coordinate", "lon", "longitude", "cols"}
_Y_NAMES = {"y", "yc", "ygrid", "projection_y_coordinate", "lat", "latitude", "rows"}
_TIME_NAMES = {"time", "tdim", "t"}


class NetcdfFile(StoredFile):
    """A NetCDF file, with its groups."""

    def __init__(self, dataset: Any, content: bytes | None) -> None:
        self._unchecked = content
        dataset.set_auto_maskandscale(False)
        dataset.set_always_mask(False)
        self._dataset = dataset
        self._names = tuple(_iterate_names(dataset))
        self._axes: dict[str, str] = {}  # dimension: x, y or time

    def list_variables(self) -> Sequence[str]:
        """See :meth:`StoredFile.list_variables`."""
        return self._names

    def get_variable(self, name: str) -> StoredVariable:
        """See :meth:`StoredFile.get_variable`."""
        stored = self._dataset[name]
        attributes = {k: stored.getncattr(k) for k in stored.ncattrs()}
        if not isinstance(stored.datatype, np.dtype) or stored.dtype.kind not in "fiu":
            raise RejectedDay(f"expected numbers in {name}, found {stored.dtype}")
        dtype = _apply_sign(stored.dtype, attributes)
        self._check_chunks(stored)

        def read_stored(index: tuple[int | slice, ...]) -> np.ndarray:
            return np.asarray(stored[index]).view(dtype)

        names = [self._name_dimension(stored, d) for d in stored.dimensions]
        if len(names) >= 2 and not {"x", "y"} & set(names):
            names[-2:] = ["y", "x"]
        return StoredVariable(name, tuple(names), stored.shape, dtype, attributes, read_stored)

    def _check_chunks(self, stored: Any) -> None:
        """Check that no chunk is lost, where a field has several; without its only one it has no value.

        A file that was opened by its path has been checked before.
        """
        chunks = stored.chunking() if self._unchecked is not None and stored.ndim > 1 else None
        if isinstance(chunks, list) and chunks[-2:] != list(stored.shape[-2:]):
            hdf5_damage.check_content(self._unchecked or b"", chunks=True)
            self._unchecked = None

    def _name_dimension(self, variable: Any, dimension: str) -> str:
        """Return ``x``, ``y``, ``time`` or the name of a dimension by what its coordinates say."""
        if dimension not in self._axes:
            coordinate = self._find_coordinate(variable, dimension)
            words = {dimension.lower()}
            if coordinate is not None:
                words |= {coordinate.name.lower(), str(getattr(coordinate, "standard_name", "")).lower()}
            kinds = (("x", _X_NAMES), ("y", _Y_NAMES), ("time", _TIME_NAMES))
            self._axes[dimension] = next((k for k, names in kinds if words & names), dimension)
        return self._axes[dimension]

    def _find_coordinate(self, variable: Any, dimension: str) -> Any:
        """Find the one-dimensional coordinate variable along a dimension, in its group or above."""
        group = variable.group()
        while group is not None:
            if dimension in group.variables:
                return group.variables[dimension]
            for candidate in group.variables.values():
                if candidate.dimensions == (dimension,) and (
                    candidate.name.lower() in _X_NAMES | _Y_NAMES | _TIME_NAMES
                ):
                    return candidate
            group = group.parent
        return None

    def find_axes(self, variable: StoredVariable) -> StoredAxes | None:
        """See :meth:`StoredFile.find_axes`."""
        stored = self._dataset[variable.name]
        axes: dict[str, StoredVariable] = {}
        for name, dimension in zip(variable.dimensions, stored.dimensions, strict=True):
            coordinate = self._find_coordinate(stored, dimension)
            if name in ("x", "y") and coordinate is not None and coordinate.ndim == 1:
                path = f"{coordinate.group().path.strip('/')}/{coordinate.name}".strip("/")
                axes[name] = self.get_variable(path)
        if len(axes) < 2:
            return None
        return StoredAxes(axes["x"], axes["y"], self._read_mapping(stored))

    def _read_mapping(self, variable: Any) -> dict[str, Any]:
        name = str(getattr(variable, "grid_mapping", "")).partition(":")[0].strip()
        group = variable.group()
        while group is not None:
            if name in group.variables:
                mapping = group.variables[name]
                return {k: mapping.getncattr(k) for k in mapping.ncattrs()}
            group = group.parent
        return {}

    def find_time(self) -> StoredVariable | None:
        """See :meth:`StoredFile.find_time`."""
        time = self._dataset.variables.get("time")
        if time is None or time.ndim > 1 or np.dtype(time.dtype).kind not in "fiu":
            return None
        return self.get_variable("time")


def _iterate_names(group: Any, prefix: str = "") -> Iterator[str]:
    for name in group.variables:
        yield f"{prefix}{name}"
    for name, inner in group.groups.items():
        yield from _iterate_names(inner, f"{prefix}{name}/")


def _apply_sign(dtype: np.dtype[Any], attributes: Mapping[str, Any]) -> np.dtype[Any]:
    """Return the type of what is read: NetCDF-3 has no unsigned numbers, an attribute calls them so."""
    text = str(attributes.get("_Unsigned", "")).lower()
    if dtype.kind == "i" and text == "true":
        return np.dtype(dtype.str.replace("i", "u"))
    if dtype.kind == "u" and text == "false":
        return np.dtype(dtype.str.replace("u", "i"))
    return dtype


# --- HDF-EOS5 -----------------------------------------------------------------------------------------


class Hdf5File(StoredFile):
    """An HDF5 file whose last two dimensions are rows and columns."""

    def __init__(self, file: Any, content: bytes) -> None:
        import h5py

        self._file, self._content = file, content
        self._names: list[str] = []
        file.visititems(
            lambda name, item: self._names.append(name) if isinstance(item, h5py.Dataset) else None
        )

    def list_variables(self) -> Sequence[str]:
        """See :meth:`StoredFile.list_variables`."""
        return self._names

    def get_variable(self, name: str) -> StoredVariable:
        """See :meth:`StoredFile.get_variable`."""
        stored = self._file[name]
        if stored.dtype.kind not in "fiu" or stored.ndim < 2:
            raise RejectedDay(f"expected rows and columns of numbers in {name}, found {stored.dtype}")
        hdf5_damage.check_chunks(stored, self._content)
        leading = tuple(f"dimension{i}" for i in range(stored.ndim - 2))
        attributes = {k: _decode_attribute(value) for k, value in stored.attrs.items()}
        return StoredVariable(
            name, (*leading, "y", "x"), stored.shape, stored.dtype, attributes, stored.__getitem__
        )


def _decode_attribute(value: Any) -> Any:
    value = value[0] if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


# --- plain binary and GeoTIFF -------------------------------------------------------------------------


class BinaryFile(StoredFile):
    """Numbers of one type behind a header, rows before columns."""

    def __init__(self, form: Form, content: bytes, shapes: Sequence[tuple[int, int]]) -> None:
        dtype = np.dtype(form.dtype)
        sizes = {form.header + math.prod(shape) * dtype.itemsize: shape for shape in shapes}
        if len(content) not in sizes:
            expected = " or ".join(f"{size} ({r} x {c} cells)" for size, (r, c) in sizes.items())
            state = "truncated, " if content and len(content) < min(sizes) else ""
            raise RejectedDay(f"{state}expected {expected} bytes, found {len(content)}")
        shape = sizes[len(content)]
        self._values = np.frombuffer(content, dtype, offset=form.header).reshape(shape)

    def list_variables(self) -> Sequence[str]:
        """See :meth:`StoredFile.list_variables`."""
        return ("band",)

    def get_variable(self, name: str) -> StoredVariable:
        """See :meth:`StoredFile.get_variable`."""
        return _make_band(self._values)


class GeotiffFile(StoredFile):
    """The only band of a GeoTIFF."""

    def __init__(self, content: bytes) -> None:
        self._values, tags = geotiff.read_codes(content)
        if self._values.ndim != 2:
            raise RejectedDay(f"expected one band, found {self._values.shape}")
        self._places = geotiff.read_axes(tags, self._values.shape)
        self._epsg_code = geotiff.read_epsg_code(tags)

    def list_variables(self) -> Sequence[str]:
        """See :meth:`StoredFile.list_variables`."""
        return ("band",)

    def get_variable(self, name: str) -> StoredVariable:
        """See :meth:`StoredFile.get_variable`."""
        return _make_band(self._values)

    def find_axes(self, variable: StoredVariable) -> StoredAxes | None:
        """See :meth:`StoredFile.find_axes`."""
        if self._places is None:
            return None
        x, y = (
            StoredVariable(name, (name,), values.shape, values.dtype, {"units": "m"}, values.__getitem__)
            for name, values in (("x", self._places.x), ("y", self._places.y))
        )
        return StoredAxes(x, y, {"epsg_code": f"EPSG:{self._epsg_code}"} if self._epsg_code else {})


def _make_band(values: np.ndarray) -> StoredVariable:
    return StoredVariable("band", ("y", "x"), values.shape, values.dtype, {}, values.__getitem__)
