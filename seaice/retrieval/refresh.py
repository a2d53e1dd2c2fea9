"""Stage: bring tie points up to date by the swaths themselves.

A sensor drifts and winters differ. Water is taken far from any ice, ice deep in the pack; their means
replace those of the tie points one starts with, whose covariances are kept: that is nearly as good as
fitting both anew (Lavergne et al. 2019, doi:10.5194/tc-13-49-2019, do so every day).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.gridding import BucketAccumulator, locate_cells
from seaice.grids import Grid, get_grid
from seaice.report import Progress, Report
from seaice.retrieval import DEFAULT, get_algorithm
from seaice.retrieval.bands import (
    choose_band,
    find_scans,
    list_frequencies,
    match_bands,
    read_bands,
    share_land,
)
from seaice.retrieval.days.inputs import find_inputs, list_swath_channels, name_source
from seaice.retrieval.tie_points import (
    LEAST_SAMPLES,
    Hemisphere,
    Signature,
    TiePoints,
    find_packaged_tie_points,
    read_tie_points,
)
from seaice.runtime.atomic_write import atomic
from seaice.runtime.output_kinds import FileKind, check_replaceable
from seaice.sources.amsr2.swath import UNKNOWN, Swath
from seaice.swaths.archive import describe_failure
from seaice.swaths.find import OpenArchives, SwathLocation

logger = logging.getLogger(__name__)

# Kilometres from ice that water keeps, from the edge of the pack that ice keeps, and both from land.
WATER_MARGIN, ICE_MARGIN, LAND_MARGIN = 150.0, 100.0, 100.0
LOWEST_LATITUDE = 50.0
_GRIDS = {"north": "ease2n25000", "south": "ease2s25000"}
# Mean concentration of a cell of 25 km that has ice; and of one in the pack, and of all around it.
_SOME_ICE, _PACK = 0.10, 0.95
_MOST_SAMPLES = 3000
_PIXELS_OF_A_SWATH = 20_000


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Pixels of swaths: their cells, temperatures (channels, pixels) and day numbers."""

    cells: np.ndarray
    kelvin: np.ndarray
    days: np.ndarray


@dataclass(frozen=True)
class _Origin:
    """Whose temperatures swaths hold."""

    sensor: str
    product: str

    @classmethod
    def of(cls, swath: Swath, points: TiePoints) -> _Origin:
        """Those of a swath; what it does not say is taken from tie points."""
        product = f"JAXA L1 version {swath.product_version}"
        return cls(
            points.sensor if swath.sensor == UNKNOWN else swath.sensor,
            points.product if swath.product_version == UNKNOWN else product,
        )


def refresh_tie_points(
    *,
    input: Sequence[Path],
    hemisphere: Hemisphere,
    output_file: Path,
    tie_points: Path | None = None,
    start_date: date | None = None,
    end_date: date | None = None,
    swaths: int = 60,
    seed: int = 0,
) -> Report:
    """Bring the means of tie points up to date by swaths, covariances kept.

    Parameters
    ----------
    input : sequence of Path
        Archives, granules or folders of them.
    hemisphere : {"north", "south"}
    output_file : Path
        JSON file, for ``--tie_points``.
    tie_points : Path, optional
        File to start with; by default those of the package for AMSR2. What is written belongs to the
        sensor and the product of the swaths, which may be others: so tie points of a new sensor or
        version begin.
    start_date, end_date : date, optional
        UTC days; some weeks are best.
    swaths : int
        So many of them are read at most, spread over the days.
    seed : int
        Of the choice of swaths and pixels.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If less than 100 pixels of a surface are far enough from the other: keep the tie points then.
    """
    if output_file.suffix != ".json":
        raise InputError(f"--output_file: expected an ending of .json, found {output_file}")
    check_replaceable(output_file, FileKind("a JSON file", frozenset({"format", "ice_by_month"})))
    points = (
        find_packaged_tie_points("AMSR2", hemisphere)
        if tie_points is None
        else read_tie_points(tie_points)
    )
    if points.hemisphere != hemisphere:
        raise InputError(
            f"expected tie points of the {hemisphere}, found those of the {points.hemisphere}"
        )
    archives, report = OpenArchives(), Report()
    try:
        locations = _choose_swaths(input, archives, start_date, end_date, swaths, seed, report)
        grid = get_grid(_GRIDS[hemisphere])
        pixels, ice_map, origin = _read_pixels(locations, archives, points, grid, seed, report)
    finally:
        archives.close()
    refreshed, counts = _refresh(points, pixels, ice_map, grid, seed)
    refreshed = replace(refreshed, sensor=origin.sensor, product=origin.product)
    with atomic(output_file) as part:
        part.write_text(refreshed.to_json(), encoding="utf-8")
    report.outputs.append(output_file)
    report.values = dict(refreshed.origin)
    for surface, (count, shift) in counts.items():
        report.lines.append(
            f"{output_file}: {surface}: {count} pixels, means moved by {shift.min():+.1f} to "
            f"{shift.max():+.1f} K"
        )
    return report


