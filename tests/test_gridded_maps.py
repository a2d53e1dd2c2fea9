"""Maps of gridded statistics: known by content, every value where and in the colour it has."""

import re
import shlex
from datetime import date
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from cubes import write_cube
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from test_maps import colour_at, ice, is_close, rgb, texts_outside

import visualization
import visualize_mask
from seaice.commands import visualization as command
from seaice.dates import parse_date
from seaice.drawing import (
    draw as maps,
)
from seaice.drawing import (
    palette,
)
from seaice.flags import (
    FillFlag,
    Surface,
)
from seaice.freeboard.grid_variables import define_freeboard_variables
from seaice.gridding.file import (
    TimeStep,
    write_gridded,
)
from seaice.gridding.period import Period
from seaice.grids import get_grid
from seaice.masking.land_mask import write_mask
from seaice.masks import Mask
from seaice.pictures import field_map
from seaice.pictures.colour_scale import (
    choose_scale,
    round_range,
)
from seaice.pictures.field_map import (
    crop_to_data,
    widen,
)
from seaice.pictures.foreign_field import find_undeclared_codes, read_foreign_field
from seaice.pictures.read_concentration import read_map_day
from seaice.pictures.read_field import read_field
from seaice.pictures.study_area import StudyArea
from seaice.simulate import write_day
from seaice.swaths.grid_variables import define_temperature_variables

DPI = 60
DAYS = Period("day").list_steps(date(2022, 1, 7), date(2022, 1, 8))
# Far from each other, each alone on a hemispheric grid of 2880 x 2880 cells.
CELLS = {(1300, 1500): 0.05, (1340, 1610): 0.25, (1500, 1350): 0.5, (1600, 1660): 0.6}


def write_freeboard(
    path, grid_id="ease2n6250", steps=DAYS[:1], cells=CELLS, counts=None, product="ATL10"
):
    """A step holds the cells, moved by its number of columns and raised by its number of tenths."""
    grid = get_grid(grid_id)
    variables = define_freeboard_variables(product)

    def fields(number):
        values = np.full(grid.shape, np.nan, np.float32)
        count = np.zeros(grid.shape, np.int32)
        for n, ((row, column), value) in enumerate(cells.items()):
            values[row, column + number] = value + number / 10
            count[row, column + number] = counts[n] if counts else n + 1
        return {row.name: count if row.name.endswith("count") else values for row in variables}

    write_gridded(path, grid=grid, steps=steps, variables=variables, fields=fields, attributes={})
    return path


def write_temperature(path, grid_id):
    grid = get_grid(grid_id).crop(slice(100, 140), slice(80, 110))
    field = np.linspace(160, 260, grid.rows * grid.columns).reshape(grid.shape)
    field[10:14] = np.nan
    variables = define_temperature_variables(["36.5H", "89.0V"], statistics=True)
    write_gridded(
        path, grid=grid, steps=DAYS[:1], variables=variables, attributes={},
        fields=lambda _: {
            row.name: np.nan_to_num(field) if "count" in row.name else field for row in variables
        },
    )  # fmt: skip
    return path, field, grid


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def draw(capsys, path, *more):
    words = ["--input_file", path, "--dpi", DPI, "--coastlines", "none", *more]
    status = visualization.main([str(word) for word in words])
    out = capsys.readouterr()
    assert (status, out.err) == (0, ""), out.err
    picture = out.out.splitlines()[0].removeprefix("picture: ")
    with Image.open(picture) as image:
        return np.asarray(image.convert("RGB")).astype(int), picture, out.out


def refused(capsys, *given):
    assert visualization.main(["--input_file", *map(str, given), "--dpi", str(DPI)]) == 1
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.count("\n") == 1
    return out.err


def draw_axes(path, extent=None, **chosen):
    """The map a file is drawn on, the cells as the file has them, and their colours."""
    field = read_field(path, chosen.get("variable"), chosen.get("day"))
    figure, ax = field_map.make_field_figure(crop_to_data(field, extent))
    figure.set_dpi(DPI)
    return ax, field, choose_scale(field)


