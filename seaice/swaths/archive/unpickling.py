"""Reading the pickle inside a classic archive without running anything of it.

A pickle is a program, and the usual reader runs it. Here the standard library only takes it
apart (``pickletools.genops``), and a small machine of our own understands the few
operations that arrays, numbers, texts and plain containers need. It can make nothing else,
so nothing that a file says is ever called. Large arrays go to a file on the disk as they
come: an archive of several gigabytes is read within some tens of megabytes.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable
from typing import IO, Any, cast

import numpy as np

from seaice import InputError
from seaice.swaths.archive.spill import (
    SMALL,
    Spill,
    SpilledArray,
)

_LONGEST = 1 << 28  # bytes of one array or text: the longest half orbit has 16 MB
_MOST_HELD = 1 << 28  # bytes of texts in memory
_GREATEST = 1 << 64  # numbers beyond are no part of an archive
_KINDS = "biufcSUMm"
_NAME = re.compile(rf"[{_KINDS}]\d{{1,9}}")
_MARK = object()
_FORGOTTEN = object()

_RECONSTRUCT = {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
_SCALAR = {"numpy.core.multiarray scalar", "numpy._core.multiarray scalar"}
_FROM_BUFFER = {"numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer"}
_ARRAY, _DTYPE, _ORDERED = "numpy ndarray", "numpy dtype", "collections OrderedDict"
_ENCODE, _EMPTY = "_codecs encode", "__builtin__ bytes"  # how protocol 2 writes bytes
_ALLOWED = _RECONSTRUCT | _SCALAR | _FROM_BUFFER | {_ARRAY, _DTYPE, _ORDERED, _ENCODE, _EMPTY}


class RefusedPickle(InputError):
    """The pickle asks for more than arrays, numbers, texts and plain containers."""


class _Global(str):
    """Name of something the pickle would import; never imported."""


class _Unbuilt:
    """An array or dtype whose state is still to come."""

    def __init__(self, what: str, name: str = "") -> None:
        self.what = what
        self.name = name
        self.value: Any = None


class _Limited:
    """A file that refuses to be asked for absurdly much at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LONGEST:
            raise RefusedPickle(f"expected at most {_LONGEST} bytes at once, found {size} announced")
        return self._file.read(size)

    def readline(self) -> bytes:
        line = self._file.readline(_LONGEST)
        if b"\\" in line:  # no name has one, and taking it apart makes the library warn
            raise ValueError("a backslash in a name")
        return line


