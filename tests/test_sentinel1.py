"""Sentinel-1 products and GeoTIFFs: what is read is what was written, by hand or by the simulation."""

import shutil
import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from seaice import InputError
from seaice.simulate.sar.safe import (
    SafeSettings,
    SimulatedRadar,
    compute_incidence,
    locate_pixels,
    write_safe,
    zip_safe,
)
from seaice.sources.sentinel1.border import find_valid
from seaice.sources.sentinel1.documents import Document
from seaice.sources.sentinel1.file import digest_image, open_image
from seaice.sources.sentinel1.geotiff_image import read_geotiff_image
from seaice.sources.sentinel1.image import average_pixels, convert_to_decibels
from seaice.sources.sentinel1.lookup_table import LookupTable, LookupVector
from seaice.sources.sentinel1.noise import ThermalNoise
from seaice.sources.sentinel1.positions import fit_control_points, measure_distance
from seaice.sources.sentinel1.product import open_product
from seaice.sources.sentinel1.safe_image import SigmaNought, read_safe_image
from seaice.sources.sentinel1.sub_swaths import SubSwaths, SwathBlock

SHAPE = (160, 3600)
TWO_SWATHS = [SwathBlock("EW1", 0, 0), SwathBlock("EW2", 0, 4)]


def make_sigma(shape=SHAPE):
    """Sigma nought that varies smoothly, HV a little above and below the noise."""
    line, sample = np.mgrid[: shape[0], : shape[1]]
    hh = -12 - 6 * sample / shape[1] + 2 * np.sin(line / 40)
    hv = -25 - 4 * sample / shape[1] + 2 * np.cos(line / 30)
    return 10 ** (np.stack([hh, hv]) / 10)


@pytest.fixture(scope="module")
def sigma():
    return make_sigma()


@pytest.fixture(scope="module")
def safe(tmp_path_factory, sigma):
    return write_safe(tmp_path_factory.mktemp("safe"), sigma)


@pytest.fixture
def small(tmp_path):
    """A small product that a test may spoil."""
    return write_safe(tmp_path, make_sigma((120, 400)))


def read_all(path, noise):
    blocks = [block for _, block, _ in SigmaNought(open_product(path), noise).iterate()]
    return np.concatenate(blocks, axis=1)


def find_only(folder, pattern):
    (path,) = folder.glob(pattern)
    return path


