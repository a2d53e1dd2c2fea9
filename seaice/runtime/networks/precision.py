"""The precision in which the operations of a network run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from seaice import InputError
from seaice.report import listing

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_precision(
    precision: str,
    device: torch.device,
    *,
    allowed: Sequence[str] = ("fp32", "bf16", "fp16"),
    on_processor: Sequence[str] = ("fp32",),
) -> str:
    """Choose the precision on a device; "auto" is bf16 or fp16 on a GPU, fp32 elsewhere.

    Parameters
    ----------
    precision : str
    device : torch.device
    allowed : sequence of str
        What the stage can do, besides "auto".
    on_processor : sequence of str
        What needs no GPU.

    Raises
    ------
    InputError
        If there is no such precision, or it needs a GPU.
    """
    if precision not in ("auto", *allowed):
        raise InputError(f"expected precision {listing(['auto', *allowed])}, found {precision!r}")
    if device.type != "cuda":
        if precision not in ("auto", *on_processor):
            raise InputError(
                f"expected a GPU for {precision}, found {device.type}; use --precision fp32"
            )
        return "fp32" if precision == "auto" else precision
    if precision != "auto":
        return precision
    best = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return best if best in allowed else "fp32"


def choose_memory_format(precision: str, *, channels_last: bool = False) -> torch.memory_format:
    """Order of a batch of images in memory: channels last where asked for, and in mixed precision.

    Convolutions in mixed precision are made for it. In fp32 it is faster too, but the last digits differ
    from those of the usual order.
    """
    is_last = channels_last or precision in _DTYPES
    return torch.channels_last if is_last else torch.contiguous_format


def set_precision(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Context in which operations on a device run in a precision."""
    if precision not in _DTYPES:
        return nullcontext()
    return torch.autocast(device.type, dtype=_DTYPES[precision])
