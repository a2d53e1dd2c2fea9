"""Training: what it learns, going on after a stop as if there had been none, several processes."""

import csv
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from patch_folders import SMALL, make_folder

from seaice import InputError
from seaice.runtime.networks.precision import choose_precision
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.heads.targets import (
    compute_concentration,
    convert_logits,
    decide_classes,
    make_label_table,
    sum_losses,
)
from seaice.segmentation.networks.checkpoint import (
    load_model,
    read_checkpoint,
)
from seaice.segmentation.training.train import train
from seaice.segmentation.training.trainer import Trainer, TrainingPlan

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_folder(tmp_path_factory.mktemp("patches"))


@pytest.fixture(scope="module")
def undisturbed(folder, tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("undisturbed")
    train(patch_dir=folder, output_dir=made, augment=True, **SMALL)
    return made


def same_state(one: Path, other: Path) -> bool:
    first, second = (read_checkpoint(path)["state"] for path in (one, other))
    return all(torch.equal(value, second[key]) for key, value in first.items())


def log_of(folder: Path) -> list[list[str]]:
    with (folder / "log.csv").open(newline="") as file:
        return [line[:-1] for line in csv.reader(file)]  # the last column is the time it took


@pytest.mark.slow
def test_it_learns(folder, tmp_path):
    report = train(patch_dir=folder, output_dir=tmp_path / "new", **SMALL | {"epochs": 8})
    assert report.values["metrics"]["iou_mean"] > 0.85
    assert report.values["epochs"] == 8 and report.values["updates"] == 32
    assert {path.name for path in report.outputs} == {"best.pt", "last.pt", "log.csv", "settings.json"}
    lines = log_of(tmp_path / "new")
    assert len(lines) == 9 and lines[0][:4] == ["epoch", "updates", "learning_rate", "train_loss"]
    rates = [float(line[2]) for line in lines[1:]]
    assert rates[0] == 5e-3 and rates == sorted(rates, reverse=True)
    assert rates[4] == pytest.approx(1e-6 + (5e-3 - 1e-6) / 2)  # half way along the cosine


def test_checkpoint_says_what_it_is(undisturbed):
    found = read_checkpoint(undisturbed / "best.pt")
    assert found["label_rule"] == LabelRule(0.2).describe() and found["ice_threshold"] == 0.2
    assert found["model"] == "unet" and found["options"] == {"base": 4, "depth": 2}
    assert len(found["split_digest"]) == 64 and found["patch_size"] == 16
    assert list(found["scaling"]) == ["nersc_sar_primary", "nersc_sar_secondary"]
    assert "optimizer" not in found and "optimizer" in read_checkpoint(undisturbed / "last.pt")
    model = load_model(undisturbed / "best.pt")
    assert not model.network.training and model.rule == LabelRule(0.2)
    made = model.predict(torch.randn(1, 2, 16, 16))
    torch.testing.assert_close(made.sum(1), torch.ones(1, 16, 16))


@pytest.mark.slow
def test_same_seed_same_bits_with_workers_or_without(folder, undisturbed, tmp_path):
    train(patch_dir=folder, output_dir=tmp_path, augment=True, workers=2, **SMALL)
    assert same_state(undisturbed / "last.pt", tmp_path / "last.pt")
    assert log_of(undisturbed) == log_of(tmp_path)
    other = tmp_path / "other"
    train(patch_dir=folder, output_dir=other, augment=True, seed=1, **SMALL | {"epochs": 1})
    assert log_of(undisturbed)[1] != log_of(other)[1]


def test_random_numbers_of_the_caller_are_left_alone(folder, tmp_path):
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    train(patch_dir=folder, output_dir=tmp_path, **SMALL | {"epochs": 1})
    assert torch.rand(1) == wanted


@pytest.mark.slow
def test_a_finished_training_goes_on_to_more_epochs(folder, undisturbed, tmp_path, caplog):
    shutil.copytree(undisturbed, tmp_path / "more")
    words = {"patch_dir": folder, "output_dir": tmp_path / "more", "augment": True}
    report = train(**words, **SMALL | {"epochs": 4})
    assert report.values["epochs"] == 4 and "3 of them before" in report.lines[2]
    assert "going on to 4 epochs instead of 3" in caplog.text
    lines = log_of(tmp_path / "more")
    assert lines[:4] == log_of(undisturbed) and len(lines) == 5
    expected = 1e-6 + (1 + math.cos(3 * math.pi / 4)) / 2 * (5e-3 - 1e-6)
    assert float(lines[4][2]) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(InputError, match=r"found one of epochs 4; choose another --output_dir"):
        train(**words, **SMALL)
    with pytest.raises(InputError, match="found one of epochs 4, updates None"):
        train(**words, **SMALL | {"epochs": 5, "updates": 20})


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from seaice.segmentation.training import trainer
from seaice.segmentation.training.train import train
update, count = trainer.Trainer._update, 0
def killed(self, *given):
    global count
    count += 1
    if count == 7:  # within the second epoch of four updates
        os.kill(os.getpid(), signal.SIGKILL)
    return update(self, *given)
trainer.Trainer._update = killed
train(patch_dir=Path(sys.argv[1]), output_dir=Path(sys.argv[2]), augment=True,
      options=["base=4", "depth=2"], epochs=3, batch_size=4, learning_rate=5e-3, device="cpu")
"""


@pytest.mark.slow
def test_killed_training_goes_on_to_the_same_end(folder, undisturbed, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, folder, tmp_path], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == -signal.SIGKILL
    assert read_checkpoint(tmp_path / "last.pt")["epoch"] == 1
    report = train(patch_dir=folder, output_dir=tmp_path, augment=True, **SMALL)
    assert "1 of them before" in report.lines[2]
    assert log_of(tmp_path) == log_of(undisturbed)
    assert same_state(undisturbed / "last.pt", tmp_path / "last.pt")
    assert same_state(undisturbed / "best.pt", tmp_path / "best.pt")


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [1, 2])
def test_stop_between_epochs_or_between_checkpoints(folder, undisturbed, tmp_path, monkeypatch, stop_at):
    keep = Trainer._save_epoch

    def stopped(self, line):
        if self.epoch == stop_at + 1:
            # As after a kill once best.pt is written and last.pt is not.
            monkeypatch.setattr("seaice.segmentation.training.trainer.BEST_FILE", "best.pt")
            monkeypatch.setattr("seaice.segmentation.training.trainer.LAST_FILE", "nowhere/last.pt")
        keep(self, line)

    monkeypatch.setattr(Trainer, "_save_epoch", stopped)
    with pytest.raises(InputError, match="folder of the output does not exist"):
        train(patch_dir=folder, output_dir=tmp_path, augment=True, **SMALL)
    monkeypatch.undo()
    assert read_checkpoint(tmp_path / "last.pt")["epoch"] == stop_at
    train(patch_dir=folder, output_dir=tmp_path, augment=True, **SMALL)
    assert log_of(tmp_path) == log_of(undisturbed)
    assert same_state(undisturbed / "best.pt", tmp_path / "best.pt")


@pytest.mark.slow
def test_random_numbers_of_an_epoch_do_not_depend_on_a_stop(folder, tmp_path, monkeypatch):
    """With a network that drops features at random, and with other processes that read patches."""
    own = {"model": "test_networks:make_tokens", "mode": "finetune", "weights": "random"}
    settings = own | SMALL | {"options": ("width=6", "trial_size=16"), "epochs": 2}
    train(patch_dir=folder, output_dir=tmp_path / "whole", **settings, workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "finished", property(lambda self: self.epoch == 1))
        train(patch_dir=folder, output_dir=tmp_path / "parts", **settings)
    train(patch_dir=folder, output_dir=tmp_path / "parts", **settings)
    assert same_state(tmp_path / "whole" / "last.pt", tmp_path / "parts" / "last.pt")
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "parts")


def test_finished_training_is_left_alone(folder, undisturbed):
    before = (undisturbed / "last.pt").stat().st_mtime_ns
    report = train(patch_dir=folder, output_dir=undisturbed, augment=True, **SMALL)
    assert (undisturbed / "last.pt").stat().st_mtime_ns == before
    assert report.values["epochs"] == 3


def test_other_settings_are_refused_in_the_same_folder(folder, undisturbed):
    with pytest.raises(InputError, match=r"same settings in .*, found one of augment True; choose"):
        train(patch_dir=folder, output_dir=undisturbed, **SMALL)


def test_updates_are_shared_out_over_the_epochs():
    plan = TrainingPlan(3, 10, 1e-3, 4, 0, 0, "fp32", 0)
    assert [plan.find_updates(epoch, 7) for epoch in range(3)] == [(0, 3), (3, 6), (6, 10)]
    endless = TrainingPlan(3, None, 1e-3, 4, 0, 0, "fp32", 0)
    assert [endless.find_updates(epoch, 7) for epoch in range(3)] == [(0, 7), (7, 14), (14, 21)]


@pytest.mark.slow
def test_equal_updates_for_any_fraction(folder, tmp_path):
    for fraction in (0.25, 1.0):
        report = train(
            patch_dir=folder, output_dir=tmp_path / str(fraction), fraction=fraction, updates=7, **SMALL
        )
        assert report.values["updates"] == 7 and report.values["patches"] == 16 * fraction


@pytest.mark.slow
def test_early_stopping(folder, tmp_path):
    # At such a rate nothing changes, so that no epoch is better than the first.
    settings = SMALL | {"learning_rate": 1e-12, "epochs": 6, "options": ("base=2", "depth=1")}
    report = train(patch_dir=folder, output_dir=tmp_path, patience=2, **settings)
    assert report.values["epochs"] < 6 and "no better score any more" in report.lines[2]
    again = train(patch_dir=folder, output_dir=tmp_path, patience=2, **settings)
    assert again.values["epochs"] == report.values["epochs"]


TWO = """
import os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
torch.nn.BatchNorm2d = lambda width: torch.nn.GroupNorm(1, width)
from seaice.segmentation.training.train import train
report = train(patch_dir=Path(sys.argv[1]), output_dir=Path(sys.argv[2]), augment=True,
               options=["base=4", "depth=2"], epochs=3, batch_size=4, learning_rate=5e-3, device="cpu")
# A backbone with a layer that leads nowhere, at another port: the first may not be free yet.
os.environ["MASTER_PORT"] = sys.argv[3]
train(patch_dir=Path(sys.argv[1]), output_dir=Path(sys.argv[2] + "_spare"), device="cpu",
      model="test_networks:make_spare", mode="finetune", weights="random", options=["trial_size=16"],
      epochs=1, updates=2, batch_size=4)
"""


@pytest.mark.slow
def test_two_processes_train_as_one(folder, tmp_path, monkeypatch):
    """Without batch normalisation, which on a processor sees half a batch in each process."""
    monkeypatch.setattr(torch.nn, "BatchNorm2d", lambda width: torch.nn.GroupNorm(1, width))
    train(patch_dir=folder, output_dir=tmp_path / "one", augment=True, **SMALL)
    with socket.socket() as free, socket.socket() as other:
        for each in (free, other):
            each.bind(("127.0.0.1", 0))
        port, next_port = (str(each.getsockname()[1]) for each in (free, other))
    # What torchrun sets; starting it takes as long as all the rest.
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    shared = {**os.environ, "PYTHONPATH": path, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, "-c", TWO, folder, tmp_path / "two", next_port]
    started = [
        subprocess.Popen(command, env=shared | {"WORLD_SIZE": "2", "RANK": k, "LOCAL_RANK": k})
        for k in ("0", "1")
    ]
    assert [process.wait(120) for process in started] == [0, 0]
    assert len(log_of(tmp_path / "two_spare")) == 2
    one, two = (log_of(path) for path in (tmp_path / "one", tmp_path / "two"))
    assert one[0] == two[0]
    made, wanted = (np.array(lines[1:], float) for lines in (two, one))
    np.testing.assert_allclose(made, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["sic", "sic-regression"])
def test_concentration_is_learned(folder, tmp_path, task):
    report = train(
        patch_dir=folder, output_dir=tmp_path, task=task, inputs="sar+amsr2", **SMALL | {"epochs": 6}
    )
    scores = report.values["metrics"]
    assert scores["r2"] > {"sic": -0.5, "sic-regression": 0.0}[task] and "iou_mean" in scores
    model = load_model(tmp_path / "best.pt")
    share = compute_concentration(model.predict(torch.randn(1, 16, 16, 16)), task)
    assert share.shape == (1, 16, 16) and share.min() >= 0 and share.max() <= 1


def test_frozen_backbone_stays_as_it_was(folder, tmp_path):
    report = train(
        patch_dir=folder,
        output_dir=tmp_path,
        model="test_networks:make_tokens",
        mode="probing",
        weights="random",
        **SMALL | {"options": ("width=6", "trial_size=16"), "epochs": 1},
    )
    one = load_model(tmp_path / "best.pt").network.backbone
    assert int(one.norm.num_batches_tracked) == 0
    assert "trained, on 16 patches" in report.lines[0]


def test_losses_by_hand():
    truth = torch.tensor([[[0, 1, 255]]], dtype=torch.uint8)
    logits = torch.tensor([[[[0.0, 0.0, 9.0]], [[0.0, 2.0, 9.0]]]])
    loss, weight = sum_losses(logits, truth, "classes")
    assert weight == 2 and float(loss) == pytest.approx(np.log(2) + np.log1p(np.exp(-2)))
    loss, weight = sum_losses(logits, truth, "classes", torch.tensor([3.0, 1.0]))
    assert weight == 4 and float(loss) == pytest.approx(3 * np.log(2) + np.log1p(np.exp(-2)))
    loss, weight = sum_losses(
        torch.zeros(1, 1, 1, 3), torch.tensor([[[0, 5, 255]]], dtype=torch.uint8), "sic-regression"
    )
    assert weight == 2 and float(loss) == pytest.approx(0.25)
    nothing = sum_losses(logits, torch.full((1, 1, 3), 255, dtype=torch.uint8), "classes")
    assert [float(value) for value in nothing] == [0, 0]


def test_decisions_by_hand():
    levels = torch.full((1, 11, 1, 1), -1e4)
    levels[0, 3] = levels[0, 4] = 1.0
    likely = convert_logits(levels, "sic")
    assert float(compute_concentration(likely, "sic")) == pytest.approx(0.35)
    assert (
        int(
            decide_classes(
                convert_logits(torch.full((1, 1, 1, 1), 10.0), "sic-regression"), "sic-regression"
            )
        )
        == 10
    )
    assert make_label_table("classes", LabelRule(0.1))[[0, 1, 10, 255, 77]].tolist() == [
        0,
        1,
        1,
        255,
        255,
    ]
    assert make_label_table("sic", LabelRule())[[0, 7, 255]].tolist() == [0, 7, 255]


def test_mixed_precision_is_for_gpus():
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu) == choose_precision("fp32", cpu) == "fp32"
    with pytest.raises(InputError, match="expected a GPU for bf16, found cpu"):
        choose_precision("bf16", cpu)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_training_on_a_gpu(folder, tmp_path, precision):
    settings = SMALL | {"device": "cuda", "epochs": 8}
    report = train(patch_dir=folder, output_dir=tmp_path, precision=precision, **settings)
    assert report.values["metrics"]["iou_mean"] > 0.8
