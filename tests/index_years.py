"""Made-up years of sea ice extent, and the daily file of NSIDC that holds them."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np


def simulate_extent(
    first: date, last: date, *, seed: int = 3, slope: float = -0.06
) -> tuple[list[date], np.ndarray]:
    """Daily extent in million km2 with a season, a trend in million km2 a year, and weather."""
    rng = np.random.default_rng(seed)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    season = np.array([day.timetuple().tm_yday for day in days])
    angle = 2 * np.pi * (season - 68) / 365.25
    year = np.array([(day - first).days / 365.25 for day in days])
    weather = np.zeros(len(days))
    for number, step in enumerate(rng.normal(0, 0.045, len(days) - 1), start=1):
        weather[number] = 0.985 * weather[number - 1] + step
    return days, 10.3 + 4.6 * np.cos(angle) - 0.6 * np.cos(2 * angle) + slope * year + weather


def write_nsidc_days(path: Path, days: list[date], extent: np.ndarray) -> Path:
    """The layout of N_seaice_extent_daily_v4.0.csv; days without a value are not listed."""
    lines = ["Year, Month, Day,     Extent,    Missing, Source Data"]
    lines += ["YYYY,    MM,  DD, 10^6 sq km, 10^6 sq km, Source data product web sites: none"]
    for day, value in zip(days, extent, strict=True):
        if not np.isnan(value):
            files = f"\"['/n_{day:%Y%m%d}.bin', '/other.bin']\""
            lines += [f"{day.year},    {day:%m},  {day:%d},     {value:6.3f},      0.000,{files}"]
    path.write_text("\n".join(lines) + "\n")
    return path
