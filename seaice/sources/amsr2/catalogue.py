"""The catalogue of JAXA G-Portal: granules of Level 1B and 1R, through the gportal package.

References
----------
JAXA, G-Portal User's Manual, appendix 7 (catalogue service), https://gportal.jaxa.jp.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

from seaice import InputError
from seaice.download.responses import explain
from seaice.download.retry import (
    DEFAULT_POLICY,
    GaveUp,
    RetryPolicy,
    Stopped,
    retry,
)
from seaice.report import listing
from seaice.sources.amsr2.sensors import SENSORS, GranuleName, Level, Sensor
from seaice.sources.amsr2.swath import (
    as_text,
    as_utc,
)

logger = logging.getLogger(__name__)

Orbit = Literal["A", "D", "both"]

_HALF_ORBIT = len("GW1AM2_YYYYMMDDHHMM_PPPX")  # of any sensor
_PAGE = 500
_SPAN = timedelta(days=31)  # asked for at a time: a failure repeats no more than this
_LONGEST_GRANULE = timedelta(hours=1)


# Raised while an answer is taken apart that is JSON of another form, or none, or too deep.
_NO_LIST = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class CatalogueError(InputError):
    """The catalogue gives no usable answer; the message is the reason."""


@dataclass(frozen=True)
class Listed:
    """A granule in the catalogue.

    Attributes
    ----------
    granule_id : str
    remote : str
        Path on the SFTP server, or of a local file.
    size : int or None
        Bytes; None where the catalogue does not say.
    start : datetime
        UTC, of the first scan that is not overlap.
    orbit_type : str
        "A" or "D".
    """

    granule_id: str
    remote: str
    size: int | None
    start: datetime
    orbit_type: str


def search_granules(
    *,
    start: datetime,
    end: datetime,
    sensor: str = "AMSR2",
    level: Level = "L1B",
    orbit: Orbit = "both",
    bbox: Sequence[float] | None = None,
    retry_policy: RetryPolicy = DEFAULT_POLICY,
    stop: threading.Event | None = None,
) -> list[Listed]:
    """Search the granules of a date range, in order of time.

    A granule belongs to the range in which its nominal part starts, so that ranges that
    follow each other share none. Of several versions of one half orbit the newest is taken.

    Parameters
    ----------
    start, end : datetime
        UTC; first and last second.
    sensor : str
        One of :data:`seaice.sources.amsr2.sensors.SENSORS`.
    level : {"L1B", "L1R"}
    orbit : {"A", "D", "both"}
    bbox : sequence of four float, optional
        West, south, east, north in degrees: only granules that meet it.
    retry_policy : RetryPolicy
    stop : threading.Event, optional

    Raises
    ------
    CatalogueError
        If the catalogue gives no usable answer.
    Stopped
        If ``stop`` was set.
    """
    stop = stop or threading.Event()
    listed: list[Listed] = []
    request = _make_request(SENSORS[sensor], level)
    first = max(start, request.sensor.first) - _LONGEST_GRANULE
    until = min(end, datetime.now(UTC) + timedelta(days=1)) + timedelta(seconds=1)
    while first < until:
        last = min(until, first + _SPAN)
        listed += _search_span(request, first, last, bbox, retry_policy, stop)
        first = last
    return select_newest(
        granule
        for granule in listed
        if start <= granule.start
        and granule.start - timedelta(seconds=1) < end
        and orbit in ("both", granule.orbit_type)
    )


def select_newest(granules: Iterable[Listed]) -> list[Listed]:
    """Select the newest version of each half orbit, standard before near real time; by time."""
    # So the ids sort. Of two files of one id the smaller one may be cut.
    ordered = sorted(granules, key=lambda granule: (granule.granule_id, granule.size or 0))
    return list({granule.granule_id[:_HALF_ORBIT]: granule for granule in ordered}.values())


@dataclass(frozen=True)
class _Request:
    """A dataset on G-Portal, and which names belong to it."""

    sensor: Sensor
    level: Level

    @property
    def dataset(self) -> str:
        return self.sensor.datasets[self.level]

    def has(self, name: GranuleName | None) -> bool:
        return name is not None and (name.sensor, name.level) == (self.sensor.name, self.level)


def _make_request(sensor: Sensor, level: Level) -> _Request:
    if level not in sensor.datasets:
        names = ", ".join(name for name, listed in SENSORS.items() if listed.datasets)
        raise InputError(
            f"expected a sensor with granules on G-Portal ({names}), found {sensor.name}, whose dataset "
            "there is not known"
        )
    return _Request(sensor, level)


def _search_span(
    request: _Request,
    start: datetime,
    end: datetime,
    bbox: Sequence[float] | None,
    retry_policy: RetryPolicy,
    stop: threading.Event,
) -> list[Listed]:
    try:
        return retry(
            lambda: list(_iterate_granules(request, start, end, bbox, retry_policy.timeout, stop)),
            retry_policy,
            stop=stop,
            errors=(CatalogueError,),
            may_pass=_may_pass,
            announce=lambda error, failures: logger.warning(
                "%s; trying again (%d of %d)", error, failures, retry_policy.retries
            ),
        )
    except GaveUp as end:
        raise end.error from end.error.__cause__


def _may_pass(error: Exception) -> bool:
    """Whether the same search may succeed later."""
    status = getattr(getattr(error.__cause__, "response", None), "status_code", None)
    return status is None or status == 429 or status >= 500


def _iterate_granules(
    request: _Request,
    start: datetime,
    end: datetime,
    bbox: Sequence[float] | None,
    timeout: float,
    stop: threading.Event,
) -> Iterator[Listed]:
    import gportal
    import requests

    search = gportal.search(
        dataset_ids=[request.dataset],
        bbox=list(bbox) if bbox else None,
        start_time=f"{start:%Y-%m-%dT%H:%M:%S}Z",
        end_time=f"{end:%Y-%m-%dT%H:%M:%S}Z",
        count=_PAGE,
        timeout=timeout,
    )
    count, foreign = 0, []
    try:
        for page in search.pages():
            if stop.is_set():
                raise Stopped("stopped")
            numbers, features = page["properties"], page["features"]
            for feature in features:
                product = gportal.product.Product(feature, convert_types=False)
                if request.has(GranuleName.parse(str(product.id))):
                    yield _read_product(product)
                else:
                    foreign.append(str(product.id))
            count += len(features)
            returned, matched = numbers["numberOfRecordsReturned"], numbers["numberOfRecordsMatched"]
            if len(features) < returned or (not returned and count < matched):
                # The package would ask for ever, or a granule would be lost.
                raise CatalogueError(f"the catalogue says {matched} granules and lists {count}")
        if foreign:
            logger.warning(
                "what is no granule of %s %s is left out of the catalogue: %s",
                request.sensor.name,
                request.level,
                listing(foreign),
            )
    except CatalogueError:
        raise
    except _NO_LIST as error:
        raise CatalogueError(
            f"the G-Portal catalogue answers something that is no list of granules ({_explain(error)})"
        ) from error
    except requests.RequestException as error:
        raise CatalogueError(f"no answer from the G-Portal catalogue ({_explain(error)})") from error


def _read_product(product: Any) -> Listed:
    name, remote = GranuleName.parse(str(product.id)), product.data_path
    if name is None or not remote:
        raise CatalogueError(f"the catalogue does not say where the file is: {product.id}")
    size = product.properties["product"].get("size")
    begin = product.properties.get("beginPosition")
    start = as_utc(str(begin)) if begin else name.start
    return Listed(name.granule_id, remote, _as_bytes(size), start, name.orbit_type)


def _as_bytes(size: Any) -> int | None:
    try:
        return int(float(size)) or None
    except (TypeError, ValueError, OverflowError):
        return None


def _explain(error: Exception) -> str:
    import requests

    status = getattr(getattr(error, "response", None), "status_code", None)
    if status:
        return f"HTTP {status}"
    if isinstance(error, requests.RequestException) and not isinstance(error, ValueError):
        return str(explain(error))
    return " ".join(str(error).split())[:150]


def find_gaps(
    granules: Sequence[Listed],
    *,
    start: datetime,
    end: datetime,
    orbit: Orbit,
    sensor: str = "AMSR2",
) -> list[tuple[datetime, datetime]]:
    """Find spans of a date range in which a half orbit should begin and none does.

    For granules of a folder, where no catalogue says which ones should be in it.
    """
    step = timedelta(minutes=49.4 if orbit == "both" else 98.9)
    first, last = max(start, SENSORS[sensor].first), min(end, datetime.now(UTC))
    times = [first - step / 4, *(granule.start for granule in granules), last + step / 4]
    return [(before, after) for before, after in pairwise(times) if after - before > 1.5 * step]


def find_account(
    username: str | None,
    password: str | None,
    *,
    ask: Callable[[str, bool], str] | None = None,
) -> tuple[str, str]:
    """Find user name and password of G-Portal: as passed, else in ~/.netrc, else asked for.

    Parameters
    ----------
    username, password : str or None
        User name and password from the environment; None if not set.
    ask : callable, optional
        Asks a person; takes the question and whether the answer is secret.

    Raises
    ------
    InputError
        If there is no account.
    """
    import netrc

    import gportal

    if username and password:
        return username, password
    try:
        entry = netrc.netrc().authenticators(gportal.SFTP.HOST)
    except (OSError, netrc.NetrcParseError) as error:
        if not isinstance(error, FileNotFoundError):
            logger.warning("~/.netrc is not used: %s", _explain_netrc_error(error))
        entry = None
    if entry and entry[0] and entry[2] and username in (None, "", entry[0]):
        return entry[0], entry[2]
    if ask is not None:
        name = username or ask("G-Portal user name: ", False)
        password = ask("G-Portal password: ", True) if name else ""
        if password:
            return name, password
    raise InputError(
        "expected a G-Portal account, found none: set GPORTAL_USERNAME and GPORTAL_PASSWORD, or add "
        f"«machine {gportal.SFTP.HOST} login NAME password PASSWORD» to ~/.netrc (accounts are free at "
        "https://gportal.jaxa.jp)"
    )


def _explain_netrc_error(error: Exception) -> str:
    """Explain an error in a netrc file without words of the file: one may be the password."""
    number = getattr(error, "lineno", None)
    line = f" in line {number}" if number else ""
    text = error.strerror if isinstance(error, OSError) else getattr(error, "msg", "")
    return f"{str(text).partition(chr(39))[0].partition(chr(34))[0].strip()}{line}"


def format_now() -> str:
    """Return the time now in UTC, as text."""
    return as_text(datetime.now(UTC))
