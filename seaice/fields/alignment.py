"""The cells of a second input, such as a mask or a reference, in the order of those of the field.

Files of one grid may differ in the order of their rows, count longitudes from 0 or from -180, or have
columns before rows. A second input is therefore matched by the place of its cells, never by its shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seaice import InputError
from seaice.fields.axes import FieldAxes
from seaice.open_file.address import Place

_LARGEST_SHARE = 0.25  # of a cell: cells that are further apart are not the same cells


@dataclass(frozen=True)
class CellOrder:
    """Order in which the cells of a second input make up the map of the field.

    Attributes
    ----------
    rows, columns : ndarray of int
        Row and column of the second input for every row and column of the field.
    is_exchanged : bool
        Whether the rows of the second input are the columns of the field.
    note : str
        What could not be compared; empty if the places of the cells agree.
    """

    rows: np.ndarray
    columns: np.ndarray
    is_exchanged: bool = False
    note: str = ""

    def arrange(self, maps: np.ndarray) -> np.ndarray:
        """Arrange maps (..., rows, columns) of the second input as those of the field."""
        if self.is_exchanged:
            maps = maps.swapaxes(-1, -2)
        return np.ascontiguousarray(maps[..., self.rows[:, np.newaxis], self.columns])


def match_cells(second: FieldAxes, field: FieldAxes, path: Place, variable: str) -> CellOrder:
    """Match the cells of a second input with those of the field by their places.

    Parameters
    ----------
    second, field : FieldAxes
        Axes of the second input and of the field. The order holds for maps that
        :meth:`~seaice.fields.axes.FieldAxes.turn` has turned.
    path, variable
        File and variable of the second input, for messages.

    Raises
    ------
    InputError
        If the second input has other cells: another number, place or spacing.
    """
    name = f"{path}: {variable}"
    other_shape = (
        f"{path}: expected {variable} of {_describe_shape(field)} cells, found "
        f"{_describe_shape(second)}; it must lie on the cells of the field"
    )
    if second.shape not in (field.shape, field.shape[::-1]):
        raise InputError(other_shape)
    if second.grid is not None and field.grid is not None and second.shape == field.shape:
        if not second.grid.same_cells(field.grid):
            raise InputError(f"{name} lies on another grid: {second.grid}, expected {field.grid}")
        return _keep_order(field)
    for match in (_match_axes, _match_positions, _match_numbers):
        order = match(second, field, name)
        if order is not None:
            return order
    if second.shape != field.shape:
        raise InputError(other_shape)
    return _follow_file(second, field, name)


def _describe_shape(axes: FieldAxes) -> str:
    return f"{axes.shape[0]} x {axes.shape[1]}"


def _keep_order(field: FieldAxes) -> CellOrder:
    return CellOrder(np.arange(field.shape[0]), np.arange(field.shape[1]))


def _follow_file(second: FieldAxes, field: FieldAxes, name: str) -> CellOrder:
    """Take cells without positions in the order of the file of the field."""
    order = _keep_order(field)
    rows = order.rows[::-1] if second.flipped != field.flipped else order.rows
    columns = order.columns[::-1] if second.mirrored != field.mirrored else order.columns
    without = "the field" if field.compute_positions()[0] is None else name
    note = f"{without} has no positions: cells of {name} are taken in the order of the file of the field"
    return CellOrder(rows, columns, note=note)


def _match_axes(second: FieldAxes, field: FieldAxes, name: str) -> CellOrder | None:
    """Match regular grids of latitude and longitude along each axis; None for other grids."""
    for axes in (second, field):
        if axes.latitude is None or axes.longitude is None or axes.latitude.ndim != 1:
            return None
    if second.shape != field.shape:
        return None
    assert second.latitude is not None
    assert field.latitude is not None
    assert second.longitude is not None
    assert field.longitude is not None
    rows, north = _match_numbers_along(second.latitude, field.latitude, period=None)
    columns, east = _match_numbers_along(second.longitude, field.longitude, period=360.0)
    _check_distance(max(north, east), "degrees", name, rows is None or columns is None)
    return None if rows is None or columns is None else CellOrder(rows, columns)


def _match_numbers(second: FieldAxes, field: FieldAxes, name: str) -> CellOrder | None:
    """Match cells by the numbers along their axes where the projection is not known."""
    if second.shape != field.shape:
        return None
    orders, distances = [], []
    for numbers, expected, is_turned, is_expected_turned in (
        (second.rows, field.rows, second.flipped, field.flipped),
        (second.columns, field.columns, second.mirrored, field.mirrored),
    ):
        if numbers is None or expected is None or _count_cells(numbers) != _count_cells(expected):
            return None
        # Maps on a grid have been turned, their numbers have not.
        order, distance = _match_numbers_along(
            numbers[:: -1 if is_turned else 1], expected[:: -1 if is_expected_turned else 1], period=None
        )
        orders.append(order)
        distances.append(distance)
    rows, columns = orders
    _check_distance(max(distances), "in its coordinates", name, rows is None or columns is None)
    return None if rows is None or columns is None else CellOrder(rows, columns)


def _count_cells(numbers: np.ndarray) -> bool:
    """Whether numbers only count the cells: 0, 1, 2 ... or 1, 2, 3 ..."""
    return any(np.array_equal(numbers, np.arange(first, first + numbers.size)) for first in (0, 1))


def _match_numbers_along(
    second: np.ndarray, field: np.ndarray, *, period: float | None
) -> tuple[np.ndarray | None, float]:
    """Match numbers along an axis.

    Returns
    -------
    order : ndarray of int or None
        For every number of the field the index of the same number; None if there are others.
    distance : float
        Largest distance between two numbers that should be the same.
    """
    steps = np.abs(np.diff(field))
    tolerance = _LARGEST_SHARE * (float(np.nanmin(steps)) if steps.size else 1.0)
    kept = np.arange(field.size)
    distances = [_measure(second[order], field, period) for order in (kept, kept[::-1])]
    for order, distance in zip((kept, kept[::-1]), distances, strict=True):
        if distance <= tolerance:
            return order, distance
    if period is not None:
        # A frame of 0 to 360 starts at another column than one of -180 to 180.
        ascending = np.argsort(second % period, kind="stable")
        turned = (second % period)[ascending]
        around = np.concatenate([turned[-1:] - period, turned, turned[:1] + period])
        indices = np.concatenate([ascending[-1:], ascending, ascending[:1]])
        upper = np.clip(np.searchsorted(around, field % period), 1, around.size - 1)
        nearest = np.where(
            field % period - around[upper - 1] < around[upper] - field % period, upper - 1, upper
        )
        order = indices[nearest]
        distances.append(_measure(second[order], field, period))
        if distances[-1] <= tolerance and np.unique(order).size == order.size:
            return order, distances[-1]
    return None, min(distances)


def _measure(second: np.ndarray, field: np.ndarray, period: float | None) -> float:
    """Measure the largest distance between numbers; infinite if one of them is missing."""
    distance = np.abs(second - field)
    if period is not None:
        distance = np.minimum(distance % period, period - distance % period)
    return float(np.where(np.isfinite(distance), distance, np.inf).max(initial=0))


def _check_distance(distance: float, unit: str, name: str, is_elsewhere: bool) -> None:
    if is_elsewhere:
        raise InputError(
            f"{name} lies {distance:.3g} {unit} away from the field; expected the same cells"
        )


def _match_positions(second: FieldAxes, field: FieldAxes, name: str) -> CellOrder | None:
    """Match cells by latitude and longitude of each; None if one of the two has none."""
    positions = [axes.compute_positions() for axes in (second, field)]
    if any(latitude is None or longitude is None for latitude, longitude in positions):
        return None
    cells, expected = (_make_vectors(*pair) for pair in positions)
    tolerance = _LARGEST_SHARE * _measure_spacing(expected)
    nearest = np.inf
    for is_exchanged in (False, True):
        arranged = cells.swapaxes(0, 1) if is_exchanged else cells
        if arranged.shape != expected.shape:
            continue
        for row_step in (1, -1):
            for column_step in (1, -1):
                distance = _measure_largest(arranged[::row_step, ::column_step], expected)
                if distance <= tolerance:
                    kept = _keep_order(field)
                    return CellOrder(kept.rows[::row_step], kept.columns[::column_step], is_exchanged)
                nearest = min(nearest, distance)
    return _match_turned_columns(second, field, tolerance, nearest, name)


def _match_turned_columns(
    second: FieldAxes, field: FieldAxes, tolerance: float, nearest: float, name: str
) -> CellOrder:
    """Match columns that start at another longitude, where positions are those of single cells."""
    latitude, longitude = second.compute_positions()
    field_latitude, field_longitude = field.compute_positions()
    assert latitude is not None
    assert longitude is not None
    assert field_latitude is not None
    assert field_longitude is not None
    if second.shape == field.shape:
        rows, _ = _match_numbers_along(latitude[:, 0], field_latitude[:, 0], period=None)
        columns, _ = _match_numbers_along(longitude[0], field_longitude[0], period=360.0)
        if rows is not None and columns is not None:
            order = CellOrder(rows, columns)
            cells = _make_vectors(order.arrange(latitude), order.arrange(longitude))
            if _measure_largest(cells, _make_vectors(field_latitude, field_longitude)) <= tolerance:
                return order
    degrees = np.degrees(2 * np.arcsin(min(nearest, 2.0) / 2))
    raise InputError(f"{name} lies {degrees:.3g} degrees away from the field; expected the same cells")


def _make_vectors(latitude: np.ndarray | None, longitude: np.ndarray | None) -> np.ndarray:
    """Make the unit vectors of positions, float64 (rows, columns, 3)."""
    phi, lam = np.radians(np.asarray(latitude)), np.radians(np.asarray(longitude))
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def _measure_spacing(cells: np.ndarray) -> float:
    """Measure the median distance of neighbouring cells along the closer of the two axes."""
    medians = [
        float(np.nanmedian(np.linalg.norm(np.diff(cells, axis=axis), axis=-1)))
        for axis in (0, 1)
        if cells.shape[axis] > 1
    ]
    return min(medians, default=np.radians(1.0))


def _measure_largest(cells: np.ndarray, expected: np.ndarray) -> float:
    """Measure the largest distance of cells; infinite if most have no position in one of the two."""
    distance = np.linalg.norm(cells - expected, axis=-1)
    counts = [int(np.isfinite(vectors).all(axis=-1).sum()) for vectors in (cells, expected)]
    compared = distance[np.isfinite(distance)]
    # Positions may be missing over land, or at the corners of a swath.
    is_enough = compared.size > 0 and compared.size >= 0.5 * min(counts)
    return float(compared.max()) if is_enough else np.inf
