"""Footprints matched, land taken out and the base sharpened: slow references and exact truths."""

import importlib
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

from seaice import InputError
from seaice.retrieval import get_algorithm
from seaice.retrieval.algorithms.base import CHANNELS, NOISE
from seaice.retrieval.bands import share_land
from seaice.retrieval.footprints import (
    FOOTPRINTS,
    average,
    average_grid,
    compute_sigma,
    interpolate,
    match,
    place_on_sphere,
)
from seaice.retrieval.land import remove_land
from seaice.retrieval.sharpen import FINE_SHARE, NOISES, PRIOR_WIDTH, Coarse, LocalSignatures, sharpen
from seaice.retrieval.status import Status
from seaice.retrieval.swath import compute_range, retrieve_gridded, retrieve_swath
from seaice.retrieval.tie_points import find_packaged_tie_points
from seaice.sources.amsr2.swath import Positions, Swath

DAY = date(2020, 1, 15)
POINTS = find_packaged_tie_points("AMSR2", "north")
SIGNATURES = POINTS.choose(DAY)
FINE_CHANNELS = ("36.5V", "36.5H", "89V", "89H")
BASE = get_algorithm("base")
KILOMETRES_OF_A_DEGREE = 111.2


def make_positions(
    scans=30, pixels=24, *, spacing=10.0, advance=10.0, latitude=75.0, forward=0.0, aside=0.0
):
    """Pixels 10 km apart along the scans and from scan to scan; ``forward`` and ``aside`` shift them."""
    north = latitude + (np.arange(scans) * advance + forward) / KILOMETRES_OF_A_DEGREE
    east = (np.arange(pixels) * spacing + aside) / KILOMETRES_OF_A_DEGREE
    north = np.broadcast_to(north[:, None], (scans, pixels))
    return north, east / np.cos(np.radians(north))


def mix(concentration, channel):
    """Temperature of an exact mixture."""
    number = SIGNATURES.channels.index(channel)
    water, ice = SIGNATURES.water.mean[number], SIGNATURES.ice.mean[number]
    return water + concentration * (ice - water)


def make_swath(concentration, *, horns="A", behind=-5.0, latitude=75.0, scans=30, **changes):
    """A swath over ice; its concentration is a function of latitude, longitude and footprint."""
    kelvin, positions = {}, {}
    offsets = {"18.7": 0.3, "23.8": 0.0, "36.5": -0.7, "89A": -2.0, "89B": 1.0}
    for frequency, aside in offsets.items():
        if frequency[:2] == "89" and frequency[2] not in horns:
            continue
        is_fine = frequency[:2] == "89"
        north, east = make_positions(
            scans,
            48 if is_fine else 24,
            spacing=5.0 if is_fine else 10.0,
            latitude=latitude,
            forward=-behind if frequency == "89B" else 0.0,
            aside=aside,
        )
        positions[frequency] = Positions(north.astype(np.float32), east.astype(np.float32))
        for polarisation in "VH":
            channel = frequency.rstrip("AB") + polarisation
            footprint = FOOTPRINTS[frequency.rstrip("AB")]
            values = mix(concentration(north, east, footprint), channel).astype(np.float32)
            kelvin[frequency + polarisation] = values
    kelvin |= changes.pop("kelvin", {})
    times = 1579046400.0 + 1.5 * np.arange(scans)
    return Swath(kelvin, {}, positions, times, granule_id="made up", **changes)


def no_land(latitude, longitude, footprint):
    return np.zeros(latitude.shape, np.float32)


def retrieve(swath, footprint="4", **options):
    options = {"algorithm": BASE, "land_share": no_land, **options}
    return retrieve_swath(swath, POINTS, footprint=footprint, **options)


def average_slowly(values, position, target, sigma, least):
    result = np.full(target.shape[1:], np.nan)
    for index in np.ndindex(result.shape):
        squares = ((position - target[(slice(None), *index)][:, None, None]) ** 2).sum(0)
        weights = np.where(squares <= (3 * sigma) ** 2, np.exp(-squares / (2 * sigma**2)), 0)
        valid = np.isfinite(values)
        if weights[valid].sum() >= max(least * weights.sum(), 1e-9):
            result[index] = (weights[valid] * values[valid]).sum() / weights[valid].sum()
    return result


