"""Overlapping tiles: shares that add up to 1, and what must come back unchanged."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaice import InputError
from seaice.segmentation.mapping.tiles import (
    blend_tiles,
    compute_tile_weights,
    find_tile_starts,
)

RNG = np.random.default_rng(5)


def field(lines, samples):
    """SAR that is nowhere 0."""
    return (1 + RNG.random((2, lines, samples))).astype(np.float32)


def identity(images):
    return images


@st.composite
def layouts(draw):
    size = draw(st.integers(1, 40))
    return draw(st.integers(1, 130)), size, draw(st.integers(0, size // 2))


@given(layouts())
def test_shares_of_every_pixel_add_up_to_one(layout):
    length, size, overlap = layout
    starts, shares = find_tile_starts(length, size, overlap), compute_tile_weights(length, size, overlap)
    total, count = np.zeros(max(length, size)), np.zeros(max(length, size), int)
    for start, share in zip(starts, shares, strict=True):
        total[start : start + size] += share
        count[start : start + size] += 1
    np.testing.assert_allclose(total[:length], 1, rtol=0, atol=1e-12)
    assert (total[length:] == 0).all()
    assert (shares >= 0).all()
    assert starts[0] == 0
    assert starts[-1] == max(0, length - size)
    assert (count[:length] >= 1).all()
    assert (np.diff(starts) > 0).all()
    assert (np.diff(starts) <= size - overlap).all()


def test_shares_by_hand():
    """Two tiles of 4 over 6 pixels: sin^2 of 22.5 and 67.5 degrees where they meet."""
    low = np.sin(np.pi / 8) ** 2
    expected = [[1, 1, 1 - low, low], [low, 1 - low, 1, 1]]
    np.testing.assert_allclose(compute_tile_weights(6, 4, 2), expected, atol=1e-15)


def test_shares_fall_smoothly_to_the_border():
    share = compute_tile_weights(1000, 224, 56)[1]
    assert share[0] < 1e-3
    assert share[-1] < 1e-3
    assert np.abs(np.diff(share)).max() < np.pi / 2 / 56
    assert (share[56:168] == 1).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), layouts(), st.integers(1, 9))
def test_identity_comes_back(lines, samples, layout, batch_size):
    _, size, overlap = layout
    sar = field(lines, samples)
    made = blend_tiles(sar, identity, size=size, overlap=overlap, batch_size=batch_size)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, sar, rtol=5e-7)


def test_a_constant_comes_back():
    def constant(images):
        return np.full((len(images), 3, *images.shape[2:]), 0.3, np.float32)

    made = blend_tiles(field(75, 61), constant, size=32, overlap=15)
    assert made.shape == (3, 75, 61)
    np.testing.assert_allclose(made, 0.3, rtol=3e-7)


def test_equals_the_slow_sum():
    """Against weights that are summed over the whole plane, tile by tile."""
    sar, size, overlap = field(50, 37), 16, 6

    def position(images):
        """What depends on the place in the tile, as with a network near its border."""
        steps = np.arange(size, dtype=np.float32)
        return images[:, :1] * (1 + steps[:, None] + 10 * steps)

    ramp = np.minimum(1, np.sin(np.pi / 2 * np.minimum(1, (np.arange(size) + 0.5) / overlap)) ** 2)
    window = np.minimum(ramp, ramp[::-1])
    window = window[:, None] * window
    total, weight = np.zeros((50, 37)), np.zeros((50, 37))
    for row in (0, 10, 20, 30, 34):
        for column in (0, 10, 20, 21):
            box = slice(row, row + size), slice(column, column + size)
            total[box] += position(sar[None, :, *box])[0, 0] * window
            weight[box] += window
    made = blend_tiles(sar, position, size=size, overlap=overlap)[0]
    np.testing.assert_allclose(made, total / weight, rtol=1e-5)


def test_does_not_depend_on_the_batch_size():
    sar = field(90, 77)
    sar[:, :30, :30] = 0
    made = [
        blend_tiles(sar, lambda x: np.tanh(x), size=24, overlap=7, batch_size=n).tobytes()
        for n in (1, 3, 64)
    ]
    assert made[0] == made[1] == made[2]


def test_no_more_than_a_batch_at_once_and_only_tiles_with_sar():
    sar, seen = field(64, 64), []
    sar[:, :32] = 0

    def predict(images):
        seen.append(len(images))
        return images

    made = blend_tiles(sar, predict, size=16, overlap=0, batch_size=3)
    assert seen == [3, 3, 2]
    assert np.isnan(made[:, :32]).all()
    np.testing.assert_array_equal(made[:, 32:], sar[:, 32:])


def test_pixels_without_sar_are_missing_and_one_channel_is_sar():
    sar = field(20, 20)
    sar[:, 3, 4] = 0
    sar[0, 5, 6] = 0
    made = blend_tiles(sar, identity, size=8, overlap=4)
    assert np.argwhere(np.isnan(made[0])).tolist() == [[3, 4]]


def test_a_scene_smaller_than_a_tile_is_continued_without_sar():
    seen = []

    def predict(images):
        seen.append(images.copy())
        return images

    sar = field(5, 7)
    np.testing.assert_allclose(blend_tiles(sar, predict, size=16, overlap=8), sar, rtol=3e-7)
    (images,) = seen
    assert images.shape == (1, 2, 16, 16)
    assert (images[0, :, 5:] == 0).all()
    assert (images[0, :, :, 7:] == 0).all()


def test_amsr2_lies_where_the_pixels_are():
    amsr2 = RNG.random((14, 4, 3)).astype(np.float32)
    amsr2[3, 1, 1] = np.nan
    sar = field(108, 80)  # 108: the last line of cells is cut; 80: pixels beyond the last cell
    made = blend_tiles(sar, lambda images: images[:, 2:], coarse=amsr2, size=40, overlap=11)
    rows = np.minimum(np.arange(108) // 25, 3)
    columns = np.minimum(np.arange(80) // 25, 2)
    expected = np.nan_to_num(amsr2)[:, rows[:, None], columns]
    np.testing.assert_allclose(made, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"overlap": 5}, "overlap of 0 to half"),
        ({"overlap": -1}, "overlap of 0 to half"),
        ({"size": 0, "overlap": 0}, "tile 0"),
        ({"batch_size": 0}, "batch 0"),
        ({"coarse": np.zeros((14, 0, 2), np.float32)}, "cells of 2 km of shape"),
    ],
)
def test_numbers_out_of_range(options, text):
    with pytest.raises(InputError, match=text):
        blend_tiles(field(9, 9), identity, **({"size": 8, "overlap": 2} | options))


def test_nothing_to_predict():
    with pytest.raises(InputError, match="found none in the scene"):
        blend_tiles(np.zeros((2, 9, 9), np.float32), identity, size=8, overlap=2)
    with pytest.raises(InputError, match="expected channels of one shape"):
        blend_tiles(np.zeros((9, 9), np.float32), identity)
    with pytest.raises(InputError, match="expected a prediction of shape"):
        blend_tiles(field(9, 9), lambda images: images[0], size=8, overlap=2)
