"""Reading the pickle inside a classic archive without running anything that it contains.

A pickle is a program for a machine with a stack, and ``pickle.load`` runs it, functions of any
module included. Here the standard library only lists the operations (``pickletools.genops``),
and :class:`SafeUnpickler` carries out the few of them that arrays, numbers, texts and plain
containers need. It never imports or calls what a file names. Large arrays go to a temporary
file as soon as they are complete: an archive of several gigabytes is read within some tens of
megabytes.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from typing import IO, Any, cast

import numpy as np

from seaice import InputError
from seaice.swaths.archive.base import LARGEST_ARRAY
from seaice.swaths.archive.spill import (
    SMALL,
    SpilledArray,
    SpillFile,
)

_MOST_TEXT = 1 << 28  # bytes of texts in memory
_LARGEST_NUMBER = 1 << 64  # an archive has none beyond
_KINDS = "biufcSUMm"  # of the dtypes of numbers, texts and times
_DTYPE_NAME = re.compile(rf"[{_KINDS}]\d{{1,9}}")
_MARK = object()  # stands on the stack where a list of items begins
_NOT_STORED = object()  # stands in the memo for bytes that are too large to be kept twice

# Names that a pickle may use. Each stands for an action of :meth:`SafeUnpickler._call`.
_RECONSTRUCT = {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
_SCALAR = {"numpy.core.multiarray scalar", "numpy._core.multiarray scalar"}
_FROM_BUFFER = {"numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer"}
_ARRAY, _DTYPE, _ORDERED = "numpy ndarray", "numpy dtype", "collections OrderedDict"
_ENCODE, _EMPTY_BYTES = "_codecs encode", "__builtin__ bytes"  # how protocol 2 writes bytes
# Values that metadata may hold beside numbers and texts. Their arguments are all that they hold.
_VALUES: dict[str, Callable[..., Any]] = {
    "datetime datetime": datetime,
    "datetime date": date,
    "datetime time": time,
    "datetime timedelta": timedelta,
    "datetime timezone": timezone,
    "decimal Decimal": lambda text: _check_text(text),
    "fractions Fraction": lambda text: _check_text(text),
    "collections defaultdict": lambda _=None: {},
}
_VALUES |= {
    f"{module} {name}": function
    for module in ("builtins", "__builtin__")
    for name, function in (
        ("set", lambda items=(): _list_items(items)),
        ("frozenset", lambda items=(): _list_items(items)),
        ("complex", lambda real, imaginary: str(complex(real, imaginary))),
    )
}
_VALUES |= {
    f"{module} {name}": lambda *parts: "/".join(map(_check_text, parts)).replace("//", "/", 1)
    for module in ("pathlib", "pathlib._local")
    for name in ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")
}
# Types that are only named, as the type of a column or of the items of a dictionary.
_TYPES = re.compile(
    r"(builtins|__builtin__) (int|float|str|list|dict|bool)|numpy (u?int|float|bool)\d*_?"
)
_ALLOWED = _RECONSTRUCT | _SCALAR | _FROM_BUFFER | set(_VALUES)
_ALLOWED |= {_ARRAY, _DTYPE, _ORDERED, _ENCODE, _EMPTY_BYTES}


class RefusedPickle(InputError):
    """The pickle asks for more than arrays, numbers, texts and plain containers."""


class _Global(str):
    """Name of an object that the pickle would import; it is never imported."""


class _Unbuilt:
    """An array or dtype until the pickle sets its state.

    Attributes
    ----------
    kind : {"array", "dtype"}
    name : str
        Name of a dtype.
    value : SpilledArray, list, dtype or None
        The complete object; None before.
    """

    def __init__(self, kind: str, name: str = "") -> None:
        self.kind = kind
        self.name = name
        self.value: Any = None


class _LimitedFile:
    """A file that refuses to read more bytes at once than any array has."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LARGEST_ARRAY:
            raise RefusedPickle(
                f"expected at most {LARGEST_ARRAY} bytes at once, found {size} announced"
            )
        return self._file.read(size)

    def readline(self) -> bytes:
        line = self._file.readline(LARGEST_ARRAY)
        if b"\\" in line:  # no name has one, and the library warns when it decodes it
            raise ValueError("a backslash in a name")
        return line


