"""Simulated Sentinel-1 scenes with ice charts, in the layout of the AI4Arctic dataset.

Ice and wind-roughened water overlap in backscatter, so that no threshold separates them; texture,
both polarisations and brightness temperatures do. Charts consist of polygons, as those that people
draw. Every scene lies at a real position, and no value in it was measured.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.runtime.atomic_write import atomic
from seaice.simulate.sar.layout import (
    write_input,
    write_reference,
)
from seaice.simulate.sar.signal import (
    SceneTruth,
    simulate_scene,
)
from seaice.sources.ai4arctic.scene import (
    TEST_SCENES,
    SceneName,
)

# Latitude and longitude (degrees) of the centre of a scene, and the region in the name of the chart.
_CENTRES: Mapping[str, tuple[tuple[float, float, str], ...]] = {
    "dmi": (
        (60.0, -43.5, "CapeFarewell"),
        (72.5, -19.0, "CentralEast"),
        (78.5, -12.0, "NorthEast"),
        (75.5, -63.0, "NorthWest"),
        (65.0, -38.0, "SouthEast"),
        (63.0, -52.5, "SouthWest"),
    ),
    "cis": (
        (71.0, -75.0, "SGRDIEA"),
        (67.0, -79.0, "SGRDIFOXE"),
        (53.0, -55.0, "SGRDINFLD"),
        (72.5, -125.0, "SGRDIWA"),
    ),
}
_SMALLEST = 100


@dataclass(frozen=True)
class SimulatedScene:
    """A scene that was written, and the truth behind it.

    Attributes
    ----------
    path : Path
    reference : Path or None
        Charts of a test scene.
    name : str
    region : str
        Region of the chart.
    truth : SceneTruth
    """

    path: Path
    reference: Path | None
    name: str
    region: str
    truth: SceneTruth


def write_scenes(
    folder: Path,
    *,
    scenes: int = 12,
    test_scenes: int = 3,
    size: tuple[int, int] = (700, 800),
    seed: int = 0,
) -> list[SimulatedScene]:
    """Write ``train/``, ``test/`` and ``metadata.csv`` of a small dataset.

    Parameters
    ----------
    folder : Path
        Made if it does not exist. Files of the same name are replaced.
    scenes : int
        Number of scenes for training, from all regions and seasons in turn, no two of one pass.
    test_scenes : int
        Number of test scenes, at most 20; they have the names of the official ones.
    size : (int, int)
        Lines and samples of 80 m, at least 100 each.
    seed : int
        The same seed gives the same scenes; a scene does not depend on the number of the others.

    Returns
    -------
    list of SimulatedScene
        Training scenes first.

    Raises
    ------
    InputError
        If a number is out of range.

    Examples
    --------
    >>> scenes = write_scenes(folder, scenes=2, test_scenes=1)  # doctest: +SKIP
    >>> scenes[-1].path.name  # doctest: +SKIP
    '20180124T194759_dmi_prep.nc'
    """
    if scenes < 0 or not 0 <= test_scenes <= len(TEST_SCENES) or scenes + test_scenes == 0:
        raise InputError(
            f"expected some scenes, up to {len(TEST_SCENES)} of them for testing, found {scenes} and "
            f"{test_scenes}"
        )
    if len(size) != 2 or min(size) < _SMALLEST:
        raise InputError(f"expected a size of at least {_SMALLEST} x {_SMALLEST} pixels, found {size}")
    folder = Path(folder)
    written = [_write_scene(folder / "train", name, size, seed) for name in _name_train_scenes(scenes)]
    official = [f"{name}_prep" for name in TEST_SCENES[:test_scenes]]
    written += [_write_scene(folder / "test", name, size, seed, test=True) for name in official]
    _write_metadata(folder, written)
    return written


def _name_train_scenes(count: int) -> list[str]:
    """Names of training scenes: seasons one after the other, services in turn, days apart."""
    first = datetime(2018, 1, 9, 7, 41, 3, tzinfo=UTC)
    starts = [first + timedelta(days=101 * i, hours=3 * i, seconds=17 * i) for i in range(count)]
    # The dataset ends in 2021: later starts go back by a prime number of days, to other seasons.
    starts = [s - timedelta(days=1399 * ((s - first).days // 1399)) for s in starts]
    return [f"{s:%Y%m%dT%H%M%S}_{('dmi', 'cis')[i % 2]}_prep" for i, s in enumerate(starts)]


def _write_scene(
    folder: Path, name: str, size: tuple[int, int], seed: int, *, test: bool = False
) -> SimulatedScene:
    folder.mkdir(parents=True, exist_ok=True)
    parsed = SceneName.parse(name)
    assert parsed is not None
    rng = np.random.default_rng([seed, int(parsed.start.timestamp())])
    centres = _CENTRES[parsed.service]
    latitude, longitude, region = centres[
        (parsed.start.toordinal() + parsed.start.second) % len(centres)
    ]
    truth = simulate_scene(rng, size, centre=(latitude, longitude), month=parsed.start.month)
    path = folder / f"{name}.nc"
    reference = folder / f"{name}_reference.nc" if test else None
    write_input(path, truth, name=name, original=_make_raw_name(parsed, region), charts=not test)
    if reference is not None:
        write_reference(reference, truth)
    return SimulatedScene(path, reference, name, region, truth)


def _make_raw_name(scene: SceneName, region: str) -> str:
    """Name of the scene in the raw version of the dataset; the orbit number follows from the time."""
    start, stop = scene.start, scene.start + timedelta(minutes=1)
    days = (start - datetime(2014, 4, 4, tzinfo=UTC)) / timedelta(days=1)
    orbit = int(days * 175 / 12)
    sar = f"S1A_EW_GRDM_1SDH_{start:%Y%m%dT%H%M%S}_{stop:%Y%m%dT%H%M%S}_{orbit:06d}"
    chart = (
        f"dmi_{start:%Y%m%d%H%M}_{region}_RIC"
        if scene.service == "dmi"
        else f"cis_{region}_{start:%Y%m%dT%H%MZ}_pl_a"
    )
    return f"{sar}_{orbit:06X}_{orbit % 65536:04X}_icechart_{chart}.nc"


def _write_metadata(folder: Path, scenes: list[SimulatedScene]) -> None:
    with atomic(folder / "metadata.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("input_path", "reference_path", "date", "ice_service", "split", "region_id"))
        for scene in scenes:
            name = SceneName.parse(scene.name)
            assert name is not None
            region = f"{scene.region}_RIC" if name.service == "dmi" else scene.region
            reference = "" if scene.reference is None else scene.reference.relative_to(folder)
            part_of = "train" if scene.reference is None else "test"
            day = f"{name.start:%Y-%m-%d %H:%M:%S}"
            row = (scene.path.relative_to(folder), reference, day, name.service, part_of, region)
            table.writerow(row)
