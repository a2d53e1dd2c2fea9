"""A field opened: its file, its variable and the options by which it is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

MaskMeans = Literal["sea", "land"]


BEST_QUALITY = 5


@dataclass(frozen=True)
class Reading:
    """What to read of a file.

    Attributes
    ----------
    variable : str, optional
        By default the only one that can be meant.
    mask_file : Path, optional
        File with land and sea on the same cells; without it the mask of the input file itself.
    mask_variable : str, optional
        Its variable; by default the one that its attributes give away.
    mask_means : {"sea", "land"}, optional
        What 1 stands for, where the attributes do not tell.
    quality_level : int
        Least ``quality_level`` (GHRSST, 0 to 5) of a value, where the file has that variable.
    valid_range : (float, float), optional
        Least and largest value; anything else is missing. By default what the attributes say.
    concentration : bool
        The variable is ice concentration although its attributes do not say so; the upper end of
        its valid range is full ice.
    start_date, end_date : date, optional
        First and last UTC day.
    """

    variable: str | None = None
    mask_file: Path | None = None
    mask_variable: str | None = None
    mask_means: MaskMeans | None = None
    quality_level: int = BEST_QUALITY
    valid_range: tuple[float, float] | None = None
    concentration: bool = False
    start_date: date | None = None
    end_date: date | None = None


def short(error: Exception) -> str:
    """An error of a library in one line."""
    return " ".join(str(error).split())[:200]
