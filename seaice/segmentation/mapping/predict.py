"""Map whole scenes by a trained model, with the share of ice in the cells of a grid."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import seaice
from seaice import (
    InputError,
    cf,
)
from seaice.dates import format_timestamp
from seaice.grids import Grid, get_grid, parse_grid
from seaice.report import Progress, Report
from seaice.runtime.atomic_write import exclusive
from seaice.runtime.digests import digest_file
from seaice.runtime.networks.device import Precision
from seaice.runtime.options import Count, Range
from seaice.segmentation.data.inputs import OPTICAL, list_channels
from seaice.segmentation.data.labels import (
    ICE,
    WATER,
)
from seaice.segmentation.data.optical import locate_optical
from seaice.segmentation.heads.head import list_heads
from seaice.segmentation.mapping.geotiff import check_rasterio
from seaice.segmentation.mapping.head_layers import LayerPlan, list_all_layers, make_predictor
from seaice.segmentation.mapping.ice_edge import (
    SHORTEST_KILOMETRES,
    trace_ice_edge,
    write_ice_edge,
)
from seaice.segmentation.mapping.ice_share import (
    compare_with_cube,
    read_cube_grid,
    write_ice_share,
)
from seaice.segmentation.mapping.input_scene import (
    ImageOptions,
    MapInput,
    ScaledImage,
    list_inputs,
    open_input,
)
from seaice.segmentation.mapping.predict_scene import TILE_SIZE, map_scene
from seaice.segmentation.mapping.scene_map import (
    SceneMap,
    read_parameters,
    write_rasters,
    write_scene_map,
)
from seaice.segmentation.networks.checkpoint import TrainedModel, load_model
from seaice.sources.sentinel1.file import Noise, digest_image
from seaice.sources.sentinel1.geotiff_image import Unit

logger = logging.getLogger(__name__)

_REFERENCES = (
    "Buus-Hinkler, J. et al. (2022), AI4Arctic Sea Ice Challenge Dataset, doi:10.11583/DTU.c.6244065"
)


@dataclass(frozen=True)
class MappingSettings:
    """How scenes are mapped, by which model, and where the maps are written.

    Attributes
    ----------
    models : tuple of TrainedModel
        Of one task; their predictions are averaged.
    plan : LayerPlan
    flips : bool
        Predict tiles also mirrored.
    tile, overlap : int
        Pixels.
    batch_size : int
        Tiles at a time.
    grid : Grid or None
        Grid of the ice share; None: 3.125 km of the hemisphere of each scene.
    geotiff, cog, ice_edge : bool
    cube_file : Path or None
    output_dir : Path
    force : bool
    checkpoint : dict of str to str
        ``file`` and ``sha256``.
    image : ImageOptions
    sentinel2 : Path or None
        Folder of optical images on the pixels of the scenes.
    """

    models: tuple[TrainedModel, ...]
    plan: LayerPlan
    flips: bool
    tile: int
    overlap: int
    batch_size: int
    grid: Grid | None
    geotiff: bool
    cog: bool
    ice_edge: bool
    cube_file: Path | None
    output_dir: Path
    force: bool
    checkpoint: dict[str, str]
    image: ImageOptions
    sentinel2: Path | None = None

    @property
    def model(self) -> TrainedModel:
        """The first model; the others have the same task, inputs and rule."""
        return self.models[0]


class MapFiles(NamedTuple):
    """Paths of the files of one scene."""

    scene: Path
    share: Path
    rasters: dict[str, Path]
    edge: Path | None

    @property
    def complete(self) -> list[Path]:
        """All files."""
        return [self.scene, self.share, *self.rasters.values(), *([self.edge] if self.edge else [])]


def predict(
    *,
    checkpoint: Sequence[Path],
    scene: Path,
    output_dir: Path,
    tile: Count | None = None,
    overlap: Annotated[int, Range(0, unit="N")] | None = None,
    flips: bool = False,
    batch_size: Count = 8,
    ice_share_grid: str | None = None,
    geotiff: bool = True,
    cog: bool = False,
    ice_edge: bool = False,
    cube_file: Path | None = None,
    noise: Noise | None = None,
    bands: Sequence[str] | None = None,
    unit: Unit | None = None,
    precision: Precision = "fp32",
    sentinel2: Path | None = None,
    device: str = "auto",
    force: bool = False,
) -> Report:
    """Map water and ice in whole scenes, by overlapping tiles that are blended into each other.

    Heads of stage of development and floe size give layers of their classes. Beside them, and beside
    everything where several checkpoints or mirrored tiles are averaged, stand layers of uncertainty
    and of the disagreement of the members.

    For each scene: ``SCENE_ice.nc`` on its own lines and samples, ``SCENE_ice_share.nc`` with the
    share of ice in the cells of a grid, and GeoTIFFs of 80 m in a polar stereographic projection. Maps
    that exist and were made of the same scene by the same model are kept.

    Parameters
    ----------
    checkpoint : sequence of Path
        ``best.pt`` of a training; of several with the same task and inputs predictions are averaged.
    scene : Path
        Scene of AI4Arctic (``*_prep.nc``), Sentinel-1 product EW GRDM in SAFE format (folder or zip),
        GeoTIFF of sigma nought, or a folder of them.
    output_dir : Path
        Made where it does not exist.
    tile : int, optional
        Pixels along a side; by default those of the patches the model was trained on.
    overlap : int, optional
        Pixels that neighbouring tiles share, at most half a tile; by default a quarter of one.
    flips : bool
        Predict each tile also mirrored, four times in all, and average.
    batch_size : int
        Tiles at a time on a GPU, where the last digits depend on it. A processor takes one.
    ice_share_grid : str, optional
        A grid such as n3125, ``EPSG:CODE:STEP:WEST,SOUTH,EAST,NORTH`` or a file to take it from; by
        default that of ``cube_file``, else 3.125 km of the hemisphere.
    geotiff : bool
        Also write ``SCENE_surface_class.tif`` and one of each other layer, in percent.
    cog : bool
        Write them as cloud-optimised GeoTIFFs, with tiles and overviews; needs rasterio.
    ice_edge : bool
        Also write ``SCENE_ice_edge.geojson``: lines between water and ice of 5 km or more.
    cube_file : Path, optional
        Cube of ``consolidate_data.py`` that the shares are compared with.
    noise : {"esa", "esa_floor", "none", "nersc"}, optional
        For a SAFE product: subtract thermal noise, subtract it and add its mean (as the scenes of
        AI4Arctic have it; default), or keep it. For a GeoTIFF: what was done to it.
    bands : sequence of str, optional
        Polarisation of every band of a GeoTIFF, by default as it says.
    unit : {"linear", "dB"}, optional
        Unit of a GeoTIFF, by default as it says, or by its values.
    precision : {"auto", "fp32", "bf16", "fp16"}
        Precision of numbers in the network; bf16 is two to three times faster on GPUs and on
        processors with instructions for it, and moves probabilities by about a thousandth.
    sentinel2 : Path, optional
        Folder of ``segmentation.py sentinel2``, for models with these inputs; a scene without a file
        there is mapped as one that no optical image shows.
    device
        See :func:`seaice.segmentation.training.train.train`.
    force : bool
        Replace maps that were made with other settings.

    Returns
    -------
    Report
        ``values``: for each scene ``seconds``, ``ice_share`` (of the pixels of water and ice) and,
        with a cube, ``cube``: see :func:`seaice.segmentation.mapping.ice_share.compare_with_cube`.

    Raises
    ------
    InputError
        If a parameter or a file cannot be used. Of a folder, scenes that cannot be used are listed in
        the report.
    """
    scene, output_dir = Path(scene), Path(output_dir)
    if cog:
        check_rasterio()
    if not scene.exists():
        raise InputError(f"no such scene or folder of scenes: {scene}")
    paths = list_inputs(scene)
    grid = _choose_grid(ice_share_grid, cube_file)
    checkpoints = [checkpoint] if isinstance(checkpoint, str | Path) else list(checkpoint)
    models = _load_models([Path(path) for path in checkpoints], device, precision)
    tile, overlap = _choose_tiles(models[0], tile, overlap, batch_size)
    cube_file = None if cube_file is None else Path(cube_file)
    has_types = any(head.is_type for head in list_heads(models[0].task))
    settings = MappingSettings(
        models=models,
        plan=LayerPlan(models[0].task, with_uncertainty=has_types or flips or len(models) > 1),
        flips=flips,
        tile=tile,
        overlap=overlap,
        batch_size=batch_size,
        grid=grid,
        geotiff=geotiff,
        cog=cog,
        ice_edge=ice_edge,
        cube_file=cube_file,
        output_dir=output_dir,
        force=force,
        checkpoint={
            "file": " ".join(Path(path).name for path in checkpoints),
            "sha256": " ".join(digest_file(Path(path)) for path in checkpoints),
        },
        image=ImageOptions(noise, None if bands is None else tuple(bands), unit),
        sentinel2=None if sentinel2 is None else Path(sentinel2),
    )
    output_dir.mkdir(parents=True, exist_ok=True)
    report = Report()
    with Progress(total=len(paths), label="scenes", logger=logger) as progress:
        for path in paths:
            try:
                _map_and_report(settings, path, report)
            except InputError as error:
                if paths == [scene]:
                    raise
                report.failed.append(str(error))
            progress.unit(path.stem)
    return report


def _load_models(checkpoints: Sequence[Path], device: str, precision: str) -> tuple[TrainedModel, ...]:
    """Load the models whose predictions are averaged, which must predict the same of the same."""
    models = tuple(load_model(path, device, precision) for path in checkpoints)
    if not models:
        raise InputError("expected a checkpoint, found none; give best.pt of a training")
    for path, model in zip(checkpoints, models, strict=True):
        for name in ("task", "inputs", "rule"):
            if getattr(model, name) != getattr(models[0], name):
                raise InputError(
                    f"expected checkpoints of one {name}, found {getattr(models[0], name)} in "
                    f"{checkpoints[0]} and {getattr(model, name)} in {path}; map with each alone"
                )
    return models


def _choose_grid(name: str | None, cube_file: Path | None) -> Grid | None:
    """Grid of the ice share; None: by the hemisphere of each scene."""
    if cube_file is None:
        return None if name is None else parse_grid(name)
    cube_grid = read_cube_grid(Path(cube_file))
    if name is not None and not parse_grid(name).same_cells(cube_grid):
        raise InputError(
            f"expected the cells of {cube_file} ({cube_grid}), found --ice_share_grid {name}; leave it "
            "out"
        )
    return cube_grid


def _choose_tiles(
    model: TrainedModel, tile: int | None, overlap: int | None, batch_size: int
) -> tuple[int, int]:
    """Pixels of a tile and of the overlap, with their defaults."""
    size = int(model.metadata.get("patch_size", TILE_SIZE)) if tile is None else tile
    shared = size // 4 if overlap is None else overlap
    if size < 1 or not 0 <= shared <= size // 2 or batch_size < 1:
        raise InputError(
            f"expected a tile and a batch_size of at least 1 and an overlap of 0 to half of the tile, "
            f"found tile {size}, overlap {shared}, batch_size {batch_size}"
        )
    return size, shared


def _map_and_report(settings: MappingSettings, path: Path, report: Report) -> None:
    files = _name_files(settings, path.stem)
    parameters = _list_parameters(settings, path)
    with exclusive(files.scene, kind="scene map"):
        value = _read_existing(settings, files, parameters)
        status = "already there"
        if value is None:
            began = time.perf_counter()
            try:
                value = _make_map(settings, path, files, parameters)
            except InputError as error:
                if path.stem in str(error):
                    raise
                raise InputError(f"{error}: {path}") from None
            value["seconds"] = round(time.perf_counter() - began, 3)
            status = f"{value['seconds']:.1f} s"
    report.outputs += files.complete
    report.values[path.stem] = value
    ice_share = value.get("ice_share")
    text = "" if ice_share is None else f"{100 * ice_share:.1f} percent of the pixels are ice, "
    report.lines.append(f"{files.scene}: {text}{status}")
    if settings.cube_file is not None:
        try:
            value["cube"] = compare_with_cube(files.share, settings.cube_file)
        except InputError as error:
            report.failed.append(str(error))
            return
        report.lines.append(
            f"{path.stem} beside {settings.cube_file.name}: {_format_comparison(value['cube'])}"
        )


def _format_comparison(comparison: Mapping[str, Any]) -> str:
    if not comparison["cells"]:
        return "no cell that both have"
    return (
        f"{comparison['cells']} cells ({comparison['filled']} filled in the cube), difference "
        f"{100 * comparison['difference_mean']:+.1f} percent, RMSE {100 * comparison['rmse']:.1f}, "
        f"{100 * comparison['agreement']:.1f} percent on the same side of 15 percent"
    )


def _name_files(settings: MappingSettings, stem: str) -> MapFiles:
    layers = ("surface_class", *settings.plan.names)
    folder = settings.output_dir
    rasters = {name: _name_raster(settings, stem, name) for name in layers} if settings.geotiff else {}
    edge = folder / f"{stem}_ice_edge.geojson" if settings.ice_edge else None
    return MapFiles(folder / f"{stem}_ice.nc", folder / f"{stem}_ice_share.nc", rasters, edge)


def _name_raster(settings: MappingSettings, stem: str, layer: str) -> Path:
    return settings.output_dir / f"{stem}_{layer}.tif"


def _find_optical(settings: MappingSettings, scene: str) -> Path | None:
    """The optical images of a scene, where the models see any and there are some."""
    if settings.sentinel2 is None or not set(OPTICAL) & set(list_channels(settings.model.inputs)):
        return None
    path = locate_optical(settings.sentinel2, scene)
    return path if path.is_file() else None


def _list_parameters(settings: MappingSettings, path: Path) -> dict[str, Any]:
    """All that the map depends on; the size of batches is not among it."""
    metadata = settings.model.metadata
    grid = settings.grid
    # What is as it always was is not among them, so that earlier maps are kept.
    further: dict[str, Any] = {"flips": True} if settings.flips else {}
    if settings.model.precision != "fp32":
        further["precision"] = settings.model.precision
    optical = _find_optical(settings, path.stem)
    if optical is not None:
        further["sentinel2_sha256"] = digest_file(optical)
    return further | {
        "scene": path.stem,
        "scene_sha256": _hash_scene(path),
        "checkpoint": settings.checkpoint["file"],
        "checkpoint_sha256": settings.checkpoint["sha256"],
        "model": metadata["model"],
        "inputs": settings.model.inputs,
        "task": settings.model.task,
        "ice_threshold": settings.model.rule.ice_threshold,
        "tile": settings.tile,
        "overlap": settings.overlap,
        "ice_share_grid": None if grid is None else [grid.id, *grid.shape, grid.west, grid.south],
        **settings.image.describe(),
    }


def _hash_scene(path: Path) -> str:
    try:
        return digest_image(path)
    except OSError as error:
        raise InputError(f"a scene cannot be read ({error.strerror}): {path}; fetch it again") from None


def _read_existing(
    settings: MappingSettings, files: MapFiles, parameters: dict[str, Any]
) -> dict[str, Any] | None:
    """Numbers of an existing map of the same parameters; None if the map must be made."""
    existing = read_parameters(files.scene)
    if existing is None:
        return None
    earlier, numbers = existing
    if earlier == parameters:
        are_complete = all(file.is_file() for file in files.complete)
        return numbers if are_complete else None
    if not settings.force:
        changed = [key for key in parameters | earlier if earlier.get(key) != parameters.get(key)]
        raise InputError(
            f"expected no map or one with the same settings, found {files.scene} with another "
            f"{', '.join(changed)}; choose another --output_dir, or --force to replace it"
        )
    return None


def _make_map(
    settings: MappingSettings, path: Path, files: MapFiles, parameters: dict[str, Any]
) -> dict[str, Any]:
    """Predict a scene and write its files; returns the numbers that the report shows."""
    scene = open_input(path, settings.model.metadata, settings.image)
    scene_map = map_scene(
        scene,
        make_predictor(settings.models, settings.plan, flips=settings.flips),
        settings.plan,
        settings.model.rule,
        inputs=settings.model.inputs,
        tile=settings.tile,
        overlap=settings.overlap,
        batch_size=settings.batch_size,
        sentinel2=_find_optical(settings, path.stem),
    )
    scene_map = replace(scene_map, calibrated=all(model.temperatures for model in settings.models))
    attributes = _make_attributes(settings, scene, parameters)
    grid = settings.grid
    if grid is None:
        grid = get_grid("n3125" if float(scene_map.positions.latitude.mean()) >= 0 else "s3125")
    # Files of an earlier map are removed first, so that an interrupted run does not leave them beside
    # new ones as if they belonged together.
    files.scene.unlink(missing_ok=True)
    for name in ("surface_class", *list_all_layers()):
        _name_raster(settings, path.stem, name).unlink(missing_ok=True)
    (settings.output_dir / f"{path.stem}_ice_edge.geojson").unlink(missing_ok=True)
    title = {"title": "Share of ice in a SAR scene by cell"}
    write_ice_share(files.share, scene_map, grid, attributes | title)
    if files.rasters:
        write_rasters(files.rasters, scene_map, scene.spacing, cloud_optimised=settings.cog)
    if files.edge is not None:
        _write_edge(files.edge, scene_map, scene)
    ice_pixels = int((scene_map.surface == ICE).sum())
    pixels = int((scene_map.surface == WATER).sum()) + ice_pixels
    numbers = {"ice_share": ice_pixels / pixels if pixels else None, "pixels": pixels}
    # Written last: this file says that the others are complete.
    write_scene_map(files.scene, scene_map, attributes | {"numbers": json.dumps(numbers)}, locked=True)
    return numbers


def _write_edge(path: Path, scene_map: SceneMap, scene: MapInput) -> None:
    properties = {
        "title": "Edge between water and ice in a SAR scene",
        "scene": scene.name,
        "time": format_timestamp(scene_map.start),
        "shortest_line_km": SHORTEST_KILOMETRES,
        "software": f"seaice {seaice.__version__}",
    }
    write_ice_edge(path, trace_ice_edge(scene_map), properties)


def _make_attributes(
    settings: MappingSettings, scene: MapInput, parameters: dict[str, Any]
) -> dict[str, Any]:
    metadata = settings.model.metadata
    attributes = cf.describe_file(
        title="Water and ice in a SAR scene",
        summary=f"{metadata['model']} on {settings.model.inputs}, overlapping tiles of "
        f"{settings.tile} pixels",
        source=f"Sentinel-1 EW, {scene.original or scene.name}",
        stage="predict",
        parameters=parameters,
        references=_REFERENCES,
    )
    return attributes | {
        "scene_id": scene.name,
        "label_rule": settings.model.rule.describe(),
        "split_digest": str(metadata.get("split_digest", "")),
        "checkpoint_software": str(metadata.get("software", "")),
        "checkpoint_epoch": int(metadata["epoch"]),
        **(scene.describe() if isinstance(scene, ScaledImage) else {}),
    }
