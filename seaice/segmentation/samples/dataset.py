"""Patches and scenes as samples with names, in the manners of torchgeo, which is not needed for it.

A sample is a dictionary with ``image`` and ``mask``, so that samplers, transforms, trainers and models
made for such samples take them as they are; ``plot`` draws one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from seaice import InputError
from seaice.segmentation.data.inputs import list_channels
from seaice.segmentation.data.labels import IGNORED, LabelRule
from seaice.segmentation.data.patch_dataset import PatchDataset
from seaice.segmentation.data.patch_manifest import read_manifest
from seaice.segmentation.data.splits import load_split
from seaice.segmentation.heads.head import list_heads
from seaice.segmentation.heads.targets import make_label_tables
from seaice.segmentation.samples.scene_channels import read_channels, read_window
from seaice.sources.ai4arctic.scene import Scene, list_scenes, open_scene

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Sample = dict[str, Any]
Transform = Callable[[Sample], Sample]


class SampleDataset(Dataset[Sample]):
    """What both kinds of samples share: labels by task, transforms, pictures."""

    def __init__(
        self, task: str, inputs: str, rule: LabelRule | None, transforms: Transform | None
    ) -> None:
        self.task, self.inputs, self.transforms = task, inputs, transforms
        self.heads, self.channels = list_heads(task), list_channels(inputs)
        self._tables = make_label_tables(task, rule or LabelRule())

    def _make_sample(self, image: np.ndarray, charts: np.ndarray, **further: Any) -> Sample:
        labels = np.stack([table[chart] for table, chart in zip(self._tables, charts, strict=True)])
        mask = torch.from_numpy(labels.astype(np.int64))
        sample = {"image": torch.from_numpy(image), "mask": mask[0] if len(mask) == 1 else mask}
        sample |= further
        return sample if self.transforms is None else self.transforms(sample)

    def plot(self, sample: Sample, suptitle: str | None = None) -> Figure:
        """Draw channels, mask and, where the sample has one, prediction of a sample.

        Parameters
        ----------
        sample : dict
            ``prediction`` of the shape of ``mask`` is drawn beside it.
        suptitle : str, optional
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        panels = {name: np.asarray(sample["image"][k]) for k, name in enumerate(self.channels[:2])}
        for key in ("mask", "prediction"):
            if key in sample:
                layers = np.asarray(sample[key]).reshape(-1, *sample["mask"].shape[-2:])
                for head, layer in zip(self.heads, layers, strict=True):
                    panels[f"{head.name}, {key}"] = np.ma.masked_equal(layer, IGNORED)
        figure = Figure(figsize=(2.6 * len(panels), 3.0), layout="constrained")
        FigureCanvasAgg(figure)
        for ax, (name, values) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
        ):
            is_label = np.ma.isMaskedArray(values)
            largest = max((h.classes for h in self.heads if name.startswith(f"{h.name},")), default=1)
            limits = {"vmin": 0, "vmax": largest - 1} if is_label else {"vmin": -3, "vmax": 3}
            ax.imshow(values, cmap="viridis" if is_label else "gray", interpolation="nearest", **limits)
            ax.set_title(name, fontsize=8)
            ax.set_axis_off()
        if suptitle is not None:
            figure.suptitle(suptitle, fontsize=9)
        return figure


class PatchSamples(SampleDataset):
    """Patches of a part of the split as samples.

    Parameters
    ----------
    patch_dir : Path
    split : {"train", "validation", "test"}
    task : str
        Heads whose labels are the mask: one, or several joined by plus signs.
    inputs : str
        Channels of the image, see :func:`seaice.segmentation.data.inputs.list_channels`.
    rule : LabelRule, optional
        Which concentration is ice; by default 20 percent.
    transforms : callable, optional
        Function of a sample that returns a sample.

    Raises
    ------
    InputError
        If the folder holds no such patches, or a name is unknown.

    Examples
    --------
    ``samples[3]`` is a dictionary: ``image`` float32 (channels, size, size) as stored; ``mask`` int64
    (size, size), or (heads, size, size) of several heads, 255 where there is no class; ``scene``, and
    ``window``, the first line and sample of the patch in it and those after the last.
    """

    def __init__(
        self,
        patch_dir: Path,
        split: Literal["train", "validation", "test"] = "train",
        *,
        task: str = "classes",
        inputs: str = "sar",
        rule: LabelRule | None = None,
        transforms: Transform | None = None,
    ) -> None:
        super().__init__(task, inputs, rule, transforms)
        rows = load_split(Path(patch_dir)).select_rows(split, read_manifest(Path(patch_dir)))
        charts = [head.chart for head in self.heads]
        self._patches = PatchDataset(Path(patch_dir), rows, inputs=inputs, charts=charts)

    def __len__(self) -> int:
        return len(self._patches)

    def __getitem__(self, index: int) -> Sample:
        image, charts = self._patches[index]
        row = self._patches.rows[index]
        window = torch.tensor([row.row, row.column, row.row + row.size, row.column + row.size])
        return self._make_sample(image.numpy(), charts.numpy(), scene=row.scene, window=window)


