"""JSON files that appear whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seaice.runtime.atomic_write import atomic


def write_json(path: Path, content: Mapping[str, Any], *, locked: bool = False) -> None:
    """Write an object as JSON, whole or not at all.

    Parameters
    ----------
    path : Path
    content : mapping
        Without NaN and infinity, which JSON does not know.
    locked : bool
        The caller holds :func:`seaice.runtime.atomic_write.exclusive` for this path already.

    Raises
    ------
    ValueError
        If the content holds NaN or infinity.
    OSError
        If the file cannot be written.
    """
    with atomic(path, locked=locked) as part:
        part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
