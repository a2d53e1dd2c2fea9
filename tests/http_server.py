"""A local HTTP server with faults on demand, for tests of everything that downloads.

    with serve() as server:
        server.put("a/b.nc", body)
        server.fault("a/b.nc", status(500), cut(1000))   # first two requests
        ... fetch server.url + "a/b.nc" ...
        assert [r.status for r in server.requests_of("a/b.nc")] == [500, 200, 206]

It knows Range (one part), If-Range, ETag, Last-Modified, If-None-Match and If-Modified-Since.
"""

import hashlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Stored:
    """A file on the server."""

    body: bytes
    modified: float = 1_700_000_000.0
    etag: str | None = None

    def __post_init__(self):
        if self.etag is None:
            self.etag = '"' + hashlib.md5(self.body, usedforsecurity=False).hexdigest() + '"'

    @property
    def last_modified(self) -> str:
        return formatdate(self.modified, usegmt=True)


@dataclass
class Asked:
    """A request as the server saw it."""

    path: str
    headers: dict[str, str]
    time: float
    status: int = 0


# Answers one request itself and returns True, or changes the reply and returns False.
Fault = Callable[["Reply"], bool]


@dataclass
class Reply:
    """What a fault may change before it is sent."""

    handler: "Handler"
    path: str
    stored: Stored | None
    extra: dict[str, str] = field(default_factory=dict)
    length: int | None = None  # for a wrong Content-Length
    stop_after: int | None = None  # bytes of the body sent
    hang: float = 0.0  # seconds of silence after that
    reset: bool = False  # then break the connection with RST
    pace: tuple[int, float] | None = None  # bytes, seconds
    ranges: bool = True
    validators: bool = True
    chunked: bool = False
    content_range: str | None = None


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, Stored] = {}
        self.log: list[Asked] = []
        self.always: list[Fault] = []
        self._faults: dict[str, list[Fault]] = {}
        self._lock = threading.Lock()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def put(self, path: str, body: bytes, **more) -> Stored:
        self.files["/" + path.lstrip("/")] = stored = Stored(body, **more)
        return stored

    def fault(self, path: str, *faults: Fault | None) -> None:
        """The next requests of ``path`` meet these, one each; None is a proper answer."""
        self._faults.setdefault("/" + path.lstrip("/"), []).extend(faults)

    def next_fault(self, path: str) -> Fault | None:
        with self._lock:
            faults = self._faults.get(path)
            return faults.pop(0) if faults else None

    def requests_of(self, path: str) -> list[Asked]:
        return [asked for asked in self.log if asked.path == "/" + path.lstrip("/")]

    def handle_error(self, request, client_address):
        pass  # a client that went away is part of the tests


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for the client to confirm its header
    server: Server

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.asked = Asked(self.path, dict(self.headers), time.monotonic())
        self.server.log.append(self.asked)
        reply = Reply(self, self.path, self.server.files.get(self.path))
        fault = self.server.next_fault(self.path)
        for change in [*self.server.always, *([fault] if fault else [])]:
            if change(reply):
                return
        if reply.stored is None:
            self.simple(404, b"not here")
        else:
            self.send(reply)

    def send_response(self, code, message=None):
        self.asked.status = code
        super().send_response(code, message)

    def simple(self, code: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send(self, reply: Reply) -> None:
        stored = reply.stored
        if reply.validators and self.is_known(stored):
            self.simple(304)
            return
        start, stop = self.range_of(reply)
        body = stored.body[start:stop]
        if start >= len(stored.body) > 0:
            self.simple(416, headers={"Content-Range": f"bytes */{len(stored.body)}"})
            return
        is_part = bool(start or stop or reply.content_range)
        self.send_response(206 if is_part else 200)
        if is_part:
            whole = f"bytes {start}-{start + len(body) - 1}/{len(stored.body)}"
            self.send_header("Content-Range", reply.content_range or whole)
        if reply.validators:
            self.send_header("ETag", stored.etag)
            self.send_header("Last-Modified", stored.last_modified)
        for name, value in reply.extra.items():
            self.send_header(name, value)
        if reply.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body) if reply.length is None else reply.length))
        self.end_headers()
        if self.command != "HEAD":
            self.send_body(reply, body)

    def send_body(self, reply: Reply, body: bytes) -> None:
        part = body if reply.stop_after is None else body[: reply.stop_after]
        size, pause = reply.pace or (1 << 16, 0.0)
        for begin in range(0, len(part), size):
            piece = part[begin : begin + size]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if reply.chunked else piece)
            if pause and self.server.closing.wait(pause):
                break
        if reply.stop_after is None and reply.length is None:
            if reply.chunked:
                self.wfile.write(b"0\r\n\r\n")
            return
        self.wfile.flush()
        if reply.hang:
            self.server.closing.wait(reply.hang)
        if reply.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def is_known(self, stored: Stored) -> bool:
        if "If-None-Match" in self.headers:
            return stored.etag in self.headers["If-None-Match"]
        if "If-Modified-Since" in self.headers and "Range" not in self.headers:
            since = parsedate_to_datetime(self.headers["If-Modified-Since"]).timestamp()
            return stored.modified <= since
        return False

    def range_of(self, reply: Reply) -> tuple[int, int | None]:
        """The first byte asked for, and one after the last if the request names it."""
        wanted = self.headers.get("Range", "")
        if not reply.ranges or not wanted.startswith("bytes="):
            return 0, None
        condition = self.headers.get("If-Range")
        if condition not in (None, reply.stored.etag, reply.stored.last_modified):
            return 0, None
        first, last = wanted[len("bytes=") :].split("-")
        if not first:
            return max(0, len(reply.stored.body) - int(last)), None
        return int(first), int(last) + 1 if last else None


