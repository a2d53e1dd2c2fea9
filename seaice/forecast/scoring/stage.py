"""Stage of ``forecast.py score``: forecasts compared with the observed days of a cube."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError, cf
from seaice.cf import ICE_EDGE
from seaice.daily.source import is_daily_name
from seaice.forecast.file import ForecastFile
from seaice.forecast.record import SeaIceRecord
from seaice.forecast.schedule import parse_leads
from seaice.forecast.scoring.bad_days import find_bad_days
from seaice.forecast.scoring.daily import DailyScores, compute_daily_scores
from seaice.forecast.scoring.maps import open_error_maps
from seaice.forecast.scoring.regions import ACTIVE, find_regions
from seaice.forecast.scoring.summary import Summary
from seaice.forecast.scoring.table import (
    COLUMNS,
    DAILY_COLUMNS,
    clean_number,
    format_table,
    make_json_row,
    write_daily_scores,
    write_scores,
)
from seaice.report import Report, add_picture, format_count, listing
from seaice.runtime.json_files import write_json
from seaice.runtime.output_checks import Output, check_outputs
from seaice.runtime.output_kinds import check_replaceable, name_kind

logger = logging.getLogger(__name__)

TABLE, DAILY, RECORD, MAPS = "scores.csv", "daily.csv", "scores.json", "scores.nc"
PICTURES = ("skill.png", "heat_map.png", "days.png", "members.png")
_SEASONS = ("DJF", "MAM", "JJA", "SON")


def score_forecasts(
    *,
    forecast: Sequence[Path],
    cube_file: Path,
    output_dir: Path,
    mask_file: Path | None = None,
    reference: str = "persistence",
    region: Sequence[str] = (ACTIVE,),
    leads: str | None = None,
    train: Sequence[date] | None = None,
) -> Report:
    """Score forecasts by lead, initial day and region, with skill against one of them.

    Writes ``scores.csv``, ``daily.csv``, ``scores.json``, ``scores.nc`` and pictures into a folder.

    Parameters
    ----------
    forecast : sequence of Path
        Forecast files of this toolbox or of IceNet, one a method; only initial days and leads that
        all of them have are scored.
    cube_file : Path
        Cube of ``consolidate_data.py`` with the observed days; filled values do not count.
    output_dir : Path
        Made if it is not there.
    mask_file : Path, optional
        Mask of ``create_mask.py``; by default the surface of the cube counts.
    reference : str
        Method that the others are compared with.
    region : sequence of str
        ``active`` (cells with ice on a training day, and 100 km around), ``ocean``, ``marginal``
        (5 to 95 percent of ice observed), a sea such as ``barents``, a box or a region file. The
        active region is always the first.
    leads : str, optional
        Leads to score, such as 1-7 or 1,3,7; by default all that the forecasts have.
    train : sequence of date, optional
        First and last training day, by which the active region is found; by default all days up to the
        first initial day.

    Returns
    -------
    Report
        ``values["rows"]`` has a :class:`seaice.forecast.scoring.summary.ScoreRow` for each row of
        ``scores.csv``, ``values["daily"]`` the :class:`seaice.forecast.scoring.daily.DailyScores`.

    Raises
    ------
    InputError
        If a file cannot be read or lies on another grid than the cube, no initial day or lead is
        common to all, or no day of the cube follows them.
    """
    output_dir = Path(output_dir)
    _check_places(output_dir, [*forecast, cube_file, mask_file])
    with ExitStack() as stack:
        record = stack.enter_context(SeaIceRecord(cube_file, mask_file))
        files = _open_forecasts(forecast, record, stack)
        if reference not in files:
            raise InputError(
                f"expected the reference among the forecasts, {listing(list(files))}, found "
                f"{reference}; add its file to --forecast or name another --reference"
            )
        initial_days, scored_leads = _find_common_axes(files, record, leads)
        training_days = _find_training_days(record, train, initial_days[0])
        active = record.find_active_region(training_days)
        regions = find_regions(region, record, active)
        settings: dict[str, Any] = {
            "cube": str(cube_file),
            "product": _name_product(record),
            "reference": reference,
            "training_days": f"{training_days[0]} to {training_days[-1]}",
            "threshold": ICE_EDGE,
            "initial_days": f"{initial_days[0]} to {initial_days[-1]}",
        }
        attributes = _describe_maps(settings, record)
        with open_error_maps(
            output_dir / MAPS, list(files), scored_leads, record.grid, attributes
        ) as write_lead:
            daily = compute_daily_scores(
                files, record, regions, initial_days, scored_leads, finish_lead=write_lead
            )
            if not daily.has_score.any():
                raise InputError(f"no map could be scored: {listing(daily.left_out, limit=3)}")
        bad_days = find_bad_days(initial_days, record, active)
        settings["look_ahead"] = _find_look_ahead(files, record, initial_days[0])
        report = _write(daily, bad_days, settings, output_dir)
        _draw(report, daily, record, files, reference, output_dir)
    report.lines.append(f"written: {', '.join(map(str, report.outputs))}")
    return report


def _check_places(output_dir: Path, inputs: Sequence[Path | None]) -> None:
    if output_dir.exists() and not output_dir.is_dir():
        raise InputError(f"expected a folder for --output_dir, found the file {output_dir}")
    output_dir.mkdir(parents=True, exist_ok=True)
    outputs = [
        Output("output_dir", output_dir / TABLE, "table", COLUMNS[:3]),
        Output("output_dir", output_dir / DAILY, "table", DAILY_COLUMNS[:4]),
        *(Output("output_dir", output_dir / name, "picture") for name in PICTURES),
    ]
    check_outputs(outputs, inputs, is_daily_file=is_daily_name)
    check_replaceable(output_dir / MAPS, name_kind(cf.KINDS["score_forecasts"]), option="output_dir")


def _open_forecasts(
    paths: Sequence[Path], record: SeaIceRecord, stack: ExitStack
) -> dict[str, ForecastFile]:
    """Open the files by the names of their methods; those of one name go by their file names."""
    opened = [stack.enter_context(ForecastFile(path)) for path in dict.fromkeys(paths)]
    methods = [file.method for file in opened]
    files: dict[str, ForecastFile] = {}
    for file in opened:
        if not file.grid.same_cells(record.grid):
            raise InputError(
                f"{file.path} lies on another grid than {record.path}: {file.grid.describe_place()}, "
                f"expected {record.grid.describe_place()}"
            )
        name = file.method if methods.count(file.method) == 1 else file.path.stem
        if name in files:
            raise InputError(
                f"expected forecasts of different names, found {name} in {files[name].path} and "
                f"{file.path}; rename one file"
            )
        files[name] = file
    if not files:
        raise InputError("expected forecast files to score, found none; name them with --forecast")
    return files


def _find_common_axes(
    files: dict[str, ForecastFile], record: SeaIceRecord, requested: str | None
) -> tuple[list[date], list[int]]:
    """Find the initial days and leads of all files that a day of the cube follows."""
    days = sorted(set.intersection(*(set(file.initial_days) for file in files.values())))
    leads = sorted(set.intersection(*(set(file.leads) for file in files.values())))
    missing = [lead for lead in parse_leads(requested) if lead not in leads] if requested else []
    if missing:
        raise InputError(
            f"expected leads that all forecasts have, {listing([str(lead) for lead in leads])}, found "
            f"{listing([str(lead) for lead in missing])}"
        )
    leads = list(parse_leads(requested)) if requested else leads
    if not days or not leads:
        spans = listing([
            f"{name}: {file.initial_days[0]} to {file.initial_days[-1]}, leads {file.leads[0]} to "
            f"{file.leads[-1]}"
            for name, file in files.items()
        ])  # fmt: skip
        raise InputError(
            f"expected initial days and leads that all forecasts have, found none ({spans})"
        )
    last = record.days[-1]
    followed = [day for day in days if record.days[0] <= day + timedelta(leads[0]) <= last]
    if not followed:
        raise InputError(
            f"expected days of the cube after the initial days {days[0]} to {days[-1]} by leads of "
            f"{leads[0]} to {leads[-1]} days, found the cube from {record.days[0]} to {last}; score "
            "when it has these days"
        )
    beyond = [lead for lead in leads if followed[0] + timedelta(lead) > last]
    if beyond:
        raise InputError(
            f"no day of the cube follows an initial day by {beyond[0]} days: it ends on {last}, the "
            f"first initial day is {followed[0]}; score shorter --leads, or a cube with later days"
        )
    return followed, leads


def _find_training_days(record: SeaIceRecord, train: Sequence[date] | None, first: date) -> list[date]:
    if train and (len(train) != 2 or train[1] < train[0]):
        raise InputError(
            f"expected the first and the last training day, found {', '.join(map(str, train))}"
        )
    start, end = train or (record.days[0], first)
    days = [day for day in record.days if start <= day <= end]
    if not days:
        raise InputError(
            f"expected training days in the cube, found none from {start} to {end}: it reaches from "
            f"{record.days[0]} to {record.days[-1]}; name them with --train"
        )
    return days


def _find_look_ahead(files: dict[str, ForecastFile], record: SeaIceRecord, first: date) -> list[str]:
    """Say what may know later days than a forecast could have known."""
    lines = []
    for name, file in files.items():
        last = re.search(r"(\d{4}-\d{2}-\d{2})\W*$", str(file.attributes.get("training_days", "")))
        if last and date.fromisoformat(last[1]) > first:
            lines.append(
                f"{name} learnt from days up to {last[1]}, after the first initial day {first}: good "
                "for tuning, no claim of skill"
            )
    if not record.tells_filled:
        lines.append(f"{record.path} does not tell filled values from observed ones: all are scored")
    return lines


def _name_product(record: SeaIceRecord) -> str:
    return str(record.attributes.get("source") or record.attributes.get("title") or "unknown")


def _describe_maps(settings: dict[str, Any], record: SeaIceRecord) -> dict[str, Any]:
    return cf.describe_file(
        title="Errors of forecasts of sea ice concentration",
        summary="root mean square error and bias of every cell by method and lead, over observed cells",
        source=settings["product"],
        stage="score_forecasts",
        parameters=settings,
        references="see the forecast files",
        grid=record.grid,
    )


def _write(
    daily: DailyScores,
    bad_days: dict[date, str],
    settings: dict[str, Any],
    output_dir: Path,
) -> Report:
    summary = Summary(daily, settings["reference"])
    rows = summary.make_rows()
    outputs = [output_dir / name for name in (TABLE, DAILY, RECORD, MAPS)]
    table, by_day, record, _ = outputs
    write_scores(rows, table)
    write_daily_scores(daily, by_day)
    notes = summary.describe_intervals()
    content = {
        "settings": settings,
        "units": "rmse, mae, bias, crps, skill and accuracy in percent; iiee, its parts and sps in 1000 "
        "km2, summed over the leads where lead is all; distances in km",
        "rows": [make_json_row(row) for row in rows],
        "intervals": notes,
        "seasons": _summarise_seasons(summary),
        "bad_days": {str(day): reason for day, reason in bad_days.items()},
        "without_bad_days": _summarise_days(
            summary, np.array([day not in bad_days for day in daily.initial_days])
        )
        if bad_days
        else [],
        "left_out": daily.left_out,
        "members": {method: _describe_members(daily, method) for method in daily.members},
    }
    write_json(record, content)
    lines = [
        f"{format_count(len(daily.initial_days), 'initial day')} {settings['initial_days']}, ice from "
        f"{100 * ICE_EDGE:g} %, {settings['product']}",
        *format_table(rows, settings["reference"]),
        "",
        *notes,
        *settings["look_ahead"],
        *(f"initial day that looks wrong: {day}: {reason}" for day, reason in bad_days.items()),
    ]
    blocks = summary.make_bootstrap(daily.leads[-1]).blocks
    values = {"rows": rows, "daily": daily, "settings": settings, "blocks": blocks}
    return Report(lines=lines, outputs=outputs, values=values, left_out=list(daily.left_out))


def _summarise_seasons(summary: Summary) -> dict[str, list[dict[str, Any]]]:
    """Scores by season of the initial day, where there is more than one."""
    seasons = np.array([_SEASONS[day.month % 12 // 3] for day in summary.daily.initial_days])
    names = [name for name in _SEASONS if (seasons == name).any()]
    if len(names) < 2:
        return {}
    return {name: _summarise_days(summary, seasons == name) for name in names}


def _summarise_days(summary: Summary, days: np.ndarray) -> list[dict[str, Any]]:
    part = Summary(summary.daily, summary.daily.methods[summary.reference], days)
    return [make_json_row(row) for row in part.make_rows()]


def _describe_members(daily: DailyScores, method: str) -> dict[str, Any]:
    members = daily.members[method]
    brier = members.probability.compute_brier_score()
    described: dict[str, Any] = {
        name: value.tolist() if isinstance(value, np.ndarray) else clean_number(float(value))
        for name, value in brier._asdict().items()
    }
    if members.ranks is not None:
        described["ranks"] = members.ranks.sum(axis=0).tolist()
        for name in ("spread", "error"):
            squares = np.array([getattr(part, name) for part in members.spread]) ** 2
            described[name] = np.sqrt(np.nanmean(squares, axis=0)).tolist()
    return described


def _draw(
    report: Report,
    daily: DailyScores,
    record: SeaIceRecord,
    files: dict[str, ForecastFile],
    reference: str,
    output_dir: Path,
) -> None:
    from seaice.forecast.scoring import pictures

    skill, heat_map, days, members = (output_dir / name for name in PICTURES)
    with add_picture(report, skill):
        pictures.draw_skill(report.values["rows"], reference, report.values["blocks"], skill)
    with add_picture(report, heat_map):
        pictures.draw_heat_maps(daily, reference, heat_map)
    with add_picture(report, days):
        pictures.draw_days(daily, record, files, reference, days)
    if daily.members:
        with add_picture(report, members):
            pictures.draw_members(daily, members)
