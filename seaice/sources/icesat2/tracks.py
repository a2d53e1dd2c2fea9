"""ICESat-2 sea ice segments along a beam, and which of them a user wants.

References
----------
Kwok et al., ATLAS/ICESat-2 L3A Sea Ice Freeboard, doi:10.5067/ATLAS/ATL10.006.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from seaice import InputError

Surface = Literal["ice", "lead", "all"]
Preset = Literal["none", "atl20"]
Product = Literal["ATL10", "ATL07"]

# What a flag is where the file does not say; no flag of the products has this code.
UNKNOWN = -128

# Arrays of a track that few users need.
EXTRAS = ("podppd", "layer", "dist2land", "concentration")

_ICE, _FIRST_LEAD, _LAST_LEAD = 1, 2, 9


@dataclass(frozen=True)
class Track:
    """Segments of one beam of one granule; every array has the shape (segments,).

    A beam whose laser changes from strong to weak within a granule gives two tracks.

    Attributes
    ----------
    granule : str
        Name of the file without ``.h5``.
    beam : str
        Such as "gt2l".
    strong : bool or None
        None where the file does not say.
    latitude, longitude : ndarray of float64
        Degrees, longitude -180..180.
    time : ndarray of float64
        Seconds since 1970-01-01T00:00:00 UTC, 86400 a day; NaN where unknown.
    value : ndarray of float32
        Metres, NaN where missing: freeboard (ATL10), height above the mean sea surface (ATL07).
    length : ndarray of float32
        Of the segment, metres, NaN where missing.
    uncertainty : ndarray of float32
        Of the value, metres, NaN where missing.
    quality : ndarray of int8
        1 best to 5 poor, -1 invalid, :data:`UNKNOWN`. It grades the height: a good one does
        not mean that there is a freeboard.
    surface_type : ndarray of int8
        0 cloud, 1 ice, 2 to 9 leads, -1 unused, :data:`UNKNOWN`.
    podppd : ndarray of int8 or None
        0 nominal pointing and orbit; None, as below, where not read or not in the file.
    layer : ndarray of int8 or None
        0 likely clear, 1 likely cloud or blowing snow.
    dist2land : ndarray of float32 or None
        Metres, NaN where missing.
    concentration : ndarray of float32 or None
        Of sea ice, percent, NaN where missing.
    """

    granule: str
    beam: str
    strong: bool | None
    latitude: np.ndarray
    longitude: np.ndarray
    time: np.ndarray
    value: np.ndarray
    length: np.ndarray
    uncertainty: np.ndarray
    quality: np.ndarray
    surface_type: np.ndarray
    podppd: np.ndarray | None = None
    layer: np.ndarray | None = None
    dist2land: np.ndarray | None = None
    concentration: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.latitude)


@dataclass(frozen=True)
class Granule:
    """What was read of a granule.

    Attributes
    ----------
    name : str
        Of the file, without ``.h5``.
    path : Path
        For a granule in the cloud its address.
    product : str
        "ATL10" or "ATL07".
    release : str
        Such as "006"; empty where the file does not say.
    tracks : tuple of Track
        By beam. Empty where the granule has none of the wanted kind.
    skipped : tuple of str
        One line for each thing that is not there or contradicts another, and what that meant.
    in_transition : int
        Segments, of all beams, measured while the spacecraft turned or whose orientation is
        not known. No beam is strong or weak then, and they are in no track.
    """

    name: str
    path: Path
    product: Product
    release: str
    tracks: tuple[Track, ...]
    skipped: tuple[str, ...] = ()
    in_transition: int = 0


@dataclass(frozen=True)
class Selection:
    """Which segments are used.

    A segment whose flag or distance is missing does not pass a filter that asks for it.

    Attributes
    ----------
    surface : {"all", "ice", "lead"}
        By the type of the segment: 1 is ice, 2 to 9 are leads; "all" does not look.
    max_quality : int
        1 best to 5 poor. -1, invalid, never passes. Where the file has no quality flag, 5
        lets all pass and less none.
    preset : {"none", "atl20"}
        "atl20": quality 1 to 4, at least 25 km from land, ice concentration at least 50
        percent, besides whatever else is asked for. Take it with strong beams alone.
    nominal_pointing : bool
        Only segments with nominal pointing and orbit (podppd 0).
    clear : bool
        Only segments that are likely clear of cloud and blowing snow.
    least_land_distance : float, optional
        Kilometres.
    least_concentration : float, optional
        Percent.
    shortest, longest : float, optional
        Length of a segment, metres, both included.

    Examples
    --------
    >>> Selection(preset="atl20").extras
    ('dist2land', 'concentration')
    """

    surface: Surface = "all"
    max_quality: int = 5
    preset: Preset = "none"
    nominal_pointing: bool = False
    clear: bool = False
    least_land_distance: float | None = None
    least_concentration: float | None = None
    shortest: float | None = None
    longest: float | None = None

    def __post_init__(self) -> None:
        for what, value, kinds in (
            ("surface", self.surface, get_args(Surface)),
            ("preset", self.preset, get_args(Preset)),
        ):
            if value not in kinds:
                raise InputError(f"expected {what} to be one of {', '.join(kinds)}, found {value!r}")
        if not 1 <= self.max_quality <= 5:
            raise InputError(f"expected a quality from 1 (best) to 5 (poor), found {self.max_quality}")
        shortest, longest = self.lengths
        if shortest > longest:
            raise InputError(
                f"expected the shortest length to be below the longest, found {shortest:g} and "
                f"{longest:g} m"
            )

    @property
    def quality_limit(self) -> int:
        """Worst quality that passes, the preset's included."""
        return min(self.max_quality, 4) if self.preset == "atl20" else self.max_quality

    @property
    def land_distance_limit(self) -> float | None:
        """Kilometres, the preset's included."""
        return _stricter(self.least_land_distance, 25.0 if self.preset == "atl20" else None)

    @property
    def concentration_limit(self) -> float | None:
        """Percent, the preset's included."""
        return _stricter(self.least_concentration, 50.0 if self.preset == "atl20" else None)

    @property
    def lengths(self) -> tuple[float, float]:
        """Shortest and longest segment, metres."""
        shortest = -np.inf if self.shortest is None else self.shortest
        return shortest, np.inf if self.longest is None else self.longest

    @property
    def extras(self) -> tuple[str, ...]:
        """Names out of :data:`EXTRAS` that the filters need."""
        needed = {
            "podppd": self.nominal_pointing,
            "layer": self.clear,
            "dist2land": self.land_distance_limit is not None,
            "concentration": self.concentration_limit is not None,
        }
        return tuple(name for name in EXTRAS if needed[name])


