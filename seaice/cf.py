"""Output files: the table of variables, their CF attributes, and history.

Every file follows CF-1.11 (https://cfconventions.org). A variable is a row of
``VARIABLES``; whoever writes a file defines its variables from there, so that
attributes are right when created and need no later repair.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

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
from seaice.grids import Grid

if TYPE_CHECKING:
    import netCDF4

CONVENTIONS = "CF-1.11"

# Concentration is packed as int16 in steps of 0.0001 (0.01 percent): an observed value
# comes back within half a step, 0.005 percent.
CONCENTRATION_SCALE = 0.0001
CONCENTRATION_FILL = -32768
# Expected errors: int8 in steps of half a percent.
ERROR_SCALE = 0.005
ERROR_FILL = -1

BREMEN_REFERENCES = (
    "Spreen, G., L. Kaleschke, G. Heygster (2008), Sea ice remote sensing using AMSR-E 89-GHz "
    "channels, J. Geophys. Res. 113, C02S03, doi:10.1029/2005JC003384; Melsheimer, C. (2019), "
    "ASI Version 5 Sea Ice Concentration User Guide, University of Bremen"
)


@dataclass(frozen=True)
class Variable:
    """One row of the table: how a variable is stored and described.

    Attributes
    ----------
    name : str
    dimensions : tuple of str
        ``time`` deep variables are stored one day a chunk.
    dtype : str
        NumPy name of the stored type.
    attributes : mapping
        CF attributes. ``grid_mapping`` and ``coordinates`` are added by :func:`define`.
    fill_value : number, optional
        ``_FillValue``; coordinates and flags have none.
    """

    name: str
    dimensions: tuple[str, ...]
    dtype: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    fill_value: float | int | None = None


def _count(name: str, what: str) -> Variable:
    return Variable(name, ("time",), "i4", {"long_name": f"number of {what}", "units": "1"})


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
            "scale_factor": CONCENTRATION_SCALE,
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
            "scale_factor": ERROR_SCALE,
            "valid_range": np.array([0, 127], dtype=np.int8),
            "comment": "missing where the value was observed: the error of the observation is not told",
        },
        ERROR_FILL,
    ),
    _count("missing_ocean_cells", "ocean cells outside the pole hole without a value"),
    _count("missing_pole_cells", "pole-hole cells without a value"),
    _count("filled_ocean_cells", "ocean cells with a value that was not observed"),
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
    Variable("day_reason", ("time", "text"), "S1", {"long_name": "why a day is absent or rejected"}),
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


def describe_axis(name: str) -> dict[str, str]:
    """CF attributes of the coordinate ``x`` or ``y``."""
    return {
        "standard_name": f"projection_{name}_coordinate",
        "long_name": f"{name} coordinate of projection, cell centre",
        "units": "m",
        "axis": name.upper(),
    }


def describe_crs(grid: Grid) -> dict[str, Any]:
    """CF attributes of the grid-mapping variable ``crs``."""
    return {"long_name": "coordinate reference system", **grid.to_cf()}


def describe_variable(variable: str | Variable, *, lat_lon: bool) -> dict[str, Any]:
    """CF attributes of a variable in its file.

    Parameters
    ----------
    variable : str or Variable
        A name of the table, or a row of another.
    lat_lon : bool
        The file holds ``lat`` and ``lon``.
    """
    row = VARIABLES[variable] if isinstance(variable, str) else variable
    attributes = dict(row.attributes)
    if row.dimensions[-2:] == ("y", "x"):
        attributes["grid_mapping"] = "crs"
        if lat_lon and row.name not in ("lat", "lon"):
            attributes["coordinates"] = "lat lon"
    return attributes


def define(
    dataset: netCDF4.Dataset,
    name: str | Variable,
    *,
    compression: str | None = "zlib",
    level: int = 1,
) -> netCDF4.Variable:
    """Create the table's variable ``name``, or a given one, in an open file, attributes and all.

    Variables with a ``time`` dimension get chunks one day deep. Automatic scaling and
    masking are switched off: arrays are written and read as stored.
    """
    row = VARIABLES[name] if isinstance(name, str) else name
    gridded = row.dimensions[-2:] == ("y", "x")
    options: dict[str, Any] = {}
    if gridded:
        tile = tile_of(tuple(len(dataset.dimensions[d]) for d in ("y", "x")))
        options["chunksizes"] = [*[1] * (len(row.dimensions) - 2), *tile]
        if compression:
            # Shuffling helps deflate; zstd does as well without and is read faster.
            shuffle = compression == "zlib" and row.dtype not in ("u1", "i1")
            options |= {"compression": compression, "complevel": level, "shuffle": shuffle}
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


def tile_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of a chunk: each axis of a grid in equal parts of about 256 cells.

    One day deep and a few hundred cells wide, so that a random day is one short read and
    a patch touches few chunks.
    """
    rows, columns = (-(-cells // max(1, round(cells / 256))) for cells in shape)
    return rows, columns


def write_grid(dataset: netCDF4.Dataset, grid: Grid, *, lat_lon: bool = False) -> None:
    """Write dimensions and coordinates ``y`` and ``x``, the ``crs`` variable, optionally lat and lon."""
    for name, values in (("y", grid.y), ("x", grid.x)):
        dataset.createDimension(name, values.size)
        variable = dataset.createVariable(name, "f8", (name,))
        variable.setncatts(describe_axis(name))
        variable[:] = values
    crs = dataset.createVariable("crs", "i4", ())
    crs.setncatts(describe_crs(grid))
    crs[...] = 0
    dataset.setncattr("grid_id", grid.id)
    if lat_lon:
        longitude, latitude = grid.longitude_latitude()
        define(dataset, "lat")[:] = latitude
        define(dataset, "lon")[:] = longitude


def read_grid(dataset: netCDF4.Dataset) -> Grid:
    """Read the grid of a file written here, or of any CF file with x, y and a grid mapping."""
    for name in ("x", "y"):
        if name not in dataset.variables:
            raise InputError(f"expected coordinates x and y, found no {name} in {dataset.filepath()}")
    mapping = next((v for v in dataset.variables.values() if "grid_mapping_name" in v.ncattrs()), None)
    attributes = {} if mapping is None else {k: mapping.getncattr(k) for k in mapping.ncattrs()}
    x, y = (grids.read_metres(dataset.variables[n]) for n in ("x", "y"))
    return grids.recognise_grid(x, y, attributes)


def write_time(
    dataset: netCDF4.Dataset, numbers: np.ndarray | None = None, ends: np.ndarray | None = None
) -> None:
    """Define the unlimited ``time`` with ``time_bnds`` and write day numbers.

    A step ends one UTC day after its number unless ``ends`` says otherwise.
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
) -> dict[str, Any]:
    """Global attributes of an output, with history and parameters.

    Parameters
    ----------
    stage : str
        Name of the stage function; goes into ``history``.
    parameters : mapping
        What the result depends on; stored as JSON in ``parameters`` so that a later
        run can tell whether it would make the same.
    call : mapping, optional
        What else the stage was called with (folders, dates); goes into ``history`` only.
    """
    return {
        "Conventions": CONVENTIONS,
        "title": title,
        "summary": summary,
        "institution": "made by the user of the seaice toolbox",
        "source": source,
        "references": references,
        "history": format_history(stage, {**(call or {}), **parameters}),
        "parameters": json.dumps(parameters, default=str, sort_keys=True),
        "software_version": f"seaice {seaice.__version__}",
    }


def add_history(attributes: Mapping[str, Any], before: str) -> dict[str, Any]:
    """The attributes, with what a file's ``history`` said before below their own."""
    merged = dict(attributes)
    if "history" in merged and before and before != merged["history"]:
        merged["history"] = f"{merged['history']}\n{before}"
    return merged


def format_history(stage: str, parameters: Mapping[str, Any]) -> str:
    """One line of ``history``: UTC time, program, version and what was called."""
    now = format_timestamp(datetime.now(UTC))
    call = ", ".join(f"{k}={v}" for k, v in parameters.items())
    line = f"{now} seaice {seaice.__version__} {stage}({call})"
    return line.encode("utf-8", "replace").decode("utf-8")


def encode_text(text: str, width: int) -> np.ndarray:
    """A UTF-8 row of characters for an S1 variable, cut or padded to ``width`` bytes."""
    # A file name that is no UTF-8 must not keep a cube from being written.
    data = text.encode("utf-8", "replace")[:width].decode("utf-8", "ignore").encode("utf-8")
    return np.frombuffer(data.ljust(width, b"\0"), dtype="S1")


def cut_text(text: str) -> str:
    """A text as the variables of :data:`TEXT_WIDTHS` with the most room keep it."""
    return decode_text(encode_text(text, max(TEXT_WIDTHS.values())))


def decode_text(row: np.ndarray) -> str:
    """Inverse of :func:`encode_text`."""
    return bytes(np.ascontiguousarray(row).tobytes()).rstrip(b"\0").decode("utf-8", "replace")
