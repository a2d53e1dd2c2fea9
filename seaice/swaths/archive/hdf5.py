"""The HDF5 layout: one group for each swath, which h5py, netCDF4 and xarray can read.

Every group follows the CF conventions, so ``xarray.open_dataset(path, group=granule_id)``
gives kelvin, times and positions. The bytes of the numbers are sorted by significance
before they are deflated (shuffle), which makes noisy counts a quarter smaller. ISA-L deflates
them; the HDF5 library only stores the result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from seaice import InputError
from seaice.open_file import UnreadableFile, open_hdf5
from seaice.open_file.hdf5_damage import check_chunks
from seaice.sources.amsr2.swath import (
    FILL_VALUE,
    LATITUDE,
    LONGITUDE,
    SCALE,
    TIME_UNITS,
    Swath,
    as_counts,
    describe_temperature,
    from_parts,
    is_missing,
    name_positions,
)
from seaice.swaths.archive.base import (
    INDEX,
    LARGEST_ARRAY,
    LARGEST_INDEX,
    MOST_SWATHS,
    SwathArchive,
    make_index,
    parse_json,
)

_DEFLATE_LEVEL = 1
_METADATA = "metadata"
_LONGEST_NAME = 200  # characters of the name of a group
# Measurements never shrink as much as this when they are deflated, fill values in some swaths apart.
_MOST_INFLATION = 128
_FREE_INFLATION = 1 << 26  # bytes that any archive may inflate to
_CF_TIME = TIME_UNITS.replace("T", " ").removesuffix("Z")


class Hdf5Writer:
    """Writes an HDF5 archive; see :class:`seaice.swaths.archive.base.ArchiveWriter`.

    Parameters
    ----------
    path : Path
        A file that does not exist yet.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        self._file = h5py.File(path, "x", track_order=True)
        self._entries: list[dict[str, Any]] = []

    def add(self, swath: Swath) -> None:
        """Write a swath."""
        metadata = swath.summarise()
        group = self._create_group(metadata)
        for name, array in swath.name_arrays().items():
            if name.startswith("temperature"):
                array = _unify_missing(array)
            values = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
            dataset = _create_dataset(group, name, values.shape, values.dtype)
            if values.size:
                dataset.id.write_direct_chunk((0,) * values.ndim, _compress(values))
        _describe_group(group, metadata)

    def copy(self, archive: SwathArchive, index: int) -> None:
        """Write a swath of another archive; the chunks of an HDF5 archive are copied as they are."""
        if not isinstance(archive, Hdf5Archive) or not archive.has_own_chunks(index):
            self.add(archive[index])
            return
        metadata = {key: value for key, value in archive.entries[index].items() if key != "group"}
        group = self._create_group(metadata)
        for name, source in archive.get_group(index).items():
            if source.chunks is None:
                continue  # a dimension without values; _describe_group creates it
            dataset = _create_dataset(group, name, source.shape, source.dtype)
            filter_mask, content = source.id.read_direct_chunk((0,) * source.ndim)
            dataset.id.write_direct_chunk((0,) * source.ndim, content, filter_mask)
        _describe_group(group, metadata)

    def _create_group(self, metadata: Mapping[str, Any]) -> Any:
        name = _name_group(metadata) or f"swath_{len(self._entries):05d}"
        while name in self._file or name == INDEX:
            name += "_again"  # an archive may hold a granule twice: verify_archive.py reports it
        self._entries.append({**metadata, "group": name})
        return self._file.create_group(name, track_order=True)

    def finish(self, info: Mapping[str, Any]) -> None:
        """Write the index and close the file."""
        text = json.dumps(make_index(self._entries, "hdf5", info), allow_nan=False).encode()
        octets = np.frombuffer(text, np.uint8)
        self._file.create_dataset(INDEX, data=octets, compression="gzip", compression_opts=1)
        self._file.attrs["Conventions"] = "CF-1.11"
        for key in ("title", "period", "source", "institution", "history", "references", "complete"):
            if key in info:
                self._file.attrs[key] = _make_storable(str(info[key]))
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _name_group(metadata: Mapping[str, Any]) -> str:
    """Name of the group of a swath: its granule id, as far as HDF5 can name a group so."""
    name = _make_storable(str(metadata.get("granule_id") or "")).replace("/", "_")
    return name[:_LONGEST_NAME] if name.strip(".") else ""


