"""Ice maps of whole scenes by a trained model, and their share of ice on a map grid."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seaice import InputError, products
from seaice.atomic import exclusive
from seaice.grids import Grid, get_grid
from seaice.partial_file import file_sha256
from seaice.report import Progress, Report
from seaice.segmentation.ice_share import compare_with_cube, grid_of_cube, write_share
from seaice.segmentation.labels import ICE, WATER, LabelRule
from seaice.segmentation.scene_map import (
    LAND,
    MISSING,
    SceneMap,
    land_of,
    standing,
    write_rasters,
    write_scene,
)
from seaice.segmentation.scene_plane import expect_image
from seaice.segmentation.tiles import Predict, blend
from seaice.sources.ai4arctic import Scene, SceneName, list_scenes, open_scene
from seaice.sources.ai4arctic_tables import PIXEL_METRES

if TYPE_CHECKING:
    from seaice.segmentation.checkpoint import TrainedModel

logger = logging.getLogger(__name__)

# Layers of the map by what the network was trained for.
LAYERS: Mapping[str, tuple[str, ...]] = {
    "classes": ("ice_probability",),
    "sic": ("ice_probability", "ice_concentration"),
    "sic-regression": ("ice_concentration",),
}
_TILE = 224
_REFERENCES = (
    "Buus-Hinkler, J. et al. (2022), AI4Arctic Sea Ice Challenge Dataset, doi:10.11583/DTU.c.6244065"
)


@dataclass(frozen=True)
class Mapper:
    """A model, and how it goes over scenes."""

    model: TrainedModel
    tile: int
    overlap: int
    batch_size: int
    grid: Grid | None
    geotiff: bool
    cube_file: Path | None
    output_dir: Path
    force: bool
    checkpoint: dict[str, str]


class Names(NamedTuple):
    """Files of one scene."""

    scene: Path
    share: Path
    rasters: dict[str, Path]


def predict(
    *,
    checkpoint: Path,
    scene: Path,
    output_dir: Path,
    tile: int | None = None,
    overlap: int | None = None,
    batch_size: int = 8,
    ice_share_grid: str | None = None,
    geotiff: bool = True,
    cube_file: Path | None = None,
    device: str = "auto",
    force: bool = False,
) -> Report:
    """Map water and ice in whole scenes, by overlapping tiles that fade into each other.

    For each scene: ``SCENE_ice.nc`` on its own lines and samples, ``SCENE_ice_share.nc`` with the
    share of ice by cell of a map grid, and GeoTIFFs of 80 m in a polar stereographic plane. What is
    there and was made of the same scene by the same model is left alone.

    Parameters
    ----------
    checkpoint : Path
        ``best.pt`` of a training.
    scene : Path
        ``*_prep.nc``, or a folder of scenes.
    output_dir : Path
        Made where it does not exist.
    tile : int, optional
        Pixels along a side; by default those of the patches the model was trained on.
    overlap : int, optional
        Pixels that neighbouring tiles share, at most half a tile; by default a quarter of one.
    batch_size : int
        Tiles at a time on a GPU, where the last digits depend on it. A processor takes one.
    ice_share_grid : str, optional
        Name of a grid, such as n3125; by default that of ``cube_file``, else 3.125 km of the
        hemisphere.
    geotiff : bool
        Also write ``SCENE_surface_class.tif`` and one of each other layer, in percent.
    cube_file : Path, optional
        Cube of ``consolidate_data.py`` that the shares are compared with.
    device : str
    force : bool
        Replace maps that were made otherwise.

    Returns
    -------
    Report
        ``values``: for each scene ``seconds``, ``ice_share`` (of the pixels of water and ice) and,
        with a cube, ``cube``: see :func:`seaice.segmentation.ice_share.compare_with_cube`.

    Raises
    ------
    InputError
        If something given cannot be used; of a folder, scenes that cannot are told in the report.
    """
    scene, output_dir = Path(scene), Path(output_dir)
    if not scene.exists():
        raise InputError(f"no such scene or folder of scenes: {scene}")
    paths = list_scenes(scene) if scene.is_dir() else [scene]
    grid = _grid(ice_share_grid, cube_file)
    model = _model(Path(checkpoint), device)
    tile, overlap = _layout(model, tile, overlap, batch_size)
    cube_file = None if cube_file is None else Path(cube_file)
    source = {"file": Path(checkpoint).name, "sha256": file_sha256(Path(checkpoint))}
    mapper = Mapper(
        model, tile, overlap, batch_size, grid, geotiff, cube_file, output_dir, force, source
    )
    output_dir.mkdir(parents=True, exist_ok=True)
    report = Report()
    with Progress(total=len(paths), label="scenes", logger=logger) as progress:
        for path in paths:
            try:
                _work(mapper, path, report)
            except InputError as error:
                if not scene.is_dir():
                    raise
                report.failed.append(str(error))
            progress.unit(path.stem)
    return report


def _grid(name: str | None, cube_file: Path | None) -> Grid | None:
    """None where the scene's hemisphere decides."""
    if cube_file is None:
        return None if name is None else get_grid(name)
    of_cube = grid_of_cube(Path(cube_file))
    if name is not None and not get_grid(name).same_cells(of_cube):
        raise InputError(
            f"expected the cells of {cube_file} ({of_cube}), found --ice_share_grid {name}; leave it out"
        )
    return of_cube


