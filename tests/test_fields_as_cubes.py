"""Ice concentration of other programs, and what fill_gaps.py makes of it, read where a cube is."""

from __future__ import annotations

import shutil
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from outside import call, make_base, refuse, succeed
from PIL import Image
from torch.utils.data import DataLoader

from seaice import ConsolidatedSICDataset, CubeFile, InputError, load_ocean_mask
from seaice.cube.existing import read_existing
from seaice.drawing import palette
from seaice.flags import FillFlag, Surface, is_ocean
from seaice.grids import get_grid

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore:.*multi-threaded.*fork")

GRID = get_grid("n25000").crop(slice(194, 224), slice(136, 164))
DAYS = [0, 1, 2, 4, 5, 6]  # of January 2024, the fourth absent
LAND = (slice(0, 6), slice(0, 9))  # rows from the south


def make_percent() -> np.ndarray:
    """Percent of six days, rows from the south; NaN over land and in a gap of every day."""
    y, x = np.mgrid[: GRID.rows, : GRID.columns]
    values = np.stack([50 + 50 * np.sin(x / 5 + day / 4) * np.cos(y / 6) for day in DAYS])
    for number in range(len(DAYS)):
        values[number, 8 + number : 12 + number, 10:14] = np.nan
    values[:, *LAND] = np.nan
    return np.round(values, 2)


def make_foreign(*, named: str = "ice_conc", land: str = "status", units: str = "%") -> xr.Dataset:
    """A stack as other programs write it: rows from the north, kilometres, noon, packed percent."""
    values = make_percent()[:, ::-1]
    status = np.zeros(values.shape, np.uint8)
    status[:, ::-1][:, *LAND] = 1
    factor = {"%": 1.0, "1": 0.01}[units]
    attributes = {"standard_name": "sea_ice_area_fraction", "units": units, "grid_mapping": "crs"}
    dataset = xr.Dataset(
        {
            named: (("time", "yc", "xc"), values * factor, attributes),
            "total_uncertainty": (
                ("time", "yc", "xc"),
                np.full(values.shape, 4 * factor),
                {"standard_name": "sea_ice_area_fraction standard_error", "units": units},
            ),
            "crs": ((), np.int32(0), GRID.to_cf()),
        },
        {
            "time": np.datetime64("2024-01-01T12", "ns") + np.array(DAYS) * np.timedelta64(1, "D"),
            "yc": (
                "yc",
                GRID.y[::-1] / 1000,
                {"standard_name": "projection_y_coordinate", "units": "km"},
            ),
            "xc": ("xc", GRID.x / 1000, {"standard_name": "projection_x_coordinate", "units": "km"}),
        },
    )
    if land == "status":
        dataset[named].attrs["ancillary_variables"] = "status_flag"
        dataset["status_flag"] = (
            ("time", "yc", "xc"),
            status,
            {"flag_masks": np.array([1, 2], np.uint8), "flag_meanings": "land lake"},
        )
    dataset[named].encoding = {"dtype": "i2", "scale_factor": 0.01 * factor, "_FillValue": -999}
    return dataset


def fill(path: Path, output: Path, *more: object, method: str = "hybrid") -> None:
    options = ["--input_file", path, "--method", method, "--output_file", output]
    succeed("fill_gaps", "fill", *options, *more)


def draw(path: Path, output: Path, *more: object) -> None:
    succeed("visualization", "--input_file", path, "--output_file", output, "--dpi", 40, *more)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("foreign") / "foreign.nc"
    make_foreign().to_netcdf(path)
    return path


@pytest.fixture(scope="module")
def filled(foreign) -> Path:
    path = foreign.with_name("filled.nc")
    fill(foreign, path)
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


