"""The UNet of the published scores of water and ice."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from seaice import InputError


class ConvBlock(nn.Sequential):
    """Twice: convolution of 3 x 3 without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        layers: list[nn.Module] = []
        for width in (inputs, outputs):
            layers += [
                nn.Conv2d(width, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class UNet(nn.Module):
    """Encoder and decoder, connected at every resolution.

    With 2 channels, 2 classes, base 16 and depth 4 it has 1,942,450 parameters.

    Parameters
    ----------
    channels : int
    classes : int
    base : int
        Width of the first block; every level down doubles it.
    depth : int
        Number of times the image is halved.

    Raises
    ------
    InputError
        If ``base`` or ``depth`` is no whole number of at least 1.
    """

    def __init__(self, *, channels: int, classes: int, base: int = 16, depth: int = 4) -> None:
        super().__init__()
        if type(base) is not int or type(depth) is not int or base < 1 or depth < 1:
            raise InputError(
                f"expected base and depth as whole numbers of at least 1, found {base!r} and {depth!r}"
            )
        widths = [base * 2**level for level in range(depth + 1)]
        self.depth = depth
        self.down = nn.ModuleList(
            ConvBlock(inputs, outputs)
            for inputs, outputs in zip([channels, *widths[:-2]], widths[:-1], strict=True)
        )
        self.bottleneck = ConvBlock(widths[-2], widths[-1])
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(wide, thin, 2, stride=2) for wide, thin in pairs)
        self.up = nn.ModuleList(ConvBlock(2 * thin, thin) for _, thin in pairs)
        self.head = nn.Conv2d(base, classes, 1)

    def extract_features(self, images: torch.Tensor) -> torch.Tensor:
        """Features of the deepest block, (B, base * 2^depth, H / 2^depth, W / 2^depth)."""
        return self._encode(images)[1]

    def _encode(self, images: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        if min(images.shape[-2:]) < 2**self.depth:
            raise InputError(
                f"expected images of at least {2**self.depth} pixels for depth {self.depth}, found "
                f"{tuple(images.shape[-2:])}; take larger patches or tiles"
            )
        by_level = []
        for block in self.down:
            images = block(images)
            by_level.append(images)
            images = functional.max_pool2d(images, 2)
        return by_level, self.bottleneck(images)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes, H, W) of images (B, channels, H, W) with sides of at least 2^depth."""
        by_level, features = self._encode(images)
        for grow, block, encoded in zip(self.grow, self.up, reversed(by_level), strict=True):
            features = grow(features)
            # An odd size was rounded down when it was halved; zeros fill the last row or column.
            down, right = (encoded.shape[k] - features.shape[k] for k in (-2, -1))
            padded = functional.pad(features, (0, right, 0, down))
            features = block(torch.cat([encoded, padded], dim=1))
        logits: torch.Tensor = self.head(features)
        return logits