@pytest.mark.slow
@pytest.mark.parametrize(("grid_id", "extent"), [("ease2n6250", None), ("ease2s6250", "grid")])
def test_single_cells_are_seen_where_they_are_and_in_their_colour(capsys, tmp_path, grid_id, extent):
    path = write_freeboard(tmp_path / "f.nc", grid_id)
    image, _, out = draw(capsys, path, *(["--extent", extent] if extent else []))
    ax, field, scale = draw_axes(path, extent)
    assert (scale.low, scale.high) == (0.0, 0.6)
    for (row, column), value in CELLS.items():
        found = colour_at(image, ax, field.grid.x[column], field.grid.y[row])
        assert is_close(found, scale.get_colour(value)), (row, column)
        if extent == "grid":  # beside the cell, where the map must be wide enough to be seen
            beside = colour_at(image, ax, field.grid.x[column + 3], field.grid.y[row - 2])
            assert not is_close(beside, rgb(palette.NO_OBSERVATION), 40), (row, column)
    empty = colour_at(image, ax, field.grid.x[1450], field.grid.y[1450])
    assert is_close(empty, rgb(palette.NO_OBSERVATION), 0)
    assert ("drawn: 339 x 349 of 2880 x 2880 cells; --extent grid draws all" in out) == (extent is None)
    assert ("single cells are drawn 7 cells wide" in out) == (extent == "grid")


@pytest.mark.slow
@pytest.mark.parametrize("grid_id", ["n12500", "s12500"])
def test_temperature_of_both_poles(capsys, tmp_path, grid_id):
    path, values, grid = write_temperature(tmp_path / "any_name.h5", grid_id)
    image, name, _ = draw(capsys, path)
    assert name == "any_name_20220107.png"
    ax, field, scale = draw_axes(path)
    assert field.name == "brightness_temperature_36_5H"
    assert (scale.low, scale.high, scale.label) == (
        160.0,
        260.0,
        "brightness temperature at 36.5 GHz (K)",
    )
    for row, column in ((2, 25), (30, 5), (38, 28)):
        found = colour_at(image, ax, grid.x[column], grid.y[row])
        assert is_close(found, scale.get_colour(values[row, column]))
    assert is_close(colour_at(image, ax, grid.x[15], grid.y[12]), rgb(palette.NO_OBSERVATION), 0)


@pytest.mark.slow
def test_dots_of_many_cells_keep_the_one_with_a_value(capsys, tmp_path, monkeypatch):
    """No mean with what is not there, even where nothing is drawn wider."""
    monkeypatch.setattr(field_map, "_LARGEST_WIDENING", 0)
    cells = {(700, 701): 0.1, (712, 933): 0.6}  # three cells on a dot, along either side
    path = write_freeboard(tmp_path / "f.nc", "ease2n12500", cells=cells)
    image, *_ = draw(capsys, path, "--extent", "grid")
    ax, field, scale = draw_axes(path, "grid")
    for (row, column), value in cells.items():
        found = colour_at(image, ax, field.grid.x[column], field.grid.y[row])
        assert is_close(found, scale.get_colour(value)), (row, column)


SIDES = st.tuples(st.integers(1, 7), st.integers(1, 7))


@given(
    hnp.arrays(np.float32, SIDES, elements=st.sampled_from([np.nan, 1, 2, 3])),
    st.integers(0, 3),
)
def test_widening_takes_the_nearest_value_and_changes_none(values, reach):
    wide = widen(values, reach)
    known = np.argwhere(~np.isnan(values))
    for (row, column), found in np.ndenumerate(wide):
        away = np.abs(known - (row, column))
        near = known[(away <= reach).all(axis=1)] if known.size else known
        if not near.size:
            assert np.isnan(found)
            continue
        distance = ((near - (row, column)) ** 2).sum(axis=1)
        assert found in values[tuple(near[distance == distance.min()].T)]
    there = ~np.isnan(values)
    np.testing.assert_array_equal(wide[there], values[there])


