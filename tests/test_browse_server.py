"""A hostile client of the page's server, and hostile texts in the files it shows."""

import json
import random
import socket
import threading
import time
import tracemalloc
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress

import netCDF4
import numpy as np
import pytest
from cubes import small_grid, write_cube

from seaice.browse.answers import Answers, FileAnswers
from seaice.browse.recognise import open_map_file
from seaice.browse.server import PageServer
from seaice.flags import Surface

SECRET = b"nothing of this may leave"
STATUSES = {200, 400, 404, 405, 408, 414, 421, 431, 500, 505}
NASTY = "a \"quoted\" <script>alert(1)</script> \u202e\u0000 & 'name'"


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browse")
    (folder / "secret.txt").write_bytes(SECRET)
    concentration = np.random.default_rng(1).random((3, 20, 30)).round(4)
    surface = np.full((20, 30), Surface.OCEAN, np.uint8)
    days = ["2024-01-01", "2024-01-02", "2024-01-03"]
    path = folder / "cube.nc"
    return write_cube(
        path, dates=days, concentration=concentration, surface=surface, grid=small_grid(20, 30)
    )


@contextmanager
def serve(path, folder, **settings):
    answers = Answers([FileAnswers(open_map_file(path), folder)])
    with PageServer(answers) as server:
        for name, value in settings.items():
            setattr(server, name, value)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    answers.close()


def send(server, content: bytes, *, is_ended: bool = True, timeout: float = 10.0) -> bytes:
    """Send bytes and read what comes until the server ends the connection."""
    with socket.create_connection(server.server_address, timeout=timeout) as connection:
        reply = b""
        try:
            connection.sendall(content)
            if is_ended:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(1 << 16):
                reply += part
        except OSError:  # refused before the end
            pass
        return reply