def _stricter(one: float | None, other: float | None) -> float | None:
    limits = [limit for limit in (one, other) if limit is not None]
    return max(limits) if limits else None


def select(track: Track, selection: Selection) -> tuple[np.ndarray, dict[str, int]]:
    """Apply every filter, and count.

    Parameters
    ----------
    track : Track
    selection : Selection

    Returns
    -------
    mask : ndarray of bool, shape (segments,)
        Segments to use.
    dropped : dict of str to int
        Segments by the first filter that drops them, in the order of the filters; a filter
        that drops none stands there with 0. With those in ``mask`` they make up the track.
    """
    kept = np.ones(len(track), bool)
    left = len(track)
    dropped = {}
    for name, passes in _filters(track, selection):
        kept &= passes
        still = int(np.count_nonzero(kept))
        dropped[name] = left - still
        left = still
    return kept, dropped


def _filters(track: Track, selection: Selection) -> Iterator[tuple[str, np.ndarray]]:
    """Every filter that is on, and which segments pass it; NaN passes no comparison."""
    yield "not finite position", (np.abs(track.latitude) <= 90) & (np.abs(track.longitude) <= 180)
    yield "no time", np.isfinite(track.time)
    yield "fill value", np.isfinite(track.value)
    yield "no length", (track.length > 0) & (track.length < np.inf)
    quality, limit = track.quality, selection.quality_limit
    known = quality != UNKNOWN
    yield "invalid quality (-1)", ~known | ((quality >= 1) & (quality <= 5))
    yield f"quality worse than {limit}", (quality <= limit) & (known | (limit == 5))
    if selection.surface == "ice":
        yield "surface is not ice", track.surface_type == _ICE
    elif selection.surface == "lead":
        is_lead = (track.surface_type >= _FIRST_LEAD) & (track.surface_type <= _LAST_LEAD)
        yield "surface is no lead", is_lead
    if selection.nominal_pointing:
        yield "pointing or orbit not nominal", _known(track, track.podppd) == 0
    if selection.clear:
        yield "cloud or blowing snow", _known(track, track.layer) == 0
    distance, concentration = selection.land_distance_limit, selection.concentration_limit
    if distance is not None:
        yield f"land nearer than {distance:g} km", _known(track, track.dist2land) >= distance * 1000
    if concentration is not None:
        passes = _known(track, track.concentration) >= concentration
        yield f"concentration below {concentration:g} percent", passes
    shortest, longest = selection.lengths
    if np.isfinite(shortest):
        yield f"shorter than {shortest:g} m", track.length >= shortest
    if np.isfinite(longest):
        yield f"longer than {longest:g} m", track.length <= longest


def _known(track: Track, values: np.ndarray | None) -> np.ndarray:
    return np.full(len(track), np.nan) if values is None else values
