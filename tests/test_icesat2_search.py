"""ICESat-2 granules at NASA, with a stand-in for the earthaccess package."""

import importlib.util
import inspect
import io
import pickle
import shutil
import sys
import threading
import types
from datetime import UTC, datetime
from pathlib import Path

import pytest

from seaice import InputError
from seaice.download.retry import RetryPolicy
from seaice.simulate import list_simulated_passes, write_atl10
from seaice.sources.icesat2 import search
from seaice.sources.icesat2.fetch import fetch_granules
from seaice.sources.icesat2.granule import read_granule
from seaice.sources.icesat2.search import (
    CloudGranule,
    find_granules,
    open_in_place,
)

START, END = datetime(2022, 1, 7, tzinfo=UTC), datetime(2022, 1, 8, tzinfo=UTC)
HOST = "https://data.nsidc.earthdatacloud.nasa.gov"
QUICK = RetryPolicy(retries=2, delay=0.001)
PAGE = "<!DOCTYPE html><html><head><title>Earthdata Login</title></head></html>".ljust(4096)


class LoginStrategyUnavailable(Exception):
    pass


class LoginAttemptFailure(Exception):
    pass


class DownloadFailure(Exception):
    pass


class EulaNotAccepted(DownloadFailure):
    pass


class FakeGranule(dict):
    """As earthaccess.DataGranule: metadata, and links by way of access."""

    def __init__(self, path: Path, *, size=True, cloud=True, provider="NSIDC_CPRD", name=None):
        name = name or path.name
        information = {"Name": name, "Size": 11.8, "SizeUnit": "MB"}
        if size:
            information["SizeInBytes"] = path.stat().st_size
        super().__init__(
            meta={"provider-id": provider, "native-id": name},
            umm={"DataGranule": {"ArchiveAndDistributionInformation": [information]}},
        )
        self._links = {
            "external": [f"{HOST}/{name}.iso.xml", f"{HOST}/{name}"],
            "direct": [f"s3://nsidc/{name}"] if cloud else [],
        }

    def data_links(self, access=None, in_region=False):
        return self._links[access]


