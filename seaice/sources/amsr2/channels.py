"""The channels of AMSR2 and their names in Level 1B files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from seaice import InputError

LOW_FREQUENCIES = ("6.9", "7.3", "10.7", "18.7", "23.8", "36.5")
FREQUENCIES = (*LOW_FREQUENCIES, "89A", "89B")


@dataclass(frozen=True)
class Channel:
    """One frequency in one polarization.

    Attributes
    ----------
    frequency : str
        Gigahertz as the files write it; "89A" and "89B" are the two feed horns at 89 GHz.
    polarization : str
        "V" or "H".
    """

    frequency: str
    polarization: str

    @property
    def name(self) -> str:
        """Short name, as in options and archives: 36.5H, 89AV."""
        return self.frequency + self.polarization

    @property
    def dataset(self) -> str:
        """Name of the dataset in a Level 1B file."""
        words = {"89A": "89.0GHz-A", "89B": "89.0GHz-B"}.get(self.frequency, f"{self.frequency}GHz")
        return f"Brightness Temperature ({words},{self.polarization})"

    @property
    def pixels(self) -> int:
        """Pixels of a scan."""
        return count_pixels(self.frequency)


CHANNELS = {
    channel.name: channel
    for channel in (
        Channel(frequency, polarization) for frequency in FREQUENCIES for polarization in "VH"
    )
}

_WRITINGS = re.compile(r"(\d+(?:\.\d+)?)\s*(?:GHZ)?[-_ ]*([AB]?)[-_, ]*([VH])$", re.IGNORECASE)


def count_pixels(frequency: str) -> int:
    """Number of pixels of a scan at a frequency: 486 at 89 GHz, 243 at all lower frequencies.

    Parameters
    ----------
    frequency : str
        One of :data:`FREQUENCIES`, such as ``36.5`` or ``89A``.
    """
    return 486 if frequency in ("89A", "89B") else 243


def as_channel(text: str) -> Channel:
    """The channel of a name such as ``36.5H``, ``89AV``, ``89.0GHz-A,V`` or ``18V``.

    Raises
    ------
    InputError
        If there is none of that name.

    Examples
    --------
    >>> as_channel("36.5h").dataset
    'Brightness Temperature (36.5GHz,H)'
    >>> as_channel("89.0GHz-A,V").name
    '89AV'
    """
    match = _WRITINGS.match(text.strip())
    if match:
        number, horn, polarization = match.groups()
        for channel in CHANNELS.values():
            same_horn = channel.frequency[-1:] == horn.upper() if "89" in channel.frequency else not horn
            numbers = {channel.frequency.rstrip("AB")}
            numbers |= {n.partition(".")[0] for n in numbers} | {f"{n}.0" for n in numbers}
            if same_horn and number in numbers and channel.polarization == polarization.upper():
                return channel
    raise InputError(f"expected a channel out of {', '.join(CHANNELS)}, found {text!r}")


def as_channels(texts: Iterable[str]) -> tuple[Channel, ...]:
    """Channels in the order given, each once.

    Raises
    ------
    InputError
        If there is none, or one that does not exist.
    """
    channels = tuple(dict.fromkeys(as_channel(text) for text in texts))
    if not channels:
        raise InputError(f"expected at least one channel out of {', '.join(CHANNELS)}, found none")
    return channels
