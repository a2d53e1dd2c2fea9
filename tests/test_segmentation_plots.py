"""Pictures of trainings and patches, and the study of features, by small hand-made cases."""

import csv
import json

import numpy as np
import pytest
from sar_scenes import scenes_in

from seaice import InputError
from seaice.segmentation.data.patch_manifest import (
    PatchRow,
    read_manifest,
)
from seaice.segmentation.data.splits import load_split
from seaice.segmentation.figures import panels
from seaice.segmentation.figures.embedding import (
    PatchFeatures,
    find_principal_components,
    pick_evenly,
    score_neighbour_votes,
)
from seaice.segmentation.figures.patches import select_most_mixed
from seaice.segmentation.figures.plot import plot
from seaice.sources.ai4arctic.geolocation import Geolocation


def write_log(path, epochs=4, **columns):
    steps = np.arange(1, epochs + 1)
    table = {"epoch": steps, "train_loss": 1 / steps, "validation_loss": 1.2 / steps}
    table |= {"iou_mean": np.linspace(0.3, 0.8, epochs), "iou_water": np.linspace(0.4, 0.9, epochs)}
    table |= columns
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path


def write_study(path, seeds=3, inputs=("sar",)):
    table = []
    for fraction in (0.1, 1.0):
        values = [0.6 + 0.1 * fraction + 0.01 * k for k in range(seeds)]
        mean = float(np.mean(values))
        low, high = (mean - 0.02, mean + 0.02) if seeds > 1 else (None, None)
        line = {"fraction": fraction, "score": "iou_mean"}
        line |= {"seeds": seeds, "values": values}
        table.append(line | {"mean": mean, "low": low, "high": high})
        table.append(line | {"score": "r2", "mean": None, "low": None, "high": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    table = [line | {"inputs": given} for given in inputs for line in table]
    rule = {"method": "chance", "subset": "all", "scores": {"iou_mean": {"value": 0.33}}}
    rules = [rule, rule | {"subset": "mixed", "scores": {"iou_mean": {"value": 0.1}}}]
    content = {"equal": "updates", "split": "test", "table": table, "baselines": rules}
    path.write_text(json.dumps(content))
    return path


def dots(path):
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).reshape(-1, 3)


# Of files


@pytest.mark.slow
def test_curves_of_one_and_of_two_trainings(tmp_path):
    logs = [write_log(tmp_path / name / "log.csv") for name in ("one", "two")]
    report = plot(kind="curves", input_files=logs[:1], output_file=tmp_path / "one.png", dpi=60)
    assert report.values == {"one": {"epochs": 4}}
    folders = [log.parent for log in logs]
    plot(kind="curves", input_files=folders, output_file=tmp_path / "two.png", dpi=60)
    for name in ("one.png", "two.png"):
        assert len(np.unique(dots(tmp_path / name), axis=0)) > 20


def test_what_curves_show(tmp_path):
    ax = panels.make_figure(4, 3).subplots()
    logs = {"a": {"epoch": np.arange(1.0, 4), "iou_mean": np.array([0.2, 0.7, np.nan])}}
    panels.draw_validation(ax, logs, {"iou_mean": "mean IoU", "r2": "R2"})
    labels = ax.get_legend_handles_labels()[1]
    assert labels == ["mean IoU, best 0.700 (epoch 2)"]
    wild = {"epoch": np.arange(1.0, 6), "train_loss": np.array([1e6, 1, 1, 1, 1])}
    wild["validation_loss"] = np.ones(5)
    panels.draw_losses(ax, {"a": wild})
    assert ax.get_ylim()[1] == pytest.approx(3)


@pytest.mark.slow
def test_efficiency_shows_means_intervals_and_seeds(tmp_path):
    ax = panels.make_figure(4, 3).subplots()
    lines = json.loads(write_study(tmp_path / "a" / "efficiency.json").read_text())["table"]
    shown = [line for line in lines if line["score"] == "iou_mean"]
    panels.draw_efficiency(ax, {"unet": shown}, "mean IoU", {"chance": 0.33})
    (bars,) = ax.containers
    np.testing.assert_allclose(bars.lines[0].get_ydata(), [0.62, 0.71])
    (level,) = [line for line in ax.lines if line.get_label() == "chance"]
    assert list(level.get_ydata()) == [0.33, 0.33] and ax.get_ylim()[0] < 0.33
    ends = [segment[:, 1] for segment in bars.lines[2][0].get_segments()]
    np.testing.assert_allclose(ends, [[0.60, 0.64], [0.69, 0.73]])
    write_study(tmp_path / "b" / "efficiency.json", seeds=1)
    files = [tmp_path / "a", tmp_path / "b"]
    report = plot(kind="efficiency", input_files=files, output_file=tmp_path / "e.png", dpi=60)
    assert (tmp_path / "e.png").stat().st_size > 3000
    assert list(report.values["studies"]) == ["a", "b"] and report.values["levels"] == {"chance": 0.33}
    write_study(tmp_path / "b" / "efficiency.json", inputs=("sar", "sar+amsr2"))
    report = plot(kind="efficiency", input_files=files, output_file=tmp_path / "e.png", dpi=60)
    assert list(report.values["studies"]) == ["a", "b, sar", "b, sar+amsr2"]
    report = plot(kind="efficiency", input_files=files[1:], output_file=tmp_path / "e.png", dpi=60)
    assert list(report.values["studies"]) == ["sar", "sar+amsr2"]
    with pytest.raises(InputError, match=r"expected the score r2 in .*found iou_mean, r2"):
        plot(kind="efficiency", input_files=files, score="r2", output_file=tmp_path / "f.png")
    assert not (tmp_path / "f.png").exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "pie"}, "expected a kind out of curves"),
        ({"kind": "curves"}, "curves: expected --input_files"),
        ({"kind": "panels"}, "panels: expected --checkpoint and --patch_dir"),
        ({"kind": "curves", "input_files": ["none.csv"]}, "cannot read none.csv"),
        ({"kind": "efficiency", "input_files": ["none.json"]}, "cannot read none.json"),
        ({"kind": "scene", "input_files": ["none.nc"]}, "no such map: none.nc; make it with"),
        ({"kind": "scene", "input_files": ["a.nc", "b.nc"]}, "expected one map"),
        ({"kind": "curves", "input_files": ["a.csv", "b.csv"]}, "a label of its own"),
        ({"kind": "curves", "input_files": ["a.csv"], "dpi": 5}, "dpi of 20 to 1200"),
        ({"kind": "curves", "input_files": ["a.csv"], "output_file": "x.doc"}, "an ending of"),
    ],
)
def test_what_cannot_be_drawn(options, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=text):
        plot(**{"output_file": tmp_path / "x.png"} | options)


