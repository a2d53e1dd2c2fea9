"""How sharp and how right a retrieval is: known fine patterns, seen by the footprints of AMSR2.

Claim: at cells of 6.25 km the RMSE of the sharpened base is at most 0.6 of that of the ASI recipe. The
truth is a pattern of fine cells with edges and leads. Water and ice have temperatures that change over
50, 25 or 12.5 km: drawn from samples of the Round Robin Data Package of days that no tie point was
fitted to, or from the packaged tie points without them. The footprints are Gaussian, and every
measurement has its noise. Measured over claimed error, by the concentration found, says whether the
standard errors are honest.

  python benchmarks/sharpening.py
  python benchmarks/sharpening.py --input bremen_days --samples rrdp_developers_north.csv.gz
  python benchmarks/sharpening.py --hemisphere south --season summer --samples rrdp_south.csv.gz
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.retrieval import get_algorithm
from seaice.retrieval.algorithms.base import CHANNELS, retrieve_base
from seaice.retrieval.footprints import FOOTPRINTS, average_grid, compute_sigma
from seaice.retrieval.judging.sample_scores import WINTER_MONTHS
from seaice.retrieval.sharpen import NOISES
from seaice.retrieval.swath import (
    SMEARING,
    Concentration,
    FootprintName,
    compute_range,
    retrieve_gridded,
)
from seaice.retrieval.tie_points import Signatures, find_packaged_tie_points, is_fitted_day
from seaice.sources.bremen.reader import read_day
from seaice.sources.round_robin import read_samples

CELL, PARTS = 6.25, 4  # kilometres, fine cells along the side of a cell
FINE = CELL / PARTS
MARGIN = 16  # cells at the edges of a scene that are not judged
REQUIRED = 0.6
DAYS = {"winter": date(2020, 1, 15), "summer": date(2020, 7, 15)}
STEPS_OF = {"base, 20 km": 0, "step 2, 9 km": 1, "step 3, 4 km": 2}
# Of the concentration that is found.
CLASSES = ((-9, 0.05), (0.05, 0.15), (0.15, 0.5), (0.5, 0.85), (0.85, 0.95), (0.95, 9))

Temperatures = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Surfaces:
    """Samples of temperatures, kelvin (channels, samples)."""

    water: np.ndarray
    ice: np.ndarray


def read_patterns(folder: Path, size: int, scenes: int) -> list[np.ndarray]:
    """Squares of daily grids without missing cells, each with as much of an ice edge as a day has."""
    paths = sorted(folder.glob("*n6250*.nc"))
    patterns = []
    for path in paths:
        concentration = np.asarray(read_day(path)[0], np.float32) / 100
        is_between = (concentration > 0.05) & (concentration < 0.95)
        corners = [
            (is_between[i : i + size, j : j + size].sum(), i, j)
            for i in range(0, concentration.shape[0] - size, size // 4)
            for j in range(0, concentration.shape[1] - size, size // 4)
            if not np.isnan(concentration[i : i + size, j : j + size]).any()
        ]
        used: list[tuple[int, int]] = []
        for _, i, j in sorted(corners, reverse=True):
            if len(used) < -(-scenes // len(paths)) and all(
                max(abs(i - a), abs(j - b)) >= size for a, b in used
            ):
                used.append((i, j))
                patterns.append(concentration[i : i + size, j : j + size])
    return patterns[:scenes]


def invent_pattern(size: int, random: np.random.Generator) -> np.ndarray:
    """Concentration with an edge, a belt of broken ice along it, and polynyas."""

    def draw_field(width: float) -> np.ndarray:
        field = gaussian_filter(random.normal(size=(size, size)), width, mode="wrap")
        return np.asarray(field / field.std())

    edge = np.linspace(-3, 3, size)[:, None] + 0.7 * draw_field(size / 12) + 0.25 * draw_field(4)
    loose = np.clip(0.5 + 1.2 * edge + 0.3 * draw_field(2), 0, 1)
    polynyas = np.clip(2 * (draw_field(size / 20) - 2.2), 0, 1)
    return (loose * (1 - polynyas)).astype(np.float32)


def find_patterns(arguments: argparse.Namespace, random: np.random.Generator) -> list[np.ndarray]:
    """Patterns of the files, or invented ones."""
    if arguments.input is None:
        return [invent_pattern(arguments.size, random) for _ in range(arguments.scenes)]
    return read_patterns(arguments.input, arguments.size, arguments.scenes)


def add_leads(pattern: np.ndarray, random: np.random.Generator, count: int = 40) -> np.ndarray:
    """Refine a pattern and open leads of 1.5 to 6 km in it, with new ice or none."""
    fine = np.clip(zoom(pattern, PARTS, order=1, grid_mode=True, mode="nearest"), 0, 1)
    rows, columns = np.indices(fine.shape)
    for _ in range(count):
        row, column = random.uniform(0, fine.shape[0], 2)
        angle, length = random.uniform(0, np.pi), random.uniform(20, 100) / FINE
        along = (rows - row) * np.sin(angle) + (columns - column) * np.cos(angle)
        across = (rows - row) * np.cos(angle) - (columns - column) * np.sin(angle)
        inside = (abs(along) < length / 2) & (abs(across) < random.uniform(1.5, 6) / FINE / 2)
        fine[inside] *= random.uniform(0, 0.4)
    return np.asarray(fine, np.float32)


def draw_surface(
    samples: np.ndarray, shape: tuple[int, int], distance: float, random: np.random.Generator
) -> np.ndarray:
    """Temperatures that change from sample to sample over a distance, with the samples' covariance."""
    mean = samples.mean(axis=1, keepdims=True)
    step = distance / FINE
    nodes = int(np.ceil(max(shape) / step)) + 2
    departures = (samples - mean)[:, random.integers(samples.shape[1], size=(nodes, nodes))]
    places = [(np.arange(n) + random.uniform(0, step)) / step for n in shape]
    first = [p.astype(int) for p in places]
    weights = [np.stack([1 - (p - i), p - i]) for p, i in zip(places, first, strict=True)]
    field = np.zeros((len(samples), *shape), np.float32)
    squares = np.zeros(shape)
    for down in range(2):
        for right in range(2):
            weight = np.outer(weights[0][down], weights[1][right])
            field += weight * departures[:, (first[0] + down)[:, None], first[1] + right]
            squares += weight**2
    return mean[:, :, None] + field / np.sqrt(squares)


