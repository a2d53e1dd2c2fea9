"""Small swaths made by formula, and archives as the former program wrote them."""

from pathlib import Path

import h5py
import numpy as np

from seaice.sources.amsr2.channels import CHANNELS
from seaice.sources.amsr2.swath import (
    FILL_VALUE,
    Positions,
    Swath,
)
from seaice.swaths.archive import create_archive

START = 1577836800.0  # 2020-01-01T00:00:00 UTC
HALF_ORBIT = 49.4 * 60
LAYOUTS = ("swath_array", "hdf5")
ENDING = {"swath_array": ".npz", "hdf5": ".h5"}
NAME = "AMSR2_swaths_20200101_000000_to_20200101_030000"


def make_swath(
    number=0, *, channels=("36.5H",), scans=20, places=True, times=True, start=None, **details
):
    """A swath whose counts are all different from those of another number."""
    random = np.random.default_rng(number)
    counts = {}
    for channel in channels:
        shape = (scans, CHANNELS[channel].pixels)
        counts[channel] = random.integers(12000, 27000, shape).astype(np.uint16)
        counts[channel][0, :3] = FILL_VALUE
    positions = {}
    for channel in channels if places else ():
        latitude, longitude = np.meshgrid(
            np.linspace(-80, 80, scans), np.linspace(-179, 179, CHANNELS[channel].pixels), indexing="ij"
        )
        latitude[1, 1] = longitude[1, 1] = np.nan
        positions[CHANNELS[channel].frequency] = Positions(
            latitude.astype(np.float32), longitude.astype(np.float32), "co-registration"
        )
    first = START + number * HALF_ORBIT if start is None else start
    seconds = first + 1.5 * np.arange(scans)
    seconds[2] = np.nan
    return Swath(
        counts=counts,
        scale_factors=dict.fromkeys(channels, 0.01),
        positions=positions,
        scan_times=seconds if times else None,
        granule_id=f"GW1AM2_2020010100{number:02d}_001{'AD'[number % 2]}_L1SGBTBR_2220220",
        orbit_type="AD"[number % 2],
        details={"product_version": "2", **details},
    )


def write(path: Path, swaths, *, layout="hdf5", **info) -> Path:
    with create_archive(path, layout=layout, count=len(swaths)) as writer:
        for swath in swaths:
            writer.add(swath)
        writer.finish({"period": "2020-01-01T00:00:00 to 2020-01-01T03:00:00", **info})
    return path


def damage_swath(path: Path, swath: Swath) -> None:
    """Flip a bit in the numbers of a swath of an HDF5 archive."""
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        chunk = file[swath.granule_id]["temperature"].id.get_chunk_info(0)
    content[chunk.byte_offset + chunk.size // 2] ^= 16
    path.write_bytes(content)


def stored_bytes(archive, index) -> list[bytes]:
    """The compressed arrays of a swath of an open HDF5 archive."""
    group = archive.get_group(index)
    return [
        group[name].id.read_direct_chunk((0,) * group[name].ndim)[1]
        for name in group
        if group[name].chunks is not None
    ]


def assert_same(one: Swath, other: Swath) -> None:
    assert one.channels == other.channels
    assert one.scale_factors == other.scale_factors
    assert (one.granule_id, one.orbit_type) == (other.granule_id, other.orbit_type)
    assert one.start_time == other.start_time
    for name, array in one.name_arrays().items():
        there = other.name_arrays()[name]
        assert there.dtype == array.dtype
        np.testing.assert_array_equal(there, array)
    assert one.name_arrays().keys() == other.name_arrays().keys()
    assert {n: p.method for n, p in one.positions.items()} == {
        n: p.method for n, p in other.positions.items()
    }
    for key, value in one.details.items():
        assert other.details[key] == value


def classic_dictionary(number=0, *, scans=20, kind="counts", places=False):
    """What the former program kept of a granule."""
    counts = make_swath(number, scans=scans).counts["36.5H"]
    counts[0, :3] = 0
    counts[3, 5] = 65535
    temperature = counts.view(np.int16)
    if kind == "kelvin":
        temperature = np.where(counts % 65535 == 0, np.nan, counts * 0.01).astype(np.float32)
    swath = {
        "temperature": temperature,
        "metadata": {
            "orbit_type": "A",
            "scale_factor": np.float32(0.01),
            "temp_range": (np.int16(12000), np.float32(np.nan)),
            "shape": counts.shape,
        },
    }
    if places:
        swath["latitude"] = np.full(counts.shape, 70.0, np.float32)
        swath["longitude"] = np.full(counts.shape, -40.0, np.float32)
        swath["metadata"]["lat_range"] = (np.float32(70), np.float32(np.nan))
    return swath


def write_classic(path: Path, dictionaries, **others) -> Path:
    """An archive as the former program wrote it."""
    array = np.empty(len(dictionaries), object)
    array[:] = dictionaries
    period = "2020-01-01T00:00:00 to 2020-01-01T03:00:00"
    np.savez_compressed(path, swath_array=array, **{"period": period, **others})
    return path
