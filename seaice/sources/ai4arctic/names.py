"""File names of AI4Arctic scenes, the scenes of a folder, and groups that show the same ice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from seaice import InputError
from seaice.report import describe_contents
from seaice.sources.ai4arctic.tables import TEST_SCENES

Service = Literal["dmi", "cis"]

_READY = re.compile(r"(?P<start>\d{8}T\d{6})_(?P<service>dmi|cis)_prep(?P<reference>_reference)?$")
_RAW = re.compile(
    r"(?P<satellite>S1[A-D])_EW_GRDM_1SDH_(?P<start>\d{8}T\d{6})_\d{8}T\d{6}_(?P<orbit>\d{6})_"
    r"[0-9A-F]{6}_[0-9A-F]{4}_icechart_(?:"
    r"(?P<dmi>dmi)_\d{12}_(?P<dmi_region>\w+?)_RIC|"
    r"(?P<cis>cis)_(?P<cis_region>[A-Z]+)_\d{8}T\d{4}Z_pl_a)$"
)
# Images of one pass follow each other every minute; passes are 49 minutes or more apart.
PASS_MINUTES = 15


@dataclass(frozen=True)
class SceneName:
    """The parts of the file name of a scene.

    Attributes
    ----------
    name : str
        Name of the ready-to-train input without ``.nc``, such as ``20180124T194759_dmi_prep``.
    start : datetime
        Start of the SAR image, UTC.
    service : {"dmi", "cis"}
        Ice service that drew the chart.
    is_reference : bool
        Whether the file holds the charts of a test scene.
    satellite : str
        "S1A" or "S1B"; empty for a ready-to-train name, which does not state it.
    orbit : int or None
        Absolute orbit; None for a ready-to-train name.
    region : str
        Region of the ice chart; empty for a ready-to-train name.
    """

    name: str
    start: datetime
    service: Service
    is_reference: bool = False
    satellite: str = ""
    orbit: int | None = None
    region: str = ""

    @classmethod
    def parse(cls, name: str) -> SceneName | None:
        """Parse a ready-to-train or raw file name, with or without ``.nc``; None for any other name.

        Examples
        --------
        >>> SceneName.parse("20180124T194759_dmi_prep_reference.nc").is_reference
        True
        >>> raw = (
        ...     "S1B_EW_GRDM_1SDH_20180623T114935_20180623T115035_011498_0151F0_1A2B"
        ...     "_icechart_cis_SGRDIHA_20180623T1200Z_pl_a.nc"
        ... )
        >>> scene = SceneName.parse(raw)
        >>> scene.name, scene.orbit, scene.region
        ('20180623T114935_cis_prep', 11498, 'SGRDIHA')
        """
        stem = name.removesuffix(".nc")
        match = _READY.match(stem) or _RAW.match(stem)
        if not match:
            return None
        parts = match.groupdict()
        try:
            start = datetime.strptime(parts["start"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return None
        service: Service = "dmi" if "dmi" in (parts.get("service"), parts.get("dmi")) else "cis"
        return cls(
            name=f"{parts['start']}_{service}_prep",
            start=start,
            service=service,
            is_reference=bool(parts.get("reference")),
            satellite=parts.get("satellite") or "",
            orbit=int(parts["orbit"]) if parts.get("orbit") else None,
            region=parts.get("dmi_region") or parts.get("cis_region") or "",
        )

    @property
    def is_test(self) -> bool:
        """Whether the scene is one of the official test scenes."""
        return self.name.removesuffix("_prep") in TEST_SCENES

    @property
    def acquisition(self) -> tuple[str, int] | None:
        """Satellite and absolute orbit; None if the name does not state them."""
        return None if self.orbit is None else (self.satellite, self.orbit)


def list_scenes(folder: Path) -> list[Path]:
    """List the scenes of a folder and of the folders below it, in the order of their names.

    Files of charts alone (``*_reference.nc``) are left out.

    Raises
    ------
    InputError
        If there is no such folder, no scene in it, or one scene in two places.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"expected a folder of scenes, found none: {folder}")
    paths: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.nc")):
        scene = SceneName.parse(path.name)
        if scene is None or scene.is_reference or path.name != f"{scene.name}.nc":
            continue
        if scene.name in paths:
            raise InputError(
                f"expected every scene once, found {scene.name} in {paths[scene.name].parent} and "
                f"{path.parent}; remove one of them"
            )
        paths[scene.name] = path
    if not paths:
        raise InputError(
            f"expected scenes named YYYYMMDDThhmmss_dmi_prep.nc or ..._cis_prep.nc, found none in "
            f"{folder} ({describe_contents(folder)}); fetch them with segmentation.py download"
        )
    return [paths[name] for name in sorted(paths)]


def group_same_scenes(
    names: Sequence[str], originals: Mapping[str, str] | None = None
) -> list[tuple[str, ...]]:
    """Group scenes that show the same ice, so that a split does not separate them.

    Scenes belong to one group if they have the same start time (one SAR image, charted by two
    services) or are of one pass of the satellite. A pass is recognised by the absolute orbit if
    raw names state it for both scenes, otherwise by start times less than 15 minutes apart.

    Parameters
    ----------
    names : sequence of str
        Ready-to-train names.
    originals : mapping of str to str, optional
        Raw name by ready-to-train name (attribute ``original_id`` of the files).

    Returns
    -------
    list of tuple of str
        Every name once; the names of a group and the groups are sorted.

    Raises
    ------
    InputError
        If a name is not the name of a scene.

    Examples
    --------
    >>> group_same_scenes(["20200319T101935_cis_prep", "20200319T102035_cis_prep"])
    [('20200319T101935_cis_prep', '20200319T102035_cis_prep')]
    """
    known_originals = originals or {}
    parsed = [_parse_best_name(name, known_originals.get(name, "")) for name in set(names)]
    scenes = sorted(parsed, key=lambda scene: (scene.start, scene.name))
    group = list(range(len(scenes)))  # by scene: the number of its group

    def join(i: int, j: int) -> None:
        old, new = max(group[i], group[j]), min(group[i], group[j])
        group[:] = [new if number == old else number for number in group]

    orbits: dict[tuple[str, int], int] = {}
    for i, scene in enumerate(scenes):
        if scene.acquisition is not None:
            join(i, orbits.setdefault(scene.acquisition, i))
        for j in range(i - 1, -1, -1):
            interval = scene.start - scenes[j].start
            if interval >= timedelta(minutes=PASS_MINUTES):
                break
            have_orbits = scene.acquisition is not None and scenes[j].acquisition is not None
            if not interval or not have_orbits:
                join(i, j)
    members: dict[int, list[str]] = {}
    for number, scene in zip(group, scenes, strict=True):
        members.setdefault(number, []).append(scene.name)
    return sorted(tuple(sorted(names)) for names in members.values())


def _parse_best_name(name: str, original: str) -> SceneName:
    """Parse the raw name of a scene, which states more, if it fits; else the ready-to-train name."""
    ready = SceneName.parse(name)
    if ready is None:
        raise InputError(f"expected a scene name such as 20180124T194759_dmi_prep, found {name!r}")
    raw = SceneName.parse(Path(original).name)
    return raw if raw is not None and raw.name == ready.name else ready
