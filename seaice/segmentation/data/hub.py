"""Sources of the AI4Arctic archives: the Hugging Face hub, or a folder of archives fetched otherwise."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from seaice import InputError
from seaice.download.retry import DEFAULT_POLICY, GaveUp, RetryPolicy, retry
from seaice.settings import install_command

logger = logging.getLogger(__name__)

REPOSITORY = "torchgeo/ai4artic-sea-ice-challenge"
# HTTP statuses after which another attempt is useless.
_FINAL_STATUSES = (401, 403, 404)


class HubFile(NamedTuple):
    """Size and digest of a file, as a hub states them before it is fetched.

    Attributes
    ----------
    size : int
        Bytes.
    sha256 : str
        Hexadecimal; empty where the hub does not state it.
    """

    size: int
    sha256: str


class Hub(Protocol):
    """A source of the archives; ``address`` names it in messages and in the manifest."""

    address: str

    def describe(self, names: Sequence[str]) -> Mapping[str, HubFile]:
        """Size and digest of files by name; InputError if the source lacks one."""

    def fetch(self, name: str, folder: Path) -> Path:
        """Fetch a file into a folder where needed; returns its path."""


class ArchiveFolder:
    """A folder of archives that were fetched by other means.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    InputError
        If there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)
        self.address = str(folder)
        if not self._folder.is_dir():
            raise InputError(f"expected a folder of archives, found none: {folder}")

    def describe(self, names: Sequence[str]) -> Mapping[str, HubFile]:
        """Sizes by name; digests are empty, since a folder states none."""
        absent = [name for name in names if not (self._folder / name).is_file()]
        if absent:
            raise InputError(
                f"expected {', '.join(absent)} in {self._folder}, found none; fetch them from "
                f"https://huggingface.co/datasets/{REPOSITORY}"
            )
        return {name: HubFile((self._folder / name).stat().st_size, "") for name in names}

    def fetch(self, name: str, folder: Path) -> Path:
        """Path of the file in the folder of archives; nothing is fetched."""
        return self._folder / name


class HuggingFaceHub:
    """The dataset on the Hugging Face hub, or on the server that ``HF_ENDPOINT`` names.

    Parameters
    ----------
    revision : str
        Branch, tag or commit.
    retry_policy : RetryPolicy
        Further attempts after those of huggingface_hub itself.

    Raises
    ------
    InputError
        If huggingface_hub is not installed.
    """

    def __init__(self, revision: str = "main", *, retry_policy: RetryPolicy = DEFAULT_POLICY) -> None:
        self._revision = revision
        self._retry_policy = retry_policy
        self._library = _import_huggingface_hub()
        self.address = f"https://huggingface.co/datasets/{REPOSITORY}/resolve/{revision}"

    def describe(self, names: Sequence[str]) -> Mapping[str, HubFile]:
        """Sizes and digests by name; the hub states digests of large files only."""

        def request() -> Any:
            return self._library.HfApi().get_paths_info(
                REPOSITORY, list(names), revision=self._revision, repo_type="dataset"
            )

        infos = self._retry("the list of files", request)
        files = {i.path: HubFile(i.size, i.lfs.sha256 if i.lfs else "") for i in infos}
        absent = [name for name in names if name not in files]
        if absent:
            raise InputError(f"expected {', '.join(absent)} at {self.address}, found none")
        return {name: files[name] for name in names}

    def fetch(self, name: str, folder: Path) -> Path:
        """Fetch a file, continuing where an earlier attempt was interrupted.

        Raises
        ------
        OSError
            If it could not be fetched.
        """

        def request() -> Any:
            return self._library.hf_hub_download(
                REPOSITORY, name, revision=self._revision, repo_type="dataset", local_dir=folder
            )

        return Path(self._retry(name, request))

    def _retry(self, subject: str, request: Callable[[], Any]) -> Any:
        try:
            return retry(
                request,
                self._retry_policy,
                stop=threading.Event(),
                errors=(Exception,),  # huggingface_hub raises errors of several libraries
                may_pass=lambda error: _read_status(error) not in _FINAL_STATUSES,
                announce=lambda error, _: logger.warning(
                    "%s: %s; trying again", subject, _describe_error(error)
                ),
            )
        except GaveUp as end:
            reason = _describe_error(end.error)
            raise OSError(
                f"{subject} could not be fetched from {self.address} ({reason}); what has arrived "
                "stays, run the same command again"
            ) from None


def _read_status(error: Exception) -> int | None:
    """HTTP status of an answer that is no success; None for any other failure."""
    return getattr(getattr(error, "response", None), "status_code", None)


def _describe_error(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _import_huggingface_hub() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise InputError(
            f"fetching scenes needs huggingface_hub: {install_command('huggingface_hub')}; or "
            "give --archive_dir with the archives fetched by other means"
        ) from None
    return huggingface_hub
