"""The page exported, on narrow screens, read by aids, and when the server or the file goes away."""

import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import xarray
from cubes import damage
from simulated_files import simulate_cube

from seaice.browse.stage import browse


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *texts):
        pass


@contextmanager
def serve_folder(folder):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder of the page of a cube whose day 2 is damaged, and the cube."""
    folder = tmp_path_factory.mktemp("exported")
    cube = damage(simulate_cube(folder / "cube.nc", days=10), "sea_ice_conc", 2)
    browse(input_file=[cube], output_dir=folder / "site")
    return folder / "site", cube


def check_exported(driver, cube):
    """The exported page shows what the cube holds."""
    with xarray.open_dataset(cube) as dataset:
        day = 100 * dataset.sea_ice_conc.isel(time=9).values
        series = 100 * dataset.sea_ice_conc.isel(time=slice(3, None), y=35, x=41).values
    for row, column in [(35, 41), (20, 77), (45, 10)]:
        assert driver.point_at(row, column)["value"] == f"{day[row, column]:.2f} %"
    driver.click_cell(35, 41)
    table = driver.download_table("#cell-csv")
    written = [float(line["concentration (%)"] or "nan") for line in table]
    assert written[3:] == pytest.approx(series.tolist(), abs=0.011)
    driver.drag_box((40, 20), (20, 50))
    assert len(driver.download_table("#area-csv")) == 10
    driver.page.locator("#step").fill("2")
    driver.settle()
    assert "damaged" in driver.text("message")
    driver.page.locator("#step").fill("4")
    driver.settle()
    assert driver.page.is_hidden("#message")
    assert driver.address["step"] == "2023-12-24"


def test_an_exported_folder_opens_from_the_disk(open_page, exported):
    folder, cube = exported
    check_exported(open_page(url=(folder / "index.html").as_uri()), cube)


def test_an_exported_folder_on_a_web_server(open_page, exported):
    folder, cube = exported
    with serve_folder(folder) as url:
        check_exported(open_page(url=url), cube)


@pytest.mark.parametrize("viewport", [(1400, 1000), (390, 844)])
@pytest.mark.parametrize("name", ["north", "freeboard", "scene", "thirteen_years"])
def test_rules_of_accessibility_hold(open_page, name, viewport):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    fragment = {"north": "#cell=30,60&beside=0.fill_flag", "thirteen_years": "#cell=8,12"}.get(name, "")
    driver = open_page(name, fragment=fragment, viewport=viewport)
    width, content = driver.page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
    assert content <= width
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    results = axe.Axe().run(driver.page, options=rules)
    assert results.violations_count == 0, results.generate_report()


def test_a_server_that_is_stopped_is_told(open_page, serve, simulated):
    server = serve(simulated("north"))
    driver = open_page(url=server.url)
    driver.expected = ("ERR_CONNECTION", "ERR_EMPTY", "ERR_SOCKET")
    server.stop()
    driver.page.click("#previous")
    driver.wait_for_text("message", "the server does not answer: is browse.py still running?")
    assert driver.page.is_visible("#message")


def test_a_file_that_changes_is_told(open_page, serve, tmp_path):
    path = simulate_cube(tmp_path / "cube.nc", days=4)
    driver = open_page(url=serve(path).url)
    driver.expected = ("500",)
    simulate_cube(tmp_path / "later.nc", days=3).replace(path)
    driver.page.click("#previous")
    driver.wait_for_text(
        "message", "cube.nc has changed since browse.py opened it; start browse.py again"
    )


def test_hostile_texts_are_texts(open_page, serve, tmp_path):
    import netCDF4

    path = simulate_cube(tmp_path / 'a\' "b" <img src=x onerror=alert(1)>.nc', days=3)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.title = "<script>alert(1)</script><b>bold</b> \u202e" + "x" * 1_000_000
        dataset["sea_ice_conc"].long_name = "<a href='http://evil.example'>long</a>"
    driver = open_page(url=serve(path).url)
    driver.click_cell(30, 60)
    assert driver.text("title").startswith("<script>alert(1)</script><b>bold</b>")
    assert driver.page.locator("#title *").count() == 0
    assert driver.page.locator("img[src=x]").count() == 0
    name, _ = driver.download("#cell-csv")
    assert name == "a_b_img_src_x_onerror_alert_1__cell_30_60.csv"


def test_two_browsers_at_once(open_page, serve, simulated):
    server = serve(simulated("north"))
    one, two = open_page(url=server.url), open_page(url=server.url)
    for driver, step in ((one, 5), (two, 9), (one, 6)):
        driver.page.locator("#step").fill(str(step))
    assert one.address["step"] == "2023-12-26" and two.address["step"] == "2023-12-29"
    assert one.point_at(30, 60) != two.point_at(30, 60)
