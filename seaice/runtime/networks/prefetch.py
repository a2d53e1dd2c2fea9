"""Batches that are prepared by threads and copied to a device before they are needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import torch

Tensors = tuple[torch.Tensor, ...]


def iterate_ahead(
    prepare: Callable[[int], Sequence[torch.Tensor]],
    numbers: Iterable[int],
    *,
    device: torch.device,
    workers: int,
) -> Generator[Tensors]:
    """Iterate over batches on a device, in order.

    Threads prepare batches while others are used. On a GPU the next batch is copied on a stream of
    its own while the network works on this one. The number of threads changes no value.

    Parameters
    ----------
    prepare : callable
        The tensors of the batch of a number, in the memory of the processor; called in any thread, so
        that it must depend on its number alone.
    numbers : iterable of int
    device : torch.device
    workers : int
        Threads; 0: each batch is prepared when it is asked for.

    Yields
    ------
    tuple of tensor

    Examples
    --------
    >>> prepare = lambda number: [torch.tensor(number)]
    >>> batches = iterate_ahead(prepare, [4, 2], device=torch.device("cpu"), workers=1)
    >>> [int(batch[0]) for batch in batches]
    [4, 2]
    """
    if device.type != "cuda":
        for batch in _prepare_ahead(prepare, numbers, workers):
            yield tuple(tensor.to(device) for tensor in batch)
        return
    copies = _SideStream(device)
    # Only pinned memory is copied while the processor goes on.
    pinned = lambda number: tuple(tensor.pin_memory() for tensor in prepare(number))  # noqa: E731
    batches = map(copies.send, _prepare_ahead(pinned, numbers, workers))
    this = next(batches, None)
    while this is not None:
        following = next(batches, None)
        yield copies.receive(*this)
        this = following


def _prepare_ahead(
    prepare: Callable[[int], Sequence[torch.Tensor]], numbers: Iterable[int], workers: int
) -> Iterator[Sequence[torch.Tensor]]:
    if not workers:
        yield from map(prepare, numbers)
        return
    rest = iter(numbers)
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        waiting: deque[Future[Sequence[torch.Tensor]]] = deque(
            pool.submit(prepare, number) for number in islice(rest, 2 * workers)
        )
        try:
            while waiting:
                batch = waiting.popleft().result()
                waiting.extend(pool.submit(prepare, number) for number in islice(rest, 1))
                yield batch
        finally:
            for future in waiting:
                future.cancel()


class _SideStream:
    """Copies to a GPU beside its computations."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._stream = device, torch.cuda.Stream(device)

    def send(self, batch: Sequence[torch.Tensor]) -> tuple[Tensors, Any]:
        """Begin the copy of a batch; returns it with the event of its end."""
        with torch.cuda.stream(self._stream):
            tensors = tuple(tensor.to(self._device, non_blocking=True) for tensor in batch)
            return tensors, self._stream.record_event()

    def receive(self, tensors: Tensors, copied: Any) -> Tensors:
        """Let computations that follow wait for the copy."""
        computing = torch.cuda.current_stream(self._device)
        computing.wait_event(copied)
        for tensor in tensors:
            # Else its memory would be used anew while computations still read it.
            tensor.record_stream(computing)
        return tensors
