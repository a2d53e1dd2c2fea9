"""Cubes in Zarr v3: the same content as in NetCDF, written whole, read by others, damage named."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
import zarr
from cubes import small_grid, write_cube
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zarr_cubes import TEXTS, add_texts, damage, encoded, opened, put, twin

from seaice import (
    InputError,
    cf,
)
from seaice.cube import zarr as cube_zarr
from seaice.cube.file import CubeFile
from seaice.cube.shards import (
    Layout,
    read_shard,
    write_shard,
)
from seaice.cube.zarr import (
    Cube,
    clone,
)
from seaice.flags import (
    FillFlag,
    Surface,
)
from seaice.runtime.atomic_write import (
    atomic,
    exclusive,
)

ROOT = Path(__file__).resolve().parent.parent
DAYS = 4
GRID = small_grid(451, 411, 10000.0)  # two by two tiles of 226 x 206 that reach beyond it


def write_netcdf(path: Path) -> Path:
    random = np.random.default_rng(1)
    surface = np.zeros(GRID.shape, np.uint8)
    surface[:60, :400] = Surface.LAND
    surface[345:356, 300:312] = Surface.POLE_HOLE
    concentration = random.integers(0, 10001, (DAYS, *GRID.shape)) / 10000
    concentration[random.random(concentration.shape) < 0.1] = np.nan
    concentration[2] = np.nan  # a day of nothing but fill values
    flags = np.where(np.isnan(concentration), FillFlag.NOT_FILLED, FillFlag.OBSERVED)
    flags[(random.random(flags.shape) < 0.2) & (flags == FillFlag.OBSERVED)] = FillFlag.POLE_HOLE
    flags[:, surface == Surface.LAND] = FillFlag.LAND
    write_cube(
        path,
        dates=[date(2024, 2, 27 + i) if i < 3 else date(2024, 3, 1) for i in range(DAYS)],
        concentration=concentration,
        surface=surface,
        grid=GRID,
        flags=flags.astype(np.uint8),
        parameters={"method": "temporal", "max_gap_days": 5, "one_sided_days": 3},
    )
    with netCDF4.Dataset(path, "r+") as dataset:
        dataset["days_back_forward"][:] = random.integers(0, 100, (DAYS, *GRID.shape))
        dataset["sea_ice_conc_error"].set_auto_maskandscale(False)
        dataset["sea_ice_conc_error"][:] = random.integers(-1, 128, (DAYS, *GRID.shape))
    return add_texts(path)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A NetCDF cube and its Zarr twin; not changed by the tests."""
    folder = tmp_path_factory.mktemp("pair")
    one = write_netcdf(folder / "c.nc")
    return one, twin(one, folder / "c.zarr")


@pytest.fixture
def own(pair, tmp_path):
    """A Zarr cube of the test's own."""
    return Path(shutil.copytree(pair[1], tmp_path / "c.zarr"))


def names(folder):
    return sorted(p.name for p in folder.iterdir())


# Equal content


def test_two_runs_write_the_same_bytes(pair, tmp_path, monkeypatch):
    """Whatever the time of writing is; only the history holds it."""
    copies = []
    for moment in (1e9, 1.5e9):
        with monkeypatch.context() as clock:
            clock.setattr("time.time", lambda moment=moment: moment)
            copy = twin(pair[0], tmp_path / f"{moment:.0f}.zarr", compression="zlib", lat_lon=True)
        chunks = [path for path in copy.rglob("c*") if path.is_file()]
        copies.append({str(path.relative_to(copy)): path.read_bytes() for path in chunks})
    assert copies[0] == copies[1] and len(copies[0]) > 20
    assert any(content[:2] == b"\x1f\x8b" for content in copies[0].values())
    with CubeFile(tmp_path / "1000000000.zarr") as cube, CubeFile(pair[1]) as whole:
        np.testing.assert_array_equal(cube.surface, whole.surface)
        np.testing.assert_array_equal(cube.concentration(1), whole.concentration(1))


