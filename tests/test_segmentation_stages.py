"""Evaluating and data efficiency from files to tables, and bad input in one line each."""

import csv
import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from patch_folders import SMALL, make_folder, write_split

from seaice import InputError
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.patch_dataset import (
    PatchDataset,
    read_patch,
)
from seaice.segmentation.data.patch_manifest import read_manifest
from seaice.segmentation.data.splits import (
    Split,
    load_split,
)
from seaice.segmentation.evaluation.baselines import (
    FEATURES,
    Baselines,
    compute_texture,
    learn_baselines,
)
from seaice.segmentation.evaluation.metrics import (
    compute_scores,
    count_confusion,
)
from seaice.segmentation.heads.targets import make_label_table
from seaice.segmentation.networks.checkpoint import (
    load_model,
    read_checkpoint,
)
from seaice.segmentation.study import data_efficiency as efficiency_stage
from seaice.segmentation.study.data_efficiency import data_efficiency
from seaice.segmentation.study.evaluate import evaluate
from seaice.segmentation.training.train import train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_folder(tmp_path_factory.mktemp("patches"))


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("trained")
    train(patch_dir=folder, output_dir=made, **SMALL | {"epochs": 10})
    return made


def test_scores_of_a_checkpoint_equal_a_plain_loop(folder, trained, tmp_path):
    output = tmp_path / "scores.json"
    report = evaluate(
        checkpoint=trained / "best.pt",
        patch_dir=folder,
        output_file=output,
        batch_mean_iou=True,
        batch_size=3,
        device="cpu",
    )
    model, rule = load_model(trained / "best.pt"), LabelRule(0.2)
    rows = load_split(folder).select_rows("test", read_manifest(folder))
    tables = []
    for image, (sic,) in PatchDataset(folder, rows):
        with torch.no_grad():
            made = model.network(image[None])[0].argmax(0).numpy()
        tables.append(count_confusion(make_label_table("classes", rule)[sic.numpy()], made))
    wanted = compute_scores(np.sum(tables, axis=0))
    content = json.loads(output.read_text())
    assert content == report.values
    (whole, mixed) = content["results"][:2]
    assert (whole["subset"], mixed["subset"], whole["patches"], mixed["patches"]) == (
        "all",
        "mixed",
        8,
        4,
    )
    for name, value in wanted.items():
        assert whole["scores"][name]["value"] == pytest.approx(value, abs=1e-6)
        assert whole["scores"][name]["low"] <= value <= whole["scores"][name]["high"]
    only_mixed = [t for t, row in zip(tables, rows, strict=True) if row.kind == "mixed"]
    assert mixed["scores"]["iou_ice"]["value"] == pytest.approx(
        compute_scores(np.sum(only_mixed, axis=0))["iou_ice"], abs=1e-6
    )
    assert mixed["patches_with_both_edges"] == 4 and 0 < mixed["scores"]["ice_edge_km"]["value"] < 1
    assert list(content["scenes"]) == sorted({row.scene for row in rows})
    assert content["batch_mean_iou"]["batch_size"] == 3
    assert content["label_rule"] == rule.describe() and content["split_mode"] == "scene"
    names = [line["method"] for line in content["results"] if line["subset"] == "all"]
    assert names == ["unet", *FEATURES, "majority", "chance"]
    found = [
        line["scores"]["iou_mean"]["value"] for line in content["results"] if line["subset"] == "all"
    ]
    assert found[0] > found[1] > max(found[3:])


def test_scores_do_not_depend_on_batches(folder, trained, tmp_path):
    made = []
    for size in (1, 8):
        report = evaluate(
            checkpoint=trained / "best.pt",
            patch_dir=folder,
            output_file=tmp_path / f"{size}.csv",
            split="validation",
            batch_size=size,
            baselines=False,
            device="cpu",
        )
        made.append(report.values["results"])
    assert made[0] == made[1]
    with (tmp_path / "8.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["score"] for line in lines} >= {"iou_mean", "ice_edge_km"}
    assert float(lines[0]["value"]) == made[0][0]["scores"][lines[0]["score"]]["value"]


@pytest.mark.parametrize("name", list(FEATURES))
def test_threshold_is_the_best_of_the_training_patches(folder, name):
    rule, table = LabelRule(0.2), make_label_table("classes", LabelRule(0.2))
    rows = load_split(folder).select_rows("train", read_manifest(folder))
    found, feature = learn_baselines(folder, rows, rule), FEATURES[name]
    pairs = [read_patch(folder / row.file, row.size) for row in rows]
    values = np.stack([feature.compute(image) for image, _ in pairs])
    labels = table[np.stack([sic for _, (sic,) in pairs])]
    assert found.ice_share == pytest.approx((labels == 1).sum() / (labels < 2).sum())

    def score(edge):
        return compute_scores(count_confusion(labels, (values > edge).astype(int)))["iou_mean"]

    best = max(score(edge) for edge in feature.edges[::10])
    assert score(found.thresholds[name]) >= best and found.thresholds[name] in feature.edges


def test_texture_is_the_spread_of_the_pixels_around_that_have_sar():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 40, 40))
    image[:, :, :9] = 0
    around = image[0, 15 - 12 : 15 + 13, 14 - 12 : 14 + 13]
    there = around[:, 9 - 2 :]
    assert compute_texture(image)[15, 14] == pytest.approx(there.std(), rel=1e-9)


