"""Days of concentration products in the layouts of their producers, written from what is known of them.

Nothing here comes from the reader or its descriptions: codes, scales, names and grids are written down
again. A day is painted at named places, which are put on the grid through PROJ; row 0 is the largest y,
as in nearly all of these files.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path

import h5py
import netCDF4
import numpy as np
from pyproj import Transformer

DAY = date(2020, 3, 5)
# Cells that have a standard error in files that have any.
ERROR_KINDS = ("ice", "never", "lake")

# Longitude, latitude, what lies there, and percent of ice where there is some.
PLACES = {
    "north": {
        "Lake Superior": (-87.5, 47.6, "lake", 80),
        "the pole": (30.0, 89.8, "hole", 96),
        "Greenland": (-40.0, 72.0, "land", None),
        "coast of Greenland": (-22.0, 70.0, "coast", None),
        "Beaufort Sea": (-140.0, 74.0, "ice", 84),
        "Kara Sea": (75.0, 76.0, "ice", 100),
        "Hudson Bay": (-85.0, 60.0, "ice", 20),
        "Barents Sea": (40.0, 74.0, "ice", 0),
        "Laptev Sea": (125.0, 76.0, "missing", None),
        "East Siberian Sea": (160.0, 73.0, "interpolated", 60),
        "south of Iceland": (-20.0, 60.0, "never", 0),
        "the Caspian": (51.0, 42.0, "ice", 40),  # not on the polar stereographic grids
    },
    "south": {
        "Weddell Sea": (-45.0, -72.0, "ice", 84),
        "Ross Sea": (-175.0, -74.0, "ice", 100),
        "Dronning Maud Land": (10.0, -75.0, "land", None),
        "coast of Wilkes Land": (115.0, -66.5, "coast", None),
        "the pole": (30.0, -89.8, "land", None),
        "Bellingshausen Sea": (-80.0, -70.0, "missing", None),
        "off Prydz Bay": (75.0, -65.0, "interpolated", 60),
        "off the Cape": (15.0, -52.0, "never", 0),
        "Amundsen Sea": (-110.0, -70.0, "ice", 20),
        "Davis Sea": (92.0, -62.0, "ice", 0),
    },
}


@cache
def to_projection(projection) -> Transformer:
    return Transformer.from_crs(4326, projection, always_xy=True)


@dataclass(frozen=True)
class Cells:
    """Cells of a grid, by hand: shape, side, x of the west and y of the north edge, metres."""

    rows: int
    columns: int
    step: float
    west: float
    north: float
    epsg: int

    @property
    def x(self):
        return self.west + (np.arange(self.columns) + 0.5) * self.step

    @property
    def y(self):
        """From the largest y down."""
        return self.north - (np.arange(self.rows) + 0.5) * self.step

    def locate(self, longitude, latitude):
        """Row from the top and column of a place; None outside."""
        x, y = to_projection(self.epsg).transform(longitude, latitude)
        row, column = int((self.north - y) // self.step), int((x - self.west) // self.step)
        inside = 1 <= row < self.rows - 1 and 1 <= column < self.columns - 1
        return (row, column) if inside else None


GRIDS = {
    "n25": Cells(448, 304, 25000.0, -3850000.0, 5850000.0, 3411),
    "s25": Cells(332, 316, 25000.0, -3950000.0, 4350000.0, 3412),
    "n12": Cells(896, 608, 12500.0, -3850000.0, 5850000.0, 3411),
    "s12": Cells(664, 632, 12500.0, -3950000.0, 4350000.0, 3412),
    "n10": Cells(1120, 760, 10000.0, -3850000.0, 5850000.0, 3411),
    "s10": Cells(830, 790, 10000.0, -3950000.0, 4350000.0, 3412),
    "ne25": Cells(432, 432, 25000.0, -5400000.0, 5400000.0, 6931),
    "se25": Cells(432, 432, 25000.0, -5400000.0, 5400000.0, 6932),
    "ne12": Cells(864, 864, 12500.0, -5400000.0, 5400000.0, 6931),
    "se12": Cells(864, 864, 12500.0, -5400000.0, 5400000.0, 6932),
    "ne50": Cells(216, 216, 50000.0, -5400000.0, 5400000.0, 6931),
    "se50": Cells(216, 216, 50000.0, -5400000.0, 5400000.0, 6932),
}


@dataclass
class Scene:
    """A painted day: percent and what a cell is, row 0 the largest y."""

    cells: Cells
    percent: np.ndarray
    kind: np.ndarray  # texts
    places: dict[str, tuple[int, int]] = field(default_factory=dict)

    def is_kind(self, *kinds):
        return np.isin(self.kind, kinds)


def paint(grid: str, half: str) -> Scene:
    """Paint a day: open water with a tongue of ice in the upper left, and the named places."""
    cells = GRIDS[grid]
    scene = Scene(
        cells,
        np.zeros((cells.rows, cells.columns)),
        np.full((cells.rows, cells.columns), "ice", dtype="<U12"),
    )
    scene.percent[2:7, 2:20] = 52
    for name, (longitude, latitude, kind, percent) in PLACES[half].items():
        place = cells.locate(longitude, latitude)
        if place is None:
            continue
        row, column = scene.places[name] = place
        scene.kind[row - 1 : row + 2, column - 1 : column + 2] = kind
        scene.percent[row - 1 : row + 2, column - 1 : column + 2] = percent or 0
    return scene


def encode(scene: Scene, per_percent: float, dtype: str, codes: dict[str, int]) -> np.ndarray:
    """Stored numbers: percent times a factor, and a code for the kinds that have one."""
    raw = np.rint(scene.percent * per_percent).astype(dtype)
    for kind, code in codes.items():
        raw[scene.kind == kind] = code
    return raw


# --- NASA Team and Bootstrap --------------------------------------------------------------------------

NASA_TEAM = {"hole": 251, "coast": 253, "land": 254, "missing": 255}
BOOTSTRAP = {"hole": 1100, "missing": 1100, "land": 1200, "coast": 1200, "lake": 1200}


def header(scene: Scene, name: str) -> bytes:
    """300 bytes: 21 fields of six, the name of the file, a title, more information."""
    cells = scene.cells
    fields = ["00255", f"{cells.columns:5d}", f"{cells.rows:5d}", "1.799"] + ["-9999"] * 16 + ["00250"]
    text = b"".join(part.encode().ljust(5)[:5] + b"\0" for part in fields)
    return text + name.encode().ljust(24)[:24] + b"NASA TEAM".ljust(80) + b" " * 70


def write_nasa_team(path: Path, scene: Scene, **_: object) -> None:
    raw = encode(scene, 2.5, "u1", NASA_TEAM)
    path.write_bytes(header(scene, path.name) + raw.tobytes())


def write_bootstrap(path: Path, scene: Scene, **_: object) -> None:
    path.write_bytes(encode(scene, 10, "<i2", BOOTSTRAP).tobytes())


def define_axes(dataset, cells: Cells, *, x="x", y="y", units="m", time=None, extra=None) -> None:
    """Dimensions and coordinates of a projected grid, y from the top down."""
    for name, values, standard in (
        (y, cells.y, "projection_y_coordinate"),
        (x, cells.x, "projection_x_coordinate"),
    ):
        if name not in dataset.dimensions:
            dataset.createDimension(name, values.size)
        variable = dataset.createVariable(name, "f8", (name,))
        variable.standard_name, variable.units = standard, units
        variable[:] = values / (1000 if units == "km" else 1)


def define_time(
    dataset, days, *, units="days since 1970-01-01", dtype="f8", name="time", hour=0
) -> None:
    dataset.createDimension(name, None)
    time = dataset.createVariable("time", dtype, (name,))
    time.units, time.calendar = units, "gregorian"
    epoch = date.fromisoformat(units.split()[2])
    scale = 86400 if units.startswith("seconds") else 1
    time[:] = [((day - epoch).days + hour / 24) * scale for day in days]


def write_icecon(
    path: Path,
    scene: Scene,
    *,
    days,
    satellites,
    codes,
    per_percent,
    dtype,
    scale,
    units="Fraction between 0.0 - 1.0",
) -> None:
    """NSIDC's NetCDF of one variable a satellite; of several the first listed has the painted day."""
    with netCDF4.Dataset(path, "w") as dataset:
        define_time(dataset, days, dtype="i4")
        define_axes(dataset, scene.cells)
        crs = dataset.createVariable("crs", "S1", ())
        crs.grid_mapping_name = "polar_stereographic"
        crs.straight_vertical_longitude_from_pole = -45.0 if scene.cells.epsg == 3411 else 0.0
        crs.standard_parallel = 70.0 if scene.cells.epsg == 3411 else -70.0
        crs.semi_major_axis, crs.inverse_flattening = 6378273.0, 298.279411123064
        for number, satellite in enumerate(satellites):
            variable = dataset.createVariable(
                f"{satellite}_ICECON", dtype, ("time", "y", "x"), zlib=True, fill_value=False
            )
            variable.setncatts(
                {"scale_factor": scale, "units": units, "long_name": "Sea Ice Concentration"}
            )
            variable.grid_mapping = "crs"
            variable.set_auto_maskandscale(False)
            raw = encode(scene, per_percent, dtype, codes)
            if number:
                raw[scene.kind == "ice"] = 0
            variable[0] = raw


