"""Names of ICESat-2 sea ice granules, by the file name or the content, and the granules of a folder."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from seaice import InputError
from seaice.open_file import DAMAGE, open_hdf5
from seaice.sources.icesat2.tracks import Product

if TYPE_CHECKING:
    import h5py

logger = logging.getLogger(__name__)

# Endings of HDF5 files, in small letters.
ENDINGS = (".h5", ".hdf5", ".he5", ".hdf")
_NAME = re.compile(
    r"(?:.*[^A-Za-z0-9])?ATL(?P<product>07|10)-(?P<hemisphere>0[12])_(?P<start>\d{14})_"
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
        """Parse a file name, with or without an ending; None if it is not the name of a granule.

        Examples
        --------
        >>> name = GranuleName.parse("ATL10-01_20220107195849_02531401_006_01.h5")
        >>> name.ground_track, name.cycle, name.release, name.hemisphere
        (253, 14, '006', 'north')
        """
        stem = _remove_ending(name)
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


@dataclass(frozen=True)
class GranuleFiles:
    """The files of one granule: itself, or subsets that a service has cut out of it.

    Attributes
    ----------
    name : GranuleName
        Name of the first file.
    paths : tuple of Path
    """

    name: GranuleName
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class GranuleFolder:
    """The granules of a folder and of the folders below it.

    Attributes
    ----------
    granules : tuple of GranuleFiles
        The newest version of each granule, in the order of their start and name.
    unrecognised : tuple of Path
        HDF5 files and files with ATL07 or ATL10 in their name that are no granule by name or content.
    """

    granules: tuple[GranuleFiles, ...]
    unrecognised: tuple[Path, ...]


def read_folder(folder: Path, *, product: Product = "ATL10") -> GranuleFolder:
    """Find the granules of a folder and of the folders below it.

    A granule is recognised by the name of its file, which may have a prefix and any ending of HDF5, or
    by what the file says of itself. Files of the same version all stay, because a subsetting service may
    have cut one granule into several. Of several files with the same name the first is listed.

    Parameters
    ----------
    folder : Path
    product : {"ATL10", "ATL07"}

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"expected a folder of {product} granules, found none: {folder}")
    named: list[tuple[GranuleName, Path]] = []
    unrecognised: list[Path] = []
    for path in sorted(folder.rglob("*")):
        is_hdf5 = path.suffix.lower() in ENDINGS
        if not path.is_file() or not (is_hdf5 or re.search("ATL(07|10)", path.name)):
            continue
        name = (GranuleName.parse(path.name) or _read_name(path)) if is_hdf5 else None
        if name is None:
            unrecognised.append(path)
        elif name.product == product:
            named.append((name, path))
    named.sort(key=lambda granule: (granule[0].start, granule[1].name, granule[1]))
    newest = set(select_newest_versions([name for name, _ in named]))
    listed: dict[str, Path] = {}
    groups: dict[object, list[tuple[GranuleName, Path]]] = {}
    for name, path in named:
        if name not in newest:
            logger.info("%s: left out, there is a newer version of it", path)
        elif path.name in listed:
            logger.info("%s: left out, it is the same as %s", path, listed[path.name])
        else:
            listed[path.name] = path
            groups.setdefault(name.measurement, []).append((name, path))
    granules = tuple(
        GranuleFiles(files[0][0], tuple(path for _, path in files)) for files in groups.values()
    )
    return GranuleFolder(granules, tuple(unrecognised))


def list_granules(folder: Path, *, product: Product = "ATL10") -> list[Path]:
    """List the files of the granules that :func:`read_folder` finds, in the order of start and name."""
    return [path for files in read_folder(folder, product=product).granules for path in files.paths]


def _remove_ending(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return stem if f"{dot}{ending}".lower() in ENDINGS else name


def _read_name(path: Path) -> GranuleName | None:
    """Read the name of a granule from what its file says of itself; None if it says nothing."""
    import h5py

    try:
        with open_hdf5(path) as file:
            identification = file.get("METADATA/DatasetIdentification")
            if isinstance(identification, h5py.Group):
                name = GranuleName.parse(_decode(identification.attrs.get("fileName", "")))
                if name is not None:
                    return name
            return GranuleName.parse(_compose_name(file))
    except (InputError, *DAMAGE):
        return None


def _compose_name(file: h5py.File) -> str:
    """Compose the name that a granule should have from its ancillary data.

    A file without positions, start or number of the ground track has no name, which raises one of the
    errors of damage.
    """
    texts = {
        n: _decode(file[f"ancillary_data/{n}"][0]) for n in ("granule_start_utc", "release", "version")
    }
    track, cycle = (int(file[f"ancillary_data/start_{name}"][0]) for name in ("rgt", "cycle"))
    beams = [group for name, group in file.items() if re.fullmatch("gt[123][lr]", name)]
    layouts = {"freeboard_segment": "10", "freeboard_beam_segment": "10", "sea_ice_segments": "07"}
    products = [layouts[name] for beam in beams for name in beam if name in layouts]
    latitudes = [
        float(beam[f"{name}/{position}latitude"][0])
        for beam in beams
        for name in beam
        for position in ("", "beam_freeboard/")
        if name in layouts and f"{name}/{position}latitude" in beam
    ]
    start = re.sub(r"\D", "", texts["granule_start_utc"])[:14]
    hemisphere = "01" if latitudes[0] > 0 else "02"
    return (
        f"ATL{products[0]}-{hemisphere}_{start}_{track:04d}{cycle:02d}01_{texts['release']}_"
        f"{texts['version']}"
    )


def _decode(text: bytes | str) -> str:
    decoded = text.decode("ascii", "replace") if isinstance(text, bytes) else str(text)
    return decoded.strip("\0 ")


def select_newest_versions(names: list[GranuleName]) -> list[GranuleName]:
    """Select the names of which there is no newer version, in the order of their start."""
    newest: dict[object, tuple[str, str]] = {}
    for name in names:
        version = name.release, name.version
        newest[name.measurement] = max(version, newest.get(name.measurement, version))
    selected = [name for name in names if (name.release, name.version) == newest[name.measurement]]
    return sorted(selected, key=lambda name: (name.start, name.name))
