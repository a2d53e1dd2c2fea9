"""Chunks read past the library: the same values from every layout, and a clear no where it must be."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import threading
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import google_crc32c
import h5py
import netCDF4
import numpy as np
import pytest
import torch
import zarr
from cubes import damage, small_grid, write_cube
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.cube.shards import read_index
from seaice.flags import (
    FillFlag,
    Surface,
)
from seaice.runtime.threads import for_each
from seaice.training.chunks import _kernels
from seaice.training.chunks.netcdf import NetCDFChunkTable, list_netcdf_chunks
from seaice.training.chunks.requests import (
    FrameRequest,
    LookupTable,
)
from seaice.training.chunks.table import ChunkDamage, Tiling
from seaice.training.chunks.tiles import TileSource
from seaice.training.chunks.watched_file import (
    FileState,
    WatchedFile,
)
from seaice.training.chunks.zarr import list_zarr_chunks
from seaice.training.dataset import (
    PARTS,
    ConsolidatedSICDataset,
)
from seaice.training.reader import (
    CubeReader,
    LibrarySource,
    read_cube_state,
)
from seaice.training.splits import Statistics

ROWS, COLUMNS, DAYS = 23, 17, 7
TILE = (7, 5)
FIRST = date(2024, 2, 25)
MANY = 1 << 30
ZLIB = {"compression": "zlib", "complevel": 1}
ZSTD = {"compression": "zstd", "complevel": 1}


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def surface_of_test() -> np.ndarray:
    """Whole tiles of land (the first row of tiles), some with land, some without; a pole hole."""
    surface = np.zeros((ROWS, COLUMNS), dtype=np.uint8)
    surface[:8] = Surface.LAND
    surface[12, 9:12] = Surface.LAND
    surface[20, 3] = Surface.POLE_HOLE
    return surface


def values_of_test() -> np.ndarray:
    random = np.random.default_rng(3)
    values = random.integers(0, 10001, (DAYS, ROWS, COLUMNS)) / 10000
    values[:, 20, 3] = np.nan
    values[3, 15:17, 6:12] = np.nan
    return values


def flags_of_test() -> np.ndarray:
    random = np.random.default_rng(4)
    flags = random.choice([f for f in FillFlag if f != FillFlag.LAND], (DAYS, ROWS, COLUMNS))
    return np.where(surface_of_test() == Surface.LAND, FillFlag.LAND, flags).astype(np.uint8)


def write(path: Path, tile: tuple | None = (1, *TILE), big_endian: bool = False, **storage) -> Path:
    """A cube whose concentration and flags are stored in a given way."""
    plain = write_cube(
        path.with_name("plain.nc"),
        dates=[day(i) for i in range(DAYS)],
        concentration=values_of_test(),
        surface=surface_of_test(),
        grid=small_grid(ROWS, COLUMNS),
        flags=flags_of_test(),
    )
    with netCDF4.Dataset(plain) as source, netCDF4.Dataset(path, "w") as target:
        source.set_auto_maskandscale(False)
        for name, dimension in source.dimensions.items():
            fixed = name != "time" or storage.get("contiguous")
            target.createDimension(name, len(dimension) if fixed else None)
        target.setncatts({k: source.getncattr(k) for k in source.ncattrs()})
        for name, variable in source.variables.items():
            attributes = {k: variable.getncattr(k) for k in variable.ncattrs()}
            options = {"fill_value": attributes.pop("_FillValue", None)}
            dtype = variable.dtype
            if name in ("sea_ice_conc", "fill_flag"):
                options |= {"chunksizes": tile, **storage}
            if name == "sea_ice_conc" and big_endian:
                dtype, options["endian"] = dtype.newbyteorder(">"), "big"
            made = target.createVariable(name, dtype, variable.dimensions, **options)
            made.set_auto_maskandscale(False)
            made.setncatts(attributes)
            made[...] = variable[...]
    plain.unlink()
    return path


@pytest.fixture(autouse=True)
def threads_at_once(monkeypatch):
    """The fields of these tests are too small for threads."""
    monkeypatch.setattr("seaice.runtime.threads._WORTH_IT", 0)


@pytest.fixture
def cube(tmp_path):
    return write(tmp_path / "cube.nc", **ZLIB, shuffle=True)


def dataset_of(path: Path, input_length: int = 3, pred_length: int = 2, **options):
    options = {"largest_missing_share": 1} | options
    return ConsolidatedSICDataset(path, day(0), day(DAYS - 1), input_length, pred_length, **options)


def kind_of(dataset, name: str = "concentration") -> type:
    return type(dataset._reader._sources[name])


def assert_same(one, other) -> None:
    """Equal to the last bit, NaN too; of dicts or tuples of tensors."""
    names = one if isinstance(one, dict) else range(len(one))
    assert len(one) == len(other)
    for name in names:
        assert one[name].dtype == other[name].dtype
        assert one[name].numpy().tobytes() == other[name].numpy().tobytes(), name


# --- every layout gives the library's values

TILED = {
    "shuffle and deflate": {**ZLIB, "shuffle": True},
    "deflate": {**ZLIB, "shuffle": False},
    "zstd": {**ZSTD, "shuffle": False},
    "shuffle and zstd": {**ZSTD, "shuffle": True},
    "no filter": {},
    "whole frames": {**ZLIB, "tile": (1, ROWS, COLUMNS)},
    "rows": {**ZLIB, "tile": (1, 1, COLUMNS)},
}
OTHER = {
    "two days deep": {**ZLIB, "tile": (2, *TILE)},
    "contiguous": {"tile": None, "contiguous": True},
    "checksums": {**ZLIB, "fletcher32": True},
    "bzip2": {"compression": "bzip2"},
}


def reference(path: Path, index: int, rows: slice, columns: slice) -> dict[str, np.ndarray]:
    """Inputs, targets and flags of a sample as the library reads the cube."""
    days = slice(index, index + 5)
    dry = surface_of_test()[rows, columns] == Surface.LAND
    with CubeFile(path) as file:
        fields = np.nan_to_num(file.concentration(days, rows, columns))
        fields[:, dry] = 0
        flags = file.flags(days, rows, columns)
    weights = np.select([flags == FillFlag.OBSERVED, flags >= FillFlag.LAND], [1, 0], 0.25)
    found = {}
    for name, some in (("input", slice(0, 3)), ("target", slice(3, 5))):
        found[f"{name}s"] = fields[some]
        found[f"{name}_flags"] = flags[some]
        found[f"{name}_weights"] = weights[some].astype(np.float32)
    return {part: values[:, np.newaxis] for part, values in found.items()}


PLACES = {
    "all": {},
    "region": {"region": (5, 21, 4, 16)},
    "one tile": {"region": (14, 21, 5, 10)},
    "patch": {"patch_size": (8, 6)},
}


@pytest.mark.slow
@pytest.mark.parametrize("preload", [False, True])
@pytest.mark.parametrize("layout", [*TILED, *OTHER])
def test_every_layout_gives_the_values_of_the_library(tmp_path, monkeypatch, layout, preload):
    path = write(tmp_path / "cube.nc", **(TILED | OTHER)[layout])
    parts = ("inputs", "targets", "origin", *(p for p in PARTS if p.endswith(("flags", "weights"))))
    monkeypatch.setattr("seaice.training.chunks.tiles._DAYS_AT_ONCE", 2)
    for where in PLACES.values():
        dataset = dataset_of(path, returns=parts, filled_weight=0.25, preload_data=preload, **where)
        if not preload:
            expected = TileSource if layout in TILED else LibrarySource
            assert kind_of(dataset) is kind_of(dataset, "flags") is expected
        for index in (0, 2):
            item = dataset[index]
            row, column = item.pop("origin").tolist()
            height, width = item["inputs"].shape[-2:]
            sought = reference(path, index, slice(row, row + height), slice(column, column + width))
            assert_same(item, {name: torch.from_numpy(values) for name, values in sought.items()})


def test_big_endian_is_left_to_the_library(tmp_path):
    path = write(tmp_path / "cube.nc", **ZLIB, big_endian=True)
    dataset = dataset_of(path, returns=("inputs", "input_flags"))
    assert kind_of(dataset) is LibrarySource
    assert kind_of(dataset, "flags") is TileSource  # of one byte, either way
    sought = reference(path, 1, slice(0, ROWS), slice(0, COLUMNS))
    np.testing.assert_array_equal(dataset[1]["inputs"], sought["inputs"])
    np.testing.assert_array_equal(dataset[1]["input_flags"], sought["input_flags"])


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["shuffle and deflate", "no filter", "two days deep"])
def test_chunks_never_written_hold_the_fill_value(tmp_path, layout):
    path = write(tmp_path / "cube.nc", **(TILED | OTHER)[layout])
    with netCDF4.Dataset(path, "a") as file:
        file["time"][DAYS] = file["time"][DAYS - 1] + 1
    options = {"returns": ("inputs", "input_flags"), "missing_value": 7.0, "land_value": 5.0}
    dataset = ConsolidatedSICDataset(
        path, day(DAYS - 1), day(DAYS), 1, 1, pred_shift=1, largest_missing_share=1, **options
    )
    last = ConsolidatedSICDataset(
        path, day(DAYS), day(DAYS), 1, 1, pred_shift=0, largest_missing_share=1, **options
    )
    assert len(dataset) == len(last) == 1
    land = torch.from_numpy(surface_of_test() == Surface.LAND)
    item = last[0]
    assert (item["inputs"][0, 0] == torch.where(land, 5.0, 7.0)).all()
    with CubeFile(path) as file:
        np.testing.assert_array_equal(item["input_flags"][0, 0], file.flags(DAYS))


def test_filters_may_have_been_left_out_of_single_chunks(tmp_path):
    """Bits of the mask say which; HDF5 sets them where a filter failed."""
    path = tmp_path / "direct.h5"
    packed = np.random.default_rng(0).integers(-32768, 32768, (4, *TILE)).astype("<i2")
    with h5py.File(path, "w") as file:
        made = file.create_dataset(
            "sea_ice_conc", (4, *TILE), "<i2", chunks=(1, *TILE), shuffle=True, compression="gzip"
        )
        made.attrs["scale_factor"], made.attrs["_FillValue"] = 0.0001, np.int16(-32768)
        shuffled = packed.view(np.uint8).reshape(4, -1, 2).transpose(0, 2, 1)
        made[0] = packed[0]
        made.id.write_direct_chunk((1, 0, 0), shuffled[1].tobytes(), filter_mask=0b10)
        made.id.write_direct_chunk((2, 0, 0), packed[2].tobytes(), filter_mask=0b11)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["sea_ice_conc"][:3], packed[:3])
    table = list_netcdf_chunks(path, "sea_ice_conc", FileState.read(path))
    source = TileSource(table, path, [day(i) for i in range(4)], np.zeros(TILE, bool))
    found = codes_of(source, [2, 0, 1, 3], slice(0, 7), slice(0, 5))
    np.testing.assert_array_equal(found.view(np.int16), [packed[2], packed[0], packed[1], packed[3] * 0])


def test_a_file_that_is_none_has_no_table(tmp_path):
    junk = tmp_path / "junk.nc"
    junk.write_bytes(b"CDF\x01 and no more")
    assert list_netcdf_chunks(junk, "sea_ice_conc", FileState.read(junk)) is None
    with h5py.File(tmp_path / "other.nc", "w") as file:
        file["sea_ice_conc"] = np.zeros((2, 3))
    assert list_netcdf_chunks(tmp_path / "other.nc", "sea_ice_conc", FileState.read(junk)) is None
    assert list_netcdf_chunks(tmp_path / "other.nc", "fill_flag", FileState.read(junk)) is None


# --- any part, any number of threads


def codes_of(source, days, rows, columns, threads=1) -> np.ndarray:
    """The codes that a source holds, read through a table that gives every code itself."""
    dtype = source.code_dtype
    lookup = LookupTable(np.arange(1 << 8 * dtype.itemsize).astype(dtype))
    out = np.full((len(days), rows.stop - rows.start, columns.stop - columns.start), 77, dtype)
    source.read([FrameRequest(days, rows, columns, out, lookup)], threads)
    return out


def source_of(path: Path, name: str) -> TileSource:
    with CubeFile(path) as file:
        variable = {"sea_ice_conc": "concentration", "fill_flag": "flags"}[name]
        return CubeReader(file, read_cube_state(path), [variable])._sources[variable]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Sources of the two variables of one cube, and their arrays as stored."""
    path = write(tmp_path_factory.mktemp("stored") / "cube.nc", **ZLIB, shuffle=True)
    with CubeFile(path) as file:
        packed, flags = file.variable("sea_ice_conc").view(np.uint16), file.flags(slice(None))
    return [(source_of(path, "sea_ice_conc"), packed), (source_of(path, "fill_flag"), flags)]


