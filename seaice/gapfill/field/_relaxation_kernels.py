"""Compiled loops of the relaxation; see :mod:`seaice.gapfill._kernels` for the conventions.

A missing cell i has four ``neighbours`` (flat indices into the map) and four ``links``, their weights,
which sum to 1; at a wall the link is 0 and the neighbour the cell itself. ``totals`` are the sums of
the links before they were divided by it.
"""

from __future__ import annotations

import numpy as np

from seaice.runtime.compiled_kernels import compile_loop

# Sweeps from one estimate of the spectral radius to the next.
_BETWEEN_ESTIMATES = 5


@compile_loop
def _start_at_shore(values, is_missing, cells, neighbours, links, totals):  # type: ignore[no-untyped-def]
    """Set a gap to the mean of the observed values about it; returns their range, NaN for none."""
    weight, weighted, low, high = 0.0, 0.0, np.inf, -np.inf
    for i in range(cells.size):
        for k in range(4):
            if links[i, k] > 0.0 and not is_missing[neighbours[i, k]]:
                value = values[neighbours[i, k]]
                weight += totals[i] * links[i, k]
                weighted += totals[i] * links[i, k] * value
                low, high = min(low, value), max(high, value)
    mean = weighted / weight if weight > 0.0 else np.nan
    for i in range(cells.size):
        values[cells[i]] = mean
    return low, high


@compile_loop
def _sweep(values, changes, cells, neighbours, links, factor):  # type: ignore[no-untyped-def]
    """Relax every cell of a gap once, in row order; returns the largest change."""
    largest = 0.0
    for i in range(cells.size):
        cell, mean = cells[i], 0.0
        for k in range(4):
            mean += links[i, k] * values[neighbours[i, k]]
        change = factor * (mean - values[cell])
        values[cell] += change
        changes[cell] = change
        largest = max(largest, abs(change))
    return largest


@compile_loop
def _estimate_radius(changes, cells, neighbours, links, totals):  # type: ignore[no-untyped-def]
    """Rayleigh quotient of the last changes: never above the spectral radius of the averaging.

    The changes soon consist of the mode that dies slowest, for which the quotient is that radius.
    """
    product, square = 0.0, 0.0
    for i in range(cells.size):
        change, mean = changes[cells[i]], 0.0
        for k in range(4):
            mean += links[i, k] * changes[neighbours[i, k]]
        product += totals[i] * change * mean
        square += totals[i] * change * change
    return min(abs(product) / square, 1.0 - 1e-12) if square > 0.0 else 0.0


@compile_loop
def _estimate_decay(factor, radius):  # type: ignore[no-untyped-def]
    """Share of the slowest error that a sweep leaves (Young 1954)."""
    discriminant = (factor * radius) ** 2 - 4.0 * (factor - 1.0)
    if discriminant <= 0.0:
        return factor - 1.0
    return ((factor * radius + np.sqrt(discriminant)) / 2.0) ** 2


@compile_loop
def _relax_gap(  # type: ignore[no-untyped-def]
    values, changes, cells, neighbours, links, totals, over_relaxation, tolerance, max_iterations
):
    """Relax one gap; returns the number of sweeps, the last change and what is left to change."""
    radius, factor = 0.0, over_relaxation if over_relaxation > 0.0 else 1.0
    sweeps, change, remainder = 0, 0.0, np.inf
    while sweeps < max_iterations and remainder > tolerance:
        for _ in range(min(_BETWEEN_ESTIMATES, max_iterations - sweeps)):
            change = _sweep(values, changes, cells, neighbours, links, factor)
            sweeps += 1
        radius = max(radius, _estimate_radius(changes, cells, neighbours, links, totals))
        remainder = change / (1.0 - _estimate_decay(factor, radius))
        if over_relaxation == 0.0:
            factor = 2.0 / (1.0 + np.sqrt(1.0 - radius * radius))
    return sweeps, change, remainder


@compile_loop
def relax_gaps(  # type: ignore[no-untyped-def]
    values, changes, is_missing, cells, gap_ends, neighbours, links, totals, rule, sweeps, last_changes,
    remainders
):  # fmt: skip
    """Relax the gaps of one map, one after the other.

    ``values`` and ``changes`` (0 everywhere) are flat maps. ``cells`` are the missing cells, gap by
    gap; the cells of gap g end before ``gap_ends[g]``. ``rule`` is the over-relaxation factor (0: an
    own one for each gap), the tolerance and the largest number of sweeps. The last three arrays
    receive the result of :func:`_relax_gap` for every gap; a gap without any observed neighbour
    becomes NaN with 0 sweeps.
    """
    first = 0
    for g in range(gap_ends.size):
        end = gap_ends[g]
        c, n, w, t = cells[first:end], neighbours[first:end], links[first:end], totals[first:end]
        low, high = _start_at_shore(values, is_missing, c, n, w, t)
        sweeps[g], last_changes[g], remainders[g] = 0, 0.0, 0.0
        if low <= high:
            sweeps[g], last_changes[g], remainders[g] = _relax_gap(
                values, changes, c, n, w, t, rule[0], rule[1], int(rule[2])
            )
            # The solution has no extreme inside a gap; sweeps that overshoot have.
            for i in range(c.size):
                values[c[i]] = min(max(values[c[i]], low), high)
        first = end
