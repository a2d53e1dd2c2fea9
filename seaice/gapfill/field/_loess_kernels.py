"""Compiled loops of the local regression; see :mod:`seaice.gapfill._kernels` for the conventions."""

from __future__ import annotations

import numpy as np

from seaice.runtime.compiled_kernels import compile_loop


@compile_loop
def tricube_window(weights, reach_y, reach_x):  # type: ignore[no-untyped-def]
    """Tricube weights (2 reach + 1 rows and columns) of the distance sqrt((dx/nx)^2 + (dy/ny)^2)."""
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            dy, dx = (i - reach_y) / reach_y, (j - reach_x) / reach_x
            d = np.sqrt(dx * dx + dy * dy)
            weights[i, j] = (1.0 - d * d * d) ** 3 if d < 1.0 else 0.0


@compile_loop
def _loess_sums(values, present, y, x0, x1, weights, plane, sums):  # type: ignore[no-untyped-def]
    """Weighted moments of the present cells around the cells x0 to x1 of row y.

    The innermost loop runs along the cells, so that it is vectorised while every sum keeps its one
    order. ``sums``: w, w v, and for a plane w dx, w dy, w dx dx, w dx dy, w dy dy, w dx v, w dy v.
    """
    reach_y, reach_x = weights.shape[0] // 2, weights.shape[1] // 2
    for m in range(9 if plane else 2):
        sums[m, : x1 - x0] = 0.0
    for q in range(max(0, y - reach_y), min(values.shape[0], y + reach_y + 1)):
        dy = np.float64(q - y)
        for j in range(weights.shape[1]):
            w = weights[q - y + reach_y, j]
            if w == 0.0:
                continue
            v, k = values[q, x0 + j : x1 + j], present[q, x0 + j : x1 + j]
            for i in range(x1 - x0):
                sums[0, i] += w * k[i]
                sums[1, i] += w * v[i]
            if plane:
                dx = np.float64(j - reach_x)
                wx, wy, xx, xy, yy = w * dx, w * dy, w * dx * dx, w * dx * dy, w * dy * dy
                for i in range(x1 - x0):
                    sums[2, i] += wx * k[i]
                    sums[3, i] += wy * k[i]
                    sums[4, i] += xx * k[i]
                    sums[5, i] += xy * k[i]
                    sums[6, i] += yy * k[i]
                    sums[7, i] += wx * v[i]
                    sums[8, i] += wy * v[i]


@compile_loop
def _plane_at_centre(s):  # type: ignore[no-untyped-def]
    """Value at the centre of the weighted plane through the moments; the mean where there is none."""
    mean, mx, my = s[1] / s[0], s[2] / s[0], s[3] / s[0]
    xx, xy, yy = s[4] / s[0] - mx * mx, s[5] / s[0] - mx * my, s[6] / s[0] - my * my
    xv, yv = s[7] / s[0] - mx * mean, s[8] / s[0] - my * mean
    determinant = xx * yy - xy * xy
    if determinant <= 1e-6 * (xx + yy) * (xx + yy):
        return mean
    slope_x = (yy * xv - xy * yv) / determinant
    slope_y = (xx * yv - xy * xv) / determinant
    return mean - slope_x * mx - slope_y * my


@compile_loop
def loess(y0, y1, values, present, wanted, weights, plane, filled):  # type: ignore[no-untyped-def]
    """Tricube-weighted mean or plane of the present cells around every wanted cell of one map.

    ``values`` (0 where not present) and ``present`` (1 or 0) have the half-width of the window more
    columns at either side. ``filled`` receives the values, NaN where the window knows nothing, so that
    none is a source.
    """
    columns = wanted.shape[1]
    sums = np.zeros((9, columns))
    for y in range(y0, y1):
        filled[y] = np.nan
        x = 0
        while x < columns:
            if not wanted[y, x]:
                x += 1
                continue
            first = x
            while x < columns and wanted[y, x]:
                x += 1
            _loess_sums(values, present, y, first, x, weights, plane, sums)
            for i in range(x - first):
                if sums[0, i] > 0.0:
                    mean = sums[1, i] / sums[0, i]
                    filled[y, first + i] = _plane_at_centre(sums[:, i]) if plane else mean