def ranges(length: int):
    return st.tuples(st.integers(0, length - 1), st.integers(1, length)).map(
        lambda pair: slice(pair[0], max(pair[0] + 1, pair[1]))
    )


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    rows=ranges(ROWS),
    columns=ranges(COLUMNS),
    days=st.lists(st.integers(0, DAYS - 1), min_size=1, max_size=9),
    threads=st.sampled_from([1, 2, 5]),
)
def test_any_part_of_any_days_is_that_part(stored, rows, columns, days, threads):
    for source, array in stored:
        np.testing.assert_array_equal(
            codes_of(source, days, rows, columns, threads), array[days, rows, columns]
        )


@pytest.mark.slow
@given(
    codes=st.lists(st.integers(0, 65535), min_size=12, max_size=12),
    with_land=st.booleans(),
    cut=st.tuples(st.integers(0, 2), st.integers(0, 3)),
)
def test_loops_are_a_look_up(codes, with_land, cut):
    """Three rows of four, against the plain expression; the loops as Python too."""
    array = np.array(codes, np.uint16).reshape(3, 4)
    shuffled = array.view(np.uint8).reshape(-1, 2).T.ravel().copy()
    table = np.arange(65536, dtype=np.float32)[::-1].copy()
    row, column = cut
    height, width = 3 - row, 4 - column
    land = np.zeros((4, 5), bool)
    land[1::2, 1::2] = True
    expected = np.full((4, 5), -1, np.float32)
    expected[1 : 1 + height, 1 : 1 + width] = table[array[row:, column:]]
    if with_land:
        inside = np.zeros((4, 5), bool)
        inside[1 : 1 + height, 1 : 1 + width] = True
        expected[land & inside] = 9
    where = row, column, 1, 1, height, width
    for look_up, given_ in ((_kernels.look_up, (array,)), (_kernels.look_up_shuffled, (shuffled, 4))):
        for loop in (look_up, look_up.py_func):
            out = np.full((4, 5), -1, np.float32)
            loop(*given_, table, out, *where, land, np.float32(9), with_land)
            np.testing.assert_array_equal(out, expected)


