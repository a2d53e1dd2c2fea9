"""Folders, names and outputs as they are elsewhere: nothing is lost or passed over without a word."""

import os
import shutil
import tarfile
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from outside import DATES, call, consolidate, limit, make_base
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
DAY = "asi-AMSR2-n25000-20240102-v5.4.nc"


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def days(base, tmp_path) -> Path:
    return Path(shutil.copytree(base / "days", tmp_path / "days"))


def read_status(cube: Path) -> list[int]:
    with netCDF4.Dataset(cube) as file:
        return file["day_status"][:].tolist()


# --- names ------------------------------------------------------------------------------------


# What stands for the name of a daily file, whose stem is {stem} and whose day is {day}.
RENAMES = (
    "copy_of_{stem}.nc",
    " {stem}.nc",
    "{stem} - Copy.nc",
    "{stem}.NC4",
    "{stem}.nc.zip",
    "{stem}.nc.bz2",
    "{stem}.nc~",
    "{stem}.nc.bak",
    "asi_AMSR2_n25000_{day}_v5.4.nc",
    "asi-AMSR2-n25000-2024-01-{day:.2}-v5.4.nc",
    "asi-AMSR2-n25000-{day}T0000-v5.4.nc",
    "asi-AMSR2-N25km-{day}-v5.4.nc",
    "{stem}-rc1.nc",
    "asi-AMSR2-n25000-{day}.nc",
    "sic_{day}_north.nc",
    "the day {day}.nc",
    "subfolder/deeper/{stem}(2).nc",
    "{day}/data.nc",
)


@pytest.mark.parametrize("start", [0, 6, 12])
def test_days_under_other_names_are_taken_or_named(base, days, tmp_path, start):
    paths = sorted(days.glob("*.nc"))[1:7]
    renamed = {}
    for path, pattern in zip(paths, RENAMES[start:], strict=False):
        day = path.stem.split("-")[3]
        name = pattern.format(stem=path.stem, day=day)
        (days / name).parent.mkdir(parents=True, exist_ok=True)
        path.rename(days / name)
        renamed[int(day[-2:]) - 1] = Path(name).name.strip()
    outcome = consolidate(days, base / "mask.nc", tmp_path / "cube.nc")
    assert outcome.status in (0, 1), outcome.text
    status = read_status(tmp_path / "cube.nc") if (tmp_path / "cube.nc").exists() else [1] * 9
    text = "\n".join(outcome.messages)
    passed_over = [name for number, name in renamed.items() if status[number] and name not in text]
    assert not passed_over, (passed_over, outcome.text)


def test_days_packed_in_an_archive_are_named(base, days, tmp_path):
    with tarfile.open(days / "january.tar", "w") as archive:
        for path in sorted(days.glob("*.nc"))[2:5]:
            archive.add(path, path.name)
            path.unlink()
    outcome = consolidate(days, base / "mask.nc", tmp_path / "cube.nc")
    assert "january.tar" in "\n".join(outcome.messages), outcome.text


def test_of_two_versions_of_a_day_the_newer_is_taken_and_the_other_is_no_second_day(
    base, days, tmp_path
):
    old = days / DAY.replace("v5.4", "v5")
    shutil.copy(days / DAY, old)
    with netCDF4.Dataset(old, "a") as file:
        file["z"][:] = file["z"][:] * 0.5
    assert consolidate(days, base / "mask.nc", tmp_path / "cube.nc").status == 0
    with netCDF4.Dataset(tmp_path / "cube.nc") as cube, netCDF4.Dataset(base / "cube.nc") as right:
        np.testing.assert_array_equal(cube["sea_ice_conc"][:], right["sea_ice_conc"][:])


def test_the_same_day_in_two_folders_counts_once(base, days, tmp_path):
    (days / "old").mkdir()
    shutil.copy(days / DAY, days / "old" / DAY)
    assert consolidate(days, base / "mask.nc", tmp_path / "cube.nc").status == 0
    with netCDF4.Dataset(tmp_path / "cube.nc") as cube:
        assert len(cube["time"]) == 9


def test_files_of_another_grid_in_the_folder_are_named(base, days, tmp_path):
    from days import GRID

    from seaice.grids import get_grid
    from seaice.simulate import write_day

    southern = get_grid("s25000").crop(slice(0, 40), slice(0, 36))
    assert southern.shape == GRID.shape
    for number in (2, 3):
        path = days / f"asi-AMSR2-n25000-2024010{number}-v5.4.nc"
        path.unlink()
        write_day(
            days / path.name.replace("n25000", "s25000"),
            np.full(southern.shape, 50.0, np.float32),
            southern,
        )
    outcome = consolidate(days, base / "mask.nc", tmp_path / "cube.nc")
    assert "s25000" in "\n".join(outcome.messages), outcome.text
    assert read_status(tmp_path / "cube.nc")[1:3] != [0, 0] if not outcome.status else True


