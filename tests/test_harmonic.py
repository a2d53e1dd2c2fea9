"""Spherical harmonics: exactness, conventions, conditioning, refusals, a small basin."""

from dataclasses import replace

import numpy as np
import pytest

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.field import GappyField
from seaice.gapfill.methods import fill_maps
from seaice.gapfill.sphere import cells as sphere
from seaice.gapfill.sphere import harmonic
from seaice.gapfill.sphere.harmonic import Harmonic
from seaice.grids.sphere import compute_unit_vectors

healpy = pytest.importorskip("healpy")


def limited(lmax, seed, latitude, longitude):
    """Random harmonics up to lmax by scipy, scaled so that the field is of order 1."""
    from scipy.special import sph_harm_y

    rng = np.random.default_rng(seed)
    theta, phi = np.radians(90 - latitude), np.radians(longitude)
    total = np.zeros(theta.shape)
    for degree in range(lmax + 1):
        for m in range(degree + 1):
            a, b = rng.normal(size=2) / (1 + degree)
            y = sph_harm_y(degree, m, theta, phi)
            total += a * y.real + b * y.imag
    return 10 + total


def clouds(nside, share, seed):
    """True in a share of the cells, in patches of about 15 degrees; nested."""
    rng = np.random.default_rng(seed)
    place = np.stack(healpy.pix2vec(nside, np.arange(12 * nside**2), nest=True), axis=1)
    middle = rng.normal(size=(150, 3))
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    bumps = np.exp(30 * (place @ middle.T - 1)) @ rng.normal(size=150)
    return bumps < np.quantile(bumps, share)


def on_cells(nside, values, gap):
    """A field whose grid points are the centres of the cells themselves."""
    lon, lat = healpy.pix2ang(nside, np.arange(12 * nside**2), nest=True, lonlat=True)
    held = np.where(gap, np.nan, values)[None, None]
    return GappyField(held, np.ones((1, lon.size), bool), np.zeros(1), lat[None], lon[None])


def centres(nside):
    lon, lat = healpy.pix2ang(nside, np.arange(12 * nside**2), nest=True, lonlat=True)
    return lat, lon


@pytest.mark.slow
def test_basis_is_scipys():
    from scipy.special import sph_harm_y

    rng = np.random.default_rng(0)
    theta, phi = np.pi * rng.random(50), 2 * np.pi * rng.random(50)
    theta[:2] = 0, np.pi
    found = harmonic.real_harmonics(theta, phi, 60)
    for row, (degree, m) in enumerate(zip(*harmonic.degrees_and_orders(60), strict=True)):
        y = sph_harm_y(degree, abs(m), theta, phi) * (-1.0) ** m
        want = y.real if m == 0 else np.sqrt(2) * (y.real if m > 0 else y.imag)
        assert np.allclose(found[row], want, atol=1e-11), (degree, m)


@pytest.mark.slow
def test_limited_field_is_recovered_through_clouds():
    nside, lmax = 32, 15
    truth = limited(lmax, 1, *centres(nside))
    gap = clouds(nside, 0.45, 2)
    field = on_cells(nside, truth, gap)
    made = fill_maps(field, Harmonic(lmax=lmax, nside=nside, regularisation=0.0))
    error = np.abs(made.values[0, 0] - truth)
    assert error[gap].max() < 1e-9
    assert np.array_equal(made.values[0, 0][~gap], truth[~gap])
    assert made.notes["condition_number"][0] < 1e6
    assert made.error is None
    assert (made.flag[0, 0][gap] == FillFlag.HARMONIC).all()


