"""The page in a real browser: what it shows equals the file, by every control it has."""

from datetime import date

import numpy as np
import pandas
import pytest
import xarray
from cubes import damage
from simulated_files import simulate_cube

from seaice.cf import ICE_EDGE
from seaice.cube.file import CubeFile
from seaice.drawing import palette
from seaice.flags import FillFlag, Surface

CELLS = [(30, 41), (15, 20), (20, 77), (45, 10), (12, 40), (59, 83), (58, 3), (0, 0), (3, 3), (30, 60)]


def read_day(path, step, name="sea_ice_conc"):
    with xarray.open_dataset(path) as dataset:
        return dataset[name].isel(time=step).load()


def read_series(path, name, row, column):
    with xarray.open_dataset(path) as dataset:
        return dataset[name][:, row, column].load().values


def name_value(percent, surface, row, column) -> str:
    """What the page should say of a cell of a cube."""
    if surface[row, column] == Surface.LAND:
        return "land"
    if surface[row, column] == Surface.LAKE:
        return "lake, or ocean without ice"
    value = percent[row, column]
    return "no value" if np.isnan(value) else f"{value:.2f}"


def parse_colour(text):
    return tuple(int(text[i : i + 2], 16) for i in (1, 3, 5))


def open_grid(path):
    cube = CubeFile(path)
    surface = cube.surface.copy()
    cube.close()
    return cube.grid, surface


def assert_same_picture(dots, others):
    """Edges may be smoothed another way where a view has been rounded."""
    assert dots.shape == others.shape
    assert (dots != others).any(axis=-1).mean() < 0.01


def measure_longitude_error(shown, longitude) -> float:
    """Degrees of a great circle: near the pole meridians lie close together."""
    difference = (shown["longitude"] - float(longitude) + 180) % 360 - 180
    return abs(difference) * np.cos(np.radians(shown["latitude"]))


def assert_cells_agree(driver, path, step, cells, *, name="sea_ice_conc", units=" %"):
    grid, surface = open_grid(path)
    percent = 100 * read_day(path, step, name).values
    for row, column in cells:
        shown = driver.point_at(row, column)
        assert shown["cell"] == (row, column)
        assert shown["value"].removesuffix(units) == name_value(percent, surface, row, column)
        longitude, latitude = grid.transform_to_degrees(grid.x[column], grid.y[row])
        assert shown["latitude"] == pytest.approx(float(latitude), abs=0.01)
        assert measure_longitude_error(shown, longitude) < 0.01


def test_number_under_the_pointer_is_that_of_the_cube(open_page, simulated):
    driver = open_page("north", fragment="#step=2024-01-05")
    assert driver.text("step-name") == "2024-01-05"
    assert_cells_agree(driver, simulated("north"), 16, CELLS)
    for _ in range(2):
        driver.page.click("#zoom-in")
    driver.settle()
    assert_cells_agree(driver, simulated("north"), 16, [(30, 41), (28, 45), (31, 33)])


def test_errors_and_flags_under_the_pointer(open_page, simulated):
    driver = open_page("north", fragment="#step=2024-01-05&layer=error")
    path = simulated("north")
    assert_cells_agree(
        driver, path, 16, [(30, 42), (20, 77), (30, 41)],
        name="sea_ice_conc_error", units=" percentage points",
    )  # fmt: skip
    driver.page.select_option("#layer", label="how values came about")
    driver.settle()
    flags = read_day(path, 16, "fill_flag").values
    for row, column in CELLS:
        swatch = palette.FILL[FillFlag(int(flags[row, column])).name.lower()]
        assert driver.point_at(row, column)["value"] == swatch.label
        if not swatch.hatched:
            driver.page.mouse.move(1, 1)
            assert parse_colour(swatch.colour) in driver.see_colours(row, column)
    legend = driver.text("legend")
    assert "time + neighbours" in legend and "kriged" not in legend


def test_zoomed_out_cells_are_cells_of_the_file(open_page, simulated):
    driver = open_page("large", viewport=(900, 600))
    path = simulated("large")
    percent = 100 * read_day(path, 2).values
    grid, surface = open_grid(path)
    levels = set()
    for _ in range(3):
        levels.add(driver.page.evaluate("canvas.level"))
        for row, column in [(350, 552), (361, 540), (340, 570)]:
            shown = driver.point_at(row, column)
            r, c = shown["cell"]
            assert abs(r - row) <= 2 and abs(c - column) <= 2
            assert shown["value"].removesuffix(" %") == name_value(percent, surface, r, c)
            longitude, latitude = grid.transform_to_degrees(grid.x[c], grid.y[r])
            assert shown["latitude"] == pytest.approx(float(latitude), abs=0.01)
            assert measure_longitude_error(shown, longitude) < 0.01
        driver.page.mouse.move(*driver.locate_cell(350, 552))
        driver.page.mouse.wheel(0, -400)
        driver.settle()
    assert levels == {1, 0}
    assert driver.point_at(350, 552)["cell"] == (350, 552)