def test_a_day_of_another_place_under_the_right_name_is_rejected(base, days, tmp_path):
    from days import GRID

    from seaice.grids import get_grid
    from seaice.simulate import write_day

    write_day(
        days / DAY,
        np.full(GRID.shape, 50.0, np.float32),
        get_grid("s25000").crop(slice(0, 40), slice(0, 36)),
    )
    outcome = consolidate(days, base / "mask.nc", tmp_path / "cube.nc")
    assert outcome.status == 0 and read_status(tmp_path / "cube.nc")[1] == 2, outcome.text
    assert "2024-01-02" in "\n".join(outcome.messages)


# --- outputs over what is there ----------------------------------------------------------------


def make_targets(base: Path, folder: Path) -> dict[str, Path]:
    """Files and folders that a mistyped output names."""
    folder.mkdir()
    for name in ("cube.nc", "mask.nc", "index.csv"):
        shutil.copy(base / name, folder / name)
    (folder / "notes.txt").write_text("the only copy\n")
    (folder / "notes.csv").write_text("station,depth\n1,20\n")
    (folder / "list.json").write_text('{"mine": [1, 2]}')
    (folder / "days.yml").write_text("- 20240101\n")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "photo.png")
    with netCDF4.Dataset(folder / "other.nc", "w") as file:
        file.createDimension("x", 3)
        file.createVariable("depth", "f4", ("x",))[:] = [1, 2, 3]
    (folder / "thesis").mkdir()
    (folder / "thesis" / "chapter.tex").write_text("words\n")
    (folder / "link.nc").symlink_to(folder / "cube.nc")
    (folder / "dangling.nc").symlink_to(folder / "nowhere.txt")
    return {path.name: path for path in folder.iterdir()}


def digest(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith(".lock")
    }


def list_writers(base: Path) -> dict[str, tuple[list[object], str]]:
    """Stages, their arguments up to the output, and the kinds of file that are their own."""
    days, cube, mask = base / "days", base / "cube.nc", base / "mask.nc"
    source = ["--source_dir", days, *DATES]
    box = ["--ymin", "0", "--ymax", "20", "--xmin", "0", "--xmax", "20"]
    return {
        "create_mask": (["create_mask", *source, "--output_file"], "mask.nc"),
        "consolidate": (
            ["consolidate_data", *source, "--land_mask_file", mask, "--output_file"],
            "cube.nc link.nc",
        ),
        "index csv": (["ice_index", "--input_file", cube, "--output_csv"], "index.csv"),
        "index netcdf": (["ice_index", "--input_file", cube, "--output_file"], ""),
        "index plot": (["ice_index", "--input_file", cube, "--plot"], "photo.png"),
        "area csv": (["find_several_data_in_target_area", *source, *box, "--output_csv"], ""),
        "area map": (["find_several_data_in_target_area", *source, *box, "--output_file"], "photo.png"),
        "map": (
            [
                "visualization",
                "--input_file",
                cube,
                "--date",
                "20240103",
                "--coastlines",
                "none",
                "--dpi",
                "40",
                "--output_file",
            ],
            "photo.png",
        ),
        "mask map": (
            [
                "visualize_mask",
                "--input_file",
                mask,
                "--coastlines",
                "none",
                "--dpi",
                "40",
                "--output_file",
            ],
            "photo.png",
        ),
        "fill": (["fill_gaps", "fill", "--input_file", cube, "--method", "linear", "--output_file"], ""),
        "calibrate": (["fill_gaps", "calibrate", "--input_file", cube, "--output_file"], ""),
        "cache": (["cache_cube", "--cube_file", cube, "--output_dir"], ""),
    }


WRITERS = (
    "create_mask",
    "consolidate",
    "index csv",
    "index netcdf",
    "index plot",
    "area csv",
    "area map",
    "map",
    "mask map",
    "fill",
    "calibrate",
    "cache",
)


@pytest.mark.parametrize("writer", WRITERS)
def test_no_stage_replaces_a_file_of_another_kind(base, tmp_path, writer):
    arguments, own = list_writers(base)[writer]
    targets = make_targets(base, tmp_path / "targets")
    for name, target in targets.items():
        if name in own.split():
            continue
        before = digest(tmp_path / "targets")
        outcome = call(*arguments, target)
        after = digest(tmp_path / "targets")
        lost = [key for key in before if after.get(key) != before[key]]
        assert not lost, f"{writer} -> {name} ({outcome.status}): {lost}: {outcome.text}"
        if name != "dangling.nc":
            assert outcome.status in (1, 2), f"{writer} -> {name}: {outcome.text}"
            assert target.name in outcome.text or target.resolve().name in outcome.text, outcome.text
            assert len(outcome.messages[-1]) < 600


