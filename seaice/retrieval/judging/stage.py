"""Stage: judge algorithms on samples of known concentration."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from seaice import InputError
from seaice.report import Report, add_picture
from seaice.retrieval import DEFAULT, get_algorithm
from seaice.retrieval.judging.sample_scores import (
    MIXTURES,
    SEASONS,
    SampleScores,
    score_samples,
    select_samples,
)
from seaice.retrieval.tie_points import Hemisphere, find_packaged_tie_points, read_tie_points
from seaice.runtime.atomic_write import atomic
from seaice.runtime.output_kinds import FileKind, check_replaceable
from seaice.sources.round_robin import read_samples

logger = logging.getLogger(__name__)


def evaluate_algorithms(
    *,
    samples: Path,
    sensor: str,
    hemisphere: Hemisphere,
    output_file: Path,
    algorithm: Sequence[str] = (DEFAULT,),
    tie_points: Path | None = None,
    held_out: bool = False,
    picture_file: Path | None = None,
    seed: int = 0,
) -> Report:
    """Judge algorithms on samples of known concentration.

    Parameters
    ----------
    samples : Path
        CSV file, see :func:`seaice.sources.round_robin.read_samples`.
    sensor : str
        Samples of this sensor are taken, such as ``AMSR2``.
    hemisphere : {"north", "south"}
        Samples of this hemisphere are taken.
    output_file : Path
        JSON file: a list of objects with the fields of :class:`SampleScores`.
    algorithm : sequence of str
        Names of :data:`seaice.retrieval.ALGORITHMS`.
    tie_points : Path, optional
        File of ``retrieve_concentration.py fit``; those of the package by default. Of the other
        hemisphere they are used half a year apart.
    held_out : bool
        Leave out the days that the tie points of the package were fitted to: three of four.
    picture_file : Path, optional
        Picture of the scores.
    seed : int
        Of the pairs of samples that are mixed.

    Returns
    -------
    Report
        ``values``: the scores by algorithm and season.

    Raises
    ------
    InputError
        If there are no samples, or the tie points are of another sensor.
    """
    algorithms = [get_algorithm(name) for name in dict.fromkeys(algorithm)]
    if output_file.suffix != ".json":
        raise InputError(f"--output_file: expected an ending of .json, found {output_file}")
    check_replaceable(output_file, FileKind("a JSON file", frozenset(SampleScores.__annotations__)))
    if picture_file is not None:
        check_replaceable(picture_file, FileKind("a PNG picture"))
    points = (
        find_packaged_tie_points(sensor, hemisphere)
        if tie_points is None
        else read_tie_points(tie_points)
    )
    if points.sensor != sensor:
        raise InputError(
            f"expected tie points of {sensor}, found those of {points.sensor}, "
            f"{tie_points or 'of the package: sensors are named as there'}"
        )
    if points.hemisphere != hemisphere:
        logger.warning("tie points of the %s, used half a year apart", points.hemisphere)
    selected = select_samples(
        read_samples(samples), sensor, hemisphere, held_out=held_out, source=samples
    )
    scores = [
        score_samples(method, selected, points, hemisphere=hemisphere, season=season, seed=seed)
        for method in algorithms
        for season in SEASONS
    ]
    with atomic(output_file) as part:
        part.write_text(json.dumps([asdict(row) for row in scores], indent=1) + "\n", encoding="utf-8")
    report = Report(lines=format_scores(scores), outputs=[output_file])
    report.values = {f"{row.algorithm} {row.season}": asdict(row) for row in scores}
    if picture_file is not None:
        from seaice.retrieval.judging.picture import draw_sample_scores

        with add_picture(report, picture_file, is_asked=True):
            draw_sample_scores(scores, picture_file)
    return report


_COLUMNS: tuple[tuple[str, Callable[[SampleScores], object]], ...] = (
    ("algorithm", lambda row: row.algorithm),
    ("season", lambda row: row.season),
    ("water", lambda row: row.samples_0),
    ("ice", lambda row: row.samples_1),
    ("bias 0", lambda row: row.bias_0),
    ("std 0", lambda row: row.std_0),
    ("bias 1", lambda row: row.bias_1),
    ("std 1", lambda row: row.std_1),
    ("water > 15", lambda row: row.water_above_15),
    ("filtered", lambda row: row.water_after_filter),
    ("ice < 85", lambda row: row.ice_below_85),
    *((f"rmse {p}", lambda row, p=p: getattr(row, f"rmse_{p}")) for p in MIXTURES),
    ("cut 15", lambda row: row.cut_15),
    ("in 1 s", lambda row: row.within_1_sigma_0),
    ("in 1 s ice", lambda row: row.within_1_sigma_1),
)


def format_scores(scores: Sequence[SampleScores]) -> list[str]:
    """Format scores as the lines of a table, percent."""
    rows = [[title for title, _ in _COLUMNS]]
    rows += [[_format_value(value(row)) for _, value in _COLUMNS] for row in scores]
    widths = [max(len(row[k]) for row in rows) for k in range(len(_COLUMNS))]
    return [
        "  ".join(
            text.ljust(width) if k < 2 else text.rjust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _format_value(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
