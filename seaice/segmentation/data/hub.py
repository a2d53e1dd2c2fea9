"""Where the archives of AI4Arctic come from: Hugging Face, or a folder they were put into."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from seaice import InputError
from seaice.download.retry import DEFAULT_POLICY, GaveUp, RetryPolicy, retry

logger = logging.getLogger(__name__)

REPOSITORY = "torchgeo/ai4artic-sea-ice-challenge"
# Answers that another attempt does not change.
_FINAL = (401, 403, 404)


class HubFile(NamedTuple):
    """What is known of a file before it is fetched.

    Attributes
    ----------
    size : int
        Bytes.
    sha256 : str
        Hexadecimal; empty where the source does not say.
    """

    size: int
    sha256: str


class Hub(Protocol):
    """A place that has the archives."""

    address: str

    def describe(self, names: Sequence[str]) -> Mapping[str, HubFile]:
        """Size and digest of files; InputError if one is not there."""

    def fetch(self, name: str, folder: Path) -> Path:
        """Where a file lies after it was fetched into a folder, if it had to be."""


class ArchiveFolder:
    """Archives that were fetched by other means.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)
        self.address = str(folder)
        if not self._folder.is_dir():
            raise InputError(f"expected a folder of archives, found none: {folder}")

    def describe(self, names: Sequence[str]) -> Mapping[str, HubFile]:
        """Sizes; there are no digests to compare with."""
        absent = [name for name in names if not (self._folder / name).is_file()]
        if absent:
            raise InputError(
                f"expected {', '.join(absent)} in {self._folder}, found none; fetch them from "
                f"https://huggingface.co/datasets/{REPOSITORY}"
            )
        return {name: HubFile((self._folder / name).stat().st_size, "") for name in names}

    def fetch(self, name: str, folder: Path) -> Path:
        """The file where it is."""
        return self._folder / name


class HuggingFace:
    """The dataset on the Hugging Face hub, or what ``HF_ENDPOINT`` names in its place.

    Parameters
    ----------
    revision : str
        Branch, tag or commit.
    retry_policy : RetryPolicy
        Further attempts after those of huggingface_hub itself.
    """

    def __init__(self, revision: str = "main", *, retry_policy: RetryPolicy = DEFAULT_POLICY) -> None:
        self._revision = revision
        self._retry_policy = retry_policy
        self._hub = _package()
        self.address = f"https://huggingface.co/datasets/{REPOSITORY}/resolve/{revision}"

    def describe(self, names: Sequence[str]) -> Mapping[str, HubFile]:
        """Sizes and digests as the hub tells them; it has digests of large files only."""

        def ask() -> Any:
            return self._hub.HfApi().get_paths_info(
                REPOSITORY, list(names), revision=self._revision, repo_type="dataset"
            )

        infos = self._retry("the list of files", ask)
        found = {i.path: HubFile(i.size, i.lfs.sha256 if i.lfs else "") for i in infos}
        absent = [name for name in names if name not in found]
        if absent:
            raise InputError(f"expected {', '.join(absent)} at {self.address}, found none")
        return {name: found[name] for name in names}

    def fetch(self, name: str, folder: Path) -> Path:
        """Fetch a file, going on where an earlier attempt was broken off."""

        def get() -> Any:
            return self._hub.hf_hub_download(
                REPOSITORY, name, revision=self._revision, repo_type="dataset", local_dir=folder
            )

        return Path(self._retry(name, get))

    def _retry(self, what: str, attempt: Callable[[], Any]) -> Any:
        try:
            return retry(
                attempt,
                self._retry_policy,
                stop=threading.Event(),
                errors=(Exception,),  # of several libraries below
                may_pass=lambda error: _status(error) not in _FINAL,
                announce=lambda error, _: logger.warning("%s: %s; trying again", what, _reason(error)),
            )
        except GaveUp as end:
            raise OSError(
                f"{what} could not be fetched from {self.address} ({_reason(end.error)}); what has come "
                "stays, run the same command again"
            ) from None


def _status(error: Exception) -> int | None:
    """HTTP status of an answer that is no success; None of another failure."""
    return getattr(getattr(error, "response", None), "status_code", None)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _package() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise InputError(
            "fetching scenes needs huggingface_hub: pip install -r requirements-segmentation.txt; or "
            "give --archive_dir with the archives fetched by other means"
        ) from None
    return huggingface_hub
