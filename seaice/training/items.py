"""Parts of a sample as arrays: concentration, flags, weights, dates, ocean and position."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from numbers import Real
from typing import NamedTuple

import numpy as np

from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.training.chunks.arrays import shift_slice
from seaice.training.chunks.requests import FrameRequest, LookupTable, ValueConversion
from seaice.training.reader import CubeReader, Quantity
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
# The parts that consist of days of the cube, and the quantity that each is made from.
_PARTS_OF_DAYS: dict[str, Quantity] = {
    part: "flags" if part.endswith(("flags", "weights")) else "concentration"
    for part in PARTS
    if part.startswith(("input", "target"))
}


class SampleList(NamedTuple):
    """Samples of a Dataset: their days, and the region of the grid.

    Attributes
    ----------
    positions : ndarray of int64, shape (samples, Tin + Tout)
        Days of every sample as positions on the time axis of the cube, inputs then targets.
    dates : ndarray of int64, shape (samples, Tin + Tout)
        The same days as YYYYMMDD.
    input_length : int
        Tin, the number of input days.
    rows, columns : slice
        The region in the grid of the cube.
    land : ndarray of bool, shape (rows, columns)
        Land of the region.
    """

    positions: np.ndarray
    dates: np.ndarray
    input_length: int
    rows: slice
    columns: slice
    land: np.ndarray


class ItemBuilder:
    """Builder of the parts of several samples at a time.

    Parameters
    ----------
    reader : CubeReader
    samples : SampleList
    lookups : mapping of str to LookupTable
        Look-up table of every part that consists of days, see :func:`make_lookups`.
    land_value : float
        Value of land cells in inputs and targets.
    """

    def __init__(
        self, reader: CubeReader, samples: SampleList, lookups: dict[str, LookupTable], land_value: float
    ) -> None:
        self._reader, self._samples, self._lookups = reader, samples, lookups
        self._land_value = land_value

    def build(
        self, boxes: Sequence[tuple[int, slice, slice]], parts: Sequence[str], threads: int
    ) -> list[dict[str, np.ndarray]]:
        """Build parts of some samples; a chunk that several of them need is read once.

        Parameters
        ----------
        boxes : sequence of (number, rows, columns)
            Number of each sample, and its rectangle in the grid of the cube.
        parts : sequence of str
            Names out of ``PARTS``.
        threads : int
            See :func:`seaice.runtime.threads.for_each`.

        Returns
        -------
        list of dict of str to ndarray
            Parts that consist of days are (T, 1, rows, columns). All arrays are new.
        """
        requests: dict[Quantity, list[FrameRequest]] = {"concentration": [], "flags": []}
        items = [{part: self._build_part(part, *box, requests) for part in parts} for box in boxes]
        for quantity, of_quantity in requests.items():
            if of_quantity:
                self._reader.read(quantity, of_quantity, threads)
        return items

    def _build_part(
        self,
        part: str,
        number: int,
        rows: slice,
        columns: slice,
        requests: dict[Quantity, list[FrameRequest]],
    ) -> np.ndarray:
        """Build one part; of a part that consists of days return an empty array and add a request."""
        samples = self._samples
        in_region = shift_slice(rows, -samples.rows.start), shift_slice(columns, -samples.columns.start)
        if part == "dates":
            return samples.dates[number].copy()
        if part == "origin":
            return np.array([rows.start, columns.start])
        if part == "ocean":
            return (~samples.land[in_region]).astype(np.float32)[np.newaxis]
        days = samples.positions[number]
        split = samples.input_length
        days = days[:split] if part.startswith("input") else days[split:]
        land = np.ascontiguousarray(samples.land[in_region])
        lookup, quantity = self._lookups[part], _PARTS_OF_DAYS[part]
        # Allocated by numpy, which asks the kernel for large pages: a new full frame is cheaper so.
        out = np.empty((days.size, *land.shape), lookup.table.dtype)
        requests[quantity].append(
            FrameRequest(
                days.tolist(),
                rows,
                columns,
                out,
                lookup,
                land if quantity == "concentration" else None,
                self._land_value,
            )
        )
        return out[:, np.newaxis]


def make_lookups(
    reader: CubeReader,
    *,
    missing_value: float,
    statistics: Statistics | None,
    weights: np.ndarray | None,
) -> dict[str, LookupTable]:
    """Make the look-up tables of all parts that consist of days.

    Parameters
    ----------
    reader : CubeReader
    missing_value : float
        Value that replaces NaN, after normalisation.
    statistics : Statistics, optional
        Statistics that the inputs are normalised by. Targets stay fractions.
    weights : ndarray of float32, shape (256,), optional
        Weight of every flag code; None if no part needs flags.
    """
    mean = None if statistics is None else statistics.mean
    std = None if statistics is None else statistics.std
    lookups = {
        "inputs": reader.make_lookup("concentration", ValueConversion(mean, std, missing_value)),
        "targets": reader.make_lookup("concentration", ValueConversion(None, None, missing_value)),
    }
    if weights is not None:
        codes = reader.make_lookup("flags", np.asarray)
        weights_of_codes = reader.make_lookup("flags", partial(np.take, weights))
        for name in ("input", "target"):
            lookups |= {f"{name}_flags": codes, f"{name}_weights": weights_of_codes}
    return lookups


def check_parts(returns: Sequence[str], names: Sequence[str] = PARTS) -> tuple[str, ...]:
    """Return the names of parts as a tuple; InputError for anything but some of ``names``."""
    parts = () if isinstance(returns, str) or not isinstance(returns, Iterable) else tuple(returns)
    if not parts or any(part not in names for part in parts):
        raise InputError(f"expected returns as a list out of {', '.join(names)}, found {returns!r}")
    return parts


def make_flag_weights(cube: CubeFile, filled_weight: float) -> np.ndarray:
    """Make the table of weights by flag code: 1 observed, ``filled_weight`` filled, 0 land and missing.

    Parameters
    ----------
    cube : CubeFile
        Codes are taken from its own ``flag_meanings``.
    filled_weight : float

    Returns
    -------
    ndarray of float32, shape (256,)

    Raises
    ------
    InputError
        If ``filled_weight`` is not a number of at least 0.
    """
    if not isinstance(filled_weight, Real) or not 0 <= filled_weight < float("inf"):
        raise InputError(f"expected filled_weight as a number of at least 0, found {filled_weight!r}")
    weights = np.full(256, filled_weight, dtype=np.float32)
    weights[cube.flag_value("observed")] = 1
    weights[[cube.flag_value("land"), cube.flag_value("not_filled")]] = 0
    return weights
