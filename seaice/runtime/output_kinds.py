"""Kinds of files, recognised by their content: an output replaces only a file of its own kind.

NetCDF files and Zarr groups of this toolbox name their kind in the global attribute
:data:`seaice.cf.KIND_ATTRIBUTE`. Tables are compared by their columns, JSON files by their keys,
pictures by their first bytes.
"""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from seaice import InputError, cf
from seaice.open_file import open_netcdf


class OutputRefused(InputError):
    """A file of another kind is at the output, and it is not replaced."""


class FileKind(NamedTuple):
    """Kind of a file.

    Attributes
    ----------
    description : str
        For messages, such as "a cube".
    names : frozenset of str
        Columns of a table, keys of a JSON object, variables of another NetCDF file; empty where
        the description says all.
    """

    description: str
    names: frozenset[str] = frozenset()

    def is_same(self, kind: FileKind) -> bool:
        """Whether both are one kind: columns that an option adds or leaves out do not matter."""
        if self.description != kind.description:
            return False
        if not self.names or not kind.names:
            return True
        return 2 * len(self.names & kind.names) >= min(len(self.names), len(kind.names))


EMPTY = FileKind("an empty file")
_TEXT = FileKind("a text")
_UNKNOWN = FileKind("a file of unknown kind")

# Variables of cubes, masks and series that do not name their kind.
_MARKS = {
    "extent series": {"sea_ice_extent", "sea_ice_area", "region_name"},
    "cube": {"sea_ice_conc", "fill_flag"},
    "mask": {"surface", "nan_ratio"},
    "swath archive": {"index.json"},
}
_SIGNATURES = {
    "a PNG picture": rb"\x89PNG\r\n\x1a\n",
    "a PDF file": rb"%PDF-",
    "a JPEG picture": rb"\xff\xd8\xff",
    "a GIF picture": rb"GIF8",
    "a WebP picture": rb"RIFF....WEBP",
    "a film": rb"....ftyp",
    "a TIFF picture": rb"II\*\0|MM\0\*|II\+\0|MM\0\+",
    "a NetCDF file": rb"\x89HDF|CDF[\x01\x02\x05]",
    "a Parquet file": rb"PAR1",
    "a zip file": rb"PK\x03\x04",
    "a report of a cube": rb'<!DOCTYPE html>.{,200}name="generator" content="seaice report"',
    "an SVG picture": rb"\s*(<\?xml[^>]*>\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg",
}
_GEO_KEYS = 34735  # the tag that makes a TIFF picture a GeoTIFF
_LONGEST_HEADER = 1 << 16  # bytes of the first line of a table
_LONGEST_JSON = 1 << 26

_replaces_any_kind = False


@contextmanager
def replace_any_kind(allowed: bool = True) -> Iterator[None]:
    """Let outputs replace files of any kind meanwhile, as ``--force`` does."""
    global _replaces_any_kind
    before, _replaces_any_kind = _replaces_any_kind, allowed or _replaces_any_kind
    try:
        yield
    finally:
        _replaces_any_kind = before


def name_kind(kind: str) -> FileKind:
    """The kind that a value of :data:`seaice.cf.KIND_ATTRIBUTE` stands for.

    Examples
    --------
    >>> name_kind("extent series").description
    'an extent series'
    """
    return FileKind(f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}")


def check_replaceable(path: Path, kind: FileKind, *, option: str = "") -> None:
    """Refuse to write an output where a file of another kind is.

    Parameters
    ----------
    path : Path
    kind : FileKind
        Kind of the output.
    option : str
        Name of the parameter, for the message.

    Raises
    ------
    OutputRefused
        If something of another kind is there and :func:`replace_any_kind` does not hold.
    """
    if _replaces_any_kind or not path.exists():
        return
    existing = recognise_kind(path)
    if existing == EMPTY or existing.is_same(kind):
        return
    nature = existing.description if existing.description != kind.description else "another one"
    raise OutputRefused(
        f"{f'--{option}: ' if option else ''}expected a new file or {kind.description}, found {path}, "
        f"{nature}, so it is not replaced; choose another name, or give --force to replace it"
    )


