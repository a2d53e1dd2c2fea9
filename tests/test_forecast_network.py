"""The network that corrects persistence: where it starts, what it sees, that it learns and goes on."""

import logging
import shutil
from datetime import date, timedelta

import numpy as np
import pytest
from cubes import INVENTED, small_grid, write_cube

import forecast as script
from seaice import InputError
from seaice.dates import DateRange
from seaice.flags import FillFlag, Surface
from seaice.forecast.file import ForecastFile
from seaice.forecast.network import forecaster as forecaster_module
from seaice.forecast.network.edges import fit_edges, move_edges
from seaice.forecast.network.forecaster import Forecaster, build_network, list_bases, read_checkpoint
from seaice.forecast.network.predict import predict_days
from seaice.forecast.network.train import train_network
from seaice.forecast.network.windows import PAST_DAYS, Batch, Maps, TrainingDays, read_channels, unpack
from seaice.forecast.record import SeaIceRecord

pytestmark = pytest.mark.usefixtures("one_thread")

START, DAYS, ROWS, COLUMNS = date(2024, 1, 1), 34, 20, 26
PERIOD = DateRange(START, START + timedelta(DAYS - 1))
TEST = (date(2024, 1, 27), date(2024, 2, 2))
LEADS = (1, 2, 3)
HALF_STEP = 5.1e-5  # of the files
SMALL = {"leads": "1-3", "options": ["width=2"], "validation_days": 0, "device": "cpu"}


def surface_of_test():
    surface = np.zeros((ROWS, COLUMNS), np.uint8)
    surface[:, :2] = Surface.LAND
    surface[4:6, 8:10] = Surface.POLE_HOLE
    return surface


def make_days(seed=0):
    """An edge that moves by half a cell a day: persistence errs, and its increments can be learnt."""
    rng = np.random.default_rng(seed)
    edge = 4 + 0.5 * np.arange(DAYS)[:, np.newaxis] + rng.uniform(-1, 1, ROWS)
    values = np.round((edge[..., np.newaxis] - np.arange(COLUMNS)).clip(0, 3) / 3, 4)
    values[rng.uniform(0, 1, values.shape) < 0.03] = np.nan
    return values


