"""Archives in parts, unpacked on the way: safe, resumable, checked."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from http_server import cut, serve, status

from seaice import InputError
from seaice.download.retry import RetryPolicy
from seaice.segmentation.data import (
    download,
)
from seaice.segmentation.data import (
    hub as scene_hub,
)
from seaice.segmentation.data.download import (
    ARCHIVES,
    download_scenes,
)
from seaice.segmentation.data.hub import (
    REPOSITORY,
    HubFile,
)
from seaice.segmentation.data.joined_archive import (
    JoinedFile,
    unpack_archive,
)

FILES = {
    "test": {"test/a_prep.nc": b"a" * 3000, "test/a_prep_reference.nc": b"r" * 10},
    "train": {f"train/{k}_prep.nc": os.urandom(600_000) for k in range(4)},
}
TABLE = b"input_path\n"


def packed(files, *, more=(), prefix=""):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        folder = tarfile.TarInfo(prefix + next(iter(files)).split("/")[0])
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, body in files.items():
            entry = tarfile.TarInfo(prefix + name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
        for entry in more:
            archive.addfile(entry)
    return content.getvalue()


@pytest.fixture(scope="module")
def bodies():
    train = packed(FILES["train"], prefix="./")
    half = len(train) // 2
    return {
        "metadata.csv": TABLE,
        "test.tar.gz": packed(FILES["test"]),
        "train.tar.gzaa": train[:half],
        "train.tar.gzab": train[half:],
    }


class FakeHub:
    """A hub whose files lie in memory and are fetched as the true one does: into a folder."""

    address = "https://example.org"

    def __init__(self, bodies, digests=None):
        self.bodies, self.asked, self.digests = dict(bodies), [], digests or {}

    def describe(self, names):
        def digest(name):
            return self.digests.get(name, hashlib.sha256(self.bodies[name]).hexdigest())

        return {name: HubFile(len(self.bodies[name]), digest(name)) for name in names}

    def fetch(self, name, folder):
        path = folder / name
        if not path.is_file():
            self.asked.append(name)
            path.write_bytes(self.bodies[name])
        return path


@pytest.fixture
def hub(bodies, monkeypatch):
    made = FakeHub(bodies)
    monkeypatch.setattr(download, "HuggingFaceHub", lambda revision: made)
    return made


def files_below(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*.nc"))
        if not p.name.startswith(".")
    }


def test_everything_arrives_and_a_second_run_asks_for_nothing(tmp_path, hub):
    report = download_scenes(output_dir=tmp_path, split="all")
    assert files_below(tmp_path) == FILES["test"] | FILES["train"]
    assert (tmp_path / "metadata.csv").read_bytes() == TABLE
    assert report.values == {"test": 2, "train": 4} and report.exit_status() == 0
    assert not (tmp_path / ".archives").exists()
    hub.describe = None
    again = download_scenes(output_dir=tmp_path, split="all")
    assert all("already there" in line for line in again.lines)
    lines = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    digests = {line["name"]: line["sha256"] for line in lines}
    body = FILES["test"]["test/a_prep.nc"]
    assert digests["test/a_prep.nc"] == hashlib.sha256(body).hexdigest()


def test_a_lost_file_alone_is_written_again(tmp_path, hub):
    download_scenes(output_dir=tmp_path, split="train", keep_archives=True)
    kept, lost = tmp_path / "train/0_prep.nc", tmp_path / "train/2_prep.nc"
    before = kept.stat().st_ino
    lost.unlink()
    download_scenes(output_dir=tmp_path, split="train", keep_archives=True)
    assert lost.read_bytes() == FILES["train"]["train/2_prep.nc"]
    assert kept.stat().st_ino == before
    assert hub.asked == ["metadata.csv", *ARCHIVES["train"]]


def test_cut_archive_keeps_whole_members_and_the_next_run_goes_on(tmp_path, hub, bodies):
    whole = hub.bodies["train.tar.gzab"]
    hub.bodies["train.tar.gzab"] = whole[: len(whole) // 2]
    with pytest.raises(InputError, match=r"expected a whole tar.gz archive") as caught:
        download_scenes(output_dir=tmp_path, split="train")
    assert "\n" not in str(caught.value)
    there = files_below(tmp_path)
    assert 0 < len(there) < 4 and there.items() <= FILES["train"].items()
    (tmp_path / ".archives/train.tar.gzab").unlink()
    hub.bodies["train.tar.gzab"] = whole
    download_scenes(output_dir=tmp_path, split="train")
    assert files_below(tmp_path) == FILES["train"]
    assert hub.asked.count("train.tar.gzaa") == 1


def test_nothing_of_an_archive_with_a_flipped_bit_is_kept(tmp_path, bodies):
    source = tmp_path / "source"
    source.mkdir()
    for name, body in bodies.items():
        (source / name).write_bytes(body)
    bad = bytearray(bodies["train.tar.gzaa"])
    bad[300_000] ^= 1  # random bytes are stored as they are, so that only the last check tells
    (source / "train.tar.gzaa").write_bytes(bad)
    words = {"output_dir": tmp_path / "out", "split": "train", "archive_dir": source}
    with pytest.raises(InputError, match=r"damaged one \(.*\) and removed \d files of it"):
        download_scenes(**words)
    assert files_below(tmp_path / "out") == {}
    (source / "train.tar.gzaa").write_bytes(bodies["train.tar.gzaa"])
    download_scenes(**words)
    assert files_below(tmp_path / "out") == FILES["train"]


def test_archives_of_another_split_stay(tmp_path, hub):
    partial = tmp_path / ".archives/.cache/huggingface/download/x.incomplete"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"half")
    download_scenes(output_dir=tmp_path, split="test")
    assert partial.read_bytes() == b"half" and not (tmp_path / ".archives/test.tar.gz").exists()
    download_scenes(output_dir=tmp_path, split="train", keep_archives=True)
    partial.unlink()
    (tmp_path / "test/a_prep.nc").unlink()
    download_scenes(output_dir=tmp_path, split="test")
    kept = [tmp_path / ".archives" / name for name in ARCHIVES["train"]]
    assert all(path.is_file() for path in kept)


def test_archives_that_others_fetched_are_never_removed(tmp_path, bodies):
    source = tmp_path / ".archives"
    source.mkdir()
    for name, body in bodies.items():
        (source / name).write_bytes(body)
    report = download_scenes(output_dir=tmp_path, split="all", archive_dir=source)
    assert {p.name for p in source.iterdir()} == set(bodies)
    assert all(str(source) in line for line in report.lines)


def test_another_digest_is_refused_before_anything_is_unpacked(tmp_path, hub):
    hub.digests = {"test.tar.gz": "0" * 64}
    with pytest.raises(InputError, match=r"expected test.tar.gz of .* SHA-256 0000"):
        download_scenes(output_dir=tmp_path)
    assert files_below(tmp_path) == {}


def entry(name, kind=tarfile.REGTYPE, target=""):
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


@pytest.mark.parametrize(
    "bad",
    [
        entry("test/../../evil.nc"),
        entry("/tmp/evil.nc"),
        entry("test/link.nc", tarfile.SYMTYPE, "/etc/passwd"),
        entry("test/hard.nc", tarfile.LNKTYPE, "../x"),
        entry("test/pipe", tarfile.FIFOTYPE),
        entry("elsewhere/x.nc"),
    ],
    ids=lambda e: e.name,
)
def test_members_that_are_not_safe_stop_the_run(tmp_path, hub, bad):
    hub.bodies["test.tar.gz"] = packed(FILES["test"], more=[bad])
    with pytest.raises(InputError, match=r"expected (plain )?files"):
        download_scenes(output_dir=tmp_path / "in")
    assert files_below(tmp_path / "in") == FILES["test"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_gigabytes_is_not_read(tmp_path, kind):
    """The library would take it into memory as a whole."""
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 6 << 30
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)))
    with pytest.raises(InputError, match="a header of 6442450944 bytes"):
        unpack_archive([path], tmp_path, is_unpacked=lambda *_: False, report_file=lambda m: None)


def test_an_absolute_path_is_refused_by_itself(tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(packed({f"{tmp_path}/evil.nc": b"evil"}))
    with pytest.raises(InputError, match="a path outside the folder"):
        unpack_archive(
            [tmp_path / "x.tar.gz"],
            tmp_path / "out",
            is_unpacked=lambda *_: False,
            report_file=lambda m: None,
        )
    assert not (tmp_path / "evil.nc").exists()


def test_archives_of_a_folder_need_no_network(tmp_path, bodies):
    source = tmp_path / "source"
    source.mkdir()
    for name, body in bodies.items():
        (source / name).write_bytes(body)
    download_scenes(output_dir=tmp_path / "out", split="all", archive_dir=source)
    assert files_below(tmp_path / "out") == FILES["test"] | FILES["train"]
    assert (source / "test.tar.gz").is_file()
    (source / "train.tar.gzab").unlink()
    with pytest.raises(InputError, match=r"expected train.tar.gzab in .*, found none"):
        download_scenes(output_dir=tmp_path / "new", split="train", archive_dir=source)


def test_room_on_the_disk_is_looked_at_first(tmp_path, hub, monkeypatch):
    real = download.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda p: real._replace(free=100))
    with pytest.raises(InputError, match="GB free"):
        download_scenes(output_dir=tmp_path)
    assert hub.asked == []


def test_joined_parts_read_as_one(tmp_path):
    parts = [tmp_path / name for name in "abc"]
    for part, body in zip(parts, (b"one", b"", b"three"), strict=True):
        part.write_bytes(body)
    with io.BufferedReader(JoinedFile(parts), 2) as file:
        assert file.read() == b"onethree"


def test_empty_and_foreign_files_are_refused(tmp_path):
    for body in (b"", b"<html>not here</html>", packed(FILES["test"])[:-4]):
        path = tmp_path / "x.tar.gz"
        path.write_bytes(body)
        with pytest.raises(InputError, match=r"expected (a whole tar.gz|files in the archive)"):
            unpack_archive(
                [path], tmp_path / "out", is_unpacked=lambda *_: False, report_file=lambda m: None
            )


def test_without_huggingface_hub_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r'pip install "seaice-toolbox\[segmentation\]"'):
        download_scenes(output_dir=tmp_path)


def test_failures_of_the_hub_are_tried_again_and_then_told_in_one_line(monkeypatch, tmp_path):
    calls = []

    class Package:
        @staticmethod
        def hf_hub_download(*words, **more):
            calls.append(more)
            raise ConnectionError("no\nroute")

    monkeypatch.setattr(scene_hub, "_import_huggingface_hub", lambda: Package)
    hub = scene_hub.HuggingFaceHub(retry_policy=RetryPolicy(retries=2, delay=0))
    with pytest.raises(OSError, match=r"test.tar.gz could not be fetched .*\(no route\)"):
        hub.fetch("test.tar.gz", tmp_path)
    assert len(calls) == 3


FETCH = """
import sys
from pathlib import Path
from seaice.segmentation.data.download import download_scenes
print(download_scenes(output_dir=Path(sys.argv[1]), split="all").lines)
"""


@pytest.mark.slow
def test_true_package_against_a_local_server(tmp_path, bodies):
    pytest.importorskip("huggingface_hub", reason="the extra segmentation")
    where = f"datasets/{REPOSITORY}/resolve/main/"
    infos = []
    with serve() as server:
        for name, body in bodies.items():
            digest = hashlib.sha256(body).hexdigest()
            server.put(where + name, body, etag=f'"{digest}"')
            # Without the commit the client takes an answer for one of another site.
            server.always.append(_commit)
            lfs = {"oid": digest, "size": len(body), "pointerSize": 1}
            infos.append(
                {"type": "file", "path": name, "size": len(body), "oid": "1", "lfs": lfs}
                if name != "metadata.csv"
                else {"type": "file", "path": name, "size": len(body), "oid": "1"}
            )
        answer = json.dumps(infos).encode()
        server.RequestHandlerClass.do_POST = lambda handler: _answer(handler, answer)
        server.fault(where + "train.tar.gzaa", None, cut(100_000), status(503))
        code = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FETCH, tmp_path / "out"],
            env={
                **os.environ,
                "HF_ENDPOINT": server.url.rstrip("/"),
                "HF_HOME": str(tmp_path / "home"),
                "HF_HUB_DISABLE_XET": "1",
                "HF_HUB_DISABLE_TELEMETRY": "1",
                "PYTHONPATH": str(Path(__file__).parent.parent),
            },
            capture_output=True,
            text=True,
        )
        del server.RequestHandlerClass.do_POST
    assert code.returncode == 0, code.stderr[-2000:]
    assert files_below(tmp_path / "out") == FILES["test"] | FILES["train"]


def _commit(reply):
    reply.extra["X-Repo-Commit"] = "0" * 40
    return False


def _answer(handler, body):
    handler.rfile.read(int(handler.headers["Content-Length"]))
    handler.asked = type("Asked", (), {})()
    handler.simple(200, body, {"Content-Type": "application/json"})
