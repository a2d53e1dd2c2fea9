"""Files as other programs and people leave them: the right result or a refusal, never a wrong number."""

from contextlib import closing
from datetime import date
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from outside import (
    call,
    consolidate,
    load_decoded,
    make_base,
    write_again,
    write_series,
)

from seaice import ConsolidatedSICDataset, CubeFile, InputError, load_ocean_mask

FILL = {"_FillValue": np.int16(-32768)}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def truth(base) -> np.ndarray:
    return load_decoded(base / "cube.nc").sea_ice_conc.values


# --- cubes written again by other programs ----------------------------------------------------


def repack(offset: float, scale: float, dtype: str):
    def change(cube: xr.Dataset) -> xr.Dataset:
        cube.sea_ice_conc.encoding = {
            "dtype": dtype,
            "scale_factor": scale,
            "add_offset": offset,
            "_FillValue": np.iinfo(dtype).min,
        }
        cube.sea_ice_conc.attrs.pop("valid_range", None)
        return cube

    return change


def unpack_with(fill: float):
    def change(cube: xr.Dataset) -> xr.Dataset:
        for name in ("sea_ice_conc", "sea_ice_conc_error"):
            cube[name].encoding = {"dtype": "float32", "_FillValue": np.float32(fill)}
            cube[name].attrs.pop("valid_range", None)
        return cube

    return change


def encode_time(units: str, dtype: str, calendar: str | None = None):
    def change(cube: xr.Dataset) -> xr.Dataset:
        cube = cube.drop_vars("time_bnds")
        cube.time.attrs.pop("bounds", None)
        cube.time.encoding = {"units": units, "dtype": dtype, "calendar": calendar or "standard"}
        return cube

    return change


def encode_days(cube: xr.Dataset, calendar: str) -> xr.Dataset:
    """The same nine dates, said in another calendar."""
    cube = encode_time("days since 2024-01-01", "float64")(cube)
    number = xr.Variable("time", np.arange(9.0), {**cube.time.attrs, "units": "days since 2024-01-01"})
    number.attrs["calendar"] = calendar
    return cube.drop_vars("time").assign_coords(time=number)


def round_coordinates(cube: xr.Dataset) -> xr.Dataset:
    return cube.assign_coords(
        x=cube.x.astype("f4") + np.float32(0.03), y=cube.y.astype("f4") - np.float32(0.03)
    ).assign_attrs(cube.attrs)


def in_kilometres(cube: xr.Dataset) -> xr.Dataset:
    cube = cube.assign_coords(
        x=("x", cube.x.values / 1000, cube.x.attrs), y=("y", cube.y.values / 1000, cube.y.attrs)
    )
    cube.x.attrs["units"] = cube.y.attrs["units"] = "km"
    return cube


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(repack(-1.0, 1e-5, "int32"), id="int32-and-a-negative-offset"),
        pytest.param(repack(0.5, 0.0001, "int16"), id="centred-offset"),
        pytest.param(unpack_with(1e20), id="unpacked-with-1e20"),
        pytest.param(unpack_with(np.nan), id="unpacked-with-nan"),
        pytest.param(
            encode_time("hours since 1900-01-01 06:00:00", "float64"), id="float-hours-since-1900"
        ),
        pytest.param(
            encode_time("minutes since 2024-01-01T00:00:00Z", "int32"), id="minutes-with-a-zone"
        ),
        pytest.param(
            encode_time("seconds since 1981-01-01", "int64", "proleptic_gregorian"),
            id="proleptic-seconds",
        ),
        pytest.param(round_coordinates, id="coordinates-as-float32"),
        pytest.param(in_kilometres, id="coordinates-in-km-with-units"),
        pytest.param(lambda c: c.isel(x=slice(None, None, -1)), id="east-to-west"),
        pytest.param(
            lambda c: c.isel(x=slice(None, None, -1), y=slice(None, None, -1)),
            id="turned-by-180-degrees",
        ),
        pytest.param(lambda c: c.transpose("y", "x", "time", ...), id="time-last"),
        pytest.param(lambda c: c.transpose("x", "time", "y", ...), id="columns-first"),
        pytest.param(lambda c: c.rename(x="xc", y="yc"), id="dimensions-of-osi-saf"),
        pytest.param(lambda c: c.expand_dims(member=[0]), id="one-member"),
        pytest.param(
            lambda c: c.assign(sea_ice_conc=c.sea_ice_conc.expand_dims(z=[0.0], axis=1)), id="one-level"
        ),
        pytest.param(lambda c: c.isel(time=[0, 2, 1, 3, 4, 5, 6, 7, 8]), id="two-days-exchanged"),
        pytest.param(lambda c: c.isel(time=slice(None, None, -1)), id="time-reversed"),
        pytest.param(lambda c: encode_days(c, "360_day"), id="360-day-calendar"),
        pytest.param(lambda c: encode_days(c, "julian"), id="julian-calendar"),
    ],
)
def test_a_cube_written_again_gives_the_same_days_values_and_extents(base, truth, tmp_path, change):
    path = write_again(base / "cube.nc", tmp_path / "again.nc", change)
    outcome = write_series(path, tmp_path / "index.csv")
    if outcome.status:
        assert outcome.status in (1, 2) and "again.nc" in outcome.messages[-1], outcome.text
        with pytest.raises(InputError):
            CubeFile(path)
        return
    compare_series(base / "index.csv", tmp_path / "index.csv")
    compare_cube(base, truth, path)


