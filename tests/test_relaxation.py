"""Relaxation against hand-written truths, harmonic functions and a direct solution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import lil_array
from scipy.sparse.linalg import spsolve

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.field import GappyField
from seaice.gapfill.field.relaxation import Relaxation
from seaice.gapfill.methods import fill_maps, make_method
from seaice.runtime import threads

N = np.nan
# Far below the differences that the tests look for.
EXACT = Relaxation(tolerance=1e-9)


def field(values, sea=None, **more) -> GappyField:
    values = np.asarray(values, more.pop("dtype", np.float64))
    values = values.reshape((1,) * (3 - values.ndim) + values.shape)
    sea = np.ones(values.shape[1:], bool) if sea is None else np.asarray(sea, bool)
    return GappyField(values, sea.reshape(values.shape[1:]), np.arange(len(values), dtype=float), **more)


def scattered(seed=0, shape=(2, 30, 40), *, observed=0.1, offset=0.0, **more) -> GappyField:
    random = np.random.default_rng(seed)
    values = offset + random.normal(size=shape)
    values[random.random(shape) > observed] = N
    return field(values, random.random(shape[1:]) < 0.85, **more)


def globe(rows: int, columns: int) -> dict[str, np.ndarray]:
    """Cell centres of a global grid whose first and last rows are half a cell from the poles."""
    latitude = -90 + (np.arange(rows) + 0.5) * 180 / rows
    longitude, latitude = np.meshgrid(np.arange(columns) * 360 / columns, latitude)
    return {"latitude": latitude, "longitude": longitude}


def solve_directly(gappy: GappyField, day: int = 0) -> np.ndarray:
    """Write the equation of every missing cell down, one by one, and solve all of them at once."""
    values, (rows, columns) = gappy.values[day], gappy.sea.shape
    missing = gappy.missing[day]
    cells = list(zip(*np.nonzero(missing), strict=True))
    number = {cell: i for i, cell in enumerate(cells)}
    matrix, right_side = lil_array((len(cells), len(cells))), np.zeros(len(cells))
    for (y, x), i in number.items():
        for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            row, column = y + dy, x + dx
            if gappy.wraps:
                column %= columns
            if not (0 <= row < rows and 0 <= column < columns and gappy.sea[row, column]):
                continue
            weight = 1.0
            if gappy.latitude is not None:
                height, width = np.diff(gappy.latitude[:2, 0])[0], 360 / columns
                cosines = np.cos(np.radians([gappy.latitude[y, x], gappy.latitude[row, column]]))
                cosines = np.maximum(cosines, 1e-6)
                weight = cosines.mean() * width / height if dy else height / (cosines[0] * width)
            matrix[i, i] += weight
            if missing[row, column]:
                matrix[i, number[row, column]] -= weight
            else:
                right_side[i] += weight * values[row, column]
    solution = np.where(gappy.sea, values, N)
    solution[missing] = spsolve(matrix.tocsc(), right_side)
    return solution


def test_a_row_is_filled_linearly_and_evenly_beyond_its_ends():
    filled = EXACT.fill(field([[N, 1, N, N, 4, N]]))
    np.testing.assert_allclose(filled.values[0, 0], [1, 1, 2, 3, 4, 4])
    assert filled.flag[0, 0].tolist() == [16, 0, 16, 16, 0, 16] and filled.error is None


def test_a_single_cell_is_the_mean_of_its_neighbours():
    filled = EXACT.fill(field([[9, 1, 9], [2, N, 3], [9, 6, 9]]))
    assert filled.values[0, 1, 1] == pytest.approx(3)
    filled = EXACT.fill(field([[9, 1, 9], [2, N, 3], [9, 6, 9]], [[1, 0, 1], [1, 1, 1], [1, 1, 1]]))
    assert filled.values[0, 1, 1] == pytest.approx(11 / 3)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_a_harmonic_function_is_reproduced_to_the_tolerance(tolerance):
    y, x = np.mgrid[-20:21, -30:31]
    truth = (x**2 - y**2).astype(float)
    values = truth.copy()
    values[5:35, 7:50] = N
    filled = Relaxation(tolerance=tolerance).fill(field(values))
    error = np.abs(filled.values[0] - truth).max()
    # The remainder is an estimate; the error is up to twice as large.
    assert error <= 2 * tolerance * np.nanstd(values)
    assert filled.notes["converged"] and filled.notes["largest_remainder"] >= error / 2


def test_land_is_a_wall_between_basins():
    values = [[1, N, N, N, 9], [N, N, N, N, N]]
    sea = [[1, 1, 0, 1, 1], [1, 1, 0, 1, 1]]
    filled = EXACT.fill(field(values, sea)).values[0]
    np.testing.assert_allclose(filled, [[1, 1, N, 9, 9], [1, 1, N, 9, 9]])


def test_a_channel_bends_around_land():
    sea = [[1, 1, 1], [0, 0, 1], [1, 1, 1]]
    filled = EXACT.fill(field([[0, N, N], [N, N, N], [6, N, N]], sea)).values[0]
    np.testing.assert_allclose(filled, [[0, 1, 2], [N, N, 3], [6, 5, 4]], rtol=1e-6)


def test_values_on_land_are_not_looked_at():
    gappy = scattered()
    values = gappy.values.copy()
    values[:, ~gappy.sea] = 1e9
    first, second = (
        Relaxation().fill(GappyField(v, gappy.sea, gappy.days)) for v in (gappy.values, values)
    )
    np.testing.assert_array_equal(first.values, second.values)


def test_a_closed_basin_stays_missing():
    sea = [[1, 1, 0, 1], [1, 1, 0, 1]]
    filled = EXACT.fill(field([[1, N, N, N], [N, N, N, N]], sea))
    assert np.isnan(filled.values[0, :, 3]).all() and np.isfinite(filled.values[0, :, :2]).all()
    assert (filled.flag[0, :, 3] == FillFlag.NOT_FILLED).all()
    assert filled.notes["unreached_cells"] == 2 and filled.notes["gaps"] == 1
    assert filled.notes["converged"]


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_rows_that_wrap_are_circles(start):
    values = np.roll([[10, N, N, 40, N, N]], start, axis=1)
    filled = EXACT.fill(field(values, wraps=True)).values[0]
    np.testing.assert_allclose(np.roll(filled, -start, axis=1)[0], [10, 20, 30, 40, 30, 20])
    ends = EXACT.fill(field([[10, N, N, 40, N, N]])).values[0, 0]
    np.testing.assert_allclose(ends[4:], 40)


@pytest.mark.parametrize("more", [{}, {"wraps": True}, {"wraps": True, **globe(30, 40)}])
def test_equals_a_direct_solution(more):
    gappy = scattered(shape=(1, 30, 40), **more)
    sea = gappy.sea.copy()
    sea[np.isnan(EXACT.fill(gappy).values[0])] = False  # cells that nothing determines
    gappy = GappyField(gappy.values, sea, gappy.days, **more)
    filled = EXACT.fill(gappy)
    np.testing.assert_allclose(filled.values[0], solve_directly(gappy), atol=1e-8)
    assert filled.notes["converged"] and gappy.missing.sum() > 500


def test_latitudes_are_weighed_as_on_the_sphere():
    here = globe(180, 8)
    # No flow of heat diverges where it depends on the latitude in this way alone.
    truth = np.arctanh(np.sin(np.radians(here["latitude"])))
    values = truth.copy()
    values[100:170] = N
    filled = EXACT.fill(field(values, wraps=True, **here)).values[0]
    np.testing.assert_allclose(filled, truth, atol=2e-3)
    in_cells = EXACT.fill(field(values, wraps=True)).values[0]
    assert np.abs(in_cells - truth).max() > 0.5


def test_a_row_at_the_pole_is_one_place():
    longitude, latitude = np.meshgrid(np.arange(0.0, 360, 5), np.arange(-87.5, 91, 2.5))
    values = np.where(latitude < np.where(longitude < 120, 86, 70), np.sin(np.radians(longitude)), N)
    gappy = field(values, wraps=True, latitude=latitude, longitude=longitude)
    filled = Relaxation().fill(gappy)
    assert filled.notes["converged"]
    expected = solve_directly(gappy)
    # Cells of the row are tied as firmly as their own size lets them be, not infinitely.
    assert np.ptp(expected[-1]) < 1e-4 and np.ptp(filled.values[0, -1]) < 0.1
    assert filled.values[0, -1].mean() == pytest.approx(expected[-1].mean(), abs=0.01)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 3, 5000]), st.sampled_from([0.0, 1.9]), st.booleans())
def test_filled_values_lie_within_the_observed_ones_about_their_gap(seed, sweeps, factor, wraps):
    random = np.random.default_rng(seed)
    values = np.where(random.random((7, 9)) < 0.3, random.normal(size=(7, 9)), N)
    sea = random.random((7, 9)) < 0.8
    gappy = field(values, sea, wraps=wraps)
    filled = Relaxation(max_iterations=sweeps, over_relaxation=factor).fill(gappy).values[0]
    observed = gappy.observed[0]
    np.testing.assert_array_equal(filled[observed], values[observed])
    # Growth over the sides of missing cells collects what is about each gap.
    low, high = (np.where(observed, values, end) for end in (np.inf, -np.inf))
    for _ in range(values.size):
        low, high = grow(low, gappy, np.minimum), grow(high, gappy, np.maximum)
    reached = np.isfinite(low) & gappy.missing[0]
    assert (np.isfinite(filled) == (reached | observed)).all()
    assert (filled[reached] >= low[reached] - 1e-12).all()
    assert (filled[reached] <= high[reached] + 1e-12).all()


def grow(ends, gappy, choose):
    """Give every missing cell the lowest or highest of its own and its sea neighbours' ends."""
    grown = ends.copy()
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        beside, sea = np.roll(ends, step, axis), np.roll(gappy.sea, step, axis)
        if axis == 0 or not gappy.wraps:
            edge = [slice(None), slice(None)]
            edge[axis] = 0 if step == 1 else -1
            sea[tuple(edge)] = False
        joined = sea & gappy.missing[0]
        grown[joined] = choose(grown, beside)[joined]
    return grown


