"""Fitting the networks of the method ``increments`` to a record, without any other truth than itself.

An observed day is taken as if it were missing together with the days around it; what the networks
predict there is compared with what was observed. Such samples come from at most eight windows of a
record, spread over it, and there from some cells of some tiles of at most sixteen regions: neither the
cost nor the memory of a fit grows with the record or with the grid. Random numbers depend on the window
alone. The last quarter of the days of every window is held out, and tells whether a network helps; the
networks that do are fitted again to all samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from seaice.dates import from_day_number
from seaice.flags import FillFlag
from seaice.gapfill import Record
from seaice.gapfill.increments.weights import (
    GAPS,
    FittedNetwork,
    IncrementWeights,
    Network,
)
from seaice.gapfill.ocean_cells import OceanCells
from seaice.gapfill.temporal import LARGEST_GAP
from seaice.runtime.threads import for_each

# Fewer days with values than this are no record to fit to.
FEWEST_DAYS = 15
# Windows: most of them, days to take as missing (half as many more in long records), and days to either
# side that are only looked at.
_WINDOWS, _CORE, _MARGIN = 8, 30, 9
# Regions of a window: most of them, and rows and columns of each.
_REGIONS, _REGION = 16, 256
_HELD_OUT_SHARE = 0.25
_GAPS_PER_DAY = 8
_SAMPLES = 400_000
# Samples of one tile have much in common: more tiles tell more than more cells.
_MOST_OF_TILE = 0.07
# Side of the squares of cells that samples are drawn from.
_TILE = 32
_FEWEST_SAMPLES = 5_000
_UNITS = (24, 12)
# Times that the samples are gone through, in the fit that is judged and in the last one.
_TRIAL_EPOCHS, _EPOCHS = 8, 24
_BATCH, _RATE, _DECAY = 1024, 3e-3, 1e-2
_FEWEST_STEPS = 1_000
# Samples of gaps whose random walks vary alike tell a threshold together: at least so many of a class.
_CLASS = 20_000
_EDGE = 15.0
_THRESHOLDS = (5.0, 25.0)
# Weight of the penalty for the wrong side of the edge, and percent over which it sets in.
_EDGE_WEIGHT, _EDGE_WIDTH = 1.0, 16.0
_LEAST_ERROR = 0.1


@dataclass(frozen=True)
class Samples:
    """Observed cells that were taken as missing.

    Attributes
    ----------
    features : ndarray of float32, shape (n, features)
    estimate, truth : ndarray of float32, shape (n,)
        Linear fill in time and observed value, percent.
    code : ndarray of uint8, shape (n,)
        10 x days back + days forward.
    is_held_out : ndarray of bool, shape (n,)
    """

    features: np.ndarray
    estimate: np.ndarray
    truth: np.ndarray
    code: np.ndarray
    is_held_out: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[Samples]) -> Samples:
        """All samples of several parts."""
        names = ("features", "estimate", "truth", "code", "is_held_out")
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))

    def select(self, selected: np.ndarray) -> Samples:
        """Some of the samples."""
        return Samples(
            np.ascontiguousarray(self.features[selected]),
            self.estimate[selected],
            self.truth[selected],
            self.code[selected],
            self.is_held_out[selected],
        )

    def __len__(self) -> int:
        return len(self.code)

    @property
    def days(self) -> np.ndarray:
        """Length of the gap of every sample, days from value to value."""
        return self.code.astype(np.int64) // 10 + self.code % 10

    @property
    def spread(self) -> np.ndarray:
        """Percent by which the output of a network is multiplied, float32 (n,)."""
        return _spread_by_code()[self.code]


@cache
def _spread_by_code() -> np.ndarray:
    """Percent by which the output of a network is multiplied, float32 (gaps)."""
    from seaice.gapfill.increments._kernels import spread_of_gap

    return np.array([spread_of_gap(c // 10, c % 10) if c else 10.0 for c in range(GAPS)], np.float32)


def choose_weights(record: Record, packaged: IncrementWeights, beside: np.ndarray) -> IncrementWeights:
    """Weights for a record: fitted to it, packaged ones or none, whichever helps on held-out days.

    Parameters
    ----------
    record : Record
    packaged : IncrementWeights
        Taken where the record is too short, or where its own fit does not help and they do.
    beside : ndarray of float64
        Smearing of the linear fill in time, see :mod:`seaice.gapfill.departure`.
    """
    samples = sample_record(record, beside)
    span = (str(from_day_number(record.first)), str(from_day_number(record.last)))
    jobs = [(True, packaged.two_sided), (False, packaged.one_sided)]
    (two_sided, note_two), (one_sided, note_one) = for_each(
        lambda job: _choose_network(samples[job[0]], *job, span), jobs
    )
    for kind, note in (("two", note_two), ("one", note_one)):
        if note["origin"] == "package":
            note["fitted_to"] = packaged.made_of.get(f"{kind}_sided", {})
    return IncrementWeights(two_sided, one_sided, {"two_sided": note_two, "one_sided": note_one})


def _choose_network(
    samples: Samples, is_two_sided: bool, packaged: FittedNetwork | None, span: tuple[str, str]
) -> tuple[FittedNetwork | None, dict[str, Any]]:
    """The network for one kind of gaps, and a note on where it comes from."""
    note: dict[str, Any] = {"samples": len(samples)}
    if len(samples) >= _FEWEST_SAMPLES and samples.is_held_out.any():
        trial = fit_network(samples, is_two_sided, epochs=_TRIAL_EPOCHS)
        gain = measure_gain(trial, samples, is_two_sided)
        note["held_out_gain_percent"] = gain
        if gain is not None and gain < 0:
            all_seen = replace(samples, is_held_out=np.zeros(len(samples), bool))
            note |= {"origin": "record", "first_day": span[0], "last_day": span[1]}
            return fit_network(all_seen, is_two_sided), note
    gain = None if packaged is None else measure_gain(packaged, samples, is_two_sided)
    if packaged is None or (gain is not None and gain >= 0):
        return None, note | {"origin": "none"}
    # Where nothing can be judged, as in a short record, they have been judged elsewhere.
    return packaged, note | {"origin": "package", "held_out_gain_percent": gain}


def sample_record(record: Record, beside: np.ndarray) -> dict[bool, Samples]:
    """Samples of a record, of gaps with two ends (True) and with one (False)."""
    parts: dict[bool, list[Samples]] = {kind: [_no_samples()] for kind in (True, False)}
    windows = choose_windows(record.first, record.last)
    days = sum(core[1] - core[0] + 1 for core, _ in windows)
    if record.last - record.first + 1 >= FEWEST_DAYS:
        for core, days_read in windows:
            regions = _read_regions(record, core, days_read)
            for is_two_sided, of_kind in parts.items():
                for region in regions:
                    wanted = _SAMPLES // days // len(regions)
                    # At once: many small arrays would leave memory in pieces.
                    parts_of_region = [_no_samples(), *region.sample(beside, is_two_sided, wanted)]
                    of_kind.append(Samples.joined(parts_of_region))
    return {kind: Samples.joined(of_kind) for kind, of_kind in parts.items()}


def _no_samples() -> Samples:
    from seaice.gapfill.increments._kernels import FEATURES

    values = np.empty(0, np.float32)
    return Samples(
        np.empty((0, FEATURES), np.float32), values, values, np.empty(0, np.uint8), np.empty(0, bool)
    )


def choose_windows(first: int, last: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Days to take as missing and days to look at, for every window of a record.

    Examples
    --------
    >>> choose_windows(0, 63)
    [((0, 31), (0, 40)), ((32, 63), (23, 63))]
    """
    count = last - first + 1
    windows = min(_WINDOWS, max(1, round(count / _CORE)))
    edges = [first + count * k // windows for k in range(windows + 1)]
    cores = [(a, min(b - 1, a + _CORE + _CORE // 2 - 1)) for a, b in pairwise(edges)]
    return [((a, b), (max(first, a - _MARGIN), min(last, b + _MARGIN))) for a, b in cores]


def _read_regions(record: Record, core: tuple[int, int], days_read: tuple[int, int]) -> list[_Region]:
    """Read the days of a window in regions with ice, selected at random where the grid has many."""
    frame = np.empty(record.cells.ocean.shape, np.float32)
    rng = np.random.default_rng([core[0] % 2**32, 2])
    regions: list[_Region] = []
    days = days_read[1] - days_read[0] + 1
    for i, number in enumerate(range(days_read[0], days_read[1] + 1)):
        record.read(number, frame)
        if not regions and np.nanmax(frame, initial=0) > 0:
            places = [
                place for place in _list_regions(frame.shape) if np.nanmax(frame[place], initial=0) > 0
            ]
            selected = sorted(rng.permutation(len(places))[:_REGIONS].tolist())
            inside = range(core[0] - days_read[0], core[1] - days_read[0] + 1)
            regions = [
                _Region.empty(record.cells.ocean, places[k], days, inside, core[0]) for k in selected
            ]
        for region in regions:
            region.put(i, frame)
    return regions


def _list_regions(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """Parts of a grid of about 256 x 256 cells; all of it where it is small."""
    edges = []
    for cells in shape:
        count = max(1, round(cells / _REGION))
        edges.append([cells * k // count for k in range(count + 1)])
    if (len(edges[0]) - 1) * (len(edges[1]) - 1) <= _REGIONS // 2:
        return [(slice(0, shape[0]), slice(0, shape[1]))]
    rows, columns = ([slice(a, b) for a, b in pairwise(of_axis)] for of_axis in edges)
    return [(y, x) for y in rows for x in columns]


@dataclass(frozen=True, eq=False)
class _Region:
    """A part of a grid on consecutive days; ``core`` are indices of the days to take as missing."""

    place: tuple[slice, slice]
    values: np.ndarray
    flag: np.ndarray
    cells: OceanCells
    core: range
    seed: int

    @classmethod
    def empty(
        cls, ocean: np.ndarray, place: tuple[slice, slice], days: int, core: range, seed: int
    ) -> _Region:
        cells = OceanCells(np.ascontiguousarray(ocean[place]))
        values = np.full((days, len(cells)), np.nan, np.float32)
        flag = np.full((days, len(cells)), FillFlag.NOT_FILLED, np.uint8)
        first_cell = place[0].start * ocean.shape[1] + place[1].start
        return cls(place, values, flag, cells, core, seed + first_cell)

    def put(self, i: int, frame: np.ndarray) -> None:
        self.values[i] = frame[self.place][self.cells.ocean]
        self.flag[i] = np.where(np.isnan(self.values[i]), FillFlag.NOT_FILLED, FillFlag.OBSERVED)

    def sample(self, beside: np.ndarray, is_two_sided: bool, samples: int) -> Iterator[Samples]:
        """Samples of every day of the core, about so many of a day."""
        rng = np.random.default_rng([self.seed % 2**32, is_two_sided])
        present = (self.flag == 0).any(axis=1)
        is_held_out = len(self.core) - round(_HELD_OUT_SHARE * len(self.core))
        tiles = _Tiles.of(self.cells)
        for n, t in enumerate(self.core):
            gaps = [g for g in _list_gaps(is_two_sided) if self._has_ends(present, t, g)]
            if not present[t] or not gaps:
                continue
            # Short gaps are frequent; the long ones need some samples too.
            likely = np.array([1 / (max(1, b) * max(1, f)) + 0.01 for b, f in gaps])
            count = min(_GAPS_PER_DAY, len(gaps))
            for k in rng.choice(len(gaps), count, replace=False, p=likely / likely.sum()):
                for part in self._sample_gap(t, gaps[k], tiles, beside, rng, samples // count):
                    part.is_held_out[:] = n >= is_held_out
                    yield part

    def _has_ends(self, present: np.ndarray, t: int, gap: tuple[int, int]) -> bool:
        back, forward = gap
        return (not back or (t >= back and bool(present[t - back]))) and (
            not forward or (t + forward < len(present) and bool(present[t + forward]))
        )

    def _sample_gap(
        self,
        t: int,
        gap: tuple[int, int],
        tiles: _Tiles,
        beside: np.ndarray,
        rng: np.random.Generator,
        samples: int,
    ) -> Iterator[Samples]:
        from seaice.gapfill.increments import _kernels as kernels

        back, forward = gap
        ends = [t, *([t - back] if back else []), *([t + forward] if forward else [])]
        most = _TILE**2 + 16
        features = np.empty((kernels.FEATURES, most), np.float32)
        estimates, columns = np.empty(most, np.float32), np.empty(most, np.int64)
        order, taken, scratch = np.arange(len(self.values)), 0, kernels.make_scratch()
        for tile in rng.permutation(len(tiles)):
            if taken >= samples:
                return
            members = tiles.members(int(tile))
            members = members[(self.flag[ends][:, members] == 0).all(axis=0)]
            if not members.size or not (self.values[ends][:, members] > 0).any():
                continue
            # A tile of a fine grid has many more cells than are wanted of a gap.
            most_of_tile = min(int(_MOST_OF_TILE * members.size), samples - taken)
            share = rng.permutation(members)[: max(1, most_of_tile)]
            cells = np.stack([self.cells.rows[share], self.cells.columns[share]], axis=1).astype(
                np.int64
            )
            days = np.repeat([[back], [forward]], len(cells), axis=1)
            used = kernels.describe_cells(
                self.values, self.flag, self.cells.index, order, t, beside, cells, days,
                features, estimates, columns, scratch,
            )  # fmt: skip
            icy = columns[: len(cells)] >= 0
            taken += used
            yield Samples(
                features[:, :used].T.copy(),
                estimates[: len(cells)][icy],
                self.values[t, share[icy]],
                np.full(used, 10 * back + forward, np.uint8),
                np.zeros(used, bool),
            )


def _list_gaps(is_two_sided: bool) -> list[tuple[int, int]]:
    days = range(1, LARGEST_GAP + 1)
    if is_two_sided:
        return [(back, forward) for back in days for forward in days]
    return [(back, 0) for back in days] + [(0, forward) for forward in days]


@dataclass(frozen=True)
class _Tiles:
    """The ocean cells by tile: ``order[first[k] : first[k + 1]]`` are those of the k-th tile."""

    order: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, cells: OceanCells) -> _Tiles:
        columns = -(-cells.ocean.shape[1] // _TILE)
        number = cells.rows.astype(np.int64) // _TILE * columns + cells.columns // _TILE
        order = np.argsort(number, kind="stable")
        cuts = np.flatnonzero(np.diff(number[order])) + 1
        return cls(order, np.concatenate([[0], cuts, [len(order)]]))

    def __len__(self) -> int:
        return len(self.first) - 1

    def members(self, tile: int) -> np.ndarray:
        return self.order[self.first[tile] : self.first[tile + 1]]


def fit_network(samples: Samples, is_two_sided: bool, *, epochs: int = _EPOCHS) -> FittedNetwork:
    """Fit a network to the samples that are not held out."""
    from seaice.gapfill.increments import _kernels as kernels

    rng = np.random.default_rng(int(is_two_sided))
    fit_samples = samples.select(np.flatnonzero(~samples.is_held_out))
    target = (fit_samples.truth - fit_samples.estimate) / fit_samples.spread
    edge = _describe_edge(fit_samples)
    network = Network.of_sizes(kernels.FEATURES, *_UNITS)
    for weights, share in (
        (network.weights_1, 1.0),
        (network.weights_2, 1.0),
        (network.weights_3, 0.1),
    ):
        scale = share / np.sqrt(weights.shape[0])
        weights[...] = rng.normal(0, scale, weights.shape)
    slopes, means, squares = (Network(*(np.zeros_like(a) for a in network)) for _ in range(3))
    batch = min(_BATCH, max(1, len(fit_samples) // 8))
    steps = len(fit_samples) // batch
    epochs = max(epochs, -(-_FEWEST_STEPS // steps))
    for epoch in range(epochs):
        shuffled, progress = rng.permutation(len(fit_samples)), (epoch * steps, epochs * steps)
        kernels.train(
            network, slopes, means, squares, fit_samples.features, target, edge, shuffled, batch,
            progress, _RATE, np.float32(_DECAY), is_two_sided,
        )  # fmt: skip
    days, counts = np.unique(samples.days, return_counts=True)
    known = days[counts >= 50]
    thresholds = _fit_thresholds(network, samples, is_two_sided)
    return FittedNetwork(network, thresholds, int(known.max(initial=0)))


def _describe_edge(samples: Samples) -> np.ndarray:
    """What the penalty for the wrong side of the edge depends on, float32 (n, 4)."""
    edge = np.empty((len(samples), 4), np.float32)
    edge[:, 0] = (samples.estimate - _EDGE) / _EDGE_WIDTH
    edge[:, 1] = samples.spread / _EDGE_WIDTH
    edge[:, 2] = samples.truth >= _EDGE
    edge[:, 3] = _EDGE_WEIGHT
    return edge


def predict(network: Network, samples: Samples, is_two_sided: bool) -> np.ndarray:
    """Predictions of samples, percent, before the threshold is moved."""
    from seaice.gapfill.increments import _kernels as kernels

    features, outputs = np.ascontiguousarray(samples.features.T), np.zeros(len(samples), np.float32)
    kernels.evaluate(network, features, len(samples), False, outputs)
    if is_two_sided:
        kernels.evaluate(network, features, len(samples), True, outputs)
        outputs *= np.float32(0.5)
    return np.clip(samples.estimate + samples.spread * outputs, 0, 100)


def measure_gain(fitted: FittedNetwork, samples: Samples, is_two_sided: bool) -> float | None:
    """Change of the RMSE of held-out samples against the linear fill, percent; None without samples.

    Errors are taken relative to those of a random walk, so that long gaps do not outweigh all others.
    """
    days = samples.days
    selected = samples.select(np.flatnonzero(samples.is_held_out & (days <= fitted.longest)))
    if len(selected) < _FEWEST_SAMPLES // 10:
        return None
    prediction = predict(fitted.network, selected, is_two_sided)
    after, before = (
        np.mean(((values - selected.truth) / selected.spread) ** 2, dtype=np.float64)
        for values in (prediction, selected.estimate)
    )
    if before <= _LEAST_ERROR**2:  # where nothing changes from day to day there is nothing to gain
        return 0.0
    return round(100 * (float(np.sqrt(after / before)) - 1), 2)


def _fit_thresholds(network: Network, samples: Samples, is_two_sided: bool) -> np.ndarray:
    """By gap the percent above which as many predictions lie as there is ice on both ends on the mean.

    The ends know the extent better than the few days in between that were sampled: over a record what
    it gains and loses beside a straight line evens out. The thresholds lie on a straight line over the
    variance of a random walk within the gap: the less is known of a cell, the more a mean spreads the
    edge, and few days tell little of a single length of gaps.
    """
    prediction, ice = predict(network, samples, is_two_sided), _interpolate_ice(samples)
    variance = (samples.spread / 10) ** 2
    points = []
    for selected in _split_classes(variance):
        extent = round(ice[selected].sum())
        if 0 < extent < len(selected):
            threshold = np.sort(prediction[selected])[::-1][extent - 1]
            points.append((variance[selected].mean(), threshold, np.sqrt(len(selected))))
    walks = (_spread_by_code() / 10) ** 2
    if not points:
        return np.full(len(walks), _EDGE, np.float32)
    x, y, weights = np.array(points).T
    degree = min(1, len(points) - 1)
    line = np.polynomial.Polynomial.fit(x, y, degree, w=weights)
    return np.clip(line(walks), *_THRESHOLDS).astype(np.float32)


def _interpolate_ice(samples: Samples) -> np.ndarray:
    """Ice (1) or none (0) at both ends of the gap of each sample, linear in time, float64 (n,)."""
    from seaice.gapfill.increments._kernels import VALUE

    back, forward = np.divmod(samples.code.astype(np.float64), 10)
    # Features are departures from the estimate in tenths; half a step of a packed value is lost.
    ends = samples.estimate[:, None] + 10 * samples.features[:, VALUE : VALUE + 2]
    ice = ends >= _EDGE - 0.005
    return np.asarray((forward * ice[:, 0] + back * ice[:, 1]) / (back + forward))


def _split_classes(variance: np.ndarray) -> list[np.ndarray]:
    """Numbers of samples of like variance; all of one variance are in one class."""
    order = np.argsort(variance, kind="stable")
    cuts, first = [], 0
    ends = [*(np.flatnonzero(np.diff(variance[order])) + 1).tolist(), len(order)]
    for end in ends:
        if end - first >= _CLASS:
            cuts.append(end)
            first = end
    return [part for part in np.split(order, cuts[:-1] if cuts else []) if len(part)]
