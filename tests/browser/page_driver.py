"""Serving files, and reading what the page shows: by its texts, its address and its dots of colour."""

import csv
import io
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np

from seaice.browse.answers import Answers, FileAnswers
from seaice.browse.recognise import open_map_file
from seaice.browse.server import PageServer


class RunningServer:
    """The server of some files, in threads of this process."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self._server = PageServer(answers)
        self.url = self._server.url
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self._is_running = True

    def stop(self) -> None:
        if self._is_running:
            self._is_running = False
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self.answers.close()


def serve_files(paths: Sequence[Path], folder: Path, *, regions: Sequence[str] = ()) -> RunningServer:
    files = [FileAnswers(open_map_file(path), folder, regions=regions) for path in paths]
    return RunningServer(Answers(files))


class PageDriver:
    """A page in the browser.

    Attributes
    ----------
    troubles : list of str
        Errors and warnings of the console, and errors that no part of the page caught.
    strangers : list of str
        Addresses of other hosts that were asked.
    expected : tuple of str
        Parts of messages that are no trouble.
    """

    def __init__(self, page, url: str) -> None:
        self.page, self.url = page, url
        self.troubles: list[str] = []
        self.strangers: list[str] = []
        self.expected: tuple[str, ...] = ()
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("request", lambda request: self._note_request(request.url))
        page.set_default_timeout(15_000)

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(part in text for part in self.expected):
            self.troubles.append(f"{kind}: {text}")

    def _note_request(self, url: str) -> None:
        own = urlsplit(self.url)
        other = urlsplit(url)
        if other.scheme not in ("data", "blob") and (other.scheme, other.netloc) != (
            own.scheme,
            own.netloc,
        ):
            self.strangers.append(url)

    def open(self, fragment: str = "") -> None:
        self.page.goto("about:blank")
        self.page.goto(self.url + fragment)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        self.page.wait_for_selector("html[data-ready]", state="attached")
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is loaded any more and the series are complete."""
        self.page.wait_for_load_state("networkidle")
        self.wait_for_text("progress", "")
        self.page.wait_for_timeout(350)
        self.page.wait_for_load_state("networkidle")

    def wait_for_text(self, name: str, text: str) -> None:
        from playwright.sync_api import expect

        expect(self.page.locator(f"#{name}")).to_have_text(text, timeout=60_000)

    def text(self, name: str) -> str:
        return self.page.inner_text(f"#{name}")

    @property
    def address(self) -> dict[str, str]:
        """Parts of the address behind #."""
        self.page.wait_for_timeout(400)
        parts = parse_qs(urlsplit(self.page.url).fragment, keep_blank_values=True)
        return {name: values[0] for name, values in parts.items()}

    def locate_cell(self, row: int, column: int, *, is_turned: bool = True) -> tuple[float, float]:
        """Where the middle of a cell lies in the window, from the address alone."""
        parts = self.address
        x, y = map(float, parts["centre"].split(","))
        scale = float(parts["zoom"])
        frame = self.page.locator("#map").bounding_box()
        up = -1 if is_turned else 1
        return (
            frame["x"] + frame["width"] / 2 + (column + 0.5 - x) * scale,
            frame["y"] + frame["height"] / 2 + up * (row + 0.5 - y) * scale,
        )

    def point_at(self, row: int, column: int, **options) -> dict[str, object]:
        """Move the pointer to a cell and read what the page says of it."""
        self.page.mouse.move(*self.locate_cell(row, column, **options))
        return self.read_out()

    def read_out(self) -> dict[str, object]:
        """Value or class, latitude, longitude, row and column."""
        text = self.text("readout")
        match = re.fullmatch(
            r"(?:([^·]*) · )?(?:([^·]*) · )?([\d.]+)°([NS]) ([\d.]+)°([EW])"
            r" · row (\d+), column (\d+)(?: · beside: (.*))?",
            text,
        )
        assert match, text
        value, origin, latitude, ns, longitude, ew, row, column, beside = match.groups()
        return {
            "value": value,
            "origin": origin,
            "latitude": float(latitude) * (1 if ns == "N" else -1),
            "longitude": float(longitude) * (1 if ew == "E" else -1),
            "cell": (int(row), int(column)),
            "beside": beside,
        }

    def click_cell(self, row: int, column: int) -> None:
        self.page.mouse.click(*self.locate_cell(row, column))
        self.settle()

    def drag_box(self, first: tuple[int, int], last: tuple[int, int]) -> None:
        start, end = self.locate_cell(*first), self.locate_cell(*last)
        self.page.click("#box")
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=4)
        self.page.mouse.up()
        self.settle()

    def grab(self) -> np.ndarray:
        """Dots of the map, uint8 (rows, columns, 3)."""
        from PIL import Image

        picture = self.page.locator("#map").screenshot()
        return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))

    def see_colours(self, row: int, column: int) -> set[tuple[int, ...]]:
        """Colours of the dots within a cell, across which lines and texts may lie."""
        x, y = self.locate_cell(row, column)
        frame = self.page.locator("#map").bounding_box()
        half = int(0.4 * float(self.address["zoom"]))
        middle = int(y - frame["y"]), int(x - frame["x"])
        rows, columns = (slice(max(0, i - half), i + half + 1) for i in middle)
        return set(map(tuple, self.grab()[rows, columns].reshape(-1, 3).tolist()))

    def download(self, button: str) -> tuple[str, bytes]:
        """Name and content of the file that a button saves."""
        with self.page.expect_download() as waiting:
            self.page.click(button)
        return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()

    def download_table(self, button: str) -> list[dict[str, str]]:
        _, content = self.download(button)
        return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline="")))
