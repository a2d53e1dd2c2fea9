"""One SFTP session with G-Portal, kept for many files, that never waits for ever.

The gportal package opens a session a file, sets no time-outs and leaves its connections
open. Here a thread keeps one session, every wait ends, and a broken session is closed
whole and opened again.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seaice import InputError
from seaice.download.retry import Stopped

logger = logging.getLogger(__name__)

_BLOCK = 1 << 15  # what a broken connection can lose
_WINDOW = 1 << 23  # bytes under way before the server must be answered
_IN_VAIN = 64  # attempts of all threads to open a session
_SLOWEST = 5000  # bytes a second; another connection is tried then


class Refused(Exception):
    """The server takes no further connection, or the login failed; it may pass."""


class LoginRefused(InputError):
    """The server does not know the account."""


class Absent(Exception):
    """The server has no such file."""


class Interrupted(Exception):
    """The connection broke or fell silent; the message is the reason."""


class LoginGate:
    """What the sessions of a run know of the server together.

    A server that takes only so many connections turns the others away. That is no failure
    of a granule as long as another session is open.

    Attributes
    ----------
    username, password : str
    timeout : float
        Longest silence, seconds.
    """

    def __init__(self, username: str, password: str, *, timeout: float) -> None:
        self.username = username
        self.password = password
        self.timeout = timeout
        self._lock = threading.Lock()
        self._first_login = threading.Lock()
        self._open = self._opening = self._turned_away = 0
        self._was_let_in = False
        self._rejection = ""  # why the account is no good
        self._key_noted = False

    def __repr__(self) -> str:  # never the password
        return f"LoginGate({self.username!r})"

    def is_full(self) -> bool:
        """Whether being turned away means that others fill the server, not that it is closed.

        So it does while a session is open. While others only knock nobody knows; after
        many in vain nobody is in, and so it is before the first was let in.
        """
        others_knock = self._was_let_in and self._opening > 0 and self._turned_away < _IN_VAIN
        return self._open > 0 or others_knock

    @contextlib.contextmanager
    def knocking(self) -> Iterator[None]:
        """Count an attempt to open a session.

        Until the account is known to be good there is one attempt at a time, and none after
        it was rejected: servers lock accounts for that.

        Raises
        ------
        LoginRefused
            If the account was rejected before.
        """
        with contextlib.nullcontext() if self._was_let_in else self._first_login:
            if self._rejection:
                raise LoginRefused(self._rejection)
            with self._lock:
                self._opening += 1
            try:
                yield
            except LoginRefused as error:
                self._rejection = str(error)
                raise
            except Refused:
                with self._lock:
                    self._turned_away += 1
                raise
            finally:
                with self._lock:
                    self._opening -= 1

    @property
    def was_let_in(self) -> bool:
        """Whether the account was accepted once."""
        return self._was_let_in

    def opened(self) -> None:
        """Count a session."""
        with self._lock:
            self._open += 1
            self._turned_away = 0
            self._was_let_in = True

    def closed(self) -> None:
        """Count one less."""
        with self._lock:
            self._open -= 1

    def note_key(self, host: str, key: Any) -> None:
        """Say once whom we talk to."""
        with self._lock:
            noted, self._key_noted = self._key_noted, True
        if not noted:
            logger.info("connected with %s, host key %s %s", host, key.get_name(), key.fingerprint)


class Session:
    """A connection that is opened when needed and kept; for one thread.

    Parameters
    ----------
    door : LoginGate
    """

    def __init__(self, door: LoginGate) -> None:
        self._door = door
        self._transport: Any = None
        self._sftp: Any = None

    def fetch(self, remote: str, part: Path, size: int | None, stop: threading.Event) -> int:
        """Bring a remote file into ``part``, continuing what is there; returns the bytes that came.

        Raises
        ------
        Refused, LoginRefused
            If there is no session to be had.
        Absent
            If the server has no such file.
        Interrupted
            If the connection broke; what came is kept.
        Stopped
            If ``stop`` is set.
        OSError
            If ``part`` cannot be written.
        """
        client = self._connected()
        try:
            with _remote_errors(remote):
                file = client.open(remote, "rb", bufsize=0)
                there = int(file.stat().st_size)
        except (Interrupted, Refused):
            self.close()
            raise
        if size is not None and there != size:
            with _remote_errors(remote):
                file.close()
            raise Interrupted(f"the server's file has {there} bytes, the catalogue says {size}")
        try:
            return self._stream(file, part, there, stop)
        except BaseException:
            self.close()  # answers to what was asked for may still be under way
            raise

    def _stream(self, file: Any, part: Path, size: int, stop: threading.Event) -> int:
        have = part.stat().st_size if part.exists() else 0
        if have > size:
            part.unlink()
            have = 0
        received = 0
        with part.open("ab") as out:
            with _remote_errors(part.name):
                file.seek(have)
                _prefetch(file, size)
            began = time.monotonic()
            while have + received < size:
                if stop.is_set():
                    raise Stopped("stopped")
                with _remote_errors(part.name):
                    block = file.read(min(_BLOCK, size - have - received))
                if not block:
                    raise Interrupted(f"the file ended after {have + received} of {size} bytes")
                out.write(block)
                received += len(block)
                seconds = time.monotonic() - began
                if seconds > 2 * self._door.timeout and received < _SLOWEST * seconds:
                    raise Interrupted(f"only {received / seconds / 1e3:.1f} kB/s came")
        with _remote_errors(part.name):
            file.close()
        return received

    def _connected(self) -> Any:
        """The SFTP client of the package, connected."""
        if self._sftp is not None and self._transport.is_active():
            return self._sftp.client
        self.close()
        with self._door.knocking():
            return self._open()

    def _open(self) -> Any:
        import gportal
        import paramiko

        host, port, door = gportal.SFTP.HOST, gportal.SFTP.PORT, self._door
        try:
            connection = socket.create_connection((host, port), timeout=door.timeout)
        except OSError as error:
            raise Refused(f"no connection with {host}:{port} ({error.strerror or error})") from None
        transport = None
        try:
            transport = paramiko.Transport(connection, default_window_size=_WINDOW)
            _quiet(transport)
            self._log_in(transport, host, port)
            client = _open_sftp(transport, door.timeout)
        except BaseException as error:
            if transport is None:
                connection.close()
            else:
                transport.close()
            if isinstance(error, paramiko.AuthenticationException) and not isinstance(
                error, paramiko.ssh_exception.BadAuthenticationType | paramiko.PasswordRequiredException
            ):
                raise self._not_let_in(error, host) from None
            if isinstance(error, paramiko.SSHException | paramiko.SFTPError | OSError | EOFError):
                reason = " ".join(str(error).split()) or type(error).__name__
                raise Refused(f"{host}:{port} does not let us in ({reason})") from None
            raise
        self._transport, self._sftp = transport, gportal.SFTP(client)
        door.opened()
        return client

    def _log_in(self, transport: Any, host: str, port: int) -> None:
        timeout = self._door.timeout
        transport.banner_timeout = transport.auth_timeout = timeout
        transport.start_client(timeout=timeout)
        key = transport.get_remote_server_key()
        _compare_key(f"[{host}]:{port}", key)
        self._door.note_key(host, key)
        transport.auth_password(self._door.username, self._door.password)

    def _not_let_in(self, error: Exception, host: str) -> Exception:
        reason = " ".join(str(error).split()) or type(error).__name__
        broken = any(word in reason for word in ("timeout", "EOF", "shut down"))
        if self._door.was_let_in or broken:  # it is not the account
            return Refused(f"{host} refuses the login for now ({reason})")
        return LoginRefused(
            f"{host} does not accept the account {self._door.username!r} ({reason}): check "
            "GPORTAL_USERNAME and GPORTAL_PASSWORD, or ~/.netrc"
        )

    def close(self) -> None:
        """Close the connection, not only the channel."""
        if self._transport is None:
            return
        transport, self._transport, self._sftp = self._transport, None, None
        self._door.closed()
        transport.close()
        transport.join(self._door.timeout)  # a server that counts connections counts it until then


def _open_sftp(transport: Any, timeout: float) -> Any:
    """An SFTP client none of whose waits is without end."""
    import paramiko

    channel = transport.open_session(window_size=_WINDOW, timeout=timeout)
    channel.settimeout(timeout)
    watch = threading.Timer(timeout, transport.close)  # this one request knows no time-out
    watch.daemon = True
    watch.start()
    try:
        channel.invoke_subsystem("sftp")
    finally:
        watch.cancel()
    return paramiko.SFTPClient(channel)


def _prefetch(file: Any, size: int) -> None:
    """Ask for the rest of a file at once; without it every 32 kB cost a round trip."""
    import paramiko

    asking = file._prefetch_thread

    def ask(*arguments: Any) -> None:
        # The reader meets the same error and says it; here it would only be printed.
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            asking(*arguments)

    file._prefetch_thread = ask
    file.prefetch(size)


def _quiet(transport: Any) -> None:
    """Let paramiko raise its errors without printing them as well."""
    name = "seaice.ssh"
    logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    transport.set_log_channel(name)


def _compare_key(name: str, key: Any) -> None:
    """Refuse a server whose key is not the one in the user's known_hosts."""
    import paramiko

    path = Path("~/.ssh/known_hosts").expanduser()
    try:
        known = paramiko.HostKeys(str(path)).lookup(name)
    except (OSError, ValueError, paramiko.hostkeys.InvalidHostKey) as error:
        if not isinstance(error, FileNotFoundError):
            logger.warning("%s cannot be read; the server's key is not compared", path)
        return
    if known and key.get_name() in known and known[key.get_name()] != key:
        raise LoginRefused(
            f"{name} shows another host key than the one in {path}: it may be somebody else; remove the "
            "line there only if you know that the server has a new key"
        )


@contextlib.contextmanager
def _remote_errors(what: str) -> Iterator[None]:
    """What the server or the connection does wrong, in our words."""
    import paramiko

    try:
        yield
    except TimeoutError:
        raise Interrupted("the server fell silent") from None
    except (EOFError, paramiko.SSHException, paramiko.SFTPError) as error:
        reason = " ".join(str(error).split()).rstrip(": ") or "the connection broke"
        raise Interrupted(reason) from None
    except FileNotFoundError:
        raise Absent(f"the server has no {what}") from None
    except OSError as error:
        if error.errno == errno.EACCES:
            raise Interrupted(f"the server denies {what}") from None
        raise Interrupted(error.strerror or str(error) or "the connection broke") from None
