"""Stage of ``fill_gaps.py score``: fill artificial gaps by several methods and score the results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice import InputError
from seaice.daily.source import is_daily_name
from seaice.gapfill import DailyMethod
from seaice.gapfill.methods import check_name, method_class
from seaice.report import Report, add_picture
from seaice.runtime.options import Option, options_of
from seaice.runtime.output_checks import (
    Output,
    check_outputs,
)
from seaice.scoring.gaps import cut_gaps, read_held_out
from seaice.scoring.score import Scores, score_fills
from seaice.scoring.shapes import GapSettings
from seaice.scoring.table import format_table, write_csv, write_record

METHODS = ("increments", "departure", "temporal", "gaussian", "hybrid")
NAMES = ("scores.csv", "scores.json", "scores.png")


def score_gaps(
    *,
    input_file: Path,
    output_dir: Path,
    variable: str | None = None,
    mask_file: Path | None = None,
    mask_variable: str | None = None,
    mask_means: Literal["sea", "land"] | None = None,
    sea_codes: Sequence[int] = (),
    land_codes: Sequence[int] = (),
    sea_bits: Sequence[int] = (),
    land_bits: Sequence[int] = (),
    quality_level: int = 5,
    valid_range: tuple[float, float] | None = None,
    concentration: bool = False,
    start_date: date | None = None,
    end_date: date | None = None,
    methods: Sequence[str] = (),
    parameters: Sequence[str] = (),
    against: str | None = None,
    gaps: Sequence[str] = (),
    outage_days: Sequence[int] = GapSettings.outage_days,
    single_days: int = GapSettings.single_days,
    last_days: int = GapSettings.last_days,
    orbits: int = GapSettings.orbits,
    pole_radius: float = GapSettings.pole_radius,
    cloud_share: float = GapSettings.cloud_share,
    coast_cells: int = GapSettings.coast_cells,
    coast_share: float = GapSettings.coast_share,
    held_out_file: Path | None = None,
    picture_date: date | None = None,
    seed: int = 0,
    dpi: int = 150,
) -> Report:
    """Cut gaps into a field, have methods fill them, and compare with what was cut.

    Writes ``scores.csv``, ``scores.json`` and ``scores.png`` into a folder.

    Parameters
    ----------
    input_file : Path
        NetCDF file or Zarr group with one map or a stack of maps.
    output_dir : Path
        Made if it is not there.
    variable, mask_file, mask_variable, mask_means, sea_codes, land_codes, sea_bits, land_bits
        See :class:`seaice.fields.options.ReadOptions`.
    quality_level, valid_range, concentration
        See :class:`seaice.fields.options.ReadOptions`.
    start_date, end_date : date, optional
        First and last day to read.
    methods : sequence of str
        Names of methods, or LABEL=NAME for one method with several sets of parameters. By default
        :data:`METHODS`, without those for ice concentration where the field is none.
    parameters : sequence of str
        LABEL.PARAMETER=VALUE; the value is read as JSON, else as text.
    against : str, optional
        Method that the others are compared with; by default the first.
    gaps : sequence of str
        Kinds of gaps (see :data:`seaice.scoring.shapes.SHAPES`); by default all that fit the field.
    outage_days, single_days, last_days, orbits, pole_radius, cloud_share, coast_cells, coast_share
        See :class:`seaice.scoring.shapes.GapSettings`.
    held_out_file : Path, optional
        Cells to hold out: ``.npy`` with a bool array (time, y, x) in the order of the input file,
        NetCDF with a variable ``held_out`` that is not 0 there, or the folder of the DINEOF project's
        Alboran sample for its published cells. If no kinds are named, it is the only one.
    picture_date : date, optional
        Day whose errors are drawn.
    seed : int
    dpi : int
        Dots per inch of the picture.

    Returns
    -------
    Report
        ``values["scores"]`` is the :class:`seaice.scoring.score.Scores`. A method that refused is
        in ``failed``.

    Raises
    ------
    InputError
        If the input is missing or unreadable, a method, parameter or kind is unknown, or the gaps
        cannot be cut.
    """
    from seaice.fields.options import ReadOptions
    from seaice.fields.read import read_gappy

    chosen = method_parameters(methods or METHODS, parameters)
    output_dir = Path(output_dir)
    _check_places(output_dir, dpi, input_file, mask_file, held_out_file)
    settings = GapSettings(
        tuple(outage_days), single_days, last_days, orbits, pole_radius, cloud_share, coast_cells,
        coast_share,
    )  # fmt: skip
    reading = ReadOptions(
        variable, mask_file, mask_variable, mask_means, sea_codes, land_codes, sea_bits, land_bits,
        quality_level, valid_range, concentration, start_date, end_date,
    )  # fmt: skip
    source = read_gappy(input_file, reading)
    if not methods and not source.is_concentration:
        chosen = {k: v for k, v in chosen.items() if not _is_for_concentration(v["method"])}
    given = None if held_out_file is None else read_held_out(held_out_file, source)
    kinds = list(gaps) or (None if given is None else ["given"])
    held_out = cut_gaps(
        source.field, kinds, grid=source.grid, settings=settings, held_out_cells=given, seed=seed
    )
    frame = None if picture_date is None else _frame(source.field.days, picture_date)
    scores = score_fills(
        source.field,
        held_out,
        chosen,
        grid=source.grid,
        is_concentration=source.is_concentration,
        against=against,
    )
    where = {**source.describe(), "held_out_file": None if held_out_file is None else str(held_out_file)}
    title = str(source.attributes.get("long_name") or variable or "")
    return _written(scores, output_dir, where, source.grid, title=title, frame=frame, dpi=dpi)


def _is_for_concentration(name: str) -> bool:
    cls = method_class(name)
    return issubclass(cls, DailyMethod) and cls.concentration_only


def _written(
    scores: Scores,
    output_dir: Path,
    where: dict[str, Any],
    grid: Any,
    *,
    title: str,
    frame: int | None,
    dpi: int,
) -> Report:
    from seaice.scoring.pictures import draw_scores

    table, record, picture = (output_dir / name for name in NAMES)
    write_csv(scores, table)
    write_record(scores, record, where)
    report = Report(lines=format_table(scores), outputs=[table, record], values={"scores": scores})
    if scores.finished_runs:
        with add_picture(report, picture):
            report.lines += draw_scores(scores, picture, grid=grid, title=title, frame=frame, dpi=dpi)
    report.failed = [f"{r.label}: {r.refused}" for r in scores.runs if r.refused is not None]
    report.lines.append(f"written: {', '.join(map(str, report.outputs))}")
    return report


def method_parameters(methods: Sequence[str], parameters: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Words of a command line as labels with their parameters.

    Raises
    ------
    InputError
        For words of another form, a label given twice, an unknown method, label or parameter.

    Examples
    --------
    >>> method_parameters(["temporal", "short=temporal"], ["short.max_gap_days=2"])
    {'temporal': {'method': 'temporal'}, 'short': {'method': 'temporal', 'max_gap_days': 2}}
    """
    chosen: dict[str, dict[str, Any]] = {}
    for word in methods:
        label, _, method = word.partition("=")
        method = method or label
        check_name(method)
        if label in chosen:
            raise InputError(f"{label} is asked for twice; give one of them a name as NAME={method}")
        chosen[label] = {"method": method}
    for word in parameters:
        key, equals, value = word.partition("=")
        label, dot, name = key.partition(".")
        if not (equals and dot and name) or label not in chosen:
            raise InputError(
                f"expected METHOD.PARAMETER=VALUE, METHOD out of {', '.join(chosen)}, found {word!r}"
            )
        options = options_of(method_class(chosen[label]["method"]))
        if name not in options:
            raise InputError(f"{label} takes no {name}; it takes {', '.join(options)}")
        chosen[label][name] = _value(value)
        if not _suits(chosen[label][name], options[name]):
            raise InputError(
                f"expected {label}.{name} as {options[name].kind.__name__}, found {value!r}"
            )
    return chosen


def _suits(value: Any, option: Option) -> bool:
    kind = option.kind
    if kind not in (int, float, bool) or (value is None and option.default is None):
        return True
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, int) or (kind is float and isinstance(value, float))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _check_places(output_dir: Path, dpi: int, *inputs: Path | None) -> None:
    if not 20 <= dpi <= 1200:
        raise InputError(f"expected 20 to 1200 dots per inch, found {dpi}")
    if output_dir.exists() and not output_dir.is_dir():
        raise InputError(f"expected a folder for --output_dir, found the file {output_dir}")
    output_dir.mkdir(parents=True, exist_ok=True)
    table, _, picture = (output_dir / name for name in NAMES)
    columns = ("method", "group", "name", "basis")
    asked = [Output("output_dir", table, "table", columns), Output("output_dir", picture, "picture")]
    check_outputs(asked, inputs, is_daily_file=is_daily_name)


def _frame(days: np.ndarray, wanted: date) -> int:
    from seaice.dates import day_number

    found = np.flatnonzero(np.floor(days) == day_number(wanted))
    if not found.size:
        raise InputError(f"no map on {wanted}; choose another picture_date")
    return int(found[0])
