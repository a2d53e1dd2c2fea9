"""The stage that scores forecasts: tables, maps and pictures against plain sums, and what it refuses."""

import csv
import json
from datetime import date, timedelta

import netCDF4
import numpy as np
import pytest
from cubes import small_grid, write_cube
from PIL import Image

import forecast as script
from seaice import InputError
from seaice.flags import Surface
from seaice.forecast.file import ForecastFile, describe_forecast, write_forecast
from seaice.forecast.record import SeaIceRecord
from seaice.forecast.scoring.bad_days import find_bad_days
from seaice.forecast.scoring.daily import compute_daily_scores
from seaice.forecast.scoring.pictures import draw_members
from seaice.forecast.scoring.regions import find_regions
from seaice.forecast.scoring.stage import (
    PICTURES,
    _check_places,
    _find_look_ahead,
    score_forecasts,
)
from seaice.forecast.scoring.summary import Summary
from seaice.forecast.scoring.table import COLUMNS, DAILY_COLUMNS
from seaice.masking.land_mask import write_mask
from seaice.masks import Mask

START, DAYS, ROWS, COLUMNS_X = date(2024, 1, 20), 60, 12, 16
GRID = small_grid(ROWS, COLUMNS_X)
LEADS = (1, 2, 4)
FIRST, STARTS = 20, 36
INITIAL = [START + timedelta(FIRST + k) for k in range(STARTS)]
SPARSE = 30  # a day with too few observations


def make_days(seed=0):
    """Ice whose edge wanders from day to day, in steps of the packing."""
    rng = np.random.default_rng(seed)
    edge = 7 + np.cumsum(rng.normal(0, 0.5, (DAYS, ROWS)), axis=0).clip(-4, 4)
    ice = (edge[..., np.newaxis] - np.arange(COLUMNS_X)).clip(0, 3) / 3
    return np.round((ice * rng.uniform(0.8, 1, ice.shape)), 4)


def make_surface():
    surface = np.zeros((ROWS, COLUMNS_X), np.uint8)
    surface[:2, 9:] = Surface.LAND
    surface[6:8, 1:3] = Surface.POLE_HOLE
    return surface


def write(path, method, values, days=INITIAL, leads=LEADS, grid=GRID, **options):
    attributes = describe_forecast(
        method=method, title=method, parameters={}, source={}, references="none"
    )
    return write_forecast(
        path, initial_days=days, leads=leads, forecast=zip(days, *values, strict=True), grid=grid,
        attributes=attributes, **options,
    )  # fmt: skip


def persist(truth, days=INITIAL, leads=LEADS):
    """Persistence, (days, leads, rows, columns)."""
    return np.stack([np.repeat(truth[(d - START).days][np.newaxis], len(leads), 0) for d in days])


def target(truth, days=INITIAL, leads=LEADS):
    return np.stack([[truth[(d - START).days + lead] for lead in leads] for d in days])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    truth, surface = make_days(), make_surface()
    gappy = np.where(surface == Surface.POLE_HOLE, np.nan, truth)
    gappy[SPARSE, :, :8] = np.nan
    gappy[40, 3, 5] = np.nan
    dates = [START + timedelta(k) for k in range(DAYS)]
    write_cube(folder / "cube.nc", dates=dates, concentration=gappy, surface=surface, grid=GRID)
    write_mask(folder / "mask.nc", Mask(surface, np.zeros(surface.shape), GRID), parameters={})
    stale, right = persist(truth), target(truth)
    write(folder / "base.nc", "persistence", [stale])
    # Every error is half as large, in the middle of the packing steps.
    write(folder / "half.nc", "half", [(stale + right) / 2])
    members = np.stack([stale, right, (stale + right) / 2], axis=1)
    write(folder / "three.nc", "three", [members], members=3)
    return folder


@pytest.fixture(scope="module")
def report(folder):
    options = [
        "score", "--forecast", *(str(folder / f"{name}.nc") for name in ("base", "half", "three")),
        "--cube_file", str(folder / "cube.nc"), "--mask_file", str(folder / "mask.nc"),
        "--region", "active", "north=6,12,0,16", "--output_dir", str(folder / "out"), "--quiet",
    ]  # fmt: skip
    assert script.main(options) == 0
    return folder / "out"


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def find_cells(region):
    """Cells of the two regions; the active one grows by 100 km from what had ice up to the first day."""
    ocean = make_surface() == Surface.OCEAN
    if region == "north":
        return ocean & (np.arange(ROWS)[:, np.newaxis] >= 6)
    icy = np.argwhere((make_days()[: FIRST + 1] >= 0.15).any(axis=0) & ocean)
    cells = np.stack(np.indices(ocean.shape), axis=-1)
    return ocean & (abs(cells[:, :, np.newaxis] - icy).sum(axis=-1).min(axis=-1) <= 4)