def test_a_constant_stays_the_constant():
    gappy = scattered()
    values = np.where(gappy.observed, 271.35, N)
    filled = Relaxation().fill(GappyField(values, gappy.sea, gappy.days))
    np.testing.assert_allclose(filled.values[np.isfinite(filled.values)], 271.35, rtol=1e-15)
    assert filled.notes["converged"] and filled.notes["iterations"] == 5


def test_threads_do_not_matter():
    gappy = scattered(shape=(6, 60, 50))
    results = []
    for count in (1, 2, 5):
        threads.use_threads(count)
        results.append(Relaxation().fill(gappy))
    threads.use_threads(None)
    for result in results[1:]:
        np.testing.assert_array_equal(result.values, results[0].values)
        assert result.notes == results[0].notes


def test_what_did_not_converge_is_reported():
    values = np.full((2, 1, 42), N)
    values[:, 0, 0], values[:, 0, -1], values[1, 0, 1] = 0, 41, 1
    values[1, 0, 3:] = np.arange(3, 42)
    short, enough = (Relaxation(max_iterations=n).fill(field(values)).notes for n in (12, 5000))
    # The gap of the second map is one cell between two others.
    assert not short["converged"] and short["gaps_not_converged"] == 1 and short["gaps"] == 2
    assert short["iterations"] == 12 and short["largest_remainder"] > short["largest_last_change"] > 0
    assert enough["converged"] and enough["gaps_not_converged"] == 0
    # The standard deviation of the first map, 20.5, is the larger one.
    assert 12 < enough["iterations"] < 200 and enough["largest_remainder"] <= 20.5 * 1e-4
    assert enough["largest_last_change"] < enough["largest_remainder"]


