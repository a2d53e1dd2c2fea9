"""Extent, area and ice-edge error: numbers by hand, properties, and the files of the stage."""

import csv
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from cubes import small_grid, write_cube
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import ice_index as script
from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.flags import (
    FillFlag,
    Surface,
)
from seaice.grids import get_grid
from seaice.ice_index.stage import (
    IceIndex,
    extent_and_area,
    ice_index,
)
from seaice.pictures import animation
from seaice.pictures.animation import animate
from seaice.scoring.forecasts.ice_edge import ice_edge_error

NAN = np.nan


def values(day: IceIndex) -> dict[str, list[float]]:
    return {name: value.tolist() for name, value in day._asdict().items()}


# --- extent and area of one day ---------------------------------------------------------


def test_sums_by_hand():
    concentration = np.array([[0.10, 0.15, 0.50], [1.00, NAN, 0.00]])
    area = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    assert values(extent_and_area(concentration, area)) == {
        "extent": [2 + 4 + 8],
        "area": [0.15 * 2 + 0.5 * 4 + 8],
        "missing_area": [16],
        "pole_hole_as_ice": [0],
        "filled_share": [0],
    }


def test_a_packed_15_percent_is_ice():
    # As a cube stores and returns it; the float32 below 0.15.
    stored = np.array([1499, 1500, 1501], np.int16) * np.float32(0.0001)
    assert stored[1] < 0.15
    assert extent_and_area(stored, np.ones(3)).extent.tolist() == [2]


def test_regions_are_summed_apart_and_code_0_is_left_out():
    concentration = np.array([1.0, 1.0, 0.0, NAN, 1.0])
    area = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    day = extent_and_area(concentration, area, region=np.array([1, 2, 2, 2, 0]), count=3)
    assert day.extent.tolist()[:2] == [1, 2]
    assert day.missing_area.tolist() == [0, 8, 0]
    assert np.isnan(day.extent[2])  # a region without any cell


def test_nothing_known_is_nan_and_not_zero():
    day = extent_and_area(np.full(3, NAN), np.ones(3))
    assert np.isnan([day.extent[0], day.area[0], day.filled_share[0]]).all()
    assert day.missing_area.tolist() == [3]


def test_open_water_is_zero_and_not_nan():
    day = extent_and_area(np.zeros(3), np.ones(3))
    assert (day.extent[0], day.area[0]) == (0, 0)
    assert np.isnan(day.filled_share[0])


HOLE = np.array([False, False, True, True, True])
# Ice, water; in the hole: observed, filled, still missing.
CONCENTRATION = np.array([0.8, 0.0, 0.9, 0.5, NAN])
OBSERVED = np.array([True, True, True, False, False])
AREA = np.array([1.0, 2.0, 4.0, 8.0, 16.0])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("filled", {"extent": 1 + 4 + 8 + 16, "area": 0.8 + 3.6 + 4, "as_ice": 16, "share": 24 / 29}),
        ("ice", {"extent": 1 + 4 + 8 + 16, "area": 0.8 + 3.6, "as_ice": 24, "share": 24 / 29}),
        ("exclude", {"extent": 1, "area": 0.8, "as_ice": 0, "share": 0}),
    ],
)
def test_conventions_for_the_pole_hole(rule, expected):
    day = extent_and_area(CONCENTRATION, AREA, observed=OBSERVED, pole_hole=HOLE, pole_hole_rule=rule)
    assert day.extent[0] == expected["extent"]
    assert day.area[0] == pytest.approx(expected["area"])
    assert day.pole_hole_as_ice[0] == expected["as_ice"]
    assert day.filled_share[0] == pytest.approx(expected["share"])
    assert day.missing_area[0] == 0


def test_a_hole_alone_is_no_observation():
    day = extent_and_area(np.array([NAN]), np.ones(1), pole_hole=np.array([True]))
    assert np.isnan(day.extent[0])
    assert day.pole_hole_as_ice[0] == 1


