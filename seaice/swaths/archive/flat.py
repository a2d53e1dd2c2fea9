"""The flat layout: a zip of one plain array a swath, and an index.

``swath_00012.npy`` is a structured array without dimensions, whose fields are the arrays of
the swath and its metadata as JSON; ``index.json`` repeats the metadata of all. No pickle:
``numpy.load(path)["swath_00012"]["temperature"]`` reads one swath and no other.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from seaice import InputError
from seaice.sources.amsr2.swath import (
    Swath,
    from_parts,
)
from seaice.swaths.archive.base import (
    INDEX,
    SwathArchive,
    described,
    entries_of,
    parsed,
    plain_npy,
    read_header,
)
from seaice.swaths.archive.zip_file import (
    Member,
    ZipReader,
    ZipWriter,
)

_METADATA = "metadata"


def member_name(index: int) -> str:
    """Name of the member that holds a swath."""
    return f"swath_{index:05d}.npy"


class FlatWriter:
    """Writes a flat archive; see :class:`seaice.swaths.archive.base.ArchiveWriter`.

    Parameters
    ----------
    path : Path
        Must not exist.
    """

    def __init__(self, path: Path) -> None:
        self._zip = ZipWriter(path)
        self._entries: list[dict[str, Any]] = []

    def add(self, swath: Swath) -> None:
        """Write a swath."""
        said = swath.summary()
        self._zip.add(self._next(said), _npy(said, swath.arrays()))

    def copy(self, archive: SwathArchive, index: int) -> None:
        """Write a swath of another archive; a flat one's bytes are taken as they are."""
        if not isinstance(archive, FlatArchive):
            self.add(archive[index])
            return
        member, content = archive.deflated(index)
        name = self._next(archive.entries[index])
        self._zip.add_deflated(Member(name, member.crc, member.compressed, member.size), content)

    def _next(self, said: Mapping[str, Any]) -> str:
        name = member_name(len(self._entries))
        self._entries.append({**said, "member": name})
        return name

    def finish(self, info: Mapping[str, Any]) -> None:
        """Write the index and close the file."""
        text = json.dumps(described(self._entries, "flat", info), indent=1, allow_nan=False)
        self._zip.add("period.npy", plain_npy(np.array(str(info.get("period", "")))))
        self._zip.add(INDEX, text.encode())
        self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.abandon()


class FlatArchive(SwathArchive):
    """A flat archive.

    Parameters
    ----------
    path : Path
    salvage : bool
        Where the end of the file is lost, take the swaths that are there.
    """

    layout = "flat"

    def __init__(self, path: Path, *, salvage: bool = False) -> None:
        self.path = path
        self._salvage = salvage
        self._zip = ZipReader(path, salvage=salvage)
        self.damage = self._zip.damage
        try:
            self.info, self.entries = self._index()
        except InputError as error:
            if not salvage:
                self._zip.close()
                raise
            self.damage = self.damage or str(error)
            self.info, self.entries = {}, self._entries_of_members()

    def _index(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        if INDEX not in self._zip.members:
            raise InputError(f"damaged: the archive has no {INDEX}: {self.path}")
        return entries_of(parsed(self._zip.read(INDEX), f"{INDEX} in {self.path}"), self.path)

    def _entries_of_members(self) -> list[dict[str, Any]]:
        """The metadata that stand in the swaths themselves."""
        entries = []
        names = [name for name in self._zip.members if name.startswith("swath_")]
        for name in sorted(names, key=lambda name: (len(name), name)):
            try:
                said = _parts(self._zip.read(name), name)[0]
            except InputError as error:
                said = {"damage": str(error)}
            entries.append({**said, "member": name})
        return entries

    def _member(self, index: int) -> str:
        name = str(self.entries[index].get("member"))
        if name not in self._zip.members:
            raise InputError(f"damaged: the member {name} is not in {self.path}")
        return name

    def deflated(self, index: int) -> tuple[Member, bytes]:
        """The member of a swath as it lies in the file."""
        return self._zip.deflated(self._member(index))

    def _read(self, index: int) -> Swath:
        name = self._member(index)
        said, arrays = _parts(self._zip.read(name), f"{name} in {self.path}")
        return from_parts(said, arrays)

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def __reduce__(self) -> Any:  # to a worker process by name
        return partial(FlatArchive, salvage=self._salvage), (self.path,)


def _npy(said: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    text = json.dumps(said, allow_nan=False).encode()
    fields: list[tuple[str, Any, tuple[int, ...]]] = [(_METADATA, f"S{len(text)}", ())]
    fields += [(name, array.dtype.newbyteorder("<"), array.shape) for name, array in arrays.items()]
    record = np.zeros((), np.dtype(fields))
    record[_METADATA] = text
    for name, array in arrays.items():
        record[name] = array
    return plain_npy(record)


def _parts(content: bytes, where: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Metadata and arrays of a member."""
    file = io.BytesIO(content)
    shape, dtype = read_header(file, where)
    if shape != () or dtype.names is None or dtype.hasobject:
        raise InputError(f"expected the fields of a swath, found {dtype} {shape}: {where}")
    if len(content) - file.tell() != dtype.itemsize:
        raise InputError(f"damaged: {where} is longer or shorter than its header says")
    record = np.frombuffer(content, dtype, count=1, offset=file.tell())[0]
    said = parsed(bytes(record[_METADATA]), where) if _METADATA in dtype.names else {}
    if not isinstance(said, dict):
        raise InputError(f"damaged: {where} has no metadata")
    return said, {name: record[name] for name in dtype.names if name != _METADATA}
