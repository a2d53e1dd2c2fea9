"""Ice concentration of a swath, or of gridded temperatures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from seaice import InputError
from seaice.retrieval.algorithm import Algorithm
from seaice.retrieval.status import Status
from seaice.retrieval.tie_points import Signatures, TiePoints
from seaice.sources.amsr2.swath import Swath

FootprintName = Literal["4", "9", "20"]
FOOTPRINTS: tuple[FootprintName, ...] = ("4", "9", "20")
# Latitude, longitude in degrees and footprint in kilometres to the share of land.
LandShare = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
# No ice lies nearer to the equator.
LOWEST_LATITUDE = 30.0


@dataclass(frozen=True, eq=False)
class Concentration:
    """Concentration of places, all arrays of one shape.

    Attributes
    ----------
    concentration : ndarray of float32
        Share of ice, neither clipped to 0..1 nor filtered; NaN where missing.
    standard_error, misfit : ndarray of float32
        NaN where the algorithm knows none; a misfit above 1 is significant.
    status : ndarray of uint8
        Bits of :class:`Status`.
    land : ndarray of float32
        Share of land in the footprint.
    base : ndarray of float32
        Concentration before it was sharpened.
    """

    concentration: np.ndarray
    standard_error: np.ndarray
    misfit: np.ndarray
    status: np.ndarray
    land: np.ndarray
    base: np.ndarray


@dataclass(frozen=True, eq=False)
class SwathConcentration(Concentration):
    """Concentration of the pixels of a swath that can hold ice of a hemisphere.

    Attributes
    ----------
    latitude, longitude : ndarray of float32, shape (scans, pixels)
    time : ndarray of float64, shape (scans,)
        Seconds since 1970-01-01T00:00:00 UTC; NaN where unknown.
    """

    latitude: np.ndarray
    longitude: np.ndarray
    time: np.ndarray


def retrieve_swath(
    swath: Swath,
    tie_points: TiePoints,
    *,
    algorithm: Algorithm,
    footprint: FootprintName = "4",
    land_share: LandShare | None = None,
    remove_land: bool = True,
) -> SwathConcentration:
    """Retrieve the concentration of a swath on one hemisphere.

    Parameters
    ----------
    swath : Swath
        With positions and all channels of the algorithm.
    tie_points : TiePoints
        Their hemisphere is the one looked at.
    algorithm : Algorithm
    footprint : {"4", "9", "20"}
        Kilometres: how far the concentration is sharpened; the base alone has 20. Other algorithms
        are never sharpened.
    land_share : callable, optional
        Tells the share of land in footprints from latitudes, longitudes and a diameter in kilometres.
    remove_land : bool
        Whether land is taken out of the temperatures.

    Raises
    ------
    InputError
        If a channel, the positions or the time is absent.
    """
    if swath.start_time is None or "36.5" not in swath.positions:
        raise InputError(f"expected a swath with times and positions, found {swath!r}")
    place = swath.positions["36.5"]
    kelvin = {name: swath.kelvin(name) for name in swath.channels}
    kelvin |= {f"89{name[3:]}": values[:, ::2] for name, values in kelvin.items() if name[:3] == "89A"}
    kelvin = {name: values for name, values in kelvin.items() if values.shape == place.latitude.shape}
    part = retrieve_gridded(
        kelvin, 10.0, tie_points.choose(swath.start_time.date()), algorithm=algorithm, footprint="20"
    )
    times = np.full(len(place.latitude), np.nan) if swath.scan_times is None else swath.scan_times
    return SwathConcentration(
        **vars(part), latitude=place.latitude, longitude=place.longitude, time=times
    )


def retrieve_gridded(
    temperatures: Mapping[str, np.ndarray],
    cell: float,
    signatures: Signatures,
    *,
    algorithm: Algorithm,
    footprint: FootprintName = "4",
    land: np.ndarray | None = None,
) -> Concentration:
    """Retrieve the concentration of gridded temperatures.

    Parameters
    ----------
    temperatures : mapping of str to ndarray of float32, shape (rows, columns)
        Kelvin by channel, such as ``36.5V`` and ``89H``; NaN where missing and on land.
    cell : float
        Kilometres.
    signatures : Signatures
    algorithm : Algorithm
    footprint : {"4", "9", "20"}
    land : ndarray of bool, optional
        Cells of land, which are missing.
    """
    retrieved = algorithm.retrieve(temperatures, signatures)
    concentration = retrieved.concentration
    nothing = np.full(concentration.shape, np.nan, np.float32)
    misfit = nothing if retrieved.misfit is None else retrieved.misfit
    status = np.where(retrieved.is_open_water, Status.OPEN_WATER, 0) | Status.BASE_ONLY
    status = status | np.where(misfit > 1, Status.MISFIT, 0)
    if land is not None:
        concentration = np.where(land, np.float32(np.nan), concentration)
    return Concentration(
        concentration=concentration,
        standard_error=nothing if retrieved.standard_error is None else retrieved.standard_error,
        misfit=misfit,
        status=status.astype(np.uint8),
        land=np.zeros_like(nothing) if land is None else land.astype(np.float32),
        base=concentration,
    )
