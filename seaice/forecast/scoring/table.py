"""Tables of the scores of forecasts: as CSV, as JSON, and as lines for the report."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from seaice.forecast.scoring.daily import DailyScores
from seaice.forecast.scoring.summary import ALL_LEADS, PERCENT, THOUSAND_KM2, ScoreRow
from seaice.runtime.atomic_write import atomic
from seaice.scoring.forecasts.blocks import Estimate

COLUMNS = (
    "method", "region", "lead", "starts", "cells", "area_km2", "rmse", "rmse_low", "rmse_high", "mae",
    "bias", "iiee", "over", "under", "extent_error", "edge_km", "edge_length_ratio", "skill_rmse",
    "skill_rmse_low", "skill_rmse_high", "skill_iiee", "skill_iiee_low", "skill_iiee_high",
)  # fmt: skip
DAILY_COLUMNS = (
    "method", "region", "initial_day", "lead", "cells", "area_km2", "rmse", "mae", "bias", "iiee",
    "over", "under", "extent_error", "edge_km", "edge_length_km", "observed_edge_length_km",
    "edge_length_ratio", "hausdorff_km", "binary_accuracy", "edge_fss", "crps", "sps",
)  # fmt: skip


def flatten_row(row: ScoreRow) -> dict[str, Any]:
    """Return a row with the ends of its intervals under names of their own."""
    flat: dict[str, Any] = {}
    for item in fields(row):
        value = getattr(row, item.name)
        if isinstance(value, Estimate):
            names = (item.name, f"{item.name}_low", f"{item.name}_high")
            flat |= dict(zip(names, value, strict=True))
        else:
            flat[item.name] = value
    return flat


def write_scores(rows: Sequence[ScoreRow], path: Path) -> None:
    """Write the scores by method, region and lead as CSV; a field without a value is empty."""
    _write_csv(path, COLUMNS, (flatten_row(row) for row in rows))


def write_daily_scores(daily: DailyScores, path: Path) -> None:
    """Write the scores by method, region, initial day and lead as CSV."""
    _write_csv(path, DAILY_COLUMNS, _iterate_daily(daily))


def _iterate_daily(daily: DailyScores) -> Iterator[dict[str, Any]]:
    for m, method in enumerate(daily.methods):
        for r, region in enumerate(daily.regions):
            for d, day in enumerate(daily.initial_days):
                for k, lead in enumerate(daily.leads):
                    if daily.has_score[d, k]:
                        names = {
                            "method": method,
                            "region": region.name,
                            "initial_day": day,
                            "lead": lead,
                        }
                        yield names | _describe_map(daily, (m, r, d, k))


def _describe_map(daily: DailyScores, index: tuple[int, int, int, int]) -> dict[str, Any]:
    value = {name: float(values[index]) for name, values in daily.values.items()}
    observed_length = float(daily.reference_length[index[1:]])
    over, under = THOUSAND_KM2 * value["over"], THOUSAND_KM2 * value["under"]
    return {
        "cells": int(daily.cells[index[1:]]),
        "area_km2": float(daily.area[index[1:]]),
        "rmse": PERCENT * math.sqrt(value["square"]),
        "mae": PERCENT * value["absolute"],
        "bias": PERCENT * value["signed"],
        "iiee": over + under,
        "over": over,
        "under": under,
        "extent_error": abs(over - under),
        "edge_km": value["edge_km"],
        "edge_length_km": value["edge_length"],
        "observed_edge_length_km": observed_length,
        "edge_length_ratio": value["edge_length"] / observed_length if observed_length else math.nan,
        "hausdorff_km": value["hausdorff_km"],
        "binary_accuracy": value["accuracy"],
        "edge_fss": 1 - value["fss_difference"] / value["fss_total"] if value["fss_total"] else math.nan,
        "crps": PERCENT * value["crps"],
        "sps": THOUSAND_KM2 * value["sps"],
    }


def _write_csv(path: Path, columns: Sequence[str], rows: Iterator[dict[str, Any]] | Any) -> None:
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_format_field(row[name]) for name in columns])


def _format_field(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def make_json_row(row: ScoreRow) -> dict[str, Any]:
    """Return a row for JSON, which has no NaN: null instead."""
    return {name: clean_number(value) for name, value in flatten_row(row).items()}


def clean_number(value: Any) -> Any:
    """Return a number rounded to seven digits, and null for NaN; others as they are."""
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value


def format_table(rows: Sequence[ScoreRow], reference: str) -> list[str]:
    """Format the scores of every region as lines: root mean square error, ice-edge error, edges."""
    lines: list[str] = []
    for region in dict.fromkeys(row.region for row in rows):
        by_method: dict[str, list[ScoreRow]] = {}
        for row in rows:
            if row.region == region:
                by_method.setdefault(row.method, []).append(row)
        lines += _format_region(by_method, reference)
    return lines


def _format_region(by_method: Mapping[str, Sequence[ScoreRow]], reference: str) -> list[str]:
    first = next(iter(by_method.values()))
    heading = f"{first[0].region}: {first[0].cells} cells, {first[0].area_km2 / 1e6:.2f} million km2"
    leads = [str(row.lead) for row in first if row.lead != ALL_LEADS]
    width = max(len(method) for method in by_method)
    lines = ["", heading]
    for title, score, skill, form in (
        ("RMSE, %", "rmse", "skill_rmse", "{:7.2f}"),
        ("IIEE, 1000 km2", "iiee", "skill_iiee", "{:7.0f}"),
        ("edge distance, km", "edge_km", None, "{:7.1f}"),
        ("edge length over observed", "edge_length_ratio", None, "{:7.2f}"),
    ):
        end = "" if skill is None else f"   skill over all against {reference}, % [95 % interval]"
        lines.append(f"  {title} at lead")
        lines.append("  " + " " * width + "".join(f"{lead:>7}" for lead in leads) + end)
        for method, rows in by_method.items():
            values = [_take_value(getattr(row, score)) for row in rows if row.lead != ALL_LEADS]
            text = "".join(form.format(value) for value in values)
            end = "" if skill is None else f"   {_format_skill(getattr(rows[-1], skill))}"
            lines.append(f"  {method:<{width}}{text}{end}")
    return lines


def _take_value(score: float | Estimate) -> float:
    return score.value if isinstance(score, Estimate) else score


def _format_skill(skill: Estimate) -> str:
    if math.isnan(skill.low):
        return f"{skill.value:+.1f}"
    return f"{skill.value:+.1f} [{skill.low:+.1f}, {skill.high:+.1f}]"
