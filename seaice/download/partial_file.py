"""A partly fetched file: what is there, and of which version of the remote file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from seaice.runtime.atomic_write import flush


def public_url(url: str) -> str:
    """The address without user name and password, fit for logs and files.

    Examples
    --------
    >>> public_url("https://me:secret@example.org:8080/data/a.nc")
    'https://example.org:8080/data/a.nc'
    """
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@dataclass(frozen=True)
class Identity:
    """What tells one version of a remote file from another.

    Attributes
    ----------
    url : str
        Without any user name or password.
    size : int or None
        Bytes; None where the server did not say.
    etag, last_modified : str
        As sent, empty where not sent.
    """

    url: str
    size: int | None
    etag: str = ""
    last_modified: str = ""

    @property
    def validator(self) -> str:
        """For If-Range, which admits no weak ETag; empty if there is none."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def conditions(self, url: str) -> dict[str, str]:
        """Headers that ask for the body only if it is another version than this."""
        headers = {}
        if self.etag and self.url == url:  # an ETag means nothing at another address
            headers["If-None-Match"] = self.etag
        if self.last_modified:
            headers["If-Modified-Since"] = self.last_modified
        return headers

    def same_version(self, other: Identity) -> bool:
        """Whether both are certain to be one version."""
        if self.url == other.url and self.etag and other.etag:
            return self.etag == other.etag
        if not self.last_modified or self.size is None:
            return False
        return (self.last_modified, self.size) == (other.last_modified, other.size)


class PartialFile:
    """The hidden sibling a body streams into, and the note of what it is a part of.

    Parameters
    ----------
    path : Path
        Final name of the file.
    """

    def __init__(self, path: Path) -> None:
        self._final = path
        self.name = path.name
        self.path = path.with_name(f".{path.name}.part")
        self._note = path.with_name(f".{path.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes there."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def resumable(self, url: str) -> tuple[int, Identity | None]:
        """How many bytes are there of which version at ``url``; (0, None) to start over."""
        size = self.size
        try:
            identity = Identity(**json.loads(self._note.read_text(encoding="utf-8")))
            complete = identity.size is not None and size >= identity.size
        except (FileNotFoundError, ValueError, TypeError):  # none, or torn by a kill
            return 0, None
        if size == 0 or complete or identity.url != public_url(url) or not identity.validator:
            return 0, None
        return size, identity

    def begin(self, identity: Identity) -> None:
        """Drop what is there, then note what comes: a kill in between mixes nothing."""
        self.path.write_bytes(b"")
        self._note.write_text(json.dumps(asdict(identity)), encoding="utf-8")

    def discard(self) -> None:
        """Remove both files."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self) -> None:
        """Flush to the disk and give the file its final name."""
        flush(self.path)
        os.replace(self.path, self._final)
        self._note.unlink(missing_ok=True)
        flush(self._final.parent)
