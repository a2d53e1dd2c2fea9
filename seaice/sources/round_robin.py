"""Samples of brightness temperatures at places of known concentration, from round robin data packages.

The Round Robin Data Package of the ESA Climate Change Initiative (Pedersen et al. 2019,
doi:10.6084/m9.figshare.6626549) collects what satellites saw over open water and over convergent pack
ice. One row of a CSV file is one sample.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seaice import InputError

FREQUENCIES = ("6.9", "7.3", "10.7", "18.7", "23.8", "36.5", "89.0")
_COLUMN_OF = {
    f"{frequency.removesuffix('.0')}{polarization}": f"{frequency}GHz{polarization}"
    for frequency in FREQUENCIES
    for polarization in "VH"
}
_NEEDED = ("sensor", "concentration", "latitude", "time")
# Beyond these no surface of the Earth radiates.
_COLDEST, _WARMEST = 30.0, 350.0


@dataclass(frozen=True)
class RoundRobinSamples:
    """Samples of known concentration.

    Attributes
    ----------
    sensor : ndarray of str, shape (samples,)
        Such as ``AMSR2``.
    concentration : ndarray of float64, shape (samples,)
        Known concentration, 0..1.
    latitude : ndarray of float64, shape (samples,)
        Degrees.
    time : ndarray of datetime64[s], shape (samples,)
        UTC.
    temperatures : mapping of str to ndarray of float64, shape (samples,)
        Brightness temperature of a channel, such as ``36.5V`` or ``89H``, kelvin; NaN where a sample
        has none.
    """

    sensor: np.ndarray
    concentration: np.ndarray
    latitude: np.ndarray
    time: np.ndarray
    temperatures: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.concentration)

    @property
    def month(self) -> np.ndarray:
        """Calendar month, 1..12."""
        return self.time.astype("datetime64[M]").astype(np.int64) % 12 + 1

    @property
    def day(self) -> np.ndarray:
        """Days since 0001-01-01 plus 1, as of :meth:`datetime.date.toordinal`."""
        return self.time.astype("datetime64[D]").astype(np.int64) + 719_163

    @property
    def day_of_year(self) -> np.ndarray:
        """0 on the first of January."""
        days = self.time.astype("datetime64[D]")
        return np.asarray((days - days.astype("datetime64[Y]")).astype(np.int64))

    def select(self, numbers: np.ndarray) -> RoundRobinSamples:
        """Return some of the samples, by a mask or by numbers."""
        return RoundRobinSamples(
            self.sensor[numbers],
            self.concentration[numbers],
            self.latitude[numbers],
            self.time[numbers],
            {channel: kelvin[numbers] for channel, kelvin in self.temperatures.items()},
        )

    def stack(self, channels: Sequence[str]) -> np.ndarray:
        """Return the temperatures of channels, float64 (channels, samples).

        Raises
        ------
        InputError
            If the samples have no such channel.
        """
        absent = [channel for channel in channels if channel not in self.temperatures]
        if absent:
            raise InputError(
                f"expected samples with the channels {', '.join(absent)}, found "
                f"{', '.join(self.temperatures)}"
            )
        return np.stack([self.temperatures[channel] for channel in channels])


def join_samples(parts: Sequence[RoundRobinSamples]) -> RoundRobinSamples:
    """Join samples; a channel that some of them lack is NaN there."""
    channels = dict.fromkeys(channel for part in parts for channel in part.temperatures)
    return RoundRobinSamples(
        np.concatenate([part.sensor for part in parts]),
        np.concatenate([part.concentration for part in parts]),
        np.concatenate([part.latitude for part in parts]),
        np.concatenate([part.time for part in parts]),
        {
            channel: np.concatenate(
                [part.temperatures.get(channel, np.full(len(part), np.nan)) for part in parts]
            )
            for channel in channels
        },
    )


def read_samples(path: Path) -> RoundRobinSamples:
    """Read the samples of a CSV file, packed by gzip or not.

    Parameters
    ----------
    path : Path
        Columns ``sensor``, ``concentration`` (0..1), ``latitude``, ``time`` (ISO 8601, UTC) and a
        brightness temperature in kelvin for each channel, ``36.5GHzV`` and so on. Others are ignored.

    Raises
    ------
    InputError
        If it is no such file; the message names the line.

    Examples
    --------
    >>> samples = read_samples(Path("samples.csv.gz"))  # doctest: +SKIP
    >>> samples.stack(["18.7V", "36.5V"]).shape  # doctest: +SKIP
    (2, 50817)
    """
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"expected a CSV file of samples, found none ({reason}): {path}") from None
    rows = csv.reader(io.StringIO(text))
    header = [name.strip() for name in next(rows, [])]
    channels = {channel: column for channel, column in _COLUMN_OF.items() if column in header}
    absent = [column for column in _NEEDED if column not in header]
    if absent or not channels:
        raise InputError(
            f"expected the columns {', '.join(absent or list(_COLUMN_OF.values())[:4])}, found "
            f"{', '.join(header[:6]) or 'an empty file'}: {path}"
        )
    table = []
    for row in filter(None, rows):
        if len(row) != len(header):
            raise InputError(
                f"expected {len(header)} fields, found {len(row)} in line {rows.line_num} of {path}"
            )
        table.append(row)
    if not table:
        raise InputError(f"expected samples, found the header alone: {path}")
    columns = dict(zip(header, zip(*table, strict=True), strict=True))
    concentration = _read_numbers(columns["concentration"], "concentration", path)
    if not ((concentration >= 0) & (concentration <= 1)).all():
        raise InputError(f"expected concentrations of 0 to 1, found others: {path}")
    temperatures = {c: _read_numbers(columns[name], name, path) for c, name in channels.items()}
    for channel, kelvin in temperatures.items():
        is_given = ~np.isnan(kelvin)
        kelvin[(kelvin < _COLDEST) | (kelvin > _WARMEST)] = np.nan
        if is_given.any() and np.isnan(kelvin).all():
            raise InputError(f"expected kelvin, found no value of {channel} that can be one: {path}")
    return RoundRobinSamples(
        np.array(columns["sensor"]),
        concentration,
        _read_numbers(columns["latitude"], "latitude", path),
        _read_times(columns["time"], path),
        temperatures,
    )


def _read_numbers(fields: Sequence[str], name: str, path: Path) -> np.ndarray:
    try:
        return np.array([float(field) if field.strip() else np.nan for field in fields])
    except ValueError as error:
        raise InputError(f"expected numbers in the column {name}, found {error}: {path}") from None


def _read_times(fields: Sequence[str], path: Path) -> np.ndarray:
    try:
        times = np.array([field.strip().removesuffix("Z") for field in fields], "datetime64[s]")
        if np.isnat(times).any():
            raise ValueError("an empty field")
    except ValueError as error:
        raise InputError(f"expected times such as 2017-01-05T23:17:46Z, found {error}: {path}") from None
    return times
