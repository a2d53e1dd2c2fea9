"""What goes wrong in training, scoring and mapping: one line each, and nothing wrong is kept."""

import json
import logging
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from patch_folders import SMALL, make_folder
from sar_scenes import rewrite, scenes_in

from seaice import InputError
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.patch_manifest import read_manifest
from seaice.segmentation.data.splits import load_split
from seaice.segmentation.figures import panels
from seaice.segmentation.mapping.predict import predict
from seaice.segmentation.networks.checkpoint import (
    load_model,
    read_checkpoint,
)
from seaice.segmentation.study.data_efficiency import data_efficiency
from seaice.segmentation.study.evaluate import (
    _make_report,
    evaluate,
)
from seaice.segmentation.training import distributed
from seaice.segmentation.training.log import write_tensorboard
from seaice.segmentation.training.train import train
from seaice.segmentation.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = SMALL | {"options": ("base=2", "depth=2"), "epochs": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_folder(tmp_path_factory.mktemp("patches"))


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("trained")
    train(patch_dir=folder, output_dir=made, **TINY)
    return made


def test_the_smallest_threshold_leaves_water():
    assert LabelRule(1e-9).first_ice_class == 1
    assert LabelRule(1e-9).label(np.array([0, 1], np.uint8)).tolist() == [0, 1]


# Checkpoints


def test_a_changed_byte_is_seen(trained, tmp_path):
    """Torch reads weights without a look at their checksums."""
    content = bytearray((trained / "best.pt").read_bytes())
    weights = read_checkpoint(trained / "best.pt")["state"]["bottleneck.3.weight"]
    content[content.index(weights.numpy().tobytes()) + 100] ^= 0xFF
    (tmp_path / "bad.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"a damaged file: .*the checksum of .* is wrong"):
        load_model(tmp_path / "bad.pt")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 16}, "expected 2 channels for sar, found 16"),
        ({"inputs": "optical"}, "expected inputs among sar"),
        ({"channels": "2"}, "expected channels as int in a checkpoint, found str"),
        ({"model": 3}, "expected model as str"),
        ({"options": [1]}, "expected options as dict"),
        ({"options": {"base": "x"}}, "expected base and depth as whole numbers"),
        ({"state": [1]}, "expected state as dict"),
        ({"format": "seaice segmentation 2"}, "without its mark"),
        # Whose last argument takes anything: it would fetch code and run it.
        ({"model": "torch.hub:load", "options": {"repo_or_dir": "x"}}, "a module of your own"),
    ],
)
def test_checkpoints_changed_by_hand(trained, tmp_path, change, message):
    torch.save(read_checkpoint(trained / "best.pt") | change, tmp_path / "changed.pt")
    with pytest.raises(InputError, match=message) as caught:
        load_model(tmp_path / "changed.pt")
    assert "\n" not in str(caught.value)


def test_weights_that_are_no_numbers(trained, tmp_path):
    found = read_checkpoint(trained / "best.pt")
    state = {**found["state"], "head.bias": torch.tensor([0.0, float("nan")])}
    torch.save(found | {"state": state}, tmp_path / "nan.pt")
    with pytest.raises(InputError, match=r"found NaN or infinity in head\.bias of "):
        load_model(tmp_path / "nan.pt")


@pytest.mark.slow
def test_a_cut_checkpoint_says_how_to_start_anew(folder, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "cut")
    last = tmp_path / "cut" / "last.pt"
    last.write_bytes(last.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"a damaged file: .*last\.pt .* with --no_resume"):
        train(patch_dir=folder, output_dir=tmp_path / "cut", **TINY)
    assert train(patch_dir=folder, output_dir=tmp_path / "cut", resume=False, **TINY).exit_status() == 0


# Training


