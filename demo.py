"""The main job, end to end, without a network: what `make demo` runs.

Simulates 40 days, serves them from a local HTTP server, and runs the scripts as a user
would: download, mask, cube, pictures, series, animation, a training batch. At the end the
filled values are compared with the simulated truth.

Examples:
  python demo.py --output_dir demo_output
"""

import argparse
import shlex
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import netCDF4
import numpy as np

from seaice.cf import read_grid
from seaice.cube.file import CubeFile
from seaice.flags import FillFlag
from seaice.simulate import (
    SimulatedDays,
    compute_true_day,
    list_simulated_granules,
    list_simulated_passes,
    simulate_days,
    write_atl10,
    write_granule,
)
from seaice.simulate.ice_chart import simulate_chart, write_chart
from seaice.simulate.nasa_team import write_nasa_team_day
from seaice.simulate.sar import write_scenes
from seaice.simulate.sst import write_sst
from seaice.sources.bremen.names import DayFile

HERE = Path(__file__).resolve().parent
START = date(2024, 2, 20)
END = START + timedelta(days=39)
ABSENT = [START + timedelta(days=i) for i in (4, *range(14, 23))]
BAD = START + timedelta(days=31)

TRAIN = """
from torch.utils.data import DataLoader
from utils import ConsolidatedSICDataset, load_ocean_mask
dataset = ConsolidatedSICDataset("{cube}", "{start}", "{end}", input_length=5, pred_length=3)
inputs, targets = next(iter(DataLoader(dataset, batch_size=4)))
ocean = load_ocean_mask("{mask}")
print(f"{{len(dataset)}} samples")
print(f"a batch: inputs {{tuple(inputs.shape)}}, targets {{tuple(targets.shape)}}")
mean = (inputs * ocean).sum() / (ocean.sum() * len(inputs) * 5)
print(f"mean concentration over the ocean {{mean:.3f}}")
"""


