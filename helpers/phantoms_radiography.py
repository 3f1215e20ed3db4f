"""Synthetic twins of the course's fourth data set: chest X-rays in class folders, from hospitals with habits.

Used by notebook 04, where it finds no data. The habits may go with the class (``confounded``): then a network can be
right without a look at the lungs, as in the published set, whose classes came from different hospitals.
"""

import io
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from helpers import anatomy, exposures, files, films, infiltrates, phantoms
from helpers.hospitals import AWAY, HOME
from helpers.parallel import in_processes

VERSION = 2  # of the drawing: a change that moves pixels raises it, so that stored phantoms are made anew
CLASSES = infiltrates.CLASSES
PURITY = 0.96  # of the hospitals when confounded: how many patients of a class come from its own
KINDS = (  # of files in such folders; which one has nothing to do with the class
    ("L", "jpeg"),
    ("L", "png"),
    ("RGB", "jpeg"),
    ("RGB", "png"),
    ("L", "jpeg"),
    ("RGBA", "png"),
    ("P", "png"),
    ("I;16", "png"),
)


@dataclass(frozen=True)
class RadiographySettings:
    """How many chest X-rays to draw, how finely, and from which hospitals.

    Args:
        each: Radiographs drawn of each class; copies come on top.
        pixels: Rows and columns.
        seed: Another seed, other patients.
        confounded: Whether nearly all patients of a class come from one hospital, each class from another.
        external: Whether they come from two other hospitals, which see all classes alike.
        duplicates: Copies under another name, as a share of each class: as they are, in another format, or saved
            again smaller.
    """

    each: int = 120
    pixels: int = 192
    seed: int = 2020
    confounded: bool = False
    external: bool = False
    duplicates: float = 0.05


class Facts(NamedTuple):
    """What is known of one radiograph; the box of the lungs is top, left, bottom, right as shares of the picture."""

    patient: int
    site: str
    child: bool
    lungs: tuple[float, float, float, float]
    mask: np.ndarray  # bool [rows, columns]: the lungs


def draw_radiograph(number: int, label: int, settings: RadiographySettings) -> tuple[np.ndarray, Facts]:
    """Draw one radiograph. Every twelfth is the second one of the patient before.

    Args:
        number: Which one of its class.
        label: Which class, an index into ``CLASSES``.
        settings: Size, seed and hospitals.

    Returns:
        float32 [rows, columns] in [0, 1], bone white, and what is known of it.

    Example:
        >>> image, facts = draw_radiograph(1, 2, RadiographySettings(pixels=64))
        >>> image.shape, facts.patient
        ((64, 64), 1)

    Seen in notebook 04.
    """
    patient = _patient(number)
    rng = np.random.default_rng([settings.seed, label, patient, int(settings.external)])
    site, (habits, children) = _choose_site(patient, label, settings, rng)
    child = bool(rng.random() < children)
    chest = anatomy.sample_thorax(rng)
    finding = infiltrates.change(CLASSES[label])
    film, _ = films.draw_film(_as_child(chest, rng) if child else chest, settings.pixels, finding, rng)
    again = np.random.default_rng([settings.seed, label, number, int(settings.external), 1])
    look = exposures.random_look(again, habits)
    mask = exposures.place(film.lungs > 1, look)
    return exposures.expose(film, look, again), Facts(patient, site, child, _box(mask), mask)


def _patient(number):
    """Which patient of the class; every twelfth radiograph is the second one of the patient before."""
    return number - (number % 12 == 11)


def _choose_site(patient, label, settings, rng):
    """The hospital of a patient: by turns, so that no class has more of one by chance, or the one of its class."""
    sites = list((AWAY if settings.external else HOME).items())
    stray = rng.random() > PURITY
    if settings.confounded and not settings.external and not stray:
        return sites[label]
    return sites[patient % len(sites)]


def _as_child(chest, rng):
    """A smaller, rounder chest with a larger heart and little fat."""
    size = rng.uniform(0.68, 0.86)
    return replace(
        chest,
        width=chest.width * size,
        depth=chest.depth * size * 1.05,
        height=chest.height * size,
        dome=chest.dome * size,
        fat=chest.fat * 0.4,
        heart=chest.heart * 1.08,
    )


def _box(mask):
    """The box around a mask as shares of its sides, half-open; the whole picture if nothing is seen."""
    box = []
    for axis in (1, 0):
        there = np.flatnonzero(mask.any(axis))
        low, high = (there[0], there[-1] + 1) if len(there) else (0, mask.shape[1 - axis])
        box.append((low / mask.shape[1 - axis], high / mask.shape[1 - axis]))
    (top, bottom), (left, right) = box
    return float(top), float(left), float(bottom), float(right)


