"""JSON files, digests and orders by digest."""

import hashlib
import json

import numpy as np
import pytest

from seaice.runtime.digests import describe_array, digest_file, digest_parts, sort_by_digest
from seaice.runtime.json_files import write_json


def test_an_object_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"days": (1, 2), "name": "Grönland"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"days": [1, 2], "name": "Grönland"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"mean": float("nan")})
    assert "Gr" in path.read_text() and list(tmp_path.iterdir()) == [path]


def test_digests_are_sha256(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "f").write_bytes(content)
    expected = hashlib.sha256(content).hexdigest()
    assert (
        digest_file(tmp_path / "f") == digest_parts([content[:7], memoryview(content)[7:]]) == expected
    )
    array = np.arange(3.0)
    assert describe_array(array) == f"array (3,), SHA-256 {hashlib.sha256(array.tobytes()).hexdigest()}"


def test_the_order_of_digests_never_changes():
    names = [f"s{number}" for number in range(8)]
    assert sort_by_digest(names, "1") == ["s5", "s1", "s7", "s4", "s3", "s2", "s6", "s0"]
    assert sort_by_digest(names, "2") != sort_by_digest(names, "1")
    pairs = [("b", 1), ("a", 2), ("b", 3)]
    ordered = sort_by_digest(pairs, "x", lambda pair: pair[0])
    assert [pair for pair in ordered if pair[0] == "b"] == [("b", 1), ("b", 3)]
