"""One address -> one verified file, against a real local server with faults."""

import errno
import fcntl
import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import requests
from http_server import (
    change,
    closed_port,
    cut,
    drop,
    pace,
    page,
    raw,
    redirect,
    reset,
    serve,
    silent,
    stall,
    status,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seaice import InputError
from seaice.download.http import (
    Busy,
    Fetcher,
    claim_file,
)
from seaice.download.manifest import (
    Manifest,
    Record,
)
from seaice.download.mirrors import (
    MIRROR_POLICY,
    AbsentUpstream,
    Pauses,
    TransferError,
)
from seaice.download.partial_file import (
    Identity,
    PartialFile,
    strip_login,
)
from seaice.download.responses import Refused, read_retry_after, refuse_downgrade
from seaice.download.retry import GaveUp, RetryPolicy, Stopped, retry
from seaice.runtime.threads import work_off

ROOT = Path(__file__).resolve().parent.parent
BODY = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
NAME = "data/a.nc"


@pytest.fixture
def server():
    with serve() as running:
        running.put(NAME, BODY)
        yield running


@pytest.fixture
def fetcher():
    made = Fetcher(policy=RetryPolicy(retries=3, delay=0.01, timeout=0.5))
    yield made
    made.close()


def statuses(server, name=NAME):
    return [asked.status for asked in server.requests_of(name)]


def ranges(server, name=NAME):
    return [asked.headers.get("Range") for asked in server.requests_of(name)]


def assert_whole(path, body=BODY):
    assert path.read_bytes() == body
    assert list(path.parent.iterdir()) == [path], "nothing else is left"


def leave_part(server, path, count, **more):
    """What a killed run leaves."""
    stored = server.files["/" + NAME]
    identity = {
        "url": server.url + NAME,
        "size": len(BODY),
        "etag": stored.etag,
        "last_modified": stored.last_modified,
    }
    PartialFile(path).begin(Identity(**(identity | more)))
    PartialFile(path).path.write_bytes(BODY[:count])


def test_plain_fetch(server, fetcher, tmp_path):
    fetched = fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")
    stored = server.files["/" + NAME]
    assert fetched.sha256 == hashlib.sha256(BODY).hexdigest()
    assert fetched.identity == Identity(server.url + NAME, len(BODY), stored.etag, stored.last_modified)
    assert (fetched.received, fetched.continued) == (len(BODY), 0)
    (asked,) = server.requests_of(NAME)
    assert asked.headers["Accept-Encoding"] == "identity"
    assert asked.headers["User-Agent"].startswith("seaice-toolbox/")


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        status(500),
        status(502),
        status(503),
        status(504),
        status(429),
        status(408),
        drop(),
        silent(2.0),
        stall(1000, 2.0),
        cut(1000),
        cut(0),
        reset(70_000),
        change(chunked=True, stop_after=1000),
        pace(5, 0.2),
    ],
    ids=[
        *("500", "502", "503", "504", "429", "408", "dropped", "silent", "stalled", "short", "empty"),
        *("reset", "chunk-short", "trickle"),
    ],
)
def test_overcomes_what_passes(server, fetcher, tmp_path, fault):
    server.fault(NAME, fault)
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")
    assert len(server.requests_of(NAME)) == 2


def test_a_length_longer_than_the_file_starts_over(server, fetcher, tmp_path):
    server.fault(NAME, change(length=len(BODY) + 5))
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")
    assert statuses(server) == [200, 416, 200]


def test_gives_up_after_the_retries_and_leaves_the_old_file(server, fetcher, tmp_path):
    path = tmp_path / "a.nc"
    path.write_bytes(b"old")
    server.fault(NAME, *[status(500)] * 9)
    with pytest.raises(TransferError, match=r"^HTTP 500 Internal Server Error \(http.*a\.nc\)$") as info:
        fetcher.fetch([server.url + NAME], path)
    assert not info.value.unreachable
    assert statuses(server) == [500] * 4
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("code", [404, 410])
def test_absent_is_asked_once(server, fetcher, tmp_path, code):
    server.fault(NAME, status(code))
    with pytest.raises(AbsentUpstream, match=f"HTTP {code}") as info:
        fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert info.value.everywhere
    assert statuses(server) == [code]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [400, 401, 403])
def test_refusals_are_not_repeated(server, fetcher, tmp_path, code):
    server.fault(NAME, status(code))
    with pytest.raises(TransferError, match=f"HTTP {code}") as info:
        fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert not isinstance(info.value, AbsentUpstream)
    assert statuses(server) == [code]


