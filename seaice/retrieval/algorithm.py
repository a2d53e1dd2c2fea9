"""What an algorithm is: channels in, concentration and what is known about it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from seaice import InputError
from seaice.retrieval.tie_points import Signatures

Temperatures = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Concentration of places, all arrays of one shape.

    Attributes
    ----------
    concentration : ndarray of float32
        Share of ice, neither clipped to 0..1 nor filtered; NaN where a channel is missing.
    is_open_water : ndarray of bool
        Where the algorithm's filter says that what looks like ice is weather over water.
    standard_error : ndarray of float32 or None
        None: the algorithm knows none.
    misfit : ndarray of float32 or None
        Chi-square of the temperatures about the mixture, over its 99.9 percent point: above 1 a place
        is neither water nor ice nor between.
    """

    concentration: np.ndarray
    is_open_water: np.ndarray
    standard_error: np.ndarray | None = None
    misfit: np.ndarray | None = None

    def filter(self) -> np.ndarray:
        """Return the concentration, clipped to 0..1, and 0 where there is open water."""
        clipped = np.clip(self.concentration, 0, 1)
        return np.where(self.is_open_water, np.float32(0), clipped)


@dataclass(frozen=True)
class Algorithm:
    """A way from brightness temperatures to concentration.

    Attributes
    ----------
    name : str
    channels : tuple of str
        What it needs, such as ``36.5V`` or ``89H``.
    frequency : str
        At whose footprints and places it works, such as ``23.8``: finer channels are averaged to
        them, coarser ones interpolated.
    function : callable
        Takes temperatures by channel, kelvin, and the signatures of the day and hemisphere.
    sensors : tuple of str
        Whose temperatures its constants are for; empty: those of the tie points.
    is_sharpened : bool
        Whether finer channels sharpen what it finds. Its function takes ``noise`` as well.
    """

    name: str
    channels: tuple[str, ...]
    frequency: str
    function: Callable[..., Retrieval]
    sensors: tuple[str, ...] = ()
    is_sharpened: bool = False

    def retrieve(
        self,
        temperatures: Temperatures,
        signatures: Signatures,
        *,
        noise: Temperatures | None = None,
    ) -> Retrieval:
        """Retrieve the concentration of places.

        Parameters
        ----------
        temperatures : mapping of str to ndarray
            Kelvin, of one shape, NaN where missing; at least those of ``channels``.
        signatures : Signatures
        noise : mapping of str to ndarray, optional
            Variances of channels, square kelvin, that are added place by place, where the algorithm
            weighs its channels.

        Raises
        ------
        InputError
            If a channel is absent, the values are no kelvin, or the sensor is another.
        """
        absent = [channel for channel in self.channels if channel not in temperatures]
        if absent:
            raise InputError(
                f"expected the channels {', '.join(absent)} for {self.name}, found "
                f"{', '.join(temperatures) or 'none'}; collect them with amsr2_processor.py "
                "--preset concentration"
            )
        if self.sensors and signatures.sensor not in self.sensors:
            raise InputError(
                f"expected temperatures of {', '.join(self.sensors)} for the constants of {self.name}, "
                f"found those of {signatures.sensor}"
            )
        kelvin = {channel: check_kelvin(temperatures[channel], channel) for channel in self.channels}
        if noise and self.is_sharpened:
            return self.function(kelvin, signatures, noise=noise)
        return self.function(kelvin, signatures)


def check_kelvin(values: np.ndarray, channel: str) -> np.ndarray:
    """Return brightness temperatures as float32; single values that cannot be any become NaN.

    Raises
    ------
    InputError
        If most values are no kelvin, as of counts.
    """
    kelvin = np.array(values, np.float32)
    is_value = np.isfinite(kelvin)
    is_kelvin = (kelvin > 50) & (kelvin < 330)
    if is_value.sum() > 2 * (is_value & is_kelvin).sum():
        raise InputError(
            f"expected kelvin, 50 to 330, found values about {np.median(kelvin[is_value]):g} in "
            f"{channel}: are they counts? Then multiply them by their scale factor"
        )
    kelvin[~is_kelvin] = np.nan
    return kelvin