def test_mean_footprints_are_those_of_the_maker():
    rounded = {frequency: round(size, 1) for frequency, size in FOOTPRINTS.items()}
    assert rounded == {
        "6.9": 46.6,
        "7.3": 44.4,
        "10.7": 31.7,
        "18.7": 17.5,
        "23.8": 19.7,
        "36.5": 9.2,
        "89": 3.9,
    }
    assert compute_sigma(19.7, 9.2) == 0


@pytest.mark.parametrize("sigma", [4.0, 8.2])
def test_average_is_that_of_all_pixels_by_distance(sigma):
    random = np.random.default_rng(0)
    position = place_on_sphere(*make_positions(14, 40, spacing=5.0, aside=-3.0))
    target = place_on_sphere(*make_positions(14, 20))
    values = random.normal(250, 10, (2, 14, 40)).astype(np.float32)
    values[1, 3:7, 10:22] = np.nan
    averaged = average(values, position, target, sigma=sigma)
    for field, result in zip(values, averaged, strict=True):
        slow = average_slowly(field.astype(np.float64), position, target, sigma, 0.5)
        np.testing.assert_allclose(result, slow, rtol=1e-6)
    assert np.isnan(averaged[1]).any() and not np.isnan(averaged[0]).any()


def test_average_keeps_constant_and_linear_fields():
    north, east = make_positions(24, 40, spacing=5.0)
    target_north, target_east = make_positions(24, 20, aside=1.7)
    position, target = place_on_sphere(north, east), place_on_sphere(target_north, target_east)
    fields = np.stack([np.full(north.shape, 7.0), north]).astype(np.float32)
    constant, linear = average(fields, position, target, sigma=8.2)
    np.testing.assert_allclose(constant, 7, rtol=1e-6)
    inner = (slice(3, -3), slice(3, -3))
    np.testing.assert_allclose(linear[inner], target_north[inner], atol=2e-3)


def test_average_leaves_out_what_is_not_needed():
    position = place_on_sphere(*make_positions(5, 6))
    needed = np.zeros((5, 6), bool)
    needed[2, 3] = True
    averaged = average(np.ones((1, 5, 6), np.float32), position, position, sigma=8.2, needed=needed)
    np.testing.assert_array_equal(np.isfinite(averaged[0]), needed)


def test_average_passes_over_scans_without_positions():
    position = place_on_sphere(*make_positions(9, 6))
    values = np.arange(54, dtype=np.float32).reshape(1, 9, 6)
    position[:, 4] = np.nan
    averaged = average(values, position, position, sigma=8.2)
    assert np.isnan(averaged[0, 4]).all() and np.isfinite(averaged[0, [3, 5]]).all()
    slow = average_slowly(values[0], position, position, 8.2, 0.5)
    np.testing.assert_allclose(averaged[0, [3, 5]], slow[[3, 5]], rtol=1e-6)


def test_interpolation_is_exact_for_linear_fields_and_ends_at_missing_values():
    north, east = make_positions(12, 10)
    target_north, target_east = make_positions(12, 20, spacing=5.0, forward=-4.0, aside=2.0)
    position, target = place_on_sphere(north, east), place_on_sphere(target_north, target_east)
    values = np.stack([north, north]).astype(np.float32)
    values[1, 6:] = np.nan
    whole, part = interpolate(values, position, target)
    np.testing.assert_allclose(whole[1:], target_north[1:], atol=1e-3)
    np.testing.assert_allclose(whole[0], north[0, 0], atol=1e-5)  # beyond the edge: that of the edge
    assert np.isnan(part[6:]).all() and np.isfinite(part[:6]).all()  # 6 lies 6 km beyond the last value


