"""Every product from a folder to mask, cube, index and batch; what its files tell is kept on the way."""

import csv
import os
from datetime import timedelta
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from product_layouts import DAY, LAKE, LAND, LAYOUTS, MISSING, NEVER, VALUE, paint, write_layout

import consolidate_data
import create_mask
import find_several_data_in_target_area as find_missing
import get_dims
import ice_index
from seaice import InputError
from seaice.cube.consolidate import consolidate
from seaice.cube.file import CubeFile
from seaice.daily import folder as daily_folder
from seaice.daily.source import choose_sources, count_files
from seaice.flags import FillFlag, Surface
from seaice.gapfill.temporal import Temporal
from seaice.grids import get_grid
from seaice.masks import read_mask
from seaice.pictures.read_concentration import read_comparison, read_daily, read_map_day
from utils import ConsolidatedSICDataset

REAL = os.environ.get("SEAICE_REAL_DATA")
needs_real_files = pytest.mark.skipif(not REAL, reason="no real data here")


def days_of(folder, output, *more, first=DAY, last=DAY):
    return [
        *("--source_dir", str(folder), "--start_date", str(first), "--end_date", str(last)),
        *("--output_file", str(output), *map(str, more)),
    ]


def make_cube(folder, output, *more, **dates):
    return consolidate_data.main(days_of(folder, output, "--method", "temporal", *more, **dates))


@pytest.mark.parametrize(
    "name, half", [(n, "north") for n in LAYOUTS] + [(n, "south") for n in list(LAYOUTS)[::5]]
)
def test_a_folder_becomes_mask_cube_and_index(tmp_path, name, half):
    layout = LAYOUTS[name]
    write_layout(tmp_path / "in", name, half)
    scene = paint(layout.grids[half], half)
    # One file of both hemispheres: the grid decides.
    more = ("--grid", f"{half[0]}{scene.cells.step:.0f}") if name.startswith("amsr") else ()
    mask, cube, table = tmp_path / "mask.nc", tmp_path / "cube.nc", tmp_path / "index.csv"
    assert create_mask.main(days_of(tmp_path / "in", mask, *more)) == 0
    assert make_cube(tmp_path / "in", cube, "--land_mask_file", mask) == 0
    assert ice_index.main(["--input_file", str(cube), "--output_csv", str(table)]) == 0
    batch = ConsolidatedSICDataset(cube, DAY, DAY, 1, 1, pred_shift=0, largest_missing_share=1.0)[0]
    assert tuple(batch[0].shape) == (1, 1, *scene.percent.shape) and float(batch[0].max()) <= 1
    surface = read_mask(mask).surface
    with CubeFile(cube) as file:
        values, flags, errors = file.concentration(0), file.flags(0), file.standard_error(0)
    classes = {LAND: Surface.LAND, LAKE: Surface.LAKE}
    for place, (row, column) in scene.places.items():
        cell = scene.cells.rows - 1 - row, column
        kind, percent = scene.kind[row, column], scene.percent[row, column]
        expected = layout.classes.get(kind, VALUE)
        if expected in classes:
            assert surface[cell] == classes[expected], place
            assert np.isnan(values[cell]) and flags[cell] == FillFlag.LAND, place
        elif expected == VALUE:
            assert values[cell] == pytest.approx(percent / 100, abs=0.0051), place
            by_producer = layout.tells_interpolated and kind in layout.interpolated
            wanted = FillFlag.PRODUCER_INTERPOLATED if by_producer else FillFlag.OBSERVED
            assert flags[cell] == wanted, place
            if layout.error is not None and kind == "ice":
                assert errors[cell] == pytest.approx(layout.error / 100, abs=0.0001), place
        elif expected == NEVER:
            assert values[cell] == 0, place
        elif expected == MISSING and kind == "missing":
            assert np.isnan(values[cell]) and flags[cell] == FillFlag.NOT_FILLED, place
    assert np.nanmax(values) <= 1


