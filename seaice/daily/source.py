"""Sources of daily concentration: the files of a folder, of Bremen ASI or of any described product.

A source lists the files of a folder by day and reads a day of one of them. Everything after it sees
days, whatever product they come from.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from seaice import InputError, cf
from seaice.dates import DateRange
from seaice.flags import FillFlag
from seaice.grids import Grid, list_grid_ids, parse_grid
from seaice.report import format_count
from seaice.sources import RejectedDay
from seaice.sources.bremen import names as bremen
from seaice.sources.bremen import reader as bremen_reader
from seaice.sources.folder import walk_files
from seaice.sources.products import (
    CellClass,
    Product,
    ProductFile,
    find_product_files,
    get_product,
    list_file_days,
    list_products,
    parse_name,
    read_product_day,
    read_product_grid,
)

logger = logging.getLogger(__name__)

BREMEN = "bremen-asi"


class DayContent(NamedTuple):
    """What a file tells about a day; arrays of the shape (rows, columns), row 0 the smallest y.

    Attributes
    ----------
    concentration : ndarray of float32
        Percent, 0..100; NaN where there is no value.
    grid : Grid
    classes : ndarray of uint8 or None
        Codes of :class:`seaice.sources.products.product.CellClass`; None if the product has no classes.
    interpolated : ndarray of bool or None
        Values that the producer has interpolated.
    error : ndarray of float32 or None
        Standard error in percent; NaN where it is not known.
    tells_pole_hole : bool
        Whether the product has a class for the pole hole.
    """

    concentration: np.ndarray
    grid: Grid
    classes: np.ndarray | None = None
    interpolated: np.ndarray | None = None
    error: np.ndarray | None = None
    tells_pole_hole: bool = False


class DailyFile(Protocol):
    """A file that holds a day."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def day(self) -> date:
        """The day."""


class DailySource(Protocol):
    """Daily files of one product.

    Attributes
    ----------
    name : str
        Id of the product.
    title, references : str
        Where values come from and what is cited for them, as global attributes.
    """

    @property
    def name(self) -> str:
        """Id of the product."""

    @property
    def title(self) -> str:
        """Where the values come from."""

    @property
    def references(self) -> str:
        """What is cited for them."""

    def list_days(
        self, source_dir: Path, period: DateRange, *, grid: Grid | None, grid_id: str | None
    ) -> tuple[dict[date, list[Any]], list[Path]]:
        """Files by day, the best of a day first, and files whose day is not known.

        Only files of ``grid_id`` where it is given; ``grid`` is the one that is needed, by which a
        source may choose among its files. InputError if there is no file.
        """

    def is_named(self, path: Path) -> bool:
        """Whether a file is named as the product names its files."""

    def read(
        self, file: Any, *, grid: Grid | None, out: np.ndarray | None, content: bytes | None
    ) -> DayContent:
        """Read a day; RejectedDay if it cannot be used."""

    def read_grid(self, file: Any) -> Grid:
        """Read the grid of a file; RejectedDay if it cannot be read."""

    def read_bytes(self, file: Any) -> bytes | None:
        """Bytes of a file of one day; None for a file of many days, which is not read as a whole."""


@dataclass(frozen=True)
class BremenSource:
    """Daily ASI concentration of the University of Bremen."""

    name: str = BREMEN
    title: str = "daily ASI sea ice concentration grids from AMSR2 and AMSR-E, University of Bremen"
    references: str = cf.BREMEN_REFERENCES

    def list_days(
        self, source_dir: Path, period: DateRange, *, grid: Grid | None, grid_id: str | None
    ) -> tuple[dict[date, list[bremen.DayFile]], list[Path]]:
        """Files by day; see :func:`seaice.sources.bremen.names.list_days_and_unnamed`."""
        is_in_names = grid is not None and grid.id[0] in "ns" and grid.id in list_grid_ids()
        if grid is not None and grid_id is None and is_in_names:
            grid_id = grid.id
        days, unnamed = bremen.list_days_and_unnamed(
            source_dir, period, identify=bremen_reader.identify_file, grid_id=grid_id
        )
        return {day: [_make_absolute(file) for file in files] for day, files in days.items()}, unnamed

    def is_named(self, path: Path) -> bool:
        """Whether a file is named as Bremen names its files."""
        return bremen.DayFile.parse(path.name) is not None

    def read(
        self,
        file: bremen.DayFile,
        *,
        grid: Grid | None = None,
        out: np.ndarray | None = None,
        content: bytes | None = None,
    ) -> DayContent:
        """Read a day; see :func:`seaice.sources.bremen.reader.read_day`."""
        return DayContent(*bremen_reader.read_day(file.path, grid=grid, out=out, content=content))

    def read_grid(self, file: bremen.DayFile) -> Grid:
        """Read the grid of a file."""
        return bremen_reader.read_grid_of(file.path)

    def read_bytes(self, file: bremen.DayFile) -> bytes:
        """Bytes of a file."""
        return bremen_reader.read_file(file.path)


