"""Pickles that want more than to be data: each is refused, and nothing of it runs."""

import io
import os
import pickle
import struct
import time
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from swaths import classic_dictionary

from seaice import InputError
from seaice.swaths.archive import (
    load_swaths,
    spill,
    unpickling,
)
from seaice.swaths.archive.spill import SpillFile
from seaice.swaths.archive.unpickling import (
    RefusedPickle,
    SafeUnpickler,
)


def load(content: bytes):
    kept = SpillFile()
    try:
        return SafeUnpickler(io.BytesIO(content), kept).load()
    finally:
        kept.close()


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments, state=None, items=None, pairs=None):
        self.parts = (function, arguments, state, items, pairs)

    def __reduce__(self):
        return self.parts


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


DTYPE = b"cnumpy\ndtype\n"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n"
SCALAR = b"cnumpy.core.multiarray\nscalar\n"
STATE = b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


def dtype(name: str, state: bytes = STATE) -> bytes:
    return DTYPE + text(name) + b"\x89\x88\x87R" + state


def array(shape: bytes, kind: bytes, content: bytes = b"C\x02ab") -> bytes:
    return (
        b"\x80\x03"
        + ARRAY
        + b"cnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01"
        + shape
        + kind
        + b"\x89"
        + content
        + b"tb."
    )


