"""The stage behind ``fill_gaps.py calibrate``: a table of expected errors from an observed field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np

import seaice
from seaice import InputError
from seaice.dates import from_day_number
from seaice.fields.options import (
    BEST_QUALITY,
    ReadOptions,
)
from seaice.fields.read import read_concentration
from seaice.gapfill.field import GappyField
from seaice.report import Report
from seaice.runtime import atomic_write
from seaice.runtime.output_kinds import FileKind, check_replaceable
from seaice.scoring.calibration import calibrate, described, judged_days, percent_of
from seaice.scoring.score import digest_field

FEWEST_DAYS = 40
MOST_ABSENT = 10


def calibrate_errors(
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
    seeds: int = 2,
    fit_share: float = 0.66,
) -> Report:
    """Fit the expected error of filled concentration to gaps cut into observed days.

    Parameters
    ----------
    input_file : Path
        Daily concentration: a cube of ``consolidate_data.py``, of which only observed values are
        used, or any other stack of maps.
    output_file : Path
        JSON table, for ``--error_table`` of ``consolidate_data.py``.
    variable, mask_file, mask_variable, mask_means, sea_codes, land_codes, sea_bits, land_bits
        See :class:`seaice.fields.options.ReadOptions`.
    quality_level, valid_range, concentration
        See :class:`seaice.fields.options.ReadOptions`.
    start_date, end_date : date, optional
        First and last day to read.
    seeds : int
        Number of times that gaps are drawn.
    fit_share : float
        Share of the days that the fit sees; the rest tells its coverage.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If the field is no concentration or has too few days.
    """
    output_file = Path(output_file)
    if output_file.suffix != ".json":
        raise InputError(f"--output_file: expected an ending of .json, found {output_file}")
    check_replaceable(output_file, FileKind("a JSON file", frozenset({"made_of", "models"})))
    reading = ReadOptions(
        variable, mask_file, mask_variable, mask_means, sea_codes, land_codes, sea_bits, land_bits,
        quality_level, valid_range, concentration, start_date, end_date,
    )  # fmt: skip
    source = read_concentration(input_file, reading)
    percent = _with_values(percent_of(source.field))
    if (found := len(percent.days)) < FEWEST_DAYS:
        raise InputError(
            f"expected at least {FEWEST_DAYS} days, found {found} with values; give more of them"
        )
    percent = _daily(percent)
    days = percent.days
    table, rows = calibrate(percent, grid=source.grid, seeds=range(seeds), fit_share=fit_share)
    judged = days[judged_days(len(days), fit_share)]
    if not table.models or not rows:
        which = f"that judge ({_span(judged)})" if table.models else f"beside {_span(judged)}"
        raise InputError(
            f"{input_file}: no gaps could be cut into the days {which}; give more days with values"
        )
    made_of = {
        "field": f"{source.path.name}: {source.variable}",
        "title": str(source.file_attributes.get("title", "")),
        "grid": str(source.grid),
        "checksum": digest_field(source.field),
        "days": _span(days),
        "judged_days": _span(judged),
        "seeds": seeds,
        "software": f"seaice {seaice.__version__}",
        "coverage": rows,
    }
    with atomic_write.atomic(output_file) as part:
        part.write_text(replace(table, made_of=made_of).to_json() + "\n", encoding="utf-8")
    lines = [f"{output_file}: days {made_of['days']}, those of {made_of['judged_days']} judge"]
    values = {"coverage": json.loads(json.dumps(rows))}
    return Report(lines=[*lines, *described(rows)], outputs=[output_file], values=values)


def _with_values(percent: GappyField) -> GappyField:
    """Without the empty maps of absent days: at the end of a record no gap could be cut into them."""
    seen = np.array([np.isfinite(values).any() for values in percent.values], dtype=bool)
    return replace(percent, values=percent.values[seen], days=percent.days[seen])


def _daily(percent: GappyField) -> GappyField:
    """One map for each calendar day, NaN on days without one: what is fitted counts days."""
    numbers = np.floor(percent.days).astype(np.int64)
    if (np.diff(numbers) == 0).any():
        raise InputError("expected one map a day, found two on one; take one time of day")
    slots = numbers - numbers[0]
    if slots[-1] > MOST_ABSENT + 2 * len(slots):
        raise InputError(
            f"most days from {_span(percent.days)} have no map; choose a span with --start_date and "
            "--end_date that has"
        )
    values = np.full((slots[-1] + 1, *percent.sea.shape), np.nan, np.float32)
    values[slots] = percent.values
    return replace(percent, values=values, days=np.arange(numbers[0], numbers[-1] + 1, dtype=np.float64))


def _span(days: np.ndarray) -> str:
    return f"{from_day_number(int(days[0]))} to {from_day_number(int(days[-1]))}"
