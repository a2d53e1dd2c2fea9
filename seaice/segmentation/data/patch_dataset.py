"""Patches as a torch Dataset, and the order in which training takes them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from seaice import InputError
from seaice.segmentation.data.labels import IGNORED
from seaice.segmentation.data.patch_manifest import PatchRow
from seaice.sources.ai4arctic.tables import (
    AMSR2_CHANNELS,
    COARSE,
    SAR_COUNT,
    SIC_PERCENT,
)

Inputs = Literal["sar", "sar+amsr2"]
SubsetBy = Literal["scene", "patch"]


def channel_count(inputs: str) -> int:
    """Channels of the images.

    Raises
    ------
    InputError
        If there are no such inputs.
    """
    if inputs not in get_args(Inputs):
        raise InputError(f"expected inputs among {', '.join(get_args(Inputs))}, found {inputs!r}")
    return SAR_COUNT + (len(AMSR2_CHANNELS) if inputs == "sar+amsr2" else 0)


class PatchDataset(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Images and ice charts of patches.

    An item is ``(image, sic)``: float32 (2 or 16, size, size) as stored, and uint8 (size, size) of
    classes 0..10 with 255 where nothing is known, be it the chart or the SAR (0 in both channels).
    What is ice is for the label rule to say.

    Parameters
    ----------
    patch_dir : Path
    rows : sequence of PatchRow
        Lines of the manifest.
    inputs : {"sar", "sar+amsr2"}
    augment : bool
        Turn and mirror at random (8 positions): by seed, pass and item, whoever reads it.
    seed : int

    Examples
    --------
    ``dataset[3]`` is item 3; ``dataset[(2, 3)]`` is item 3 as augmented in pass 2.
    """

    def __init__(
        self,
        patch_dir: Path,
        rows: Sequence[PatchRow],
        *,
        inputs: str = "sar",
        augment: bool = False,
        seed: int = 42,
    ) -> None:
        if not rows:
            raise InputError(f"expected patches, found none chosen of {patch_dir}; cut more scenes")
        sizes = sorted({row.size for row in rows})
        if len(sizes) > 1:
            raise InputError(
                f"expected patches of one size, found {sizes} in {patch_dir}; cut them again"
            )
        self.patch_dir, self.rows = Path(patch_dir), tuple(rows)
        self.channels = channel_count(inputs)
        self.augment, self.seed, self.size = augment, seed, sizes[0]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int | tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        number, index = key if isinstance(key, tuple) else (0, key)
        row = self.rows[index]
        image, sic = read_patch(
            self.patch_dir / row.file, row.size, with_amsr2=self.channels > SAR_COUNT
        )
        if self.augment:
            turn = int(np.random.default_rng([self.seed, number, index]).integers(8))
            image, sic = turned(image, turn), turned(sic, turn)
        return torch.from_numpy(np.ascontiguousarray(image)), torch.from_numpy(np.ascontiguousarray(sic))


def turned(image: np.ndarray, turn: int) -> np.ndarray:
    """One of the eight positions of a square: 0 as it is, 1 to 3 turned, 4 to 7 mirrored too."""
    made = np.rot90(image, turn % 4, axes=(-2, -1))
    return made[..., ::-1] if turn >= 4 else made


def read_patch(path: Path, size: int, *, with_amsr2: bool) -> tuple[np.ndarray, np.ndarray]:
    """Image and classes of a patch file; see :class:`PatchDataset`.

    Raises
    ------
    InputError
        If it is missing or damaged, or something in it is not as it should be.
    """
    names = ["sar", "sic", *(["amsr2", "row", "column"] if with_amsr2 else [])]
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found = {name: file[name] for name in names}
    except FileNotFoundError:
        raise InputError(f"expected a patch of the manifest, found none: {path}; cut it again") from None
    except Exception as error:  # a flipped bit raises whatever zip files and NumPy's headers know
        reason = " ".join(str(error).split())
        raise InputError(f"a patch is damaged ({reason}): {path}; cut it again") from None
    image, sic = found["sar"], found["sic"]
    _check_arrays(found, size, path)
    if with_amsr2:
        corner = int(found["row"]), int(found["column"])
        image = np.concatenate([image, expanded(found["amsr2"], corner, size)])
    if not np.isfinite(image).all():
        raise InputError(f"expected numbers in a patch, found NaN or infinity: {path}; cut it again")
    if bool(((sic >= len(SIC_PERCENT)) & (sic != IGNORED)).any()):
        raise InputError(f"expected classes 0 to 10 or 255, found others: {path}; cut it again")
    no_sar = (found["sar"] == 0).all(axis=0)
    return image, np.where(no_sar, np.uint8(IGNORED), sic)