def test_days_by_buttons_slider_calendar_and_play(open_page, simulated):
    driver = open_page("north", fragment="#step=2024-01-05")
    page, path = driver.page, simulated("north")
    page.click("#next")
    assert driver.address["step"] == "2024-01-06"
    page.click("#previous")
    page.click("#previous")
    assert driver.address["step"] == "2024-01-04"
    page.locator("#step").fill("3")
    assert driver.address["step"] == "2023-12-23"
    assert page.input_value("#year") == "2023"
    assert_cells_agree(driver, path, 3, [(30, 41), (20, 77)])
    page.select_option("#year", "2024")
    page.click("#calendar button[data-step='38']")
    assert driver.address["step"] == "2024-01-27"
    assert_cells_agree(driver, path, 38, [(30, 41)])
    page.click("#play")
    driver.wait_for_text("step-name", "2023-12-22")
    page.click("#play")
    page.wait_for_timeout(400)
    stopped = driver.text("step-name")
    page.wait_for_timeout(500)
    assert driver.text("step-name") == stopped
    assert page.get_attribute("#play", "aria-pressed") == "false"


def test_calendar_tells_the_observed_share(open_page, simulated):
    driver = open_page("north")
    grid, surface = open_grid(simulated("north"))
    flags = read_day(simulated("north"), 20, "fill_flag").values
    area = grid.cell_area() * (surface != Surface.LAND) * (surface != Surface.LAKE)
    share = 100 * (area * (flags == FillFlag.OBSERVED)).sum() / area.sum()
    title = driver.page.get_attribute("#calendar button[data-step='20']", "title")
    assert title.startswith("2024-01-09")
    assert float(title.split(", ")[1].split()[0]) == pytest.approx(share, abs=0.1)


def test_keys_alone_reach_everything(open_page, simulated):
    driver = open_page("north", fragment="#step=2024-01-05")
    page, path = driver.page, simulated("north")
    page.keyboard.press("ArrowRight")
    assert driver.address["step"] == "2024-01-06"
    page.keyboard.press("Space")
    driver.wait_for_text("step-name", "2024-01-09")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "map"
    zoom = float(driver.address["zoom"])
    page.keyboard.press("+")
    assert float(driver.address["zoom"]) == pytest.approx(1.5 * zoom, rel=1e-3)
    page.keyboard.press("-")
    page.keyboard.press("-")
    page.keyboard.press("0")
    assert float(driver.address["zoom"]) == pytest.approx(zoom, rel=1e-3)
    page.keyboard.press("ArrowUp")
    row, column = driver.read_out()["cell"]
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowDown")
    assert driver.read_out()["cell"] == (row - 1, column + 10)
    page.keyboard.press("Enter")
    driver.settle()
    assert driver.address["cell"] == f"{row - 1},{column + 10}"
    values = read_series(path, "sea_ice_conc", row - 1, column + 10)
    table = driver.download_table("#cell-csv")
    assert [float(line["concentration (%)"]) for line in table] == pytest.approx((100 * values).tolist())
    page.focus("#map")
    page.keyboard.press("b")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("B")
    driver.settle()
    assert driver.address["box"] == f"{row - 1},{row + 9},{column + 10},{column + 20}"


def test_layers_beside_each_other(open_page, simulated):
    driver = open_page("north", fragment="#step=2024-01-05")
    page = driver.page
    left_alone = driver.grab()
    page.select_option("#layer", label="surface")
    driver.settle()
    right_alone = driver.grab()
    page.select_option("#layer", label="sea ice concentration")
    page.select_option("#compare", label="surface")
    page.locator("#swipe").fill("40")
    driver.settle()
    both = driver.grab()
    border = round(0.4 * both.shape[1])
    rows = slice(0, -40)  # above the slider
    assert (both[rows, : border - 6] == left_alone[rows, : border - 6]).all()
    assert (both[rows, border + 6 :] == right_alone[rows, border + 6 :]).all()
    assert not (left_alone[rows, : border - 6] == right_alone[rows, : border - 6]).all()
    shown = driver.point_at(30, 41)
    assert shown["beside"] == palette.SURFACE["pole_hole"].label
    assert driver.address["beside"] == "0.surface" and driver.address["swipe"] == "40"
    assert "left: " in driver.text("legend") and "right: " in driver.text("legend")


