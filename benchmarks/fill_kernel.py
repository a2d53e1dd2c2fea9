"""The Gaussian space-time fill against four other ways to the same numbers.

Claim: at least 100 times less CPU time a day than a compiled loop over the window of every
missing cell that does not skip land, with the default windows (3 days, 7 cells, alpha 15,
sigma 7) on 10 days of 3584 x 2432 cells.

The named alternatives: scipy.ndimage.correlate1d of values and weights along t, y and x over
the whole stack; astropy.convolution.interpolate_replace_nans with the same kernel, on a crop
and scaled by the number of cells; the loop over missing ocean cells alone; the loop over
every missing cell of few days, once with a table of weights and once as the formula
stands. All must give the same values at the missing ocean cells, else the exit status is 1.

  python benchmarks/fill_kernel.py
  python benchmarks/fill_kernel.py --grid n3125 --days 10 --folder /tmp/days
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import simulated
import stopwatch

TIME_WINDOW, SPACE_WINDOW, ALPHA, SIGMA = 3, 7, 15.0, 7.0
WINDOWS: dict[str, Any] = {
    "time_window": TIME_WINDOW,
    "space_window": SPACE_WINDOW,
    "alpha": ALPHA,
    "sigma": SIGMA,
}
SMALLEST_WEIGHT = 1e-6
# Percent. float32 values of up to 100 are 8e-6 apart; scipy sums float32 arrays three times.
TOLERANCE = 1e-4
OURS = "Gaussian fill of this toolbox"


def factors() -> tuple[np.ndarray, np.ndarray]:
    """The kernel's one-dimensional factors, centre in the middle."""
    in_time = np.exp(-ALPHA * np.arange(-TIME_WINDOW, TIME_WINDOW + 1.0) ** 2 / (2 * SIGMA**2))
    in_space = np.exp(-(np.arange(-SPACE_WINDOW, SPACE_WINDOW + 1.0) ** 2) / (2 * SIGMA**2))
    return in_time, in_space


def whole_kernel() -> np.ndarray:
    in_time, in_space = factors()
    return in_time[:, None, None] * in_space[:, None] * in_space


def by_scipy(stack: np.ndarray) -> np.ndarray:
    from scipy.ndimage import correlate1d

    in_time, in_space = factors()
    missing = np.isnan(stack)
    total, weight = np.where(missing, np.float32(0), stack), (~missing).astype(np.float32)
    for axis, factor in enumerate((in_time, in_space, in_space)):
        total = correlate1d(total, factor, axis=axis, mode="constant")
        weight = correlate1d(weight, factor, axis=axis, mode="constant")
    enough = missing & (weight > SMALLEST_WEIGHT)
    return np.divide(total, weight, out=stack.copy(), where=enough)


def by_astropy(stack: np.ndarray, convolution: str) -> np.ndarray:
    from astropy import convolution as astropy

    # Padded with NaN: astropy's own default would take what lies outside for observed zeros.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that some windows hold no source
        filled: np.ndarray = astropy.interpolate_replace_nans(
            stack,
            whole_kernel(),
            convolve=getattr(astropy, convolution),
            boundary="fill",
            fill_value=np.nan,
        )
    return filled


def by_plain_loop(stack: np.ndarray, wanted: np.ndarray, days: Sequence[int]) -> np.ndarray:
    import _kernels

    parameters = (TIME_WINDOW, SPACE_WINDOW, ALPHA, SIGMA, SMALLEST_WEIGHT)
    filled = np.empty((len(days), *wanted.shape), np.float32)
    for frame, t in zip(filled, days, strict=True):
        _kernels.plain_loop(stack, wanted, t, *parameters, frame)
    return filled


def by_loop(stack: np.ndarray, wanted: np.ndarray, days: Sequence[int]) -> np.ndarray:
    import _kernels

    kernel = whole_kernel()
    filled = np.empty((len(days), *wanted.shape), np.float32)
    for frame, t in zip(filled, days, strict=True):
        _kernels.windowed_loop(stack, wanted, t, kernel, SMALLEST_WEIGHT, frame)
    return filled


def by_toolbox(stack: np.ndarray, ocean: np.ndarray) -> np.ndarray:
    from seaice.gapfill.gaussian import Gaussian

    return Gaussian(**WINDOWS).fill(stack, ocean).values


def fullest_block(missing: np.ndarray, size: int) -> tuple[slice, slice]:
    """The block of about ``size`` squared cells that has the most missing ocean cells."""
    counts = missing.sum(axis=0)
    corners = [
        (slice(y, y + size), slice(x, x + size))
        for y in range(0, max(1, counts.shape[0] - size + 1), size)
        for x in range(0, max(1, counts.shape[1] - size + 1), size)
    ]
    return max(corners, key=lambda corner: int(counts[corner].sum()))


