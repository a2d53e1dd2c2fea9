"""Regions: boxes, flat masks and NetCDF masks, on the file's grid and on finer ones."""

import re

import netCDF4
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from seaice import InputError
from seaice.grids import get_grid
from seaice.regions import ARCTIC_SEAS, SEA_BOXES, Box, Regions, find_seas, read_regions, resample

N25 = get_grid("n25000")


def one(message: str) -> str:
    """A pattern for the message, which must be one line."""
    assert "\n" not in message
    return re.escape(message)


@pytest.fixture
def meier(tmp_path):
    """A flat mask with one cell of the Barents Sea in its first row, the northernmost."""
    codes = np.full((448, 304), 20, np.uint8)
    codes[0, 5] = 8
    codes[447, 6] = 4
    path = tmp_path / "mask.msk"
    codes.tofile(path)
    return path


def write_regions(path, grid, codes, *, name="sea_ice_region", north_up=True, meanings=None, fill=None):
    """A mask in the layout of NSIDC-0780; ``codes`` has row 0 in the south."""
    with netCDF4.Dataset(path, "w") as dataset:
        step = -1 if north_up else 1
        for dimension, values in (("x", grid.x), ("y", grid.y[::step])):
            dataset.createDimension(dimension, values.size)
            dataset.createVariable(dimension, "f4", (dimension,))[:] = values
        crs = dataset.createVariable("crs", "i4", ())
        crs.setncatts(grid.to_cf())
        variable = dataset.createVariable(name, codes.dtype, ("y", "x"), fill_value=fill)
        variable.set_auto_maskandscale(False)
        variable.grid_mapping = "crs"
        if meanings is not None:
            variable.flag_values = np.array(list(meanings), dtype=codes.dtype)
            variable.flag_meanings = " ".join(meanings.values())
        variable[:] = codes[::step]
    return path


def cells_of(regions: Regions, name: str) -> set[tuple[int, int]]:
    inside = regions.codes == regions.names.index(name) + 1
    return {(int(r), int(c)) for r, c in np.argwhere(inside)}


def test_first_row_of_a_flat_mask_is_the_north(meier):
    regions = read_regions(str(meier), N25)
    assert regions.names == tuple(ARCTIC_SEAS.values())
    assert cells_of(regions, "Barents Sea") == {(447, 5)}
    assert cells_of(regions, "Hudson Bay") == {(0, 6)}
    assert np.count_nonzero(regions.codes) == 2  # land is in no region


def test_a_fine_grid_takes_the_coarse_cell_it_lies_in(meier):
    regions = read_regions(str(meier), get_grid("n12500"))
    assert cells_of(regions, "Barents Sea") == {(894, 10), (894, 11), (895, 10), (895, 11)}
    assert cells_of(regions, "Hudson Bay") == {(0, 12), (0, 13), (1, 12), (1, 13)}


def test_a_part_of_a_grid_takes_the_cells_at_its_own_place(meier):
    regions = read_regions(str(meier), N25.crop(slice(440, 448), slice(3, 9)))
    assert cells_of(regions, "Barents Sea") == {(7, 2)}


def test_antarctic_sectors_and_their_last_byte(tmp_path):
    codes = np.full((332, 316), 11, np.uint8)
    codes[331, 0] = 5
    path = tmp_path / "sectors.msk"
    path.write_bytes(codes.tobytes() + b"\n")
    regions = read_regions(str(path), get_grid("s25000"))
    assert cells_of(regions, "Ross Sea") == {(0, 0)}
    with pytest.raises(
        InputError, match="lie in the south, the data in the north; give the region file"
    ):
        read_regions(str(path), N25)


def test_a_flat_file_that_is_no_region_mask(tmp_path):
    path = tmp_path / "psn25_landmask.dat"
    np.full((448, 304), 30, np.uint8).tofile(path)
    with pytest.raises(
        InputError, match=r"no region mask of the north: expected codes 0, 1, .*21, found 30$"
    ):
        read_regions(str(path), N25)
    path.write_bytes(b"1234")
    with pytest.raises(InputError, match=r"expected NetCDF, or one byte a cell .* found 4 bytes"):
        read_regions(str(path), N25)


