"""Grids of files and options: latitude and longitude, any EPSG code, every spelling of a projection."""

import netCDF4
import numpy as np
import pytest
from grid_truths import LOCATED, NSIDC_EDGES, PLACES, QUARTER, TEXTS, measure_area
from pyproj import CRS, Transformer

from seaice import InputError, cf
from seaice.grids import (
    Coordinate,
    Grid,
    describe_grid,
    get_grid,
    parse_grid,
    read_file_grid,
    read_layout,
    recognise_layout,
)

EASE = "EPSG:3408:25067.525:-9036842.7625,-9036842.7625,9036842.7625,9036842.7625"
LATITUDE_LONGITUDE = {"grid_mapping_name": "latitude_longitude"}


@pytest.mark.parametrize(
    ("text", "places"),
    [
        # Equator at Greenwich, Svalbard, the last row before the North Pole, the dateline.
        (QUARTER, [(360, 720), (673, 783), (719, 0), (400, 1439), (0, 17)]),
        (f"EPSG:3413:25000:{NSIDC_EDGES}", [(0, 0), (213, 154), (300, 100), (447, 303)]),
        ("osisafn12500", [(0, 0), (431, 432), (600, 200)]),
        (EASE, [(360, 360), (500, 200)]),
        ("EPSG:6933:25000:-10000000,-5000000,10000000,7000000", [(0, 0), (479, 799)]),
        ("EPSG:32633:1000:400000,8600000,500000,8700000", [(0, 0), (99, 99)]),
    ],
)  # fmt: skip
def test_areas_are_those_of_polygons_on_the_ellipsoid(text, places):
    grid = parse_grid(text)
    areas = grid.cell_area()
    for row, column in places:
        assert areas[row, column] == pytest.approx(measure_area(grid, row, column), rel=1e-5)


def test_a_global_grid():
    grid = parse_grid(QUARTER)
    assert grid.shape == (720, 1440)
    assert (grid.x[0], grid.x[-1], grid.y[0], grid.y[-1]) == (-179.875, 179.875, -89.875, 89.875)
    assert grid.extent == (-180, 180, -90, 90)
    assert (grid.hemisphere, grid.units, grid.is_geographic) == (None, "degrees", True)
    assert grid.kilometres == pytest.approx(27.82987)  # 0.25 / 360 of 40075.017 km
    assert grid.cell_area().sum() == pytest.approx(510_065_621.724, rel=1e-9)  # WGS 84
    # A degree of the meridian at the pole measures 111.694 km.
    assert grid.distance_to_pole()[719, 5] == pytest.approx(111_694 / 8, rel=1e-4)
    assert str(grid) == "epsg4326_0.25 (720 x 1440 cells of 0.25 degrees)"


@pytest.mark.parametrize(
    ("edges", "hemisphere"),
    [("-180,30,180,90", "north"), ("0,-90,360,0", "south"), ("-180,-5,180,90", None)],
)
def test_hemispheres_of_latitudes(edges, hemisphere):
    assert parse_grid(f"EPSG:4326:0.5:{edges}").hemisphere == hemisphere


def test_hemispheres_of_projections_about_no_pole():
    assert parse_grid("EPSG:3035:25000:2000000,1000000,6000000,5000000").hemisphere == "north"
    assert parse_grid("EPSG:6933:25000:-1000000,-1000000,1000000,1000000").hemisphere is None
    assert parse_grid("EPSG:3409:25000:-500000,-500000,500000,500000").hemisphere == "south"


def test_rows_about_the_poles_are_half_cells():
    grid = recognise_layout(np.arange(0, 360, 1.0), np.arange(-90, 91, 1.0), LATITUDE_LONGITUDE).grid
    assert grid.shape == (181, 360)
    assert grid.cell_area().sum() == pytest.approx(510_065_621.724, rel=1e-9)


LON, LAT = np.arange(-179.875, 180, 0.25), np.arange(-89.875, 90, 0.25)


@pytest.mark.parametrize(
    ("x", "y", "west", "turned"),
    [
        (LON, LAT, -180, (False, False)),
        (LON, LAT[::-1], -180, (True, False)),
        (LON[::-1], LAT, -180, (False, True)),
        (LON + 180, LAT, 0, (False, False)),
        (np.where(LON + 180 > 180, LON - 180, LON + 180), LAT, 0, (False, False)),  # 0..180, -180..0
        (LON.astype(np.float32), LAT.astype(np.float32)[::-1], -180, (True, False)),
    ],
)
def test_the_order_of_a_file_is_kept(x, y, west, turned):
    layout = recognise_layout(x, y, LATITUDE_LONGITUDE)
    assert (layout.turned_rows, layout.turned_columns) == turned
    assert layout.grid == Grid("x", 720, 1440, 0.25, west, -90, "EPSG:4326")
    np.testing.assert_allclose(np.sort(layout.grid.y), LAT)


