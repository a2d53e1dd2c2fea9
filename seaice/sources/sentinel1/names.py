"""Names of Sentinel-1 products, and times in the names of files made from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_PRODUCT = re.compile(
    r"(?P<platform>S1[A-D])_(?P<mode>[A-Z0-9]{2})_(?P<type>[A-Z]{3})(?P<resolution>[A-Z_])_\d[A-Z]"
    r"(?P<polarisation>SH|SV|DH|DV|HH|HV|VV|VH)_(?P<start>\d{8}T\d{6})"
)
_TIME = re.compile(r"(?<!\d)\d{8}T\d{6}(?!\d)")


@dataclass(frozen=True)
class ProductName:
    """The first parts of the name of a product, up to the start of the image.

    Attributes
    ----------
    platform : str
        ``S1A`` to ``S1D``.
    mode : str
        ``EW``, ``IW``, ``WV``, or ``S1`` to ``S6``.
    type : str
        ``GRD``, ``SLC``, ``RAW`` or ``OCN``.
    resolution : str
        ``F``, ``H``, ``M`` or ``_``.
    polarisation : str
        ``DH`` is HH and HV, ``DV`` VV and VH, ``SH`` HH, ``SV`` VV.
    """

    platform: str
    mode: str
    type: str
    resolution: str
    polarisation: str

    @classmethod
    def parse(cls, name: str) -> ProductName | None:
        """Parse the name of a product or of a file that begins with it; None for any other name.

        Examples
        --------
        >>> ProductName.parse("S1A_IW_GRDH_1SDV_20200101T000000_20200101T000025_030600_038000_1A2B").mode
        'IW'
        """
        match = _PRODUCT.match(name)
        if match is None:
            return None
        parts = match.groupdict()
        del parts["start"]
        return cls(**parts)


def parse_start(name: str) -> datetime | None:
    """Parse the first time ``YYYYMMDDThhmmss`` in a name, UTC; None if there is none.

    Examples
    --------
    >>> parse_start("S1B_EW_GRDM_1SDH_20161005T101835.tif").isoformat()
    '2016-10-05T10:18:35+00:00'
    """
    for text in _TIME.findall(name):
        try:
            return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