def test_checksum_is_the_published_one(tmp_path):
    """Check values of the CRC-32C from RFC 3720, appendix B.4, as indexes of two tiles."""
    assert google_crc32c.value(b"123456789") == 0xE3069283
    for data, value in (
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ):
        assert google_crc32c.value(data) == value
        for checksum in (value, value ^ 1):
            path = tmp_path / f"{checksum}"
            path.write_bytes(b"chunks" + data + checksum.to_bytes(4, "little"))
            with path.open("rb") as file:
                if checksum == value:
                    assert read_index(file.fileno(), 2, path).astype("<i8").tobytes() == data
                    continue
                with pytest.raises(OSError, match="its index does not fit its checksum"):
                    read_index(file.fileno(), 2, path)


def test_threads_do_every_job_once_and_raise_the_first_error(monkeypatch):
    done, names = Counter(), set()

    def work(job):
        done[job] += 1
        names.add(threading.current_thread().name)

    for_each(work, list(range(200)), threads=3, cells=MANY)
    assert done == Counter(range(200))
    assert threading.main_thread().name not in names
    for threads, cells in ((1, MANY), (3, 1000)):
        names.clear()
        monkeypatch.setattr("seaice.runtime.threads._WORTH_IT", 1001)
        for_each(work, [1, 2], threads=threads, cells=cells)
        assert names == {threading.main_thread().name}

    def fail(job):
        raise ValueError(f"job {job}")

    with pytest.raises(ValueError, match="job 4"):
        for_each(fail, [4, 5, 6], threads=3, cells=MANY)


