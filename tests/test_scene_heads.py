"""Maps of several heads with their uncertainty, and inputs by name, in scenes and in patches."""

import netCDF4
import numpy as np
import pytest
import torch
from sar_scenes import scenes_in

from seaice import InputError
from seaice.runtime.networks.checkpoint_file import save_checkpoint
from seaice.segmentation.data.cut import make_patches
from seaice.segmentation.data.inputs import list_channels
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.patch_dataset import PatchDataset
from seaice.segmentation.data.patch_manifest import read_manifest
from seaice.segmentation.heads.head import count_outputs
from seaice.segmentation.mapping.head_layers import LayerPlan, list_all_layers, make_predictor
from seaice.segmentation.mapping.predict import predict
from seaice.segmentation.mapping.predict_scene import map_scene
from seaice.segmentation.mapping.scene_map import read_scene_map
from seaice.segmentation.mapping.tiles import blend_tiles
from seaice.segmentation.networks.checkpoint import describe_model, load_model
from seaice.segmentation.networks.registry import build_network
from seaice.sources.ai4arctic.scene import SCALING, open_scene

pytestmark = pytest.mark.usefixtures("one_thread")
THREE = "sic+sod+floe"
TILES = {"tile": 64, "overlap": 16}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    return [scene.path for scene in scenes_in(root, scenes=2, test_scenes=1)]


def write_model(path, *, task=THREE, inputs="sar", seed=4, temperatures=None):
    torch.manual_seed(seed)
    options = {"base": 2, "depth": 2}
    channels = len(list_channels(inputs))
    network = build_network("unet", channels=channels, classes=count_outputs(task), **options)
    note = describe_model(
        model="unet", options=options, inputs=inputs, channels=channels, task=task, rule=LabelRule()
    )
    content = {"state": network.state_dict(), "epoch": 3, "metrics": {}, "patch_size": 64}
    save_checkpoint(path, note | content | {"temperatures": temperatures})
    return path


def open_channels(path):
    with netCDF4.Dataset(path) as dataset:
        dataset.set_auto_maskandscale(False)
        return {name: dataset[name][:] for name in dataset.variables}


# Inputs


def test_inputs_are_named_and_ordered():
    assert list_channels("hv") == ("nersc_sar_secondary",)
    assert list_channels("era5+sar+incidence")[2:4] == ("sar_incidenceangle", "u10m_rotated")
    assert list_channels("sar+amsr2") == (*list(SCALING)[:2], *list(SCALING)[4:18])
    for inputs, text in (("era5", "with sar, hh or hv"), ("sar+wind", "channels such as t2m")):
        with pytest.raises(InputError, match=text):
            list_channels(inputs)


