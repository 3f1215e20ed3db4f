"""The training loop against the published tutorials' mistakes: what is watched, what is kept, what is counted."""

import math
import os
import pickle
import time

import numpy as np
import paddle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paddle.io import TensorDataset
from paddle.nn.functional import binary_cross_entropy_with_logits, mse_loss

from helpers import files, networks, training
from helpers.files import DataError
from helpers.schedules import Schedule, learning_rate


def accuracy(targets, log_odds):
    return float(np.mean((log_odds > 0) == (targets > 0.5)))


def mean_error(targets, outputs):
    return float(np.mean(abs(targets - outputs)))


CLASSIFY = {"loss": binary_cross_entropy_with_logits, "metric": accuracy, "seed": 3}
REGRESS = {"loss": mse_loss, "metric": mean_error, "seed": 3}


def dataset(x, y):
    x, y = np.float32(x), np.float32(y)
    return TensorDataset([paddle.to_tensor(x.reshape(len(x), -1)), paddle.to_tensor(y.reshape(len(y), -1))])


def clouds(cases, seed):
    """Two classes of points in four dimensions, not quite apart."""
    rng = np.random.default_rng(seed)
    y = np.arange(cases) % 2
    return dataset(rng.normal(0, 1, (cases, 4)) + 1.5 * y[:, None], y)


def small_network():
    """With everything that has a state or a chance in it: normalisation and dropout."""
    paddle.seed(11)
    nn = paddle.nn
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1D(8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 1))