def write_nasa_team_netcdf(path: Path, scene: Scene, *, days=(DAY,), satellites=("F17",)) -> None:
    write_icecon(
        path,
        scene,
        days=days,
        satellites=satellites,
        codes=NASA_TEAM,
        per_percent=2.5,
        dtype="u1",
        scale=0.004,
    )


def write_bootstrap_netcdf(path: Path, scene: Scene, *, days=(DAY,), satellites=("F17",)) -> None:
    write_icecon(
        path,
        scene,
        days=days,
        satellites=satellites,
        codes=BOOTSTRAP,
        per_percent=10,
        dtype="i2",
        scale=0.001,
    )


# --- climate data record of NOAA and NSIDC ------------------------------------------------------------

RECORD = {"lake": 252, "coast": 253, "land": 254, "missing": 255}
RECORD_BITS = {"never": 16 | 1, "hole": 32, "interpolated": 64 | 2}


def write_record(
    path: Path, scene: Scene, *, days=(DAY,), name="cdr_seaice_conc", signed=False, **_: object
) -> None:
    """Versions 3 and 4: all in the root group, the hole filled, the meridian of the CRS turned round."""
    cells, north = scene.cells, scene.cells.epsg == 3411
    with netCDF4.Dataset(path, "w") as dataset:
        define_time(dataset, days, units="days since 1601-01-01", dtype="f4", name="tdim")
        dataset.createDimension("y", cells.rows)
        dataset.createDimension("x", cells.columns)
        for axis, values in (("x", cells.x), ("y", cells.y)):
            variable = dataset.createVariable(f"{axis}grid", "f4", (axis,))
            variable.units, variable.standard_name = "meters", f"projection_{axis}_coordinate"
            variable[:] = values
        projection = dataset.createVariable("projection", "S1", ())
        projection.grid_mapping_name = "polar_stereographic"
        projection.straight_vertical_longitude_from_pole = 135.0 if north else 180.0
        projection.standard_parallel = 70.0 if north else -70.0
        projection.latitude_of_projection_origin = 90.0 if north else -90.0

        def define(name, dtype, fill, **attributes):
            variable = dataset.createVariable(
                name, dtype, ("tdim", "y", "x"), fill_value=fill, zlib=True
            )
            variable.set_auto_maskandscale(False)
            variable.setncatts({"grid_mapping": "projection", **attributes})
            return variable

        raw = encode(scene, 1, "u1", RECORD)
        bits = np.zeros(raw.shape, "u1")
        for kind, bit in RECORD_BITS.items():
            bits[scene.kind == kind] = bit
        stdev = np.where(scene.is_kind(*ERROR_KINDS), 0.015, -1).astype("f4")
        number = np.dtype("i1" if signed else "u1")
        attributes = {
            "_Unsigned": "true",
            "units": "1",
            "scale_factor": np.float32(0.01),
            "valid_range": np.array([0, 100], number),
        }
        concentration = define(name, number, -1 if signed else 255, **attributes)
        quality = define(
            f"qa_of_{name}", "u1", 0, flag_masks=np.array([1, 2, 4, 8, 16, 32, 64, 128], "u1")
        )
        error = define(f"stdev_of_{name}", "f4", -1.0)
        for index in range(len(days)):
            concentration[index] = raw.view(number)
            quality[index], error[index] = bits, stdev


