"""What a network sees: channels of scenes and patches, by name."""

from __future__ import annotations

from collections.abc import Mapping

from seaice import InputError
from seaice.sources.ai4arctic.tables import AMSR2_CHANNELS, ERA5_FIELDS, SAR_CHANNELS, SCALING

# Bands of Sentinel-2, and whether a pixel is seen without cloud.
OPTICAL_BANDS, OPTICAL_MASK = ("blue", "green", "red", "nir"), "sentinel2_mask"
OPTICAL = (*(f"sentinel2_{band}" for band in OPTICAL_BANDS), OPTICAL_MASK)
# Mean and deviation by which channels are scaled; open water and snow lie at both ends of reflectance.
CHANNEL_SCALING: Mapping[str, tuple[float, float]] = {
    **SCALING,
    **dict.fromkeys(OPTICAL, (0.5, 0.35)),
    OPTICAL_MASK: (0.0, 1.0),
}
INCIDENCE, DISTANCE = "sar_incidenceangle", "distance_map"
# Names that stand for several channels, or for one with a long name.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "sar": SAR_CHANNELS,
    "hh": SAR_CHANNELS[:1],
    "hv": SAR_CHANNELS[1:],
    "incidence": (INCIDENCE,),
    "distance": (DISTANCE,),
    "amsr2": AMSR2_CHANNELS,
    "era5": ERA5_FIELDS,
    "sentinel2": OPTICAL,
}
# Channels with a value for every pixel, and those with one for every cell of 2 km.
PIXEL_CHANNELS = (*SAR_CHANNELS, INCIDENCE, DISTANCE, *OPTICAL)
CELL_CHANNELS = (*AMSR2_CHANNELS, *ERA5_FIELDS)
_ORDER = (*PIXEL_CHANNELS, *CELL_CHANNELS)


def list_channels(inputs: str) -> tuple[str, ...]:
    """List the channels of the images of a network.

    Parameters
    ----------
    inputs : str
        Names between plus signs: sar (HH and HV), hh, hv, incidence, distance, amsr2, era5,
        sentinel2, or one channel such as t2m. At least one is of the SAR.

    Returns
    -------
    tuple of str
        Names of variables: SAR, incidence angle, distance to land, Sentinel-2 and its mask, AMSR2,
        ERA5, whatever the order of the names.

    Raises
    ------
    InputError
        If a name is unknown, or no channel is of the SAR.

    Examples
    --------
    >>> list_channels("t2m+sar")
    ('nersc_sar_primary', 'nersc_sar_secondary', 't2m')
    """
    chosen: set[str] = set()
    for name in inputs.split("+"):
        if name not in GROUPS and name not in CHANNEL_SCALING:
            raise InputError(
                f"expected inputs among {', '.join(GROUPS)} or channels such as t2m, joined by +, found "
                f"{name!r} in {inputs!r}"
            )
        chosen |= set(GROUPS.get(name, (name,)))
    if not chosen & set(SAR_CHANNELS):
        raise InputError(f"expected inputs with sar, hh or hv, found {inputs!r}")
    return tuple(name for name in _ORDER if name in chosen)


def count_channels(inputs: str) -> int:
    """Number of channels of the images; see :func:`list_channels`."""
    return len(list_channels(inputs))