def compute_plain_scores(truth, lead, ocean):
    """Scores of persistence by a loop over days."""
    area = GRID.cell_area()
    squares, absolute, errors, over, under = [], [], [], [], []
    for day in INITIAL:
        start = (day - START).days
        if start + lead == SPARSE:
            continue
        cells = ocean.copy()
        if start + lead == 40:
            cells[3, 5] = False
        error, weight = (truth[start] - truth[start + lead])[cells], area[cells]
        squares.append((weight * error**2).sum() / weight.sum())
        absolute.append((weight * abs(error)).sum() / weight.sum())
        errors.append((weight * error).sum() / weight.sum())
        ice, true_ice = (truth[k][cells] >= 0.15 for k in (start, start + lead))
        over.append(weight[ice & ~true_ice].sum() / 1000)
        under.append(weight[true_ice & ~ice].sum() / 1000)
    over, under = np.array(over), np.array(under)
    return {
        "starts": len(squares), "rmse": 100 * np.sqrt(np.mean(squares)), "mae": 100 * np.mean(absolute),
        "bias": 100 * np.mean(errors), "iiee": np.mean(over + under), "over": np.mean(over),
        "under": np.mean(under), "extent_error": np.mean(abs(over - under)),
    }  # fmt: skip


def test_the_table_holds_plain_sums(report):
    rows = read_rows(report / "scores.csv")
    assert tuple(rows[0]) == COLUMNS
    places = [(row["method"], row["region"], row["lead"]) for row in rows]
    assert places[:8] == [
        ("persistence", region, lead)
        for region in ("active", "north")
        for lead in ("1", "2", "4", "all")
    ]
    assert len(rows) == 3 * 2 * 4
    truth = make_days()
    for number, lead, region in ((0, 1, "active"), (2, 4, "active"), (6, 4, "north")):
        expected = compute_plain_scores(truth, lead, find_cells(region))
        row = {name: float(rows[number][name]) for name in expected}
        assert row == pytest.approx(expected, rel=2e-3, abs=1e-3)
    cells = find_cells("active")
    assert int(rows[0]["cells"]) == cells.sum() < (make_surface() == Surface.OCEAN).sum()
    assert float(rows[0]["area_km2"]) == pytest.approx(GRID.cell_area()[cells].sum(), rel=1e-5)


def test_all_leads_pool_squares_and_sum_areas(report):
    rows = read_rows(report / "scores.csv")
    leads, (everything,) = rows[:3], rows[3:4]

    def column(name):
        return np.array([float(row[name]) for row in leads])

    assert float(everything["rmse"]) == pytest.approx(np.sqrt(np.mean(column("rmse") ** 2)), rel=1e-4)
    for name in ("iiee", "over", "under", "extent_error"):
        assert float(everything[name]) == pytest.approx(column(name).sum(), rel=1e-4)
    assert float(everything["mae"]) == pytest.approx(column("mae").mean(), rel=1e-4)


def test_half_the_error_is_a_skill_of_half(report):
    rows = read_rows(report / "scores.csv")
    for row in rows[8:16]:
        assert row["method"] == "half"
        assert float(row["skill_rmse"]) == pytest.approx(50, abs=0.1)
        assert float(row["skill_rmse_low"]) == pytest.approx(50, abs=0.2)
        assert float(row["rmse_low"]) < float(row["rmse"]) < float(row["rmse_high"])
    assert all(float(row["skill_iiee"]) == 0 for row in rows[:8])
    # A persistent edge is as long as the observed one; the mean of two edges is farther from both.
    assert float(rows[0]["edge_length_ratio"]) == pytest.approx(1, abs=0.05)
    assert 0 < float(rows[8]["edge_km"]) < float(rows[0]["edge_km"])


