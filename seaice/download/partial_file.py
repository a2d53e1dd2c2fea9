"""A partly fetched file: the bytes that have arrived, and the version of the remote file they are of."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit, urlunsplit

from seaice.runtime.atomic_write import flush
from seaice.runtime.json_files import parse_json


def strip_login(url: str) -> str:
    """Return the address without user name and password, fit for logs and files.

    Examples
    --------
    >>> strip_login("https://me:secret@example.org:8080/data/a.nc")
    'https://example.org:8080/data/a.nc'
    """
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@dataclass(frozen=True)
class Identity:
    """Properties by which versions of a remote file are told apart.

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

    def make_conditions(self, url: str) -> dict[str, str]:
        """Return headers that ask for the body only if it is another version than this."""
        headers = {}
        if self.etag and self.url == url:  # an ETag means nothing at another address
            headers["If-None-Match"] = self.etag
        if self.last_modified:
            headers["If-Modified-Since"] = self.last_modified
        return headers

    def is_same_version(self, identity: Identity) -> bool:
        """Whether both are certain to be one version."""
        if self.url == identity.url and self.etag and identity.etag:
            return self.etag == identity.etag
        if not self.last_modified or self.size is None:
            return False
        return (self.last_modified, self.size) == (identity.last_modified, identity.size)


class PartialFile:
    """Hidden file that receives a download, and a note of the remote file that it is a part of.

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
        """Bytes that have arrived; 0 without a partial file."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def find_resumable(self, url: str) -> tuple[int, Identity | None]:
        """Return the bytes to continue from and their version at ``url``; (0, None) to start over."""
        size = self.size
        try:
            identity = Identity(**parse_json(self._note.read_text(encoding="utf-8")))
            complete = identity.size is not None and size >= identity.size
        except (FileNotFoundError, ValueError, TypeError):  # none, or torn by a kill
            return 0, None
        if not all(
            isinstance(text, str) for text in (identity.url, identity.etag, identity.last_modified)
        ):
            return 0, None
        if size == 0 or complete or identity.url != strip_login(url) or not identity.validator:
            return 0, None
        return size, identity

    def begin(self, identity: Identity) -> None:
        """Empty the file, then note the version that comes; a kill in between cannot mix versions."""
        self.discard()  # links too: nothing else is emptied
        with _open_own(self.path, os.O_EXCL):
            pass
        self._note.write_text(json.dumps(asdict(identity)), encoding="utf-8")

    def append(self) -> BinaryIO:
        """Open the file for appending."""
        return _open_own(self.path, os.O_APPEND)

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


def _open_own(path: Path, flags: int) -> BinaryIO:
    """Open a file for writing; a link of that name is not followed."""
    flags |= os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o644), "ab" if flags & os.O_APPEND else "wb")
