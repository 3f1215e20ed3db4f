"""The class clock: how long every network of the course would train on this machine, and how much memory it needs.

Used by notebook 05. One training step of each is measured; nothing is trained, and no data set is opened.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import paddle

from helpers import costs, datasets, film_arrays, l3_scans, networks, runtime
from helpers.chart_parts import duration
from helpers.estimates import aligned
from helpers.jobs import Sets, Task
from helpers.rows import ROWS
from helpers.tasks import TASKS
from helpers.xray_job import NOWHERE

# Cases of each data set. Of a full run it is what the sources publish: MosMedData's subset, the CTs behind
# l3_dataset.npz, the radiographs of train-rle.csv, and the three classes of notebook 04.
CASES = {
    "ct": {"quick": 300, "class": 1400, "full": 200},
    "l3": {"quick": 110, "class": 420, "full": 1070},
    "pneumothorax": {"quick": 360, "class": 900, "full": 10675},
    "xray": {"quick": 330, "class": 1350, "full": 1341 + 1345 + 1200},
}
PATIENCE = 3.0  # seconds for one network at one size
REPEATS = 3
LOADED = 0.65  # GB that Python, Paddle and the modules of the course take
HEAP = (0.1, 1.5)  # GB that the heap takes in advance, and how much larger its gaps make it
DEPTHS = (18, 34, 50, 101, 152)
PUBLISHED = (3, 224, 224)  # of an image of ImageNet, with a thousand classes


class Timing(NamedTuple):
    """What one network takes to train at one size of the run.

    Attributes:
        task, network, size: Which.
        cases: How many the measured step had.
        batch: How many a step of the training has.
        seconds: Of a step of the training; scaled up where ``cases`` are fewer than ``batch``.
        steps: Of all epochs.
        memory: Peak of the process, in GB, predicted.

    Used by notebook 05.
    """

    task: str
    network: str
    size: str
    cases: int
    batch: int
    seconds: float
    steps: int
    memory: float

    @property
    def minutes(self) -> float:
        """Of the whole training, if it goes through all its epochs; validation, about 5 %, comes on top."""
        return self.seconds * self.steps / 60


@dataclass(frozen=True)
class Clock:
    """What `measure` found; prints as a table with its small print."""

    timings: tuple[Timing, ...]

    @property
    def rows(self) -> list[tuple[str, str, float]]:
        """Network, size of the run and predicted minutes, as `comparison_charts.minutes` takes them."""
        return [(one.network, one.size, one.minutes) for one in self.timings]

    @property
    def table(self) -> list[list[str]]:
        """What is printed, the header first."""
        head = ["network", "run", "s/step", "measured with", "steps", "training", "memory"]
        lines = [
            [
                one.network,
                one.size,
                f"{one.seconds:.3g}",
                f"{one.cases} of {one.batch} cases",
                f"{one.steps:,}",
                duration(one.minutes),
                f"{one.memory:.1f} GB",
            ]
            for one in self.timings
        ]
        return [head, *lines]

    @property
    def notes(self) -> list[str]:
        """The small print below it."""
        return _small_print(self.timings)

    def __str__(self) -> str:
        return "\n".join([aligned(self.table), *self.notes])


class Latency(NamedTuple):
    """A ResNet of published size: its depth, its numbers, its FLOPs, and what one image takes on this machine.

    Used by notebook 05.
    """

    depth: int
    parameters: int
    flops: int
    milliseconds: float


@dataclass(frozen=True)
class Latencies:
    """What `latencies` found; prints as a table."""

    rows: tuple[Latency, ...]

    def __str__(self) -> str:
        head = ["network", "parameters", "GFLOPs", "ms an image", "GFLOPs a second"]
        lines = [
            [
                f"ResNet-{one.depth}",
                f"{one.parameters:,}",
                f"{one.flops / 1e9:.1f}",
                f"{one.milliseconds:.0f}",
                f"{one.flops / one.milliseconds / 1e6:.0f}",
            ]
            for one in self.rows
        ]
        return aligned([head, *lines])


def measure(run: runtime.Run) -> Clock:
    """Measure a training step of the four networks at the run's own size, at class size and at full size.

    A step is the task's own: its loading and variation of a batch, its network, loss and AdamW; only the cases are
    noise. A first step warms up; then the median of three counts, or of fewer where they take seconds. A full run's
    step may take a minute on a CPU: there one case is measured, and the time scaled to the batch.

    Args:
        run: Its size and seed; quick and class runs are those on phantoms.

    Returns:
        One timing a network and size, small sizes first. It takes some 20 s, and leaves its memory with the process.

    Taught in notebook 05.
    """
    sizes = dict.fromkeys([run.size, "class", "full"])
    jobs = [(name, size) for size in sorted(sizes, key=runtime.SIZES.index) for name in TASKS]
    return Clock(tuple(timing(name, replace(run, size=size, data_root=NOWHERE)) for name, size in jobs))


def timing(name: str, run: runtime.Run) -> Timing:
    """Measure a training step of one network.

    Args:
        name: A key of `tasks.TASKS`.
        run: As in `measure`.

    Taught in notebook 05.
    """
    task = TASKS[name](run)
    batch, train = task.schedule.batch, round(datasets.FRACTIONS[0] * CASES[name][run.size])
    cases = 1 if run.size == "full" and run.device == "cpu" else batch
    network, sets = task.network(), stand_in(task, cases)
    known = costs.costs(network, sets.train[0][0].shape)
    kind = type(network).__name__ + "-18" * isinstance(network, networks.ResNet)
    seconds = _median_seconds(_step(task, network, sets)) * batch / cases
    steps = task.schedule.epochs * -(-train // batch)
    return Timing(name, kind, run.size, cases, batch, seconds, steps, memory(known, batch))


def memory(known: costs.Costs, batch: int) -> float:
    """Predict the peak memory of a training on a CPU, in GB.

    To what is loaded anyway come four numbers for each trained one - itself, its gradient and AdamW's two averages -,
    what is kept of every case of a batch, and the largest convolution's unfolded input. Of the heap's gaps there is
    only an average, and pictures and data that a notebook holds come on top: right within a factor of two.

    Args:
        known: What the network costs.
        batch: Cases a step.

    Example:
        >>> known = costs.Costs(parameters=10**6, trained=10**6, flops=0, activations=10**8, unfolded=0)
        >>> round(memory(known, batch=2) - memory(known, batch=1), 6)
        0.15

    Taught in notebook 05.
    """
    floats = 4 * costs.FLOAT * known.trained
    ahead, gaps = HEAP
    return LOADED + ahead + gaps * (floats + batch * known.activations + known.unfolded) / 1e9


def stand_in(task: Task, cases: int) -> Sets:
    """Cases of noise in the form of a task's own, so that a step can be taken without opening its data.

    Args:
        task: One of those of `tasks.TASKS`.
        cases: How many; all of them train.

    Taught in notebook 05.
    """
    rng, labels = np.random.default_rng(task.run.seed), np.arange(cases) % 2
    if task.folder == "mosmed":
        prepared = datasets.Prepared(rng.random((cases, *task.shape), np.float32), np.ones((cases, 3)))
    elif task.folder == "l3":
        images = rng.integers(1, 256, (cases, 2, ROWS, l3_scans.COLUMNS), np.uint8)
        levels = np.tile(np.linspace(20, 120, len(l3_scans.LEVELS)), (cases, 1))
        prepared = l3_scans.Prepared(images, np.zeros(cases), np.ones(cases), levels, levels > 0)
    else:
        shape = (cases, *task.shape[1:])
        masks = np.zeros(shape, bool)
        masks[:, : shape[1] // 4, : shape[2] // 4] = True
        images = rng.integers(0, 256, shape, np.uint8)
        prepared = film_arrays.Films(images, masks, labels, np.arange(cases), (), np.ones(cases, bool))
    everyone, nobody = np.arange(cases), np.zeros(0, int)
    return task.sets(prepared, datasets.Split(everyone, nobody, nobody, SimpleNamespace(labels=labels, boxes=None)))


def latencies() -> Latencies:
    """Time one image of 224 x 224 pixels through the five ResNets of published size, in milliseconds.

    Their weights are all alike: what they are changes the answer and not the time, and drawing them takes longer.

    Taught in notebook 05.
    """
    image = paddle.rand([1, *PUBLISHED])
    found = []
    for depth in DEPTHS:
        with paddle.LazyGuard():
            network = networks.ResNet(depth, classes=1000, channels=PUBLISHED[0])
        known = costs.costs(network, PUBLISHED)
        for tensor in network.parameters():
            paddle.assign(paddle.full(tensor.shape, 0.01), output=tensor)
        network.eval()
        with paddle.no_grad():
            seconds = _median_seconds(lambda network=network: network(image).numpy())
        found.append(Latency(depth, known.trained, known.flops, 1000 * seconds))
    return Latencies(tuple(found))


def _step(task: Task, network: paddle.nn.Layer, sets: Sets) -> Callable[[], None]:
    """One step of `training.fit` on all the cases of a set, ready to be called."""
    numbers = network.parameters()
    optimizer = paddle.optimizer.AdamW(task.schedule.rate, parameters=numbers, weight_decay=task.schedule.weight_decay)

    def step() -> None:
        inputs, targets = (
            paddle.to_tensor(np.stack(part))
            for part in zip(*(sets.train[i] for i in range(len(sets.train))), strict=True)
        )
        value = task.loss(network(inputs), targets)
        value.backward()
        optimizer.step()
        optimizer.clear_grad()
        numbers[-1].numpy()  # a GPU answers before it has finished; this waits for it

    network.train()
    return step


def _median_seconds(work: Callable[[], object]) -> float:
    """The median time of a few calls; the first one, which warms up, counts only where there is no time for others."""
    times, begun = [], time.perf_counter()
    while len(times) <= REPEATS and (not times or time.perf_counter() - begun < PATIENCE):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return median(times[1:] or times)


def _small_print(timings: tuple[Timing, ...]) -> list[str]:
    """How far to trust the table."""
    notes = [
        f"Training steps alone, on {runtime.device()}; validation adds about 5 %.",
        "Memory is right within a factor of two, without the pictures and data that a notebook holds.",
    ]
    if any(one.cases < one.batch for one in timings):
        notes.append("Full: the published number of real cases; time scaled from fewer cases than a batch has.")
    return notes
