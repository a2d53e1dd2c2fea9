"""Packing days into chunks: parity with plain arithmetic, and every packing read back."""

import gzip
import os
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import zstd

from seaice import InputError
from seaice.cube.packing import (
    COMPRESSIONS,
    PACKED,
    PackedDay,
    Packer,
    Packing,
)
from seaice.flags import FillFlag
from seaice.gapfill import Filled
from seaice.gapfill.ocean_cells import OceanCells
from seaice.runtime import threads as bands

NAN = np.nan


def some_day(shape, seed=0) -> tuple[Filled, np.ndarray]:
    rng = np.random.default_rng(seed)
    flag = rng.choice([int(f) for f in FillFlag], shape).astype(np.uint8)
    values = rng.uniform(0, 100, shape).astype(np.float32)
    values[flag >= FillFlag.LAND] = NAN
    days, change = rng.integers(0, 100, (2, *shape)).astype(np.uint8)
    days[flag == FillFlag.LAND] = 0
    return Filled(values, flag, days, change), rng.random(shape) < 0.3


def pack_day(filled: Filled, error: np.ndarray, hole: np.ndarray, packing: Packing) -> PackedDay:
    """Pack a day of shape (rows, columns), whose land is left out on the way."""
    cells = OceanCells(filled.flag != FillFlag.LAND)
    vectors = Filled(*(cells.compress(array) for array in filled))
    gaps = np.flatnonzero(vectors.flag != FillFlag.OBSERVED).astype(np.int32)
    return Packer(packing, cells, hole).pack(vectors, cells.compress(error), gaps)


def unpacked(packing: Packing, chunk: bytes, words: bool) -> np.ndarray:
    """The tile in a chunk, by the standard library where it can."""
    inflate = gzip.decompress if packing.zarr else zlib.decompress  # of "none" too: a checked copy
    inflate = zstd.decompress if packing.compression == "zstd" else inflate
    octets = np.frombuffer(inflate(chunk), np.uint8)
    if not words:
        return octets.reshape(packing.tile)
    if packing.shuffled:
        octets = octets.reshape(2, -1).T.copy().reshape(-1)
    return octets.view("<i2").reshape(packing.tile)


def field(packing: Packing, chunks: list[bytes], words: bool) -> np.ndarray:
    rows, columns = packing.shape
    whole = np.full((rows + packing.tile[0], columns + packing.tile[1]), -1, np.int64)
    assert len(chunks) == len(packing.corners)
    for (y, x), chunk in zip(packing.corners, chunks, strict=True):
        tile = unpacked(packing, chunk, words)
        whole[y : y + packing.tile[0], x : x + packing.tile[1]] = tile
    # What overhangs is missing or nothing, never a value.
    assert set(np.unique(whole[rows:]).tolist()) <= {-1, -32768 if words else 0}
    return whole[:rows, :columns]