SURFACE = {"lake": 75, "hole": 100, "coast": 200, "land": 250}


def write_record_groups(
    path: Path, scene: Scene, *, days=(DAY,), time_units="days since 1970-01-01", **_: object
) -> None:
    """Versions 5 and 6: every cell without a value is 255, what it is stands in a group."""
    with netCDF4.Dataset(path, "w") as dataset:
        define_time(dataset, days, units=time_units)
        define_axes(dataset, scene.cells)
        dataset.createVariable("crs", "i4", ()).grid_mapping_name = "polar_stereographic"

        def define(group, name, dtype, fill, **attributes):
            variable = group.createVariable(name, dtype, ("time", "y", "x"), fill_value=fill, zlib=True)
            variable.set_auto_maskandscale(False)
            variable.setncatts({"grid_mapping": "crs", **attributes})
            return variable

        scale = {"scale_factor": 0.01, "add_offset": 0.0, "units": "1"}
        concentration = define(dataset, "cdr_seaice_conc", "u1", 255, **scale)
        quality = define(dataset, "cdr_seaice_conc_qa_flag", "u1", None)
        error = define(dataset, "cdr_seaice_conc_stdev", "f4", -1.0)
        group = dataset.createGroup("cdr_supplementary")
        surface = define(group, "surface_type_mask", "u1", None)
        raw = encode(scene, 1, "u1", dict.fromkeys(("lake", "coast", "land", "missing"), 255))
        bits = np.zeros(raw.shape, "u1")
        for kind, bit in RECORD_BITS.items():
            bits[scene.kind == kind] = bit
        for index in range(len(days)):
            concentration[index], quality[index] = raw, bits
            error[index] = np.where(scene.is_kind(*ERROR_KINDS), 0.015, -1)
            surface[index] = encode(
                Scene(scene.cells, scene.percent * 0 + 50, scene.kind), 1, "u1", SURFACE
            )


