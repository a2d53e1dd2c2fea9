"""Missing, land, lake and sea are told by the meaning of words, bits and codes of any provider."""

import netCDF4
import numpy as np
import pytest
from test_second_inputs import write

from seaice import InputError
from seaice.fields.options import ReadOptions
from seaice.fields.read import read_gappy
from seaice.flags import Surface, SurfaceClass, classify_word, flag_attributes, read_surface_codes

LAT = np.array([60.0, 61.0])
LON = np.array([0.0, 10.0, 20.0, 30.0, 40.0])


@pytest.mark.parametrize(
    ("surface", "words"),
    [
        ("land", "land Land LAND land_mask coastal coast_mask on_land over_land 1_observation_over_land "
                 "landmass land-area floating_ice_shelf ice_on_land non_ocean land_ice"),
        ("lake", "lake lakes open-lake open_lake_with_ice_in_the_grid optional_lake_surface river "
                 "inland_water 3_observation_over_lake fresh_free_water lake_ice"),
        ("sea", "sea Ocean open-sea open_sea_with_ice_in_the_grid water sea_ice sea_water over_ocean "
                "not_land pole_hole shallow_ocean rarely_observed_ocean"),
        ("ice", "ice 2_observation_over_ice valid_ice"),
        ("missing", "missing_data no_data nodata 0_no_data"),
        ("outside", "off_earth outside"),
        ("unknown", "land_spillover_filter_applied near_coast microwave confidently_clear unused "
                    "15_observation_has_possible_land_contamination water_vapour_too_high"),
    ],
)  # fmt: skip
def test_words_are_told_by_their_meaning(surface, words):
    wrong = [w for w in words.split() if classify_word(w) is not SurfaceClass(surface)]
    assert not wrong


def test_meanings_may_bear_their_codes_and_count_their_bits():
    codes = read_surface_codes(
        {
            "flag_meanings": "1=open-sea, 2=land, 5=open-lake, 9=open-sea with ice in the grid",
            "flag_masks": np.array([1, 2, 4, 8]),
        }
    )
    assert not codes.are_bits
    assert codes.list_codes(SurfaceClass.SEA) == [1, 9]
    assert codes.list_codes(SurfaceClass.LAND, SurfaceClass.LAKE) == [2, 5]
    words = "0_passive_microwave_data 1_observation_over_land 2_observation_over_ice"
    bits = read_surface_codes({"flag_meanings": words, "flag_masks": np.array([1, 2])})
    assert bits.are_bits
    assert bits.list_codes(SurfaceClass.LAND) == [2]
    assert read_surface_codes({"flag_meanings": "open sea land", "flag_values": [0, 1]}) is None
    own = read_surface_codes(flag_attributes(Surface))
    assert own.list_codes(SurfaceClass.LAND) == [Surface.LAND], "our coast is ocean beside land"


MUR = {"flag_meanings": "1=open-sea, 2=land, 5=open-lake, 9=open-sea with ice, 13=open-lake with ice",
       "flag_masks": [1, 2, 4, 8, 16], "flag_values": [1, 2, 5, 9, 13]}  # fmt: skip
GHRSST = {"flag_meanings": "sea land lake ice", "flag_masks": [1, 2, 4, 8]}
ACSPO = {"flag_meanings": "microwave land ice lake river", "flag_masks": [1, 2, 4, 8, 16]}
NSIDC = {"flag_meanings": "ocean valid_ice coast land lake", "flag_values": [0, 1, 2, 3, 4]}
# Bits that are listed as values, and values that are listed as masks.
VALUES = {"flag_meanings": "sea land lake ice", "flag_values": [1, 2, 4, 8]}
MASKS = {"flag_meanings": "sea land lake", "flag_masks": [1, 2, 3]}
LAND_SHARE = {"standard_name": "land_area_fraction", "units": "%"}


def read_sea(tmp_path, codes, attributes, dtype="i2", **options):
    values = np.full((1, 2, 5), 3, np.float32)
    field = write(tmp_path / "field.nc", "v", values, LAT, LON, days=[0])
    attributes = {k: np.array(v, "i2") if isinstance(v, list) else v for k, v in attributes.items()}
    cells = np.array([codes, codes], dtype)
    mask = write(tmp_path / "mask.nc", "mask", cells, LAT, LON, attributes=attributes)
    source = read_gappy(field, ReadOptions(mask_file=mask, **options))
    return "".join("01"[int(cell)] for cell in source.field.sea[0]), source