def _make_storable(text: str) -> str:
    """A text without what HDF5 cannot store in one: zeros, and halves of characters."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")


class Hdf5Archive(SwathArchive):
    """An HDF5 archive.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        If the file cannot be opened or is no archive.
    """

    layout = "hdf5"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = path.stat().st_size
        self._bytes, self._counted = 0, set[int]()  # of the arrays of swaths that were read, inflated
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
            content = parse_json(index[:].tobytes(), f"{INDEX} in {path}")
            self.info, self.entries = _split_index(content, path)
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._file.close()
            if isinstance(error, InputError):
                raise
            reason = " ".join(str(error).split())
            raise InputError(
                f"damaged: the index of the archive cannot be read ({reason}): {path}"
            ) from None

    def get_group(self, index: int) -> Any:
        """The HDF5 group of a swath."""
        name = str(self.entries[index].get("group"))
        if name not in self._file:
            raise InputError(f"damaged: the group {name} is not in {self.path}")
        return self._file[name]

    def has_own_chunks(self, index: int) -> bool:
        """Whether the chunks of a swath are as this module writes them; other programs may repack."""
        return all(
            dataset.chunks == dataset.shape
            and dataset.compression == "gzip"
            and dataset.shuffle
            and not dataset.fletcher32
            for dataset in self._list_datasets(index).values()
        )

    def _list_datasets(self, index: int) -> dict[str, Any]:
        """The arrays of a swath by name; links, which may lead to other files, are refused."""
        import h5py

        group = self.get_group(index)
        datasets: dict[str, Any] = {}
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InputError(f"refused: {name} of {group.name} is a link: {self.path}")
            if group[name].chunks is not None:
                datasets[name] = group[name]
                if group[name].nbytes > LARGEST_ARRAY:
                    raise InputError(f"expected at most {LARGEST_ARRAY} bytes of {name}: {self.path}")
        if index not in self._counted:
            self._counted.add(index)
            self._bytes += sum(dataset.nbytes for dataset in datasets.values())
        if self._bytes > _MOST_INFLATION * self._size + _FREE_INFLATION:
            raise InputError(f"refused: {self.path} inflates to far more than measurements would")
        return datasets

    def _read(self, index: int) -> Swath:
        try:
            datasets = self._list_datasets(index)
            for dataset in datasets.values():
                check_chunks(dataset, written_whole=True)
            arrays = {name: dataset[:] for name, dataset in datasets.items()}
        except (OSError, RuntimeError, KeyError, AttributeError, ValueError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            name, reason = self.entries[index].get("group"), " ".join(str(error).split())
            raise InputError(f"damaged: {name} in {self.path} ({reason})") from None
        return from_parts(self.entries[index], arrays)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __reduce__(self) -> Any:  # a worker process opens the file again
        return Hdf5Archive, (self.path,)


def _split_index(index: Any, path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Description of an archive and metadata of its swaths.

    Raises
    ------
    InputError
        If the index does not describe an archive.
    """
    if not isinstance(index, dict) or not isinstance(index.get("swaths"), list):
        raise InputError(f"expected the index of a swath archive, found something else: {path}")
    entries = index.pop("swaths")
    if not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"damaged: the index of the archive lists no swaths: {path}")
    groups = {str(entry.get("group")) for entry in entries}
    if len(groups) < len(entries) or len(entries) > MOST_SWATHS:
        raise InputError(f"damaged: the index of the archive lists a swath more than once: {path}")
    return index, entries


