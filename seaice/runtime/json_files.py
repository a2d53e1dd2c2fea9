"""JSON files: written whole or not at all, or growing by whole lines, however many write to them."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seaice.runtime.atomic_write import atomic


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
    """Append an object as a line under a lock of the kernel, and have it written to the disk.

    Raises
    ------
    OSError
        If it cannot be written whole; the file is then as it was before.
    """
    line = (json.dumps(content) + "\n").encode()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        end = os.fstat(handle).st_size
        if end and os.pread(handle, 1, end - 1) != b"\n":
            line = b"\n" + line  # a killed run left half a line
        if os.write(handle, line) != len(line):
            os.ftruncate(handle, end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(handle)
    finally:
        os.close(handle)


def parse_lines(text: bytes) -> Iterator[dict[str, Any] | None]:
    """Yield the object of every line that is not blank; None for a damaged one."""
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except ValueError:
            content = None
        yield content if isinstance(content, dict) else None
