"""What is known of a concentration beside its value, as bits of a flag."""

from __future__ import annotations

from enum import IntFlag


class Status(IntFlag):
    """Bits of the status of a concentration."""

    OPEN_WATER = 1
    """The algorithm's filter says that what looks like ice is weather over open water."""
    LAND_CORRECTED = 2
    """Land within the footprint was taken out of the temperatures."""
    MISFIT = 4
    """The temperatures are those of neither water nor ice nor a mixture of the two."""
    BASE_ONLY = 8
    """Not sharpened: the concentration is that of the coarsest footprint."""