def test_a_second_product_gives_the_days_that_the_first_lacks(tmp_path, capsys):
    write_layout(tmp_path / "in", "nasa team, binary")
    write_layout(tmp_path / "in", "index 3")
    later = (DAY + timedelta(days=1)).strftime("%Y%m%d")
    name = LAYOUTS["index 3"].names["north"].replace(DAY.strftime("%Y%m%d"), later)
    write_layout(tmp_path / "in", "index 3", name=name)
    assert count_files(tmp_path / "in") == {"g02135": 2, "nsidc-0051": 1}
    both = {"first": DAY, "last": DAY + timedelta(days=1)}
    assert make_cube(tmp_path / "in", tmp_path / "cube.nc", **both) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "g02135 (2 files), nsidc-0051 (1 file)" in line and "--product" in line
    cube = tmp_path / "cube.nc"
    assert make_cube(tmp_path / "in", cube, "--product", "nsidc-0051", "g02135", **both) == 0
    with CubeFile(cube) as file:
        assert file.texts("input_file") == ["nt_20200305_f17_v1.1_n.bin", name]
        # Both paint the same: the codes differ, the fields do not.
        np.testing.assert_allclose(file.concentration(0), file.concentration(1), atol=1e-6)
        source = file.attributes["source"]
        titles = [s.title for s in choose_sources(tmp_path, ["nsidc-0051", "g02135"])]
        assert all(title in source for title in titles) and "; " in source
    assert "not used" not in capsys.readouterr().out  # the files of one product are none of the other


