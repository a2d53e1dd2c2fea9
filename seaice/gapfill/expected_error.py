"""The expected standard error of a filled concentration, by how it came about and what is around.

The logarithm of the error is linear in a few terms (:data:`TERMS`): how rough the field is about
the cell, how far apart the two values lie that a fill in time runs between, how many days away
they are, how far the cell is from anything observed or filled in time, and the value itself.
For each way of filling there are two sets of coefficients: for values between 5 and 95 percent,
and for open water and closed ice, most of which are exactly right. They stand in a table that
``fill_gaps.py calibrate`` makes from gaps cut into observed fields, with what it was made from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill import Filled, select_cells
from seaice.gapfill.ocean_cells import OceanCells
from seaice.runtime.digests import digest_parts
from seaice.runtime.json_files import parse_json
from seaice.runtime.threads import each_band

TERMS = (
    "one",
    "roughness",
    "roughness squared",
    "change",
    "change squared",
    "roughness times change",
    "days to the nearer value",
    "days from value to value",
    "mixture",
    "concentration",
    "concentration squared",
    "distance",
)
# Concentration between these is a mixture of ice and water, percent.
LOW, HIGH = 5.0, 95.0
# An error is stored in steps of half a percent, one byte. 255 is none: read as a signed byte it is -1,
# the fill value of the variable.
STEP, MOST, NONE = 0.5, 127, 255
PACKAGED = Path(__file__).with_name("expected_error.json")
_NEEDS_DISTANCE = (FillFlag.SPACETIME_GAUSSIAN, FillFlag.POLE_HOLE)
# The distance is searched for cell by cell where it is asked for at less than this share of the cells
# and is no larger than so many steps; otherwise two sweeps over the grid are quicker.
_FEW, _FAR = 0.05, 64


@dataclass(frozen=True)
class ErrorTable:
    """Coefficients of the expected error.

    Attributes
    ----------
    models : mapping of FillFlag to ndarray of float64, shape (2, terms)
        Coefficients of the logarithm of the error in percent, for mixtures and for the rest.
    made_of : mapping
        Field, seeds, days and coverage of the calibration.
    """

    models: Mapping[FillFlag, np.ndarray]
    made_of: Mapping[str, Any]

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Models by flag, float64 (256, 2, terms), and which flags have one, bool (256,)."""
        models, has_model = np.zeros((256, 2, len(TERMS))), np.zeros(256, bool)
        for flag, model in self.models.items():
            models[flag], has_model[flag] = model, True
        return models, has_model

    @property
    def digest(self) -> str:
        """The start of the SHA-256 of the table, kept in the parameters of a cube."""
        return digest_parts([self.to_json()])[:16]

    def to_json(self) -> str:
        """The table as a text; :func:`read_table` reads it."""
        models = {
            flag.name.lower(): {
                kind: {t: round(float(c), 6) for t, c in zip(TERMS, model[i], strict=True)}
                for i, kind in enumerate(("mixture", "pure"))
            }
            for flag, model in self.models.items()
        }
        return json.dumps({"made_of": dict(self.made_of), "models": models}, indent=1)


def read_table(path: Path | None = None) -> ErrorTable:
    """Read a table; by default the one of this package.

    Raises
    ------
    InputError
        If the file is missing or no such table.
    """
    return _read(Path(path)) if path else _packaged()


@lru_cache(maxsize=1)
def _packaged() -> ErrorTable:
    return _read(PACKAGED)


def _read(path: Path) -> ErrorTable:
    try:
        stored = parse_json(path.read_text(encoding="utf-8"))
        models = {
            FillFlag[name.upper()]: np.array(
                [[kinds[kind][term] for term in TERMS] for kind in ("mixture", "pure")], np.float64
            )
            for name, kinds in stored["models"].items()
        }
        return ErrorTable(models, dict(stored["made_of"]))
    except FileNotFoundError:
        raise InputError(
            f"no such table of errors: {path}; make one with fill_gaps.py calibrate"
        ) from None
    except UnicodeDecodeError:  # its text holds the whole file
        raise InputError(f"{path} is no table of fill_gaps.py calibrate, it is no text") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no table of fill_gaps.py calibrate ({error!r})") from None


def of_day(day: Filled, table: ErrorTable) -> np.ndarray:
    """Expected standard error of the filled values of one day.

    Parameters
    ----------
    day : Filled
        Arrays of shape (rows, columns), values in percent.
    table : ErrorTable

    Returns
    -------
    ndarray of uint8, shape (rows, columns)
        In steps of half a percent, rounded up, at most 63.5 percent; 255 for observed cells,
        land, what is missing and flags that have no model in the table.
    """
    vectors, cells = _flatten(day)
    return of_cells(vectors, cells, np.arange(len(cells), dtype=np.int32), table).reshape(day.flag.shape)


