"""Fetching the AI4Arctic scenes: archives of the hub, checked and unpacked as they are read."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from seaice import InputError
from seaice.download.manifest import (
    Manifest,
    Record,
)
from seaice.download.partial_file import file_sha256
from seaice.report import Progress, Report
from seaice.runtime.atomic_write import (
    atomic,
    exclusive,
)
from seaice.segmentation.data.hub import (
    ArchiveFolder,
    Hub,
    HubFile,
    HuggingFace,
)
from seaice.segmentation.data.joined_archive import (
    Member,
    unpack,
)

logger = logging.getLogger(__name__)

Part = Literal["test", "train", "all"]

# Parts of every archive in the order in which they are one file.
ARCHIVES: Mapping[str, tuple[str, ...]] = {
    "test": ("test.tar.gz",),
    "train": ("train.tar.gzaa", "train.tar.gzab"),
}
# With every test scene comes the file of its charts.
FILES: Mapping[str, int] = {"test": 40, "train": 512}
_TABLE = "metadata.csv"
# The scenes are deflated already: unpacked they take about as much again.
_UNPACKED = 1.1


def download_scenes(
    *,
    output_dir: Path,
    split: Part = "test",
    revision: str = "main",
    archive_dir: Path | None = None,
    keep_archives: bool = False,
) -> Report:
    """Fetch scenes of the AI4Arctic challenge dataset from Hugging Face and unpack them.

    What is there is kept: archives are continued, files of the right size are not written
    again, and a split that is complete asks nothing of the network. ``manifest.jsonl`` has the
    SHA-256 of every file.

    Parameters
    ----------
    output_dir : Path
        Made where it does not exist: ``test/``, ``train/``, ``metadata.csv``.
    split : {"test", "train", "all"}
        20 test scenes (2.5 GB) or 512 training scenes (60 GB); with the unpacked files twice that.
    revision : str
        Of the dataset: branch, tag or commit.
    archive_dir : Path, optional
        Folder of archives fetched by other means; the network is then not used.
    keep_archives : bool
        Keep the archives in ``.archives`` after they are unpacked.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If huggingface_hub is not installed, an archive is damaged or of another digest, or the
        disk has not enough room.
    OSError
        If something could not be fetched or written.
    """
    if split not in ("test", "train", "all"):
        raise InputError(f"expected a split out of test, train and all, found {split!r}")
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    wanted = ["test", "train"] if split == "all" else [split]
    report = Report(outputs=[output_dir / part for part in wanted])
    with exclusive(output_dir / _TABLE):
        manifest = Manifest(output_dir)
        missing = [part for part in wanted if not is_complete(output_dir, part, manifest)]
        if missing or not (output_dir / _TABLE).is_file():
            hub = ArchiveFolder(archive_dir) if archive_dir else HuggingFace(revision)
            _fetch(hub, output_dir, missing, manifest, keep=keep_archives)
        for part in wanted:
            count = len(_members(part, manifest))
            there = "fetched" if part in missing else "already there"
            report.lines.append(
                f"{output_dir / part}: {count} files, {there}, of {_source(part, manifest)}"
            )
            report.values[part] = count
    return report


def is_complete(folder: Path, part: str, manifest: Manifest) -> bool:
    """Whether an archive was unpacked to its end, and every file of it still has its size."""
    if manifest.get(_whole(part)) is None:
        return False
    members = _members(part, manifest)
    return bool(members) and all(_has_size(folder / m.name, m.size) for m in members)


def _whole(part: str) -> str:
    return f"{part}.tar.gz (unpacked)"


def _source(part: str, manifest: Manifest) -> str:
    whole = manifest.get(_whole(part))
    return whole.url if whole is not None else ""


def _members(part: str, manifest: Manifest) -> list[Record]:
    return [record for record in manifest if record.name.startswith(f"{part}/")]


def _has_size(path: Path, size: int | None) -> bool:
    return path.is_file() and path.stat().st_size == size


def _fetch(hub: Hub, folder: Path, parts: Sequence[str], manifest: Manifest, *, keep: bool) -> None:
    archives = folder / ".archives"
    names = [name for part in parts for name in ARCHIVES[part]]
    known = hub.describe([_TABLE, *names])
    _check_room(folder, parts, known, hub)
    is_ours = not isinstance(hub, ArchiveFolder)
    if is_ours:
        archives.mkdir(exist_ok=True)
    table = hub.fetch(_TABLE, archives)
    _check(table, known[_TABLE], hub, manifest)
    with atomic(folder / _TABLE, locked=True) as copy:
        shutil.copyfile(table, copy)
    for part in parts:
        with Progress(total=len(ARCHIVES[part]) + FILES[part], label="files", logger=logger) as bar:
            paths = []
            for name in ARCHIVES[part]:
                paths.append(hub.fetch(name, archives))
                _check(paths[-1], known[name], hub, manifest)
                bar.unit(f"{name}: {known[name].size / 1e6:.0f} MB, checked")
            _unpack(paths, folder, part, manifest, bar, hub)
        if is_ours and not keep:
            for path in paths:
                path.unlink()
    if is_ours and not keep and not _has_archives(archives):
        shutil.rmtree(archives)


def _has_archives(folder: Path) -> bool:
    """Whether there is an archive that was kept, or what has come of one so far."""
    names = [name for each in ARCHIVES.values() for name in each]
    return any((folder / name).exists() for name in names) or any(folder.rglob("*.incomplete"))


def _unpack(
    paths: Sequence[Path], folder: Path, part: str, manifest: Manifest, bar: Progress, hub: Hub
) -> None:
    def is_there(name: str, size: int) -> bool:
        if not name.startswith(f"{part}/"):
            raise InputError(
                f"expected files of the folder {part} in {paths[0]}, found {name!r}; the archive is "
                "not the one that was published"
            )
        if not _has_size(folder / name, size):
            return False
        record = manifest.get(name)
        if record is None or record.size != size:
            tell(Member(name, size, file_sha256(folder / name)))
        else:
            bar.unit(f"{name}: already there")
        return True

    def tell(member: Member) -> None:
        address = f"{hub.address}/{ARCHIVES[part][0]}"
        manifest.add(Record(member.name, _now(), member.size, member.sha256, url=address))
        bar.unit(f"{member.name}: {member.size / 1e6:.1f} MB")

    unpack(paths, folder, is_there=is_there, tell=tell)
    size = sum(path.stat().st_size for path in paths)
    manifest.add(Record(_whole(part), _now(), size, url=hub.address))


def _check_room(folder: Path, parts: Sequence[str], known: Mapping[str, HubFile], hub: Hub) -> None:
    files = {name: known[name] for part in parts for name in ARCHIVES[part]}
    archives = folder / ".archives"
    to_fetch = sum(f.size for name, f in files.items() if not _has_size(archives / name, f.size))
    if isinstance(hub, ArchiveFolder):
        to_fetch = 0
    there = sum(path.stat().st_size for part in parts for path in (folder / part).glob("*.nc"))
    needed = to_fetch + max(0, int(_UNPACKED * sum(f.size for f in files.values())) - there)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"expected {needed / 1e9:.1f} GB free for {', '.join(files)} and what is in them, found "
            f"{free / 1e9:.1f} GB: {folder}; make room or choose another --output_dir"
        )


def _check(path: Path, known: HubFile, hub: Hub, manifest: Manifest) -> None:
    """Compare an archive with what the hub tells of it, once."""
    size = path.stat().st_size
    record = manifest.get(path.name)
    if record is not None and (record.size, record.sha256) == (size, known.sha256):
        return
    digest = file_sha256(path) if known.sha256 else ""
    if size != known.size or digest != known.sha256:
        raise InputError(
            f"expected {path.name} of {known.size} bytes and SHA-256 {known.sha256 or 'unknown'}, found "
            f"{size} bytes, {digest or 'not computed'}: {path}; remove it and run the same command again"
        )
    manifest.add(Record(path.name, _now(), size, digest, url=f"{hub.address}/{path.name}"))


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
