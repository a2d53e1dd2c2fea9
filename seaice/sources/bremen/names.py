"""Daily sea ice concentration (ASI) of the University of Bremen: names, addresses, files of a folder.

One file is one UTC day of AMSR2 or AMSR-E on one grid, in percent, with NaN where
there is land, the pole hole or no observation. Spreen et al. 2008,
doi:10.1029/2005JC003384; Melsheimer 2019, ASI Version 5 User Guide.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple

from seaice import InputError
from seaice.dates import (
    DateRange,
    parse_date,
)
from seaice.report import describe_contents, format_count, listing
from seaice.runtime.yaml_files import load_yaml
from seaice.sources.folder import ANY_DAY, is_packed, walk_files

logger = logging.getLogger(__name__)

Form = Literal["nc", "hdf", "tif"]
Sensor = Literal["AMSR2", "AMSR-E"]

HOSTS = ("https://data.seaice.uni-bremen.de/", "https://seaice.uni-bremen.de/data/")
VERSION = "5.4"
FIRST_DAY: dict[Sensor, date] = {"AMSR-E": date(2002, 6, 1), "AMSR2": date(2012, 7, 2)}
LAST_DAY: dict[Sensor, date] = {"AMSR-E": date(2011, 10, 4), "AMSR2": date.max}

# Not every copy keeps small letters and endings.
_NAME = re.compile(
    r"asi-(?P<sensor>AMSR2-)?(?P<grid>[ns]\d{4,5})-(?P<day>\d{8})"
    r"-v(?P<version>\d+(?:\.\d+)?)\.(?P<form>nc4?|hdf|tiff?)",
    re.IGNORECASE,
)
_FORMS: dict[str, Form] = {"nc": "nc", "nc4": "nc", "hdf": "hdf", "tif": "tif", "tiff": "tif"}
# Names of files that may be daily ones although they do not follow the grammar.
_ALMOST = re.compile(
    r"(asi[-_].*|.*(?<!\d)(19|20)\d{6}(?!\d).*)"
    r"\.(nc4?|hdf5?|h5|he5|tiff?)(\.(gz|bz2|xz|zip|zst|Z|bak|old|orig|tmp)|~)?",
    re.IGNORECASE,
)
_PREFERENCE: dict[str, int] = {"nc": 2, "hdf": 1, "tif": 0}
_REGION = {
    "n6250": "Arctic",
    "n3125": "Arctic3125",
    "s6250": "Antarctic",
    "s3125": "Antarctic3125",
}


@dataclass(frozen=True)
class DayFile:
    """A daily file, with the parts of its name.

    Examples
    --------
    >>> DayFile.parse("asi-AMSR2-n3125-20200101-v5.4.nc").day
    datetime.date(2020, 1, 1)
    >>> DayFile.parse("asi-n6250-20060101-v5.4.hdf").sensor
    'AMSR-E'
    """

    sensor: Sensor
    grid_id: str
    day: date
    version: str
    form: Form
    path: Path = Path()

    @classmethod
    def parse(cls, name: str, *, folder: Path = Path()) -> DayFile | None:
        """Read a file name; None for names of anything else (pictures, old versions)."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        try:
            day = parse_date(match["day"])
        except InputError:
            return None
        return cls(
            sensor="AMSR2" if match["sensor"] else "AMSR-E",
            grid_id=match["grid"].lower(),
            day=day,
            version=match["version"],
            form=_FORMS[match["form"].lower()],
            path=folder / name,
        )

    @property
    def name(self) -> str:
        """The file name; inverse of :meth:`parse`."""
        sensor = "AMSR2-" if self.sensor == "AMSR2" else ""
        return f"asi-{sensor}{self.grid_id}-{self.day:%Y%m%d}-v{self.version}.{self.form}"

    @property
    def url_path(self) -> str:
        """Path below a host of :data:`HOSTS`."""
        record = "amsr2" if self.sensor == "AMSR2" else "amsre"
        top = f"{record}/asi_daygrid_swath/{self.grid_id}"
        if self.form == "nc":
            return f"{top}/netcdf/{self.day:%Y}/{self.name}"
        month = _MONTHS[self.day.month - 1]
        region = _REGION.get(self.grid_id, f"Grid{self.grid_id}")
        return f"{top}/{self.day:%Y}/{month}/{region}/{self.name}"

    def rank(self) -> tuple[int, tuple[int, ...]]:
        """Order among files of one day: form (nc, hdf, tif), then version."""
        return _PREFERENCE[self.form], tuple(int(n) for n in self.version.split("."))


