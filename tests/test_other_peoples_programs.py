"""Damaged files for every reader, typing errors, terminals, notebooks, and what outputs say."""

import gzip
import io
import os
import pickle
import shutil
import subprocess
import sys
from datetime import date, datetime
from importlib import import_module
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
from outside import DATES, Outcome, call, consolidate, limit, make_base, succeed

import seaice
from seaice import ConsolidatedSICDataset, CubeFile, DateRange, InputError, read_mask

ROOT = Path(__file__).resolve().parent.parent
DAY = "asi-AMSR2-n25000-20240102-v5.4.nc"
STAGES = sorted(
    path.stem for path in (ROOT / "seaice" / "commands").glob("*.py") if not path.stem.startswith("_")
)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


# --- damaged and odd files, for every reader ------------------------------------------------------


def cut_in_the_middle(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zero_a_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    start = len(content) // 2 // 512 * 512
    content[start : start + 4096] = bytes(len(content[start : start + 4096]))
    path.write_bytes(content)


def zero_the_head(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[8:200] = bytes(192)
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def answer_with_html(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><title>403 Forbidden</title></html>")


def pack(path: Path) -> None:
    path.write_bytes(gzip.compress(path.read_bytes()))


def make_folder_of_it(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def make_ring(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def make_terabyte(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def make_huge_shape(path: Path) -> None:
    path.unlink()
    with h5py.File(path, "w") as file:
        for name in ("z", "sea_ice_conc", "surface", "land_mask", "mask", "sst", "tb"):
            file.create_dataset(
                name, shape=(1 << 20, 1 << 20), chunks=(1 << 10, 1 << 10), dtype="f4", compression=1
            )


def make_endless_groups(path: Path) -> None:
    path.unlink()
    with h5py.File(path, "w") as file:
        group = file.create_group("a")
        group["again"] = group
        group["root"] = file["/"]
        group["soft"] = h5py.SoftLink("/a/soft")
        group["away"] = h5py.ExternalLink("/etc/passwd", "/")
        group["self"] = h5py.ExternalLink(str(path), "/a/self")


def make_external_storage(path: Path) -> None:
    path.unlink()
    with h5py.File(path, "w") as file:
        for name in ("z", "sea_ice_conc", "surface", "land_mask", "mask", "sst"):
            file.create_dataset(name, shape=(40, 36), dtype="u1", external=[("/etc/passwd", 0, 1440)])


def make_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"z": [1, 2, 3]}))


DAMAGES = (
    cut_in_the_middle,
    zero_a_page,
    zero_the_head,
    empty,
    answer_with_html,
    pack,
    make_folder_of_it,
    make_fifo,
    make_device,
    make_ring,
    make_terabyte,
    make_huge_shape,
    make_endless_groups,
    make_external_storage,
    make_pickle,
)


def read_as_day(base: Path, path: Path, folder: Path) -> Outcome:
    return consolidate(path.parent, base / "mask.nc", folder / "out.nc")


READERS = {
    "cube": (
        "cube.nc",
        lambda base, path, folder: call(
            "ice_index", "--input_file", path, "--output_csv", folder / "i.csv"
        ),
    ),
    "cached cube": (
        "cube.nc",
        lambda base, path, folder: call(
            "cache_cube", "--cube_file", path, "--output_dir", folder / "cache"
        ),
    ),
    "mask": ("mask.nc", lambda base, path, folder: consolidate(base / "days", path, folder / "out.nc")),
    "drawn mask": (
        "mask.nc",
        lambda base, path, folder: call(
            "visualize_mask",
            "--input_file",
            path,
            "--dpi",
            "30",
            "--coastlines",
            "none",
            "--output_file",
            folder / "m.png",
        ),
    ),
    "drawn cube": (
        "cube.nc",
        lambda base, path, folder: call(
            "visualization",
            "--input_file",
            path,
            "--date",
            "20240102",
            "--dpi",
            "30",
            "--coastlines",
            "none",
            "--output_file",
            folder / "c.png",
        ),
    ),
    "field": (
        "cube.nc",
        lambda base, path, folder: call(
            "fill_gaps",
            "fill",
            "--input_file",
            path,
            "--variable",
            "sea_ice_conc",
            "--method",
            "linear",
            "--output_file",
            folder / "f.nc",
        ),
    ),
    "mask of a field": (
        "mask.nc",
        lambda base, path, folder: call(
            "fill_gaps",
            "fill",
            "--input_file",
            base / "cube.nc",
            "--variable",
            "sea_ice_conc",
            "--mask_file",
            path,
            "--method",
            "linear",
            "--output_file",
            folder / "f.nc",
        ),
    ),
    "regions": (
        "mask.nc",
        lambda base, path, folder: call(
            "ice_index",
            "--input_file",
            base / "cube.nc",
            "--region",
            f"{path}:surface",
            "--output_csv",
            folder / "i.csv",
        ),
    ),
    "granules": (
        "granule.h5",
        lambda base, path, folder: call(
            "grid_swaths", "--input", path, "--output_dir", folder / "tb", "--grid", "n25000"
        ),
    ),
    "archive": ("archive.h5", lambda base, path, folder: call("verify_archive", path)),
    "classic archive": ("archive.npz", lambda base, path, folder: call("verify_archive", path)),
    "parts of an archive": (
        "archive.h5",
        lambda base, path, folder: call(
            "split_amsr_files", "--input", path, "--output_dir", folder / "parts"
        ),
    ),
    "freeboard": (
        "ATL10-01_20200101000000_01230101_006_01.h5",
        lambda base, path, folder: call(
            "grid_freeboard",
            "--input_dir",
            path.parent,
            "--output_file",
            folder / "fb.nc",
            "--grid",
            "ease2n25000",
        ),
    ),
}


@pytest.fixture(scope="module")
def samples(base, tmp_path_factory) -> Path:
    """A folder with a sample of every file that is read."""
    folder = tmp_path_factory.mktemp("samples")
    for name in ("cube.nc", "mask.nc"):
        shutil.copy(base / name, folder / name)
    (folder / "granule.h5").write_bytes((base / "cube.nc").read_bytes())
    (folder / "archive.h5").write_bytes((base / "cube.nc").read_bytes())
    np.savez(folder / "archive.npz", swaths=np.arange(4000.0))
    (folder / "ATL10-01_20200101000000_01230101_006_01.h5").write_bytes((base / "cube.nc").read_bytes())
    return folder


@pytest.mark.parametrize("reader", READERS)
def test_no_damage_is_read_as_data_or_ends_with_a_traceback(base, samples, tmp_path, reader):
    name, read = READERS[reader]
    problems = []
    for damage in DAMAGES:
        folder = tmp_path / damage.__name__
        (folder / "inputs").mkdir(parents=True)
        path = folder / "inputs" / name
        shutil.copy(samples / name, path)
        damage(path)
        try:
            with limit(60):
                outcome = read(base, path, folder)
        except (TimeoutError, AssertionError) as error:
            problems.append((damage.__name__, str(error)[-300:]))
            continue
        written = [p.name for p in folder.iterdir() if p.suffix in (".nc", ".csv", ".png")]
        if damage is zero_a_page and outcome.status == 0:
            continue  # the page may be one that holds nothing; the bytes are compared elsewhere
        statement = (
            path.name in outcome.text or f"{path.parent}: it holds no file" in outcome.text
        ) and (outcome.status or "left out" in outcome.text)
        if not statement or len(outcome.messages[-1]) > 700 or (outcome.status and written):
            problems.append((damage.__name__, outcome.status, outcome.text[-300:], written))
    assert not problems, "\n".join(map(str, problems))


def test_a_folder_of_damaged_days_gives_a_cube_of_the_others_and_names_each(base, tmp_path):
    """Each day but the first and the last is damaged in another way."""
    for start in (0, 7):
        folder = tmp_path / str(start)
        days = Path(shutil.copytree(base / "days", folder / "days"))
        paths = sorted(days.glob("*.nc"))
        damaged = dict(zip(paths[1:], DAMAGES[start:], strict=False))
        for path, damage in damaged.items():
            damage(path)
        with limit(200):
            outcome = consolidate(days, base / "mask.nc", folder / "cube.nc")
        assert outcome.status == 0, outcome.text
        with netCDF4.Dataset(folder / "cube.nc") as cube, netCDF4.Dataset(base / "cube.nc") as right:
            status = dict(
                zip(
                    sorted(f"2024010{n}" for n in range(1, 10)),
                    cube["day_status"][:].tolist(),
                    strict=True,
                )
            )
            for path, damage in damaged.items():
                day = path.name.split("-")[3]
                if status[day] == 0:  # the zeroed page may lie between the chunks
                    assert damage is zero_a_page, (damage.__name__, outcome.text)
                    n = int(day[-1]) - 1
                    observed = cube["fill_flag"][n] == 0
                    assert (
                        cube["sea_ice_conc"][n][observed] == right["sea_ice_conc"][n][observed]
                    ).all()
                else:
                    assert f"{day[:4]}-{day[4:6]}-{day[6:]}" in "\n".join(outcome.messages), (
                        damage.__name__,
                        outcome.text,
                    )


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 50_000 + "1" + "}" * 50_000,
        '{"tables": ' + "9" * 10_000 + "}",
        '{"alpha": NaN, "beta": Infinity}',
        "\x00\x01\x02",
        "null",
        "[]",
        '"text"',
        "\ufeff{}",
    ],
    ids=range(9),
)
def test_odd_tables_of_errors_are_refused(base, tmp_path, text):
    (tmp_path / "table.json").write_text(text, encoding="utf-8")
    with limit(60):
        outcome = consolidate(
            base / "days",
            base / "mask.nc",
            tmp_path / "cube.nc",
            "--error_table",
            tmp_path / "table.json",
        )
    assert outcome.status in (1, 2), outcome.text
    assert "table.json" in outcome.messages[-1], outcome.text
    assert not (tmp_path / "cube.nc").exists()


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\n"
        + "".join(f"c{n}: &c{n} [*{'b' if n == 0 else f'c{n - 1}'}, *b]\n" for n in range(40)),
        "bad:\n- {first: 1900-01-01, last: 9999-12-31, reason: all}\n",
        "bad:\n- {first: 2024-02-30, last: 2024-02-31, reason: none}\n",
        "bad: !!python/object/apply:os.system ['touch owned']\n",
        "bad: {first: 2024-01-01}\n",
        "- " * 20_000 + "x",
        "bad:\n- {first: 2024-01-05, last: 2024-01-01, reason: reversed}\n",
    ],
    ids=range(7),
)
def test_odd_lists_of_days_are_refused_or_harmless(base, tmp_path, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "days.yml").write_text(text)
    with limit(60):
        outcome = consolidate(
            base / "days",
            base / "mask.nc",
            tmp_path / "cube.nc",
            "--bad_days_file",
            tmp_path / "days.yml",
        )
    assert outcome.status in (0, 1, 2) and not (tmp_path / "owned").exists()
    if outcome.status:
        assert (
            "days.yml" in outcome.messages[-1] or "left out" in outcome.text or "no day" in outcome.text
        ), outcome.text