@pytest.mark.slow
def test_mirror_and_ring_order_are_found_out():
    """The mix-ups of the earlier system: fit in one order or longitude, read in the other."""
    nside, lmax = 16, 8
    lat, lon = centres(nside)
    truth = limited(lmax, 1, lat, lon)
    gap = clouds(nside, 0.45, 3)
    field = on_cells(nside, truth, gap)

    def error(**changed):
        made = fill_maps(replace(field, **changed), Harmonic(lmax=lmax, nside=nside, regularisation=0))
        return np.sqrt(np.mean((made.values[0, 0] - truth)[gap] ** 2))

    assert error() < 1e-9
    ring = healpy.pix2ang(nside, np.arange(lat.size), nest=False, lonlat=True)
    assert error(longitude=ring[0][None], latitude=ring[1][None]) > 0.3
    # A mirror of both sides of the fit cancels out; cells with true longitudes show it.
    mirrored = replace(field, longitude=-field.longitude)
    made = fill_maps(mirrored, Harmonic(lmax=lmax, nside=nside, regularisation=0))
    cells = sphere.aggregate(replace(mirrored, values=made.values), nside=nside)
    true = sphere.aggregate(replace(field, values=truth[None, None]), nside=nside)
    at = np.searchsorted(cells.ids, true.ids)
    assert np.sqrt(np.mean((cells.values[0, at] - true.values[0]) ** 2)) > 0.3


def test_harmonics_sit_at_true_places():
    """x is 1 at longitude 0, y at 90 degrees east, z at the north pole."""
    places = compute_unit_vectors(np.array([0.0, 0.0, 90.0]), np.array([0.0, 90.0, 0.0]), axis=-1)
    assert np.allclose(places, np.eye(3), atol=1e-12)
    theta, phi = np.radians([90.0, 90.0, 0.0]), np.radians([0.0, 90.0, 0.0])
    found = harmonic.real_harmonics(theta, phi, 1) / np.sqrt(3 / (4 * np.pi))
    assert np.allclose(found[1:], [[0, 1, 0], [0, 0, 1], [1, 0, 0]], atol=1e-12)


def test_held_out_truth_is_not_seen():
    nside = 16
    gap = clouds(nside, 0.3, 4)
    truth = limited(6, 5, *centres(nside))
    fields = [on_cells(nside, np.where(gap, junk, truth), gap) for junk in (0.0, 1e6)]
    one, two = (fill_maps(f, Harmonic(lmax=6, nside=nside)) for f in fields)
    assert np.array_equal(one.values, two.values)


@pytest.mark.slow
def test_penalty_is_chosen_and_tells_its_error():
    nside = 16
    rng = np.random.default_rng(0)
    lat, lon = centres(nside)
    truth = limited(6, 7, lat, lon)
    gap = clouds(nside, 0.45, 8)
    field = on_cells(nside, truth + rng.normal(size=truth.size) * 0.1, gap)
    made = fill_maps(field, Harmonic(lmax=16, nside=nside))
    plain = fill_maps(field, Harmonic(lmax=16, nside=nside, regularisation=1e-7))
    error = [np.sqrt(np.mean((m.values[0, 0] - truth)[gap] ** 2)) for m in (made, plain)]
    assert error[0] < 0.7 * error[1]
    assert made.notes["condition_number"][0] < plain.notes["condition_number"][0]
    told = made.error[0, 0][gap][0]
    assert np.isnan(made.error[0, 0][~gap]).all()
    assert 0.5 * error[0] < told < 3 * max(error[0], 0.1)


def test_unit_and_offset_do_not_matter():
    field = basin()
    kelvin = replace(field, values=field.values + 273.15, valid_range=(270.15, 318.15))
    one, two = (fill_maps(f, Harmonic(lmax=8)) for f in (field, kelvin))
    assert np.allclose(one.values + 273.15, two.values, atol=1e-6, equal_nan=True)


def basin(share=0.6, seed=2):
    """4 by 6 degrees, three days, mostly clouds."""
    rng = np.random.default_rng(seed)
    lon, lat = np.meshgrid(np.arange(-6, 0, 0.05), np.arange(34, 38, 0.05))
    truth = 18 + np.sin(lon) + 0.5 * np.cos(2 * lat)
    sea = lat < 36.5 + 0.5 * np.sin(lon)
    values = np.stack([truth, truth + 0.3, truth - 0.2])
    for day in values:
        rows, columns = np.indices(lat.shape)
        while np.isnan(day[sea]).mean() < share:
            r, c = rng.integers(lat.shape[0]), rng.integers(lat.shape[1])
            day[(rows - r) ** 2 + (columns - c) ** 2 < 144] = np.nan
    return GappyField(values, sea, np.arange(3.0), lat, lon, valid_range=(-3.0, 45.0))


