"""The sensors of the AMSR series whose granules have the form of AMSR2, and the names of granules.

References
----------
JAXA, AMSR2 Level 1 Product Format Specification (GCOM-W1); AMSR-E Level 1B and 1R Format Description
for HDF5 (product version 4), https://gportal.jaxa.jp.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from seaice import InputError

Level = Literal["L1B", "L1R"]
LEVELS: tuple[Level, ...] = ("L1B", "L1R")
ENDINGS = (".h5", ".hdf5", ".he5", ".hdf")  # of HDF5 files, in any case


@dataclass(frozen=True)
class Sensor:
    """A radiometer and how JAXA names its granules.

    Attributes
    ----------
    name : str
        As in options, metadata and the attribute SensorShortName of granules.
    platform : str
    prefix : str
        Beginning of the names of its granules, satellite and sensor in three letters each.
    first : datetime
        UTC, no granule begins earlier.
    datasets : mapping of str to str
        Numbers of the datasets on G-Portal, by level; empty where none is known.
    pixels : tuple of int
        Pixels of a scan at the lower frequencies; 89 GHz has twice as many.
    is_read : bool
        Whether its granules have the layout of those of AMSR2.
    """

    name: str
    platform: str
    prefix: str
    first: datetime
    datasets: Mapping[Level, str] = field(default_factory=dict, hash=False)
    pixels: tuple[int, ...] = (243,)
    is_read: bool = True


SENSORS = {
    sensor.name: sensor
    for sensor in (
        Sensor(
            name="AMSR2",
            platform="GCOM-W1",
            prefix="GW1AM2",
            first=datetime(2012, 7, 2, 23, 18, tzinfo=UTC),
            datasets={"L1B": "11001001", "L1R": "11001002"},
        ),
        # In the format of AMSR2, product version 4. The numbers are those of the catalogue; the
        # prefix follows the rule of the others and was not seen. Of the satellite only the rule is
        # needed: any three letters before AME are taken. The former format had 196 pixels a scan.
        Sensor(
            name="AMSR-E",
            platform="Aqua",
            prefix="PM1AME",
            first=datetime(2002, 6, 1, tzinfo=UTC),
            datasets={"L1B": "25001000", "L1R": "25001001"},
            pixels=(243, 196),
        ),
        # Announced. Prefix and form of the name are those of public readers for its first granules:
        # NetCDF with datasets of other names (Tb_FOV36Ch89V_P89o). Its numbers are not known.
        Sensor(
            name="AMSR3",
            platform="GOSAT-GW",
            prefix="GGWAM3",
            first=datetime(2025, 6, 28, tzinfo=UTC),
            is_read=False,
        ),
    )
}
_BY_CODE = {sensor.prefix[3:]: sensor for sensor in SENSORS.values()}

_BEGINNING = rf"[A-Z0-9]{{3}}(?P<sensor>{'|'.join(_BY_CODE)})_(?P<start>\d{{12}})"
_NAME = re.compile(
    rf"{_BEGINNING}_(?P<path>\d{{3}})(?P<orbit>[AD])_L1\w\w(?P<kind>[BR])TBR_(?P<version>\d{{7}})$"
)
# Of AMSR3: the direction before the path, and the level in the place of the kind of processing.
_NEWER_NAME = re.compile(
    rf"{_BEGINNING}_?(?P<orbit>[AD])(?P<path>\d{{3}})_L1(?P<kind>[BR])TB\w*?_?(?P<version>[0-9v.]*)$"
)
_ENDING = re.compile(rf"({'|'.join(map(re.escape, (*ENDINGS, '.nc')))})$", re.IGNORECASE)


@dataclass(frozen=True)
class GranuleName:
    """The parts of the name of a granule of Level 1B or Level 1R.

    Attributes
    ----------
    granule_id : str
        The name without its ending.
    start : datetime
        UTC, to the minute, of the first scan that is not overlap.
    path_number : int
        1..233.
    orbit_type : str
        "A" ascending, "D" descending.
    version : str
        Product version (1 digit), algorithm and parameter version (3 digits each).
    sensor : str
        One of :data:`SENSORS`.
    level : {"L1B", "L1R"}
        Level 1R is resampled to common footprints.
    """

    granule_id: str
    start: datetime
    path_number: int
    orbit_type: str
    version: str
    sensor: str = "AMSR2"
    level: Level = "L1B"

    @classmethod
    def parse(cls, name: str) -> GranuleName | None:
        """The parts of a file name or granule id; None of any other name.

        Examples
        --------
        >>> GranuleName.parse("GW1AM2_201307010942_035A_L1SGBTBR_2220220.h5").orbit_type
        'A'
        >>> GranuleName.parse("GW1AM2_201307010942_035A_L1SGRTBR_2220220.H5").level
        'L1R'
        """
        granule_id = _ENDING.sub("", name)
        match = _NAME.match(granule_id) or _NEWER_NAME.match(granule_id)
        if not match:
            return None
        try:
            start = datetime.strptime(match["start"], "%Y%m%d%H%M").replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(
            granule_id=granule_id,
            start=start,
            path_number=int(match["path"]),
            orbit_type=match["orbit"],
            version=match["version"],
            sensor=_BY_CODE[match["sensor"]].name,
            level="L1R" if match["kind"] == "R" else "L1B",
        )


def get_sensor(name: str) -> Sensor:
    """The sensor of a name; hyphens and case do not matter.

    Raises
    ------
    InputError
        If there is none of that name.

    Examples
    --------
    >>> get_sensor("amsre").platform
    'Aqua'
    """
    for sensor in SENSORS.values():
        if sensor.name.replace("-", "") == name.upper().replace("-", ""):
            return sensor
    raise InputError(f"expected a sensor out of {', '.join(SENSORS)}, found {name!r}")


def looks_like_name(name: str) -> bool:
    """Whether a file name holds the beginning of the name of a granule, in any case.

    Examples
    --------
    >>> looks_like_name("Copy of gw1am2_201307010942_035A_L1SGBTBR_2220220 (1).h5.1")
    True
    """
    return any(f"{sensor.prefix}_" in name.upper() for sensor in SENSORS.values())
