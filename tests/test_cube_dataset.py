"""CubeDataset: variables of several files side by side as channels, with missing values marked."""

from __future__ import annotations

import pickle
import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from cubes import small_grid, write_cube
from outside import succeed
from torch.utils.data import DataLoader

from seaice import CubeDataset, DateRange, InputError, measure_channel_statistics
from seaice.flags import Surface
from seaice.freeboard.grid_variables import define_freeboard_variables
from seaice.gridding.file import TimeStep, write_gridded
from seaice.training.channels import list_channels

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")

ROWS, COLUMNS = 12, 10
GRID = small_grid(ROWS, COLUMNS)
DAYS = [date(2020, 2, 27 + n) if n < 3 else date(2020, 3, n - 2) for n in range(8)]  # to 5 March
WEEKS = (
    TimeStep(date(2020, 2, 24), date(2020, 3, 1)),
    TimeStep(date(2020, 3, 2), date(2020, 3, 8)),
)
LAND = np.s_[:2, :3]


def make_ice() -> np.ndarray:
    """Fractions (8, rows, columns), all different, NaN over land and in one cell of the third day."""
    ice = np.arange(8 * ROWS * COLUMNS).reshape(8, ROWS, COLUMNS) / 1000
    ice[:, *LAND] = np.nan
    ice[2, 5, 5] = np.nan
    return ice


def make_freeboard(number: int) -> np.ndarray:
    """Metres of a week along a track; NaN elsewhere."""
    field = np.full((ROWS, COLUMNS), np.nan, np.float32)
    field[np.arange(10), np.arange(10)] = 0.25 + number + np.arange(10, dtype=np.float32) / 64
    return field


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A cube, weekly freeboard on it, daily temperatures from the north, and a depth without time."""
    top = tmp_path_factory.mktemp("files")
    surface = np.full((ROWS, COLUMNS), Surface.OCEAN, np.uint8)
    surface[LAND] = Surface.LAND
    surface[11, 9], surface[11, 8] = Surface.LAKE, Surface.NEVER_ICE
    paths = {"ice": top / "cube.nc"}
    write_cube(paths["ice"], dates=DAYS, concentration=make_ice(), surface=surface, grid=GRID)
    paths["freeboard"] = top / "freeboard.nc"
    write_gridded(
        paths["freeboard"], grid=GRID, steps=WEEKS, variables=define_freeboard_variables("ATL10"),
        fields=lambda number: {"freeboard_mean": make_freeboard(number)}, attributes={},
    )  # fmt: skip
    axes = {
        "y": ("y", GRID.y[::-1] / 1000, {"standard_name": "projection_y_coordinate", "units": "km"}),
        "x": ("x", GRID.x / 1000, {"standard_name": "projection_x_coordinate", "units": "km"}),
    }
    crs = ((), np.int32(0), GRID.to_cf())
    y, x = np.mgrid[:ROWS, :COLUMNS]
    warm = np.stack([250 + number + y / 8 + x / 64 for number in range(8)])
    warm[4, 6, 6] = np.nan
    time = ("time", np.array(DAYS, "M8[ns]") + np.timedelta64(12, "h"))
    paths["warm"] = top / "warm.nc"
    attributes = {"units": "K", "standard_name": "brightness_temperature", "grid_mapping": "crs"}
    xr.Dataset(
        {"t": (("time", "y", "x"), warm[:, ::-1].astype("f4"), attributes), "crs": crs},
        {**axes, "time": time},
    ).to_netcdf(paths["warm"])
    paths["depth"] = top / "depth.zarr"
    depth = xr.Dataset(
        {
            "depth": (("y", "x"), (y * 100.0 + x)[::-1], {"units": "m", "grid_mapping": "crs"}),
            "crs": crs,
        },
        axes,
    )
    depth.to_zarr(paths["depth"], zarr_format=2, consolidated=False)
    return paths


def sources(files: dict[str, Path]) -> dict[str, object]:
    return {**files, "freeboard": (files["freeboard"], "freeboard_mean")}


def dataset_of(files: dict[str, Path], **options) -> CubeDataset:
    return CubeDataset(
        sources(files), DAYS[0], DAYS[-1], **{"input_length": 2, "pred_length": 1} | options
    )


def expected_frames(days: list[int]) -> np.ndarray:
    """All four channels of some days, float32 with NaN."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    frames = []
    for day in days:
        warm = 250 + day + y / 8 + x / 64
        if day == 4:
            warm[6, 6] = np.nan
        week = 0 if DAYS[day] <= WEEKS[0].end else 1
        frames.append([make_ice()[day], make_freeboard(week), warm, y * 100.0 + x])
    return np.array(frames).astype(np.float32)