def compare_datasets(one: xr.Dataset, two: xr.Dataset) -> None:
    """Numbers in JSON have no type: xarray opens what has a scale in Zarr in double precision."""
    scaled = {name for name, variable in one.variables.items() if "scale_factor" in variable.encoding}
    assert {"sea_ice_conc", "sea_ice_conc_error"} == scaled
    two = two.assign({name: two[name].astype(np.float32) for name in scaled})
    xr.testing.assert_allclose(one[list(scaled)], two[list(scaled)], rtol=2e-7, atol=0)
    xr.testing.assert_identical(one.drop_vars(scaled), two.drop_vars(scaled))
    assert {n: v.dtype for n, v in one.variables.items() if v.dtype != object} == {
        n: two[n].dtype for n, v in one.variables.items() if v.dtype != object
    }
    for name in scaled:
        assert one[name].attrs.keys() == two[name].attrs.keys()
        for attribute, value in one[name].attrs.items():
            np.testing.assert_array_equal(value, two[name].attrs[attribute])


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["zstd", "zlib", "none"])
def test_xarray_finds_the_netcdf_cube_again(pair, tmp_path, compression):
    path = twin(pair[0], tmp_path / "c.zarr", compression=compression)
    with (
        xr.open_dataset(pair[0]) as one,
        xr.open_zarr(path) as two,
        xr.open_dataset(path) as three,
    ):
        for again in (two, three):
            compare_datasets(one, again)
        assert np.isnan(two.sea_ice_conc[0, :60, :400]).all()
        assert [str(t) for t in two.day_reason.values][::2] == ["", ""]
        assert str(two.day_reason.values[1]).startswith("øöß, more")
        assert len(str(two.day_reason.values[1]).encode()) <= 160
        assert str(two.time.values[-1]).startswith("2024-03-01")
    with xr.open_dataset(path, decode_cf=False) as stored:
        for name in ("x", "y", "time", "fill_flag", "surface"):
            assert "_FillValue" not in stored[name].attrs, name
        assert stored.sea_ice_conc.attrs["_FillValue"] == -32768


@pytest.mark.slow
def test_latitude_and_longitude(pair, tmp_path):
    with xr.open_zarr(twin(pair[0], tmp_path / "c.zarr", lat_lon=True, days=1), chunks=None) as cube:
        longitude, latitude = GRID.longitude_latitude()
        np.testing.assert_array_equal(cube.lat, latitude)
        np.testing.assert_array_equal(cube.lon, longitude)
        assert {"lat", "lon"} <= set(cube.sea_ice_conc.coords)
    with CubeFile(tmp_path / "c.zarr") as cube:
        np.testing.assert_array_equal(cube.variable("lat"), latitude)


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["zstd", "zlib", "none"])
def test_zarr_python_reads_every_array(pair, tmp_path, compression):
    path = twin(pair[0], tmp_path / "c.zarr", compression=compression)
    group = zarr.open_group(str(path), mode="r", use_consolidated=False)
    with opened(pair[0]) as dataset:
        assert set(group.array_keys()) == set(dataset.variables)
        assert dict(group.attrs) == {k: dataset.getncattr(k) for k in dataset.ncattrs()}
        for name, array in group.arrays():
            if name not in cf.TEXT_WIDTHS:
                np.testing.assert_array_equal(array[...], dataset[name][...], err_msg=name)
        assert group["input_sha256"][:].tolist() == ["", TEXTS["input_sha256"], "", ""]
    daily = group["sea_ice_conc"]
    assert (daily.shards, daily.chunks) == ((1, 452, 412), (1, 226, 206))
    codec = {"zstd": "zstd", "zlib": "gzip", "none": "gzip"}[compression]
    assert [c.to_dict()["name"] for c in daily.compressors] == [codec]
    assert names(path / "fill_flag") == [*(f"c.{i}.0.0" for i in range(DAYS)), "zarr.json"]


def test_cube_file_gives_the_same_from_both(pair):
    with CubeFile(pair[0]) as one, CubeFile(pair[1]) as two:
        assert one.dates == two.dates
        assert one.grid == two.grid
        assert one.attributes == two.attributes
        assert one.parameters == two.parameters
        np.testing.assert_array_equal(one.surface, two.surface)
        np.testing.assert_array_equal(one.ocean, two.ocean)
        parts = [(0,), (-1,), (slice(None),), (slice(1, 3),), (slice(3, 9), slice(340, 360))]
        parts += [(2, slice(0, 226), slice(206, 411)), (1, slice(450, 451), slice(0, 1))]
        parts += [(slice(0, 4, 2), slice(10, 500, 3), slice(-20, None)), (slice(2, 2),)]
        parts += [(0, slice(20, 3, -4)), (slice(None, None, -1), slice(5, 5))]
        for part in parts:
            for read in ("concentration", "flags"):
                a, b = getattr(one, read)(*part), getattr(two, read)(*part)
                assert a.dtype == b.dtype
                np.testing.assert_array_equal(a, b, err_msg=f"{read} {part}")
        for name in ("time_bnds", "days_back_forward", "sea_ice_conc_error", "day_status", "crs"):
            a, b = one.variable(name), two.variable(name)
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        for name in ("time", "surface", "x"):
            np.testing.assert_array_equal(one.variable(name, 2), two.variable(name, 2))
        for name in TEXTS:
            assert one.texts(name) == two.texts(name)
        for meaning, variable in (("observed", "fill_flag"), ("pole_hole", "surface")):
            assert one.flag_value(meaning, variable) == two.flag_value(meaning, variable)
        assert [c.has("surface") and not c.has("lat") for c in (one, two)] == [True, True]
        assert one.index("2024-02-29") == two.index(20240229) == 2
        for cube in (one, two):
            with pytest.raises(InputError, match="it reaches from 2024-02-27 to 2024-03-01"):
                cube.index(20250101)
            with pytest.raises(IndexError):
                cube.concentration(DAYS)
            with pytest.raises(KeyError, match="no flag means"):
                cube.flag_value("invented")


