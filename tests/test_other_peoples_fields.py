"""Fields, masks and references of other providers: by place and by meaning, or refused."""

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from outside import call

ROWS, COLUMNS, MAPS = 24, 36, 4
LAND = (slice(2, 8), slice(20, 30))


def make_field() -> xr.Dataset:
    """Four maps of sea surface temperature around the globe, with gaps, and land in a block."""
    generator = np.random.default_rng(0)
    lat, lon = np.linspace(40.5, 63.5, ROWS), np.arange(COLUMNS) * 1.0
    values = (
        290
        - 0.4 * (lat[:, None] - 40)
        + np.sin(lon / 5)
        + generator.normal(0, 0.2, (MAPS, ROWS, COLUMNS))
    )
    for day in range(MAPS):
        y, x = generator.integers(0, ROWS - 6), generator.integers(0, 12)
        values[day, y : y + 4, x : x + 5] = np.nan
    values[:, *LAND] = np.nan
    return xr.Dataset(
        {
            "sst": (
                ("time", "lat", "lon"),
                values,
                {"standard_name": "sea_surface_temperature", "units": "kelvin"},
            )
        },
        {
            "time": np.datetime64("2024-06-01", "ns") + np.arange(MAPS) * np.timedelta64(1, "D"),
            "lat": ("lat", lat, {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": ("lon", lon, {"units": "degrees_east", "standard_name": "longitude"}),
        },
    )


def make_mask(
    words: str = "sea land", codes: tuple[int, int] = (0, 1), **attributes: object
) -> xr.Dataset:
    """The land of the field, with words for its codes."""
    field = make_field()
    cells = np.full((ROWS, COLUMNS), codes[0], np.int16)
    cells[LAND] = codes[1]
    stated = {"flag_values": np.array(codes, np.int16), "flag_meanings": words} if words else {}
    mask = xr.DataArray(cells, dims=("lat", "lon"), attrs={**stated, **attributes})
    return xr.Dataset({"mask": mask}, {"lat": field.lat, "lon": field.lon})


def write(dataset: xr.Dataset, path: Path, **encoding: object) -> Path:
    dataset.to_netcdf(path, encoding={"sst": encoding} if encoding else {})
    return path


def fill(path: Path, output: Path, *more: object, method: str = "linear"):
    return call(
        "fill_gaps",
        "fill",
        "--input_file",
        path,
        "--method",
        method,
        "--output_file",
        output,
        "--force",
        *more,
    )


def read_filled(path: Path) -> xr.Dataset:
    with xr.open_dataset(path, mask_and_scale=True) as dataset:
        return dataset.load()


@pytest.fixture(scope="module")
def right(tmp_path_factory) -> Path:
    """Folder with field.nc, mask.nc and filled.nc."""
    folder = tmp_path_factory.mktemp("field")
    write(make_field(), folder / "field.nc")
    write(make_mask(), folder / "mask.nc")
    outcome = fill(folder / "field.nc", folder / "filled.nc", "--mask_file", folder / "mask.nc")
    assert outcome.status == 0, outcome.text
    return folder


def compare(
    right: Path, path: Path, *, scale: float = 1.0, offset: float = 0.0, tolerance: float = 1e-5
) -> None:
    """The filled fields hold the same, cell by cell, matched by their coordinates."""
    expected, two = read_filled(right / "filled.nc"), read_filled(path)
    lon = next(name for name in two.sst.dims if name.lower().startswith(("lon", "x")))
    lat = next(name for name in two.sst.dims if name.lower().startswith(("lat", "y")))
    two = two.rename({lon: "lon", lat: "lat"})
    two = two.assign_coords(
        lon=np.round(two.lon.values.astype("f8") % 360, 3), lat=np.round(two.lat.values.astype("f8"), 3)
    )
    two = two.sortby(["time", "lat", "lon"])
    assert (two.time.values == expected.time.values).all()
    a = expected.sst.transpose("time", "lat", "lon").values
    b = two.sst.transpose("time", "lat", "lon").values * scale + offset
    np.testing.assert_allclose(b, a, atol=tolerance)


def accept_or_refuse(outcome, right: Path, path: Path, name: str, **more: float) -> None:
    if outcome.status:
        assert outcome.status in (1, 2) and name in outcome.messages[-1], outcome.text
        assert not path.exists()
    else:
        compare(right, path, **more)


# --- second inputs elsewhere, in another order, or of another size ------------------------------


def roll(dataset: xr.Dataset) -> xr.Dataset:
    """Longitudes from -180 on, in their order."""
    return dataset.assign_coords(lon=("lon", (dataset.lon.values + 180) % 360 - 180, dataset.lon.attrs))


CHANGES = {
    "a-turn-east": lambda d: d.assign_coords(lon=("lon", d.lon.values + 360.0, d.lon.attrs)),
    "two-turns-west": lambda d: d.assign_coords(lon=("lon", d.lon.values - 720.0, d.lon.attrs)),
    "from-the-north": lambda d: d.isel(lat=slice(None, None, -1)),
    "from-the-east": lambda d: d.isel(lon=slice(None, None, -1)),
    "columns-first": lambda d: d.transpose("lon", "lat", ...),
    "rolled": lambda d: d.roll(lon=17, roll_coords=True),
    "float32-coordinates": lambda d: d.assign_coords(
        lat=("lat", d.lat.values.astype("f4"), d.lat.attrs),
        lon=("lon", d.lon.values.astype("f4"), d.lon.attrs),
    ),
    "with-a-margin": lambda d: d.reindex(
        lon=np.arange(-2.0, 40.0), lat=np.arange(38.5, 66.5), fill_value=0
    ).assign_coords(
        lon=("lon", np.arange(-2.0, 40.0), d.lon.attrs), lat=("lat", np.arange(38.5, 66.5), d.lat.attrs)
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_mask_in_another_order_or_frame_falls_on_the_same_cells(right, tmp_path, change):
    path = write(CHANGES[change](make_mask()), tmp_path / "other.nc")
    outcome = fill(right / "field.nc", tmp_path / "filled.nc", "--mask_file", path)
    accept_or_refuse(outcome, right, tmp_path / "filled.nc", "other.nc")


@pytest.mark.parametrize(
    "change", [name for name in CHANGES if name not in ("with-a-margin", "columns-first")]
)
def test_a_field_in_another_order_or_frame_takes_the_mask_by_place(right, tmp_path, change):
    path = write(CHANGES[change](make_field()), tmp_path / "other.nc")
    outcome = fill(path, tmp_path / "filled.nc", "--mask_file", right / "mask.nc", method="temporal")
    (tmp_path / "truth").mkdir()
    truth = tmp_path / "truth" / "filled.nc"
    again = fill(right / "field.nc", truth, "--mask_file", right / "mask.nc", method="temporal")
    assert again.status == 0
    accept_or_refuse(outcome, tmp_path / "truth", tmp_path / "filled.nc", ".nc")


ELSEWHERE = {
    "half-a-cell": lambda d: d.assign_coords(lon=("lon", d.lon.values + 0.5, d.lon.attrs)),
    "a-row-north": lambda d: d.assign_coords(lat=("lat", d.lat.values + 1.0, d.lat.attrs)),
    "the-other-hemisphere": lambda d: d.assign_coords(lat=("lat", -d.lat.values, d.lat.attrs)),
    "cropped": lambda d: d.isel(lon=slice(0, 30)),
    "half-as-fine": lambda d: d.isel(lon=slice(None, None, 2), lat=slice(None, None, 2)),
    "stretched": lambda d: d.assign_coords(lon=("lon", d.lon.values * 1.02, d.lon.attrs)),
    "coordinates-without-a-number": lambda d: d.assign_coords(
        lat=("lat", np.where(np.arange(ROWS) == 3, np.nan, d.lat.values), d.lat.attrs)
    ),
}


@pytest.mark.parametrize("change", ELSEWHERE)
def test_a_mask_of_another_place_is_refused(right, tmp_path, change):
    path = write(ELSEWHERE[change](make_mask()), tmp_path / "elsewhere.nc")
    outcome = fill(right / "field.nc", tmp_path / "filled.nc", "--mask_file", path)
    assert outcome.status in (1, 2), outcome.text
    assert "elsewhere.nc" in outcome.messages[-1], outcome.text
    assert not (tmp_path / "filled.nc").exists()


def score(field: Path, output: Path, *more: object):
    return call(
        "fill_gaps",
        "score",
        "--input_file",
        field,
        "--methods",
        "linear",
        "--gaps",
        "given",
        "--output_dir",
        output,
        *more,
    )


def hold_out(dataset: xr.Dataset) -> xr.Dataset:
    """Twelve cells of the second map, as a file of ones and zeros with its places."""
    cells = np.zeros(dataset.sst.shape, np.int8)
    cells[1, 18:21, 30:34] = 1
    return xr.Dataset({"held_out": (("time", "lat", "lon"), cells)}, dataset.coords)


def read_scores(folder: Path) -> dict:
    import json

    return json.loads((folder / "scores.json").read_text())


def find_rmse(scores: object) -> list[float]:
    if isinstance(scores, dict):
        own = [v for k, v in scores.items() if k == "rmse" and isinstance(v, float)]
        return own + [v for value in scores.values() for v in find_rmse(value)]
    if isinstance(scores, list):
        return [v for value in scores for v in find_rmse(value)]
    return []


@pytest.fixture(scope="module")
def held_out_rmse(right) -> list[float]:
    """Errors with the held-out cells in the order of the field."""
    path = write(hold_out(make_field()), right / "straight.nc")
    outcome = score(right / "field.nc", right / "scores", "--held_out_file", path)
    assert outcome.status == 0, outcome.text
    rmse = find_rmse(read_scores(right / "scores"))
    assert rmse
    return rmse


@pytest.mark.slow
@pytest.mark.parametrize("change", ["from-the-east", "rolled", "columns-first"])
def test_held_out_cells_fall_on_the_same_cells_in_any_order(right, tmp_path, held_out_rmse, change):
    write(CHANGES[change](hold_out(make_field())), tmp_path / "other.nc")
    outcome = score(right / "field.nc", tmp_path / "scores", "--held_out_file", tmp_path / "other.nc")
    if outcome.status:
        assert outcome.status in (1, 2) and "other.nc" in outcome.messages[-1], outcome.text
        return
    assert held_out_rmse == find_rmse(read_scores(tmp_path / "scores"))


@pytest.mark.parametrize("change", ["half-a-cell", "the-other-hemisphere", "half-as-fine"])
def test_held_out_cells_of_another_place_are_refused(right, tmp_path, change):
    path = write(ELSEWHERE[change](hold_out(make_field())), tmp_path / "elsewhere.nc")
    outcome = score(right / "field.nc", tmp_path / "scores", "--held_out_file", path)
    assert outcome.status in (1, 2), outcome.text
    assert "elsewhere.nc" in outcome.messages[-1], outcome.text


# --- words and codes of other providers ---------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ("ocean land", (1, 3)),
        ("valid_ice coast", (1, 2)),
        ("water coastline", (0, 250)),
        ("Ocean Land_or_Coast", (0, 1)),
        ("open_ocean land_ice_shelf", (0, 2)),
        ("sea_water dry_land", (5, 9)),
        ("not_land land", (0, 1)),
        ("land_free land", (0, 1)),
        ("SEA TERRA", (0, 1)),
        ("ocean lake", (0, 4)),
        ("marine terrestrial", (0, 1)),
        ("ice_free_water continent", (0, 1)),
    ],
)
def test_the_words_of_a_mask_are_understood_or_asked_for(right, tmp_path, words, codes):
    path = write(make_mask(words, codes), tmp_path / "words.nc")
    outcome = fill(right / "field.nc", tmp_path / "filled.nc", "--mask_file", path)
    accept_or_refuse(outcome, right, tmp_path / "filled.nc", "words.nc")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda m: m.assign(
                mask=(m.mask * 0.98 + 0.01).assign_attrs(standard_name="land_area_fraction", units="1")
            ),
            id="share-of-land",
        ),
        pytest.param(
            lambda m: m.assign(
                mask=((1 - m.mask) * 100.0).assign_attrs(standard_name="sea_area_fraction", units="%")
            ),
            id="percent-of-sea",
        ),
        pytest.param(
            lambda m: m.assign(
                mask=((m.mask * 2 - 1) * -80.0).assign_attrs(long_name="distance to coast", units="km")
            ),
            id="distance-to-coast",
        ),
        pytest.param(
            lambda m: m.assign(
                mask=(m.mask * 3000.0 - 2000).assign_attrs(standard_name="height_above_geoid", units="m")
            ),
            id="elevation",
        ),
        pytest.param(
            lambda m: m.assign(
                mask=xr.where(m.mask == 1, np.nan, 1.0).assign_attrs(
                    standard_name="sea_binary_mask", units="1"
                )
            ),
            id="sea-is-1-and-land-has-no-number",
        ),
        pytest.param(
            lambda m: m.assign(mask=m.mask.astype(bool).assign_attrs({})), id="true-without-a-word"
        ),
    ],
)
def test_masks_as_shares_and_distances_are_understood_or_asked_for(right, tmp_path, change):
    path = write(change(make_mask("")), tmp_path / "share.nc")
    outcome = fill(right / "field.nc", tmp_path / "filled.nc", "--mask_file", path)
    accept_or_refuse(outcome, right, tmp_path / "filled.nc", "share.nc")