@dataclass(frozen=True)
class ProductSource:
    """Daily files of a product with a description.

    Attributes
    ----------
    product : Product
    """

    product: Product

    @property
    def name(self) -> str:
        """Id of the product."""
        return self.product.name

    @property
    def title(self) -> str:
        """Where the values come from."""
        return self.product.source

    @property
    def references(self) -> str:
        """What is cited for them."""
        return self.product.references

    def list_days(
        self, source_dir: Path, period: DateRange, *, grid: Grid | None, grid_id: str | None
    ) -> tuple[dict[date, list[ProductFile]], list[Path]]:
        """Files by day, the best of a day first."""
        listed = find_product_files(source_dir, self.product)
        for note in listed.notes:
            logger.info("%s: %s", source_dir, note)
        files = listed.files
        selected = [file for file in files if file.day in period]
        if grid_id is not None:
            grid = parse_grid(grid_id)
            selected = [file for file in selected if self._lies_on(file, grid)]
        elif grid is not None:
            selected = [file for file in selected if file.hemisphere in (None, grid.hemisphere)]
        if not selected:
            on_grid = f"on grid {grid_id} " if grid_id else ""
            raise InputError(
                f"no file of {self.name} {on_grid}from {period} in {source_dir}: it holds those from "
                f"{files[0].day} to {files[-1].day}{self._name_grids(files)}"
            )
        self._refuse_two_hemispheres(selected, source_dir)
        days: dict[date, list[ProductFile]] = {}
        for file in selected:  # in order of day, the best of a day first
            days.setdefault(file.day, []).append(_make_absolute(file))
        return days, listed.unnamed

    def is_named(self, path: Path) -> bool:
        """Whether a file is named as the product names its files."""
        return bool(parse_name(path, self.product))

    def _lies_on(self, file: ProductFile, grid: Grid) -> bool:
        try:
            if file.hemisphere not in (None, grid.hemisphere):
                return False
            return (file.named_grid or self.read_grid(file)).same_cells(grid)
        except RejectedDay:
            return True  # the day is listed and rejected

    def _name_grids(self, files: Sequence[ProductFile]) -> str:
        """Name the grids of the first files of both hemispheres, for messages."""
        names = {}
        for file in files:
            if file.hemisphere not in names:
                try:
                    names[file.hemisphere] = (file.named_grid or self.read_grid(file)).id
                except RejectedDay:
                    continue
        return f" on {' and '.join(names.values())}" if names else ""

    def _refuse_two_hemispheres(self, files: Sequence[ProductFile], source_dir: Path) -> None:
        halves = sorted({file.hemisphere for file in files if file.hemisphere})
        if len(halves) > 1:
            raise InputError(
                f"{source_dir} holds files of {self.name} of the {' and the '.join(halves)}"
                f"{self._name_grids(files)}; choose one with --grid or give the folder of one"
            )

    def read(
        self,
        file: ProductFile,
        *,
        grid: Grid | None = None,
        out: np.ndarray | None = None,
        content: bytes | None = None,
    ) -> DayContent:
        """Read a day; see :func:`seaice.sources.products.reader.read_product_day`."""
        day = read_product_day(file, grid=grid, content=content)
        # Water in which its producer allows no ice in this season: open water.
        day.concentration[day.classes == CellClass.NEVER_ICE] = 0
        return DayContent(
            day.concentration,
            day.grid,
            day.classes,
            day.interpolated,
            day.error,
            CellClass.POLE_HOLE in file.form.classes,
        )

    def read_grid(self, file: ProductFile) -> Grid:
        """Read the grid of a file."""
        return read_product_grid(file)

    def read_bytes(self, file: ProductFile) -> bytes | None:
        """Bytes of a file of one day."""
        return bremen_reader.read_file(file.path) if file.form.has_one_day else None


