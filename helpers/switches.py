"""Published mistakes as switches: each takes a job of the course and gives the same job with the mistake in it.

Used by notebook 05 through `flaws`, and by `make study`, which trains both.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import paddle

from helpers import datasets, l3_flaws, networks, xray_flaws
from helpers.jobs import Sets, Task
from helpers.rows import Rows
from helpers.xray_job import vary, xray


def case_by_case(data: datasets.Cases, seed: int, aside: bool = False) -> datasets.Split:
    """Divide the cases one by one in the order in which a disk lists them, which is any order: here it is drawn.

    Arguments and result are those of `datasets.split`, but copies, and images of one patient, may be parted.

    Taught in notebook 05.
    """
    order = np.random.default_rng(seed).permutation(len(data.cases))
    listed = [
        SimpleNamespace(label=case.label, key=case.key, group=str(place))
        for case, place in zip(data.cases, order, strict=True)
    ]
    facts = {"classes": data.classes, "labels": data.labels, "unit": data.unit}
    return replace(datasets.split(SimpleNamespace(cases=listed, **facts), seed, aside=aside), data=data)


def one_by_one(task: Task) -> Task:
    """Divide the cases as the disk lists them, without a thought of what belongs together.

    Taught in notebook 05.
    """
    return replace(task, divide=case_by_case)


def without_relu(task: Task) -> Task:
    """Take away the ReLU between the two dense layers: two linear layers in a row are one.

    Taught in notebook 05.
    """

    def network(classes: Sequence[str] = ()) -> networks.CNN3D:
        built = task.network(classes)
        place = next(i for i, layer in enumerate(built.head) if isinstance(layer, paddle.nn.ReLU))
        built.head[place] = paddle.nn.Identity()
        return built

    return replace(task, network=network)


class _LongBand(Rows):
    """Projections whose label reaches further to the right than what can be seen of them."""

    def __getitem__(self, item: int) -> tuple[np.ndarray, np.ndarray]:
        image, label = super().__getitem__(item)
        columns = np.arange(label.shape[2])
        seen = label.any(axis=(0, 1))
        if seen.any():
            seen |= (columns >= seen.argmax()) & (columns < l3_flaws.REACH * label.shape[2])
        return image, label.any(axis=2, keepdims=True) * seen.astype(label.dtype)


def with_long_band(task: Task) -> Task:
    """Let the label of L3 reach over 70 % of the columns, where the image is black from 65 % on.

    Taught in notebook 05.
    """

    def sets(prepared, split: datasets.Split) -> Sets:
        plain = task.sets(prepared, split)
        facts = [(part.seed, part.view, part.change, part.ask) for part in plain[:2]]
        train, valid = (_LongBand(prepared, part.where, *fact) for part, fact in zip(plain, facts, strict=False))
        return Sets(train, valid, plain.test)

    return replace(task, sets=sets)


class _Bytes(paddle.nn.Layer):
    """A network whose images enter with greys from 0 to 255."""

    def __init__(self, network: paddle.nn.Layer):
        super().__init__()
        self.network = network

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        return self.network(images * 255)


def in_bytes(task: Task) -> Task:
    """Feed the network greys from 0 to 255, where it was meant to get 0 to 1.

    Taught in notebook 05.
    """
    return replace(task, network=lambda classes=(): _Bytes(task.network(classes)))


def wrapped(image: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Add noise in 8 bits without a sign, so that what falls below black turns white, and the other way about.

    Arguments and result are those of `jitter.add_noise`.

    Taught in notebook 05.
    """
    noise = np.rint(255 * sigma * rng.standard_normal(image.shape, np.float32)).astype(np.int64)  # drawn as if unflawed
    return (xray_flaws.add_wrapped(np.round(image * 255).astype(np.uint8), noise) / 255).astype(image.dtype)


def with_wrapped_noise(task: Task) -> Task:
    """Vary training images with noise that wraps around.

    Taught in notebook 05.
    """

    def sets(films, split: datasets.Split) -> Sets:
        plain = task.sets(films, split)
        plain.train.vary = partial(vary, noise=wrapped)
        return plain

    return replace(task, sets=sets)


def in_one_hospital(task: Task) -> Task:
    """Take phantoms whose hospital goes with the class.

    Taught in notebook 05.
    """
    return xray(task.run, confounded=True)