# --- values of an item


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["shuffle and deflate", "zstd", "two days deep"])
@pytest.mark.parametrize("preload", [False, True])
@pytest.mark.parametrize(
    ("missing", "land"), [(0.0, 0.0), (-1.0, 0.0), (0.0, float("nan")), (float("nan"),) * 2]
)
def test_statistics_are_applied_as_in_float32_arithmetic(tmp_path, layout, preload, missing, land):
    path = write(tmp_path / "cube.nc", **(TILED | OTHER)[layout])
    with netCDF4.Dataset(path, "a") as file:  # a value over land, which no cube of ours has
        file["sea_ice_conc"].set_auto_maskandscale(False)
        file["sea_ice_conc"][:, 12, 9] = 4321
        packed = file["sea_ice_conc"][...]
    statistics = Statistics(0.4567, 0.1234, 5, 1, (), "x")
    dataset = dataset_of(
        path, statistics=statistics, missing_value=missing, land_value=land, preload_data=preload
    )
    fields = packed * np.float32(0.0001)
    fields[packed == -32768] = np.nan
    normal = (fields - np.float32(0.4567)) / np.float32(0.1234)
    for values in (fields, normal):
        values[np.isnan(values)] = missing
        values[:, surface_of_test() == Surface.LAND] = land
    for index in range(len(dataset)):
        expected = normal[index : index + 3], fields[index + 3 : index + 5]
        assert_same(dataset[index], [torch.from_numpy(e[:, np.newaxis].copy()) for e in expected])