def _model(checkpoint: Path, device: str) -> TrainedModel:
    from seaice.segmentation.checkpoint import load_model
    from seaice.segmentation.processes import chosen_device

    return load_model(checkpoint, chosen_device(device))


def _layout(
    model: TrainedModel, tile: int | None, overlap: int | None, batch_size: int
) -> tuple[int, int]:
    size = int(model.note.get("patch_size", _TILE)) if tile is None else tile
    shared = size // 4 if overlap is None else overlap
    if size < 1 or not 0 <= shared <= size // 2 or batch_size < 1:
        raise InputError(
            f"expected a tile and a batch_size of at least 1 and an overlap of 0 to half of the tile, "
            f"found tile {size}, overlap {shared}, batch_size {batch_size}"
        )
    return size, shared


def predictor(model: TrainedModel) -> Predict:
    """A model as a function of arrays, whose channels are the layers of its task."""
    import torch

    from seaice.segmentation.targets import concentration

    device = next(model.network.parameters()).device

    def some(images: np.ndarray) -> np.ndarray:
        likely = model.likelihoods(torch.from_numpy(images).to(device))
        layers = {"ice_concentration": concentration(likely, model.task)}
        if model.task == "classes":
            layers["ice_probability"] = layers["ice_concentration"]
        elif model.task == "sic":
            layers["ice_probability"] = likely[:, model.rule.first_class :].sum(dim=1)
        return torch.stack([layers[name] for name in LAYERS[model.task]], dim=1).cpu().numpy()

    def one_by_one(images: np.ndarray) -> np.ndarray:
        return np.concatenate([some(images[k : k + 1]) for k in range(len(images))])

    # The last bits of a convolution depend on the batch. A processor gains nothing from large ones.
    return one_by_one if device.type == "cpu" else some


def surface_of(layers: Mapping[str, np.ndarray], rule: LabelRule) -> np.ndarray:
    """Water and ice as scores count them, uint8; missing where the layers are NaN."""
    level = layers.get("ice_concentration")
    with np.errstate(invalid="ignore"):
        if level is None:
            is_ice = layers["ice_probability"] > 0.5
        else:
            is_ice = np.rint(level * 10) >= rule.first_class
    known = np.isfinite(next(iter(layers.values())))
    made: np.ndarray = np.where(known, np.where(is_ice, ICE, WATER), MISSING).astype(np.uint8)
    return made


def map_scene(
    scene: Scene,
    run: Predict,
    names: tuple[str, ...],
    rule: LabelRule,
    *,
    with_amsr2: bool = False,
    tile: int = _TILE,
    overlap: int = _TILE // 4,
    batch_size: int = 8,
) -> SceneMap:
    """Predict a scene; land and pixels without SAR are missing in all layers.

    Parameters
    ----------
    scene : Scene
    run : callable
        See :func:`seaice.segmentation.tiles.blend`; its channels are ``names``.
    names : tuple of str
    rule : LabelRule
    with_amsr2 : bool
        Give it the brightness temperatures too.
    tile, overlap, batch_size : int
    """
    known = SceneName.parse(scene.name)
    if known is None:
        raise InputError(
            f"expected a scene named YYYYMMDDThhmmss_dmi_prep.nc or ..._cis_prep.nc, found {scene.path}"
        )
    # What may be lacking is read before the long part.
    amsr2, positions = scene.amsr2() if with_amsr2 else None, scene.positions()
    expect_image(positions, float(scene.attributes.get("pixel_spacing", PIXEL_METRES)))
    land, there = land_of(scene), (scene.sar() != 0).any(axis=0)
    if not (there & ~land).any():
        raise InputError("expected pixels of water or ice, found all land or without SAR; give another")
    made = blend(scene.sar(), run, amsr2=amsr2, size=tile, overlap=overlap, batch_size=batch_size)
    made[:, land] = np.nan
    layers = dict(zip(names, np.clip(made, 0, 1, out=made), strict=True))
    surface = surface_of(layers, rule)
    surface[land & there] = LAND
    return SceneMap(surface, layers, positions, known.start)


def _work(mapper: Mapper, path: Path, report: Report) -> None:
    names = _names(mapper, path.stem)
    wanted = _parameters(mapper, path)
    with exclusive(names.scene):
        value = _kept(mapper, names, wanted)
        text = "already there"
        if value is None:
            began = time.perf_counter()
            try:
                value = _make(mapper, path, names, wanted)
            except InputError as error:
                if path.stem in str(error):
                    raise
                raise InputError(f"{error}: {path}") from None
            value["seconds"] = round(time.perf_counter() - began, 3)
            text = f"{value['seconds']:.1f} s"
    files = [names.scene, names.share, *names.rasters.values()]
    report.outputs += files
    report.values[path.stem] = value
    ice = value.get("ice_share")
    told = "" if ice is None else f"{100 * ice:.1f} percent of the pixels are ice, "
    report.lines.append(f"{names.scene}: {told}{text}")
    if mapper.cube_file is not None:
        try:
            value["cube"] = compare_with_cube(names.share, mapper.cube_file)
        except InputError as error:
            report.failed.append(str(error))
            return
        report.lines.append(f"{path.stem} beside {mapper.cube_file.name}: {_compared(value['cube'])}")