def test_match_composes_footprints():
    # A point seen by a Gaussian of 9.2 km, brought to 19.7 km, is what 19.7 km see at once.
    north, east = make_positions(60, 60, spacing=5.0, advance=4.0)
    fine, coarse = (size / np.sqrt(8 * np.log(2)) for size in (9.2, 19.7))
    target_north, target_east = make_positions(60, 30, advance=4.0)
    position, target = place_on_sphere(north, east), place_on_sphere(target_north, target_east)
    point = target[:, 30, 15]
    seen = np.exp(-((position - point[:, None, None]) ** 2).sum(0) / (2 * fine**2)) / fine**2
    wanted = np.exp(-((target - point[:, None, None]) ** 2).sum(0) / (2 * coarse**2)) / coarse**2
    matched = match(seen[None].astype(np.float32), position, target, fine=9.2, coarse=19.7)[0]
    assert abs(matched - wanted).max() < 0.04 * wanted.max()
    same = seen[None].astype(np.float32)
    assert match(same, position, position, fine=19.7, coarse=19.7) is same


def test_average_on_a_grid_by_valid_cells():
    values = np.full((30, 30), 5.0, np.float32)
    values[:, 15:] = np.nan
    averaged = average_grid(values, sigma=2)
    np.testing.assert_allclose(averaged[:, :15], 5, rtol=1e-6)
    assert np.isnan(averaged[:, 16:]).all()


def test_land_is_taken_out_of_a_coast():
    north, east = make_positions(20, 40)
    position = place_on_sphere(north, east)
    share = np.broadcast_to(np.clip(np.linspace(-0.6, 2.2, 40), 0, 1), (20, 40)).astype(np.float32)
    sea = (190 + np.arange(20)[:, None]) * np.ones((1, 40))
    seen = ((1 - share) * sea + share * 260).astype(np.float32)[None]
    cleaned, variance = remove_land(seen, position, share, footprint=19.7)
    is_sea = share < 0.5
    np.testing.assert_allclose(cleaned[0][is_sea], sea[is_sea], atol=0.02)
    assert np.isnan(cleaned[0][~is_sea]).all() and np.isnan(variance[0][~is_sea]).all()
    np.testing.assert_allclose(variance[0][is_sea], 0, atol=0.1)  # all land is 260 K


def test_land_near_by_tells_its_own_temperature_and_error():
    north, east = make_positions(40, 20)
    position = place_on_sphere(north, east)
    share = np.zeros((40, 20), np.float32)
    share[:, 10:], share[:, 9] = 1, 0.25
    share[20, 2] = 0.2  # an island far from the land
    random = np.random.default_rng(1)
    land = np.where(north > north[20, 0], 270, 240) + random.normal(0, 4, north.shape)
    seen = np.where(share < 1, 200 + share * (np.where(north > north[20, 0], 270, 240) - 200), land)
    cleaned, variance = remove_land(seen[None].astype(np.float32), position, share, footprint=19.7)
    edge = np.r_[0:13, 27:40]
    assert abs(cleaned[0, edge, 9] - 200).max() < 1.5
    near = (position - position[:, 5, 9][:, None, None]) ** 2
    values = seen[(near.sum(0) <= 59.1**2) & (share > 0.95)]
    expected = (0.25 * values.std() / 0.75) ** 2
    median = (seen[5, 9] - 0.25 * np.median(values)) / 0.75
    np.testing.assert_allclose(cleaned[0, 5, 9], median, rtol=1e-6)
    np.testing.assert_allclose(variance[0, 5, 9], expected, rtol=1e-4)
    everything = seen[share > 0.95]
    np.testing.assert_allclose(variance[0, 20, 2], (0.2 * everything.std() / 0.8) ** 2, rtol=1e-4)
    np.testing.assert_allclose(
        cleaned[0, 20, 2], (seen[20, 2] - 0.2 * np.median(everything)) / 0.8, rtol=1e-5
    )


def test_without_land_to_compare_a_coast_is_missing():
    position = place_on_sphere(*make_positions(5, 5))
    share = np.zeros((5, 5), np.float32)
    share[2, 2] = 0.3
    cleaned, _ = remove_land(np.full((2, 5, 5), 200, np.float32), position, share, footprint=9.2)
    np.testing.assert_array_equal(np.isnan(cleaned), np.broadcast_to(share > 0, (2, 5, 5)))


