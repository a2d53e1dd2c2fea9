"""Variables of a grid of brightness temperatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seaice.cf import Variable
from seaice.gridding.file import (
    _DIMENSIONS,
    FILL,
    _mean,
    _number,
)
from seaice.sources.amsr2.channels import CHANNELS
from seaice.sources.amsr2.swath import temperature_name


def temperature_variables(channels: Sequence[str], *, statistics: bool) -> tuple[Variable, ...]:
    """Variables of a file of brightness temperatures.

    Parameters
    ----------
    channels : sequence of str
    statistics : bool
        With standard deviation, count and observation time of the buckets; without: a field
        that was interpolated has none.
    """
    rows = []
    for channel in channels:
        name, known = temperature_name(channel), CHANNELS.get(channel)
        what = "brightness temperature"
        if known:
            what += f" at {known.frequency.rstrip('AB')} GHz, {known.polarization} polarization"
        more: dict[str, Any] = {
            "standard_name": "brightness_temperature",
            "units_metadata": "temperature: on_scale",
        }
        if statistics:
            more["ancillary_variables"] = f"{name}_std {name}_count"
        rows.append(_mean(name, what, "K", method="area: time: mean", **more))
        if statistics:
            spread = f"standard deviation of the {what}"
            rows.append(
                _mean(
                    f"{name}_std",
                    spread,
                    "K",
                    method="area: time: standard_deviation",
                    units_metadata="temperature: difference",
                )
            )
            rows.append(_number(f"{name}_count", f"number of observations of the {what}"))
    if statistics:
        attributes = {
            "long_name": f"mean time of the observations of {temperature_name(channels[0])}, hours "
            "since 00:00 UTC of the day",
            "units": "h",
            "cell_methods": "area: mean",
        }
        rows.append(Variable("observation_time", _DIMENSIONS, "f4", attributes, FILL))
    return tuple(rows)