def test_a_result_is_the_callers_own(pair):
    with CubeFile(pair[1]) as cube:
        flags = cube.flags(0)
        flags[:] = 9
        assert not (cube.flags(0) == 9).any()


@pytest.mark.slow
def test_a_cube_laid_out_by_others_is_read_too(pair, tmp_path):
    """Chunked anew by xarray: other chunks, other keys, chunks of fill values left out."""
    with xr.open_dataset(pair[0], decode_times=False, mask_and_scale=False) as cube:
        for variable in cube.variables.values():
            variable.encoding = {}
        cube.to_zarr(
            tmp_path / "c.zarr", encoding={"sea_ice_conc": {"chunks": (2, 300, 300)}}, consolidated=False
        )
    group = zarr.open_group(str(tmp_path / "c.zarr"), mode="r+")
    group["sea_ice_conc"].attrs["_FillValue"] = -32768
    with CubeFile(pair[0]) as one, CubeFile(tmp_path / "c.zarr") as two:
        np.testing.assert_array_equal(one.concentration(slice(0, 3)), two.concentration(slice(0, 3)))
        assert one.dates == two.dates
        assert one.texts("input_sha256") == two.texts("input_sha256")
    with pytest.raises(InputError, match="was not laid out by this toolbox"):
        Cube(tmp_path / "c.zarr")


def test_same_values_at_the_same_places_in_other_readers(pair):
    import rioxarray  # noqa: F401
    from pyproj import Transformer
    from pyresample.utils.cf import load_cf_area

    cells = [(100, 350), (420, 30), (300, 10), (80, 400)]
    with CubeFile(pair[0]) as cube:
        expected = [float(cube.concentration(0)[r, c]) for r, c in cells]
    area, _ = load_cf_area(str(pair[1]), variable="sea_ice_conc")
    to_geographic = Transformer.from_crs(GRID.crs, GRID.crs.geodetic_crs, always_xy=True)
    with xr.open_zarr(pair[1], decode_coords="all", chunks=None) as opened_cube:
        day = opened_cube.sea_ice_conc.isel(time=0)
        assert "3411" in day.rio.crs.to_wkt()
        west, east, south, north = GRID.extent
        assert day.rio.bounds() == pytest.approx((west, south, east, north))
        for (row, column), value in zip(cells, expected, strict=True):
            x, y = GRID.x[column], GRID.y[row]
            assert float(day.sel(x=x, y=y)) == pytest.approx(value, abs=1e-6, nan_ok=True)
            place = area.get_array_indices_from_lonlat(*to_geographic.transform(x, y))
            assert place == (column, row)


# Shards


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_part_of_a_shard_is_the_part_of_the_array(data):
    number = st.integers
    shape, tile = (data.draw(st.tuples(number(1, 30), number(1, 30))) for _ in range(2))
    compression = data.draw(st.sampled_from(["zstd", "zlib", "none"]))
    codec = {"zstd": "zstd", "zlib": "gzip", "none": "gzip"}[compression]
    dtype = data.draw(st.sampled_from(["int16", "uint8"]))
    values = np.arange(shape[0] * shape[1]).reshape(shape).astype(dtype)
    layout = Layout(shape, tile, dtype, codec, 0)
    wide = np.zeros(layout.shard, dtype)
    wide[: shape[0], : shape[1]] = values
    chunks = [
        encoded_tile(wide[y : y + tile[0], x : x + tile[1]], compression)
        for y in range(0, wide.shape[0], tile[0])
        for x in range(0, wide.shape[1], tile[1])
    ]
    bounds = [sorted(data.draw(st.tuples(number(0, n), number(0, n)))) for n in shape]
    rows, columns = (slice(*b) for b in bounds)
    expected = values[rows, columns]
    out = np.full(expected.shape, 77, dtype)
    with tempfile.TemporaryDirectory() as folder:
        write_shard(Path(folder, "c.0.0"), chunks)
        read_shard(Path(folder, "c.0.0"), layout, rows, columns, out)
        assert names(Path(folder)) == ["c.0.0"]
    np.testing.assert_array_equal(out, expected)