def test_channels_lie_side_by_side_on_their_days(files):
    dataset = dataset_of(files, targets=["ice"], missing_value=-9)
    assert (dataset.inputs, dataset.targets) == (("ice", "freeboard", "warm", "depth"), ("ice",))
    assert len(dataset) == 6
    assert dataset.dropped == dict.fromkeys(dataset.dropped, 0)
    for number in range(6):
        item = dataset[number]
        frames = expected_frames([number, number + 1])
        assert item["inputs"].shape == (2, 4, ROWS, COLUMNS)
        assert item["inputs"].dtype == torch.float32
        np.testing.assert_allclose(item["inputs"], np.nan_to_num(frames, nan=-9), atol=6e-5)
        np.testing.assert_array_equal(item["input_missing"], np.isnan(frames))
        frames = expected_frames([number + 2])[:, :1]
        np.testing.assert_allclose(item["targets"], np.nan_to_num(frames, nan=-9), atol=6e-5)
        np.testing.assert_array_equal(item["target_missing"], np.isnan(frames))


def test_ocean_is_that_of_the_first_channel_with_a_mask(files):
    dataset = dataset_of(files, returns=("ocean", "dates", "origin"), region=(1, 12, 2, 10))
    item = dataset[1]
    expected = np.ones((11, 8), bool)
    expected[0, 0] = expected[10, 6] = expected[10, 7] = False  # land, lake, never ice
    np.testing.assert_array_equal(item["ocean"][0], expected)
    assert item["dates"].tolist() == [20200228, 20200229, 20200301]
    assert item["origin"].tolist() == [1, 2]
    assert dataset.grid.same_cells(GRID.crop(slice(1, 12), slice(2, 10)))
    alone = CubeDataset(files["warm"], DAYS[0], DAYS[-1], 1, 1, returns=("ocean",))
    assert alone[0]["ocean"].all()


def test_patches_are_parts_of_the_whole(files):
    whole = dataset_of(files, missing_value=np.nan)
    patches = dataset_of(
        files, patch_size=(4, 3), seed=5, smallest_ocean_share=1.0,
        returns=("inputs", "input_missing", "targets", "origin"), missing_value=np.nan,
    )  # fmt: skip
    origins = set()
    for epoch in range(3):
        patches.set_epoch(epoch)
        for number, item in enumerate(patches):
            row, column = item["origin"].tolist()
            cells = (..., slice(row, row + 4), slice(column, column + 3))
            for part in ("inputs", "input_missing", "targets"):
                np.testing.assert_array_equal(item[part], whole[number][part][cells])
            origins.add((row, column))
    assert len(origins) > 5


@pytest.mark.slow
@pytest.mark.parametrize("context, preload", [("fork", True), ("spawn", False)])
def test_workers_change_no_bit(files, context, preload):
    dataset = dataset_of(files, patch_size=6, preload_data=preload, returns=None)
    alone = list(DataLoader(dataset, batch_size=4))  # leaves handles open in this process
    loader = DataLoader(dataset, batch_size=4, num_workers=2, multiprocessing_context=context)
    for one, other in zip(alone, loader, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert torch.equal(one[name], other[name]), name
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again[3]["inputs"], dataset[3]["inputs"])
    plain = dataset_of(files, patch_size=6)
    assert torch.equal(plain[3]["inputs"], dataset[3]["inputs"])
    dataset.close()
    assert torch.equal(plain[2]["inputs"], dataset[2]["inputs"])