def test_a_broken_body_is_continued_not_repeated(server, fetcher, tmp_path):
    server.fault(NAME, cut(100_000), reset(50_000))
    fetched = fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")
    assert ranges(server)[:2] == [None, "bytes=100000-"]
    assert fetched.received == len(BODY), "no byte came twice"
    etag = server.files["/" + NAME].etag
    assert server.requests_of(NAME)[1].headers["If-Range"] == etag


def test_progress_sets_the_count_of_failures_back(server, tmp_path):
    fetcher = Fetcher(policy=RetryPolicy(retries=1, delay=0.01, timeout=0.5))
    server.fault(NAME, *[cut(70_000)] * 4)
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")
    fetcher.close()


def test_no_endless_loop_where_nothing_can_be_continued(server, fetcher, tmp_path):
    # 100 kB arrive each time, but always the same ones.
    server.fault(NAME, *[change(ranges=False, stop_after=100_000)] * 20)
    with pytest.raises(TransferError, match="connection broke within the body"):
        fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert len(server.requests_of(NAME)) == 5


def test_continues_what_a_killed_run_left(server, fetcher, tmp_path):
    leave_part(server, tmp_path / "a.nc", 123_456)
    fetched = fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")
    assert ranges(server) == ["bytes=123456-"]
    assert (fetched.received, fetched.continued) == (len(BODY) - 123_456, 123_456)


def test_a_file_changed_upstream_is_not_glued(server, fetcher, tmp_path):
    leave_part(server, tmp_path / "a.nc", 123_456)
    server.put(NAME, OTHER)
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc", OTHER)
    assert statuses(server) == [200], "If-Range made the server send the whole"


def test_a_changed_file_is_not_glued_though_the_server_ignores_if_range(server, fetcher, tmp_path):
    leave_part(server, tmp_path / "a.nc", 123_456)
    server.put(NAME, OTHER)

    def ignore_if_range(reply):
        reply.handler.headers.replace_header("If-Range", reply.stored.etag)
        return False

    server.fault(NAME, ignore_if_range)
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc", OTHER)
    assert statuses(server) == [206, 200]


@pytest.mark.parametrize(
    "content_range",
    ["bytes 0-299999/300000", "bytes 123456-299999/999999", "nonsense", "bytes 123455-299999/300000"],
)
def test_a_wrong_rest_is_not_glued(server, fetcher, tmp_path, content_range):
    leave_part(server, tmp_path / "a.nc", 123_456)
    server.fault(NAME, change(content_range=content_range))
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")
    assert statuses(server) == [206, 200]


def test_a_server_without_ranges_starts_over(server, fetcher, tmp_path):
    leave_part(server, tmp_path / "a.nc", 123_456)
    server.fault(NAME, change(ranges=False))
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")


def test_range_not_satisfiable_starts_over(server, fetcher, tmp_path):
    leave_part(server, tmp_path / "a.nc", 123_456)
    server.fault(NAME, status(416))
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")
    assert ranges(server) == ["bytes=123456-", None]


@pytest.mark.parametrize(
    "note",
    [
        {"etag": "", "last_modified": ""},
        {"etag": 'W/"weak"', "last_modified": ""},
        {"url": "http://elsewhere.example/a.nc"},
        {"size": 100},
    ],
    ids=["no-validator", "weak-etag", "other-host", "longer-than-whole"],
)
def test_an_uncertain_part_is_not_used(server, fetcher, tmp_path, note):
    leave_part(server, tmp_path / "a.nc", 123_456, **note)
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")
    assert ranges(server) == [None]


@pytest.mark.slow
@pytest.mark.parametrize("note", ["", '{"url": "http', "[1]", '{"url": "x", "size": "y"}', None])
def test_a_torn_note_is_not_used(server, fetcher, tmp_path, note):
    (tmp_path / ".a.nc.part").write_bytes(OTHER[:5000])
    if note is not None:
        (tmp_path / ".a.nc.part.json").write_text(note)
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")


def test_last_modified_alone_is_enough_to_continue(server, fetcher, tmp_path):
    leave_part(server, tmp_path / "a.nc", 5000, etag="")
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")
    (asked,) = server.requests_of(NAME)
    assert asked.status == 206
    assert asked.headers["If-Range"] == server.files["/" + NAME].last_modified


def test_fresh_does_not_continue(server, fetcher, tmp_path):
    leave_part(server, tmp_path / "a.nc", 5000)
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc", fresh=True)
    assert ranges(server) == [None]


def no_good(path):
    if path.read_bytes() != BODY:
        raise InputError("no such file as expected")


def test_check_refuses_a_page_under_status_200(server, fetcher, tmp_path):
    server.fault(NAME, page())
    with pytest.raises(TransferError, match=r"^no such file as expected \(http"):
        fetcher.fetch([server.url + NAME], tmp_path / "a.nc", check=no_good)
    assert list(tmp_path.iterdir()) == []
    assert statuses(server) == [200], "a bad file is not asked for again and again"


