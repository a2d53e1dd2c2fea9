"""Tables of scores: as text for the report, as CSV and as JSON."""

from __future__ import annotations

import csv
import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import seaice
from seaice.runtime.atomic_write import atomic
from seaice.runtime.digests import describe_array
from seaice.runtime.json_files import write_json
from seaice.scoring.measures import Measures
from seaice.scoring.score import ScoreRow, Scores, digest_field

_AREAS = tuple(Measures.names()[10:])
_SHORT_ARRAY = 100  # values of an array that are written; of a longer one only the digest is


def format_table(scores: Scores) -> list[str]:
    """Format the scores as lines for the report: of all cells, then by kind, length and flag.

    Errors are in the unit of the field. Areas are means over the days in 1000 km2.
    """
    lines = [*_format_heading(scores), ""]
    own, common = (
        [scores.get_row(run.label, basis=basis) for run in scores.finished_runs]
        for basis in ("own", "common")
    )
    lines += _align([_COLUMNS, *(_format_row(scores, row) for row in own)])
    for run in scores.runs:
        if run.refused is not None:
            lines.append(f"{run.label}: refused: {run.refused}")
    if any(row.measures.unfilled_share > 0 for row in own):
        count = common[0].measures.held_out if common else 0
        lines += ["", f"on the {count} cells that every method fills:"]
        # Without coverage, time and memory, which are in the table above.
        lines += _align([_COLUMNS[:-3], *(_format_row(scores, row)[:-3] for row in common)])
    for group in ("kind", "gap", "days missing", "flag"):
        rows = [r for r in scores.rows if r.group == group and r.basis == "own"]
        if rows:
            lines += ["", f"by {group}, each method on what it fills:"]
            lines += _align([_GROUP_COLUMNS, *(_format_group_row(row) for row in rows)])
    lines += _format_paired(scores)
    return lines


_COLUMNS = (
    "method", "cells", "unfilled %", "RMSE", "MAE", "bias", "RMSE 15..80", "RMSE 5..95", "corr",
    "edge %", "IIEE", "extent", "area", "in 1 s %", "in 2 s %", "seconds", "peak MB",
)  # fmt: skip
_GROUP_COLUMNS = (
    "group", "method", "held out", "unfilled %", "RMSE", "MAE", "bias", "RMSE 15..80", "edge %",
    "IIEE", "extent", "in 1 s %",
)  # fmt: skip


def _format_heading(scores: Scores) -> Iterator[str]:
    description = scores.held_out.describe()
    kinds = [f"{kind} {c['cells']} ({c['gaps']})" for kind, c in description["kinds"].items()]
    yield (
        f"{description['held_out_cells']} cells held out of {len(scores.gappy.values)} maps, seed "
        f"{description['seed']}; cells (gaps) by kind: {', '.join(kinds)}"
    )
    for kind, reason in scores.held_out.left_out.items():
        yield f"without {kind}: {reason}"
    has_areas = scores.cells.full is not None and scores.cells.area is not None
    full = "" if scores.cells.full in (None, 1.0, 100.0) else f" (full ice {scores.cells.full:g})"
    areas = "; IIEE, extent, area in 1000 km2, means over the days" if has_areas else ""
    units = "plain numbers" if scores.gappy.units == "1" else repr(scores.gappy.units)
    yield f"errors in {units}{full}, fill minus truth{areas}"


def _format_row(scores: Scores, row: ScoreRow) -> tuple[str, ...]:
    m, run = row.measures, next(run for run in scores.runs if run.label == row.method)
    memory = "" if run.peak_memory is None else f"{run.peak_memory / 1e6:.0f}"
    return (
        row.method, str(m.filled), _format_percent(m.unfilled_share), _format_number(m.rmse),
        _format_number(m.mae), _format_number(m.bias), _format_number(m.rmse_marginal),
        _format_number(m.rmse_between), _format_number(m.correlation),
        _format_percent(m.edge_disagreement), _format_thousands(m.ice_edge_error),
        _format_thousands(m.extent_error), _format_thousands(m.area_error),
        _format_percent(row.coverage.within_one), _format_percent(row.coverage.within_two),
        f"{run.seconds:.1f}", memory,
    )  # fmt: skip


def _format_group_row(row: ScoreRow) -> tuple[str, ...]:
    m = row.measures
    return (
        row.name, row.method, str(m.held_out), _format_percent(m.unfilled_share), _format_number(m.rmse),
        _format_number(m.mae), _format_number(m.bias), _format_number(m.rmse_marginal),
        _format_percent(m.edge_disagreement), _format_thousands(m.ice_edge_error),
        _format_thousands(m.extent_error), _format_percent(row.coverage.within_one),
    )  # fmt: skip


