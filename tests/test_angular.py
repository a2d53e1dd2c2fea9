"""Angular spectra of errors on a globe."""

import numpy as np
import pytest

pytest.importorskip("healpy")

from datetime import date

from seaice.fields.options import ReadOptions
from seaice.fields.read import read_gappy
from seaice.scoring.angular import compute_angular_spectra
from seaice.scoring.gaps import cut_gaps
from seaice.scoring.pictures import draw_scores, is_globe
from seaice.scoring.score import score_fills
from seaice.scoring.shapes import GapSettings
from seaice.simulate.sst import write_sst


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    made = write_sst(tmp_path_factory.mktemp("s"), [date(2024, 6, d) for d in range(1, 7)], step=2.0)
    field = read_gappy(made.l3s, ReadOptions(mask_file=made.l4)).field
    held_out = cut_gaps(field, ["clouds"], grid=None, settings=GapSettings(cloud_share=1.0), seed=0)
    methods = {"temporal": {"method": "temporal"}, "gaussian": {"method": "gaussian"}}
    return score_fills(field, held_out, methods, own_process=False)


@pytest.mark.slow
def test_power_of_errors_lies_below_that_of_the_truth(scores):
    degree, power = compute_angular_spectra(scores)
    assert list(power) == ["truth", "temporal", "gaussian"]
    assert degree[0] == 0 and len(degree) == len(power["truth"])
    low = slice(1, 6)
    for label in ("temporal", "gaussian"):
        assert (power[label][low] < power["truth"][low] / 10).all()


def test_twice_the_error_is_four_times_the_power(scores):
    _, power = compute_angular_spectra(scores)
    run = next(run for run in scores.finished_runs if run.label == "temporal")
    before = run.values.copy()
    run.values[:] = scores.cells.truth + 2 * (before - scores.cells.truth)
    try:
        _, doubled = compute_angular_spectra(scores)
    finally:
        run.values[:] = before
    np.testing.assert_allclose(doubled["temporal"], 4 * power["temporal"], rtol=1e-4)
    np.testing.assert_array_equal(doubled["gaussian"], power["gaussian"])


@pytest.mark.slow
def test_a_globe_gets_angular_spectra(scores, tmp_path):
    assert is_globe(scores, None)
    assert draw_scores(scores, tmp_path / "s.png") == []
