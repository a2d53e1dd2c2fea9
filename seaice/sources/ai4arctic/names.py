"""Names of AI4Arctic scenes, the scenes of a folder, and which of them belong together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from seaice import InputError
from seaice.sources.ai4arctic.tables import TEST_SCENES

Service = Literal["dmi", "cis"]

_READY = re.compile(r"(?P<start>\d{8}T\d{6})_(?P<service>dmi|cis)_prep(?P<reference>_reference)?$")
_RAW = re.compile(
    r"(?P<satellite>S1[A-D])_EW_GRDM_1SDH_(?P<start>\d{8}T\d{6})_\d{8}T\d{6}_(?P<orbit>\d{6})_"
    r"[0-9A-F]{6}_[0-9A-F]{4}_icechart_(?:"
    r"(?P<dmi>dmi)_\d{12}_(?P<dmi_region>\w+?)_RIC|"
    r"(?P<cis>cis)_(?P<cis_region>[A-Z]+)_\d{8}T\d{4}Z_pl_a)$"
)
# Frames of one pass follow each other every minute, satellites every 49 minutes or more.
PASS_MINUTES = 15


@dataclass(frozen=True)
class SceneName:
    """What the name of a scene says.

    Attributes
    ----------
    name : str
        Of the ready-to-train input, without ``.nc``: ``20180124T194759_dmi_prep``.
    start : datetime
        UTC, of the SAR scene.
    service : {"dmi", "cis"}
        Of the ice chart.
    is_reference : bool
        Whether the file holds the charts of a test scene.
    satellite : str
        "S1A" or "S1B"; empty where only the raw name would tell.
    orbit : int or None
        Absolute, likewise.
    region : str
        Of the ice chart, likewise.
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
        """The parts of a ready-to-train or raw file name, with or without ``.nc``; else None.

        Examples
        --------
        >>> SceneName.parse("20180124T194759_dmi_prep_reference.nc").is_reference
        True
        >>> raw = (
        ...     "S1B_EW_GRDM_1SDH_20180623T114935_20180623T115035_011498_0151F0_1A2B"
        ...     "_icechart_cis_SGRDIHA_20180623T1200Z_pl_a.nc"
        ... )
        >>> found = SceneName.parse(raw)
        >>> found.name, found.orbit, found.region
        ('20180623T114935_cis_prep', 11498, 'SGRDIHA')
        """
        own = name.removesuffix(".nc")
        found = _READY.match(own) or _RAW.match(own)
        if not found:
            return None
        parts = found.groupdict()
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
        """Whether it is one of the official test scenes."""
        return self.name.removesuffix("_prep") in TEST_SCENES

    @property
    def acquisition(self) -> tuple[str, int] | None:
        """Satellite and absolute orbit; None where the name does not tell."""
        return None if self.orbit is None else (self.satellite, self.orbit)


def list_scenes(folder: Path) -> list[Path]:
    """Inputs of a folder and those below it, by name; ``*_reference.nc`` files are left out.

    Raises
    ------
    InputError
        If there is no such folder, no scene in it, or one scene in two places.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"expected a folder of scenes, found none: {folder}")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.nc")):
        name = SceneName.parse(path.name)
        if name is None or name.is_reference or path.name != f"{name.name}.nc":
            continue
        if name.name in found:
            raise InputError(
                f"expected every scene once, found {name.name} in {found[name.name].parent} and "
                f"{path.parent}; remove one of them"
            )
        found[name.name] = path
    if not found:
        raise InputError(
            f"expected scenes named YYYYMMDDThhmmss_dmi_prep.nc or ..._cis_prep.nc, found none in "
            f"{folder}; fetch them with segmentation.py download"
        )
    return [found[name] for name in sorted(found)]


def same_scene_groups(
    names: Sequence[str], originals: Mapping[str, str] | None = None
) -> list[tuple[str, ...]]:
    """Scenes that must not be parted by a split, because they show the same ice.

    Together are scenes of one start time (the same SAR scene, charted by two services) and
    of one pass of the satellite: the same absolute orbit where raw names tell it of both, else
    start times less than 15 minutes apart.

    Parameters
    ----------
    names : sequence of str
        Of scenes, ready-to-train.
    originals : mapping of str to str, optional
        Raw names, by name (attribute ``original_id`` of the files).

    Returns
    -------
    list of tuple of str
        Every name once, groups by their first name, names in order.

    Raises
    ------
    InputError
        If a name is not one of a scene.

    Examples
    --------
    >>> same_scene_groups(["20200319T101935_cis_prep", "20200319T102035_cis_prep"])
    [('20200319T101935_cis_prep', '20200319T102035_cis_prep')]
    """
    scenes = sorted((_known(name, (originals or {}).get(name, "")) for name in set(names)), key=_order)
    group = list(range(len(scenes)))

    def join(i: int, j: int) -> None:
        old, new = max(group[i], group[j]), min(group[i], group[j])
        group[:] = [new if g == old else g for g in group]

    orbits: dict[tuple[str, int], int] = {}
    for i, scene in enumerate(scenes):
        if scene.acquisition is not None:
            join(i, orbits.setdefault(scene.acquisition, i))
        for j in range(i - 1, -1, -1):
            apart = scene.start - scenes[j].start
            if apart >= timedelta(minutes=PASS_MINUTES):
                break
            told = scene.acquisition is not None and scenes[j].acquisition is not None
            if not apart or not told:
                join(i, j)
    members: dict[int, list[str]] = {}
    for g, scene in zip(group, scenes, strict=True):
        members.setdefault(g, []).append(scene.name)
    return sorted(tuple(sorted(names)) for names in members.values())


def _order(scene: SceneName) -> tuple[datetime, str]:
    return scene.start, scene.name


def _known(name: str, original: str) -> SceneName:
    own = SceneName.parse(name)
    if own is None:
        raise InputError(f"expected a scene name such as 20180124T194759_dmi_prep, found {name!r}")
    raw = SceneName.parse(Path(original).name)
    return raw if raw is not None and raw.name == own.name else own