def arrays(network):
    return {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


class Bias(paddle.nn.Layer):
    """The log-odds are the input plus one trained number, so that every curve can be worked out by hand."""

    def __init__(self, start):
        super().__init__()
        self.bias = self.create_parameter([1], default_initializer=paddle.nn.initializer.Constant(start))

    def forward(self, x):
        return x + self.bias


class Probe(paddle.nn.Layer):
    """Notes in which state of the machine it is asked."""

    def __init__(self):
        super().__init__()
        self.inner, self.seen = paddle.nn.Linear(4, 1), []

    def forward(self, x):
        self.seen.append((self.training, paddle.is_grad_enabled(), len(x)))
        return self.inner(x)


# What is watched and what is kept


def run_disagreement(patience):
    """A validation set on which accuracy still rises long after the loss has begun to.

    The bias climbs by 0.25 an epoch. Three cases turn right once it is above 2; two others, hopelessly wrong, cost more
    and more, so that the loss is lowest near 2 - ln 2 = 1.31, where none of the three is right yet.
    """
    valid = dataset([-2, -2, -2, 3, 3, -30, -30], [1, 1, 1, 0, 0, 0, 0])
    network, kept = Bias(-1.0), []
    schedule = Schedule(epochs=30, batch=4, rate=0.25, decay=1.0, patience=patience)
    fit = training.fit(
        network,
        dataset([-50] * 4, [1] * 4),
        valid,
        schedule=schedule,
        report=lambda line: kept.append(network.bias.item()),
        **CLASSIFY,
    )
    return network, fit, kept, valid


def test_stopping_and_keeping_watch_the_same_figure():
    network, fit, kept, _ = run_disagreement(patience=5)
    losses = [row["valid_loss"] for row in fit.rows]
    metrics = [row["valid_metric"] for row in fit.rows]
    lowest = int(np.argmin(losses)) + 1
    assert int(np.argmax(metrics)) + 1 != lowest, "the case is of no use: both figures agree"
    assert fit.best_epoch == lowest
    assert len(fit.rows) == lowest + 5  # stopped by that very figure, though the accuracy had just found a new high
    assert metrics[-1] == max(metrics) > metrics[lowest - 1]
    assert network.bias.item() == kept[lowest - 1] == pytest.approx(1.31, abs=0.15)
    assert fit.ended == "stopped after 5 epochs without a lower validation loss"
    assert str(fit).startswith(f"{fit.ended}; kept epoch {lowest} of {lowest + 5}: ")
    assert f"valid loss {min(losses):.3f}" in str(fit)


@pytest.mark.parametrize("patience", [1, 3])
def test_patience_counts_the_epochs_after_the_best(patience):
    _, fit, _, _ = run_disagreement(patience)
    assert len(fit.rows) == fit.best_epoch + patience


def test_the_network_ends_as_it_was_in_its_best_epoch():
    network, fit, _, valid = run_disagreement(patience=8)
    loss, metric = training.evaluate(network, valid, CLASSIFY["loss"], accuracy, batch=7)
    assert (loss, metric) == (fit.rows[fit.best_epoch - 1]["valid_loss"], fit.rows[fit.best_epoch - 1]["valid_metric"])
    assert loss < fit.rows[-1]["valid_loss"]


def test_normalisation_is_kept_with_the_weights_of_the_best_epoch(tmp_path):
    network, states = small_network(), []
    fit = training.fit(
        network,
        clouds(40, 0),
        clouds(30, 1),
        schedule=Schedule(epochs=25, batch=8, rate=0.05, patience=4),
        weights=tmp_path / "w.safetensors",
        report=lambda line: states.append(arrays(network)),
        **CLASSIFY,
    )
    assert fit.best_epoch < len(fit.rows), "the case is of no use: the last epoch was the best"
    assert same(arrays(network), states[fit.best_epoch - 1])
    assert not same(arrays(network), states[-1])
    saved = files.load_weights(tmp_path / "w.safetensors")  # the file holds what the network holds
    assert same(saved, arrays(network))


def test_without_validation_cases_the_last_epoch_is_kept_and_said():
    network, kept = Bias(0.0), []
    schedule = Schedule(epochs=5, batch=4, rate=0.25, patience=1)
    fit = training.fit(
        network,
        dataset([-50] * 4, [1] * 4),
        [],
        schedule=schedule,
        report=lambda line: kept.append((network.bias.item(), line)),
        **CLASSIFY,
    )
    assert fit.best_epoch == len(fit.rows) == 5  # patience has nothing to watch
    assert network.bias.item() == kept[-1][0]
    assert {row["valid_loss"] for row in fit.rows} == {row["valid_metric"] for row in fit.rows} == {None}
    assert "without a validation case, so the last epoch is kept" in str(fit)
    assert "valid" not in kept[-1][1]


# The same seed


def train_small(seed, disturb=False):
    network = small_network()
    if disturb:
        paddle.seed(4711)
        np.random.seed(4711)  # noqa: NPY002 - to prove that the global state plays no part
        paddle.rand([7])
    schedule = Schedule(4, 8, 0.02, kind="one-cycle", weight_decay=1e-2)
    fit = training.fit(network, clouds(45, 0), clouds(20, 1), schedule=schedule, **CLASSIFY | {"seed": seed})
    return arrays(network), [{k: v for k, v in row.items() if k != "seconds"} for row in fit.rows]


def test_the_same_seed_is_the_same_run_to_the_last_bit():
    (weights, rows), (again, rows_again) = train_small(5), train_small(5, disturb=True)
    assert rows == rows_again
    assert same(weights, again)
    other, rows_other = train_small(6)
    assert rows != rows_other
    assert not same(weights, other)


def test_each_epoch_sees_every_case_once_in_an_order_of_its_own():
    class Watched(paddle.io.Dataset):
        epoch, asked = 0, ()

        def __len__(self):
            return 10

        def __getitem__(self, item):
            self.asked += ((self.epoch, item),)
            return np.float32([item]), np.float32([item])

    samples = Watched()
    training.fit(paddle.nn.Linear(1, 1), samples, [], schedule=Schedule(3, 4, 0.01), **REGRESS)
    orders = [[item for epoch, item in samples.asked if epoch == number] for number in range(3)]
    assert [sorted(order) for order in orders] == [list(range(10))] * 3
    assert len({tuple(order) for order in orders}) == 3
    assert list(range(10)) not in orders


@pytest.mark.parametrize(("cases", "batch"), [(17, 8), (210, 8), (9, 2), (5, 8), (16, 8)])
def test_no_batch_is_a_leftover(cases, batch):
    """On two cases BatchNorm makes every feature of the last block plus or minus one; on one, Paddle skips it."""
    network = Probe()
    training.fit(network, clouds(cases, 0), [], schedule=Schedule(1, batch, 0.01), **CLASSIFY)
    sizes = [size for _, _, size in network.seen]
    assert sum(sizes) == cases
    assert len(sizes) == -(-cases // batch)  # as few steps as the batch allows
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1


# Counted over cases


@pytest.mark.parametrize("batch", [1, 3, 4, 7, 100])
def test_evaluation_is_counted_over_cases_not_batches(batch):
    x = np.arange(10.0)
    y = np.where(x == 9, 100.0, x)  # the odd case sits alone in the last batch of three: a mean of means would shout
    loss, metric = training.evaluate(paddle.nn.Identity(), dataset(x, y), mse_loss, mean_error, batch)
    assert loss == pytest.approx(91**2 / 10)
    assert metric == pytest.approx(9.1)
    assert training.predict(paddle.nn.Identity(), dataset(x, y), batch)[:, 0].tolist() == x.tolist()


def test_the_training_loss_and_metric_are_counted_over_cases():
    schedule = Schedule(epochs=1, batch=4, rate=0.0)  # a rate of 0: every batch sees the same network
    x = np.arange(10.0)
    fit = training.fit(Bias(1.0), dataset(x, x), [], schedule=schedule, **REGRESS)
    assert fit.rows[0]["loss"] == pytest.approx(1)
    x[:] = np.arange(10) ** 2
    fit = training.fit(Bias(0.0), dataset(x, np.zeros(10)), [], schedule=schedule, **REGRESS)
    assert fit.rows[0]["loss"] == pytest.approx(np.mean(x**2))
    assert fit.rows[0]["metric"] == pytest.approx(np.mean(x))


def test_evaluation_changes_nothing():
    network, valid = small_network(), clouds(30, 2)
    network.train()
    before = arrays(network)
    loss, _ = training.evaluate(network, valid, CLASSIFY["loss"], accuracy, batch=7)
    assert same(arrays(network), before)  # the statistics of the normalisation among them
    assert all(p.grad is None for p in network.parameters())
    assert training.evaluate(network, valid, CLASSIFY["loss"], accuracy, batch=7)[0] == loss  # dropout is off


def test_gradients_are_on_in_training_alone():
    network = Probe()
    training.fit(network, clouds(10, 0), clouds(6, 1), schedule=Schedule(2, 4, 0.01), **CLASSIFY)
    epoch = [(True, True, 4), (True, True, 3), (True, True, 3), (False, False, 3), (False, False, 3)]
    assert network.seen == epoch * 2


def test_predicting_nothing_gives_nothing():
    assert training.predict(paddle.nn.Identity(), []).shape == (0, 1)
    assert training.evaluate(paddle.nn.Identity(), [], mse_loss, mean_error, 4) == (None, None)


# The learning rate


def test_the_weights_move_as_far_as_the_decayed_rate_says():
    # With one constant sign of gradient Adam steps by the rate itself: the tutorials' scheduler, never stepped, fails.
    network, places = Bias(0.0), [0.0]
    schedule = Schedule(epochs=5, batch=4, rate=0.1, decay=0.5)
    fit = training.fit(
        network,
        dataset([-50] * 4, [1] * 4),
        [],
        schedule=schedule,
        report=lambda line: places.append(network.bias.item()),
        **CLASSIFY,
    )
    assert np.diff(places) == pytest.approx([0.1, 0.05, 0.025, 0.0125, 0.00625], rel=1e-3)
    assert [row["rate"] for row in fit.rows] == pytest.approx([0.1, 0.05, 0.025, 0.0125, 0.00625])


def test_one_cycle_moves_within_an_epoch():
    places = []

    class Steps(Bias):
        def forward(self, x):
            places.append(self.bias.item())
            return super().forward(x)

    network, schedule = Steps(0.0), Schedule(epochs=2, batch=1, rate=0.1, kind="one-cycle")
    training.fit(network, dataset([-50] * 12, [1] * 12), [], schedule=schedule, **CLASSIFY)
    wanted = [learning_rate(schedule, epoch, step / 12) for epoch in (0, 1) for step in range(12)]
    assert np.diff([*places, network.bias.item()]) == pytest.approx(wanted, rel=1e-2, abs=1e-6)
    assert len(set(wanted[:12])) == 12


@given(st.integers(1, 200), st.integers(0, 199), st.floats(0, 0.999), st.floats(1e-6, 1))
def test_one_cycle_stays_between_nothing_and_its_peak(epochs, epoch, part, rate):
    schedule = Schedule(epochs, 8, rate, kind="one-cycle")
    epoch = min(epoch, epochs - 1)
    value = learning_rate(schedule, epoch, part)
    assert 0 < value <= rate * (1 + 1e-12)
    assert learning_rate(schedule, epoch, part) == value
    later = learning_rate(schedule, epoch, min(part + 1e-7, 0.999))
    assert abs(later - value) < rate * 1e-4  # no jump


def test_one_cycle_rises_to_its_peak_and_falls():
    schedule = Schedule(100, 8, 0.01, kind="one-cycle")
    rates = [learning_rate(schedule, epoch, 0) for epoch in range(100)]
    assert int(np.argmax(rates)) == 30
    assert rates[30] == pytest.approx(0.01)
    assert rates[0] == pytest.approx(0.01 / 25)
    assert rates[-1] < 1e-5
    assert (np.diff(rates[:31]) > 0).all()
    assert (np.diff(rates[30:]) < 0).all()


def test_the_published_decay_is_applied_each_epoch():
    schedule = Schedule(epochs=100, batch=2, rate=1e-4)
    rates = [learning_rate(schedule, epoch, part) for epoch in range(100) for part in (0, 0.5)]
    assert rates == pytest.approx(np.repeat(1e-4 * 0.96 ** np.arange(100), 2))


def test_natural_exponential_decay_is_the_exponential_one_with_a_decay_of_its_own():
    plan = Schedule(epochs=8, batch=64, rate=3e-4, decay=math.exp(-0.6))
    published, rates = paddle.optimizer.lr.NaturalExpDecay(3e-4, 0.6), []
    for _ in range(8):
        rates.append(published())
        published.step()
    assert [learning_rate(plan, epoch, 0.0) for epoch in range(8)] == pytest.approx(rates)


@pytest.mark.parametrize(("epochs", "cycles"), [(70, 1), (12, 3), (4, 4)])
def test_cosine_annealing_falls_from_its_rate_to_nothing_in_every_cycle(epochs, cycles):
    plan = Schedule(epochs, 16, 1e-3, kind="cosine", cycles=cycles)
    rates = np.array([[learning_rate(plan, epoch, step / 10) for step in range(10)] for epoch in range(epochs)])
    for cycle in rates.reshape(cycles, -1):
        # as Paddle anneals, which counts steps
        published, wanted = paddle.optimizer.lr.CosineAnnealingDecay(1e-3, len(cycle)), []
        for _ in cycle:
            wanted.append(published())
            published.step()
        assert cycle == pytest.approx(wanted, abs=1e-9)
        assert cycle[0] == 1e-3
        assert 0 < cycle[-1] < 3e-5


def train_in_cycles(folder=None, **options):
    """Six epochs in three cycles; the states after each epoch are noted."""
    network, states = small_network(), []
    plan = Schedule(6, 8, 0.05, kind="cosine", cycles=3)
    checkpoint = {"checkpoint": folder / "last.safetensors"} if folder else {}
    facts = CLASSIFY | checkpoint | {"report": lambda line: states.append(arrays(network))} | options
    fit = training.fit(network, clouds(40, 0), clouds(30, 1), schedule=plan, **facts)
    return network, fit, states


def test_a_snapshot_is_taken_at_the_end_of_each_cycle():
    network, fit, states = train_in_cycles()
    assert len(fit.snapshots) == 3
    assert all(same(snapshot, states[epoch]) for snapshot, epoch in zip(fit.snapshots, (1, 3, 5), strict=True))
    assert same(arrays(network), states[fit.best_epoch - 1])  # it is still left at its best
    assert len({row["rate"] for row in fit.rows}) == 2  # the rate of every cycle is the same


def test_other_schedules_take_no_snapshot():
    fit = training.fit(small_network(), clouds(40, 0), [], schedule=Schedule(2, 8, 0.05), **CLASSIFY)
    assert fit.snapshots == []


@pytest.mark.parametrize("epoch", [2, 3, 4, 6])
def test_snapshots_outlive_a_broken_training(epoch, tmp_path):
    """Broken off by an error in any epoch and resumed in a new network, all of them are as if nothing had been."""

    def broken(outputs, targets):
        calls.append(1)
        if len(calls) == 6 * (epoch - 1) + 3:  # 5 batches an epoch, and the validation's one
            raise RuntimeError("the power is cut")
        return binary_cross_entropy_with_logits(outputs, targets)

    broken.__name__, calls = binary_cross_entropy_with_logits.__name__, []
    wanted = train_in_cycles()[1].snapshots
    with pytest.raises(RuntimeError, match="power"):
        train_in_cycles(tmp_path, loss=broken)
    _, fit, _ = train_in_cycles(tmp_path, resume=True)
    assert len(fit.snapshots) == 3
    assert all(same(one, other) for one, other in zip(fit.snapshots, wanted, strict=True))


def test_a_training_that_stops_early_has_the_snapshots_it_reached():
    hopeless = dataset([-30] * 4, [1] * 4)  # the validation loss climbs from the first epoch
    plan = Schedule(9, 4, 0.25, kind="cosine", cycles=3, patience=4)
    facts = CLASSIFY | {"schedule": plan}
    fit = training.fit(Bias(0.0), dataset([50] * 4, [0] * 4), hopeless, **facts)
    assert (len(fit.rows), len(fit.snapshots)) == (5, 1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "linear"}, "one of one-cycle, exponential, cosine, but is 'linear'"),
        ({"epochs": 0}, "epochs must be at least 1, but is 0"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"kind": "cosine", "cycles": 0}, "cycles must be at least 1, but is 0"),
        ({"kind": "cosine", "cycles": 2}, "5 epochs cannot be shared out evenly among 2 cycles"),
        ({"cycles": 5}, "cycles are for the kind 'cosine', but the kind is 'exponential'"),
    ],
)
def test_an_impossible_schedule_is_refused_before_the_training(wrong, words):
    with pytest.raises(ValueError, match=words):
        Schedule(**{"epochs": 5, "batch": 8, "rate": 0.1} | wrong)


