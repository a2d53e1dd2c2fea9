"""TerraMind v1 as a backbone for SAR, through terratorch.

References
----------
Jakubik et al. 2025, TerraMind: Large-Scale Generative Multimodality for Earth Observation,
arXiv:2504.11171. Weights: https://huggingface.co/ibm-esa-geospatial
"""

from __future__ import annotations

import warnings
from pathlib import Path

from torch import nn

from seaice import InputError
from seaice.segmentation.networks.backbone import BackboneNetwork, load_weights
from seaice.settings import install_command
from seaice.sources.ai4arctic.tables import (
    SAR_CHANNELS,
    SCALING,
)

WIDTHS = {"tiny": 192, "small": 384, "base": 768, "large": 1024}
# Mean and standard deviation in dB of VV and VH in the pretraining of version 1.
PRETRAINING = ((-12.599, 5.195), (-20.293, 5.890))
# Pixels along a side of the square pieces that become tokens.
PIECE = 16
_MODALITY = "untok_sen1grd@224"


def compute_sar_scaling() -> tuple[tuple[float, float], ...]:
    """Factor and addend by channel, from stored values to those of the pretraining.

    Stored values are converted to dB, then to the mean and deviation of the model. HH is used as VV
    and HV as VH: the pretraining had no HH or HV.

    Examples
    --------
    >>> [(round(f, 5), round(a, 5)) for f, a in compute_sar_scaling()]
    [(1.08946, -0.36752), (0.8059, -0.74842)]
    """
    return tuple(
        (SCALING[name][1] / deviation, (SCALING[name][0] - mean) / deviation)
        for name, (mean, deviation) in zip(SAR_CHANNELS, PRETRAINING, strict=True)
    )


def build_terramind(
    *,
    channels: int,
    classes: int,
    size: str = "base",
    pretrained: bool | str = True,
    frozen: bool = False,
) -> BackboneNetwork:
    """Build TerraMind with a convolutional head.

    Parameters
    ----------
    channels, classes : int
    size : {"tiny", "small", "base", "large"}
        The published figures are of base: 87.7 million parameters.
    pretrained : bool or str
        True fetches the weights from Hugging Face; a path reads a local file; False starts from
        random weights.
    frozen : bool
        Train the head only.

    Raises
    ------
    InputError
        If terratorch is not installed, there is no such size, or the weights cannot be fetched or
        read.
    """
    if size not in WIDTHS:
        raise InputError(f"expected a size of TerraMind among {', '.join(WIDTHS)}, found {size!r}")
    backbone = _build_backbone(size, pretrained is True)
    if isinstance(pretrained, str):
        load_weights(backbone, Path(pretrained))
    return BackboneNetwork(
        backbone,
        width=WIDTHS[size],
        channels=channels,
        classes=classes,
        frozen=frozen,
        scaling=compute_sar_scaling(),
        multiple=PIECE,
    )


def _build_backbone(size: str, pretrained: bool) -> nn.Module:
    try:
        # Warnings of the library and its many dependencies do not concern the user.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import terratorch  # noqa: F401  (its import fills the registry)
            from terratorch.registry import TERRATORCH_BACKBONE_REGISTRY
    except ImportError as error:
        raise InputError(
            f"TerraMind needs terratorch ({error}): {install_command('terratorch')} (Python 3.12)"
        ) from None
    name = f"terramind_v1_{size}"
    try:
        backbone: nn.Module = TERRATORCH_BACKBONE_REGISTRY.build(
            name, pretrained=pretrained, modalities=[_MODALITY]
        )
    except Exception as error:
        if not pretrained:
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:150]
        raise InputError(
            f"the weights of {name} could not be fetched ({reason}); go online, give a local file, "
            "or train from scratch"
        ) from error
    return backbone
