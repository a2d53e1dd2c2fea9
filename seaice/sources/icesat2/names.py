"""Names of ICESat-2 sea ice granules, and the granules of a folder."""

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
    """What the name of a granule says.

    Attributes
    ----------
    name : str
        Without ``.h5``, with whatever a subsetting service has put around it.
    product : str
        "ATL10" or "ATL07".
    hemisphere : str
        "north" or "south".
    start : datetime
        UTC; the data may begin some 20 minutes later.
    ground_track : int
        Reference ground track, 1..1387.
    cycle : int
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
        """The parts of a file name, with or without ``.h5``; None of any other name.

        Examples
        --------
        >>> found = GranuleName.parse("ATL10-01_20220107195849_02531401_006_01.h5")
        >>> found.ground_track, found.cycle, found.release, found.hemisphere
        (253, 14, '006', 'north')
        """
        own = name.removesuffix(".h5")
        found = _NAME.match(own)
        if not found:
            return None
        try:
            start = datetime.strptime(found["start"], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(
            name=own,
            product="ATL10" if found["product"] == "10" else "ATL07",
            hemisphere="north" if found["hemisphere"] == "01" else "south",
            start=start,
            ground_track=int(found["track"]),
            cycle=int(found["cycle"]),
            release=found["release"],
            version=found["version"],
        )

    @property
    def same_data(self) -> tuple[str, str, datetime, int]:
        """What granules have in common that are versions of each other."""
        return self.product, self.hemisphere, self.start, self.ground_track


def list_granules(folder: Path, *, product: Product = "ATL10") -> list[Path]:
    """Granules of a folder and those below it, by name; the newest version of each.

    Files of the same version stay, as a subsetting service may have cut one granule into
    several; of files of the same name the first stays.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"expected a folder of {product} granules, found none: {folder}")
    named = [(GranuleName.parse(path.name), path) for path in folder.rglob("*.h5")]
    found = [(name, path) for name, path in named if name is not None and name.product == product]
    found.sort(key=lambda each: (each[0].start, each[1].name, each[1]))
    newest = set(select_newest_versions([name for name, _ in found]))
    kept: dict[str, Path] = {}
    for name, path in found:
        if name not in newest:
            logger.info("%s: left out, there is a newer version of it", path)
        elif name.name in kept:
            logger.info("%s: left out, it is the same as %s", path, kept[name.name])
        else:
            kept[name.name] = path
    return list(kept.values())


def select_newest_versions(names: list[GranuleName]) -> list[GranuleName]:
    """Names by time, without those of which there is a newer version."""
    newest: dict[object, tuple[str, str]] = {}
    for name in names:
        version = name.release, name.version
        newest[name.same_data] = max(version, newest.get(name.same_data, version))
    kept = [name for name in names if (name.release, name.version) == newest[name.same_data]]
    return sorted(kept, key=lambda name: (name.start, name.name))
