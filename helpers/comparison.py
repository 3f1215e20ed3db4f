"""The four results side by side: which network, how large now and as published, what it cost, and how good it is.

Used by notebook 05, which reads the passports that the other notebooks and `python -m helpers.train` wrote.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import paddle

from helpers import networks, passports, runtime, tasks, xray_job
from helpers.costs import costs
from helpers.estimates import HEADER, aligned
from helpers.passports import Passport


class Reference(NamedTuple):
    """The network of a published tutorial as this course builds it, and the count that it must come to, of whom."""

    build: Callable[[], paddle.nn.Layer]
    count: int
    source: str


REFERENCES = {
    "ct": Reference(networks.CNN3D, 1_352_897, "the tutorial's count"),
    "l3": Reference(networks.UNet, 31_055_297, "the tutorial's count"),
    "pneumothorax": Reference(networks.ResUNet, 8_227_521, "a count by hand"),  # its tutorial tells only the filters
    "xray": Reference(networks.ResNet, 23_567_299, "Paddle's ResNet-50"),
}
MEASURED = (
    "FLOPs are of one forward pass, a multiplication and an addition being two.",
    "Seconds, memory and minutes are those of the machine it ran on, the memory that of the whole process with data.",
)
PUBLISHED = "Published figures come from other cases, and some are of another measure."


class Sheet(NamedTuple):
    """One table: its title, its rows of texts, the header first, and the sentences below it. It prints aligned."""

    title: str
    rows: list[list[str]]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([self.title, aligned(self.rows), *self.notes])


@dataclass(frozen=True)
class Table:
    """All results in three sheets narrow enough to read, one result a line, in the same order.

    Attributes:
        sizes: This run's network, and the published one built here and counted.
        costs: FLOPs, seconds a step, memory, minutes.
        results: The figure with interval and counts, the trivial rule, the published figure.
    """

    sizes: Sheet
    costs: Sheet
    results: Sheet

    @property
    def rows(self) -> list[list[str]]:
        """Everything in one table, the header first."""
        parts = (self.sizes.rows, self.costs.rows, self.results.rows)
        return [[*a, *b[1:], *c[1:]] for a, b, c in zip(*parts, strict=True)]

    def __str__(self) -> str:
        return "\n\n".join(map(str, (self.sizes, self.costs, self.results)))


def gather(folders: Iterable[str | Path]) -> tuple[list[Passport], list[str]]:
    """Read the passports of some folders, and keep for each task only results that can be compared.

    Args:
        folders: In this order; one that is not there holds nothing. A passport takes the place of one of the same file
            name in an earlier folder, such as the reader's own fresh one that of the committed one. Which kind of run
            is kept of a task is decided by the first passport that is read of it.

    Returns:
        The passports, in the order of `tasks.TASKS`, and a sentence for each that is left out, damaged or unlike, and
        for the tasks that have none.

    Example:
        >>> gather(["no such folder"])[1]
        ['No usable passport of ct, l3, pneumothorax, xray: `make run` runs the notebooks that write them.']

    Taught in notebook 05.
    """
    kept, first, sentences = {}, {}, []
    for path in (path for folder in folders for path in sorted(Path(folder).glob("*.json"))):
        try:
            passport = passports.read(path)
        except ValueError as error:  # a DataError, or a word that this version of the course does not know
            fault = str(error).removeprefix(f"{path.as_posix()}: ").removesuffix(".")
            sentences.append(f"{_short(path)}: {fault}.")
            continue
        before, where = first.setdefault(passport.task, (passport, path))
        try:
            passports.compare(before, passport)
        except ValueError as unlike:
            sentences.append(f"{_short(path)} is left out beside {_short(where)}: {unlike}.")
        else:
            kept[passport.task, path.name] = passport
    if missing := [name for name in tasks.TASKS if name not in first]:
        remedy = "`make run` runs the notebooks that write them"
        sentences.append(f"No usable passport of {', '.join(missing)}: {remedy}.")
    order = [*tasks.TASKS, *first]
    return sorted(kept.values(), key=lambda passport: order.index(passport.task)), sentences


def table(found: Iterable[Passport]) -> Table:
    """Set results side by side. The networks are built anew from their tasks, to be named, counted and costed.

    Args:
        found: From `gather`; of a task that is not in `tasks.TASKS` nothing is known but what its passport says.

    Taught in notebook 05.
    """
    found = list(found)
    sizes = [["task", "network", "parameters", "as published", "its parameters", "against"]]
    spent = [["task", "device", "FLOPs a case", "s/step", "peak GB", "minutes"]]
    results = [["task", "run", "seed", *HEADER, "published"]]
    sources, doubts = {}, []  # two results may name the same source
    for one in found:
        size, flops = _built(one)
        seconds, memory, minutes = (
            "not measured" if value is None else f"{value:{form}}"
            for value, form in ((one.seconds_per_step, ".3g"), (one.peak_memory_gb, ".1f"), (one.minutes, ".1f"))
        )
        sizes.append([one.task, *size])
        spent.append([one.task, one.device, flops, seconds, memory, minutes])
        figure = "none" if one.published is None else f"{one.published[0]:.4g}"
        results.append([one.task, f"{one.run}, {one.data}", str(one.seed), *one.estimate.row, figure])
        if one.published is not None:
            sources[f"  {figure}: {one.published[1]}"] = None
        if one.value is not None and one.interval[0] <= one.baseline[1]:
            doubts.append(f"{one.task}: {one.estimate.verdict}.")
    return Table(
        Sheet("How large: this run's network, and the published one, built here and counted", sizes),
        Sheet("What it cost", spent, MEASURED),
        Sheet("How good", results, (*doubts, PUBLISHED, *sources)),
    )


def human(number: float, unit: str = "") -> str:
    """Print a large number with three digits, as people say it.

    Example:
        >>> human(1_352_897), human(2.1e9, "FLOP"), human(999_900), human(12)
        ('1.35 M', '2.1 GFLOP', '1 M', '12')

    Used by notebook 05.
    """
    for power, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * power:  # what rounds to a thousand of the smaller unit is one of this
            return f"{number / power:.3g} {letter}{unit}"
    return f"{number:.3g} {unit}".strip()


def _built(passport: Passport) -> tuple[list[str], str]:
    """What is known from building the networks: the cells on their sizes, and the FLOPs."""
    if passport.task not in tasks.TASKS:
        return ["not known", "-", "-", "-", "-"], "not known"
    reference = REFERENCES[passport.task]
    with paddle.LazyGuard():  # no weight is drawn: only shapes count
        (network, shape), published = _network(passport), reference.build()
    cost, count = costs(network, shape), networks.count_parameters(published)[0]
    against = f"{_against(count, reference.count)} {reference.source}"
    size = [_name(network), human(cost.parameters), _name(published), f"{count:,}", against]
    return size, human(cost.flops, "FLOP")


def _against(count: int, wanted: int) -> str:
    return "=" if count == wanted else f"{abs(count - wanted):,} {'more' if count > wanted else 'fewer'} than"


def _network(passport: Passport) -> tuple[paddle.nn.Layer, tuple[int, ...]]:
    """The untrained network of a result, and the shape of one case as it takes it, channels first."""
    run = runtime.Run(passport.seed, passport.run, passport.device, xray_job.NOWHERE)
    # Only here does the size of the network depend on whether the images are real.
    options = {"real": passport.data == "real"} if passport.task == "xray" else {}
    task = tasks.TASKS[passport.task](run, **options)
    return task.network(), (1, *reversed(task.shape)) if passport.task == "ct" else task.shape  # volumes: x, y, z


def _name(network: paddle.nn.Layer) -> str:
    """Such as "ResNet-18, 12 filters": its kind, its depth where it comes in several, the filters it begins with."""
    kind = type(network).__name__
    paths = [name for name, tensor in network.named_parameters() if tensor.ndim > 2 and "shortcut" not in name]
    depth = f"-{len(paths) + 1}" if kind == "ResNet" else ""  # the dense layer makes up the depth
    return f"{kind}{depth}, {network.state_dict()[paths[0]].shape[0]} filters"


def _short(path: Path) -> str:
    """A file as the reader knows it: inside the course from its root, elsewhere with its folder's name."""
    whole = path.resolve()
    inside = whole.is_relative_to(runtime.ROOT)
    return whole.relative_to(runtime.ROOT).as_posix() if inside else "/".join(whole.parts[-2:])
