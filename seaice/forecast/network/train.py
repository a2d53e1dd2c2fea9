"""The stage that trains a network to add increments to the last day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import seaice
from seaice import InputError
from seaice.cf import ICE_EDGE
from seaice.dates import DateRange
from seaice.forecast.network.edges import fit_edges
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
from seaice.forecast.network.watch import Watch
from seaice.forecast.network.windows import TrainingDays
from seaice.forecast.record import SeaIceRecord
from seaice.forecast.schedule import Schedule, make_schedule, parse_leads
from seaice.report import Report, format_count
from seaice.runtime.atomic_write import exclusive
from seaice.runtime.networks.model_options import parse_options
from seaice.runtime.options import Count, Range

if TYPE_CHECKING:
    import torch

    from seaice.forecast.network.trainer import Trainer

# Initial days at most by which the training is watched.
_MOST_WATCHED = 10
_SEASON_DAYS = 330
_PLANNED = ("steps", "minutes", "seed", "batch_size", "patch_size", "precision", "compiled")
Precision = Literal["auto", "fp32", "bf16"]


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
    batch_size: Count = 4,
    patch_size: Annotated[int, Range(8, unit="CELLS")] = 128,
    seed: Annotated[int, Range(0, unit="N")] = 0,
    seeds: Count = 1,
    name: str | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    compiled: bool = False,
    workers: Annotated[int, Range(0, unit="N")] = 1,
    resume: bool = True,
    output_dir: Path,
) -> Report:
    """Train a network to correct persistence, and forecast every initial day of a test with it.

    The network starts as persistence, or as the baseline of ``on``. AdamW, the rate rises to 1.5e-3 and
    falls to nothing. Where training days are forecast with too much ice, the edge of that lead is moved
    back. The same command run again continues an interrupted training.

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
        End each network after so much time, even if steps are left.
    validation_days : int
        Last training days by which the training is watched, not trained on; 0 to train on all.
    batch_size : int
        Patches of a step; more keep a GPU busy.
    patch_size : int
        Cells on the side of a patch; a longer side than that of the grid takes all of it.
    seed : int
        Seed of weights and windows.
    seeds : int
        Networks of so many seeds, from ``seed`` on; ``test.nc`` holds them as members.
    name : str, optional
        Name of the method in scores; by default half, or half_on_rolling.
    device : str
        Device: auto, cpu, cuda, cuda:1 or mps.
    precision : {"auto", "fp32", "bf16"}
        Precision of the network's operations; auto is bf16 on a GPU that has it, else fp32.
    compiled : bool
        Compile the network first, which takes a minute.
    workers : int
        Threads that draw patches ahead; their number changes no result.
    resume : bool
        Continue an interrupted training of the folder; otherwise start anew.
    output_dir : Path
        Made where it does not exist; gets ``last.pt`` and ``test.nc``. With several seeds each has a
        folder in it, such as ``seed_0``.

    Returns
    -------
    Report
        ``values``: steps, seconds, parameters, windows, edges, initial_days.
    """
    from seaice.runtime.networks.device import choose_device
    from seaice.runtime.networks.precision import choose_precision

    if on is not None and on not in list_bases():
        raise InputError(f"expected on out of {', '.join(list_bases())}, found {on!r}")
    if on is not None and season_neutral:
        raise InputError(
            f"{on} is fitted on earlier days, so that no window can run backwards: leave out "
            "--season_neutral or --on"
        )
    output_dir, parsed = Path(output_dir), parse_options(options)
    chosen_device, allowed = choose_device(device), get_args(Precision)[1:]
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
            "batch_size": batch_size,
            "patch_size": patch_size,
            "precision": choose_precision(
                precision, chosen_device, allowed=allowed, on_processor=allowed
            ),
            "compiled": compiled,
        }
        name = name or (model if on is None else f"{model}_on_{on}")
        paths = [
            output_dir / (f"seed_{number}" if seeds > 1 else "") / "last.pt"
            for number in range(seed, seed + seeds)
        ]
        output_dir.mkdir(parents=True, exist_ok=True)
        with exclusive(output_dir / "training"):
            training = _Training(record, days, settings, name, chosen_device, workers, resume)
            networks = [training.run(path, number) for number, path in enumerate(paths, seed)]
            report = _describe(networks, days)
            report.outputs += paths
            if days.schedule is not None:
                starts, tested = days.schedule.initial_days, output_dir / "test.nc"
                write_forecasts(tested, record, starts, [network for _, network in networks], paths)
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


class _Training:
    """Trainings that differ in their seed alone: the days are read once."""

    def __init__(
        self,
        record: SeaIceRecord,
        days: _Days,
        settings: dict[str, Any],
        name: str,
        device: torch.device,
        workers: int,
        resume: bool,
    ) -> None:
        seen, self._leads, on = record.up_to(days.trained.end), days.leads, settings["on"]
        self._base = None if on is None else fit_base(on, seen, days.trained, days.leads)
        active = seen.find_active_region(days.trained)
        self._seen = seen
        self._windows = TrainingDays(seen, days.trained, days.leads, active, self._base)
        self._watch = (
            Watch(record, days.watched, days.training.end, self._windows, self._base)
            if days.watched
            else None
        )
        self._settings = settings | {"data_sha256": self._windows.digest}
        self._metadata = {
            "format": FORMAT,
            "software": seaice.__version__,
            "name": name,
            "training_days": [str(days.trained.start), str(days.trained.end)],
            "kilometres": record.grid.kilometres,
            "input_product": str(record.attributes.get("title", "unknown")),
            **{key: settings[key] for key in ("model", "options", "leads", "on")},
        }
        self._device, self._workers, self._resume = device, workers, resume

    def run(self, path: Path, seed: int) -> tuple[Trainer, Forecaster]:
        """Train the network of a seed; random weights are drawn here."""
        import torch

        from seaice.forecast.network.trainer import Plan, Trainer

        settings = self._settings | {"seed": seed}
        torch.manual_seed(seed)
        network = build_network(
            settings["model"],
            leads=len(self._leads),
            on=settings["on"],
            options=settings["options"],
        )
        plan = Plan(
            **{key: settings[key] for key in _PLANNED},
            share_backwards=0.5 if settings["season_neutral"] else 0.0,
            workers=self._workers,
        )
        metadata = self._metadata | {"settings": settings}
        path.parent.mkdir(exist_ok=True)
        trainer = Trainer(
            network, self._windows, plan, path=path, metadata=metadata, device=self._device
        )
        if self._resume and path.is_file():
            trainer.resume(read_checkpoint(path))
        forecaster = Forecaster(trainer.network, self._leads, self._device, self._base)
        trainer.run(lambda: self._watch.describe(forecaster) if self._watch else "")
        forecaster = replace(forecaster, edges=self._fit_edges(forecaster))
        trainer.save(forecaster.edges)
        return trainer, forecaster

    def _fit_edges(self, forecaster: Forecaster) -> tuple[float, ...]:
        days = [self._windows.days[number] for number in self._windows.forwards]
        return fit_edges(forecaster.forecast, self._seen, days, self._windows.active, self._leads)


def _describe(networks: Sequence[tuple[Trainer, Forecaster]], days: _Days) -> Report:
    trainers = [trainer for trainer, _ in networks]
    trainer = trainers[0]
    windows = trainer.days
    parameters = sum(p.numel() for p in trainer.network.parameters())
    count = len(windows.forwards)
    report = Report(left_out=list(days.schedule.lost) if days.schedule else [])
    report.lines = [
        f"{parameters:,} parameters trained on {format_count(count, 'initial day')} of {days.trained}, "
        f"leads {', '.join(map(str, days.leads))}",
        *(
            f"seed {trainer.plan.seed}: {format_count(trainer.step, 'step')} in {trainer.seconds:.0f} s "
            f"({trainer.step / max(trainer.seconds, 1e-9):.1f} a second)"
            for trainer in trainers
        ),
    ]
    report.lines += [
        f"seed {trainer.plan.seed}: too much ice on the training days; what is forecast as "
        f"{', '.join(f'{100 * edge:.0f}' for edge in forecaster.edges)} % by lead is made 15 %"
        for trainer, forecaster in networks
        if max(forecaster.edges) > ICE_EDGE
    ]
    if days.watched:
        report.lines.append(
            f"{days.trained.end + timedelta(days=1)} to {days.training.end} were kept back to watch the "
            "training; when the number of steps is chosen, train on them too: --validation_days 0"
        )
    if len(days.trained) < _SEASON_DAYS and not trainer.plan.share_backwards:
        report.lines.append(
            "the training days cover less than a year: the network learns their season and may be "
            "worse than persistence in another; --season_neutral or --on rolling helps"
        )
    report.values = {
        "steps": trainer.step,
        "seconds": sum(trainer.seconds for trainer in trainers),
        "parameters": parameters,
        "windows": count,
        "edges": [list(forecaster.edges) for _, forecaster in networks],
        "initial_days": list(days.schedule.initial_days) if days.schedule else [],
    }
    return report
