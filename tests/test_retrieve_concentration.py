"""retrieve_concentration.py: swaths of known concentration to daily grids, and what cannot be used."""

import os
from dataclasses import replace
from datetime import UTC, date, datetime

import netCDF4
import numpy as np
import pytest
import swaths
from pyproj import Transformer

import grid_swaths
import retrieve_concentration
from seaice.grids import parse_grid
from seaice.retrieval.days.grid_day import DayFlag, DaySums, PassSums
from seaice.retrieval.days.stage import is_extrapolated
from seaice.retrieval.swath import Concentration, SwathConcentration
from seaice.retrieval.tie_points import PACKAGED, find_packaged_tie_points
from seaice.sources.amsr2.swath import Positions, Swath

DAY = date(2020, 3, 1)
MIDNIGHT = datetime(2020, 3, 1, tzinfo=UTC).timestamp()
# Between the pole and the Beaufort Sea: no land within 500 km.
WEST, SOUTH = -900_000, 300_000
GRID_TEXT = f"EPSG:3411:12500:{WEST},{SOUTH},{WEST + 500_000},{SOUTH + 500_000}"
GRID = parse_grid(GRID_TEXT)
CHANNELS = [f"{ghz}{p}" for ghz in ("18.7", "23.8", "36.5", "89A") for p in "VH"]
TIE_POINTS = find_packaged_tie_points("AMSR2", "north")
POLAR = Transformer.from_crs(GRID.crs.geodetic_crs, GRID.crs, always_xy=True)


def lay_pixels(scans, pixels, *, spacing=10_000, across=10_000, turn=0.3, shift=(0.0, 0.0)):
    """Positions of a turned lattice about the middle of the grid; x, y, latitude, longitude."""
    along, beside = np.meshgrid(
        (np.arange(scans) - (scans - 1) / 2) * spacing,
        (np.arange(pixels) - (pixels - 1) / 2) * across,
        indexing="ij",
    )
    x = WEST + 250_000 + shift[0] + np.cos(turn) * beside - np.sin(turn) * along
    y = SOUTH + 250_000 + shift[1] + np.sin(turn) * beside + np.cos(turn) * along
    longitude, latitude = POLAR.transform(x, y, direction="INVERSE")
    return x, y, latitude.astype(np.float32), longitude.astype(np.float32)


def slope(x, y):
    """Concentration that rises from 0.3 to 0.8 over the grid."""
    return 0.3 + 0.5 * (x - WEST) / 500_000


