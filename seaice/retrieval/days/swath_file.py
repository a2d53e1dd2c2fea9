"""Files of the concentration of single passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seaice import cf
from seaice.gridding.file import FILL
from seaice.open_file import open_netcdf
from seaice.retrieval.days.file import PRODUCT_VERSION
from seaice.retrieval.days.grid_day import complete_times
from seaice.retrieval.status import Status
from seaice.retrieval.swath import SwathConcentration
from seaice.runtime.atomic_write import atomic
from seaice.sources.amsr2.swath import LATITUDE, LONGITUDE, TIME_UNITS

_FRACTION = "sea_ice_area_fraction"
_BESIDE = "ice_conc_standard_error status_flag"


def name_pass(sensor: str, granule: str) -> str:
    """Name of the file of a pass."""
    return f"sic-{sensor}-swath-{granule}-v{PRODUCT_VERSION}.nc"


def write_swath(path: Path, part: SwathConcentration, attributes: dict[str, Any]) -> None:
    """Write the concentration of a pass at its pixels."""
    import netCDF4

    is_open_water = (part.status & Status.OPEN_WATER) > 0
    clipped = np.clip(part.concentration, 0, 1)
    filtered = np.where(is_open_water & np.isfinite(clipped), np.float32(0), clipped)
    percent = {"units": "percent", "coordinates": "time lat lon"}
    fields: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
        "lat": (part.latitude, dict(LATITUDE)),
        "lon": (part.longitude, dict(LONGITUDE)),
        "ice_conc": (
            100 * filtered,
            {
                "standard_name": _FRACTION,
                "long_name": "sea ice concentration, from 0 to 100 and 0 over open water",
                "ancillary_variables": _BESIDE,
                **percent,
            },
        ),
        "ice_conc_standard_error": (
            100 * part.standard_error,
            {
                "standard_name": f"{_FRACTION} standard_error",
                "long_name": "standard error of the sea ice concentration",
                **percent,
            },
        ),
        "ice_conc_raw": (
            100 * part.concentration,
            {
                "standard_name": _FRACTION,
                "long_name": "sea ice concentration before limits and filters",
                **percent,
            },
        ),
    }
    with (
        atomic(path, verify=lambda p: open_netcdf(p).close(), checksum=True) as temporary,
        netCDF4.Dataset(temporary, "w") as dataset,
    ):
        dataset.setncatts(attributes)
        dataset.createDimension("scan", part.latitude.shape[0])
        dataset.createDimension("pixel", part.latitude.shape[1])
        time = dataset.createVariable("time", "f8", ("scan",), fill_value=FILL)
        time.setncatts(
            {"standard_name": "time", "long_name": "time of the scan (UTC)", "units": TIME_UNITS}
        )
        time[:] = np.nan_to_num(complete_times(part.time), nan=FILL)
        for name, (values, described) in fields.items():
            variable = dataset.createVariable(
                name, "f4", ("scan", "pixel"), fill_value=FILL, compression="zlib", complevel=1
            )
            variable.setncatts(described)
            variable[:] = np.where(np.isnan(values), FILL, values)
        flag = dataset.createVariable(
            "status_flag", "u1", ("scan", "pixel"), compression="zlib", complevel=1
        )
        masks = np.array([int(bit) for bit in Status], np.uint8)
        flag.setncatts(
            {
                "standard_name": "status_flag",
                "long_name": "what is known of the sea ice concentration of a pixel",
                "flag_masks": masks,
                "flag_meanings": " ".join(str(bit.name).lower() for bit in Status),
                "coordinates": "time lat lon",
            }
        )
        flag[:] = part.status


def describe_swath(granule: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """Global attributes of the file of a pass, from those of a day."""
    kept = {k: v for k, v in attributes.items() if not k.startswith(("time_coverage", "geospatial"))}
    return {
        **kept,
        cf.KIND_ATTRIBUTE: cf.KINDS["retrieve_swath"],
        "title": f"Sea ice concentration of the pass {granule}",
        "summary": "Pixels of one pass, where they were measured.",
        "processing_level": "Level 2",
        "input_granules": granule,
    }