# --- statuses, spelling, encodings ---------------------------------------------------------------


def list_options(stage: str) -> list[list[str]]:
    """Argument lists that lead to each parser of a stage."""
    parser = import_module(f"seaice.commands.{stage}").build_parser()
    commands = [a.choices for a in parser._actions if type(a).__name__ == "_SubParsersAction"]
    return [[name] for name in commands[0]] if commands else [[]]


@pytest.mark.parametrize("stage", STAGES)
def test_a_typo_in_an_option_is_named_with_the_nearest_option(stage):
    for before in list_options(stage):
        parser = import_module(f"seaice.commands.{stage}").build_parser()
        if before:
            parser = next(a for a in parser._actions if type(a).__name__ == "_SubParsersAction").choices[
                before[0]
            ]
        long = [
            s
            for a in parser._actions
            for s in a.option_strings
            if s.startswith("--") and len(s) > 8 and a.nargs != 0
        ]
        for option in long[:2]:
            typo = (
                option[:-3] + option[-2] + option[-3] + option[-1]
                if option[-2] != option[-3]
                else option + "x"
            )
            outcome = call(stage, *before, typo, "1")
            assert outcome.status == 2, outcome.text
            assert typo in outcome.text, (stage, before, outcome.text)
            assert option in outcome.text.split(typo, 1)[1] or option in outcome.messages[-1], (
                stage,
                outcome.text,
            )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_every_help_is_printed_in_any_encoding(encoding, monkeypatch):
    for stage in STAGES:
        for before in [[], *list_options(stage)]:
            raw = io.BytesIO()
            stream = io.TextIOWrapper(raw, encoding=encoding)
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stdout", stream)
                with pytest.raises(SystemExit) as end:
                    import_module(f"seaice.commands.{stage}").main([*before, "--help"])
                stream.flush()
            assert not end.value.code
            assert b"usage" in raw.getvalue(), stage


