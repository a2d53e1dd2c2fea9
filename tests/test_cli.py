"""Command-line frame: dates, statuses, messages."""

import json
import logging
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest

import seaice
from seaice import InputError, cli, report
from seaice.commands import list_stages, main
from seaice.dates import (
    DateRange,
    day_number,
    from_day_number,
    parse_date,
)
from seaice.report import Progress, Report, listing
from seaice.runtime.options import Range, Share, options_of

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
    report = Report([f"{start_date} {end_date} {size}"], ["day 3"] if fail == "some" else [])
    report.left_out += ["day 4"] if fail == "absent" else []
    return report


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
        (
            "interrupt",
            130,
            "interrupted: every output is whole or as it was before; run the same command again to "
            "go on\n",
        ),
        ("bug", 1, "error: KeyError: 'x' (unexpected; run again with --verbose for the details)\n"),
    ],
)
def test_status_and_one_line(capsys, fail, status, message):
    assert run("--fail", fail) == status
    assert capsys.readouterr().err == message


def test_what_is_left_out_is_no_failure_unless_strict(tmp_path, capsys):
    log = tmp_path / "a.log"
    assert run("--fail", "absent", "--quiet", "--log_file", str(log)) == 0
    assert capsys.readouterr().err == "left out: day 4\n"
    assert "WARNING left out: day 4" in log.read_text()
    assert run("--fail", "absent", "--strict") == 1


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
        (["--siz", "2"], "--siz: no such option; did you mean --size?"),
        (["--nothing"], "--nothing: no such option; --help lists the options"),
        (["--siz=two words"], "--siz: no such option; did you mean --size?"),
        (["--si"], "--si: no such option; did you mean --size?"),
        (["-size", "2"], "-size: no such option; did you mean --size?"),
        (["-n", "2"], "-n: no such option; --help lists the options"),
        (["2"], "unexpected word 2: no option stands before it"),
        (["siz", "2"], "unexpected word siz; did you mean --size?"),
    ],
)
def test_wrong_usage_is_2(capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        run(*words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["create_mask", "source_dir", "x"], "unexpected word source_dir; did you mean --source_dir?"),
        (["download", "-output_dir", "x"], "-output_dir: no such option; did you mean --output_dir?"),
        (["download", "-ouput_dir", "x"], "-ouput_dir: no such option; did you mean --output_dir?"),
        (["segmentation", "trian"], "trian: no such command; did you mean train?"),
        (
            ["segmentation", "--patch_dir", "x", "train"],
            "--patch_dir: options stand behind the command (",
        ),
        (["fill_gaps"], "expected a command out of fill, score, fit, calibrate, found none"),
        (
            ["fill_gaps", "fill", "-imput_file", "x"],
            "-imput_file: no such option; did you mean --input_fi",
        ),
        (
            ["create_mask"],
            "the following arguments are required: --start_date, --end_date, --output_file",
        ),
    ],
)
def test_the_word_that_is_wrong_is_named(capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        import_module(f"seaice.commands.{words[0]}").main(words[1:])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


DATES = ["--start_date", "20240101", "--end_date", "20240102"]


@pytest.mark.parametrize(
    ("stage", "words", "options"),
    [
        (
            "create_mask",
            ["-i", "a", "--start", "20240101", "--end=20240102", "-o", "b"],
            {"source_dir": Path("a"), "start_date": date(2024, 1, 1), "output_file": Path("b")},
        ),
        (
            "amsr2_processor",
            ["--source-dir=a", *DATES, "--workers", "2", "--retries=3"],
            {"input_dir": Path("a"), "threads": 2, "max_retries": 3},
        ),
        ("download", [*DATES, "-oa", "--threads", "2"], {"output_dir": Path("a"), "processes": 2}),
        (
            "consolidate_data",
            ["--input_dir", "a", *DATES, "--mask_file", "m", "-o", "b"],
            {"source_dir": Path("a"), "land_mask_file": Path("m")},
        ),
        ("cache_cube", ["--input_file", "a", "-o", "b"], {"cube_file": Path("a")}),
        ("ice_index", ["--cube_file", "a"], {"input_file": [Path("a")]}),
        ("verify_archive", ["--input", "a", "b"], {"archives": [Path("a"), Path("b")]}),
        ("grid_swaths", ["--input_dir", "a", "-o", "b"], {"input": [Path("a")]}),
        # An option of the stage itself is never another one's name.
        (
            "fill_gaps",
            ["fill", "-i", "a", "-o", "b", "--method", "scattering", "--start", "s"],
            {"input_file": Path("a"), "start_date": None, "start": "s"},
        ),
    ],
)
def test_names_of_other_stages_are_taken(stage, words, options):
    parser = import_module(f"seaice.commands.{stage}").build_parser()
    parsed = vars(parser.parse_args(words))
    assert {name: parsed[name] for name in options} == options


@pytest.mark.parametrize("stage", list_stages())
def test_help_is_plain_ascii(stage, capsys):
    with pytest.raises(SystemExit):
        import_module(f"seaice.commands.{stage.replace('-', '_')}").main(["--help"])
    assert capsys.readouterr().out.isascii()


@pytest.mark.slow
def test_a_terminal_of_ascii_gets_every_message(tmp_path):
    words = [sys.executable, "get_dims.py", "--source_dir", f"{tmp_path}/møre"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and r"m\xf8re does not exist" in done.stderr
    config = [*words, "--write_config", f"{tmp_path}/ø.toml"]
    done = subprocess.run(config, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, rf"wrote {tmp_path}/\xf8.toml" + "\n")


@pytest.mark.slow
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


# --- options of every stage


def many(
    *,
    archives,
    start,
    end=None,
    size=3,
    share=0.5,
    bounds=None,
    channels=("36.5H",),
    base_url=None,
    coordinates=True,
    force=False,
    account=None,
):
    """A stage that tells its options."""
    logger = logging.getLogger("seaice.test")
    logger.debug("a debug message")
    logger.info("a message")
    logger.warning("a warning")
    values = {k: v for k, v in locals().items() if k not in ("logger", "account")}
    return Report([json.dumps(values, default=str)], ["day 3"] if size == 7 else [])


def many_parser():
    parser = cli.make_parser("Test.", many)
    add = parser.add_argument
    add("archives", nargs="+", type=Path)
    add("--start", type=cli.moment(), required=True)
    add("--end", type=cli.moment(last=True))
    add("--size", type=cli.at_least(1))
    add("--share", type=cli.between(0, 1))
    add("--bounds", nargs=4, type=float)
    add("--channels", nargs="+")
    add("-b", "--base_url", action="append")
    add("--coordinates", action="store_true")
    add("--no_coordinates", dest="coordinates", action="store_false")
    add("-f", "--force", action="store_true")
    return parser


def run_many(*words):
    return cli.run(many_parser(), many, [str(word) for word in words], account="secret")


def told(capsys):
    return json.loads(capsys.readouterr().out)


def test_options_from_a_file(tmp_path, capsys):
    config = tmp_path / "a.toml"
    config.write_text(
        'archives = ["a b.npz"]\nstart = 2024-01-01\nend = 2024-01-02T06:30:00Z\n'
        "size = 5\nshare = 0.25\n"
        'bounds = [-1.5e6, 1, -2, 3]\nchannels = ["6.9V", "6.9H"]\nbase_url = ["https://x", "https://y"]\n'
        "coordinates = false\nforce = true\n"
    )
    assert run_many("--config", config) == 0
    from_file = told(capsys)
    assert from_file == {
        "archives": ["a b.npz"],
        "start": "2024-01-01 00:00:00+00:00",
        "end": "2024-01-02 06:30:00+00:00",
        "size": 5,
        "share": 0.25,
        "bounds": [-1.5e6, 1, -2, 3],
        "channels": ["6.9V", "6.9H"],
        "base_url": ["https://x", "https://y"],
        "coordinates": False,
        "force": True,
    }
    words = ["b.npz", "c.npz", "--size=6", "-b", "https://z", "--coordinates", "--channels", "89AV"]
    assert run_many(*words, f"--config={config}") == 0
    won = {"archives": ["b.npz", "c.npz"], "size": 6, "base_url": ["https://z"]}
    assert told(capsys) == from_file | won | {"coordinates": True, "channels": ["89AV"]}


def test_written_options_read_back(tmp_path, capsys):
    config = tmp_path / "a.toml"
    words = [
        'x"y é.npz',
        "--start",
        "20240101",
        "--bounds",
        "-1e6",
        "2",
        "-3",
        "4.5",
        "--no_coordinates",
    ]
    words += ["--base_url", "https://me:secret@host/a", "--write_config", config]
    assert run_many(*words) == 0
    assert capsys.readouterr().out == f"wrote {config}\n"
    text = config.read_text()
    assert "secret" not in text and "account" not in text and "write_config" not in text
    assert tomllib.loads(text) == {
        "archives": ['x"y é.npz'],
        "start": datetime(2024, 1, 1, tzinfo=UTC),
        "size": 3,
        "share": 0.5,
        "bounds": [-1e6, 2, -3, 4.5],
        "channels": ["36.5H"],
        "base_url": ["https://host/a"],
        "coordinates": False,
        "force": False,
    }
    assert run_many(*words[:-2]) == 0
    expected = told(capsys)
    assert run_many("--config", config) == 0
    assert told(capsys) == expected | {"base_url": ["https://host/a"]}
    assert run_many("a.npz", "--start", "20240101", "--write_config", tmp_path / "a.nc") == 1
    assert "expected a name that ends in .toml, found a.nc" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.toml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("szie = 3", "a.toml: szie: no such option; did you mean size?"),
        ("config = 'b.toml'", "a.toml: config: no such option; "),
        ("size = 0", "argument --size: expected a number not below 1, found 0"),
        ("force = 'yes'", "a.toml: force: expected true or false, found 'yes'"),
        ("size = true", "a.toml: size: expected a value or a list of values, found True"),
        ("[size]\nx = 1", "a.toml: size: expected a value or a list of values, found {'x': 1}"),
        ("size = ", "a.toml: Invalid value (at "),
        (None, "a.toml: No such file or directory: "),
    ],
)
def test_unusable_files_of_options(tmp_path, capsys, text, message):
    config = tmp_path / "a.toml"
    if text is not None:
        config.write_text(text)
    with pytest.raises(SystemExit) as stop:
        run_many("a.npz", "--start", "20240101", "--config", config)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_command_takes_options_from_a_file(tmp_path, capsys):
    commands = {"first": (stage, "the first"), "second": (many, "the second")}
    parser = cli.make_parser("Test.")
    first, _ = cli.add_commands(parser, commands)
    cli.add_period(first)
    first.add_argument("--size", type=cli.at_least(1))
    config = tmp_path / "a.toml"
    words = ["first", "--start_date", "20240101", "--end_date", "20240102"]
    assert cli.run(parser, commands, [*words, "--write_config", str(config)]) == 0
    assert tomllib.loads(config.read_text())["end_date"] == date(2024, 1, 2)
    capsys.readouterr()
    assert cli.run(parser, commands, ["first", "--config", str(config), "--size", "9"]) == 0
    assert capsys.readouterr().out == "2024-01-01 2024-01-02 9\n"
    with pytest.raises(SystemExit):
        cli.run(parser, commands, ["first", "--siz", "9"])
    assert "--siz: no such option; did you mean --size?" in capsys.readouterr().err


