"""The classic layout: an npz file with one pickled array of dictionaries.

``numpy.load(path, allow_pickle=True)["swath_array"]`` gives the dictionaries with
``temperature`` (raw counts), ``metadata`` and, with coordinates, ``latitude`` and
``longitude``. The file cannot be read in parts, and numpy runs whatever the pickle asks for.
:class:`ClassicArchive` reads it once, runs nothing, and keeps the arrays in a temporary file.
"""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date, time
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from seaice import InputError
from seaice.sources.amsr2.swath import (
    TIME_UNITS,
    Swath,
    from_parts,
)
from seaice.swaths.archive.base import (
    INDEX,
    LARGEST_INDEX,
    MOST_SWATHS,
    SwathArchive,
    make_index,
    parse_json,
)
from seaice.swaths.archive.spill import (
    SpilledArray,
    SpillFile,
)
from seaice.swaths.archive.unpickling import (
    RefusedPickle,
    SafeUnpickler,
)
from seaice.swaths.archive.zip_file import ZipReader

MEMBER = "swath_array.npy"
# A higher level takes three times as long and makes the noise of a radiometer no smaller.
_DEFLATE_LEVEL = 1

# The array is written as a stream, so that one swath is in memory at a time. Its pickle is that of
# numpy.ndarray with its list of objects still open; then each swath follows as a pickle of its own
# without the first two bytes (protocol) and the last one (end), and an operation that appends it
# to the list. Protocol 3 numbers what it memorises, so that each of these pickles may use the
# numbers of the one before. The names are those that every version of numpy reads without a warning.
_PROTOCOL = 3
_PICKLE_START = (
    b"\x80\x03"  # protocol 3
    b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"  # an empty array
    b"(K\x01J%s\x85"  # its state begins: version 1, shape (count,) ...
    b"cnumpy\ndtype\nX\x02\x00\x00\x00O8\x89\x88\x87R"  # ... dtype object, with a state of its own ...
    b"(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"
    b"\x89]"  # ... not in Fortran order, and a list of objects
)
_APPEND = b"a"
_PICKLE_END = b"tb."  # the state ends, becomes that of the array, and the pickle ends
_CHECKSUMS = "crc32"
_FEW_NUMBERS = 16  # an array with no more numbers is metadata and no measurement


