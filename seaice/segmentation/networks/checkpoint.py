"""Trained models on disk: everything that is needed to use one, and to go on training it."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import seaice
from seaice import InputError
from seaice.runtime.atomic_write import atomic
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.targets import output_count
from seaice.segmentation.networks.registry import build
from seaice.sources.ai4arctic.tables import (
    AMSR2_CHANNELS,
    SAR_CHANNELS,
    SCALING,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

FORMAT = "seaice segmentation 1"
_NEEDED = (
    "model",
    "options",
    "inputs",
    "channels",
    "task",
    "ice_threshold",
    "state",
    "epoch",
    "metrics",
)
_KINDS = {"model": str, "options": dict, "channels": int, "state": dict, "epoch": int, "metrics": dict}
# What torch raises over damaged bytes.
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
_ANEW = "train again, in another folder or with --no_resume"


def described(
    *, model: str, options: Mapping[str, Any], inputs: str, channels: int, task: str, rule: LabelRule
) -> dict[str, Any]:
    """What every checkpoint of a training says of the model, besides its weights."""
    names = (*SAR_CHANNELS, *AMSR2_CHANNELS)[:channels]
    return {
        "format": FORMAT,
        "software": seaice.__version__,
        "model": model,
        "options": dict(options),
        "inputs": inputs,
        "channels": channels,
        "task": task,
        "ice_threshold": float(rule.ice_threshold),
        "label_rule": rule.describe(),
        # Mean and deviation of what comes in: stored = (value - mean) / deviation.
        "scaling": {name: list(SCALING[name]) for name in names},
    }


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint whole or not at all."""
    import torch

    with atomic(path) as part:
        torch.save(dict(content), part)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; nothing in it is run.

    Raises
    ------
    InputError
        If there is none, or it is another file.
    """
    import torch

    try:
        # The library does not look at the checksums that it writes.
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        if broken:
            raise OSError(f"the checksum of {broken} is wrong")
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"no checkpoint: {path}; train a model with segmentation.py train") from None
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise InputError(
            f"expected a checkpoint of segmentation.py train, found another or a damaged file: {path} "
            f"({reason}); {_ANEW}"
        ) from None
    is_ours = isinstance(found, dict) and found.get("format") == FORMAT
    lacking = [key for key in _NEEDED if not is_ours or key not in found]
    if lacking:
        raise InputError(
            f"expected a checkpoint of segmentation.py train ({FORMAT}), found {path} without "
            f"{lacking[0] if is_ours else 'its mark'}; give best.pt or last.pt of a training"
        )
    wrong = [key for key, kind in _KINDS.items() if not isinstance(found[key], kind)]
    if wrong:
        raise InputError(
            f"expected {wrong[0]} as {_KINDS[wrong[0]].__name__} in a checkpoint, found "
            f"{type(found[wrong[0]]).__name__}: {path}; {_ANEW}"
        )
    return dict(found)


@dataclass(frozen=True)
class TrainedModel:
    """A network with its weights, in evaluation mode.

    Attributes
    ----------
    network : nn.Module
    rule : LabelRule
    inputs : {"sar", "sar+amsr2"}
    task : str
    note : dict
        All else that the checkpoint says: model, options, split_digest, epoch, metrics, settings.
    """

    network: nn.Module
    rule: LabelRule
    inputs: str
    task: str
    note: dict[str, Any]

    def likelihoods(self, images: torch.Tensor) -> torch.Tensor:
        """Likelihoods of images (B, channels, H, W) as (B, K, H, W); see ``targets.likelihoods``."""
        import torch

        from seaice.segmentation.data.targets import likelihoods

        with torch.inference_mode():
            return likelihoods(self.network(images), self.task)


def load_model(path: Path, device: str | torch.device = "cpu") -> TrainedModel:
    """The model of a checkpoint, ready to be used.

    Raises
    ------
    InputError
        If it is no checkpoint, or the weights are not of its network.
    """
    from seaice.segmentation.data.patch_dataset import channel_count

    found = read_checkpoint(path)
    wanted = channel_count(found["inputs"])
    if found["channels"] != wanted:
        raise InputError(
            f"expected {wanted} channels for {found['inputs']}, found {found['channels']} in {path}; "
            f"{_ANEW}"
        )
    options = dict(found["options"])
    if "pretrained" in options:
        options["pretrained"] = False  # every weight is in the checkpoint
    network = build(
        found["model"], channels=found["channels"], classes=output_count(found["task"]), **options
    )
    load_state(network, found["state"], path)
    note = {key: value for key, value in found.items() if key not in ("state", "optimizer")}
    rule = LabelRule(found["ice_threshold"])
    return TrainedModel(network.to(device).eval(), rule, found["inputs"], found["task"], note)


def load_state(network: nn.Module, state: Mapping[str, Any], path: Path) -> None:
    """Put the weights of a checkpoint into a network.

    Raises
    ------
    InputError
        If they are not of this network, or no numbers.
    """
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        reason = lines[min(1, len(lines) - 1)][:120]
        raise InputError(f"the weights in {path} are not of its model ({reason}); {_ANEW}") from None
    broken = [name for name, value in network.state_dict().items() if not value.isfinite().all()]
    if broken:
        raise InputError(f"expected numbers as weights, found NaN or infinity in {broken[0]} of {path}")
