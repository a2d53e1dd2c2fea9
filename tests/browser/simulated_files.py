"""Small files of every kind that the page shows."""

from datetime import date, timedelta
from pathlib import Path

import netCDF4
import numpy as np
from cubes import small_grid, write_cube

from seaice import cf
from seaice.flags import FillFlag, Surface
from seaice.freeboard.grid_variables import define_freeboard_variables
from seaice.gridding.file import TimeStep, write_gridded
from seaice.grids import Grid

FIRST_DAY = date(2023, 12, 20)


def make_surface(rows: int, columns: int) -> np.ndarray:
    surface = np.full((rows, columns), int(Surface.OCEAN), np.uint8)
    surface[: rows // 5, : columns // 3] = Surface.LAND
    surface[rows // 5, : columns // 3] = Surface.COAST
    surface[rows // 2 - 1 : rows // 2 + 2, columns // 2 - 1 : columns // 2 + 2] = Surface.POLE_HOLE
    surface[2:5, 2:5] = Surface.LAKE
    return surface


def simulate_cube(
    path: Path,
    *,
    days: int = 40,
    grid: Grid | None = None,
    has_errors: bool = True,
    step_days: int = 1,
    first_day: date = FIRST_DAY,
) -> Path:
    """A cube of random values, of which every seventh column is filled and some are missing."""
    grid = grid or small_grid(60, 84)
    random = np.random.default_rng(days)
    concentration = random.integers(0, 10_001, (days, *grid.shape)) / 10_000
    flags = np.full(concentration.shape, FillFlag.OBSERVED, np.uint8)
    flags[:, :, ::7] = FillFlag.DEPARTURE_TWO_SIDED
    flags[days // 2, grid.rows // 2 :, :] = FillFlag.TEMPORAL_ONE_SIDED
    concentration[:, -4:, :] = np.nan
    surface = make_surface(*grid.shape)
    flags[np.isnan(concentration)] = FillFlag.NOT_FILLED
    land = np.broadcast_to(surface == Surface.LAND, flags.shape)
    flags[land] = FillFlag.LAND
    is_filled = np.isin(flags, (FillFlag.DEPARTURE_TWO_SIDED, FillFlag.TEMPORAL_ONE_SIDED))
    errors = np.where(is_filled, random.integers(1, 60, flags.shape) * 0.005, np.nan)
    dates = [first_day + timedelta(days=step_days * number) for number in range(days)]
    write_cube(
        path, dates=dates, concentration=concentration, surface=surface, grid=grid, flags=flags,
        errors=errors if has_errors else None,
    )  # fmt: skip
    if not has_errors:
        import xarray

        with xarray.open_dataset(path, decode_cf=False) as dataset:
            whole = dataset.drop_vars("sea_ice_conc_error").load()
        whole.to_netcdf(path)
    return path


def make_southern_grid(rows: int, columns: int) -> Grid:
    step = 25_000.0
    return Grid("epsg3412_25000", rows, columns, step, -columns * step / 2, 200_000.0, "EPSG:3412")


def simulate_freeboard(path: Path) -> Path:
    """Freeboard of three months, as grid_freeboard.py writes it; most cells are empty."""
    grid = small_grid(40, 60)
    random = np.random.default_rng(1)
    freeboard = np.where(
        random.random((3, *grid.shape)) < 0.4, random.random((3, *grid.shape)).astype(np.float32), np.nan
    )
    mean, *_ = define_freeboard_variables()
    starts = [date(2020, month, 1) for month in (1, 2, 3)]
    steps = [TimeStep(start, start + timedelta(days=27)) for start in starts]
    attributes = cf.describe_file(
        title="freeboard for a test", summary="given arrays", source="test", stage="grid_freeboard",
        parameters={}, references="none",
    )  # fmt: skip
    write_gridded(
        path, grid=grid, steps=steps, variables=[mean], attributes=attributes,
        fields=lambda step: {mean.name: freeboard[step]},
    )  # fmt: skip
    return path


def simulate_scene(path: Path) -> Path:
    """A map of classes on lines and samples, as segmentation.py predict writes it."""
    lines, samples = 120, 150
    random = np.random.default_rng(2)
    axes = ("line", "sample")
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.title = "a scene for a test"
        for name, count in zip(axes, (lines, samples), strict=True):
            dataset.createDimension(name, count)
        dataset.createVariable("time", "f8")[...] = 1_516_823_279.0
        latitude, longitude = np.meshgrid(
            np.linspace(70, 66, lines), np.linspace(-50, -40, samples), indexing="ij"
        )
        for name, values in (("lat", latitude), ("lon", longitude)):
            dataset.createVariable(name, "f4", axes)[:] = values
        classes = dataset.createVariable("surface_class", "u1", axes)
        classes.setncatts(
            {"long_name": "water or ice", "flag_meanings": "water ice land missing",
             "flag_values": np.array([0, 1, 2, 255], np.uint8)}
        )  # fmt: skip
        classes[:] = random.choice(np.array([0, 1, 2, 255], np.uint8), (lines, samples))
        probability = dataset.createVariable("ice_probability", "i2", axes, fill_value=-32768)
        probability.setncatts({"long_name": "probability of ice", "units": "1", "scale_factor": 1e-4})
        probability[:] = random.random((lines, samples))
    return path


FILES = {
    "north": simulate_cube,
    "south": lambda path: simulate_cube(path, grid=make_southern_grid(50, 70), days=12),
    "large": lambda path: simulate_cube(path, grid=small_grid(700, 1100, 6250.0), days=3),
    "no_errors": lambda path: simulate_cube(path, days=8, has_errors=False),
    "one_day": lambda path: simulate_cube(path, days=1),
    "thirteen_years": lambda path: simulate_cube(
        path, days=4749, grid=small_grid(16, 20, 100_000.0), first_day=date(2012, 7, 2)
    ),
    "freeboard": simulate_freeboard,
    "scene": simulate_scene,
}
