"""A folder of daily files as consecutive days, each present, absent or rejected."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seaice import InputError
from seaice.cf import is_simulated
from seaice.daily.health.judge import (
    DAYS_AFTER,
    DAYS_BEFORE,
    Finding,
    describe_findings,
    judge_day,
)
from seaice.daily.health.sample import HealthSample, sample_health
from seaice.daily.neighbours import (
    NEIGHBOUR_DAYS,
    DaySample,
    exceeds_limit,
    measure_vanished_share,
    sample_day,
)
from seaice.daily.source import BREMEN, DailyFile, DailySource, DayContent, choose_sources
from seaice.dates import DateRange, day_number, format_runs
from seaice.flags import DayStatus
from seaice.grids import Grid
from seaice.open_file import LARGEST_FILE
from seaice.report import format_count, listing
from seaice.runtime.digests import digest_file, digest_parts
from seaice.sources import RejectedDay
from seaice.sources.bremen import names
from seaice.sources.bremen.reader import SIMULATED_MARK, read_attributes

logger = logging.getLogger(__name__)

_SIMULATED = "simulated daily sea ice concentration grids (seaice.simulate), no observation"
_NO_REFERENCES = "none: the values are simulated"


@dataclass(frozen=True)
class DayRecord:
    """Status of a day and the file that it was read from.

    Attributes
    ----------
    day : date
    status : DayStatus
    reason : str
        Why the day is absent or rejected; of a present day what makes it suspicious, or empty.
    is_special : bool
        Whether the list of special days explains the absence or rejection.
    file : str
        Name of the file of the day; empty if there is none.
    sha256 : str
        Digest of that file, hexadecimal; empty if it was not requested.
    is_simulated : bool
        Whether the file says that its values are simulated.
    product : str
        Id of the product of that file; empty if there is none.
    """

    day: date
    status: DayStatus
    reason: str = ""
    is_special: bool = False
    file: str = ""
    sha256: str = ""
    is_simulated: bool = False
    product: str = ""


@dataclass(frozen=True)
class HealthRule:
    """How the health of days is judged.

    Attributes
    ----------
    rejects : bool
        Days with values in doubt are rejected; otherwise they are kept, with the reason.
    past_only : bool
        Only days before a day judge it.
    """

    rejects: bool = False
    past_only: bool = False


# Days before a day that judge it in any way.
JUDGING_DAYS = max(NEIGHBOUR_DAYS, DAYS_BEFORE)


class _Samples(NamedTuple):
    """What is kept of a day to judge the days around it."""

    cells: DaySample
    health: HealthSample | None


@dataclass(frozen=True)
class _Candidate:
    """A file that holds a day, and how it is read."""

    source: DailySource
    file: DailyFile

    @property
    def path(self) -> Path:
        return self.file.path


class DailyGrids:
    """Daily concentration files of one grid, read day by day.

    Parameters
    ----------
    source_dir : Path
        Folder of daily files, searched with its subfolders.
    period : DateRange
    grid : Grid, optional
        The grid to read. By default the grid of most of the files.
    grid_id : str, optional
        Use only files with this grid in their name.
    bad_days_file : Path, optional
        A user's own list of special days (:func:`seaice.sources.bremen.names.read_special_days`).
    product : sequence of str or Path
        Products to read, in order of preference; by default that of the folder
        (:func:`seaice.daily.source.choose_sources`).
    health : HealthRule, optional
        How the health of days is judged; by default not at all.

    Raises
    ------
    InputError
        If there is no file of the date range, or the files are on another grid than ``grid``.
    """

    def __init__(
        self,
        *,
        source_dir: Path,
        period: DateRange,
        grid: Grid | None = None,
        grid_id: str | None = None,
        bad_days_file: Path | None = None,
        product: Sequence[str | Path] = (),
        health: HealthRule | None = None,
    ) -> None:
        self.period = period
        self.health = health
        self.sources = choose_sources(source_dir, product)
        self._special = names.read_special_days(
            bad_days_file, packaged=any(source.name == BREMEN for source in self.sources)
        )
        self._candidates, self.unnamed = self._list_days(Path(source_dir), grid, grid_id)
        for line in describe_unnamed(self.unnamed):
            logger.warning(line)
        self.files = {day: files[0] for day, files in self._candidates.items()}
        # Files of the days around, also where only some days are selected: which worker reads a day
        # must not matter.
        self._around = self._candidates
        self._samples: dict[date, _Samples | None] = {}
        file_grid = _find_usual_grid(list(self.files.values()))
        if grid is not None and file_grid is not None and not grid.same_cells(file_grid):
            # Of a day with several files another one may be on the grid.
            second_choices = [file for files in self._candidates.values() for file in files[1:]]
            file_grid = _find_usual_grid(second_choices) or file_grid
        if grid is not None and file_grid is not None and not grid.same_cells(file_grid):
            raise InputError(
                f"the mask or cube is on {grid.describe_place()}, but the files in {source_dir} are on "
                f"{file_grid.describe_place()}; make a mask from files of the same grid"
            )
        self._grid = grid or file_grid
        self.source_dir = Path(source_dir)
        self._warn_of_absent_days()

    def _list_days(
        self, source_dir: Path, grid: Grid | None, grid_id: str | None
    ) -> tuple[dict[date, list[_Candidate]], list[Path]]:
        """Files of all sources by day, the best of the preferred source first."""
        candidates: dict[date, list[_Candidate]] = {}
        unnamed: list[Path] = []
        problems: list[InputError] = []
        for source in self.sources:
            try:
                days, others = source.list_days(source_dir, self.period, grid=grid, grid_id=grid_id)
            except InputError as error:
                problems.append(error)
                continue
            for day, files in days.items():
                candidates.setdefault(day, []).extend(_Candidate(source, file) for file in files)
            unnamed += others
        if not candidates:
            raise problems[0]
        # What one source does not know may be a file of the next.
        unnamed = [path for path in unnamed if not any(s.is_named(path) for s in self.sources)]
        return dict(sorted(candidates.items())), list(dict.fromkeys(unnamed))

    def _warn_of_absent_days(self) -> None:
        """Say before the work how many days have no file: the folder or the period may be wrong."""
        absent = [d for d in self.period if d not in self._candidates and d not in self._special.absent]
        if absent:
            runs = listing(format_runs(absent), limit=3)
            today = datetime.now(UTC).date()
            future = f"; it ends in the future (today is {today})" if self.period.end > today else ""
            logger.warning(
                "%d of %s without a file in %s: %s%s",
                len(absent),
                format_count(len(self.period), "day"),
                self.source_dir,
                runs,
                future,
            )

    def select(self, period: DateRange) -> DailyGrids:
        """Select the days of a shorter date range, for example for another process."""
        part = copy.copy(self)
        part.period, part._samples = period, {}
        part._candidates = {d: files for d, files in self._candidates.items() if d in period}
        part.files = {day: files[0] for day, files in part._candidates.items()}
        return part

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_samples": {}}

    @property
    def grid(self) -> Grid:
        """Grid of the files; raises InputError if none of them can be read."""
        if self._grid is None:
            problems = [self.read(day, with_digest=False)[1].reason for day in list(self.files)[:1]]
            raise InputError(
                f"not one of the {len(self.files)} daily files in {self.source_dir} can be read "
                f"({listing(problems)}); fetch them again"
            )
        return self._grid

    def read(
        self,
        day: date,
        *,
        out: np.ndarray | None = None,
        with_digest: bool = True,
        judge: bool = False,
    ) -> tuple[np.ndarray | None, DayRecord]:
        """Read a day; of several files of the day, the best one that can be read.

        Parameters
        ----------
        day : date
        out : ndarray of float32, shape (rows, columns), optional
            An array that may be used for the result.
        with_digest : bool
            Whether the record has the SHA-256 of the bytes that were read.
        judge : bool
            Whether the record tells what makes the day suspicious, if there is a rule of health. Where
            that rule rejects days, all are judged.

        Returns
        -------
        concentration : ndarray of float32, shape (rows, columns), or None
            Percent with NaN for missing (``out`` or another array); None if the day is
            absent or rejected.
        record : DayRecord
        """
        content, record = self.read_content(day, out=out, with_digest=with_digest, judge=judge)
        return (None if content is None else content.concentration), record

    def read_content(
        self,
        day: date,
        *,
        out: np.ndarray | None = None,
        with_digest: bool = True,
        judge: bool = False,
    ) -> tuple[DayContent | None, DayRecord]:
        """Read a day as :meth:`read`, with all that its file tells about it."""
        files = self._candidates.get(day)
        if files is None:
            special_reason = self._special.absent.get(day)
            reason = special_reason or "no file in the source folder"
            return None, DayRecord(day, DayStatus.ABSENT, reason, special_reason is not None)
        if day in self._special.bad:
            reason = self._special.bad[day]
            return None, self._reject(day, reason, is_special=True, with_digest=with_digest)
        reasons = []
        for candidate in files:
            try:
                octets = candidate.source.read_bytes(candidate.file)
                content = candidate.source.read(candidate.file, grid=self._grid, out=out, content=octets)
                samples = self._take_samples(day, content)
                self._check_neighbours(day, samples)
                findings = self.judge(day) if judge or self._rejects else []
                if self._rejects and any(finding.doubts_values for finding in findings):
                    raise RejectedDay(describe_findings(findings))
            except RejectedDay as error:
                reasons.append(str(error))
                continue
            if reasons:
                logger.warning(
                    "%s: %s is used, for %s: %s", day, candidate.path, files[0].path, reasons[0]
                )
            record = DayRecord(
                day,
                DayStatus.PRESENT,
                describe_findings(findings),
                file=candidate.path.name,
                sha256=_digest(candidate.path, octets) if with_digest else "",
                is_simulated=_is_simulated(candidate.path, octets),
                product=candidate.source.name,
            )
            return content, record
        return None, self._reject(day, reasons[0], is_special=False, with_digest=with_digest)

    @property
    def _rejects(self) -> bool:
        return self.health is not None and self.health.rejects

    def _take_samples(self, day: date, content: DayContent) -> _Samples:
        cells = sample_day(content.concentration, content.grid)
        if self.health is None:
            return _Samples(cells, None)
        return _Samples(cells, sample_health(content.concentration, content.grid, day_number(day)))

    def _check_neighbours(self, day: date, samples: _Samples) -> None:
        """Reject a day on which the ice around it is gone; see :mod:`seaice.daily.neighbours`."""
        self._keep_samples(day, samples)
        before = self._sample_cells(day, -1, NEIGHBOUR_DAYS)
        sides = [before or self._sample_cells(day, 1, 1)]
        sample = samples.cells
        if not sides[0] or not exceeds_limit(measure_vanished_share(sample, *sides), one_sided=False):
            return
        after = self._sample_cells(day, 1, NEIGHBOUR_DAYS)
        sides = [side for side in (before, after) if side]
        share = measure_vanished_share(sample, *sides)
        if exceeds_limit(share, one_sided=len(sides) == 1):
            raise RejectedDay(
                f"{share:.0%} of the ice of the days around is exactly 0 percent on this day alone"
            )

    def judge(self, day: date) -> list[Finding]:
        """Judge a day beside the days around it; see :func:`seaice.daily.health.judge.judge_day`.

        Returns
        -------
        list of Finding
            Empty for a healthy day, a day that cannot be read, and without a rule of health.
        """
        samples = self._sample_day(day)
        if self.health is None or samples is None or samples.health is None:
            return []
        past_only = self.health.past_only

        def sample_side(step: int, count: int) -> list[HealthSample]:
            samples = self._sample_days(day, step, count)
            return [near.health for near in samples if near.health is not None]

        before = sample_side(-1, DAYS_BEFORE)
        return judge_day(samples.health, before, lambda: [] if past_only else sample_side(1, DAYS_AFTER))

    def _sample_cells(self, day: date, step: int, count: int) -> list[DaySample]:
        return [samples.cells for samples in self._sample_days(day, step, count)]

    def _sample_days(self, day: date, step: int, count: int) -> list[_Samples]:
        """Samples of the days before (step -1) or after (step 1) a day that have a readable file."""
        days = [day + timedelta(days=step * number) for number in range(1, count + 1)]
        return [samples for near in days if (samples := self._sample_day(near)) is not None]

    def _sample_day(self, day: date) -> _Samples | None:
        if day not in self._around or day in self._special.bad:
            return None
        if day not in self._samples:
            samples = None
            for candidate in self._around[day]:
                try:
                    content = candidate.source.read(
                        candidate.file, grid=self._grid, out=None, content=None
                    )
                    samples = self._take_samples(day, content)
                    break
                except RejectedDay:
                    continue
            self._keep_samples(day, samples)
        return self._samples[day]

    def _keep_samples(self, day: date, samples: _Samples | None) -> None:
        """Keep the samples of a day, and forget those that are far from it."""
        reach = JUDGING_DAYS if self.health else NEIGHBOUR_DAYS
        for far_day in [d for d in self._samples if abs(d - day).days > reach + NEIGHBOUR_DAYS]:
            self._samples.pop(far_day, None)
        self._samples[day] = samples

    def _reject(self, day: date, reason: str, *, is_special: bool, with_digest: bool) -> DayRecord:
        name, sha256 = self.files[day].path.name, self.digest(day) if with_digest else ""
        return DayRecord(day, DayStatus.REJECTED, reason, is_special, name, sha256)

    def is_special(self, day: date) -> bool:
        """Whether the day is in the list of special days, absent or bad."""
        return day in self._special.absent or day in self._special.bad

    def is_bad(self, day: date) -> bool:
        """Whether the day is in the list of bad days."""
        return day in self._special.bad

    def make_signature(self, day: date, record: DayRecord | None = None) -> str:
        """Text that changes if a day would be read differently: names and digests of its files.

        Parameters
        ----------
        day : date
        record : DayRecord, optional
            Record of the day just read; its digest saves reading the only file again.
        """
        files = self._candidates.get(day, [])
        if not files:
            return f"absent: {self._special.absent.get(day, '')}"
        if record is None or len(files) > 1:
            digests = ", ".join(f"{file.path.name} {_digest(file.path)}" for file in files)
        else:
            digests = f"{record.file} {record.sha256}"
        return f"bad: {self._special.bad[day]} {digests}" if self.is_bad(day) else digests

    def describe_source(
        self, records: Iterable[DayRecord], earlier: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Describe where the values of some days come from, as global attributes.

        Parameters
        ----------
        records : iterable of DayRecord
        earlier : mapping, optional
            Global attributes of a file that the days are added to.
        """
        by_name = {source.name: source for source in self.sources}
        present = [record for record in records if record.status == DayStatus.PRESENT]
        observed = {record.product for record in present if not record.is_simulated}
        titles = {by_name[name].title for name in observed}
        references = {by_name[name].references for name in observed}
        if any(record.is_simulated for record in present):
            titles.add(_SIMULATED)
        if earlier is not None:
            titles |= set(str(earlier.get("source", "")).split("; ")) - {""}
            cited = str(earlier.get("references", "")).replace(_NO_REFERENCES, "")
            for text in sorted({source.references for source in self.sources}):
                references |= {text} if text in cited else set()
                cited = cited.replace(text, "")
            references |= {cited.strip("; ")} - {""}
        if not titles:
            titles, references = {self.sources[0].title}, {self.sources[0].references}
        return {
            "source": "; ".join(sorted(titles, key=lambda title: (title == _SIMULATED, title))),
            "references": "; ".join(sorted(references)) or _NO_REFERENCES,
        }

    def has_choice(self, day: date) -> bool:
        """Whether there are several files of the day."""
        return len(self._candidates.get(day, ())) > 1

    def digest(self, day: date, *, name: str = "") -> str:
        """SHA-256 of the file of a day, hexadecimal; empty without a file that can be read.

        If there are several files of the day, the best is used, or the one called ``name``.
        """
        for file in self._candidates.get(day, ()):
            if name in ("", file.path.name):
                return _digest(file.path)
        return ""


