"""The stage that trains a network to add increments to the last day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

import seaice
from seaice import InputError
from seaice.dates import DateRange
from seaice.forecast.network.forecaster import (
    FORMAT,
    Forecaster,
    build_network,
    count_history,
    fit_base,
    list_bases,
    read_checkpoint,
)
from seaice.forecast.network.predict import write_forecasts
from seaice.forecast.network.windows import TrainingDays
from seaice.forecast.record import SeaIceRecord
from seaice.forecast.schedule import Schedule, make_schedule, parse_leads
from seaice.report import Report, format_count
from seaice.runtime.atomic_write import exclusive
from seaice.runtime.networks.model_options import parse_options
from seaice.runtime.options import Count, Range
from seaice.scoring.forecasts.cell_errors import (
    compute_cell_errors,
    compute_root_mean_square_error,
    compute_skill,
)

if TYPE_CHECKING:
    import torch

    from seaice.forecast.network.trainer import Trainer

# Initial days at most by which the training is watched.
_MOST_WATCHED = 10
_SEASON_DAYS = 330


def train_network(
    *,
    cube_file: Path,
    mask_file: Path | None = None,
    test: Sequence[date] | None = None,
    train: Sequence[date] | None = None,
    leads: str = "1-7",
    model: str = "half",
    options: Sequence[str] = (),
    on: str | None = None,
    season_neutral: bool = False,
    steps: Count = 2400,
    minutes: Annotated[float, Range(0.01, unit="MINUTES")] | None = None,
    validation_days: Annotated[int, Range(0, unit="N")] = 14,
    seed: Annotated[int, Range(0, unit="N")] = 0,
    name: str | None = None,
    device: str = "auto",
    resume: bool = True,
    output_dir: Path,
) -> Report:
    """Train a network to correct persistence, and forecast every initial day of a test with it.

    The network starts as persistence, or as the baseline of ``on``. AdamW, the rate rises to 1.5e-3 and
    falls to nothing; four patches of 128 x 128 cells a step. The same command run again continues an
    interrupted training.

    Parameters
    ----------
    cube_file : Path
        Cube of ``consolidate_data.py`` or other daily maps; its observed values alone are learnt.
    mask_file : Path, optional
        Mask of ``create_mask.py``; by default the surface of the cube counts.
    test : (date, date), optional
        First and last target of ``test.nc``; by default no test, and all days train.
    train : (date, date), optional
        First and last training day; by default all days before the test.
    leads : str
        Days, such as 1-7 or 1,3,7.
    model : str
        half, or MODULE:FUNCTION of your own.
    options : sequence of str
        Options of the model as KEY=VALUE, such as width=8.
    on : str, optional
        Baseline that increments are added to, such as rolling; by default the last day.
    season_neutral : bool
        Run half of the training windows backwards in time, for training days of one season.
    steps : int
        Steps of the training.
    minutes : float, optional
        End after so much time, even if steps are left.
    validation_days : int
        Last training days by which the training is watched, not trained on; 0 to train on all.
    seed : int
        Seed of weights and windows.
    name : str, optional
        Name of the method in scores; by default half, or half_on_rolling.
    device : str
        Device: auto, cpu, cuda, cuda:1 or mps.
    resume : bool
        Continue an interrupted training of the folder; otherwise start anew.
    output_dir : Path
        Made where it does not exist; gets ``last.pt`` and ``test.nc``.

    Returns
    -------
    Report
        ``values``: steps, seconds, parameters, windows, initial_days.
    """
    from seaice.runtime.networks.device import choose_device

    if on is not None and on not in list_bases():
        raise InputError(f"expected on out of {', '.join(list_bases())}, found {on!r}")
    if on is not None and season_neutral:
        raise InputError(
            f"{on} is fitted on earlier days, so that no window can run backwards: leave out "
            "--season_neutral or --on"
        )
    output_dir, parsed = Path(output_dir), parse_options(options)
    chosen_device = choose_device(device)
    with SeaIceRecord(cube_file, mask_file) as record:
        days = _plan_days(record, test, train, leads, validation_days, count_history(on))
        settings: dict[str, Any] = {
            "model": model,
            "options": parsed,
            "leads": list(days.leads),
            "on": on,
            "season_neutral": season_neutral,
            "steps": steps,
            "minutes": minutes,
            "training_days": str(days.training),
            "trained_days": str(days.trained),
            "seed": seed,
        }
        name = name or (model if on is None else f"{model}_on_{on}")
        output_dir.mkdir(parents=True, exist_ok=True)
        with exclusive(output_dir / "training"):
            path = output_dir / "last.pt"
            trainer, forecaster = _prepare(record, days, settings, name, path, chosen_device, resume)
            trainer.run(_Watch(record, days, forecaster))
            trainer.save()
            report = _describe(trainer, days, forecaster)
            report.outputs.append(trainer.path)
            if days.schedule is not None:
                starts, tested = days.schedule.initial_days, output_dir / "test.nc"
                write_forecasts(tested, record, starts, [forecaster], [path])
                report.outputs.append(tested)
                report.lines.append(f"wrote {tested}: {format_count(len(starts), 'initial day')}")
    return report


@dataclass(frozen=True)
class _Days:
    """Which days are trained on, watched and tested."""

    leads: tuple[int, ...]
    training: DateRange
    trained: DateRange
    watched: tuple[date, ...]
    schedule: Schedule | None


def _plan_days(
    record: SeaIceRecord,
    test: Sequence[date] | None,
    train: Sequence[date] | None,
    leads: str,
    validation_days: int,
    history: int,
) -> _Days:
    parsed = parse_leads(leads)
    asked = None if train is None else DateRange(*train)
    schedule = None
    if test is not None:
        schedule = make_schedule(
            record, test=DateRange(*test), leads=parsed, training=asked, history=history
        )
    training = schedule.training if schedule else asked or DateRange(record.days[0], record.days[-1])
    if training.start < record.days[0] or training.end > record.days[-1]:
        raise InputError(
            f"the training days {training} reach beyond {record.path}, which has {record.days[0]} to "
            f"{record.days[-1]}"
        )
    last = training.end - timedelta(days=validation_days)
    if last < training.start:
        raise InputError(
            f"--validation_days {validation_days} leaves none of the {len(training)} training days "
            f"{training} to train on: give less, 0 for none"
        )
    watched = []
    if validation_days >= min(parsed):
        starts = DateRange(last, training.end - timedelta(days=min(parsed)))
        usable = [day for day in starts if (day - record.days[0]).days + 1 >= history]
        watched = usable[:: -(-len(usable) // _MOST_WATCHED) or 1]
    return _Days(parsed, training, DateRange(training.start, last), tuple(watched), schedule)


def _prepare(
    record: SeaIceRecord,
    days: _Days,
    settings: dict[str, Any],
    name: str,
    path: Path,
    device: torch.device,
    resume: bool,
) -> tuple[Trainer, Forecaster]:
    """Read the training days and build the network; random weights are drawn here."""
    import torch

    from seaice.forecast.network.trainer import Plan, Trainer

    seen, leads, on = record.up_to(days.trained.end), days.leads, settings["on"]
    active = seen.find_active_region(days.trained)
    base = None if on is None else fit_base(on, seen, days.trained, leads)
    windows = TrainingDays(seen, days.trained, leads, active, base)
    torch.manual_seed(settings["seed"])
    network = build_network(settings["model"], leads=len(leads), on=on, options=settings["options"])
    metadata = {
        "format": FORMAT,
        "software": seaice.__version__,
        "name": name,
        "training_days": [str(days.trained.start), str(days.trained.end)],
        "kilometres": record.grid.kilometres,
        "input_product": str(record.attributes.get("title", "unknown")),
        "settings": settings | {"data_sha256": windows.digest},
        **{key: settings[key] for key in ("model", "options", "leads", "on")},
    }
    plan = Plan(
        steps=settings["steps"],
        minutes=settings["minutes"],
        seed=settings["seed"],
        share_backwards=0.5 if settings["season_neutral"] else 0.0,
    )
    trainer = Trainer(network, windows, plan, path=path, metadata=metadata, device=device)
    if resume and trainer.path.is_file():
        trainer.resume(read_checkpoint(trainer.path))
    return trainer, Forecaster(trainer.network, leads, device, base)


class _Watch:
    """Errors of the network and of persistence on the last training days, which are not trained on."""

    def __init__(self, record: SeaIceRecord, days: _Days, forecaster: Forecaster) -> None:
        self._record, self._days, self._forecaster = record.up_to(days.training.end), days, forecaster
        self._active = record.find_active_region(days.trained)
        self._persistence = self._measure(lambda day: [record.read_input(day)] * len(days.leads))

    def __call__(self) -> str:
        if not self._days.watched:
            return ""
        forecast = lambda day: self._forecaster.forecast(self._record, day)  # noqa: E731
        by_lead, all_leads = self._measure(forecast)
        persistence, of_all = self._persistence
        leads = self._days.leads
        texts = [
            f"lead {leads[k]} {100 * by_lead[k]:.2f} % (persistence {100 * persistence[k]:.2f} %)"
            for k in sorted({0, len(leads) - 1})
        ]
        skill = float(compute_skill(all_leads, of_all))
        return (
            f"; RMSE on {self._days.watched[0]} to {self._days.training.end}: {', '.join(texts)}, "
            + (f"skill {skill:+.1f} %")
        )

    def _measure(self, forecast: Callable[[date], Any]) -> tuple[np.ndarray, np.ndarray]:
        """RMSE by lead and of all leads."""
        squares = np.full((len(self._days.watched), len(self._days.leads)), np.nan)
        for row, day in enumerate(self._days.watched):
            for column, (lead, values) in enumerate(zip(self._days.leads, forecast(day), strict=True)):
                target = day + timedelta(days=lead)
                if target <= self._days.training.end:
                    observed = np.where(self._active, self._record.read_observed(target), np.nan)
                    errors = compute_cell_errors(values, observed, self._record.cell_area)
                    squares[row, column] = errors.square
        return compute_root_mean_square_error(squares)


def _describe(trainer: Trainer, days: _Days, forecaster: Forecaster) -> Report:
    windows = trainer.days
    parameters = sum(p.numel() for p in trainer.network.parameters())
    count = len(windows.forwards)
    report = Report(left_out=list(days.schedule.lost) if days.schedule else [])
    report.lines = [
        f"{parameters:,} parameters trained on {format_count(count, 'initial day')} of {days.trained}, "
        f"leads {', '.join(map(str, days.leads))}; {format_count(trainer.step, 'step')} in "
        f"{trainer.seconds:.0f} s",
    ]
    if days.watched:
        report.lines.append(
            f"{days.trained.end + timedelta(days=1)} to {days.training.end} were kept back to watch the "
            "training; when the number of steps is chosen, train on them too: --validation_days 0"
        )
    backwards = trainer.plan.share_backwards
    if len(days.trained) < _SEASON_DAYS and not backwards:
        report.lines.append(
            "the training days cover less than a year: the network learns their season and may be "
            "worse than persistence in another; --season_neutral or --on rolling helps"
        )
    report.values = {
        "steps": trainer.step,
        "seconds": trainer.seconds,
        "parameters": parameters,
        "windows": count,
        "initial_days": list(days.schedule.initial_days) if days.schedule else [],
    }
    return report
