"""Names of swath archives, and how the period of one is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_NAME = re.compile(
    r"(?P<sensor>AMSR2|AMSR-E|AMSR3)_(?P<kind>temp_only|swaths)_(?P<start>\d{8}_\d{6})_to_"
    r"(?P<end>\d{8}_\d{6})(?P<incomplete>_incomplete)?"
)


@dataclass(frozen=True)
class ArchiveName:
    """The parts of the file name of an archive.

    Attributes
    ----------
    start, end : datetime
        First and last second of the archive, UTC.
    coordinates : bool
        Whether the archive has positions: ``AMSR2_swaths_...`` with, ``AMSR2_temp_only_...`` without.
    complete : bool
        False in ``..._incomplete``.
    sensor : str
        One of :data:`seaice.sources.amsr2.sensors.SENSORS`.
    """

    start: datetime
    end: datetime
    coordinates: bool
    complete: bool = True
    sensor: str = "AMSR2"

    @property
    def stem(self) -> str:
        """File name without its suffix.

        Examples
        --------
        >>> day = datetime(2020, 1, 1, tzinfo=UTC)
        >>> ArchiveName(day, day, coordinates=False).stem
        'AMSR2_temp_only_20200101_000000_to_20200101_000000'
        """
        kind = "swaths" if self.coordinates else "temp_only"
        first, last = (f"{time:%Y%m%d_%H%M%S}" for time in (self.start, self.end))
        return f"{self.sensor}_{kind}_{first}_to_{last}" + ("" if self.complete else "_incomplete")

    @classmethod
    def parse(cls, name: str) -> ArchiveName | None:
        """Parse a file name; None if it is not the name of an archive."""
        match = _NAME.match(name)
        if not match:
            return None
        try:
            start, end = (
                datetime.strptime(match[part], "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
                for part in ("start", "end")
            )
        except ValueError:
            return None
        complete = match["incomplete"] is None
        return cls(start, end, match["kind"] == "swaths", complete, match["sensor"])


def format_period(start: datetime, end: datetime) -> str:
    """Format the ``period`` of an archive: two ISO times with " to " between them."""
    return f"{start:%Y-%m-%dT%H:%M:%S} to {end:%Y-%m-%dT%H:%M:%S}"
