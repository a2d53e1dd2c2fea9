"""Fetching files by HTTP: each is verified and appears whole or not at all.

A body streams into the hidden sibling ``.NAME.part``. What its server said about that
version of the file (address, size, ETag, Last-Modified) is noted beside it, so that a
later attempt, in this run or after a kill, continues with a Range request that holds
only while the file upstream is still the same (If-Range, RFC 9110, section 13.1.5).
The final name appears by a rename, after the length and the caller's check.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import seaice
from seaice import InputError
from seaice.download.mirrors import (
    MIRROR_POLICY,
    HostSearch,
    Pauses,
    TransferError,
    get_host,
)
from seaice.download.partial_file import (
    Identity,
    PartialFile,
    strip_login,
)
from seaice.download.responses import (
    NotThere,
    Refused,
    Transient,
    explain,
    explain_unusable,
    judge_answer,
    read_identity,
    refuse_downgrade,
)
from seaice.download.retry import RetryPolicy, Stopped, pause
from seaice.runtime.atomic_write import (
    HeldByAnother,
    exclusive,
)
from seaice.runtime.digests import digest_file

if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)

Check = Callable[[Path], object]

_CHUNK = 64 * 1024
LONGEST_FILE = 1 << 40  # bytes
_CONNECT_TIMEOUT = 10.0  # seconds; a host that runs answers the handshake well within
# A body slower than this over one time-out is stalled, though no single read timed out.
_LEAST_BYTES_PER_SECOND = 100


class Busy(TransferError):
    """Another process is fetching the same file at this moment."""


@dataclass(frozen=True)
class Fetched:
    """A finished transfer.

    Attributes
    ----------
    identity : Identity
        Identity of the version that was fetched; ``size`` is the size of the file.
    sha256 : str
        SHA-256 of the whole file, hexadecimal.
    received : int
        Bytes that came over the line, all attempts together.
    continued : int
        Bytes taken over from an earlier, broken attempt.
    """

    identity: Identity
    sha256: str
    received: int
    continued: int


@contextmanager
def claim_file(path: Path) -> Iterator[None]:
    """Hold the right to fetch ``path`` among all threads and processes.

    Raises
    ------
    Busy
        If another one holds it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(path))
        except HeldByAnother as error:
            raise Busy(str(error)) from None
        yield