class SafeUnpickler:
    """Reads a pickle of arrays and plain containers.

    Parameters
    ----------
    file : binary file
        A file at the beginning of the pickle.
    spill : SpillFile
        File for the large arrays.

    Examples
    --------
    >>> import io, pickle
    >>> content = pickle.dumps({"a": np.arange(3)}, 4)
    >>> spill = SpillFile()
    >>> SafeUnpickler(io.BytesIO(content), spill).load()["a"].load().tolist()
    [0, 1, 2]
    >>> spill.close()
    """

    def __init__(self, file: IO[bytes], spill: SpillFile) -> None:
        self._file = _LimitedFile(file)
        self._spill = spill
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}  # objects that the pickle may use again
        self._text_bytes = 0  # of texts in memory

    def load(self) -> Any:
        """Read the object; its arrays are :class:`seaice.swaths.archive.spill.SpilledArray`.

        Raises
        ------
        RefusedPickle
            If the pickle asks for anything else than arrays and plain containers.
        InputError
            If it is damaged.
        """
        try:
            operations = pickletools.genops(cast(IO[bytes], self._file))
            for count, (opcode, argument, _) in enumerate(operations):
                action = _ACTIONS.get(opcode.name)
                if count > self._spill.most_values or self._text_bytes > _MOST_TEXT:
                    raise RefusedPickle("refused: the pickle unpacks to far more than an archive")
                if action is None:
                    raise RefusedPickle(f"expected plain data, found the pickle operation {opcode.name}")
                action(self, argument)
            self._stack.append(_complete(self._pop()))
            return self._stack[-1]
        except InputError:
            raise
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise InputError(f"the pickle is damaged ({' '.join(str(error).split())[:100]})") from None
        except (MemoryError, RecursionError) as error:
            raise InputError(f"the pickle is damaged or hostile ({type(error).__name__})") from None

    def list_dictionaries(self) -> list[dict[Any, Any]]:
        """Dictionaries that were read before the damage; the last one may lack keys."""
        dictionaries: list[dict[Any, Any]] = []
        for value in self._stack:
            items = value if isinstance(value, list) else [value]
            dictionaries += [item for item in items if isinstance(item, dict)]
        return dictionaries

    # Each of the following methods carries out an operation of ``_ACTIONS``.

    def _push(self, value: Any) -> None:
        if isinstance(value, str | bytes | bytearray):
            self._text_bytes += len(value)
        elif isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
            raise ValueError("a number of more than 64 bits")
        self._stack.append(value)

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value should be")
        return value

    def _pop_items(self) -> list[Any]:
        """Remove the last mark and all values after it, and return these."""
        for position in range(len(self._stack) - 1, -1, -1):
            if self._stack[position] is _MARK:
                items = self._stack[position + 1 :]
                del self._stack[position:]
                return items
        raise ValueError("no mark")

    def _put(self, key: int) -> None:
        """Memorise the last value on the stack."""
        value = self._stack[-1]
        if not 0 <= key <= 0xFFFFFFFF:
            raise ValueError("a key of the memo that cannot be")
        # Every writer memorises the bytes of an array and the tuple around them, and none uses
        # them again.
        items = value if isinstance(value, tuple) else (value,)
        self._memo[key] = _NOT_STORED if any(map(_is_large, items)) else value

    def _get(self, key: int) -> None:
        """Put a memorised value on the stack."""
        value = self._memo[key]
        if value is _NOT_STORED:
            raise ValueError("two arrays share their bytes")
        self._stack.append(value)

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise ValueError("items of no list")
        target.extend(_complete(item) for item in items)

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("items of no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):  # equal hashes of numbers can be made on purpose
                raise ValueError("a key that is no text")
            target[key] = _complete(value)

    def _push_tuple(self, count: int) -> None:
        items = [self._pop() for _ in range(count)][::-1]
        self._push(tuple(_complete(item) for item in items))

    def _push_global(self, name: str) -> None:
        if name not in _ALLOWED and not _TYPES.fullmatch(name):
            raise RefusedPickle(
                f"refused: the pickle asks to import «{_escape(name)}», which may run "
                "anything: only numpy arrays, numbers, texts and plain containers are read"
            )
        self._push(_Global(name))

    def _push_stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._push_global(f"{_check_text(module)} {_check_text(name)}")

    def _reduce(self, _: Any) -> None:
        """Replace a name and its arguments on the stack by what the call would return."""
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, _Global) or not isinstance(arguments, tuple):
            raise RefusedPickle("refused: the pickle calls something that is no array")
        self._push(self._call(function, arguments))

    def _call(self, function: _Global, arguments: tuple[Any, ...]) -> Any:
        if function in _RECONSTRUCT:
            return _Unbuilt("array")
        if function == _DTYPE:
            return _Unbuilt("dtype", _check_text(arguments[0]))
        if function == _ORDERED and not arguments:
            return {}
        if function == _EMPTY_BYTES and not arguments:
            return b""
        if function == _ENCODE and arguments[1:] == ("latin1",) and isinstance(arguments[0], str):
            return arguments[0].encode("latin1")
        if function in _SCALAR:
            dtype, octets = _check_dtype(arguments[0]), _check_bytes(arguments[1])
            if len(arguments) != 2 or len(octets) != dtype.itemsize:
                raise ValueError(f"{len(octets)} bytes for a number of {dtype}")
            return np.frombuffer(octets, dtype)[0].item() if octets else dtype.type().item()
        if function in _FROM_BUFFER:
            content, stored_dtype, shape, order = arguments
            return self._store_array(
                _check_bytes(content),
                _check_dtype(stored_dtype),
                _check_shape(shape),
                _check_text(order),
            )
        if function in _VALUES:
            return _VALUES[function](*arguments)
        raise RefusedPickle(f"refused: the pickle calls {function}")

    def _build(self, _: Any) -> None:
        """Set the state of an array or dtype."""
        state, target = self._pop(), self._stack[-1]
        if not isinstance(target, _Unbuilt) or target.value is not None or not isinstance(state, tuple):
            raise RefusedPickle("refused: the pickle sets the state of something that is no array")
        if target.kind == "dtype":
            target.value = _make_dtype(target.name, state)
        else:
            _, shape, dtype, fortran, content = state
            if isinstance(content, list):
                if math.prod(_check_shape(shape)) != len(content):
                    raise ValueError(f"{len(content)} objects for an array of {shape}")
                target.value = content
            else:
                target.value = self._store_array(
                    _check_bytes(content),
                    _check_dtype(dtype),
                    _check_shape(shape),
                    "F" if fortran else "C",
                )

    def _store_array(
        self, content: bytes, dtype: np.dtype, shape: tuple[int, ...], order: str
    ) -> SpilledArray:
        if dtype.itemsize * math.prod(shape) != len(content):
            raise ValueError(f"{len(content)} bytes for an array of {dtype} {shape}")
        if len(content) >= SMALL:
            # They were counted as text when they were read, and leave the memory now. A second
            # array of the same bytes would make the count too small.
            self._text_bytes -= len(content)
            if self._text_bytes < 0:
                raise ValueError("two arrays share their bytes")
        return self._spill.store(content, dtype, shape, order)


