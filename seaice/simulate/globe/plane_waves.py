"""Random fields as sums of plane waves: smooth, the same at every resolution, each point on its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seaice.swaths.orbit import EARTH_RADIUS


@dataclass(frozen=True)
class PlaneWaves:
    """A sum of plane waves of unit variance, as a function of position and time.

    Attributes
    ----------
    vectors : ndarray of float64, shape (waves, 2 or 3)
        Radians a kilometre.
    phases : ndarray of float64, shape (waves,)
    rates : ndarray of float64, shape (waves,)
        Radians a day.
    amplitudes : ndarray of float32, shape (waves,)
    """

    vectors: np.ndarray
    phases: np.ndarray
    rates: np.ndarray
    amplitudes: np.ndarray

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        count: int,
        coarsest: float,
        finest: float,
        *,
        slope: float,
        days: float = np.inf,
        dimensions: int = 3,
    ) -> PlaneWaves:
        """Draw waves of ``coarsest`` to ``finest`` kilometres that pass within about ``days``.

        The amplitude of a wave is its length to the power of ``slope``.
        """
        directions = rng.standard_normal((count, dimensions))
        directions /= np.sqrt((directions**2).sum(1, keepdims=True))
        lengths = np.geomspace(coarsest, finest, count)
        amplitudes = lengths**slope
        return cls(
            directions * (2 * np.pi / lengths)[:, None],
            rng.uniform(0, 2 * np.pi, count),
            2 * np.pi / days * rng.uniform(0.5, 1.5, count),
            (amplitudes * np.sqrt(2 / (amplitudes**2).sum())).astype(np.float32),
        )

    def evaluate_on_sphere(
        self, x: np.ndarray, y: np.ndarray, z: np.ndarray, days: np.ndarray
    ) -> np.ndarray:
        """Evaluate the sum at unit vectors, float32 (scans, samples); ``days`` for each scan."""
        phases = np.mod(self.phases + self.rates * days[:, None], 2 * np.pi).astype(np.float32)
        vectors = (self.vectors * EARTH_RADIUS).astype(np.float32)
        total = np.zeros_like(x)
        for vector, phase, amplitude in zip(vectors, phases.T, self.amplitudes, strict=True):
            wave = vector[0] * x
            wave += vector[1] * y
            wave += vector[2] * z
            wave += phase[:, None]
            np.sin(wave, out=wave)
            wave *= amplitude
            total += wave
        return total

    def evaluate_on_grid(self, x: np.ndarray, y: np.ndarray, day: float) -> np.ndarray:
        """Evaluate the sum on a plane, float32 (rows, columns); kilometres of columns and rows."""
        total = np.zeros((y.size, x.size), np.float32)
        product = np.empty_like(total)
        phases = np.mod(self.phases + self.rates * day, 2 * np.pi)
        for vector, phase, amplitude in zip(self.vectors, phases, self.amplitudes, strict=True):
            # The sine of a sum of angles: two products for each cell in place of a sine.
            along = vector[0] * x + phase
            across = (vector[1] * y)[:, None]
            for column, row in ((np.sin(along), np.cos(across)), (np.cos(along), np.sin(across))):
                np.multiply(amplitude * column.astype(np.float32), row.astype(np.float32), out=product)
                total += product
        return total
