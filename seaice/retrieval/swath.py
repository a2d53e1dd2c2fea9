"""Ice concentration of a swath, or of gridded temperatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from seaice import InputError
from seaice.retrieval import footprints
from seaice.retrieval.algorithm import Algorithm, Retrieval, Temperatures, check_kelvin
from seaice.retrieval.bands import (
    LOWEST_LATITUDE,
    Band,
    Bands,
    LandShare,
    choose_band,
    find_scans,
    list_frequencies,
    match_bands,
    read_bands,
    share_land,
)
from seaice.retrieval.footprints import FOOTPRINTS
from seaice.retrieval.land import NO_SEA
from seaice.retrieval.sharpen import Coarse, LocalSignatures, sharpen
from seaice.retrieval.status import Status
from seaice.retrieval.tie_points import Hemisphere, Signatures, TiePoints
from seaice.sources.amsr2.swath import Swath

FootprintName = Literal["4", "9", "20"]
# Steps that sharpen the base, by the footprint asked for.
_NAMES: dict[FootprintName, str] = {"20": "", "9": "9", "4": "94"}
# Standard error as a share of the range of the neighbouring pixels, as a footprint is no cell, by the
# number of steps. Fitted by benchmarks/sharpening.py.
SMEARING = (0.4, 0.15, 0.1)
# A base that is missing along a coast is that of the sea beside it: the width of a Gaussian, kilometres,
# and the share of its weight that suffices.
_BESIDE, _LEAST_BESIDE = 10.0, 0.05
# Standard error of a coarser concentration that stands in for a missing finer one.
_STAND_IN_ERROR = 0.2
# A share of land below which a footprint counts as free of it.
_NO_LAND = 0.005


@dataclass(frozen=True)
class _Step:
    """A step that sharpens.

    Attributes
    ----------
    frequency : str
        At whose pixels and footprints it works.
    channels : tuple of str
    unevenness, unevenness_of_swath : float
        As for :func:`seaice.retrieval.sharpen.sharpen`; on a swath also what is lost between the pixels
        of the step before, 10 kilometres apart.
    """

    frequency: str
    channels: tuple[str, ...]
    unevenness: float
    unevenness_of_swath: float


_STEPS = {
    "9": _Step("36.5", ("36.5V", "36.5H", "89V", "89H"), 0.5, 0.5),
    "4": _Step("89", ("89V", "89H"), 0.03, 0.1),
}


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

    O(pixels); half an orbit takes about a second.

    Parameters
    ----------
    swath : Swath
        With times, positions and all channels of the algorithm, of Level 1B or Level 1R.
    tie_points : TiePoints
        Their hemisphere is the one looked at.
    algorithm : Algorithm
    footprint : {"4", "9", "20"}
        Kilometres: how far the base is sharpened; alone it has 20. Without the horns at 89 GHz it is
        9 at best. Other algorithms are never sharpened.
    land_share : callable, optional
        Tells the share of land in footprints from latitudes, longitudes and a diameter in kilometres;
        that of the shorelines of GSHHG by default.
    remove_land : bool
        Whether land is taken out of the temperatures.

    Returns
    -------
    SwathConcentration
        At the pixels of the finest step, or of the frequency of the algorithm; scans far from the
        hemisphere's ice are left out.

    Raises
    ------
    InputError
        If a channel, the positions or the time is absent.
    """
    if swath.start_time is None or not swath.positions:
        raise InputError(f"expected a swath with times and positions, found {swath!r}")
    scans = find_scans(swath, tie_points.hemisphere)
    bands = read_bands(swath, scans, land_share or share_land, remove_land)
    frequencies = list_frequencies(algorithm.channels)
    absent = [f"{frequency}{p}" for frequency in frequencies if frequency not in bands for p in "VH"]
    if absent:
        raise InputError(
            f"expected the channels {', '.join(absent)} with positions for {algorithm.name}, found "
            f"{swath!r}; collect them with amsr2_processor.py --preset concentration"
        )
    signatures = tie_points.choose(swath.start_time.date())
    target = choose_band(bands[algorithm.frequency.rstrip("AB")], 0)
    time = np.full(swath.shape[0], np.nan) if swath.scan_times is None else swath.scan_times
    if len(target.latitude) < 2:  # nothing of this hemisphere
        nothing = np.full((5, *target.latitude.shape), np.nan, np.float32)
        return _assemble([target], [_StepResult.by_base(nothing)], 0, time[scans], tie_points.hemisphere)
    kelvin, noise = match_bands(bands, frequencies, target)
    retrieved = algorithm.retrieve(kelvin, signatures, noise=noise)
    base_fields = _collect(retrieved, target.land)
    targets, parts = [target], [_StepResult.by_base(base_fields)]
    names = _list_steps(bands, footprint) if algorithm.is_sharpened else ""
    for name in names:
        step = _STEPS[name]
        local = LocalSignatures(signatures, algorithm.channels, step.channels)
        departures = local.find(kelvin, retrieved.concentration, noise)
        fields = _extend(np.concatenate([base_fields, departures]), target)
        before = targets[0], parts[0]
        targets = [
            choose_band(bands[f], 0) for f in (step.frequency, f"{step.frequency}B") if f in bands
        ]
        parts = []
        for band in targets:
            sharp, sharp_noise = match_bands(
                {**bands, step.frequency: [band]}, list_frequencies(step.channels), band
            )
            coarse = footprints.interpolate(fields, target.position, band.position)
            coarser = _interpolate_coarser(*before, band)
            parts.append(_sharpen(sharp, sharp_noise, local, coarse, coarser, step.unevenness_of_swath))
    result = _assemble(targets, parts, len(names), time[scans], tie_points.hemisphere)
    if remove_land:
        return result
    return replace(result, status=result.status & ~np.uint8(Status.LAND_CORRECTED))