@pytest.mark.slow
def test_step_by_day_and_by_month(capsys, tmp_path):
    days = write_freeboard(tmp_path / "days.nc", "ease2n25000", DAYS, {(300, 300): 0.2, (330, 340): 0.4})
    months = Period("month").list_steps(date(2022, 1, 1), date(2022, 2, 1))
    months = write_freeboard(
        tmp_path / "m.nc", "ease2n25000", months, {(300, 300): 0.2, (330, 340): 0.4}
    )
    for path, day, number, stamp, span in (
        (days, "2022-01-07", 0, "20220107", "2022-01-07"),
        (days, "20220108", 1, "20220108", "2022-01-08"),
        (months, "2022-01-31", 0, "202201", "January 2022"),
        (months, "2022-02-01", 1, "202202", "February 2022"),
    ):
        image, name, _ = draw(capsys, path, "--date", day)
        assert name == f"{path.stem}_{stamp}.png"
        ax, field, scale = draw_axes(path, day=parse_date(day))
        found = colour_at(image, ax, field.grid.x[300 + number], field.grid.y[300])
        assert is_close(found, scale.get_colour(0.2 + number / 10))
        assert ax.texts[-2].get_text().replace("\n", " ").endswith(f", {span}")
    assert "holds 2 time steps: 2022-01-07, 2022-01-08; choose one with --date" in refused(capsys, days)
    said = refused(capsys, months, "--date", "20220301")
    assert (
        "no time step that holds 2022-03-01; it holds 2 time steps: January 2022, February 2022" in said
    )


@pytest.mark.slow
def test_a_file_of_one_long_step_needs_no_date(capsys, tmp_path):
    path = write_freeboard(
        tmp_path / "all.nc",
        "ease2n25000",
        cells={(300, 300): 0.2},
        steps=[TimeStep(date(2021, 11, 2), date(2022, 3, 1))],
    )
    assert draw(capsys, path)[1] == "all_20211102_20220301.png"
    assert "it holds 1 time step: 2021-11-02 to 2022-03-01" in refused(
        capsys, path, "--date", "20220302"
    )


def test_counts_have_a_colour_each_or_steps(tmp_path):
    few_cells = {(300, 300 + n): 0.2 for n in range(4)}
    path = write_freeboard(tmp_path / "a.nc", "ease2n25000", cells=few_cells)
    few = choose_scale(read_field(path, "segment_count", None))
    assert few.ticks == (1, 2, 3, 4)
    assert len({few.get_colour(n) for n in (1, 2, 3, 4)}) == 4
    path = write_freeboard(tmp_path / "b.nc", "ease2n25000", cells=few_cells, counts=[1, 40, 700, 3000])
    field = read_field(path, "segment_count", None)
    assert field.has_value.sum() == 4, "a count of 0 is no observation"
    many = choose_scale(field)
    assert many.edges == (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
    assert many.get_colour(2) == many.get_colour(4) != many.get_colour(5)
    assert not many.below and not many.above


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["freeboard_std", "segment_count"])
def test_other_variables(capsys, tmp_path, variable):
    path = write_freeboard(tmp_path / "f.nc", "ease2n25000", cells={(300, 300): 0.2, (330, 340): 0.4})
    image, name, _ = draw(capsys, path, "--variable", variable)
    assert name == f"f_{variable}_20220107.png"
    ax, field, scale = draw_axes(path, variable=variable)
    value = field.values[300, 300]
    assert is_close(colour_at(image, ax, field.grid.x[300], field.grid.y[300]), scale.get_colour(value))
    assert scale.label.endswith("(m)") == (field.units == "m")


