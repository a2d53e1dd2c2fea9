"""The edge between water and ice of a map, as lines in longitude and latitude (GeoJSON, RFC 7946)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seaice.runtime.atomic_write import atomic
from seaice.segmentation.data.labels import ICE, WATER
from seaice.segmentation.mapping.scene_map import SceneMap
from seaice.sources.sentinel1.positions import measure_distance

# Pixels over which the classes are smoothed, so that the edge has no steps; and the shortest line, km.
_SMOOTH_PIXELS = 1.0
SHORTEST_KILOMETRES = 5.0
_DIGITS = 5  # of a degree: a metre


def trace_ice_edge(scene_map: SceneMap, *, shortest: float = SHORTEST_KILOMETRES) -> list[np.ndarray]:
    """Trace the lines between water and ice; land and missing pixels end them.

    Parameters
    ----------
    scene_map : SceneMap
    shortest : float
        Shorter lines are left out, kilometres.

    Returns
    -------
    list of ndarray of float64, shape (points, 2)
        Longitude (-180..180) and latitude; ice lies to the left as seen on lines and samples with
        line 0 at the top.
    """
    import contourpy
    from scipy.ndimage import gaussian_filter

    surface = scene_map.surface
    is_told = (surface == WATER) | (surface == ICE)
    weight = gaussian_filter(is_told.astype(np.float32), _SMOOTH_PIXELS)
    ice = gaussian_filter((surface == ICE).astype(np.float32), _SMOOTH_PIXELS)
    share = np.divide(ice, weight, out=np.zeros_like(ice), where=weight > 0)
    generator = contourpy.contour_generator(z=np.ma.masked_array(share, ~is_told))
    lines = []
    for points in generator.lines(0.5):
        samples, rows = np.asarray(points).T
        latitude, longitude = scene_map.positions.interpolate(rows, samples)
        if measure_kilometres(latitude, longitude) >= shortest:
            lines += cut_at_date_line(np.stack([longitude, latitude], axis=1))
    return lines


def measure_kilometres(latitude: np.ndarray, longitude: np.ndarray) -> float:
    """Length of a line on the sphere.

    Examples
    --------
    >>> round(measure_kilometres(np.array([80.0, 81.0]), np.array([0.0, 0.0])), 1)
    111.2
    """
    ends = latitude[:-1], longitude[:-1], latitude[1:], longitude[1:]
    return float(measure_distance(*ends).sum() / 1000)


def cut_at_date_line(line: np.ndarray) -> list[np.ndarray]:
    """Cut a line of longitude and latitude where it crosses 180 degrees, with a point on either side.

    Examples
    --------
    >>> [part.tolist() for part in cut_at_date_line(np.array([[179.0, 80.0], [-179.0, 82.0]]))]
    [[[179.0, 80.0], [180.0, 81.0]], [[-180.0, 81.0], [-179.0, 82.0]]]
    """
    parts, start = [], line[:1]
    crossings = np.flatnonzero(np.abs(np.diff(line[:, 0])) > 180)
    firsts = np.append(0, crossings + 1)
    for first, k in zip(firsts, crossings, strict=False):
        side = 180.0 if line[k, 0] > 0 else -180.0
        share = (side - line[k, 0]) / (line[k + 1, 0] + 2 * side - line[k, 0])
        latitude = line[k, 1] + share * (line[k + 1, 1] - line[k, 1])
        parts.append(np.vstack([start, line[first : k + 1], [[side, latitude]]]))
        start = np.array([[-side, latitude]])
    parts.append(np.vstack([start, line[firsts[-1] :]]))
    # The first point stands twice.
    return [parts[0][1:], *parts[1:]]


def write_ice_edge(path: Path, lines: Sequence[np.ndarray], properties: Mapping[str, Any]) -> None:
    """Write lines as one feature of GeoJSON.

    Parameters
    ----------
    path : Path
    lines : sequence of ndarray, shape (points, 2)
        Longitude and latitude, degrees.
    properties : mapping
        What is told of them, besides their length.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    kilometres = sum(measure_kilometres(line[:, 1], line[:, 0]) for line in lines)
    feature = {
        "type": "Feature",
        "properties": {**properties, "length_km": round(kilometres, 3)},
        "geometry": {
            "type": "MultiLineString",
            "coordinates": [line.round(_DIGITS).tolist() for line in lines],
        },
    }
    content = {"type": "FeatureCollection", "features": [feature]}
    with atomic(path) as part:
        part.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")