# Not strftime("%b"): that follows the user's locale.
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True)
class SpecialDays:
    """Days that are absent upstream or bad, each with its reason."""

    absent: dict[date, str]
    bad: dict[date, str]


def read_special_days(extra: Path | None = None, *, packaged: bool = True) -> SpecialDays:
    """Read the packaged list of special days, and a user's own of the same form.

    Parameters
    ----------
    extra : Path, optional
        YAML file with lists ``absent`` and ``bad`` of entries ``first``, ``last``
        (optional) and ``reason``.
    packaged : bool
        Whether to read the packaged list, which is of the Bremen archive.

    Raises
    ------
    InputError
        If a list is not of that form.
    """
    import yaml

    days, count = SpecialDays({}, {}), 0
    for path in (Path(__file__).with_name("special_days.yml") if packaged else None, extra):
        if path is None:
            continue
        try:
            content = load_yaml(path) or {}
            unknown = set(content) - {"absent", "bad"}
            if unknown:
                raise KeyError(f"unknown list {sorted(map(str, unknown))[0]!r}")
            for kind, reasons in (("absent", days.absent), ("bad", days.bad)):
                for entry in content.get(kind) or ():
                    first = parse_date(entry["first"])
                    date_range = DateRange(first, parse_date(entry.get("last", first)))
                    count += len(date_range)
                    if count > _MOST_SPECIAL_DAYS:
                        raise ValueError(f"more than {_MOST_SPECIAL_DAYS} days, all entries together")
                    reasons.update(dict.fromkeys(date_range, str(entry["reason"])[:_LONGEST_REASON]))
        except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(
                f"{path}: expected lists 'absent' and 'bad' of entries with first, last and reason "
                f"({' '.join(str(error).split())})"
            ) from None
    return days


# A list of days that is longer is no such list; the record of satellites has fewer days.
_MOST_SPECIAL_DAYS = 50_000
_LONGEST_REASON = 500  # characters


def find_name(text: str, *, path: Path) -> DayFile | None:
    """Find the name of a daily file in a text, such as the history of a file at ``path``."""
    match = _NAME.search(text)
    file = None if match is None else DayFile.parse(match[0])
    return None if file is None else replace(file, path=path)


class FolderListing(NamedTuple):
    """Daily files below a folder.

    Attributes
    ----------
    files : list of DayFile
        Those whose name or content tells the day and the grid.
    unnamed : list of Path
        Those that seem to be daily files, but neither name nor content tells the day.
    """

    files: list[DayFile]
    unnamed: list[Path]


# Tells from the content of a file under another name which daily file it is: None where the content
# does not say; LookupError if it is no daily file at all.
Identify = Callable[[Path], DayFile | None]