def write_days(path, values, **options):
    values = np.where(surface_of_test() == Surface.POLE_HOLE, np.nan, values)
    return write_cube(
        path, dates=list(PERIOD)[: len(values)], concentration=values, surface=surface_of_test(),
        grid=options.pop("grid", small_grid(ROWS, COLUMNS)), **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    return write_days(tmp_path_factory.mktemp("cube") / "cube.nc", make_days())


@pytest.fixture(scope="module")
def trained(cube, tmp_path_factory):
    """A training of forty steps, with its test."""
    folder = tmp_path_factory.mktemp("trained")
    return train_network(cube_file=cube, test=TEST, output_dir=folder, steps=40, **SMALL), folder


def read_all(path):
    with ForecastFile(path) as file:
        return {day: file.read(day)[0] for day in file.initial_days}


def cut_maps(days, number, **options):
    """The whole grid of a window as a network gets it, as arrays."""
    import torch

    batch = days.cut(number, (slice(None), slice(None)), **options)
    return Maps(*(values.numpy() for values in unpack(Batch(*map(torch.from_numpy, batch)))))


def make_own(channels, leads, change=0.0):
    """A network of one's own: the same increment everywhere."""
    import torch
    from torch import nn

    network = nn.Conv2d(channels, leads, 1)
    with torch.no_grad():
        network.weight.zero_()
        network.bias.fill_(change)
    return network


@pytest.mark.parametrize("shape", [(20, 26), (16, 16), (13, 7)])
def test_untrained_network_is_persistence(shape):
    import torch

    network = build_network("half", leads=7)
    assert sum(parameter.numel() for parameter in network.parameters()) == 125_652
    inputs = np.random.default_rng(1).normal(0, 1, (8, *shape)).astype(np.float32)
    increments = Forecaster(network, tuple(range(7)), torch.device("cpu")).compute_increments(inputs)
    assert increments.shape == (7, *shape)
    assert np.abs(increments).max() < 1e-6


@pytest.mark.parametrize("on", [None, "rolling"])
def test_forecast_of_a_network_without_increments_is_its_base(cube, on):
    import torch

    network = build_network("half", leads=3, on=on, options={"width": 2})
    with SeaIceRecord(cube) as record:
        base = on and forecaster_module.fit_base(on, record.up_to(PERIOD.end), PERIOD, LEADS)
        maps = Forecaster(network, LEADS, torch.device("cpu"), base).forecast(record, PERIOD.end)
        last = record.read_input(PERIOD.end)
        expected = base(record, PERIOD.end) if base else np.stack([last] * 3)
    np.testing.assert_allclose(maps, expected, atol=1e-6)
    assert np.isnan(maps[:, :, :2]).all() and np.isfinite(maps[:, :, 2:]).all()
    assert not on or np.abs(maps[2] - last)[:, 2:].max() > 0.05


def test_tiles_see_what_the_whole_grid_shows():
    import torch

    torch.manual_seed(0)
    network = build_network("half", leads=2, options={"width": 2})
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.1)
    made = Forecaster(network, (1, 2), torch.device("cpu"))
    inputs = np.random.default_rng(0).normal(0, 1, (8, 150, 230)).astype(np.float32)
    whole, tiled = made.compute_increments(inputs), made.compute_increments(inputs, tile=40)
    assert np.abs(whole).max() > 0.1
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_training_beats_persistence_on_what_can_be_learnt(cube, trained):
    report, folder = trained
    forecasts = read_all(folder / "test.nc")
    starts = list(DateRange(TEST[0] - timedelta(days=1), TEST[1] - timedelta(days=3)))
    assert list(forecasts) == report.values["initial_days"] == starts
    with SeaIceRecord(cube) as record:
        for column, lead in enumerate(LEADS):
            squares = np.zeros(2)
            for day, maps in forecasts.items():
                truth = record.read_observed(day + timedelta(days=lead))
                errors = (maps[column] - truth, record.read_input(day) - truth)
                squares += [np.nanmean(error**2) for error in errors]
            assert squares[0] < 0.7 * squares[1], lead
    content = read_checkpoint(folder / "last.pt")
    assert content["step"] == 40 and content["training_days"] == ["2024-01-01", "2024-01-26"]


@pytest.mark.parametrize("on", [None, "rolling"])
def test_no_day_after_the_initial_one_is_seen(cube, tmp_path, on):
    """The same bits if all later days are others: in training, in the test and in a prediction."""
    values = make_days()
    first = (TEST[0] - START).days
    values[first:] = np.random.default_rng(5).uniform(0, 1, values[first:].shape).round(4)
    changed = write_days(tmp_path / "changed.nc", values)
    start = TEST[0] - timedelta(days=1)
    maps = []
    for number, path in enumerate((cube, changed)):
        folder = tmp_path / str(number)
        train_network(cube_file=path, test=TEST, output_dir=folder, steps=4, on=on, **SMALL)
        alone = folder / "alone.nc"
        predict_days(
            checkpoint=[folder / "last.pt"], cube_file=path, start=start, device="cpu", output_file=alone
        )
        maps.append((read_all(folder / "test.nc")[start], read_all(alone)[start]))
    np.testing.assert_array_equal(maps[0][0], maps[1][0])
    np.testing.assert_array_equal(maps[0][1], maps[1][1])
    np.testing.assert_array_equal(maps[0][0], maps[0][1])


def read_state(folder):
    return {name: value.numpy() for name, value in read_checkpoint(folder / "last.pt")["state"].items()}


