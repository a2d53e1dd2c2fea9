"""A stand-in of JAXA G-Portal on this machine: catalogue over HTTP, files over SFTP, faults on demand.

    with GPortalServer(folder, products, faults=Faults({name: ["drop"]})) as portal, portal.aimed():
        ... gportal.search(...), gportal.SFTP.connect("user", "secret") ...
        assert portal.opened(name) == 2

Files lie as ``folder/<granule_id>.h5`` and are served under the path of the real server.
Real sockets, no pytest: benchmarks use it too.
For a server in a process of its own: ``python tests/gportal_server.py FOLDER``, see ``main``.
"""

import argparse
import contextlib
import json
import logging
import os
import socket
import stat
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import paramiko
from gportal_catalogue import PAGE, CatalogueServer, Product, peer_gone, products_in
from gportal_faults import Faults
from paramiko.sftp import SFTP_FAILURE, SFTP_NO_SUCH_FILE, SFTP_PERMISSION_DENIED

ROOTS = ("nrt", "process", "order", "standard")
LOGGER = "gportal_server"

# Cut connections are part of the tests; without a handler Python prints them.
logging.getLogger(LOGGER).addHandler(logging.NullHandler())
logging.getLogger(LOGGER).propagate = False


class GPortalServer:
    """Both servers on free ports of 127.0.0.1, from ``with`` to its end.

    Attributes
    ----------
    requests
        Log of tuples: ("search", query), ("connect",), ("refused",), ("login", ok),
        ("stat", granule_id), ("open", granule_id, fault or None) and, when a file is closed,
        ("read", granule_id, bytes, first offset).
    products
        What the catalogue lists, in its order; :meth:`publish` adds.
    most_at_once, transports_opened
        Connections for files: open at the same time, and all in all (refused ones not counted).
    """

    def __init__(
        self,
        folder: Path,
        products: Sequence[Product],
        *,
        username: str = "user",
        password: str = "secret",
        faults: Faults | None = None,
    ):
        self.folder, self.username, self.password = Path(folder), username, password
        self.faults = faults or Faults()
        self.products: list[Product] = []
        self.requests: list[tuple] = []
        self.most_at_once = self.transports_opened = 0
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self._by_path: dict[str, Product] = {}
        self._folders: dict[str, set[str]] = {"/": set(ROOTS)}
        self._connections: set[_Connection] = set()
        self._silent: list[socket.socket] = []
        self.sessions: list[threading.Thread] = []
        self.publish(*products)

    def publish(self, *products: Product) -> None:
        """List more products."""
        with self.lock:
            self.products = [*self.products, *products]
            for product in products:
                self._by_path["/" + product.path] = product
                parts = ("/" + product.path).split("/")
                for depth in range(1, len(parts)):
                    parent = "/".join(parts[:depth]) or "/"
                    self._folders.setdefault(parent, set()).add(parts[depth])

    def __enter__(self) -> Self:
        self.host_key = paramiko.ECDSAKey.generate()
        self._http = CatalogueServer(self)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.settimeout(0.05)
        self.http_url = f"http://127.0.0.1:{self._http.server_address[1]}/"
        self.sftp_host, self.sftp_port = self._listener.getsockname()[:2]
        self._threads = [
            threading.Thread(
                target=self._http.serve_forever, args=(0.02,), name="catalogue", daemon=True
            ),
            threading.Thread(target=self._accept, name="sftp accept", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Cut everything, wait for every thread; a second call does nothing."""
        if self.closing.is_set():
            return
        self.closing.set()
        self._http.shutdown()
        for thread in self._threads:
            thread.join()
        self._http.server_close()
        self._listener.close()
        for silent in self._silent:
            silent.close()
        with self.lock:
            connections = list(self._connections)
        for connection in connections:
            connection.close()
        for thread in [*connections, *self.sessions]:
            thread.join()

    @contextlib.contextmanager
    def aimed(self) -> Iterator[None]:
        """Point the gportal package at this server, and back afterwards."""
        import gportal
        import gportal.http_client

        before = gportal.http_client.BASE_URL, gportal.SFTP.HOST, gportal.SFTP.PORT
        gportal.http_client.BASE_URL = self.http_url
        gportal.SFTP.HOST, gportal.SFTP.PORT = self.sftp_host, self.sftp_port
        accepted = os.environ.get("GPORTAL_HOST_KEY", "")
        os.environ["GPORTAL_HOST_KEY"] = self.host_key.fingerprint
        try:
            yield
        finally:
            os.environ["GPORTAL_HOST_KEY"] = accepted
            gportal.http_client.BASE_URL, gportal.SFTP.HOST, gportal.SFTP.PORT = before

    def connections_open(self) -> int:
        """Connections for files whose client has not gone."""
        with self.lock:
            return sum(not peer_gone(connection.sock) for connection in self._connections)

    def searches(self) -> list[dict[str, str]]:
        """The queries of the searches, in order."""
        return [entry[1] for entry in list(self.requests) if entry[0] == "search"]

    def opened(self, granule_id: str) -> int:
        """How often a client got to open a granule."""
        return sum(entry[:2] == ("open", granule_id) for entry in list(self.requests))

    def bytes_read(self, granule_id: str) -> int:
        """Bytes sent of a granule, over all files closed so far."""
        return sum(entry[2] for entry in list(self.requests) if entry[:2] == ("read", granule_id))

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            self._admit(connection)

    def _admit(self, connection: socket.socket) -> None:
        fate = self.faults.connection(already_open=self.connections_open())
        if fate == "refuse":
            self.requests.append(("refused",))
            connection.close()
            return
        self.requests.append(("connect",))
        if fate == "stall":
            self._silent.append(connection)
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = _Connection(self, connection)
        with self.lock:
            self._connections.add(transport)
            self.transports_opened += 1
        self.most_at_once = max(self.most_at_once, self.connections_open())
        transport.start_server(event=threading.Event(), server=_Login(self, transport))

    def left(self, connection: "_Connection") -> None:
        """A connection has ended."""
        with self.lock:
            self._connections.discard(connection)

    def product_at(self, path: str) -> Product | None:
        """The listed product with this path on the SFTP server, if its file is there."""
        product = self._by_path.get(path)
        return product if product and self.file_of(product).is_file() else None

    def file_of(self, product: Product) -> Path:
        return self.folder / f"{product.granule_id}.h5"

    def names_in(self, path: str) -> list[str] | None:
        names = self._folders.get(path) or (set() if path.lstrip("/") in ROOTS else None)
        return None if names is None else sorted(names)


class _Connection(paramiko.Transport):
    def __init__(self, portal: GPortalServer, connection: socket.socket):
        super().__init__(connection)
        self.portal = portal
        self.set_log_channel(LOGGER)
        self.add_server_key(portal.host_key)
        # The client chooses the cipher; offering only this family makes both sides a third faster.
        options = self.get_security_options()
        options.ciphers = [name for name in options.ciphers if "gcm" in name] or options.ciphers
        self.set_subsystem_handler("sftp", _Session, _Files)

    def run(self):
        try:
            super().run()
        finally:
            # A handshake that failed leaves its timer thread behind.
            self.packetizer.complete_handshake()
            self.portal.left(self)

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class _Login(paramiko.ServerInterface):
    def __init__(self, portal: GPortalServer, connection: _Connection):
        self.portal, self.connection = portal, connection

    def get_allowed_auths(self, username):
        return "password"

    def check_auth_password(self, username, password):
        portal = self.portal
        ok = (username, password) == (portal.username, portal.password)
        fate = portal.faults.login() if ok else None
        portal.requests.append(("login", ok and fate is None))
        if fate == "stall":
            self.hang()
        return paramiko.AUTH_SUCCESSFUL if ok and fate is None else paramiko.AUTH_FAILED

    def check_channel_subsystem_request(self, channel, name):
        if self.portal.faults.session() == "stall":
            self.hang()
            return False
        return super().check_channel_subsystem_request(channel, name)

    def hang(self) -> None:
        while not self.portal.closing.wait(0.02) and not peer_gone(self.connection.sock):
            pass
        self.connection.cut()  # so that no answer goes out

    def check_channel_request(self, kind, chanid):
        return (
            paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_UNKNOWN_CHANNEL_TYPE
        )


class _Session(paramiko.SFTPServer):
    def __init__(self, channel, name, server, *args, **kwargs):
        super().__init__(channel, name, server, *args, **kwargs)
        self.server.channel = channel
        portal = server.portal
        with portal.lock:
            portal.sessions[:] = [thread for thread in portal.sessions if thread.is_alive()] + [self]


class _Files(paramiko.SFTPServerInterface):
    channel: paramiko.Channel

    def __init__(self, server: _Login):
        self.portal, self.connection = server.portal, server.connection

    def stat(self, path):
        portal, place = self.portal, self.canonicalize(path)
        if portal.names_in(place) is not None:
            return attributes(place, None)
        product = portal.product_at(place)
        if product is None:
            return SFTP_NO_SUCH_FILE
        portal.requests.append(("stat", product.granule_id))
        fault = portal.faults.peek(product.granule_id)
        if fault == "absent":
            portal.faults.take(product.granule_id)
            return SFTP_NO_SUCH_FILE
        return attributes(place, served_size(portal.file_of(product).stat().st_size, fault))

    lstat = stat

    def list_folder(self, path):
        place = self.canonicalize(path)
        names = self.portal.names_in(place)
        if names is None:
            return SFTP_NO_SUCH_FILE
        listed = []
        for name in names:
            below = f"{place.rstrip('/')}/{name}"
            product = self.portal.product_at(below)
            if product or self.portal.names_in(below) is not None:
                size = self.portal.file_of(product).stat().st_size if product else None
                listed.append(attributes(below, size))
        return listed

    def open(self, path, flags, attr):
        product = self.portal.product_at(self.canonicalize(path))
        if product is None:
            return SFTP_NO_SUCH_FILE
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
            return SFTP_PERMISSION_DENIED
        fault = self.portal.faults.take(product.granule_id)
        self.portal.requests.append(("open", product.granule_id, fault))
        if fault == "absent":
            return SFTP_NO_SUCH_FILE
        if fault == "denied":
            return SFTP_PERMISSION_DENIED
        return _OpenFile(self, product, fault)


def served_size(size: int, fault: str | None) -> int:
    return {"truncated": size // 2, "html": len(PAGE)}.get(fault or "", size)


def attributes(path: str, size: int | None) -> paramiko.SFTPAttributes:
    """Of a read-only file, or of a folder where there is no size."""
    made = paramiko.SFTPAttributes()
    made.filename = path.rsplit("/", 1)[-1]
    made.st_size = size or 0
    made.st_mode = stat.S_IFDIR | 0o555 if size is None else stat.S_IFREG | 0o444
    made.st_atime = made.st_mtime = 1_600_000_000
    return made


class _OpenFile(paramiko.SFTPHandle):
    def __init__(self, files: _Files, product: Product, fault: str | None):
        super().__init__(os.O_RDONLY)
        self.files, self.portal, self.granule_id, self.fault = (
            files,
            files.portal,
            product.granule_id,
            fault,
        )
        self.descriptor: int | None = os.open(self.portal.file_of(product), os.O_RDONLY)
        self.size = served_size(os.fstat(self.descriptor).st_size, fault)
        self.sent = 0
        self.first: int | None = None

    def stat(self):
        return attributes(self.granule_id + ".h5", self.size)

    def close(self):
        # A file left open is closed by the end of its session.
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
            self.portal.requests.append(("read", self.granule_id, self.sent, self.first or 0))

    def read(self, offset, length):
        length = max(0, min(length, self.size - offset))
        if self.first is None:
            self.first = offset
        if self.fault in ("drop", "stall") and self.is_middle(offset, length):
            if self.fault == "drop":
                self.files.connection.cut()
            else:
                self.hang()
            return SFTP_FAILURE
        if self.fault == "slow":
            self.hang(length / self.portal.faults.slow_rate)
        data = (
            PAGE[offset : offset + length]
            if self.fault == "html"
            else os.pread(self.descriptor, length, offset)
        )
        middle = self.size // 2
        if self.fault == "flipped" and offset <= middle < offset + len(data):
            changed = bytearray(data)
            changed[middle - offset] ^= 0x10
            data = bytes(changed)
        self.sent += len(data)
        return data

    def is_middle(self, offset: int, length: int) -> bool:
        """Half of what this attempt reads is sent, and at least one block where there are two."""
        end = offset + length
        return end >= self.size or (self.sent > 0 and end > (self.first + self.size) // 2)

    def hang(self, seconds: float = float("inf")) -> None:
        while seconds > 0 and not self.files.channel.closed and self.files.connection.is_active():
            if self.portal.closing.wait(min(seconds, 0.02)):
                self.files.connection.cut()  # so that no answer goes out
                return
            seconds -= 0.02


def main() -> None:
    """Serve a folder of granules until standard input ends; says the addresses as a line of JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--share", type=float, default=0.0, help="share of the granules that meet a fault"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max_connections", type=int)
    args = parser.parse_args()
    products = products_in(args.folder)
    faults = Faults.random(
        [product.granule_id for product in products],
        share=args.share,
        seed=args.seed,
        max_connections=args.max_connections,
    )
    with GPortalServer(args.folder, products, faults=faults) as portal:
        said = {
            "http_url": portal.http_url,
            "sftp_host": portal.sftp_host,
            "sftp_port": portal.sftp_port,
            "host_key": portal.host_key.fingerprint,
        }
        print(json.dumps(said), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