def test_weights_broken_by_the_last_update_are_not_kept(folder, tmp_path, monkeypatch):
    update = Trainer._update

    def breaking(self, *given):
        found = update(self, *given)
        if self.epoch == 1:
            self.network.head.bias.data[0] = float("nan")
            self.updates.stop = 0
        return found

    monkeypatch.setattr(Trainer, "_update", breaking)
    settings = TINY | {"updates": 2, "learning_rate": 1e-3}
    with pytest.raises(InputError, match="expected a finite loss of validation, found nan in epoch 2"):
        train(patch_dir=folder, output_dir=tmp_path, **settings)
    assert read_checkpoint(tmp_path / "last.pt")["epoch"] == 1
    monkeypatch.undo()
    assert train(patch_dir=folder, output_dir=tmp_path, **settings).values["epochs"] == 2


@pytest.mark.slow
def test_validation_of_one_class(folder, tmp_path, caplog):
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    for row in load_split(copied).select_rows("validation", read_manifest(copied)):
        with np.load(copied / row.file) as file:
            content = {key: file[key] for key in file.files}
        np.savez(copied / row.file, **content | {"sic": np.zeros((16, 16), np.uint8)})
    with caplog.at_level(logging.WARNING):
        train(patch_dir=copied, output_dir=tmp_path / "classes", **TINY)
    assert caplog.messages == [
        "the patches of validation have one class only: the best epoch means little"
    ]
    with pytest.raises(InputError, match="expected several classes of concentration"):
        train(patch_dir=copied, output_dir=tmp_path / "sic", task="sic", **TINY)


def test_variables_of_torchrun_that_are_not_whole(folder, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="found WORLD_SIZE 2 without a good MASTER_ADDR"):
        train(patch_dir=folder, output_dir=tmp_path, **TINY)
    for name, text in (("MASTER_ADDR", "x"), ("MASTER_PORT", "1"), ("RANK", "0")):
        monkeypatch.setenv(name, text)
    with pytest.raises(InputError, match="without a good LOCAL_RANK"):
        distributed._read_torchrun_variables()
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert distributed._read_torchrun_variables() == (2, 0, 0)
    with pytest.raises(InputError, match="expected one process for data-efficiency, found 2"):
        data_efficiency(patch_dir=folder, output_dir=tmp_path)
    with pytest.raises(InputError, match="expected one process for evaluate, found 2"):
        evaluate(checkpoint=trained / "best.pt", patch_dir=folder, output_file=tmp_path / "x.json")


def test_tensorboard_gets_every_score(tmp_path, monkeypatch):
    told = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            told.append((folder, purge_step))

        def __enter__(self):
            return self

        def __exit__(self, *given):
            told.append("closed")

        def add_scalar(self, name, value, step):
            told.append((name, value, step))

    stub = types.SimpleNamespace(SummaryWriter=SummaryWriter)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stub)
    write_tensorboard(tmp_path / "t", {"epoch": 3.0, "train_loss": 0.5, "iou_mean": 0.7, "seconds": 1.0})
    scalars = [("train_loss", 0.5, 3), ("iou_mean", 0.7, 3)]
    assert told == [(str(tmp_path / "t"), 3), *scalars, "closed"]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    write_tensorboard(tmp_path / "t", {"epoch": 3.0})


# Data efficiency and scores


def test_a_study_is_of_one_set_of_patches(folder, tmp_path):
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    study = {"patch_dir": copied, "output_dir": tmp_path / "study", "fractions": (1.0,), "seeds": 1}
    study |= TINY | {"epochs": 1, "updates": 1}
    data_efficiency(**study)
    manifest = copied / "patches.csv"
    before = manifest.read_text()
    manifest.write_text(before.rsplit("\n", 2)[0] + "\n")
    with pytest.raises(InputError, match="found another patches_sha256; choose another --output_dir"):
        data_efficiency(**study)
    manifest.write_text(before)
    (done,) = (tmp_path / "study").glob("*/run.json")
    for text in ("{", "[]", json.dumps({"settings": {}, "split": "test"})):
        done.write_text(text)
        with pytest.raises(InputError, match=r"a finished run is damaged .*run\.json; remove it"):
            data_efficiency(**study)


def test_only_scores_on_patches_of_trained_scenes_are_called_too_good():
    line = {"method": "unet", "subset": "all", "patches": 1, "scenes": 1, "scores": {}}
    content = {"results": [line], "label_rule": "", "split_mode": "patch"}
    told = [
        " ".join(_make_report(Path("x.json"), content | {"split": split}).lines)
        for split in ("validation", "test")
    ]
    assert "too good" in told[0] and "too good" not in told[1]


