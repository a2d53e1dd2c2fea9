"""The same command with another ending: NetCDF and Zarr cubes of equal content."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from days import make_folder
from test_cube import mask_words, words
from test_cube_stop import COMMAND, kill_after, kill_at, names

import consolidate_data as script
import create_mask
from seaice import InputError
from seaice.cube.batches import FinishedBatches
from seaice.cube.file import CubeFile
from seaice.cube.packing import (
    COMPRESSIONS,
    Packing,
)
from seaice.cube.zarr import check_packing


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    top = tmp_path_factory.mktemp("containers")
    folder = make_folder(top / "in")
    assert create_mask.main(mask_words(folder, top / "mask.nc")) == 0
    masked = ["--land_mask_file", str(top / "mask.nc")]
    for compression in COMPRESSIONS:
        options = words(folder, top / f"{compression}.nc", *masked, "--compression", compression)
        assert script.main(options) == 0
    return folder, masked, top


def told(attributes: dict) -> dict:
    """Global attributes without the time of making."""
    return {k: v for k, v in attributes.items() if k not in ("history", "date_created")}


def assert_equal_values(one: xr.Dataset, other: xr.Dataset) -> None:
    """Stored numbers are the same; xarray unpacks with a float32 here, and a double from JSON."""
    packed = ["sea_ice_conc", "sea_ice_conc_error"]
    xr.testing.assert_equal(one.drop_vars(packed), other.drop_vars(packed))
    for name in packed:
        xr.testing.assert_allclose(one[name], other[name].astype("f4"), rtol=0, atol=1e-7)


def assert_equal_content(netcdf: Path, zarr: Path) -> None:
    with xr.open_dataset(netcdf) as a, xr.open_zarr(zarr) as b:
        assert_equal_values(a, b)
        assert told(a.attrs) == told(b.attrs)
        for name in a.variables:
            x, y = ({k: np.asarray(v).tolist() for k, v in d[name].attrs.items()} for d in (a, b))
            assert x == y, name


@pytest.mark.slow
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_equal_content(case, tmp_path, compression):
    folder, masked, top = case
    target = tmp_path / "c.zarr"
    assert script.main(words(folder, target, *masked, "--compression", compression, "--lat_lon")) == 0
    assert script.main(words(folder, tmp_path / "c.nc", *masked, "--lat_lon")) == 0
    assert names(tmp_path) == ["c.nc", "c.zarr"]
    with xr.open_dataset(tmp_path / "c.nc") as a, xr.open_zarr(target) as b:
        assert_equal_values(a, b)
    target = tmp_path / "d.zarr"
    assert script.main(words(folder, target, *masked, "--compression", compression)) == 0
    assert_equal_content(top / f"{compression}.nc", target)


@pytest.mark.slow
def test_second_run_finds_a_zarr_cube_complete(case, tmp_path, capsys):
    folder, masked, _ = case
    target = tmp_path / "c.zarr"
    assert script.main(words(folder, target, *masked)) == 0
    before = {p: p.stat().st_mtime_ns for p in target.rglob("*")}
    assert script.main(words(folder, target, *masked)) == 0
    assert "complete already" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in target.rglob("*")} == before


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--workers", "2"]])
def test_append_to_a_zarr_cube(case, tmp_path, more):
    folder, masked, top = case
    target = tmp_path / "c.zarr"
    assert script.main(words(folder, target, *masked, last=13)) == 0
    options = words(folder, target, *masked, "--append", "--batch_size", "2", *more)
    assert script.main(options) == 0
    with CubeFile(top / "zlib.nc") as a, CubeFile(target) as b:
        assert a.dates == b.dates
        for name in ("sea_ice_conc", "fill_flag", "days_back_forward", "day_status"):
            np.testing.assert_array_equal(a.variable(name), b.variable(name))
        assert a.texts("input_sha256") == b.texts("input_sha256")
        assert b.attributes["history"].count("--output_file") == 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_kills_on_the_way_to_a_zarr_cube(case, tmp_path, seed):
    folder, masked, top = case
    target = tmp_path / "c.zarr"
    options = words(folder, target, *masked, "--batch_size", "3")
    for pause in np.random.default_rng(seed).uniform(0, 0.4, 2):
        kill_after(options, pause)
    assert script.main(options) == 0
    assert_equal_content(top / "zlib.nc", target)
    assert names(tmp_path) == ["c.zarr"]


@pytest.mark.slow
def test_batches_for_one_container_do_not_go_into_the_other(case, tmp_path):
    """A user who changes the ending half-way; and one who moves the batches along."""
    folder, masked, top = case
    kill_at(COMMAND + words(folder, tmp_path / "c.nc", *masked, "--batch_size", "1"), "[9/24]")
    shutil.move(
        FinishedBatches.beside(tmp_path / "c.nc").path, FinishedBatches.beside(tmp_path / "c.zarr").path
    )
    assert script.main(words(folder, tmp_path / "c.zarr", *masked)) == 0
    assert_equal_content(top / "zlib.nc", tmp_path / "c.zarr")


@pytest.mark.parametrize(("kind", "said"), [("folder", "another folder"), ("file", "a file")])
def test_what_is_no_zarr_cube_is_not_replaced(case, tmp_path, capsys, kind, said):
    folder, masked, _ = case
    target = tmp_path / "c.zarr"
    if kind == "folder":
        target.mkdir()
        (target / "mine.txt").write_text("mine")
    else:
        target.write_text("mine")
    assert script.main(words(folder, target, *masked, "--force")) == 1
    error = capsys.readouterr().err
    assert f"found {said}" in error
    assert (target / "mine.txt").exists() or target.read_text() == "mine"


@pytest.mark.slow
def test_chunks_are_appended_only_where_they_fit(case, tmp_path):
    folder, masked, _ = case
    target = tmp_path / "c.zarr"
    assert script.main(words(folder, target, *masked)) == 0
    check_packing(target, Packing("zlib", True, (40, 36), (40, 36)))
    for storage in (
        Packing("zstd", True, (40, 36), (40, 36)),
        Packing("zlib", True, (40, 36), (20, 36)),
    ):
        with pytest.raises(InputError, match="was stored by another program"):
            check_packing(target, storage)


@pytest.mark.slow
def test_a_flipped_bit_in_a_zstd_chunk_is_noticed(case, tmp_path):
    folder, masked, _ = case
    target = tmp_path / "c.zarr"
    assert script.main(words(folder, target, *masked, "--compression", "zstd")) == 0
    shard = target / "sea_ice_conc" / "c.3.0.0"
    content = bytearray(shard.read_bytes())
    content[40] ^= 1
    shard.unlink()
    shard.write_bytes(content)
    with CubeFile(target) as cube:
        cube.concentration(2)
        with pytest.raises(InputError, match="is damaged: sea_ice_conc cannot be read at 2024-01-04"):
            cube.concentration(3)
    assert json.loads((target / "zarr.json").read_text())["zarr_format"] == 3
