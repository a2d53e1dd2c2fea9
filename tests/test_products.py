"""Concentration products: every layout at named places, real files, and what cannot be used."""

from __future__ import annotations

import logging
import pickle
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from product_layouts import (
    COAST,
    DAY,
    ERROR_KINDS,
    HOLE,
    LAKE,
    LAND,
    LAYOUTS,
    MISSING,
    NEVER,
    PLACES,
    VALUE,
    define_axes,
    paint,
    to_projection,
    write_layout,
)

from seaice import InputError
from seaice.grids import get_grid
from seaice.sources import RejectedDay
from seaice.sources.products import (
    CellClass,
    find_product_files,
    get_product,
    list_products,
    read_product_day,
    read_product_grid,
)
from seaice.sources.products.product import _FORM_WORDS, Form
from seaice.sources.products.reader import _log_once

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
            has_error = kind in ERROR_KINDS and expected == VALUE
            assert error == np.float32(layout.error) if has_error else np.isnan(error), place
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


def test_layout_of_a_geotiff_is_one_for_gdal_too(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    with rasterio.open(write_layout(tmp_path, "index 3")) as file:
        codes, transform_of_file, crs = file.read(1), file.transform, file.crs
    scene = paint("n25", "north")
    assert (codes[scene.is_kind("land")] == 2540).all() and codes[3, 3] == 520
    assert transform_of_file[:6] == (25_000, 0, -3_850_000, 0, -25_000, 5_850_000)
    assert crs.to_epsg() == 3411


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


def test_the_choice_among_satellites_is_logged(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="seaice")
    _log_once.cache_clear()
    write_layout(tmp_path, "nasa team now, NetCDF of three satellites")
    assert read_one(tmp_path)[1].variable == "F17_ICECON"
    assert (
        "of the variables F17_ICECON, F18_ICECON, F16_ICECON in a file F17_ICECON is read" in caplog.text
    )


def test_flags_without_meanings_tell_nothing_and_are_named(tmp_path, caplog):
    path = write_layout(tmp_path, "osi-401")
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["status_flag"].delncattr("flag_meanings")
    _log_once.cache_clear()
    _, day = read_one(tmp_path)
    assert set(np.unique(day.classes)) == {VALUE, MISSING}
    assert "status_flag does not say what its numbers mean" in caplog.text
    assert day.interpolated is None


def test_a_product_can_be_like_another(tmp_path):
    path = tmp_path / "other_satellite.yml"
    path.write_text("like: nsidc-0081\nvariable: F18_ICECON\n")
    product = get_product(path)
    write_layout(tmp_path, "nasa team now, NetCDF of three satellites")
    file, day = read_one(tmp_path, product=product)
    assert day.variable == "F18_ICECON"
    assert read_one(tmp_path)[1].variable == "F17_ICECON"
    assert product.title == get_product("nsidc-0081").title


def find_cell(longitudes, latitudes, longitude, latitude):
    """Row and column of a place that lies a little to the north-east, on the edge of no cell."""
    row = abs(latitudes - latitude - 0.1).argmin()
    return row, abs((longitudes - longitude - 0.1 + 180) % 360 - 180).argmin()


def write_degrees(path, *, longitudes=None, mapping=True, latitudes=None):
    """A day on one degree, the land at named places -1; latitudes from the south on."""
    longitudes = np.arange(360) + 0.5 if longitudes is None else longitudes
    latitudes = np.arange(180) - 89.5 if latitudes is None else latitudes
    field = np.zeros((latitudes.size, longitudes.size), "i2")
    for places in PLACES.values():
        for longitude, latitude, kind, percent in places.values():
            row, column = find_cell(longitudes, latitudes, longitude, latitude)
            field[row, column] = {"land": -1, "coast": -1, "lake": -2, "missing": -9}.get(kind, percent)
    with netCDF4.Dataset(path, "w") as dataset:
        for name, values, units in (
            ("lat", latitudes, "degrees_north"),
            ("lon", longitudes, "degrees_east"),
        ):
            dataset.createDimension(name, values.size)
            variable = dataset.createVariable(name, "f4", (name,))
            variable.units = units
            variable[:] = values
        variable = dataset.createVariable("sic", "i2", ("lat", "lon"))
        variable.units = "percent"
        variable[:] = field
    return field


DEGREES = r"""
codes: {-1: land, -2: lake, -9: missing}
forms:
  - file: 'sic_(?P<day>\d{8})\.nc'
    variable: sic
"""


@pytest.mark.parametrize(
    ("longitudes", "latitudes"),
    [
        (np.arange(360) + 0.5, np.arange(180) - 89.5),
        (np.arange(360) - 179.5, 89.5 - np.arange(180)),
        (179.5 - np.arange(360), np.arange(180) - 89.5),
    ],
    ids=["from Greenwich", "from the north pole", "descending longitudes"],
)
def test_a_product_on_latitude_and_longitude_at_named_places(tmp_path, longitudes, latitudes):
    write_degrees(tmp_path / "sic_20200305.nc", longitudes=longitudes, latitudes=latitudes)
    (tmp_path / "degrees.yml").write_text(DEGREES)
    _, day = read_one(tmp_path, product=get_product(tmp_path / "degrees.yml"))
    assert day.grid.is_geographic and day.grid.step == 1
    classes = {"land": LAND, "coast": LAND, "lake": LAKE, "missing": MISSING}
    for places in PLACES.values():
        for name, (longitude, latitude, kind, percent) in places.items():
            r, c = find_cell(day.grid.x, day.grid.y, longitude, latitude)
            assert day.classes[r, c] == classes.get(kind, VALUE), name
            if kind not in classes:
                assert day.concentration[r, c] == percent, name


def test_a_grid_of_the_description_may_be_an_epsg_code_with_edges(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text(
        "like: nsidc-0051\n"
        "grid: {north: 'EPSG:3413:25000:-3850000,-5350000,3750000,5850000', south: s25000}\n"
    )
    write_layout(tmp_path, "nasa team, binary")
    _, day = read_one(tmp_path, product=get_product(path))
    assert (day.grid.projection, day.grid.shape) == ("EPSG:3413", (448, 304))


# --- folders and names --------------------------------------------------------------------------------


def write_days(folder, layout, days, half="north", **options):
    """The same painted day under the names of several days."""
    for day in days:
        name = LAYOUTS[layout].names[half].replace("20200305", f"{day:%Y%m%d}")
        write_layout(folder, layout, half, name=name, days=(day,), **options)


def test_a_folder_of_a_product_is_recognised_with_subfolders_links_and_capitals(tmp_path):
    write_layout(tmp_path / "2020", "nasa team, binary")
    write_layout(tmp_path / "2020", "nasa team, binary", "south", name="NT_20200305_F17_V1.1_S.BIN")
    (tmp_path / "2020" / "circle").symlink_to(tmp_path)
    (tmp_path / "readme.txt").write_text("nt_20200305")
    listing = find_product_files(tmp_path)
    assert [(f.product.name, f.day, f.hemisphere, f.version, f.satellite) for f in listing.files] == [
        ("nsidc-0051", DAY, "south", "v1.1", "f17"),
        ("nsidc-0051", DAY, "north", "v1.1", "f17"),
    ]
    assert (listing.unnamed, listing.notes) == ([], [])


def test_months_are_left_out_and_nearly_named_files_are_listed(tmp_path):
    write_layout(tmp_path, "index 3")
    for name in (
        "N_202003_concentration_v3.0.tif",
        "N_20200305_extent_v3.0.tif",
        "nt_202003_f17_v1.1_n.bin",
        "sic_psn25_202003_F17_v05r00.nc",
        "N_20200305_concentration_v3.0.png",
    ):
        (tmp_path / name).write_bytes(b"")
    nearly = ["N_20200306_concentration_v3.0.tif.gz", "N_20200307_conc_v3.0.tif", "days.zip"]
    for name in nearly:
        (tmp_path / name).write_bytes(b"")
    listing = find_product_files(tmp_path)
    assert [f.path.name for f in listing.files] == ["N_20200305_concentration_v3.0.tif"]
    assert [path.name for path in listing.unnamed] == sorted(nearly)


def test_a_file_of_another_product_is_not_nearly_named(tmp_path):
    write_layout(tmp_path, "index 3")
    write_layout(tmp_path, "record 4")
    assert find_product_files(tmp_path, get_product("g02135")).unnamed == []
    with pytest.raises(InputError, match=r"several products: g02135 \(1 file\), g02202 \(1 file\)"):
        find_product_files(tmp_path)


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        (
            "record 4",
            [
                "sic_psn25_20200305_F17_v05r00.nc",
                "seaice_conc_daily_nh_20200305_f17_v04r01.nc",
                "seaice_conc_daily_nh_20200305_f17_v04r00.nc",
                "seaice_conc_daily_nh_20200305_f17_v04r00 (1).nc",
                "seaice_conc_daily_nh_f17_20200305_v03r01.nc",
            ],
        ),
        (
            "osi-450",
            [
                "ice_conc_nh_ease2-250_cdr-v2p0_202003051200.nc",
                "ice_conc_nh_ease2-250_icdr-v3p1_202003051200.nc",
                "ice_conc_nh_ease2-250_icdr-v3p0_202003051200.nc",
                "ice_conc_nh_ease2-250_icdrft-v3p1_202003051200.nc",
            ],
        ),
        (
            "amsr 25",
            [
                "AMSR_U2_L3_SeaIce25km_B04_20200305.he5",
                "AMSR_U2_L3_SeaIce25km_B04_20200305(2).he5",
                "AMSR_U2_L3_SeaIce25km_B03_20200305.he5",
                "AMSR_U2_L3_SeaIce25km_R04_20200305.he5",
                "AMSR_U2_L3_SeaIce25km_P04_20200305.he5",
            ],
        ),
    ],
)
def test_the_best_file_of_a_day_comes_first(tmp_path, layout, names):
    for name in sorted(names):
        (tmp_path / name).write_bytes(b"")
    files = find_product_files(tmp_path).files
    assert list(dict.fromkeys(f.path.name for f in files)) == names
    ranks = [f.rank() for f in files]
    assert ranks == sorted(ranks, reverse=True)


