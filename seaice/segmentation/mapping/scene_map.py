"""Map of water and ice of a scene: in memory, as NetCDF on lines and samples, and as GeoTIFF."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seaice import (
    InputError,
    cf,
)
from seaice.drawing import palette
from seaice.open_file import open_netcdf
from seaice.runtime.atomic_write import atomic
from seaice.runtime.json_files import parse_json
from seaice.segmentation.data.labels import (
    ICE,
    WATER,
)
from seaice.segmentation.mapping.geotiff import write_geotiff
from seaice.segmentation.mapping.head_layers import TYPES
from seaice.segmentation.mapping.input_scene import MapInput
from seaice.segmentation.mapping.scene_projection import SceneProjection
from seaice.sources.ai4arctic.geolocation import Geolocation
from seaice.sources.ai4arctic.scene import unscale

# Classes of a map, besides water and ice.
LAND, MISSING = 2, 255
SURFACE_CLASSES = {"water": WATER, "ice": ICE, "land": LAND, "missing": MISSING}
_BAND = 256  # lines at a time
_POINT_PIXELS, _POINT_AXES = 100, ("sar_line_2dgrid_points", "sar_sample_2dgrid_points")
FRACTION_FILL = cf.CONCENTRATION_FILL
PACKING = {"scale_factor": cf.CONCENTRATION_SCALE, "valid_range": np.array([0, 10000], np.int16)}
_TYPE_NAMES: Mapping[str, tuple[str, ...]] = dict(TYPES.values())
_FIRST_WORDS = ("ice_probability", "ice_concentration", *_TYPE_NAMES)
_LONG_NAMES: Mapping[str, str] = {
    "ice_probability": "probability of ice as the network gives it",
    "ice_concentration": "sea ice concentration that is expected of an ice chart",
    "stage_of_development": "stage of development of sea ice, most probable class of an ice chart",
    "floe_size": "floe size of sea ice, most probable class of an ice chart",
    "ice_concentration_uncertainty": "standard deviation of the sea ice concentration that is expected",
}


@dataclass(frozen=True)
class SceneMap:
    """Map of water and ice of a scene, on its own lines and samples.

    Attributes
    ----------
    surface : ndarray of uint8, shape (lines, samples)
        Values of :data:`SURFACE_CLASSES`.
    layers : dict of str to ndarray, shape (lines, samples)
        By the names of :class:`seaice.segmentation.mapping.head_layers.LayerPlan`: float32 from 0 to 1,
        NaN on land and without SAR, or types of ice as uint8, 255 on land and without SAR.
    positions : Geolocation
    start : datetime
        UTC, of the scene.
    calibrated : bool
        Whether a temperature was fitted to the probabilities.
    """

    surface: np.ndarray
    layers: dict[str, np.ndarray]
    positions: Geolocation
    start: datetime
    calibrated: bool = False


def describe_layer(name: str, scene_map: SceneMap) -> dict[str, Any]:
    """Attributes of a layer in a file."""
    trust = "calibrated on validation scenes" if scene_map.calibrated else "not calibrated"
    further = [other for other in scene_map.layers if other.startswith(f"{name}_")]
    attributes: dict[str, Any] = {"ancillary_variables": " ".join(["surface_class", *further])}
    if name in _TYPE_NAMES:
        kinds = [re.sub("[- ]", "_", kind) for kind in _TYPE_NAMES[name]]
        flags = {"flag_values": np.arange(len(kinds), dtype=np.uint8), "flag_meanings": " ".join(kinds)}
        return {"long_name": _LONG_NAMES[name], **flags, **attributes}
    base, _, end = name.rpartition("_")
    spoken = base.replace("_", " ")
    if end == "disagreement":
        text = "tiles, mirrored images and checkpoints about "
        text = (
            f"disagreement of {text}{spoken}"
            if base in _TYPE_NAMES
            else (f"standard deviation of {spoken} between tiles, mirrored images and checkpoints")
        )
    elif name in _LONG_NAMES:
        text = _LONG_NAMES[name] + (f", {trust}" if name == "ice_probability" else "")
    elif end == "uncertainty":
        text = f"entropy of the probabilities of {spoken}, as a share of the largest, {trust}"
    else:
        text = f"probability of the class of {spoken}, {trust}"
    attributes = {"long_name": text, "units": "1", **attributes, **PACKING}
    if name == "ice_concentration":
        attributes = {"standard_name": "sea_ice_area_fraction", **attributes}
    return attributes


def find_land(scene: MapInput) -> np.ndarray:
    """Find land by the map of distances, bool (lines, samples); zone 0 is land, NaN is not."""
    zone = unscale("distance_map", scene.read_distance())
    is_land: np.ndarray = np.abs(zone) < 0.5
    return is_land


def write_scene_map(
    path: Path, scene_map: SceneMap, attributes: Mapping[str, Any], *, locked: bool = False
) -> None:
    """Write a map as CF NetCDF with latitude and longitude of every pixel.

    Parameters
    ----------
    path : Path
    scene_map : SceneMap
    attributes : mapping
        Global.
    locked : bool
        The caller holds :func:`seaice.runtime.atomic_write.exclusive` for this path already.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    surface_attributes = {
        "standard_name": "status_flag",
        "long_name": "water or ice",
        "flag_values": np.array(list(SURFACE_CLASSES.values()), np.uint8),
        "flag_meanings": " ".join(SURFACE_CLASSES),
    }
    layers = {"surface_class": Layer(scene_map.surface, surface_attributes)}
    for name, values in scene_map.layers.items():
        is_type = name in _TYPE_NAMES
        stored, fill = (values, MISSING) if is_type else (pack_fractions(values), FRACTION_FILL)
        layers[name] = Layer(stored, describe_layer(name, scene_map), fill)
    write_layers(path, layers, scene_map.positions, scene_map.start, attributes, locked=locked)


