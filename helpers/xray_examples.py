"""Images to look at, controls, and the two experiments on hospitals: what notebook 04 shows beside its training.

Used by notebook 04.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import paddle

from helpers import datasets, explain, film_arrays, networks, radiography, residuals, xray_answers, xray_flaws
from helpers import xray_job as job
from helpers.estimates import figure
from helpers.estimates import table as as_table
from helpers.film_arrays import Films
from helpers.film_samples import LabelledFilms
from helpers.jobs import Sets, Task
from helpers.xray_answers import Evaluation

NEAR = 0.5  # a control that reaches so much of what the full image gains over chance comes near it


def counts(split: datasets.Split) -> dict[str, dict[str, int]]:
    """How many images of each class are in each set, as `charts.classes` takes them.

    Taught in notebook 04.
    """
    parts = {"training": split.train, "validation": split.valid, "test": split.test}
    labels = split.data.labels
    return {
        name: {part: int(np.sum(labels[where] == label)) for part, where in parts.items()}
        for label, name in enumerate(split.data.classes)
    }


def examples(data: radiography.Radiographs, split: datasets.Split, each: int = 2) -> tuple[list[np.ndarray], list[str]]:
    """The first training images of every class, with their class as a caption.

    Taught in notebook 04.
    """
    chosen = [split.train[data.labels[split.train] == label][:each] for label in range(len(data.classes))]
    chosen = [int(index) for turn in range(each) for part in chosen for index in part[turn : turn + 1]]
    return [data.read(index).pixels for index in chosen], [data.classes[data.labels[index]] for index in chosen]


def varied(samples: LabelledFilms, copies: int = 7) -> tuple[list[np.ndarray], list[str]]:
    """One training image as it is, and as it looks in the first epochs; the set's epoch is as before afterwards.

    Taught in notebook 04.
    """
    before, images = samples.epoch, [samples.films.images[samples.where[0]] / np.float32(255)]
    for epoch in range(copies):
        samples.epoch = epoch
        images.append(samples[0][0][0])
    samples.epoch = before
    return images, ["the image", *(f"epoch {epoch + 1}" for epoch in range(copies))]


def sizes(classes: int = 3) -> str:
    """How many parameters a `ResNet` has at each depth, at the published width.

    Example:
        >>> print(sizes().splitlines()[2])
        ResNet-50     23,567,299 parameters, 23,514,179 trained

    Taught in notebook 04.
    """
    lines = []
    with paddle.LazyGuard():  # to count them, no weights need be drawn
        for depth in residuals.BLOCKS:
            whole, trained = networks.count_parameters(networks.ResNet(depth, classes))
            lines.append(f"ResNet-{depth:<4} {whole:>12,} parameters, {trained:,} trained")
    return "\n".join(lines)


def majority(sets: Sets) -> float:
    """The share of validation images of the class that is the commonest in the training set.

    Taught in notebook 04.
    """
    commonest = np.bincount(sets.train.targets).argmax()
    return float(np.mean(sets.valid.targets == commonest))


def bins(found: Evaluation) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """What `class_views.reliability` draws: confidence, hits and images in each bin, and the ECE in words.

    Taught in notebook 04.
    """
    table = found.report.reliability
    hits = np.round(np.nan_to_num(table.accuracy) * table.counts).astype(int)
    return np.nan_to_num(table.confidence), hits, table.counts, f"expected calibration error {figure(table.error)}"


def wrapped(films: Films, found: Evaluation, sigma: float, seed: int) -> tuple[xray_flaws.Noisy, str]:
    """The test image that suffers most from noise that wraps around, and what the noise does to all of them.

    Args:
        films: As prepared.
        found: Tells which images are tested.
        sigma: As in `xray_flaws.wrapped_noise`.
        seed: Of the noise.

    Taught in notebook 04.
    """
    noisy = [xray_flaws.wrapped_noise(films.images[i], sigma, seed) for i in found.cases]
    white, black = (100 * float(np.mean([getattr(one, name) for one in noisy])) for name in ("white", "black"))
    said = f"On average over {len(noisy)} test images: {white:.1f} % to white, {black:.1f} % to black."
    return max(noisy, key=lambda one: one.white + one.black), said


def worst(films: Films, found: Evaluation, count: int = 8) -> tuple[list[np.ndarray], list[str]]:
    """The images whose true class was thought least likely, with what was said of them.

    Taught in notebook 04.
    """
    places = found.worst(count)
    return [films.images[i] / np.float32(255) for i in found.cases[places]], found.captions(places)


def cams(
    network: networks.ResNet, films: Films, found: Evaluation
) -> tuple[list[np.ndarray], list[np.ndarray], list[str]]:
    """For each class the test image that was most surely and rightly named, and its Grad-CAM.

    Taught in notebook 04.
    """
    images, heats, captions = [], [], []
    for label in range(min(len(found.classes), 4)):
        right = np.flatnonzero((found.truth == label) & (found.called == label))
        if len(right):
            place = right[found.probabilities[right, label].argmax()]
            image = films.images[found.cases[place]] / np.float32(255)
            images.append(image)
            heats.append(explain.gradcam(network, image[None], label, stage=job.STAGE))
            captions += found.captions([place])
    return images, heats, captions


def train_controls(task: Task, films: Films, split: datasets.Split, hidden: Sequence[str]) -> dict[str, Evaluation]:
    """Train the same network anew on what is left of the images, once for each way of hiding.

    Args:
        task: The job with whole images.
        films: As prepared.
        split: The same as for whole images.
        hidden: See `xray_job.hide`: "borders", "no lungs".

    Taught in notebook 04.
    """
    found = {}
    for shown in hidden:
        sets = task.sets(job.hide(films, shown, split.data.boxes), split)
        network = task.network(split.data.classes)
        task.train(network, sets)
        found[shown] = task.evaluate(network, sets)
    return found


def all_controls(task: Task, films: Films, split: datasets.Split) -> dict[str, Evaluation]:
    """What can be had without the lungs: from the borders, from all but the lungs' box, from the greys alone.

    Taught in notebook 04.
    """
    found = train_controls(task, films, split, ("borders", "no lungs"))
    return found | {"histogram": xray_answers.histogram(films, split)}


def shown(films: Films, split: datasets.Split) -> tuple[list[np.ndarray], list[str]]:
    """A test image with a box of usual size as it is, and as each of the controls sees it.

    Taught in notebook 04.
    """
    one, boxes = films.only_usable(split.test), None
    if split.data.boxes is None:
        one = one[:1]
    else:
        top, left, bottom, right = split.data.boxes[one].T
        one = one[np.argsort((bottom - top) * (right - left), kind="stable")[[len(one) // 2]]]
        boxes = split.data.boxes[one]
    part = films._replace(images=films.images[one])
    pictures = [job.hide(part, name, boxes).images[0] / np.float32(255) for name in job.SHOWN]
    return pictures, ["full image", "borders", "no lungs"]


def accuracies(found: Mapping[str, Evaluation]) -> str:
    """The accuracy of several evaluations in a table, a line each.

    Taught in notebook 04.
    """
    return as_table([replace(one.headline, name=name) for name, one in found.items()])


def shares(found: Evaluation, control: Evaluation) -> tuple[float, float, float]:
    """The plain shares of right names of two evaluations, however few the images, and of always naming one class.

    Taught in notebook 04.
    """
    right = (float(np.mean(one.called == one.truth)) for one in (found, control))
    return *right, float(np.mean(found.truth == found.majority))


def verdict(found: Evaluation, others: Mapping[str, Evaluation]) -> str:
    """What the controls say of the full result, in words: a line for each, and what follows.

    Only images without lungs can convict a result. Greys without a place count the lungs, too: what they reach may be
    the machine or the disease.

    Taught in notebook 04.
    """
    full, lines, near = found.headline, [], []
    if full.value is None:
        return str(full)
    for name, other in others.items():
        above = found.above(other, name)
        gained = full.value - full.baseline
        share = (other.headline.value - full.baseline) / gained if gained > 0 else 1.0
        near += [name] * ((share >= NEAR or above.low <= 0) and name in job.SHOWN)
        span = f"{figure(above.value)} (95 % interval {figure(above.low)} to {figure(above.high)})"
        part = f"{100 * max(share, 0):.0f} % of what the full image gains over chance"
        lines.append(f"{name} alone: {part}; the full image is better by {span}")
    if near:
        end = f"With {' and '.join(near)} alone it comes near the full result: this accuracy is no evidence of disease."
    else:
        end = (
            "Neither border nor surroundings come near the full result: by these figures most of it needs what lies "
            "inside the box; the intervals tell how sure that is."
        )
    return "\n".join([*lines, end])


class Trapped(NamedTuple):
    """A network that learned where the hospital gives the class away: how it does, and how its borders do."""

    network: paddle.nn.Layer
    found: Evaluation
    borders: Evaluation


def fall_into(trap: Task) -> Trapped:
    """Train on images whose hospital goes with the class, once on all of them and once on their borders.

    Args:
        trap: ``tasks.xray(run, confounded=True)``.

    Taught in notebook 04.
    """
    data = trap.data()
    films, split = trap.prepare(data), trap.split(data)
    sets, network = trap.sets(films, split), trap.network(data.classes)
    trap.train(network, sets)
    borders = train_controls(trap, films, split, ("borders",))["borders"]
    return Trapped(network, trap.evaluate(network, sets), borders)


def elsewhere(task: Task, network: paddle.nn.Layer, found: Evaluation) -> str:
    """What a network's accuracy is in another hospital, beside that at home.

    Args:
        task: Whose network it is.
        network: Trained.
        found: Its evaluation at home.

    Returns:
        A table and the fall with its interval (Newcombe's, for two independent shares); a sentence where there is no
        other hospital.

    Taught in notebook 04.
    """
    data = job.open_external(task.run, "confounded" in task.name)
    if data is None:
        return "There is no folder radiography_external, so nobody knows what this network is worth elsewhere."
    try:
        away = xray_answers.elsewhere(network, found, film_arrays.prepare(data, task.shape[-1]))
    except ValueError as unlike:  # other names of classes: a sentence, so that the notebook goes on
        return f"Nothing can be compared with radiography_external: {unlike}."
    lines = accuracies({"at home": found, "elsewhere": away})
    home, there = found.headline, away.headline
    if home.value is None or there.value is None:
        return lines
    fall = home.value - there.value
    low = fall - np.hypot(home.value - home.low, there.high - there.value)
    high = fall + np.hypot(home.high - home.value, there.value - there.low)
    said = "" if low > 0 else "; it holds 0: no fall is shown, and none is excluded"
    return f"{lines}\nfall: {fall:.2f}, 95 % interval {low:.2f} to {high:.2f}{said}"


def straddling(data: radiography.Radiographs, seeds: int = 20) -> str:
    """How many test images a split without a thought of copies parts from their copies or patients, on average.

    Taught in notebook 04.
    """
    found = [xray_flaws.straddling(data.groups, data.labels, seed) for seed in range(seeds)]
    parted = np.array([one.copied for one in found])
    return (
        f"Over {seeds} random splits, {parted.mean():.1f} of {found[0].test} test images on average "
        f"({parted.min()} to {parted.max()}) have a copy or their patient in the training set; in ours none."
    )


def aside(network: paddle.nn.Layer, films: Films, split: datasets.Split) -> tuple[list[np.ndarray], list[str]]:
    """The images that were kept out of all sets, with their class and what the network says of them.

    Taught in notebook 04.
    """
    last = LabelledFilms(films, split.aside, 0)
    said = xray_answers.probabilities(network, last)
    facts: dict[str, Any] = {"groups": films.groups[last.where], "classes": films.classes, "majority": 0}
    found = Evaluation(last.where, last.targets, said, **facts)
    return [films.images[i] / np.float32(255) for i in last.where], found.captions(range(len(last)))
