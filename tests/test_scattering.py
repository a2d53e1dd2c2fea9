"""Synthesis by scattering statistics, on small spheres and a small region."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.field import GappyField
from seaice.gapfill.methods import fill_maps
from seaice.gapfill.sphere import lbfgs, scattering
from seaice.gapfill.sphere.scattering import Scattering

healpy = pytest.importorskip("healpy")
torch = pytest.importorskip("torch")

NSIDE = 8
CELLS = 12 * NSIDE**2


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Index tables of the library, made once; the first import warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("foscat.scat_cov")
    return tmp_path_factory.mktemp("foscat")


def red_noise(seed, nside=NSIDE):
    """A random field whose power falls with the degree, unit variance, nested."""
    rng = np.random.default_rng(seed)
    degree = np.arange(3 * nside)
    alm = healpy.almxfl(
        rng.normal(size=healpy.Alm.getsize(3 * nside - 1)) * (1 + 0j), (degree + 2.0) ** -1.3
    )
    field = healpy.reorder(healpy.alm2map(alm, nside), r2n=True)
    return (field - field.mean()) / field.std()


def gap_of(seed, nside=NSIDE, share=0.4):
    smooth = healpy.reorder(healpy.ud_grade(red_noise(seed, nside), nside), r2n=False, n2r=True)
    smooth = healpy.reorder(healpy.smoothing(smooth, fwhm=0.4), r2n=True)
    return smooth < np.quantile(smooth, share)


def sphere_field(days=1, nside=NSIDE, offset=5.0):
    """Maps on the centres of all cells, with a little land."""
    lon, lat = healpy.pix2ang(nside, np.arange(12 * nside**2), nest=True, lonlat=True)
    truth = np.stack([offset + 2 * red_noise(10 + t, nside) for t in range(days)])
    gaps = np.stack([gap_of(50 + t, nside) for t in range(days)])
    land = (np.abs(lat) < 25) & (np.abs(lon - 200) < 25)
    values = np.where(gaps, np.nan, truth)[:, None]
    return truth, GappyField(values, ~land[None], np.arange(float(days)), lat[None], lon[None])


def fill(field, cache, **options):
    given = {"nside": NSIDE, "iterations": 20, "norient": 2, "cache_dir": cache}
    if "start_field" not in options:
        given["start"] = "harmonic"
        options.setdefault("start_field", flat_start(field))
    arrays = {n: options.pop(n) for n in ("start_field", "reference_values") if n in options}
    return fill_maps(field, Scattering(**{**given, **options}), **arrays)


def flat_start(field):
    """The mean of each map: a start with no texture at all."""
    mean = np.nanmean(np.where(field.observed, field.values, np.nan), axis=(1, 2), keepdims=True)
    return np.broadcast_to(mean, field.values.shape)


@pytest.fixture(scope="module")
def made(cache):
    truth, field = sphere_field()
    return truth, field, fill(field, cache)


def test_it_lowers_the_loss_and_nears_the_statistics(made):
    _, field, filled = made
    notes = filled.notes
    assert notes["loss_end"][0] < 0.5 * notes["loss_start"][0]
    assert notes["distance_end"][0] < 0.3 * notes["distance_start"][0]
    texture = filled.values[field.missing].std() / field.values[field.observed].std()
    assert 0.5 < texture < 1.5


def test_observed_cells_keep_their_bits_and_land_stays_out(made):
    _, field, filled = made
    observed = field.observed
    assert np.array_equal(filled.values[observed], field.values[observed])
    assert (filled.flag[field.missing] == FillFlag.SCATTERING).all()
    assert np.isnan(filled.values[:, ~field.sea]).all()
    assert np.isfinite(filled.values[field.missing]).all()


def test_same_seed_same_bits_for_any_number_of_threads(made, cache):
    _, field, filled = made
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        again = fill(field, cache)
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(again.values, filled.values, equal_nan=True)


def test_stop_and_resume_change_nothing(made, cache, tmp_path, monkeypatch):
    _, field, filled = made
    path = tmp_path / "scattering.pt"
    keep = lbfgs.Checkpoint.keep

    def stopped(self, key, state):
        keep(self, key, state)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(lbfgs.Checkpoint, "keep", stopped)
        fill(field, cache, checkpoint_file=path)
    assert path.is_file()
    resumed = fill(field, cache, checkpoint_file=path)
    assert np.array_equal(resumed.values, filled.values, equal_nan=True)
    assert resumed.notes["loss_end"] == filled.notes["loss_end"]
    # A finished one is only read.
    monkeypatch.setattr(scattering, "descend", None)
    assert np.array_equal(fill(field, cache, checkpoint_file=path).values, filled.values, equal_nan=True)
    with pytest.raises(InputError, match="another field or other parameters"):
        fill(field, cache, checkpoint_file=path, continuity=0.2)
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match="something else"):
        fill(field, cache, checkpoint_file=path)


def test_other_days_speak_only_with_what_they_observed(cache):
    """Changing every value that is hidden, and the map's own hidden truth, changes nothing."""
    truth, field = sphere_field(days=3)
    options = {"reference": "other_days", "iterations": 1, "start": "harmonic", "start_field": None}
    results = []
    for junk in (0.0, 1e4):
        hidden = np.where(np.isnan(field.values[:, 0]), junk, truth)
        values = np.where(field.missing, np.nan, hidden[:, None])
        results.append(fill(replace(field, values=values), cache, **options).values)
    assert np.array_equal(results[0], results[1], equal_nan=True)
    # A map's own observed values are no part of its target, those of the others are.
    work = work_of(field, cache)
    target = work.target(0, "other_days", None).coefficients
    rng = np.random.default_rng(0)
    for day, same in ((0, True), (1, False)):
        values = field.values.copy()
        seen = field.observed[day]
        # Values change places: the mean and the spread, which are the map's unit, stay.
        values[day, seen] = rng.permutation(values[day, seen])
        changed = work_of(replace(field, values=values), cache).target(0, "other_days", None)
        assert torch.allclose(changed.coefficients, target, rtol=1e-9) == same


