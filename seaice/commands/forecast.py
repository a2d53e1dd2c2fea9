r"""Forecast daily ice concentration by simple rules and by a network that has to beat them; score both.

Forecasts start from the observed values of a cube and what was known of its gaps on the day; no later
day is read. One file a method, by initial day and lead.

Examples
  python forecast.py baseline --cube_file cube.nc --mask_file land_mask.nc --output_dir base \
      --methods persistence damped rolling --test 2025-03-01 2025-03-31 --leads 1-7
  python forecast.py baseline --cube_file cube.nc --output_dir base --methods rolling lagged \
      --train 2025-01-01 2025-02-15 --test 2025-03-01 2025-03-31
  python forecast.py score --forecast base/persistence.nc base/rolling.nc --cube_file cube.nc \
      --mask_file land_mask.nc --region active barents --output_dir scores
  python forecast.py train --cube_file cube.nc --mask_file land_mask.nc --test 2025-03-01 2025-03-31 \
      --output_dir net
  python forecast.py predict --checkpoint net/last.pt --cube_file cube.nc --mask_file land_mask.nc \
      --output_file forecast.nc
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from seaice import cli
from seaice.forecast.baselines.registry import BASELINES
from seaice.forecast.baselines.stage import make_baselines
from seaice.forecast.network.forecaster import list_bases
from seaice.forecast.network.predict import predict_days
from seaice.forecast.network.train import train_network
from seaice.forecast.scoring.stage import score_forecasts
from seaice.runtime.options import options_of

COMMANDS: cli.Commands = {
    "baseline": (
        make_baselines,
        "forecast by simple rules: persistence, a refitted stencil, climatology",
    ),
    "train": (train_network, "train a network to correct persistence, or a baseline"),
    "predict": (predict_days, "forecast from a day with trained networks, beyond the cube too"),
    "score": (score_forecasts, "compare forecasts with the observed days of a cube"),
}


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``forecast.py``."""
    parser = cli.make_parser(__doc__)
    baseline, train, predict, score = cli.add_commands(parser, COMMANDS)
    options = dict(options_of(make_baselines))
    options["methods"] = replace(options["methods"], choices=tuple(BASELINES))
    cli.add_options(baseline, options.values())
    cli.add_test_days(baseline)
    options = dict(options_of(train_network))
    options["on"] = replace(options["on"], choices=tuple(list_bases()))
    cli.add_options(train, options.values())
    cli.add_test_days(train, required=False)
    cli.add_options(predict, options_of(predict_days).values())
    predict.add_argument(
        "--start", type=cli.day, metavar="DATE", help="initial day (default: the last day of the cube)"
    )
    cli.add_options(score, options_of(score_forecasts).values())
    score.add_argument(
        "--train",
        nargs=2,
        type=cli.day,
        metavar=("FROM", "TO"),
        help="training days by which the active region is found (default: up to the first initial day)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), COMMANDS, argv)
