"""Layouts of the ICESat-2 sea ice products: ATL10 of releases 005 and 006, ATL07."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seaice.sources.icesat2_tracks import Product


@dataclass(frozen=True)
class Layout:
    """Where a product and release keeps what is needed: names below the group of a beam.

    Attributes
    ----------
    product : str
    group : str
        Of the segments.
    own, heights, stats : str
        Groups below that one, with a slash behind: of positions, of heights, of flags.
    value, uncertainty, quality : str
        Names below ``group``.
    """

    product: Product
    group: str
    own: str
    heights: str
    stats: str
    value: str
    uncertainty: str
    quality: str

    def names(self, field: str) -> tuple[str, ...]:
        """Places of an array, the likeliest first."""
        own, heights, stats = self.own, self.heights, self.stats
        found: dict[str, Sequence[str]] = {
            "latitude": [own + "latitude"],
            "longitude": [own + "longitude"],
            "delta_time": [own + "delta_time"],
            "value": [self.value],
            "length": [heights + "height_segment_length_seg"],
            "uncertainty": [self.uncertainty],
            "quality": [self.quality],
            "surface_type": [heights + "height_segment_type"],
            "podppd": [heights + "podppd_flag", heights + "height_segment_podppd_flag"],
            "layer": [stats + "layer_flag"],
            "dist2land": [heights + "height_segment_dist2land", own + "height_segment_dist2land"],
            "concentration": [stats + f"ice_conc{which}" for which in ("_amsr2", "_ssmi", "")],
        }
        return tuple(f"{self.group}/{name}" for name in found[field])


def _freeboards(group: str, own: str, heights: str) -> Layout:
    names = (f"{own}beam_fb_{what}" for what in ("height", "unc", "quality_flag"))
    return Layout("ATL10", group, own, heights, heights, *names)


LAYOUTS = (
    _freeboards("freeboard_segment", "", "heights/"),
    _freeboards("freeboard_beam_segment", "beam_freeboard/", "height_segments/"),
    Layout(
        "ATL07",
        "sea_ice_segments",
        "",
        "heights/",
        "stats/",
        "heights/height_segment_height",
        "heights/height_segment_surface_error_est",
        "heights/height_segment_fit_quality_flag",
    ),
)