def test_a_folder_is_described_with_its_product(tmp_path, capsys):
    write_layout(tmp_path, "nasa team, binary")
    assert get_dims.main(["--source_dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "product: nsidc-0051" in out and "n25000" in out and "first day 2020-03-05" in out
    for name in ("cci 25", "cci 50"):
        write_layout(tmp_path / "cci", name)
    (tmp_path / "cci" / "ice_20200305.nc.gz").write_bytes(b"packed")
    assert get_dims.main(["--source_dir", str(tmp_path / "cci")]) == 0
    text = "".join(capsys.readouterr())
    assert "osisafn25000" in text and "osisafn50000" in text
    assert "1 file of daily data" in text and "unpack" in text
    words = ["--source_dir", str(tmp_path), "--start_date", str(DAY), "--end_date", str(DAY)]
    words += ["--product", "nsidc-0051"]
    box = ["--ymin", "0", "--ymax", "10", "--xmin", "0", "--xmax", "10"]
    assert find_missing.main([*words, *box]) == 0


def test_one_day_of_a_month_does_not_make_water_without_ice_in_every_month(tmp_path):
    name = next(n for n, layout in LAYOUTS.items() if NEVER in layout.classes.values())
    write_layout(tmp_path / "in", name)
    mask = tmp_path / "mask.nc"
    assert create_mask.main(days_of(tmp_path / "in", mask)) == 0
    read = read_mask(mask)
    assert not (read.surface == Surface.NEVER_ICE).any()
    assert list(read.valid_ice) == [DAY.month] and not read.valid_ice[DAY.month].all()


def write_valid_ice(path, scene, valid):
    """A file in the manner of NSIDC-0622: 0 ocean, 1 valid ice, 3 land, 4 lake; row 0 the largest y."""
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.createDimension("rows", scene.cells.rows)
        dataset.createDimension("cols", scene.cells.columns)
        for name, axis, values in (("rows", "y", scene.cells.y), ("cols", "x", scene.cells.x)):
            variable = dataset.createVariable(name, "f4", (name,))
            variable.setncatts({"standard_name": f"projection_{axis}_coordinate", "units": "meters"})
            variable[:] = values
        mapping = dataset.createVariable("coordinate_reference_system", "S1", ())
        mapping.setncatts({
            "grid_mapping_name": "polar_stereographic", "latitude_of_projection_origin": 90.0,
            "straight_vertical_longitude_from_pole": 135.0, "standard_parallel": 70.0,
            "semi_major_axis": 6378273.0, "semi_minor_axis": 6356889.449,
        })  # fmt: skip
        flag = dataset.createVariable("valid_ice_flag", "i1", ("rows", "cols"))
        flag.flag_values = np.array([0, 1, 2, 3, 4], np.int8)
        flag.flag_meanings = "ocean valid_ice coast land lake"
        codes = np.where(valid, 1, 0)
        codes[scene.is_kind("land")] = 3
        codes[scene.is_kind("lake")] = 4
        flag[:] = codes


def test_lakes_and_months_of_valid_ice_come_from_files_of_their_own(tmp_path, capsys):
    write_layout(tmp_path / "in", "nasa team, binary")
    scene = paint("n25", "north")
    row, column = scene.places["Beaufort Sea"]
    (tmp_path / "ice").mkdir()
    for month in range(1, 13):
        valid = np.ones(scene.percent.shape, bool)
        valid[-3:] = False  # in no month
        valid[row, column] = month != DAY.month
        write_valid_ice(tmp_path / "ice" / f"valid_ice.{month:02}.1972-2007.nc", scene, valid)
    mask, cube = tmp_path / "mask.nc", tmp_path / "cube.nc"
    words = ("--valid_ice", tmp_path / "ice")
    assert create_mask.main(days_of(tmp_path / "in", mask, *words)) == 0
    read = read_mask(mask)
    south = slice(0, 3)  # the last rows of the file
    assert (read.surface[south] == Surface.NEVER_ICE).sum() == 3 * scene.cells.columns
    cell = scene.cells.rows - 1 - row, column
    assert not read.valid_ice[DAY.month][cell] and read.valid_ice[DAY.month % 12 + 1][cell]
    superior = scene.places["Lake Superior"]
    assert read.surface[scene.cells.rows - 1 - superior[0], superior[1]] == Surface.LAKE
    assert not read.ocean[south].any() and read.ocean[cell]
    assert make_cube(tmp_path / "in", cube, "--land_mask_file", mask) == 0
    tables = []
    for more in ((), ("--land_mask_file", str(mask))):
        table = tmp_path / f"index{len(more)}.csv"
        assert ice_index.main(["--input_file", str(cube), "--output_csv", str(table), *more]) == 0
        tables.append(float(table.read_text().splitlines()[1].split(",")[2]))
    area = read.grid.cell_area()[cell]
    assert tables[0] - tables[1] == pytest.approx(area, abs=0.2)
    capsys.readouterr()
    one = ["--valid_ice", *sorted((tmp_path / "ice").glob("*.01.*"))]
    assert create_mask.main(days_of(tmp_path / "in", mask, *one)) == 0
    assert "not known for month 2, 3" in capsys.readouterr().out
    assert ice_index.main(["--input_file", str(cube), "--land_mask_file", str(mask)]) == 1
    assert "month 3" in capsys.readouterr().err


@pytest.mark.parametrize("name, expected", [("record 4", False), ("bootstrap, binary", True)])
def test_missing_cells_about_the_pole_are_a_hole_only_without_a_class_for_it(tmp_path, name, expected):
    path = write_layout(tmp_path / "in", name)
    scene = paint("n25", "north")
    row, column = scene.places["the pole"]
    around = slice(row - 1, row + 2), slice(column - 1, column + 2)
    if path.suffix == ".nc":
        with netCDF4.Dataset(path, "a") as dataset:
            dataset.set_auto_mask(False)
            dataset["cdr_seaice_conc"].set_auto_scale(False)
            dataset["cdr_seaice_conc"][(0, *around)] = 255
    mask = tmp_path / "mask.nc"
    assert create_mask.main(days_of(tmp_path / "in", mask)) == 0
    assert (read_mask(mask).surface[::-1][around] == Surface.POLE_HOLE).all() == expected


def test_what_is_no_file_of_valid_ice_is_refused(tmp_path, capsys):
    write_layout(tmp_path / "in", "nasa team, binary")
    scene = paint("n25", "north")
    mask, path = tmp_path / "mask.nc", tmp_path / "valid_ice_v01.nc"
    write_valid_ice(path, scene, np.ones(scene.percent.shape, bool))

    def refuse(*more):
        assert create_mask.main(days_of(tmp_path / "in", mask, "--valid_ice", *more)) == 1
        return capsys.readouterr().err.strip().splitlines()[-1]

    assert "no such file or folder" in refuse(tmp_path / "absent")
    assert "does not tell one month" in refuse(path)  # 01 is its version
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["valid_ice_flag"].flag_meanings = "open_water valid_ice coast land lake"
    assert "expected ocean" in refuse(f"1={path}")
    assert not mask.exists()


def test_months_of_valid_ice_without_their_numbers_are_refused(tmp_path):
    write_layout(tmp_path / "in", "record 4")
    mask = tmp_path / "mask.nc"
    assert create_mask.main(days_of(tmp_path / "in", mask)) == 0
    with netCDF4.Dataset(mask, "a") as dataset:
        dataset.renameVariable("month", "number")
    (tmp_path / "mask.nc.sha256").unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"expected valid_ice\(month, y, x\) and month"):
        read_mask(mask)


# Published by NSIDC: extent, area (km2) of a day of its own files. The mask of valid ice is that of
# January, which is at hand; Hudson Bay is valid as a whole from December to June.
NUMBERS = [
    ("nt_20010107_f13_v01_n.bin", "20010107", None, 13_846_039, 12_019_610, 0),
    ("nt_20150204_f17_v1.1_n.bin", "20150204", "Hudson Bay", 1_231_642.667, 1_193_514.663, 0),
    ("nt_20150205_f17_v1.1_n.bin", "20150205", "Hudson Bay", 1_231_642.667, 1_198_230.700, 0),
    ("nt_20150206_f17_v1.1_n.bin", "20150206", "Hudson Bay", 1_231_642.667, 1_206_655.631, 0),
    ("nt_20150807_f17_nrt_s.bin", "20150807", None, 17_531_561.018, 13_747_561.298, 427_899.548),
]


@needs_real_files
@pytest.mark.parametrize("name, day, region, extent, area, missing", NUMBERS)
def test_the_numbers_of_nsidc_come_out(tmp_path, name, day, region, extent, area, missing):
    real = Path(REAL)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).symlink_to(real / "nasateam" / name)
    period = {"first": day, "last": day}
    mask, cube, table = tmp_path / "mask.nc", tmp_path / "cube.nc", tmp_path / "index.csv"
    valid = real / "nasateam" / "NIC_valid_ice_mask.N25km.01.1972-2007.nc"
    more = ("--valid_ice", f"{int(day[4:6])}={valid}") if name.endswith("_n.bin") else ()
    assert create_mask.main(days_of(tmp_path / "in", mask, *more, **period)) == 0
    words = ("--land_mask_file", mask, "--pole_hole", "keep")
    assert make_cube(tmp_path / "in", cube, *words, **period) == 0
    words = ["--preset", "nsidc", "--land_mask_file", str(mask)] if more else ["--pole_hole", "ice"]
    if region:
        words += ["--region", str(real / "grids" / "Arctic_region_mask_Meier_AnnGlaciol2007.msk")]
    assert ice_index.main([
        "--input_file", str(cube), "--output_csv", str(table), *words,
    ]) == 0  # fmt: skip
    rows = list(csv.DictReader(table.read_text().splitlines()))
    (row,) = (r for r in rows if r["region"] == (region or "whole grid"))
    assert float(row["extent_km2"]) == pytest.approx(extent, abs=1)
    assert float(row["area_km2"]) == pytest.approx(area, abs=1)
    assert float(row["missing_area_km2"]) == pytest.approx(missing, abs=1)
    assert ("possible in the month" in row["surface_rule"]) == bool(more)