def status(code: int, **headers: str) -> Fault:
    """Answer with this status; underscores in header names are hyphens."""

    def answer(reply: Reply) -> bool:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        reply.handler.simple(code, b"trouble", named)
        return True

    return answer


def page(text: bytes = b"<!DOCTYPE html><html><body>Please log in</body></html>") -> Fault:
    """A web page with status 200 in place of the file."""

    def answer(reply: Reply) -> bool:
        reply.handler.simple(200, text, {"Content-Type": "text/html"})
        return True

    return answer


def raw(answer: bytes) -> Fault:
    """Send these bytes, status line and headers and all, and close."""

    def send(reply: Reply) -> bool:
        reply.handler.asked.status = 200
        reply.handler.wfile.write(answer)
        reply.handler.close_connection = True
        return True

    return send


def redirect(location: str) -> Fault:
    return status(302, Location=location)


def drop() -> Fault:
    """Reset the connection before any answer."""

    def answer(reply: Reply) -> bool:
        linger = struct.pack("ii", 1, 0)
        reply.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        reply.handler.close_connection = True
        return True

    return answer


def silent(seconds: float) -> Fault:
    """Say nothing for so long, then close."""

    def answer(reply: Reply) -> bool:
        reply.handler.server.closing.wait(seconds)
        reply.handler.close_connection = True
        return True

    return answer


def change(**values) -> Fault:
    """Set fields of the :class:`Reply`."""

    def apply(reply: Reply) -> bool:
        for name, value in values.items():
            assert hasattr(reply, name)
            setattr(reply, name, value)
        return False

    return apply


def cut(after: int) -> Fault:
    """Close the connection in an orderly way after so many bytes of the body."""
    return change(stop_after=after)


def reset(after: int) -> Fault:
    """Break the connection (RST) after so many bytes of the body."""
    return change(stop_after=after, reset=True, hang=0.05)


def stall(after: int, seconds: float) -> Fault:
    """Fall silent after so many bytes of the body."""
    return change(stop_after=after, hang=seconds)


def pace(size: int, seconds: float) -> Fault:
    """Send so many bytes, wait so long, and so on."""
    return change(pace=(size, seconds))


@contextmanager
def serve() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def closed_port() -> str:
    """The address of a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"
