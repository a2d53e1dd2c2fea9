"""The training cache: what it keeps, whose it is, who makes it."""

from __future__ import annotations

import errno
import json
import logging
import multiprocessing
import os
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from cubes import small_grid, write_cube
from torch.utils.data import DataLoader

import cache_cube as script
import seaice
import utils
from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.flags import Surface
from seaice.runtime.atomic_write import (
    HeldByAnother,
    exclusive,
)
from seaice.training import cache
from seaice.training.cache import (
    DESCRIPTION_FILE,
    CacheDescription,
    cache_cube,
)
from seaice.training.chunks.arrays import ArraySource
from seaice.training.chunks.encodings import ENCODINGS
from seaice.training.dataset import (
    PARTS,
    ConsolidatedSICDataset,
)
from seaice.training.splits import Statistics

ROWS, COLUMNS, DAYS = 11, 9, 10
FIRST = date(2024, 2, 25)
DTYPES = list(ENCODINGS)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def values_of_test(seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 10001, (DAYS, ROWS, COLUMNS)) / 10000
    values[4, 5, 5:8] = np.nan
    values[:, 6, 6] = 1
    return values


def make_cube(path: Path, seed: int = 0, grid=None, **changes) -> Path:
    surface = np.zeros((ROWS, COLUMNS), np.uint8)
    surface[:3, :4] = Surface.LAND
    arguments = {
        "dates": [day(i) for i in range(DAYS)],
        "concentration": values_of_test(seed),
        "surface": surface,
        "grid": grid or small_grid(ROWS, COLUMNS),
    }
    return write_cube(path, **(arguments | changes))


@pytest.fixture
def cube(tmp_path):
    return make_cube(tmp_path / "cube.nc")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def dataset_of(path: Path, **options):
    options = {"largest_missing_share": 1} | options
    start, end = options.pop("start", day(0)), options.pop("end", day(DAYS - 1))
    return ConsolidatedSICDataset(path, start, end, 3, 2, **options)


def array_of(folder: Path) -> Path:
    return folder / CacheDescription.read(folder).array


# --- what it keeps


@pytest.mark.parametrize("dtype", DTYPES)
def test_errors_are_as_large_as_said_and_no_larger(dtype):
    """All values a cube can hold, as the cube gives them."""
    values = np.arange(10001, dtype=np.int16) * np.float32(0.0001)
    encoding = ENCODINGS[dtype]
    kept = encoding.decode(encoding.encode(values))
    largest = 100 * np.abs(kept.astype(np.float64) - values).max()
    assert largest == pytest.approx(encoding.largest_error, rel=0.02, abs=1e-12)
    assert largest == pytest.approx({"float16": 0.0244, "uint8": 0.2, "int16": 0}[dtype], rel=0.02)
    assert (kept[0], kept[-1]) == (0, 1)
    back = encoding.decode(encoding.encode(np.float32([np.nan, 0.5])))
    assert np.isnan(back).tolist() == [True, False]
    assert encoding.decode_all_codes().dtype == np.float32
    assert encoding.encode(values).dtype == encoding.code_dtype


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "where", [{}, {"region": (2, 10, 1, 8)}, {"patch_size": 4}, {"preload_data": True}]
)
def test_items_are_those_of_the_cube_within_the_error(cube, folder, monkeypatch, dtype, where):
    monkeypatch.setattr("seaice.training.chunks.arrays._CELLS", 25)  # a few rows a thread
    monkeypatch.setattr("seaice.runtime.threads._WORTH_IT", 0)
    options = {"returns": PARTS, "missing_value": -1.0, "land_value": 7.0, "filled_weight": 0.5, **where}
    plain = dataset_of(cube, **options)
    cached = dataset_of(cube, cache=folder, cache_dtype=dtype, **options)
    assert isinstance(cached._reader._sources["concentration"], ArraySource)
    for one, other in zip(plain, cached.__getitems__(range(len(cached))), strict=True):
        for part in PARTS:
            assert one[part].dtype == other[part].dtype
            if part in ("inputs", "targets") and dtype != "int16":
                limit = ENCODINGS[dtype].largest_error / 100 + 1e-6
                assert (one[part] - other[part]).abs().max() <= limit
                # What is missing, land or whole stays exactly that.
                for value in (-1, 7, 1):
                    assert torch.equal(one[part] == value, other[part] == value) or value == 1
                assert (other[part][one[part] == 1] == 1).all()
            else:
                assert torch.equal(one[part], other[part]), part