def test_the_daily_table_makes_the_other(report):
    daily = read_rows(report / "daily.csv")
    assert tuple(daily[0]) == DAILY_COLUMNS
    chosen = [r for r in daily if (r["method"], r["region"], r["lead"]) == ("half", "active", "4")]
    assert len(chosen) == STARTS - 1
    (row,) = (
        r
        for r in read_rows(report / "scores.csv")
        if (r["method"], r["region"], r["lead"]) == ("half", "active", "4")
    )
    rmse = np.array([float(r["rmse"]) for r in chosen])
    assert np.sqrt(np.mean(rmse**2)) == pytest.approx(float(row["rmse"]), rel=1e-4)
    for name in ("iiee", "over", "extent_error", "mae", "edge_km"):
        mean = np.mean([float(r[name]) for r in chosen])
        assert mean == pytest.approx(float(row[name]), rel=1e-4)
    lengths = [[float(r[f"{of}edge_length_km"]) for r in chosen] for of in ("", "observed_")]
    ratio = sum(lengths[0]) / sum(lengths[1])
    assert ratio == pytest.approx(float(row["edge_length_ratio"]), rel=1e-4)


def test_the_record_tells_days_left_out_and_how_far_to_trust_intervals(report):
    record = json.loads((report / "scores.json").read_text())
    sparse = START + timedelta(SPARSE)
    assert [line for line in record["left_out"] if str(sparse) not in line] == []
    assert len(record["left_out"]) == len(LEADS)
    (line,) = record["intervals"]
    assert (
        "initial days: 36, which are 3.6 blocks of 10 days: too few days, intervals that should hold"
        in line
    )
    assert set(record["bad_days"]) == {str(sparse)}
    assert {row["starts"] for row in record["without_bad_days"]} == {STARTS - 1, STARTS - 2}
    assert set(record["seasons"]) == {"DJF", "MAM"}
    starts = {name: rows[0]["starts"] for name, rows in record["seasons"].items()}
    assert sum(starts.values()) == STARTS - 1
    crps = {row["method"]: row["crps"] for row in record["rows"] if row["region"] == "active"}
    # Members 0, e and e / 2 of an error e: fair CRPS e / 2 - e / 3.
    assert crps["three"] == pytest.approx(crps["persistence"] / 6, rel=0.01)
    members = record["members"]["three"]
    assert members["score"] == pytest.approx(
        members["reliability"] - members["resolution"] + members["uncertainty"], abs=1e-6
    )
    assert len(members["ranks"]) == 4 and sum(members["ranks"]) > 0


def test_maps_and_pictures(report, folder):
    with netCDF4.Dataset(report / "scores.nc") as maps:
        assert list(maps["method"][:]) == ["persistence", "half", "three"]
        rmse, bias, count = (maps[name][:].filled(np.nan) for name in ("rmse", "bias", "count"))
        assert maps["rmse"].units == "1" and maps["leadtime"][:].tolist() == list(LEADS)
    assert np.isnan(rmse[:, :, make_surface() != Surface.OCEAN]).all()
    assert count.max() == STARTS - 1
    truth = make_days()
    starts = [k for k in range(FIRST, FIRST + STARTS) if k + 1 != SPARSE]
    errors = np.array([truth[k] - truth[k + 1] for k in starts])
    assert rmse[0, 0, 5, 6] == pytest.approx(np.sqrt(np.mean(errors[:, 5, 6] ** 2)), abs=1e-4)
    assert bias[0, 0, 5, 6] == pytest.approx(errors[:, 5, 6].mean(), abs=1e-4)
    for name in PICTURES:
        with Image.open(report / name) as picture:
            assert picture.width > 700 and len(picture.convert("L").getcolors()) > 20


def test_earlier_scores_may_be_replaced_and_other_files_not(report, tmp_path):
    _check_places(report, [])
    (tmp_path / "scores.csv").write_text("date,region,extent\n")
    with pytest.raises(InputError, match="--output_dir: expected a new file or a table"):
        _check_places(tmp_path, [])


