"""Suspicious days: seeded faults are found, sound days are not accused."""

import csv
import os
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

import consolidate_data
import find_several_data_in_target_area as find_missing
from seaice.cube.file import CubeFile
from seaice.daily.folder import DailyGrids, HealthRule
from seaice.daily.health.judge import DAYS_AFTER, DAYS_BEFORE, judge_day
from seaice.daily.health.sample import measure_change, sample_health
from seaice.daily.health.shape import find_empty_part, find_stripe
from seaice.dates import DateRange
from seaice.flags import DayStatus
from seaice.grids import get_grid
from seaice.simulate import SimulatedObservations, write_day
from seaice.sources.bremen.names import DayFile

REAL = os.environ.get("SEAICE_REAL_DATA")
START = date(2020, 9, 20)
FIRST = 700  # day number of the first field


def simulate(name, start, days):
    grid = get_grid(name)
    sea = SimulatedObservations(grid, seed=4)
    return grid, [sea.observe(start + timedelta(days=n)) for n in range(days)]


@pytest.fixture(scope="module", params=["n25000", "s25000"])
def record(request):
    return simulate(request.param, START, 12)


def judge(grid, fields, i, *, past_only=False):
    """Findings of day i of some fields; None is an absent day."""
    samples = {n: sample_health(f, grid, FIRST + n) for n, f in enumerate(fields) if f is not None}
    before = [samples[n] for n in range(i - 1, i - 1 - DAYS_BEFORE, -1) if n in samples]
    after = [samples[n] for n in range(i + 1, i + 1 + DAYS_AFTER) if n in samples]
    return judge_day(samples[i], before, lambda: [] if past_only else after)


def keep_land(field, values):
    return np.where(np.isnan(field), np.nan, np.nan_to_num(values)).astype(np.float32)