def test_statistics_by_channel(files):
    blocks = [DateRange(DAYS[0], DAYS[2]), DateRange(DAYS[5], DAYS[6])]
    statistics = measure_channel_statistics(sources(files), blocks)
    ocean = np.ones((ROWS, COLUMNS), bool)
    ocean[LAND] = ocean[11, 8] = ocean[11, 9] = False
    days = [0, 1, 2, 5, 6]
    values = {
        "ice": make_ice()[days],
        "freeboard": np.stack([make_freeboard(number) for number in range(2)]),
        "warm": expected_frames(days)[:, 2],
        "depth": expected_frames([0])[:, 3],
    }
    for name, stack in values.items():
        cells = np.asarray(stack, np.float64)[:, ocean]
        assert statistics[name].mean == pytest.approx(np.nanmean(cells), rel=1e-4), name
        assert statistics[name].std == pytest.approx(np.nanstd(cells), rel=1e-4), name
        assert statistics[name].cells == np.isfinite(cells).sum()
    dataset = dataset_of(files, statistics={"warm": statistics["warm"]}, missing_value=np.nan)
    plain = dataset_of(files, missing_value=np.nan)
    expected = plain[0]["inputs"].numpy().copy()
    mean, std = np.float32(statistics["warm"].mean), np.float32(statistics["warm"].std)
    expected[:, 2] = (expected[:, 2] - mean) / std
    np.testing.assert_array_equal(dataset[0]["inputs"], expected)
    np.testing.assert_array_equal(dataset[0]["targets"], plain[0]["targets"])


def test_which_windows_are_samples(files, tmp_path):
    strict = dataset_of(files, largest_missing_share={"ice": 0.0})
    assert strict.dropped["missing_cells"] == 3  # the third day lacks a cell
    assert len(strict) == 3
    assert len(dataset_of(files, largest_missing_share={"ice": 0.5, "warm": 0.5})) == 6
    blocks = [DateRange(DAYS[0], DAYS[3]), DateRange(DAYS[4], DAYS[7])]
    assert dataset_of(files, blocks=blocks).dropped["outside_blocks"] == 2
    with xr.open_dataset(files["warm"]) as dataset:
        dataset.isel(time=[0, 1, 2, 3, 5, 6, 7]).to_netcdf(tmp_path / "gap.nc")
    gap = {**files, "warm": tmp_path / "gap.nc"}
    assert dataset_of(gap).dropped["absent_day"] == 3
    kept = dataset_of(gap, keep_absent=True)
    assert len(kept) == 6
    assert kept[3]["input_missing"][1, 2].all()
    np.testing.assert_array_equal(kept[3]["inputs"][0], dataset_of(files)[3]["inputs"][0])
    np.testing.assert_array_equal(kept[3]["inputs"][1, :2], dataset_of(files)[3]["inputs"][1, :2])
    with pytest.raises(InputError, match=r"no sample is left .* in ice, freeboard, warm, depth"):
        dataset_of(files, largest_missing_share=0.0)


def test_all_samples_in_one_array(files):
    dataset = dataset_of(files, targets=["warm", "ice"])
    assert dataset.GetInputs().shape == (6, 2, 4, ROWS, COLUMNS)
    assert dataset.GetTargets().shape == (6, 1, 2, ROWS, COLUMNS)
    assert torch.equal(dataset.GetTargets()[2], dataset[2]["targets"])
    assert dataset.GetTimes()[0].tolist() == [20200227, 20200228, 20200229]
    assert repr(dataset).startswith("CubeDataset(ice, freeboard, warm, depth: 6 samples of 2 input")


def test_lists_are_named_after_variables_and_files(files):
    dataset = CubeDataset(
        [files["ice"], (files["freeboard"], "freeboard_mean")], DAYS[0], DAYS[-1], 1, 1
    )
    assert dataset.inputs == ("cube", "freeboard_mean")
    assert CubeDataset(files["warm"], DAYS[0], DAYS[-1], 1, 1).inputs == ("warm",)


