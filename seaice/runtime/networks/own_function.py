"""Functions of the user that make a network, by import path."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seaice import InputError


def import_function(name: str) -> Callable[..., Any]:
    """Import a function of a module of the user.

    Parameters
    ----------
    name : str
        ``module:function``.

    Raises
    ------
    InputError
        If there is no such function, or it is of Python or of an installed package.
    """
    module, _, function = name.partition(":")
    try:
        if _is_installed(module):
            raise InputError(
                f"expected a module of your own for {name}, found one of Python or of an installed "
                "package; call it from a module of your own"
            )
        imported: Callable[..., Any] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"expected an importable module:function, found {name} ({error}); name the folder of the "
            "module in PYTHONPATH"
        ) from None
    return imported


def _is_installed(module: str) -> bool:
    """Whether a module is of Python itself or of a package in site-packages.

    Checkpoints contain names of models. Those of a stranger's checkpoint must not reach functions such
    as torch.hub.load, which fetch and run code.
    """
    if module.split(".")[0] in sys.stdlib_module_names:
        return True
    spec = importlib.util.find_spec(module)
    paths = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or [])]
    installed = {"site-packages", "dist-packages"}
    return any(path and installed & set(Path(path).parts) for path in paths)