class Layer(NamedTuple):
    """Stored numbers of the pixels of a scene, with the attributes of their variable.

    Attributes
    ----------
    stored : ndarray, shape (lines, samples)
    attributes : dict
    fill : int or None
        ``_FillValue``.
    """

    stored: np.ndarray
    attributes: dict[str, Any]
    fill: int | None = None


def write_layers(
    path: Path,
    layers: Mapping[str, Layer],
    positions: Geolocation,
    start: datetime | None,
    attributes: Mapping[str, Any],
    *,
    locked: bool = False,
    with_points: bool = False,
) -> None:
    """Write layers on the lines and samples of a scene, with latitude and longitude of every pixel.

    Parameters
    ----------
    path : Path
    layers : mapping of str to Layer
    positions : Geolocation
    start : datetime or None
        UTC, of the scene; None if it is not known.
    attributes : mapping
        Global.
    locked : bool
        As in :func:`write_scene_map`.
    with_points : bool
        Whether the file also has geolocation points as the scenes of AI4Arctic have them.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    import netCDF4

    shared = {"coordinates": "lat lon" if start is None else "time lat lon", "grid_mapping": "crs"}
    with atomic(path, locked=locked, checksum=True) as part, netCDF4.Dataset(part, "w") as dataset:
        dataset.setncatts(dict(attributes))
        for name, count in zip(("line", "sample"), positions.shape, strict=True):
            dataset.createDimension(name, count)
            axis = dataset.createVariable(name, "i4", (name,))
            axis.setncatts({"long_name": f"number of the {name} of the SAR scene", "units": "1"})
            axis[:] = np.arange(count)
        if start is not None:
            _write_time(dataset, start)
        _write_positions(dataset, positions)
        if with_points:
            _write_points(dataset, positions)
        for name, layer in layers.items():
            variable = _define_variable(dataset, name, layer.stored.dtype.str[1:], layer.fill)
            variable.setncatts({**layer.attributes, **shared})
            variable[:] = layer.stored


def _define_variable(dataset: Any, name: str, kind: str, fill: int | None) -> Any:
    shape = tuple(len(dataset.dimensions[d]) for d in ("line", "sample"))
    variable = dataset.createVariable(
        name,
        kind,
        ("line", "sample"),
        fill_value=fill,
        chunksizes=cf.choose_chunk_shape(shape),
        compression="zlib",
        complevel=1,
        shuffle=kind != "u1",
    )
    variable.set_auto_maskandscale(False)
    return variable


def pack_fractions(layer: np.ndarray) -> np.ndarray:
    """Fractions as whole numbers of 1/10000, int16; the fill value for NaN."""
    steps = np.rint(np.nan_to_num(layer, nan=0.0) / cf.CONCENTRATION_SCALE)
    return np.where(np.isnan(layer), cf.CONCENTRATION_FILL, steps).astype(np.int16)


def _write_time(dataset: Any, start: datetime) -> None:
    time = dataset.createVariable("time", "f8", ())
    time.setncatts(
        {
            "standard_name": "time",
            "long_name": "start of the scene, UTC",
            "units": "seconds since 1970-01-01 00:00:00",
            "calendar": "standard",
            "units_metadata": "leap_seconds: none",
        }
    )
    time[...] = start.timestamp()


def _write_positions(dataset: Any, positions: Geolocation) -> None:
    crs = dataset.createVariable("crs", "i4", ())
    crs.setncatts(
        {
            "long_name": "coordinate reference system",
            "grid_mapping_name": "latitude_longitude",
            "semi_major_axis": 6378137.0,
            "inverse_flattening": 298.257223563,
            "longitude_of_prime_meridian": 0.0,
        }
    )
    crs[...] = 0
    axes = []
    for name, attributes in (("lat", cf.LATITUDE), ("lon", cf.LONGITUDE)):
        # float32 is exact to a metre.
        variable = _define_variable(dataset, name, "f4", None)
        axis = attributes["standard_name"]
        long_name = f"{axis} of the pixel centre, interpolated from the geolocation points"
        variable.setncatts({**attributes, "long_name": long_name})
        axes.append(variable)
    columns = np.arange(positions.shape[1])[None]
    for first in range(0, positions.shape[0], _BAND):
        rows = np.arange(first, min(first + _BAND, positions.shape[0]))
        for variable, degrees in zip(axes, positions.interpolate(rows[:, None], columns), strict=True):
            variable[rows[0] : rows[-1] + 1] = degrees


def _write_points(dataset: Any, positions: Geolocation) -> None:
    """Write points that lie evenly from the first to the last pixel, about 100 pixels apart."""
    counts = [max(4, round(count / _POINT_PIXELS) + 1) for count in positions.shape]
    rows, columns = (
        np.linspace(0, count - 1, number) for count, number in zip(positions.shape, counts, strict=True)
    )
    degrees = positions.interpolate(rows[:, None], columns[None])
    for name, count in zip(_POINT_AXES, counts, strict=True):
        dataset.createDimension(name, count)
    for attributes, values in zip((cf.LATITUDE, cf.LONGITUDE), degrees, strict=True):
        name = f"sar_grid2d_{attributes['standard_name']}"
        variable = dataset.createVariable(name, "f8", _POINT_AXES)
        variable.setncatts({**attributes, "long_name": f"{attributes['standard_name']} of points"})
        variable[:] = values


def read_scene_map(path: Path) -> tuple[SceneMap, dict[str, Any]]:
    """Read a map and its global attributes; of the positions only those of the corners are read.

    Raises
    ------
    InputError
        If the file cannot be read or is no map.
    """
    try:
        with open_netcdf(path) as dataset:
            names = [name for name in dataset.variables if name.startswith(_FIRST_WORDS)]
            surface = np.asarray(dataset["surface_class"][:].filled(MISSING))
            layers = {name: _read_layer(dataset[name]) for name in names}
            lat, lon = (_read_corners(dataset[name], surface.shape) for name in ("lat", "lon"))
            start = datetime.fromtimestamp(float(dataset["time"][...]), UTC)
            attributes = {name: dataset.getncattr(name) for name in dataset.ncattrs()}
    except (OSError, RuntimeError, LookupError, ValueError, AttributeError) as error:
        if not path.exists():
            raise InputError(f"no such map: {path}; make it with segmentation.py predict") from None
        raise InputError(
            f"expected a map made by segmentation.py predict, found another or a damaged file: {path} "
            f"({' '.join(str(error).split())[:100]})"
        ) from None
    lines, samples = surface.shape
    ends = np.array([0.0, lines - 1.0]), np.array([0.0, samples - 1.0])
    positions = Geolocation(ends[0], ends[1], lat, lon, (lines, samples))
    return SceneMap(surface, layers, positions, start), attributes


def _read_layer(variable: Any) -> np.ndarray:
    if variable.name in _TYPE_NAMES:
        return np.asarray(variable[:].filled(MISSING))
    return np.asarray(np.ma.filled(variable[:].astype(np.float32), np.nan))


def _read_corners(variable: Any, shape: tuple[int, ...]) -> np.ndarray:
    rows, columns = (slice(None, None, max(1, count - 1)) for count in shape)
    return np.asarray(variable[rows, columns], np.float64)


def read_parameters(path: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Read the parameters and the numbers of a map; None if there is no map, or it lacks them."""
    try:
        with open_netcdf(path) as dataset:
            parameters = parse_json(dataset.getncattr("parameters"))
            numbers = parse_json(dataset.getncattr("numbers"))
    except (OSError, RuntimeError, AttributeError, ValueError):
        return None
    if not isinstance(parameters, dict) or not isinstance(numbers, dict):
        return None
    return parameters, numbers