# Three hours of two days.
SWATHS = [datetime(2024, 3, day, tzinfo=UTC) for day in (21, 22)]
PASSES = datetime(2024, 3, 21, tzinfo=UTC), datetime(2024, 3, 21, 12, tzinfo=UTC)
OPEN = """
from utils import load_swaths
with load_swaths("{archive}") as swaths:
    print(swaths[2].to_xarray())
"""
BATCH = """
from torch.utils.data import DataLoader
from utils import ConsolidatedSICDataset
lengths = {{"input_length": 1, "pred_length": 1, "largest_missing_share": 0.5}}
dataset = ConsolidatedSICDataset("{cube}", "{first}", "{last}", **lengths)
inputs, targets = next(iter(DataLoader(dataset)))
print(f"a batch from own swaths: inputs {{tuple(inputs.shape)}}, targets {{tuple(targets.shape)}}")
"""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a log line for each."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def make_server(folder: Path) -> tuple[SimulatedDays, ThreadingHTTPServer]:
    """Simulate the archive in the folder layout of the real one and serve it."""
    place = folder / Path(DayFile("AMSR2", "n25000", START, "5.4", "nc").url_path).parent
    days = simulate_days(
        output_dir=place,
        start_date=START,
        end_date=END,
        absent_days=ABSENT,
        defects={BAD: "all_zero"},
        seed=3,
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return days, server


def run(*words: object) -> None:
    """Run a script as a user would, showing the command and what it says."""
    print(f"\n$ python {shlex.join(map(str, words))}", flush=True)
    status = subprocess.run([sys.executable, *map(str, words)], cwd=HERE).returncode
    if status:
        raise SystemExit(
            f"demo: {words[0]} ended with status {status}; if another version made the output folder, "
            "remove it and run the demo again"
        )


def swaths(out: Path) -> None:
    """Collect simulated half orbits, check an archive, split it, open it, grid one frequency."""
    folder = out / "swaths"
    taken = ["--input_dir", out / "l1b", "--preset", "concentration", "--layout", "hdf5"]
    for start in SWATHS:
        end = start + timedelta(hours=3)
        for granule in list_simulated_granules(start, end):
            write_granule(out / "l1b", granule)
        span = ["--start", f"{start:%Y-%m-%d %H:%M}", "--end", f"{end:%Y-%m-%d %H:%M}"]
        run("amsr2_processor.py", *span, "--output_dir", folder, *taken)
    archive, *_ = sorted(folder.glob("AMSR2_swaths_*.h5"))
    run("verify_archive.py", archive, "--plot", 1, "--output_dir", out)
    run("split_amsr_files.py", "--input", archive, "--output_dir", out / "parts", "--chunk_size", 3)
    run("-c", OPEN.format(archive=archive))
    gridded = ["--output_dir", out / "tb", "--grid", "n25000", "--channels", "36.5V", "36.5H"]
    run("grid_swaths.py", "--input", archive, *gridded)
    temperatures = next((out / "tb").glob("*_A.nc"))
    picture = ["--dpi", 150, "--output_file", out / "brightness_temperature.png"]
    run("visualization.py", "--input_file", temperatures, *picture)


def concentration(out: Path) -> None:
    """Retrieve concentration from the swaths, as a cube and a batch, and compare it with the truth."""
    days, mask, cube = out / "sic", out / "sic_mask.nc", out / "sic_cube.nc"
    algorithms = ["--algorithm", "base", "asi", "--grid", "n12500"]
    run("retrieve_concentration.py", "--input", out / "swaths", "--output_dir", days, *algorithms)
    first, last = (f"{start:%Y-%m-%d}" for start in SWATHS)
    source = ["--source_dir", days, "--start_date", first, "--end_date", last]
    run("create_mask.py", *source, "--output_file", mask)
    filled = ["--land_mask_file", mask, "--method", "departure", "--output_file", cube]
    run("consolidate_data.py", *source, *filled)
    run("-c", BATCH.format(cube=cube, first=first, last=last))
    (file,) = days.glob(f"*{SWATHS[0]:%Y%m%d}*.nc")
    for variable in ("sea_ice_conc", "sea_ice_conc_asi"):
        shown = ["--variable", variable, "--dpi", 150, "--output_file", out / f"{variable}.png"]
        run("visualization.py", "--input_file", file, *shown)
    print("\nConcentration against the simulated truth (percent):")
    with netCDF4.Dataset(file) as dataset:
        truth = 100 * compute_true_day(read_grid(dataset), SWATHS[0].date())
        for variable, name in (("sea_ice_conc", "base"), ("sea_ice_conc_asi", "ASI")):
            error = np.ma.filled(dataset[variable][0], np.nan) - truth
            error = error[np.isfinite(error)]
            print(f"  {name:<5} {error.size} cells  RMSE {np.sqrt((error**2).mean()):.2f}")


def freeboard(out: Path) -> None:
    """Grid simulated freeboard of ICESat-2 and draw it."""
    for each in list_simulated_passes(*PASSES):
        write_atl10(out / "atl10", each)
    gridded = ["--output_file", out / "freeboard.nc", "--grid", "ease2n25000", "--period", "month"]
    run("grid_freeboard.py", "--input_dir", out / "atl10", *gridded)
    picture = ["--dpi", 150, "--output_file", out / "freeboard.png"]
    run("visualization.py", "--input_file", out / "freeboard.nc", *picture)


def second_product(days: SimulatedDays, data: Path, mask: Path, out: Path) -> None:
    """Days that one product lacks come from another: one cube of two."""
    folder = out / "two_products"
    shutil.copytree(data, folder, dirs_exist_ok=True)
    for day in ABSENT:
        write_nasa_team_day(folder, day, days.compute_truth(day), days.land, days.grid)
    run("get_dims.py", "--source_dir", folder)
    period = ["--start_date", START, "--end_date", START + timedelta(days=9), "--method", "departure"]
    files = ["--source_dir", folder, "--land_mask_file", mask]
    products = ["--product", "bremen-asi", "nsidc-0051"]
    run("consolidate_data.py", *files, *period, *products, "--output_file", out / "two_products.nc")


def gaps(out: Path) -> None:
    """Fill simulated sea surface temperature under clouds, and judge some methods."""
    write_sst(out, [date(2024, 6, 1) + timedelta(days=i) for i in range(6)])
    field = ["--input_file", out / "l3s.nc", "--mask_file", out / "l4.nc"]
    filled = ["--method", "departure", "--units", "degC", "--output_file", out / "sst_filled.nc"]
    run("fill_gaps.py", "fill", *field, *filled)
    methods = ["--methods", "linear", "loess", "departure", "--gaps", "clouds"]
    run("fill_gaps.py", "score", *field, *methods, "--output_dir", out / "scores")


def sar(out: Path) -> None:
    """Train a small network on simulated SAR scenes, score it on others, map those."""
    scenes, patches, trained = out / "sar_scenes", out / "sar_patches", out / "sar_unet"
    write_scenes(scenes, scenes=10, test_scenes=2, size=(320, 360), seed=5)
    script, model = "segmentation.py", ["--checkpoint", trained / "best.pt"]
    run(script, "patches", "--input_dir", scenes, "--output_dir", patches, "--size", 64)
    run(script, "split", "--patch_dir", patches)
    # Small, short and fast; the defaults are for real scenes.
    small = ["--options", "base=8", "depth=3", "--updates", 150, "--epochs", 5, "--learning_rate", 4e-3]
    small += ["--augment", "--no_resume"]
    run(script, "train", "--patch_dir", patches, "--output_dir", trained, *small)
    tested = ["--patch_dir", patches, "--output_file"]
    run(script, "evaluate", *model, *tested, out / "sar_scores.json")
    run(script, "plot", "--kind", "panels", "--count", 3, *model, *tested, out / "sar_panels.png")
    maps = out / "sar_maps"
    run(script, "predict", *model, "--scene", scenes / "test", "--output_dir", maps, "--force")
    share = sorted(maps.glob("*_ice_share.nc"))[0]
    run("visualization.py", "--input_file", share, "--dpi", 150, "--output_file", out / "sar_share.png")


def charts(cube: Path, out: Path) -> None:
    """Draw a simulated ice chart on a grid, and compare the cube of its day with it."""
    sketch = simulate_chart(np.random.default_rng(7), latitude=80.5, longitude=-150, kilometres=900)
    chart = write_chart(out / "ice_chart.zip", sketch, datetime(2024, 3, 21, 18, tzinfo=UTC))
    script = ["segmentation.py", "label", "--chart", chart]
    run(*script, "--grid", "n12500", "--output_file", out / "ice_chart.nc")
    run(*script, "--against", cube, "--output_file", out / "ice_chart.csv")


def gappiest_day(cube_path: Path) -> date:
    """The day with a file of which most had to be filled."""
    with CubeFile(cube_path) as cube:
        present = cube.variable("day_status") == cube.flag_value("present", "day_status")
        return cube.dates[int((cube.variable("filled_ocean_cells") * present).argmax())]


def score(days: SimulatedDays, cube_path: Path) -> None:
    """Print how far the filled values are from the truth, by how they came about."""
    print("\nFilled values against the simulated truth (percent of concentration):")
    errors: dict[FillFlag, list[np.ndarray]] = {}
    missing = 0
    with CubeFile(cube_path) as cube:
        for i, day in enumerate(cube.dates):
            error = 100 * cube.concentration(i) - days.compute_truth(day)
            flags = cube.flags(i)
            for flag in FillFlag:
                errors.setdefault(flag, []).append(error[(flags == flag) & ~np.isnan(error)])
            missing += int((flags == FillFlag.NOT_FILLED).sum())
    for flag, parts in errors.items():
        error = np.concatenate(parts).astype(np.float64)
        if error.size and flag < FillFlag.LAND:
            print(
                f"  {flag.name.lower().replace('_', ' '):<20} {error.size:>8} cells  "
                f"RMSE {np.sqrt((error**2).mean()):6.3f}  MAE {np.abs(error).mean():6.3f}"
            )
    print(f"  not filled           {missing:>8} cells")


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output_dir", type=Path, default=Path("demo_output"))
    out = parser.parse_args().output_dir.resolve()
    begin = time.perf_counter()
    shutil.rmtree(out / "server", ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    print(
        f"simulating {START} to {END} on the 25 km Arctic grid, without {len(ABSENT)} days", flush=True
    )
    days, server = make_server(out / "server")
    period = ["--start_date", START, "--end_date", END]
    data, mask, cube = out / "data", out / "land_mask.nc", out / "cube.nc"
    url = f"http://127.0.0.1:{server.server_port}/"
    run("download.py", *period, "-o", data, "--grid", "n25000", "--base_url", url)
    server.shutdown()
    source = ["--source_dir", data, *period]
    run("create_mask.py", *source, "--output_file", mask)
    masked = ["--land_mask_file", mask]
    run("consolidate_data.py", *source, *masked, "--output_file", cube)
    shown = gappiest_day(cube)
    picture = ["--dpi", 150, "--output_file"]
    run("visualization.py", "--input_file", cube, "--date", shown, *picture, out / "map.png")
    run("visualize_mask.py", "--input_file", mask, *picture, out / "land_mask.png")
    original = data / DayFile("AMSR2", "n25000", shown, "5.4", "nc").name
    pair = ["--original_file", original, "--consolidated_file", cube, "--date", shown]
    compare = "visualization_compare_between_full_sic.py"
    run(compare, *pair, *picture, out / "comparison.png")
    series = ["--output_csv", out / "index.csv", "--plot", out / "index.png"]
    run("ice_index.py", "--input_file", cube, *series, "--animation", out / "cube.gif")
    run("regrid.py", "-i", cube, "--grid", "osisafn50000", "-o", out / "cube_ease2.nc")
    run("-c", TRAIN.format(cube=cube, mask=mask, start=START, end=END))
    score(days, cube)
    second_product(days, data, mask, out)
    swaths(out)
    concentration(out)
    freeboard(out)
    gaps(out)
    sar(out)
    charts(cube, out)
    print(f"\nmade in {out} ({time.perf_counter() - begin:.0f} s):")
    for path in sorted(out.iterdir()):
        print(f"  {path.name}")


if __name__ == "__main__":
    main()