class SceneSamples(SampleDataset):
    """Windows over whole scenes as samples, without patches cut beforehand.

    Parameters
    ----------
    scenes : Path or sequence of Path
        Scenes with charts, or a folder of them.
    size, stride : int
        Pixels along a side of a window, and between neighbouring windows.
    task, inputs, rule, transforms
        As in :class:`PatchSamples`.

    Attributes
    ----------
    bounds : Tensor of float64, shape (windows, 4)
        West, south, east and north of every window, degrees; east may be more than 180.

    Raises
    ------
    InputError
        If no scene is as large as a window.

    Examples
    --------
    ``samples[3]`` holds what a sample of patches does, and ``bounds`` of its window.
    """

    def __init__(
        self,
        scenes: Path | Sequence[Path],
        *,
        size: int = 224,
        stride: int = 224,
        task: str = "classes",
        inputs: str = "sar",
        rule: LabelRule | None = None,
        transforms: Transform | None = None,
    ) -> None:
        super().__init__(task, inputs, rule, transforms)
        self.paths = list_scenes(scenes) if isinstance(scenes, Path) else list(scenes)
        self.size = size
        self._open: tuple[int, Scene, list[np.ndarray], np.ndarray | None] | None = None
        self._windows, bounds = [], []
        for number, path in enumerate(self.paths):
            scene = open_scene(path)
            for row in range(0, scene.shape[0] - size + 1, stride):
                for column in range(0, scene.shape[1] - size + 1, stride):
                    self._windows.append((number, row, column))
                    bounds.append(find_bounds(scene, row, column, size))
        if not self._windows:
            raise InputError(
                f"expected scenes of at least {size} x {size} pixels, found none among "
                f"{len(self.paths)}; give a smaller size"
            )
        self.bounds = torch.tensor(bounds, dtype=torch.float64)

    def __len__(self) -> int:
        return len(self._windows)

    def __getstate__(self) -> dict[str, Any]:
        # A scene keeps its arrays, which other processes read themselves.
        return self.__dict__ | {"_open": None}

    def __getitem__(self, index: int) -> Sample:
        number, row, column = self._windows[index]
        if self._open is None or self._open[0] != number:
            opened = open_scene(self.paths[number])
            self._open = number, opened, *read_channels(opened, self.channels)
        _, scene, pixels, cells = self._open
        size = self.size
        image = read_window(pixels, cells, row, column, size)
        window = slice(row, row + size), slice(column, column + size)
        has_sar = (scene.read_sar()[:, *window] != 0).any(axis=0)
        charts = [self._read_chart(scene, head.chart)[window] for head in self.heads]
        return self._make_sample(
            image,
            np.where(has_sar, np.stack(charts), np.uint8(IGNORED)),
            scene=scene.name,
            window=torch.tensor([row, column, row + size, column + size]),
            bounds=self.bounds[index],
        )

    def _read_chart(self, scene: Scene, name: str) -> np.ndarray:
        chart = scene.read_chart(name)
        if chart is None:
            raise InputError(f"expected a chart {name}, found none: {scene.path}; leave the scene out")
        return chart


def find_bounds(scene: Scene, row: int, column: int, size: int) -> tuple[float, float, float, float]:
    """West, south, east and north of a window, degrees, from the pixels along its edge."""
    steps = np.linspace(0, size - 1, 9)
    rows, columns = row + steps[:, None], column + steps[None]
    latitude, longitude = scene.read_positions().interpolate(rows, columns)
    first = float(longitude[0, 0])
    # Relative to the first pixel, so that a window over the date line is not as wide as the Earth.
    east = (longitude - first + 180) % 360 - 180 + first
    return float(east.min()), float(latitude.min()), float(east.max()), float(latitude.max())