MEANINGS = {0: "ocean_no_region_specified", 3: "kara_sea", 30: "land"}


@pytest.mark.parametrize("north_up", [True, False])
def test_netcdf_in_either_row_order(tmp_path, north_up):
    codes = np.zeros(N25.shape, np.uint8)
    codes[2, 7], codes[3, 7] = 3, 30
    path = write_regions(tmp_path / "r.nc", N25, codes, north_up=north_up, meanings=MEANINGS)
    regions = read_regions(str(path), N25)
    assert regions.names == ("ocean no region specified", "kara sea")
    assert cells_of(regions, "kara sea") == {(2, 7)}
    assert regions.codes[3, 7] == 0
    assert np.count_nonzero(regions.codes == 1) == codes.size - 2


def test_netcdf_without_names_and_with_a_fill_value(tmp_path):
    codes = np.zeros(N25.shape, np.uint8)
    codes[0, 0], codes[0, 1] = 9, 255
    path = write_regions(tmp_path / "r.nc", N25, codes, name="basin", fill=255)
    regions = read_regions(str(path), N25)
    assert regions.names == ("region 9",)
    assert cells_of(regions, "region 9") == {(0, 0)}


def test_one_of_several_variables(tmp_path):
    codes = np.ones(N25.shape, np.uint8)
    path = write_regions(tmp_path / "r.nc", N25, codes, name="first")
    with netCDF4.Dataset(path, "a") as dataset:
        second = dataset.createVariable("second", "i2", ("y", "x"))
        second.grid_mapping = "crs"
        second[:] = 2
    assert read_regions(str(path), N25).names == ("region 1",)
    assert read_regions(f"{path}:second", N25).names == ("region 2",)
    with pytest.raises(InputError, match="has no region variable 'third'; it has first, second"):
        read_regions(f"{path}:third", N25)


def test_netcdf_that_holds_no_regions(tmp_path):
    path = write_regions(tmp_path / "r.nc", N25, np.ones(N25.shape, np.float32))
    with pytest.raises(
        InputError, match=r"expected a variable of integers on \(y, x\), found x, y, crs"
    ):
        read_regions(str(path), N25)
    codes = np.full(N25.shape, 300, np.int16)
    path = write_regions(tmp_path / "big.nc", N25, codes)
    with pytest.raises(InputError, match="codes from 0 to 254 in sea_ice_region, found 300 to 300"):
        read_regions(str(path), N25)
    path.write_bytes(b"\x89HDF nothing more")
    with pytest.raises(InputError, match="is no readable NetCDF file"):
        read_regions(str(path), N25)


@pytest.mark.slow
def test_regions_of_another_projection():
    # Halves of the northern hemisphere, east and west of Greenwich, on EASE-Grid 2.0.
    ease = get_grid("ease2n25000")
    longitude, _ = ease.longitude_latitude()
    seen = resample(np.where(longitude >= 0, 1, 2).astype(np.uint8), ease, N25)
    longitude, latitude = N25.longitude_latitude()
    # Within half a cell of the dividing line (and at the pole) either is right.
    sure = (np.abs(np.sin(np.radians(longitude))) * (90 - latitude) * 111 > 25) & (latitude < 89)
    assert sure.mean() > 0.97
    assert np.array_equal(seen[sure], np.where(longitude >= 0, 1, 2)[sure])


def test_outside_of_the_region_file_is_no_region():
    inner = N25.crop(slice(10, 20), slice(10, 20))
    seen = resample(np.ones(inner.shape, np.uint8), inner, N25)
    assert seen.sum() == 100
    assert seen[10:20, 10:20].all()


def test_ellipsoid_label_moves_nothing(meier):
    from dataclasses import replace

    labelled = replace(N25, projection="EPSG:3413")
    assert np.array_equal(read_regions(str(meier), labelled).codes, read_regions(str(meier), N25).codes)


