"""Patches of one scene: which positions are allowed, which are drawn, and the files written of them."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.runtime.atomic_write import explain_full_disk
from seaice.runtime.digests import digest_parts
from seaice.segmentation.data.coarse_cells import find_coarse_bounds, find_coarse_window
from seaice.segmentation.data.inputs import INCIDENCE
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.optical import locate_optical, read_optical
from seaice.segmentation.data.patch_manifest import PatchSettings
from seaice.segmentation.data.patch_positions import (
    KINDS,
    PatchPositions,
    draw_positions,
    find_positions,
    make_scene_generator,
)
from seaice.segmentation.data.scene_journal import list_patch_files
from seaice.sources.ai4arctic.scene import (
    ERA5_FIELDS,
    NO_CLASS,
    Scene,
)


def write_patches(settings: PatchSettings, scene: Scene) -> dict[str, Any]:
    """Write the patches of a scene and remove those of an earlier run.

    Returns
    -------
    dict
        ``patches``: a row of the manifest for each, with size and digest of the file;
        ``places``: number of positions that could have been drawn, by kind.

    Raises
    ------
    InputError
        If the scene has no labels, cannot be read or is smaller than a patch.
    """
    sic = scene.read_sic()
    if sic is None:
        raise InputError(
            f"expected an ice chart, found neither SIC nor {scene.name}_reference.nc beside "
            f"{scene.path}; fetch the reference, or leave the scene out"
        )
    if min(scene.shape) < settings.size:
        raise InputError(
            f"expected a scene of at least {settings.size} x {settings.size} pixels, found "
            f"{scene.shape[0]} x {scene.shape[1]}: {scene.path}; give a smaller --size"
        )
    valid, distance = scene.find_valid(), None
    if not scene.is_of_image:
        distance = scene.read_distance()
        finite = np.isfinite(distance)
        if not finite.all():
            # A pixel of unknown distance gets no class, so that any number can stand for the distance.
            valid, distance = valid & finite, np.where(finite, distance, np.float32(0))
    sic = np.where(valid, sic, np.uint8(NO_CLASS))
    rng = make_scene_generator(settings.seed, scene.name)
    offset = (int(rng.integers(settings.size)), int(rng.integers(settings.size)))
    ice = sic >= LabelRule().first_ice_class
    positions = find_positions(valid, ice, size=settings.size, offset=offset)
    amsr2 = None if scene.is_of_image else scene.read_amsr2()
    positions = positions.select(_find_allowed(positions, amsr2, settings.max_invalid))
    drawn = draw_positions(positions, settings.draw, rng)
    for path in list_patch_files(settings.output_dir, scene.name):
        path.unlink()
    kind_counts = np.bincount(positions.kinds, minlength=len(KINDS))
    return {
        "patches": list(_write_files(settings, scene, drawn, sic, distance)),
        "places": dict(zip(KINDS, kind_counts.tolist(), strict=True)),
    }


def _find_allowed(positions: PatchPositions, amsr2: np.ndarray | None, max_invalid: float) -> np.ndarray:
    """Positions with enough valid pixels and no missing brightness temperature, bool (n,)."""
    allowed = positions.valid_pixels >= (1 - max_invalid) * positions.size**2 - 1e-6
    missing = None if amsr2 is None else ~np.isfinite(amsr2).all(axis=0)
    if missing is not None and missing.any():
        # Number of missing cells above and to the left of each corner of a cell (summed-area table).
        table = np.pad(missing.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        top, bottom = find_coarse_bounds(positions.rows, positions.size, missing.shape[0])
        left, right = find_coarse_bounds(positions.columns, positions.size, missing.shape[1])
        inside = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
        allowed &= inside == 0
    return allowed & (positions.valid_pixels > 0)


def _write_files(
    settings: PatchSettings,
    scene: Scene,
    positions: PatchPositions,
    sic: np.ndarray,
    distance: np.ndarray | None,
) -> Iterator[dict[str, Any]]:
    """Write a file for every position; yields the row of the manifest of each."""
    full, coarse = _read_full_arrays(scene, sic, distance), _read_coarse_arrays(scene)
    if settings.sentinel2 is not None:
        path = locate_optical(settings.sentinel2, scene.name)
        full["sentinel2"] = read_optical(path, scene.shape)
    kinds, ice_share, valid_share = positions.kinds, positions.ice_share, positions.valid_share
    corners = zip(positions.rows.tolist(), positions.columns.tolist(), strict=True)
    for number, (row, column) in enumerate(corners):
        window = slice(row, row + settings.size), slice(column, column + settings.size)
        content = io.BytesIO()
        arrays: dict[str, Any] = {key: array[..., *window] for key, array in full.items()}
        for key, array in coarse.items():
            arrays[key] = _cut_cells(array, (row, column), settings.size)
        arrays |= {"row": np.int64(row), "column": np.int64(column)}
        arrays |= {"scene": np.str_(scene.name), "service": np.str_(scene.service)}
        np.savez(content, **arrays)
        name = f"{scene.name}_patch{number:03d}.npz"
        yield {
            "file": name,
            "row": row,
            "column": column,
            "ice_share": round(float(ice_share[number]), 6),
            "valid_share": round(float(valid_share[number]), 6),
            "kind": KINDS[kinds[number]],
        } | _write_file(settings.output_dir / name, content.getbuffer())


def _read_full_arrays(
    scene: Scene, sic: np.ndarray, distance: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Arrays on the pixels of a scene; those that it may lack only where it has them."""
    arrays = {"sar": scene.read_sar(), "sic": sic}
    if distance is not None:
        arrays["distance"] = distance
    for name in ("SOD", "FLOE"):
        chart = scene.read_chart(name)
        if chart is not None:
            arrays[name.lower()] = np.where(sic == NO_CLASS, np.uint8(NO_CLASS), chart)
    if scene.has_variable(INCIDENCE):
        arrays["incidence"] = scene.read_incidence()
    return arrays


def _read_coarse_arrays(scene: Scene) -> dict[str, np.ndarray]:
    """Arrays on the cells of 2 km; of AMSR2 and of ERA5, where a scene has them."""
    arrays = {} if scene.is_of_image else {"amsr2": scene.read_amsr2()}
    if all(scene.has_variable(name) for name in ERA5_FIELDS):
        arrays["era5"] = scene.read_era5()
    return arrays


def _cut_cells(cells: np.ndarray, corner: tuple[int, int], size: int) -> np.ndarray:
    """Cells under a patch, of an array (channels, h, w)."""
    rows, columns = (
        find_coarse_window(start, size, count)
        for start, count in zip(corner, cells.shape[1:], strict=True)
    )
    return cells[:, rows, columns]


def _write_file(path: Path, content: memoryview) -> dict[str, Any]:
    """Write a file under a temporary name and rename it; returns its size and digest.

    It is not flushed to the disk: a later run compares the digest and writes a damaged file again.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise explain_full_disk(error, path.parent) from error
        raise
    return {"bytes": len(content), "sha256": digest_parts([content])}