def empty_half(field, value):
    field = field.copy()
    field[: len(field) // 2] = np.where(np.isnan(field[: len(field) // 2]), np.nan, value)
    return field


def draw_stripe(field):
    """A slanted band of false ice over the whole grid, 75 km wide."""
    rows, columns = np.mgrid[: field.shape[0], : field.shape[1]]
    band = abs(0.94 * (rows - field.shape[0] / 4) - 0.34 * (columns - field.shape[1] / 2)) < 1.5
    return np.where(band & ~np.isnan(field), 90, field).astype(np.float32)


FAULTS = {
    "zero half": (lambda f: empty_half(f, 0), "half_empty"),
    "missing half": (lambda f: empty_half(f, np.nan), "missing"),
    "ten cells up": (lambda f: np.roll(f, 10, axis=0), "shifted"),
    "ten cells left, land as it is": (lambda f: keep_land(f, np.roll(f, -10, axis=1)), None),
    "flipped": (lambda f: f[::-1], "turned"),
    "mirrored": (lambda f: f[:, ::-1], "turned"),
    "a stripe": (draw_stripe, "stripe"),
    "a fifth less": (lambda f: f * np.float32(0.8), "area"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("past_only", [False, True])
def test_a_seeded_fault_is_found(record, fault, past_only):
    grid, fields = record
    damage, kind = FAULTS[fault]
    for i in (5, 11):
        damaged = [*fields[:i], np.ascontiguousarray(damage(fields[i])), *fields[i + 1 :]]
        findings = judge(grid, damaged, i, past_only=past_only)
        assert findings, (i, fault)
        assert kind in (None, findings[0].kind), findings
        assert findings[0].value > findings[0].limit
        # Nor are the days beside it accused, which differ from it as much.
        beside = [n for n in (i - 1, i + 1) if n < len(fields)]
        assert not any(judge(grid, damaged, n) for n in beside)


def test_sound_days_are_not_accused(record):
    grid, fields = record
    for past_only in (False, True):
        assert not [n for n in range(12) if judge(grid, fields, n, past_only=past_only)]
    gappy = [f if n not in (2, 3, 4, 8) else None for n, f in enumerate(fields)]
    assert not [n for n, f in enumerate(gappy) if f is not None and judge(grid, gappy, n)]
    three = fields[:3]
    assert not [n for n in range(3) if judge(grid, three, n)]


def test_a_file_of_an_earlier_day_is_found_on_the_later_one(record):
    grid, fields = record
    for back in (1, 4):
        again = [*fields[:6], fields[6 - back], *fields[7:]]
        (finding,) = [f for f in judge(grid, again, 6) if f.kind == "repeated"]
        assert finding.value == 1 and str(date(1970, 1, 1) + timedelta(FIRST + 6 - back)) in finding.text
        assert not any(f.kind == "repeated" for f in judge(grid, again, 7))


def test_a_transposed_square_is_found():
    grid, fields = simulate("n25000", START, 6)
    square = slice(60, 360)
    grid = grid.crop(square, slice(2, 302))
    fields = [np.ascontiguousarray(f[square, 2:302]) for f in fields]
    turned = [*fields[:3], np.ascontiguousarray(fields[3].T), *fields[4:]]
    assert [f.kind for f in judge(grid, turned, 3)] == ["turned"]
    assert judge(grid, turned, 3)[0].text.startswith("transposed:")


def test_a_closed_pack_that_is_moved_with_its_land_is_found():
    """Wherever two such days have values they agree; their coasts do not."""
    grid = get_grid("n6250").crop(slice(700, 1100), slice(400, 800))
    rows, columns = np.mgrid[:400, :400]
    land = np.hypot(rows - 200, columns - 200) > 180
    rng = np.random.default_rng(5)
    fields = []
    for _ in range(6):
        field = rng.uniform(97, 100, land.shape).astype(np.float32)
        field[land] = np.nan
        field[:40, :] = np.nan  # an outage of all days
        fields.append(field)
    assert not [n for n in range(6) if judge(grid, fields, n)]
    for i, past_only in ((4, True), (2, False)):
        moved = [*fields[:i], np.roll(fields[i], 8, axis=1), *fields[i + 1 :]]
        (finding,) = judge(grid, moved, i, past_only=past_only)
        assert finding.kind in ("misplaced", "shifted")
        # The outage ends: values where no day before has any, and none missing elsewhere.
        ended = [*fields[:i], np.where(land, np.nan, np.float32(98)), *fields[i + 1 :]]
        assert not judge(grid, ended, i, past_only=past_only)


def test_a_lasting_step_is_suspicious_on_its_first_day_alone(record):
    grid, fields = record
    stepped = [f * np.float32(0.8 if n >= 6 else 1) for n, f in enumerate(fields)]
    kinds = [{finding.kind for finding in judge(grid, stepped, n)} for n in range(12)]
    assert "area" in kinds[6] and not any(kinds[:6] + kinds[7:])


def test_the_jump_of_a_small_region_has_a_limit_of_its_size():
    """20 percent of a hemisphere are a jump, 20 percent of a small sea are weather."""
    grid = get_grid("n25000")
    kinds = {}
    for cells in (20, 200):
        part = grid.crop(slice(200, 200 + cells), slice(80, 80 + cells))
        days = [np.full(part.shape, 80 - 16 * (n == 3), np.float32) for n in range(6)]
        kinds[cells] = {finding.kind for finding in judge(part, days, 3)}
    assert kinds == {20: set(), 200: {"area", "changed"}}


def test_numbers_of_a_change_are_those_of_the_plain_formulas():
    grid = get_grid("n25000").crop(slice(200, 240), slice(100, 140))
    rng = np.random.default_rng(3)
    old, new = (rng.uniform(0, 100, grid.shape).astype(np.float32) for _ in range(2))
    new[:5], old[20:30, 3:9] = np.nan, np.nan
    both, area = ~np.isnan(new - old), grid.cell_area()
    change = measure_change(sample_health(new, grid, 8), sample_health(old, grid, 5))
    assert change.days == 3
    assert change.area == pytest.approx(((new - old) * area)[both].sum() / 100, rel=1e-4)
    extents = [(area * (f >= 15))[both].sum() for f in (new, old)]
    assert change.extent == pytest.approx(extents[0] - extents[1], rel=1e-4)
    ice = both & ((new >= 15) | (old >= 15))
    assert change.ice == pytest.approx(area[ice].sum(), rel=1e-5)
    assert change.mean == pytest.approx((abs(new - old) * area)[ice].sum() / area[ice].sum(), rel=1e-5)


@pytest.mark.parametrize("rows, columns", [(1.0, 0.0), (-0.5, 0.8)])
def test_a_small_displacement_is_measured(rows, columns):
    """A smooth hill that is moved by less than a box, exactly."""
    grid = get_grid("n25000").crop(slice(200, 260), slice(100, 160))
    y, x = np.mgrid[:60, :60]

    def make_hill(up, right):
        return (100 * np.exp(-((y - 30 - up) ** 2 + (x - 30 - right) ** 2) / 100)).astype(np.float32)

    change = measure_change(
        sample_health(make_hill(rows, columns), grid, 1), sample_health(make_hill(0, 0), grid, 0)
    )
    assert (change.rows, change.columns) == pytest.approx((25 * rows, 25 * columns), abs=1.0)


def test_boxes_of_a_fine_grid_are_those_of_a_coarse_one():
    grid, coarse = get_grid("n6250"), get_grid("n25000")
    blocks = np.random.default_rng(0).uniform(0, 100, coarse.shape).astype(np.float32)
    blocks[:40] = np.nan
    field = blocks.repeat(4, axis=0).repeat(4, axis=1)
    field[1::4, 1::4] = np.nan  # one cell of sixteen is missing
    sample = sample_health(field, grid, 0)
    np.testing.assert_allclose(sample.percent, blocks, rtol=1e-6)
    np.testing.assert_allclose(sample.area, coarse.cell_area(), rtol=1e-4)
    field[0::4], field[1::4] = np.nan, np.nan
    field[2::4, 0::4] = np.nan  # ten of sixteen
    assert np.isnan(sample_health(field, grid, 0).percent).all()


def test_stripes_are_told_from_patches_and_from_scattered_boxes():
    rng = np.random.default_rng(1)
    marked = rng.random((100, 100)) < 0.01
    assert find_stripe(marked, least=24) is None
    marked[40:60, 40:60] = True
    assert find_stripe(marked, least=24) is None
    rows = np.arange(20, 80)
    marked[:] = False
    marked[rows, 10 + rows // 2] = True
    stripe = find_stripe(marked, least=24)
    assert stripe is not None and stripe.length == pytest.approx(60 * 1.118, abs=3)
    marked[30:75] = False  # two ends with a gap between them
    assert find_stripe(marked, least=24) is None


def test_an_empty_sector_is_found_across_the_direction_that_counting_begins_at():
    grid = get_grid("n25000").crop(slice(150, 250), slice(100, 200))
    y, x = np.mgrid[:100, :100] - 49.5
    full = np.full(grid.shape, 90, np.float32)
    angle = np.degrees(np.arctan2(y, x))
    half = np.where(abs(angle) < 40, 0, full).astype(np.float32)
    references = [sample_health(full, grid, 0)]
    part = find_empty_part(sample_health(half, grid, 1), references, least=1e5)
    assert part is not None and part.words == "a sector of 80 degrees"
    assert part.ice == pytest.approx(references[0].area[half == 0].sum(), rel=0.01)
    half[half == 0] = np.nan  # missing, not 0
    assert find_empty_part(sample_health(half, grid, 1), references, least=1e5) is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve days, the seventh of them with a stripe, the ninth that of the day before."""
    path = tmp_path_factory.mktemp("days")
    grid, fields = simulate("n25000", START, 12)
    fields[6], fields[8] = draw_stripe(fields[6]), fields[7]
    for n, field in enumerate(fields):
        write_day(path / DayFile("AMSR2", "n25000", START + timedelta(n), "5.4", "nc").name, field, grid)
    return path


def consolidate(folder, output, *more, days=12):
    return consolidate_data.main([
        *("--source_dir", str(folder), "--output_file", str(output), "--start_date", str(START)),
        *("--end_date", str(START + timedelta(days - 1)), "--method", "temporal", *map(str, more)),
    ])  # fmt: skip


def read_table(path):
    with CubeFile(path) as cube:
        return cube.texts("day_reason"), cube.variable("day_status").tolist()


@pytest.mark.parametrize("reject", [(), ("--reject", "suspicious")])
def test_suspicious_days_are_named_and_rejected_only_on_request(folder, tmp_path, capsys, reject):
    cube = tmp_path / "cube.nc"
    # The seventh day is the last one first, and has only days before it to be judged by.
    assert consolidate(folder, cube, *reject, "--batch_size", 2, days=7) == 0
    assert consolidate(folder, cube, *reject, "--append") == 0
    reasons, status = read_table(cube)
    assert [n for n, reason in enumerate(reasons) if reason] == [6, 8]
    assert reasons[6].startswith("suspicious: a stripe") and "limit 600" in reasons[6]
    assert reasons[8].startswith("suspicious: 100% of the values of partial ice are those of 2020-09-27")
    rejected = [n for n, code in enumerate(status) if code == DayStatus.REJECTED]
    assert rejected == ([6, 8] if reject else [])
    with CubeFile(cube) as file:
        assert (file.flags(6) == 0).any() != bool(reject)
    capsys.readouterr()
    # The same command again finds it complete, and says the same.
    assert consolidate(folder, cube, *reject) == 0
    out, err = capsys.readouterr()
    assert "complete already" in out
    text = "2020-09-26 rejected (" if reject else "2020-09-26 kept, but suspicious: a stripe"
    assert text in (err if reject else out)


def test_spans_of_workers_judge_like_one_run(folder, tmp_path):
    """Each span reads the days around it by itself."""
    days = DailyGrids(
        source_dir=folder,
        period=DateRange(START, START + timedelta(11)),
        health=HealthRule(rejects=True),
    )
    whole = [days.read(day, judge=True)[1] for day in days.period]
    parts = []
    for first in (6, 0, 3, 9):
        span = days.select(DateRange(START + timedelta(first), START + timedelta(first + 2)))
        parts += [span.read(day, judge=True)[1] for day in span.period]
    assert sorted(parts, key=lambda record: record.day) == whole
    assert [n for n, r in enumerate(whole) if r.status == DayStatus.REJECTED] == [6, 8]


def test_only_days_before_judge_in_real_time(folder):
    period = DateRange(START, START + timedelta(11))
    for past_only in (False, True):
        days = DailyGrids(source_dir=folder, period=period, health=HealthRule(past_only=past_only))
        records = {day: days.read(day, judge=True)[1] for day in list(period)[::-1]}
        suspicious = sorted(day for day, record in records.items() if record.reason)
        assert suspicious == [date(2020, 9, 26), date(2020, 9, 28)]
        assert all(record.status == DayStatus.PRESENT for record in records.values())


def test_suspicious_days_are_lines_of_the_table(folder, tmp_path, capsys):
    table = tmp_path / "days.csv"
    words = ["--source_dir", str(folder), "--ymin", "200", "--ymax", "240", "--xmin", "100"]
    words += ["--xmax", "140", "--start_date", str(START), "--end_date", str(START + timedelta(11))]
    assert find_missing.main([*words, "--output_csv", str(table)]) == 0
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert {row["date"]: row["findings"] for row in rows if row["findings"]} == {
        "2020-09-26": "stripe",
        "2020-09-28": "repeated",
    }
    assert rows[6]["suspicious"].startswith("a stripe") and rows[6]["status"] == "present"
    out = capsys.readouterr().out
    assert "suspicious days: 2 of 12 readable" in out and "2020-09-26  a stripe" in out


@pytest.mark.skipif(not REAL, reason="no real data here")
def test_real_days_are_sound_and_seeded_ones_are_not():
    import netCDF4

    (path,) = (Path(REAL) / "sea_ice_index").glob("*.nc")
    with netCDF4.Dataset(path) as dataset:
        codes = np.asarray(dataset["code"][:])
    grid = get_grid("n25000")
    fields = [np.where(day <= 1000, day / 10, np.nan).astype(np.float32) for day in codes]
    accused = [n for n in range(len(fields)) if judge(grid, fields, n)]
    assert len(accused) <= 1
    for fault in FAULTS:
        damage = FAULTS[fault][0]
        for i in (7, 40, 75):
            damaged = [*fields[:i], np.ascontiguousarray(damage(fields[i])), *fields[i + 1 :]]
            assert judge(grid, damaged, i), (fault, i)
