"""A week of granules through the real client, against a server that fails and a client that is killed.

Claim: with 4 threads and a fifth of the granules meeting a fault, every granule is in the
archive or named with its reason, and the same command completes it; killed at random moments the
archive is the one of an undisturbed run. The alternative is that undisturbed run, made from the same
files without a network. The server is a process of its own (tests/gportal_server.py). Exit status
1 where anything is lost or differs.

  python benchmarks/collection.py
  python benchmarks/collection.py --days 7 --scans 40 --kills 20
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.simulate import list_simulated_granules, write_granule
from seaice.swaths.archive import load_swaths

START = datetime(2020, 1, 1, tzinfo=UTC)
RUNNER = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import gportal, gportal.http_client
said = json.loads(sys.argv[2])
gportal.http_client.BASE_URL = said["http_url"]
gportal.SFTP.HOST, gportal.SFTP.PORT = said["sftp_host"], said["sftp_port"]
os.environ["GPORTAL_HOST_KEY"] = said["host_key"]
import amsr2_processor
sys.exit(amsr2_processor.main(sys.argv[3:]))
"""


def simulate(folder: Path, days: float, scans: int) -> int:
    granules = list_simulated_granules(START, START + timedelta(days=days) - timedelta(seconds=1))
    for granule in granules:
        write_granule(folder, granule, scans=scans, overlap=5)
    return len(granules)


@contextmanager
def server(folder: Path, *words: str) -> Iterator[str]:
    """A G-Portal stand-in in a process of its own; gives its addresses as JSON."""
    command = [sys.executable, str(ROOT / "tests" / "gportal_server.py"), str(folder), *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdin
        yield process.stdout.readline()
        process.stdin.close()


def options(output: Path, days: float) -> list[str]:
    end = START + timedelta(days=days) - timedelta(seconds=1)
    span = ["--start", f"{START:%Y-%m-%d %H:%M:%S}", "--end", f"{end:%Y-%m-%d %H:%M:%S}"]
    quick = ["--retry_delay", "0.1", "--timeout", "2", "--layout", "hdf5", "--threads", "4"]
    return [*span, *quick, "--output_dir", str(output)]


def start(addresses: str, words: Sequence[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "GPORTAL_USERNAME": "user", "GPORTAL_PASSWORD": "secret"}
    command = [sys.executable, "-c", RUNNER, str(ROOT), addresses, *words]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def content(output: Path) -> dict[str, Any]:
    """Everything in the archive of a folder, by granule, and whether it calls itself complete."""
    (path,) = output.glob("AMSR2_swaths_*.h5")
    with load_swaths(path) as swaths:
        held = {s.granule_id: {k: a.tobytes() for k, a in s.name_arrays().items()} for s in swaths}
        missing = {entry["granule_id"]: entry["reason"] for entry in swaths.info["missing"]}
        return {"held": held, "missing": missing, "complete": swaths.info["complete"]}


def undisturbed(folder: Path, output: Path, days: float) -> dict[str, Any]:
    import amsr2_processor

    words = [*options(output, days), "--input_dir", str(folder)]
    if amsr2_processor.main(words) not in (0, 1):
        raise SystemExit("the undisturbed run failed")
    return content(output)


def with_faults(folder: Path, output: Path, days: float, truth: dict[str, Any]) -> bool:
    """A run against a failing server, and another one; whether nothing was lost."""
    good = True
    with server(folder, "--share", "0.2", "--seed", "1") as addresses:
        for attempt in range(1, 5):  # a granule may meet more than one fault
            began = time.perf_counter()
            run = start(addresses, [*options(output, days), "--max_retries", "2"])
            _, err = run.communicate()
            seconds = time.perf_counter() - began
            found = content(output)
            lost = truth["held"].keys() - found["held"].keys() - found["missing"].keys()
            same = all(found["held"][name] == truth["held"][name] for name in found["held"])
            good &= not lost and same and found["complete"] == (not found["missing"])
            failed = any(line.startswith("failed: ") for line in err.splitlines())
            good &= "Traceback" not in err and run.returncode == failed
            again = sum("trying again" in line for line in err.splitlines())
            print(
                f"run {attempt}: {len(found['held'])} archived, {len(found['missing'])} named missing, "
                f"{len(lost)} lost, {again} further attempts, {seconds:.1f} s, status {run.returncode}"
            )
            for name, reason in found["missing"].items():
                print(f"  {name}: {reason.partition('/')[0]}")
            if found["complete"]:
                break
    return good and not found["missing"] and found["held"] == truth["held"]


def with_kills(folder: Path, output: Path, days: float, kills: int, truth: dict[str, Any]) -> bool:
    """Runs killed at random moments, some during the last step, until one ends by itself."""
    chance = random.Random(3)
    done = rounds = 0
    good = True
    with server(folder) as addresses:
        began = time.perf_counter()
        start(addresses, options(output / "whole", days)).communicate()
        whole = time.perf_counter() - began
        while done < kills:
            place = output / f"round_{rounds}"
            rounds += 1
            for _ in range(7):
                run = start(addresses, options(place, days))
                time.sleep(chance.uniform(0.05, 0.7) * whole)
                if run.poll() is None and done < kills:
                    run.send_signal(signal.SIGKILL)
                    done += 1
                run.communicate()
                if run.returncode == 0:
                    break
            else:
                start(addresses, options(place, days)).communicate()
            good &= content(place)["held"] == truth["held"]
    print(
        f"{done} kills in {rounds} collections (one takes {whole:.1f} s): "
        f"{'all archives equal the undisturbed one' if good else 'ARCHIVES DIFFER'}"
    )
    return good


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=float, default=1.0)
    parser.add_argument("--scans", type=int, default=20, help="of a granule, without its overlap")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="for the files; a temporary one by default")
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        (folder / "server").mkdir()
        count = simulate(folder / "server", given.days, given.scans)
        print(f"{count} granules of {given.scans} scans")
        truth = undisturbed(folder / "server", folder / "undisturbed", given.days)
        good = with_faults(folder / "server", folder / "faults", given.days, truth)
        good &= with_kills(folder / "server", folder / "kills", given.days, given.kills, truth)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