@pytest.mark.parametrize(
    "change",
    [
        ("--pole_hole", "keep"),
        ("--sigma", "3"),
        ("--past_only",),
        ("--halo",),
        ("--max_gap_days", "2"),
        ("--method", "gaussian", "--alpha", "3"),
        ("--compression", "none"),
        ("--lat_lon",),
        ("--end_date", "20240105"),
        ("--start_date", "20240103"),
        ("--source_dir", "days"),
        ("--land_mask_file", "mask.nc"),
    ],
    ids=lambda change: " ".join(change),
)
def test_a_cube_of_other_parameters_is_not_replaced_without_force(base, tmp_path, change):
    """What changes no value may pass; what does is refused, and the old cube stays as it was."""
    cube = tmp_path / "cube.nc"
    shutil.copy(base / "cube.nc", cube)
    options = {
        "--source_dir": base / "days",
        "--land_mask_file": base / "mask.nc",
        "--start_date": "20240101",
        "--end_date": "20240109",
    }
    flags = []
    if change[0] == "--source_dir":
        (tmp_path / "days").mkdir()
        for path in (base / "days").glob("*0[1-3]-v5.4.nc"):
            shutil.copy(path, tmp_path / "days")
        change = ("--source_dir", tmp_path / "days")
    elif change[0] == "--land_mask_file":
        shutil.copy(base / "mask.nc", tmp_path / "mask.nc")
        with netCDF4.Dataset(tmp_path / "mask.nc", "a") as mask:
            mask["surface"][30:34, 20:24] = 1
            mask["land_mask"][30:34, 20:24] = 1
        change = ("--land_mask_file", tmp_path / "mask.nc")
    if change[0] in options:
        options[change[0]] = change[1]
    else:
        flags = list(change)
    arguments = [item for pair in options.items() for item in pair]
    with netCDF4.Dataset(cube) as file:
        before, count = file["sea_ice_conc"][:].filled(-1), len(file["time"])
    outcome = call("consolidate_data", *arguments, *flags, "--output_file", cube)
    with netCDF4.Dataset(cube) as file:
        same = len(file["time"]) == count and (file["sea_ice_conc"][:].filled(-1) == before).all()
    assert same, outcome.text
    if outcome.status:
        assert "cube.nc" in outcome.messages[-1], outcome.text


# --- hidden folders, locks, links ---------------------------------------------------------------


@pytest.mark.parametrize("name", [".cube.nc.lock", ".cube.nc.days"])
@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "fifo"])
def test_what_lies_under_the_hidden_names_of_an_output_is_neither_followed_nor_lost(
    base, tmp_path, name, kind
):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("words\n")
    (tmp_path / "file.txt").write_text("words\n")
    path = tmp_path / name
    if kind == "link":
        path.symlink_to(precious if name.endswith(".days") else tmp_path / "file.txt")
    elif kind == "dangling":
        path.symlink_to(tmp_path / "created.txt")
    elif kind == "folder":
        path.mkdir()
        (path / "thesis.tex").write_text("words\n")
    else:
        os.mkfifo(path)
    with limit(120):
        outcome = consolidate(base / "days", base / "mask.nc", tmp_path / "cube.nc")
    assert outcome.status in (0, 1, 2), outcome.text
    assert (precious / "thesis.tex").read_text() == "words\n"
    assert sorted(p.name for p in precious.iterdir()) == ["thesis.tex"]
    assert (tmp_path / "file.txt").read_text() == "words\n"
    assert not (tmp_path / "created.txt").exists(), outcome.text
    if kind == "folder":
        assert (path / "thesis.tex").read_text() == "words\n", outcome.text
    if outcome.status:
        assert "cube.nc" in outcome.messages[-1], outcome.text


def test_a_pickle_laid_into_the_hidden_folder_is_not_run(base, tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self):
            return (Path.write_text, (tmp_path / "owned", "yes"))

    hidden = tmp_path / ".cube.nc.days"
    hidden.mkdir()
    for name in (
        "job.pickle",
        "state.pickle",
        "00000.pickle",
        "recipe.pkl",
        "state.json",
        "job.json",
        "20240102.npz",
    ):
        (hidden / name).write_bytes(pickle.dumps(Bomb()))
    np.save(hidden / "20240101.npy", np.array([Bomb()], object), allow_pickle=True)
    with limit(200):
        outcome = consolidate(base / "days", base / "mask.nc", tmp_path / "cube.nc", "--workers", "1")
    assert not (tmp_path / "owned").exists(), outcome.text
    assert (hidden / "job.pickle").exists() or outcome.status == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the rights to give a folder away")