def fetch(server, path: str, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(server.url + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def list_traversals(folder) -> list[str]:
    up = [
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..%252f",
        "..\\",
        "%c0%ae%c0%ae/",
        "..;/",
        "....//",
        "%00../",
    ]
    tops = ["/", "/page/", "/data/", "/data/tile/", "/page/plotly.min.js/", "//", "/page/%2e/"]
    targets = ["etc/passwd", "secret.txt", "browse/answers.py", "proc/self/environ"]
    paths = [top + step * 8 + target for top in tops for step in up for target in targets]
    whole = str(folder / "secret.txt")
    return [*paths, whole, f"/page/{whole}", f"/data/{whole}", f"file://{whole}", f"/page//{whole}"]


def make_request(chance: random.Random) -> bytes:
    """A request with something wrong in it."""
    numbers = ["0", "1", "-1", "9" * 30, "9" * 70, "1e9", "0x1", "٣", "1.5", "", "%30", "NaN", "00000"]
    kinds = ["tile", "cell", "box", "region", "summary", "positions", "coast", "meta", "__class__"]
    path = "/".join(["/data", chance.choice(kinds), *chance.choices(numbers, k=chance.randint(0, 8))])
    method = chance.choice(
        ["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "get", "\0", "G" * 70_000]
    )
    version = chance.choice(["HTTP/1.1", "HTTP/1.0", "HTTP/9.9", "HTTP/1", "FTP/1.1", "", "HTTP/1.1 x"])
    headers = chance.choice(
        [
            "Host: 127.0.0.1",
            "Host: evil.example",
            "Host: 127.0.0.1\r\nHost: evil",
            "Host: localhost:1@evil",
            "Host: 127.0.0.1\r\nX: " + "y" * 70_000,
            "Host: 127.0.0.1" + "\r\nA: b" * 300,
            "Host: 127.0.0.1\r\nRange: bytes=0-99999999999999",
            "Host: 127.0.0.1\r\nContent-Length: 99999999999",
            "Host: 127.0.0.1\r\nTransfer-Encoding: chunked",
            "Host: 127.0.0.1\r\nAccept-Encoding: gzip, br, \xff",
            " broken",
            "Host : 127.0.0.1",
        ]
    )
    content = f"{method} {path} {version}\r\n{headers}\r\n\r\n".encode("utf-8", "replace")
    if chance.random() < 0.2:
        content = chance.randbytes(chance.randint(0, 300))
    elif chance.random() < 0.2:
        content = content[: chance.randint(0, len(content))]
    return content


def test_no_file_leaves(cube, tmp_path):
    with serve(cube, tmp_path) as server:
        for path in list_traversals(cube.parent):
            reply = send(server, f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
            assert SECRET not in reply and b"root:" not in reply and b"import" not in reply
            assert reply.split()[1] == b"404", path


def test_a_thousand_bad_requests_leave_the_server_as_it_was(cube, tmp_path, caplog):
    chance = random.Random(5)
    with serve(cube, tmp_path) as server:
        assert fetch(server, "data/summary/0")[0] == 200
        threads = threading.active_count()
        tracemalloc.start()
        for _ in range(1000):
            reply = send(server, make_request(chance))
            if reply.startswith(b"HTTP/"):
                assert int(reply.split()[1]) in STATUSES, reply[:200]
        assert tracemalloc.get_traced_memory()[0] < 5_000_000
        tracemalloc.stop()
        assert fetch(server, "data/tile/0/0/2/0/0/0")[0] == 200
        time.sleep(0.1)
        assert threading.active_count() <= threads + 2
    assert "cannot be answered" not in caplog.text


@pytest.mark.parametrize("number", [10**6, 2**31, 2**63, 10**30])
def test_huge_numbers_have_no_answer(cube, tmp_path, number, caplog):
    with serve(cube, tmp_path) as server:
        parts = {"tile": 6, "cell": 4, "box": 6, "region": 2, "summary": 1, "positions": 1, "coast": 1}
        for kind, count in parts.items():
            for place in range(count):
                numbers = [0] * count
                numbers[place] = number
                key = "/".join(map(str, [kind, *numbers]))
                assert fetch(server, f"data/{key}")[0] == 404, key
    assert "cannot be answered" not in caplog.text


def test_a_page_of_another_site_is_refused_by_its_name(cube, tmp_path):
    with serve(cube, tmp_path) as server:
        assert fetch(server, "data/meta", Host="evil.example")[0] == 421
        assert fetch(server, "data/meta", Host=f"evil.example:{server.server_address[1]}")[0] == 421
        assert fetch(server, "data/meta", Host=f"localhost:{server.server_address[1]}")[0] == 200


def test_clients_that_never_finish_give_way(cube, tmp_path):
    with serve(cube, tmp_path, patience=0.5) as server:
        idle = [socket.create_connection(server.server_address, timeout=10) for _ in range(70)]
        for number, connection in enumerate(idle):
            with suppress(ConnectionError):
                connection.sendall(b"GET / HTTP/1.1\r\nX: "[: number % 20])
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                assert fetch(server, "data/meta")[0] == 200
                break
            except (ConnectionError, urllib.error.URLError):
                time.sleep(0.1)
        else:
            pytest.fail("the server does not answer any more")
        assert not server.waiting or max(server.waiting.values()) > time.monotonic() - 5
        for connection in idle:
            connection.close()


def test_a_body_is_no_second_request(cube, tmp_path):
    with serve(cube, tmp_path) as server:
        hidden = b"GET /data/meta HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        head = b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(hidden)
        reply = send(server, head + hidden)
        assert reply.count(b"HTTP/1.1 ") == 1 and b"files" not in reply


def test_hostile_texts_arrive_short_and_plain(cube, tmp_path):
    path = tmp_path / "na'me <b> & \u202e x.nc"
    path.write_bytes(cube.read_bytes())
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.title = NASTY.replace("\0", "") + "x" * 1_000_000
        dataset.source = np.float64("nan")
        dataset.references = np.array([np.nan, np.inf])
    with serve(path, tmp_path) as server:
        status, content = fetch(server, "data/meta")
        assert status == 200 and len(content) < 100_000
        meta = json.loads(content)["files"][0]
        assert len(meta["title"]) < 600 and "\u202e" not in meta["title"]
        assert meta["title"].startswith('a "quoted" <script>alert(1)</script>')
        assert "\u202e" not in meta["file"]
        _, page = fetch(server, "")
        assert b"quoted" not in page


def test_a_map_of_land_alone_is_served(tmp_path):
    surface = np.full((20, 30), Surface.LAND, np.uint8)
    empty = np.full((1, 20, 30), np.nan)
    path = write_cube(
        tmp_path / "land.nc", dates=["2024-01-01"], concentration=empty, surface=surface,
        grid=small_grid(20, 30),
    )  # fmt: skip
    with serve(path, tmp_path) as server:
        server.answers.files[0].describe()
        server.answers.files[0].wait()
        _, content = fetch(server, "data/summary/0")
        assert json.loads(content)["trouble"] == ""
        assert json.loads(content)["observed"] == [None]


def test_a_file_that_changes_is_named(cube, tmp_path):
    path = tmp_path / "cube.nc"
    path.write_bytes(cube.read_bytes())
    with serve(path, tmp_path) as server:
        assert fetch(server, "data/tile/0/0/0/0/0/0")[0] == 200
        later = tmp_path / "later.nc"
        later.write_bytes(cube.read_bytes())
        later.replace(path)
        status, content = fetch(server, "data/tile/0/0/0/0/0/0")
        assert status == 500 and "cube.nc has changed since" in json.loads(content)["error"]
        path.unlink()
        assert fetch(server, "data/summary/0")[0] == 500


def test_the_system_keeps_no_answer_back(cube):
    """Headers and body are sent apart: with Nagle's algorithm the body has to wait."""
    with serve(cube, cube.parent) as server, socket.create_connection(server.server_address) as client:
        client.sendall(
            b"GET /data/meta HTTP/1.1\r\nHost: localhost\r\n"
        )  # the server waits for the rest
        deadline = time.monotonic() + 10
        while not server.waiting and time.monotonic() < deadline:
            time.sleep(0.01)
        (connection,) = server.waiting
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
