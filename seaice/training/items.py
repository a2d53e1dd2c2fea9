"""The parts of an item as arrays: fields, flags, weights, dates, and where they come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from numbers import Real
from typing import NamedTuple

import numpy as np

from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.training.chunks.arrays import shifted
from seaice.training.chunks.requests import (
    FrameRequest,
    LookupTable,
    ValueConversion,
)
from seaice.training.reader import (
    CubeReader,
    Name,
)
from seaice.training.splits import Statistics

PARTS = (
    "inputs",
    "targets",
    "dates",
    "ocean",
    "input_flags",
    "target_flags",
    "input_weights",
    "target_weights",
    "origin",
)
# Those that are days of fields, by what they are made of.
FIELDS: dict[str, Name] = {
    part: "flags" if part.endswith(("flags", "weights")) else "concentration"
    for part in PARTS
    if part.startswith(("input", "target"))
}


class Samples(NamedTuple):
    """The samples of a Dataset.

    Attributes
    ----------
    positions : ndarray of int64, shape (samples, Tin + Tout)
        Days on the cube's time axis, inputs then targets.
    dates : ndarray of int64, shape (samples, Tin + Tout)
        The same days as YYYYMMDD.
    input_length : int
        Tin.
    rows, columns : slice
        Of the region in the cube's grid.
    land : ndarray of bool, shape (rows, columns)
        In the region.
    """

    positions: np.ndarray
    dates: np.ndarray
    input_length: int
    rows: slice
    columns: slice
    land: np.ndarray


class ItemArrays:
    """Makes the parts of items, of several at once.

    Parameters
    ----------
    reader : CubeReader
    samples : Samples
    paints : mapping
        What becomes of the stored values, for every part that is days of fields.
    land_value : float
        Of inputs and targets.
    """

    def __init__(
        self, reader: CubeReader, samples: Samples, paints: dict[str, LookupTable], land_value: float
    ) -> None:
        self._reader, self._samples, self._paints = reader, samples, paints
        self._land_value = land_value

    def make(
        self, boxes: Sequence[tuple[int, slice, slice]], parts: Sequence[str], threads: int
    ) -> list[dict[str, np.ndarray]]:
        """The named parts of some samples; what several of them need is read once.

        Parameters
        ----------
        boxes : sequence of (number, rows, columns)
            Of a sample, and the part of the cube's grid that is taken.
        parts : sequence of str
            Out of ``PARTS``.
        threads : int
            See :func:`seaice.runtime.threads.each`.

        Returns
        -------
        list of dict
            Fields are (T, 1, rows, columns). Every array is the caller's own.
        """
        wanted: dict[Name, list[FrameRequest]] = {"concentration": [], "flags": []}
        made = [{part: self._part(part, *box, wanted) for part in parts} for box in boxes]
        for name, frames in wanted.items():
            if frames:
                self._reader.read(name, frames, threads)
        return made

    def _part(
        self, part: str, number: int, rows: slice, columns: slice, wanted: dict[Name, list[FrameRequest]]
    ) -> np.ndarray:
        samples = self._samples
        inside = shifted(rows, -samples.rows.start), shifted(columns, -samples.columns.start)
        if part == "dates":
            return samples.dates[number].copy()
        if part == "origin":
            return np.array([rows.start, columns.start])
        if part == "ocean":
            return (~samples.land[inside]).astype(np.float32)[np.newaxis]
        days = samples.positions[number]
        days = days[: samples.input_length] if part.startswith("in") else days[samples.input_length :]
        land = np.ascontiguousarray(samples.land[inside])
        paint = self._paints[part]
        # By numpy: it asks the kernel for large pages, which makes a new full frame cheaper.
        out = np.empty((days.size, *land.shape), paint.table.dtype)
        over_land = land if FIELDS[part] == "concentration" else None
        wanted[FIELDS[part]].append(
            FrameRequest(days.tolist(), rows, columns, out, paint, over_land, self._land_value)
        )
        return out[:, np.newaxis]


def paints_of(
    reader: CubeReader,
    *,
    missing_value: float,
    statistics: Statistics | None,
    weights: np.ndarray | None,
) -> dict[str, LookupTable]:
    """What becomes of stored values in every part that is days of fields.

    Parameters
    ----------
    reader : CubeReader
    missing_value : float
        In the place of NaN, put in after normalisation.
    statistics : Statistics, optional
        Of the inputs alone.
    weights : ndarray of float32, shape (256,), optional
        Of every flag code; None where no flags are wanted.
    """
    mean = None if statistics is None else statistics.mean
    std = None if statistics is None else statistics.std
    paints = {
        "inputs": reader.paint("concentration", ValueConversion(mean, std, missing_value)),
        "targets": reader.paint("concentration", ValueConversion(None, None, missing_value)),
    }
    if weights is not None:
        as_they_are = reader.paint("flags", np.asarray)
        weighed = reader.paint("flags", partial(np.take, weights))
        for name in ("input", "target"):
            paints |= {f"{name}_flags": as_they_are, f"{name}_weights": weighed}
    return paints


def known_parts(returns: Sequence[str]) -> tuple[str, ...]:
    """Names out of ``PARTS``; InputError for anything else."""
    parts = () if isinstance(returns, str) or not isinstance(returns, Iterable) else tuple(returns)
    if not parts or any(part not in PARTS for part in parts):
        raise InputError(f"expected returns as a list out of {', '.join(PARTS)}, found {returns!r}")
    return parts


def flag_weights(cube: CubeFile, filled_weight: float) -> np.ndarray:
    """Weight of every flag code, float32 (256,); codes are read by meaning.

    Raises
    ------
    InputError
        If the weight of a filled value is no number of at least 0.
    """
    if not isinstance(filled_weight, Real) or not 0 <= filled_weight < float("inf"):
        raise InputError(f"expected filled_weight as a number of at least 0, found {filled_weight!r}")
    weights = np.full(256, filled_weight, dtype=np.float32)
    weights[cube.flag_value("observed")] = 1
    weights[[cube.flag_value("land"), cube.flag_value("not_filled")]] = 0
    return weights