def test_false_ice_along_a_shore_is_removed_and_flagged(tmp_path):
    """Off by default; where it acts, the value is 0 with a flag of its own and no source for others."""
    write_layout(tmp_path / "in", "nasa team, binary")
    path = next((tmp_path / "in").iterdir())
    scene = paint("n25", "north")
    row, column = scene.places["Greenland"]
    content = bytearray(path.read_bytes())
    column += 2  # beside the painted land of 3 x 3 cells
    content[300 + row * scene.cells.columns + column] = 50  # 20 percent, open water all around
    path.write_bytes(content)
    plain, filtered = tmp_path / "plain.nc", tmp_path / "filtered.nc"
    assert make_cube(tmp_path / "in", plain) == 0
    assert make_cube(tmp_path / "in", filtered, "--remove_land_spillover") == 0
    cell = scene.cells.rows - 1 - row, column
    with CubeFile(plain) as one, CubeFile(filtered) as other:
        assert one.concentration(0)[cell] == pytest.approx(0.2)
        assert other.concentration(0)[cell] == 0
        assert other.flags(0)[cell] == FillFlag.SPILLOVER_REMOVED
        assert one.flags(0)[cell] == FillFlag.OBSERVED
        assert "land_spillover" in other.parameters and "land_spillover" not in one.parameters