def compare_series(right: Path, other: Path) -> None:
    def rows(path: Path) -> list[list[str]]:
        return [line.split(",")[:11] for line in path.read_text().splitlines()[1:]]

    for expected, row in zip(rows(right), rows(other), strict=True):
        assert row[:2] == expected[:2]
        np.testing.assert_allclose(
            [float(v) for v in row[2:5]], [float(v) for v in expected[2:5]], rtol=1e-4
        )


def compare_cube(base: Path, truth: np.ndarray, path: Path) -> None:
    with CubeFile(path) as cube:
        assert [cube.dates[0], cube.dates[-1]] == [date(2024, 1, 1), date(2024, 1, 9)]
        values = np.stack([cube.concentration(n) for n in range(len(cube.dates))])
    np.testing.assert_allclose(values, truth, atol=1e-5)
    with closing(ConsolidatedSICDataset(path, 20240101, 20240109, 3, 1)) as resaved:
        again = resaved[1]
    with closing(ConsolidatedSICDataset(base / "cube.nc", 20240101, 20240109, 3, 1)) as original:
        right = original[1]
    for a, b in zip(again, right, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The data type")
def test_a_zarr_copy_by_xarray_in_other_chunks_gives_the_same_series(base, truth, tmp_path):
    for format_number in (2, 3):
        cube = load_decoded(base / "cube.nc")
        for name in ("day_reason", "input_file", "input_sha256"):
            cube[name] = cube[name].astype("U64")
        path = tmp_path / f"again_{format_number}.zarr"
        cube.chunk({"time": 2, "y": 7, "x": 11}).to_zarr(
            path, zarr_format=format_number, consolidated=False
        )
        outcome = write_series(path, tmp_path / f"{format_number}.csv")
        if outcome.status:
            assert path.name in outcome.messages[-1], outcome.text
            continue
        compare_series(base / "index.csv", tmp_path / f"{format_number}.csv")
        compare_cube(base, truth, path)


def test_surface_codes_of_another_table_are_not_taken_for_ours(base, tmp_path):
    def exchange(cube: xr.Dataset) -> xr.Dataset:
        cube["surface"] = cube.surface.copy(
            data=np.where(cube.surface == 1, 7, cube.surface).astype("u1")
        )
        cube.surface.attrs["flag_values"] = np.array([0, 7, 2, 3, 4], "u1")
        cube.surface.attrs.pop("valid_range", None)
        return cube

    path = write_again(base / "cube.nc", tmp_path / "again.nc", exchange)
    outcome = write_series(path, tmp_path / "index.csv")
    if outcome.status:
        assert "again.nc" in outcome.messages[-1]
    else:
        compare_series(base / "index.csv", tmp_path / "index.csv")


def test_flags_of_another_table_are_not_taken_for_ours(base, tmp_path):
    """Observed and filled exchanged: weights and shares of filled cells follow the words."""

    def exchange(cube: xr.Dataset) -> xr.Dataset:
        codes = cube.fill_flag.values
        cube["fill_flag"] = cube.fill_flag.copy(data=np.where(codes == 0, 77, codes).astype("u1"))
        values = np.array(cube.fill_flag.attrs["flag_values"])
        cube.fill_flag.attrs["flag_values"] = np.where(values == 0, 77, values).astype("u1")
        return cube

    path = write_again(base / "cube.nc", tmp_path / "again.nc", exchange)
    outcome = write_series(path, tmp_path / "index.csv")
    if outcome.status:
        assert "again.nc" in outcome.messages[-1]
    else:
        shares = [
            [line.split(",")[6] for line in file.read_text().splitlines()]
            for file in (base / "index.csv", tmp_path / "index.csv")
        ]
        assert shares[0] == shares[1]


# --- masks written again by other programs ----------------------------------------------------


def as_numbers(dtype: str):
    def change(mask: xr.Dataset) -> xr.Dataset:
        for name in ("surface", "land_mask"):
            attributes = mask[name].attrs
            mask[name] = (
                mask[name]
                .astype(dtype)
                .assign_attrs({k: v for k, v in attributes.items() if k != "valid_range"})
            )
            mask[name].encoding = {}
        return mask

    return change


def as_true_and_false(mask: xr.Dataset) -> xr.Dataset:
    attributes = {"standard_name": "land_binary_mask", "grid_mapping": "crs"}
    return mask.drop_vars("surface").assign(
        land_mask=mask.land_mask.astype(bool).assign_attrs(attributes)
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(as_numbers("float32"), id="float32"),
        pytest.param(as_numbers("int64"), id="int64"),
        pytest.param(as_true_and_false, id="true-and-false"),
        pytest.param(lambda m: m.isel(y=slice(None, None, -1)), id="from-the-north"),
        pytest.param(lambda m: m.isel(x=slice(None, None, -1), y=slice(None, None, -1)), id="turned"),
        pytest.param(lambda m: m.transpose("x", "y"), id="columns-first"),
        pytest.param(in_kilometres, id="in-km"),
        pytest.param(round_coordinates, id="float32-coordinates"),
        pytest.param(lambda m: m.drop_vars("surface"), id="land-alone"),
        pytest.param(lambda m: m.expand_dims(time=[0]), id="one-time"),
    ],
)
def test_a_mask_written_again_is_the_same_mask_or_refused(base, tmp_path, change):
    path = write_again(base / "mask.nc", tmp_path / "again.nc", change)
    try:
        ocean = load_ocean_mask(path)
    except InputError as error:
        assert "again.nc" in str(error)
        refuse_consolidation(base, path, tmp_path)
        return
    np.testing.assert_array_equal(np.asarray(ocean), np.asarray(load_ocean_mask(base / "mask.nc")))
    outcome = consolidate(base / "days", path, tmp_path / "cube.nc")
    assert outcome.status == 0, outcome.text
    with CubeFile(tmp_path / "cube.nc") as cube, CubeFile(base / "cube.nc") as right:
        for n in (0, 4, 8):
            land = np.asarray(load_ocean_mask(base / "mask.nc")) == 0
            assert np.isnan(cube.concentration(n)[land]).all()
            # A mask of land alone knows no pole hole, whose cells are filled as others are.
            if "surface" in xr.open_dataset(path):
                np.testing.assert_array_equal(cube.concentration(n), right.concentration(n))


