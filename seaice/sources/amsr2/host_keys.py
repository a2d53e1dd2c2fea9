"""Whether the host key of an SFTP server is one that the user knows; nothing is sent to any other.

The rules are those of OpenSSH (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): hashed names, patterns,
several keys of a host, revoked keys.
"""

from __future__ import annotations

import fnmatch
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from seaice import InputError

logger = logging.getLogger(__name__)

_KNOWN_HOSTS = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")
# Algorithms of signatures that a key of this type is used with, where they differ in name.
_RSA_ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")


class _KnownKey(NamedTuple):
    """A line of a file of known hosts.

    Attributes
    ----------
    key : paramiko.PKey
    marker : str
        "@revoked", "@cert-authority" or empty.
    path : Path
    """

    key: Any
    marker: str
    path: Path


class HostKeys:
    """The keys that a server may show.

    Parameters
    ----------
    host : str
    port : int
    accepted : str, optional
        Fingerprint that the user has compared and accepts, ``SHA256:...``.

    Raises
    ------
    InputError
        If the fingerprint has another form, or a file of known hosts cannot be read.
    """

    def __init__(self, host: str, port: int, accepted: str | None = None) -> None:
        self._host, self._port = host, port
        self._name = host if port == 22 else f"[{host}]:{port}"
        self._accepted = (accepted or "").strip().rstrip("=")
        if self._accepted and not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", self._accepted):
            raise InputError(
                f"expected the fingerprint of a host key as SHA256: and 43 letters and digits, found "
                f"{accepted!r}; ssh-keygen -lf prints it"
            )
        self._lines = list(self._read_keys())

    def sort_algorithms(self, algorithms: tuple[str, ...]) -> tuple[str, ...]:
        """Put those of the known keys first: a server may have keys of several types."""
        names = {line.key.get_name() for line in self._lines if not line.marker}
        if "ssh-rsa" in names:
            names.update(_RSA_ALGORITHMS)
        return tuple(sorted(algorithms, key=lambda name: name not in names))

    def check(self, key: Any) -> None:
        """Refuse a key that is revoked, another one than the known ones, or unknown; InputError."""
        shown = f"{self._name} shows the host key {key.get_name()} {key.fingerprint}"
        for line in self._lines:
            if line.marker == "@revoked" and line.key == key:
                raise InputError(
                    f"{shown}, which {line.path} says is revoked: it may be somebody else, nothing was "
                    "sent"
                )
        if key.fingerprint == self._accepted:
            return
        plain = [line for line in self._lines if not line.marker]
        if any(line.key == key for line in plain):
            return
        if self._accepted:
            raise InputError(
                f"{shown}, which is not the accepted one, {self._accepted}: it may be somebody else, "
                "nothing was sent"
            )
        if plain:
            raise InputError(
                f"{shown}, another host key than the one in {plain[0].path}: it may be somebody else, "
                "nothing was sent; remove the line there only if you know that the server has a new key"
            )
        raise InputError(
            f"{shown}, which nothing here vouches for, so no password is sent: ask somebody who knows "
            f"the server, or look from another network (ssh-keyscan -p {self._port} {self._host} | "
            f"ssh-keygen -lf -); then give --accept_host_key {key.fingerprint}, or set "
            "GPORTAL_HOST_KEY to it, or add the server to ~/.ssh/known_hosts"
        )

    def _read_keys(self) -> Iterator[_KnownKey]:
        from paramiko.hostkeys import HostKeyEntry

        for name in _KNOWN_HOSTS:
            path = Path(name).expanduser()
            for number, line in enumerate(self._read_lines(path), 1):
                marker, _, fields = line.partition(" ") if line.startswith("@") else ("", "", line)
                try:
                    entry = HostKeyEntry.from_line(re.sub(r"\s+", " ", fields.strip()), number)
                except Exception:  # paramiko raises whatever its parsers of keys do
                    logger.warning("%s: line %d cannot be read and counts as no key", path, number)
                    continue
                if entry is not None and self._matches(entry.hostnames):
                    yield _KnownKey(entry.key, marker, path)

    def _matches(self, patterns: list[str]) -> bool:
        """Whether the names of a line are those of the server; one with ``!`` excludes it."""
        from paramiko import HostKeys as Hashes

        is_listed = False
        for pattern in patterns:
            if pattern.startswith("|1|"):
                is_listed |= Hashes.hash_host(self._name, pattern) == pattern
                continue
            # In these patterns only * and ? are special; fnmatch would take [host]:port for a set.
            glob = pattern.removeprefix("!").lower().replace("[", "[[]")
            if fnmatch.fnmatchcase(self._name.lower(), glob):
                if pattern.startswith("!"):
                    return False
                is_listed = True
        return is_listed

    def _read_lines(self, path: Path) -> list[str]:
        """Lines of a file of known hosts without comments; none where there is no such file."""
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            if self._accepted:
                logger.warning("%s cannot be read (%s)", path, error.strerror)
                return []
            raise InputError(
                f"{path} cannot be read ({error.strerror}), so the server's key cannot be compared; "
                "correct it, or give --accept_host_key"
            ) from None
        lines = (line.strip() for line in text.splitlines())
        return [line for line in lines if line and not line.startswith("#")]