def test_a_continued_file_that_fails_the_check_is_fetched_whole(server, fetcher, tmp_path):
    leave_part(server, tmp_path / "a.nc", 5000)
    (tmp_path / ".a.nc.part").write_bytes(bytes(5000))  # as after a power cut
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc", check=no_good)
    assert_whole(tmp_path / "a.nc")
    assert ranges(server) == ["bytes=5000-", None]


def test_a_length_shorter_than_the_file_is_caught_by_the_check(server, fetcher, tmp_path):
    server.fault(NAME, change(length=1000))
    with pytest.raises(TransferError, match="no such file as expected"):
        fetcher.fetch([server.url + NAME], tmp_path / "a.nc", check=no_good)
    assert list(tmp_path.iterdir()) == []


def test_a_body_longer_than_announced_is_refused(server, fetcher, tmp_path):
    leave_part(server, tmp_path / "a.nc", 123_456)
    longer = change(content_range=f"bytes 123456-299999/{len(BODY)}", ranges=True)

    def more_than_the_rest(reply):
        reply.stored = type(reply.stored)(BODY + b"more", etag=reply.stored.etag)
        return longer(reply)

    server.fault(NAME, more_than_the_rest)
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")
    assert statuses(server) == [206, 200]


def test_a_rest_shorter_than_noted_is_continued(server, fetcher, tmp_path):
    leave_part(server, tmp_path / "a.nc", 123_456)
    server.fault(NAME, change(length=1000))  # a proper answer by its own length
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")
    assert ranges(server) == ["bytes=123456-", "bytes=124456-"]


def test_chunked_without_length(server, fetcher, tmp_path):
    server.fault(NAME, change(chunked=True))
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")


