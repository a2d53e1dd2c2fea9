"""amsr2_processor.py against a real local catalogue and a real local SFTP server."""

import errno
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from gportal_server import Faults, GPortalServer, Product

import amsr2_processor
from seaice import (
    InputError,
    cli,
)
from seaice.download.retry import RetryPolicy
from seaice.runtime import atomic_write
from seaice.simulate import list_simulated_granules, write_granule
from seaice.sources.amsr2.catalogue import search_granules
from seaice.sources.amsr2.l1b import read_granule
from seaice.swaths.archive import load_swaths

ROOT = Path(__file__).resolve().parent.parent
START = datetime(2020, 1, 1, 0, 0, tzinfo=UTC)
END = datetime(2020, 1, 1, 8, 29, 59, tzinfo=UTC)
SOON = START + timedelta(hours=2)
NAME = "AMSR2_swaths_20200101_000000_to_20200101_082959"
SECRET = "s3cret-w0rd"
QUICK = RetryPolicy(retries=0, timeout=2)


@pytest.fixture(scope="module")
def granules():
    return list_simulated_granules(START, END)


@pytest.fixture(scope="module")
def master(granules, tmp_path_factory):
    """Granules of eight hours, and some before and after."""
    folder = tmp_path_factory.mktemp("server")
    around = list_simulated_granules(START - timedelta(hours=1), END + timedelta(hours=1))
    assert (len(granules), len(around)) == (10, 13)
    for granule in around:
        write_granule(folder, granule, scans=4, overlap=2)
    return folder


@pytest.fixture
def products(master):
    around = list_simulated_granules(START - timedelta(hours=1), END + timedelta(hours=1))
    sizes = {path.stem: path.stat().st_size for path in master.iterdir()}
    return [Product(g.granule_id, g.start, g.end, g.ascending, sizes[g.granule_id]) for g in around]


@pytest.fixture
def served(master, products, monkeypatch, tmp_path):
    """Starts servers with faults; the account is in the environment, no other is."""
    monkeypatch.setenv("GPORTAL_USERNAME", "somebody")
    monkeypatch.setenv("GPORTAL_PASSWORD", SECRET)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    open_servers = []

    def serve(faults=None, *, folder=master, listed=products, password=SECRET):
        server = GPortalServer(folder, listed, username="somebody", password=password, faults=faults)
        context = server.aimed()
        server.__enter__()
        context.__enter__()
        open_servers.append((server, context))
        return server

    yield serve
    for server, context in reversed(open_servers):
        context.__exit__(None, None, None)
        server.close()


def words(folder, *more, start=START, end=END):
    span = ["--start", f"{start:%Y-%m-%d %H:%M:%S}", "--end", f"{end:%Y-%m-%d %H:%M:%S}"]
    quick = ["--retry_delay", "0.02", "--timeout", "1"]
    return [*span, "--output_dir", str(folder), "--layout", "hdf5", *quick, *map(str, more)]


def failures(capsys):
    return [x for x in capsys.readouterr().err.splitlines() if x.startswith(("failed: ", "left out: "))]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


_TIMES = ("history", "catalogue_asked", "date_created")


def content(path):
    """Everything in an archive but when it was made."""
    with load_swaths(path) as swaths:
        info = {k: v for k, v in swaths.info.items() if k not in _TIMES}
        return info, [
            (s.summarise(), {k: a.tobytes() for k, a in s.name_arrays().items()}) for s in swaths
        ]


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "suffix"), [("swath_array", ".npz"), ("hdf5", ".h5")])
def test_everything_arrives_in_order(served, master, granules, tmp_path, layout, suffix):
    server = served()
    assert amsr2_processor.main(words(tmp_path / "out", "--layout", layout)) == 0
    assert names_in(tmp_path / "out") == [NAME + suffix]
    with load_swaths(tmp_path / "out" / (NAME + suffix)) as swaths:
        assert swaths.layout == layout
        assert [s.granule_id for s in swaths] == [g.granule_id for g in granules]
        assert swaths.info["complete"] is True and swaths.info["missing"] == []
        assert swaths.info["period"] == "2020-01-01T00:00:00 to 2020-01-01T08:29:59"
        for swath in swaths:
            source = read_granule(master / f"{swath.granule_id}.h5")
            assert swath.summarise() == source.summarise()
            for name, array in source.name_arrays().items():
                np.testing.assert_array_equal(swath.name_arrays()[name], array)
    assert [server.opened(g.granule_id) for g in granules] == [1] * 10
    assert server.transports_opened <= 4, "sessions are kept"


@pytest.mark.slow
def test_threads_do_not_show(served, tmp_path):
    served()
    for threads in (1, 4):
        assert amsr2_processor.main(words(tmp_path / f"{threads}", "--threads", threads)) == 0
    assert content(tmp_path / "1" / f"{NAME}.h5") == content(tmp_path / "4" / f"{NAME}.h5")