def test_local_signatures_are_the_conditional_means():
    random = np.random.default_rng(2)
    base, fine = SIGNATURES.select(CHANNELS), SIGNATURES.select(FINE_CHANNELS)
    kelvin = {c: np.float32(mix(0.6, c) + random.normal(0, 4, 3)) for c in CHANNELS}
    concentration = np.array([0.6, -0.1, np.nan], np.float32)
    noise = {"36.5V": np.array([9.0, 0, 0], np.float32)}
    local = LocalSignatures(SIGNATURES, CHANNELS, FINE_CHANNELS)
    departures = local.find(kelvin, concentration, noise)
    numbers = [CHANNELS.index(c) for c in FINE_CHANNELS]
    for place, c in enumerate((0.6, -0.1)):
        ice = max(c, 0)
        covariance = (1 - ice) ** 2 * base.water.covariance + ice**2 * base.ice.covariance
        covariance = covariance + NOISE**2 * np.eye(8)
        covariance[4, 4] += 9.0 if place == 0 else 0
        residual = np.array([kelvin[name][place] - mix(c, name) for name in CHANNELS])
        seen = np.linalg.inv(covariance) @ residual
        water = (1 - ice) * base.water.covariance[numbers] @ seen
        of_ice = ice * base.ice.covariance[numbers] @ seen
        np.testing.assert_allclose(departures[:, place], [*water, *of_ice], rtol=1e-3, atol=1e-3)
    assert np.isnan(departures[:, 2]).all()
    inverse = np.linalg.inv(0.25 * (base.water.covariance + base.ice.covariance) + NOISE**2 * np.eye(8))
    water, ice = 0.5 * base.water.covariance[numbers], 0.5 * base.ice.covariance[numbers]
    expected = (1 + FINE_SHARE) * fine.water.covariance - water @ inverse @ water.T
    np.testing.assert_allclose(local.tables[100, 0], expected, rtol=1e-8)
    shared = -water @ inverse @ ice.T
    np.testing.assert_allclose(local.tables[100, 2], shared + shared.T, rtol=1e-8)


def sharpen_slowly(kelvin, local, departures, base, coarser, error, unevenness):
    fine = SIGNATURES.select(FINE_CHANNELS)
    water, ice = fine.water.mean + departures[:4], fine.ice.mean + departures[4:]
    noise = np.diag([NOISES[c[:-1]] ** 2 for c in FINE_CHANNELS])
    table = local.tables[round(base * 200)]
    weight = 1 / (error**2 + PRIOR_WIDTH**2 + unevenness * coarser * (1 - coarser))
    concentration = base
    for _ in range(200):
        q = min(max(concentration, 0), 1)
        covariance = (1 - q) ** 2 * table[0] + q**2 * table[1] + q * (1 - q) * table[2] + noise
        line = np.linalg.solve(covariance, ice - water)
        precision = line @ (ice - water) + weight
        concentration = (line @ (kelvin - water) + weight * coarser) / precision
    return concentration, precision**-0.5


def test_sharpening_is_the_iterated_estimate():
    random = np.random.default_rng(3)
    local = LocalSignatures(SIGNATURES, CHANNELS, FINE_CHANNELS)
    kelvin = np.array([mix(0.4, c) for c in FINE_CHANNELS])[:, None] + random.normal(0, 3, (4, 6))
    departures = random.normal(0, 3, (8, 6)).astype(np.float32)
    base = np.array([0.1, 0.3, 0.5, 0.7, 0.9, 0.5], np.float32)
    coarser, error = base + np.float32(0.05), np.full(6, 0.04, np.float32)
    coarse = Coarse(base, departures, coarser, error)
    temperatures = dict(zip(FINE_CHANNELS, kelvin.astype(np.float32), strict=True))
    temperatures["89V"][5] = np.nan
    results = sharpen(temperatures, coarse, local, noise={}, unevenness=0.1)
    for place in range(5):
        expected = sharpen_slowly(
            kelvin[:, place], local, departures[:, place], base[place], coarser[place], 0.04, 0.1
        )
        np.testing.assert_allclose([part[place] for part in results], expected, atol=2e-4)
    assert np.isnan([part[5] for part in results]).all()


