"""Checkpoints: files with all that is needed to use a trained model, and to go on training it."""

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
from seaice.segmentation.data.splits import Split
from seaice.segmentation.data.targets import convert_logits, count_outputs
from seaice.segmentation.networks.device import choose_device
from seaice.segmentation.networks.registry import build_network
from seaice.sources.ai4arctic.tables import (
    AMSR2_CHANNELS,
    SAR_CHANNELS,
    SCALING,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

FORMAT = "seaice segmentation 1"
_REQUIRED_KEYS = (
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
_KEY_TYPES = {
    "model": str,
    "options": dict,
    "channels": int,
    "state": dict,
    "epoch": int,
    "metrics": dict,
}
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
_TRAIN_AGAIN = "train again, in another folder or with --no_resume"


def describe_model(
    *, model: str, options: Mapping[str, Any], inputs: str, channels: int, task: str, rule: LabelRule
) -> dict[str, Any]:
    """Describe a model for its checkpoints: all they hold of it besides the weights."""
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
        # Mean and standard deviation of every channel: stored = (value - mean) / deviation.
        "scaling": {name: list(SCALING[name]) for name in names},
    }


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint whole or not at all."""
    import torch

    with atomic(path) as part:
        torch.save(dict(content), part)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read the content of a checkpoint.

    A pickle can run any code when it is read. ``weights_only`` restricts it to tensors and plain
    values, so that a checkpoint of a stranger can be opened safely.

    Raises
    ------
    InputError
        If the file is missing, damaged, or no checkpoint of this package.
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
        raise InputError(f"no checkpoint: {path}; train a model with segmentation.py train") from None
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise InputError(
            f"expected a checkpoint of segmentation.py train, found another or a damaged file: {path} "
            f"({reason}); {_TRAIN_AGAIN}"
        ) from None
    has_format = isinstance(content, dict) and content.get("format") == FORMAT
    lacking = [key for key in _REQUIRED_KEYS if not has_format or key not in content]
    if lacking:
        raise InputError(
            f"expected a checkpoint of segmentation.py train ({FORMAT}), found {path} without "
            f"{lacking[0] if has_format else 'its mark'}; give best.pt or last.pt of a training"
        )
    for key, expected in _KEY_TYPES.items():
        if not isinstance(content[key], expected):
            raise InputError(
                f"expected {key} as {expected.__name__} in a checkpoint, found "
                f"{type(content[key]).__name__}: {path}; {_TRAIN_AGAIN}"
            )
    return dict(content)


@dataclass(frozen=True)
class TrainedModel:
    """A network with its weights, in evaluation mode.

    Attributes
    ----------
    network : nn.Module
    rule : LabelRule
    inputs : {"sar", "sar+amsr2"}
    task : str
    metadata : dict
        All else that the checkpoint holds: model, options, split_digest, epoch, metrics, settings.
    """

    network: nn.Module
    rule: LabelRule
    inputs: str
    task: str
    metadata: dict[str, Any]

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        """Predict images (B, channels, H, W); returns (B, K, H, W), see :func:`convert_logits`."""
        import torch

        from seaice.segmentation.networks.backbone import run_network

        with torch.inference_mode():
            return convert_logits(run_network(self.network, images), self.task)


def load_model(path: Path, device: str = "cpu") -> TrainedModel:
    """Load the model of a checkpoint, ready to be used.

    Parameters
    ----------
    path : Path
    device : str
        See :func:`seaice.segmentation.networks.device.choose_device`.

    Raises
    ------
    InputError
        If the device does not exist, the file is no checkpoint, or the weights do not fit its network.
    """
    from seaice.segmentation.data.patch_dataset import count_channels

    chosen_device = choose_device(device)
    content = read_checkpoint(path)
    channels = count_channels(content["inputs"])
    if content["channels"] != channels:
        raise InputError(
            f"expected {channels} channels for {content['inputs']}, found {content['channels']} in "
            f"{path}; {_TRAIN_AGAIN}"
        )
    options = dict(content["options"])
    if "pretrained" in options:
        options["pretrained"] = False  # every weight is in the checkpoint
    classes = count_outputs(content["task"])
    network = build_network(content["model"], channels=channels, classes=classes, **options)
    load_state(network, content["state"], path)
    metadata = {key: value for key, value in content.items() if key not in ("state", "optimizer")}
    rule = LabelRule(content["ice_threshold"])
    network = network.to(chosen_device).eval()
    return TrainedModel(network, rule, content["inputs"], content["task"], metadata)


def load_model_of_split(
    checkpoint: Path, split: Split, patch_dir: Path, device: str = "cpu"
) -> TrainedModel:
    """Load a model and check that it was trained with the split of a folder of patches.

    Raises
    ------
    InputError
        If the model was trained with another split, or cannot be loaded.
    """
    model = load_model(checkpoint, device)
    if model.metadata.get("split_digest") != split.digest:
        raise InputError(
            f"expected the split that {checkpoint} was trained with, found another in {patch_dir}: its "
            "scenes may have been trained on; train again, or give the folder of that training"
        )
    return model


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
            f"the weights in {path} are not of its model ({reason}); {_TRAIN_AGAIN}"
        ) from None
    for name, value in network.state_dict().items():
        if not value.isfinite().all():
            raise InputError(f"expected numbers as weights, found NaN or infinity in {name} of {path}")
