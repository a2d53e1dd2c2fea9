"""Concentration products: every layout at named places, real files, and what cannot be used."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from product_layouts import (
    COAST,
    DAY,
    HOLE,
    LAKE,
    LAND,
    LAYOUTS,
    MISSING,
    NEVER,
    PLACES,
    VALUE,
    paint,
    to_projection,
    write_layout,
)

from seaice import InputError
from seaice.grids import get_grid
from seaice.sources.products import (
    CellClass,
    find_product_files,
    get_product,
    list_products,
    read_product_day,
)
from seaice.sources.products.product import _FORM_WORDS, Form

HALVES = ("north", "south")
PAGE = Path(__file__).parent.parent / "docs" / "products.md"


def read_one(folder, half=None, product=None):
    """The only day of a folder, or of one half of the Earth."""
    files = find_product_files(folder, product).files
    (file,) = (f for f in files if half in (None, f.hemisphere))
    return file, read_product_day(file)


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_at_named_places(tmp_path, name, half):
    layout = LAYOUTS[name]
    write_layout(tmp_path, name, half)
    file, day = read_one(tmp_path, half)
    assert file.product.name == layout.product
    assert (file.day, file.hemisphere) == (DAY, half)
    scene = paint(layout.grids[half], half)
    assert day.grid.shape == scene.kind.shape == day.concentration.shape == day.classes.shape
    assert day.grid.hemisphere == half
    assert len(scene.places) >= 10
    for place, (row, column) in scene.places.items():
        longitude, latitude, kind, percent = PLACES[half][place]
        # The grid of the reader has its own coordinates: the cell nearest to the place.
        x, y = transform(day.grid, longitude, latitude)
        r, c = abs(day.grid.y - y).argmin(), abs(day.grid.x - x).argmin()
        assert (day.grid.rows - 1 - r, c) == (row, column), place
        expected = layout.classes.get(kind, VALUE)
        assert day.classes[r, c] == expected, f"{place}: {CellClass(day.classes[r, c])!r}"
        if expected == VALUE:
            assert day.concentration[r, c] == np.float32(percent), place
        else:
            assert np.isnan(day.concentration[r, c]), place
        if layout.tells_interpolated:
            assert day.interpolated[r, c] == (kind in layout.interpolated), place
        if layout.error is not None:
            error = day.error[r, c]
            assert error == np.float32(layout.error) if kind == "ice" else np.isnan(error), place
    assert (day.interpolated is not None) == layout.tells_interpolated
    assert (day.error is not None) == (layout.error is not None)
    ice = day.concentration[::-1][2:7, 2:20]
    assert (ice == 52).all()
    counts = {int(c): int((day.classes == c).sum()) for c in np.unique(day.classes)}
    kinds, cells = np.unique(scene.kind, return_counts=True)
    expected = dict.fromkeys(counts, 0)
    for kind, count in zip(kinds, cells, strict=True):
        expected[layout.classes.get(kind, VALUE)] += int(count)
    assert counts == expected


def transform(grid, longitude, latitude):
    return to_projection(grid.projection).transform(longitude, latitude)


def test_classes_of_the_layouts_are_those_of_the_package():
    assert tuple(CellClass) == (VALUE, MISSING, LAND, COAST, LAKE, HOLE, NEVER)


def test_every_product_has_a_layout():
    assert {layout.product for layout in LAYOUTS.values()} == set(list_products())


def test_every_form_of_every_product_has_a_layout():
    for name in list_products():
        for form in get_product(name).forms:
            names = [n for x in LAYOUTS.values() if x.product == name for n in x.names.values()]
            assert any(form.pattern.fullmatch(n) for n in names), form.pattern.pattern


def test_every_field_of_a_form_has_a_word():
    assert {attribute for attribute, _ in _FORM_WORDS.values()} == set(Form.__dataclass_fields__)


# --- real files ---------------------------------------------------------------------------------------


def test_real_nasa_team_days(real_data):
    files = find_product_files(real_data / "nasateam", get_product("nsidc-0051")).files
    assert [f.day for f in files] == [date(2001, 1, 7), *(date(2015, 2, d) for d in (1, 4, 5, 6))]
    for file in files:
        day = read_product_day(file)
        hole = 468 if file.satellite == "f13" else 44
        assert np.bincount(day.classes.ravel(), minlength=7).tolist() == [
            67_928 - hole, 0, 63_212, 5_052, 0, hole, 0,
        ]  # fmt: skip
        assert day.grid == get_grid("n25000")
        assert np.nanmax(day.concentration) == 100


def test_real_days_in_near_real_time(real_data):
    files = find_product_files(real_data / "nasateam", get_product("nsidc-0081")).files
    counts = [np.bincount(read_product_day(f).classes.ravel(), minlength=7) for f in files]
    assert [c[LAND] for c in counts] == [21_103] * 2
    assert [c[COAST] for c in counts] == [902] * 2


def test_real_folder_of_two_products_is_refused(real_data):
    with pytest.raises(InputError, match=r"nsidc-0051 \(5 files\), nsidc-0081 \(2 files\); choose with"):
        find_product_files(real_data / "nasateam")


def test_real_day_of_the_climate_record(real_data):
    _, day = read_one(real_data / "cdr")
    counts = np.bincount(day.classes.ravel(), minlength=7)
    assert counts.tolist() == [28_584, 0, 63_707, 4_561, 665, 0, 38_675]
    assert np.nanmax(day.concentration) == 100
    assert np.nanmin(day.concentration[day.concentration > 0]) == 11
    assert day.interpolated.sum() == 60
    assert np.nanmax(day.error) == pytest.approx(39.56, abs=0.01)
    x, y = transform(day.grid, -87.5, 47.6)
    assert day.classes[abs(day.grid.y - y).argmin(), abs(day.grid.x - x).argmin()] == CellClass.LAKE
    # The same rule as NSIDC's own sums: cells of 15 percent and more.
    area = day.grid.cell_area()
    is_ice = day.concentration >= 15
    assert area[is_ice].sum() == pytest.approx(13_234_568.5, rel=1e-5)
    assert (area * day.concentration / 100)[is_ice].sum() == pytest.approx(12_485_860.1, rel=1e-5)


# --- a product of the user ----------------------------------------------------------------------------


def read_example(folder):
    """The description that docs/products.md shows, as a file."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    path = folder / "my.yml"
    path.write_text(block, encoding="utf-8")
    return get_product(path)