def test_log_file_and_quiet(tmp_path, capsys):
    log = tmp_path / "a.log"
    words = ["a.npz", "--start", "20240101", "--size", "7", "--log_file", log]
    assert run_many(*words) == 1
    out, err = capsys.readouterr()
    assert "INFO a message" in err and "debug" not in err and err.endswith("failed: day 3\n")
    assert err.count("day 3") == 1 and out.count("\n") == 1
    first = log.read_text()
    levels = [line.split()[1] for line in first.splitlines()]
    assert levels == ["INFO", "WARNING", "INFO", "ERROR"]
    assert out in first and "ERROR failed: day 3\n" in first
    assert run_many(*words, "--quiet", "--verbose") == 1
    out, err = capsys.readouterr()
    assert "a message" not in err and "WARNING a warning" in err and "failed: day 3" in err
    assert out, "results are printed"
    assert log.read_text().startswith(first) and "DEBUG a debug message" in log.read_text()
    assert Progress.shows_bar
    with pytest.raises(SystemExit) as stop:
        run_many(*words[:-1], tmp_path)
    assert stop.value.code == 2
    assert "--log_file: Is a directory: " in capsys.readouterr().err


def test_estimate_of_the_time_left(monkeypatch, caplog):
    clock = iter([0.0, 1.0, 5.0, 12.0, 14.0, 25.0, 27.0])
    monkeypatch.setattr(report.time, "monotonic", lambda: next(clock))
    with (
        caplog.at_level(logging.INFO),
        Progress(total=400, label="days", logger=logging.getLogger("test_cli")) as progress,
    ):
        progress.unit("already there", count=100)
        for _ in range(4):
            progress.unit("day")
        progress.unit("the rest", count=296)
    assert [record.getMessage() for record in caplog.records] == [
        "[100/400] already there",
        "[101/400] day",
        "[102/400] day; about 27 min left",
        "[103/400] day",
        "[104/400] day; about 30 min left",
        "[400/400] the rest",
    ]


