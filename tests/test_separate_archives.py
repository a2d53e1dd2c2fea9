"""Archives of former programs with an array of its own for every swath."""

import numpy as np
import pytest
from swaths import classic_dictionary, write_classic

import split_amsr_files
import verify_archive
from seaice import InputError
from seaice.swaths.archive import load_swaths


def write_separate(path, dictionaries, *, metadata="one array", **others):
    """An archive of a former program that kept every swath under names of its own."""
    arrays = {}
    for number, swath in enumerate(dictionaries):
        for name in ("temperature", "latitude", "longitude"):
            if name in swath:
                arrays[f"{name}_{number}"] = swath[name]
        if metadata == "one for each":
            arrays[f"metadata_{number}"] = np.array(swath["metadata"], object)
    if metadata == "one array":
        arrays["metadata"] = np.array([swath["metadata"] for swath in dictionaries], object)
    np.savez_compressed(path, **arrays, **others)
    return path


@pytest.mark.parametrize("metadata", ["one array", "one for each", "none"])
@pytest.mark.parametrize("kind", ["counts", "kelvin"])
def test_separate_arrays_load(tmp_path, kind, metadata):
    dictionaries = [classic_dictionary(n, kind=kind, places=True) for n in range(12)]
    period = "2020-01-01T00:00:00 to 2020-01-01T10:00:00"
    path = write_separate(tmp_path / "a.npz", dictionaries, metadata=metadata, period=period)
    classic = write_classic(tmp_path / "classic.npz", dictionaries)
    with load_swaths(path) as swaths, load_swaths(classic) as others:
        assert swaths.layout == "separate_arrays" and len(swaths) == 12
        assert swaths.info["period"] == period
        for swath, other in zip(swaths, others, strict=True):
            np.testing.assert_array_equal(swath.kelvin(), other.kelvin())
            np.testing.assert_array_equal(
                swath.positions["unknown"].latitude, other.positions["unknown"].latitude
            )
            assert swath.orbit_type == ("U" if metadata == "none" else "A")


def test_separate_arrays_in_every_stage(tmp_path, capsys):
    path = write_separate(tmp_path / "a.npz", [classic_dictionary(n) for n in range(3)])
    words = ["--input", str(path), "--output_dir", str(tmp_path / "parts"), "--chunk_size", "2"]
    assert split_amsr_files.main(words) == 0
    parts = sorted((tmp_path / "parts").glob("a_part_*of2.npz"))
    with load_swaths(parts[0]) as swaths, load_swaths(path) as others:
        assert swaths.layout == "swath_array" and len(swaths) == 2
        np.testing.assert_array_equal(swaths[1].kelvin(), others[1].kelvin())
    assert verify_archive.main([str(path)]) == 0
    assert "separate_arrays, 3 swaths" in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:-3000])
    assert verify_archive.main([str(path), "--repair"]) == 1
    with load_swaths(tmp_path / "a_repaired.npz") as swaths:
        assert len(swaths) >= 1 and swaths.layout == "swath_array"


class Hostile:
    def __reduce__(self):
        return print, ("run",)


def test_hostile_metadata_beside_separate_arrays_are_refused(tmp_path, capsys):
    dictionary = {**classic_dictionary(), "metadata": Hostile()}
    path = write_separate(tmp_path / "a.npz", [dictionary])
    with pytest.raises(InputError, match="refused"):
        load_swaths(path)
    assert capsys.readouterr().out == ""
