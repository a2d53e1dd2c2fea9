"""The digests that tell whether two versions of the toolbox compute the same."""

import json

import netCDF4
import numpy as np
import pytest
from digests import CONTENTS, Run, differences, digest


def same(one, two) -> bool:
    return digest(one)["sha256"] == digest(two)["sha256"]


def test_only_values_count():
    values = np.arange(6, dtype=np.float64).reshape(2, 3) / 7
    assert same(values, np.asfortranarray(values))
    assert same(values, values.astype(">f8"))
    assert same(values.astype(np.float32), values.astype(np.float32).astype(np.float64))
    assert same(np.array([1, 2], np.int16), np.array([1, 2], np.int64))
    assert same([0.0, 1.0], [-0.0, 1.0])


def test_values_are_rounded_to_six_decimals():
    assert same([0.1234561, 1e12], [0.1234564, 1e12])
    assert not same([0.123456], [0.123458])
    assert not same([1e12], [1e12 + 1])


def test_every_nan_is_the_same_and_no_number():
    other_nan = np.array([0xFFF8000000000001], np.uint64).view(np.float64)
    assert same(other_nan, [np.nan])
    assert not same([np.nan], [0.0])
    assert not same([np.inf], [np.nan])
    assert not same([np.inf], [-np.inf])


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 2.0, 4.0, 3.0],
        [1.0, 2.0, 3.0],
        [[1.0, 2.0], [3.0, 4.0]],
        [1, 2, 3, 4],
        [1.0, 2.0, 3.0, np.nan],
        ["1.0", "2.0", "3.0", "4.0"],
    ],
    ids=["order", "fewer", "shape", "kind", "missing", "text"],
)
def test_a_changed_array_changes_its_digest(values):
    assert not same([1.0, 2.0, 3.0, 4.0], values)


def test_texts_and_several_arrays():
    assert same(np.array(["a", "b"]), np.array(["a", "b"], object))
    assert not same(["ab", ""], ["a", "b"])
    assert digest([1.0], [2.0])["sha256"] != digest([2.0], [1.0])["sha256"]
    assert digest([1.0], [2.0])["sha256"] != digest([1.0, 2.0])["sha256"]


def test_numbers_for_people():
    values = digest(np.array([[1.0, np.nan], [2.0, 6.0]]), [3.4e38])
    values.pop("sha256")
    assert values == {"arrays": 2, "shapes": ["1", "2x2"], "finite": 3, "mean": 3.0}
    assert digest(["a"])["mean"] is None


def test_differences_name_what_changed():
    before = {"cube/a": digest([1.0]), "cube/b": digest([1.0]), "mask": digest([1.0])}
    after = {"cube/a": digest([1.0]), "cube/b": digest([3.0]), "index": digest([1.0])}
    assert differences(before, before) == []
    assert differences(before, after) == [
        "cube/b: arrays 1 -> 1, shapes ['1'] -> ['1'], finite 1 -> 1, mean 1.0 -> 3.0",
        "index: only after",
        "mask: only before",
    ]


def test_what_is_no_result_or_left_out_has_no_digest(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"seconds": 3.0, "scores": [{"rmse": 1.5, "seconds": 2}, {"rmse": 2.5}]}))
    run = Run(tmp_path, tmp_path, ["swaths/flat"])
    run.add("swaths/flat/temperature", [1.0])
    run.add_files("scores", path)
    assert list(run.digests) == ["scores/files", "scores/scores"]
    assert run.digests["scores/scores"] == digest([1.5, 2.5])


def test_packed_values_are_decoded(tmp_path):
    for name, kind in (("packed.nc", "i2"), ("plain.nc", "f8")):
        with netCDF4.Dataset(tmp_path / name, "w") as dataset:
            dataset.createDimension("x", 3)
            variable = dataset.createVariable("ice", kind, "x", fill_value=-1)
            if kind == "i2":
                variable.scale_factor = 0.01
            variable[:] = np.ma.masked_array([0.25, 0.5, 1.0], [False, True, False])
    packed, plain = (dict(CONTENTS[".nc"](tmp_path / name)) for name in ("packed.nc", "plain.nc"))
    assert same(packed["ice"], plain["ice"]) and same(plain["ice"], [0.25, np.nan, 1.0])


def test_columns_of_a_table(tmp_path):
    path = tmp_path / "index.csv"
    path.write_text("region,extent\na,1.5\nb,\n")
    columns = dict(CONTENTS[".csv"](path))
    assert same(columns["extent"], [1.5, np.nan])
    assert columns["region"].tolist() == ["a", "b"]
