"""Finished swaths on the disk: whatever moment a run is killed at, none is lost or taken twice."""

import json
import threading

import pytest
from swaths import ENDING, LAYOUTS, assert_same, damage_swath, make_swath, write

from seaice import InputError
from seaice.swaths.archive import load_swaths
from seaice.swaths.archive.checkpoint import Checkpoints

PARAMETERS = {"channels": ("36.5H",), "coordinates": True}
SWATHS = [make_swath(n) for n in range(3)]
IDS = [swath.granule_id for swath in SWATHS]


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return request.param


def begin(folder, layout="hdf5", **parameters):
    archive = folder / f"a{ENDING[layout]}"
    return Checkpoints(archive, layout=layout, parameters={**PARAMETERS, **parameters})


@pytest.fixture
def finished(tmp_path):
    checkpoints = begin(tmp_path)
    for swath in SWATHS:
        assert checkpoints.add(swath) > 1000
    return checkpoints


def done(checkpoints):
    return [name for name in IDS if checkpoints.is_done(name)]


@pytest.mark.slow
def test_the_assembled_archive_is_the_one_written_directly(tmp_path, layout):
    checkpoints = begin(tmp_path, layout)
    for swath in SWATHS[::-1]:
        checkpoints.add(swath)
    path = tmp_path / f"assembled{ENDING[layout]}"
    checkpoints.assemble(path, IDS, {"period": "x"})
    direct = write(tmp_path / f"direct{ENDING[layout]}", SWATHS, layout=layout, period="x")
    with load_swaths(path) as archive, load_swaths(direct) as other:
        assert archive.entries == other.entries
        for before, one, two in zip(SWATHS, archive, other, strict=True):
            assert_same(before, one)
            assert_same(one, two)
    if layout != "hdf5":
        assert path.read_bytes() == direct.read_bytes()
    checkpoints.remove()
    assert not checkpoints.folder.exists()


def test_all_is_there_again(tmp_path, finished):
    finished.note("x", "failed", "time-out")
    finished.note("y", "absent", "no such file")
    again = begin(tmp_path)
    assert done(again) == IDS
    assert again.get_entry("x").reason == "time-out"
    assert [entry["state"] for entry in again.list_missing([*IDS, "x", "y", "z"])] == [
        "failed",
        "absent",
        "failed",
    ]
    assert again.list_missing(["z"])[0]["reason"] == "not tried"
    lines = (again.folder / "journal.jsonl").read_text().splitlines()
    assert len(lines) == 5


def test_a_file_without_a_line(tmp_path, finished):
    journal = finished.folder / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:2]))
    assert done(begin(tmp_path)) == IDS
    assert done(begin(tmp_path)) == IDS
    assert len(journal.read_text().splitlines()) == 3


def test_a_damaged_file_without_a_line(tmp_path, finished):
    (finished.folder / "journal.jsonl").unlink()
    part = finished.folder / f"{IDS[1]}.h5"
    damage_swath(part, SWATHS[1])
    part.with_name("stranger.h5").write_bytes((finished.folder / f"{IDS[0]}.h5").read_bytes())
    assert done(begin(tmp_path)) == [IDS[0], IDS[2]]
    # A file under no granule's name is somebody's own.
    assert sorted(p.stem for p in finished.folder.glob("*.h5")) == [IDS[0], IDS[2], "stranger"]


def test_a_line_without_a_file(tmp_path, finished):
    (finished.folder / f"{IDS[0]}.h5").unlink()
    assert done(begin(tmp_path)) == IDS[1:]


def test_a_cut_file_with_a_line(tmp_path, finished):
    part = finished.folder / f"{IDS[0]}.h5"
    part.write_bytes(part.read_bytes()[:-1])
    assert done(begin(tmp_path)) == IDS[1:]
    assert not part.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "tail",
    [
        b'{"granule_id": "x", "sta',
        b"\xff\x00\n",
        b"[1]\n5\n",
        b'{"granule_id": ["x"], "state": "done"}\n',
        b'{"granule_id": "x", "state": "perhaps"}\n',
        b'{"granule_id": "x", "state": [1]}\n',
        b'{"granule_id": "x", "state": "done", "more": 1}\n',
    ],
)
def test_half_a_line_and_odd_lines(tmp_path, finished, tail):
    journal = finished.folder / "journal.jsonl"
    with journal.open("ab") as file:
        file.write(tail)
    again = begin(tmp_path)
    assert done(again) == IDS
    assert again.get_entry("x") is None
    again.note("y", "failed", "because")
    assert begin(tmp_path).get_entry("y").reason == "because"


def test_leftovers_go(tmp_path, finished):
    left = finished.folder / f".{IDS[0]}.h5.part.h5"
    left.write_bytes(b"half")
    begin(tmp_path)
    assert not left.exists()


def test_other_parameters_are_refused(tmp_path, finished):
    with pytest.raises(InputError, match="another coordinates: "):
        begin(tmp_path, coordinates=False)
    assert done(begin(tmp_path)) == IDS


@pytest.mark.slow
@pytest.mark.parametrize("content", [None, b"", b"[1]", b"{"])
def test_swaths_of_unknown_parameters_are_refused(tmp_path, finished, content):
    note = finished.folder / "parameters.json"
    note.unlink() if content is None else note.write_bytes(content)
    with pytest.raises(InputError, match="expected"):
        begin(tmp_path)
    for part in finished.folder.glob("*.h5"):
        part.unlink()
    if content != b"[1]":
        assert done(begin(tmp_path)) == []
        assert json.loads(note.read_text())["coordinates"] is True


def test_damaged_ones_are_named_at_the_end_all_at_once(tmp_path, finished):
    for swath in SWATHS[:2]:
        damage_swath(finished.folder / f"{swath.granule_id}.h5", swath)
    again = begin(tmp_path)
    assert done(again) == IDS
    with pytest.raises(InputError, match="2 checkpoints were damaged and are removed"):
        again.assemble(tmp_path / "x.h5", IDS, {})
    assert done(begin(tmp_path)) == IDS[2:]


@pytest.mark.slow
def test_two_threads_at_once(tmp_path):
    checkpoints = begin(tmp_path)
    swaths = [make_swath(n) for n in range(12)]

    def work(some):
        for swath in some:
            checkpoints.add(swath)

    threads = [threading.Thread(target=work, args=(swaths[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = begin(tmp_path)
    assert all(again.is_done(swath.granule_id) for swath in swaths)
    assert len((again.folder / "journal.jsonl").read_text().splitlines()) == 12