def encoded_tile(tile: np.ndarray, compression: str) -> bytes:
    from unittest.mock import patch

    with patch.object(cf, "choose_chunk_shape", return_value=tile.shape):
        return encoded(tile, compression)[0]


def test_the_index_of_a_shard_by_hand(tmp_path):
    """Chunks, then offset and length of each as 64-bit numbers, then CRC32C: the specification."""
    write_shard(tmp_path / "c.0", [b"abc", b"", b"defgh"])
    index = b"".join(n.to_bytes(8, "little") for n in (0, 3, 3, 0, 3, 5))
    import google_crc32c

    checksum = google_crc32c.value(index).to_bytes(4, "little")
    assert (tmp_path / "c.0").read_bytes() == b"abcdefgh" + index + checksum


def test_chunks_that_zarr_python_left_out_are_fill_values(own):
    zarr.open_group(str(own), mode="r+")["sea_ice_conc"][1, :226, :206] = -32768
    with CubeFile(own) as cube:
        assert np.isnan(cube.concentration(1, slice(0, 226), slice(0, 206))).all()
        assert not np.isnan(cube.concentration(1, slice(226, 451), slice(206, 411))).all()


@pytest.mark.slow
def test_days_may_be_put_from_threads(pair, tmp_path):
    path = twin(pair[0], tmp_path / "c.zarr", days=1)
    with opened(pair[0]) as dataset, Cube(path) as cube:
        fields = {n: dataset[n][:] for n in cube_zarr.GRIDDED}
        cube.resize(DAYS)

        def put_day(i: int) -> None:
            cube.put_day(i, {n: encoded(f[i], "zstd") for n, f in fields.items()})

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(put_day, reversed(range(DAYS))))
    with CubeFile(pair[0]) as one, CubeFile(path) as two:
        np.testing.assert_array_equal(one.flags(slice(None)), two.flags(slice(None)))


# Writing


@pytest.mark.slow
@pytest.mark.parametrize("resize_first", [True, False])
def test_an_appended_cube_equals_one_written_at_once(pair, tmp_path, resize_first):
    short = twin(pair[0], tmp_path / "short.zarr", days=2)
    before = {p: p.read_bytes() for p in short.rglob("*") if p.is_file()}
    path = tmp_path / "c.zarr"
    clone(short, path)
    assert (path / "fill_flag" / "c.0.0.0").stat().st_nlink == 2, "days are shared, not copied"
    with Cube(path) as cube:
        assert (cube.days, cube.tiles) == (2, (2, 2))
        if resize_first:
            cube.resize(DAYS)
            with pytest.raises(ValueError, match="expected at least the 4 days there are, found 3"):
                cube.resize(3)
    with opened(pair[0]) as dataset:
        put(dataset, path, 1, DAYS, "zstd")
    with xr.open_dataset(pair[0]) as one, xr.open_zarr(path, chunks=None) as two:
        compare_datasets(one, two)
    assert {p: p.read_bytes() for p in short.rglob("*") if p.is_file()} == before
    with CubeFile(short) as cube:
        assert len(cube.dates) == 2


def test_writing_into_a_clone_leaves_the_original(pair, tmp_path):
    before = {p: p.read_bytes() for p in pair[1].rglob("*") if p.is_file()}
    clone(pair[1], tmp_path / "c.zarr")
    flags = np.full(GRID.shape, FillFlag.SPACETIME_GAUSSIAN, np.uint8)
    with Cube(tmp_path / "c.zarr") as cube:
        cube.put_day(1, {"fill_flag": encoded(flags, "zstd")})
        cube.put_table(1, {"day_status": np.ones(2, np.uint8), "day_reason": ["é" * 200, "late"]})
        cube.annotate({"title": "changed"})
    with CubeFile(tmp_path / "c.zarr") as cube:
        assert (cube.flags(1) == FillFlag.SPACETIME_GAUSSIAN).all()
        assert cube.texts("day_reason") == ["", "é" * 80, "late", ""], "cut to 160 bytes"
        assert cube.variable("day_status", slice(1, 3)).tolist() == [1, 1]
        assert cube.attributes["title"] == "changed"
    assert {p: p.read_bytes() for p in pair[1].rglob("*") if p.is_file()} == before


