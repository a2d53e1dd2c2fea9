"""The manifest of a folder of patches: ``patches.csv`` with a line for each patch, and ``patches.json``.

``patches.json`` says how the patches were made, and of which scenes.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np

import seaice
from seaice import InputError
from seaice.runtime.atomic_write import atomic
from seaice.runtime.json_files import parse_json, write_json
from seaice.segmentation.data.patch_positions import (
    MIXED,
    DrawSettings,
)
from seaice.sources.ai4arctic.scene import SceneName

# Version of the arrays in a patch; patches of another one are made again. 2: all three charts, the
# incidence angle and ERA5 besides.
LAYOUT = 2


@dataclass(frozen=True)
class PatchSettings:
    """How the patches of all scenes of a run are made, and where they are written.

    Attributes
    ----------
    output_dir : Path
    size : int
        Pixels along a side.
    seed : int
        Seed of the random positions.
    max_invalid : float
        Largest share of pixels without SAR or class.
    draw : DrawSettings
    sentinel2 : Path or None
        Folder of optical images on the pixels of the scenes.
    """

    output_dir: Path
    size: int
    seed: int
    max_invalid: float
    draw: DrawSettings
    sentinel2: Path | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """All that the patches of a scene depend on besides the scene."""
        return {
            "size": self.size,
            "per_scene": self.draw.count,
            "seed": self.seed,
            "max_invalid": self.max_invalid,
            "mixed_share": self.draw.mixed_share,
            "max_overlap": self.draw.max_overlap,
            "sampling": self.draw.sampling,
            "arrays": LAYOUT,
        } | ({} if self.sentinel2 is None else {"sentinel2": True})


class PatchRow(NamedTuple):
    """A line of ``patches.csv``.

    Attributes
    ----------
    file, scene, service : str
    row, column : int
        Upper left pixel in the scene.
    size : int
        Pixels along a side.
    ice_share : float
        Share of the valid pixels with class 2 or above.
    valid_share : float
        Share of pixels with SAR and class.
    kind : str
        "water", "mixed" or "ice".
    """

    file: str
    scene: str
    service: str
    row: int
    column: int
    size: int
    ice_share: float
    valid_share: float
    kind: str


COLUMNS = PatchRow._fields


def list_manifest_files(folder: Path) -> list[Path]:
    """Paths of ``patches.csv`` and ``patches.json`` in a folder of patches."""
    return [folder / "patches.csv", folder / "patches.json"]


def write_manifest(settings: PatchSettings, records: Sequence[dict[str, Any]]) -> list[Path]:
    """Write ``patches.csv`` and ``patches.json`` from the records of all scenes.

    The caller holds :func:`seaice.runtime.atomic_write.exclusive` for ``patches.csv``.
    """
    table, note = list_manifest_files(settings.output_dir)
    with atomic(table, locked=True) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for record in records:
            shared = {"scene": record["scene"], "service": record["service"], "size": settings.size}
            writer.writerows(row | shared for row in record["patches"])
    content = {
        "parameters": settings.parameters,
        "mixed": f"more than {MIXED[0]} and less than {MIXED[1]} of the valid pixels are ice",
        "ice": "class 2 and above (20 percent or more)",
        "versions": {"seaice": seaice.__version__, "numpy": np.__version__},
        "scenes": {record["scene"]: _describe_scene(record) for record in records},
    }
    write_json(note, content)
    return [table, note]


def _describe_scene(record: dict[str, Any]) -> dict[str, Any]:
    raw_name = SceneName.parse(record["original_id"])
    inputs = [record["input"], *([record["reference"]] if record["reference"] else [])]
    return {
        "service": record["service"],
        "original_id": record["original_id"],
        "noise": record.get("noise", "nersc"),
        "region": raw_name.region if raw_name else "",
        "places": record["places"],
        "patches": len(record["patches"]),
        "inputs": [{key: entry[key] for key in ("file", "size", "sha256")} for entry in inputs],
    }


def read_manifest(folder: Path) -> list[PatchRow]:
    """Read the lines of ``patches.csv``.

    Raises
    ------
    InputError
        If the file is missing or damaged, or lists no patch.
    """
    path = Path(folder) / "patches.csv"
    if not path.is_file():
        raise InputError(f"no manifest of patches: {path}; make it with segmentation.py patches")
    types = get_type_hints(PatchRow).values()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head, *lines = [line for line in csv.reader(file, strict=True) if line] or [[]]
        if tuple(head) != COLUMNS:
            raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
        rows = [
            PatchRow(*(convert(text) for convert, text in zip(types, line, strict=True)))
            for line in lines
        ]
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path} is damaged ({error}); make it again") from None
    if not rows:
        raise InputError(f"expected patches, found an empty manifest: {path}; make it again")
    return rows


def read_scene_notes(folder: Path) -> dict[str, dict[str, Any]]:
    """Read what ``patches.json`` says of every scene; empty if there is no such file.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    path = Path(folder) / "patches.json"
    try:
        notes = parse_json(path.read_text(encoding="utf-8"))["scenes"]
        return {str(scene): dict(note) for scene, note in notes.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}); make it again") from None


def describe_noise(folder: Path) -> str:
    """Describe what was done about thermal noise in the scenes of patches, such as ``nersc``.

    Raises
    ------
    InputError
        If ``patches.json`` is damaged.
    """
    notes = read_scene_notes(folder).values()
    return " and ".join(sorted({str(note.get("noise", "nersc")) for note in notes})) or "nersc"
