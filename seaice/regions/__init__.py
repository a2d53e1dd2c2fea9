"""Regions of a grid: a rectangle of cells, or the seas of a region file or a polygon file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError, grids
from seaice.flags import SurfaceClass, classify_word
from seaice.grids import CellLayout, Grid
from seaice.open_file import is_netcdf, open_netcdf, read_content
from seaice.regions.polygons import draw_polygons, read_polygons
from seaice.regions.vector_files import is_vector_file
from seaice.report import listing

if TYPE_CHECKING:
    import netCDF4

# Arctic seas of Meier, W. N., J. Stroeve, F. Fetterer (2007), Whither Arctic sea ice?, Annals of
# Glaciology 46, doi:10.3189/172756407782871170. Codes 0 (lakes), 20 (land) and 21 (coast) of the
# file are no regions. The other grid's file divides the Southern Ocean in five sectors.
ARCTIC_SEAS: dict[int, str] = {
    1: "Ocean outside the regions",
    2: "Sea of Okhotsk",
    3: "Bering Sea",
    4: "Hudson Bay",
    5: "Gulf of St Lawrence",
    6: "Baffin Bay, Davis Strait and Labrador Sea",
    7: "Greenland Sea",
    8: "Barents Sea",
    9: "Kara Sea",
    10: "Laptev Sea",
    11: "East Siberian Sea",
    12: "Chukchi Sea",
    13: "Beaufort Sea",
    14: "Canadian Archipelago",
    15: "Central Arctic",
}
ANTARCTIC_SECTORS: dict[int, str] = {
    2: "Weddell Sea",
    3: "Indian Ocean",
    4: "Western Pacific Ocean",
    5: "Ross Sea",
    6: "Bellingshausen and Amundsen Seas",
}
# Seas by boxes of longitude and latitude: west, east, south, north in degrees. They are plain words for
# tables; the boundaries of the seas are those of a region file.
SEA_BOXES: dict[str, tuple[float, float, float, float]] = {
    "barents": (17, 58, 67, 81),
    "kara": (58, 100, 67, 81),
    "laptev": (100, 140, 70, 81),
    "east_siberian": (140, 180, 68, 80),
    "chukchi": (-180, -156, 66, 78),
    "beaufort": (-156, -124, 68, 78),
    "canadian_archipelago": (-124, -80, 67, 80),
    "baffin": (-80, -50, 65, 79),
    "labrador": (-65, -43, 50, 65),
    "hudson": (-95, -70, 51, 65),
    "greenland": (-43, 17, 65, 83),
    "bering": (162, -157, 52, 66),
    "okhotsk": (135, 162, 43, 63),
    "central_arctic": (-180, 180, 80, 90),
    "weddell": (-60, 20, -90, -50),
    "indian": (20, 90, -90, -50),
    "west_pacific": (90, 160, -90, -50),
    "ross": (160, -130, -90, -50),
    "bellingshausen_amundsen": (-130, -60, -90, -50),
}
# Region files without a header, one byte a cell, by grid: names of the regions, and codes of cells
# in no region. Of the 25 km grids only: a file of 12.5 km has the size of NSIDC's 25 km latitudes.
_FLAT_FILES: dict[str, tuple[dict[int, str], frozenset[int]]] = {
    "n25000": (ARCTIC_SEAS, frozenset({0, 20, 21})),
    "s25000": (ANTARCTIC_SECTORS, frozenset({0, 11, 12})),
}
# Classes of cells that belong to no sea, and a word of NSIDC-0780 for such cells.
_NO_SEA = (SurfaceClass.LAND, SurfaceClass.LAKE, SurfaceClass.OUTSIDE, SurfaceClass.MISSING)
# Seas are much larger.
_SEA_KILOMETRES = 25.0
_DISCONNECTED = "ocean_disconnected"


@dataclass(frozen=True)
class Regions:
    """Division of a grid into named regions.

    Attributes
    ----------
    names : tuple of str
        Names of the regions.
    codes : ndarray of uint8, shape (rows, columns)
        0 for a cell in no region, i + 1 for a cell in ``names[i]``.
    """

    names: tuple[str, ...]
    codes: np.ndarray


@dataclass(frozen=True)
class Box:
    """Rectangle of cells, given by half-open index ranges.

    Attributes
    ----------
    ymin, ymax : int
        First row, and the first row after the last. Row 0 is the southernmost row.
    xmin, xmax : int
        First column, and the first column after the last.

    Examples
    --------
    >>> box = Box(10, 12, 0, 3)
    >>> box.rows, box.columns, box.size
    (slice(10, 12, None), slice(0, 3, None), 6)
    """

    ymin: int
    ymax: int
    xmin: int
    xmax: int

    @property
    def rows(self) -> slice:
        """Rows of the box."""
        return slice(self.ymin, self.ymax)

    @property
    def columns(self) -> slice:
        """Columns of the box."""
        return slice(self.xmin, self.xmax)

    @property
    def size(self) -> int:
        """Number of cells."""
        return (self.ymax - self.ymin) * (self.xmax - self.xmin)

    def __str__(self) -> str:
        return f"rows {self.ymin}:{self.ymax}, columns {self.xmin}:{self.xmax}"

    def check(self, grid: Grid) -> None:
        """Raise InputError if the box is empty or leaves the grid."""
        for name, low, high, size in (
            ("y", self.ymin, self.ymax, grid.rows),
            ("x", self.xmin, self.xmax, grid.columns),
        ):
            if not 0 <= low < high <= size:
                raise InputError(
                    f"expected 0 <= {name}min < {name}max <= {size} on the grid {grid}, found "
                    f"{name}min {low} and {name}max {high} ({name}max is the first cell not in the box)"
                )

    @classmethod
    def from_bounds(cls, bounds: tuple[float, float, float, float], grid: Grid) -> Box:
        """Return the box of the cells whose centres lie within bounds or on them.

        Parameters
        ----------
        bounds : (west, east, south, north)
            In the units of the grid: metres of its map projection, or degrees.
        grid : Grid

        Raises
        ------
        InputError
            If west lies east of east or south north of north, the bounds reach beyond the outer
            edges of the grid (they are not clipped), or no cell centre lies within.

        Examples
        --------
        >>> grid = grids.get_grid("n25000")
        >>> Box.from_bounds((grid.x[3], grid.x[5], grid.y[0], grid.y[1]), grid)
        Box(ymin=0, ymax=2, xmin=3, xmax=6)
        """
        west, east, south, north = bounds
        bounds_text = f"west {west:g}, east {east:g}, south {south:g}, north {north:g} {grid.units}"
        if not (west <= east and south <= north):
            raise InputError(
                f"expected west <= east and south <= north, found {bounds_text}; exchange them"
            )
        # A centre or an edge that was computed in another order differs by rounding.
        tolerance = 1e-6 * grid.step
        x_low, x_high, y_low, y_high = grid.extent
        if min(west - x_low, x_high - east, south - y_low, y_high - north) < -tolerance:
            raise InputError(
                f"expected bounds within the grid, found {bounds_text}; the grid {grid} reaches from "
                f"{x_low:g} to {x_high:g} {grid.units} in x and from {y_low:g} to {y_high:g} "
                f"{grid.units} in y"
            )
        ymin, ymax = _find_index_range(grid.y, south - tolerance, north + tolerance)
        xmin, xmax = _find_index_range(grid.x, west - tolerance, east + tolerance)
        if ymin >= ymax or xmin >= xmax:
            raise InputError(
                f"no cell centre of the grid {grid} lies within {bounds_text}; its cells measure "
                f"{grid.step:g} {grid.units}"
            )
        return cls(ymin, ymax, xmin, xmax)


def _find_index_range(centres: np.ndarray, low: float, high: float) -> tuple[int, int]:
    """Find the half-open index range of the centres from ``low`` to ``high``, both included."""
    first, stop = np.searchsorted(centres, low, "left"), np.searchsorted(centres, high, "right")
    return int(first), int(stop)


def find_region_file(text: str) -> Path | None:
    """Return the path of the region file that a region of the command line names; None for a box."""
    path = Path(text)
    if not path.is_file() and ":" in text:
        path = Path(text.rpartition(":")[0])
    return path if path.is_file() else None


def read_regions(text: str, grid: Grid) -> Regions:
    """Read the regions that an option of the command line names.

    Parameters
    ----------
    text : str
        ``YMIN,YMAX,XMIN,XMAX`` or ``NAME=YMIN,YMAX,XMIN,XMAX``, a box of cells with half-open
        ranges; or a name of :data:`SEA_BOXES`; or the path of a region file: the 25 km mask of Meier
        et al. 2007 (or that of the Antarctic sectors), uint8 without a header, first row in the north;
        or a NetCDF file with an integer variable on (y, x), such as NSIDC-0780, doi:10.5067/CYW3O8ZUNIWC
        (``PATH:VARIABLE`` where it has several); or polygons: GeoJSON, a shapefile
        (in an archive too) or a GeoPackage
        (``PATH:PROPERTY`` to take the names from another property, see
        :func:`seaice.regions.polygons.read_polygons`).
    grid : Grid
        Grid of the result. A cell gets the region of the cell of the file that its centre lies in.

    Raises
    ------
    InputError
        If the text names neither a box nor a file, the box leaves the grid, the file is no region
        file or one of the other hemisphere, or no polygon holds the centre of a cell.

    Examples
    --------
    >>> read_regions("fram=2,4,0,3", grids.get_grid("n25000")).names
    ('fram',)
    """
    match = re.fullmatch(r"(?:(?P<name>[^=]+)=\s*)?(?P<numbers>-?\d+(?:\s*,\s*-?\d+)*)", text.strip())
    if match is not None and not Path(text).exists():
        numbers = [int(n) for n in match["numbers"].split(",")]
        if len(numbers) != 4:
            raise InputError(f"expected a box as YMIN,YMAX,XMIN,XMAX, found {text!r}")
        box = Box(*numbers)
        box.check(grid)
        codes = np.zeros(grid.shape, dtype=np.uint8)
        codes[box.rows, box.columns] = 1
        return Regions(((match["name"] or str(box)).strip(),), codes)
    if text in SEA_BOXES and not Path(text).exists():
        return Regions((text,), _draw_sea_box(text, grid))
    path, variable = _split_path_and_variable(text)
    if is_vector_file(path):
        polygon_names, codes = draw_polygons(read_polygons(path, variable), grid)
        return _number_regions(polygon_names, codes)
    if is_netcdf(path):
        names, codes, source = _read_netcdf(path, variable)
    else:
        names, codes, source = _read_flat_file(path)
    if None not in (source.hemisphere, grid.hemisphere) and source.hemisphere != grid.hemisphere:
        raise InputError(
            f"the regions of {path} lie in the {source.hemisphere}, the data in the {grid.hemisphere}; "
            "give the region file of that hemisphere"
        )
    return _number_regions(names, resample(codes, source, grid))


@lru_cache(maxsize=1)  # the seas of a grid are asked for one after another
def _compute_degrees(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    return grid.longitude_latitude()


def find_seas(grid: Grid, cells: np.ndarray) -> list[str]:
    """Find the seas of :data:`SEA_BOXES` that hold some cells; on fine grids one in 25 km is looked at.

    Parameters
    ----------
    grid : Grid
    cells : ndarray of bool, shape (rows, columns)
        Such as ocean.
    """
    side = max(1, round(_SEA_KILOMETRES / grid.kilometres))
    rows, columns = np.nonzero(cells[::side, ::side])
    positions = grid.transform_to_degrees(grid.x[::side][columns], grid.y[::side][rows])
    return [name for name in SEA_BOXES if _is_in_sea(name, *positions).any()]


def _is_in_sea(name: str, longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    west, east, south, north = SEA_BOXES[name]
    width = 360 if east - west >= 360 else (east - west) % 360
    is_between = (longitude - west) % 360 <= width
    return np.asarray(is_between & (latitude >= south) & (latitude <= north))


def _draw_sea_box(name: str, grid: Grid) -> np.ndarray:
    """Give the cells with centres in a box of longitude and latitude the code 1."""
    inside = _is_in_sea(name, *_compute_degrees(grid))
    if not inside.any():
        west, east, south, north = SEA_BOXES[name]
        raise InputError(
            f"the grid {grid} has no cell in {name}, {west:g} to {east:g} degrees of longitude and "
            f"{south:g} to {north:g} of latitude; choose another region"
        )
    return inside.astype(np.uint8)


def _split_path_and_variable(text: str) -> tuple[Path, str | None]:
    path = find_region_file(text)
    if path is None:
        raise InputError(
            f"expected a region file, a box YMIN,YMAX,XMIN,XMAX or one of {', '.join(SEA_BOXES)}, "
            f"found {text!r}"
        )
    return path, None if path == Path(text) else text.rpartition(":")[2]


def _number_regions(names: Mapping[int, str], codes: np.ndarray) -> Regions:
    """Give the codes with a name the numbers 1, 2, ... and all other codes 0."""
    table = np.zeros(256, dtype=np.uint8)  # from code to number
    for number, code in enumerate(names, start=1):
        table[code] = number
    return Regions(tuple(names.values()), table[codes])


def _read_flat_file(path: Path) -> tuple[Mapping[int, str], np.ndarray, Grid]:
    """Read a region file without a header: names by code, codes with row 0 in the south, and grid."""
    data = read_content(path)
    for grid_id, (names, no_region_codes) in _FLAT_FILES.items():
        grid = grids.get_grid(grid_id)
        cells = grid.rows * grid.columns
        # One of NSIDC's files ends in a newline after the array.
        if len(data) == cells or (len(data) == cells + 1 and data.endswith(b"\n")):
            codes = np.frombuffer(data[:cells], dtype=np.uint8).reshape(grid.shape)[::-1]
            expected = sorted({*names, *no_region_codes})
            unexpected = sorted(set(np.unique(codes).tolist()) - set(expected))
            if unexpected:
                raise InputError(
                    f"{path} is no region mask of the {grid.hemisphere}: expected codes "
                    f"{', '.join(map(str, expected))}, found {listing([str(c) for c in unexpected])}"
                )
            return names, codes, grid
    raise InputError(
        f"{path} is no region file: expected NetCDF, or one byte a cell of a 25 km grid "
        f"(448 x 304 or 332 x 316 cells), found {len(data)} bytes"
    )


def _read_netcdf(path: Path, name: str | None) -> tuple[Mapping[int, str], np.ndarray, Grid]:
    """Read a NetCDF region file: names by code, codes with row 0 in the south, and grid."""
    with open_netcdf(path) as dataset:
        dataset.set_auto_maskandscale(False)
        variable = _choose_variable(dataset, path, name)
        attributes = _read_attributes(variable)
        layout = _read_layout(dataset, path, str(attributes.get("grid_mapping", "")))
        codes = layout.read(variable.dimensions, lambda part: np.asarray(variable[part]), {})
        if codes.dtype == np.int8:  # NetCDF-3 files have no unsigned byte
            codes = codes.view(np.uint8)
        name = variable.name
    fill = attributes.get("_FillValue", attributes.get("missing_value"))
    if fill is not None:
        codes = np.where(codes == np.asarray(fill).astype(codes.dtype), 0, codes)
    if codes.min() < 0 or codes.max() > 254:
        raise InputError(
            f"{path}: expected region codes from 0 to 254 in {name}, found {codes.min()} to "
            f"{codes.max()}"
        )
    codes = codes.astype(np.uint8)
    return _name_codes(codes, attributes), codes, layout.grid


def _read_attributes(variable: netCDF4.Variable) -> dict[str, Any]:
    return {name: variable.getncattr(name) for name in variable.ncattrs()}


def _choose_variable(dataset: netCDF4.Dataset, path: Path, name: str | None) -> netCDF4.Variable:
    """Choose the named variable, else ``sea_ice_region``, else the first of integers on (y, x)."""
    suitable = [
        candidate
        for candidate, variable in dataset.variables.items()
        if sorted(variable.dimensions) == ["x", "y"] and getattr(variable.dtype, "kind", "") in "iu"
    ]
    if name is not None and name not in suitable:
        raise InputError(f"{path} has no region variable {name!r}; it has {listing(suitable) or 'none'}")
    if not suitable:
        raise InputError(
            f"{path} holds no regions: expected a variable of integers on (y, x), found "
            f"{listing(list(dataset.variables)) or 'nothing'}"
        )
    usual = "sea_ice_region" if "sea_ice_region" in suitable else suitable[0]
    return dataset.variables[name or usual]


def _read_layout(dataset: netCDF4.Dataset, path: Path, mapping: str) -> CellLayout:
    """Read the grid of a region file and the order of its cells."""
    missing = [name for name in ("x", "y") if name not in dataset.variables]
    if missing:
        raise InputError(f"{path}: expected coordinates x and y, found no {' and no '.join(missing)}")
    attributes: dict[str, Any] = {}
    if mapping in dataset.variables:
        attributes = _read_attributes(dataset.variables[mapping])
    try:
        x, y = (grids.Coordinate.read(dataset.variables[name]) for name in ("x", "y"))
        return grids.read_layout(x, y, attributes)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _name_codes(codes: np.ndarray, attributes: Mapping[str, Any]) -> dict[int, str]:
    """Return the names of the codes that occur, from ``flag_meanings`` where the file has them."""
    present = set(np.unique(codes).tolist())
    meanings = str(attributes.get("flag_meanings", "")).split()
    values = np.atleast_1d(attributes.get("flag_values", [])).astype(int).tolist()
    if meanings and len(meanings) == len(values):
        return {
            value: meaning.replace("_", " ")
            for value, meaning in zip(values, meanings, strict=True)
            if value in present and classify_word(meaning) not in _NO_SEA and meaning != _DISCONNECTED
        }
    return {value: f"region {value}" for value in sorted(present - {0})}


def resample(codes: np.ndarray, source: Grid, grid: Grid) -> np.ndarray:
    """Give every cell of a grid the code of the source cell that its centre lies in.

    Parameters
    ----------
    codes : ndarray of uint8, shape of ``source``
        Codes on the source grid.
    source, grid : Grid
        Source grid and grid of the result, in any two map projections. If a cell of the source
        consists of several cells of the result, all of them get its code.

    Returns
    -------
    ndarray of uint8, shape of ``grid``
        0 where a cell centre lies outside the source grid.
    """
    if _describe_without_ellipsoid(source) == _describe_without_ellipsoid(grid):
        xs, ys = grid.x[np.newaxis, :], grid.y[:, np.newaxis]
    else:
        from pyproj import Transformer

        transformer = Transformer.from_crs(grid.crs, source.crs, always_xy=True)
        xs, ys = transformer.transform(*np.meshgrid(grid.x, grid.y))
    inside_x, columns = _locate_cells(
        source.wrap_longitude(xs), source.west, source.step, source.columns
    )
    inside_y, rows = _locate_cells(ys, source.south, source.step, source.rows)
    return np.where(inside_x & inside_y, codes[rows, columns], np.uint8(0))


def _locate_cells(
    coordinates: np.ndarray, edge: float, step: float, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Whether coordinates lie within a grid, and the index of the cell along that axis (0 outside)."""
    number = np.floor((coordinates - edge) / step)
    inside = (number >= 0) & (number < count)
    return inside, np.where(inside, number, 0).astype(np.int64)


def _describe_without_ellipsoid(grid: Grid) -> dict[str, Any]:
    """Projection of a grid without its ellipsoid; Hughes 1980 and WGS 84 differ by at most 150 m."""
    names = ("grid_mapping_name", "standard_parallel", "straight_vertical_longitude_from_pole",
             "latitude_of_projection_origin", "longitude_of_projection_origin")  # fmt: skip
    attributes = grid.to_cf()
    parameters = {name: attributes.get(name) for name in names}
    return parameters if parameters["grid_mapping_name"] else {"projection": grid.projection}
