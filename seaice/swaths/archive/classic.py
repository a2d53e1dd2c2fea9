"""The classic layout: an npz file with one pickled array of dictionaries.

``numpy.load(path, allow_pickle=True)["swath_array"]`` gives the dictionaries with
``temperature`` (raw counts), ``metadata`` and, with coordinates, ``latitude`` and
``longitude``. It cannot be read in parts, and loading it with numpy runs what the file
says; :class:`ClassicArchive` does neither.
"""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from seaice import InputError
from seaice.sources.amsr2.swath import (
    TIME_UNITS,
    Swath,
    as_text,
    from_parts,
)
from seaice.swaths.archive.base import (
    INDEX,
    MOST_SWATHS,
    SwathArchive,
    described,
    parsed,
    plain_npy,
    read_header,
    read_text,
)
from seaice.swaths.archive.spill import (
    Spill,
    SpilledArray,
)
from seaice.swaths.archive.unpickling import (
    RefusedPickle,
    SafeUnpickler,
)
from seaice.swaths.archive.zip_file import (
    MemberStream,
    ZipReader,
    ZipWriter,
)

MEMBER = "swath_array.npy"
_PROTOCOL = 3  # its memo has explicit places: swaths pickled one by one can follow each other

# A pickled array of n objects, without the objects. The names are those that every version
# of numpy reads without a warning.
_BEFORE = (
    b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    b"(K\x01J%s\x85cnumpy\ndtype\nX\x02\x00\x00\x00O8\x89\x88\x87R"
    b"(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb\x89]"
)
_AFTER = b"tb."
_CHECKSUMS = "crc32"
_FEW = 16  # numbers of an array that is a fact and no measurement


class ClassicWriter:
    """Writes a classic archive as a stream; see :class:`seaice.swaths.archive.base.ArchiveWriter`.

    Parameters
    ----------
    path : Path
        Must not exist.
    count : int
        Number of swaths, which stands before them in the file.
    """

    def __init__(self, path: Path, *, count: int) -> None:
        self._zip = ZipWriter(path)
        self._entries: list[dict[str, Any]] = []
        self._count = count
        self._stream: MemberStream = self._zip.stream(MEMBER)
        header = {"descr": "|O", "fortran_order": False, "shape": (count,)}
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, header)
        self._stream.write(buffer.getvalue())
        self._stream.write(_BEFORE.replace(b"%s", count.to_bytes(4, "little")))

    def add(self, swath: Swath) -> None:
        """Write a swath."""
        said = swath.summary()
        self._entries.append(said)
        pickled = pickle.dumps(_dictionary(swath, said), _PROTOCOL)
        self._stream.write(memoryview(pickled)[2:-1])  # without its own beginning and end
        self._stream.write(b"a")

    def copy(self, archive: SwathArchive, index: int) -> None:
        """Write a swath of another archive."""
        self.add(archive[index])

    def finish(self, info: Mapping[str, Any]) -> None:
        """Write the description and close the file."""
        if len(self._entries) != self._count:
            raise ValueError(f"expected {self._count} swaths, found {len(self._entries)}")
        self._stream.write(_AFTER)
        self._stream.close()
        plain = {
            "period": np.array(str(info.get("period", ""))),
            "num_swaths": np.array(self._count),
            "description": np.array(str(info.get("title", ""))),
        }
        for name, array in plain.items():
            self._zip.add(f"{name}.npy", plain_npy(array))
        text = json.dumps(described(self._entries, "swath_array", info), indent=1, allow_nan=False)
        self._zip.add(INDEX, text.encode())
        self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.abandon()


def _dictionary(swath: Swath, said: dict[str, Any]) -> dict[str, Any]:
    """A swath as the dictionary of the classic layout."""
    # Objects of our own making: a pickle tells whether two equal ones were one, so that where
    # a swath came from would show in the bytes.
    said = json.loads(json.dumps(said))
    arrays = {
        name: np.ascontiguousarray(array).view(np.dtype(array.dtype.str))
        for name, array in swath.arrays().items()
    }
    metadata: dict[str, Any] = {
        **said,
        "shape": tuple(said["shape"]),
        "temp_range": tuple(said["temp_range"] or (np.nan, np.nan)),
        # That of the member says that something is damaged, but not which swath.
        _CHECKSUMS: {name: _checksum(array) for name, array in arrays.items()},
    }
    if "scan_times" in arrays:
        metadata |= {"scan_times": arrays.pop("scan_times"), "scan_time_units": TIME_UNITS}
    first = {}
    for what in ("temperature", "latitude", "longitude"):
        several = [name for name in arrays if name.startswith(what + "_")]
        if several:  # the first one also under the name that older programs know: stored once
            first[what] = arrays[several[0]]
    return {**first, **arrays, "metadata": metadata}


