"""The stage that forecasts from a day with trained networks, also beyond the last day of the cube."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.forecast.file import describe_forecast, write_forecast
from seaice.forecast.network.forecaster import (
    Forecaster,
    count_history,
    load_forecaster,
    read_checkpoint,
)
from seaice.forecast.record import SeaIceRecord
from seaice.forecast.schedule import LEAST_OBSERVED
from seaice.report import Progress, Report, format_count, listing
from seaice.runtime.digests import digest_file

logger = logging.getLogger(__name__)


def predict_days(
    *,
    checkpoint: Sequence[Path],
    cube_file: Path,
    mask_file: Path | None = None,
    start: date | None = None,
    device: str = "auto",
    output_file: Path,
) -> Report:
    """Forecast the days after an initial day; the cube need not hold them.

    Large grids are forecast by tiles. Days after the initial day are not read.

    Parameters
    ----------
    checkpoint : sequence of Path
        ``last.pt`` of ``forecast.py train``, or the folder of a training with all its seeds; several
        are members of an ensemble.
    cube_file : Path
        Cube of ``consolidate_data.py`` or other daily maps, with cells of the size of the training.
    mask_file : Path, optional
        Mask of ``create_mask.py``; by default the surface of the cube counts.
    start : date, optional
        Initial day; by default the last day of the cube.
    device : str
        Device: auto, cpu, cuda, cuda:1 or mps.
    output_file : Path
        Forecast file.

    Returns
    -------
    Report
        ``values``: initial_day, leads, members.
    """
    from seaice.runtime.networks.device import choose_device

    if not checkpoint:
        raise InputError("expected a checkpoint of forecast.py train, found none")
    chosen_device = choose_device(device)
    paths = [path for given in checkpoint for path in _list_checkpoints(Path(given))]
    repeated = listing([str(path) for path in paths if paths.count(path) > 1][:1])
    if repeated:
        raise InputError(f"expected every checkpoint once, found {repeated} twice; leave one out")
    with SeaIceRecord(cube_file, mask_file) as record:
        day = _check_start(record, paths, start or record.days[-1])
        forecasters = [load_forecaster(path, record.up_to(day), chosen_device) for path in paths]
        write_forecasts(output_file, record, [day], forecasters, paths)
        share = record.measure_observed(day)
    leads = forecasters[0].leads
    report = Report(outputs=[Path(output_file)])
    report.lines = [
        f"forecast from {day}, leads {', '.join(map(str, leads))}"
        + (f", {len(paths)} members" if len(paths) > 1 else "")
    ]
    if share < LEAST_OBSERVED:
        report.left_out.append(f"{day}: {share:.0%} of the ocean observed, the rest is from days before")
    report.values = {"initial_day": day, "leads": list(leads), "members": len(paths)}
    return report


def write_forecasts(
    path: Path,
    record: SeaIceRecord,
    initial_days: Sequence[date],
    forecasters: Sequence[Forecaster],
    checkpoints: Sequence[Path],
) -> Path:
    """Write the forecasts of networks, several as members of an ensemble."""
    leads = forecasters[0].leads

    def forecast() -> Iterator[tuple[date, np.ndarray]]:
        with Progress(total=len(initial_days), label="forecasts", logger=logger) as progress:
            for day in initial_days:
                members = [forecaster.forecast(record, day) for forecaster in forecasters]
                yield day, np.stack(members) if len(members) > 1 else members[0]
                progress.unit(f"forecast from {day}")

    contents = [read_checkpoint(checkpoint) for checkpoint in checkpoints]
    names = dict.fromkeys(content["name"] for content in contents)
    method = next(iter(names)) if len(names) == 1 else "network"
    if len(contents) > 1:
        method += "_ensemble"
    parameters = {
        "method": method,
        "cube": record.path.name,
        "leads": list(leads),
        "training_days": " to ".join(contents[0]["training_days"]),
        "checkpoint_sha256": [digest_file(checkpoint) for checkpoint in checkpoints],
        "settings": [content["settings"] for content in contents],
    }
    start = contents[0]["on"] or "the initial day"
    title = f"{contents[0]['model']}, a network that adds increments to {start}"
    attributes = describe_forecast(
        method=method,
        title=title if len(contents) == 1 else f"{format_count(len(contents), 'member')}: {title}",
        parameters=parameters,
        source=record.attributes,
        references="none",
    )
    return write_forecast(
        path,
        initial_days=initial_days,
        leads=leads,
        forecast=forecast(),
        grid=record.grid,
        surface=record.surface,
        attributes=attributes,
        members=len(forecasters) if len(forecasters) > 1 else None,
    )


def _list_checkpoints(path: Path) -> list[Path]:
    """A checkpoint, or those of the folder of a training."""
    if not path.is_dir():
        return [path]
    by_seed = {p.parent.name[len("seed_") :]: p for p in path.glob("seed_*/last.pt")}
    seeds = sorted(filter(str.isdigit, by_seed), key=int)
    return [by_seed[seed] for seed in seeds] or [path / "last.pt"]


def _check_start(record: SeaIceRecord, paths: Sequence[Path], day: date) -> date:
    """Refuse checkpoints that do not go together, and a day without enough days before it."""
    contents = [read_checkpoint(path) for path in paths]
    leads = sorted({tuple(content["leads"]) for content in contents})
    if len(leads) > 1:
        raise InputError(
            f"expected checkpoints with the same leads as members, found {listing([*map(str, leads)])}"
        )
    if not record.days[0] <= day <= record.days[-1]:
        raise InputError(
            f"cannot forecast from {day}: {record.path} has {record.days[0]} to {record.days[-1]}; add "
            "the days, or start from its last one"
        )
    needed = max(count_history(content["on"]) for content in contents)
    before = (day - record.days[0]).days + 1
    if before < needed:
        raise InputError(
            f"cannot forecast from {day}: {needed} days up to it are needed, {record.path} has {before}"
        )
    return day