def of_cells(day: Filled, cells: OceanCells, gaps: np.ndarray, table: ErrorTable) -> np.ndarray:
    """Expected standard error as :func:`of_day`, of a day as vectors of ocean cells.

    ``gaps`` are the numbers of the cells that may have been filled, int32, in order.
    """
    from seaice.gapfill import _error_kernels

    models, has_model = table.arrays()
    error = np.full(day.flag.shape, NONE, np.uint8)
    where = (gaps, cells.rows, cells.columns, _distance_of_cells(day, cells, gaps))
    rule = (cells.index, cells.inner, models, has_model, LOW, HIGH, STEP, MOST)
    each_band(_error_kernels.expected_error, len(gaps), *where, *day, *rule, error)
    return error


def pack(error: np.ndarray) -> np.ndarray:
    """Pack standard errors as cubes store them.

    Parameters
    ----------
    error : ndarray of float
        Percent; NaN is not known.

    Returns
    -------
    ndarray of uint8, same shape
        In steps of half a percent, rounded up, at most 63.5 percent; 255 where not known.

    Examples
    --------
    >>> pack(np.array([0.0, 1.2, 99.0, np.nan])).tolist()
    [0, 3, 127, 255]
    """
    is_known = ~np.isnan(error)
    # A hundredth of a step is the rounding of a packed file, no larger error.
    steps = np.ceil(np.where(is_known, error, 0) / STEP - 0.01)
    return np.where(is_known, np.clip(steps, 0, MOST), NONE).astype(np.uint8)


def terms_of(day: Filled, chosen: np.ndarray) -> np.ndarray:
    """The terms of some filled cells.

    Parameters
    ----------
    day : Filled
        As for :func:`of_day`.
    chosen : ndarray of int64, shape (n, 2)
        Rows and columns.

    Returns
    -------
    ndarray of float64, shape (n, terms)
    """
    from seaice.gapfill import _error_kernels

    vectors, cells = _flatten(day)
    numbers = np.ravel_multi_index(tuple(chosen.T), day.flag.shape)
    distance = distance_of(day).reshape(-1)
    terms = np.empty((len(chosen), len(TERMS)))
    roughness = np.empty(len(chosen))
    where = (numbers, cells.rows, cells.columns)
    _error_kernels.measure_roughness(*where, vectors.values, cells.index, cells.inner, roughness)
    fields = (vectors.values, vectors.days_back_forward, vectors.change)
    _error_kernels.error_terms(numbers, roughness, distance, *fields, terms)
    return terms


def distance_of(day: Filled) -> np.ndarray:
    """Steps of every cell to the nearest one observed or filled in time, uint8, at most 255.

    0 everywhere on days that were filled in time alone, whose errors do not depend on it.
    """
    from seaice.gapfill import _error_kernels

    distance = np.zeros(day.flag.shape, np.uint8)
    if any((day.flag == flag).any() for flag in _NEEDS_DISTANCE):
        vectors, cells = _flatten(day)
        _error_kernels.distance_in_time_filled(vectors.flag, cells.index, distance)
    return distance


def _distance_of_cells(day: Filled, cells: OceanCells, gaps: np.ndarray) -> np.ndarray:
    """The distances of :func:`distance_of` where an error needs them, uint8 (cells); 0 elsewhere."""
    from seaice.gapfill import _error_kernels

    distance = np.zeros(len(cells), np.uint8)
    chosen = np.sort(np.concatenate([select_cells(gaps, day.flag, code) for code in _NEEDS_DISTANCE]))
    if not len(chosen):
        return distance
    near = np.empty(len(chosen), np.uint8)
    where = (cells.rows, cells.columns, day.flag, cells.index)
    is_small = len(chosen) < _FEW * len(cells)
    if is_small and _error_kernels.near_distance(chosen, *where, _FAR, near):
        distance[chosen] = near
    else:
        field = np.empty(cells.ocean.shape, np.uint8)
        _error_kernels.distance_in_time_filled(day.flag, cells.index, field)
        distance[chosen] = field[cells.rows[chosen], cells.columns[chosen]]
    return distance


def _flatten(day: Filled) -> tuple[Filled, OceanCells]:
    """A day of shape (rows, columns) as vectors of all its cells."""
    return Filled(*(array.reshape(-1) for array in day)), OceanCells.everywhere(day.flag.shape)
