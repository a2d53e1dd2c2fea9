"""Regions by polygons: cells by hand at pole and date line, other projections, bad files."""

import json
import re

import numpy as np
import pytest
import shapefile
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from seaice import InputError
from seaice.freeboard.area import read_area
from seaice.grids import Grid, get_grid
from seaice.regions import read_regions

N25, S25 = get_grid("n25000"), get_grid("s25000")
LON, LAT = N25.longitude_latitude()
COARSE = Grid("coarse", 112, 76, 100_000, N25.west, N25.south, N25.projection)


def write_geojson(path, *rings, names=None, crs=None, **properties):
    """One polygon a ring; a ring may be a list of rings, the outer one and its holes."""
    features = []
    for number, ring in enumerate(rings):
        lines = ring if isinstance(ring[0][0], list | tuple) else [ring]
        own = dict(properties) if names is None else {"name": names[number], **properties}
        geometry = {
            "type": "Polygon",
            "coordinates": [[*map(list, line), list(line[0])] for line in lines],
        }
        features.append({"type": "Feature", "properties": own, "geometry": geometry})
    content = {"type": "FeatureCollection", "features": features}
    if crs is not None:
        content["crs"] = {"type": "name", "properties": {"name": crs}}
    path.write_text(json.dumps(content))
    return str(path)


def read(tmp_path, *rings, grid=N25, **options):
    return read_regions(write_geojson(tmp_path / "seas.geojson", *rings, **options), grid)


def box(west, east, south, north):
    return [(west, south), (east, south), (east, north), (west, north)]


def between(west, east, south, north):
    return ((LON - west) % 360 <= east - west) & (abs(LAT - (south + north) / 2) <= (north - south) / 2)


ROUND_THE_POLE = [(lon, 80) for lon in range(-180, 181, 20)]


@pytest.mark.parametrize(
    ("ring", "cells"),
    [
        (box(10, 50, 70, 80), between(10, 50, 70, 80)),
        (box(170, 200, 65, 75), between(170, 200, 65, 75)),
        (box(170, -160, 65, 75), between(170, 200, 65, 75)),
        (box(-180, 180, 80, 90), LAT >= 80),
        (box(-180, 180, 70, 80), (LAT >= 70) & (LAT <= 80)),
        (box(0, 360, 80, 90), LAT >= 80),
        (ROUND_THE_POLE, LAT >= 80),
        (ROUND_THE_POLE[:-1], LAT >= 80),
        (ROUND_THE_POLE[::-1], LAT >= 80),
        ([(lon, 80) for lon in range(0, 360, 20)], LAT >= 80),
        ([[(lon, 70) for lon in range(0, 360, 20)], ROUND_THE_POLE], (LAT >= 70) & (LAT < 80)),
        ([box(0, 60, 60, 85), box(20, 30, 70, 80)], between(0, 60, 60, 85) & ~between(20, 30, 70, 80)),
    ],
    ids=[
        "plain", "beyond 180", "across the date line", "box over the pole", "band", "0 to 360",
        "ring round the pole", "ring that does not come back to its start", "clockwise", "from 0 on",
        "ring with a round hole", "hole",
    ],
)  # fmt: skip
def test_cells_by_longitude_and_latitude(tmp_path, ring, cells):
    regions = read(tmp_path, ring, names=["sea"])
    assert regions.names == ("sea",)
    # Centres on the edge itself are not asked for: rounding decides.
    strange = np.argwhere((regions.codes == 1) != cells)
    assert len(strange) <= 2, strange[:5]
    assert cells.sum() > 500


def test_south_pole(tmp_path):
    lat = S25.longitude_latitude()[1]
    regions = read(tmp_path, [(lon, -75) for lon in range(-180, 180, 30)], grid=S25)
    np.testing.assert_array_equal(regions.codes == 1, lat <= -75)


@settings(max_examples=10, deadline=None, phases=[Phase.generate])
@given(
    st.integers(-180, 179), st.integers(1, 170), st.integers(40, 85), st.integers(1, 30), st.booleans(),
    st.integers(0, 3),
)  # fmt: skip
def test_any_box_of_degrees(tmp_path_factory, west, width, south, height, is_reversed, start):
    """However a box is written (turned, reversed, wrapped), the same cells lie in it."""
    west, south = west + 0.37, south + 0.37  # no centre on an edge
    north = min(south + height, 89.9)
    corners = [((lon + 180) % 360 - 180, lat) for lon, lat in box(west, west + width, south, north)]
    corners = corners[start:] + corners[:start]
    ring = corners[::-1] if is_reversed else corners
    lon, lat = COARSE.longitude_latitude()
    cells = ((lon - west) % 360 < width) & (lat > south) & (lat < north)
    if cells.any():
        regions = read(tmp_path_factory.mktemp("any"), ring, grid=COARSE)
        np.testing.assert_array_equal(regions.codes == 1, cells)