@pytest.mark.parametrize("footprint", ["20", "9", "4"])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_exact_mixtures_come_back_from_all_steps(share, footprint):
    result = retrieve(make_swath(lambda north, *_: share + 0 * north), footprint)
    np.testing.assert_allclose(result.concentration, share, atol=1e-3)
    np.testing.assert_allclose(result.base, share, atol=1e-3)
    expected = Status.OPEN_WATER * (share == 0) | Status.BASE_ONLY * (footprint == "20")
    np.testing.assert_array_equal(result.status, np.uint8(expected))
    assert (result.standard_error > 0.003).all() and (result.standard_error < 0.2).all()


def test_a_gradient_comes_back_from_the_finest_step():
    swath = make_swath(lambda north, *_: (north - 75) / 4 + 0.1, scans=40)
    result = retrieve(swath)
    truth = (result.latitude - 75) / 4 + 0.1
    assert abs(result.concentration - truth)[4:-4, 8:-8].max() < 0.012


def test_sharpening_finds_an_edge_and_takes_the_weather_of_the_place():
    def see_edge(north, _, footprint):
        widths = (north - 76.3) * KILOMETRES_OF_A_DEGREE / compute_sigma(0, footprint)
        return ndtr(widths)

    swath = make_swath(see_edge)
    errors = {}
    for footprint in ("20", "4"):
        result = retrieve(swath, footprint)
        errors[footprint] = abs(result.concentration - see_edge(result.latitude, 0, 3.9))[:, 8:-8].mean()
    assert errors["4"] < 0.5 * errors["20"]
    weather = {  # water that is warmer by one standard deviation along its first axis
        name: np.float32(shift) for name, shift in zip(CHANNELS, find_weather(), strict=True)
    }
    kelvin = {
        n: v + weather[n.replace("A", "")] for n, v in make_swath(lambda n, *_: 0 * n).counts.items()
    }
    result = retrieve(make_swath(lambda n, *_: 0 * n, kelvin=kelvin))
    assert abs(result.concentration).max() < 0.02


def find_weather():
    water = SIGNATURES.select(CHANNELS).water.covariance
    sizes, axes = np.linalg.eigh(water)
    return axes[:, -1] * np.sqrt(sizes[-1]) * np.sign(axes[:, -1].sum())


@pytest.mark.parametrize(("behind", "scan"), [(-5.0, 1), (5.0, 0), (15.0, 0)])
def test_scans_of_both_horns_stand_in_the_order_of_the_track(behind, scan):
    swath = make_swath(lambda north, *_: 0.5 + 0 * north, horns="AB", behind=behind)
    result = retrieve(swath)
    assert result.concentration.shape == (60, 48)
    assert (np.diff(result.latitude, axis=0) > 0).all()
    np.testing.assert_allclose(result.concentration, 0.5, atol=1e-3)
    assert set(swath.scan_times) == set(result.time)
    assert result.time[scan] == swath.scan_times[0]


def test_results_of_both_horns_lie_at_their_pixels():
    swath = make_swath(lambda north, *_: 0.5 + 0 * north, horns="AB")
    result = retrieve(swath)
    np.testing.assert_array_equal(result.latitude[::2], swath.positions["89A"].latitude)
    np.testing.assert_array_equal(result.latitude[1::2], swath.positions["89B"].latitude)
    np.testing.assert_array_equal(result.time, np.repeat(swath.scan_times, 2))
    np.testing.assert_allclose(result.concentration, 0.5, atol=1e-3)
    coarse = retrieve(swath, "9")
    np.testing.assert_array_equal(coarse.latitude, swath.positions["36.5"].latitude)


def test_what_is_missing_is_never_ice_or_water():
    swath = make_swath(lambda north, *_: 0.5 + 0 * north)
    fine, coarse = swath.counts["89AH"].copy(), swath.counts["18.7V"].copy()
    fine[10, 20] = np.nan
    coarse[20:] = 0.0  # no temperature
    result = retrieve(make_swath(lambda n, *_: 0.5 + 0 * n, kelvin={"89AH": fine, "18.7V": coarse}))
    assert np.isnan(result.concentration[24:]).all() and not result.status[24:].any()
    assert np.isnan(result.standard_error[24:]).all()
    assert np.isfinite(result.concentration[:18]).all()
    np.testing.assert_allclose(result.concentration[:18], 0.5, atol=1e-3)  # that of 9 km at one pixel
    assert not np.isnan(result.status[10, 20]) and result.standard_error[10, 20] > 0