def test_without_weight_decay_it_is_adam():
    one, other = paddle.nn.Linear(4, 1), paddle.nn.Linear(4, 1)
    other.set_state_dict(one.state_dict())
    data = clouds(8, 0)
    training.fit(one, data, [], schedule=Schedule(3, 8, 0.1, decay=1.0), **CLASSIFY)
    adam = paddle.optimizer.Adam(0.1, parameters=other.parameters())
    for _ in range(3):
        binary_cross_entropy_with_logits(other(data.tensors[0]), data.tensors[1]).backward()
        adam.step()
        adam.clear_grad()
    for name, array in arrays(one).items():
        assert array == pytest.approx(arrays(other)[name], abs=1e-5)


# What cannot go on


def test_a_loss_that_is_no_number_names_epoch_and_batch():
    calls = []

    def poisoned(outputs, targets):
        calls.append(1)
        return mse_loss(outputs, targets) * (float("nan") if len(calls) == 7 else 1)

    facts = {**REGRESS, "loss": poisoned}
    with pytest.raises(FloatingPointError, match=r"nan in epoch 2, batch 3; lower the learning rate"):
        training.fit(Bias(0.0), dataset(np.arange(8), np.arange(8)), [], schedule=Schedule(5, 2, 0.01), **facts)


def test_a_validation_loss_that_is_no_number_is_said_too():
    facts = {"schedule": Schedule(5, 2, 0.01), **REGRESS}
    with pytest.raises(FloatingPointError, match=r"nan after epoch 1, on the validation set"):
        training.fit(Bias(0.0), dataset([1, 2], [1, 2]), dataset([np.nan], [1]), **facts)