def test_polygons_in_other_projections(tmp_path):
    """A rectangle of the grid's own metres is rows and columns, in other projections too."""
    xs, ys = N25.x, N25.y
    west, east, south, north = xs[100] - 1e3, xs[199] + 1e3, ys[200] - 1e3, ys[299] + 1e3
    ring = [
        *((x, south) for x in np.linspace(west, east, 200)),
        *((east, y) for y in np.linspace(south, north, 200)),
        *((x, north) for x in np.linspace(east, west, 200)),
        *((west, y) for y in np.linspace(north, south, 200)),
    ]
    expected = np.zeros(N25.shape, bool)
    expected[200:300, 100:200] = True
    assert expected[233, 153], "the pole lies within"
    for crs in ("EPSG:3411", "EPSG:6931", "EPSG:3995"):
        move = Transformer.from_crs("EPSG:3411", crs, always_xy=True)
        points = [move.transform(*point) for point in ring]
        regions = read(tmp_path, points, crs=f"urn:ogc:def:crs:{crs.replace(':', '::')}")
        np.testing.assert_array_equal(regions.codes == 1, expected, err_msg=crs)


def write_shapefile(path, *rings, crs="EPSG:4326", names=("a", "b", "c")):
    with shapefile.Writer(str(path)) as writer:
        writer.field("SEA", "C")
        for ring, name in zip(rings, names, strict=False):
            writer.poly([[*ring[::-1], ring[-1]]])
            writer.record(name)
    if crs:
        path.with_suffix(".prj").write_text(CRS(crs).to_wkt("WKT1_ESRI"))
    return str(path)


def test_shapefile(tmp_path):
    rings = box(10, 30, 70, 80), box(30, 50, 70, 80)
    path = write_shapefile(tmp_path / "seas.shp", *rings, names=("Süd", "Ost"))
    regions = read_regions(f"{path}:SEA", N25)
    assert regions.names == ("Süd", "Ost")
    assert np.count_nonzero((regions.codes == 1) != between(10, 30, 70, 80)) <= 2
    assert np.count_nonzero((regions.codes == 2) != between(30, 50, 70, 80)) <= 2
    assert read_regions(path, N25).names == ("region 1", "region 2")
    for index, ring in enumerate(rings):
        move = Transformer.from_crs("EPSG:4326", "EPSG:3413", always_xy=True)
        lon, lat = np.array(ring, float).T
        points = list(zip(*move.transform(lon, lat), strict=True))
        other = write_shapefile(tmp_path / f"polar{index}.shp", points, crs="EPSG:3413")
        assert (read_regions(other, N25).codes == 1).sum() == pytest.approx(
            (regions.codes == index + 1).sum(), rel=0.1
        )


def test_areas_of_tracks_and_maps_take_shapefiles_too(tmp_path):
    path = write_shapefile(tmp_path / "seas.shp", box(10, 30, 70, 80), box(170, 180, 70, 80))
    area = read_area(path, None)
    inside = area.contains(np.array([75.0, 75, 75, 65]), np.array([20.0, 175, -175, 20]))
    assert inside.tolist() == [True, True, False, False]
    other = write_shapefile(tmp_path / "polar.shp", box(0, 1e6, 0, 1e6), crs="EPSG:3413")
    with pytest.raises(InputError, match="expected polygons in longitude and latitude, found WGS 84 /"):
        read_area(other, None)


@pytest.mark.parametrize(
    "ring", [box(-60, 20, 72, 85), box(150, 230, 60, 80)], ids=["plain", "date line"]
)
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of affine, in rasterio
def test_the_cells_are_those_of_gdal(ring, tmp_path):
    """rasterio draws the polygon in the projection of the grid, its edges cut into short pieces."""
    from rasterio.features import rasterize
    from rasterio.transform import from_origin

    points = np.array([*ring, ring[0]], float)
    parts = np.linspace(0, len(ring), 4000 * len(ring), endpoint=False)
    start, share = np.floor(parts).astype(int), (parts % 1)[:, None]
    dense = points[start] * (1 - share) + points[start + 1] * share
    move = Transformer.from_crs("EPSG:4326", COARSE.projection, always_xy=True)
    corners = list(zip(*move.transform(*dense.T), strict=True))
    west, _, _, north = COARSE.extent
    place = from_origin(west, north, COARSE.step, COARSE.step)
    shape = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
    expected = rasterize([shape], out_shape=COARSE.shape, transform=place)[::-1]
    assert expected.sum() > 100
    codes = read(tmp_path, ring, grid=COARSE).codes
    assert np.count_nonzero(codes != expected) <= 2, "centres on an edge"


