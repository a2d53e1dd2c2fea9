"""Download of the AI4Arctic scenes: archives of the hub, checked and unpacked while they are read."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from seaice import InputError
from seaice.dates import format_timestamp
from seaice.download.manifest import (
    Manifest,
    Record,
)
from seaice.report import Progress, Report
from seaice.runtime.atomic_write import (
    atomic,
    exclusive,
)
from seaice.runtime.digests import digest_file
from seaice.segmentation.data.hub import (
    ArchiveFolder,
    Hub,
    HubFile,
    HuggingFaceHub,
)
from seaice.segmentation.data.joined_archive import (
    UnpackedFile,
    unpack_archive,
)

logger = logging.getLogger(__name__)

SceneSet = Literal["test", "train", "all"]

# Files of every archive, in the order in which they are joined.
ARCHIVES: Mapping[str, tuple[str, ...]] = {
    "test": ("test.tar.gz",),
    "train": ("train.tar.gzaa", "train.tar.gzab"),
}
# Number of files in every archive; each test scene has a second file with its charts.
FILE_COUNTS: Mapping[str, int] = {"test": 40, "train": 512}
_TABLE = "metadata.csv"
# Size of the unpacked scenes by that of their archive: they are compressed already.
_UNPACKED_RATIO = 1.1


def download_scenes(
    *,
    output_dir: Path,
    split: SceneSet = "test",
    revision: str = "main",
    archive_dir: Path | None = None,
    keep_archives: bool = False,
) -> Report:
    """Fetch scenes of the AI4Arctic challenge dataset from Hugging Face and unpack them.

    Archives are continued where a download was interrupted, files of the right size are not written
    again, and the network is not used for a split that is complete. ``manifest.jsonl`` lists the SHA-256
    of every file.

    Parameters
    ----------
    output_dir : Path
        Made where it does not exist: ``test/``, ``train/``, ``metadata.csv``.
    split : {"test", "train", "all"}
        20 test scenes (2.5 GB) or 512 training scenes (60 GB); with the unpacked files twice that.
    revision : str
        Branch, tag or commit of the dataset.
    archive_dir : Path, optional
        Folder of archives fetched by other means, used instead of the network.
    keep_archives : bool
        Keep the archives in ``.archives`` after they are unpacked.

    Returns
    -------
    Report
        ``values``: number of files of each part.

    Raises
    ------
    InputError
        If huggingface_hub is not installed, an archive is damaged or has another digest, or the
        disk has not enough room.
    OSError
        If a file could not be fetched or written.
    """
    if split not in ("test", "train", "all"):
        raise InputError(f"expected a split out of test, train and all, found {split!r}")
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    parts = ["test", "train"] if split == "all" else [split]
    report = Report(outputs=[output_dir / part for part in parts])
    with exclusive(output_dir / _TABLE, look_first=True):
        manifest = Manifest(output_dir)
        missing = [part for part in parts if not is_complete(output_dir, part, manifest)]
        if missing or not (output_dir / _TABLE).is_file():
            hub = ArchiveFolder(archive_dir) if archive_dir else HuggingFaceHub(revision)
            _fetch_scenes(hub, output_dir, missing, manifest, keep=keep_archives)
        for part in parts:
            count = len(_list_files(part, manifest))
            status = "fetched" if part in missing else "already there"
            archive = manifest.get(_name_archive(part))
            source = "" if archive is None else archive.url
            report.lines.append(f"{output_dir / part}: {count} files, {status}, of {source}")
            report.values[part] = count
    return report


def is_complete(folder: Path, part: str, manifest: Manifest) -> bool:
    """Whether the archive of a part was unpacked to its end, and every file still has its size."""
    if manifest.get(_name_archive(part)) is None:
        return False
    records = _list_files(part, manifest)
    return bool(records) and all(_has_size(folder / record.name, record.size) for record in records)


def _name_archive(part: str) -> str:
    """Name of the record that an archive was unpacked to its end."""
    return f"{part}.tar.gz (unpacked)"


def _list_files(part: str, manifest: Manifest) -> list[Record]:
    return [record for record in manifest if record.name.startswith(f"{part}/")]


def _has_size(path: Path, size: int | None) -> bool:
    return path.is_file() and path.stat().st_size == size


def _fetch_scenes(
    hub: Hub, folder: Path, parts: Sequence[str], manifest: Manifest, *, keep: bool
) -> None:
    archives = folder / ".archives"
    names = [name for part in parts for name in ARCHIVES[part]]
    described = hub.describe([_TABLE, *names])
    _check_disk_space(folder, parts, described, hub)
    # Archives that the user keeps in a folder are never removed.
    is_downloaded = not isinstance(hub, ArchiveFolder)
    if is_downloaded:
        archives.mkdir(exist_ok=True)
    table = hub.fetch(_TABLE, archives)
    _check_archive(table, described[_TABLE], hub, manifest)
    with atomic(folder / _TABLE, locked=True) as copy:
        shutil.copyfile(table, copy)
    for part in parts:
        with Progress(
            total=len(ARCHIVES[part]) + FILE_COUNTS[part], label="files", logger=logger
        ) as bar:
            paths = []
            for name in ARCHIVES[part]:
                paths.append(hub.fetch(name, archives))
                _check_archive(paths[-1], described[name], hub, manifest)
                bar.unit(f"{name}: {described[name].size / 1e6:.0f} MB, checked")
            _unpack_scenes(paths, folder, part, manifest, bar, hub)
        if is_downloaded and not keep:
            for path in paths:
                path.unlink()
    if is_downloaded and not keep and not _has_archives(archives):
        shutil.rmtree(archives)


def _has_archives(folder: Path) -> bool:
    """Whether the folder holds an archive, or a part of one that was not fetched to its end."""
    names = [name for archive in ARCHIVES.values() for name in archive]
    return any((folder / name).exists() for name in names) or any(folder.rglob("*.incomplete"))


def _unpack_scenes(
    paths: Sequence[Path], folder: Path, part: str, manifest: Manifest, bar: Progress, hub: Hub
) -> None:
    """Unpack the scenes of an archive and list them in the manifest."""

    def is_unpacked(name: str, size: int) -> bool:
        if not name.startswith(f"{part}/"):
            raise InputError(
                f"expected files of the folder {part} in {paths[0]}, found {name!r}; the archive is "
                "not the one that was published"
            )
        if not _has_size(folder / name, size):
            return False
        record = manifest.get(name)
        if record is None or record.size != size:
            add_record(UnpackedFile(name, size, digest_file(folder / name)))
        else:
            bar.unit(f"{name}: already there")
        return True

    def add_record(file: UnpackedFile) -> None:
        address = f"{hub.address}/{ARCHIVES[part][0]}"
        manifest.add(Record(file.name, _format_time(), file.size, file.sha256, url=address))
        bar.unit(f"{file.name}: {file.size / 1e6:.1f} MB")

    unpack_archive(paths, folder, is_unpacked=is_unpacked, report_file=add_record)
    size = sum(path.stat().st_size for path in paths)
    manifest.add(Record(_name_archive(part), _format_time(), size, url=hub.address))


def _check_disk_space(
    folder: Path, parts: Sequence[str], described: Mapping[str, HubFile], hub: Hub
) -> None:
    """Refuse to start where the archives and their unpacked scenes do not fit on the disk."""
    files = {name: described[name] for part in parts for name in ARCHIVES[part]}
    archives = folder / ".archives"
    to_fetch = sum(f.size for name, f in files.items() if not _has_size(archives / name, f.size))
    if isinstance(hub, ArchiveFolder):
        to_fetch = 0
    present = sum(path.stat().st_size for part in parts for path in (folder / part).glob("*.nc"))
    needed = to_fetch + max(0, int(_UNPACKED_RATIO * sum(f.size for f in files.values())) - present)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"expected {needed / 1e9:.1f} GB free for {', '.join(files)} and the scenes in them, found "
            f"{free / 1e9:.1f} GB: {folder}; make room or choose another --output_dir"
        )


def _check_archive(path: Path, stated: HubFile, hub: Hub, manifest: Manifest) -> None:
    """Compare an archive with the size and digest that the hub states, once."""
    size = path.stat().st_size
    record = manifest.get(path.name)
    if record is not None and (record.size, record.sha256) == (size, stated.sha256):
        return
    digest = digest_file(path) if stated.sha256 else ""
    if size != stated.size or digest != stated.sha256:
        raise InputError(
            f"expected {path.name} of {stated.size} bytes and SHA-256 {stated.sha256 or 'unknown'}, "
            f"found {size} bytes, {digest or 'not computed'}: {path}; remove it and run the same "
            "command again"
        )
    manifest.add(Record(path.name, _format_time(), size, digest, url=f"{hub.address}/{path.name}"))


def _format_time() -> str:
    """The present time in UTC, as the manifest writes it."""
    return format_timestamp(datetime.now(UTC))
