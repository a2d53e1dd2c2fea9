"""Splitting an archive of swaths into parts, by number, day or month."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from seaice import (
    InputError,
    cf,
)
from seaice.report import Progress, Report
from seaice.runtime import atomic_write
from seaice.sources.amsr2.swath import as_utc
from seaice.swaths.archive import (
    LAYOUTS,
    SUFFIXES,
    create_archive,
    load_swaths,
)
from seaice.swaths.archive.base import SwathArchive

logger = logging.getLogger(__name__)

By = Literal["count", "day", "month"]
_ENDINGS = {"day": "%Y%m%d", "month": "%Y%m"}


@dataclass(frozen=True)
class Part:
    """One part of an archive.

    Attributes
    ----------
    ending : str
        What its name has more than that of the archive.
    indices : sequence of int
        Its swaths in the archive.
    """

    ending: str
    indices: Sequence[int]


def split_archives(
    *,
    input: Sequence[Path],
    output_dir: Path,
    chunk_size: int = 500,
    by: By = "count",
    layout: str = "same",
) -> Report:
    """Split archives into parts of the same content, one swath in memory at a time.

    Parameters
    ----------
    input : sequence of Path
        Archives of any layout.
    output_dir : Path
        Made where it does not exist. Parts are called as the archive, with ``_part_XofY``
        or the day or month at the end.
    chunk_size : int
        Swaths of a part, with ``by="count"``.
    by : {"count", "day", "month"}
        What makes a part. By day or month the UTC time of a swath's first scan decides.
    layout : str
        Of the parts: "swath_array", "hdf5", or "same" as the archive.

    Returns
    -------
    Report
        ``values["parts"]``: how many were written or found done.

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
                form = archive.layout if layout == "same" else layout
                parts = list(parts_of(archive, chunk_size=chunk_size, by=by))
                _split(archive, parts, output_dir, form, report)
        except InputError as error:
            report.failed.append(str(error))
    return report


def parts_of(archive: SwathArchive, *, chunk_size: int = 500, by: By = "count") -> Iterator[Part]:
    """The parts of an archive, every swath in exactly one of them, in the order of the archive.

    Raises
    ------
    InputError
        If the archive has no swath, or says nothing of times and they are needed.
    """
    count = len(archive)
    if not count:
        raise InputError(f"expected swaths to split, found an archive without any: {archive.path}")
    if by == "count":
        number = -(-count // chunk_size)
        for part in range(number):
            indices = range(part * chunk_size, min(count, (part + 1) * chunk_size))
            yield Part(f"_part_{part + 1}of{number}", indices)
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
        yield Part(ending, groups[ending])


def _split(archive: SwathArchive, parts: list[Part], folder: Path, layout: str, report: Report) -> None:
    with Progress(total=len(parts), label="parts", logger=logger) as progress:
        for number, part in enumerate(parts, 1):
            path = folder / f"{archive.path.stem}{part.ending}{SUFFIXES[layout]}"
            info = _info(archive, part, number, len(parts))
            if path.resolve() == archive.path.resolve():
                raise InputError(f"the part {path} would replace its source: choose another folder")
            there = _is_there(path, info, layout)
            if not there:
                _write(archive, part, path, layout, info)
            report.outputs.append(path)
            report.values["parts"] += 1
            said = "already there" if there else f"{path.stat().st_size / 1e6:.1f} MB"
            progress.unit(f"{path.name}: {len(part.indices)} swaths, {said}")
            report.lines.append(f"{path}: {len(part.indices)} swaths, {said}")


def _write(archive: SwathArchive, part: Part, path: Path, layout: str, info: dict[str, Any]) -> None:
    with (
        atomic_write.atomic(path, verify=load_swaths_whole) as temporary,
        create_archive(temporary, layout=layout, count=len(part.indices)) as writer,
    ):
        for index in part.indices:
            archive[index]  # compares the checksum before the bytes are copied
            writer.copy(archive, index)
        writer.finish(info)


def load_swaths_whole(path: Path) -> None:
    """Open an archive and close it again: it can be read."""
    load_swaths(path).close()


def _info(archive: SwathArchive, part: Part, number: int, count: int) -> dict[str, Any]:
    taken = ("format", "version", "layout", "num_swaths", "history", "swaths")
    info = {key: value for key, value in archive.info.items() if key not in taken}
    said = archive.path.stat()
    call = {"input": archive.path.name, "part": f"{number} of {count}"}
    return {
        **info,
        "history": cf.with_history(
            {"history": cf.history_line("split_archives", call)},
            str(archive.info.get("history", "")),
        )["history"],
        "part": {
            "of": archive.path.name,
            "bytes": said.st_size,
            "modified": said.st_mtime_ns,
            "number": number,
            "count": count,
            "swaths": [part.indices[0], part.indices[-1]],
        },
    }


def _is_there(path: Path, info: dict[str, Any], layout: str) -> bool:
    """Whether the part was made of the same archive before."""
    if not path.exists():
        return False
    try:
        with load_swaths(path) as before:
            return before.info.get("part") == info["part"] and before.layout == layout
    except InputError:
        return False
