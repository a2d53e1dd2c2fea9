"""Which colours a field gets, over which range, and what the colour bar says."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seaice import InputError
from seaice.drawing import palette
from seaice.pictures.read_field import Field

if TYPE_CHECKING:
    from matplotlib.colors import Colormap, Normalize

_PERCENTILES = (2, 98)
_FEW = 8  # counts up to this get a colour each
_LABEL = 76  # characters that fit beside the bar


@dataclass(frozen=True)
class Scale:
    """Colours of a field.

    Attributes
    ----------
    colours : tuple of str
        Lowest to highest, even in lightness.
    edges : tuple of float
        First and last value; of classes all edges between colours.
    label : str
        For the colour bar, with units.
    ticks : tuple of float, optional
        Where the bar has numbers; by default matplotlib's choice.
    below, above : bool
        Values lie beyond the range: the bar ends in an arrow.
    factor : float
        Values are drawn times this, such as 100 for percent.
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

    def colormap(self) -> Colormap:
        """Colours for matplotlib; transparent where there is no value."""
        from matplotlib.colors import LinearSegmentedColormap

        drawn: Any = LinearSegmentedColormap.from_list("seaice_field", self.colours, N=256)
        drawn.colorbar_extend = _extend(self.below, self.above)
        result: Colormap = drawn.with_extremes(bad=(0, 0, 0, 0))
        return result

    def norm(self) -> Normalize:
        """Values to colours for matplotlib."""
        from matplotlib.colors import BoundaryNorm, Normalize

        if len(self.edges) == 2:
            return Normalize(self.low, self.high)
        return BoundaryNorm(self.edges, 256, extend=_extend(self.below, self.above))

    def colour(self, value: float) -> tuple[int, int, int]:
        """Red, green and blue of a value as stored, 0..255."""
        red, green, blue, _ = self.colormap()(self.norm()(value * self.factor), bytes=True)
        return int(red), int(green), int(blue)


def scale_of(field: Field, *, vmin: float | None = None, vmax: float | None = None) -> Scale:
    """Choose the colours of a field.

    A concentration reaches from 0 to 100 percent, a share from 0 to 1. Counts get a colour
    each up to 8, else steps of 1, 2, 5, 10, ... Anything else reaches from the 2nd to the
    98th percentile of the cells with a value, rounded outward to numbers that read well;
    a spread begins at 0.

    Parameters
    ----------
    field : Field
        With at least one value.
    vmin, vmax : float, optional
        First and last value instead.

    Raises
    ------
    InputError
        If the range is empty.
    """
    known = field.values[field.known].astype(np.float64)
    scale = _by_kind(field, known)
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
    drawn = known * scale.factor
    # Rounding in the last digit of a float32 is no value beyond the range.
    slack = 1e-5 * (scale.high - scale.low)
    return replace(
        scale,
        below=bool(drawn.min() < scale.low - slack),
        above=bool(drawn.max() > scale.high + slack),
    )


def _by_kind(field: Field, known: np.ndarray) -> Scale:
    label = _label(field)
    attributes = field.attributes
    if attributes.get("standard_name") == "sea_ice_area_fraction" or field.name == "sea_ice_conc":
        factor = 1.0 if field.units in ("%", "percent") else 100.0
        return Scale(palette.ICE, (0.0, 100.0), "sea ice concentration (%)", factor=factor)
    if field.is_count:
        return _count_scale(known, label)
    if np.array_equal(np.atleast_1d(attributes.get("valid_range", ())), (0, 1)):
        return Scale(palette.RATIO, (0.0, 1.0), label)
    if "standard_deviation" in str(attributes.get("cell_methods")) or re.search(
        "_(std|uncertainty)$", field.name
    ):
        return Scale(palette.SPREAD, (0.0, nice_range(0.0, _percentiles(known)[1])[1]), label)
    if field.units in ("h", "hours"):
        first, last = nice_range(*_percentiles(known))
        return Scale(palette.HOURS, (first, min(last, 24.0) if first < 24 else last), label)
    colours = palette.TEMPERATURE if field.units in ("K", "kelvin") else palette.FREEBOARD
    return Scale(colours, nice_range(*_percentiles(known)), label)


def _percentiles(known: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(known, _PERCENTILES)
    return float(low), float(high)


def nice_range(low: float, high: float) -> tuple[float, float]:
    """Round a range outward to numbers that read well.

    Examples
    --------
    >>> nice_range(0.034, 0.561)
    (0.0, 0.6)
    >>> nice_range(163.2, 268.7)
    (160.0, 270.0)
    >>> nice_range(0.25, 0.25)
    (0.24, 0.26)
    """
    middle = max(abs(low), abs(high))
    span = high - low
    if span <= max(1e-6 * middle, 1e-30):  # one value: some room on either side
        span = 0.4 * middle if middle > 1e-30 else 1.0
    power = 10.0 ** np.floor(np.log10(span / 10))
    step = next(factor * power for factor in (1, 2, 5, 10) if span / (factor * power) <= 12)
    first, last = np.floor(low / step + 1e-6), np.ceil(high / step - 1e-6)
    if first == last:
        first, last = first - 1, last + 1
    if 0 < first <= 0.15 * last:
        first = 0.0  # so near to zero that the range may as well begin there
    return float(f"{first * step:.12g}"), float(f"{last * step:.12g}")


def _count_scale(known: np.ndarray, label: str) -> Scale:
    low, high = int(known.min()), int(known.max())
    if low >= 0 and high <= _FEW:
        low = min(low, 1)
        whole = range(low, max(high, low + 1) + 1)
        edges = tuple(number - 0.5 for number in (*whole, whole[-1] + 1))
        return Scale(palette.COUNT, edges, label, ticks=tuple(map(float, whole)))
    if low <= 0 or high < 10 * low:
        return Scale(palette.COUNT, nice_range(low, high), label)
    steps = [float(m * 10**power) for power in range(12) for m in (1, 2, 5)]
    first = max(step for step in steps if step <= low)
    last = min(step for step in steps if step > high)
    edges = tuple(step for step in steps if first <= step <= last)
    return Scale(palette.COUNT, edges, label, ticks=edges)


def _label(field: Field) -> str:
    what = re.split("[,;]", field.long_name)[0]
    if len(what) > _LABEL:
        what = field.name.replace("_", " ")
    return f"{what} ({field.units})" if field.units else what


def _extend(below: bool, above: bool) -> Literal["neither", "both", "min", "max"]:
    if below:
        return "both" if above else "min"
    return "max" if above else "neither"
