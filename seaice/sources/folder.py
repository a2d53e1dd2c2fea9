"""Files below a folder of an archive, before anybody knows what they are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from seaice import InputError

# A calendar day in a name.
ANY_DAY = re.compile(r"(?<!\d)(19|20)\d{6}(?!\d)")
_PACKED = re.compile(r".*\.(tar(\.(gz|bz2|xz|zst))?|tgz|zip|7z|rar)", re.IGNORECASE)


def walk_files(source_dir: Path) -> Iterator[Path]:
    """Yield every file below a folder once, in alphabetical order, through links too.

    Raises
    ------
    InputError
        If the folder is missing, or one of its folders cannot be read.
    """
    if not source_dir.is_dir():
        state = "is a file" if source_dir.exists() else "does not exist"
        raise InputError(f"expected a folder of daily files, but {source_dir} {state}")

    def refuse(error: OSError) -> None:
        raise InputError(f"a folder cannot be read: {error.filename} ({error.strerror})")

    visited: set[Path] = set()
    for folder, subfolders, names in os.walk(source_dir, onerror=refuse, followlinks=True):
        real = Path(folder).resolve()
        if real in visited:  # links may lead in a circle
            subfolders.clear()
            continue
        visited.add(real)
        subfolders.sort()
        for name in sorted(names):
            yield Path(folder, name)


def is_packed(path: Path) -> bool:
    """Whether a file is an archive by its name, in which days may be packed."""
    return _PACKED.fullmatch(path.name) is not None
