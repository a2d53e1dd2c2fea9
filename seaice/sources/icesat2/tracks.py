"""Segments of ICESat-2 sea ice granules along a beam, and the selection among them.

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

# The code of a flag that the file does not hold; no flag of the products uses it.
UNKNOWN = -128

# Arrays of a track that are read only on request: few users need them.
EXTRAS = ("podppd", "layer", "dist2land", "concentration")

# Codes of the surface type: 1 is ice, 2 to 9 are kinds of leads.
_ICE, _FIRST_LEAD, _LAST_LEAD = 1, 2, 9
# Limits of the filters that NSIDC publishes for the gridded product ATL20.
_ATL20_MAX_QUALITY = 4
_ATL20_LAND_KILOMETRES = 25.0
_ATL20_CONCENTRATION_PERCENT = 50.0


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
        Whether the beam was a strong one; None where the file does not say it.
    latitude, longitude : ndarray of float64
        Degrees, longitude -180..180.
    time : ndarray of float64
        Seconds since 1970-01-01T00:00:00 UTC, 86400 a day; NaN where unknown.
    value : ndarray of float32
        Metres, NaN where missing: freeboard (ATL10) or height above the mean sea surface (ATL07).
    length : ndarray of float32
        Length of the segment, metres, NaN where missing.
    uncertainty : ndarray of float32
        Uncertainty of the value, metres, NaN where missing.
    quality : ndarray of int8
        1 (best) to 5 (poor), -1 invalid, :data:`UNKNOWN` where the file does not hold it. It
        grades the height: a segment of good quality can still have no freeboard.
    surface_type : ndarray of int8
        0 cloud, 1 ice, 2 to 9 leads, -1 unused, :data:`UNKNOWN` where the file does not hold it.
    podppd : ndarray of int8 or None
        0 for nominal pointing and orbit. This array and the next three are None if they were not
        read or are not in the file.
    layer : ndarray of int8 or None
        0 likely clear, 1 likely cloud or blowing snow.
    dist2land : ndarray of float32 or None
        Distance to land, metres, NaN where missing.
    concentration : ndarray of float32 or None
        Sea ice concentration, percent, NaN where missing.
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
    """The segments that were read from a granule.

    Attributes
    ----------
    name : str
        File name without ``.h5``.
    path : Path
        The file; for a granule on S3 its address.
    product : str
        "ATL10" or "ATL07".
    release : str
        Such as "006"; empty if the file does not say it.
    tracks : tuple of Track
        In the order of the beams. Empty if the granule has no segments of the kind asked for.
    notes : tuple of str
        One line for each dataset that is absent or contradicts another, with the consequence.
    transition_count : int
        Segments of all beams measured while the spacecraft turned or while its orientation is
        not known. No beam is strong or weak then, so these segments are in no track.
    """

    name: str
    path: Path
    product: Product
    release: str
    tracks: tuple[Track, ...]
    notes: tuple[str, ...] = ()
    transition_count: int = 0


@dataclass(frozen=True)
class Selection:
    """The filters that a segment has to pass to be used.

    A segment whose flag, distance or concentration is missing does not pass a filter on it.

    Attributes
    ----------
    surface : {"all", "ice", "lead"}
        Surface type of the segments: 1 is ice, 2 to 9 are leads; "all" applies no filter.
    max_quality : int
        Worst quality flag that passes, 1 (best) to 5 (poor). Invalid segments (-1) never pass.
        If the file has no quality flag, every segment passes with 5 and none with less.
    preset : {"none", "atl20"}
        "atl20" adds the filters of the gridded product ATL20: quality 1 to 4, at least 25 km
        from land, ice concentration of at least 50 percent. Use it with strong beams only.
    nominal_pointing : bool
        Use only segments with nominal pointing and orbit (podppd 0).
    clear : bool
        Use only segments that are likely clear of cloud and blowing snow.
    least_land_distance : float, optional
        Smallest distance to land, kilometres.
    least_concentration : float, optional
        Smallest sea ice concentration, percent.
    shortest, longest : float, optional
        Limits of the length of a segment, metres, both included.

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
        for name, value, choices in (
            ("surface", self.surface, get_args(Surface)),
            ("preset", self.preset, get_args(Preset)),
        ):
            if value not in choices:
                raise InputError(f"expected {name} to be one of {', '.join(choices)}, found {value!r}")
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
        """Worst quality flag that passes, with the limit of the preset."""
        return min(self.max_quality, _ATL20_MAX_QUALITY) if self._is_atl20 else self.max_quality

    @property
    def land_distance_limit(self) -> float | None:
        """Smallest distance to land in kilometres, with the limit of the preset."""
        preset_limit = _ATL20_LAND_KILOMETRES if self._is_atl20 else None
        return _choose_stricter(self.least_land_distance, preset_limit)

    @property
    def concentration_limit(self) -> float | None:
        """Smallest sea ice concentration in percent, with the limit of the preset."""
        preset_limit = _ATL20_CONCENTRATION_PERCENT if self._is_atl20 else None
        return _choose_stricter(self.least_concentration, preset_limit)

    @property
    def _is_atl20(self) -> bool:
        return self.preset == "atl20"

    @property
    def lengths(self) -> tuple[float, float]:
        """Shortest and longest segment that passes, metres."""
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


