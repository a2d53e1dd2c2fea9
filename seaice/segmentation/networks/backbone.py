"""Networks of a backbone, pretrained or not, and a small convolutional head on its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from seaice import InputError
from seaice.sources.ai4arctic.tables import SAR_COUNT


def run_network(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Logits of a batch.

    Raises
    ------
    InputError
        If the network does not take images of this size, or the batch is too small for batch
        normalisation.
    """
    try:
        logits: torch.Tensor = network(images)
    except (AssertionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        if "more than 1 value per channel" in reason:
            raise InputError(
                f"expected several values in each feature for batch normalisation, found one in a batch "
                f"of {len(images)} by process; give a larger batch_size, larger patches or less depth"
            ) from None
        # So say timm and segmentation-models-pytorch; others may say anything.
        if not isinstance(error, AssertionError) and "Wrong input shape" not in reason:
            raise
        rows, columns = images.shape[-2:]
        raise InputError(
            f"this model takes no images of {rows} x {columns} pixels ({reason[:150]}); make it for "
            f"them (--options img_size={rows} of many models of timm), or cut patches of another --size"
        ) from None
    return logits


class ConvolutionalHead(nn.Sequential):
    """Two convolutions of 3 x 3 and one of 1 x 1, as on TerraMind in the published scores.

    With 768 features and 2 classes it has 2,360,834 parameters.

    Parameters
    ----------
    features : int
        Channels of the input.
    classes : int
        Channels of the output.
    width : int
        Channels between the convolutions.
    dropout : float
        Share of the channels that training drops at random.
    """

    def __init__(self, features: int, classes: int, *, width: int = 256, dropout: float = 0.1) -> None:
        super().__init__(
            nn.Conv2d(features, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, classes, 1),
        )


def as_feature_map(output: Any, size: tuple[int, int]) -> torch.Tensor:
    """Convert the output of a backbone to one map of features (B, D, h, w).

    Parameters
    ----------
    output : Tensor, or list, tuple or mapping of Tensor
        Output of the backbone; if there are several tensors, the last one is used. (B, D, h, w) is
        returned as it is; tokens (B, N, D) are arranged in rows with the proportions of the image.
        Leading tokens without a position in the image (class, registers) are dropped.
    size : (int, int)
        Rows and columns of the image.

    Raises
    ------
    InputError
        If the output is neither a map nor tokens.
    """
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, Sequence):
        output = output[-1]
    if isinstance(output, torch.Tensor) and output.ndim == 4:
        return output
    if isinstance(output, torch.Tensor) and output.ndim == 3:
        rows, columns = _arrange_tokens(output.shape[1], size)
        tokens = output[:, output.shape[1] - rows * columns :]
        return tokens.transpose(1, 2).reshape(output.shape[0], output.shape[2], rows, columns)
    shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    raise InputError(
        f"expected a map of features (B, D, h, w) or tokens (B, N, D) of the backbone, found {shape}"
    )


