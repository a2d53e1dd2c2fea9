"""Files with the weights of a network: written whole, read without running code, checked."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seaice import InputError
from seaice.runtime.atomic_write import atomic

if TYPE_CHECKING:
    from torch import nn

# Errors that torch raises when it reads damaged bytes.
_DAMAGE = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    MemoryError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)
TRAIN_AGAIN = "train again, in another folder or with --no_resume"


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint whole or not at all."""
    import torch

    with atomic(path) as part:
        torch.save(dict(content), part)


def read_checkpoint(
    path: Path, *, stage: str, mark: str, kinds: Mapping[str, type | None], advice: str
) -> dict[str, Any]:
    """Read the content of a checkpoint.

    A pickle can run any code when it is read. ``weights_only`` restricts it to tensors and plain
    values, so that a checkpoint of a stranger can be opened safely.

    Parameters
    ----------
    path : Path
    stage : str
        The command that writes such checkpoints, for messages.
    mark : str
        Value of ``format``.
    kinds : mapping of str to type or None
        Keys that it must have, with the type of the value, or None for any.
    advice : str
        Which files are such checkpoints.

    Raises
    ------
    InputError
        If the file is missing, damaged, or no checkpoint of this stage.
    """
    import torch

    try:
        # A checkpoint is a zip file; torch writes its checksums but does not compare them.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise OSError(f"the checksum of {damaged} is wrong")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"no checkpoint: {path}; train a model with {stage}") from None
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise InputError(
            f"expected a checkpoint of {stage}, found another or a damaged file: {path} "
            f"({reason}); {TRAIN_AGAIN}"
        ) from None
    has_mark = isinstance(content, dict) and content.get("format") == mark
    lacking = [key for key in kinds if not has_mark or key not in content]
    if lacking:
        raise InputError(
            f"expected a checkpoint of {stage} ({mark}), found {path} without "
            f"{lacking[0] if has_mark else 'its mark'}; {advice}"
        )
    for key, kind in kinds.items():
        if kind is not None and not isinstance(content[key], kind):
            raise InputError(
                f"expected {key} as {kind.__name__} in a checkpoint, found "
                f"{type(content[key]).__name__}: {path}; {TRAIN_AGAIN}"
            )
    return dict(content)


def load_state(network: nn.Module, state: Mapping[str, Any], path: Path) -> None:
    """Load the weights of a checkpoint into a network.

    Parameters
    ----------
    network : nn.Module
    state : mapping
        Weights by name.
    path : Path
        Path of the checkpoint, for messages.

    Raises
    ------
    InputError
        If the weights do not fit this network, or are NaN or infinite.
    """
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        reason = lines[min(1, len(lines) - 1)][:120]
        raise InputError(
            f"the weights in {path} are not of its model ({reason}); {TRAIN_AGAIN}"
        ) from None
    for name, value in network.state_dict().items():
        if not value.isfinite().all():
            raise InputError(f"expected numbers as weights, found NaN or infinity in {name} of {path}")
