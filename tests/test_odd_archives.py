"""Archives and granules that are odd, damaged, misnamed or too large: each is one line, and no more."""

import decimal
import json
import pickle
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath

import h5py
import numpy as np
import pytest
from swaths import LAYOUTS, NAME, assert_same, classic_dictionary, make_swath, write, write_classic

import grid_swaths
from seaice import InputError
from seaice.simulate import list_simulated_granules, write_granule
from seaice.sources.amsr2.l1b import find_granules
from seaice.swaths import verify
from seaice.swaths.archive import base, checkpoint, hdf5, load_swaths
from seaice.swaths.split import split_archives

START = datetime(2020, 3, 1, tzinfo=UTC)
NOTES = {
    "when": datetime(2020, 1, 1, 12, 30),
    "utc": datetime(2020, 1, 1, tzinfo=UTC),
    "day": date(2020, 1, 2),
    "length": timedelta(minutes=49),
    "number": decimal.Decimal("1.5"),
    "parts": {"a"},
    "pair": complex(1, 2),
    "file": PurePosixPath("/data/granule.h5"),
    "type": np.float32,
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_harmless_notes_leave_a_classic_archive_readable(tmp_path, monkeypatch, protocol):
    first, second = classic_dictionary(0), classic_dictionary(1)
    first["metadata"] |= NOTES
    dump = pickle.dump
    monkeypatch.setattr(pickle, "dump", lambda value, file, **_: dump(value, file, protocol=protocol))
    path = write_classic(tmp_path / "old.npz", [first, second])
    with load_swaths(path) as swaths:
        assert len(list(swaths)) == 2
        notes = swaths.entries[0]
    assert notes["when"] == "2020-01-01T12:30:00" and notes["utc"] == "2020-01-01T00:00:00+00:00"
    assert notes["day"] == "2020-01-02" and notes["length"] == "0:49:00"
    assert notes["number"] == "1.5" and notes["parts"] == ["a"] and notes["pair"] == "(1+2j)"
    assert notes["file"] == "/data/granule.h5" and "float32" in notes["type"]


def test_an_empty_array_with_a_long_axis_takes_no_memory(tmp_path):
    swath = classic_dictionary(0)
    swath["metadata"]["note"] = np.empty((100_000_000, 0), np.uint8)
    with load_swaths(write_classic(tmp_path / "long.npz", [swath])) as swaths:
        assert swaths.entries[0]["note"] is None
    swath["metadata"]["note"] = np.empty((300_000_000, 0), np.uint8)
    with pytest.raises(InputError, match="a shape that cannot be"):
        load_swaths(write_classic(tmp_path / "longer.npz", [swath]))


def test_an_archive_of_little_that_inflates_to_much_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / f"{NAME}.h5", [make_swath(number) for number in range(3)])
    with h5py.File(path, "r+") as file:
        for name in list(file):
            if name != base.INDEX:
                del file[name]["temperature"]
                layout = {"chunks": (4000, 243), "compression": "gzip", "shuffle": True}
                file[name].create_dataset("temperature", (4000, 243), "u2", **layout)[:] = 0
    monkeypatch.setattr(hdf5, "_FREE_INFLATION", 1 << 20)
    monkeypatch.setattr(hdf5, "_MOST_INFLATION", 4)
    report = verify.verify_archives(archives=[path])
    assert sum("inflates to far more" in text for text in report.failed) >= 2


def test_notes_within_notes_are_refused(tmp_path):
    path = write(tmp_path / f"{NAME}.h5", [make_swath()])
    with h5py.File(path, "r+") as file:
        index = json.loads(file[base.INDEX][:].tobytes())
        text = json.dumps({**index, "note": 0}).replace('"note": 0', f'"note": {"[" * 500}{"]" * 500}')
        del file[base.INDEX]
        file.create_dataset(base.INDEX, data=np.frombuffer(text.encode(), np.uint8))
    with pytest.raises(InputError, match="notes within notes"):
        load_swaths(path)


ODD_IDS = [
    "a/b",
    "..",
    ".",
    base.INDEX,
    "/",
    "x\0y",
    "é" * 300,
    "\ud800",
    "swath_00001",
    "again",
    "again",
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_odd_granule_ids_survive_a_split(tmp_path, layout):
    swaths = []
    for number, granule_id in enumerate(ODD_IDS):
        swath = classic_dictionary(number)
        swath["metadata"]["granule_id"] = granule_id
        swaths.append(swath)
    source = write_classic(tmp_path / "odd.npz", swaths)
    report = split_archives(input=[source], output_dir=tmp_path / "parts", layout=layout)
    assert report.failed == [] and len(report.outputs) == 1
    with load_swaths(source) as before, load_swaths(report.outputs[0]) as after:
        assert [swath.granule_id for swath in after] == ODD_IDS
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one.kelvin(), other.kelvin())