def test_thresholds_are_learnt_from_training_patches_and_used_as_they_are(folder, trained, tmp_path):
    rule, split, manifest = LabelRule(0.2), load_split(folder), read_manifest(folder)
    train, test = (split.select_rows(part, manifest) for part in ("train", "test"))
    content = evaluated(folder, trained / "best.pt", output_file=tmp_path / "e.json").values
    assert content["thresholds"] == learn_baselines(folder, train, rule).thresholds
    assert content["thresholds"] != learn_baselines(folder, test, rule).thresholds
    made = Baselines(content["thresholds"], 0.5).count_patches(folder, test, rule)
    table = make_label_table("classes", rule)
    for name, threshold in content["thresholds"].items():
        for row, counted in zip(test, made[name][0], strict=True):
            image, (sic,) = read_patch(folder / row.file, row.size)
            is_ice = FEATURES[name].compute(image) > threshold
            assert np.array_equal(counted, count_confusion(table[sic], is_ice.astype(int)))


def test_chance_and_majority_are_expectations(folder):
    rows = read_manifest(folder)[:1]
    made = Baselines({"threshold on HV": 0.0}, 0.25).count_patches(folder, rows, LabelRule(0.2))
    there = made["threshold on HV"][0][0].sum(axis=1)
    np.testing.assert_allclose(made["chance"][0][0], np.outer(there, [0.75, 0.25]))
    np.testing.assert_allclose(made["majority"][0][0], np.outer(there, [1, 0]))


@pytest.mark.slow
def test_concentration_has_r2(folder, tmp_path):
    train(patch_dir=folder, output_dir=tmp_path, task="sic-regression", **SMALL)
    report = evaluate(
        checkpoint=tmp_path / "best.pt", patch_dir=folder, output_file=tmp_path / "s.json", device="cpu"
    )
    first, threshold = report.values["results"][0], report.values["results"][2]
    assert first["scores"]["r2"]["value"] < 1 and "r2" not in threshold["scores"]


EFFICIENCY = {**SMALL, "fractions": (0.25, 1.0), "seeds": 2}


