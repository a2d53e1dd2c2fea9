"""Zip archives whose deflated members can be copied as they are, and read one at a time.

The standard library reads and writes zip files but cannot move a deflated member from one
to another. The layout is that of the ZIP specification (APPNOTE 6.3), with its 64-bit
fields where they are needed; ``numpy.load`` and any other reader take it.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from seaice import InputError

# A higher level takes three times as long and makes the noise of a radiometer no smaller.
LEVEL = 1
# Bytes of a member that is read in one go: a half orbit of all channels has 60 MB.
LARGEST = 1 << 28
_STORED, _DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
_ENCRYPTED = 1  # bits of a member's flags
_LENGTH_FOLLOWS = 8
# What is streamed may be longer, but no archive with measurements shrinks so much.
_MOST_INFLATION = 128
_FREE_INFLATION = 1 << 26
_BLOCK = 1 << 18
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
# What the standard library raises on damaged directories beside its own errors.
_UNFORESEEN = (struct.error, OverflowError, EOFError, IndexError, MemoryError)
_DATE = 0x21  # 1980-01-01: equal content makes equal bytes
_BIG = 0xFFFFFFFF


@dataclass(frozen=True)
class Member:
    """A deflated member.

    Attributes
    ----------
    name : str
    crc, compressed, size : int
        CRC-32 and bytes, deflated and as they were.
    offset : int
        Where its local header begins in the file.
    """

    name: str
    crc: int
    compressed: int
    size: int
    offset: int = 0


class ZipWriter:
    """Writes a zip file from front to back.

    Parameters
    ----------
    path : Path
        Must not exist.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._members: list[Member] = []
        self._open_stream: MemberStream | None = None

    def add(self, name: str, content: bytes) -> None:
        """Deflate a member and write it."""
        self.add_deflated(*deflated(name, content))

    def add_deflated(self, member: Member, content: bytes) -> None:
        """Write a member that is deflated already, under the name in ``member``."""
        offset = self._file.tell()
        self._file.write(_local_header(member))
        self._file.write(content)
        self._note(member, offset)

    def stream(self, name: str) -> MemberStream:
        """A file to write a member to, of whatever length; close it before the next member."""
        self._open_stream = MemberStream(self, name)
        return self._open_stream

    def _note(self, member: Member, offset: int) -> None:
        parts = (member.name, member.crc, member.compressed, member.size)
        self._members.append(Member(*parts, offset))

    def close(self) -> None:
        """Write the directory."""
        if self._file.closed:
            return
        with self._file:
            start = self._file.tell()
            for member in self._members:
                self._file.write(_central_header(member))
            self._file.write(_end(len(self._members), start, self._file.tell() - start))

    def abandon(self) -> None:
        """Close the file as it is; nothing happens where it was closed whole."""
        if self._open_stream is not None:
            self._open_stream.abandon()
        self._file.close()


class MemberStream(io.RawIOBase):
    """The member of a :class:`ZipWriter` in the making."""

    def __init__(self, writer: ZipWriter, name: str) -> None:
        self._writer = writer
        self._name = name
        self._file = writer._file
        self._offset = self._file.tell()
        self._file.write(_local_header(Member(name, 0, 0, 0), wide=True))
        self._start = self._file.tell()
        self._compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -15)
        self._crc = self._size = 0

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, content: Any) -> int:
        """Deflate and write bytes."""
        view = memoryview(content).cast("B")
        self._crc = zlib.crc32(view, self._crc)
        self._size += len(view)
        self._file.write(self._compressor.compress(view))
        return len(view)

    def close(self) -> None:
        """Finish the member and put its sizes into its header."""
        if self.closed:
            return
        self._file.write(self._compressor.flush())
        end = self._file.tell()
        member = Member(self._name, self._crc, end - self._start, self._size)
        self._file.seek(self._offset)
        self._file.write(_local_header(member, wide=True))
        self._file.seek(end)
        self._writer._note(member, self._offset)
        super().close()

    def abandon(self) -> None:
        """Leave the member as it is."""
        super().close()


