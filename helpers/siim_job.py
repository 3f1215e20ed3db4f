"""The job of notebook 03, air in the pleural space: its `Task`, its data, and its answer for one file.

Used by notebook 03 and by `python -m helpers.train pneumothorax`, through `tasks`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import paddle

from helpers import (
    files,
    film_arrays,
    film_views,
    losses,
    masks,
    networks,
    rules,
    runtime,
    siim,
    squares,
    stores,
    training,
    triplets,
    warps,
)
from helpers.datasets import Split
from helpers.estimates import Estimate
from helpers.film_arrays import Films
from helpers.film_samples import MaskedFilms
from helpers.jobs import Sets, Task
from helpers.phantoms_siim import VERSION, SIIMSettings, make_siim
from helpers.siim_answers import evaluate, image_score, mean_dice, pool, probabilities
from helpers.triplets import Triplet
from helpers.xray import Radiograph, clahe, read_radiograph

NETWORKS = {"ResUNet": networks.ResUNet, "UNet": networks.UNet}


def _cosine(epochs: int, batch: int, rate: float) -> training.Schedule:
    return training.Schedule(epochs, batch, rate, kind="cosine", weight_decay=1e-4, patience=epochs)


# Phantoms and their side, side and width of what the network sees, and how it learns.
SIZES = {
    "quick": (360, 160, 64, 6, _cosine(12, 8, 5e-3)),
    "class": (900, 192, 96, 8, _cosine(16, 8, 4e-3)),
    "full": (2000, 512, 256, 64, _cosine(70, 16, 1e-3)),
}


def open_siim(settings: SIIMSettings, root: Path | None = None) -> siim.MaskedRadiographs:
    """Open the radiographs of notebook 03: real ones if they are there, else their phantom twins, which are made once.

    Args:
        settings: How many phantoms, how fine, which seed.
        root: The data root; ``COURSE_DATA`` when left out.

    Returns:
        The radiographs. Real ones lie in ``siim/`` as DICOM files at any depth, beside ``train-rle.csv``.

    Raises:
        DataError: If there are real radiographs that cannot be used. They are never replaced by phantoms in silence.

    Taught in notebook 03.
    """
    return siim.read_folder(stores.find_or_make("siim", make_siim, settings, VERSION, settings.count, root))


class Outlined(NamedTuple):
    """What was found on one radiograph, at its own size.

    ``mask`` is ``bool`` [rows, columns], ``chance`` how likely air is at each pixel, ``float32`` of the same shape, and
    ``score`` one figure for the whole image, see `image_score`.
    """

    mask: np.ndarray
    chance: np.ndarray
    score: float


def outline(network: paddle.nn.Layer, about: dict[str, Any], film: Radiograph, side: int) -> Outlined:
    """Outline the air on one radiograph.

    Args:
        network: Trained on squares of ``side`` pixels.
        about: The triplet: ``top``, ``area`` and ``bottom``; see `triplets.Triplet`.
        film: The radiograph.
        side: See `squares.to_square`.

    Raises:
        ValueError: If a part of the triplet is missing.

    Taught in notebook 03.
    """
    if lacking := [name for name in ("top", "area", "bottom") if name not in about]:
        remedy = "train again: python -m helpers.train pneumothorax"
        raise ValueError(f"these weights bring no {', '.join(lacking)} to make a mask with; {remedy}")
    image = np.round(squares.to_square(film.pixels, side) * 255).astype(np.uint8)
    shape, nothing = (1, side, side), np.zeros(1, int)
    one = Films(image[None], np.zeros(shape, bool), nothing, nothing, (), np.ones(1, bool))
    found = probabilities(network, MaskedFilms(one, [0], 0))
    small = triplets.apply(found, Triplet(about["top"], about["area"], about["bottom"]))
    chance = squares.from_square(found[0], film.pixels.shape)
    return Outlined((chance > about["bottom"]) & small.any(), chance, float(image_score(found)[0]))


def predict(network: paddle.nn.Layer, about: dict[str, Any], path: Path, place: Path, side: int) -> dict[str, Any]:
    """Answer for one radiograph: whether there is air in the pleural space, and where; a picture shows it.

    Args:
        network, about, side: As in `outline`.
        path: A DICOM, PNG or JPEG file.
        place: Folder and beginning of the names of the picture.

    Returns:
        ``pneumothorax``, ``score``, the ``pixels`` of the mask at the radiograph's own size, its ``box`` (top, left,
        bottom, right; None if it is empty) and its run-length code ``rle``.

    Raises:
        DataError: If the radiograph cannot be used.

    Taught in notebook 03.
    """
    film = read_radiograph(path)
    found = outline(network, about, film, side)
    picture = film_views.compare(film, found.mask, clahe(film.pixels))
    files.write_atomic(place.with_name(f"{place.name}_mask.png"), lambda file: file.write(picture.png))
    return {
        "pneumothorax": bool(found.mask.any()),
        "score": round(found.score, 4),
        "pixels": masks.area(found.mask),
        "box": masks.bounding_box(found.mask),
        "rle": masks.encode_rle(found.mask),
    }


def pneumothorax(run: runtime.Run, network: str = "ResUNet") -> Task:
    """Notebook 03: is there air in the pleural space, and where?

    Args:
        run: From `runtime.start`; its size sets the number of phantoms, the side of the images, width and epochs.
        network: "ResUNet", or the "UNet" of notebook 02.

    Raises:
        ValueError: If the network is neither.

    Example:
        >>> task = pneumothorax(runtime.Run(seed=0, size="full", device="cpu", data_root="data"))
        >>> task.shape, task.schedule.epochs, task.schedule.rate
        ((1, 256, 256), 70, 0.001)

    Taught in notebook 03.
    """
    if network not in NETWORKS:
        raise ValueError(f"the network must be one of {', '.join(NETWORKS)}, but is {network!r}")
    count, pixels, side, width, schedule = SIZES[run.size]

    def build(_: Sequence[str] = ()) -> paddle.nn.Layer:
        paddle.seed(run.seed)  # a network built twice, say by running a cell again, starts from the same weights
        return NETWORKS[network](width, channels=1)

    def sets(films: Films, split: Split) -> Sets:
        return Sets(
            MaskedFilms(films, split.train, run.seed, warps.vary),
            MaskedFilms(films, split.valid, run.seed),
            MaskedFilms(films, split.test, run.seed),
        )

    def baseline(films: Films, split: Split) -> Estimate:
        usable = replace(split, train=films.only_usable(split.train), test=films.only_usable(split.test))
        return rules.mean_and_sd(films.images, usable)

    return Task(
        name="pneumothorax" if network == "ResUNet" else f"pneumothorax-{network}",
        folder="siim",
        layout="put the DICOM files and train-rle.csv into its folder siim",
        run=run,
        shape=(1, side, side),
        data=lambda: open_siim(SIIMSettings(count, pixels, run.seed), run.data_root),
        prepare=lambda data: film_arrays.prepare(data, side, data.runs),
        sets=sets,
        network=build,
        loss=losses.bce_dice,
        metric=mean_dice,
        schedule=schedule,
        evaluate=evaluate,
        pool=pool,
        predict=partial(predict, side=side),
        baseline=baseline,
        published=(0.889, "CheXNet on the pneumothorax label of ChestX-ray14, Rajpurkar et al. 2017"),
    )
