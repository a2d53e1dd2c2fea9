"""Concentration from brightness temperatures: algorithms, tie points, and how they are judged."""

import gzip
import json
import re
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaice import InputError
from seaice.retrieval import ALGORITHMS, get_algorithm
from seaice.retrieval.algorithms import asi, nasa_team
from seaice.retrieval.algorithms.base import CHANNELS, NOISE, retrieve_base
from seaice.retrieval.algorithms.hybrid import find_lines
from seaice.retrieval.fit import fit_tie_point_file
from seaice.retrieval.judging.sample_scores import SampleScores, select_samples
from seaice.retrieval.judging.stage import evaluate_algorithms
from seaice.retrieval.tie_points import (
    HEMISPHERES,
    Signature,
    Signatures,
    find_packaged_tie_points,
    is_fitted_day,
    read_tie_points,
)
from seaice.sources.round_robin import join_samples, read_samples

DAY = date(2020, 4, 15)
MIDDLES = [date(2018, month, 15) for month in range(1, 13)]
NORTH = find_packaged_tie_points("AMSR2", "north").choose(DAY)
# Of the worked example: means and deviations of 18.7V, 36.5V and 36.5H, kelvin.
THREE = ("18.7V", "36.5V", "36.5H")
WATER, WATER_SPREAD = np.array([191.0, 216.2, 153.3]), np.array([5.1, 6.5, 15.4])
ICE, ICE_SPREAD = np.array([253.8, 239.3, 223.2]), np.array([8.4, 16.4, 17.4])


def mix(signatures, share):
    """Temperatures by channel of an exact mixture of mean water and mean ice."""
    means = signatures.water.mean[:, None] * (1 - share) + signatures.ice.mean[:, None] * share
    return dict(zip(signatures.channels, means.astype(np.float32), strict=True))


