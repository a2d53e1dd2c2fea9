"""Heads of one network: labels, losses, the challenge's scores, temperatures, training and scoring."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_folders import SMALL, make_folder

from seaice import InputError
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.patch_dataset import PatchDataset
from seaice.segmentation.data.patch_manifest import read_manifest
from seaice.segmentation.data.splits import load_split
from seaice.segmentation.evaluation.calibration import fit_temperatures
from seaice.segmentation.evaluation.head_scores import (
    compute_challenge_scores,
    compute_f1_arrays,
    compute_head_score_arrays,
    split_counts,
    summarise_counts,
)
from seaice.segmentation.evaluation.metrics import count_confusion
from seaice.segmentation.evaluation.reliability import (
    Reliability,
    compute_calibration_error,
)
from seaice.segmentation.heads.head import join_tasks, list_heads, weigh_heads
from seaice.segmentation.heads.targets import (
    convert_logits,
    decide_classes,
    look_up_labels,
    make_label_tables,
)
from seaice.segmentation.networks.checkpoint import load_model, read_checkpoint
from seaice.segmentation.study.evaluate import evaluate
from seaice.segmentation.training.train import train

pytestmark = pytest.mark.usefixtures("one_thread")
THREE = ("sic", "sod", "floe")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_folder(tmp_path_factory.mktemp("patches"))


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("heads")
    train(patch_dir=folder, output_dir=output, task=THREE, calibrate=True, **SMALL)
    return output


def count(truth, predicted, classes):
    return count_confusion(np.array(truth, np.uint8), np.array(predicted), classes)


# What a task is


def test_tasks_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="tasks of different charts, found classes and sic"):
        list_heads("classes+sic")
    with pytest.raises(InputError, match=r"expected a task among classes, sic, .*found 'ice'"):
        join_tasks(["sic", "ice"])
    assert join_tasks(["floe", "classes"]) == "classes+floe"
    assert weigh_heads("sod+floe") == [2 / 3, 1 / 3]


# The challenge's scores


def test_scores_of_the_challenge_by_hand():
    tables = {
        "SIC": count([0, 5, 10, 10], [0, 5, 9, 10], 11),
        "SOD": count([0, 1, 1, 5], [0, 1, 5, 5], 6),
        "FLOE": count([0, 2, 2, 4, 255], [0, 2, 4, 4, 1], 7),
    }
    scores = compute_challenge_scores(tables)
    assert scores == {"SIC": 98.545, "SOD": 75.0, "FLOE": 75.0, "combined": 84.418}
    joint = np.concatenate([table.ravel() for table in tables.values()])
    summary = summarise_counts(joint, "sic+sod+floe", LabelRule())
    assert 100 * summary["combined"] == pytest.approx(84.418, abs=1e-3)


def weighted_f1(truth, predicted):
    """F1 of each true class from lists of pixels, weighted by its true pixels."""
    total = 0.0
    for label in set(truth):
        hits = sum(t == p == label for t, p in zip(truth, predicted, strict=True))
        total += truth.count(label) * 2 * hits / (truth.count(label) + predicted.count(label))
    return total / len(truth)


pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=40)


@settings(deadline=None, max_examples=60)
@given(sic=pairs, sod=pairs, floe=pairs)
def test_combined_score_equals_that_of_lists_of_pixels(sic, sod, floe):
    truth = [t for t, _ in sic]
    if len(set(truth)) < 2:
        sic, truth = [*sic, (0, 0), (5, 5)], [*truth, 0, 5]
    mean = sum(truth) / len(truth)
    r2 = 1 - sum((t - p) ** 2 for t, p in sic) / sum((t - mean) ** 2 for t in truth)
    expected = 0.4 * r2
    for share, pixels in ((0.4, sod), (0.2, floe)):
        expected += share * weighted_f1([t for t, _ in pixels], [p for _, p in pixels])
    joint = np.concatenate(
        [
            count([t for t, _ in pixels], [p for _, p in pixels], classes).ravel()
            for pixels, classes in ((sic, 11), (sod, 6), (floe, 7))
        ]
    )
    assert summarise_counts(joint, "sic+sod+floe", LabelRule())["combined"] == pytest.approx(expected)
    arrays = compute_head_score_arrays(np.stack([joint, 3 * joint]), "sic+sod+floe", LabelRule())
    np.testing.assert_allclose(arrays["combined"], expected)


def test_a_class_nobody_has_is_no_score_and_an_empty_table_none():
    table = np.zeros((2, 3, 3), np.int64)
    table[0, 0, 0] = 4
    scores = compute_f1_arrays(table)
    assert scores["f1"][0] == 1 and np.isnan(scores["f1"][1])
    assert np.isnan(scores["f1_2"]).all()


# Labels and probabilities


def test_each_head_has_labels_and_probabilities_of_its_own():
    charts = torch.tensor([[[[2, 255]], [[5, 3]], [[6, 0]]]], dtype=torch.uint8)
    tables = torch.from_numpy(make_label_tables("classes+sod+floe", LabelRule()))
    labels = look_up_labels(tables, charts)
    assert labels.tolist() == [[[[1, 255]], [[5, 3]], [[6, 0]]]]
    logits = torch.randn(1, 2 + 6 + 7, 1, 2)
    predictions = convert_logits(logits, "classes+sod+floe", {"sod": 2.0})
    for part, alone in zip(
        predictions.split([2, 6, 7], dim=1),
        (logits[:, :2], logits[:, 2:8] / 2, logits[:, 8:]),
        strict=True,
    ):
        torch.testing.assert_close(part, alone.softmax(dim=1))
    assert decide_classes(logits[:, 2:8], "sod").dtype == torch.uint8


def sample_pixels(temperature):
    """Logits whose probabilities are right once they are divided by a temperature."""
    rng = np.random.default_rng(3)
    logits = torch.from_numpy(rng.normal(0, 1.5, (1, 6, 120, 120))).float()
    probabilities = logits.softmax(dim=1)[0].numpy()
    draws = rng.random((120, 120))
    truth = (probabilities.cumsum(axis=0) < draws).sum(axis=0).clip(0, 5).astype(np.uint8)
    return logits * temperature, torch.from_numpy(truth)[None]


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_temperature_brings_back_probabilities_that_are_right(temperature):
    logits, truth = sample_pixels(temperature)
    truth[:, :5] = 255
    batches = [(logits, truth[:, None])]
    network = torch.nn.Identity()
    fitted = fit_temperatures(
        network,
        batches,
        task="sod",
        rule=LabelRule(),
        device=torch.device("cpu"),
        pixels=truth.numel(),
    )
    assert fitted["sod"] == pytest.approx(temperature, rel=0.05)
    reliability = Reliability()
    reliability.add(logits, truth, fitted["sod"])
    before, after = (compute_calibration_error(c) for c in (reliability.before, reliability.after))
    assert after < 0.02 < 0.08 < before
    assert reliability.before[0].sum() == reliability.after[0].sum() == 115 * 120
    assert reliability.before[2].sum() == reliability.after[2].sum()


# Training and scoring


def test_loss_of_three_heads_is_the_weighted_sum_of_masked_cross_entropies(folder, trained):
    rows = load_split(folder).select_rows("validation", read_manifest(folder))
    data = PatchDataset(folder, rows, charts=("SIC", "SOD", "FLOE"))
    checkpoint = read_checkpoint(trained / "best.pt")
    network = load_model(trained / "best.pt").network
    images, charts = (torch.stack(items) for items in zip(*data, strict=True))
    with torch.inference_mode():
        logits = network(images).double().numpy()
    expected = 0.0
    for share, part, chart in zip(
        (0.4, 0.4, 0.2),
        np.split(logits, [11, 17], axis=1),
        charts.numpy().swapaxes(0, 1),
        strict=True,
    ):
        log_sum = np.log(np.exp(part).sum(axis=1))
        pixels = [i for i in np.ndindex(chart.shape) if chart[i] < 255]
        losses = [log_sum[i] - part[i[0], chart[i], *i[1:]] for i in pixels]
        expected += share * np.mean(losses)
    assert checkpoint["metrics"]["validation_loss"] == pytest.approx(expected, rel=1e-5)
    assert charts.eq(255).any()


def test_three_heads_are_scored_like_plain_loops(folder, trained, tmp_path):
    output = tmp_path / "scores.json"
    report = evaluate(
        checkpoint=trained / "best.pt", patch_dir=folder, output_file=output, repeats=20, device="cpu"
    )
    content = json.loads(output.read_text())
    assert content == json.loads(json.dumps(report.values))
    model = load_model(trained / "best.pt")
    rows = load_split(folder).select_rows("test", read_manifest(folder))
    tables = np.zeros(121 + 36 + 49, np.int64)
    for image, charts in PatchDataset(folder, rows, charts=("SIC", "SOD", "FLOE")):
        parts = model.predict(image[None]).split([11, 6, 7], dim=1)
        level = (parts[0] * torch.arange(11).view(1, -1, 1, 1)).sum(dim=1).round()[0]
        predicted = [level, *(part[0].argmax(dim=0) for part in parts[1:])]
        tables += np.concatenate(
            [
                count_confusion(chart.numpy(), np.asarray(classes, np.int64), k).ravel()
                for chart, classes, k in zip(charts, predicted, (11, 6, 7), strict=True)
            ]
        )
    sic, sod, floe = split_counts(tables, "sic+sod+floe")
    assert content["challenge"] == compute_challenge_scores({"SIC": sic, "SOD": sod, "FLOE": floe})
    first, mixed = content["results"][:2]
    assert (first["method"], mixed["subset"]) == ("unet", "mixed")
    for name in ("combined", "sic_r2", "sod_f1", "floe_f1", "sic_iou_mean"):
        interval = first["scores"][name]
        assert interval["low"] <= interval["value"] <= interval["high"]
    assert 100 * first["scores"]["combined"]["value"] == pytest.approx(
        content["challenge"]["combined"], abs=2e-3
    )
    majority = next(line for line in content["results"] if line["method"] == "majority class")
    share = sod.sum(axis=1)[0] / sod.sum()
    assert majority["scores"]["sod_accuracy"]["value"] == pytest.approx(share, abs=1e-6)
    temperatures = read_checkpoint(trained / "best.pt")["temperatures"]
    for name in THREE:
        curve = content["reliability"][name]
        assert curve["temperature"] == temperatures[name] > 0
        assert sum(curve["after"]["pixels"]) == sum(curve["before"]["pixels"])
    assert report.lines[1].startswith("unet, all: combined")


def test_calibration_changes_no_weight_and_can_come_later(folder, trained, tmp_path):
    plain = tmp_path / "plain"
    train(patch_dir=folder, output_dir=plain, task=THREE, **SMALL)
    first = read_checkpoint(plain / "best.pt")
    assert "temperatures" not in first and load_model(plain / "best.pt").temperatures == {}
    report = train(patch_dir=folder, output_dir=plain, task=THREE, calibrate=True, **SMALL)
    later, whole = (read_checkpoint(path / "best.pt") for path in (plain, trained))
    assert later["temperatures"] == whole["temperatures"] == report.values["temperatures"]
    for name, value in whole["state"].items():
        assert torch.equal(value, first["state"][name]) and torch.equal(value, later["state"][name])


def test_patches_without_a_chart_or_its_classes(folder, tmp_path):
    rows = read_manifest(folder)
    changed = make_folder(tmp_path / "changed")
    for row in rows:
        with np.load(changed / row.file) as file:
            content = dict(file)
        content["sod"][:] = 255
        np.savez(changed / row.file, **content)
    with pytest.raises(InputError, match="expected pixels with a class of SOD in the patches of train"):
        train(patch_dir=changed, output_dir=tmp_path / "a", task=("sic", "sod"), **SMALL)
    for row in rows:
        with np.load(changed / row.file) as file:
            content = {name: array for name, array in file.items() if name != "sod"}
        np.savez(changed / row.file, **content)
    with pytest.raises(InputError, match=r"expected sod in a patch, found .*cut the scenes again"):
        train(patch_dir=changed, output_dir=tmp_path / "b", task=("sod",), **SMALL)


def test_class_weights_of_every_head(folder, tmp_path):
    report = train(
        patch_dir=folder, output_dir=tmp_path, task=("floe", "sod"), class_weights=True, **SMALL
    )
    assert set(report.values["metrics"]) >= {"sod_f1", "floe_f1", "combined"}
    assert read_checkpoint(tmp_path / "best.pt")["task"] == "sod+floe"


@pytest.mark.parametrize("options", [{"precision": "bf16"}, {"channels_last": True}])
def test_faster_training_ends_near_the_usual_one(folder, trained, tmp_path, options):
    train(patch_dir=folder, output_dir=tmp_path, task=THREE, **options, **SMALL)
    usual, faster = (read_checkpoint(path / "best.pt") for path in (trained, tmp_path))
    assert faster["metrics"]["train_loss"] == pytest.approx(usual["metrics"]["train_loss"], rel=0.02)
    weights = (content["state"]["head.weight"] for content in (usual, faster))
    assert not torch.equal(*weights)