def _format_paired(scores: Scores) -> Iterator[str]:
    rows = [r for r in scores.paired if r.measure == "rmse" and r.group in ("all", "kind")]
    rows = [r for r in rows if r.difference.cells]
    if not rows:
        return
    yield ""
    yield f"RMSE minus that of {rows[0].against} on the same cells, with its 95 % interval:"
    table: list[tuple[str, ...]] = [("group", "method", "cells", "days", "difference", "low", "high")]
    for row in rows:
        d = row.difference
        numbers = (_format_number(value) for value in (d.difference, d.low, d.high))
        table.append((row.name, row.method, str(d.cells), str(d.days), *numbers))
    yield from _align(table)


def _align(table: Sequence[Sequence[str]]) -> list[str]:
    """Align the columns of a table: words left, numbers right; columns without values are left out."""
    columns = [k for k in range(len(table[0])) if any(row[k] for row in table[1:])]
    widths = [max(len(row[k]) for row in table) for k in columns]
    hold_words = [all(not _is_number(row[k]) for row in table[1:]) for k in columns]
    lines = []
    for row in table:
        cells = zip(columns, widths, hold_words, strict=True)
        parts = [row[k].ljust(width) if words else row[k].rjust(width) for k, width, words in cells]
        lines.append("  ".join(parts).rstrip())
    return lines


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _format_number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}" if abs(value) < 1 else f"{value:.3f}"


def _format_percent(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:.2f}"


def _format_thousands(value: float) -> str:
    return "" if math.isnan(value) else f"{value / 1000:.2f}"


def make_records(scores: Scores) -> list[dict[str, Any]]:
    """Make one flat mapping for every row, and one for every method that was refused.

    NaN becomes None. Names of areas end in ``_km2``; other values are in ``units`` or shares.
    """
    records: list[dict[str, Any]] = []
    for row in scores.rows:
        run = next(r for r in scores.runs if r.label == row.method)
        measures = {f"{k}_km2" if k in _AREAS else k: v for k, v in asdict(row.measures).items()}
        records.append(
            {
                "method": row.method,
                "group": row.group,
                "name": row.name,
                "basis": row.basis,
                "units": scores.gappy.units,
                **measures,
                "error_cells": row.coverage.cells,
                "within_one_sigma": row.coverage.within_one,
                "within_two_sigma": row.coverage.within_two,
                "seconds": run.seconds,
                "peak_memory_bytes": run.peak_memory,
                "refused": None,
            }
        )
    for run in scores.runs:
        if run.refused is not None:
            cells = {"method": run.label, "group": "all", "name": "all", "basis": "own"}
            records.append({**cells, "units": scores.gappy.units, "refused": run.refused})
    return [{k: _make_plain(v) for k, v in record.items()} for record in records]


def write_csv(scores: Scores, path: Path) -> None:
    """Write a CSV file with one row for every method, group and basis; NaN is an empty field."""
    rows = make_records(scores)
    header = list(dict.fromkeys(name for row in rows for name in row))
    with (
        atomic(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, header, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: "" if v is None else v for k, v in row.items()} for row in rows)


def write_record(scores: Scores, path: Path, source: Mapping[str, Any]) -> None:
    """Write a JSON file of a scoring: versions, input with its digest, gaps, parameters and scores.

    Parameters
    ----------
    scores : Scores
    path : Path
    source : mapping
        Origin of the field, such as its file and variable.
    """
    content = {
        "software": {
            "seaice": seaice.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "input": {**source, "field_sha256": digest_field(scores.gappy), "units": scores.gappy.units},
        "gaps": {**scores.held_out.describe(), "list": [vars(gap) for gap in scores.held_out.gaps]},
        "methods": {
            run.label: {
                "method": run.method,
                "parameters": run.parameters,
                "seconds": run.seconds,
                "peak_memory_bytes": run.peak_memory,
                "notes": run.notes,
                "refused": run.refused,
            }
            for run in scores.runs
        },
        "scores": make_records(scores),
        "paired_differences": [
            {**{k: v for k, v in vars(row).items() if k != "difference"}, **asdict(row.difference)}
            for row in scores.paired
        ],
    }
    write_json(path, _make_plain(content))


def _make_plain(value: Any) -> Any:
    """Make a value that JSON can store: NaN becomes None, numpy numbers become Python's, others text."""
    if isinstance(value, Mapping):
        return {str(k): _make_plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        if value.size > _SHORT_ARRAY:
            return describe_array(value)
        return _make_plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_make_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
