"""The folder of a long series: days, climatology, anomalies, months, years, trends and pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.ice_index.climate.pictures import draw_anomalies, draw_years
from seaice.ice_index.climate.record import ANNUAL_MEAN, ClimateRecord
from seaice.ice_index.climate.tables import TABLES, add_records, write_table
from seaice.ice_index.series import MILLION, IndexSeries, write_csv, write_netcdf
from seaice.report import Report, add_picture
from seaice.runtime.output_checks import Output

DAILY, NETCDF = "daily.csv", "index.nc"
_COMMON_COLUMNS = ("region", "quantity", "climatology", "convention")


def plan_outputs(output_dir: Path) -> list[Output]:
    """Make a folder and list what is written in it besides pictures; InputError if it is a file."""
    if output_dir.exists() and not output_dir.is_dir():
        raise InputError(f"expected a folder for --output_dir, found the file {output_dir}")
    output_dir.mkdir(parents=True, exist_ok=True)
    return [
        Output("output_dir", output_dir / DAILY, "table", ("date", "region")),
        Output("output_dir", output_dir / NETCDF, "series"),
        *(Output("output_dir", output_dir / name, "table", _COMMON_COLUMNS) for name in TABLES),
    ]


def write_folder(
    report: Report, output_dir: Path, series: IndexSeries, records: Sequence[ClimateRecord]
) -> None:
    """Write all tables, the NetCDF file and the pictures, and list them in the report.

    Parameters
    ----------
    report : Report
    output_dir : Path
        An existing folder.
    series : IndexSeries
    records : sequence of ClimateRecord
        Of the series; :func:`seaice.ice_index.climate.record.describe_climate`.
    """
    write_csv(series, output_dir / DAILY)
    written = [output_dir / DAILY]
    for name, list_rows in TABLES.items():
        write_table(output_dir / name, records, list_rows, series.describe_convention())
        written.append(output_dir / name)
    write_netcdf(
        series, output_dir / NETCDF, add=lambda dataset: add_records(dataset, series.regions, records)
    )
    report.outputs += [*written, output_dir / NETCDF]
    note = (
        f"ice-covered from {100 * series.threshold:g} %; {series.source}"
        + "; simulated data" * series.is_simulated
    )
    for record in records:
        if record.quantity != "extent":
            continue
        slug = re.sub(r"[^a-z0-9]+", "_", record.region.lower()).strip("_") or "region"
        for kind, draw in (("years", draw_years), ("anomalies", draw_anomalies)):
            if kind == "anomalies" and record.climatology is None:
                continue
            path = output_dir / f"{kind}_{series.regions.index(record.region)}_{slug}.png"
            with add_picture(report, path):
                draw(record, path, note=note)
    names = ", ".join(path.name for path in report.outputs if path.parent == output_dir)
    report.lines.append(f"wrote in {output_dir}: {names}")


def summarise_records(records: Sequence[ClimateRecord]) -> list[str]:
    """Lines for a report: the last extent of every region against what is usual, and the trend."""
    lines = []
    for record in records:
        if record.quantity != "extent":
            continue
        number = np.flatnonzero(~np.isnan(record.filled))[-1]
        value, day = record.filled[number] / MILLION, record.dates[number]
        text = f"{record.region}: {value:.3f} million km2 on {day}"
        if np.isfinite(record.mean[number]):
            text += f", {record.anomaly[number] / MILLION:+.3f} against {record.label}"
        text += f", rank {record.rank[number]:.0f} of {record.ranked_years[number]} from the lowest"
        trend = record.trends[ANNUAL_MEAN]
        if np.isfinite(trend.low):
            text += (
                f"; annual mean {10 * trend.slope / MILLION:+.3f} ({10 * trend.low / MILLION:+.3f} to "
                f"{10 * trend.high / MILLION:+.3f}) million km2 a decade"
            )
        lines.append(text)
    return lines
