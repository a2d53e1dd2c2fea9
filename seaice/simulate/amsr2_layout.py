"""The datasets of a simulated AMSR2 level 1 granule, in the layout of the true files.

Two layouts: L1B, the channels at their own positions, and L1R, the channels brought to common
footprints at every second place of 89A. Sizes and contents of the engineering datasets
(counts, temperatures, quality of a scan) are guesses: no reader here should need them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seaice.simulate import scan_geometry as geometry
from seaice.simulate.amsr2_signal import FOOTPRINTS, Scene
from seaice.simulate.hdf5_chunks import write_chunks
from seaice.simulate.scan_geometry import Footprints

NO_VALUE = 65535
NOT_USABLE = 65534
NO_PLACE = -9999.0
NO_ANGLE = -32767
NO_FLAG = 255
BAD_SCAN_TIME = -9999.0

_LOW = tuple(geometry.A1)
_LAND_CLASSES = ("6.9", "10.7", "18.7", "36.5")  # 7.3 goes with 6.9, 23.8 with 18.7
_RESAMPLED = {
    "res06": ("6.9", "7.3", "10.7", "18.7", "23.8", "36.5", "89.0"),
    "res10": ("10.7", "18.7", "23.8", "36.5", "89.0"),
    "res23": ("18.7", "23.8", "36.5", "89.0"),
    "res36": ("36.5", "89.0"),
}
_RESOLUTIONS = {"res06": "6.9", "res10": "10.7", "res23": "23.8", "res36": "36.5"}
_SCANS_AT_A_TIME = 128  # small enough for the caches of a processor
_CHUNK_SCANS = 512


@dataclass
class Variable:
    """A dataset and the two attributes it carries."""

    values: np.ndarray
    scale: float
    unit: str

    @property
    def scan_axis(self) -> int:
        """0, or 1 for the flags, whose first axis is the class of frequencies."""
        return 1 if self.values.ndim == 3 else 0


def name_brightness(frequency: str, polarisation: str) -> str:
    """Name of a brightness temperature of L1B.

    Examples
    --------
    >>> name_brightness("89A", "H")
    'Brightness Temperature (89.0GHz-A,H)'
    """
    spelled = {"89A": "89.0GHz-A", "89B": "89.0GHz-B"}.get(frequency, f"{frequency}GHz")
    return f"Brightness Temperature ({spelled},{polarisation})"


def make_variables(scans: np.ndarray, *, seed: int, resampled: bool) -> dict[str, Variable]:
    """All datasets of the granule that holds these scans.

    Parameters
    ----------
    scans : ndarray of int
        Consecutive numbers, :mod:`seaice.simulate.scan_geometry`.
    seed : int
    resampled : bool
        L1R in place of L1B.
    """
    runs = [
        _make_run_of_scans(scans[first : first + _SCANS_AT_A_TIME], seed, resampled)
        for first in range(0, len(scans), _SCANS_AT_A_TIME)
    ]
    joined = {}
    for name in list(runs[0]):
        parts = [run.pop(name) for run in runs]  # freed as they are joined
        values = np.concatenate([part.values for part in parts], parts[0].scan_axis)
        joined[name] = Variable(values, parts[0].scale, parts[0].unit)
    return joined


@dataclass(frozen=True)
class _Observations:
    """Temperatures by the name of a pair of channels, and shares of land by class of frequencies."""

    pairs: dict[str, tuple[np.ndarray, np.ndarray]]
    low_land: list[np.ndarray]
    high_land: list[np.ndarray]


def _make_run_of_scans(scans: np.ndarray, seed: int, resampled: bool) -> dict[str, Variable]:
    """The datasets of a few scans."""
    horns = {name: geometry.compute_footprints(scans, name) for name in ("89A", "89B")}
    centres = Footprints(*(part[:, ::2] for part in (horns["89A"].x, horns["89A"].y, horns["89A"].z)))
    scene = Scene(scans, seed=seed)
    views = _observe_resampled(scene, horns, centres) if resampled else _observe(scene, scans, horns)
    variables: dict[str, Variable] = {}
    for name, (vertical, horizontal) in views.pairs.items():
        variables[name.format("V")] = Variable(vertical, 0.01, "K")
        variables[name.format("H")] = Variable(horizontal, 0.01, "K")
    for name in ("89A", "89B"):
        for word, degrees in zip(
            ("Latitude", "Longitude"), horns[name].latitude_longitude(), strict=True
        ):
            variables[f"{word} of Observation Point for {name}"] = Variable(
                _as_single(degrees), 1, "deg"
            )
    _add_angles(variables, scans, centres)
    variables["Scan Time"] = Variable(geometry.compute_scan_times(scans), 1, "sec")
    variables["Position in Orbit"] = Variable(geometry.compute_orbit_position(scans), 1, "")
    _add_flags(variables, views)
    _add_engineering(variables, scans)
    if resampled:
        height = views.low_land[-1].astype(np.int16) * np.int16(5)
        variables["Area Mean Height"] = Variable(height, 1, "m")
    return variables


def _observe(scene: Scene, scans: np.ndarray, horns: dict[str, Footprints]) -> _Observations:
    """Every frequency at its own footprints."""
    pairs, land = {}, {}
    for name in geometry.FREQUENCIES:
        footprints = horns.get(name) or geometry.compute_footprints(scans, name)
        cover = scene.compute_cover(footprints, FOOTPRINTS[name])
        radiation = scene.compute_radiation(name, footprints)
        pairs[name_brightness(name, "{}")] = radiation.mix(cover)
        land[name] = cover.land_percent
    return _Observations(pairs, [land[name] for name in _LAND_CLASSES], [land["89A"], land["89B"]])


def _observe_resampled(scene: Scene, horns: dict[str, Footprints], centres: Footprints) -> _Observations:
    """Frequencies at common footprints of four sizes, and 89 GHz at its own."""
    sample = np.arange(0.0, geometry.SAMPLES, 2)
    radiation = {name: scene.compute_radiation(name, centres, sample=sample) for name in _LOW}
    sharp = {name: scene.compute_radiation(name, horns[name]) for name in horns}
    radiation["89.0"] = sharp["89A"].thin(2)
    pairs, low_land, high_land = {}, [], []
    for resolution, frequencies in _RESAMPLED.items():
        cover = scene.compute_cover(centres, FOOTPRINTS[_RESOLUTIONS[resolution]])
        low_land.append(cover.land_percent)
        for name in frequencies:
            pairs[f"Brightness Temperature ({resolution},{name}GHz,{{}})"] = radiation[name].mix(cover)
    for name, footprints in horns.items():
        cover = scene.compute_cover(footprints, FOOTPRINTS[name])
        high_land.append(cover.land_percent)
        spelled = f"Brightness Temperature (original,89GHz-{name[-1]},{{}})"
        pairs[spelled] = sharp[name].mix(cover)
    return _Observations(pairs, low_land, high_land)


def _add_angles(variables: dict[str, Variable], scans: np.ndarray, centres: Footprints) -> None:
    directions = geometry.compute_angles(scans, centres)
    incidence = np.full(centres.x.shape, geometry.INCIDENCE)
    for name, degrees in (
        ("Earth Incidence", incidence),
        ("Earth Azimuth", directions.earth_azimuth),
        ("Sun Azimuth", directions.sun_azimuth),
        ("Sun Elevation", directions.sun_elevation),
    ):
        variables[name] = Variable(np.rint(degrees * 100).astype(np.int16), 0.01, "deg")


def _add_flags(variables: dict[str, Variable], views: _Observations) -> None:
    low, high = np.stack(views.low_land), np.stack(views.high_land)
    variables["Land_Ocean Flag 6 to 36"] = Variable(low, 1, "percent")
    variables["Land_Ocean Flag 89"] = Variable(high, 1, "percent")
    # Radio interference over a few coasts: possible (2) and certain (3) at 7.3 GHz.
    quality = np.zeros(high.shape[1:], np.uint8)
    coast = views.low_land[0]
    code = np.where((coast > 62) & (coast < 66), 2, 0) + np.where((coast > 63) & (coast < 65), 1, 0)
    quality[:, ::2] = (code << 4 | code << 6).astype(np.uint8)
    variables["Pixel Data Quality 6 to 36"] = Variable(quality, 1, "")
    variables["Pixel Data Quality 89"] = Variable(np.zeros_like(quality), 1, "")


def _add_engineering(variables: dict[str, Variable], scans: np.ndarray) -> None:
    count = len(scans)
    up, forward, _ = geometry.compute_satellite_vectors(scans)
    radius = (geometry.EARTH_RADIUS + geometry.ALTITUDE) * 1000
    speed = radius * 2 * np.pi / (geometry.PERIOD * 86400)
    navigation = np.concatenate([up * radius, forward * speed]).T
    variables["Navigation Data"] = Variable(_as_single(navigation), 1, "")
    variables["Scan Data Quality"] = Variable(np.zeros((count, 512), np.uint8), 1, "")
    for name, shape, kind, level in (
        ("Interpolation Flag 6 to 36", (count, 243), np.uint8, 0),
        ("Interpolation Flag 89", (count, 486), np.uint8, 0),
        ("Hot Load Count 6 to 36", (12, count, 16), np.int16, 2600),
        ("Hot Load Count 89", (4, count, 32), np.int16, 2600),
        ("Cold Sky Mirror Count 6 to 36", (12, count, 16), np.int16, 900),
        ("Cold Sky Mirror Count 89", (4, count, 32), np.int16, 900),
        ("Observation Supplement", (count, 27), np.uint16, 0),
        ("PCD Data", (count, 40), np.uint8, 0),
        ("Rx Offset_Gain Count", (count, 32), np.uint16, 128),
        ("SPC Temperature Count", (count, 20), np.uint16, 2000),
        ("SPS Temperature Count", (count, 32), np.uint16, 2000),
    ):
        variables[name] = Variable(np.full(shape, level, kind), 1, "")


def _as_single(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def write_file(path: Path, contents: dict[str, Variable], attributes: dict[str, str]) -> None:
    """Write datasets and global attributes as the true files hold them.

    Global attributes are texts of variable length in arrays of one; those of a dataset are
    one single-precision number and one text of fixed length. Chunks are shuffled and
    deflated: how the true files are stored is unknown, but by their size they are compressed.
    """
    import h5py

    text = h5py.string_dtype("ascii")
    with h5py.File(path, "w") as file:
        for name, value in attributes.items():
            file.attrs.create(name, np.array([value], object), dtype=text)
        for name, variable in contents.items():
            stored = _store(file, name, variable)
            stored.attrs.create("SCALE FACTOR", np.array([variable.scale], np.float32))
            unit = variable.unit.encode("ascii")
            stored.attrs.create("UNIT", np.array([unit], f"S{len(unit) + 1}"))


def _store(file: Any, name: str, variable: Variable) -> Any:
    values, axis = variable.values, variable.scan_axis
    chunk = list(values.shape)
    chunk[axis] = min(chunk[axis], _CHUNK_SCANS)
    dataset = file.create_dataset(
        name, values.shape, values.dtype, chunks=tuple(chunk), compression=1, shuffle=True
    )
    write_chunks(dataset, values, axis=axis)
    return dataset