def test_two_files_beside_each_other(open_page, simulated):
    driver = open_page("north", "no_errors", fragment="#step=2023-12-25&beside=1.concentration")
    ours, others = (100 * read_day(simulated(name), 5).values for name in ("north", "no_errors"))
    shown = driver.point_at(30, 60)
    assert shown["value"] == f"{ours[30, 60]:.2f} %"
    assert shown["beside"] == f"{others[30, 60]:.2f} %"
    driver.page.click("#calendar button[data-step='9']")
    driver.settle()
    assert driver.text("message") == "no_errors.nc has no 2023-12-29"
    driver.page.select_option("#file", label="no_errors.nc")
    driver.settle()
    assert driver.point_at(30, 60)["cell"] == (30, 60)
    assert driver.text("step-name") == "2023-12-27"


def compute_box(path, rows, columns):
    """Extent and area of a box, km2, by day."""
    grid, surface = open_grid(path)
    area = grid.cell_area() * ~np.isin(surface, (Surface.LAND, Surface.LAKE, Surface.NEVER_ICE))
    with xarray.open_dataset(path) as dataset:
        values = dataset.sea_ice_conc[:, rows, columns].load().values
    part = area[rows, columns]
    extent = (part * (values >= ICE_EDGE - 1e-6)).sum(axis=(1, 2))
    return extent, np.nansum(part * values, axis=(1, 2))


def test_a_box_sums_its_cells(open_page, simulated):
    driver = open_page("north")
    driver.drag_box((40, 20), (20, 50))
    assert driver.address["box"] == "20,40,20,50"
    extent, area = compute_box(simulated("north"), slice(20, 41), slice(20, 51))
    table = driver.download_table("#area-csv")
    assert len(table) == 40
    assert [float(line["extent (km2)"]) for line in table] == pytest.approx(extent.tolist(), rel=1e-5)
    assert [float(line["area (km2)"]) for line in table] == pytest.approx(area.tolist(), rel=1e-5)
    drawn = driver.page.evaluate("document.getElementById('area-chart').data.flatMap((t) => [...t.y])")
    assert sorted(drawn) == pytest.approx(sorted(extent / 1e6), rel=1e-5)
    driver.page.select_option("#quantity", "area")
    driver.settle()
    drawn = driver.page.evaluate("document.getElementById('area-chart').data.flatMap((t) => [...t.y])")
    assert sorted(drawn) == pytest.approx(sorted(area / 1e6), rel=1e-5)
    assert driver.address["quantity"] == "area"


def test_a_box_of_a_fine_grid_snaps_to_coarse_cells(open_page, simulated):
    driver = open_page("large")
    driver.drag_box((301, 400), (450, 611))
    row0, row1, column0, column1 = map(int, driver.address["box"].split(","))
    rows, columns = slice(4 * row0, 4 * row1 + 4), slice(4 * column0, 4 * column1 + 4)
    assert abs(rows.start - 301) <= 6 and abs(columns.stop - 611) <= 6
    extent, area = compute_box(simulated("large"), rows, columns)
    table = driver.download_table("#area-csv")
    assert [float(line["extent (km2)"]) for line in table] == pytest.approx(extent.tolist(), rel=1e-4)
    assert [float(line["area (km2)"]) for line in table] == pytest.approx(area.tolist(), rel=1e-4)


def test_a_region_equals_the_ice_index(open_page, simulated, tmp_path):
    from seaice.commands.ice_index import main

    path = simulated("north")
    output = tmp_path / "index.csv"
    assert main(["--input_file", str(path), "--output_csv", str(output), "--region", "kara"]) == 0
    index = pandas.read_csv(output, comment="#")
    driver = open_page("north")
    names = [name for name in driver.page.inner_text("#region").split("\n") if "kara" in name.lower()]
    driver.page.select_option("#region", label=names[0].strip())
    driver.settle()
    table = driver.download_table("#area-csv")
    assert driver.address["region"] == "kara"
    kara = index[index.region == "kara"]
    for name in ("extent", "area"):
        written = [float(line[f"{name} (km2)"]) for line in table]
        assert written == pytest.approx(kara[f"{name}_km2"].tolist(), rel=1e-6)