@pytest.mark.parametrize("zarr", [False, True])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_chunks_hold_the_day(compression, zarr):
    filled, hole = some_day((23, 31))
    error = np.arange(23 * 31).reshape(23, 31).astype(np.uint8)
    error[filled.flag == FillFlag.LAND] = 255
    packing = Packing(compression, zarr, (23, 31), (8, 11))
    packed = pack_day(filled, error, hole, packing)
    expected = np.where(np.isnan(filled.values), -32768, np.rint(filled.values.astype(np.float64) * 100))
    np.testing.assert_array_equal(field(packing, packed.chunks["sea_ice_conc"], True), expected)
    np.testing.assert_array_equal(field(packing, packed.chunks["fill_flag"], False), filled.flag)
    back = field(packing, packed.chunks["days_back_forward"], False)
    np.testing.assert_array_equal(back, filled.days_back_forward)
    errors = field(packing, packed.chunks["sea_ice_conc_error"], False)
    np.testing.assert_array_equal(errors, error)
    assert tuple(packed.chunks) == PACKED


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 17), st.integers(1, 17), st.integers(0, 99)
)
def test_counts_are_those_of_the_flags_whatever_the_tiles(rows, columns, height, width, seed):
    filled, hole = some_day((rows, columns), seed)
    packing = Packing("none", False, (rows, columns), (height, width))
    counts = pack_day(filled, filled.flag, hole, packing).counts
    expected = {f.name.lower(): int((filled.flag == f).sum()) for f in FillFlag if f < FillFlag.LAND}
    expected = {name: cells for name, cells in expected.items() if cells}
    missing = filled.flag == FillFlag.NOT_FILLED
    expected["missing"] = int((missing & ~hole).sum())
    expected["missing_pole_hole"] = int((missing & hole).sum())
    assert counts == expected and list(counts) == list(expected)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_threads_do_not_matter(compression):
    """Deflate may find other, equally long ways to say the same: what is said counts."""
    filled, hole = some_day((50, 40))
    packing = Packing(compression, False, (50, 40), (9, 7))
    found = []
    try:
        for count in (1, 3):
            bands.use_threads(count)
            packed = pack_day(filled, filled.flag, hole, packing)
            said = [field(packing, packed.chunks[n], n == "sea_ice_conc").tolist() for n in PACKED]
            found.append((said, packed.counts))
    finally:
        bands.use_threads(None)
    assert found[0] == found[1]


def test_a_day_is_packed_as_if_no_other_had_been_packed_before():
    """Also where a tile has gaps on some days only, or is all land."""
    rng = np.random.default_rng(1)
    packing = Packing("zlib", False, (50, 40), (9, 7))
    ocean = rng.random(packing.shape) > 0.3
    ocean[9:18, :14] = False
    cells, hole = OceanCells(ocean), np.zeros(packing.shape, bool)
    packer = Packer(packing, cells, hole)
    for day in range(6):
        values = rng.uniform(0, 100, len(cells)).astype(np.float32)
        flag, days, change = np.zeros((3, len(cells)), np.uint8)
        error = np.full(len(cells), 255, np.uint8)
        gaps = np.flatnonzero(rng.random(len(cells)) < 0.02 * day).astype(np.int32)
        flag[gaps], days[gaps], error[gaps] = day, 10 + day, day
        filled = Filled(values, flag, days, change)
        alone = Packer(packing, cells, hole).pack(filled, error, gaps)
        packed = packer.pack(filled, error, gaps)
        assert packed.counts == alone.counts
        for name in PACKED:
            both = [field(packing, p.chunks[name], name == "sea_ice_conc") for p in (alone, packed)]
            np.testing.assert_array_equal(*both)
        np.testing.assert_array_equal(both[1], cells.expand(error, 255))


def test_an_unknown_compression_is_refused():
    with pytest.raises(InputError, match="expected a compression out of zlib, zstd, none, found 'lz4'"):
        Packing("lz4", False, (1, 1), (1, 1))


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("rows", [1, 31, 32, 33, 400])
def test_bands_are_every_row_once(threads, rows):
    count = np.zeros(rows, int)

    def add(first, end, by):
        assert first % 32 == 0
        count[first:end] += by

    try:
        bands.use_threads(threads)
        bands.each_band(add, rows, 2)
        bands.each_band(add, rows, 1)
    finally:
        bands.use_threads(None)
    assert (count == 3).all()


def test_what_a_thread_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        bands.for_each(lambda n: 1 // n, [1, 0])


def test_bands_work_in_a_forked_child():
    """The parent's threads are not there after a fork."""
    bands.use_threads(2)
    try:
        assert bands.for_each(abs, [-1, 2]) == [1, 2]
        child = os.fork()
        if child == 0:
            os._exit(bands.for_each(abs, [-3, 4]) != [3, 4])
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        bands.use_threads(None)


def test_a_thread_of_the_pool_does_not_wait_for_the_pool():
    bands.use_threads(2)
    try:
        sums = bands.for_each(lambda n: sum(bands.for_each(abs, [-n, n, n])), range(20))
    finally:
        bands.use_threads(None)
    assert sums == [3 * n for n in range(20)]
