"""Maps of the errors of forecasts by lead: root mean square error and bias of every cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seaice import cf
from seaice.cf import Variable
from seaice.grids import Grid
from seaice.runtime.atomic_write import atomic

_MAPS = ("method", "leadtime", "y", "x")


@dataclass
class ErrorMaps:
    """Sums of errors over the initial days.

    Attributes
    ----------
    methods : list of str
    leads : list of int
    grid : Grid
    squares, errors : ndarray of float32, shape (methods, leads, rows, columns)
        Sums of the squared errors and of the errors, forecast minus observed, fractions.
    count : ndarray of int32, shape (leads, rows, columns)
        Number of initial days with a score of the cell.
    """

    methods: list[str]
    leads: list[int]
    grid: Grid
    squares: np.ndarray
    errors: np.ndarray
    count: np.ndarray

    @classmethod
    def allocate(cls, methods: list[str], leads: list[int], grid: Grid) -> ErrorMaps:
        """Make sums of nothing."""
        shape = (len(methods), len(leads), *grid.shape)
        zeros = (np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape[1:], np.int32))
        return cls(methods, leads, grid, *zeros)

    def add(self, lead_number: int, forecasts: Sequence[np.ndarray], truth: np.ndarray) -> None:
        """Add the forecasts of all methods for one map; cells where the truth is NaN do not count."""
        cells = ~np.isnan(truth)
        self.count[lead_number] += cells
        for number, forecast in enumerate(forecasts):
            error = np.where(cells, forecast - truth, np.float32(0))
            self.errors[number, lead_number] += error
            self.squares[number, lead_number] += error**2

    def compute_root_mean_square(self, number: int) -> np.ndarray:
        """Compute the root mean square error of a method, as :meth:`compute_bias`."""
        return np.sqrt(self._average(self.squares[number]))

    def compute_bias(self, number: int) -> np.ndarray:
        """Compute the bias of a method, float32 (leads, rows, columns); NaN where nothing was scored."""
        return self._average(self.errors[number])

    def _average(self, sums: np.ndarray) -> np.ndarray:
        missing = np.full(sums.shape, np.nan, np.float32)
        return np.divide(sums, self.count, out=missing, where=self.count > 0)


def write_error_maps(maps: ErrorMaps, path: Path, attributes: Mapping[str, Any]) -> None:
    """Write root mean square error, bias and number of scores of every cell as CF NetCDF."""
    import netCDF4

    with atomic(path, kind=cf.KINDS["score_forecasts"]) as part, netCDF4.Dataset(part, "w") as dataset:
        cf.write_grid(dataset, maps.grid)
        dataset.createDimension("method", len(maps.methods))
        dataset.createVariable("method", str, ("method",))[:] = np.array(maps.methods, dtype=object)
        dataset.createDimension("leadtime", len(maps.leads))
        lead = dataset.createVariable("leadtime", "i4", ("leadtime",))
        lead.setncatts({"standard_name": "forecast_period", "long_name": "lead", "units": "days"})
        lead[:] = maps.leads
        count = Variable("count", _MAPS[1:], "i4", {"long_name": "initial days scored", "units": "1"})
        cf.define_variable(dataset, count)[:] = maps.count
        for name, long_name, compute in (
            ("rmse", "root mean square error of sea ice concentration", maps.compute_root_mean_square),
            ("bias", "bias of sea ice concentration, forecast minus observed", maps.compute_bias),
        ):
            described = {"long_name": long_name, "units": "1"}
            variable = cf.define_variable(dataset, Variable(name, _MAPS, "f4", described, np.nan))
            for number in range(len(maps.methods)):
                variable[number] = compute(number)
        dataset.setncatts(dict(attributes))
