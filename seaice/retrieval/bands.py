"""The frequencies of a swath: temperatures, positions, footprints and the land within them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from seaice.retrieval import footprints
from seaice.retrieval.algorithm import check_kelvin
from seaice.retrieval.footprints import FOOTPRINTS
from seaice.retrieval.land import remove_land as take_land_out
from seaice.retrieval.tie_points import Hemisphere
from seaice.sources.amsr2.channels import find_channel
from seaice.sources.amsr2.swath import Swath

# Latitude and longitude in degrees and a diameter in kilometres to the share of land.
LandShare = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
# No sea ice lies nearer to the equator.
LOWEST_LATITUDE = 30.0
# Footprints of Level 1R by the frequency that has them.
_RESAMPLED = {"res06": "6.9", "res10": "10.7", "res23": "23.8", "res36": "36.5"}


@dataclass(frozen=True, eq=False)
class Band:
    """Both polarisations of a frequency at one footprint.

    Attributes
    ----------
    footprint : float
        Kilometres.
    latitude, longitude : ndarray of float32, shape (scans, pixels)
    position : ndarray of float64, shape (3, scans, pixels)
    kelvin, noise : ndarray of float32, shape (2, scans, pixels)
        V and H, and the variances of their errors beside those that all pixels have.
    land : ndarray of float32, shape (scans, pixels)
        Share of the footprint.
    """

    footprint: float
    latitude: np.ndarray
    longitude: np.ndarray
    position: np.ndarray
    kelvin: np.ndarray
    noise: np.ndarray
    land: np.ndarray


# By frequency, "89B" apart from "89"; of Level 1R the same frequency at several footprints.
Bands = Mapping[str, list[Band]]


def share_land(latitude: np.ndarray, longitude: np.ndarray, footprint: float) -> np.ndarray:
    """Share of land by the shorelines of GSHHG, a :data:`LandShare`."""
    from seaice.drawing.gshhg import compute_land_share

    return compute_land_share(latitude, longitude, footprint=footprint)


def find_scans(swath: Swath, hemisphere: Hemisphere) -> slice:
    """Scans on a hemisphere that are far enough from the equator."""
    sign = 1 if hemisphere == "north" else -1
    with np.errstate(invalid="ignore"):
        is_polar = [(sign * p.latitude >= LOWEST_LATITUDE).any(axis=1) for p in swath.positions.values()]
    numbers = np.flatnonzero(np.logical_or.reduce(is_polar)) if is_polar else np.empty(0, int)
    return slice(numbers[0], numbers[-1] + 1) if len(numbers) else slice(0)


def read_bands(swath: Swath, scans: slice, land_share: LandShare, remove_land: bool) -> Bands:
    """Read the frequencies of which a swath has both polarisations and positions."""
    bands: dict[str, list[Band]] = {}
    cached_positions: dict[str, np.ndarray] = {}
    for name in swath.channels:
        channel = find_channel(name)
        channels = [f"{name[:-1]}{polarisation}" for polarisation in "VH"]
        if channel is None or channel.polarization != "V" or channels[1] not in swath.channels:
            continue
        key = channel.positions
        if key not in swath.positions:
            continue
        latitude, longitude = (
            getattr(swath.positions[key], part)[scans] for part in ("latitude", "longitude")
        )
        if key not in cached_positions:
            cached_positions[key] = footprints.place_on_sphere(latitude, longitude)
        footprint = FOOTPRINTS[_RESAMPLED.get(channel.footprint, channel.ghz)]
        kelvin = np.stack([check_kelvin(swath.kelvin(part)[scans], part) for part in channels])
        land = land_share(np.nan_to_num(latitude), np.nan_to_num(longitude), footprint)
        land = np.asarray(land, np.float32)
        noise = np.zeros_like(kelvin)
        if remove_land and (land > 0).any():
            kelvin, noise = take_land_out(kelvin, cached_positions[key], land, footprint=footprint)
        band = Band(footprint, latitude, longitude, cached_positions[key], kelvin, noise, land)
        bands.setdefault("89B" if channel.frequency == "89B" else channel.ghz, []).append(band)
    if "89" not in bands and "89B" in bands:
        bands["89"] = bands.pop("89B")
    return bands


def choose_band(bands: Iterable[Band], footprint: float) -> Band:
    """Band with the largest footprint that is not above the one wanted; else the sharpest."""
    ordered = sorted(bands, key=lambda band: band.footprint)
    return [band for band in ordered if band.footprint <= 1.01 * footprint or band is ordered[0]][-1]


def match_bands(
    bands: Bands, frequencies: Iterable[str], target: Band
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Temperatures and added variances by channel, at the places and the footprint of a band."""
    kelvin, noise = {}, {}
    for frequency in frequencies:
        band = choose_band(bands[frequency], target.footprint)
        is_noisy = bool(band.noise.any())
        fields = np.concatenate([band.kelvin, band.noise]) if is_noisy else band.kelvin
        matched = footprints.match(
            fields, band.position, target.position, fine=band.footprint, coarse=target.footprint
        )
        for number, polarisation in enumerate("VH"):
            kelvin[frequency + polarisation] = matched[number]
            if is_noisy:
                noise[frequency + polarisation] = matched[2 + number]
    return kelvin, noise


def list_frequencies(channels: Iterable[str]) -> list[str]:
    """Frequencies of channels, each once."""
    return list(dict.fromkeys(channel[:-1] for channel in channels))
