"""The HDF5 layout: one group a swath, readable as it is by h5py, netCDF4 and xarray.

Every group follows the CF conventions, so ``xarray.open_dataset(path, group=granule_id)``
gives kelvin, times and positions. The bytes of the numbers are sorted by significance
before they are deflated (shuffle), which makes noisy counts a quarter smaller than the
other layouts do. ISA-L deflates; the library only stores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from seaice import InputError
from seaice.open_file import UnreadableFile, open_hdf5
from seaice.sources.amsr2.swath import (
    FILL_VALUE,
    LATITUDE,
    LONGITUDE,
    SCALE,
    TIME_UNITS,
    Swath,
    as_counts,
    frequency_of,
    from_parts,
    is_missing,
    temperature_attributes,
)
from seaice.swaths.archive.base import (
    INDEX,
    LARGEST_INDEX,
    SwathArchive,
    described,
    entries_of,
    parsed,
)
from seaice.swaths.archive.zip_file import LARGEST

_LEVEL = 1
_METADATA = "metadata"
_CF_TIME = TIME_UNITS.replace("T", " ").removesuffix("Z")


class Hdf5Writer:
    """Writes an HDF5 archive; see :class:`seaice.swaths.archive.base.ArchiveWriter`.

    Parameters
    ----------
    path : Path
        Must not exist.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        self._file = h5py.File(path, "x", track_order=True)
        self._entries: list[dict[str, Any]] = []

    def add(self, swath: Swath) -> None:
        """Write a swath."""
        said = swath.summary()
        group = self._begin(said)
        for name, array in swath.arrays().items():
            array = _marked(array) if name.startswith("temperature") else array
            plain = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
            created = _create(group, name, plain.shape, plain.dtype)
            if plain.size:
                created.id.write_direct_chunk((0,) * plain.ndim, _packed(plain))
        self._describe(group, said)

    def copy(self, archive: SwathArchive, index: int) -> None:
        """Write a swath of another archive; the chunks of an HDF5 one are taken as they are."""
        if not isinstance(archive, Hdf5Archive) or not archive.is_as_written(index):
            self.add(archive[index])
            return
        said = {key: value for key, value in archive.entries[index].items() if key != "group"}
        source, group = archive.group(index), self._begin(said)
        for name, dataset in source.items():
            if dataset.chunks is None:
                continue  # a bare dimension: made anew
            created = _create(group, name, dataset.shape, dataset.dtype)
            mask, content = dataset.id.read_direct_chunk((0,) * dataset.ndim)
            created.id.write_direct_chunk((0,) * dataset.ndim, content, mask)
        self._describe(group, said)

    def _begin(self, said: Mapping[str, Any]) -> Any:
        name = str(said.get("granule_id") or f"swath_{len(self._entries):05d}")
        while name in self._file:
            name += "_again"  # an archive may hold a granule twice: verify_archive.py says so
        self._entries.append({**said, "group": name})
        return self._file.create_group(name, track_order=True)

    def _describe(self, group: Any, said: Mapping[str, Any]) -> None:
        """CF attributes and dimensions of a swath's group."""
        group.attrs["Conventions"] = "CF-1.11"
        group.attrs["granule_id"] = str(said.get("granule_id") or "")
        group.attrs["orbit_type"] = str(said.get("orbit_type") or "U")
        group.attrs[_METADATA] = json.dumps(said, allow_nan=False)
        channels = list(said.get("channels") or [])
        for name in list(group):
            _describe(group, name, said, channels)

    def finish(self, info: Mapping[str, Any]) -> None:
        """Write the index and close the file."""
        text = json.dumps(described(self._entries, "hdf5", info), allow_nan=False).encode()
        octets = np.frombuffer(text, np.uint8)
        self._file.create_dataset(INDEX, data=octets, compression="gzip", compression_opts=1)
        self._file.attrs["Conventions"] = "CF-1.11"
        for key in ("title", "period", "source", "institution", "history", "references", "complete"):
            if key in info:
                self._file.attrs[key] = str(info[key])
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


