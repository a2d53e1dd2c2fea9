"""Outputs are refused before any work, in one line that says what to do."""

import os
import re

import netCDF4
import numpy as np
import pytest
from cubes import small_grid, write_cube

import find_several_data_in_target_area as finder
import ice_index as index
import visualization
import visualization_compare_between_full_sic as comparison
import visualize_mask
from seaice import InputError
from seaice.grids import get_grid
from seaice.masking.land_mask import write_mask
from seaice.masks import Mask
from seaice.pictures.animation import animate
from seaice.runtime.output_checks import (
    ENDINGS,
    Output,
    check_outputs,
)
from seaice.simulate import write_day
from seaice.sources.bremen.names import DayFile

GRID = get_grid("n25000").crop(slice(220, 230), slice(140, 148))
DAY = "asi-AMSR2-n25000-20240110-v5.4.nc"


def refused(outputs, inputs, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        check_outputs(outputs, inputs, is_daily_file=DayFile.parse)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ENDINGS)
def test_endings_of_every_kind_in_either_case(tmp_path, kind):
    for ending in ENDINGS[kind]:
        check_outputs([Output("output", tmp_path / f"a{ending}", kind)])
        check_outputs([Output("output", tmp_path / f"a{ending.upper()}", kind)])
    for ending in (".pgf", ".xyz", "", ".zarr"):
        refused(
            [Output("output", tmp_path / f"a{ending}", kind)], [],
            f"found {tmp_path / f'a{ending}'}; change the ending",
        )  # fmt: skip


def test_what_is_not_asked_for_is_not_looked_at(tmp_path):
    check_outputs([Output("plot", None, "picture")], [None, tmp_path / "not there"])


@pytest.mark.parametrize("link", ["same", "relative", "symbolic", "hard"])
def test_an_input_is_no_output(tmp_path, monkeypatch, link):
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "source.nc"
    source.write_bytes(b"x")
    other = tmp_path / "other.nc"
    if link == "symbolic":
        other.symlink_to(source)
    if link == "hard":
        os.link(source, other)
    given = {"same": source, "relative": tmp_path / ".." / tmp_path.name / "source.nc"}.get(link, other)
    refused(
        [Output("output_file", given, "series")], [None, source],
        f"--output_file: expected a file of its own, found {given}, which this run reads",
    )  # fmt: skip


def test_daily_files_are_no_output_even_through_a_link(tmp_path):
    tif = tmp_path / "asi-AMSR2-n6250-20240110-v5.4.tif"
    link = tmp_path / "april.tif"
    link.symlink_to(tif)
    for path in (tif, link):
        refused([Output("o", path, "picture")], [], f"found {path}, the name of a daily file")


def test_two_outputs_are_two_files(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    os.link(tmp_path / "a.png", tmp_path / "b.png")
    for other in ("a.png", "b.png"):
        outputs = [
            Output("plot", tmp_path / "a.png", "picture"),
            Output("map", tmp_path / other, "picture"),
        ]
        refused(outputs, [], "expected two files for --plot and --map, found")


def test_folders_that_cannot_be_written(tmp_path, monkeypatch):
    refused(
        [Output("o", tmp_path / "no" / "a.png", "picture")], [],
        f"--o: the folder of the output does not exist: {tmp_path / 'no'}; make it first",
    )  # fmt: skip
    (tmp_path / "folder.png").mkdir()
    refused(
        [Output("o", tmp_path / "folder.png", "picture")], [],
        f"expected a file, found the folder {tmp_path / 'folder.png'}",
    )  # fmt: skip
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # root may do anything
    refused(
        [Output("o", tmp_path / "a.png", "picture")], [],
        f"expected a folder that may be written to, found {tmp_path}; check its permissions",
    )  # fmt: skip


# --- of the scripts ---------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """A cube, a mask, a daily file and what else a folder may hold; all must stay as they are."""
    folder = tmp_path / "files"
    folder.mkdir()
    field = np.full(GRID.shape, 50, np.float32)
    write_day(folder / DAY, field, GRID)
    surface = np.zeros(GRID.shape, np.uint8)
    write_cube(
        folder / "cube.nc", dates=["20240110"], concentration=field[np.newaxis] / 100, surface=surface,
        grid=GRID,
    )  # fmt: skip
    write_mask(folder / "mask.nc", Mask(surface, np.zeros(GRID.shape, np.float32), GRID), {})
    (folder / "damaged.nc").write_bytes(b"\x89HDF")
    with netCDF4.Dataset(folder / "regions.nc", "w"):
        pass
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    yield folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def error_of(capsys, script, *words):
    status = script.main([str(word) for word in words])
    said = capsys.readouterr()
    assert status == (2 if "so it is not replaced" in said.err else 1)
    assert said.out == ""
    assert said.err.count("\n") == 1, said.err  # no line of work before it
    return said.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_file": "cube.nc"}, "--output_file: expected a file of its own, found"),
        ({"output_file": DAY}, "the name of a daily file"),
        ({"output_csv": DAY}, "expected an ending of .csv or .txt, found"),
        ({"output_file": "mask.nc"}, "mask.nc, a mask, so it is not replaced"),
        ({"output_file": "damaged.nc"}, "damaged.nc, no readable NetCDF file, so it is not replaced"),
        ({"output_file": "regions.nc"}, "regions.nc, another NetCDF file, so it is not replaced"),
        ({"output_file": "index.h5"}, "--output_file: expected an ending of .nc, found"),
        ({"plot": "a.pgf"}, "--plot: expected an ending of .png, .pdf, "),
        ({"plot": "no/a.png"}, "--plot: the folder of the output does not exist"),
        ({"plot": "a.png", "animation": "no/a.gif"}, "--animation: the folder of the output does not"),
        ({"animation": "days.avi"}, "--animation: expected an ending of .gif or .mp4, found"),
    ],
)
def test_ice_index_refuses(files, capsys, options, message):
    words = [word for name, file in options.items() for word in (f"--{name}", files / file)]
    assert message in error_of(capsys, index, "--input_file", files / "cube.nc", *words)


