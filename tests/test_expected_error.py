"""Expected errors of filled concentration: the terms, the table, and whether it tells the truth."""

import json
import os
from dataclasses import replace
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_cdt

import fill_gaps
import seaice
from seaice import InputError
from seaice.fields.options import ReadOptions
from seaice.fields.read import read_gappy
from seaice.flags import FillFlag
from seaice.gapfill import Filled
from seaice.gapfill.departure import Departure
from seaice.gapfill.expected_error import (
    NONE,
    STEP,
    TERMS,
    ErrorTable,
    _distance_of_cells,
    distance_of,
    of_cells,
    of_day,
    read_table,
    terms_of,
)
from seaice.gapfill.field import GappyField
from seaice.gapfill.methods import fill_maps
from seaice.gapfill.ocean_cells import OceanCells
from seaice.gapfill.temporal import Temporal
from seaice.runtime import threads
from seaice.scoring import calibration
from seaice.scoring.calibration import FLAGS, calibrate, judged_days, percent_of
from seaice.scoring.calibration_stage import _daily

NAN = np.nan
REAL = os.environ.get("SEAICE_REAL_DATA")
INDEX = "sea_ice_index/g02135_north_daily_20250101_20250331.nc"


@pytest.fixture(autouse=True)
def short_fits(monkeypatch):
    """Networks of a few steps on a few samples: what they learn does not matter here."""
    for name, value in {
        "_SAMPLES": 6000, "_FEWEST_SAMPLES": 1500, "_TRIAL_EPOCHS": 4, "_EPOCHS": 4, "_FEWEST_STEPS": 60,
    }.items():  # fmt: skip
        monkeypatch.setattr(f"seaice.gapfill.increments.fit.{name}", value)


def day(values, flag, days=None, change=None) -> Filled:
    flag = np.array(flag, np.uint8)
    zero = np.zeros(flag.shape, np.uint8)
    some = [zero if a is None else np.array(a, np.uint8) for a in (days, change)]
    return Filled(np.array(values, np.float32), flag, *some)


def plain_table(constant: float, **terms: float) -> ErrorTable:
    """The same model for every way of filling."""
    model = np.zeros((2, len(TERMS)))
    model[:, 0] = constant
    for name, coefficient in terms.items():
        model[:, TERMS.index(name)] = coefficient
    return ErrorTable(dict.fromkeys(FLAGS, model), {})


@pytest.mark.slow
def test_terms_by_hand():
    filled = day(
        [[10, 20, NAN], [30, 40, 50], [NAN, NAN, NAN]],
        [[0, 0, 254], [0, 1, 0], [254, 254, 254]],
        days=[[0, 0, 0], [0, 23, 0], [0, 0, 0]],
        change=[[0, 0, 0], [0, 6, 0], [0, 0, 0]],
    )
    (terms,) = terms_of(filled, np.array([[1, 1]]))
    rough = np.log(np.std([10, 20, 30, 40, 50]) + 1)
    change = np.log(7)
    expected = [1, rough, rough**2, change, change**2, rough * change]
    expected += [np.log(2), np.log(5), np.log(0.4 * 0.6 + 0.02), 0.4, 0.16, 0.0]
    np.testing.assert_allclose(terms, expected, rtol=1e-6)


def test_a_fill_from_one_side_knows_no_change():
    filled = day([[40.0]], [[FillFlag.TEMPORAL_ONE_SIDED]], days=[[4]], change=[[9]])
    (terms,) = terms_of(filled, np.array([[0, 0]]))
    assert terms[3:6].tolist() == [0, 0, 0]
    np.testing.assert_allclose(terms[6:8], np.log(4))


def test_errors_are_told_for_filled_cells_alone_and_rounded_up():
    flags = [[0, 254, 255, 1], [2, 3, 4, 10]]
    filled = day(np.where(np.isin(flags, (254, 255)), NAN, 50), flags)
    error = of_day(filled, plain_table(np.log(1.01)))
    assert error.tolist() == [[NONE, NONE, NONE, 3], [3, 3, 3, 3]]  # 1.5 percent
    assert of_day(filled, plain_table(-9.0))[0, 3] == 1, "never none"
    assert of_day(filled, plain_table(99.0))[0, 3] == 127, "never the code for none"


