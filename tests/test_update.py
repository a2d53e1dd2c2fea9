"""update: the steps of a daily run, day by day against a server, alarms, stops, two at once."""

import hashlib
import importlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from http_server import cut, serve

from seaice import InputError
from seaice.commands import consolidate_data, create_mask
from seaice.commands import update as script
from seaice.cube.file import CubeFile
from seaice.flags import DayStatus
from seaice.runtime.file_lock import hold_lock
from seaice.simulate import simulate_days
from seaice.sources.bremen import fetch
from seaice.sources.bremen.names import DayFile
from seaice.update import alarm
from seaice.update.alarm import list_alarms, run_alarm_command
from seaice.update.stage import DailyRun, run_step, update
from seaice.update.steps import StageOptions, Step, StepEnd

START = date(2024, 1, 1)
DAYS = [START + timedelta(days=i) for i in range(8)]

# The day that comes late, the day whose first version is replaced, and how many days later.
LATE, CHANGED = (DAYS[2], 2), (DAYS[1], 5)


def url_path(day: date) -> str:
    return DayFile("AMSR2", "n25000", day, "5.4", "nc").url_path


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    """Files of every day on the server's grid, a mask, and another version of one day."""
    top = tmp_path_factory.mktemp("days")
    observed = simulate_days(
        output_dir=top / "in",
        start_date=DAYS[0],
        end_date=DAYS[-1],
        grid="n25000",
        outages=dict.fromkeys(DAYS[::2], (4.0, 9.0)),
    )
    hours = dict.fromkeys(DAYS, (6.0, 12.0))  # the same ice, seen by other passes
    other = simulate_days(
        output_dir=top / "old", start_date=DAYS[0], end_date=DAYS[-1], grid="n25000", outages=hours
    )
    words = ["--source_dir", str(top / "in"), "--start_date", str(DAYS[0]), "--end_date", str(DAYS[-1])]
    assert create_mask.main([*words, "--output_file", str(top / "mask.nc")]) == 0
    return top, observed.paths, other.paths


@pytest.fixture
def in_process(monkeypatch):
    """Steps run in this process: starting Python for each takes longer than they do."""

    def call(step: Step) -> StepEnd:
        main = importlib.import_module(f"seaice.commands.{step.stage}").main
        return StepEnd(main([*step.words, "--quiet"]), [])

    monkeypatch.setattr(Step, "run", call)
    monkeypatch.setattr(Step, "check", lambda step: None)
    monkeypatch.setattr(fetch, "_FIRST_DELAY", 0.01)


def write_config(folder: Path, mask: Path, address: str, *more: str) -> Path:
    path = folder / "daily.toml"
    path.write_text(
        "\n".join(
            [
                f"start_date = {DAYS[0]}",
                *more,
                f'[download]\noutput_dir = "{folder}/data"\ngrid = "n25000"\nretries = 1',
                f'base_url = ["{address}"]',
                f'[consolidate_data]\nsource_dir = "{folder}/data"\nland_mask_file = "{mask}"',
                f'output_file = "{folder}/cube.nc"\nmethod = "temporal"',
                f'[ice_index]\noutput_csv = "{folder}/index.csv"\nregion = ["barents", "kara"]',
            ]
        )
    )
    return path


def publish(server, today: date, days) -> None:
    """What the server has on a day: every file up to then, one late, one in its first version."""
    _, now, before = days
    for day in DAYS[: DAYS.index(today) + 1]:
        age = (today - day).days
        if day == CHANGED[0] and age < CHANGED[1]:
            server.put(url_path(day), before[day].read_bytes(), modified=1.70e9)
        elif day != LATE[0] or age >= LATE[1]:
            server.put(url_path(day), now[day].read_bytes(), modified=1.71e9)