@pytest.mark.slow
def test_channels_orbits_and_no_coordinates(served, granules, tmp_path):
    served()
    more = ["--channels", "18.7V", "36.5H", "89AV", "--no-coordinates", "--orbit", "D"]
    assert amsr2_processor.main(words(tmp_path, *more)) == 0
    (name,) = [n for n in names_in(tmp_path) if n.startswith("AMSR2")]
    assert name == NAME.replace("swaths", "temp_only") + ".h5"
    with load_swaths(tmp_path / name) as swaths:
        assert [s.granule_id for s in swaths] == [g.granule_id for g in granules if not g.ascending]
        assert swaths[0].channels == ("18.7V", "36.5H", "89AV")
        assert swaths[0].positions == {}


@pytest.mark.slow
def test_passing_faults_cost_nothing(served, granules, tmp_path, capsys):
    ids = [g.granule_id for g in granules]
    kinds = ["drop", "stall", "truncated", "html", "denied", "flipped"]
    faults = Faults(
        {name: [kind] for name, kind in zip(ids, kinds, strict=False)}, catalogue=[503, "html"]
    )
    served(faults)
    assert amsr2_processor.main(words(tmp_path / "faults")) == 0
    served()
    assert amsr2_processor.main(words(tmp_path / "none")) == 0
    assert content(tmp_path / "faults" / f"{NAME}.h5") == content(tmp_path / "none" / f"{NAME}.h5")
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.slow
def test_lasting_faults_are_named_and_a_rerun_completes(served, granules, tmp_path, capsys):
    ids = [g.granule_id for g in granules]
    server = served(Faults({ids[2]: ["absent!"], ids[4]: ["truncated!"], ids[7]: ["html!"]}))
    assert amsr2_processor.main(words(tmp_path, "--max_retries", "1")) == 1
    lines = failures(capsys)
    assert [line for line in lines if line.startswith(f"left out: absent: {ids[2]}: the server has no")]
    for name in (ids[4], ids[7]):
        (line,) = [line for line in lines if name in line]
        assert "the catalogue says" in line and "(2 attempts)" in line
    assert "lacks 3 of 10 granules: the same command continues" in lines[-1]
    assert [n for n in names_in(tmp_path) if not n.startswith(".")] == [f"{NAME}_incomplete.h5"]
    with load_swaths(tmp_path / f"{NAME}_incomplete.h5") as swaths:
        assert len(swaths) == 7 and swaths.info["complete"] is False
        states = {entry["granule_id"]: entry["state"] for entry in swaths.info["missing"]}
        assert states == {ids[2]: "absent", ids[4]: "failed", ids[7]: "failed"}
    fetched = {name: server.bytes_read(name) for name in ids}
    server.close()
    again = served()
    assert amsr2_processor.main(words(tmp_path)) == 0
    assert names_in(tmp_path) == [f"{NAME}.h5"], "no incomplete one, no checkpoints"
    assert [again.opened(name) for name in ids] == [int(name in states) for name in ids]
    assert all(fetched[name] for name in ids if name not in states)


@pytest.mark.slow
def test_a_complete_archive_is_not_asked_for_again(served, tmp_path, capsys):
    server = served()
    assert amsr2_processor.main(words(tmp_path)) == 0
    before, asked = (tmp_path / f"{NAME}.h5").read_bytes(), len(server.requests)
    capsys.readouterr()
    assert amsr2_processor.main(words(tmp_path)) == 0
    assert "complete already, 10 swaths" in capsys.readouterr().out
    assert (tmp_path / f"{NAME}.h5").read_bytes() == before and len(server.requests) == asked


@pytest.mark.slow
def test_what_came_since_is_added(served, products, granules, tmp_path, monkeypatch):
    served(listed=[p for p in products if p.granule_id != granules[5].granule_id])
    monkeypatch.setattr("seaice.swaths.collect.format_now", lambda: "2020-01-02T00:00:00.000Z")
    assert amsr2_processor.main(words(tmp_path)) == 0
    server = served()
    assert amsr2_processor.main(words(tmp_path)) == 0
    with load_swaths(tmp_path / f"{NAME}.h5") as swaths:
        assert [s.granule_id for s in swaths] == [g.granule_id for g in granules]
    assert [server.opened(g.granule_id) for g in granules] == [0] * 5 + [1] + [0] * 4


@pytest.mark.slow
def test_a_broken_transfer_continues_where_it_broke(served, granules, tmp_path):
    name = granules[0].granule_id
    server = served(Faults({name: ["drop", "drop"]}))
    assert amsr2_processor.main(words(tmp_path, "--threads", "1", end=granules[0].start)) == 0
    reads = [entry for entry in server.requests if entry[0] == "read" and entry[1] == name]
    assert [entry[3] > 0 for entry in reads] == [False, True, True], "offsets"


@pytest.mark.slow
def test_a_drop_that_gets_further_is_no_failure_in_a_row(
    served, master, granules, tmp_path, monkeypatch
):
    monkeypatch.setattr("seaice.download.retry.PROGRESS", 1)
    name = granules[0].granule_id
    served(Faults({name: ["drop"] * 4}))
    more = ["--threads", "1", "--max_retries", "1"]
    assert amsr2_processor.main(words(tmp_path, *more, end=granules[0].start)) == 0