@pytest.mark.slow
def test_a_day_not_yet_put_is_no_value(pair, tmp_path):
    path = twin(pair[0], tmp_path / "c.zarr", days=2)
    with Cube(path) as cube:
        cube.resize(1100)  # into another chunk of the tables
    with CubeFile(path) as cube:
        assert cube.dates[-1] == date(2024, 2, 27) + (cube.dates[1] - cube.dates[0]) * 1099
        assert cube.variable("day_status", 2) == 255
        assert cube.variable("missing_ocean_cells", 1099) < 0
        assert cube.texts("input_file")[1098:] == ["", ""]
        with pytest.raises(
            InputError, match=r"is damaged: fill_flag cannot be read at 2024-02-29 .*No such"
        ):
            cube.flags(2)
    assert names(path / "time") == ["c.0", "c.1", "zarr.json"]
    stored = zarr.open_group(str(path), mode="r")
    assert (stored["fill_flag"][2] == FillFlag.NOT_FILLED).all(), "never an observation"
    assert (stored["sea_ice_conc"][2] == -32768).all()


def test_history_is_put_before_the_one_there_is(own):
    with Cube(own) as cube:
        first = cube.attributes["history"]
        cube.annotate({"history": "later", "time_coverage_end": "2024-03-01T23:59:59Z"})
        assert cube.attributes["history"] == f"later\n{first}"
        cube.annotate({"history": f"later\n{first}", "number": np.int64(3)})
    with xr.open_zarr(own, chunks=None) as cube:
        assert cube.attrs["history"] == f"later\n{first}"
        assert cube.attrs["time_coverage_end"] == "2024-03-01T23:59:59Z"
        assert cube.attrs["number"] == 3
        assert cube.attrs["title"] == "a cube for a test"


def test_what_does_not_fit_is_refused(own):
    surface = np.zeros(GRID.shape, np.uint8)
    with pytest.raises(
        InputError, match="expected compression to be one of zstd, zlib, none, found 'xz'"
    ):
        cube_zarr.create(
            own.with_name("d.zarr"),
            start=date(2024, 1, 1),
            days=1,
            grid=GRID,
            surface=surface,
            lat_lon=False,
            attributes={},
            compression="xz",
        )
    with Cube(own) as cube:
        with pytest.raises(ValueError, match="expected a day from 0 to 3, found 4"):
            cube.put_day(4, {"fill_flag": [b""] * 4})
        with pytest.raises(ValueError, match=r"expected 4 chunks of .*, found 3 of fill_flag"):
            cube.put_day(0, {"fill_flag": [b""] * 3})
        with pytest.raises(ValueError, match=r"expected 4 chunks of .*, found 4 of surface"):
            cube.put_day(0, {"surface": [b""] * 4})
        with pytest.raises(ValueError, match="expected as many rows of every variable"):
            cube.put_table(0, {"day_status": np.zeros(2, np.uint8), "day_reason": [""]})
        with pytest.raises(ValueError, match=r"from a day up to 4 on, found .* from 5"):
            cube.put_table(5, {"day_status": np.zeros(2, np.uint8)})
    assert not own.with_name("d.zarr").exists()


# Damage


def lose(path, key):
    (path / key).unlink()


def empty(path, key):
    (path / key).write_bytes(b"")


def cut(path, key):
    content = (path / key).read_bytes()
    (path / key).write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("harm", [lose, empty, cut])
@pytest.mark.parametrize("name", ["sea_ice_conc", "fill_flag"])
def test_a_damaged_day_is_named(own, harm, name):
    harm(own, f"{name}/c.1.0.0")
    with CubeFile(own) as cube:
        reads = {"sea_ice_conc": cube.concentration, "fill_flag": cube.flags}
        reads[name](0)
        for days, told in ((1, "2024-02-28"), (slice(0, 3), "2024-02-27 to 2024-02-29")):
            message = rf"c\.zarr is damaged: {name} cannot be read at {told} \(.*c\.1\.0\.0.*--force$"
            with pytest.raises(InputError, match=message) as error:
                reads[name](days, slice(0, 9), slice(0, 9))
            assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["zstd", "zlib"])
def test_damaged_chunks_are_named(pair, tmp_path, compression):
    path = damage(twin(pair[0], tmp_path / "c.zarr", compression=compression), "sea_ice_conc", 3)
    with CubeFile(path) as cube:
        cube.concentration(2)
        with pytest.raises(InputError, match=r"sea_ice_conc cannot be read at 2024-03-01 .*is damaged"):
            cube.concentration(3)


