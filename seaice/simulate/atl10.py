"""Simulated ICESat-2 ATL10 granules (sea ice freeboard) in the layout of the true files.

A granule is the pass of one revolution over a polar sea: six beams along the ground track of
an orbit like that of ICESat-2, over invented ice. Every segment is a function of the seed, the
pass and the beam. No value was measured, and each file says so.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from seaice import InputError
from seaice.simulate import damage
from seaice.simulate.atl10_layout import (
    DOUBLE_FILL,
    FLOAT_FILL,
    GranuleContent,
    write_file,
)
from seaice.simulate.atl10_segments import (
    BEAMS,
    EPOCH,
    PERIOD,
    Release,
    SimulatedPass,
    simulate_segments,
)

PassDefect = Literal["truncated", "bit_flipped", "html", "no_beams"]
Turn = Literal["backward", "forward", "transition", "turning"]

_SDP_GPS_EPOCH = 1198800018.0
_TEXT_SIZES = {"release": 80, "version": 80}
_REMARK = "Simulated: no value in this file was measured"
_BEAM_NAMES = (
    "latitude",
    "longitude",
    "delta_time",
    "seg_dist_x",
    "height_segment_id",
    "geoseg_beg",
    "geoseg_end",
    "beam_refsurf_ndx",
    "beam_fb_height",
    "beam_fb_unc",
    "beam_fb_confidence",
    "beam_fb_quality_flag",
)
_REPEATED = ("latitude", "longitude", "delta_time")
_GEOPHYSICAL = ("mss", "geoid", "ocean", "load", "earth", "lpe", "dac", "ib", "tide_pole")


def write_atl10(
    folder: Path,
    granule: SimulatedPass,
    *,
    segments: int = 20000,
    reach: float = 3000.0,
    release: Release = "006",
    orientation: Turn = "backward",
    absent: Collection[str] = (),
    seed: int = 0,
    defect: PassDefect | None = None,
) -> Path:
    """Write the file of a pass; a file of the same name is replaced.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    granule : SimulatedPass
        One of :func:`list_simulated_passes`.
    segments : int, optional
        Number of segments of a strong beam; a weak beam has a third, which are longer.
    reach : float, optional
        Kilometres along the track over which they lie.
    release : {"005", "006"}
    orientation : {"backward", "forward", "transition", "turning"}
        "turning" is backward in the first third, in transition in the second, forward in the
        last; the beams say of themselves parameter they were at the start.
    absent : collection of str, optional
        Paths of beams, groups or datasets to leave out, such as ``gt2l/freeboard_segment``.
    seed : int, optional
        Seed of the invented ice.
    defect : str, optional
        Damage of the file, one of :data:`PassDefect`.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If a parameter is out of range.
    """
    for parameter, value, kinds in (
        ("release", release, get_args(Release)),
        ("orientation", orientation, get_args(Turn)),
        ("defect", defect, (None, *get_args(PassDefect))),
    ):
        if value not in kinds:
            raise InputError(f"expected {parameter} out of {kinds}, found {value!r}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{granule.name(release)}.h5"
    if defect == "html":
        path.write_text(damage.ERROR_PAGE)
        return path
    content = _make_content(granule, segments, reach, release, orientation, seed)
    content = content.remove(tuple(absent) + (BEAMS if defect == "no_beams" else ()))
    write_file(path, content)
    if defect == "truncated":
        damage.cut_in_half(path)
    elif defect == "bit_flipped":
        heights = [name for name in content.datasets if name.endswith("/beam_fb_height")]
        damage.flip_bit(path, heights[0])
    return path


def _make_content(
    granule: SimulatedPass, segments: int, reach: float, release: Release, turn: Turn, seed: int
) -> GranuleContent:
    datasets: dict[str, np.ndarray] = {}
    times = []
    attributes: dict[str, dict[str, str]] = {"/": _make_global_attributes(release)}
    for number, beam in enumerate(BEAMS):
        strong = (beam[-1] == "r") == (turn == "forward")
        beam_segments = simulate_segments(
            granule, beam, segments=segments, reach=reach, strong=strong, seed=seed
        )
        times += [beam_segments["delta_time"][0], beam_segments["delta_time"][-1]]
        datasets |= {
            f"{beam}/{name}": values
            for name, values in _arrange_segments(beam_segments, release).items()
        }
        datasets |= {f"{beam}/{name}": values for name, values in _find_surfaces(beam_segments).items()}
        attributes[beam] = {
            "atlas_beam_type": "strong" if strong else "weak",
            "atlas_spot_number": str(number + 1 if turn != "forward" else 6 - number),
            "atlas_pce": f"pce{number // 2 + 1}",
            "atmosphere_profile": f"profile_{number // 2 + 1}",
            "groundtrack_id": beam,
            "sc_orientation": {"forward": "Forward", "transition": "Transition"}.get(turn, "Backward"),
        }
    return GranuleContent(
        datasets | _make_ancillary(granule, release, turn, min(times), max(times)), {**attributes}
    )


def _arrange_segments(segments: dict[str, np.ndarray], release: Release) -> dict[str, np.ndarray]:
    """Datasets of the segments below a beam."""
    repeated = {name: segments[name] for name in _REPEATED}
    heights = {name: values for name, values in segments.items() if name not in _BEAM_NAMES} | repeated
    beam = {name: segments[name] for name in _BEAM_NAMES}
    if release == "005":
        heights["ice_conc"] = heights.pop("ice_conc_ssmi")
        del heights["ice_conc_amsr2"]
        group = "freeboard_beam_segment"
        parts = {"beam_freeboard/": beam, "height_segments/": heights}
    else:
        group = "freeboard_segment"
        level = (segments["latitude"] / 3).astype(np.float32)
        geophysical = {f"height_segment_{name}": level for name in _GEOPHYSICAL} | repeated
        parts = {"": beam, "heights/": heights, "geophysical/": geophysical}
    return {f"{group}/{part}{name}": v for part, named in parts.items() for name, v in named.items()}


def _find_surfaces(segments: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Datasets source leads and source reference surfaces below a beam."""
    is_lead = segments["height_segment_ssh_flag"] == 2
    leads = {name: segments[name][is_lead] for name in _REPEATED}
    leads["lead_dist_x"] = segments["seg_dist_x"][is_lead]
    for name, source in (("height", "height"), ("length", "length_seg"), ("sigma", "sigma")):
        leads[f"lead_{name}"] = segments[f"height_segment_{source}"][is_lead]
    leads["ssh_n"] = np.ones(int(is_lead.sum()), np.int32)
    leads["ssh_ndx"] = segments["height_segment_id"][is_lead]
    sections, first = np.unique(segments["beam_refsurf_ndx"], return_index=True)
    surfaces = {name: segments[name][first] for name in _REPEATED}
    surfaces["beam_refsurf_dist_x"] = segments["seg_dist_x"][first]
    surfaces["beam_refsurf_height"] = np.full(sections.size, -0.15, np.float32)
    surfaces["beam_refsurf_sigma"] = np.full(sections.size, 0.01, np.float32)
    surfaces["beam_refsurf_interp_flag"] = (sections % 5 - 1).astype(np.int16)
    no_surface = surfaces["beam_refsurf_interp_flag"] < 0
    surfaces["beam_refsurf_height"][no_surface] = FLOAT_FILL
    surfaces["beam_refsurf_dist_x"] = np.where(no_surface, DOUBLE_FILL, surfaces["beam_refsurf_dist_x"])
    groups = {"leads": leads, "reference_surface_section": surfaces}
    return {f"{group}/{name}": v for group, named in groups.items() for name, v in named.items()}