def write_codes(
    path: Path, code: float, *, missing: bool = True, dtype: str = "f4", **attributes: object
) -> Path:
    """The field with a number for what is missing that no attribute declares."""
    field = make_field()
    values = np.nan_to_num(field.sst.values, nan=code)
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("time", MAPS), ("lat", ROWS), ("lon", COLUMNS)):
            file.createDimension(name, size)
            variable = file.createVariable(name, "f8", (name,))
            variable.units = {
                "time": "days since 2024-06-01",
                "lat": "degrees_north",
                "lon": "degrees_east",
            }[name]
            variable[:] = np.arange(MAPS) if name == "time" else field[name].values
        variable = file.createVariable("sst", dtype, ("time", "lat", "lon"))
        variable.setncatts({"units": "kelvin", "standard_name": "sea_surface_temperature", **attributes})
        variable.set_auto_maskandscale(False)
        variable[:] = values
    return path


@pytest.mark.parametrize("code", [-9999.0, 1e20, 32767.0, -1e34, 0.0, 1e36, -273.15, 9.96921e36])
def test_an_undeclared_number_for_missing_is_no_temperature(right, tmp_path, code):
    path = write_codes(tmp_path / "codes.nc", code)
    outcome = fill(path, tmp_path / "filled.nc", "--mask_file", right / "mask.nc")
    if outcome.status:
        assert outcome.status in (1, 2) and "codes.nc" in outcome.messages[-1], outcome.text
        return
    filled = read_filled(tmp_path / "filled.nc").sst.values
    sea = np.isfinite(filled)
    assert filled[sea].min() > 270 and filled[sea].max() < 310, outcome.text


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda s: s - 273.15, "celsius called kelvin"),
        (lambda s: s * 10, "tenths of a kelvin"),
        (lambda s: (s - 273.15) * 1.8 + 32, "fahrenheit called kelvin"),
    ],
)
def test_temperatures_in_other_units_than_stated_are_remarked(right, tmp_path, change, name):
    field = make_field()
    field["sst"] = change(field.sst).assign_attrs(field.sst.attrs)
    path = write(field, tmp_path / "units.nc")
    outcome = fill(path, tmp_path / "filled.nc", "--mask_file", right / "mask.nc")
    assert any("units.nc" in line or "kelvin" in line.lower() for line in outcome.messages), outcome.text


