"""Options of a network on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from seaice import InputError


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Parse options of a network, KEY=VALUE; a value that is JSON (a number, true) is read as such.

    Raises
    ------
    InputError
        If a text is not of that form.

    Examples
    --------
    >>> parse_options(["base=8", "size=tiny"])
    {'base': 8, 'size': 'tiny'}
    """
    parsed: dict[str, Any] = {}
    for text in options:
        key, sign, value = text.partition("=")
        if not sign or not key.isidentifier():
            raise InputError(f"expected an option of the model as KEY=VALUE, found {text!r}")
        try:
            parsed[key] = json.loads(value)
        except ValueError:
            parsed[key] = value
    return parsed
