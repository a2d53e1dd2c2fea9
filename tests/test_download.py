"""download.py against a real local server: nothing lost, no bad file accepted."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from http_server import closed_port, cut, drop, pace, page, reset, serve, silent, stall, status

import download
from seaice.dates import DateRange
from seaice.download.manifest import Manifest
from seaice.grids import get_grid
from seaice.simulate import write_day
from seaice.sources.bremen import (
    fetch,
    names,
)
from seaice.sources.bremen.names import DayFile
from seaice.sources.bremen.reader import read_day

ROOT = Path(__file__).resolve().parent.parent
FIRST = date(2024, 2, 27)
DAYS = [FIRST + timedelta(days=n) for n in range(6)]


@pytest.fixture(scope="session")
def bodies(tmp_path_factory):
    """Six days in each hemisphere, 25 km, all different: grid id -> list of bytes."""
    folder = tmp_path_factory.mktemp("bodies")
    made = {}
    for grid_id in ("n25000", "s25000"):
        grid = get_grid(grid_id)
        random = np.random.default_rng(5)
        made[grid_id] = []
        for number in range(6):
            field = np.full(grid.shape, np.nan)
            field[100:300, 50:250] = random.uniform(0, 100, (200, 200))
            field[0, 0] = number
            path = folder / f"{grid_id}_{number}.nc"
            write_day(path, field, grid)
            made[grid_id].append(path.read_bytes())
    return made


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(fetch, "_FIRST_DELAY", 0.01)
    monkeypatch.delenv("SEAICE_BREMEN_HOSTS", raising=False)
    monkeypatch.delenv("SEAICE_DATA_DIR", raising=False)


@pytest.fixture
def server(bodies):
    with serve() as running:
        for grid_id, contents in bodies.items():
            for day, body in zip(DAYS, contents, strict=True):
                running.put(url_path(day, grid_id), body)
        yield running


def file_of(day, grid_id="n25000", form="nc"):
    sensor = "AMSR2" if day >= date(2012, 7, 2) else "AMSR-E"
    return DayFile(sensor, grid_id, day, "5.4", form)


def url_path(day, grid_id="n25000", form="nc"):
    return file_of(day, grid_id, form).url_path


def arguments(server, folder, *more, start=DAYS[0], end=DAYS[-1], grid="n25000"):
    host = server if isinstance(server, str) else server.url
    words = ["--start_date", f"{start:%Y%m%d}", "--end_date", f"{end:%Y%m%d}", "-o", str(folder)]
    return [*words, "--grid", grid, "--base_url", host, *more]


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "manifest.jsonl"}


def expected(bodies, grid_id="n25000", days=DAYS):
    return {file_of(day, grid_id).name: bodies[grid_id][DAYS.index(day)] for day in days}


# The ordinary run


@pytest.mark.slow
@pytest.mark.parametrize("grid_id", ["n25000", "s25000"])
def test_fetches_every_day_of_both_hemispheres(server, bodies, tmp_path, capsys, grid_id):
    folder = tmp_path / "new" / "folder"
    assert download.main(arguments(server, folder, grid=grid_id)) == 0
    assert contents(folder) == expected(bodies, grid_id)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    counts = "6 downloaded, 0 already there, 0 failed"
    assert lines[0] == f"{grid_id}, 2024-02-27 to 2024-03-03, 6 days: {counts}"
    assert lines[1].startswith(f"{sum(map(len, bodies[grid_id])) / 1e6:.1f} MB received in ")
    assert lines[2] == f"files and manifest.jsonl are in {folder}"
    for name in expected(bodies, grid_id):
        (line,) = [text for text in err.splitlines() if name in text]
        assert "] " in line and ": downloaded: 0." in line, "one log line per file"
    assert list(names.list_days(folder, DateRange(DAYS[0], DAYS[-1]))) == DAYS


def test_manifest_says_what_each_file_is(server, bodies, tmp_path):
    assert download.main(arguments(server, tmp_path, end=FIRST)) == 0
    (line,) = (tmp_path / "manifest.jsonl").read_text().splitlines()
    record = json.loads(line)
    body, stored = bodies["n25000"][0], server.files["/" + url_path(FIRST)]
    fetched = datetime.fromisoformat(record.pop("time"))
    assert abs(datetime.now(UTC) - fetched) < timedelta(minutes=1)
    assert record == {
        "name": "asi-AMSR2-n25000-20240227-v5.4.nc",
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "url": server.url
        + "amsr2/asi_daygrid_swath/n25000/netcdf/2024/asi-AMSR2-n25000-20240227-v5.4.nc",
        "last_modified": stored.last_modified,
        "etag": stored.etag,
        "absent": False,
    }


@pytest.mark.slow
def test_the_same_command_again_asks_nothing(server, bodies, tmp_path, capsys):
    assert download.main(arguments(server, tmp_path)) == 0
    before = len(server.log)
    capsys.readouterr()
    assert download.main(arguments(server, tmp_path)) == 0
    assert len(server.log) == before
    assert "6 days: 0 downloaded, 6 already there, 0 failed" in capsys.readouterr().out
    assert contents(tmp_path) == expected(bodies)


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["1", "2", "16"])
def test_the_number_of_processes_changes_nothing(server, bodies, tmp_path, processes):
    assert download.main(arguments(server, tmp_path, "-p", processes)) == 0
    assert contents(tmp_path) == expected(bodies)
    assert len(server.log) == 6


@pytest.mark.slow
def test_host_with_path_and_without_slash(server, bodies, tmp_path):
    for path in list(server.files):
        server.files["/mirror" + path] = server.files.pop(path)
    for number, ending in enumerate(("mirror", "mirror/")):
        folder = tmp_path / str(number)
        assert download.main(arguments(server.url + ending, folder)) == 0
        assert contents(folder) == expected(bodies)


@pytest.mark.slow
def test_hosts_in_order(server, bodies, tmp_path):
    with serve() as second:
        second.put(url_path(DAYS[3]), bodies["n25000"][3])
        del server.files["/" + url_path(DAYS[3])]
        argv = arguments(closed_port(), tmp_path, "--base_url", server.url, "--base_url", second.url)
        assert download.main(argv) == 0
        assert len(second.log) == 1, "only what the one before does not have"
    assert contents(tmp_path) == expected(bodies)


def test_hosts_of_the_environment_and_the_option_above_them(server, tmp_path, monkeypatch):
    words = arguments(server, tmp_path, end=FIRST)
    place = words.index("--base_url")
    monkeypatch.setenv("SEAICE_BREMEN_HOSTS", f"{closed_port()} {server.url}")
    assert download.main(words[:place]) == 0
    monkeypatch.setenv("SEAICE_BREMEN_HOSTS", "nonsense")
    assert download.main([*words, "--force"]) == 0


def test_default_hosts_are_those_of_bremen(tmp_path, capsys):
    words = arguments("http://x/", tmp_path, "--dry_run", end=FIRST, grid="n3125")
    place = words.index("--base_url")
    assert download.main(words[:place] + words[place + 2 :]) == 0
    assert capsys.readouterr().out.splitlines()[0] == (
        "https://data.seaice.uni-bremen.de/amsr2/asi_daygrid_swath/n3125/netcdf/2024/"
        "asi-AMSR2-n3125-20240227-v5.4.nc"
    )


# Faults on the way


@pytest.mark.slow
def test_a_bad_line_loses_nothing(server, bodies, tmp_path, capsys):
    faults = [status(500), cut(50_000), reset(80_000), drop(), stall(9000, 2), status(503)]
    for number, day in enumerate(DAYS):
        server.fault(url_path(day), *faults[number:], *faults[:number])
    argv = arguments(server, tmp_path, "--retries", "8", "--timeout", "0.5")
    assert download.main(argv) == 0
    assert contents(tmp_path) == expected(bodies)
    assert "retry 1 of 8 in 0.0 s" in capsys.readouterr().err


def bad_files(bodies):
    body = bodies["n25000"][0]
    return {
        "page": (b"<html>log in</html>", "a web page (HTML) under the name of a data file"),
        "empty": (b"", "the file is empty"),
        "truncated": (body[: len(body) // 2], "no readable NetCDF file, truncated or damaged"),
        "grid": (bodies["s25000"][0], "on another grid: expected n25000 (448 x 304 cells of 25 km)"),
        "damaged": (body[:60_000] + bytes(200) + body[60_200:], "the data are damaged"),
        "nothing": (b"\0" * 5000, "no readable NetCDF file, truncated or damaged"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("case", ["page", "empty", "truncated", "grid", "damaged", "nothing"])
def test_a_bad_file_is_never_accepted(server, bodies, tmp_path, capsys, case):
    content, reason = bad_files(bodies)[case]
    server.put(url_path(DAYS[2]), content)
    assert download.main(arguments(server, tmp_path)) == 1
    assert contents(tmp_path) == expected(bodies, days=[d for d in DAYS if d != DAYS[2]])
    out, err = capsys.readouterr()
    assert "5 downloaded, 0 already there, 1 failed" in out
    (line,) = [text for text in err.splitlines() if text.startswith("failed: ")]
    assert line.startswith(f"failed: 2024-02-29: {reason}")
    assert line.endswith(f"({server.url}{url_path(DAYS[2])})")
    assert len(server.requests_of(url_path(DAYS[2]))) == 1


def test_a_login_page_after_a_redirect_is_not_data(server, tmp_path, capsys):
    server.fault(url_path(FIRST), status(302, Location="/login"))
    server.put("login", b"<!DOCTYPE html><html>please log in</html>")
    assert download.main(arguments(server, tmp_path, end=FIRST)) == 1
    assert "failed: 2024-02-27: a web page (HTML)" in capsys.readouterr().err
    assert contents(tmp_path) == {}


def test_no_answer_whatever_it_is_ends_the_run(server, bodies, tmp_path, capsys, monkeypatch):
    """Also where a library raises what nobody has foreseen."""
    server.fault(url_path(DAYS[1]), status(302, Location="http://[::bad"))
    answers = []

    def unforeseen(path, file, grid):
        answers.append(file.day)
        if file.day == DAYS[3]:
            raise KeyError("x\x1b[2J\nforged line")

    monkeypatch.setattr("seaice.sources.bremen.worker.check_content", unforeseen)
    assert download.main(arguments(server, tmp_path)) == 1
    assert contents(tmp_path) == expected(bodies, days=[DAYS[n] for n in (0, 2, 4, 5)])
    assert [line.partition(" (http")[0] for line in capsys.readouterr().err.splitlines()][-2:] == [
        "failed: 2024-02-28: not a usable address or answer (ValueError)",
        r"failed: 2024-03-01: unexpected KeyError: 'x\x1b[2J\nforged line'",
    ]


@pytest.mark.slow
def test_lasting_trouble_is_listed_and_the_rest_fetched(server, bodies, tmp_path, capsys):
    server.fault(url_path(DAYS[1]), *[status(500)] * 9)
    server.fault(url_path(DAYS[4]), status(403))
    assert download.main(arguments(server, tmp_path, "--retries", "2")) == 1
    err = capsys.readouterr().err.splitlines()
    assert [line.split(" (http")[0] for line in err if line.startswith("failed")] == [
        "failed: 2024-02-28: HTTP 500 Internal Server Error",
        "failed: 2024-03-02: HTTP 403 Forbidden",
    ]
    assert len(server.requests_of(url_path(DAYS[1]))) == 3
    assert download.main(arguments(server, tmp_path, "--retries", "9")) == 0
    assert contents(tmp_path) == expected(bodies)


def test_no_network_ends_soon_and_says_so(tmp_path, capsys):
    end = FIRST + timedelta(days=365)
    # One at a time: of two the later day may be given up before the earlier one.
    argv = arguments(closed_port(), tmp_path, "--retries", "1", "-p", "1", end=end)
    start = time.monotonic()
    assert download.main(argv) == 1
    assert time.monotonic() - start < 5
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert len(lines) == 2, "days with one reason are one line"
    assert "connection refused (http://127.0.0.1" in lines[0]
    assert lines[1].endswith(" days): not tried: no host gave an answer for 4 files in a row")
    assert "366 days: 0 downloaded, 0 already there, 366 failed" in out
    assert contents(tmp_path) == {}


def test_an_outage_in_the_middle_is_borne_longer_than_one_at_the_beginning():
    assert fetch._limit_silence(1, any_answered=False) == 4
    assert fetch._limit_silence(8, any_answered=False) == 8
    assert fetch._limit_silence(4, any_answered=True) == 16
    assert fetch._limit_silence(8, any_answered=True) == 32


def test_one_reason_at_all_hosts_is_said_once(tmp_path, capsys):
    argv = arguments(closed_port(), tmp_path, "--base_url", closed_port(), "--retries", "0", end=FIRST)
    assert download.main(argv) == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("failed")]
    assert line.count("connection refused (http://127.0.0.1:") == 1
    assert line.count(" and http://127.0.0.1:") == 1


@pytest.mark.slow
def test_password_is_used_but_never_shown(server, tmp_path, capsys):
    host = server.url.replace("http://", "http://me:s3cret@")
    server.fault(url_path(DAYS[1]), *[status(500)] * 9)
    assert download.main(arguments(host, tmp_path, "--verbose", "--retries", "1")) == 1
    out, err = capsys.readouterr()
    assert server.log[0].headers["Authorization"]
    for text in (out, err, (tmp_path / "manifest.jsonl").read_text()):
        assert "s3cret" not in text
    assert download.main(arguments(host + "?x=1", tmp_path)) == 1
    assert "s3cret" not in capsys.readouterr().err


# Days that are not upstream


@pytest.mark.slow
def test_missing_days_are_listed_as_runs(server, tmp_path, capsys):
    for day in (DAYS[0], DAYS[1], DAYS[4]):
        del server.files["/" + url_path(day)]
    assert download.main(arguments(server, tmp_path)) == 0
    out, err = capsys.readouterr()
    assert "3 downloaded, 0 already there, 3 not upstream, 0 failed" in out
    assert [line for line in err.splitlines() if line.startswith(("failed", "left out"))] == [
        "left out: 2024-02-27 to 2024-02-28 (2 days): not upstream: HTTP 404 Not Found "
        f"({server.url}{url_path(DAYS[0])})",
        f"left out: 2024-03-02: not upstream: HTTP 404 Not Found ({server.url}{url_path(DAYS[4])})",
    ]
    assert len(server.requests_of(url_path(DAYS[0]))) == 1, "404 is not repeated"
    record = Manifest(tmp_path).get(file_of(DAYS[0]).name)
    assert record.absent
    assert record.size is None
    lines = (tmp_path / "manifest.jsonl").read_text()
    assert download.main(arguments(server, tmp_path, "--strict")) == 1
    assert (tmp_path / "manifest.jsonl").read_text() == lines, "recorded once"


def test_an_address_without_any_file_is_a_failure_and_no_absence(server, tmp_path, capsys):
    wrong = f"{server.url}/elsewhere"
    assert download.main(arguments(wrong, tmp_path)) == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("failed")]
    assert line.startswith(f"failed: not one file of n25000 was found at {wrong}: is the address right")
    assert not (tmp_path / "manifest.jsonl").exists(), "nothing is recorded as absent"
    assert download.main(arguments(server, tmp_path, end=FIRST)) == 0
    del server.files["/" + url_path(DAYS[1])]
    later = arguments(server, tmp_path, start=DAYS[1], end=DAYS[1])
    assert download.main(later) == 0, "others have come from there"


@pytest.mark.slow
def test_a_day_published_late_is_fetched_by_the_same_command(server, bodies, tmp_path):
    stored = server.files.pop("/" + url_path(DAYS[-1]))
    assert download.main(arguments(server, tmp_path)) == 0
    server.files["/" + url_path(DAYS[-1])] = stored
    assert download.main(arguments(server, tmp_path)) == 0
    assert contents(tmp_path) == expected(bodies)


def test_days_known_to_be_absent_are_no_failure_and_asked_once(server, bodies, tmp_path, capsys):
    start, end = date(2013, 5, 10), date(2013, 5, 14)
    for day in (start, end):
        server.put(url_path(day), bodies["n25000"][0])
    argv = arguments(server, tmp_path, start=start, end=end)
    for run, (line, requests) in enumerate(
        [("2 downloaded, 0 already there", 5), ("0 downloaded, 2 already there", 5)]
    ):
        assert download.main(argv) == 0, run
        out = capsys.readouterr().out
        assert f"5 days: {line}, 3 absent upstream as known, 0 failed" in out
        assert (
            "absent upstream, as known: 2013-05-11 to 2013-05-13 (3 days): AMSR2 delivered no data"
            in out
        )
        assert len(server.log) == requests
    assert download.main([*argv, "--update"]) == 0
    assert len(server.log) == 10, "asked again on demand"


@pytest.mark.slow
def test_the_trailing_edge_is_named_plainly(server, bodies, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fetch, "_today", lambda: DAYS[-1])
    for day in DAYS[3:]:
        del server.files["/" + url_path(day)]
    assert download.main(arguments(server, tmp_path, end=DAYS[-1] + timedelta(days=3))) == 0
    lines = capsys.readouterr().err.splitlines()
    future = "2024-03-04 to 2024-03-06 (3 days): in the future (today is 2024-03-03 UTC)"
    assert lines[0].endswith(f"WARNING {future}"), "said before the work"
    left_out = [line for line in lines if line.startswith("left out")]
    assert left_out[0].startswith(
        "left out: 2024-03-01 to 2024-03-03 (3 days): not published yet: a day appears early on the "
        "next day (UTC), run the same command later; HTTP 404"
    )
    assert left_out[1:] == [f"left out: {future}"]
    assert len(server.log) == 6, "the future is not asked for"


@pytest.mark.parametrize(
    ("more", "start", "end", "text"),
    [
        ([], "20010101", "20010102", "before the first day of the AMSR-E record, 2002-06-01"),
        (
            ["--sensor", "AMSR2"],
            "20120701",
            "20120701",
            "before the first day of the AMSR2 record, 2012-07-02",
        ),
        (
            ["--sensor", "AMSR-E"],
            "20111005",
            "20111005",
            "after the last day of the AMSR-E record, 2011-10-04",
        ),
        ([], "29990101", "29990101", "in the future (today is "),
    ],
)
def test_days_outside_the_record(server, tmp_path, capsys, more, start, end, text):
    argv = [*arguments(server, tmp_path), *more, "--start_date", start, "--end_date", end]
    assert download.main(argv) == 1
    assert capsys.readouterr().err.startswith("error: nothing to fetch: ")
    download.main(argv)
    assert text in capsys.readouterr().err
    assert server.log == []


def test_days_before_the_record_are_named_and_the_rest_is_fetched(server, bodies, tmp_path, capsys):
    server.put(url_path(date(2002, 6, 1)), bodies["n25000"][0])
    argv = arguments(server, tmp_path, start=date(2002, 5, 30), end=date(2002, 6, 1))
    assert download.main(argv) == 0
    out, err = capsys.readouterr()
    assert "1 downloaded, 0 already there, 2 not upstream, 0 failed" in out
    assert (
        "left out: 2002-05-30 to 2002-05-31 (2 days): before the first day of the AMSR-E record" in err
    )


def test_both_sensors_and_the_gap_between_them(server, bodies, tmp_path, capsys):
    last, first = date(2011, 10, 4), date(2012, 7, 2)
    server.put(
        "amsre/asi_daygrid_swath/n25000/netcdf/2011/asi-n25000-20111004-v5.4.nc", bodies["n25000"][0]
    )
    server.put(url_path(first), bodies["n25000"][1])
    assert download.main(arguments(server, tmp_path, start=last, end=first)) == 0
    assert sorted(contents(tmp_path)) == [
        "asi-AMSR2-n25000-20120702-v5.4.nc",
        "asi-n25000-20111004-v5.4.nc",
    ]
    assert len(server.log) == 2, "nobody is asked for days of no sensor"
    assert "271 absent upstream as known" in capsys.readouterr().out


# What is there already


def test_a_good_file_of_unknown_origin_is_kept(server, bodies, tmp_path, capsys):
    (tmp_path / file_of(FIRST).name).write_bytes(bodies["n25000"][5])
    assert download.main(arguments(server, tmp_path, end=FIRST)) == 0
    assert server.log == []
    assert contents(tmp_path) == {file_of(FIRST).name: bodies["n25000"][5]}
    assert "already there" in capsys.readouterr().out
    record = Manifest(tmp_path).get(file_of(FIRST).name)
    assert (record.size, record.url) == (len(bodies["n25000"][5]), "")


@pytest.mark.slow
@pytest.mark.parametrize("case", ["page", "empty", "truncated", "grid", "damaged"])
def test_a_bad_file_of_another_tool_is_fetched_again(server, bodies, tmp_path, capsys, case):
    content, reason = bad_files(bodies)[case]
    (tmp_path / file_of(FIRST).name).write_bytes(content)
    assert download.main(arguments(server, tmp_path, end=FIRST)) == 0
    assert contents(tmp_path) == expected(bodies, days=[FIRST])
    assert f"no good: {reason}" in capsys.readouterr().err


def test_a_bad_file_stays_when_nothing_better_comes(server, bodies, tmp_path):
    path = tmp_path / file_of(FIRST).name
    path.write_bytes(b"half a file")
    server.fault(url_path(FIRST), status(403))
    assert download.main(arguments(server, tmp_path, end=FIRST)) == 1
    assert path.read_bytes() == b"half a file"


@pytest.mark.slow
def test_a_file_truncated_later_is_fetched_again(server, bodies, tmp_path, capsys):
    assert download.main(arguments(server, tmp_path)) == 0
    path = tmp_path / file_of(DAYS[1]).name
    path.write_bytes(bodies["n25000"][1][:1000])
    assert download.main(arguments(server, tmp_path)) == 0
    assert contents(tmp_path) == expected(bodies)
    assert "not of the size in the manifest" in capsys.readouterr().err


@pytest.mark.slow
def test_check_finds_a_flipped_bit(server, bodies, tmp_path, capsys):
    assert download.main(arguments(server, tmp_path)) == 0
    path = tmp_path / file_of(DAYS[1]).name
    damaged = bytearray(bodies["n25000"][1])
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    assert download.main(arguments(server, tmp_path)) == 0
    assert path.read_bytes() == damaged, "the quick look is at sizes"
    assert download.main(arguments(server, tmp_path, "--check")) == 0
    assert contents(tmp_path) == expected(bodies)
    out, err = capsys.readouterr()
    assert "changed since it was downloaded (SHA-256)" in err
    assert "1 downloaded, 5 already there" in out


@pytest.mark.slow
def test_force_fetches_everything_again(server, bodies, tmp_path):
    assert download.main(arguments(server, tmp_path)) == 0
    server.put(url_path(DAYS[2]), bodies["n25000"][0])
    assert download.main(arguments(server, tmp_path, "-f")) == 0
    assert len(server.log) == 12
    assert contents(tmp_path)[file_of(DAYS[2]).name] == bodies["n25000"][0]


def test_force_continues_no_partial_file(server, bodies, tmp_path):
    server.fault(url_path(FIRST), cut(60_000), *[status(500)] * 2)
    assert download.main(arguments(server, tmp_path, "--retries", "1", end=FIRST)) == 1
    assert list(tmp_path.glob(".*.part"))
    del server.log[:]
    assert download.main(arguments(server, tmp_path, "-f", end=FIRST)) == 0
    assert "Range" not in server.log[-1].headers
    assert contents(tmp_path) == expected(bodies, days=[FIRST])


@pytest.mark.slow
def test_force_keeps_the_old_file_until_the_new_one_is_good(server, bodies, tmp_path):
    assert download.main(arguments(server, tmp_path)) == 0
    server.fault(url_path(DAYS[2]), page())
    assert download.main(arguments(server, tmp_path, "-f")) == 1
    assert contents(tmp_path) == expected(bodies)


@pytest.mark.slow
def test_update_fetches_what_changed_upstream(server, bodies, tmp_path, capsys):
    assert download.main(arguments(server, tmp_path)) == 0
    before = server.files["/" + url_path(DAYS[2])]
    server.put(url_path(DAYS[2]), bodies["n25000"][0], modified=before.modified + 86400)
    capsys.readouterr()
    assert download.main(arguments(server, tmp_path, "--update")) == 0
    out, err = capsys.readouterr()
    assert "0 downloaded, 5 already there, 1 changed upstream and fetched again" in out
    assert f"{file_of(DAYS[2]).name}: changed upstream, fetched again" in err
    assert sorted(asked.status for asked in server.log[6:]) == [200, 304, 304, 304, 304, 304]
    assert contents(tmp_path)[file_of(DAYS[2]).name] == bodies["n25000"][0]


def test_update_of_a_file_touched_but_not_changed(server, bodies, tmp_path, capsys):
    assert download.main(arguments(server, tmp_path, end=FIRST)) == 0
    server.put(url_path(FIRST), bodies["n25000"][0], modified=1_720_000_000.0, etag='"new"')
    assert download.main(arguments(server, tmp_path, "--update", end=FIRST)) == 0
    assert "kept: unchanged upstream (0." in capsys.readouterr().err
    assert Manifest(tmp_path).get(file_of(FIRST).name).etag == '"new"'


def test_update_of_files_of_unknown_origin_goes_by_their_time(server, bodies, tmp_path):
    for day, shift in ((DAYS[0], +3600), (DAYS[1], -3600)):
        path = tmp_path / file_of(day).name
        path.write_bytes(bodies["n25000"][5])
        published = server.files["/" + url_path(day)].modified
        os.utime(path, (published + shift, published + shift))
    assert download.main(arguments(server, tmp_path, "--update", end=DAYS[1])) == 0
    assert contents(tmp_path)[file_of(DAYS[0]).name] == bodies["n25000"][5]
    assert contents(tmp_path)[file_of(DAYS[1]).name] == bodies["n25000"][1]


@pytest.mark.slow
def test_update_keeps_what_vanished_upstream(server, bodies, tmp_path, capsys):
    assert download.main(arguments(server, tmp_path)) == 0
    del server.files["/" + url_path(DAYS[2])]
    assert download.main(arguments(server, tmp_path, "--update")) == 0
    assert contents(tmp_path) == expected(bodies)
    assert "no longer upstream, the copy here is kept" in capsys.readouterr().err


# Other forms


def write_hdf(path, grid, number):
    sd = pytest.importorskip("pyhdf.SD")
    file = sd.SD(str(path), sd.SDC.WRITE | sd.SDC.CREATE)
    data = file.create("ASI Ice Concentration", sd.SDC.FLOAT32, grid.shape)
    data[:] = np.full(grid.shape, float(number), dtype=np.float32)
    data.endaccess()
    file.end()


def write_tif(path, grid, number):
    from PIL import Image

    Image.fromarray(np.full(grid.shape, number, dtype=np.uint8)).save(path)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "write"), [("hdf", write_hdf), ("tif", write_tif)])
@pytest.mark.parametrize(("grid_id", "region"), [("n6250", "Arctic"), ("s6250", "Antarctic")])
def test_other_forms(server, tmp_path, capsys, form, write, grid_id, region):
    source = tmp_path / f"x.{form}"
    write(source, get_grid(grid_id), 70)
    name = f"asi-AMSR2-{grid_id}-20240227-v5.4.{form}"
    server.put(f"amsr2/asi_daygrid_swath/{grid_id}/2024/feb/{region}/{name}", source.read_bytes())
    folder = tmp_path / "out"
    argv = arguments(server, folder, "--form", form, end=FIRST, grid=grid_id)
    assert download.main(argv) == 0
    field, grid = read_day(folder / name)
    assert grid.id == grid_id
    assert float(field[0, 0]) == 70
    write(tmp_path / f"y.{form}", get_grid("n25000"), 70)
    (folder / name).write_bytes((tmp_path / f"y.{form}").read_bytes())
    assert download.main(argv) == 0, "a file of another grid is fetched again"
    assert len(server.log) == 2
    assert list(contents(folder)) == [name]


def test_hdf_without_pyhdf_is_refused_at_once(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert download.main(arguments(server, tmp_path, "--form", "hdf")) == 1
    assert 'needs pyhdf: pip install "seaice-toolbox[hdf4]"' in capsys.readouterr().err
    assert server.log == []


# Kill, interrupt, twice at once


def command(server, folder, *more):
    return [sys.executable, str(ROOT / "download.py"), *arguments(server, folder, *more)]


def wait_for_part(folder, process):
    while not any(p.stat().st_size for p in folder.glob(".*.part")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.0, 0.3])
def test_kill_and_the_same_command_again(server, bodies, tmp_path, moment):
    server.always.append(pace(20_000, 0.05))
    process = subprocess.Popen(command(server, tmp_path), stderr=subprocess.PIPE)
    wait_for_part(tmp_path, process)
    time.sleep(moment)
    process.kill()
    process.communicate()
    good = expected(bodies)
    for name, content in contents(tmp_path).items():
        assert name.startswith(".") or content == good[name], "no half file under a final name"
    server.always.clear()
    assert download.main(arguments(server, tmp_path)) == 0
    assert {n: c for n, c in contents(tmp_path).items() if not n.endswith(".lock")} == good
    assert 206 in [asked.status for asked in server.log], "continued, not repeated"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_is_quick_even_if_the_server_is_silent(server, bodies, tmp_path, number):
    server.always.append(stall(50_000, 60))
    process = subprocess.Popen(command(server, tmp_path), stderr=subprocess.PIPE, text=True)
    wait_for_part(tmp_path, process)
    time.sleep(0.3)
    start = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - start < 6
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("interrupted: ")
    assert "Traceback" not in err
    assert not list(tmp_path.glob("asi*")), "no half file under a final name"
    server.always.clear()
    assert download.main(arguments(server, tmp_path)) == 0
    assert {n: c for n, c in contents(tmp_path).items() if not n.endswith(".lock")} == expected(bodies)


@pytest.mark.slow
def test_twice_at_once(server, bodies, tmp_path):
    server.always.append(pace(40_000, 0.02))
    runs = [
        subprocess.Popen(
            command(server, tmp_path, "-p", "2"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    texts = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], texts
    assert contents(tmp_path) == expected(bodies)
    assert len(server.log) == 6, "each file by one of them"
    assert len(list(Manifest(tmp_path))) == 6
    downloaded = [int(out.split(" downloaded")[0].split()[-1]) for out, _ in texts]
    assert sum(downloaded) == 6
    assert all(Manifest(tmp_path).get(name).url for name in expected(bodies))


@pytest.mark.slow
def test_a_silent_server_is_left_after_the_time_out(server, tmp_path, capsys):
    server.always.append(silent(30))
    argv = arguments(server, tmp_path, "--timeout", "0.2", "--retries", "1", end=DAYS[1])
    assert download.main(argv) == 1
    assert (
        "failed: 2024-02-27 to 2024-02-28 (2 days): no answer in time (http" in capsys.readouterr().err
    )


# The place written to

Usage = namedtuple("Usage", "total used free")


@pytest.mark.slow
def test_refuses_what_cannot_fit(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 50_000, 50_000))
    assert download.main(arguments(server, tmp_path)) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: 6 files need about 368 kB, {tmp_path} has 50 kB free; make space, choose another "
        "--output_dir or a shorter period"
    )
    assert server.log == []


@pytest.mark.slow
def test_warns_of_what_may_not_fit(server, bodies, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, 300_000))
    assert download.main(arguments(server, tmp_path)) == 0
    assert "about 368 kB needed, 300 kB free: the disk may become full" in capsys.readouterr().err


@pytest.mark.slow
def test_estimate_learns_from_the_manifest_and_counts_what_is_there(server, bodies, tmp_path, capsys):
    sizes = [len(body) for body in bodies["n25000"]]
    assert download.main(arguments(server, tmp_path, end=DAYS[4])) == 0
    capsys.readouterr()
    assert download.main(arguments(server, tmp_path, "--dry_run")) == 0
    out = capsys.readouterr().out
    assert f"would ask for 1 file (at most about {np.mean(sizes[:5]) / 1e3:.0f} kB)" in out
    assert "5 already there" in out
    assert download.main(arguments(server, tmp_path, "--dry_run", "--force", end=DAYS[4])) == 0
    assert "would ask for 5 files (at most about 0 kB)" in capsys.readouterr().out.replace(
        "1 kB", "0 kB"
    )


@pytest.mark.slow
def test_full_disk_stops_the_run_and_the_rest_is_named(server, bodies, tmp_path):
    limit = min(map(len, bodies["n25000"])) // 2
    code = (
        f"import resource, sys; sys.path.insert(0, {str(ROOT)!r}); import download\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "sys.exit(download.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments(server, tmp_path, "-p", "1")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("failed")]
    assert len(lines) == 2
    assert os.strerror(errno.EFBIG) in lines[0]
    assert "(5 days): not tried: File too large" in lines[1]
    assert not list(tmp_path.glob("asi*"))
    assert download.main(arguments(server, tmp_path)) == 0
    assert contents(tmp_path) == expected(bodies)


def test_a_full_disk_of_temporary_files_is_named(server, tmp_path, capsys, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device", "/scratch/tmp1")

    monkeypatch.setattr("seaice.sources.bremen.worker.tempfile.TemporaryDirectory", full)
    assert download.main(arguments(server, tmp_path, end=FIRST)) == 1
    assert "failed: 2024-02-27: No space left on device: /scratch/tmp1" in capsys.readouterr().err


def test_output_below_a_file(server, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert download.main(arguments(server, folder)) == 1
        err = capsys.readouterr().err
        assert (
            f"error: expected a folder for the files, but {tmp_path / 'file'} is a file; choose" in err
        )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_without_permission(server, tmp_path, capsys):
    tmp_path.chmod(0o500)
    try:
        assert download.main(arguments(server, tmp_path)) == 1
    finally:
        tmp_path.chmod(0o700)
    assert capsys.readouterr().err == (
        f"error: Permission denied: {tmp_path}; check the permissions or choose another place\n"
    )
    assert server.log == []


@pytest.mark.slow
def test_a_folder_under_the_name_of_a_file(server, bodies, tmp_path, capsys):
    (tmp_path / file_of(DAYS[2]).name).mkdir()
    assert download.main(arguments(server, tmp_path)) == 1
    assert "failed: 2024-02-29: " in capsys.readouterr().err
    assert len([p for p in tmp_path.glob("asi*") if p.is_file()]) == 5


# The command line


def test_dry_run_touches_nothing(server, tmp_path, capsys):
    folder = tmp_path / "out"
    assert download.main(arguments(server, folder, "--dry_run", end=DAYS[1])) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == [server.url + url_path(day) for day in DAYS[:2]]
    assert out[2].startswith("would ask for 2 files (at most about 123 kB) for ")
    assert not folder.exists()
    assert server.log == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--start_date", "20240302", "--end_date", "20240301"], "--end_date 2024-03-01 is before"),
        (["--start_date", "20240230"], "is not a day of the calendar"),
        (["--processes", "0"], "expected a number not below 1, found 0"),
        (["--retries", "-1"], "expected a number not below 0"),
        (["--grid", "n1000"], "invalid choice: 'n1000'"),
        (["--form", "png"], "invalid choice: 'png'"),
    ],
)
def test_wrong_usage_is_status_2(tmp_path, capsys, words, text):
    with pytest.raises(SystemExit) as stop:
        download.main([*arguments("http://x/", tmp_path), *words])
    assert stop.value.code == 2
    assert text in capsys.readouterr().err


def test_dates_are_required(capsys):
    with pytest.raises(SystemExit) as stop:
        download.main([])
    assert stop.value.code == 2
    assert "the following arguments are required: --start_date, --end_date" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["ftp://example.org/", "example.org", "https://", "http://x/?a=b"])
def test_unusable_hosts(tmp_path, capsys, host):
    assert download.main(arguments(host, tmp_path)) == 1
    err = capsys.readouterr().err
    assert err == (
        "error: expected a host as http://NAME/PATH or https://NAME/PATH, without query, found "
        f"{host!r}; correct --base_url or SEAICE_BREMEN_HOSTS\n"
    )


def test_from_python(server, bodies, tmp_path):
    report = fetch.fetch_days(
        start_date="2024-02-27",
        end_date=20240228,
        output_dir=tmp_path,
        grid="n25000",
        base_url=[server.url],
    )
    assert report.exit_status() == 0
    assert report.outputs == [tmp_path / file_of(day).name for day in DAYS[:2]]
    assert report.values["downloaded"] == 2
    assert report.values["bytes"] == sum(map(len, bodies["n25000"][:2]))