def retrieve_gridded(
    temperatures: Temperatures,
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
        Kelvin by channel, such as ``36.5V`` and ``89AH``; NaN where missing.
    cell : float
        Kilometres.
    signatures : Signatures
    algorithm : Algorithm
    footprint : {"4", "9", "20"}
        As for :func:`retrieve_swath`.
    land : ndarray of bool, optional
        Cells of land, which are missing.

    Raises
    ------
    InputError
        If a channel is absent.
    """
    by_channel = {name.replace("89B", "89").replace("89A", "89"): name for name in temperatures}
    is_land = np.zeros(next(iter(temperatures.values())).shape, bool) if land is None else land
    kelvin = {
        channel: np.where(is_land, np.float32(np.nan), check_kelvin(temperatures[name], name))
        for channel, name in by_channel.items()
        if channel[:-1] in FOOTPRINTS
    }

    def match(channels: Sequence[str], footprint: float) -> dict[str, np.ndarray]:
        return {
            c: _blur(kelvin[c], FOOTPRINTS[c[:-1]], footprint, cell) for c in channels if c in kelvin
        }

    coarse = match(algorithm.channels, FOOTPRINTS[algorithm.frequency.rstrip("AB")])
    retrieved = algorithm.retrieve(coarse, signatures)
    base_fields = _collect(retrieved, is_land.astype(np.float32))
    result = _StepResult.by_base(base_fields)
    is_sharpened = algorithm.is_sharpened and {"89V", "89H"} <= kelvin.keys()
    names = _NAMES[footprint] if is_sharpened else ""
    for name in names:
        step = _STEPS[name]
        local = LocalSignatures(signatures, algorithm.channels, step.channels)
        fields = np.concatenate([base_fields, local.find(coarse, retrieved.concentration, {})])
        coarser = np.stack([result.concentration, result.standard_error])
        sharp = match(step.channels, FOOTPRINTS[step.frequency])
        result = _sharpen(sharp, {}, local, fields, coarser, step.unevenness)
    return result.finish(base_fields[-1], len(names))


def _blur(values: np.ndarray, fine: float, coarse: float, cell: float) -> np.ndarray:
    sigma = footprints.compute_sigma(max(fine, cell), coarse) / cell
    return footprints.average_grid(values, sigma=sigma) if sigma > 0 else values


def _list_steps(bands: Bands, footprint: FootprintName) -> str:
    """Steps that the frequencies of a swath allow."""
    if "89" not in bands:
        return ""
    is_fine = choose_band(bands["89"], 0).footprint < FOOTPRINTS["36.5"]
    return _NAMES[footprint] if is_fine else _NAMES[footprint][:1]


def _collect(retrieved: Retrieval, land: np.ndarray) -> np.ndarray:
    """Concentration, standard error, misfit, open water and land of the base, float32 (5, ...)."""
    nothing = np.full(land.shape, np.nan, np.float32)
    parts = (
        retrieved.concentration,
        nothing if retrieved.standard_error is None else retrieved.standard_error,
        nothing if retrieved.misfit is None else retrieved.misfit,
        retrieved.is_open_water,
        land,
    )
    return np.stack(parts, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class _StepResult:
    """What a step has found; arrays of one shape.

    Attributes
    ----------
    concentration, standard_error : ndarray of float32
    is_sharpened : ndarray of bool
    base_fields : ndarray of float32, shape (5, ...)
        Of the base, as of :func:`_collect`.
    """

    concentration: np.ndarray
    standard_error: np.ndarray
    is_sharpened: np.ndarray
    base_fields: np.ndarray

    @classmethod
    def by_base(cls, base_fields: np.ndarray) -> _StepResult:
        return cls(base_fields[0], base_fields[1], np.zeros(base_fields.shape[1:], bool), base_fields)

    def finish(self, land: np.ndarray, steps: int) -> Concentration:
        """Add what the neighbours tell of the error, and the status."""
        base, _, misfit, open_water, coarse_land = self.base_fields
        concentration = np.where(land < NO_SEA, self.concentration, np.float32(np.nan))
        smearing = SMEARING[steps] * compute_range(concentration)
        is_value = np.isfinite(concentration)
        with np.errstate(invalid="ignore"):
            bits = (
                Status.OPEN_WATER * (open_water >= 0.5)
                | Status.LAND_CORRECTED * (coarse_land > _NO_LAND)
                | Status.MISFIT * (misfit > 1)
                | Status.BASE_ONLY * ~self.is_sharpened
            )
        return Concentration(
            concentration=concentration,
            standard_error=np.where(
                is_value, np.hypot(self.standard_error, smearing), np.float32(np.nan)
            ),
            misfit=misfit,
            status=np.where(is_value, bits, 0).astype(np.uint8),
            land=land,
            base=base,
        )


def compute_range(values: np.ndarray) -> np.ndarray:
    """Range of every value and its eight neighbours."""
    ends = []
    for end in (np.fmax, np.fmin):
        padded = np.pad(values, 1, constant_values=np.float32(np.nan))
        rows = end(end(padded[:-2], padded[1:-1]), padded[2:])
        ends.append(end(end(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]))
    return np.asarray(ends[0] - ends[1], np.float32)


def _sharpen(
    kelvin: Temperatures,
    noise: Temperatures,
    local: LocalSignatures,
    fields: np.ndarray,
    coarser: np.ndarray,
    unevenness: float,
) -> _StepResult:
    """Sharpen at places where fields of the base and of the step before are given.

    Parameters
    ----------
    kelvin, noise : mapping of str to ndarray
        Of the fine channels.
    local : LocalSignatures
    fields : ndarray of float32, shape (5 + 2 * fine channels, ...)
        Of :func:`_collect` and of :meth:`LocalSignatures.find`.
    coarser : ndarray of float32, shape (2, ...)
        Concentration and standard error of the step before.
    unevenness : float
    """
    base_fields, departures = fields[:5], fields[5:]
    wide = np.stack([base_fields[0], np.full_like(base_fields[0], _STAND_IN_ERROR)])
    stand_in = np.where(np.isnan(coarser).any(axis=0), wide, coarser)
    coarse = Coarse(base_fields[0], departures, *stand_in)
    concentration, standard_error = sharpen(kelvin, coarse, local, noise=noise, unevenness=unevenness)
    is_sharpened = np.isfinite(concentration)
    filled = np.where(is_sharpened, [concentration, standard_error], stand_in)
    return _StepResult(filled[0], filled[1], is_sharpened, base_fields)


def _interpolate_coarser(band: Band, result: _StepResult, target: Band) -> np.ndarray:
    """Concentration and standard error of a step at the pixels of another band."""
    fields = np.stack([result.concentration, result.standard_error])
    return footprints.interpolate(fields, band.position, target.position)


def _extend(fields: np.ndarray, band: Band) -> np.ndarray:
    """Fill what is missing because of land from the sea beside it."""
    is_missing = np.isnan(fields[0]) & (band.land > 0)
    if not is_missing.any():
        return fields
    beside = footprints.average(
        fields, band.position, band.position, sigma=_BESIDE, needed=is_missing, least=_LEAST_BESIDE
    )
    beside[4] = band.land
    return np.where(is_missing, beside, fields)


def _order_scans(bands: Sequence[Band]) -> np.ndarray:
    """Order of the scans of one or two horns along the track, the first horn's numbered first."""
    first = bands[0].position
    scans, middle = first.shape[1], first.shape[2] // 2
    advance = np.diff(first[:, :, middle], axis=1)
    along = [np.arange(scans, dtype=np.float64)]
    for band in bands[1:]:
        offset = (band.position - first)[:, :-1, middle]
        with np.errstate(invalid="ignore"):
            along.append(along[0] + np.nanmedian((offset * advance).sum(0) / (advance**2).sum(0)))
    return np.argsort(np.concatenate(along), kind="stable")


def _assemble(
    bands: Sequence[Band],
    parts: Sequence[_StepResult],
    steps: int,
    time: np.ndarray,
    hemisphere: Hemisphere,
) -> SwathConcentration:
    """Put the pixels of one or two horns together, and leave out those near the equator."""
    order = _order_scans(bands)

    def join(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(arrays, axis=-2)[..., order, :]

    result = _StepResult(*(join([vars(p)[f.name] for p in parts]) for f in fields(_StepResult)))
    latitude, longitude, land = (
        join([getattr(band, name) for band in bands]) for name in ("latitude", "longitude", "land")
    )
    sign = 1 if hemisphere == "north" else -1
    with np.errstate(invalid="ignore"):
        concentration = np.where(
            sign * latitude >= LOWEST_LATITUDE, result.concentration, np.float32(np.nan)
        )
    part = replace(result, concentration=concentration).finish(land, steps)
    times = np.tile(time, len(bands))[order]
    return SwathConcentration(**vars(part), latitude=latitude, longitude=longitude, time=times)