def test_names(tmp_path):
    rings = box(10, 30, 70, 80), box(40, 50, 70, 80), box(60, 70, 70, 80)
    assert read(tmp_path, *rings, names=["a", "b", "a"]).names == ("a", "b")
    assert read(tmp_path, *rings, names=["a", None, " c\n"]).names == ("a", "region 2", "c")
    path = write_geojson(tmp_path / "seas.json", *rings, names=["a", "b", "c"], group=7)
    assert read_regions(f"{path}:group", N25).names == ("7",)
    plain = tmp_path / "one.geojson"
    plain.write_text(json.dumps({"type": "Polygon", "coordinates": [[*box(0, 9, 70, 80), (0, 70)]]}))
    assert read_regions(str(plain), N25).names == ("region 1",)


def test_shared_border_counts_once(tmp_path):
    """Two boxes that share a meridian of cell centres: all cells once, the border in the first."""
    regions = read(tmp_path, box(-90, -45, 70, 80), box(-45, 0, 70, 80))
    assert np.bincount(regions.codes.ravel())[1:].sum() == np.count_nonzero(between(-90, 0, 70, 80))


BOW_TIE = [(10, 70), (30, 80), (30, 70), (10, 80)]


@pytest.mark.parametrize(
    ("rings", "options", "message"),
    [
        ([BOW_TIE], {"names": ["bow"]}, r"the polygon bow crosses itself .* \(Self"),
        (
            [box(10, 30, -80, -70)],
            {},
            r"no cell centre of the grid n25000 .*lies in a polygon of .*seas",
        ),
        ([box(1e5, 2e5, -2e6, -1e6)], {}, "expected longitude and latitude in degrees, found 100000 to"),
        (
            [box(10, 30, 70, 80)],
            {"crs": "nowhere"},
            "expected a coordinate reference .* found 'nowhere'",
        ),
        (
            [box(10, 40, 70, 80), box(20, 30, 72, 78)],
            {"names": "ab"},
            r"\d+ cells lie both in a and in b",
        ),
        (
            [box(20, 30, 72, 78), box(0, 90, 60, 85)],
            {"names": "ab"},
            r"\d+ cells lie both in a and in b",
        ),
        ([[(10, 70), (20, "x"), (10, 80)]], {}, "expected rings of at least three points with two"),
        ([[(10, 70), (20, 80)]], {}, "crosses itself|at least three points"),
        ([], {}, "holds no polygon; expected polygons with a name each"),
    ],
)
def test_bad_polygons_are_one_line(tmp_path, rings, options, message):
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, *rings, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"type": "Feature"}',
     '{"type": "FeatureCollection", "features": [{"geometry": 3}]}',
     '{"type": "Polygon", "coordinates": null}', '{"type": "Polygon", "coordinates": [[[]]]}',
     '{"type": "Polygon", "coordinates": 5}', "[" * 10_000],
)  # fmt: skip
def test_damaged_geojson_is_one_line(tmp_path, text):
    path = tmp_path / "damaged.geojson"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(str(path))) as error:
        read_regions(str(path), N25)
    assert "\n" not in str(error.value)


def test_shapefiles_that_cannot_be_read(tmp_path):
    path = write_shapefile(tmp_path / "seas.shp", box(10, 30, 70, 80), crs=None)
    with pytest.raises(
        InputError, match=r"expected its reference system in seas.prj, found no such file"
    ):
        read_regions(path, N25)
    (tmp_path / "seas.prj").write_text("PROJCS[nonsense")
    with pytest.raises(InputError, match=r"seas.prj: expected a coordinate reference system"):
        read_regions(path, N25)
    (tmp_path / "seas.prj").write_text(CRS("EPSG:4326").to_wkt("WKT1_ESRI"))
    (tmp_path / "seas.shp").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"expected a shapefile with its .shx and .dbf, found") as error:
        read_regions(path, N25)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"no polygon has the property 'no'; there are SEA"):
        other = write_shapefile(tmp_path / "other.shp", box(10, 30, 70, 80))
        read_regions(f"{other}:no", N25)
