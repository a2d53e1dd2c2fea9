"""Filling by real spherical harmonics, fitted to HEALPix cells of equal area by least squares.

The normal equations grow block by block; no basis of all cells is ever held. A penalty that rises
with the degree l keeps the fit quiet in the gaps. A region is rotated to the pole and its radius
scaled to a hemisphere first (De Santis 1992, doi:10.1029/91GL02954), where only the harmonics that
are even about its rim are used: these are orthogonal there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.field import FieldFill, FieldMethod, GappyField, finish
from seaice.gapfill.sphere import cells as sphere
from seaice.grids.sphere import compute_unit_vectors
from seaice.runtime.options import Range

# Highest degree that is tried where none is given, and the highest that may be given.
LMAX = 15
LARGEST_LMAX = 80
# A fit without a penalty is refused above this condition number.
LARGEST_CONDITION = 1e12
# Strengths of the penalty that are tried.
STRENGTHS = 10.0 ** np.arange(-7.0, 2.1)
# A stronger penalty is taken if its held-out error is at most this times the smallest one.
NEARLY_BEST = 1.1
# The observed cells are held out in this number of groups.
FOLDS = 5
# Cells whose harmonics are in memory at a time.
BLOCK = 4096
# Fields whose sea reaches farther than this from its middle are fitted on the whole sphere, degrees.
LARGEST_CAP = 60.0
# The rim of the hemisphere stands this much outside the region, as the slope across it is zero.
RIM = 1.15


@dataclass(frozen=True, kw_only=True)
class Harmonic(FieldMethod):
    """Fit real spherical harmonics to the observed cells of each map, and read them in its gaps.

    Parameters
    ----------
    lmax : int
        Highest degree of the harmonics, 0 to 80, on a cap of the stretched coordinates; if not
        given, 15 or the highest degree that the observed cells determine.
    nside : int
        Resolution of the HEALPix cells, a power of two; chosen from the grid and lmax if not given.
    regularisation : float
        Strength of the penalty; 0 turns it off; chosen by held-out patches for each map if not given.
    power : float
        The penalty of degree l grows as (l (l + 1)) to this power.
    coordinates : str
        auto, globe, or cap (the region rotated to the pole and stretched to a hemisphere).
    weight_by_points : bool
        Weigh each cell by its number of observed points.
    seed : int
        Seed of the patches that are held out.

    Raises
    ------
    InputError
        For parameters out of range.
    """

    name: ClassVar[str] = "harmonic"

    lmax: int | None = None
    nside: int | None = None
    regularisation: float | None = None
    power: float = 2.0
    coordinates: str = "auto"
    weight_by_points: bool = False
    seed: Annotated[int, Range(0)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lmax is not None and not 0 <= self.lmax <= LARGEST_LMAX:
            raise InputError(f"expected lmax from 0 to {LARGEST_LMAX}, found {self.lmax}")
        if self.regularisation is not None and not 0 <= self.regularisation < np.inf:
            raise InputError(f"expected a regularisation of at least 0, found {self.regularisation}")
        if not 0 < self.power < 10:
            raise InputError(f"expected a power above 0 and below 10, found {self.power}")

    def fill(self, gappy: GappyField) -> FieldFill:
        """Fit every map and fill its gaps.

        Parameters
        ----------
        gappy : GappyField
            With latitude and longitude.

        Returns
        -------
        FieldFill
            ``error`` is the root mean square of a map at its held-out patches, the same for all its
            gaps; None without regularisation. ``notes`` hold the condition number of each map.

        Raises
        ------
        InputError
            For a field without coordinates, or a degree that the observed cells do not determine.
        """
        frame = choose_frame(gappy, self.coordinates)
        latitude, longitude = sphere.positions(gappy)
        cells = sphere.aggregate(gappy, nside=self._choose_nside(gappy, frame))
        counts = (cells.observed_points > 0).sum(axis=1)
        lmax = self.lmax
        if lmax is None:
            lmax = min(LMAX, highest_degree(frame, int(counts.max())))
        if (size := int(frame.kept(lmax).sum())) > counts.max():
            raise InputError(
                f"lmax {lmax} has {size} coefficients, found at most {counts.max()} observed cells in a "
                f"map; take lmax {highest_degree(frame, int(counts.max()))} or less, or a larger nside "
                f"than {cells.nside}"
            )
        rising, fold = penalty(frame, lmax, self.power), _folds(cells.ids, self.seed)
        estimate = np.full(gappy.values.shape, np.nan)
        error = np.full(gappy.values.shape, np.nan)
        strengths, conditions = [np.nan] * len(counts), [np.nan] * len(counts)
        for t in np.flatnonzero(counts).tolist():
            samples, centre = _samples(gappy, cells, t, fold, self.weight_by_points)
            normal = normal_equations(samples, frame, lmax)
            missing = gappy.missing[t]
            position = compute_unit_vectors(latitude[missing], longitude[missing], axis=-1)
            strength = self.regularisation
            while True:
                fit, strengths[t], conditions[t], squared = _fit(
                    normal, samples, frame, lmax, rising, strength
                )
                values = _evaluate(frame, position, lmax, fit)
                if (
                    self.regularisation is not None
                    or strengths[t] >= STRENGTHS[-1]
                    or _is_calm(values, samples)
                ):
                    break
                strength = strengths[t] * 10
            estimate[t, missing] = centre + values
            error[t, missing] = np.sqrt(squared)
        notes: dict[str, Any] = {
            "lmax": lmax,
            "nside": cells.nside,
            "coordinates": "cap" if frame.cap else "globe",
            "coefficients": size,
            "regularisation": strengths,
            "condition_number": conditions,
        }
        expected = None if self.regularisation == 0 else error
        return finish(gappy, estimate, FillFlag.HARMONIC, error=expected, notes=notes)

    def _choose_nside(self, gappy: GappyField, frame: Frame) -> int:
        if self.nside is not None:
            return self.nside
        lmax = LMAX if self.lmax is None else self.lmax
        # Finer cells than the harmonics can show would only cost time.
        enough = 2 ** int(np.ceil(np.log2(max(4 * lmax * frame.stretch, 1))))
        return min(sphere.choose_nside(*sphere.positions(gappy), gappy.sea), enough)


@dataclass(frozen=True)
class Frame:
    """Coordinates in which the harmonics are taken.

    Attributes
    ----------
    turn : ndarray of float64, shape (3, 3)
        Rows are the new axes; the pole is the last one.
    stretch : float
        Factor of the distance from the pole; 1 on the whole sphere.
    cap : bool
        Only harmonics that are even about the equator.
    """

    turn: np.ndarray
    stretch: float
    cap: bool

    def basis(self, position: np.ndarray, lmax: int) -> np.ndarray:
        """Harmonics at unit vectors of the Earth, float64 (coefficient, position)."""
        x, y, z = self.turn @ position.T
        theta = np.arctan2(np.hypot(x, y), z) * self.stretch
        return real_harmonics(np.minimum(theta, np.pi), np.arctan2(y, x), lmax)[self.kept(lmax)]

    def kept(self, lmax: int) -> np.ndarray:
        """Which coefficients are used, bool ((lmax + 1)^2,)."""
        degree, order = degrees_and_orders(lmax)
        even = (degree + np.abs(order)) % 2 == 0
        return even if self.cap else np.ones(degree.size, bool)


def degrees_and_orders(lmax: int) -> tuple[np.ndarray, np.ndarray]:
    """Degree l and order m of each coefficient: l rises, m runs from -l to l (sines where m < 0)."""
    degree = np.repeat(np.arange(lmax + 1), 2 * np.arange(lmax + 1) + 1)
    return degree, np.arange(degree.size) - degree**2 - degree


def real_harmonics(theta: np.ndarray, phi: np.ndarray, lmax: int) -> np.ndarray:
    """Real spherical harmonics, orthonormal on the sphere.

    Parameters
    ----------
    theta : ndarray of float64, shape (position,)
        Angle from the pole, radians.
    phi : ndarray of float64, shape (position,)
        Longitude, radians.
    lmax : int

    Returns
    -------
    ndarray of float64, shape ((lmax + 1)^2, position)
        In the order of :func:`degrees_and_orders`.

    Examples
    --------
    >>> y = real_harmonics(np.array([0.0]), np.array([0.0]), 1)
    >>> bool(np.allclose(y[:, 0] * np.sqrt(4 * np.pi), [1, 0, np.sqrt(3), 0]))
    True
    """
    out = np.empty(((lmax + 1) ** 2, theta.size))
    x, s = np.cos(theta), np.sin(theta)
    sectoral = np.full(theta.size, np.sqrt(1 / (4 * np.pi)))
    for m in range(lmax + 1):
        if m > 0:
            sectoral = sectoral * s * np.sqrt((2 * m + 1) / (2 * m))
        before, now = np.zeros(theta.size), sectoral
        cosine, sine = np.cos(m * phi), np.sin(m * phi)
        for degree in range(m, lmax + 1):
            if degree > m:
                a = np.sqrt((4.0 * degree**2 - 1) / (degree**2 - m**2))
                b = np.sqrt(((degree - 1.0) ** 2 - m**2) / (4 * (degree - 1.0) ** 2 - 1))
                before, now = now, a * (x * now - b * before)
            middle = degree**2 + degree
            if m == 0:
                out[middle] = now
            else:
                out[middle + m] = np.sqrt(2) * now * cosine
                out[middle - m] = np.sqrt(2) * now * sine
    return out


def choose_frame(gappy: GappyField, coordinates: str) -> Frame:
    """The whole sphere, or a cap for a region.

    Raises
    ------
    InputError
        For an unknown word, or a cap for a field that goes round the Earth.
    """
    if coordinates not in ("auto", "globe", "cap"):
        raise InputError(f"expected coordinates auto, globe or cap, found {coordinates!r}")
    latitude, longitude = sphere.positions(gappy)
    position = compute_unit_vectors(latitude[gappy.sea], longitude[gappy.sea], axis=-1)
    middle = position.mean(axis=0)
    length = float(np.linalg.norm(middle))
    globe = Frame(np.eye(3), 1.0, False)
    if coordinates == "globe" or (coordinates == "auto" and length < 0.1):
        return globe
    pole = middle / max(length, 1e-9)
    radius = float(np.degrees(np.arccos(np.clip((position @ pole).min(), -1, 1))))
    if coordinates == "auto" and radius > LARGEST_CAP:
        return globe
    if radius > 120 or length < 1e-3:
        raise InputError(
            f"expected a region for coordinates cap, found sea {radius:.0f} degrees from its middle; "
            "take globe"
        )
    east = np.cross([0.0, 0.0, 1.0], pole)
    east = east / np.linalg.norm(east) if np.linalg.norm(east) > 1e-9 else np.array([1.0, 0, 0])
    stretch = (np.pi / 2) / np.radians(max(radius, 0.01) * RIM)
    return Frame(np.stack([east, np.cross(pole, east), pole]), float(stretch), True)


@dataclass(frozen=True)
class Samples:
    """Observed cells of one map, at the mean positions of their observed points.

    Attributes
    ----------
    position : ndarray of float64, shape (cell, 3)
        Unit vectors.
    value, weight : ndarray of float64, shape (cell,)
    fold : ndarray of int64, shape (cell,)
        Which cells are held out together: patches, so that the strength is judged on gaps.
    """

    position: np.ndarray
    value: np.ndarray
    weight: np.ndarray
    fold: np.ndarray


@dataclass(frozen=True)
class Normal:
    """Normal equations by fold: ``matrix`` (fold, n, n), ``side`` (fold, n), ``total`` (fold,)."""

    matrix: np.ndarray
    side: np.ndarray
    total: np.ndarray

    def without(self, fold: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Matrix and side of all folds but one; scaled so that whole coverage gives a unit matrix."""
        use = np.arange(len(self.total)) != (-1 if fold is None else fold)
        scale = 4 * np.pi / self.total[use].sum()
        return self.matrix[use].sum(axis=0) * scale, self.side[use].sum(axis=0) * scale