def test_the_series_of_a_cell(open_page, simulated):
    driver = open_page("north")
    path = simulated("north")
    driver.click_cell(35, 42)
    assert driver.address["cell"] == "35,42"
    values, errors, flags = (
        read_series(path, name, 35, 42) for name in ("sea_ice_conc", "sea_ice_conc_error", "fill_flag")
    )
    name, content = driver.download("#cell-csv")
    assert name == "north_cell_35_42.csv" and content.endswith(b"\r\n")
    table = driver.download_table("#cell-csv")
    assert [line["date"] for line in table[:2]] == ["2023-12-20", "2023-12-21"]
    assert [float(line["concentration (%)"]) for line in table] == pytest.approx((100 * values).tolist())
    written = [float(line["expected error (percentage points)"] or "nan") for line in table]
    assert written == pytest.approx((100 * errors).tolist(), nan_ok=True)
    labels = [palette.FILL[FillFlag(int(flag)).name.lower()].label for flag in flags]
    assert [line["origin"] for line in table] == labels
    drawn = driver.page.evaluate(
        "Object.fromEntries(document.getElementById('cell-chart').data.map((t) => [t.name, [...t.y]]))"
    )
    assert drawn["observed"] == [None] * 40
    assert drawn["filled"] == pytest.approx((100 * values).tolist())
    upper = np.minimum(100, 100 * (values + errors))
    assert drawn["expected error"] == pytest.approx(upper.tolist(), abs=1e-3)


def test_pictures_are_saved(open_page):
    from io import BytesIO

    from PIL import Image

    driver = open_page("north", fragment="#step=2024-01-05&cell=30,60")
    for button, ending in (("#map-picture", "concentration_2024-01-05.png"),
                           ("#cell-png", "cell_30_60.png"), ("#area-png", ".png")):  # fmt: skip
        name, content = driver.download(button)
        assert name.startswith("north_") and name.endswith(ending)
        picture = Image.open(BytesIO(content))
        assert picture.format == "PNG" and picture.width > 500
        assert len(set(picture.convert("RGB").resize((60, 40)).tobytes())) > 10


