"""The job of notebook 01, ground glass in chest CT: its `Task`, how its results are judged, and the published leak.

Used by notebook 01 and by `python -m helpers.train ct`, through `tasks`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from scipy.special import expit

from helpers import augment, datasets, metrics, networks, phantoms, rules, runtime, samples, training
from helpers.ct import load_scan
from helpers.estimates import Estimate
from helpers.jobs import Sets, Task


def ct(run: runtime.Run, width: int | None = None) -> Task:
    """Notebook 01: does this chest CT show ground-glass opacities?

    Args:
        run: From `runtime.start`; its size sets volumes, width and epochs. "full" is the published recipe, with the
            decay of the learning rate in fact applied; the others are cut to what a laptop can do.
        width: Filters of the first block; by the size of the run when left out.

    Example:
        >>> task = ct(runtime.Run(seed=0, size="full", device="cpu", data_root="data"))
        >>> task.shape, task.schedule.epochs, task.schedule.rate
        ((128, 128, 64), 100, 0.0001)

    Taught in notebook 01.
    """
    small = (46, 46, 46)
    shape, usual, scans, schedule = {
        "quick": (small, 8, phantoms.CTSettings(150, 150, 88, run.seed), _one_cycle(10, 1e-2)),
        "class": (small, 8, phantoms.CTSettings(700, 700, 88, run.seed), _one_cycle(14, 6e-3)),
        "full": ((128, 128, 64), 64, phantoms.CTSettings(100, 100, 256, run.seed), training.Schedule(100, 2, 1e-4)),
    }[run.size]

    def network(_: Sequence[str] = ()) -> networks.CNN3D:
        paddle.seed(run.seed)  # a network built twice, say by running a cell again, starts from the same weights
        return networks.CNN3D(width or usual, shape)

    def sets(prepared: datasets.Prepared, split: datasets.Split) -> Sets:
        volumes, labels = prepared.volumes, split.data.labels
        return Sets(
            samples.Samples(volumes, labels, split.train, run.seed, vary_scan),
            samples.Samples(volumes, labels, split.valid, run.seed),
            samples.Samples(volumes, labels, split.test, run.seed),
        )

    return Task(
        name="ct" if width is None else f"ct-width{width}",
        folder="mosmed",
        layout="arrange its scans in CT-0 and CT-23",
        run=run,
        shape=shape,
        data=lambda: datasets.open_ct(scans, run.data_root),
        prepare=lambda data: datasets.prepare(data, shape),
        sets=sets,
        network=network,
        loss=paddle.nn.functional.binary_cross_entropy_with_logits,
        metric=correct_share,
        schedule=schedule,
        evaluate=evaluate,
        pool=pool,
        predict=lambda network, about, path, _: predict(network, about, path, shape),
        baseline=lambda prepared, split: rules.mean_and_sd(prepared.volumes, split),
        published=(0.7833, "best validation accuracy of the Keras tutorial, 47 of 60"),
    )


BY_HEART = training.Schedule(epochs=12, batch=4, rate=5e-3)  # known by heart for three seeds of three


def leaky_sets(task: Task, prepared: datasets.Prepared, split: datasets.Split) -> Sets:
    """The published mistake: validate on the training scans. The labels are shuffled, so there is nothing to learn.

    There are only two dozen training scans, so that they are soon known by heart.

    Args:
        task: Gives the seed.
        prepared: The volumes.
        split: The test set stays honest: other scans, their labels shuffled too.

    Taught in notebook 01.
    """
    volumes = prepared.volumes
    labels = np.random.default_rng(task.run.seed).permutation(np.arange(len(volumes)) % 2)
    few = samples.Samples(volumes, labels, split.train[:24], task.run.seed)
    return Sets(few, few, samples.Samples(volumes, labels, split.test, task.run.seed))


def probabilities(network: paddle.nn.Layer, where: samples.Samples) -> np.ndarray:
    """The network's probability of class 1 for every case of a set, float32 [cases].

    Taught in notebook 01.
    """
    return expit(training.predict(network, where)[:, 0])


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network said of the test cases: ``cases`` (indices), ``truth``, ``score`` (probability) and figures."""

    cases: np.ndarray
    truth: np.ndarray
    score: np.ndarray
    report: metrics.BinaryReport

    def __str__(self) -> str:
        return str(self.report)

    @property
    def groups(self) -> np.ndarray:
        """Whose scans they are: each is another patient's, as far as is known."""
        return self.cases

    @property
    def headline(self) -> Estimate:
        """The area under the ROC curve."""
        return self.report.auc

    @property
    def estimates(self) -> Sequence[Estimate]:
        """Accuracy, sensitivity, specificity and ROC AUC."""
        return self.report

    @property
    def about(self) -> dict[str, Any]:
        """Nothing but the weights is needed to ask this network."""
        return {}

    def columns(self) -> dict[str, Sequence]:
        """Truth and score of each case."""
        return {"truth": self.truth, "score": self.score}

    @property
    def curve(self) -> metrics.RocCurve:
        """The ROC curve; without a point where there are too few cases to measure."""
        if self.report.auc.value is None:
            return metrics.RocCurve(np.zeros(0), np.zeros(0), np.zeros(0))
        return metrics.roc_curve(self.truth, self.score)

    def worst(self, count: int = 8) -> np.ndarray:
        """Places in this evaluation, those first where the network was surest and wrong."""
        return np.argsort(-np.abs(self.truth - self.score), kind="stable")[:count]

    def captions(self, places: np.ndarray, classes: tuple[str, str]) -> list[str]:
        """For each place what the case is and what the network said, such as "CT-0, said 88 % CT-23"."""
        return [f"{classes[self.truth[i]]}, said {100 * self.score[i]:.0f} % {classes[1]}" for i in places]


