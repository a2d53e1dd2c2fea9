"""Networks by name: from stored SAR (and brightness temperatures) to logits of the same size.

Every network takes (B, C, H, W) float32 as the patches store it: HH and HV scaled, then the 14
AMSR2 channels where they are used. A pretrained model scales them inside, as its training did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seaice import InputError
from seaice.sources.ai4arctic.tables import SAR_COUNT

if TYPE_CHECKING:
    from torch import nn

# Names of models and what they are; words in capitals stand for names that follow a colon.
MODEL_NAMES = {
    "unet": "a UNet of 1.9 million parameters, trained from scratch",
    "terramind": "TerraMind v1 base on Sentinel-1, with a convolutional head (terratorch)",
    "timm:NAME": "any encoder of timm, with the same head",
    "smp:ARCHITECTURE:ENCODER": "any model of segmentation-models-pytorch",
    "MODULE:FUNCTION": "a function of your own that makes a torch encoder, with the same head",
}
# Families whose backbone can be frozen while the head is trained.
_WITH_BACKBONE = ("terramind", "timm", "own")


def find_family(name: str) -> str:
    """Family of a network by its name: unet, terramind, timm, smp or own. Loads no library.

    Raises
    ------
    InputError
        If the name is of no family.

    Examples
    --------
    >>> find_family("timm:resnet18"), find_family("my_models:make_encoder")
    ('timm', 'own')
    """
    parts = name.split(":")
    if name in ("unet", "terramind"):
        return name
    if parts[0] == "timm" and len(parts) == 2 and parts[1]:
        return "timm"
    if parts[0] == "smp" and len(parts) == 3 and all(parts):
        return "smp"
    is_path = len(parts) == 2 and all(p.isidentifier() for p in [*parts[0].split("."), parts[1]])
    if is_path and parts[0] not in ("timm", "smp", "unet", "terramind"):
        return "own"
    raise InputError(f"expected a model among {', '.join(MODEL_NAMES)}, found {name!r}")


def has_backbone(name: str) -> bool:
    """Whether a network has a backbone that can be frozen."""
    return find_family(name) in _WITH_BACKBONE


def build_network(name: str, *, channels: int, classes: int, **options: Any) -> nn.Module:
    """Build a network by its name.

    Parameters
    ----------
    name : str
        See :data:`MODEL_NAMES`.
    channels : int
        2 for SAR alone, 16 with the brightness temperatures of AMSR2. In a network with a backbone
        only the two channels of SAR pass through the backbone; the other channels are appended to
        its features, as further inputs of the head.
    classes : int
        Channels of the output.
    **options
        ``base`` and ``depth`` of the UNet; for a network with a backbone ``pretrained`` (True, False
        or a local file) and ``frozen`` (True: the weights of the backbone are not trained). All
        other options are passed to the library of the network, such as timm.

    Returns
    -------
    torch.nn.Module
        Network that computes logits (B, classes, H, W) from images (B, channels, H, W), both float32.

    Raises
    ------
    InputError
        If there is no such network or option, or its library is not installed.
    """
    family = find_family(name)
    least = SAR_COUNT if has_backbone(name) else 1
    if channels < least or classes < 1:
        raise InputError(
            f"expected at least {least} channels and 1 class for {name}, found {channels} and {classes}"
        )
    try:
        if family == "unet":
            from seaice.segmentation.networks.unet import UNet

            return UNet(channels=channels, classes=classes, **options)
        if family == "terramind":
            from seaice.segmentation.networks.terramind import build_terramind

            return build_terramind(channels=channels, classes=classes, **options)
        from seaice.segmentation.networks import encoders

        builders = {"timm": encoders.build_timm, "smp": encoders.build_smp, "own": encoders.build_own}
        return builders[family](name, channels=channels, classes=classes, **options)
    except TypeError as error:
        # An option that the library does not have, or that this function sets itself.
        if "keyword argument" not in str(error):
            raise
        raise InputError(
            f"{name} does not take one of the options {', '.join(options)} ({error})"
        ) from None
