"""Training in several processes, one by GPU, as torchrun starts them.

``torchrun --nproc_per_node 4 segmentation.py train ...`` sets the variables that are read here.
Without them there is one process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seaice import InputError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this one is.

    Attributes
    ----------
    number, count : int
    device : torch.device
    """

    number: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """The first process writes."""
        return self.number == 0

    def total(self, values: np.ndarray) -> np.ndarray:
        """The sum over all processes of an array of int64 or float64."""
        if self.count == 1:
            return values
        import torch
        from torch import distributed

        # Some accelerators have no float64, but those do not train in several processes either.
        tensor = torch.from_numpy(np.ascontiguousarray(values)).to(self.device)
        distributed.all_reduce(tensor)
        return tensor.cpu().numpy()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Meet the other processes, if there are any.

    Parameters
    ----------
    device : str
        "auto": a GPU for each process where there is one, else the processor; or cpu, cuda, cuda:1,
        mps.

    Raises
    ------
    InputError
        If the device is not there, or the variables of torchrun are not whole.
    """
    count, number, local = _placed()
    chosen = chosen_device(device, local)
    if count == 1:
        yield Processes(0, 1, chosen)
        return
    import torch
    from torch import distributed

    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(number, count, chosen)
    finally:
        distributed.destroy_process_group()


def _placed() -> tuple[int, int, int]:
    """How many processes there are, the number of this one, and its number on this machine."""
    names = ("WORLD_SIZE", "RANK", "LOCAL_RANK")
    given = [os.environ.get(name, "") for name in names]
    if given[0] in ("", "1"):
        return 1, 0, 0
    lacking = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    lacking += [name for name, text in zip(names, given, strict=True) if not text.isdecimal()]
    if lacking:
        raise InputError(
            f"expected the variables that torchrun sets, found WORLD_SIZE {given[0]} without a good "
            f"{lacking[0]}; start it with torchrun, or unset WORLD_SIZE"
        )
    return int(given[0]), int(given[1]), int(given[2])


def expect_one_process(what: str) -> None:
    """Refuse what torchrun would do once in each process.

    Raises
    ------
    InputError
    """
    count = _placed()[0]
    if count > 1:
        raise InputError(
            f"expected one process for {what}, found {count}; start it without torchrun (train takes "
            "several)"
        )


def chosen_device(device: str, number: int = 0) -> torch.device:
    """The device of that name; "auto" and "cuda" take the GPU of that number.

    Raises
    ------
    InputError
        If it is not there.
    """
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device("cuda", number % there) if there else torch.device("cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise InputError(f"expected a device such as auto, cpu or cuda, found {device!r}") from None
    if chosen.type == "cuda":
        index = number if chosen.index is None else chosen.index
        if index >= there:
            raise InputError(f"expected a GPU for {device}, found {there}; use --device auto or cpu")
        return torch.device("cuda", index)
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("expected a GPU of Apple for mps, found none; use --device auto or cpu")
    if chosen.type not in ("cpu", "mps"):
        raise InputError(f"expected a device among auto, cpu, cuda and mps, found {device!r}")
    return chosen