@pytest.mark.slow
def test_messages_are_printed_in_an_encoding_that_lacks_their_letters(base, tmp_path):
    """A folder with letters of three scripts in its name, on a terminal of ASCII, through a pipe."""
    folder = tmp_path / "données_лёд_氷"
    shutil.copytree(base / "days", folder)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONPATH": str(ROOT)}
    for script, more in (
        ("get_dims.py", []),
        ("create_mask.py", [*DATES, "--output_file", str(folder / "größe.nc")]),
    ):
        ended = subprocess.run(
            [sys.executable, ROOT / script, "--source_dir", folder, *more],
            capture_output=True,
            env=environment,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr.decode("ascii", "replace")
        assert b"Traceback" not in ended.stderr


def test_a_healthy_year_with_absent_days_ends_with_0_in_every_stage(base, tmp_path):
    days, cube = base / "days", base / "cube.nc"
    succeed("get_dims", "--source_dir", days)
    succeed("create_mask", "--source_dir", days, *DATES, "--output_file", tmp_path / "m.nc")
    box = ["--ymin", "0", "--ymax", "20", "--xmin", "0", "--xmax", "20"]
    succeed(
        "find_several_data_in_target_area",
        "--source_dir",
        days,
        *DATES,
        *box,
        "--output_csv",
        tmp_path / "a.csv",
    )
    succeed("cache_cube", "--cube_file", cube, "--output_dir", tmp_path / "cache")
    succeed("cache_cube", "--cube_file", cube, "--output_dir", tmp_path / "cache")
    succeed("cache_cube", "--cube_file", cube, "--output_dir", tmp_path / "cache", "--verify")
    assert consolidate(days, base / "mask.nc", cube).status == 0, "a second time"
    strict = consolidate(days, base / "mask.nc", tmp_path / "strict.nc", "--strict")
    assert strict.status == 1 and (tmp_path / "strict.nc").exists()
    for options in (["--end_date", "20340109"], ["--start_date", "20140101"]):
        arguments = dict(zip(DATES[::2], DATES[1::2], strict=True)) | dict([options])
        outcome = call(
            "create_mask",
            "--source_dir",
            days,
            *[x for pair in arguments.items() for x in pair],
            "--output_file",
            tmp_path / "long.nc",
        )
        assert outcome.status in (0, 1, 2)
        first = next(
            n
            for n, line in enumerate(outcome.text.splitlines())
            if "2034" in line or "2014" in line or "days" in line
        )
        assert first < 12, outcome.text[:2000]


# --- notebooks -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dataset(base) -> ConsolidatedSICDataset:
    return ConsolidatedSICDataset(
        base / "cube.nc", "20240101", "20240109", input_length=3, pred_length=2
    )


def test_every_public_object_shows_itself_in_a_few_lines(base, dataset):
    from seaice.cube.file import CubeFile
    from seaice.grids import get_grid
    from seaice.ice_index.stage import extent_and_area

    with CubeFile(base / "cube.nc") as cube:
        objects = [
            dataset,
            cube,
            read_mask(base / "mask.nc"),
            cube.grid,
            get_grid("n25000"),
            DateRange.parse(20240101, 20240109),
            extent_and_area(cube.concentration(0), np.ones((40, 36))),
            seaice.measure_statistics(base / "cube.nc", [DateRange.parse(20240101, 20240105)]),
        ]
        for item in objects:
            text = repr(item)
            assert 10 < len(text) < 600, (type(item), text)
            assert " object at 0x" not in text, text
            assert "array(" not in text or len(text) < 300, text
        assert "2024-01-01" in repr(cube) and "2024-01-09" in repr(cube)
    assert "2024-01-01" in repr(dataset) and str(len(dataset)) in repr(dataset)


def test_a_sample_is_found_by_any_form_of_its_first_day(dataset):
    right = [np.asarray(part) for part in dataset[1]]
    accepted = 0
    for index in (
        "2024-01-02",
        "20240102",
        date(2024, 1, 2),
        datetime(2024, 1, 2, 12),
        np.datetime64("2024-01-02"),
        np.datetime64("2024-01-02T00:00:00.000000000"),
        np.int64(1),
        np.uint8(1),
        1 - len(dataset),
    ):
        try:
            sample = dataset[index]
        except (TypeError, IndexError, KeyError, InputError) as error:
            assert "Traceback" not in str(error) and len(str(error)) > 20, (index, error)
            assert "cannot be interpreted" not in str(error), (index, error)
            continue
        accepted += 1
        for part, expected in zip(sample, right, strict=True):
            np.testing.assert_array_equal(np.asarray(part), expected)
    assert accepted >= 3


@pytest.mark.parametrize(
    "index",
    [
        "2031-01-01",
        "yesterday",
        10**6,
        -(10**6),
        1.5,
        None,
        (1, 2),
        "2024-13-01",
        np.nan,
        True,
        b"20240102",
        {},
    ],
)
def test_a_wrong_index_is_answered_with_what_there_is(dataset, index):
    try:
        dataset[index]
    except (IndexError, KeyError, TypeError, ValueError) as error:
        text = str(error)
        assert len(text) > 15 and "cannot be interpreted" not in text and "\n" not in text, text
    else:
        assert index is True, "True counts as 1 in Python"


def test_slices_and_lists_of_samples_are_those_samples_or_an_advice(dataset):
    for index in (
        slice(0, 2),
        slice(None, None, -1),
        slice(-2, None),
        [0, 2],
        np.array([2, 0]),
        slice("2024-01-01", "2024-01-02"),
    ):
        try:
            samples = dataset[index]
        except (IndexError, TypeError, ValueError) as error:
            assert len(str(error)) > 20 and "cannot be interpreted" not in str(error)
            continue
        numbers = (
            range(len(dataset))[index]
            if isinstance(index, slice) and not isinstance(index.start, str)
            else index
        )
        if isinstance(numbers, slice):
            numbers = [0, 1]
        chosen = list(samples)
        assert len(chosen) == len(list(numbers))
        for sample, number in zip(chosen, numbers, strict=True):
            for part, expected in zip(sample, dataset[int(number)], strict=True):
                np.testing.assert_array_equal(np.asarray(part), np.asarray(expected))


def test_days_of_a_cube_are_asked_for_in_any_form_or_named(base):
    with CubeFile(base / "cube.nc") as cube:
        right = cube.concentration(1)
        for day in (
            "2024-01-02",
            "20240102",
            date(2024, 1, 2),
            np.datetime64("2024-01-02"),
            datetime(2024, 1, 2),
        ):
            try:
                np.testing.assert_array_equal(cube.concentration(day), right)
            except (InputError, TypeError, KeyError) as error:
                assert len(str(error)) > 20, (day, error)
        for day in ("2023-12-31", 99, -99, date(1970, 1, 1), 1.5, None, "ice"):
            with pytest.raises((InputError, IndexError, TypeError, KeyError, ValueError)) as raised:
                cube.concentration(day)
            assert len(str(raised.value)) > 15, (day, raised.value)


@pytest.mark.parametrize(
    "arguments",
    [
        (np.ones((3, 40, 36)), np.ones((40, 36))),
        (np.ones((40, 36)), np.ones((36, 40))),
        (np.ones(5), np.ones(4)),
        (np.ones((40, 36)) * 80, np.ones((40, 36))),
        (np.ones((40, 36)), np.array(25.0)),
        ([[0.5]], [[1.0]]),
        (np.ma.masked_all((4, 4)), np.ones((4, 4))),
        (np.ones((4, 4), "U1"), np.ones((4, 4))),
    ],
    ids=range(8),
)
def test_extent_of_odd_arrays_is_right_or_explained(arguments):
    try:
        index = seaice.extent_and_area(*arguments)
    except (InputError, ValueError, TypeError) as error:
        assert len(str(error)) > 20 and "\n" not in str(error), error
        return
    assert np.nansum(index.extent) <= np.sum(arguments[1]) * (3 if np.ndim(arguments[0]) == 3 else 1)
    assert not np.nansum(index.area) > np.nansum(index.extent) + 1e-9


# --- what outputs say of themselves -----------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    """A cube made of simulated days, with its mask, series and filled field."""
    from seaice.simulate import simulate_days

    folder = tmp_path_factory.mktemp("simulated")
    simulate_days(
        output_dir=folder / "days",
        start_date=date(2024, 1, 1),
        end_date=date(2024, 1, 5),
        grid="n25000",
        seed=1,
    )
    period = ("--start_date", "20240101", "--end_date", "20240105")
    succeed("create_mask", "--source_dir", folder / "days", *period, "--output_file", folder / "mask.nc")
    succeed(
        "consolidate_data",
        "--source_dir",
        folder / "days",
        *period,
        "--land_mask_file",
        folder / "mask.nc",
        "--output_file",
        folder / "cube.nc",
    )
    succeed("ice_index", "--input_file", folder / "cube.nc", "--output_file", folder / "index.nc")
    succeed(
        "fill_gaps",
        "fill",
        "--input_file",
        folder / "cube.nc",
        "--variable",
        "sea_ice_conc",
        "--method",
        "linear",
        "--output_file",
        folder / "filled.nc",
    )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mask.nc", "cube.nc", "index.nc", "filled.nc"])
def test_outputs_of_simulated_days_say_so(simulated, name):
    with netCDF4.Dataset(simulated / name) as file:
        statement = " ".join(
            str(file.getncattr(key)).lower()
            for key in ("title", "source", "summary", "comment", "institution")
            if key in file.ncattrs()
        )
    assert "simulated" in statement, statement
    assert "university of bremen" not in statement.replace("layout of the university of bremen", ""), (
        statement
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mask.nc", "cube.nc", "index.nc", "filled.nc"])
def test_outputs_describe_themselves_for_a_catalogue(simulated, name):
    with netCDF4.Dataset(simulated / name) as file:
        attributes = {key: str(file.getncattr(key)) for key in file.ncattrs()}
        expected_names = {
            "title",
            "summary",
            "keywords",
            "Conventions",
            "history",
            "source",
            "license",
            "processing_level",
        }
        assert expected_names <= set(attributes), expected_names - set(attributes)
        assert all(attributes[key].strip() for key in expected_names)
        if name in ("cube.nc", "mask.nc"):
            assert {"geospatial_lat_min", "geospatial_lat_max"} <= set(attributes)
        for variable in file.variables.values():
            for code in np.atleast_1d(getattr(variable, "flag_values", [])):
                assert np.asarray(code).dtype == variable.dtype, variable.name


# --- machines without a home, a folder for caches or a package -----------------------------------------


def run_script(script: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, with variables of the environment changed."""
    return subprocess.run(
        [sys.executable, ROOT / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", **environment},
        check=False,
        timeout=280,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"HOME": "/dev/null", "XDG_CACHE_HOME": "/proc/nowhere", "MPLCONFIGDIR": "/dev/null/matplotlib"},
        {"HOME": "relative/home", "MPLCONFIGDIR": "/proc/1", "XDG_CONFIG_HOME": "/dev/full"},
        {"TMPDIR": "/nowhere", "TEMP": "/nowhere", "TMP": "/nowhere"},
    ],
    ids=["home is a device", "home is relative", "no folder of that name for temporary files"],
)
def test_a_series_with_its_picture_needs_no_home(base, tmp_path, environment):
    ended = run_script(
        "ice_index.py",
        "--input_file",
        base / "cube.nc",
        "--output_csv",
        tmp_path / "i.csv",
        "--plot",
        tmp_path / "i.png",
        **environment,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "i.csv").read_text() == (base / "index.csv").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "kind"),
    [
        ("netCDF4", "broken"),
        ("h5py", "absent"),
        ("numba", "broken"),
        ("numpy", "absent"),
        ("yaml", "broken"),
    ],
)
def test_a_required_package_that_cannot_be_imported_is_one_line(base, tmp_path, package, kind):
    raised = {
        "absent": f"ModuleNotFoundError(\"No module named '{package}'\", name='{package}')",
        "broken": "ImportError('libexample.so.7: cannot open shared object file')",
    }[kind]
    (tmp_path / f"{package}.py").write_text(f"raise {raised}\n")
    ended = run_script(
        "ice_index.py",
        "--input_file",
        base / "cube.nc",
        "--output_csv",
        tmp_path / "i.csv",
        PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}",
    )
    if ended.returncode == 0:
        return  # not needed by this stage
    assert "Traceback" not in ended.stderr, ended.stderr[-600:]
    line = ended.stderr.strip().splitlines()[-1]
    assert package in line or "libexample" in line, line
    assert kind == "broken" or "install" in line or "make" in line, line
