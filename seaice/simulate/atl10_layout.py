"""The datasets of a simulated ICESat-2 ATL10 granule, in the layout of the true files.

Names, kinds, units, fill values and storage of release 006 are those of true granules. Those
of release 005 are those that its readers need; its other datasets are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seaice.simulate.hdf5_chunks import write_chunks

FLOAT_FILL = np.float32(3.4028235e38)
DOUBLE_FILL = np.float64(1.7976931348623157e308)

_CHUNK = 10000
_COMPRESSION_LEVEL = 6  # that the true files state; the level that was used cannot be read from them
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


def find_unit(name: str) -> str:
    """Unit of a dataset by the last part of its name."""
    if name in _UNITS:
        return _UNITS[name]
    if name in _IN_HERTZ:
        return "hz"
    return "1" if name.endswith(_WITHOUT_UNIT) else "meters"


def find_fill_value(name: str, values: np.ndarray) -> np.floating | None:
    """Fill value of a dataset below a beam; None where it has none."""
    group, _, short_name = name.rpartition("/")
    if values.dtype == np.float32:
        return FLOAT_FILL
    if values.dtype == np.float64:
        among_surfaces = group.endswith("reference_surface_section") and short_name in _POSITIONS
        return DOUBLE_FILL if among_surfaces or short_name in _DISTANCES else None
    return None


@dataclass
class GranuleContent:
    """Datasets and attributes of a granule.

    Attributes
    ----------
    datasets : dict of str to ndarray
        Datasets by path; those below a beam are stored in chunks.
    attributes : dict of str to dict
        Attributes of groups by path, of the file by "/"; texts, kept as bytes of fixed length.
    """

    datasets: dict[str, np.ndarray]
    attributes: dict[str, Mapping[str, Any]]

    def remove(self, names: tuple[str, ...]) -> GranuleContent:
        """Content without the groups and datasets of these paths."""
        below = tuple(f"{name}/" for name in names)
        return GranuleContent(
            {k: v for k, v in self.datasets.items() if k not in names and not k.startswith(below)},
            {k: v for k, v in self.attributes.items() if k not in names and not k.startswith(below)},
        )


def write_file(path: Path, content: GranuleContent) -> None:
    """Write a file in the storage of the true ones."""
    import h5py

    with h5py.File(path, "w") as file:
        for group, attributes in content.attributes.items():
            stored_group = file.require_group(group)
            for name, value in attributes.items():
                stored_group.attrs[name] = np.bytes_(value) if isinstance(value, str) else value
        for name, values in content.datasets.items():
            stored = _store(file, name, values)
            for attribute, value in _make_attributes(name, values).items():
                stored.attrs[attribute] = value


def _make_attributes(name: str, values: np.ndarray) -> dict[str, Any]:
    short_name = name.rpartition("/")[2]
    attributes: dict[str, Any] = {
        "units": np.bytes_(find_unit(short_name)),
        "long_name": np.bytes_(short_name),
    }
    if name.startswith("gt"):
        coordinates = [coordinate for coordinate in _COORDINATES.split() if coordinate != short_name]
        if short_name in _DISTANCES:
            coordinates.remove("delta_time")
        attributes["coordinates"] = np.bytes_(" ".join(coordinates))
        fill = find_fill_value(name, values)
        if fill is not None:
            attributes["_FillValue"] = fill
    if short_name in _FLAGS:
        codes, meanings = _FLAGS[short_name]
        attributes["flag_values"] = np.array(codes, values.dtype)
        attributes["flag_meanings"] = np.bytes_(meanings)
    return attributes


def _store(file: Any, name: str, values: np.ndarray) -> Any:
    if not name.startswith("gt"):
        return file.create_dataset(name, data=values)
    dataset = file.create_dataset(
        name,
        values.shape,
        values.dtype,
        chunks=(_CHUNK,),
        maxshape=(None,),
        compression=_COMPRESSION_LEVEL,
        shuffle=values.dtype.kind == "i",
        fillvalue=find_fill_value(name, values),
    )
    write_chunks(dataset, values)
    return dataset
