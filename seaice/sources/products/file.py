"""One day of a product: the file that holds it, and what its name says."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from seaice import InputError
from seaice.dates import parse_date
from seaice.grids import Grid
from seaice.sources.products.product import Form, Product

# «name (1).nc»: what a browser calls a file that it has fetched before.
_COPY = re.compile(r"(?P<stem>.*?) ?\((?P<number>\d{1,3})\)(?P<ending>\.[^.()]+)")


@dataclass(frozen=True)
class ProductFile:
    """A day in a file of a product.

    Attributes
    ----------
    product : Product
    form : Form
        How the file is laid out.
    path : Path
    day : date
    index : int
        Position of the day in time; 0 in a file of one day.
    hemisphere : {"north", "south"} or None
        None where the name does not tell.
    version, stage, satellite, resolution : str
        Further parts of the name; empty where it has none.
    copy : int
        Number that a browser has put behind the name.
    """

    product: Product
    form: Form
    path: Path
    day: date
    index: int = 0
    hemisphere: str | None = None
    version: str = ""
    stage: str = ""
    satellite: str = ""
    resolution: str = ""
    copy: int = 0

    def rank(self) -> tuple[int, tuple[int, ...], int, int]:
        """Order among files of one day: final before preliminary, then version, single days, no copy."""
        stages = [stage.lower() for stage in self.form.stages]
        stage = stages.index(self.stage.lower()) if self.stage.lower() in stages else -1
        numbers = tuple(int(number) for number in re.findall(r"\d+", self.version))
        return stage, numbers, int(self.form.has_one_day), -self.copy

    @property
    def named_grid(self) -> Grid | None:
        """The grid of the file where its name tells it; None where the file has to be opened."""
        grids = self.form.list_grids(self.hemisphere)
        return grids[0] if len(grids) == 1 else None

    def with_days(self, days: list[date]) -> list[ProductFile]:
        """Return one such object for each day of a file of many days."""
        return [replace(self, day=day, index=index) for index, day in enumerate(days)]


def parse_name(path: Path, product: Product) -> list[ProductFile]:
    """Read the name of a file of a product; empty for names of anything else.

    A file of both hemispheres comes back twice. A file whose name tells no day comes back with the
    day 0001-01-01: its time axis has to be read.
    """
    copy = _COPY.fullmatch(path.name)
    name, number = (copy["stem"] + copy["ending"], int(copy["number"])) if copy else (path.name, 0)
    for form in product.forms:
        match = form.pattern.fullmatch(name)
        if match is None:
            continue
        parts = {group: text or "" for group, text in match.groupdict().items()}
        day = date.min
        if form.has_one_day:
            try:
                day = parse_date(parts["day"])
            except InputError:
                continue
        letter = parts.get("hemisphere", "")[:1].lower()
        hemisphere = {"n": "north", "s": "south"}.get(letter)
        file = ProductFile(
            product,
            form,
            path,
            day,
            hemisphere=hemisphere,
            version=(parts.get("version") or form.version).lower(),
            stage=parts.get("stage", ""),
            satellite=parts.get("satellite", "").lower(),
            resolution=parts.get("resolution", ""),
            copy=number,
        )
        return [replace(file, hemisphere=h) for h in form.hemispheres] or [file]
    return []
