"""The granules of a folder, read as the swaths of an archive are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from seaice import InputError
from seaice.sources.amsr2.l1b import (
    find_granules,
    identify_granule,
    is_granule,
    list_channels,
    looks_like_granule,
    read_granule,
)
from seaice.sources.amsr2.sensors import GranuleName
from seaice.sources.amsr2.swath import Swath
from seaice.swaths.archive import is_archive
from seaice.swaths.archive.base import SwathArchive


class GranuleSeries(SwathArchive):
    """Granules of one sensor and level in order of time; each is read with all its channels.

    Parameters
    ----------
    folder : Path
        Of the granules, for messages.
    granules : mapping of Path to GranuleName
        All of one sensor and level.
    """

    layout = "granules"

    def __init__(self, folder: Path, granules: Mapping[Path, GranuleName]) -> None:
        self.path = folder
        self.files = sorted(granules, key=lambda path: (granules[path].start, path))
        names = [granules[path] for path in self.files]
        self.product = f"{names[0].sensor} {names[0].level}"
        self.info = {}
        self.entries = [{"granule_id": name.granule_id, "orbit_type": name.orbit_type} for name in names]

    @property
    def sizes(self) -> list[int]:
        """Bytes of the files."""
        return [path.stat().st_size for path in self.files]

    def _read(self, index: int) -> Swath:
        path = self.files[index]
        return read_granule(path, channels=list_channels(path))

    def read_main_channel(self, index: int) -> Swath:
        """Read the default channel of a granule alone, for a picture."""
        return read_granule(self.files[index], coordinates=False)

    def close(self) -> None:
        """Nothing is open."""


def find_series(paths: Iterable[Path], problems: list[str]) -> tuple[list[Path], list[GranuleSeries]]:
    """Find the archives among files and in folders, and the granules by folder, sensor and level.

    Parameters
    ----------
    paths : iterable of Path
        Files and folders. A file that is no granule is taken for an archive.
    problems : list of str
        Gets the files of folders that look like granules and cannot be read as such.
    """
    archives: dict[Path, None] = {}
    granules: dict[tuple[Path, str, str], dict[Path, GranuleName]] = {}
    for path in paths:
        if path.is_dir():
            listed, left_out = find_granules(path, ignore=_is_archive)
            problems += left_out
            listed_archives = [
                file for file in sorted(path.rglob("*")) if _is_visible_archive(file, path)
            ]
            archives |= dict.fromkeys(listed_archives)
            if not listed and not listed_archives and not left_out:
                problems.append(f"expected archives or granules, found none in {path}")
            folder = path
        else:
            listed, folder = _identify(path), path.parent
            archives |= {} if listed else {path: None}
        for file, name in listed.items():
            granules.setdefault((folder, name.sensor, name.level), {})[file] = name
    return list(archives), [GranuleSeries(key[0], names) for key, names in granules.items()]


def _identify(path: Path) -> dict[Path, GranuleName]:
    """The granule that a file is; empty of any other file, also of one that cannot be opened."""
    if not path.is_file() or is_archive(path) or not is_granule(path):
        return {}
    try:
        return {path: identify_granule(path)}
    except InputError:
        return {}


def _is_archive(path: Path) -> bool:
    if path.suffix.lower() == ".npz":
        return True
    return looks_like_granule(path) and is_archive(path)


def _is_visible_archive(path: Path, folder: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return not is_hidden and path.is_file() and _is_archive(path)
