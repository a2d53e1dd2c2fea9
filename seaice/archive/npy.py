"""Arrays as numpy writes them to files, read without pickle and without surprises."""

from __future__ import annotations

import io
from typing import IO, Any

import numpy as np

from seaice import InputError


def plain_npy(array: np.ndarray) -> bytes:
    """An array as the content of a .npy file, without pickle."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def read_header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of the array that follows in a file.

    Raises
    ------
    InputError
        If it does not begin as numpy's files do.
    """
    try:
        version = np.lib.format.read_magic(file)  # type: ignore[arg-type]
        read: Any = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except InputError:
        raise
    # A header is a text that numpy hands to the parser of Python: it raises whatever it likes.
    except Exception as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"damaged: {where} is no array ({reason})") from None
    return shape, dtype


def read_text(content: bytes, where: str) -> str:
    """The one text in the content of a .npy file.

    Raises
    ------
    InputError
        If it holds anything else.
    """
    file = io.BytesIO(content)
    shape, dtype = read_header(file, where)
    rest = content[file.tell() :]
    if dtype.kind != "U" or shape not in ((), (1,)) or dtype.itemsize != len(rest):
        raise InputError(f"expected a text, found {dtype} {shape}: {where}")
    return str(np.frombuffer(rest, dtype)[0]) if rest else ""
