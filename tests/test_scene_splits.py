"""Splits by scene: nothing of a scene, a pass or a start time in two parts."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaice import InputError
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.patch_manifest import (
    COLUMNS,
    read_manifest,
)
from seaice.segmentation.data.splits import (
    PARTS,
    Split,
    divide_scenes,
    load_split,
    split_scenes,
)
from seaice.sources.ai4arctic.scene import (
    TEST_SCENES,
    SceneName,
    group_same_scenes,
)

REGIONS = ("CapeFarewell", "NorthWest", "SouthEast", "CentralEast")


def raw(name, region="CapeFarewell", orbit=1):
    start = name[:15]
    sar = f"S1A_EW_GRDM_1SDH_{start}_{start}_{orbit:06d}_00AAAA_00AA_icechart"
    if "cis" in name:
        return f"{sar}_cis_{region.upper()}_{start[:13]}Z_pl_a.nc"
    return f"{sar}_dmi_{start[:8]}{start[9:13]}_{region}_RIC.nc"


def some_scenes(count=24, test=3):
    """Names over four years, with a twin and the two frames that neighbour a test scene."""
    days = [(2018 + k % 4, 1 + (5 * k) % 12, 1 + k % 28) for k in range(count)]
    names = [f"{y}{m:02d}{d:02d}T{10 + k % 10}0000_dmi_prep" for k, (y, m, d) in enumerate(days)]
    names += [names[0].replace("dmi", "cis")]
    return names + [f"{name}_prep" for name in TEST_SCENES[:test]]


def folder_of(tmp_path, names, patches=4, orbits=True):
    rows = []
    for name in names:
        for k in range(patches):
            service = name.split("_")[1]
            rows.append((f"{name}_patch{k:03d}.npz", name, service, 0, 0, 8, 0.5, 1.0, "mixed"))
    with (tmp_path / "patches.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    notes = {
        n: {"original_id": raw(n, REGIONS[k % 4], k) if orbits else "", "region": ""}
        for k, n in enumerate(names)
    }
    (tmp_path / "patches.json").write_text(json.dumps({"scenes": notes}))
    return tmp_path


def parts_of(split):
    return {part: set(getattr(split, part)) for part in PARTS}


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.datetimes(), st.sampled_from(["dmi", "cis"])), min_size=6, max_size=40, unique=True
    ),
    st.sampled_from(["pass", "season"]),
    st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_no_scene_pass_or_start_time_is_in_two_parts(found, by, seed):
    names = sorted({f"{2018 + t.year % 4}{t:%m%dT%H%M%S}_{s}_prep" for t, s in found})
    names = [n for n in names if SceneName.parse(n)] + [f"{TEST_SCENES[0]}_prep"]
    try:
        split, left_out = divide_scenes(names, by=by, seed=seed)
    except InputError:
        return
    split.check()
    parts = parts_of(split)
    assert all(parts.values())
    assert sum(map(len, parts.values())) + len(left_out) == len(set(names))
    assert set.union(*parts.values(), set(left_out)) == set(names)
    for group in group_same_scenes(names):
        assert sum(bool(set(group) & members) for members in parts.values()) == 1
        assert not set(group) & set(left_out) or set(group) & parts["test"]


@pytest.mark.parametrize("by", ["pass", "region", "season"])
def test_split_of_a_folder_shares_no_scene(tmp_path, by):
    folder = folder_of(tmp_path, some_scenes())
    split_scenes(patch_dir=folder, by=by)
    split, manifest = load_split(folder), read_manifest(folder)
    seen = {part: {row.scene for row in split.select_rows(part, manifest)} for part in PARTS}
    assert not seen["train"] & seen["validation"]
    assert not (seen["train"] | seen["validation"]) & seen["test"]
    files = [row.file for part in PARTS for row in split.select_rows(part, manifest)]
    assert len(files) == len(set(files)) == len(manifest)
    starts = {part: {name[:15] for name in names} for part, names in seen.items()}
    assert not starts["train"] & starts["validation"]
    assert seen["test"] == {f"{name}_prep" for name in TEST_SCENES[:3]}


def test_regions_and_seasons_stay_whole():
    names = some_scenes(test=0)
    originals = {name: raw(name, REGIONS[k % 4], k) for k, name in enumerate(names)}
    by_region, _ = divide_scenes(names, by="region", originals=originals)
    regions = [{SceneName.parse(originals[n]).region for n in getattr(by_region, p)} for p in PARTS]
    assert not regions[0] & regions[1] and not regions[0] & regions[2]
    by_season, _ = divide_scenes(names, by="season")
    seasons = [
        {(int(n[:4]) + (n[4:6] == "12"), int(n[4:6]) % 12 // 3) for n in getattr(by_season, p)}
        for p in PARTS
    ]
    assert not seasons[0] & seasons[1] and not seasons[0] & seasons[2]
    with pytest.raises(InputError, match="use --by pass or season"):
        divide_scenes(names, by="region")


def test_training_scenes_of_the_pass_of_a_test_scene_are_left_out(tmp_path):
    near = "20200319T102035_cis_prep"
    names = [*some_scenes(10, 0), near, "20200319T101935_cis_prep"]
    report = split_scenes(patch_dir=folder_of(tmp_path, names, orbits=False))
    assert report.values["left_out"] == [near]
    split = load_split(tmp_path)
    assert not any(near in getattr(split, part) for part in PARTS)
    assert near in report.lines[-1]


def test_split_is_written_once(tmp_path):
    folder = folder_of(tmp_path, some_scenes())
    split_scenes(patch_dir=folder)
    before = {p.name: p.stat().st_mtime_ns for p in folder.glob("*.txt")}
    assert "already there" in split_scenes(patch_dir=folder).lines[0]
    assert {p.name: p.stat().st_mtime_ns for p in folder.glob("*.txt")} == before
    with pytest.raises(InputError, match="--force to replace it"):
        split_scenes(patch_dir=folder, seed=1)
    assert load_split(folder).digest == json.loads((folder / "split.json").read_text())["digest"]
    digest = load_split(folder).digest
    split_scenes(patch_dir=folder, seed=1, force=True)
    assert load_split(folder).digest != digest


def test_a_split_that_was_killed_is_made_again(tmp_path):
    folder = folder_of(tmp_path, some_scenes())
    split_scenes(patch_dir=folder)
    whole = load_split(folder)
    (folder / "split.json").unlink()
    (folder / "test.txt").unlink()
    split_scenes(patch_dir=folder)
    assert load_split(folder) == whole
    # Lists of somebody else are not overwritten, with a note or without.
    (folder / "split.json").unlink()
    (folder / "train.txt").write_text("20180101T100000_dmi_prep\n")
    with pytest.raises(InputError, match="--force to replace it"):
        split_scenes(patch_dir=folder)
    split_scenes(patch_dir=folder, force=True)
    assert load_split(folder) == whole


@pytest.mark.parametrize("share", [0.9, 0.97, 0.999])
def test_no_share_empties_training(tmp_path, share):
    names = some_scenes(10, 1)
    split_scenes(patch_dir=folder_of(tmp_path, names), validation_share=share)
    assert load_split(tmp_path).train
    split, _ = divide_scenes(some_scenes(10, 0), shares=(share, 0.5))
    assert split.train and split.validation and split.test


def test_scenes_that_have_lost_their_patches_are_told(tmp_path, caplog):
    folder = folder_of(tmp_path, some_scenes())
    split_scenes(patch_dir=folder)
    split, manifest = load_split(folder), read_manifest(folder)
    lost = split.test[0]
    split.select_rows("test", manifest)
    assert not caplog.text
    rows = split.select_rows("test", [row for row in manifest if row.scene != lost])
    assert {row.scene for row in rows} == set(split.test[1:])
    assert f"no patches any more for test: {lost}" in caplog.text


def test_the_note_tells_all_settings(tmp_path):
    split_scenes(patch_dir=folder_of(tmp_path, some_scenes(24, 0)), test_share=0.3, seed=4)
    note = json.loads((tmp_path / "split.json").read_text())
    assert (note["test_share"], note["validation_share"], note["seed"]) == (0.3, 0.15, 4)


def test_lists_changed_by_hand_are_noticed(tmp_path):
    folder = folder_of(tmp_path, some_scenes())
    split_scenes(patch_dir=folder)
    train, validation = folder / "train.txt", folder / "validation.txt"
    whole = train.read_text()
    train.write_text("".join(whole.splitlines(keepends=True)[1:]))
    with pytest.raises(InputError, match="found others"):
        load_split(folder)
    train.write_text(whole + validation.read_text())
    with pytest.raises(InputError, match="expected every scene in one part"):
        load_split(folder)
    # The other chart of one and the same image is no other scene.
    twin = f"{whole[:15]}_nic_prep"
    train.write_text(whole)
    validation.write_text(f"{twin}\n")
    with pytest.raises(InputError, match="expected every scene in one part"):
        load_split(folder)
    train.unlink()
    with pytest.raises(InputError, match=r"no split: .*segmentation.py split"):
        load_split(folder)


def test_split_by_patch_warns_and_shares_scenes(tmp_path, caplog):
    folder = folder_of(tmp_path, some_scenes(), patches=20)
    split_scenes(patch_dir=folder, split="patch", seed=42)
    assert "too good" in " ".join(caplog.text.split())
    split, manifest = load_split(folder), read_manifest(folder)
    assert split.mode == "patch"
    files = {part: {row.file for row in split.select_rows(part, manifest)} for part in PARTS}
    assert not files["train"] & files["validation"]
    assert len(files["validation"]) == int(0.15 * 25 * 20)
    scenes = {part: {row.scene for row in split.select_rows(part, manifest)} for part in PARTS}
    assert scenes["train"] & scenes["validation"] and not scenes["train"] & scenes["test"]


def test_too_few_scenes_and_bad_words_are_refused(tmp_path):
    for names in (some_scenes(1, 0)[:1], [some_scenes(1, 0)[0], f"{TEST_SCENES[0]}_prep"]):
        with pytest.raises(InputError, match="at least two groups"):
            divide_scenes(names)
    with pytest.raises(InputError, match=r"beside the official test scenes \(3\) .* --split train, "):
        divide_scenes([f"{name}_prep" for name in TEST_SCENES[:3]])
    with pytest.raises(InputError, match="no manifest of patches"):
        split_scenes(patch_dir=tmp_path)
    folder_of(tmp_path, [])
    with pytest.raises(InputError, match="found an empty manifest"):
        split_scenes(patch_dir=tmp_path)
    folder_of(tmp_path, some_scenes())
    for more in ({"by": "scene"}, {"split": "random"}, {"validation_share": 1.0}, {"test_share": 0}):
        with pytest.raises(InputError, match="expected"):
            split_scenes(patch_dir=tmp_path, **more)
    with pytest.raises(InputError, match="expected patches for test, found none of its 1 scenes"):
        Split(("a",), ("b",), ("c",)).select_rows("test", read_manifest(tmp_path))


def test_shares_are_about_what_was_asked_for():
    names = some_scenes(100, 0)
    names = [n for n in names if "dmi" in n]
    for share in (0.1, 0.3):
        split, _ = divide_scenes(names, shares=(share, 0.2), seed=5)
        assert abs(len(split.test) - 0.2 * len(names)) <= 2
        assert abs(len(split.validation) - share * 0.8 * len(names)) <= 2


# Labels


@pytest.mark.parametrize(
    ("threshold", "first"),
    [
        (1e-9, 1),
        (0.01, 1),
        (0.1, 1),
        (np.float32(0.1), 1),
        (np.float32(0.2), 2),
        (0.11, 2),
        (0.15, 2),
        (0.2, 2),
        (0.3, 3),
        (0.7, 7),
        (1, 10),
    ],
)
def test_threshold_counts_as_the_next_tenth(threshold, first):
    sic = np.array([[*range(11), 255]], np.uint8)
    rule = LabelRule(threshold)
    assert rule.first_ice_class == first
    made = rule.label(sic)
    assert made.dtype == np.uint8
    assert made.tolist() == [[0] * first + [1] * (11 - first) + [255]]
    assert f"class {first} and above ({10 * first} percent" in rule.describe()
    assert ("cannot be told" in rule.describe()) == (abs(threshold * 10 - first) > 1e-9)


@pytest.mark.parametrize("threshold", [0, -0.1, 1.1, 15, float("nan"), "0.2", True, None])
def test_bad_thresholds_are_refused(threshold):
    with pytest.raises(InputError, match="expected an ice_threshold"):
        LabelRule(threshold)


def test_other_classes_are_refused():
    with pytest.raises(InputError, match="found 77"):
        LabelRule().label(np.array([3, 77], np.uint8))
    with pytest.raises(InputError, match="found float32"):
        LabelRule().label(np.array([3.0], np.float32))