def make_concentration(path: Path, values: np.ndarray, **attributes: object) -> Path:
    field = make_field()
    stated = {"standard_name": "sea_ice_area_fraction", **attributes}
    coordinates = {name: field[name] for name in ("time", "lat", "lon")}
    xr.Dataset({"ice": (("time", "lat", "lon"), values, stated)}, coordinates).to_netcdf(path)
    return path


@pytest.mark.parametrize("code", [255.0, 120.0, 2550.0, -1.0, 1e20, 157.0])
def test_undeclared_codes_of_a_concentration_in_percent_are_no_ice(right, tmp_path, code):
    generator = np.random.default_rng(1)
    values = np.clip(generator.normal(60, 40, (MAPS, ROWS, COLUMNS)), 0, 100)
    values[:, *LAND] = code
    values[2, 12:15, 5:9] = code
    path = make_concentration(tmp_path / "ice.nc", values, units="%")
    outcome = fill(path, tmp_path / "filled.nc", "--mask_file", right / "mask.nc")
    if outcome.status:
        assert outcome.status in (1, 2) and "ice.nc" in outcome.messages[-1], outcome.text
        return
    with xr.open_dataset(tmp_path / "filled.nc") as filled:
        ice = filled.ice.values
    assert np.nanmax(ice) <= 100 and np.nanmin(ice) >= 0
    assert np.isfinite(ice[2, 12:15, 5:9]).all()


