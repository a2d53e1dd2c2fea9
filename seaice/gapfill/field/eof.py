"""Filling by empirical orthogonal functions (DINEOF).

The gaps of the matrix cells x maps start at the mean; a truncated singular value decomposition is
taken, its values replace those of the gaps, and so on until they no longer change. The number of
modes is the one that tells held-out clouds best (Beckers and Rixen 2003,
doi:10.1175/1520-0426(2003)020<1839:ECADFF>2.0.CO;2; Alvera-Azcarate et al. 2005,
doi:10.1016/j.ocemod.2004.08.001). Neighbours in time may be tied by diffusion of the covariance
of the maps (Alvera-Azcarate et al. 2009, doi:10.5194/os-5-475-2009).

All work is done on the smaller side of the matrix. One iteration costs O(cells maps^2) where
there are more cells than maps, else O(cells^2 maps). In memory are about eight arrays of cells
x maps in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.field import FieldFill, FieldMethod, GappyField, finish
from seaice.runtime.options import Range

# Rows worked on at a time: what is needed beside the matrix stays small, sums have one order.
_ROWS = 1 << 14
# Of the observed cells of a map at most this share may be held out.
_LARGEST_SHARE = 0.5
# More held-out clouds would not change the choice of the number of modes.
_MOST_CLOUDS = 1000
# Draws of a place for each cloud until one fits.
_TRIES = 100


@dataclass(frozen=True, kw_only=True)
class Eof(FieldMethod):
    """Fill gaps from the modes that a stack of maps has in common.

    Maps without any value and cells without any value in all maps stay missing: the modes hold
    nothing about them, and the mean of everything is no estimate.

    Parameters
    ----------
    max_modes : int
        Largest number of modes tried, and at most half as many as there are maps with values.
    modes : int
        Number of modes; 0: the one with the smallest cross-validation error.
    tolerance : float
        Iterations end when the gaps change by less, in standard deviations of the data.
    max_iterations : int
        Largest number of iterations for each number of modes (``relaxation``: for each gap).
    filter_alpha : float
        Strength of the smoothing in time, days squared a step; 0: none.
    filter_steps : int
        Number of smoothing steps.
    held_out_share : float
        Share of the observed values held out to choose the number of modes.
    cloud_size : int
        Cells of a held-out cloud, fewer where the held-out share would be less than four clouds.
    seed : int
        Seed of the choice of the held-out clouds.

    Raises
    ------
    InputError
        For parameters out of range.
    """

    name: ClassVar[str] = "eof"

    max_modes: Annotated[int, Range(1)] = 10
    modes: Annotated[int, Range(0)] = 0
    tolerance: float = 1e-3
    max_iterations: Annotated[int, Range(1)] = 300
    filter_alpha: Annotated[float, Range(0)] = 0.01
    filter_steps: Annotated[int, Range(0)] = 3
    held_out_share: float = 0.03
    cloud_size: Annotated[int, Range(1)] = 500
    seed: Annotated[int, Range(0)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.tolerance > 0 and 0 < self.held_out_share < 0.5):
            raise InputError(
                f"expected a tolerance above 0 and a held_out_share between 0 and 0.5, found "
                f"{self.tolerance} and {self.held_out_share}"
            )

    def fill(self, gappy: GappyField, *, held_out: np.ndarray | None = None) -> FieldFill:
        """Fill the gaps of a stack.

        Parameters
        ----------
        gappy : GappyField
        held_out : ndarray of bool, shape (time, y, x), optional
            Cells to hold out instead of clouds; they are put back for the last fit.

        Returns
        -------
        FieldFill
            With the expected error of every filled cell, and in ``notes``: ``modes``,
            ``cross_validation_error`` (by number of modes from 1), ``held_out`` (count),
            ``explained_variance_percent``, ``singular_values``, ``iterations`` (by number of modes,
            last the fit with everything), ``converged`` (of that fit), ``mean_removed``,
            ``empty_maps`` and ``never_observed_cells``.

        Raises
        ------
        InputError
            For fewer than two maps with values, a smoothing that would not be stable, or held-out
            cells that are not observed.
        """
        cells = _Cells.of(gappy, self.modes)
        hidden = self._hidden_cells(gappy, held_out)[cells.index]
        smoothing = smoothing_in_time(gappy.days[cells.maps], self.filter_alpha, self.filter_steps)
        rule = Rule(smoothing, self.tolerance, self.max_iterations)
        data = cells.data(gappy)
        trials = cross_validate(data, hidden, self.max_modes, rule, modes=self.modes)
        matrix, modes, notes = _last_fit(data, trials, rule)
        mean = notes["mean_removed"]
        spatial = matrix @ (modes.time * modes.gains / np.sqrt(cells.maps.size))
        likely = trials.errors[trials.modes - 1]
        spread = expected_error(data - mean - matrix @ modes.projector, spatial, hidden, likely)
        estimate, error = np.full((2, *gappy.values.shape), np.nan)
        estimate[cells.index], error[cells.index] = matrix + mean, spread
        notes["empty_maps"] = len(gappy.values) - cells.maps.size
        notes["never_observed_cells"] = int(gappy.sea.sum()) - cells.rows.size
        return finish(gappy, estimate, FillFlag.EOF, error=error, notes=notes)

    def _hidden_cells(self, gappy: GappyField, held_out: np.ndarray | None) -> np.ndarray:
        """The cells to hold out, bool (time, y, x), among the observed ones."""
        observed = gappy.observed
        if held_out is None:
            hidden = held_out_clouds(
                observed,
                gappy.sea,
                share=self.held_out_share,
                cloud_size=self.cloud_size,
                seed=self.seed,
            )
            if not hidden.any():
                raise InputError(
                    "eof holds out observed cells to choose the number of modes, but no map has two of "
                    "them; take linear along time, or coarser maps"
                )
            return hidden
        if held_out.dtype != np.bool_ or held_out.shape != observed.shape:
            raise InputError(
                f"expected held_out as bool of shape {observed.shape}, found {held_out.dtype} of "
                f"{held_out.shape}"
            )
        stray = int((held_out & ~observed).sum())
        if stray or not held_out.any() or (held_out == observed).all():
            raise InputError(
                f"expected held_out to name some of the observed cells, found {int(held_out.sum())} "
                f"named, {stray} of them without a value, of {int(observed.sum())} observed"
            )
        return held_out


@dataclass(frozen=True)
class Rule:
    """How the gaps and the modes are iterated.

    Attributes
    ----------
    smoothing : ndarray of float64, shape (maps, maps), or None
        Acts on both sides of the covariance of the maps.
    tolerance : float
        Largest root mean square change of the gaps at the end, standard deviations of the data.
    max_iterations : int
    """

    smoothing: np.ndarray | None = None
    tolerance: float = 1e-3
    max_iterations: int = 300


@dataclass(frozen=True)
class Modes:
    """Leading modes of a matrix cells x maps.

    Attributes
    ----------
    time : ndarray of float64, shape (maps, modes)
        Right singular vectors; the largest component of each is positive.
    values : ndarray of float64, shape (modes,)
        Singular values, falling.
    lengths : ndarray of float64, shape (modes,)
        Length of matrix @ time; it differs from ``values`` where the covariance is smoothed.
    """

    time: np.ndarray
    values: np.ndarray
    lengths: np.ndarray

    @property
    def projector(self) -> np.ndarray:
        """Takes the values of a cell in all maps to those of the modes, (maps, maps)."""
        projector: np.ndarray = (self.time * self.gains) @ self.time.T
        return projector

    @property
    def gains(self) -> np.ndarray:
        """``values`` over ``lengths``, (modes,); 0 for a mode without length."""
        empty = self.lengths <= 1e-12 * self.lengths.max(initial=0.0)
        gains: np.ndarray = np.where(empty, 0.0, self.values / np.where(empty, 1.0, self.lengths))
        return gains


@dataclass(frozen=True)
class _Cells:
    """The maps with a value and the cells with a value in any of them."""

    maps: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, gappy: GappyField, modes: int) -> _Cells:
        observed = gappy.observed
        maps = np.flatnonzero(observed.any(axis=(1, 2)))
        if maps.size < 2:
            raise InputError(
                f"eof wants at least 2 maps with values, found {maps.size}; give a stack of maps, or "
                "take loess or linear for a single one"
            )
        cells = cls(maps, *np.nonzero(observed.any(axis=0)))
        # With as many modes as the matrix has every gap would stay as it is.
        most = max(1, min(cells.rows.size, maps.size) - 1)
        if modes > most:
            raise InputError(
                f"modes {modes} is more than {maps.size} maps with values carry; take at most {most}"
            )
        return cells

    @property
    def index(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Index of a stack that gives an array (cells, maps)."""
        return self.maps[None, :], self.rows[:, None], self.columns[:, None]

    def data(self, gappy: GappyField) -> np.ndarray:
        """The values, float64 (cells, maps); NaN is missing."""
        values = gappy.values[self.index].astype(np.float64)
        values[~np.isfinite(values)] = np.nan
        return values


