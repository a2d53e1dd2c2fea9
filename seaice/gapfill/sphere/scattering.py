"""Filling so that the map has the scattering statistics of a reference (Cross Scattering Transform).

The gaps of a start, made by any other method, are changed until the statistics of the whole map are
those of the reference: other days, the observed part of the same map, or a field that the user names.
Never the truth of the gaps. Statistics give a gap the texture of its surroundings, not a smaller
error at each point: compare both (Delouis et al. 2022, doi:10.1051/0004-6361/202244566).
"""

from __future__ import annotations

import hashlib
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.field import FieldFill, GappyField, fill_gaps, finish
from seaice.gapfill.sphere import cells as sphere
from seaice.gapfill.sphere import statistics
from seaice.gapfill.sphere.cells import (
    Region,
    make_region,
)
from seaice.gapfill.sphere.lbfgs import (
    Checkpoint,
    Descent,
    Problem,
    descend,
)
from seaice.report import Progress

logger = logging.getLogger(__name__)

REFERENCES = ("observed", "other_days", "given")
# Other days with a smaller observed share say too little.
SMALLEST_DAY_SHARE = 0.2
# Noise of the further realisations where the start has no error, in spreads of the map.
NOISE = 0.3


def fill_field(
    gappy: GappyField,
    *,
    nside: int | None = None,
    start: str = "harmonic",
    start_field: np.ndarray | None = None,
    reference: str = "observed",
    reference_values: np.ndarray | None = None,
    reference_name: str = "",
    norient: int = 4,
    iterations: int = 100,
    tolerance: float = 1e-3,
    continuity: float = 0.1,
    observed_share: float = 0.5,
    mask_nside: int | None = None,
    realisations: int = 1,
    seed: int = 0,
    device: str = "cpu",
    checkpoint_file: Path | None = None,
    cache_dir: Path | None = None,
) -> FieldFill:
    """Fill gaps with the scattering statistics of a reference.

    Parameters
    ----------
    gappy : GappyField
        With latitude and longitude.
    nside : int
        Resolution of the HEALPix cells, a power of two; chosen from the grid if not given.
    start : str
        Method that fills the gaps first, with its defaults.
    start_field : ndarray
        Values to start from instead, shape (time, y, x).
    reference : str
        Where the statistics come from: observed (the observed part of the same map), other_days
        (the observed parts of the other maps), or given (``reference_values``).
    reference_values : ndarray
        Gap-free maps in the unit of the field, shape (y, x) or (time, y, x); a climatology, say.
    reference_name : str
        What they are; it is recorded.
    norient : int
        Orientations of the wavelets.
    iterations : int
        Largest number of descent steps of a map.
    tolerance : float
        Stop when ten steps lower the loss by less than this share.
    continuity : float
        Weight of steps between gap cells and observed cells beside them, 0 for none.
    observed_share : float
        A cell stays as it is when at least this share of its sea points is observed, 0 to 1.
    mask_nside : int
        nside of the local masks under which statistics are taken; 0 for the whole map alone; chosen
        so that there are at least four if not given.
    realisations : int
        More than one: the further ones start from noise added to the start; their spread, with the
        error of the start where it has one, is the error.
    seed : int
        Of the noise.
    device : str
        cpu, cuda or auto.
    checkpoint_file : Path
        Written every ten steps; a run that finds it goes on from there.
    cache_dir : Path
        Index tables of the library; ``~/.cache/seaice/foscat`` if not given.

    Returns
    -------
    FieldFill
        ``notes`` hold loss and distance of the statistics at start and end, by map.

    Raises
    ------
    InputError
        For a field without coordinates, parameters out of range, a reference that has nothing to
        say, or a checkpoint of something else.
    """
    _check(gappy, start, reference, reference_values, realisations, iterations, observed_share)
    for name, number in (("tolerance", tolerance), ("continuity", continuity), ("norient", norient)):
        if not 0 <= number < np.inf or (name == "norient" and number < 1):
            raise InputError(f"expected {name} of at least 0 (norient 1), found {number}")
    cells = sphere.aggregate(gappy, nside=nside)
    region = make_region(cells)
    device = statistics.choose_device(device)
    operator = statistics.Operator(
        nside=cells.nside,
        ids=region.ids,
        norient=norient,
        cache_dir=statistics.default_cache() if cache_dir is None else Path(cache_dir),
        device=device,
    )
    begun, begun_error, unfilled = _start(gappy, start, start_field)
    work = _Work(gappy, cells, region, operator, begun, begun_error, observed_share, mask_nside)
    given = None if reference_values is None else np.broadcast_to(reference_values, gappy.values.shape)
    numbers = (cells.nside, reference, reference_name, norient, iterations, tolerance, continuity)
    digest = _digest(
        (gappy.values, gappy.sea, begun, *(() if given is None else (given,))),
        (*numbers, observed_share, mask_nside, seed, device),
    )
    checkpoint = Checkpoint(checkpoint_file, digest)
    days = [t for t in range(len(begun)) if work.worth(t)]
    estimate, error = begun.copy(), np.full(begun.shape, np.nan)
    descents: list[Descent] = []
    with (
        statistics.one_thread(),
        Progress(total=len(days) * realisations, label="synthesis", logger=logger) as progress,
    ):
        for t in days:
            target = work.target(t, reference, given)
            made = []
            for r in range(realisations):
                problem = work.problem(t, target, continuity, noise_of=(seed, t, r) if r else None)
                made.append(_run(problem, checkpoint, f"{t} {r}", iterations, tolerance, progress))
            descents.append(made[0])
            estimate[t] = work.back(t, made[0].values)
            if realisations > 1:
                others = [work.back(t, d.values) - estimate[t] for d in made[1:]]
                # The texture is drawn anew and knows nothing of what the start misses: both add up.
                missed = np.zeros(()) if begun_error is None else np.nan_to_num(begun_error[t])
                error[t] = np.sqrt(np.mean(np.square(others), axis=0) + missed**2)
    notes: dict[str, Any] = {
        "nside": cells.nside,
        "cells": int(region.ids.size),
        "start": "given" if start_field is not None else start,
        "start_unfilled": unfilled,
        "reference": reference_name or reference,
        "seed": seed,
        "realisations": realisations,
        "maps": days,
        "iterations": [d.iterations for d in descents],
        "loss_start": [d.loss[0] for d in descents],
        "loss_end": [d.loss[-1] for d in descents],
        "distance_start": [d.distance[0] for d in descents],
        "distance_end": [d.distance[-1] for d in descents],
    }
    known = error if realisations > 1 else None
    return finish(gappy, estimate, FillFlag.SCATTERING, error=known, notes=notes)


