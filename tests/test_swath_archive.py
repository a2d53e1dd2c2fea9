"""The layouts of a swath archive: what goes in comes out, whoever reads it."""

import io
import json
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
import threading
import zipfile
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from swaths import ENDING, LAYOUTS, assert_same, classic_dictionary, make_swath, write, write_classic

import utils
import verify_archive
from seaice import InputError
from seaice.sources.amsr2.swath import (
    Swath,
    from_parts,
)
from seaice.swaths.archive import (
    classic,
    create_archive,
    hdf5,
    load_swaths,
)
from seaice.swaths.archive.zip_file import ZipReader
from seaice.swaths.verify import verify_archives

CASES = {
    "one channel": {},
    "three channels": {"channels": ("36.5H", "36.5V", "18.7H")},
    "89 GHz": {"channels": ("89AV", "36.5H")},
    "no positions": {"places": False},
    "no times": {"times": False},
    "nothing else": {"times": False, "places": False},
}


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "case"), list(product(LAYOUTS, CASES)))
def test_round_trip(tmp_path, layout, case):
    swaths = [make_swath(number, **CASES[case]) for number in range(3)]
    path = write(tmp_path / f"a{ENDING[layout]}", swaths, layout=layout, complete=True)
    with utils.load_swaths(path) as archive:
        assert (archive.layout, len(archive), archive.info["complete"]) == (layout, 3, True)
        for before, after in zip(swaths, archive, strict=True):
            assert_same(before, after)
        assert_same(swaths[-1], archive[-1])
        assert [s.granule_id for s in archive[1:]] == [s.granule_id for s in swaths[1:]]
        with pytest.raises(IndexError):
            archive[3]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_missing_everything(tmp_path, layout):
    swath = make_swath()
    swath.counts["36.5H"][:] = 65535
    swath.scan_times[:] = np.nan
    swath.positions["36.5"].latitude[:] = np.nan
    with load_swaths(write(tmp_path / f"a{ENDING[layout]}", [swath], layout=layout)) as archive:
        assert np.isnan(archive[0].kelvin()).all()
        assert archive[0].start_time is None
        assert archive[0].is_empty
        assert archive.entries[0]["temp_range"] in (None, [None, None])
        assert archive.entries[0]["lat_range"] is None


@pytest.mark.slow
@pytest.mark.parametrize(("one", "other"), list(product(LAYOUTS, LAYOUTS)))
def test_copy_from_layout_to_layout(tmp_path, one, other):
    swaths = [make_swath(n, channels=("36.5H", "89AV")) for n in range(2)]
    source = write(tmp_path / f"a{ENDING[one]}", swaths, layout=one)
    direct = write(tmp_path / f"b{ENDING[other]}", swaths, layout=other)
    copied = tmp_path / f"c{ENDING[other]}"
    with load_swaths(source) as archive, create_archive(copied, layout=other, count=2) as writer:
        for index in range(2):
            writer.copy(archive, index)
        writer.finish({"period": "2020-01-01T00:00:00 to 2020-01-01T03:00:00"})
    with load_swaths(copied) as archive:
        for before, after in zip(swaths, archive, strict=True):
            assert_same(before, after)
    if other != "hdf5":  # whose groups bear the time
        assert copied.read_bytes() == direct.read_bytes()


def test_plain_numpy_reads_the_classic_layout(tmp_path):
    swath = make_swath(channels=("36.5H", "36.5V"))
    path = write(tmp_path / "a.npz", [swath, make_swath(1)], layout="swath_array")
    with np.load(path, allow_pickle=True) as file:
        first, second = file["swath_array"]
        assert str(file["period"]).startswith("2020-01-01T00:00:00 to")
        assert int(file["num_swaths"]) == 2
    assert first["temperature"] is first["temperature_36.5H"]
    np.testing.assert_array_equal(first["temperature_36.5V"], swath.counts["36.5V"])
    assert first["metadata"]["shape"] == (20, 243)
    assert first["metadata"]["scale_factor"] == 0.01
    np.testing.assert_array_equal(first["metadata"]["scan_times"], swath.scan_times)
    assert set(second) == {"temperature", "latitude", "longitude", "metadata"}
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        pickled = file.read("swath_array.npy")
    assert pickled.count(swath.counts["36.5H"].tobytes()) == 1


