"""Sentinel-2 beside a SAR scene: a local catalogue, and images whose reflectance tells the place."""

import json
import re
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import xarray as xr
from pyproj import Transformer
from sar_scenes import scenes_in

import segmentation as script
from seaice import InputError
from seaice.segmentation.charts.cells import read_scene_pixels
from seaice.segmentation.data.inputs import count_channels, list_channels
from seaice.segmentation.data.optical import locate_optical, read_optical
from seaice.segmentation.data.patch_dataset import read_patch
from seaice.segmentation.data.patch_manifest import read_manifest
from seaice.segmentation.optical.pixels import CLEAR, CLOUDED, MISSING
from seaice.segmentation.samples.scene_channels import read_channels
from seaice.sources.ai4arctic.scene import open_scene
from seaice.sources.sentinel2.catalogue import Image, _find_scale, hide_query

rasterio = pytest.importorskip("rasterio")
pytest.importorskip("pystac_client")

STEP, SIDE = 20.0, 400  # an image of 8 km
CLOUDS, SHADOWS, SNOW, DEFECTIVE = 9, 3, 11, 1


def make_band(x, y):
    """Reflectance of a place in a projection: a plane, so that means stay on it."""
    return 0.2 + (x % 100_000) * 1e-6 + (y % 100_000) * 2e-6


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return scenes_in(tmp_path_factory.mktemp("scenes"), scenes=1, test_scenes=0)[0].path


@pytest.fixture(scope="module")
def centre(scene):
    """UTM zone of the scene, and x and y of its centre."""
    pixels = read_scene_pixels(scene)
    latitude, longitude = pixels.positions.interpolate(*(np.array([n / 2]) for n in pixels.shape))
    code = f"EPSG:{32600 + int((longitude[0] + 180) // 6) + 1}"
    x, y = Transformer.from_crs("EPSG:4326", code, always_xy=True).transform(longitude[0], latitude[0])
    return code, round(x / STEP) * STEP, round(y / STEP) * STEP


def write_image(folder, name, centre, *, shift=0.0, offset=0.0, classes=SNOW, nodata=0):
    """Bands and classes of an image whose centre lies some metres east of that of the scene."""
    code, x0, y0 = centre
    west, north = x0 + shift - SIDE * STEP / 2, y0 + SIDE * STEP / 2
    transform = rasterio.Affine(STEP, 0, west, 0, -STEP, north)
    x = west + (np.arange(SIDE) + 0.5) * STEP
    y = north - (np.arange(SIDE) + 0.5) * STEP
    numbers = np.rint((make_band(x[None], y[:, None]) - offset) / 1e-4).astype(np.uint16)
    numbers[:40] = 0
    codes = np.full((SIDE, SIDE), classes, np.uint8)
    codes[:40] = 0
    fields = {
        "blue": numbers,
        "nir": numbers + np.where(numbers > 0, 1000, 0).astype(np.uint16),
        "scl": codes,
    }
    for band, field in fields.items():
        with rasterio.open(
            folder / f"{name}_{band}.tif", "w", driver="GTiff", height=SIDE, width=SIDE, count=1,
            dtype=field.dtype, crs=code, transform=transform, nodata=nodata if band != "scl" else None,
        ) as raster:  # fmt: skip
            raster.write(field, 1)


def make_item(name, start, *, hours=1.0, cloud=5.0, assets=("blue", "nir", "scl"), url="", **properties):
    taken = start + timedelta(hours=hours)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Point", "coordinates": [0, 80]},
        "bbox": [0, 80, 0, 80],
        "links": [],
        "properties": {"datetime": taken.isoformat().replace("+00:00", "Z"), "eo:cloud_cover": cloud}
        | properties,
        "assets": {band: {"href": f"{url}{name}_{band}.tif"} for band in assets},
    }


