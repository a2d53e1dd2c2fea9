"""The stand-in of G-Portal answers as clients of the real one expect, and its faults look real."""

import contextlib
import itertools
import logging
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import gportal
import paramiko
import pytest
import requests
from gportal_faults import KINDS, SEEN
from gportal_server import PAGE, Faults, GPortalServer, Product, products_in

from seaice.sources.amsr2.sftp import _request_rest

FIRST = datetime(2020, 1, 31, 22, 3, 7, 125000, tzinfo=UTC)
WAIT = 0.8  # seconds until a client gives up a server that is silent on purpose
PATIENCE = 20  # and one that answers, however busy the machine


def granule(number, size=100_000, **more):
    start = FIRST + timedelta(minutes=50 * number)
    name = f"GW1AM2_{start:%Y%m%d%H%M}_{number:03d}{'AD'[number % 2]}_L1SGBTBR_2220220"
    return Product(name, start, start + timedelta(minutes=49), number % 2 == 0, size, **more)


GRANULES = [granule(number) for number in range(1, 8)]
ONE = GRANULES[0]
BODY = bytes(range(251)) * 399  # 100 149 bytes


@pytest.fixture(autouse=True)
def quiet():
    """Paramiko reports cut connections of the client as errors."""
    logger = logging.getLogger("paramiko")
    before, logger.level = logger.level, logging.CRITICAL
    yield
    logger.level = before


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "server"
    made.mkdir()
    for number, product in enumerate(GRANULES):
        body = BODY[number : number + product.size]
        (made / f"{product.granule_id}.h5").write_bytes(body)
    return made


@pytest.fixture
def serve(folder):
    """Start a server; at the end nothing of it is left."""
    before = set(threading.enumerate())
    with contextlib.ExitStack() as stack:

        def start(faults=None, products=GRANULES):
            portal = stack.enter_context(GPortalServer(folder, products, faults=faults))
            stack.enter_context(portal.aimed())
            return portal

        yield start
        began = time.monotonic()
    assert time.monotonic() - began < 1.5, "the server closes fast"
    left = set(threading.enumerate()) - before
    # Paramiko's clients never wait for these.
    assert not [thread for thread in left if "_prefetch_thread" not in thread.name]


@contextlib.contextmanager
def session(portal, password="secret", wait=PATIENCE):
    connection = socket.create_connection((portal.sftp_host, portal.sftp_port), PATIENCE)
    transport = paramiko.Transport(connection)
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = wait
    try:
        transport.connect(username="user", password=password)
        sftp = transport.open_sftp_client()
        sftp.get_channel().settimeout(PATIENCE)
        yield sftp
    finally:
        transport.close()
        transport.join()


def fetch(portal, product=ONE, offset=0, wait=PATIENCE):
    with session(portal) as sftp:
        size = sftp.stat(product.path).st_size
        remote = sftp.open(product.path)
        remote.seek(offset)
        sftp.get_channel().settimeout(wait)
        _request_rest(remote, size)  # its thread outlives a file cut short, silently
        return remote.read()


def body_of(product):
    number = GRANULES.index(product)
    return BODY[number : number + product.size]


def test_a_search_goes_on_over_pages(serve):
    portal = serve()
    found = gportal.search(dataset_ids=["11001001"], count=3)
    assert found.matched() == 7
    assert [product.id for product in found.products()] == [p.granule_id for p in GRANULES]
    asked = [(query.get("startIndex"), query["count"]) for query in portal.searches()]
    assert asked == [(None, "0"), ("1", "3"), ("4", "3"), ("7", "3")]


def test_a_product_has_the_properties_of_a_real_one(serve):
    serve()
    [page] = gportal.search(count=100).pages()
    raw = page["features"][0]["properties"]
    assert raw["beginPosition"] == "2020-01-31T22:53:07.125Z"
    assert raw["product"] == {
        "fileName": "https://gportal.jaxa.jp/download/standard/GCOM-W/GCOM-W.AMSR2/L1B/2/2020/01/"
        "GW1AM2_202001312253_001D_L1SGBTBR_2220220.h5",
        "size": "100000",
        "version": "2",
    }
    flat = [value for value in raw.values() if not isinstance(value, dict | list)]
    assert all(isinstance(value, str) for value in [*flat, *raw["gpp"].values()])
    product = next(gportal.search(count=1).products())
    assert (product["orbitDirection"], product["algorithmVersion"]) == ("Descending", 220)
    assert product["product"]["size"] == 100_000
    assert product.data_path == ONE.path
    assert product.get_as_datetime("endPosition") == ONE.end


def test_a_search_selects_what_overlaps(serve):
    boxed = granule(9, extent=(-40.0, 60.0, -10.0, 80.0))
    serve(products=[*GRANULES, boxed])

    def ids(**query):
        return [product.id for product in gportal.search(**query).products()]

    second, third = GRANULES[1], GRANULES[2]
    assert ids(start_time=second.end, end_time=third.start) == [second.granule_id, third.granule_id]
    inside = second.start + timedelta(minutes=5)
    assert ids(start_time=inside, end_time=inside.isoformat()) == [second.granule_id]
    assert len(ids(bbox=(-20, 70, 0, 90))) == 8
    assert len(ids(bbox=(0, 70, 20, 90))) == 7, "a product without an extent is everywhere"
    assert ids(dataset_ids=["11001002"]) == []