def write_rasters(
    paths: Mapping[str, Path], scene_map: SceneMap, step: float, *, cloud_optimised: bool = False
) -> None:
    """Write layers as GeoTIFFs in a polar stereographic projection; a cell takes the nearest pixel.

    Parameters
    ----------
    paths : mapping of str to Path
        Path of the file of each layer, by its name. ``surface_class`` is written as codes, any layer
        of ``scene_map.layers`` in percent. Cells without data have the code 255.
    scene_map : SceneMap
    step : float
        Cell size, metres.
    cloud_optimised : bool
        See :func:`seaice.segmentation.mapping.geotiff.write_geotiff`.
    """
    projection = SceneProjection(scene_map.positions, step)
    layers = {"surface_class": scene_map.surface}
    for name, layer in scene_map.layers.items():
        if name in _TYPE_NAMES:
            layers[name] = layer
            continue
        # 2.55 becomes 255, no data.
        percent = np.rint(100 * np.nan_to_num(layer, nan=2.55))
        layers[name] = percent.astype(np.uint8)
    texts = {"surface_class": ", ".join(f"{code} {name}" for name, code in SURFACE_CLASSES.items())}
    for name, kinds in _TYPE_NAMES.items():
        texts[name] = ", ".join(f"{code} {kind}" for code, kind in enumerate(kinds)) + ", 255 no value"
    fields = projection.resample([layers[name] for name in paths])
    for (name, path), field in zip(paths.items(), fields, strict=True):
        text = f"{name}: {texts.get(name, 'percent, 255 no value')}"
        colours = list_colours(name)
        write_geotiff(
            path,
            field,
            projection.grid,
            projection.epsg_code,
            colours=colours,
            description=text,
            cloud_optimised=cloud_optimised,
        )


def list_colours(name: str) -> list[tuple[int, int, int]] | None:
    """Red, green and blue of every class of a layer, for all 256 values of a byte; None for percent."""
    if name == "surface_class":
        colours = {WATER: palette.ICE[2], ICE: palette.ICE[-1], LAND: palette.LAND}
    elif name in _TYPE_NAMES:
        colours = dict(enumerate(palette.ICE_TYPES[: len(_TYPE_NAMES[name])]))
    else:
        return None
    codes = [colours.get(value, palette.NO_VALUE).lstrip("#") for value in range(256)]
    return [(int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)) for code in codes]
