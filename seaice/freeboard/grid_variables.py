"""Variables of a freeboard grid."""

from __future__ import annotations

from seaice.cf import Variable
from seaice.gridding.file import (
    _mean,
    _number,
)


def freeboard_variables(product: str = "ATL10") -> tuple[Variable, ...]:
    """Variables of a freeboard file; of heights above the mean sea surface for ATL07."""
    noun, standard = "freeboard", {"standard_name": "sea_ice_freeboard"}
    if product == "ATL07":
        noun, standard = "height", {}
    what = "sea ice freeboard" if product == "ATL10" else "surface height above the mean sea surface"
    weighted = "area: time: {} (weighted by segment length)"
    ancillary = f"{noun}_std {noun}_uncertainty segment_count segment_length_mean track_count"
    return (
        _mean(
            f"{noun}_mean",
            f"{what}, mean of the segments weighted by their length",
            "m",
            method=weighted.format("mean"),
            ancillary_variables=ancillary,
            **standard,
        ),
        _mean(
            f"{noun}_std",
            f"standard deviation of the {noun} of the segments, weighted by their length",
            "m",
            method=weighted.format("standard_deviation"),
        ),
        _mean(
            f"{noun}_uncertainty",
            f"uncertainty of the {noun} of a segment, mean weighted by segment length; errors of a "
            "10 km section are not independent, so it is not divided by the number of segments",
            "m",
            method=weighted.format("mean"),
        ),
        _number("segment_count", "number of segments"),
        _mean("segment_length_mean", "mean segment length", "m", method="area: time: mean"),
        _number("track_count", "number of ground tracks (beams of granules)"),
    )