def _check(
    gappy: GappyField,
    start: str,
    reference: str,
    given: np.ndarray | None,
    realisations: int,
    iterations: int,
    observed_share: float,
) -> None:
    if start == "scattering":
        raise InputError("expected another method as start, found scattering itself; take harmonic")
    if reference not in REFERENCES:
        raise InputError(f"expected a reference of {', '.join(REFERENCES)}, found {reference!r}")
    if (reference == "given") != (given is not None):
        raise InputError(
            "expected reference given together with reference_values, found one of them alone"
        )
    if given is not None and given.shape not in (gappy.values.shape, gappy.sea.shape):
        raise InputError(
            f"expected reference_values of shape {gappy.values.shape} or {gappy.sea.shape}, found "
            f"{given.shape}"
        )
    if reference == "other_days" and len(gappy.values) < 2:
        raise InputError("expected several maps for reference other_days, found one; take observed")
    if realisations < 1 or iterations < 1:
        raise InputError(
            f"expected at least 1 realisation and iteration, found {realisations} and {iterations}"
        )
    if not 0 < observed_share <= 1:
        raise InputError(f"expected an observed_share above 0 and up to 1, found {observed_share}")


def _start(
    gappy: GappyField, start: str, start_field: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None, int]:
    """Maps without gaps, float64; their error if known; how many cells took the map's mean."""
    error = None
    if start_field is not None:
        if start_field.shape != gappy.values.shape:
            raise InputError(
                f"expected start_field of shape {gappy.values.shape}, found {start_field.shape}"
            )
        filled = start_field
    else:
        made = fill_gaps(gappy, start)
        filled, error = made.values, made.error
    whole = np.where(gappy.observed, gappy.values, filled).astype(np.float64)
    whole[:, ~gappy.sea] = np.nan
    left = gappy.missing & ~np.isfinite(whole)
    for t in range(len(whole)):
        if gappy.observed[t].any():
            whole[t, left[t]] = whole[t, gappy.observed[t]].mean()
    return whole, error, int(left.sum())


