"""Splitting archives: every swath in one part, as it was, again and again."""

import datetime
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from swaths import (
    ENDING,
    LAYOUTS,
    NAME,
    START,
    assert_same,
    classic_dictionary,
    make_swath,
    stored_bytes,
    write,
    write_classic,
)
from test_swath_archive import measured

import split_amsr_files
from seaice import InputError
from seaice.sources.amsr2.swath import (
    Swath,
    as_text,
)
from seaice.swaths.archive import load_swaths
from seaice.swaths.archive.base import SwathArchive
from seaice.swaths.split import (
    plan_parts,
    split_archives,
)


class Listed(SwathArchive):
    path = ROOT / "a.h5"

    def __init__(self, entries):
        self.entries = entries

    def _read(self, index): ...
    def close(self): ...


@given(count=st.integers(1, 400), size=st.integers(1, 500))
def test_every_swath_is_in_one_part(count, size):
    parts = list(plan_parts(Listed([{}] * count), chunk_size=size))
    assert [n for part in parts for n in part.indices] == list(range(count))
    assert all(len(part.indices) == size for part in parts[:-1])
    assert len({part.ending for part in parts}) == len(parts)


@pytest.mark.slow
@given(
    seconds=st.lists(st.integers(0, 90 * 86400), min_size=1, max_size=30),
    by=st.sampled_from(["day", "month"]),
)
def test_every_swath_is_in_one_day(seconds, by):
    times = [datetime.datetime.fromtimestamp(START + s, datetime.UTC) for s in seconds]
    parts = list(plan_parts(Listed([{"start_time": as_text(t)} for t in times]), by=by))
    assert sorted(n for part in parts for n in part.indices) == list(range(len(seconds)))
    for part in parts:
        assert list(part.indices) == sorted(part.indices)
        for index in part.indices:
            assert f"_{times[index]:%Y%m%d}".startswith(part.ending)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_split_rerun_and_changed_source(tmp_path, layout, capsys):
    swaths = [make_swath(n) for n in range(5)]
    source = write(
        tmp_path / f"{NAME}{ENDING[layout]}", swaths, layout=layout, complete=True, history="before"
    )
    out = tmp_path / "out"
    words = ["--input", str(source), "--output_dir", str(out), "--chunk_size", "2"]
    assert split_amsr_files.main(words) == 0
    expected = [f"{NAME}_part_{n}of3{ENDING[layout]}" for n in (1, 2, 3)]
    assert names(out) == expected
    found = []
    for number, name in enumerate(expected, 1):
        with load_swaths(out / name) as part:
            assert part.layout == layout
            assert part.info["part"]["number"] == number
            assert part.info["history"].endswith("\nbefore")
            assert part.info["period"] == "2020-01-01T00:00:00 to 2020-01-01T03:00:00"
            found += list(part)
    for before, after in zip(swaths, found, strict=True):
        assert_same(before, after)
    stamps = {p: p.stat().st_mtime_ns for p in out.iterdir()}
    assert split_amsr_files.main(words) == 0
    assert {p: p.stat().st_mtime_ns for p in out.iterdir()} == stamps
    assert capsys.readouterr().out.count("already there") == 3
    damaged = out / expected[1]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    before = source.stat()
    assert split_amsr_files.main(words) == 0
    assert capsys.readouterr().out.count("already there") == 2
    # Other content of the same length.
    source.unlink()
    write(source, swaths[::-1], layout=layout, complete=True, history="before")
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    assert split_amsr_files.main(words) == 0
    assert "already there" not in capsys.readouterr().out
    with load_swaths(out / expected[0]) as part:
        assert part[0].granule_id == swaths[-1].granule_id


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_hdf5_parts_hold_the_bytes_of_the_source(tmp_path, layout):
    swaths = [make_swath(n) for n in range(3)]
    source = write(tmp_path / "a.h5", swaths)
    split_archives(input=[source], output_dir=tmp_path / "o", chunk_size=2, layout=layout)
    with load_swaths(tmp_path / f"o/a_part_2of2{ENDING[layout]}") as part, load_swaths(source) as whole:
        assert_same(swaths[2], part[0])
        if layout == "hdf5":
            assert stored_bytes(part, 0) == stored_bytes(whole, 2)


@pytest.mark.slow
def test_by_day_and_month_over_midnight(tmp_path):
    midnight = START + 31 * 86400
    starts = [midnight - 3000, midnight - 10, midnight, midnight + 3000, midnight - 4000]
    swaths = [make_swath(n, start=start) for n, start in enumerate(starts)]
    source = write(tmp_path / "a.h5", swaths)
    split_archives(input=[source], output_dir=tmp_path / "days", by="day")
    assert names(tmp_path / "days") == ["a_20200131.h5", "a_20200201.h5"]
    with load_swaths(tmp_path / "days/a_20200131.h5") as part:
        assert [s.granule_id for s in part] == [swaths[n].granule_id for n in (0, 1, 4)]
    split_archives(input=[source], output_dir=tmp_path / "months", by="month")
    assert names(tmp_path / "months") == ["a_202001.h5", "a_202002.h5"]