def test_a_region_across_the_dateline():
    longitude, latitude = np.array([179.25, 179.75, -179.75]), np.array([60.25, 60.75])
    layout = recognise_layout(longitude, latitude, LATITUDE_LONGITUDE)
    assert layout.grid.x.tolist() == [179.25, 179.75, 180.25]
    longitude, _ = layout.grid.longitude_latitude()
    assert longitude[0].tolist() == [179.25, 179.75, -179.75]
    assert layout.grid == parse_grid("EPSG:4326:0.5:179,60,-179.5,61")


@pytest.mark.parametrize("step", [0.1, 1 / 12, 1 / 3, 0.01])
def test_rounded_degrees_are_recognised(step):
    exact = Grid("x", 120, 700, step, 20.0, 40.0, "EPSG:4326")
    layout = recognise_layout(exact.x.astype(np.float32), exact.y.astype(np.float32), LATITUDE_LONGITUDE)
    assert layout.grid == exact


def test_a_circle_further_is_the_same_place():
    grid = parse_grid(QUARTER)
    turned = Grid("x", 720, 1440, 0.25, 180.0, -90.0, "EPSG:4326")
    assert grid.same_cells(turned)
    assert not grid.same_cells(Grid("x", 720, 1440, 0.25, 0.0, -90.0, "EPSG:4326"))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0, 0.5, 1], [0, 0.25, 0.5], "not square: 0.5 degrees of longitude, 0.25 degrees of latitude"),
        ([0, 1, 2], [89, 90, 91], "expected latitudes from -90 to 90 degrees, found 88.5 to 91.5"),
        (np.arange(361), [0, 1], "the columns reach over 361 degrees of longitude: the last repeats"),
        ([0, 1, 3], [0, 1], "longitude coordinates are not ascending in even steps"),
    ],
)  # fmt: skip
def test_bad_degrees(x, y, message):
    with pytest.raises(InputError, match=message):
        recognise_layout(np.array(x, float), np.array(y, float), LATITUDE_LONGITUDE)


def coordinate(name, values, **attributes):
    return Coordinate(name, np.asarray(values, float), attributes)


def test_latitude_and_longitude_need_no_grid_mapping():
    degrees = {"units": "degrees_east"}, {"units": "degrees_north"}
    x, y = (coordinate(n, v, **a) for n, v, a in zip("xy", (LON, LAT), degrees, strict=True))
    assert read_layout(x, y).grid == parse_grid(QUARTER)
    assert read_layout(coordinate("lon", LON), coordinate("lat", LAT)).grid == parse_grid(QUARTER)
    with pytest.raises(InputError, match="expected x and y in metres, or both in degrees"):
        read_layout(x, coordinate("y", LAT, units="m"))
    with pytest.raises(InputError, match="found degrees_east and degrees_north"):
        read_layout(x, y, get_grid("n25000").to_cf())
    with pytest.raises(InputError, match="describes latitude and longitude, but x and y are in m and m"):
        read_layout(*(coordinate(n, LAT, units="m") for n in "xy"), LATITUDE_LONGITUDE)


# ---------------------------------------------------------------------- projections