def test_a_cube_kept_current_is_the_cube_made_at_once(days, in_process, tmp_path, capfd):
    top, *_ = days
    once = tmp_path / "once.nc"
    words = ["--source_dir", str(top / "in"), "--start_date", str(DAYS[0]), "--end_date", str(DAYS[-1])]
    more = ["--land_mask_file", str(top / "mask.nc"), "--method", "temporal"]
    assert consolidate_data.main([*words, *more, "--output_file", str(once)]) == 0
    with serve() as server:
        config = write_config(tmp_path, top / "mask.nc", server.url, "late_days = 0")
        for today in DAYS:
            publish(server, today, days)
            if today == DAYS[4]:  # broken on the way, whole at the next run
                server.fault(url_path(today), *[cut(4000)] * 2)
            capfd.readouterr()
            status = script.main(["--config", str(config), "--end_date", str(today)])
            err = capfd.readouterr().err
            assert status == (1 if today in (DAYS[2], DAYS[3], DAYS[4]) else 0), err
            if today == LATE[0]:
                assert f"failed: late: the last observed day is {DAYS[1]}, 1 days ago" in err
            if today == DAYS[3]:
                assert f"failed: absent: {LATE[0]}" in err
            if today == DAYS[4]:
                assert "failed: download ended with exit status 1: seaice download " in err
    with CubeFile(tmp_path / "cube.nc") as kept, CubeFile(once) as made:
        assert kept.dates == made.dates == DAYS
        for name in ("sea_ice_conc", "fill_flag", "days_back_forward", "day_status"):
            np.testing.assert_array_equal(kept.variable(name), made.variable(name), err_msg=name)
        assert kept.texts("input_sha256") == made.texts("input_sha256")
    rows = (tmp_path / "index.csv").read_text().splitlines()
    assert len(rows) == 1 + 3 * len(DAYS)