def _create_dataset(group: Any, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """A dataset of one chunk, shuffled and deflated."""
    chunk = tuple(max(1, length) for length in shape)
    options: dict[str, Any] = {"chunks": chunk, "shuffle": True}
    options |= {"compression": "gzip", "compression_opts": _DEFLATE_LEVEL}
    if name.startswith("temperature"):
        options["fillvalue"] = FILL_VALUE if dtype == np.uint16 else np.nan if dtype.kind == "f" else 0
    return group.create_dataset(name, shape, dtype, **options)


def _unify_missing(temperature: np.ndarray) -> np.ndarray:
    """Counts with a single fill value, as CF readers need; older archives also have zeros."""
    counts = as_counts(temperature)
    missing = is_missing(counts) & (counts != FILL_VALUE)
    if counts.dtype.kind == "f" or not missing.any():
        return counts
    return np.where(missing, counts.dtype.type(FILL_VALUE), counts)


def _compress(array: np.ndarray) -> bytes:
    """The bytes of a chunk as the filters of HDF5 produce them.

    The shuffle filter stores the first byte of every number, then the second byte of every
    number, and so on; the deflate filter compresses the result.
    """
    from isal import isal_zlib

    octets = array.reshape(-1).view(np.uint8).reshape(-1, array.itemsize)
    return bytes(isal_zlib.compress(np.ascontiguousarray(octets.T), _DEFLATE_LEVEL))


def _describe_group(group: Any, metadata: Mapping[str, Any]) -> None:
    """Write the metadata, the CF attributes and the dimensions of a swath into its group."""
    group.attrs["Conventions"] = "CF-1.11"
    group.attrs["granule_id"] = _make_storable(str(metadata.get("granule_id") or ""))
    group.attrs["orbit_type"] = _make_storable(str(metadata.get("orbit_type") or "U"))
    group.attrs[_METADATA] = json.dumps(metadata, allow_nan=False)
    for name in list(group):
        attributes = _make_attributes(group, name, metadata)
        if attributes is not None:
            group[name].attrs.update(attributes)
            _attach_dimensions(group, name)


def _make_attributes(group: Any, name: str, metadata: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """CF attributes of a dataset; None if its name is not one of ours."""
    quantity, _, ending = name.partition("_")
    if name == "scan_times":
        return {"standard_name": "time", "units": _CF_TIME, "calendar": "standard"}
    if quantity in ("latitude", "longitude"):
        return LATITUDE if quantity == "latitude" else LONGITUDE
    if quantity != "temperature":
        return None
    channel = ending or next(iter(metadata.get("channels") or []), "unknown")
    attributes = describe_temperature(channel)
    if group[name].dtype == np.uint16:
        scales = metadata.get("scale_factors") or {}
        scale = scales.get(channel, metadata.get("scale_factor") or SCALE)
        attributes |= {"scale_factor": float(scale), "_FillValue": np.uint16(FILL_VALUE)}
    # Positions have the frequency in their names where the swath has those of several.
    positions = name_positions(channel)
    ending = f"_{positions}" if f"latitude_{positions}" in group else ""
    if f"latitude{ending}" in group:
        attributes["coordinates"] = f"scan_times latitude{ending} longitude{ending}"
    return attributes


def _attach_dimensions(group: Any, name: str) -> None:
    """Give the axes of a dataset names; xarray and netCDF4 need them."""
    dataset = group[name]
    for axis, length in enumerate(dataset.shape):
        dimension = "scan" if axis == 0 else f"pixel_{length}"
        if dimension not in group:
            scale = group.create_dataset(dimension, data=np.arange(length, dtype=np.int32))
            scale.attrs["long_name"] = "scan number" if axis == 0 else "pixel number"
            scale.make_scale(dimension)
        dataset.dims[axis].attach_scale(group[dimension])