@dataclass(frozen=True)
class Trials:
    """The fits with 1, 2, ... modes, judged at the held-out cells.

    Attributes
    ----------
    errors : list of float
        Root mean square error at the held-out cells, by number of modes from 1.
    iterations : list of int
    estimates : list of ndarray
        The values at the held-out cells, by number of modes from 1, in the order of
        ``numpy.nonzero``.
    modes : int
        The number to go on with.
    state : ndarray of float64, shape (cells, maps)
        Values with that number, gaps and held-out cells estimated.
    """

    errors: list[float]
    iterations: list[int]
    estimates: list[np.ndarray]
    modes: int
    state: np.ndarray


def cross_validate(
    data: np.ndarray, hidden: np.ndarray, max_modes: int, rule: Rule, *, modes: int = 0
) -> Trials:
    """Estimate held-out cells with 1, 2, ... modes, each from the end of the one before.

    The values at the held-out cells are looked at only for ``errors``. As in DINEOF no more modes
    are tried once the error has grown three times in a row, nor more than half of those the matrix
    has: beyond, the iterations crawl and the modes fit the noise.

    Parameters
    ----------
    data : ndarray of float64, shape (cells, maps)
        NaN is missing.
    hidden : ndarray of bool, shape (cells, maps)
        Observed cells to hold out.
    max_modes : int
    rule : Rule
    modes : int
        Go on with this number; 0: that of the smallest error.
    """
    gaps = hidden | np.isnan(data)
    mean, scale = float(data[~gaps].mean()), float(data[~gaps].std())
    matrix = np.where(gaps, 0.0, data - mean)
    truth = data[hidden]
    trials = Trials([], [], [], 0, matrix)
    for count in range(1, (modes or min(max_modes, max(1, min(data.shape) // 2))) + 1):
        _, iterations, _ = iterate(matrix, gaps, count, scale, rule)
        estimate = matrix[hidden] + mean
        trials.estimates.append(estimate)
        trials.iterations.append(iterations)
        trials.errors.append(float(np.sqrt(np.mean((estimate - truth) ** 2))))
        if modes or trials.errors[-1] == min(trials.errors):
            trials = replace(trials, modes=count, state=matrix + mean)
        if not modes and len(trials.errors) > 3 and (np.diff(trials.errors[-4:]) > 0).all():
            break
    return trials


def iterate(
    matrix: np.ndarray, gaps: np.ndarray, count: int, scale: float, rule: Rule
) -> tuple[Modes, int, bool]:
    """Replace the gaps, in place, by values of the leading modes until they no longer change.

    Returns
    -------
    modes : Modes
    iterations : int
    converged : bool
    """
    limit = rule.tolerance * scale
    modes, iterations, change = leading_modes(matrix, count, rule.smoothing), 0, np.inf
    while change > limit and iterations < rule.max_iterations:
        change = _replace_gaps(matrix, gaps, modes.projector)
        modes = leading_modes(matrix, count, rule.smoothing)
        iterations += 1
    return modes, iterations, bool(change <= limit)


def _replace_gaps(matrix: np.ndarray, gaps: np.ndarray, projector: np.ndarray) -> float:
    """Put the values of the modes into the gaps; return their root mean square change."""
    total, number = 0.0, 0
    for first in range(0, len(matrix), _ROWS):
        part, gap = matrix[first : first + _ROWS], gaps[first : first + _ROWS]
        values = (part @ projector)[gap]
        total += float(((values - part[gap]) ** 2).sum())
        number += values.size
        part[gap] = values
    return float(np.sqrt(total / max(1, number)))


def leading_modes(matrix: np.ndarray, count: int, smoothing: np.ndarray | None = None) -> Modes:
    """The modes of the largest singular values, from the smaller side of the matrix.

    Parameters
    ----------
    matrix : ndarray of float64, shape (cells, maps)
    count : int
    smoothing : ndarray of float64, shape (maps, maps), optional
        The singular values and vectors are those of ``matrix @ smoothing.T``.
    """
    cells, maps = matrix.shape
    if maps <= cells:
        covariance = np.zeros((maps, maps))
        for first in range(0, cells, _ROWS):
            part = matrix[first : first + _ROWS]
            covariance += part.T @ part
        smooth = covariance if smoothing is None else smoothing @ covariance @ smoothing.T
        variances, time = _largest(smooth, count)
        lengths = np.sqrt(np.maximum(np.einsum("ik,ij,jk->k", time, covariance, time), 0.0))
    else:
        smooth = matrix if smoothing is None else matrix @ smoothing.T
        variances, space = _largest(smooth @ smooth.T, count)
        time = smooth.T @ space
        time /= np.maximum(np.linalg.norm(time, axis=0), np.finfo(float).tiny)
        lengths = np.linalg.norm(matrix @ time, axis=0)
    # A decomposition leaves the signs open; the largest component decides.
    largest = time[np.abs(time).argmax(axis=0), np.arange(time.shape[1])]
    return Modes(time * np.where(largest < 0, -1.0, 1.0), np.sqrt(variances), lengths)


def _largest(symmetric: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues, falling and not negative, and their vectors."""
    from scipy.linalg import eigh

    size = len(symmetric)
    values, vectors = eigh(symmetric, subset_by_index=(max(0, size - count), size - 1))
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]


def _last_fit(data: np.ndarray, trials: Trials, rule: Rule) -> tuple[np.ndarray, Modes, dict[str, Any]]:
    """Iterate once more with the held-out cells put back; anomalies, modes and notes."""
    gaps = np.isnan(data)
    mean, scale = float(np.nanmean(data)), float(np.nanstd(data))
    matrix = np.where(gaps, trials.state, data) - mean
    modes, iterations, converged = iterate(matrix, gaps, trials.modes, scale, rule)
    total = float((matrix**2).sum()) or 1.0
    return (
        matrix,
        modes,
        {
            "modes": trials.modes,
            "cross_validation_error": trials.errors,
            "held_out": trials.estimates[0].size,
            "explained_variance_percent": (100 * modes.values**2 / total).tolist(),
            "singular_values": modes.values.tolist(),
            "iterations": [*trials.iterations, iterations],
            "converged": converged,
            "mean_removed": mean,
        },
    )


def smoothing_in_time(days: np.ndarray, alpha: float, steps: int) -> np.ndarray | None:
    """Diffusion along the times of the maps as a matrix, float64 (maps, maps); None for none.

    Nothing flows over the ends: a series that is constant stays as it is.

    Raises
    ------
    InputError
        If ``alpha`` is above half the square of the smallest step in time.
    """
    if alpha == 0 or steps == 0:
        return None
    gaps = np.diff(days)
    if alpha > gaps.min() ** 2 / 2:
        raise InputError(
            f"filter_alpha {alpha:g} is unstable for maps {gaps.min():g} days apart; take at most "
            f"{gaps.min() ** 2 / 2:g}, or 0 for no smoothing"
        )
    edges = np.concatenate(
        [[days[0] - gaps[0] / 2], (days[1:] + days[:-1]) / 2, [days[-1] + gaps[-1] / 2]]
    )
    smoothing = np.eye(days.size)
    for _ in range(steps):
        flow = np.zeros((days.size + 1, days.size))
        flow[1:-1] = alpha * np.diff(smoothing, axis=0) / gaps[:, None]
        smoothing += np.diff(flow, axis=0) / np.diff(edges)[:, None]
    return smoothing


def held_out_clouds(
    observed: np.ndarray, sea: np.ndarray, *, share: float, cloud_size: int, seed: int
) -> np.ndarray:
    """Choose observed cells to hold out, as whole clouds.

    A cloud is the ``cloud_size`` cells nearest to a random cell of a gap, in that gap, laid where it
    is over another map. Where the gaps of a stack cover too little of other maps, discs do.

    Parameters
    ----------
    observed : ndarray of bool, shape (time, y, x)
    sea : ndarray of bool, shape (y, x)
    share : float
        Share of all observed cells, 0 to 1; no more than 1000 clouds, no less than one cell.
    cloud_size : int
        Cells of a cloud; fewer if ``share`` would otherwise be less than four clouds.
    seed : int

    Returns
    -------
    ndarray of bool, shape (time, y, x)
        All False if no map has two observed cells. The last value of a cell is never held out:
        a cell without any value cannot be filled.
    """
    random = np.random.default_rng(seed)
    remaining = min(max(1, round(share * observed.sum())), _MOST_CLOUDS * cloud_size)
    size = max(1, min(cloud_size, remaining // 4))
    hidden = np.zeros_like(observed)
    counts = observed.sum(axis=(1, 2))
    left = (_LARGEST_SHARE * counts).astype(int)
    seen = observed.sum(axis=0)
    gaps = np.flatnonzero((counts > 0) & (counts < sea.sum()))
    for attempt in range(_TRIES * -(-remaining // size)):
        targets = np.flatnonzero(left)
        if remaining <= 0 or not targets.size:
            break
        target = int(random.choice(targets))
        others = gaps[gaps != target]
        from_gap = others.size and attempt % _TRIES < _TRIES // 2
        shape = sea & ~observed[random.choice(others)] if from_gap else sea
        cells = _cloud(shape, size, random)
        cells = cells[(observed[target] & ~hidden[target] & (seen > 1)).flat[cells]]
        most = min(remaining, int(left[target]))
        # A sliver of a cloud is no cloud.
        if 2 * cells.size >= min(size, 2 * most):
            hidden[target].flat[cells[:most]] = True
            left[target] -= cells[:most].size
            remaining -= cells[:most].size
            seen.flat[cells[:most]] -= 1
    return hidden


def _cloud(shape: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """Flat indices of the connected cells of ``shape`` that are nearest to one of its cells."""
    from scipy import ndimage

    start = random.choice(np.flatnonzero(shape))
    y, x = divmod(int(start), shape.shape[1])
    reach = 2 * int(np.ceil(np.sqrt(size)))
    top, first = max(0, y - reach), max(0, x - reach)
    box = shape[top : y + reach + 1, first : x + reach + 1]
    labels, _ = ndimage.label(box)
    rows, columns = np.nonzero(labels == labels[y - top, x - first])
    rows, columns = rows + top, columns + first
    nearest = np.argsort((rows - y) ** 2 + (columns - x) ** 2, kind="stable")[:size]
    flat: np.ndarray = rows[nearest] * shape.shape[1] + columns[nearest]
    return flat


def expected_error(
    residual: np.ndarray, spatial: np.ndarray, hidden: np.ndarray, cross_validation_error: float
) -> np.ndarray:
    """Standard error of the estimate of every cell in every map.

    The noise of an observed cell is the variance outside of the modes. As neighbours err alike, a
    map's cells count for less than their number: the noise that the interpolation sees is that
    variance times a factor of at least 1, such that the mean expected variance at the held-out
    cells is their cross-validated one. What no factor can explain scales all variances.

    Parameters
    ----------
    residual : ndarray of float64, shape (cells, maps)
        Observed less fitted value; NaN where nothing is observed.
    spatial : ndarray of float64, shape (cells, modes)
        Spatial modes, each with the standard deviation of its amplitude over the maps.
    hidden : ndarray of bool, shape (cells, maps)
        The cells held out for ``cross_validation_error``.
    cross_validation_error : float
        In the unit of ``residual``.

    Returns
    -------
    ndarray of float64, shape (cells, maps)
    """
    seen = np.isfinite(residual)
    outside = max(float(np.mean(residual[seen] ** 2)), np.finfo(float).tiny)
    maps = range(seen.shape[1])
    observed = [spatial[seen[:, t] & ~hidden[:, t]] for t in maps]
    products = [part.T @ part for part in observed]
    held_out = [spatial[hidden[:, t]] for t in maps]
    cross_validated = cross_validation_error**2

    def at_held_out(factor: float) -> float:
        within = [_open_variance(held_out[t], products[t], factor * outside) for t in maps]
        return outside + float(np.mean(np.concatenate(within)))

    factor = _bisect(at_held_out, cross_validated)
    scale = cross_validated / at_held_out(factor)
    variance = np.empty(seen.shape)
    for t in maps:
        all_observed = spatial[seen[:, t]]
        product = all_observed.T @ all_observed
        variance[:, t] = outside + _open_variance(spatial, product, factor * outside)
    return np.sqrt(scale * variance)


def _open_variance(cells: np.ndarray, product: np.ndarray, noise: float) -> np.ndarray:
    """Variance of the modes at cells that the observations do not determine, (cells,)."""
    strength, axes = np.linalg.eigh(product)
    share = noise / (np.maximum(strength, 0.0) + noise)
    left: np.ndarray = (cells @ axes) ** 2 @ share
    return left


def _bisect(function: Callable[[float], float], target: float) -> float:
    """Where a rising function of a factor from 1 to 1e8 comes to ``target``; else the nearer end."""
    low, high = 0.0, 8.0
    for _ in range(40):
        middle = (low + high) / 2
        if function(10.0**middle) < target:
            low = middle
        else:
            high = middle
    return float(10.0 ** ((low + high) / 2))
