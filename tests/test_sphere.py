"""HEALPix cells: order, longitude, counts, the way back, files."""

from dataclasses import replace

import netCDF4
import numpy as np
import pytest

from seaice import InputError
from seaice.gapfill.field import GappyField
from seaice.gapfill.sphere import (
    cells as sphere,
)
from seaice.gapfill.sphere import (
    healpix_file,
)

healpy = pytest.importorskip("healpy")


def box(rows=40, columns=60, spacing=0.5, west=-20.0, south=30.0):
    """A regular grid whose value is its latitude plus a tenth of its longitude."""
    lon, lat = np.meshgrid(
        west + spacing * np.arange(columns), south + spacing * np.arange(rows), indexing="xy"
    )
    values = (lat + lon / 10)[None]
    return GappyField(values, np.ones(lat.shape, bool), np.zeros(1), lat, lon)


def test_known_places():
    """Nested number 1016 at level 4 (healpy, healpix-geo and cdshealpix agree)."""
    place = GappyField(
        np.array([[[5.0]]]),
        np.ones((1, 1), bool),
        np.zeros(1),
        np.full((1, 1), 75.0),
        np.full((1, 1), -60.0),
    )
    assert sphere.aggregate(place, nside=16).ids.tolist() == [1016]
    # The mirrored longitude of the earlier system, and the ring order, lie elsewhere.
    mirrored = replace(place, longitude=360 - place.longitude)
    assert sphere.aggregate(mirrored, nside=16).ids.tolist() != [1016]
    assert healpy.ang2pix(16, -60.0, 75.0, nest=False, lonlat=True) != 1016
    # The base cells of the equator begin at longitude 0 with number 4 and go east.
    for lon, cell in ((0.0, 4), (90.0, 5), (180.0, 6), (-90.0, 7)):
        east = replace(place, latitude=np.zeros((1, 1)), longitude=np.full((1, 1), lon))
        assert sphere.aggregate(east, nside=1).ids.tolist() == [cell]


def test_healpix_geo_agrees():
    nested = pytest.importorskip("healpix_geo.nested")
    field = box(west=-20.01, south=30.01)  # no point on a border of base cells
    cells = sphere.aggregate(field, nside=64)
    other = nested.lonlat_to_healpix(
        field.longitude.ravel(), field.latitude.ravel(), 6, ellipsoid="sphere"
    )
    assert np.array_equal(cells.ids[cells.cell_of_point.ravel()], other.astype(np.int64))


def test_means_and_counts_equal_a_loop():
    rng = np.random.default_rng(3)
    field = box(12, 15, 2.0)
    sea = rng.random(field.sea.shape) > 0.3
    values = np.where(rng.random((2, *sea.shape)) > 0.4, rng.normal(size=(2, *sea.shape)), np.nan)
    field = GappyField(values, sea, np.arange(2.0), field.latitude, field.longitude)
    cells = sphere.aggregate(field, nside=8)
    number = healpy.ang2pix(8, field.longitude, field.latitude, nest=True, lonlat=True)
    assert cells.ids.tolist() == sorted(set(number[sea]))
    for i, cell in enumerate(cells.ids):
        inside = number == cell
        assert cells.points[i] == inside.sum()
        assert cells.sea_points[i] == (inside & sea).sum()
        for t in range(2):
            found = values[t][inside & sea]
            found = found[np.isfinite(found)]
            assert cells.observed_points[t, i] == found.size
            assert cells.observed_share[t, i] == found.size / cells.sea_points[i]
            if found.size:
                assert cells.values[t, i] == pytest.approx(found.mean(), rel=1e-12)
            else:
                assert np.isnan(cells.values[t, i])
    assert (cells.cell_of_point[~sea] == -1).all()


def test_missing_is_never_zero_and_order_does_not_matter():
    field = box()
    values = field.values.copy()
    values[:, :20] = np.nan
    cells = sphere.aggregate(replace(field, values=values), nside=32)
    assert np.isnan(cells.values[cells.observed_points == 0]).all()
    turned = replace(
        field,
        values=values[:, ::-1],
        latitude=field.latitude[::-1],
        longitude=field.longitude[::-1] + 360,
    )
    again = sphere.aggregate(turned, nside=32)
    assert np.array_equal(again.ids, cells.ids)
    assert np.allclose(again.values, cells.values, rtol=1e-13, equal_nan=True)


def test_nside_follows_the_grid():
    tenth = box(30, 30, 0.1, south=0.0)
    assert sphere.choose_nside(tenth.latitude, tenth.longitude, tenth.sea) == 256
    coarse = box(30, 30, 1.0, south=-15.0)
    assert sphere.choose_nside(coarse.latitude, coarse.longitude, coarse.sea) == 16
    # At 60 degrees north the meridians are half as far apart.
    north = box(30, 30, 0.1, south=60.0)
    assert sphere.choose_nside(north.latitude, north.longitude, north.sea) == 256


