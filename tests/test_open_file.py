"""The guarded way to open NetCDF, HDF5 and Zarr; nobody else opens them for reading."""

import ast
import io
import os

import h5py
import netCDF4
import numpy as np
import pytest
import zarr
from test_layout import PACKAGE, ROOT, SCRIPTS, tree_of

from seaice import InputError
from seaice.open_file import (
    UnreadableFile,
    explain_damage,
    heaps_are_whole,
    open_hdf5,
    open_netcdf,
    open_xarray,
    open_zarr,
)
from seaice.simulate import damage

# The calls by which the libraries open a file, and the place of the mode among the arguments.
_OPENERS = {
    "netCDF4.Dataset": 1,
    "h5py.File": 1,
    "zarr.open_group": 1,
    "zarr.open": 1,
    "zarr.open_array": 1,
}
_ONLY_READ = ("xr.open_", "xarray.open_", "xr.load_", "xarray.load_", "zarr.open_consolidated")


@pytest.fixture
def netcdf(tmp_path):
    path = tmp_path / "day.nc"
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.createDimension("x", 20000)
        variable = dataset.createVariable("z", "f4", ("x",), compression="zlib")
        variable[:] = np.random.default_rng(0).random(20000)
        variable.setncattr("units", "1")
    return path


OPENERS = {"NetCDF": open_netcdf, "HDF5": open_hdf5, "xarray": open_xarray}


def reads(call: ast.Call) -> bool:
    """Whether a call opens a data file for reading."""
    name = ast.unparse(call.func)
    if name.startswith(_ONLY_READ):
        return True
    if name not in _OPENERS:
        return False
    position = _OPENERS[name]
    modes = [k.value for k in call.keywords if k.arg == "mode"] + call.args[position : position + 1]
    return not modes or ast.literal_eval(modes[0]) == "r"


def test_a_call_that_opens_for_reading_is_recognised():
    def check(text):
        return reads(ast.parse(text).body[0].value)

    assert (
        check("netCDF4.Dataset(path)") and check("h5py.File(path, 'r')") and check("xr.open_dataset(p)")
    )
    assert check("zarr.open_group(p, mode='r', zarr_format=3)")
    assert not check("netCDF4.Dataset(path, 'w')") and not check("h5py.File(path, mode='r+')")
    assert not check("xr.Dataset(variables)") and not check("open_netcdf(path)")


@pytest.mark.slow
@pytest.mark.parametrize("path", PACKAGE + SCRIPTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_open_file_opens_for_reading(path):
    if path == ROOT / "seaice" / "open_file.py":
        return
    tree = tree_of(path)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert [f"line {call.lineno}: {ast.unparse(call.func)}" for call in calls if reads(call)] == []
    # Otherwise a call would go by another name than those above.
    libraries = {"netCDF4", "h5py", "zarr", "xarray"}
    by_name = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module in libraries]
    names = {alias.name for node in by_name for alias in node.names}
    assert not {n for n in names if n in ("Dataset", "File") or n.startswith(("open", "load"))}


@pytest.mark.parametrize("kind", OPENERS)
def test_a_sound_file_opens(netcdf, kind):
    with OPENERS[kind](netcdf) as file:
        assert "z" in (file.variables if kind != "HDF5" else file)


@pytest.mark.slow
@pytest.mark.parametrize("kind", OPENERS)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda p: p.write_text(damage.ERROR_PAGE),
            r"^expected an? \w+ file, found a web page: .*day\.nc; ",
        ),
        (lambda p: p.write_bytes(b""), r"^expected an? \w+ file, found an empty file: .*day\.nc; fetch"),
        (
            lambda p: p.write_text("hello"),
            r"day\.nc is no readable \w+ file \(.+\); fetch or make it again$",
        ),
        (damage.cut_in_half, r"day\.nc is no readable \w+ file \(.+\); fetch or make it again$"),
        (lambda p: p.unlink(), r"^no such file: .*day\.nc$"),
    ],
    ids=["page", "empty", "text", "cut", "absent"],
)
def test_what_is_no_data_file_is_one_line(netcdf, kind, spoil, message):
    spoil(netcdf)
    with pytest.raises(UnreadableFile, match=message) as caught:
        OPENERS[kind](netcdf)
    assert "\n" not in str(caught.value)
    assert caught.value.reason and str(netcdf) not in caught.value.reason


@pytest.mark.parametrize("kind", OPENERS)
def test_a_folder_is_named(tmp_path, kind):
    expected = "file or a Zarr group, found the folder" if kind == "xarray" else "file, found a folder: "
    with pytest.raises(InputError, match=expected):
        OPENERS[kind](tmp_path)


@pytest.mark.parametrize("kind", OPENERS)
def test_a_file_below_a_file_is_no_file(netcdf, kind):
    with pytest.raises(UnreadableFile, match="no such file"):
        OPENERS[kind](netcdf / "more.nc")


@pytest.mark.parametrize("kind", OPENERS)
def test_missing_permission_is_named(netcdf, kind, monkeypatch):
    if os.geteuid() == 0:  # root may read everything: the refusal is simulated

        def refuse(*arguments, **options):
            raise PermissionError(13, "Permission denied", str(netcdf))

        for name in ("netCDF4.Dataset", "h5py.File", "xarray.open_dataset", "pathlib.Path.open"):
            monkeypatch.setattr(name, refuse)
    netcdf.chmod(0)
    with pytest.raises(
        UnreadableFile, match=r"cannot be read \(Permission denied\): .*check its permissions$"
    ):
        OPENERS[kind](netcdf)


def test_a_flipped_bit_is_named_when_the_values_are_read(netcdf):
    damage.flip_bit(netcdf, "z")
    with (
        pytest.raises(UnreadableFile, match=r"day\.nc is no readable HDF5 file \(.+\); fetch or make"),
        explain_damage(netcdf, "HDF5"),
        open_hdf5(netcdf) as file,
    ):
        file["z"][:]


def test_an_input_error_passes_unchanged(netcdf):
    with pytest.raises(InputError, match=r"^the day is missing$"), explain_damage(netcdf, "NetCDF"):
        raise InputError("the day is missing")


def test_damaged_heaps_are_refused_where_asked_for(tmp_path):
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as file:
        file.attrs["title"] = "a text of any length " * 5
    assert heaps_are_whole(path)
    content = bytearray(path.read_bytes())
    start = content.index(b"GCOL")
    content[start + 8 : start + 16] = (len(content) * 2).to_bytes(8, "little")
    path.write_bytes(content)
    with pytest.raises(
        UnreadableFile, match=r"no readable HDF5 file \(a table of texts in it is damaged\)"
    ):
        open_hdf5(path, check_heaps=True)


def test_an_open_file_is_handed_on(netcdf):
    with open_hdf5(io.BytesIO(netcdf.read_bytes())) as file:
        assert "z" in file


def test_zarr_groups(tmp_path):
    path = tmp_path / "c.zarr"
    with pytest.raises(UnreadableFile, match="no such file"):
        open_zarr(path)
    zarr.create_group(str(path), zarr_format=3).create_array(
        "z", data=np.arange(3), dimension_names=["x"]
    )
    assert open_zarr(path)["z"].shape == (3,)
    with open_xarray(path, decode=False) as dataset:
        assert dataset["z"].shape == (3,)
    (path / "zarr.json").write_text("{")
    with pytest.raises(UnreadableFile, match=r"c\.zarr is no readable Zarr group \(.+\); fetch or make"):
        open_zarr(path)