def test_a_flipped_bit_of_the_index_is_noticed(own):
    file = own / "sea_ice_conc" / "c.0.0.0"
    content = bytearray(file.read_bytes())
    content[-30] ^= 1
    file.write_bytes(bytes(content))
    with CubeFile(own) as cube:
        with pytest.raises(InputError, match="its index does not fit its checksum"):
            cube.concentration(0)


@pytest.mark.slow
@pytest.mark.parametrize("harm", [lose, empty, cut])
@pytest.mark.parametrize("key", ["time/c.0", "x/c.0", "surface/c.0.0"])
def test_damaged_axes_are_named(own, harm, key):
    harm(own, key)
    with pytest.raises(InputError, match=r"c\.zarr is damaged: its axes or surface cannot be read \("):
        CubeFile(own)


@pytest.mark.slow
@pytest.mark.parametrize("harm", [lose, empty, cut])
@pytest.mark.parametrize("name", ["day_status", "input_file"])
def test_a_damaged_table_is_named(own, harm, name):
    harm(own, f"{name}/c.0")
    with CubeFile(own) as cube:
        read = cube.texts if name in TEXTS else cube.variable
        message = rf"is damaged: {name} cannot be read at 2024-02-27 to 2024-03-01 .*--force"
        with pytest.raises(InputError, match=message):
            read(name)


def spoiled(path, text):
    (path / "zarr.json").write_text(text)
    return path


FOLDERS = {
    "empty": (lambda p: p.mkdir(), "expected a cube, found an empty folder: "),
    "other": (lambda p: (p / "a").mkdir(parents=True), "found a folder without zarr.json: "),
    "v2": (lambda p: zarr.open_group(str(p), mode="w", zarr_format=2), "found a Zarr v2 store: "),
    "array": (
        lambda p: zarr.create_array(str(p), shape=(3,), dtype="i4"),
        "expected a Zarr group, found one array of a group: ",
    ),
    "group": (
        lambda p: zarr.create_group(str(p)),
        "is no cube of consolidate_data.py: it lacks time, sea_ice_conc, fill_flag, surface, x, y",
    ),
    "text": (lambda p: (p.mkdir(), spoiled(p, "{")), "is damaged: its zarr.json cannot be read ("),
    "list": (lambda p: (p.mkdir(), spoiled(p, "[]")), "is damaged: its zarr.json cannot be read ("),
    "half": (
        lambda p: (p.mkdir(), spoiled(p, '{"node_type": "group", "zarr_format": 7}')),
        "is no readable Zarr group (",
    ),
    "file": (lambda p: p.write_text("text"), "is no readable NetCDF file ("),
    "nothing": (lambda p: None, "no such cube: "),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_wrong_folder_is_named_in_one_line(tmp_path, kind):
    make, message = FOLDERS[kind]
    path = tmp_path / "c.zarr"
    make(path)
    with pytest.raises(InputError) as error:
        CubeFile(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


# Folders appear whole or not at all


def group_with(path: Path, text: str) -> None:
    path.mkdir()
    (path / "zarr.json").write_text(text)
    (path / "a").mkdir()
    (path / "a" / "c.0").write_text(text)


def test_a_folder_is_swapped_and_only_it_is_left(tmp_path):
    path = tmp_path / "c.zarr"
    for text in ("old", "new"):
        with atomic(path) as temporary:
            assert temporary.parent == tmp_path
            assert temporary.suffix == ".zarr"
            assert not temporary.exists()
            group_with(temporary, text)
            assert path.exists() == (text == "new")
        assert names(tmp_path) == ["c.zarr"]
        assert (path / "a" / "c.0").read_text() == text


def refuse(path):
    raise OSError(f"bad {(path / 'a' / 'c.0').read_text()}")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, None])
def test_failure_keeps_the_folder_that_was_there(tmp_path, error):
    path = tmp_path / "c.zarr"
    group_with(path, "old")
    with pytest.raises(error or OSError), atomic(path, verify=refuse) as temporary:
        group_with(temporary, "new")
        if error:
            raise error
    assert names(tmp_path) == ["c.zarr"]
    assert (path / "a" / "c.0").read_text() == "old"


