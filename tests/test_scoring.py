"""Scoring as a whole: no method sees the truth, what is refused is told, the files it writes."""

import csv
import json
import sys
from dataclasses import dataclass, field, replace
from datetime import date
from types import ModuleType

import numpy as np
import pytest

from seaice import InputError
from seaice.fields.axes import FieldAxes
from seaice.flags import FillFlag
from seaice.gapfill.field import FieldFill, FieldMethod, GappyField, finish
from seaice.gapfill.hybrid import Hybrid
from seaice.gapfill.methods import METHODS, fill_maps, make_method
from seaice.gapfill.temporal import Temporal
from seaice.grids import Grid
from seaice.scoring.gaps import (
    Gap,
    HeldOut,
    cut_gaps,
)
from seaice.scoring.pictures import choose_frame, draw_scores, measure_cell_size
from seaice.scoring.runs import peak_memory, run_methods
from seaice.scoring.score import digest_field, score_fills
from seaice.scoring.shapes import GapSettings
from seaice.scoring.stage import method_parameters, read_held_out, score_gaps
from seaice.scoring.table import format_table, write_csv, write_record

THREE = {"temporal": {}, "gaussian": {}, "hybrid": {}}
GRID = Grid("custom", 24, 20, 25_000.0, 0.0, 0.0, "EPSG:6931")
SOME = GapSettings(outage_days=(3, 9), single_days=2)


def ice(days=40):
    """An ice edge that goes up and down, percent."""
    y = np.arange(24)[None, :, None] + 0.2 * np.arange(20)[None, None, :]
    edge = 12 + 5 * np.sin(np.arange(days) / 6)[:, None, None]
    values = np.clip(50 + 12 * (edge - y), 0, 100).astype(np.float32)
    sea = np.ones((24, 20), bool)
    sea[:3, :5] = False
    values[:, ~sea] = np.nan
    times = np.arange(20000.0, 20000.0 + days)
    return GappyField(values, sea, times, valid_range=(0.0, 100.0), units="%")


def cut(gappy, kinds=("outages", "single_days")):
    return cut_gaps(gappy, list(kinds), settings=SOME)


@pytest.fixture(scope="module")
def scores():
    gappy = ice()
    return score_fills(gappy, cut(gappy), THREE, grid=GRID, is_concentration=True, own_process=False)


@dataclass(frozen=True, kw_only=True)
class Exact(FieldMethod):
    """The true ice of this test, plus ``off``."""

    name = "exact"

    off: float = 0.0
    sigma: float = 1.0

    def fill(self, gappy):
        estimate = np.clip(ice(len(gappy.values)).values + self.off, 0, 100)
        error = np.full(estimate.shape, self.sigma)
        return finish(gappy, estimate, FillFlag.LINEAR, error=error, notes={"off": self.off})


class Breaks(FieldMethod):
    name = "breaks"

    def fill(self, gappy):
        return [][0]


class Meddles(FieldMethod):
    name = "meddles"

    def fill(self, gappy):
        return FieldFill(gappy.values + 1, np.zeros(gappy.values.shape, np.uint8))


@pytest.fixture
def fakes(monkeypatch):
    for cls in (Exact, Breaks, Meddles):
        monkeypatch.setitem(METHODS, cls.name, f"{__name__}:{cls.__name__}")


@pytest.mark.slow
@pytest.mark.parametrize("own_process", [True, False])
def test_no_method_sees_the_held_out_truth(own_process):
    gappy = ice(14)
    held_out = cut_gaps(gappy, ["outages"], settings=GapSettings(outage_days=(3,)))
    other = replace(gappy, values=np.where(held_out.mask, 100 - gappy.values, gappy.values))
    assert not np.array_equal(other.values[held_out.mask], gappy.values[held_out.mask])
    methods = THREE if not own_process else {"hybrid": {}}
    one, two = (run_methods(f, held_out, methods, own_process=own_process) for f in (gappy, other))
    for a, b in zip(one, two, strict=True):
        assert a.refused is None and np.isfinite(a.values).all()
        assert np.array_equal(a.values, b.values, equal_nan=True)
        assert np.array_equal(a.flag, b.flag)


