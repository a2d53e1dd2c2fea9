"""Compiled loops: Numba's compiler with a cache on the disk that is a convenience and no condition.

Numba keeps compiled code beside the source or in the user's home (or in ``NUMBA_CACHE_DIR``). Where
neither can be written to, where the disk is full or a file there is damaged, a loop is compiled again.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile

logger = logging.getLogger(__name__)

_DIGEST = hashlib.sha256().digest_size


def compile_loop(
    function: Callable[..., Any] | None = None,
    *,
    signatures: Sequence[Any] = (),
    error_model: Literal["python", "numpy"] = "python",
    inline: bool = False,
) -> Any:
    """Compile a function when it is first called, without holding Python's interpreter lock.

    Parameters
    ----------
    function : callable
        Loops over arrays; the decorated function.
    signatures : sequence, optional
        Numba types of the arguments. With them the function is compiled at once, and for no others.
    error_model : {"python", "numpy"}
        Whether a division by zero raises an error, or gives infinity or NaN.
    inline : bool
        Whether to put the code of the function wherever it is called. A short loop that is called with
        a slice of an array for every row saves most of the cost of the call: the counts of references
        to the array, which all threads share.
    """
    if function is None:
        return partial(compile_loop, signatures=signatures, error_model=error_model, inline=inline)
    loop: Any = njit(nogil=True, error_model=error_model, forceinline=inline)(function)
    try:
        loop._cache = _GuardedCache(function)
    except RuntimeError as error:  # neither the folder of the source nor the home can be written to
        _warn_once(str(Path(function.__code__.co_filename).parent), str(error))
    for signature in signatures:
        loop.compile(signature)
    if signatures:
        loop.disable_compile()
    return loop


_warned: list[str] = []


def _warn_once(folder: str, reason: str) -> None:
    if not _warned:
        _warned.append(folder)
        logger.warning(
            "compiled loops cannot be kept in %s (%s), so every run compiles them again; delete that "
            "folder, or set NUMBA_CACHE_DIR to a folder that can be written to",
            folder,
            " ".join(reason.split())[:200],
        )


_IMPORT = re.compile(r"^(?:from|import) +([\w.]+)", re.MULTILINE)


@lru_cache
def _stamp_sources(source: Path, module: str) -> tuple[tuple[str, float, int], ...]:
    """Name, time of change and size of a module and of all of its package that it imports, in order.

    Numba looks at the module of a function alone; functions and constants of others are in its code too.
    """
    package, *inner = module.split(".")
    root = source.parents[len(inner) - (source.name != "__init__.py")] if inner else source.parent
    waiting, stamps = [source], dict[str, tuple[str, float, int]]()
    while waiting:
        path = waiting.pop()
        if str(path) in stamps or not path.is_file():
            continue
        status = path.stat()
        stamps[str(path)] = (str(path.relative_to(root)), status.st_mtime, status.st_size)
        for name in _IMPORT.findall(path.read_text(encoding="utf-8")):
            if name.split(".")[0] == package:
                place = root.joinpath(*name.split(".")[1:])
                waiting += [place.with_suffix(".py"), place / "__init__.py"]
    return tuple(sorted(stamps.values()))


class _CheckedFile(IndexDataCacheFile):
    """Files of the cache of one function, with a digest behind the compiled code."""

    def _dump(self, obj: Any) -> bytes:
        data: bytes = super()._dump(obj)
        return data + hashlib.sha256(data).digest()

    def _load_data(self, name: str) -> Any:
        path = Path(self._data_path(name))
        content = path.read_bytes()
        if hashlib.sha256(content[:-_DIGEST]).digest() != content[-_DIGEST:]:
            raise ValueError(f"{path.name} is damaged")
        return super()._load_data(name)


class _GuardedCache(FunctionCache):
    """Cache of one function, whose errors are no errors of the program."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _CheckedFile(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=_stamp_sources(Path(function.__code__.co_filename), function.__module__),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load compiled code; None where there is none that can be used."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:
            _warn_once(self.cache_path, str(error) or type(error).__name__)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep compiled code, if that is possible."""
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _warn_once(self.cache_path, str(error) or type(error).__name__)
