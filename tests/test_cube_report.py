"""report: the numbers of the page are those of the cube and of ice_index, and the page is one file."""

import csv
import io
import re
import shutil
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from cubes import small_grid, write_cube
from days import make_folder

from seaice import InputError
from seaice.commands import consolidate_data, create_mask
from seaice.commands import ice_index as index_script
from seaice.commands import report as script
from seaice.cube.file import CubeFile
from seaice.cube_report import figures
from seaice.cube_report.coverage import measure_coverage
from seaice.cube_report.page import Page
from seaice.cube_report.stage import report_cube
from seaice.flags import DayStatus, Surface
from seaice.ice_index.stage import read_divisions


@pytest.fixture(scope="module")
def cube_file(tmp_path_factory) -> Path:
    top = tmp_path_factory.mktemp("report")
    folder = make_folder(top / "in", days=12, absent=(5, 6))
    words = ["--source_dir", str(folder.path), "--start_date", "20240101", "--end_date", "20240112"]
    assert create_mask.main([*words, "--output_file", str(top / "mask.nc")]) == 0
    more = ["--land_mask_file", str(top / "mask.nc"), "--method", "departure"]
    assert consolidate_data.main([*words, *more, "--output_file", str(top / "cube.nc")]) == 0
    return top / "cube.nc"


@pytest.fixture(scope="module")
def outcome(cube_file):
    page = cube_file.parent / "report.html"
    return page, report_cube(input_file=cube_file, output_file=page).values


