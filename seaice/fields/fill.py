"""Stage: fill the gaps of any field by any method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice import InputError
from seaice.fields.alignment import match_cells
from seaice.fields.options import (
    BEST_QUALITY,
    ReadOptions,
)
from seaice.fields.read import (
    FieldSource,
    read_gappy,
)
from seaice.fields.write import write_filled
from seaice.flags import FillFlag
from seaice.gapfill import FillingMethod
from seaice.gapfill.field import FieldFill
from seaice.gapfill.methods import fill_maps
from seaice.gapfill.sphere.scattering import Scattering
from seaice.report import Report, format_count
from seaice.runtime.atomic_write import exclusive
from seaice.runtime.digests import describe_array
from seaice.runtime.output_checks import resolve_links
from seaice.units import convert

ENDINGS = (".nc", ".nc4", ".zarr")


def fill_field(
    *,
    input_file: Path,
    output_file: Path,
    method: FillingMethod,
    variable: str | None = None,
    mask_file: Path | None = None,
    mask_variable: str | None = None,
    mask_means: Literal["sea", "land"] | None = None,
    sea_codes: Sequence[int] = (),
    land_codes: Sequence[int] = (),
    sea_bits: Sequence[int] = (),
    land_bits: Sequence[int] = (),
    quality_level: int = BEST_QUALITY,
    valid_range: tuple[float, float] | None = None,
    concentration: bool = False,
    start_date: date | None = None,
    end_date: date | None = None,
    units: str | None = None,
    reference_file: Path | None = None,
    reference_variable: str | None = None,
) -> Report:
    """Fill the gaps of one variable and write it beside flags and, where there are any, errors.

    Parameters
    ----------
    input_file : Path
        NetCDF file or Zarr group with one map or a stack of maps.
    output_file : Path
        NetCDF file, or Zarr group if the name ends in ``.zarr``.
    method : FillingMethod
        How to fill; see :mod:`seaice.gapfill`.
    variable, mask_file, mask_variable, mask_means, sea_codes, land_codes, sea_bits, land_bits
        See :class:`seaice.fields.options.ReadOptions`.
    quality_level, valid_range, concentration
        See :class:`seaice.fields.options.ReadOptions`.
    start_date, end_date : date, optional
        First and last day to read.
    units : str, optional
        Units of the output; by default those of the input, packing included.
    reference_file, reference_variable
        Maps whose statistics the method shall match (``scattering``), on the same cells.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        For unusable inputs, or what the method refuses.

    Notes
    -----
    The whole stack is in memory, about three times.
    """
    if reference_variable is not None and reference_file is None:
        raise InputError("--reference_variable names a variable of --reference_file; give that too")
    _check_output(Path(output_file), [input_file, mask_file, reference_file])
    reading = ReadOptions(
        variable=variable,
        mask_file=mask_file,
        mask_variable=mask_variable,
        mask_means=mask_means,
        sea_codes=sea_codes,
        land_codes=land_codes,
        sea_bits=sea_bits,
        land_bits=land_bits,
        quality_level=quality_level,
        valid_range=valid_range,
        concentration=concentration,
        start_date=start_date,
        end_date=end_date,
    )
    with exclusive(Path(output_file), kind="filled field"):
        source = read_gappy(input_file, reading)
        arrays: dict[str, np.ndarray] = {}
        notes: list[str] = []
        if reference_file is not None:
            same_days = ReadOptions(
                variable=reference_variable, quality_level=0, start_date=start_date, end_date=end_date
            )
            method, values, notes = _with_reference(method, Path(reference_file), same_days, source)
            arrays["reference_values"] = values
        filled = fill_maps(source.field, method, **arrays)
        recorded = {name: describe_array(array) for name, array in arrays.items()}
        write_filled(
            Path(output_file),
            source,
            filled,
            target_units=units,
            parameters={
                "method": method.name,
                **method.parameters,
                **recorded,
                "quality_level": quality_level,
            },
            call={
                "input_file": input_file,
                "mask_file": mask_file,
                "reference_file": reference_file,
            },
            locked=True,
        )
    return _report(Path(output_file), source, filled, method.name, notes)


def _check_output(path: Path, inputs: list[Path | None]) -> None:
    if path.suffix not in ENDINGS:
        raise InputError(f"--output_file: expected an ending of {', '.join(ENDINGS)}, found {path}")
    for given in inputs:
        if given is not None and resolve_links(Path(given)) == resolve_links(path):
            raise InputError(f"--output_file: {path} is read by this run; choose another name")


def _with_reference(
    method: FillingMethod, path: Path, reading: ReadOptions, source: FieldSource
) -> tuple[FillingMethod, np.ndarray, list[str]]:
    """Return the method that takes a reference, its maps on the cells of the field, and notes."""
    if not isinstance(method, Scattering):
        raise InputError(f"--reference_file: {method} matches no reference; scattering does")
    reference = read_gappy(path, reading)
    maps, expected = len(reference.field.values), len(source.field.values)
    if maps not in (1, expected):
        raise InputError(f"{path}: expected 1 or {expected} maps, found {maps}; choose days")
    order = match_cells(reference.axes, source.axes, path, reference.variable)
    values = order.arrange(reference.field.values)
    values = convert(values, reference.field.units, source.field.units)
    if method.reference == Scattering.reference:  # not chosen by the user
        method = replace(method, reference="given")
    name = method.reference_name or f"{path.name}: {reference.variable}"
    notes = [order.note] if order.note else []
    if maps > 1 and (np.floor(reference.axes.days) != np.floor(source.axes.days)).any():
        notes.append(f"{path} has other days than the field: its maps are taken one after the other")
    return replace(method, reference_name=name), values[0] if maps == 1 else values, notes


def _report(
    path: Path, source: FieldSource, filled: FieldFill, method: str, notes: Sequence[str]
) -> Report:
    missing = int(source.field.missing.sum())
    new = np.isfinite(filled.values) & (filled.flag != FillFlag.OBSERVED)
    left = missing - int(new.sum())
    lines = [
        f"{path}: {source.variable}, {format_count(len(source.field.days), 'map')}, "
        f"{int(new.sum())} of {missing} "
        f"missing sea cells filled by {method}" + (f", {left} left missing" if left else "")
    ]
    lines += [f"  {note}" for note in (*source.notes, *notes)]
    lines += [f"  {name}: {_short(value)}" for name, value in filled.notes.items()]
    values = {"filled": int(new.sum()), "left": left, "notes": dict(filled.notes)}
    return Report(lines=lines, outputs=[path], values=values)


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        text = f"[{', '.join(map(_short, value))}]"
    else:
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