# Runs an update with its steps in one process, which ends as by SIGKILL at the n-th file that appears.
KILLED = """
import os, signal, sys
from importlib import import_module
from seaice.commands import update
from seaice.update.steps import Step, StepEnd

def count(*words, replace=os.replace):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*words)

left, os.replace = int(sys.argv[1]), count
Step.check = lambda step: None
stage_of = lambda step: import_module(f"seaice.commands.{step.stage}")
Step.run = lambda step: StepEnd(stage_of(step).main(list(step.words)), [])
sys.exit(update.main(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "appeared",
    [
        pytest.param(2, marks=pytest.mark.thorough, id="days come"),
        pytest.param(4, marks=pytest.mark.thorough, id="days are filled"),
        pytest.param(5, id="cube is replaced"),
    ],
)
def test_a_killed_run_leaves_nothing_that_changes_the_cube(days, in_process, tmp_path, appeared):
    top, observed, _ = days
    with serve() as server:
        config = write_config(tmp_path, top / "mask.nc", server.url)
        words = ["--config", str(config), "--end_date"]
        for day in DAYS[:5]:
            server.put(url_path(day), observed[day].read_bytes())
            if day == DAYS[1]:
                script.main([*words, str(day)])
        run = subprocess.run([sys.executable, "-c", KILLED, str(appeared), *words, str(DAYS[4])])
        assert run.returncode == -signal.SIGKILL
        assert CubeFile(tmp_path / "cube.nc").dates == DAYS[:2]
        came = len(list((tmp_path / "data").glob("*.nc")))
        assert came == (3 if appeared == 2 else 5), "the kill was at another moment"
        assert script.main([*words, str(DAYS[4]), "--late_days", "0"]) == 0
    once = tmp_path / "once.nc"
    more = ["--land_mask_file", str(top / "mask.nc"), "--method", "temporal"]
    period = ["--start_date", str(DAYS[0]), "--end_date", str(DAYS[4]), "--output_file", str(once)]
    assert consolidate_data.main(["--source_dir", str(top / "in"), *period, *more]) == 0
    with CubeFile(tmp_path / "cube.nc") as kept, CubeFile(once) as made:
        for name in ("sea_ice_conc", "fill_flag", "days_back_forward", "day_status"):
            np.testing.assert_array_equal(kept.variable(name), made.variable(name), err_msg=name)
    assert not [path for path in tmp_path.rglob(".*") if not path.name.startswith(".seaice")]


def test_without_a_look_back_a_changed_day_stays(days, in_process, tmp_path):
    """What the test above shows is seen by the comparison, and not for another reason."""
    top, *_ = days
    with serve() as server:
        config = write_config(tmp_path, top / "mask.nc", server.url, "look_back = 0")
        for today in DAYS[:7]:
            publish(server, today, days)
            script.main(["--config", str(config), "--end_date", str(today)])
    with CubeFile(tmp_path / "cube.nc") as cube:
        _, now, before = days
        digest = cube.texts("input_sha256")[DAYS.index(CHANGED[0])]
    assert digest == hashlib.sha256(before[CHANGED[0]].read_bytes()).hexdigest()
    assert digest != hashlib.sha256(now[CHANGED[0]].read_bytes()).hexdigest()


def test_steps_run_in_processes_of_their_own(days, tmp_path, capfd):
    """The ordinary way, with everything that is started, and a dry run before it."""
    top, now, _ = days
    folder = tmp_path / "with blank"
    (folder / "data").mkdir(parents=True)
    for day in DAYS[:2]:
        (folder / "data" / now[day].name).write_bytes(now[day].read_bytes())
    own = [f"source_dir={folder}/data", f"land_mask_file={top}/mask.nc", f"output_file={folder}/cube.nc"]
    words = ["--start_date", str(DAYS[0]), "--end_date", str(DAYS[2])]
    words += ["--consolidate_data", *own, "method=temporal", "--ice_index", f"plot={folder}/i.png"]
    assert script.main([*words, "--dry_run"]) == 0
    out, _ = capfd.readouterr()
    first, second = out.splitlines()
    assert first.startswith("would run: seaice consolidate-data '--source_dir=")
    assert first.endswith(f"--start_date {DAYS[0]} --end_date {DAYS[1]}")
    assert second.endswith(f"--input_file '{folder}/cube.nc'")
    assert not list(folder.glob("*.nc"))
    assert script.main([*words, "--watch_days", "2"]) == 0
    out, err = capfd.readouterr()
    assert out == f"{folder}/cube.nc: {DAYS[0]} to {DAYS[1]}\n"
    assert "consolidate_data: exit status 0" in err and "ice_index: exit status 0" in err
    assert (folder / "i.png").stat().st_size > 10_000


def test_a_dry_run_says_what_a_run_does_and_writes_nothing(days, in_process, tmp_path, capfd):
    """It takes no lock either: another run may be at work."""
    top, observed, _ = days
    with serve() as server:
        config = write_config(tmp_path, top / "mask.nc", server.url)
        words = ["--config", str(config), "--end_date", str(DAYS[2])]
        for day in DAYS[:2]:
            server.put(url_path(day), observed[day].read_bytes())
        for now in (DAYS[2], DAYS[1], DAYS[1]):  # nothing is there, a day may come, nothing changes
            capfd.readouterr()
            before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
            with hold_lock(tmp_path / ".cube.nc.update.lock"):
                assert script.main([*words, "--dry_run"]) == 0
            lines = capfd.readouterr().out.splitlines()
            assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
            assert lines[-1].startswith(f"{now} stands for the last day that ")
            script.main(words)
            run = re.findall(r"INFO (seaice [a-z-]+ --.*)", capfd.readouterr().err)
            said = [line.removeprefix("would run: ") for line in lines[:-1]]
            assert run[0] == said[0]
            assert run[1:] == [line.replace(str(now), str(DAYS[1])) for line in said[1:]]
    words = ["--start_date", str(DAYS[0]), "--end_date", str(DAYS[1]), "--dry_run", "--consolidate_data"]
    assert script.main([*words, f"output_file={tmp_path}/other.nc", f"source_dir={top}"]) == 0
    empty = tmp_path / "empty"
    empty.mkdir()
    assert script.main([*words, f"output_file={tmp_path}/other.nc", f"source_dir={empty}"]) == 1
    assert "failed: nothing to append: no daily file of" in capfd.readouterr().err


def test_a_step_is_of_this_package_wherever_it_runs(tmp_path, monkeypatch):
    """Python puts the current folder before all others, but for -P."""
    for name in ("seaice", "numpy", "report"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a module of somebody else')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    for name in ("PATH", "HOME"):  # as little as cron may give
        monkeypatch.delenv(name)
    end = Step("report", ("--input_file", "none.nc", "--output_file", "r.html")).run()
    assert end == (1, ["error: no such cube: none.nc; make it with seaice consolidate-data"])


def test_a_login_of_an_address_is_nowhere(tmp_path, caplog, monkeypatch):
    step = Step("download", ("--base_url=https://me:secret@example.org/",))
    monkeypatch.setattr(Step, "run", lambda step: StepEnd(1, ["error: no route"]))
    with caplog.at_level("INFO", logger="seaice"):
        problem = run_step(step)
    assert problem == (
        "download ended with exit status 1 (error: no route): seaice download "
        "--base_url=https://example.org/"
    )
    assert "secret" not in caplog.text and "example.org" in caplog.text


def test_nothing_is_fetched_where_the_mask_is_not(tmp_path, in_process, monkeypatch, capfd):
    """As where a crontab has forgotten the cd, and all would be fetched to another folder."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with serve() as server:
        config = write_config(tmp_path, Path("mask.nc"), server.url)
        assert script.main(["--config", str(config), "--end_date", str(DAYS[0])]) == 1
        assert not server.log
    place = f"mask.nc (from {tmp_path}/elsewhere, where this runs)"
    assert f"error: [consolidate_data] land_mask_file: no such file: {place}" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["source_dir", "input_dir", "input"])