@pytest.mark.parametrize("bar", [True, False])
def test_quiet_shows_no_bar(monkeypatch, bar, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(Progress, "shows_bar", bar)
    with Progress(total=2, label="days", logger=logging.getLogger("test_cli")) as progress:
        progress.unit("day")
    assert ("days" in capsys.readouterr().err) is bar


def test_absent_package_is_named_with_the_command_that_installs_it(capsys, monkeypatch):
    def needs_torch():
        import torch  # noqa: F401

    monkeypatch.setitem(sys.modules, "torch", None)
    assert cli.run(cli.make_parser("x", needs_torch), needs_torch, []) == 1
    message = 'torch is not installed: pip install "seaice-toolbox[train]"'
    assert capsys.readouterr().err == f"error: {message}\n"


def shared(*, seed: Annotated[int, Range(0, unit="N")] = 0):
    """Stage whose texts another one uses.

    Parameters
    ----------
    seed : int
        Seed of the :class:`random.Random` numbers.
    """


def documented(
    *,
    patch_dir: Path,
    names: Sequence[str] = ("a", "b"),
    mode: Literal["slow", "quick"] | None = None,
    share: Share = 0.5,
    dpi: Annotated[int, Range(20, 1200)] = 150,
    seed: Annotated[int, Range(0, unit="N")] = 0,
    force: bool = False,
    resume: bool = True,
    array: np.ndarray | None = None,
) -> Report:
    """Stage that says what its parameters are.

    Parameters
    ----------
    patch_dir : Path
        Folder of ``patches``.
    names : sequence of str
        Names, two
        lines of them.
    mode, force : str
        One text of 100 % for both.
    share : float
        A share.
    resume : bool
        Go on.
    seed
        See :func:`test_cli.shared`.
    """
    return Report([f"{patch_dir} {names} {mode} {share} {dpi} {seed} {force} {resume}"])


def test_options_from_a_signature_and_a_docstring(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    parser = cli.make_parser("Test.", documented)
    cli.add_options(parser, options_of(documented).values())
    text = " ".join(parser.format_help().split())
    for line in (
        "--patch_dir DIR folder of patches",
        "--names NAME [NAME ...] names, two lines of them (default a b)",
        "--mode {slow,quick} one text of 100 % for both",
        "--force one text of 100 % for both",
        "--share SHARE a share (default 0.5)",
        "--dpi INT dpi (default 150)",
        "--seed N seed of the random.Random numbers (default 0)",
        "--no_resume switch off: go on",
    ):
        assert line in text
    assert "array" not in text
    assert cli.run(parser, documented, ["--patch_dir", "a", "--names", "x", "y", "--no_resume"]) == 0
    assert capsys.readouterr().out == "a ['x', 'y'] None 0.5 150 0 False False\n"
    for words, message in (
        (["--share", "2"], "expected a number from 0 to 1"),
        (["--dpi", "3"], "expected a number from 20 to 1200"),
        (["--seed", "-1"], "expected a number not below 0"),
        (["--mode", "other"], "invalid choice: 'other'"),
        ([], "the following arguments are required: --patch_dir"),
    ):
        with pytest.raises(SystemExit):
            cli.run(parser, documented, words)
        assert message in capsys.readouterr().err


# --- the command seaice


def test_seaice_runs_a_stage_under_its_own_name(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["seaice"])
    assert main(["get-dims", "--source_dir", str(tmp_path)]) == 1
    assert "error: " in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["get_dims", "--source_dri", str(tmp_path)])
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert "seaice get-dims: error: --source_dri: no such option; did you mean --source_dir?" in err
    # What a message calls a script is here a command.
    assert main(["visualize-mask", "--input_file", str(tmp_path / "none.nc")]) == 1
    assert ".py" not in capsys.readouterr().err


def test_seaice_lists_its_stages(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert (
        "  consolidate-data\n      Turn a folder of daily grids into one gap-free, flagged cube\n"
        in listed
    )
    for word in ("--help", "--version"):
        with pytest.raises(SystemExit) as stop:
            main([word])
        assert stop.value.code == 0
    assert capsys.readouterr().out == f"{listed}seaice {seaice.__version__}\n"


def test_seaice_answers_unknown_stages_with_the_nearest(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["consolidate"])
    assert stop.value.code == 2
    assert "consolidate: no such stage; did you mean consolidate-data?" in capsys.readouterr().err


def test_foreign_text_reaches_terminal_and_log_with_escapes(tmp_path, capsys):
    """A granule, a server or a file of somebody else may hold anything."""
    foreign = "x\x1b[2J\r\n2024-01-01T00:00:00Z ERROR forged \u202e\x9b31m"
    log = tmp_path / "run.log"

    def stage(*, fail: bool = False) -> Report:
        cli.logger.warning("%s", foreign)
        try:
            raise RuntimeError(foreign)
        except RuntimeError:
            cli.logger.exception("inner")
        if fail:
            raise InputError(foreign)
        return Report([foreign], [foreign], left_out=[foreign])

    for words in ([], ["--fail"]):
        parser = cli.make_parser("x", stage)
        parser.add_argument("--fail", action="store_true", help="x")
        cli.run(parser, stage, [*words, "--log_file", str(log)])
    out, err = capsys.readouterr()
    for text in (out, err, log.read_text(encoding="utf-8")):
        assert "forged" in text
        assert all(c.isprintable() or c == "\n" for c in text)
        assert not [line for line in text.splitlines() if line.startswith("2024-01-01")]


@pytest.mark.slow
def test_a_second_interrupt_lets_the_first_one_clear_up(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from seaice import cli\n"
        "from seaice.runtime import atomic_write; from seaice.report import Report\n"
        "remove = atomic_write._remove\n"
        "def again(path):\n"
        "    if path.exists(): os.kill(os.getpid(), signal.SIGINT)\n"
        "    remove(path)\n"
        "atomic_write._remove = again\n"
        "def stage():\n"
        "    with atomic_write.atomic(Path(sys.argv[1])) as part:\n"
        "        part.mkdir(); (part / 'zarr.json').touch(); os.kill(os.getpid(), signal.SIGINT)\n"
        "raise SystemExit(cli.run(cli.make_parser('x', stage), stage, []))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.zarr")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 130
    assert "clearing up" in done.stderr and "interrupted: every output is whole" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_interrupt_while_modules_are_loaded_is_one_line(tmp_path):
    """A module of a stage is replaced by one that Ctrl-C meets."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'seaice.sources.bremen.fetch': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    done = subprocess.run(
        [sys.executable, "download.py", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )
    assert done.returncode == -signal.SIGINT  # 130 for a shell
    assert done.stderr == "interrupted: nothing was begun\n"
