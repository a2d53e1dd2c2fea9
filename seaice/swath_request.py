"""What a run of the swath collection is asked for, and which granules that means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from seaice import InputError
from seaice.archive import LAYOUTS, SUFFIXES, ArchiveName, load_swaths
from seaice.patience import Patience
from seaice.report import Report
from seaice.sources.amsr2_l1b import GranuleName, Overlap, list_granules, start_of
from seaice.sources.gportal import Listed, Orbit, newest, search_granules
from seaice.swath import as_utc

# So long after its end a period of the catalogue gets no further granules.
_SETTLED = timedelta(days=30)


@dataclass(frozen=True)
class Request:
    """What is to be collected; see :func:`collect_swaths`."""

    start: datetime
    end: datetime
    input_dir: Path | None
    channels: tuple[str, ...]
    coordinates: bool
    layout: str
    orbit: Orbit
    bbox: tuple[float, ...] | None
    overlap: Overlap

    def check(self) -> None:
        """Refuse what cannot be collected.

        Raises
        ------
        InputError
            If the parts of the request contradict each other.
        """
        if self.end < self.start:
            raise InputError(
                f"the period ends ({self.end}) before it starts ({self.start}); exchange the two"
            )
        if self.layout not in LAYOUTS:
            raise InputError(f"expected a layout out of {', '.join(LAYOUTS)}, found {self.layout!r}")
        if self.input_dir and self.bbox:
            raise InputError(
                "--bbox chooses in the catalogue of G-Portal; it does nothing for --input_dir"
            )
        if self.bbox and not -90 <= self.bbox[1] <= self.bbox[3] <= 90:
            raise InputError(
                f"expected the box as west south east north, south below north, found {self.bbox}"
            )

    def path(self, folder: Path, *, complete: bool = True) -> Path:
        """Where the archive belongs."""
        name = ArchiveName(self.start, self.end, self.coordinates, complete)
        return folder / f"{name.stem}{SUFFIXES[self.layout]}"

    @property
    def parameters(self) -> dict[str, Any]:
        """What the content of the archive depends on besides the period."""
        return {
            "channels": list(self.channels),
            "coordinates": self.coordinates,
            "layout": self.layout,
            "orbit": self.orbit,
            "bbox": list(self.bbox) if self.bbox else None,
            "overlap": self.overlap,
            "from": "folder" if self.input_dir else "G-Portal",
        }


@dataclass(frozen=True)
class Earlier:
    """An archive that a former run has finished.

    Attributes
    ----------
    path : Path
    granule_ids : frozenset of str
    is_settled : bool
        Nothing can have come since; the catalogue need not be asked.
    """

    path: Path
    granule_ids: frozenset[str]
    is_settled: bool

    def holds(self, listed: list[Listed]) -> bool:
        """Whether all of these are in it."""
        return self.granule_ids.issuperset(granule.granule_id for granule in listed)

    def report(self) -> Report:
        """What the run says that finds nothing to do."""
        count = len(self.granule_ids)
        report = Report(outputs=[self.path])
        report.values |= {"listed": count, "done": count, "failed": 0, "absent": 0, "received": 0}
        report.lines.append(f"{self.path}: complete already, {count} swaths")
        return report


def earlier_archive(request: Request, output_dir: Path) -> Earlier | None:
    """The archive that is there already under the name of a request.

    Raises
    ------
    InputError
        If it is damaged, or was made with other parameters.
    """
    path = request.path(output_dir)
    if not path.exists():
        return None
    try:
        with load_swaths(path) as swaths:
            info, there = swaths.info, {str(entry.get("granule_id")) for entry in swaths.entries}
    except InputError as error:
        raise InputError(f"{error}; move it away and run the same command again") from None
    if info.get("parameters") != request.parameters:
        found = {
            k: v for k, v in (info.get("parameters") or {}).items() if v != request.parameters.get(k)
        }
        raise InputError(
            f"{path} was made with other parameters ({json.dumps(found)}): choose another --output_dir, "
            "or move the file away"
        )
    asked = as_utc(str(info.get("catalogue_asked") or "1970-01-01"))
    is_settled = request.input_dir is None and asked - request.end >= _SETTLED
    return Earlier(path, frozenset(there), is_settled)


def wanted_granules(request: Request, patience: Patience) -> list[Listed]:
    """What should be in the archive, in order of time."""
    if request.input_dir is None:
        listed = search_granules(
            start=request.start,
            end=request.end,
            orbit=request.orbit,
            bbox=request.bbox,
            patience=patience,
        )
        where = "G-Portal"
    else:
        listed = newest(_in_folder(request, request.input_dir))
        where = str(request.input_dir)
    if not listed:
        raise InputError(
            f"expected L1B granules from {request.start:%Y-%m-%d %H:%M:%S} to "
            f"{request.end:%Y-%m-%d %H:%M:%S} (orbit: {request.orbit}), found none in "
            f"{where}; AMSR2 begins on 2012-07-02"
        )
    return listed


def _in_folder(request: Request, folder: Path) -> Iterator[Listed]:
    borders = {moment.replace(second=0) for moment in (request.start, request.end)}
    for path in list_granules(folder):
        name = GranuleName.parse(path.name)
        assert name is not None
        start = name.start
        if start in borders:  # the name has the minute only
            start = (start_of(path) or start).replace(microsecond=0)
        if request.start <= start <= request.end and request.orbit in ("both", name.orbit_type):
            yield Listed(name.granule_id, str(path), path.stat().st_size, start, name.orbit_type)