def _compared(found: Mapping[str, Any]) -> str:
    if not found["cells"]:
        return "no cell that both have"
    return (
        f"{found['cells']} cells ({found['filled']} filled in the cube), difference "
        f"{100 * found['difference_mean']:+.1f} percent, RMSE {100 * found['rmse']:.1f}, "
        f"{100 * found['agreement']:.1f} percent on the same side of 15 percent"
    )


def _names(mapper: Mapper, stem: str) -> Names:
    layers = ("surface_class", *LAYERS[mapper.model.task])
    folder = mapper.output_dir
    rasters = {name: _raster(mapper, stem, name) for name in layers} if mapper.geotiff else {}
    return Names(folder / f"{stem}_ice.nc", folder / f"{stem}_ice_share.nc", rasters)


def _raster(mapper: Mapper, stem: str, layer: str) -> Path:
    return mapper.output_dir / f"{stem}_{layer}.tif"


def _parameters(mapper: Mapper, path: Path) -> dict[str, Any]:
    """What the map depends on; the size of batches is none of it."""
    note = mapper.model.note
    grid = mapper.grid
    return {
        "scene": path.stem,
        "scene_sha256": _digest(path),
        "checkpoint": mapper.checkpoint["file"],
        "checkpoint_sha256": mapper.checkpoint["sha256"],
        "model": note["model"],
        "inputs": mapper.model.inputs,
        "task": mapper.model.task,
        "ice_threshold": mapper.model.rule.ice_threshold,
        "tile": mapper.tile,
        "overlap": mapper.overlap,
        "ice_share_grid": None if grid is None else [grid.id, *grid.shape, grid.west, grid.south],
    }


def _digest(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise InputError(f"a scene cannot be read ({error.strerror}): {path}; fetch it again") from None


def _kept(mapper: Mapper, names: Names, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """What stands there, if it is what would be made; None if it must be made."""
    stands = standing(names.scene)
    if stands is None:
        return None
    found, numbers = stands
    if found == wanted:
        files = [names.share, *names.rasters.values()]
        return numbers if all(file.is_file() for file in files) else None
    if not mapper.force:
        other = [key for key in wanted if found.get(key) != wanted[key]]
        raise InputError(
            f"expected no map or one with the same settings, found {names.scene} with another "
            f"{', '.join(other)}; choose another --output_dir, or --force to replace it"
        )
    return None


def _make(mapper: Mapper, path: Path, names: Names, wanted: dict[str, Any]) -> dict[str, Any]:
    scene = open_scene(path)
    made = map_scene(
        scene,
        predictor(mapper.model),
        LAYERS[mapper.model.task],
        mapper.model.rule,
        with_amsr2=mapper.model.inputs == "sar+amsr2",
        tile=mapper.tile,
        overlap=mapper.overlap,
        batch_size=mapper.batch_size,
    )
    attributes = _attributes(mapper, scene, wanted)
    grid = mapper.grid
    if grid is None:
        grid = get_grid("n3125" if float(made.positions.latitude.mean()) >= 0 else "s3125")
    # Nothing of an earlier map may stand beside this one, nor look whole if this is stopped.
    names.scene.unlink(missing_ok=True)
    for name in {"surface_class"}.union(*LAYERS.values()):
        _raster(mapper, path.stem, name).unlink(missing_ok=True)
    write_share(names.share, made, grid, attributes | {"title": "Share of ice in a SAR scene by cell"})
    if names.rasters:
        spacing = float(scene.attributes.get("pixel_spacing", PIXEL_METRES))
        write_rasters(names.rasters, made, spacing)
    known = (made.surface == WATER) | (made.surface == ICE)
    share = float((made.surface == ICE).sum() / known.sum()) if known.any() else None
    numbers = {"ice_share": share, "pixels": int(known.sum())}
    # Last: it says that the others are there.
    write_scene(names.scene, made, attributes | {"numbers": json.dumps(numbers)}, locked=True)
    return numbers


def _attributes(mapper: Mapper, scene: Scene, wanted: dict[str, Any]) -> dict[str, Any]:
    note = mapper.model.note
    made = products.global_attributes(
        title="Water and ice in a SAR scene",
        summary=f"{note['model']} on {mapper.model.inputs}, overlapping tiles of {mapper.tile} pixels",
        source=f"Sentinel-1 EW, {scene.original or scene.name}",
        stage="predict",
        parameters=wanted,
        references=_REFERENCES,
    )
    return made | {
        "scene_id": scene.name,
        "label_rule": mapper.model.rule.describe(),
        "split_digest": str(note.get("split_digest", "")),
        "checkpoint_software": str(note.get("software", "")),
        "checkpoint_epoch": int(note["epoch"]),
    }