def spoil(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


# Sigma nought of simulated products


@pytest.mark.parametrize(
    "options",
    [{}, {"version": "002.72"}, {"is_denoised": True}],
    ids=["since 2.9", "before", "denoised"],
)
def test_sigma_nought_comes_back(tmp_path, sigma, options):
    made = SafeSettings(**options)
    read = read_all(write_safe(tmp_path, sigma, made), "esa")
    inside = np.isfinite(read)
    error = 10 * np.log10(read[inside] / sigma[inside])
    assert np.abs(error).max() < 0.05
    # Only the borders are left out: 30 samples, and 200 where they hold noise.
    width = 30 if made.has_azimuth else 200
    assert inside[:, :, width:-width].all() and not inside[:, 0, : width // 2].any()


def test_noise_is_kept_where_it_is_not_to_be_subtracted(safe, sigma):
    read = read_all(safe, "none")
    radar = SimulatedRadar(SHAPE, has_azimuth=True)
    gain = radar.compute_gain(np.arange(SHAPE[0])[:, None], np.arange(SHAPE[1]))
    expected = sigma + radar.compute_noise(range(SHAPE[0])) / gain**2
    inside = np.isfinite(read)
    np.testing.assert_allclose(read[inside], expected[inside], rtol=0.01)


def test_mean_noise_is_added_back(safe, sigma):
    subtracted, floored = (read_safe_image(safe, noise) for noise in ("esa", "esa_floor"))
    radar = SimulatedRadar(SHAPE, has_azimuth=True)
    gain = radar.compute_gain(np.arange(SHAPE[0])[:, None], np.arange(SHAPE[1]))
    noise = radar.compute_noise(range(SHAPE[0])) / gain**2
    inside = np.isfinite(read_all(safe, "none")[0])
    mean = float(noise[inside].mean())
    assert floored.noise_power["HV"] == pytest.approx(mean, rel=0.005)
    for name in ("HH", "HV"):
        power = [10 ** (image.decibels[name] / 10) for image in (subtracted, floored)]
        added = (power[1] - power[0])[np.isfinite(power[0])]
        np.testing.assert_allclose(added, mean, rtol=0.01)


def test_pixels_of_80_m_are_means_of_power(safe, sigma):
    image = read_safe_image(safe, "esa")
    expected = 10 * np.log10(sigma.reshape(2, 80, 2, 1800, 2).mean(axis=(2, 4)))
    for name, field in zip(("HH", "HV"), expected, strict=True):
        inside = np.isfinite(image.decibels[name])
        assert inside[:, 15:-15].all()
        np.testing.assert_allclose(image.decibels[name][inside], field[inside], atol=0.05)


def test_positions_and_angles_are_those_of_the_means(safe):
    image = read_safe_image(safe, "esa")
    line, sample = np.meshgrid([0, 7, 60, 79], [0, 500, 1799], indexing="ij")
    radar = SimulatedRadar(SHAPE, has_azimuth=True)
    truth = locate_pixels(radar, SafeSettings(), 2 * line + 0.5, 2 * sample + 0.5)
    assert measure_distance(*image.positions.interpolate(line, sample), *truth).max() < 0.1
    assert image.residual.largest < 1
    angle = image.interpolate_incidence()[line, sample]
    np.testing.assert_allclose(angle, compute_incidence((2 * sample + 0.5) / 3599), atol=0.01)


def test_a_zip_is_its_folder(small):
    zipped = zip_safe(small)
    folder, archive = read_safe_image(small), read_safe_image(zipped)
    assert archive.name == folder.name == small.stem
    assert archive.start == datetime(2024, 3, 1, 7, 41, 3, tzinfo=UTC)
    for name in ("HH", "HV"):
        np.testing.assert_array_equal(archive.decibels[name], folder.decibels[name])
    assert digest_image(zipped) != digest_image(small)


def test_the_digest_of_a_folder_depends_on_names_and_contents(small):
    first = digest_image(small)
    file = small / "manifest.safe"
    file.rename(small / "other.safe")
    assert digest_image(small) != first
    (small / "other.safe").rename(file)
    assert digest_image(small) == first
    spoil(file, "003.71", "003.72")
    assert digest_image(small) != first


def test_vv_and_vh_are_read(tmp_path):
    made = SafeSettings(polarisations=("VV", "VH"))
    assert list(read_safe_image(write_safe(tmp_path, make_sigma((60, 300)), made)).decibels) == [
        "VV",
        "VH",
    ]


# Tables by hand


def test_tables_do_not_cross_a_bound():
    """Two vectors of a line each, with a step of 100 between samples 3 and 4."""
    swaths = SubSwaths(TWO_SWATHS, (5, 8))
    pixels = np.array([0.0, 2.0, 5.0, 7.0])
    vectors = [
        LookupVector(1, pixels, np.array([0.0, 2.0, 105.0, 107.0])),
        LookupVector(3, pixels, np.array([10.0, 12.0, 115.0, 117.0])),
    ]
    first = [0, 1, 2, 3, 104, 105, 106, 107]
    middle = [5, 6, 7, 8, 109, 110, 111, 112]
    last = [10, 11, 12, 13, 114, 115, 116, 117]
    read = LookupTable(vectors, swaths, 8).interpolate(range(5))
    assert read.tolist() == [first, first, middle, last, last]


def test_a_bound_that_shifts():
    blocks = [*TWO_SWATHS, SwathBlock("EW2", 2, 3)]
    swaths = SubSwaths(blocks, (4, 6))
    vectors = [LookupVector(0, np.arange(6.0), np.array([1, 1, 1, 1, 9, 9.0]))]
    read = LookupTable(vectors, swaths, 6).interpolate(range(1, 4))
    assert read.tolist() == [[1, 1, 1, 1, 9, 9], [1, 1, 1, 9, 9, 9], [1, 1, 1, 9, 9, 9]]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 30), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_blocks_of_rows_do_not_matter(first, step, seed):
    rng = np.random.default_rng(seed)
    blocks = [SwathBlock("A", 0, 0), SwathBlock("B", 0, 9), SwathBlock("B", 17, 11)]
    lines = np.sort(rng.choice(np.arange(-5, 45), 4, replace=False))
    vectors = [
        LookupVector(float(line), np.sort(rng.choice(20, 6, replace=False)) * 1.0, rng.uniform(1, 9, 6))
        for line in lines
    ]
    table = LookupTable(vectors, SubSwaths(blocks, (40, 20)), 20)
    rows = range(first, min(first + step, 40))
    np.testing.assert_array_equal(
        table.interpolate(rows), table.interpolate(range(40))[first : rows.stop]
    )


def make_noise(azimuth):
    text = (
        "<noise><noiseRangeVectorList><noiseRangeVector><line>0</line><pixel>0 3 4 7</pixel>"
        "<noiseRangeLut>2 2 10 10</noiseRangeLut></noiseRangeVector></noiseRangeVectorList>"
        f"<noiseAzimuthVectorList>{azimuth}</noiseAzimuthVectorList></noise>"
    )
    return ThermalNoise(Document.parse(text.encode(), "noise.xml"), [], (4, 8))


def format_block(swath, line, sample, lines, values):
    return (
        f"<noiseAzimuthVector><swath>{swath}</swath><firstAzimuthLine>{line}</firstAzimuthLine>"
        f"<firstRangeSample>{sample}</firstRangeSample><line>{lines}</line>"
        f"<noiseAzimuthLut>{values}</noiseAzimuthLut></noiseAzimuthVector>"
    )


def test_azimuth_blocks_of_one_line_and_blocks_that_end_early():
    near = format_block("EW1", 0, 0, "0 2", "1 2")
    far = format_block("EW2", 0, 4, "0", "3") + format_block("EW2", 2, 4, "2", "4")
    read = make_noise(near + far).interpolate(range(4))
    assert read[:, 0].tolist() == [2, 3, 4, 4]
    assert read[:, 7].tolist() == [30, 30, 40, 40]
    assert read[0].tolist() == [2] * 4 + [30] * 4


def test_borders_by_hand():
    row = np.ones(300, np.uint16)
    row[:20] = row[280:] = 0
    row[:5] = 3  # a short run before the image
    row[150] = 0
    valid = find_valid(np.stack([row[None], np.ones((1, 300), np.uint16)]))[0]
    assert np.flatnonzero(~valid).tolist() == [*range(20), 150, *range(280, 300)]
    trimmed = find_valid(np.stack([row[None]] * 2), trim=30)[0]
    assert np.flatnonzero(trimmed)[[0, -1]].tolist() == [50, 249]
    assert not find_valid(np.zeros((2, 1, 300), np.uint16)).any()


def test_power_below_the_floor_is_counted():
    power = np.array([[1.0, -0.1], [np.nan, 0.01]], np.float32)
    assert convert_to_decibels(power) == pytest.approx(1 / 3)
    np.testing.assert_allclose(power, [[0, -40], [np.nan, -20]], atol=1e-5)


def test_means_of_blocks():
    field = np.arange(30, dtype=np.float32).reshape(5, 6)
    field[0, 5] = np.nan
    np.testing.assert_array_equal(average_pixels(field, 2), [[3.5, 5.5, np.nan], [15.5, 17.5, 19.5]])


# Bad products


def cut_file(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def remove_noise(safe):
    for file in safe.glob("annotation/calibration/noise-*"):
        file.unlink()


def break_xml(safe):
    cut_file(find_only(safe, "annotation/calibration/calibration-*-hv-*"))


def add_bomb(safe):
    spoil(
        find_only(safe, "annotation/*-hh-*.xml"),
        "<product>",
        '<!DOCTYPE product [<!ENTITY a "b">]><product>',
    )


def shorten_table(safe):
    file = find_only(safe, "annotation/calibration/noise-*-hh-*")
    spoil(file, "</noiseRangeLut>", " 1.0</noiseRangeLut>")


BAD = {
    "no noise": (remove_noise, r"expected the noise vectors of HH .*--noise none"),
    "no calibration": (
        lambda safe: find_only(safe, "annotation/calibration/calibration-*-hh-*").unlink(),
        "expected the calibration vectors of HH",
    ),
    "one polarisation": (
        lambda safe: find_only(safe, "annotation/*-hv-*.xml").unlink(),
        r"expected two polarisations.*found HH:",
    ),
    "no image": (
        lambda safe: find_only(safe, "measurement/*-hv-*").unlink(),
        "expected the image of HV",
    ),
    "cut image": (
        lambda safe: cut_file(find_only(safe, "measurement/*-hv-*")),
        "expected a whole TIFF, found a damaged or cut one",
    ),
    "broken xml": (break_xml, "expected XML in .*calibration-.*-hv-"),
    "entities": (add_bomb, "expected XML without DOCTYPE"),
    "short table": (shorten_table, "expected increasing pixels, one for each noiseRangeLut, found"),
    "no manifest": (lambda safe: (safe / "manifest.safe").unlink(), "expected a product in SAFE format"),
    "other size": (
        lambda safe: spoil(
            find_only(safe, "annotation/*-hh-*.xml"),
            "<numberOfLines>120",
            "<numberOfLines>121",
        ),
        "expected images of one size",
    ),
    "letters": (
        lambda safe: spoil(
            find_only(safe, "annotation/*-hh-*.xml"), "<numberOfLines>120", "<numberOfLines>many"
        ),
        "expected numbers in .*numberOfLines",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_products(small, case):
    damage, message = BAD[case]
    damage(small)
    with pytest.raises(InputError, match=message) as error:
        read_safe_image(small)
    assert "\n" not in str(error.value) and str(small) in str(error.value)


def test_products_of_another_mode(tmp_path):
    path = write_safe(tmp_path, make_sigma((60, 300)), SafeSettings(mode="IW"))
    with pytest.raises(InputError, match="expected a product EW GRDM, found IW GRDH"):
        read_safe_image(path)
    renamed = path.rename(tmp_path / "mine.SAFE")
    with pytest.raises(InputError, match="expected a product EW GRDM, found IW GRD"):
        read_safe_image(renamed)


def test_zips_that_are_cut_or_lead_out(small, tmp_path):
    zipped = zip_safe(small)
    outside = tmp_path / "outside.zip"
    shutil.copy(zipped, outside)
    with zipfile.ZipFile(outside, "a") as archive:
        archive.writestr("../evil.xml", "x")
    with pytest.raises(
        InputError, match=r"expected names below the SAFE folder, found '\.\./evil\.xml'"
    ):
        read_safe_image(outside)
    cut_file(zipped)
    with pytest.raises(
        InputError, match="expected the zip of a SAFE folder, found a damaged or cut file"
    ):
        read_safe_image(zipped)
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(InputError, match="expected a product in SAFE format"):
        read_safe_image(other)


def test_options_that_do_not_fit(small):
    with pytest.raises(InputError, match="expected --bands and --unit with a GeoTIFF"):
        open_image(small, bands=["HV"])
    with pytest.raises(InputError, match="expected --noise esa, esa_floor or none"):
        open_image(small, noise="nersc")


def test_old_processors_are_named(tmp_path, caplog):
    read_safe_image(write_safe(tmp_path, make_sigma((60, 900)), SafeSettings(version="002.45")))
    assert "processor version 002.45 is before 2.9" in caplog.text
    assert "before 2.53 noise vectors may be wrong" in caplog.text


# GeoTIFFs

PLANE = "+proj=stere +lat_0=80 +lon_0=-30 +datum=WGS84"


def make_points(lines, samples):
    """Lines, samples, latitude, longitude of points on a flat image of 40 m, turned by 20 degrees."""
    down, right = -(np.asarray(lines) - 100) * 40.0, (np.asarray(samples) - 150) * 40.0
    turn = np.radians(20)
    x, y = right * np.cos(turn) - down * np.sin(turn), right * np.sin(turn) + down * np.cos(turn)
    lon, lat = Transformer.from_crs(PLANE, "EPSG:4326", always_xy=True).transform(x, y)
    return np.stack([lines, samples, lat, lon], axis=1)


@pytest.fixture(scope="module")
def lattice():
    lines, samples = (a.ravel() for a in np.meshgrid(np.linspace(0, 200, 6), np.linspace(0, 300, 6)))
    # Two points of another grid come first, as in files that GDAL's own points precede.
    return make_points([90.0, 90.0, *lines], [17.0, 281.0, *samples])


def write_tiff(path, bands, points=None, **options):
    rasterio = pytest.importorskip("rasterio")
    from rasterio.control import GroundControlPoint

    tags, units = options.pop("tags", {}), options.pop("units", None)
    names = options.pop("names", None)
    count, height, width = bands.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": bands.dtype}
    with rasterio.open(path, "w", **profile | options) as file:
        if points is not None:
            # In a TIFF the first pixel begins at 0.
            gcps = [
                GroundControlPoint(row=line + 0.5, col=sample + 0.5, x=lon, y=lat)
                for line, sample, lat, lon in points
            ]
            file.gcps = gcps, "EPSG:4326"
        file.write(bands)
        file.update_tags(**tags)
        if units:
            file.units = (units,) * count
        for k, name in enumerate(names or (), start=1):
            file.set_band_description(k, name)
    return path


@pytest.fixture
def power():
    return 10 ** (np.random.default_rng(2).normal(-2.3, 0.2, (1, 200, 300))).astype(np.float32)


ignore_affine = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
ignore_unplaced = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@ignore_unplaced
def test_control_points_in_any_order(tmp_path, power, lattice):
    path = write_tiff(tmp_path / "S1A_20200101T010203.tif", power, lattice)
    image = read_geotiff_image(path, bands=["HV"])
    line, sample = (a.ravel() for a in np.meshgrid([0, 50, 99], [0, 70, 149]))
    truth = make_points(2 * line + 0.5, 2 * sample + 0.5).T[2:]
    assert measure_distance(*image.positions.interpolate(line, sample), *truth).max() < 0.5
    assert image.residual.largest < 1
    assert image.start == datetime(2020, 1, 1, 1, 2, 3, tzinfo=UTC)
    assert image.noise == "unknown"
    expected = 10 * np.log10(power[0].reshape(100, 2, 150, 2).mean(axis=(1, 3)))
    np.testing.assert_allclose(image.decibels["HV"], expected, atol=1e-4)


def test_leave_one_out_by_hand(lattice):
    """The residual of every point equals that of a fit without it."""
    rng = np.random.default_rng(0)
    points = lattice + np.array([0, 0, 1e-4, 1e-4]) * rng.standard_normal(lattice.shape)
    _, residual = fit_control_points(points, (200, 300), 1)
    plane = Transformer.from_crs("EPSG:4326", PLANE, always_xy=True)
    x, y = plane.transform(points[:, 3], points[:, 2])
    rms = []
    for order in (1, 2, 3, 4):
        line, sample = (points[:, :2] / 100 - 1).T
        powers = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
        design = np.column_stack([line**i * sample**j for i, j in powers])
        errors = []
        for k in range(len(points)):
            kept = np.arange(len(points)) != k
            fitted = [design[k] @ np.linalg.lstsq(design[kept], v[kept])[0] - v[k] for v in (x, y)]
            errors.append(np.hypot(*fitted))
        rms.append(np.sqrt(np.mean(np.square(errors))))
    assert residual.rms == pytest.approx(min(rms), rel=0.01)
    assert f"of order {1 + int(np.argmin(rms))} through 38 points" in residual.method


@ignore_unplaced
def test_decibels_are_read_as_they_are(tmp_path, power, lattice):
    linear = read_geotiff_image(
        write_tiff(tmp_path / "a20200101T010203.tif", power, lattice), bands=["HV"]
    )
    decibels = 10 * np.log10(power)
    tagged = write_tiff(
        tmp_path / "b20200101T010203.tif",
        decibels,
        lattice,
        units="dB",
        names=["s0_HV"],
        tags={"noise": "nersc"},
    )
    plain = write_tiff(tmp_path / "c20200101T010203.tif", decibels, lattice)
    image = read_geotiff_image(tagged)
    assert image.noise == "nersc" and image.attributes["unit"] == "dB"
    for other in (
        image,
        read_geotiff_image(plain, bands=["HV"]),
        read_geotiff_image(plain, bands=["HV"], unit="dB"),
    ):
        np.testing.assert_allclose(other.decibels["HV"], linear.decibels["HV"], atol=1e-4)


@ignore_affine
def test_a_cog_on_a_map_projection(tmp_path):
    from rasterio.transform import from_origin

    field = np.full((1, 90, 80), -20.0, np.float32)
    field[0, :3], field[0, 3] = -9999.0, np.nan
    path = write_tiff(
        tmp_path / "S1A_20200101T010203.tif",
        field,
        crs="EPSG:3413",
        transform=from_origin(100_000, -200_000, 80, 80),
        nodata=-9999.0,
        tiled=True,
        blockxsize=32,
        blockysize=32,
        compress="deflate",
    )
    image = read_geotiff_image(path, bands=["HH"])
    assert image.factor == 1 and image.shape == (90, 80)
    assert np.isnan(image.decibels["HH"][:4]).all() and np.allclose(image.decibels["HH"][4:], -20)
    lat, lon = image.positions.interpolate(10, 20)
    x, y = Transformer.from_crs(4326, 3413, always_xy=True).transform(lon, lat)
    np.testing.assert_allclose([x, y], [100_000 + 20.5 * 80, -200_000 - 10.5 * 80], atol=0.5)


@ignore_unplaced
@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {}, "expected bands called by their polarisation"),
        ({}, {"bands": ["HV", "HH"]}, "expected 2 bands for HV HH, found 1"),
        ({}, {"bands": ["HX"]}, "expected each band once, among HH"),
        ({"name": "mine.tif"}, {"bands": ["HV"]}, "expected the start of the image"),
        ({"factor": 1e4}, {"bands": ["HV"]}, "expected sigma nought, linear or dB, found a median of"),
        ({"dtype": np.uint16}, {"bands": ["HV"]}, "expected sigma nought in floating-point numbers"),
        ({"points": None}, {"bands": ["HV"]}, "expected control points or a map projection"),
        ({"points": 3}, {"bands": ["HV"]}, "expected at least 4 control points"),
        ({"stretch": 1.4}, {"bands": ["HV"]}, "expected pixels of 80 m or a whole part of it"),
        ({"cut": True}, {"bands": ["HV"]}, "expected a whole TIFF, found a damaged or cut one"),
        ({"text": True}, {"bands": ["HV"]}, "expected a whole TIFF"),
    ],
)
def test_bad_geotiffs(tmp_path, power, lattice, change, options, message):
    path = tmp_path / change.get("name", "S1A_20200101T010203.tif")
    points = lattice
    if "points" in change:
        points = None if change["points"] is None else lattice[: change["points"]]
    if "stretch" in change:
        points = lattice * [1 / change["stretch"], 1 / change["stretch"], 1, 1]
    write_tiff(path, (power * change.get("factor", 1)).astype(change.get("dtype", np.float32)), points)
    if "cut" in change:
        cut_file(path)
    if "text" in change:
        path.write_text("no image")
    with pytest.raises(InputError, match=message) as error:
        read_geotiff_image(path, **options)
    assert "\n" not in str(error.value)


# Real images


@pytest.mark.parametrize(
    ("name", "mean", "deviation", "percentiles"),
    [
        ("S1B_EW_GRDM_1SDH_20161005T101835", -23.25, 3.98, (-32.0, -22.6, -15.2)),
        ("S1A_EW_GRDM_1SDH_20161005T142446", -23.32, 3.75, (-32.1, -22.8, -15.9)),
    ],
)
def test_real_crops(real_data, name, mean, deviation, percentiles):
    """Against numbers that were measured on pixels of 40 m, whose speckle is stronger."""
    image = read_geotiff_image(real_data / "sentinel1" / f"{name}.tif", bands=["HV"])
    values = image.decibels["HV"]
    assert image.shape == (500, 500) and np.isfinite(values).all()
    assert image.residual.largest < 1 and image.residual.rms < 0.1
    # The mean of decibels is 0.07 to 0.11 below decibels of the mean.
    assert values.mean() == pytest.approx(mean + 0.09, abs=0.04)
    assert deviation - 0.15 < values.std() < deviation
    np.testing.assert_allclose(np.percentile(values, (1, 50, 99)), percentiles, atol=0.5)
    lat, lon = image.positions.interpolate([0, 499], [0, 499])
    assert (lat > 86).all() and (np.abs(lon) < 10).all()
