"""The channels of AMSR2 and their names in Level 1B and Level 1R files.

A granule of Level 1B has every channel at pixels of its own. In Level 1R the channels are brought to
common footprints, so that one frequency is there several times: ``res23-36.5V`` is 36.5 GHz at the
footprint of 23.8 GHz. All of these lie at every second 89A pixel. The two horns at 89 GHz are in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from seaice import InputError
from seaice.sources.amsr2.sensors import Level

LOW_FREQUENCIES = ("6.9", "7.3", "10.7", "18.7", "23.8", "36.5")
HORNS = ("89A", "89B")
FREQUENCIES = (*LOW_FREQUENCIES, *HORNS)
RESAMPLED = "resampled"  # the positions that all resampled channels share
# Footprints of Level 1R, the coarsest first, and the frequencies that are brought to each.
FOOTPRINT_SETS = {
    "res06": ("6.9", "7.3", "10.7", "18.7", "23.8", "36.5", "89"),
    "res10": ("10.7", "18.7", "23.8", "36.5", "89"),
    "res23": ("18.7", "23.8", "36.5", "89"),
    "res36": ("36.5", "89"),
}


@dataclass(frozen=True)
class Channel:
    """One frequency in one polarization, at its own footprint or resampled to a coarser one.

    Attributes
    ----------
    frequency : str
        Gigahertz as the files write it; "89A" and "89B" are the two feed horns at 89 GHz, and "89" is
        what Level 1R makes of them.
    polarization : str
        "V" or "H".
    footprint : str
        One of :data:`FOOTPRINT_SETS`; empty: its own.
    """

    frequency: str
    polarization: str
    footprint: str = ""

    @property
    def name(self) -> str:
        """Short name, as in options and archives: 36.5H, 89AV, res23-36.5V."""
        short = self.frequency + self.polarization
        return f"{self.footprint}-{short}" if self.footprint else short

    @property
    def ghz(self) -> str:
        """Gigahertz, without the letter of a horn."""
        return self.frequency.rstrip("AB")

    @property
    def dataset(self) -> str:
        """Name of the dataset in a file of Level 1B; of a resampled channel in one of Level 1R."""
        return self.get_dataset("L1R" if self.footprint else "L1B")

    def get_dataset(self, level: Level) -> str:
        """Name of the dataset in a file of a level; the two levels write the horns otherwise."""
        words = {"89": "89.0GHz", "89A": "89.0GHz-A", "89B": "89.0GHz-B"}
        text = words.get(self.frequency, f"{self.frequency}GHz")
        if level == "L1R" and not self.footprint:
            text = f"original,{text.replace('.0', '')}"
        prefix = f"{self.footprint}," if self.footprint else ""
        return f"Brightness Temperature ({prefix}{text},{self.polarization})"

    @property
    def levels(self) -> tuple[Level, ...]:
        """Levels whose files have the channel."""
        if self.footprint:
            return ("L1R",)
        return ("L1B", "L1R") if self.frequency in HORNS else ("L1B",)

    @property
    def positions(self) -> str:
        """Name of its positions in a swath: the frequency, or "resampled"."""
        return RESAMPLED if self.footprint else self.frequency

    @property
    def pixels(self) -> int:
        """Pixels of a scan of AMSR2."""
        return count_pixels(self.positions)


CHANNELS = {
    channel.name: channel
    for channel in (
        Channel(frequency, polarization) for frequency in FREQUENCIES for polarization in "VH"
    )
}
RESAMPLED_CHANNELS = {
    channel.name: channel
    for channel in (
        Channel(frequency, polarization, footprint)
        for footprint, frequencies in FOOTPRINT_SETS.items()
        for frequency in frequencies
        for polarization in "VH"
    )
}
_ALL = CHANNELS | RESAMPLED_CHANNELS

DEFAULT_CHANNELS: dict[Level, tuple[str, ...]] = {"L1B": ("36.5H",), "L1R": ("res36-36.5H",)}
# What an ice concentration is retrieved from: the channels of the default algorithm, and of L1R also
# those that sharpen it.
PRESETS: dict[str, dict[Level, tuple[str, ...]]] = {
    "concentration": {
        "L1B": tuple(f"{frequency}{p}" for frequency in ("18.7", "23.8", "36.5", "89A") for p in "VH"),
        "L1R": tuple(
            f"{footprint}-{frequency}{p}"
            for footprint in ("res23", "res36")
            for frequency in FOOTPRINT_SETS[footprint]
            for p in "VH"
        ),
    }
}

_WRITINGS = re.compile(
    r"(?:ORIGINAL[-_, ]+|(RES\d\d)[-_, ]+)?"
    r"(\d+(?:\.\d+)?)\s*(?:GHZ)?[-_ ]*([AB]?)[-_, ]*([VH])$",
    re.IGNORECASE,
)


def count_pixels(positions: str) -> int:
    """Number of pixels of a scan of AMSR2: 486 of a horn at 89 GHz, 243 of all others.

    Parameters
    ----------
    positions : str
        One of :data:`FREQUENCIES`, such as ``36.5`` or ``89A``, or ``resampled``.
    """
    return 486 if positions in HORNS else 243


def find_channel(name: str) -> Channel | None:
    """The channel of an exact short name; None if there is none, as in archives that do not say."""
    return _ALL.get(name)


def as_channel(text: str) -> Channel:
    """The channel of a name such as ``36.5H``, ``89AV``, ``89.0GHz-A,V``, ``18V`` or ``res23-36.5V``.

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
    >>> as_channel("res23,36.5GHz,V").name
    'res23-36.5V'
    """
    match = _WRITINGS.match(text.strip())
    if match:
        footprint, number, horn, polarization = (part or "" for part in match.groups())
        for channel in _ALL.values():
            numbers = {channel.ghz, channel.ghz.partition(".")[0], f"{channel.ghz}.0"}
            parts = channel.footprint, channel.frequency.removeprefix(channel.ghz), channel.polarization
            if number in numbers and parts == (footprint.lower(), horn.upper(), polarization.upper()):
                return channel
    raise InputError(
        f"expected a channel out of {', '.join(CHANNELS)}, or of L1R {_describe_resampled()}, "
        f"found {text!r}"
    )


def _describe_resampled() -> str:
    return ", ".join(
        f"{footprint}- with {' '.join(names)}" for footprint, names in FOOTPRINT_SETS.items()
    )


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


def find_level(channels: Iterable[Channel]) -> Level | None:
    """The level whose files have all the channels; None: both.

    Raises
    ------
    InputError
        If no level has them all.

    Examples
    --------
    >>> find_level(as_channels(["res23-36.5V", "89AV"]))
    'L1R'
    >>> find_level(as_channels(["89AV"])) is None
    True
    """
    channels = tuple(channels)
    levels: list[Level] = [
        level for level in ("L1B", "L1R") if all(level in channel.levels for channel in channels)
    ]
    if not levels:
        names = ", ".join(channel.name for channel in channels)
        raise InputError(
            f"expected channels of one level, found {names}: those with a footprint (res..) are in "
            "L1R, low frequencies without one in L1B"
        )
    return levels[0] if len(levels) == 1 else None
