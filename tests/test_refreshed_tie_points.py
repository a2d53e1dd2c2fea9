"""Tie points brought up to date by swaths."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from seaice import InputError
from seaice.gridding import BucketAccumulator
from seaice.grids import get_grid
from seaice.retrieval import refresh
from seaice.retrieval.refresh import refresh_tie_points
from seaice.retrieval.tie_points import Signature, find_packaged_tie_points, read_tie_points
from seaice.simulate import list_simulated_granules, write_granule
from seaice.sources.amsr2.swath import GIVEN, Positions, Swath

POINTS = find_packaged_tie_points("AMSR2", "north")
DAY = date(2021, 2, 10)
SHIFT = np.array([2.0, -1.0, 3.0, 0.5, 1.5, -2.0, 1.0, 2.5])  # kelvin, of the eight channels
EIGHT = ("18.7V", "18.7H", "23.8V", "23.8H", "36.5V", "36.5H", "89AV", "89AH")


def make_swath(number, seed=0):
    """A swath over the pole: ice within 12 degrees of it, then water; shifted from the tie points."""
    rng = np.random.default_rng([seed, number])
    along, across = np.meshgrid(np.arange(-350, 351) * 0.1, np.arange(-80, 81) * 0.1, indexing="ij")
    turn = np.radians(30 * number)
    right = along * np.cos(turn) - across * np.sin(turn)
    up = along * np.sin(turn) + across * np.cos(turn)
    latitude = (90 - np.hypot(right, up)).astype(np.float32)
    longitude = np.degrees(np.arctan2(right, -up)).astype(np.float32)
    signatures = POINTS.choose(DAY).select(tuple(name.replace("A", "") for name in EIGHT))
    is_ice = latitude > 78
    counts = {}
    shape = (len(EIGHT), *latitude.shape)
    noise = {
        surface: np.einsum(
            "ij,jkl->ikl", np.linalg.cholesky(part.covariance), rng.standard_normal(shape)
        )
        for surface, part in (("water", signatures.water), ("ice", signatures.ice))
    }
    for row, channel in enumerate(EIGHT):
        water = signatures.water.mean[row] + 0.2 * noise["water"][row]
        ice = signatures.ice.mean[row] + 0.2 * noise["ice"][row]
        kelvin = np.where(is_ice, ice, water) + SHIFT[row]
        counts[channel] = np.rint(100 * kelvin).astype(np.uint16)
    positions = Positions(latitude, longitude, GIVEN)
    start = datetime(DAY.year, DAY.month, DAY.day, number, tzinfo=UTC)
    return Swath(
        counts=counts,
        scale_factors=dict.fromkeys(EIGHT, 0.01),
        positions=dict.fromkeys(("18.7", "23.8", "36.5", "89A"), positions),
        scan_times=start.timestamp() + 1.5 * np.arange(len(latitude)),
        granule_id=f"GW1AM2_{start:%Y%m%d%H%M}_{number + 1:03d}A_L1SGBTBR_2220220",
        orbit_type="A",
        details={},
    )


def gather(points):
    """Pixels and map of concentration of six swaths."""
    grid = get_grid("ease2n25000")
    sums = BucketAccumulator(grid)
    parts = [refresh._read_swath(make_swath(n), points, grid, sums, [0, n]) for n in range(6)]
    pixels = refresh._Pixels(
        np.concatenate([part.cells for part in parts]),
        np.concatenate([part.kelvin for part in parts], axis=1),
        np.concatenate([part.days for part in parts]),
    )
    return pixels, sums.get_buckets().make_field("mean"), grid


def move(points, kelvin):
    def moved(signature):
        return Signature(signature.mean + kelvin, signature.covariance)

    return replace(points, water=moved(points.water), ice=tuple(map(moved, points.ice)))


def test_means_follow_the_swaths_and_covariances_stay():
    refreshed, counts = refresh._refresh(POINTS, *gather(POINTS), 0)
    rows = [POINTS.channels.index(name.replace("A", "")) for name in EIGHT]
    for surface in ("water", "ice"):
        count, shift = counts[surface]
        assert count == 3000
        # A footprint averages; what is left of the noise averages out over the pixels.
        assert shift[rows] == pytest.approx(SHIFT, abs=0.4), surface
        assert not np.delete(shift, rows).any(), "channels that the swaths lack keep their means"
    assert (refreshed.water.covariance == POINTS.water.covariance).all()
    assert refreshed.origin["water_refreshed"]["first_day"] == str(DAY)


def test_tie_points_some_kelvin_off_come_to_the_same():
    far = move(POINTS, 3.0)
    refreshed, _ = refresh._refresh(POINTS, *gather(POINTS), 0)
    from_afar, _ = refresh._refresh(far, *gather(far), 0)
    rows = [POINTS.channels.index(name.replace("A", "")) for name in EIGHT]
    assert from_afar.water.mean[rows] == pytest.approx(refreshed.water.mean[rows], abs=0.2)
    ice = [points.choose(DAY).ice.mean[rows] for points in (from_afar, refreshed)]
    assert ice[0] == pytest.approx(ice[1], abs=0.2)


def test_pixels_near_the_other_surface_and_near_land_are_left_out():
    pixels, ice_map, grid = gather(POINTS)
    longitude, latitude = grid.longitude_latitude()
    at = latitude.ravel()[pixels.cells]
    assert at.min() >= 50
    everything_is_ice = np.where(np.isfinite(ice_map), 1.0, np.nan)
    with pytest.raises(InputError, match="at least 100 pixels of water far from the other"):
        refresh._refresh(POINTS, pixels, everything_is_ice, grid, 0)
    # Novaya Zemlya, 75 N 58 E, and 100 kilometres around it.
    apart = np.abs(latitude - 75.0) + np.abs(longitude - 58.0)
    assert int(apart.argmin()) not in pixels.cells


@pytest.mark.slow
def test_granules_give_tie_points_of_their_own_version(tmp_path):
    start, end = datetime(2021, 2, 10, 3, 20, tzinfo=UTC), datetime(2021, 2, 10, 3, 50, tzinfo=UTC)
    (granule,) = list_simulated_granules(start, end)  # over the North Pacific and the Arctic
    folder = tmp_path / "l1b"
    write_granule(folder, granule, product="L1SGBTBR_1110110")
    (folder / "GW1AM2_202102101200_001A_L1SGBTBR_1110110.h5").write_bytes(b"no granule")
    output = tmp_path / "points.json"
    report = refresh_tie_points(input=[folder], hemisphere="north", output_file=output)
    assert any("202102101200" in line for line in report.left_out)
    points = read_tie_points(output)
    assert (points.sensor, points.product) == ("AMSR2", "JAXA L1 version 1")
    assert points.origin["ice_refreshed"]["pixels"] >= 100
    again = refresh_tie_points(input=[folder], hemisphere="north", output_file=output)
    assert again.values == report.values


def test_what_cannot_be_refreshed(tmp_path):
    (tmp_path / "empty").mkdir()
    options = {"input": [tmp_path / "empty"], "hemisphere": "north"}
    with pytest.raises(InputError, match="expected archives"):
        refresh_tie_points(**options, output_file=tmp_path / "points.json")
    with pytest.raises(InputError, match=r"expected an ending of \.json"):
        refresh_tie_points(**options, output_file=Path("points.txt"))
    south = tmp_path / "south.json"
    south.write_text(find_packaged_tie_points("AMSR2", "south").to_json())
    with pytest.raises(InputError, match="expected tie points of the north, found those of the south"):
        refresh_tie_points(**options, output_file=tmp_path / "points.json", tie_points=south)