@pytest.mark.parametrize(
    ("factor", "units"), [(0.01, "%"), (10.0, "%"), (100.0, "1"), (1000.0, "1")], ids=str
)
def test_a_concentration_in_other_units_than_stated_is_remarked(right, tmp_path, factor, units):
    generator = np.random.default_rng(1)
    values = np.clip(generator.normal(60, 40, (MAPS, ROWS, COLUMNS)), 0, 100) * factor
    values[:, *LAND] = np.nan
    values[2, 12:15, 5:9] = np.nan
    path = make_concentration(tmp_path / "ice.nc", values, units=units)
    outcome = fill(path, tmp_path / "filled.nc", "--mask_file", right / "mask.nc")
    assert outcome.messages and any("ice" in line for line in outcome.messages), outcome.text


def test_zero_percent_is_ice_free_water_and_not_missing_even_as_the_fill_value_of_a_chunk(
    right, tmp_path
):
    """A float32 Zarr array of version 2 with fill value 0, whose empty chunks are not stored."""
    zarr = pytest.importorskip("zarr")
    generator = np.random.default_rng(1)
    values = np.clip(generator.normal(40, 40, (MAPS, ROWS, COLUMNS)), 0, 100).astype("f4")
    values[:, :8] = 0
    values[2, 12:15, 5:9] = np.nan
    values[:, *LAND] = np.nan
    path = make_concentration(tmp_path / "ice.nc", values, units="percent")
    with xr.open_dataset(path) as dataset:
        dataset.load()
    group = zarr.open_group(tmp_path / "ice.zarr", mode="w", zarr_format=2)
    for name in ("time", "lat", "lon"):
        data = np.arange(MAPS) if name == "time" else dataset[name].values
        array = group.create_array(name, data=data)
        array.attrs.update(
            {
                "_ARRAY_DIMENSIONS": [name],
                "units": {
                    "time": "days since 2024-06-01",
                    "lat": "degrees_north",
                    "lon": "degrees_east",
                }[name],
            }
        )
    array = group.create_array("ice", shape=values.shape, chunks=(1, 8, 12), dtype="f4", fill_value=0)
    array.attrs.update(
        {
            "_ARRAY_DIMENSIONS": ["time", "lat", "lon"],
            "units": "percent",
            "standard_name": "sea_ice_area_fraction",
        }
    )
    array[:] = values
    outcome = fill(tmp_path / "ice.zarr", tmp_path / "filled.nc", "--mask_file", right / "mask.nc")
    assert outcome.status == 0, outcome.text
    with xr.open_dataset(tmp_path / "filled.nc") as filled:
        ice = filled.ice.transpose("time", "lat", "lon").values
        flag = filled.fill_flag.transpose("time", "lat", "lon").values
    sea = np.isfinite(values)
    np.testing.assert_allclose(ice[sea], values[sea], atol=1e-3)
    assert (flag[sea] == 0).all()