PROJ = "+proj=stere +lat_0=90 +lat_ts=70 +lon_0=-45 +a=6378273 +b=6356889.449"
HUGHES = CRS.from_epsg(3411)
PARAMETERS = {k: v for k, v in HUGHES.to_cf().items() if k != "crs_wkt"}
TRAP = {**PARAMETERS, "straight_vertical_longitude_from_pole": 135.0}
SPELLINGS = {
    "crs_wkt": {"crs_wkt": HUGHES.to_wkt()},
    "spatial_ref of GDAL": {"spatial_ref": HUGHES.to_wkt("WKT1_GDAL")},
    "proj4text": {"proj4text": f"{PROJ} +units=m"},
    "proj4 in km": {"proj4_string": f"{PROJ} +units=km"},
    "srid": {"srid": "urn:ogc:def:crs:EPSG::3411"},
    "srid short": {"srid": "EPSG:3411"},
    "epsg_code": {"epsg_code": 3411},
    "CF": PARAMETERS,
    "WKT against CF": {**TRAP, "spatial_ref": HUGHES.to_wkt()},
    "EPSG against CF": {**TRAP, "srid": "urn:ogc:def:crs:EPSG::3411"},
    "proj4 against CF": {**TRAP, "proj4text": PROJ},
    "unreadable WKT": {"crs_wkt": "PROJCS[", **PARAMETERS},
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("is_part", [False, True])
def test_every_spelling_of_a_projection(spelling, is_part):
    grid = get_grid("n25000")
    grid = grid.crop(slice(100, 180), slice(20, 90)) if is_part else grid
    layout = recognise_layout(grid.x, grid.y[::-1], SPELLINGS[spelling])
    assert layout.turned_rows
    assert layout.grid.projection == "EPSG:3411"
    assert layout.grid == grid


def test_a_wrong_wkt_gives_way_where_the_cells_say_so():
    grid = get_grid("n25000")
    attributes = {"crs_wkt": CRS.from_epsg(3995).to_wkt(), **PARAMETERS}
    assert recognise_layout(grid.x, grid.y, attributes).grid == grid
    part = grid.crop(slice(100, 180), slice(20, 90))
    assert recognise_layout(part.x, part.y, attributes).grid.projection == "EPSG:3995"


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"grid_mapping_name": "of_no_kind"}, "describe no projection"),
        ({"grid_mapping_name": "polar_stereographic"}, "describe no projection: no attribute"),
        ({"crs_wkt": "rubbish"}, "describe no projection: crs_wkt"),
        ({"comment": "a map"}, "describe no projection: it has none of the attributes"),
        (
            {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25,
             "grid_north_pole_longitude": -162.0},
            "expected a map projection in metres, or latitude and longitude in degrees",
        ),
    ],
)  # fmt: skip
def test_attributes_that_describe_no_projection(attributes, message):
    with pytest.raises(InputError, match=message):
        recognise_layout(np.arange(3.0), np.arange(3.0), attributes)


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n25000", get_grid("n25000")),
        (" ease2s12500 ", get_grid("ease2s12500")),
        (f"EPSG:3411:25000:{NSIDC_EDGES}", get_grid("n25000")),
        (
            f"epsg:3413:25000:{NSIDC_EDGES}",
            Grid("n25000", 448, 304, 25e3, -3.85e6, -5.35e6, "EPSG:3413"),
        ),
        ("EPSG:6931:12500:-5.4e6,-5.4e6,5.4e6,5.4e6", get_grid("osisafn12500")),
        ("EPSG:3995:5000:0,0,5000,10000", Grid("epsg3995_5000", 2, 1, 5000, 0, 0, "EPSG:3995")),
        ("EPSG:4326:0.5:170,50,-170,80", Grid("epsg4326_0.5", 60, 40, 0.5, 170, 50, "EPSG:4326")),
    ],
)  # fmt: skip
def test_parsed_grids(text, expected):
    grid = parse_grid(text)
    assert (grid, grid.id) == (expected, expected.id)
    assert parse_grid(describe_grid(grid)) == grid


def test_edges_of_nsidc_about_another_meridian_are_meant():
    grid = parse_grid(f"EPSG:3995:25000:{NSIDC_EDGES}")
    assert (grid.id, grid.projection) == ("epsg3995_25000", "EPSG:3995")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "EPSG:3413:25000:-3850000,-5350000,3751000,5850000",
            r"the edges west -3850000 and east 3751000 lie 304.04 cells of 25000 apart, not a whole "
            "number; the nearest east edge is 3750000 or 3775000",
        ),
        ("EPSG:3413:25000:0,0,10,10", "the nearest east edge is 25000$"),
        ("EPSG:3413:25000:0,0,-25000,25000", "expected west below east, found 0 and -25000"),
        ("EPSG:3413:0:0,0,1,1", "expected a cell size above 0, found 0"),
        ("EPSG:4326:0.25:-180,-100,180,90", "latitudes from -90 to 90 degrees, found -100 to 90"),
        ("EPSG:4326:0.25:-180,-90,181,90", "reach over 361 degrees"),
        ("EPSG:99999:1:0,0,1,1", "EPSG:99999: PROJ knows no such code"),
        ("EPSG:2225:1:0,0,1,1", "expected a map projection in metres.*US survey foot"),
        ("EPSG:3413:25000", "expected EPSG:CODE:STEP:WEST,SOUTH,EAST,NORTH, found 'EPSG:3413:25000'"),
        ("EPSG:3413:1.2.3:0,0,1,1", "expected EPSG:CODE"),
        ("grid.nc", "no such file to take the grid from: grid.nc"),
        ("n1000", r"unknown grid 'n1000'; expected one of n3125, .*, EPSG:CODE:STEP.*, or a file"),
    ],
)  # fmt: skip
def test_texts_that_are_no_grid(text, message):
    with pytest.raises(InputError, match=message):
        parse_grid(text)


