"""The meaning of an HTTP answer, or of none, for a transfer: final, absent, or worth another attempt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from seaice.download.partial_file import (
    Identity,
    strip_login,
)

if TYPE_CHECKING:
    import requests


# Encodings of a body that it may come in though none was asked for; a bomb of others is worse.
_PACKINGS = ("", "identity", "gzip", "x-gzip", "deflate")
_LONGEST_REASON = 100  # characters of a phrase of a server in messages


class Refused(Exception):
    """The answer is final; asking this host again would not help."""


class NotThere(Refused):
    """The host has no such file (404 or 410)."""


class Transient(Exception):
    """A failure that another attempt may overcome.

    Attributes
    ----------
    retry_after : float or None
        Seconds the server asks to wait.
    answered : bool
        False when the host could not be reached at all.
    at_once : bool
        No need to wait before the next attempt.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after: float | None = None,
        answered: bool = True,
        at_once: bool = False,
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.answered = answered
        self.at_once = at_once


def read_retry_after(value: str | None, *, current_time: datetime | None = None) -> float | None:
    """Read a Retry-After header: seconds or an HTTP date; None if absent or unreadable.

    Examples
    --------
    >>> read_retry_after("120")
    120.0
    >>> noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    >>> read_retry_after("Mon, 01 Jan 2024 12:00:30 GMT", current_time=noon)
    30.0
    """
    if not value:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, ArithmeticError, LookupError):
        return None
    return max(0.0, (moment - (current_time or datetime.now(UTC))).total_seconds())


def read_identity(url: str, response: requests.Response) -> Identity:
    """Read which version of the file a full answer (200) brings."""
    headers = response.headers
    if headers.get("Content-Encoding", "identity") != "identity":
        # Length and validators are those of the packed form, not of the file.
        return Identity(strip_login(url), None)
    size = headers.get("Content-Length", "")
    return Identity(
        strip_login(url),
        int(size) if re.fullmatch(r"[0-9]{1,18}", size) else None,
        headers.get("ETag", ""),
        headers.get("Last-Modified", ""),
    )


def judge_answer(response: requests.Response, offset: int, part: Identity | None) -> None:
    """Let pass only an answer that brings the file, or the rest of it if that was asked for.

    Parameters
    ----------
    response : requests.Response
    offset : int
        First byte of the rest that was asked for.
    part : Identity or None
        Version of the partial file; None if the whole file was asked for.

    Raises
    ------
    NotThere, Refused, Transient
    """
    status = response.status_code
    packing = response.headers.get("Content-Encoding", "identity").strip().lower()
    if status in (200, 206) and packing not in _PACKINGS:
        raise Refused(f"the body is packed as {packing[:_LONGEST_REASON]}, which was not asked for")
    if status == 200:
        return
    if status == 206 and part is not None:
        if _is_continuation(response, offset, part):
            return
        raise Transient("the rest does not fit the partial file: starting over", at_once=True)
    text = f"HTTP {status} {(response.reason or '')[:_LONGEST_REASON]}".rstrip()
    if status in (404, 410):
        raise NotThere(text)
    if status == 416 and part is not None:
        raise Transient(f"{text}: starting over", at_once=True)
    if status in (408, 425, 429) or status >= 500:
        raise Transient(text, retry_after=read_retry_after(response.headers.get("Retry-After")))
    raise Refused(text)


def _is_continuation(response: requests.Response, offset: int, part: Identity) -> bool:
    headers = response.headers
    match = re.fullmatch(
        r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", headers.get("Content-Range", "").strip()
    )
    if match is None or int(match[1]) != offset:
        return False
    if match[3] != "*" and part.size not in (None, int(match[3])):
        return False
    if headers.get("Content-Encoding", "identity") != "identity":
        return False
    return all(
        not noted or headers.get(name, noted) == noted
        for name, noted in (("ETag", part.etag), ("Last-Modified", part.last_modified))
    )


def explain(error: requests.RequestException) -> Refused | Transient:
    """Put a failed request in words, without the address, which may hold a password."""
    import http.client
    import socket
    import ssl

    import requests

    causes = list(_iterate_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return Refused("the TLS certificate of the host is not valid")
    if isinstance(error, requests.ConnectTimeout):
        return Transient("no connection in time", answered=False)
    if isinstance(error, requests.Timeout):
        return Transient("no answer in time", answered=False)
    if isinstance(error, requests.exceptions.ProxyError):
        return Transient("the proxy does not answer", answered=False)
    if isinstance(error, requests.ConnectionError):
        for cause in causes:
            if isinstance(cause, http.client.RemoteDisconnected):
                return Transient("the host closed the connection without an answer", answered=False)
            if isinstance(cause, socket.gaierror):
                return Transient("the name of the host cannot be resolved", answered=False)
            if isinstance(cause, OSError) and cause.errno and cause.strerror:
                return Transient(cause.strerror.lower(), answered=False)
        return Transient("the connection failed", answered=False)
    if isinstance(error, requests.TooManyRedirects):
        return Refused("redirected without end")
    return explain_unusable(error)


def explain_unusable(error: Exception) -> Refused:
    """Put an address or answer that cannot be used in words, without the address."""
    return Refused(f"not a usable address or answer ({type(error).__name__})")


def refuse_downgrade(response: requests.Response, **options: object) -> None:
    """Follow no redirect from https to http, where anybody on the way could change the file."""
    if not response.is_redirect or urlsplit(response.url).scheme != "https":
        return
    target = urljoin(response.url, response.headers["location"])
    if urlsplit(target).scheme != "https":
        raise Refused("redirected from https to http, which is not followed")


def _iterate_causes(error: BaseException) -> Iterator[BaseException]:
    visited: set[int] = set()
    queue: list[object] = [error]
    while queue:
        item = queue.pop(0)
        if isinstance(item, BaseException) and id(item) not in visited:
            visited.add(id(item))
            yield item
            queue += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
