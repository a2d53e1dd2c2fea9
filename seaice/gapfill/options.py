"""The parameters of filling methods as options: name, type, range, default and one sentence each.

They are read from the fields of the method's class, from their annotations and from its docstring,
so that each is written once.
"""

from __future__ import annotations

import inspect
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from seaice import InputError

_PLAIN_TYPES = (int, float, str, bool, Path)


@dataclass(frozen=True)
class Range:
    """The allowed values of a number, as metadata of an annotation.

    Attributes
    ----------
    low, high : float
        Smallest and largest value, both allowed.
    unit : str
        Stands for the value in the help of the command line.

    Examples
    --------
    >>> from typing import Annotated
    >>> Days = Annotated[int, Range(0, 9, "DAYS")]
    """

    low: float
    high: float = math.inf
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}" if self.high < math.inf else f"at least {self.low:g}"

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and value < math.inf


@dataclass(frozen=True)
class Option:
    """A parameter of one method or of several methods.

    Attributes
    ----------
    name : str
    kind : type
        int, float, str, bool or Path.
    default : object
        None where the methods differ, or choose a value themselves.
    choices : tuple of str
        Empty where any value may be tried.
    range : Range or None
    text : str
        What the parameter is; of several methods also their defaults.
    """

    name: str
    kind: type
    default: Any
    choices: tuple[str, ...]
    range: Range | None
    text: str


@cache
def options_of(method: type) -> Mapping[str, Option]:
    """The options of a frozen dataclass, by name; a field that holds no plain value has none."""
    hints = typing.get_type_hints(method, include_extras=True)
    sentences: dict[str, str] = {}
    for base in reversed(method.__mro__):
        sentences |= parameter_sentences(base.__dict__.get("__doc__") or "")
    options = {}
    for field in fields(method):
        kind, choices, span = _plain_type(hints[field.name])
        if kind is not None:
            text = sentences.get(field.name, field.name)
            options[field.name] = Option(field.name, kind, field.default, choices, span, text)
    return options


def merged_options(methods: Mapping[str, type]) -> list[Option]:
    """One option for every name that the methods use; its text says which method has which default."""
    uses: dict[str, dict[str, Option]] = {}
    for method, cls in methods.items():
        for option in options_of(cls).values():
            uses.setdefault(option.name, {})[method] = option
    return [_merge(by_method) for by_method in uses.values()]


def check_ranges(method: Any) -> None:
    """Refuse a method with a parameter that is out of its range; InputError."""
    for option in options_of(method.__class__).values():
        value = getattr(method, option.name)
        if option.range is not None and value is not None and value not in option.range:
            raise InputError(f"{option.name} must be {option.range}, found {value}")


def parameter_sentences(doc: str) -> dict[str, str]:
    """The text of every parameter of a numpydoc docstring, without its full stop."""
    section = re.search(
        r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", inspect.cleandoc(doc), re.S | re.M
    )
    sentences: dict[str, str] = {}
    names: list[str] = []
    for line in section[1].splitlines() if section else ():
        if line and not line.startswith(" "):
            names = [name.strip() for name in line.partition(" : ")[0].split(",")]
        elif line.strip():
            for name in names:
                sentences[name] = f"{sentences.get(name, '')} {line.strip()}".strip()
    return {name: text[:1].lower() + text[1:].removesuffix(".") for name, text in sentences.items()}


def _merge(by_method: Mapping[str, Option]) -> Option:
    methods_of_default: dict[str, list[str]] = {}
    for method, option in by_method.items():
        methods_of_default.setdefault(_default_text(option.default), []).append(method)
    defaults = "; ".join(
        f"{', '.join(methods)}" + (f": default {default}" if default else "")
        for default, methods in methods_of_default.items()
    )
    option = next(iter(by_method.values()))
    text = f"{option.text} ({defaults})"
    return Option(option.name, option.kind, None, option.choices, option.range, text)


def _default_text(default: Any) -> str:
    return "" if default is None or default is False or default == "" else str(default)


def _plain_type(hint: Any) -> tuple[type | None, tuple[str, ...], Range | None]:
    """Plain type, choices and range of an annotation; the type is None for arrays and the like."""
    if typing.get_origin(hint) is typing.Annotated:
        kind, choices, _ = _plain_type(hint.__origin__)
        return kind, choices, next((m for m in hint.__metadata__ if isinstance(m, Range)), None)
    if typing.get_origin(hint) is typing.Literal:
        return str, typing.get_args(hint), None
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        kinds = [_plain_type(a) for a in typing.get_args(hint) if a is not type(None)]
        return kinds[0] if len(kinds) == 1 else (None, (), None)
    return (hint if hint in _PLAIN_TYPES else None), (), None
