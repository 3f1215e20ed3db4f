"""A snapshot ensemble: the mean of the answers, and a network that is left as it was."""

import numpy as np
import paddle
import pytest

from helpers import snapshots
from helpers.checkpoints import arrays


def network(seed):
    paddle.seed(seed)
    return paddle.nn.Sequential(paddle.nn.Linear(3, 4), paddle.nn.BatchNorm1D(4), paddle.nn.Linear(4, 1))


def ask(net):
    net.eval()
    with paddle.no_grad():
        return paddle.nn.functional.sigmoid(net(paddle.arange(6.0).reshape([2, 3]))).numpy()


def test_it_is_the_mean_of_what_the_networks_say_one_by_one():
    others = [network(seed) for seed in (1, 2, 3)]
    net = network(0)
    before = ask(net)
    found = snapshots.mean_answer(net, [arrays(other) for other in others], ask)
    assert found == pytest.approx(np.mean([ask(other) for other in others], axis=0), abs=1e-6)
    assert np.array_equal(ask(net), before)
    assert abs(found - before).max() > 1e-3


def test_one_snapshot_is_that_network():
    assert np.array_equal(snapshots.mean_answer(network(0), [arrays(network(1))], ask), ask(network(1)))


def test_an_error_leaves_the_network_as_it_was():
    net = network(0)
    before = ask(net)

    def fail(_):
        raise RuntimeError("no answer")

    with pytest.raises(RuntimeError, match="no answer"):
        snapshots.mean_answer(net, [arrays(network(1))], fail)
    assert np.array_equal(ask(net), before)


def test_without_a_snapshot_it_says_what_to_do():
    with pytest.raises(ValueError, match='there is no snapshot; train with a schedule of the kind "cosine"'):
        snapshots.mean_answer(network(0), [], ask)