def test_seed_fixes_the_weights_and_a_stopped_training_ends_like_any_other(cube, tmp_path, monkeypatch):
    from seaice.forecast.network import trainer

    monkeypatch.setattr(trainer, "_STEPS_PER_LINE", 3)
    arguments = {"cube_file": cube, "test": TEST, "steps": 8, **SMALL}
    draw, drawn = TrainingDays.draw, []

    def record_draw(self, rng, **options):
        batch = draw(self, rng, **options)
        drawn.append(batch.past.tobytes())
        return batch

    monkeypatch.setattr(TrainingDays, "draw", record_draw)
    train_network(output_dir=tmp_path / "a", **arguments)
    assert len(set(drawn)) == 8
    train_network(output_dir=tmp_path / "other", **arguments, seed=1)
    whole, other = read_state(tmp_path / "a"), read_state(tmp_path / "other")
    # Further apart than eight steps can move them: the seed draws the first weights too.
    assert np.abs(whole["down.0.0.weight"] - other["down.0.0.weight"]).max() > 0.05
    step = trainer.Trainer._train_step

    def stop(self, batch):
        if self.step == 5:
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr(trainer.Trainer, "_train_step", stop)
    with pytest.raises(KeyboardInterrupt):
        train_network(output_dir=tmp_path / "b", **arguments)
    assert read_checkpoint(tmp_path / "b" / "last.pt")["step"] == 3
    monkeypatch.setattr(trainer.Trainer, "_train_step", step)
    train_network(output_dir=tmp_path / "b", **arguments)
    resumed = read_state(tmp_path / "b")
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    with pytest.raises(InputError, match="was trained with seed 0, not 3"):
        train_network(output_dir=tmp_path / "b", **arguments, seed=3)


@pytest.mark.parametrize("backwards", [False, True])
def test_windows_are_the_days_of_the_record(tmp_path, backwards):
    """Forwards as a forecast sees them; backwards without any value from the days to be forecast."""
    values = make_days()
    values[5:12, 15, 12:14] = np.nan  # all the past of the window that runs backwards
    with SeaIceRecord(write_days(tmp_path / "cube.nc", values)) as record:
        active = np.ones(record.grid.shape, bool)
        days = TrainingDays(record, PERIOD, LEADS, active)
        number = (days.backwards if backwards else days.forwards)[4]
        day, sign = PERIOD.start + timedelta(days=number), -1 if backwards else 1
        inputs, base, targets, weights = cut_maps(days, number, backwards=backwards)
        np.testing.assert_array_equal(base, np.broadcast_to(inputs[0], base.shape))
        if not backwards:
            np.testing.assert_allclose(inputs, read_channels(record, day), atol=2 * HALF_STEP)
        past = [record.read_observed(day - timedelta(days=sign * back)) for back in range(PAST_DAYS)]
        expected = past[-1]
        for values in past[-2::-1]:
            expected = np.where(np.isnan(values), expected, values)
        known = np.isfinite(expected)
        np.testing.assert_allclose(inputs[0][known], expected[known], atol=1e-6)
        for row, lead in enumerate(LEADS):
            truth = record.read_observed(day + timedelta(days=sign * lead))
            is_learnt = np.isfinite(truth) & (known if backwards else True)
            np.testing.assert_array_equal(weights[row], is_learnt)
            np.testing.assert_allclose(targets[row][is_learnt], truth[is_learnt], atol=1e-6)
    assert 0.8 < weights[:, :, 2:].mean() < 1
    assert known[15, 12:14].all() != backwards and np.isfinite(truth[15, 12:14]).any()


def test_first_and_last_days_are_learnt_as_far_as_they_go(cube):
    with SeaIceRecord(cube) as record:
        days = TrainingDays(record, PERIOD, (1, 3), np.ones(record.grid.shape, bool))
    assert days.forwards[0] == PAST_DAYS - 1 and days.forwards[-1] == DAYS - 2
    assert days.backwards[0] == 1 and days.backwards[-1] == DAYS - PAST_DAYS
    for number, backwards in ((DAYS - 2, False), (1, True)):
        weights = cut_maps(days, number, backwards=backwards).weights
        assert weights[0].any() and not weights[1].any()


def test_filled_values_are_no_targets(tmp_path):
    values = np.nan_to_num(make_days())
    flags = np.full(values.shape, FillFlag.OBSERVED, np.uint8)
    flags[:, 10:12, 5:20] = INVENTED[0]
    with SeaIceRecord(write_days(tmp_path / "cube.nc", values, flags=flags)) as record:
        days = TrainingDays(record, PERIOD, LEADS, np.ones(record.grid.shape, bool))
        weights = cut_maps(days, days.forwards[0]).weights
    assert not weights[:, 10:12, 5:20].any() and weights[:, 12:, 5:20].all()


