"""Space to depth and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seaice import InputError
from seaice.training.space_depth import (
    fold_tensor,
    unfold_StackOverChannel,
)


@pytest.mark.slow
@given(
    leading=st.lists(st.integers(1, 3), min_size=2, max_size=3),
    patch=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    patches=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_space_to_depth_and_back(leading, patch, patches):
    height, width = patch[0] * patches[0], patch[1] * patches[1]
    img = torch.randn(*leading, height, width)
    deep = unfold_StackOverChannel(img, patch)
    assert deep.shape == (*leading[:-1], leading[-1] * patch[0] * patch[1], *patches)
    assert torch.equal(fold_tensor(deep, (height, width), patch), img)
    for c in range(leading[-1]):
        for i in range(patch[0]):
            for j in range(patch[1]):
                channel = deep[..., (c * patch[0] + i) * patch[1] + j, :, :]
                assert torch.equal(channel, img[..., c, i :: patch[0], j :: patch[1]])
    if patch[0] == patch[1]:
        assert torch.equal(deep, torch.nn.functional.pixel_unshuffle(img, patch[0]))


def test_sizes_of_numpy_and_torch_are_sizes():
    img = torch.randn(1, 1, 4, 6)
    deep = unfold_StackOverChannel(img, np.int64(2))
    assert torch.equal(deep, unfold_StackOverChannel(img, 2))
    assert torch.equal(fold_tensor(deep, img.shape[-2:], np.array([2, 2])), img)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: unfold_StackOverChannel(torch.zeros(1, 1, 5, 4), 2),
            "a patch of 2 x 2 does not divide a field of 5 x 4 cells",
        ),
        (lambda: unfold_StackOverChannel(torch.zeros(5, 4, 2), 1), "found shape (5, 4, 2)"),
        (
            lambda: unfold_StackOverChannel(torch.zeros(1, 1, 4, 4), (0, 2)),
            "expected patch_size as a whole number of at least 1 or a pair of them (rows, columns), "
            "found (0, 2)",
        ),
        (
            lambda: unfold_StackOverChannel(torch.zeros(1, 1, 4, 4), (2, 2, 2)),
            "expected patch_size as a whole number of at least 1",
        ),
        (lambda: unfold_StackOverChannel(torch.zeros(1, 1, 4, 4), 2.0), "(rows, columns), found 2.0"),
        (
            lambda: fold_tensor(torch.zeros(1, 4, 2, 2), "44", 2),
            "expected output_size as a whole number of at least 1",
        ),
        (
            lambda: fold_tensor(torch.zeros(1, 4, 2, 2), (4, 5), 2),
            "2 x 2 patches of 2 x 2 cells make 4 x 4 cells, not output_size 4 x 5",
        ),
        (
            lambda: fold_tensor(torch.zeros(1, 3, 2, 2), 4, 2),
            "3 channels are no multiple of the 4 cells of a 2 x 2 patch",
        ),
    ],
)
def test_errors_of_space_to_depth(call, message):
    with pytest.raises(InputError) as error:
        call()
    assert message in str(error.value)