def test_back_to_points_is_bilinear():
    field = box(120, 160, 0.25)
    smooth = np.sin(np.radians(6 * field.latitude)) * np.cos(np.radians(5 * field.longitude))
    cells = sphere.aggregate(replace(field, values=smooth[None]), nside=64)
    errors = []
    for nearest in (False, True):
        back = sphere.to_points(
            cells.ids,
            cells.values[0],
            64,
            field.latitude.ravel(),
            field.longitude.ravel(),
            nearest=nearest,
        ).reshape(smooth.shape)
        errors.append(np.sqrt(np.mean((back - smooth)[8:-8, 8:-8] ** 2)))
    assert errors[0] < errors[1] / 4
    # A cell without a value is left out, not taken as 0.
    holed = np.where(np.arange(cells.ids.size) % 3 == 0, np.nan, 7.0)
    back = sphere.to_points(cells.ids, holed, 64, field.latitude.ravel(), field.longitude.ravel())
    assert np.allclose(back[np.isfinite(back)], 7.0, rtol=1e-12)
    assert np.isfinite(back).mean() > 0.95


def test_spectrum_of_part_of_the_sphere_has_the_height_of_the_whole():
    nside = 32
    rng = np.random.default_rng(1)
    ids, noise = np.arange(12 * nside**2), rng.normal(size=12 * nside**2)
    _, whole = sphere.angular_spectrum(ids, noise, nside)
    part = np.where(healpy.pix2ang(nside, ids, nest=True, lonlat=True)[1] > 0, noise, np.nan)
    degree, half = sphere.angular_spectrum(ids, part, nside)
    assert degree[-1] == 2 * nside
    assert half[10:].mean() == pytest.approx(whole[10:].mean(), rel=0.1)
    # Nested values in ring order would lose this peak at degree 3.
    x = healpy.pix2vec(nside, ids, nest=True)[2]
    _, peak = sphere.angular_spectrum(ids, 5 * x**3 - 3 * x, nside)
    assert peak.argmax() == 3 and peak[3] > 100 * np.delete(peak, 3).max()
    with pytest.raises(InputError, match="found none"):
        sphere.angular_spectrum(ids, np.full(ids.size, np.nan), nside)


def test_refusals(monkeypatch):
    field = box(4, 4)
    with pytest.raises(InputError, match="power of two"):
        sphere.aggregate(field, nside=12)
    with pytest.raises(InputError, match="latitude and longitude"):
        sphere.aggregate(replace(field, latitude=None))
    wrong = field.latitude.copy()
    wrong[0, 0] = np.nan
    with pytest.raises(InputError, match="1 sea cells without"):
        sphere.aggregate(replace(field, latitude=wrong))
    with pytest.raises(InputError, match="sea cells, found none"):
        sphere.aggregate(replace(field, sea=np.zeros((4, 4), bool)))
    monkeypatch.setitem(__import__("sys").modules, "healpy", None)
    with pytest.raises(InputError, match=r"seaice-toolbox\[sphere\]"):
        sphere.healpy()


def write_box(path):
    cells = sphere.aggregate(box(), nside=32)
    healpix_file.write_cells(
        path,
        nside=32,
        ids=cells.ids,
        variables=healpix_file.cell_variables(cells),
        days=np.array([19000.5]),
        variable_attributes={"mean": {"units": "degree_Celsius"}},
    )
    return cells


def test_file_of_cells_comes_back(tmp_path):
    cells = write_box(tmp_path / "cells.nc")
    nside, ids, days, variables = healpix_file.read_cells(tmp_path / "cells.nc")
    with netCDF4.Dataset(tmp_path / "cells.nc") as dataset:
        assert dataset["mean"].units == "degree_Celsius"
        assert dataset["points"].units == "1"
    plain = tmp_path / "plain.nc"
    healpix_file.write_cells(plain, nside=32, ids=ids, variables={"mean": variables["mean"]}, days=days)
    with netCDF4.Dataset(plain) as dataset:
        assert "units" not in dataset["mean"].ncattrs(), "nobody named any"
    assert nside == 32 and days.tolist() == [19000.5]
    assert np.array_equal(ids, cells.ids)
    assert np.array_equal(variables["mean"], cells.values, equal_nan=True)
    assert np.array_equal(variables["observed_points"], cells.observed_points)
    with pytest.raises(InputError, match="no such file"):
        healpix_file.read_cells(tmp_path / "none.nc")
    with pytest.raises(InputError, match="of shape"):
        healpix_file.write_cells(
            tmp_path / "x.nc", nside=32, ids=ids, variables={"a": np.zeros(3)}, days=days
        )
    with pytest.raises(InputError, match="cell numbers"):
        healpix_file.write_cells(tmp_path / "x.nc", nside=2, ids=ids, variables={}, days=days)


@pytest.mark.filterwarnings("ignore")
def test_xdggs_opens_the_file(tmp_path):
    xdggs = pytest.importorskip("xdggs")
    xarray = pytest.importorskip("xarray")
    write_box(tmp_path / "cells.nc")
    with xarray.open_dataset(tmp_path / "cells.nc") as dataset:
        lon, lat = healpy.pix2ang(32, dataset["cell_ids"].values, nest=True, lonlat=True)
        for convention in ("xdggs", "cf"):
            decoded = xdggs.decode(dataset, convention=convention)
            assert decoded.dggs.grid_info.level == 5
            centres = decoded.dggs.cell_centers()
            assert np.allclose(centres["latitude"], lat, atol=1e-10)
            assert np.allclose((centres["longitude"] - lon + 180) % 360 - 180, 0, atol=1e-10)
