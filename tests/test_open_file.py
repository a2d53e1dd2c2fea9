"""The guarded way to open NetCDF, HDF5 and Zarr; nobody else opens them for reading."""

import ast
import io
import os
import struct
from datetime import UTC, datetime
from pathlib import Path

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
    hdf5_damage,
    open_hdf5,
    open_netcdf,
    open_xarray,
    open_zarr,
)
from seaice.open_file.checksum import append_checksum, compare_checksum
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
    if path.parent == ROOT / "seaice" / "open_file":
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


def break_heap(path):
    """Give the first object of the first table of texts the length 0, as a flipped bit does."""
    content = bytearray(path.read_bytes())
    start = content.index(b"GCOL\x01\0\0\0") + 16
    content[start : start + 16] = bytes(16)  # as the free rest that is nothing
    path.write_bytes(content)


@pytest.mark.parametrize("kind", OPENERS)
def test_a_table_of_texts_without_an_end_is_refused(netcdf, kind):
    break_heap(netcdf)
    with pytest.raises(
        UnreadableFile, match=r"no readable \w+ file \(a table of texts in it is damaged\)"
    ):
        OPENERS[kind](netcdf)


@pytest.mark.parametrize("kind", OPENERS)
def test_of_a_large_file_only_what_is_read_is_looked_at(netcdf, kind, monkeypatch):
    monkeypatch.setattr(hdf5_damage, "_SCANNED", 100)
    OPENERS[kind](netcdf).close()
    break_heap(netcdf)
    with pytest.raises(UnreadableFile, match=r"a table of texts in it is damaged"):
        OPENERS[kind](netcdf)


def test_a_table_of_texts_that_was_given_up_is_no_damage(tmp_path):
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as file:
        file.attrs["title"] = "a text of any length " * 5
        del file.attrs["title"]
    broken = path.read_bytes()
    if b"GCOL" not in broken:  # the library may overwrite it
        path.write_bytes(broken + b"GCOL\x01\0\0\0" + bytes(50))
    else:
        break_heap(path)
    open_hdf5(path).close()


def find_chunk_key(path):
    """Where the index of z has the first row of its second chunk."""
    with h5py.File(path) as file:
        chunk = file["z"].id.get_chunk_info(1)
    key = struct.pack("<IIQQ", chunk.size, 0, *chunk.chunk_offset, 0)
    return path.read_bytes().index(key) + 8


@pytest.fixture
def rows(tmp_path):
    """A file of four deflated chunks of 4,096 numbers."""
    path = tmp_path / "rows.nc"
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.createDimension("x", 16384)
        z = dataset.createVariable("z", "f4", ("x",), compression="zlib", chunksizes=[4096])
        z[:] = np.random.default_rng(0).random(16384)
    return path


