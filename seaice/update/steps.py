"""The steps of a daily run: each is one call of a stage, as a person would type it."""

from __future__ import annotations

import logging
import re
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import seaice
from seaice import InputError
from seaice.cf import hide_secrets

logger = logging.getLogger(__name__)

# How long a stage may clear up after it was told to stop, seconds.
_STOP_SECONDS = 60
# Options that are given once for each value.
_REPEATED = ("base_url",)
# Options by which a stage does something else than its work.
_OTHER_WORK = ("help", "config", "write_config", "dry_run")
# What other stages call the input and the days; a stage takes these names too.
INPUTS = ("input_file", "input", "input_dir", "source_dir", "cube_file", "consolidated_file")
DAYS = ("start_date", "start", "end_date", "end")
# Options that name a file which the toolbox does not make on the way.
_FILES = (
    "land_mask_file", "mask_file", "weights", "error_table", "bad_days_file", "series_file",
    "climatology_file", "scores",
)  # fmt: skip
# Runs a stage of this very package, whatever modules the current folder holds.
_PROGRAM = "import sys; sys.path.append({!r}); from seaice.commands import main; sys.exit(main())"


@dataclass(frozen=True)
class StageOptions:
    """Options of a stage as given to the daily run.

    Attributes
    ----------
    stage : str
        Name of the stage, such as ``ice_index``.
    values : dict of str to tuple of str
        Values by option; several, where it was given several times.
    """

    stage: str
    values: dict[str, tuple[str, ...]]

    @classmethod
    def parse(cls, stage: str, assignments: Sequence[str]) -> StageOptions:
        """Read assignments such as ``output_dir=data``.

        Raises
        ------
        InputError
            If one is no assignment.

        Examples
        --------
        >>> StageOptions.parse("download", ["grid=n6250", "output-dir=data"]).values
        {'grid': ('n6250',), 'output_dir': ('data',)}
        """
        values: dict[str, tuple[str, ...]] = {}
        for assignment in assignments:
            name, equals, value = assignment.partition("=")
            name = name.strip().lstrip("-").replace("-", "_")
            if not name or not equals:
                raise InputError(
                    f"--{stage}: expected OPTION=VALUE such as output_dir=data, found {assignment!r}"
                )
            values[name] = (*values.get(name, ()), value)
        other = [name for name in _OTHER_WORK if name in values]
        if other:
            raise InputError(f"[{stage}] {other[0]} is for a run by hand; leave it out")
        return cls(stage, values)

    def path(self, *names: str) -> Path | None:
        """The file or folder that the first of these options names; None where none is given."""
        return next((Path(self.values[name][-1]) for name in names if name in self.values), None)

    def refuse(self, *names: str) -> None:
        """InputError for options that the daily run sets itself."""
        own = [name for name in names if name in self.values]
        if own:
            raise InputError(f"{self.stage}: the daily run sets {own[0]} itself; leave it out")

    def check_files(self) -> None:
        """InputError if a file is not there that must be, such as the land mask."""
        for name in _FILES:
            for text in self.values.get(name, ()):
                if not Path(text).exists():
                    raise InputError(f"[{self.stage}] {name}: no such file: {name_place(Path(text))}")

    def step(self, *words: object) -> Step:
        """The call of the stage with these options and further words of its command line."""
        return Step(self.stage, (*_list_words(self.values), *map(str, words)))


def _list_words(values: dict[str, tuple[str, ...]]) -> list[str]:
    words: list[str] = []
    for name, texts in values.items():
        if texts == ("true",):
            words.append(f"--{name}")
        elif len(texts) == 1 or name in _REPEATED:
            # A value may begin with a dash.
            words += [f"--{name}={text}" for text in texts if text != "false"]
        else:
            words += [f"--{name}", *texts]
    return words


@dataclass(frozen=True)
class Step:
    """One call of a stage.

    Examples
    --------
    >>> str(Step("ice_index", ("--input_file", "my cube.nc")))
    "seaice ice-index --input_file 'my cube.nc'"
    """

    stage: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return hide_secrets(shlex.join(["seaice", self.stage.replace("_", "-"), *self.words]))

    def check(self) -> None:
        """Raise InputError if the stage would refuse its command line; nothing is done."""
        with tempfile.TemporaryDirectory() as folder:
            options = Path(folder) / "options.toml"
            run = subprocess.run(
                [*self._command, "--write_config", str(options)], capture_output=True, text=True
            )
        if run.returncode:
            reason = run.stderr.strip().rpartition("error: ")[2] or f"exit status {run.returncode}"
            raise InputError(f"[{self.stage}] {' '.join(reason.split())}")

    def run(self) -> StepEnd:
        """Run the stage in a process of its own.

        What it prints becomes log lines of this run, its warnings and errors as warnings. A daily run
        that is stopped stops the stage and waits until that has cleared up.
        """
        troubles: list[str] = []

        def keep(line: str) -> None:
            line = _LOG_PREFIX.sub("", line)
            logger.warning("  %s: %s", self.stage, line)
            troubles.append(line)

        with subprocess.Popen(
            [*self._command, "--quiet"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            try:
                assert process.stdout is not None and process.stderr is not None
                reader = threading.Thread(target=_relay, args=(process.stderr, keep), daemon=True)
                reader.start()
                _relay(process.stdout, lambda line: logger.info("  %s", line))
                reader.join()
                return StepEnd(process.wait(), troubles)
            except BaseException:
                process.terminate()
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                raise

    @property
    def _command(self) -> list[str]:
        program = _PROGRAM.format(str(Path(seaice.__file__).parent.parent))
        return [sys.executable, "-P", "-c", program, self.stage.replace("_", "-"), *self.words]


class StepEnd(NamedTuple):
    """How a step ended.

    Attributes
    ----------
    status : int
        Exit status of the stage.
    troubles : list of str
        Its warnings and errors.
    """

    status: int
    troubles: list[str]


# Time and level at the beginning of a log line of a stage, which is a log line of this run.
_LOG_PREFIX = re.compile(r"^\S+Z (?:WARNING|ERROR) ")


def name_place(path: Path) -> str:
    """A path for a message; of a relative one the folder too in which it begins."""
    return str(path) if path.is_absolute() else f"{path} (from {Path.cwd()}, where this runs)"


def _relay(lines: Iterable[str], log: Callable[[str], None]) -> None:
    for line in lines:
        if line.strip():
            log(line.rstrip())
