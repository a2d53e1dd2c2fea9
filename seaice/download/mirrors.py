"""Hosts with the same files: which one to ask, when, and how often."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from seaice.download.partial_file import strip_login
from seaice.download.responses import (
    NotThere,
    Refused,
    Transient,
)
from seaice.download.retry import PROGRESS, RetryPolicy

# Retries while no host has ever answered: likely there is no network, or the address is wrong.
_RETRIES_WITHOUT_ANSWER = 3

logger = logging.getLogger(__name__)


def get_host(url: str) -> str:
    """Return name and port of the host, without user name and password."""
    return urlsplit(strip_login(url)).netloc


class TransferError(Exception):
    """A file could not be fetched; the message is the reason, address by address.

    ``unreachable`` is True when no host gave any answer at all.
    """

    unreachable = False


class AbsentUpstream(TransferError):
    """A host says that it has no such file (404 or 410), and none says otherwise.

    ``everywhere`` is False when another host gave no such answer.
    """

    everywhere = True


# Many workers ask the same hosts: they wait shortly and not all for the same time.
MIRROR_POLICY = RetryPolicy(retries=6, delay=1.0, longest_delay=60.0, jitter=(0.5, 1.0), timeout=30.0)


class Pauses:
    """The hosts that are not asked for a while; shared by all workers of a run.

    A host that asks for patience is waited for. One that gives no answer is put behind
    the others for a while that grows with each silence, so that a dead first host does
    not cost every file a time-out.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}
        self._silences: dict[str, int] = {}
        self._avoid_until: dict[str, float] = {}
        self._any_answered = False

    def pause(self, url: str, seconds: float) -> None:
        """Ask nothing of the host of ``url`` for at least so long."""
        host, until = urlsplit(url).netloc, time.monotonic() + seconds
        with self._lock:
            self._until[host] = max(until, self._until.get(host, 0.0))

    def get_end(self, url: str) -> float:
        """Return the end of the pause of the host of ``url`` on the monotonic clock."""
        return self._until.get(urlsplit(url).netloc, 0.0)

    def note_silence(self, url: str, policy: RetryPolicy, reason: str) -> None:
        """Note that the host of ``url`` gave no answer."""
        host = urlsplit(url).netloc
        with self._lock:
            count = self._silences[host] = self._silences.get(host, 0) + 1
            self._avoid_until[host] = time.monotonic() + policy.draw_delay(count)
        if count == 1:  # once, not for every file and attempt
            logger.warning("%s: %s; trying again, without further messages", get_host(url), reason)

    def note_answer(self, url: str) -> None:
        """Note that the host of ``url`` gave an answer."""
        self._any_answered = True
        with self._lock:
            was_silent = self._silences.pop(urlsplit(url).netloc, None)
        if was_silent:
            logger.info("%s answers again", get_host(url))

    @property
    def any_answered(self) -> bool:
        """Whether any host gave an answer since the beginning."""
        return self._any_answered

    def is_avoided(self, url: str) -> bool:
        """Whether to ask other hosts first."""
        host = urlsplit(url).netloc
        return host in self._silences and time.monotonic() < self._avoid_until[host]


class HostSearch:
    """The search for one file among its hosts: which one to ask next, and the answers so far.

    Parameters
    ----------
    urls : sequence of str
        In order of preference.
    policy : RetryPolicy
    pauses : Pauses
    partial_bytes : int
        Bytes of the file that an earlier attempt has left.
    """

    def __init__(
        self, urls: Sequence[str], policy: RetryPolicy, pauses: Pauses, *, partial_bytes: int
    ) -> None:
        self._policy = policy
        self._pauses = pauses
        self._furthest = partial_bytes
        self._failures = dict.fromkeys(urls, 0)  # hosts still to ask
        self._not_before = dict.fromkeys(urls, 0.0)
        self._reasons: dict[str, Refused | Transient] = {}

    @property
    def is_open(self) -> bool:
        """Whether there is a host left to ask."""
        return bool(self._failures)

    def choose_next(self) -> tuple[str, float]:
        """Choose the address to ask now; returns it and the seconds to wait before."""
        current_time = time.monotonic()
        ready = {
            u: max(current_time, self._not_before[u], self._pauses.get_end(u)) for u in self._failures
        }
        # The first of those that are ready: min() keeps the order of preference.
        url = min(ready, key=lambda u: (self._pauses.is_avoided(u), ready[u]))
        return url, ready[url] - current_time

    def note_refusal(self, url: str, error: Refused) -> None:
        """Note a final answer."""
        self._reasons[url] = error
        del self._failures[url]

    def note_failure(self, url: str, error: Transient, *, partial_bytes: int) -> str:
        """Note a failure that may pass; returns in words what comes next."""
        self._reasons[url] = error
        self._failures[url] += 1
        if not error.answered:
            self._pauses.note_silence(url, self._policy, str(error))
        # Only bytes beyond the furthest count: a server that always breaks off and
        # cannot continue would else be asked for ever.
        progress = partial_bytes >= self._furthest + PROGRESS
        if progress:
            self._failures[url], self._furthest = 0, partial_bytes
        allowed = self._policy.retries
        if self._is_absent_somewhere:
            allowed = 0  # where one host says 404, another that fails is not waited for
        elif not self._pauses.any_answered:
            allowed = min(allowed, _RETRIES_WITHOUT_ANSWER)
        failures = self._failures[url]
        if failures > allowed:
            del self._failures[url]
            return "given up" if allowed else "not tried again"
        delay = 0.0 if progress or error.at_once else self._policy.draw_delay(failures)
        if error.retry_after is not None:
            delay = max(delay, min(error.retry_after, self._policy.longest_retry_after))
            self._pauses.pause(url, delay)  # for all files: it is the host that needs rest
        self._not_before[url] = time.monotonic() + delay
        return f"retry {failures} of {allowed} in {delay:.1f} s" if failures else "continuing"

    @property
    def _is_absent_somewhere(self) -> bool:
        return any(isinstance(reason, NotThere) for reason in self._reasons.values())

    def make_error(self) -> TransferError:
        """Return the error to raise when no host is left."""
        reasons = self._reasons.values()
        urls: dict[str, list[str]] = {}
        for url, reason in self._reasons.items():
            urls.setdefault(str(reason), []).append(strip_login(url))
        text = "; ".join(f"{reason} ({' and '.join(who)})" for reason, who in urls.items())
        if self._is_absent_somewhere and all(isinstance(r, NotThere | Transient) for r in reasons):
            absent = AbsentUpstream(text)
            absent.everywhere = all(isinstance(r, NotThere) for r in reasons)
            return absent
        error = TransferError(text)
        error.unreachable = all(isinstance(r, Transient) and not r.answered for r in reasons)
        return error
