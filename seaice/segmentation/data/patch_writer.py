"""Patches of one scene: valid places, the draw, and the files."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.runtime.atomic_write import full_disk
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.patch_manifest import (
    PatchTask,
    patches_of,
)
from seaice.segmentation.data.patches import (
    KINDS,
    Candidates,
    candidates,
    choose,
    coarse_window,
    scene_random,
)
from seaice.sources.ai4arctic.scene import (
    COARSE,
    NO_CLASS,
    Scene,
)


def write_patches(task: PatchTask, scene: Scene) -> dict[str, Any]:
    """Write the patches of a scene; what was there of it before is removed.

    Returns
    -------
    dict
        ``patches``: a row of the manifest for each, with size and digest of the file;
        ``places``: number of places that could have been taken, by kind.

    Raises
    ------
    InputError
        If the scene has no labels, cannot be read or is smaller than a patch.
    """
    sic = scene.sic()
    if sic is None:
        raise InputError(
            f"expected an ice chart, found neither SIC nor {scene.name}_reference.nc beside "
            f"{scene.path}; fetch the reference, or leave the scene out"
        )
    if min(scene.shape) < task.size:
        raise InputError(
            f"expected a scene of at least {task.size} x {task.size} pixels, found {scene.shape[0]} x "
            f"{scene.shape[1]}: {scene.path}; give a smaller --size"
        )
    distance = scene.distance()
    known, finite = scene.valid(), np.isfinite(distance)
    if not finite.all():
        # Where the distance is not known the pixel is ignored, so that any number does.
        known, distance = known & finite, np.where(finite, distance, np.float32(0))
    sic = np.where(known, sic, np.uint8(NO_CLASS))
    rng = scene_random(task.seed, scene.name)
    offset = (int(rng.integers(task.size)), int(rng.integers(task.size)))
    places = candidates(known, sic >= LabelRule().first_class, size=task.size, offset=offset)
    places = places.where(_allowed(places, scene.amsr2(), task.max_invalid))
    taken = choose(places, task.choice, rng)
    for path in patches_of(task.output_dir, scene.name):
        path.unlink()
    fields = {"sic": sic, "distance": distance}
    kinds = np.bincount(places.kinds, minlength=len(KINDS))
    return {
        "patches": list(_write(task, scene, taken, fields)),
        "places": dict(zip(KINDS, kinds.tolist(), strict=True)),
    }


def _allowed(places: Candidates, amsr2: np.ndarray, max_invalid: float) -> np.ndarray:
    """Places with enough valid pixels and no missing brightness temperature, bool (n,)."""
    enough = places.valid >= (1 - max_invalid) * places.size**2 - 1e-6
    missing = ~np.isfinite(amsr2).all(axis=0)
    if missing.any():
        table = np.pad(missing.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        ends = []
        for starts, cells in zip((places.rows, places.columns), missing.shape, strict=True):
            first = np.minimum(starts // COARSE, cells - 1)
            ends += [first, np.minimum((starts + places.size - 1) // COARSE, cells - 1) + 1]
        top, bottom, left, right = ends
        inside = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
        enough &= inside == 0
    return enough & (places.valid > 0)


def _write(
    task: PatchTask, scene: Scene, taken: Candidates, fields: dict[str, np.ndarray]
) -> Iterator[dict[str, Any]]:
    sar, amsr2 = scene.sar(), scene.amsr2()
    kinds, ice, valid = taken.kinds, taken.ice_share, taken.valid_share
    for k, (row, column) in enumerate(zip(taken.rows.tolist(), taken.columns.tolist(), strict=True)):
        box = slice(row, row + task.size), slice(column, column + task.size)
        coarse = tuple(
            coarse_window(start, task.size, cells)
            for start, cells in zip((row, column), amsr2.shape[1:], strict=True)
        )
        content = io.BytesIO()
        np.savez(
            content,
            sar=sar[:, *box],
            sic=fields["sic"][box],
            distance=fields["distance"][box],
            amsr2=amsr2[:, *coarse],
            row=np.int64(row),
            column=np.int64(column),
            scene=np.str_(scene.name),
            service=np.str_(scene.service),
        )
        name = f"{scene.name}_patch{k:03d}.npz"
        yield {
            "file": name,
            "row": row,
            "column": column,
            "ice_share": round(float(ice[k]), 6),
            "valid_share": round(float(valid[k]), 6),
            "kind": KINDS[kinds[k]],
        } | _put(task.output_dir / name, content.getbuffer())


def _put(path: Path, content: memoryview) -> dict[str, Any]:
    """Write a file under its name at once. Not flushed: a later run compares the digest."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise full_disk(error, path.parent) from error
        raise
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