# ---------------------------------------------------------------------- files


def write_file(path, x, y, *, names=("x", "y"), x_attributes=None, y_attributes=None, mapping=None):
    with netCDF4.Dataset(path, "w") as dataset:
        for name, values, attributes in zip(names, (x, y), (x_attributes, y_attributes), strict=True):
            dataset.createDimension(name, len(values))
            variable = dataset.createVariable(name, "f8", (name,))
            variable[:] = values
            variable.setncatts(attributes or {"units": "m"})
        field = dataset.createVariable("ice", "f4", names[::-1])
        if mapping:
            # Another one, which the field does not name.
            dataset.createVariable("crs", "i4", ()).setncatts(CRS.from_epsg(3031).to_cf())
            crs = dataset.createVariable("some_projection", "i4", ())
            crs.setncatts(mapping)
            field.grid_mapping = f"some_projection: {names[0]} {names[1]}"
    return path


@pytest.mark.parametrize("grid_id", ["n10000", "osisafs25000"])
def test_a_file_of_osi_saf(tmp_path, grid_id):
    """Coordinates xc and yc in kilometres, the north first, and a CRS as text alone."""
    grid, km = get_grid(grid_id), {"units": "km"}
    texts = {"n10000": PROJ, "osisafs25000": "+proj=laea +lat_0=-90 +lon_0=0 +datum=WGS84"}
    text = f"{texts[grid_id]} +units=km"
    path = write_file(
        tmp_path / "a.nc", grid.x / 1000, grid.y[::-1] / 1000, names=("xc", "yc"),
        x_attributes=km, y_attributes=km, mapping={"proj4_string": text},
    )  # fmt: skip
    read = parse_grid(str(path))
    assert (read, read.id) == (grid, grid_id)


def test_files_of_latitude_and_longitude(tmp_path):
    north, east = {"units": "degrees_north"}, {"units": "degrees_east"}
    path = write_file(
        tmp_path / "a.nc", LON + 180, LAT[::-1], names=("lon", "lat"),
        x_attributes=east, y_attributes=north,
    )  # fmt: skip
    assert parse_grid(str(path)) == parse_grid("EPSG:4326:0.25:0,-90,360,90")


def test_files_without_a_grid(tmp_path):
    x = np.arange(0, 3e6, 25000.0)
    bare = write_file(tmp_path / "bare.nc", x, x)
    with pytest.raises(
        InputError, match=f"^{bare}: cannot tell the projection of a grid of 120 x 120 cells"
    ):
        parse_grid(str(bare))
    with netCDF4.Dataset(tmp_path / "swath.nc", "w") as dataset:
        dataset.createDimension("n", 4)
        dataset.createVariable("lat", "f4", ("n", "n"))
    with pytest.raises(
        InputError, match=r"swath.nc: expected coordinates along rows and columns .* found lat"
    ):
        parse_grid(str(tmp_path / "swath.nc"))
    (tmp_path / "text.nc").write_text("no file")
    with pytest.raises(InputError, match=r"text.nc is no readable NetCDF file"):
        parse_grid(str(tmp_path / "text.nc"))
    with pytest.raises(InputError, match="a Zarr group, found the folder"):
        parse_grid(str(tmp_path))


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_groups_of_xarray(tmp_path, version):
    import xarray as xr

    grid = parse_grid(f"EPSG:3413:25000:{NSIDC_EDGES}").crop(slice(0, 40), slice(0, 30))
    dataset = xr.Dataset(
        {"ice": (("y", "x"), np.zeros(grid.shape, np.float32)), "crs": ((), 0, grid.to_cf())},
        {"x": ("x", grid.x, {"units": "m"}), "y": ("y", grid.y[::-1], {"units": "m"})},
    )
    dataset["ice"].attrs["grid_mapping"] = "crs"
    dataset.to_zarr(tmp_path / "a.zarr", zarr_format=version, consolidated=False)
    assert parse_grid(str(tmp_path / "a.zarr")) == grid


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("text", [QUARTER, f"EPSG:3413:25000:{NSIDC_EDGES}", "osisafs50000"])
@pytest.mark.parametrize("big", ["YES", "NO"])
def test_geotiffs_of_rasterio(tmp_path, text, big):
    rasterio = pytest.importorskip("rasterio")
    from rasterio.transform import from_origin

    grid = parse_grid(text)
    west, _, _, north = grid.extent
    with rasterio.open(
        tmp_path / "a.tif", "w", width=grid.columns, height=grid.rows, count=1, dtype="uint16",
        crs=grid.projection, transform=from_origin(west, north, grid.step, grid.step), BIGTIFF=big,
    ) as file:  # fmt: skip
        file.write(np.zeros((1, *grid.shape), np.uint16))
    assert parse_grid(str(tmp_path / "a.tif")) == grid