def test_a_table_that_is_no_log(tmp_path):
    for text in ("a,b\n1,2\n", "epoch,train_loss\n1\n", "", "epoch,train_loss\n1,x\n"):
        (tmp_path / "log.csv").write_text(text)
        with pytest.raises(InputError, match=r"log\.csv"):
            plot(kind="curves", input_files=[tmp_path / "log.csv"], output_file=tmp_path / "x.png")


# Pieces


def test_agreement_by_hand():
    truth = np.array([0, 0, 1, 1, 255, 255], np.uint8)
    predicted = np.array([0, 1, 0, 1, 0, 1], np.uint8)
    assert panels.compare_labels(truth, predicted).tolist() == [0, 3, 2, 1, 4, 4]


def test_compass_points_north_and_east():
    """Lines go south and samples west: a scene seen in a mirror."""
    lat, lon = np.array([[71.0, 71], [70, 70]]), np.array([[12.0, 10], [12, 10]])
    ends = np.array([0.0, 100])
    ax = panels.make_figure(3, 3).subplots()
    panels.draw_compass(ax, Geolocation(ends, ends, lat, lon, (101, 101)))
    north, east = (np.array(text.xyann) / 24 for text in ax.texts)
    np.testing.assert_allclose(north, [0, 1], atol=0.05)
    np.testing.assert_allclose(east, [-1, 0], atol=0.05)


def test_compass_stays_within_the_picture():
    """North is down and east to the right, towards the nearest corner."""
    lat, lon = np.array([[70.0, 70], [71, 71]]), np.array([[10.0, 12], [10, 12]])
    ends = np.array([0.0, 100])
    ax = panels.make_figure(3, 3).subplots()
    panels.draw_compass(ax, Geolocation(ends, ends, lat, lon, (101, 101)))
    ax.figure.canvas.draw()
    frame = ax.get_window_extent()
    for text in ax.texts:
        letter = text.get_window_extent()
        assert letter.x1 < frame.x1 and letter.y0 > frame.y0


def row(scene, number, share):
    return PatchRow(f"{scene}_{number}.npz", scene, "dmi", 0, 0, 8, share, 1.0, "mixed")


