"""The parameters of the field methods as options: names, types, defaults and one sentence each.

They are read from the signatures and docstrings of the methods, so that each is written once.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seaice.gapfill.field import FIELD_METHODS, FieldMethod

_PLAIN = (int, float, str, bool, Path)


@dataclass(frozen=True)
class Option:
    """A parameter of one or several methods.

    Attributes
    ----------
    name : str
    kind : type
        int, float, str, bool or Path.
    choices : tuple of str
        Empty where any value may be tried.
    text : str
        What it is, its default and whose it is.
    """

    name: str
    kind: type
    choices: tuple[str, ...]
    text: str


def method_options() -> list[Option]:
    """All of them, in the order of the registry; arrays have no option."""
    found: dict[str, list[tuple[str, Option, Any]]] = {}
    for method in FIELD_METHODS.values():
        for option, default in _options_of(method):
            found.setdefault(option.name, []).append((method.name, option, default))
    return [_merged(uses) for uses in found.values()]


def kind_of(method: str, name: str) -> type | None:
    """The plain type of a parameter of a method; None where it takes arrays and the like."""
    kinds = {option.name: option.kind for option, _ in _options_of(FIELD_METHODS[method])}
    return kinds.get(name)


def _merged(uses: list[tuple[str, Option, Any]]) -> Option:
    """One option for the methods that share a name; their defaults may differ."""
    defaults: dict[str, list[str]] = {}
    for method, _, default in uses:
        defaults.setdefault(_told(default), []).append(method)
    told = "; ".join(
        f"{', '.join(methods)}" + (f": default {default}" if default else "")
        for default, methods in defaults.items()
    )
    first = uses[0][1]
    return Option(first.name, first.kind, first.choices, f"{first.text} ({told})")


def _told(default: Any) -> str:
    return "" if default is None or default is False or default == "" else str(default)


def _options_of(method: FieldMethod) -> Iterator[tuple[Option, Any]]:
    hints = typing.get_type_hints(method.described)
    texts = _sentences(inspect.getdoc(method.described) or "")
    for name, parameter in method.parameters.items():
        kind, choices = _plain(hints[name])
        if kind is not None:
            yield Option(name, kind, choices, texts.get(name, name)), parameter.default


def _plain(hint: Any) -> tuple[type | None, tuple[str, ...]]:
    """The plain type of an annotation and its choices; None for arrays and the like."""
    if typing.get_origin(hint) is typing.Literal:
        return str, typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        kinds = [_plain(a) for a in typing.get_args(hint) if a is not type(None)]
        return kinds[0] if len(kinds) == 1 else (None, ())
    return (hint, ()) if hint in _PLAIN else (None, ())


def _sentences(doc: str) -> dict[str, str]:
    """Text of every parameter of a numpydoc docstring, without its full stop."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", doc, re.S | re.M)
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section[1].splitlines() if section else ():
        if line and not line.startswith(" "):
            names = [n.strip() for n in line.partition(" : ")[0].split(",")]
        elif line.strip():
            for name in names:
                found[name] = f"{found.get(name, '')} {line.strip()}".strip()
    return {name: text[:1].lower() + text[1:].removesuffix(".") for name, text in found.items()}