def _complete(value: Any) -> Any:
    """The array of an :class:`_Unbuilt` one; any other value as it is."""
    if not isinstance(value, _Unbuilt) or value.kind == "dtype":
        return value
    if value.value is None:
        raise ValueError("an array without content")
    return value.value


def _escape(name: str) -> str:
    # A hostile name may hold characters that move the cursor of a terminal.
    return ascii(name[:100])[1:-1].replace(" ", ".")


def _is_large(value: Any) -> bool:
    # Protocol 2 writes bytes as texts.
    return isinstance(value, str | bytes | bytearray) and len(value) >= SMALL


def _check_text(value: Any) -> str:
    # Not str(value): lists within lists would take for ever.
    if not isinstance(value, str):
        raise ValueError("something else where a text should be")
    return value


def _list_items(items: Any) -> list[Any]:
    if not isinstance(items, list | tuple):
        raise ValueError("a set of something else than items")
    return [_complete(item) for item in items]


def _check_bytes(content: Any) -> bytes:
    if not isinstance(content, bytes | bytearray):
        raise ValueError("an array without bytes")
    return content if isinstance(content, bytes) else bytes(content)


def _count_with_empty(shape: tuple[int, ...]) -> int:
    """Numbers that an array would have if no axis was empty."""
    return math.prod(max(1, length) for length in shape)


def _check_shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or len(shape) > 8:
        raise ValueError("a shape that cannot be")
    # An array without numbers may have an axis of any length, which a list of lists would have, too.
    if not all(isinstance(n, int) and n >= 0 for n in shape) or _count_with_empty(shape) > LARGEST_ARRAY:
        raise ValueError("a shape that cannot be")
    return shape


