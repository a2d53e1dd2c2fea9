"""SHA-256 digests of files and values, and orders that only depend on them."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def digest_file(path: Path) -> str:
    """Compute the SHA-256 of a file, hexadecimal.

    Raises
    ------
    OSError
        If it cannot be read, or is a pipe or a device, which may have no end.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "expected a file", str(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_parts(parts: Iterable[bytes | memoryview | str]) -> str:
    """Compute the SHA-256 of bytes and texts (as UTF-8) in a row, hexadecimal.

    Examples
    --------
    >>> digest_parts(["ice"]) == digest_parts([b"i", b"ce"])
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()


def describe_array(array: np.ndarray) -> str:
    """Describe an array by its shape and the digest of its values, for logs and reports."""
    return f"array {array.shape}, SHA-256 {digest_parts([array.tobytes()])}"


def sort_by_digest(items: Iterable[Item], seed: str, text_of: Callable[[Item], str] = str) -> list[Item]:
    """Shuffle items in an order that no version of a library changes: that of digests of texts.

    Parameters
    ----------
    items : iterable
    seed : str
        Stands before the text of every item, with a blank between: another seed, another order.
    text_of : callable
        Text of an item; items of one text keep their order.

    Examples
    --------
    >>> sort_by_digest(["a", "b", "c"], "7")
    ['b', 'a', 'c']
    """
    return sorted(items, key=lambda item: digest_parts([f"{seed} {text_of(item)}"]))
