"""Parts of a record, and statistics of one of them."""

from __future__ import annotations

import json
import logging
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pytest
from cubes import small_grid, write_cube
from hypothesis import given
from hypothesis import strategies as st

from seaice import InputError
from seaice.dates import DateRange
from seaice.flags import Surface
from seaice.training.splits import (
    Statistics,
    date_blocks,
    filling_reach,
    measure_statistics,
)

ROWS, COLUMNS, DAYS = 7, 6, 20
FIRST = date(2024, 2, 20)
SURFACE = np.zeros((ROWS, COLUMNS), dtype=np.uint8)
SURFACE[:2, :3] = Surface.LAND


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


@pytest.fixture
def make(tmp_path):
    def made(name: str = "cube.nc", *, concentration, parameters=None):
        dates = [day(i) for i in range(DAYS)]
        grid = small_grid(ROWS, COLUMNS)
        return write_cube(
            tmp_path / name,
            dates=dates,
            concentration=concentration,
            surface=SURFACE,
            grid=grid,
            parameters=parameters,
        )

    return made


@pytest.mark.slow
@given(
    days=st.integers(1, 500),
    gap=st.integers(0, 20),
    block=st.none() | st.integers(1, 60),
    seed=st.integers(0, 3),
    shares=st.dictionaries(st.sampled_from("abcd"), st.floats(0.1, 10), min_size=1),
)
def test_blocks_are_disjoint_ordered_and_apart(days, gap, block, seed, shares):
    period = DateRange(FIRST, day(days - 1))

    def divided():
        return date_blocks(
            FIRST, day(days - 1), shares=shares, gap_days=gap, block_days=block, seed=seed
        )

    try:
        parts = divided()
    except InputError as error:
        assert "too few for" in str(error)
        fit = days if block is None else (days + gap) // (block + gap)
        assert fit - (gap * (len(shares) - 1) if block is None else 0) < len(shares)
        return
    assert parts == divided()
    assert list(parts) == list(shares)
    assert all(parts.values())
    everything = sorted((b.start, b.end, name) for name, blocks in parts.items() for b in blocks)
    for (_, end, name), (start, _, following) in pairwise(everything):
        assert name != following
        assert (start - end).days == gap + 1
    assert everything[0][0] == period.start
    assert everything[-1][1] == period.end


def test_block_lengths_follow_the_shares():
    parts = date_blocks(20200101, 20201231, gap_days=8)
    lengths = {name: sum(len(b) for b in blocks) for name, blocks in parts.items()}
    assert lengths == {"train": 245, "validation": 53, "test": 52}  # of 366 - 16 days
    many = date_blocks(20120702, 20220701, gap_days=8, block_days=30)
    lengths = {name: sum(len(b) for b in blocks) for name, blocks in many.items()}
    assert 0.65 < lengths["train"] / sum(lengths.values()) < 0.75
    months = {b.start.month for b in many["test"]} | {b.end.month for b in many["test"]}
    assert len(months) > 8  # the test sees most of the year
    assert many != date_blocks(20120702, 20220701, gap_days=8, block_days=30, seed=1)


HALF = np.full((DAYS, ROWS, COLUMNS), 0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parameters", "reach"),
    [
        ({"method": "gaussian", "time_window": 10, "pole_hole": "keep"}, 10),
        ({"method": "temporal", "max_gap_days": 4, "one_sided_days": 3}, 4),
        ({"method": "hybrid", "max_gap_days": 9, "time_window": 4, "halo": True}, 13),
        ({"method": "hybrid"}, 8),
        ({"method": "departure"}, 12),
        ({"method": "increments", "fill_weights": "0123456789abcdef"}, 15),
    ],
)
def test_parts_lie_further_apart_than_the_cube_was_filled(make, parameters, reach, caplog):
    cube = make(concentration=HALF, parameters=parameters)
    assert filling_reach(cube) == reach
    two = {"train": 1, "test": 1}
    with caplog.at_level(logging.WARNING, logger="seaice"):
        parts = date_blocks(20200101, 20201231, shares=two, cube=str(cube))
        wider = date_blocks(20200101, 20201231, shares=two, cube=cube, gap_days=reach + 5)
    assert (parts["test"][0].start - parts["train"][0].end).days == reach + 1
    assert (wider["test"][0].start - wider["train"][0].end).days == reach + 6
    assert not caplog.records


def test_parts_closer_than_the_filling_reaches_are_said(make, caplog):
    cube = make(concentration=HALF, parameters={"method": "gaussian", "time_window": 10})
    with caplog.at_level(logging.WARNING, logger="seaice"):
        parts = date_blocks(20200101, 20201231, shares={"a": 1, "b": 1}, gap_days=9, cube=cube)
    assert (parts["b"][0].start - parts["a"][0].end).days == 10
    assert [r.message for r in caplog.records] == [
        f"gap_days=9 is less than the 10 days that filled values of {cube} reach: observations of one "
        "part enter another; leave gap_days out"
    ]