def test_statistics_normalise_what_is_kept(cube, folder):
    statistics = Statistics(0.4, 0.3, 5, 1, (), "x")
    plain = dataset_of(cube, cache=folder)
    normal = dataset_of(cube, cache=folder, statistics=statistics)
    ocean = torch.from_numpy(plain.ocean)
    expected = (plain[0][0].numpy() - np.float32(0.4)) / np.float32(0.3)
    np.testing.assert_array_equal(normal[0][0].numpy()[..., ocean], expected[..., ocean])
    assert torch.equal(normal[0][1], plain[0][1])


def test_the_file_is_plain_frames(cube, folder):
    """Anybody can map it: days, rows, columns, in the order of the cube."""
    report = cache_cube(cube_file=cube, output_dir=folder, start_date=day(2), end_date=day(8))
    there = json.loads((folder / DESCRIPTION_FILE).read_text())
    values = np.memmap(folder / there["array"], there["dtype"], "r", shape=tuple(there["shape"]))
    assert values.shape == (7, ROWS, COLUMNS)
    assert there["days"] == [str(day(i)) for i in range(2, 9)]
    assert there["grid"]["id"] == "epsg3411_25000"
    with CubeFile(cube) as file:
        expected = file.concentration(slice(2, 9)).astype(np.float16)
    np.testing.assert_array_equal(values, expected)
    assert report.outputs == [folder / DESCRIPTION_FILE, folder / there["array"]]
    assert report.values == {"bytes": 7 * ROWS * COLUMNS * 2}


def test_a_cube_the_library_must_read_can_be_cached(tmp_path, folder):
    import netCDF4

    cube = make_cube(tmp_path / "cube.nc")
    with netCDF4.Dataset(cube, "a") as file:
        file.renameVariable("sea_ice_conc", "old")
        old = file["old"]
        made = file.createVariable(
            "sea_ice_conc", "i2", old.dimensions, fill_value=-32768, chunksizes=(3, 11, 9)
        )
        for variable in (old, made):
            variable.set_auto_maskandscale(False)
        made.scale_factor = old.scale_factor
        made[:] = old[:]
    plain = dataset_of(cube)
    cached = dataset_of(cube, cache=folder, cache_dtype="int16")
    assert all(torch.equal(a, b) for a, b in zip(plain[2], cached[2], strict=True))


def test_values_that_one_byte_cannot_keep_are_refused(tmp_path, folder):
    values = values_of_test()
    values[6, 8, 8] = 1.2
    cube = make_cube(tmp_path / "cube.nc", concentration=values)
    with pytest.raises(InputError) as error:
        cache_cube(cube_file=cube, output_dir=folder, dtype="uint8")
    assert str(error.value) == (
        f"{cube} holds values outside 0..1 at {day(6)}, which uint8 cannot keep; take float16"
    )
    assert list(folder.iterdir()) == []  # neither half a file nor a lock
    cache_cube(cube_file=cube, output_dir=folder)
    assert dataset_of(cube, cache=folder)[4][0][2, 0, 8, 8] == pytest.approx(1.2, abs=1e-3)


# --- whose it is


def test_a_cube_that_only_looks_touched_is_compared(cube, folder, monkeypatch, caplog):
    cache_cube(cube_file=cube, output_dir=folder)
    monkeypatch.setattr("seaice.training.cache.digest_cube", lambda path: pytest.fail("it was read"))
    expected = dataset_of(cube, cache=folder)[1]
    monkeypatch.undo()
    os.utime(cube, ns=(1, 1))
    with caplog.at_level(logging.INFO, logger="seaice"):
        again = dataset_of(cube, cache=folder)[1]
    assert all(torch.equal(a, b) for a, b in zip(expected, again, strict=True))
    assert any("comparing digests" in r.message for r in caplog.records)


@pytest.mark.slow
@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"grid": small_grid(ROWS, COLUMNS, 12500.0)},
        {"dates": [day(i + 1) for i in range(DAYS)]},
    ],
)
def test_a_cache_of_another_cube_is_refused(cube, folder, other):
    cache_cube(cube_file=cube, output_dir=folder)
    description = CacheDescription.read(folder)
    digest = description.cube_sha256
    assert description.software == f"seaice {seaice.__version__}"
    make_cube(cube, **other)
    os.utime(cube, ns=(5, 5))
    for use in (
        lambda: dataset_of(cube, cache=folder, start=day(1)),
        lambda: cache_cube(cube_file=cube, output_dir=folder),
        lambda: cache_cube(cube_file=cube, output_dir=folder, verify=True),
    ):
        with pytest.raises(InputError) as error:
            use()
        assert str(error.value) == (
            f"{folder} was made of another cube than {cube} (of cube.nc, SHA-256 {digest[:12]}...); "
            "delete it or run cache_cube.py --force"
        )
    cache_cube(cube_file=cube, output_dir=folder, force=True)
    plain, cached = dataset_of(cube, start=day(1)), dataset_of(cube, start=day(1), cache=folder)
    assert (plain[0][0] - cached[0][0]).abs().max() < 0.0003