def normal_equations(samples: Samples, frame: Frame, lmax: int) -> Normal:
    """Add up the cells, a block at a time."""
    size = int(frame.kept(lmax).sum())
    matrix, side = np.zeros((FOLDS, size, size)), np.zeros((FOLDS, size))
    total = np.zeros(FOLDS)
    for fold in range(FOLDS):
        chosen = np.flatnonzero(samples.fold == fold)
        for start in range(0, chosen.size, BLOCK):
            part = chosen[start : start + BLOCK]
            basis = frame.basis(samples.position[part], lmax)
            weighted = basis * samples.weight[part]
            matrix[fold] += weighted @ basis.T
            side[fold] += weighted @ samples.value[part]
        total[fold] = samples.weight[chosen].sum()
    return Normal(matrix, side, total)


def penalty(frame: Frame, lmax: int, power: float) -> np.ndarray:
    """(l (l + 1))^power of each coefficient, 1 at lmax; the mean over the sphere is free."""
    degree = degrees_and_orders(lmax)[0][frame.kept(lmax)]
    highest = max(lmax * (lmax + 1), 1)
    weights: np.ndarray = (degree * (degree + 1) / highest) ** power
    return weights


def held_out_error(normal: Normal, samples: Samples, diagonal: np.ndarray) -> float:
    """Mean squared error at cells of folds that the fit did not see; NaN with fewer than two folds."""
    folds = np.flatnonzero(normal.total > 0)
    if folds.size < 2:
        return float("nan")
    squares = 0.0
    for fold in folds:
        matrix, side = normal.without(int(fold))
        fit = np.linalg.solve(matrix + np.diag(diagonal), side)
        own = samples.fold == fold
        squares += float((samples.weight[own] * samples.value[own] ** 2).sum())
        squares += float(fit @ normal.matrix[fold] @ fit - 2 * fit @ normal.side[fold])
    return max(squares, 0.0) / float(normal.total[folds].sum())


