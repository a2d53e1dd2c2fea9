"""The datasets of a simulated ICESat-2 ATL10 granule, in the layout of the true files.

Names, kinds, units, fill values and storage of release 006 are those of true granules. Those
of release 005 follow what its readers ask for; what it keeps besides is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FLOAT_FILL = np.float32(3.4028235e38)
DOUBLE_FILL = np.float64(1.7976931348623157e308)

_CHUNK = 10000
_LEVEL = 6  # what the files say of themselves; what they were really packed with nobody sees
_COORDINATES = "delta_time latitude longitude"
_FLAGS: dict[str, tuple[tuple[int, ...], str]] = {
    "beam_fb_quality_flag": ((-1, 1, 2, 3, 4, 5), "invalid best high med low poor"),
    "height_segment_type": (
        (*range(10), -1),
        "cloud_covered other specular_lead_low_w_bkg specular_lead_low specular_lead_high_w_bkg "
        "specular_lead_high dark_lead_smooth_w_bkg dark_lead_smooth dark_lead_rough_w_bkg "
        "dark_lead_rough new_meaning",
    ),
    "height_segment_ssh_flag": ((0, 1, 2), "sea_ice potential_sea_ice_surface new_meaning"),
    "layer_flag": ((0, 1), "likely_clear likely_cloudy"),
    "podppd_flag": (
        tuple(range(8)),
        "nominal pod_degrade ppd_degrade podppd_degrade cal_nominal cal_pod_degrade "
        "cal_ppd_degrade new_meaning",
    ),
    "beam_refsurf_interp_flag": (
        (-1, 0, 1, 2, 3),
        "no_surf leads_in_swath inferred one-point_fill end-point_fill",
    ),
    "sc_orient": ((0, 1, 2), "backward forward transition"),
}
_UNITS = {
    "latitude": "degrees_north",
    "longitude": "degrees_east",
    "delta_time": "seconds since 2018-01-01",
    "crossing_time": "seconds since 2018-01-01",
    "sc_orient_time": "seconds since 2018-01-01",
    "start_delta_time": "seconds since 2018-01-01",
    "end_delta_time": "seconds since 2018-01-01",
    "atlas_sdp_gps_epoch": "seconds since 1980-01-06T00:00:00.000000Z",
    "lead_dist_x": "m",
    "beam_refsurf_dist_x": "m",
    "beam_refsurf_alongtrack_slope": "degrees",
    "lan": "degrees_east",
}
_WITHOUT_UNIT = (
    "confidence",
    "flag",
    "type",
    "_ndx",
    "_n",
    "ssh_n",
    "_id",
    "geoseg_beg",
    "geoseg_end",
    "ice_conc",
    "ice_conc_amsr2",
    "ice_conc_ssmi",
    "asr_25",
    "photon_rate",
    "bsnow_con",
    "rgt",
    "_cycle",
    "cycle_number",
    "orbit_number",
    "sc_orient",
    "pass_fail",
    "fail_reason",
    "release",
    "version",
    "utc",
    "asr",
    "atm",
)
_IN_HERTZ = ("backgr_calc", "backgr_r_200", "backgr_r_25", "background_r_norm")
# Doubles that have no fill value among the segments, and have one among reference surfaces.
_DISTANCES = ("lead_dist_x", "beam_refsurf_dist_x")
_POSITIONS = ("latitude", "longitude", "delta_time")


def unit_of(name: str) -> str:
    """Unit of a dataset by the last part of its name."""
    if name in _UNITS:
        return _UNITS[name]
    if name in _IN_HERTZ:
        return "hz"
    return "1" if name.endswith(_WITHOUT_UNIT) else "meters"


def fill_of(name: str, values: np.ndarray) -> np.floating | None:
    """Fill value of a dataset below a beam; None where it has none."""
    group, _, own = name.rpartition("/")
    if values.dtype == np.float32:
        return FLOAT_FILL
    if values.dtype == np.float64:
        among_surfaces = group.endswith("reference_surface_section") and own in _POSITIONS
        return DOUBLE_FILL if among_surfaces or own in _DISTANCES else None
    return None


@dataclass
class Content:
    """What a file is to hold.

    Attributes
    ----------
    datasets : dict of str to ndarray
        By path; those below a beam are stored in chunks.
    attributes : dict of str to dict
        Of groups by path, of the file by "/"; texts, kept as bytes of fixed length.
    """

    datasets: dict[str, np.ndarray]
    attributes: dict[str, Mapping[str, Any]]

    def without(self, names: tuple[str, ...]) -> Content:
        """All but the groups and datasets of these paths."""
        below = tuple(f"{name}/" for name in names)
        return Content(
            {k: v for k, v in self.datasets.items() if k not in names and not k.startswith(below)},
            {k: v for k, v in self.attributes.items() if k not in names and not k.startswith(below)},
        )


def write_file(path: Path, content: Content) -> None:
    """Write a file as the true ones are stored."""
    import h5py

    with h5py.File(path, "w") as file:
        for group, attributes in content.attributes.items():
            own = file.require_group(group)
            for name, value in attributes.items():
                own.attrs[name] = np.bytes_(value) if isinstance(value, str) else value
        for name, values in content.datasets.items():
            stored = _store(file, name, values)
            for attribute, value in _attributes_of(name, values).items():
                stored.attrs[attribute] = value


def _attributes_of(name: str, values: np.ndarray) -> dict[str, Any]:
    own = name.rpartition("/")[2]
    found: dict[str, Any] = {"units": np.bytes_(unit_of(own)), "long_name": np.bytes_(own)}
    if name.startswith("gt"):
        others = [each for each in _COORDINATES.split() if each != own]
        if own in _DISTANCES:
            others.remove("delta_time")
        found["coordinates"] = np.bytes_(" ".join(others))
        fill = fill_of(name, values)
        if fill is not None:
            found["_FillValue"] = fill
    if own in _FLAGS:
        codes, meanings = _FLAGS[own]
        found["flag_values"] = np.array(codes, values.dtype)
        found["flag_meanings"] = np.bytes_(meanings)
    return found


def _store(file: Any, name: str, values: np.ndarray) -> Any:
    from isal import isal_zlib

    if not name.startswith("gt"):
        return file.create_dataset(name, data=values)
    shuffle = values.dtype.kind == "i"
    stored = file.create_dataset(
        name,
        values.shape,
        values.dtype,
        chunks=(_CHUNK,),
        maxshape=(None,),
        compression=_LEVEL,
        shuffle=shuffle,
        fillvalue=fill_of(name, values),
    )
    for first in range(0, len(values), _CHUNK):
        part = values[first : first + _CHUNK]
        if len(part) < _CHUNK:  # the last chunk is stored whole
            part = np.pad(part, (0, _CHUNK - len(part)))
        data = np.ascontiguousarray(part).view(np.uint8)
        if shuffle:
            data = np.ascontiguousarray(data.reshape(-1, values.dtype.itemsize).T)
        stored.id.write_direct_chunk((first,), isal_zlib.compress(data, 1))
    return stored
