"""The Python blocks of the documentation run as printed, on small files."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from cubes import small_grid, write_cube
from swaths import make_swath

from seaice.dates import parse_date
from seaice.flags import (
    FillFlag,
    Surface,
)
from seaice.gapfill.sphere.healpix_file import read_cells
from seaice.masking.land_mask import write_mask
from seaice.masks import Mask
from seaice.simulate.sst import write_sst
from seaice.swaths.archive import create_archive

PAGE = Path(__file__).parent.parent / "docs" / "training.md"
ROWS, COLUMNS, DAYS = 14, 12, 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cube of an ice edge that retreats, with filled stripes, and the mask of its land."""
    folder = tmp_path_factory.mktemp("training")
    surface = np.zeros((ROWS, COLUMNS), dtype=np.uint8)
    surface[:5, :4] = Surface.LAND
    rows = np.arange(ROWS)[:, np.newaxis]
    edge = np.linspace(3, 10, DAYS)[:, np.newaxis, np.newaxis]
    concentration = np.clip((rows - edge) / 3, 0, 1) * np.ones(COLUMNS)
    flags = np.where(surface == Surface.LAND, FillFlag.LAND, FillFlag.OBSERVED)
    flags = np.repeat(flags[np.newaxis], DAYS, axis=0).astype(np.uint8)
    flags[::3, 9] = FillFlag.TEMPORAL_TWO_SIDED
    grid = small_grid(ROWS, COLUMNS)
    dates = [date(2024, 5, 1) + timedelta(days=i) for i in range(DAYS)]
    write_cube(
        folder / "cube.nc",
        dates=dates,
        concentration=concentration,
        surface=surface,
        grid=grid,
        flags=flags,
        parameters={"method": "gaussian", "time_window": 10},
    )
    write_mask(folder / "land_mask.nc", Mask(surface, np.zeros(surface.shape, np.float32), grid), {})
    return folder


def blocks_of_page(page: Path = PAGE) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def ran(folder, monkeypatch):
    """Names after the first block, with the parameters the model began with."""
    monkeypatch.chdir(folder)
    first, *_ = blocks_of_page()
    names: dict = {"__name__": "snippet"}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # fields this small only lose time to threads
    exec(compile(first, str(PAGE), "exec"), names)
    yield names
    torch.set_num_threads(threads)


def test_the_snippet_trains(ran):
    assert len(ran["losses"]) == 2
    assert np.isfinite([*ran["losses"], ran["validation_loss"]]).all()
    assert all(loss > 0 for loss in ran["losses"])
    torch.manual_seed(0)
    fresh = ran["ConvLSTM"](days_ahead=2)
    inputs, ocean = ran["batch"]["inputs"], ran["ocean"] == 1
    last_day = inputs[:, -1:] * ran["statistics"].std + ran["statistics"].mean
    for day in fresh(inputs).unbind(dim=1):
        torch.testing.assert_close(day[..., ocean], last_day[:, 0][..., ocean])
    pairs = list(zip(fresh.parameters(), ran["model"].parameters(), strict=True))
    assert len(pairs) == 4
    assert all(not torch.equal(before, after) for before, after in pairs)
    for before, after in pairs:
        assert torch.isfinite(after).all()
        assert (after - before).abs().max() <= 0.03  # two steps of Adam at 0.01, not a runaway


def test_land_teaches_nothing(ran):
    ocean = ran["ocean"]
    assert 0 < ocean.sum() < ocean.numel()
    item = ran["datasets"]["train"][0]
    target, weight = item["targets"][None], item["target_weights"][None]
    assert (weight[..., ocean == 0] == 0).all()
    assert set(weight[..., ocean == 1].unique().tolist()) == {np.float32(0.2), 1.0}
    prediction = torch.full_like(target, 0.3, requires_grad=True)
    ran["masked_loss"](prediction, target, weight).backward()
    assert (prediction.grad[..., ocean == 0] == 0).all()
    assert (prediction.grad[..., ocean == 1] != 0).all()
    spoilt = target.clone()
    spoilt[..., ocean == 0] = 99.0
    losses = [ran["masked_loss"](prediction, t, weight).item() for t in (target, spoilt)]
    assert losses[0] == losses[1]


def test_the_parts_share_no_day(ran):
    days = {name: set(dataset.GetTimes().ravel()) for name, dataset in ran["datasets"].items()}
    assert days["train"]
    assert days["validation"]
    ends = {name: (min(d), max(d)) for name, d in days.items()}
    free = parse_date(ends["validation"][0]) - parse_date(ends["train"][1])
    assert free.days > 10  # the cube's filling reaches 10 days
    assert ran["statistics"].periods == tuple(str(block) for block in ran["parts"]["train"])


@pytest.mark.slow
def test_the_loss_falls_when_training_goes_on(ran):
    model, loader, ocean = ran["model"], ran["loader"], ran["ocean"]

    def epoch() -> float:
        total = 0.0
        for batch in loader:
            prediction = model(batch["inputs"] * ocean)
            loss = ran["masked_loss"](prediction, batch["targets"], batch["target_weights"] * ocean)
            ran["optimizer"].zero_grad()
            loss.backward()
            ran["optimizer"].step()
            total += loss.item()
        return total

    first = epoch()
    for _ in range(8):
        last = epoch()
    assert last < first / 2


