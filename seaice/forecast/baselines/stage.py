"""The stage that forecasts a test by baselines, one file for each."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.dates import DateRange
from seaice.forecast.baselines.baseline import Baseline, Training
from seaice.forecast.baselines.calendar_days import count_years
from seaice.forecast.baselines.registry import BASELINES
from seaice.forecast.file import describe_forecast, write_forecast
from seaice.forecast.record import SeaIceRecord
from seaice.forecast.schedule import Schedule, make_schedule, parse_leads
from seaice.report import Progress, Report, format_count

logger = logging.getLogger(__name__)

DEFAULT_METHODS = ("persistence", "damped", "rolling")


def make_baselines(
    *,
    cube_file: Path,
    mask_file: Path | None = None,
    methods: Sequence[str] = DEFAULT_METHODS,
    test: Sequence[date],
    train: Sequence[date] | None = None,
    leads: str = "1-7",
    output_dir: Path,
) -> Report:
    """Forecast every initial day of a test by simple rules, as a network would have to.

    Parameters
    ----------
    cube_file : Path
        Cube of ``consolidate_data.py`` or other daily maps; its observed values alone are used.
    mask_file : Path, optional
        Mask of ``create_mask.py``; by default the surface of the cube counts.
    methods : sequence of str
        Rules to forecast by, described on the page of the stage.
    test : (date, date)
        First and last target.
    train : (date, date), optional
        First and last training day; by default all days before the test.
    leads : str
        Days, such as 1-7 or 1,3,7.
    output_dir : Path
        Made where it does not exist; gets a file for each method, such as ``persistence.nc``.

    Returns
    -------
    Report
        ``values["initial_days"]`` are the days that were forecast from.
    """
    unknown = [name for name in methods if name not in BASELINES]
    if unknown or not methods:
        raise InputError(f"expected methods out of {', '.join(BASELINES)}, found {', '.join(unknown)}")
    baselines = {name: BASELINES[name] for name in methods}
    with SeaIceRecord(cube_file, mask_file) as record:
        schedule = make_schedule(
            record,
            test=DateRange(*test),
            training=None if train is None else DateRange(*train),
            leads=parse_leads(leads),
            history=max(baseline.history for baseline in baselines.values()),
        )
        output_dir = Path(output_dir)
        _check_years(record, schedule, baselines)
        output_dir.mkdir(parents=True, exist_ok=True)
        report = _describe(record, schedule)
        _forecast_all(baselines, record, schedule, output_dir, report)
    return report


def _forecast_all(
    baselines: Mapping[str, Baseline],
    record: SeaIceRecord,
    schedule: Schedule,
    output_dir: Path,
    report: Report,
) -> None:
    """Write the files of all methods; one that has too few days is a failure of the report."""
    training = Training.of(record, schedule)
    count = len(baselines) * len(schedule.initial_days)
    with Progress(total=count, label="forecasts", logger=logger) as progress:
        for name, baseline in baselines.items():
            path, before = output_dir / f"{name}.nc", time.process_time()
            try:
                _write(path, name, baseline, record, training, schedule, progress)
            except InputError as error:
                report.failed.append(str(error))
                continue
            report.outputs.append(path)
            seconds = time.process_time() - before
            report.lines.append(f"wrote {path}: {baseline.title} ({seconds:.1f} s of processor time)")
            report.lines += [baseline.advice] if baseline.advice else []


def _describe(record: SeaIceRecord, schedule: Schedule) -> Report:
    days = schedule.initial_days
    report = Report(values={"initial_days": list(days)}, left_out=list(schedule.lost))
    report.lines.append(
        f"{format_count(len(days), 'initial day')} {days[0]} to {days[-1]}, leads "
        f"{', '.join(map(str, schedule.leads))}; training days {schedule.training}"
    )
    if not record.tells_filled:
        report.left_out.append(
            f"{record.path} does not tell filled values from observed ones: all count as observed, and "
            "what was filled from later days is known too early"
        )
    return report


def _write(
    path: Path,
    name: str,
    baseline: Baseline,
    record: SeaIceRecord,
    training: Training,
    schedule: Schedule,
    progress: Progress,
) -> None:
    rule = baseline.fit(training)

    def forecast() -> Iterator[tuple[date, *tuple[np.ndarray, ...]]]:
        for day in schedule.initial_days:
            maps = rule(record.up_to(day), day)
            yield (day, *maps) if isinstance(maps, tuple) else (day, maps)
            progress.unit(f"{name}: {day}")

    parameters = {
        "method": name,
        "cube": record.path.name,
        "leads": list(schedule.leads),
        "training_days": str(schedule.training),
    }
    attributes = describe_forecast(
        method=name,
        title=baseline.title,
        parameters=parameters,
        source=record.attributes,
        references=baseline.references,
    )
    write_forecast(
        path,
        initial_days=schedule.initial_days,
        leads=schedule.leads,
        forecast=forecast(),
        grid=record.grid,
        surface=record.surface,
        attributes=attributes,
        members=baseline.members,
        has_probability=baseline.has_probability,
    )


def _check_years(record: SeaIceRecord, schedule: Schedule, baselines: Mapping[str, Baseline]) -> None:
    """Refuse methods that need more years of training days about every day of the test."""
    first, last = schedule.initial_days[0], schedule.initial_days[-1]
    test = DateRange(first, last + timedelta(days=max(schedule.leads)))
    years = count_years(schedule.training, test)
    for name, baseline in baselines.items():
        if years < baseline.years:
            raise InputError(
                f"{name} needs at least {baseline.years} years of training days, the cube has "
                f"{len(record.days)} days: {record.path} trains on {schedule.training}, which holds "
                f"{format_count(years, 'year')} of the days of the test; take a longer cube or leave "
                f"{name} out"
            )
