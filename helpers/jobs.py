"""What all jobs of the course have in common: a frozen `Task`, the sets it trains on, its training, its passport.

Used by every notebook and by `python -m helpers.train`, through `tasks`: one source of truth for data, network,
schedule and metric.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import paddle

from helpers import datasets, passports, runtime, training
from helpers.estimates import Estimate


class Sets(NamedTuple):
    """The three sets as samples: only the training set is varied."""

    train: paddle.io.Dataset
    valid: paddle.io.Dataset
    test: paddle.io.Dataset


class Evaluation(Protocol):
    """What a network said of the test cases: printable, with case numbers, whose cases they are, and facts of each."""

    cases: Sequence[int]
    groups: Sequence

    @property
    def headline(self) -> Estimate:
        """The figure that goes into the passport."""

    @property
    def estimates(self) -> Sequence[Estimate]:
        """All figures."""

    @property
    def about(self) -> dict[str, Any]:
        """What `predict` must know beside the weights, such as a threshold."""

    def columns(self) -> dict[str, Sequence]:
        """What a CSV file holds of each case."""


@dataclass(frozen=True)
class Task:
    """A job: its data, network, loss, schedule and metric, what a trivial rule gets and what was published.

    Attributes:
        name: As the commands know it.
        folder, layout: The folder of the real data under the data root, and how to arrange files in it.
        run: Size, seed and device.
        shape: Of one prepared case; with the split it tells whether an unfinished training is this one.
        data, prepare, sets: From nothing to the cases, to arrays, to the three sets.
        network, loss, metric, schedule: What is trained, and how; the network may be told the names of the classes.
        evaluate, pool: Judge a network on a test set; put the test sets of several folds together.
        predict: Answer for one file of a user's, from the network, what is known about its weights, the file and the
            beginning of the names of what it writes.
        baseline: What a rule without a network reaches on the test set.
        published: A published figure and where it stands.
        aside: Whether one case of each class is kept out of all sets, for the last prediction of the notebook.
        divide: How the cases are divided, see `datasets.split`.
    """

    name: str
    folder: str
    layout: str
    run: runtime.Run
    shape: tuple[int, ...]
    data: Callable[[], datasets.Cases]
    prepare: Callable[[Any], Any]
    sets: Callable[[Any, datasets.Split], Sets]
    network: Callable[..., paddle.nn.Layer]
    loss: training.Loss
    metric: training.Metric
    schedule: training.Schedule
    evaluate: Callable[[paddle.nn.Layer, Sets], Evaluation]
    pool: Callable[[Sequence[Any]], Evaluation]
    predict: Callable[[paddle.nn.Layer, dict[str, Any], Path, Path], dict[str, Any]]
    baseline: Callable[[Any, datasets.Split], Estimate]
    published: tuple[float, str]
    aside: bool = False
    divide: Callable[..., datasets.Split] = datasets.split

    def split(self, data: datasets.Cases) -> datasets.Split:
        """Divide the cases into training, validation and test set."""
        return self.divide(data, self.run.seed, aside=self.aside)

    def passport_name(self, origin: str) -> str:
        """The file name of this task's passport, such as "ct-quick-phantom.json"."""
        return f"{self.name}-{self.run.size}-{origin}.json"

    def train(self, network: paddle.nn.Layer, sets: Sets, **options) -> training.Fit:
        """Train a network by the task's own loss, metric and schedule; ``options`` go to `training.fit`."""
        facts = {"loss": self.loss, "metric": self.metric, "schedule": self.schedule, "seed": self.run.seed}
        return training.fit(network, sets.train, sets.valid, **facts | options)

    def judge(self, split: datasets.Split, fit: training.Fit, found: Evaluation) -> passports.Passport:
        """The passport of a run: its headline with everything needed to judge it.

        Args:
            split, fit, found: Data, training and result.

        Raises:
            ValueError: If the training was stopped by hand: half a training is no result.
        """
        if fit.by_hand:
            raise ValueError("this training was stopped by hand, so it gets no passport; train again to the end")
        return passports.Passport.of(
            found.headline,
            task=self.name,
            published=self.published,
            data=split.data.origin,
            data_hash=split.data.hash,
            split_hash=split.hash,
            seed=self.run.seed,
            run=self.run.size,
            device=self.run.device,
            versions=runtime.versions(),
            seconds_per_step=fit.seconds_per_step,
            minutes=fit.minutes,
            peak_memory_gb=runtime.peak_memory(),
        )

    def passport(
        self, split: datasets.Split, fit: training.Fit, found: Evaluation, folder: Path | None = None
    ) -> passports.Passport:
        """Make the passport of a run, and write it to a folder.

        Args:
            split, fit, found: As in `judge`.
            folder: ``build/passports`` when left out.

        Raises:
            ValueError: As in `judge`.
        """
        result = self.judge(split, fit, found)
        passports.write(result, (folder or runtime.BUILD / "passports") / self.passport_name(split.data.origin))
        return result