def test_an_empty_training_set_is_refused():
    with pytest.raises(ValueError, match="there is no training case"):
        training.fit(Bias(0.0), [], [], schedule=Schedule(1, 1, 0.1), **REGRESS)


def test_time_and_steps_are_those_of_training():
    class Slow(TensorDataset):
        def __getitem__(self, item):
            time.sleep(0.02)
            return super().__getitem__(item)

    valid = Slow(dataset(np.arange(10), np.arange(10)).tensors)
    fit = training.fit(Bias(0.0), dataset(np.arange(9), np.arange(9)), valid, schedule=Schedule(2, 4, 0.01), **REGRESS)
    assert fit.steps == 6
    assert fit.minutes * 60 >= 2 * 10 * 0.02  # validation takes its time,
    assert fit.seconds_per_step * fit.steps <= fit.minutes * 60 - 2 * 10 * 0.02  # which is not the training's


# Weights


def tiny_cnn(width):
    return networks.CNN3D(width, (46, 46, 46))


def test_saved_and_loaded_it_is_the_same_network(tmp_path):
    one, other = tiny_cnn(2), tiny_cnn(2)
    one.blocks[0].norm(paddle.rand([2, 2, 4, 4, 4]))  # so that the running statistics are not the first ones
    assert not same(arrays(one), arrays(other))
    training.load(training.save(tmp_path / "deep" / "w.safetensors", one), other)
    assert same(arrays(one), arrays(other))


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("content", ["pickle", "pdparams", "garbage", "empty", "cut", "missing"])
def test_what_is_not_safetensors_is_refused_unread(content, tmp_path):
    path, marker = tmp_path / "w.safetensors", tmp_path / "exploded"
    network = paddle.nn.Linear(2, 1)
    whole = training.save(tmp_path / "good.safetensors", network).read_bytes()
    if content == "pdparams":
        paddle.save({"weight": network.weight}, str(path))
    elif content != "missing":
        made = {"pickle": pickle.dumps(Bomb(marker)), "garbage": b"weights", "empty": b"", "cut": whole[:-3]}
        path.write_bytes(made[content])
    before = arrays(network)
    with pytest.raises(DataError) as caught:
        training.load(path, network)
    assert not marker.exists()
    assert same(arrays(network), before)
    assert str(caught.value).startswith(path.as_posix())
    assert "\n" not in str(caught.value)


