"""Reading a consolidated cube: concentration, flags, surface, days and grid."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import date
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from seaice import (
    InputError,
    cf,
    grids,
    open_file,
)
from seaice.cf import ValuePacking
from seaice.cube.shards import (
    Layout,
    has_own_keys,
    own_layout,
    read_shard,
)
from seaice.dates import parse_date, read_days
from seaice.flags import Surface, find_flag_value, is_ocean, read_flag_values, translate_surface
from seaice.grids import CellLayout, Grid
from seaice.open_file import explain_damage, open_netcdf, open_zarr
from seaice.open_file.address import Address, Place, find_zarr_format, locate
from seaice.runtime.atomic_write import locate_replaced
from seaice.runtime.json_files import parse_json
from seaice.runtime.output_checks import resolve_links

WHOLE = slice(None)
Index = tuple[int | slice, ...]
# What a cube of ``consolidate_data.py`` always holds.
_NEEDED = ("time", "sea_ice_conc", "fill_flag", "surface", "x", "y")
# Dimensions of a map and of days of maps, in the usual order.
_MAP, _DAYS = ("y", "x"), ("time", "y", "x")
_LOWEST, _HIGHEST = np.fmin.reduce, np.fmax.reduce
# Errors by which a container reports bytes that cannot be read or decoded.
DAMAGE = (OSError, RuntimeError)
# Errors of zarr-python for the same; they become OSError.
_ZARR_DAMAGE = (OSError, RuntimeError, ValueError, EOFError, zlib.error)


class CubeFile:
    """A cube made by ``consolidate_data.py``, open for reading, or other daily maps of concentration.

    What ``fill_gaps.py`` writes of ice concentration is read by the same names, and so are daily maps
    of other programs: without a flag variable all their values count as observed, without a mask
    every cell as ocean, and days without a map as absent. ``has("fill_flag")`` and ``has("surface")``
    tell whether the file says these. Not for sharing between processes or threads: open one in each.

    Parameters
    ----------
    path : Path or str
        NetCDF file, or Zarr group: a folder or an address (``https://...``, ``s3://...``).
    only_cube : bool
        Whether nothing but a cube of ``consolidate_data.py`` will do.

    Raises
    ------
    InputError
        If it is missing, unreadable or holds no daily maps of ice concentration.

    Attributes
    ----------
    path : Path
    dates : list of date
        Every day of the regular axis.
    grid : Grid
    is_cube : bool
        Whether the file is a cube in the layout of ``consolidate_data.py``.
    attributes : dict
        Global attributes.
    """

    def __init__(self, path: Path | str | Address, *, only_cube: bool = False) -> None:
        self.path = locate(path)
        if isinstance(self.path, Path) and not self.path.exists():
            raise InputError(f"no such cube: {self.path}{_left_aside(self.path)}")
        self._container, self.is_cube = self._open_container(only_cube)
        try:
            self._read_axes()
        except BaseException:
            self._container.close()
            raise

    def _open_container(self, only_cube: bool) -> tuple[Container, bool]:
        """Open the file as a cube, else by its ice concentration."""
        field = self._open_field() if not only_cube and _is_old_group(self.path) else None
        if field is not None:
            return field, False
        container = open_container(self.path)
        missing = [name for name in _NEEDED if not container.has(name)]
        if not missing:
            return container, True
        container.close()
        field = None if only_cube else self._open_field()
        if field is None:
            raise InputError(
                f"{self.path} is no cube of consolidate_data.py: it lacks {', '.join(missing)}"
            )
        return field, False

    def _open_field(self) -> Container | None:
        from seaice.cube.field_container import FieldContainer

        try:
            return FieldContainer.find(self.path)
        except InputError as error:
            if str(self.path) in str(error):
                raise
            raise InputError(f"{self.path} cannot be used as a cube: {error}") from None

    def _read_axes(self) -> None:
        try:
            self._read_content()
        except InputError as error:
            raise InputError(f"{self.path} cannot be used as a cube: {error}") from None
        except open_file.DAMAGE as error:
            raise InputError(
                f"{self.path} is damaged: its axes or surface cannot be read ({error}); make the "
                "cube again with consolidate_data.py --force"
            ) from None

    def _read_content(self) -> None:
        container = self._container
        self.dates: list[date] = read_days(container.read("time"), container.attributes_of("time"))
        if not self.dates:
            raise InputError("expected at least one day, found none")
        self._layout = container.layout()
        self.grid: Grid = self._layout.grid
        for name, expected in (("surface", _MAP), ("sea_ice_conc", _DAYS), ("fill_flag", _DAYS)):
            dimensions = container.dimensions(name)
            if sorted(dimensions) != sorted(expected):
                raise InputError(
                    f"expected {name}({', '.join(expected)}), found {name}({', '.join(dimensions)})"
                )
        if self.is_cube:
            _ = self.surface
        self.attributes: dict[str, Any] = container.attributes
        self._packing = ValuePacking.read(container.attributes_of("sea_ice_conc"), "sea_ice_conc")
        self._flag_values = read_flag_values(container.attributes_of("fill_flag"))
        self._number = {day: i for i, day in enumerate(self.dates)}

    @cached_property
    def surface(self) -> np.ndarray:
        """Codes of :class:`seaice.flags.Surface`, uint8 (rows, columns)."""
        attributes = self._container.attributes_of("surface")
        return translate_surface(self._read_part("surface"), attributes)

    @property
    def stores_plain_codes(self) -> bool:
        """Whether cells are stored in the usual order, and concentration as numbers times a scale.

        Then chunks of the file can be read without its library.
        """
        is_usual = self.is_cube and all(
            self._layout.is_usual(self._container.dimensions(name))
            for name in ("sea_ice_conc", "fill_flag")
        )
        attributes = self._container.attributes_of("sea_ice_conc")
        scale = float(np.asarray(attributes.get("scale_factor", 0)).item())
        return is_usual and self._packing.is_plain_scale and self._packing.scale == scale

    @property
    def is_as_written(self) -> bool:
        """Whether axes and values are stored as ``consolidate_data.py`` stores them."""
        time = self._container.attributes_of("time")
        return (
            self.stores_plain_codes
            and np.float32(self._packing.scale) == np.float32(cf.CONCENTRATION_SCALE)
            and self._packing.missing == (cf.CONCENTRATION_FILL,)
            and all(time.get(name) == cf.TIME_ATTRIBUTES[name] for name in ("units", "calendar"))
        )

    @property
    def ocean(self) -> np.ndarray:
        """True where cells are filled and counted, bool (rows, columns)."""
        return is_ocean(self.surface)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters the cube was made with; InputError if the file has none."""
        try:
            return dict(parse_json(self.attributes["parameters"]))
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{self.path} does not tell the parameters it was made with") from None

    def has(self, name: str) -> bool:
        """Whether the file holds a variable, or what is read by its name."""
        return self._container.has(name)

    def index(self, day: Any) -> int:
        """Position of a day on the axis; InputError if the cube does not reach it."""
        date_of_day = parse_date(day)
        if date_of_day not in self._number:
            raise InputError(
                f"{self.path} has no {date_of_day}: it reaches from {self.dates[0]} to {self.dates[-1]}"
            )
        return self._number[date_of_day]

    def concentration(
        self, days: int | slice | date | str, rows: slice = WHOLE, columns: slice = WHOLE
    ) -> np.ndarray:
        """Concentration as a fraction 0..1, float32; NaN over land and where there is no value.

        Parameters
        ----------
        days : int, slice, date or str
            Positions on the time axis, or a day in any form :func:`seaice.dates.parse_date` accepts
            but a number.
        rows, columns : slice
            Part of the grid; only that part is read. Row 0 is in the south: ``imshow`` needs
            ``origin="lower"``.
        """
        days = self._locate(days)
        stored = self._read("sea_ice_conc", days, rows, columns)
        values = self._packing.unpack(stored)
        if stored.dtype != np.int16 or not self._packing.is_plain_scale:
            self._check_fractions(values, days)
        return values

    def _locate(self, days: Any) -> int | slice:
        """Positions on the time axis of an argument ``days``."""
        if isinstance(days, slice) or hasattr(days, "__index__"):
            return days  # type: ignore[no-any-return]
        return self.index(days)

    def __repr__(self) -> str:
        days = f"{len(self.dates)} days {self.dates[0]} to {self.dates[-1]}"
        return f"CubeFile({str(self.path)!r}: {days} on {self.grid})"

    def _check_fractions(self, values: np.ndarray, days: int | slice) -> None:
        lowest, highest = (reduce(values, axis=None, initial=0) for reduce in (_LOWEST, _HIGHEST))
        if lowest < -0.01 or highest > 1.01:
            raise InputError(
                f"{self.path}: expected sea_ice_conc as fractions 0 to 1, found {lowest:g} to "
                f"{highest:g} at {self._name_days(days)}; give it the units it has, 1 or percent"
            )

    def flags(
        self, days: int | slice | date | str, rows: slice = WHOLE, columns: slice = WHOLE
    ) -> np.ndarray:
        """Codes of ``fill_flag``, uint8, as :meth:`concentration`; read them with :meth:`flag_value`."""
        codes = self._read("fill_flag", self._locate(days), rows, columns)
        if codes.dtype == np.uint8:
            return codes
        # Programs that insert days store flags as floats: a cell without a flag has no value.
        codes = np.where(codes == codes, codes, self.flag_value("not_filled"))
        return (codes.astype(np.int64) % 256).astype(np.uint8)

    def flag_value(self, meaning: str, variable: str = "fill_flag") -> int:
        """The code that means ``meaning``; KeyError if the file does not have it.

        Of ``surface`` it is the code in :attr:`surface`, of other variables that of the file.
        """
        if variable == "surface":
            return Surface[meaning.upper()]
        if variable != "fill_flag":
            return find_flag_value(self._container.attributes_of(variable), meaning)
        if meaning not in self._flag_values:
            codes = ", ".join(self._flag_values)
            raise KeyError(f"no flag means {meaning!r}; the file has {codes}")
        return self._flag_values[meaning]

    def standard_error(
        self, days: int | slice, rows: slice = WHOLE, columns: slice = WHOLE
    ) -> np.ndarray | None:
        """Standard error as a fraction, float32; None without errors.

        NaN where a value was observed, unless its product tells the error.
        """
        name = "sea_ice_conc_error"
        if not self.has(name):
            return None
        packing = ValuePacking.read(self._container.attributes_of(name), name)
        return packing.unpack(self._read(name, days, rows, columns))

    def variable(
        self, name: str, days: int | slice = WHOLE, rows: slice = WHOLE, columns: slice = WHOLE
    ) -> np.ndarray:
        """A stored array of another variable, cells in the usual order; for texts see :meth:`texts`."""
        return self._read(name, days, rows, columns)

    def texts(self, name: str) -> list[str]:
        """A per-day text variable (``input_file``, ``input_sha256``, ``day_reason``)."""
        try:
            return self._container.texts(name)
        except DAMAGE as error:
            raise self._make_damage_error(name, WHOLE, error) from None

    def _read(
        self, name: str, days: int | slice, rows: slice = WHOLE, columns: slice = WHOLE
    ) -> np.ndarray:
        try:
            return self._read_part(name, time=days, y=rows, x=columns)
        except DAMAGE as error:
            raise self._make_damage_error(name, days, error) from None

    def _read_part(self, name: str, **parts: int | slice) -> np.ndarray:
        read = partial(self._container.read, name)
        return self._layout.read(self._container.dimensions(name), read, parts)

    def _make_damage_error(self, name: str, days: int | slice, error: Exception) -> InputError:
        return InputError(
            f"{self.path} is damaged: {name} cannot be read at {self._name_days(days)} "
            f"({error}); make the cube again with consolidate_data.py --force"
        )

    def _name_days(self, days: int | slice) -> str:
        chosen = self.dates[days] if isinstance(days, slice) else [self.dates[days]]
        return f"{chosen[0]} to {chosen[-1]}" if len(chosen) > 1 else str(chosen[0])

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def is_cube(path: Place) -> bool:
    """Whether a file holds all that a cube of ``consolidate_data.py`` holds."""
    try:
        container = open_container(path)
    except InputError:
        return False
    try:
        return all(container.has(name) for name in _NEEDED)
    finally:
        container.close()


def _is_old_group(path: Place) -> bool:
    """Whether a folder or an address is a Zarr group of version 2."""
    return path.is_dir() and find_zarr_format(path) == 2


def _left_aside(path: Path) -> str:
    """What to do about a cube that is not there."""
    left = locate_replaced(resolve_links(path))
    if left.is_dir():
        return f", but {left}, which a killed run moved aside; run consolidate_data.py again"
    return "; make it with consolidate_data.py"


class Container(Protocol):
    """An open container."""

    attributes: dict[str, Any]

    def has(self, name: str) -> bool:
        """Whether there is a variable of that name."""

    def attributes_of(self, name: str) -> dict[str, Any]:
        """Attributes of a variable."""

    def dimensions(self, name: str) -> tuple[str, ...]:
        """Dimensions of a variable, in the order of its storage."""

    def read(self, name: str, index: Index = ()) -> np.ndarray:
        """A part of a variable as stored; one of ``DAMAGE`` if it cannot be read."""

    def texts(self, name: str) -> list[str]:
        """A text variable; one of ``DAMAGE`` if it cannot be read."""

    def layout(self) -> CellLayout:
        """The grid of the cube and the order of its cells; one of ``DAMAGE`` if it cannot be read."""

    def close(self) -> None:
        """Close the container; a second time does nothing."""


def open_container(path: Place) -> Container:
    """Open a NetCDF file, or a folder or an address that is a Zarr v3 group.

    Raises
    ------
    InputError
        If it is neither; the message says what was found.
    """
    if isinstance(path, Address) or path.is_dir():
        return ZarrContainer(path)
    return NetCDFContainer(path)


class NetCDFContainer:
    """A NetCDF file, read as stored."""

    def __init__(self, path: Path) -> None:
        self._dataset = open_netcdf(path)
        self._dataset.set_auto_maskandscale(False)
        self._dataset.set_auto_chartostring(False)
        self.attributes = {k: self._dataset.getncattr(k) for k in self._dataset.ncattrs()}

    def has(self, name: str) -> bool:
        """Whether there is a variable of that name."""
        return name in self._dataset.variables

    def attributes_of(self, name: str) -> dict[str, Any]:
        """Attributes of a variable."""
        variable = self._dataset[name]
        return {k: variable.getncattr(k) for k in variable.ncattrs()}

    def dimensions(self, name: str) -> tuple[str, ...]:
        """Dimensions of a variable, in the order of its storage."""
        return tuple(self._dataset[name].dimensions)

    def read(self, name: str, index: Index = ()) -> np.ndarray:
        """A part of a variable as stored."""
        return np.asarray(self._dataset[name][index or ...])

    def texts(self, name: str) -> list[str]:
        """A variable of rows of characters, or of texts."""
        rows = self.read(name)
        if rows.dtype.kind == "S":
            return [cf.decode_text(row) for row in rows]
        return [str(text) for text in rows.tolist()]

    def layout(self) -> CellLayout:
        """The grid of the cube and the order of its cells."""
        return cf.read_layout(self._dataset)

    def close(self) -> None:
        """Close the file."""
        if self._dataset.isopen():
            self._dataset.close()


class ZarrContainer:
    """A Zarr v3 group in a folder or at an address.

    Variables in the layout of :mod:`seaice.cube.zarr` are read past zarr-python, which
    takes some milliseconds for any read and gives fill values where a file was lost.
    """

    def __init__(self, path: Place) -> None:
        # None for an address: whatever there is is read by zarr-python.
        self._folder = path if isinstance(path, Path) else None
        if self._folder is not None:
            _check_group(self._folder)
        group = open_zarr(path)
        with explain_damage(path, "Zarr"):
            self._arrays = dict(group.arrays())
        self.attributes: dict[str, Any] = group.attrs.asdict()
        self._layouts = {
            name: own_layout(array) if self._folder is not None else None
            for name, array in self._arrays.items()
        }

    def has(self, name: str) -> bool:
        """Whether there is an array of that name."""
        return name in self._arrays

    def attributes_of(self, name: str) -> dict[str, Any]:
        """Attributes of an array."""
        return dict(self._arrays[name].attrs.asdict())

    def dimensions(self, name: str) -> tuple[str, ...]:
        """Dimensions of an array, in the order of its storage."""
        metadata: Any = self._arrays[name].metadata
        return tuple(map(str, metadata.dimension_names or ()))

    def read(self, name: str, index: Index = ()) -> np.ndarray:
        """A part of an array as stored."""
        array, layout = self._arrays[name], self._layouts[name]
        index = index[: array.ndim]
        if layout is not None and self._folder is not None:
            return self._read_shards(self._folder / name, layout, index, _ranges(index, array.shape))
        try:
            if self._folder is not None and has_own_keys(array.metadata.to_dict()):
                self._check_files(name, self._folder)
            return np.asarray(array[index or ...])
        except _ZARR_DAMAGE as error:
            raise OSError(str(error)) from error

    def _read_shards(
        self, folder: Path, layout: Layout, index: Index, part: Sequence[range]
    ) -> np.ndarray:
        *days, rows, columns = part
        files = [f"c.{day}.0.0" for day in days[0]] if days else ["c.0.0"]
        inner, across = _span(rows), _span(columns)
        shape = (len(files), inner.stop - inner.start, across.stop - across.start)
        frames = np.empty(shape, layout.dtype)
        for file, frame in zip(files, frames, strict=True):
            read_shard(folder / file, layout, inner, across, frame)
        if rows.step != 1 or columns.step != 1:
            row_index = np.array(rows)[:, np.newaxis] - inner.start
            frames = frames[:, row_index, np.array(columns) - across.start]
        values = frames if days else frames[0]
        return values[tuple(slice(None) if isinstance(i, slice) else 0 for i in index)]

    def _check_files(self, name: str, folder: Path) -> None:
        """Refuse an array without one of its chunk files: all were written, so it was lost."""
        array = self._arrays[name]
        for chunk in product(*(range(count) for count in array.cdata_shape)):
            file = folder / name / array.metadata.encode_chunk_key(chunk)
            if file.stat().st_size == 0:
                raise OSError(f"{file} is empty")

    def texts(self, name: str) -> list[str]:
        """An array of strings."""
        return [str(text) for text in self.read(name).tolist()]

    def layout(self) -> CellLayout:
        """The grid of the cube and the order of its cells."""
        attributes = {name: self.attributes_of(name) for name in self._arrays}
        dimensions = {name: self.dimensions(name) for name in self._arrays}
        return grids.find_layout(attributes, dimensions, self.read)

    def close(self) -> None:
        """Nothing is held open."""


def _check_group(path: Path) -> None:
    """Say what is wrong with a folder that is no Zarr v3 group."""
    advice = "give a cube of consolidate_data.py, a .nc file or a .zarr folder"
    if not (path / "zarr.json").is_file():
        if any((path / name).exists() for name in (".zgroup", ".zarray", ".zmetadata")):
            raise InputError(f"expected a Zarr v3 group, found a Zarr v2 store: {path}; {advice}")
        folder = "a folder without zarr.json" if any(path.iterdir()) else "an empty folder"
        raise InputError(f"expected a cube, found {folder}: {path}; {advice}")
    try:
        kind = parse_json((path / "zarr.json").read_text(encoding="utf-8"))["node_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged: its zarr.json cannot be read ({error}); make the cube again with "
            "consolidate_data.py --force"
        ) from None
    if kind != "group":
        raise InputError(f"expected a Zarr group, found one {kind} of a group: {path}; {advice}")


def _ranges(index: Index, shape: Sequence[int]) -> list[range]:
    """The positions that an index takes along every axis; one position for a number."""
    whole = [*index, *[slice(None)] * (len(shape) - len(index))]
    ranges = []
    for part, size in zip(whole, shape, strict=True):
        if isinstance(part, slice):
            ranges.append(range(*part.indices(size)))
        elif -size <= part < size:
            ranges.append(range(part % size, part % size + 1))
        else:
            raise IndexError(f"expected a position below {size}, found {part}")
    return ranges


def _span(cells: range) -> slice:
    """From the lowest to the highest of some positions."""
    return slice(min(cells), max(cells) + 1) if cells else slice(0, 0)
