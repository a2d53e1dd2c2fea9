"""Stage: fit tie points to samples of known concentration."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.report import Report
from seaice.retrieval.judging.sample_scores import select_samples
from seaice.retrieval.tie_points import (
    HEMISPHERES,
    LEAST_SAMPLES,
    Hemisphere,
    fit_tie_points,
    is_fitted_day,
)
from seaice.runtime.atomic_write import atomic
from seaice.runtime.output_kinds import FileKind, check_replaceable
from seaice.sources.round_robin import RoundRobinSamples, join_samples, read_samples

logger = logging.getLogger(__name__)


def fit_tie_point_file(
    *,
    samples: Sequence[Path],
    sensor: str,
    product: str,
    hemisphere: Hemisphere,
    output_file: Path,
    source: str = "",
    all_days: bool = False,
) -> Report:
    """Fit tie points to samples of known concentration.

    Parameters
    ----------
    samples : sequence of Path
        CSV files, see :func:`seaice.sources.round_robin.read_samples`.
    sensor : str
        Samples of this sensor are taken, such as ``AMSR2``.
    product : str
        Whose temperatures they are, such as ``JAXA L1 version 2``.
    hemisphere : {"north", "south"}
        Samples of this hemisphere are taken. Where it has less than 100 of ice, those of the other
        hemisphere are, half a year apart.
    output_file : Path
        JSON file, for ``--tie_points``.
    source : str
        Where the samples come from, kept in the file.
    all_days : bool
        Use all days. By default every fourth is left out, so that
        ``retrieve_concentration.py evaluate --held_out`` can judge the fit.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If there are less than 100 samples of a surface.
    """
    if output_file.suffix != ".json":
        raise InputError(f"--output_file: expected an ending of .json, found {output_file}")
    check_replaceable(output_file, FileKind("a JSON file", frozenset({"format", "ice_by_month"})))
    everything = join_samples([read_samples(path) for path in samples])
    if not all_days:
        everything = everything.select(is_fitted_day(everything.day))
    names = ", ".join(path.name for path in samples)
    samples_of_side = select_samples(everything, sensor, hemisphere, source=names)
    ice_samples = None
    ice_count = int((samples_of_side.concentration == 1).sum())
    if ice_count < LEAST_SAMPLES:
        try:
            ice_samples = _select_ice_of_other_side(everything, sensor, hemisphere, names)
        except InputError as error:
            raise InputError(
                f"expected {LEAST_SAMPLES} samples of ice in the {hemisphere}, found {ice_count}; and "
                f"of the other side {error}"
            ) from None
        logger.warning("too little ice in the %s: that of the other side, half a year apart", hemisphere)
    points = fit_tie_points(
        samples_of_side,
        sensor=sensor,
        product=product,
        hemisphere=hemisphere,
        source=source or names,
        all_days=all_days,
        ice_samples=ice_samples,
    )
    with atomic(output_file) as part:
        part.write_text(points.to_json(), encoding="utf-8")
    counts = [f"{points.origin[surface]['samples']} of {surface}" for surface in ("water", "ice")]
    lines = [f"{output_file}: {sensor} {hemisphere}, samples: {', '.join(counts)}"]
    return Report(lines=lines, outputs=[output_file], values=dict(points.origin))


def _select_ice_of_other_side(
    samples: RoundRobinSamples, sensor: str, hemisphere: Hemisphere, source: str
) -> RoundRobinSamples:
    other_side = HEMISPHERES[1 - HEMISPHERES.index(hemisphere)]
    selected = select_samples(samples, sensor, other_side, source=source)
    return selected.select(np.flatnonzero(selected.concentration == 1))
