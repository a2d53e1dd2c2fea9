"""Regions of a grid: a box of cells, or the seas of a region file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError, grids
from seaice.grids import Grid
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
# Flat files of the 25 km grids only: one of 12.5 km has the size of NSIDC's 25 km latitudes.
_FLAT: dict[str, tuple[dict[int, str], frozenset[int]]] = {
    "n25000": (ARCTIC_SEAS, frozenset({0, 20, 21})),
    "s25000": (ANTARCTIC_SECTORS, frozenset({0, 11, 12})),
}
# What NSIDC-0780 and like files call cells that belong to no sea.
_NO_SEA = {
    "land", "coast", "lake", "fresh_free_water", "ice_on_land", "floating_ice_shelf",
    "ocean_disconnected", "off_earth",
}  # fmt: skip
_HDF5, _CLASSIC = b"\x89HDF", b"CDF"


@dataclass(frozen=True)
class Regions:
    """A division of a grid.

    Attributes
    ----------
    names : tuple of str
    codes : ndarray of uint8, shape (rows, columns)
        0 = in no region, i + 1 = in ``names[i]``.
    """

    names: tuple[str, ...]
    codes: np.ndarray


@dataclass(frozen=True)
class Box:
    """A rectangle of cells, by half-open index ranges: ``ymin`` is in it, ``ymax`` is not.

    Row 0 is the smallest y.

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
        """Raise InputError unless the box holds cells and lies within the grid."""
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
    def of_bounds(cls, bounds: tuple[float, float, float, float], grid: Grid) -> Box:
        """The cells whose centres lie within bounds, centres on the bounds included.

        The one place where metres become ranges of cells.

        Parameters
        ----------
        bounds : (west, east, south, north)
            Metres in the plane of the grid.
        grid : Grid

        Raises
        ------
        InputError
            If the bounds are out of order, reach beyond the outer edges of the grid (they are
            not clipped), or hold no centre of a cell.

        Examples
        --------
        >>> grid = grids.get_grid("n25000")
        >>> Box.of_bounds((grid.x[3], grid.x[5], grid.y[0], grid.y[1]), grid)
        Box(ymin=0, ymax=2, xmin=3, xmax=6)
        """
        west, east, south, north = bounds
        said = f"west {west:g}, east {east:g}, south {south:g}, north {north:g} m"
        if not (west <= east and south <= north):
            raise InputError(f"expected west <= east and south <= north, found {said}; exchange them")
        slack = 1e-6 * grid.step  # of a centre or an edge computed in another order
        left, right, bottom, top = grid.extent
        reach = (
            f"the grid {grid} reaches from {left:g} to {right:g} m in x and from {bottom:g} to "
            f"{top:g} m in y"
        )
        if min(west - left, right - east, south - bottom, top - north) < -slack:
            raise InputError(f"expected bounds within the grid, found {said}; {reach}")
        ymin, ymax = _between(grid.y, south - slack, north + slack)
        xmin, xmax = _between(grid.x, west - slack, east + slack)
        if ymin >= ymax or xmin >= xmax:
            raise InputError(
                f"no cell centre of the grid {grid} lies within {said}; its cells measure "
                f"{grid.step:g} m"
            )
        return cls(ymin, ymax, xmin, xmax)


def _between(centres: np.ndarray, low: float, high: float) -> tuple[int, int]:
    """Half-open range of the centres from ``low`` to ``high``, both included."""
    first, beyond = np.searchsorted(centres, low, "left"), np.searchsorted(centres, high, "right")
    return int(first), int(beyond)


def region_file(text: str) -> Path | None:
    """The file that a region of the command line is read from; None for a box."""
    path = Path(text)
    if not path.is_file() and ":" in text:
        path = Path(text.rpartition(":")[0])
    return path if path.is_file() else None