# --- Sea Ice Index ------------------------------------------------------------------------------------

INDEX = {"hole": 2510, "coast": 2530, "land": 2540, "missing": 2550}


def write_index(path: Path, scene: Scene, **_: object) -> None:
    """A GeoTIFF of 16 bits with a palette, in strips of 12 rows without compression."""
    cells = scene.cells
    raw = encode(scene, 10, "<u2", INDEX)
    data = raw.tobytes()
    strip = 12 * cells.columns * 2
    starts = list(range(0, len(data), strip))
    counts = [min(strip, len(data) - start) for start in starts]
    tags = [
        (256, "H", [cells.columns]),
        (257, "H", [cells.rows]),
        (258, "H", [16]),
        (259, "H", [1]),
        (262, "H", [3]),
        (273, "I", [8 + start for start in starts]),
        (277, "H", [1]),
        (278, "H", [12]),
        (279, "I", counts),
        (320, "H", [0] * (3 << 16)),
        (33550, "d", [cells.step, cells.step, 0.0]),
        (33922, "d", [0.0, 0.0, 0.0, cells.west, cells.north, 0.0]),
        (34735, "H", [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, cells.epsg]),
    ]
    kinds = {"H": 3, "I": 4, "d": 12}
    directory = 8 + len(data) + len(data) % 2
    behind = directory + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, letter, numbers in tags:
        packed = struct.pack(f"<{len(numbers)}{letter}", *numbers)
        if len(packed) > 4:
            place = struct.pack("<I", behind + len(values))
            values += packed
        else:
            place = packed.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, kinds[letter], len(numbers)) + place
    path.write_bytes(
        b"II*\0"
        + struct.pack("<I", directory)
        + data
        + b"\0" * (len(data) % 2)
        + struct.pack("<H", len(tags))
        + entries
        + b"\0\0\0\0"
        + values
    )


# --- AMSR unified -------------------------------------------------------------------------------------

AMSR = {"hole": 110, "missing": 110, "land": 120, "coast": 120, "lake": 120}


def write_amsr(path: Path, scenes: dict[str, Scene], *, kilometres: int, upside_down=False) -> None:
    """HDF-EOS5 with both halves of the Earth in one file."""
    with h5py.File(path, "w") as file:
        for half, letter in (("north", "N"), ("south", "S")):
            scene = scenes[half]
            cells = scene.cells
            group = file.create_group(f"HDFEOS/GRIDS/{letter}pPolarGrid{kilometres}km")
            meshes = np.meshgrid(cells.x, cells.y)
            longitude, latitude = to_projection(cells.epsg).transform(*meshes, direction="INVERSE")
            turn = slice(None, None, -1 if upside_down else 1)
            group["lat"], group["lon"] = latitude[turn].astype("f4"), longitude[turn].astype("f4")
            group["XDim"], group["YDim"] = np.zeros(cells.columns), np.zeros(cells.rows)
            raw = encode(scene, 1, "i4", AMSR)[turn]
            fields = group.create_group("Data Fields")
            for suffix in ("ASC", "DAY", "DSC"):
                name = f"SI_{kilometres}km_{letter}H_ICECON_{suffix}"
                fields[name] = raw if suffix == "DAY" else np.full_like(raw, 110)
                fields[name].attrs["units"] = np.bytes_("percent")
                fields[name].attrs["comment"] = np.bytes_("0 open water, 110 missing, 120 land")


# --- OSI SAF, C3S and ESA CCI -------------------------------------------------------------------------

STATUS_BITS = {"land": 1, "coast": 1, "lake": 2, "never": 128, "hole": 32, "interpolated": 64 | 16}