def test_a_short_test_has_no_intervals_and_says_so(folder):
    days = INITIAL[:19]
    truth = make_days()
    write(folder / "short.nc", "short", [persist(truth, days)], days=days)
    write(folder / "short2.nc", "other", [target(truth, days)], days=days)
    with SeaIceRecord(folder / "cube.nc") as record:
        files = {name: ForecastFile(folder / f"{name}.nc") for name in ("short", "short2")}
        active = record.find_active_region(record.days[:FIRST])
        regions = find_regions(["marginal", "ocean"], record, active)
        daily = compute_daily_scores(files, record, regions, days, [1, 2])
    summary = Summary(daily, "short")
    rows = summary.make_rows()
    assert all(np.isnan(row.rmse.low) and np.isnan(row.skill_iiee.high) for row in rows)
    assert summary.describe_intervals() == [
        "initial days: 19, which are 1.9 blocks of 10 days: too few days for an interval"
    ]
    by_place = {(row.method, row.region, row.lead): row for row in rows}
    # Perfect to half a step of the packing.
    assert by_place["short2", "active", 1].rmse.value == pytest.approx(0, abs=1e-3)
    assert by_place["short2", "ocean", "all"].skill_iiee.value == 100
    # Where little is certain the errors are larger: the truth chooses the cells.
    marginal, active_row = (by_place["short", name, 1].rmse.value for name in ("marginal", "active"))
    assert marginal > 1.3 * active_row
    truth = np.stack([[make_days()[(d - START).days + lead] for d in days] for lead in (1, 2)])
    between = (truth > 0.05) & (truth < 0.95) & find_cells("active")
    assert by_place["short", "marginal", 2].cells == pytest.approx(between[1].sum() / 19, abs=6)


def test_a_forecast_that_knew_later_days_is_named(folder, tmp_path):
    path = tmp_path / "late.nc"
    path.write_bytes((folder / "base.nc").read_bytes())
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.training_days = f"{START} to {INITIAL[1]}"
    with SeaIceRecord(folder / "cube.nc") as record, ForecastFile(path) as file:
        (line,) = _find_look_ahead({"late": file}, record, INITIAL[0])
        assert line.startswith(f"late learnt from days up to {INITIAL[1]}, after the first initial day")
        assert _find_look_ahead({"late": file}, record, INITIAL[1]) == []


def test_a_probability_of_its_own_is_scored_and_drawn(folder, tmp_path):
    days, truth = INITIAL[:5], make_days()
    certain = (target(truth, days) >= 0.15).astype(float)
    path = write(
        tmp_path / "clim.nc", "clim", [persist(truth, days), 0.2 + 0.6 * certain], days=days,
        has_probability=True,
    )  # fmt: skip
    with SeaIceRecord(folder / "cube.nc") as record, ForecastFile(path) as file:
        regions = find_regions([], record, record.ocean & ~record.hole)
        daily = compute_daily_scores({"clim": file}, record, regions, days, list(LEADS))
    np.testing.assert_allclose(daily.values["sps"][0, 0], 0.04 * daily.area[0], rtol=1e-4)
    members = daily.members["clim"]
    assert members.ranks is None
    brier = members.probability.compute_brier_score()
    assert brier.score == pytest.approx(0.04, rel=1e-4)
    assert brier.probability == pytest.approx([0.2, 0.8]) and brier.frequency.tolist() == [0, 1]
    draw_members(daily, tmp_path / "members.png")
    with Image.open(tmp_path / "members.png") as picture:
        assert picture.width > 700


def test_a_jump_of_the_extent_is_found(folder, tmp_path):
    truth = make_days()
    truth[33] = 0.0
    dates = [START + timedelta(k) for k in range(DAYS)]
    surface = make_surface()
    write_cube(tmp_path / "jump.nc", dates=dates, concentration=truth, surface=surface, grid=GRID)
    with SeaIceRecord(tmp_path / "jump.nc") as record:
        bad_days = find_bad_days(INITIAL, record, record.ocean & ~record.hole)
        few = find_bad_days(INITIAL[10:18], record, record.ocean & ~record.hole)
    assert list(bad_days) == [START + timedelta(33), START + timedelta(34)]
    assert few == {}
    assert "the extent changes by -" in bad_days[START + timedelta(33)]


