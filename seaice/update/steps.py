"""The steps of a daily run: each is one call of a stage, as a person would type it."""

from __future__ import annotations

import logging
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seaice import InputError

logger = logging.getLogger(__name__)

# How long a stage may clear up after it was told to stop, seconds.
_STOP_SECONDS = 60
# Options that are given once for each value.
_REPEATED = ("base_url",)


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
        return cls(stage, values)

    def path(self, *names: str) -> Path | None:
        """The file or folder that the first of these options names; None where none is given."""
        return next((Path(self.values[name][-1]) for name in names if name in self.values), None)

    def refuse(self, *names: str) -> None:
        """InputError for options that the daily run sets itself."""
        own = [name for name in names if name in self.values]
        if own:
            raise InputError(f"{self.stage}: the daily run sets {own[0]} itself; leave it out")

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
        return shlex.join(["seaice", self.stage.replace("_", "-"), *self.words])

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

    def run(self) -> int:
        """Run the stage in a process of its own; returns its exit status.

        Its results are log lines of this run, its warnings and errors go to standard error. A daily
        run that is stopped stops the stage and waits until that has cleared up.
        """
        command = [*self._command, "--quiet"]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    logger.info("  %s", line.rstrip())
                return process.wait()
            except BaseException:
                process.terminate()
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                raise

    @property
    def _command(self) -> list[str]:
        return [sys.executable, "-m", "seaice", self.stage.replace("_", "-"), *self.words]
