"""Local regression against a plain reference, and against pyinterp where it is installed."""

import numpy as np
import pytest

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.field import GappyField
from seaice.gapfill.field.loess import Loess
from seaice.gapfill.methods import fill_maps
from seaice.runtime import threads


def gappy(seed=0, shape=(2, 40, 50), share=0.6, offset=0.0, dtype=np.float64, **more) -> GappyField:
    random = np.random.default_rng(seed)
    values = (offset + random.normal(size=shape)).astype(dtype)
    values[random.random(shape) < share] = np.nan
    sea = random.random(shape[1:]) < 0.9
    return GappyField(values, sea, np.arange(float(shape[0])), **more)


def slow(values, sea, nx, ny, wraps=False, degree=0):
    """The formula, cell by cell; degree 1 by weighted least squares."""
    made = np.where(sea, values, np.nan)
    rows, columns = values.shape
    for y, x in zip(*np.nonzero(sea & np.isnan(values)), strict=True):
        design, known, weights = [], [], []
        for q in range(max(0, y - ny), min(rows, y + ny + 1)):
            for p in range(x - nx, x + nx + 1):
                if not (wraps or 0 <= p < columns):
                    continue
                c = p % columns
                d = np.sqrt(((p - x) / nx) ** 2 + ((q - y) / ny) ** 2)
                if d <= 1 and sea[q, c] and np.isfinite(values[q, c]):
                    weights.append((1 - d**3) ** 3)
                    design.append([1.0, p - x, q - y])
                    known.append(values[q, c])
        if sum(weights) > 0:
            made[y, x] = np.average(known, weights=weights)
            if degree:
                root = np.sqrt(weights)[:, None]
                design = np.array(design)[:, : 1 + 2 * degree]
                made[y, x] = np.linalg.lstsq(design * root, known * root[:, 0], rcond=None)[0][0]
    return made


def test_a_hand_written_window():
    values = np.array([[[1.0, np.nan, 4.0]]])
    made = Loess(nx=2, ny=1).fill(GappyField(values, np.ones((1, 3), bool), np.zeros(1)))
    assert made.values[0, 0, 1] == pytest.approx(2.5) and made.flag[0, 0, 1] == FillFlag.LOESS
    values = np.array([[[1.0, np.nan, np.nan, 4.0]]])
    made = Loess(nx=3, ny=1).fill(GappyField(values, np.ones((1, 4), bool), np.zeros(1)))
    one, two = (1 - (1 / 3) ** 3) ** 3, (1 - (2 / 3) ** 3) ** 3
    assert made.values[0, 0, 1] == pytest.approx((one * 1 + two * 4) / (one + two))


@pytest.mark.slow
@pytest.mark.parametrize(("nx", "ny", "wraps"), [(5, 5, False), (3, 7, True), (1, 4, False)])
def test_equals_the_plain_reference(nx, ny, wraps):
    field = gappy(wraps=wraps)
    made = Loess(nx=nx, ny=ny).fill(field)
    for t in range(2):
        truth = slow(field.values[t], field.sea, nx, ny, wraps)
        np.testing.assert_allclose(made.values[t], truth, rtol=1e-12, atol=1e-12)


def test_degree_one_is_weighted_least_squares_and_keeps_planes():
    field = gappy(seed=3, shape=(1, 20, 24), share=0.4)
    made = Loess(nx=5, ny=4, degree=1).fill(field).values[0]
    np.testing.assert_allclose(made, slow(field.values[0], field.sea, 5, 4, degree=1), atol=1e-8)
    y, x = np.mgrid[:20, :24]
    plane = GappyField(np.where(np.isnan(field.values), np.nan, 2 * x - 3.0 * y), field.sea, np.zeros(1))
    made = Loess(degree=1).fill(plane).values[0]
    np.testing.assert_allclose(made[field.sea], (2 * x - 3.0 * y)[field.sea], atol=1e-9)


def test_degree_one_of_cells_in_a_line_is_their_mean():
    values = np.full((1, 3, 5), np.nan)
    values[0, 0] = [1, 2, 3, 4, 5]
    field = GappyField(values, np.ones((3, 5), bool), np.zeros(1))
    line, mean = (Loess(nx=3, ny=3, degree=d).fill(field).values[0, 2] for d in (1, 0))
    np.testing.assert_allclose(line, mean)


