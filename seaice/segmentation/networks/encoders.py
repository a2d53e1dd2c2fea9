"""Encoders of other libraries, by name, and of the user, by import path, as networks with a head."""

from __future__ import annotations

import importlib
from importlib import metadata
from types import ModuleType
from typing import Any

import torch
from torch import nn

from seaice import InputError
from seaice.runtime.networks.own_function import import_function
from seaice.segmentation.networks.backbone import BackboneNetwork, load_weights, measure_width
from seaice.settings import install_command
from seaice.sources.ai4arctic.tables import SAR_COUNT

# Pixels along a side of the image by which the features of an encoder are counted.
_TRIAL_SIZE = 224


def _import_library(library: str, name: str) -> ModuleType:
    """Import the library of a network; InputError with the command that installs what is missing."""
    try:
        return importlib.import_module(library)
    except ImportError as error:
        package = library.replace("_", "-")
        raise InputError(f"{name} needs {package} ({error}): {install_command(library)}") from None
    except (RuntimeError, OSError) as error:
        # torchvision that was built for another PyTorch: «operator torchvision::nms does not exist».
        reason = " ".join(str(error).split())[:150]
        raise InputError(
            f"{name} needs a torchvision that was built for this PyTorch, {torch.__version__} "
            f"({reason}): {_describe_torchvision()}"
        ) from None


def _describe_torchvision() -> str:
    """Command that installs the torchvision of this build of PyTorch."""
    _, _, build = str(torch.__version__).partition("+")
    try:
        companion = f"torchvision=={metadata.version('torchvision').partition('+')[0]}"
    except metadata.PackageNotFoundError:
        companion = "torchvision"
    index = f" --index-url https://download.pytorch.org/whl/{build}" if build else ""
    return f"pip install --force-reinstall --no-deps {companion}{index}"


def build_timm(
    name: str,
    *,
    channels: int,
    classes: int,
    pretrained: bool | str = True,
    frozen: bool = False,
    level: int | None = None,
    **options: Any,
) -> BackboneNetwork:
    """Build an encoder of timm with a convolutional head.

    Parameters
    ----------
    name : str
        ``timm:NAME``, e.g. ``timm:resnet18``.
    channels, classes : int
    pretrained : bool or str
        True fetches weights from Hugging Face, a path reads a local file.
    frozen : bool
    level : int, optional
        Which of its maps to use, 0 the finest; by default the coarsest.
    **options
        Go to ``timm.create_model``.

    Raises
    ------
    InputError
        If timm is not installed or has no such encoder.
    """
    timm = _import_library("timm", name)
    levels = {} if level is None else {"out_indices": (level,)}
    try:
        backbone = timm.create_model(
            name.split(":")[1],
            pretrained=pretrained is True,
            features_only=True,
            in_chans=SAR_COUNT,
            **levels,
            **options,
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"timm could not make {name} ({str(error).splitlines()[0][:150]})") from error
    if isinstance(pretrained, str):
        load_weights(backbone, pretrained)
    width = int(backbone.feature_info.channels()[-1])
    encoder = _ChannelsFirst(backbone, width)
    return BackboneNetwork(encoder, width=width, channels=channels, classes=classes, frozen=frozen)


class _ChannelsFirst(nn.Module):
    """The last map of an encoder as (B, D, h, w); some encoders return (B, h, w, D)."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = width

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.encoder(images)[-1]
        is_last = features.ndim == 4 and features.shape[-1] == self.width
        if is_last and features.shape[1] != self.width:
            return features.permute(0, 3, 1, 2)
        return features


def build_smp(
    name: str,
    *,
    channels: int,
    classes: int,
    pretrained: bool | str = False,
    frozen: bool = False,
    **options: Any,
) -> nn.Module:
    """Build a model of segmentation-models-pytorch, with its own decoder and all channels as input.

    Parameters
    ----------
    name : str
        ``smp:ARCHITECTURE:ENCODER``, e.g. ``smp:unet:resnet18``.
    channels, classes : int
    pretrained : bool
        True takes the weights of ImageNet for the encoder.
    frozen : bool
        Must be False: these models cannot be frozen.
    **options
        Go to ``segmentation_models_pytorch.create_model``.

    Raises
    ------
    InputError
        If the library is not installed or has no such model, or a file of weights or a frozen
        encoder is asked for.
    """
    smp = _import_library("segmentation_models_pytorch", name)
    if frozen or isinstance(pretrained, str):
        raise InputError(f"expected mode scratch or finetune without --weights for {name}")
    _, architecture, encoder = name.split(":")
    try:
        network: nn.Module = smp.create_model(
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
    return network


def build_own(
    name: str,
    *,
    channels: int,
    classes: int,
    pretrained: bool | str = True,
    frozen: bool = False,
    trial_size: int = _TRIAL_SIZE,
    **options: Any,
) -> BackboneNetwork:
    """Build a network with an encoder that a function of the user makes, and a convolutional head.

    Parameters
    ----------
    name : str
        ``module:function``; the function is called with ``pretrained`` and the options and returns
        an nn.Module that takes (B, 2, H, W).
    channels, classes : int
    pretrained : bool or str
        Passed to the function if True or False; the weights of a path are loaded into the encoder.
    frozen : bool
    trial_size : int
        Pixels along a side of the image by which the features of the encoder are counted.
    **options
        Go to the function.

    Raises
    ------
    InputError
        If there is no such function, it is of Python or of an installed package, or it makes no
        encoder of two channels.
    """
    backbone = import_function(name)(pretrained=pretrained is True, **options)
    if not isinstance(backbone, nn.Module):
        raise InputError(f"expected {name} to return a torch module, found {type(backbone).__name__}")
    if isinstance(pretrained, str):
        load_weights(backbone, pretrained)
    width = measure_width(backbone, trial_size)
    return BackboneNetwork(backbone, width=width, channels=channels, classes=classes, frozen=frozen)
