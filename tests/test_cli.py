"""Command-line frame: dates, statuses, messages."""

import os
import signal
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest

from seaice import InputError, cli
from seaice.dates import (
    DateRange,
    day_number,
    from_day_number,
    parse_date,
)
from seaice.report import Report, listing

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "value",
    [
        20240229,
        "20240229",
        "2024-02-29",
        date(2024, 2, 29),
        datetime(2024, 2, 29, 13),
        np.datetime64("2024-02-29"),
        np.datetime64("2024-02-29T12:00"),
    ],
)
def test_dates_in_every_form(value):
    assert parse_date(value) == date(2024, 2, 29)


@pytest.mark.parametrize(
    "value", ["2024-2-29", "20240230", "2023-02-29", "", "yesterday", 2024, "2024/02/29"]
)
def test_impossible_dates(value):
    with pytest.raises(InputError, match=r"expected a date as YYYYMMDD|is not a day of the calendar"):
        parse_date(value)


def test_period():
    period = DateRange.parse(20240228, "2024-03-01")
    assert list(period) == [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]
    assert date(2024, 2, 29) in period
    assert date(2024, 3, 2) not in period
    with pytest.raises(InputError, match=r"ends .* before it starts"):
        DateRange.parse(20240302, 20240301)
    assert from_day_number(day_number(date(2024, 2, 29))) == date(2024, 2, 29)
    assert day_number(date(1970, 1, 2)) == 1


def test_listing():
    assert listing(["a", "b"]) == "a, b"
    assert listing(list("abcdefghij")) == "a, b, c, d, e, f, g, h and 2 more"


def stage(*, start_date, end_date, size=3, fail=None):
    if fail == "input":
        raise InputError("expected this, found\n that")
    if fail == "bug":
        raise KeyError("x")
    if fail == "disk":
        raise OSError(28, "No space left on device", "/data/x")
    if fail == "interrupt":
        raise KeyboardInterrupt
    return Report([f"{start_date} {end_date} {size}"], ["day 3"] if fail == "some" else [])


def run(*words):
    parser = cli.make_parser("Test.\n\nExamples:\n  python x.py --size 3", stage)
    cli.add_period(parser)
    parser.add_argument("--size", type=cli.at_least(1), help="size (default %(default)s)")
    parser.add_argument("--fail")
    return cli.run(parser, stage, ["--start_date", "20240101", "--end_date", "2024-01-02", *words])


def test_defaults_come_from_the_signature(capsys):
    assert run() == 0
    assert capsys.readouterr().out == "2024-01-01 2024-01-02 3\n"


def test_hyphens_are_accepted(capsys):
    assert run("--start-date=20231231") == 0
    assert capsys.readouterr().out.startswith("2023-12-31")


@pytest.mark.parametrize(
    ("fail", "status", "message"),
    [
        ("some", 1, "failed: day 3\n"),
        ("input", 1, "error: expected this, found that\n"),
        (
            "disk",
            1,
            "error: No space left on device: /data/x; make space and run the same command again\n",
        ),
        ("interrupt", 130, "interrupted: no half-made output is left; run the same command again\n"),
        ("bug", 1, "error: KeyError: 'x' (unexpected; run again with --verbose for the details)\n"),
    ],
)
def test_status_and_one_line(capsys, fail, status, message):
    assert run("--fail", fail) == status
    assert capsys.readouterr().err == message


def test_verbose_shows_the_traceback(capsys):
    assert run("--fail", "bug", "--verbose") == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--start_date", "20240131x"], "expected a date as YYYYMMDD or YYYY-MM-DD, found '20240131x'"),
        (["--start_date", "20240230"], "'20240230' is not a day of the calendar"),
        (["--start_date", "20240105"], "--end_date 2024-01-02 is before --start_date 2024-01-05"),
        (["--size", "0"], "expected a number not below 1, found 0"),
        (["--size", "two"], "expected a number, found 'two'"),
        (["--siz", "2"], "unrecognized arguments: --siz"),
    ],
)
def test_wrong_usage_is_2(capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        run(*words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_stop_signals_clean_up(tmp_path, number):
    code = (
        "import sys, time; from pathlib import Path; from seaice import cli\n"
        "from seaice.runtime.atomic_write import atomic; from seaice.report import Report\n"
        "def stage():\n"
        "    with atomic(Path(sys.argv[1])) as t:\n"
        "        t.write_text('half'); print('writing', flush=True); time.sleep(60)\n"
        "raise SystemExit(cli.run(cli.make_parser('x', stage), stage, []))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "a.nc")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"writing\n"
        os.kill(process.pid, number)
        assert process.wait() == 130
        assert b"interrupted" in process.stderr.read()
    assert list(tmp_path.iterdir()) == []