def test_a_cache_that_is_cut_off_is_refused(cube, folder):
    cache_cube(cube_file=cube, output_dir=folder)
    array = array_of(folder)
    array.write_bytes(array.read_bytes()[:-1])
    size = DAYS * ROWS * COLUMNS * 2
    with pytest.raises(InputError) as error:
        dataset_of(cube, cache=folder)
    assert str(error.value) == (
        f"{array} is cut off: expected {size} bytes, found {size - 1}; delete it or run cache_cube.py "
        "--force"
    )
    array.unlink()
    with pytest.raises(InputError, match=f"expected {size} bytes, found 0"):
        cache_cube(cube_file=cube, output_dir=folder)
    cache_cube(cube_file=cube, output_dir=folder, force=True)
    dataset_of(cube, cache=folder)[0]


def test_a_description_that_is_none_is_refused(cube, folder):
    cache_cube(cube_file=cube, output_dir=folder)
    path = folder / DESCRIPTION_FILE
    good = path.read_text()
    for text, message in (
        ("{", "describes no cache"),
        ("[]", "describes no cache"),
        (good.replace('"cube_size"', '"other"'), "describes no cache"),
        (good.replace('"format": 1', '"format": 2'), "describes a cache of another version"),
        (
            good.replace('"dtype": "float16"', '"dtype": "float8"'),
            "describes a cache of another version",
        ),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message) as error:
            dataset_of(cube, cache=folder)
        assert str(error.value).startswith(f"{path} ")
        assert str(error.value).endswith("; delete it or run cache_cube.py --force")


def test_a_cache_replaced_under_a_dataset_is_refused(cube, folder):
    first, second = dataset_of(cube, cache=folder), dataset_of(cube, cache=folder)
    expected = first[0]
    cache_cube(cube_file=cube, output_dir=folder, force=True)
    assert all(torch.equal(a, b) for a, b in zip(first[0], expected, strict=True))  # mapped before
    with pytest.raises(InputError, match="is another cache than before; make the Dataset anew"):
        second[0]
    first.close()
    with pytest.raises(InputError, match="is another cache than before"):
        first[0]


def test_what_a_cache_lacks_is_named(cube, folder):
    cache_cube(cube_file=cube, output_dir=folder, start_date=day(2), end_date=day(8), dtype="uint8")
    with pytest.raises(InputError) as error:
        dataset_of(cube, cache=folder, cache_dtype="uint8")
    assert str(error.value) == (
        f"{folder} holds {day(2)} to {day(8)} and not {day(0)}; choose days within or make it anew with "
        "cache_cube.py --force"
    )
    with pytest.raises(InputError) as error:
        dataset_of(cube, cache=folder, start=day(2), end=day(8))
    assert str(error.value) == (
        f"expected a cache of float16 in {folder}, found uint8; give cache_dtype='uint8' or another "
        "folder"
    )
    inside = {"start": day(2), "end": day(8)}
    cached = dataset_of(cube, cache=folder, cache_dtype="uint8", **inside)
    assert (cached[1][0] - dataset_of(cube, **inside)[1][0]).abs().max() <= 0.002 + 1e-6
    with pytest.raises(InputError, match=r"float16, uint8, int16 for a cache, found 'f4'"):
        dataset_of(cube, cache=folder, cache_dtype="f4")


def test_a_folder_of_something_else_is_left_alone(cube, tmp_path):
    for name in ("thesis.txt", "data"):
        (tmp_path / name).mkdir() if name == "data" else (tmp_path / name).write_text("x")
    before = sorted(tmp_path.iterdir())
    for use in (
        lambda: dataset_of(cube, cache=tmp_path),
        lambda: cache_cube(cube_file=cube, output_dir=tmp_path, force=True),
    ):
        with pytest.raises(InputError) as error:
            use()
        assert str(error.value) == (
            "expected a new or empty folder for the cache, found cube.nc, data, thesis.txt in "
            f"{tmp_path}; choose another folder"
        )
    with pytest.raises(InputError, match="expected a folder for the cache, found a file"):
        dataset_of(cube, cache=cube)
    with pytest.raises(InputError, match=r"folder of the cache does not exist: .*none; make"):
        dataset_of(cube, cache=tmp_path / "none" / "cache")
    assert sorted(tmp_path.iterdir()) == before