@pytest.mark.slow
def test_data_efficiency(folder, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "seaice")
    report = data_efficiency(patch_dir=folder, output_dir=tmp_path, **EFFICIENCY)
    content = json.loads((tmp_path / "efficiency.json").read_text())
    assert content == json.loads(json.dumps(report.values))
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "training 1 of 4: sar, fraction 0.25, seed 42"
    assert said.count("training 4 of 4: sar, fraction 1, seed 43") == 1
    runs = content["runs"]
    assert [(run["fraction"], run["seed"]) for run in runs] == [
        (0.25, 42),
        (1.0, 42),
        (0.25, 43),
        (1.0, 43),
    ]
    scored = evaluated(folder, sorted(tmp_path.glob("*/best.pt"))[0], output_file=tmp_path / "e.json")
    assert content["baselines"] == scored.values["results"][2:] and len(content["baselines"]) == 8
    assert content["differences"] == []
    assert {run["updates"] for run in runs} == {12} and [run["patches"] for run in runs] == [
        4,
        16,
        4,
        16,
    ]
    (line,) = (x for x in content["table"] if x["fraction"] == 1.0 and x["score"] == "iou_mean")
    values = [run["scores"]["iou_mean"] for run in runs if run["fraction"] == 1.0]
    assert line["values"] == values and line["mean"] == pytest.approx(np.mean(values), abs=1e-6)
    assert line["low"] < line["mean"] < line["high"] and line["seeds"] == 2
    assert not list(tmp_path.glob("*/last.pt"))
    with (tmp_path / "efficiency.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(content["table"])

    def no_more(**settings):
        raise AssertionError("a finished training was made again")

    monkeypatch.setattr(efficiency_stage, "train", no_more)
    again = data_efficiency(patch_dir=folder, output_dir=tmp_path, **EFFICIENCY)
    assert again.values == report.values
    with pytest.raises(InputError, match=r"expected a run with the same settings in .*, found another"):
        data_efficiency(patch_dir=folder, output_dir=tmp_path, **EFFICIENCY | {"batch_size": 2})


@pytest.mark.slow
def test_several_inputs_are_compared_by_seed(folder, tmp_path):
    both = EFFICIENCY | {"fractions": (1.0,), "inputs": ("sar", "sar+amsr2")}
    report = data_efficiency(patch_dir=folder, output_dir=tmp_path, **both)
    runs = report.values["runs"]
    assert [(run["inputs"], run["seed"]) for run in runs] == [
        ("sar", 42),
        ("sar+amsr2", 42),
        ("sar", 43),
        ("sar+amsr2", 43),
    ]
    (line,) = (x for x in report.values["differences"] if x["score"] == "iou_mean")
    score = [run["scores"]["iou_mean"] for run in runs]
    assert line["values"] == [score[1] - score[0], score[3] - score[2]] and line["against"] == "sar"
    assert line["mean"] == pytest.approx(np.mean(line["values"]), abs=1e-6)
    assert any(text.startswith("sar+amsr2 less sar, fraction 1: iou_mean") for text in report.lines)
    with pytest.raises(InputError, match=r"expected inputs, each once, found sar, sar"):
        data_efficiency(patch_dir=folder, output_dir=tmp_path, inputs=("sar", "sar"))


@pytest.mark.slow
def test_equal_epochs_train_a_part_less(folder, tmp_path):
    report = data_efficiency(
        patch_dir=folder, output_dir=tmp_path, equal="epochs", **EFFICIENCY | {"seeds": 1, "epochs": 1}
    )
    assert [run["updates"] for run in report.values["runs"]] == [1, 4]
    assert report.values["table"][0]["low"] is None


@pytest.fixture
def copied(folder, tmp_path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def evaluated(folder: Path, checkpoint: Path, **options):
    given = {"output_file": folder / "x.json", "device": "cpu"} | options
    return evaluate(checkpoint=checkpoint, patch_dir=folder, **given)


def test_another_split_is_refused(copied, trained):
    names = load_split(copied)
    write_split(copied, Split(names.train[1:], names.validation, (*names.test, names.train[0])))
    with pytest.raises(InputError, match="may have been trained on"):
        evaluated(copied, trained / "best.pt")


def test_split_lists_missing(copied, trained):
    (copied / "test.txt").unlink()
    for work in (
        lambda: evaluated(copied, trained / "best.pt"),
        lambda: train(patch_dir=copied, output_dir=copied / "out", **SMALL),
    ):
        with pytest.raises(InputError, match=r"^no split: .*test.txt; make it .* split$") as caught:
            work()
        assert "\n" not in str(caught.value)


def test_empty_split(copied, trained):
    names = load_split(copied)
    write_split(copied, Split(names.train, names.validation, ()))
    with pytest.raises(InputError, match="expected patches for test, found none"):
        evaluated(copied, trained / "best.pt")


def no_classes(folder: Path, part: str) -> None:
    for row in load_split(folder).select_rows(part, read_manifest(folder)):
        with np.load(folder / row.file) as file:
            content = {key: file[key] for key in file.files}
        np.savez(folder / row.file, **content | {"sic": np.full((16, 16), 255, np.uint8)})


@pytest.mark.slow
@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_no_valid_pixel(copied, trained, part):
    no_classes(copied, part)
    with pytest.raises(InputError, match=f"pixels with a class .*{part}, found none"):
        if part == "test":
            evaluated(copied, trained / "best.pt")
        train(patch_dir=copied, output_dir=copied / "out", **SMALL)


@pytest.mark.slow
def test_wrong_checkpoint(folder, trained, tmp_path):
    other, junk, evil, changed = (
        tmp_path / f"{name}.pt" for name in ("other", "junk", "evil", "changed")
    )
    torch.save({"state": 1}, other)
    junk.write_bytes(b"PK no archive")
    torch.save({"format": Path("code that would be run")}, evil)
    found = read_checkpoint(trained / "best.pt")
    torch.save(found | {"options": {"base": 8}}, changed)
    for path, message in (
        (tmp_path / "none.pt", "^no checkpoint"),
        (other, "without its mark"),
        (junk, "found another or a damaged file"),
        (evil, "found another or a damaged file"),
        (changed, "are not of its model"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            evaluated(folder, path, output_file=tmp_path / "x.json")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "probing"}, "expected mode scratch for unet, found 'probing'"),
        ({"model": "smp:unet:resnet18", "mode": "probing"}, "expected mode scratch or finetune"),
        ({"model": "vnet"}, "expected a model among"),
        ({"options": ("base",)}, "as KEY=VALUE, found 'base'"),
        (
            {"options": ("pretrained=true",)},
            "expected no option pretrained, .* follows from --mode and --weights",
        ),
        (
            {"options": ("channels=3",)},
            "expected no option channels, .* follows from --model, --inputs and --task",
        ),
        ({"seed": 2**32}, "expected a seed from 0 to 4294967295, found 4294967296"),
        ({"options": ("base=2", "depth=4"), "batch_size": 1}, "found one in a batch of 1 by process"),
        ({"weights": "random"}, "expected no weights for mode scratch"),
        ({"inputs": "optical"}, "expected inputs among sar"),
        ({"task": "edges"}, "expected a task among"),
        ({"ice_threshold": 15}, "as a fraction above 0"),
        ({"epochs": 0}, "expected epochs of at least 1, found 0"),
        ({"updates": 2}, "at least one update for each of 3 epochs"),
        ({"learning_rate": 0.0}, "expected a learning_rate between 0 and 10"),
        ({"fraction": 2.0}, "expected a fraction above 0"),
        ({"device": "cuda:99"}, "expected a GPU for cuda:99"),
        ({"device": "toaster"}, "expected a device such as auto"),
        ({"precision": "fp16"}, "expected a GPU for fp16"),
        ({"precision": "fp8"}, "expected precision auto"),
        ({"task": "sic-regression", "class_weights": True}, "class_weights are for classes"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(folder, tmp_path, options, message):
    with pytest.raises(InputError, match=message) as caught:
        train(patch_dir=folder, output_dir=tmp_path / "out", **SMALL | options)
    assert "\n" not in str(caught.value)


def test_loss_that_is_no_number(copied, tmp_path, monkeypatch):
    def broken(*given):
        nothing = torch.tensor(float("nan"), requires_grad=True)
        return nothing * 1, torch.tensor(1.0)

    monkeypatch.setattr("seaice.segmentation.training.trainer.sum_losses", broken)
    with pytest.raises(InputError, match="expected a finite loss, found nan in epoch 1"):
        train(patch_dir=copied, output_dir=tmp_path / "out", **SMALL)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_file": Path("scores.txt")}, "expected an output_file of .json or .csv"),
        ({"split": "train"}, "expected split validation or test"),
        ({"repeats": 0}, "repeats of at least 1"),
        ({"seed": -1}, "a seed of at least 0"),
    ],
)
def test_what_cannot_be_evaluated(folder, trained, options, message):
    with pytest.raises(InputError, match=message):
        evaluated(folder, trained / "best.pt", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fractions": ()}, "expected fractions above 0"),
        ({"fractions": (0.5, 1.5)}, "expected fractions above 0"),
        ({"seeds": 0}, "expected seeds and epochs"),
        ({"equal": "time"}, "expected equal updates or epochs"),
        ({"equal": "epochs", "updates": 5}, "expected no number of updates"),
    ],
)
def test_efficiency_that_cannot_be_measured(folder, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        data_efficiency(patch_dir=folder, output_dir=tmp_path, **EFFICIENCY | options)


def test_class_weights_balance_the_classes(folder, tmp_path):
    from seaice.segmentation.training.train import _weigh_classes

    rows = load_split(folder).select_rows("train", read_manifest(folder))
    (made,) = _weigh_classes(folder, rows, "classes", LabelRule(0.2))
    share = learn_baselines(folder, rows, LabelRule(0.2)).ice_share
    assert made.mean() == pytest.approx(1) and made[1] * share == pytest.approx(made[0] * (1 - share))
    (by_level,) = _weigh_classes(folder, rows, "sic", LabelRule(0.2))
    assert by_level.shape == (11,) and by_level[5] == 0 and by_level[8] > 0
    train(patch_dir=folder, output_dir=tmp_path, class_weights=True, **SMALL | {"epochs": 1})


@pytest.mark.slow
def test_stages_load_no_torch_and_are_keyword_only():
    names = "training.train", "study.evaluate", "study.data_efficiency"
    code = f"import sys\nfor n in {names}: __import__('seaice.segmentation.' + n)\n"
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    for stage in (train, evaluate, data_efficiency):
        kinds = {p.kind for p in inspect.signature(stage).parameters.values()}
        assert kinds == {inspect.Parameter.KEYWORD_ONLY}