def test_box_on_the_command_line():
    regions = read_regions("fram = 2,4,0,3", N25)
    assert regions.names == ("fram",)
    assert cells_of(regions, "fram") == {(r, c) for r in (2, 3) for c in (0, 1, 2)}
    assert read_regions("2,4,0,3", N25).names == ("rows 2:4, columns 0:3",)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (Box(-1, 4, 0, 3), "expected 0 <= ymin < ymax <= 448 on the grid n25000 (448 x 304 cells of "
         "25 km), found ymin -1 and ymax 4 (ymax is the first cell not in the box)"),
        (Box(4, 4, 0, 3), "found ymin 4 and ymax 4"),
        (Box(0, 449, 0, 3), "found ymin 0 and ymax 449"),
        (Box(0, 448, 9, 3), "expected 0 <= xmin < xmax <= 304"),
        (Box(0, 1, 0, 305), "found xmin 0 and xmax 305"),
    ],
)  # fmt: skip
def test_a_box_outside_the_grid_or_empty(box, message):
    with pytest.raises(InputError, match=one(message)):
        box.check(N25)


def test_the_last_cell_is_in_the_largest_box():
    Box(0, 448, 0, 304).check(N25)
    assert Box(447, 448, 303, 304).size == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3", "expected a box as YMIN,YMAX,XMIN,XMAX, found '1,2,3'"),
        ("-1,2,0,3", "expected 0 <= ymin"),
        (
            "nowhere.nc",
            "expected a region file, a box YMIN,YMAX,XMIN,XMAX or one of barents, kara",
        ),
    ],
)
def test_what_is_neither_box_nor_file(text, message):
    with pytest.raises(InputError, match=one(message)):
        read_regions(text, N25)


METRES = st.floats(-5e6, 5e6)


@pytest.mark.slow
@given(west=METRES, width=st.floats(30e3, 2e6), south=METRES, height=st.floats(30e3, 2e6))
def test_bounds_take_exactly_the_centres_within(west, width, south, height):
    east, north = west + width, south + height
    within = ((N25.y >= south) & (N25.y <= north))[:, None] & ((N25.x >= west) & (N25.x <= east))[None]
    left, right, bottom, top = N25.extent
    if west < left or east > right or south < bottom or north > top:
        with pytest.raises(InputError, match="expected bounds within the grid, found west"):
            Box.from_bounds((west, east, south, north), N25)
        return
    box = Box.from_bounds((west, east, south, north), N25)
    box.check(N25)
    expected = np.zeros(N25.shape, bool)
    expected[box.rows, box.columns] = True
    assert np.array_equal(within, expected)


def test_centres_on_the_bounds_are_in_the_box():
    x, y = N25.x, N25.y
    assert Box.from_bounds((x[3], x[7], y[2], y[5]), N25) == Box(2, 6, 3, 8)
    assert Box.from_bounds((x[3], x[3], y[2], y[2]), N25) == Box(2, 3, 3, 4)
    assert Box.from_bounds((x[3] + 1, x[7] - 1, y[2] + 1, y[5] - 1), N25) == Box(3, 5, 4, 7)
    assert Box.from_bounds(N25.extent, N25) == Box(0, N25.rows, 0, N25.columns)


@pytest.mark.parametrize("side", range(4))
def test_bounds_are_never_clipped(side):
    bounds = list(N25.extent)
    bounds[side] += 1.0 if side % 2 else -1.0
    with pytest.raises(InputError, match=r"expected bounds within the grid, found .*; the grid n25000 "
                       r".* reaches from -3.85e\+06 to 3.75e\+06 m in x and from"):  # fmt: skip
        Box.from_bounds(tuple(bounds), N25)


def test_bounds_out_of_order_and_between_centres():
    with pytest.raises(
        InputError, match=r"expected west <= east and south <= north, found west 5, east"
    ):
        Box.from_bounds((5, 0, 0, 5), N25)
    with pytest.raises(InputError, match=r"found west nan, .*exchange them"):
        Box.from_bounds((float("nan"), 0, 0, 5), N25)
    x, y = N25.x[0], N25.y[0]
    with pytest.raises(InputError, match=r"no cell centre of the grid n25000 .* measure 25000 m"):
        Box.from_bounds((x + 1, x + 20000, y + 1, y + 20000), N25)


