"""Nine days with their mask and cube, and stages called as a user calls them."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import xarray as xr
from days import make_folder

DATES = ("--start_date", "20240101", "--end_date", "20240109")
REFUSALS = (1, 2)


@dataclass(frozen=True)
class Outcome:
    """Exit status of a stage and all that it printed."""

    status: int
    text: str

    @property
    def messages(self) -> list[str]:
        """Lines that are no progress."""
        return [line for line in self.text.splitlines() if line.strip() and " INFO " not in line]


@contextmanager
def limit(seconds: int) -> Iterator[None]:
    """An alarm, so that a reader that waits for ever fails its test."""

    def stop(*_: object) -> None:
        raise TimeoutError("still busy")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def call(stage: str, *arguments: object) -> Outcome:
    """Run a stage in this process; a traceback of it is one of the test."""
    stream = io.StringIO()
    with redirect_stdout(stream), redirect_stderr(stream):
        try:
            status = import_module(f"seaice.commands.{stage}").main([str(a) for a in arguments])
        except SystemExit as end:
            status = end.code
    outcome = Outcome(int(status or 0), stream.getvalue())
    assert "Traceback" not in outcome.text, outcome.text
    assert "unexpected" not in outcome.text, outcome.text
    return outcome


def succeed(stage: str, *arguments: object) -> Outcome:
    """Run a stage that has to end well."""
    outcome = call(stage, *arguments)
    assert outcome.status == 0, outcome.text
    return outcome


def refuse(stage: str, *arguments: object, words: Sequence[str] = ()) -> Outcome:
    """Run a stage that has to end with a status of failure and one line that says why."""
    outcome = call(stage, *arguments)
    assert outcome.status in REFUSALS, outcome.text
    reason = outcome.messages[-1]
    assert len(reason) < 1000, reason
    for word in words:
        assert word in reason, f"{word} not in {reason}"
    return outcome


def make_base(path: Path) -> Path:
    """Folder with days, mask.nc, cube.nc and index.csv; the fifth day is absent."""
    make_folder(path / "days", days=9, absent=(4,))
    succeed("create_mask", "--source_dir", path / "days", *DATES, "--output_file", path / "mask.nc")
    consolidate(path / "days", path / "mask.nc", path / "cube.nc")
    write_series(path / "cube.nc", path / "index.csv")
    return path


def consolidate(days: Path, mask: Path, output: Path, *more: object) -> Outcome:
    """Run consolidate_data.py on nine days."""
    return call(
        "consolidate_data",
        "--source_dir",
        days,
        *DATES,
        "--land_mask_file",
        mask,
        "--output_file",
        output,
        *more,
    )


def write_series(cube: Path, csv: Path) -> Outcome:
    """Run ice_index.py."""
    return call("ice_index", "--input_file", cube, "--output_csv", csv, "--force")


def load_decoded(path: Path) -> xr.Dataset:
    """Contents of a file, decoded by xarray, in memory and without a memory of its packing."""
    with xr.open_dataset(path) as dataset:
        dataset.load()
    for name in ("day_reason", "input_file", "input_sha256"):
        if name in dataset:  # lengths of texts that xarray would compare
            dataset[name].encoding = {}
    return dataset


def write_again(
    path: Path, output: Path, change: Callable[[xr.Dataset], xr.Dataset], **more: object
) -> Path:
    """Write a file again by xarray after a change of the decoded contents."""
    change(load_decoded(path)).to_netcdf(output, **more)
    return output