class Fetcher:
    """Fetches files one after the other; make one per thread, with its own session.

    Parameters
    ----------
    policy : RetryPolicy, optional
    pauses : Pauses, optional
        Share one among the workers of a run.
    stop : threading.Event, optional
        When set, waits and transfers end with :class:`Stopped` as soon as they notice.
    """

    def __init__(
        self,
        *,
        policy: RetryPolicy = MIRROR_POLICY,
        pauses: Pauses | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        import requests

        self._policy = policy
        self._pauses = pauses or Pauses()
        self._stop = stop or threading.Event()
        self._received, self._limit = 0, LONGEST_FILE
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"seaice-toolbox/{seaice.__version__}"
        self._session.max_redirects = 5
        self._answers: list[requests.Response] = []  # of one request, with its redirects
        self._session.hooks["response"] = [self._note_answer, refuse_downgrade]
        # A packed body has another length than the file and cannot be continued.
        self._session.headers["Accept-Encoding"] = "identity"

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def fetch(
        self,
        urls: Sequence[str],
        path: Path,
        *,
        check: Check | None = None,
        local: Identity | None = None,
        fresh: bool = False,
        limit: int = LONGEST_FILE,
    ) -> Fetched | None:
        """Fetch one file from the first host that has it; hold :func:`claim_file` meanwhile.

        Parameters
        ----------
        urls : sequence of str
            The same file at several hosts, in order of preference. The next is asked
            when one fails or does not have the file; a failed one is asked again later.
        path : Path
            Final name; its folder must exist.
        check : callable, optional
            Called with the complete partial file before it gets its name; raises
            InputError with the reason when the content is no good.
        local : Identity, optional
            The version already at ``path``; only another one is fetched.
        fresh : bool
            Do not continue a partial file.
        limit : int
            Bytes that no such file can have: more are refused, whatever a server announces.

        Returns
        -------
        Fetched or None
            None when ``local`` is still the version upstream.

        Raises
        ------
        AbsentUpstream, Stopped, TransferError
            See there. What stood at ``path`` is untouched.
        OSError
            If the file cannot be written.
        """
        self._received, self._limit = 0, limit
        partial = PartialFile(path)
        if fresh:
            partial.discard()
        return self._fetch_from_any(urls, partial, check, local)

    def _fetch_from_any(
        self, urls: Sequence[str], partial: PartialFile, check: Check | None, local: Identity | None
    ) -> Fetched | None:
        search = HostSearch(urls, self._policy, self._pauses, partial_bytes=partial.size)
        while search.is_open:
            url, wait = search.choose_next()
            pause(wait, self._stop)
            try:
                return self._fetch_from(url, partial, check, local)
            except Refused as error:
                search.note_refusal(url, error)
            except Transient as error:
                next_step = search.note_failure(url, error, partial_bytes=partial.size)
                level = logging.INFO if error.answered else logging.DEBUG
                logger.log(level, "%s: %s at %s; %s", partial.name, error, get_host(url), next_step)
        raise search.make_error()

    def _fetch_from(
        self, url: str, partial: PartialFile, check: Check | None, local: Identity | None
    ) -> Fetched | None:
        offset, identity = partial.find_resumable(url)
        headers: dict[str, str] = {}
        if identity is not None:
            headers = {"Range": f"bytes={offset}-", "If-Range": identity.validator}
        elif local is not None:
            headers = local.make_conditions(strip_login(url))
        with self._ask(url, headers) as response:
            if response.status_code == 304 and "Range" not in headers and headers:
                return None
            try:
                judge_answer(response, offset, identity)
            except (NotThere, Transient) as error:
                if isinstance(error, NotThere) or error.at_once:
                    partial.discard()
                raise
            if identity is None or response.status_code == 200:
                offset, identity = 0, read_identity(url, response)
                if local is not None and local.is_same_version(identity):
                    return None
                if identity.size is not None and identity.size > self._limit:
                    raise Refused(f"{identity.size} bytes are announced; no such file has so many")
                partial.begin(identity)
            self._receive(response, partial, identity)
        _verify(partial, identity, check, continued=offset > 0)
        identity = replace(identity, size=partial.size)
        digest = digest_file(partial.path)
        partial.finish()
        return Fetched(identity, digest, self._received, offset)

    def _receive(self, response: requests.Response, partial: PartialFile, identity: Identity) -> None:
        """Append the body to the partial file; what cannot be continued is not kept."""
        try:
            with partial.append() as file:
                self._stream(response, file, room=self._limit - partial.size)
        except BaseException as error:
            has_no_end = isinstance(error, OSError) and identity.size is None
            if has_no_end or isinstance(error, Refused) or not identity.validator:
                partial.discard()
            raise

    @contextmanager
    def _ask(self, url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
        try:
            response = self._get(url, headers)
            self._pauses.note_answer(url)
            yield response
        finally:
            # The library leaves an answer open whose redirect it cannot follow.
            for answer in self._answers:
                answer.close()
            self._answers.clear()

    def _get(self, url: str, headers: dict[str, str]) -> requests.Response:
        import requests

        timeout = (min(_CONNECT_TIMEOUT, self._policy.timeout), self._policy.timeout)
        try:
            return self._session.get(url, headers=headers, stream=True, timeout=timeout)
        except requests.RequestException as error:
            raise explain(error) from None
        except (ValueError, LookupError, ArithmeticError) as error:  # an address that no parser takes
            raise explain_unusable(error) from None

    def _note_answer(self, response: requests.Response, **options: object) -> None:
        self._answers.append(response)

    def _stream(self, response: requests.Response, file: BinaryIO, *, room: int) -> None:
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        start, count = time.monotonic(), 0
        while True:
            if self._stop.is_set():
                raise Stopped("stopped")
            try:
                data = response.raw.read1(_CHUNK, decode_content=True)
            except ReadTimeoutError:
                raise Transient(f"silent for {self._policy.timeout:g} s within the body") from None
            except (HTTPError, OSError):
                raise Transient("the connection broke within the body") from None
            if not data:
                return
            room -= len(data)
            if room < 0:
                raise Refused(f"more than {self._limit} bytes came; no such file has so many")
            file.write(data)
            self._received += len(data)
            count += len(data)
            elapsed = time.monotonic() - start
            if elapsed > self._policy.timeout:
                if count < _LEAST_BYTES_PER_SECOND * elapsed:
                    raise Transient(f"only {count} bytes in {elapsed:.0f} s")
                start, count = time.monotonic(), 0


def _check_content(check: Check, path: Path) -> None:
    """Call a check; whatever a library raises on the content is a reason against it."""
    try:
        check(path)
    except (InputError, OSError):
        raise
    except Exception as error:
        logger.debug("%s", path, exc_info=True)
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"unexpected {type(error).__name__}: {reason}") from error


def _verify(partial: PartialFile, identity: Identity, check: Check | None, *, continued: bool) -> None:
    size = partial.size
    if identity.size is not None and size < identity.size:
        raise Transient(f"the body ended after {size} of {identity.size} bytes")
    try:
        if identity.size is not None and size > identity.size:
            raise InputError(f"{size} bytes came where {identity.size} were announced")
        if check is not None:
            _check_content(check, partial.path)
    except InputError as error:
        partial.discard()
        if continued:  # the fault may lie in the old part
            raise Transient(f"{error} (after continuing a partial file)", at_once=True) from None
        raise Refused(str(error)) from None