def choose_strength(normal: Normal, samples: Samples, rising: np.ndarray) -> tuple[float, float]:
    """The strength of the penalty by held-out patches, and the mean squared error at them."""
    # The smallest eigenvalue of a cap with gaps may be 0 to rounding; the mean is never penalised.
    errors = np.array([held_out_error(normal, samples, rising * s + 1e-12) for s in STRENGTHS])
    if not np.isfinite(errors).any():
        return float(STRENGTHS[-1]), float("nan")
    # The strongest of those that do about as well: gaps are wider than the patches held out.
    best = int(np.flatnonzero(errors <= NEARLY_BEST * np.nanmin(errors))[-1])
    return float(STRENGTHS[best]), float(errors[best])


def condition_number(matrix: np.ndarray) -> float:
    """Largest over smallest eigenvalue of a symmetric matrix."""
    values = np.linalg.eigvalsh(matrix)
    return float(values[-1] / values[0]) if values[0] > 0 else float("inf")


def solve_plain(normal: Normal, frame: Frame, lmax: int, cells: int) -> tuple[np.ndarray, float]:
    """Solve the least-squares fit without a penalty.

    Parameters
    ----------
    normal : Normal
        Normal equations of the fit.
    frame : Frame
        Coordinates of the harmonics.
    lmax : int
        Highest degree of the harmonics.
    cells : int
        Number of observed cells.

    Returns
    -------
    coefficients : ndarray of float64, shape (coefficients,)
    condition : float
        Condition number of the normal equations.

    Raises
    ------
    InputError
        If the observed cells do not determine all coefficients up to degree ``lmax``. The message
        names a lower degree to try.
    """
    matrix, side = normal.without(None)
    if len(side) > cells:
        raise InputError(
            f"lmax {lmax} has {len(side)} coefficients, found {cells} observed cells; take lmax "
            f"{highest_degree(frame, cells)} or less, or leave the regularisation on"
        )
    condition = condition_number(matrix)
    if condition > LARGEST_CONDITION:
        lower = lmax - 1
        while lower > 0:
            size = int(frame.kept(lower).sum())
            if condition_number(matrix[:size, :size]) <= LARGEST_CONDITION:
                break
            lower -= 1
        raise InputError(
            f"lmax {lmax} is beyond what the observed cells carry: condition number {condition:.1e}, "
            f"expected {LARGEST_CONDITION:.0e} at most; take lmax {lower} or less, or leave the "
            "regularisation on"
        )
    return np.linalg.solve(matrix, side), condition


