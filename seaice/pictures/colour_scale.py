"""Colour scale of a field: its colours, their range, and the label of the colour bar."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seaice import InputError
from seaice.drawing import palette
from seaice.pictures.read_field import MapField

if TYPE_CHECKING:
    from matplotlib.colors import Colormap, Normalize

_PERCENTILES = (2, 98)
_MOST_COLOURED_COUNTS = 8  # counts up to this get a colour each
_LABEL_LENGTH = 76  # characters that fit beside the bar
_TEMPERATURE_UNITS = ("K", "kelvin", "degC", "celsius", "Celsius", "degree_Celsius", "degrees_Celsius")


@dataclass(frozen=True)
class ColourScale:
    """Colour scale of a field.

    Attributes
    ----------
    colours : tuple of str
        Colours from the lowest to the highest value, in even steps of lightness.
    edges : tuple of float
        First and last value of the scale; with more than two, each colour lies between two edges.
    label : str
        Label of the colour bar, with units.
    ticks : tuple of float, optional
        Values that the bar names; by default matplotlib chooses them.
    below, above : bool
        Whether the field has values below or above the scale: the bar ends in an arrow.
    factor : float
        Factor from stored to drawn values, such as 100 for percent.
    """

    colours: tuple[str, ...]
    edges: tuple[float, ...]
    label: str
    ticks: tuple[float, ...] | None = None
    below: bool = False
    above: bool = False
    factor: float = 1.0

    @property
    def low(self) -> float:
        """First value."""
        return self.edges[0]

    @property
    def high(self) -> float:
        """Last value."""
        return self.edges[-1]

    def make_colormap(self) -> Colormap:
        """Make the colour map for matplotlib; NaN is transparent."""
        from matplotlib.colors import LinearSegmentedColormap

        opaque: Any = LinearSegmentedColormap.from_list("seaice_field", self.colours, N=256)
        opaque.colorbar_extend = _choose_arrows(self.below, self.above)
        colormap: Colormap = opaque.with_extremes(bad=(0, 0, 0, 0))
        return colormap

    def make_norm(self) -> Normalize:
        """Make the normalisation for matplotlib, from drawn value to position in the colour map."""
        from matplotlib.colors import BoundaryNorm, Normalize

        if len(self.edges) == 2:
            return Normalize(self.low, self.high)
        return BoundaryNorm(self.edges, 256, extend=_choose_arrows(self.below, self.above))

    def get_colour(self, value: float) -> tuple[int, int, int]:
        """Return red, green and blue, 0..255, of a stored value."""
        red, green, blue, _ = self.make_colormap()(self.make_norm()(value * self.factor), bytes=True)
        return int(red), int(green), int(blue)


def choose_scale(
    field: MapField, *, vmin: float | None = None, vmax: float | None = None
) -> ColourScale:
    """Choose the colour scale of a field.

    A concentration reaches from 0 to 100 percent, a share from 0 to 1. Counts up to 8 get a colour
    each, larger ones are divided at 1, 2, 5, 10, ... Any other field reaches from the 2nd to the
    98th percentile of its values, rounded outward to short numbers; a standard deviation starts at 0.

    Parameters
    ----------
    field : MapField
        Field with at least one value.
    vmin, vmax : float, optional
        First and last value of the scale, instead of the ones chosen.

    Raises
    ------
    InputError
        If the range is empty.
    """
    values = field.values[field.has_value].astype(np.float64)
    scale = _choose_by_kind(field, values)
    if vmin is not None or vmax is not None:
        low = scale.low if vmin is None else vmin
        high = scale.high if vmax is None else vmax
        if not low < high:
            raise InputError(f"expected --vmin below --vmax, found {low:g} to {high:g}; change one")
        inner = (edge for edge in scale.edges[1:-1] if low < edge < high)
        edges = (low, *inner, high)
        ticks = (
            edges
            if scale.ticks == scale.edges
            else tuple(t for t in scale.ticks or () if low < t < high)
        )
        scale = replace(scale, edges=edges, ticks=ticks or None)
    drawn = values * scale.factor
    # Values that differ from an end by rounding of a float32 do not lie beyond it.
    tolerance = 1e-5 * (scale.high - scale.low)
    return replace(
        scale,
        below=bool(drawn.min() < scale.low - tolerance),
        above=bool(drawn.max() > scale.high + tolerance),
    )


def _choose_by_kind(field: MapField, values: np.ndarray) -> ColourScale:
    """Choose colours and range by what the attributes say of the field."""
    label = _make_label(field)
    attributes = field.attributes
    if attributes.get("standard_name") == "sea_ice_area_fraction" or field.name == "sea_ice_conc":
        factor = 1.0 if field.units in ("%", "percent") else 100.0
        name = re.split("[,;]", field.long_name)[0]
        is_concentration = "concentration" in field.long_name.lower() or "long_name" not in attributes
        label = "sea ice concentration" if is_concentration or len(name) > _LABEL_LENGTH else name
        return ColourScale(palette.ICE, (0.0, 100.0), f"{label} (%)", factor=factor)
    if field.is_count:
        return _choose_count_scale(values, label)
    if np.array_equal(np.atleast_1d(attributes.get("valid_range", ())), (0, 1)):
        return ColourScale(palette.RATIO, (0.0, 1.0), label)
    if "standard_deviation" in str(attributes.get("cell_methods")) or re.search(
        "_(std|uncertainty|error)$", field.name
    ):
        return ColourScale(
            palette.SPREAD, (0.0, round_range(0.0, _compute_percentiles(values)[1])[1]), label
        )
    if field.units in ("h", "hours"):
        first, last = round_range(*_compute_percentiles(values))
        return ColourScale(palette.HOURS, (first, min(last, 24.0) if first < 24 else last), label)
    colours = palette.TEMPERATURE if field.units in _TEMPERATURE_UNITS else palette.FREEBOARD
    return ColourScale(colours, round_range(*_compute_percentiles(values)), label)


def _compute_percentiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, _PERCENTILES)
    if low == high:  # nearly all values are the same, and the others are what is to be seen
        low, high = values.min(), values.max()
    return float(low), float(high)


def round_range(low: float, high: float) -> tuple[float, float]:
    """Round a range outward to short numbers; a range that starts near 0 starts at 0 then.

    Examples
    --------
    >>> round_range(0.034, 0.561)
    (0.0, 0.6)
    >>> round_range(163.2, 268.7)
    (160.0, 270.0)
    >>> round_range(0.25, 0.25)
    (0.24, 0.26)
    """
    largest = max(abs(low), abs(high))
    span = high - low
    if span <= max(1e-6 * largest, 1e-30):  # a single value gets a range around it
        span = 0.4 * largest if largest > 1e-30 else 1.0
    power = 10.0 ** np.floor(np.log10(span / 10))
    step = next(factor * power for factor in (1, 2, 5, 10) if span / (factor * power) <= 12)
    first, last = np.floor(low / step + 1e-6), np.ceil(high / step - 1e-6)
    if first == last:
        first, last = first - 1, last + 1
    if 0 < first <= 0.15 * last:
        first = 0.0
    return float(f"{first * step:.12g}"), float(f"{last * step:.12g}")


def _choose_count_scale(values: np.ndarray, label: str) -> ColourScale:
    low, high = int(values.min()), int(values.max())
    if low >= 0 and high <= _MOST_COLOURED_COUNTS:
        low = min(low, 1)
        counts = range(low, max(high, low + 1) + 1)
        edges = tuple(count - 0.5 for count in (*counts, counts[-1] + 1))
        return ColourScale(palette.COUNT, edges, label, ticks=tuple(map(float, counts)))
    if low <= 0 or high < 10 * low:
        return ColourScale(palette.COUNT, round_range(low, high), label)
    steps = [float(m * 10**power) for power in range(12) for m in (1, 2, 5)]
    first = max(step for step in steps if step <= low)
    last = min(step for step in steps if step > high)
    edges = tuple(step for step in steps if first <= step <= last)
    return ColourScale(palette.COUNT, edges, label, ticks=edges)


def _make_label(field: MapField) -> str:
    name = re.split("[,;]", field.long_name)[0]
    if len(name) > _LABEL_LENGTH:
        name = field.name.replace("_", " ")
    return f"{name} ({field.units})" if field.units else name


def _choose_arrows(below: bool, above: bool) -> Literal["neither", "both", "min", "max"]:
    if below:
        return "both" if above else "min"
    return "max" if above else "neither"