def test_a_disk_too_small_is_told_before(cube, folder, monkeypatch):
    class Usage:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    with pytest.raises(InputError, match=r"a cache of 10 days as float16 takes 0 MB, .* has 0 MB free"):
        dataset_of(cube, cache=folder)


# --- who makes it


def counted(monkeypatch, before=lambda: None) -> list[Path]:
    """Folders that caches are made in, in order."""
    made = []
    build = cache._build

    def watched(folder, *arguments):
        made.append(folder)
        before()
        return build(folder, *arguments)

    monkeypatch.setattr(cache, "_build", watched)
    return made


def test_the_first_dataset_makes_it_and_the_others_take_it(cube, folder, monkeypatch):
    made = counted(monkeypatch)
    first = dataset_of(cube, cache=folder, start=day(2), end=day(8))
    second = dataset_of(cube, cache=str(folder))
    assert made == [folder]
    assert torch.equal(first[0][0], second[2][0])
    assert sorted(p.name for p in folder.iterdir()) == [DESCRIPTION_FILE, array_of(folder).name]


class SetWhenWaiting(logging.Handler):
    """Sets an event once a process says that it waits for another."""

    def __init__(self, event, said) -> None:
        super().__init__()
        self.event, self.said = event, said

    def emit(self, record):
        if "waiting for it" in record.getMessage():
            self.said.put(record.getMessage())
            self.event.set()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_of_two_builders_one_builds_and_the_other_waits(cube, folder, monkeypatch):
    expected = dataset_of(cube, cache=folder.with_name("own"), cache_dtype="uint8")[0][0].numpy()
    context = multiprocessing.get_context("fork")
    waiting, said, results = context.Event(), context.Queue(), context.Queue()
    made = counted(monkeypatch, lambda: waiting.wait(20))
    monkeypatch.setattr(cache, "_WAIT_SECONDS", 0.01)

    def use():
        log = logging.getLogger("seaice")
        log.setLevel(logging.INFO)
        log.addHandler(SetWhenWaiting(waiting, said))
        inputs, _ = dataset_of(cube, cache=folder, cache_dtype="uint8")[0]
        results.put((inputs.numpy(), len(made)))

    crew = [context.Process(target=use) for _ in range(2)]
    for process in crew:
        process.start()
    found = [results.get(timeout=60) for _ in crew]
    for process in crew:
        process.join(30)
        assert process.exitcode == 0
    assert sorted(count for _, count in found) == [0, 1]
    for inputs, _ in found:
        np.testing.assert_array_equal(inputs, expected)
    message = said.get(timeout=5)
    assert message.startswith(f"{folder / DESCRIPTION_FILE} is being written by process ")
    assert message.endswith("; waiting for it")
    assert said.empty()


def test_the_script_refuses_while_another_builds(cube, folder, capsys):
    folder.mkdir()
    with exclusive(folder / DESCRIPTION_FILE):
        with pytest.raises(HeldByAnother, match="is being written by"):
            cache_cube(cube_file=cube, output_dir=folder)
        assert script.main(["--cube_file", str(cube), "--output_dir", str(folder)]) == 1
    assert "is being written by process" in capsys.readouterr().err
    cache_cube(cube_file=cube, output_dir=folder)


