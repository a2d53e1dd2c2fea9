"""Line about the origin of data for the subtitle of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seaice.cf import is_simulated

SIMULATED = "SIMULATED DATA, no observation"


def describe_source(attributes: Mapping[str, Any], text: str) -> str:
    """Put in front of a text that data are simulated, if the attributes of their file say so.

    Examples
    --------
    >>> describe_source({"info": "SIMULATED sea ice concentration"}, "cube.nc")
    'SIMULATED DATA, no observation · cube.nc'
    >>> describe_source({"source": "AMSR2"}, "cube.nc")
    'cube.nc'
    """
    return f"{SIMULATED} · {text}" if is_simulated(attributes) else text