def test_mixtures_and_pure_cells_have_models_of_their_own():
    model = np.zeros((2, len(TERMS)))
    model[:, 0] = np.log(4), np.log(1)
    table = ErrorTable({FillFlag.TEMPORAL_TWO_SIDED: model}, {})
    error = of_day(day([[5, 5.1, 94.9, 95, 100]], [[1] * 5]), table)
    assert (error * STEP).tolist() == [[1, 4, 4, 1, 1]]
    assert of_day(day([[50]], [[FillFlag.SPACETIME_GAUSSIAN]]), table)[0, 0] == NONE, "unknown"


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 999))
def test_distance_is_that_along_rows_and_columns(rows, columns, seed):
    rng = np.random.default_rng(seed)
    kinds = [0, 1, 2, 10, 11, 3, 4, 254, 255]
    flag = rng.choice(kinds, (rows, columns), p=[0.05] * 5 + [0.25, 0.3, 0.1, 0.1])
    filled = day(np.zeros(flag.shape), flag)
    sources = np.isin(flag, [0, 1, 2, 10, 11])
    found = distance_of(filled)
    if not np.isin(flag, (3, 4)).any():
        assert not found.any()
    elif sources.any():
        expected = distance_transform_cdt(~sources, metric="taxicab")
        np.testing.assert_array_equal(found, expected)
    else:
        assert (found == 255).all()


@pytest.mark.parametrize(("sources", "asking"), [(0.05, 0.04), (0.05, 0.6), (0.0002, 0.03), (0, 0.03)])
def test_the_distance_of_few_cells_is_the_same(sources, asking):
    """Few cells that are near, many, few that are far, and a day without a source."""
    rng = np.random.default_rng(3)
    shape = (150, 130)
    draw = rng.random(shape)
    flag = np.where(draw < sources, 1, np.where(draw > 1 - asking, 3, 255)).astype(np.uint8)
    if asking < 0.1:
        flag[60:72, 40:52] = np.where(flag[60:72, 40:52] == 1, 1, 4)
    ocean = rng.random(shape) > 0.2
    flag[~ocean] = FillFlag.LAND
    cells, filled = OceanCells(ocean), day(np.zeros(shape), flag)
    vectors = Filled(*(cells.compress(array) for array in filled))
    gaps = np.flatnonzero(np.isin(vectors.flag, (1, 3, 4))).astype(np.int32)
    expected = np.where(np.isin(vectors.flag, (3, 4)), cells.compress(distance_of(filled)), 0)
    np.testing.assert_array_equal(_distance_of_cells(vectors, cells, gaps), expected)
    assert expected.max() > (64 if sources < 0.01 else 2)


def test_an_error_does_not_depend_on_other_cells():
    """Also where many cells are open water or closed ice, whose errors are computed once."""
    rng = np.random.default_rng(4)
    flag = rng.choice([0, 1, 2, 3, 255], (120, 120), p=[0.03, 0.5, 0.2, 0.24, 0.03])
    values = np.repeat(np.repeat(rng.choice([0, 100, 30, 99.5], (30, 30)), 4, axis=0), 4, axis=1)
    values[flag == FillFlag.LAND] = NAN
    codes = rng.integers(1, 3, flag.shape) * 10 + 1, rng.integers(0, 2, flag.shape)
    filled = day(values, flag, *codes)
    terms = {"days from value to value": 0.4, "change": 0.2, "distance": 0.5, "concentration": 0.3}
    table = plain_table(0.3, roughness=0.7, **terms)
    cells = OceanCells(flag != FillFlag.LAND)
    vectors = Filled(*(cells.compress(array) for array in filled))
    gaps = np.flatnonzero(vectors.flag).astype(np.int32)
    together = of_cells(vectors, cells, gaps, table)
    for cell in range(0, len(gaps), 31):
        alone = gaps[cell : cell + 1]
        assert of_cells(vectors, cells, alone, table)[alone] == together[alone]
    assert len(np.unique(together)) > 20


def test_errors_depend_on_no_thread():
    rng = np.random.default_rng(0)
    flag = rng.choice([0, 1, 2, 3, 254, 255], (67, 31))
    values = np.where(flag >= 254, NAN, rng.uniform(0, 100, flag.shape))
    filled = day(values, flag, rng.integers(0, 99, flag.shape), rng.integers(0, 99, flag.shape))
    table = plain_table(0.3, roughness=0.7, change=0.2, distance=0.5)
    try:
        threads.use_threads(1)
        one = of_day(filled, table)
        threads.use_threads(5)
        np.testing.assert_array_equal(of_day(filled, table), one)
    finally:
        threads.use_threads(None)
    assert len(np.unique(one)) > 20


