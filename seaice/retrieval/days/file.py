"""Files of daily ice concentration: their name, variables and attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from seaice import cf
from seaice.cf import Variable
from seaice.gridding.file import DIMENSIONS, TimeStep, describe_count, describe_statistic, write_gridded
from seaice.grids import Grid
from seaice.open_file import open_netcdf
from seaice.retrieval.days.grid_day import DayConcentration, DayFlag
from seaice.retrieval.tie_points import TiePoints

PRODUCT_VERSION = "0.1"
_REFERENCES = (
    "Lavergne, T., et al. (2019), Version 2 of the EUMETSAT OSI SAF and ESA CCI sea-ice concentration "
    "climate data records, The Cryosphere 13, 49-78, doi:10.5194/tc-13-49-2019"
)


def name_file(sensor: str, grid: Grid, day: date) -> str:
    """Name of the file of a day.

    Examples
    --------
    >>> from seaice.grids import get_grid
    >>> name_file("AMSR2", get_grid("n6250"), date(2020, 1, 31))
    'sic-AMSR2-n6250-20200131-v0.1.nc'
    """
    return f"sic-{sensor}-{grid.id}-{day:%Y%m%d}-v{PRODUCT_VERSION}.nc"


def define_variables(further: Sequence[str]) -> tuple[Variable, ...]:
    """Variables of a file; ``further`` are the names of algorithms beside the first."""
    percent = {"units": "percent", "cell_methods": "area: time: mean"}
    fraction = "sea_ice_area_fraction"
    beside = "sea_ice_conc_error status_flag misfit number_of_passes mean_time"
    masks = np.array([int(flag) for flag in DayFlag], np.uint16)
    return (
        describe_statistic(
            "sea_ice_conc",
            "sea ice concentration, from 0 to 100 and 0 where the filter says open water",
            standard_name=fraction,
            ancillary_variables=beside,
            **percent,
        ),
        describe_statistic(
            "sea_ice_conc_error",
            "standard error of the sea ice concentration",
            standard_name=f"{fraction} standard_error",
            **percent,
        ),
        describe_statistic(
            "sea_ice_conc_raw",
            "sea ice concentration before limits and filters, for means and statistics",
            standard_name=fraction,
            **percent,
        ),
        *(
            describe_statistic(
                f"sea_ice_conc_{name}",
                f"sea ice concentration of the algorithm {name}",
                standard_name=fraction,
                **percent,
            )
            for name in further
        ),
        Variable(
            "status_flag",
            DIMENSIONS,
            "u2",
            {
                "standard_name": "status_flag",
                "long_name": "what is known of the sea ice concentration of a cell",
                "flag_masks": masks,
                "flag_meanings": " ".join(str(flag.name).lower() for flag in DayFlag),
                "valid_range": np.array([0, masks.sum()], np.uint16),
            },
        ),
        describe_statistic(
            "misfit",
            "distance of the temperatures from all mixtures of water and ice, over what one cell in a "
            "thousand has by chance",
            "1",
            cell_methods="area: time: mean",
        ),
        describe_count("number_of_passes", "number of passes over the cell"),
        describe_statistic(
            "mean_time",
            "mean time of the passes, hours since 00:00 UTC of the day",
            "h",
            cell_methods="area: mean",
        ),
    )


def make_fields(
    day: DayConcentration, further: Mapping[str, DayConcentration], land: np.ndarray
) -> dict[str, np.ndarray]:
    """Fields of the variables of :func:`define_variables`, percent, NaN on land."""
    fields = {
        "sea_ice_conc": 100 * day.filtered,
        "sea_ice_conc_error": 100 * day.standard_error,
        "sea_ice_conc_raw": 100 * day.concentration,
        **{f"sea_ice_conc_{name}": 100 * other.filtered for name, other in further.items()},
        "misfit": day.misfit,
        "mean_time": day.hours,
    }
    for field in fields.values():
        field[land] = np.nan
    status = np.where(land, np.uint16(DayFlag.LAND), day.status)
    passes = np.where(land, 0, day.passes)
    return {**fields, "status_flag": status, "number_of_passes": passes}


def write_day(
    path: Path,
    *,
    grid: Grid,
    day: date,
    fields: Mapping[str, np.ndarray],
    further: Sequence[str],
    attributes: Mapping[str, Any],
) -> None:
    """Write the file of a day."""
    write_gridded(
        path,
        grid=grid,
        steps=[TimeStep(day, day)],
        variables=define_variables(further),
        fields=lambda _: fields,
        attributes=attributes,
    )


def describe_day(
    *,
    grid: Grid,
    day: date,
    parameters: Mapping[str, Any],
    tie_points: TiePoints,
    tie_point_file: str,
    sources: Sequence[str],
) -> dict[str, Any]:
    """Global attributes of the file of a day."""
    sensor = tie_points.sensor
    return {
        **cf.describe_file(
            title=f"Daily sea ice concentration from {sensor} on the grid {grid}",
            summary=f"Passes of {day}, UTC, retrieved where they were measured, gridded and averaged.",
            source=f"{sensor} brightness temperatures, {tie_points.product}",
            stage="retrieve_concentration",
            parameters=parameters,
            references=_REFERENCES,
            call={"day": day},
            keywords=cf.CONCENTRATION_KEYWORDS,
        ),
        "sensor": sensor,
        "algorithm": parameters["algorithms"][0],
        "tie_point_file": tie_point_file,
        "tie_point_digest": tie_points.digest,
        "product_version": PRODUCT_VERSION,
        "time_coverage_start": f"{day}T00:00:00Z",
        "time_coverage_end": f"{day}T23:59:59Z",
        "input_granules": " ".join(sources),
    }


def is_complete(path: Path, parameters: Mapping[str, Any], sources: Sequence[str]) -> bool:
    """Whether a file is there and was made with the same parameters of the same sources."""
    if not path.exists():
        return False
    try:
        with open_netcdf(path) as dataset:
            same = json.loads(dataset.getncattr("parameters")) == json.loads(json.dumps(parameters))
            return bool(same and dataset.getncattr("input_granules") == " ".join(sources))
    except (OSError, AttributeError, ValueError):
        return False
