"""Running a method on a cut field, by default in a process of its own.

Only there is the peak memory the method's own, and a method that is killed for memory takes no
other down with it. The process gets the cut field alone: the truth is not in it.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.gapfill.field import FieldFill, GappyField
from seaice.gapfill.methods import METHODS, check_name, fill_maps, make_method
from seaice.scoring.gaps import HeldOut

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MethodRun:
    """Result of a method at the held-out cells.

    Attributes
    ----------
    label, method : str
        Name of the method in the scores, and in the registry.
    parameters : mapping
    values : ndarray, shape (cells,)
        In the order of ``np.flatnonzero(held_out.number)``; NaN where nothing was filled, and all
        NaN where the method did not run.
    flag : ndarray of uint8, shape (cells,)
        :class:`seaice.flags.FillFlag`.
    error : ndarray of float32, shape (cells,), or None
        Expected standard errors.
    notes : mapping
        Notes of the method on its result.
    seconds : float
        Duration of the call alone; NaN where it did not end.
    peak_memory : int or None
        Largest resident size of the process, bytes: interpreter, libraries and the field included.
        None where it had no process of its own.
    refused : str or None
        Reason why there is no result.
    """

    label: str
    method: str
    parameters: Mapping[str, Any]
    values: np.ndarray
    flag: np.ndarray
    error: np.ndarray | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = np.nan
    peak_memory: int | None = None
    refused: str | None = None


def run_methods(
    gappy: GappyField,
    held_out: HeldOut,
    methods: Mapping[str, Mapping[str, Any]],
    *,
    own_process: bool = True,
    work_dir: Path | None = None,
) -> list[MethodRun]:
    """Run every method on the field without its held-out cells.

    Parameters
    ----------
    gappy : GappyField
        The truth; it is not changed.
    held_out : HeldOut
    methods : mapping of str to mapping
        Label to parameters. The label is the name of the method, or ``method`` is among the
        parameters.
    own_process : bool
        False: one after the other here, without their peak memory.
    work_dir : Path, optional
        Where the cut field lies meanwhile, as large as the field in memory (one copy on disk
        instead of one in memory); by default the system's folder for temporary files.

    Raises
    ------
    InputError
        For no methods or unknown ones. What a method itself refuses is in its ``refused``.
    """
    jobs = {label: _job(label, parameters) for label, parameters in methods.items()}
    if not jobs:
        raise InputError(f"expected methods to score, found none; known are {', '.join(METHODS)}")
    cells = int(np.count_nonzero(held_out.number))
    with tempfile.TemporaryDirectory(prefix="seaice_scores_", dir=work_dir) as folder:
        cut = _Cut.write(gappy, held_out, Path(folder)) if own_process else held_out.cut(gappy)
        runs = []
        for label, (method, parameters) in jobs.items():
            empty = np.full(cells, np.nan, gappy.values.dtype), np.full(cells, 255, np.uint8)
            run = MethodRun(label, method, parameters, *empty)
            if isinstance(cut, _Cut):
                made = _run_apart(run, cut)
            else:
                made = _run_here(run, cut, held_out.number)
            logger.info("%s: %s", label, made.refused or f"{made.seconds:.1f} s")
            runs.append(made)
    return runs


def _job(label: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    own = dict(parameters)
    method = str(own.pop("method", label))
    check_name(method)
    return method, own


def _run_here(run: MethodRun, cut: GappyField, number: np.ndarray) -> MethodRun:
    """Run a method in this process; whatever it raises becomes its ``refused``."""
    try:
        fill, seconds = _fill(cut, run.method, run.parameters)
    except Exception as error:
        return replace(run, refused=_reason(error))
    mask = number > 0
    return replace(
        run,
        values=fill.values[mask],
        flag=fill.flag[mask],
        error=None if fill.error is None else fill.error[mask],
        notes=dict(fill.notes),
        seconds=seconds,
    )


def _fill(cut: GappyField, method: str, parameters: Mapping[str, Any]) -> tuple[FieldFill, float]:
    filling = make_method(method, parameters)  # its import is no work of the method
    before = time.perf_counter()
    fill = fill_maps(cut, filling)
    seconds = time.perf_counter() - before
    if fill.values.shape != cut.values.shape:
        raise InputError(f"{method} returned maps of {fill.values.shape}, not {cut.values.shape}")
    for made, given in zip(fill.values, cut.values, strict=True):
        seen = np.isfinite(given) & cut.sea
        if not np.array_equal(made[seen], given[seen]):
            raise InputError(f"{method} changed observed cells; its scores would mean nothing")
    return fill, seconds


def _reason(error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    logger.debug("a method failed", exc_info=error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


_ARRAYS = ("sea", "days", "latitude", "longitude")


@dataclass(frozen=True)
class _Cut:
    """A cut field on disk, for other processes to map."""

    folder: Path
    shape: tuple[int, ...]
    told: dict[str, Any]

    @staticmethod
    def write(gappy: GappyField, held_out: HeldOut, folder: Path) -> _Cut:
        shape = gappy.values.shape
        values = np.lib.format.open_memmap(
            folder / "values.npy", mode="w+", dtype=gappy.values.dtype, shape=shape
        )
        for t in range(shape[0]):
            values[t] = np.where(held_out.number[t] > 0, np.nan, gappy.values[t])
        values.flush()
        np.save(folder / "mask.npy", np.packbits(held_out.number > 0))
        for name in _ARRAYS:
            if getattr(gappy, name) is not None:
                np.save(folder / f"{name}.npy", getattr(gappy, name))
        arrays = (*_ARRAYS, "values")
        told = {f.name: getattr(gappy, f.name) for f in fields(gappy) if f.name not in arrays}
        return _Cut(folder, shape, told)

    def read(self) -> GappyField:
        # Copy on write: a method may scribble on its pages, and nobody else sees it.
        values = np.asarray(np.load(self.folder / "values.npy", mmap_mode="c"))
        more = {
            name: np.load(path) for name in _ARRAYS if (path := self.folder / f"{name}.npy").exists()
        }
        return GappyField(values=values, **self.told, **more)

    def number(self) -> np.ndarray:
        count = int(np.prod(self.shape))
        return np.unpackbits(np.load(self.folder / "mask.npy"), count=count).reshape(self.shape)


def _run_apart(run: MethodRun, cut: _Cut) -> MethodRun:
    # Spawn: a forked child would count our memory as its own and inherit our locks.
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(run, cut, sender), daemon=True)
    process.start()
    sender.close()
    try:
        made: MethodRun = receiver.recv()
        process.join()
    except EOFError:
        process.join()
        made = replace(
            run, refused=f"its process ended with status {process.exitcode} (killed for memory?)"
        )
    finally:
        process.kill()
        receiver.close()
    return made


def _child(run: MethodRun, cut: _Cut, sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    done = _run_here(run, cut.read(), cut.number())
    sender.send(replace(done, peak_memory=peak_memory()))
    sender.close()


def peak_memory() -> int | None:
    """Largest resident size this process has had, bytes; None where the system does not tell.

    It is read from Linux' own record, because ``ru_maxrss`` of a started process begins with the
    value of its parent.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    line = next((text for text in status.splitlines() if text.startswith("VmHWM:")), None)
    return None if line is None else int(line.split()[1]) * 1024