class FakeEarthaccess(types.ModuleType):
    """What is used of earthaccess, with its signatures."""

    def __init__(self, archive: Path):
        super().__init__("earthaccess")
        self.archive, self.listed, self.queries = archive, [], []
        self.account = {"environment": "accepted"}
        self.answers = {}
        self.asked = []
        self.credential_calls = 0
        self._lock = threading.Lock()

    def login(self, strategy="all", persist=False, system=None):
        kind = self.account.get(strategy)
        if kind is None:
            raise LoginStrategyUnavailable(f"no {strategy}")
        if kind == "refused":
            raise LoginAttemptFailure("Authentication failed: secret text")
        return types.SimpleNamespace(authenticated=True)

    def search_data(self, count=-1, **kwargs):
        self.queries.append(kwargs)
        return self.listed

    def download(
        self,
        granules,
        local_path=None,
        provider=None,
        threads=8,
        *,
        show_progress=None,
        credentials_endpoint=None,
        pqdm_kwargs=None,
        force=False,
    ):
        name = granules.rpartition("/")[2]
        with self._lock:
            self.asked.append(name)
            answers = self.answers.get(name, [])
            answer = answers.pop(0) if answers else "whole"
        if isinstance(answer, Exception):
            raise answer
        if answer == "nothing":
            return []
        path = Path(local_path) / name
        path.parent.mkdir(parents=True)
        if answer == "page":
            path.write_text(PAGE)
        elif answer == "text":
            path.write_text("quota exceeded")
        else:
            content = (self.archive / name).read_bytes()
            path.write_bytes(content if answer == "whole" else content[: len(content) // 2])
        return [path]

    def get_s3_credentials(self, daac=None, provider=None, results=None):
        self.credential_calls += 1
        return {"accessKeyId": "a", "secretAccessKey": "b", "sessionToken": "c"} if self.account else {}

    def get_s3_filesystem(self, daac=None, provider=None, results=None, endpoint=None):
        def opened(url, mode):
            return io.BytesIO((self.archive / url.rpartition("/")[2]).read_bytes())

        return types.SimpleNamespace(open=opened)


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    for each in list_simulated_passes(START, END)[:3]:
        write_atl10(folder, each, segments=30)
    return folder


@pytest.fixture
def earthaccess(archive, monkeypatch):
    fake = FakeEarthaccess(archive)
    fake.listed = [FakeGranule(path) for path in sorted(archive.iterdir())]
    exceptions = types.ModuleType("earthaccess.exceptions")
    for error in (LoginStrategyUnavailable, LoginAttemptFailure, DownloadFailure, EulaNotAccepted):
        setattr(exceptions, error.__name__, error)
    monkeypatch.setitem(sys.modules, "earthaccess", fake)
    monkeypatch.setitem(sys.modules, "earthaccess.exceptions", exceptions)
    search._credentials.clear()
    return fake


def found_all(**kwargs):
    return find_granules(start=START, end=END, **kwargs)


@pytest.mark.skipif(
    importlib.util.find_spec("earthaccess") is None,
    reason="earthaccess is not installed (the extra icesat2)",
)
def test_the_stand_in_has_the_signatures_of_the_package():
    import earthaccess
    from earthaccess import exceptions
    from earthaccess.results import DataGranule

    def names(function):
        return [(p.name, p.kind) for p in inspect.signature(function).parameters.values()]

    for name in ("login", "search_data", "download", "get_s3_credentials", "get_s3_filesystem"):
        own = names(getattr(FakeEarthaccess, name))[1:]
        assert own == names(getattr(earthaccess, name)), name
    assert names(FakeGranule.data_links) == names(DataGranule.data_links)
    for error in (LoginStrategyUnavailable, LoginAttemptFailure, EulaNotAccepted):
        assert issubclass(getattr(exceptions, error.__name__), Exception)


def test_search(earthaccess, archive):
    found = found_all(bbox=(170, -78, -160, -74), version="005")
    assert earthaccess.queries == [
        {
            "short_name": "ATL10",
            "version": "005",
            "temporal": (START, END),
            "bounding_box": (170, -78, -160, -74),
        }
    ]
    assert [each.file_name for each in found] == sorted(path.name for path in archive.iterdir())
    first = found[0]
    assert first.url == f"{HOST}/{first.file_name}"
    assert first.cloud_url == f"s3://nsidc/{first.file_name}"
    assert first.size == (archive / first.file_name).stat().st_size
    assert first.provider == "NSIDC_CPRD"


def test_search_takes_a_granule_once_and_its_newest_version(earthaccess, archive):
    path = sorted(archive.iterdir())[0]
    newer = path.name.replace("_006_01", "_006_02")
    earthaccess.listed = [
        FakeGranule(path, size=False),
        FakeGranule(path, cloud=False, provider="NSIDC_ECS"),
        FakeGranule(path, name=newer),
        FakeGranule(path, name="ATL10_browse.h5"),
    ]
    (found,) = found_all()
    assert found.file_name == newer
    earthaccess.listed = earthaccess.listed[:2]
    for _ in range(2):
        (found,) = found_all()
        assert (found.cloud_url is not None, found.size) == (True, None)
        earthaccess.listed.reverse()


def test_search_that_fails(earthaccess, monkeypatch):
    import requests

    def refuse(count=-1, **kwargs):
        raise requests.ConnectionError("name or service not known")

    monkeypatch.setattr(earthaccess, "search_data", refuse)
    with pytest.raises(InputError, match=r"no answer from the catalogue of NASA \(CMR\)"):
        found_all()
    with pytest.raises(InputError, match="expected a time with its zone"):
        find_granules(start=datetime(2022, 1, 1), end=END)
    monkeypatch.setitem(sys.modules, "earthaccess", None)
    with pytest.raises(InputError, match=r'pip install "seaice-toolbox\[icesat2\]"'):
        found_all()


def test_fetch_and_fetch_again(earthaccess, archive, tmp_path):
    found = found_all()
    folder = tmp_path / "granules"
    done = fetch_granules(found, folder, threads=2, retry_policy=QUICK)
    assert (len(done.paths), done.kept, done.failed) == (3, 0, ())
    for path in done.paths:
        assert path.read_bytes() == (archive / path.name).read_bytes()
    assert sorted(folder.iterdir()) == list(done.paths)
    # One cut short, one a page, one whole: two are fetched again.
    done.paths[0].write_bytes(done.paths[0].read_bytes()[:1000])
    done.paths[1].write_text(PAGE)
    earthaccess.asked.clear()
    again = fetch_granules(found, folder, retry_policy=QUICK)
    assert (len(again.paths), again.kept, again.failed) == (3, 1, ())
    assert sorted(earthaccess.asked) == [path.name for path in done.paths[:2]]
    earthaccess.account = {}
    assert fetch_granules(found, folder).kept == 3


def test_a_file_of_unknown_size_is_whole_if_it_ends_where_it_should(earthaccess, archive, tmp_path):
    earthaccess.listed = [FakeGranule(path, size=False) for path in sorted(archive.iterdir())]
    found = found_all()
    name = found[0].file_name
    shutil.copy(archive / name, tmp_path)
    (tmp_path / found[1].file_name).write_bytes((archive / found[1].file_name).read_bytes()[:-1])
    done = fetch_granules(found, tmp_path, retry_policy=QUICK)
    assert done.kept == 1
    assert name not in earthaccess.asked
    assert done.failed == ()


@pytest.mark.parametrize(
    ("answers", "attempts", "reason"),
    [
        (["page", "whole"], 2, None),
        (["cut", DownloadFailure("503"), "whole"], 3, None),
        (["page"] * 3, 3, "a web page came in place of the granule"),
        (["text"] * 3, 3, "14 bytes came that are not an HDF5 file"),
        (["cut"] * 3, 3, "bytes came where the catalogue says"),
        (["nothing"] * 3, 3, "nothing came"),
        ([DownloadFailure("Status code: 500")] * 3, 3, "Status code: 500"),
        ([EulaNotAccepted("eula")], 1, "its licence is not accepted"),
    ],
)
def test_what_fails_is_tried_again_then_listed(earthaccess, tmp_path, answers, attempts, reason):
    found = found_all()
    name = found[1].file_name
    earthaccess.answers[name] = list(answers)
    done = fetch_granules(found, tmp_path, threads=3, retry_policy=QUICK)
    assert earthaccess.asked.count(name) == attempts
    if reason is None:
        assert done.failed == ()
        assert len(done.paths) == 3
    else:
        (line,) = done.failed
        assert line.startswith(f"{name}: ")
        assert reason in line
        assert [path.name for path in done.paths] == [found[0].file_name, found[2].file_name]
        assert not (tmp_path / name).exists()
    # Nothing half done is left.
    assert len(list(tmp_path.iterdir())) == len(done.paths)


def test_what_stood_there_stays_until_a_better_one_has_come(earthaccess, tmp_path):
    found = found_all()[:1]
    old = tmp_path / found[0].file_name
    old.write_text("something older")
    earthaccess.answers[old.name] = ["page"] * 3
    assert fetch_granules(found, tmp_path, retry_policy=QUICK).failed
    assert old.read_text() == "something older"


def test_a_lock_that_is_none_fails_one_granule_alone(earthaccess, archive, tmp_path):
    granules = found_all()
    (tmp_path / f".{granules[0].file_name}.lock").symlink_to(tmp_path / "thesis")
    result = fetch_granules(granules, tmp_path, retry_policy=QUICK)
    assert len(result.paths) == len(granules) - 1
    assert len(result.failed) == 1 and "found a link or another file" in result.failed[0]
    assert not (tmp_path / "thesis").exists()


def test_a_stopped_run_lists_the_rest(earthaccess, tmp_path):
    stop = threading.Event()
    stop.set()
    done = fetch_granules(found_all(), tmp_path, retry_policy=QUICK, stop=stop)
    assert done.paths == ()
    assert [line.partition(": ")[2] for line in done.failed] == ["stopped before it was fetched"] * 3
    assert earthaccess.asked == []


@pytest.mark.slow
def test_accounts(earthaccess, tmp_path):
    found = found_all()
    earthaccess.account = {"netrc": "accepted"}
    assert len(fetch_granules(found, tmp_path, retry_policy=QUICK).paths) == 3
    earthaccess.account = {}
    with pytest.raises(
        InputError, match="expected an Earthdata account, found none: set EARTHDATA_TOKEN"
    ):
        fetch_granules(found, tmp_path / "other", retry_policy=QUICK)
    earthaccess.account = {"environment": "refused"}
    with pytest.raises(InputError, match="refuses the account in the environment") as caught:
        fetch_granules(found, tmp_path / "other", retry_policy=QUICK)
    assert "secret" not in str(caught.value)


def test_in_place(earthaccess, archive):
    granules = open_in_place(found_all())
    assert [each.url for each in granules] == [
        f"s3://nsidc/{path.name}" for path in sorted(archive.iterdir())
    ]
    # It may be sent to a worker, and credentials are asked for once in their time.
    sent = pickle.loads(pickle.dumps(granules[0]))
    assert sent == granules[0]
    read = read_granule(sent)
    local = read_granule(archive / sent.name)
    assert [track.beam for track in read.tracks] == [track.beam for track in local.tracks]
    assert read.name == local.name
    assert (read.tracks[0].time == local.tracks[0].time).all()
    assert earthaccess.credential_calls == 1


def test_in_place_that_is_not_possible(earthaccess, archive, monkeypatch):
    earthaccess.listed[0]._links["direct"] = []
    with pytest.raises(InputError, match="expected granules on S3, 1 are not there"):
        open_in_place(found_all())
    monkeypatch.setattr(earthaccess, "get_s3_credentials", lambda **_: {})
    with pytest.raises(InputError, match="expected credentials of S3 for NSIDC_CPRD, found none"):
        open_in_place(found_all()[1:])
    earthaccess.account = {}
    with pytest.raises(InputError, match="expected an Earthdata account"):
        CloudGranule("a.h5", "s3://nsidc/a.h5", "NSIDC_CPRD").get_credentials()


def test_in_place_damage_names_the_address(earthaccess, archive, monkeypatch):
    granule = open_in_place(found_all())[0]
    nowhere = types.SimpleNamespace(open=lambda url, mode: io.BytesIO(PAGE.encode()))
    monkeypatch.setattr(earthaccess, "get_s3_filesystem", lambda **_: nowhere)
    with pytest.raises(InputError, match=f"cannot be read .*{granule.url}"):
        read_granule(granule)
