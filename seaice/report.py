"""What a stage says while it works and when it is done."""

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
        What was made, for standard output.
    failed : list of str
        What failed or is missing although it was asked for, one line each.
        Anything here makes the exit status 1.
    outputs : list of Path
        Files written (or found complete).
    values : dict
        Numbers a caller may want, by name.
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
    """A bar on a terminal, one log line per unit of work anywhere else.

    Parameters
    ----------
    total : int
        Number of units.
    label : str
        What a unit is, for the bar.
    logger : logging.Logger
        Receives one INFO line per unit when standard error is no terminal
        (on a terminal the lines go to DEBUG, so that they do not tear the bar).
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
    """Join names for one line, cutting a long list and saying how long it was.

    Examples
    --------
    >>> listing(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    if len(items) <= limit:
        return ", ".join(items)
    return f"{', '.join(items[:limit])} and {len(items) - limit} more"