def test_two_versions_in_one_folder_are_noted(tmp_path):
    write_layout(tmp_path, "record 4")
    write_days(tmp_path, "record 5", [date(2020, 3, 6), date(2020, 3, 7)])
    (note,) = find_product_files(tmp_path).notes
    assert note == "several versions of g02202 in one folder: 04r00 (1 day), 05r00 (2 days)"


@pytest.mark.parametrize("layout", ["record 4, a year", "record 5, days together"])
def test_days_of_a_file_of_many_days_come_from_its_time_axis(tmp_path, layout):
    days = [date(2020, 2, 28), date(2020, 2, 29), date(2020, 3, 5)]
    write_layout(tmp_path, layout, days=days)
    listing = find_product_files(tmp_path)
    assert [(f.day, f.index) for f in listing.files] == list(zip(days, range(3), strict=True))
    with netCDF4.Dataset(listing.files[0].path, "a") as dataset:
        variable = dataset["cdr_seaice_conc"]
        variable.set_auto_maskandscale(False)
        variable[1, 1:9, 2:20] = 33
    days_read = [read_product_day(f) for f in listing.files]
    assert [float(d.concentration[::-1][4, 5]) for d in days_read] == [52, 33, 52]
    assert days_read[1].grid == read_product_grid(listing.files[1])


