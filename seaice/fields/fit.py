"""Stage: fit the weights of a filling method to an observed field."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np

from seaice import InputError
from seaice.dates import from_day_number
from seaice.fields.options import BEST_QUALITY, ReadOptions
from seaice.fields.read import read_concentration
from seaice.gapfill import Record
from seaice.gapfill.field import GappyField
from seaice.gapfill.increments import Increments
from seaice.gapfill.increments.weights import describe_weights
from seaice.gapfill.ocean_cells import OceanCells
from seaice.report import Report
from seaice.runtime import atomic_write
from seaice.runtime.output_kinds import FileKind, check_replaceable


def fit_weights(
    *,
    input_file: Path,
    output_file: Path,
    variable: str | None = None,
    mask_file: Path | None = None,
    mask_variable: str | None = None,
    mask_means: Literal["sea", "land"] | None = None,
    sea_codes: Sequence[int] = (),
    land_codes: Sequence[int] = (),
    sea_bits: Sequence[int] = (),
    land_bits: Sequence[int] = (),
    quality_level: int = BEST_QUALITY,
    valid_range: tuple[float, float] | None = None,
    concentration: bool = False,
    start_date: date | None = None,
    end_date: date | None = None,
) -> Report:
    """Fit the networks of the method ``increments`` to observed days.

    Parameters
    ----------
    input_file : Path
        Daily concentration: a cube of ``consolidate_data.py``, of which only observed values are
        used, or any other stack of maps.
    output_file : Path
        JSON file, for ``--weights``.
    variable, mask_file, mask_variable, mask_means, sea_codes, land_codes, sea_bits, land_bits
        See :class:`seaice.fields.options.ReadOptions`.
    quality_level, valid_range, concentration
        See :class:`seaice.fields.options.ReadOptions`.
    start_date, end_date : date, optional
        First and last day to read.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If the field is no concentration or has two maps of one day.
    """
    output_file = Path(output_file)
    if output_file.suffix != ".json":
        raise InputError(f"--output_file: expected an ending of .json, found {output_file}")
    check_replaceable(output_file, FileKind("a JSON file", frozenset({"made_of", "two_sided"})))
    reading = ReadOptions(
        variable, mask_file, mask_variable, mask_means, sea_codes, land_codes, sea_bits, land_bits,
        quality_level, valid_range, concentration, start_date, end_date,
    )  # fmt: skip
    source = read_concentration(input_file, reading)
    weights = Increments().fit(_record_of(source.field)).weights_in_use
    with atomic_write.atomic(output_file) as part:
        part.write_text(weights.to_json() + "\n", encoding="utf-8")
    lines = [f"{output_file}: {describe_weights(weights)}"]
    return Report(lines=lines, outputs=[output_file], values=dict(weights.made_of))


def _record_of(gappy: GappyField) -> Record:
    """The days of a field in percent; days without a map are missing."""
    numbers = np.floor(gappy.days).astype(np.int64)
    if (np.diff(numbers) == 0).any():
        day = from_day_number(int(numbers[np.flatnonzero(np.diff(numbers) == 0)[0]]))
        raise InputError(f"expected one map a day, found two on {day}; take one time of day")
    frames = {int(number): frame for frame, number in enumerate(numbers)}
    scale = np.float32(100 / gappy.valid_range[1])

    def read(number: int, frame: np.ndarray) -> None:
        frame[:] = np.nan
        if number in frames:
            frame[:] = np.where(gappy.sea, scale * gappy.values[frames[number]], np.nan)

    return Record(int(numbers[0]), int(numbers[-1]), OceanCells(gappy.sea), read)