def check_values(cube: CubeFile) -> None:
    """The cube has what :func:`make_percent` says wherever it was observed."""
    expected = make_percent() / 100
    assert cube.grid.same_cells(GRID)
    assert [f"{day:%d}" for day in cube.dates] == ["01", "02", "03", "04", "05", "06", "07"]
    for number, day in enumerate(DAYS):
        observed = np.isfinite(expected[number])
        for part in ((), (slice(3, 20), slice(5, 25)), (slice(0, 30, 3), slice(-9, None))):
            values, flags = cube.concentration(day, *part), cube.flags(day, *part)
            seen = observed[part] if part else observed
            assert values.dtype == np.float32
            np.testing.assert_allclose(values[seen], expected[number][part or ...][seen], atol=6e-5)
            np.testing.assert_array_equal(flags == cube.flag_value("observed"), seen)
    land = np.zeros(GRID.shape, bool)
    land[LAND] = True
    np.testing.assert_array_equal(cube.surface == Surface.LAND, land)
    assert (cube.flags(2)[land] == cube.flag_value("land")).all()


def test_daily_maps_of_another_program_are_read(foreign):
    with CubeFile(foreign) as cube:
        check_values(cube)
        assert not cube.is_cube
        assert not cube.has("fill_flag")
        assert cube.has("surface")
        missing = np.isnan(make_percent()[0]) & (cube.surface != Surface.LAND)
        assert (cube.flags(0)[missing] == cube.flag_value("not_filled")).all()
        np.testing.assert_allclose(cube.standard_error(0), 0.04, rtol=1e-6)
        assert np.isnan(cube.concentration(3)).all()
        assert np.isnan(cube.standard_error(3)).all()
        absent = np.where(cube.ocean, cube.flag_value("not_filled"), cube.flag_value("land"))
        np.testing.assert_array_equal(cube.flags(3), absent)
        np.testing.assert_array_equal(cube.concentration(slice(1, 5))[0], cube.concentration(1))
        assert cube.concentration(slice(2, 2)).shape == (0, *GRID.shape)
    ocean = load_ocean_mask(foreign).numpy()
    assert ocean[LAND].sum() == 0
    assert ocean.sum() == GRID.rows * GRID.columns - 54


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_filled_output_is_a_cube(foreign, tmp_path, ending):
    path = tmp_path / f"filled.{ending}"
    fill(foreign, path)
    with (
        CubeFile(path) as cube,
        xr.open_dataset(path, engine="netcdf4" if ending == "nc" else "zarr") as raw,
    ):
        check_values(cube)
        assert cube.has("fill_flag")
        gap = np.isnan(make_percent()[1]) & cube.ocean
        flags = cube.flags(1)[gap]
        assert FillFlag.TEMPORAL_TWO_SIDED in flags
        np.testing.assert_array_equal(cube.flags(1), raw.fill_flag.values[1, ::-1])
        stored = raw.ice_conc.values[1, ::-1] / 100
        np.testing.assert_allclose(cube.concentration(1)[gap], stored[gap], atol=1e-6)
        errors = raw.ice_conc_error.values[1, ::-1] / 100
        np.testing.assert_allclose(cube.standard_error(1), errors, atol=1e-7)
        assert np.isfinite(cube.standard_error(1)[gap]).any()


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("consolidated", [True, False])
def test_zarr_of_both_versions(tmp_path, zarr_format, consolidated):
    path = tmp_path / "foreign.zarr"
    make_foreign().drop_encoding().to_zarr(path, zarr_format=zarr_format, consolidated=consolidated)
    with CubeFile(path) as cube:
        check_values(cube)
    dataset = ConsolidatedSICDataset(path, 20240101, 20240103, 2, 1, largest_missing_share=1.0)
    values = np.nan_to_num(make_percent()[:2]) / 100
    np.testing.assert_allclose(dataset[0][0].numpy()[:, 0], values, atol=1e-5)


def test_a_fraction_known_by_its_name_alone(tmp_path):
    dataset = make_foreign(named="sea_ice_conc", units="1")
    dataset.sea_ice_conc.attrs.pop("standard_name")
    dataset.to_netcdf(tmp_path / "a.nc")
    with CubeFile(tmp_path / "a.nc") as cube:
        check_values(cube)