def test_heights_are_known_too(tmp_path):
    cells = {(300, 300): -0.2, (330, 340): 1.4}
    field = read_field(
        write_freeboard(tmp_path / "h.nc", "ease2n25000", cells=cells, product="ATL07"), None, None
    )
    assert (field.name, field.units, field.is_main) == ("height_mean", "m", True)
    assert (choose_scale(field).low, choose_scale(field).high) == (-0.2, 1.4)


@pytest.mark.slow
def test_range_of_the_colours(capsys, tmp_path):
    path = write_freeboard(tmp_path / "f.nc", "ease2n25000", cells={(300, 300): 0.02, (330, 340): 0.6})
    field = read_field(path, None, None)
    scale = choose_scale(field, vmin=0.1, vmax=0.4)
    assert (scale.edges, scale.below, scale.above) == ((0.1, 0.4), True, True)
    assert scale.make_colormap().colorbar_extend == "both"
    assert "colours 0.1 to 0.4" in draw(capsys, path, "--vmin", "0.1", "--vmax", "0.4")[2]
    assert "expected --vmin below --vmax, found 0.9 to 0.6" in refused(capsys, path, "--vmin", "0.9")


@given(st.floats(-1e4, 1e4), st.floats(0, 1e4))
def test_a_nice_range_holds_what_it_was_made_from(low, span):
    first, last = round_range(low, low + span)
    assert first < last
    slack = 1e-5 * max(1e-9, abs(low), abs(low + span))
    assert first <= low + slack and last >= low + span - slack


def test_colours_are_not_those_of_land_or_no_observation():
    from matplotlib.colors import LinearSegmentedColormap

    for colours in (
        palette.FREEBOARD,
        palette.TEMPERATURE,
        palette.SPREAD,
        palette.COUNT,
        palette.HOURS,
    ):
        drawn = LinearSegmentedColormap.from_list("x", colours)(np.linspace(0, 1, 256))[:, :3]
        for other in (palette.LAND, palette.NO_OBSERVATION):
            assert np.abs(drawn - rgb(other) / 255).max(axis=1).min() > 0.1


@pytest.mark.slow
def test_mask_is_drawn_as_its_own_script_draws_it(capsys, tmp_path):
    grid = get_grid("s25000")
    surface = np.zeros(grid.shape, np.uint8)
    surface[100:150, 100:150] = Surface.LAND
    path = tmp_path / "m.nc"
    write_mask(path, Mask(surface, (surface == 1).astype(np.float32), grid), {})
    image, name, _ = draw(capsys, path)
    assert name == "m.png"
    own_words = f"--input_file {path} --output_file own.png --dpi {DPI} --coastlines none"
    assert visualize_mask.main(own_words.split()) == 0
    with Image.open("own.png") as own:
        np.testing.assert_array_equal(image, np.asarray(own.convert("RGB")))
    capsys.readouterr()
    draw(capsys, path, "--variable", "nan_ratio")
    assert draw(capsys, path, "--variable", "surface")[2].splitlines()[1] == "surface: ocean, land"


@pytest.mark.slow
def test_other_variables_of_a_cube(capsys, tmp_path):
    grid = get_grid("n25000")
    flags = np.full((2, *grid.shape), FillFlag.OBSERVED, np.uint8)
    flags[1, 200:300] = FillFlag.SPACETIME_GAUSSIAN
    write_cube(
        tmp_path / "c.nc", dates=["20240109", "20240110"], concentration=np.ones(flags.shape),
        surface=np.zeros(grid.shape, np.uint8), grid=grid, flags=flags,
    )  # fmt: skip
    image, name, out = draw(capsys, tmp_path / "c.nc", "--date", "20240110", "--variable", "fill_flag")
    assert name == "c_fill_flag_20240110.png"
    assert out.splitlines()[1] == "fill_flag: observed, space-time Gaussian"
    figure, ax = field_map.make_field_figure(
        crop_to_data(read_field(tmp_path / "c.nc", "fill_flag", date(2024, 1, 10)))
    )
    figure.set_dpi(DPI)
    for row, flag in ((250, "spacetime_gaussian"), (350, "observed")):
        assert is_close(colour_at(image, ax, grid.x[100], grid.y[row]), rgb(palette.FILL[flag].colour))
    plain = draw(capsys, tmp_path / "c.nc", "--date", "20240110")
    named = draw(capsys, tmp_path / "c.nc", "--date", "20240110", "--variable", "sea_ice_conc")
    np.testing.assert_array_equal(plain[0], named[0])
    said = refused(capsys, tmp_path / "c.nc", "--date", "20240110", "--extent", "data")
    assert "--extent does not fit a concentration, drawn on its whole grid or a study area" in said


