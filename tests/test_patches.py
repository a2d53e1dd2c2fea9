"""Patches: places, draw, files, manifest; the same whoever makes them, and after a kill."""

import errno
import filecmp
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sar_scenes import SIZE, rewrite, scenes_in

from seaice import InputError
from seaice.segmentation.data import cut
from seaice.segmentation.data.coarse_cells import find_coarse_window
from seaice.segmentation.data.cut import make_patches
from seaice.segmentation.data.patch_manifest import (
    read_manifest,
    read_scene_notes,
)
from seaice.segmentation.data.patch_positions import (
    MIXED,
    DrawSettings,
    draw_positions,
    find_positions,
    make_scene_generator,
    space_positions,
)
from seaice.segmentation.data.splits import split_scenes
from seaice.sources.ai4arctic.scene import (
    AMSR2_CHANNELS,
    SAR_CHANNELS,
    list_scenes,
    open_scene,
)

SMALL = {"size": 48, "per_scene": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    scenes_in(root)
    return root


@pytest.fixture(scope="module")
def patches(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("patches")
    make_patches(input_dir=folder, output_dir=out, **SMALL)
    return out


def arrays_of(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def files_of(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix in (".npz", ".csv", ".json")}


# Places


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(9, 40), st.integers(9, 40)),
    st.integers(1, 9),
    st.tuples(st.integers(0, 20), st.integers(0, 20)),
)
@settings(max_examples=60, deadline=None)
def test_counts_are_those_of_slow_sums(seed, shape, size, offset):
    rng = np.random.default_rng(seed)
    valid, ice = rng.random(shape) < 0.7, rng.random(shape) < 0.4
    found = find_positions(valid, ice, size=size, offset=offset)
    assert {(0, 0), (shape[0] - size, shape[1] - size)} <= set(
        zip(found.rows, found.columns, strict=True)
    )
    for row, column, v, i in zip(
        found.rows, found.columns, found.valid_pixels, found.ice_pixels, strict=True
    ):
        box = np.s_[row : row + size, column : column + size]
        assert v == valid[box].sum() and i == (ice & valid)[box].sum()


def test_counts_of_patches_so_large_that_a_byte_is_too_small():
    mask = np.ones((2500, 2100), bool)
    found = find_positions(mask, mask, size=2090)
    assert found.rows.size > 2 and (found.valid_pixels == 2090**2).all()


def test_lattice_holds_both_ends_and_a_scene_of_one_patch_has_one_place():
    assert space_positions(224, 224, 13).tolist() == [0]
    assert space_positions(225, 224, 0).tolist() == [0, 1]
    assert space_positions(300, 224, 5).tolist() == [0, 5, 33, 61, 76]


def places(kinds):
    """Places far from each other, of kinds as asked for: one row of them."""
    size = 4
    ice = np.repeat([{"water": 0, "mixed": 2, "ice": 4}[kind] for kind in kinds], size)
    mask = np.arange(size)[:, None] < ice
    found = find_positions(np.ones(mask.shape, bool), mask, size=size)
    return found.select(found.columns % size == 0)


@pytest.mark.parametrize(
    ("kinds", "taken"),
    [
        ({"water": 20, "mixed": 20, "ice": 20}, (2, 4, 2)),
        ({"water": 20, "mixed": 1, "ice": 20}, (4, 1, 3)),
        ({"water": 20, "mixed": 0, "ice": 1}, (7, 0, 1)),
        ({"water": 1, "mixed": 3, "ice": 1}, (1, 3, 1)),
    ],
)
def test_draw_by_kind_gives_what_a_kind_lacks_to_the_others(kinds, taken):
    found = places([kind for kind, count in kinds.items() for _ in range(count)])
    made = draw_positions(found, DrawSettings(count=8), np.random.default_rng(0))
    counts = np.bincount(made.kinds, minlength=3)
    assert counts.sum() == sum(taken) and counts[1] == taken[1]
    assert abs(counts[0] - taken[0]) <= 1 and abs(counts[2] - taken[2]) <= 1


@given(
    st.integers(0, 1000), st.sampled_from([0.0, 0.25, 1.0]), st.sampled_from(["stratified", "random"])
)
@settings(max_examples=25, deadline=None)
def test_no_two_patches_have_more_in_common_than_allowed(seed, overlap, sampling):
    rng = np.random.default_rng(seed)
    ice = np.add.outer(np.arange(60), np.arange(70)) > rng.integers(20, 110)
    found = find_positions(np.ones(ice.shape, bool), ice, size=16)
    made = draw_positions(found, DrawSettings(12, max_overlap=overlap, sampling=sampling), rng)
    boxes = list(zip(made.rows.tolist(), made.columns.tolist(), strict=True))
    assert len(set(boxes)) == len(boxes) <= 12
    for k, (r, c) in enumerate(boxes):
        for s, d in boxes[:k]:
            common = max(0, 16 - abs(r - s)) * max(0, 16 - abs(c - d))
            assert common <= overlap * 256


def test_the_largest_overlap_is_allowed_itself():
    found = find_positions(np.ones((100, 143), bool), np.zeros((100, 143), bool), size=100)
    apart = found.select(np.isin(found.columns, (0, 43)))  # 0.57 * 10000 is a little less than 5700
    for overlap, count in ((0.57, 2), (0.5699, 1)):
        made = draw_positions(apart, DrawSettings(2, max_overlap=overlap), np.random.default_rng(0))
        assert made.rows.size == count


def test_stratified_draw_has_many_more_mixed_patches_than_a_random_one():
    ice = np.broadcast_to(np.arange(1000) > 520, (1000, 1000))
    found = find_positions(np.ones(ice.shape, bool), ice, size=64)
    shares = {
        sampling: np.mean(
            [
                (
                    draw_positions(
                        found, DrawSettings(20, sampling=sampling), make_scene_generator(0, str(k))
                    ).kinds
                    == 1
                ).mean()
                for k in range(10)
            ]
        )
        for sampling in ("stratified", "random")
    }
    assert shares["stratified"] == 0.5 and shares["random"] < 0.15


def test_random_numbers_are_of_the_scene():
    one, same, other = (make_scene_generator(1, name).integers(1 << 30) for name in ("a", "a", "b"))
    assert one == same != other and make_scene_generator(2, "a").integers(1 << 30) != one


# Files


@pytest.mark.slow
def test_patch_holds_the_pixels_of_its_scene(folder, patches):
    rows = read_manifest(patches)
    for row in rows:
        (path,) = folder.rglob(f"{row.scene}.nc")
        scene, patch = open_scene(path), arrays_of(patches / row.file)
        box = np.s_[row.row : row.row + 48, row.column : row.column + 48]
        assert patch["sar"].dtype == np.float32 and patch["sic"].dtype == np.uint8
        np.testing.assert_array_equal(patch["sar"], scene.read_sar()[:, *box])
        valid = scene.find_valid()[box]
        np.testing.assert_array_equal(patch["sic"], np.where(valid, scene.read_sic()[box], 255))
        np.testing.assert_array_equal(patch["distance"], scene.read_distance()[box])
        assert (patch["row"], patch["column"], str(patch["scene"])) == (row.row, row.column, row.scene)
        assert str(patch["service"]) == row.service == scene.service and row.size == 48
        assert all(np.isfinite(patch[name]).all() for name in ("sar", "distance", "amsr2"))
        assert row.valid_share == round(valid.mean(), 6) >= 0.3
        share = (patch["sic"][valid] >= 2).mean()
        assert row.ice_share == round(share, 6)
        kind = "water" if share <= MIXED[0] else "ice" if share >= MIXED[1] else "mixed"
        assert row.kind == kind
        # The rule by which others find the cell of a pixel.
        coarse = scene.read_amsr2()
        for i, j in ((0, 0), (47, 47), (20, 31)):
            cell = [(row.row + i) // 25 - row.row // 25, (row.column + j) // 25 - row.column // 25]
            cell = [min(c, n - 1) for c, n in zip(cell, patch["amsr2"].shape[1:], strict=True)]
            full = (
                min((row.row + i) // 25, coarse.shape[1] - 1),
                min((row.column + j) // 25, coarse.shape[2] - 1),
            )
            np.testing.assert_array_equal(patch["amsr2"][:, *cell], coarse[:, *full])
    assert {row.scene for row in rows} == {p.stem for p in folder.rglob("*_prep.nc")}


@given(st.integers(0, 400), st.integers(1, 60), st.integers(1, 14))
def test_coarse_window_covers_every_pixel(start, size, cells):
    window = find_coarse_window(start, size, cells)
    for k in range(size):
        wanted = min((start + k) // 25, cells - 1)
        inside = min((start + k) // 25 - start // 25, window.stop - window.start - 1)
        assert window.start + inside == wanted


def test_manifest_tells_how_it_was_made(patches, folder):
    content = json.loads((patches / "patches.json").read_text())
    assert content["parameters"]["size"] == 48 and content["parameters"]["seed"] == 0
    notes = read_scene_notes(patches)
    for path in folder.rglob("*_prep.nc"):
        note = notes[path.stem]
        assert note["inputs"][0]["file"] == path.name and len(note["inputs"][0]["sha256"]) == 64
        assert note["region"] and sum(note["places"].values()) > 0
        assert len(note["inputs"]) == (2 if "test" in str(path.parent.name) else 1)
    counts = Counter(row.scene for row in read_manifest(patches))
    assert all(notes[scene]["patches"] == count for scene, count in counts.items())


@pytest.mark.slow
def test_four_workers_make_the_same_bytes(folder, patches, tmp_path):
    make_patches(input_dir=folder, output_dir=tmp_path, workers=4, **SMALL)
    assert files_of(tmp_path) == files_of(patches)


def test_a_scene_alone_has_the_same_patches(folder, patches, tmp_path):
    (tmp_path / "in").mkdir()
    path = sorted(folder.rglob("*_prep.nc"))[2]
    shutil.copy(path, tmp_path / "in")
    make_patches(input_dir=tmp_path / "in", output_dir=tmp_path / "out", **SMALL)
    names = [p.name for p in (tmp_path / "out").glob("*.npz")]
    assert names and filecmp.cmpfiles(tmp_path / "out", patches, names, shallow=False)[0] == names


def test_a_scene_is_read_once(folder, tmp_path, monkeypatch):
    from seaice.sources.ai4arctic import scene as ai4arctic

    asked, real = Counter(), ai4arctic.read_variable

    def counted(path, name, *more):
        asked[path.name, name] += 1
        return real(path, name, *more)

    monkeypatch.setattr(ai4arctic, "read_variable", counted)
    make_patches(input_dir=folder, output_dir=tmp_path, **SMALL)
    assert set(asked.values()) == {1}


# Going on


def cut_names(monkeypatch):
    names, real = [], cut.cut_scene
    monkeypatch.setattr(cut, "cut_scene", lambda t, p: names.append(p.stem) or real(t, p))
    return names


def test_second_run_makes_what_is_missing_damaged_or_changed(folder, patches, tmp_path, monkeypatch):
    source, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(folder, source)
    shutil.copytree(patches, out)
    scenes = sorted(p.stem for p in source.rglob("*_prep.nc"))
    names = cut_names(monkeypatch)
    report = make_patches(input_dir=source, output_dir=out, **SMALL)
    assert names == [] and report.values["scenes_kept"] == len(scenes)
    (out / f"{scenes[0]}_patch001.npz").unlink()
    damaged = out / f"{scenes[1]}_patch000.npz"
    content = bytearray(damaged.read_bytes())
    content[5000] ^= 1
    damaged.write_bytes(content)
    report = make_patches(input_dir=source, output_dir=out, **SMALL)
    assert names == scenes[:2] and report.exit_status() == 0
    assert files_of(out) == files_of(patches)
    names.clear()
    (path,) = source.rglob(f"{scenes[2]}.nc")
    rewrite(path, "SIC", np.full(SIZE, 10, np.uint8))
    make_patches(input_dir=source, output_dir=out, **SMALL)
    assert names == [scenes[2]]
    assert {r.kind for r in read_manifest(out) if r.scene == scenes[2]} == {"ice"}
    names.clear()
    os.utime(path)  # touched, the same content
    make_patches(input_dir=source, output_dir=out, **SMALL)
    assert names == []


def test_other_parameters_or_scenes_need_force(folder, patches, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(patches, out)
    with pytest.raises(InputError, match=r"found patches of per_scene 6: .* --force"):
        make_patches(input_dir=folder, output_dir=out, size=48, per_scene=3)
    make_patches(input_dir=folder, output_dir=out, size=48, per_scene=3, force=True)
    assert max(Counter(r.scene for r in read_manifest(out)).values()) == 3
    assert {p.name for p in out.glob("*.npz")} == {r.file for r in read_manifest(out)}
    (tmp_path / "in").mkdir()
    path = sorted(folder.rglob("*_prep.nc"))[1]
    shutil.copy(path, tmp_path / "in")
    again = {"input_dir": tmp_path / "in", "output_dir": out, "size": 48, "per_scene": 3}
    with pytest.raises(InputError, match="give the whole input"):
        make_patches(**again)
    make_patches(**again, force=True)
    assert {p.name for p in out.glob("*.npz")} == {r.file for r in read_manifest(out)}
    assert {r.scene for r in read_manifest(out)} == {path.stem}


KILLED = """
import sys
from pathlib import Path
from seaice.segmentation.data import cut, patch_writer
real, count = patch_writer._write_file, 0
def slow(*words):
    global count
    count += 1
    if count == 9:
        print("now", flush=True)
        import time
        time.sleep(60)
    return real(*words)
patch_writer._write_file = slow
cut.make_patches(input_dir=Path(sys.argv[1]), output_dir=Path(sys.argv[2]), size=48, per_scene=6)
"""


@pytest.mark.slow
def test_a_kill_costs_one_scene(folder, patches, tmp_path, monkeypatch):
    run = subprocess.Popen(
        [sys.executable, "-c", KILLED, folder, tmp_path],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    assert run.stdout.readline() == b"now\n"
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    names = cut_names(monkeypatch)
    make_patches(input_dir=folder, output_dir=tmp_path, **SMALL)
    assert names == sorted(p.stem for p in folder.rglob("*_prep.nc"))[1:]
    assert files_of(tmp_path) == files_of(patches)


# Bad input


def test_bad_scenes_are_named_and_the_others_are_cut(folder, tmp_path):
    source = tmp_path / "in"
    shutil.copytree(folder, source)
    paths = sorted((source / "train").glob("*.nc"))
    (reference,) = source.rglob("*_reference.nc")
    reference.unlink()
    paths[0].write_bytes(paths[0].read_bytes()[:5000])
    rewrite(paths[1], "nersc_sar_primary", np.full(SIZE, np.nan, np.float32))
    rewrite(paths[2], "distance_map", None)
    report = make_patches(input_dir=source, output_dir=tmp_path / "out", **SMALL)
    assert report.exit_status() == 0 and len(report.left_out) == 4
    assert not any("\n" in line for line in report.left_out)
    text = " ".join(report.left_out)
    for said in (
        "neither SIC nor",
        "finite nersc_sar_primary",
        "a variable distance_map",
        "no readable HDF5 file",
    ):
        assert said in text
    assert {r.scene for r in read_manifest(tmp_path / "out")} == {paths[3].stem}


def test_scene_smaller_than_a_patch_is_told(folder, tmp_path):
    report = make_patches(input_dir=folder, output_dir=tmp_path)
    assert len(report.left_out) == 5 and report.failed == ["not one of 5 scenes gave a patch"]
    assert "at least 224 x 224 pixels, found 160 x 190" in report.left_out[0]
    assert not (tmp_path / "patches.csv").exists()


def test_missing_temperatures_and_distances(folder, tmp_path):
    source = tmp_path / "in"
    shutil.copytree(folder / "train", source)
    path = sorted(source.glob("*.nc"))[0]
    values = np.zeros((SIZE[0] // 25, SIZE[1] // 25), np.float32)
    values[:, 3] = np.nan
    rewrite(path, AMSR2_CHANNELS[5], values)
    distance = np.zeros(SIZE, np.float32)
    distance[:30] = np.nan
    rewrite(path, "distance_map", distance)
    make_patches(input_dir=source, output_dir=tmp_path / "out", max_overlap=1.0, **SMALL)
    found = [arrays_of(p) for p in (tmp_path / "out").glob(f"{path.stem}*.npz")]
    assert found
    for patch in found:
        assert patch["column"] >= 100 or patch["column"] + 48 <= 75
        rows = patch["row"] + np.arange(48)
        assert (patch["sic"][rows < 30] == 255).all() and np.isfinite(patch["distance"]).all()
        assert np.isfinite(patch["amsr2"]).all()


@pytest.mark.parametrize(
    "more",
    [
        {"per_scene": 0},
        {"max_invalid": 1.0},
        {"mixed_share": 1.5},
        {"max_overlap": -0.1},
        {"sampling": "all"},
        {"size": 4},
        {"workers": 0},
    ],
)
def test_bad_options_are_refused(folder, tmp_path, more):
    with pytest.raises(InputError, match=r"expected|must be"):
        make_patches(input_dir=folder, output_dir=tmp_path, **(SMALL | more))


def test_scenes_without_a_place_are_told_and_the_manifest_says_so(folder, patches, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(folder, source)
    shutil.copytree(patches, out)
    scenes = sorted(source.rglob("*_prep.nc"))
    for path in scenes:
        for name in SAR_CHANNELS:
            rewrite(path, name, np.zeros(SIZE, np.float32))
    for _ in range(2):
        report = make_patches(input_dir=source, output_dir=out, **SMALL)
        assert report.exit_status() == 1 and len(report.left_out) == len(scenes)
        assert "class in at least 30 percent" in report.left_out[0]
        assert str(list_scenes(source)[0]) in report.left_out[0]
        with pytest.raises(InputError, match="found an empty manifest"):
            read_manifest(out)


def test_patches_of_others_are_not_touched(folder, patches, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(patches, out)
    (out / ".scenes.jsonl").unlink()
    with pytest.raises(InputError, match=r"found .*npz and no .scenes.jsonl .* --force"):
        make_patches(input_dir=folder, output_dir=out, seed=1, **SMALL)
    assert files_of(out) == files_of(patches)
    make_patches(input_dir=folder, output_dir=out, force=True, **SMALL)
    assert files_of(out) == files_of(patches)


def test_damaged_lines_of_the_journal_are_none(folder, patches, tmp_path, monkeypatch):
    shutil.copytree(patches, tmp_path / "out")
    journal = tmp_path / "out" / ".scenes.jsonl"
    first, *others = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(
        first.replace(b'"parameters"', b'"paramEters"') + b"\xff\x00\n" + b"".join(others)
    )
    names = cut_names(monkeypatch)
    make_patches(input_dir=folder, output_dir=tmp_path / "out", **SMALL)
    assert names == [json.loads(first)["scene"]]
    assert files_of(tmp_path / "out") == files_of(patches)


def test_a_link_to_a_scene_that_has_gone_costs_that_scene(folder, patches, tmp_path):
    source = tmp_path / "in"
    shutil.copytree(folder, source)
    shutil.copytree(patches, tmp_path / "out")
    path = list_scenes(source)[0]
    path.unlink()
    path.symlink_to(tmp_path / "gone.nc")
    report = make_patches(input_dir=source, output_dir=tmp_path / "out", **SMALL)
    assert report.left_out == [f"no such file: {path}"]
    assert path.stem not in {row.scene for row in read_manifest(tmp_path / "out")}


def test_a_killed_replacement_leaves_no_manifest(folder, patches, tmp_path, monkeypatch):
    shutil.copytree(patches, tmp_path / "out")

    def killed(*words):
        raise KeyboardInterrupt

    monkeypatch.setattr(cut, "cut_scene", killed)
    with pytest.raises(KeyboardInterrupt):
        make_patches(input_dir=folder, output_dir=tmp_path / "out", size=32, force=True)
    with pytest.raises(InputError, match="no manifest of patches"):
        read_manifest(tmp_path / "out")


def test_a_full_disk_is_named_and_leaves_nothing_half_written(folder, tmp_path, monkeypatch):
    real = Path.write_bytes

    def full(path, content):
        if path.name.endswith(".part"):
            real(path, content[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="MB free") as caught:
        make_patches(input_dir=folder, output_dir=tmp_path, **SMALL)
    assert caught.value.filename == str(tmp_path)
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.slow
def test_a_scene_that_comes_after_the_split_is_told(folder, patches, tmp_path, caplog):
    source, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(folder, source)
    late = list_scenes(source)[-1]
    late.rename(tmp_path / late.name)
    make_patches(input_dir=source, output_dir=out, **SMALL)
    split_scenes(patch_dir=out)
    make_patches(input_dir=source, output_dir=out, **SMALL)
    assert "split" not in caplog.text
    (tmp_path / late.name).rename(late)
    make_patches(input_dir=source, output_dir=out, **SMALL)
    assert f"does not list {late.stem}; make it again" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body[: len(body) // 2 - 3],
        lambda body: b"\xff" + body,
        lambda body: body.replace(b",48,", b",forty,", 1),
        lambda body: body.replace(b"scene", b"Scene", 1),
        lambda body: b"",
        lambda body: body + b'"',
    ],
)
def test_a_damaged_manifest_is_told_in_one_line(patches, tmp_path, change):
    (tmp_path / "patches.csv").write_bytes(change((patches / "patches.csv").read_bytes()))
    with pytest.raises(InputError, match=r"patches.csv is damaged .*; make it again") as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)
    (tmp_path / "patches.json").write_text('{"scenes": [1]}')
    with pytest.raises(InputError, match=r"patches.json is damaged"):
        read_scene_notes(tmp_path)
