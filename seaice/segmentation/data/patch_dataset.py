"""Patches as a torch Dataset, the order in which training takes them, and parts of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from seaice import InputError
from seaice.runtime.digests import sort_by_digest
from seaice.segmentation.data.coarse_cells import expand_coarse
from seaice.segmentation.data.inputs import (
    CELL_CHANNELS,
    DISTANCE,
    INCIDENCE,
    OPTICAL,
    list_channels,
)
from seaice.segmentation.data.labels import IGNORED
from seaice.segmentation.data.patch_manifest import PatchRow
from seaice.segmentation.data.splits import SplitMode
from seaice.sources.ai4arctic.tables import (
    AMSR2_CHANNELS,
    CLASS_COUNTS,
    ERA5_FIELDS,
    SAR_CHANNELS,
    SAR_COUNT,
)


class PatchDataset(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Images and ice charts of patches.

    An item is ``(image, charts)``: float32 (channels, size, size) as stored, and uint8 (charts, size,
    size) of classes, with 255 where the chart or the SAR (0 in both channels) is missing. Which classes
    are ice depends on the label rule and is not decided here.

    Parameters
    ----------
    patch_dir : Path
    rows : sequence of PatchRow
        Lines of the manifest.
    inputs : str
        Channels of the images, see :func:`seaice.segmentation.data.inputs.list_channels`.
    charts : sequence of {"SIC", "SOD", "FLOE"}
    augment : bool
        Turn and mirror at random (8 orientations); the orientation depends on seed, pass and item
        alone, not on the process that reads the item.
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
        charts: Sequence[str] = ("SIC",),
        augment: bool = False,
        seed: int = 42,
    ) -> None:
        if not rows:
            raise InputError(f"expected patches, found none selected from {patch_dir}; cut more scenes")
        sizes = sorted({row.size for row in rows})
        if len(sizes) > 1:
            raise InputError(
                f"expected patches of one size, found {sizes} in {patch_dir}; cut them again"
            )
        self.patch_dir, self.rows = Path(patch_dir), tuple(rows)
        self.inputs, self.charts = inputs, tuple(charts)
        self.channels = len(list_channels(inputs))
        self.augment, self.seed, self.size = augment, seed, sizes[0]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int | tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        pass_number, index = key if isinstance(key, tuple) else (0, key)
        row = self.rows[index]
        image, charts = read_patch(
            self.patch_dir / row.file, row.size, inputs=self.inputs, charts=self.charts
        )
        if self.augment:
            turn = int(np.random.default_rng([self.seed, pass_number, index]).integers(8))
            image, charts = turn_image(image, turn), turn_image(charts, turn)
        pair = np.ascontiguousarray(image), np.ascontiguousarray(charts)
        return torch.from_numpy(pair[0]), torch.from_numpy(pair[1])


def turn_image(image: np.ndarray, turn: int) -> np.ndarray:
    """Turn an image into one of eight orientations: 0 unchanged, 1 to 3 turned, 4 to 7 also mirrored."""
    rotated = np.rot90(image, turn % 4, axes=(-2, -1))
    return rotated[..., ::-1] if turn >= 4 else rotated


def read_patch(
    path: Path, size: int, *, inputs: str = "sar", charts: Sequence[str] = ("SIC",)
) -> tuple[np.ndarray, np.ndarray]:
    """Read image and classes of a patch file; see :class:`PatchDataset`.

    Missing values of ERA5, incidence angle and distance become 0, the mean of the channel.

    Raises
    ------
    InputError
        If the file is missing or damaged, lacks an array that is asked for, or an array has another
        type, shape or range.
    """
    channels = list_channels(inputs)
    arrays = _read_arrays(path, _list_arrays(channels, charts))
    _check_arrays(arrays, size, path)
    image = _stack_channels(arrays, channels, size)
    if not np.isfinite(image).all():
        raise InputError(f"expected numbers in a patch, found NaN or infinity: {path}; cut it again")
    classes = np.stack([arrays[name.lower()] for name in charts])
    for name, chart in zip(charts, classes, strict=True):
        if bool(((chart >= CLASS_COUNTS[name]) & (chart != IGNORED)).any()):
            raise InputError(
                f"expected classes 0 to {CLASS_COUNTS[name] - 1} or 255, found others in {name}: "
                f"{path}; cut it again"
            )
    no_sar = (arrays["sar"] == 0).all(axis=0)
    return image, np.where(no_sar, np.uint8(IGNORED), classes)


# Arrays of a patch that hold one channel, and those that hold several on the grid of 2 km.
_PIXEL_ARRAYS = {INCIDENCE: "incidence", DISTANCE: "distance"}
_CELL_ARRAYS = {"amsr2": AMSR2_CHANNELS, "era5": ERA5_FIELDS}


def _list_arrays(channels: Sequence[str], charts: Sequence[str]) -> list[str]:
    """Names of the arrays in a patch that hold these channels and charts."""
    names = ["sar", *(chart.lower() for chart in charts)]
    names += [array for channel, array in _PIXEL_ARRAYS.items() if channel in channels]
    names += ["sentinel2"] if set(OPTICAL) & set(channels) else []
    names += [array for array, held in _CELL_ARRAYS.items() if set(held) & set(channels)]
    return [*names, *(["row", "column"] if set(channels) & set(CELL_CHANNELS) else [])]


def _read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            held = set(file.files)
            arrays = {name: file[name] for name in names if name in held}
    except FileNotFoundError:
        raise InputError(f"expected a patch of the manifest, found none: {path}; cut it again") from None
    except Exception as error:  # a flipped bit raises any error of zip files and NumPy's headers
        reason = " ".join(str(error).split())
        raise InputError(f"a patch is damaged ({reason}): {path}; cut it again") from None
    lacking = [name for name in names if name not in held]
    if lacking:
        raise InputError(
            f"expected {lacking[0]} in a patch, found {', '.join(sorted(held)) or 'nothing'}: {path}; "
            "cut the scenes again, or leave this input or chart out"
        )
    return arrays


def _stack_channels(arrays: Mapping[str, np.ndarray], channels: Sequence[str], size: int) -> np.ndarray:
    """Channels of a patch in their order, (channels, size, size) float32."""
    layers = [arrays["sar"][[name in channels for name in SAR_CHANNELS]]]
    for name, array in _PIXEL_ARRAYS.items():
        if name in channels:
            layers.append(np.nan_to_num(arrays[array], nan=0.0)[None])
    if "sentinel2" in arrays:
        layers.append(arrays["sentinel2"][[name in channels for name in OPTICAL]])
    for array, names in _CELL_ARRAYS.items():
        chosen = [name in channels for name in names]
        if any(chosen):
            corner = int(arrays["row"]), int(arrays["column"])
            cells = expand_coarse(arrays[array][chosen], corner, size)
            layers.append(np.nan_to_num(cells, nan=0.0) if array == "era5" else cells)
    return np.concatenate(layers)


def _check_arrays(arrays: dict[str, np.ndarray], size: int, path: Path) -> None:
    """Refuse arrays of another type or shape; None stands for any length."""
    square = (size, size)
    expected: dict[str, tuple[tuple[int | None, ...], str]] = {
        "sar": ((SAR_COUNT, *square), "float32"),
        **{name.lower(): (square, "uint8") for name in CLASS_COUNTS},
        **dict.fromkeys(_PIXEL_ARRAYS.values(), (square, "float32")),
        "sentinel2": ((len(OPTICAL), *square), "float32"),
        **{name: ((len(held), None, None), "float32") for name, held in _CELL_ARRAYS.items()},
        "row": ((), "int64"),
        "column": ((), "int64"),
    }
    for name, array in arrays.items():
        shape, dtype = expected[name]
        fits = array.ndim == len(shape) and all(
            n == k or (k is None and n > 0) for n, k in zip(array.shape, shape, strict=True)
        )
        if not fits or array.dtype != dtype:
            raise InputError(
                f"expected {name} of shape {shape} in {dtype}, found {array.shape} in {array.dtype}: "
                f"{path}; cut it again"
            )


def select_subset(
    rows: Sequence[PatchRow], fraction: float, *, by: SplitMode = "scene", seed: int = 42
) -> list[PatchRow]:
    """Select a part of the training patches, for studies of data efficiency.

    With one seed a smaller part is contained in a larger one.

    Parameters
    ----------
    rows : sequence of PatchRow
    fraction : float
        Above 0, up to 1.
    by : {"scene", "patch"}
        Whole scenes, at least one; or the same fraction of the patches of each kind (water, mixed,
        ice), at least one of each.
    seed : int

    Returns
    -------
    list of PatchRow
        Selected patches, in the order of ``rows``.

    Raises
    ------
    InputError
        If the fraction is out of range, or ``by`` is neither of the two.
    """
    if not 0 < fraction <= 1:
        raise InputError(f"expected a fraction above 0, up to 1, found {fraction}")
    if by not in get_args(SplitMode):
        raise InputError(f"expected a subset by scene or patch, found {by!r}")
    groups: dict[str, set[str]] = {}
    for row in rows:
        key, name = ("", row.scene) if by == "scene" else (row.kind, row.file)
        groups.setdefault(key, set()).add(name)
    selected: set[str] = set()
    for key, names in groups.items():
        order = sort_by_digest(names, f"{seed} {key}")
        # The margin keeps 0.1 of 30 at 3 in spite of rounding.
        selected |= set(order[: max(1, math.ceil(fraction * len(order) - 1e-9))])
    return [row for row in rows if (row.scene if by == "scene" else row.file) in selected]


class UpdateSampler(Sampler[list[tuple[int, int]]]):
    """Sampler of training batches: the items of update k depend on k and the seed alone.

    Every pass over the items has an order of its own. Items that do not fill a batch at the end of a
    pass are left out, unless there is less than one batch in all. Iteration goes over the updates from
    ``start`` to before ``stop``; a batch is a list of (pass, item).

    Parameters
    ----------
    count : int
        Number of items.
    batch_size : int
        Items in a batch of all processes together.
    seed : int
    part : (int, int)
        Number of this process, and the number of all processes: every process takes its share of each
        batch.

    Raises
    ------
    InputError
        If a batch has fewer items than there are processes.
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
        """Number of updates in one pass over the items."""
        return max(1, self.count // self.batch_size)

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        current_pass, order = -1, np.empty(0, np.int64)
        for update in range(self.start, self.stop):
            pass_number, batch_number = divmod(update, self.per_pass)
            if pass_number != current_pass:
                current_pass = pass_number
                order = np.random.default_rng([self.seed, pass_number]).permutation(self.count)
            batch = order[batch_number * self.batch_size : (batch_number + 1) * self.batch_size]
            yield [(pass_number, int(index)) for index in batch[self.part[0] :: self.part[1]]]


def iterate_batches(loader: DataLoader) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of a loader; an error in a worker process gives the same one-line message as without."""
    try:
        yield from loader
    except InputError as error:
        # A worker hands on its traceback as text; the message is the last line.
        last = str(error).strip().splitlines()[-1]
        raise InputError(last.removeprefix("seaice.InputError: ")) from None