def test_prediction_beyond_the_cube_and_an_ensemble(cube, trained, tmp_path):
    _, folder = trained
    train_network(cube_file=cube, test=TEST, output_dir=tmp_path / "b", steps=4, seed=1, **SMALL)
    status = script.main([
        "predict", "--checkpoint", str(folder / "last.pt"), str(tmp_path / "b" / "last.pt"),
        "--cube_file", str(cube), "--device", "cpu", "--output_file", str(tmp_path / "fc.nc"),
    ])  # fmt: skip
    assert status == 0
    with ForecastFile(tmp_path / "fc.nc") as file, SeaIceRecord(cube) as record:
        assert file.initial_days == [PERIOD.end] and file.leads == [1, 2, 3] and file.members == 2
        maps = file.read(PERIOD.end)
        last = record.read_input(PERIOD.end)
    assert np.nanmax(np.abs(maps[0] - maps[1])) > 0.001
    assert np.nanmean(maps[0, 2] - last) > np.nanmean(maps[0, 0] - last) > 0.003


def test_a_network_of_ones_own(cube, tmp_path):
    report = train_network(
        cube_file=cube, test=TEST, output_dir=tmp_path, steps=1, leads="1-3", validation_days=0,
        model="test_forecast_network:make_own", options=["change=0.25"], device="cpu",
        season_neutral=True,
    )  # fmt: skip
    assert report.values["parameters"] == 27
    with ForecastFile(tmp_path / "test.nc") as file, SeaIceRecord(cube) as record:
        day = file.initial_days[0]
        expected = (record.read_input(day) + 0.25).clip(0, 1)
        # A quarter of ice everywhere is no ice: the edge is moved.
        assert 0.25 <= report.values["edges"][0][0] < 0.27
        expected = move_edges(expected[np.newaxis], report.values["edges"][0][:1])[0]
        np.testing.assert_allclose(file.read(day)[0, 0], expected, atol=0.01)


def test_edge_is_the_concentration_with_as_much_ice_as_there_was(cube):
    """Against a loop over cells; a target after the last day of the record tells nothing."""
    days = [START + timedelta(days=n) for n in (8, 12, 22)]

    def forecast(record, day):
        last = record.read_input(day)
        outside = 0.09 * (np.arange(ROWS) >= 10)[:, np.newaxis]
        return np.stack([last - 0.1, last + 0.2 + outside]).clip(0, 1)

    with SeaIceRecord(cube) as whole:
        record = whole.up_to(days[-1] + timedelta(days=1))
        active = record.find_active_region(DateRange(START, days[-1]))
        active[10:] = False
        edges = fit_edges(forecast, record, days, active, (1, 2))
        excess = dict.fromkeys(range(15, 31), 0.0)
        for day in days[:2]:
            truth, values = record.read_observed(day + timedelta(days=2)), forecast(record, day)[1]
            for row, column in zip(*np.nonzero(active & np.isfinite(truth)), strict=True):
                area = float(np.broadcast_to(record.cell_area, active.shape)[row, column])
                for percent in excess:
                    is_ice = values[row, column] >= percent / 100 - 1e-6
                    observed = truth[row, column] >= 0.15 - 1e-6
                    excess[percent] += area * (int(is_ice) - int(observed))
        best = min(excess, key=lambda percent: (round(abs(excess[percent]), 3), percent))
        assert edges == (0.15, best / 100) and best > 15
        assert fit_edges(forecast, record, [], active, (1, 2)) == (0.15, 0.15)


def test_moved_edge_lies_at_15_percent_and_thick_ice_stays():
    values = np.array([[0, 0.1, 0.2, 0.275, 0.35, 0.7, 1, np.nan]], np.float32)
    expected = [[0, 0.075, 0.15, 0.25, 0.35, 0.7, 1, np.nan]]
    np.testing.assert_allclose(move_edges(values, [0.2]), expected, atol=1e-6)
    np.testing.assert_allclose(move_edges(values, [0.15]), values, atol=1e-6)


