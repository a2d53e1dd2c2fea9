"""The DINEOF sample: ten maps of sea surface temperature of the Alboran Sea, with its cross-validation.

The sample is part of the DINEOF program (Alvera-Azcarate and Barth, University of Liege). Its
reference run publishes the values at 2,258 held-out cells but not the numbers of these cells. They are
single cells and not clouds: ``clouds`` is commented out in the sample's ``dineof.init``, so the program
drew cells by the random numbers of gfortran from the seed 243435. This module draws them again in the
same way and compares every one of them with its published value.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.gapfill.field import GappyField
from seaice.open_file import open_netcdf

SEED = 243435
# 2017-01-01 in days since 1970-01-01; the file counts from there.
_EPOCH = 17167
_MISSING = 99999.0
# Mask of 64 bits: integers of Python do not overflow by themselves.
_WORD_MASK = (1 << 64) - 1
# libgfortran combines a seed with these numbers (exclusive or) to get the state of xoshiro256**.
_SCRAMBLE = (0xBD0C5B6E50C2DF49, 0xD46061CD46E1DF38, 0xBB4F4D4ED6103544, 0x114A583D0756AD39)


def read_alboran(folder: Path) -> tuple[GappyField, np.ndarray]:
    """Read the sample and the cells held out by its reference run.

    Parameters
    ----------
    folder : Path
        Holds ``alboranSST_small.nc`` and ``Reference/CVpoints_initial.dat``.

    Returns
    -------
    field : GappyField
        float32 (10, 201, 301), degrees Celsius, nothing held out yet.
    held_out : ndarray of bool, shape (10, 201, 301)
        True at the 2,258 published cells.

    Raises
    ------
    InputError
        If a file is missing or the cells drawn do not have the published values.
    """
    folder = Path(folder)
    field = _read_field(folder / "alboranSST_small.nc")
    published = read_gher(folder / "Reference" / "CVpoints_initial.dat")
    # The program's order of sea cells: longitude outside, latitude inside.
    columns, rows = np.nonzero(field.sea.T)
    anomalies = field.values[:, rows, columns].T.astype(np.float64)
    anomalies -= np.nanmean(anomalies)
    cells, maps = _draw_held_out(np.isfinite(anomalies), published.size)
    if not np.allclose(anomalies[cells, maps], published, rtol=0, atol=1e-6):
        raise InputError(
            f"{folder}: the published cross-validation values do not belong to these maps; take "
            "alboranSST_small.nc and Reference/ from the same version of the DINEOF sample"
        )
    held_out = np.zeros(field.values.shape, bool)
    held_out[maps, rows[cells], columns[cells]] = True
    return field, held_out


def read_gher(path: Path) -> np.ndarray:
    """Read the numbers of a GHER file, the format of DINEOF.

    It consists of big-endian Fortran records: ten empty ones, a header of 24 bytes (sizes, bytes a
    number, numbers a record, exclusion value), then the numbers.

    Returns
    -------
    ndarray of float64, shape (n,)
        In the order of the file.

    Raises
    ------
    InputError
        If the file is missing or its records do not fit together.
    """
    if not Path(path).is_file():
        raise InputError(f"no such file: {path}; it is part of the DINEOF sample")
    records = list(_iterate_records(Path(path)))
    header = records[10] if len(records) > 11 else b""
    if len(header) != 24 or any(records[:10]):
        raise InputError(f"{path}: expected a GHER file with a header of 24 bytes, found none")
    *sizes, width, _ = (int(n) for n in np.frombuffer(header[:20], ">i4"))
    numbers = np.frombuffer(b"".join(records[11:]), f">f{width}")
    if numbers.size != np.prod(sizes):
        raise InputError(f"{path}: expected {np.prod(sizes)} numbers, found {numbers.size}")
    return numbers.astype(np.float64)


def _iterate_records(path: Path) -> Iterator[bytes]:
    """Yield the contents of Fortran sequential records; each has its length before and after it."""
    raw, start = path.read_bytes(), 0
    while start < len(raw):
        length = int.from_bytes(raw[start : start + 4], "big")
        end = start + 4 + length
        if raw[end : end + 4] != raw[start : start + 4]:
            raise InputError(f"{path}: the record at byte {start} has no end; fetch the file again")
        yield raw[start + 4 : end]
        start = end + 4


def _read_field(path: Path) -> GappyField:
    """Read the ten maps, with NaN for missing values."""
    if not path.is_file():
        raise InputError(f"no such file: {path}; it is part of the DINEOF sample")
    with open_netcdf(path) as dataset:
        dataset.set_auto_maskandscale(False)
        values = np.asarray(dataset["SST"][:], np.float32)
        sea = np.asarray(dataset["mask"][:]) == 1
        days = np.asarray(dataset["time"][:], np.float64) + _EPOCH
        longitude, latitude = np.meshgrid(
            np.asarray(dataset["lon"][:], np.float64), np.asarray(dataset["lat"][:], np.float64)
        )
    values[values == np.float32(_MISSING)] = np.nan
    return GappyField(values, sea, days, latitude, longitude, units="degree_Celsius")


def _draw_held_out(observed: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the cells that the reference run held out.

    Parameters
    ----------
    observed : ndarray of bool, shape (cells, maps)
    count : int
        Number of values to hold out.

    Returns
    -------
    cells, maps : ndarray of int, shape (count,)
        Indices of the held-out values in the order of the draw.
    """
    random_numbers = _generate_uniform(SEED)
    candidates = observed.copy()
    cells, maps = np.zeros(count, int), np.zeros(count, int)
    drawn_count = 0
    while drawn_count < count:
        cell = int(next(random_numbers) * candidates.shape[0])
        day = int(next(random_numbers) * candidates.shape[1])
        if candidates[cell, day]:
            candidates[cell, day] = False
            cells[drawn_count], maps[drawn_count] = cell, day
            drawn_count += 1
    return cells, maps


def _generate_uniform(seed: int) -> Iterator[float]:
    """Generate the numbers of ``random_number`` of gfortran 9 and later in double precision.

    Every integer of the seed array is ``seed``. The generator is xoshiro256** of Blackman and Vigna
    (2021, doi:10.1145/3460772).
    """
    # Two 32-bit integers of the seed array make one 64-bit word of the state.
    state = [(seed << 32 | seed) ^ key for key in _SCRAMBLE]
    while True:
        word = _rotate_left(state[1] * 5 & _WORD_MASK, 7) * 9 & _WORD_MASK
        shifted = state[1] << 17 & _WORD_MASK
        state[2] ^= state[0]
        state[3] ^= state[1]
        state[1] ^= state[2]
        state[0] ^= state[3]
        state[2] ^= shifted
        state[3] = _rotate_left(state[3], 45)
        # The upper 53 bits, as many as a float64 holds, make a number from 0 to below 1.
        yield (word >> 11) * 2.0**-53


def _rotate_left(word: int, bits: int) -> int:
    """Rotate a word of 64 bits."""
    return (word << bits | word >> (64 - bits)) & _WORD_MASK