@pytest.mark.parametrize(
    ("attributes", "codes", "sea"),
    [
        (MUR, [1, 2, 5, 9, 13], "10010"),
        (GHRSST, [1, 2, 5, 9, 3], "10011"),
        (ACSPO, [0, 2, 4, 8, 17], "10100"),
        (NSIDC, [0, 1, 2, 3, 4], "11000"),
        (VALUES, [1, 2, 5, 9, 1], "10011"),
        (MASKS, [1, 2, 3, 1, 1], "10011"),
        (LAND_SHARE, [0, 20, 49, 50, 100], "11100"),
    ],
    ids=["MUR", "GHRSST", "ACSPO", "NSIDC", "bits as values", "values as masks", "share of land"],
)
def test_masks_of_providers_are_read_by_meaning(tmp_path, attributes, codes, sea):
    assert read_sea(tmp_path, codes, attributes)[0] == sea


def test_sea_with_ice_stays_sea_when_the_user_says_what_1_is(tmp_path):
    assert read_sea(tmp_path, [1, 2, 5, 9, 13], MUR, mask_means="sea")[0] == "10010"
    assert read_sea(tmp_path, [1, 2, 5, 9, 3], GHRSST, mask_means="sea")[0] == "10011"
    with pytest.raises(InputError, match=r"holds 5, 9, 13 besides 1.*--sea_bits 1"):
        read_sea(tmp_path, [1, 2, 5, 9, 13], {}, mask_means="sea")
    assert read_sea(tmp_path, [1, 2, 2, 0, 1], {}, mask_means="sea")[0] == "10001"


def test_the_user_may_name_codes_or_bits(tmp_path):
    codes = [1, 2, 5, 9, 13]
    for options, sea in (
        ({"sea_codes": [1, 9]}, "10010"),
        ({"land_codes": [2]}, "10111"),
        ({"sea_codes": [1, 9], "land_codes": [2, 5, 13]}, "10010"),
        ({"sea_bits": [1]}, "10111"),
        ({"land_bits": [2, 4]}, "10010"),
    ):
        assert read_sea(tmp_path, codes, {}, **options)[0] == sea, options
    with pytest.raises(InputError, match=r"2 cells have numbers without a meaning \(13\)"):
        read_sea(tmp_path, codes, {}, sea_codes=[1, 9], land_codes=[2, 5])
    with pytest.raises(InputError, match="codes or bits of the mask, found both"):
        read_sea(tmp_path, codes, {}, sea_codes=[1], land_bits=[2])


def test_codes_that_the_file_does_not_explain_are_no_ocean(tmp_path):
    for codes, unknown in (([0, 1], 7), ([1, 2], 3)):
        few = {"flag_meanings": "ocean land", "flag_values": codes}
        with pytest.raises(InputError, match=rf"2 cells have numbers without a meaning \({unknown}\)"):
            read_sea(tmp_path, [codes[0], codes[1], codes[0], unknown, codes[0]], few)


def test_a_mask_on_several_depths_is_read_at_the_surface(tmp_path):
    field = write(tmp_path / "f.nc", "v", np.ones((1, 2, 5), np.float32), LAT, LON, days=[0])
    with netCDF4.Dataset(tmp_path / "m.nc", "w") as dataset:
        for name, numbers, units in (("depth", [500.0, 0.5], "m"), ("lat", LAT, "degrees_north"),
                                     ("lon", LON, "degrees_east")):  # fmt: skip
            dataset.createDimension(name, len(numbers))
            axis = dataset.createVariable(name, "f4", (name,))
            axis.units = units
            axis[:] = numbers
        mask = dataset.createVariable("mask", "i1", ("depth", "lat", "lon"))
        mask.standard_name = "sea_binary_mask"
        mask[0], mask[1] = 0, [[1, 1, 1, 0, 1]] * 2
    sea = read_gappy(field, ReadOptions(mask_file=tmp_path / "m.nc")).field.sea
    assert sea.tolist() == [[True, True, True, False, True]] * 2


def test_status_flags_that_the_field_names_tell_land_and_lakes(tmp_path):
    values = np.full((1, 2, 5), 50, np.float32)
    attributes = {
        "standard_name": "sea_ice_area_fraction",
        "units": "%",
        "ancillary_variables": "errors flags",
    }
    path = write(tmp_path / "f.nc", "ice_conc", values, LAT, LON, days=[0], attributes=attributes)
    with netCDF4.Dataset(path, "a") as dataset:
        flags = dataset.createVariable("flags", "i2", ("time", "lat", "lon"))
        flags.flag_masks = np.array([1, 2, 4, 128], "i2")
        flags.flag_meanings = "land lake open_water_filter_applied outside_maximum_climatology"
        flags[:] = [[[0, 1, 2, 4, 132]] * 2]
    source = read_gappy(path, ReadOptions(variable="ice_conc"))
    assert source.field.sea[0].tolist() == [True, False, False, True, True]
    assert any("2 cells of lakes and rivers count as land" in note for note in source.notes)
