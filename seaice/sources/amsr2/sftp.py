"""An SFTP session with G-Portal that is kept for many files and whose waits all end.

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from seaice import InputError
from seaice.download.retry import Stopped
from seaice.sources.amsr2.host_keys import HostKeys

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_BLOCK = 1 << 15  # what a broken connection can lose
_WINDOW = 1 << 23  # bytes under way before the server must be answered
_MOST_REFUSALS = 64  # attempts of all threads to open a session
_SLOWEST = 5000  # bytes a second; another connection is tried then


class Refused(Exception):
    """The server takes no further connection, or the login failed; it may pass."""


class LoginRefused(InputError):
    """The server does not know the account, or shows a key that is not known."""


class Absent(Exception):
    """The server has no such file."""


class Interrupted(Exception):
    """The connection broke or fell silent; the message is the reason."""


class LoginGate:
    """Counts of all sessions of a run: who is admitted, who waits, who was refused.

    A server that takes only so many connections refuses the others. That is no failure
    of a granule as long as another session is open.

    Attributes
    ----------
    username, password : str
    timeout : float
        Longest silence, seconds.
    accepted_key : str or None
        Fingerprint of a host key that the user accepts (:mod:`seaice.sources.amsr2.host_keys`).
    """

    def __init__(
        self, username: str, password: str, *, timeout: float, accepted_key: str | None = None
    ) -> None:
        self.username = username
        self.password = password
        self.timeout = timeout
        self.accepted_key = accepted_key
        self._lock = threading.Lock()
        self._first_login = threading.Lock()
        self._open = self._opening = self._refusals = 0
        self._was_admitted = False
        self._rejection = ""  # why the account is no good
        self._key_noted = False

    def __repr__(self) -> str:  # never the password
        return f"LoginGate({self.username!r})"

    def is_full(self) -> bool:
        """Whether a refusal means that other sessions fill the server, not that it is closed.

        It does while a session is open, and after the first login also while other threads wait
        to be admitted: one of them may be admitted now. After many refusals in a row it does not.
        """
        others_wait = self._was_admitted and self._opening > 0 and self._refusals < _MOST_REFUSALS
        return self._open > 0 or others_wait

    @contextlib.contextmanager
    def count_attempt(self) -> Iterator[None]:
        """Count an attempt to open a session.

        Until the account is known to be good there is one attempt at a time, and none after
        it was rejected: servers lock accounts for that.

        Raises
        ------
        LoginRefused
            If the account was rejected before.
        """
        with contextlib.nullcontext() if self._was_admitted else self._first_login:
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
                    self._refusals += 1
                raise
            finally:
                with self._lock:
                    self._opening -= 1

    @property
    def was_admitted(self) -> bool:
        """Whether the account was accepted once."""
        return self._was_admitted

    def count_opened(self) -> None:
        """Count an opened session."""
        with self._lock:
            self._open += 1
            self._refusals = 0
            self._was_admitted = True

    def count_closed(self) -> None:
        """Count a closed session."""
        with self._lock:
            self._open -= 1

    def note_key(self, host: str, key: Any) -> None:
        """Log once the host and its key."""
        with self._lock:
            noted, self._key_noted = self._key_noted, True
        if not noted:
            logger.info("connected with %s, host key %s %s", host, key.get_name(), key.fingerprint)


class Session:
    """A connection that is opened when needed and kept; for one thread.

    Parameters
    ----------
    gate : LoginGate
    """

    def __init__(self, gate: LoginGate) -> None:
        self._gate = gate
        self._transport: Any = None
        self._sftp: Any = None

    def fetch(self, remote: str, part: Path, size: int | None, stop: threading.Event) -> int:
        """Fetch a remote file into ``part``, from its end on; returns the bytes that arrived.

        Raises
        ------
        Refused, LoginRefused
            If no session can be opened.
        Absent
            If the server has no such file.
        Interrupted
            If the connection broke; the bytes that arrived are kept.
        Stopped
            If ``stop`` is set.
        OSError
            If ``part`` cannot be written.
        """
        client = self._connect()
        try:
            with _explain_errors(remote):
                file = client.open(remote, "rb", bufsize=0)
                remote_size = int(file.stat().st_size)
        except (Interrupted, Refused):
            self.close()
            raise
        if size is not None and remote_size != size:
            with _explain_errors(remote):
                file.close()
            raise Interrupted(f"the server's file has {remote_size} bytes, the catalogue says {size}")
        try:
            return self._stream(file, part, remote_size, stop)
        except BaseException:
            self.close()  # answers to what was asked for may still be under way
            raise

    def _stream(self, file: Any, part: Path, size: int, stop: threading.Event) -> int:
        offset = part.stat().st_size if part.exists() else 0
        if offset > size:
            part.unlink()
            offset = 0
        received = 0
        with part.open("ab") as out:
            with _explain_errors(part.name):
                file.seek(offset)
                _request_rest(file, size)
            began = time.monotonic()
            while offset + received < size:
                if stop.is_set():
                    raise Stopped("stopped")
                with _explain_errors(part.name):
                    block = file.read(min(_BLOCK, size - offset - received))
                if not block:
                    raise Interrupted(f"the file ended after {offset + received} of {size} bytes")
                out.write(block)
                received += len(block)
                seconds = time.monotonic() - began
                if seconds > 2 * self._gate.timeout and received < _SLOWEST * seconds:
                    raise Interrupted(f"only {received / seconds / 1e3:.1f} kB/s came")
        with _explain_errors(part.name):
            file.close()
        return received

    def _connect(self) -> Any:
        """Return the SFTP client, connected anew where needed."""
        if self._sftp is not None and self._transport.is_active():
            return self._sftp.client
        self.close()
        with self._gate.count_attempt():
            return self._open()

    def _open(self) -> Any:
        import gportal
        import paramiko

        host, port, gate = gportal.SFTP.HOST, gportal.SFTP.PORT, self._gate
        host_keys = _explain_keys(lambda: HostKeys(host, port, gate.accepted_key))
        try:
            connection = socket.create_connection((host, port), timeout=gate.timeout)
        except OSError as error:
            raise Refused(f"no connection with {host}:{port} ({error.strerror or error})") from None
        transport = None
        try:
            transport = paramiko.Transport(connection, default_window_size=_WINDOW)
            _silence_log(transport)
            self._log_in(transport, host, host_keys)
            client = _open_sftp(transport, gate.timeout)
        except BaseException as error:
            if transport is None:
                connection.close()
            else:
                transport.close()
            if isinstance(error, paramiko.AuthenticationException) and not isinstance(
                error, paramiko.ssh_exception.BadAuthenticationType | paramiko.PasswordRequiredException
            ):
                raise self._explain_refusal(error, host) from None
            if isinstance(error, paramiko.SSHException | paramiko.SFTPError | OSError | EOFError):
                reason = " ".join(str(error).split()) or type(error).__name__
                raise Refused(f"{host}:{port} does not let us in ({reason})") from None
            raise
        self._transport, self._sftp = transport, gportal.SFTP(client)
        gate.count_opened()
        return client

    def _log_in(self, transport: Any, host: str, host_keys: HostKeys) -> None:
        timeout = self._gate.timeout
        options = transport.get_security_options()
        options.key_types = host_keys.sort_algorithms(options.key_types)
        transport.banner_timeout = transport.auth_timeout = timeout
        transport.start_client(timeout=timeout)
        key = transport.get_remote_server_key()
        _explain_keys(lambda: host_keys.check(key))
        self._gate.note_key(host, key)
        transport.auth_password(self._gate.username, self._gate.password)

    def _explain_refusal(self, error: Exception, host: str) -> Exception:
        reason = " ".join(str(error).split()) or type(error).__name__
        broken = any(word in reason for word in ("timeout", "EOF", "shut down"))
        if self._gate.was_admitted or broken:  # it is not the account
            return Refused(f"{host} refuses the login for now ({reason})")
        return LoginRefused(
            f"{host} does not accept the account {self._gate.username!r} ({reason}): check "
            "GPORTAL_USERNAME and GPORTAL_PASSWORD, or ~/.netrc"
        )

    def close(self) -> None:
        """Close the connection, not only the channel."""
        if self._transport is None:
            return
        transport, self._transport, self._sftp = self._transport, None, None
        self._gate.count_closed()
        transport.close()
        transport.join(self._gate.timeout)  # a server that counts connections counts it until then


def _open_sftp(transport: Any, timeout: float) -> Any:
    """Open an SFTP client whose waits all end."""
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


def _request_rest(file: Any, size: int) -> None:
    """Ask for the rest of a file at once; without it every 32 kB cost a round trip.

    paramiko takes its reading ahead for complete when every request so far is answered, though
    more are to go out, and then fetches what it asks for ahead a second time, block by block.
    A request that no answer closes stands in its list until all the others are sent.
    """
    import paramiko

    send_requests, unanswered = file._prefetch_thread, file._prefetch_extents
    unanswered[-1] = (size, 0)

    def send_all(*arguments: Any) -> None:
        # The reader meets the same error and says it; here it would only be printed.
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            send_requests(*arguments)
        with file._prefetch_lock:
            del unanswered[-1]
            file._prefetch_done = not unanswered

    file._prefetch_thread = send_all
    file.prefetch(size)


def _silence_log(transport: Any) -> None:
    """Let paramiko raise its errors without printing them as well."""
    name = "seaice.ssh"
    logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    transport.set_log_channel(name)


def _explain_keys(compare: Callable[[], Result]) -> Result:
    """Call a function; what it refuses ends the run before the password is sent."""
    try:
        return compare()
    except InputError as error:
        raise LoginRefused(str(error)) from None


@contextlib.contextmanager
def _explain_errors(file: str) -> Iterator[None]:
    """Turn errors of the server and the connection into the exceptions of this module."""
    import paramiko

    try:
        yield
    except TimeoutError:
        raise Interrupted("the server fell silent") from None
    except (EOFError, paramiko.SSHException, paramiko.SFTPError) as error:
        reason = " ".join(str(error).split()).rstrip(": ") or "the connection broke"
        raise Interrupted(reason) from None
    except FileNotFoundError:
        raise Absent(f"the server has no {file}") from None
    except OSError as error:
        if error.errno == errno.EACCES:
            raise Interrupted(f"the server denies {file}") from None
        raise Interrupted(error.strerror or str(error) or "the connection broke") from None
