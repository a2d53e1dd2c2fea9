"""A backbone of any kind under a small convolutional head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from seaice import InputError
from seaice.sources.ai4arctic.tables import SAR_COUNT


class Head(nn.Sequential):
    """Two convolutions of 3 x 3 and one of 1 x 1, as on top of TerraMind in published scores.

    With 768 features and 2 classes it has 2,360,834 parameters.
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


def as_map(made: Any, size: tuple[int, int]) -> torch.Tensor:
    """What a backbone returns as one map of features (B, D, h, w).

    Parameters
    ----------
    made : Tensor, or list, tuple or mapping of Tensor
        Of several the last counts. (B, D, h, w) is taken as it is; tokens (B, N, D) are laid out
        in rows with the proportions of the image, after leading tokens of no place (class,
        registers) are dropped.
    size : (int, int)
        Rows and columns of the image.

    Raises
    ------
    InputError
        If it is neither.
    """
    if isinstance(made, Mapping):
        made = list(made.values())
    if isinstance(made, Sequence):
        made = made[-1]
    if isinstance(made, torch.Tensor) and made.ndim == 4:
        return made
    if isinstance(made, torch.Tensor) and made.ndim == 3:
        rows, columns = _layout(made.shape[1], size)
        tokens = made[:, made.shape[1] - rows * columns :]
        return tokens.transpose(1, 2).reshape(made.shape[0], made.shape[2], rows, columns)
    found = tuple(made.shape) if isinstance(made, torch.Tensor) else type(made).__name__
    raise InputError(
        f"expected a map of features (B, D, h, w) or tokens (B, N, D) of the backbone, found {found}"
    )


def _layout(tokens: int, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of tokens: square pieces of the image, as many as there can be."""
    for side in range(1, min(size) + 1):
        rows, columns = size[0] // side, size[1] // side
        if size[0] % side == size[1] % side == 0 and rows * columns <= tokens:
            if tokens - rows * columns > 16:
                break
            return rows, columns
    raise InputError(f"expected tokens of square pieces of {size[0]} x {size[1]} pixels, found {tokens}")


class BackboneNetwork(nn.Module):
    """A backbone on the SAR channels; everything else joins at the head.

    Parameters
    ----------
    backbone : nn.Module
        Takes (B, 2, H, W); see :func:`as_map` for what it may return.
    width : int
        Features it returns.
    channels : int
        2, and more that join the features: averaged down to their grid.
    classes : int
    frozen : bool
        The backbone learns nothing, and stays in evaluation mode also while the head trains.
    scaling : sequence of (float, float), optional
        Factor and addend by SAR channel, from stored values to what the backbone was trained on.
        Pixels without SAR (0 in both channels) are 0 again afterwards.
    multiple : int
        Sides of the images must be multiples of it.
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
        self.head = Head(width + channels - SAR_COUNT, classes)
        self.frozen = frozen
        self.multiple = multiple
        self.register_buffer("factor", torch.tensor([f for f, _ in scaling]).view(1, -1, 1, 1))
        self.register_buffer("addend", torch.tensor([a for _, a in scaling]).view(1, -1, 1, 1))
        if frozen:
            backbone.requires_grad_(False)
            backbone.eval()

    def train(self, mode: bool = True) -> BackboneNetwork:
        """Training mode for all but a frozen backbone."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def scaled(self, sar: torch.Tensor) -> torch.Tensor:
        """Stored SAR (B, 2, H, W) as the backbone wants it."""
        there = (sar != 0).any(dim=1, keepdim=True)
        return torch.where(there, sar * self.factor + self.addend, 0.0)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """The map of features of the backbone alone, (B, D, h, w)."""
        size = (int(images.shape[-2]), int(images.shape[-1]))
        if size[0] % self.multiple or size[1] % self.multiple:
            raise InputError(
                f"expected sides that are multiples of {self.multiple} for this model, found "
                f"{size[0]} x {size[1]}; cut patches of 224"
            )
        sar = self.scaled(images[:, :SAR_COUNT])
        if self.frozen:
            with torch.no_grad():
                return as_map(self.backbone(sar), size)
        return as_map(self.backbone(sar), size)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes, H, W) of images (B, channels, H, W)."""
        made = self.features(images)
        if images.shape[1] > SAR_COUNT:
            grid = (made.shape[-2], made.shape[-1])
            made = torch.cat([made, functional.adaptive_avg_pool2d(images[:, SAR_COUNT:], grid)], dim=1)
        logits = self.head(made)
        size = (images.shape[-2], images.shape[-1])
        return functional.interpolate(logits, size, mode="bilinear", align_corners=True)


def measured_width(backbone: nn.Module, size: int) -> int:
    """Number of features a backbone returns, by one image of zeros.

    Raises
    ------
    InputError
        If it does not take two channels or returns no features.
    """
    was_training = backbone.training
    backbone.eval()
    try:
        with torch.no_grad():
            made = backbone(torch.zeros(1, SAR_COUNT, size, size))
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"expected an encoder that takes (1, {SAR_COUNT}, {size}, {size}), found one that fails "
            f"({reason}); change the encoder"
        ) from error
    finally:
        backbone.train(was_training)
    return int(as_map(made, (size, size)).shape[1])


def load_weights(backbone: nn.Module, path: Any) -> None:
    """Load a local file of weights; every weight of the backbone must be in it.

    Raises
    ------
    InputError
        If it is no such file or lacks weights. A file may hold more than the backbone needs.
    """
    import pickle

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"no file of weights: {path}; fetch it or train with other weights") from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0][:100]
        raise InputError(f"expected a torch file of weights, found another: {path} ({reason})") from None
    for key in ("model", "state_dict"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    wanted = backbone.state_dict()
    given = found if isinstance(found, dict) else {}
    lacking = [
        key
        for key, value in wanted.items()
        if not isinstance(given.get(key), torch.Tensor) or given[key].shape != value.shape
    ]
    if lacking:
        raise InputError(
            f"expected all {len(wanted)} weights of the backbone in {path}, found {len(lacking)} "
            f"missing or of another shape (first {lacking[0]}); give the file of this model"
        )
    backbone.load_state_dict({key: given[key] for key in wanted})
