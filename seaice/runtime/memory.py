"""Memory of this process."""

from __future__ import annotations

import ctypes


def release_memory() -> None:
    """Give memory that is free again back to the system, where the C library has a function for it.

    After work with many small arrays glibc keeps the pages between them; what comes next would add to
    them.
    """
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # another C library
        return