def test_a_build_that_fails_leaves_nothing(cube, folder, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("zlib.crc32", fail)
    with pytest.raises(KeyboardInterrupt):
        dataset_of(cube, cache=folder)
    assert list(folder.iterdir()) == []
    monkeypatch.undo()
    cache_cube(cube_file=cube, output_dir=folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    monkeypatch.setattr("zlib.crc32", fail)
    with pytest.raises(KeyboardInterrupt):
        cache_cube(cube_file=cube, output_dir=folder, force=True, dtype="uint8")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_cube_replaced_meanwhile_is_noticed(cube, folder, monkeypatch):
    write = cache._write_frames

    def slow(*arguments):
        checksums = write(*arguments)
        os.utime(cube, ns=(1, 1))
        return checksums

    monkeypatch.setattr(cache, "_write_frames", slow)
    with pytest.raises(InputError, match="was replaced while its cache was made; run the same again"):
        dataset_of(cube, cache=folder)
    assert list(folder.iterdir()) == []


# --- the script, the processes


def test_a_complete_cache_needs_no_lock(cube, folder, capsys, monkeypatch):
    """It is said to be there also where nothing can be written, such as a folder shared by all."""
    words = ["--cube_file", str(cube), "--output_dir", str(folder)]
    assert script.main(words) == 0

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(cache, "exclusive", refuse)
    assert script.main(words) == 0
    assert "complete already, made of the same cube" in capsys.readouterr().out
    assert script.main([*words, "--force"]) == 1


def test_the_script(cube, folder, capsys):
    words = ["--cube_file", str(cube), "--output_dir", str(folder)]
    assert script.main(words) == 0
    out = capsys.readouterr().out
    assert out.splitlines() == [
        f"{folder}: made of {cube}",
        f"10 days {day(0)} to {day(9)} on epsg3411_25000 (11 x 9 cells of 25 km) as float16, 0.0 MB",
        "largest error of a value: 0.0244 percent",
    ]
    before = (folder / DESCRIPTION_FILE).stat().st_mtime_ns
    assert script.main(words) == 0
    assert "complete already, made of the same cube" in capsys.readouterr().out
    assert (folder / DESCRIPTION_FILE).stat().st_mtime_ns == before
    assert script.main([*words, "--dtype", "uint8", "--start_date", "20240226"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: expected a cache of uint8 from {day(1)} to {day(9)} in {folder}, found one of float16 "
        f"from {day(0)} to {day(9)}; --force replaces it"
    )
    assert script.main([*words, "--dtype", "uint8", "--force"]) == 0
    assert [p.suffix for p in folder.iterdir() if p.name != DESCRIPTION_FILE] == [".uint8"]
    assert script.main([*words, "--end_date", "20250101", "--force"]) == 1
    assert "found 2025-01-01; choose days within" in capsys.readouterr().err
    assert script.main([*words, "--verify", "--force"]) == 1
    assert "give one of them" in capsys.readouterr().err


def test_verify_names_the_days_that_do_not_fit(cube, folder, capsys):
    words = ["--cube_file", str(cube), "--output_dir", str(folder)]
    assert script.main([*words, "--verify"]) == 1
    assert f"no cache in {folder}; make it with cache_cube.py" in capsys.readouterr().err
    assert script.main(words) == 0
    capsys.readouterr()
    assert script.main([*words, "--verify"]) == 0
    assert capsys.readouterr().out == f"{folder}: 10 of 10 days fit their checksums\n"
    array = array_of(folder)
    content = bytearray(array.read_bytes())
    content[3 * ROWS * COLUMNS * 2 + 5] ^= 1
    array.write_bytes(content)
    assert script.main([*words, "--verify"]) == 1
    said = capsys.readouterr()
    assert said.out == f"{folder}: 9 of 10 days fit their checksums\n"
    assert said.err == f"failed: {folder} is damaged at {day(3)}; make it again with --force\n"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_read_what_this_process_reads(cube, folder, context):
    dataset = dataset_of(cube, cache=folder, returns=("inputs", "targets", "target_flags"))
    expected = dataset.__getitems__(list(range(len(dataset))))
    loader = DataLoader(dataset, batch_size=3, num_workers=2, multiprocessing_context=context)
    for options in (loader, DataLoader(dataset, batch_size=3)):
        found = [{k: v[i] for k, v in b.items()} for b in options for i in range(len(b["inputs"]))]
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert all(torch.equal(one[name], other[name]) for name in other)


def test_utils_offers_it():
    assert utils.cache_cube is cache_cube


@pytest.mark.parametrize(
    "array", ["../cube.nc", "/etc/hostname", "cube.nc", ["x"], "concentration-/../../x"]
)
def test_a_description_names_an_array_in_its_own_folder(cube, folder, array):
    cache_cube(cube_file=cube, output_dir=folder)
    path = folder / DESCRIPTION_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"array": array}))
    with pytest.raises(InputError, match=r"cache\.json describes (no cache|a cache of another version)"):
        CacheDescription.read(folder)


def test_a_complete_cache_needs_no_right_to_write(cube, folder, monkeypatch):
    """Root may write anywhere, so that the lock is refused here."""
    cache_cube(cube_file=cube, output_dir=folder)

    def refuse(lock):
        raise PermissionError(errno.EACCES, "Permission denied", str(lock))

    monkeypatch.setattr("seaice.runtime.file_lock._open_lock", refuse)
    report = cache_cube(cube_file=cube, output_dir=folder)
    assert report.lines[0].endswith("complete already, made of the same cube")