FRACTIONS = st.one_of(st.just(NAN), st.floats(0, 1, width=32))


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # of a busy machine
@given(
    hnp.arrays(np.float64, 12, elements=FRACTIONS),
    hnp.arrays(np.int64, 12, elements=st.integers(0, 3)),
    hnp.arrays(bool, 12),
    hnp.arrays(bool, 12),
    st.sampled_from(["filled", "ice", "exclude"]),
)
def test_every_km2_is_counted_once(concentration, region, observed, hole, rule):
    area = np.arange(1.0, 13.0)
    observed &= ~np.isnan(concentration)
    options = {"observed": observed, "pole_hole": hole, "pole_hole_rule": rule}
    day = extent_and_area(concentration, area, region=region, count=3, **options)
    whole = extent_and_area(concentration, area, region=np.minimum(region, 1), **options)
    assert np.nansum(day.missing_area) == whole.missing_area[0]
    assert day.pole_hole_as_ice.sum() == whole.pole_hole_as_ice[0]
    if not np.isnan(day.extent).any():
        assert day.extent.sum() == pytest.approx(whole.extent[0])
        assert day.area.sum() == pytest.approx(whole.area[0])
    for number in range(3):
        if np.isnan(day.extent[number]):
            continue
        assert day.area[number] <= day.extent[number] + 1e-9
        inside = area[region == number + 1].sum()
        assert day.extent[number] + day.missing_area[number] <= inside
        if day.extent[number] > 0:
            assert 0 <= day.filled_share[number] <= 1


# --- ice-edge error ---------------------------------------------------------------------


def test_ice_edge_error_by_hand():
    # Ice of the forecast in cells 1, 2, 3; of the reference in 3, 4.
    forecast, reference = np.array([1.0, 0.5, 0.15, 0.0, 0.1]), np.array([0.0, 0.14, 0.2, 0.9, 0.0])
    error = ice_edge_error(forecast, reference, np.ones(5))
    assert (error.overestimate, error.underestimate) == (2, 1)
    assert (error.integrated, error.absolute_extent, error.misplacement) == (3, 1, 2)
    assert error.extent_difference == 1
    assert error.compared == 5


def test_ice_edge_error_uses_areas_and_common_cells_only():
    error = ice_edge_error(np.array([1.0, 1.0, NAN]), np.array([0.0, NAN, 1.0]), np.array([3.0, 5, 7]))
    assert (error.overestimate, error.underestimate, error.compared) == (3, 0, 3)
    nothing = ice_edge_error(np.array([NAN, 1.0]), np.array([1.0, NAN]), np.ones(2))
    assert np.isnan([nothing.overestimate, nothing.integrated, nothing.misplacement]).all()
    assert nothing.compared == 0


def test_ice_edge_error_threshold():
    error = ice_edge_error(np.array([0.4]), np.array([0.2]), np.ones(1), threshold=0.3)
    assert (error.overestimate, error.underestimate) == (1, 0)


@pytest.mark.slow
@given(
    hnp.arrays(np.float64, 8, elements=FRACTIONS),
    hnp.arrays(np.float64, 8, elements=FRACTIONS),
    hnp.arrays(np.float64, 8, elements=st.integers(1, 9).map(float)),
)
def test_ice_edge_error_decomposes(forecast, reference, area):
    error = ice_edge_error(forecast, reference, area)
    common = ~np.isnan(forecast + reference)
    if not common.any():
        return
    assert error.integrated == error.absolute_extent + error.misplacement
    extents = [extent_and_area(f[common], area[common]).extent[0] for f in (forecast, reference)]
    assert error.extent_difference == extents[0] - extents[1]
    swapped = ice_edge_error(reference, forecast, area)
    assert (swapped.overestimate, swapped.underestimate) == (error.underestimate, error.overestimate)


# --- the stage --------------------------------------------------------------------------

GRID = small_grid(4, 5)
DAYS = [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]