@pytest.mark.slow
def test_the_real_package_fetches_byte_for_byte(serve, tmp_path):
    portal = serve()
    product = next(gportal.search(count=1).products())
    with gportal.SFTP.connect("user", "secret") as sftp:
        path = sftp.download(product, str(tmp_path))
        assert sftp.listdir("/") == ["nrt", "order", "process", "standard"]
        months = sftp.listdir("/standard/GCOM-W/GCOM-W.AMSR2/L1B/2/2020")
        transport = sftp.client.get_channel().get_transport()
        transport.close()
        transport.join()
    assert Path(path).read_bytes() == body_of(ONE)
    assert months == ["01", "02"]
    name = ONE.granule_id
    *before, (what, read, size, offset) = portal.requests[1:]
    assert before == [("connect",), ("login", True), ("stat", name), ("open", name, None)]
    # paramiko asks for a block once more where its reader is faster than its prefetching thread.
    assert (what, read, offset) == ("read", name, 0) and size >= 100_000
    assert (portal.transports_opened, portal.most_at_once) == (1, 1)


@pytest.mark.slow
def test_nothing_can_be_written(serve, folder):
    with session(serve()) as sftp:
        for mode in ("w", "a", "r+"):
            with pytest.raises(PermissionError):
                sftp.open(ONE.path, mode)
        with pytest.raises(OSError, match="unsupported"):
            sftp.remove(ONE.path)
        with pytest.raises(FileNotFoundError):
            sftp.stat("standard/../../../etc/passwd")
    assert (folder / f"{ONE.granule_id}.h5").read_bytes() == body_of(ONE)


@pytest.mark.slow
@pytest.mark.parametrize("offset", [0, 1, 32_768, 99_999, 100_000])
def test_reading_goes_on_from_an_offset(serve, offset):
    portal = serve()
    assert fetch(portal, offset=offset) == body_of(ONE)[offset:]


@pytest.mark.slow
def test_a_cut_connection_after_half_of_the_file(serve):
    portal = serve(Faults({ONE.granule_id: ["drop"]}))
    with pytest.raises(paramiko.SSHException, match="dropped"), session(portal) as sftp:
        with sftp.open(ONE.path) as remote:
            got = remote.read(32_768)
            remote.read()
    assert got == body_of(ONE)[:32_768]
    assert fetch(portal, offset=len(got)) == body_of(ONE)[len(got) :], "the fault is used up"
    assert portal.opened(ONE.granule_id) == 2


@pytest.mark.slow
def test_a_stall_lasts_until_the_client_gives_up(serve):
    portal = serve(Faults({ONE.granule_id: ["stall!"]}))
    for _ in range(2):
        with pytest.raises(TimeoutError):
            fetch(portal, wait=WAIT)
    deadline = time.monotonic() + PATIENCE
    while any(thread.is_alive() for thread in portal.sessions) and time.monotonic() < deadline:
        time.sleep(0.01)
    # How much is sent before the stall depends on what the client has asked for by then.
    sent = [entry[2] for entry in portal.requests if entry[:2] == ("read", ONE.granule_id)]
    assert len(sent) == 2 and all(32_768 <= count < ONE.size for count in sent)
    assert portal.connections_open() == 0


@pytest.mark.slow
def test_a_server_closes_while_clients_wait(serve):
    portal = serve(Faults({ONE.granule_id: ["stall"]}, banner_stall=1, catalogue=["hang"]))
    web = socket.create_connection(("127.0.0.1", urlsplit(portal.http_url).port))
    web.sendall(b"GET /csw/csw HTTP/1.0\r\n\r\n")
    with web, socket.create_connection((portal.sftp_host, portal.sftp_port)) as silent:
        while len(portal.requests) < 2:
            time.sleep(0.005)
        closing = threading.Timer(0.1, portal.close)
        with pytest.raises(paramiko.SSHException, match="dropped"), session(portal) as sftp:
            with sftp.open(ONE.path) as remote:
                remote.read(32_768)
                closing.start()
                remote.read()
        closing.join()
        assert silent.recv(1) == b""
        assert web.recv(1) == b""


@pytest.mark.slow
def test_a_client_that_leaves_in_the_middle_of_a_handshake(serve):
    portal = serve()
    with socket.create_connection((portal.sftp_host, portal.sftp_port)) as client:
        client.sendall(b"SSH-2.0-x\r\n")
        while client.recv(4096).find(b"curve25519") < 0:
            pass
    with session(portal):
        assert portal.connections_open() == 1


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "error"), [("absent", FileNotFoundError), ("denied", PermissionError)])
def test_a_file_that_cannot_be_opened(serve, kind, error):
    portal = serve(Faults({ONE.granule_id: [kind]}))
    with session(portal) as sftp:
        with pytest.raises(error):
            sftp.getfo(ONE.path, None)
        assert sftp.open(ONE.path).read() == body_of(ONE), "once"


