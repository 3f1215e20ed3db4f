"""Radiographs to look at, varied copies, and test images with what was found: what notebook 03 shows beside training.

Used by notebook 03.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from helpers import overlap, siim, siim_flaws, xray
from helpers.estimates import aligned
from helpers.files import DataError
from helpers.film_arrays import Films
from helpers.film_samples import MaskedFilms
from helpers.siim_answers import Evaluation


class Shown(NamedTuple):
    """Films with a caption each, in the order in which views take them."""

    films: list[xray.Radiograph]
    captions: list[str]


class Segmented(NamedTuple):
    """Test images with true and found masks and a caption each, in the order in which views take them."""

    images: list[np.ndarray]
    truths: list[np.ndarray]
    found: list[np.ndarray]
    captions: list[str]


def random_films(data: siim.MaskedRadiographs, seed: int, count: int = 4) -> Shown:
    """Read some radiographs drawn at random, half of them with pneumothorax if there are as many.

    What cannot be read is passed over; `film_arrays.prepare` counts it.

    Args:
        data: The radiographs; what the draw depends on is their content, not their order.
        seed: Of the draw.
        count: How many.

    Taught in notebook 03.
    """
    rng = np.random.default_rng(seed)
    healthy, ill = (_readable(data, rng.permutation(np.flatnonzero(data.labels == label))) for label in (0, 1))
    some = list(islice(ill, count // 2))
    some = [*islice(healthy, count - len(some)), *some]
    some += islice(ill, count - len(some))
    return Shown([film for _, film in some], [data.classes[data.labels[i]] for i, _ in some])


def _readable(data: siim.MaskedRadiographs, order: Iterable[int]) -> Iterator[tuple[int, xray.Radiograph]]:
    """Those of some cases that can be read, with their indices; as many are read as are asked for."""
    for index in order:
        try:
            film = data.read(int(index))
        except DataError:
            continue
        yield int(index), film


def texts(data: siim.MaskedRadiographs) -> dict[str, tuple[str, ...]]:
    """The run-length codes of every image, as its table has them.

    Taught in notebook 03.
    """
    return {case.key: runs for case, runs in zip(data.cases, data.runs, strict=True)}


def several_masks(data: siim.MaskedRadiographs) -> str:
    """What is lost if only the last of several masks is kept, or all are added up; a sentence.

    Taught in notebook 03.
    """
    shapes = {}
    for index, case in enumerate(data.cases):
        if data.mask_count(index) > 1:
            shapes.setdefault(data.mask(index).shape, {})[case.key] = data.runs[index]
    if not shapes:
        return "No image here has several masks."
    shape, most = max(shapes.items(), key=lambda pair: len(pair[1]))  # as good as all sets have images of one size
    return str(siim_flaws.several_masks(most, shape))


def plain_case(data: siim.MaskedRadiographs) -> int:
    """The index of a case that is worth a look: of the masks with several parts, else of all, the median in size.

    Of those that can be read, that is; the first case if there is no mask.

    Taught in notebook 03.
    """
    ill = np.flatnonzero(data.labels == 1)
    several = [i for i in ill if data.mask_count(int(i)) > 1]
    among = sorted(several or ill, key=lambda i: data.mask(int(i)).mean())
    outwards = sorted(range(len(among)), key=lambda place: abs(place - len(among) // 2))
    order = [among[place] for place in outwards] or range(len(data.cases))
    return next(_readable(data, order), (0, None))[0]


def varied(samples: MaskedFilms, copies: int = 7) -> tuple[list[np.ndarray], list[np.ndarray], list[str]]:
    """One training image with a mask, as it is and as it looks in the first epochs.

    Args:
        samples: The training set; its epoch is as before afterwards.
        copies: How many epochs.

    Returns:
        Images, masks and captions for `film_views.varied`.

    Taught in notebook 03.
    """
    sizes = [int(np.count_nonzero(samples.films.masks[index])) for index in samples.where]
    item = int(np.argsort(sizes, kind="stable")[-1 - len(sizes) // 20])  # large, but not an outlier
    index, before = int(samples.where[item]), samples.epoch
    images, found = [samples.films.images[index] / np.float32(255)], [np.asarray(samples.films.masks[index])]
    for epoch in range(copies):
        samples.epoch = epoch
        image, mask = samples[item]
        images.append(image[0])
        found.append(mask[0] > 0.5)
    samples.epoch = before
    return images, found, ["the image", *(f"epoch {epoch + 1}" for epoch in range(copies))]


def segmented(films: Films, found: Evaluation, places: Sequence[int]) -> Segmented:
    """Some test images with what is true and what was found.

    Args:
        films: What the network saw.
        found: What it said.
        places: Places in the evaluation.

    Taught in notebook 03.
    """
    places = np.asarray(places, dtype=int)
    cases = found.cases[places]
    said = found.masks
    return Segmented(
        [films.images[i] / np.float32(255) for i in cases],
        [np.asarray(films.masks[i]) for i in cases],
        [said[place] for place in places],
        found.captions(places),
    )


def mixed(found: Evaluation, count: int = 16) -> np.ndarray:
    """Places of some test images: three quarters with pneumothorax, evenly from the best found to the worst.

    A random choice would be mostly empty images; here good and bad are shown in the proportion in which they occur.

    Taught in notebook 03.
    """
    ill, healthy = np.flatnonzero(found.overlaps.positive), np.flatnonzero(~found.overlaps.positive)
    ill = ill[np.argsort(-found.overlaps.dice[ill], kind="stable")]
    healthy = healthy[np.argsort(found.overlaps.found[healthy], kind="stable")]
    many = min(len(ill), count - count // 4)
    return np.concatenate([_spread(ill, many), _spread(healthy, min(len(healthy), count - many))])


def _spread(places: np.ndarray, count: int) -> np.ndarray:
    return places[np.linspace(0, len(places) - 1, count).round().astype(int)] if count else places[:0]


def kinds(found: Evaluation) -> str:
    """Dice per image, of the positives and pooled, by the triplet and by a plain threshold of 0.5, a line each.

    Taught in notebook 03.
    """
    lines = [["mask by", "per image", "positives", "pooled"]]
    for name, counts in (("triplet", found.overlaps), ("p > 0.5", found.plain)):
        parts = (counts.dice, counts.dice[counts.positive], np.full(min(len(counts.dice), 1), counts.pooled))
        lines.append([name, *(f"{part.mean():.2f}" if len(part) else "-" for part in parts)])
    return aligned(lines)


def published_dice(found: Evaluation) -> str:
    """The Dice of the published tutorial beside that of the competition, for the same masks; a sentence.

    Taught in notebook 03.
    """
    return str(siim_flaws.dice_kinds(found.overlaps)) if len(found.cases) else "There is no test image."


def surest(found: Evaluation) -> int:
    """The index of the ill test image of which the network was surest; without any, the first image of all.

    Taught in notebook 03.
    """
    return int(found.cases[np.argmax(found.truth * found.score)]) if len(found.cases) else 0


def by_size(found: Evaluation) -> str:
    """How the Dice of the positives depends on how much air there is: a line for each third of them, by size.

    Taught in notebook 03.
    """
    counts = found.overlaps
    ill = np.flatnonzero(counts.positive)
    if len(ill) < 3:
        return "there are too few test images with pneumothorax to sort them by size"
    pixels = found.found[0].size
    order, lines = ill[np.argsort(counts.truth[ill], kind="stable")], []
    for name, part in zip(("smallest", "middle", "largest"), np.array_split(order, 3), strict=True):
        share = 100 * counts.truth[part].mean() / pixels
        said = int((counts.found[part] > 0).sum())
        dice = overlap.Overlaps(counts.both[part], counts.truth[part], counts.found[part]).dice.mean()
        lines.append(f"{name:<9} third: {share:4.1f} % of the image, Dice {dice:.2f}, {said} of {len(part)} outlined")
    return "\n".join(lines)