class ClassicWriter:
    """Writes a classic archive as a stream; see :class:`seaice.swaths.archive.base.ArchiveWriter`.

    Parameters
    ----------
    path : Path
        A file that does not exist yet.
    count : int
        Number of swaths. The file states it before them.
    """

    def __init__(self, path: Path, *, count: int) -> None:
        self._zip = zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED, compresslevel=_DEFLATE_LEVEL)
        self._stream = self._zip.open(MEMBER, "w", force_zip64=True)
        self._entries: list[dict[str, Any]] = []
        self._count = count
        header = {"descr": "|O", "fortran_order": False, "shape": (count,)}
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, header)
        self._stream.write(buffer.getvalue())
        self._stream.write(_PICKLE_START.replace(b"%s", count.to_bytes(4, "little")))

    def add(self, swath: Swath) -> None:
        """Write a swath."""
        metadata = swath.summarise()
        self._entries.append(metadata)
        pickled = pickle.dumps(_make_dictionary(swath, metadata), _PROTOCOL)
        self._stream.write(memoryview(pickled)[2:-1])
        self._stream.write(_APPEND)

    def copy(self, archive: SwathArchive, index: int) -> None:
        """Write a swath of another archive."""
        self.add(archive[index])

    def finish(self, info: Mapping[str, Any]) -> None:
        """Write the description and close the file."""
        if len(self._entries) != self._count:
            raise ValueError(f"expected {self._count} swaths, found {len(self._entries)}")
        self._stream.write(_PICKLE_END)
        self._stream.close()
        facts = {
            "period": np.array(str(info.get("period", ""))),
            "num_swaths": np.array(self._count),
            "description": np.array(str(info.get("title", ""))),
        }
        for name, array in facts.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            self._add_member(f"{name}.npy", buffer.getvalue())
        text = json.dumps(make_index(self._entries, "swath_array", info), indent=1, allow_nan=False)
        self._add_member(INDEX, text.encode())
        self._zip.close()

    def _add_member(self, name: str, content: bytes) -> None:
        # Unlike ``writestr`` this writes no time of day: equal content makes equal files.
        with self._zip.open(name, "w") as member:
            member.write(content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        # Nothing happens after ``finish``. Before it, the file is left as it is, whatever it lacks.
        with suppress(OSError, ValueError):
            self._stream.close()
        with suppress(OSError, ValueError):
            self._zip.close()


def _make_dictionary(swath: Swath, metadata: dict[str, Any]) -> dict[str, Any]:
    """Dictionary of the classic layout for a swath."""
    # A pickle shows whether two equal objects are one object. Copies of our own make the bytes
    # independent of where a swath came from.
    metadata = json.loads(json.dumps(metadata))
    arrays = {
        name: np.ascontiguousarray(array).view(np.dtype(array.dtype.str))
        for name, array in swath.name_arrays().items()
    }
    metadata |= {
        "shape": tuple(metadata["shape"]),
        "temp_range": tuple(metadata["temp_range"] or (np.nan, np.nan)),
        # The checksum of the member shows damage, but not which swath is damaged.
        _CHECKSUMS: {name: _compute_checksum(array) for name, array in arrays.items()},
    }
    if "scan_times" in arrays:
        metadata |= {"scan_times": arrays.pop("scan_times"), "scan_time_units": TIME_UNITS}
    # Older programs know the first channel and frequency by a name without ending. The pickle
    # stores the array once.
    first = {}
    for quantity in ("temperature", "latitude", "longitude"):
        names = [name for name in arrays if name.startswith(quantity + "_")]
        if names:
            first[quantity] = arrays[names[0]]
    return {**first, **arrays, "metadata": metadata}


class ClassicArchive(SwathArchive):
    """A classic archive, read once and kept in a temporary file while it is open.

    Opening takes O(file size), reading a swath O(1), with memory for one array and the metadata.

    Parameters
    ----------
    path : Path
    salvage : bool
        Where the file is damaged, keep the swaths before the damage.
    spill_dir : Path, optional
        Folder for the temporary file; the folder of the archive by default, or that of the system
        where the former cannot be written.

    Raises
    ------
    InputError
        If the file is damaged, holds no swaths, or its pickle asks for anything else than
        arrays, numbers, texts and plain containers.
    """

    layout = "swath_array"
    _spill: SpillFile | None = None

    def __init__(self, path: Path, *, salvage: bool = False, spill_dir: Path | None = None) -> None:
        self.path = path
        self._options: dict[str, Any] = {"salvage": salvage, "spill_dir": spill_dir}
        self._zip = ZipReader(path, salvage=salvage)
        self.damage = self._zip.damage
        parent = path.absolute().parent
        try:
            if MEMBER not in self._zip.members:
                members = ", ".join(list(self._zip.members)[:4]) or "nothing"
                raise InputError(
                    "expected a swath archive (npz with the array «swath_array», or HDF5), "
                    f"found a zip file with {members}: {path}"
                )
            self._spill = SpillFile(spill_dir or (parent if os.access(parent, os.W_OK) else None))
            self._dictionaries = self._load_dictionaries(self._spill, salvage=salvage)
            self.info = self._read_info()
            self.entries = self._collect_metadata(self._spill.most_values)
        except BaseException:
            self.close()
            raise

    def _load_dictionaries(self, spill: SpillFile, *, salvage: bool) -> list[dict[str, Any]]:
        unpickler: SafeUnpickler | None = None
        try:
            with self._open_pickle() as file:
                unpickler = SafeUnpickler(file, spill)
                swaths = unpickler.load()
                if file.read(1):
                    raise InputError(f"damaged: something follows the swaths in {self.path}")
        except InputError as error:
            cause = error
            if isinstance(error, RefusedPickle):  # flipped bits can look like a hostile pickle
                cause = self._find_damage() or error
            reason = str(cause)
            if not salvage or isinstance(cause, RefusedPickle):
                reason = reason if str(self.path) in reason else f"{reason}: {self.path}"
                raise type(cause)(reason) from None
            self.damage = self.damage or f"{reason}; only the checksums of swaths show which it hit"
            swaths = unpickler.list_dictionaries() if unpickler else []
        if not isinstance(swaths, list):
            raise InputError(f"expected an array of swaths, found {type(swaths).__name__}: {self.path}")
        if len(swaths) > MOST_SWATHS:
            raise InputError(f"expected at most {MOST_SWATHS} swaths, found {len(swaths)}: {self.path}")
        return [swath if isinstance(swath, dict) else {} for swath in swaths]

    def _find_damage(self) -> InputError | None:
        """Damage of the bytes of the member; None if its checksum is right."""
        try:
            with self._zip.stream(MEMBER) as stream:
                while stream.read(1 << 20):
                    pass
        except InputError as error:
            return error
        return None

    @contextmanager
    def _open_pickle(self) -> Iterator[IO[bytes]]:
        """The pickle inside the member, behind the header that numpy writes."""
        with self._zip.stream(MEMBER) as stream:
            dtype = read_npy_header(stream, f"«swath_array» in {self.path}")[1]
            if not dtype.hasobject:
                raise InputError(f"expected an array of dictionaries, found {dtype}: {self.path}")
            yield stream

    def _read_info(self) -> dict[str, Any]:
        """The index without the swaths; of an old archive its period."""
        if INDEX in self._zip.members:
            try:
                content = self._zip.read(INDEX, limit=LARGEST_INDEX)
                index = parse_json(content, f"{INDEX} in {self.path}")
                return {key: value for key, value in dict(index).items() if key != "swaths"}
            except (ValueError, TypeError) as error:
                self.damage = self.damage or str(error)
        try:
            return {"period": read_npy_text(self._zip.read("period.npy", limit=LARGEST_INDEX), "period")}
        except (KeyError, InputError):
            return {}

    def _collect_metadata(self, most_values: int) -> list[dict[str, Any]]:
        """The metadata of all swaths in the types of JSON, without long arrays."""
        budget = [most_values]
        try:
            return [to_json(_get_metadata(dictionary), budget) for dictionary in self._dictionaries]
        except RecursionError:
            raise InputError(f"damaged: metadata within metadata without end: {self.path}") from None

    def _read(self, index: int) -> Swath:
        dictionary = self._dictionaries[index]
        arrays = {
            name: value.load() for name, value in dictionary.items() if isinstance(value, SpilledArray)
        }
        times = _get_metadata(dictionary).get("scan_times")
        if isinstance(times, SpilledArray):
            arrays["scan_times"] = times.load()
        metadata = dict(self.entries[index])
        checksums = metadata.pop(_CHECKSUMS, None)
        for name, checksum in checksums.items() if isinstance(checksums, dict) else ():
            if name not in arrays or _compute_checksum(arrays[name]) != checksum:
                raise InputError(f"damaged: the checksum of {name} in swath {index} of {self.path}")
        return from_parts(metadata, arrays)

    def close(self) -> None:
        """Close the archive and remove the temporary file."""
        self._zip.close()
        if self._spill is not None:
            self._spill.close()

    def __reduce__(self) -> Any:  # a worker process opens the file again
        return partial(ClassicArchive, **self._options), (self.path,)


def _compute_checksum(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).data)