@pytest.mark.parametrize("kind", ["own", "counts", "kelvin"])
def test_others_read_the_hdf5_layout(tmp_path, kind):
    import netCDF4
    import xarray

    if kind == "own":
        swath = make_swath()
    else:
        old = write_classic(tmp_path / "old.npz", [classic_dictionary(kind=kind)])
        with load_swaths(old) as archive:
            swath = archive[0]
    path = write(tmp_path / "a.h5", [swath], layout="hdf5")
    group = swath.granule_id or "swath_00000"
    expected = swath.kelvin()
    assert np.isnan(expected[0, :3]).all()
    with xarray.open_dataset(path, group=group) as dataset:
        np.testing.assert_allclose(dataset["temperature"].values, expected, rtol=1e-6)
        assert dataset["temperature"].units == "K"
        if kind == "own":
            assert dataset["scan_times"].values[0] == np.datetime64("2020-01-01T00:00:00")
            assert np.isnat(dataset["scan_times"].values[2])
            assert np.isnan(dataset["latitude"].values[1, 1])
            assert set(dataset.coords) >= {"latitude", "longitude", "scan_times"}
    with netCDF4.Dataset(path) as file:
        values = file[group]["temperature"][:]
        np.testing.assert_allclose(np.ma.filled(values, np.nan), expected, rtol=1e-6)
    with h5py.File(path) as file:
        raw = file[group]["temperature"]
        scale = raw.attrs.get("scale_factor", 1)
        known = ~np.isnan(expected)
        np.testing.assert_allclose(raw[:][known] * scale, expected[known], rtol=1e-6)


def test_repacked_hdf5_is_copied_right(tmp_path):
    swath = make_swath()
    path = write(tmp_path / "a.h5", [swath], layout="hdf5")
    with h5py.File(path, "r+") as file:
        group = file[swath.granule_id]
        values, attributes = group["temperature"][:], dict(group["temperature"].attrs)
        del group["temperature"]
        made = group.create_dataset("temperature", data=values, chunks=(7, 50), compression="gzip")
        made.attrs.update({k: v for k, v in attributes.items() if k != "DIMENSION_LIST"})
    with (
        load_swaths(path) as archive,
        create_archive(tmp_path / "b.h5", layout="hdf5", count=1) as writer,
    ):
        writer.copy(archive, 0)
        writer.finish({})
    with load_swaths(tmp_path / "b.h5") as archive:
        np.testing.assert_array_equal(archive[0].counts["36.5H"], values)


def test_hdf5_links_are_not_followed(tmp_path):
    path = write(tmp_path / "a.h5", [make_swath()], layout="hdf5")
    write(tmp_path / "secret.h5", [make_swath(1)], layout="hdf5")
    with h5py.File(path, "r+") as file:
        group = file[make_swath().granule_id]
        del group["temperature"]
        group["temperature"] = h5py.ExternalLink("secret.h5", f"/{make_swath(1).granule_id}/temperature")
    with load_swaths(path) as archive, pytest.raises(InputError, match="is a link"):
        archive[0]


@pytest.mark.parametrize("kind", ["counts", "kelvin"])
@pytest.mark.parametrize("places", [False, True])
def test_archives_of_the_former_program(tmp_path, kind, places, capsys):
    dictionaries = [classic_dictionary(n, kind=kind, places=places) for n in range(3)]
    path = write_classic(tmp_path / "AMSR2_TEMP.npz", dictionaries)
    counts = make_swath(1).counts["36.5H"]
    with load_swaths(path) as archive:
        assert archive.info == {"period": "2020-01-01T00:00:00 to 2020-01-01T03:00:00"}
        swath = archive[1]
        assert (swath.orbit_type, swath.granule_id, swath.channels) == ("A", "", ("unknown",))
        kelvin = swath.kelvin()
        assert np.isnan(kelvin[0, :3]).all()
        assert np.isnan(kelvin[3, 5])
        assert kelvin[5, 5] == pytest.approx(counts[5, 5] * 0.01)
        assert bool(swath.positions) == places
        assert "brightness_temperature_unknown" in swath.to_xarray()
    assert verify_archive.main([str(path)]) == 0
    assert "completeness: unknown" in capsys.readouterr().out


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_protocols(tmp_path, protocol):
    array = np.empty(2, object)
    array[:] = [classic_dictionary(n, kind="kelvin", places=True) for n in range(2)]
    array[0]["temperature"] = np.asfortranarray(array[0]["temperature"])
    array[1]["latitude"] = array[1]["latitude"].astype(">f4")
    array[0]["metadata"] |= {"name": np.str_(""), "day": np.datetime64("2020-01-02", "D"), "yes": True}
    array[0]["metadata"] |= {
        "some": np.arange(3),
        "many": np.arange(99),
        "raw": b"ab",
        "deep": {"a": [1]},
    }
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": (2,)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:  # stored, as np.savez does
        file.writestr("swath_array.npy", header.getvalue() + pickle.dumps(array, protocol))
    with load_swaths(tmp_path / "a.npz") as archive:
        np.testing.assert_array_equal(archive[0].counts["unknown"], array[0]["temperature"])
        np.testing.assert_array_equal(archive[1].positions["unknown"].latitude, array[1]["latitude"])
        said = archive.entries[0]
        assert said["day"].startswith("2020-01-02")
        assert (said["name"], said["yes"], said["some"], said["many"]) == ("", True, [0, 1, 2], None)
        assert (said["raw"], said["deep"], said["temp_range"]) == ("ab", {"a": [1]}, [12000, None])
        for layout in LAYOUTS:
            copied = write(tmp_path / f"{layout}{ENDING[layout]}", list(archive), layout=layout)
            with load_swaths(copied) as again:
                assert again.entries[0]["temp_range"][1] > 200


