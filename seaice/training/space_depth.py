"""Space to depth and back: the cells of a patch become channels, without loss.

The functions need only ``shape``, ``reshape`` and ``permute``: they work on torch tensors of any
device, also inside autograd, and do not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaice import InputError
from seaice.training.windows import check_pair

if TYPE_CHECKING:
    from torch import Tensor


def unfold_StackOverChannel(img: Tensor, patch_size: int | tuple[int, int]) -> Tensor:
    """Turn the cells of every patch into channels; the patches cover the field without overlap.

    Parameters
    ----------
    img : tensor, shape (B, C, H, W) or (B, T, C, H, W)
    patch_size : int or (rows, columns)
        Size of a patch; it must divide H and W.

    Returns
    -------
    tensor, shape (B, C * rows * columns, H / rows, W / columns), with T after B if ``img`` has it
        Cell (i, j) of a patch of channel c is channel ``(c * rows + i) * columns + j``, as with
        :func:`torch.nn.functional.pixel_unshuffle`.

    Raises
    ------
    InputError
        If the tensor has neither 4 nor 5 dimensions or the patch does not divide it.

    Examples
    --------
    >>> import torch
    >>> field = torch.arange(8.0).reshape(1, 1, 2, 4)
    >>> unfold_StackOverChannel(field, 2)[0, :, 0, 0].tolist()
    [0.0, 1.0, 4.0, 5.0]
    """
    _check_dimensions(img)
    rows, columns = check_pair("patch_size", patch_size)
    *leading, channels, height, width = img.shape
    if height % rows or width % columns:
        raise InputError(
            f"a patch of {rows} x {columns} does not divide a field of {height} x {width} cells; "
            "crop or pad the field, or choose another patch_size"
        )
    split = img.reshape(*leading, channels, height // rows, rows, width // columns, columns)
    n = len(leading)
    ordered = split.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return ordered.reshape(*leading, channels * rows * columns, height // rows, width // columns)


def fold_tensor(
    tensor: Tensor, output_size: int | tuple[int, int], patch_size: int | tuple[int, int]
) -> Tensor:
    """Turn channels back into cells: the exact inverse of :func:`unfold_StackOverChannel`.

    Parameters
    ----------
    tensor : tensor, shape (B, C * rows * columns, H / rows, W / columns), or with T after B
    output_size : int or (H, W)
        Rows and columns of the field.
    patch_size : int or (rows, columns)
        The patch size that was used in :func:`unfold_StackOverChannel`.

    Returns
    -------
    tensor, shape (B, C, H, W) or (B, T, C, H, W)

    Raises
    ------
    InputError
        If tensor, output size and patch size do not fit together.
    """
    _check_dimensions(tensor)
    rows, columns = check_pair("patch_size", patch_size)
    height, width = check_pair("output_size", output_size)
    *leading, depth, patches_down, patches_across = tensor.shape
    if (patches_down * rows, patches_across * columns) != (height, width):
        raise InputError(
            f"{patches_down} x {patches_across} patches of {rows} x {columns} cells make "
            f"{patches_down * rows} x {patches_across * columns} cells, not output_size "
            f"{height} x {width}"
        )
    if depth % (rows * columns):
        raise InputError(
            f"{depth} channels are no multiple of the {rows * columns} cells of a "
            f"{rows} x {columns} patch; give the patch_size used for unfolding"
        )
    channels = depth // (rows * columns)
    split = tensor.reshape(*leading, channels, rows, columns, patches_down, patches_across)
    n = len(leading)
    ordered = split.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return ordered.reshape(*leading, channels, height, width)


def _check_dimensions(tensor: Tensor) -> None:
    if len(tensor.shape) not in (4, 5):
        raise InputError(
            "expected a tensor of 4 dimensions (B, C, H, W) or 5 (B, T, C, H, W), "
            f"found shape {tuple(tensor.shape)}"
        )