def test_over_relaxation_saves_sweeps_and_changes_nothing_else():
    values = np.full((40, 40), N)
    values[:, 0], values[0, :] = 1.0, np.arange(40)
    plain, given_factor, chosen = (
        Relaxation(over_relaxation=factor, tolerance=1e-7, max_iterations=50_000).fill(field(values))
        for factor in (1.0, 1.5, 0.0)
    )
    for filled in (plain, given_factor):
        np.testing.assert_allclose(filled.values, chosen.values, atol=5e-5)
        assert filled.notes["converged"]
    counts = [filled.notes["iterations"] for filled in (plain, given_factor, chosen)]
    assert counts[0] > 2 * counts[1] > 4 * counts[2]


def test_observed_cells_keep_their_bits():
    gappy = scattered(offset=290.0, dtype=np.float32)
    filled = fill_maps(gappy, Relaxation())
    observed = gappy.observed
    np.testing.assert_array_equal(
        filled.values[observed].view(np.uint32), gappy.values[observed].view(np.uint32)
    )
    assert filled.values.dtype == np.float32 and filled.notes["clipped"] == 0


def test_a_map_without_values_stays_missing():
    values = np.array([[[1.0, N]], [[N, N]]])
    filled = Relaxation().fill(field(values))
    np.testing.assert_array_equal(filled.values[:, 0], [[1, 1], [N, N]])
    assert filled.notes["unreached_cells"] == 2


def test_nothing_missing_is_no_work():
    notes = Relaxation().fill(field([[1, 2]])).notes
    assert notes["converged"] and notes["iterations"] == 0


def test_the_registry_has_it():
    method = make_method("relaxation", {"over_relaxation": 1.5})
    assert method == Relaxation(over_relaxation=1.5) and FillFlag.RELAXATION.meaning == "relaxation"
    assert FillFlag.RELAXATION == 16 and FillFlag.RELAXATION.is_filled
    with pytest.raises(InputError, match="it takes over_relaxation, tolerance, max_iterations"):
        make_method("relaxation", {"omega": 1.5})


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"over_relaxation": 2.0}, "below 2, found 0.0001 and 2.0"),
        ({"over_relaxation": -0.1}, "at least 0"),
        ({"over_relaxation": N}, "at least 0"),
        ({"tolerance": 0.0}, "tolerance above 0"),
        ({"tolerance": N}, "tolerance above 0"),
        ({"max_iterations": 0}, "max_iterations must be at least 1"),
    ],
)
def test_refusals(parameters, words):
    with pytest.raises(InputError, match=words):
        Relaxation(**parameters)
