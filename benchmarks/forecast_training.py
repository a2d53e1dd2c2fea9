"""Steps a second of the training of a forecast, and where their time goes, against the plain loop.

The plain loop reads every sample with xarray as float32 and asks for the loss after each step. Each row
changes one thing more; all rows draw the same windows of the same cube: patches of 256 x 256 cells of
3.125 km, and whole frames of 25 km. Then the parts of a training that are no steps. With a GPU it takes
less than five minutes. On a shared machine compare CPU times, with OMP_WAIT_POLICY=passive: threads
that wait else count as busy.

  python benchmarks/forecast_training.py
  python benchmarks/forecast_training.py --grids n25000 --folder /tmp/training
  python benchmarks/forecast_training.py --device cuda --batch_size 32 --workers 4
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from loading import copy_days, make_base

from seaice.cube.file import CubeFile
from seaice.dates import DateRange
from seaice.flags import FillFlag
from seaice.forecast.network.forecaster import Forecaster, build_network
from seaice.forecast.network.trainer import Plan, Trainer
from seaice.forecast.network.watch import Watch
from seaice.forecast.network.windows import (
    PAST_DAYS,
    Batch,
    Maps,
    TrainingDays,
    compute_channels,
    unpack,
)
from seaice.forecast.record import SeaIceRecord
from seaice.runtime.networks.device import choose_device
from seaice.runtime.threads import allowed_processors

# Cells on a side of a patch; the frame of 25 km is smaller than what is asked for.
SIDES = {"n3125": 256, "n25000": 448}
LEADS = tuple(range(1, 8))
ROUNDS = 3


@dataclass(frozen=True)
class Way:
    """A way to train."""

    name: str
    in_memory: bool = False
    workers: int = 0
    layout: torch.memory_format = torch.contiguous_format
    fused: bool = False
    asks: bool = True
    precision: str = "fp32"
    compiled: bool = False


def list_ways(workers: int, compiles: bool) -> list[Way]:
    """The plain loop, and what is changed in it, one thing after the other."""
    ways = [Way("plain loop, samples by xarray")]
    for name, change in {
        "days packed in memory": {"in_memory": True},
        f"drawn ahead, threads: {workers}": {"workers": workers},
        "channels last": {"layout": torch.channels_last},
        "fused optimiser, loss not asked": {"fused": True, "asks": False},
        "bf16": {"precision": "bf16"},
        "compiled": {"compiled": True},
    }.items():
        if compiles or name != "compiled":
            ways.append(replace(ways[-1], name=name, **change))
    return ways


def read_by_xarray(path: Path, days: TrainingDays) -> TrainingDays:
    """The same windows, each read from the cube when it is drawn, as float32."""
    import xarray

    with CubeFile(path) as cube:
        measured, ocean = cube.flag_value(FillFlag.OBSERVED.meaning), cube.ocean
    dataset = xarray.open_dataset(path, decode_times=False)
    plain = copy.copy(days)

    def cut(
        number: int, place: tuple[slice, slice], *, backwards: bool = False
    ) -> tuple[np.ndarray, ...]:
        part = {"time": slice(number - PAST_DAYS + 1, number + LEADS[-1] + 1)}
        part |= dict(zip(("y", "x"), place, strict=True))
        values = dataset["sea_ice_conc"].isel(part).values.astype(np.float32)
        is_measured = (dataset["fill_flag"].isel(part).values == measured) & days.active[place]
        lacking = PAST_DAYS + len(LEADS) - len(values)
        values = np.pad(np.nan_to_num(values), ((0, lacking), (0, 0), (0, 0)))
        is_measured = np.pad(is_measured, ((0, lacking), (0, 0), (0, 0)))
        inputs = compute_channels(values[PAST_DAYS - 1 :: -1], ocean[place])
        base = np.repeat(inputs[:1], len(LEADS), axis=0)
        weights = is_measured[PAST_DAYS:].astype(np.float32)
        return inputs, base, values[PAST_DAYS:], weights

    plain.cut = cut  # type: ignore[method-assign, assignment]
    return plain


class Run:
    """A training in one way."""

    def __init__(
        self, way: Way, days: TrainingDays, plain: TrainingDays, plan: Plan, device: torch.device
    ) -> None:
        torch.manual_seed(0)
        network = build_network("half", leads=len(LEADS))
        plan = replace(plan, workers=way.workers, precision=way.precision, compiled=way.compiled)
        self.way, self.device = way, device
        self.trainer = Trainer(network, days, plan, path=Path(), metadata={}, device=device)
        network.set_layout(way.layout)
        if not way.fused:
            self.trainer._optimizer = torch.optim.AdamW(network.parameters(), foreach=False)
        if not way.in_memory:
            self.trainer.days = plain
        self.batches = self.trainer.read_ahead()

    def wait(self) -> None:
        """Wait for the GPU."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def unpack(self, batch: Batch) -> Maps:
        """Maps of a batch; those of xarray are no other."""
        return unpack(batch) if self.way.in_memory else Maps(*batch)

    def step(self, note: Callable[[], None] = lambda: None) -> None:
        """One step; ``note`` is called after each part of it."""
        batch = next(self.batches)
        note()
        maps = self.unpack(batch)
        note()
        errors, loss = self.trainer.compute_loss(maps)
        if self.way.asks:
            float(errors)
        note()
        loss.backward()
        note()
        self.trainer.update()
        note()
        self.trainer.step += 1

    def count_steps(self, seconds: float) -> tuple[float, float]:
        """Steps a second, and CPU milliseconds of all threads a step."""
        self.wait()
        begin, cpu, steps = time.perf_counter(), time.process_time(), 0
        while steps < 2 or time.perf_counter() - begin < seconds:
            self.step()
            steps += 1
        self.wait()
        wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
        return steps / wall, 1000 * cpu / steps

    def measure_parts(self) -> list[float]:
        """Median milliseconds of the parts of a step: of CPU time, on a GPU of wall time."""
        clock = time.perf_counter if self.device.type == "cuda" else time.process_time
        parts = []
        for _ in range(ROUNDS):
            times = [clock()]

            def note(times: list[float] = times) -> None:
                self.wait()
                times.append(clock())

            self.step(note)
            parts.append(np.diff(times))
        return [1000 * float(value) for value in np.median(parts, axis=0)]