def test_ice_index_replaces_a_series_of_its_own_only(files, tmp_path, capsys):
    path = tmp_path / "index.nc"
    for _ in range(2):
        assert index.main(["--input_file", str(files / "cube.nc"), "--output_file", str(path)]) == 0
    capsys.readouterr()
    other = write_cube(
        tmp_path / "other.nc", dates=["20240110"], concentration=np.zeros((1, 3, 3)),
        surface=np.zeros((3, 3), np.uint8), grid=small_grid(3, 3),
    )  # fmt: skip
    said = error_of(capsys, index, "--input_file", files / "cube.nc", "--output_file", other)
    assert "found " + str(other) + ", a cube, so it is not replaced" in said


def test_ice_index_does_not_replace_a_region_file(files, tmp_path, capsys):
    seas = tmp_path / "seas.txt"
    seas.write_bytes(b"some codes")
    said = error_of(
        capsys, index, "--input_file", files / "cube.nc", "--region", seas, "--output_csv", seas
    )
    assert "which this run reads" in said
    assert seas.read_bytes() == b"some codes"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_csv": DAY}, "--output_csv: expected an ending of .csv or .txt, found"),
        ({"output_file": "box.xyz"}, "--output_file: expected an ending of .png, .pdf, "),
        ({"output_file": "no/box.png"}, "the folder of the output does not exist"),
    ],
)
def test_find_missing_refuses(files, capsys, options, message):
    words = [word for name, file in options.items() for word in (f"--{name}", files / file)]
    common = ["--source_dir", files, "--start_date", "20240110", "--end_date", "20240110"]
    box = ["--ymin", 0, "--ymax", 2, "--xmin", 0, "--xmax", 2]
    assert message in error_of(capsys, finder, *common, *box, *words)


def test_pictures_refuse(files, tmp_path, capsys):
    source = files / DAY
    tif = tmp_path / "day.tif"
    tif.write_bytes(b"II*\0 not looked into")
    said = error_of(capsys, visualization, "--input_file", tif, "--output_file", tif)
    assert "--output_file: expected a file of its own, found" in said
    for suffix in ("pgf", "eps", "nc"):
        out = tmp_path / f"a.{suffix}"
        assert "change the ending" in error_of(
            capsys, visualization, "--input_file", source, "--output_file", out
        )
        assert "change the ending" in error_of(
            capsys, visualize_mask, "--input_file", files / "mask.nc", "--output_file", out
        )
        assert "change the ending" in error_of(
            capsys, comparison, "--original_file", source, "--consolidated_file", files / "cube.nc",
            "--date", "20240110", "--output_file", out,
        )  # fmt: skip
        assert not out.exists()


def test_default_names_go_through_the_same_check(files, monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for script, words in (
        (visualization, ["--input_file", files / "none.nc"]),
        (visualize_mask, ["--input_file", files / "none.nc"]),
        (comparison, ["--original_file", "a", "--consolidated_file", "b", "--date", "20240110"]),
    ):
        assert "expected a folder that may be written to" in error_of(capsys, script, *words)


def test_animate_alone_refuses(files):
    with pytest.raises(InputError, match="the folder of the output does not exist"):
        animate(input_file=files / "cube.nc", output_file=files / "no" / "a.gif")
    with pytest.raises(InputError, match="which this run reads"):
        animate(input_file=files / "cube.gif", output_file=files / "cube.gif")