def test_scans_without_positions_are_missing_and_harm_no_others():
    swath = make_swath(lambda north, *_: 0.5 + 0 * north, horns="AB", latitude=85.0)
    for positions in swath.positions.values():
        positions.latitude[7], positions.longitude[7] = np.nan, np.nan
    result = retrieve(swath, land_share=None)
    lost = np.isnan(result.latitude)
    assert np.isnan(result.concentration[lost]).all() and lost.sum() == 2 * 48
    assert np.isfinite(result.concentration[~lost]).all()
    np.testing.assert_allclose(result.concentration[~lost], 0.5, atol=1e-3)


def test_without_fine_channels_the_base_stands():
    swath = make_swath(lambda north, *_: 0.5 + 0 * north, horns="")
    result = retrieve(swath, algorithm=get_algorithm("base_6"))
    np.testing.assert_array_equal(result.latitude, swath.positions["23.8"].latitude)
    assert (result.status == Status.BASE_ONLY).all()


def test_a_coast_comes_back_from_all_steps():
    def share_land(latitude, longitude, footprint):
        east = (longitude * np.cos(np.radians(latitude)) * KILOMETRES_OF_A_DEGREE).astype(np.float32)
        return np.clip((east - 150) / footprint + 0.5, 0, 1)

    swath = make_swath(lambda north, *_: 0.4 + 0 * north)
    kelvin = {}
    for name, values in swath.counts.items():
        place = swath.positions[name[:-1]]
        footprint = FOOTPRINTS[name[:-1].rstrip("A")]
        share = share_land(place.latitude, place.longitude, footprint)
        kelvin[name] = ((1 - share) * values + share * 255).astype(np.float32)
    swath = make_swath(lambda north, *_: 0.4 + 0 * north, kelvin=kelvin)
    for footprint in ("20", "9", "4"):
        result = retrieve(swath, footprint, land_share=share_land)
        is_sea = result.land < 0.49
        np.testing.assert_allclose(result.concentration[is_sea], 0.4, atol=2e-3)
        assert np.isnan(result.concentration[result.land >= 0.5]).all()
        assert (result.status[is_sea & (result.land > 0.02)] & Status.LAND_CORRECTED).all()
        assert not (result.status[:, 5] & Status.LAND_CORRECTED).any()
        raw = retrieve(swath, footprint, land_share=share_land, remove_land=False)
        assert abs(raw.concentration[is_sea] - 0.4).max() > 0.02
        assert not (raw.status & Status.LAND_CORRECTED).any()


def test_only_the_hemisphere_of_the_tie_points_is_looked_at():
    swath = make_swath(lambda north, *_: 0.5 + 0 * north, latitude=29.0)
    result = retrieve(swath)
    assert (
        len(result.time) == len(result.latitude) == 18
    )  # the first degree is nine tenths of 10 km scans
    assert result.latitude.max() > 31 and (result.latitude[:, 0] >= 30).all()
    south = retrieve(make_swath(lambda north, *_: 0.5 + 0 * north, latitude=-70.0))
    assert south.concentration.shape == (0, 24) and len(south.time) == 0


def test_other_algorithms_work_at_their_own_pixels():
    swath = make_swath(lambda north, *_: 0.5 + 0 * north)
    for name, frequency in (("asi", "89A"), ("nasa_team", "23.8"), ("hybrid", "18.7")):
        algorithm = get_algorithm(name)
        result = retrieve(swath, algorithm=algorithm)
        np.testing.assert_array_equal(result.latitude, swath.positions[frequency].latitude)
        kelvin = {c: np.array([mix(0.5, c)]) for c in algorithm.channels}
        expected = algorithm.retrieve(kelvin, SIGNATURES).concentration[0]
        np.testing.assert_allclose(result.concentration, expected, atol=2e-4)
        assert (result.status & Status.BASE_ONLY).all()


