"""Samples of patches and scenes with names, as torchgeo's trainers and samplers take them."""

import pickle

import numpy as np
import pytest
import torch
from patch_folders import make_folder
from sar_scenes import scenes_in
from torch.utils.data import DataLoader

from seaice import InputError
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.patch_dataset import PatchDataset
from seaice.segmentation.data.patch_manifest import read_manifest
from seaice.segmentation.data.splits import load_split
from seaice.segmentation.samples.dataset import PatchSamples, SceneSamples
from seaice.sources.ai4arctic.scene import open_scene

THREE = "sic+sod+floe"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("patches"))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return [s.path for s in scenes_in(tmp_path_factory.mktemp("scenes"), scenes=2, test_scenes=1)]


def test_patches_hold_what_training_reads(folder):
    rows = load_split(folder).select_rows("test", read_manifest(folder))
    samples = PatchSamples(folder, "test", task=THREE)
    data = PatchDataset(folder, rows, charts=("SIC", "SOD", "FLOE"))
    assert len(samples) == len(rows) == 8
    for k in (0, 5):
        sample, (image, charts) = samples[k], data[k]
        assert torch.equal(sample["image"], image) and torch.equal(sample["mask"], charts.long())
        assert sample["scene"] == rows[k].scene
        assert sample["window"].tolist()[:2] == [rows[k].row, rows[k].column]
    batch = next(iter(DataLoader(PatchSamples(folder, "train"), batch_size=4)))
    assert batch["mask"].shape == (4, 16, 16) and batch["mask"].dtype == torch.int64
    assert set(batch["mask"].unique().tolist()) == {0, 1, 255} and len(batch["scene"]) == 4


def test_a_rule_and_a_transform_of_ones_own(folder):
    def brighten(sample):
        return sample | {"image": sample["image"] + 1}

    strict = PatchSamples(folder, rule=LabelRule(0.9), transforms=brighten)[0]
    usual = PatchSamples(folder)[0]
    assert torch.equal(strict["image"], usual["image"] + 1)
    # Ice of the simulated charts has 80 percent.
    assert not (strict["mask"] == 1).any() and (usual["mask"] == 1).any()


def test_windows_cover_scenes_and_hold_their_pixels(scenes):
    samples = SceneSamples(scenes[:2], size=64, stride=48, task="sod", inputs="hv+t2m")
    shapes = [open_scene(path).shape for path in scenes[:2]]
    counts = [((h - 64) // 48 + 1) * ((w - 64) // 48 + 1) for h, w in shapes]
    assert len(samples) == sum(counts) == len(samples.bounds)
    for index in (1, counts[0] + 2):
        sample = samples[index]
        scene = open_scene(scenes[0] if index < counts[0] else scenes[1])
        row, column = sample["window"].tolist()[:2]
        window = slice(row, row + 64), slice(column, column + 64)
        np.testing.assert_array_equal(sample["image"][0], scene.read_sar()[1][window])
        assert sample["image"][1, 3, 5] == scene.read_era5()[2, (row + 3) // 25, (column + 5) // 25]
        no_sar = (scene.read_sar()[:, *window] == 0).all(axis=0)
        expected = np.where(no_sar, 255, scene.read_chart("SOD")[window])
        np.testing.assert_array_equal(sample["mask"], expected)
        latitude, longitude = scene.read_positions().interpolate(row + 31.5, column + 31.5)
        west, south, east, north = sample["bounds"].tolist()
        assert south < latitude < north and (longitude - west) % 360 < east - west < 5
    copy = pickle.loads(pickle.dumps(samples))
    assert torch.equal(copy[1]["image"], samples[1]["image"])


def test_windows_of_a_folder_with_the_charts_of_test_scenes(scenes):
    samples = SceneSamples(scenes[2].parent, size=96, stride=96, task="classes")
    assert len(samples) == 1 and samples[0]["scene"] == scenes[2].stem
    with pytest.raises(InputError, match="scenes of at least 999 x 999 pixels"):
        SceneSamples(scenes[:1], size=999)


def test_a_sample_is_drawn_with_its_prediction(folder):
    samples = PatchSamples(folder, task="sic+floe")
    sample = samples[0]
    figure = samples.plot(sample | {"prediction": sample["mask"]}, suptitle="patch")
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[2:] == ["sic, mask", "floe, mask", "sic, prediction", "floe, prediction"]
    drawn = figure.axes[2].images[0].get_array()
    assert (np.ma.getmaskarray(drawn) == (sample["mask"][0].numpy() == 255)).all()