def test_time_as_months_or_text_is_said_and_not_numbered_from_1970(right, tmp_path):
    field = make_field()
    for number, time in enumerate(
        (
            xr.Variable(
                "time", np.arange(4.0), {"units": "months since 2024-01-01", "standard_name": "time"}
            ),
            xr.Variable(
                "time", np.arange(4.0), {"units": "fortnights since 2024-01-01", "standard_name": "time"}
            ),
            xr.Variable(
                "time", np.arange(4.0), {"standard_name": "time", "units": "days since the flood"}
            ),
            xr.Variable("time", np.array(["a", "b", "c", "d"], object), {"standard_name": "time"}),
        )
    ):
        path = write(field.assign_coords(time=time), tmp_path / f"time_{number}.nc")
        outcome = fill(
            path, tmp_path / f"out_{number}.nc", "--mask_file", right / "mask.nc", method="temporal"
        )
        if outcome.status:
            assert f"time_{number}.nc" in outcome.messages[-1], outcome.text
            assert (
                "unreadable" not in outcome.messages[-1] and "no readable" not in outcome.messages[-1]
            ), outcome.text
        else:
            with xr.open_dataset(tmp_path / f"out_{number}.nc") as filled:
                assert str(filled.time.values[0])[:4] == "2024", outcome.text


def test_land_of_an_ancillary_flag_in_the_same_file_is_neither_used_nor_filled(right, tmp_path):
    """Bits of a surface flag that the field names, beside bits that say something else."""
    field = make_field()
    cells = np.zeros((MAPS, ROWS, COLUMNS), np.int16)
    cells[:, *LAND] = 0b100
    cells[:, 12:15] |= 0b1
    field["sst"][{"lat": LAND[0], "lon": LAND[1]}] = 305.0  # what a sensor sees there
    field["sst"].attrs["ancillary_variables"] = "surface_state"
    field["surface_state"] = (
        ("time", "lat", "lon"),
        cells,
        {
            "standard_name": "surface_flag",
            "flag_masks": np.array([1, 2, 4], np.int16),
            "flag_meanings": "day_time rain land_contamination",
        },
    )
    path = write(field, tmp_path / "flagged.nc")
    outcome = fill(path, tmp_path / "filled.nc", "--variable", "sst")
    if outcome.status:
        assert "flagged.nc" in outcome.messages[-1]
        return
    filled = read_filled(tmp_path / "filled.nc").sst.values
    named = any("land" in line for line in outcome.messages)
    assert np.isnan(filled[:, *LAND]).all() or named, outcome.text
