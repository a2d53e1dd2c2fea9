"""Splitting archives of swaths into parts, by number, day or month."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from seaice import (
    InputError,
    cf,
)
from seaice.open_file import open_hdf5
from seaice.report import Progress, Report, format_count
from seaice.runtime import atomic_write
from seaice.runtime.output_kinds import replace_any_kind
from seaice.sources.amsr2.swath import as_utc
from seaice.swaths.archive import (
    LAYOUTS,
    SUFFIXES,
    SwathArchive,
    check_readable,
    create_archive,
    describe_failure,
    inherit_info,
    is_hdf5,
    load_swaths,
)

logger = logging.getLogger(__name__)

SplitBy = Literal["count", "day", "month"]
_ENDINGS = {"day": "%Y%m%d", "month": "%Y%m"}


@dataclass(frozen=True)
class ArchivePart:
    """A part of an archive.

    Attributes
    ----------
    ending : str
        Ending of its name after the name of the archive.
    indices : sequence of int
        Numbers of its swaths in the archive.
    """

    ending: str
    indices: Sequence[int]


def split_archives(
    *,
    input: Sequence[Path],
    output_dir: Path,
    chunk_size: int = 500,
    by: SplitBy = "count",
    layout: str = "same",
) -> Report:
    """Split archives into parts of the same content, one swath in memory at a time.

    Parameters
    ----------
    input : sequence of Path
        Archives of any layout.
    output_dir : Path
        Folder of the parts; created if it does not exist. Parts have the name of the archive
        with ``_part_XofY`` or the day or month at the end.
    chunk_size : int
        Number of swaths in a part, with ``by="count"``.
    by : {"count", "day", "month"}
        A part holds so many swaths, or the swaths whose first scan is on the same UTC day or
        in the same month.
    layout : str
        Layout of the parts: "swath_array", "hdf5", or "same" as the archive.

    Returns
    -------
    Report
        ``values["parts"]``: number of parts, whether written now or complete before.

    Raises
    ------
    InputError
        If two archives would have parts of one name.
    OSError
        If a part cannot be written.
    """
    if by not in ("count", *_ENDINGS) or chunk_size < 1:
        raise InputError(
            f"expected parts by count, day or month, of one swath at least, found {by!r}, {chunk_size}"
        )
    if layout != "same" and layout not in LAYOUTS:
        raise InputError(f"expected a layout out of same, {', '.join(LAYOUTS)}, found {layout!r}")
    output_dir.mkdir(parents=True, exist_ok=True)
    report = Report(values={"parts": 0})
    paths = list(dict.fromkeys(input))
    for first, second in combinations(paths, 2):
        if first.stem == second.stem and first.resolve() != second.resolve():
            raise InputError(f"the parts of {first} and {second} would have one name: split them apart")
    for path in paths:
        try:
            with load_swaths(path, spill_dir=output_dir) as archive:
                part_layout = archive.layout_of_copies if layout == "same" else layout
                parts = list(plan_parts(archive, chunk_size=chunk_size, by=by))
                _split(archive, parts, output_dir, part_layout, report)
        except OSError:  # such as a full disk: no other part could be written either
            raise
        except Exception as error:
            report.failed.append(describe_failure(path, error))
    return report


def plan_parts(
    archive: SwathArchive, *, chunk_size: int = 500, by: SplitBy = "count"
) -> Iterator[ArchivePart]:
    """Plan the parts of an archive: every swath is in exactly one, in the order of the archive.

    Raises
    ------
    InputError
        If the archive has no swath, or lacks times that are needed.
    """
    count = len(archive)
    if not count:
        raise InputError(f"expected swaths to split, found an archive without any: {archive.path}")
    if by == "count":
        number = -(-count // chunk_size)
        for part in range(number):
            indices = range(part * chunk_size, min(count, (part + 1) * chunk_size))
            yield ArchivePart(f"_part_{part + 1}of{number}", indices)
        return
    groups: dict[str, list[int]] = {}
    for index, entry in enumerate(archive.entries):
        try:
            time = as_utc(str(entry["start_time"]))
        except (KeyError, ValueError):
            raise InputError(
                f"expected a start time of every swath to split by {by}, found none of swath {index}: "
                f"{archive.path}; split it by count"
            ) from None
        groups.setdefault(f"_{time:{_ENDINGS[by]}}", []).append(index)
    for ending in sorted(groups):
        yield ArchivePart(ending, groups[ending])


def _split(
    archive: SwathArchive, parts: list[ArchivePart], folder: Path, layout: str, report: Report
) -> None:
    with Progress(total=len(parts), label="parts", logger=logger) as progress:
        for number, part in enumerate(parts, 1):
            path = folder / f"{archive.path.stem}{part.ending}{SUFFIXES[layout]}"
            if path.resolve() == archive.path.resolve():
                raise InputError(f"the part {path} would replace its source: choose another folder")
            info = _describe_part(archive, part, number, len(parts))
            if _is_done(path, info, layout):
                detail = "already there"
            else:
                _write(archive, part, path, layout, info)
                detail = f"{path.stat().st_size / 1e6:.1f} MB"
            report.outputs.append(path)
            report.values["parts"] += 1
            progress.unit(f"{path.name}: {format_count(len(part.indices), 'swath')}, {detail}")
            report.lines.append(f"{path}: {format_count(len(part.indices), 'swath')}, {detail}")


def _write(
    archive: SwathArchive, part: ArchivePart, path: Path, layout: str, info: dict[str, Any]
) -> None:
    with (
        replace_any_kind(path.exists() and _is_damaged(path)),
        atomic_write.atomic(path, verify=check_readable, checksum=True) as temporary,
        create_archive(temporary, layout=layout, count=len(part.indices)) as writer,
    ):
        for index in part.indices:
            try:
                archive[index]  # compares the checksum, which a copy does not
                writer.copy(archive, index)
            except OSError:
                raise
            except Exception as error:
                name = archive.entries[index].get("granule_id") or "without a name"
                raise InputError(
                    f"swath {index} ({name}) of {archive.path} cannot be copied: "
                    f"{describe_failure(archive.path, error)}; write the good ones with "
                    "verify_archive.py --repair"
                ) from None
        writer.finish(info)


def _is_damaged(path: Path) -> bool:
    """Whether a file begins as an archive and cannot be opened: what is left of a part."""
    if is_hdf5(path):
        try:
            open_hdf5(path).close()
        except InputError:
            return True
        return False
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04" and not zipfile.is_zipfile(path)


def _describe_part(archive: SwathArchive, part: ArchivePart, number: int, count: int) -> dict[str, Any]:
    """Description of a part: that of the archive, and the archive itself."""
    status = archive.path.stat()
    call = {"input": archive.path.name, "part": f"{number} of {count}"}
    info = inherit_info(archive, line=cf.format_history("split_archives", call))
    info["part"] = {
        "of": archive.path.name,
        "bytes": status.st_size,
        "modified": status.st_mtime_ns,
        "number": number,
        "count": count,
        "swaths": [part.indices[0], part.indices[-1]],
    }
    return info


def _is_done(path: Path, info: dict[str, Any], layout: str) -> bool:
    """Whether the part was made of the same archive before."""
    if not path.exists():
        return False
    try:
        with load_swaths(path) as archive:
            return archive.info.get("part") == info["part"] and archive.layout == layout
    except InputError:
        return False
