"""Progress of a stage while it runs, and its report at the end."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any


@dataclass
class Report:
    """The outcome of a stage.

    Attributes
    ----------
    lines : list of str
        What was done, for standard output.
    failed : list of str
        What failed or is missing, one line each. With any line here the exit status is 1.
    outputs : list of Path
        Files that were written or were complete before.
    values : dict
        Numbers of the outcome by name, for callers in Python.
    """

    lines: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    outputs: list[Path] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """Exit status: 0 all done, 1 something failed or is missing."""
        return 1 if self.failed else 0


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
    """

    def __init__(self, *, total: int, label: str, logger: logging.Logger) -> None:
        from tqdm import tqdm

        self._logger = logger
        self._level = logging.DEBUG if sys.stderr.isatty() else logging.INFO
        self._bar = tqdm(total=total, desc=label, disable=None, file=sys.stderr)
        self._total = total
        self._done = 0
        self._redirection = ExitStack()

    def unit(self, message: str, *, count: int = 1) -> None:
        """Count ``count`` finished units and log ``message``."""
        self._done += count
        self._bar.update(count)
        self._logger.log(self._level, "[%d/%d] %s", self._done, self._total, message)

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