@pytest.fixture
def cube(tmp_path):
    """Land in row 0, a pole hole of one cell; day 2 half filled, day 3 wholly missing."""
    surface = np.full(GRID.shape, Surface.OCEAN, np.uint8)
    surface[0] = Surface.LAND
    surface[2, 2] = Surface.POLE_HOLE
    field = np.zeros((3, *GRID.shape))
    field[:, 1] = 1.0
    field[:, 2, 2] = NAN
    field[0, 3, 4] = NAN
    field[1, 3, :] = 0.5
    field[2] = NAN
    flags = np.where(np.isnan(field), FillFlag.NOT_FILLED, FillFlag.OBSERVED).astype(np.uint8)
    flags[1, 3, :] = FillFlag.TEMPORAL_ONE_SIDED
    flags[:, 0] = FillFlag.LAND
    return write_cube(
        tmp_path / "cube.nc", dates=DAYS, concentration=field, surface=surface, grid=GRID, flags=flags
    )


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv_of_the_whole_grid(cube, tmp_path, capsys):
    path = tmp_path / "index.csv"
    assert script.main(["--input_file", str(cube), "--output_csv", str(path)]) == 0
    rows = rows_of(path)
    area = GRID.cell_area()
    hole = area[2, 2]
    assert [row["date"] for row in rows] == ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert {row["region"] for row in rows} == {"whole grid"}
    assert float(rows[0]["extent_km2"]) == pytest.approx(area[1].sum() + hole, abs=0.06)
    assert float(rows[0]["area_km2"]) == pytest.approx(area[1].sum(), abs=0.06)
    assert float(rows[0]["missing_area_km2"]) == pytest.approx(area[3, 4], abs=0.06)
    assert float(rows[0]["pole_hole_as_ice_km2"]) == pytest.approx(hole, abs=0.06)
    assert float(rows[1]["area_km2"]) == pytest.approx(area[1].sum() + 0.5 * area[3].sum(), abs=0.06)
    share = (area[3].sum() + hole) / (area[1].sum() + area[3].sum() + hole)
    assert float(rows[1]["filled_share"]) == pytest.approx(share, abs=1e-5)
    assert (rows[2]["extent_km2"], rows[2]["area_km2"], rows[2]["filled_share"]) == ("", "", "")
    assert float(rows[2]["missing_area_km2"]) == pytest.approx(area[1:].sum() - hole, abs=0.06)
    assert all(row["threshold"] == "0.15" for row in rows)
    assert all("ice-covered in the extent" in row["pole_hole_rule"] for row in rows)
    said, log = capsys.readouterr()
    assert "[3/3] 2024-03-01 without any value\n" in log and "nan" not in log
    assert "3 days, 2024-02-28 to 2024-03-01; ice-covered from 15 percent; pole hole as filled" in said
    assert "1 day without any value" in said
    assert f"wrote {path}" in said


def test_netcdf_holds_the_same(cube, tmp_path):
    path = tmp_path / "index.nc"
    box = "row one=1,2,0,5"
    arguments = ["--input_file", str(cube), "--output_file", str(path), "--region", box]
    assert script.main([*arguments, "--pole-hole", "exclude", "--threshold", "0.6"]) == 0
    area = GRID.cell_area()
    with netCDF4.Dataset(path) as dataset:
        assert dataset["region_name"][:].tolist() == ["whole grid", "row one"]
        extent = dataset["sea_ice_extent"]
        assert (extent.units, extent.standard_name) == ("km2", "sea_ice_extent")
        assert "left out of extent and area" in extent.comment
        assert float(dataset["threshold"][...]) == 0.6
        np.testing.assert_allclose(extent[:2], np.full((2, 2), area[1].sum()))
        assert np.ma.getmaskarray(extent[2]).all()
        np.testing.assert_allclose(dataset["missing_area"][2].tolist()[1], area[1].sum())
        assert dataset["time"][:].tolist() == [(d - date(1970, 1, 1)).days for d in DAYS]
        assert "left out of extent and area" in dataset.summary


@pytest.mark.slow
def test_netcdf_follows_cf(cube, tmp_path):
    checker = Path(sys.executable).with_name("compliance-checker")
    if not checker.exists():
        pytest.skip("compliance-checker is not installed")
    path = tmp_path / "index.nc"
    ice_index(input_file=cube, output_file=path, region=["1,2,0,5"])
    done = subprocess.run(
        [str(checker), "--test=cf:1.11", "--criteria=normal", str(path)],
        capture_output=True,
        text=True,
    )
    assert "Errors" not in done.stdout, done.stdout
    assert done.returncode == 0, done.stdout


