"""Angular power spectra of errors, for fields that cover too much of the Earth for a flat map."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from seaice import InputError
from seaice.drawing import palette
from seaice.gapfill.sphere import cells as sphere
from seaice.scoring.figure_style import (
    choose_line_style,
    find_common_cells,
    format_units,
    style_panel,
)
from seaice.scoring.score import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_MAPS = 8
_FEWEST_CELLS = 100


def compute_angular_spectra(scores: Scores) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Compute the angular power spectra of the truth and of the error of every method.

    Held-out cells that every method fills are averaged to HEALPix cells; the spectrum is divided by
    their share of the sphere (:func:`seaice.gapfill.sphere.cells.angular_spectrum`). The result is
    the mean over at most eight maps, those with the most such cells.

    Returns
    -------
    degree : ndarray of int64, shape (degrees,)
        Spherical harmonic degree.
    power : dict of str to ndarray of float64, shape (degrees,)
        Power in the unit of the field squared, by «truth» or label of the method.

    Raises
    ------
    InputError
        If the field has no coordinates, too few cells are filled by every method, or healpy is
        not installed.
    """
    common = find_common_cells(scores)
    counts = np.bincount(scores.cells.day[common], minlength=len(scores.gappy.values))
    richest = np.argsort(-counts, kind="stable")[:_MOST_MAPS]
    frames = [int(t) for t in richest if counts[t] > counts.max() / 2]
    fields = {"truth": scores.cells.truth}
    fields |= {run.label: run.values - scores.cells.truth for run in scores.finished_runs}
    spectra: dict[str, np.ndarray] = {}
    degree = np.zeros(0, np.int64)
    for label, values in fields.items():
        maps = np.stack([scores.make_map(np.where(common, values, np.nan), t) for t in frames])
        cells = sphere.aggregate(
            replace(scores.gappy, values=maps.astype(np.float64), days=np.arange(float(len(maps))))
        )
        if np.isfinite(cells.values).sum(axis=1).min() < _FEWEST_CELLS:
            raise InputError(f"fewer than {_FEWEST_CELLS} HEALPix cells are filled by every method")
        map_spectra = [sphere.angular_spectrum(cells.ids, row, cells.nside) for row in cells.values]
        degree = map_spectra[0][0]
        spectra[label] = np.mean([power for _, power in map_spectra], axis=0)
    return degree, spectra


def draw_angular_spectra(ax: Axes, scores: Scores) -> None:
    """Draw the spectra of :func:`compute_angular_spectra`; InputError if they cannot be computed."""
    degree, spectra = compute_angular_spectra(scores)
    for number, (label, power) in enumerate(spectra.items()):
        style = choose_line_style(number - 1) if number else {"color": palette.TEXT, "linewidth": 1.6}
        name = f"error of {label}" if number else label
        ax.plot(degree[1:], power[1:], label=name, **style)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("spherical harmonic degree", fontsize=8)
    ax.set_ylabel(f"power{format_units(scores.gappy.units, squared=True)}", fontsize=8)
    ax.set_title("Angular power spectra, corrected for the share of the sphere", fontsize=9)
    style_panel(ax)