def test_a_bad_swath_is_named_with_its_file_and_number(tmp_path):
    bad = classic_dictionary(1)
    bad["temperature"] = np.array(["no", "numbers"])
    source = write_classic(tmp_path / "bad.npz", [classic_dictionary(0), bad])
    good = write(tmp_path / "good.h5", [make_swath()])
    report = split_archives(input=[source, good], output_dir=tmp_path / "parts")
    assert len(report.failed) == 1 and len(report.outputs) == 1
    assert "swath 1" in report.failed[0] and "bad.npz" in report.failed[0]


def test_whatever_an_archive_raises_is_its_failure_alone(tmp_path, monkeypatch):
    paths = [write(tmp_path / name, [make_swath()]) for name in ("a.h5", "b.h5")]
    read = hdf5.Hdf5Archive._read

    def fail(archive, index):
        return read(archive, index) if archive.path.name == "b.h5" else 1 // 0

    monkeypatch.setattr(hdf5.Hdf5Archive, "_read", fail)
    report = split_archives(input=paths, output_dir=tmp_path / "parts")
    assert len(report.failed) == 1 and "a.h5" in report.failed[0] and len(report.outputs) == 1
    report = verify.verify_archives(archives=paths)
    assert "a.h5" in report.failed[0] and "modulo" not in str(report.failed[1:])


def test_the_index_of_an_older_archive_is_checked(tmp_path):
    swath = make_swath()
    path = write(tmp_path / f"{NAME}.h5", [swath])  # without the checksum that a stage appends
    with load_swaths(path) as swaths:
        assert_same(swath, swaths[0])
    with h5py.File(path, "r+") as file:
        positions = file[swath.granule_id]["longitude"]
        shape, attributes = positions.shape, dict(positions.attrs)
        del file[swath.granule_id]["longitude"]
        file[swath.granule_id].create_dataset(
            "longitude", shape, "f4", chunks=shape, compression="gzip", shuffle=True
        ).attrs.update({key: attributes[key] for key in ("units",)})
    with load_swaths(path) as swaths, pytest.raises(InputError, match=r"chunks of .*longitude are lost"):
        swaths[0]


def test_short_descriptions(tmp_path):
    swath = make_swath()
    assert repr(swath) == (
        "<swath GW1AM2_202001010000_001A_L1SGBTBR_2220220: 36.5H, 20 scans of 243 pixels, "
        "from 2020-01-01T00:00:00.000Z>"
    )
    assert repr(swath.positions["36.5"]) == "<positions of 20 x 243 pixels: co-registration>"
    with load_swaths(write(tmp_path / "a.h5", [swath])) as swaths:
        assert repr(swaths) == "<swath archive a.h5: hdf5, 1 swath>"


@pytest.fixture(scope="module")
def granule():
    return list_simulated_granules(START, START.replace(hour=2))[1]


@pytest.mark.slow
def test_granules_are_recognised_by_what_they_hold(tmp_path, granule):
    path = write_granule(tmp_path, granule, scans=5, overlap=1)
    for name in (f"{path.stem}.H5", "copy (1).h5", "renamed.hdf5"):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(path, folder / name)
        granules, left_out = find_granules(folder)
        assert [found.granule_id for found in granules.values()] == [path.stem] and left_out == []
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / "GGWAM3_202607010942A035_L1RTBR_1.nc").write_bytes(path.read_bytes())
    write(odd / path.name, [make_swath()])  # an archive under the name of a granule
    granules, left_out = find_granules(odd)
    assert granules == {} and len(left_out) == 2
    assert any("one of AMSR3, whose layout differs" in text for text in left_out)
    assert any(path.name in text and "another HDF5 file" in text for text in left_out)


@pytest.mark.slow
def test_an_archive_under_the_name_of_a_granule_is_read_as_an_archive(tmp_path):
    swath = make_swath(0, scans=30)
    path = write(tmp_path / f"{swath.granule_id}.h5", [swath])
    output = tmp_path / "grids"
    assert grid_swaths.main(["--input", str(path), "--output_dir", str(output), "--grid", "n25000"]) == 0
    assert len(list(output.glob("*.nc"))) == 1


def test_two_layouts_have_two_folders_and_files_of_others_are_left(tmp_path):
    folders = {checkpoint.locate_checkpoints(tmp_path / f"{NAME}{ending}") for ending in (".h5", ".npz")}
    assert len(folders) == 2
    archive = tmp_path / f"{NAME}.h5"
    folder = checkpoint.locate_checkpoints(archive)
    checkpoints = checkpoint.Checkpoints(archive, layout="hdf5", parameters={})
    checkpoints.add(make_swath())
    own = {file.name for file in folder.iterdir()}
    for name in ("notes.h5", "notes.txt", ".notes.part.h5"):
        (folder / name).write_text("of a person")
    assert checkpoint.Checkpoints(archive, layout="hdf5", parameters={}).is_done(make_swath().granule_id)
    assert {file.name for file in folder.iterdir()} - own == {"notes.h5", "notes.txt", ".notes.part.h5"}
    checkpoints.remove()
    assert {file.name for file in folder.iterdir()} == {"notes.h5", "notes.txt", ".notes.part.h5"}
