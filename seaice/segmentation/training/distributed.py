"""Training in several processes, one for each GPU, as torchrun starts them.

``torchrun --nproc_per_node 4 segmentation.py train ...`` sets the environment variables that are read
here. Without them there is one process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seaice import InputError
from seaice.runtime.networks.device import choose_device

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a training, seen from one of them.

    Attributes
    ----------
    number : int
        Number of this process, from 0.
    count : int
        Number of all processes.
    device : torch.device
        Device on which this process trains.
    """

    number: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process is the first one, which writes all files."""
        return self.number == 0

    def sum_over_processes(self, values: np.ndarray) -> np.ndarray:
        """Sum an array of int64 or float64 over all processes."""
        if self.count == 1:
            return values
        import torch
        from torch import distributed

        # Some accelerators have no float64, but those do not train in several processes either.
        tensor = torch.from_numpy(np.ascontiguousarray(values)).to(self.device)
        distributed.all_reduce(tensor)
        return tensor.cpu().numpy()


@contextmanager
def join_processes(device: str) -> Iterator[ProcessGroup]:
    """Connect this process with the other processes of a training; with one process do nothing.

    Parameters
    ----------
    device : str
        See :func:`seaice.runtime.networks.device.choose_device`; each process of a machine takes
        a GPU of its own.

    Yields
    ------
    ProcessGroup

    Raises
    ------
    InputError
        If the device does not exist, or variables of torchrun are missing.
    """
    count, number, local_number = _read_torchrun_variables()
    chosen = choose_device(device, local_number)
    if count == 1:
        yield ProcessGroup(0, 1, chosen)
        return
    import torch
    from torch import distributed

    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield ProcessGroup(number, count, chosen)
    finally:
        distributed.destroy_process_group()


def _read_torchrun_variables() -> tuple[int, int, int]:
    """Number of all processes, number of this one, and its number on this machine."""
    names = ("WORLD_SIZE", "RANK", "LOCAL_RANK")
    values = [os.environ.get(name, "") for name in names]
    if values[0] in ("", "1"):
        return 1, 0, 0
    lacking = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    lacking += [name for name, text in zip(names, values, strict=True) if not text.isdecimal()]
    if lacking:
        raise InputError(
            f"expected the variables that torchrun sets, found WORLD_SIZE {values[0]} without a good "
            f"{lacking[0]}; start it with torchrun, or unset WORLD_SIZE"
        )
    return int(values[0]), int(values[1]), int(values[2])


def expect_one_process(stage: str) -> None:
    """Refuse to run a stage in several processes, where each would do the same work.

    Raises
    ------
    InputError
        If torchrun started several processes.
    """
    count = _read_torchrun_variables()[0]
    if count > 1:
        raise InputError(
            f"expected one process for {stage}, found {count}; start it without torchrun (train takes "
            "several)"
        )