def refuse_consolidation(base: Path, mask: Path, tmp_path: Path) -> None:
    outcome = consolidate(base / "days", mask, tmp_path / "cube.nc")
    assert outcome.status in (1, 2), outcome.text
    assert "mask" in outcome.messages[-1] or mask.name in outcome.messages[-1], outcome.text
    sides = outcome.messages[-1].partition(", but ")
    assert (
        sides[0].partition(" is on ")[2] != sides[2].partition(" are on ")[2].partition(";")[0]
        or not sides[1]
    )
    assert not (tmp_path / "cube.nc").exists()


def shift(east: float, north: float):
    def change(mask: xr.Dataset) -> xr.Dataset:
        x, y = mask.x.copy(data=mask.x.values + east), mask.y.copy(data=mask.y.values + north)
        return mask.assign_coords(x=x, y=y)

    return change


def in_the_south(mask: xr.Dataset) -> xr.Dataset:
    from seaice.grids import get_grid

    return mask.assign(crs=xr.Variable((), np.int32(0), get_grid("s25000").to_cf()))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(shift(12500.0, 0.0), id="half-a-cell-east"),
        pytest.param(shift(0.0, -25000.0), id="a-cell-south"),
        pytest.param(lambda m: m.isel(x=slice(0, 30)), id="cropped"),
        pytest.param(lambda m: m.isel(x=slice(None, None, 2), y=slice(None, None, 2)), id="coarser"),
        pytest.param(in_the_south, id="of-the-antarctic"),
        pytest.param(
            lambda m: m.assign_coords(x=m.x.copy(data=m.x.values / 2), y=m.y.copy(data=m.y.values / 2)),
            id="finer-cells-of-the-same-number",
        ),
        pytest.param(lambda m: m.drop_vars(["x", "y"]), id="without-coordinates"),
    ],
)
def test_a_mask_of_another_place_is_refused(base, tmp_path, change):
    path = write_again(base / "mask.nc", tmp_path / "elsewhere.nc", change)
    refuse_consolidation(base, path, tmp_path)