def _choose_stricter(first_limit: float | None, second_limit: float | None) -> float | None:
    """Choose the greater of two lower limits; None means that there is no limit."""
    limits = [limit for limit in (first_limit, second_limit) if limit is not None]
    return max(limits) if limits else None


def select_segments(track: Track, selection: Selection) -> tuple[np.ndarray, dict[str, int]]:
    """Apply every filter of a selection to a track and count the segments that each one drops.

    Parameters
    ----------
    track : Track
    selection : Selection

    Returns
    -------
    selected : ndarray of bool, shape (segments,)
        True for the segments that pass every filter.
    dropped : dict of str to int
        Number of segments by the first filter that drops them, in the order of the filters; 0 for
        a filter that drops none. These numbers and the selected segments add up to the track.
    """
    selected = np.ones(len(track), bool)
    count = len(track)
    dropped = {}
    for name, passes in _apply_filters(track, selection):
        selected &= passes
        count_before, count = count, int(np.count_nonzero(selected))
        dropped[name] = count_before - count
    return selected, dropped


def _apply_filters(track: Track, selection: Selection) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name of each filter in use and a mask of the segments that pass it.

    NaN passes no comparison, so that a missing number passes no filter.
    """
    yield "not finite position", (np.abs(track.latitude) <= 90) & (np.abs(track.longitude) <= 180)
    yield "no time", np.isfinite(track.time)
    yield "fill value", np.isfinite(track.value)
    yield "no length", (track.length > 0) & (track.length < np.inf)
    quality, limit = track.quality, selection.quality_limit
    has_quality = quality != UNKNOWN
    yield "invalid quality (-1)", ~has_quality | ((quality >= 1) & (quality <= 5))
    yield f"quality worse than {limit}", (quality <= limit) & (has_quality | (limit == 5))
    if selection.surface == "ice":
        yield "surface is not ice", track.surface_type == _ICE
    elif selection.surface == "lead":
        is_lead = (track.surface_type >= _FIRST_LEAD) & (track.surface_type <= _LAST_LEAD)
        yield "surface is no lead", is_lead
    if selection.nominal_pointing:
        yield "pointing or orbit not nominal", _get_or_nan(track, track.podppd) == 0
    if selection.clear:
        yield "cloud or blowing snow", _get_or_nan(track, track.layer) == 0
    distance, concentration = selection.land_distance_limit, selection.concentration_limit
    if distance is not None:
        yield f"land nearer than {distance:g} km", _get_or_nan(track, track.dist2land) >= distance * 1000
    if concentration is not None:
        passes = _get_or_nan(track, track.concentration) >= concentration
        yield f"concentration below {concentration:g} percent", passes
    shortest, longest = selection.lengths
    if np.isfinite(shortest):
        yield f"shorter than {shortest:g} m", track.length >= shortest
    if np.isfinite(longest):
        yield f"longer than {longest:g} m", track.length <= longest


def _get_or_nan(track: Track, values: np.ndarray | None) -> np.ndarray:
    """Get the values of an array of a track, or NaN for every segment if the track lacks it."""
    return np.full(len(track), np.nan) if values is None else values