def write_osisaf(
    path: Path,
    scene: Scene,
    *,
    days=(DAY,),
    dtype="i2",
    error="total_standard_uncertainty",
    fill=-32767,
    **_: object,
) -> None:
    """A climate record of OSI SAF, C3S or ESA CCI: percent, kilometres, status in bits."""
    north = scene.cells.epsg == 6931
    with netCDF4.Dataset(path, "w") as dataset:
        define_time(dataset, days, units="seconds since 1978-01-01", hour=12)
        dataset.createDimension("nv", 2)
        define_axes(dataset, scene.cells, x="xc", y="yc", units="km")
        mapping = dataset.createVariable("Lambert_Azimuthal_Grid", "i4", ())
        mapping.grid_mapping_name = "lambert_azimuthal_equal_area"
        mapping.longitude_of_projection_origin = 0.0
        mapping.latitude_of_projection_origin = 90.0 if north else -90.0
        mapping.false_easting = mapping.false_northing = 0.0
        mapping.semi_major_axis, mapping.inverse_flattening = 6378137.0, 298.257223563
        raw = encode(scene, 100, dtype, dict.fromkeys(("land", "coast", "missing"), fill))
        write_osisaf_variables(dataset, scene, raw, "Lambert_Azimuthal_Grid", error, fill)
        status = dataset.createVariable("status_flag", "i1", ("time", "yc", "xc"), fill_value=-1)
        status.set_auto_maskandscale(False)
        bits = np.zeros(raw.shape, "u1")
        for kind, bit in STATUS_BITS.items():
            bits[scene.kind == kind] = bit
        status[0] = bits.view("i1")


def write_osisaf_variables(dataset, scene, raw, mapping, error, fill) -> None:
    for name in ("ice_conc", error):
        variable = dataset.createVariable(
            name, raw.dtype, ("time", "yc", "xc"), fill_value=fill, zlib=True
        )
        variable.set_auto_maskandscale(False)
        variable.setncatts(
            {"scale_factor": 0.01, "add_offset": 0.0, "units": "%", "grid_mapping": mapping}
        )
        variable[0] = raw if name == "ice_conc" else np.where(scene.is_kind(*ERROR_KINDS), 150, fill)


# Words of the status flag of near-real-time files, and in which order its masks count.
STATUS_WORDS = (
    "land lake open_water_filter land_spill_over_corrected high_t2m_temperature spatial_interp "
    "temporal_interp max_ice_climatology"
)


def write_osisaf_now(path: Path, scene: Scene, *, days=(DAY,), format="NETCDF4") -> None:
    """Near real time on 10 km: the flags say what they mean, 999 stands for missing."""
    with netCDF4.Dataset(path, "w", format=format) as dataset:
        define_time(dataset, days, units="seconds since 1978-01-01", hour=12)
        define_axes(dataset, scene.cells, x="xc", y="yc", units="km")
        mapping = dataset.createVariable("Polar_Stereographic_Grid", "i4", ())
        mapping.grid_mapping_name = "polar_stereographic"
        mapping.straight_vertical_longitude_from_pole = -45.0 if scene.cells.epsg == 3411 else 0.0
        mapping.latitude_of_projection_origin = 90.0 if scene.cells.epsg == 3411 else -90.0
        mapping.standard_parallel = 70.0 if scene.cells.epsg == 3411 else -70.0
        mapping.false_easting = mapping.false_northing = 0.0
        mapping.semi_major_axis, mapping.semi_minor_axis = 6378273.0, 6356889.44891
        raw = encode(scene, 100, "i2", dict.fromkeys(("land", "coast", "missing", "hole"), -999))
        write_osisaf_variables(
            dataset, scene, raw, "Polar_Stereographic_Grid", "total_uncertainty", -999
        )
        status = dataset.createVariable("status_flag", "i2", ("time", "yc", "xc"))
        status.flag_masks = np.array([1, 2, 4, 8, 16, 32, 64, 128], "i2")
        status.flag_meanings = STATUS_WORDS
        bits = np.zeros(raw.shape, "i2")
        for kind, bit in {**STATUS_BITS, "hole": 0}.items():
            bits[scene.kind == kind] = bit
        status[0] = bits


# --- days of retrieve_concentration.py ----------------------------------------------------------------


