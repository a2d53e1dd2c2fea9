"""Patches as a Dataset: values, AMSR2 by pixel, augmentation, order of updates, subsets."""

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_folders import make_folder
from torch.utils.data import DataLoader

from seaice import InputError
from seaice.segmentation.data.coarse_cells import expand_coarse
from seaice.segmentation.data.patch_dataset import (
    PatchDataset,
    UpdateSampler,
    iterate_batches,
    read_patch,
    select_subset,
    turn_image,
)
from seaice.segmentation.data.patch_manifest import (
    PatchRow,
    read_manifest,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_folder(tmp_path_factory.mktemp("patches"))


def test_item_is_what_the_file_holds(folder):
    rows = read_manifest(folder)
    data = PatchDataset(folder, rows)
    image, (sic,) = data[2]
    with np.load(folder / rows[2].file) as file:
        np.testing.assert_array_equal(image.numpy(), file["sar"])
        no_sar = (file["sar"] == 0).all(axis=0)
        assert no_sar.sum() == 6
        np.testing.assert_array_equal(sic.numpy(), np.where(no_sar, 255, file["sic"]))
    assert (image.dtype.itemsize, sic.dtype.itemsize) == (4, 1)


@settings(deadline=None, max_examples=50)
@given(
    row=st.integers(0, 80),
    column=st.integers(0, 80),
    size=st.integers(1, 60),
    cut=st.tuples(st.integers(0, 24), st.integers(0, 24)),
)
def test_coarse_values_lie_where_they_belong(row, column, size, cut):
    """Against the whole scene expanded pixel by pixel; the last cells are cut by the edge."""
    shape = (row + size + cut[0], column + size + cut[1])
    cells = np.arange((shape[0] // 25 + 1) * (shape[1] // 25 + 1)).reshape(1, shape[0] // 25 + 1, -1)
    whole = np.repeat(np.repeat(cells, 25, 1), 25, 2)[:, : shape[0], : shape[1]]
    touched = cells[
        :, row // 25 : (row + size - 1) // 25 + 1, column // 25 : (column + size - 1) // 25 + 1
    ]
    wanted = whole[:, row : row + size, column : column + size]
    np.testing.assert_array_equal(expand_coarse(touched, (row, column), size), wanted)


def test_beyond_the_last_cell_its_value_goes_on():
    # 55 pixels over two cells only: the coarse grid of the scene ends before its SAR.
    made = expand_coarse(np.array([[[1.0, 2.0]]]), (0, 0), 55)
    assert made[0, 0, 24:26].tolist() == [1, 2] and made[0, 54, 54] == 2


def test_amsr2_follows_sar(folder):
    row = read_manifest(folder)[0]
    image, _ = PatchDataset(folder, [row], inputs="sar+amsr2")[0]
    assert image.shape == (16, 16, 16)
    with np.load(folder / row.file) as file:
        for i, j in ((0, 0), (15, 3), (7, 15)):
            cell = (row.row + i) // 25 - row.row // 25, (row.column + j) // 25 - row.column // 25
            np.testing.assert_array_equal(image[2:, i, j], file["amsr2"][:, *cell])


def test_eight_positions_differ_and_image_and_chart_turn_alike(folder):
    square = np.arange(9).reshape(3, 3)
    assert len({turn_image(square, turn).tobytes() for turn in range(8)}) == 8
    np.testing.assert_array_equal(turn_image(square, 0), square)
    row = read_manifest(folder)[0]
    plain = PatchDataset(folder, [row])[0]
    data = PatchDataset(folder, [row], augment=True, seed=3)
    seen = set()
    for number in range(30):
        image, charts = data[(number, 0)]
        (turn,) = (k for k in range(8) if np.array_equal(turn_image(plain[0].numpy(), k), image))
        np.testing.assert_array_equal(turn_image(plain[1].numpy(), turn), charts)
        seen.add(turn)
    assert seen == set(range(8))


def test_augmentation_is_of_seed_pass_and_item(folder):
    rows = read_manifest(folder)
    one, same = (PatchDataset(folder, rows, augment=True, seed=1) for _ in range(2))
    other = PatchDataset(folder, rows, augment=True, seed=2)
    keys = [(number, index) for number in range(3) for index in range(len(rows))]
    first = [one[key][0].numpy().tobytes() for key in keys]
    assert first == [same[key][0].numpy().tobytes() for key in reversed(keys)][::-1]
    assert first != [other[key][0].numpy().tobytes() for key in keys]


@pytest.mark.slow
def test_workers_change_nothing(folder):
    rows = read_manifest(folder)
    data = PatchDataset(folder, rows, inputs="sar+amsr2", augment=True)
    made = []
    for workers in (0, 2):
        updates = UpdateSampler(len(rows), 5, seed=7)
        loader = DataLoader(
            data, batch_sampler=updates, num_workers=workers, persistent_workers=workers > 0
        )
        bits = []
        for updates.start, updates.stop in ((0, 3), (3, 9)):  # an epoch may end within a pass
            bits += [image.numpy().tobytes() + sic.numpy().tobytes() for image, sic in loader]
        made.append(bits)
    assert len(made[0]) == 9 and made[0] == made[1]


@settings(deadline=None, max_examples=50)
@given(
    count=st.integers(1, 40),
    batch=st.integers(1, 12),
    processes=st.integers(1, 3),
    seed=st.integers(0, 9),
)
def test_updates_do_not_depend_on_where_they_start_or_on_processes(count, batch, processes, seed):
    if min(count, batch) < processes:
        with pytest.raises(InputError, match="a patch for each of"):
            UpdateSampler(count, batch, seed=seed, part=(0, processes))
        return
    whole = UpdateSampler(count, batch, seed=seed)
    whole.start, whole.stop = 0, 3 * whole.per_pass + 1
    wanted = list(whole)
    whole.start = 2
    assert list(whole) == wanted[2:]
    parts = [UpdateSampler(count, batch, seed=seed, part=(k, processes)) for k in range(processes)]
    for part in parts:
        part.start, part.stop = 0, len(wanted)
    for batch_of_all, *shares in zip(wanted, *parts, strict=True):
        assert sorted(key for share in shares for key in share) == sorted(batch_of_all)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    one_pass = [index for update in wanted[: whole.per_pass] for _, index in update]
    assert len(set(one_pass)) == len(one_pass) == min(count, batch) * (count // batch or 1)


def rows_of(scenes: int, patches: int) -> list[PatchRow]:
    kinds = ("water", "water", "mixed", "ice")
    return [
        PatchRow(f"s{s}_{k}.npz", f"s{s}", "dmi", 0, 0, 16, 0.5, 1.0, kinds[k % 4])
        for s in range(scenes)
        for k in range(patches)
    ]


@settings(deadline=None, max_examples=50)
@given(
    fractions=st.lists(st.floats(0.01, 1), min_size=2, max_size=4).map(sorted),
    by=st.sampled_from(["scene", "patch"]),
    seed=st.integers(0, 99),
)
def test_smaller_subsets_lie_in_larger_ones(fractions, by, seed):
    rows = rows_of(20, 8)
    made = [{row.file for row in select_subset(rows, f, by=by, seed=seed)} for f in fractions]
    assert all(small <= large for small, large in pairwise(made))
    assert select_subset(rows, 1.0, by=by, seed=seed) == rows
    assert {row.file for row in select_subset(rows[::-1], fractions[0], by=by, seed=seed)} == made[0]


def test_subset_keeps_scenes_whole_or_kinds_alike():
    rows = rows_of(20, 8)
    by_scene = select_subset(rows, 0.1)
    assert len(by_scene) == 16 and len({row.scene for row in by_scene}) == 2
    kinds = [row.kind for row in select_subset(rows, 0.1, by="patch")]
    assert [kinds.count(kind) for kind in ("water", "mixed", "ice")] == [8, 4, 4]
    assert {row.scene for row in select_subset(rows, 0.1, seed=1)} != {row.scene for row in by_scene}


def rewrite(path: Path, **changes) -> None:
    with np.load(path) as file:
        content = {key: file[key] for key in file.files}
    for key, value in changes.items():
        content.pop(key) if value is None else content.update({key: value})
    np.savez(path, **content)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sar": None}, "expected sar in a patch, found amsr2"),
        ({"amsr2": np.zeros((13, 2, 2), np.float32)}, r"expected amsr2 of shape \(14, None, None\)"),
        ({"amsr2": np.zeros((14, 0, 2), np.float32)}, r"found \(14, 0, 2\)"),
        ({"amsr2": np.zeros(14, np.float32)}, r"found \(14,\)"),
        ({"row": np.zeros(2, np.int64)}, r"expected row of shape \(\)"),
        ({"column": np.array("x")}, "expected column of shape .* in int64"),
        ({"sar": np.zeros((2, 16, 16), np.complex64)}, "in float32, found .* in complex64"),
        ({"sar": np.full((2, 16, 16), np.nan, np.float32)}, "found NaN"),
        ({"amsr2": np.full((14, 2, 2), np.inf, np.float32)}, "found NaN or infinity"),
        ({"sar": np.zeros((2, 8, 8), np.float32)}, r"expected sar of shape \(2, 16, 16\)"),
        ({"sic": np.full((16, 16), 11, np.uint8)}, "expected classes 0 to 10 or 255"),
        ({"sic": np.zeros((16, 16))}, "in uint8, found .* in float64"),
    ],
)
def test_bad_patch_is_said_in_one_line(folder, tmp_path, change, message):
    row = read_manifest(folder)[0]
    path = shutil.copy(folder / row.file, tmp_path)
    rewrite(Path(path), **change)
    with pytest.raises(InputError, match=message) as caught:
        read_patch(Path(path), 16, inputs="sar+amsr2")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_damaged_patch(folder, tmp_path, content):
    path = tmp_path / "x.npz"
    whole = (folder / read_manifest(folder)[0].file).read_bytes()
    path.write_bytes(whole[:-100] if content is None else content)
    with pytest.raises(InputError, match="a patch is damaged"):
        read_patch(path, 16)


@pytest.mark.slow
def test_a_flipped_bit_anywhere_in_a_head_is_found_or_harmless(folder, tmp_path):
    whole = (folder / read_manifest(folder)[0].file).read_bytes()
    path = tmp_path / "x.npz"
    path.write_bytes(whole)
    good, found = read_patch(path, 16, inputs="sar+amsr2"), 0
    start = whole.index(b"amsr2.npy") - 30
    for place in (*range(start, start + 160), *range(len(whole) - 300, len(whole), 3)):
        body = bytearray(whole)
        body[place] ^= 1 << place % 8
        path.write_bytes(body)
        try:
            made = read_patch(path, 16, inputs="sar+amsr2")
        except InputError as error:
            found += 1
            assert "\n" not in str(error)
        else:
            assert all(np.array_equal(*pair) for pair in zip(good, made, strict=True))
    assert found > 50
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="a patch is damaged"):
        read_patch(path, 16, inputs="sar+amsr2")


def test_missing_patch_in_a_worker_is_one_line_too(folder):
    row = read_manifest(folder)[0]._replace(file="gone.npz")
    loader = DataLoader(PatchDataset(folder, [row]), num_workers=1)
    with pytest.raises(
        InputError, match=r"^expected a patch of the manifest, found none: .*gone.npz"
    ) as caught:
        list(iterate_batches(loader))
    assert "\n" not in str(caught.value)


def test_nothing_to_read_is_refused(folder):
    row = read_manifest(folder)[0]
    with pytest.raises(InputError, match="found none selected"):
        PatchDataset(folder, [])
    with pytest.raises(InputError, match=r"patches of one size, found \[16, 32\]"):
        PatchDataset(folder, [row, row._replace(size=32)])
    with pytest.raises(InputError, match="expected inputs with sar, hh or hv, found 'era5'"):
        PatchDataset(folder, [row], inputs="era5")
    with pytest.raises(InputError, match="fraction above 0"):
        select_subset([row], 0.0)
    with pytest.raises(InputError, match="by scene or patch"):
        select_subset([row], 0.5, by="region")