def _choose_swaths(
    paths: Sequence[Path],
    archives: OpenArchives,
    start: date | None,
    end: date | None,
    most: int,
    seed: int,
    report: Report,
) -> list[tuple[SwathLocation, list[str]]]:
    """Swaths to read, with their channels."""
    algorithm = get_algorithm(DEFAULT)
    inputs = find_inputs(paths, [algorithm], archives, start=start, end=end)
    if inputs.are_gridded:
        raise InputError("expected swaths, found gridded temperatures: tie points are those of swaths")
    report.left_out += inputs.problems
    listed = list(dict.fromkeys(source for sources in inputs.by_day.values() for source in sources))
    if not listed:
        raise InputError("expected swaths of the days asked for, found none in the input")
    numbers = np.random.default_rng(seed).permutation(len(listed))[:most]
    channels = list_swath_channels([algorithm], inputs.level)
    return [
        (source, channels) for k in sorted(numbers) if isinstance(source := listed[k], SwathLocation)
    ]


def _read_pixels(
    locations: Sequence[tuple[SwathLocation, list[str]]],
    archives: OpenArchives,
    points: TiePoints,
    grid: Grid,
    seed: int,
    report: Report,
) -> tuple[_Pixels, np.ndarray, _Origin]:
    """Pixels of all swaths, the mean concentration of the cells (NaN: unseen), and whose they are."""
    sums, parts = BucketAccumulator(grid), []
    origins: dict[_Origin, Path] = {}
    with Progress(total=len(locations), label="swaths", logger=logger) as progress:
        for number, (location, channels) in enumerate(locations):
            try:
                swath = archives.read(location, channels)
                origins[_Origin.of(swath, points)] = location.path
                parts.append(_read_swath(swath, points, grid, sums, [seed, number]))
                progress.unit(f"{name_source(location)}: {parts[-1].cells.size} pixels")
            except Exception as error:
                report.left_out.append(describe_failure(location.path, error))
    if not parts:
        raise InputError(f"expected swaths that can be read, found none: {report.left_out[-1]}")
    if len(origins) > 1:
        listed = "; ".join(f"{o.sensor}, {o.product}: {path}" for o, path in origins.items())
        raise InputError(f"expected swaths of one sensor and product, found {listed}")
    joined = _Pixels(
        np.concatenate([part.cells for part in parts]),
        np.concatenate([part.kelvin for part in parts], axis=1),
        np.concatenate([part.days for part in parts]),
    )
    return joined, sums.get_buckets().make_field("mean"), next(iter(origins))


