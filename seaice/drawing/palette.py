"""Colours of the maps, and the legend entries of flags and surface classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from seaice.flags import FillFlag, Surface

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

# Open water to closed ice in nine steps of equal CIELAB lightness (14 to 98), the hue going
# from navy to white: equal differences in concentration look equal, also in print and to
# colour-blind readers.
ICE = (
    "#0f2347", "#0c3b6c", "#035590", "#1471ae", "#388dc4", "#60aad6", "#91c5e1", "#c2e0ed", "#f5fafc",
)  # fmt: skip

# Types of ice by age or size, the first is open water: tell them apart at a glance and in grey.
ICE_TYPES = ("#0f2347", "#7b4fa3", "#2f7fc1", "#2fa58c", "#a9c93f", "#f4d35e", "#c8553d")

# Never missing to always missing, white through ochre to dark brown.
RATIO = (
    "#fdfbf7", "#f3deb8", "#e6bb78", "#cf944b", "#ae6c33", "#844a29", "#55301f", "#2a1a12",
)  # fmt: skip

# Gridded quantities: each has colours of its own, so that two maps are not mixed up. The first,
# second and last are matplotlib's viridis, inferno and cividis; spread and count are its RdPu and
# YlGnBu without their palest quarter, which would look like a cell without observation.
FREEBOARD = (
    "#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725",
)  # fmt: skip
TEMPERATURE = (
    "#10092d", "#3d0965", "#6a176e", "#972766", "#c03a51", "#e35933", "#f8850f", "#fbba1f", "#f1ef75",
)  # fmt: skip
SPREAD = (
    "#fcc5c0", "#faa8b8", "#f883ab", "#f05a9e", "#dc3397", "#b90d84", "#93017a", "#6c0173", "#49006a",
)  # fmt: skip
COUNT = (
    "#b7e3b6", "#83cebb", "#55bec1", "#33a7c2", "#1e8bbd", "#2166ac", "#24479d", "#1d2e83", "#081d58",
)  # fmt: skip
HOURS = (
    "#00224e", "#1a386f", "#434e6c", "#61656f", "#7d7c78", "#9b9476", "#bcae6c", "#dec958", "#fee838",
)  # fmt: skip

# Decrease to increase, through white; matplotlib's RdBu, which readers of any colour vision can divide.
CHANGE = (
    "#67001f", "#b2182b", "#d6604d", "#f4a582", "#f7f7f7", "#92c5de", "#4393c3", "#2166ac", "#053061",
)  # fmt: skip

LAND = "#c9bba4"
NO_VALUE = "#a3a3a3"
NO_VALUE_HATCH = "#858585"
NO_OBSERVATION = "#e9e9e9"
COASTLINE = "#4a4038"
ICE_EDGE = "#e4572e"
POLE = "#8e3b8a"
MASK_EDGE = "#15a3a0"
GRATICULE = "#5f6b73"
TEXT = "#222222"
TEXT_SOFT = "#5a5a5a"
HATCH = "//////"


@dataclass(frozen=True)
class Swatch:
    """Entry of a legend.

    Attributes
    ----------
    label : str
        Text beside the colour.
    colour : str
        Colour in a form that matplotlib reads.
    kind : {"area", "line"}
        Whether the entry explains an area or a line.
    hatched : bool
        Whether the area is hatched: it has no value.
    """

    label: str
    colour: str
    kind: Literal["area", "line"] = "area"
    hatched: bool = False


def make_no_value_swatch(label: str) -> Swatch:
    """Make the legend entry of the hatched grey of cells without a value."""
    return Swatch(label, NO_VALUE, hatched=True)


def make_line_swatch(label: str, colour: str) -> Swatch:
    """Make the legend entry of a line."""
    return Swatch(label, colour, "line")


LAND_SWATCH = Swatch("land", LAND)

# Classes differ by 13 or more in CIELAB, for readers with any deficiency of colour vision too: a test
# computes the differences of every pair.
SURFACE: dict[str, Swatch] = {
    Surface.OCEAN.name.lower(): Swatch("ocean", "#033a66"),
    Surface.LAND.name.lower(): LAND_SWATCH,
    Surface.COAST.name.lower(): Swatch("coast (ocean beside land)", "#56d5d6"),
    Surface.POLE_HOLE.name.lower(): Swatch("pole hole", "#b24aa1"),
    Surface.RARELY_OBSERVED_OCEAN.name.lower(): Swatch("rarely observed ocean", "#f2a541"),
    Surface.LAKE.name.lower(): Swatch("lake", "#7d8fe8"),
    Surface.NEVER_ICE.name.lower(): Swatch("ocean without ice in any month", "#5b7a3a"),
}

FILL: dict[str, Swatch] = {
    FillFlag.OBSERVED.name.lower(): Swatch("observed", "#e8eef2"),
    FillFlag.TEMPORAL_TWO_SIDED.name.lower(): Swatch("time, both sides", "#5aaddd"),
    FillFlag.TEMPORAL_ONE_SIDED.name.lower(): Swatch("time, one side", "#004177"),
    FillFlag.DEPARTURE_TWO_SIDED.name.lower(): Swatch("time + neighbours", "#90cbd3"),
    FillFlag.DEPARTURE_ONE_SIDED.name.lower(): Swatch("one side + neighbours", "#1f7a5c"),
    FillFlag.INCREMENT_TWO_SIDED.name.lower(): Swatch("network, both sides", "#6be07a"),
    FillFlag.INCREMENT_ONE_SIDED.name.lower(): Swatch("network, one side", "#3b3114"),
    FillFlag.KRIGED_TWO_SIDED.name.lower(): Swatch("network + neighbours", "#b1894e"),
    FillFlag.KRIGED_ONE_SIDED.name.lower(): Swatch("network, one side + neighbours", "#764e00"),
    FillFlag.SPACETIME_GAUSSIAN.name.lower(): Swatch("space-time Gaussian", "#e8921f"),
    FillFlag.POLE_HOLE.name.lower(): Swatch("pole hole", "#b24aa1"),
    FillFlag.NOT_FILLED.name.lower(): make_no_value_swatch("not filled"),
    FillFlag.LAND.name.lower(): LAND_SWATCH,
}

# Colours for classes that are not listed above, such as a filling method of a later version.
SPARE = ("#39a262", "#c8376c", "#f0dc4e", "#7a5c3e", "#14756b", "#918ad8")


def make_ice_colormap() -> Colormap:
    """Make the colour map of concentration: dark blue (water) to white (ice), transparent for NaN.

    Examples
    --------
    >>> [round(float(part), 2) for part in make_ice_colormap()(1.0)]
    [0.96, 0.98, 0.99, 1.0]
    """
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("seaice_ice", ICE, N=256).with_extremes(bad=(0, 0, 0, 0))


def make_ratio_colormap() -> Colormap:
    """Make the colour map of shares of missing days: white (never) to dark brown (always missing)."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("seaice_ratio", RATIO, N=256).with_extremes(
        bad=(0, 0, 0, 0)
    )


def make_temperature_colormap() -> Colormap:
    """Make the colour map of brightness temperatures, grey for NaN."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("seaice_temperature", TEMPERATURE, N=256).with_extremes(
        bad=NO_VALUE
    )
