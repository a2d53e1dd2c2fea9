"""Checking archives: what is wrong is named, what is good is saved, the status says which."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from swaths import (
    ENDING,
    LAYOUTS,
    NAME,
    START,
    assert_same,
    classic_dictionary,
    damage_swath,
    make_swath,
    stored_bytes,
    write,
    write_classic,
)

import verify_archive
from seaice.runtime.atomic_write import exclusive
from seaice.sources.amsr2.swath import (
    Positions,
    Swath,
)
from seaice.swaths.archive import load_swaths
from seaice.swaths.archive.checks import (
    ArchiveCheck,
    SwathCheck,
)
from seaice.swaths.verify import verify_archives

FOUR = [make_swath(n) for n in range(4)]  # three hours and a little


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_good_archive(tmp_path, layout, capsys):
    path = write(tmp_path / f"{NAME}{ENDING[layout]}", FOUR, layout=layout)
    assert verify_archive.main([str(path), "--repair"]) == 0
    out = capsys.readouterr().out
    assert f"{path}: {layout}, 4 swaths" in out
    assert "valid 4, damaged 0, success rate 100.0%" in out
    assert "completeness: complete" in out
    assert "verdict: GOOD" in out
    assert "nothing to repair" in out
    assert "2 ascending, 2 descending" in out
    assert "first scans from 2020-01-01 00:00:00 to 2020-01-01 02:28:12 UTC" in out
    assert list(tmp_path.iterdir()) == [path]


def test_statistics_by_hand(tmp_path, capsys):
    swaths = []
    for number, (scans, missing) in enumerate([(10, 0), (20, 243), (30, 0)]):
        counts = np.full((scans, 243), 20000 + 100 * number, np.uint16)
        counts.flat[:missing] = 65535
        swaths.append(Swath({"36.5H": counts}, {"36.5H": 0.01}, orbit_type="A"))
    path = write(tmp_path / "a.h5", swaths)
    assert verify_archive.main([str(path)]) == 0
    out = capsys.readouterr().out
    # Variance of 10, 20, 30: 200 / 3; of one of 20 scans nothing is known.
    assert "scans of a swath: 10 to 30, mean 20.0, standard deviation 8.2 (40.82%)" in out
    assert "pixels with a measurement: 95.0% to 100.0%, mean 98.3%" in out
    assert "brightness temperature: 200.00 to 202.00 K" in out
    assert "3 ascending" in out
    assert "completeness: unknown" in out


@pytest.mark.parametrize(
    ("good", "bad", "verdict"),
    [(96, 4, "GOOD"), (95, 5, "USABLE"), (81, 19, "USABLE"), (80, 20, "DAMAGED"), (0, 0, "DAMAGED")],
)
def test_verdict(good, bad, verdict):
    swaths = [SwathCheck(n, "", problems=("x",) * (n < bad)) for n in range(good + bad)]
    assert ArchiveCheck(swaths=swaths).verdict == verdict
    assert ArchiveCheck(swaths=swaths, damage="x").verdict == "DAMAGED"


def one(**changes):
    parts = {"counts": {"36.5H": np.full((20, 243), 20000, np.uint16)}, "scale_factors": {"36.5H": 0.01}}
    return Swath(**{**parts, **changes})


def places(latitude=70.0, longitude=0.0, shape=(20, 243)):
    return {
        "36.5": Positions(np.full(shape, latitude, np.float32), np.full(shape, longitude, np.float32))
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("swath", "problem"),
    [
        (one(counts={"36.5H": np.full((20, 243), 65535, np.uint16)}), "no pixel has a measurement"),
        (one(counts={"36.5H": np.full((20, 243), 40000, np.uint16)}), "4860 of 4860 values outside"),
        (
            one(counts={"36.5H": np.full((20, 200), 2000, np.uint16)}),
            "200 pixels a scan of 36.5H, expected 243",
        ),
        (
            one(
                counts={
                    c: np.full((20, 243), n, np.uint16) for c, n in (("36.5H", 200), ("18.7H", 50000))
                }
            ),
            "4860 of 4860 values of 18.7H outside",
        ),
        (one(positions=places(latitude=91)), "4860 values of latitude beyond 90"),
        (one(positions=places(longitude=-361)), "4860 values of longitude beyond 360"),
        (one(positions=places(shape=(20, 100))), "latitude of 36.5 has the shape"),
        (one(scan_times=START + 1.5 * np.arange(19)), "scan times for 20 scans"),
        (one(scan_times=START - 1.5 * np.arange(20)), "do not rise by 1.5 s"),
        (one(scan_times=START + 15 * np.arange(20)), "do not rise by 1.5 s"),
    ],
)
def test_problems_of_a_swath(tmp_path, swath, problem, capsys):
    path = write(tmp_path / "a.h5", [swath, make_swath()])
    assert verify_archive.main([str(path)]) == 1
    assert problem in capsys.readouterr().err


def test_a_few_hot_pixels_are_no_problem(tmp_path):
    counts = np.full((20, 243), 20000, np.uint16)
    counts.flat[:48] = 40000
    assert verify_archive.main([str(write(tmp_path / "a.h5", [one(counts={"36.5H": counts})]))]) == 0
    counts.flat[48] = 40000
    (tmp_path / "a.h5").unlink()
    assert verify_archive.main([str(write(tmp_path / "a.h5", [one(counts={"36.5H": counts})]))]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_duplicates_by_name_and_by_content(tmp_path, layout, capsys):
    other = make_swath(9, start=START + 1)
    same_name = Swath(**{**vars(other), "granule_id": FOUR[0].granule_id})
    same_content = Swath(**{**vars(FOUR[1]), "granule_id": "another"})
    swaths = [*FOUR, same_name, same_content]
    path = write(tmp_path / f"{NAME}{ENDING[layout]}", swaths, layout=layout)
    assert verify_archive.main([str(path), "--repair"]) == 1
    err = capsys.readouterr().err
    assert f"swath 4 ({FOUR[0].granule_id}) is the same as swath 0" in err
    assert "swath 5 (another) is the same as swath 1" in err
    repaired = tmp_path / f"{NAME}_repaired{ENDING[layout]}"
    with load_swaths(repaired) as archive:
        assert archive.layout == layout
        for before, after in zip(FOUR, archive, strict=True):
            assert_same(before, after)
    assert verify_archive.main([str(repaired)]) == 0


def test_a_good_copy_of_a_damaged_swath_is_kept(tmp_path):
    bad = Swath(**{**vars(FOUR[0]), "scan_times": FOUR[0].scan_times[::-1].copy()})
    path = write(tmp_path / f"{NAME}.h5", [bad, *FOUR], complete=True)
    report = verify_archives(archives=[path], repair=True)
    assert not report.values[str(path)].duplicates
    with load_swaths(report.outputs[0]) as archive:
        assert [s.granule_id for s in archive] == [s.granule_id for s in FOUR]
        assert archive.info["missing"] == []
        assert archive.info["complete"] is True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("numbers", "complete"),
    [([0, 1, 2, 3], True), ([0, 1, 3], False), ([1, 2, 3], True), ([2, 3], False), ([0, 1], False)],
)
def test_gaps_in_time(tmp_path, numbers, complete, capsys):
    path = write(tmp_path / f"{NAME}.h5", [FOUR[n] for n in numbers])
    assert verify_archive.main([str(path)]) == (0 if complete else 1)
    text = capsys.readouterr()
    assert f"completeness: {'complete' if complete else 'incomplete'}" in text.out
    assert ("no swath begins within" in text.err) == (not complete)


def test_one_direction_has_gaps_of_an_orbit(tmp_path):
    swaths = [make_swath(2 * n) for n in range(3)]
    path = write(tmp_path / "a.h5", swaths)
    assert verify_archive.main([str(path)]) == 0
    path = write(tmp_path / "b.h5", swaths, parameters={"bbox": [0, 0, 1, 1]}, period="2019 to 2021")
    assert verify_archive.main([str(path)]) == 0


@pytest.mark.slow
def test_incomplete_by_its_index(tmp_path, capsys):
    missing = [{"granule_id": f"g{n}", "state": "failed", "reason": "time-out"} for n in range(10)]
    path = write(tmp_path / "a.h5", FOUR, complete=False, missing=missing)
    assert verify_archive.main([str(path)]) == 1
    assert "lacks 10 granules: g0, g1, g2, g3, g4, g5, g6, g7 and 2 more" in capsys.readouterr().err
    gap = {"granule_id": "", "state": "gap", "reason": "no granule between 1 and 2"}
    path = write(tmp_path / "c.h5", FOUR, complete=False, missing=[missing[0], gap])
    assert verify_archive.main([str(path)]) == 1
    assert "lacks 1 granule: g0\n" in capsys.readouterr().err, "nobody knows how many are in a gap"
    path = write(tmp_path / "b.h5", FOUR, complete=False)
    assert verify_archive.main([str(path)]) == 1
    assert "its description calls it incomplete" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "info",
    [
        {"missing": "all"},
        {"missing": ["a"]},
        {"parameters": [1]},
        {"period": "0001-01-01T00:00:00+14:00 to 9999-12-31T23:59:59-14:00"},
        {"period": "0001-01-01T00:00:00 to 9999-12-31T23:59:59"},
        {"period": 5},
        {"history": 5, "complete": "yes"},
    ],
)
def test_an_index_of_the_wrong_kind(tmp_path, info):
    path = write(tmp_path / "a.h5", [*FOUR, FOUR[0]], **info)
    report = verify_archives(archives=[path], repair=True)
    assert report.values[str(path)] is not None
    verify_archives(archives=report.outputs)


def test_repair_of_an_hdf5_archive(tmp_path, capsys):
    path = write(tmp_path / f"{NAME}.h5", FOUR, complete=True, title="t")
    damage_swath(path, FOUR[2])
    assert verify_archive.main([str(path), "--repair", "--output_dir", str(tmp_path / "o")]) == 1
    captured = capsys.readouterr()
    assert "valid 3, damaged 1, success rate 75.0%" in captured.out
    assert "verdict: DAMAGED" in captured.out
    assert FOUR[2].granule_id in captured.err
    with load_swaths(tmp_path / f"o/{NAME}_repaired.h5") as archive, load_swaths(path) as before:
        assert [s.granule_id for s in archive] == [FOUR[n].granule_id for n in (0, 1, 3)]
        assert archive.info["complete"] is False
        (lost,) = archive.info["missing"]
        assert (lost["granule_id"], lost["state"]) == (FOUR[2].granule_id, "damaged")
        assert "--repair" in archive.info["history"]
        assert stored_bytes(archive, 2) == stored_bytes(before, 3)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_repair_of_a_cut_classic_archive(tmp_path, kept):
    path = write(tmp_path / "a.npz", FOUR, layout="swath_array")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    report = verify_archives(archives=[path], repair=True)
    check = report.values[str(path)]
    assert report.exit_status() == 1
    assert check.verdict == "DAMAGED"
    expected = int(kept * 4 + 0.1)
    with load_swaths(report.outputs[0]) as archive:
        assert archive.layout == "swath_array"
        assert len(archive) == expected
        assert archive.info["missing"]
        assert archive.info["complete"] is False
        for before, after in zip(FOUR, archive, strict=False):
            assert_same(before, after)


@pytest.mark.slow
def test_repair_of_a_flipped_classic_archive(tmp_path):
    path = write(tmp_path / "a.npz", FOUR, layout="swath_array")
    whole = path.read_bytes()
    for place in range(len(whole) // 2, len(whole) // 2 + 400, 20):
        content = bytearray(whole)
        content[place] ^= 4
        path.write_bytes(content)
        report = verify_archives(archives=[path], repair=True)
        assert report.values[str(path)].damage, "damage is no malice"
        with load_swaths(report.outputs[0]) as archive:
            assert 2 <= len(archive) <= 3
            for before, after in zip([s for n, s in enumerate(FOUR) if n != 2], archive, strict=False):
                assert_same(before, after)


def test_repair_of_the_former_program(tmp_path):
    dictionaries = [classic_dictionary(n) for n in range(3)]
    dictionaries[1] = {"metadata": {}}
    path = write_classic(tmp_path / "old.npz", [*dictionaries, dictionaries[0]])
    report = verify_archives(archives=[path], repair=True)
    assert report.exit_status() == 1
    with load_swaths(report.outputs[0]) as archive:
        assert len(archive) == 2
        np.testing.assert_array_equal(archive[1].counts["unknown"], dictionaries[2]["temperature"])


def test_a_malicious_archive_is_refused(tmp_path, capsys):
    trap = tmp_path / "trap"

    class Evil:
        def __reduce__(self):
            return open, (str(trap), "w")

    path = write_classic(tmp_path / "a.npz", [{"temperature": Evil()}])
    assert verify_archive.main([str(path), "--repair"]) == 1
    captured = capsys.readouterr()
    assert f"{path}: DAMAGED" in captured.out
    assert captured.err.startswith("failed: refused: the pickle asks to import «")
    assert len(captured.err.splitlines()) == 1
    hidden = write_classic(tmp_path / "b.npz", [classic_dictionary()], period=np.array([Evil()], object))
    assert verify_archive.main([str(hidden)]) == 0
    assert not trap.exists()


@pytest.mark.slow
def test_pictures(tmp_path):
    from PIL import Image

    empty = make_swath(9, times=False)
    path = write(tmp_path / "a.h5", [*FOUR, empty])
    words = [str(path), "--plot", "3", "--output_dir", str(tmp_path / "o"), "--dpi", "40"]
    assert verify_archive.main(words) == 0
    with Image.open(tmp_path / "o/a_h5_swaths.png") as image:
        assert image.size == (440, 248)
        assert len(image.convert("RGB").getcolors(1 << 20)) > 100
    damage_swath(path, FOUR[0])
    assert verify_archive.main([str(path), "--plot", "50", "--dpi", "40"]) == 1
    with Image.open(tmp_path / "a_h5_swaths.png") as image:
        assert image.size[1] == pytest.approx((4 * 1.9 + 0.5) * 40, abs=1)


@pytest.mark.slow
def test_pictures_of_two_layouts_and_of_every_channel(tmp_path, capsys):
    from PIL import Image

    two = make_swath(3, channels=("36.5V", "36.5H"))
    archives = [write(tmp_path / name, [two]) for name in ("a.h5", "a.npz")]
    verify_archive.main([*map(str, archives), "--plot", "3", "--dpi", "40"])
    assert "a_h5_swaths.png: 1 swath, 2 channels" in capsys.readouterr().out
    for name in ("a_h5_swaths.png", "a_npz_swaths.png"):
        with Image.open(tmp_path / name) as image:
            assert image.size[1] == pytest.approx((2 * 1.9 + 0.5) * 40, abs=1)


def test_several_archives_and_usage(tmp_path, capsys):
    good = write(tmp_path / "a.h5", FOUR)
    bad = tmp_path / "b.h5"
    bad.write_bytes(b"")
    assert verify_archive.main([str(bad), str(tmp_path / "none.h5"), str(good)]) == 1
    captured = capsys.readouterr()
    assert f"{bad}: DAMAGED" in captured.out
    assert "verdict: GOOD" in captured.out
    assert "no such file" in captured.err and "none.h5" not in captured.out
    for words in ([], [str(good), "--plot", "-1"], [str(good), "--plot", "51"]):
        with pytest.raises(SystemExit) as caught:
            verify_archive.main(words)
        assert caught.value.code == 2


def test_what_cannot_be_opened_is_told(tmp_path, monkeypatch, capsys):
    from pathlib import Path

    good = write(tmp_path / "a.h5", FOUR)
    closed = write(tmp_path / "b.h5", FOUR)
    before = Path.open

    def refuse(path, *words, **names):
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return before(path, *words, **names)

    monkeypatch.setattr(Path, "open", refuse)
    assert verify_archive.main([str(closed), str(good)]) == 1
    captured = capsys.readouterr()
    assert f"failed: {closed} cannot be read: Permission denied" in captured.err
    assert "verdict: GOOD" in captured.out


def test_another_run_that_repairs_is_named(tmp_path, capsys):
    path = write(tmp_path / "a.h5", [*FOUR, FOUR[0]])
    with exclusive(tmp_path / "a_repaired.h5"):
        assert verify_archive.main([str(path), "--repair"]) == 1
    captured = capsys.readouterr()
    assert "is being written by process" in captured.err
    assert "verdict: GOOD" in captured.out
    assert ": DAMAGED" not in captured.out


FLIPS = """
import random, sys
sys.path[:0] = [{root!r}, {root!r} + "/tests"]
from pathlib import Path
from seaice.swaths.verify import verify_archives
path = Path(sys.argv[1]); whole = path.read_bytes(); random.seed(5)
for n in range(60):
    content = bytearray(whole)
    for _ in range(random.randint(1, 3)):
        place = random.choice([random.randrange(3000), random.randrange(len(content))])
        content[place] ^= 1 << random.randrange(8)
    if n % 3 == 0:
        del content[random.randrange(len(content)):]
    path.write_bytes(content)
    assert verify_archives(archives=[path]).lines
"""


@pytest.mark.slow
def test_damaged_hdf5_archives_get_a_verdict(tmp_path):
    """In a process of its own: the library is of C."""
    path = write(tmp_path / "a.h5", FOUR[:2], layout="hdf5")
    done = subprocess.run(
        [sys.executable, "-c", FLIPS.format(root=str(ROOT)), str(path)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-2000:]