def test_a_file_of_icenet_is_scored(folder, tmp_path):
    truth = make_days()
    shares = np.moveaxis(persist(truth), 1, -1)  # (time, yc, xc, leadtime)
    path = tmp_path / "icenet.nc"
    with netCDF4.Dataset(path, "w") as dataset:
        for name, size in (("time", STARTS), ("yc", ROWS), ("xc", COLUMNS_X), ("leadtime", 3)):
            dataset.createDimension(name, size)
        axes = {
            "time": ("days since 1970-01-01", [(d - date(1970, 1, 1)).days for d in INITIAL]),
            "yc": ("m", GRID.y),
            "xc": ("m", GRID.x),
            "leadtime": ("days", LEADS),
        }
        for name, (units, values) in axes.items():
            variable = dataset.createVariable(name, "f8", (name,))
            variable.units = units
            variable[:] = values
        for axis in "xy":
            dataset[f"{axis}c"].standard_name = f"projection_{axis}_coordinate"
        crs = dataset.createVariable("crs", "i4", ())
        crs.setncatts(GRID.to_cf())
        mean = dataset.createVariable("sic_mean", "f4", ("time", "yc", "xc", "leadtime"))
        mean.grid_mapping = "crs"
        mean[:] = shares
    with SeaIceRecord(folder / "cube.nc") as record:
        files = {
            "persistence": ForecastFile(folder / "base.nc"), "icenet": ForecastFile(path)
        }  # fmt: skip
        regions = find_regions([], record, record.ocean & ~record.hole)
        daily = compute_daily_scores(files, record, regions, INITIAL[:3], list(LEADS))
    np.testing.assert_allclose(*daily.values["square"], atol=1e-6)


# --- what is refused --------------------------------------------------------------------


def score(folder, tmp_path, *names, **options):
    paths = [folder / f"{name}.nc" for name in names]
    return score_forecasts(
        forecast=paths, cube_file=folder / "cube.nc", output_dir=tmp_path / "out", **options
    )


def test_refusals(folder, tmp_path):
    truth = make_days()
    far = [START + timedelta(DAYS + k) for k in range(3)]
    late = INITIAL[-1:] + [INITIAL[-1] + timedelta(3)]
    values = persist(truth)
    write(folder / "beyond.nc", "persistence", [values[:3]], days=far)
    write(folder / "other.nc", "other", [values[:3]], days=far)
    write(folder / "late.nc", "persistence", [values[:2]], days=late, leads=(1, 2, 9))
    write(folder / "grid.nc", "persistence", [values], grid=small_grid(ROWS, COLUMNS_X, 12500.0))
    masked = values.copy()
    masked[..., 3] = np.nan
    write(folder / "masked.nc", "masked", [masked])
    write(folder / "blank.nc", "blank", [np.full_like(values, np.nan)])
    cases = {
        "half": "expected the reference among the forecasts, half, found persistence; add its file",
        "grid": r"grid.nc lies on another grid than .*cube.nc: .* expected ",
        "beyond": "expected days of the cube after the initial days 2024-03-20 to 2024-03-22 by leads "
        "of 1 to 4 days, found the cube from 2024-01-20 to 2024-03-19; score when",
        "late": "no day of the cube follows an initial day by 9 days: it ends on 2024-03-19",
        "base other": "expected initial days and leads that all forecasts have, found none",
        "base masked": r"values of masked on the ocean of the mask, found none on \d+\.\d % of the",
        "base blank": "no map could be scored: .*blank has no forecast",
    }
    for names, message in cases.items():
        with pytest.raises(InputError, match=message) as error:
            score(folder, tmp_path, *names.split())
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="leads that all forecasts have, 1, 2, 4, found 3"):
        score(folder, tmp_path, "base", leads="1,3")
    with pytest.raises(InputError, match="found none from 2030-01-01 to 2030-02-01"):
        score(folder, tmp_path, "base", train=(date(2030, 1, 1), date(2030, 2, 1)))
    with pytest.raises(InputError, match="has no cell in weddell"):
        score(folder, tmp_path, "base", region=["weddell"])


def test_percent_for_fraction_is_refused(folder, tmp_path):
    path = tmp_path / "percent.nc"
    path.write_bytes((folder / "base.nc").read_bytes())
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["sea_ice_conc"].scale_factor = np.float32(0.01)
    with pytest.raises(InputError, match="expected concentration as fractions 0 to 1, found 0 to"):
        score_forecasts(
            forecast=[path], cube_file=folder / "cube.nc", output_dir=tmp_path / "out",
        )  # fmt: skip


def test_a_mask_of_other_cells_is_refused(folder, tmp_path):
    surface = np.zeros((ROWS, COLUMNS_X - 1), np.uint8)
    grid = small_grid(ROWS, COLUMNS_X - 1)
    write_mask(tmp_path / "mask.nc", Mask(surface, np.zeros(surface.shape), grid), parameters={})
    with pytest.raises(InputError, match=r"mask\.nc lies on another grid than"):
        score(folder, tmp_path, "base", mask_file=tmp_path / "mask.nc")