def test_persistence_stands_beside_the_loss_of_days_kept_back(cube, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    arguments = SMALL | {"validation_days": 6}
    report = train_network(cube_file=cube, test=TEST, output_dir=tmp_path, steps=2, **arguments)
    (line,) = [r.getMessage() for r in caplog.records if "persistence" in r.getMessage()]
    # The last day that is trained on is the first that is forecast from; none is of the test.
    assert "RMSE on 2024-01-20 to 2024-01-26: lead 1" in line
    assert report.values["windows"] == 20 - PAST_DAYS
    with SeaIceRecord(cube) as record:
        region = record.find_active_region(DateRange(START, date(2024, 1, 20)))
        squares = []
        for day in DateRange(date(2024, 1, 20), date(2024, 1, 25)):
            error = record.read_observed(day + timedelta(days=1)) - record.read_input(day)
            use = region & np.isfinite(error)
            squares.append(np.average(error[use] ** 2, weights=record.cell_area[use]))
    assert f"(persistence {100 * np.sqrt(np.mean(squares)):.2f} %)" in line


REFUSED = [
    ({"on": "lagged"}, "expected on out of persistence"),
    ({"on": "rolling", "season_neutral": True}, "no window can run backwards"),
    ({"model": "unet"}, "expected half or MODULE:FUNCTION"),
    ({"model": "os:getcwd"}, "expected a module of your own"),
    ({"options": ["depth=2"]}, "half does not take these options"),
    ({"validation_days": 26}, "leaves none of the 26 training days"),
    ({"validation_days": 20}, "expected at least 8 training days in a row"),
    ({"test": (date(2024, 1, 27), date(2024, 3, 2))}, "the test ends on 2024-03-02"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[m for _, m in REFUSED])
def test_bad_settings_are_refused(cube, tmp_path, arguments, message):
    options = {"cube_file": cube, "test": TEST, "output_dir": tmp_path, "steps": 1} | SMALL | arguments
    with pytest.raises(InputError, match=message):
        train_network(**options)


def test_bad_predictions_are_refused(cube, trained, tmp_path):
    checkpoint, output = trained[1] / "last.pt", tmp_path / "fc.nc"
    coarse = write_days(tmp_path / "coarse.nc", make_days(), grid=small_grid(ROWS, COLUMNS, 50000.0))
    for path, start, message in (
        (cube, date(2024, 2, 4), "cannot forecast from 2024-02-04"),
        (cube, date(2024, 1, 6), "7 days up to it are needed, .* has 6"),
        (coarse, None, "trained on cells of 25 km, .* has cells of 50 km"),
    ):
        with pytest.raises(InputError, match=message):
            predict_days(checkpoint=[checkpoint], cube_file=path, start=start, output_file=output)
    with pytest.raises(InputError, match=r"expected a checkpoint of forecast\.py train"):
        predict_days(checkpoint=[cube], cube_file=cube, output_file=output)
    assert "lagged" not in list_bases() and not output.exists()


def test_a_training_of_several_seeds_predicts_with_all_of_them(cube, tmp_path):
    """Each network is that of its seed alone; neither threads nor their number change it."""
    arguments = {"cube_file": cube, "test": TEST, "steps": 3, **SMALL}
    report = train_network(output_dir=tmp_path / "all", seed=4, seeds=2, workers=3, **arguments)
    train_network(output_dir=tmp_path / "alone", seed=5, workers=0, **arguments)
    paths = [tmp_path / "all" / f"seed_{seed}" / "last.pt" for seed in (4, 5)]
    assert report.outputs == [*paths, tmp_path / "all" / "test.nc"]
    for name, value in read_state(tmp_path / "alone").items():
        np.testing.assert_array_equal(read_state(paths[1].parent)[name], value, err_msg=name)
    first, second = (read_state(path.parent)["down.0.0.weight"] for path in paths)
    assert np.abs(first - second).max() > 0.05
    options = {"cube_file": cube, "device": "cpu"}
    shutil.copytree(paths[0].parent, tmp_path / "all" / "seed_4_before")
    with pytest.raises(InputError, match=r"every checkpoint once, found .*seed_4/last.pt twice"):
        predict_days(checkpoint=[tmp_path / "all", paths[0]], output_file=tmp_path / "2.nc", **options)
    for number, checkpoint in enumerate(([tmp_path / "all"], paths)):
        predict_days(checkpoint=checkpoint, output_file=tmp_path / f"{number}.nc", **options)
    with ForecastFile(tmp_path / "all" / "test.nc") as file:
        assert file.members == 2 and file.method == "half_ensemble"
    maps = [read_all(tmp_path / f"{number}.nc")[PERIOD.end] for number in range(2)]
    np.testing.assert_array_equal(*maps)
    with pytest.raises(InputError, match="no checkpoint"):
        predict_days(checkpoint=[tmp_path], output_file=tmp_path / "fc.nc", **options)


def test_larger_batches_patches_and_half_the_precision(cube, tmp_path):
    arguments = {"cube_file": cube, "test": TEST, "steps": 2, **SMALL}
    train_network(output_dir=tmp_path / "a", **arguments)
    train_network(output_dir=tmp_path / "b", precision="bf16", batch_size=2, patch_size=16, **arguments)
    settings = read_checkpoint(tmp_path / "b" / "last.pt")["settings"]
    assert (settings["precision"], settings["batch_size"], settings["patch_size"]) == ("bf16", 2, 16)
    with pytest.raises(InputError, match="was trained with precision bf16, not fp32"):
        train_network(output_dir=tmp_path / "b", batch_size=2, patch_size=16, **arguments)
    maps = [read_all(tmp_path / name / "test.nc")[TEST[0] - timedelta(days=1)] for name in "ab"]
    assert 0 < np.nanmax(np.abs(maps[0] - maps[1])) < 0.05


def test_parts_of_a_large_grid_are_watched_like_all_of_it(tmp_path, monkeypatch):
    """All parts together have the error of the whole grid; of many parts some are drawn."""
    import torch

    from seaice.forecast.network import watch

    def shift(channels, leads):
        return make_own(channels, leads, change=0.05)

    with SeaIceRecord(write_days(tmp_path / "cube.nc", np.nan_to_num(make_days()))) as record:
        trained = DateRange(START, date(2024, 1, 20))
        days = TrainingDays(
            record.up_to(trained.end), trained, LEADS, record.find_active_region(trained)
        )
        network = Forecaster(shift(8, 3), LEADS, torch.device("cpu"))

        def describe():
            starts = [date(2024, 1, 21), date(2024, 1, 24)]
            return watch.Watch(record, starts, date(2024, 1, 30), days).describe(network)

        whole = describe()
        monkeypatch.setattr(forecaster_module, "_MARGIN", 2)
        for name, value in {"TILE": 10, "_PART": 8, "_PARTS": 1000}.items():
            monkeypatch.setattr(watch, name, value)
        assert describe() == whole
        monkeypatch.setattr(watch, "_PARTS", 3)
        drawn = describe()
    assert "lead 3" in whole and "in 3 parts of 8 x 8 cells" in drawn
    assert drawn.replace(" in 3 parts of 8 x 8 cells", "") != whole


def test_whole_frames_are_turned_by_half(cube):
    with SeaIceRecord(cube) as record:
        days = TrainingDays(record, PERIOD, LEADS, record.find_active_region(PERIOD))
    drawn = [
        days.draw(np.random.default_rng(seed), count=2, size=448, share_backwards=0) for seed in range(6)
    ]
    assert {batch.ocean.shape for batch in drawn} == {(2, ROWS, COLUMNS)}
    # Land lies in the first columns, or after a half turn or a reflection in the last.
    lands = {int(np.flatnonzero(~ocean.any(axis=0))[0]) for batch in drawn for ocean in batch.ocean}
    assert lands == {0, COLUMNS - 2}


def test_packed_windows_tell_the_error_of_their_base(cube):
    with SeaIceRecord(cube) as record:
        days = TrainingDays(record, PERIOD, LEADS, record.find_active_region(PERIOD))
        sums = np.zeros((2, 3))
        for number in days.forwards:
            maps = cut_maps(days, number)
            sums[0] += (maps.weights * (maps.targets - maps.base) ** 2).sum(axis=(1, 2))
            sums[1] += maps.weights.sum(axis=(1, 2))
    np.testing.assert_allclose(days.measure_base(), sums[0] / sums[1], rtol=1e-5)