@pytest.mark.slow
def test_fewer_connections_than_threads(served, tmp_path):
    server = served(Faults(max_connections=2))
    assert amsr2_processor.main(words(tmp_path, "--threads", "8")) == 0
    assert server.most_at_once == 2


@pytest.mark.slow
def test_a_login_refused_for_a_moment(served, tmp_path):
    served(Faults(banner_stall=1, login_stall=1, session_stall=1))
    assert amsr2_processor.main(words(tmp_path, "--timeout", "0.5")) == 0


@pytest.mark.slow
def test_a_wrong_password_ends_at_once_and_is_never_shown(served, tmp_path, capsys):
    server = served(password="another")
    assert amsr2_processor.main(words(tmp_path)) == 1
    out, err = capsys.readouterr()
    assert "does not accept the account 'somebody'" in err and "GPORTAL_PASSWORD" in err
    assert SECRET not in out + err and "Traceback" not in err
    assert server.transports_opened <= 4, "no account is locked by trying again"
    assert not list(tmp_path.glob("AMSR2*"))
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()


def test_nobody_answers(served, tmp_path, capsys):
    server = served()
    port = server.sftp_port
    import gportal

    server.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seaice.swaths.collect.search_granules", lambda **_: _listed(10))
        patch.setattr(gportal.SFTP, "PORT", port)
        begin = time.monotonic()
        assert amsr2_processor.main(words(tmp_path, "--max_retries", "1")) == 1
    assert time.monotonic() - begin < 5
    lines = failures(capsys)
    assert any(
        "Connection refused (2 attempts)" in line or "no connection with" in line for line in lines
    )
    assert any("not tried" in line for line in lines)
    assert "no archive is written" in lines[-1]


def _listed(count):
    from seaice.sources.amsr2.catalogue import Listed

    return [
        Listed(f"GW1AM2_2020010100{i:02d}_001A_L1SGBTBR_2220220", "x", 1, START, "A")
        for i in range(count)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("catalogue", "words_of_it"),
    [
        ([503] * 9, "HTTP 503"),
        (["html"] * 9, "no list of granules"),
        (["drop"] * 9, "no answer from the G-Portal catalogue (the host closed the connection"),
        (["hang"] * 9, "no answer from the G-Portal catalogue (no answer in time)"),
        (["empty_page"] * 9, "says 12 granules and lists 0"),
    ],
)
def test_a_catalogue_that_stays_bad(served, tmp_path, capsys, catalogue, words_of_it):
    served(Faults(catalogue=catalogue))
    begin = time.monotonic()
    assert amsr2_processor.main(words(tmp_path, "--max_retries", "2", "--timeout", "0.3")) == 1
    assert time.monotonic() - begin < 5
    (line,) = [
        x for x in capsys.readouterr().err.splitlines() if x.startswith("error") or "failed: " in x
    ]
    assert words_of_it in line


def test_granules_belong_to_the_period_in_which_they_begin(served, granules):
    served()
    retry_policy = QUICK
    middle = granules[4].start
    first = search_granules(start=START, end=middle - timedelta(seconds=1), retry_policy=retry_policy)
    second = search_granules(start=middle, end=END, retry_policy=retry_policy)
    assert [g.granule_id for g in first + second] == [g.granule_id for g in granules]


def test_the_newest_version_of_a_half_orbit_is_taken(served, products, granules):
    old = [
        Product(p.granule_id.replace("2220220", "1110110"), p.start, p.end, p.ascending, 5)
        for p in products
    ]
    served(listed=products + old)
    found = search_granules(start=START, end=END, retry_policy=QUICK)
    assert [g.granule_id for g in found] == [g.granule_id for g in granules]


def test_a_long_period_is_searched_in_pieces(served, granules):
    server = served()
    span = {"start": START - timedelta(days=40), "end": END + timedelta(days=40)}
    found = search_granules(**span, retry_policy=QUICK)
    assert len(found) == 13 and len({g.granule_id for g in found}) == 13
    assert len(server.searches()) >= 3


def test_nothing_in_the_period(served, tmp_path, capsys):
    served()
    day = datetime(2011, 1, 1, tzinfo=UTC)
    assert amsr2_processor.main(words(tmp_path, start=day, end=day)) == 1
    assert "expected AMSR2 L1B granules from 2011-01-01" in capsys.readouterr().err


@pytest.mark.slow
def test_other_parameters_are_refused_and_nothing_is_lost(served, granules, tmp_path, capsys):
    served(Faults({granules[0].granule_id: ["absent!"]}))
    assert amsr2_processor.main(words(tmp_path)) == 0
    capsys.readouterr()
    assert amsr2_processor.main(words(tmp_path, "--channels", "18.7V")) == 1
    assert "with another channels" in capsys.readouterr().err
    served()
    assert amsr2_processor.main(words(tmp_path)) == 0
    before = (tmp_path / f"{NAME}.h5").read_bytes()
    capsys.readouterr()
    assert amsr2_processor.main(words(tmp_path, "--channels", "18.7V")) == 1
    assert "was made with other parameters" in capsys.readouterr().err
    assert (tmp_path / f"{NAME}.h5").read_bytes() == before


