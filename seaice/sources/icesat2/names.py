"""File names of ICESat-2 sea ice granules, and the granules of a folder."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from seaice import InputError
from seaice.sources.icesat2.tracks import Product

logger = logging.getLogger(__name__)

_NAME = re.compile(
    r"(?:processed_)?ATL(?P<product>07|10)-(?P<hemisphere>0[12])_(?P<start>\d{14})_"
    r"(?P<track>\d{4})(?P<cycle>\d{2})(?P<region>\d{2})_(?P<release>\d{3})_(?P<version>\d{2})"
    r"(?:_.*)?$"
)


@dataclass(frozen=True)
class GranuleName:
    """The parts of the file name of a granule.

    Attributes
    ----------
    name : str
        The file name without ``.h5``, with the words that a subsetting service may have added.
    product : str
        "ATL10" or "ATL07".
    hemisphere : str
        "north" or "south".
    start : datetime
        Start in UTC; the segments may begin some 20 minutes later.
    ground_track : int
        Reference ground track, 1..1387.
    cycle : int
        Number of the 91-day repeat cycle.
    release, version : str
        Such as "006" and "01".
    """

    name: str
    product: Product
    hemisphere: Literal["north", "south"]
    start: datetime
    ground_track: int
    cycle: int
    release: str
    version: str

    @classmethod
    def parse(cls, name: str) -> GranuleName | None:
        """Parse a file name, with or without ``.h5``; None if it is not the name of a granule.

        Examples
        --------
        >>> name = GranuleName.parse("ATL10-01_20220107195849_02531401_006_01.h5")
        >>> name.ground_track, name.cycle, name.release, name.hemisphere
        (253, 14, '006', 'north')
        """
        stem = name.removesuffix(".h5")
        match = _NAME.match(stem)
        if not match:
            return None
        try:
            start = datetime.strptime(match["start"], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(
            name=stem,
            product="ATL10" if match["product"] == "10" else "ATL07",
            hemisphere="north" if match["hemisphere"] == "01" else "south",
            start=start,
            ground_track=int(match["track"]),
            cycle=int(match["cycle"]),
            release=match["release"],
            version=match["version"],
        )

    @property
    def measurement(self) -> tuple[str, str, datetime, int]:
        """Key that the versions of a granule share: product, hemisphere, start and ground track."""
        return self.product, self.hemisphere, self.start, self.ground_track


def list_granules(folder: Path, *, product: Product = "ATL10") -> list[Path]:
    """List the granules of a folder and of the folders below it, the newest version of each.

    Files of the same version all stay, because a subsetting service may have cut one granule into
    several. Of several files with the same name the first is listed.

    Parameters
    ----------
    folder : Path
    product : {"ATL10", "ATL07"}

    Returns
    -------
    list of Path
        In the order of their start and name.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"expected a folder of {product} granules, found none: {folder}")
    parsed = [(GranuleName.parse(path.name), path) for path in folder.rglob("*.h5")]
    granules = [(name, path) for name, path in parsed if name is not None and name.product == product]
    granules.sort(key=lambda granule: (granule[0].start, granule[1].name, granule[1]))
    newest = set(select_newest_versions([name for name, _ in granules]))
    listed: dict[str, Path] = {}
    for name, path in granules:
        if name not in newest:
            logger.info("%s: left out, there is a newer version of it", path)
        elif name.name in listed:
            logger.info("%s: left out, it is the same as %s", path, listed[name.name])
        else:
            listed[name.name] = path
    return list(listed.values())


def select_newest_versions(names: list[GranuleName]) -> list[GranuleName]:
    """Select the names of which there is no newer version, in the order of their start."""
    newest: dict[object, tuple[str, str]] = {}
    for name in names:
        version = name.release, name.version
        newest[name.measurement] = max(version, newest.get(name.measurement, version))
    selected = [name for name in names if (name.release, name.version) == newest[name.measurement]]
    return sorted(selected, key=lambda name: (name.start, name.name))