def test_level_1r_needs_no_averages():
    swath = make_swath(lambda north, *_: 0.5 + 0 * north)
    place = swath.positions["23.8"]
    channels = {
        f"{footprint}-{frequency}{p}": np.full(
            place.latitude.shape, mix(0.5, f"{frequency}{p}"), np.float32
        )
        for footprint, frequencies in (
            ("res23", ("18.7", "23.8", "36.5", "89")),
            ("res36", ("36.5", "89")),
        )
        for frequency in frequencies
        for p in "VH"
    }
    resampled = Swath(channels, {}, {"resampled": place}, swath.scan_times)
    result = retrieve(resampled)
    np.testing.assert_allclose(result.concentration, 0.5, atol=1e-3)
    assert not (result.status & Status.BASE_ONLY).any()
    one = {**channels, "res23-36.5V": channels["res23-36.5V"].copy()}
    one["res23-36.5V"][4, 4] = np.nan
    base = retrieve(Swath(one, {}, {"resampled": place}, swath.scan_times), "20")
    assert np.isnan(base.concentration).sum() == 1  # no neighbour stands in


def test_what_is_needed_is_named():
    swath = make_swath(lambda north, *_: 0.5 + 0 * north, horns="")
    with pytest.raises(
        InputError, match="expected the channels 89V, 89H with positions for base, found"
    ):
        retrieve(swath)
    with pytest.raises(InputError, match="expected a swath with times and positions"):
        retrieve(Swath(swath.counts, {}, {}, swath.scan_times))
    with pytest.raises(InputError, match="expected a swath with times and positions"):
        retrieve(Swath(swath.counts, {}, swath.positions, None))


@pytest.mark.parametrize("footprint", ["20", "9", "4"])
def test_gridded_mixtures_come_back(footprint):
    truth = np.broadcast_to(np.linspace(0.2, 0.8, 80), (60, 80))
    names = [c.replace("89", "89A") for c in CHANNELS]
    kelvin = {n: mix(truth, n.replace("A", "")).astype(np.float32) for n in names}
    kelvin["18.7V"][30:, 60:] = np.nan
    land = np.zeros(truth.shape, bool)
    land[:10, :10] = True
    result = retrieve_gridded(kelvin, 6.25, SIGNATURES, algorithm=BASE, footprint=footprint, land=land)
    is_value = np.isfinite(result.concentration)
    assert not is_value[land].any() and not is_value[45:, 70:].any() and is_value[15:40, 10:55].all()
    assert abs(result.concentration - truth)[15:40, 10:55].max() < 3e-3
    assert (result.status[20, 20] & Status.BASE_ONLY > 0) == (footprint == "20")


def test_gridded_temperatures_of_other_algorithms_are_matched():
    kelvin = {c: np.full((20, 20), mix(0.5, c), np.float32) for c in CHANNELS}
    result = retrieve_gridded(kelvin, 12.5, SIGNATURES, algorithm=get_algorithm("asi"))
    expected = get_algorithm("asi").retrieve(kelvin, SIGNATURES).concentration
    np.testing.assert_allclose(result.concentration, expected, atol=1e-4)


def test_range_is_that_of_nine_neighbours():
    values = np.zeros((4, 5), np.float32)
    values[1, 1], values[3, 4] = 3, np.nan
    expected = np.zeros((4, 5))
    expected[:3, :3] = 3
    np.testing.assert_array_equal(compute_range(values), expected)


@pytest.mark.slow
def test_sharpening_has_at_most_six_tenths_of_the_error_of_asi(monkeypatch, capsys):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
    benchmark = importlib.import_module("sharpening")
    words = ["--scenes", "1", "--size", "64", "--distances", "25"]
    assert benchmark.main(words) == 0
    monkeypatch.setattr(benchmark, "REQUIRED", 0.1)
    assert benchmark.main(words) == 1
    assert "Step 3 over ASI: 0." in capsys.readouterr().out


def test_a_wider_footprint_sees_a_farther_coast():
    """40 kilometres off the west coast of Svalbard, and on the ice sheet of Greenland."""
    latitude, longitude = np.array([78.0, 75.0]), np.array([11.8, -40.0])
    narrow, wide = (share_land(latitude, longitude, footprint) for footprint in (5.0, 120.0))
    assert narrow.tolist() == [0, 1]
    assert 0.02 < wide[0] < 0.6
    assert wide[1] == 1
