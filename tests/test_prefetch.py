"""Batches prepared ahead: the same for any number of threads, stopped and failing like a plain loop."""

import threading
from contextlib import contextmanager

import pytest
import torch

from seaice.runtime.networks.prefetch import iterate_ahead

CPU = torch.device("cpu")


def prepare(number):
    return [torch.full((2,), number), torch.tensor([number])]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_order(workers):
    numbers = [5, 3, 8, 1, 0, 7, 7]
    batches = list(iterate_ahead(prepare, numbers, device=CPU, workers=workers))
    assert [int(batch[1]) for batch in batches] == numbers
    assert all(torch.equal(batch[0], prepare(n)[0]) for batch, n in zip(batches, numbers, strict=True))


def test_threads_prepare_while_a_batch_is_used():
    ready = threading.Event()

    def note(number):
        if number == 1:
            ready.set()
        return prepare(number)

    batches = iterate_ahead(note, range(100), device=CPU, workers=1)
    next(batches)
    assert ready.wait(10)
    batches.close()


def test_a_stopped_iteration_prepares_no_more():
    numbers = []
    batches = iterate_ahead(lambda n: numbers.append(n) or prepare(n), range(100), device=CPU, workers=2)
    next(batches)
    batches.close()
    assert len(numbers) <= 5
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failure_comes_when_its_batch_is_due(workers):
    def fail(number):
        if number == 2:
            raise ValueError("no such day")
        return prepare(number)

    batches = iterate_ahead(fail, range(5), device=CPU, workers=workers)
    assert [int(next(batches)[1]) for _ in range(2)] == [0, 1]
    with pytest.raises(ValueError, match="no such day"):
        next(batches)


class Stream:
    """Stands for a stream of a GPU: notes what is asked of it."""

    def __init__(self, notes):
        self.notes, self.count = notes, 0

    def record_event(self):
        self.count += 1
        self.notes.append(f"copy {self.count}")
        return self.count

    def wait_event(self, event):
        self.notes.append(f"compute after copy {event}")


def test_a_gpu_copies_the_next_batch_before_it_computes_with_this_one(monkeypatch):
    notes = []
    side, computing = Stream(notes), Stream(notes)

    @contextmanager
    def use(stream):
        assert stream is side
        yield

    def pin(tensor):
        notes.append(f"pin {int(tensor[0])}")
        return tensor

    kept = []
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: side)
    monkeypatch.setattr(torch.cuda, "stream", use)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: computing)
    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: kept.append(stream))
    send = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device, non_blocking: send(tensor, CPU))
    batches = iterate_ahead(
        lambda n: [torch.tensor([n])], range(3), device=torch.device("cuda"), workers=0
    )
    values = []
    for (batch,) in batches:
        values.append(int(batch))
        notes.append(f"use {values[-1]}")
    assert values == [0, 1, 2] and kept == [computing] * 3
    assert notes == [
        "pin 0", "copy 1", "pin 1", "copy 2", "compute after copy 1", "use 0",
        "pin 2", "copy 3", "compute after copy 2", "use 1", "compute after copy 3", "use 2",
    ]  # fmt: skip
