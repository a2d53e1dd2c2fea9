"""An output replaces a file of its own kind only; anything else is refused before the work."""

import json
import os
import zipfile

import netCDF4
import numpy as np
import pytest
from cubes import small_grid, write_cube
from days import make_folder

import consolidate_data
import create_mask
import fill_gaps
import grid_freeboard
from seaice.fields.fill import fill_field
from seaice.gapfill.temporal import Temporal
from seaice.masking.land_mask import write_mask
from seaice.masks import Mask
from seaice.runtime.atomic_write import atomic, exclusive
from seaice.runtime.output_checks import Output, check_outputs
from seaice.runtime.output_kinds import (
    FileKind,
    OutputRefused,
    check_replaceable,
    name_kind,
    recognise_kind,
    replace_any_kind,
)
from seaice.simulate import write_day

GRID = small_grid(6, 5)
SURFACE = np.zeros(GRID.shape, np.uint8)


def write_other_netcdf(path):
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.createDimension("station", 2)
        dataset.createVariable("salinity", "f4", ("station",))[:] = 34


def write_zarr(path):
    path.mkdir()
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"seaice_kind": "cube"}}
    (path / "zarr.json").write_text(json.dumps(group))


def write_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letters/one.txt", "dear")


@pytest.fixture
def files(tmp_path):
    """Files of every kind, by what they are called in messages."""
    cube = write_cube(
        tmp_path / "cube.nc", dates=["20240101", "20240102"], surface=SURFACE, grid=GRID,
        concentration=np.full((2, *GRID.shape), 0.5),
    )  # fmt: skip
    write_mask(tmp_path / "mask.nc", Mask(SURFACE, np.zeros(GRID.shape, np.float32), GRID), {})
    fill_field(
        input_file=cube, output_file=tmp_path / "field.nc", method=Temporal(), variable="sea_ice_conc"
    )
    write_day(tmp_path / "asi-AMSR2-n25000-20240110-v5.4.nc", np.full(GRID.shape, 50, np.float32), GRID)
    write_other_netcdf(tmp_path / "other.nc")
    write_zarr(tmp_path / "cube.zarr")
    write_zip(tmp_path / "letters.nc")
    texts = {
        "notes.nc": "three years of work\n",
        "latin.nc": "Gr\xf6nland".encode("latin-1"),
        "stations.nc": "station,salinity\n1,34\n",
        "region.nc": '{"type": "Polygon", "coordinates": []}',
        "deep.nc": '{"a":' * 100_000,
        "binary.nc": bytes(range(256)),
        "cut.nc": b"\x89HDF\r\n",
        "picture.nc": b"\x89PNG\r\n\x1a\n....",
        "empty.nc": b"",
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return {
        "cube.nc": "a cube",
        "mask.nc": "a mask",
        "field.nc": "a filled field",
        "asi-AMSR2-n25000-20240110-v5.4.nc": "another NetCDF file",
        "other.nc": "another NetCDF file",
        "cube.zarr": "a cube",
        "letters.nc": "a zip file",
        "notes.nc": "a text",
        "latin.nc": "a file of unknown kind",
        "stations.nc": "a table",
        "region.nc": "a JSON file",
        "deep.nc": "a text",
        "binary.nc": "a file of unknown kind",
        "cut.nc": "no readable NetCDF file",
        "picture.nc": "a PNG picture",
        "empty.nc": "an empty file",
    }


def test_every_kind_is_recognised_and_kept(files, tmp_path):
    for name, description in files.items():
        path = tmp_path / name
        assert recognise_kind(path).description == description, name
        for kind in ("cube", "mask", "filled field", "freeboard grid"):
            if description in (name_kind(kind).description, "an empty file"):
                check_replaceable(path, name_kind(kind))
                continue
            with pytest.raises(OutputRefused, match=f"{description}, so it is not replaced"):
                check_replaceable(path, name_kind(kind), option="output_file")


def test_the_kind_of_an_earlier_version_is_in_its_history(files, tmp_path):
    """Without the attribute; and a copy that another program has edited keeps it."""
    with netCDF4.Dataset(tmp_path / "mask.nc", "a") as dataset:
        for name in ("nan_ratio", "surface"):
            dataset.renameVariable(name, f"old_{name}")
        del dataset.seaice_kind
    assert recognise_kind(tmp_path / "mask.nc").description == "a mask"
    with netCDF4.Dataset(tmp_path / "field.nc", "a") as dataset:
        dataset.history = f"Mon Jan 01 2024: ncks -O field.nc out.nc\n{dataset.history}"
    assert recognise_kind(tmp_path / "field.nc").description == "a filled field"


def write_table(path, columns):
    path.write_text(f"{','.join(columns)}\n")


def test_the_writer_compares_what_it_wrote(tmp_path):
    """Also for a stage that says no kind beforehand."""
    path = tmp_path / "scores.csv"
    write_table(path, ["date", "region", "extent"])
    with atomic(path) as part:  # a column more is the same table
        write_table(part, ["date", "region", "extent", "low", "high"])
    with pytest.raises(OutputRefused, match="another one, so it is not replaced"), atomic(path) as part:
        write_table(part, ["method", "subset", "score"])
    path.write_text("Dear diary, today\n")
    with pytest.raises(OutputRefused), atomic(path) as part:
        write_table(part, ["date", "region"])
    assert path.read_text() == "Dear diary, today\n"
    with replace_any_kind(), atomic(path) as part:
        write_table(part, ["date", "region"])
    with pytest.raises(OutputRefused, match="expected a new file or a JSON file"), atomic(path) as part:
        part.write_text('{"models": 1}')
    assert path.read_text() == "date,region\n"
    assert [p.name for p in tmp_path.iterdir()] == ["scores.csv"]


def test_refused_before_the_work(files, tmp_path):
    with pytest.raises(OutputRefused), exclusive(tmp_path / "cube.nc", kind="mask"):
        raise AssertionError("the work began")
    with exclusive(tmp_path / "mask.nc", kind="mask"):
        pass
    with pytest.raises(OutputRefused), atomic(tmp_path / "other.nc", kind="cube"):
        raise AssertionError("the work began")


@pytest.mark.parametrize("node", ["fifo", "device"])
def test_pipes_and_devices_are_no_output(tmp_path, node):
    path = tmp_path / "out.nc"
    if node == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null")
    with pytest.raises(ValueError, match="found a device or pipe"), atomic(path):
        raise AssertionError("the work began")


def words_of(stage, folder, tmp_path):
    """A script and a command line without --output_file."""
    period = ["--start_date", "20240101", "--end_date", "20240102"]
    if stage == "field":
        cube = str(tmp_path / "cube.nc")
        return fill_gaps, [
            "fill",
            "--input_file",
            cube,
            "--method",
            "temporal",
            "--variable",
            "sea_ice_conc",
        ]
    if stage == "freeboard":
        return grid_freeboard, ["--input_dir", str(folder)]
    script = create_mask if stage == "mask" else consolidate_data
    return script, ["--source_dir", str(folder), *period]


@pytest.mark.parametrize("stage", ["mask", "cube", "field", "freeboard"])
def test_no_stage_replaces_a_file_of_another_kind(files, tmp_path, capsys, stage):
    folder = make_folder(tmp_path / "in", days=2, absent=()).path
    script, words = words_of(stage, folder, tmp_path)
    own = {"mask": "mask.nc", "cube": "cube.nc", "field": "field.nc"}.get(stage)
    for name in ("mask.nc", "cube.nc", "field.nc", "other.nc", "notes.nc", "cut.nc", "picture.nc"):
        if name == own or (stage, name) == ("field", "cube.nc"):
            continue
        before = (tmp_path / name).read_bytes()
        assert script.main([*words, "--output_file", str(tmp_path / name)]) == 2, name
        message = capsys.readouterr().err
        assert message.count("\n") == 1 and "give --force to replace it" in message
        assert (tmp_path / name).read_bytes() == before
    if stage != "freeboard":
        assert script.main([*words, "--output_file", str(tmp_path / "notes.nc"), "--force"]) == 0
        assert recognise_kind(tmp_path / "notes.nc") == recognise_kind(tmp_path / own)


@pytest.mark.parametrize("ending", [".png", ".pdf", ".svg", ".jpg", ".tif", ".webp"])
def test_a_picture_replaces_a_picture_of_its_format_alone(tmp_path, ending):
    from matplotlib.figure import Figure

    path = tmp_path / f"a{ending}"
    for _ in range(2):
        check_outputs([Output("plot", path, "picture")])
        with atomic(path) as part:
            Figure(figsize=(1, 1)).savefig(part, format=ending[1:])
    content = path.read_bytes()
    for other in (ending for ending in (".png", ".svg") if ending != path.suffix):
        path.rename(path.with_suffix(other))
        with pytest.raises(OutputRefused):
            check_outputs([Output("plot", path.with_suffix(other), "picture")])
        path.with_suffix(other).rename(path)
    assert path.read_bytes() == content
    path.write_text("notes")
    with pytest.raises(OutputRefused):
        check_outputs([Output("plot", path, "picture")])


def test_a_list_may_become_empty(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"scene": 1}\n')
    with atomic(path) as part:
        part.touch()
    assert path.read_bytes() == b""


def test_kinds_with_names_in_common_are_one():
    old = FileKind("a JSON file", frozenset({"settings", "result"}))
    assert old.is_same(FileKind("a JSON file", frozenset({"settings", "result", "split", "seed"})))
    assert not old.is_same(FileKind("a JSON file", frozenset({"type", "features"})))
    assert not old.is_same(FileKind("a table", old.names))