@pytest.mark.slow
def test_a_batch_is_its_items(cube):
    everything = {"returns": list(PARTS), "patch_size": 9, "filled_weight": 0.5}
    for options in ({}, everything, {"transform": lambda item: (item[0] * 2, item[1].sum())}):
        dataset = dataset_of(cube, **options)
        order = [2, 0, -1, 2, 1]
        batch = dataset.__getitems__(order)
        assert isinstance(batch, list)
        for item, index in zip(batch, order, strict=True):
            assert_same(item, dataset[index])
    plain = dataset_of(cube)
    first, again = plain.__getitems__([1, 1])
    first[0][:] = 9
    assert torch.equal(again[0], plain[1][0])
    assert dataset.__getitems__([]) == []
    with pytest.raises(IndexError, match="sample 3 of 3"):
        plain.__getitems__([0, 3])
    assert torch.equal(dataset_of(cube, transform=lambda i: i[0]).GetInputs()[2], plain[2][0])


def test_a_chunk_is_decoded_once_a_batch(cube, monkeypatch):
    decoded = []
    decompress = Tiling.decompress
    monkeypatch.setattr(
        Tiling, "decompress", lambda self, *a: decoded.append(self.name) or decompress(self, *a)
    )
    dataset = dataset_of(cube, returns=("inputs", "targets", "input_flags", "input_weights"))
    tiles, dry = 4 * 4, 4  # the first row of tiles is land, which no reading could change
    dataset[0]
    assert Counter(decoded) == {"sea_ice_conc": 5 * (tiles - dry), "fill_flag": 3 * tiles}
    decoded.clear()
    dataset.__getitems__([0, 1, 2, 1])  # seven days together, five of them inputs
    assert Counter(decoded) == {"sea_ice_conc": 7 * (tiles - dry), "fill_flag": 5 * tiles}
    decoded.clear()
    dataset_of(cube, region=(14, 21, 5, 11))[0]  # two tiles
    assert len(decoded) == 5 * 2


def test_adjoining_chunks_are_one_read(tmp_path, monkeypatch):
    path = write(tmp_path / "cube.nc", shuffle=False)  # stored as they are, one after the other
    dataset = dataset_of(path)
    reads = []
    read = WatchedFile.read
    monkeypatch.setattr(
        WatchedFile, "read", lambda self, begin, size: reads.append(size) or read(self, begin, size)
    )
    with h5py.File(path) as file:
        chunks = []
        file["sea_ice_conc"].id.chunk_iter(chunks.append)
    wanted = sorted(
        (c.byte_offset, c.size) for c in chunks if c.chunk_offset[0] < 5 and c.chunk_offset[1]
    )
    ends = {offset + size for offset, size in wanted}
    assert len(wanted) == 5 * 12
    dataset[0]
    assert len(reads) == sum(offset not in ends for offset, _ in wanted) < 20
    assert sum(reads) == sum(size for _, size in wanted)