def test_most_mixed_takes_every_scene_once_first():
    shares = {"a": (0.5, 0.51, 0.1), "b": (0.75, 0.9), "c": (0.95,)}
    rows = [row(s, k, v) for s, values in shares.items() for k, v in enumerate(values)]
    assert [r.file for r in select_most_mixed(rows, 2)] == ["a_0.npz", "b_0.npz"]
    assert [r.file for r in select_most_mixed(rows, 9)] == ["a_0.npz", "b_0.npz", "a_1.npz"]
    assert [r.file for r in pick_evenly(rows, 3)] == ["a_0.npz", "a_2.npz", "c_0.npz"]


def test_principal_plane_equals_the_covariance():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(40, 6)) * [5, 3, 1, 1, 0.5, 0.1]
    points, explained = find_principal_components(features)
    values = np.sort(np.linalg.eigvalsh(np.cov(features.T)))[::-1]
    np.testing.assert_allclose(points.var(axis=0, ddof=1), values[:2])
    np.testing.assert_allclose(explained, values[:2] / values.sum())
    np.testing.assert_allclose(find_principal_components(features[:, ::-1])[1], explained)
    with pytest.raises(InputError, match="at least 3 patches"):
        find_principal_components(features[:2])


def test_neighbours_by_hand_and_never_of_the_same_scene():
    angles = np.radians([0, 10, 20, 90, 1, 80])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.arange(1, 7)[:, None]
    known = PatchFeatures(features, np.array([1.0, 0.5, 0, 0, 0, 0.1]), ("a", "b", "c", "d", "x", "e"))
    asked = PatchFeatures(np.array([2 * features[4], [0, 0.1]]), np.array([0.9, 0.2]), ("x", "y"))
    found, fewest = score_neighbour_votes(known, asked, (1, 2, 3, 6))
    assert fewest == 5
    # The first: a, b, c are ice, ice, water; x is its own scene. The second: d, e, c are water.
    assert found == {1: 1.0, 2: 1.0, 3: 1.0}
    same = PatchFeatures(known.features, known.ice_share, tuple("pqrstu"))
    assert score_neighbour_votes(same, asked, (1, 3))[0] == {1: 0.5, 3: 1.0}
    # A tie: at 10 degrees, nearer to 90, lies the one, at 0 degrees, nearer to 1, the other.
    for shares, right in (([0.0, 1], 1.0), ([1.0, 0], 0.0)):
        tie = PatchFeatures(features[[1, 0]], np.array(shares), ("p", "q"))
        assert score_neighbour_votes(tie, asked, (2,))[0] == {2: right}


