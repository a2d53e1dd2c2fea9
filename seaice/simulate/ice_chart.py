"""Simulated ice charts in SIGRID-3, as shapefiles or GeoPackages; nothing in them was measured.

The sea around a point is divided into polygons that share their corners. The codes are texts with
leading zeros, as ice services write them: types of ice descend in thickness, their concentrations add up
to the total, and fast ice fringes the land.
"""

from __future__ import annotations

import io
import sqlite3
import struct
import zipfile
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice.runtime.atomic_write import atomic

if TYPE_CHECKING:
    from pyproj import CRS

_EGG = ("CT", "CA", "SA", "FA", "CB", "SB", "FB", "CC", "SC", "FC", "CN", "CD", "CF", "POLY_TYPE")
# Eggs from the open sea to the coast: total, then concentration, stage and form of each type.
_EGGS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    ("01", (("-9", "81", "99"),)),
    ("10", (("-9", "81", "99"),)),
    ("20", (("-9", "84", "03"),)),
    ("50", (("40", "87", "04"), ("10", "84", "03"))),
    ("70", (("40", "87", "05"), ("30", "84", "04"))),
    ("90", (("70", "91", "06"), ("20", "87", "05"))),
    ("91", (("70", "97", "06"), ("30", "91", "05"))),
)
_WATER, _FAST_ICE = ("00", (("-9", "-9", "-9"),)), ("92", (("-9", "87", "08"),))
_CELL_KILOMETRES = 40.0


@dataclass(frozen=True)
class SimulatedChart:
    """A simulated chart.

    Attributes
    ----------
    crs : pyproj.CRS
        Lambert conformal conic, as the Canadian Ice Service draws.
    polygons : list of shapely.Polygon
        In metres of the projection.
    codes : list of dict of str to (str or None)
        Codes by column; None on land, as services leave them.
    """

    crs: CRS
    polygons: list[Any]
    codes: list[dict[str, str | None]]


def simulate_chart(
    rng: np.random.Generator, *, latitude: float, longitude: float, kilometres: float = 400.0
) -> SimulatedChart:
    """Simulate the chart of a square around a point; all random numbers come from ``rng``.

    Parameters
    ----------
    rng : numpy.random.Generator
    latitude, longitude : float
        Centre, degrees.
    kilometres : float
        Side of the square.
    """
    import shapely
    from pyproj import Transformer
    from pyproj.crs import ProjectedCRS
    from pyproj.crs.coordinate_operation import LambertConformalConic2SPConversion

    conversion = LambertConformalConic2SPConversion(
        latitude_false_origin=40,
        longitude_false_origin=20 * round(longitude / 20),
        latitude_first_parallel=49,
        latitude_second_parallel=77,
    )
    crs = ProjectedCRS(conversion, name="WGS_1984_Lambert_Conformal_Conic")
    x0, y0 = Transformer.from_crs(4326, crs, always_xy=True).transform(longitude, latitude)
    side = 1000 * kilometres
    square = shapely.box(x0 - side / 2, y0 - side / 2, x0 + side / 2, y0 + side / 2)
    count = max(12, round((kilometres / _CELL_KILOMETRES) ** 2))
    middles = rng.uniform(-0.5, 0.5, (count, 2)) * side + (x0, y0)
    cells = shapely.voronoi_polygons(shapely.MultiPoint(middles), extend_to=square)
    polygons = [cell for cell in shapely.intersection(shapely.get_parts(cells), square) if cell.area > 0]
    angle = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(angle), np.sin(angle)])
    centres = np.array([[cell.centroid.x, cell.centroid.y] for cell in polygons])
    # From -0.7 far out at sea to 0.7 on land.
    distance = (centres - (x0, y0)) @ direction / side + rng.normal(0, 0.04, len(polygons))
    return SimulatedChart(crs, polygons, [_choose_egg(value) for value in distance])


def _choose_egg(distance: float) -> dict[str, str | None]:
    if distance > 0.42:
        return dict.fromkeys(_EGG) | {"POLY_TYPE": "L"}
    if distance < -0.3:
        return _write_egg(*_WATER, "W")
    if distance > 0.34:
        return _write_egg(*_FAST_ICE, "I")
    number = int((distance + 0.3) / 0.64 * len(_EGGS))
    return _write_egg(*_EGGS[number], "I")


def _write_egg(total: str, types: tuple[tuple[str, str, str], ...], kind: str) -> dict[str, str | None]:
    codes: dict[str, str | None] = {**dict.fromkeys(_EGG, "-9"), "CT": total, "POLY_TYPE": kind}
    for letter, (concentration, stage, form) in zip("ABC", types, strict=False):
        codes |= {f"C{letter}": concentration, f"S{letter}": stage, f"F{letter}": form}
    forms = [form for _, _, form in types]
    codes["CF"] = "".join([*forms, "-9"][:2])
    return codes


