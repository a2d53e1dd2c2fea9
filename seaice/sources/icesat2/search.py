"""ICESat-2 granules at NASA: which there are, and reading them in place.

Through the earthaccess package: the Common Metadata Repository is asked without a login, a
file needs an Earthdata account, and S3 can be read from within us-west-2 alone.
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
from seaice.sources.icesat2.names import (
    GranuleName,
    select_newest_versions,
)

logger = logging.getLogger(__name__)

_CREDENTIALS_HOLD = 50 * 60.0  # seconds; they are given for an hour
_lock = threading.Lock()
_credentials: dict[str, tuple[float, dict[str, str]]] = {}


@dataclass(frozen=True)
class CloudGranule:
    """A granule on S3; :func:`seaice.sources.icesat2.granule.read_granule` takes it like a path.

    It holds no login and no open file, so that it can be sent to another process, which logs
    in from its own environment.

    Attributes
    ----------
    name : str
        Of the file.
    url : str
        ``s3://bucket/key``.
    provider : str
        Whose credentials are needed, such as "NSIDC_CPRD".
    """

    name: str
    url: str
    provider: str

    def open(self) -> Any:
        """A file-like object, for h5py.

        Raises
        ------
        InputError
            If there is no login or no credentials.
        """
        self.credentials()  # a clear line where there are none
        return import_earthaccess().get_s3_filesystem(provider=self.provider).open(self.url, "rb")

    def credentials(self) -> Mapping[str, str]:
        """Of S3, asked for anew before they expire.

        Raises
        ------
        InputError
            If there is no login or no credentials.
        """
        with _lock:
            given, known = _credentials.get(self.provider, (0.0, {}))
            if known and time.monotonic() - given < _CREDENTIALS_HOLD:
                return known
            log_in()
            with explain_network_errors("the credentials of S3"):
                found = dict(import_earthaccess().get_s3_credentials(provider=self.provider))
            if "accessKeyId" not in found:
                raise InputError(
                    f"expected credentials of S3 for {self.provider}, found none: accept the licences "
                    f"of your account at https://{LOGIN_HOST}, or fetch the granules instead"
                )
            _credentials[self.provider] = time.monotonic(), found
            return found


@dataclass(frozen=True)
class ListedGranule:
    """A granule in the catalogue.

    Attributes
    ----------
    name : GranuleName
    url : str
        To fetch it from.
    cloud_url : str or None
        On S3.
    provider : str
        Such as "NSIDC_CPRD".
    size : int or None
        Bytes; None where the catalogue does not say exactly.
    """

    name: GranuleName
    url: str
    cloud_url: str | None
    provider: str
    size: int | None

    @property
    def file_name(self) -> str:
        """Name of the file."""
        return f"{self.name.name}.h5"


def find_granules(
    *,
    short_name: str = "ATL10",
    version: str = "006",
    bbox: Sequence[float] | None = None,
    start: datetime,
    end: datetime,
) -> list[ListedGranule]:
    """Granules that meet a box and a span of time, by name; the newest version of each.

    Parameters
    ----------
    short_name : str
        "ATL10" or "ATL07".
    version : str
        Release, such as "006".
    bbox : sequence of four float, optional
        West, south, east, north in degrees; west may be greater than east.
    start, end : datetime
        UTC, with their zone.

    Raises
    ------
    InputError
        If earthaccess is not installed or the catalogue gives no usable answer.
    """
    for moment in (start, end):
        if moment.tzinfo is None:
            raise InputError(f"expected a time with its zone (UTC), found {moment.isoformat()}")
    query: dict[str, Any] = {
        "short_name": short_name,
        "version": version,
        "temporal": (start.astimezone(UTC), end.astimezone(UTC)),
    }
    if bbox is not None:
        query["bounding_box"] = tuple(bbox)
    with explain_network_errors("the catalogue of NASA (CMR)"):
        listed = [_found(granule) for granule in import_earthaccess().search_data(count=-1, **query)]
    known: dict[str, ListedGranule] = {}
    for each in listed:
        # Two archives may list the same granule; the one on S3 can be read in both ways.
        if each is not None and (each.cloud_url or each.file_name not in known):
            known[each.file_name] = each
    kept = select_newest_versions([each.name for each in known.values()])
    return [known[f"{name.name}.h5"] for name in kept]


def _found(granule: Any) -> ListedGranule | None:
    """None of a granule that has no file of a known name."""
    for url in granule.data_links(access="external"):
        name = GranuleName.parse(url.rpartition("/")[2]) if url.endswith(".h5") else None
        if name is None:
            continue
        direct = [
            each for each in granule.data_links(access="direct") if each.endswith(f"/{name.name}.h5")
        ]
        provider = str(granule["meta"]["provider-id"])
        return ListedGranule(
            name, url, direct[0] if direct else None, provider, _size(granule, f"{name.name}.h5")
        )
    logger.warning("the catalogue lists a granule without a file: %s", granule["meta"].get("native-id"))
    return None


def _size(granule: Any, file_name: str) -> int | None:
    parts = granule["umm"].get("DataGranule", {}).get("ArchiveAndDistributionInformation", [])
    sizes = [part.get("SizeInBytes") for part in parts if part.get("Name", file_name) == file_name]
    return int(sizes[0]) if sizes and sizes[0] else None


def open_in_place(found: Sequence[ListedGranule]) -> list[CloudGranule]:
    """Granules to be read from S3, without fetching them.

    Raises
    ------
    InputError
        If there is no login, or a granule is not on S3.
    """
    absent = [each.file_name for each in found if each.cloud_url is None]
    if absent:
        raise InputError(
            f"expected granules on S3, {len(absent)} are not there, such as {absent[0]}: fetch them"
        )
    granules = [CloudGranule(each.file_name, each.cloud_url or "", each.provider) for each in found]
    if granules:
        granules[0].credentials()
    return granules
