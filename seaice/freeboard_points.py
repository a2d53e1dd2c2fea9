"""Segments as GeoParquet, written granule by granule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np

from seaice import InputError, atomic

_NOTHING = {
    "granule": "",
    "beam": "",
    **dict.fromkeys(("time", "longitude", "latitude"), np.empty(0)),
    **dict.fromkeys(("value", "length", "uncertainty"), np.empty(0, np.float32)),
    **dict.fromkeys(("quality", "surface_type"), np.empty(0, np.int8)),
}
_UNITS = {"value": "m", "length": "m", "uncertainty": "m"}


class PointsWriter:
    """Writes a GeoParquet file (version 1.1) with one row group a track.

    Parameters
    ----------
    path : Path or None
        None: nothing is written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stack = ExitStack()
        self._part: Path | None = None
        self._writer: Any = None

    def __enter__(self) -> Self:
        if self._path is not None:
            _pyarrow()
            self._part = self._stack.enter_context(atomic.atomic(self._path))
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            if self._part is not None and self._writer is None and error[0] is None:
                # Without a segment there is a file without rows, not the one of an earlier run.
                self._write(_table(_pyarrow()[0], _NOTHING))
            if self._writer is not None:
                self._writer.close()
        except BaseException as failure:
            # A full disk may show here only: what is half written goes all the same.
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._stack.__exit__(*error)

    def add(self, tracks: Sequence[dict[str, Any]]) -> None:
        """Write the segments of tracks; each a dictionary of arrays, beam and granule."""
        if self._part is None:
            return
        for track in tracks:
            self._write(_table(_pyarrow()[0], track))

    def _write(self, table: Any) -> None:
        if self._writer is None:
            parquet = _pyarrow()[1]
            self._writer = parquet.ParquetWriter(self._part, table.schema, compression="zstd")
        self._writer.write_table(table)


def _table(pyarrow: Any, track: dict[str, Any]) -> Any:
    size = len(track["time"])
    columns = {
        "time": pyarrow.array(
            np.round(track["time"] * 1e6).astype(np.int64), pyarrow.timestamp("us", tz="UTC")
        ),
        "granule": pyarrow.array([track["granule"]] * size, pyarrow.string()),
        "beam": pyarrow.array([track["beam"]] * size, pyarrow.string()),
    }
    for name in ("value", "length", "uncertainty", "quality", "surface_type"):
        values = track[name]
        missing = np.isnan(values) if values.dtype.kind == "f" else None
        columns[name] = pyarrow.array(values, mask=missing)
    columns["geometry"] = pyarrow.array(_wkb(track["longitude"], track["latitude"]), pyarrow.binary())
    table = pyarrow.table(columns)
    return table.replace_schema_metadata({"geo": json.dumps(_geo()), "units": json.dumps(_UNITS)})


def _wkb(longitude: np.ndarray, latitude: np.ndarray) -> list[bytes]:
    """Points as well-known binary, little endian."""
    record = np.zeros(longitude.size, [("order", "u1"), ("type", "<u4"), ("x", "<f8"), ("y", "<f8")])
    record["order"], record["type"], record["x"], record["y"] = 1, 1, longitude, latitude
    whole = record.tobytes()
    size = record.dtype.itemsize
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def _geo() -> dict[str, Any]:
    column = {
        "encoding": "WKB",
        "geometry_types": ["Point"],
    }  # without crs: longitude, latitude on WGS 84
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(
            f"--points needs pyarrow ({error}): pip install -r requirements-icesat2.txt"
        ) from None
    return pyarrow, pyarrow.parquet
