"""Zarr groups on servers: https (here http) and s3, read lazily, with one clear line where it fails."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from cubes import small_grid, write_cube
from http_server import Server, closed_port, reset, serve, status
from outside import call, refuse, succeed
from torch.utils.data import DataLoader
from zarr_cubes import add_texts, twin

from seaice import ConsolidatedSICDataset, CubeDataset, CubeFile, InputError
from seaice.flags import Surface
from seaice.open_file.address import Address, hide_secrets, locate

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore:.*multi-threaded.*fork"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
pytest.importorskip("aiohttp")

ROWS, COLUMNS, DAYS = 12, 10, 9
GRID = small_grid(ROWS, COLUMNS)


@pytest.fixture(scope="module")
def cube(tmp_path_factory) -> Path:
    """A small NetCDF cube."""
    values = np.arange(DAYS * ROWS * COLUMNS).reshape(DAYS, ROWS, COLUMNS) / 1200
    surface = np.full((ROWS, COLUMNS), Surface.OCEAN, np.uint8)
    surface[:2, :2] = Surface.LAND
    dates = [f"2024010{day + 1}" for day in range(DAYS)]
    path = tmp_path_factory.mktemp("cube") / "cube.nc"
    return write_cube(path, dates=dates, concentration=values, surface=surface, grid=GRID)


@pytest.fixture(scope="module")
def server():
    with serve() as server:
        yield server


def publish(server: Server, folder: Path, name: str, query: str = "") -> str:
    """Put a folder on the server, and return its address."""
    for file in folder.rglob("*"):
        if file.is_file():
            server.put(f"{name}/{file.relative_to(folder).as_posix()}{query}", file.read_bytes())
    return f"{server.url}{name}{query}"


STORES = ("own", "v3", "v3 without a list", "v2", "v2 without a list")


@pytest.fixture(scope="module")
def folders(cube, tmp_path_factory) -> dict[str, Path]:
    """The cube as Zarr: as consolidate_data.py writes it, and by xarray with and without a list."""
    top = tmp_path_factory.mktemp("zarr")
    folders = {"own": twin(add_texts(cube), top / "own.zarr")}
    with xr.open_dataset(cube) as dataset:
        dataset = dataset.load().drop_vars(["day_reason", "input_file", "input_sha256"])
    for name in STORES[1:]:
        folders[name] = top / f"{name.replace(' ', '_')}.zarr"
        number, is_listed = int(name[1]), "without" not in name
        chunks = {"time": 1, "y": 6, "x": 5}
        encoded = dataset.drop_encoding().chunk(chunks)
        encoded.to_zarr(folders[name], zarr_format=number, consolidated=is_listed)
    return folders


@pytest.mark.parametrize("store", STORES)
def test_a_cube_at_an_address_is_read(cube, folders, server, store):
    address = publish(server, folders[store], f"{store.replace(' ', '_')}/cube.zarr")
    with CubeFile(address) as remote, CubeFile(cube) as local:
        assert str(remote.path) == address
        assert remote.dates == local.dates
        assert remote.grid.same_cells(local.grid)
        np.testing.assert_array_equal(remote.surface, local.surface)
        for part in ((), (slice(2, 9), slice(3, 4))):
            values, expected = remote.concentration(4, *part), local.concentration(4, *part)
            np.testing.assert_allclose(values, expected, atol=1e-6)
            np.testing.assert_array_equal(remote.flags("2024-01-05", *part), local.flags(4, *part))


@pytest.mark.parametrize("store", ["own", "v3", "v2"])
def test_only_the_chunks_asked_for_are_fetched(folders, server, store):
    """Counted on the server: a patch of one day of nine needs one chunk of the concentration."""
    name = f"lazy_{store}/cube.zarr"
    address = publish(server, folders[store], name)
    server.log.clear()
    with CubeFile(address) as cube:
        _ = cube.surface
        opening = {asked.path for asked in server.log}
        assert not any("/sea_ice_conc/c" in path or "/sea_ice_conc/0" in path for path in opening)
        server.log.clear()
        cube.concentration(3, slice(0, 6), slice(0, 5))
        fetched = {asked.path for asked in server.log if asked.status in (200, 206)}
    chunk = {"own": "c.3.0.0", "v3": "c/3/0/0", "v2": "3.0.0"}[store]
    assert fetched == {f"/{name}/sea_ice_conc/{chunk}"}


@pytest.mark.slow
@pytest.mark.parametrize("store, workers", [("own", 0), ("v2", 2)])
def test_batches_come_from_an_address(cube, folders, server, store, workers):
    address = publish(server, folders[store], f"batches_{store}/cube.zarr")
    for context, make in (
        ("fork", lambda place: ConsolidatedSICDataset(place, 20240101, 20240109, 2, 1)),
        (
            "spawn",
            lambda place: CubeDataset({"ice": place}, 20240101, 20240109, 2, 1, returns=("inputs",)),
        ),
    ):
        expected = list(make(cube))
        dataset = make(address)
        loader = DataLoader(
            dataset,
            batch_size=None,
            num_workers=workers,
            multiprocessing_context=context if workers else None,
        )
        for item, right in zip(loader, expected, strict=True):
            one, other = (x["inputs"] if isinstance(x, dict) else x[0] for x in (item, right))
            np.testing.assert_allclose(one, other, atol=1e-6)
        assert pickle.loads(pickle.dumps(dataset)).__class__ is dataset.__class__


@pytest.mark.slow
def test_index_picture_film_and_fill_of_an_address(cube, folders, server, tmp_path):
    address = publish(server, folders["own"], "stages/cube.zarr")
    tables = []
    for number, place in enumerate((cube, address)):
        output = tmp_path / f"{number}.csv"
        succeed("ice_index", "--input_file", place, "--output_csv", output)
        tables.append(output.read_text())
    assert tables[0] == tables[1]
    film, picture = tmp_path / "film.gif", tmp_path / "p.png"
    succeed("ice_index", "--input_file", address, "--animation", film, "--pixels", 150)
    day = ["--date", "20240104", "--dpi", 40, "--output_file"]
    succeed("visualization", "--input_file", address, "--ice_edge", *day, picture)
    flags = ["--variable", "fill_flag", "--force"]
    succeed("visualization", "--input_file", address, *flags, *day, picture)
    filled = tmp_path / "filled.nc"
    options = ["--method", "temporal", "--output_file", filled]
    succeed("fill_gaps", "fill", "--input_file", address, *options)
    with CubeFile(filled) as again, CubeFile(cube) as source:
        np.testing.assert_allclose(again.concentration(2), source.concentration(2), atol=6e-5)


def test_a_replaced_cube_is_noticed(folders, server):
    address = publish(server, folders["v3"], "replaced/cube.zarr")
    dataset = ConsolidatedSICDataset(address, 20240101, 20240109, 2, 1)
    dataset[0]
    dataset.close()
    changed = (folders["v3"] / "zarr.json").read_text().replace("a cube for a test", "another cube")
    server.put("replaced/cube.zarr/zarr.json", changed.encode())
    with pytest.raises(InputError, match="is another cube than before"):
        dataset[0]


def test_a_chunk_is_asked_for_again(folders, server, monkeypatch):
    monkeypatch.setattr("seaice.open_file.address._PAUSE", 0.01)
    address = publish(server, folders["v3"], "again/cube.zarr")
    chunk = "again/cube.zarr/sea_ice_conc/c/3/0/0"
    server.fault(chunk, status(503), reset(3))
    with CubeFile(address) as cube:
        assert np.isfinite(cube.concentration(3, slice(2, 6), slice(0, 5))).all()
    assert len(server.requests_of(chunk)) == 3
    server.fault(chunk, *[status(500)] * 3)
    with CubeFile(address) as cube, pytest.raises(InputError) as error:
        cube.concentration(3)
    assert "sea_ice_conc cannot be read at 2024-01-04" in str(error.value)
    assert "500" in str(error.value)


def check_line(text: str, *words: str) -> None:
    assert "\n" not in text.strip()
    for word in words:
        assert word in text, text


def test_what_is_wrong_with_an_address_is_one_line(folders, server, tmp_path):
    absent = f"{server.url}none/cube.zarr"
    nobody = f"{closed_port()}cube.zarr"
    server.put("page.zarr/zarr.json", b"<!DOCTYPE html><html></html>")
    server.put("array.zarr/zarr.json", b'{"node_type": "array", "zarr_format": 3}')
    publish(server, folders["v3"], "locked/cube.zarr")
    server.fault("locked/cube.zarr/zarr.json", *[status(403)] * 8)
    cases = {
        absent: ("no Zarr group at", "neither zarr.json nor .zgroup"),
        nobody: ("cannot be reached", "check the address and the network"),
        f"{server.url}page.zarr": ("holds no readable Zarr metadata",),
        f"{server.url}array.zarr": ("expected a Zarr group, found no group",),
        f"{server.url}locked/cube.zarr": ("may not be read (403)",),
    }
    for address, words in cases.items():
        with pytest.raises(InputError) as error:
            CubeFile(address)
        check_line(str(error.value), address, *words)
    for stage, output in (("ice_index", "--output_csv"), ("visualization", "--output_file")):
        target = tmp_path / ("a.csv" if stage == "ice_index" else "a.png")
        refuse(stage, "--input_file", absent, output, target, words=[absent, "no Zarr group"])
    for make in (ConsolidatedSICDataset, CubeDataset):
        with pytest.raises(InputError, match="no Zarr group at"):
            make(absent, 20240101, 20240105, 1, 1)


def test_a_server_without_lists_is_asked_for_usual_names_and_says_so(server, tmp_path):
    server.put("odd/cube.zarr/.zgroup", b'{"zarr_format": 2}')
    with pytest.raises(InputError, match="does not list its variables, and neither does the server"):
        CubeFile(f"{server.url}odd/cube.zarr")


def test_logins_and_tokens_are_in_no_text(folders, server, tmp_path, caplog):
    address = publish(server, folders["own"], "secret/cube.zarr", "?token=s3cret")
    address = address.replace("http://", "http://me:pa55@")
    with CubeFile(address) as cube:
        cube.concentration(2)
        assert "s3cret" not in repr(cube) + str(cube.path)
        assert "pa55" not in repr(cube) + str(cube.path) + repr(cube.path)
    output = tmp_path / "i.nc"
    outcome = succeed("ice_index", "--input_file", address, "--output_file", output)
    server.fault("secret/cube.zarr/zarr.json?token=s3cret", *[status(500)] * 9)
    failed = call("ice_index", "--input_file", address, "--output_file", tmp_path / "j.nc")
    assert failed.status == 1
    with xr.open_dataset(output) as dataset:
        texts = outcome.text + failed.text + caplog.text + str(dataset.attrs)
    assert "s3cret" not in texts
    assert "pa55" not in texts


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Path("https://host/a/cube.zarr"), "https://host/a/cube.zarr"),
        ("s3://bucket/cube.zarr/", "s3://bucket/cube.zarr"),
        (Path("s3://bucket/cube.zarr"), "s3://bucket/cube.zarr"),
    ],
)
def test_a_path_does_not_mangle_an_address(place, text):
    located = locate(place)
    assert isinstance(located, Address)
    assert located.root == text
    assert (located.name, located.stem, located.suffix) == ("cube.zarr", "cube", ".zarr")
    assert locate(located) is located


@pytest.mark.parametrize("name", ["cube.nc", "http.nc", "./https/a.zarr", "c:/a.zarr", "a:b.nc"])
def test_a_path_stays_a_path(name):
    assert locate(name) == Path(name)


def test_secrets_are_hidden_within_a_text():
    text = "asked https://me:pw@host/a?sig=1&t=2 and s3://b/c, then (https://h/x?y)"
    assert hide_secrets(text) == "asked https://host/a?... and s3://b/c, then (https://h/x?...)"


def test_a_missing_package_names_its_extra(server, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(InputError, match=re.escape('pip install "seaice-toolbox[remote]"')):
        CubeFile(f"{server.url}x.zarr")


@pytest.mark.slow
def test_a_bucket_is_read_like_a_server(cube, folders, server, monkeypatch):
    """By the S3 protocol, from a server that knows as much of it as reading takes."""
    pytest.importorskip("s3fs")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url.rstrip("/"))
    publish(server, folders["own"], "bucket/cube.zarr")
    with CubeFile("s3://bucket/cube.zarr") as remote, CubeFile(cube) as local:
        np.testing.assert_allclose(remote.concentration(5), local.concentration(5), atol=1e-6)
    with pytest.raises(InputError, match="no Zarr group at s3://bucket/none"):
        CubeFile("s3://bucket/none.zarr")
