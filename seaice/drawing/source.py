"""Line about the origin of data for the subtitle of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SIMULATED = "SIMULATED DATA, no observation"
# Attributes of a file that tell what its data are; history and parameters hold names of folders, too.
_TELLING = (
    "title", "summary", "source", "comment", "info", "author", "description", "grid_information",
)  # fmt: skip


def describe_source(attributes: Mapping[str, Any], text: str) -> str:
    """Put in front of a text that data are simulated, if the attributes of their file say so.

    Examples
    --------
    >>> describe_source({"info": "SIMULATED sea ice concentration"}, "cube.nc")
    'SIMULATED DATA, no observation · cube.nc'
    >>> describe_source({"source": "AMSR2"}, "cube.nc")
    'cube.nc'
    """
    words = " ".join(str(attributes.get(name, "")) for name in _TELLING).lower()
    return f"{SIMULATED} · {text}" if "simulat" in words else text
