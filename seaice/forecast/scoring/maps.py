"""Maps of the errors of forecasts by lead: root mean square error and bias of every cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seaice import cf
from seaice.cf import Variable
from seaice.grids import Grid
from seaice.runtime.atomic_write import atomic

_MAPS = ("method", "leadtime", "y", "x")
_MEANINGS = {
    "rmse": "root mean square error of sea ice concentration",
    "bias": "bias of sea ice concentration, forecast minus observed",
}


@dataclass
class ErrorMaps:
    """Sums of the errors of one lead over the initial days.

    Attributes
    ----------
    squares, errors : ndarray of float32, shape (methods, rows, columns)
        Sums of the squared errors and of the errors, forecast minus observed, fractions.
    count : ndarray of int32, shape (rows, columns)
        Number of initial days with a score of the cell.
    """

    squares: np.ndarray
    errors: np.ndarray
    count: np.ndarray

    @classmethod
    def allocate(cls, methods: int, grid: Grid) -> ErrorMaps:
        """Make sums of nothing."""
        shape = (methods, *grid.shape)
        return cls(
            np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(grid.shape, np.int32)
        )

    def add(self, forecasts: Sequence[np.ndarray], truth: np.ndarray) -> None:
        """Add the forecasts of all methods for one day; cells where the truth is NaN do not count."""
        cells = ~np.isnan(truth)
        self.count += cells
        for number, forecast in enumerate(forecasts):
            error = np.where(cells, forecast - truth, np.float32(0))
            self.errors[number] += error
            self.squares[number] += error**2

    def compute_root_mean_square(self, number: int) -> np.ndarray:
        """Compute the root mean square error of a method, as :meth:`compute_bias`."""
        return np.asarray(np.sqrt(self._average(self.squares[number])))

    def compute_bias(self, number: int) -> np.ndarray:
        """Compute the bias of a method, float32 (rows, columns); NaN where nothing was scored."""
        return self._average(self.errors[number])

    def _average(self, sums: np.ndarray) -> np.ndarray:
        missing = np.full(sums.shape, np.nan, np.float32)
        return np.divide(sums, self.count, out=missing, where=self.count > 0)


@contextmanager
def open_error_maps(
    path: Path, methods: list[str], leads: list[int], grid: Grid, attributes: Mapping[str, Any]
) -> Iterator[Callable[[ErrorMaps, int], None]]:
    """Open a CF NetCDF file for root mean square error, bias and number of scores of every cell.

    Parameters
    ----------
    path : Path
        The file is there when the context ends without an error.
    methods : list of str
    leads : list of int
    grid : Grid
    attributes : mapping
        Global attributes.

    Yields
    ------
    callable
        Writes the errors of a lead, by its number.
    """
    import netCDF4

    with (
        atomic(path, kind=cf.KINDS["score_forecasts"]) as part,
        netCDF4.Dataset(part, "w") as dataset,
    ):
        cf.write_grid(dataset, grid)
        dataset.createDimension("method", len(methods))
        dataset.createVariable("method", str, ("method",))[:] = np.array(methods, dtype=object)
        dataset.createDimension("leadtime", len(leads))
        lead = dataset.createVariable("leadtime", "i4", ("leadtime",))
        lead.setncatts({"standard_name": "forecast_period", "long_name": "lead", "units": "days"})
        lead[:] = leads
        described = {"long_name": "number of initial days scored", "units": "1"}
        count = cf.define_variable(dataset, Variable("count", _MAPS[1:], "i4", described))
        rmse, bias = (
            cf.define_variable(
                dataset, Variable(name, _MAPS, "f4", {"long_name": meaning, "units": "1"}, np.nan)
            )
            for name, meaning in _MEANINGS.items()
        )
        dataset.setncatts(dict(attributes))

        def write_lead(maps: ErrorMaps, number: int) -> None:
            count[number] = maps.count
            for method in range(len(methods)):
                rmse[method, number] = maps.compute_root_mean_square(method)
                bias[method, number] = maps.compute_bias(method)

        yield write_lead
