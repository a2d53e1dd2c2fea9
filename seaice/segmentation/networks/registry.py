"""Networks by name: from stored SAR (and brightness temperatures) to logits of the same size.

Every network takes (B, C, H, W) float32 as the patches store it: HH and HV scaled, then the 14
AMSR2 channels where they are used. What scaling a pretrained model wants is done inside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seaice import InputError
from seaice.sources.ai4arctic.tables import SAR_COUNT

if TYPE_CHECKING:
    from torch import nn

# Names and, for families, what follows the colon.
NAMES = {
    "unet": "a UNet of 1.9 million parameters, trained from scratch",
    "terramind": "TerraMind v1 base on Sentinel-1, with a convolutional head (terratorch)",
    "timm:NAME": "any encoder of timm, with the same head",
    "smp:ARCHITECTURE:ENCODER": "any model of segmentation-models-pytorch",
    "MODULE:FUNCTION": "a function of your own that makes a torch encoder, with the same head",
}
# What the learning rates and modes of training depend on.
_WITH_BACKBONE = ("terramind", "timm", "own")


def family(name: str) -> str:
    """Which kind of network a name is: unet, terramind, timm, smp or own. Loads nothing.

    Raises
    ------
    InputError
        If it is none.

    Examples
    --------
    >>> family("timm:resnet18"), family("my_models:make_encoder")
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
    raise InputError(f"expected a model among {', '.join(NAMES)}, found {name!r}")


def has_backbone(name: str) -> bool:
    """Whether a network has a backbone that can be frozen."""
    return family(name) in _WITH_BACKBONE


def build(name: str, *, channels: int, classes: int, **options: Any) -> nn.Module:
    """Make a network.

    Parameters
    ----------
    name : str
        See :data:`NAMES`.
    channels : int
        2 for SAR alone, 16 with the brightness temperatures of AMSR2. What comes after the two
        SAR channels joins a pretrained network at its head.
    classes : int
        Channels of the output.
    **options
        ``base`` and ``depth`` of the UNet; ``pretrained`` (True, False or a local file) and
        ``frozen`` of a network with a backbone; others go to the library.

    Returns
    -------
    torch.nn.Module
        From (B, channels, H, W) float32 to logits (B, classes, H, W) float32.

    Raises
    ------
    InputError
        If there is no such network or option, or its library is not installed.
    """
    kind = family(name)
    if channels < SAR_COUNT or classes < 1:
        raise InputError(
            f"expected at least {SAR_COUNT} channels and 1 class, found {channels} and {classes}"
        )
    try:
        if kind == "unet":
            from seaice.segmentation.networks.unet import UNet

            return UNet(channels=channels, classes=classes, **options)
        if kind == "terramind":
            from seaice.segmentation.networks.terramind import terramind

            return terramind(channels=channels, classes=classes, **options)
        from seaice.segmentation.networks import encoders

        make = {"timm": encoders.from_timm, "smp": encoders.from_smp, "own": encoders.from_path}[kind]
        return make(name, channels=channels, classes=classes, **options)
    except TypeError as error:
        # Unknown to the library, or said by this function already.
        if "keyword argument" not in str(error):
            raise
        given = ", ".join(options)
        raise InputError(f"{name} does not take one of the options {given} ({error})") from None
