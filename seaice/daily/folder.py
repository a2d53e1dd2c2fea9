"""A folder of daily grids as a run of calendar days, each present, absent or rejected."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.dates import DateRange
from seaice.flags import DayStatus
from seaice.grids import Grid
from seaice.report import listing
from seaice.runtime.digests import digest_file
from seaice.sources.bremen import names
from seaice.sources.bremen.reader import (
    read_day,
    read_grid_of,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DayRecord:
    """What was found for one day.

    Attributes
    ----------
    day : date
    status : DayStatus
    reason : str
        Why the day is absent or rejected, else empty.
    known : bool
        The absence or rejection stands in the list of special days.
    file : str
        Name of the day's file, empty if there is none.
    sha256 : str
        Digest of that file, hexadecimal; empty if it was not asked for.
    """

    day: date
    status: DayStatus
    reason: str = ""
    known: bool = False
    file: str = ""
    sha256: str = ""


class DailyGrids:
    """Daily concentration files of one grid, read day by day.

    Parameters
    ----------
    source_dir : Path
        Folder of daily files, searched with its subfolders.
    period : DateRange
    grid : Grid, optional
        The grid wanted. By default the one that most of the files are on.
    grid_id : str, optional
        Take only files whose name says this grid.
    bad_days_file : Path, optional
        The user's own list of special days (:func:`seaice.sources.bremen.names.read_special_days`).

    Raises
    ------
    InputError
        If there is no file of the period, or the files are on another grid than wanted.
    """

    def __init__(
        self,
        *,
        source_dir: Path,
        period: DateRange,
        grid: Grid | None = None,
        grid_id: str | None = None,
        bad_days_file: Path | None = None,
    ) -> None:
        self.period = period
        self._special = names.read_special_days(bad_days_file)
        wanted = grid_id or (grid.id if grid is not None and grid.id in _named_grids() else None)
        # Absolute: the days may be read by another process, in another folder.
        found = names.list_days(Path(source_dir), period, grid_id=wanted)
        self._candidates = {
            day: [replace(file, path=file.path.absolute()) for file in files]
            for day, files in found.items()
        }
        self.files = {day: files[0] for day, files in self._candidates.items()}
        usual = _usual_grid([f.path for f in self.files.values()])
        if grid is not None and usual is not None and not grid.same_cells(usual):
            others = [f.path for files in self._candidates.values() for f in files[1:]]
            usual = _usual_grid(others) or usual
        if grid is not None and usual is not None and not grid.same_cells(usual):
            raise InputError(
                f"the mask or cube is on {grid}, but the files in {source_dir} are on {usual}; "
                "make a mask from files of the same grid"
            )
        self._grid = grid or usual
        self.source_dir = Path(source_dir)

    def within(self, period: DateRange) -> DailyGrids:
        """The days of a shorter period, to be read elsewhere."""
        part = copy.copy(self)
        part.period = period
        part._candidates = {d: files for d, files in self._candidates.items() if d in period}
        part.files = {day: files[0] for day, files in part._candidates.items()}
        return part

    @property
    def grid(self) -> Grid:
        """The grid of the files; InputError if not one of them can be read."""
        if self._grid is None:
            problems = [self.read(day, with_digest=False)[1].reason for day in list(self.files)[:1]]
            raise InputError(
                f"not one of the {len(self.files)} daily files in {self.source_dir} can be read "
                f"({listing(problems)}); fetch them again with download.py"
            )
        return self._grid

    def read(
        self, day: date, *, out: np.ndarray | None = None, with_digest: bool = True
    ) -> tuple[np.ndarray | None, DayRecord]:
        """Read a day; where several files hold it, the best one that can be used.

        Parameters
        ----------
        day : date
        out : ndarray of float32, shape (rows, columns), optional
            An array that may be used for the result.
        with_digest : bool
            Have the SHA-256 of the file in the record, which takes a second look at its bytes.

        Returns
        -------
        concentration : ndarray of float32, shape (rows, columns), or None
            Percent with NaN for missing (``out`` or another array); None if the day is
            absent or rejected.
        record : DayRecord
        """
        files = self._candidates.get(day)
        if files is None:
            known = self._special.absent.get(day)
            reason = known or "no file in the source folder"
            return None, DayRecord(day, DayStatus.ABSENT, reason, known is not None)
        if day in self._special.bad:
            return None, self._rejected(day, self._special.bad[day], known=True, digest=with_digest)
        reasons = []
        for file in files:
            try:
                concentration, _ = read_day(file.path, grid=self._grid, out=out)
            except names.RejectedDay as error:
                reasons.append(str(error))
                continue
            if reasons:
                logger.warning("%s: %s is used, for %s: %s", day, file.path, files[0].path, reasons[0])
            sha256 = _sha256(file.path) if with_digest else ""
            return concentration, DayRecord(day, DayStatus.PRESENT, file=file.path.name, sha256=sha256)
        return None, self._rejected(day, reasons[0], known=False, digest=with_digest)

    def _rejected(self, day: date, reason: str, *, known: bool, digest: bool) -> DayRecord:
        name, sha256 = self.files[day].path.name, self.digest(day) if digest else ""
        return DayRecord(day, DayStatus.REJECTED, reason, known, name, sha256)

    def is_known(self, day: date) -> bool:
        """Whether the day stands in the list of special days."""
        return day in self._special.absent or day in self._special.bad

    def is_bad(self, day: date) -> bool:
        """Whether the day stands in the list of bad days."""
        return day in self._special.bad

    def signature(self, day: date, record: DayRecord | None = None) -> str:
        """What the reading of a day depends on: the names and digests of its files.

        Parameters
        ----------
        day : date
        record : DayRecord, optional
            Of the day just read; saves reading its only file again.
        """
        files = self._candidates.get(day, [])
        if not files:
            return f"absent: {self._special.absent.get(day, '')}"
        if record is None or len(files) > 1:
            told = self._digests(files)
        else:
            told = f"{record.file} {record.sha256}"
        return f"bad: {self._special.bad[day]} {told}" if self.is_bad(day) else told

    def _digests(self, files: list[names.DayFile]) -> str:
        return ", ".join(f"{file.path.name} {_sha256(file.path)}" for file in files)

    def has_choice(self, day: date) -> bool:
        """Whether several files hold the day."""
        return len(self._candidates.get(day, ())) > 1

    def digest(self, day: date, *, name: str = "") -> str:
        """SHA-256 of a day's file, hexadecimal; empty if it has none or cannot be read.

        Of several files of the day it is that of the best, or of the one called ``name``.
        """
        for file in self._candidates.get(day, ()):
            if name in ("", file.path.name):
                return _sha256(file.path)
        return ""


def _sha256(path: Path) -> str:
    try:
        return digest_file(path)
    except OSError:
        return ""


def _named_grids() -> set[str]:
    from seaice.grids import list_grid_ids

    return {g for g in list_grid_ids() if g[0] in "ns"}


def _usual_grid(paths: list[Path], *, looks: int = 5) -> Grid | None:
    """The grid most of a few files are on, spread over the list; None if none can be read."""
    found: Counter[Grid] = Counter()
    if not paths:
        return None
    order = sorted({round(i * (len(paths) - 1) / max(1, looks - 1)) for i in range(looks)})
    for path in [paths[i] for i in order] + paths:
        if found and sum(found.values()) >= min(looks, len(order)):
            break
        try:
            found[read_grid_of(path)] += 1
        except names.RejectedDay:
            continue
    return found.most_common(1)[0][0] if found else None


def describe_days(records: Iterable[DayRecord]) -> tuple[list[str], list[str]]:
    """Report lines for days that are not present: (for information, to be called failures).

    A rejected day that stands in no list of known bad days is a failure: its file should
    be looked at or fetched again.
    """
    lines: list[str] = []
    failed: list[str] = []
    absent: dict[str, list[str]] = {}
    for record in records:
        if record.status == DayStatus.ABSENT:
            absent.setdefault(record.reason, []).append(str(record.day))
        elif record.status == DayStatus.REJECTED:
            text = f"{record.day} rejected ({record.file}): {record.reason}"
            (lines if record.known else failed).append(text)
    for reason, days in absent.items():
        lines.append(f"absent, {reason}: {listing(days)}")
    return lines, failed
