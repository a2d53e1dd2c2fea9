"""Cells as an image in which a cell with a value never looks like one without.

Where a cell is a dot or larger, every dot shows the cell it lies in. Where several cells
fall on one dot, it shows what these have in common: the mean of those with a value, or
the most frequent class. Only a dot without any value is shown as having none, so a
strait of one cell stays visible on any map.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice.grids import Grid

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes
    from matplotlib.image import AxesImage

# Takes a field and the first row and the first column of every dot.
Reduce = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def block_mean(field: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Mean of the values in every block of cells; NaN where there is none.

    Parameters
    ----------
    field : ndarray of float, shape (rows, columns)
        NaN is no value.
    rows, columns : ndarray of int
        First row and first column of every block, ascending.

    Examples
    --------
    >>> block_mean(np.array([[1.0, np.nan, np.nan]]), np.array([0]), np.array([0, 2]))
    array([[ 1., nan]])
    """
    known = ~np.isnan(field)
    count = _sums(known, rows, columns)
    total = _sums(np.where(known, field, 0), rows, columns)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def block_class(
    numbers: np.ndarray, rows: np.ndarray, columns: np.ndarray, *, land: int | None = None
) -> np.ndarray:
    """Most frequent class in every block of cells.

    Parameters
    ----------
    numbers : ndarray of int, shape (rows, columns)
        Classes from 0; -1 is no value.
    rows, columns : ndarray of int
        As for :func:`block_mean`.
    land : int, optional
        A class that any other goes before; against no value alone it takes half of a block.

    Examples
    --------
    >>> cells, one = np.array([[3, 3, 1, -1]]), np.array([0])
    >>> int(block_class(cells, one, one)[0, 0]), int(block_class(cells, one, one, land=3)[0, 0])
    (3, 1)
    """
    best = np.zeros((rows.size, columns.size))
    found = np.full(best.shape, -1, dtype=numbers.dtype)
    for number in (int(n) for n in np.unique(numbers) if n >= 0 and n != land):
        count = _sums(numbers == number, rows, columns)
        found[count > best] = number
        best = np.maximum(best, count)
    if land is not None:
        count = _sums(numbers == land, rows, columns)
        found[(best == 0) & (2 * count >= _sums(np.ones(numbers.shape, bool), rows, columns))] = land
    return found


def _sums(field: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    along = np.add.reduceat(field, columns, axis=1, dtype=np.float32)
    return np.add.reduceat(along, rows, axis=0, dtype=np.float64)


def dots_of(places: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Group the centres of cells by the dot they lie in.

    Parameters
    ----------
    places : ndarray of float, ascending in steps of less than 1
        In dots.

    Returns
    -------
    starts : ndarray of int
        The first cell of every dot.
    first, beyond : int
        Range of the dots.

    Examples
    --------
    >>> dots_of(np.array([2.1, 2.7, 3.3, 3.9]))
    (array([0, 2]), 2, 4)
    """
    dots = np.floor(places).astype(np.int64)
    starts = np.flatnonzero(np.diff(dots, prepend=dots[0] - 1))
    return starts, int(dots[0]), int(dots[-1]) + 1


def draw_cells(
    ax: GeoAxes,
    field: np.ndarray,
    grid: Grid,
    reduce: Reduce,
    *,
    land: np.ndarray | None = None,
    **options: Any,
) -> AxesImage:
    """Add a field to a map in the grid's own projection.

    Parameters
    ----------
    ax : GeoAxes
    field : ndarray, shape (rows, columns)
    grid : Grid
    reduce : callable
        Makes one value of the cells of a dot, where cells are smaller than dots.
    land : ndarray of bool, optional
        Cells in which this image never shows anything, whatever is set.
    **options
        Of ``matplotlib.image.AxesImage``: colours and order.
    """
    from matplotlib.image import AxesImage

    colours = {name: options[name] for name in ("cmap", "norm")}

    class CellImage(AxesImage):
        """Looks at the size of a dot when it is drawn, for only then it is known."""

        def set_data(self, data: Any) -> None:
            super().set_data(data if land is None else np.where(land, np.nan, data))

        def draw(self, renderer: Any) -> None:
            per_unit = renderer.get_image_magnification()
            to_dots = ax.transData.transform
            xs = per_unit * to_dots(np.column_stack([grid.x, np.full(grid.columns, grid.y[0])]))[:, 0]
            ys = per_unit * to_dots(np.column_stack([np.full(grid.rows, grid.x[0]), grid.y]))[:, 1]
            if min(grid.shape) < 2 or min(xs[1] - xs[0], ys[1] - ys[0]) >= 1:
                super().draw(renderer)
                return
            columns, left, right = dots_of(xs)
            rows, bottom, top = dots_of(ys)
            corners = np.array([(left, bottom), (right, top)]) / per_unit
            (west, south), (east, north) = ax.transData.inverted().transform(corners)
            coarse = AxesImage(
                ax, **colours, origin="lower", interpolation="nearest",
                extent=(west, east, south, north),
            )  # fmt: skip
            cells = np.ma.filled(np.ma.asarray(self.get_array()).astype(np.float32), np.nan)
            coarse.set_data(reduce(cells, rows, columns))
            coarse.set_figure(ax.get_figure())
            coarse.set_transform(ax.transData)
            coarse.set_clip_path(ax.patch)
            coarse.draw(renderer)

    image = CellImage(ax, origin="lower", interpolation="nearest", extent=grid.extent, **options)
    image.set_data(field)
    image.set_clip_path(ax.patch)
    ax.add_image(image)
    return image