def test_without_a_mask_no_land_is_invented(tmp_path):
    make_foreign(land="none").to_netcdf(tmp_path / "a.nc")
    with CubeFile(tmp_path / "a.nc") as cube:
        assert not cube.has("surface")
        assert cube.ocean.all()
    outcome = succeed("ice_index", "--input_file", tmp_path / "a.nc", "--output_csv", tmp_path / "i.csv")
    assert "a.nc tells no land: every cell counts as ocean" in outcome.text


@pytest.fixture(scope="module")
def read_index(tmp_path_factory):
    top = tmp_path_factory.mktemp("index")

    def read(path: Path) -> np.ndarray:
        succeed("ice_index", "--input_file", path, "--output_csv", top / f"{path.name}.csv")
        table = np.genfromtxt(
            top / f"{path.name}.csv", delimiter=",", names=True, dtype=None, encoding=None
        )
        return np.asarray(table["extent_km2"], float)

    return read


def test_extent_is_the_area_of_the_cells(foreign, filled, read_index):
    area = GRID.cell_area()
    percent = make_percent()
    expected = [(area * (np.nan_to_num(field) >= 15)).sum() for field in percent]
    extents = read_index(foreign)
    np.testing.assert_allclose(extents[DAYS], expected, rtol=1e-6)
    assert np.isnan(extents[3])
    with CubeFile(filled) as cube:
        expected = [(area * (np.nan_to_num(cube.concentration(day)) >= 0.15)).sum() for day in DAYS]
    np.testing.assert_allclose(read_index(filled)[DAYS], expected, rtol=1e-6)


def test_filled_output_is_drawn_and_moves(filled, tmp_path):
    picture, film = tmp_path / "p.png", tmp_path / "film.gif"
    draw(filled, picture, "--date", "20240102", "--ice_edge")
    assert picture.stat().st_size > 1000
    succeed("ice_index", "--input_file", filled, "--animation", film, "--pixels", 200)
    assert film.read_bytes()[:3] == b"GIF"
    draw(filled, tmp_path / "f.png", "--variable", "fill_flag", "--date", "20240102")


def test_a_map_of_another_program_has_an_ice_edge(foreign, tmp_path):
    draw(foreign, tmp_path / "edge.png", "--date", "20240102", "--ice_edge")
    draw(foreign, tmp_path / "plain.png", "--date", "20240102")


def test_filled_output_is_scored_and_filled_again(filled, tmp_path):
    options = [
        "--methods",
        "temporal",
        "--gaps",
        "single_days",
        "--single_days",
        1,
        "--output_dir",
        tmp_path / "scores",
    ]
    succeed("fill_gaps", "score", "--input_file", filled, *options)
    fill(filled, tmp_path / "t.nc", method="temporal")


@pytest.mark.slow
@pytest.mark.parametrize("which", ["foreign", "filled"])
def test_loaders_give_the_same_bits(request, which):
    path = request.getfixturevalue(which)
    dataset = ConsolidatedSICDataset(
        path,
        20240101,
        20240107,
        2,
        1,
        largest_missing_share=1.0,
        returns=("inputs", "targets", "input_flags", "target_weights", "dates"),
    )
    whole = [{k: v.numpy() for k, v in dataset[i].items()} for i in range(len(dataset))]
    preloaded = ConsolidatedSICDataset(
        path, 20240101, 20240107, 2, 1, preload_data=True, largest_missing_share=1.0
    )
    for number, item in enumerate(whole):
        np.testing.assert_array_equal(preloaded[number][0], item["inputs"])
    for context in ("fork", "spawn") if which == "foreign" else ("fork",):
        loader = DataLoader(dataset, batch_size=2, num_workers=2, multiprocessing_context=context)
        batches = list(loader)
        for name in whole[0]:
            rows = np.concatenate([batch[name].numpy() for batch in batches])
            np.testing.assert_array_equal(rows, np.stack([item[name] for item in whole]), err_msg=name)