def make_swath(number=0, *, truth=slope, scans=60, channels=CHANNELS, start=MIDNIGHT + 3600, **how):
    """A swath whose temperatures are exact mixtures of the tie points of its day."""
    signatures = TIE_POINTS.choose(datetime.fromtimestamp(start, UTC).date())
    counts, positions = {}, {}
    for channel in channels:
        doubled = channel.startswith("89A")
        x, y, latitude, longitude = lay_pixels(
            scans, 122 if doubled else 61, across=5000 if doubled else 10_000, **how
        )
        ice = truth(x, y)
        k = signatures.channels.index(channel.replace("A", ""))
        kelvin = (1 - ice) * signatures.water.mean[k] + ice * signatures.ice.mean[k]
        counts[channel] = np.rint(100 * kelvin).astype(np.uint16)
        frequency = "89A" if doubled else channel[:-1]
        positions[frequency] = Positions(latitude, longitude, "co-registration")
    return Swath(
        counts=counts,
        scale_factors=dict.fromkeys(channels, 0.01),
        positions=positions,
        scan_times=start + 1.5 * np.arange(scans),
        granule_id=f"GW1AM2_{datetime.fromtimestamp(start, UTC):%Y%m%d%H%M}_001"
        f"{'AD'[number % 2]}_L1SGBTBR_2220220",
        orbit_type="AD"[number % 2],
        details={"product_version": "2"},
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Three passes of two days; the second crosses midnight."""
    path = tmp_path_factory.mktemp("archive") / "AMSR2_swaths_20200301_010000_to_20200302_020000.h5"
    passes = [
        make_swath(0),
        make_swath(1, start=MIDNIGHT + 86400 - 45, turn=1.2),
        make_swath(2, start=MIDNIGHT + 86400 + 7200, turn=-0.4, scans=50),
    ]
    return swaths.write(path, passes)


def run(source, folder, *words, grid=GRID_TEXT):
    given = ["--grid", grid] if grid else []
    argv = ["--input", source, "--output_dir", folder, *given, *words]
    return retrieve_concentration.main([str(word) for word in argv])


def fields(path):
    with netCDF4.Dataset(path) as dataset:
        return {
            name: np.ma.filled(variable[0].astype(np.float64), np.nan)
            for name, variable in dataset.variables.items()
            if variable.dimensions == ("time", "y", "x")
        }


def make_part(concentration, *, error=0.05, status=0, misfit=0.5, **places):
    """Concentration of cells, or of pixels where positions and times are given."""
    concentration = np.asarray(concentration, np.float32)
    full = [np.full(concentration.shape, value, np.float32) for value in (error, misfit, 0)]
    values = {
        "concentration": concentration,
        "standard_error": full[0],
        "misfit": full[1],
        "status": np.full(concentration.shape, status, np.uint8),
        "land": full[2],
        "base": concentration,
    }
    return SwathConcentration(**values, **places) if places else Concentration(**values)


def lay_part(concentration, **how):
    concentration = np.asarray(concentration)
    _, _, latitude, longitude = lay_pixels(*concentration.shape, **how)
    times = MIDNIGHT + 1.5 * np.arange(len(concentration))
    return make_part(concentration, latitude=latitude, longitude=longitude, time=times)


def grid_pass(part, grid=GRID):
    sums = DaySums(PassSums(grid, 4), MIDNIGHT)
    assert sums.add(part)
    return sums.finish()


# --- a pass on the grid -------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [3125, 6250, 12500, 25000])
def test_a_slope_stays_a_slope_without_holes(step):
    """Wherever a pass covers a cell there is a value, and it is the mean of the slope over the cell."""
    grid = parse_grid(GRID_TEXT.replace("12500", str(step)))
    x, y, *_ = lay_pixels(30, 25)
    day = grid_pass(lay_part(slope(x, y)), grid)
    columns, rows = np.meshgrid(grid.x - WEST - 250_000, grid.y - SOUTH - 250_000)
    beside = np.cos(0.3) * columns + np.sin(0.3) * rows
    along = -np.sin(0.3) * columns + np.cos(0.3) * rows
    reach = step * 0.75
    inside = (abs(beside) < 120_000 - reach) & (abs(along) < 145_000 - reach)
    outside = (abs(beside) > 125_000 + reach) | (abs(along) > 150_000 + reach)
    assert inside.sum() > 50
    assert np.isfinite(day.concentration[inside]).all()
    assert np.isnan(day.concentration[outside]).all()
    # A pixel reaches half way to the next one, at the edges too.
    at_edge = (abs(beside) < 124_500) & (abs(along) < 149_500)
    assert step > 6250 or np.isfinite(day.concentration[at_edge]).all()
    expected = slope(*np.meshgrid(grid.x, grid.y))
    np.testing.assert_allclose(day.concentration[inside], expected[inside], atol=2e-4)
    assert (day.passes[inside] == 1).all() and (day.passes[outside] == 0).all()


def test_a_lost_pixel_is_bridged_and_lost_scans_are_not():
    values = np.full((30, 25), 0.5, np.float32)
    whole = np.isfinite(grid_pass(lay_part(values)).concentration)
    values[10, 10] = np.nan
    one = np.isfinite(grid_pass(lay_part(values)).concentration)
    assert (one == whole).all()
    part = lay_part(np.full((30, 25), 0.5))
    latitude = part.latitude.copy()
    latitude[12:15] = np.nan
    lost = np.isfinite(grid_pass(replace(part, latitude=latitude)).concentration)
    # Five pixels of 100 square kilometres a column less, in cells of 156.
    assert whole.sum() - lost.sum() == pytest.approx(25 * 4 * 100 / 156, rel=0.25)
    spread = lay_part(np.full((30, 25), 0.5), spacing=30_000, shift=(0, 0))
    assert not DaySums(PassSums(GRID, 4), MIDNIGHT).add(spread), "neighbours of a pass lie nearer"


def test_no_seam_at_the_edge_of_longitudes():
    grid = parse_grid("EPSG:4326:0.25:-180,80,180,88")
    latitude, longitude = np.meshgrid(np.arange(82, 86, 0.08), np.arange(176, 184, 0.4), indexing="ij")
    part = make_part(
        (latitude - 82) / 4,
        latitude=latitude.astype(np.float32),
        longitude=((longitude + 180) % 360 - 180).astype(np.float32),
        time=MIDNIGHT + np.arange(len(latitude)),
    )
    day = grid_pass(part, grid)
    has_value = np.isfinite(day.concentration)
    rows = (grid.y > 82.2) & (grid.y < 85.6)
    columns = (grid.x > 176.2) | (grid.x < -176.8)
    assert has_value[np.ix_(rows, columns)].all()
    assert not has_value[:, abs(grid.x) < 175].any()
    expected = np.broadcast_to((grid.y[rows, None] - 82) / 4, (rows.sum(), columns.sum()))
    np.testing.assert_allclose(day.concentration[np.ix_(rows, columns)], expected, atol=1e-3)


def test_passes_are_weighed_by_their_variance():
    """By hand: errors 0.1 and 0.05 weigh 1 to 4; NaN counts for no pass.

    The two cells of 12.5 km differ by 1, of which 1 / sqrt(12.5) is an error of both.
    """
    grid = parse_grid(f"EPSG:3411:12500:{WEST},{SOUTH},{WEST + 25_000},{SOUTH + 12_500}")
    sums = DaySums(PassSums(grid, 4), MIDNIGHT)
    hours = np.full((1, 2), 6, np.float32)
    sums.add_cells(make_part([[0.5, np.nan]], error=0.1, status=1), hours)
    sums.add_cells(make_part([[1.0, -0.1]], error=0.05), hours + 6)
    day = sums.finish()
    np.testing.assert_allclose(day.concentration, [[0.9, -0.1]], rtol=1e-6)
    expected = np.hypot([[0.05 / np.sqrt(1.25), 0.05]], (0.9 + 0.1) / np.sqrt(12.5))
    np.testing.assert_allclose(day.standard_error, expected, rtol=1e-6)
    np.testing.assert_allclose(day.hours, [[10.8, 12]], rtol=1e-6)
    assert day.passes.tolist() == [[2, 1]]
    # One fifth of the weight is open water: the cell is not.
    assert day.status.tolist() == [[0, 0]]
    sums.add_cells(make_part([[0.5, np.nan]], error=0.05, status=1), hours)
    day = sums.finish()
    assert day.status.tolist() == [[DayFlag.OPEN_WATER, 0]]
    np.testing.assert_array_equal(day.filtered, [[0, 0]])
    empty = DaySums(PassSums(grid, 4), MIDNIGHT).finish()
    assert np.isnan(empty.filtered).all() and np.isnan(empty.standard_error).all()


def test_without_errors_every_pass_counts_alike():
    grid = parse_grid(f"EPSG:3411:12500:{WEST},{SOUTH},{WEST + 12_500},{SOUTH + 12_500}")
    sums = DaySums(PassSums(grid, 4), MIDNIGHT)
    for value in (0.2, 0.4, 0.9):
        sums.add_cells(make_part([[value]], error=np.nan), np.zeros((1, 1)))
    day = sums.finish()
    assert day.concentration[0, 0] == pytest.approx(0.5) and np.isnan(day.standard_error[0, 0])


# --- days ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def days(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sic")
    assert run(archive, folder, "--footprint", "20") == 0
    return folder


def test_days_of_known_concentration(days):
    names = [path.name for path in sorted(days.iterdir())]
    assert names == [f"sic-AMSR2-{GRID.id}-2020030{n}-v0.1.nc" for n in (1, 2)]
    day = fields(days / names[0])
    expected = 100 * slope(*np.meshgrid(GRID.x, GRID.y))
    middle = np.zeros(GRID.shape, bool)
    middle[15:25, 15:25] = True
    assert np.isfinite(day["sea_ice_conc"][middle]).all()
    assert abs(day["sea_ice_conc"] - expected)[middle].max() < 1
    np.testing.assert_array_equal(day["sea_ice_conc"][middle], day["sea_ice_conc_raw"][middle])
    assert (day["number_of_passes"][middle] >= 1).all()
    assert ((day["sea_ice_conc_error"] > 0.5) & (day["sea_ice_conc_error"] < 10))[middle].all()
    assert (day["misfit"][middle] < 0.1).all()
    status = day["status_flag"].astype(int)
    assert (status[middle] & DayFlag.TIE_POINTS_PACKAGED > 0).all()
    assert (status[middle] & (DayFlag.OPEN_WATER | DayFlag.LAND) == 0).all()
    with netCDF4.Dataset(days / names[0]) as dataset:
        assert dataset.algorithm == "base" and dataset.sensor == "AMSR2"
        assert dataset.tie_point_digest == TIE_POINTS.digest
        assert len(dataset.input_granules.split()) == 2
        assert dataset["status_flag"].flag_meanings.split()[:2] == ["open_water", "land_corrected"]
        assert len(dataset["status_flag"].flag_masks) == len(DayFlag)


def test_scans_belong_to_their_day(days):
    """The pass over midnight lies in both days, no scan of it twice."""
    first, second = (fields(path)["number_of_passes"] for path in sorted(days.iterdir()))
    # 60 x 61 pixels of 100 square kilometres twice, 50 x 61 once, in cells of 156.
    assert (first >= 1).sum() > 1000 and (second >= 1).sum() > 1000
    first_time, second_time = (fields(path)["mean_time"] for path in sorted(days.iterdir()))
    assert np.nanmin(first_time) >= 1 and np.nanmax(first_time) < 24
    assert np.nanmin(second_time) >= 0 and np.nanmax(second_time) < 2.1


def test_water_is_zero_and_flagged_and_never_missing(tmp_path):
    path = swaths.write(tmp_path / "a.h5", [make_swath(truth=lambda x, y: 0.03 + 0.0 * x)])
    assert run(path, tmp_path / "out", "--footprint", "20") == 0
    day = fields(next((tmp_path / "out").iterdir()))
    has_pass = day["number_of_passes"] > 0
    assert has_pass.sum() > 1000
    assert (day["sea_ice_conc"][has_pass] == 0).all()
    assert np.isnan(day["sea_ice_conc"][~has_pass]).all()
    assert abs(day["sea_ice_conc_raw"][has_pass] - 3).max() < 1
    assert (day["status_flag"][has_pass].astype(int) & DayFlag.OPEN_WATER > 0).all()


def test_several_algorithms_stand_side_by_side(archive, tmp_path):
    words = ["--algorithm", "base_6", "asi", "--end_date", "20200301"]
    assert run(archive, tmp_path, *words) == 0
    (path,) = tmp_path.iterdir()
    day = fields(path)
    assert {"sea_ice_conc", "sea_ice_conc_asi"} <= day.keys() and "sea_ice_conc_base_6" not in day
    middle = day["sea_ice_conc_asi"][15:25, 15:25]
    assert np.isfinite(middle).all() and (middle != day["sea_ice_conc"][15:25, 15:25]).any()
    with netCDF4.Dataset(path) as dataset:
        assert dataset.algorithm == "base_6"


def test_the_same_command_again_makes_only_what_is_new(archive, tmp_path, capsys):
    words = ["--footprint", "20", "--end_date", "20200301"]
    assert run(archive, tmp_path, *words) == 0
    (path,) = tmp_path.iterdir()
    os.utime(path, (0, 0))
    assert run(archive, tmp_path, *words) == 0
    assert path.stat().st_mtime == 0 and "already there" in capsys.readouterr().out
    assert run(archive, tmp_path, *words, "--algorithm", "base_6") == 0
    assert path.stat().st_mtime > 0, "other settings, another file"


def test_results_do_not_depend_on_the_order_of_inputs(archive, days, tmp_path):
    parts = []
    for number, swath in enumerate([make_swath(0), make_swath(1, start=MIDNIGHT + 86355, turn=1.2)]):
        parts.append(swaths.write(tmp_path / f"{1 - number}.h5", [swath]))
    argv = ["--input", *parts, "--grid", GRID_TEXT, "--footprint", "20", "--end_date", "20200301"]
    assert retrieve_concentration.main([*map(str, argv), "--output_dir", str(tmp_path / "out")]) == 0
    (path,) = (tmp_path / "out").iterdir()
    for name, field in fields(path).items():
        np.testing.assert_array_equal(field, fields(days / path.name)[name], err_msg=name)


@pytest.mark.slow
def test_results_do_not_depend_on_workers(archive, days, tmp_path):
    assert run(archive, tmp_path, "--footprint", "20", "--workers", "2") == 0
    for path in days.iterdir():
        for name, field in fields(path).items():
            np.testing.assert_array_equal(field, fields(tmp_path / path.name)[name], err_msg=name)


def test_land_is_missing_on_every_day(tmp_path):
    """By the coastline, and by a mask where one is given."""
    mask_file = write_mask(tmp_path / "mask.nc", GRID)
    path = swaths.write(tmp_path / "a.h5", [make_swath(scans=80)])
    assert run(path, tmp_path / "out", "--footprint", "20", "--land_mask_file", mask_file) == 0
    day = fields(next((tmp_path / "out").iterdir()))
    assert (
        np.isnan(day["sea_ice_conc"][:, :10]).all() and np.isnan(day["sea_ice_conc_raw"][:, :10]).all()
    )
    assert (day["status_flag"][:, :10] == DayFlag.LAND).all()
    assert (day["status_flag"][:, 10:].astype(int) & DayFlag.LAND == 0).all()
    assert np.isfinite(day["sea_ice_conc"][20, 10:30]).all()


def write_mask(path, grid):
    """A mask whose first ten columns are land."""
    from seaice.masking.land_mask import write_mask as write
    from seaice.masks import Mask

    surface = np.zeros(grid.shape, np.uint8)
    surface[:, :10] = 1
    mask = Mask(surface, surface.astype(np.float32), grid)
    write(path, mask, {}, {"source": "a test", "references": "none"})
    return path


def test_false_ice_along_shores_is_removed_if_asked_for(tmp_path):
    """Ice within 12.5 km of the land, open water behind: it becomes water."""
    edge = WEST + 125_000
    truth = lambda x, y: 0.5 * (x < edge + 12_500)  # noqa: E731
    path = swaths.write(tmp_path / "a.h5", [make_swath(truth=truth, scans=80)])
    mask_file = write_mask(tmp_path / "mask.nc", GRID)
    words = ["--footprint", "20", "--land_mask_file", mask_file]
    assert run(path, tmp_path / "kept", *words) == 0
    assert run(path, tmp_path / "removed", *words, "--remove_land_spillover") == 0
    kept, removed = (fields(next((tmp_path / n).iterdir())) for n in ("kept", "removed"))
    changed = kept["sea_ice_conc"] != removed["sea_ice_conc"]
    changed &= np.isfinite(kept["sea_ice_conc"])
    flagged = removed["status_flag"].astype(int) & DayFlag.LAND_SPILLOVER > 0
    assert changed.any() and (flagged == changed).all()
    assert np.flatnonzero(changed.any(axis=0)).max() <= 11
    assert (removed["sea_ice_conc"][changed] == 0).all()


def test_a_day_without_a_swath_has_no_file_and_a_line(archive, tmp_path, capsys):
    words = ["--start_date", "20200228", "--end_date", "20200303", "--footprint", "20"]
    assert run(archive, tmp_path, *words) == 0
    err = capsys.readouterr().err
    for day in ("2020-02-28", "2020-02-29", "2020-03-03"):
        assert f"left out: {day}: no swath" in err
    assert len(list(tmp_path.iterdir())) == 2


def test_seasons_of_tie_points_and_of_melt(tmp_path):
    assert not is_extrapolated(TIE_POINTS, date(2021, 11, 1))
    assert is_extrapolated(TIE_POINTS, date(2021, 5, 1))
    south = find_packaged_tie_points("AMSR2", "south")
    assert not any(is_extrapolated(south, date(2021, month, 1)) for month in range(1, 13))
    days = {"pixels": 500, "first_day": "2021-04-20", "last_day": "2021-05-10"}
    refreshed = {f"{surface}_refreshed": days for surface in ("water", "ice")}
    points = replace(TIE_POINTS, origin={**TIE_POINTS.origin, **refreshed})
    assert not is_extrapolated(points, date(2021, 5, 1)), "the days of the swaths count as well"
    assert is_extrapolated(points, date(2021, 6, 20))
    july = datetime(2020, 7, 1, 3, tzinfo=UTC).timestamp()
    path = swaths.write(tmp_path / "a.h5", [make_swath(start=july)])
    assert run(path, tmp_path / "out", "--footprint", "20") == 0
    status = fields(next((tmp_path / "out").iterdir()))["status_flag"][15:25, 15:25].astype(int)
    assert (status & DayFlag.SUMMER_MELT > 0).all()
    assert (status & DayFlag.TIE_POINTS_EXTRAPOLATED > 0).all()


def test_single_passes_as_files(archive, tmp_path):
    assert run(archive, tmp_path / "out", "--footprint", "20", "--swath_dir", tmp_path / "passes") == 0
    paths = sorted((tmp_path / "passes").iterdir())
    assert len(paths) == 3 and paths[0].name.startswith("sic-AMSR2-swath-GW1AM2_202003010100")
    with netCDF4.Dataset(paths[0]) as dataset:
        assert dataset["ice_conc"].standard_name == "sea_ice_area_fraction"
        x, y = POLAR.transform(dataset["lon"][:], dataset["lat"][:])
        inner = (slice(10, -10), slice(10, -10))
        error = dataset["ice_conc"][:] - 100 * slope(x, y)
        assert abs(error[inner]).max() < 1
        assert dataset["time"][0] == MIDNIGHT + 3600
        assert "20200301" in dataset.input_granules


def test_single_passes_are_made_once(archive, tmp_path):
    def make(*words):
        folder = tmp_path / "passes"
        assert run(archive, tmp_path / "out", "--swath_dir", folder, *words) == 0
        return {path.name: path.stat().st_mtime_ns for path in sorted(folder.iterdir())}

    first = make("--footprint", "20")
    assert make("--footprint", "20") == first
    *others, last = first
    (tmp_path / "passes" / last).unlink()
    again = make("--footprint", "20")
    assert again.keys() == first.keys() and again[others[0]] == first[others[0]]
    assert all(time > first[name] for name, time in make("--footprint", "9").items())


def make_resampled(swath):
    """The swath as one of Level 1R: all channels at common footprints and places."""
    counts = {}
    for channel, values in swath.counts.items():
        if channel.startswith("89A"):
            counts[f"res23-89{channel[-1]}"] = counts[f"res36-89{channel[-1]}"] = values[:, ::2]
        else:
            counts[f"res23-{channel}"] = values
            if channel.startswith("36.5"):
                counts[f"res36-{channel}"] = values
    return replace(
        swath,
        counts=counts,
        scale_factors=dict.fromkeys(counts, 0.01),
        positions={"resampled": swath.positions["36.5"]},
        granule_id=swath.granule_id.replace("L1SGBTBR", "L1SGRTBR"),
    )


def test_swaths_of_level_1r(tmp_path):
    path = swaths.write(tmp_path / "a.h5", [make_resampled(make_swath())])
    assert run(path, tmp_path / "out") == 0
    day = fields(next((tmp_path / "out").iterdir()))
    error = day["sea_ice_conc"] - 100 * slope(*np.meshgrid(GRID.x, GRID.y))
    assert abs(error[15:25, 15:25]).max() < 2


@pytest.mark.slow
def test_the_second_horn_fills_the_scans_of_the_first(tmp_path):
    """89 GHz of horn B lies half a scan on: both are read from granules and are in step."""
    from seaice.simulate import list_simulated_granules, write_granule

    start = datetime(2020, 3, 1, 12, tzinfo=UTC)
    (granule, *_) = (
        g for g in list_simulated_granules(start, start.replace(hour=16)) if not g.ascending
    )
    write_granule(tmp_path / "l1b", granule, scans=30, overlap=2)
    words = ["--footprint", "4", "--swath_dir", tmp_path / "p"]
    assert run(tmp_path / "l1b", tmp_path / "out", *words, grid="n25000") == 0
    with netCDF4.Dataset(next((tmp_path / "p").iterdir())) as dataset:
        assert dataset["lat"].shape == (60, 486)


# --- gridded temperatures -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def temperatures(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tb")
    words = ["--input", str(archive), "--output_dir", str(folder), "--grid", GRID_TEXT]
    assert grid_swaths.main(words) == 0
    return folder


def test_gridded_temperatures(temperatures, tmp_path):
    assert run(temperatures, tmp_path, "--footprint", "20", grid=None) == 0
    paths = sorted(tmp_path.iterdir())
    assert [path.name for path in paths] == [f"sic-AMSR2-{GRID.id}-2020030{n}-v0.1.nc" for n in (1, 2)]
    day = fields(paths[0])
    expected = 100 * slope(*np.meshgrid(GRID.x, GRID.y))
    has_value = np.isfinite(day["sea_ice_conc"])
    assert has_value[15:25, 15:25].mean() > 0.9
    assert abs(day["sea_ice_conc"] - expected)[has_value].max() < 4
    assert np.nanmin(day["mean_time"]) > 0 and np.nanmax(day["mean_time"]) < 24


def test_gridded_temperatures_that_cannot_be_used(temperatures, archive, tmp_path, capsys):
    def refuse(*words, source=temperatures, grid=None):
        assert run(source, tmp_path / "out", *words, grid=grid) == 1
        assert not list((tmp_path / "out").glob("*"))
        return capsys.readouterr().err

    assert "expected temperatures on" in refuse(grid="n12500")
    assert "expected the channels 6.9V" in refuse("--algorithm", "base_12")
    assert "--swath_dir needs swaths" in refuse("--swath_dir", tmp_path / "p")
    counts = tmp_path / "counts" / "AMSR2_TB_custom_20200301_A.nc"
    counts.parent.mkdir()
    counts.write_bytes((next(temperatures.glob("*0301_A.nc"))).read_bytes())
    with netCDF4.Dataset(counts, "a") as dataset:
        for name in CHANNELS:
            variable = dataset[f"brightness_temperature_{name.replace('.', '_')}"]
            variable[:] = 100 * variable[:]
    message = refuse(source=counts)
    assert "expected kelvin, 50 to 330, found values about" in message
    assert "no source could be used" in message and "no pixel" not in message
    other = refuse("--tie_points", PACKAGED / "amsre_north.json")
    assert "expected temperatures of AMSR-E, RSS L2A version 12, north" in other
    both_sides = tmp_path / "both"
    words = ["--input", str(archive), "--output_dir", str(both_sides), "--channels", "36.5V"]
    assert grid_swaths.main([*words, "--grid", "EPSG:4326:10:-180,-90,180,90"]) == 0
    capsys.readouterr()
    assert "expected a grid of one hemisphere" in refuse(source=both_sides)
    argv = ["--input", str(archive), str(temperatures), "--output_dir", str(tmp_path / "out")]
    assert retrieve_concentration.main(argv) == 1
    assert "expected either swaths or gridded temperatures" in capsys.readouterr().err


# --- the stages after it ------------------------------------------------------------------------------


@pytest.mark.slow
def test_days_become_a_mask_a_cube_and_batches(days, tmp_path, capsys):
    import torch

    import consolidate_data
    import create_mask
    import get_dims
    import ice_index
    from seaice import CubeDataset

    period = ["--source_dir", str(days), "--start_date", "20200301", "--end_date", "20200302"]
    mask_file, cube_file = tmp_path / "land_mask.nc", tmp_path / "cube.nc"
    assert create_mask.main([*period, "--output_file", str(mask_file)]) == 0
    words = ["--land_mask_file", str(mask_file), "--output_file", str(cube_file)]
    assert consolidate_data.main([*period, *words, "--method", "departure"]) == 0
    with netCDF4.Dataset(cube_file) as cube:
        observed = cube["fill_flag"][:] == 0
        expected = slope(*np.meshgrid(GRID.x, GRID.y))
        error = np.where(observed, abs(cube["sea_ice_conc"][:] - expected), 0)
        assert observed[0, 15:25, 15:25].all() and error[0, 15:25, 15:25].max() < 0.01
        # The errors of the days are those of the cube, in steps of half a percent.
        stored = cube["sea_ice_conc_error"][0, 20, 20]
        given = fields(sorted(days.iterdir())[0])["sea_ice_conc_error"][20, 20]
        assert stored == pytest.approx(given / 100, abs=0.005)
    dataset = CubeDataset({"ice": (cube_file, "sea_ice_conc")}, DAY, date(2020, 3, 2), 1, 1)
    assert len(dataset) == 1
    batch = next(iter(torch.utils.data.DataLoader(dataset)))
    assert torch.isfinite(batch["inputs"]).all()
    ice = batch["inputs"][0, 0, 0, 15:25, 15:25].numpy()
    np.testing.assert_allclose(ice, expected[15:25, 15:25], atol=0.01)
    assert get_dims.main(["--source_dir", str(days)]) == 0
    words = ["--cube_file", str(cube_file), "--output_csv", str(tmp_path / "extent.csv")]
    assert ice_index.main(words) == 0


@pytest.mark.slow
def test_files_follow_cf_and_tell_their_grid(days, archive, tmp_path):
    import rioxarray  # noqa: F401
    import xarray
    from compliance_checker.runner import CheckSuite, ComplianceChecker

    assert run(archive, tmp_path / "out", "--footprint", "20", "--swath_dir", tmp_path / "passes") == 0
    CheckSuite.load_all_available_checkers()
    path = sorted(days.iterdir())[0]
    for file in (path, next((tmp_path / "passes").iterdir())):
        report = tmp_path / f"{file.stem}.txt"
        passed, errors = ComplianceChecker.run_checker(
            str(file), ["cf:1.11"], 0, "strict", output_filename=str(report), output_format="text"
        )
        assert passed and not errors, report.read_text()
    with xarray.open_dataset(path, decode_coords="all") as dataset:
        assert dataset.rio.crs == GRID.crs
        assert dataset.sea_ice_conc.rio.bounds() == (WEST, SOUTH, WEST + 500_000, SOUTH + 500_000)
        assert dataset.sea_ice_conc.dims == ("time", "y", "x")


# --- what cannot be used ------------------------------------------------------------------------------


def test_swaths_that_cannot_be_used(archive, tmp_path, capsys):
    def refuse(source=archive, *words, grid=GRID_TEXT):
        assert run(source, tmp_path / "out", *words, grid=grid) == 1
        out, err = capsys.readouterr()
        assert "Traceback" not in err and not list((tmp_path / "out").glob("*"))
        return err

    few = swaths.write(tmp_path / "few.h5", [make_swath(channels=["36.5V", "36.5H"])])
    assert "expected the channels 18.7V" in refuse(few)
    bare = swaths.write(tmp_path / "bare.h5", [replace(make_swath(), positions={})])
    assert "carries no positions of" in refuse(bare)
    south = PACKAGED / "amsr2_south.json"
    assert "expected tie points of the north" in refuse(archive, "--tie_points", south)
    assert "expected a file of tie points" in refuse(archive, "--tie_points", tmp_path / "no.json")
    older = replace(make_swath(), details={"product_version": "1"})
    older = swaths.write(tmp_path / "older.h5", [older])
    assert "found AMSR2, JAXA L1 version 1, north" in refuse(older)
    assert "no such mask file" in refuse(archive, "--land_mask_file", tmp_path / "no.nc")
    other = write_mask(tmp_path / "mask.nc", parse_grid(GRID_TEXT.replace("12500", "25000")))
    assert "expected a mask on" in refuse(archive, "--land_mask_file", other)
    assert "found none in" in refuse(archive, "--start_date", "20210101")
    (tmp_path / "empty").mkdir()
    assert "found none in" in refuse(tmp_path / "empty")
    assert "no such file" in refuse(tmp_path / "nothing.h5")
    assert "expected a grid of one hemisphere" in refuse(grid="EPSG:4326:1:-180,-90,180,90")


def test_one_swath_that_cannot_be_used_leaves_the_others(tmp_path, capsys):
    good, other = (make_swath(n, start=MIDNIGHT + 3600 * (n + 1)) for n in range(2))
    wrong = replace(other, scale_factors=dict.fromkeys(CHANNELS, 1.0))
    alone = swaths.write(tmp_path / "alone.h5", [good])
    path = swaths.write(tmp_path / "both.h5", [good, wrong])
    assert run(alone, tmp_path / "expected", "--footprint", "20") == 0
    capsys.readouterr()
    assert run(path, tmp_path / "out", "--footprint", "20") == 0
    assert "expected kelvin, 50 to 330, found values about" in capsys.readouterr().err
    (expected,), (day,) = ([*(tmp_path / name).iterdir()] for name in ("expected", "out"))
    for name, values in fields(expected).items():
        np.testing.assert_array_equal(fields(day)[name], values)
    with netCDF4.Dataset(day) as dataset:
        assert dataset.input_granules == good.granule_id


def test_a_swath_without_a_version_is_used_with_a_warning(tmp_path, caplog):
    from seaice.retrieval.days import stage

    stage._warn_of_version.cache_clear()
    unnamed = [
        replace(make_swath(n, start=MIDNIGHT + 3600 * (n + 1)), details={}, granule_id=f"pass {n}")
        for n in range(2)
    ]
    path = swaths.write(tmp_path / "a.h5", unnamed)
    stage.logger.parent.parent.propagate = True
    assert run(path, tmp_path / "out", "--footprint", "20") == 0
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_the_word_for_days_may_be_left_out(archive, tmp_path, capsys):
    words = ["--input", str(archive), "--grid", GRID_TEXT, "--write_config"]
    assert retrieve_concentration.main([*words, str(tmp_path / "a.toml"), "-o", "x"]) == 0
    assert retrieve_concentration.main(["days", *words, str(tmp_path / "b.toml"), "-o", "x"]) == 0
    assert (tmp_path / "a.toml").read_text() == (tmp_path / "b.toml").read_text()
    with pytest.raises(SystemExit):
        retrieve_concentration.main(["dais", "--input", "x"])
    assert "did you mean days?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        retrieve_concentration.main(["--input", "x"])
    assert "--output_dir" in capsys.readouterr().err
