"""The reference network: a linear stencil and a small UNet on cells of two by two, both zero first."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

# Cells of an axis that three levels on cells of two by two need a multiple of.
_MULTIPLE = 8
_STENCIL = 7


class Half(nn.Module):
    """Increments for every lead from the channels of an initial day.

    No layer normalises over space, so that a patch and a whole grid are treated alike. The last layers
    are zero at first: then every increment is zero.

    Parameters
    ----------
    channels, leads : int
    width : int
        Features of the first level; every level below has twice as many.
    """

    def __init__(self, *, channels: int, leads: int, width: int = 16) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width]
        self.stencil = nn.Conv2d(channels, leads, _STENCIL, padding=_STENCIL // 2, bias=False)
        self.down = nn.ModuleList(
            _make_block(before, after) for before, after in pairwise([4 * channels, *widths])
        )
        self.up = nn.ModuleList(
            _make_block(below + beside, beside) for beside, below in reversed(list(pairwise(widths)))
        )
        self.last = nn.Conv2d(width, 4 * leads, 1)
        for parameter in (self.stencil.weight, self.last.weight, self.last.bias):
            if parameter is not None:
                nn.init.zeros_(parameter)
        self.set_layout(torch.channels_last)

    def set_layout(self, layout: torch.memory_format) -> None:
        """Choose the order in memory: all features of a cell together (channels last), or by feature."""
        self._layout = layout
        self.to(memory_format=layout)  # type: ignore[call-overload]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Compute increments (B, leads, rows, columns) from inputs (B, channels, rows, columns)."""
        rows, columns = inputs.shape[-2:]
        inputs = inputs.contiguous(memory_format=self._layout)
        padded = functional.pad(inputs, (0, -columns % _MULTIPLE, 0, -rows % _MULTIPLE))
        features, levels = functional.pixel_unshuffle(padded, 2), []
        features = features.contiguous(memory_format=self._layout)
        for number, block in enumerate(self.down):
            features = block(functional.avg_pool2d(features, 2) if number else features)
            levels.append(features)
        for block, beside in zip(self.up, levels[-2::-1], strict=True):
            coarse = functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = block(torch.cat([coarse, beside], dim=1))
        fine = functional.pixel_shuffle(self.last(features), 2)[..., :rows, :columns]
        return self.stencil(inputs) + fine


def _make_block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1), nn.SiLU(inplace=True)]
    return nn.Sequential(*layers)