class Elements(HTMLParser):
    """What a page refers to, and the texts of its cells."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.alternatives: list[str] = []
        self.rows: list[list[str]] = []

    def row(self, first: str, *, last: bool = False) -> list[str]:
        """The first row of a table, or the last one, that begins with this text."""
        return [row for row in self.rows if row[0] == first][-last]

    def handle_data(self, text):
        if self.tags[-1:] == ["td"]:
            self.rows[-1][-1] += text.strip()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        known = dict(attributes)
        self.addresses += [known[name] for name in ("src", "href") if name in known]
        self.alternatives += [known["alt"]] if tag == "img" else []


def parse(page: Path) -> Elements:
    elements = Elements()
    elements.feed(page.read_text(encoding="utf-8"))
    return elements


def test_the_page_is_one_file_without_programs(outcome):
    page, _ = outcome
    elements = parse(page)
    assert elements.addresses and all(a.startswith("data:image/png;base64,") for a in elements.addresses)
    assert not {"script", "link", "iframe", "object"} & set(elements.tags)
    assert all(elements.alternatives) and len(elements.alternatives) == 6
    assert page.stat().st_size < 10e6


def test_counts_are_those_of_the_flags(cube_file, outcome):
    _, values = outcome
    coverage = values["coverage"]
    area = 0.0
    with CubeFile(cube_file) as cube:
        cell_area = cube.grid.cell_area()
        for i, name in enumerate(coverage.flags):
            code = 255 if name == "not_filled" else cube.flag_value(name)
            has_flag = (cube.flags(slice(None)) == code) & cube.ocean
            np.testing.assert_array_equal(coverage.cells[:, i], has_flag.sum(axis=(1, 2)), err_msg=name)
            expected = (has_flag * cell_area).sum(axis=(1, 2))
            np.testing.assert_allclose(coverage.area[:, 0, i], expected)
            error = np.where(has_flag, cube.standard_error(slice(None)), np.nan)
            for number, values_of_day in enumerate(error):
                errors = values_of_day[~np.isnan(values_of_day)]
                mean = errors.mean(dtype=float) if errors.size else np.nan
                np.testing.assert_allclose(coverage.error[number, i], mean, rtol=1e-5, err_msg=name)
            area += expected
        np.testing.assert_allclose(area, cell_area[cube.ocean].sum())
        observed = (cube.flags(slice(None)) == cube.flag_value("observed")).sum(axis=0)
        np.testing.assert_array_equal(coverage.observed_days, observed * cube.ocean)
    assert coverage.list_days(DayStatus.ABSENT) == [5, 6]
    total = sum(coverage.share_of(kind) for kind in ("observed", "filled", "missing"))
    np.testing.assert_allclose(total, 1)
    assert coverage.share_of("filled")[5, 0] > 0.9 > coverage.share_of("filled")[4, 0]


def test_a_cell_without_a_value_is_missing_whatever_its_flag(tmp_path):
    grid = small_grid(6, 5)
    concentration = np.full((1, 6, 5), 0.5)
    concentration[0, :2] = np.nan
    flags = np.zeros(concentration.shape, np.uint8)  # all observed, says the file
    cube = write_cube(
        tmp_path / "c.nc",
        dates=["2024-01-01"],
        concentration=concentration,
        surface=np.zeros((6, 5), np.uint8),
        grid=grid,
        flags=flags,
    )
    report = report_cube(input_file=cube, output_file=tmp_path / "r.html", region=["box=0,6,0,5"])
    coverage = report.values["coverage"]
    assert dict(zip(coverage.flags, coverage.cells[0].tolist(), strict=True)) == {
        "observed": 20,
        "not_filled": 10,
    }


def test_extents_are_those_of_ice_index(cube_file, outcome, tmp_path):
    page, values = outcome
    table = tmp_path / "index.csv"
    assert index_script.main(["--input_file", str(cube_file), "--output_csv", str(table)]) == 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose(
        values["series"].extent[:, 0], [float(row["extent_km2"]) for row in rows], atol=0.06
    )
    cells = parse(page).row("whole grid", last=True)
    of_grid = [row for row in rows if row["region"] == "whole grid"]
    for number, find in ((1, min), (3, max)):
        day = find(of_grid, key=lambda row: float(row["extent_km2"]))
        assert cells[number : number + 2] == [f"{float(day['extent_km2']) / 1e6:.3f}", day["date"]]
    area = np.mean([float(row["area_km2"]) for row in of_grid]) / 1e6
    assert cells[5] == f"{area:.3f}"


def test_the_page_names_days_flags_inputs_and_references(cube_file, outcome):
    page, values = outcome
    text = page.read_text()
    assert "12 days, 2024-01-01 to 2024-01-12" in text
    assert "10 present, 0 of them suspicious, 2 absent, 0 rejected" in text
    assert parse(page).row("2024-01-06")[1] == "absent"
    with CubeFile(cube_file) as cube:
        assert all(digest in text for digest in cube.texts("input_sha256") if digest)
        assert "10 input files with digests" in text
    assert "<li>none: the values are simulated</li>" in text and "are simulated.</p>" in text
    for i, name in enumerate(values["coverage"].flags):
        cells = values["coverage"].cells[:, i].sum()
        assert parse(page).row(name.replace("_", " "))[2] == str(cells)


def test_scores_are_shown(cube_file, tmp_path):
    folder = tmp_path / "scores"
    folder.mkdir()
    (folder / "scores.csv").write_text("method,rmse\n" + "".join(f"m<{i}>,{i}.5\n" for i in range(70)))
    page = tmp_path / "r.html"
    words = ["--input_file", str(cube_file), "--output_file", str(page), "--scores", str(folder)]
    assert script.main([*words, "--region", "box=0,20,0,20"]) == 0
    text = page.read_text()
    assert parse(page).row("m<59>") == ["m<59>", "59.5"] and "m&lt;60&gt;" not in text
    assert "The first 60 of 70 rows." in text
    assert parse(page).row("box") and "barents" not in text
    assert script.main([*words, "--region", "box=0,20,0,20"]) == 0, "a report replaces a report"


def test_years_are_drawn_over_each_other(cube_file, tmp_path):
    """Three years by the series of two earlier ones; the climatology is that of those two."""
    table = tmp_path / "before.csv"
    assert index_script.main(["--input_file", str(cube_file), "--output_csv", str(table)]) == 0
    header, *rows = table.read_text().splitlines()
    earlier = [row.replace("2024-", f"{year}-") for year in (2022, 2023) for row in rows]
    table.write_text("\n".join([header, *earlier]) + "\n")
    page = tmp_path / "r.html"
    options = {"input_file": cube_file, "output_file": page, "region": ["box=0,20,0,20"]}
    report = report_cube(**options, series_file=[table])
    assert report.values["series"].dates[0] == date(2022, 1, 1)
    assert "Extent of the years over each other" in parse(page).alternatives
    report_cube(**options)
    assert "Extent of the years over each other" not in parse(page).alternatives


def test_suspicious_days_are_drawn_between_their_neighbours(cube_file, tmp_path, monkeypatch):
    reasons = [""] * 12
    reasons[0], reasons[3], reasons[5] = "suspicious: <b>shifted</b>", "suspicious: half", "no file"
    monkeypatch.setattr(CubeFile, "texts", lambda cube, name: reasons)
    page = tmp_path / "r.html"
    report = report_cube(input_file=cube_file, output_file=page)
    assert report.values["coverage"].suspicious == [0, 3]
    alternatives = parse(page).alternatives
    caption = "2024-01-01 between the days beside it, cells that were not observed in orange: "
    assert f"{caption}suspicious: <b>shifted</b>" in alternatives
    assert "<b>" not in page.read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output_file": "r.txt"}, "--output_file: expected an ending of .html, found"),
        ({"input_file": "none.nc"}, "no such cube"),
        ({"scores": Path("none")}, "expected scores.csv of fill_gaps.py score in none"),
        ({"region": ["atlantis"]}, "atlantis"),
    ],
)
def test_bad_input_is_one_line(cube_file, tmp_path, change, message):
    options = {"input_file": cube_file, "output_file": tmp_path / "r.html", **change}
    with pytest.raises(InputError, match=re.escape(message)):
        report_cube(**options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.nan, 0.5])
def test_a_cube_of_one_flag_without_names_of_inputs(tmp_path, value):
    grid = small_grid(6, 4)
    cube = write_cube(
        tmp_path / "cube.nc",
        dates=["2024-01-01", "2024-01-02"],
        concentration=np.full((2, 6, 4), value),
        surface=np.full((6, 4), Surface.OCEAN, np.uint8),
        grid=grid,
    )
    report_cube(input_file=cube, output_file=tmp_path / "r.html")
    share = "0.00 %" if np.isnan(value) else "100.00 %"
    assert f"Of the ocean {share} was observed" in (tmp_path / "r.html").read_text()


def test_a_page_of_others_is_not_replaced(cube_file, tmp_path, capsys):
    page = tmp_path / "index.html"
    page.write_text("<!DOCTYPE html><html><body>mine</body></html>")
    assert script.main(["--input_file", str(cube_file), "--output_file", str(page)]) == 2
    assert "is not replaced" in capsys.readouterr().err
    assert "mine" in page.read_text()


HOSTILE = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def small_cube(path: Path, *, days: int = 2, **attributes: object) -> Path:
    """Ice in the north of a few cells, with global attributes of somebody else."""
    rows = np.linspace(0, 1, 20)[:, None] * np.ones(12)
    cube = write_cube(
        path,
        dates=[date(2024, 1, 1) + timedelta(days=n) for n in range(days)],
        concentration=np.stack([rows] * days),
        surface=np.zeros((20, 12), np.uint8),
        grid=small_grid(20, 12),
    )
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.setncatts(attributes)
    return cube


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (HOSTILE, HOSTILE),
        ("red\x1b[31m \u202eturned\x07", r"red\x1b[31m \u202eturned\x07"),
        ("A" * 1_000_000, "A" * 2000 + " ... and 998000 characters more"),
        (np.arange(3), "[0 1 2]"),
    ],
    ids=["elements", "control characters", "endless", "numbers"],
)
def test_texts_of_a_file_are_nothing_but_text(tmp_path, text, shown):
    names = ("title", "source", "institution", "software_version", "history", "references")
    cube = small_cube(tmp_path / "c.nc", **dict.fromkeys(names, text))
    page = tmp_path / "r.html"
    report_cube(input_file=cube, output_file=page, region=["<script>=0,20,0,12"])
    elements = parse(page)
    assert {"script", "iframe"}.isdisjoint(elements.tags)
    assert all(address.startswith("data:image/png;base64,") for address in elements.addresses)
    assert elements.row("title")[1] == shown
    characters = set(page.read_text(encoding="utf-8")) - {"\n"}
    assert all(character.isprintable() for character in characters)
    assert page.stat().st_size < 1e6


def test_many_command_lines_are_folded(tmp_path):
    """A cube that is kept current has one for every day."""
    lines = [f"command {n}" for n in range(2000)]
    cube = small_cube(tmp_path / "c.nc", history="\n".join(lines))
    report_cube(input_file=cube, output_file=tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert re.findall(r"<li>(command \d+)</li>", text) == lines[-5:]
    assert "<summary>1995 earlier command lines</summary>" in text
    assert re.findall(r">(command \d+)</td>", text) == lines[-1000:-5]


def test_names_with_two_dollars_are_no_formulas(tmp_path):
    cube = small_cube(tmp_path / "a$x_{$b.nc", days=1)
    page = tmp_path / "r.html"
    report_cube(input_file=cube, output_file=page, region=[r"r$\bad{$=0,20,0,12"])
    assert parse(page).row(r"r$\bad{$")
    words = ["--input_file", str(cube), "--plot", str(tmp_path / "i.png")]
    assert index_script.main([*words, "--region", r"r$\bad{$=0,20,0,12"]) == 0


def test_a_small_map_shows_what_was_observed(cube_file):
    """A day of which a part is missing looks so, although its gaps are filled."""
    from PIL import Image

    orange, cells = [], []
    with CubeFile(cube_file) as cube:
        for day in (1, 5):  # a day with gaps, an absent one
            pixels = np.asarray(Image.open(io.BytesIO(figures.draw_thumbnails(cube, [day]))))
            orange.append((pixels[..., :3] == (0xE8, 0x92, 0x1F)).all(axis=2).sum())
            cells.append((cube.ocean & (cube.flags(day) != cube.flag_value("observed"))).sum())
    assert cells[1] == cube.ocean.sum() > cells[0] > 0
    np.testing.assert_allclose(orange[0] / orange[1], cells[0] / cells[1], rtol=0.05)


@pytest.mark.parametrize("days", [1, 2, 8])
def test_no_picture_marks_hours(tmp_path, days):
    with CubeFile(small_cube(tmp_path / "c.nc", days=days)) as cube:
        coverage = measure_coverage(cube, read_divisions(cube, cube.ocean, []))
    figure, ax = figures._make_figure(2.0)
    ones = np.ones(days)
    figures._stack(ax, coverage, [ones], ["#000000"], ["observed"])
    figure.canvas.draw()
    ticks = ax.get_xticks()
    assert len(ticks) == days + 1 and np.array_equal(ticks, np.round(ticks))


def test_tables_align_numbers_and_leave_out_empty_columns():
    page = Page("")
    page.add_table(["a", "b", "c", "d"], [["1", "", "word", ""], ["", "", "3.5 %"], ["-2.5"]])
    assert re.findall(r"<t([hd]\b[^>]*)>([^<]*)", page.parts[0]) == [
        ('h scope="col" class="number"', "a"),
        ('h scope="col"', "c"),
        ('d class="number"', "1"),
        ('d class="short"', "word"),
        ('d class="short"', ""),
        ('d class="number"', "3.5 %"),
        ('d class="number"', "-2.5"),
        ('d class="short"', ""),
    ]


@pytest.mark.slow
def test_the_page_in_a_browser(outcome):
    """Contrast, labels and order by the rules of axe-core; nothing is asked for, nothing overflows."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    troubles, addresses = [], []
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width in (1200, 390):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("console", lambda message: troubles.append(message.text))
            page.on("pageerror", lambda error: troubles.append(str(error)))
            page.on("request", lambda request: addresses.append(request.url))
            page.goto(outcome[0].as_uri())
            page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
            violations = axe.Axe().run(page).response["violations"]
            assert [rule["id"] for rule in violations] == []
            assert page.evaluate("document.documentElement.scrollWidth") == width
        browser.close()
    assert troubles == []
    assert addresses and all(address.startswith(("file:", "data:")) for address in addresses)