def _make_absolute(file: Any) -> Any:
    # The days may be read by another process, in another folder.
    return replace(file, path=file.path.absolute())


def choose_sources(source_dir: Path, products: Sequence[str | Path] = ()) -> list[DailySource]:
    """Choose the sources of a folder: those asked for, in order of preference, or the only one it has.

    Parameters
    ----------
    source_dir : Path
    products : sequence of str or Path
        Ids of products, or YAML files that describe one.

    Raises
    ------
    InputError
        If a product is not known, or files of several lie in the folder and none was asked for.
    """
    if products:
        sources = list(dict.fromkeys(map(_make_source, products)))
        names = [source.name for source in sources]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"two descriptions of products called {name}; give one another 'name'")
        return sources
    source_dir = Path(source_dir)
    if not source_dir.is_dir():
        return [BremenSource()]  # which says what is wrong
    counts = count_files(source_dir)
    if len(counts) > 1:
        listed = ", ".join(f"{name} ({format_count(n, 'file')})" for name, n in counts.items())
        raise InputError(
            f"{source_dir} holds daily files of several products: {listed}; choose with --product, "
            "several in order of preference, or give the folder of one"
        )
    return [_make_source(next(iter(counts), BREMEN))]


def _make_source(name: str | Path) -> DailySource:
    is_bremen = str(name).lower() == BREMEN
    return BremenSource() if is_bremen else ProductSource(get_product(name, further_names=[BREMEN]))


def count_files(source_dir: Path) -> dict[str, int]:
    """Count the daily files below a folder by the product that their names tell, most first."""
    products = [get_product(name) for name in list_products()]
    counts: Counter[str] = Counter()
    for path in walk_files(source_dir):
        if bremen.DayFile.parse(path.name) is not None:
            counts[BREMEN] += 1
            continue
        counts.update(product.name for product in products if parse_name(path, product))
    return dict(counts.most_common())


def is_daily_name(name: str) -> bool:
    """Whether a file name is that of a daily file of Bremen or of a packaged product."""
    return bremen.DayFile.parse(name) is not None or find_product_of(Path(name)) is not None


def find_product_of(path: Path) -> Product | None:
    """Find the product that a file follows by its name; None for Bremen and for all else."""
    for name in list_products():
        product = get_product(name)
        if parse_name(path, product):
            return product
    return None


def read_product_file(
    path: Path, product: Product, day: date | None, grid: Grid | None = None
) -> tuple[DayContent, date]:
    """Read a day of a file of a product.

    Parameters
    ----------
    path : Path
    product : Product
    day : date, optional
        Required where the file holds several days.
    grid : Grid, optional
        Decides where the file holds both hemispheres; by default the north.

    Returns
    -------
    content : DayContent
    day : date

    Raises
    ------
    InputError
        If the file cannot be read, does not hold the day, or holds several and none is given.
    """
    files = list_file_days(path, product)
    fitting = [file for file in files if day in (None, file.day)]
    if not fitting:
        days = f"{files[0].day} to {files[-1].day}" if files else "none that can be read"
        raise InputError(f"{path} holds no {day}: its days are {days}")
    if len({file.day for file in fitting}) > 1:
        raise InputError(
            f"{path} holds {len(files)} days from {files[0].day} to {files[-1].day}; "
            "choose one with --date"
        )
    of_half = [file for file in fitting if grid is not None and file.hemisphere == grid.hemisphere]
    file = (of_half or fitting)[0]
    return ProductSource(product).read(file), file.day


def flag_values(content: DayContent) -> np.ndarray | None:
    """Flags of the values of a day that are no observations.

    Returns
    -------
    ndarray of uint8, shape (rows, columns), or None
        Codes of :class:`seaice.flags.FillFlag`; None if every value was observed.
    """
    if content.interpolated is None or not content.interpolated.any():
        return None
    return np.where(content.interpolated, FillFlag.PRODUCER_INTERPOLATED, FillFlag.OBSERVED).astype(
        np.uint8
    )