def test_packed_though_identity_was_asked(server, fetcher, tmp_path):
    def packed(reply):
        reply.stored = type(reply.stored)(gzip.compress(BODY))
        reply.extra["Content-Encoding"] = "gzip"
        return False

    server.fault(NAME, packed)
    fetched = fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")
    assert fetched.identity == Identity(server.url + NAME, len(BODY))


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        (f"Content-Length: {'9' * 5000}", "whole"),  # no number that Python reads
        (f"Content-Length: {10**17}", "no such file has so many"),
        (f"Retry-After: {'9' * 5000}", "HTTP 503"),
        ("Retry-After: Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "HTTP 503"),
        (f"Content-Range: bytes {'0' * 5000}-1/2", "whole"),
        ("Location: http://[::bad", "not a usable address"),
        ("Location: //\x80", "not a usable address"),
        ("Content-Encoding: br", "packed as br"),
        ("Content-Encoding: gzip, gzip, gzip", "packed as gzip, gzip, gzip"),
        (f"X: {'y' * 70_000}", "connection"),
        ("\r\n".join(f"X{n}: y" for n in range(300)), "connection"),
    ],
    ids=lambda value: value[:30],
)
def test_headers_that_nobody_expects(server, fetcher, tmp_path, headers, outcome):
    """Each is a reason at this host; none ends the run."""
    status = "302 Found" if "Location" in headers else "503 Sorry" if "Retry" in headers else "200 OK"
    answer = raw(f"HTTP/1.1 {status}\r\n{headers}\r\nConnection: close\r\n\r\n".encode("latin-1") + BODY)
    server.fault(NAME, *[answer] * 9)
    path = tmp_path / "a.nc"
    if outcome == "whole":
        fetcher.fetch([server.url + NAME], path)
        assert_whole(path)
        return
    with pytest.raises(TransferError, match=outcome):
        fetcher.fetch([server.url + NAME], path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_without_end_is_refused_and_does_not_stay(server, fetcher, tmp_path, packed):
    body = gzip.compress(bytes(50_000_000)) if packed else b"x" * 3_000_000
    head = "Content-Encoding: gzip\r\n" * packed + 'ETag: "1"\r\n' + "Connection: close\r\n\r\n"
    server.fault(NAME, raw(f"HTTP/1.1 200 OK\r\n{head}".encode() + body))
    with pytest.raises(TransferError, match="more than 1000000 bytes came"):
        fetcher.fetch([server.url + NAME], tmp_path / "a.nc", limit=1_000_000)
    assert not list(tmp_path.iterdir())
    assert len(server.log) == 1


def test_a_part_that_cannot_be_continued_is_not_kept(server, fetcher, tmp_path):
    server.always.append(change(validators=False, stop_after=1000))
    with pytest.raises(TransferError, match=r"the body ended after|broke within"):
        fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert not list(tmp_path.iterdir())


def test_a_link_under_the_name_of_the_part_is_not_followed(server, fetcher, tmp_path):
    target = tmp_path / "thesis"
    target.write_text("three years of work")
    (tmp_path / ".a.nc.part").symlink_to(target)
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert target.read_text() == "three years of work"
    assert (tmp_path / "a.nc").read_bytes() == BODY and not (tmp_path / "a.nc").is_symlink()


@pytest.mark.parametrize(
    ("address", "location", "is_refused"),
    [
        ("https://a.org/x", "http://a.org/x", True),
        ("https://a.org/x", "HTTP://b.org/x", True),
        ("https://a.org/x", "ftp://b.org/x", True),
        ("https://a.org/x", "/y", False),
        ("https://a.org/x", "//b.org/y", False),
        ("http://a.org/x", "http://b.org/x", False),
        ("http://a.org/x", "https://b.org/x", False),
    ],
)
def test_no_redirect_leaves_https(address, location, is_refused):
    response = requests.Response()
    response.status_code, response.url = 302, address
    response.headers["Location"] = location
    with pytest.raises(Refused) if is_refused else nullcontext():
        refuse_downgrade(response)


def test_an_unasked_part_is_refused(server, fetcher, tmp_path):
    server.fault(NAME, change(content_range="bytes 0-299999/300000"))
    with pytest.raises(TransferError, match="HTTP 206"):
        fetcher.fetch([server.url + NAME], tmp_path / "a.nc")


def test_redirect_is_followed(server, fetcher, tmp_path):
    server.fault(NAME, redirect("/elsewhere?token=secret"))
    server.put("elsewhere?token=secret", BODY)
    fetched = fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert_whole(tmp_path / "a.nc")
    assert fetched.identity.url == server.url + NAME, "the address asked for, not a signed one"


@pytest.mark.slow
def test_redirect_without_end(server, fetcher, tmp_path):
    server.always.append(redirect("/" + NAME))
    with pytest.raises(TransferError, match="redirected without end"):
        fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    assert len(server.log) == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("after", "least", "most"), [("1", 1.0, 3.0), ("date", 0.9, 4.0), ("3600", 0.4, 2.0)]
)
def test_retry_after_is_honoured_with_a_cap(server, tmp_path, after, least, most):
    if after == "date":
        after = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    cap = 0.5 if after == "3600" else 60.0
    policy = RetryPolicy(retries=1, delay=0.001, longest_retry_after=cap, timeout=1)
    fetcher = Fetcher(policy=policy)
    server.fault(NAME, status(429, Retry_After=after))
    fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    fetcher.close()
    first, second = (asked.time for asked in server.requests_of(NAME))
    assert least <= second - first <= most


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "1.5"])
def test_unreadable_retry_after(value):
    assert read_retry_after(value) is None


def test_retry_after_in_the_past_is_no_wait():
    assert read_retry_after("Mon, 01 Jan 2024 12:00:30 GMT") == 0.0


@pytest.mark.slow
def test_retry_after_holds_for_the_other_workers_too(server, tmp_path):
    server.put("b.nc", OTHER)
    pauses = Pauses()
    policy = RetryPolicy(retries=2, delay=0.01, timeout=1)
    one, two = (Fetcher(policy=policy, pauses=pauses) for _ in range(2))
    server.fault(NAME, status(503, Retry_After="1"))
    thread = threading.Thread(target=one.fetch, args=([server.url + NAME], tmp_path / "a.nc"))
    thread.start()
    while not server.requests_of(NAME):
        time.sleep(0.01)
    time.sleep(0.1)
    two.fetch([server.url + "b.nc"], tmp_path / "b.nc")
    thread.join()
    one.close()
    two.close()
    assert server.requests_of("b.nc")[0].time - server.requests_of(NAME)[0].time > 0.9


def test_backoff_grows_with_jitter_up_to_a_cap():
    policy = MIRROR_POLICY
    for failures, full in ((1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60)):
        waits = {policy.draw_delay(failures) for _ in range(50)}
        assert all(full / 2 <= wait <= full for wait in waits)
        assert len(waits) > 1, "without jitter all workers come back at once"


def test_the_next_host_is_asked_on_error_and_on_404(server, fetcher, tmp_path):
    with serve() as second:
        second.put(NAME, BODY)
        urls = [closed_port() + NAME, server.url + NAME, second.url + NAME]
        del server.files["/" + NAME]
        fetched = fetcher.fetch(urls, tmp_path / "a.nc")
        assert_whole(tmp_path / "a.nc")
        assert fetched.identity.url == second.url + NAME