@pytest.mark.slow
def test_a_cube_filled_again_keeps_its_surface(base, tmp_path):
    path = tmp_path / "again.nc"
    fill(base / "cube.nc", path, method="temporal")
    with CubeFile(path) as again, CubeFile(base / "cube.nc") as cube:
        np.testing.assert_array_equal(again.surface, cube.surface)
        assert Surface.POLE_HOLE in again.surface
    masked = tmp_path / "masked.nc"
    fill(base / "cube.nc", masked, "--mask_file", base / "mask.nc", method="temporal")
    with CubeFile(masked) as again, CubeFile(base / "cube.nc") as cube:
        np.testing.assert_array_equal(again.surface, cube.surface)


@pytest.mark.slow
def test_only_a_cube_gets_more_days(base, tmp_path):
    path = tmp_path / "again.nc"
    fill(base / "cube.nc", path, method="temporal")
    before = path.read_bytes()
    refuse(
        "consolidate_data",
        "--source_dir",
        base / "days",
        "--start_date",
        "20240109",
        "--end_date",
        "20240110",
        "--output_file",
        path,
        "--append",
        words=["expected a new file or a cube", "a filled field, so it is not replaced"],
    )
    assert path.read_bytes() == before
    make_foreign().to_netcdf(tmp_path / "foreign.nc")
    refuse(
        "consolidate_data", "--source_dir", base / "days", "--start_date", "20240107", "--end_date",
        "20240109", "--output_file", tmp_path / "foreign.nc", "--append",
        words=["expected a new file or a cube"],
    )  # fmt: skip
    with pytest.raises(InputError, match=r"is no cube of .*: it lacks sea_ice_conc"):
        CubeFile(tmp_path / "foreign.nc", only_cube=True)
    with pytest.raises(InputError, match=r"is no complete cube.*it lacks sea_ice_conc, fill_flag"):
        read_existing(tmp_path / "foreign.nc", append=True, force=False)


def test_codes_become_fractions_of_full_ice(tmp_path):
    """A variable without attributes, whose option says that 1000 is full ice."""
    dataset = make_foreign(land="none").drop_vars("total_uncertainty")
    codes = np.where(np.isnan(dataset.ice_conc), 2550, dataset.ice_conc * 10).round().astype(np.int16)
    codes[:, ::-1][:, *LAND] = 2540
    dataset = dataset.drop_vars("ice_conc")
    dataset["code"] = (("time", "yc", "xc"), codes, {"grid_mapping": "crs"})
    dataset.to_netcdf(tmp_path / "codes.nc")
    options = ["--variable", "code", "--concentration", "--valid_range", 0, 1000]
    path = tmp_path / "f.nc"
    fill(tmp_path / "codes.nc", path, *options)
    percent = tmp_path / "p.nc"
    fill(tmp_path / "codes.nc", percent, *options, "--units", "percent")
    expected = np.round(make_percent() * 10)[0] / 1000
    observed = np.isfinite(expected)
    for name in (path, percent):
        with CubeFile(name) as cube:
            np.testing.assert_allclose(cube.concentration(0)[observed], expected[observed], atol=1e-6)
            error = cube.standard_error(0)
            assert 0 < np.nanmax(error) < 1


def test_fields_are_listed(foreign, filled, tmp_path):
    text = succeed("get_dims", "--source_dir", filled).text
    assert "6 maps, 2024-01-01 to 2024-01-07, without 2024-01-04: ice_conc (%), fill_flag" in text
    assert "one map without a time: land_mask" in text
    assert f"height (rows): {GRID.rows}" in text
    text = succeed("get_dims", "--source_dir", foreign.parent).text
    assert text.count("file: ") == 2
    make_foreign().to_zarr(tmp_path / "a.zarr", zarr_format=2)
    assert "file: " in succeed("get_dims", "--source_dir", tmp_path).text
    (tmp_path / "b.nc").write_text("text")
    text = succeed("get_dims", "--source_dir", tmp_path).text
    assert "left out" in text
    assert "b.nc" in text