def test_regions_of_a_file_and_what_lies_outside(tmp_path, capsys):
    grid = get_grid("n25000").crop(slice(440, 448), slice(0, 10))
    codes = np.full((448, 304), 20, np.uint8)
    codes[:4, :10], codes[4:6, :10] = 8, 9  # from the top: Barents Sea, then Kara Sea
    mask = tmp_path / "mask.msk"
    codes.tofile(mask)
    cube = write_cube(
        tmp_path / "cube.nc",
        dates=DAYS[:1],
        concentration=np.ones((1, *grid.shape)),
        surface=np.zeros(grid.shape, np.uint8),
        grid=grid,
    )
    report = ice_index(input_file=cube, region=[str(mask), "corner=0,1,0,1"])
    series = report.values["series"]
    area = grid.cell_area()
    assert series.regions == ["whole grid", "Barents Sea", "Kara Sea", "corner"]
    expected = [area.sum(), area[4:].sum(), area[2:4].sum(), area[0, 0]]
    np.testing.assert_allclose(series.extent[0], expected)
    outside = area[:2].sum() / 1e6
    assert f"{mask}: {outside:.3f} million km2 of ocean lie in none of its regions" in report.lines


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        (["0,1,0,5"], "no ocean cell of .*cube.nc lies in '0,1,0,5'; check the region"),
        (["a=1,2,0,5", "a=2,3,0,5"], "--region names a twice; give boxes a name as NAME="),
        (["0,9,0,5"], "expected 0 <= ymin < ymax <= 4"),
    ],
)
def test_regions_that_cannot_be(cube, regions, message):
    with pytest.raises(InputError, match=message):
        ice_index(input_file=cube, region=regions)


def test_wrong_options_are_one_line(cube, tmp_path, capsys):
    with pytest.raises(InputError, match="expected pole_hole to be filled, ice, exclude, found 'hole'"):
        ice_index(input_file=cube, pole_hole="hole")
    assert script.main(["--input_file", str(cube), "--plot", "index.txt"]) == 1
    assert (
        "error: --plot: expected an ending of .png, .pdf, .svg, .jpg, .jpeg, .tif, .tiff or .webp, "
        "found index.txt; change the ending" in capsys.readouterr().err
    )
    assert script.main(["--input_file", str(tmp_path / "no.nc")]) == 1
    assert "error: no such cube:" in capsys.readouterr().err
    missing = tmp_path / "nowhere" / "index.csv"
    assert script.main(["--input_file", str(cube), "--output_csv", str(missing)]) == 1
    assert "the folder of the output does not exist" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("regions", [[], ["north=1,2,0,5", "south=2,3,0,5"]])
def test_plot_is_a_picture(cube, tmp_path, regions):
    path = tmp_path / "index.png"
    ice_index(input_file=cube, plot=path, region=regions)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert min(pixels.shape[:2]) > 300
    for colour in ((0x14, 0x30, 0x4F), (0x3F, 0x8F, 0xC5)):  # the lines of extent and area
        assert (np.abs(pixels.astype(int) - colour).max(axis=2) < 8).sum() > 20


def test_regions_of_every_option_are_kept(cube, tmp_path, capsys):
    path = tmp_path / "index.csv"
    words = ["--input_file", str(cube), "--output_csv", str(path)]
    words += ["--region", "a=1,2,0,5", "b=2,3,0,5", "--region", "c=3,4,0,5"]
    assert script.main(words) == 0
    assert list(dict.fromkeys(row["region"] for row in rows_of(path))) == ["whole grid", "a", "b", "c"]
    assert script.main(words[:4]) == 0  # nothing is left over from the run before
    assert {row["region"] for row in rows_of(path)} == {"whole grid"}


@pytest.mark.slow
def test_series_and_animation_of_a_part_of_the_days(cube, tmp_path, capsys):
    path, moving = tmp_path / "index.csv", tmp_path / "days.gif"
    words = ["--input_file", str(cube), "--output_csv", str(path), "--animation", str(moving)]
    assert (
        script.main([*words, "--start_date", "20240228", "--end-date", "20240229", "--pixels", "140"])
        == 0
    )
    whole = ice_index(input_file=cube).values["series"]
    rows = rows_of(path)
    assert [row["date"] for row in rows] == ["2024-02-28", "2024-02-29"]
    assert float(rows[1]["area_km2"]) == pytest.approx(whole.area[1, 0], abs=0.06)
    frames, _ = frames_of(moving)
    assert len(frames) == 2
    assert max(frames[0].shape) == 140
    last = ice_index(input_file=cube, start_date=DAYS[1]).values["series"]
    assert last.dates == DAYS[1:]
    np.testing.assert_array_equal(last.extent, whole.extent[1:])
    with pytest.raises(InputError, match="has no 2024-03-02: it reaches from 2024-02-28 to 2024-03-01"):
        ice_index(input_file=cube, end_date=date(2024, 3, 2))


