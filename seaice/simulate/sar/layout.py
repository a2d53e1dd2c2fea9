"""Files of simulated SAR scenes, with the names, dimensions, types and attributes of AI4Arctic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice.runtime.atomic_write import atomic
from seaice.sources.ai4arctic.geolocation import EARTH_RADIUS_METRES
from seaice.sources.ai4arctic.names import SceneName
from seaice.sources.ai4arctic.tables import (
    AMSR2_CHANNELS,
    ERA5_FIELDS,
    NO_CLASS,
    PIXEL_METRES,
    SAR_CHANNELS,
    SCALING,
)

if TYPE_CHECKING:
    from seaice.simulate.sar.signal import SceneTruth

_GEOLOCATION_POINTS = 21
_FULL = ("sar_lines", "sar_samples")
_COARSE = ("2km_grid_lines", "2km_grid_samples")
# The dataset names the axis of samples first although lines come first.
_POINT_GRID = ("sar_sample_2dgrid_points", "sar_line_2dgrid_points")
_ZONES = (
    "\ndist_id; dist_range_km\n0; land\n1; 0 -> 0.5\n2; 0.5 -> 1\n3; 1 -> 2\n4; 2 -> 4\n5; 4 -> 8\n"
    "6; 8 -> 16\n7; 16 -> 32\n8; 32 -> 64\n9; 64 -> 128\n10; >128"
)

Variables = dict[str, tuple[tuple[str, str], np.ndarray, dict[str, Any]]]


def write_input(path: Path, truth: SceneTruth, *, name: str, original: str, charts: bool) -> None:
    """Write ``*_prep.nc`` with scaled values; charts only where ``charts`` is set."""
    latitude, longitude = compute_geolocation_points(truth)
    variables: Variables = {}
    for channel, values in zip(SAR_CHANNELS, truth.backscatter, strict=True):
        stored = np.nan_to_num(_scale(channel, values), nan=0.0)
        variables[channel] = _FULL, stored, {"variable_fill_value": 0}
    variables["sar_incidenceangle"] = _FULL, _scale("sar_incidenceangle", truth.incidence), {}
    zones = _scale("distance_map", truth.zone)
    variables["distance_map"] = _FULL, zones, {"zonal_range_description": _ZONES}
    for names, fields in ((AMSR2_CHANNELS, truth.temperatures), (ERA5_FIELDS, truth.weather)):
        for field, values in zip(names, fields, strict=True):
            variables[field] = _COARSE, _scale(field, values), {}
    variables["sar_grid2d_latitude"] = _POINT_GRID, latitude, {}
    variables["sar_grid2d_longitude"] = _POINT_GRID, longitude, {}
    if charts:
        variables |= _list_charts(truth)
    parsed = SceneName.parse(name)
    attributes = {
        "scene_id": f"{name}.nc",
        "original_id": original,
        "ice_service": parsed.service if parsed else "",
        "flip": 0,
        "pixel_spacing": int(PIXEL_METRES),
        "comment": "simulated: nothing in this file was measured",
    }
    _write_file(path, variables, attributes)


def write_reference(path: Path, truth: SceneTruth) -> None:
    """Write ``*_prep_reference.nc``: charts alone."""
    _write_file(path, _list_charts(truth), {"comment": "simulated: nothing in this file was measured"})


def compute_geolocation_points(truth: SceneTruth) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude of 21 x 21 points, degrees, from the first to the last pixel.

    Distances and directions are exact from the centre of the scene, and nearly so elsewhere, since a
    scene is small.
    """
    lines, samples = truth.sic.shape
    down = np.linspace(-(lines - 1) / 2, (lines - 1) / 2, _GEOLOCATION_POINTS) * PIXEL_METRES
    across = np.linspace(-(samples - 1) / 2, (samples - 1) / 2, _GEOLOCATION_POINTS) * PIXEL_METRES
    forward, right = np.meshgrid(down, across, indexing="ij")
    return locate_points(truth.centre, truth.heading, forward, right)


def locate_points(
    centre: tuple[float, float], heading: float, forward: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude (degrees) of points at distances (metres) from a centre, on a sphere.

    Parameters
    ----------
    centre : (float, float)
        Latitude and longitude, degrees.
    heading : float
        Direction of ``forward``, degrees clockwise from north.
    forward, right : ndarray of float64, same shape
        Metres.
    """
    angle = np.hypot(forward, right) / EARTH_RADIUS_METRES
    bearing = np.radians(heading) + np.arctan2(right, forward)
    phi, lam = np.radians(centre)
    sine = np.sin(phi) * np.cos(angle) + np.cos(phi) * np.sin(angle) * np.cos(bearing)
    east = np.sin(bearing) * np.sin(angle) * np.cos(phi)
    longitude = np.degrees(lam + np.arctan2(east, np.cos(angle) - np.sin(phi) * sine))
    return np.degrees(np.arcsin(sine)), (longitude + 180) % 360 - 180


def _scale(name: str, values: np.ndarray) -> np.ndarray:
    mean, deviation = SCALING[name]
    return np.asarray((values - mean) / deviation, np.float32)


def _list_charts(truth: SceneTruth) -> Variables:
    charts = {"SIC": truth.sic, "SOD": truth.sod, "FLOE": truth.floe}
    fill = {"chart_fill_value": NO_CLASS}
    return {name: (_FULL, chart, dict(fill)) for name, chart in charts.items()}


def _write_file(path: Path, variables: Variables, attributes: dict[str, Any]) -> None:
    import netCDF4

    with atomic(path, checksum=True) as part, netCDF4.Dataset(part, "w") as dataset:
        dataset.setncatts(attributes)
        for name, (dimensions, values, variable_attributes) in variables.items():
            for dimension, length in zip(dimensions, values.shape, strict=True):
                if dimension not in dataset.dimensions:
                    dataset.createDimension(dimension, length)
            variable = dataset.createVariable(name, values.dtype, dimensions, zlib=True, complevel=1)
            variable.setncatts(variable_attributes)
            variable[:] = values