def test_metadata_of_the_wrong_kind_are_an_input_error(tmp_path):
    arrays = make_swath().name_arrays()
    for said in (
        {"channels": 5},
        {"scale_factors": [1]},
        {"scale_factor": "warm"},
        {"scale_factor": [[]]},
        {"scale_factors": {"36.5H": {}}},
    ):
        with pytest.raises(InputError):
            from_parts(said, arrays)
    record = np.zeros((), [("a", "f4")])
    for name, bad in (("latitude", record), ("scan_times", record), ("temperature", record)):
        with pytest.raises(InputError):
            from_parts({}, {**arrays, name: bad})
    assert from_parts({"positions": 5}, arrays).shape == (20, 243)


def test_big_endian_counts_of_the_former_program():
    counts = np.array([[40000, 0, 65535]], np.uint16)
    swath = Swath({"36.5H": counts.view(np.int16).astype(">i2")}, {})
    assert swath.kelvin()[0, 0] == pytest.approx(400.0)
    assert np.isnan(swath.kelvin()[0, 1:]).all()


def test_xarray_of_a_swath():
    swath = make_swath(channels=("36.5H", "36.5V", "89AV"))
    swath.scan_times[3] = 1e300
    dataset = swath.to_xarray()
    assert set(dataset.data_vars) == {"brightness_temperature_36_5H", "brightness_temperature_36_5V"}
    assert dataset.time.values[0] == np.datetime64("2020-01-01T00:00:00")
    assert np.isnat(dataset.time.values[2:4]).all()
    assert swath.to_xarray("89A").lat.shape == (20, 486)
    with pytest.raises(InputError, match=r"expected a frequency out of 36\.5, 89A, found '6'"):
        swath.to_xarray("6")
    swath.positions["36.5"] = swath.positions["89A"]
    with pytest.raises(InputError, match="of one shape"):
        swath.to_xarray()


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_threads_forks_and_pickles(tmp_path, layout):
    swaths = [make_swath(n) for n in range(6)]
    path = write(tmp_path / f"a{ENDING[layout]}", swaths, layout=layout)
    with load_swaths(path) as archive:
        wrong = []

        def read(seed):
            for index in random.Random(seed).choices(range(6), k=30):
                if (archive[index].counts["36.5H"] != swaths[index].counts["36.5H"]).any():
                    wrong.append(index)

        threads = [threading.Thread(target=read, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        with pickle.loads(pickle.dumps(archive)) as again:
            assert_same(swaths[3], again[3])
        if layout == "swath_array":  # HDF5 files must not cross a fork
            context = multiprocessing.get_context("fork")
            children = [context.Process(target=_compare, args=(archive, swaths)) for _ in range(2)]
            for child in children:
                child.start()
            _compare(archive, swaths, leave=False)
            for child in children:
                child.join()
                assert child.exitcode == 0


def _compare(archive, swaths, leave=True):
    same = all(
        (archive[n % 6].counts["36.5H"] == swaths[n % 6].counts["36.5H"]).all() for n in range(60)
    )
    if leave:
        os._exit(not same)
    assert same


def test_the_spilled_arrays_go_away(tmp_path):
    path = write(tmp_path / "a.npz", [make_swath()], layout="swath_array")
    spill = tmp_path / "spill"
    spill.mkdir()
    with load_swaths(path, spill_dir=spill) as archive:
        archive[0]
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError):
        load_swaths(path, spill_dir=spill)
    load_swaths(path, salvage=True, spill_dir=spill).close()
    assert not list(spill.iterdir())
    assert len(list(Path("/proc/self/fd").iterdir())) < 60


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_writer_that_fails_leaves_nothing_open(tmp_path, layout):
    path = tmp_path / f"a{ENDING[layout]}"
    with pytest.raises(KeyError), create_archive(path, layout=layout, count=2) as writer:
        writer.add(make_swath())
        raise KeyError
    del writer
    path.unlink()


def test_a_gap_in_the_directory_beyond_4_gib(tmp_path):
    path = tmp_path / "big.zip"
    with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as file:
        file.writestr("near", b"near" * 100)
        file.start_dir = 5 << 30  # a hole, which takes no room
        file.writestr("far", b"far" * 100)
        with file.open("stream", "w", force_zip64=True) as stream:
            stream.write(b"stream" * 100)
    assert path.stat().st_blocks * 512 < 1 << 20
    reader = ZipReader(path)
    contents = [reader.read(name, limit=1000) for name in ("near", "far", "stream")]
    assert contents == [b"near" * 100, b"far" * 100, b"stream" * 100]
    with reader.stream("far") as file:
        assert file.read() == b"far" * 100
    reader.close()


def bomb(path: Path, name: str, megabytes: int, claim: int | None = None) -> Path:
    """An archive with a member that inflates to zeros, and a directory that tells the size or lies."""
    write(path, [make_swath()], layout="swath_array")
    replaced = path.with_name("replaced.npz")
    block = bytes(1 << 20)
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(replaced, "x", zipfile.ZIP_DEFLATED) as after:
        for info in before.infolist():
            if info.filename != name:
                after.writestr(info.filename, before.read(info))
        with after.open(name, "w") as member:
            for _ in range(megabytes):
                member.write(block)
        if claim is not None:
            after.getinfo(name).file_size = claim  # the directory is written at the end
    return replaced.replace(path)


BOMBS = {
    "hidden": ("index.json", 260, 10),
    "claims": ("index.json", 1, 1 << 31),
    "classic": ("swath_array.npy", 260, None),
}
MEASURE = """
import resource, sys
sys.path.insert(0, {root!r})
import verify_archive, seaice.swaths.archive.hdf5, isal.isal_zlib, numpy, h5py
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
status = {call}
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print("grown", grown // 1024, "status", status)
"""


def measured(call: str) -> tuple[int, int, str]:
    """Megabytes that a call takes in a process of its own, its status, and what it said."""
    code = MEASURE.format(root=str(ROOT), call=call)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    _, grown, _, status = done.stdout.splitlines()[-1].split()
    return int(grown), int(status), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_do_not_go_off(tmp_path, kind):
    path = bomb(tmp_path / "a.npz", *BOMBS[kind])
    grown, status, said = measured(f"verify_archive.main([{str(path)!r}, '--repair'])")
    assert status == 1
    assert grown < 60
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [2, 5])
def test_a_large_classic_archive_takes_little_memory(tmp_path, protocol):
    counts = np.random.default_rng(0).integers(12000, 27000, (1500, 243)).astype(np.int16)
    objects = np.empty(60, object)
    for number in range(60):
        objects[number] = {"temperature": counts + np.int16(number), "metadata": {"scale_factor": 0.01}}
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|O", "fortran_order": False, "shape": (60,)}
        )
        file.writestr("swath_array.npy", header.getvalue() + pickle.dumps(objects, protocol))
    grown, status, _ = measured(f"verify_archive.main([{str(tmp_path / 'a.npz')!r}])")
    assert status == 0
    assert grown < 25  # of 44 MB