def _make_dtype(name: str, state: tuple[Any, ...]) -> np.dtype:
    """The dtype for a name such as ``u2`` and its pickled state.

    Only the byte order (item 1) and the unit of times (item 8) of the state are used; the fields
    of records (items 3 and 4) must be absent.
    """
    if state[3] is not None or state[4] is not None:
        raise RefusedPickle("refused: arrays of records are no part of an archive")
    if name == "O8":
        return np.dtype(object)
    if not _DTYPE_NAME.fullmatch(name):
        raise RefusedPickle(f"refused: an array of {_escape(name)}")
    dtype = np.dtype(name)
    if dtype.kind in "Mm" and len(state) > 8:
        unit, number = state[8][1][:2]
        dtype = np.dtype(f"{name}[{int(number)}{_check_bytes(unit).decode('ascii')}]")
    return dtype.newbyteorder(">") if state[1] == ">" else dtype


def _check_dtype(value: Any) -> np.dtype:
    """The dtype of numbers or texts that a pickle describes."""
    dtype = value.value if isinstance(value, _Unbuilt) else None
    if isinstance(value, _Unbuilt) and value.kind == "dtype" and dtype is None:
        dtype = _make_dtype(value.name, (3, "|", None, None, None))
    if not isinstance(dtype, np.dtype) or dtype.kind not in _KINDS:
        raise RefusedPickle("refused: an array of objects inside an archive")
    return dtype


# Operation of a pickle -> function of the unpickler and the argument of the operation.
_ACTIONS: dict[str, Callable[[SafeUnpickler, Any], Any]] = {
    "PROTO": lambda unpickler, _: None,
    "FRAME": lambda unpickler, _: None,
    "STOP": lambda unpickler, _: None,
    "MARK": lambda unpickler, _: unpickler._push(_MARK),
    "POP": lambda unpickler, _: unpickler._stack.pop(),
    "NONE": lambda unpickler, _: unpickler._push(None),
    "NEWTRUE": lambda unpickler, _: unpickler._push(True),
    "NEWFALSE": lambda unpickler, _: unpickler._push(False),
    "EMPTY_TUPLE": lambda unpickler, _: unpickler._push(()),
    "TUPLE1": lambda unpickler, _: unpickler._push_tuple(1),
    "TUPLE2": lambda unpickler, _: unpickler._push_tuple(2),
    "TUPLE3": lambda unpickler, _: unpickler._push_tuple(3),
    "TUPLE": lambda unpickler, _: unpickler._push(
        tuple(_complete(item) for item in unpickler._pop_items())
    ),
    "EMPTY_LIST": lambda unpickler, _: unpickler._push([]),
    "LIST": lambda unpickler, _: unpickler._push([_complete(item) for item in unpickler._pop_items()]),
    "APPEND": lambda unpickler, _: unpickler._append([unpickler._pop()]),
    "APPENDS": lambda unpickler, _: unpickler._append(unpickler._pop_items()),
    "EMPTY_DICT": lambda unpickler, _: unpickler._push({}),
    "EMPTY_SET": lambda unpickler, _: unpickler._push([]),
    "ADDITEMS": lambda unpickler, _: unpickler._append(unpickler._pop_items()),
    "FROZENSET": lambda unpickler, _: unpickler._push(_list_items(unpickler._pop_items())),
    "SETITEM": lambda unpickler, _: unpickler._set([unpickler._pop(), unpickler._pop()][::-1]),
    "SETITEMS": lambda unpickler, _: unpickler._set(unpickler._pop_items()),
    "GLOBAL": SafeUnpickler._push_global,
    "STACK_GLOBAL": SafeUnpickler._push_stack_global,
    "REDUCE": SafeUnpickler._reduce,
    "BUILD": SafeUnpickler._build,
    "MEMOIZE": lambda unpickler, _: unpickler._put(len(unpickler._memo)),
}
_ACTIONS |= dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), SafeUnpickler._put)
_ACTIONS |= dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), SafeUnpickler._get)
_ACTIONS |= dict.fromkeys(
    [
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "FLOAT",
        "BINFLOAT",
        "UNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BINUNICODE8",
        "SHORT_BINBYTES",
        "BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
    ],
    SafeUnpickler._push,
)