def draw(signatures, count, seed=0):
    """Temperatures that scatter about water, ice and between, half as much again as they do."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0, 1, count)
    kelvin = np.stack(list(mix(signatures, share).values()))
    for surface, part in ((signatures.water, 1 - share), (signatures.ice, share)):
        root = np.linalg.cholesky(surface.covariance)
        kelvin += 1.5 * part * (root @ rng.standard_normal(kelvin.shape))
    return dict(zip(signatures.channels, kelvin.astype(np.float32), strict=True))


def retrieve_slowly(kelvin, signatures, noise):
    """The formulas as they are written, place by place, without tables."""
    water, ice = signatures.water, signatures.ice
    difference = ice.mean - water.mean
    rows = []
    for place in range(kelvin.shape[1]):
        share = 0.5
        for _ in range(200):
            c = min(max(share, 0), 1)
            covariance = (1 - c) ** 2 * water.covariance + c**2 * ice.covariance
            covariance = covariance + np.diag(NOISE**2 + noise[:, place])
            line = np.linalg.solve(covariance, difference)
            variance = 1 / (line @ difference)
            share = variance * (line @ (kelvin[:, place] - water.mean))
        residual = kelvin[:, place] - water.mean - share * difference
        rows.append((share, np.sqrt(variance), residual @ np.linalg.solve(covariance, residual)))
    return np.array(rows).T


def test_the_worked_example_of_three_channels():
    diagonal = Signatures(
        "AMSR2",
        "any",
        "north",
        DAY,
        THREE,
        Signature(WATER, np.diag(WATER_SPREAD**2)),
        Signature(ICE, np.diag(ICE_SPREAD**2)),
    )
    kelvin = {c: np.array([k]) for c, k in zip(THREE, (222.0, 228.0, 190.0), strict=True)}
    result = retrieve_base(kelvin, diagonal, channels=THREE)
    assert 100 * result.concentration[0] == pytest.approx(49.97, abs=0.02)
    assert 100 * result.standard_error[0] == pytest.approx(6.97, abs=0.02)


def test_the_worked_examples_of_others():
    shares = nasa_team.compute_ice_types(
        np.array([230.0]), np.array([180.0]), np.array([225.0]), nasa_team.END_MEMBERS["north"]
    )
    assert [100 * share.item() for share in shares] == pytest.approx([25.26, 34.04], abs=0.005)
    assert 100 * asi.compute_asi(np.array([25.0]))[0] == pytest.approx(69.50, abs=0.02)
    coefficients = asi.solve_cubic()
    assert coefficients == pytest.approx((1.640e-5, -1.618e-3, 1.916e-2, 0.971), rel=2e-3)


def test_asi_goes_on_beyond_its_tie_points():
    assert asi.compute_asi(np.array([47.0, 11.7])) == pytest.approx([0, 1], abs=1e-6)
    differences = np.linspace(0, 90, 500)
    assert (np.diff(asi.compute_asi(differences)) < 0).all()


@pytest.mark.parametrize("name", ["base", "base_6", "base_12", "hybrid"])
@pytest.mark.parametrize("hemisphere", HEMISPHERES)
def test_exact_mixtures_come_back(name, hemisphere):
    signatures = find_packaged_tie_points("AMSR2", hemisphere).choose(DAY)
    share = np.linspace(0, 1, 41)
    result = get_algorithm(name).retrieve(mix(signatures, share), signatures)
    assert np.abs(result.concentration - share).max() < 1e-3
    assert (result.is_open_water == (result.concentration < (0.06 if name == "base_12" else 0.08))).all()


@pytest.mark.parametrize("name", ["nasa_team", "bootstrap", "cdr", "asi"])
def test_others_tell_water_from_ice(name):
    result = get_algorithm(name).retrieve(mix(NORTH, np.array([0.0, 1.0])), NORTH)
    # ASI takes the mean of water for ice unless its filters are asked.
    assert result.filter() == pytest.approx([0, 1], abs=0.1)
    assert result.is_open_water.tolist() == [True, False]


def test_the_combination_takes_the_larger_and_either_filter():
    kelvin = draw(NORTH, 2000)
    parts = [get_algorithm(name).retrieve(kelvin, NORTH) for name in ("nasa_team", "bootstrap")]
    result = get_algorithm("cdr").retrieve(kelvin, NORTH)
    assert (result.concentration == np.maximum(*(part.concentration for part in parts))).all()
    filters = [part.is_open_water for part in parts]
    assert (filters[0] != filters[1]).any()
    assert (result.is_open_water == (filters[0] | filters[1])).all()


@pytest.mark.parametrize(
    ("changes", "is_open_water"),
    [
        ({}, False),
        ({"36.5V": 260.0}, True),  # ratio to 18.7V 0.051, cloud water
        ({"23.8V": 255.5}, True),  # ratio 0.042, water vapour
        ({"36.5V": 256.0, "23.8V": 253.0}, False),  # 0.043 and 0.037: just ice
        ({"18.7V": 180.0, "36.5V": 190.0, "36.5H": 120.0, "23.8V": 190.0}, True),  # Bootstrap has none
    ],
)
def test_filters_of_asi(changes, is_open_water):
    kelvin = {"18.7V": 235.0, "23.8V": 240.0, "36.5V": 240.0, "36.5H": 225.0, "89V": 230.0, "89H": 210.0}
    places = {channel: np.array([value]) for channel, value in (kelvin | changes).items()}
    # In July, when Bootstrap lets 23.8V be 21.7 K above 18.7V.
    july = find_packaged_tie_points("AMSR2", "north").choose(date(2020, 7, 15))
    assert get_algorithm("asi").retrieve(places, july).is_open_water.tolist() == [is_open_water]


@pytest.mark.parametrize("is_noisy", [False, True])
def test_base_agrees_with_the_formulas(is_noisy):
    chosen = NORTH.select(CHANNELS)
    kelvin = draw(NORTH, 60)
    stacked = np.stack([kelvin[channel] for channel in CHANNELS])
    noise = np.random.default_rng(1).uniform(0, 40, stacked.shape).astype(np.float32) * is_noisy
    by_channel = dict(zip(CHANNELS, noise, strict=True)) if is_noisy else None
    result = retrieve_base(kelvin, NORTH, noise=by_channel)
    share, error, misfit = retrieve_slowly(stacked.astype(np.float64), chosen, noise)
    assert np.abs(result.concentration - share).max() < 2e-4
    assert np.abs(result.standard_error - error).max() < 2e-5
    # The 99.9 percent point of chi-square of seven degrees of freedom is 24.32.
    tolerance = 1e-3 if is_noisy else 0.02
    assert result.misfit * 24.3219 == pytest.approx(misfit, rel=tolerance, abs=0.05)


def test_places_without_noise_of_their_own_do_not_depend_on_the_way():
    kelvin = draw(NORTH, 500)
    plain = retrieve_base(kelvin, NORTH)
    noisy = retrieve_base(kelvin, NORTH, noise={"18.7V": np.zeros(500)})
    assert np.abs(plain.concentration - noisy.concentration).max() < 1e-4


def test_a_missing_channel_of_a_place_is_missing_ice():
    kelvin = draw(NORTH, 9)
    for number, channel in enumerate(CHANNELS):
        kelvin[channel][number] = np.nan
    result = get_algorithm("base").retrieve(kelvin, NORTH)
    assert np.isnan(result.concentration).tolist() == [True] * 8 + [False]
    assert np.isnan(result.standard_error).tolist() == [True] * 8 + [False]
    assert not result.is_open_water[:8].any(), "missing is not open water"
    assert np.isnan(result.filter()[:8]).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), st.integers(0, 2**31), st.permutations(range(4)))
def test_a_place_does_not_depend_on_its_neighbours(count, seed, order):
    kelvin = draw(NORTH, 4 * count, seed)
    whole = retrieve_base(kelvin, NORTH).concentration
    parts = [slice(k * count, (k + 1) * count) for k in order]
    apart = [
        retrieve_base({c: v[part] for c, v in kelvin.items()}, NORTH).concentration for part in parts
    ]
    for part, values in zip(parts, apart, strict=True):
        assert (whole[part] == values).all()
    square = retrieve_base({c: v.reshape(2, -1) for c, v in kelvin.items()}, NORTH).concentration
    assert (square.ravel() == whole).all()


def test_the_lines_of_the_hybrid_do_what_they_are_for():
    chosen = NORTH.select(THREE)
    step = chosen.ice.mean - chosen.water.mean
    axis = np.linalg.eigh(chosen.ice.covariance)[1][:, -1]
    for line, surface in zip(find_lines(chosen), (chosen.water, chosen.ice), strict=True):
        assert line @ step == pytest.approx(1)
        assert line @ axis == pytest.approx(0, abs=1e-9)
        across = np.cross(step, axis)  # the only way left that keeps both conditions
        for sign in (-1, 1):
            other = line + sign * 1e-3 * across / np.linalg.norm(across)
            assert other @ surface.covariance @ other > line @ surface.covariance @ line


def test_a_misfit_says_that_a_place_is_neither():
    kelvin = mix(NORTH, np.array([0.0, 0.0]))
    kelvin["18.7H"] = kelvin["18.7H"] + np.array([0, 15], np.float32)
    misfit = retrieve_base(kelvin, NORTH).misfit
    assert misfit[0] < 0.01
    assert misfit[1] > 1


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_what_an_algorithm_refuses(name):
    algorithm = get_algorithm(name)
    kelvin = draw(NORTH, 3)
    del kelvin[algorithm.channels[-1]]
    with pytest.raises(InputError, match=rf"expected the channels {algorithm.channels[-1]} for {name}"):
        algorithm.retrieve(kelvin, NORTH)
    counts = {channel: values * 100 for channel, values in draw(NORTH, 3).items()}
    with pytest.raises(InputError, match="are they counts"):
        algorithm.retrieve(counts, NORTH)
    if algorithm.sensors:
        with pytest.raises(InputError, match="expected temperatures of AMSR2"):
            algorithm.retrieve(draw(NORTH, 3), replace(NORTH, sensor="AMSR-E"))


def test_an_algorithm_that_does_not_exist():
    with pytest.raises(InputError, match=r"out of base, .*found 'basic'"):
        get_algorithm("basic")


def test_single_impossible_values_are_missing():
    kelvin = draw(NORTH, 5)
    kelvin["36.5V"][:2] = 0, 655.35
    concentration = get_algorithm("base").retrieve(kelvin, NORTH).concentration
    assert np.isnan(concentration).tolist() == [True, True, False, False, False]


# Tie points


def test_tie_points_follow_the_year_without_a_step():
    points = find_packaged_tie_points("AMSR2", "north")
    days = [date(2021, 1, 1).toordinal() + k for k in range(366)]
    means = np.array([points.choose(date.fromordinal(day)).ice.mean for day in days])
    assert np.abs(np.diff(means, axis=0)).max() < 0.5
    summer, winter = means[190, 4], means[20, 4]
    assert summer - winter > 2, "ice is warmer in summer"
    south = points.choose(date(2021, 1, 15), hemisphere="south")
    assert south.ice.mean == pytest.approx(points.choose(date(2021, 7, 16)).ice.mean, abs=0.3)
    assert south.hemisphere == "south"


def test_blended_signatures_are_those_of_the_samples_together():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 2, (3, 300)), rng.normal(5, 1, (3, 100))
    blended = Signature.fit(first).blend(Signature.fit(second), 0.25)
    together = Signature.fit(np.concatenate([first, second], axis=1))
    assert blended.mean == pytest.approx(together.mean)
    assert blended.covariance == pytest.approx(together.covariance)


@pytest.mark.parametrize("sensor", ["AMSR2", "AMSR-E"])
@pytest.mark.parametrize("hemisphere", HEMISPHERES)
def test_packaged_tie_points(sensor, hemisphere):
    points = find_packaged_tie_points(sensor, hemisphere)
    assert (points.sensor, points.hemisphere) == (sensor, hemisphere)
    assert points.origin["water"]["samples"] >= 500
    for month in range(1, 13):
        signatures = points.choose(date(2019, month, 15))
        for signature in (signatures.water, signatures.ice):
            assert np.linalg.eigvalsh(signature.covariance)[0] > 0
        warmer = signatures.ice.mean - signatures.water.mean
        assert (warmer[:4] > 50).all()


def test_tie_points_of_another_sensor_product_or_hemisphere():
    points = find_packaged_tie_points("AMSR2", "north")
    own = {"sensor": "AMSR2", "product": "JAXA L1 version 2", "hemisphere": "north", "source": "a.h5"}
    points.check(**own)
    for other in ({"sensor": "AMSR-E"}, {"product": "JAXA L1 version 1"}, {"hemisphere": "south"}):
        with pytest.raises(InputError, match=r"expected temperatures of AMSR2.*a\.h5"):
            points.check(**own | other)
    with pytest.raises(InputError, match="expected tie points of AMSR3 north, found amsr2_north"):
        find_packaged_tie_points("AMSR3", "north")


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: stored.update(format="another"),
        lambda stored: stored.update(hemisphere="east"),
        lambda stored: stored["ice_by_month"].pop(),
        lambda stored: stored["water"]["mean"].pop(),
        lambda stored: stored["water"].update(covariance=[-1.0] * 78),
        lambda stored: stored["water"].update(mean=[0.5] * 12),
        lambda stored: stored.pop("channels"),
    ],
)
def test_damaged_tie_points(tmp_path, change):
    stored = json.loads(find_packaged_tie_points("AMSR2", "north").to_json())
    change(stored)
    path = tmp_path / "points.json"
    path.write_text(json.dumps(stored))
    with pytest.raises(InputError, match="expected tie points as retrieve_concentration"):
        read_tie_points(path)
    with pytest.raises(InputError, match="found none"):
        read_tie_points(tmp_path / "absent.json")


# Samples


def write_samples(path, *, sensor="AMSR2", latitude=70, count=400, seed=0, **changes):
    """Samples drawn from the tie points of the north: half water, half ice, over a year."""
    rng = np.random.default_rng(seed)
    points = find_packaged_tie_points("AMSR2", "north")
    header = ["sensor", "concentration", "latitude", "time"]
    header += [f"{c[:-1]}{'.0' if c[:2] == '89' else ''}GHz{c[-1]}" for c in points.channels]
    lines = [",".join(header)]
    surfaces = [(signatures.water, signatures.ice) for signatures in map(points.choose, MIDDLES)]
    roots = [[np.linalg.cholesky(surface.covariance) for surface in pair] for pair in surfaces]
    for number in range(count):
        month = int(rng.integers(12))
        day = date(2018, month + 1, int(rng.integers(1, 29)))
        surface, root = surfaces[month][number % 2], roots[month][number % 2]
        kelvin = surface.mean + root @ rng.standard_normal(len(surface.mean))
        row = {
            "sensor": sensor,
            "concentration": number % 2,
            "latitude": latitude,
            "time": f"{day}T06:00:00Z",
        }
        lines.append(",".join([*map(str, (row | changes).values()), *(f"{k:.2f}" for k in kelvin)]))
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_samples_are_read(tmp_path):
    samples = read_samples(write_samples(tmp_path / "s.csv.gz"))
    assert len(samples) == 400
    assert samples.stack(["89H", "18.7V"]).shape == (2, 400)
    assert set(samples.month.tolist()) == set(range(1, 13))
    first = date.fromisoformat(str(samples.time[0])[:10])
    assert samples.day[0] == first.toordinal()
    assert samples.day_of_year[0] == first.timetuple().tm_yday - 1
    assert is_fitted_day(np.array([4, 5, 6, 7])).tolist() == [True, True, True, False]
    joined = join_samples([samples, read_samples(write_samples(tmp_path / "t.csv", count=10))])
    assert len(joined) == 410


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: "", "an empty file"),
        (lambda text: text.partition("\n")[0], "the header alone"),
        (lambda text: text.replace("concentration", "ice", 1), "expected the columns concentration"),
        (lambda text: text[: len(text) - 40], "fields, found .* in line 401"),
        (lambda text: text.replace("AMSR2,1,", "AMSR2,100,", 1), "concentrations of 0 to 1"),
        (lambda text: text.replace("2018-", "yesterday", 1), "expected times"),
        (lambda text: re.sub("2018-[^,]*", "", text, count=1), "expected times .* an empty field"),
        (lambda text: text.replace("AMSR2,1,70", "AMSR2,1,north", 1), "numbers in the column latitude"),
        (lambda text: "<html>busy</html>", "expected the columns"),
    ],
)
def test_damaged_samples(tmp_path, damage, message):
    path = write_samples(tmp_path / "s.csv")
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=message):
        read_samples(path)


def test_samples_as_spreadsheets_write_them(tmp_path):
    path = write_samples(tmp_path / "s.csv", count=10)
    header, *lines = path.read_text().splitlines()
    other = tmp_path / "other.csv"
    text = "\r\n".join([header.replace(",", ", "), *lines, "", ""])
    other.write_text(text, encoding="utf-8-sig", newline="")
    channels = ["18.7V", "89H"]
    np.testing.assert_array_equal(
        read_samples(other).stack(channels), read_samples(path).stack(channels)
    )


def test_samples_without_a_latitude_are_of_no_hemisphere(tmp_path):
    samples = read_samples(write_samples(tmp_path / "s.csv", count=10))
    samples.latitude[:3] = np.nan
    samples.latitude[3:5] = -60
    for hemisphere, count in (("north", 5), ("south", 2)):
        assert len(select_samples(samples, "AMSR2", hemisphere)) == count


def test_samples_that_cannot_be_read(tmp_path):
    path = write_samples(tmp_path / "s.csv.gz")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="expected a CSV file of samples"):
        read_samples(path)
    with pytest.raises(InputError, match="No such file"):
        read_samples(tmp_path / "absent.csv")


def test_fit_finds_the_tie_points_that_drew_the_samples(tmp_path):
    path = write_samples(tmp_path / "s.csv", count=8000)
    output = tmp_path / "points.json"
    report = fit_tie_point_file(
        samples=[path], sensor="AMSR2", product="p", hemisphere="north", output_file=output
    )
    assert report.outputs == [output]
    fitted, truth = read_tie_points(output), find_packaged_tie_points("AMSR2", "north")
    assert fitted.product == "p"
    assert 2800 < fitted.origin["water"]["samples"] < 3200, "three days of four"
    assert np.abs(fitted.water.mean - truth.water.mean).max() < 1.5
    for own, others in ((fitted.water, truth.water), (fitted.choose(DAY).ice, truth.choose(DAY).ice)):
        deviations = np.sqrt(np.diag(own.covariance) / np.diag(others.covariance))
        # Other months count a little, and are of other means.
        assert deviations == pytest.approx(1.1, abs=0.2)
    again = fit_tie_point_file(
        samples=[path], sensor="AMSR2", product="p", hemisphere="north", output_file=output
    )
    assert again.values == report.values
    assert read_tie_points(output).digest == fitted.digest


def test_a_hemisphere_without_ice_takes_that_of_the_other(tmp_path):
    north = write_samples(tmp_path / "n.csv", count=600)
    text = north.read_text().splitlines()
    water = [line for line in text if ",0,70," in line or line.startswith("sensor")]
    north.write_text("\n".join(water))
    south = write_samples(tmp_path / "s.csv", count=600, latitude=-70)
    options = {
        "sensor": "AMSR2",
        "product": "p",
        "hemisphere": "north",
        "output_file": tmp_path / "p.json",
    }
    report = fit_tie_point_file(samples=[north, south], **options)
    assert report.values["ice_of_other_hemisphere"] is True
    # The samples are warmest in May, the other side's November.
    fitted = read_tie_points(report.outputs[0])
    may, november = (fitted.choose(date(2021, month, 15)).ice.mean[4] for month in (5, 11))
    assert november > may + 1
    with pytest.raises(
        InputError, match="expected samples of AMSR2 in the south, found AMSR2 in the north"
    ):
        fit_tie_point_file(samples=[north], **options)


def test_too_few_samples(tmp_path):
    path = write_samples(tmp_path / "s.csv", count=60)
    with pytest.raises(InputError, match="in the south, found AMSR2 in the north"):
        fit_tie_point_file(
            samples=[path],
            sensor="AMSR2",
            product="p",
            hemisphere="north",
            output_file=tmp_path / "p.json",
        )


def test_evaluation_scores_what_drew_the_samples(tmp_path):
    path = write_samples(tmp_path / "s.csv.gz", count=3000)
    report = evaluate_algorithms(
        samples=path,
        sensor="AMSR2",
        hemisphere="north",
        output_file=tmp_path / "scores.json",
        algorithm=["base", "asi"],
        picture_file=tmp_path / "scores.png",
    )
    rows = json.loads((tmp_path / "scores.json").read_text())
    assert [(row["algorithm"], row["season"]) for row in rows] == [
        (name, season) for name in ("base", "asi") for season in ("all", "winter", "summer")
    ]
    base, asi_row = rows[0], rows[3]
    assert set(base) == set(SampleScores.__annotations__)
    assert base["samples_0"] == base["samples_1"] == 1500
    assert abs(base["bias_0"]) < 0.3
    assert abs(base["bias_1"]) < 0.5
    # Normal samples of the very tie points: errors are what is claimed.
    for name in ("error_ratio_0", "error_ratio_1"):
        assert base[name] == pytest.approx(1, abs=0.1)
    assert base["within_1_sigma_0"] == pytest.approx(68.3, abs=5)
    assert base["within_2_sigma_1"] == pytest.approx(95.4, abs=3)
    assert base["cut_15"] < 3
    assert base["rmse_15"] < base["rmse_75"] < 6
    assert asi_row["within_1_sigma_0"] is None
    assert asi_row["water_above_15"] > 20 > asi_row["water_after_filter"]
    assert (tmp_path / "scores.png").stat().st_size > 10_000
    assert len(report.lines) == 7
    again = evaluate_algorithms(
        samples=path, sensor="AMSR2", hemisphere="north", output_file=tmp_path / "scores.json"
    )
    assert again.values["base all"] == base, "seeded, and the same beside other algorithms"


def test_evaluation_without_samples_of_a_kind(tmp_path):
    path = write_samples(tmp_path / "s.csv", concentration=1)
    options = {"sensor": "AMSR2", "hemisphere": "north", "output_file": tmp_path / "scores.json"}
    report = evaluate_algorithms(samples=path, **options)
    row = report.values["base all"]
    assert row["samples_0"] == 0
    assert row["bias_0"] is row["rmse_15"] is row["cut_15"] is None
    assert row["bias_1"] is not None
    with pytest.raises(InputError, match="expected samples of AMSR-E in the north, found AMSR2"):
        evaluate_algorithms(samples=path, **options | {"sensor": "AMSR-E"})
    with pytest.raises(
        InputError, match="expected tie points of amsr2, found those of AMSR2, of the package"
    ):
        evaluate_algorithms(samples=path, **options | {"sensor": "amsr2"})
    with pytest.raises(InputError, match=r"expected an ending of \.json"):
        evaluate_algorithms(samples=path, **options | {"output_file": tmp_path / "scores.txt"})
    (tmp_path / "mine.json").write_text('{"mine": 1}')
    with pytest.raises(InputError, match="it is not replaced"):
        evaluate_algorithms(samples=path, **options | {"output_file": tmp_path / "mine.json"})


# At most so much, percent, of the base on days that the tie points of the package were not fitted to.
LIMITS = {
    "north": {
        "std_0": 2.8, "std_1": 4.9, "rmse_15": 2.9, "rmse_30": 3.3, "rmse_50": 4.0, "rmse_75": 4.7,
        "water_above_15": 0.5, "cut_15": 3.0,
    },
    "south": {
        "std_0": 2.1, "std_1": 4.4, "rmse_15": 2.6, "rmse_30": 3.1, "rmse_50": 3.7, "rmse_75": 4.3,
        "water_above_15": 0.2, "cut_15": 3.0,
    },
}  # fmt: skip


@pytest.mark.parametrize("hemisphere", HEMISPHERES)
def test_base_on_real_samples_of_other_days(real_data, tmp_path, hemisphere):
    options = {
        "samples": real_data / "rrdp" / f"rrdp_developers_{hemisphere}.csv.gz",
        "sensor": "AMSR2",
        "hemisphere": hemisphere,
        "output_file": tmp_path / "scores.json",
    }
    row = evaluate_algorithms(**options, held_out=True).values["base all"]
    for name, limit in LIMITS[hemisphere].items():
        assert row[name] <= limit, name
    row = evaluate_algorithms(**options).values["base all"]
    for name in ("0", "15", "30", "50", "75", "1"):
        assert 0.8 <= row[f"error_ratio_{name}"] <= 1.4, name
    # Tie points of the other hemisphere cost little.
    other = HEMISPHERES[1 - HEMISPHERES.index(hemisphere)]
    path = tmp_path / "other.json"
    path.write_text(find_packaged_tie_points("AMSR2", other).to_json())
    assert evaluate_algorithms(**options, tie_points=path).values["base all"]["rmse_50"] <= 4.1


def test_packaged_tie_points_are_those_of_the_real_samples(real_data, tmp_path):
    folder = real_data / "rrdp"
    report = fit_tie_point_file(
        samples=[folder / f"rrdp_developers_{side}.csv.gz" for side in HEMISPHERES],
        sensor="AMSR2",
        product="JAXA L1 version 2",
        hemisphere="north",
        output_file=tmp_path / "points.json",
        source=str(find_packaged_tie_points("AMSR2", "north").origin["source"]),
    )
    assert read_tie_points(report.outputs[0]).digest == find_packaged_tie_points("AMSR2", "north").digest