def find_files(source_dir: Path, identify: Identify) -> FolderListing:
    """Find every daily file below a folder, of any grid, form and day.

    Parameters
    ----------
    source_dir : Path
    identify : callable
        Reads day and grid from the content of files under other names.

    Raises
    ------
    InputError
        If the folder is missing or holds no daily file.
    """
    source_dir = Path(source_dir)
    files: list[DayFile] = []
    unnamed: list[Path] = []
    for path in walk_files(source_dir):
        file = DayFile.parse(path.name, folder=path.parent)
        if file is None and is_packed(path):
            unnamed.append(path)
        elif file is None and _is_almost_named(path):
            try:
                file = identify(path)
            except LookupError:
                continue
            if file is None:
                unnamed.append(path)
        if file is not None:
            files.append(file)
    if not files:
        nearly = f"; {describe_contents(source_dir)}"
        if unnamed:
            listed = listing([path.name for path in unnamed])
            nearly = f"; {format_count(len(unnamed), 'file')} of nearly such a name ({listed})"
        raise InputError(
            f"no daily file (asi-AMSR2-GRID-YYYYMMDD-v5.4.nc) in {source_dir} or below; "
            "give the folder download.py wrote to, or say with --product what its files are "
            f"(FILE.yml describes a product of your own){nearly}"
        )
    return FolderListing(files, unnamed)


def _is_almost_named(path: Path) -> bool:
    """Whether a file may be a daily one by its name, or by its name and that of its folder."""
    if path.name.startswith("."):
        return False
    in_folder_of_day = ANY_DAY.fullmatch(path.parent.name) is not None
    return (
        _ALMOST.fullmatch(f"{path.parent.name}_{path.name}" if in_folder_of_day else path.name)
        is not None
    )


def list_days(
    source_dir: Path, period: DateRange, *, grid_id: str | None = None
) -> dict[date, list[DayFile]]:
    """Find the files that are named as daily files of a period; see :func:`list_days_and_unnamed`."""
    return list_days_and_unnamed(source_dir, period, identify=lambda path: None, grid_id=grid_id)[0]


def list_days_and_unnamed(
    source_dir: Path, period: DateRange, *, identify: Identify, grid_id: str | None = None
) -> tuple[dict[date, list[DayFile]], list[Path]]:
    """Find the daily files of a period below a folder, and files that may be such.

    Where several files hold one day, the best comes first: NetCDF before HDF4 before
    GeoTIFF, then the higher version, then the first path in alphabetical order.

    Parameters
    ----------
    source_dir : Path
        Searched with all its subfolders.
    period : DateRange
    identify : callable
        See :func:`find_files`.
    grid_id : str, optional
        Take files of this grid only. Required where the folder holds several.

    Returns
    -------
    days : dict of date to list of DayFile
        In order of date.
    unnamed : list of Path
        Files that seem to be of a day of the period that no file of ``days`` is of.

    Raises
    ------
    InputError
        If the folder is missing, holds no daily file, none of the period or grid, or
        several grids and ``grid_id`` is not given.
    """
    files, unnamed = find_files(source_dir, identify)
    inside = [f for f in files if f.day in period]
    selected = [f for f in inside if grid_id in (None, f.grid_id)]
    if not selected:
        first, last = min(f.day for f in files), max(f.day for f in files)
        on_grid = f"on grid {grid_id} " if grid_id else ""
        raise InputError(
            f"no daily file {on_grid}from {period} in {source_dir}: it holds "
            f"{listing(sorted({f.grid_id for f in files}))} from {first} to {last}"
        )
    ids = sorted({f.grid_id for f in selected})
    if len(ids) > 1:
        raise InputError(
            f"{source_dir} holds files of several grids ({', '.join(ids)}); "
            "choose one with --grid or give the folder of one"
        )
    days: dict[date, list[DayFile]] = {}
    for file in sorted(selected, key=lambda f: (f.day, str(f.path))):
        days.setdefault(file.day, []).append(file)
    # The sort is stable: files of one rank stay in alphabetical order.
    ordered = {day: sorted(files, key=DayFile.rank, reverse=True) for day, files in days.items()}
    return ordered, [path for path in unnamed if _may_fill_a_gap(path, period, ordered.keys())]


def _may_fill_a_gap(path: Path, period: DateRange, days: Collection[date]) -> bool:
    """Whether a file may be of a day of a period that is not among ``days``."""
    match = ANY_DAY.search(path.name)
    try:
        day = parse_date(match[0]) if match else None
    except InputError:
        day = None
    return day is None or (day in period and day not in days)