def test_a_table_survives_its_file(tmp_path):
    table = plain_table(0.25, change=-1.5)
    path = tmp_path / "t.json"
    path.write_text(table.to_json())
    again = read_table(path)
    assert again.models.keys() == table.models.keys() and again.digest == table.digest
    np.testing.assert_array_equal(again.models[FillFlag.POLE_HOLE], table.models[FillFlag.POLE_HOLE])


@pytest.mark.parametrize("text", ["", "[]", '{"models": {"magic": {}}, "made_of": {}}', "{}"])
def test_another_file_is_no_table(tmp_path, text):
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(InputError, match="is no table of fill_gaps"):
        read_table(path)
    with pytest.raises(InputError, match="no such table"):
        read_table(tmp_path / "absent.json")


def test_the_packaged_table_knows_every_way_of_filling_and_covers():
    table = read_table()
    assert set(table.models) == set(FLAGS)
    assert np.isfinite(table.arrays()[0]).all()
    rows = [r for r in table.made_of["coverage"] if r["gap_days"] is None]
    assert {r["fill"] for r in rows} == {f.name.lower() for f in FLAGS}
    for row in rows:
        if row["cells"] > 10_000:  # hardly a mixture in a pole hole in winter
            assert 0.6 < row["within_1"] < 0.8, row
            assert 0.88 < row["within_2"] < 0.985, row


def test_judged_days_lie_in_the_middle():
    assert judged_days(90, 2 / 3) == slice(30, 60)


def drifting(days=60, size=40, seed=0) -> GappyField:
    """Ice edges that wander by a random walk: concentration 0 to 100, a mixture in a wide belt."""
    rng = np.random.default_rng(seed)
    edge = size / 2 + np.cumsum(rng.normal(0, 0.5, (days, size)), axis=0)
    x = np.arange(size)
    values = np.clip(
        50 + 8 * (x - edge[:, :, np.newaxis]) + rng.normal(0, 2, (days, size, size)), 0, 100
    )
    return GappyField(
        values.astype(np.float32),
        np.ones((size, size), bool),
        np.arange(days, dtype=float),
        valid_range=(0.0, 100.0),
        is_concentration=True,
    )


@pytest.mark.slow
def test_calibration_covers_days_it_has_not_seen():
    table, rows = calibrate(drifting(), grid=None, seeds=[0], fit_share=0.6)
    assert FillFlag.TEMPORAL_TWO_SIDED in table.models and FillFlag.SPACETIME_GAUSSIAN in table.models
    found = {r["fill"]: r for r in rows if r["gap_days"] is None}
    for name in ("temporal_two_sided", "temporal_one_sided"):
        assert 0.60 < found[name]["within_1"] < 0.78
        assert 0.90 < found[name]["within_2"] < 0.985
    by_gap = [r["expected"] for r in rows if r["fill"] == "temporal_one_sided" and r["gap_days"]]
    assert by_gap == sorted(by_gap), "farther is worse"