@pytest.mark.slow
def test_a_dead_first_host_does_not_cost_every_file_a_time_out(server, tmp_path):
    with serve() as dead:
        dead.always.append(silent(30))
        fetcher = Fetcher(policy=RetryPolicy(retries=3, delay=30.0, timeout=0.2))
        start = time.monotonic()
        for _ in range(4):
            fetcher.fetch([dead.url + NAME, server.url + NAME], tmp_path / "a.nc")
        fetcher.close()
        assert time.monotonic() - start < 5
        assert len(dead.log) == 1
        assert len(server.log) == 4


@pytest.mark.slow
def test_a_host_is_avoided_longer_with_each_silence_and_no_more_once_it_answers(caplog):
    caplog.set_level("INFO", logger="seaice")
    pauses, policy = Pauses(), RetryPolicy(delay=0.04, jitter=(0.5, 1.0))
    pauses.note_silence("http://a/1", policy, "no answer in time")
    assert pauses.is_avoided("http://a/2")
    assert not pauses.is_avoided("http://b/1")
    time.sleep(0.05)
    assert not pauses.is_avoided("http://a/1")
    pauses.note_silence("http://a/1", policy, "no answer in time")
    pauses.note_silence("http://a/1", policy, "no answer in time")
    time.sleep(0.05)
    assert pauses.is_avoided("http://a/1"), "at least 0.08 s after the third"
    pauses.note_answer("http://a/1")
    assert not pauses.is_avoided("http://a/1")
    pauses.note_answer("http://a/1")
    assert [record.getMessage() for record in caplog.records] == [
        "a: no answer in time; trying again, without further messages",
        "a answers again",
    ], "each once"


def test_absent_here_and_silent_there(server, fetcher, tmp_path):
    del server.files["/" + NAME]
    with pytest.raises(AbsentUpstream, match=r"HTTP 404.*; connection refused") as info:
        fetcher.fetch([server.url + NAME, closed_port() + NAME], tmp_path / "a.nc")
    assert not info.value.everywhere


def test_absent_here_and_failing_there_is_not_waited_for(server, fetcher, tmp_path):
    del server.files["/" + NAME]
    with serve() as second:
        second.fault(NAME, *[status(500)] * 9)
        with pytest.raises(AbsentUpstream, match=r"HTTP 404.*HTTP 500"):
            fetcher.fetch([server.url + NAME, second.url + NAME], tmp_path / "a.nc")
        assert len(second.log) == 1


def test_absent_here_and_refused_there_is_a_failure(server, fetcher, tmp_path):
    del server.files["/" + NAME]
    with serve() as second:
        second.fault(NAME, status(403))
        with pytest.raises(TransferError, match=r"HTTP 404.*HTTP 403") as info:
            fetcher.fetch([server.url + NAME, second.url + NAME], tmp_path / "a.nc")
    assert not isinstance(info.value, AbsentUpstream)


def test_part_of_one_host_is_not_continued_at_another(server, fetcher, tmp_path):
    with serve() as second:
        second.put(NAME, OTHER, etag=server.files["/" + NAME].etag)
        server.fault(NAME, cut(10_000), *[status(500)] * 9)
        fetcher.fetch([server.url + NAME, second.url + NAME], tmp_path / "a.nc")
        assert_whole(tmp_path / "a.nc", OTHER)


def test_nobody_listens(fetcher, tmp_path):
    with pytest.raises(TransferError, match=r"^connection refused \(http") as info:
        fetcher.fetch([closed_port() + NAME], tmp_path / "a.nc")
    assert info.value.unreachable


@pytest.mark.slow
def test_a_beginning_without_network_is_not_tried_for_long(server, tmp_path):
    tries = []
    fetcher = Fetcher(policy=RetryPolicy(retries=9, delay=0.001, timeout=0.5))
    for _ in range(2):
        del server.log[:]
        server.fault("void/a", *[drop()] * 20)
        with pytest.raises(TransferError):
            fetcher.fetch([server.url + "void/a"], tmp_path / "a")
        tries.append(len(server.log))
        fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
    fetcher.close()
    assert tries == [4, 10]


def test_unknown_name(fetcher, tmp_path):
    with pytest.raises(TransferError, match="name of the host cannot be resolved"):
        fetcher.fetch(["http://no-such-host.invalid/a.nc"], tmp_path / "a.nc")


@pytest.mark.parametrize("url", ["nonsense", "ftp://example.org/a.nc", "http:///a.nc"])
def test_unusable_address(fetcher, tmp_path, url):
    with pytest.raises(TransferError, match="not a usable address"):
        fetcher.fetch([url], tmp_path / "a.nc")


