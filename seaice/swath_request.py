"""What a run of the swath collection is asked for, and which granules that means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from seaice import InputError
from seaice.archive import SUFFIXES, ArchiveName, load_swaths
from seaice.report import Report
from seaice.sources.amsr2_l1b import GranuleName, Overlap, list_granules
from seaice.sources.gportal import Listed, Orbit, Patience, search_granules
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


def already_done(request: Request, output_dir: Path) -> Report | None:
    """The report where the archive is there already and nothing can be missing in it.

    Raises
    ------
    InputError
        If what is there under the name was made with other parameters.
    """
    path = request.path(output_dir)
    if not path.exists():
        return None
    with load_swaths(path) as swaths:
        info, there = swaths.info, {str(entry.get("granule_id")) for entry in swaths.entries}
    if info.get("parameters") != request.parameters:
        found = {
            k: v for k, v in (info.get("parameters") or {}).items() if v != request.parameters.get(k)
        }
        raise InputError(
            f"{path} was made with other parameters ({json.dumps(found)}): choose another --output_dir, "
            "or move the file away"
        )
    asked = as_utc(str(info.get("catalogue_asked") or "1970-01-01"))
    if request.input_dir is None and asked - request.end < _SETTLED:
        return None  # granules may have come since
    if request.input_dir is not None:
        wanted = wanted_granules(request, Patience())
        if not there.issuperset(granule.granule_id for granule in wanted):
            return None
    count = len(there)
    report = Report(outputs=[path])
    report.values |= {"listed": count, "done": count, "failed": 0, "absent": 0, "received": 0}
    report.lines.append(f"{path}: complete already, {count} swaths")
    return report


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
        listed = list(_in_folder(request, request.input_dir))
        where = str(request.input_dir)
    if not listed:
        raise InputError(
            f"expected L1B granules from {request.start:%Y-%m-%d %H:%M:%S} to "
            f"{request.end:%Y-%m-%d %H:%M:%S} (orbit: {request.orbit}), found none in "
            f"{where}; AMSR2 begins on 2012-07-02"
        )
    return listed


def _in_folder(request: Request, folder: Path) -> Iterator[Listed]:
    seen = set()
    for path in list_granules(folder):
        name = GranuleName.parse(path.name)
        assert name is not None
        # The name has the minute only.
        inside = request.start - timedelta(minutes=1) < name.start <= request.end
        if inside and request.orbit in ("both", name.orbit_type) and name.granule_id not in seen:
            seen.add(name.granule_id)
            size = path.stat().st_size
            yield Listed(name.granule_id, str(path), size, name.start, name.orbit_type)