@pytest.mark.slow
def test_land_of_a_mask_lies_below_the_values(capsys, tmp_path):
    path = write_freeboard(tmp_path / "f.nc", "ease2s25000", cells={(300, 300): 0.2, (330, 340): 0.4})
    grid = get_grid("ease2s25000")
    surface = np.zeros(grid.shape, np.uint8)
    surface[295:320, 295:320] = Surface.LAND
    write_mask(tmp_path / "m.nc", Mask(surface, np.zeros(grid.shape, np.float32), grid), {})
    image, _, _ = draw(capsys, path, "--land_mask_file", tmp_path / "m.nc", "--coastlines", "mask")
    ax, field, scale = draw_axes(path)
    assert is_close(colour_at(image, ax, grid.x[300], grid.y[300]), scale.get_colour(0.2))
    assert is_close(colour_at(image, ax, grid.x[310], grid.y[310]), rgb(palette.LAND))


def test_what_cannot_be_drawn(capsys, tmp_path):
    path = write_freeboard(tmp_path / "f.nc", "ease2n25000", cells={(300, 300): 0.2})
    empty = write_freeboard(tmp_path / "e.nc", "ease2n25000", cells={})
    other = tmp_path / "other.nc"
    with netCDF4.Dataset(other, "w") as dataset:
        dataset.createVariable("a", "f4", ())
    broken = tmp_path / "broken.nc"
    broken.write_bytes(path.read_bytes()[:3000])
    for words, message in (
        ([path, "--variable", "ice"], "no map called 'ice'; it holds freeboard_mean, freeboard_std"),
        ([path, "--ice_edge"], "--ice_edge does not fit gridded statistics; leave it out"),
        ([path, "--coastlines", "mask"], "--coastlines mask needs a land mask"),
        ([path, "--land_mask_file", path], "is no mask of create_mask.py"),
        ([empty, "--coastlines", "none"], "no cell of freeboard_mean has a value in 2022-01-07"),
        ([other], "expected one field, found none"),
        ([other, "--variable", "a"], "other.nc"),
        ([broken], "broken.nc cannot be drawn: no readable NetCDF file, truncated or damaged"),
    ):
        assert message in refused(capsys, *words), words
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.slow
@pytest.mark.parametrize("grid_id", ["n12500", "s12500"])
def test_texts_stay_on_the_picture(tmp_path, grid_id):
    path, *_ = write_temperature(tmp_path / "t.nc", grid_id)
    other = write_freeboard(tmp_path / "f.nc", "ease2n25000", cells={(300, 300): 0.2, (330, 340): 0.4})
    for source, variable in (
        (path, "brightness_temperature_89_0V_count"),
        (path, "brightness_temperature_36_5H_std"),
        (path, "observation_time"),
        (other, "freeboard_uncertainty"),  # has a subtitle of two lines
    ):
        field = read_field(source, variable, None)
        figure, ax = field_map.make_field_figure(crop_to_data(field))
        swatches, _ = field_map.draw_field_values(ax, crop_to_data(field))
        maps.draw_legend(ax, swatches)
        assert texts_outside(figure) == []
        title = next(text for text in ax.texts if text.get_gid() == "title")
        subtitle = next(text for text in ax.texts if text.get_gid() == "subtitle")
        assert not title.get_window_extent().overlaps(subtitle.get_window_extent())


