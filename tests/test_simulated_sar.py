"""Simulated SAR scenes: layout, place, repeatability, and how hard they are."""

import csv

import numpy as np
import pytest
from sar_scenes import SIZE, scenes_in

from seaice import InputError
from seaice.simulate import write_scenes
from seaice.simulate.sar.signal import simulate_scene
from seaice.sources.ai4arctic.scene import (
    AMSR2_CHANNELS,
    SceneName,
    group_same_scenes,
    open_scene,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return scenes_in(tmp_path_factory.mktemp("scenes"), scenes=3, test_scenes=2)


def test_names_folders_and_table(made):
    root = made[0].path.parent.parent
    with (root / "metadata.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["train"] * 3 + ["test"] * 2
    for row, scene in zip(rows, made, strict=True):
        assert root / row["input_path"] == scene.path
        assert SceneName.parse(scene.name).is_test == (row["split"] == "test")
        assert bool(row["reference_path"]) == (row["split"] == "test")
        assert row["ice_service"] == open_scene(scene.path).service
    assert all(len(group) == 1 for group in group_same_scenes([scene.name for scene in made]))


def test_twelve_scenes_see_all_seasons_and_both_services(tmp_path):
    from seaice.simulate.sar import _name_train_scenes

    names = [SceneName.parse(name) for name in _name_train_scenes(40)]
    assert len({name.name for name in names}) == 40
    assert {name.start.year for name in names} <= {2018, 2019, 2020, 2021}
    assert {(name.start.month % 12) // 3 for name in names[:12]} == {0, 1, 2, 3}
    assert {name.service for name in names} == {"dmi", "cis"}


@pytest.mark.slow
def test_layout_is_that_of_the_archive(made):
    import netCDF4

    with netCDF4.Dataset(made[0].path) as file:
        assert set(file.dimensions) == {
            "sar_lines",
            "sar_samples",
            "2km_grid_lines",
            "2km_grid_samples",
            "sar_sample_2dgrid_points",
            "sar_line_2dgrid_points",
        }
        assert {"SIC", "SOD", "FLOE", "t2m", *AMSR2_CHANNELS} <= set(file.variables)
        assert file["SIC"].dtype == np.uint8 and file["SIC"].chart_fill_value == 255
        assert file["nersc_sar_primary"].dtype == np.float32
        assert file.pixel_spacing == 80 and "simulated" in file.comment
        assert "0; land" in file["distance_map"].zonal_range_description
    with netCDF4.Dataset(made[-1].path) as file:
        assert "SIC" not in file.variables
    with netCDF4.Dataset(made[-1].reference) as file:
        assert set(file.variables) == {"SIC", "SOD", "FLOE"}


@pytest.mark.slow
def test_same_seed_same_scene_whatever_the_others(made, tmp_path):
    alone = scenes_in(tmp_path, scenes=1, test_scenes=1)
    for one, other in ((alone[0], made[0]), (alone[1], made[3])):
        assert one.name == other.name
        np.testing.assert_array_equal(one.truth.backscatter, other.truth.backscatter)
        np.testing.assert_array_equal(open_scene(one.path).read_sic(), open_scene(other.path).read_sic())
    other = write_scenes(tmp_path / "b", scenes=1, test_scenes=0, size=SIZE, seed=4)
    assert (other[0].truth.sic != made[0].truth.sic).any()


def test_land_has_sar_but_no_class_and_no_ice_without_chart(made):
    for scene in made:
        truth = scene.truth
        land = truth.zone == 0
        assert (truth.sic[land] == 255).all() and not truth.ice[land].any()
        assert set(np.unique(truth.sic)) <= {*range(11), 255}
    assert any((np.isfinite(s.truth.backscatter[0]) & (s.truth.zone == 0)).any() for s in made)


def best_threshold(values, ice):
    """Largest mean IoU of any one threshold."""
    scores = []
    for level in np.quantile(values, np.linspace(0.02, 0.98, 49)):
        found = values > level
        iou = (found & ice).sum() / (found | ice).sum(), (~found & ~ice).sum() / (~found | ~ice).sum()
        scores.append(np.mean(iou))
    return max(scores)


@pytest.mark.slow
def test_no_threshold_parts_ice_and_water_but_temperatures_help():
    values, ice, warm = [], [], []
    for k, month in enumerate((1, 4, 7, 10)):
        truth = simulate_scene(np.random.default_rng([k, 8]), (300, 320), centre=(70, -20), month=month)
        known = (truth.sic != 255) & np.isfinite(truth.backscatter[0])
        values.append(truth.backscatter[:, known])
        ice.append(truth.sic[known] >= 2)
        kelvin = truth.temperatures[11].repeat(25, axis=0).repeat(25, axis=1)
        full = np.pad(kelvin, ((0, 300 - kelvin.shape[0]), (0, 320 - kelvin.shape[1])), mode="edge")
        warm.append(full[known])
    values, ice, warm = np.hstack(values), np.hstack(ice), np.hstack(warm)
    assert best_threshold(values[0], ice) < 0.65 and best_threshold(values[1], ice) < 0.75
    assert best_threshold(warm, ice) > 0.6


@pytest.mark.slow
def test_melt_lowers_the_contrast():
    """Texture of ice, within pixels of one incidence angle and far from water."""

    def spread(month, seed):
        truth = simulate_scene(np.random.default_rng(seed), (300, 320), centre=(70, -20), month=month)
        known = truth.ice & np.isfinite(truth.backscatter[1]) & (truth.zone > 0)
        hv = truth.backscatter[1][known]
        return np.array([hv.mean(), hv.std()])

    summer = np.mean([spread(7, seed) for seed in range(4)], axis=0)
    winter = np.mean([spread(2, seed) for seed in range(4)], axis=0)
    assert summer[0] < winter[0] - 1 and summer[1] < 0.8 * winter[1]


def test_water_falls_off_faster_with_incidence_than_ice():
    truth = simulate_scene(np.random.default_rng(11), (400, 420), centre=(70, -20), month=2)
    hh, land = truth.backscatter[0], truth.zone == 0

    def slope(mask):
        mask = mask & np.isfinite(hh) & ~land
        return np.polyfit(truth.incidence[mask], hh[mask], 1)[0]

    assert slope(~truth.ice) < slope(truth.ice) - 0.1


@pytest.mark.parametrize(
    "more", [{"scenes": 0, "test_scenes": 0}, {"test_scenes": 21}, {"size": (50, 500)}]
)
def test_numbers_out_of_range_are_refused(tmp_path, more):
    with pytest.raises(InputError, match="expected"):
        write_scenes(tmp_path, **more)