def test_the_bomb_of_these_tests_is_live(tmp_path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "exploded")))
    assert (tmp_path / "exploded").exists()


def test_weights_of_another_width_are_refused_by_layer(tmp_path):
    path, network = training.save(tmp_path / "w.safetensors", tiny_cnn(4)), tiny_cnn(2)
    before = arrays(network)
    with pytest.raises(DataError, match=r"blocks\.0\.conv\.bias is \(4,\), where this network has \(2,\)"):
        training.load(path, network)
    assert same(arrays(network), before)


def test_weights_with_a_layer_too_few_or_too_many_are_refused(tmp_path):
    nn = paddle.nn
    short, long = nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with pytest.raises(DataError, match=r"1\.bias is missing, where this network has \(2,\)"):
        training.load(training.save(tmp_path / "a.safetensors", short), long)
    with pytest.raises(DataError, match=r"1\.bias is \(2,\), where this network has nothing"):
        training.load(training.save(tmp_path / "b.safetensors", long), short)


@pytest.mark.parametrize("kind", ["float64", "float16", "int32"])
def test_weights_of_another_precision_are_refused(kind, tmp_path):
    network = paddle.nn.Linear(2, 1)
    path = files.save_weights(tmp_path / "w.safetensors", {n: a.astype(kind) for n, a in arrays(network).items()})
    with pytest.raises(DataError, match=rf"weight is {kind}, where this network has float32; save it as float32"):
        training.load(path, network)