@pytest.mark.slow
@pytest.mark.parametrize("day", [0, 2])  # with values, and without any
def test_plot_of_one_day(cube, tmp_path, monkeypatch, day):
    from matplotlib.figure import Figure

    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *a, **k: (drawn.append(figure), save(figure, *a, **k))
    )
    path = tmp_path / "index.png"
    ice_index(input_file=cube, start_date=DAYS[day], end_date=DAYS[day], plot=path)
    (figure,) = drawn
    (ax,) = figure.axes
    assert figure.get_suptitle() == f"Sea ice extent and area, {DAYS[day]}"
    assert [t.get_text() for t in ax.get_xticklabels()] == [str(DAYS[day])]
    low, high = ax.get_xlim()
    assert (low + high) / 2 == pytest.approx(ax.get_xticks()[0])
    bottom, top = ax.get_ylim()
    extent = np.nan_to_num(ice_index(input_file=cube).values["series"].extent[day, 0]) / 1e6
    assert bottom == 0 and top > extent
    if day == 0:
        assert len(ax.collections) == 1, "the missing area is no line of one day"
    told = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert ("extent if every missing cell were ice" in told) == (day == 0), "nothing drawn, nothing told"


# --- the animation ----------------------------------------------------------------------


def frames_of(path):
    with Image.open(path) as image:
        count, duration = image.n_frames, image.info["duration"]
        frames = []
        for number in range(count):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGB")).astype(int))
    return frames, duration


@pytest.mark.slow
def test_gif_shows_every_day_as_drawn(cube, tmp_path):
    path = tmp_path / "days.gif"
    report = animate(input_file=cube, output_file=path, fps=4, pixels=300)
    frames, duration = frames_of(path)
    assert len(frames) == 3
    assert duration == 250
    assert max(frames[0].shape) == 300
    with CubeFile(cube) as opened:
        picture = animation.DayPicture(opened, pixels=300)
        for number, seen in enumerate(frames):
            drawn = picture.draw_day(number).astype(int)
            assert seen.shape == drawn.shape
            # 255 colours for all frames: near everywhere, and mostly hardly different.
            assert np.abs(seen - drawn).max() <= 60
            assert np.abs(seen - drawn).mean() < 3
        # Day 2 has ice where day 1 had open water, so the frames must differ.
        assert np.abs(frames[0] - frames[1]).max() > 100
    assert report.outputs == [path]
    assert "3 frames of" in report.lines[0]


def test_gif_is_written_as_frames_come(tmp_path):
    path = tmp_path / "noise.gif"
    noise = np.random.default_rng(0)
    sizes = []
    with animation.write_gif(path, noise.integers(0, 255, (120, 120, 3), np.uint8), 10) as add:
        for _ in range(4):
            add(noise.integers(0, 255, (120, 120, 3), np.uint8))
            sizes.append(path.stat().st_size)
    assert sizes[0] < sizes[1] < sizes[2] < sizes[3]


def test_gif_keeps_what_does_not_change(tmp_path):
    one = np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)
    path = tmp_path / "still.gif"
    with animation.write_gif(path, one, 10) as add:
        add(one)
        first = path.stat().st_size
        add(one)
    assert path.stat().st_size - first < first / 10
    frames, _ = frames_of(path)
    # Pillow may give equal frames back as one; the last must look like the first.
    assert np.array_equal(frames[0], frames[-1])


@pytest.mark.slow
def test_frames_are_bounded_on_a_fine_grid(tmp_path):
    grid = small_grid(900, 700, step=3125.0)
    ramp = np.broadcast_to(np.linspace(0, 1, 700), grid.shape)
    path = write_cube(
        tmp_path / "fine.nc",
        dates=DAYS[:1],
        concentration=ramp[np.newaxis],
        surface=np.zeros(grid.shape, np.uint8),
        grid=grid,
    )
    with CubeFile(path) as opened:
        picture = animation.DayPicture(opened, pixels=200)
        frame = picture.draw_day(0)
    assert max(frame.shape) == 200
    assert 200 <= max(picture.grid.shape) < 400  # thinned before it is drawn
    assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0
    brightness = frame[90].astype(int).sum(axis=1)  # grows from open water in the west to ice
    inside = brightness[30:130]
    assert inside[-1] - inside[0] > 300


