"""The Dataset of a cube, its windows and splits, and the door utils."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import subprocess
import sys
import tracemalloc
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from cubes import damage, small_grid, write_cube
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import utils
from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.dates import (
    DateRange,
    parse_date,
)
from seaice.flags import (
    FillFlag,
    Surface,
)
from seaice.ice_index import stage
from seaice.masking.land_mask import write_mask
from seaice.masks import Mask
from seaice.regions import Box
from seaice.scoring.forecasts.ice_edge import ice_edge_error
from seaice.training.dataset import (
    PARTS,
    ConsolidatedSICDataset,
    load_ocean_mask,
)
from seaice.training.space_depth import fold_tensor
from seaice.training.splits import (
    Statistics,
    date_blocks,
    filling_reach,
    measure_statistics,
)
from seaice.training.windows import (
    Window,
    find_region_slices,
)

ROWS, COLUMNS, DAYS = 7, 6, 20
FIRST = date(2024, 2, 20)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def surface_of_test() -> np.ndarray:
    surface = np.full((ROWS, COLUMNS), Surface.OCEAN, dtype=np.uint8)
    surface[:2, :3] = Surface.LAND
    surface[2, :3] = Surface.COAST
    surface[3, 3] = Surface.POLE_HOLE
    return surface


def values_of_test(days: int = DAYS) -> np.ndarray:
    """Every cell of every day differs from all others; multiples of the packing step."""
    count = days * ROWS * COLUMNS
    return (np.arange(1, count + 1) * (10000 // count) / 10000).reshape(days, ROWS, COLUMNS)


@pytest.fixture
def make(tmp_path):
    def made(name: str = "cube.nc", **changes):
        arguments = {
            "dates": [day(i) for i in range(DAYS)],
            "concentration": values_of_test(),
            "surface": surface_of_test(),
            "grid": small_grid(ROWS, COLUMNS),
        } | changes
        return write_cube(tmp_path / name, **arguments)

    return made


@pytest.fixture
def cube(make):
    return make()


def dataset_of(path: Path, input_length: int = 3, pred_length: int = 2, **options):
    start, end = options.pop("start", day(0)), options.pop("end", day(DAYS - 1))
    return ConsolidatedSICDataset(path, start, end, input_length, pred_length, **options)


# --- which days


@given(
    days=st.integers(1, 40),
    lengths=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    gaps=st.tuples(st.integers(1, 4), st.integers(0, 5), st.integers(1, 4), st.integers(1, 5)),
)
def test_index_rule_is_every_window_that_fits(days, lengths, gaps):
    input_gap, pred_shift, pred_gap, samples_gap = gaps
    expected = []
    for first in range(0, days, samples_gap):
        inputs = [first + k * input_gap for k in range(lengths[0])]
        targets = [inputs[-1] + pred_shift + k * pred_gap for k in range(lengths[1])]
        if max(inputs + targets) < days:
            expected.append(inputs + targets)
    window = Window(*lengths, input_gap, pred_shift, pred_gap)
    period = DateRange(FIRST, day(days - 1))
    if not expected:
        with pytest.raises(InputError, match="a window takes"):
            window.list_starts(period, samples_gap)
        return
    found = window.list_starts(period, samples_gap)[:, np.newaxis] + window.offsets
    assert found.tolist() == expected
    # The rule as it was first published.
    n = days - (window.input_span + pred_shift + window.pred_span - 1) + 1
    assert len(found) == len(range(0, n, samples_gap))


def test_times_name_the_days_of_inputs_then_targets(cube):
    dataset = dataset_of(cube, 2, 2, input_gap=3, pred_shift=2, pred_gap=2, samples_gap=5)
    assert dataset.GetTimes().dtype == np.int64
    assert dataset.GetTimes().tolist() == [
        [20240220, 20240223, 20240225, 20240227],
        [20240225, 20240228, 20240301, 20240303],
        [20240301, 20240304, 20240306, 20240308],
    ]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (20240222, 20240228),
        ("20240222", "2024-02-28"),
        (date(2024, 2, 22), datetime(2024, 2, 28, 12)),
        (np.datetime64("2024-02-22"), np.datetime64("2024-02-28")),
    ],
)
def test_dates_in_any_form(cube, start, end):
    times = dataset_of(cube, start=start, end=end).GetTimes()
    assert times[0, 0] == 20240222
    assert times[-1, -1] == 20240228
    assert len(times) == 3


# --- which values


@pytest.mark.slow
@pytest.mark.parametrize("preload", [False, True])
@pytest.mark.parametrize(
    "gaps", [{}, {"input_gap": 2}, {"pred_gap": 3, "pred_shift": 4}, {"pred_shift": 0}]
)
def test_values_are_those_of_the_cube(cube, gaps, preload):
    dataset = dataset_of(cube, preload_data=preload, **gaps)
    land = surface_of_test() == Surface.LAND
    with CubeFile(cube) as file:
        for index in (0, 3, len(dataset) - 1):
            inputs, targets = dataset[index]
            assert inputs.shape == (3, 1, ROWS, COLUMNS)
            assert targets.shape == (2, 1, ROWS, COLUMNS)
            assert inputs.dtype == targets.dtype == torch.float32
            both = np.concatenate([inputs, targets])[:, 0]
            for frame, when in zip(both, dataset.GetTimes()[index], strict=True):
                stored = file.concentration(file.index(int(when)))
                np.testing.assert_array_equal(frame[~land], stored[~land])
                assert (frame[land] == 0).all()
                assert np.isnan(stored[land]).all()


def test_land_and_missing_take_the_values_chosen(make):
    values = values_of_test()
    values[:, 3, 3] = np.nan  # a pole hole that was kept
    values[4, 5, 5] = np.nan
    dataset = dataset_of(make(concentration=values), largest_missing_share=0.1)
    inputs, targets = dataset[2]
    assert not torch.isnan(inputs).any()
    assert not torch.isnan(targets).any()
    assert (inputs[:, 0, 0, 0] == 0).all()
    chosen = dataset_of(
        dataset.path, largest_missing_share=0.1, land_value=float("nan"), missing_value=-1.0
    )
    inputs, _ = chosen[2]
    land = torch.from_numpy(surface_of_test() == Surface.LAND)
    assert torch.isnan(inputs[:, 0, land]).all()
    assert (inputs[:, 0, 3, 3] == -1).all()
    assert inputs[:, 0, 5, 5].tolist() == [
        pytest.approx(values[2, 5, 5]),
        pytest.approx(values[3, 5, 5]),
        -1,
    ]
    assert not torch.isnan(inputs[:, 0, ~land]).any()


def test_an_item_is_the_callers_own(cube):
    for preload in (False, True):
        dataset = dataset_of(cube, preload_data=preload, pred_shift=0)
        inputs, targets = dataset[0]
        before = targets.clone()
        inputs[:] = 7
        assert torch.equal(targets, before)
        assert dataset[0][0].max() <= 1


def test_a_dataset_in_a_notebook(cube):
    dataset = dataset_of(cube, 3, 2)
    assert len(repr(dataset)) < 250
    assert f"{len(dataset)} samples of 3 input and 2 target days" in repr(dataset)
    inputs, targets = dataset.sample_days(1)
    expected = [f"{day:%Y%m%d}" for day in (*inputs, *targets)]
    assert expected == [str(day) for day in dataset.GetTimes()[1]]
    assert (len(inputs), len(targets)) == (3, 2)
    for item, alone in zip(dataset[0:2], (dataset[0], dataset[1]), strict=True):
        assert all(bool((one == other).all()) for one, other in zip(item, alone, strict=True))
    with pytest.raises(InputError, match=r"expected the number of a sample, 0 to .* found '2024-02-20'"):
        dataset["2024-02-20"]


def test_a_cube_in_a_notebook(cube):
    with CubeFile(cube) as opened:
        fourth = opened.dates[3]
        assert repr(opened).startswith(f"CubeFile({str(cube)!r}: {len(opened.dates)} days {day(0)} to")
        expected = opened.concentration(3)
        for form in (str(fourth), f"{fourth} 00:00:00", fourth, np.datetime64(fourth), np.int64(3)):
            np.testing.assert_array_equal(opened.concentration(form), expected)
            np.testing.assert_array_equal(opened.flags(form), opened.flags(3))
        with pytest.raises(InputError, match="has no 1999-01-01: it reaches from"):
            opened.concentration("1999-01-01")


def test_index_from_the_end_and_beyond(cube):
    dataset = dataset_of(cube)
    assert torch.equal(dataset[-1][0], dataset[len(dataset) - 1][0])
    for index in (len(dataset), -len(dataset) - 1):
        with pytest.raises(IndexError, match=f"sample {index} of 16"):
            dataset[index]
    assert sum(1 for _ in dataset) == 16


def test_all_inputs_and_targets(cube):
    dataset = dataset_of(cube, transform=lambda item: "not this")
    inputs, targets = dataset.GetInputs(), dataset.GetTargets()
    assert inputs.shape == (16, 3, 1, ROWS, COLUMNS)
    assert targets.shape == (16, 2, 1, ROWS, COLUMNS)
    plain = dataset_of(cube)
    assert torch.equal(inputs, torch.stack([plain[i][0] for i in range(16)]))
    assert torch.equal(targets, torch.stack([plain[i][1] for i in range(16)]))
    assert dataset[0] == "not this"


# --- dropped windows


@pytest.mark.parametrize("counts", [True, False])
def test_windows_that_use_a_missing_day_are_dropped(make, counts, caplog):
    values = values_of_test()
    values[10, 5, 5] = np.nan
    values[:, 3, 3] = np.nan  # the pole hole does not count
    with caplog.at_level(logging.INFO, logger="seaice"):
        dataset = dataset_of(make(concentration=values, counts=counts))
    expected = [i for i in range(16) if 10 not in range(i, i + 5)]
    assert dataset.GetTimes()[:, 0].tolist() == [int(f"{day(i):%Y%m%d}") for i in expected]
    assert dataset.dropped == {
        "outside_blocks": 0,
        "absent_day": 0,
        "missing_cells": 5,
        "filled_cells": 0,
    }
    said = [r.message for r in caplog.records if "dropped" in r.message]
    assert said == ["cube.nc: 11 samples, dropped: 5 with a day of too many missing ocean cells"]


def test_days_between_the_days_used_do_not_count(make):
    values = values_of_test()
    values[1] = np.nan
    dataset = dataset_of(make(concentration=values), 2, 1, input_gap=2, pred_shift=2)
    assert dataset.GetTimes()[0].tolist() == [20240220, 20240222, 20240224]
    assert dataset.dropped["missing_cells"] == 1


def test_largest_missing_share_is_of_ocean_outside_the_pole_hole(make):
    values = values_of_test()
    values[10, 5, :4] = np.nan
    path = make(concentration=values)
    ocean = ROWS * COLUMNS - 6 - 1
    assert len(dataset_of(path, largest_missing_share=4 / ocean)) == 16
    assert len(dataset_of(path, largest_missing_share=3.9 / ocean)) == 11


def test_the_counts_of_the_cube_are_believed(make, monkeypatch):
    values = values_of_test()
    values[10] = np.nan
    path = make(concentration=values)
    monkeypatch.setattr(CubeFile, "flags", lambda *a, **k: pytest.fail("flags were read"))
    assert len(dataset_of(path)) == 11
    assert len(dataset_of(path, largest_filled_share=0.5)) == 11


def test_days_the_axis_lacks_are_dropped(make):
    present = [i for i in range(DAYS) if i not in (6, 7)]
    path = make(dates=[day(i) for i in present], concentration=values_of_test()[present])
    dataset = dataset_of(path)
    assert dataset.dropped["absent_day"] == 6
    assert len(dataset) == 10
    for times, (inputs, _) in zip(dataset.GetTimes(), dataset, strict=True):
        number = (parse_date(times[0]) - FIRST).days
        assert inputs[0, 0, 6, 5] == pytest.approx(values_of_test()[number, 6, 5])


@pytest.mark.slow
@pytest.mark.parametrize("counts", [True, False])
def test_largest_filled_share_filters_samples(make, counts):
    surface = surface_of_test()
    flags = np.where(surface == Surface.LAND, FillFlag.LAND, FillFlag.OBSERVED)
    flags = np.repeat(flags[np.newaxis], DAYS, axis=0).astype(np.uint8)
    flags[10, 5] = FillFlag.TEMPORAL_TWO_SIDED
    flags[11, 5] = FillFlag.SPACETIME_GAUSSIAN
    flags[12, 3, 3] = FillFlag.POLE_HOLE
    path = make(flags=flags, counts=counts)
    filled = (flags > 0) & (flags < 250)
    ocean = np.count_nonzero(surface != Surface.LAND)
    shares = [filled[i : i + 5].sum() / (5 * ocean) for i in range(16)]
    for limit in (0.0, 6 / (5 * ocean), 0.07, 1.0):
        expected = [i for i in range(16) if shares[i] <= limit]
        dataset = dataset_of(path, largest_filled_share=limit)
        assert dataset.GetTimes()[:, 0].tolist() == [int(f"{day(i):%Y%m%d}") for i in expected]
        assert dataset.dropped["filled_cells"] == 16 - len(expected)


@pytest.mark.parametrize("counts", [True, False])
def test_shares_are_those_of_the_region(make, counts):
    values = values_of_test()
    values[10, 6, 5] = np.nan
    path = make(concentration=values, counts=counts)
    assert len(dataset_of(path, region=(0, 6, 0, 6))) == 16
    assert len(dataset_of(path, region=(5, 7, 4, 6), largest_missing_share=0.24)) == 11
    assert len(dataset_of(path, region=(5, 7, 4, 6), largest_missing_share=0.25)) == 16


def holed(make, missing_days=range(DAYS), rows=3, counts=True, name="cube.nc"):
    """A cube whose first rows are the pole hole, without values on some days."""
    surface = np.full((ROWS, COLUMNS), Surface.OCEAN, dtype=np.uint8)
    surface[:rows] = Surface.POLE_HOLE
    values = values_of_test()
    values[list(missing_days), :rows] = np.nan
    return make(name, surface=surface, concentration=values, counts=counts)


@pytest.mark.slow
@pytest.mark.parametrize("counts", [True, False])
def test_samples_wholly_within_a_missing_pole_hole_are_dropped(make, counts):
    path = holed(make, missing_days=(4, 5), counts=counts)
    assert len(dataset_of(path)) == 16
    assert len(dataset_of(path, region=(0, 4, 0, 6))) == 16  # some ocean lies outside the hole
    part = dataset_of(path, region=(0, 3, 1, 5))
    assert part.dropped["missing_cells"] == 6
    assert part.GetInputs().min() > 0
    everything = holed(make, missing_days=(4, 5), rows=ROWS, counts=counts, name="hole.nc")
    assert dataset_of(everything).dropped["missing_cells"] == 6
    kept = holed(make, counts=counts, name="kept.nc")
    with pytest.raises(InputError, match="16 with a day of too many missing ocean cells"):
        dataset_of(kept, region=(0, 3, 1, 5))


@pytest.mark.slow
@pytest.mark.parametrize("counts", [True, False])
def test_patches_hold_ocean_outside_a_missing_pole_hole(make, counts):
    def rows_of(path, **options):
        dataset = dataset_of(path, patch_size=2, returns=("inputs", "origin"), **options)
        rows = set()
        for epoch in range(20):
            dataset.set_epoch(epoch)
            for item in dataset:
                assert (item["inputs"] > 0).any()
                rows.add(int(item["origin"][0]))
        return rows

    kept = holed(make, counts=counts)
    assert rows_of(kept) == {2, 3, 4, 5}
    assert rows_of(kept, region=(1, 6, 0, 5), smallest_ocean_share=0.6) == {3, 4}
    with pytest.raises(InputError) as error:
        dataset_of(kept, region=(0, 3, 0, 6), patch_size=2, largest_missing_share=1)
    assert str(error.value) == (
        "no patch of 2 x 2 cells in epsg3411_25000_part (3 x 6 cells of 25 km) has an ocean cell "
        "outside the missing pole hole; choose another region"
    )
    filled = holed(make, missing_days=[], counts=counts, name="filled.nc")
    assert rows_of(filled) == {0, 1, 2, 3, 4, 5}
    # Missing on days that no sample uses: nothing is wrong with the hole.
    early = holed(make, missing_days=(0, 1), counts=counts, name="early.nc")
    assert rows_of(early, start=day(2)) == {0, 1, 2, 3, 4, 5}


# --- region and patches


def test_region_is_a_crop_of_the_full_frame(cube):
    full, part = (
        dataset_of(cube),
        dataset_of(cube, region=(1, 6, 2, 5), returns=("inputs", "ocean", "origin")),
    )
    assert torch.equal(part[4]["inputs"], full[4][0][..., 1:6, 2:5])
    assert torch.equal(part[4]["ocean"][0], load_ocean_mask(cube)[1:6, 2:5])
    assert part[4]["origin"].tolist() == [1, 2]
    assert part.grid.shape == part.ocean.shape == (5, 3)
    np.testing.assert_array_equal(part.grid.x, full.grid.x[2:5])
    np.testing.assert_array_equal(part.grid.y, full.grid.y[1:6])
    preloaded = dataset_of(cube, region=(1, 6, 2, 5), preload_data=True)
    assert torch.equal(preloaded[4][0], part[4]["inputs"])


def test_bounds_are_metres(cube):
    grid = small_grid(ROWS, COLUMNS)
    bounds = (grid.x[2] - 1, grid.y[1] - 1, grid.x[4] + 1, grid.y[5] + 1)
    assert find_region_slices(grid, bounds=bounds) == (slice(1, 6), slice(2, 5))
    assert torch.equal(
        dataset_of(cube, bounds=bounds)[0][0], dataset_of(cube, region=(1, 6, 2, 5))[0][0]
    )


def test_bounds_are_those_of_the_other_tools():
    grid = small_grid(ROWS, COLUMNS)
    # Exactly on centres: the rule at the edge is that of regions.Box.
    for bounds in (
        (grid.x[2], grid.y[1], grid.x[4], grid.y[5]),
        (grid.x[2] + 1, grid.y[1] - 1, grid.x[4] + 3, grid.y[5] + 1),
    ):
        west, south, east, north = bounds
        box = Box.from_bounds((west, east, south, north), grid)
        assert find_region_slices(grid, bounds=bounds) == (box.rows, box.columns)


def patches_of(dataset, epoch):
    dataset.set_epoch(epoch)
    return [dataset[i]["origin"].tolist() for i in range(len(dataset))]


@pytest.mark.slow
@pytest.mark.parametrize("preload", [False, True])
def test_patches_are_crops_of_the_full_frame(cube, preload):
    full = dataset_of(cube)
    dataset = dataset_of(
        cube,
        region=(1, 7, 1, 6),
        patch_size=(3, 2),
        returns=("inputs", "targets", "ocean", "target_weights", "origin"),
        preload_data=preload,
    )
    origins = set()
    for index in range(len(dataset)):
        item = dataset[index]
        row, column = item["origin"].tolist()
        origins.add((row, column))
        here = (..., slice(row, row + 3), slice(column, column + 2))
        assert torch.equal(item["inputs"], full[index][0][here])
        assert torch.equal(item["targets"], full[index][1][here])
        assert torch.equal(item["ocean"][0], load_ocean_mask(cube)[here])
        assert torch.equal(item["target_weights"], item["ocean"].expand(2, 1, 3, 2))
        assert 1 <= row <= 4
        assert 1 <= column <= 4
    assert len(origins) > 4


def test_patches_depend_on_seed_epoch_and_index_only(cube):
    options = {"patch_size": 3, "returns": ("origin",)}
    one, other = dataset_of(cube, **options), dataset_of(cube, **options)
    first = patches_of(one, 1)
    assert [one[i]["origin"].tolist() for i in reversed(range(16))] == first[::-1]
    assert patches_of(other, 1) == first
    assert patches_of(one, 2) != first
    assert patches_of(one, 1) == first
    assert patches_of(dataset_of(cube, seed=5, **options), 1) != first


@pytest.mark.slow
def test_patches_hold_enough_ocean(make):
    surface = np.full((ROWS, COLUMNS), Surface.LAND, dtype=np.uint8)
    surface[4:, 3:] = Surface.OCEAN
    path = make(surface=surface)
    for share, least in ((0.0, 1), (0.5, 2), (0.75, 3), (1.0, 4)):
        dataset = dataset_of(path, patch_size=2, smallest_ocean_share=share, returns=("ocean", "origin"))
        seen = {}
        for epoch in range(30):
            dataset.set_epoch(epoch)
            seen |= {tuple(item["origin"].tolist()): int(item["ocean"].sum()) for item in dataset}
        # Every patch that qualifies is taken sooner or later, and no other.
        cells = {
            (r, c): int((surface[r : r + 2, c : c + 2] == 0).sum()) for r in range(6) for c in range(5)
        }
        assert seen == {corner: count for corner, count in cells.items() if count >= least}


# --- what comes along


def test_returns_gives_a_dict_of_what_was_named(make):
    surface = surface_of_test()
    flags = np.where(surface == Surface.LAND, FillFlag.LAND, FillFlag.OBSERVED)
    flags = np.repeat(flags[np.newaxis], DAYS, axis=0).astype(np.uint8)
    flags[3, 6, :] = FillFlag.TEMPORAL_ONE_SIDED
    flags[3, 6, 0] = FillFlag.NOT_FILLED
    path = make(flags=flags)
    everything = list(PARTS)
    for preload in (False, True):
        dataset = dataset_of(
            path,
            returns=everything,
            filled_weight=0.25,
            largest_missing_share=1,
            preload_data=preload,
        )
        item = dataset[0]
        assert list(item) == everything
        assert item["dates"].tolist() == [20240220, 20240221, 20240222, 20240223, 20240224]
        assert item["input_flags"].dtype == torch.uint8
        np.testing.assert_array_equal(item["input_flags"][:, 0], flags[:3])
        np.testing.assert_array_equal(item["target_flags"][:, 0], flags[3:5])
        expected = np.where(surface == Surface.LAND, 0.0, 1.0).astype(np.float32)
        np.testing.assert_array_equal(item["target_weights"][1, 0], expected)
        np.testing.assert_array_equal(item["input_weights"][:, 0], np.stack([expected] * 3))
        assert item["target_weights"][0, 0, 6].tolist() == [0, 0.25, 0.25, 0.25, 0.25, 0.25]
        np.testing.assert_array_equal(item["ocean"][0], expected)
        assert len(dataset[0]["ocean"].shape) == 3
    assert dataset_of(path, returns=["targets"], largest_missing_share=1)[0].keys() == {"targets"}
    untaught = dataset_of(path, returns=["target_weights"], largest_missing_share=1)[0]
    assert (untaught["target_weights"][0, 0, 6] == 0).all()


def test_transform_sees_the_item(cube):
    def swapped(item):
        return item[1], item[0]

    inputs, targets = dataset_of(cube)[5]
    first, second = dataset_of(cube, transform=swapped)[5]
    assert torch.equal(first, targets)
    assert torch.equal(second, inputs)
    named = dataset_of(cube, returns=("dates",), transform=lambda item: item["dates"][0].item())
    assert named[0] == 20240220


# --- parts and statistics


def test_no_window_spans_two_parts(cube):
    parts = date_blocks(day(0), day(DAYS - 1), shares={"a": 1, "b": 1}, gap_days=2, block_days=4)
    used = {}
    for name, blocks in parts.items():
        dataset = dataset_of(cube, 2, 1, blocks=blocks)
        used[name] = set(dataset.GetTimes().ravel().tolist())
        inside = [{int(f"{d:%Y%m%d}") for d in block} for block in blocks]
        assert all(any(set(times) <= block for block in inside) for times in dataset.GetTimes().tolist())
        assert len(dataset) == sum(max(0, len(block) - 2) for block in blocks)
        assert dataset.dropped["outside_blocks"] == 18 - len(dataset)
    assert not used["a"] & used["b"]


def test_no_window_spans_two_blocks_that_touch(cube):
    blocks = [DateRange(day(0), day(7)), DateRange(day(8), day(15))]
    dataset = dataset_of(cube, blocks=blocks)
    starts = [parse_date(times[0]) for times in dataset.GetTimes()]
    assert starts == [day(i) for i in (0, 1, 2, 3, 8, 9, 10, 11)]
    assert dataset.dropped["outside_blocks"] == 8


@pytest.mark.slow
def test_statistics_normalise_inputs(cube, tmp_path):
    statistics = measure_statistics(cube, [DateRange(day(0), day(9))])
    path = statistics.save(tmp_path / "statistics.json")
    assert Statistics.load(path) == statistics
    plain, given_, loaded = (
        dataset_of(cube),
        dataset_of(cube, statistics=statistics),
        dataset_of(cube, statistics=path),
    )
    ocean = load_ocean_mask(cube) == 1
    inputs, targets = given_[2]
    expected = statistics.normalise(plain[2][0])
    torch.testing.assert_close(inputs[..., ocean], expected[..., ocean])
    assert (inputs[..., ~ocean] == 0).all()
    assert torch.equal(targets, plain[2][1])
    assert torch.equal(loaded[2][0], inputs)
    torch.testing.assert_close(statistics.restore(expected), plain[2][0])


# --- processes


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    "context", ["none", "fork", "spawn", pytest.param("forkserver", marks=pytest.mark.thorough)]
)
def test_a_loader_gives_every_sample_once(cube, context):
    dataset = dataset_of(
        cube, patch_size=4, returns=("inputs", "targets", "dates", "origin", "target_flags")
    )
    dataset.set_epoch(3)
    expected = [dataset[i] for i in range(len(dataset))]  # leaves a handle open in this process
    options = {"num_workers": 0}
    if context != "none":
        options = {"num_workers": 2, "multiprocessing_context": context, "persistent_workers": True}
    loader = DataLoader(dataset, batch_size=3, **options)
    for epoch in (3, 4, 3):
        dataset.set_epoch(epoch)
        found = [
            {name: batch[name][i] for name in batch}
            for batch in loader
            for i in range(len(batch["dates"]))
        ]
        if epoch == 4:  # kept workers see the new epoch
            expected_origins = [dataset[i]["origin"].tolist() for i in range(len(dataset))]
            assert [item["origin"].tolist() for item in found] == expected_origins
            assert expected_origins != [item["origin"].tolist() for item in expected]
            continue
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert one.keys() == other.keys()
            assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_dataset_can_be_pickled_and_names_the_package(cube):
    for options in ({}, {"preload_data": True}, {"patch_size": 3}):
        dataset = dataset_of(cube, **options)
        before = dataset[4]
        data = pickle.dumps(dataset)
        assert b"seaice.training.dataset" in data
        for again in (pickle.loads(data), copy.deepcopy(dataset)):
            assert torch.equal(again[4][0], before[0])
            again.set_epoch(9)
        assert torch.equal(dataset[4][0], before[0])


def test_each_process_opens_the_cube_for_itself(cube, monkeypatch):
    dataset = dataset_of(cube)
    expected = dataset[0][0]
    opened = []
    open_file = os.open

    def watched(path, *arguments):
        opened.append(path)
        return open_file(path, *arguments)

    monkeypatch.setattr("os.open", watched)
    dataset[1]
    assert not opened
    monkeypatch.setattr("os.getpid", lambda: -1)  # as after a fork
    assert torch.equal(dataset[0][0], expected)
    dataset[1]
    assert opened == [cube]


def test_a_relative_path_survives_a_change_of_folder(cube, tmp_path, monkeypatch):
    expected = dataset_of(cube)[0][0]
    monkeypatch.chdir(cube.parent)
    dataset = dataset_of(Path(cube.name))
    again = pickle.dumps(dataset)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    assert torch.equal(dataset[0][0], expected)
    assert torch.equal(pickle.loads(again)[0][0], expected)
    assert dataset.path == cube


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_damaged_cube_is_named(cube):
    dataset = dataset_of(cube)
    dataset.close()
    before = cube.stat()
    damage(cube, "sea_ice_conc", 4)
    damage(cube, "fill_flag", 3)  # the first target of sample 0
    os.utime(cube, ns=(before.st_atime_ns, before.st_mtime_ns))  # a broken disk tells nobody
    advice = r"make the cube again with consolidate_data.py --force"
    here = rf"{cube} is damaged: sea_ice_conc cannot be read at .*; {advice}"
    dataset[5]
    for read in (
        lambda: dataset[0],
        lambda: dataset_of(cube, preload_data=True),
        lambda: measure_statistics(cube, [DateRange(day(0), day(9))]),
        lambda: next(iter(DataLoader(dataset, num_workers=1))),
    ):
        with pytest.raises(InputError, match=here):
            read()
    with pytest.raises(InputError, match=rf"{cube} is damaged: fill_flag cannot be read.*; {advice}"):
        dataset_of(cube, returns=["target_weights"])[0]


def test_close_and_use_again(cube):
    dataset = dataset_of(cube)
    dataset.close()
    before = dataset[3][0]
    dataset.close()
    dataset.close()
    assert torch.equal(dataset[3][0], before)


def test_preloaded_data_need_no_file(cube):
    lazy = dataset_of(cube, returns=("inputs", "target_weights"))
    dataset = dataset_of(cube, returns=("inputs", "target_weights"), preload_data=True)
    expected = [lazy[i] for i in range(len(lazy))]
    lazy.close()
    cube.unlink()
    for one, other in zip(dataset, expected, strict=True):
        assert torch.equal(one["inputs"], other["inputs"])
        assert torch.equal(one["target_weights"], other["target_weights"])


def test_a_full_frame_item_makes_at_most_two_copies(tmp_path):
    rows, columns = 300, 400
    path = write_cube(
        tmp_path / "large.nc",
        dates=[day(i) for i in range(8)],
        concentration=np.full((8, rows, columns), 0.5),
        surface=np.zeros((rows, columns), dtype=np.uint8),
        grid=small_grid(rows, columns),
    )
    dataset = dataset_of(path, 5, 3, end=day(7))
    dataset[0]
    tracemalloc.start()
    item = dataset[0]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = sum(t.element_size() * t.nelement() for t in item)
    assert size == 8 * rows * columns * 4
    assert peak < 2.1 * size


# --- errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_length": 0}, "expected input_length as a whole number of at least 1, found 0"),
        ({"pred_length": -2}, "expected pred_length as a whole number of at least 1, found -2"),
        ({"input_gap": 0}, "expected input_gap as a whole number of at least 1, found 0"),
        ({"pred_gap": 1.5}, "expected pred_gap as a whole number of at least 1, found 1.5"),
        ({"pred_shift": -1}, "expected pred_shift as a whole number of at least 0, found -1"),
        ({"samples_gap": True}, "expected samples_gap as a whole number of at least 1, found True"),
        (
            {"input_length": 19},
            "a window takes 21 days and the date range 2024-02-20 to 2024-03-10 has only 20; "
            "lengthen it or shorten input_length, pred_length or the gaps",
        ),
        (
            {"start": 20240219},
            "CUBE reaches from 2024-02-20 to 2024-03-10, found start_time 2024-02-19; "
            "choose days within",
        ),
        (
            {"end": "2025-01-01"},
            "CUBE reaches from 2024-02-20 to 2024-03-10, found end_time 2025-01-01; choose days within",
        ),
        ({"start": 20240310, "end": 20240220}, "the date range ends (2024-02-20) before it starts"),
        (
            {"region": (0, 8, 0, 6)},
            "expected 0 <= ymin < ymax <= 7 on the grid epsg3411_25000 (7 x 6 cells of 25 km), found "
            "ymin 0 and ymax 8",
        ),
        (
            {"region": (0, 1)},
            "expected region as four whole numbers (ymin, ymax, xmin, xmax), found (0, 1)",
        ),
        ({"region": (0.5, 7, 0, 6)}, "(ymin, ymax, xmin, xmax), found (0.5, 7, 0, 6)"),
        ({"region": 3}, "(ymin, ymax, xmin, xmax), found 3"),
        (
            {"bounds": (0, 1)},
            "expected bounds as four numbers (west, south, east, north) in metres, found (0, 1)",
        ),
        ({"bounds": (0, 0, float("nan"), 1)}, "in metres, found (0, 0, nan, 1)"),
        ({"bounds": ("a", 0, 1, 1)}, "in metres, found ('a', 0, 1, 1)"),
        ({"bounds": 1.0}, "in metres, found 1.0"),
        (
            {"region": (0, 2, 0, 3)},
            "epsg3411_25000_part (2 x 3 cells of 25 km) of CUBE holds no ocean cell; choose another "
            "region",
        ),
        ({"region": (0, 7, 0, 6), "bounds": (0, 0, 1, 1)}, "give either region"),
        ({"bounds": (0, 0, 1e7, 1)}, "expected bounds within the grid, found west 0, east 1e+07"),
        ({"bounds": (0, 1, 10, 11)}, "no cell centre of the grid epsg3411_25000 (7 x 6 cells of 25 km)"),
        (
            {"patch_size": (3, 7)},
            "a patch of 3 x 7 cells does not fit in epsg3411_25000 (7 x 6 cells of 25 km); "
            "choose a smaller patch_size or a larger region",
        ),
        (
            {"patch_size": 0},
            "expected patch_size as a whole number of at least 1 or a pair of them (rows, columns), "
            "found 0",
        ),
        ({"patch_size": (5, 5, 5)}, "(rows, columns), found (5, 5, 5)"),
        ({"patch_size": (2, 1.5)}, "(rows, columns), found (2, 1.5)"),
        ({"patch_size": "55"}, "(rows, columns), found '55'"),
        ({"patch_size": True}, "(rows, columns), found True"),
        ({"seed": -1}, "expected seed as a whole number of at least 0, found -1"),
        ({"seed": None, "patch_size": 2}, "expected seed as a whole number of at least 0, found None"),
        ({"smallest_ocean_share": "all"}, "expected smallest_ocean_share from 0 to 1, found 'all'"),
        ({"land_value": "no"}, "expected land_value as a number, found 'no'"),
        ({"missing_value": None}, "expected missing_value as a number, found None"),
        ({"filled_weight": "1"}, "expected filled_weight as a number of at least 0, found '1'"),
        ({"returns": 3}, "expected returns as a list out of inputs, targets"),
        (
            {"statistics": {"mean": 0.5}},
            "expected statistics of measure_statistics or the path of its file, found {'mean': 0.5}",
        ),
        (
            {"blocks": [(20240220, 20240301)]},
            "expected blocks as a list of DateRange, found (20240220, 20240301) in it; take one part of "
            "date_blocks, or DateRange.parse(first, last)",
        ),
        (
            {"blocks": {"train": [DateRange(day(0), day(9))], "test": []}},
            "expected the blocks of one part, found all parts: train, test; "
            "choose one, such as blocks['train']",
        ),
        (
            {"blocks": DateRange(day(0), day(9))},
            "expected blocks as a list of DateRange, found a DateRange; put it in a list",
        ),
        ({"blocks": 5}, "expected blocks as a list of DateRange, found 5; take one part of date_blocks"),
        (
            {"patch_size": 7, "region": None, "smallest_ocean_share": 1.0},
            "a patch of 7 x 7 cells does not fit",
        ),
        (
            {"patch_size": 6, "smallest_ocean_share": 0.95},
            "no patch of 6 x 6 cells in epsg3411_25000 (7 x 6 cells of 25 km) has an ocean share of "
            "0.95; lower smallest_ocean_share",
        ),
        ({"largest_missing_share": 1.1}, "expected largest_missing_share from 0 to 1, found 1.1"),
        ({"largest_filled_share": -0.1}, "expected largest_filled_share from 0 to 1, found -0.1"),
        ({"filled_weight": -1}, "expected filled_weight as a number of at least 0, found -1"),
        ({"returns": "inputs"}, "expected returns as a list out of inputs, targets, dates"),
        ({"returns": ["inputs", "mask"]}, "found ['inputs', 'mask']"),
        (
            {"blocks": [DateRange(day(0), day(3))]},
            "no sample is left of the 16 windows from 2024-02-20 to 2024-03-10 in CUBE: "
            "16 not within one block",
        ),
        ({"statistics": "no.json"}, "no such statistics file: no.json; save it with Statistics.save"),
    ],
)
def test_errors_are_one_line_that_says_it(cube, arguments, message):
    with pytest.raises(InputError) as error:
        dataset_of(cube, **arguments)
    assert message.replace("CUBE", str(cube)) in str(error.value)
    assert "\n" not in str(error.value)


def test_numbers_of_numpy_are_numbers(cube):
    plain = dataset_of(cube, 2, 2, input_gap=2, patch_size=(3, 3), seed=7, region=(1, 6, 1, 6))
    byte = np.uint8
    dataset = dataset_of(
        cube,
        byte(2),
        byte(2),
        input_gap=byte(2),
        patch_size=np.int64(3),
        seed=np.int32(7),
        region=np.array([1, 6, 1, 6]),
        largest_missing_share=np.float32(0),
    )
    for epoch in (0, byte(1)):
        dataset.set_epoch(epoch)
        plain.set_epoch(epoch)
        assert all(torch.equal(a[0], b[0]) for a, b in zip(dataset, plain, strict=True))
    # A byte would overflow: 200 * 2 days are more than 255.
    with pytest.raises(InputError, match="a window takes 400 days"):
        dataset_of(cube, byte(200), byte(1), input_gap=byte(2))


def test_error_without_samples_says_what_would_help(make):
    values = values_of_test()
    values[:, 5, 5] = np.nan
    values[7, 5, :3] = np.nan
    path = make(concentration=values)
    with pytest.raises(InputError) as error:
        dataset_of(path)
    assert str(error.value).endswith(
        "16 with a day of too many missing ocean cells; largest_missing_share=0.0286 keeps some"
    )
    assert len(dataset_of(path, largest_missing_share=0.0286)) == 11


def test_errors_of_files(tmp_path, make, cube):
    with pytest.raises(InputError, match=r"no such cube: .*; make it with consolidate_data.py"):
        dataset_of(tmp_path / "none.nc")
    empty = make("empty.nc", dates=[], concentration=np.zeros((0, ROWS, COLUMNS)))
    with pytest.raises(InputError, match="expected at least one day"):
        dataset_of(empty)
    dataset = dataset_of(cube)
    make(dates=[day(i + 1) for i in range(DAYS)])
    with pytest.raises(InputError, match="is another cube than before; make the Dataset anew"):
        dataset[0]


# --- mask


@pytest.mark.slow
@pytest.mark.parametrize("land_value", [-1.0, 300.0, float("nan")])
def test_flags_come_with_any_value_of_land(make, land_value):
    path = make()
    plain = dataset_of(path, returns=["inputs", "input_flags"])
    dataset = dataset_of(path, returns=["inputs", "input_flags"], land_value=land_value)
    assert torch.equal(dataset[0]["input_flags"], plain[0]["input_flags"])
    np.testing.assert_array_equal(dataset[0]["inputs"][..., 0, 0], np.float32(land_value))


def test_ocean_mask_keeps_the_ocean(cube, tmp_path):
    surface = surface_of_test()
    mask_file = tmp_path / "mask.nc"
    write_mask(
        mask_file,
        Mask(surface, np.zeros(surface.shape, np.float32), small_grid(ROWS, COLUMNS)),
        {},
    )
    expected = (surface != Surface.LAND).astype(np.float32)
    for path in (mask_file, cube, str(cube)):
        mask = load_ocean_mask(path)
        assert mask.dtype == torch.float32
        np.testing.assert_array_equal(mask, expected)
    inputs, _ = dataset_of(cube, land_value=5.0)[0]
    product = inputs * load_ocean_mask(mask_file)
    ocean = torch.from_numpy(expected) == 1
    assert (product[..., ~ocean] == 0).all()
    assert torch.equal(product[..., ocean], inputs[..., ocean])
    assert (product[..., ocean] > 0).all()


def test_ocean_mask_of_something_else(tmp_path):
    with pytest.raises(
        InputError, match=r"no such mask file: .*; a cube of consolidate_data.py would do"
    ):
        load_ocean_mask(tmp_path / "none.nc")
    text = tmp_path / "text.nc"
    text.write_text("no")
    with pytest.raises(InputError, match="is no readable NetCDF file"):
        load_ocean_mask(text)


# --- utils


@pytest.mark.slow
@pytest.mark.parametrize("door", ["utils", "seaice"])
def test_importing_the_front_door_costs_nothing(door):
    root = Path(utils.__file__).parent
    code = (
        f"import sys, {door} as utils; "
        "heavy = {'torch', 'numpy', 'netCDF4', 'xarray', 'numba'} & set(sys.modules); "
        "heavy |= {name for name in sys.modules if name.startswith('seaice.')}; "
        "assert not heavy, heavy; utils.read_mask; utils.CubeFile; utils.date_blocks; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


def test_utils_offers_the_names_of_the_package():
    assert utils.ConsolidatedSICDataset is ConsolidatedSICDataset
    assert utils.load_ocean_mask is load_ocean_mask
    assert utils.fold_tensor is fold_tensor
    assert utils.ice_edge_error is ice_edge_error
    assert utils.extent_and_area is stage.extent_and_area
    assert utils.filling_reach is filling_reach
    assert utils.DateRange is DateRange
    for name in utils.__all__:
        assert getattr(utils, name).__module__.startswith("seaice.")
        assert name in dir(utils)
    with pytest.raises(AttributeError, match="module 'utils' has no attribute 'nothing'"):
        utils.nothing  # noqa: B018


@pytest.mark.slow
def test_reading_an_item_loads_no_xarray(cube):
    root = Path(utils.__file__).parent
    code = (
        "import sys, utils; "
        "utils.ConsolidatedSICDataset(sys.argv[1], 20240220, 20240310, 3, 2)[0]; "
        "heavy = {'xarray', 'dask', 'matplotlib', 'zarr', 'numcodecs'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, str(cube)], cwd=root, check=True)
