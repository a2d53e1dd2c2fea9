"""Water and ice in Sentinel-1 scenes: train models on ice charts and map whole scenes.

Examples
  python segmentation.py download --output_dir scenes --split all
  python segmentation.py train --patch_dir patches --output_dir unet

python segmentation.py --help has every option and more examples.
"""

import sys

from seaice.commands.segmentation import main

if __name__ == "__main__":
    sys.exit(main())