def test_a_thinned_field_is_the_cell_in_the_middle_of_every_block(tmp_path):
    grid = small_grid(640, 430, step=3125.0)  # neither is a multiple of 3
    field = np.zeros((1, *grid.shape))
    row, column = 3 * 100 + 1, 3 * 40 + 1
    field[0, row, column] = 1
    field[0, row - 1, column - 1] = field[0, row + 1, column + 1] = 0.5
    surface = np.zeros(grid.shape, np.uint8)
    path = write_cube(
        tmp_path / "fine.nc", dates=DAYS[:1], concentration=field, surface=surface, grid=grid
    )
    with CubeFile(path) as opened:
        picture = animation.DayPicture(opened, pixels=200)
        thin = picture._thin(opened.concentration(0))
    assert thin.shape == picture.grid.shape == (213, 143)
    assert np.argwhere(thin).tolist() == [[100, 40]]
    assert thin[100, 40] == 1
    assert picture.grid.step == 9375
    assert picture.grid.x[40] == grid.x[column]
    assert picture.grid.y[100] == grid.y[row]


@pytest.mark.slow
def test_part_of_the_days(cube, tmp_path):
    path = tmp_path / "days.gif"
    animate(input_file=cube, output_file=path, start_date=DAYS[1], end_date=DAYS[1], pixels=120)
    assert len(frames_of(path)[0]) == 1
    with pytest.raises(InputError, match="has no 2024-03-02: it reaches from 2024-02-28 to 2024-03-01"):
        animate(input_file=cube, output_file=path, end_date=date(2024, 3, 2))
    with pytest.raises(InputError, match=r"the date range ends .* before it starts"):
        animate(input_file=cube, output_file=path, start_date=DAYS[1], end_date=DAYS[0])


def fake_ffmpeg(folder, text, monkeypatch):
    program = folder / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)


@pytest.mark.slow
def test_mp4_hands_every_frame_to_ffmpeg(cube, tmp_path, monkeypatch):
    # Stands in for ffmpeg: keeps its words and the bytes it was sent.
    fake_ffmpeg(
        tmp_path, f'echo "$@" > {tmp_path}/words; for last; do :; done; cat > "$last"', monkeypatch
    )
    path = tmp_path / "days.mp4"
    assert script.main(["--input_file", str(cube), "--animation", str(path), "--fps", "5"]) == 0
    words = (tmp_path / "words").read_text().split()
    width, height = (int(n) for n in words[words.index("-s") + 1].split("x"))
    assert width % 2 == height % 2 == 0
    assert words[words.index("-r") + 1] == "5"
    assert path.stat().st_size == 3 * width * height * 3


@pytest.mark.slow
def test_mp4_of_a_failing_ffmpeg(cube, tmp_path, monkeypatch):
    fake_ffmpeg(tmp_path, 'echo "first" >&2; echo "no such codec" >&2; exit 3', monkeypatch)
    path = tmp_path / "days.mp4"
    with pytest.raises(
        InputError, match=r"ffmpeg could not write the video \(no such codec\); give a .gif"
    ):
        animate(input_file=cube, output_file=path, pixels=120)
    assert [p.name for p in tmp_path.iterdir() if "days" in p.name] == []


def test_mp4_without_ffmpeg(cube, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert script.main(["--input_file", str(cube), "--animation", "winter.mp4"]) == 1
    said = capsys.readouterr()
    assert "error: writing winter.mp4 needs ffmpeg, which is not on the PATH: install it, or give " \
        "winter.gif, which needs nothing more" in said.err  # fmt: skip
    assert "2024-02-28" not in said.err  # told before the work


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"output_file": Path("days.avi")},
            "expected a .gif or .mp4 file for the animation, found days.avi",
        ),
        ({"output_file": Path("days.gif"), "fps": 0}, "expected 0 < fps <= 50"),
        (
            {"output_file": Path("days.gif"), "pixels": 9},
            "100 to 4000 pixels, found fps 10 and 9 pixels",
        ),
    ],
)
def test_animations_that_cannot_be(cube, options, message):
    with pytest.raises(InputError, match=message):
        animate(input_file=cube, **options)


@pytest.mark.parametrize("broken", ["draw_series", "animate"])
def test_a_picture_that_fails_costs_no_data(cube, tmp_path, monkeypatch, capsys, broken):
    def fail(*arguments, **options):
        raise ValueError("axis limits cannot be NaN or Inf")

    monkeypatch.setattr(f"seaice.ice_index.stage.{broken}", fail)
    outputs = {name: tmp_path / f"index.{name}" for name in ("csv", "nc", "png", "gif")}
    argv = ["--input_file", cube, "--output_csv", outputs["csv"], "--output_file", outputs["nc"]]
    argv += ["--plot", outputs["png"]] if broken == "draw_series" else ["--animation", outputs["gif"]]
    assert script.main([str(word) for word in argv]) == 1, "the picture was asked for"
    assert "no picture" in capsys.readouterr().err
    assert outputs["csv"].stat().st_size and outputs["nc"].stat().st_size


