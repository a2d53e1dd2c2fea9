"""Image of the cells of a field, in which every cell with a value can be seen.

If a cell is at least as large as a dot of the picture, a dot shows the cell that it lies in. If
several cells lie in one dot, the dot shows the mean of those with a value, or their most frequent
class. A dot looks empty only if none of its cells has a value, so that a strait of one cell can be
seen on any map.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice.grids import Grid

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes
    from matplotlib.image import AxesImage

# Reduces the cells of every dot to one value: arguments are a field, and the first row and the
# first column of every dot.
DotReduction = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def average_blocks(field: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Average the values of every block of cells.

    Parameters
    ----------
    field : ndarray of float, shape (rows, columns)
        NaN is missing.
    rows, columns : ndarray of int
        First row and first column of every block, ascending.

    Returns
    -------
    ndarray of float64, shape (blocks in y, blocks in x)
        NaN for a block without a value.

    Examples
    --------
    >>> average_blocks(np.array([[1.0, np.nan, np.nan]]), np.array([0]), np.array([0, 2]))
    array([[ 1., nan]])
    """
    has_value = ~np.isnan(field)
    count = _sum_blocks(has_value, rows, columns)
    total = _sum_blocks(np.where(has_value, field, 0), rows, columns)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def classify_blocks(
    numbers: np.ndarray, rows: np.ndarray, columns: np.ndarray, *, land: int | None = None
) -> np.ndarray:
    """Find the most frequent class of every block of cells.

    Parameters
    ----------
    numbers : ndarray of int, shape (rows, columns)
        Classes from 0; -1 is missing.
    rows, columns : ndarray of int
        First row and first column of every block, ascending.
    land : int, optional
        Class of land: it is chosen only if no other class occurs and it fills half of the block.

    Returns
    -------
    ndarray of int, shape (blocks in y, blocks in x)
        -1 for a block without a class.

    Examples
    --------
    >>> cells, start = np.array([[3, 3, 1, -1]]), np.array([0])
    >>> classify_blocks(cells, start, start), classify_blocks(cells, start, start, land=3)
    (array([[3]]), array([[1]]))
    """
    largest = np.zeros((rows.size, columns.size))
    classes = np.full(largest.shape, -1, dtype=numbers.dtype)
    for number in (int(n) for n in np.unique(numbers) if n >= 0 and n != land):
        count = _sum_blocks(numbers == number, rows, columns)
        classes[count > largest] = number
        largest = np.maximum(largest, count)
    if land is not None:
        count = _sum_blocks(numbers == land, rows, columns)
        size = _sum_blocks(np.ones(numbers.shape, bool), rows, columns)
        classes[(largest == 0) & (2 * count >= size)] = land
    return classes


def _sum_blocks(field: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    row_sums = np.add.reduceat(field, columns, axis=1, dtype=np.float32)
    return np.add.reduceat(row_sums, rows, axis=0, dtype=np.float64)


def group_by_dot(centres: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Group cells along an axis by the dot (pixel) of the picture that their centre lies in.

    Parameters
    ----------
    centres : ndarray of float
        Positions of the cell centres, in dots; ascending, in steps of less than 1 so that no dot is
        without a cell.

    Returns
    -------
    starts : ndarray of int
        Index of the first cell of every dot.
    first, stop : int
        Half-open range of the dots.

    Examples
    --------
    >>> group_by_dot(np.array([2.1, 2.7, 3.3, 3.9]))
    (array([0, 2]), 2, 4)
    """
    dots = np.floor(centres).astype(np.int64)
    starts = np.flatnonzero(np.diff(dots, prepend=dots[0] - 1))
    return starts, int(dots[0]), int(dots[-1]) + 1


def draw_cells(
    ax: GeoAxes,
    field: np.ndarray,
    grid: Grid,
    reduce: DotReduction,
    *,
    land: np.ndarray | None = None,
    **options: Any,
) -> AxesImage:
    """Add the image of a field to a map in the projection of the grid.

    Parameters
    ----------
    ax : GeoAxes
    field : ndarray, shape (rows, columns)
        NaN is missing and transparent.
    grid : Grid
    reduce : callable
        Function that reduces the cells of a dot to one value, such as :func:`average_blocks`; it is
        used where cells are smaller than dots.
    land : ndarray of bool, shape (rows, columns), optional
        Cells that stay transparent, also if other data are set later.
    **options
        Options of ``matplotlib.image.AxesImage``, among them ``cmap`` and ``norm``.
    """
    from matplotlib.image import AxesImage

    colours = {name: options[name] for name in ("cmap", "norm")}

    class CellImage(AxesImage):
        """Image that reduces cells to dots when it is drawn, because dots have no size before."""

        def set_data(self, data: Any) -> None:
            super().set_data(data if land is None else np.where(land, np.nan, data))

        def draw(self, renderer: Any) -> None:
            # Cell centres in dots. Vector formats draw images in smaller dots than they report.
            magnification = renderer.get_image_magnification()
            to_dots = ax.transData.transform
            xs = to_dots(np.column_stack([grid.x, np.full(grid.columns, grid.y[0])]))[:, 0]
            ys = to_dots(np.column_stack([np.full(grid.rows, grid.x[0]), grid.y]))[:, 1]
            xs, ys = magnification * xs, magnification * ys
            if min(grid.shape) < 2 or min(xs[1] - xs[0], ys[1] - ys[0]) >= 1:
                super().draw(renderer)
                return
            columns, left, right = group_by_dot(xs)
            rows, bottom, top = group_by_dot(ys)
            corners = np.array([(left, bottom), (right, top)]) / magnification
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