def test_numbers_of_real_days_are_those_of_the_cube_and_of_ice_index(real_data, tmp_path):
    """A month of NSIDC's Sea Ice Index with its own gaps, as the files that NSIDC publishes."""
    from PIL import Image

    (path,) = (real_data / "sea_ice_index").glob("*.nc")
    with netCDF4.Dataset(path) as dataset:
        dataset.set_auto_maskandscale(False)
        codes = np.asarray(dataset["code"][:31]).astype(np.uint16)
    days = [date(2025, 1, 1) + timedelta(days=n) for n in range(len(codes))]
    folder = tmp_path / "in"
    folder.mkdir()
    for day, values in zip(days, codes, strict=True):
        name = f"N_{day:%Y%m%d}_concentration_v3.0.tif"
        Image.fromarray(np.ascontiguousarray(values[::-1])).save(folder / name)
    cube, page, table = tmp_path / "c.nc", tmp_path / "r.html", tmp_path / "i.csv"
    words = ["--source_dir", str(folder), "--start_date", str(days[0]), "--end_date", str(days[-1])]
    words += ["--method", "temporal", "--output_file", str(cube)]
    assert consolidate_data.main(words) == 0
    coverage = report_cube(input_file=cube, output_file=page).values["coverage"]
    regions = [name for name in coverage.regions if name != "whole grid"]
    words = ["--input_file", str(cube), "--output_csv", str(table), "--region", *regions]
    assert index_script.main(words) == 0
    elements = parse(page)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for region in coverage.regions:
        extent = {r["date"]: float(r["extent_km2"]) / 1e6 for r in rows if r["region"] == region}
        cells = elements.row(region.replace("_", " "), last=True)
        for number, extreme in ((1, min(extent.values())), (3, max(extent.values()))):
            assert cells[number] == f"{extreme:.3f}" == f"{extent[cells[number + 1]]:.3f}"
    with netCDF4.Dataset(cube) as dataset:
        flags, surface = np.asarray(dataset["fill_flag"][:]), np.asarray(dataset["surface"][:])
        meanings = dataset["fill_flag"].flag_meanings.split()
        values = np.atleast_1d(dataset["fill_flag"].flag_values)
    for meaning, value in zip(meanings, values, strict=True):
        count = (flags == value).sum()
        if meaning != "land" and count:
            assert elements.row(meaning.replace("_", " "))[2] == str(count)
    ocean = np.isin(codes[0], (2530, 2540), invert=True)
    assert (surface != Surface.LAND).sum() == ocean.sum()
    observed = (codes[:, ocean] <= 1000).sum()
    assert elements.row("observed")[2] == str(observed), "as many as the files hold"


def test_every_text_of_a_page_is_escaped():
    page = Page("<script>")
    page.add_heading("<script>")
    page.add_text("<script>", kind='"><script>')
    page.add_list(["<script>"])
    page.add_picture(b"", '"><script>')
    page.add_table(["<script>"], [["<script>"]], folded="<script>")
    assert "<script>" not in page.render()
