"""What an operator must know about the last days of a cube: late, absent, rejected, suspicious."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from datetime import date, timedelta

from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.dates import format_runs
from seaice.flags import DayStatus

logger = logging.getLogger(__name__)

# Words at the beginning of the reason of a day that is kept and looks wrong.
_SUSPICIOUS = "suspicious"
# How long an alarm command may take, seconds.
_COMMAND_SECONDS = 60


def list_alarms(cube: CubeFile, *, today: date, late_days: int, watch_days: int) -> list[str]:
    """List what is wrong with the last days of a cube, one line each.

    Parameters
    ----------
    cube : CubeFile
    today : date
    late_days : int
        The last observed day may be so many days before today.
    watch_days : int
        Days before today whose absence, rejection or suspicion is an alarm.
    """
    status = cube.variable("day_status")
    reasons = cube.texts("day_reason") if cube.has("day_reason") else [""] * len(cube.dates)
    days = list(zip(cube.dates, status, reasons, strict=True))
    observed = [day for day, code, _ in days if code == DayStatus.PRESENT]
    alarms = []
    if not observed or (today - observed[-1]).days > late_days:
        last = f"{observed[-1]}, {(today - observed[-1]).days} days ago" if observed else "none"
        alarms.append(f"late: the last observed day is {last} (expected at most {late_days})")
    watched = [entry for entry in days if entry[0] > today - timedelta(days=watch_days)]
    absent = [day for day, code, _ in watched if code == DayStatus.ABSENT]
    if absent:
        alarms.append(f"absent: {', '.join(format_runs(absent))}")
    for day, code, reason in watched:
        if code == DayStatus.REJECTED:
            alarms.append(f"rejected: {day}: {reason}")
        elif reason.startswith(_SUSPICIOUS):
            alarms.append(f"{day}: {reason}")
    return alarms


def run_alarm_command(command: str, alarms: Sequence[str]) -> str | None:
    """Run the command of an operator with the alarms on its standard input, one line each.

    No shell reads the command or the alarms, which may hold names of foreign files.

    Returns
    -------
    str or None
        What went wrong, in one line.

    Raises
    ------
    InputError
        If the command is no command line.
    """
    words = split_command(command)
    try:
        # A group of its own: what the command has started ends with it.
        with subprocess.Popen(words, stdin=subprocess.PIPE, text=True, process_group=0) as process:
            try:
                process.communicate("\n".join(alarms) + "\n", timeout=_COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return f"the alarm command was stopped after {_COMMAND_SECONDS} s"
    except OSError as error:
        return f"the alarm command cannot be run: {error}"
    logger.info("alarm command %s: exit status %d", words[0], process.returncode)
    status = process.returncode
    return f"the alarm command ended with exit status {status}" if status else None


def split_command(command: str) -> list[str]:
    """Split the command line of an operator into words; InputError if it is none."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"--alarm_command: {error}: {command}") from None
    if not words:
        raise InputError("--alarm_command: expected a command, found nothing")
    return words
