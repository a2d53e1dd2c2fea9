"""What a download has to do: every day of the period is to fetch, there, absent or impossible."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from seaice.partial_file import PartialFile
from seaice.period import Period
from seaice.sources import bremen
from seaice.sources.bremen import DayFile, Form, Sensor
from seaice.sources.bremen_worker import Task

# Sizes of real files: n6250 nc 0.26-0.53, hdf 0.39, s6250 hdf 0.53, n6250 tif 0.1 bytes a cell.
_BYTES_PER_CELL: dict[str, float] = {"nc": 0.45, "hdf": 0.45, "tif": 0.1}
# From so many files in the manifest their mean size is a better guess.
_ENOUGH_FILES = 5


@dataclass
class Plan:
    """Every day of the period in one of four lists.

    Attributes
    ----------
    period : Period
    grid_id, form : str
        Of all files.
    to_do : list of DayFile
        To fetch, or at least to look at.
    there : list of DayFile
        Recorded, and there with the recorded size.
    absent : dict of date to str
        Known to be absent upstream and not asked for; with reasons.
    impossible : dict of date to str
        No file can exist; with reasons.
    """

    period: Period
    grid_id: str
    form: Form
    to_do: list[DayFile] = field(default_factory=list)
    there: list[DayFile] = field(default_factory=list)
    absent: dict[date, str] = field(default_factory=dict)
    impossible: dict[date, str] = field(default_factory=dict)


def make_plan(task: Task, period: Period, *, sensor: str, form: Form) -> Plan:
    """Sort the days of a period; see :class:`Plan`."""
    plan = Plan(period, task.grid.id, form)
    ask_again = task.force or task.update
    for day in period:
        reason = _impossible(day, sensor, task)
        measured_by = _sensor_of(day, sensor)
        if sensor == "auto" and measured_by is None and day in task.absent:
            plan.absent[day] = task.absent[day]
        elif measured_by is None or reason:
            plan.impossible[day] = reason
        else:
            file = DayFile(measured_by, task.grid.id, day, bremen.VERSION, form)
            record = task.manifest.get(file.name)
            if day in task.absent and record is not None and record.absent and not ask_again:
                plan.absent[day] = task.absent[day]
            elif not ask_again and not task.check and task.is_recorded(file):
                plan.there.append(file)
            else:
                plan.to_do.append(file)
    return plan


def _sensor_of(day: date, sensor: str) -> Sensor | None:
    for name, first in bremen.FIRST_DAY.items():
        if sensor in ("auto", name) and first <= day <= bremen.LAST_DAY[name]:
            return name
    return None


def _impossible(day: date, sensor: str, task: Task) -> str:
    """Why no file of this day can exist; empty if one can."""
    if day > task.today:
        return f"in the future (today is {task.today} UTC)"
    name: Sensor = "AMSR2" if sensor == "AMSR2" else "AMSR-E"
    if day < bremen.FIRST_DAY[name]:
        return f"before the first day of the {name} record, {bremen.FIRST_DAY[name]}"
    if sensor == "AMSR-E" and day > bremen.LAST_DAY[name]:
        return f"after the last day of the AMSR-E record, {bremen.LAST_DAY[name]}"
    return ""


def estimate(task: Task, plan: Plan) -> int:
    """Bytes the files to fetch will take, beyond what stands in their places now."""
    sizes = []
    for record in task.manifest:
        file = DayFile.parse(record.name)
        if file and record.size and (file.grid_id, file.form) == (plan.grid_id, plan.form):
            sizes.append(record.size)
    typical = task.grid.rows * task.grid.columns * _BYTES_PER_CELL[plan.form]
    if len(sizes) >= _ENOUGH_FILES:
        typical = sum(sizes) / len(sizes)
    need = 0.0
    for file in plan.to_do:
        path = task.path(file)
        present = path.stat().st_size if path.is_file() else 0
        need += max(0.0, typical - present - PartialFile(path).size)
    return round(need)