# --- processes


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_workers_after_threads_have_worked_here(cube, monkeypatch):
    """Loaders without and with forked workers, batch by batch and item by item."""
    monkeypatch.setattr("seaice.training.window_dataset.allowed_processors", lambda: 3)
    dataset = dataset_of(cube, returns=("inputs", "targets", "target_flags"))
    expected = dataset.__getitems__([0, 1, 2])
    for options in ({}, {"num_workers": 2, "multiprocessing_context": "fork"}):
        for batched in (True, False):
            loader = DataLoader(dataset, batch_size=2 if batched else None, **options)
            found = [
                b if not batched else {k: v[i] for k, v in b.items()}
                for b in loader
                for i in range(len(b["inputs"]) if batched else 1)
            ]
            assert len(found) == 3
            for one, other in zip(found, expected, strict=True):
                assert_same(one, other)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_makes_threads_of_its_own(cube, monkeypatch):
    monkeypatch.setattr("seaice.training.window_dataset.allowed_processors", lambda: 3)
    dataset = dataset_of(cube)
    expected = dataset[1]
    child = os.fork()
    if not child:
        signal.alarm(30)
        status = 1
        try:
            status = 0 if torch.equal(dataset[1][0], expected[0]) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert_same(dataset[1], expected)


def test_a_worker_decodes_in_its_own_thread(cube, monkeypatch):
    monkeypatch.setattr("seaice.training.window_dataset.get_worker_info", lambda: "a worker")
    monkeypatch.setattr("seaice.runtime.threads._executor", lambda threads: pytest.fail("threads"))
    dataset_of(cube)[0]