@pytest.mark.slow
def test_lakes_and_water_without_ice_have_colours_of_their_own(base, tmp_path):
    with CubeFile(base / "cube.nc") as cube:
        surface = cube.surface.copy()
    surface[20:30, 20:26], surface[20:30, 28:34] = Surface.LAKE, Surface.NEVER_ICE
    path = tmp_path / "cube.nc"
    shutil.copy(base / "cube.nc", path)
    with netCDF4.Dataset(path, "r+") as dataset:
        dataset.set_auto_maskandscale(False)
        dataset["surface"][:] = surface
        outside = ~is_ocean(surface)
        for name, code in (("sea_ice_conc", -1), ("fill_flag", FillFlag.LAND)):
            values = dataset[name][:]
            values[:, outside] = code
            dataset[name][:] = values
    day = ("--date", "20240102", "--coastlines", "none")
    draw(path, tmp_path / "p.png", *day)
    files = base / "days" / "asi-AMSR2-n25000-20240102-v5.4.nc"
    options = ["--original_file", files, "--consolidated_file", path, *day, "--dpi", 60]
    succeed("visualization_compare_between_full_sic", *options, "--output_file", tmp_path / "c.png")
    for picture in ("p.png", "c.png"):
        pixels = np.asarray(Image.open(tmp_path / picture).convert("RGB")).reshape(-1, 3)
        for name in ("lake", "never_ice"):
            colour = palette.SURFACE[name].colour.lstrip("#")
            red, green, blue = (int(colour[i : i + 2], 16) for i in (0, 2, 4))
            assert (pixels == (red, green, blue)).all(axis=1).sum() > 20, (picture, name)