@pytest.mark.slow
def test_wrong_content(serve):
    plan = {product.granule_id: [kind] for product, kind in zip(GRANULES, KINDS[3:6], strict=False)}
    portal = serve(Faults(plan))
    short, flipped, html = (fetch(portal, product) for product in GRANULES[:3])
    assert short == body_of(GRANULES[0])[:50_000]
    assert html == PAGE
    right = body_of(GRANULES[1])
    assert len(flipped) == len(right)
    assert [bin(a ^ b).count("1") for a, b in zip(flipped, right, strict=True) if a != b] == [1]


@pytest.mark.slow
def test_a_slow_file_takes_its_time(serve):
    portal = serve(Faults({ONE.granule_id: ["slow"]}, slow_rate=250_000))
    began = time.monotonic()
    assert fetch(portal) == body_of(ONE)
    assert time.monotonic() - began > 0.35


@pytest.mark.slow
def test_logins(serve):
    portal = serve(Faults(refuse_logins=1, login_stall=1))
    for words, wait in (("failed", PATIENCE), ("timeout", WAIT)):
        with (
            pytest.raises(paramiko.AuthenticationException, match=words),
            session(portal, wait=wait),
        ):
            pass
    with pytest.raises(paramiko.AuthenticationException, match="failed"), session(portal, "wrong"):
        pass
    with session(portal):
        pass
    assert [entry[1] for entry in portal.requests if entry[0] == "login"] == [False, False, False, True]


@pytest.mark.slow
def test_no_banner(serve):
    portal = serve(Faults(banner_stall=1))
    with pytest.raises(paramiko.SSHException, match="banner"), session(portal, wait=WAIT):
        pass
    with session(portal):
        pass


@pytest.mark.slow
def test_a_session_that_is_never_granted(serve):
    portal = serve(Faults(session_stall=1))
    with paramiko.Transport((portal.sftp_host, portal.sftp_port)) as transport:
        transport.connect(username="user", password="secret")
        # There is no time-out for this step.
        watch = threading.Timer(WAIT, transport.close)
        watch.start()
        # Which of them depends on what the threads of the library were at when it was closed.
        with pytest.raises((paramiko.SSHException, EOFError)):
            transport.open_sftp_client()
        watch.join()
        transport.join()


@pytest.mark.slow
def test_connections_beyond_the_limit_are_closed_at_once(serve):
    portal = serve(Faults(max_connections=2))
    with session(portal), session(portal):
        assert portal.connections_open() == 2
        with pytest.raises(paramiko.SSHException), session(portal):
            pass
    # A client that has gone makes room at once.
    for _ in range(5):
        with session(portal):
            pass
    assert portal.requests.count(("refused",)) == 1
    assert (portal.most_at_once, portal.transports_opened) == (2, 7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (503, requests.HTTPError),
        (500, requests.HTTPError),
        ("html", requests.JSONDecodeError),
        ("drop", requests.ConnectionError),
        ("hang", requests.ReadTimeout),
    ],
)
def test_trouble_of_the_catalogue(serve, answer, error):
    portal = serve(Faults(catalogue=["ok", answer]))
    found = gportal.search(count=5, timeout=WAIT if answer == "hang" else PATIENCE).products()
    assert [product.id for product in itertools.islice(found, 5)] == [p.granule_id for p in GRANULES[:5]]
    with pytest.raises(error):
        next(found)
    assert len(list(gportal.search(count=5).products())) == 7
    assert len(portal.searches()) == 4


def test_empty_pages_for_ever(serve):
    serve(Faults(catalogue=["empty_page"]))
    found = gportal.search()
    assert found.matched() == 7
    pages = list(itertools.islice(found.pages(), 20))
    assert all(page["features"] == [] for page in pages)


def test_random_faults_are_the_same_for_a_seed():
    names = [product.granule_id for product in GRANULES] * 10
    names = [f"{name}_{number}" for number, name in enumerate(names)]
    faults = Faults.random(names, share=0.2, seed=3)
    assert faults.planned == Faults.random(reversed(names), share=0.2, seed=3).planned
    assert faults.planned != Faults.random(names, share=0.2, seed=4).planned
    assert len(faults.planned) == 14
    assert {kinds[0] for kinds in faults.planned.values()} == set(SEEN)
    assert {len(kinds) for kinds in faults.planned.values()} == {1, 2}


def test_faults_that_do_not_exist():
    with pytest.raises(ValueError, match="no fault 'lost'"):
        Faults({"a": ["lost"]})
    with pytest.raises(ValueError, match="in place 1"):
        Faults({"a": ["drop!", "absent"]})
    with pytest.raises(ValueError, match="no answer 'silence'"):
        Faults(catalogue=["silence"])


def test_products_of_a_folder(folder):
    made = products_in(folder)
    assert [(p.granule_id, p.path, p.size, p.ascending) for p in made] == [
        (p.granule_id, p.path, p.size, p.ascending) for p in GRANULES
    ]