def recognise_kind(path: Path) -> FileKind:
    """Recognise the kind of a file or folder by its content.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    if path.is_dir():
        return _recognise_folder(path)
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return EMPTY
    description = next((d for d, mark in _SIGNATURES.items() if re.match(mark, start, re.S)), "")
    if description == "a NetCDF file":
        return _recognise_netcdf(path)
    if description == "a TIFF picture":
        return FileKind("a GeoTIFF file") if _has_geo_keys(path) else FileKind(description)
    if description == "a zip file":
        return FileKind(description, _name_first_member(path))
    if description == "a Parquet file":
        return FileKind("segments of grid_freeboard.py" if _is_own_parquet(path) else description)
    return FileKind(description) if description else _recognise_text(path)


def _recognise_folder(path: Path) -> FileKind:
    try:
        attributes = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        names = {member.parent.name for member in path.glob("*/zarr.json")}
        return _recognise_dataset(attributes, names)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return FileKind("another folder")


def _recognise_netcdf(path: Path) -> FileKind:
    try:
        with open_netcdf(path) as dataset:
            attributes = {name: dataset.getncattr(name) for name in dataset.ncattrs()}
            return _recognise_dataset(attributes, {*dataset.variables, *dataset.groups})
    except InputError:
        return FileKind("no readable NetCDF file")


def _recognise_dataset(attributes: Mapping[str, Any], names: set[str]) -> FileKind:
    """Kind of a NetCDF file or Zarr group by attribute, else by history, else by variables."""
    kind = str(attributes.get(cf.KIND_ATTRIBUTE, ""))
    if kind not in cf.KINDS.values():
        # Files of the first version name the stage in the newest line of their history alone.
        stage = re.match(r"\S+ seaice \S+ (\w+)\(", str(attributes.get("history", "")))
        kind = cf.KINDS.get(stage[1], "") if stage else ""
    kind = kind or next((kind for kind, marks in _MARKS.items() if marks <= names), "")
    return name_kind(kind) if kind else FileKind("another NetCDF file", frozenset(names))


def _has_geo_keys(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return _GEO_KEYS in getattr(picture, "tag_v2", ())
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def _name_first_member(path: Path) -> frozenset[str]:
    """Last part of the name of the first file in a zip file: data.pkl of every checkpoint."""
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(name.rpartition("/")[2] for name in archive.namelist()[:1])
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return frozenset()


def _is_own_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LONGEST_HEADER))
        return b"seaice " in file.read()


def _recognise_text(path: Path) -> FileKind:
    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    if b"\0" in start:
        return _UNKNOWN
    try:
        # A character may be cut at the end of what was read.
        text = start.decode("utf-8-sig", "strict" if len(start) < _LONGEST_HEADER else "ignore")
    except UnicodeDecodeError:
        return _UNKNOWN
    if text.lstrip()[:1] in ("{", "["):
        return _recognise_json(path)
    if text.startswith("# Options of "):
        return FileKind("options of a stage")
    columns = next(csv.reader(text.splitlines()[:1]), [])
    return FileKind("a table", frozenset(columns)) if len(columns) > 1 else _TEXT


def _recognise_json(path: Path) -> FileKind:
    try:
        if path.stat().st_size > _LONGEST_JSON:
            return _TEXT
        text = path.read_text(encoding="utf-8-sig")
        try:
            content = json.loads(text)
        except ValueError:
            content = json.loads(text.partition("\n")[0])  # one object a line
    except (ValueError, RecursionError):
        return _TEXT
    if isinstance(content, list) and content:  # of objects of one kind
        content = content[0]
    return FileKind("a JSON file", frozenset(content)) if isinstance(content, dict) else _TEXT