# Maps


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    scenes_in(root, scenes=1, test_scenes=0)
    return next((root / "train").glob("*.nc"))


@pytest.fixture
def scene(simulated, tmp_path) -> Path:
    return Path(shutil.copy(simulated, tmp_path))


@pytest.mark.slow
def test_no_part_of_an_earlier_map_is_taken_for_one_of_a_new_map(trained, scene, tmp_path, monkeypatch):
    out = tmp_path / "maps"
    options = {"checkpoint": trained / "best.pt", "scene": scene, "output_dir": out, "device": "cpu"}
    options["ice_share_grid"] = "n25000"
    predict(**options)
    predict(**options, overlap=0, force=True, geotiff=False)
    assert not list(out.glob("*.tif"))
    assert "already there" not in predict(**options, overlap=0).lines[0]
    assert len(list(out.glob("*.tif"))) == 2

    def stopped(*given, **more):
        raise KeyboardInterrupt

    # The rasters are new by then, and the map is not.
    with monkeypatch.context() as patch:
        patch.setattr("seaice.segmentation.mapping.predict.write_scene_map", stopped)
        with pytest.raises(KeyboardInterrupt):
            predict(**options, force=True)
    assert "already there" not in predict(**options, overlap=0).lines[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("distance_map", lambda a: np.full_like(a, -23.6276695 / 14.9901863), "all land or without"),
        ("nersc_sar_primary", np.zeros_like, "all land or without SAR"),
        ("sar_grid2d_latitude", np.zeros_like, "geolocation points with 80 m by pixel, found"),
        ("sar_grid2d_latitude", lambda a: a[::-1, ::1] * 0.5, "geolocation points with 80 m by pixel"),
    ],
)
def test_scenes_of_which_there_is_no_map(trained, scene, tmp_path, name, change, message):
    import h5py

    with h5py.File(scene) as file:
        values = file[name][...]
    rewrite(scene, name, change(values))
    if name == "nersc_sar_primary":
        rewrite(scene, "nersc_sar_secondary", change(values))
    out = tmp_path / "maps"
    with pytest.raises(InputError, match=f"{message}.*{scene.stem}"):
        predict(checkpoint=trained / "best.pt", scene=scene, output_dir=out, device="cpu")
    assert not list(out.iterdir())


# Pictures


def test_r2_below_zero_is_seen():
    ax = panels.make_figure(4, 3).subplots()
    log = {"epoch": np.arange(1.0, 4), "r2": np.array([-0.6, -0.4, np.nan])}
    panels.draw_validation(ax, {"a": log}, {"r2": "R2"})
    assert ax.get_ylim()[0] < -0.6
    ax = panels.make_figure(4, 3).subplots()
    line = {"fraction": 1.0, "mean": -0.4, "low": -0.9, "high": 0.1, "values": [-0.5, -0.3]}
    panels.draw_efficiency(ax, {"a": [line]}, "R2", {})
    low, high = ax.get_ylim()
    assert low < -0.5 and high > 0.1
    ax = panels.make_figure(4, 3).subplots()
    panels.draw_efficiency(ax, {"a": [line | {"mean": 0.1, "values": [0.05, 0.15]}]}, "IoU", {})
    assert ax.get_ylim()[0] == 0


@pytest.mark.slow
def test_prediction_is_not_shown_where_the_chart_has_no_class(folder, trained, tmp_path, monkeypatch):
    from seaice.segmentation.figures.plot import plot

    drawn = []
    draw = panels.draw_codes

    def noted(ax, codes, classes):
        drawn.append((codes, classes))
        return draw(ax, codes, classes)

    monkeypatch.setattr(panels, "draw_codes", noted)
    given = {"checkpoint": trained / "best.pt", "patch_dir": folder, "device": "cpu"}
    plot(kind="panels", output_file=tmp_path / "p.png", count=1, dpi=20, **given)
    (made, _), (difference, _) = drawn
    assert (difference == 4).any()
    np.testing.assert_array_equal(made == 255, difference == 4)
