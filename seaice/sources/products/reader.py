"""Reading one day of a product as percent, classes, standard error and grid, with every check."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from seaice import InputError, grids
from seaice.dates import read_days
from seaice.flags import SurfaceClass, classify_word, read_numbers
from seaice.grids import CellLayout, Coordinate, Grid
from seaice.grids.projection import is_grid_mapping
from seaice.open_file import UnreadableFile
from seaice.report import listing
from seaice.sources import RejectedDay
from seaice.sources.products import decoding
from seaice.sources.products.containers import (
    StoredAxes,
    StoredFile,
    StoredVariable,
    open_stored,
)
from seaice.sources.products.decoding import Coding, FlagCoding
from seaice.sources.products.file import ProductFile
from seaice.sources.products.product import CellClass, FlagMeaning, FlagRule, Form, Units

logger = logging.getLogger(__name__)

_LARGEST_DAY = 1 << 27  # cells


class ProductDay(NamedTuple):
    """One day of a product on its grid, row 0 the smallest y.

    Attributes
    ----------
    concentration : ndarray of float32, shape (rows, columns)
        Percent, 0..100; NaN everywhere but at values.
    classes : ndarray of uint8, same shape
        :class:`seaice.sources.products.product.CellClass`.
    interpolated : ndarray of bool, same shape, or None
        Whether the producer has made the value by interpolation in space or time; None if the product
        does not say.
    error : ndarray of float32, same shape, or None
        Standard error of the value, percent; NaN where it is not known. None if the product has none.
    grid : Grid
    variable : str
        The variable that was read, of several perhaps.
    """

    concentration: np.ndarray
    classes: np.ndarray
    interpolated: np.ndarray | None
    error: np.ndarray | None
    grid: Grid
    variable: str


def read_product_day(
    file: ProductFile, *, grid: Grid | None = None, content: bytes | None = None
) -> ProductDay:
    """Read one day of a product and check that it can be used.

    Parameters
    ----------
    file : ProductFile
        From :func:`seaice.sources.products.folder.find_product_files`.
    grid : Grid, optional
        The grid expected.
    content : bytes, optional
        The bytes of the file, where they were read before.

    Raises
    ------
    RejectedDay
        If the file is none of the product, is damaged or lies on another grid, if a number is neither
        a concentration nor a code of the product, or no cell has a value. The message is the reason,
        without the path.
    """
    with _open(file, content) as stored:
        variable, layout = _find_concentration(file, stored)
        if grid is not None and not grid.same_cells(layout.grid):
            raise RejectedDay(f"on another grid: expected {grid}, found {layout.grid}")
        reader = _DayReader(layout, _find_index(file, stored, variable))
        form = file.form
        coding = _read_coding(variable, form.units, form.scale, form.codes)
        concentration, classes = decoding.decode_concentration(reader.read(variable), coding)
        interpolated = _read_flags(form, stored, reader, classes)
        error = _read_error(form, stored, reader, coding.units)
        decoding.clear_cells(
            classes, concentration, error, interpolated, may_be_ice_free=form.may_be_ice_free
        )
    return ProductDay(concentration, classes, interpolated, error, layout.grid, variable.name)


def read_product_grid(file: ProductFile) -> Grid:
    """Read only the grid of a day; see :func:`read_product_day` for errors."""
    with _open(file, None) as stored:
        return _find_concentration(file, stored)[1].grid


def read_product_days(file: ProductFile) -> list[date]:
    """Read the days of a file from its time axis.

    Raises
    ------
    RejectedDay
        If it has no time axis or cannot be read.
    """
    with _open(file, None) as stored:
        days = _read_time(stored)
        if days is None:
            raise RejectedDay("its name tells no day, and it has no time axis that does")
        return days


@contextmanager
def _open(file: ProductFile, content: bytes | None) -> Iterator[StoredFile]:
    """Open a file; whatever a library raises on an odd one is the rejection of this day alone."""
    shapes = [grid.shape for grid in file.form.list_grids(file.hemisphere)]
    try:
        with open_stored(file.form, file.path, content=content, shapes=shapes) as stored:
            yield stored
    except UnreadableFile as error:
        raise RejectedDay(error.reason) from None
    except RejectedDay:
        raise
    except InputError as error:
        raise RejectedDay(str(error)) from None
    except Exception as error:
        text = " ".join(str(error).split())[:120]
        raise RejectedDay(f"cannot be read ({type(error).__name__}: {text})") from None


@dataclass(frozen=True)
class _DayReader:
    """Reads variables of one day with their first row in the south."""

    layout: CellLayout
    index: int

    def read(self, variable: StoredVariable) -> np.ndarray:
        """Read a variable as it is stored, shape (rows, columns)."""
        if variable.cells != self.layout.grid.shape:
            raise RejectedDay(
                f"{variable.name} has {variable.cells[0]} x {variable.cells[1]} cells, not those of "
                f"{self.layout.grid}"
            )
        parts: dict[str, int | slice] = dict.fromkeys(set(variable.dimensions) - {"x", "y"}, 0)
        if "time" in parts:
            parts["time"] = self.index
        return self.layout.read(variable.dimensions, variable.read_stored, parts)


# --- which variable, which day ------------------------------------------------------------------------


def _find_concentration(file: ProductFile, stored: StoredFile) -> tuple[StoredVariable, CellLayout]:
    form = file.form
    if form.variables:
        name = _find_name(file, stored, form.variables)
        if name is None:
            raise RejectedDay(
                f"holds no variable {' or '.join(form.variables)}, the concentration of "
                f"{file.product.name}: an empty day, or another product; it holds "
                f"{listing(list(stored.list_variables())) or 'nothing'}"
            )
    else:
        (name,) = stored.list_variables()
    variable = stored.get_variable(name)
    if not {"x", "y"} <= set(variable.dimensions):
        raise RejectedDay(f"expected rows and columns in {name}, found {variable.dimensions}")
    if variable.cells[0] * variable.cells[1] > _LARGEST_DAY:
        raise RejectedDay(f"expected at most {_LARGEST_DAY} cells, found {variable.shape}")
    sizes = zip(variable.dimensions, variable.shape, strict=True)
    further = [f"{d} {n}" for d, n in sizes if d not in ("time", "y", "x") and n != 1]
    if further:
        raise RejectedDay(f"expected days, rows and columns in {name}, found also {', '.join(further)}")
    return variable, _find_layout(file, stored, variable)


def _find_name(file: ProductFile, stored: StoredFile, patterns: Sequence[str]) -> str | None:
    """Find the first variable that a pattern fits; None if there is none."""
    letter = {"north": "N", "south": "S"}.get(file.hemisphere or "", "?")
    names = stored.find_names([pattern.replace("{N}", letter) for pattern in patterns])
    if len(names) > 1:
        _log_once(
            logging.INFO,
            f"{file.product.name}: of the variables {', '.join(names)} in a file {names[0]} is read; a "
            "description with 'like' and 'variable' chooses another",
        )
    return names[0] if names else None


@lru_cache(maxsize=256)
def _log_once(level: int, message: str) -> None:
    logger.log(level, message)


def _read_time(stored: StoredFile) -> list[date] | None:
    """Read the days of a file; None if it does not tell them."""
    time = stored.find_time()
    if time is None:
        return None
    values = np.atleast_1d(np.asarray(time.read_stored((slice(None),) * len(time.shape))))
    return read_days(values, time.attributes)


def _find_index(file: ProductFile, stored: StoredFile, variable: StoredVariable) -> int:
    """Find where in time the day of a file is; RejectedDay if the file holds another one."""
    sizes = dict(zip(variable.dimensions, variable.shape, strict=True))
    count = sizes.get("time", 1)
    if not file.form.has_true_time and count == 1:
        return 0
    try:
        days = _read_time(stored)
    except InputError:
        if count > 1:
            raise
        days = None  # a time that says nothing contradicts no name
    if days is None:
        if count > 1:
            raise RejectedDay(f"holds {count} days and no time axis that tells them apart")
        return 0
    if file.day in days and len(days) == count:
        return days.index(file.day)
    span = str(days[0]) if len(days) == 1 else f"{days[0]} to {days[-1]}"
    raise RejectedDay(f"its name says {file.day}, its time {span}")


# --- grid -----------------------------------------------------------------------------------------


def _find_layout(file: ProductFile, stored: StoredFile, variable: StoredVariable) -> CellLayout:
    """Find the grid of a file and the order of its cells."""
    axes = stored.find_axes(variable)
    if not file.form.grids:
        layout = _recognise_layout(file, axes)
    else:
        grid = _choose_grid(file, variable.cells)
        if axes is not None:
            layout = _compare_axes(grid, axes)
        else:
            turned = file.form.rows == "down"
            if file.form.latitude:
                turned = _compare_latitude(file, stored, grid, default=turned)
            layout = CellLayout(grid, turned_rows=turned)
    if file.hemisphere is not None and layout.grid.hemisphere not in (None, file.hemisphere):
        raise RejectedDay(
            f"a file of the {file.hemisphere} by its name, with {layout.grid} of the other half"
        )
    return layout


def _choose_grid(file: ProductFile, shape: tuple[int, int]) -> Grid:
    """Choose the grid of the description that has the shape of a file."""
    expected = file.form.list_grids(file.hemisphere)
    fitting = [grid for grid in expected if grid.shape == shape]
    if len(fitting) == 1:
        return fitting[0]
    candidates = [grid for grid in file.form.list_grids(None) if grid.shape == shape]
    hint = f", those of {candidates[0]}" if candidates else ""
    of_half = f" for a file of the {file.hemisphere}" if file.hemisphere else ""
    raise RejectedDay(
        f"expected {' or '.join(map(str, expected)) or 'no file'}{of_half}, "
        f"found {shape[0]} x {shape[1]} cells{hint}"
    )


def _compare_axes(grid: Grid, axes: StoredAxes) -> CellLayout:
    """Return the order of cells of a known grid; RejectedDay if the coordinates are those of another."""
    x, y = _read_axis(axes.x, grid), _read_axis(axes.y, grid)
    turned_columns, turned_rows = bool(x[0] > x[-1]), bool(y[0] > y[-1])
    x, y = x[:: -1 if turned_columns else 1], y[:: -1 if turned_rows else 1]
    if x.shape != grid.x.shape or y.shape != grid.y.shape:
        raise RejectedDay(f"expected coordinates of {grid}, found {y.size} of y and {x.size} of x")
    if max(np.abs(x - grid.x).max(), np.abs(y - grid.y).max()) > 0.1 * grid.step:
        raise RejectedDay(
            f"on another grid: expected {grid} from x {grid.x[0]:g}, y {grid.y[0]:g}, found cells from "
            f"x {x[0]:g}, y {y[0]:g}"
        )
    return CellLayout(grid, turned_rows=turned_rows, turned_columns=turned_columns)


def _read_axis(axis: StoredVariable, grid: Grid) -> np.ndarray:
    """Read a coordinate in the units of a grid, metres or degrees."""
    attributes = {k: axis.attributes[k] for k in _AXIS_WORDS if k in axis.attributes}
    coordinate = Coordinate(axis.name, np.asarray(axis.read_stored((slice(None),))), attributes)
    if not grid.is_geographic:
        return coordinate.convert_to_metres()
    if not coordinate.is_in_degrees:
        raise RejectedDay(f"expected {axis.name} in degrees, found {coordinate.units or 'no units'}")
    return coordinate.values.astype(np.float64)


def _compare_latitude(file: ProductFile, stored: StoredFile, grid: Grid, *, default: bool) -> bool:
    """Whether the rows of a file run from north to south, by its latitudes."""
    name = _find_name(file, stored, (file.form.latitude,))
    if name is None:
        return default
    variable = stored.get_variable(name)
    if variable.cells != grid.shape:
        raise RejectedDay(f"expected {name} on the cells of {grid}, found {variable.shape}")
    corners = variable.read_stored((0, 0)), variable.read_stored((-1, 0))
    latitudes = np.array(corners, np.float64)
    expected = np.array(
        [grid.transform_to_degrees(grid.x[0], y)[1] for y in (grid.y[0], grid.y[-1])], np.float64
    )
    for turned, order in ((False, expected), (True, expected[::-1])):
        if np.abs(latitudes - order).max() < 0.2:
            return turned
    raise RejectedDay(
        f"its latitudes are not those of {grid}: in corners of the first column {latitudes[0]:g} and "
        f"{latitudes[1]:g}, expected {expected[0]:.2f} and {expected[1]:.2f}"
    )


def _recognise_layout(file: ProductFile, axes: StoredAxes | None) -> CellLayout:
    """Recognise the grid that a file tells."""
    if axes is None:
        raise RejectedDay("holds no coordinates x and y; the description needs 'grid'")
    mapping = axes.mapping
    projections = dict(file.form.projections)
    projection = projections.get(file.hemisphere or "any", projections.get("any"))
    if projection is not None and not is_grid_mapping(mapping):
        mapping = {"epsg_code": projection}
    coordinates = [
        (axis.name, axis.dtype.str, values.tobytes(), *(axis.attributes.get(k) for k in _AXIS_WORDS))
        for axis in (axes.x, axes.y)
        for values in (axis.read_stored((slice(None),)),)
    ]
    attributes = tuple(sorted((name, _freeze(value)) for name, value in mapping.items()))
    return _read_cells(*map(tuple, coordinates), attributes)


_AXIS_WORDS = ("units", "standard_name")


@lru_cache(maxsize=64)
def _read_cells(
    x: tuple[Any, ...], y: tuple[Any, ...], mapping: tuple[tuple[str, Any], ...]
) -> CellLayout:
    """Read a grid from its coordinates and its grid mapping; many files have the same."""
    axes = []
    for name, dtype, content, *words in (x, y):
        attributes = {k: v for k, v in zip(_AXIS_WORDS, words, strict=True) if v is not None}
        axes.append(Coordinate(name, np.frombuffer(content, dtype), attributes))
    attributes = {name: np.array(v) if isinstance(v, tuple) else v for name, v in mapping}
    return grids.read_layout(axes[0], axes[1], attributes)


def _freeze(value: Any) -> Any:
    return tuple(np.asarray(value).tolist()) if isinstance(value, np.ndarray | list) else value


# --- what the numbers mean ------------------------------------------------------------------------


def _read_coding(
    variable: StoredVariable,
    units: Units | None,
    scale: float | None,
    codes: tuple[tuple[int, CellClass], ...] = (),
) -> Coding:
    """Put together what stored numbers mean, from the description and the attributes of the file."""
    attributes = variable.attributes
    of_file = _read_number(attributes, "scale_factor", variable.name)
    if of_file is not None and scale is not None and abs(of_file - scale) > 1e-5 * scale:
        raise RejectedDay(
            f"{variable.name} has the scale {of_file:g}, the description says {scale:g}; codes are "
            "numbers at that scale"
        )
    if scale is None:
        scale = 1.0 if of_file is None else of_file
    elif of_file is None and variable.dtype.kind == "f":
        scale = 1.0  # somebody has applied the scale already
    return Coding(
        scale=scale,
        offset=_read_number(attributes, "add_offset", variable.name) or 0.0,
        units=_read_units(variable, units),
        codes=codes,
        fills=_read_fills(variable),
    )


def _read_number(attributes: Mapping[str, Any], name: str, variable: str) -> float | None:
    """Read an attribute that is a number; a float32 as the decimal number that it stands for."""
    if name not in attributes:
        return None
    value = np.asarray(attributes[name])
    if value.size != 1 or value.dtype.kind not in "fiu":
        raise RejectedDay(f"expected a number as {name} of {variable}, found {attributes[name]!r}")
    return float(str(value.reshape(-1)[0]))


def _read_units(variable: StoredVariable, units: Units | None) -> Units:
    """Compare the units of a description with those of the file; either may be missing."""
    text = str(variable.attributes.get("units", ""))
    of_file = _recognise_units(variable)
    if units is None and of_file is None:
        raise RejectedDay(f"{variable.name} has units {text!r}; the description needs 'units'")
    if units is not None and of_file is not None and units != of_file:
        raise RejectedDay(
            f"{variable.name} is in {of_file} ({text!r}) by the file and in {units} by the description"
        )
    return units or of_file or "percent"


def _recognise_units(variable: StoredVariable) -> Units | None:
    text = str(variable.attributes.get("units", "")).strip().lower()
    if "%" in text or "percent" in text:
        return "percent"
    return "fraction" if text in ("1", "1.0") or "fraction" in text else None


def _read_fills(variable: StoredVariable) -> tuple[float, ...]:
    """Read the numbers that stand for nothing, as they read in the type of the variable."""
    fills: list[float] = []
    for name in ("_FillValue", "missing_value"):
        value = np.asarray(variable.attributes.get(name, ()))
        if value.dtype.kind in "iu" and value.dtype.itemsize == variable.dtype.itemsize:
            value = value.view(variable.dtype) if variable.dtype.kind in "iu" else value
        fills += [float(n) for n in value.reshape(-1)] if value.dtype.kind in "fiu" else []
    return tuple(dict.fromkeys(fills))


# --- flags and standard errors ------------------------------------------------------------------------


def _read_flags(
    form: Form, stored: StoredFile, reader: _DayReader, classes: np.ndarray
) -> np.ndarray | None:
    """Put the classes of the flag variables into ``classes``; returns which values are interpolated."""
    is_interpolated = np.zeros(classes.shape, bool)
    is_told = False
    for rule in form.flags:
        names = stored.find_names(rule.variables)
        if not names:
            raise RejectedDay(f"holds no variable {' or '.join(rule.variables)}, which tells classes")
        variable = stored.get_variable(names[0])
        meanings, are_bits = _list_meanings(rule, variable)
        coding = FlagCoding(meanings, are_bits, _read_fills(variable))
        is_told |= coding.tells_interpolated
        raw = reader.read(variable)
        decoding.apply_flags(classes, raw, coding, is_interpolated=is_interpolated, name=variable.name)
    return is_interpolated if is_told else None


def _list_meanings(
    rule: FlagRule, variable: StoredVariable
) -> tuple[tuple[tuple[int, FlagMeaning], ...], bool]:
    """List the meanings of a flag variable, and whether its numbers are bits."""
    if not rule.words:
        return (rule.bits, True) if rule.bits else (rule.values, False)
    attributes = variable.attributes
    words = str(attributes.get("flag_meanings", attributes.get("flag_mask_meanings", ""))).split()
    masks, values = (read_numbers(attributes.get(k)) for k in ("flag_masks", "flag_values"))
    are_bits = len(masks) == len(words)
    numbers = masks if are_bits else values
    if not words or len(numbers) != len(words):
        _log_once(
            logging.WARNING,
            f"{variable.name} does not say what its numbers mean (flag_meanings): land and lake are not "
            "told from missing cells",
        )
        return (), True
    # A file without unsigned bytes has -128 for 128.
    meanings = [(n % 256 if n < 0 else n, _match(rule, w)) for n, w in zip(numbers, words, strict=True)]
    return tuple(meanings), are_bits


def _match(rule: FlagRule, word: str) -> FlagMeaning:
    """Find the meaning of a word of the file: that of the description, or land or lake in any words."""
    for pattern, meaning in rule.words:
        if re.search(pattern, word, re.IGNORECASE):
            return meaning
    surface = classify_word(word)
    names = {SurfaceClass.LAND: CellClass.LAND, SurfaceClass.LAKE: CellClass.LAKE}
    return FlagMeaning(names.get(surface))


def _read_error(form: Form, stored: StoredFile, reader: _DayReader, units: Units) -> np.ndarray | None:
    """Read the standard error of a day, percent; None if the file has none."""
    names = stored.find_names(form.error_variables)
    if not names:
        return None
    variable = stored.get_variable(names[0])
    error_units = form.error_units or _recognise_units(variable) or units
    coding = _read_coding(variable, error_units, None)
    return decoding.decode_error(reader.read(variable), coding)
