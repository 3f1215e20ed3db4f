"""Grad-CAM: the formula, the right place after a training in which one corner matters, and nothing left behind."""

import cv2
import numpy as np
import paddle
import pytest

from helpers.explain import gradcam
from helpers.residuals import ResNet

SIDE = 96


class Maps(paddle.nn.Layer):
    """Its maps are the image's own channels, 8 x 8 pixels to one; its classes are linear in their means."""

    def __init__(self, weights):
        super().__init__()
        self.linear = paddle.nn.Linear(*weights.shape, bias_attr=False)
        self.linear.weight.set_value(np.float32(weights))

    def maps(self, images, stage):
        return paddle.nn.functional.avg_pool2d(images, 8)

    def answer(self, maps, stage):
        return self.linear(maps.mean(axis=[2, 3]))


def place(heat):
    return np.unravel_index(heat.argmax(), heat.shape)


def corners(count, seed):
    """Noise; a bright disc in the upper left of every other image, and a dark one in any other corner of all."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    images, labels = rng.normal(0, 0.2, (count, 1, SIDE, SIDE)), np.arange(count) % 2
    for image, label in zip(images[:, 0], labels, strict=True):
        other = [(16, 80), (80, 16), (80, 80)][rng.integers(3)]
        for (row, column), sign in [(other, -1), *[((16, 16), 1)] * label]:
            row, column = (row, column) + rng.integers(-5, 6, 2)
            image[np.hypot(rows - row, columns - column) < 9] += sign
    return images.astype("float32"), labels


@pytest.fixture(scope="module")
def trained():
    """It learnt that a bright disc in one corner is what counts, and a dark one elsewhere is not."""
    paddle.seed(0)
    network = ResNet(18, classes=2, channels=1, width=4)
    optimizer = paddle.optimizer.AdamW(0.01, parameters=network.parameters())
    for step in range(30):
        images, labels = map(paddle.to_tensor, corners(16, step))
        paddle.nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
        optimizer.clear_grad()
    network.eval()
    return network


def test_after_a_training_the_heat_lies_where_it_matters(trained):
    images, labels = corners(24, 1000)
    with paddle.no_grad():
        found = trained(paddle.to_tensor(images)).numpy().argmax(axis=1)
    assert (found == labels).mean() > 0.9, "the case is of no use: it has not learnt what counts"
    ill, half, shares = images[labels == 1], SIDE // 2, {}
    for stage in (3, 4):
        heats = np.array([gradcam(trained, image, 1, stage) for image in ill])
        shares[stage] = heats[:, :half, :half].sum() / heats.sum()
        if stage == 3:
            assert (np.array([place(heat) for heat in heats]) < half).all()
    assert shares[3] > 0.55  # a quarter by chance
    assert shares[4] < shares[3] - 0.1  # as its description says: on small images the last stage has seen everything


def test_a_class_is_explained_by_the_maps_that_speak_for_it():
    image = np.zeros((3, 64, 48), np.float32)
    image[0, 8:16, 8:16] = 1  # one cell of each map
    image[1, 40:48, 24:32] = 1
    image[2, 24:32, 40:48] = 5  # strongest of all, and for no class
    network = Maps(np.array([[2, -1], [-1, 2], [0, 0]]))
    for target, (row, column) in enumerate([(12, 12), (44, 28)]):
        heat = gradcam(network, image, target)
        cell = np.zeros((8, 6), np.float32)
        cell[row // 8, column // 8] = 1
        wanted = cv2.resize(cell, (48, 64))  # what speaks against the class is left out
        assert heat == pytest.approx(wanted / wanted.max(), abs=1e-6)
        assert heat.max() == 1


def test_the_weight_of_a_map_is_its_mean_slope():
    """The head of a ResNet is linear in the mean of its maps, so the slopes are the weights of its dense layer."""
    paddle.seed(0)
    network, rng = ResNet(18, classes=3, channels=2, width=2), np.random.default_rng(0)
    network.eval()
    image = rng.random((2, 96, 160), np.float32)
    maps, found = network.maps(paddle.to_tensor(image[None])).numpy()[0], 0
    for target in range(3):
        cam = np.maximum(np.tensordot(network.head[2].weight.numpy()[:, target], maps, axes=1), 0)
        wanted = cv2.resize(cam, (160, 96))
        heat = gradcam(network, image, target)
        assert heat * wanted.max() == pytest.approx(wanted, abs=1e-4 * float(wanted.max()))
        found += heat.max() == 1
    assert found >= 2  # there was something to compare


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_any_stage_can_be_asked_by_the_same_formula(stage):
    """The mean slope of a map is measured: all of it is raised by a little, divided by its number of pixels."""
    paddle.seed(1)
    network = ResNet(18, classes=2, channels=1, width=2)
    network.eval()
    network.to(dtype="float64")
    image = np.random.default_rng(1).random((1, 64, 64))
    maps, slopes = network.maps(paddle.to_tensor(image[None]), stage), []
    for number in range(maps.shape[1]):
        nudge = paddle.zeros_like(maps)
        nudge[:, number] = 1e-6 / maps[0, 0].size
        up, down = (network.answer(maps + sign * nudge, stage)[0].numpy() for sign in (1, -1))
        slopes.append((up - down) / 2e-6)
    found = 0
    for target, weights in enumerate(np.transpose(slopes)):
        wanted = cv2.resize(np.maximum(np.tensordot(weights, maps[0].numpy(), axes=1), 0), (64, 64))
        heat = gradcam(network, image, target, stage)
        assert heat * wanted.max() == pytest.approx(wanted, abs=1e-3 * wanted.max())
        found += heat.max() == 1
    assert found >= 1  # there was something to compare


def test_where_nothing_speaks_for_a_class_there_is_no_heat():
    image = np.random.default_rng(0).random((2, 32, 32), np.float32)
    heat = gradcam(Maps(np.array([[-1, 1], [-1, 1]])), image, 0)
    assert heat.shape == (32, 32)
    assert not heat.any()


def test_it_is_a_map_of_the_image_between_0_and_1():
    network = ResNet(50, classes=3, channels=3, width=2)
    image = np.random.default_rng(0).random((3, 70, 101), np.float32)
    image.flags.writeable = False  # as a memory-mapped cache is
    heat = gradcam(network, image, 1)
    assert (heat.shape, heat.dtype) == ((70, 101), np.float32)
    assert 0 <= heat.min() <= heat.max() <= 1


def test_the_network_is_left_as_it_was():
    network = ResNet(18, classes=2, channels=1, width=2)
    network.train()
    network.stem.eval()  # a part of it may be frozen
    modes = [layer.training for layer in network.sublayers(include_self=True)]
    before = {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}
    image = np.random.default_rng(0).random((1, 64, 64), np.float32)
    heat = gradcam(network, image, 1)
    assert [layer.training for layer in network.sublayers(include_self=True)] == modes
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(np.array_equal(before[name], tensor.numpy()) for name, tensor in network.state_dict().items())
    network.eval()
    assert np.array_equal(gradcam(network, image, 1), heat)  # it was asked as in a test, not as in a training


def test_what_cannot_be_asked_is_refused_and_the_mode_restored():
    network = Maps(np.ones((1, 3)))
    for target in (3, -1):
        with pytest.raises(ValueError, match=f"the classes are 0 to 2, but class {target} was asked about"):
            gradcam(network, np.zeros((1, 16, 16), np.float32), target)
    with pytest.raises(ValueError, match=r"channels, rows and columns, but this one has the shape \(16, 16\)"):
        gradcam(network, np.zeros((16, 16), np.float32), 0)
    with pytest.raises(ValueError, match="a ResNet has the stages 1 to 4, but stage 5 was asked for"):
        gradcam(ResNet(18, width=2), np.zeros((3, 32, 32), np.float32), 0, stage=5)
    assert network.training