def test_archives_of_the_former_program(tmp_path, capsys):
    source = write_classic(
        tmp_path / "AMSR2_temp_only_20200101_000000_to_20200101_030000.npz",
        [classic_dictionary(n) for n in range(3)],
    )
    words = ["-i", str(source), "-o", str(tmp_path / "o"), "--chunk_size", "2"]
    assert split_amsr_files.main(words) == 0
    with load_swaths(tmp_path / "o" / f"{source.stem}_part_1of2.npz") as part:
        assert part.layout == "swath_array"
        assert part[0].counts["unknown"].dtype == np.int16
        assert part.info["period"].startswith("2020-01-01T00")
    assert split_amsr_files.main([*words, "--by", "day"]) == 1
    assert "expected a start time of every swath to split by day" in capsys.readouterr().err


def test_bad_words_and_bad_archives(tmp_path, capsys):
    good = write(tmp_path / "a.h5", [make_swath()])
    (tmp_path / "x").mkdir()
    twin = write(tmp_path / "x/a.h5", [make_swath(1)])
    out = ["-o", str(tmp_path / "o")]
    for words in (["-i", str(good)], ["-i", str(good), *out, "--chunk_size", "0"]):
        with pytest.raises(SystemExit) as caught:
            split_amsr_files.main(words)
        assert caught.value.code == 2
    assert split_amsr_files.main(["-i", str(good), str(twin), *out]) == 1
    assert "would have one name" in capsys.readouterr().err
    (tmp_path / "bad.h5").write_bytes(b"PK")
    write(tmp_path / "empty.h5", [])
    many = ["-i", *(str(tmp_path / f"{n}.h5") for n in ("bad", "empty", "none", "a"))]
    assert split_amsr_files.main([*many, *out]) == 1
    err = capsys.readouterr().err
    for text in ("something else (2 bytes)", "without any", "no such file"):
        assert text in err
    assert names(tmp_path / "o") == ["a_part_1of1.h5"]
    for wrong in ({"chunk_size": 0}, {"by": "year"}, {"layout": "zip"}):
        with pytest.raises(InputError):
            split_archives(input=[good], output_dir=tmp_path, **wrong)


def test_a_damaged_swath_stops_its_archive_with_a_clear_line(tmp_path, capsys):
    source = write(tmp_path / "a.h5", [make_swath(n) for n in range(3)])
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 1
    source.write_bytes(content)
    assert (
        split_amsr_files.main(["-i", str(source), "-o", str(tmp_path / "o"), "--chunk_size", "1"]) == 1
    )
    assert "damaged" in capsys.readouterr().err
    assert names(tmp_path / "o") == ["a_part_1of3.h5"]


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_full_disk(tmp_path, layout):
    source = write(tmp_path / "a.h5", [make_swath(n, scans=100) for n in range(4)])
    code = (
        f"import resource, sys; sys.path.insert(0, {str(ROOT)!r}); import split_amsr_files\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "sys.exit(split_amsr_files.main(sys.argv[1:]))"
    )
    words = ["-i", str(source), "-o", str(tmp_path / "o"), "--layout", layout]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert "file-size limit is full" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert names(tmp_path / "o") == []
    assert split_amsr_files.main(words) == 0


@pytest.mark.slow
def test_two_runs_at_once(tmp_path):
    source = write(tmp_path / "a.h5", [make_swath(n) for n in range(8)])
    reports = []
    work = {"input": [source], "output_dir": tmp_path / "o", "chunk_size": 1}
    threads = [threading.Thread(target=lambda: reports.append(split_archives(**work))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for report in reports:
        assert all("is being written by" in line for line in report.failed)
    assert split_archives(**work).exit_status() == 0
    assert len(names(tmp_path / "o")) == 8


@pytest.mark.slow
def test_memory_does_not_grow(tmp_path):
    base = np.random.default_rng(0).integers(12000, 27000, (1500, 243)).astype(np.uint16)
    swaths = [
        Swath({"36.5H": base + np.uint16(n)}, {"36.5H": 0.01}, granule_id=f"g{n}") for n in range(40)
    ]
    source = write(tmp_path / "a.h5", swaths)
    words = ["-i", str(source), "-o", str(tmp_path / "o"), "--chunk_size", "20"]
    grown, status, _ = measured(f"__import__('split_amsr_files').main({words!r})")
    assert status == 0
    assert grown < 15  # of 29 MB
