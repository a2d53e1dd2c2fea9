"""Checkpoints: files with all that is needed to use a trained model, and to go on training it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import seaice
from seaice import InputError
from seaice.runtime.networks import checkpoint_file
from seaice.runtime.networks.checkpoint_file import TRAIN_AGAIN, load_state
from seaice.runtime.networks.device import choose_device
from seaice.segmentation.data.inputs import CHANNEL_SCALING, count_channels, list_channels
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.splits import Split
from seaice.segmentation.heads.head import count_outputs
from seaice.segmentation.heads.targets import convert_logits
from seaice.segmentation.networks.registry import build_network

if TYPE_CHECKING:
    import torch
    from torch import nn

FORMAT = "seaice segmentation 1"
# Keys that a checkpoint must have, and the types of some.
_KINDS: dict[str, type | None] = {
    "model": str,
    "options": dict,
    "inputs": None,
    "channels": int,
    "task": None,
    "ice_threshold": None,
    "state": dict,
    "epoch": int,
    "metrics": dict,
}


def describe_model(
    *, model: str, options: Mapping[str, Any], inputs: str, channels: int, task: str, rule: LabelRule
) -> dict[str, Any]:
    """Describe a model for its checkpoints: all they hold of it besides the weights."""
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
        "scaling": {name: list(CHANNEL_SCALING[name]) for name in list_channels(inputs)},
    }


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read the content of a checkpoint.

    Raises
    ------
    InputError
        If the file is missing, damaged, or no checkpoint of this package.
    """
    return checkpoint_file.read_checkpoint(
        path,
        stage="segmentation.py train",
        mark=FORMAT,
        kinds=_KINDS,
        advice="give best.pt or last.pt of a training",
    )


def get_temperatures(content: Mapping[str, Any]) -> dict[str, float]:
    """Temperatures of a checkpoint by head; empty if it was not calibrated."""
    return {str(name): float(value) for name, value in (content.get("temperatures") or {}).items()}


@dataclass(frozen=True)
class TrainedModel:
    """A network with its weights, in evaluation mode.

    Attributes
    ----------
    network : nn.Module
    rule : LabelRule
    inputs : str
        See :func:`seaice.segmentation.data.inputs.list_channels`.
    task : str
    metadata : dict
        All else that the checkpoint holds: model, options, split_digest, epoch, metrics, settings.
    precision : str
        "fp32", "bf16" or "fp16"; mixed precision runs with channels last in memory.
    """

    network: nn.Module
    rule: LabelRule
    inputs: str
    task: str
    metadata: dict[str, Any]
    precision: str = "fp32"

    @property
    def temperatures(self) -> dict[str, float]:
        """Temperature of each head that is calibrated, by its name."""
        return get_temperatures(self.metadata)

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        """Predict images (B, channels, H, W); returns (B, K, H, W), see :func:`convert_logits`."""
        import torch

        from seaice.runtime.networks.precision import choose_memory_format, set_precision
        from seaice.segmentation.networks.backbone import run_network

        images = images.contiguous(memory_format=choose_memory_format(self.precision))
        with torch.inference_mode(), set_precision(self.precision, images.device):
            return convert_logits(run_network(self.network, images), self.task, self.temperatures)


def load_model(path: Path, device: str = "cpu", precision: str = "fp32") -> TrainedModel:
    """Load the model of a checkpoint, ready to be used.

    Parameters
    ----------
    path : Path
    device : str
        See :func:`seaice.runtime.networks.device.choose_device`.
    precision : str
        See :func:`seaice.runtime.networks.precision.choose_precision`.

    Raises
    ------
    InputError
        If the device does not exist, the file is no checkpoint, or the weights do not fit its network.
    """
    from seaice.runtime.networks.precision import choose_memory_format, choose_precision

    chosen_device = choose_device(device)
    used = choose_precision(precision, chosen_device, on_processor=("fp32", "bf16"))
    content = read_checkpoint(path)
    channels = count_channels(content["inputs"])
    if content["channels"] != channels:
        raise InputError(
            f"expected {channels} channels for {content['inputs']}, found {content['channels']} in "
            f"{path}; {TRAIN_AGAIN}"
        )
    options = dict(content["options"])
    if "pretrained" in options:
        options["pretrained"] = False  # every weight is in the checkpoint
    classes = count_outputs(content["task"])
    network = build_network(content["model"], channels=channels, classes=classes, **options)
    load_state(network, content["state"], path)
    metadata = {key: value for key, value in content.items() if key not in ("state", "optimizer")}
    rule = LabelRule(content["ice_threshold"])
    network = network.to(chosen_device).to(memory_format=choose_memory_format(used))  # type: ignore[call-overload]
    return TrainedModel(network.eval(), rule, content["inputs"], content["task"], metadata, used)


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