@pytest.mark.slow
def test_a_product_in_degrees_is_filled_drawn_indexed_and_batched(tmp_path):
    """Rows from the north, longitudes of 0 to 360 in the file."""
    days, shape = 5, (24, 48)
    longitude = np.arange(0.5, 48, 1.0)
    y, x = np.mgrid[: shape[0], : shape[1]]
    ice = np.stack([0.5 + 0.5 * np.sin(y / 5 + x / 9 + day / 4) for day in range(days)])
    ice[2, 3:6, 4:9] = np.nan
    ice[:, 20:, :6] = np.nan
    land = np.zeros(shape, np.uint8)
    land[20:, :6] = 1
    attributes = {"standard_name": "sea_ice_area_fraction", "units": "1"}
    masked = {"flag_values": np.array([0, 1], np.uint8), "flag_meanings": "sea land"}
    latitude = np.arange(83.5, 59.5, -1.0)
    dataset = xr.Dataset(
        {
            "ice_conc": (("time", "lat", "lon"), ice, attributes),
            "land_mask": (("lat", "lon"), land, masked),
        },
        {
            "time": np.datetime64("2024-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D"),
            "lat": ("lat", latitude, {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": ("lon", longitude, {"units": "degrees_east", "standard_name": "longitude"}),
        },
    )
    path, filled = tmp_path / "a.nc", tmp_path / "f.nc"
    dataset.to_netcdf(path)
    fill(path, filled, method="temporal")
    with CubeFile(path) as one, CubeFile(filled) as two:
        assert one.grid.is_geographic
        assert two.grid.same_cells(one.grid)
        np.testing.assert_array_equal(one.surface[::-1] == Surface.LAND, land == 1)
        np.testing.assert_array_equal(two.surface, one.surface)
        np.testing.assert_allclose(one.concentration(0)[::-1], ice[0], atol=1e-6)
        assert np.isfinite(two.concentration(2)[two.ocean]).all()
        area = two.grid.cell_area()
        extent = (area * (np.nan_to_num(two.concentration(2)) >= 0.15)).sum()
    draw(filled, tmp_path / "p.png", "--date", "20240103", "--coastlines", "none")
    csv = tmp_path / "i.csv"
    succeed("ice_index", "--input_file", filled, "--output_csv", csv)
    table = np.genfromtxt(csv, delimiter=",", names=True, dtype=None, encoding=None)
    assert table["extent_km2"][2] == pytest.approx(extent, rel=1e-5)
    assert ConsolidatedSICDataset(filled, 20240101, 20240105, 2, 1)[0][0].shape == (2, 1, *shape)


def add_second(dataset: xr.Dataset) -> xr.Dataset:
    return dataset.rename(ice_conc="first").assign(second=dataset.ice_conc)


REFUSED = {
    "two concentrations": (add_second, "holds several ice concentrations: first, second"),
    "two maps of a day": (
        lambda x: x.assign_coords(time=x.time.values[0] + np.arange(6) * np.timedelta64(6, "h")),
        "found 2024-01-01 after 2024-01-01",
    ),
    "months": (
        lambda x: x.assign(
            bounds=(
                ("time", "two"),
                np.stack([x.time.values, x.time.values + np.timedelta64(30, "D")], 1),
            )
        ).assign_coords(time=x.time.assign_attrs(bounds="bounds")),
        "expected daily maps of ice_conc, found one of 31 days",
    ),
    "a map without a day": (lambda x: x.isel(time=0, drop=True), "found maps without days"),
    "units of another kind": (
        lambda x: x.assign(ice_conc=x.ice_conc.assign_attrs(units="kelvin")),
        "cannot change 'kelvin' into '1'",
    ),
    "percent called fraction": (
        lambda x: x.assign(ice_conc=x.ice_conc.assign_attrs(units="1")),
        "looks like percent, where full ice is 1",
    ),
    "fractions called percent": (
        lambda x: x.assign(ice_conc=(x.ice_conc / 50).clip(max=1).assign_attrs(x.ice_conc.attrs)),
        "looks like fractions, where full ice is 100",
    ),
    "latitude and longitude": (
        lambda x: x.rename(yc="lat", xc="lon").assign_coords(
            lat=("lat", np.linspace(60, 89, GRID.rows), {"units": "degrees_north"}),
            lon=("lon", np.geomspace(1, 90, GRID.columns), {"units": "degrees_east"}),
        ),
        "lies on no grid of square cells",
    ),
    "temperature": (
        lambda x: (
            x.rename(ice_conc="t")
            .assign(t=x.ice_conc.rename("t").assign_attrs(standard_name="air_temperature", units="K"))
            .drop_vars("total_uncertainty")
        ),
        "is no cube of consolidate_data.py: it lacks sea_ice_conc, fill_flag, surface",
    ),
}


@pytest.mark.parametrize("change", REFUSED)
def test_what_is_no_daily_concentration_is_refused(tmp_path, change):
    alter, message = REFUSED[change]
    path = tmp_path / "a.nc"
    alter(make_foreign()).drop_encoding().to_netcdf(path)
    with pytest.raises(InputError) as error, CubeFile(path) as cube:
        cube.concentration(0)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_filled_temperature_is_drawn_and_no_cube(tmp_path):
    dataset = make_foreign(land="none").rename(ice_conc="t")
    dataset["t"] = (280 + dataset.t / 20).assign_attrs(
        standard_name="sea_surface_temperature", units="K", grid_mapping="crs"
    )
    dataset[["t", "crs"]].drop_encoding().to_netcdf(tmp_path / "t.nc")
    for ending in ("nc", "zarr"):
        path = tmp_path / f"filled.{ending}"
        fill(tmp_path / "t.nc", path, method="linear")
        draw(path, tmp_path / f"{ending}.png", "--date", "20240102")
        outcome = call("ice_index", "--input_file", path, "--output_csv", tmp_path / "i.csv")
        assert outcome.status == 1
        assert "is no cube of consolidate_data.py" in outcome.messages[-1]


def test_a_real_day_of_the_climate_data_record(real_data, tmp_path):
    """Land, lakes and pole hole are classes; a code is never a concentration."""
    path = real_data / "cdr" / "seaice_conc_daily_nh_20211231_f17_v04r00.nc"
    with CubeFile(path) as cube:
        assert cube.grid.id == "n25000"
        values = cube.concentration("2021-12-31")
        assert np.nanmax(values) == 1
        assert (cube.surface == Surface.LAKE).sum() > 100
        assert np.isnan(values[~cube.ocean]).all()
    draw(path, tmp_path / "p.png", "--ice_edge")
    succeed("ice_index", "--input_file", path, "--output_csv", tmp_path / "i.csv")
