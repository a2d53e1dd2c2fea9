"""Checking archives of swaths, drawing some swaths, and repairing damaged archives."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seaice import (
    InputError,
    cf,
)
from seaice.report import Progress, Report, add_picture, format_count, listing
from seaice.runtime import atomic_write
from seaice.swaths.archive import (
    SwathArchive,
    create_archive,
    describe_failure,
    inherit_info,
    load_swaths,
)
from seaice.swaths.archive.checks import (
    ArchiveCheck,
    SwathCheck,
    check_series,
    check_swath,
)

logger = logging.getLogger(__name__)


def verify_archives(
    *,
    archives: Sequence[Path],
    repair: bool = False,
    plot: int = 0,
    output_dir: Path | None = None,
    dpi: int = 150,
) -> Report:
    """Check every swath of archives, and give each archive a verdict.

    Parameters
    ----------
    archives : sequence of Path
        Archives of any layout.
    repair : bool
        Write the good swaths of a damaged archive, each once, to ``NAME_repaired``.
    plot : int
        Number of swaths of each archive, evenly spread, to draw into
        ``NAME_h5_swaths.png`` or ``NAME_npz_swaths.png``, a row for every channel.
    output_dir : Path, optional
        Folder for repaired archives and pictures; the folder of the archive by default.
    dpi : int
        Resolution of the pictures.

    Returns
    -------
    Report
        ``values``: an :class:`seaice.swaths.archive.checks.ArchiveCheck` or None for each path.
    """
    report = Report()
    if output_dir is not None:
        output_dir.mkdir(parents=True, exist_ok=True)
    for path in dict.fromkeys(archives):
        report.values[str(path)] = None
        try:
            archive = load_swaths(path, salvage=True, spill_dir=output_dir)
        except InputError as error:
            if path.is_file():
                report.lines.append(f"{path}: DAMAGED")
            report.failed.append(str(error))
            continue
        except OSError as error:
            report.failed.append(f"{path} cannot be read: {error.strerror or error}")
            continue
        except Exception as error:
            report.lines.append(f"{path}: DAMAGED")
            report.failed.append(describe_failure(path, error))
            continue
        with archive:
            check = report.values[str(path)] = check_archive(archive)
            _report_check(archive, check, report)
            folder = output_dir or path.parent
            try:
                if repair:
                    _repair(archive, check, folder, report)
                if plot:
                    _draw(archive, check, folder, plot, dpi, report)
            except OSError:
                raise
            except Exception as error:  # such as another run that writes the same file
                report.failed.append(describe_failure(path, error))
    return report


def check_archive(archive: SwathArchive) -> ArchiveCheck:
    """Check every swath of an archive, with one in memory at a time."""
    check = ArchiveCheck(damage=archive.damage)
    with Progress(total=len(archive), label=archive.path.name, logger=logger) as progress:
        for index in range(len(archive)):
            swath = _check_entry(archive, index)
            check.swaths.append(swath)
            progress.unit(f"{swath.name}: {'; '.join(swath.problems) or 'good'}")
    check_series(check, archive)
    return check


def _check_entry(archive: SwathArchive, index: int) -> SwathCheck:
    metadata = archive.entries[index]
    try:
        return check_swath(archive[index], index, metadata)
    except Exception as error:
        # The metadata of a damaged or foreign file may be of any kind.
        reason = " ".join(str(error).split()) or type(error).__name__
        return SwathCheck(index, str(metadata.get("granule_id") or ""), problems=(reason,))


def _report_check(archive: SwathArchive, check: ArchiveCheck, report: Report) -> None:
    """Add the lines about an archive to the report."""
    path, swaths = archive.path, check.swaths
    bad = [swath for swath in swaths if swath.problems]
    report.lines += [
        f"{path}: {archive.layout}, {format_count(len(swaths), 'swath')}, "
        f"{path.stat().st_size / 1e6:.1f} MB",
        f"  valid {len(check.good)}, damaged {len(bad)}, success rate {check.success_rate:.1%}",
    ]
    if check.good:
        report.lines += _format_statistics(check.good)
    report.lines.append(f"  completeness: {check.completeness}")
    report.lines.append(f"  verdict: {check.verdict}")
    failed = [check.damage] if check.damage else []
    failed += [f"{swath.name}: {'; '.join(swath.problems)}" for swath in bad]
    failed += [
        f"swath {second.index} ({second.name}) is the same as swath {first.index}"
        for first, second in check.duplicates
    ]
    if check.missing:
        count = len(check.missing)
        failed.append(f"lacks {format_count(count, 'granule')}: {listing(check.missing)}")
    elif check.gaps:
        spans = [f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}" for start, end in check.gaps]
        failed.append(f"no swath begins within {listing(spans)} (UTC)")
    elif check.completeness == "incomplete":
        failed.append("its description calls it incomplete")
    report.failed += [text if str(path) in text else f"{path.name}: {text}" for text in failed]


def _format_statistics(good: list[SwathCheck]) -> list[str]:
    scans = np.array([swath.scans for swath in good])
    valid = np.array([swath.valid for swath in good])
    coldest, warmest = min(s.coldest for s in good), max(s.warmest for s in good)
    lines = [
        f"  scans of a swath: {scans.min()} to {scans.max()}, mean {scans.mean():.1f}, "
        f"standard deviation {scans.std():.1f} ({scans.std() / scans.mean():.2%})",
        f"  pixels with a measurement: {valid.min():.1%} to {valid.max():.1%}, mean {valid.mean():.1%}",
        f"  brightness temperature: {coldest:.2f} to {warmest:.2f} K",
    ]
    directions = {"A": "ascending", "D": "descending", "U": "of unknown direction"}
    counts = {text: sum(s.orbit_type == kind for s in good) for kind, text in directions.items()}
    lines.append("  " + ", ".join(f"{count} {text}" for text, count in counts.items() if count))
    starts = [swath.start for swath in good if swath.start]
    if starts:
        lines.append(
            f"  first scans from {min(starts):%Y-%m-%d %H:%M:%S} to {max(starts):%Y-%m-%d %H:%M:%S} UTC"
        )
    else:
        lines.append("  no times: it cannot be said whether swaths are missing")
    return lines


def _repair(archive: SwathArchive, check: ArchiveCheck, folder: Path, report: Report) -> None:
    """Write the good swaths, each once, in order of time if all times are known."""
    repeated = {second.index for _, second in check.duplicates}
    swaths = [swath for swath in check.good if swath.index not in repeated]
    if not check.damage and len(swaths) == len(check.swaths):
        report.lines.append("  nothing to repair")
        return
    if not swaths:
        report.failed.append(f"{archive.path.name}: no good swath is left to write")
        return
    if all(swath.start for swath in swaths):
        swaths.sort(key=lambda swath: (swath.start, swath.granule_id))
    path = folder / f"{archive.path.stem}_repaired{archive.path.suffix}"
    granule_ids = {swath.granule_id for swath in swaths} - {""}
    lost = [swath for swath in check.swaths if swath.problems and swath.granule_id not in granule_ids]
    with (
        atomic_write.atomic(path, checksum=True) as temporary,
        create_archive(temporary, layout=archive.layout_of_copies, count=len(swaths)) as writer,
    ):
        for swath in swaths:
            writer.copy(archive, swath.index)
        writer.finish(_describe_repaired(archive, check, lost))
    report.outputs.append(path)
    report.lines.append(
        f"  {path}: {format_count(len(swaths), 'swath')}, {len(lost)} damaged and {len(repeated)} "
        "repeated left out"
    )


def _describe_repaired(
    archive: SwathArchive, check: ArchiveCheck, lost: list[SwathCheck]
) -> dict[str, object]:
    """Description of a repaired archive: that of the damaged one, and what it has lost."""
    line = cf.format_history("verify_archives", {"repair": archive.path.name})
    info = inherit_info(archive, line=line)
    listed = info.get("missing")
    missing = list(listed) if isinstance(listed, list) else []
    missing += [
        {"granule_id": swath.granule_id, "state": "damaged", "reason": "; ".join(swath.problems)}
        for swath in lost
    ]
    if check.damage:
        missing.append({"granule_id": "", "state": "damaged", "reason": check.damage})
    if missing:
        info["complete"] = False
    return {**info, "missing": missing}


def _draw(
    archive: SwathArchive, check: ArchiveCheck, folder: Path, count: int, dpi: int, report: Report
) -> None:
    from seaice.swaths.figures import MOST_ROWS, write_swath_sheet

    good = check.good
    if not good:
        report.lines.append("  no good swath to draw")
        return
    # Archives of two layouts may have the same name but for its ending.
    path = folder / f"{archive.path.stem}_{archive.path.suffix[1:]}_swaths.png"
    with add_picture(report, path):
        channels = len(archive[good[0].index].channels)
        count = min(count, len(good), max(1, MOST_ROWS // channels))
        numbers = np.unique(np.linspace(0, len(good) - 1, count).round().astype(int))
        write_swath_sheet(path, [archive[good[number].index] for number in numbers], dpi=dpi)
        drawn = f"{format_count(len(numbers), 'swath')}, {format_count(channels, 'channel')}"
        report.lines.append(f"  {path}: {drawn}")
