"""The device on which a network runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from seaice import InputError

if TYPE_CHECKING:
    import torch


# Of the numbers in a network; see :mod:`seaice.runtime.networks.precision`.
Precision = Literal["auto", "fp32", "bf16", "fp16"]


def choose_device(name: str, number: int = 0) -> torch.device:
    """Device of a name, checked to exist.

    Parameters
    ----------
    name : str
        "auto": a GPU where there is one, else the processor; or cpu, cuda, cuda:1, mps.
    number : int
        Number of the GPU that "auto" and "cuda" choose.

    Raises
    ------
    InputError
        If the device does not exist.
    """
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda", number % gpus) if gpus else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"expected a device such as auto, cpu or cuda, found {name!r}") from None
    if device.type == "cuda":
        index = number if device.index is None else device.index
        if index >= gpus:
            raise InputError(f"expected a GPU for {name}, found {gpus}; use --device auto or cpu")
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("expected a GPU of Apple for mps, found none; use --device auto or cpu")
    if device.type not in ("cpu", "mps"):
        raise InputError(f"expected a device among auto, cpu, cuda and mps, found {name!r}")
    return device
