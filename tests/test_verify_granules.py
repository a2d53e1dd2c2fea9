"""verify_archive.py on folders of granules: what is odd among them is named, the status says so."""

import shutil
from datetime import UTC, datetime, timedelta

import h5py
import pytest
from swaths import make_swath, write

import verify_archive
from seaice.simulate import list_simulated_granules, write_granule
from seaice.swaths.archive.checks import find_odd_values
from seaice.swaths.verify import verify_archives

START = datetime(2020, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def granules():
    return list_simulated_granules(START, START + timedelta(hours=5))


@pytest.fixture(scope="module")
def whole(granules, tmp_path_factory):
    folder = tmp_path_factory.mktemp("l1b")
    for granule in granules:
        write_granule(folder, granule, scans=60, overlap=2)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "l1b")
    return tmp_path / "l1b"


def test_a_good_folder(folder, granules, capsys):
    assert verify_archive.main([str(folder), "--repair"]) == 0
    out = capsys.readouterr().out
    assert f"{folder}: granules of AMSR2 L1B, {len(granules)} swaths" in out
    assert "scans of a swath: 60 to 60, mean 60.0" in out and "size of a file: " in out
    assert "  89BH: 100.0% to 100.0% of the pixels measured" in out
    assert "verdict: GOOD" in out and "granules are not repaired" in out
    report = verify_archives(archives=sorted(folder.iterdir()))
    assert len(report.values[str(folder)].good) == len(granules) and not report.failed


def test_odd_granules_are_named(folder, granules, capsys):
    short, holes, poor, cut, empty, *_ = granules
    write_granule(folder, short, scans=20, overlap=2)
    with h5py.File(folder / f"{holes.granule_id}.h5", "r+") as file:
        file["Brightness Temperature (18.7GHz,V)"][10:20] = 65535
    write_granule(folder, poor, scans=60, overlap=2, defect="no_channel")
    path = folder / f"{cut.granule_id}.h5"
    path.write_bytes(path.read_bytes()[:50000])
    write_granule(folder, empty, scans=60, overlap=2, defect="all_missing")
    (folder / "other.h5").write_bytes(b"<html></html>")
    assert verify_archive.main([str(folder)]) == 1
    captured = capsys.readouterr()
    lines = {line for line in captured.err.splitlines() if line.startswith("failed: ")}
    expected = {
        short: "20 scans, the others about 60 scans",
        holes: "of 18.7V measured, the others about 100.0% of 18.7V measured",
        poor: "without 36.5H, which the others have",
        cut: "HDF5",
        empty: "no pixel has a measurement",
    }
    for granule, words in expected.items():
        (line,) = [line for line in lines if granule.granule_id in line]
        assert words in line, line
    (others,) = [line for line in lines if "GW1AM2" not in line and "other.h5" not in line]
    assert "no swath begins within" in others and len(lines) == 7
    assert "valid 4, damaged 2" in captured.out


def test_archives_and_products_of_one_folder_are_told_apart(folder, granules, tmp_path, capsys):
    for granule in granules[:3]:
        write_granule(folder, granule, scans=60, overlap=2, product="L1SGRTBR_2220220")
    write(folder / "archive.h5", [make_swath(n) for n in range(4)])
    shutil.copy(folder / f"{granules[0].granule_id}.h5", folder / "copy (1).h5")
    report = verify_archives(archives=[folder], plot=1, output_dir=tmp_path / "pictures")
    products = {f"{folder} AMSR2 L1B", f"{folder} AMSR2 L1R", f"{folder / 'archive.h5'}"}
    assert set(report.values) == products
    (line,) = report.failed
    assert "is the same as swath" in line and granules[0].granule_id in line
    names = {"l1b_AMSR2_L1B_swaths.png", "l1b_AMSR2_L1R_swaths.png", "archive_h5_swaths.png"}
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == names


def test_a_gap_and_an_empty_folder(folder, granules, tmp_path, capsys):
    (folder / f"{granules[3].granule_id}.h5").unlink()
    (tmp_path / "empty").mkdir()
    assert verify_archive.main([str(folder), str(tmp_path / "empty")]) == 1
    captured = capsys.readouterr()
    assert "no swath begins within" in captured.err and "completeness: incomplete" in captured.out
    assert f"expected archives or granules, found none in {tmp_path / 'empty'}" in captured.err


@pytest.mark.parametrize(
    ("values", "least", "odd"),
    [
        ([1, 100], 0, []),  # which of two is odd nobody can say
        ([10, 20, 30], 0, []),
        ([60, 60, 60, 20], 1.2, [3]),
        ([60, 60, 60, 59], 1.2, []),
        ([100, 101, 99, 100, 108, 112], 0, [5]),
    ],
)
def test_values_far_from_the_others(values, least, odd):
    assert find_odd_values(values, least=least) == odd