def _get_metadata(dictionary: dict[str, Any]) -> dict[str, Any]:
    metadata = dictionary.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def to_json(value: Any, budget: list[int]) -> Any:
    """A value in the types of JSON; NaN and long arrays become None.

    ``budget`` holds the number of values that may still be converted: containers that share each
    other would grow without end when they are copied.
    """
    budget[0] -= 1
    if budget[0] < 0:
        raise RecursionError
    if isinstance(value, SpilledArray):
        is_long = math.prod(max(1, length) for length in value.shape) > _FEW_NUMBERS
        return None if is_long else to_json(value.load().tolist(), budget)
    if isinstance(value, dict):
        return {str(key): to_json(item, budget) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item, budget) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    return value if value is None or isinstance(value, str | int) else str(value)


def read_npy_header(file: IO[bytes], label: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of the array that follows in a .npy file.

    Raises
    ------
    InputError
        If the file does not begin as numpy's files do.
    """
    try:
        version = np.lib.format.read_magic(file)  # type: ignore[arg-type]
        read: Any = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except InputError:
        raise
    # A header is a text that numpy gives to the parser of Python, which may raise anything.
    except Exception as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"damaged: {label} is no array ({reason})") from None
    return shape, dtype


def read_npy_text(content: bytes, label: str) -> str:
    """The single text in the content of a .npy file.

    Raises
    ------
    InputError
        If it holds anything else.
    """
    file = io.BytesIO(content)
    shape, dtype = read_npy_header(file, label)
    octets = content[file.tell() :]
    if dtype.kind != "U" or shape not in ((), (1,)) or dtype.itemsize != len(octets):
        raise InputError(f"expected a text, found {dtype} {shape}: {label}")
    return str(np.frombuffer(octets, dtype)[0]) if octets else ""