def evaluate(network: paddle.nn.Layer, sets: Sets) -> Evaluation:
    """Accuracy, sensitivity, specificity and ROC AUC on the test set, with intervals and trivial baselines.

    Taught in notebook 01.
    """
    truth, score = sets.test.targets, probabilities(network, sets.test)
    report = metrics.binary_report(truth, score, majority=int(sets.train.targets.mean() > 0.5))
    return Evaluation(sets.test.where, truth, score, report)


def pool(parts: Sequence[Evaluation]) -> Evaluation:
    """The test sets of several folds as one, in which each case was judged by a network that had not seen it.

    Used by `python -m helpers.train --folds`.
    """
    cases, truth, score = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("cases", "truth", "score")
    )
    return Evaluation(cases, truth, score, metrics.binary_report(truth, score, majority=int(truth.mean() > 0.5)))


def predict(network: paddle.nn.Layer, about: dict[str, Any], path: Path, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Answer for one scan: the probability of each class.

    Raises:
        DataError: If the scan cannot be used.

    Taught in notebook 01.
    """
    volume = load_scan(path, shape)
    log_odds = training.predict(network, samples.Samples(volume[None], [0], [0], 0))
    score = float(expit(log_odds[0, 0]))
    first, second = about.get("classes", ["class 0", "class 1"])
    return {
        "probability": {first: round(1 - score, 6), second: round(score, 6)},
        "class": second if score >= 0.5 else first,
    }


def say(classes: tuple[str, str], probability: float, truth: int) -> str:
    """A prediction in words, with the truth beside it.

    Example:
        >>> say(("CT-0", "CT-23"), 0.873, 1)
        '12.7 % CT-0, 87.3 % CT-23 (truth: CT-23)'

    Taught in notebook 01.
    """
    parts = (f"{100 * part:.1f} % {name}" for part, name in zip((1 - probability, probability), classes, strict=True))
    return f"{', '.join(parts)} (truth: {classes[truth]})"


def correct_share(targets: np.ndarray, log_odds: np.ndarray) -> float:
    """Accuracy over cases at a probability of one half, as the published curves show it.

    Example:
        >>> correct_share(np.array([0, 1, 1]), np.array([-2.0, 3.0, -1.0])) == 2 / 3
        True

    Taught in notebook 01.
    """
    return float(np.mean((log_odds > 0) == (targets > 0.5)))


def _one_cycle(epochs: int, rate: float) -> training.Schedule:
    return training.Schedule(epochs, batch=8, rate=rate, kind="one-cycle", weight_decay=1e-4)


def vary_scan(volume: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror half of the volumes, and turn one in five as published: turning blurs, and most patients lie straight.

    Taught in notebook 01.
    """
    if rng.random() < 0.2:
        volume = augment.random_rotation(volume, rng)
    return augment.mirror(volume) if rng.random() < 0.5 else volume
