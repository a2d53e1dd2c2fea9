"""Progress of a stage while it runs, and its report at the end."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

logger = logging.getLogger(__name__)

# Between estimates of the time left.
_ESTIMATE_SECONDS = 10


@dataclass
class Report:
    """The outcome of a stage.

    Attributes
    ----------
    lines : list of str
        What was done, for standard output.
    failed : list of str
        What failed, one line each: an output that was not written, or something that the same command
        may bring when it is run again.
    outputs : list of Path
        Files that were written or were complete before.
    values : dict
        Numbers of the outcome by name, for callers in Python.
    left_out : list of str
        What the outputs leave out although it was expected, one line each: days that the source does not
        have, files that were rejected. The outputs are written and record it.
    """

    lines: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    outputs: list[Path] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def exit_status(self, *, strict: bool = False) -> int:
        """Exit status of every stage: 0 done, 1 something failed.

        What is left out is no failure, so that a year with an absent day does not stop ``a && b``, make
        and ``set -e``; with ``strict`` it is one. A stage whose result is a verdict (a check of archives
        or of a cache) has 1 for a bad verdict.

        Examples
        --------
        >>> remarked = Report(left_out=["2024-01-06: not upstream"])
        >>> remarked.exit_status(), remarked.exit_status(strict=True)
        (0, 1)
        """
        return 1 if self.failed or (strict and self.left_out) else 0


@contextmanager
def add_picture(report: Report, path: Path, *, is_asked: bool = False) -> Iterator[None]:
    """Draw a picture beside the results of a stage, and list it among the outputs.

    The results do not depend on the picture: whatever goes wrong while it is drawn is a line of the
    report, and the stage goes on.

    Parameters
    ----------
    report : Report
    path : Path
    is_asked : bool
        Whether the user has asked for this picture: then it is an output that failed. A picture that
        comes with the results by itself is left out.

    Examples
    --------
    >>> report = Report()
    >>> with add_picture(report, Path("scores.png")):
    ...     raise ValueError("axis limits cannot be NaN")
    >>> report.left_out, report.outputs
    (['no picture scores.png: axis limits cannot be NaN'], [])
    """
    try:
        yield
    except Exception as error:
        logger.debug("no picture %s", path, exc_info=True)
        reason = " ".join(str(error).split()) or type(error).__name__
        lines = report.failed if is_asked else report.left_out
        lines.append(f"no picture {path}: {reason}")
    else:
        report.outputs.append(path)


class Progress:
    """Progress bar on a terminal; elsewhere one log line for every unit of work.

    Parameters
    ----------
    total : int
        Number of units of work.
    label : str
        Name of the work, in front of the bar.
    logger : logging.Logger
        Gets one line for every unit: of level INFO if standard error is no terminal, else of
        level DEBUG, because it would break the bar.
        Every 10 seconds such a line says about how long the rest takes.

    Attributes
    ----------
    shows_bar : bool
        Whether terminals get a bar; of the class, for all of them.
    """

    shows_bar = True

    def __init__(self, *, total: int, label: str, logger: logging.Logger) -> None:
        from tqdm import tqdm

        self._logger = logger
        self._level = logging.DEBUG if sys.stderr.isatty() else logging.INFO
        self._bar = tqdm(
            total=total, desc=label, disable=None if self.shows_bar else True, file=sys.stderr
        )
        self._total = total
        self._done = 0
        # Units that were done before cost no time: the clock starts with the first message.
        self._first: tuple[float, int] | None = None
        self._estimated = time.monotonic()
        self._redirection = ExitStack()

    def unit(self, message: str, *, count: int = 1) -> None:
        """Count ``count`` finished units and log ``message``."""
        self._done += count
        self._bar.update(count)
        text = f"{message}{self._time_left()}"
        self._logger.log(self._level, "[%d/%d] %s", self._done, self._total, text)

    def _time_left(self) -> str:
        now = time.monotonic()
        if self._first is None:
            self._first = now, self._done
        begin, before = self._first
        if now - self._estimated < _ESTIMATE_SECONDS or not before < self._done < self._total:
            return ""
        self._estimated = now
        seconds = (now - begin) / (self._done - before) * (self._total - self._done)
        return f"; about {_duration(seconds)} left"

    def __enter__(self) -> Progress:
        if not self._bar.disable:
            from tqdm.contrib.logging import logging_redirect_tqdm

            # Other messages go above the bar instead of through it.
            self._redirection.enter_context(logging_redirect_tqdm([logging.getLogger("seaice")]))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        self._redirection.close()


def _duration(seconds: float) -> str:
    """A duration in the unit that suits it.

    Examples
    --------
    >>> [_duration(s) for s in (0.2, 42, 400, 9000)]
    ['1 s', '42 s', '7 min', '2 h 30 min']
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def format_count(count: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is 1.

    Examples
    --------
    >>> format_count(1, "map"), format_count(0, "day"), format_count(2, "time step")
    ('1 map', '0 days', '2 time steps')
    """
    return f"{count} {noun}{'s' * (count != 1)}"


def make_printable(text: str) -> str:
    r"""Write what could steer a terminal or forge a line of a log as visible escapes.

    Control characters, line and paragraph separators, and marks that turn the direction of writing
    come from file names, identifiers and messages of other people's files and servers.

    Examples
    --------
    >>> print(make_printable("granule \x1b[2J\nok 9"))
    granule \x1b[2J\nok 9
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _PLAIN else repr(c)[1:-1] for c in text)


# Not printable by the rules of Unicode, and harmless: blanks of other widths.
_PLAIN = frozenset("\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}")


def describe_contents(folder: Path) -> str:
    """Describe what a folder holds in which nothing was recognised, for a message."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = [make_printable(str(path)) for path in sorted(islice(paths, 1000))]
    count = format_count(len(names), "file") if len(names) < 1000 else "many files"
    return f"it holds {count} ({listing(names, limit=3)})" if names else "it holds no file"


def listing(items: list[str], *, limit: int = 8) -> str:
    """Join names with commas; of a long list the first ones, and how many more there are.

    Examples
    --------
    >>> listing(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    if len(items) <= limit:
        return ", ".join(items)
    return f"{', '.join(items[:limit])} and {len(items) - limit} more"
