"""Reading zip files that may be damaged or hostile, one member at a time.

The standard library reads the directory at the end of the file. Members are read here, because
an archive whose end is lost can still hold whole members, and because a member may inflate to
far more than its file. The format is that of the ZIP specification (APPNOTE 6.3).
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from seaice import InputError
from seaice.open_file import is_web_page

_STORED, _DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
# Bits of the flags of a member.
_ENCRYPTED = 1
_LENGTH_FOLLOWS = 8  # the header has no sizes: they stand behind the content
# A member may be large, but measurements never shrink as much as this when they are deflated.
_MOST_INFLATION = 128
_FREE_INFLATION = 1 << 26  # bytes that any member may have
_BLOCK = 1 << 18  # bytes read at a time
_LOCAL_SIGNATURE = b"PK\x03\x04"
# The header before a member: signature, version, flags, method, time, date, CRC-32, compressed
# size, size, length of the name, length of the extra fields.
_LOCAL = struct.Struct("<4s5H3L2H")
_BIG = 0xFFFFFFFF  # a size that stands in the extra field for 64-bit sizes instead
_ZIP64_FIELD = b"\1\0\x10\0"  # start of that field: number 1, 16 bytes
# What the standard library raises on damaged directories beside its own errors.
_OTHER_ERRORS = (struct.error, OverflowError, EOFError, IndexError, MemoryError)


class ZipReader:
    """Reads members of a zip file.

    Parameters
    ----------
    path : Path
    salvage : bool
        Where the directory at the end is lost, the members are searched for by the headers
        before them.

    Attributes
    ----------
    members : dict of str to zipfile.ZipInfo
    damage : str
        Damage of the file, in words; empty if there is none.

    Raises
    ------
    InputError
        If it is no zip file.
    OSError
        If it cannot be opened.
    """

    def __init__(self, path: Path, *, salvage: bool = False) -> None:
        self.path = path
        self.damage = ""
        self._file = path.open("rb")
        self._end = os.fstat(self._file.fileno()).st_size
        try:
            with zipfile.ZipFile(self._file) as directory:
                self.members = {info.filename: info for info in directory.infolist()}
        except (
            zipfile.BadZipFile,
            ValueError,
            NotImplementedError,
            OSError,
            *_OTHER_ERRORS,
        ) as error:
            if not salvage or self._read_at(0, 4) != _LOCAL_SIGNATURE:
                text = self._describe_content(error)
                self._file.close()
                raise InputError(text) from None
            self.damage = str(error)
            self.members = {info.filename: info for info in self._search_members()}

    def _read_at(self, position: int, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, position)

    def _search_members(self) -> Iterator[zipfile.ZipInfo]:
        """Yield members by the headers before them, up to the first that is cut off.

        The last one of a file that was cut has no sizes or too large ones: all that follows its
        header is taken as its content.
        """
        position = 0
        while position + _LOCAL.size <= self._end:
            header = self._read_at(position, _LOCAL.size)
            signature, _, flags, method, _, _, crc, compressed, size, name, extra = _LOCAL.unpack(header)
            if signature != _LOCAL_SIGNATURE:
                return
            start = position + _LOCAL.size + name + extra
            texts = self._read_at(position + _LOCAL.size, name + extra)
            if compressed == _BIG and texts[name : name + 4] == _ZIP64_FIELD and len(texts) >= name + 20:
                size, compressed = struct.unpack_from("<2Q", texts, name + 4)
            if flags & _LENGTH_FOLLOWS or not compressed or start + compressed > self._end:
                compressed = max(0, self._end - start)
            info = zipfile.ZipInfo(texts[:name].decode("ascii", "replace"))
            info.compress_type, info.CRC = method, crc
            info.compress_size, info.file_size = compressed, size
            info.header_offset, info.flag_bits = position, flags
            yield info
            position = start + compressed

    def _find_content(self, info: zipfile.ZipInfo) -> int:
        """Position of the content of a member in the file."""
        if info.compress_type not in (_STORED, _DEFLATED) or info.flag_bits & _ENCRYPTED:
            raise InputError(
                f"expected a deflated member, found another kind: {info.filename} in {self.path}"
            )
        if 0 <= info.header_offset < self._end:
            header = self._read_at(info.header_offset, _LOCAL.size)
            if len(header) == _LOCAL.size and header[:4] == _LOCAL_SIGNATURE:
                *_, name, extra = _LOCAL.unpack(header)
                return info.header_offset + _LOCAL.size + int(name) + int(extra)
        raise InputError(f"damaged: the member {info.filename} is missing: {self.path}")

    def read(self, name: str, *, limit: int) -> bytes:
        """Content of a member after its checksum was compared.

        Parameters
        ----------
        name : str
        limit : int
            Most bytes that the member may announce.

        Raises
        ------
        InputError
            If the member is damaged or longer than the limit.
        """
        size = self.members[name].file_size
        if size > limit:
            raise InputError(
                f"expected at most {limit} bytes of a member, found {size} announced: "
                f"{name} in {self.path}"
            )
        with self.stream(name) as file:
            content = file.read(size + 1)  # one more than announced: the end is reached and checked
        if len(content) != size:
            raise InputError(f"damaged: {name} in {self.path} is longer than announced")
        return content

    @contextmanager
    def stream(self, name: str) -> Iterator[IO[bytes]]:
        """Open a member as a file that is inflated while it is read.

        Where the member is damaged, reading raises ``InputError``: at the damage, or at the
        end if only the checksum shows it.
        """
        info = self.members[name]
        member = _MemberFile(
            self._file.fileno(), info, self._find_content(info), f"{name} in {self.path}"
        )
        with io.BufferedReader(member, _BLOCK) as file:
            yield file

    def _describe_content(self, error: Exception) -> str:
        """Message about a file that is no zip file."""
        start = self._read_at(0, 512)
        if is_web_page(start):
            content = "a web page"
        elif start.startswith(_LOCAL_SIGNATURE):
            content = f"one that is cut or damaged ({' '.join(str(error).split())})"
        else:
            content = f"something else ({self._end} bytes)"
        return f"expected a swath archive (.npz), found {content}: {self.path}"

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _MemberFile(io.RawIOBase):
    """The content of a member, inflated while it is read."""

    def __init__(self, handle: int, info: zipfile.ZipInfo, start: int, label: str) -> None:
        from isal import isal_zlib

        self._handle, self._info, self._label = handle, info, label
        self._position, self._remaining = start, info.compress_size  # of the compressed bytes
        self._compressed_size = self._size = self._crc = 0  # of what was read so far
        self._pending = b""  # compressed bytes that the inflater has not used yet
        self._inflater = isal_zlib.decompressobj(-15) if info.compress_type == _DEFLATED else None
        self._inflate_error: Any = isal_zlib.error

    def readable(self) -> bool:
        """Whether the file can be read: always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; returns the number of bytes, 0 at the end of a whole member."""
        view = memoryview(buffer).cast("B")
        try:
            content = self._inflate(len(view))
        except self._inflate_error as error:
            raise InputError(f"damaged: {self._label} ({error})") from None
        if not content and (self._size != self._info.file_size or self._crc != self._info.CRC):
            raise InputError(f"damaged: the checksum of {self._label} is wrong")
        self._size += len(content)
        self._crc = zlib.crc32(content, self._crc)
        if self._size > _MOST_INFLATION * self._compressed_size + _FREE_INFLATION:
            raise InputError(f"refused: {self._label} inflates to far more than measurements would")
        view[: len(content)] = content
        return len(content)

    def _inflate(self, size: int) -> bytes:
        """At most so many bytes of the content; empty at its end."""
        if self._inflater is None:
            return self._read_compressed(min(size, self._remaining))
        while not self._inflater.eof:
            if not self._pending:
                self._pending = self._read_compressed(min(_BLOCK, self._remaining))
            is_cut = not self._pending
            content = self._inflater.decompress(self._pending, size)
            self._pending = self._inflater.unconsumed_tail
            if content:
                return bytes(content)
            if is_cut:
                raise InputError(f"damaged: {self._label} is cut")
        return b""

    def _read_compressed(self, size: int) -> bytes:
        content = os.pread(self._handle, size, self._position)
        self._position += len(content)
        self._remaining -= len(content)
        self._compressed_size += len(content)
        return content
