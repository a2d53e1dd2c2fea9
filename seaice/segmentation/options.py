"""Options of segmentation.py as data: what each stage function takes, and one sentence of help."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seaice.segmentation.figures.plot import (
    KINDS,
    SCORES,
)

PARTS = ("validation", "test")


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes
    ----------
    name : str
        Of the parameter.
    text : str
        Help; the default is added where there is one to tell.
    kind : callable
        Type of the value; bool for a switch.
    value : str
        Name of the value in the help.
    choices : tuple of str
    bounds : (float, float), optional
        Least and largest value of a number.
    many : bool
        Takes several values.
    needed : bool
        Has no default.
    off : bool
        The switch turns something off: ``--no_NAME``.
    """

    name: str
    text: str
    kind: Callable[[str], Any] = str
    value: str = ""
    choices: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None
    many: bool = False
    needed: bool = False
    off: bool = False


def fractions(text: str) -> tuple[float, ...]:
    """Numbers between commas.

    Examples
    --------
    >>> fractions("0.05,0.1, 1")
    (0.05, 0.1, 1.0)
    """
    return tuple(float(part) for part in text.split(","))


def _folder(name: str, text: str, *, needed: bool = True) -> Option:
    return Option(name, text, Path, "DIR", needed=needed)


def _file(name: str, text: str, *, needed: bool = False) -> Option:
    return Option(name, text, Path, "FILE", needed=needed)


def _count(name: str, text: str, least: int = 1) -> Option:
    return Option(name, text, int, "N", bounds=(least, math.inf))


def _share(name: str, text: str) -> Option:
    return Option(name, text, float, "SHARE", bounds=(0, 1))


def _switch(name: str, text: str, *, off: bool = False) -> Option:
    return Option(name, text, bool, off=off)


_PATCHES = _folder("patch_dir", "patches with their manifest and split")
_SEED = _count("seed", "of the random numbers", 0)
_DEVICE = Option("device", "auto, cpu, cuda, cuda:1 or mps", value="NAME")
_LOADERS = _count("workers", "processes that read patches", 0)
_CHECKPOINT = _file("checkpoint", "best.pt of a training", needed=True)
_BATCH = _count("batch_size", "patches at a time")
_FORCE = _switch("force", "replace what was made otherwise")
_MODEL = (
    Option("model", "unet, terramind, timm:NAME, smp:ARCHITECTURE:ENCODER or MODULE:FUNCTION"),
    Option("mode", "from random weights, the head alone, or everything from pretrained weights",
           choices=("scratch", "probing", "finetune")),
    Option("options", "of the model, e.g. base=8", value="KEY=VALUE", many=True),
    Option("weights", "local file of pretrained weights, or random", value="FILE"),
    Option("inputs", "what the model sees", choices=("sar", "sar+amsr2")),
    Option("task", "water and ice, eleven classes of concentration, or concentration as a number",
           choices=("classes", "sic", "sic-regression")),
    Option("ice_threshold", "concentration from which on a pixel is ice; charts are in tenths, so that "
           "0.15 is 0.20", float, "FRACTION", bounds=(0, 1)),
    _count("epochs", "times of validation"),
    _count("updates", "steps in all (default: passes over the patches)"),
    Option("learning_rate", "of AdamW at the start (default: 1e-4, finetune 1e-5)", float, "RATE"),
    _count("batch_size", "patches in a step, of all processes together"),
    _count("patience", "epochs without a better score before it ends; 0: never", 0),
    _switch("augment", "turn and mirror training patches"),
    Option("fraction_by", "whether parts are of scenes or of patches", choices=("scene", "patch")),
    Option("precision", "of numbers in training", choices=("auto", "fp32", "bf16", "fp16")),
    _SEED,
    _DEVICE,
    _LOADERS,
)  # fmt: skip