@pytest.mark.slow
def test_a_small_basin_does_not_blow_up():
    field = basin()
    made = fill_maps(field, Harmonic())
    truth = 18 + np.sin(field.longitude) + 0.5 * np.cos(2 * field.latitude)
    truth = np.stack([truth, truth + 0.3, truth - 0.2])
    error = (made.values - truth)[field.missing]
    mean = (18.3 - truth)[field.missing]
    assert made.notes["coordinates"] == "cap" and made.notes["clipped"] == 0
    assert np.sqrt(np.mean(error**2)) < 0.25 * mean.std()
    assert np.abs(error).max() < 1.5
    assert np.isnan(made.values[:, ~field.sea]).all()
    observed = field.observed
    assert np.array_equal(made.values[observed], field.values[observed])


def test_a_basin_across_the_date_line_is_the_same_basin():
    field = basin()
    east = replace(field, longitude=(field.longitude + 183 + 180) % 360 - 180)
    one, two = (fill_maps(f, Harmonic(lmax=6, nside=512)) for f in (field, east))
    # Other cells, so not the same numbers; the same field.
    assert np.sqrt(np.nanmean((one.values - two.values) ** 2)) < 0.1


def test_an_empty_day_stays_empty():
    field = basin()
    values = field.values.copy()
    values[1] = np.nan
    made = fill_maps(replace(field, values=values), Harmonic(lmax=6))
    assert (made.flag[1][field.sea] == FillFlag.NOT_FILLED).all()
    assert np.isnan(made.notes["condition_number"][1])
    alone = fill_maps(field.only(slice(2, 3)), Harmonic(lmax=6))
    assert np.array_equal(made.values[2], alone.values[0], equal_nan=True)


def test_refusals():
    nside = 8
    truth = limited(3, 1, *centres(nside))
    cap = centres(nside)[0] > 40
    field = on_cells(nside, truth, cap)
    with pytest.raises(InputError, match=r"condition number .* take lmax [0-9]+ or less"):
        fill_maps(
            on_cells(nside, truth, centres(nside)[0] > -20),
            Harmonic(lmax=14, nside=nside, regularisation=0, coordinates="globe"),
        )
    with pytest.raises(InputError, match=r"lmax 30 has 961 coefficients, found .* take lmax 2[0-9]"):
        fill_maps(field, Harmonic(lmax=30, nside=nside, coordinates="globe"))
    for wrong in ({"lmax": 81}, {"lmax": -1}, {"regularisation": -1.0}, {"power": 0.0}):
        with pytest.raises(InputError, match=r"expected .*" + next(iter(wrong))[:5]):
            fill_maps(field, Harmonic(**wrong))
    with pytest.raises(InputError, match="expected coordinates"):
        fill_maps(field, Harmonic(coordinates="plane"))
    with pytest.raises(InputError, match="region"):
        fill_maps(on_cells(nside, truth, cap), Harmonic(coordinates="cap"))


def test_named_degree_is_carried():
    """What a refusal advises works."""
    nside = 8
    lat, lon = centres(nside)
    field = on_cells(nside, limited(3, 1, lat, lon), lat > -20)
    options = {"nside": nside, "regularisation": 0.0, "coordinates": "globe"}
    with pytest.raises(InputError) as refused:
        fill_maps(field, Harmonic(lmax=14, **options))
    advised = int(str(refused.value).split("take lmax ")[1].split()[0])
    made = fill_maps(field, Harmonic(lmax=advised, **options))
    assert made.notes["condition_number"][0] <= harmonic.LARGEST_CONDITION