def test_two_runs_at_once(served, tmp_path, capsys):
    server = served()
    with atomic_write.exclusive(tmp_path / f"{NAME}.h5"):
        assert amsr2_processor.main(words(tmp_path)) == 1
    assert "is being written by" in capsys.readouterr().err
    assert server.requests == []


@pytest.mark.slow
def test_a_careful_run_stops_after_failures_in_a_row(served, granules, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("seaice.swaths.granule_worker._PAUSE", 0.01)
    monkeypatch.setattr("seaice.swaths.collect._MOST_FAILURES_IN_A_ROW", 3)
    server = served(Faults({g.granule_id: ["truncated!"] for g in granules[1:]}))
    assert amsr2_processor.main(words(tmp_path, "--robust", "--max_retries", "0")) == 1
    lines = failures(capsys)
    assert any("not tried: stopped after 3 failures in a row" in line for line in lines)
    assert server.most_at_once == 1
    with load_swaths(tmp_path / f"{NAME}_incomplete.h5") as swaths:
        assert len(swaths) == 1 and len(swaths.info["missing"]) == 9


@pytest.mark.slow
def test_granules_are_kept_on_request_and_used_again(served, granules, master, tmp_path):
    server = served()
    assert amsr2_processor.main(words(tmp_path, "--keep_hdf5")) == 0
    kept = tmp_path / "l1b"
    assert names_in(kept) == [f"{g.granule_id}.h5" for g in granules]
    assert (kept / f"{granules[0].granule_id}.h5").read_bytes() == (
        master / f"{granules[0].granule_id}.h5"
    ).read_bytes()
    opened = server.opened(granules[0].granule_id)
    (tmp_path / f"{NAME}.h5").unlink()
    assert amsr2_processor.main(words(tmp_path, "--keep_hdf5")) == 0
    assert server.opened(granules[0].granule_id) == opened
    shutil.rmtree(tmp_path / "l1b")


@pytest.mark.slow
def test_a_damaged_checkpoint_is_fetched_again(served, granules, tmp_path, capsys):
    ids = [g.granule_id for g in granules]
    served(Faults({ids[0]: ["absent!"]}))
    assert amsr2_processor.main(words(tmp_path)) == 0
    path = tmp_path / f".{NAME}.h5.swaths" / f"{ids[3]}.h5"
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 3] ^= 8
    path.write_bytes(flipped)
    capsys.readouterr()
    served()
    assert amsr2_processor.main(words(tmp_path)) == 1
    err = capsys.readouterr().err
    assert "damaged" in err and "run the same command again" in err
    assert amsr2_processor.main(words(tmp_path)) == 0
    with load_swaths(tmp_path / f"{NAME}.h5") as swaths:
        assert [s.granule_id for s in swaths] == ids


@pytest.mark.slow
def test_from_a_folder(master, granules, tmp_path, capsys):
    folder = tmp_path / "l1b"
    shutil.copytree(master, folder)
    argv = [*words(tmp_path / "out"), "--input_dir", str(folder)]
    assert amsr2_processor.main(argv) == 0
    with load_swaths(tmp_path / "out" / f"{NAME}.h5") as swaths:
        assert [s.granule_id for s in swaths] == [g.granule_id for g in granules]
    assert len(names_in(folder)) == 13, "they stay"
    (folder / f"{granules[4].granule_id}.h5").unlink()
    (folder / f"{granules[7].granule_id}.h5").write_bytes(b"<html>log in</html>")
    assert amsr2_processor.main([*words(tmp_path / "gap"), "--input_dir", str(folder)]) == 0
    err = capsys.readouterr().err
    assert "gap: no granule between" in err and "found a web page" in err
    with load_swaths(tmp_path / "gap" / f"{NAME}_incomplete.h5") as swaths:
        assert len(swaths) == 8
    assert amsr2_processor.main([*words(tmp_path / "out"), "--input_dir", str(folder)]) == 0
    assert "complete already, 10 swaths" in capsys.readouterr().out, "it has more than the folder"
    assert amsr2_processor.main([*words(tmp_path / "x"), "--input_dir", str(tmp_path / "none")]) == 1
    assert amsr2_processor.main([*words(tmp_path / "y"), "--input_dir", str(tmp_path / "home")]) == 1


def test_usage(tmp_path, capsys):
    for wrong in (
        ["--start", "2020-01-02", "--end", "2020-01-01"],
        ["--start", "someday", "--end", "2020-01-01"],
        ["--start", "0001-01-01T00:00+09:00", "--end", "2020-01-01"],
        ["--start", "2020-01-01", "--end", "2020-01-02", "--timeout", "1e12"],
        ["--start", "2020-01-01"],
        ["--start", "2020-01-01", "--end", "2020-01-02", "--threads", "0"],
        ["--start", "2020-01-01", "--end", "2020-01-02", "--layout", "cube"],
    ):
        with pytest.raises(SystemExit) as caught:
            amsr2_processor.main(wrong)
        assert caught.value.code == 2
    argv = ["--start", "2020-01-01", "--end", "2020-01-02", "--output_dir", str(tmp_path)]
    assert amsr2_processor.main([*argv, "--channels", "35GHz"]) == 1
    assert "expected a channel out of" in capsys.readouterr().err
    assert amsr2_processor.main([*argv, "--bbox", "0", "60", "10", "70", "--input_dir", "."]) == 1
    assert "--bbox" in capsys.readouterr().err
    assert amsr2_processor.main([*argv, "--bbox", "0", "70", "10", "60"]) == 1
    assert "south below north" in capsys.readouterr().err