class SafeUnpickler:
    """A machine that understands pickles of arrays and plain containers.

    Parameters
    ----------
    file : binary file
        At the beginning of the pickle.
    spill : Spill

    Examples
    --------
    >>> import io, pickle
    >>> content = pickle.dumps({"a": np.arange(3)}, 4)
    >>> spill = Spill()
    >>> SafeUnpickler(io.BytesIO(content), spill).load()["a"].load().tolist()
    [0, 1, 2]
    >>> spill.close()
    """

    def __init__(self, file: IO[bytes], spill: Spill) -> None:
        self._file = _Limited(file)
        self._spill = spill
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._held = 0  # bytes of texts in memory

    def load(self) -> Any:
        """The object; arrays in it are :class:`SpilledArray`.

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
                if count > self._spill.room or self._held > _MOST_HELD:
                    raise RefusedPickle("refused: the pickle unpacks to absurdly much")
                if action is None:
                    raise RefusedPickle(f"expected plain data, found the pickle operation {opcode.name}")
                action(self, argument)
            self._stack.append(_built(self._pop()))
            return self._stack[-1]
        except InputError:
            raise
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise InputError(f"the pickle is damaged ({' '.join(str(error).split())[:100]})") from None
        except (MemoryError, RecursionError) as error:
            raise InputError(f"the pickle is damaged or hostile ({type(error).__name__})") from None

    def whole_dicts(self) -> list[dict[Any, Any]]:
        """The dictionaries that were complete when reading broke off."""
        found: list[dict[Any, Any]] = []
        for item in self._stack:
            items = item if isinstance(item, list) else [item]
            found += [entry for entry in items if isinstance(entry, dict)]
        # The last one may still lack keys: whoever asks checks what is there.
        return found

    # Every action takes the machine and the argument of the operation.

    def _push(self, value: Any) -> None:
        if isinstance(value, str | bytes | bytearray):
            self._held += len(value)
        elif isinstance(value, int) and abs(value) > _GREATEST:
            raise ValueError("a number of more than 64 bits")
        self._stack.append(value)

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value should be")
        return value

    def _to_mark(self) -> list[Any]:
        for position in range(len(self._stack) - 1, -1, -1):
            if self._stack[position] is _MARK:
                items = self._stack[position + 1 :]
                del self._stack[position:]
                return items
        raise ValueError("no mark")

    def _put(self, key: int) -> None:
        value = self._stack[-1]
        if not 0 <= key <= 0xFFFFFFFF:
            raise ValueError("a place to remember that is none")
        # The bytes of an array, and the tuple around them, are memorised by every writer and
        # asked for by none.
        items = value if isinstance(value, tuple) else (value,)
        self._memo[key] = _FORGOTTEN if any(map(_is_large, items)) else value

    def _get(self, key: int) -> None:
        value = self._memo[key]
        if value is _FORGOTTEN:
            raise ValueError("two arrays share their bytes")
        self._stack.append(value)

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise ValueError("items of no list")
        target.extend(_built(item) for item in items)

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("items of no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):  # equal hashes of numbers can be made on purpose
                raise ValueError("a key that is no text")
            target[key] = _built(value)

    def _tuple(self, count: int) -> None:
        items = [self._pop() for _ in range(count)][::-1]
        self._push(tuple(_built(item) for item in items))

    def _global(self, name: str) -> None:
        if name not in _ALLOWED:
            raise RefusedPickle(
                f"refused: the pickle asks to import «{_shown(name)}», which may run "
                "anything: only numpy arrays, numbers, texts and plain containers are read"
            )
        self._push(_Global(name))

    def _stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._global(f"{_text(module)} {_text(name)}")

    def _reduce(self, _: Any) -> None:
        arguments, called = self._pop(), self._pop()
        if not isinstance(called, _Global) or not isinstance(arguments, tuple):
            raise RefusedPickle("refused: the pickle calls something that is no array")
        self._push(self._make(called, arguments))

    def _make(self, called: _Global, arguments: tuple[Any, ...]) -> Any:
        if called in _RECONSTRUCT:
            return _Unbuilt("array")
        if called == _DTYPE:
            return _Unbuilt("dtype", _text(arguments[0]))
        if called == _ORDERED and not arguments:
            return {}
        if called == _EMPTY and not arguments:
            return b""
        if called == _ENCODE and arguments[1:] == ("latin1",) and isinstance(arguments[0], str):
            return arguments[0].encode("latin1")
        if called in _SCALAR:
            dtype, content = arguments
            kind, octets = _plain(dtype), _bytes(content)
            if len(octets) != kind.itemsize:
                raise ValueError(f"{len(octets)} bytes for a number of {kind}")
            return np.frombuffer(octets, kind)[0].item() if octets else kind.type().item()
        if called in _FROM_BUFFER:
            content, dtype, shape, order = arguments
            return self._array(_bytes(content), _plain(dtype), _shape(shape), _text(order))
        raise RefusedPickle(f"refused: the pickle calls {called}")

    def _build(self, _: Any) -> None:
        state, target = self._pop(), self._stack[-1]
        if not isinstance(target, _Unbuilt) or target.value is not None or not isinstance(state, tuple):
            raise RefusedPickle("refused: the pickle sets the state of something that is no array")
        if target.what == "dtype":
            target.value = _dtype(target.name, state)
        else:
            _, shape, dtype, fortran, content = state
            if isinstance(content, list):
                if math.prod(_shape(shape)) != len(content):
                    raise ValueError(f"{len(content)} objects for an array of {shape}")
                target.value = content
            else:
                order = "F" if fortran else "C"
                target.value = self._array(_bytes(content), _plain(dtype), _shape(shape), order)

    def _array(
        self, content: bytes, dtype: np.dtype, shape: tuple[int, ...], order: str
    ) -> SpilledArray | Any:
        if dtype.itemsize * math.prod(shape) != len(content):
            raise ValueError(f"{len(content)} bytes for an array of {dtype} {shape}")
        if len(content) >= SMALL:
            self._held -= len(content)
            if self._held < 0:
                raise ValueError("two arrays share their bytes")
        return self._spill.keep(content, dtype, shape, order)


def _built(value: Any) -> Any:
    """An array once it is complete; anything else as it is."""
    if isinstance(value, _Unbuilt):
        if value.value is None and value.what == "array":
            raise ValueError("an array without content")
        return value if value.what == "dtype" else value.value
    return value


def _shown(name: str) -> str:
    # Of a hostile file: nothing that moves the cursor.
    return ascii(name[:100])[1:-1].replace(" ", ".")


def _is_large(value: Any) -> bool:
    # Protocol 2 has bytes as texts.
    return isinstance(value, str | bytes | bytearray) and len(value) >= SMALL


def _text(value: Any) -> str:
    # Never str(): of lists within lists it takes for ever.
    if not isinstance(value, str):
        raise ValueError("something else where a text should be")
    return value


def _bytes(content: Any) -> bytes:
    if not isinstance(content, bytes | bytearray):
        raise ValueError("an array without bytes")
    return content if isinstance(content, bytes) else bytes(content)


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or len(shape) > 8:
        raise ValueError("a shape that is none")
    if not all(isinstance(n, int) and 0 <= n < 1 << 40 for n in shape):
        raise ValueError("a shape that is none")
    return shape


def _dtype(name: str, state: tuple[Any, ...]) -> np.dtype:
    """The dtype of a name such as ``u2`` and its pickled state, of which the byte order counts."""
    if state[3] is not None or state[4] is not None:
        raise RefusedPickle("refused: arrays of records are no part of an archive")
    if name == "O8":
        return np.dtype(object)
    if not _NAME.fullmatch(name):
        raise RefusedPickle(f"refused: an array of {_shown(name)}")
    dtype = np.dtype(name)
    if dtype.kind in "Mm" and len(state) > 8:
        unit, number = state[8][1][:2]
        dtype = np.dtype(f"{name}[{int(number)}{_bytes(unit).decode('ascii')}]")
    return dtype.newbyteorder(">") if state[1] == ">" else dtype


def _plain(dtype: Any) -> np.dtype:
    """The dtype of numbers or texts that a pickle names."""
    found = dtype.value if isinstance(dtype, _Unbuilt) else None
    if isinstance(dtype, _Unbuilt) and dtype.what == "dtype" and found is None:
        found = _dtype(dtype.name, (3, "|", None, None, None))
    if not isinstance(found, np.dtype) or found.kind not in _KINDS:
        raise RefusedPickle("refused: an array of objects inside an archive")
    return found


_ACTIONS: dict[str, Callable[[SafeUnpickler, Any], Any]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "STOP": lambda machine, _: None,
    "MARK": lambda machine, _: machine._push(_MARK),
    "POP": lambda machine, _: machine._stack.pop(),
    "NONE": lambda machine, _: machine._push(None),
    "NEWTRUE": lambda machine, _: machine._push(True),
    "NEWFALSE": lambda machine, _: machine._push(False),
    "EMPTY_TUPLE": lambda machine, _: machine._push(()),
    "TUPLE1": lambda machine, _: machine._tuple(1),
    "TUPLE2": lambda machine, _: machine._tuple(2),
    "TUPLE3": lambda machine, _: machine._tuple(3),
    "TUPLE": lambda machine, _: machine._push(tuple(_built(v) for v in machine._to_mark())),
    "EMPTY_LIST": lambda machine, _: machine._push([]),
    "LIST": lambda machine, _: machine._push([_built(v) for v in machine._to_mark()]),
    "APPEND": lambda machine, _: machine._append([machine._pop()]),
    "APPENDS": lambda machine, _: machine._append(machine._to_mark()),
    "EMPTY_DICT": lambda machine, _: machine._push({}),
    "SETITEM": lambda machine, _: machine._set([machine._pop(), machine._pop()][::-1]),
    "SETITEMS": lambda machine, _: machine._set(machine._to_mark()),
    "GLOBAL": SafeUnpickler._global,
    "STACK_GLOBAL": SafeUnpickler._stack_global,
    "REDUCE": SafeUnpickler._reduce,
    "BUILD": SafeUnpickler._build,
    "MEMOIZE": lambda machine, _: machine._put(len(machine._memo)),
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