def write_retrieved(path: Path, scene: Scene, *, days=(DAY,), **_: object) -> None:
    """Percent as float32, the first row in the south, land told by a bit beside other flags."""
    cells, fill = scene.cells, np.float32(9.96921e36)
    with netCDF4.Dataset(path, "w") as dataset:
        define_time(dataset, days)
        dataset.createDimension("x", cells.columns)
        dataset.createDimension("y", cells.rows)
        for axis, values in (("x", cells.x), ("y", cells.y[::-1])):
            variable = dataset.createVariable(axis, "f8", (axis,))
            variable.standard_name, variable.units = f"projection_{axis}_coordinate", "m"
            variable[:] = values
        crs = dataset.createVariable("crs", "i4", ())
        crs.crs_wkt = to_projection(cells.epsg).target_crs.to_wkt()
        no_value = scene.is_kind("land", "coast", "lake", "missing", "hole")
        fields = {
            "sea_ice_conc": np.where(no_value, fill, scene.percent),
            "sea_ice_conc_asi": np.full(no_value.shape, 7),
            "sea_ice_conc_error": np.where(scene.is_kind("ice", "never"), 1.5, fill),
            "sea_ice_conc_raw": np.full(no_value.shape, -3),
        }
        for name, values in fields.items():
            variable = dataset.createVariable(name, "f4", ("time", "y", "x"), fill_value=fill)
            variable.set_auto_maskandscale(False)
            variable.setncatts({"units": "percent", "grid_mapping": "crs"})
            variable[0] = values[::-1]
        status = dataset.createVariable("status_flag", "u2", ("time", "y", "x"))
        status[0] = np.where(scene.is_kind("land", "coast", "lake"), 256, 1 | 32)[::-1]


# --- the forms ----------------------------------------------------------------------------------------

VALUE, MISSING, LAND, COAST, LAKE, HOLE, NEVER = range(7)


@dataclass(frozen=True)
class Layout:
    """A form of a product: its names, what writes it, and what its reader has to say of a kind.

    Attributes
    ----------
    classes : dict
        Number of the class of each kind; kinds that are not listed are values.
    tells_interpolated : bool
    interpolated : tuple
        Kinds of which the values are interpolated.
    error : float or None
        Percent at the values among the cells of ERROR_KINDS.
    """

    product: str
    names: dict[str, str]
    grids: dict[str, str]
    write: Callable[..., None]
    classes: dict[str, int]
    error: float | None = None
    tells_interpolated: bool = False
    interpolated: tuple[str, ...] = ()
    options: dict = field(default_factory=dict)


P25, P12, P10 = ({"north": f"n{n}", "south": f"s{n}"} for n in (25, 12, 10))
E25, E12, E50 = ({"north": f"ne{n}", "south": f"se{n}"} for n in (25, 12, 50))


def both(pattern: str, north: str, south: str) -> dict[str, str]:
    return {"north": pattern.replace("@", north), "south": pattern.replace("@", south)}


_NT = {"land": LAND, "coast": COAST, "hole": HOLE, "missing": MISSING}
_BT = {"land": LAND, "coast": LAND, "lake": LAND, "hole": MISSING, "missing": MISSING}
_CDR3 = {"land": LAND, "coast": COAST, "lake": LAKE, "missing": MISSING}
_CDR = {**_CDR3, "never": NEVER}
_OSI = {"land": LAND, "coast": LAND, "lake": LAKE, "missing": MISSING, "never": NEVER}
_CDR_MORE = {"error": 1.5, "tells_interpolated": True, "interpolated": ("hole", "interpolated")}
_OSI_NOW = {"error": 1.5, "tells_interpolated": True, "interpolated": ("interpolated",)}

