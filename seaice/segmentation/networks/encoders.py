"""Encoders of other libraries, by name, and of your own, by import path."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seaice import InputError
from seaice.segmentation.networks.backbone import BackboneNetwork, load_weights, measured_width
from seaice.sources.ai4arctic.tables import SAR_COUNT

INSTALL = "pip install -r requirements-encoders.txt"
# An image of this size goes through once, to see how many features come out.
_TRIAL = 224


def from_timm(
    name: str,
    *,
    channels: int,
    classes: int,
    pretrained: bool | str = True,
    frozen: bool = False,
    level: int | None = None,
    **options: Any,
) -> BackboneNetwork:
    """Any encoder of timm under the head.

    Parameters
    ----------
    name : str
        ``timm:NAME``, e.g. ``timm:resnet18``.
    channels, classes : int
    pretrained : bool or str
        True fetches weights from Hugging Face, a path reads a local file.
    frozen : bool
    level : int, optional
        Which of its maps to use, 0 the finest; otherwise the coarsest.
    **options
        Go to ``timm.create_model``.

    Raises
    ------
    InputError
        If timm is not installed or has no such encoder.
    """
    try:
        import timm
    except ImportError as error:
        raise InputError(f"{name} needs timm ({error}): {INSTALL}") from None
    wanted = {} if level is None else {"out_indices": (level,)}
    try:
        backbone = timm.create_model(
            name.split(":")[1],
            pretrained=pretrained is True,
            features_only=True,
            in_chans=SAR_COUNT,
            **wanted,
            **options,
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"timm could not make {name} ({str(error).splitlines()[0][:150]})") from error
    if isinstance(pretrained, str):
        load_weights(backbone, pretrained)
    width = int(backbone.feature_info.channels()[-1])
    made = _ChannelsFirst(backbone, width)
    return BackboneNetwork(made, width=width, channels=channels, classes=classes, frozen=frozen)


class _ChannelsFirst(nn.Module):
    """The last map of an encoder; some encoders put the features last."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = width

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.encoder(images)[-1]
        if made.ndim == 4 and made.shape[1] != self.width and made.shape[-1] == self.width:
            return made.permute(0, 3, 1, 2)
        return made


def from_smp(
    name: str,
    *,
    channels: int,
    classes: int,
    pretrained: bool | str = False,
    frozen: bool = False,
    **options: Any,
) -> nn.Module:
    """Any model of segmentation-models-pytorch, with its own decoder and all channels as input.

    Parameters
    ----------
    name : str
        ``smp:ARCHITECTURE:ENCODER``, e.g. ``smp:unet:resnet18``.
    channels, classes : int
    pretrained : bool
        True takes the weights of ImageNet for the encoder.
    frozen : bool
        Not offered here.
    **options
        Go to ``segmentation_models_pytorch.create_model``.

    Raises
    ------
    InputError
        If the library is not installed or has no such model.
    """
    try:
        import segmentation_models_pytorch as smp
    except ImportError as error:
        raise InputError(f"{name} needs segmentation-models-pytorch ({error}): {INSTALL}") from None
    if frozen or isinstance(pretrained, str):
        raise InputError(f"expected mode scratch or finetune without --weights for {name}")
    _, architecture, encoder = name.split(":")
    try:
        made: nn.Module = smp.create_model(
            architecture,
            encoder_name=encoder,
            encoder_weights="imagenet" if pretrained else None,
            in_channels=channels,
            classes=classes,
            **options,
        )
    except (KeyError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0][:150]
        raise InputError(f"segmentation-models-pytorch could not make {name} ({reason})") from error
    return made


def from_path(
    name: str,
    *,
    channels: int,
    classes: int,
    pretrained: bool | str = True,
    frozen: bool = False,
    trial_size: int = _TRIAL,
    **options: Any,
) -> BackboneNetwork:
    """An encoder that a function of your own makes, under the head.

    Parameters
    ----------
    name : str
        ``module:function``; the function is called with ``pretrained`` and the options and returns
        an nn.Module on (B, 2, H, W).
    channels, classes : int
    pretrained : bool or str
        Handed to the function if True or False; a path is loaded into what it made.
    frozen : bool
    trial_size : int
        Side of the image by which its features are counted.
    **options
        Go to the function.

    Raises
    ------
    InputError
        If there is no such function, it is not your own, or makes no encoder of two channels.
    """
    module, function = name.split(":")
    try:
        if _is_installed(module):
            raise InputError(
                f"expected a module of your own for {name}, found one of Python or of an installed "
                "package; call it from a module of your own"
            )
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"expected an importable module:function, found {name} ({error}); name the folder of the "
            "module in PYTHONPATH"
        ) from None
    backbone = make(pretrained=pretrained is True, **options)
    if not isinstance(backbone, nn.Module):
        raise InputError(f"expected {name} to return a torch module, found {type(backbone).__name__}")
    if isinstance(pretrained, str):
        load_weights(backbone, pretrained)
    width = measured_width(backbone, trial_size)
    return BackboneNetwork(backbone, width=width, channels=channels, classes=classes, frozen=frozen)


def _is_installed(module: str) -> bool:
    """Whether a module is of Python itself or of a package in site-packages.

    Names of models stand in checkpoints too: one from elsewhere must not reach functions such as
    torch.hub.load, which fetch and run code.
    """
    if module.split(".")[0] in sys.stdlib_module_names:
        return True
    found = importlib.util.find_spec(module)
    places = [] if found is None else [found.origin, *(found.submodule_search_locations or [])]
    installed = {"site-packages", "dist-packages"}
    return any(place and installed & set(Path(place).parts) for place in places)
