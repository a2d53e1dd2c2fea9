"""JSON files: written whole or not at all, or growing by whole lines, however many write to them."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seaice.runtime.atomic_write import atomic
from seaice.runtime.file_lock import hold_file


def write_json(path: Path, content: Mapping[str, Any], *, locked: bool = False) -> None:
    """Write an object to a JSON file, whole or not at all.

    Parameters
    ----------
    path : Path
    content : mapping
        Its numbers are finite: JSON has no NaN.
    locked : bool
        The caller holds :func:`seaice.runtime.atomic_write.exclusive` for this path.

    Raises
    ------
    ValueError
        If a number is not finite.
    OSError
        If the file cannot be written.
    """
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    with atomic(path, locked=locked) as part:
        part.write_text(text, encoding="utf-8")


def append_line(path: Path, content: Mapping[str, Any]) -> None:
    """Append an object as a line while no other process does, and have it written to the disk.

    Raises
    ------
    OSError
        If it cannot be written whole; the file is then as it was before.
    """
    line = (json.dumps(content) + "\n").encode()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o644)
    try:
        with hold_file(handle, path):
            end = os.fstat(handle).st_size
            if end and _read_last_byte(path, end) != b"\n":
                line = b"\n" + line  # a killed run left half a line
            if os.write(handle, line) != len(line):
                os.ftruncate(handle, end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(handle)
    finally:
        os.close(handle)


def _read_last_byte(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(size - 1)
        return file.read(1)


def parse_json(text: str | bytes) -> Any:
    """Parse JSON of somebody else; ValueError also for what is nested too deeply to be read.

    Examples
    --------
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    ValueError: nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_lines(text: bytes) -> Iterator[dict[str, Any] | None]:
    """Yield the object of every line that is not blank; None for a damaged one."""
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            content = parse_json(line)
        except ValueError:
            content = None
        yield content if isinstance(content, dict) else None