def test_a_long_file_that_tells_no_days_is_listed_and_not_read(tmp_path, caplog):
    write_layout(tmp_path, "record 4")
    (tmp_path / "seaice_conc_daily_nh_2021_v04r00.nc").write_text("<html>log in</html>")
    listing = find_product_files(tmp_path)
    assert [f.day for f in listing.files] == [DAY]
    assert [path.name for path in listing.unnamed] == ["seaice_conc_daily_nh_2021_v04r00.nc"]
    assert "found a web page" in caplog.text


def test_a_day_can_be_sent_to_another_process(tmp_path):
    write_layout(tmp_path, "record 4")
    (file,) = find_product_files(tmp_path).files
    assert pickle.loads(pickle.dumps(file)) == file
    assert hash(file)


def test_an_unknown_folder_names_what_is_known(tmp_path):
    (tmp_path / "ice_20200305.nc").write_bytes(b"")
    with pytest.raises(
        InputError, match=r"no daily file of a known product in .*esa-cci-sic.*--product "
    ):
        find_product_files(tmp_path)
    with pytest.raises(InputError, match=r"no file of g02135 in .*1 file of nearly such a name \(ice_"):
        find_product_files(tmp_path, get_product("g02135"))
    with pytest.raises(InputError, match=r"expected a folder of daily files, but .* does not exist"):
        find_product_files(tmp_path / "absent")
    with pytest.raises(InputError, match="unknown product 'nsidc-51', did you mean nsidc-0051"):
        get_product("nsidc-51")


