"""What a map of the page shows: a layer, and the numbers by which its cells travel to the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from seaice.drawing.palette import ICE, Swatch

# Cells without a number: packed in int16, and as float32.
NO_VALUE, LAND, WATER = -32768, -32767, -32766
_AS_FLOAT = {NO_VALUE: np.nan, LAND: np.inf, WATER: -np.inf}
_LARGEST = 32767
Store = Literal["int16", "uint8", "float32"]


def describe_swatch(code: int, swatch: Swatch) -> dict[str, Any]:
    """What the page needs to draw the cells of a code, for JSON."""
    return {
        "code": code,
        "label": swatch.label,
        "colour": swatch.colour,
        "hatched": swatch.hatched,
    }


class Surroundings(NamedTuple):
    """Cells that a layer does not tell of, bool (rows, columns) each.

    Attributes
    ----------
    land : ndarray
    water : ndarray
        Lakes, and ocean that never has ice.
    """

    land: np.ndarray
    water: np.ndarray

    def cut(self, rows: slice, columns: slice) -> Surroundings:
        """The part of a rectangle of cells."""
        return Surroundings(self.land[rows, columns], self.water[rows, columns])


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A quantity or classes that the page can show.

    Attributes
    ----------
    name : str
        Name in the address of the page.
    label : str
    units : str
        Empty for a number without unit.
    store : {"int16", "uint8", "float32"}
        How a cell is stored on its way to the page; uint8 are codes of classes.
    scale : float
        Value of a step of an int16.
    digits : int
        Decimals that are shown.
    colours : tuple of str
        Colours from the lowest to the highest value.
    edges : tuple of float
        First and last value of the scale; with more than two each colour lies between two edges.
    classes : mapping of int to Swatch
        Meaning of codes.
    is_static : bool
        Whether it is the same on every day.
    """

    name: str
    label: str
    units: str = ""
    store: Store = "int16"
    scale: float = 1.0
    digits: int = 0
    colours: tuple[str, ...] = ()
    edges: tuple[float, ...] = (0.0, 1.0)
    classes: Mapping[int, Swatch] = field(default_factory=dict)
    is_static: bool = False

    def pack(self, values: np.ndarray, around: Surroundings | None = None) -> np.ndarray:
        """Store values as the page reads them.

        Parameters
        ----------
        values : ndarray of float, shape (rows, columns)
            NaN has no value. Codes of classes are returned as uint8.
        around : Surroundings, optional
            Cells of land and water; they get codes of their own.

        Returns
        -------
        ndarray of :attr:`store`, shape (rows, columns)

        Examples
        --------
        >>> layer = Layer(name="a", label="a", scale=0.01)
        >>> layer.pack(np.array([[0.0, 12.34, np.nan]])).tolist()
        [[0, 1234, -32768]]
        """
        if self.store == "uint8":
            return np.ascontiguousarray(values, np.uint8)
        if self.store == "float32":
            packed = np.array(values, np.float32)
            packed[~np.isfinite(packed)] = np.nan
        else:
            with np.errstate(invalid="ignore"):
                steps = np.rint(values / np.float32(self.scale)).clip(WATER + 1, _LARGEST)
            packed = np.where(np.isnan(steps), NO_VALUE, steps).astype(np.int16)
        if around is not None:
            for cells, code in ((around.land, LAND), (around.water, WATER)):
                packed[cells] = _AS_FLOAT[code] if self.store == "float32" else code
        return packed

    def unpack(self, packed: np.ndarray) -> np.ndarray:
        """Values of cells that were packed, float64; NaN where there is none."""
        if self.store == "int16":
            return np.where(packed <= WATER, np.nan, packed * self.scale)
        return np.where(np.isfinite(packed), packed, np.nan).astype(np.float64)

    def describe(self) -> dict[str, Any]:
        """What the page needs to draw the layer, for JSON."""
        classes = [describe_swatch(code, swatch) for code, swatch in self.classes.items()]
        return {
            "name": self.name,
            "label": self.label,
            "units": self.units,
            "store": self.store,
            "scale": self.scale,
            "digits": self.digits,
            "colours": list(self.colours),
            "edges": list(self.edges),
            "classes": classes,
            "isStatic": self.is_static,
        }


CONCENTRATION = Layer(
    name="concentration",
    label="sea ice concentration",
    units="%",
    scale=0.01,
    digits=2,
    colours=ICE,
    edges=(0.0, 100.0),
)