# With a model


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Patches, a split and a checkpoint of random weights that belongs to it."""
    import torch

    from seaice.runtime.networks.checkpoint_file import save_checkpoint
    from seaice.segmentation.data.cut import make_patches
    from seaice.segmentation.data.labels import LabelRule
    from seaice.segmentation.data.splits import split_scenes
    from seaice.segmentation.networks.checkpoint import describe_model
    from seaice.segmentation.networks.registry import build_network

    root = tmp_path_factory.mktemp("plots")
    scenes_in(root / "scenes")
    make_patches(input_dir=root / "scenes", output_dir=root / "patches", size=48, per_scene=6)
    split_scenes(patch_dir=root / "patches", validation_share=0.5)
    torch.manual_seed(1)
    options = {"base": 2, "depth": 2}
    network = build_network("unet", channels=2, classes=2, **options)
    note = describe_model(
        model="unet", options=options, inputs="sar", channels=2, task="classes", rule=LabelRule()
    )
    note |= {"split_digest": load_split(root / "patches").digest, "patch_size": 48}
    content = {"state": network.state_dict(), "epoch": 1, "metrics": {}}
    save_checkpoint(root / "best.pt", note | content)
    return root


@pytest.mark.slow
def test_panels_and_embedding_of_a_model(trained, tmp_path):
    given = {"checkpoint": trained / "best.pt", "patch_dir": trained / "patches", "device": "cpu"}
    report = plot(kind="panels", output_file=tmp_path / "p.png", count=2, dpi=60, **given)
    shown = [line for line in report.values if line.endswith(".npz")]
    manifest = {r.file: r for r in read_manifest(trained / "patches")}
    test = set(load_split(trained / "patches").test)
    assert 1 <= len(shown) <= 2
    assert all(manifest[file].scene in test for file in shown)
    assert all(0 <= report.values[file]["iou_mean"] <= 1 for file in shown)
    colours = plot(kind="tokens", output_file=tmp_path / "t.png", count=2, dpi=60, **given)
    assert colours.values["tokens"] == {"width": 8, "places": [12, 12]}
    made = plot(kind="embedding", output_file=tmp_path / "e.png", dpi=60, **given)
    numbers = json.loads((tmp_path / "e.json").read_text())
    assert made.outputs == [tmp_path / "e.png", tmp_path / "e.json"]
    assert numbers["features"] == 8
    parts = load_split(trained / "patches")
    assert (numbers["asked_scenes"], numbers["voting_scenes"]) == (
        len(parts.validation),
        len(parts.train),
    )
    assert set(numbers["accuracy_by_neighbours"]) <= {"1", "3", "5", "10"}
    assert 0.5 <= numbers["majority"] <= 1


@pytest.mark.slow
def test_a_model_of_another_split_and_a_map(trained, tmp_path):
    import torch

    from seaice.segmentation.mapping.predict import predict

    content = torch.load(trained / "best.pt", weights_only=True) | {"split_digest": "0"}
    torch.save(content, tmp_path / "other.pt")
    given = {"patch_dir": trained / "patches", "output_file": tmp_path / "x.png", "device": "cpu"}
    with pytest.raises(InputError, match="expected the split that"):
        plot(kind="panels", checkpoint=tmp_path / "other.pt", **given)
    scene = next((trained / "scenes" / "test").glob("*_prep.nc"))
    predict(
        checkpoint=trained / "best.pt",
        scene=scene,
        output_dir=tmp_path,
        geotiff=False,
        ice_edge=True,
        device="cpu",
    )
    edge = json.loads((tmp_path / f"{scene.stem}_ice_edge.geojson").read_text())["features"][0]
    assert edge["properties"]["scene"] == scene.stem
    picture = tmp_path / "map.png"
    report = plot(
        kind="scene", input_files=[tmp_path / f"{scene.stem}_ice.nc"], output_file=picture, dpi=60
    )
    assert report.values["shape"] == [160, 190]
    assert (dots(picture) == 0x22).all(axis=1).any()


def test_reliability_of_every_head(tmp_path):
    curve = {"calibration_error": 0.1, "confidence": [0.5, 0.9], "accuracy": [0.4, 0.9]}
    curve["pixels"] = [10, 30]
    head = {"temperature": 1.5, "before": curve, "after": curve | {"calibration_error": 0.05}}
    scores, output = tmp_path / "e.json", tmp_path / "r.png"
    scores.write_text(json.dumps({"reliability": {"sic": head, "floe": head}}))
    report = plot(kind="reliability", input_files=[scores], output_file=output, dpi=40)
    assert report.values["floe"] == {"before": 0.1, "after": 0.05, "temperature": 1.5}
    assert output.stat().st_size > 1000
    for content in ('{"results": []}', "[]", json.dumps({"reliability": {"sic": {"before": 1}}})):
        scores.write_text(content)
        with pytest.raises(InputError, match=r"expected the scores of segmentation\.py evaluate"):
            plot(kind="reliability", input_files=[scores], output_file=output)
    scores.write_text('{"reliability": {}}')
    with pytest.raises(InputError, match="expected heads with probabilities"):
        plot(kind="reliability", input_files=[scores], output_file=output)


def test_the_map_of_three_heads_shows_classes_and_doubt(tmp_path, monkeypatch):
    from datetime import UTC, datetime

    from seaice.segmentation.figures import plot as plot_module
    from seaice.segmentation.mapping.head_layers import TYPES, LayerPlan
    from seaice.segmentation.mapping.scene_map import SceneMap, write_scene_map

    ends = np.array([0.0, 19.0])
    lat, lon = np.array([[70.0, 70.0], [70.1, 70.1]]), np.array([[5.0, 5.1], [5.0, 5.1]])
    layers = {
        name: np.full((20, 20), 2, np.uint8)
        if name in dict(TYPES.values())
        else np.full((20, 20), 0.25, np.float32)
        for name in LayerPlan("sic+sod+floe", with_uncertainty=True).names
    }
    made = SceneMap(
        np.zeros((20, 20), np.uint8),
        layers,
        Geolocation(ends, ends, lat, lon, (20, 20)),
        datetime(2020, 1, 1, tzinfo=UTC),
    )
    write_scene_map(tmp_path / "m.nc", made, {})
    titles = []
    monkeypatch.setattr(
        plot_module.panels, "draw_types", lambda *given, **named: titles.append(given[3])
    )
    plot(kind="scene", input_files=[tmp_path / "m.nc"], output_file=tmp_path / "m.png", dpi=40)
    assert titles == ["stage_of_development", "floe_size"]
    shown = plot_module._choose_layers(made)
    assert shown[:3] == ["ice_concentration", *titles] and len(shown) == 6
