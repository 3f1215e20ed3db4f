"""The network against the published one: its numbers, its non-linear head, and the sizes it must refuse."""

from functools import partial
from itertools import pairwise

import numpy as np
import paddle
import pytest

from helpers import networks
from helpers.networks import CNN3D, LEAST_SIDE, RowNet, UNet, count_parameters

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


def test_the_unet_is_the_published_one():
    assert count_parameters(UNet()) == (31_055_297, 31_043_521)
    assert count_parameters(UNet(rows=True))[0] - count_parameters(UNet())[0] == 513


@pytest.mark.parametrize(("rows", "shape"), [(False, [2, 1, 32, 48]), (True, [2, 1, 32])])
def test_the_unet_answers_for_every_pixel_or_every_row(rows, shape):
    network = UNet(2, depth=3, rows=rows)
    assert network(paddle.rand([2, 3, 32, 48])).shape == shape
    with pytest.raises(ValueError, match="multiples of 8, but the image has 32 x 44"):
        network(paddle.rand([1, 3, 32, 44]))


def test_the_unet_mixes_what_it_was_told_to():
    """Every level takes part: without its skip, or without what comes from below, the answer is another."""
    paddle.seed(0)
    network = UNet(2, depth=2, channels=1)
    network.eval()
    image = paddle.rand([1, 1, 16, 16])
    whole = network(image).numpy()
    for block in network.down:
        weight = block[3].weight.numpy()
        block[3].weight.set_value(0 * weight)
        assert abs(network(image).numpy() - whole).max() > 1e-4
        block[3].weight.set_value(weight)
    assert np.array_equal(network(image).numpy(), whole)


def test_the_row_head_begins_as_a_mean_and_is_a_convolution_as_wide_as_the_image():
    paddle.seed(0)
    network = UNet(2, depth=2, channels=1, rows=True, columns=16)
    network.eval()
    network.row_head.bias.set_value(paddle.to_tensor([0.5]))
    pixels = UNet(2, depth=2, channels=1)
    pixels.set_state_dict({name: value for name, value in network.state_dict().items() if "row_head" not in name})
    pixels.eval()
    for columns in (16, 24, 8):  # as wide, wider, narrower
        image = paddle.rand([1, 1, 8, columns])
        assert network(image).numpy() == pytest.approx(pixels(image).numpy().mean(axis=3) + 0.5, abs=1e-5)
    image = paddle.rand([1, 1, 8, 16])
    network.row_head.weight.set_value(paddle.randn([1, 1, 1, 16]))
    assert network(image).numpy() == pytest.approx(network.row_head(pixels(image)).numpy()[..., 0], abs=1e-5)


@pytest.mark.parametrize("kind", [partial(UNet, 2, 2, 2, rows=True), partial(RowNet, 4, 3, 2, outputs=5)])
def test_rows_can_be_learnt_in_a_few_steps(kind):
    """A bright spot marks the row, at any column: the answer must follow it."""
    paddle.seed(3)
    network, rng = kind(), np.random.default_rng(3)
    optimizer = paddle.optimizer.AdamW(0.02, parameters=network.parameters())

    def batch(size):
        rows, columns = rng.integers(3, 29, size), rng.integers(3, 21, size)
        images = rng.random((size, 2, 32, 24)).astype("float32") * 0.3
        for index, (row, column) in enumerate(zip(rows, columns, strict=True)):
            images[index, :, row - 1 : row + 2, column - 1 : column + 2] += 0.7
        return paddle.to_tensor(images), paddle.to_tensor(rows)

    for _ in range(40):
        images, rows = batch(16)
        loss = paddle.nn.functional.cross_entropy(network(images)[:, -1], rows)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
    network.eval()
    images, rows = batch(64)
    found = network(images)[:, -1].argmax(axis=1)
    assert (found - rows).abs().cast("float32").median().item() <= 1


def test_a_row_network_answers_for_every_row_whatever_the_width():
    network = RowNet(4, depth=2, channels=1, outputs=3)
    assert network(paddle.rand([2, 1, 24, 12])).shape == [2, 3, 24]
    assert network(paddle.rand([1, 1, 44, 8])).shape == [1, 3, 44]
    with pytest.raises(ValueError, match="multiples of 4, but the image has 26 x 12"):
        network(paddle.rand([1, 1, 26, 12]))


def test_a_row_network_does_not_care_where_in_a_row_something_is():
    paddle.seed(0)
    network = RowNet(4, depth=2, channels=1)
    network.eval()
    image = np.zeros((1, 1, 24, 64), "float32")
    image[0, 0, 10:13, 20:23] = 1
    moved = np.roll(image, 4, axis=3)  # by a multiple of 2 to the depth
    left, right = (network(paddle.to_tensor(x)).numpy() for x in (image, moved))
    assert left == pytest.approx(right, abs=1e-5)
    assert np.ptp(left) > 1e-3


@pytest.mark.parametrize("kind", [partial(UNet, 2, 2, 1, rows=True), partial(RowNet, 4, 2, outputs=2)])
def test_every_number_of_the_row_networks_gets_a_gradient(kind):
    paddle.seed(0)
    network = kind()
    network(paddle.rand([4, 1, 16, 16])).square().sum().backward()
    parameters = {name: p for name, p in network.named_parameters() if not p.stop_gradient}
    assert [name for name, p in parameters.items() if p.grad is None or not p.grad.numpy().any()] == []