@pytest.mark.parametrize(("owner", "mode"), [(65534, 0o700), (0, 0o777), (0, 0o770)])
def test_a_hidden_folder_of_others_is_not_trusted(base, tmp_path, owner, mode):
    hidden = tmp_path / ".cube.nc.days"
    hidden.mkdir()
    hidden.chmod(mode)
    os.chown(hidden, owner, owner)
    outcome = consolidate(base / "days", base / "mask.nc", tmp_path / "cube.nc")
    if outcome.status:
        assert ".cube.nc.days" in outcome.messages[-1], outcome.text
        assert not (tmp_path / "cube.nc").exists()
    else:
        assert not hidden.exists() or os.stat(hidden).st_mode & 0o022 == 0


# --- foreign text -------------------------------------------------------------------------------

ESCAPE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202eforged\r2024-01-01T00:00:00Z ERROR all is lost\nnext line"


def is_printable(text: str) -> bool:
    return (
        not any(c in text for c in "\x1b\x07\x9b\r\u202e\x00")
        and "\n2024-01-01T00:00:00Z ERROR" not in text
    )


def test_control_characters_of_names_and_lists_do_not_reach_the_terminal(base, days, tmp_path):
    (days / ("asi-AMSR2-n25000-20240103-v5.4\x1b[31m\x07.nc")).write_bytes(b"not a file")
    (days / DAY).write_bytes(b"\x1b[2J not a file")
    bad = tmp_path / "bad.yml"
    reason = "a\\e[2J\\a\\r2024-01-01T00:00:00Z ERROR lost"
    bad.write_text(
        f'bad:\n- {{first: 2024-01-06, last: 2024-01-06, reason: "{reason}"}}\n', encoding="utf-8"
    )
    outcome = call(
        "consolidate_data",
        "--source_dir",
        days,
        *DATES,
        "--land_mask_file",
        base / "mask.nc",
        "--output_file",
        tmp_path / "cube.nc",
        "--bad_days_file",
        bad,
        "--log_file",
        tmp_path / "log.txt",
    )
    assert is_printable(outcome.text), repr(outcome.text)
    if (tmp_path / "log.txt").exists():
        assert is_printable((tmp_path / "log.txt").read_text())
    listed = call("get_dims", "--source_dir", days)
    assert is_printable(listed.text), repr(listed.text)


@pytest.mark.parametrize(
    "stage", ["ice_index", "visualization", "consolidate", "fill", "visualize_mask"]
)
def test_control_characters_in_attributes_do_not_reach_the_terminal(base, tmp_path, stage):
    for name in ("cube.nc", "mask.nc"):
        shutil.copy(base / name, tmp_path / name)
        with netCDF4.Dataset(tmp_path / name, "a") as file:
            for key in (
                "title",
                "grid_id",
                "source",
                "history",
                "seaice_kind",
                "parameters",
                "fill_windows",
            ):
                file.setncattr(key, ESCAPE)
            file["crs"].setncattr("crs_wkt", ESCAPE)
            file["crs"].setncattr("grid_mapping_name", ESCAPE)
            file["surface"].setncattr("flag_meanings", ESCAPE.replace(" ", "_"))
            file["x"].setncattr("units", ESCAPE)
    arguments = {
        "ice_index": [
            "ice_index",
            "--input_file",
            tmp_path / "cube.nc",
            "--output_csv",
            tmp_path / "i.csv",
        ],
        "visualization": [
            "visualization",
            "--input_file",
            tmp_path / "cube.nc",
            "--date",
            "20240102",
            "--dpi",
            "40",
        ],
        "consolidate": [
            "consolidate_data",
            "--source_dir",
            base / "days",
            *DATES,
            "--land_mask_file",
            tmp_path / "mask.nc",
            "--output_file",
            tmp_path / "out.nc",
        ],
        "fill": [
            "fill_gaps",
            "fill",
            "--input_file",
            tmp_path / "cube.nc",
            "--variable",
            "sea_ice_conc",
            "--method",
            "linear",
            "--output_file",
            tmp_path / "o.nc",
        ],
        "visualize_mask": ["visualize_mask", "--input_file", tmp_path / "mask.nc", "--dpi", "40"],
    }[stage]
    outcome = call(*arguments)
    assert is_printable(outcome.text), repr(outcome.text)
