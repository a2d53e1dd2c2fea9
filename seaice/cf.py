"""Variables of output files with their CF attributes, global attributes and history.

Every file follows CF-1.11 (https://cfconventions.org). A variable is a row of
``VARIABLES``. Every writer of a file defines its variables from this table, so that the
attributes are complete from the start.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import seaice
from seaice import InputError, grids
from seaice.dates import format_timestamp
from seaice.flags import (
    DayStatus,
    FillFlag,
    Surface,
    flag_attributes,
)
from seaice.grids import CellLayout, Grid
from seaice.open_file.address import hide_secrets

if TYPE_CHECKING:
    import netCDF4

CONVENTIONS = "CF-1.11"

# Global attributes that tell what the data of a file are.
_TELLING = (
    "title", "summary", "source", "comment", "info", "author", "description", "grid_information",
)  # fmt: skip

# The global attribute that says what a file is, and its values by the stage that writes the file.
KIND_ATTRIBUTE = "seaice_kind"
KINDS: Mapping[str, str] = {
    "collect_swaths": "swath archive",
    "consolidate": "cube",
    "create_mask": "mask",
    "fill_field": "filled field",
    "forecast": "forecast",
    "grid_freeboard": "freeboard grid",
    "grid_swaths": "swath grid",
    "ice_dates": "ice dates",
    "ice_index": "extent series",
    "label": "ice chart labels",
    "predict": "scene map",
    "regrid": "regridded field",
    "retrieve_concentration": "concentration grid",
    "retrieve_swath": "concentration pass",
    "sample_points": "values at points",
    "score_forecasts": "error maps",
}

# Concentration is packed as int16 in steps of 0.0001 (0.01 percent): an observed value
# comes back within half a step, 0.005 percent. In files the scale is a float32: with a double xarray
# would open the values as doubles, of twice the size.
CONCENTRATION_SCALE = 0.0001
CONCENTRATION_FILL = -32768
# Smallest concentration of an ice-covered cell: the ice edge of maps, of extent and of scores.
ICE_EDGE = 0.15
# A stored 0.15 is read as the float32 just below 0.15; it must count as 15 percent.
ROUNDING = 1e-6
# Expected errors: int8 in steps of half a percent.
ERROR_SCALE = 0.005
ERROR_FILL = -1

KEYWORDS = "EARTH SCIENCE > CRYOSPHERE > SEA ICE"
CONCENTRATION_KEYWORDS = f"{KEYWORDS} > SEA ICE CONCENTRATION"
BREMEN_REFERENCES = (
    "Spreen, G., L. Kaleschke, G. Heygster (2008), Sea ice remote sensing using AMSR-E 89-GHz "
    "channels, J. Geophys. Res. 113, C02S03, doi:10.1029/2005JC003384; Melsheimer, C. (2019), "
    "ASI Version 5 Sea Ice Concentration User Guide, University of Bremen"
)


@dataclass(frozen=True)
class Variable:
    """A row of the table: the storage and the attributes of a variable.

    Attributes
    ----------
    name : str
    dimensions : tuple of str
        A variable with ``time`` is stored with one day a chunk.
    dtype : str
        NumPy name of the stored type.
    attributes : mapping
        CF attributes. ``grid_mapping`` and ``coordinates`` are added by :func:`define_variable`.
    fill_value : number, optional
        ``_FillValue``; coordinates and flags have none.
    """

    name: str
    dimensions: tuple[str, ...]
    dtype: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    fill_value: float | int | None = None


def _define_count(name: str, counted: str) -> Variable:
    return Variable(name, ("time",), "i4", {"long_name": f"number of {counted}", "units": "1"})


LATITUDE = {"standard_name": "latitude", "units": "degrees_north"}
LONGITUDE = {"standard_name": "longitude", "units": "degrees_east"}

_TABLE = (
    Variable(
        "sea_ice_conc",
        ("time", "y", "x"),
        "i2",
        {
            "standard_name": "sea_ice_area_fraction",
            "long_name": "sea ice concentration, gaps filled",
            "units": "1",
            "cell_methods": "time: mean",
            "scale_factor": np.float32(CONCENTRATION_SCALE),
            "valid_range": np.array([0, 10000], dtype=np.int16),
            "ancillary_variables": "fill_flag days_back_forward sea_ice_conc_error",
        },
        CONCENTRATION_FILL,
    ),
    Variable(
        "fill_flag",
        ("time", "y", "x"),
        "u1",
        {
            "standard_name": "status_flag",
            "long_name": "how the sea ice concentration of a cell came about",
            **flag_attributes(FillFlag),
        },
    ),
    Variable(
        "days_back_forward",
        ("time", "y", "x"),
        "u1",
        {
            "long_name": "days to the observations used by a fill in time",
            "units": "1",
            "comment": "10 x days back + days forward; 0 where the value was not filled in time",
            "valid_range": np.array([0, 99], dtype=np.uint8),
        },
    ),
    Variable(
        "sea_ice_conc_error",
        ("time", "y", "x"),
        "i1",
        {
            "standard_name": "sea_ice_area_fraction standard_error",
            "long_name": "expected standard error of filled sea ice concentration",
            "units": "1",
            "scale_factor": np.float32(ERROR_SCALE),
            "valid_range": np.array([0, 127], dtype=np.int8),
            "comment": "of an observed value only where its product tells it, else missing there",
        },
        ERROR_FILL,
    ),
    _define_count("missing_ocean_cells", "ocean cells outside the pole hole without a value"),
    _define_count("missing_pole_cells", "pole-hole cells without a value"),
    _define_count("filled_ocean_cells", "ocean cells with a value that was not observed"),
    Variable(
        "day_status",
        ("time",),
        "u1",
        {
            "standard_name": "status_flag",
            "long_name": "what was found for the day",
            **flag_attributes(DayStatus),
        },
    ),
    Variable(
        "day_reason",
        ("time", "text"),
        "S1",
        {"long_name": "why a day is absent, rejected, or present but suspicious"},
    ),
    Variable("input_file", ("time", "text"), "S1", {"long_name": "name of the day's input file"}),
    Variable(
        "input_sha256", ("time", "digest"), "S1", {"long_name": "SHA-256 digest of the day's input file"}
    ),
    Variable(
        "surface",
        ("y", "x"),
        "u1",
        {
            "standard_name": "status_flag",
            "long_name": "surface class",
            **flag_attributes(Surface),
        },
    ),
    Variable(
        "land_mask",
        ("y", "x"),
        "u1",
        {
            "standard_name": "land_binary_mask",
            "long_name": "land mask",
            "units": "1",
            "flag_values": np.array([0, 1], dtype=np.uint8),
            "flag_meanings": "not_land land",
            "valid_range": np.array([0, 1], dtype=np.uint8),
            "comment": "1 = land, 0 = not land; multiply with (1 - land_mask) to set land to 0",
        },
    ),
    Variable(
        "nan_ratio",
        ("y", "x"),
        "f4",
        {
            "long_name": "share of the days read on which the cell is missing",
            "units": "1",
            "valid_range": np.array([0, 1], dtype=np.float32),
        },
    ),
    Variable("month", ("month",), "i1", {"long_name": "month of the year", "units": "1"}),
    Variable(
        "valid_ice",
        ("month", "y", "x"),
        "u1",
        {
            "standard_name": "status_flag",
            "long_name": "whether sea ice is possible in the month",
            "flag_values": np.array([0, 1], dtype=np.uint8),
            "flag_meanings": "no_ice_possible ice_possible",
            "valid_range": np.array([0, 1], dtype=np.uint8),
        },
    ),
    Variable("lat", ("y", "x"), "f8", LATITUDE),
    Variable("lon", ("y", "x"), "f8", LONGITUDE),
)
VARIABLES: dict[str, Variable] = {v.name: v for v in _TABLE}

# Bytes of the texts that are kept for every day; longer ones are cut.
TEXT_WIDTHS = {"day_reason": 160, "input_file": 160, "input_sha256": 64}

TIME_ATTRIBUTES = {
    "standard_name": "time",
    "long_name": "day, UTC",
    "units": "days since 1970-01-01",
    "calendar": "standard",
    "units_metadata": "leap_seconds: none",
    "axis": "T",
    "bounds": "time_bnds",
}


def describe_axis(name: str, grid: Grid) -> dict[str, str]:
    """Describe the coordinate ``x`` or ``y`` of a grid by CF attributes."""
    if grid.is_geographic:
        quantity = "longitude" if name == "x" else "latitude"
        described = LONGITUDE if name == "x" else LATITUDE
        return {**described, "long_name": f"{quantity}, cell centre", "axis": name.upper()}
    return {
        "standard_name": f"projection_{name}_coordinate",
        "long_name": f"{name} coordinate of projection, cell centre",
        "units": "m",
        "axis": name.upper(),
    }


def describe_crs(grid: Grid) -> dict[str, Any]:
    """Describe the grid-mapping variable ``crs`` by CF attributes."""
    return {"long_name": "coordinate reference system", **grid.to_cf()}


def describe_variable(variable: str | Variable, *, lat_lon: bool) -> dict[str, Any]:
    """Describe a variable of a file by CF attributes.

    Parameters
    ----------
    variable : str or Variable
        A name of the table, or a row of another table.
    lat_lon : bool
        Whether the file holds ``lat`` and ``lon``.
    """
    row = VARIABLES[variable] if isinstance(variable, str) else variable
    attributes = dict(row.attributes)
    if row.dimensions[-2:] == ("y", "x"):
        attributes["grid_mapping"] = "crs"
        if lat_lon and row.name not in ("lat", "lon"):
            attributes["coordinates"] = "lat lon"
    return attributes


def define_variable(
    dataset: netCDF4.Dataset,
    name: str | Variable,
    *,
    compression: str | None = "zlib",
    level: int = 1,
) -> netCDF4.Variable:
    """Create a variable with its attributes in an open file.

    Chunks of a gridded variable are one day deep. Automatic scaling and masking are switched off:
    arrays are written and read as stored.

    Parameters
    ----------
    dataset : netCDF4.Dataset
    name : str or Variable
        A name of the table, or a row of another table.
    compression : str, optional
        Compression of gridded variables; None for none.
    level : int
        Level of the compression; 0: chunks that were only copied, in the wrapping of level 1, which
        has a checksum.

    Returns
    -------
    netCDF4.Variable
    """
    row = VARIABLES[name] if isinstance(name, str) else name
    gridded = row.dimensions[-2:] == ("y", "x")
    options: dict[str, Any] = {}
    if gridded:
        tile = choose_chunk_shape(tuple(len(dataset.dimensions[d]) for d in ("y", "x")))
        options["chunksizes"] = [*[1] * (len(row.dimensions) - 2), *tile]
        if compression:
            # Shuffling helps deflate; zstd does as well without and is read faster.
            shuffle = compression == "zlib" and level > 0 and row.dtype not in ("u1", "i1")
            options |= {"compression": compression, "complevel": max(1, level), "shuffle": shuffle}
    elif "time" in row.dimensions:
        options["chunksizes"] = [1024] + [len(dataset.dimensions[d]) for d in row.dimensions[1:]]
    variable = dataset.createVariable(
        row.name, row.dtype, row.dimensions, fill_value=row.fill_value, **options
    )
    variable.set_auto_maskandscale(False)
    attributes = describe_variable(row, lat_lon="lat" in dataset.variables)
    if row.dtype == "S1":
        attributes["_Encoding"] = "utf-8"
    variable.setncatts(attributes)
    return variable


def choose_chunk_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Choose the rows and columns of a chunk, about 256 x 256 cells in equal parts of the grid.

    With one day and a few hundred cells a side, a random day is one short read and a patch touches
    few chunks.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the grid.
    """
    rows, columns = (-(-cells // max(1, round(cells / 256))) for cells in shape)
    return rows, columns


def write_grid(dataset: netCDF4.Dataset, grid: Grid, *, lat_lon: bool = False) -> None:
    """Write the coordinates ``y`` and ``x``, the variable ``crs``, and if asked ``lat`` and ``lon``."""
    for name, values in (("y", grid.y), ("x", grid.x)):
        dataset.createDimension(name, values.size)
        variable = dataset.createVariable(name, "f8", (name,))
        variable.setncatts(describe_axis(name, grid))
        variable[:] = values
    crs = dataset.createVariable("crs", "i4", ())
    crs.setncatts(describe_crs(grid))
    crs[...] = 0
    dataset.setncattr("grid_id", grid.id)
    if lat_lon:
        longitude, latitude = grid.longitude_latitude()
        define_variable(dataset, "lat")[:] = latitude
        define_variable(dataset, "lon")[:] = longitude


def read_layout(dataset: netCDF4.Dataset) -> CellLayout:
    """Read the grid of a CF file that has coordinates x and y and a grid mapping, and its cell order.

    Raises
    ------
    InputError
        If the file has no coordinate x or y.
    """
    for name in ("x", "y"):
        if name not in dataset.variables:
            raise InputError(f"expected coordinates x and y, found no {name} in {dataset.filepath()}")
    attributes = {
        name: {key: variable.getncattr(key) for key in variable.ncattrs()}
        for name, variable in dataset.variables.items()
    }
    dimensions = {name: variable.dimensions for name, variable in dataset.variables.items()}
    return grids.find_layout(attributes, dimensions, lambda name: np.asarray(dataset.variables[name][:]))


def read_grid(dataset: netCDF4.Dataset) -> Grid:
    """Read the grid of a CF file whose cells are in the usual order, as this package writes them.

    Raises
    ------
    InputError
        If the file has no coordinate x or y, or one of them descends.
    """
    layout = read_layout(dataset)
    if layout.turned_rows or layout.turned_columns:
        raise InputError(
            f"expected ascending coordinates in {dataset.filepath()}, found descending ones; "
            "sort the file by x and y"
        )
    return layout.grid


def is_ice(concentration: np.ndarray, threshold: float = ICE_EDGE) -> np.ndarray:
    """Whether a concentration, 0..1, is at least the threshold; False where NaN."""
    covered: np.ndarray = concentration >= threshold - ROUNDING
    return covered


@dataclass(frozen=True)
class ValuePacking:
    """How a variable of a file stores its values: scale, offset, missing values and type.

    Attributes
    ----------
    scale, offset : float
        A value is ``stored * scale + offset``.
    missing : tuple of float
        Stored values that mean missing.
    unsigned : bool
        Whether signed integers of the file stand for unsigned ones.
    """

    scale: float = 1.0
    offset: float = 0.0
    missing: tuple[float, ...] = ()
    unsigned: bool = False

    @classmethod
    def read(cls, attributes: Mapping[str, Any], name: str) -> ValuePacking:
        """Read the packing of a variable from its CF attributes; InputError if they are no numbers.

        Values in percent become fractions.
        """
        try:
            scale, offset = (
                float(np.asarray(attributes.get(attribute, usual)).item())
                for attribute, usual in (("scale_factor", 1.0), ("add_offset", 0.0))
            )
            missing = tuple(
                number
                for attribute in ("_FillValue", "missing_value")
                for number in np.atleast_1d(_as_number(attributes.get(attribute, ()))).tolist()
            )
        except (TypeError, ValueError) as error:
            raise InputError(f"the packing of {name} is no number ({error})") from None
        if str(attributes.get("units", "1")).strip().lower() in _PERCENT:
            scale, offset = scale / 100, offset / 100
        unsigned = str(attributes.get("_Unsigned", "false")).lower() == "true"
        return cls(scale, offset, tuple(dict.fromkeys(missing)), unsigned)

    @property
    def is_plain_scale(self) -> bool:
        """Whether values are stored numbers times the scale, and one number means missing."""
        return self.offset == 0 and len(self.missing) == 1 and not self.unsigned

    def view(self, stored: np.ndarray) -> np.ndarray:
        """Return stored numbers with the sign that they stand for."""
        if self.unsigned and stored.dtype.kind == "i":
            return stored.view(stored.dtype.str.replace("i", "u"))
        return stored

    def unpack(self, stored: np.ndarray) -> np.ndarray:
        """Return stored numbers as values, a new array of float32 with NaN where they are missing."""
        numbers = self.view(stored)
        is_missing = [(stored == n) | (numbers == n) for n in self.missing]
        if self.offset == 0 and stored.dtype.itemsize <= 2:
            values = numbers * np.float32(self.scale)
        else:
            values = (numbers * np.float64(self.scale) + self.offset).astype(np.float32)
        for cells in is_missing:
            values[cells] = np.nan
        return values


_PERCENT = ("%", "percent", "percentage", "pct")


def _as_number(value: Any) -> Any:
    """Return an attribute as numbers; xarray writes fill values into Zarr as base64."""
    if not isinstance(value, str):
        return np.asarray(value, np.float64)
    try:
        return float(value)
    except ValueError:
        return np.frombuffer(base64.b64decode(value, validate=True), "<f8")


def write_time(
    dataset: netCDF4.Dataset, numbers: np.ndarray | None = None, ends: np.ndarray | None = None
) -> None:
    """Define the unlimited ``time`` with ``time_bnds`` and write day numbers.

    Parameters
    ----------
    dataset : netCDF4.Dataset
    numbers : ndarray of int, shape (days,), optional
        First days of the time steps, days since 1970-01-01; without them only the variables are
        defined.
    ends : ndarray of int, shape (days,), optional
        Days on which the steps end; by default one day after they begin.
    """
    dataset.createDimension("time", None)
    dataset.createDimension("bnds", 2)
    time = dataset.createVariable("time", "i4", ("time",), chunksizes=(1024,))
    time.setncatts(TIME_ATTRIBUTES)
    bounds = dataset.createVariable("time_bnds", "i4", ("time", "bnds"), chunksizes=(1024, 2))
    if numbers is not None:
        time[:] = numbers
        bounds[:] = np.stack([numbers, numbers + 1 if ends is None else ends], axis=1)


def describe_file(
    *,
    title: str,
    summary: str,
    source: str,
    stage: str,
    parameters: Mapping[str, Any],
    references: str,
    call: Mapping[str, Any] | None = None,
    grid: Grid | None = None,
    keywords: str = KEYWORDS,
    processing_level: str = "Level 3",
) -> dict[str, Any]:
    """Describe an output file by global attributes, with history and parameters.

    Parameters
    ----------
    stage : str
        Name of the stage function; goes into ``history``, and says of which kind the file is.
    parameters : mapping
        Parameters that the values depend on; stored as JSON in ``parameters``, so that a later
        run can compare them with its own.
    call : mapping, optional
        Further arguments of the stage (folders, dates); they go into ``history`` only.
    grid : Grid, optional
        Grid of the values, for the bounds.
    keywords, processing_level : str
        Attributes of the Attribute Convention for Data Discovery (ACDD 1.3).
    """
    return {
        "Conventions": CONVENTIONS,
        KIND_ATTRIBUTE: KINDS.get(stage, stage),
        "title": title,
        "summary": summary,
        "institution": "made by the user of the seaice toolbox",
        "source": source,
        "references": references,
        "history": format_history(stage, {**(call or {}), **parameters}),
        "parameters": json.dumps(parameters, default=str, sort_keys=True),
        "software_version": f"seaice {seaice.__version__}",
        "keywords": keywords,
        "keywords_vocabulary": "GCMD Science Keywords",
        "license": "that of the inputs, see source and references",
        "processing_level": processing_level,
        "date_created": format_timestamp(datetime.now(UTC)),
        **({} if grid is None else describe_bounds(grid)),
        **(_command.get() or Command()).creator,
    }


class Command(NamedTuple):
    """The command line that a stage was called with.

    Attributes
    ----------
    words : str
        Program and options; empty where a stage is called from Python.
    creator : dict of str to str
        ACDD attributes of the person who makes the files.
    """

    words: str = ""
    creator: Mapping[str, str] = MappingProxyType({})


_command: ContextVar[Command | None] = ContextVar("command", default=None)


@contextmanager
def record_command(words: Sequence[str], creator: str | None = None) -> Iterator[None]:
    """Let the files that are written within name this command in their history, and their creator.

    Parameters
    ----------
    words : sequence of str
        Program and options. Logins and queries of addresses are left out.
    creator : str, optional
        ``Name`` or ``Name <mail>``.
    """
    name, _, mail = (creator or "").partition("<")
    described = {"creator_name": name.strip(), "creator_email": mail.strip(" >")}
    line = hide_secrets(shlex.join(words))
    token = _command.set(Command(line, {k: text for k, text in described.items() if text}))
    try:
        yield
    finally:
        _command.reset(token)


def describe_bounds(grid: Grid) -> dict[str, Any]:
    """Describe the outer edges of a grid by ACDD attributes: latitudes, longitudes, and a polygon.

    Where the grid crosses 180 degrees, the smallest longitude is the western one and larger than the
    other.

    Examples
    --------
    >>> bounds = describe_bounds(grids.get_grid("n25000"))
    >>> bounds["geospatial_lat_max"], bounds["geospatial_lon_min"], bounds["geospatial_lon_max"]
    (90.0, -180.0, 180.0)
    >>> round(bounds["geospatial_lat_min"], 2)
    30.98
    """
    west, east, south, north = grid.extent
    if grid.is_geographic:
        return _describe_geographic_bounds(grid)
    x, y = np.linspace(west, east, 201), np.linspace(south, north, 201)
    ring_x = np.concatenate([x, np.full(201, east), x[::-1], np.full(201, west)])
    ring_y = np.concatenate([np.full(201, south), y, np.full(201, north), y[::-1]])
    longitude, latitude = grid.transform_to_degrees(ring_x, ring_y)
    finite = np.isfinite(longitude)
    longitude, latitude = longitude[finite], latitude[finite]
    bounds = _describe_polygon(grid, x_first=True)
    if not latitude.size:
        return bounds
    turned = np.unwrap(longitude, period=360)
    lowest, highest = float(latitude.min()), float(latitude.max())
    west_most, east_most = float(turned.min()), float(turned.max())
    if abs(turned[-1] - turned[0]) > 180:  # the ring goes round the pole
        west_most, east_most = -180.0, 180.0
        lowest, highest = (lowest, 90.0) if grid.hemisphere == "north" else (-90.0, highest)
    elif east_most > 180 or west_most < -180:
        west_most, east_most = ((degrees + 180) % 360 - 180 for degrees in (west_most, east_most))
    return bounds | {
        "geospatial_lat_min": lowest,
        "geospatial_lat_max": highest,
        "geospatial_lon_min": west_most,
        "geospatial_lon_max": east_most,
    }


def _describe_polygon(grid: Grid, *, x_first: bool) -> dict[str, Any]:
    west, east, south, north = grid.extent
    corners = ((west, south), (east, south), (east, north), (west, north), (west, south))
    texts = (f"{x:.15g} {y:.15g}" if x_first else f"{y:.15g} {x:.15g}" for x, y in corners)
    return {
        "geospatial_bounds": f"POLYGON (({', '.join(texts)}))",
        "geospatial_bounds_crs": grid.projection,
    }


def _describe_geographic_bounds(grid: Grid) -> dict[str, Any]:
    west, east, south, north = grid.extent
    is_whole = east - west >= 360
    longitudes = (-180.0, 180.0) if is_whole else ((x + 180) % 360 - 180 for x in (west, east))
    return _describe_polygon(grid, x_first=False) | {
        "geospatial_lat_min": max(south, -90.0),
        "geospatial_lat_max": min(north, 90.0),
        **dict(zip(("geospatial_lon_min", "geospatial_lon_max"), longitudes, strict=True)),
    }


def is_simulated(attributes: Mapping[str, Any]) -> bool:
    """Whether the global attributes of a file say that its data are simulated.

    ``history`` and ``parameters`` do not count: they hold names of folders.

    Examples
    --------
    >>> is_simulated({"info": "SIMULATED sea ice concentration"}), is_simulated({"source": "AMSR2"})
    (True, False)
    """
    return "simulat" in " ".join(str(attributes.get(name, "")) for name in _TELLING).lower()


def add_history(attributes: Mapping[str, Any], old_history: str) -> dict[str, Any]:
    """Add the old ``history`` of a file below the new history in global attributes."""
    merged = dict(attributes)
    if "history" in merged and old_history and old_history != merged["history"]:
        merged["history"] = f"{merged['history']}\n{old_history}"
    return merged


def format_history(stage: str, parameters: Mapping[str, Any]) -> str:
    """Format a line of ``history``: UTC time, program, version, and the command line.

    Where a stage is called from Python, the line has the stage with its arguments instead.
    """
    timestamp = format_timestamp(datetime.now(UTC))
    call = ", ".join(f"{k}={v}" for k, v in parameters.items())
    words = (_command.get() or Command()).words or f"{stage}({call})"
    line = f"{timestamp} seaice {seaice.__version__} {words}"
    return line.encode("utf-8", "replace").decode("utf-8")


def encode_text(text: str, width: int) -> np.ndarray:
    """Encode a text as UTF-8 for an S1 variable, cut or padded to ``width`` bytes."""
    # A file name that is not UTF-8 must not keep a cube from being written.
    data = text.encode("utf-8", "replace")[:width].decode("utf-8", "ignore").encode("utf-8")
    return np.frombuffer(data.ljust(width, b"\0"), dtype="S1")


def cut_text(text: str) -> str:
    """Cut a text to the length of the widest variables of :data:`TEXT_WIDTHS`."""
    return decode_text(encode_text(text, max(TEXT_WIDTHS.values())))


def decode_text(row: np.ndarray) -> str:
    """Decode a row of an S1 variable; the inverse of :func:`encode_text`."""
    return bytes(np.ascontiguousarray(row).tobytes()).rstrip(b"\0").decode("utf-8", "replace")