# --- days written again by other programs -----------------------------------------------------

DAY = "asi-AMSR2-n25000-20240102-v5.4.nc"


def consolidate_changed_day(base: Path, tmp_path: Path, path: Path) -> None:
    """The second of three days has the values of the right file, or is rejected, or is remarked."""
    period = ("--start_date", "20240101", "--end_date", "20240103")
    options = ("--land_mask_file", base / "mask.nc", "--output_file", tmp_path / "cube.nc")
    outcome = call("consolidate_data", "--source_dir", path.parent, *period, *options)
    assert outcome.status == 0, outcome.text
    with netCDF4.Dataset(tmp_path / "cube.nc") as cube, netCDF4.Dataset(base / "cube.nc") as right:
        named = any("2024-01-02" in line or path.name in line for line in outcome.messages)
        if cube["day_status"][1] != 0:
            assert named, outcome.text
            return
        if named:  # taken, with a remark that its values are odd
            return
        observed = right["fill_flag"][1] == 0
        np.testing.assert_array_equal(cube["fill_flag"][1] == 0, observed)
        np.testing.assert_allclose(
            cube["sea_ice_conc"][1][observed], right["sea_ice_conc"][1][observed], atol=3e-3
        )


def copy_days(base: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "days"
    folder.mkdir()
    for n in (1, 2, 3):
        name = f"asi-AMSR2-n25000-2024010{n}-v5.4.nc"
        (folder / name).write_bytes((base / "days" / name).read_bytes())
    return folder / DAY


def pack_day(dtype: str, scale: float, offset: float):
    def change(day: xr.Dataset) -> xr.Dataset:
        day.z.attrs.pop("valid_range", None)
        day.z.encoding = {
            "dtype": dtype,
            "scale_factor": scale,
            "add_offset": offset,
            "_FillValue": np.iinfo(dtype).max,
        }
        return day

    return change


def with_fill(value: float):
    def change(day: xr.Dataset) -> xr.Dataset:
        day.z.encoding = {"dtype": "float64", "_FillValue": value}
        return day

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(pack_day("int16", 0.01, 50.0), id="int16-with-an-offset"),
        pytest.param(pack_day("uint8", 0.5, 0.0), id="half-percent-bytes"),
        pytest.param(with_fill(-999.0), id="missing-as-minus-999"),
        pytest.param(with_fill(0.5), id="missing-as-a-number-within-the-range"),
        pytest.param(lambda d: d.transpose("x", "y"), id="columns-first"),
        pytest.param(lambda d: d.isel(x=slice(None, None, -1)), id="east-to-west"),
        pytest.param(in_kilometres, id="in-km"),
        pytest.param(lambda d: d.assign(z=d.z.expand_dims(band=[1], axis=2)), id="one-band-last"),
        pytest.param(lambda d: d.assign(z=(d.z / 100).assign_attrs(d.z.attrs)), id="fractions"),
        pytest.param(lambda d: d.assign(z=(d.z * 10).assign_attrs(d.z.attrs)), id="per-mille"),
        pytest.param(
            lambda d: d.assign(z=d.z.where(d.z.notnull(), -9999.0)), id="undeclared-minus-9999"
        ),
        pytest.param(lambda d: d.assign(z=d.z.where(d.z.notnull(), 1e20)), id="undeclared-1e20"),
        pytest.param(lambda d: d.assign(z=d.z.where(d.z.notnull(), 255.0)), id="undeclared-255"),
        pytest.param(lambda d: d.assign(z=d.z.where(d.z.isnull(), 0.0)), id="zeros-everywhere"),
        pytest.param(
            lambda d: d.assign(z=xr.where(d.z.isnull(), 0.0, d.z).assign_attrs(d.z.attrs)),
            id="missing-as-0",
        ),
        pytest.param(
            lambda d: d.assign_coords(x=d.x + 25000.0, y=d.y).assign_attrs(d.attrs), id="one-cell-aside"
        ),
    ],
)
def test_a_day_written_again_is_the_same_day_or_rejected(base, tmp_path, change):
    path = copy_days(base, tmp_path)
    write_again(base / "days" / DAY, path, change)
    consolidate_changed_day(base, tmp_path, path)
