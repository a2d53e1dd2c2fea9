"""The classic layout: an npz file with one pickled array of dictionaries.

``numpy.load(path, allow_pickle=True)["swath_array"]`` gives the dictionaries with
``temperature`` (raw counts), ``metadata`` and, with coordinates, ``latitude`` and
``longitude``. It cannot be read in parts, and loading it with numpy runs what the file
says; :class:`ClassicArchive` does neither.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from seaice import InputError
from seaice.archive.base import INDEX, SwathArchive, described
from seaice.archive.flat import plain_npy
from seaice.archive.unpickling import SafeUnpickler, Spill, SpilledArray
from seaice.archive.zip_file import MemberStream, ZipReader, ZipWriter
from seaice.swath import TIME_UNITS, Swath, from_parts

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


class ClassicWriter:
    """Writes a classic archive as a stream; see :class:`seaice.archive.base.ArchiveWriter`.

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
    arrays = {name: np.ascontiguousarray(array) for name, array in swath.arrays().items()}
    metadata: dict[str, Any] = {
        **said,
        "shape": tuple(said["shape"]),
        "temp_range": tuple(said["temp_range"] or (np.nan, np.nan)),
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

    def __init__(self, path: Path, *, salvage: bool = False, spill_dir: Path | None = None) -> None:
        self.path = path
        self._spill_dir = spill_dir
        self._zip = ZipReader(path, salvage=salvage)
        self.damage = self._zip.damage
        folder = spill_dir or (
            path.absolute().parent if os.access(path.absolute().parent, os.W_OK) else None
        )
        self._spill = Spill(folder)
        try:
            self._swaths = self._load(salvage=salvage)
            self.info = self._description()
        except BaseException:
            self.close()
            raise
        self.entries = [_metadata(swath) for swath in self._swaths]

    def _load(self, *, salvage: bool) -> list[dict[str, Any]]:
        reader: SafeUnpickler | None = None
        try:
            with self._pickle() as file:
                reader = SafeUnpickler(file, self._spill)
                swaths = reader.load()
                if file.read(1):
                    raise InputError(f"damaged: something follows the swaths in {self.path}")
        except (zipfile.BadZipFile, zlib.error, EOFError, InputError) as error:
            reason = str(error) if isinstance(error, InputError) else f"damaged: {error}"
            if not salvage or type(error).__name__ == "RefusedPickle":
                raise type(error if isinstance(error, InputError) else InputError(""))(
                    f"{reason}: {self.path}" if str(self.path) not in reason else reason
                ) from None
            self.damage = self.damage or reason
            swaths = reader.whole_dicts() if reader else []
        if not isinstance(swaths, list):
            raise InputError(f"expected an array of swaths, found {type(swaths).__name__}: {self.path}")
        return [swath if isinstance(swath, dict) else {} for swath in swaths]

    @contextmanager
    def _pickle(self) -> Iterator[IO[bytes]]:
        """The pickle inside the member, behind the header that numpy writes."""
        if MEMBER not in self._zip.members:
            there = ", ".join(list(self._zip.members)[:8]) or "nothing"
            raise InputError(f"expected the array «swath_array», found {there}: {self.path}")
        with self._zip.stream(MEMBER) as stream:
            try:
                version = np.lib.format.read_magic(stream)
                read = np.lib.format.read_array_header_1_0
                if version != (1, 0):
                    read = np.lib.format.read_array_header_2_0
                dtype = read(stream)[2]
            except (ValueError, SyntaxError, TypeError) as error:
                reason = " ".join(str(error).split())[:100]
                raise InputError(f"damaged: «swath_array» is no array ({reason}): {self.path}") from None
            if not dtype.hasobject:
                raise InputError(f"expected an array of dictionaries, found {dtype}: {self.path}")
            yield stream

    def _description(self) -> dict[str, Any]:
        """The index without its entries; of an old archive what its members say."""
        if INDEX in self._zip.members:
            try:
                index = json.loads(self._zip.read(INDEX))
                return {key: value for key, value in index.items() if key != "swaths"}
            except (ValueError, InputError, AttributeError) as error:
                self.damage = self.damage or str(error)
        try:
            content = self._zip.read("period.npy")
            period = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
            return {"period": str(period)}
        except (KeyError, ValueError, InputError):
            return {}

    def _read(self, index: int) -> Swath:
        stored = self._swaths[index]
        arrays = {
            name: value.load() for name, value in stored.items() if isinstance(value, SpilledArray)
        }
        times = _said(stored).get("scan_times")
        if isinstance(times, SpilledArray):
            arrays["scan_times"] = times.load()
        return from_parts(self.entries[index], arrays)

    def close(self) -> None:
        """Close the file and give the space on the disk back."""
        self._zip.close()
        self._spill.close()

    def __reduce__(self) -> Any:
        return ClassicArchive, (self.path,)


def _said(stored: dict[str, Any]) -> dict[str, Any]:
    said = stored.get("metadata")
    return said if isinstance(said, dict) else {}


def _metadata(stored: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a swath without arrays, in the types of JSON."""
    said = {}
    for key, value in _said(stored).items():
        if isinstance(value, SpilledArray):
            if value.shape == () or value.shape == (1,):
                said[str(key)] = value.load().ravel()[0].item()
            continue
        said[str(key)] = list(value) if isinstance(value, tuple) else value
    return said