def test_what_is_no_observation_is_nothing_to_fit_to(tmp_path):
    write_layout(tmp_path / "in", "record 4")
    scene = paint("n25", "north")
    seen = {}

    class Fitted(Temporal):
        def fit(self, record):
            frame = np.empty(scene.percent.shape, np.float32)
            record.read(record.first, frame)
            seen.update({name: frame[::-1][place] for name, place in scene.places.items()})
            return self

    consolidate(
        source_dir=tmp_path / "in",
        start_date=DAY,
        end_date=DAY,
        output_file=tmp_path / "cube.nc",
        method=Fitted(),
    )
    assert seen["Kara Sea"] == 100
    assert np.isnan(seen["East Siberian Sea"])  # interpolated by the producer


def test_a_file_of_many_days_is_asked_once_where_it_comes_from(tmp_path, monkeypatch):
    days = [DAY + timedelta(days=number) for number in range(3)]
    write_layout(tmp_path / "in", "record 4, a year", days=days)
    asked = []

    def read_attributes(path):
        asked.append(path)
        return {}

    monkeypatch.setattr(daily_folder, "read_attributes", read_attributes)
    assert make_cube(tmp_path / "in", tmp_path / "cube.nc", last=days[-1]) == 0
    assert len(asked) == 1


def test_a_file_of_both_hemispheres_is_drawn_on_the_grid_of_mask_or_cube(tmp_path):
    path = write_layout(tmp_path / "in", "amsr 25")
    mask, south = tmp_path / "mask.nc", get_grid("s25000")
    assert create_mask.main(days_of(tmp_path / "in", mask, "--grid", "s25000")) == 0
    assert read_map_day(path, None, mask).grid.same_cells(south)
    assert read_daily(path, DAY, grid=south).grid.same_cells(south)
    assert read_map_day(path, None, None).grid.same_cells(get_grid("n25000"))


def test_values_that_the_producer_interpolated_are_those_of_the_file(tmp_path):
    path, cube = write_layout(tmp_path / "in", "record 4"), tmp_path / "cube.nc"
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["cdr_seaice_conc"].set_auto_scale(False)
        row, column = paint("n25", "north").places["Greenland"]
        dataset["cdr_seaice_conc"][0, row, column + 2] = 20  # false ice beside the painted land
    assert make_cube(tmp_path / "in", cube, "--remove_land_spillover") == 0
    with CubeFile(cube) as file:
        flags = file.flags(0)
    assert {FillFlag.PRODUCER_INTERPOLATED, FillFlag.SPILLOVER_REMOVED} <= set(np.unique(flags))
    text = "\n".join(read_comparison(path, cube, DAY).describe())
    assert "kept in the cube within 0.000 percent" in text and "not made from this" not in text


