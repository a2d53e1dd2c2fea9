"""Concentration at the pixels of swaths, then gridded, against that of gridded temperatures.

Known fine patterns are seen in several passes, whose pixels lie otherwise each time: 10 km apart, at
89 GHz 5 km along the scan. The ice stays as it is, weather over water is another in every pass. Either
each pass is retrieved and the concentrations are gridded, or the temperatures of all passes are gridded
and retrieved at once. Both grids have the same weights of neighbours. Printed is the RMSE of both in
percent at cells of 6.25 km, by the number of passes and the distance over which signatures change.

  python benchmarks/swath_or_grid.py
  python benchmarks/swath_or_grid.py --input bremen_days --samples rrdp_developers_north.csv.gz
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
sys.path.insert(0, str(ROOT))

import sharpening

from seaice.retrieval import get_algorithm
from seaice.retrieval.algorithms.base import CHANNELS
from seaice.retrieval.footprints import FOOTPRINTS, compute_sigma
from seaice.retrieval.sharpen import NOISES
from seaice.retrieval.swath import retrieve_gridded, retrieve_swath
from seaice.retrieval.tie_points import TiePoints, find_packaged_tie_points
from seaice.sources.amsr2.swath import Positions, Swath

PASSES = (1, 2, 4)
FREQUENCIES = ("18.7", "23.8", "36.5", "89A")
MIDDLE, KILOMETRES = 75.0, 111.2  # degrees north, of a degree
REACH, SIGMA, NEIGHBOURS = 9.0, 3.5, 12  # kilometres of the weights with which points are gridded


def place_pixels(size: float, frequency: str, angle: float, offset: np.ndarray) -> np.ndarray:
    """Kilometres right and up of the pixels of a pass, shape (2, scans, pixels)."""
    count = int(size * 1.5 / 10)
    along = (np.arange(count * (2 if frequency == "89A" else 1)) - count) * 10.0
    along = along / 2 + count * 2.5 if frequency == "89A" else along + count * 5
    scan, pixel = np.meshgrid((np.arange(count) - count / 2) * 10.0, along, indexing="ij")
    pixel = pixel - pixel.mean()
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.tensordot(turn, np.stack([pixel, scan]), 1) + size / 2 + offset[:, None, None]


def observe_pass(
    truth: np.ndarray,
    water: np.ndarray,
    ice: np.ndarray,
    random: np.random.Generator,
) -> tuple[Swath, dict[str, np.ndarray]]:
    """One pass as a swath, and where its pixels lie; pixels outside the scene are missing."""
    size = len(truth) * sharpening.FINE
    angle, offset = random.uniform(0, np.pi), random.uniform(-5, 5, 2)
    points = {f: place_pixels(size, f, angle, offset) for f in FREQUENCIES}
    kelvin, positions = {}, {}
    for frequency, (right, up) in points.items():
        latitude = MIDDLE + (up - size / 2) / KILOMETRES
        longitude = (right - size / 2) / KILOMETRES / np.cos(np.radians(latitude))
        positions[frequency] = Positions(latitude.astype(np.float32), longitude.astype(np.float32))
    for number, channel in enumerate(CHANNELS):
        ghz, name = channel[:-1], channel.replace("89", "89A")
        scene = water[number] + truth * (ice[number] - water[number])
        blurred = gaussian_filter(scene, compute_sigma(0, FOOTPRINTS[ghz]) / sharpening.FINE, truncate=3)
        right, up = points[name[:-1]] / sharpening.FINE - 0.5
        sampled = map_coordinates(blurred, [up, right], order=1, cval=np.nan)
        kelvin[name] = (sampled + NOISES[ghz] * random.normal(size=sampled.shape)).astype(np.float32)
    times = 1579046400.0 + 1.5 * np.arange(len(kelvin["36.5V"]))
    return Swath(kelvin, {}, positions, times), points


def grid_points(points: np.ndarray, values: np.ndarray, cells: int) -> np.ndarray:
    """Mean of the points near the middle of each cell, nearer ones with more weight."""
    is_value = np.isfinite(values)
    middles = (np.arange(cells) + 0.5) * sharpening.CELL
    up, right = np.meshgrid(middles, middles, indexing="ij")
    tree = cKDTree(points[:, is_value].T)
    distance, number = tree.query(
        np.stack([right.ravel(), up.ravel()], 1), NEIGHBOURS, distance_upper_bound=REACH
    )
    weight = np.where(np.isfinite(distance), np.exp(-((distance / SIGMA) ** 2) / 2), 0)
    padded = np.append(values[is_value], 0)
    with np.errstate(invalid="ignore"):
        return np.asarray((weight * padded[number]).sum(1) / weight.sum(1)).reshape(cells, cells)


def average_passes(
    passes: Sequence[tuple[Swath, Mapping[str, np.ndarray]]], name: str, cells: int
) -> np.ndarray:
    """Temperatures of all passes on the grid."""
    gridded = [grid_points(points[name[:-1]], swath.kelvin(name), cells) for swath, points in passes]
    return np.nanmean(gridded, axis=0).astype(np.float32)


def compare(
    fine: np.ndarray,
    surfaces: sharpening.Surfaces,
    tie_points: TiePoints,
    distance: float,
    random: np.random.Generator,
) -> dict[int, tuple[float, float]]:
    """Square errors of both ways by the number of passes."""
    truth = sharpening.coarsen(fine, sharpening.PARTS)
    cells, base = len(truth), get_algorithm("base")
    signatures = tie_points.choose(sharpening.DAYS["winter"])
    ice = sharpening.draw_surface(surfaces.ice, fine.shape, distance, random)
    passes, results = [], []
    for _ in range(max(PASSES)):
        water = sharpening.draw_surface(surfaces.water, fine.shape, distance, random)
        swath, points = observe_pass(fine, water, ice, random)
        result = retrieve_swath(
            swath, tie_points, algorithm=base, land_share=lambda north, _, size: np.zeros_like(north)
        )
        passes.append((swath, points))
        results.append(grid_points(points["89A"], result.concentration, cells))
    errors = {}
    for count in PASSES:
        kelvin = {c: average_passes(passes[:count], c.replace("89", "89A"), cells) for c in CHANNELS}
        at_once = retrieve_gridded(kelvin, sharpening.CELL, signatures, algorithm=base).concentration
        by_pass = np.nanmean(results[:count], axis=0)
        apart = [sharpening.cut_margin(np.clip(v, 0, 1) - truth) for v in (by_pass, at_once)]
        errors[count] = (float(np.nanmean(apart[0] ** 2)), float(np.nanmean(apart[1] ** 2)))
    return errors


def main(words: list[str] | None = None) -> int:
    """Print both errors."""
    arguments = sharpening.parse(words, __doc__)
    tie_points = find_packaged_tie_points("AMSR2", arguments.hemisphere)
    signatures = tie_points.choose(sharpening.DAYS["winter"]).select(CHANNELS)
    random = np.random.default_rng(arguments.seed)
    surfaces = sharpening.read_surfaces(arguments, signatures)
    fines = [sharpening.add_leads(p, random) for p in sharpening.find_patterns(arguments, random)]
    for distance in arguments.distances:
        scenes = [compare(fine, surfaces, tie_points, distance, random) for fine in fines]
        for count in PASSES:
            swath, grid = (100 * np.sqrt(np.mean([s[count][way] for s in scenes])) for way in (0, 1))
            print(
                f"signatures over {distance:4g} km, {count} passes: swaths retrieved, then gridded "
                f"{swath:.2f} %, temperatures gridded, then retrieved {grid:.2f} %"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
