"""Gap filling: pure functions of (time, y, x) stacks, and their registry.

A method is a function ``fill(stack, ocean, **parameters) -> Filled``. It never changes
an observed cell, never fills or uses land, and flags every value it invents. Days are
calendar days: frame i + 1 is the day after frame i, an absent day is a frame of NaN.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from seaice import InputError


class Filled(NamedTuple):
    """What a method returns; all arrays have the shape (days, rows, columns).

    Attributes
    ----------
    values : ndarray of float32
        The field, in the unit of the input; NaN over land and where nothing may be said.
    flag : ndarray of uint8
        :class:`seaice.masks.FillFlag` of every cell.
    days_back_forward : ndarray of uint8
        10 x days back + days forward of a fill in time, else 0.
    """

    values: np.ndarray
    flag: np.ndarray
    days_back_forward: np.ndarray


@dataclass(frozen=True)
class Method:
    """A registered method.

    Attributes
    ----------
    name : str
    module : str
        Holds the function ``fill``; imported on first use, so that listing methods
        costs nothing.
    """

    name: str
    module: str

    @property
    def fill(self) -> Callable[..., Filled]:
        """The function."""
        function: Callable[..., Filled] = importlib.import_module(self.module).fill
        return function

    def reach(self, parameters: Mapping[str, Any]) -> int:
        """How many days before or after a day its result may depend on."""
        function = importlib.import_module(self.module).reach
        return int(function(**_known_to(function, parameters)))

    def own(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The method's science parameters among ``parameters``."""
        return _known_to(self.fill, parameters)


def _known_to(function: Callable[..., Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    known = inspect.signature(function).parameters
    return {k: v for k, v in parameters.items() if k in known}


METHODS: dict[str, Method] = {
    name: Method(name, f"seaice.gapfill.{name}") for name in ("hybrid", "temporal", "gaussian")
}


def get_method(name: str) -> Method:
    """Look up a method; InputError for an unknown name."""
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}; known are {', '.join(METHODS)}")
    return METHODS[name]


def check_stack(stack: np.ndarray, ocean: np.ndarray) -> None:
    """Refuse arrays no method can work on.

    Raises
    ------
    InputError
        If ``stack`` is not float32 (time, y, x) or ``ocean`` not bool (y, x) of its shape.
    """
    if stack.ndim != 3 or stack.dtype != np.float32:
        raise InputError(
            f"expected a float32 stack (time, y, x), found {stack.dtype} of shape {stack.shape}"
        )
    if ocean.dtype != np.bool_ or ocean.shape != stack.shape[1:]:
        raise InputError(
            f"expected a bool mask of shape {stack.shape[1:]}, found {ocean.dtype} of {ocean.shape}"
        )


def day_range(stack: np.ndarray, days: slice) -> tuple[int, int]:
    """First and last + 1 frame that is asked for."""
    first, end, step = days.indices(stack.shape[0])
    if step != 1:
        raise InputError("days must be a slice of step 1")
    return first, max(first, end)