def _arrange_tokens(tokens: int, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of tokens: of the smallest square pieces of the image that are not too many.

    More than 16 tokens without a position in the image are taken for an error.
    """
    for side in range(1, min(size) + 1):
        rows, columns = size[0] // side, size[1] // side
        if size[0] % side == size[1] % side == 0 and rows * columns <= tokens:
            if tokens - rows * columns > 16:
                break
            return rows, columns
    raise InputError(f"expected tokens of square pieces of {size[0]} x {size[1]} pixels, found {tokens}")


class BackboneNetwork(nn.Module):
    """A backbone on the SAR channels; further channels join its features at the head.

    Parameters
    ----------
    backbone : nn.Module
        Takes (B, 2, H, W); :func:`as_feature_map` lists what it may return.
    width : int
        Number of features it returns.
    channels : int
        2 of SAR, and further ones, which are averaged to the resolution of the features.
    classes : int
        Channels of the output.
    frozen : bool
        The backbone learns nothing, and stays in evaluation mode also while the head is trained.
    scaling : sequence of (float, float), optional
        Factor and addend by SAR channel, from stored values to those that the backbone was trained on.
        Pixels without SAR (0 in both channels) stay 0.
    multiple : int
        Sides of the images must be multiples of this number.
    """

    factor: torch.Tensor
    addend: torch.Tensor

    def __init__(
        self,
        backbone: nn.Module,
        *,
        width: int,
        channels: int,
        classes: int,
        frozen: bool = False,
        scaling: Sequence[tuple[float, float]] = ((1.0, 0.0), (1.0, 0.0)),
        multiple: int = 1,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = ConvolutionalHead(width + channels - SAR_COUNT, classes)
        self.frozen = frozen
        self.multiple = multiple
        self.register_buffer("factor", torch.tensor([f for f, _ in scaling]).view(1, -1, 1, 1))
        self.register_buffer("addend", torch.tensor([a for _, a in scaling]).view(1, -1, 1, 1))
        if frozen:
            backbone.requires_grad_(False)
            backbone.eval()

    def train(self, mode: bool = True) -> BackboneNetwork:
        """Set training mode, in which a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def scale_sar(self, sar: torch.Tensor) -> torch.Tensor:
        """Scale stored SAR (B, 2, H, W) to the values that the backbone was trained on."""
        has_sar = (sar != 0).any(dim=1, keepdim=True)
        return torch.where(has_sar, sar * self.factor + self.addend, 0.0)

    def extract_features(self, images: torch.Tensor) -> torch.Tensor:
        """Map of the features of the backbone alone, (B, D, h, w).

        Raises
        ------
        InputError
            If the sides of the images are no multiples of ``multiple``.
        """
        size = (int(images.shape[-2]), int(images.shape[-1]))
        if size[0] % self.multiple or size[1] % self.multiple:
            raise InputError(
                f"expected sides that are multiples of {self.multiple} for this model, found "
                f"{size[0]} x {size[1]}; cut patches of 224"
            )
        sar = self.scale_sar(images[:, :SAR_COUNT])
        if self.frozen:
            with torch.no_grad():
                return as_feature_map(self.backbone(sar), size)
        return as_feature_map(self.backbone(sar), size)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes, H, W) of images (B, channels, H, W)."""
        features = self.extract_features(images)
        if images.shape[1] > SAR_COUNT:
            shape = (features.shape[-2], features.shape[-1])
            averaged = functional.adaptive_avg_pool2d(images[:, SAR_COUNT:], shape)
            features = torch.cat([features, averaged], dim=1)
        logits = self.head(features)
        size = (images.shape[-2], images.shape[-1])
        return functional.interpolate(logits, size, mode="bilinear", align_corners=True)


def measure_width(backbone: nn.Module, size: int) -> int:
    """Measure the number of features that a backbone returns, on one image of zeros.

    Parameters
    ----------
    backbone : nn.Module
    size : int
        Pixels along a side of the image.

    Raises
    ------
    InputError
        If the backbone does not take two channels or returns no features.
    """
    was_training = backbone.training
    backbone.eval()
    try:
        with torch.no_grad():
            output = backbone(torch.zeros(1, SAR_COUNT, size, size))
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"expected an encoder that takes (1, {SAR_COUNT}, {size}, {size}), found one that fails "
            f"({reason}); change the encoder"
        ) from error
    finally:
        backbone.train(was_training)
    return int(as_feature_map(output, (size, size)).shape[1])


def load_weights(backbone: nn.Module, path: Any) -> None:
    """Load the weights of a backbone from a local file, which may hold others too.

    Only tensors and plain values are read from the file; no code in it is run.

    Raises
    ------
    InputError
        If the file cannot be read, or lacks a weight of the backbone.
    """
    import pickle

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"no file of weights: {path}; fetch it or train with other weights") from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0][:100]
        raise InputError(f"expected a torch file of weights, found another: {path} ({reason})") from None
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    needed = backbone.state_dict()
    weights = content if isinstance(content, dict) else {}
    lacking = [
        key
        for key, value in needed.items()
        if not isinstance(weights.get(key), torch.Tensor) or weights[key].shape != value.shape
    ]
    if lacking:
        raise InputError(
            f"expected all {len(needed)} weights of the backbone in {path}, found {len(lacking)} "
            f"missing or of another shape (first {lacking[0]}); give the file of this model"
        )
    backbone.load_state_dict({key: weights[key] for key in needed})