def write_chart(path: Path, chart: SimulatedChart, time: datetime) -> Path:
    """Write a chart as a Canadian service names it, in a zip archive or as a GeoPackage.

    Parameters
    ----------
    path : Path
        Folder, or a file ending in ``.zip`` or ``.gpkg``.
    chart : SimulatedChart
    time : datetime
        UTC; it stands in the name alone.

    Returns
    -------
    Path
        The file.
    """
    layer = f"cis_SGRDSIM_{time:%Y%m%dT%H%MZ}_pl_a"
    path = path / f"{layer}.zip" if path.is_dir() else path
    with atomic(path) as part:
        if path.suffix == ".gpkg":
            _write_geopackage(part, chart, layer)
        else:
            _write_shapefile(part, chart, layer)
    return path


def _write_shapefile(path: Path, chart: SimulatedChart, layer: str) -> None:
    import shapefile
    import shapely

    streams = {ending: io.BytesIO() for ending in ("shp", "shx", "dbf")}
    with shapefile.Writer(**streams, shapeType=shapefile.POLYGON) as writer:
        for name in ("AREA", "PERIMETER"):
            writer.field(name, "F", 20, 3)
        for name in _EGG:
            writer.field(name, "C", 8)
        for polygon, codes in zip(chart.polygons, chart.codes, strict=True):
            ring = shapely.orient_polygons(polygon, exterior_cw=True).exterior
            writer.poly([list(ring.coords)])
            writer.record(polygon.area, polygon.length, *(code or "" for code in codes.values()))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for ending, stream in streams.items():
            archive.writestr(f"{layer}.{ending}", stream.getvalue())
        archive.writestr(f"{layer}.prj", chart.crs.to_wkt("WKT1_ESRI"))


def _write_geopackage(path: Path, chart: SimulatedChart, layer: str) -> None:
    columns = ", ".join(f'"{name}" TEXT' for name in _EGG)
    bounds = np.array([polygon.bounds for polygon in chart.polygons])
    with closing(sqlite3.connect(path)) as base, base:
        base.executescript(
            "PRAGMA application_id = 1196444487; PRAGMA user_version = 10300;"
            "CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT, srs_id INTEGER PRIMARY KEY, "
            "organization TEXT, organization_coordsys_id INTEGER, definition TEXT, description TEXT);"
            "CREATE TABLE gpkg_contents (table_name TEXT PRIMARY KEY, data_type TEXT, identifier TEXT, "
            "description TEXT, last_change DATETIME, min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, "
            "max_y DOUBLE, srs_id INTEGER);"
            "CREATE TABLE gpkg_geometry_columns (table_name TEXT PRIMARY KEY, column_name TEXT, "
            "geometry_type_name TEXT, srs_id INTEGER, z TINYINT, m TINYINT);"
            f'CREATE TABLE "{layer}" (fid INTEGER PRIMARY KEY, geom POLYGON, AREA REAL, '
            f"PERIMETER REAL, {columns});"
        )
        text = chart.crs.to_wkt("WKT1_GDAL")
        system = (chart.crs.name, 100000, "NONE", 100000, text, "simulated")
        base.execute("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", system)
        extent = (*bounds[:, :2].min(axis=0), *bounds[:, 2:].max(axis=0))
        contents = (layer, "features", layer, "simulated", "2020-01-01T00:00:00Z", *extent, 100000)
        base.execute("INSERT INTO gpkg_contents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", contents)
        geometry = (layer, "geom", "POLYGON", 100000, 0, 0)
        base.execute("INSERT INTO gpkg_geometry_columns VALUES (?, ?, ?, ?, ?, ?)", geometry)
        rows = [
            (_encode_geometry(polygon), polygon.area, polygon.length, *codes.values())
            for polygon, codes in zip(chart.polygons, chart.codes, strict=True)
        ]
        names = ", ".join(f'"{name}"' for name in ("geom", "AREA", "PERIMETER", *_EGG))
        marks = ", ".join("?" * (3 + len(_EGG)))
        base.executemany(f'INSERT INTO "{layer}" ({names}) VALUES ({marks})', rows)


def _encode_geometry(polygon: Any) -> bytes:
    """Encode a polygon with the header of a GeoPackage: little endian, with its bounds."""
    west, south, east, north = polygon.bounds
    header = b"GP" + struct.pack("<BBi4d", 0, 0b11, 100000, west, east, south, north)
    return header + bytes(polygon.wkb)
