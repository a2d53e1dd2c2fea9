"""Variables of a freeboard grid."""

from __future__ import annotations

from seaice.cf import Variable
from seaice.gridding.file import describe_count, describe_statistic


def define_freeboard_variables(product: str = "ATL10") -> tuple[Variable, ...]:
    """Variables of a grid of freeboard (ATL10) or of heights above the mean sea surface (ATL07)."""
    # ICESat-2 measures the upper surface. The standard name sea_ice_freeboard is for that of the ice.
    noun, quantity = "freeboard", "total freeboard: of snow and ice above the water"
    if product == "ATL07":
        noun, quantity = "height", "surface height above the mean sea surface"
    weighted = "area: time: {} (weighted by segment length)"
    ancillary = f"{noun}_std {noun}_uncertainty segment_count segment_length_mean track_count"
    return (
        describe_statistic(
            f"{noun}_mean",
            f"{quantity}, mean of the segments weighted by their length",
            "m",
            cell_methods=weighted.format("mean"),
            ancillary_variables=ancillary,
        ),
        describe_statistic(
            f"{noun}_std",
            f"standard deviation of the {noun} of the segments, weighted by their length",
            "m",
            cell_methods=weighted.format("standard_deviation"),
        ),
        describe_statistic(
            f"{noun}_uncertainty",
            f"uncertainty of the {noun} of a segment, mean weighted by segment length; errors of a "
            "10 km section are not independent, so it is not divided by the number of segments",
            "m",
            cell_methods=weighted.format("mean"),
        ),
        describe_count("segment_count", "number of segments"),
        describe_statistic(
            "segment_length_mean", "mean segment length", "m", cell_methods="area: time: mean"
        ),
        describe_count("track_count", "number of ground tracks (beams of granules)"),
    )