def test_no_account(served, tmp_path, monkeypatch, capsys):
    server = served()
    monkeypatch.delenv("GPORTAL_PASSWORD")
    assert amsr2_processor.main(words(tmp_path)) == 1
    assert "expected a G-Portal account, found none" in capsys.readouterr().err
    assert server.transports_opened == 0


@pytest.mark.slow
def test_account_from_netrc_and_from_a_person(served, tmp_path, monkeypatch):
    served()
    monkeypatch.delenv("GPORTAL_USERNAME")
    monkeypatch.delenv("GPORTAL_PASSWORD")
    home = tmp_path / "home"
    home.mkdir()
    netrc = home / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login somebody password {SECRET}\n")
    netrc.chmod(0o600)
    assert amsr2_processor.main(words(tmp_path / "a")) == 0
    netrc.unlink()
    asked = []

    def ask(question, secret):
        asked.append((question, secret))
        return SECRET if secret else "somebody"

    monkeypatch.setattr(cli, "asker", lambda: ask)
    assert amsr2_processor.main(words(tmp_path / "b")) == 0
    assert asked == [("G-Portal user name: ", False), ("G-Portal password: ", True)]


@pytest.mark.slow
def test_the_classic_questions(served, tmp_path, monkeypatch):
    served()
    answers = iter(["2020-01-01 00:00:00", "2020-01-01 08:29:59", "2", ""])
    monkeypatch.setattr(cli, "asker", lambda: lambda question, secret: next(answers))
    monkeypatch.setattr(sys, "argv", ["amsr2_processor.py"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEAICE_DATA_DIR", raising=False)
    assert amsr2_processor.main() == 0
    with load_swaths(tmp_path / "data" / f"{NAME}.h5") as swaths:
        assert swaths.layout == "hdf5" and len(swaths) == 10
    monkeypatch.setattr(cli, "asker", lambda: None)
    with pytest.raises(SystemExit) as caught:
        amsr2_processor.main()
    assert caught.value.code == 2, "no terminal, no questions"


RUNNER = """
import json, sys
sys.path.insert(0, {root!r})
import gportal, gportal.http_client
said = json.loads(sys.argv[1])
gportal.http_client.BASE_URL = said["http_url"]
gportal.SFTP.HOST, gportal.SFTP.PORT = said["sftp_host"], said["sftp_port"]
{before}
import amsr2_processor
sys.exit(amsr2_processor.main(sys.argv[2:]))
"""


def process(server, folder, *more, before=""):
    said = {key: getattr(server, key) for key in ("http_url", "sftp_host", "sftp_port")}
    code = RUNNER.format(root=str(ROOT), before=before)
    argv = [sys.executable, "-c", code, json.dumps(said), *words(folder, *more)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_killed_at_random_moments(served, granules, tmp_path):
    """Kill -9 again and again: the same archive, and no granule is fetched after it was done."""
    server = served(Faults(slow_rate=300_000))
    assert amsr2_processor.main(words(tmp_path / "whole")) == 0
    ids = [g.granule_id for g in granules]
    before = {name: server.opened(name) for name in ids}
    chance, kills, done = random.Random(4), 0, {}
    out = tmp_path / "killed"
    while True:
        run = process(server, out, "--threads", "2")
        if kills < 4:
            deadline = time.monotonic() + chance.uniform(0.3, 1.1)
            while time.monotonic() < deadline and run.poll() is None:
                time.sleep(0.01)
            if run.poll() is None:
                run.send_signal(signal.SIGKILL)
                kills += 1
        _, err = run.communicate()
        journal = out / f".{NAME}.h5.swaths" / "journal.jsonl"
        now = {name: server.opened(name) for name in ids}
        assert all(now[name] == opened for name, opened in done.items()), "done is not fetched again"
        if run.returncode == 0:
            break
        assert run.returncode == -signal.SIGKILL, err
        if journal.exists():
            whole = [line for line in journal.read_text().split("\n")[:-1] if line]
            entries = [json.loads(line) for line in whole]
            done = {e["granule_id"]: now[e["granule_id"]] for e in entries if e["state"] == "done"}
    assert kills and names_in(out) == [f"{NAME}.h5"]
    assert content(out / f"{NAME}.h5") == content(tmp_path / "whole" / f"{NAME}.h5")
    assert before == dict.fromkeys(ids, 1)


@pytest.mark.slow
def test_interrupted(served, tmp_path):
    server = served(Faults({}, session_stall=9))
    run = process(server, tmp_path, "--timeout", "30")
    deadline = time.monotonic() + 10
    while not server.transports_opened and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=10)
    assert run.returncode == 130 and "interrupted" in err and "Traceback" not in err


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_is_named(served, master, tmp_path):
    server = served()
    limit = min(path.stat().st_size for path in master.iterdir()) // 2
    before = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    run = process(server, tmp_path, "--threads", "1", before=before)
    _, err = run.communicate(timeout=30)
    assert run.returncode == 1 and "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert "File too large" in lines[0] and "not tried: File too large" in lines[1]
    run = process(server, tmp_path)
    assert run.communicate(timeout=30) and run.returncode == 0, "with room the same command goes on"


@pytest.mark.slow
def test_importing_needs_no_network_and_no_account():
    code = (
        "import socket, sys; sys.path.insert(0, '.')\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = refuse\n"
        "import amsr2_processor, split_amsr_files, verify_archive, utils; utils.load_swaths\n"
        "assert 'gportal' not in sys.modules and 'paramiko' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env={"PATH": "/usr/bin"})


@pytest.mark.slow
def test_a_bad_granule_of_a_thread_that_was_turned_away_stops_nothing(
    served, granules, tmp_path, monkeypatch
):
    from seaice.sources.amsr2 import sftp

    turned = []
    fetch = sftp.Session.fetch

    def first_turned_away(self, remote, part, size, stop):
        if granules[0].granule_id in remote and not turned:
            turned.append(remote)
            raise sftp.Refused("full")
        return fetch(self, remote, part, size, stop)

    monkeypatch.setattr(sftp.Session, "fetch", first_turned_away)
    served(Faults({granules[0].granule_id: ["truncated!"]}))
    assert amsr2_processor.main(words(tmp_path, "--threads", "1", "--max_retries", "1")) == 1
    with load_swaths(tmp_path / f"{NAME}_incomplete.h5") as swaths:
        assert [entry["granule_id"] for entry in swaths.info["missing"]] == [granules[0].granule_id]


@pytest.mark.slow
def test_a_rejected_account_is_tried_once(served, tmp_path):
    server = served(password="another")
    assert amsr2_processor.main(words(tmp_path, "--threads", "8")) == 1
    assert server.requests.count(("login", False)) == 1


@pytest.mark.slow
def test_a_damaged_kept_granule_is_fetched_again(served, granules, tmp_path, caplog):
    server = served()
    assert amsr2_processor.main(words(tmp_path, "--keep_hdf5")) == 0
    kept = tmp_path / "l1b" / f"{granules[3].granule_id}.h5"
    whole = kept.read_bytes()
    kept.write_bytes(b"\0" * len(whole))
    (tmp_path / f"{NAME}.h5").unlink()
    assert amsr2_processor.main(words(tmp_path, "--keep_hdf5")) == 0
    assert kept.read_bytes() == whole
    assert [server.opened(g.granule_id) for g in granules] == [1, 1, 1, 2] + [1] * 6


@pytest.mark.slow
def test_a_granule_goes_only_after_its_swath_is_safe(served, master, granules, tmp_path, monkeypatch):
    def full(checkpoints, swath):
        raise OSError(errno.ENOSPC, "No space left on device")

    server, name = served(), granules[0].granule_id
    argv = words(tmp_path, "--threads", "1", end=granules[0].start)
    with monkeypatch.context() as patch:
        patch.setattr("seaice.swaths.archive.checkpoint.Checkpoints.add", full)
        assert amsr2_processor.main(argv) == 1
    assert amsr2_processor.main(argv) == 0
    assert server.bytes_read(name) == (master / f"{name}.h5").stat().st_size, "fetched once"


def test_answers_that_overtake_the_requests_fetch_nothing_twice(
    served, master, granules, tmp_path, monkeypatch
):
    from paramiko import SFTPClient

    send = SFTPClient._async_request

    def send_late(client, *arguments):
        time.sleep(0.02)  # every request so far is answered before the next goes out
        return send(client, *arguments)

    server, name = served(), granules[0].granule_id
    monkeypatch.setattr(SFTPClient, "_async_request", send_late)
    assert amsr2_processor.main(words(tmp_path, "--threads", "1", end=granules[0].start)) == 0
    size = (master / f"{name}.h5").stat().st_size
    assert size > 4 * 2**15, "several requests"
    assert server.bytes_read(name) == size


@pytest.mark.slow
def test_what_a_kill_left_beside_a_finished_archive_goes(served, tmp_path):
    served()
    assert amsr2_processor.main(words(tmp_path)) == 0
    (tmp_path / f"{NAME}_incomplete.h5").touch()
    (tmp_path / f".{NAME}.h5.swaths").mkdir()
    assert amsr2_processor.main(words(tmp_path)) == 0
    assert names_in(tmp_path) == [f"{NAME}.h5"]


@pytest.mark.slow
def test_nothing_new_leaves_the_archive_as_it_is(served, tmp_path, monkeypatch, capsys):
    server = served()
    monkeypatch.setattr("seaice.swaths.collect.format_now", lambda: "2020-01-02T00:00:00.000Z")
    assert amsr2_processor.main(words(tmp_path)) == 0
    before, searches = (tmp_path / f"{NAME}.h5").stat(), len(server.searches())
    assert amsr2_processor.main(words(tmp_path)) == 0
    assert "complete already, 10 swaths" in capsys.readouterr().out
    assert (tmp_path / f"{NAME}.h5").stat().st_mtime_ns == before.st_mtime_ns
    assert len(server.searches()) > searches, "something may have come since"


def test_a_damaged_archive_of_that_name(served, tmp_path, capsys):
    served()
    (tmp_path / f"{NAME}.h5").write_bytes(b"\x89HDF\r\n\x1a\n cut")
    assert amsr2_processor.main(words(tmp_path, "--layout", "hdf5")) == 1
    assert "move it away and run the same command again" in capsys.readouterr().err


def test_an_output_folder_that_is_a_file(tmp_path, capsys):
    (tmp_path / "file").touch()
    for place in ("file", "file/below"):
        assert amsr2_processor.main(words(tmp_path / place)) == 1
        assert "expected a folder" in capsys.readouterr().err


def test_other_products_odd_sizes_and_duplicates_of_the_catalogue(
    served, products, granules, monkeypatch, caplog
):
    import gportal_catalogue

    plain = gportal_catalogue.feature
    sizes = iter([None, "", "0", "12.0", "many"])

    def odd(product):
        made = plain(product)
        made["properties"]["product"]["size"] = next(sizes, "7")
        return made

    monkeypatch.setattr(gportal_catalogue, "feature", odd)
    resampled = [
        Product(p.granule_id.replace("BTBR", "RTBR"), p.start, p.end, p.ascending, 5) for p in products
    ]
    served(listed=[*products, *resampled, *products[::-1]])
    with caplog.at_level("WARNING"):
        found = search_granules(start=START, end=END, retry_policy=QUICK)
    assert [g.granule_id for g in found] == [g.granule_id for g in granules]
    assert "left out of the catalogue: GW1AM2_" in caplog.text and "RTBR" in caplog.text


def test_a_page_that_lacks_a_granule_it_counts(served, monkeypatch):
    import gportal.http_client

    get = gportal.http_client.get

    def lacking(*args, **kwargs):
        page = get(*args, **kwargs)
        return {**page, "features": page["features"][1:]}

    monkeypatch.setattr(gportal.http_client, "get", lacking)
    served()
    with pytest.raises(InputError, match="says 12 granules and lists 11"):
        search_granules(start=START, end=END, retry_policy=QUICK)


def test_a_period_without_bounds_asks_only_for_what_can_be(served):
    server = served()
    first, last = datetime.min.replace(tzinfo=UTC), datetime(1, 6, 1, tzinfo=UTC)
    assert search_granules(start=first, end=last, retry_policy=QUICK) == []
    late = datetime.now(UTC) - timedelta(days=40), datetime.max.replace(tzinfo=UTC)
    assert search_granules(start=late[0], end=late[1], retry_policy=QUICK) == []
    assert len(server.searches()) == 2


def test_borders_of_periods_within_the_minute_of_a_name(master, granules, tmp_path):
    start = granules[4].start
    assert start.second
    for shift, expected in ((0, True), (-1, False), (1, False)):
        moment = start.replace(microsecond=0) + timedelta(seconds=shift)
        folder = tmp_path / str(shift)
        argv = [*words(folder, start=moment, end=moment), "--input_dir", str(master)]
        assert amsr2_processor.main(argv) == (0 if expected else 1), shift
        assert bool(list(folder.glob("AMSR2*.h5"))) == expected


@pytest.mark.slow
def test_versions_and_copies_in_a_folder(master, granules, tmp_path):
    folder = tmp_path / "l1b"
    shutil.copytree(master, folder / "z")
    name = granules[2].granule_id
    for other in (name.replace("2220220", "1110110"), name.replace("L1SG", "L1DL")):
        (folder / f"{other}.h5").write_bytes(b"older")
    (folder / f"{name}.h5").write_bytes((master / f"{name}.h5").read_bytes()[:5000])
    (folder / "GW1AM2_202001010000_001A_L1SGBTBR_2220220.h5").symlink_to(tmp_path / "nowhere")
    assert amsr2_processor.main([*words(tmp_path / "out"), "--input_dir", str(folder)]) == 0
    with load_swaths(tmp_path / "out" / f"{NAME}.h5") as swaths:
        assert [s.granule_id for s in swaths] == [g.granule_id for g in granules]


def test_a_netrc_that_is_wrong_shows_no_word_of_it(served, tmp_path, monkeypatch, capsys):
    served()
    monkeypatch.delenv("GPORTAL_PASSWORD")
    netrc = tmp_path / "home" / ".netrc"
    netrc.parent.mkdir()
    netrc.write_text(f"machine 127.0.0.1 login somebody password two {SECRET}\n")
    netrc.chmod(0o600)
    assert amsr2_processor.main(words(tmp_path)) == 1
    err = capsys.readouterr().err
    assert "~/.netrc is not used: bad" in err and "expected a G-Portal account" in err
    assert SECRET not in err


@pytest.mark.slow
def test_an_answer_against_the_protocol_is_a_failure_of_that_granule(
    served, granules, tmp_path, monkeypatch
):
    import paramiko

    opened = paramiko.SFTPClient.open

    def garbage(self, name, *args, **kwargs):
        if granules[1].granule_id in name:
            raise paramiko.SFTPError("Expected handle")
        return opened(self, name, *args, **kwargs)

    served()
    monkeypatch.setattr(paramiko.SFTPClient, "open", garbage)
    assert amsr2_processor.main(words(tmp_path, "--max_retries", "0")) == 1
    with load_swaths(tmp_path / f"{NAME}_incomplete.h5") as swaths:
        (entry,) = swaths.info["missing"]
    assert entry["granule_id"] == granules[1].granule_id and "Expected handle" in entry["reason"]


def known_lines(server, kind):
    """A file of known hosts in which the server's key is known, revoked, missing or another one."""
    import paramiko

    host, key = f"[{server.sftp_host}]:{server.sftp_port}", server.host_key
    own = f"{key.get_name()} {key.get_base64()}"
    other, rsa = paramiko.ECDSAKey.generate(), paramiko.RSAKey.generate(1024)
    another = f"{other.get_name()} {other.get_base64()}"
    of_another_type = f"ssh-rsa {rsa.get_base64()}"
    lines = {
        "own": f"# comment\n{host},example.org {own} comment\n",
        "hashed": f"{paramiko.HostKeys.hash_host(host)} {own}\n",
        "pattern": f"[127.0.0.?]:* {own}\n",
        "own of two": f"{host} {of_another_type}\n{host} {own}\n",
        "none": "",
        "another port": f"[{server.sftp_host}]:1 {own}\n",
        "excluded": f"[127.0.0.*]:*,!{host} {own}\n",
        "unreadable line": f"{host} ssh-rsa x\n{host} {key.get_name()}\n",
        "authority": f"@cert-authority {host} {own}\n",
        "another key": f"{host} {another}\n",
        "another type": f"{host} {of_another_type}\n",
        "revoked": f"{host} {own}\n@revoked * {own}\n",
    }
    return lines[kind]


REFUSED = {
    "none": "which nothing here vouches for",
    "another port": "which nothing here vouches for",
    "excluded": "which nothing here vouches for",
    "unreadable line": "which nothing here vouches for",
    "authority": "which nothing here vouches for",
    "another key": "another host key than the one in",
    "another type": "another host key than the one in",
    "revoked": "is revoked",
}


@pytest.mark.parametrize("kind", ["own", "hashed", "pattern", "own of two", *REFUSED])
def test_no_password_goes_to_a_server_that_is_not_known(served, tmp_path, capsys, monkeypatch, kind):
    server = served()
    monkeypatch.setenv("GPORTAL_HOST_KEY", "")
    known = tmp_path / "home" / ".ssh" / "known_hosts"
    known.parent.mkdir(parents=True)
    known.write_text(known_lines(server, kind))
    status = amsr2_processor.main(words(tmp_path / "out", "--threads", "1", end=SOON))
    err = capsys.readouterr().err
    logins = [entry for entry in server.requests if entry[0] == "login"]
    assert (status, bool(logins)) == ((1, False) if kind in REFUSED else (0, True))
    if kind in REFUSED:
        assert REFUSED[kind] in err and server.host_key.fingerprint in err
        assert "Traceback" not in err and "unexpected" not in err


def test_an_accepted_host_key(served, tmp_path, capsys, monkeypatch):
    server = served()
    monkeypatch.setenv("GPORTAL_HOST_KEY", "")
    other = f"SHA256:{'A' * 43}"
    for accepted, status, message in (
        (server.host_key.fingerprint, 0, ""),
        (other, 1, "which is not the accepted one"),
        ("SHA256:abc", 1, "expected the fingerprint of a host key"),
    ):
        argv = words(tmp_path / accepted[-5:].replace("/", "x"), "--accept_host_key", accepted, end=SOON)
        assert amsr2_processor.main(argv) == status
        assert message in capsys.readouterr().err
    known = tmp_path / "home" / ".ssh" / "known_hosts"
    known.mkdir(parents=True)  # cannot be read
    accepted = ["--accept_host_key", server.host_key.fingerprint]
    assert amsr2_processor.main(words(tmp_path / "c", *accepted, end=SOON)) == 0
    assert amsr2_processor.main(words(tmp_path / "d", end=SOON)) == 1
    assert "cannot be read (Is a directory)" in capsys.readouterr().err


def test_interrupted_at_the_questions(monkeypatch, capsys):
    def ask(question, secret):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "asker", lambda: ask)
    monkeypatch.setattr(sys, "argv", ["amsr2_processor.py"])
    with pytest.raises(SystemExit) as caught:
        amsr2_processor.main()
    assert caught.value.code == 130 and "interrupted" in capsys.readouterr().err


@pytest.mark.slow
def test_interrupted_in_a_long_pause(served, granules, tmp_path):
    server = served(Faults({granules[0].granule_id: ["denied!"]}))
    run = process(server, tmp_path, "--retry_delay", "300")
    deadline = time.monotonic() + 10
    while not server.opened(granules[0].granule_id) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    begin = time.monotonic()
    run.send_signal(signal.SIGTERM)
    _, err = run.communicate(timeout=10)
    assert run.returncode == 130 and "Traceback" not in err
    assert time.monotonic() - begin < 2.5