def observe(
    truth: np.ndarray, surfaces: Surfaces, distance: float, random: np.random.Generator
) -> Temperatures:
    """Temperatures of cells as the footprints see them, with the noise of the receivers."""
    water = draw_surface(surfaces.water, truth.shape, distance, random)
    ice = draw_surface(surfaces.ice, truth.shape, distance, random)
    kelvin = {}
    for number, channel in enumerate(CHANNELS):
        scene = water[number] + truth * (ice[number] - water[number])
        blurred = gaussian_filter(scene, compute_sigma(0, FOOTPRINTS[channel[:-1]]) / FINE, truncate=3)
        middle = PARTS // 2
        sampled = blurred.reshape(len(truth) // PARTS, PARTS, -1, PARTS)[
            :, middle - 1 : middle + 1, :, middle - 1 : middle + 1
        ].mean((1, 3))
        noise = NOISES[channel[:-1]] * random.normal(size=sampled.shape)
        kelvin[channel] = (sampled + noise).astype(np.float32)
    return kelvin


def retrieve_additively(kelvin: Temperatures, signatures: Signatures) -> np.ndarray:
    """Base of six channels, with what 36.5 and 89 GHz add that is finer than 20 km."""
    base = retrieve_gridded(kelvin, CELL, signatures, algorithm=get_algorithm("base_6"), footprint="20")
    sigma = compute_sigma(FOOTPRINTS["89"], FOOTPRINTS["36.5"]) / CELL
    sharp = {
        c: kelvin[c] if c[:2] == "36" else average_grid(kelvin[c], sigma=sigma) for c in CHANNELS[4:]
    }
    fine = retrieve_base(sharp, signatures, channels=CHANNELS[4:]).concentration
    coarser = average_grid(fine, sigma=compute_sigma(FOOTPRINTS["36.5"], FOOTPRINTS["23.8"]) / CELL)
    is_water = base.status & 1 > 0
    return np.where(is_water, 0, np.clip(base.concentration + fine - coarser, 0, 1))