def make_radiography(
    folder: str | Path, settings: RadiographySettings, progress: Callable[[Iterable], Iterable] = iter
) -> Path:
    """Write a twin of the radiography set: one folder a class, PNG and JPEG files of mixed modes, and copies.

    Second radiographs of a patient are named after the first: `COVID-12-b.png`, `person13_virus_2.jpeg`. Copies have
    names of their own, as if they were somebody else's.

    Args:
        folder: Where the class folders shall be; it must not exist yet.
        settings: How many radiographs, how fine, which seed, and whether hospitals go with classes.
        progress: Wraps the iteration over the finished radiographs, to show how far it is; copies do not count.

    Returns:
        The folder. Its ORIGIN.json says that these are phantoms, how they were made, and which file is which: `keys`
        (of file hashes), and of each key the hospital (`sites`) and the box of the lungs (`lungs`: top, left, bottom,
        right as shares of the picture); `copies` names each copy's original.

    Raises:
        DataError: If the folder exists: phantoms are made once, whole, and never mixed.
        OSError: If it cannot be written; nothing is left behind.

    Example:
        >>> import tempfile
        >>> folder = make_radiography(tempfile.mkdtemp() + "/x", RadiographySettings(each=2, pixels=48, duplicates=0))
        >>> sorted(path.parent.name for path in folder.glob("*/*"))
        ['COVID', 'COVID', 'NORMAL', 'NORMAL', 'Viral_Pneumonia', 'Viral_Pneumonia']

    Seen in notebook 04.
    """
    jobs = [(number, label) for label in range(len(CLASSES)) for number in range(settings.each)]
    with phantoms.made_whole(folder) as part:
        with closing(in_processes(partial(_write, part, settings), jobs)) as written:
            made = [row for rows in progress(written) for row in rows]
        origin = {
            "origin": "phantom",
            "what": "synthetic chest X-rays; no patient was exposed",
            "licence": "CC0-1.0",
            "settings": asdict(settings),
            "keys": {row.content: row.key for row in made},
            "sites": {row.key: row.site for row in made},
            "lungs": {row.key: [round(side, 4) for side in row.lungs] for row in made},
            "copies": {row.name: row.original for row in made if row.original},
        }
        files.write_json(part / "ORIGIN.json", {name: _sorted(entry) for name, entry in origin.items()})
    return Path(folder)


def _sorted(entry):
    return dict(sorted(entry.items())) if isinstance(entry, dict) else entry


class _Written(NamedTuple):
    """One file: its content hash, the key that is the same on every machine, and what it is a copy of."""

    content: str
    key: str
    name: str
    original: str
    site: str
    lungs: tuple[float, ...]


def _write(folder: Path, settings: RadiographySettings, job: tuple[int, int]) -> list[_Written]:
    """Write one radiograph, and in some cases a copy of it."""
    number, label = job
    image, facts = draw_radiograph(number, label, settings)
    rng = np.random.default_rng([settings.seed, label, number, int(settings.external), 2])
    mode, kind = KINDS[rng.integers(len(KINDS))]
    stem = f"{CLASSES[label]}/{_name(label, _patient(number), number != _patient(number))}"
    packed = [(f"{stem}.{kind}", _pack(image, mode, kind))]
    rank = _rank_among_copied(number, settings)
    if rank is not None:
        kind, copy = _copy(*packed[0], (rank + label) % 3, rng)
        packed.append((f"{CLASSES[label]}/{_name(label, settings.each + rank)}.{kind}", copy))
    rows = []
    for name, content in packed:
        files.write_atomic(folder / name, lambda file, content=content: file.write(content))
        # The last digit of a grey can differ between processors, so the file's own hash does not name a phantom.
        is_new = content != packed[0][1]
        key = files.hash_bytes(repr((VERSION, settings, label, number, is_new)).encode())
        original = "" if name == packed[0][0] else packed[0][0]
        rows.append(_Written(files.hash_bytes(content), key, name, original, facts.site, facts.lungs))
    return rows


def _name(label, patient, again=False):
    """Names as they are found in such sets: the patient's number, and which radiograph of the patient it is."""
    if CLASSES[label] == infiltrates.VIRAL:
        return f"person{patient + 1}_virus_{2 if again else 1}"
    return f"{CLASSES[label]}-{patient + 1}" + "-b" * again


def _rank_among_copied(number, settings):
    """Which of the copied radiographs of its class this is, or None; they lie evenly among the others."""
    count = round(settings.each * settings.duplicates)
    originals = [int((rank + 0.5) * settings.each / count) for rank in range(count)]
    return originals.index(number) if number in originals else None


def _pack(image, mode, kind):
    """A picture in [0, 1] as the bytes of a file."""
    if mode == "I;16":
        return _encode(Image.fromarray(np.rint(image * 65535).astype(np.uint16)), kind)
    return _encode(Image.fromarray(np.rint(image * 255).astype(np.uint8)).convert(mode), kind)


def _encode(picture, kind, **choices):
    """The bytes of a PNG or JPEG file."""
    stream = io.BytesIO()
    picture.save(stream, kind, **({"quality": 90} if kind == "jpeg" else {}) | choices)
    return stream.getvalue()


def _copy(name, content, how, rng):
    """Kind and bytes of a copy: 0 the file as it is, 1 the same pixels in another file, 2 saved again, smaller."""
    if how == 0:
        return name.rpartition(".")[2], content
    with Image.open(io.BytesIO(content)) as picture:
        if how == 1:
            other = {"L": "RGB", "RGB": "L", "RGBA": "L", "P": "RGB"}.get(picture.mode, picture.mode)
            return "png", _encode(picture.convert(other), "png", compress_level=1)
        side = round(picture.width * rng.uniform(0.75, 0.9))
        grey = (
            picture.convert("L") if picture.mode != "I;16" else Image.fromarray((np.array(picture) >> 8).astype("u1"))
        )
        return "jpeg", _encode(grey.resize((side, side)), "jpeg", quality=int(rng.integers(60, 85)))