def open_files() -> int:
    """Descriptors of this process, where the system tells."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_no_handle_is_pickled(cube):
    dataset = dataset_of(cube)
    expected = dataset[0]
    before = open_files()
    again = pickle.loads(pickle.dumps(dataset))
    files = [source._table._file for source in again._reader._sources.values()]
    assert all(isinstance(file, WatchedFile) and file._handle is None for file in files)
    assert_same(again[0], expected)
    del again, files
    assert open_files() == before, "the handle was not closed with the Dataset"
    held = dataset_of(cube, preload_data=True)
    assert_same(held[0], expected)
    assert open_files() == before


def test_an_item_calls_no_library(cube, monkeypatch):
    dataset = dataset_of(cube, returns=PARTS)
    expected = dataset[0]
    for call in ("netCDF4.Dataset", "h5py.File", "seaice.cube.file.CubeFile.__init__"):
        monkeypatch.setattr(call, lambda *a, **k: pytest.fail("the library was called"))
    dataset.close()
    assert_same(dataset[0], expected)


# --- another file, a damaged file


@pytest.mark.parametrize("layout", ["shuffle and deflate", "two days deep"])
def test_a_cube_that_changed_is_refused(tmp_path, layout):
    path = write(tmp_path / "cube.nc", **(TILED | OTHER)[layout])
    open_, closed, held = dataset_of(path), dataset_of(path), dataset_of(path, preload_data=True)
    expected = open_[0]
    content = path.read_bytes()
    copy = tmp_path / "copy.nc"
    copy.write_bytes(content)
    os.replace(copy, path)  # the same bytes, but another file
    with pytest.raises(InputError) as error:
        closed[0]
    assert str(error.value) == f"{path} is another cube than before; make the Dataset anew"
    assert_same(open_[0], expected)  # this process still holds the one that was
    open_.close()
    with pytest.raises(InputError, match="is another cube than before"):
        open_[0]
    assert_same(held[0], expected)
    path.unlink()
    with pytest.raises(InputError, match="no such cube"):
        closed[0]


def test_a_cube_replaced_while_a_dataset_is_made_is_refused(cube, tmp_path, monkeypatch):
    def later(path, name, state):
        os.replace(shutil.copyfile(path, tmp_path / "copy.nc"), path)
        return list_netcdf_chunks(path, name, state)

    monkeypatch.setattr("seaice.training.reader.list_netcdf_chunks", later)
    dataset = dataset_of(cube)
    with pytest.raises(InputError, match="is another cube than before"):
        dataset[0]


def test_a_cube_written_to_while_it_is_open_is_refused(cube):
    dataset = dataset_of(cube)
    dataset[0]
    with cube.open("ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match="is another cube than before; make the Dataset anew"):
        dataset[0]


def untouched(path: Path, change) -> None:
    """Change a file so that its size and time tell nothing."""
    before = path.stat()
    change()
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["shuffle and deflate", "zstd", "shuffle and zstd"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_damaged_chunk_names_its_day(tmp_path, monkeypatch, layout, threads):
    monkeypatch.setattr("seaice.training.window_dataset.allowed_processors", lambda: threads)
    path = write(tmp_path / "cube.nc", **TILED[layout])
    expected = dataset_of(path)[0]
    with h5py.File(path) as file:
        chunks = []
        file["sea_ice_conc"].id.chunk_iter(lambda c: chunks.append(c.chunk_offset))
    number = next(i for i, place in enumerate(chunks) if place[0] == 5 and place[1] == 7)
    untouched(path, lambda: damage(path, "sea_ice_conc", number))
    dataset = dataset_of(path)
    assert_same(dataset[0], expected)
    for read in (lambda: dataset[1], lambda: dataset.__getitems__([0, 2]), dataset.GetTargets):
        with pytest.raises(InputError) as error:
            read()
        start, _, rest = str(error.value).partition(" (")
        assert start == f"{path} is damaged: sea_ice_conc cannot be read at {day(5)}"
        assert rest.endswith("); make the cube again with consolidate_data.py --force")
        assert "\n" not in rest


def test_a_chunk_of_another_length_is_damaged():
    tiling = Tiling("sea_ice_conc", (1, 2, 2), (2, 2), "<i2", 0, ())
    with pytest.raises(ChunkDamage, match="expected 8 bytes in a chunk, found 6"):
        tiling.decompress(b"123456", 0)


def test_damage_under_land_does_no_harm(cube):
    expected = dataset_of(cube)[0]
    with h5py.File(cube) as file:
        chunks = []
        file["sea_ice_conc"].id.chunk_iter(lambda c: chunks.append(c.chunk_offset))
    untouched(cube, lambda: damage(cube, "sea_ice_conc", chunks.index((0, 0, 0))))
    assert_same(dataset_of(cube)[0], expected)


# --- Zarr shards


def write_shards(path: Path, array: np.ndarray, codec, *, key="/", fill=0, attributes=None, name="v"):
    """An array of one shard a day, written by zarr-python; returns what it reads back."""
    shard = tuple(-(-n // t) * t for n, t in zip(array.shape[1:], TILE, strict=True))
    group = zarr.create_group(str(path), overwrite=True, zarr_format=3)
    made = group.create_array(
        name,
        shape=array.shape,
        dtype=array.dtype,
        chunks=(1, *TILE),
        shards=(1, *shard),
        compressors=codec,
        fill_value=fill,
        attributes=attributes or {},
        chunk_key_encoding={"name": "default", "separator": key},
    )
    made[...] = array
    return made[...]


def shard_source(path: Path, name: str = "v") -> TileSource | None:
    table = list_zarr_chunks(path, name, FileState.read(path / "zarr.json"))
    if table is None:
        return None
    return TileSource(table, path, [day(i) for i in range(DAYS)], np.zeros((ROWS, COLUMNS), bool))


CODECS = {
    "zstd": zarr.codecs.ZstdCodec(level=1),
    "gzip": zarr.codecs.GzipCodec(level=1),
    "none": None,
}
PACKED = {"scale_factor": 0.0001, "_FillValue": -32768}


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", ["int16", "uint8"])
@pytest.mark.parametrize("key", ["/", "."])
def test_shards_hold_what_zarr_reads(tmp_path, codec, dtype, key):
    array = np.random.default_rng(1).integers(0, 200, (DAYS, ROWS, COLUMNS)).astype(dtype)
    fill = -32768 if dtype == "int16" else 255
    array[2, :7, :5] = array[4] = fill  # zarr stores neither this chunk nor this shard
    packed = PACKED if dtype == "int16" else {}
    back = write_shards(tmp_path / "z", array, CODECS[codec], key=key, fill=fill, attributes=packed)
    np.testing.assert_array_equal(back, array)
    assert not (tmp_path / "z" / "v" / key.join(["c", "4", "0", "0"])).exists()
    source = shard_source(tmp_path / "z")
    days = [5, 2, 2, 0] if key == "." else [4, 5, 2, 2, 0]
    for rows, columns in ((slice(0, ROWS), slice(0, COLUMNS)), (slice(5, 9), slice(16, 17))):
        for threads in (1, 3):
            found = codes_of(source, days, rows, columns, threads)
            np.testing.assert_array_equal(found.view(dtype), array[days, rows, columns])
    if dtype == "int16":
        step = np.float32(0.0001)
        np.testing.assert_array_equal(source.values[[5, 65535, 32768]], [5 * step, -step, np.nan])


def test_shards_that_were_lost_or_damaged_are_named(tmp_path):
    array = np.random.default_rng(1).integers(0, 9999, (DAYS, ROWS, COLUMNS)).astype(np.int16)
    write_shards(tmp_path / "z", array, CODECS["zstd"], key=".", attributes=PACKED)
    source = shard_source(tmp_path / "z")
    whole = slice(0, ROWS), slice(0, COLUMNS)
    codes_of(source, [0, 1, 2, 3], *whole)
    shards = [tmp_path / "z" / "v" / f"c.{i}.0.0" for i in range(DAYS)]
    shards[0].unlink()
    shards[1].write_bytes(shards[1].read_bytes()[:40])
    content = bytearray(shards[2].read_bytes())
    content[-9] ^= 1
    shards[2].write_bytes(content)
    content = bytearray(shards[3].read_bytes())
    content[:300] = bytes(300)
    shards[3].write_bytes(content)
    reasons = "is not there", "does not fit its checksum", "does not fit its checksum", ""
    for number, reason in enumerate(reasons):
        here = rf"is damaged: v cannot be read at {day(number)} .*{reason}"
        with pytest.raises(InputError, match=here):
            codes_of(source, [5, number], *whole)
    np.testing.assert_array_equal(codes_of(source, [5], *whole)[0], array[5].view(np.uint16))


def test_a_group_that_changed_is_refused(tmp_path):
    array = np.zeros((DAYS, ROWS, COLUMNS), np.uint8)
    write_shards(tmp_path / "z", array, None)
    source = shard_source(tmp_path / "z")
    codes_of(source, [0], slice(0, 1), slice(0, 1))
    (tmp_path / "z" / "zarr.json").write_text("{}")
    with pytest.raises(InputError, match="is another cube than before"):
        codes_of(source, [0], slice(0, 1), slice(0, 1))
    shutil.rmtree(tmp_path / "z")
    with pytest.raises(InputError, match="is another cube than before"):
        codes_of(source, [0], slice(0, 1), slice(0, 1))


@pytest.mark.slow
def test_other_zarr_layouts_have_no_table(tmp_path):
    array = np.zeros((DAYS, ROWS, COLUMNS), np.uint8)
    group = zarr.create_group(str(tmp_path / "z"), zarr_format=3)
    group.create_array("plain", data=array, chunks=(1, 7, 5))
    group.create_array("deep", data=array, chunks=(1, 7, 5), shards=(2, 28, 20))
    group.create_array("part", data=array, chunks=(1, 7, 5), shards=(1, 14, 20))
    group.create_array("wide", data=array.astype(np.int64), chunks=(1, 7, 5), shards=(1, 28, 20))
    blosc = zarr.codecs.BloscCodec()
    group.create_array("blosc", data=array, chunks=(1, 7, 5), shards=(1, 28, 20), compressors=blosc)
    group.create_array("good", data=array, chunks=(1, 7, 5), shards=(1, 28, 20), compressors=None)
    for name in ("plain", "deep", "part", "wide", "blosc", "absent"):
        assert shard_source(tmp_path / "z", name) is None, name
    assert shard_source(tmp_path / "z", "good") is not None


def test_a_table_is_small(cube):
    """Twenty bytes a chunk: it travels to every worker that is spawned."""
    table = source_of(cube, "sea_ice_conc")._table
    assert isinstance(table, NetCDFChunkTable)
    bytes_ = sum(a.nbytes for a in (table._offset, table._size, table._skipped))
    assert bytes_ <= 20 * DAYS * 16