def _digest(arrays: tuple[np.ndarray, ...], plain: tuple[Any, ...]) -> str:
    made = hashlib.sha256(repr(plain).encode())
    for array in arrays:
        made.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return made.hexdigest()


def _run(
    problem: Problem, checkpoint: Checkpoint, key: str, iterations: int, tolerance: float, bar: Progress
) -> Descent:
    """A descent, from the checkpoint as far as it goes."""
    known = checkpoint.finished(key)
    if known is None:
        state = checkpoint.state(key)
        before, begin = (state or {}).get("iterations", 0), time.perf_counter()
        known = descend(
            problem,
            iterations=iterations,
            tolerance=tolerance,
            state=state,
            after_chunk=lambda s: checkpoint.keep(key, s),
        )
        each = (time.perf_counter() - begin) / max(known.iterations - before, 1)
        checkpoint.finish(key, known)
        text = f"{known.iterations} iterations, {each:.2f} s each"
    else:
        text = "from the checkpoint"
    day, number = key.split()
    bar.unit(
        f"map {day}, realisation {number}: loss {known.loss[0]:.4g} to {known.loss[-1]:.4g}, {text}"
    )
    return known


class _Work:
    """The maps on their region, in units of the spread of each map about its mean."""

    def __init__(
        self,
        gappy: GappyField,
        cells: sphere.Cells,
        region: Region,
        operator: statistics.Operator,
        begun: np.ndarray,
        begun_error: np.ndarray | None,
        observed_share: float,
        mask_nside: int | None,
    ) -> None:
        self._gappy, self._cells, self._region, self._operator = gappy, cells, region, operator
        self._begun = begun
        sea = np.broadcast_to(gappy.sea, begun.shape)
        size = cells.ids.size
        self._values, _ = sphere.cell_means(begun, sea, cells.cell_of_point, size)
        self._error = None
        if begun_error is not None:
            known = np.isfinite(begun_error)
            self._error, _ = sphere.cell_means(begun_error, known, cells.cell_of_point, size)
        self._seen = cells.observed_share >= observed_share
        masks = [
            statistics.local_masks(cells.nside, region.ids, region.sea, n) for n in (mask_nside, None)
        ]
        self._masks, self._spread_masks = masks

    def worth(self, t: int) -> bool:
        """Whether a map has gaps, and enough observed cells that differ."""
        seen = self._values[t, self._seen[t]]
        return bool((~self._seen[t]).any() and seen.size >= 2 and seen.std() > 0)

    def _unit(self, t: int) -> tuple[float, float]:
        seen = self._values[t, self._seen[t]]
        return float(seen.mean()), float(seen.std())

    def _map(self, t: int, scale: float) -> np.ndarray:
        return (self._region.spread_out(self._values[t]) - self._unit(t)[0]) / scale

    def _inner(self, t: int) -> np.ndarray:
        """Observed cells beside no gap, where they are enough; wavelets look across borders."""
        seen = np.zeros(self._region.ids.size, bool)
        seen[self._region.at] = self._seen[t]
        gap = self._region.sea & ~seen
        beside = self._region.neighbours
        inner = seen & ~(gap[beside] & (beside >= 0)).any(axis=0)
        return inner if inner.sum() > 0.3 * seen.sum() else seen

    def target(self, t: int, reference: str, given: np.ndarray | None) -> statistics.Target:
        """The statistics a map is to have."""
        _, scale = self._unit(t)
        if reference == "observed":
            maps = [(self._map(t, scale), self._inner(t))]
        elif given is not None:
            maps = [self._given(given[t], scale)]
        else:
            others = [s for s in range(len(self._begun)) if s != t and self._says(s)]
            if not others:
                raise InputError(
                    f"expected another map with {SMALLEST_DAY_SHARE:.0%} of its cells observed for "
                    "reference other_days, found none; take observed"
                )
            maps = [(self._map(s, scale), self._inner(s)) for s in others]
        return statistics.make_target(self._operator, maps, self._masks, self._spread_masks)

    def _says(self, s: int) -> bool:
        return bool(
            self._seen[s].mean() >= SMALLEST_DAY_SHARE and self._values[s, self._seen[s]].std() > 0
        )

    def _given(self, values: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
        use = self._gappy.sea & np.isfinite(values)
        size = self._cells.ids.size
        means, _ = sphere.cell_means(values[None], use[None], self._cells.cell_of_point, size)
        known = np.isfinite(means[0])
        if known.sum() < 2:
            raise InputError("expected reference_values over the sea of the field, found none")
        used = np.zeros(self._region.ids.size, bool)
        used[self._region.at] = known
        middle = float(means[0, known].mean())
        whole = self._region.spread_out(np.where(known, means[0], middle))
        return (whole - middle) / scale, used

    def problem(
        self,
        t: int,
        target: statistics.Target,
        continuity: float,
        *,
        noise_of: tuple[int, int, int] | None = None,
    ) -> Problem:
        """One map as a problem of the gap cells."""
        region, (_, scale) = self._region, self._unit(t)
        gap = np.zeros(region.ids.size, bool)
        gap[region.at] = ~self._seen[t]
        seen = region.sea & ~gap
        values = self._map(t, scale)
        if noise_of is not None:
            values[gap] += self._noise(t, scale, noise_of)[gap]
        rows, cols = np.nonzero((region.neighbours >= 0) & seen[region.neighbours])
        pairs = np.stack([cols, region.neighbours[rows, cols]], axis=1)
        inside = pairs[seen[pairs[:, 0]]]
        steps = (values[inside[:, 0]] - values[inside[:, 1]]) ** 2
        typical = float(steps.mean()) if len(steps) else 0.0
        border = pairs[gap[pairs[:, 0]]]
        return Problem(
            self._operator, target, values, gap, self._masks, border, typical or 1.0, continuity
        )

    def _noise(self, t: int, scale: float, key: tuple[int, int, int]) -> np.ndarray:
        """Smooth noise as large as the error of the start."""
        region = self._region
        noise = np.random.default_rng(key).normal(size=region.ids.size)
        valid = region.neighbours >= 0
        for _ in range(2):
            around = np.where(valid, noise[region.neighbours], 0.0).sum(axis=0)
            noise = (noise + around) / (1 + valid.sum(axis=0))
        size = np.full(region.ids.size, NOISE)
        if self._error is not None:
            own = self._error[t] / scale
            size[region.at] = np.where(np.isfinite(own), own, NOISE)
        return size * noise / noise.std()

    def back(self, t: int, found: np.ndarray) -> np.ndarray:
        """The start on the source grid plus what the synthesis changed, bilinear between cells."""
        gappy, region = self._gappy, self._region
        centre, scale = self._unit(t)
        gap = ~self._seen[t]
        change = np.zeros(self._cells.ids.size)
        # The gap cells of a problem stand in the order of its region.
        order = np.argsort(region.at[gap])
        change[np.flatnonzero(gap)[order]] = centre + scale * found - self._values[t, gap][order]
        wanted = gappy.missing[t]
        assert gappy.latitude is not None and gappy.longitude is not None
        out = self._begun[t].copy()
        out[wanted] += sphere.to_points(
            self._cells.ids, change, self._cells.nside, gappy.latitude[wanted], gappy.longitude[wanted]
        )
        return out
