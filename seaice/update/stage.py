"""The daily run: the stage behind update.py."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.daily.source import choose_sources
from seaice.dates import DateRange
from seaice.report import Report
from seaice.runtime.atomic_write import HeldByAnother
from seaice.runtime.file_lock import LockHeld, hold_lock, locate_lock
from seaice.settings import data_dir
from seaice.update.alarm import list_alarms, run_alarm_command, split_command
from seaice.update.steps import DAYS, INPUTS, StageOptions, Step, name_place

logger = logging.getLogger(__name__)

# Stages that look at the cube, in order.
_LOOKS = ("ice_index", "visualization", "report")


def update(
    *,
    consolidate_data: Sequence[str],
    download: Sequence[str] = (),
    ice_index: Sequence[str] = (),
    visualization: Sequence[str] = (),
    report: Sequence[str] = (),
    start_date: date | None = None,
    end_date: date | None = None,
    look_back: int = 30,
    late_days: int = 2,
    watch_days: int = 7,
    alarm_command: str | None = None,
    dry_run: bool = False,
) -> Report:
    """Keep a cube current: fetch what is new or changed, append it, look at the result, give alarm.

    Every step is a call of a stage in a process of its own, with the options given for that stage.
    A mask or weights are never made: a new mask or a new fit would change days that are done.

    Parameters
    ----------
    consolidate_data, download, ice_index, visualization, report : sequence of str
        Options of these stages as ``OPTION=VALUE``. A stage without options is left out. Dates, the
        input of the stages that look at the cube, and ``--append`` are set by this stage.
    start_date : date, optional
        First day of the cube; by default that of the cube that is there.
    end_date : date, optional
        The day that counts as today; by default today, UTC. The cube ends at the last day that has a
        file.
    look_back : int
        So many days before today are fetched again where they changed upstream, and compared with
        what the cube was made of.
    late_days : int
        The last observed day may be so many days before today; a later one is an alarm.
    watch_days : int
        Days before today whose absence, rejection or suspicion is an alarm.
    alarm_command : str, optional
        Command that gets the alarms on its standard input, one line each.
    dry_run : bool
        Only say what would be done.

    Returns
    -------
    Report
        Steps that failed and alarms are failures.

    Raises
    ------
    InputError
        For options that a stage would refuse, before anything is done; if another run of the same
        cube is under way.
    """
    today = end_date or datetime.now(UTC).date()
    options = {
        "download": download,
        "consolidate_data": consolidate_data,
        "ice_index": ice_index,
        "visualization": visualization,
        "report": report,
    }
    if alarm_command is not None:
        split_command(alarm_command)
    run = DailyRun(
        options={name: StageOptions.parse(name, words) for name, words in options.items() if words},
        start_date=start_date,
        today=today,
        look_back=look_back,
    )
    if dry_run:
        return run.describe()
    try:
        result, problems = _work(run, late_days=late_days, watch_days=watch_days)
    except HeldByAnother:
        raise
    except (InputError, OSError) as error:
        if alarm_command is not None:
            trouble = run_alarm_command(alarm_command, [f"the daily run ended early: {error}"])
            if trouble:
                logger.error("%s", trouble)
        raise
    if problems and alarm_command is not None:
        trouble = run_alarm_command(alarm_command, problems)
        problems += [trouble] if trouble else []
    result.failed = problems
    return result


def _work(run: DailyRun, *, late_days: int, watch_days: int) -> tuple[Report, list[str]]:
    """Run all steps; returns the report, and what failed or is wrong with the last days."""
    with _hold(run.cube_file):
        run.check()
        result = Report(outputs=[run.cube_file])
        problems = run.execute()
        if run.cube_file.exists():
            with CubeFile(run.cube_file, only_cube=True) as cube:
                problems += list_alarms(
                    cube, today=run.today, late_days=late_days, watch_days=watch_days
                )
                result.lines = [f"{run.cube_file}: {cube.dates[0]} to {cube.dates[-1]}"]
        return result, problems


@contextmanager
def _hold(cube_file: Path) -> Iterator[None]:
    """Hold the right to keep a cube current; the stages hold that to write their outputs."""
    # The lock of the cube itself is that of consolidate_data.
    lock = locate_lock(cube_file.with_name(f"{cube_file.name}.update"))
    try:
        with hold_lock(lock):
            yield
    except LockHeld as holder:
        raise HeldByAnother(
            f"{cube_file} is being updated by {holder}; this run has done nothing"
        ) from None


@dataclass(frozen=True, kw_only=True)
class DailyRun:
    """The steps of one run, made when their turn comes: what is appended depends on what was fetched.

    Attributes
    ----------
    options : dict of str to StageOptions
        By stage; a stage that is left out has none.
    start_date : date or None
    today : date
    look_back : int
        Days.
    """

    options: dict[str, StageOptions]
    start_date: date | None
    today: date
    look_back: int

    @property
    def cube_file(self) -> Path:
        """The cube; InputError if the options of consolidate_data name none, or no folder."""
        path = self.options["consolidate_data"].path("output_file")
        if path is None:
            raise InputError("[consolidate_data] expected output_file, the cube, found no such option")
        if not path.parent.is_dir():
            raise InputError(
                f"no such folder: {name_place(path.parent)}, which consolidate_data's output_file names"
            )
        return path

    @cached_property
    def first_day(self) -> date:
        """First day of the cube."""
        if self.cube_file.exists():
            with CubeFile(self.cube_file, only_cube=True) as cube:
                first = cube.dates[0]
            if self.start_date not in (None, first):
                raise InputError(
                    f"{self.cube_file} begins on {first}, not on {self.start_date}; leave out "
                    "start_date, or name another output_file"
                )
            return first
        if self.start_date is None:
            raise InputError(
                f"{name_place(self.cube_file)} is not there yet: give its first day, start_date"
            )
        if self.start_date > self.today:
            raise InputError(f"start_date {self.start_date} lies in the future (today is {self.today})")
        return self.start_date

    @property
    def compared_from(self) -> date:
        """First day whose file is compared with that of the server and that of the cube."""
        return max(self.first_day, self.today - timedelta(days=self.look_back))

    def check(self) -> list[Step]:
        """List the steps as if nothing would be fetched; without any file, as if all days would be.

        Raises
        ------
        InputError
            If a stage would refuse its options, or a file such as the land mask is not there, before
            anything is done.
        """
        for name, options in self.options.items():
            options.refuse(*DAYS, "append", "compare_since", "update")
            if name in _LOOKS:
                options.refuse(*INPUTS, "date")
            options.check_files()
        try:
            day = self.find_last_day()
        except InputError:
            day = self.today
        steps = [*self.list_fetches(), self.make_append(day), *self.list_looks(day)]
        for step in steps:
            step.check()
        return steps

    def describe(self) -> Report:
        """Say what a run would do."""
        steps = self.check()
        lines = [f"would run: {step}" for step in steps]
        try:
            last = self.find_last_day()
        except InputError as error:
            if "download" not in self.options:
                return Report(failed=[f"nothing to append: {error}"])
            return Report([*lines, f"{self.today} stands for the last day that comes"])
        if "download" in self.options and last < self.today:
            lines.append(f"{last} stands for the last day that has a file then, up to {self.today}")
        return Report(lines)

    def list_fetches(self) -> list[Step]:
        """Fetch days that never came, and those of the last days again that changed upstream."""
        if "download" not in self.options:
            return []
        download, first, recent = self.options["download"], self.first_day, self.compared_from
        steps = [download.step("--start_date", recent, "--end_date", self.today, "--update")]
        if first < recent:
            before = recent - timedelta(days=1)
            steps.append(download.step("--start_date", first, "--end_date", before))
        return steps

    def make_append(self, last: date) -> Step:
        """Extend the cube to the last day that has a file; make it if it is not there."""
        words: list[object] = ["--start_date", self.first_day, "--end_date", last]
        if self.cube_file.exists():
            words += ["--append", "--compare_since", self.compared_from]
        return self.options["consolidate_data"].step(*words)

    def find_last_day(self) -> date:
        """Last day that has a file; InputError where none is there."""
        options = self.options["consolidate_data"]
        folder = options.path(*INPUTS) or data_dir()
        days = DateRange(self.first_day, self.today)
        grid_id = options.values.get("grid", (None,))[-1]
        listed: list[date] = []
        for source in choose_sources(folder, options.values.get("product", ())):
            with suppress(InputError):  # of several products one may have no file
                listed += source.list_days(folder, days, grid=None, grid_id=grid_id)[0]
        if not listed:
            raise InputError(f"no daily file of {days} in {name_place(folder)}")
        return max(listed)

    def list_looks(self, day: date) -> list[Step]:
        """Index, map of the last day and report of the cube."""
        looks = []
        for name in _LOOKS:
            if name in self.options:
                words: list[object] = ["--input_file", self.cube_file]
                if name == "visualization":
                    words += ["--date", day]
                looks.append(self.options[name].step(*words))
        return looks

    def execute(self) -> list[str]:
        """Run all steps; returns what failed, one line each.

        A cube that could not be extended is not looked at again; days that could not be fetched are
        no reason not to append those that came.
        """
        problems = [*map(run_step, self.list_fetches())]
        try:
            day = self.find_last_day()
        except InputError as error:  # nothing was fetched and nothing was there
            return [*filter(None, problems), f"nothing to append: {error}"]
        problems.append(run_step(self.make_append(day)))
        if problems[-1] is None:
            problems += [*map(run_step, self.list_looks(day))]
        return [*filter(None, problems)]


def run_step(step: Step) -> str | None:
    """Run a step and log how it went; returns what failed."""
    logger.info("%s", step)
    begin = time.monotonic()
    status, troubles = step.run()
    logger.info("%s: exit status %d after %.0f s", step.stage, status, time.monotonic() - begin)
    reason = f" ({troubles[-1]})" if troubles else ""
    return f"{step.stage} ended with exit status {status}{reason}: {step}" if status else None