def highest_degree(frame: Frame, cells: int) -> int:
    """The highest degree with no more coefficients than there are cells."""
    lmax = 0
    while lmax < LARGEST_LMAX and frame.kept(lmax + 1).sum() <= cells:
        lmax += 1
    return lmax


def _folds(ids: np.ndarray, seed: int) -> np.ndarray:
    """A fold for each cell; cells of one patch share it."""
    level = 0
    while np.unique(ids >> 2 * (level + 1)).size >= 8 * FOLDS:
        level += 1
    patches, index = np.unique(ids >> 2 * level, return_inverse=True)
    drawn: np.ndarray = np.random.default_rng(seed).permutation(patches.size)[index] % FOLDS
    return drawn


def _samples(
    gappy: GappyField, cells: sphere.Cells, t: int, fold: np.ndarray, by_points: bool
) -> tuple[Samples, float]:
    """Observed cells of a map less their mean, which makes the penalty free of the unit's zero."""
    assert gappy.latitude is not None and gappy.longitude is not None
    use = gappy.observed[t]
    position = compute_unit_vectors(gappy.latitude[use], gappy.longitude[use], axis=-1)
    index = cells.cell_of_point[use]
    sums = np.stack([np.bincount(index, p, minlength=cells.ids.size) for p in position.T], axis=1)
    seen = cells.observed_points[t] > 0
    position = sums[seen] / np.linalg.norm(sums[seen], axis=1, keepdims=True)
    weight = cells.observed_points[t, seen].astype(np.float64) if by_points else np.ones(seen.sum())
    centre = float(np.average(cells.values[t, seen], weights=weight))
    return Samples(position, cells.values[t, seen] - centre, weight, fold[seen]), centre


