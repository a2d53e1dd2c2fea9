"""What differs between an image of Sentinel-1 and the scenes that a network was trained on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from seaice import InputError
from seaice.sources.sentinel1.image import Sentinel1Image, SwathBounds

logger = logging.getLogger(__name__)

# What scenes call their channels, and what images do.
CHANNELS: Mapping[str, str] = {
    "nersc_sar_primary": "HH",
    "nersc_sar_secondary": "HV",
    "sar_incidenceangle": "incidence angle",
}
# Scaled backscatter has a mean of about 0 and a deviation of about 1.
_LARGEST_MEDIAN = 2.0
# Deviations: below the first and above the last they are refused, below the second they are named.
_DEVIATIONS = (0.1, 0.3, 2.0)
_LARGEST_EMPTY = 0.6
# Incidence angles of the extra-wide swath, degrees, with a margin.
_ANGLES = (17.0, 49.0)
# Noise equivalent sigma nought where a file does not tell it, a step as seen at the bound of sub-swaths
# over calm water, and the largest one that passes unmentioned, dB.
_TYPICAL_NOISE = -29.5
_TYPICAL_STEP = 2.5
_LARGEST_STEP = 1.0
_DARKEST = 0.1
# Pixels beside a bound that are compared, and those next to it that are not.
_SIDE, _GAP = 12, 2
_LEAST_ROWS = 20


class InputFigures(NamedTuple):
    """Median and deviation of the scaled values by channel, share of pixels without SAR."""

    medians: dict[str, float]
    deviations: dict[str, float]
    empty_share: float

    def __str__(self) -> str:
        parts = [
            f"{name} median {self.medians[name]:.2f} and deviation {self.deviations[name]:.2f}"
            for name in self.medians
        ]
        return f"scaled {', '.join(parts)}, {100 * self.empty_share:.0f} percent without SAR"


def check_channels(image: Sentinel1Image, channels: Sequence[str]) -> None:
    """Refuse a network that needs channels which an image does not have; they are named.

    Raises
    ------
    InputError
        If there are some.
    """
    available = set(image.decibels) | (set() if image.tie_points is None else {"incidence angle"})
    names = [CHANNELS.get(channel, channel) for channel in channels]
    missing = [name for name in names if name not in available]
    if missing:
        raise InputError(
            f"expected {', '.join(missing)}, which the network was trained with, found "
            f"{', '.join(sorted(available))} alone: {image.path}; train a network on channels that the "
            "image has"
        )


def measure_figures(scaled: Mapping[str, np.ndarray]) -> InputFigures:
    """Measure scaled channels; NaN is no SAR.

    Parameters
    ----------
    scaled : mapping of str to ndarray of float32, shape (lines, samples)
        At least one.
    """
    medians, deviations, empty = {}, {}, 1.0
    for name, field in scaled.items():
        values = field[np.isfinite(field)]
        empty = 1 - values.size / field.size
        medians[name] = float(np.median(values)) if values.size else np.nan
        deviations[name] = float(values.std(dtype=np.float64)) if values.size else np.nan
    return InputFigures(medians, deviations, empty)


def check_figures(image: Sentinel1Image, figures: InputFigures) -> None:
    """Refuse values that cannot be backscatter scaled like that of the training; warn of even ones.

    Raises
    ------
    InputError
        If a figure is out of its range.
    """
    low, usual, high = _DEVIATIONS
    is_good = figures.empty_share < _LARGEST_EMPTY
    for name, median in figures.medians.items():
        is_good &= abs(median) <= _LARGEST_MEDIAN and low <= figures.deviations[name] <= high
    if not is_good:
        raise InputError(
            f"expected medians within -2 and 2, deviations within {low:g} and {high:g} and less than "
            f"{100 * _LARGEST_EMPTY:.0f} percent without SAR, found {figures}: {image.path}; check the "
            "unit (--unit), the noise correction (--noise) and the file"
        )
    even = [name for name, deviation in figures.deviations.items() if deviation < usual]
    if even:
        logger.warning("%s: %s varies little, look at the image", image.name, " and ".join(even))


def warn_of_angles(image: Sentinel1Image) -> None:
    """Warn of incidence angles that the extra-wide swath does not have."""
    if image.tie_points is None:
        logger.info("%s: incidence angles are unknown", image.name)
        return
    low, high = float(image.tie_points.incidence.min()), float(image.tie_points.incidence.max())
    if low < _ANGLES[0] or high > _ANGLES[1]:
        logger.warning(
            "%s: incidence angles of %.1f to %.1f degrees, beyond the %g to %g of training",
            image.name,
            low,
            high,
            *_ANGLES,
        )


def measure_swath_steps(decibels: np.ndarray, bounds: Sequence[SwathBounds]) -> list[float]:
    """Measure the step at the bounds of the sub-swaths where an image is darkest.

    Of the rows, the tenth is used whose pixels on both sides of a bound together are darkest: there the
    power of noise is the larger part.

    Parameters
    ----------
    decibels : ndarray of float32, shape (lines, samples)
        HV; NaN where missing.
    bounds : sequence of SwathBounds

    Returns
    -------
    list of float
        Median of far minus near side by bound, dB; NaN where fewer than 20 rows are left.
    """
    if not bounds:
        return []
    steps = []
    for number in range(len(bounds[0].samples)):
        sides = [
            _average_sides(decibels[part.first : part.stop], part.samples[number]) for part in bounds
        ]
        near, far = np.concatenate([side for side in sides if side.size] or [np.empty((0, 2))]).T
        both = near + far
        is_dark = both <= np.nanquantile(both, _DARKEST) if np.isfinite(both).any() else both > 0
        step = np.median((far - near)[is_dark]) if is_dark.sum() >= _LEAST_ROWS else np.nan
        steps.append(float(step))
    return steps


def _average_sides(rows: np.ndarray, bound: float) -> np.ndarray:
    """Means of the pixels on the near and the far side of a bound, (rows, 2); none at the border."""
    first = round(bound)
    near = slice(first - _GAP - _SIDE, first - _GAP)
    far = slice(first + _GAP, first + _GAP + _SIDE)
    if near.start < 0 or far.stop > rows.shape[1]:
        return np.empty((0, 2))
    return np.stack([rows[:, side].mean(axis=1, dtype=np.float64) for side in (near, far)], axis=1)


def warn_of_steps(image: Sentinel1Image, steps: Sequence[float], deviation: float) -> None:
    """Warn where thermal noise makes a false edge; ``deviation`` is that of the scale, dB."""
    largest = max((abs(step) for step in steps if np.isfinite(step)), default=0.0)
    if largest >= _LARGEST_STEP:
        logger.warning(
            "%s: thermal noise is still in HV: a step of %.1f dB (%.2f deviations of the training) at a "
            "bound of sub-swaths",
            image.name,
            largest,
            largest / deviation,
        )


def describe_noise_difference(
    image: Sentinel1Image, trained: str, darkest: float, deviation: float
) -> str:
    """Describe what another noise correction than that of the training does to HV; empty if the same.

    Parameters
    ----------
    image : Sentinel1Image
    trained : str
        ``nersc``, ``esa``, ``esa_floor``, ``none`` or ``simulated`` (noise is kept, without steps).
    darkest : float
        Tenth percentile of HV, dB.
    deviation : float
        Of the scale of HV, dB.
    """
    if image.noise == trained:
        return ""
    text = f"the network was trained with noise {trained}, the image has {image.noise}"
    noise = image.noise_power.get("HV", 10 ** (_TYPICAL_NOISE / 10))
    power = 10 ** (darkest / 10)
    water = f"calm water in HV ({darkest:.1f} dB)"
    if image.noise == "esa":
        shift = 10 * np.log10((power + noise) / power)
        return f"{text}: {water} is {_format_shift(shift, deviation)} too dark"
    if trained == "esa":
        shift = 10 * np.log10(power / max(power - noise, power / 100))
        return f"{text}: {water} is {_format_shift(shift, deviation)} too bright"
    if image.noise in ("none", "unknown"):
        step = _format_shift(_TYPICAL_STEP, deviation)
        return f"{text}: steps between sub-swaths of up to {step} in calm water may look like ice edges"
    return f"{text}: their mean noise is the same, remains of steps and scalloping differ"


def _format_shift(decibels: float, deviation: float) -> str:
    return f"{decibels:.1f} dB ({decibels / deviation:.2f} deviations)"
