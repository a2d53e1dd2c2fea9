"""Filling so that the map has the scattering statistics of a reference (Cross Scattering Transform).

The gaps of a start, made by any other method, are changed until the statistics of the whole map are
those of the reference: other days, the observed part of the same map, or a field that the user names,
never the true values of the gaps. Statistics give a gap the texture of its surroundings, not a smaller
error at each point: compare both (Delouis et al. 2022, doi:10.1051/0004-6361/202244566).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.field import FieldFill, FieldMethod, GappyField, finish
from seaice.gapfill.methods import fill_maps, make_method
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
from seaice.runtime.digests import digest_parts
from seaice.runtime.options import Range

logger = logging.getLogger(__name__)

REFERENCES = ("observed", "other_days", "given")
# Other days with a smaller observed share are no reference.
SMALLEST_DAY_SHARE = 0.2
# Noise of the further realisations where the start has no error, in spreads of the map.
NOISE = 0.3


@dataclass(frozen=True, kw_only=True)
class Scattering(FieldMethod):
    """Fill gaps with the scattering statistics of a reference.

    Parameters
    ----------
    nside : int
        Resolution of the HEALPix cells, a power of two; chosen from the grid if not given.
    start : str
        Method that fills the gaps first, with its defaults.
    reference : str
        Where the statistics come from: observed (the observed part of the same map), other_days
        (the observed parts of the other maps), or given (``reference_values``).
    reference_name : str
        Name of the reference, which is recorded in the output.
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
        Seed of the noise.
    device : str
        cpu, cuda or auto.
    checkpoint_file : Path
        Written every ten steps; a run that finds it goes on from there.
    cache_dir : Path
        Index tables of the library; ``~/.cache/seaice/foscat`` if not given.

    Raises
    ------
    InputError
        For parameters out of range.
    """

    name: ClassVar[str] = "scattering"

    nside: int | None = None
    start: str = "harmonic"
    reference: str = "observed"
    reference_name: str = ""
    norient: int = 4
    iterations: int = 100
    tolerance: float = 1e-3
    continuity: float = 0.1
    observed_share: float = 0.5
    mask_nside: int | None = None
    realisations: int = 1
    seed: Annotated[int, Range(0)] = 0
    device: str = "cpu"
    checkpoint_file: Path | None = None
    cache_dir: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start == self.name:
            raise InputError("expected another method as start, found scattering itself; take harmonic")
        if self.reference not in REFERENCES:
            raise InputError(
                f"expected a reference of {', '.join(REFERENCES)}, found {self.reference!r}"
            )
        if self.realisations < 1 or self.iterations < 1:
            raise InputError(
                f"expected at least 1 realisation and iteration, found {self.realisations} and "
                f"{self.iterations}"
            )
        if not 0 < self.observed_share <= 1:
            raise InputError(
                f"expected an observed_share above 0 and up to 1, found {self.observed_share}"
            )
        for name in ("tolerance", "continuity", "norient"):
            number = getattr(self, name)
            if not 0 <= number < np.inf or (name == "norient" and number < 1):
                raise InputError(f"expected {name} of at least 0 (norient 1), found {number}")

    def fill(
        self,
        gappy: GappyField,
        *,
        start_field: np.ndarray | None = None,
        reference_values: np.ndarray | None = None,
    ) -> FieldFill:
        """Fill every map that has gaps and enough observed cells.

        Parameters
        ----------
        gappy : GappyField
            With latitude and longitude.
        start_field : ndarray of float, shape (time, y, x), optional
            Values to start from instead of those of the method ``start``.
        reference_values : ndarray of float, shape (y, x) or (time, y, x), optional
            Gap-free maps in the unit of the field for the reference ``given``; a climatology, say.

        Returns
        -------
        FieldFill
            ``notes`` hold loss and distance of the statistics at start and end, by map.

        Raises
        ------
        InputError
            For a field without coordinates, a reference without enough values, or a checkpoint of
            another run.
        """
        self._check_reference(gappy, reference_values)
        cells = sphere.aggregate(gappy, nside=self.nside)
        region = make_region(cells)
        device = statistics.choose_device(self.device)
        operator = statistics.Operator(
            nside=cells.nside,
            ids=region.ids,
            norient=self.norient,
            cache_dir=statistics.default_cache() if self.cache_dir is None else Path(self.cache_dir),
            device=device,
        )
        start = _start(gappy, self.start, start_field)
        work = _Work(gappy, cells, region, operator, start, self)
        reference = None
        if reference_values is not None:
            reference = np.broadcast_to(reference_values, gappy.values.shape)
        digest = self._digest(gappy, start.values, reference, cells.nside, device)
        checkpoint = Checkpoint(self.checkpoint_file, digest)
        days = [t for t in range(len(start.values)) if work.needs_synthesis(t)]
        estimate, error = start.values.copy(), np.full(start.values.shape, np.nan)
        first: list[Descent] = []
        with (
            statistics.one_thread(),
            Progress(total=len(days) * self.realisations, label="synthesis", logger=logger) as progress,
        ):
            for t in days:
                descents = self._descend(work, t, reference, checkpoint, progress)
                first.append(descents[0])
                estimate[t] = work.on_grid(t, descents[0].values)
                if self.realisations > 1:
                    others = [work.on_grid(t, d.values) - estimate[t] for d in descents[1:]]
                    # The realisations vary the texture alone; the error of the start adds to theirs.
                    of_start = np.zeros(()) if start.error is None else np.nan_to_num(start.error[t])
                    error[t] = np.sqrt(np.mean(np.square(others), axis=0) + of_start**2)
        notes: dict[str, Any] = {
            "nside": cells.nside,
            "cells": int(region.ids.size),
            "start": "given" if start_field is not None else self.start,
            "start_unfilled": start.unfilled,
            "reference": self.reference_name or self.reference,
            "seed": self.seed,
            "realisations": self.realisations,
            "maps": days,
            "iterations": [d.iterations for d in first],
            "loss_start": [d.loss[0] for d in first],
            "loss_end": [d.loss[-1] for d in first],
            "distance_start": [d.distance[0] for d in first],
            "distance_end": [d.distance[-1] for d in first],
        }
        expected = error if self.realisations > 1 else None
        return finish(gappy, estimate, FillFlag.SCATTERING, error=expected, notes=notes)

    def _check_reference(self, gappy: GappyField, values: np.ndarray | None) -> None:
        if (self.reference == "given") != (values is not None):
            raise InputError(
                "expected reference given together with reference_values, found one of them alone"
            )
        if values is not None and values.shape not in (gappy.values.shape, gappy.sea.shape):
            raise InputError(
                f"expected reference_values of shape {gappy.values.shape} or {gappy.sea.shape}, found "
                f"{values.shape}"
            )
        if self.reference == "other_days" and len(gappy.values) < 2:
            raise InputError("expected several maps for reference other_days, found one; take observed")

    def _digest(
        self,
        gappy: GappyField,
        start: np.ndarray,
        reference: np.ndarray | None,
        nside: int,
        device: str,
    ) -> str:
        """Digest of all that a descent depends on; a checkpoint of another one is refused."""
        names = "reference reference_name norient iterations tolerance continuity observed_share"
        numbers = (getattr(self, name) for name in f"{names} mask_nside seed".split())
        arrays = [gappy.values, gappy.sea, start, *(() if reference is None else (reference,))]
        parts = [part for a in arrays for part in (str(a.shape), np.ascontiguousarray(a).tobytes())]
        return digest_parts([repr((nside, *numbers, device)), *parts])

    def _descend(
        self,
        work: _Work,
        t: int,
        reference: np.ndarray | None,
        checkpoint: Checkpoint,
        progress: Progress,
    ) -> list[Descent]:
        """The realisations of one map."""
        target = work.target(t, self.reference, reference)
        descents = []
        for number in range(self.realisations):
            noise_of = (self.seed, t, number) if number else None
            problem = work.problem(t, target, self.continuity, noise_of=noise_of)
            key = f"{t} {number}"
            descents.append(_run(problem, checkpoint, key, self.iterations, self.tolerance, progress))
        return descents


@dataclass(frozen=True)
class _Start:
    """Maps without gaps.

    Attributes
    ----------
    values : ndarray of float64, shape (time, y, x)
        NaN over land.
    error : ndarray of float, shape (time, y, x), or None
        Expected error of the filled values, where the method has one.
    unfilled : int
        Cells that took the mean of their map.
    """

    values: np.ndarray
    error: np.ndarray | None
    unfilled: int


def _start(gappy: GappyField, method: str, start_field: np.ndarray | None) -> _Start:
    error = None
    if start_field is not None:
        if start_field.shape != gappy.values.shape:
            raise InputError(
                f"expected start_field of shape {gappy.values.shape}, found {start_field.shape}"
            )
        filled = start_field
    else:
        fill = fill_maps(gappy, make_method(method))
        filled, error = fill.values, fill.error
    values = np.where(gappy.observed, gappy.values, filled).astype(np.float64)
    values[:, ~gappy.sea] = np.nan
    unfilled = gappy.missing & ~np.isfinite(values)
    for t in range(len(values)):
        if gappy.observed[t].any():
            values[t, unfilled[t]] = values[t, gappy.observed[t]].mean()
    return _Start(values, error, int(unfilled.sum()))


def _run(
    problem: Problem, checkpoint: Checkpoint, key: str, iterations: int, tolerance: float, bar: Progress
) -> Descent:
    """A descent, from the checkpoint as far as it goes."""
    descent = checkpoint.finished(key)
    if descent is None:
        state = checkpoint.state(key)
        before, begin = (state or {}).get("iterations", 0), time.perf_counter()
        descent = descend(
            problem,
            iterations=iterations,
            tolerance=tolerance,
            state=state,
            after_chunk=lambda s: checkpoint.keep(key, s),
        )
        each = (time.perf_counter() - begin) / max(descent.iterations - before, 1)
        checkpoint.finish(key, descent)
        text = f"{descent.iterations} iterations, {each:.2f} s each"
    else:
        text = "from the checkpoint"
    day, number = key.split()
    bar.unit(
        f"map {day}, realisation {number}: loss {descent.loss[0]:.4g} to {descent.loss[-1]:.4g}, {text}"
    )
    return descent


class _Work:
    """The maps on their region, in units of the spread of each map about its mean."""

    def __init__(
        self,
        gappy: GappyField,
        cells: sphere.Cells,
        region: Region,
        operator: statistics.Operator,
        start: _Start,
        method: Scattering,
    ) -> None:
        self._gappy, self._cells, self._region, self._operator = gappy, cells, region, operator
        self._start = start.values
        sea = np.broadcast_to(gappy.sea, start.values.shape)
        size = cells.ids.size
        self._values, _ = sphere.cell_means(start.values, sea, cells.cell_of_point, size)
        self._error = None
        if start.error is not None:
            use = np.isfinite(start.error)
            self._error, _ = sphere.cell_means(start.error, use, cells.cell_of_point, size)
        self._seen = cells.observed_share >= method.observed_share
        self._masks, self._spread_masks = (
            statistics.local_masks(cells.nside, region.ids, region.sea, nside)
            for nside in (method.mask_nside, None)
        )

    def needs_synthesis(self, t: int) -> bool:
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
            maps = [self._on_region(given[t], scale)]
        else:
            others = [s for s in range(len(self._start)) if s != t and self._is_reference(s)]
            if not others:
                raise InputError(
                    f"expected another map with {SMALLEST_DAY_SHARE:.0%} of its cells observed for "
                    "reference other_days, found none; take observed"
                )
            maps = [(self._map(s, scale), self._inner(s)) for s in others]
        return statistics.make_target(self._operator, maps, self._masks, self._spread_masks)

    def _is_reference(self, s: int) -> bool:
        """Whether enough of a map is observed, and not all of it the same."""
        return bool(
            self._seen[s].mean() >= SMALLEST_DAY_SHARE and self._values[s, self._seen[s]].std() > 0
        )

    def _on_region(self, values: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """A reference map on the cells of the region, and which of them it has values for."""
        use = self._gappy.sea & np.isfinite(values)
        size = self._cells.ids.size
        means, _ = sphere.cell_means(values[None], use[None], self._cells.cell_of_point, size)
        has_value = np.isfinite(means[0])
        if has_value.sum() < 2:
            raise InputError("expected reference_values over the sea of the field, found none")
        used = np.zeros(self._region.ids.size, bool)
        used[self._region.at] = has_value
        middle = float(means[0, has_value].mean())
        whole = self._region.spread_out(np.where(has_value, means[0], middle))
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

    def on_grid(self, t: int, values: np.ndarray) -> np.ndarray:
        """The start on the source grid plus what the synthesis changed, bilinear between cells."""
        gappy, region = self._gappy, self._region
        centre, scale = self._unit(t)
        gap = ~self._seen[t]
        change = np.zeros(self._cells.ids.size)
        # The gap cells of a problem stand in the order of its region.
        order = np.argsort(region.at[gap])
        change[np.flatnonzero(gap)[order]] = centre + scale * values - self._values[t, gap][order]
        missing = gappy.missing[t]
        assert gappy.latitude is not None and gappy.longitude is not None
        out = self._start[t].copy()
        latitude, longitude = gappy.latitude[missing], gappy.longitude[missing]
        out[missing] += sphere.to_points(self._cells.ids, change, self._cells.nside, latitude, longitude)
        return out
