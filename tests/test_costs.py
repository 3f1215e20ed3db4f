"""What networks cost: by hand, as published, and as the memory of a real training has it."""

import gc
from itertools import pairwise

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.base import core

from helpers.costs import costs
from helpers.networks import CNN3D, ResNet, ResUNet, RowNet, UNet

# Multiply-adds in millions and trained parameters with a thousand classes, as torchvision states both.
PUBLISHED = {18: (1814, 11_689_512), 34: (3664, 21_797_672), 50: (4089, 25_557_032)}


def lazily(build, *args, **options):
    with paddle.LazyGuard():
        return build(*args, **options)


@pytest.mark.parametrize(
    ("layer", "shape", "flops"),
    [
        (nn.Conv2D(3, 8, (1, 5), stride=2, padding=(0, 2)), (3, 12, 20), 2 * (6 * 10) * 8 * (3 * 5)),
        (nn.Conv2D(4, 8, 3, groups=2), (4, 6, 6), 2 * (4 * 4) * 8 * (2 * 9)),
        (nn.Conv2D(4, 4, 3, groups=4), (4, 6, 6), 2 * (4 * 4) * 4 * 9),
        (nn.Conv3D(2, 4, 3), (2, 5, 6, 7), 2 * (3 * 4 * 5) * 4 * (2 * 27)),
        (nn.Conv1D(2, 4, 3, padding=1), (2, 10), 2 * 10 * 4 * (2 * 3)),
        (nn.Conv2DTranspose(6, 4, 2, stride=2), (6, 5, 5), 2 * (5 * 5) * 6 * (4 * 4)),
        (nn.Linear(7, 5), (7,), 2 * 7 * 5),
        (nn.Sequential(nn.BatchNorm2D(2), nn.ReLU(), nn.MaxPool2D(2)), (2, 4, 4), 0),
    ],
)
def test_layers_counted_by_hand(layer, shape, flops):
    assert costs(layer, shape).flops == flops


def test_a_product_of_two_turned_arrays():
    class Product(nn.Layer):
        def forward(self, x):
            return paddle.matmul(x, x, transpose_x=True)

    found = costs(Product(), (3, 4))
    assert found.flops == 2 * 4 * 3 * 4
    assert found.activations == 4 * 12  # one array, though it is both factors


@pytest.mark.parametrize("depth", PUBLISHED)
def test_resnets_cost_what_was_published(depth):
    found = costs(lazily(ResNet, depth, classes=1000), (3, 224, 224))
    million, trained = PUBLISHED[depth]
    assert round(found.flops / 2e6) == million
    assert found.trained == trained < found.parameters


def test_the_published_3d_network_by_hand():
    """Its convolutions are called as functions, which hooks on layers do not see."""
    sides, products = np.array([64, 128, 128]), 0
    for inputs, filters in pairwise((1, 64, 64, 128, 256)):
        products += int(np.prod(sides - 2)) * 27 * inputs * filters
        sides = (sides - 2) // 2
    products += 256 * 512 + 512
    found = costs(lazily(CNN3D), (1, 64, 128, 128))
    assert found.flops == 2 * products
    assert (found.parameters, found.trained) == (1_352_897, 1_351_873)


def test_one_answer_a_row_is_counted_too():
    rows = costs(UNet(2, 2, rows=True, columns=24), (3, 16, 24))
    assert rows.flops - costs(UNet(2, 2), (3, 16, 24)).flops == 2 * 16 * 24


@pytest.mark.parametrize("network", [UNet(2, 2, channels=1), ResUNet(2, 2)], ids=["UNet", "ResUNet"])
def test_four_times_the_pixels_cost_four_times_as_much(network):
    small, large = costs(network, (1, 16, 24)), costs(network, (1, 32, 48))
    assert large[2:] == tuple(4 * part for part in small[2:])
    assert large[:2] == small[:2]


def test_twice_the_outputs_cost_twice_the_last_layer():
    few, many = (costs(RowNet(4, depth=2, outputs=count), (1, 16, 24)).flops for count in (1, 2))
    assert many - few == 2 * 8 * 16


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: CNN3D(8, (46, 46, 46)), (1, 46, 46, 46)),
        (lambda: RowNet(4, depth=4, outputs=8), (1, 160, 96)),
        (lambda: UNet(4, 3), (3, 96, 64)),
        (lambda: ResUNet(6), (1, 64, 64)),
        (lambda: ResNet(18, channels=1, width=8), (1, 96, 96)),
    ],
    ids=["CNN3D", "RowNet", "UNet", "ResUNet", "ResNet"],
)
def test_as_much_is_kept_for_the_gradients_as_was_estimated(build, shape):
    """Paddle counts what it has allocated: after the forward pass of a batch, that is what the gradients need."""
    network, images = build(), paddle.rand([4, *shape])
    network(images)  # whatever is made once
    gc.collect()
    before = core.host_memory_stat_current_value("Allocated", 0)
    answer = network(images)
    kept = core.host_memory_stat_current_value("Allocated", 0) - before + 4 * images.size  # the images are kept as well
    assert answer.shape[0] == 4
    assert kept == pytest.approx(4 * costs(network, shape).activations, rel=0.12)


def test_the_largest_unfolded_input():
    """A convolution of one pixel needs no unfolding, a transposed one unfolds what comes out."""
    assert costs(nn.Conv2D(4, 9, 1), (4, 10, 10)).unfolded == 0
    assert costs(nn.Sequential(nn.Conv2D(4, 2, 3), nn.Conv2D(2, 2, 3)), (4, 12, 12)).unfolded == 4 * (4 * 9) * 100
    assert costs(nn.Conv2DTranspose(6, 5, 2, stride=2), (6, 3, 3)).unfolded == 4 * (5 * 4) * 9


def test_nothing_is_changed_by_counting():
    network = lazily(CNN3D, 2, (46, 46, 46))
    network.eval()
    paddle.seed(3)
    drawn = paddle.rand([3]).numpy()
    paddle.seed(3)
    costs(network, (1, 46, 46, 46))
    assert np.array_equal(paddle.rand([3]).numpy(), drawn)
    assert not network.training
    assert paddle.in_dynamic_mode()
    assert not any(tensor._is_initialized() for tensor in network.parameters())  # no weight was drawn


def test_training_or_asking_costs_the_same():
    network = CNN3D(2, (46, 46, 46))
    found = costs(network, (1, 46, 46, 46))
    network.eval()
    assert costs(network, (1, 46, 46, 46)) == found


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match="what 'rnn' costs is not known here"):
        costs(nn.LSTM(4, 4), (6, 4))