@pytest.mark.slow
def test_password_reaches_neither_messages_nor_notes(server, fetcher, tmp_path, caplog):
    caplog.set_level("DEBUG", logger="seaice")
    url = server.url.replace("http://", "http://me:s3cret@") + NAME
    server.fault(NAME, cut(70_000), status(500), stall(1000, 1), *[status(500)] * 9)
    with pytest.raises(TransferError) as info:
        fetcher.fetch([url], tmp_path / "a.nc")
    assert server.log[0].headers["Authorization"].startswith("Basic "), "it is used, though"
    note = (tmp_path / ".a.nc.part.json").read_text()
    for text in (str(info.value), caplog.text, note):
        assert "s3cret" not in text
    with pytest.raises(TransferError) as info:
        fetcher.fetch([closed_port().replace("http://", "http://me:s3cret@")], tmp_path / "b.nc")
    assert "s3cret" not in str(info.value)
    assert strip_login("https://me@h/x") == "https://h/x"


def read_identity(server):
    stored = server.files["/" + NAME]
    return Identity(server.url + NAME, len(stored.body), stored.etag, stored.last_modified)


def test_known_version_is_not_sent_again(server, fetcher, tmp_path):
    assert fetcher.fetch([server.url + NAME], tmp_path / "a.nc", local=read_identity(server)) is None
    assert statuses(server) == [304]


def test_known_version_where_the_server_ignores_conditions(server, fetcher, tmp_path):
    local = read_identity(server)

    def ignore(reply):
        del reply.handler.headers["If-None-Match"], reply.handler.headers["If-Modified-Since"]
        return False

    server.fault(NAME, ignore)
    assert fetcher.fetch([server.url + NAME], tmp_path / "a.nc", local=local) is None
    assert statuses(server) == [200]
    assert list(tmp_path.iterdir()) == []


def test_another_version_is_fetched(server, fetcher, tmp_path):
    local = read_identity(server)
    server.put(NAME, OTHER, modified=1_710_000_000.0)
    fetched = fetcher.fetch([server.url + NAME], tmp_path / "a.nc", local=local)
    assert fetched.sha256 == hashlib.sha256(OTHER).hexdigest()
    assert_whole(tmp_path / "a.nc", OTHER)


def test_an_etag_means_nothing_at_another_host(server):
    local = read_identity(server)
    assert set(local.make_conditions("http://other/a.nc")) == {"If-Modified-Since"}
    assert set(local.make_conditions(local.url)) == {"If-None-Match", "If-Modified-Since"}
    other = Identity("http://other/a.nc", local.size, local.etag, "Tue, 05 Mar 2024 00:00:00 GMT")
    assert not local.is_same_version(other)
    assert not Identity("u", None).is_same_version(Identity("u", None))


@pytest.mark.slow
def test_stop_ends_a_transfer_and_a_wait(server, tmp_path):
    stop = threading.Event()
    fetcher = Fetcher(policy=RetryPolicy(retries=9, delay=60.0), stop=stop)
    for fault in (pace(1000, 0.01), status(500)):
        stop.clear()
        server.fault(NAME, fault)
        timer = threading.Timer(0.3, stop.set)
        timer.start()
        start = time.monotonic()
        with pytest.raises(Stopped):
            fetcher.fetch([server.url + NAME], tmp_path / "a.nc")
        assert time.monotonic() - start < 2
        timer.join()
    fetcher.close()
    assert not (tmp_path / "a.nc").exists()
    assert (tmp_path / ".a.nc.part").stat().st_size > 0, "kept for the next run"


def test_one_writer_at_a_time(tmp_path):
    with claim_file(tmp_path / "a.nc"), pytest.raises(Busy, match="is being written by process"):
        with claim_file(tmp_path / "a.nc"):
            pass


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.2, 0.5])
def test_killed_and_continued(server, fetcher, tmp_path, moment):
    """SIGKILL in the middle of the body, then once more: the same bytes."""
    server.fault(NAME, pace(20_000, 0.05))
    code = (
        "import sys; from pathlib import Path; from seaice.download.http import Fetcher\n"
        "Fetcher().fetch([sys.argv[1]], Path(sys.argv[2]))"
    )
    path = tmp_path / "a.nc"
    process = subprocess.Popen(
        [sys.executable, "-c", code, server.url + NAME, path], cwd=ROOT, env={**os.environ}
    )
    part = tmp_path / ".a.nc.part"
    while not (part.exists() and part.stat().st_size):
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()
    fetched = fetcher.fetch([server.url + NAME], path)
    assert fetched.continued > 0
    assert_whole(path)


