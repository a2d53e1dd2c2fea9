"""Conventions of extent and area: what is made of the pole hole, of lakes, and of missing days."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.cf import ICE_EDGE
from seaice.report import listing

# How extent and area treat the pole hole; the sentence is written into every output.
POLE_HOLE_RULES: dict[str, str] = {
    "filled": "pole hole as filled in the cube; where still missing it counts as ice-covered in the "
    "extent and is left out of the area",
    "ice": "pole hole, unless observed, counts as ice-covered in the extent and is left out of the "
    "area, filled or not (convention of the Sea Ice Index)",
    "exclude": "pole hole left out of extent and area",
}
SURFACE_RULES = {
    "cube": "cells counted that are ocean in the cube",
    "mask": "cells counted that are ocean in the cube and in the mask {mask}",
    "months": "cells counted that are ocean in the cube and in the mask {mask}, lakes left out, and on "
    "which ice is possible in the month of the day",
}


@dataclass(frozen=True)
class Preset:
    """A convention by name.

    Attributes
    ----------
    threshold : float
        Concentration from which a cell is ice-covered, fraction.
    pole_hole : str
        A name of :data:`POLE_HOLE_RULES`.
    needs_mask : bool
        Whether a mask has to tell lakes, and where ice is possible in every month.
    """

    threshold: float
    pole_hole: str
    needs_mask: bool


# NSIDC: Sea Ice Index, Version 4, doi:10.7265/a98x-0f50 (G02135).
PRESETS: dict[str, Preset] = {
    "toolbox": Preset(ICE_EDGE, "filled", needs_mask=False),
    "nsidc": Preset(0.15, "ice", needs_mask=True),
}


def choose_convention(
    preset: str, *, threshold: float | None, pole_hole: str | None, has_mask: bool
) -> tuple[float, str]:
    """Return threshold and pole-hole rule of a preset, each replaced where an option gives another one.

    Raises
    ------
    InputError
        If a name is none of :data:`PRESETS` or :data:`POLE_HOLE_RULES`, or the preset needs a mask.

    Examples
    --------
    >>> choose_convention("nsidc", threshold=None, pole_hole=None, has_mask=True)
    (0.15, 'ice')
    """
    for option, name, choices in (
        ("preset", preset, PRESETS),
        ("pole_hole", pole_hole or "filled", POLE_HOLE_RULES),
    ):
        if name not in choices:
            raise InputError(f"expected {option} to be {listing(list(choices))}, found {name!r}")
    chosen = PRESETS[preset]
    if chosen.needs_mask and not has_mask:
        raise InputError(
            f"the preset {preset} leaves out lakes and water on which no ice is possible; name the mask "
            "that tells them with --land_mask_file (create_mask.py --valid_ice)"
        )
    return chosen.threshold if threshold is None else threshold, pole_hole or chosen.pole_hole


_EARTH_KM2 = 510.1e6


def check_areas(values: np.ndarray, path: Path) -> None:
    """Refuse areas that cannot be: codes for missing values, and other units.

    Parameters
    ----------
    values : ndarray of float64, any shape
        km2; NaN is missing.
    path : Path
        File that they are from.

    Raises
    ------
    InputError
        If one is below 0 or larger than the Earth.
    """
    is_wrong = (values < 0) | (values > _EARTH_KM2)
    if is_wrong.any():
        raise InputError(
            f"{path}: expected areas of 0 to {_EARTH_KM2 / 1e6:g} million km2, found "
            f"{values[is_wrong][0] / 1e6:g}; leave missing values empty, and check the unit"
        )