@dataclass(frozen=True)
class Side:
    """One way to fill.

    ``share`` is the part of all days and cells that it works on; ``expected`` and ``compared``
    are the result it must equal and where.
    """

    run: Callable[[], np.ndarray]
    share: float
    expected: np.ndarray | None = None
    compared: np.ndarray | None = None


def sides_of(stack: np.ndarray, ocean: np.ndarray, loop_days: int, crop: int) -> dict[str, Side]:
    from seaice.gapfill.departure import Departure
    from seaice.gapfill.hybrid import Hybrid

    days = len(stack)
    missing = np.isnan(stack) & ocean
    few = range((days - loop_days) // 2, (days - loop_days) // 2 + loop_days)
    block = fullest_block(missing, crop)
    part, sea = stack[:, *block].copy(), ocean[block].copy()
    ours, part_ours = by_toolbox(stack, ocean), by_toolbox(part, sea)
    everywhere = np.ones_like(ocean)
    on_part = (part.size / stack.size, part_ours, missing[:, *block])
    on_few = (loop_days / days, ours[few.start : few.stop], missing[few.start : few.stop])
    at = f"{part.shape[1]} x {part.shape[2]} cells"
    return {
        OURS: Side(lambda: by_toolbox(stack, ocean), 1.0),
        "scipy.ndimage.correlate1d, 3 passes": Side(lambda: by_scipy(stack), 1.0, ours, missing),
        f"astropy, convolve_fft, {at}": Side(lambda: by_astropy(part, "convolve_fft"), *on_part),
        f"astropy, convolve, {at}": Side(lambda: by_astropy(part, "convolve"), *on_part),
        "ocean loop, table of weights": Side(
            lambda: by_loop(stack, ocean, range(days)), 1.0, ours, missing
        ),
        "ocean and land loop, table of weights": Side(lambda: by_loop(stack, everywhere, few), *on_few),
        "ocean and land loop, exp for each source": Side(
            lambda: by_plain_loop(stack, everywhere, few), *on_few
        ),
        "hybrid fill of this toolbox (other values)": Side(
            lambda: Hybrid().fill(stack, ocean).values, 1.0
        ),
        "departure fill of this toolbox (other values)": Side(
            lambda: Departure().fill(stack, ocean).values, 1.0
        ),
    }


def largest_difference(name: str, side: Side) -> bool:
    """Run a side once and say how far it is from ours; whether that is near enough."""
    found = side.run()
    if side.expected is None or side.compared is None:
        return True
    a, b = found[side.compared], side.expected[side.compared]
    apart = np.abs(a.astype(np.float64) - b)[~(np.isnan(a) & np.isnan(b))]
    # NaN on one side alone is a difference too.
    worst = float(apart.max()) if apart.size else 0.0
    good = bool(apart.size) and worst <= TOLERANCE
    print(
        f"{name:<44} {apart.size:>9} cells compared, largest difference {worst:.1e} percent"
        f"{'' if good else f'; EXPECTED AT MOST {TOLERANCE:g}'}"
    )
    return good


def main(words: Sequence[str] | None = None) -> int:
    parser = simulated.parser_of(__doc__, days=10, repeats=3)
    parser.add_argument(
        "--loop_days", type=int, default=1, help="days of the loop over every cell [%(default)s]"
    )
    parser.add_argument("--crop", type=int, default=256, help="side of astropy's part [%(default)s]")
    options = parser.parse_args(words)
    with simulated.simulated_days(options) as days:
        ocean, stack = days.ocean(), days.stack()
    stack[:, ~ocean] = np.nan  # what little was seen over land is no source for any side
    missing = (np.isnan(stack) & ocean).sum() / len(stack)
    print(f"grid {days.grid}, {len(stack)} days, medians of {options.repeats}")
    print(
        f"missing a day: {missing:.0f} of {ocean.sum()} ocean cells "
        f"({100 * missing / ocean.sum():.2f} %), and {(~ocean).sum()} land cells"
    )
    sides = sides_of(stack, ocean, min(options.loop_days, len(stack)), options.crop)
    good = [largest_difference(name, side) for name, side in sides.items()]
    if not all(good):
        print("the sides do not give the same values: nothing is timed")
        return 1
    times = stopwatch.in_turn({name: side.run for name, side in sides.items()}, options.repeats)
    print(f"{'seconds a day':<44} {'wall':>9} {'CPU':>9} {'CPU, of ours':>14}")
    own = times[OURS].cpu / len(stack)
    for name, side in sides.items():
        wall, cpu = (t / len(stack) / side.share for t in times[name])
        print(f"{name:<44} {wall:9.4f} {cpu:9.4f} {cpu / own:14.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