def test_land_is_never_used():
    field = gappy()
    other = field.values.copy()
    other[:, ~field.sea] = 1e9
    made, again = (Loess().fill(GappyField(v, field.sea, field.days)) for v in (field.values, other))
    np.testing.assert_array_equal(made.values, again.values)
    assert np.isnan(made.values[:, ~field.sea]).all()


def test_growth_does_not_cross_land():
    values = np.full((1, 1, 7), np.nan)
    values[0, 0, 0] = 5.0
    sea = np.array([[True, True, False, False, True, True, True]])
    made = Loess(nx=2, ny=1, passes=9).fill(GappyField(values, sea, np.zeros(1)))
    np.testing.assert_array_equal(made.values[0, 0], [5, 5] + 5 * [np.nan])


@pytest.mark.slow
def test_threads_do_not_matter():
    field = gappy(shape=(1, 200, 90), share=0.8)
    made = []
    for count in (1, 2, 5):
        threads.use_threads(count)
        made.append(Loess(nx=6, ny=6, degree=1, passes=3).fill(field).values)
    threads.use_threads(None)
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], made[2])


def test_an_empty_window_says_nothing_until_a_later_pass():
    values = np.full((1, 1, 9), np.nan)
    values[0, 0, 0] = 5.0
    field = GappyField(values, np.ones((1, 9), bool), np.zeros(1))
    once = Loess(nx=3, ny=1).fill(field)
    assert np.isfinite(once.values[0, 0]).tolist() == [True] * 3 + [False] * 6
    grown = Loess(nx=3, ny=1, passes=9).fill(field)
    assert (grown.values == 5.0).all() and grown.notes["passes"] == 3 + 1


def test_observed_cells_keep_their_bits_and_means_stay_within():
    field = gappy(offset=290.0, dtype=np.float32)
    made = fill_maps(field, Loess(nx=4, ny=4))
    seen = field.observed
    np.testing.assert_array_equal(made.values[seen].view(np.uint32), field.values[seen].view(np.uint32))
    assert made.values.dtype == np.float32
    low, high = field.values[seen].min(), field.values[seen].max()
    filled = made.values[made.flag == FillFlag.LOESS]
    assert filled.size and (filled >= low).all() and (filled <= high).all()


def test_a_map_without_values_stays_missing():
    field = gappy()
    values = field.values.copy()
    values[1] = np.nan
    made = Loess().fill(GappyField(values, field.sea, field.days))
    assert np.isnan(made.values[1]).all() and np.isfinite(made.values[0][field.sea]).all()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"nx": 1, "ny": 1}, "no neighbour"),
        ({"nx": 0}, "at least 1"),
        ({"nx": 51}, "wider than the map of 50 x 40"),
        ({"ny": 41}, "wider"),
        ({"degree": 2}, "degree"),
        ({"passes": 0}, "passes"),
    ],
)
def test_refusals(parameters, words):
    with pytest.raises(InputError, match=words):
        Loess(**parameters).fill(gappy())


def test_a_window_may_not_meet_itself_around_a_circle():
    with pytest.raises(InputError, match="wider"):
        Loess(nx=25).fill(gappy(wraps=True))


def test_equals_pyinterp():
    pyinterp = pytest.importorskip("pyinterp")
    fill = pytest.importorskip("pyinterp.fill")
    field = gappy(shape=(1, 40, 50))
    field = GappyField(field.values, np.ones((40, 50), bool), field.days)
    grid = np.ascontiguousarray(field.values[0].T)
    if hasattr(fill, "Loess"):
        theirs = fill.loess(grid, nx=5, ny=4, max_iterations=1, is_periodic=False)
    else:
        axes = (pyinterp.Axis(np.arange(50.0)), pyinterp.Axis(np.arange(40.0)))
        theirs = fill.loess(pyinterp.Grid2D(*axes, grid), nx=5, ny=4)
    ours = Loess(nx=5, ny=4).fill(field).values[0]
    # pyinterp mirrors the window at the borders.
    inside = (slice(4, -4), slice(5, -5))
    np.testing.assert_allclose(ours[inside], np.asarray(theirs).T[inside], rtol=1e-10)