@pytest.mark.slow
def test_a_process_of_its_own_makes_the_same_and_tells_its_memory():
    gappy = ice(14)
    held_out = cut_gaps(gappy, ["outages"], settings=GapSettings(outage_days=(3,)))
    apart = run_methods(gappy, held_out, {"wide": {"method": "temporal", "max_gap_days": 9}})[0]
    here = fill_maps(held_out.cut(gappy), Temporal(max_gap_days=9))
    assert np.array_equal(apart.values, here.values[held_out.mask])
    assert (apart.label, apart.method, apart.parameters) == ("wide", "temporal", {"max_gap_days": 9})
    assert 20e6 < apart.peak_memory < 4e9
    assert apart.seconds > 0


@pytest.mark.slow
def test_peak_memory_is_that_of_this_process():
    before = peak_memory()
    block = np.ones(before // 8 + 8_000_000)
    assert peak_memory() > before + 30e6
    del block


def test_the_scores_are_those_of_the_fills(scores):
    gappy, mask = ice(), scores.held_out.mask
    made = fill_maps(scores.held_out.cut(gappy), Hybrid())
    error = (made.values - gappy.values)[mask]
    row = scores.get_row("hybrid")
    filled = np.isfinite(error)
    assert row.measures.rmse == pytest.approx(np.sqrt(np.nanmean(error.astype(float) ** 2)))
    assert (row.measures.held_out, row.measures.filled) == (error.size, filled.sum())
    # On the common cells: those that temporal and gaussian fill too.
    for method in ("temporal", "gaussian"):
        filled &= np.isfinite(fill_maps(scores.held_out.cut(gappy), make_method(method)).values[mask])
    common = scores.get_row("hybrid", basis="common").measures
    assert common.filled == filled.sum() < error.size
    assert common.rmse == pytest.approx(np.sqrt(np.mean(error[filled].astype(float) ** 2)))


def test_groups_share_out_the_cells(scores):
    whole = scores.get_row("temporal").measures.held_out
    for group in ("kind", "days missing"):
        rows = [r for r in scores.rows if (r.method, r.group, r.basis) == ("temporal", group, "own")]
        assert sum(r.measures.held_out for r in rows) == whole
    names = [r.name for r in scores.rows if (r.method, r.group, r.basis) == ("temporal", "gap", "own")]
    assert names == ["outages of 3", "outages of 9"]
    flags = [r for r in scores.rows if (r.method, r.group) == ("hybrid", "flag")]
    assert sum(r.measures.held_out for r in flags) == scores.get_row("hybrid").measures.filled
    # Nine days missing: 5 from either side is out of reach of neither, 4 days in the middle are.
    assert scores.get_row("temporal", "gap", "outages of 9").measures.unfilled_share > 0
    assert scores.get_row("temporal", "gap", "outages of 3").measures.unfilled_share == 0


def test_an_exact_method_has_no_error_and_a_shifted_one_its_shift(fakes):
    gappy = ice(20)
    held_out = cut_gaps(gappy, ["single_days"], settings=GapSettings(single_days=3))
    methods = {"exact": {}, "off": {"method": "exact", "off": 1.0, "sigma": 0.6}}
    made = score_fills(gappy, held_out, methods, grid=GRID, is_concentration=True, own_process=False)
    exact, off = (made.get_row(label) for label in methods)
    assert (exact.measures.rmse, exact.measures.ice_edge_error, exact.measures.area_error) == (0, 0, 0)
    assert exact.measures.correlation == pytest.approx(1)
    assert exact.coverage.within_one == 1
    # Between 5 and 95 percent the error is 1: beyond 0.6, within twice that.
    assert off.coverage.within_one == 0 and off.coverage.within_two == 1
    assert 0 < off.coverage.cells < off.measures.filled
    assert made.runs[1].notes["off"] == 1.0
    paired = [r for r in made.paired if (r.method, r.group, r.measure) == ("off", "all", "rmse")]
    assert paired[0].difference.difference == pytest.approx(off.measures.rmse, rel=1e-12)
    assert paired[0].against == "exact"


def test_what_a_method_refuses_is_told_and_the_others_go_on(fakes, tmp_path):
    gappy = ice(12)
    held_out = cut_gaps(gappy, ["single_days"], settings=GapSettings(single_days=1))
    methods = {"temporal": {"max_gap_days": 99}, "breaks": {}, "meddles": {}, "exact": {}}
    made = score_fills(gappy, held_out, methods, is_concentration=True, own_process=False)
    refused = {run.label: run.refused for run in made.runs}
    assert "max_gap_days must be 0 to 9" in refused["temporal"]
    assert refused["breaks"].startswith("IndexError: ")
    assert "meddles changed observed cells" in refused["meddles"]
    assert refused["exact"] is None and made.get_row("exact").measures.rmse == 0
    assert [run.label for run in made.finished_runs] == ["exact"]
    assert any("breaks: refused: IndexError" in line for line in format_table(made))
    write_csv(made, tmp_path / "a.csv")
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert {r["method"]: r["refused"] for r in rows}["breaks"].startswith("IndexError")


@pytest.mark.slow
def test_a_process_that_dies_is_told(monkeypatch):
    # Out of range of the registry of a fresh process: the fake exists here alone.
    monkeypatch.setitem(METHODS, "ghost", "ghost:Ghost")
    gappy = ice(12)
    held_out = cut_gaps(gappy, ["single_days"], settings=GapSettings(single_days=1))
    run = run_methods(gappy, held_out, {"ghost": {}})[0]
    assert run.refused is not None and np.isnan(run.values).all()


def test_bad_requests_are_refused():
    gappy = ice(12)
    held_out = cut_gaps(gappy, ["single_days"], settings=GapSettings(single_days=1))
    with pytest.raises(InputError, match="unknown method 'magic'"):
        score_fills(gappy, held_out, {"magic": {}})
    with pytest.raises(InputError, match="found none"):
        score_fills(gappy, held_out, {})
    with pytest.raises(InputError, match="same field"):
        score_fills(gappy.only(slice(5)), held_out, THREE)
    with pytest.raises(InputError, match="nothing is held out"):
        score_fills(gappy, HeldOut(np.zeros_like(held_out.number), ()), THREE)
    with pytest.raises(InputError, match="never observed"):
        score_fills(gappy, HeldOut(np.ones_like(held_out.number), (Gap("given", 0, 0, 1),)), THREE)
    with pytest.raises(InputError, match="from 0 to full ice, found the valid range -inf to inf"):
        score_fills(
            replace(gappy, valid_range=(-np.inf, np.inf)), held_out, THREE, is_concentration=True
        )
    with pytest.raises(InputError, match="--against one of temporal, gaussian, hybrid"):
        score_fills(gappy, held_out, THREE, against="eof")


def test_the_checksum_knows_what_is_used():
    gappy = ice(3)
    land = gappy.values.copy()
    land[:, ~gappy.sea] = 7
    assert digest_field(replace(gappy, values=land)) == digest_field(gappy)
    other = gappy.values.copy()
    other[1, 20, 10] += 1
    assert digest_field(replace(gappy, values=other)) != digest_field(gappy)


def test_the_record_holds_what_is_needed_to_do_it_again(scores, tmp_path):
    write_record(scores, tmp_path / "a.json", {"input_file": "x.nc"})
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["software"]["seaice"]
    assert told["input"]["input_file"] == "x.nc" and len(told["input"]["field_sha256"]) == 64
    assert told["gaps"]["seed"] == 0 and told["gaps"]["settings"]["outage_days"] == [3, 9]
    assert [gap["days"] for gap in told["gaps"]["list"]] == [g.days for g in scores.held_out.gaps]
    assert set(told["methods"]) == set(THREE)
    row = next(
        r for r in told["scores"] if (r["method"], r["group"], r["basis"]) == ("hybrid", "all", "own")
    )
    assert row["rmse"] == scores.get_row("hybrid").measures.rmse
    assert row["within_one_sigma"] is None  # NaN is no JSON
    assert {"ice_edge_error_km2", "units"} <= set(row)
    again = tmp_path / "b.json"
    write_record(scores, again, {"input_file": "x.nc"})
    assert again.read_text() == (tmp_path / "a.json").read_text()


def test_the_csv_has_a_row_a_method_group_and_basis(scores, tmp_path):
    write_csv(scores, tmp_path / "a.csv")
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert len(rows) == len(scores.rows)
    keys = {(r["method"], r["group"], r["name"], r["basis"]) for r in rows}
    assert len(keys) == len(rows)
    assert rows[0]["within_one_sigma"] == ""
    assert float(rows[0]["rmse"]) == scores.rows[0].measures.rmse


@pytest.mark.slow
def test_the_picture_is_drawn_on_a_plane_and_on_longitudes(scores, tmp_path):
    assert draw_scores(scores, tmp_path / "a.png", grid=GRID, title="ice", dpi=40) == []
    latitude, longitude = np.meshgrid(60 + 0.25 * np.arange(24), 0.5 * np.arange(20), indexing="ij")
    there = replace(scores, gappy=replace(scores.gappy, latitude=latitude, longitude=longitude))
    assert draw_scores(there, tmp_path / "b.png", dpi=40) == []
    dy, dx = measure_cell_size(there, None)
    assert dy == pytest.approx(0.25 * 111.19, rel=1e-3)
    assert dx == pytest.approx(0.5 * 111.19 * np.cos(np.radians(62.875)), rel=1e-3)
    # Without coordinates there are no spectra, and it says so.
    notes = draw_scores(scores, tmp_path / "c.png", dpi=40)
    assert notes == ["no power spectra: the field has no coordinates"]
    from PIL import Image

    with Image.open(tmp_path / "c.png") as image:
        dots = np.asarray(image.convert("RGB")).astype(int)
    right = dots[2 * len(dots) // 3 :, 2 * dots.shape[1] // 3 :]
    assert (np.ptp(right, axis=-1) > 60).any(), "the histogram takes the room of the spectra"
    for name in "abc":
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
    # The longest outage that all fill: gaussian and temporal say nothing in the middle of nine days.
    frame = choose_frame(scores)
    assert scores.held_out.number[frame].any()
    with pytest.raises(InputError, match="nothing is held out on map 0"):
        draw_scores(scores, tmp_path / "d.png", frame=0)


@pytest.mark.slow
def test_a_swath_without_positions_at_its_corners_is_drawn(scores, tmp_path):
    rows, columns = np.meshgrid(np.arange(24.0), np.arange(20.0), indexing="ij")
    # A track that runs north-west: rows of the swath follow no parallel. 0.1 degrees are 11.1 km.
    latitude, longitude = 0.1 * (rows + columns), 0.1 * (columns - rows)
    latitude[0, :3] = longitude[0, :3] = latitude[-1, -1] = longitude[-1, -1] = np.nan
    swath = replace(scores, gappy=replace(scores.gappy, latitude=latitude, longitude=longitude))
    assert measure_cell_size(swath, None) == pytest.approx((15.7, 15.7), abs=0.1)
    assert draw_scores(swath, tmp_path / "swath.png", dpi=40) == []


def test_a_picture_that_fails_does_not_fail_the_scores(scores, tmp_path, monkeypatch):
    from seaice.scoring import pictures, stage

    def fail(*_, **__):
        raise ValueError("axis limits cannot be NaN")

    monkeypatch.setattr(pictures, "draw_scores", fail)
    report = stage._written(scores, tmp_path, {}, None, title="", frame=None, dpi=40)
    assert report.left_out == [f"no picture {tmp_path / 'scores.png'}: axis limits cannot be NaN"]
    assert (report.exit_status(), report.exit_status(strict=True)) == (0, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.csv", "scores.json"]


def test_words_become_parameters():
    made = method_parameters(["hybrid", "past=temporal"], ["past.past_only=true", "hybrid.sigma=3.5"])
    assert made == {
        "hybrid": {"method": "hybrid", "sigma": 3.5},
        "past": {"method": "temporal", "past_only": True},
    }
    for methods, words, message in (
        (["snow"], [], "unknown method 'snow'"),
        (["hybrid", "hybrid"], [], "asked for twice"),
        (["hybrid"], ["sigma=3"], "METHOD.PARAMETER=VALUE"),
        (["hybrid"], ["temporal.sigma=3"], "METHOD out of hybrid"),
        (["hybrid"], ["hybrid.snow=3"], "hybrid takes no snow; it takes"),
        (["hybrid"], ["hybrid.sigma=wide"], "expected hybrid.sigma as float, found 'wide'"),
        (["hybrid"], ["hybrid.max_gap_days=2.5"], "expected hybrid.max_gap_days as int"),
        (["hybrid"], ["hybrid.past_only=1"], "expected hybrid.past_only as bool"),
    ):
        with pytest.raises(InputError, match=message):
            method_parameters(methods, words)


def test_an_empty_file_holds_no_cells_out(tmp_path):
    path = tmp_path / "empty.npy"
    path.write_bytes(b"")
    with pytest.raises(InputError, match="cannot be read as cells to hold out"):
        read_held_out(path)


@dataclass
class Source:
    field: GappyField
    grid: Grid | None = GRID
    is_concentration: bool = True
    attributes: dict = field(default_factory=lambda: {"long_name": "sea ice concentration"})
    axes: FieldAxes = field(default_factory=lambda: FieldAxes.of_grid(GRID))

    def describe(self):
        return {"input_file": "ice.nc"}


@pytest.fixture
def reader(monkeypatch):
    """A stand-in for the reader of files, which says what it was asked for."""
    asked = []
    module = ModuleType("seaice.fields.read")
    module.read_gappy = lambda path, reading: asked.append(reading) or Source(ice())
    monkeypatch.setitem(sys.modules, "seaice.fields.read", module)
    return asked


@pytest.mark.slow
def test_the_stage_writes_table_record_and_picture(reader, tmp_path):
    report = score_gaps(
        input_file=tmp_path / "ice.nc",
        output_dir=tmp_path / "made",
        variable="ice",
        start_date=date(2024, 10, 4),
        methods=["temporal", "short=temporal", "hybrid"],
        parameters=["short.max_gap_days=12"],
        gaps=["outages"],
        outage_days=[3],
        against="hybrid",
        picture_date=None,
        dpi=40,
    )
    assert reader[0].variable == "ice" and reader[0].start_date == date(2024, 10, 4)
    names = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert names == ["scores.csv", "scores.json", "scores.png"]
    assert report.exit_status() == 1 and report.failed[0].startswith(
        "short: max_gap_days must be 0 to 9"
    )
    told = json.loads((tmp_path / "made" / "scores.json").read_text())
    assert told["methods"]["temporal"]["peak_memory_bytes"] > 20e6
    assert told["paired_differences"][0]["against"] == "hybrid"


@pytest.mark.slow
def test_the_stage_takes_cells_that_are_given(reader, tmp_path):
    chosen = np.zeros((40, 24, 20), np.uint8)
    chosen[5:9, 10:14, 3:9] = 1
    np.save(tmp_path / "points.npy", chosen)
    report = score_gaps(
        input_file=tmp_path / "ice.nc",
        output_dir=tmp_path / "made",
        methods=["temporal"],
        held_out_file=tmp_path / "points.npy",
        dpi=40,
    )
    assert report.exit_status() == 0
    assert report.values["scores"].held_out.kinds == ["given"]
    assert report.values["scores"].get_row("temporal").measures.held_out == chosen.sum()


def test_files_of_given_cells_are_checked(tmp_path):
    import netCDF4

    with pytest.raises(InputError, match="no such file"):
        read_held_out(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    with pytest.raises(InputError, match=r"found float64 of \(2, 2\)"):
        read_held_out(tmp_path / "a.npy")
    (tmp_path / "b.nc").write_text("nothing")
    with pytest.raises(InputError, match="no readable NetCDF file"):
        read_held_out(tmp_path / "b.nc")
    with netCDF4.Dataset(tmp_path / "c.nc", "w") as dataset:
        for name, size in (("time", 1), ("y", 2), ("x", 3)):
            dataset.createDimension(name, size)
        dataset.createVariable("held", "i1", ("time", "y", "x"))[:] = 1
    with pytest.raises(InputError, match="has no variable held_out"):
        read_held_out(tmp_path / "c.nc")
    with netCDF4.Dataset(tmp_path / "c.nc", "a") as dataset:
        dataset.renameVariable("held", "held_out")
    assert read_held_out(tmp_path / "c.nc").tolist() == [[[True] * 3] * 2]