@pytest.mark.slow
def test_filled_fields_load_like_their_inputs(files, tmp_path):
    for name, source in (("ice", files["ice"]), ("warm", files["warm"])):
        for ending in ("nc", "zarr"):
            output = tmp_path / f"{name}.{ending}"
            options = ["--method", "linear", "--output_file", output]
            succeed("fill_gaps", "fill", "--input_file", source, *options)
            filled = CubeDataset(output, DAYS[0], DAYS[-1], 1, 1, missing_value=-9)
            plain = CubeDataset(source, DAYS[0], DAYS[-1], 1, 1, missing_value=-9)
            for number in range(len(plain)):
                values, expected = filled[number]["inputs"], plain[number]["inputs"]
                observed = ~plain[number]["input_missing"] & torch.from_numpy(plain.ocean)
                np.testing.assert_allclose(values[observed], expected[observed], atol=1e-6)
            ocean = torch.from_numpy(plain.ocean)
            missing = [(one.GetInputs() == -9)[..., ocean].sum() for one in (plain, filled)]
            assert missing[0] > 0
            assert missing[1] == 0


def test_channels_on_other_cells_are_refused(files, tmp_path):
    with xr.open_dataset(files["warm"]) as dataset:
        moved = dataset.assign_coords(x=("x", dataset.x.values + 25, dataset.x.attrs))
        moved.to_netcdf(tmp_path / "moved.nc")
    with pytest.raises(InputError) as error:
        dataset_of({**files, "warm": tmp_path / "moved.nc"})
    text = str(error.value)
    assert "moved.nc lies on" in text
    assert "other cells than ice of" in text
    assert "\n" not in text


REFUSED = {
    "nothing": ({}, "expected channels as paths, pairs"),
    "a number": ([3], "expected a path or (path, variable) for a channel, found 3"),
    "same names": (["a/x.nc", "b/x.nc"], "two channels are called x; give names"),
    "absent": (["none.nc"], "no such file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_channels_that_cannot_be(case):
    channels, message = REFUSED[case]
    with pytest.raises(InputError, match=re.escape(message)):
        CubeDataset(channels, 20200101, 20200105, 1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ["sea"]}, "expected targets as a list out of ice, freeboard, warm, depth"),
        ({"inputs": "ice"}, "expected inputs as a list out of"),
        ({"statistics": {"sea": None}}, "expected statistics by channel, out of ice"),
        ({"largest_missing_share": {"sea": 1}}, "expected largest_missing_share by channel"),
        (
            {"returns": ["input_flags"]},
            "expected returns as a list out of inputs, targets, input_missing",
        ),
    ],
)
def test_options_that_cannot_be(files, options, message):
    with pytest.raises(InputError, match=message):
        dataset_of(files, **options)


def test_two_maps_of_a_day_are_refused(files, tmp_path):
    with xr.open_dataset(files["warm"]) as dataset:
        twice = xr.concat([dataset, dataset.isel(time=[3])], "time", data_vars="minimal")
        twice.to_netcdf(tmp_path / "twice.nc")
    with pytest.raises(InputError, match=r"two maps of warm of .*twice\.nc hold for 2020-03-01"):
        dataset_of({**files, "warm": tmp_path / "twice.nc"})


def test_a_file_that_was_replaced_is_refused(files, tmp_path):
    path = tmp_path / "warm.nc"
    path.write_bytes(files["warm"].read_bytes())
    dataset = CubeDataset(path, DAYS[0], DAYS[-1], 1, 1)
    dataset[0]
    dataset.close()
    path.unlink()
    with xr.open_dataset(files["warm"]) as warm:
        (warm + 1).to_netcdf(path)
    with pytest.raises(InputError, match="another cube than before"):
        dataset[0]


def test_names_of_channels():
    listed = list_channels({"a": "x.nc", "b": ("y.nc", "t")})
    assert [(c.name, c.path.name, c.variable) for c in listed] == [
        ("a", "x.nc", None),
        ("b", "y.nc", "t"),
    ]
