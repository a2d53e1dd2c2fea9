"""Features of GeoJSON files, shapefiles and GeoPackages: properties, geometry and reference system.

A shapefile may lie in a zip or tar archive, as ice services publish them. A GeoPackage is an SQLite
database (OGC 12-128r19); its geometries are well-known binary behind a header of their own.
"""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from seaice import InputError
from seaice.report import listing

if TYPE_CHECKING:
    from pyproj import CRS

GEOJSON_ENDINGS, SHAPEFILE_ENDING, GEOPACKAGE_ENDING = (".geojson", ".json"), ".shp", ".gpkg"
ARCHIVE_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")
VECTOR_ENDINGS = (*GEOJSON_ENDINGS, SHAPEFILE_ENDING, *ARCHIVE_ENDINGS, GEOPACKAGE_ENDING)
# Bytes of the envelope in the header of a geometry, by its indicator (OGC 12-128r19, table 5).
_ENVELOPE_BYTES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}

# Properties by name, and geometry as GeoJSON has it.
Feature = tuple[dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class VectorFile:
    """Features of a file.

    Attributes
    ----------
    path : Path
    layer : str
        Name of the table of a GeoPackage or of the shapefile within an archive, else the stem of the
        file name.
    features : list of (dict, dict)
        Properties by name and geometry, as in GeoJSON; features without a geometry are left out.
    crs : pyproj.CRS
        Of the coordinates, x before y.
    """

    path: Path
    layer: str
    features: list[Feature]
    crs: CRS


def is_vector_file(path: Path) -> bool:
    """Whether a file is read as features, by the ending of its name."""
    return path.name.lower().endswith(VECTOR_ENDINGS)


def read_vector_file(path: Path) -> VectorFile:
    """Read a GeoJSON file, a shapefile, an archive with a shapefile in it, or a GeoPackage.

    Parameters
    ----------
    path : Path
        GeoJSON is in longitude and latitude of WGS 84 unless its member ``crs`` names another system.
        A shapefile needs its .prj, .shx and .dbf files. An archive holds one shapefile, a GeoPackage
        one table of features.

    Raises
    ------
    InputError
        If the file cannot be read, has several layers, or does not tell its reference system.
    """
    name = path.name.lower()
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    if name.endswith(GEOJSON_ENDINGS):
        return _read_geojson(path)
    if name.endswith(GEOPACKAGE_ENDING):
        return _read_geopackage(path)
    return _read_archive(path) if name.endswith(ARCHIVE_ENDINGS) else _read_shapefile(path)


def _read_geojson(path: Path) -> VectorFile:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        features = [
            ({"id": feature.get("id"), **(feature.get("properties") or {})}, feature["geometry"])
            for feature in _list_features(content)
            if feature["geometry"]
        ]
        for properties, geometry in features:
            if not isinstance(geometry["type"], str) or geometry.get("coordinates", ()) is None:
                raise ValueError(f"no coordinates in {properties}")
        named = (content.get("crs") or {}).get("properties", {}).get("name", "OGC:CRS84")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: expected GeoJSON with polygons, found something else "
            f"({' '.join(str(error).split())[:120]})"
        ) from None
    return VectorFile(path, path.stem, features, _read_crs(str(named), path))


