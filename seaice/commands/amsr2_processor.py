r"""Collect brightness temperatures of AMSR2 (JAXA, Level 1B or 1R) into one archive of swaths.

Searches G-Portal, fetches granules over SFTP in several threads, extracts the channels with
times and co-registered positions, and deletes the granules. Every finished granule is safe
on the disk at once: the same command continues after a kill or a failure. An archive that
lacks granules is called ..._incomplete and lists them; the exit status is 1 where they could not be
fetched, and 0 where the server has none. Without any option on a terminal it asks.

Examples
  python amsr2_processor.py --start 2020-01-01 --end 2020-01-31 --output_dir archive
  python amsr2_processor.py --start "2020-01-01 00:00:00" --end "2020-01-01 06:00:00"
  python amsr2_processor.py --start 20200101 --end 20200131 --output_dir archive --robust
  python amsr2_processor.py --start 20200101 --end 20200107 --output_dir archive --input_dir l1b
  python amsr2_processor.py --start 20200101 --end 20200131 --output_dir ice --preset concentration
  python amsr2_processor.py --start 20200101 --end 20200131 --output_dir l1r --level L1R \
      --channels res36-36.5V res36-36.5H
  python amsr2_processor.py --start 20110101 --end 20110131 --output_dir amsre --sensor AMSR-E

An account (free, https://gportal.jaxa.jp) is taken from GPORTAL_USERNAME and GPORTAL_PASSWORD,
else from ~/.netrc (machine ftp.gportal.jaxa.jp), else asked for on a terminal. It is sent only to
a server whose key is in ~/.ssh/known_hosts or is accepted by --accept_host_key.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from seaice import cli, settings
from seaice.sources.amsr2.channels import PRESETS
from seaice.sources.amsr2.sensors import LEVELS, SENSORS
from seaice.swaths.archive import LAYOUTS
from seaice.swaths.collect import collect_swaths

QUESTIONS = {
    "--start": "First time, UTC (YYYY-MM-DD HH:MM:SS or a date)",
    "--end": "Last time",
    "--threads": "Threads [4]",
    "--save_interval": "Tell the state after so many granules [100]",
}


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``amsr2_processor.py``."""
    parser = cli.make_parser(__doc__, collect_swaths)
    for name, order in (("start", "first"), ("end", "last")):
        parser.add_argument(
            f"--{name}",
            type=cli.moment(last=name == "end"),
            required=True,
            metavar="TIME",
            help=f"{order} time, UTC: a date, or 'YYYY-MM-DD HH:MM:SS'",
        )
    parser.add_argument(
        "-o",
        "--output_dir",
        type=Path,
        default=settings.data_dir(),
        help="folder for the archive (default %(default)s, or the environment's SEAICE_DATA_DIR)",
    )
    parser.add_argument("--input_dir", type=Path, metavar="DIR", help="take granules from here instead")
    parser.add_argument(
        "--sensor",
        choices=[sensor.name for sensor in SENSORS.values() if sensor.is_read],
        help="(default AMSR2, or the sensor of all granules in INPUT_DIR)",
    )
    parser.add_argument(
        "--level",
        choices=LEVELS,
        help="L1R is resampled to common footprints (default: the level that has the channels, else "
        "that of all granules in INPUT_DIR, else L1B)",
    )
    parser.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        help="the channels that an ice concentration is retrieved from, with positions: "
        f"{' '.join(PRESETS['concentration']['L1B'])}, or their like of L1R",
    )
    parser.add_argument(
        "--channels",
        nargs="+",
        metavar="CHANNEL",
        help="6.9 7.3 10.7 18.7 23.8 36.5 with V or H, 89AV 89AH 89BV 89BH (default 36.5H); of L1R at a "
        "common footprint res06 res10 res23 res36, such as res23-36.5V (default res36-36.5H)",
    )
    parser.add_argument("--coordinates", action="store_true", help="positions as well (default)")
    parser.add_argument(
        "--no_coordinates", dest="coordinates", action="store_false", help="no positions"
    )
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        help="HDF5 that opens swath by swath, with a CF group for each, or the classic pickled npz "
        "for programs that expect it (default %(default)s)",
    )
    parser.add_argument("--orbit", choices=("A", "D", "both"), help="half orbits (default %(default)s)")
    parser.add_argument(
        "--bbox",
        nargs=4,
        type=cli.between(-360, 360),
        metavar=("WEST", "SOUTH", "EAST", "NORTH"),
        help="only granules that meet this box, degrees",
    )
    parser.add_argument(
        "--overlap",
        choices=("trim", "keep"),
        help="scans at both ends that the neighbour granules have too (default %(default)s)",
    )
    counts = {
        "threads": (cli.at_least(1), "granules worked on at a time, at most 16"),
        "save_interval": (cli.at_least(1), "tell the state after so many granules; each is safe anyway"),
        "max_retries": (cli.at_least(0), "further attempts at a granule"),
        "retry_delay": (cli.between(0, 3600), "seconds before the first of them, doubled each time"),
        "timeout": (cli.between(0.1, 3600), "longest silence of a server, seconds"),
    }
    for name, (kind, text) in counts.items():
        parser.add_argument(
            f"--{name}",
            type=kind,
            metavar="N",
            help=f"{text} (default %(default)s)",
        )
    parser.add_argument(
        "--robust",
        action="store_true",
        help="one granule at a time, a pause after each, stop after 10 failures in a row",
    )
    parser.add_argument(
        "--accept_host_key",
        default=settings.gportal_host_key(),
        metavar="SHA256:...",
        help="fingerprint of the key of the server that you have compared (default: the environment's "
        "GPORTAL_HOST_KEY); without it the server must be in ~/.ssh/known_hosts",
    )
    parser.add_argument("--keep_hdf5", action="store_true", help="keep the granules in OUTPUT_DIR/l1b")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    words = cli.ask_options(QUESTIONS) if argv is None and len(sys.argv) == 1 else argv
    name, password = settings.gportal_account()
    return cli.run(
        build_parser(), collect_swaths, words, username=name, password=password, ask=cli.asker()
    )