def filter_result(result: Concentration) -> np.ndarray:
    """Concentration as in a file: clipped, 0 where the filter finds open water."""
    return np.where(result.status & 1 > 0, 0, np.clip(result.concentration, 0, 1))


def make_retrievals(
    signatures: Signatures,
) -> dict[str, Callable[[Temperatures], Concentration | np.ndarray]]:
    """The retrievals that are compared, the ASI recipe first."""

    def retrieve(name: str, footprint: FootprintName) -> Callable[[Temperatures], Concentration]:
        return lambda kelvin: retrieve_gridded(
            kelvin, CELL, signatures, algorithm=get_algorithm(name), footprint=footprint
        )

    return {
        "ASI with its filters": retrieve("asi", "4"),
        "hybrid": retrieve("hybrid", "20"),
        "base, 20 km": retrieve("base", "20"),
        "base, additive": lambda kelvin: retrieve_additively(kelvin, signatures),
        "step 2, 9 km": retrieve("base", "9"),
        "step 3, 4 km": retrieve("base", "4"),
    }


def coarsen(values: np.ndarray, factor: int) -> np.ndarray:
    """Means of squares of cells."""
    rows, columns = (size // factor * factor for size in values.shape)
    return values[:rows, :columns].reshape(rows // factor, factor, -1, factor).mean((1, 3))


def judge(found: np.ndarray, truth: np.ndarray) -> list[float]:
    """RMSE of cells of 6.25, then 12.5 km: all, 5 to 95 percent; the share on the wrong side of 15."""
    figures = []
    for factor in (1, 2):
        error, known = coarsen(found, factor) - coarsen(truth, factor), coarsen(truth, factor)
        between = (known > 0.05) & (known < 0.95)
        figures += [100 * np.sqrt(np.mean(error**2)), 100 * np.sqrt(np.mean(error[between] ** 2))]
    return [*figures, 100 * float(np.mean((found > 0.15) != (truth > 0.15)))]


@dataclass
class Calibration:
    """Errors, claimed errors without smearing, ranges of neighbours and concentrations of cells."""

    errors: list[np.ndarray]
    claimed: list[np.ndarray]
    ranges: list[np.ndarray]
    found: list[np.ndarray]

    def add(self, result: Concentration, truth: np.ndarray, steps: int) -> None:
        """Take in the cells of a scene away from its edges."""
        spread = compute_range(result.concentration)
        squares = result.standard_error**2 - (SMEARING[steps] * spread) ** 2
        for values, part in (
            (self.errors, result.concentration - truth),
            (self.claimed, np.sqrt(squares)),
            (self.ranges, spread),
            (self.found, result.concentration),
        ):
            values.append(cut_margin(part))

    def measure(self, smearing: float) -> list[float]:
        """Measured over claimed error of every class of concentration."""
        errors, claimed, ranges, found = (
            np.concatenate([p.ravel() for p in part])
            for part in (self.errors, self.claimed, self.ranges, self.found)
        )
        squares = claimed**2 + (smearing * ranges) ** 2
        classes = [(found > low) & (found <= high) for low, high in CLASSES]
        return [float(np.sqrt(np.mean(errors[c] ** 2) / np.mean(squares[c]))) for c in classes]

    def fit(self) -> float:
        """Smearing with which the ratios of all classes are nearest to 1."""
        tried = np.arange(0, 0.81, 0.02)
        worst = [np.abs(np.log(self.measure(smearing))).max() for smearing in tried]
        return float(tried[int(np.argmin(worst))])


def cut_margin(values: np.ndarray) -> np.ndarray:
    """The inner part of a scene."""
    return values[MARGIN:-MARGIN, MARGIN:-MARGIN]


def read_surfaces(arguments: argparse.Namespace, signatures: Signatures) -> Surfaces:
    """Samples that no tie point was fitted to; without a file normal ones of the tie points."""
    if arguments.samples is None:
        random = np.random.default_rng(arguments.seed)
        return Surfaces(
            *(
                random.multivariate_normal(part.mean, part.covariance, 2000).T
                for part in (signatures.water, signatures.ice)
            )
        )
    samples = read_samples(arguments.samples)
    is_winter = np.isin(samples.month, WINTER_MONTHS[arguments.hemisphere])
    kelvin = samples.stack(CHANNELS)
    usable = (samples.sensor == "AMSR2") & ~is_fitted_day(samples.day) & ~np.isnan(kelvin).any(0)
    ice = usable & (samples.concentration == 1) & (is_winter == (arguments.season == "winter"))
    return Surfaces(kelvin[:, usable & (samples.concentration == 0)], kelvin[:, ice])


def parse(words: list[str] | None, description: str | None = __doc__) -> argparse.Namespace:
    """Read the options that say where patterns and signatures come from."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--input", type=Path, help="folder of Bremen grids of 6.25 km; else patterns are invented"
    )
    parser.add_argument(
        "--samples", type=Path, help="CSV of round robin samples; else the packaged tie points"
    )
    parser.add_argument("--hemisphere", choices=("north", "south"), default="north")
    parser.add_argument("--season", choices=("winter", "summer"), default="winter")
    parser.add_argument("--distances", type=float, nargs="+", default=[50.0, 25.0, 12.5], metavar="KM")
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--size", type=int, default=128, help="cells along the side of a scene")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Print the tables; 1 if the sharpened base is not sharp enough."""
    arguments = parse(words)
    points = find_packaged_tie_points("AMSR2", arguments.hemisphere)
    signatures = points.choose(
        DAYS[
            "winter" if (arguments.season == "winter") == (arguments.hemisphere == "north") else "summer"
        ]
    ).select(CHANNELS)
    random = np.random.default_rng(arguments.seed)
    surfaces = read_surfaces(arguments, signatures)
    fines = [add_leads(pattern, random) for pattern in find_patterns(arguments, random)]
    ratios = [compare(fines, surfaces, signatures, d, random) for d in arguments.distances]
    print(f"\nStep 3 over ASI: {np.mean(ratios):.2f}, at most {REQUIRED} required")
    return 0 if np.mean(ratios) <= REQUIRED else 1


def compare(
    fines: list[np.ndarray],
    surfaces: Surfaces,
    signatures: Signatures,
    distance: float,
    random: np.random.Generator,
) -> float:
    """Print the table of one distance, and return the RMSE of step 3 over that of ASI."""
    retrievals = make_retrievals(signatures)
    scores: dict[str, list[list[float]]] = {name: [] for name in retrievals}
    calibrations = {name: Calibration([], [], [], []) for name in STEPS_OF}
    for fine in fines:
        truth = coarsen(fine, PARTS)
        kelvin = observe(fine, surfaces, distance, random)
        for name, retrieve in retrievals.items():
            result = retrieve(kelvin)
            values = result if isinstance(result, np.ndarray) else filter_result(result)
            scores[name].append(judge(cut_margin(values), cut_margin(truth)))
            if name in STEPS_OF and isinstance(result, Concentration):
                calibrations[name].add(result, truth, STEPS_OF[name])
    means = {name: np.sqrt(np.mean(np.square(part), axis=0)) for name, part in scores.items()}
    print(f"\nSignatures change over {distance:g} km; RMSE in percent, of 5 to 95 percent in brackets")
    for name, (every, mixed, every_double, mixed_double, wrong) in means.items():
        print(
            f"{name:22} 6.25 km {every:5.2f} ({mixed:5.2f})  12.5 km {every_double:5.2f} "
            f"({mixed_double:5.2f})  wrong side of 15: {wrong:.2f} %"
        )
    first, *_, last = means.values()
    print(f"step 3 over ASI: {last[0] / first[0]:.2f}")
    for name, calibration in calibrations.items():
        for remark, smearing in (("used", SMEARING[STEPS_OF[name]]), ("best", calibration.fit())):
            ratios = " ".join(f"{ratio:.2f}" for ratio in calibration.measure(smearing))
            print(f"{name:22} measured over claimed error, smearing {smearing:.2f} ({remark}): {ratios}")
    return float(last[0] / first[0])


if __name__ == "__main__":
    raise SystemExit(main())
