r"""Water and ice in Sentinel-1 scenes: train models on ice charts and map whole scenes.

From the AI4Arctic scenes to a georeferenced ice map and its share of ice on the grid of the cubes.
Splits are by scene. Several GPUs: torchrun --nproc_per_node N segmentation.py train ...

Examples
  python segmentation.py download --output_dir scenes --split all
  python segmentation.py label --chart chart.zip --scene S_prep.nc --output_file S_prep_reference.nc
  python segmentation.py label --chart chart.gpkg --against cube.nc --output_file comparison.csv
  python segmentation.py sentinel2 --scene scenes --output_dir optical --hours 6
  python segmentation.py patches --input_dir scenes --output_dir patches --workers 4
  python segmentation.py split --patch_dir patches
  python segmentation.py train --patch_dir patches --output_dir unet
  python segmentation.py train --patch_dir patches --output_dir probing --model terramind --mode probing
  python segmentation.py evaluate --checkpoint unet/best.pt --patch_dir patches --output_file unet.json
  python segmentation.py data-efficiency --patch_dir patches --output_dir study --inputs sar sar+amsr2
  python segmentation.py predict --checkpoint unet/best.pt --scene scenes/test --output_dir maps
  python segmentation.py predict --checkpoint unet/best.pt --scene S1A_EW_GRDM.SAFE --output_dir maps
  python segmentation.py plot --kind curves --input_files unet probing --output_file curves.png
"""

import argparse
import os
from collections.abc import Sequence

from seaice import cli
from seaice.runtime.options import options_of
from seaice.segmentation.charts.label import label
from seaice.segmentation.data.cut import make_patches
from seaice.segmentation.data.download import download_scenes
from seaice.segmentation.data.splits import split_scenes
from seaice.segmentation.figures.plot import plot
from seaice.segmentation.mapping.predict import predict
from seaice.segmentation.optical.stage import fetch_sentinel2
from seaice.segmentation.study.data_efficiency import data_efficiency
from seaice.segmentation.study.evaluate import evaluate
from seaice.segmentation.training.train import train

COMMANDS: cli.Commands = {
    "download": (download_scenes, "fetch the scenes of the AI4Arctic challenge"),
    "label": (label, "draw an ice chart on a scene or a grid, or compare charts with a cube"),
    "sentinel2": (fetch_sentinel2, "fetch cloud-poor optical images on the pixels of scenes"),
    "patches": (make_patches, "cut scenes into patches"),
    "split": (split_scenes, "divide scenes into training, validation and test"),
    "train": (train, "train a network"),
    "evaluate": (evaluate, "score a network on scenes it has not seen"),
    "data-efficiency": (data_efficiency, "train with parts of the scenes and compare"),
    "predict": (predict, "map water and ice in whole scenes"),
    "plot": (plot, "draw curves, patches, maps, data efficiency or features"),
}


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``segmentation.py``."""
    parser = cli.make_parser(__doc__)
    for command, (stage, _) in zip(cli.add_commands(parser, COMMANDS), COMMANDS.values(), strict=True):
        options = dict(options_of(stage))
        if "dask" in options:
            del options["workers"], options["dask"]
            cli.add_engine(command)
        if options.pop("fractions", None):
            command.add_argument(
                "--fractions",
                type=cli.numbers,
                metavar="A,B,...",
                help="parts of the training scenes, between commas (default 0.05,0.1,0.25,0.5,1)",
            )
        cli.add_options(command, options.values())
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    # Threads of torch that wait asleep: awake they stop each other wherever anything else runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return cli.run(build_parser(), COMMANDS, argv)
