"""The residual networks against the published ones: their counts, their numbers, and what a shortcut does."""

from itertools import pairwise

import numpy as np
import paddle
import pytest
from paddle.nn import functional
from paddle.vision import models

from helpers import networks, residuals
from helpers.networks import count_parameters
from helpers.residuals import Basic, Bottleneck, ResNet, ResUNet


def norm(channels):
    """Weight, bias, and the two running statistics."""
    return 4 * channels


def resunet_count(width=64, depth=3, channels=1, kernel=3):
    """Worked out by hand from the published table: all numbers, and those that are trained."""
    filters = [width * 2**level for level in range(depth + 1)]
    pairs = list(pairwise(filters))
    # stem: conv, norm, conv, and a projected shortcut with its norm
    convolutions = kernel**2 * (channels * width + width * width) + channels * width
    norms = 2 * norm(width)
    for few, many in pairs:  # down: norm, conv, norm, conv, projection
        convolutions += kernel**2 * (few * many + many * many) + few * many
        norms += norm(few) + 2 * norm(many)
    for few, many in pairs:  # up: the same from what comes from below and the skip
        both = few + many
        convolutions += kernel**2 * (both * few + few * few) + both * few
        norms += norm(both) + 2 * norm(few)
    total = convolutions + norms + width + 1
    return total, total - norms // 2


