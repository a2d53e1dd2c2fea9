"""DINEOF: known low-rank truths, held-out cells, expected errors, and the sample of its authors."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.field import GappyField, eof
from seaice.gapfill.field.eof import Eof, expected_error, held_out_clouds
from seaice.gapfill.methods import fill_maps
from seaice.sources.alboran import read_alboran, read_gher

SHAPE = (16, 30, 36)


def truth(rank=2, noise=0.0, seed=0, shape=SHAPE, offset=10.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[1], : shape[2]] / 10.0
    made = np.full(shape, offset)
    for k in range(rank):
        pattern = np.sin((k + 1) * x + k) * np.cos((k + 0.5) * y)
        made += random.normal(size=(shape[0], 1, 1)) * pattern * 3 / (k + 1)
    return made + noise * random.normal(size=shape)


def clouded(full, seed=1, radius=9.0, clouds=2) -> GappyField:
    """Discs of a map are missing, and a strip of land."""
    random = np.random.default_rng(seed)
    values = full.copy()
    y, x = np.mgrid[: full.shape[1], : full.shape[2]]
    for frame in values:
        for _ in range(clouds):
            b, a = random.integers(full.shape[1]), random.integers(full.shape[2])
            frame[(y - b) ** 2 + (x - a) ** 2 < radius**2] = np.nan
    sea = np.ones(full.shape[1:], bool)
    sea[:3] = False
    return GappyField(values, sea, np.arange(float(len(values))))


SHARP = {"filter_alpha": 0.0, "tolerance": 1e-8, "max_iterations": 3000, "cloud_size": 40}


@pytest.mark.slow
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_truth_of_few_modes_is_recovered(rank):
    full = truth(rank)
    field = clouded(full)
    # The mean of what is observed is not that of the truth: the difference is a mode more.
    made = fill_maps(field, Eof(max_modes=rank + 1, **SHARP))
    assert made.notes["modes"] == rank + 1
    gaps = field.missing
    assert gaps.sum() > 2000 and (made.flag[gaps] == FillFlag.EOF).all()
    np.testing.assert_allclose(made.values[gaps], full[gaps], atol=1e-4)
    errors = made.notes["cross_validation_error"]
    assert errors[rank] < 1e-4 and errors[rank - 1] > 0.01


def test_more_cells_than_maps_or_fewer_is_the_same_decomposition():
    random = np.random.default_rng(0)
    for shape in ((40, 12), (12, 40)):
        matrix = random.normal(size=shape)
        for smoothing in (None, eof.smoothing_in_time(np.arange(float(shape[1])), 0.2, 3)):
            seen = matrix if smoothing is None else matrix @ smoothing.T
            _, values, time = np.linalg.svd(seen, full_matrices=False)
            made = eof.leading_modes(matrix, 4, smoothing)
            np.testing.assert_allclose(made.values, values[:4])
            np.testing.assert_allclose(np.abs((made.time * time[:4].T).sum(axis=0)), 1)
            np.testing.assert_allclose(made.lengths, np.linalg.norm(matrix @ time[:4].T, axis=0))
            assert (made.time.max(axis=0) >= -made.time.min(axis=0)).all()


def test_smoothing_in_time_by_hand():
    made = eof.smoothing_in_time(np.array([0.0, 1, 3]), 0.1, 1)
    # Flow alpha (b - a) / distance over the width of the map's own stretch of time: 1, 1.5, 2 days.
    np.testing.assert_allclose(
        made, [[0.9, 0.1, 0], [0.1 / 1.5, 1 - 0.15 / 1.5, 0.05 / 1.5], [0, 0.025, 0.975]]
    )
    many = eof.smoothing_in_time(np.array([0.0, 1, 3, 4]), 0.1, 5)
    np.testing.assert_allclose(many.sum(axis=1), 1)
    assert eof.smoothing_in_time(np.arange(3.0), 0.0, 3) is None


def test_held_out_truth_is_never_seen():
    field = clouded(truth(3, noise=0.3))
    data = field.values[:, field.sea].T.copy()
    hidden = held_out_clouds(field.observed, field.sea, share=0.03, cloud_size=40, seed=2)[
        :, field.sea
    ].T
    made = eof.cross_validate(data, hidden, 4, eof.Rule())
    garbage = data.copy()
    garbage[hidden] = 1e6 * np.random.default_rng(0).normal(size=hidden.sum())
    again = eof.cross_validate(garbage, hidden, 4, eof.Rule())
    assert len(made.estimates) >= 4
    for one, other in zip(made.estimates, again.estimates, strict=False):
        np.testing.assert_array_equal(one, other)
    assert again.errors[0] > 1e5, "but the errors compare with it"


@pytest.mark.slow
def test_the_result_is_that_of_the_seed():
    field = clouded(truth(3, noise=0.3))
    one, same, other = (fill_maps(field, Eof(seed=s, cloud_size=40)) for s in (4, 4, 5))
    np.testing.assert_array_equal(one.values, same.values)
    np.testing.assert_array_equal(one.error, same.error)
    assert one.notes == same.notes
    assert one.notes["cross_validation_error"] != other.notes["cross_validation_error"]


def test_observed_cells_keep_their_bits_and_land_is_not_used():
    field = clouded(truth(2, noise=0.1, offset=290.0).astype(np.float32))
    made = fill_maps(field, Eof(cloud_size=40))
    seen = field.observed
    np.testing.assert_array_equal(made.values[seen].view(np.uint32), field.values[seen].view(np.uint32))
    assert np.isnan(made.values[:, ~field.sea]).all() and made.values.dtype == np.float32
    wild = field.values.copy()
    wild[:, ~field.sea] = 1e9
    np.testing.assert_array_equal(
        made.values, fill_maps(replace(field, values=wild), Eof(cloud_size=40)).values
    )


@pytest.mark.slow
def test_the_expected_error_covers_about_68_percent():
    shares = []
    for seed in range(4):
        full = truth(2, noise=0.3, seed=seed)
        field = clouded(full, seed=seed, radius=11)
        made = fill_maps(field, Eof(cloud_size=60, seed=seed))
        gaps = field.missing
        assert np.isfinite(made.error[gaps]).all() and np.isnan(made.error[~gaps]).all()
        off = np.abs(made.values - full)[gaps]
        shares.append([(off < made.error[gaps]).mean(), (off < 2 * made.error[gaps]).mean()])
    one, two = np.mean(shares, axis=0)
    assert 0.62 < one < 0.74 and 0.91 < two < 0.98


def test_the_expected_error_grows_where_a_map_tells_little():
    field = clouded(truth(2, noise=0.3))
    values = field.values.copy()
    values[5] = np.nan
    values[5, 3:5, :6] = truth(2, noise=0.3)[5, 3:5, :6]
    made = fill_maps(replace(field, values=values), Eof(cloud_size=40, modes=2))
    assert np.nanmean(made.error[5]) > 1.1 * np.nanmean(np.delete(made.error, 5, axis=0))


def test_the_expected_error_is_the_cross_validated_one_at_the_held_out_cells():
    random = np.random.default_rng(0)
    residual, spatial = 0.2 * random.normal(size=(50, 6)), random.normal(size=(50, 2))
    residual[random.random(residual.shape) < 0.3] = np.nan
    hidden = np.isfinite(residual) & (random.random(residual.shape) < 0.2)
    as_gaps = np.where(hidden, np.nan, residual)
    for wanted in (0.1, 0.25, 0.8, 20.0):
        made = expected_error(residual, spatial, hidden, wanted)
        assert made.shape == residual.shape and (made > 0).all()
        again = expected_error(as_gaps, spatial, hidden, wanted)
        np.testing.assert_allclose(np.sqrt(np.mean(again[hidden] ** 2)), wanted, rtol=1e-6)


def test_empty_maps_and_cells_stay_missing():
    field = clouded(truth(2))
    values = field.values.copy()
    values[7] = np.nan
    values[:, 10, 10:13] = np.nan
    made = fill_maps(replace(field, values=values), Eof(cloud_size=40))
    assert np.isnan(made.values[7]).all() and np.isnan(made.values[:, 10, 10:13]).all()
    assert made.notes["empty_maps"] == 1 and made.notes["never_observed_cells"] == 3
    rest = np.delete(made.values, 7, axis=0)[:, field.sea]
    assert np.isnan(rest).sum() == 15 * 3


@pytest.mark.slow
def test_given_cells_are_held_out_and_put_back():
    field = clouded(truth(2, noise=0.2))
    hidden = np.zeros(SHAPE, bool)
    hidden[4, 10:14, 10:14] = True
    hidden &= field.observed
    made = fill_maps(field, Eof(), held_out=hidden)
    assert made.notes["held_out"] == hidden.sum()
    np.testing.assert_array_equal(made.values[hidden], field.values[hidden])


@pytest.mark.parametrize("share", [0.01, 0.03, 0.1])
def test_held_out_clouds_are_observed_and_of_the_size_asked(share):
    field = clouded(truth())
    hidden = held_out_clouds(field.observed, field.sea, share=share, cloud_size=40, seed=0)
    assert not (hidden & ~field.observed).any()
    wanted = share * field.observed.sum()
    assert 0.6 * wanted <= hidden.sum() <= wanted + 1
    assert (hidden.sum(axis=(1, 2)) <= 0.5 * field.observed.sum(axis=(1, 2))).all()
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    assert hidden.any(axis=(1, 2)).sum() < hidden.sum() / 4, "clouds, not single cells"


def test_the_last_value_of_a_cell_is_not_held_out():
    field = clouded(truth())
    observed = field.observed.copy()
    observed[1:, :, ::3] = False
    hidden = held_out_clouds(observed, field.sea, share=0.2, cloud_size=40, seed=0)
    assert hidden.any() and (observed & ~hidden).any(axis=0)[observed.any(axis=0)].all()


def test_a_stack_of_whole_and_missing_maps_has_discs_held_out():
    values = truth(2, noise=0.1)
    values[3] = np.nan
    values[0, 4, 4] = np.nan
    field = GappyField(values, np.ones(SHAPE[1:], bool), np.arange(16.0))
    made = fill_maps(field, Eof(cloud_size=40))
    assert made.notes["held_out"] > 100 and made.flag[0, 4, 4] == FillFlag.EOF


def test_constant_maps_are_filled_with_their_value():
    field = clouded(np.full(SHAPE, 4.0))
    made = fill_maps(field, Eof(cloud_size=40))
    np.testing.assert_allclose(made.values[field.missing], 4.0)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"max_modes": 0}, "max_modes"),
        ({"modes": -1}, "modes"),
        ({"modes": 16}, "modes 16 is more than 16 maps with values carry; take at most 15"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"filter_alpha": 0.6}, "unstable for maps 1 days apart; take at most 0.5"),
        ({"filter_steps": -1}, "filter_steps"),
        ({"held_out_share": 0.6}, "held_out_share"),
        ({"cloud_size": 0}, "cloud_size"),
    ],
)
def test_refusals(parameters, words):
    with pytest.raises(InputError, match=words):
        fill_maps(clouded(truth()), Eof(**parameters))


@pytest.mark.parametrize(
    ("held_out", "words"),
    [
        (np.ones((2, 2), bool), "held_out as bool"),
        (np.zeros(SHAPE, bool), "some of the observed cells"),
    ],
)
def test_held_out_cells_that_cannot_be_are_refused(held_out, words):
    with pytest.raises(InputError, match=words):
        fill_maps(clouded(truth()), Eof(), held_out=held_out)


def test_one_map_is_refused_with_advice():
    field = clouded(truth())
    with pytest.raises(InputError, match="found 1; give a stack of maps, or take loess"):
        fill_maps(field.only(slice(0, 1)), Eof())


def test_maps_of_one_value_each_are_refused():
    values = np.full((3, 4, 4), np.nan)
    values[[0, 1, 2], [0, 1, 2], 0] = 1.0
    with pytest.raises(InputError, match="no map has two"):
        fill_maps(GappyField(values, np.ones((4, 4), bool), np.arange(3.0)), Eof())


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(1, 5), st.floats(0.05, 0.95))
def test_any_small_stack_is_filled_or_refused(seed, maps, rows, share):
    random = np.random.default_rng(seed)
    values = random.normal(size=(maps, rows, 4))
    values[random.random(values.shape) < share] = np.nan
    field = GappyField(values, random.random((rows, 4)) < 0.9, np.cumsum(1 + random.random(maps)))
    try:
        made = fill_maps(field, Eof(seed=seed))
    except InputError:
        return
    known = field.observed.any(axis=0) & field.observed.any(axis=(1, 2))[:, None, None]
    assert (np.isfinite(made.values) == known).all()
    assert (np.isfinite(made.error) == (known & field.missing)).all()
    assert made.notes["modes"] < maps


def record(content: bytes) -> bytes:
    length = len(content).to_bytes(4, "big")
    return length + content + length


def test_gher_files(tmp_path):
    path = tmp_path / "points.dat"
    header = np.array([3, 1, 1, 8, 2], ">i4").tobytes() + np.array([9999], ">f4").tobytes()
    numbers = np.array([1.5, -2, 3], ">f8").tobytes()
    whole = record(b"") * 10 + record(header) + record(numbers[:16]) + record(numbers[16:])
    path.write_bytes(whole)
    np.testing.assert_array_equal(read_gher(path), [1.5, -2, 3])
    path.write_bytes(whole[:-4])
    with pytest.raises(InputError, match="has no end"):
        read_gher(path)
    path.write_bytes(record(b"") * 10 + record(header) + record(numbers[:16]))
    with pytest.raises(InputError, match="expected 3 numbers, found 2"):
        read_gher(path)
    path.write_bytes(whole[80:])
    with pytest.raises(InputError, match="GHER"):
        read_gher(path)
    with pytest.raises(InputError, match="no such file"):
        read_gher(tmp_path / "none.dat")


PUBLISHED = [0.50623374, 0.44463104, 0.44451642, 0.47337208, 0.47288420]


@pytest.mark.slow
def test_the_sample_of_dineof(real_data):
    field, held_out = read_alboran(real_data / "sst" / "dineof_alboran")
    assert held_out.sum() == 2258 and field.observed.sum() == 121224 and field.sea.sum() == 22186
    made = fill_maps(field, Eof(), held_out=held_out)
    assert made.notes["modes"] in (2, 3)
    np.testing.assert_allclose(made.notes["cross_validation_error"], PUBLISHED, atol=1e-4)
    np.testing.assert_allclose(made.notes["explained_variance_percent"], [57.43, 28.48, 8.56], atol=0.3)
    assert made.notes["mean_removed"] == pytest.approx(18.80, abs=0.005)


@pytest.mark.slow
def test_the_sample_with_the_published_cells_taken_away(real_data):
    field, held_out = read_alboran(real_data / "sst" / "dineof_alboran")
    blank = replace(field, values=np.where(held_out, np.float32(np.nan), field.values))
    made = fill_maps(blank, Eof(modes=3))
    off = (made.values - field.values)[held_out].astype(np.float64)
    assert np.sqrt(np.nanmean(off**2)) == pytest.approx(0.4445, abs=0.01)
    assert np.isnan(off).sum() <= 10, "cells seen in no other map"
