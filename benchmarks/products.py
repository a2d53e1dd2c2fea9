"""Days of a general NetCDF product against netCDF4 merely reading and writing them.

Claim: a day of a described product (ESA CCI on 864 x 864 cells: concentration, flags and standard
error) costs at most 1.5 of what netCDF4 takes to read its three variables and to write the four of a
cube with the same chunks and filters. Both run in turn in one process on the same files, after a
warm-up; the cost of a day is the slope between two numbers of days.

  python benchmarks/products.py --days 60
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import netCDF4
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice import cf
from seaice.cube.consolidate import consolidate
from seaice.cube.file import CubeFile
from seaice.cube.packing import PACKED
from seaice.gapfill.temporal import Temporal

START = date(2020, 1, 1)
CELLS, STEP = 864, 12.5  # km
DISTINCT = 6


def write_files(folder: Path, days: int) -> list[Path]:
    """Write days in the layout of ESA CCI: an ice cap with an uneven edge, land, some gaps."""
    x = (np.arange(CELLS) + 0.5) * STEP - CELLS * STEP / 2
    radius = np.hypot(x[None, :], x[::-1, None])
    angle = np.arctan2(x[::-1, None], x[None, :])
    land = np.sin(3 * angle) > 0.75
    rng = np.random.default_rng(0)
    paths = []
    for number in range(days):
        day = START + timedelta(days=number)
        path = folder / f"ESACCI-SEAICE-L4-SICONC-RE_SSMI_12.5kmEASE2-NH-{day:%Y%m%d}-fv3.0.nc"
        paths.append(path)
        if number >= DISTINCT:
            path.write_bytes(paths[number % DISTINCT].read_bytes())
            with netCDF4.Dataset(path, "a") as dataset:
                dataset["time"][:] = (day - date(1978, 1, 1)).days * 86400 + 43200
            continue
        edge = 2800 + 200 * np.sin(5 * angle + 0.2 * number)
        ice = np.clip((edge - radius) / 3, 0, 100) + rng.normal(0, 2, radius.shape)
        ice = np.where(radius > edge, 0, np.clip(ice, 0, 100))
        missing = (np.abs(angle - number + 2) < 0.15) & ~land
        write_day(path, day, x, np.where(land | missing, np.nan, ice), land)
    return paths


def write_day(path: Path, day: date, x: np.ndarray, ice: np.ndarray, land: np.ndarray) -> None:
    with netCDF4.Dataset(path, "w") as dataset:
        for name, size in (("time", 1), ("yc", CELLS), ("xc", CELLS)):
            dataset.createDimension(name, size)
        time_variable = dataset.createVariable("time", "f8", ("time",))
        time_variable.units = "seconds since 1978-01-01 00:00:00"
        time_variable[:] = (day - date(1978, 1, 1)).days * 86400 + 43200
        for name, values in (("xc", x), ("yc", x[::-1])):
            axis = dataset.createVariable(name, "f8", (name,))
            axis.setncatts({"standard_name": f"projection_{name[0]}_coordinate", "units": "km"})
            axis[:] = values
        mapping = dataset.createVariable("Lambert_Azimuthal_Grid", "i4")
        mapping.setncatts({
            "grid_mapping_name": "lambert_azimuthal_equal_area", "latitude_of_projection_origin": 90.0,
            "longitude_of_projection_origin": 0.0, "semi_major_axis": 6378137.0,
            "inverse_flattening": 298.257223563,
        })  # fmt: skip
        fields = {
            "ice_conc": (ice, "i2", -32767, {"units": "%", "standard_name": "sea_ice_area_fraction"}),
            "total_standard_uncertainty": (1.0 + 0.03 * ice, "i2", -32767, {"units": "%"}),
        }  # fmt: skip
        for name, (values, dtype, fill, attributes) in fields.items():
            variable = dataset.createVariable(
                name, dtype, ("time", "yc", "xc"), fill_value=fill, zlib=True, complevel=4
            )
            variable.setncatts(
                {**attributes, "scale_factor": 0.01, "grid_mapping": "Lambert_Azimuthal_Grid"}
            )
            variable.set_auto_maskandscale(False)
            variable[0] = np.where(np.isnan(values), fill, np.rint(100 * np.nan_to_num(values)))
        flags = dataset.createVariable("status_flag", "u1", ("time", "yc", "xc"), zlib=True)
        flags.setncatts({
            "flag_masks": np.array([1, 2, 4, 8, 16, 32, 64, 128], np.uint8),
            "flag_meanings": "land lake open_water_filter land_spill_over high_t2m spatial_interp "
            "temporal_interp max_climatology",
        })  # fmt: skip
        flags[0] = land.astype(np.uint8)


def read_and_write(sources: list[Path], cube: Path, target: Path) -> None:
    """Read every input and write what a cube holds, a few of its days in turn."""
    with CubeFile(cube) as opened:
        grid = opened.grid
        fields = [[opened.variable(name, i) for name in PACKED] for i in range(DISTINCT)]
    with netCDF4.Dataset(target, "w") as dataset:
        cf.write_time(dataset)
        cf.write_grid(dataset, grid)
        variables = [cf.define_variable(dataset, name) for name in PACKED]
        for i, source in enumerate(sources):
            with netCDF4.Dataset(source) as daily:
                daily.set_auto_maskandscale(False)
                for name in ("ice_conc", "status_flag", "total_standard_uncertainty"):
                    daily[name][:]
            for variable, values in zip(variables, fields[i % DISTINCT], strict=True):
                variable[i] = values


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=60, help="the longer run [%(default)s]")
    parser.add_argument("--repeats", type=int, default=3, help="[%(default)s]")
    options = parser.parse_args()
    short, long = 12, options.days
    with tempfile.TemporaryDirectory() as folder:
        (source_dir := Path(folder, "files")).mkdir()
        sources = write_files(source_dir, long)
        cube, other = Path(folder, "cube.nc"), Path(folder, "other.nc")

        def fill(count: int) -> float:
            begin = time.perf_counter()
            consolidate(
                source_dir=source_dir, start_date=START, end_date=START + timedelta(days=count - 1),
                output_file=cube, method=Temporal(), force=True,
            )  # fmt: skip
            return time.perf_counter() - begin

        def merely(count: int) -> float:
            begin = time.perf_counter()
            read_and_write(sources[:count], cube, other)
            return time.perf_counter() - begin

        fill(short), merely(short)
        ratios = []
        for _ in range(options.repeats):
            of_cube = (fill(long) - fill(short)) / (long - short)
            of_library = (merely(long) - merely(short)) / (long - short)
            ratios.append(of_cube / of_library)
            print(f"a day: {of_cube:.4f} s, merely read and written {of_library:.4f} s", flush=True)
        print(f"ratio {statistics.median(ratios):.2f} (asked: at most 1.5)")


if __name__ == "__main__":
    main()