def test_example_of_the_docs_reads_ninety_real_days(real_data, tmp_path):
    product = read_example(tmp_path)
    listing = find_product_files(real_data / "sea_ice_index", product)
    assert [f.index for f in listing.files] == list(range(90))
    assert (listing.files[0].day, listing.files[-1].day) == (date(2025, 1, 1), date(2025, 3, 31))
    counts = np.zeros(7, int)
    for file in listing.files:
        day = read_product_day(file)
        counts += np.bincount(day.classes.ravel(), minlength=7)
        assert day.grid == get_grid("n25000")
    # 448 x 304 cells: 63,212 of land, 5,052 of coast, 44 in the hole; 9,065 missing in all days.
    assert counts.tolist() == [90 * 67_884 - 9_065, 9_065, 90 * 63_212, 90 * 5_052, 0, 90 * 44, 0]


def test_a_product_can_be_like_another(tmp_path):
    path = tmp_path / "other_satellite.yml"
    path.write_text("like: nsidc-0081\nvariable: F18_ICECON\n")
    product = get_product(path)
    write_layout(tmp_path, "nasa team now, NetCDF of three satellites")
    file, day = read_one(tmp_path, product=product)
    assert day.variable == "F18_ICECON"
    assert read_one(tmp_path)[1].variable == "F17_ICECON"
    assert product.title == get_product("nsidc-0081").title
