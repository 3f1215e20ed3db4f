"""What a network of notebook 04 answers, and how its answers are judged, at home and in another hospital.

Used by notebook 04 and by `python -m helpers.train xray`, through `xray_job`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import paddle
from scipy.special import softmax

from helpers import controls, multiclass, training
from helpers.datasets import Split
from helpers.estimates import Estimate
from helpers.film_arrays import Films
from helpers.film_samples import LabelledFilms
from helpers.jobs import Sets


def probabilities(network: paddle.nn.Layer, where: LabelledFilms) -> np.ndarray:
    """The network's probability of each class for every image of a set: the mean over the image and its mirror image.

    Returns:
        ``float64`` [images, classes].

    Taught in notebook 04.
    """
    seen, turned = (softmax(training.predict(network, part).astype(float), axis=1) for part in (where, where.mirror()))
    return (seen + turned) / 2


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network said of the test images.

    Attributes:
        cases: Their indices.
        truth: Their classes.
        probabilities: Of each class, ``float64`` [images, classes].
        groups: What belongs together: a patient's images, or copies.
        classes: The names.
        majority: The commonest class of the training set, for the rule beside the figures.
    """

    cases: np.ndarray
    truth: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray
    classes: tuple[str, ...]
    majority: int

    @cached_property
    def report(self) -> multiclass.ClassesReport:
        """Accuracy, sensitivity to each class, loss and calibration."""
        facts = {"majority": self.majority, "groups": self.groups}
        return multiclass.report(self.truth, self.probabilities, self.classes, **facts)

    @property
    def headline(self) -> Estimate:
        """The accuracy."""
        return self.report.accuracy

    @property
    def estimates(self) -> Sequence[Estimate]:
        """Accuracy and the sensitivity to each class."""
        return (self.report.accuracy, *self.report.sensitivities)

    @property
    def about(self) -> dict[str, Any]:
        """Nothing but weights and names is needed to ask this network."""
        return {}

    @property
    def called(self) -> np.ndarray:
        """The class that each image was called."""
        return self.probabilities.argmax(axis=1)

    def columns(self) -> dict[str, Sequence]:
        """Truth and probabilities of each image."""
        return {
            "truth": [self.classes[label] for label in self.truth],
            **{f"p_{name}": self.probabilities[:, label] for label, name in enumerate(self.classes)},
        }

    def worst(self, count: int = 8) -> np.ndarray:
        """Places in this evaluation, those first whose true class was thought least likely."""
        return np.argsort(self.probabilities[np.arange(len(self.truth)), self.truth], kind="stable")[:count]

    def captions(self, places: Sequence[int]) -> list[str]:
        """For each place what the image is and what the network said, such as "NORMAL, called COVID (88 %)"."""
        return [
            f"{self.classes[self.truth[i]]}, called {self.classes[self.called[i]]} "
            f"({100 * self.probabilities[i].max():.0f} %)"
            for i in places
        ]

    def above(self, other: "Evaluation", name: str) -> Estimate:
        """By how much its accuracy lies above that of another evaluation of the same images."""
        return multiclass.compare(self.truth, self.probabilities, other.probabilities, name, self.groups)

    def __str__(self) -> str:
        return str(self.report)


def evaluate(network: paddle.nn.Layer, sets: Sets) -> Evaluation:
    """Name the class of every test image, and judge the names.

    Taught in notebook 04.
    """
    test = sets.test
    majority = int(np.bincount(sets.train.targets).argmax())
    groups = test.films.groups[test.where]
    return Evaluation(test.where, test.targets, probabilities(network, test), groups, test.films.classes, majority)


def pool(parts: Sequence[Evaluation]) -> Evaluation:
    """The test sets of several folds as one, in which each image was judged by a network that had not seen it.

    Used by `python -m helpers.train --folds`.
    """
    names = ("cases", "truth", "probabilities", "groups")
    whole = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Evaluation(**whole, classes=parts[0].classes, majority=int(np.bincount(whole["truth"]).argmax()))


def elsewhere(network: paddle.nn.Layer, found: Evaluation, films: Films) -> Evaluation:
    """Ask a network about the images of another hospital, all of which are test images.

    Args:
        network: Trained.
        found: Its evaluation at home; tells the order of the classes and the commonest one.
        films: The other images, prepared in the same way; their classes have the same names, in any order.

    Raises:
        ValueError: If the classes have other names.

    Taught in notebook 04.
    """
    if set(films.classes) != set(found.classes):
        raise ValueError(f"the classes must be {', '.join(found.classes)}, but here are {', '.join(films.classes)}")
    order = np.array([found.classes.index(name) for name in films.classes])
    there = LabelledFilms(films._replace(labels=order[films.labels]), np.arange(len(films.labels)), 0)
    said = probabilities(network, there)
    return Evaluation(there.where, there.targets, said, films.groups[there.where], found.classes, found.majority)


def histogram(films: Films, split: Split) -> Evaluation:
    """What a rule reaches that knows how common each grey is, and nothing of where: logistic regression on 16 bins.

    Args:
        films: As the network sees them.
        split: The rule is fitted on the training set only.

    Taught in notebook 04.
    """
    train, test = films.only_usable(split.train), films.only_usable(split.test)
    images = np.asarray(films.images, np.float32) / 255
    said = controls.histogram_rule(images, films.labels, train, test)
    said = np.pad(said, ((0, 0), (0, len(films.classes) - said.shape[1])))
    majority = int(np.bincount(films.labels[train]).argmax())
    return Evaluation(test, films.labels[test], said, films.groups[test], films.classes, majority)


def correct_share(targets: np.ndarray, log_odds: np.ndarray) -> float:
    """Accuracy over images, for the curves of a training.

    Example:
        >>> correct_share(np.array([0, 2]), np.array([[3.0, 1.0, 0.0], [0.0, 1.0, 0.5]]))
        0.5

    Taught in notebook 04.
    """
    return float(np.mean(log_odds.argmax(axis=1) == targets))