def check(days: TrainingDays, plain: TrainingDays, plan: Plan) -> None:
    """The plain loop learns from the same cells and targets."""
    kept = days.draw(np.random.default_rng(0), count=4, size=plan.patch_size, share_backwards=0)
    maps = unpack(Batch(*map(torch.from_numpy, kept)))
    drawn = plain.draw(np.random.default_rng(0), count=4, size=plan.patch_size, share_backwards=0)
    other = Maps(*map(torch.from_numpy, drawn))
    for name, one, two in (
        ("weights", maps.weights, other.weights),
        ("targets", maps.weights * maps.targets, other.weights * other.targets),
    ):
        if (one - two).abs().max() > 1e-6:
            raise SystemExit(f"xarray gives other {name}")


def time_ways(path: Path, days: TrainingDays, plan: Plan, options: argparse.Namespace) -> None:
    device = choose_device(options.device)
    plain = read_by_xarray(path, days)
    check(days, plain, plan)
    kind = "ms" if device.type == "cuda" else "CPU ms"
    print(f"  {'':<32} steps/s samples/s  CPU ms {kind} of: wait unpack forward backward optimiser")
    runs = [Run(way, days, plain, plan, device) for way in list_ways(options.workers, options.compile)]
    for run in runs:
        run.step()
        run.step()
    # In turn, so that a slow minute hits each alike.
    rounds = [[run.count_steps(options.seconds) for run in runs] for _ in range(ROUNDS)]
    for run, (steps, cpu) in zip(runs, np.median(rounds, axis=0), strict=True):
        columns = zip((15 if device.type == "cpu" else 11, 6, 7, 8, 9), run.measure_parts(), strict=True)
        run.batches.close()
        text = f"{steps:7.2f} {steps * plan.batch_size:9.1f} {cpu:7.1f} "
        print(f"  {run.way.name:<32} {text}" + " ".join(f"{ms:{width}.1f}" for width, ms in columns))


def time_rest(record: SeaIceRecord, days: TrainingDays, device: torch.device) -> Iterator[str]:
    """Seconds of what is no step: the base, a line of the log, a forecast of the whole grid."""
    network = build_network("half", leads=len(LEADS)).to(device)
    forecaster = Forecaster(network, LEADS, device)
    starts = [days.days[number] for number in days.forwards][-10:]
    watch = Watch(record, starts, days.days[-1], days)
    for name, run in {
        "squared error of the base": days.measure_base,
        "days kept back, at every line of the log": lambda: watch.describe(forecaster),
        "a forecast of the whole grid": lambda: forecaster.forecast(record, starts[-1]),
    }.items():
        begin = time.perf_counter(), time.process_time()
        run()
        yield format_seconds(name, *begin)


def format_seconds(name: str, begin: float, cpu: float) -> str:
    """Seconds since a beginning, and CPU seconds."""
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return f"  {name:<44} {wall:6.2f} s, CPU {cpu:6.2f} s"


def measure(path: Path, grid: str, options: argparse.Namespace) -> None:
    with SeaIceRecord(path) as record:
        period = DateRange(record.days[0], record.days[-1])
        begin = time.perf_counter(), time.process_time()
        days = TrainingDays(record, period, LEADS, record.find_active_region(period))
        read = format_seconds(f"reading {len(days.days)} days into memory", *begin)
        plan = Plan(10**9, None, 0, batch_size=options.batch_size, patch_size=SIDES[grid])
        sides = " x ".join(str(min(SIDES[grid], length)) for length in record.grid.shape)
        print(
            f"{grid}: {plan.batch_size} windows of {sides} cells a step, 7 days and {len(LEADS)} leads;"
            f" {options.device}, {allowed_processors()} processors"
        )
        time_ways(path, days, plan, options)
        print(read)
        for line in time_rest(record, days, choose_device(options.device)):
            print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--grids", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--days", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1, help="threads that draw windows")
    parser.add_argument("--seconds", type=float, default=1, help="of each row and round")
    parser.add_argument("--compile", action="store_true", help="also compiled; on a GPU always")
    parser.add_argument("--folder", type=Path, help="keep the cubes here, and take those that are here")
    options = parser.parse_args()
    options.compile |= options.device.startswith("cuda")
    with tempfile.TemporaryDirectory() as temporary:
        for grid in options.grids:
            folder = (options.folder or Path(temporary)) / grid
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"cube_{options.days}.nc"
            if not path.exists():
                base = folder / "base.nc"
                copy_days(base if base.exists() else make_base(folder, grid), path, options.days)
            measure(path, grid, options)


if __name__ == "__main__":
    main()
