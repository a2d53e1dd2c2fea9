"""The ice edge of a map as GeoJSON, its rasters as cloud-optimised GeoTIFF, features as colours."""

import json
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import shape

from seaice import InputError
from seaice.grids import Grid
from seaice.segmentation.data.labels import ICE, WATER
from seaice.segmentation.figures.embedding import colour_tokens
from seaice.segmentation.mapping import geotiff
from seaice.segmentation.mapping.geotiff import write_geotiff
from seaice.segmentation.mapping.ice_edge import (
    cut_at_date_line,
    measure_kilometres,
    trace_ice_edge,
    write_ice_edge,
)
from seaice.segmentation.mapping.scene_map import LAND, MISSING, SceneMap
from seaice.sources.ai4arctic.geolocation import Geolocation

LINES, SAMPLES = 200, 240


def make_map(surface, *, longitude=(20.0, 21.0)):
    """A map of pixels of some 100 m, lines along meridians."""
    ends = np.array([0.0, LINES - 1]), np.array([0.0, SAMPLES - 1])
    latitude = np.array([[80.2, 80.2], [80.0, 80.0]])
    east = np.array([longitude, longitude])
    positions = Geolocation(*ends, latitude, east, (LINES, SAMPLES))
    return SceneMap(surface.astype(np.uint8), {}, positions, datetime(2024, 3, 1, tzinfo=UTC))


def test_a_straight_edge_lies_between_its_classes():
    surface = np.full((LINES, SAMPLES), WATER)
    surface[100:] = ICE
    (line,) = trace_ice_edge(make_map(surface))
    expected, _ = make_map(surface).positions.interpolate(np.array([99.5]), np.array([100.0]))
    np.testing.assert_allclose(line[:, 1], expected[0], atol=5e-4)
    assert line[:, 0].min() == pytest.approx(20.0, abs=0.01)
    assert line[:, 0].max() == pytest.approx(21.0, abs=0.01)


def test_land_and_missing_pixels_are_no_edge_and_end_one():
    surface = np.full((LINES, SAMPLES), ICE)
    surface[:, :60] = LAND
    surface[:40, 60:] = MISSING
    assert trace_ice_edge(make_map(surface)) == []
    surface[100:, 60:] = WATER
    surface[90:110, 150:160] = MISSING
    lines = trace_ice_edge(make_map(surface), shortest=0.5)
    assert len(lines) == 2
    east = np.concatenate(lines)[:, 0]
    gap = 20.0 + np.array([149, 160]) / (SAMPLES - 1)
    assert not ((east > gap[0] + 0.002) & (east < gap[1] - 0.002)).any()
    assert east.min() > 20.0 + 58 / (SAMPLES - 1)


def test_small_floes_are_left_out_and_large_ones_are_rings():
    surface = np.full((LINES, SAMPLES), WATER)
    rows, columns = np.ogrid[:LINES, :SAMPLES]
    surface[(rows - 100) ** 2 + (columns - 150) ** 2 < 60**2] = ICE
    surface[10:14, 10:14] = ICE
    (ring,) = trace_ice_edge(make_map(surface))
    assert ring[0].tolist() == ring[-1].tolist()
    assert len(trace_ice_edge(make_map(surface), shortest=0.1)) == 2


def test_the_file_is_geojson_in_degrees_cut_at_the_date_line(tmp_path):
    surface = np.full((LINES, SAMPLES), WATER)
    surface[100:] = ICE
    scene_map = make_map(surface, longitude=(179.5, -179.5))
    lines = trace_ice_edge(scene_map)
    assert len(lines) == 2
    path = tmp_path / "edge.geojson"
    write_ice_edge(path, lines, {"scene": "a"})
    content = json.loads(path.read_text())
    (feature,) = content["features"]
    west, south, east, north = shape(feature["geometry"]).bounds
    assert (west, east) == (-180.0, 180.0)
    assert 80.09 < south <= north < 80.11
    assert all(np.ptp(np.array(part)[:, 0]) < 1 for part in feature["geometry"]["coordinates"])
    kilometres = sum(measure_kilometres(part[:, 1], part[:, 0]) for part in lines)
    assert feature["properties"] == {"scene": "a", "length_km": round(kilometres, 3)}
    assert kilometres == pytest.approx(np.radians(1.0) * np.cos(np.radians(80.1)) * 6371.0, rel=1e-2)


@given(st.lists(st.tuples(st.floats(-179.9, 179.9), st.floats(60, 89)), min_size=2, max_size=12))
def test_a_cut_line_has_all_its_points_in_order_and_no_jump(points):
    line = np.array(points)
    parts = cut_at_date_line(line)
    joined = np.concatenate(parts)
    inner = joined[np.abs(joined[:, 0]) < 180]
    np.testing.assert_array_equal(inner, line)
    for part in parts:
        assert (np.abs(np.diff(part[:, 0])) <= 180.0 + 1e-9).all()
    for before, after in pairwise(parts):
        assert before[-1, 0] == -after[0, 0] and abs(before[-1, 0]) == 180
        assert before[-1, 1] == after[0, 1]


@pytest.mark.filterwarnings("ignore:Use `@` matmul")
def test_a_cloud_optimised_file_has_the_same_numbers_in_tiles_with_overviews(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    field = np.random.default_rng(0).integers(0, 4, (900, 1100)).astype(np.uint8)
    grid = Grid("custom", 900, 1100, 80.0, -500000.0, -900000.0, "EPSG:3413")
    colours = [(i, 255 - i, 7) for i in range(256)]
    for name, is_cog in (("plain", False), ("cog", True)):
        write_geotiff(
            tmp_path / f"{name}.tif", field, grid, 3413, colours=colours, cloud_optimised=is_cog
        )
    with rasterio.open(tmp_path / "cog.tif") as image, rasterio.open(tmp_path / "plain.tif") as plain:
        np.testing.assert_array_equal(image.read(1), field[::-1])
        assert (image.crs, image.transform, image.nodata) == (plain.crs, plain.transform, 255)
        assert image.colormap(1) == plain.colormap(1)
        assert image.overviews(1) and not plain.overviews(1)
        assert image.profile["tiled"] and image.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cog.tif", "plain.tif"]


def test_without_rasterio_one_line_says_what_to_type(monkeypatch):
    monkeypatch.setattr(geotiff, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"need rasterio: pip install"):
        geotiff.check_rasterio()


def test_places_with_the_same_features_have_one_colour():
    rng = np.random.default_rng(2)
    kinds = rng.normal(size=(3, 16))
    labels = [rng.integers(0, 3, (7, 9)) for _ in range(2)]
    tokens = [np.moveaxis(kinds[label], -1, 0) for label in labels]
    colours = colour_tokens(tokens)
    assert [part.shape for part in colours] == [(7, 9, 3), (7, 9, 3)]
    every = np.concatenate([part.reshape(-1, 3) for part in colours])
    assert every.min() >= 0 and every.max() <= 1
    kind_of = np.concatenate([label.ravel() for label in labels])
    distinct = [np.unique(every[kind_of == kind].round(9), axis=0) for kind in range(3)]
    assert [len(part) for part in distinct] == [1, 1, 1]
    assert len(np.unique(np.concatenate(distinct), axis=0)) == 3