OPTIONS: Mapping[str, tuple[Option, ...]] = {
    "download": (
        _folder("output_dir", "made where it does not exist"),
        Option("split", "20 scenes (2.5 GB), 512 scenes (60 GB), or both",
               choices=("test", "train", "all")),
        Option("revision", "branch, tag or commit of the dataset", value="NAME"),
        _folder("archive_dir", "archives fetched by other means", needed=False),
        _switch("keep_archives", "keep them after they are unpacked"),
    ),
    "patches": (
        _folder("input_dir", "scenes, in folders below it too"),
        _folder("output_dir", "for patches and manifest"),
        Option("size", "pixels of 80 m along a side", int, "N", bounds=(8, math.inf)),
        _count("per_scene", "most patches of a scene"),
        _count("seed", "of the places", 0),
        _share("max_invalid", "largest share of pixels without SAR or class"),
        _share("mixed_share", "wanted share of patches with 5 to 95 percent ice"),
        _share("max_overlap", "largest common share of two patches"),
        Option("sampling", "by the ice of the places, or without regard to it",
               choices=("stratified", "random")),
        _FORCE,
    ),
    "split": (
        _PATCHES,
        Option("split", "whole scenes; or patches at random, whose scores are too good",
               choices=("scene", "patch")),
        Option("by", "what is never parted", choices=("pass", "region", "season")),
        _share("validation_share", "of the scenes that are not for testing"),
        _share("test_share", "only without official test scenes"),
        _SEED,
        _FORCE,
    ),
    "train": (
        _PATCHES,
        _folder("output_dir", "for best.pt, last.pt and log.csv"),
        *_MODEL,
        _switch("class_weights", "weigh classes by the inverse of their share"),
        _share("fraction", "of the training scenes"),
        _switch("resume", "start anew where a training was stopped", off=True),
    ),
    "evaluate": (
        _CHECKPOINT,
        _PATCHES,
        _file("output_file", "to write: .json or .csv", needed=True),
        Option("split", "scenes to score", choices=PARTS),
        _switch("baselines", "leave out threshold, majority and chance", off=True),
        _switch("batch_mean_iou", "also the mean over batches, as in published scores"),
        _BATCH,
        _count("repeats", "draws of scenes for the intervals"),
        _SEED,
        _DEVICE,
        _LOADERS,
    ),
    "data-efficiency": (
        _PATCHES,
        _folder("output_dir", "for the trainings, efficiency.json and efficiency.csv"),
        Option("fractions", "of the training scenes, between commas", fractions, "A,B,..."),
        _count("seeds", "trainings of each fraction"),
        Option("equal", "what all trainings have alike", choices=("updates", "epochs")),
        Option("split", "scenes to score", choices=PARTS),
        *(replace(option, many=option.many or option.name == "inputs") for option in _MODEL),
    ),
    "predict": (
        _CHECKPOINT,
        Option("scene", "scene, or folder of scenes", Path, "PATH", needed=True),
        _folder("output_dir", "made where it does not exist"),
        _count("tile", "pixels along a side (default: those of the patches)"),
        _count("overlap", "pixels that tiles share (default: a quarter of one)", 0),
        _count("batch_size", "tiles at a time on a GPU"),
        Option("ice_share_grid", "grid of the ice share, e.g. n3125 (default: that of the cube, else "
               "3.125 km)", value="ID"),
        _switch("geotiff", "write no GeoTIFF", off=True),
        _file("cube_file", "cube of consolidate_data.py to compare with"),
        _DEVICE,
        _FORCE,
    ),
    "plot": (
        Option("kind", "what to draw", choices=KINDS, needed=True),
        _file("output_file", "picture to write", needed=True),
        Option("input_files", "log.csv, efficiency.json or their folders; one map of predict",
               Path, "FILE", many=True),
        Option("labels", "of the input files", value="NAME", many=True),
        _file("checkpoint", "best.pt of a training, for panels and embedding"),
        _folder("patch_dir", "patches, for panels and embedding", needed=False),
        Option("split", "scenes of panels", choices=PARTS),
        Option("score", "of efficiency", choices=tuple(SCORES)),
        _count("count", "patches (default: 6 panels, 300 in an embedding)"),
        _DEVICE,
        Option("dpi", "dots per inch", int, "N", bounds=(20, 1200)),
    ),
}  # fmt: skip