@pytest.mark.parametrize("parameters", [{}, {"method": "magic"}])
def test_a_cube_of_unknown_filling_is_taken_for_the_default(make, parameters, caplog):
    cube = make(concentration=HALF, parameters=parameters)
    with caplog.at_level(logging.WARNING, logger="seaice"):
        assert filling_reach(cube) == 15
    assert [r.message for r in caplog.records] == [
        f"{cube} does not tell how it was filled; its filled values are taken to reach 15 days, as by "
        "default"
    ]


def test_without_a_cube_the_default_filling_is_taken(tmp_path):
    parts = date_blocks(20200101, 20201231, shares={"a": 1, "b": 1})
    assert (parts["b"][0].start - parts["a"][0].end).days == 16
    with pytest.raises(InputError, match="no such cube"):
        date_blocks(20200101, 20201231, cube=tmp_path / "none.nc")


def test_statistics_are_of_the_training_days_only(make, tmp_path):
    values = np.random.default_rng(1).integers(0, 10001, (DAYS, ROWS, COLUMNS)) / 10000
    values[3, 4, 4] = np.nan
    parts = date_blocks(day(0), day(DAYS - 1), shares={"train": 2, "test": 1}, gap_days=2)
    (block,) = parts["train"]
    ocean = SURFACE != Surface.LAND
    train = np.array([day(i) in block for i in range(DAYS)])
    expected = values[train][:, ocean]
    statistics = measure_statistics(make(concentration=values), parts["train"])
    assert statistics.mean == pytest.approx(np.nanmean(expected), abs=1e-6)
    assert statistics.std == pytest.approx(np.nanstd(expected), abs=1e-6)
    assert (statistics.cells, statistics.days) == (12 * 36 - 1, 12)
    assert statistics.periods == (str(block),)
    other = values.copy()
    other[~train] = 1 - other[~train]
    assert (
        measure_statistics(make("other.nc", concentration=other), parts["train"]).mean == statistics.mean
    )
    tests = [measure_statistics(tmp_path / name, parts["test"]).mean for name in ("cube.nc", "other.nc")]
    assert tests == [
        pytest.approx(m, abs=1e-6) for m in (values[14:][:, ocean].mean(), other[14:][:, ocean].mean())
    ]
    part = measure_statistics(tmp_path / "cube.nc", parts["train"], region=(5, 7, 0, 6))
    assert part.mean == pytest.approx(values[train, 5:].mean(), abs=1e-6)


def test_statistics_travel_as_json(tmp_path):
    statistics = Statistics(0.25, 0.5, 10, 2, ("2024-01-01 to 2024-01-02",), "cube.nc")
    path = statistics.save(tmp_path / "statistics.json")
    assert Statistics.load(path) == statistics
    assert json.loads(path.read_text())["std"] == 0.5
    assert statistics.normalise(0.75) == 1
    assert statistics.restore(1) == 0.75


def test_errors_of_statistics_files(tmp_path):
    bad = tmp_path / "bad.json"
    for text in ("{", "[]", '{"mean": 1, "periods": []}'):
        bad.write_text(text)
        with pytest.raises(InputError, match=r"is no file of Statistics.save"):
            Statistics.load(bad)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shares": {}}, "expected parts with positive shares, found {}"),
        ({"shares": {"a": 0}}, "expected parts with positive shares"),
        ({"shares": {"a": "1"}}, "expected parts with positive shares, found {'a': '1'}"),
        ({"shares": [1, 2]}, "expected parts with positive shares, found [1, 2]"),
        ({"gap_days": -1}, "expected gap_days as a whole number of at least 0"),
        ({"block_days": 0}, "expected block_days as a whole number of at least 1"),
        (
            {"gap_days": 10},
            "2024-02-20 to 2024-03-10 has 20 days, too few for 3 parts with 10 days between them; "
            "shorten gap_days or block_days, or lengthen it",
        ),
    ],
)
def test_errors_of_splits(options, message):
    with pytest.raises(InputError) as error:
        date_blocks(day(0), day(19), **options)
    assert message in str(error.value)


def test_statistics_of_nothing(make):
    cube = make(concentration=np.full((DAYS, ROWS, COLUMNS), 0.5))
    for blocks in ([], [DateRange(day(0), day(3))], [DateRange(date(2000, 1, 1), date(2000, 1, 2))]):
        with pytest.raises(InputError, match="the days measured hold no two different values"):
            measure_statistics(cube, blocks)


def test_statistics_want_the_blocks_of_one_part(make):
    cube = make(concentration=HALF)
    for blocks, message in (
        (date_blocks(day(0), day(19), gap_days=1), "expected the blocks of one part, found all parts"),
        (DateRange(day(0), day(3)), "found a DateRange; put it in a list"),
        ([20240220], "expected blocks as a list of DateRange, found 20240220 in it"),
    ):
        with pytest.raises(InputError, match=message):
            measure_statistics(cube, blocks)