def test_named_places_lie_in_their_seas(real_data):
    path = real_data / "grids" / "Arctic_region_mask_Meier_AnnGlaciol2007.msk"
    transformer = Transformer.from_crs("EPSG:4326", "EPSG:3411", always_xy=True)
    places = {
        "Barents Sea": (40, 75), "Hudson Bay": (-85, 60), "Beaufort Sea": (-140, 73),
        "Central Arctic": (0, 88), "Sea of Okhotsk": (150, 55), "Laptev Sea": (125, 76),
        "Greenland Sea": (-10, 75), "Kara Sea": (70, 76),
    }  # fmt: skip
    for grid in (N25, get_grid("n6250")):
        regions = read_regions(str(path), grid)
        for sea, (longitude, latitude) in places.items():
            x, y = transformer.transform(longitude, latitude)
            row, column = int((y - grid.south) // grid.step), int((x - grid.west) // grid.step)
            assert regions.names[regions.codes[row, column] - 1] == sea


def test_a_region_file_in_kilometres_with_columns_first(tmp_path):
    """Order and units of the axes are read; words of land and lakes are no regions."""
    grid = get_grid("n25000")
    codes = np.zeros(grid.shape, np.uint8)
    codes[10:20, 30:60], codes[0, 0], codes[0, 1] = 3, 7, 8
    path = tmp_path / "regions.nc"
    with netCDF4.Dataset(path, "w") as dataset:
        for name, numbers in (("x", grid.x[::-1]), ("y", grid.y)):
            dataset.createDimension(name, numbers.size)
            axis = dataset.createVariable(name, "f8", (name,))
            axis.units = "km"
            axis[:] = numbers / 1000
        region = dataset.createVariable("region", "u1", ("x", "y"))
        region.flag_values = np.array([3, 7, 8], np.uint8)
        region.flag_meanings = "Fram_Strait land_mask lakes"
        region[:] = codes[:, ::-1].T
    regions = read_regions(str(path), grid)
    assert regions.names == ("Fram Strait",)
    np.testing.assert_array_equal(regions.codes, codes == 3)


@pytest.mark.parametrize(
    ("name", "grid_id", "inside", "outside"),
    [
        ("barents", "n25000", (40, 75), (70, 75)),
        ("kara", "n25000", (70, 75), (40, 75)),
        ("bering", "n25000", (-175, 58), (150, 58)),  # across 180 degrees
        ("chukchi", "n25000", (-170, 70), (175, 70)),
        ("central_arctic", "n25000", (-100, 85), (-100, 79)),
        ("ross", "s25000", (-175, -75), (0, -70)),
    ],
)
def test_a_sea_is_a_box_of_degrees(name, grid_id, inside, outside):
    grid = get_grid(grid_id)
    regions = read_regions(name, grid)
    assert regions.names == (name,)
    longitude, latitude = grid.longitude_latitude()
    for (lon, lat), code in ((inside, 1), (outside, 0)):
        turned = (longitude - lon + 180) % 360 - 180
        nearest = np.argmin(np.hypot(turned * np.cos(np.radians(lat)), latitude - lat))
        assert regions.codes.flat[nearest] == code


def test_a_sea_of_the_other_hemisphere_is_refused():
    with pytest.raises(InputError, match="has no cell in weddell, -60 to 20 degrees of longitude"):
        read_regions("weddell", N25)


def test_seas_are_those_that_hold_a_cell():
    grid = get_grid("n25000")
    everywhere = find_seas(grid, np.ones(grid.shape, bool))
    for name in SEA_BOXES:
        try:
            codes = read_regions(name, grid).codes
        except InputError:
            assert name not in everywhere
            continue
        assert name in everywhere
        assert name in find_seas(grid, codes > 0)
        assert name not in find_seas(grid, codes == 0)
    fine = get_grid("n6250")
    assert find_seas(fine, np.ones(fine.shape, bool)) == everywhere
    assert find_seas(grid, np.zeros(grid.shape, bool)) == []