def test_a_copied_link_shows_the_same_view(open_page):
    driver = open_page("north", "no_errors")
    page = driver.page
    page.select_option("#layer", label="expected error of filled values")
    page.select_option("#compare", label="no_errors.nc: sea ice concentration")
    page.locator("#swipe").fill("30")
    page.locator("#step").fill("4")
    driver.click_cell(35, 42)
    driver.drag_box((40, 20), (20, 50))
    page.select_option("#quantity", "area")
    page.click("#zoom-in")
    page.mouse.move(1, 1)
    driver.settle()
    page.click("#link")
    driver.wait_for_text("link", "Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    before = driver.grab()
    other = open_page(url=link)
    assert other.address == driver.address
    assert_same_picture(other.grab(), before)
    assert other.text("cell-text") == driver.text("cell-text")
    assert other.text("area-text") == driver.text("area-text")
    page.reload()
    driver.wait_until_ready()
    assert_same_picture(driver.grab(), before)


@pytest.mark.parametrize(
    "fragment",
    [
        "#", "#%", "#%00%ff", "#file=99&layer=__proto__&step=-1",
        "#step=1e99&zoom=1e-300&centre=1e300,-1e300",
        "#centre=NaN,Infinity&zoom=-3", "#cell=1.5,2&box=9,1,9,1", "#cell=-1,2&box=1,2,3,999999",
        "#region=<script>alert(1)</script>", "#beside=0.nothing&swipe=1e9", "#beside=7.concentration",
        "#" + "x=1&" * 5000, "#zoom=1e300&centre=3,3", "#cell=,&box=,,,",
    ],
)  # fmt: skip
def test_a_nonsense_address_shows_a_map(open_page, fragment):
    driver = open_page("one_day", fragment=fragment[:20_000])
    assert driver.page.is_hidden("#message"), driver.text("message")
    assert driver.text("step-name") == "2023-12-20"
    dots = driver.grab().reshape(-1, 3)
    assert len(np.unique(dots, axis=0)) > 20


def test_the_southern_hemisphere(open_page, simulated):
    driver = open_page("south", fragment="#step=2023-12-24&cell=30,40")
    assert_cells_agree(driver, simulated("south"), 4, [(20, 30), (45, 60), (30, 1)])
    assert driver.point_at(20, 30)["latitude"] < -40
    values = read_series(simulated("south"), "sea_ice_conc", 30, 40)
    table = driver.download_table("#cell-csv")
    assert [float(line["concentration (%)"]) for line in table] == pytest.approx((100 * values).tolist())


def test_a_cube_without_errors(open_page, simulated):
    driver = open_page("no_errors")
    assert "expected error" not in driver.page.inner_text("#layer")
    driver.click_cell(35, 42)
    table = driver.download_table("#cell-csv")
    assert len(table) == 8 and {line["expected error (percentage points)"] for line in table} == {""}


def test_a_cube_of_one_day(open_page, simulated):
    driver = open_page("one_day")
    assert driver.page.is_hidden("#time") and driver.page.is_hidden("#calendar-section")
    assert_cells_agree(driver, simulated("one_day"), 0, CELLS)
    driver.click_cell(30, 60)
    assert len(driver.download_table("#cell-csv")) == 1
    driver.page.keyboard.press("ArrowRight")
    assert driver.address["step"] == "2023-12-20"


def test_thirteen_years(open_page, simulated):
    path = simulated("thirteen_years")
    driver = open_page("thirteen_years", fragment="#cell=8,12")
    assert driver.text("step-name") == "2025-07-02"
    assert driver.page.locator("#year option").count() == 14
    assert "difference from the mean of the years" in driver.page.inner_text("#layer")
    assert driver.page.evaluate("document.getElementById('area-chart').data.length") == 14
    table = driver.download_table("#cell-csv")
    assert [float(line["concentration (%)"]) for line in table] == pytest.approx(
        (100 * read_series(path, "sea_ice_conc", 8, 12)).tolist()
    )
    driver.page.select_option("#year", "2016")
    driver.page.click("#calendar button[title^='2016-02-29']")
    driver.settle()
    assert_cells_agree(driver, path, (date(2016, 2, 29) - date(2012, 7, 2)).days, [(8, 12), (10, 3)])


def test_a_damaged_day_is_told_and_the_others_stay(open_page, serve, tmp_path):
    path = damage(simulate_cube(tmp_path / "damaged.nc", days=6), "sea_ice_conc", 2)
    driver = open_page(url=serve(path).url)
    driver.expected = ("500",)
    page = driver.page
    page.locator("#step").fill("2")
    driver.settle()
    message = driver.text("message")
    assert "damaged" in message and "2023-12-22" in message, message
    title = page.get_attribute("#calendar button[data-step='2']", "title")
    assert "damaged" in title
    page.click("#next")
    driver.settle()
    assert page.is_hidden("#message")
    assert_cells_agree(driver, path, 3, [(30, 60), (20, 77)])
    driver.click_cell(30, 60)
    table = driver.download_table("#cell-csv")
    assert [bool(line["concentration (%)"]) for line in table] == [True, True, False, True, True, True]


def test_freeboard(open_page, simulated):
    path = simulated("freeboard")
    driver = open_page("freeboard")
    values = read_day(path, 2, "freeboard_mean").values
    for row, column in [(20, 30), (10, 50), (35, 5), (8, 8)]:
        value = values[row, column]
        expected = "no observation" if np.isnan(value) else f"{value:.3f} m"
        assert driver.point_at(row, column)["value"] == expected
    row, column = np.argwhere(np.isfinite(values))[50]
    driver.click_cell(row, column)
    series = read_series(path, "freeboard_mean", row, column)
    table = driver.download_table("#cell-csv")
    written = [float(line["freeboard_mean (m)"] or "nan") for line in table]
    assert written == pytest.approx(series.tolist(), abs=1e-4, nan_ok=True)
    driver.drag_box((10, 10), (20, 30))
    table = driver.download_table("#area-csv")
    with xarray.open_dataset(path) as dataset:
        part = dataset.freeboard_mean[:, 10:21, 10:31].load().values
    grid = simulated_grid(path)
    area = np.where(np.isnan(part), 0, grid.cell_area()[10:21, 10:31])
    means = (area * np.nan_to_num(part)).sum(axis=(1, 2)) / area.sum(axis=(1, 2))
    assert [float(line["mean"]) for line in table] == pytest.approx(means.tolist(), abs=1e-4)


def simulated_grid(path):
    from seaice.browse.recognise import open_map_file

    maps = open_map_file(path)
    maps.close()
    return maps.grid


def test_a_map_of_a_scene(open_page, simulated):
    path = simulated("scene")
    driver = open_page("scene")
    with xarray.open_dataset(path, mask_and_scale=False) as dataset:
        classes, latitude = dataset.surface_class.values, dataset.lat.values
    words = {0: "water", 1: "ice", 2: "land", 255: "missing"}
    for line, sample in [(20, 30), (100, 140), (3, 5), (60, 61)]:
        shown = driver.point_at(line, sample, is_turned=False)
        assert shown["cell"] == (line, sample)
        assert words[int(classes[line, sample])] in shown["value"]
        assert shown["latitude"] == pytest.approx(latitude[line, sample], abs=0.01)
    for part in ("#calendar-section", "#cell-section", "#area-section", "#time", "#box"):
        assert driver.page.is_hidden(part)
