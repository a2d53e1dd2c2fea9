"""Values that cannot be: codes for missing that nobody declared, and numbers in another unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.dates import from_day_number
from seaice.fields.axes import FieldAxes
from seaice.open_file.address import Place
from seaice.units import find_conversion, normalise_name

if TYPE_CHECKING:
    import xarray as xr

# Temperatures of the Earth's surface and brightness temperatures lie between these, kelvin.
_COLDEST, _HOTTEST = 50.0, 400.0
# Numbers that files use for missing values without saying so.
_USUAL_CODES = (
    -99.0, -999.0, -9999.0, -99999.0, -1000.0, -10000.0, -32767.0, -32768.0, 99.0, 999.0, 9999.0,
    99999.0, 32767.0, 65535.0, 1e10, 1e15, 1e20, 1e30, 1e35, 1e36,
)  # fmt: skip
# A map that is zero in more than this share of the cells that are half covered before and after.
_ZERO_SHARE = 0.1
_FEWEST_CELLS = 20
# So many different numbers outside of the limits may be codes.
_MOST_CODES = 16


def drop_undeclared_codes(
    values: np.ndarray, array: xr.DataArray, file_attributes: Mapping[Any, Any], notes: list[str]
) -> None:
    """Set values to NaN that mean missing although their variable does not say so.

    These are the fill value that the file declares for all its variables, and the default fill value of
    the NetCDF library.

    Parameters
    ----------
    values : ndarray, shape (time, y, x)
    array : xarray.DataArray
        The variable.
    file_attributes : mapping
    notes : list of str
        Gets a sentence for what became missing.
    """
    import netCDF4

    stored = np.dtype(array.encoding.get("dtype", array.dtype))
    if stored.kind not in "fiu" or {"_FillValue", "missing_value"} & set(array.encoding):
        return
    codes = [
        (np.atleast_1d(file_attributes[name])[0], f"the file's {name}")
        for name in ("_FillValue", "missing_value")
        if name in file_attributes
    ]
    if stored.itemsize > 1 and not {"flag_masks", "flag_values"} & set(array.attrs):  # no missing bytes
        codes.append((netCDF4.default_fillvals[stored.str[1:]], "NetCDF's default fill value"))
    scale, offset = (
        float(array.encoding.get(n, d)) for n, d in (("scale_factor", 1), ("add_offset", 0))
    )
    for code, origin in codes:
        if isinstance(code, str | bytes):
            continue
        has_code = np.isclose(values, float(code) * scale + offset, rtol=1e-6, atol=0)
        if has_code.any():
            values[has_code] = np.nan
            notes.append(f"{int(has_code.sum())} values of {code:g}, {origin}, are missing values")


def drop_impossible_temperatures(
    values: np.ndarray, units: str, standard_name: str, notes: list[str]
) -> None:
    """Set temperatures to NaN that the Earth does not have, if they are single codes or rare.

    Differences and errors are temperatures too: where most values are out of range nothing is taken
    out, and a sentence says so of a variable that is a temperature by its standard name.
    """
    if normalise_name(units) not in ("K", "degC"):
        return
    finite = np.isfinite(values)
    factor, offset = find_conversion(units, "K")
    coldest, hottest = ((limit - offset) / factor for limit in (_COLDEST, _HOTTEST))
    outside = finite & ((values < coldest) | (values > hottest))
    if not outside.any():
        return
    numbers, is_mostly_outside = np.unique(values[outside]), 2 * outside.sum() > finite.sum()
    listed = ", ".join(f"{number:g}" for number in numbers[:3])
    if not is_mostly_outside or (numbers.size <= 3 and numbers.size < np.unique(values[finite]).size):
        values[outside] = np.nan
        notes.append(f"{int(outside.sum())} values ({listed} {units}) cannot be and are missing values")
    elif standard_name.endswith("temperature"):
        notes.append(
            f"values of {numbers[0]:g} to {numbers[-1]:g} {units} are no temperatures of the Earth: "
            "check the units of the input"
        )


def refuse_lone_code(values: np.ndarray, path: Place, variable: str) -> None:
    """Refuse a field with a usual code for missing values far from all its other values.

    Raises
    ------
    InputError
        If it occurs in several cells and the file does not declare it.
    """
    # No array is made where no code occurs, which is nearly always.
    for code in (float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))):
        if not any(np.isclose(code, usual, rtol=1e-6) for usual in _USUAL_CODES):
            continue
        finite = values[np.isfinite(values)]
        others = finite[~np.isclose(finite, code, rtol=1e-6)]
        count = finite.size - others.size
        if count < 2 or not others.size:
            continue
        low, high = float(others.min()), float(others.max())
        distance = low - code if code < low else code - high
        if distance > max(high - low, abs(low), abs(high)):
            raise InputError(
                f"{path}: {count} values of {variable} are {code:g}, all others {low:g} to {high:g}; if "
                f"it means missing, say --valid_range {low:g} {high:g}"
            )


def refuse_other_unit(
    values: np.ndarray, limits: tuple[float, float], path: Place, variable: str
) -> None:
    """Refuse a field most of whose values lie outside its limits: they are in another unit.

    A few numbers that occur often, such as that of land, are codes and no other unit.

    Raises
    ------
    InputError
        If it is so.
    """
    low, high = limits
    outside = values[(values < low) | (values > high)]
    count = int(np.isfinite(values).sum())
    if 2 * outside.size <= count or np.unique(outside).size <= _MOST_CODES:
        return
    raise InputError(
        f"{path}: {outside.size} of {count} values of {variable} lie outside {low:g} to {high:g}, up to "
        f"{float(outside.max()):g}: check its units, or say what full ice is with --valid_range"
    )


def check_concentration(
    values: np.ndarray, full: float, axes: FieldAxes, path: Place, variable: str
) -> list[str]:
    """Check that ice concentration is in one unit and that no map has zeros in place of gaps.

    Parameters
    ----------
    values : ndarray, shape (time, y, x)
        NaN is missing.
    full : float
        The number that means full ice.
    axes : FieldAxes
    path, variable
        For messages.

    Returns
    -------
    list of str
        Maps that look wrong, a sentence each.

    Raises
    ------
    InputError
        If some maps are fractions among percent, or percent among fractions.
    """
    maps = range(len(values))
    unit, advice = ("fractions", "0 1") if full > 1 else ("percent", "0 100")
    suspects = [n for n in maps if (_is_fraction if full > 1 else _is_percent)(values, n, full)]
    if suspects:
        raise InputError(
            f"{path}: {variable} of {_list_days(axes, suspects)} looks like {unit}, where full ice is "
            f"{full:g}; "
            + (
                f"if that is so, say --valid_range {advice}"
                if len(suspects) == len(values)
                else "leave these maps out or write all in one unit"
            )
        )
    notes = []
    for frame in maps:
        zeros, covered = _count_zeros_in_ice(values, frame, full, axes.days)
        if covered >= _FEWEST_CELLS and zeros > _ZERO_SHARE * covered:
            notes.append(
                f"{_list_days(axes, [frame])}: {zeros} of {covered} cells that are half covered or more "
                "before and after are exactly 0; if they were not observed, leave the map out"
            )
    return notes


def _is_fraction(values: np.ndarray, frame: int, full: float) -> bool:
    """Whether a map of a field in percent goes up to 1 alone, as fractions do."""
    ice = _select_ice(values[frame])
    if ice.size <= _FEWEST_CELLS or ice.max() > 0.01 * full * (1 + 1e-6):
        return False
    # Full ice is common: fractions crowd below 1, real values of at most 1 percent do not.
    if (ice > 0.008 * full).mean() > 0.2:
        return True
    around = [_select_ice(values[n]) for n in (frame - 1, frame + 1) if 0 <= n < len(values)]
    return any(near.size and near.max() > 0.3 * full and near.size < 2 * ice.size for near in around)


def _is_percent(values: np.ndarray, frame: int, full: float) -> bool:
    """Whether most ice of a map of fractions has all kinds of values up to 100."""
    ice = _select_ice(values[frame])
    beyond = ice[(ice > 1.5 * full) & (ice <= 100 * full)]
    return bool(2 * beyond.size > ice.size and np.unique(beyond).size > _FEWEST_CELLS)


def _select_ice(values: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return values[values > 0]


def _count_zeros_in_ice(
    values: np.ndarray, frame: int, full: float, days: np.ndarray
) -> tuple[int, int]:
    """Count the cells that are half covered on the maps before and after, and the zeros among them."""
    if not 0 < frame < len(values) - 1 or days[frame + 1] - days[frame - 1] > 4:
        return 0, 0
    with np.errstate(invalid="ignore"):
        is_covered = (values[frame - 1] > 0.5 * full) & (values[frame + 1] > 0.5 * full)
    is_covered &= np.isfinite(values[frame])
    return int((is_covered & (values[frame] == 0)).sum()), int(is_covered.sum())


def _list_days(axes: FieldAxes, frames: list[int]) -> str:
    days = [str(from_day_number(int(np.floor(axes.days[frame])))) for frame in frames[:3]]
    return ", ".join(days) + (f" and {len(frames) - 3} more" if len(frames) > 3 else "")
