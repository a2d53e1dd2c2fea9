"""The events of an ice year that have a date, their definitions and their status."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, NamedTuple

from seaice.cf import ICE_EDGE

# Concentration from which the ice counts as closed (Bliss et al. 2019).
CLOSED_ICE = 0.8
# Least days of ice in a row that make an advance (Stammerjohn et al. 2012).
RUN_DAYS = 5

# No date yet, and none in files.
NO_DAY = -1
# Readings of a day: the most ice that its value may stand for, the value, and the least ice.
MOST, VALUE, LEAST = 0, 1, 2

REFERENCES = (
    "Stammerjohn, S., R. Massom, D. Rind, D. Martinson (2012), Regions of rapid sea ice change: An "
    "inter-hemispheric seasonal comparison, Geophys. Res. Lett. 39, L06501, doi:10.1029/2012GL050874 "
    "(advance, retreat); Bliss, A. C., M. Steele, G. Peng, W. N. Meier, S. Dickinson (2019), Regional "
    "variability of Arctic sea ice seasonal change climate indicators from a passive microwave climate "
    "data record, Environ. Res. Lett. 14, 045003, doi:10.1088/1748-9326/aafb84 (opening, retreat, first "
    "ice, closing; as in NSIDC-0747)"
)


class DateStatus(IntEnum):
    """What became of an event in a cell and an ice year."""

    DATE = 0
    ICE_ALL_SEASON = 1  # every value of the ice year at the threshold or above
    NEVER_ICE = 2  # no value of the ice year at the threshold or above
    ICE_AT_MINIMUM = 3  # above the threshold on the last day with a value before the minimum
    NOT_REACHED = 4  # above the threshold on the other side of the minimum alone
    NOT_ENOUGH_DATA = 5
    LAND = 254


class Event(NamedTuple):
    """An event of the ice year.

    Attributes
    ----------
    name : str
        Variable in files, without ``day_of_``.
    title : str
        For maps and messages.
    side : {"last", "first"}
        Whether it is the last day of ice before the minimum or the first after it.
    row : int
        Row of its side in the arrays of ``_date_kernels``.
    is_closed_ice : bool
        Whether the concentration of closed ice decides, instead of that of the ice edge.
    needs_run : bool
        Whether ice has to stay for some days in a row.
    """

    name: str
    title: str
    side: Literal["last", "first"]
    row: int
    is_closed_ice: bool = False
    needs_run: bool = False

    @property
    def variable(self) -> str:
        """Name of the variable in files."""
        return f"day_of_{self.name}"

    def define(self, threshold: float, closed_threshold: float, run_days: int) -> str:
        """Write the definition as a sentence.

        Examples
        --------
        >>> EVENTS["advance"].define(0.15, 0.8, 5)
        'first day of the first 5 days in a row with at least 15 percent ice after the minimum'
        """
        percent = 100 * (closed_threshold if self.is_closed_ice else threshold)
        if self.side == "last":
            return f"last day with at least {percent:g} percent ice up to the day of the minimum"
        run = f"first day of the first {run_days} days in a row" if self.needs_run else "first day"
        return f"{run} with at least {percent:g} percent ice after the minimum"


_ALL = (
    Event("opening", "Day of opening", "last", 0, is_closed_ice=True),
    Event("retreat", "Day of retreat (last ice day)", "last", 1),
    Event("first_ice", "First ice day", "first", 0),
    Event("advance", "Day of advance", "first", 1, needs_run=True),
    Event("closing", "Day of closing", "first", 2, is_closed_ice=True),
)
EVENTS: dict[str, Event] = {event.name: event for event in _ALL}


class DateRule(NamedTuple):
    """Thresholds and lengths that define the dates.

    Attributes
    ----------
    threshold, closed_threshold : float
        Concentration of the ice edge and of closed ice, fraction.
    run_days : int
        Days in a row that make an advance.
    months : tuple of int
        Months whose mean concentration is kept for trends; empty for all.
    """

    threshold: float = ICE_EDGE
    closed_threshold: float = CLOSED_ICE
    run_days: int = RUN_DAYS
    months: tuple[int, ...] = ()
