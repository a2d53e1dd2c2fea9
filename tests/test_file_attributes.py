"""Global attributes of what the stages write: source, creator, command line, bounds."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest
import xarray as xr
from days import make_folder

from seaice import cf
from seaice.commands import consolidate_data, create_mask
from seaice.cube.file import CubeFile
from seaice.grids import get_grid


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A mask and a cube of simulated days, and one of days that do not say that they are simulated."""
    folder = tmp_path_factory.mktemp("made")
    make_folder(folder / "in", days=4, absent=())
    days = ["--start_date", "20240101", "--end_date", "20240104"]
    mask = ["--source_dir", str(folder / "in"), *days, "--output_file", str(folder / "mask.nc")]
    assert create_mask.main(mask) == 0
    cube = ["--land_mask_file", str(folder / "mask.nc"), "--output_file", str(folder / "cube.nc")]
    words = ["--source_dir", str(folder / "in"), *days, *cube, "--creator", "A. Uthor <a@example.org>"]
    assert consolidate_data.main(words) == 0
    return folder


def unmark(folder):
    """Let simulated days look as those of the archive."""
    for path in folder.glob("asi-*.nc"):
        with netCDF4.Dataset(path, "r+") as dataset:
            dataset.info = dataset.author = dataset.title = "daily file"


def test_simulated_days_make_simulated_files(made, tmp_path):
    for name in ("mask.nc", "cube.nc"):
        with netCDF4.Dataset(made / name) as dataset:
            assert dataset.source == (
                "simulated daily sea ice concentration grids (seaice.simulate), no observation"
            )
            for attribute in dataset.ncattrs():
                assert "Bremen" not in str(dataset.getncattr(attribute))
    make_folder(tmp_path / "in", days=6, absent=())
    unmark(tmp_path / "in")
    words = ["--source_dir", str(tmp_path / "in"), "--output_file", str(tmp_path / "cube.nc")]
    first = [*words, "--start_date", "20240101", "--end_date"]
    assert consolidate_data.main([*first, "20240103"]) == 0
    with CubeFile(tmp_path / "cube.nc") as cube:
        assert "University of Bremen" in cube.attributes["source"]
        assert "simulated" not in cube.attributes["source"]
    make_folder(tmp_path / "more", days=6, absent=(0, 1, 2))
    for path in (tmp_path / "more").iterdir():
        path.replace(tmp_path / "in" / path.name)
    assert consolidate_data.main([*first, "20240106", "--append"]) == 0
    with CubeFile(tmp_path / "cube.nc") as cube:
        assert "University of Bremen; simulated" in cube.attributes["source"]


def test_history_is_the_command_line(made):
    with netCDF4.Dataset(made / "cube.nc") as dataset:
        assert f" --source_dir {made / 'in'} --start_date 20240101" in dataset.history
        assert (dataset.creator_name, dataset.creator_email) == ("A. Uthor", "a@example.org")
        for name in ("keywords", "license", "processing_level", "date_created", "geospatial_bounds"):
            assert dataset.getncattr(name)
        assert 80 < dataset.geospatial_lat_min < dataset.geospatial_lat_max == 90
    with cf.record_command(["x.py", "--base_url", "https://me:secret@host/a"]):
        assert cf.format_history("stage", {}).endswith("x.py --base_url https://host/a")
    assert cf.format_history("stage", {"a": 1}).endswith(" stage(a=1)")


def test_bounds_across_180_degrees():
    grid = get_grid("n25000").crop(slice(300, 340), slice(10, 60))
    bounds, (longitude, latitude) = cf.describe_bounds(grid), grid.longitude_latitude()
    east = longitude[longitude > 0].min(), longitude[longitude < 0].max()
    assert bounds["geospatial_lon_min"] == pytest.approx(east[0], abs=0.5)
    assert bounds["geospatial_lon_max"] == pytest.approx(east[1], abs=0.5)
    assert bounds["geospatial_lat_min"] == pytest.approx(latitude.min(), abs=0.3)
    assert bounds["geospatial_lat_max"] == pytest.approx(latitude.max(), abs=0.3)


def test_xarray_opens_single_precision(made):
    """With a scale in double it would open values of twice the size; ours stay the same bits."""
    with xr.open_dataset(made / "cube.nc") as dataset, CubeFile(made / "cube.nc") as cube:
        assert dataset.sea_ice_conc.dtype == np.float32
        assert dataset.sea_ice_conc_error.dtype == np.float32
        np.testing.assert_array_equal(dataset.sea_ice_conc, cube.concentration(slice(None)))
        with netCDF4.Dataset(made / "cube.nc") as raw:
            raw.set_auto_maskandscale(False)
            packed = raw["sea_ice_conc"][:]
        values = np.where(packed == -32768, np.nan, packed * np.float32(0.0001))
        np.testing.assert_array_equal(cube.concentration(slice(None)), values)