@pytest.mark.slow
def test_full_disk_keeps_what_came(server, fetcher, tmp_path):
    """A limit on the size of a file stands for a full disk."""
    code = (
        "import resource, sys; from pathlib import Path; from seaice.download.http import Fetcher\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: Fetcher().fetch([sys.argv[1]], Path(sys.argv[2]))\n"
        "except OSError as error: raise SystemExit(error.errno)"
    )
    path = tmp_path / "a.nc"
    done = subprocess.run([sys.executable, "-c", code, server.url + NAME, path], cwd=ROOT)
    assert done.returncode == errno.EFBIG
    assert not path.exists()
    fetched = fetcher.fetch([server.url + NAME], path)
    assert fetched.continued == 100_000
    assert_whole(path)


def no_such_range(reply):
    return "Range" in reply.handler.headers and status(416)(reply)


MENU = {
    "cut": lambda n: cut(n),
    "reset": lambda n: reset(n),
    "no ranges": lambda n: change(ranges=False, stop_after=n),
    "chunked": lambda n: change(chunked=True, stop_after=n),
    "no validators": lambda n: change(validators=False, stop_after=n),
    "long": lambda n: change(length=len(BODY) + n),
    "500": lambda n: status(500),
    "416": lambda n: no_such_range,
    "drop": lambda n: drop(),
}


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=st.lists(st.tuples(st.sampled_from(sorted(MENU)), st.integers(0, len(BODY))), max_size=5),
    changes_at=st.none() | st.integers(1, 5),
)
def test_whatever_happens_the_file_is_one_version_and_whole(server, tmp_path, faults, changes_at):
    """Also when the file changes upstream between two attempts."""
    name = f"property/{len(server.files)}.nc"
    server.put(name, BODY)

    def meet(number, fault):
        def act(reply):
            if number == changes_at:
                reply.stored = server.put(name, OTHER, modified=1_710_000_000.0)
            return fault(reply)

        return act

    server.fault(name, *[meet(n, MENU[kind](size)) for n, (kind, size) in enumerate(faults)])
    pauses = Pauses()
    pauses.note_answer(server.url)  # a host that never answered is given up after four silences
    fetcher = Fetcher(policy=RetryPolicy(retries=8, delay=0.001, timeout=2.0), pauses=pauses)
    fetched = fetcher.fetch([server.url + name], tmp_path / "a.nc")
    fetcher.close()
    content = (tmp_path / "a.nc").read_bytes()
    assert content in (BODY, OTHER)
    assert fetched.sha256 == hashlib.sha256(content).hexdigest()
    assert_whole(tmp_path / "a.nc", content)


# The manifest


def test_manifest_round_trip(tmp_path):
    manifest = Manifest(tmp_path)
    record = Record("a.nc", "2024-01-01T00:00:00Z", size=3, sha256="ab", url="u", etag='"e"')
    manifest.add(Record("a.nc", "2023-01-01T00:00:00Z", absent=True))
    manifest.add(record)
    again = Manifest(tmp_path)
    assert again.get("a.nc") == record == manifest.get("a.nc")
    assert list(again) == [record]
    assert again.get("b.nc") is None
    assert record.identity == Identity("u", 3, '"e"', "")


def test_manifest_outlives_a_torn_line(tmp_path, caplog):
    manifest = Manifest(tmp_path)
    manifest.add(Record("a.nc", "t", size=1))
    with manifest.path.open("ab") as file:
        file.write(b'{"name": "b.nc", "ti')
    again = Manifest(tmp_path)
    again.add(Record("c.nc", "t", size=2))
    assert [r.name for r in Manifest(tmp_path)] == ["a.nc", "c.nc"]
    assert "manifest.jsonl: 1 damaged line left out" in caplog.text
    assert json.loads(manifest.path.read_text().splitlines()[-1])["name"] == "c.nc"


def test_manifest_outlives_lines_that_are_no_records(tmp_path, caplog):
    Manifest(tmp_path).add(Record("a.nc", "2024-01-01T00:00:00Z", size=5))
    lines = [
        '{"a":' * 50_000, '{"name": "b", "time": "", "size": ' + "9" * 5000 + "}",
        '{"name": ["b"], "time": ""}', '{"name": "b", "time": "", "size": "5"}',
        '{"name": "b", "time": "", "size": -1}', '{"name": "b", "time": null}',
        '{"name": "b", "time": "", "absent": 1}', '"b"', "5", "null",
    ]  # fmt: skip
    with (tmp_path / "manifest.jsonl").open("a") as file:
        file.write("\n".join(lines) + "\n")
    manifest = Manifest(tmp_path)
    assert [record.name for record in manifest] == ["a.nc"]
    assert f"{len(lines)} damaged lines left out" in caplog.text