@pytest.mark.parametrize("parts", [1, 7])
def test_the_cells_of_a_fit_are_an_even_sample_of_bounded_size(monkeypatch, parts):
    monkeypatch.setattr(calibration, "_MOST_CELLS", 100)
    lots = np.random.default_rng(1).random(4000)
    cells = calibration._Cells()
    for part in np.array_split(np.arange(4000), parts):
        part = part[cells.select(lots[part])]
        cells.add(lots[part], np.repeat(part[:, None], len(TERMS), axis=1), part * 2.0)
        assert sum(len(kept[0]) for kept in cells._parts) <= max(200, 4000 // parts)
    kept, terms, error = cells.gather()
    smallest = np.sort(np.argsort(lots)[:100])
    np.testing.assert_array_equal(error, smallest * 2.0)
    np.testing.assert_array_equal(terms[:, 3], smallest)
    few = calibration._Cells()
    few.add(np.array([0.9 * kept.max(), 1.1 * kept.max()]), np.zeros((2, len(TERMS))), np.zeros(2))
    assert len(few) == 2 and len(cells.join(few)) == 100
    joined = np.sort(cells.join(few).gather()[0])
    np.testing.assert_array_equal(joined, np.sort([*kept[kept < kept.max()], 0.9 * kept.max()]))


def test_coverage_is_counted_by_hand():
    """Mixtures alone where they are many, else all cells; no row for few cells."""
    mixed, every = calibration._Tally(), calibration._Tally()
    gap, error = np.repeat([2, 5], [400, 150]), np.tile([1.0, -3.0, 5.0, 0.0, 2.0], 110)
    for tally in (mixed, every):
        tally.add(gap, error, np.full(550, 2.0))
    rows = calibration._coverage(FillFlag.TEMPORAL_TWO_SIDED, mixed, every)
    assert [(r["gap_days"], r["cells"]) for r in rows] == [(None, 550), (2, 400)]
    assert {(r["within_1"], r["within_2"], r["expected"]) for r in rows} == {(0.6, 0.8, 2.0)}
    assert rows[1]["rmse"] == pytest.approx(np.sqrt(39 / 5), abs=1e-3)
    few = calibration._Tally()
    few.add(gap[:499], error[:499], np.full(499, 1e9))
    assert calibration._coverage(FillFlag.TEMPORAL_TWO_SIDED, few, every) == rows


def test_a_fitted_method_is_judged_on_days_it_has_not_seen(monkeypatch):
    pairs = []

    def record_pairs(parts, grid, seeds, progress):
        pairs.extend((part.days[[0, -1]].tolist(), method) for part, method in parts)
        return []

    monkeypatch.setattr(calibration, "_fitted_methods", lambda part: part.days[[0, -1]].tolist())
    monkeypatch.setattr(calibration, "_days", record_pairs)
    calibrate(drifting(), grid=None, seeds=[0], fit_share=0.6)
    assert len(pairs) == 3
    assert all(fitted[1] < days[0] or days[1] < fitted[0] for days, fitted in pairs)


@pytest.mark.thorough
@pytest.mark.slow
def test_the_judged_days_teach_nothing():
    field = drifting()
    judged = judged_days(len(field.days), 0.6)
    other = field.values.copy()
    other[judged] = 100 - other[judged][:, :, ::-1]
    one, _ = calibrate(field, grid=None, seeds=[0], fit_share=0.6)
    two, _ = calibrate(replace(field, values=other), grid=None, seeds=[0], fit_share=0.6)
    assert one.digest == two.digest


def test_fields_of_concentration_get_errors_in_their_unit():
    field = drifting(days=8)
    values = field.values.copy()
    values[3, 10:20] = NAN
    percent = fill_maps(replace(field, values=values), Temporal())
    fraction = replace(field, values=values / 100, valid_range=(0.0, 1.0))
    made = fill_maps(fraction, Temporal())
    filled = percent.flag == FillFlag.TEMPORAL_TWO_SIDED
    assert filled.sum() == 400
    np.testing.assert_array_equal(np.isfinite(percent.error), filled)
    np.testing.assert_allclose(made.error[filled], percent.error[filled] / 100, rtol=1e-6)
    np.testing.assert_allclose(made.values, percent.values / 100, atol=1e-6)
    plain = fill_maps(replace(field, values=values, is_concentration=False), Temporal())
    assert plain.error is None, "the table is about ice"


def written(path, values):
    with netCDF4.Dataset(path, "w") as dataset:
        for name, size in zip(("time", "y", "x"), values.shape, strict=True):
            dataset.createDimension(name, size)
        dataset.createVariable("time", "i4", ("time",))[:] = np.arange(len(values))
        dataset["time"].units = "days since 2020-01-01"
        made = dataset.createVariable("c", "f4", ("time", "y", "x"))
        made.setncatts({"standard_name": "sea_ice_area_fraction", "units": "%"})
        made[:] = values
    return path


@pytest.mark.slow
def test_days_without_a_value_at_the_end_take_no_part(tmp_path, capsys):
    values = drifting(days=49).values
    values[45:] = np.nan  # days that a cube holds and nobody delivered
    path = written(tmp_path / "c.nc", values)
    words = ["calibrate", "--input_file", str(path), "--output_file", str(tmp_path / "t.json")]
    assert fill_gaps.main([*words, "--seeds", "1"]) == 0
    assert "days 2020-01-01 to 2020-02-14" in capsys.readouterr().out
    values[30:] = np.nan
    written(path, values)
    assert fill_gaps.main(words) == 1
    assert "expected at least 40 days, found 30 with values" in capsys.readouterr().err


@pytest.mark.slow
def test_absent_days_at_the_end_of_a_part_take_no_part(tmp_path, capsys):
    values = drifting(days=45).values
    values[26:31] = np.nan  # the last days of those that judge, in a short record
    path = written(tmp_path / "c.nc", values)
    words = ["calibrate", "--input_file", str(path), "--output_file", str(tmp_path / "t.json")]
    assert fill_gaps.main([*words, "--seeds", "1"]) == 0
    values[15:30] = np.nan
    written(path, values[:, :1, :1])
    assert fill_gaps.main([*words, "--seeds", "1", "--force"]) == 1
    assert "expected at least 40 days" in capsys.readouterr().err


@pytest.mark.slow
def test_the_script_makes_a_table(tmp_path, capsys):
    path = written(tmp_path / "c.nc", drifting(days=45).values)
    words = ["calibrate", "--input_file", str(path), "--output_file", str(tmp_path / "t.json")]
    assert fill_gaps.main([*words, "--seeds", "1"]) == 0
    assert "temporal_two_sided" in capsys.readouterr().out
    stored = json.loads((tmp_path / "t.json").read_text())
    assert stored["made_of"]["software"] == f"seaice {seaice.__version__}"
    assert stored["made_of"]["judged_days"] == "2020-01-16 to 2020-01-30"
    assert fill_gaps.main([*words, "--end_date", "20200120"]) == 1
    assert "expected at least 40 days, found 20" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="SEAICE_REAL_DATA is not set")
