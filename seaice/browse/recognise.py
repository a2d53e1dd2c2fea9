"""Opening a file of maps for the page by what it holds."""

from __future__ import annotations

from pathlib import Path

from seaice.browse.cube_maps import CubeMaps
from seaice.browse.day_maps import DayMaps
from seaice.browse.field_maps import FieldMaps
from seaice.browse.map_file import MapFile
from seaice.browse.scene_maps import SceneMaps, is_scene_map
from seaice.pictures.read_concentration import recognise_kind


def open_map_file(path: Path, *, climatology_file: Path | None = None) -> MapFile:
    """Open a cube, another gridded file or a map of a scene for the page.

    Parameters
    ----------
    path : Path
    climatology_file : Path, optional
        Cube of the years to which anomalies are shown; by default those of the file, if it has two.

    Raises
    ------
    InputError
        If it is none of these, or unreadable.
    """
    kind = recognise_kind(path)
    if kind == "cube":
        return CubeMaps(path, climatology_file=climatology_file)
    if kind == "daily":
        return DayMaps(path)
    if is_scene_map(path):
        return SceneMaps(path)
    return FieldMaps(path)
