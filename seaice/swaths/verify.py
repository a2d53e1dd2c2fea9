"""Checking archives and granules, drawing some swaths, and repairing damaged archives."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
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
    find_odd_values,
)
from seaice.swaths.granule_series import GranuleSeries, find_series

logger = logging.getLogger(__name__)

# Differences between granules that are none, as shares: half orbits differ by ten scans in two thousand,
# and noise compresses to different sizes.
_LEAST_SIZE, _LEAST_SCANS, _LEAST_SHARE = 0.2, 0.02, 0.02


def verify_archives(
    *,
    archives: Sequence[Path],
    repair: bool = False,
    plot: int = 0,
    output_dir: Path | None = None,
    dpi: int = 150,
) -> Report:
    """Check every swath of archives and folders of granules, and give each a verdict.

    Parameters
    ----------
    archives : sequence of Path
        Archives of any layout, granules, or folders of both. The granules of a folder are compared with
        each other: those of odd size, number of scans or share of measurements are named.
    repair : bool
        Write the good swaths of a damaged archive, each once, to ``NAME_repaired``.
    plot : int
        Number of swaths of each archive, evenly spread, to draw into
        ``NAME_h5_swaths.png`` or ``NAME_npz_swaths.png``, a row for every channel; of granules into
        ``FOLDER_SENSOR_LEVEL_swaths.png``, their default channel alone.
    output_dir : Path, optional
        Folder for repaired archives and pictures; the folder of the archive by default.
    dpi : int
        Resolution of the pictures.

    Returns
    -------
    Report
        ``values``: an :class:`seaice.swaths.archive.checks.ArchiveCheck` or None for each archive, and
        for each folder of granules; for ``FOLDER SENSOR LEVEL`` where it holds several products.
    """
    report = Report()
    if output_dir is not None:
        output_dir.mkdir(parents=True, exist_ok=True)
    files, all_series = find_series(dict.fromkeys(archives), report.failed)
    for series in all_series:
        is_alone = sum(series.path == other.path for other in all_series) == 1
        check = check_archive(series)
        report.values[str(series.path) if is_alone else f"{series.path} {series.product}"] = check
        _report_check(series, check, report)
        if repair:
            report.lines.append("  granules are not repaired: collect the good ones into an archive")
        if plot:
            _draw(series, check, output_dir or series.path, plot, dpi, report)
    for path in files:
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
    """Add the lines about an archive, or about the granules of a folder, to the report."""
    path, swaths = archive.path, check.swaths
    bad = [swath for swath in swaths if swath.problems]
    sizes = archive.sizes if isinstance(archive, GranuleSeries) else [path.stat().st_size]
    content = archive.layout
    if isinstance(archive, GranuleSeries):
        content = f"{archive.layout} of {archive.product}"
    report.lines += [
        f"{path}: {content}, {format_count(len(swaths), 'swath')}, {sum(sizes) / 1e6:.1f} MB",
        f"  valid {len(check.good)}, damaged {len(bad)}, success rate {check.success_rate:.1%}",
    ]
    if check.good:
        report.lines += _format_statistics(check.good)
    if isinstance(archive, GranuleSeries):
        report.lines += _format_variation(check.good, sizes)
    report.lines.append(f"  completeness: {check.completeness}")
    report.lines.append(f"  verdict: {check.verdict}")
    failed = [check.damage] if check.damage else []
    failed += [f"{swath.name}: {'; '.join(swath.problems)}" for swath in bad]
    if isinstance(archive, GranuleSeries):
        failed += list_odd_granules(check.good, sizes)
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


def _format_variation(good: list[SwathCheck], sizes: list[int]) -> list[str]:
    """Sizes of the files, and the share of measurements of every channel."""
    megabytes = np.array(sizes) / 1e6
    lines = [
        f"  size of a file: {megabytes.min():.1f} to {megabytes.max():.1f} MB, mean "
        f"{megabytes.mean():.1f}, standard deviation {megabytes.std():.1f}"
    ]
    for channel in dict.fromkeys(name for swath in good for name in swath.shares):
        shares = np.array([swath.shares[channel] for swath in good if channel in swath.shares])
        lines.append(
            f"  {channel}: {shares.min():.1%} to {shares.max():.1%} of the pixels measured, mean "
            f"{shares.mean():.1%}, standard deviation {shares.std():.1%}"
        )
    return lines


def list_odd_granules(good: Sequence[SwathCheck], sizes: Sequence[int]) -> list[str]:
    """List the granules that differ from the others, one line each.

    Parameters
    ----------
    good : sequence of SwathCheck
        Granules without a problem of their own.
    sizes : sequence of int
        Bytes of all files; ``index`` of a check counts in them.
    """
    texts: dict[int, list[str]] = {}

    def compare(values: list[float], least: float, form: Callable[[float], str]) -> None:
        middle = form(float(np.median(values))) if values else ""
        for number in find_odd_values(values, least=least):
            texts.setdefault(number, []).append(f"{form(values[number])}, the others about {middle}")

    bytes_of_good = [float(sizes[swath.index]) for swath in good]
    compare(bytes_of_good, _LEAST_SIZE * float(np.median(bytes_of_good or [0])), _format_size)
    scans = [float(swath.scans) for swath in good]
    compare(scans, _LEAST_SCANS * float(np.median(scans or [0])), lambda value: f"{value:.0f} scans")
    for channel in dict.fromkeys(name for swath in good for name in swath.shares):
        present = [channel in swath.shares for swath in good]
        if all(present):
            shares = [swath.shares[channel] for swath in good]
            compare(shares, _LEAST_SHARE, partial(_format_share, channel))
        elif sum(present) > len(good) / 2:
            for number in np.flatnonzero(~np.array(present)):
                texts.setdefault(int(number), []).append(f"without {channel}, which the others have")
    return [f"{good[number].name} is odd: {'; '.join(parts)}" for number, parts in sorted(texts.items())]


def _format_size(size: float) -> str:
    return f"{size / 1e6:.2f} MB"


def _format_share(channel: str, share: float) -> str:
    return f"{share:.1%} of {channel} measured"


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
    kind = archive.path.suffix[1:]
    if isinstance(archive, GranuleSeries):
        kind = archive.product.replace(" ", "_")
    path = folder / f"{archive.path.resolve().stem}_{kind}_swaths.png"
    read = archive.read_main_channel if isinstance(archive, GranuleSeries) else archive.__getitem__
    with add_picture(report, path):
        channels = len(read(good[0].index).channels)
        count = min(count, len(good), max(1, MOST_ROWS // channels))
        numbers = np.unique(np.linspace(0, len(good) - 1, count).round().astype(int))
        write_swath_sheet(path, [read(good[number].index) for number in numbers], dpi=dpi)
        drawn = f"{format_count(len(numbers), 'swath')}, {format_count(channels, 'channel')}"
        report.lines.append(f"  {path}: {drawn}")