def _read_swath(
    swath: Swath, points: TiePoints, grid: Grid, sums: BucketAccumulator, seed: Sequence[int]
) -> _Pixels:
    """Pixels far from land of a swath; its concentration is added to the sums."""
    algorithm = get_algorithm(DEFAULT)
    assert swath.start_time is not None
    scans = find_scans(swath, points.hemisphere)
    bands = read_bands(swath, scans, share_land, False)
    target = choose_band(bands[algorithm.frequency], 0)
    frequencies = [f for f in list_frequencies(points.channels) if f in bands]
    kelvin, _ = match_bands(bands, frequencies, target)
    signatures = points.choose(swath.start_time.date())
    concentration = algorithm.retrieve(kelvin, signatures).concentration
    latitude, longitude = target.latitude, target.longitude
    sign = 1 if points.hemisphere == "north" else -1
    with np.errstate(invalid="ignore"):
        is_usable = np.isfinite(concentration) & (sign * latitude >= LOWEST_LATITUDE)
    cells = locate_cells(latitude, longitude, grid).reshape(latitude.shape)
    is_usable &= cells >= 0
    sums.add_cells(np.where(is_usable, cells, -1).ravel(), concentration.ravel())
    is_usable &= share_land(latitude, longitude, 2 * LAND_MARGIN) <= 0
    numbers = np.flatnonzero(is_usable)
    if numbers.size > _PIXELS_OF_A_SWATH:
        numbers = np.random.default_rng(seed).choice(numbers, _PIXELS_OF_A_SWATH, replace=False)
    stacked = np.full((len(points.channels), numbers.size), np.nan, np.float32)
    for row, channel in enumerate(points.channels):
        if channel in kelvin:
            stacked[row] = kelvin[channel].ravel()[numbers]
    day = swath.start_time.date().toordinal()
    return _Pixels(cells.ravel()[numbers], stacked, np.full(numbers.size, day))


def _refresh(
    points: TiePoints, pixels: _Pixels, ice_map: np.ndarray, grid: Grid, seed: int
) -> tuple[TiePoints, dict[str, tuple[int, np.ndarray]]]:
    """Tie points with means of the pixels; numbers of pixels and shifts by surface."""
    from scipy.ndimage import maximum_filter, uniform_filter

    def reach(kilometres: float) -> int:
        return 2 * round(kilometres / grid.kilometres) + 1

    ice = np.nan_to_num(ice_map, nan=0.0)
    around = uniform_filter(ice, reach(ICE_MARGIN))
    surfaces = {
        "water": maximum_filter(ice, reach(WATER_MARGIN)) < _SOME_ICE,
        "ice": (around > _PACK) & (ice > _PACK),
    }
    rng, shifts, origin = np.random.default_rng(seed), {}, dict(points.origin)
    counts: dict[str, tuple[int, np.ndarray]] = {}
    for surface, is_far in surfaces.items():
        numbers = np.flatnonzero(is_far.ravel()[pixels.cells])
        if numbers.size < LEAST_SAMPLES:
            raise InputError(
                f"expected at least {LEAST_SAMPLES} pixels of {surface} far from the other and from "
                f"land, found {numbers.size}: give more days, or keep the tie points"
            )
        if numbers.size > _MOST_SAMPLES:
            numbers = rng.choice(numbers, _MOST_SAMPLES, replace=False)
        shifts[surface] = _find_shift(points, surface, pixels.kelvin[:, numbers], pixels.days[numbers])
        counts[surface] = numbers.size, shifts[surface]
        origin[f"{surface}_refreshed"] = {
            "pixels": int(numbers.size),
            "first_day": str(date.fromordinal(int(pixels.days[numbers].min()))),
            "last_day": str(date.fromordinal(int(pixels.days[numbers].max()))),
        }

    def move(signature: Signature, surface: str) -> Signature:
        return Signature(signature.mean + shifts[surface], signature.covariance)

    months = tuple(move(month, "ice") for month in points.ice)
    return replace(points, water=move(points.water, "water"), ice=months, origin=origin), counts


def _find_shift(points: TiePoints, surface: str, kelvin: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Mean of pixels less that of the tie points on their days; 0 of channels that are absent."""
    expected = np.empty_like(kelvin)
    for day in np.unique(days):
        signature: Signature = getattr(points.choose(date.fromordinal(int(day))), surface)
        expected[:, days == day] = signature.mean[:, None]
    shifts = (kelvin - expected).astype(np.float64)
    is_absent = np.isnan(shifts).all(axis=1)
    shifts[is_absent] = 0
    return np.asarray(np.nanmean(shifts, axis=1))