def test_content_that_was_read_before_gives_the_same_day(tmp_path):
    for layout in ("record 4", "nasa team, binary", "index 3", "amsr 25"):
        path = write_layout(tmp_path / layout, layout)
        file, day = read_one(path.parent, "north")
        again = read_product_day(file, content=path.read_bytes(), grid=day.grid)
        path.unlink()
        assert np.array_equal(again.concentration, day.concentration, equal_nan=True)
        assert np.array_equal(again.classes, day.classes)


# --- what cannot be used ------------------------------------------------------------------------------


def reject(folder, half="north", product=None):
    """The reason why the only day of a folder is rejected, one line."""
    (file,) = (f for f in find_product_files(folder, product).files if f.hemisphere in (half, None))
    with pytest.raises(RejectedDay) as error:
        read_product_day(file)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        ("nasa team, binary", "truncated, expected 136492 (448 x 304 cells) bytes, found 60000"),
        ("bootstrap, binary", "truncated, expected 272384 (448 x 304 cells) bytes, found 60000"),
        ("nasa team, NetCDF", "truncated file"),
        ("index 3", "not a readable GeoTIFF, truncated or damaged"),
        ("amsr 25", "truncated file"),
    ],
)
def test_a_truncated_file_is_rejected(tmp_path, layout, reason):
    path = write_layout(tmp_path, layout)
    size = 60_000 if path.suffix == ".bin" else path.stat().st_size * 2 // 3
    path.write_bytes(path.read_bytes()[:size])
    assert reason in reject(tmp_path)


def test_a_binary_file_that_is_too_long_is_rejected(tmp_path):
    path = write_layout(tmp_path, "nasa team, binary")
    path.write_bytes(path.read_bytes() + b"\n")
    assert reject(tmp_path) == "expected 136492 (448 x 304 cells) bytes, found 136493"


@pytest.mark.parametrize("layout", ["nasa team, binary", "record 4", "index 3", "amsr 25"])
def test_a_web_page_and_an_empty_file_are_rejected(tmp_path, layout):
    path = write_layout(tmp_path, layout)
    path.write_text("<!DOCTYPE html><html><body>Earthdata Login</body></html>")
    assert "a web page" in reject(tmp_path)
    path.write_bytes(b"")
    assert "empty" in reject(tmp_path)


def test_a_file_without_a_satellite_is_an_empty_day(tmp_path):
    write_layout(tmp_path, "nasa team, NetCDF", satellites=())
    assert "holds no variable F18_ICECON" in reject(tmp_path)
    assert "an empty day" in reject(tmp_path)


def test_a_missing_flag_variable_is_named(tmp_path):
    path = write_layout(tmp_path, "osi-450")
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.renameVariable("status_flag", "status")
    assert reject(tmp_path) == "holds no variable status_flag, which tells classes"


def change(path, name, values, index=(0, slice(100, 103), 200)):
    """Write stored numbers into a NetCDF file."""
    with netCDF4.Dataset(path, "a") as dataset:
        dataset[name].set_auto_maskandscale(False)
        dataset[name][index] = values


@pytest.mark.parametrize(
    ("layout", "name", "numbers", "listed"),
    [
        ("nasa team, NetCDF", "F17_ICECON", [252, 252, 252], "3 cells .*: 252"),
        ("record 4", "cdr_seaice_conc", [101, 250, 250], "3 cells .*: 250, 101"),
        ("osi-450", "ice_conc", [-5, -5, 10_001], "3 cells .*: -5, 10001"),
        ("cci 50", "ice_conc", [-5, -5, 10_001], "3 cells .*: -5, 10001"),
    ],
)
def test_an_unknown_code_is_named_and_counted(tmp_path, layout, name, numbers, listed):
    change(write_layout(tmp_path, layout), name, numbers)
    assert re.search(listed, reject(tmp_path))