def _fit(
    normal: Normal,
    samples: Samples,
    frame: Frame,
    lmax: int,
    rising: np.ndarray,
    strength: float | None,
) -> tuple[np.ndarray, float, float, float]:
    """Coefficients, strength used, condition number, mean squared held-out error."""
    if strength == 0:
        fit, condition = solve_plain(normal, frame, lmax, samples.value.size)
        return fit, 0.0, condition, float("nan")
    if strength is None:
        strength, squared = choose_strength(normal, samples, rising)
    else:
        squared = held_out_error(normal, samples, rising * strength + 1e-12)
    matrix, side = normal.without(None)
    matrix = matrix + np.diag(rising * strength + 1e-12)
    return np.linalg.solve(matrix, side), strength, condition_number(matrix), squared


def _is_calm(values: np.ndarray, samples: Samples) -> bool:
    """Whether estimates leave the range of the observed cells by less than its width."""
    low, high = samples.value.min(), samples.value.max()
    return bool((np.abs(values - (low + high) / 2) <= 1.5 * (high - low) + 1e-9).all())


def _evaluate(frame: Frame, position: np.ndarray, lmax: int, fit: np.ndarray) -> np.ndarray:
    """The sum of harmonics at unit vectors, a block at a time."""
    values = np.empty(len(position))
    for start in range(0, len(position), BLOCK):
        part = slice(start, start + BLOCK)
        values[part] = fit @ frame.basis(position[part], lmax)
    return values