def randomise(network, seed=0):
    """Give BatchNorm something to do: statistics and weights as after a training."""
    rng = np.random.default_rng(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("_variance") or (name.endswith("weight") and tensor.ndim == 1):
            tensor.set_value(rng.uniform(0.5, 1.5, tensor.shape).astype("float32"))
        elif tensor.ndim == 1:
            tensor.set_value(rng.normal(0, 0.3, tensor.shape).astype("float32"))


# ResUNet


def test_the_networks_are_found_where_the_others_are():
    assert (networks.ResUNet, networks.ResNet) == (ResUNet, ResNet)


def test_the_resunet_has_the_published_filters():
    network = ResUNet()
    assert count_parameters(network) == resunet_count() == (8_227_521, 8_218_305)
    assert [block.path[-1].weight.shape[0] for block in (network.stem, *network.down)] == [64, 128, 256, 512]


@pytest.mark.parametrize(
    "change", [{"width": 3}, {"depth": 1}, {"depth": 4}, {"channels": 3}, {"kernel": 1}, {"kernel": 5}]
)
def test_every_argument_is_honoured(change):
    settings = {"width": 4, "depth": 2} | change
    assert count_parameters(ResUNet(**settings)) == resunet_count(**settings)
    assert resunet_count(**settings) != resunet_count(4, 2)


def test_the_kernel_reaches_every_convolution_but_the_shortcuts_and_the_head():
    network = ResUNet(2, 2, kernel=5)
    sides = {
        name: layer.weight.shape[2:] for name, layer in network.named_sublayers() if isinstance(layer, paddle.nn.Conv2D)
    }
    assert {tuple(side) for name, side in sides.items() if "shortcut" in name or name == "head"} == {(1, 1)}
    inner = [tuple(side) for name, side in sides.items() if "path" in name]
    assert inner == [(5, 5)] * 10  # two in each of stem, 2 down, 2 up
    image = paddle.zeros([1, 1, 16, 16])
    image[0, 0, 8, 8] = 1.0
    reach = []
    for kernel in (1, 5):
        block = residuals._PreActivated(1, 2, kernel, first=True)
        block.eval()
        reach.append(int((abs(block(image).numpy()) > 1e-7).any(axis=(0, 1, 3)).sum()))
    assert reach == [1, 9]


@pytest.mark.parametrize("kernel", [0, 2, 4])
def test_an_even_kernel_is_refused(kernel):
    with pytest.raises(ValueError, match=f"the kernel must be odd, so that images keep their size, but is {kernel}"):
        ResUNet(2, kernel=kernel)


@pytest.mark.parametrize(("depth", "shape"), [(3, (40, 24)), (2, (12, 20)), (1, (2, 2))])
def test_the_mask_has_the_size_of_the_image(depth, shape):
    assert ResUNet(2, depth)(paddle.rand([2, 1, *shape])).shape == [2, 1, *shape]


@pytest.mark.parametrize("shape", [(44, 40), (40, 44), (0, 8)])
def test_an_image_that_cannot_be_halved_is_refused(shape):
    words = f"must be multiples of 8, but the image has {shape[0]} x {shape[1]}"
    with pytest.raises(ValueError, match=words):
        ResUNet(2)(paddle.zeros([1, 1, *shape]))


@pytest.mark.parametrize(("stride", "first"), [(1, False), (2, False), (1, True)])
def test_a_block_normalises_and_activates_before_it_convolves(stride, first):
    """Against the formula of the paper, written down again from its numbers alone."""
    paddle.seed(0)
    block, image = residuals._PreActivated(3, 5, 3, stride, first), paddle.randn([2, 3, 8, 12])
    randomise(block)
    block.eval()
    numbers = list(block.state_dict().values())

    def take_norm(x):
        weight, bias, mean, variance = (numbers.pop(0) for _ in range(4))
        return functional.batch_norm(x, mean, variance, weight, bias)

    x = image if first else functional.relu(take_norm(image))
    x = functional.conv2d(x, numbers.pop(0), stride=stride, padding=1)
    x = functional.conv2d(functional.relu(take_norm(x)), numbers.pop(0), padding=1)
    wanted = x + take_norm(functional.conv2d(image, numbers.pop(0), stride=stride))
    assert not numbers
    assert block(image).numpy() == pytest.approx(wanted.numpy(), abs=1e-5)


def test_every_level_and_every_skip_takes_part():
    paddle.seed(0)
    network, image = ResUNet(2), paddle.rand([1, 1, 32, 32])
    network.eval()
    whole = network(image).numpy()
    for block in (network.stem, *network.down, *network.up):
        for layer in (block.path[-1], block.shortcut[0]):
            weight = layer.weight.numpy()
            layer.weight.set_value(0 * weight)
            assert abs(network(image).numpy() - whole).max() > 1e-5
            layer.weight.set_value(weight)
    assert np.array_equal(network(image).numpy(), whole)


@pytest.mark.parametrize("build", [lambda: ResUNet(2, 2), lambda: ResNet(18, channels=1, width=2)])
def test_every_number_gets_a_gradient_and_no_number_is_a_useless_bias(build):
    paddle.seed(0)
    network = build()
    network(paddle.rand([4, 1, 64, 64])).square().sum().backward()
    parameters = {name: p for name, p in network.named_parameters() if not p.stop_gradient}
    assert [name for name, p in parameters.items() if p.grad is None or not p.grad.numpy().any()] == []
    biased = [n for n, x in network.named_sublayers() if isinstance(x, paddle.nn.Conv2D) and x.bias is not None]
    assert biased == (["head"] if isinstance(network, ResUNet) else [])


@pytest.mark.parametrize("build", [lambda: ResUNet(2, 2), lambda: ResNet(50, channels=1, width=2)])
def test_the_cases_of_a_batch_do_not_touch_each_other(build):
    paddle.seed(0)
    network, images = build(), paddle.rand([3, 1, 32, 32])
    network.eval()
    alone = np.concatenate([network(images[i : i + 1]).numpy() for i in range(3)])
    assert network(images).numpy() == pytest.approx(alone, abs=1e-4)
    assert len(np.unique(alone)) > 2


def test_a_mask_can_be_learnt_in_a_few_steps():
    """A disc is to be marked, a square of the same brightness is not: no threshold can tell them apart."""
    paddle.seed(1)
    rng, network = np.random.default_rng(1), ResUNet(4, 2)
    optimizer = paddle.optimizer.AdamW(0.01, parameters=network.parameters())
    rows, columns = np.mgrid[:32, :32]

    def batch(size):
        images, masks = np.zeros((2, size, 1, 32, 32), "float32")
        for image, mask in zip(images[:, 0], masks[:, 0], strict=True):
            (a, b), (c, d) = rng.integers(6, 26, (2, 2))
            square = np.maximum(abs(rows - c), abs(columns - d)) == 5  # an outline
            mask[:] = np.hypot(rows - a, columns - b) <= 5
            image[:] = np.maximum(mask, square) + rng.normal(0, 0.1, mask.shape)
        return paddle.to_tensor(images), paddle.to_tensor(masks)

    for _ in range(40):
        images, masks = batch(8)
        functional.binary_cross_entropy_with_logits(network(images), masks).backward()
        optimizer.step()
        optimizer.clear_grad()
    network.eval()
    images, masks = batch(32)
    found, masks = network(images).numpy() > 0, masks.numpy() > 0.5
    assert 2 * (found & masks).sum() / (found.sum() + masks.sum()) > 0.85
    bright = images.numpy() > 0.5
    assert 2 * (bright & masks).sum() / (bright.sum() + masks.sum()) < 0.85


# ResNet


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_the_counts_are_those_of_paddle_at_each_depth(depth):
    with paddle.LazyGuard():  # nothing is drawn: only shapes count
        published, network = getattr(models, f"resnet{depth}")(num_classes=3), ResNet(depth, classes=3)
    assert count_parameters(network) == count_parameters(published)
    assert depth != 50 or count_parameters(network) == (23_567_299, 23_514_179)


@pytest.mark.parametrize(("depth", "size"), [(18, 64), (50, 65)])
def test_with_the_weights_of_paddles_network_it_gives_the_same_answers(depth, size):
    published, network = getattr(models, f"resnet{depth}")(num_classes=5), ResNet(depth, classes=5)
    randomise(published)
    ours, theirs = network.state_dict(), published.state_dict()
    assert [tensor.shape for tensor in ours.values()] == [tensor.shape for tensor in theirs.values()]
    for mine, other in zip(ours.values(), theirs.values(), strict=True):
        mine.set_value(other)
    images = paddle.to_tensor(np.random.default_rng(0).random((2, 3, size, 64), np.float32))
    for mode in ("eval", "train"):
        getattr(network, mode)()
        getattr(published, mode)()
        with paddle.no_grad():
            wanted = published(images).numpy()
            assert network(images).numpy() == pytest.approx(wanted, rel=1e-4, abs=1e-4 * float(abs(wanted).max()))
            assert len(np.unique(wanted)) == 10


@pytest.mark.parametrize("depth", [42, 0, -18, 20])
def test_any_other_depth_is_refused_by_name(depth):
    with pytest.raises(ValueError, match=f"^depth must be one of 18, 34, 50, 101, 152, but is {depth}$"):
        ResNet(depth)


def test_classes_channels_and_width_are_honoured():
    network = ResNet(18, classes=4, channels=2, width=4)
    assert network(paddle.rand([3, 2, 33, 50])).shape == [3, 4]
    whole, small = ResNet(18, classes=3), ResNet(18, classes=3, width=16)
    assert [t.shape[0] for t in whole.state_dict().values() if t.ndim == 4] == [
        4 * t.shape[0] for t in small.state_dict().values() if t.ndim == 4
    ]


@pytest.mark.parametrize(("stage", "shape"), [(1, [2, 2, 24, 32]), (2, [2, 4, 12, 16]), (4, [2, 16, 3, 4])])
def test_it_answers_from_the_maps_of_any_stage(stage, shape):
    network = ResNet(34, channels=1, width=2)
    network.eval()
    images = paddle.rand([2, 1, 96, 128])
    maps = network.maps(images, stage)
    assert maps.shape == shape
    assert np.array_equal(network.answer(maps, stage).numpy(), network(images).numpy())


@pytest.mark.parametrize("stage", [0, 5, -1])
def test_there_are_four_stages(stage):
    with pytest.raises(ValueError, match=f"the stages 1 to 4, but stage {stage} was asked for"):
        ResNet(18, width=1).maps(paddle.zeros([1, 3, 32, 32]), stage)


@pytest.mark.parametrize("block", [Basic, Bottleneck])
def test_a_block_that_adds_nothing_hands_its_input_on(block):
    """Why residuals help, in one line: a deeper network need only learn to add nothing to be as good as this one."""
    x = paddle.rand([2, 2 * block.expansion, 6, 6])
    for shortcuts in (True, False):
        layer = block(2 * block.expansion, 2, 1, shortcuts)
        layer.path[-1].weight.set_value(paddle.zeros_like(layer.path[-1].weight))
        assert np.array_equal(layer(x).numpy(), shortcuts * x.numpy())


@pytest.mark.parametrize(("depth", "projections"), [(18, 3), (50, 4)])
def test_without_shortcuts_the_same_depth_is_plain(depth, projections):
    both = [ResNet(depth, channels=1, width=4, shortcuts=shortcuts) for shortcuts in (True, False)]
    convolutions = [sum(isinstance(x, paddle.nn.Conv2D) for x in network.sublayers()) for network in both]
    assert convolutions == [depth - 1 + projections, depth - 1]  # the dense layer makes up the depth
    assert [network(paddle.rand([2, 1, 64, 64])).shape for network in both] == [[2, 3]] * 2