@contextmanager
def catalogue(items, folder, *, status=200, page=50):
    """A STAC API that gives its items in pages, and the files of a folder."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True

        def send_json(self, content, code=200):
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/geo+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            requests.append((self.path, None, self.headers))
            if self.path == "/":
                conformance = [
                    "https://api.stacspec.org/v1.0.0/" + part for part in ("core", "item-search")
                ]
                links = [{"rel": "search", "href": url + "search", "type": "application/geo+json",
                          "method": "POST"}]  # fmt: skip
                landing = {"type": "Catalog", "id": "c", "stac_version": "1.0.0", "description": "-"}
                return self.send_json(landing | {"links": links, "conformsTo": conformance})
            path = folder / self.path[1:]
            if not path.is_file():
                return self.send_json({}, 404)
            body = path.read_bytes()
            part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if part:
                first, last = int(part[1]), min(int(part[2]), len(body) - 1)
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
                body = body[first : last + 1]
            else:
                self.send_response(200)
                self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)
            return None

        do_HEAD = do_GET

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append((self.path, body, self.headers))
            first = body.get("first", 0)
            part = items[first : first + page]
            links = []
            if first + page < len(items):
                links = [{"rel": "next", "href": url + "search", "method": "POST",
                          "body": body | {"first": first + page}, "merge": False}]  # fmt: skip
            self.send_json({"type": "FeatureCollection", "features": part, "links": links}, status)

        def log_message(self, *parts):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield url, requests
        finally:
            server.shutdown()


def run(scene, out, url, *more):
    return script.main(
        ["sentinel2", "--scene", str(scene), "--output_dir", str(out), "--catalogue", url, "--quiet",
         "--bands", "blue", "nir", *more]
    )  # fmt: skip


def read(scene, out):
    with xr.open_dataset(out / f"{scene.stem}_sentinel2.nc") as dataset:
        return dataset.load()


def expected_blue(scene, centre):
    pixels = read_scene_pixels(scene)
    lines, samples = (np.arange(n) for n in pixels.shape)
    latitude, longitude = pixels.positions.interpolate(lines[:, None], samples[None])
    transformer = Transformer.from_crs("EPSG:4326", centre[0], always_xy=True)
    return transformer.transform(longitude, latitude)


def test_every_pixel_of_the_scene_has_the_reflectance_of_its_place(scene, centre, tmp_path):
    write_image(tmp_path, "one", centre)
    start = read_scene_pixels(scene).start
    with catalogue([make_item("one", start, url=str(tmp_path) + "/")], tmp_path) as (url, requests):
        assert run(scene, tmp_path / "out", url) == 0
    data = read(scene, tmp_path / "out")
    x, y = expected_blue(scene, centre)
    mask = data["sentinel2_mask"].values
    inside = (np.abs(x - centre[1]) < 3900) & (y < centre[2] + 3100) & (y > centre[2] - 3900)
    outside = (np.abs(x - centre[1]) > 4100) | (y > centre[2] + 3300) | (y < centre[2] - 4100)
    assert (mask[inside] == CLEAR).all() and (mask[outside] == MISSING).all()
    blue = data["sentinel2_blue"].values
    assert np.isnan(blue[mask != CLEAR]).all()
    # Within the 80 m pixel of the image: 40 m in x and in y.
    np.testing.assert_allclose(blue[inside], make_band(x, y)[inside], atol=40e-6 + 80e-6 + 1e-4)
    np.testing.assert_allclose(data["sentinel2_nir"].values[inside] - blue[inside], 0.1, atol=2e-4)
    (listed,) = json.loads(data.attrs["images"])
    assert (listed["id"], listed["hours_from_scene"], listed["cloud_percent"]) == ("one", 1.0, 5.0)
    _, body, _ = requests[-1]
    assert body["collections"] == ["sentinel-2-l2a"]
    first, last = (datetime.fromisoformat(t) for t in body["datetime"].split("/"))
    assert (last - first) == timedelta(hours=24)
    points = np.array(body["intersects"]["coordinates"])
    assert points.shape == (81, 2)
    assert data["sentinel2_blue"].attrs["standard_name"] == "surface_bidirectional_reflectance"


def test_clouds_are_filled_by_the_next_best_image_and_told(scene, centre, tmp_path):
    url = str(tmp_path) + "/"
    write_image(tmp_path, "clouds", centre, classes=CLOUDS)
    write_image(tmp_path, "east", centre, shift=4000.0)
    write_image(tmp_path, "defective", centre, classes=DEFECTIVE)
    start = read_scene_pixels(scene).start
    items = [
        make_item("defective", start, cloud=0.0, hours=0.1, url=url),
        make_item("clouds", start, cloud=1.0, hours=1.0, url=url),
        make_item("east", start, cloud=20.0, hours=-2.0, url=url),
        make_item("worse", start, cloud=60.0, url=url),
        make_item("lacking", start, assets=("blue", "scl"), url=url),
    ]
    with catalogue(items, tmp_path, page=2) as (address, _):
        assert run(scene, tmp_path / "out", address) == 0
        before = read(scene, tmp_path / "out")
        with catalogue(items[::-1], tmp_path) as (other, _):
            assert run(scene, tmp_path / "again", other) == 0
    again = read(scene, tmp_path / "again")
    xr.testing.assert_equal(before.drop_vars("crs"), again.drop_vars("crs"))
    x, y = expected_blue(scene, centre)
    mask, source = before["sentinel2_mask"].values, before["sentinel2_image"].values
    rows = (y < centre[2] + 3100) & (y > centre[2] - 3900)
    west, east = (
        (x < centre[1] - 100) & (x > centre[1] - 3900),
        (x > centre[1] + 100) & (x < centre[1] + 3900),
    )
    assert (mask[rows & west] == CLOUDED).all() and (mask[rows & east] == CLEAR).all()
    images = json.loads(before.attrs["images"])
    assert [image["id"] for image in images] == ["east"]
    assert set(np.unique(source[mask == CLEAR])) == {0}


def test_zeros_take_no_part_in_the_mean_of_a_file_that_declares_no_fill(scene, centre, tmp_path):
    write_image(tmp_path, "one", centre, nodata=None)
    start = read_scene_pixels(scene).start
    with catalogue([make_item("one", start, url=str(tmp_path) + "/")], tmp_path) as (url, _):
        assert run(scene, tmp_path / "out", url) == 0
    blue = read(scene, tmp_path / "out")["sentinel2_blue"].values
    assert np.nanmin(blue) > 0.19


@pytest.mark.parametrize(
    ("properties", "asset", "offset"),
    [
        ({"s2:processing_baseline": "04.00"}, {}, -0.1),
        ({"s2:processing_baseline": "03.01"}, {}, 0.0),
        ({"processing:version": "05.11"}, {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}, -0.1),
        ({"earthsearch:boa_offset_applied": True, "s2:processing_baseline": "05.09"},
         {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}, 0.0),
        ({"earthsearch:boa_offset_applied": False},
         {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}, -0.1),
        ({}, {"raster:scale": 1e-4, "raster:offset": -0.1}, -0.1),
        ({"s2:processing_baseline": "05.09"}, {"raster:bands": [{"scale": 1e-4, "offset": 0}]}, 0.0),
        ({}, {}, 0.0),
    ],
)  # fmt: skip
def test_offset_is_that_of_the_catalogue_or_of_the_baseline(properties, asset, offset):
    assert _find_scale(asset, properties) == (1e-4, offset)


def test_an_offset_is_added(scene, centre, tmp_path):
    write_image(tmp_path, "later", centre, offset=-0.1)
    start = read_scene_pixels(scene).start
    item = make_item("later", start, url=str(tmp_path) + "/", **{"s2:processing_baseline": "05.09"})
    with catalogue([item], tmp_path) as (url, _):
        assert run(scene, tmp_path / "out", url) == 0
    x, y = expected_blue(scene, centre)
    blue = read(scene, tmp_path / "out")["sentinel2_blue"].values
    clear = np.isfinite(blue)
    np.testing.assert_allclose(blue[clear], make_band(x, y)[clear], atol=3.2e-4)


def test_dry_run_lists_images_and_writes_nothing(scene, centre, tmp_path, capsys):
    start = read_scene_pixels(scene).start
    items = [make_item("far", start, hours=-9.0), make_item("near", start)]
    with catalogue(items, tmp_path) as (url, _):
        assert run(scene, tmp_path / "out", url, "--dry_run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["near", "far"]
    assert "5 % cloud, -9.0 h from the scene" in lines[1]
    assert not (tmp_path / "out").exists()


def test_files_of_the_server_are_read_and_a_missing_one_is_named(scene, centre, tmp_path, capsys):
    write_image(tmp_path, "one", centre)
    start = read_scene_pixels(scene).start
    items = []
    with catalogue(items, tmp_path) as (url, _):
        items += [make_item("one", start, url=url), make_item("gone", start, cloud=0.0, url=url)]
        items[1]["assets"]["scl"]["href"] += "?sig=secret"
        assert run(scene, tmp_path / "out", url) == 1
        error = capsys.readouterr().err
        assert "an image cannot be read" in error and "gone_scl.tif" in error
        assert "secret" not in error
        assert (read(scene, tmp_path / "out")["sentinel2_mask"] == CLEAR).any()
        # What is there is kept.
        assert run(scene, tmp_path / "out", url) == 0


def test_token_goes_to_the_catalogue_alone(scene, tmp_path, monkeypatch):
    monkeypatch.setenv("SEAICE_STAC_TOKEN", "abc")
    with catalogue([], tmp_path) as (url, requests):
        assert run(scene, tmp_path / "out", url, "--dry_run") == 0
    assert {headers["Authorization"] for _, _, headers in requests} == {"Bearer abc"}
    image = Image("i", datetime(2024, 1, 1, tzinfo=UTC), 0.0, 0.0, {}, {}, "stac.example.org")
    assert image.is_of_catalogue("https://stac.example.org/a.tif")
    for address in (
        "https://evil.org/a.tif",
        "http://stac.example.org/a.tif",
        "https://stac.example.org.evil.org/",
    ):
        assert not image.is_of_catalogue(address)


def test_no_image_is_left_out_and_says_what_to_widen(scene, tmp_path, capsys):
    with catalogue([], tmp_path) as (url, _):
        assert run(scene, tmp_path / "out", url) == 0
    assert "no image within 12 h and with at most 40 % cloud; widen" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["refused", "no catalogue", "html", "no network"])
def test_what_is_no_catalogue_is_one_line(scene, tmp_path, capsys, kind):
    (tmp_path / "page.html").write_text("<html></html>")
    with catalogue([], tmp_path, status=403 if kind == "refused" else 200) as (url, _):
        address = {"refused": url, "no catalogue": url + "none", "html": url + "page.html"}.get(
            kind, "http://127.0.0.1:9/"
        )
        assert run(scene, tmp_path / "out", address) == 1
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text]
    assert line.startswith(f"error: expected a STAC API at {address}, which cannot be searched")


def test_unknown_bands_are_named(scene, tmp_path, capsys):
    assert (
        script.main(
            ["sentinel2", "--scene", str(scene), "--output_dir", str(tmp_path), "--bands", "B99"]
        )
        != 0
    )
    assert "expected bands among blue, green" in capsys.readouterr().err


def test_addresses_are_written_without_signature_and_account():
    assert hide_query("https://user:word@a.org/b.tif?sig=x#y") == "https://a.org/b.tif"


def test_patches_have_the_bands_and_the_mask_of_their_scene(tmp_path, centre, scene):
    folder = tmp_path / "scenes"
    scenes = scenes_in(folder, scenes=2, test_scenes=0)
    write_image(tmp_path, "one", centre)
    start = read_scene_pixels(scene).start
    bands = {"green": "blue", "red": "nir"}
    item = make_item("one", start, url=str(tmp_path) + "/")
    item["assets"] |= {band: item["assets"][other] for band, other in bands.items()}
    optical, patches = tmp_path / "optical", tmp_path / "patches"
    given = ["--scene", str(scenes[0].path), "--output_dir", str(optical), "--quiet"]
    with catalogue([item], tmp_path) as (url, _):
        assert script.main(["sentinel2", *given, "--catalogue", url]) == 0
    cut = ["patches", "--input_dir", str(folder), "--output_dir", str(patches), "--size", "64"]
    cut += ["--per_scene", "4", "--max_invalid", "0.9", "--quiet"]
    assert script.main([*cut, "--sentinel2", str(optical)]) == 0
    data = read(scenes[0].path, optical)
    rows = read_manifest(patches)
    assert {row.scene for row in rows} == {written.name for written in scenes}
    for row in rows:
        image, _ = read_patch(patches / row.file, 64, inputs="sar+sentinel2")
        assert image.shape == (7, 64, 64)
        if row.scene != scenes[0].name:
            assert not image[2:].any()
            continue
        window = np.s_[row.row : row.row + 64, row.column : row.column + 64]
        clear = data["sentinel2_mask"].values[window] == CLEAR
        assert ((image[6] == 1) == clear).all() and not image[2:6, ~clear].any()
        blue = data["sentinel2_blue"].values[window]
        np.testing.assert_allclose(image[2][clear] * 0.35 + 0.5, blue[clear], atol=1e-5)
    assert count_channels("sar+sentinel2") == 7
    # A scene is cut again when its image has changed, and only then.
    before = {path.name: path.stat().st_mtime_ns for path in patches.glob("*.npz")}
    assert script.main([*cut, "--sentinel2", str(optical)]) == 0
    assert before == {path.name: path.stat().st_mtime_ns for path in patches.glob("*.npz")}
    locate_optical(optical, scenes[0].name).unlink()
    assert script.main([*cut, "--sentinel2", str(optical)]) == 0
    row = next(row for row in rows if row.scene == scenes[0].name)
    image, _ = read_patch(patches / row.file, 64, inputs="sar+sentinel2_mask")
    assert image.shape == (3, 64, 64) and not image[2].any()
    # Patches without optical images lack the array.
    assert script.main([*cut, "--force"]) == 0
    with pytest.raises(InputError, match="expected sentinel2 in a patch"):
        read_patch(patches / row.file, 64, inputs="sar+sentinel2")


def test_prediction_sees_the_bands_of_the_scene(tmp_path, scene, centre):
    write_image(tmp_path, "one", centre)
    start = read_scene_pixels(scene).start
    item = make_item("one", start, url=str(tmp_path) + "/")
    item["assets"] |= {"green": item["assets"]["blue"], "red": item["assets"]["blue"]}
    with catalogue([item], tmp_path) as (url, _):
        given = ["--scene", str(scene), "--output_dir", str(tmp_path), "--quiet", "--catalogue", url]
        assert script.main(["sentinel2", *given]) == 0
    path = locate_optical(tmp_path, scene.stem)
    pixels, cells = read_channels(open_scene(scene), list_channels("hh+sentinel2"), sentinel2=path)
    assert cells is None and len(pixels) == 6
    mask = read(scene, tmp_path)["sentinel2_mask"].values == CLEAR
    np.testing.assert_array_equal(pixels[5], mask)
    pixels, _ = read_channels(open_scene(scene), list_channels("hh+sentinel2"), sentinel2=None)
    assert not np.any(pixels[1:])


def test_an_optical_file_of_another_scene_or_kind_is_refused(tmp_path, scene):
    path = tmp_path / "a_sentinel2.nc"
    path.write_bytes(scene.read_bytes())
    with pytest.raises(InputError, match="a mask of segmentation"):
        read_optical(path, (10, 10))
