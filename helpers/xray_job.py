"""The job of notebook 04, classes of chest X-rays: its `Task`, what a network is shown of them, its answer for a file.

Used by notebook 04 and by `python -m helpers.train xray`, through `tasks`.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from helpers import (
    controls,
    explain,
    files,
    film_arrays,
    film_views,
    jitter,
    networks,
    radiography,
    runtime,
    squares,
    stores,
    training,
)
from helpers.datasets import Split
from helpers.film_arrays import Films
from helpers.film_samples import LabelledFilms
from helpers.jobs import Sets, Task
from helpers.phantoms_radiography import VERSION, RadiographySettings, make_radiography
from helpers.xray import read_radiograph
from helpers.xray_answers import correct_share, evaluate, histogram, pool, probabilities

SHOWN = ("all", "borders", "no lungs")
NOWHERE = Path("no real data")  # a data root without any
STAGE = 3  # of the network's four, for Grad-CAM: in the last one a map has two to four numbers a side


def _one_cycle(epochs: int, batch: int, rate: float) -> training.Schedule:
    return training.Schedule(epochs, batch, rate, kind="one-cycle", weight_decay=0.01, patience=epochs)


# Phantoms a class and their side, side and width of what the network sees, and how it learns. Real images are few and
# varied: they get a larger network and more epochs than phantoms do in a quick run.
SIZES = {
    "quick": (110, 128, 64, 12, _one_cycle(24, 16, 5e-3)),
    "real": (70, 128, 128, 32, _one_cycle(24, 16, 3e-3)),
    "class": (450, 160, 96, 16, _one_cycle(20, 16, 4e-3)),
    "full": (1200, 256, 224, 64, _one_cycle(40, 32, 1e-3)),
}


def open_radiography(
    settings: RadiographySettings, root: Path | None = None, name: str = "radiography"
) -> radiography.Radiographs:
    """Open the X-rays of notebook 04: real ones if they are there, else their phantom twins, which are made once.

    Args:
        settings: How many phantoms, how fine, which seed, and whether their hospital gives the class away.
        root: The data root; ``COURSE_DATA`` when left out.
        name: "radiography", or "radiography_external" for another hospital's.

    Returns:
        The images. Real ones lie in one folder a class, or in a zip archive of such folders.

    Raises:
        DataError: If there are real images that cannot be used. They are never replaced by phantoms in silence.

    Taught in notebook 04.
    """
    total = 3 * settings.each
    return radiography.read_folder(stores.find_or_make(name, make_radiography, settings, VERSION, total, root))


def open_external(run: runtime.Run, confounded: bool = False) -> radiography.Radiographs | None:
    """Open the images of another hospital: ``radiography_external`` of real data, or phantoms of other sites.

    Args:
        run: As in `xray`.
        confounded: As in `xray`: phantoms, real images or not.

    Returns:
        The images, or None where there are real images at home but none of another hospital.

    Taught in notebook 04.
    """
    real = runtime.find_data("radiography", run.data_root) is not None and not confounded
    root, name = run.data_root if real else NOWHERE, "radiography_external"
    if real and runtime.find_data(name, root) is None:
        return None
    each, pixels, *_ = SIZES[run.size]
    return open_radiography(RadiographySettings(each // 3, pixels, run.seed, external=True), root, name)


def hide(films: Films, shown: str, boxes: np.ndarray | None = None) -> Films:
    """Leave only a part of every image: what a network still finds there is not the disease.

    Args:
        films: From `film_arrays.prepare`.
        shown: "all"; "borders", a frame along the edges; "no lungs", all but the box around the lungs.
        boxes: The lungs' box of each image as `controls.blank_boxes` takes them; one box for all when left out.

    Raises:
        ValueError: If ``shown`` is none of these.

    Taught in notebook 04.
    """
    if shown not in SHOWN:
        raise ValueError(f"what is shown must be one of {', '.join(SHOWN)}, but is {shown!r}")
    if shown == "all":
        return films
    if shown == "borders":
        return films._replace(images=controls.borders_only(films.images))
    return films._replace(images=controls.blank_boxes(films.images, controls.LUNGS if boxes is None else boxes))


def vary(image: np.ndarray, rng: np.random.Generator, noise: jitter.Noise = jitter.add_noise) -> np.ndarray:
    """The six published changes, and in one half of the images right and left swapped: no disease here has a side.

    Args:
        image, rng, noise: As in `jitter.vary`.

    Taught in notebook 04.
    """
    image = jitter.vary(image, rng, noise)
    return image[:, ::-1] if rng.random() < 0.5 else image


def predict(network: paddle.nn.Layer, about: dict[str, Any], path: Path, place: Path, side: int) -> dict[str, Any]:
    """Answer for one X-ray: the probability of each class; a picture shows where the network looked.

    Args:
        network: Trained on squares of ``side`` pixels.
        about: The names of its ``classes``.
        path: A DICOM, PNG or JPEG file.
        place: Folder and beginning of the names of the picture.
        side: See `squares.to_square`.

    Raises:
        DataError: If the image cannot be used.

    Taught in notebook 04.
    """
    film = read_radiograph(path)
    square = np.round(squares.to_square(film.pixels, side) * 255) / np.float32(255)
    nothing = np.zeros(1, int)
    one = Films(np.round(square[None] * 255).astype(np.uint8), None, nothing, nothing, (), np.ones(1, bool))
    said = probabilities(network, LabelledFilms(one, [0], 0))[0]
    names = about.get("classes", [f"class {label}" for label in range(len(said))])
    label = int(said.argmax())
    heat = explain.gradcam(network, square[None], label, stage=STAGE)
    picture = film_views.cam([square], [heat], [f"called {names[label]}, {100 * said[label]:.0f} %"])
    files.write_atomic(place.with_name(f"{place.name}_cam.png"), lambda file: file.write(picture.png))
    return {
        "probability": {name: round(float(part), 6) for name, part in zip(names, said, strict=True)},
        "class": names[label],
    }


def xray(
    run: runtime.Run,
    shown: str = "all",
    confounded: bool = False,
    depth: int = 18,
    shortcuts: bool = True,
    real: bool | None = None,
    width: int | None = None,
) -> Task:
    """Notebook 04: normal, viral pneumonia or COVID-19?

    Args:
        run: From `runtime.start`; its size sets the number of phantoms, the side of the images, width and epochs.
        shown: What the network sees of each image, see `hide`.
        confounded: Whether to take phantoms, real images or not, whose hospital gives the class away.
        depth: Of the `ResNet`.
        shortcuts: False for a plain network of that depth.
        real: Whether the images are real ones; what lies under the data root tells when left out.
        width: Filters of the first stage; by the size of the run when left out.

    Example:
        >>> task = xray(runtime.Run(seed=0, size="full", device="cpu", data_root=Path("data")))
        >>> task.shape, task.schedule.epochs
        ((1, 224, 224), 40)

    Taught in notebook 04.
    """
    root = NOWHERE if confounded else run.data_root
    real = runtime.is_real("radiography", root) if real is None else real
    each, pixels, side, usual, schedule = SIZES["real" if real and run.size == "quick" else run.size]
    settings = RadiographySettings(each // (1 + confounded), pixels, run.seed, confounded=confounded)  # a trap is easy

    def network(classes: Sequence[str] = ()) -> paddle.nn.Layer:
        paddle.seed(run.seed)  # a network built twice, say by running a cell again, starts from the same weights
        return networks.ResNet(depth, classes=len(classes) or 3, channels=1, width=width or usual, shortcuts=shortcuts)

    def sets(films: Films, split: Split) -> Sets:
        seen = hide(films, shown, split.data.boxes)
        return Sets(
            LabelledFilms(seen, split.train, run.seed, vary),
            LabelledFilms(seen, split.valid, run.seed),
            LabelledFilms(seen, split.test, run.seed),
        )

    parts = ["xray", "confounded" * confounded, shown.replace(" ", "-") * (shown != "all")]
    parts += [f"{depth}" * (depth != 18), "plain" * (not shortcuts), f"width{width}" * (width is not None)]
    return Task(
        name="-".join(filter(None, parts)),
        folder="radiography",
        layout="put one folder of images a class into its folder radiography",
        run=run,
        shape=(1, side, side),
        data=lambda: open_radiography(settings, root),
        prepare=lambda data: film_arrays.prepare(data, side),
        sets=sets,
        network=network,
        loss=paddle.nn.functional.cross_entropy,
        metric=correct_share,
        schedule=schedule,
        evaluate=evaluate,
        pool=pool,
        predict=partial(predict, side=side),
        baseline=lambda films, split: histogram(films, split).headline,
        published=(0.9554, "test accuracy of the published tutorial, a mean of batch means"),
        aside=True,
    )