class ZipReader:
    """Reads members of a zip file, from any thread or forked process at a time.

    Parameters
    ----------
    path : Path
    salvage : bool
        Where the directory at the end is lost, find the whole members by their headers.

    Attributes
    ----------
    damage : str
        Empty, or what is wrong with the file.

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
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, *_UNFORESEEN) as error:
            if not salvage or os.pread(self._file.fileno(), 4, 0) != b"PK\x03\x04":
                text = self._no_zip(error)
                self._file.close()
                raise InputError(text) from None
            self.damage = str(error)
            self.members = {info.filename: info for info in self._scan()}

    def _scan(self) -> Iterator[zipfile.ZipInfo]:
        """Members by their local headers, to the first that is cut or says nothing of its length."""
        position = 0
        while position + _LOCAL.size <= self._end:
            header = os.pread(self._file.fileno(), _LOCAL.size, position)
            signature, _, flags, method, _, _, crc, packed, size, name, extra = _LOCAL.unpack(header)
            if signature != b"PK\x03\x04":
                return
            data = position + _LOCAL.size + name + extra
            texts = os.pread(self._file.fileno(), name + extra, position + _LOCAL.size)
            if packed == _BIG and texts[name : name + 4] == b"\1\0\x10\0" and len(texts) >= name + 20:
                size, packed = struct.unpack_from("<2Q", texts, name + 4)
            if flags & _LENGTH_FOLLOWS or not packed or data + packed > self._end:
                packed = max(0, self._end - data)
            info = zipfile.ZipInfo(texts[:name].decode("ascii", "replace"))
            info.compress_type, info.CRC, info.compress_size, info.file_size = method, crc, packed, size
            info.header_offset, info.flag_bits = position, flags
            yield info
            position = data + packed

    def deflated(self, name: str) -> tuple[Member, bytes]:
        """A member as it lies in the file.

        Raises
        ------
        InputError
            If it is not there whole, or not deflated.
        """
        info = self.members[name]
        if info.compress_type != _DEFLATED:
            return deflated(name, self.read(name))
        content = self._raw(info)
        return Member(name, info.CRC, info.compress_size, info.file_size), content

    def _raw(self, info: zipfile.ZipInfo) -> bytes:
        start = self._start(info)
        if start + info.compress_size <= self._end:
            return os.pread(self._file.fileno(), info.compress_size, start)
        raise InputError(f"damaged: the member {info.filename} is not there whole: {self.path}")

    def _start(self, info: zipfile.ZipInfo) -> int:
        """Where the content of a member begins."""
        if info.compress_type not in (_STORED, _DEFLATED) or info.flag_bits & _ENCRYPTED:
            raise InputError(
                f"expected a deflated member, found another: {info.filename} in {self.path}"
            )
        if 0 <= info.header_offset < self._end:
            header = os.pread(self._file.fileno(), _LOCAL.size, info.header_offset)
            if len(header) == _LOCAL.size and header[:4] == b"PK\x03\x04":
                *_, name, extra = _LOCAL.unpack(header)
                return info.header_offset + _LOCAL.size + int(name) + int(extra)
        raise InputError(f"damaged: the member {info.filename} is not there: {self.path}")

    def read(self, name: str) -> bytes:
        """Content of a member, its checksum compared.

        Raises
        ------
        InputError
            If the member is damaged.
        """
        from isal import isal_zlib

        info = self.members[name]
        if max(info.file_size, info.compress_size) > LARGEST:
            raise InputError(
                f"expected at most {LARGEST} bytes of a member, found {info.file_size} announced: "
                f"{name} in {self.path}"
            )
        content = self._raw(info)
        if info.compress_type == _DEFLATED:
            try:
                content = isal_zlib.decompressobj(-15).decompress(content, info.file_size + 1)
            except isal_zlib.error as error:  # type: ignore[misc]
                raise InputError(f"damaged: {name} in {self.path} ({error})") from None
        if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
            raise InputError(f"damaged: the checksum of {name} in {self.path} is wrong")
        return content

    @contextmanager
    def stream(self, name: str) -> Iterator[IO[bytes]]:
        """A file that inflates a member while it is read.

        Where the member is damaged, reading raises ``InputError``: at the damage, or at the
        end if only the checksum tells.
        """
        info = self.members[name]
        member = _MemberFile(self._file.fileno(), info, self._start(info), f"{name} in {self.path}")
        with io.BufferedReader(member, _BLOCK) as file:
            yield file

    def _no_zip(self, error: Exception) -> str:
        start = os.pread(self._file.fileno(), 512, 0).lower()
        if b"<html" in start or b"<!doctype" in start:
            found = "a web page"
        elif start.startswith(b"pk\x03\x04"):
            found = f"one that is cut or damaged ({' '.join(str(error).split())})"
        else:
            found = f"something else ({self._end} bytes)"
        return f"expected a swath archive (.npz), found {found}: {self.path}"

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _MemberFile(io.RawIOBase):
    """The content of a member, inflated while it is read."""

    def __init__(self, handle: int, info: zipfile.ZipInfo, start: int, where: str) -> None:
        from isal import isal_zlib

        self._handle, self._info, self._where = handle, info, where
        self._at, self._left = start, info.compress_size
        self._packed = self._size = self._crc = 0
        self._pending = b""
        self._inflater = isal_zlib.decompressobj(-15) if info.compress_type == _DEFLATED else None
        self._error: Any = isal_zlib.error

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end of a member that is whole."""
        view = memoryview(buffer).cast("B")
        try:
            content = self._next(len(view))
        except self._error as error:
            raise InputError(f"damaged: {self._where} ({error})") from None
        if not content and (self._size != self._info.file_size or self._crc != self._info.CRC):
            raise InputError(f"damaged: the checksum of {self._where} is wrong")
        self._size += len(content)
        self._crc = zlib.crc32(content, self._crc)
        if self._size > _MOST_INFLATION * self._packed + _FREE_INFLATION:
            raise InputError(f"refused: {self._where} inflates to absurdly much")
        view[: len(content)] = content
        return len(content)

    def _next(self, size: int) -> bytes:
        if self._inflater is None:
            return self._fetch(min(size, self._left))
        while not self._inflater.eof:
            if not self._pending:
                self._pending = self._fetch(min(_BLOCK, self._left))
            whole = bool(self._pending)
            content = self._inflater.decompress(self._pending, size)
            self._pending = self._inflater.unconsumed_tail
            if content:
                return bytes(content)
            if not whole:
                raise InputError(f"damaged: {self._where} is cut")
        return b""

    def _fetch(self, size: int) -> bytes:
        content = os.pread(self._handle, size, self._at)
        self._at += len(content)
        self._left -= len(content)
        self._packed += len(content)
        return content