def test_the_scores_are_those_of_the_cells(ran):
    """The same numbers cell by cell, for a forecast with known errors."""
    _, scores, *_ = blocks_of_page()
    batch, ocean = ran["batch"], ran["ocean"]
    targets, weights = batch["targets"], batch["target_weights"]
    ran["prediction"] = torch.where(ocean == 1, targets, 0.9)  # wrong on land, which must not count
    ran["prediction"][:, 1, 0, 0, 6] = 0.4  # ice where there is water
    ran["prediction"][weights < 1] = 0.8  # filled or land: must not count
    exec(compile(scores, str(PAGE), "exec"), ran)
    perfect, wrong = ran["scores"]
    assert (perfect["rmse"], perfect["binary_accuracy"], perfect["ice_edge_error"]) == (0, 1, 0)
    assert targets[:, 1, 0, 0, 6].max() < 0.15
    area = ran["datasets"]["validation"].grid.cell_area()
    assert abs(area[0, 6] / 625 - 1) > 0.01
    days, compared, squares, extent = len(targets), 0.0, 0.0, 0.0
    for day in range(days):
        for row in range(ROWS):
            for column in range(COLUMNS):
                cell = (day, 1, 0, row, column)
                if weights[cell] != 1:
                    continue
                compared += area[row, column]
                squares += area[row, column] * float(ran["prediction"][cell] - targets[cell]) ** 2
                extent += area[row, column] * float(ran["prediction"][cell] >= 0.15)
    assert wrong["ice_edge_error"] == pytest.approx(area[0, 6])
    assert wrong["binary_accuracy"] == pytest.approx(1 - days * area[0, 6] / compared)
    assert wrong["rmse"] == pytest.approx((squares / compared) ** 0.5)
    assert wrong["extent"] == pytest.approx(extent / days)


@pytest.mark.slow
def test_the_other_blocks_run(ran, capsys):
    _, *others = blocks_of_page()
    assert len(others) == 7
    for block in others:
        exec(compile(block, str(PAGE), "exec"), ran)
    assert capsys.readouterr().out.startswith("[20240501, 20240502, 20240503, 20240504, 20240505]")
    assert Path("statistics.json").is_file()


def test_the_snippet_of_the_start_page_trains(folder, monkeypatch):
    monkeypatch.chdir(folder)
    page = PAGE.parent / "start.md"
    (block,) = blocks_of_page(page)
    block = block.replace("patch_size=256", "patch_size=8")
    names: dict = {"__name__": "snippet"}
    torch.manual_seed(0)
    exec(compile(block, str(page), "exec"), names)
    assert len(names["losses"]) == 2
    assert np.isfinite(names["losses"]).all()
    torch.manual_seed(0)
    assert names["losses"][0] == pytest.approx(names["persistence"][0])
    before = [p.clone() for p in names["SmallUNet"]().parameters()]
    after = list(names["model"].parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not (names["weight"] * (1 - names["ocean"])).any()


def test_the_snippet_of_the_readme_gives_an_item(folder, monkeypatch):
    monkeypatch.chdir(folder)
    page = PAGE.parent.parent / "README.md"
    (block,) = blocks_of_page(page)
    names: dict = {"__name__": "snippet"}
    days = re.findall(r'"(2024\d{4})"', block)
    for printed, day in zip(days, ("20240501", "20240609"), strict=True):
        block = block.replace(printed, day)
    block = block.replace("patch_size=256", "patch_size=8")
    exec(compile(block, str(page), "exec"), names)
    assert (len(names["inputs"]), len(names["targets"])) == (5, 3)
    assert names["inputs"].shape[1:] == (1, 8, 8)


@pytest.mark.slow
def test_the_snippets_of_the_stage_pages_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (swaths,) = blocks_of_page(page := PAGE.parent / "stages" / "amsr2-processor.md")
    (gridding,) = blocks_of_page(PAGE.parent / "stages" / "grid-freeboard.md")
    (tmp_path / "archive").mkdir()
    (path,) = re.findall(r'load_swaths\("(.+?)"\)', swaths)
    with create_archive(tmp_path / path, layout="hdf5", count=1) as writer:
        writer.add(make_swath())
        writer.finish({})
    names: dict = {"__name__": "snippet"}
    exec(compile(swaths, str(page), "exec"), names)
    assert names["kelvin"].dtype == np.float32 and "lat" in names["dataset"].coords
    names = {"lat": np.full(3, -70.0), "lon": np.zeros(3), "values": np.arange(3.0)}
    names["weights"] = np.ones(3)
    exec(compile(gridding, str(page), "exec"), names)
    assert np.nansum(names["mean"]) == 1 and names["count"].sum() == 3


def test_the_snippet_of_the_filling_page_makes_cells(tmp_path, monkeypatch):
    pytest.importorskip("healpy")
    monkeypatch.chdir(tmp_path)
    (sphere,) = blocks_of_page(page := PAGE.parent / "stages" / "fill-gaps.md")
    write_sst(tmp_path, [date(2024, 6, 1)], step=5.0)
    exec(compile(sphere, str(page), "exec"), {"__name__": "snippet"})
    nside, ids, days, variables = read_cells(tmp_path / "cells.nc")
    assert (nside, days.tolist()) == (16, [19875.0])
    assert variables["mean"].shape == (1, ids.size)
