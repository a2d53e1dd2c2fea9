"""Search for ICESat-2 granules at NASA, and reading of them on S3.

Both use the earthaccess package. The search in the Common Metadata Repository needs no login, a
file needs an Earthdata account, and S3 can be read only from within the AWS region us-west-2.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from seaice import InputError
from seaice.sources.icesat2.earthdata import (
    LOGIN_HOST,
    explain_network_errors,
    import_earthaccess,
    log_in,
)
from seaice.sources.icesat2.names import GranuleName, select_newest_versions

logger = logging.getLogger(__name__)

# Seconds after which credentials of S3 are replaced; they are valid for an hour.
_CREDENTIALS_SECONDS = 50 * 60.0
_lock = threading.Lock()
# By provider: the time of the request (monotonic clock) and the credentials.
_credentials: dict[str, tuple[float, dict[str, str]]] = {}


@dataclass(frozen=True)
class CloudGranule:
    """A granule on S3; :func:`seaice.sources.icesat2.granule.read_granule` reads it like a file.

    It holds no login and no open file. It can therefore be sent to another process, which logs
    in from its own environment.

    Attributes
    ----------
    name : str
        File name.
    url : str
        Address, ``s3://bucket/key``.
    provider : str
        Provider whose credentials are needed, such as "NSIDC_CPRD".
    """

    name: str
    url: str
    provider: str

    def open(self) -> Any:
        """Open the granule as a file-like object for h5py.

        Raises
        ------
        InputError
            If there is no login, or no credentials are given.
        """
        self.get_credentials()  # fails with a clear message, which the file system does not
        return import_earthaccess().get_s3_filesystem(provider=self.provider).open(self.url, "rb")

    def get_credentials(self) -> Mapping[str, str]:
        """Get credentials of S3; new ones are requested before the last ones expire.

        Raises
        ------
        InputError
            If there is no login, or no credentials are given.
        """
        with _lock:
            request_time, credentials = _credentials.get(self.provider, (0.0, {}))
            if credentials and time.monotonic() - request_time < _CREDENTIALS_SECONDS:
                return credentials
            log_in()
            with explain_network_errors("the credentials of S3"):
                credentials = dict(import_earthaccess().get_s3_credentials(provider=self.provider))
            if "accessKeyId" not in credentials:
                raise InputError(
                    f"expected credentials of S3 for {self.provider}, found none: accept the licences "
                    f"of your account at https://{LOGIN_HOST}, or fetch the granules instead"
                )
            _credentials[self.provider] = time.monotonic(), credentials
            return credentials


@dataclass(frozen=True)
class ListedGranule:
    """A granule that the catalogue lists.

    Attributes
    ----------
    name : GranuleName
    url : str
        Address to fetch it from.
    cloud_url : str or None
        Address on S3; None if it is not on S3.
    provider : str
        Such as "NSIDC_CPRD".
    size : int or None
        Size in bytes; None if the catalogue does not state it exactly.
    """

    name: GranuleName
    url: str
    cloud_url: str | None
    provider: str
    size: int | None

    @property
    def file_name(self) -> str:
        """File name."""
        return f"{self.name.name}.h5"


def find_granules(
    *,
    short_name: str = "ATL10",
    version: str = "006",
    bbox: Sequence[float] | None = None,
    start: datetime,
    end: datetime,
) -> list[ListedGranule]:
    """Find the granules within a box and a span of time in the catalogue of NASA.

    Parameters
    ----------
    short_name : str
        "ATL10" or "ATL07".
    version : str
        Release, such as "006".
    bbox : sequence of four float, optional
        West, south, east, north in degrees; west may be greater than east.
    start, end : datetime
        Span of time; both with a time zone.

    Returns
    -------
    list of ListedGranule
        The newest version of each granule, in the order of start and name.

    Raises
    ------
    InputError
        If earthaccess is not installed or the catalogue gives no usable answer.
    """
    for timestamp in (start, end):
        if timestamp.tzinfo is None:
            raise InputError(f"expected a time with its zone (UTC), found {timestamp.isoformat()}")
    query: dict[str, Any] = {
        "short_name": short_name,
        "version": version,
        "temporal": (start.astimezone(UTC), end.astimezone(UTC)),
    }
    if bbox is not None:
        query["bounding_box"] = tuple(bbox)
    with explain_network_errors("the catalogue of NASA (CMR)"):
        answers = import_earthaccess().search_data(count=-1, **query)
        listed = [_parse_any_answer(answer) for answer in answers]
    by_name: dict[str, ListedGranule] = {}
    for granule in listed:
        # Two archives may list the same granule; the one on S3 can be read in both ways.
        if granule is not None and (granule.cloud_url or granule.file_name not in by_name):
            by_name[granule.file_name] = granule
    newest = select_newest_versions([granule.name for granule in by_name.values()])
    return [by_name[f"{name.name}.h5"] for name in newest]


def _parse_any_answer(answer: Any) -> ListedGranule | None:
    """Parse a granule of earthaccess; None, and a warning, if its entry is not as it should be."""
    try:
        return _parse_answer(answer)
    except Exception as error:  # the other granules are wanted all the same
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        logger.warning("the catalogue lists a granule that cannot be understood (%s)", reason)
        return None


def _parse_answer(answer: Any) -> ListedGranule | None:
    """Parse a granule of earthaccess; None if it has no file with the name of a granule."""
    for url in answer.data_links(access="external"):
        name = GranuleName.parse(url.rpartition("/")[2]) if url.endswith(".h5") else None
        if name is None:
            continue
        file_name = f"{name.name}.h5"
        cloud_urls = [
            link for link in answer.data_links(access="direct") if link.endswith(f"/{file_name}")
        ]
        return ListedGranule(
            name=name,
            url=url,
            cloud_url=cloud_urls[0] if cloud_urls else None,
            provider=str(answer["meta"]["provider-id"]),
            size=_get_size(answer, file_name),
        )
    logger.warning("the catalogue lists a granule without a file: %s", answer["meta"].get("native-id"))
    return None


def _get_size(answer: Any, file_name: str) -> int | None:
    """Get the size in bytes of a file of a granule; None if the catalogue does not state it."""
    parts = answer["umm"].get("DataGranule", {}).get("ArchiveAndDistributionInformation", [])
    sizes = [part.get("SizeInBytes") for part in parts if part.get("Name", file_name) == file_name]
    return int(sizes[0]) if sizes and sizes[0] else None


def open_in_place(granules: Sequence[ListedGranule]) -> list[CloudGranule]:
    """Open granules on S3 for reading, without fetching them.

    Raises
    ------
    InputError
        If there is no login, or a granule is not on S3.
    """
    absent = [granule.file_name for granule in granules if granule.cloud_url is None]
    if absent:
        raise InputError(
            f"expected granules on S3, {len(absent)} are not there, such as {absent[0]}: fetch them"
        )
    cloud_granules = [
        CloudGranule(granule.file_name, granule.cloud_url or "", granule.provider)
        for granule in granules
    ]
    if cloud_granules:
        cloud_granules[0].get_credentials()  # shows at once whether they can be read
    return cloud_granules
