"""Simulated radiometers: water and ice as warm as in real samples, and the ice that footprints see."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
import pytest

from seaice import InputError, grids
from seaice.drawing.gshhg import compute_land_share
from seaice.simulate import compute_true_concentration, compute_true_day, scan_geometry
from seaice.simulate.amsr2_signal import FOOTPRINTS, Scene
from seaice.simulate.globe import temperature_statistics
from seaice.simulate.globe.surface_temperatures import SurfaceTemperatures
from seaice.simulate.globe.temperature_statistics import (
    CHANNELS,
    SCORES,
    fit_statistics,
    list_classes,
    read_statistics,
    write_statistics,
)
from seaice.sources.round_robin import read_samples

MIDDLE = {  # of the seasons, days since 1970-01-01
    ("north", "winter"): 17911,
    ("north", "summer"): 18092,
    ("south", "winter"): 18109,
    ("south", "summer"): 17926,
}
CLASSES = [(*key, surface) for key in MIDDLE for surface in ("water", "ice")]
# Every hemisphere, season and surface twice; the others are thorough.
SOME_CLASSES = [
    one if k in (0, 3, 5, 6) else pytest.param(*one, marks=pytest.mark.thorough)
    for k, one in enumerate(CLASSES)
]
BANDS = ("6.9", "7.3", "10.7", "18.7", "23.8", "36.5", "89A")
EVERY_OTHER = np.arange(0.0, 486, 2)


@lru_cache
def simulate_class(hemisphere: str, season: str, surface: str, *, passes: int) -> np.ndarray:
    """Temperatures of a surface at many places beyond 50 degrees in a season, (channels, places)."""
    rng = np.random.default_rng(1)
    places = []
    while len(places) < passes:
        half_orbit = scan_geometry.find_half_orbit(MIDDLE[hemisphere, season] + rng.uniform(-60, 60))
        scans = np.array([scan_geometry.find_first_scan(half_orbit) + rng.integers(1900)])
        z = scan_geometry.compute_footprints(scans, "89A", samples=EVERY_OTHER).z.astype(np.float32)
        poleward = (z if hemisphere == "north" else -z)[0]
        some = np.flatnonzero((poleward > 0.766) & (poleward < 0.966))[::40]
        if some.size:
            view = SurfaceTemperatures(scans, surface, seed=int(rng.integers(4)))
            noise = rng.standard_normal((7, 2, 1, 243)).astype(np.float32)
            pairs = [
                view.compute(band, z, EVERY_OTHER, tuple(part))
                for band, part in zip(BANDS, noise, strict=True)
            ]
            places.append([kelvin[0, some] for pair in pairs for kelvin in pair])
    return np.concatenate(places, axis=1)


def assert_alike(simulated, expected, *, kelvin):
    assert np.abs(simulated.mean(1) - expected.mean(1)).max() < kelvin
    assert np.abs(simulated.std(1) / expected.std(1) - 1).max() < 0.25
    assert np.abs(np.corrcoef(simulated) - np.corrcoef(expected)).max() < 0.15


@pytest.mark.slow
@pytest.mark.parametrize(("hemisphere", "season", "surface"), CLASSES)
def test_temperatures_follow_the_packaged_distributions(hemisphere, season, surface):
    (one,) = (
        s
        for s in read_statistics()
        if (s.hemisphere, s.season, s.surface) == (hemisphere, season, surface)
    )
    rng = np.random.default_rng(2)
    scores = one.loadings @ rng.standard_normal((one.loadings.shape[1], 20_000))
    scores += one.noise[:, None] * rng.standard_normal(scores.shape)
    assert scores.std(1) == pytest.approx(1, abs=0.03), "the noise is a part of the variance"
    drawn = np.array(
        [np.interp(*pair) for pair in zip(scores, [SCORES] * 14, one.quantiles, strict=True)]
    )
    assert_alike(simulate_class(hemisphere, season, surface, passes=80), drawn, kelvin=3)


@lru_cache(maxsize=1)
def read_real_samples(path):
    return read_samples(path)


@pytest.mark.slow
@pytest.mark.parametrize(("hemisphere", "season", "surface"), SOME_CLASSES)
def test_temperatures_follow_real_samples(real_data, hemisphere, season, surface):
    samples = read_real_samples(real_data / "rrdp" / f"rrdp_developers_{hemisphere}.csv.gz")
    samples = samples.select((samples.sensor == "AMSR2") & (samples.day % 4 == 3))
    masks = {(name, time): mask for name, time, mask in list_classes(samples, hemisphere)}
    kelvin = samples.select(masks[surface, season]).stack(CHANNELS)
    assert_alike(simulate_class(hemisphere, season, surface, passes=700), kelvin, kelvin=1.5)


# ---- the fit -----------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def quick_fit(monkeypatch):
    monkeypatch.setattr(temperature_statistics, "_DRAWS", 4_000)


def write_samples(path, per_class):
    """Samples of two factors on days of all remainders, absurd on those that are not for simulation."""
    rng = np.random.default_rng(3)
    lines = ["sensor,concentration,latitude,time," + ",".join(f"{c[:-1]}GHz{c[-1]}" for c in CHANNELS)]
    lines[0] = lines[0].replace("89GHz", "89.0GHz")
    for concentration in (0, 1):
        for start in (datetime(2019, 1, 1, tzinfo=UTC), datetime(2019, 7, 1, tzinfo=UTC)):
            for number in range(4 * per_class):
                time = start + timedelta(days=number % 40)
                factors, noise = rng.standard_normal(2), rng.standard_normal(14)
                kelvin = 180 + 50 * concentration + np.repeat(factors, 7) * 8 + noise * 2
                if time.date().toordinal() % 4 != 3:
                    kelvin[:] = 100 + noise
                numbers = ",".join(f"{value:.2f}" for value in kelvin)
                lines.append(f"AMSR2,{concentration},70,{time:%Y-%m-%dT%H:%M:%SZ},{numbers}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_fit_takes_every_fourth_day_and_its_factors(tmp_path):
    path = write_samples(tmp_path / "samples.csv", 120)
    statistics = fit_statistics([path])
    assert [(s.surface, s.season, s.samples, s.days) for s in statistics] == [
        (surface, season, 120, 10) for surface in ("water", "ice") for season in ("winter", "summer")
    ]
    expected = np.kron(np.eye(2), np.full((7, 7), 64 / 68)) + np.eye(14) * 4 / 68
    for one in statistics:
        assert one.quantiles[:, len(SCORES) // 2] == pytest.approx(
            180 if one.surface == "water" else 230, abs=3
        )
        correlations = one.loadings @ one.loadings.T + np.diag(one.noise**2)
        assert np.abs(correlations - expected).max() < 0.25
        assert np.diag(correlations) == pytest.approx(1)
    write_statistics(tmp_path / "statistics.json", statistics)
    assert (tmp_path / "statistics.json").stat().st_size < 60_000


def test_few_samples_are_pooled_and_fewer_refused(tmp_path):
    pooled = fit_statistics([write_samples(tmp_path / "some.csv", 60)])
    assert {one.samples for one in pooled} == {120}
    with pytest.raises(InputError, match="expected 100 samples of water in the north or more, found 40"):
        fit_statistics([write_samples(tmp_path / "few.csv", 20)])


# ---- the ice -----------------------------------------------------------------------------

WINTER = date(2020, 3, 1)


@pytest.fixture(scope="module")
def polar_scans():
    half_orbit = scan_geometry.find_half_orbit((WINTER - date(1970, 1, 1)).days + 0.3)
    return scan_geometry.find_first_scan(half_orbit) + np.arange(30)


@pytest.mark.parametrize("frequency", ["6.9", "36.5", "89B"])
def test_a_footprint_sees_the_true_ice(polar_scans, frequency):
    footprints = scan_geometry.compute_footprints(polar_scans, frequency)
    cover = Scene(polar_scans, seed=4).compute_cover(footprints, FOOTPRINTS[frequency])
    latitude, longitude = footprints.latitude_longitude()
    size = FOOTPRINTS[frequency]
    truth = compute_true_concentration(latitude, longitude, WINTER, seed=4, footprint=size)
    sea = (cover.land == 0) & ~np.isnan(truth)
    assert sea.sum() > 500
    assert 0.3 < truth[sea].mean() < 1
    assert np.abs(cover.ice - truth)[sea].max() < 1e-5


@pytest.fixture(scope="module")
def fine_truth():
    return compute_true_day(grids.get_grid("n6250"), WINTER, seed=1)


@pytest.mark.slow
def test_most_of_the_pack_is_closed(fine_truth):
    sea = fine_truth[~np.isnan(fine_truth)]
    assert 0.2 < (sea > 0.15).mean() < 0.4
    ice = sea[sea > 0.01]
    assert (ice > 0.95).mean() > 0.7
    assert 0.05 < ((ice > 0.05) & (ice < 0.95)).mean() < 0.25, "leads and floes"
    assert (sea == 0).mean() > 0.5


@pytest.mark.slow
def test_the_edge_of_the_ice_is_tens_of_kilometres_wide():
    from scipy.ndimage import distance_transform_edt, uniform_filter

    ice = compute_true_day(grids.get_grid("s6250"), date(2020, 9, 1), seed=1)
    open_water = uniform_filter(np.nan_to_num(ice, nan=1), 9) < 0.01
    distance = distance_transform_edt(~open_water) * 6.25 - 4 * 6.25
    for least, most, low, high in ((-20, -5, 0, 0.02), (5, 15, 0.2, 0.6), (35, 45, 0.8, 0.95)):
        share = np.nanmean(ice[(distance > least) & (distance < most)])
        assert low <= share <= high, (least, most)


@pytest.fixture(scope="module")
def coarse_truth():
    return compute_true_day(grids.get_grid("n25000"), WINTER, seed=1)


@pytest.mark.slow
def test_coarse_cells_are_means_of_fine_ones(fine_truth, coarse_truth):
    coarse = coarse_truth
    means = fine_truth.reshape(448, 4, 304, 4).mean((1, 3))
    both = ~np.isnan(coarse + means)
    assert both.sum() > 50_000
    difference = (coarse - means)[both]
    assert abs(difference.mean()) < 0.002
    assert difference[(coarse[both] > 0.02)].std() < 0.04


@pytest.mark.slow
def test_ice_changes_with_seed_and_day(coarse_truth):
    grid, today = grids.get_grid("n25000"), coarse_truth
    tomorrow = compute_true_day(grid, WINTER + timedelta(days=1), seed=1)
    other = compute_true_day(grid, WINTER, seed=2)
    apart = [np.sqrt(np.nanmean((field - today) ** 2)) for field in (tomorrow, other)]
    assert 0.005 < apart[0] < 0.5 * apart[1]
    land = np.isnan(today)
    assert (land == np.isnan(other)).all() and 0.2 < land.mean() < 0.6


def test_impossible_footprints_are_refused():
    with pytest.raises(InputError, match="footprint of 0 to 100 km, found -3"):
        compute_true_concentration(np.array([80.0]), np.array([0.0]), WINTER, footprint=-3)


def test_land_is_seen_at_every_longitude_of_single_precision():
    longitude = np.nextafter(np.float32(-180 + 1 / 12), np.float32(-181)) * np.ones(4, np.float32)
    latitude = np.array([-89, 0, 66, 70], np.float32)
    share = compute_land_share(latitude, longitude, footprint=20)
    beside = compute_land_share(latitude, np.float32(-179.9) * np.ones(4, np.float32), footprint=20)
    assert share == pytest.approx(beside, abs=0.05)