@pytest.mark.parametrize("error", [OSError(5, "broken"), KeyboardInterrupt()])
def test_a_failure_within_the_swap_keeps_the_folder_that_was_there(tmp_path, monkeypatch, error):
    path = tmp_path / "c.zarr"
    group_with(path, "old")

    def fail(*_):
        assert not path.exists(), "it stands aside"
        raise error

    with pytest.raises(type(error)), atomic(path) as temporary:
        group_with(temporary, "new")
        monkeypatch.setattr(os, "replace", fail)
    assert names(tmp_path) == ["c.zarr"]
    assert (path / "zarr.json").read_text() == "old"


def test_a_full_disk_is_told(tmp_path):
    told = r"writing failed \(File too large\) with \d+ MB free: the disk, a quota or a file-size limit"
    with pytest.raises(OSError, match=told), atomic(tmp_path / "c.zarr") as temporary:
        group_with(temporary, "half")
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    assert names(tmp_path) == []


KILLED = """
import os, shutil, sys
from pathlib import Path
from seaice.runtime import atomic_write as atomic
path, moment = Path(sys.argv[1]), int(sys.argv[2])
seen = 0
def dying(module, name):
    real = getattr(module, name)
    def call(*arguments, **more):
        global seen
        seen += 1
        if seen == moment:
            os.kill(os.getpid(), 9)
        return real(*arguments, **more)
    setattr(module, name, call)
with atomic.atomic(path) as temporary:
    temporary.mkdir()
    for name in ("zarr.json", "c.0"):
        (temporary / name).write_text("new")
    # The steps of the swap: aside, in its place, from aside to rubbish, rubbish removed.
    dying(Path, "rename"); dying(os, "replace"); dying(shutil, "rmtree")
print("swapped", seen)
"""


@pytest.mark.slow
def test_a_kill_at_any_step_of_the_swap_leaves_one_whole_folder(tmp_path):
    """What stands at the output after the next run took the lock: the old or the new one."""
    found = []
    for moment in (1, 2, 3, 4, 5):
        folder = tmp_path / f"{moment}"
        folder.mkdir()
        path = folder / "c.zarr"
        group_with(path, "old")
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(path), str(moment)],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == (-9 if moment < 5 else 0), done.stderr
        if moment == 2:
            assert not path.exists()
            with pytest.raises(
                InputError, match=r"but .*\.c\.zarr\.old\.zarr, which a killed run moved"
            ):
                CubeFile(path)
        with exclusive(path):
            found.append((path / "zarr.json").read_text())
            assert (path / ("a/c.0" if found[-1] == "old" else "c.0")).read_text() == found[-1]
        with atomic(path) as temporary:
            group_with(temporary, "again")
        assert names(folder) == ["c.zarr"]
        assert (path / "a" / "c.0").read_text() == "again"
    assert found == ["old", "old", "new", "new", "new"]


def test_half_a_folder_of_a_killed_run_is_cleared(tmp_path):
    path = tmp_path / "c.zarr"
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        kept = temporary
        raise RuntimeError
    group_with(kept, "half")
    with atomic(path) as temporary:
        assert temporary == kept
        assert not temporary.exists()
        group_with(temporary, "whole")
    assert names(tmp_path) == ["c.zarr"]


def test_every_file_and_folder_is_flushed(tmp_path, monkeypatch):
    flushed = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda h: (flushed.append(str(Path(f"/proc/self/fd/{h}").resolve())), real(h))
    )
    with atomic(tmp_path / "c.zarr") as temporary:
        group_with(temporary, "new")
    made = [temporary, temporary / "a", temporary / "a" / "c.0", temporary / "zarr.json", tmp_path]
    assert sorted(flushed) == sorted(str(p) for p in made)


def test_only_a_zarr_group_or_nothing_is_replaced(tmp_path):
    (tmp_path / "holiday.zarr").mkdir()
    (tmp_path / "holiday.zarr" / "photo.jpg").write_text("mine")
    (tmp_path / "f.zarr").write_text("mine")
    group_with(tmp_path / "c.nc", "mine")
    for name, message in (
        ("holiday.zarr", "expected a Zarr group or nothing at the output, found another folder: "),
        ("f.zarr", "expected a Zarr group or nothing at the output, found a file: "),
        ("c.nc", "expected a file name for the output, found a folder: "),
    ):
        with pytest.raises(InputError, match=message), atomic(tmp_path / name):
            raise AssertionError("may not be written")
    assert names(tmp_path) == ["c.nc", "f.zarr", "holiday.zarr"]
    assert (tmp_path / "holiday.zarr" / "photo.jpg").read_text() == "mine"