@pytest.mark.parametrize("kind", ["NetCDF", "xarray"])
@pytest.mark.parametrize("bit", [13, 16])  # to another chunk, and beyond the last one
def test_a_chunk_that_the_index_does_not_list_is_damage(rows, kind, bit):
    content = bytearray(rows.read_bytes())
    content[find_chunk_key(rows) + bit // 8] ^= 1 << bit % 8
    rows.write_bytes(content)
    with pytest.raises(UnreadableFile, match=r"the index of the chunks of /z is damaged"):
        OPENERS[kind](rows)


def test_a_lost_chunk_is_told_from_one_that_was_never_written(rows, tmp_path):
    sparse = tmp_path / "sparse.nc"
    with netCDF4.Dataset(sparse, "w") as dataset:
        dataset.createDimension("x", 16384)
        z = dataset.createVariable("z", "f4", ("x",), compression="zlib", chunksizes=[4096])
        z[4096:8192] = np.random.default_rng(0).random(4096)
    with open_netcdf(sparse) as dataset:
        assert dataset["z"][:].count() == 4096
    content = bytearray(rows.read_bytes())
    leaf = content.index(b"TREE")
    assert content[leaf + 6] == 4
    content[leaf + 6] = 3  # entries in use
    rows.write_bytes(content)
    with pytest.raises(UnreadableFile, match=r"chunks of /z are lost"):
        open_netcdf(rows)


def test_a_file_of_ours_is_compared_with_its_checksum(netcdf):
    append_checksum(netcdf)
    content = netcdf.read_bytes()
    with open_netcdf(netcdf) as dataset:
        assert dataset["z"].shape == (20000,)
    for position in (40, 2100, len(content) - 45, len(content) - 17):
        flipped = bytearray(content)
        flipped[position] ^= 4
        netcdf.write_bytes(flipped)
        with pytest.raises(UnreadableFile, match="checksum"):
            open_netcdf(netcdf)


@pytest.mark.parametrize("library", ["netCDF4", "h5py"])
def test_a_program_that_changes_a_file_takes_the_checksum_away(netcdf, library):
    append_checksum(netcdf)
    append_checksum(netcdf)
    assert compare_checksum(netcdf)
    if library == "netCDF4":
        with netCDF4.Dataset(netcdf, "a") as dataset:
            dataset["z"].units = "K"
    else:
        with h5py.File(netcdf, "r+") as file:
            file["z"].attrs["units"] = np.bytes_("K")
    assert not compare_checksum(netcdf)
    with open_netcdf(netcdf) as dataset:
        assert dataset["z"].units == "K"


def test_a_zarr_group_of_ours_is_compared_with_its_checksum(tmp_path):
    path = tmp_path / "c.zarr"
    group = zarr.create_group(str(path), zarr_format=3)
    group.create_array("z", data=np.arange(3), dimension_names=["x"], attributes={"scale_factor": 0.01})
    append_checksum(path)
    assert open_zarr(path)["z"].attrs["scale_factor"] == 0.01
    file = path / "z" / "zarr.json"
    file.write_bytes(file.read_bytes().replace(b"0.01", b"0.03"))
    with pytest.raises(UnreadableFile, match=r"zarr\.json of z does not fit its checksum"):
        open_zarr(path)
    zarr.open_group(str(path), mode="r+")["z"].attrs["scale_factor"] = 0.02
    assert open_zarr(path)["z"].attrs["scale_factor"] == 0.02


@pytest.mark.parametrize("kind", OPENERS)
def test_a_pipe_or_a_device_is_no_data_file(tmp_path, kind):
    os.mkfifo(tmp_path / "day.nc")
    for path in (tmp_path / "day.nc", Path("/dev/zero")):
        with pytest.raises(UnreadableFile, match=r"expected an? .*, found a pipe or a device: "):
            OPENERS[kind](path)


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


def write_reader_samples(folder):
    """A file of every reader by the name of the reader, which takes its path."""
    from days import make_folder
    from swaths import make_swath, write

    from seaice.cube.file import CubeFile
    from seaice.fields.read import read_gappy
    from seaice.masks import read_mask
    from seaice.pictures.read_field import read_field
    from seaice.simulate import list_simulated_granules, write_granule
    from seaice.sources.amsr2.l1b import read_granule
    from seaice.sources.bremen.reader import read_day, read_grid_of
    from seaice.swaths.archive import load_swaths
    from seaice.training.dataset import ConsolidatedSICDataset

    day = make_folder(folder, days=1, absent=()).file(0)
    start = datetime(2020, 3, 1, tzinfo=UTC)
    granule = write_granule(folder, list_simulated_granules(start, start.replace(hour=2))[0], scans=3)
    archive = write(folder / "a.h5", [make_swath()])
    return {
        "day": (day, read_day),
        "grid of a day": (day, read_grid_of),
        "mask": (day, read_mask),
        "cube": (day, CubeFile),
        "Dataset": (day, lambda p: ConsolidatedSICDataset(p, "2024-01-01", "2024-01-02", 1, 1)),
        "field": (day, read_gappy),
        "gridded": (day, lambda p: read_field(p, "z", None)),
        "granule": (granule, read_granule),
        "archive": (archive, load_swaths),
    }


READERS = ("day", "grid of a day", "mask", "cube", "Dataset", "field", "gridded", "granule", "archive")


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_meets_a_table_of_texts_without_an_end(tmp_path, reader):
    path, read = write_reader_samples(tmp_path)[reader]
    with h5py.File(path, "r+") as file:  # as of another program: without our checksum
        file.attrs["note"] = "a text of any length " * 3
    break_heap(path)
    with pytest.raises(InputError) as caught:
        read(path)
    assert "a table of texts in it is damaged" in str(caught.value) and "\n" not in str(caught.value)


def write_classic(path, form, *, records=3):
    """A classic NetCDF file with and without records, of types of one, two and eight bytes."""
    with netCDF4.Dataset(path, "w", format=form) as dataset:
        dataset.title = "a"
        dataset.createDimension("time", None)
        dataset.createDimension("x", 5)
        dataset.createVariable("x", "f8", ("x",))[:] = np.arange(5)
        dataset.createVariable("z", "i2", ("time", "x"))[:] = np.ones((records, 5))
        dataset.createVariable("flag", "i1", ("time", "x"))[:] = np.ones((records, 5))
        dataset["z"].units = "percent"


@pytest.mark.parametrize("form", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"])
def test_a_classic_file_that_is_cut_short_or_has_a_damaged_header_is_refused(tmp_path, form):
    path = tmp_path / "day.nc"
    write_classic(path, form)
    whole = path.read_bytes()
    for content in (None, whole):
        with open_netcdf(path, content=content) as dataset:
            assert (dataset["z"][:] == 1).all()
    # The padding behind the last record may be absent; a value may not.
    for cut in (len(whole) - 4, len(whole) - 20):
        path.write_bytes(whole[:cut])
        with pytest.raises(UnreadableFile, match="it is cut short"):
            open_netcdf(path)
        with pytest.raises(UnreadableFile, match="it is cut short"):
            open_netcdf(path, content=whole[:cut])
    for cut in (3, 4, 7, 60):
        with pytest.raises(UnreadableFile):
            open_netcdf(path, content=whole[:cut])
    place = whole.index(b"units") - 4
    damaged = whole[:place] + b"\x7f" + whole[place + 1 :]
    with pytest.raises(UnreadableFile, match="its header is damaged"):
        open_netcdf(path, content=damaged)


def test_a_classic_file_of_one_record_variable_has_no_padding(tmp_path):
    path = tmp_path / "day.nc"
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as dataset:
        dataset.createDimension("time", None)
        dataset.createDimension("x", 5)
        dataset.createVariable("flag", "i1", ("time", "x"))[:] = np.ones((7, 5))
    content = path.read_bytes()
    with open_netcdf(path, content=content) as dataset:
        assert dataset["flag"].shape == (7, 5)
    with pytest.raises(UnreadableFile, match="it is cut short"):
        open_netcdf(path, content=content[:-4])