def sample(folder: Path, layout: str) -> bytes:
    path = write(
        folder / f"s{ENDING[layout]}", [make_swath(n, scans=4) for n in range(2)], layout=layout
    )
    content = path.read_bytes()
    path.unlink()
    return content


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    write_classic(folder / "old.npz", [classic_dictionary(n, scans=4) for n in range(2)])
    old = (folder / "old.npz").read_bytes()
    return {"swath_array": sample(folder, "swath_array"), "old": old}, folder


def look(path: Path) -> None:
    """Read all of a file that may be anything: an InputError or what was written, nothing else."""
    try:
        with load_swaths(path) as archive:
            for swath in archive:
                assert swath.kelvin().shape == (4, 243)
                swath.summarise()
    except InputError as error:
        assert "\n" not in str(error)
    report = verify_archives(archives=[path], repair=True, output_dir=path.parent)
    assert report.lines


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(kind=st.sampled_from(["swath_array", "old"]), data=st.data())
def test_no_damage_makes_a_traceback(samples, kind, data):
    contents, folder = samples
    content = bytearray(contents[kind])
    # Headers and directories are short: aim at them as often as at the numbers.
    ends = st.integers(0, 300) | st.integers(len(content) - 700, len(content) - 1)
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(ends | st.integers(0, len(content) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    path = folder / "damaged.npz"
    path.write_bytes(content)
    look(path)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(["index.json", "swath_array.npy", "period.npy", "num_swaths.npy"]),
    content=st.binary(max_size=60)
    | st.binary(max_size=30).map(lambda tail: b"\x93NUMPY\x01\x00\x10\x00" + tail)
    | st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=5),
        lambda c: (
            st.lists(c, max_size=3)
            | st.dictionaries(
                st.sampled_from(["swaths", "group", "missing", "parameters", "period", "complete"]),
                c,
                max_size=4,
            )
        ),
    ).map(lambda value: json.dumps(value).encode()),
)
def test_no_foreign_member_makes_a_traceback(samples, name, content):
    contents, folder = samples
    path = folder / "foreign.npz"
    with (
        zipfile.ZipFile(io.BytesIO(contents["swath_array"])) as before,
        zipfile.ZipFile(path, "w") as after,
    ):
        for info in before.infolist():
            if info.filename != name:
                after.writestr(info.filename, before.read(info))
        after.writestr(name, content)
    look(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "[" * 90000,
        '{"swaths": [' + "[" * 90000,
        "9" * 5000,
        '{"swaths":[' + "{}," * (1 << 22) + "{}]}",
        '{"swaths": [{"group": "a"}, {"group": "a"}]}',
    ],
)
def test_hostile_indices(tmp_path, text):
    path = write(tmp_path / "a.h5", [make_swath()])
    with h5py.File(path, "r+") as file:
        del file["index.json"]
        file["index.json"] = np.frombuffer(text.encode(), np.uint8)
    with pytest.raises(InputError, match=r"damaged|refused"):
        load_swaths(path)
    source = write(tmp_path / "a.npz", [make_swath()], layout="swath_array")
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(tmp_path / "b.npz", "w") as after:
        after.writestr("swath_array.npy", before.read("swath_array.npy"))
        after.writestr("index.json", text)
    with load_swaths(tmp_path / "b.npz") as archive:
        assert_same(make_swath(), archive[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "header",
    [
        b"(" * 200,
        b"-" * 9000 + b"1",
        b"{'descr': '<u2', 'fortran_order': False, 'shape': (99999999999,)}",
        b"{'descr': [], 'fortran_order': False, 'shape': ()}",
        b"{'descr': (), 'fortran_order': False, 'shape': ()}",
        b"{'descr': [('metadata', '|O')], 'fortran_order': False, 'shape': ()}",
        b"{'descr': [('metadata', 'S9999999999')], 'fortran_order': False, 'shape': ()}",
        b"{'descr': '|O', 'fortran_order': False, 'shape': ()}",
        b"'''",
    ],
)
@pytest.mark.parametrize("name", ["period.npy", "swath_array.npy"])
def test_hostile_headers(samples, tmp_path, header, name):
    contents, _ = samples
    npy = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"cos\nsystem\n."
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(io.BytesIO(contents["old"])) as before, zipfile.ZipFile(path, "w") as after:
        for info in before.infolist():
            after.writestr(info.filename, npy if info.filename == name else before.read(info))
    look(path)


def test_what_is_no_archive_is_named(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(InputError, match="no such file"):
        load_swaths(path)
    with pytest.raises(InputError, match="is a directory"):
        load_swaths(tmp_path)
    for content, found in (
        (b"", "something else \\(0 bytes\\)"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"PK\x03\x04 and no more", "cut or damaged"),
        (b"\x89HDF\r\n\x1a\n and no more", "cannot be opened"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=found):
            load_swaths(path)
    np.savez(path, other=np.arange(3))
    with pytest.raises(InputError, match=r"the array «swath_array», or HDF5\), found .* other\.npy"):
        load_swaths(path)
    np.savez(path, swath_array=np.arange(3))
    with pytest.raises(InputError, match="array of dictionaries"):
        load_swaths(path)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_index_of_too_many_swaths(tmp_path, monkeypatch, layout):
    path = write(tmp_path / f"a{ENDING[layout]}", [make_swath(n) for n in range(3)], layout=layout)
    module = {"hdf5": hdf5, "swath_array": classic}[layout]
    monkeypatch.setattr(module, "MOST_SWATHS", 2)
    with pytest.raises(InputError, match=r"damaged|at most 2 swaths"):
        load_swaths(path)
