"""The filling methods by name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from seaice import InputError
from seaice.gapfill import DailyMethod, FillingMethod
from seaice.gapfill.field import FieldFill, FieldMethod, GappyField
from seaice.gapfill.field.daily import fill_by_day

# Module and class, imported when they are used. A new method is one line here.
METHODS: dict[str, str] = {
    "increments": "seaice.gapfill.increments:Increments",
    "departure": "seaice.gapfill.departure:Departure",
    "hybrid": "seaice.gapfill.hybrid:Hybrid",
    "temporal": "seaice.gapfill.temporal:Temporal",
    "gaussian": "seaice.gapfill.gaussian:Gaussian",
    "linear": "seaice.gapfill.field.linear:Linear",
    "loess": "seaice.gapfill.field.loess:Loess",
    "harmonic": "seaice.gapfill.sphere.harmonic:Harmonic",
    "eof": "seaice.gapfill.field.eof:Eof",
    "relaxation": "seaice.gapfill.field.relaxation:Relaxation",
    "scattering": "seaice.gapfill.sphere.scattering:Scattering",
}


def check_name(name: str) -> None:
    """Refuse a name that no method has; InputError."""
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}; known are {', '.join(METHODS)}")


def method_class(name: str) -> type[FillingMethod]:
    """The class of a method; InputError for an unknown name."""
    check_name(name)
    module, _, cls = METHODS[name].partition(":")
    loaded: type[FillingMethod] = getattr(importlib.import_module(module), cls)
    return loaded


def all_methods() -> dict[str, type[FillingMethod]]:
    """The classes of all methods, by name."""
    return {name: method_class(name) for name in METHODS}


def daily_methods() -> dict[str, type[DailyMethod]]:
    """The classes of the daily methods, by name."""
    return {name: cls for name, cls in all_methods().items() if issubclass(cls, DailyMethod)}


def make_method(name: str, parameters: Mapping[str, Any] | None = None) -> FillingMethod:
    """A method from its name and its parameters; defaults stand for those left out.

    Raises
    ------
    InputError
        For an unknown name or parameter, or a value out of range.

    Examples
    --------
    >>> make_method("temporal", {"max_gap_days": 2}).parameters
    {'max_gap_days': 2, 'one_sided_days': 2, 'past_only': False}
    """
    cls = method_class(name)
    check_parameters(name, cls, parameters or {})
    return cls.of(parameters or {})


def check_parameters(name: str, cls: type[FillingMethod], parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that a method does not have; InputError."""
    own = [field.name for field in fields(cls)]
    unknown = sorted(set(parameters) - set(own))
    if unknown:
        raise InputError(f"{name} takes no {', '.join(unknown)}; it takes {', '.join(own)}")


def recorded_method(parameters: Mapping[str, Any]) -> DailyMethod:
    """The method that a cube was filled with, from the parameters that the cube holds.

    Raises
    ------
    KeyError
        If no method is among them.
    InputError
        For a method or a value that this version does not know.
    """
    name = str(parameters["method"])
    own = {field.name for field in fields(method_class(name))}
    method = make_method(name, {k: v for k, v in parameters.items() if k in own})
    if not isinstance(method, DailyMethod):
        raise InputError(f"{name} is no daily method, so it fills no cube")
    return method


def fill_maps(gappy: GappyField, method: FillingMethod, **arrays: Any) -> FieldFill:
    """Fill the gaps of a field by any method.

    Parameters
    ----------
    gappy : GappyField
    method : FillingMethod
    **arrays
        What the ``fill`` of this method takes besides, such as ``held_out`` of ``eof``.

    Raises
    ------
    InputError
        If nothing is observed, or the method refuses the field.
    """
    if not gappy.observed.any():
        raise InputError(
            "nothing is observed: every sea cell of every map is missing; check the variable, the "
            "mask (true = sea) and the quality level"
        )
    if isinstance(method, DailyMethod):
        return fill_by_day(gappy, method)
    assert isinstance(method, FieldMethod)
    return method.fill(gappy, **arrays)