@pytest.mark.slow
def test_an_interrupted_animation_leaves_nothing(cube, tmp_path, monkeypatch):
    path = tmp_path / "days.gif"
    path.write_bytes(b"GIF89a, the former one")
    frame = animation.DayPicture.draw_day

    def stops(self, number):
        if number == 1:
            raise KeyboardInterrupt
        return frame(self, number)

    monkeypatch.setattr(animation.DayPicture, "draw_day", stops)
    with pytest.raises(KeyboardInterrupt):
        animate(input_file=cube, output_file=path, pixels=120)
    assert path.read_bytes() == b"GIF89a, the former one"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cube.nc", "days.gif"]


# --- against real data ------------------------------------------------------------------


def test_cell_areas_and_pole_holes_are_those_of_nsidc(real_data):
    stored = np.fromfile(real_data / "grids" / "psn25area_v3.dat", "<i4").reshape(448, 304)[::-1] / 1000
    grid = get_grid("n25000")
    area = grid.cell_area()
    np.testing.assert_allclose(area, stored, rtol=1e-4)
    assert area.sum() == pytest.approx(75_660_222.4, rel=1e-4)
    # Pole holes of the NOAA/NSIDC CDR masks: those of SSMIS and AMSR-E end at a latitude, that of
    # AMSR2 is a square of ten cells without its corners.
    _, latitude = grid.longitude_latitude()
    square = np.zeros(grid.shape, dtype=bool)
    square[209:219, 149:159] = True
    square[[209, 209, 218, 218], [149, 158, 149, 158]] = False
    for hole, cells, expected in (
        (latitude >= 89.1835, 44, 29_234),
        (latitude >= 89.0065, 60, 39_864),
        (square, 96, 63_779),
    ):
        day = extent_and_area(np.where(hole, NAN, 0.0), area, pole_hole=hole)
        assert hole.sum() == cells
        assert day.pole_hole_as_ice[0] == pytest.approx(expected, rel=1e-4)
        assert day.extent[0] == day.pole_hole_as_ice[0]
        assert day.area[0] == 0


@pytest.mark.slow
def test_arctic_winter_of_2025(real_data, tmp_path):
    with netCDF4.Dataset(real_data / "sea_ice_index/g02135_north_daily_20250101_20250331.nc") as source:
        code = source["code"][:].filled()
        dates = [date(1970, 1, 1) + timedelta(days=int(n)) for n in source["time"][:]]
    surface = np.where(np.isin(code[0], (2530, 2540)), Surface.LAND, Surface.OCEAN)
    surface[code[0] == 2510] = Surface.POLE_HOLE
    cube = write_cube(
        tmp_path / "cube.nc",
        dates=dates,
        concentration=np.where(code <= 1000, code / 1000, NAN),
        surface=surface.astype(np.uint8),
        grid=get_grid("n25000"),
    )
    seas = real_data / "grids" / "Arctic_region_mask_Meier_AnnGlaciol2007.msk"
    series = ice_index(input_file=cube, region=[str(seas)], pole_hole="ice").values["series"]
    extent = series.extent[:, 0] / 1e6
    assert 12.4 < extent.min() < extent.max() < 14.5
    # Published: the maximum of 2025 was 14.33 million km2 (5-day mean) on 22 March.
    assert extent.max() == pytest.approx(14.33, abs=0.1)
    assert abs((dates[int(extent.argmax())] - date(2025, 3, 22)).days) <= 2
    np.testing.assert_allclose(series.pole_hole_as_ice[:, 0], 29_234, rtol=1e-4)
    assert (series.area[:, 0] < series.extent[:, 0]).all()
    central = series.regions.index("Central Arctic")
    assert (series.extent[:, central] > 3.0e6).all()
    # The seas and the ocean between them make up the whole but for coasts and lakes.
    parts, whole = series.extent[:, 1:].sum(axis=1), series.extent[:, 0]
    assert (parts <= whole + 1).all()
    assert (parts > 0.98 * whole).all()


def test_several_days_at_once_are_refused():
    with pytest.raises(InputError, match=r"expected cell_area .* \(3, 2, 2\), found \(2, 2\)"):
        extent_and_area(np.zeros((3, 2, 2)), np.ones((2, 2)))