def read_regions(text: str, grid: Grid) -> Regions:
    """Read a region as it is given on the command line.

    Parameters
    ----------
    text : str
        ``YMIN,YMAX,XMIN,XMAX`` or ``NAME=YMIN,YMAX,XMIN,XMAX``, a box of cells with half-open
        ranges; or the path of a region file: the flat 25 km mask of Meier et al. 2007 (or the
        one of the Antarctic sectors), uint8, first row in the north; or a NetCDF file with an
        integer variable on (y, x), such as NSIDC-0780, doi:10.5067/CYW3O8ZUNIWC
        (``PATH:VARIABLE`` where it has several).
    grid : Grid
        A cell takes the region of the file's cell that its centre lies in.

    Raises
    ------
    InputError
        If the text is neither, the box lies outside, or the file is no region file or of the
        other hemisphere.

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
    path, variable = _path_and_variable(text)
    if _is_netcdf(path):
        names, codes, source = _read_netcdf(path, variable)
    else:
        names, codes, source = _read_flat(path)
    if source.hemisphere != grid.hemisphere:
        raise InputError(
            f"the regions of {path} lie in the {source.hemisphere}, the data in the {grid.hemisphere}; "
            "give the region file of that hemisphere"
        )
    return _numbered(names, resample(codes, source, grid))


def _path_and_variable(text: str) -> tuple[Path, str | None]:
    path = region_file(text)
    if path is None:
        raise InputError(
            f"expected a region file or a box YMIN,YMAX,XMIN,XMAX, found neither in {text!r}"
        )
    return path, None if path == Path(text) else text.rpartition(":")[2]


def _is_netcdf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4).startswith((_HDF5, _CLASSIC))


def _numbered(names: Mapping[int, str], codes: np.ndarray) -> Regions:
    """Number the named codes 1, 2, ... and everything else 0."""
    table = np.zeros(256, dtype=np.uint8)
    for number, code in enumerate(names, start=1):
        table[code] = number
    return Regions(tuple(names.values()), table[codes])


def _read_flat(path: Path) -> tuple[Mapping[int, str], np.ndarray, Grid]:
    data = path.read_bytes()
    for grid_id, (names, others) in _FLAT.items():
        grid = grids.get_grid(grid_id)
        cells = grid.rows * grid.columns
        # One of NSIDC's files ends in a newline after the array.
        if len(data) == cells or (len(data) == cells + 1 and data.endswith(b"\n")):
            codes = np.frombuffer(data[:cells], dtype=np.uint8).reshape(grid.shape)[::-1]
            known = sorted({*names, *others})
            unknown = sorted(set(np.unique(codes).tolist()) - set(known))
            if unknown:
                raise InputError(
                    f"{path} is no region mask of the {grid.hemisphere}: expected codes "
                    f"{', '.join(map(str, known))}, found {listing([str(c) for c in unknown])}"
                )
            return names, codes, grid
    raise InputError(
        f"{path} is no region file: expected NetCDF, or one byte a cell of a 25 km grid "
        f"(448 x 304 or 332 x 316 cells), found {len(data)} bytes"
    )


def _read_netcdf(path: Path, variable: str | None) -> tuple[Mapping[int, str], np.ndarray, Grid]:
    import netCDF4

    try:
        dataset = netCDF4.Dataset(path)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} is no readable NetCDF file ({error})") from None
    with dataset:
        dataset.set_auto_maskandscale(False)
        found = _region_variable(dataset, path, variable)
        name = found.name
        attributes = {k: found.getncattr(k) for k in found.ncattrs()}
        codes = np.asarray(found[:])
        if codes.dtype == np.int8:  # classic files have no unsigned byte
            codes = codes.view(np.uint8)
        grid, south_up = _grid_of(dataset, path, str(attributes.get("grid_mapping", "")))
    fill = attributes.get("_FillValue", attributes.get("missing_value"))
    if fill is not None:
        codes = np.where(codes == np.asarray(fill).astype(codes.dtype), 0, codes)
    if codes.min() < 0 or codes.max() > 254:
        raise InputError(
            f"{path}: expected region codes from 0 to 254 in {name}, found {codes.min()} to "
            f"{codes.max()}"
        )
    codes = codes.astype(np.uint8)
    return _names_of(codes, attributes), codes if south_up else codes[::-1], grid


def _region_variable(dataset: netCDF4.Dataset, path: Path, wanted: str | None) -> netCDF4.Variable:
    """The variable asked for, else ``sea_ice_region``, else the first one of integers on (y, x)."""
    suitable = [
        name
        for name, v in dataset.variables.items()
        if v.dimensions == ("y", "x") and getattr(v.dtype, "kind", "") in "iu"
    ]
    if wanted is not None and wanted not in suitable:
        raise InputError(
            f"{path} has no region variable {wanted!r}; it has {listing(suitable) or 'none'}"
        )
    if not suitable:
        raise InputError(
            f"{path} holds no regions: expected a variable of integers on (y, x), found "
            f"{listing(list(dataset.variables)) or 'nothing'}"
        )
    usual = "sea_ice_region" if "sea_ice_region" in suitable else suitable[0]
    return dataset.variables[wanted or usual]


def _grid_of(dataset: netCDF4.Dataset, path: Path, mapping: str) -> tuple[Grid, bool]:
    """The grid of a region file, and whether its first row is in the south."""
    missing = [name for name in ("x", "y") if name not in dataset.variables]
    if missing:
        raise InputError(f"{path}: expected coordinates x and y, found no {' and no '.join(missing)}")
    x, y = (np.asarray(dataset.variables[n][:], dtype=np.float64) for n in ("x", "y"))
    south_up = bool(y[-1] > y[0])
    attributes: dict[str, Any] = {}
    if mapping in dataset.variables:
        crs = dataset.variables[mapping]
        attributes = {k: crs.getncattr(k) for k in crs.ncattrs()}
    try:
        return grids.from_coordinates(x, y if south_up else y[::-1], attributes), south_up
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _names_of(codes: np.ndarray, attributes: Mapping[str, Any]) -> dict[int, str]:
    """Names of the codes in use, from ``flag_meanings`` where the file has them."""
    present = set(np.unique(codes).tolist())
    meanings = str(attributes.get("flag_meanings", "")).split()
    values = np.atleast_1d(attributes.get("flag_values", [])).astype(int).tolist()
    if meanings and len(meanings) == len(values):
        return {
            value: meaning.replace("_", " ")
            for value, meaning in zip(values, meanings, strict=True)
            if value in present and meaning not in _NO_SEA
        }
    return {value: f"region {value}" for value in sorted(present - {0})}


def resample(codes: np.ndarray, source: Grid, grid: Grid) -> np.ndarray:
    """Give every cell of a grid the code of the source cell that its centre lies in.

    Parameters
    ----------
    codes : ndarray of uint8, shape of ``source``
    source, grid : Grid
        In any two projections; for nested grids every fine cell takes its coarse one.

    Returns
    -------
    ndarray of uint8, shape of ``grid``
        0 outside the source.
    """
    if _plane(source) == _plane(grid):
        xs, ys = grid.x[np.newaxis, :], grid.y[:, np.newaxis]
    else:
        from pyproj import Transformer

        transformer = Transformer.from_crs(grid.crs, source.crs, always_xy=True)
        xs, ys = transformer.transform(*np.meshgrid(grid.x, grid.y))
    inside_x, columns = _cell_number(xs, source.west, source.step, source.columns)
    inside_y, rows = _cell_number(ys, source.south, source.step, source.rows)
    return np.where(inside_x & inside_y, codes[rows, columns], np.uint8(0))


def _cell_number(
    places: np.ndarray, edge: float, step: float, count: int
) -> tuple[np.ndarray, np.ndarray]:
    number = np.floor((places - edge) / step)
    inside = (number >= 0) & (number < count)
    return inside, np.where(inside, number, 0).astype(np.int64)


def _plane(grid: Grid) -> dict[str, Any]:
    """A grid's projection without its ellipsoid: Hughes and WGS 84 labels differ by 150 m at most."""
    names = ("grid_mapping_name", "standard_parallel", "straight_vertical_longitude_from_pole",
             "latitude_of_projection_origin", "longitude_of_projection_origin")  # fmt: skip
    attributes = grid.to_cf()
    plane = {name: attributes.get(name) for name in names}
    return plane if plane["grid_mapping_name"] else {"projection": grid.projection}