def test_the_packaged_table_covers_real_days_it_has_not_seen():
    """Orbit wedges and outages at other places of the month that the fit has not seen."""
    source = read_gappy(Path(REAL) / INDEX, ReadOptions(valid_range=(0, 1000), concentration=True))
    part = percent_of(source.field.only(judged_days(90, 0.66)))
    cut = part.values.copy()
    cut[[5, 12, 13, 20, 21, 22, 23]] = NAN
    filled = Departure().fill(cut, part.sea)
    share = []
    for t in (5, 12, 13, 20, 21, 22, 23):
        code = of_day(filled.day(t), read_table())
        truth, value = part.values[t], filled.values[t]
        cells = (code != NONE) & np.isfinite(truth) & (value > 5) & (value < 95)
        share.append(np.abs(truth - value)[cells] / (code[cells] * STEP))
    share = np.concatenate(share)
    assert len(share) > 20000
    assert 0.62 < (share <= 1).mean() < 0.80
    assert 0.90 < (share <= 2).mean() < 0.98


def test_a_binary_file_is_no_table_and_is_not_printed(tmp_path):
    path = tmp_path / "cube.nc"
    path.write_bytes(b"\x89HDF" * 10_000)
    with pytest.raises(InputError, match="no table") as caught:
        read_table(path)
    assert len(str(caught.value)) < 300


def test_models_of_another_kind_are_no_table(tmp_path):
    path = tmp_path / "table.json"
    path.write_text('{"models": [], "made_of": {}}')
    with pytest.raises(InputError, match="no table"):
        read_table(path)


def test_values_a_little_out_of_range_have_finite_terms():
    made = day([[-5.0, 50.0, 105.0]], [[1, 1, 1]])
    terms = terms_of(made, np.array([[0, 0], [0, 2]]))
    assert np.isfinite(terms).all()
    assert (terms[:, TERMS.index("concentration")] == [0, 1]).all()


def test_days_without_a_map_count_in_a_calibration():
    field = drifting(days=6, size=10)
    kept = replace(field, values=field.values[[0, 1, 4]], days=field.days[[0, 1, 4]] + 0.5)
    whole = _daily(kept)
    np.testing.assert_array_equal(whole.days - whole.days[0], np.arange(5))
    np.testing.assert_array_equal(whole.values[[0, 1, 4]], kept.values)
    assert np.isnan(whole.values[2:4]).all()
    with pytest.raises(InputError, match="two on one"):
        _daily(replace(field, days=field.days / 2))