def deflated(name: str, content: bytes) -> tuple[Member, bytes]:
    """A member for :meth:`ZipWriter.add_deflated`."""
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -15)
    packed = compressor.compress(content) + compressor.flush()
    return Member(name, zlib.crc32(content), len(packed), len(content)), packed


def _local_header(member: Member, *, wide: bool = False) -> bytes:
    """``wide``: with room for sizes of 64 bits, whatever they are."""
    name = member.name.encode("ascii")
    extra = struct.pack("<2H2Q", 1, 16, member.size, member.compressed) if wide else b""
    sizes = (_BIG, _BIG) if wide else (member.compressed, member.size)
    version = 45 if wide else 20
    fixed = (b"PK\x03\x04", version, 0, _DEFLATED, 0, _DATE, member.crc, *sizes, len(name), len(extra))
    return _LOCAL.pack(*fixed) + name + extra


def _central_header(member: Member) -> bytes:
    name = member.name.encode("ascii")
    wide = [n for n in (member.size, member.compressed, member.offset) if n >= _BIG]
    extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    size, packed, offset = (min(n, _BIG) for n in (member.size, member.compressed, member.offset))
    version = 45 if wide else 20
    fixed = (b"PK\x01\x02", version, version, 0, _DEFLATED, 0, _DATE, member.crc, packed, size)
    return _CENTRAL.pack(*fixed, len(name), len(extra), 0, 0, 0, 0o644 << 16, offset) + name + extra


def _end(count: int, start: int, length: int) -> bytes:
    short = _END.pack(
        b"PK\x05\x06", 0, 0, *[min(count, 0xFFFF)] * 2, min(length, _BIG), min(start, _BIG), 0
    )
    if count < 0xFFFF and length < _BIG and start < _BIG:
        return short
    long = _END_64.pack(b"PK\x06\x06", _END_64.size - 12, 45, 45, 0, 0, count, count, length, start)
    return long + _LOCATOR_64.pack(b"PK\x06\x07", 0, start + length, 1) + short
