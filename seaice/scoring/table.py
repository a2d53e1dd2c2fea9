"""Scores as text, as CSV, as JSON."""

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
from seaice.scoring.score import Row, Scores, checksum

_AREAS = tuple(Measures.names()[10:])
_SHORT_ARRAY = 100  # values of a parameter that are written out


def text_table(scores: Scores) -> list[str]:
    """The scores as lines for a report: all gaps, then by kind and length.

    Errors are in the unit of the field, areas in 1000 km2, a mean over the days.
    """
    lines = [*_heading(scores), ""]
    own, common = ([_row(scores, r.label, basis) for r in scores.ran] for basis in ("own", "common"))
    lines += _aligned([_HEAD, *(_whole(scores, row) for row in own)])
    for run in scores.runs:
        if run.refused is not None:
            lines.append(f"{run.label}: refused: {run.refused}")
    if any(row.measures.unfilled_share > 0 for row in own):
        count = common[0].measures.held_out if common else 0
        lines += ["", f"on the {count} cells that every method fills:"]
        lines += _aligned([_HEAD[:-3], *(_whole(scores, row)[:-3] for row in common)])
    for group in ("kind", "gap", "days missing", "flag"):
        rows = [r for r in scores.rows if r.group == group and r.basis == "own"]
        if rows:
            lines += ["", f"by {group}, each method on what it fills:"]
            lines += _aligned([_SHORT, *(_part(row) for row in rows)])
    lines += _paired_lines(scores)
    return lines


_HEAD = (
    "method", "cells", "unfilled %", "RMSE", "MAE", "bias", "RMSE 15..80", "RMSE 5..95", "corr",
    "edge %", "IIEE", "extent", "area", "in 1 s %", "in 2 s %", "seconds", "peak MB",
)  # fmt: skip
_SHORT = (
    "group", "method", "held out", "unfilled %", "RMSE", "MAE", "bias", "RMSE 15..80", "edge %",
    "IIEE", "extent", "in 1 s %",
)  # fmt: skip


def _heading(scores: Scores) -> Iterator[str]:
    told = scores.held_out.describe()
    parts = [f"{kind} {c['cells']} ({c['gaps']})" for kind, c in told["kinds"].items()]
    yield (
        f"{told['held_out_cells']} cells held out of {len(scores.gappy.values)} maps, seed "
        f"{told['seed']}; cells (gaps) by kind: {', '.join(parts)}"
    )
    for kind, reason in scores.held_out.left_out.items():
        yield f"without {kind}: {reason}"
    areas = scores.cells.full is not None and scores.cells.area is not None
    full = "" if scores.cells.full in (None, 1.0, 100.0) else f" (full ice {scores.cells.full:g})"
    more = "; IIEE, extent, area in 1000 km2, means over the days" if areas else ""
    units = "plain numbers" if scores.gappy.units == "1" else repr(scores.gappy.units)
    yield f"errors in {units}{full}, fill minus truth{more}"


def _row(scores: Scores, method: str, basis: str) -> Row:
    return scores.row(method, basis=basis)


def _whole(scores: Scores, row: Row) -> tuple[str, ...]:
    made, run = row.measures, next(r for r in scores.runs if r.label == row.method)
    memory = "" if run.peak_memory is None else f"{run.peak_memory / 1e6:.0f}"
    return (
        row.method, str(made.filled), _percent(made.unfilled_share), _number(made.rmse),
        _number(made.mae), _number(made.bias), _number(made.rmse_marginal),
        _number(made.rmse_between), _number(made.correlation), _percent(made.edge_disagreement),
        _thousand(made.ice_edge_error), _thousand(made.extent_error), _thousand(made.area_error),
        _percent(row.coverage.within_one), _percent(row.coverage.within_two), f"{run.seconds:.1f}",
        memory,
    )  # fmt: skip


def _part(row: Row) -> tuple[str, ...]:
    made = row.measures
    return (
        row.name, row.method, str(made.held_out), _percent(made.unfilled_share), _number(made.rmse),
        _number(made.mae), _number(made.bias), _number(made.rmse_marginal),
        _percent(made.edge_disagreement), _thousand(made.ice_edge_error),
        _thousand(made.extent_error), _percent(row.coverage.within_one),
    )  # fmt: skip


def _paired_lines(scores: Scores) -> Iterator[str]:
    rows = [r for r in scores.paired if r.measure == "rmse" and r.group in ("all", "kind")]
    rows = [r for r in rows if r.difference.cells]
    if not rows:
        return
    yield ""
    yield f"RMSE minus that of {rows[0].against} on the same cells, with its 95 % interval:"
    table: list[tuple[str, ...]] = [("group", "method", "cells", "days", "difference", "low", "high")]
    for row in rows:
        made = row.difference
        numbers = (_number(v) for v in (made.difference, made.low, made.high))
        table.append((row.name, row.method, str(made.cells), str(made.days), *numbers))
    yield from _aligned(table)


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Columns side by side, words to the left, numbers to the right; empty columns left out."""
    kept = [k for k in range(len(table[0])) if any(row[k] for row in table[1:])]
    widths = [max(len(row[k]) for row in table) for k in kept]
    words = [all(not _is_number(row[k]) for row in table[1:]) for k in kept]
    lines = []
    for row in table:
        cells = zip(kept, widths, words, strict=True)
        parts = [row[k].ljust(w) if word else row[k].rjust(w) for k, w, word in cells]
        lines.append("  ".join(parts).rstrip())
    return lines


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}" if abs(value) < 1 else f"{value:.3f}"


def _percent(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:.2f}"


def _thousand(value: float) -> str:
    return "" if math.isnan(value) else f"{value / 1000:.2f}"


def records(scores: Scores) -> list[dict[str, Any]]:
    """One flat mapping for every row, and one for every method that was refused.

    NaN is None. Areas bear ``_km2`` in their names, everything else is in ``units`` or a share.
    """
    made = []
    for row in scores.rows:
        run = next(r for r in scores.runs if r.label == row.method)
        measures = {f"{k}_km2" if k in _AREAS else k: v for k, v in asdict(row.measures).items()}
        made.append(
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
            told = {"method": run.label, "group": "all", "name": "all", "basis": "own"}
            made.append({**told, "units": scores.gappy.units, "refused": run.refused})
    return [{k: _plain(v) for k, v in record.items()} for record in made]


def write_csv(scores: Scores, path: Path) -> None:
    """Write one row a method, group and basis; a field is empty where there is no value."""
    rows = records(scores)
    header = list(dict.fromkeys(name for row in rows for name in row))
    with (
        atomic(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, header, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: "" if v is None else v for k, v in row.items()} for row in rows)


def write_record(scores: Scores, path: Path, source: Mapping[str, Any]) -> None:
    """Write everything but the fills: parameters, seed, checksum of the input, versions, scores.

    Parameters
    ----------
    scores : Scores
    path : Path
    source : mapping
        Where the field is from.
    """
    content = {
        "software": {
            "seaice": seaice.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "input": {**source, "field_sha256": checksum(scores.gappy), "units": scores.gappy.units},
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
        "scores": records(scores),
        "paired_differences": [
            {**{k: v for k, v in vars(row).items() if k != "difference"}, **asdict(row.difference)}
            for row in scores.paired
        ],
    }
    write_json(path, _plain(content))


def _plain(value: Any) -> Any:
    """What JSON knows: NaN becomes None, numpy numbers become plain, anything else text."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        if value.size > _SHORT_ARRAY:
            return describe_array(value)
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
