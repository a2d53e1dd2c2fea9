"""Compiled loop of the land correction."""

from __future__ import annotations

import numpy as np

from seaice.retrieval._footprint_kernels import list_neighbours
from seaice.runtime.compiled_kernels import compile_loop

_compile = compile_loop(error_model="numpy")


@_compile
def describe_land(position, kelvin, is_land, needed, reach, least, most, results):  # type: ignore[no-untyped-def]
    """Median and standard deviation of the temperatures of land near pixels.

    Parameters
    ----------
    position : float64 (3, scans, pixels)
    kelvin : float32 (channels, scans * pixels)
    is_land : bool (scans * pixels,)
    needed : bool (scans, pixels)
    reach : float
        Kilometres.
    least, most : int
        Pixels of land, and neighbours.
    results : float32 (2, channels, scans, pixels)
        Stays as it is where there are too few.
    """
    scans, pixels = needed.shape
    numbers, squares, values = np.empty(most, np.int64), np.empty(most), np.empty(most)
    for scan in range(scans):
        for pixel in range(pixels):
            if not needed[scan, pixel]:
                continue
            x, y, z = position[0, scan, pixel], position[1, scan, pixel], position[2, scan, pixel]
            count = list_neighbours(position, scan, pixel, x, y, z, reach, numbers, squares)
            for channel in range(len(kelvin)):
                size = 0
                for neighbour in range(count):
                    value = kelvin[channel, numbers[neighbour]]
                    if is_land[numbers[neighbour]] and np.isfinite(value):
                        values[size] = value
                        size += 1
                if size >= least:
                    results[0, channel, scan, pixel] = np.median(values[:size])
                    results[1, channel, scan, pixel] = np.std(values[:size])
