"""Parameters of stages and filling methods as options: name, type, range, default and one sentence each.

They are read from signatures, annotations and docstrings, so that each is written once.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

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


Count = Annotated[int, Range(1, unit="N")]
Share = Annotated[float, Range(0, 1, "SHARE")]


@dataclass(frozen=True)
class Option:
    """A parameter of a stage, of one method or of several methods.

    Attributes
    ----------
    name : str
    kind : type
        int, float, str, bool or Path.
    default : object
        None where the methods differ, or choose a value themselves.
    required : bool
        There is no default.
    many : bool
        The parameter is a sequence of such values.
    choices : tuple of str
        Empty where any value may be tried.
    range : Range or None
    text : str
        Description of the parameter; for several methods also their defaults.
    """

    name: str
    kind: type
    default: Any
    required: bool
    many: bool
    choices: tuple[str, ...]
    range: Range | None
    text: str


@cache
def options_of(described: Callable[..., Any]) -> Mapping[str, Option]:
    """Read the options of a function or of a frozen dataclass, by name.

    A parameter that takes no plain value, and no sequence of them, has no option. The text
    ``See :func:`seaice.module.function`.`` stands for the text of that function.
    """
    # The annotations of a dataclass are those of its fields.
    hints = typing.get_type_hints(described, include_extras=True)
    sentences = _sentences_of(described)
    options = {}
    for name, parameter in inspect.signature(described).parameters.items():
        kind, many, choices, span = _plain_type(hints[name])
        if kind is not None:
            required = parameter.default is inspect.Parameter.empty
            default = None if required else parameter.default
            text = sentences.get(name, name)
            options[name] = Option(name, kind, default, required, many, choices, span, text)
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


def _sentences_of(described: Any) -> dict[str, str]:
    sentences: dict[str, str] = {}
    for documented in reversed(described.__mro__) if isinstance(described, type) else [described]:
        sentences |= parameter_sentences(documented.__dict__.get("__doc__") or documented.__doc__ or "")
    for name, text in sentences.items():
        reference = re.fullmatch(r"see :func:`([\w.]+)\.(\w+)`", text)
        if reference:
            function = getattr(importlib.import_module(reference[1]), reference[2])
            sentences[name] = _sentences_of(function).get(name, text)
    return sentences


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
    return replace(option, default=None, required=False, text=text)


def _default_text(default: Any) -> str:
    return "" if default is None or default is False or default == "" else str(default)


def _plain_type(hint: Any) -> tuple[type | None, bool, tuple[str, ...], Range | None]:
    """Plain type, whether many, choices and range of an annotation; the type is None for arrays."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        kind, many, choices, _ = _plain_type(arguments[0])
        return kind, many, choices, next((m for m in arguments[1:] if isinstance(m, Range)), None)
    if origin is typing.Literal:
        return str, False, arguments, None
    if origin is Sequence:
        kind, _, choices, span = _plain_type(arguments[0])
        return kind, True, choices, span
    if origin in (typing.Union, types.UnionType):
        kinds = [_plain_type(a) for a in arguments if a is not type(None)]
        return kinds[0] if len(kinds) == 1 else (None, False, (), None)
    return (hint if hint in _PLAIN_TYPES else None), False, (), None