def test_an_unknown_surface_is_named_and_counted(tmp_path):
    path = write_layout(tmp_path, "record 5")
    change(path, "cdr_supplementary/surface_type_mask", [77, 77, 50])
    expected = "2 cells of cdr_supplementary/surface_type_mask with a number of no known meaning: 77"
    assert reject(tmp_path) == expected


def write_own(folder, values, words="", *, units=None, half="north", **attributes):
    """A day in a NetCDF file of somebody else, and the product that describes it."""
    scene = paint({"north": "n25", "south": "s25"}[half], half)
    with netCDF4.Dataset(folder / "mine_20200305.nc", "w") as dataset:
        define_axes(dataset, scene.cells)
        crs = dataset.createVariable("crs", "i4", ())
        crs.setncatts(get_grid("n25000" if half == "north" else "s25000").to_cf())
        variable = dataset.createVariable("ice", values.dtype, ("y", "x"))
        variable.set_auto_maskandscale(False)
        variable.setncatts({"grid_mapping": "crs", **attributes})
        if units:
            variable.units = units
        variable[:] = values
    path = folder / "mine.yml"
    path.write_text(f"forms:\n  - file: 'mine_(?P<day>\\d{{8}})\\.nc'\n    variable: ice\n{words}")
    return get_product(path)


def fraction_field():
    field = np.zeros((448, 304), "f4")
    field[10:100, 10:100] = np.linspace(0, 1, 90, dtype="f4")
    return field


@pytest.mark.parametrize(
    ("field", "units", "words", "reason"),
    [
        (fraction_field() * 100, None, "fraction", "percent, not fractions 0 to 1"),
        (fraction_field(), None, "percent", "no value above 1 percent: fractions 0 to 1, not percent"),
        (
            fraction_field(),
            "%",
            "fraction",
            "ice is in percent .'%'. by the file and in fraction by",
        ),
        (fraction_field() * 100, "1", None, "percent, not fractions 0 to 1"),
        (fraction_field(), "kelvin", None, "ice has units 'kelvin'; the description needs 'units'"),
        (fraction_field() * 0, "1", None, "every observed cell is exactly 0 percent"),
        (fraction_field() * np.nan, "1", None, "no cell has a value"),
    ],
)
def test_units_that_contradict_the_numbers_are_rejected(tmp_path, field, units, words, reason):
    product = write_own(
        tmp_path, field.astype("f4"), f"    units: {words}\n" if words else "", units=units
    )
    assert re.search(reason, reject(tmp_path, product=product))


def test_a_field_of_somebody_else_is_read_with_units_and_grid_of_the_file(tmp_path):
    product = write_own(tmp_path, fraction_field(), units="1")
    _, day = read_one(tmp_path, product=product)
    assert day.grid == get_grid("n25000")
    expected = (fraction_field() * 100)[::-1]
    assert np.allclose(day.concentration, expected, rtol=0, atol=1e-5)
    assert (day.interpolated, day.error) == (None, None)


def test_a_region_may_be_free_of_ice(tmp_path):
    product = write_own(tmp_path, fraction_field() * 0, "    may_be_ice_free: true\n", units="1")
    assert (read_one(tmp_path, product=product)[1].concentration == 0).all()


def test_a_scale_that_is_not_that_of_the_codes_is_rejected(tmp_path):
    path = write_layout(tmp_path, "record 4")
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["cdr_seaice_conc"].scale_factor = np.float32(0.004)
    assert "cdr_seaice_conc has the scale 0.004, the description says 0.01" in reject(tmp_path)