@pytest.mark.slow
def test_examples_of_the_help_run(capsys, tmp_path):
    write_freeboard(Path("freeboard.nc"), "ease2s25000", cells={(300, 300): 0.2, (330, 340): 0.4})
    Path("tb").mkdir()
    write_temperature(Path("tb/AMSR2_TB_n12500_20200101_A.nc"), "n12500")
    told = command.__doc__.replace("\\\n", " ")
    lines = re.findall(r"python visualization.py (.*(?:freeboard|tb/).*)", told)
    assert len(lines) == 3
    for line in lines:
        status = visualization.main([*shlex.split(line), "--dpi", str(DPI), "--coastlines", "none"])
        assert status == 0, capsys.readouterr().err
    assert len(list(tmp_path.glob("*.png"))) == 3


@pytest.mark.slow
def test_maps_of_expected_errors_and_of_days_say_what_is_observed(capsys, tmp_path):
    grid = get_grid("n25000").crop(slice(100, 160), slice(80, 140))
    flags = np.full((1, *grid.shape), FillFlag.OBSERVED, np.uint8)
    flags[0, 30:] = FillFlag.DEPARTURE_TWO_SIDED
    flags[0, :5] = FillFlag.LAND
    flags[0, -2:] = FillFlag.NOT_FILLED
    surface = np.where(flags[0] == FillFlag.LAND, Surface.LAND, Surface.OCEAN).astype(np.uint8)
    path = tmp_path / "c.nc"
    write_cube(
        path,
        dates=["20240110"],
        concentration=np.ones(flags.shape),
        surface=surface,
        grid=grid,
        flags=flags,
    )
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.set_auto_maskandscale(False)
        packed = np.zeros(flags.shape, np.uint8)
        packed[0, 30:40], packed[0, 40:-2] = 63, 9  # 6 days back and 3 forward; 9 forward alone
        error = np.full(flags.shape, -1, np.int8)
        error[0, 30:-2], error[0, 50, :30] = 1, 12
        for name, values, attributes in (
            ("days_back_forward", packed, {"long_name": "days to the observations"}),
            (
                "sea_ice_conc_error",
                error,
                {"scale_factor": 0.005, "long_name": "expected standard error"},
            ),
        ):
            if name not in dataset.variables:
                fill = -1 if values.dtype == np.int8 else None
                dataset.createVariable(name, values.dtype, ("time", "y", "x"), fill_value=fill)
            dataset[name].setncatts(attributes)
            dataset[name][:] = values
    days = read_field(path, "days_back_forward", None)
    assert np.unique(days.values[days.has_value]).tolist() == [3.0, 9.0]
    errors = read_field(path, "sea_ice_conc_error", None)
    scale = choose_scale(errors)
    assert (scale.low, scale.high) == (0.0, 0.06), "nearly all are 0.005, the others are to be seen"
    for field in (days, errors):
        _, ax = field_map.make_field_figure(crop_to_data(field, "grid"))
        swatches, _ = field_map.draw_field_values(ax, crop_to_data(field, "grid"))
        assert [swatch.label for swatch in swatches] == ["observed", "no value"]


def write_latitude_longitude(path, values, **attributes):
    """A map (latitude, longitude) of cells of 2 degrees from 60 N and 10 E."""
    with netCDF4.Dataset(path, "w") as dataset:
        for name, first, count in (
            ("latitude", 61, values.shape[0]),
            ("longitude", 11, values.shape[1]),
        ):
            dataset.createDimension(name, count)
            axis = dataset.createVariable(name, "f8", (name,))
            axis.units = "degrees_north" if name == "latitude" else "degrees_east"
            axis[:] = first + 2.0 * np.arange(count)
        variable = dataset.createVariable("thickness", values.dtype, ("latitude", "longitude"))
        variable.setncatts({"units": "m", "long_name": "ice thickness"})
        variable[:] = values
        dataset.setncatts(attributes)


