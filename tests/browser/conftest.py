"""A browser, the system's Chromium, and pages of simulated files in it; skipped where there is none."""

import shutil
from pathlib import Path

import pytest
from page_driver import PageDriver, serve_files
from simulated_files import FILES

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def browser():
    """The browser, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """Paths of simulated files by name, written when asked for."""
    folder = tmp_path_factory.mktemp("files")

    def write(name: str) -> Path:
        path = folder / f"{name}.nc"
        return path if path.exists() else FILES[name](path)

    return write


@pytest.fixture
def serve(tmp_path):
    """Serve files; returns the server, which is stopped at the end."""
    servers = []

    def start(*paths: Path, **options):
        server = serve_files(paths, tmp_path, **options)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def open_page(browser, serve, simulated):
    """Open a page of simulated files; at the end nothing may have gone wrong in it."""
    pages = []

    def start(
        *names: str, fragment: str = "", url: str = "", viewport=(1400, 1000), **options
    ) -> PageDriver:
        address = url or serve(*map(simulated, names)).url
        context = browser.new_context(
            viewport={"width": viewport[0], "height": viewport[1]},
            permissions=["clipboard-read", "clipboard-write"],
            **options,
        )
        driver = PageDriver(context.new_page(), address)
        pages.append(driver)
        driver.open(fragment)
        return driver

    yield start
    for driver in pages:
        driver.page.context.close()
        assert driver.troubles == [], "errors or warnings in the page's console"
        assert driver.strangers == [], "requests to another host"
