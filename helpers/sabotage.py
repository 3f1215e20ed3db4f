"""The sabotage lab: a small pipeline that finds L3, trained live, and five secret ways to break it.

Used by notebook 05 through `exercises`: the student finds out from curves, tables and pictures what is broken.
"""

from dataclasses import dataclass

import numpy as np
import paddle

from helpers import networks, plots, sabotage_scans, sabotage_views, training
from helpers.estimates import aligned, figure, wilson
from helpers.localization import NEAR
from helpers.pictures import Picture
from helpers.sabotage_scans import MM, ROWS, SETS, SOUND, Prepared
from helpers.schedules import Schedule

SCHEDULE = Schedule(epochs=24, batch=8, rate=6e-3, kind="one-cycle", weight_decay=1e-4, patience=24)


@dataclass(frozen=True, repr=False, eq=False)
class Case:
    """What is known of a pipeline from outside: what was fed to it, how it learned, and what it answered.

    Attributes:
        name: Whose case it is.
        sets: `Prepared` by the name of the set.
        history: One dict an epoch, as from `training.fit`; the loss is the mean error in mm.
        best_epoch: The epoch whose weights were kept.
        found: Rows that the network named, by set.
        again: Rows that it named for the same test scans when it was asked once more, in other batches.

    Taught in notebook 05.
    """

    name: str
    sets: dict[str, Prepared]
    history: list[dict]
    best_epoch: int
    found: dict[str, np.ndarray]
    again: np.ndarray

    def __repr__(self) -> str:
        return f"Case({self.name.strip() or SOUND}: see .curves, .results, .greys, .twice, .scatter and .examples)"

    @property
    def constant(self) -> float:
        """What the trivial rule says of every scan: the median row of the training scans."""
        return float(np.median(self.sets["training"].rows))

    @property
    def curves(self) -> Picture:
        """How it learned: loss, here the mean error in mm, and the share within half a vertebra."""
        share = self._near(np.full(SETS["validation"], self.constant), "validation")
        metric = f"share within {NEAR:g} mm"
        return plots.curves(self.history, self.best_epoch, metric, "phantom", share, "trivial rule")

    @property
    def results(self) -> str:
        """The share within half a vertebra and the median error of each set, beside those of the trivial rule."""
        lines = [["set", f"within {NEAR:g} mm", "counts", "95 % interval", "trivial", "median error", "trivial"]]
        for name, (_, rows) in self.sets.items():
            share, trivial = self._near(self.found[name], name), self._near(np.full(len(rows), self.constant), name)
            low, high = wilson(round(share * len(rows)), len(rows))
            median, middle = (np.median(abs(said - rows)) * MM for said in (self.found[name], self.constant))
            counts = f"{share * len(rows):.0f} of {len(rows)}"
            line = [name, figure(share), counts, f"{figure(low)} to {figure(high)}", figure(trivial)]
            lines.append([*line, f"{median:.1f} mm", f"{middle:.1f} mm"])
        return aligned(lines)

    @property
    def greys(self) -> str:
        """The grey values that the network was given, by set: mean, SD and range."""
        lines = [["set", "mean", "SD", "lowest", "highest"]]
        for name, (images, _) in self.sets.items():
            values = (images.mean(), images.std(), images.min(), images.max())
            lines.append([name, *(f"{value:.3f}" for value in values)])
        return aligned(lines)

    @property
    def twice(self) -> Picture:
        """The first against the second answer to the same test scans."""
        names = ("first answer", "second answer")
        return sabotage_views.scatter(self.found["test"], self.again, names, ROWS, MM, "phantom")

    @property
    def scatter(self) -> Picture:
        """Where the network found L3 on the test scans, against where it is."""
        both = self.sets["test"].rows, self.found["test"]
        return sabotage_views.scatter(*both, ("true", "found"), ROWS, MM, "phantom", self.constant)

    @property
    def examples(self) -> Picture:
        """A few inputs of each set as the network was given them, with the row that the pipeline's label names."""
        shown = {name: (one.images[:, 0], one.rows) for name, one in self.sets.items()}
        return sabotage_views.examples(shown, "phantom")

    def _near(self, said: np.ndarray, name: str) -> float:
        return near(self.sets[name].rows, said)


class RowFinder(paddle.nn.Layer):
    """A small `networks.RowNet` with dropout that names one row: the mean of all, weighed by how sure it is of each.

    Args:
        forgets: Whether it ignores `eval`, as a pipeline does that never calls it.

    Input is ``float32`` [batch, 1, rows, columns]; output [batch], rows.

    Example:
        >>> RowFinder()(paddle.zeros([2, 1, 64, 48])).numpy().shape
        (2,)

    Seen in notebook 05.
    """

    def __init__(self, forgets: bool = False):
        super().__init__()
        self.forgets = forgets
        self.net = networks.RowNet(width=6, depth=3)
        self.net.head = paddle.nn.Sequential(paddle.nn.Dropout(0.3), self.net.head)

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        sure = paddle.nn.functional.softmax(self.net(images)[:, 0], axis=1)
        return (sure * paddle.arange(sure.shape[1], dtype="float32")).sum(axis=1)

    def eval(self) -> "RowFinder":
        """Turn dropout off and BatchNorm to what it measured in training, unless that is what is forgotten."""
        return self if self.forgets else super().eval()


def error_mm(outputs: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
    """The mean distance of found and true rows in mm. Seen in notebook 05."""
    return (outputs - targets).abs().mean() * MM


def near(targets: np.ndarray, outputs: np.ndarray) -> float:
    """The share of scans whose L3 is found within half a vertebra. Seen in notebook 05."""
    return float(np.mean(abs(targets - outputs) * MM <= NEAR))


def sabotage(name: str) -> Case:
    """Break a pipeline in one of five secret ways, train it, and show what can be seen from outside.

    Args:
        name: Any text, such as yours; it decides what is broken, and which scans are drawn for which set. The empty
            text is a sound pipeline, for comparison.

    Taught in notebook 05.
    """
    return _show(name, sabotage_scans.draw_way(name), sabotage_scans.draw_seed(name))


def _show(name: str, way: str, seed: int) -> Case:
    scans = sabotage_scans.open_scans()
    sets = sabotage_scans.share_out(scans, way, seed)
    return _ask(name, *_train(sets, way, seed), sabotage_scans.spoil_test(scans, sets, way, seed), seed)


def _train(sets: dict[str, Prepared], way: str, seed: int) -> tuple[RowFinder, training.Fit]:
    paddle.seed(seed)
    network = RowFinder(forgets=way == "eval mode")
    train, valid = (_samples(sets[name]) for name in ("training", "validation"))
    return network, training.fit(network, train, valid, loss=error_mm, metric=near, schedule=SCHEDULE, seed=seed)


def _ask(name: str, network: RowFinder, fit: training.Fit, sets: dict[str, Prepared], seed: int) -> Case:
    """Ask for every set, and for the test set once more, in another order and in larger batches."""
    found = {part: training.predict(network, _samples(one), SCHEDULE.batch) for part, one in sets.items()}
    order = np.random.default_rng(seed).permutation(SETS["test"])
    again = np.empty(len(order), np.float32)
    again[order] = training.predict(network, _samples(Prepared(*(part[order] for part in sets["test"]))), 12)
    return Case(name, sets, fit.rows, fit.best_epoch, found, again)


def _samples(one: Prepared) -> paddle.io.TensorDataset:
    return paddle.io.TensorDataset([paddle.to_tensor(part) for part in one])
