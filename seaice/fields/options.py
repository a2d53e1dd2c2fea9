"""Options by which a field is read from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

MaskMeans = Literal["sea", "land"]

BEST_QUALITY = 5


@dataclass(frozen=True)
class ReadOptions:
    """Options by which a field is read: its variable, its mask, and which values may be used.

    Attributes
    ----------
    variable : str, optional
        Name of the variable; by default the only one that can be a field.
    mask_file : Path, optional
        File with land and sea on the cells of the field; by default the input file.
    mask_variable : str, optional
        Name of the variable with the mask; by default it is recognised by its attributes.
    mask_means : {"sea", "land"}, optional
        Meaning of the number 1 in the mask, if the attributes do not tell.
    sea_codes, land_codes : sequence of int
        Codes of the mask that are sea, or that are land, in place of what its attributes tell. If only
        one of the two is given, all other codes are the opposite.
    sea_bits, land_bits : sequence of int
        The same for a mask of bits (1, 2, 4 ...): a cell is sea if it has one of the bits for sea, or
        none of those for land.
    quality_level : int
        Smallest ``quality_level`` (GHRSST, 0 to 5) of a value, if the file has that variable.
    valid_range : (float, float), optional
        Smallest and largest value; values outside are missing. By default from the attributes.
    concentration : bool
        Whether the variable is ice concentration although its attributes do not say so. The upper
        end of the valid range is then full ice.
    start_date, end_date : date, optional
        First and last day, in UTC; by default all maps of the file are read.
    keep_filled : bool
        Whether values that an earlier run filled are kept, as for a picture.
    """

    variable: str | None = None
    mask_file: Path | None = None
    mask_variable: str | None = None
    mask_means: MaskMeans | None = None
    sea_codes: Sequence[int] = ()
    land_codes: Sequence[int] = ()
    sea_bits: Sequence[int] = ()
    land_bits: Sequence[int] = ()
    quality_level: int = BEST_QUALITY
    valid_range: tuple[float, float] | None = None
    concentration: bool = False
    start_date: date | None = None
    end_date: date | None = None
    keep_filled: bool = False

    @property
    def names_surface(self) -> bool:
        """Whether the options say which numbers of the mask are sea or land."""
        return bool(self.sea_codes or self.land_codes or self.sea_bits or self.land_bits)