class Hdf5Archive(SwathArchive):
    """An HDF5 archive.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        If the file cannot be opened or is none.
    """

    layout = "hdf5"

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = open_hdf5(path)
        except UnreadableFile as error:
            raise InputError(f"damaged: the archive cannot be opened ({error.reason}): {path}") from None
        try:
            if INDEX not in self._file:
                raise InputError(f"expected a swath archive, found an HDF5 file without {INDEX}: {path}")
            index = self._file[INDEX]
            if index.nbytes > LARGEST_INDEX or index.dtype != np.uint8:
                raise InputError(f"damaged: {INDEX} is no text of an archive: {path}")
            said = parsed(index[:].tobytes(), f"{INDEX} in {path}")
            self.info, self.entries = entries_of(said, path)
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._file.close()
            if isinstance(error, InputError):
                raise
            reason = " ".join(str(error).split())
            raise InputError(
                f"damaged: the index of the archive cannot be read ({reason}): {path}"
            ) from None

    def group(self, index: int) -> Any:
        """The HDF5 group of a swath."""
        name = str(self.entries[index].get("group"))
        if name not in self._file:
            raise InputError(f"damaged: the group {name} is not in {self.path}")
        return self._file[name]

    def is_as_written(self, index: int) -> bool:
        """Whether the chunks of a swath are as this module writes them; others repack files."""
        stored = self._datasets(index).values()
        return all(
            data.chunks == data.shape
            and data.compression == "gzip"
            and data.shuffle
            and not data.fletcher32
            for data in stored
        )

    def _datasets(self, index: int) -> dict[str, Any]:
        """The arrays of a swath; a link to another place or file is none."""
        import h5py

        group = self.group(index)
        found = {}
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InputError(f"refused: {name} of {group.name} is a link: {self.path}")
            if group[name].chunks is not None:
                found[name] = group[name]
                if group[name].nbytes > LARGEST:
                    raise InputError(f"expected at most {LARGEST} bytes of {name}: {self.path}")
        return found

    def _read(self, index: int) -> Swath:
        try:
            arrays = {name: data[:] for name, data in self._datasets(index).items()}
        except (OSError, RuntimeError, KeyError, AttributeError, ValueError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            name, reason = self.entries[index].get("group"), " ".join(str(error).split())
            raise InputError(f"damaged: {name} in {self.path} ({reason})") from None
        return from_parts(self.entries[index], arrays)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __reduce__(self) -> Any:
        return Hdf5Archive, (self.path,)


def _create(group: Any, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """A dataset of one chunk, shuffled and deflated."""
    chunk = tuple(max(1, length) for length in shape)
    options = {"chunks": chunk, "shuffle": True, "compression": "gzip", "compression_opts": _LEVEL}
    if name.startswith("temperature"):
        options["fillvalue"] = FILL_VALUE if dtype == np.uint16 else np.nan if dtype.kind == "f" else 0
    return group.create_dataset(name, shape, dtype, **options)


def _marked(temperature: np.ndarray) -> np.ndarray:
    """Counts with one fill value, which is all that CF readers know; older archives have zeros."""
    counts = as_counts(temperature)
    missing = is_missing(counts) & (counts != FILL_VALUE)
    if counts.dtype.kind == "f" or not missing.any():
        return counts
    return np.where(missing, counts.dtype.type(FILL_VALUE), counts)


def _packed(array: np.ndarray) -> bytes:
    """The bytes of a chunk as the filters of HDF5 make them: shuffle, then deflate."""
    from isal import isal_zlib

    planes = np.ascontiguousarray(array.reshape(-1).view(np.uint8).reshape(-1, array.itemsize).T)
    return bytes(isal_zlib.compress(planes, _LEVEL))


def _describe(group: Any, name: str, said: Mapping[str, Any], channels: list[str]) -> None:
    """Attributes and dimension scales of one dataset."""
    dataset = group[name]
    what, _, which = name.partition("_")
    if name == "scan_times":
        attributes: dict[str, Any] = {"standard_name": "time", "units": _CF_TIME, "calendar": "standard"}
    elif what == "temperature":
        channel = which or (channels[0] if channels else "unknown")
        frequency = frequency_of(channel)
        scales = said.get("scale_factors") or {}
        attributes = temperature_attributes(channel)
        if dataset.dtype == np.uint16:
            attributes["scale_factor"] = float(scales.get(channel, said.get("scale_factor") or SCALE))
            attributes["_FillValue"] = np.uint16(FILL_VALUE)
        ending = f"_{frequency}" if f"latitude_{frequency}" in group else ""
        if f"latitude{ending}" in group:
            attributes["coordinates"] = f"scan_times latitude{ending} longitude{ending}"
    elif what in ("latitude", "longitude"):
        attributes = LATITUDE if what == "latitude" else LONGITUDE
    else:
        return
    for key, value in attributes.items():
        dataset.attrs[key] = value
    for axis, length in enumerate(dataset.shape):
        dimension = "scan" if axis == 0 else f"pixel_{length}"
        if dimension not in group:
            scale = group.create_dataset(dimension, data=np.arange(length, dtype=np.int32))
            scale.attrs["long_name"] = "scan number" if axis == 0 else "pixel number"
            scale.make_scale(dimension)
        dataset.dims[axis].attach_scale(group[dimension])
