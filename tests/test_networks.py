"""The network against the published one: its numbers, its non-linear head, and the sizes it must refuse."""

from itertools import pairwise

import numpy as np
import paddle
import pytest

from helpers import networks
from helpers.networks import CNN3D, LEAST_SIDE, count_parameters

SMALL = (46, 46, 46)


def published_count(width):
    """Worked out by hand: convolutions, normalisation with its two statistics, dense layers."""
    filters = [1, width, width, 2 * width, 4 * width]
    convolutions = sum(27 * a * b + b for a, b in pairwise(filters))
    dense = (4 * width + 1) * 8 * width + 8 * width + 1
    trained = convolutions + 2 * sum(filters[1:]) + dense
    return trained + 2 * sum(filters[1:]), trained


def test_the_published_width_has_the_published_count():
    assert count_parameters(CNN3D()) == (1_352_897, 1_351_873) == published_count(64)


@pytest.mark.parametrize("width", [1, 2, 8])
def test_the_count_follows_the_width(width):
    network = CNN3D(width, SMALL)
    everything, trained = count_parameters(network)
    assert (everything, trained) == published_count(width)
    assert everything == sum(tensor.size for tensor in network.state_dict().values())
    assert trained == everything - 2 * 8 * width  # the tutorial counts all of BatchNorm as frozen; its half is


def test_shared_numbers_count_once():
    layer = paddle.nn.Linear(3, 3)
    assert count_parameters(paddle.nn.Sequential(layer, layer)) == (12, 12)


def test_frozen_numbers_are_not_counted_as_trained():
    network = paddle.nn.Sequential(paddle.nn.Linear(3, 3), paddle.nn.Linear(3, 1))
    for parameter in network[0].parameters():
        parameter.stop_gradient = True
    assert count_parameters(network) == (16, 4)


def test_the_summary_adds_up_to_the_count():
    lines = networks.summary(CNN3D(64)).splitlines()
    sizes = [int(line.split()[-1].replace(",", "")) for line in lines[1:-1]]
    assert sum(sizes) == 1_352_897
    assert lines[-1] == "1,352,897 parameters in all, 1,351,873 of them trained"
    assert len({len(line) for line in lines[:-1]}) == 1  # in columns


def test_a_block_gives_what_the_published_order_gives():
    paddle.seed(0)
    x = paddle.randn([2, 3, 9, 8, 7])
    pool, relu = paddle.nn.MaxPool3D(2), paddle.nn.ReLU()
    assert np.array_equal(relu(pool(x)).numpy(), pool(relu(x)).numpy())
    block = CNN3D(4, SMALL).blocks[1]
    block.conv.bias.set_value(paddle.randn([4]))
    block.eval()
    volumes = published = paddle.randn([2, 4, 9, 8, 7])
    for part in (block.conv, block.relu, block.pool, block.norm):  # the published order
        published = part(published)
    assert np.array_equal(block(volumes).numpy(), published.numpy())


def test_the_dense_layer_has_its_relu():
    """Two linear layers in a row are one: the published port lost the ReLU, and its head is a straight line."""
    paddle.seed(0)
    head = CNN3D(2, SMALL).head
    head.eval()

    def bend(layer):
        x = paddle.randn([64, 8]) * 4
        zero = layer(paddle.zeros([1, 8]))
        return float(abs((layer(x) + layer(-x) - 2 * zero).numpy()).max())

    without = paddle.nn.Sequential(*[part for part in head if not isinstance(part, paddle.nn.ReLU)])
    assert bend(without) < 1e-4
    assert bend(head) > 0.1


def test_dropout_acts_in_training_alone():
    paddle.seed(0)
    network, x = CNN3D(2, SMALL), paddle.rand([2, 1, *SMALL])
    network.eval()
    with paddle.no_grad():
        assert np.array_equal(network(x).numpy(), network(x).numpy())
        features = paddle.randn([1, 8])
        network.head.train()
        assert len({network.head(features).item() for _ in range(8)}) > 1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_too_small_is_refused_when_building(axis):
    shape = tuple(45 if i == axis else 60 for i in range(3))
    with pytest.raises(ValueError, match=r"at least 46 voxels along every axis.*45"):
        CNN3D(2, shape)
    CNN3D(2, SMALL)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_too_small_is_refused_when_asked(axis):
    network = CNN3D(1, SMALL)
    shape = [45 if i == axis else 46 for i in range(3)]
    with pytest.raises(ValueError, match="at least 46 voxels along every axis"):
        network(paddle.zeros([1, 1, *shape]))


def test_the_least_side_leaves_one_voxel():
    side = LEAST_SIDE
    for _ in range(4):
        side = (side - 2) // 2
    assert side == 1
    features = CNN3D(1, SMALL).blocks(paddle.rand([1, 1, *SMALL]))
    assert features.shape == [1, 4, 1, 1, 1]
    assert np.isfinite(features.numpy()).all()


def test_every_number_gets_a_gradient():
    paddle.seed(0)
    network = CNN3D(2, SMALL)
    network(paddle.rand([4, 1, *SMALL])).square().sum().backward()
    trained = {name: p for name, p in network.named_parameters() if not p.stop_gradient}
    assert {name for name, p in trained.items() if p.grad is None or not p.grad.numpy().any()} == set()
    assert all(np.isfinite(p.grad.numpy()).all() for p in trained.values())


def test_the_cases_of_a_batch_do_not_touch_each_other():
    paddle.seed(0)
    network = CNN3D(2, SMALL)
    network.eval()
    x = paddle.rand([3, 1, *SMALL])
    with paddle.no_grad():
        together = network(x).numpy()
        alone = np.concatenate([network(x[i : i + 1]).numpy() for i in range(3)])
    assert together == pytest.approx(alone, abs=1e-5)
    assert len(np.unique(together)) == 3