def test_name_shape_and_coordinates_have_to_agree(tmp_path):
    path = write_layout(tmp_path / "a", "nasa team, NetCDF", "south")
    path.rename(path.with_name(LAYOUTS["nasa team, NetCDF"].names["north"]))
    assert reject(tmp_path / "a") == (
        "expected n25000 (448 x 304 cells of 25 km) for a file of the north, found 332 x 316 cells, "
        "those of s25000 (332 x 316 cells of 25 km)"
    )
    path = write_layout(tmp_path / "b", "osi-450", "south")
    path.rename(path.with_name(LAYOUTS["osi-450"].names["north"]))
    assert "a file of the north by its name, with" in reject(tmp_path / "b")
    path = write_layout(tmp_path / "c", "record 4")
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["xgrid"][:] += 12_500
    assert "on another grid: expected n25000" in reject(tmp_path / "c")
    write_layout(tmp_path / "d", "record 4")
    (file,) = find_product_files(tmp_path / "d").files
    with pytest.raises(RejectedDay, match=r"on another grid: expected s25000 .*, found n25000"):
        read_product_day(file, grid=get_grid("s25000"))
    path = write_layout(tmp_path / "e", "nasa team, binary", "south")
    path.rename(path.with_name(LAYOUTS["nasa team, binary"].names["north"]))
    assert "expected 136492 (448 x 304 cells) bytes, found 105212" in reject(tmp_path / "e")


def test_a_time_of_another_day_is_rejected(tmp_path):
    write_layout(tmp_path, "record 4", days=(date(2020, 3, 6),))
    assert reject(tmp_path) == "its name says 2020-03-05, its time 2020-03-06"


def test_coordinates_without_a_projection_are_rejected(tmp_path):
    path = write_layout(tmp_path, "osi-450")
    product = get_product("osi-450")
    without = replace(product, forms=tuple(replace(form, projections=()) for form in product.forms))
    assert read_one(tmp_path, product=without)[1].grid.projection == "EPSG:6931"
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["ice_conc"].delncattr("grid_mapping")
    assert "cannot tell the projection" in reject(tmp_path, product=without)
    assert read_one(tmp_path)[1].grid.projection == "EPSG:6931"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- a", "expected words with values"),
        ("", "expected words with values"),
        ("forms: []", "forms: expected 1 to 100, found 0"),
        ("title: x", "every form needs 'file'"),
        ("forms: [{file: x, variable: y, colour: red}]", "unknown word 'colour'"),
        ("forms: [{file: x, variable: y, scales: 2}]", "unknown word 'scales', did you mean 'scale'"),
        ("forms: [{file: '(', variable: y}]", r"file: '\(' is no regular expression"),
        ("forms: [{file: '(?P<date>x)', variable: y}]", "unknown group 'date'"),
        ("forms: [{file: x}]", "needs the name of the concentration"),
        ("forms: [{file: x, variable: y, codes: {254: ground}}]", "unknown class 'ground'"),
        ("forms: [{file: x, variable: y, codes: {2.5: land}}]", "expected a whole number, found 2.5"),
        ("forms: [{file: x, variable: y, units: dB}]", "expected percent or fraction, found 'dB'"),
        ("forms: [{file: x, variable: y, scale: 0}]", "expected a number above 0, found 0"),
        ("forms: [{file: x, container: binary}]", "a binary form needs 'units' and 'scale'"),
        ("forms: [{file: x, variable: y, flags: {variable: z, bits: {3: land}}}]", "powers of two"),
        ("forms: [{file: x, variable: y, flags: {variable: z}}]", "one of 'bits', 'values' or 'words'"),
        ("forms: [{file: x, variable: y, grid: n26000}]", "unknown grid 'n26000'"),
        ("like: nsidc-51", "like: expected one of "),
        ("a: [1", "is no readable YAML description"),
        ("a: &x [1]\nb: *x\n", "aliases of lists and mappings are not taken"),
    ],
)
def test_a_description_that_cannot_be_used_is_explained(tmp_path, text, reason):
    path = tmp_path / "mine.yml"
    path.write_text(text)
    with pytest.raises(InputError, match=reason) as error:
        get_product(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_flag_masks_written_as_text_are_numbers(tmp_path):
    """Some programs print the list: «1b, 2b, 4b»."""
    path = write_layout(tmp_path, "osi-401")
    expected = read_one(tmp_path)[1].classes
    with netCDF4.Dataset(path, "a") as dataset:
        flag = dataset["status_flag"]
        text = ", ".join(f"{number}b" for number in flag.flag_masks.tolist())
        flag.delncattr("flag_masks")
        flag.flag_masks = text
    np.testing.assert_array_equal(read_one(tmp_path)[1].classes, expected)