HOSTILE = {
    "global": b"cos\nsystem\nX\x04\x00\x00\x00exit\x85R.",
    "stack global": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04exit\x85R.",
    "global that is not called": b"cbuiltins\neval\n.",
    "inst": b"(X\x04\x00\x00\x00exitios\nsystem\n.",
    "obj": b"(cos\nsystem\nX\x04\x00\x00\x00exito.",
    "newobj": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "newobj ex": b"\x80\x04cnumpy\nndarray\n)}\x92.",
    "persistent id": b"Pabc\n.",
    "binary persistent id": b"\x80\x04K\x01Q.",
    "extension 1": b"\x80\x02\x82\x01.",
    "extension 2": b"\x80\x02\x83\x01\x00.",
    "extension 4": b"\x80\x02\x84\x01\x00\x00\x00.",
    "out of band buffer": b"\x80\x05\x97.",
    "build on a list": b"\x80\x04]}b.",
    "build on a dictionary": b"\x80\x04}(X\x01\x00\x00\x00aK\x01u)b.",
    "build on a global": b"\x80\x04cnumpy\ndtype\n)b.",
    "reduce of a text": b"\x80\x04\x8c\x02os)R.",
    "reduce of a list": b"\x80\x04])R.",
    "ndarray called": b"\x80\x04cnumpy\nndarray\n(K\x01tR.",
    "encode to rot13": b"\x80\x04c_codecs\nencode\n\x8c\x01a\x8c\x05rot13\x86R.",
    "bytes of a length": b"\x80\x02c__builtin__\nbytes\nK\x05\x85R.",
    "frombuffer of numpy": b"\x80\x04cnumpy\nfrombuffer\n.",
    "attributes of a module": b"\x80\x04\x8c\x05numpy\x8c\x0dlib.os.system\x93.",
    "numpy load": b"\x80\x04cnumpy\nload\n.",
    "codecs decode": b"\x80\x04c_codecs\ndecode\n.",
    "getattr": b"\x80\x04cbuiltins\ngetattr\n.",
    "array of objects": array(b"K\x01\x85", dtype("O8")),
    "dtype O in a scalar": b"\x80\x03" + SCALAR + dtype("O8") + b"C\x08abcdefgh\x86R.",
    "structured": array(
        b"K\x01\x85", dtype("V2", b"(K\x03X\x01\x00\x00\x00|NX\x01\x00\x00\x00a\x85}K\x02K\x01K\x00tb")
    ),
    "fields in a name": array(b"K\x01\x85", dtype("i1,O")),
    "subarray in a name": array(b"K\x01\x85", dtype("(2,)u1")),
    "subarray without state": array(b"K\x01\x85", dtype("(2,)u1", b"")),
    "void": array(b"K\x01\x85", dtype("V2")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_refused(name):
    with pytest.raises(RefusedPickle) as caught:
        load(HOSTILE[name])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("function", [os.system, eval, os.mkdir, open, __import__])
def test_no_call_is_made(tmp_path, protocol, function, monkeypatch):
    trap = tmp_path / "trap"
    hidden = [{"temperature": np.arange(3), "metadata": {"a": Call(function, str(trap))}}]
    with pytest.raises(RefusedPickle, match=r"which may run anything|operation DICT"):
        load(pickle.dumps(hidden, protocol))
    assert not trap.exists()


DAMAGED = {
    "nothing": b"",
    "no value": b"\x80\x04.",
    "mark as value": b"(.",
    "mark in a tuple": b"(\x85.",
    "no mark": b"t.",
    "memo of nothing": b"h\x05.",
    "append to a dictionary": b"}K\x01a.",
    "item of a list": b"]K\x01K\x02s.",
    "odd items": b"}(K\x01u.",
    "number as key": b"}K\x01K\x02s.",
    "list as key": b"}]K\x02s.",
    "negative bytes": b"\x80\x03B\xff\xff\xff\xff.",
    "negative long": b"\x80\x02\x8b\xff\xff\xff\xff.",
    "bytes beyond everything": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "text beyond everything": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "number without end": b"I" + b"9" * 5000 + b"\n.",
    "long without end": b"L" + b"9" * 5000 + b"L\n.",
    "number of 80 bits": b"\x80\x02\x8a\x0a" + b"\x01" * 10 + b".",
    "place without end": b"K\x01p99999999999999999999\n.",
    "negative place": b"K\x01p-1\n.",
    "array without content": b"\x80\x03" + ARRAY + b"cnumpy\nndarray\nK\x00\x85C\x01b\x87R.",
    "array in itself": b"\x80\x03" + ARRAY + b"cnumpy\nndarray\nK\x00\x85C\x01b\x87Rq\x00]h\x00a.",
    "too few bytes": array(b"K\x09\x85", dtype("u1")),
    "negative shape": array(b"J\xff\xff\xff\xff\x85", dtype("u1")),
    "shape beyond everything": array(b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x0f\x85", dtype("u1")),
    "shape of nothing beyond everything": array(
        b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", dtype("S0"), b"C\x01a"
    ),
    "list as shape": array(b"](]]e", dtype("u1")),
    "objects that do not fill the shape": array(b"K\x09\x85", dtype("O8"), b"](K\x01K\x02e"),
    "number as dtype name": b"\x80\x03cnumpy\ndtype\nK\x05\x85R.",
    "list as dtype name": b"\x80\x03cnumpy\ndtype\n]\x85R.",
    "list as module": b"\x80\x04]\x8c\x06system\x93.",
    "dtype that is none": array(b"K\x01\x85", dtype("u3")),
    "dtype beyond everything": array(b"K\x01\x85", dtype("S999999999")),
    "scalar with too much": b"\x80\x03" + SCALAR + dtype("u1") + b"C\x02ab\x86R.",
    "scalar without dtype": b"\x80\x03" + SCALAR + b"C\x02abC\x02ab\x86R.",
    "encode of a list": b"\x80\x04c_codecs\nencode\n]\x8c\x06latin1\x86R.",
    "encode beyond latin": b"\x80\x04c_codecs\nencode\n\x8c\x03\xe2\x82\xac\x8c\x06latin1\x86R.",
    "text that is no utf-8": b"\x80\x04\x8c\x01\xff.",
    "unknown operation": b"\xff.",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged(name):
    with pytest.raises(InputError) as caught:
        load(DAMAGED[name])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def nested(depth: int) -> bytes:
    content = [b"\x80\x04]q\x00"]
    content += [
        b"](" + b"h" + bytes([n]) + b"h" + bytes([n]) + b"eq" + bytes([n + 1]) for n in range(depth)
    ]
    return b"".join(content)


@pytest.mark.parametrize(
    "tail",
    [b"\x8c\x06system\x93.", b"\x85cnumpy\ndtype\nh\x05\x85R.", b"0cnumpy\ndtype\nh\x64\x85R."],
)
def test_lists_of_lists_of_lists_take_no_time(tail):
    began = time.monotonic()
    with pytest.raises(InputError):
        load(nested(120) + tail)
    assert time.monotonic() - began < 2


@pytest.mark.slow
def test_containers_in_themselves_and_deep_ones_are_no_harm(tmp_path, monkeypatch):
    monkeypatch.setattr(spill, "_MOST_VALUES", 1 << 18)
    itself = {}
    itself["metadata"] = itself
    for metadata in (itself, pickle.loads(nested(120) + b"."), None):
        top = {"temperature": np.zeros((3, 243), np.uint16), "metadata": {"a": metadata}}
        objects = np.empty(1, object)
        objects[0] = top
        if metadata is None:
            content = pickle.dumps(objects, 3)
            place = content.rindex(b"N")
            content = content[:place] + b"]" * 5000 + b"a" * 4999 + content[place + 1 :]
        else:
            content = pickle.dumps(objects, 3)
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|O", "fortran_order": False, "shape": (1,)}
        )
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
            file.writestr("swath_array.npy", header.getvalue() + content)
        began = time.monotonic()
        with pytest.raises(InputError, match="metadata within metadata"):
            load_swaths(tmp_path / "a.npz")
        assert time.monotonic() - began < 20


def test_bytes_are_not_used_twice():
    """Else a short pickle would fill the disk."""
    content = b"x" * 5000
    arguments = (
        b"\x80\x05cnumpy.core.numeric\n_frombuffer\n" + b"(\x96" + struct.pack("<Q", 5000) + content
    )
    arguments += b"\x94" + dtype("u1") + b"M\x88\x13\x85\x8c\x01Ct\x94R"
    with pytest.raises(InputError, match="share their bytes"):
        load(arguments + b"0cnumpy.core.numeric\n_frombuffer\nh\x01R.")
    with pytest.raises(InputError, match="share their bytes"):
        load(arguments + b"0h\x00.")


def test_limits(monkeypatch):
    monkeypatch.setattr(spill, "_MOST_VALUES", 1000)
    with pytest.raises(RefusedPickle, match="far more than an archive"):
        load(b"N" * 2000 + b".")
    monkeypatch.setattr(unpickling, "_MOST_TEXT", 1000)
    with pytest.raises(RefusedPickle, match="far more than an archive"):
        load(b"(" + text("a" * 400) * 5 + b"t.")
    monkeypatch.setattr(unpickling, "LARGEST_ARRAY", 1000)
    with pytest.raises(RefusedPickle, match="expected at most 1000 bytes at once, found 2000"):
        load(b"B" + struct.pack("<I", 2000) + bytes(2000) + b".")


def test_memory_does_not_hold_the_bytes_of_protocol_2():
    kept = SpillFile()
    machine = SafeUnpickler(io.BytesIO(pickle.dumps({"a": np.arange(9000.0)}, 2)), kept)
    assert machine.load()["a"].load()[-1] == 8999
    kept.close()
    assert not any(isinstance(v, str | bytes) and len(v) > 4096 for v in machine._memo.values())


@pytest.fixture(scope="module")
def good():
    objects = np.empty(2, object)
    objects[:] = [classic_dictionary(n, scans=4, places=True) for n in range(2)]
    return [pickle.dumps(objects, protocol) for protocol in (2, 3, 4, 5)]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_bytes_make_anything_but_an_input_error(good, data):
    content = bytearray(data.draw(st.sampled_from(good)))
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, 400) | st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    try:
        load(bytes(content))
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"(",
                b")",
                b"]",
                b"}",
                b"t",
                b"e",
                b"u",
                b"a",
                b"s",
                b"R",
                b"b",
                b"q\x00",
                b"h\x00",
                b"K\x01",
                b"N",
                b"0",
                DTYPE,
                ARRAY,
                SCALAR,
                b"cnumpy\nndarray\n",
                b"C\x02ab",
                text("u1"),
                text("O8"),
                b"\x93",
                b"\x94",
                b"\x85",
                b"\x86",
                b"\x87",
                dtype("u1"),
                dtype("O8"),
                b"ccollections\nOrderedDict\n",
                b"c_codecs\nencode\n",
            ]
        ),
        max_size=25,
    )
)
def test_no_order_of_operations_makes_anything_but_an_input_error(parts):
    try:
        load(b"\x80\x04" + b"".join(parts) + b".")
    except InputError as error:
        assert "\n" not in str(error)