def _make_ancillary(
    granule: SimulatedPass, release: Release, turn: Turn, first: float, last: float
) -> dict[str, np.ndarray]:
    node = (granule.start - EPOCH).total_seconds()
    codes = {"backward": [0], "forward": [1], "transition": [2], "turning": [0, 2, 1]}[turn]
    changes = [node - 75600, *(first + (last - first) * part / 3 for part in (1, 2))][: len(codes)]
    texts = {
        "granule_start_utc": _format_time(node),
        "granule_end_utc": _format_time(node + PERIOD),
        "data_start_utc": _format_time(first),
        "data_end_utc": _format_time(last),
        "release": release,
        "version": "01",
    }
    datasets: dict[str, np.ndarray] = {
        f"ancillary_data/{name}": np.array([text.ljust(_TEXT_SIZES.get(name, 27)).encode()])
        for name, text in texts.items()
    }
    datasets |= {
        "ancillary_data/atlas_sdp_gps_epoch": np.array([_SDP_GPS_EPOCH]),
        "ancillary_data/start_delta_time": np.array([first]),
        "ancillary_data/end_delta_time": np.array([last]),
        "ancillary_data/start_rgt": np.array([granule.ground_track], np.int32),
        "ancillary_data/start_cycle": np.array([granule.cycle], np.int32),
        "orbit_info/sc_orient": np.array(codes, np.int8),
        "orbit_info/sc_orient_time": np.array(changes),
        "orbit_info/rgt": np.array([granule.ground_track], np.int16),
        "orbit_info/cycle_number": np.array([granule.cycle], np.int8),
        "orbit_info/orbit_number": np.array([granule.revolution % 65536], np.uint16),
        "orbit_info/lan": np.array([granule.node_longitude]),
        "orbit_info/crossing_time": np.array([node]),
        "quality_assessment/qa_granule_pass_fail": np.zeros(1, np.int32),
        "quality_assessment/qa_granule_fail_reason": np.zeros(1, np.int32),
    }
    return datasets


def _format_time(seconds: float) -> str:
    return f"{EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%fZ}"


def _make_global_attributes(release: Release) -> dict[str, str]:
    return {
        "Conventions": "CF-1.6",
        "short_name": "ATL10",
        "title": _REMARK,
        "description": _REMARK,
        "institution": "Simulation",
        "identifier_product_type": "ATL10",
        "identifier_product_doi": f"doi:10.5067/ATLAS/ATL10.{release}",
        "featureType": "trajectory",
    }