def test_manifest_sees_the_lines_of_others(tmp_path):
    one, two = Manifest(tmp_path), Manifest(tmp_path)
    two.add(Record("a.nc", "t", size=1))
    assert one.get("a.nc") is None
    one.refresh()
    assert one.get("a.nc").size == 1


def test_manifest_waits_for_another_writer(tmp_path):
    manifest = Manifest(tmp_path)
    manifest.add(Record("a.nc", "t", size=1))
    with manifest.path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        thread = threading.Thread(target=manifest.add, args=(Record("b.nc", "t", size=2),))
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
    thread.join()
    assert len(list(Manifest(tmp_path))) == 2


@pytest.mark.slow
def test_manifest_written_by_many_at_once(tmp_path):
    code = (
        "import sys; from pathlib import Path; from seaice.download.manifest import Manifest, Record\n"
        "m = Manifest(Path(sys.argv[1]))\n"
        "for i in range(100): m.add(Record(sys.argv[2] + str(i), 't', sha256='x' * 500))"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path, name], cwd=ROOT) for name in "abc"
    ]
    assert [w.wait() for w in writers] == [0, 0, 0]
    assert len(list(Manifest(tmp_path))) == 300
    assert len((tmp_path / "manifest.jsonl").read_text().splitlines()) == 300


# The crew


class Doubler:
    closed = 0

    def __init__(self):
        self.tries = 0

    def do(self, job):
        if job == "bad":
            raise ZeroDivisionError("a defect")
        if job == 3 and self.tries == 0:
            self.tries += 1
            return None
        return 2 * job

    def close(self):
        Doubler.closed += 1


class SlowDoubler(Doubler):
    def do(self, job):
        time.sleep(0.01)
        return super().do(job)


class Attempts:
    """A thing that fails with the errors it is given, then succeeds; may bring bytes with each."""

    def __init__(self, *errors, step=0):
        self.errors, self.step = list(errors), step
        self.calls = self.arrived = 0
        self.announced = []

    def __call__(self):
        self.calls += 1
        self.arrived += self.step
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    def run(self, retries=2, **options):
        options = {"stop": threading.Event(), "errors": (OSError,)} | options
        return retry(
            self,
            RetryPolicy(retries=retries, delay=0.0),
            announce=lambda error, failures: self.announced.append((str(error), failures)),
            count_bytes=lambda: self.arrived,
            **options,
        )


def test_failures_are_tried_again_as_often_as_the_policy_says():
    attempts = Attempts(OSError("a"), OSError("b"))
    assert attempts.run() == "done"
    assert attempts.announced == [("a", 1), ("b", 2)]
    attempts = Attempts(*[OSError("c")] * 9)
    with pytest.raises(GaveUp, match="c") as caught:
        attempts.run()
    assert (attempts.calls, caught.value.failures, len(attempts.announced)) == (3, 3, 2)


def test_final_failures_and_other_errors_end_at_once():
    attempts = Attempts(OSError("no account"))
    with pytest.raises(GaveUp) as caught:
        attempts.run(may_pass=lambda error: "account" not in str(error))
    assert (attempts.calls, caught.value.failures, attempts.announced) == (1, 1, [])
    with pytest.raises(KeyError):
        Attempts(KeyError("a defect")).run()


def test_what_brings_a_file_further_is_no_failure_in_a_row():
    assert Attempts(*[OSError("broken")] * 9, step=65537).run() == "done"
    with pytest.raises(GaveUp):
        Attempts(*[OSError("broken")] * 9, step=20000).run()


def test_a_stop_ends_attempts_and_waits():
    stop = threading.Event()
    attempts = Attempts(OSError("a"), OSError("b"))
    attempts.run(stop=stop)
    stop.set()
    with pytest.raises(Stopped):
        attempts.run(stop=stop)
    assert attempts.calls == 3
    with pytest.raises(Stopped):
        RetryPolicy(delay=60).wait(1, stop)


def test_worker_threads_do_every_job_once_and_put_back(monkeypatch):
    monkeypatch.setattr("seaice.runtime.threads._LATER", 0.01)
    Doubler.closed = 0
    stop = threading.Event()
    results = list(work_off(range(10), Doubler, threads=4, stop=stop))
    assert sorted(results) == [2 * n for n in range(10)]
    assert Doubler.closed == 4
    assert list(work_off([], Doubler, threads=4, stop=threading.Event())) == []


def test_worker_threads_stop_and_report_defects():
    stop = threading.Event()
    results = work_off(range(4, 1000), SlowDoubler, threads=1, stop=stop)
    next(results)
    stop.set()
    assert len(list(results)) < 10
    with pytest.raises(ZeroDivisionError, match="a defect"):
        list(work_off(["bad"], Doubler, threads=1, stop=threading.Event()))