LAYOUTS = {
    "nasa team, binary": Layout(
        "nsidc-0051", both("nt_20200305_f17_v1.1_@.bin", "n", "s"), P25, write_nasa_team, _NT
    ),
    "nasa team, NetCDF": Layout(
        "nsidc-0051",
        both("NSIDC0051_SEAICE_PS_@25km_20200305_v2.0.nc", "N", "S"),
        P25,
        write_nasa_team_netcdf,
        _NT,
    ),
    "nasa team now, binary": Layout(
        "nsidc-0081", both("nt_20200305_f18_nrt_@.bin", "n", "s"), P25, write_nasa_team, _NT
    ),
    "nasa team now, NetCDF of three satellites": Layout(
        "nsidc-0081",
        both("NSIDC0081_SEAICE_PS_@25km_20200305_v2.0.nc", "N", "S"),
        P25,
        write_nasa_team_netcdf,
        _NT,
        options={"satellites": ("F17", "F16", "F18")},
    ),
    "bootstrap, binary": Layout(
        "nsidc-0079", both("bt_20200305_f17_v3.1_@.bin", "n", "s"), P25, write_bootstrap, _BT
    ),
    "bootstrap, NetCDF": Layout(
        "nsidc-0079",
        both("NSIDC0079_SEAICE_PS_@25km_20200305_v4.0.nc", "N", "S"),
        P25,
        write_bootstrap_netcdf,
        _BT,
    ),
    "record 3": Layout(
        "g02202",
        both("seaice_conc_daily_@h_f17_20200305_v03r01.nc", "n", "s"),
        P25,
        write_record,
        _CDR3,
        error=1.5,
        options={"name": "seaice_conc_cdr", "signed": True},
    ),
    "record 4": Layout(
        "g02202",
        both("seaice_conc_daily_@h_20200305_f17_v04r00.nc", "n", "s"),
        P25,
        write_record,
        _CDR,
        **_CDR_MORE,
    ),
    "record 4, a year": Layout(
        "g02202",
        both("seaice_conc_daily_@h_2020_v04r00.nc", "n", "s"),
        P25,
        write_record,
        _CDR,
        **_CDR_MORE,
    ),
    "record 5": Layout(
        "g02202",
        both("sic_ps@25_20200305_F17_v05r00.nc", "n", "s"),
        P25,
        write_record_groups,
        _CDR,
        **_CDR_MORE,
    ),
    "record 5, days together": Layout(
        "g02202",
        both("sic_ps@25_20200305-20200305_v05r00.nc", "n", "s"),
        P25,
        write_record_groups,
        _CDR,
        **_CDR_MORE,
    ),
    "record 6": Layout(
        "g02202",
        both("sic_ps@25_20200305_am2_v06r00.nc", "n", "s"),
        P25,
        write_record_groups,
        _CDR,
        **_CDR_MORE,
    ),
    "record 6, 12.5 km": Layout(
        "g02202",
        both("sic_ps@12.5_20200305_am2_v06r00.nc", "n", "s"),
        P12,
        write_record_groups,
        _CDR,
        **_CDR_MORE,
    ),
    "record 6, 12.5 km, days together": Layout(
        "g02202",
        both("sic_ps@12.5_20200305-20200305_v06r00.nc", "n", "s"),
        P12,
        write_record_groups,
        _CDR,
        **_CDR_MORE,
    ),
    "record now 1": Layout(
        "g10016",
        both("seaice_conc_daily_icdr_@h_f18_20200305_v01r00.nc", "n", "s"),
        P25,
        write_record,
        _CDR3,
        error=1.5,
        options={"name": "seaice_conc_cdr", "signed": True},
    ),
    "record now 2": Layout(
        "g10016",
        both("seaice_conc_daily_icdr_@h_20200305_f18_v02r00.nc", "n", "s"),
        P25,
        write_record,
        _CDR,
        **_CDR_MORE,
    ),
    "record now 3, odd time": Layout(
        "g10016",
        both("sic_ps@25_20200305_F18_icdr_v03r00.nc", "n", "s"),
        P25,
        write_record_groups,
        _CDR,
        **_CDR_MORE,
        options={"time_units": "days since 1971-01-01", "days": (date(2021, 3, 5),)},
    ),
    "record now 4": Layout(
        "g10016",
        both("sic_ps@25_20200305_am2_icdr_v04r00.nc", "n", "s"),
        P25,
        write_record_groups,
        _CDR,
        **_CDR_MORE,
    ),
    "record now 4, 12.5 km": Layout(
        "g10016",
        both("sic_ps@12.5_20200305_am2_icdr_v04r00.nc", "n", "s"),
        P12,
        write_record_groups,
        _CDR,
        **_CDR_MORE,
    ),
    "index 3": Layout(
        "g02135", both("@_20200305_concentration_v3.0.tif", "N", "S"), P25, write_index, _NT
    ),
    "index 4": Layout(
        "g02135", both("@_20200305_concentration_v4.0.tif", "N", "S"), P25, write_index, _NT
    ),
    "amsr 25": Layout(
        "au_si25",
        both("AMSR_U2_L3_SeaIce25km_B04_20200305.he5", "", ""),
        P25,
        write_amsr,
        _BT,
        options={"kilometres": 25},
    ),
    "amsr 25 upside down": Layout(
        "au_si25",
        both("AMSR_U2_L3_SeaIce25km_R04_20200305.he5", "", ""),
        P25,
        write_amsr,
        _BT,
        options={"kilometres": 25, "upside_down": True},
    ),
    "amsr 12": Layout(
        "au_si12",
        both("AMSR_U2_L3_SeaIce12km_B04_20200305.he5", "", ""),
        P12,
        write_amsr,
        _BT,
        options={"kilometres": 12},
    ),
    "retrieved": Layout(
        "seaice-sic",
        both("sic-AMSR2-@25000-20200305-v0.1.nc", "n", "s"),
        P25,
        write_retrieved,
        _BT,
        error=1.5,
    ),
    "retrieved on EASE2": Layout(
        "seaice-sic",
        both("sic-AMSR-E-ease2@25000-20200305-v0.1.nc", "n", "s"),
        E25,
        write_retrieved,
        _BT,
        error=1.5,
    ),
    "osi-401": Layout(
        "osi-401",
        both("ice_conc_@_polstere-100_multi_202003051200.nc", "nh", "sh"),
        P10,
        write_osisaf_now,
        {**_OSI, "hole": MISSING},
        **_OSI_NOW,
    ),
    "osi-401 by satellite": Layout(
        "osi-401",
        both("S-OSI_-NOR_-MULT-GL_@_CONCn__-202003051200Z.nc", "NH", "SH"),
        P10,
        write_osisaf_now,
        {**_OSI, "hole": MISSING},
        **_OSI_NOW,
    ),
    "osi-408": Layout(
        "osi-408",
        both("ice_conc_@_polstere-100_amsr2_202003051200.nc", "nh", "sh"),
        P10,
        write_osisaf_now,
        {**_OSI, "hole": MISSING},
        **_OSI_NOW,
        options={"format": "NETCDF3_CLASSIC"},
    ),
    "osi-450": Layout(
        "osi-450",
        both("ice_conc_@_ease2-250_cdr-v3p1_202003051200.nc", "nh", "sh"),
        E25,
        write_osisaf,
        _OSI,
        **_CDR_MORE,
    ),
    "osi-430": Layout(
        "osi-450",
        both("ice_conc_@_ease2-250_icdr-v3p0_202003051200.nc", "nh", "sh"),
        E25,
        write_osisaf,
        _OSI,
        **_CDR_MORE,
    ),
    "osi-450 version 2, C3S": Layout(
        "osi-450",
        both("ice_conc_@_ease2-250_cdr-v2p0_202003051200.nc", "nh", "sh"),
        E25,
        write_osisaf,
        _OSI,
        **_CDR_MORE,
        options={"error": "total_standard_error", "dtype": "i4", "fill": -2147483647},
    ),
    "osi-458": Layout(
        "osi-458",
        both("ice_conc_@_ease2-250_cdr-v3p0-amsr_202003051200.nc", "nh", "sh"),
        E25,
        write_osisaf,
        _OSI,
        **_CDR_MORE,
    ),
    "osi-438, another archive": Layout(
        "osi-458",
        both("ice_conc_@_ease2-250_icdr-amsr2_202003051200.nc", "nh", "sh"),
        E25,
        write_osisaf,
        _OSI,
        **_CDR_MORE,
    ),
    "cci 25": Layout(
        "esa-cci-sic",
        both("ESACCI-SEAICE-L4-SICONC-AMSR_25.0kmEASE2-@-20200305-fv2.1.nc", "NH", "SH"),
        E25,
        write_osisaf,
        _OSI,
        **_CDR_MORE,
        options={"error": "total_standard_error"},
    ),
    "cci 50": Layout(
        "esa-cci-sic",
        both("ESACCI-SEAICE-L4-SICONC-AMSR_50.0kmEASE2-@-20200305-fv2.1.nc", "NH", "SH"),
        E50,
        write_osisaf,
        _OSI,
        **_CDR_MORE,
        options={"error": "total_standard_error", "dtype": "i4", "fill": -2147483647},
    ),
    "cci 12.5": Layout(
        "esa-cci-sic",
        both("ESACCI-SEAICE-L4-SICONC-RE_SSMI_12.5kmEASE2-@-20200305-fv3.0.nc", "NH", "SH"),
        E12,
        write_osisaf,
        _OSI,
        **_CDR_MORE,
    ),
    "cci, old names": Layout(
        "esa-cci-sic",
        both("ESACCI-SEAICE-L4-SICONC-SSMI-@25kmEASE2-20200305-fv01.11.nc", "NH", "SH"),
        E25,
        write_osisaf,
        _OSI,
        **_CDR_MORE,
        options={"error": "total_standard_error"},
    ),
}


def write_layout(
    folder: Path, layout: str, half: str = "north", *, name: str | None = None, **options
) -> Path:
    """Write a day in a layout and return its path; further options go to its writer."""
    form = LAYOUTS[layout]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or form.names[half])
    if form.write is write_amsr:
        scenes = {h: paint(form.grids[h], h) for h in ("north", "south")}
        write_amsr(path, scenes, **{**form.options, **options})
    else:
        form.write(path, paint(form.grids[half], half), **{**form.options, **options})
    return path