def test_no_output_takes_the_name_of_a_file_of_a_product(tmp_path, capsys):
    path = write_layout(tmp_path / "in", "record 4, a year")
    content = path.read_bytes()
    for stage in (consolidate_data, create_mask):
        assert stage.main(days_of(tmp_path / "in", path, "--force")) == 1
        assert "the name of a daily file" in capsys.readouterr().err
    assert path.read_bytes() == content


def test_a_file_that_tells_no_days_is_named_with_the_reason(tmp_path, capsys):
    write_layout(tmp_path / "in", "record 4, a year", days=[DAY, DAY])
    assert make_cube(tmp_path / "in", tmp_path / "cube.nc") == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "seaice_conc_daily_nh_2020_v04r00.nc: expected days in order, once each" in line


def test_messages_name_grids_and_products_to_choose_from(tmp_path, capsys):
    for half in ("north", "south"):
        write_layout(tmp_path / "in", "osi-450", half)
    cube = tmp_path / "cube.nc"

    def refuse(*more):
        assert make_cube(tmp_path / "in", cube, *more) == 1
        return capsys.readouterr().err.strip().splitlines()[-1]

    assert "on osisafn25000 and osisafs25000; choose one with --grid" in refuse()
    assert "on osisafn25000 and osisafs25000" in refuse("--grid", "n25000")
    assert "bremen-asi" in refuse("--product", "bremen")
    assert "asi-AMSR2" in refuse("--product", "Bremen-ASI")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "my.yml").write_text(f"like: osi-450\ntitle: {name}\n")
    both = [tmp_path / name / "my.yml" for name in ("one", "two")]
    assert "two descriptions of products called my" in refuse("--product", *both)
    assert (
        make_cube(tmp_path / "in", cube, "--grid", "EPSG:6931:25000:-5400000,-5400000,5400000,5400000")
        == 0
    )


def test_no_shore_is_cleared_where_no_land_is_known(tmp_path, capsys):
    """Somebody has replaced the codes by missing values."""
    path = write_layout(tmp_path / "in", "nasa team, binary")
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    content[300:][content[300:] > 250] = 255
    path.write_bytes(content.tobytes())
    assert make_cube(tmp_path / "in", tmp_path / "cube.nc", "--remove_land_spillover") == 1
    assert "give --land_mask_file" in capsys.readouterr().err


def test_water_without_ice_in_any_month_has_no_shore(tmp_path):
    write_layout(tmp_path / "in", "nasa team, binary")
    scene = paint("n25", "north")
    (tmp_path / "ice").mkdir()
    for month in range(1, 13):
        valid = np.ones(scene.percent.shape, bool)
        valid[:, 20:40] = False  # beside the tongue of ice
        write_valid_ice(tmp_path / "ice" / f"valid_ice.{month:02}.nc", scene, valid)
    mask, cube = tmp_path / "mask.nc", tmp_path / "cube.nc"
    path = next((tmp_path / "in").iterdir())
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    content[300:].reshape(scene.percent.shape)[2:7, 2:20] = 50  # 20 percent
    path.write_bytes(content.tobytes())
    assert create_mask.main(days_of(tmp_path / "in", mask, "--valid_ice", tmp_path / "ice")) == 0
    assert make_cube(tmp_path / "in", cube, "--land_mask_file", mask, "--remove_land_spillover") == 0
    with CubeFile(cube) as file:
        ice = file.concentration(0)[::-1][2:7, 2:20]
        assert (file.surface[::-1][:, 20:40] == Surface.NEVER_ICE).mean() > 0.9
    np.testing.assert_allclose(ice, 0.2, atol=1e-6)
