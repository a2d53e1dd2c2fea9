"""A read-only web server of the page, on this machine alone unless it is told otherwise."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
import time
from contextlib import suppress
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from seaice import InputError
from seaice.browse.answers import JSON, Answer, Answers, NoSuchAnswer, write_json
from seaice.browse.page_files import load_page_files

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_TIMEOUT = 20.0  # seconds that a client may take to say what it asks, or to take the answer
_MOST_CONNECTIONS = 64
_MOST_REQUESTS = 16  # that are answered at once
_WORTH_PACKING = 20_000  # bytes
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class PageServer(ThreadingHTTPServer):
    """Server of the page and of its answers.

    Parameters
    ----------
    answers : Answers
    host : str
        Address to listen on.
    port : int
        0 takes a free one.

    Raises
    ------
    InputError
        If the address cannot be had.
    """

    daemon_threads = True
    patience = _TIMEOUT
    request_queue_size = 64

    def __init__(self, answers: Answers, *, host: str = LOOPBACK, port: int = 0) -> None:
        load_page_files()
        self.answers = answers
        self.slots = threading.BoundedSemaphore(_MOST_REQUESTS)
        # When each connection began to wait for a request; one that is answered does not wait.
        self.waiting: dict[socket.socket, float] = {}
        self._places = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise InputError(
                f"expected a free address to listen on, found {host}:{port} ({error}); choose another "
                "--host or --port"
            ) from None
        self._host = host

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{self._host}:{self.server_address[1]}/"

    @cached_property
    def names(self) -> frozenset[str] | None:
        """Hosts by whose name it may be called; None for any, where all addresses are listened on.

        A page of another site cannot reach this one by a name of its own that points here.
        """
        if self._host in ("0.0.0.0", "::", ""):
            return None
        return _LOCAL_NAMES | {self._host.lower()}

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Take a connection if there is a place for one."""
        return self._places.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer what a connection asks, and give its place back."""
        self.waiting[request] = time.monotonic()
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.waiting.pop(request, None)
            self._places.release()

    def service_actions(self) -> None:
        """End connections whose client does not come to the end of a request."""
        self._end_connections(time.monotonic() - self.patience)

    def server_close(self) -> None:
        """Listen no more, and end the connections that wait for a request."""
        super().server_close()
        self._end_connections(time.monotonic())

    def _end_connections(self, latest: float) -> None:
        for connection, since in list(self.waiting.items()):
            if since <= latest:
                self.waiting.pop(connection, None)
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a connection that broke off."""
        logger.debug("connection of %s broke off", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """Answers a request."""

    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version = "seaice"
    sys_version = ""
    timeout = _TIMEOUT
    # Else the system keeps an answer back, up to 40 ms, until the browser has confirmed its headers.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Send a file of the page, or an answer."""
        self._reply(with_body=True)

    def do_HEAD(self) -> None:
        """Send the headers alone."""
        self._reply(with_body=False)

    def handle_one_request(self) -> None:
        """Read a request and answer it."""
        self.server.waiting[self.connection] = time.monotonic()
        super().handle_one_request()

    def _reply(self, *, with_body: bool) -> None:
        self.server.waiting.pop(self.connection, None)
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # what follows is no request
        with self.server.slots:
            status, answer = self._find_answer()
        content, is_packed = answer.content, False
        accepted = self.headers.get("Accept-Encoding", "")
        # Packing cells costs more than it saves on the way through one machine.
        if (
            "gzip" in accepted
            and len(content) > _WORTH_PACKING
            and answer.kind != "application/octet-stream"
        ):
            content, is_packed = gzip.compress(content, 1), True
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(content)))
        if is_packed:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def _find_answer(self) -> tuple[HTTPStatus, Answer]:
        name = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if self.server.names is not None and name.lower() not in self.server.names:
            return _refuse(HTTPStatus.MISDIRECTED_REQUEST, "called by a name that is not this server's")
        path = self.path.partition("?")[0]
        files = load_page_files()
        if path in ("/", "/index.html"):
            return HTTPStatus.OK, Answer(*files["index.html"])
        if path.startswith("/page/") and path.removeprefix("/page/") in files:
            return HTTPStatus.OK, Answer(*files[path.removeprefix("/page/")])
        if not path.startswith("/data/"):
            return _refuse(HTTPStatus.NOT_FOUND, "no such page")
        try:
            return HTTPStatus.OK, self.server.answers.answer(path.removeprefix("/data/"))
        except NoSuchAnswer:
            return _refuse(HTTPStatus.NOT_FOUND, "no such data")
        except InputError as error:
            reason = self.server.answers.hide_folders(str(error))
            return _refuse(HTTPStatus.INTERNAL_SERVER_ERROR, reason)
        except Exception:
            logger.exception("%s cannot be answered", path[:80])
            return _refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed; its log tells more")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request that cannot be read, or a method that is none of ours."""
        status = HTTPStatus(code)
        if status == HTTPStatus.NOT_IMPLEMENTED:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        content = write_json({"error": status.phrase})
        self.close_connection = True
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.send_header("Connection", "close")
        self.send_header("Content-Type", JSON)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Log a request, quietly; texts of clients are escaped."""
        logger.debug("%s: %r", self.client_address[0], format % args)


def _refuse(status: HTTPStatus, reason: str) -> tuple[HTTPStatus, Answer]:
    return status, Answer(write_json({"error": reason}), JSON)