def test_days_are_looked_for_where_the_stage_reads_them(days, name):
    """Every name of the input that consolidate_data takes."""
    top, observed, _ = days
    options = StageOptions.parse("consolidate_data", [f"{name}={top}/in", f"output_file={top}/c.nc"])
    run = DailyRun(
        options={"consolidate_data": options}, start_date=DAYS[0], today=DAYS[-1], look_back=30
    )
    assert run.find_last_day() == max(observed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("look_back = 1e300", "expected a number, found '1e+300'"),
        ("watch_days = 99999999999", "expected a number from 0 to 100000"),
        ("start_date = 5", "expected a date as YYYYMMDD"),
        ("download = true", "download: expected a value or a list of values, found True"),
        ("[ice_indx]\nplot = 'i.png'", "ice_indx: no such option; did you mean ice_index?"),
        ("[ice_index.region]\nname = 1", "ice_index: region: expected a value or a list of values"),
        ("[ice_index]\nregion = [['kara']]", "ice_index: region: expected a value or a list of values"),
        ("[ice_index]\nplot =", "daily.toml: Invalid value (at"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, capsys, text, message):
    config = tmp_path / "daily.toml"
    main = f"[consolidate_data]\noutput_file = '{tmp_path}/c.nc'"
    config.write_text(f"{main}\n\n{text}" if text.startswith("[") else f"{text}\n{main}")
    with pytest.raises(SystemExit, match="2"):
        script.main(["--config", str(config)])
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_what_a_stage_would_refuse_is_refused_before_anything_is_done(tmp_path, capfd):
    (tmp_path / "data").mkdir()
    words = ["--start_date", "20240101", "--consolidate_data", f"output_file={tmp_path}/cube.nc"]
    words += [f"source_dir={tmp_path}/data", "--ice_index", "output_cvs=x.csv"]
    assert script.main(words) == 1
    err = capfd.readouterr().err
    assert err.splitlines()[-1].startswith(
        "error: [ice_index] --output_cvs: no such option; did you mean"
    )
    assert not (tmp_path / "cube.nc").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"consolidate_data": ["source_dir=x"]}, "expected output_file, the cube"),
        ({"consolidate_data": ["output_file"]}, "expected OPTION=VALUE such as output_dir=data"),
        ({"consolidate_data": ["output_file=c.nc", "append=true"]}, "the daily run sets append itself"),
        ({"consolidate_data": ["output_file=c.nc", "start=20240101"]}, "sets start itself"),
        (
            {"consolidate_data": ["output_file=c.nc", "help=true"]},
            "[consolidate_data] help is for a run",
        ),
        ({"ice_index": ["write_config=c.toml"]}, "[ice_index] write_config is for a run by hand"),
        ({"ice_index": ["input_file=c.nc"]}, "the daily run sets input_file itself"),
        ({"report": ["cube_file=c.nc"]}, "the daily run sets cube_file itself"),
        ({"start_date": None}, "is not there yet: give its first day"),
        ({"start_date": date(2030, 1, 1)}, "lies in the future"),
        ({"alarm_command": "mail 'x"}, "--alarm_command: No closing quotation"),
        ({"consolidate_data": ["output_file=none/c.nc"]}, "no such folder: none"),
    ],
)
def test_bad_options_are_one_line(tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    options = {
        "consolidate_data": ["output_file=c.nc"],
        "start_date": DAYS[0],
        "end_date": DAYS[-1],
        **change,
    }
    with pytest.raises(InputError, match=re.escape(message)):
        update(**options)


def test_a_server_that_is_not_there_is_an_alarm(days, in_process, tmp_path, capfd):
    top, *_ = days
    note = tmp_path / "alarm.txt"
    program = f"import sys; open({str(note)!r}, 'w').write(sys.stdin.read())"
    command = shlex.join([sys.executable, "-c", program])
    with serve() as server:
        address = server.url
    config = write_config(tmp_path, top / "mask.nc", address, f"alarm_command = {json.dumps(command)}")
    assert script.main(["--config", str(config), "--end_date", str(DAYS[0])]) == 1
    lines = note.read_text().splitlines()
    assert lines[0].startswith("download ended with exit status 1: seaice download --output_dir=")
    assert lines[1].startswith("nothing to append: ")
    err = capfd.readouterr().err
    assert all(f"failed: {line}" in err for line in lines)


def test_a_run_that_cannot_begin_is_an_alarm(tmp_path, monkeypatch, capfd):
    """But not one beside which another run is at work."""
    note, cube = tmp_path / "alarm.txt", tmp_path / "cube.nc"
    cube.write_bytes(b"no cube any more")
    monkeypatch.setattr(Step, "check", lambda step: None)
    options = {
        "consolidate_data": [f"output_file={cube}", f"source_dir={tmp_path}"],
        "end_date": DAYS[0],
        "alarm_command": shlex.join(["tee", str(note)]),
    }
    with hold_lock(tmp_path / ".cube.nc.update.lock"), pytest.raises(InputError, match="being updated"):
        update(**options)
    assert not note.exists()
    with pytest.raises(InputError, match="is no readable NetCDF file"):
        update(**options)
    assert note.read_text().startswith(f"the daily run ended early: {cube} is no readable NetCDF file")
    capfd.readouterr()


def test_a_second_run_at_the_same_time_does_nothing(days, in_process, tmp_path, capfd):
    top, *_ = days
    config = write_config(tmp_path, top / "mask.nc", "http://127.0.0.1:9/")
    with hold_lock(tmp_path / ".cube.nc.update.lock"):
        held = subprocess.run(
            [sys.executable, "-m", "seaice", "update", "--config", str(config)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert held.returncode == 1
    assert "is being updated by process" in held.stderr and "has done nothing" in held.stderr


def test_stopping_a_run_stops_its_step(tmp_path):
    """The stage gets the signal too, and no process is left behind."""
    note = tmp_path / "pid"
    program = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    code = (
        "import sys\nfrom seaice.update import steps\n"
        f"steps.Step._command = property(lambda step: [sys.executable, '-c', {program!r}])\n"
        "import signal\nsignal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "steps.Step('download', ()).run()\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    assert run.wait(30) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


class FakeCube:
    """The days of a cube: status and reason."""

    def __init__(self, *days: tuple[int, str]) -> None:
        self.dates = [START + timedelta(days=i) for i in range(len(days))]
        self._days = days

    def has(self, name: str) -> bool:
        return True

    def variable(self, name: str) -> np.ndarray:
        return np.array([status for status, _ in self._days], np.uint8)

    def texts(self, name: str) -> list[str]:
        return [reason for _, reason in self._days]


PRESENT, ABSENT, REJECTED = DayStatus.PRESENT, DayStatus.ABSENT, DayStatus.REJECTED


@pytest.mark.parametrize(
    ("days_of_cube", "after", "alarms"),
    [
        ([(PRESENT, ""), (PRESENT, "")], 2, []),
        ([(PRESENT, ""), (PRESENT, "")], 3, ["late: the last observed day is 2024-01-02, 3 days ago"]),
        (
            [(PRESENT, ""), (ABSENT, ""), (ABSENT, ""), (PRESENT, "")],
            0,
            ["absent: 2024-01-02 to 2024-01-03"],
        ),
        ([(PRESENT, ""), (REJECTED, "all zero"), (PRESENT, "")], 0, ["rejected: 2024-01-02: all zero"]),
        ([(PRESENT, "suspicious: shifted"), (PRESENT, "")], 1, ["2024-01-01: suspicious: shifted"]),
        ([(ABSENT, "")], 0, ["late: the last observed day is none", "absent: 2024-01-01"]),
        # Long ago: nobody can do anything about it today.
        ([(ABSENT, ""), *[(PRESENT, "")] * 9], 0, []),
    ],
)
def test_alarms(days_of_cube, after, alarms):
    cube = FakeCube(*days_of_cube)
    today = cube.dates[-1] + timedelta(days=after)
    lines = list_alarms(cube, today=today, late_days=2, watch_days=7)
    assert len(lines) == len(alarms)
    assert all(line.startswith(start) for line, start in zip(lines, alarms, strict=True))


@pytest.mark.parametrize(
    ("command", "trouble"),
    [
        ("true", None),
        ("false", "the alarm command ended with exit status 1"),
        ("/no/such/program", "the alarm command cannot be run: "),
    ],
)
def test_an_alarm_command_that_fails_is_told(command, trouble):
    told = run_alarm_command(command, ["late"])
    assert told == trouble if trouble is None else told.startswith(trouble)


def test_an_alarm_command_that_hangs_is_stopped_with_all_it_has_started(tmp_path, monkeypatch):
    note = tmp_path / "pid"
    monkeypatch.setattr(alarm, "_COMMAND_SECONDS", 0.5)
    trouble = run_alarm_command(f"sh -c 'sleep 60 & echo $! > {note}; wait'", ["late"])
    assert trouble == "the alarm command was stopped after 0.5 s"
    process = Path(f"/proc/{int(note.read_text())}/stat")
    deadline = time.monotonic() + 10
    while process.exists() and process.read_text().split()[2] != "Z" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not process.exists() or process.read_text().split()[2] == "Z"


def test_options_become_words_of_a_command_line():
    step = StageOptions.parse(
        "download", ["base_url=a", "base_url=b", "update=true", "check=false", "grid=-n"]
    ).step("--x", 1)
    assert step.words == ("--base_url=a", "--base_url=b", "--update", "--grid=-n", "--x", "1")
    step = StageOptions.parse("ice_index", ["region=kara", "region=laptev"]).step()
    assert step.words == ("--region", "kara", "laptev")