def _list_features(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if content["type"] == "FeatureCollection":
        yield from content["features"]
    else:
        yield content if content["type"] == "Feature" else {"geometry": content}


def _read_shapefile(path: Path) -> VectorFile:
    parts = {}
    for ending in (".shp", ".shx", ".dbf", ".prj"):
        # On disks that tell small from capital letters either may be the name.
        names = path.with_suffix(ending), path.with_suffix(ending.upper())
        file = path if ending == ".shp" else next((name for name in names if name.is_file()), None)
        if file is not None:
            parts[ending] = file.read_bytes
    return _read_shapefile_parts(path, path.stem, parts)


def _read_archive(path: Path) -> VectorFile:
    """Read the one shapefile of a zip or tar archive."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _read_members(path, dict.fromkeys(archive.namelist(), archive.read))
        with tarfile.open(path) as tar:
            files = {member.name: member for member in tar.getmembers() if member.isfile()}

            def read_member(name: str) -> bytes:
                content = tar.extractfile(files[name])
                return b"" if content is None else content.read()

            return _read_members(path, dict.fromkeys(files, read_member))
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path}: expected an archive with a shapefile, found none that can be read ({reason}); "
            "fetch it again"
        ) from None


def _read_members(path: Path, members: Mapping[str, Callable[[str], bytes]]) -> VectorFile:
    shapefiles = [
        name
        for name in sorted(members)
        if name.lower().endswith(SHAPEFILE_ENDING) and not name.startswith("__MACOSX")
    ]
    if len(shapefiles) != 1:
        raise InputError(
            f"{path}: expected one shapefile in the archive, found {listing(shapefiles) or 'none'}; "
            "unpack it and name one"
        )
    stem = shapefiles[0][: -len(SHAPEFILE_ENDING)]
    parts = {
        name[len(stem) :].lower(): lambda name=name: members[name](name)
        for name in members
        if name.startswith(f"{stem}.")
    }
    return _read_shapefile_parts(path, PurePosixPath(stem).name, parts)


def _read_shapefile_parts(
    path: Path, layer: str, parts: Mapping[str, Callable[[], bytes]]
) -> VectorFile:
    """Read a shapefile from the contents of its parts, by their endings."""
    import shapefile

    if ".prj" not in parts:
        raise InputError(
            f"{path}: expected its reference system in {layer}.prj, found no such file; copy it to the "
            "shapefile, or make one in a GIS"
        )
    if ".dbf" not in parts:
        raise InputError(
            f"{path}: expected the properties of its shapes in {layer}.dbf, found no such file; copy it "
            "to the shapefile"
        )
    shapefile.VERBOSE = False  # a line for every shape whose ring runs the other way
    try:
        streams = {
            e[1:]: io.BytesIO(read()) for e, read in parts.items() if e in (".shp", ".shx", ".dbf")
        }
        with shapefile.Reader(**streams, encodingErrors="replace") as reader:
            features = [
                (record.record.as_dict(), dict(record.shape.__geo_interface__))
                for record in reader.iterShapeRecords()
                if record.shape.shapeType
            ]
    except Exception as error:  # pyshp has exceptions of its own, and others for damage
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: expected a shapefile with its .shx and .dbf, found {text}") from None
    projection = parts[".prj"]().decode("utf-8", errors="replace")
    return VectorFile(path, layer, features, _read_crs(projection, path.with_name(f"{layer}.prj")))


def _read_geopackage(path: Path) -> VectorFile:
    # Immutable: SQLite then writes nothing beside the file, and reads on disks that are read-only.
    journal = path.with_name(f"{path.name}-wal")
    mode = "mode=ro" if journal.exists() else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?{mode}", uri=True)) as base:
            return _read_layer(path, base)
    except InputError:
        raise
    except (sqlite3.Error, LookupError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: expected a GeoPackage with polygons, found something else "
            f"({' '.join(str(error).split())[:120]})"
        ) from None


def _read_layer(path: Path, base: sqlite3.Connection) -> VectorFile:
    """Read the one table of features of a GeoPackage."""
    import shapely

    layers = base.execute(
        "SELECT c.table_name, g.column_name, s.organization, s.organization_coordsys_id, s.definition "
        "FROM gpkg_contents c JOIN gpkg_geometry_columns g ON g.table_name = c.table_name "
        "JOIN gpkg_spatial_ref_sys s ON s.srs_id = g.srs_id WHERE c.data_type = 'features'"
    ).fetchall()
    if len(layers) != 1:
        raise InputError(
            f"{path}: expected one table of features, found "
            f"{listing([str(layer[0]) for layer in layers]) or 'none'}; put one into a file of its own"
        )
    table, column, authority, code, definition = layers[0]
    quoted = '"' + table.replace('"', '""') + '"'
    cursor = base.execute(f"SELECT * FROM {quoted}")
    names = [description[0] for description in cursor.description]
    position = names.index(column)
    features = []
    for row in cursor:
        if row[position] is None:
            continue
        geometry = shapely.from_wkb(_strip_header(row[position]))
        if not geometry.is_empty:
            properties = {n: v for n, v in zip(names, row, strict=True) if n != column}
            features.append((properties, dict(geometry.__geo_interface__)))
    text = f"EPSG:{code}" if str(authority).upper() == "EPSG" else str(definition)
    return VectorFile(path, table, features, _read_crs(text, path))


def _strip_header(blob: bytes) -> bytes:
    """Return the well-known binary behind the header of a geometry."""
    if blob[:2] != b"GP":
        raise ValueError("a geometry without the header of a GeoPackage")
    return blob[8 + _ENVELOPE_BYTES[blob[3] >> 1 & 7] :]


def _read_crs(text: str, path: Path) -> CRS:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    with suppress(CRSError):
        crs = CRS.from_user_input(text)
        if crs.is_geographic or crs.is_projected:
            return crs
    raise InputError(
        f"{path}: expected a coordinate reference system of degrees or a map projection, found "
        f"{' '.join(text.split())[:80] or 'nothing'!r}; name an EPSG code or repair its text"
    )