def test_a_link_to_a_folder_is_followed(tmp_path):
    (tmp_path / "disk").mkdir()
    real, link = tmp_path / "disk" / "real.zarr", tmp_path / "c.zarr"
    link.symlink_to(real)
    for text in ("old", "new"):
        with atomic(link) as temporary:
            group_with(temporary, text)
    assert link.is_symlink()
    assert (real / "zarr.json").read_text() == "new"
    assert names(tmp_path / "disk") == ["real.zarr"]


# Everything that reads cubes


@pytest.mark.slow
def test_training_reads_the_same(pair):
    from torch.utils.data import DataLoader

    from seaice.dates import DateRange
    from seaice.training.dataset import (
        ConsolidatedSICDataset,
        load_ocean_mask,
    )
    from seaice.training.splits import (
        date_blocks,
        filling_reach,
        measure_statistics,
    )

    def batches(path, **more):
        more |= {"input_length": 1, "pred_length": 1, "largest_missing_share": 1.0}
        dataset = ConsolidatedSICDataset(path, 20240227, 20240301, **more)
        return [b for workers in (0, 1) for b in DataLoader(dataset, num_workers=workers)]

    for more in ({}, {"region": (340, 372, 290, 322)}, {"preload_data": True}):
        for one, two in zip(*(batches(path, **more) for path in pair), strict=True):
            for a, b in zip(one, two, strict=True):
                np.testing.assert_array_equal(a.numpy(), b.numpy())
    blocks = [DateRange(date(2024, 2, 27), date(2024, 3, 1))]
    one, two = (measure_statistics(path, blocks) for path in pair)
    assert (one.mean, one.std, one.cells) == (two.mean, two.std, two.cells)
    assert filling_reach(pair[1]) == filling_reach(pair[0]) == 5
    assert date_blocks(20240101, 20241231, cube=pair[1]) == date_blocks(20240101, 20241231, cube=pair[0])
    np.testing.assert_array_equal(load_ocean_mask(pair[1]).numpy(), load_ocean_mask(pair[0]).numpy())


@pytest.mark.slow
def test_index_and_animation_are_the_same(pair, tmp_path, monkeypatch):
    import ice_index

    monkeypatch.chdir(tmp_path)
    for path in pair:
        kind = path.suffix[1:]
        given = ["--input_file", str(path), "--output_csv", f"{kind}.csv", "--pixels", "100"]
        assert (
            ice_index.main([*given, "--animation", f"{kind}.gif", "--region", "box=300,400,300,400"])
            == 0
        )
    assert Path("nc.gif").read_bytes() == Path("zarr.gif").read_bytes()
    one, two = (Path(f"{k}.csv").read_text().replace(f"c.{k}", "CUBE") for k in ("nc", "zarr"))
    assert one == two


@pytest.mark.slow
def test_a_day_is_drawn(pair, tmp_path, monkeypatch, capsys):
    import visualization
    from seaice.pictures.read_concentration import (
        read_comparison,
        read_map_day,
        recognise_kind,
    )
    from seaice.simulate import write_day

    monkeypatch.chdir(tmp_path)
    given = ["--input_file", str(pair[1]), "--date", "20240227", "--dpi", "30", "--coastlines", "mask"]
    assert visualization.main(given) == 0
    assert names(tmp_path) == ["c_20240227.png"]
    day = date(2024, 2, 27)
    one, two = (read_map_day(path, day, None) for path in pair)
    np.testing.assert_array_equal(one.concentration, two.concentration)
    assert one.source.replace("c.nc", "c.zarr") == two.source
    write_day(tmp_path / "day.nc", one.concentration, GRID)
    one, two = (read_comparison(tmp_path / "day.nc", path, day) for path in pair)
    np.testing.assert_array_equal(one.flags, two.flags)
    assert one.classes == two.classes
    assert (recognise_kind(pair[0]), recognise_kind(pair[1])) == ("cube", "cube")
    (tmp_path / "empty.zarr").mkdir()
    capsys.readouterr()
    assert visualization.main(["--input_file", "empty.zarr"]) == 1
    assert "error: expected a cube, found an empty folder: empty.zarr" in capsys.readouterr().err


def test_the_metadata_are_plain_json(pair):
    """No NaN or Infinity, which other languages do not read; metadata in one place, as stored."""
    stored = json.loads((pair[1] / "zarr.json").read_text(), parse_constant=lambda text: 1 / 0)
    inline = stored["consolidated_metadata"]["metadata"]
    assert set(inline) == {p.parent.name for p in pair[1].glob("*/zarr.json")}
    for name, array in inline.items():
        assert array == json.loads((pair[1] / name / "zarr.json").read_text())
