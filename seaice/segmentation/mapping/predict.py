"""Ice maps of whole scenes by a trained model, and their share of ice on a map grid."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seaice import (
    InputError,
    cf,
)
from seaice.download.partial_file import file_sha256
from seaice.grids import Grid, get_grid
from seaice.report import Progress, Report
from seaice.runtime.atomic_write import exclusive
from seaice.segmentation.data.labels import (
    ICE,
    WATER,
)
from seaice.segmentation.mapping.ice_share import (
    compare_with_cube,
    grid_of_cube,
    write_share,
)
from seaice.segmentation.mapping.predict_scene import (
    LAYERS,
    TILE,
    map_scene,
    predictor,
)
from seaice.segmentation.mapping.scene_map import (
    standing,
    write_rasters,
    write_scene,
)
from seaice.sources.ai4arctic.scene import (
    Scene,
    list_scenes,
    open_scene,
)

if TYPE_CHECKING:
    from seaice.segmentation.networks.checkpoint import TrainedModel

logger = logging.getLogger(__name__)

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
        with a cube, ``cube``: see :func:`seaice.segmentation.mapping.ice_share.compare_with_cube`.

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
    from seaice.segmentation.networks.checkpoint import load_model
    from seaice.segmentation.training.distributed import chosen_device

    return load_model(checkpoint, chosen_device(device))


def _layout(
    model: TrainedModel, tile: int | None, overlap: int | None, batch_size: int
) -> tuple[int, int]:
    size = int(model.note.get("patch_size", TILE)) if tile is None else tile
    shared = size // 4 if overlap is None else overlap
    if size < 1 or not 0 <= shared <= size // 2 or batch_size < 1:
        raise InputError(
            f"expected a tile and a batch_size of at least 1 and an overlap of 0 to half of the tile, "
            f"found tile {size}, overlap {shared}, batch_size {batch_size}"
        )
    return size, shared


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
        write_rasters(names.rasters, made, scene.spacing)
    known = (made.surface == WATER) | (made.surface == ICE)
    share = float((made.surface == ICE).sum() / known.sum()) if known.any() else None
    numbers = {"ice_share": share, "pixels": int(known.sum())}
    # Last: it says that the others are there.
    write_scene(names.scene, made, attributes | {"numbers": json.dumps(numbers)}, locked=True)
    return numbers


def _attributes(mapper: Mapper, scene: Scene, wanted: dict[str, Any]) -> dict[str, Any]:
    note = mapper.model.note
    made = cf.global_attributes(
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