class ClassicArchive(SwathArchive):
    """A classic archive, read once and kept on the disk while it is open.

    O(file size) to open, O(1) to read a swath; memory for one array and the metadata.

    Parameters
    ----------
    path : Path
    salvage : bool
        Where the file is damaged, take the swaths that come before the damage.
    spill_dir : Path, optional
        Folder for the arrays; that of the archive by default, where one may write there.

    Raises
    ------
    InputError
        If the file is damaged, holds no swaths, or its pickle asks for anything else than
        arrays, numbers, texts and plain containers.
    """

    layout = "swath_array"
    _spill: Spill | None = None

    def __init__(self, path: Path, *, salvage: bool = False, spill_dir: Path | None = None) -> None:
        self.path = path
        self._options: dict[str, Any] = {"salvage": salvage, "spill_dir": spill_dir}
        self._zip = ZipReader(path, salvage=salvage)
        self.damage = self._zip.damage
        folder = spill_dir or (
            path.absolute().parent if os.access(path.absolute().parent, os.W_OK) else None
        )
        try:
            self._spill = spill = Spill(folder)
            self._swaths = self._load(spill, salvage=salvage)
            self.info = self._description()
            self.entries = self._metadata(spill.room)
        except BaseException:
            self.close()
            raise

    def _load(self, spill: Spill, *, salvage: bool) -> list[dict[str, Any]]:
        reader: SafeUnpickler | None = None
        try:
            with self._pickle() as file:
                reader = SafeUnpickler(file, spill)
                swaths = reader.load()
                if file.read(1):
                    raise InputError(f"damaged: something follows the swaths in {self.path}")
        except InputError as error:
            found = error
            if isinstance(error, RefusedPickle):
                found = self._damage() or error
            reason = str(found)
            if not salvage or isinstance(found, RefusedPickle):
                reason = reason if str(self.path) in reason else f"{reason}: {self.path}"
                raise type(found)(reason) from None
            self.damage = self.damage or f"{reason}; only checksums of swaths tell which it hit"
            swaths = reader.whole_dicts() if reader else []
        if not isinstance(swaths, list):
            raise InputError(f"expected an array of swaths, found {type(swaths).__name__}: {self.path}")
        if len(swaths) > MOST_SWATHS:
            raise InputError(f"expected at most {MOST_SWATHS} swaths, found {len(swaths)}: {self.path}")
        return [swath if isinstance(swath, dict) else {} for swath in swaths]

    def _damage(self) -> InputError | None:
        """What is wrong with the bytes of the member: damage can look like malice."""
        try:
            with self._zip.stream(MEMBER) as stream:
                while stream.read(1 << 20):
                    pass
        except InputError as error:
            return error
        return None

    def _metadata(self, room: int) -> list[dict[str, Any]]:
        """The metadata of all swaths without arrays, in the types of JSON."""
        left = [room]
        try:
            return [_plain(_said(stored), left) for stored in self._swaths]
        except RecursionError:
            raise InputError(f"damaged: metadata within metadata without end: {self.path}") from None

    @contextmanager
    def _pickle(self) -> Iterator[IO[bytes]]:
        """The pickle inside the member, behind the header that numpy writes."""
        if MEMBER not in self._zip.members:
            there = ", ".join(list(self._zip.members)[:8]) or "nothing"
            raise InputError(f"expected the array «swath_array», found {there}: {self.path}")
        with self._zip.stream(MEMBER) as stream:
            dtype = read_header(stream, f"«swath_array» in {self.path}")[1]
            if not dtype.hasobject:
                raise InputError(f"expected an array of dictionaries, found {dtype}: {self.path}")
            yield stream

    def _description(self) -> dict[str, Any]:
        """The index without its entries; of an old archive what its members say."""
        if INDEX in self._zip.members:
            try:
                index = parsed(self._zip.read(INDEX), f"{INDEX} in {self.path}")
                return {key: value for key, value in dict(index).items() if key != "swaths"}
            except (ValueError, TypeError) as error:
                self.damage = self.damage or str(error)
        try:
            return {"period": read_text(self._zip.read("period.npy"), "period")}
        except (KeyError, InputError):
            return {}

    def _read(self, index: int) -> Swath:
        stored = self._swaths[index]
        arrays = {
            name: value.load() for name, value in stored.items() if isinstance(value, SpilledArray)
        }
        times = _said(stored).get("scan_times")
        if isinstance(times, SpilledArray):
            arrays["scan_times"] = times.load()
        said = dict(self.entries[index])
        checksums = said.pop(_CHECKSUMS, None)
        for name, expected in checksums.items() if isinstance(checksums, dict) else ():
            if name not in arrays or _checksum(arrays[name]) != expected:
                raise InputError(f"damaged: the checksum of {name} in swath {index} of {self.path}")
        return from_parts(said, arrays)

    def close(self) -> None:
        """Close the file and give the space on the disk back."""
        self._zip.close()
        if self._spill is not None:
            self._spill.close()

    def __reduce__(self) -> Any:
        return partial(ClassicArchive, **self._options), (self.path,)


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).data)


def _said(stored: dict[str, Any]) -> dict[str, Any]:
    said = stored.get("metadata")
    return said if isinstance(said, dict) else {}


def _plain(value: Any, left: list[int]) -> Any:
    """A value in the types of JSON, where NaN and long arrays have no place.

    ``left`` counts down: shared containers would grow without end when they are copied.
    """
    left[0] -= 1
    if left[0] < 0:
        raise RecursionError
    if isinstance(value, SpilledArray):
        return _plain(value.load().tolist(), left) if math.prod(value.shape) <= _FEW else None
    if isinstance(value, dict):
        return {str(key): _plain(each, left) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, left) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return as_text(value)
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    return value if value is None or isinstance(value, str | int) else str(value)
