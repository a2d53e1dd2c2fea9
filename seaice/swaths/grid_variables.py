"""Variables of a grid of brightness temperatures."""

from __future__ import annotations

from collections.abc import Sequence

from seaice.cf import Variable
from seaice.gridding.file import describe_count, describe_statistic
from seaice.sources.amsr2.swath import get_temperature_name, name_quantity


def define_temperature_variables(channels: Sequence[str], *, statistics: bool) -> tuple[Variable, ...]:
    """Variables of a file of brightness temperatures.

    Parameters
    ----------
    channels : sequence of str
    statistics : bool
        Whether there are standard deviation, count and observation time; an interpolated field
        has none.
    """
    variables = []
    for name in channels:
        temperature, quantity = get_temperature_name(name), name_quantity(name)
        attributes = {
            "standard_name": "brightness_temperature",
            "units_metadata": "temperature: on_scale",
        }
        if statistics:
            attributes["ancillary_variables"] = f"{temperature}_std {temperature}_count"
        variables.append(
            describe_statistic(temperature, quantity, "K", cell_methods="area: time: mean", **attributes)
        )
        if statistics:
            variables.append(
                describe_statistic(
                    f"{temperature}_std",
                    f"standard deviation of the {quantity}",
                    "K",
                    cell_methods="area: time: standard_deviation",
                    units_metadata="temperature: difference",
                )
            )
            text = f"number of observations of the {quantity}"
            variables.append(describe_count(f"{temperature}_count", text))
    if statistics:
        text = f"mean time of the observations of {get_temperature_name(channels[0])}, hours "
        text += "since 00:00 UTC of the first day of the time step"
        variables.append(describe_statistic("observation_time", text, "h", cell_methods="area: mean"))
    return tuple(variables)