def _check_arrays(found: dict[str, np.ndarray], size: int, path: Path) -> None:
    """Refuse arrays of another type or shape; None stands for any length."""
    wanted: dict[str, tuple[tuple[int | None, ...], str]] = {
        "sar": ((SAR_COUNT, size, size), "float32"),
        "sic": ((size, size), "uint8"),
        "amsr2": ((len(AMSR2_CHANNELS), None, None), "float32"),
        "row": ((), "int64"),
        "column": ((), "int64"),
    }
    for name, array in found.items():
        shape, kind = wanted[name]
        fits = array.ndim == len(shape) and all(
            n == k or (k is None and n > 0) for n, k in zip(array.shape, shape, strict=True)
        )
        if not fits or array.dtype != kind:
            raise InputError(
                f"expected {name} of shape {shape} in {kind}, found {array.shape} in {array.dtype}: "
                f"{path}; cut it again"
            )


def expanded(coarse: np.ndarray, corner: tuple[int, int], size: int) -> np.ndarray:
    """The coarse value of every pixel of a patch.

    Parameters
    ----------
    coarse : ndarray, shape (channels, h, w)
        The cells of 25 x 25 pixels that the patch touches.
    corner : (int, int)
        Row and column of the upper left pixel in the scene.
    size : int

    Returns
    -------
    ndarray, shape (channels, size, size)
        A scene whose size is no multiple of 25 ends in a cut cell; what lies beyond the last cell
        takes its value.
    """
    index = [
        np.minimum((start + np.arange(size)) // COARSE - start // COARSE, cells - 1)
        for start, cells in zip(corner, coarse.shape[1:], strict=True)
    ]
    made: np.ndarray = coarse[:, index[0][:, None], index[1][None, :]]
    return made


def subset(
    rows: Sequence[PatchRow], fraction: float, *, by: SubsetBy = "scene", seed: int = 42
) -> list[PatchRow]:
    """Part of the training patches, for data efficiency; of one seed a smaller is in a larger.

    Parameters
    ----------
    rows : sequence of PatchRow
    fraction : float
        Above 0, up to 1.
    by : {"scene", "patch"}
        Whole scenes, or patches of every kind (water, mixed, ice) alike. At least one scene, or
        one patch of each kind.
    seed : int

    Returns
    -------
    list of PatchRow
        In their order.

    Raises
    ------
    InputError
        If the fraction is none.
    """
    if not 0 < fraction <= 1:
        raise InputError(f"expected a fraction above 0, up to 1, found {fraction}")
    if by not in get_args(SubsetBy):
        raise InputError(f"expected a subset by scene or patch, found {by!r}")
    groups: dict[str, set[str]] = {}
    for row in rows:
        key, name = ("", row.scene) if by == "scene" else (row.kind, row.file)
        groups.setdefault(key, set()).add(name)
    taken: set[str] = set()
    for key, names in groups.items():
        order = sorted(names, key=lambda name: hashlib.sha256(f"{seed} {key} {name}".encode()).digest())
        # The margin keeps 0.1 of 30 at 3.
        taken |= set(order[: max(1, math.ceil(fraction * len(order) - 1e-9))])
    return [row for row in rows if (row.scene if by == "scene" else row.file) in taken]


class Updates(Sampler[list[tuple[int, int]]]):
    """Batches of an endless training, by number: which items the k-th update takes.

    Every pass over the items has its own order, by the seed alone; what does not fill a batch at
    the end of a pass is left out, unless there is less than one batch in all.

    Parameters
    ----------
    count : int
        Items.
    batch_size : int
        Of all processes together.
    seed : int
    part : (int, int)
        Number of this process, and how many there are: every process takes its share of each
        batch.
    """

    def __init__(
        self, count: int, batch_size: int, *, seed: int, part: tuple[int, int] = (0, 1)
    ) -> None:
        self.count, self.batch_size, self.seed, self.part = count, batch_size, seed, part
        self.start, self.stop = 0, self.per_pass
        if min(count, batch_size) < part[1]:
            raise InputError(
                f"expected a patch for each of {part[1]} processes in a batch, found "
                f"{min(count, batch_size)}; use fewer processes or larger batches"
            )

    @property
    def per_pass(self) -> int:
        """Updates in one pass over the items."""
        return max(1, self.count // self.batch_size)

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        known, order = -1, np.empty(0, np.int64)
        for update in range(self.start, self.stop):
            number, place = divmod(update, self.per_pass)
            if number != known:
                known, order = number, np.random.default_rng([self.seed, number]).permutation(self.count)
            batch = order[place * self.batch_size : (place + 1) * self.batch_size]
            yield [(number, int(index)) for index in batch[self.part[0] :: self.part[1]]]