def work_of(field, cache):
    cells = scattering.sphere.aggregate(field, nside=NSIDE)
    region = scattering.make_region(cells)
    operator = scattering.statistics.Operator(
        nside=NSIDE, ids=region.ids, norient=2, cache_dir=cache, device="cpu"
    )
    whole = np.where(field.observed, field.values, flat_start(field))
    whole[:, ~field.sea] = np.nan
    start = scattering._Start(whole, None, 0)
    return scattering._Work(field, cells, region, operator, start, scattering.Scattering())


def test_a_given_reference_sets_the_texture(cache):
    """Statistics of a field with twice the spread give gaps with more spread."""
    _, field = sphere_field()
    spreads = []
    for factor in (0.5, 2.0):
        reference = factor * 2 * red_noise(77)[None]
        filled = fill(
            field,
            cache,
            reference="given",
            reference_values=reference,
            reference_name="climatology of tests",
            iterations=10,
        )
        assert filled.notes["reference"] == "climatology of tests"
        spreads.append(filled.values[field.missing].std())
    assert spreads[1] > 1.5 * spreads[0]


def test_continuity_draws_borders_together(cache):
    _, field = sphere_field()
    cells = scattering.sphere.aggregate(field, nside=NSIDE)
    beside = scattering.make_region(cells).neighbours
    gap, seen = field.missing[0, 0], field.observed[0, 0]
    steps = []
    for weight in (0.0, 3.0):
        values = fill(field, cache, continuity=weight, iterations=10).values[0, 0]
        rows, columns = np.nonzero(gap[None] & (beside >= 0) & seen[beside])
        steps.append(np.mean((values[columns] - values[beside[rows, columns]]) ** 2))
    assert steps[1] < 0.9 * steps[0]


def test_realisations_give_a_spread(cache):
    _, field = sphere_field()
    options = {"realisations": 3, "iterations": 2}
    one, two = (fill(field, cache, **options, seed=s) for s in (1, 2))
    gap = field.missing
    assert (one.error[gap] > 0).all() and np.isnan(one.error[~gap]).all()
    assert np.array_equal(one.values, two.values, equal_nan=True)
    assert not np.array_equal(one.error, two.error, equal_nan=True)


def test_a_region_takes_a_part_of_the_sphere(cache):
    rng = np.random.default_rng(5)
    lon, lat = np.meshgrid(np.arange(0.0, 30, 0.75), np.arange(30.0, 55, 0.75))
    values = (np.sin(lon) + np.cos(1.3 * lat) + 0.2 * rng.normal(size=lat.shape))[None]
    values[0, 8:20, 10:25] = np.nan
    sea = lat < 52
    field = GappyField(values, sea, np.zeros(1), lat, lon)
    filled = fill(field, cache, nside=32, iterations=10)
    assert filled.notes["cells"] < 12 * 32**2 / 2
    assert filled.notes["distance_end"][0] < filled.notes["distance_start"][0]
    assert np.array_equal(filled.values[field.observed], values[field.observed])
    assert np.isfinite(filled.values[field.missing]).all()


def test_nothing_is_printed_and_home_stays_clean(made, cache, capfd, tmp_path, monkeypatch):
    _, field, _ = made
    monkeypatch.setenv("HOME", str(tmp_path))
    fill(field, cache, iterations=1)
    assert capfd.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


def test_refusals(made, cache, monkeypatch):
    _, field, _ = made
    wrong = [
        ({"start": "scattering"}, "another method as start"),
        ({"reference": "truth"}, "expected a reference of"),
        ({"reference": "given"}, "together with reference_values"),
        ({"reference": "other_days"}, "found one; take observed"),
        ({"realisations": 0}, "at least 1 realisation"),
        ({"observed_share": 0.0}, "observed_share"),
        ({"continuity": -1.0}, "continuity"),
        ({"nside": 3}, "power of two"),
        ({"device": "tpu"}, "device auto, cpu or cuda"),
        ({"start_field": np.zeros((1, 2, 2))}, "start_field of shape"),
    ]
    for options, text in wrong:
        with pytest.raises(InputError, match=text):
            fill(field, cache, **options)
    monkeypatch.setitem(__import__("sys").modules, "foscat.scat_cov", None)
    with pytest.raises(InputError, match=r"seaice-toolbox\[sphere\]"):
        fill(field, cache)