def _digest(path: Path, content: bytes | None = None) -> str:
    """SHA-256 of a file, or of its bytes where they were read; empty if it cannot be read."""
    if content is not None:
        return digest_parts([content])
    try:
        state = path.stat()
        # One too large to be read as a day would take hours.
        if state.st_size > LARGEST_FILE:
            return ""
        return _digest_state(path, state.st_mtime_ns, state.st_size)
    except OSError:
        return ""


@lru_cache(maxsize=64)  # a file of many days is asked for on each of them
def _digest_state(path: Path, _modified: int, _size: int) -> str:
    return digest_file(path)


def _is_simulated(path: Path, content: bytes | None) -> bool:
    """Whether a file says that its values are simulated."""
    if content is not None:
        return SIMULATED_MARK in content
    try:
        state = path.stat()
    except OSError:
        return False
    return _is_simulated_state(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _is_simulated_state(path: Path, _modified: int, _size: int) -> bool:
    return is_simulated(read_attributes(path))


def _find_usual_grid(files: list[_Candidate], *, sample: int = 5) -> Grid | None:
    """Find the grid of most of a few files, spread over the list; None if none can be read."""
    counts: Counter[Grid] = Counter()
    if not files:
        return None
    spread = sorted({round(i * (len(files) - 1) / max(1, sample - 1)) for i in range(sample)})
    for candidate in [files[i] for i in spread] + files:
        if counts and counts.total() >= min(sample, len(spread)):
            break
        try:
            counts[candidate.source.read_grid(candidate.file)] += 1
        except RejectedDay:
            continue
    return counts.most_common(1)[0][0] if counts else None


def describe_unnamed(paths: Sequence[Path]) -> list[str]:
    """Describe files that seem to be daily ones, but whose day is not known: one line, or none."""
    if not paths:
        return []
    return [
        f"{format_count(len(paths), 'file')} of daily data, it seems, not used, as neither name nor "
        f"content tells the day ({listing([path.name for path in paths])}); unpack what is packed, and "
        "name files as their product does, such as asi-AMSR2-GRID-YYYYMMDD-v5.4.nc"
    ]


def describe_days(
    records: Iterable[DayRecord], unnamed: Sequence[Path] = ()
) -> tuple[list[str], list[str]]:
    """Describe the days that are not present, and files that may be of such days.

    Returns
    -------
    lines : list of str
        Lines about days that are in a list of special days, and about suspicious days.
    left_out : list of str
        Lines about all others: their files should be fetched, or examined and fetched again.
    """
    lines: list[str] = []
    left_out: list[str] = []
    absent: dict[tuple[bool, str], list[date]] = {}
    for record in records:
        if record.status == DayStatus.ABSENT:
            absent.setdefault((record.is_special, record.reason), []).append(record.day)
        elif record.status == DayStatus.REJECTED:
            text = f"{record.day} rejected ({record.file}): {record.reason}"
            (lines if record.is_special else left_out).append(text)
        elif record.reason:
            lines.append(f"{record.day} kept, but {record.reason}")
    for (is_special, reason), days in absent.items():
        (lines if is_special else left_out).append(f"absent, {reason}: {listing(format_runs(days))}")
    return lines, left_out + describe_unnamed(unnamed)