def test_a_patch_and_a_tile_hold_what_the_scene_holds_by_name(scenes, tmp_path):
    """Pixel by pixel from the file of the scene, for both readers of inputs."""
    inputs = "hv+incidence+distance+btemp_18_7v+t2m"
    make_patches(input_dir=scenes[0].parent, output_dir=tmp_path, size=48, per_scene=3)
    row = read_manifest(tmp_path)[1]
    stored = open_channels(scenes[0].parent / f"{row.scene}.nc")
    image, charts = PatchDataset(tmp_path, [row], inputs=inputs, charts=("SIC", "SOD", "FLOE"))[0]
    names = ("nersc_sar_secondary", "sar_incidenceangle", "distance_map", "btemp_18_7v", "t2m")
    expected = np.zeros((5, 48, 48), np.float32)
    for k, name in enumerate(names):
        for i, j in np.ndindex(48, 48):
            place = row.row + i, row.column + j
            cells = tuple(min(p // 25, n - 1) for p, n in zip(place, stored[name].shape, strict=True))
            expected[k, i, j] = stored[name][cells if k > 2 else place]
    np.testing.assert_array_equal(image, expected)
    window = slice(row.row, row.row + 48), slice(row.column, row.column + 48)
    no_class = stored["SIC"][window] == 255
    for chart, name in zip(charts, ("SIC", "SOD", "FLOE"), strict=True):
        np.testing.assert_array_equal(chart, np.where(no_class, 255, stored[name][window]))
    cut = []

    def keep(images):
        cut.append(images)
        return images[:, :1]

    map_scene(
        open_scene(scenes[0].parent / f"{row.scene}.nc"),
        keep,
        LayerPlan("classes"),
        LabelRule(),
        inputs=inputs,
        tile=64,
        overlap=0,
    )
    tiles = np.concatenate(cut)
    np.testing.assert_array_equal(tiles[0][0], np.nan_to_num(stored["nersc_sar_secondary"][:64, :64]))
    np.testing.assert_array_equal(tiles[0][4], stored["t2m"].repeat(25, 0).repeat(25, 1)[:64, :64])


# Layers


def test_layers_by_hand():
    plan = LayerPlan("sic-regression+sod", with_uncertainty=True)
    assert plan.names == (
        *("ice_concentration", "ice_concentration_disagreement"),
        *("stage_of_development", "stage_of_development_probability"),
        *("stage_of_development_uncertainty", "stage_of_development_disagreement"),
    )
    # Two members: concentrations 0.2 and 0.6, surely class 1 and surely class 4.
    one, other = np.eye(6)[1], np.eye(6)[4]
    numbers = np.array([0.4, (0.04 + 0.36) / 2, *((one + other) / 2), 0.0], np.float32)
    band = np.stack([numbers, np.full(9, np.nan, np.float32)], axis=1)[:, None]
    layers = plan.finish(band)
    assert layers["ice_concentration_disagreement"][0, 0] == pytest.approx(0.2, abs=1e-6)
    assert layers["stage_of_development"].tolist() == [[1, 255]]
    assert layers["stage_of_development_probability"][0, 0] == 0.5
    # ln 2 of ln 6, all of it between the members.
    for end in ("uncertainty", "disagreement"):
        value = layers[f"stage_of_development_{end}"][0, 0]
        assert value == pytest.approx(np.log(2) / np.log(6), abs=1e-6)
    assert all(np.isnan(layer[0, 1]) for layer in layers.values() if layer.dtype != np.uint8)


def test_numbers_of_a_member_are_those_of_its_probabilities():
    plan = LayerPlan(THREE, with_uncertainty=True)
    predictions = torch.cat([torch.randn(1, k, 2, 3).softmax(dim=1) for k in (11, 6, 7)], dim=1)
    layers = plan.finish(plan.measure(predictions, LabelRule())[0].numpy())
    sic, sod, floe = (part[0].double().numpy() for part in predictions.split([11, 6, 7], dim=1))
    levels = (np.arange(11) / 10)[:, None, None]
    mean = (sic * levels).sum(axis=0)
    expected = {
        "ice_probability": sic[2:].sum(axis=0),
        "ice_concentration": mean,
        "ice_concentration_uncertainty": np.sqrt((sic * (levels - mean) ** 2).sum(axis=0)),
        "ice_concentration_disagreement": 0 * mean,
        "stage_of_development_uncertainty": -(sod * np.log(sod)).sum(axis=0) / np.log(6),
        "floe_size_probability": floe.max(axis=0),
        "floe_size_uncertainty": -(floe * np.log(floe)).sum(axis=0) / np.log(7),
        "floe_size_disagreement": 0 * mean,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(layers[name], values, atol=2e-5, err_msg=name)
    np.testing.assert_array_equal(layers["floe_size"], floe.argmax(axis=0))
    assert set(layers) <= set(list_all_layers()) and tuple(layers) == plan.names


# Maps


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [
        write_model(folder / f"{seed}.pt", seed=seed, temperatures=dict.fromkeys(THREE.split("+"), 1.5))
        for seed in (1, 2)
    ]


def test_several_checkpoints_and_mirrored_tiles_are_averaged(scenes, models):
    loaded = [load_model(path) for path in models]
    plan = LayerPlan(THREE)
    image = open_scene(scenes[0]).read_sar()[None, :, 40:104, 60:124].copy()
    total = 0
    for model in loaded:
        for axes in ((), (3,), (2,), (2, 3)):
            turned = torch.from_numpy(np.flip(image, axes).copy())
            predictions = model.network(turned).detach() / 1.5
            parts = [part.softmax(dim=1) for part in predictions.split([11, 6, 7], dim=1)]
            total = total + np.flip(plan.measure(torch.cat(parts, dim=1), model.rule).numpy(), axes)
    averaged = make_predictor(loaded, plan, flips=True)(image)
    np.testing.assert_allclose(averaged, total / 8, rtol=2e-6, atol=1e-7)


def test_files_of_three_heads(scenes, models, tmp_path):
    common = {"scene": scenes[2], "device": "cpu", **TILES}
    report = predict(checkpoint=models, flips=True, output_dir=tmp_path / "a", batch_size=1, **common)
    predict(checkpoint=models, flips=True, output_dir=tmp_path / "b", geotiff=False, **common)
    path = tmp_path / "a" / f"{scenes[2].stem}_ice.nc"
    plan = LayerPlan(THREE, with_uncertainty=True)
    with netCDF4.Dataset(path) as one, netCDF4.Dataset(tmp_path / "b" / path.name) as other:
        sod = one["stage_of_development"]
        meanings = sod.flag_meanings.split()
        assert meanings[:2] == ["open_water", "new_ice"] and "thin_first_year_ice" in meanings
        assert sod.flag_values.tolist() == list(range(6)) and sod._FillValue == 255
        assert "stage_of_development_uncertainty" in sod.ancillary_variables
        assert "calibrated on validation scenes" in one["floe_size_probability"].long_name
        for name in ("surface_class", *plan.names):
            np.testing.assert_array_equal(one[name][:], other[name][:])
        assert np.ma.count(sod[:]) == np.isin(one["surface_class"][:], (0, 1)).sum() > 0
    scene_map, _ = read_scene_map(path)
    assert set(scene_map.layers) == set(plan.names)
    assert scene_map.layers["floe_size"].dtype == np.uint8
    assert {p.name.split("prep_")[1] for p in (tmp_path / "a").glob("*.tif")} == {
        f"{name}.tif" for name in ("surface_class", *plan.names)
    }
    again = predict(checkpoint=models, flips=True, output_dir=tmp_path / "a", batch_size=3, **common)
    assert again.lines[0].endswith("already there")
    with pytest.raises(InputError, match=r"with another flips; choose"):
        predict(checkpoint=models, output_dir=tmp_path / "a", **common)
    with pytest.raises(InputError, match=r"with another checkpoint, checkpoint_sha256; choose"):
        predict(checkpoint=models[0], flips=True, output_dir=tmp_path / "a", **common)
    assert report.values[scenes[2].stem]["pixels"] > 0


def test_types_alone_tell_water_from_ice(scenes, tmp_path):
    model = write_model(tmp_path / "m.pt", task="sod")
    predict(checkpoint=model, scene=scenes[0], output_dir=tmp_path / "o", device="cpu", **TILES)
    scene_map, _ = read_scene_map(tmp_path / "o" / f"{scenes[0].stem}_ice.nc")
    sod = scene_map.layers["stage_of_development"]
    np.testing.assert_array_equal(scene_map.surface == 1, (sod > 0) & (sod < 255))


def test_checkpoints_that_cannot_be_averaged(scenes, models, tmp_path):
    other = write_model(tmp_path / "hv.pt", inputs="hv")
    with pytest.raises(InputError, match=r"checkpoints of one inputs, found sar in .* and hv in .*hv"):
        predict(checkpoint=[models[0], other], scene=scenes[0], output_dir=tmp_path, device="cpu")


def test_bands_come_out_whole_where_rows_of_tiles_have_no_sar():
    rng = np.random.default_rng(0)
    sar = rng.normal(size=(2, 90, 40)).astype(np.float32)
    sar[:, 20:70] = 0
    blended = blend_tiles(sar, lambda images: images, size=16, overlap=4)
    expected = np.where((sar != 0).any(axis=0), sar, np.nan)
    np.testing.assert_allclose(blended, expected, rtol=1e-6)
    sar[:, 70:] = 0
    np.testing.assert_allclose(
        blend_tiles(sar, lambda images: images, size=16, overlap=4)[:, :20], sar[:, :20], rtol=1e-6
    )


# Speed


def test_mixed_precision_maps_alike_for_any_batch(scenes, models, tmp_path):
    """Not the bits of fp32, but near; and the same bits for any number of tiles in a batch."""
    common = {"checkpoint": models[0], "scene": scenes[0], "device": "cpu", "geotiff": False, **TILES}
    name = f"{scenes[0].stem}_ice.nc"
    for folder, options in {
        "fp32": {},
        "one": {"precision": "bf16", "batch_size": 1},
        "five": {"precision": "bf16", "batch_size": 5},
    }.items():
        predict(output_dir=tmp_path / folder, **common, **options)
    full, one, five = (
        read_scene_map(tmp_path / folder / name)[0].layers for folder in ("fp32", "one", "five")
    )
    for layer, values in one.items():
        np.testing.assert_array_equal(values, five[layer])
    level, other = full["ice_concentration"], one["ice_concentration"]
    assert 0 < np.nanmax(np.abs(level - other)) < 0.02
    with pytest.raises(InputError, match=r"with another precision; choose"):
        predict(output_dir=tmp_path / "fp32", precision="bf16", **common)
    with pytest.raises(InputError, match="expected a GPU for fp16"):
        predict(output_dir=tmp_path / "half", precision="fp16", **common)