def test_codes_that_a_file_does_not_declare_are_no_values(tmp_path):
    field = np.repeat(np.arange(100, dtype=np.int16), 3).reshape(10, 30)
    field[0, :12], field[9, :15] = 2540, 2550  # land and missing, as the Sea Ice Index has them
    write_latitude_longitude(tmp_path / "a.nc", field)
    found = read_foreign_field(tmp_path / "a.nc", None, None)
    assert np.nanmax(found.values) == 99 and np.isnan(found.values).sum() == 27
    assert [note for note in found.notes if note.startswith("2540, 2550 lie far from all other values")]


@pytest.mark.parametrize(
    "values",
    [
        np.append(np.arange(1000.0), 1e6),  # one large value is a value
        np.append(np.arange(1000.0), np.full(50, 1500.0)),  # nearer than the others are wide
        np.repeat([0.0, 1000.0], 50),
        np.full(30, np.nan),
    ],
)
def test_what_may_be_a_value_stays_one(values):
    assert find_undeclared_codes(values) == []


@pytest.mark.slow
def test_a_field_of_latitude_and_longitude_is_drawn_where_it_lies(capsys, tmp_path):
    field = np.linspace(0, 3, 300, dtype=np.float32).reshape(10, 30)
    write_latitude_longitude(tmp_path / "a.nc", field, title="Simulated thickness")
    found = read_foreign_field(tmp_path / "a.nc", "thickness", None)
    np.testing.assert_array_equal(found.values, field)
    longitude, latitude = found.grid.longitude_latitude()
    np.testing.assert_allclose(longitude[0], 11 + 2 * np.arange(30), atol=1e-6)
    np.testing.assert_allclose(latitude[:, 0], 61 + 2 * np.arange(10), atol=0.2)
    assert found.source.startswith("SIMULATED DATA, no observation · a.nc · 10 x 30 cells")
    _, _, out = draw(capsys, tmp_path / "a.nc", "--bbox", 20, 62, 50, 74, "--title", "A study area")
    assert "thickness: " in out
    for more, message in (
        (["--bbox", 20, 62, 50, 74, "--region", "arctic"], "expected --region or --bbox, found both"),
        (["--bbox", 20, 62, 50, 74, "--extent", "data"], "--extent does not fit a study area"),
        (["--bbox", -120, 62, -100, 74], "lies beyond the grid"),
    ):
        assert message in refused(capsys, tmp_path / "a.nc", *more)


@pytest.mark.slow
def test_a_study_area_of_a_concentration(capsys, tmp_path):
    grid = get_grid("n25000")
    write_day(tmp_path / "asi-AMSR2-n25000-20240110-v5.4.nc", np.full(grid.shape, 70, np.float32), grid)
    bounds = ["--bounds", 0, 500000, -1000000, -500000]
    path = tmp_path / "asi-AMSR2-n25000-20240110-v5.4.nc"
    day = read_map_day(path, None, None)
    assert day.source.startswith("SIMULATED DATA, no observation · ")
    part = day.cut(*StudyArea(bounds=bounds[1:]).find_cells(grid))
    assert part.grid.extent == (0.0, 500000.0, -1000000.0, -500000.0)
    image, *_ = draw(capsys, path, *bounds, "--vmin", 50, "--vmax", 90)
    colours = image.reshape(-1, 3)
    assert (np.abs(colours - ice(50)).max(axis=1) <= 6).mean() > 0.2, "70 is between 50 and 90"
    assert "expected --vmin below --vmax" in refused(capsys, path, "--vmin", 60, "--vmax", 50)
    cells = StudyArea(bbox=(-10, 74, 40, 82)).find_cells(grid)
    longitude, latitude = grid.longitude_latitude()
    inside = (longitude > -10) & (longitude < 40) & (latitude > 74) & (latitude < 82)
    assert inside[cells].sum() == inside.sum()
