"""Passes, ground tracks and segments of a simulated ICESat-2, as ATL10 holds them.

The orbit is circular and the Earth a sphere; a segment is a function of the seed, the pass and
the beam alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from seaice import InputError
from seaice.grids import Hemisphere
from seaice.simulate.atl10_layout import FLOAT_FILL

Release = Literal["005", "006"]

BEAMS = ("gt1l", "gt1r", "gt2l", "gt2r", "gt3l", "gt3r")

EPOCH = datetime(2018, 1, 1, tzinfo=UTC)
# Revolution 0 is that of a true granule (track 253 of cycle 14) and has its node. With the period and
# the shift the nodes of three true granules get their positions.
_FIRST_NODE = datetime(2022, 1, 7, 19, 58, 49, tzinfo=UTC)
_FIRST_REVOLUTION = 13 * 1387 + 252
_FIRST_LONGITUDE = 167.802
PERIOD = 5657.4  # seconds from node to node
_SHIFT = -360 * 91 / 1387  # degrees from node to node
_INCLINATION = np.radians(92.0)
_RADIUS = 6371000.0
_SPEED = 2 * np.pi * _RADIUS / PERIOD  # of the ground track, metres a second
# Metres to the left of the reference track: pairs 3.3 km apart, 90 m within a pair.
_OFFSETS = dict(zip(BEAMS, (3345.0, 3255.0, 45.0, -45.0, -3255.0, -3345.0), strict=True))
_SECTION = 10000.0  # metres along the track that share a reference surface


@dataclass(frozen=True)
class SimulatedPass:
    """A revolution over the polar sea of one hemisphere.

    Attributes
    ----------
    revolution : int
        Since the first of cycle 1.
    hemisphere : {"north", "south"}
    """

    revolution: int
    hemisphere: Hemisphere

    @property
    def start(self) -> datetime:
        """Time of the ascending node, UTC, in whole seconds."""
        return _FIRST_NODE + timedelta(seconds=round((self.revolution - _FIRST_REVOLUTION) * PERIOD))

    @property
    def node_longitude(self) -> float:
        """Longitude where the track crosses the equator northward, degrees east, -180..180."""
        east = _FIRST_LONGITUDE + (self.revolution - _FIRST_REVOLUTION) * _SHIFT
        return (east + 180) % 360 - 180

    @property
    def ground_track(self) -> int:
        """Number of the reference ground track, 1..1387."""
        return self.revolution % 1387 + 1

    @property
    def cycle(self) -> int:
        """Number of the cycle, from 1; a cycle has 1387 revolutions."""
        return self.revolution // 1387 + 1

    def name(self, release: Release = "006") -> str:
        """Name of the file, without ``.h5``."""
        number = "01" if self.hemisphere == "north" else "02"
        track = f"{self.ground_track:04d}{self.cycle:02d}01"
        return f"ATL10-{number}_{self.start:%Y%m%d%H%M%S}_{track}_{release}_01"


def list_simulated_passes(
    start: datetime, end: datetime, *, hemisphere: Hemisphere = "north"
) -> list[SimulatedPass]:
    """List the passes that start in a closed span of time, in order: about 15.3 a day.

    Raises
    ------
    InputError
        If a time has no time zone.

    Examples
    --------
    >>> first, *_ = list_simulated_passes(
    ...     datetime(2022, 1, 7, 19, tzinfo=UTC), datetime(2022, 1, 8, tzinfo=UTC)
    ... )
    >>> first.name()
    'ATL10-01_20220107195849_02531401_006_01'
    """
    for time in (start, end):
        if time.tzinfo is None:
            raise InputError(f"expected a time with its zone (UTC), found {time.isoformat()}")
    first, last = (
        int((time - _FIRST_NODE).total_seconds() // PERIOD) + _FIRST_REVOLUTION for time in (start, end)
    )
    passes = [SimulatedPass(number, hemisphere) for number in range(max(first - 1, 0), last + 2)]
    return [granule for granule in passes if start <= granule.start <= end]


def simulate_segments(
    granule: SimulatedPass,
    beam: str,
    *,
    segments: int = 20000,
    reach: float = 3000.0,
    strong: bool = True,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Simulate the segments of a beam as the file holds them, fill values included.

    Parameters
    ----------
    granule : SimulatedPass
    beam : str
    segments, reach, seed
        As for :func:`seaice.simulate.atl10.write_atl10`.
    strong : bool
        A weak beam has a third of the segments.

    Returns
    -------
    dict of str to ndarray, shape (segments,)
        Datasets by their name in the file, without groups.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """
    if beam not in BEAMS:
        raise InputError(f"expected a beam of {', '.join(BEAMS)}, found {beam!r}")
    if segments < 3 or not reach > 0:
        raise InputError(
            f"expected 3 or more segments and a reach above 0 km, found {segments}, {reach:g} km"
        )
    count = segments if strong else segments // 3
    numbers = [seed, granule.revolution, granule.hemisphere == "north", BEAMS.index(beam)]
    rng = np.random.default_rng(np.random.SeedSequence(numbers))
    length = np.clip(rng.gamma(2.0, 12.0, count) * (1 if strong else 4), 5, 142 if strong else 567)
    gaps = rng.exponential(1.0, count)
    gaps *= max(reach * 1000 - length.sum(), 0.0) / gaps.sum()
    along = np.cumsum(length + gaps) - length / 2
    along += _find_first_metre(granule, reach)
    latitude, longitude = _locate(granule, along, _OFFSETS[beam])
    datasets = {
        "latitude": latitude,
        "longitude": longitude,
        "delta_time": (granule.start - EPOCH).total_seconds() + along / _SPEED,
        "seg_dist_x": along,
        "height_segment_id": np.arange(1, count + 1, dtype=np.int32),
        "geoseg_beg": (along / 20).astype(np.int32),
        "geoseg_end": ((along + length) / 20).astype(np.int32),
        "beam_refsurf_ndx": (1 + (along - along[0]) // _SECTION).astype(np.int32),
        "height_segment_length_seg": length.astype(np.float32),
    }
    return datasets | _simulate_ice(rng, seed, along, length, datasets)


def _find_first_metre(granule: SimulatedPass, reach: float) -> float:
    """Distance from the equator along the track at which segments begin; their middle is polar sea."""
    # Some passes come near the pole, some stay at the ice edge; southern ones avoid the continent.
    wander = np.random.default_rng([granule.revolution, 7]).uniform(-20, 20)
    middle = np.radians(90.0 + wander if granule.hemisphere == "north" else 248.0 + wander / 4)
    return float(max(middle * _RADIUS - reach * 500, 0.0))


def _locate(granule: SimulatedPass, along: np.ndarray, left: float) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude, degrees, along the track and to the left of it."""
    angle, sine, cosine = along / _RADIUS, np.sin(_INCLINATION), np.cos(_INCLINATION)
    # In the plane of the orbit, x through the node; the pole of the orbit is to the left.
    x, y, z = np.cos(angle), np.sin(angle) * cosine, np.sin(angle) * sine
    off = left / _RADIUS
    y, z = y - off * sine, z + off * cosine
    turned = 360 / 86164.1 * along / _SPEED  # by the rotation of the Earth, degrees
    longitude = granule.node_longitude + np.degrees(np.arctan2(y, x)) - turned
    return np.degrees(np.arctan2(z, np.hypot(x, y))), (longitude + 180) % 360 - 180


def _simulate_ice(
    rng: np.random.Generator,
    seed: int,
    along: np.ndarray,
    length: np.ndarray,
    datasets: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Datasets measured over floes, over leads and below clouds."""
    count = len(along)
    waves = np.random.default_rng([seed, 11]).uniform(0, 2 * np.pi, 3)
    floes = sum(np.sin(along / scale + wave) for scale, wave in zip((3e3, 4e4, 3e5), waves, strict=True))
    freeboard = np.clip(0.28 + 0.08 * floes + rng.gamma(1.5, 0.05, count) - 0.07, 0, None)
    kind = np.ones(count, np.int8)
    spots = _draw_runs(rng, count, 0.12, 6)
    kind[spots] = np.repeat(rng.integers(2, 10, count // 6 + 1), 6)[:count][spots]
    is_lead = kind >= 2
    freeboard[is_lead] = np.round(rng.exponential(0.02, count)[is_lead], 3)
    cloudy = _draw_runs(rng, count, 0.08, 40)
    kind[cloudy] = 0
    kind[_draw_runs(rng, count, 0.002, 1)] = -1
    quality = rng.choice(
        np.array([1, 2, 3, 4, 5, -1], np.int8), count, p=[0.6, 0.2, 0.1, 0.05, 0.04, 0.01]
    )
    uncertainty = rng.uniform(0.003, 0.044, count)
    height = freeboard - 0.15
    no_surface = _draw_runs(rng, count, 0.06, 120) | cloudy
    for values in (freeboard, uncertainty):
        values[no_surface] = FLOAT_FILL
    uncertainty[_draw_runs(rng, count, 0.01, 1)] = FLOAT_FILL
    datasets["height_segment_length_seg"][_draw_runs(rng, count, 0.002, 1)] = FLOAT_FILL
    concentration = np.clip(97 - 12 * np.abs(floes) ** 1.5 + rng.normal(0, 0.3, count), 0, 100)
    distance = np.abs(250e3 + 260e3 * np.sin(along / 2.5e5 + waves[0]))
    flags = {
        "beam_fb_quality_flag": quality,
        "height_segment_type": kind,
        "height_segment_ssh_flag": np.where(is_lead, rng.integers(0, 3, count), 0),
        "layer_flag": _draw_runs(rng, count, 0.4, 60),
        "podppd_flag": np.where(_draw_runs(rng, count, 0.03, 4), rng.integers(0, 8, count), 0),
        "cloud_flag_asr": rng.integers(0, 6, count),
        "cloud_flag_atm": rng.integers(0, 5, count),
        "msw_flag": rng.integers(-1, 6, count),
    }
    floats = {
        "beam_fb_height": freeboard,
        "beam_fb_unc": uncertainty,
        "beam_fb_confidence": np.clip(quality / 5, 0, 1),
        "height_segment_height": height,
        "height_segment_sigma": np.where(uncertainty < 1, uncertainty, 0.02),
        "height_segment_rms": uncertainty * 0 + 0.005,
        "height_segment_confidence": length / 1000,
        "height_segment_w_gaussian": length / 300,
        "height_segment_dist2land": distance,
        "ice_conc_amsr2": concentration,
        "ice_conc_ssmi": np.clip(concentration - 1, 0, 100),
        "asr_25": 0.1 + 0.05 * freeboard.clip(0, 2),
        "photon_rate": 5 + 4 * is_lead,
    }
    return {name: values.astype(np.int8) for name, values in flags.items()} | {
        name: values.astype(np.float32) for name, values in floats.items()
    }


def _draw_runs(rng: np.random.Generator, count: int, share: float, run: int) -> np.ndarray:
    """Draw runs of segments that make up about a share of all, bool (count,)."""
    drawn = rng.random(count // run + 2) < share
    return np.repeat(drawn, run)[rng.integers(0, run) :][:count]