def test_geotiffs_without_a_grid(tmp_path):
    from PIL import Image

    path = tmp_path / "plain.tif"
    Image.new("L", (4, 3)).save(path)
    with pytest.raises(InputError, match=r"plain.tif is a TIFF without a position on the Earth"):
        parse_grid(str(path))
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(InputError, match=r"plain.tif is no readable GeoTIFF"):
        parse_grid(str(path))
    path.write_bytes(b"GIF89a and more")
    with pytest.raises(InputError, match=r"plain.tif is no readable GeoTIFF .it does not begin as one"):
        parse_grid(str(path))
    with pytest.raises(InputError, match="no such file"):
        read_file_grid(tmp_path / "absent.tif")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cdr/seaice_conc_daily_nh_20211231_f17_v04r00.nc", "n25000"),  # meridian 135 in its parameters
        ("nasateam/NIC_valid_ice_mask.N25km.01.1972-2007.nc", "n25000"),  # dimensions rows and cols
        ("bremen/asi-AMSR2-n6250-20200101-v5.4.nc", "n6250"),
        ("sea_ice_index/g02135_north_daily_20250101_20250331.nc", "n25000"),
        ("sst/f16_ssmis_20200102v7.nc", "EPSG:4326:0.25:0,-90,360,90"),
    ],
)
def test_real_files(real_data, name, text):
    assert parse_grid(str(real_data / name)) == parse_grid(text)


# ---------------------------------------------------------------------- written files


@pytest.fixture(scope="module", params=TEXTS)
def written(request, tmp_path_factory):
    """A file of a grid with the number of every cell, and the cells of named places."""
    grid = parse_grid(request.param)
    path = tmp_path_factory.mktemp("grids") / "cells.nc"
    row = cf.Variable("cell", ("y", "x"), "i4", {"long_name": "number of the cell", "units": "1"})
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.Conventions = cf.CONVENTIONS
        cf.write_grid(dataset, grid)
        cf.define_variable(dataset, row)[:] = np.arange(grid.rows * grid.columns).reshape(grid.shape)
    return path, grid, LOCATED[request.param]


def test_a_written_grid_is_read_back(written):
    path, grid, _ = written
    read = read_file_grid(path)
    assert (read, read.id) == (grid, grid.id)


def test_xarray_finds_the_places(written):
    import xarray as xr

    path, grid, cells = written
    to_grid = Transformer.from_crs(grid.crs.geodetic_crs, grid.crs, always_xy=True)
    with xr.open_dataset(path, decode_coords="all") as dataset:
        assert CRS.from_cf(dataset.crs.attrs) == grid.crs
        for name, (row, column) in cells.items():
            x, y = to_grid.transform(*PLACES[name])
            nearest = dataset.cell.sel(x=x, y=y, method="nearest")
            assert divmod(int(nearest), grid.columns) == (row, column), name
        standard_names = [dataset[n].standard_name for n in "xy"]
    projected = ["projection_x_coordinate", "projection_y_coordinate"]
    assert standard_names == (["longitude", "latitude"] if grid.is_geographic else projected)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform", "ignore::PendingDeprecationWarning")
def test_rioxarray_places_it(written):
    rioxarray = pytest.importorskip("rioxarray")
    path, grid, _ = written
    with rioxarray.open_rasterio(path) as field:
        assert field.rio.crs.to_epsg() == int(grid.projection[5:])
        west, south, east, north = field.rio.bounds()
    assert (west, east, south, north) == pytest.approx(grid.extent)


def test_pyresample_places_it(written):
    pyresample = pytest.importorskip("pyresample")
    path, grid, cells = written
    area, _ = pyresample.utils.load_cf_area(str(path), variable="cell")
    assert area.shape == grid.shape
    for name, (row, column) in cells.items():
        longitude, latitude = PLACES[name]
        columns, rows = area.get_array_indices_from_lonlat(longitude, latitude)
        assert (int(rows), int(columns)) == (row, column), name
