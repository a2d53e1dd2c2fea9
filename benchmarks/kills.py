"""Kill -9 at random moments, and the same command again.

Claim: of N consolidations, each killed at a random moment and started again, all give the content
of a run that was never stopped.

  python benchmarks/kills.py --kills 50
"""

from __future__ import annotations

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.masking.land_mask import create_mask
from seaice.simulate import simulate_days

START, END = date(2024, 1, 1), date(2024, 1, 30)


def content(cube: Path) -> str:
    """Digest of every variable."""
    import netCDF4

    digest = hashlib.sha256()
    with netCDF4.Dataset(cube) as dataset:
        dataset.set_auto_maskandscale(False)
        dataset.set_auto_chartostring(False)
        for name in sorted(dataset.variables):
            digest.update(name.encode())
            digest.update(dataset[name][:].tobytes())
    return digest.hexdigest()


def command(folder: Path, target: Path, *more: str) -> list[str]:
    words = ["--source_dir", folder / "days", "--start_date", START, "--end_date", END]
    words += ["--land_mask_file", folder / "mask.nc", "--output_file", target, "--batch_size", 3]
    return [sys.executable, str(ROOT / "consolidate_data.py"), *map(str, words), *more]


def kill(words: list[str], seconds: float) -> bool:
    """Kill a command after some seconds; False if it was done before."""
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--grid", default="n6250")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moment = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        days = {"start_date": START, "end_date": END}
        simulate_days(output_dir=folder / "days", grid=options.grid, **days)
        create_mask(source_dir=folder / "days", output_file=folder / "mask.nc", **days)
        subprocess.run(command(folder, folder / "whole.nc"), check=True, capture_output=True)
        begin = time.perf_counter()
        subprocess.run(command(folder, folder / "whole.nc", "--force"), check=True, capture_output=True)
        seconds = time.perf_counter() - begin
        truth = content(folder / "whole.nc")
        kept = same = 0
        for _ in range(options.kills):
            target = folder / "cube.nc"
            while not kill(command(folder, target), moment.uniform(0.1, seconds)):
                target.unlink()  # it was done before its moment came
            kept += any((folder / ".cube.nc.days").glob("*.days"))
            subprocess.run(command(folder, target), check=True, capture_output=True)
            same += content(target) == truth
            target.unlink()
        print(f"{options.grid}, {(END - START).days + 1} days, a whole run takes {seconds:.1f} s")
        print(f"{options.kills} kills at random moments, {kept} of them left finished days behind")
        print(f"{same} of {options.kills} cubes made in spite of them are identical")
        sys.exit(same != options.kills)


if __name__ == "__main__":
    main()
