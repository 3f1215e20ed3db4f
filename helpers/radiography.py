"""Radiographs sorted into one folder a class: found, known by their content, and kept together with their copies.

Used by notebook 04 and by `python -m helpers.train xray`.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from helpers import duplicates, files, image_folders, patients, xray
from helpers.files import DataError
from helpers.looks import Look, look_at_all
from helpers.scans import read_origin


@dataclass(frozen=True, eq=False)
class RadiographCase:
    """One image.

    Attributes:
        path: Where it lies.
        label: Its class as a number.
        key: Made from the content of the file alone.
        group: The least key of all that must stay in one set with it: copies, and images of the same patient.
        shape: (rows, columns) in pixels.
        mode: How it is stored, such as "RGB" or "grey".
        near: Whether another file holds nearly the same picture.
        named: Whether its name tells of a patient.
    """

    path: Path
    label: int
    key: str
    group: str
    shape: tuple[int, int]
    mode: str
    near: bool
    named: bool


@dataclass(frozen=True, eq=False)
class Radiographs:
    """Radiographs sorted into one folder a class, in the order of their keys.

    ``refused`` tells of each image that cannot be read; ``contradictory`` are files whose exact copy lies in another
    class. Both are left out, and stay where they are. ``boxes`` is the lungs' box of each image (see
    `controls.blank_boxes`), float32 [cases, 4], where that is known: of phantoms.
    """

    root: Path
    origin: str  # "phantom" or "real"
    licence: str
    citation: str
    classes: tuple[str, ...]
    cases: tuple[RadiographCase, ...]
    refused: tuple[DataError, ...] = ()
    contradictory: tuple[Path, ...] = ()
    boxes: np.ndarray | None = None
    name: str = "chest X-rays"
    unit: str = "image"

    @cached_property
    def labels(self) -> np.ndarray:
        """int64 [cases], an index into the classes."""
        return np.array([case.label for case in self.cases], np.int64)

    @cached_property
    def groups(self) -> np.ndarray:
        """int64 [cases]; what has one number is of one patient, or the same picture."""
        return np.unique([case.group for case in self.cases], return_inverse=True)[1]

    @cached_property
    def hash(self) -> str:
        """One hash of all content, labels and groups."""
        return files.hash_bytes(*(f"{case.key} {case.label} {case.group};".encode() for case in self.cases))

    def example(self, class_name: str, number: int = 0) -> Path:
        """The path of one image of a class.

        Raises:
            ValueError: If there is no such class.
        """
        if class_name not in self.classes:
            raise ValueError(f"the classes are {' and '.join(self.classes)}, but found {class_name!r}")
        paths = [case.path for case in self.cases if case.label == self.classes.index(class_name)]
        return paths[number % len(paths)]

    def read(self, index: int) -> xray.Radiograph:
        """Read one image whole."""
        return xray.read_radiograph(self.cases[index].path, f"image {index:04}")

    def take(self, indices: Sequence[int]) -> "Radiographs":
        """The same data set with some of its cases only."""
        boxes = None if self.boxes is None else self.boxes[indices]
        return replace(self, cases=tuple(self.cases[index] for index in indices), boxes=boxes)

    def card(self) -> str:
        """What a reader must know of the data before any result, as plain text."""
        counts = [f"{np.sum(self.labels == i)} {name}" for i, name in enumerate(self.classes)]
        twice = len(self.cases) - len({case.key for case in self.cases})
        near, named = (sum(getattr(case, name) for case in self.cases) for name in ("near", "named"))
        members = Counter(case.group for case in self.cases)
        mixed = len({(case.group, case.label) for case in self.cases}) - len(members)
        modes = ", ".join(f"{n} {mode}" for mode, n in Counter(case.mode for case in self.cases).most_common())
        sides = sorted(side for case in self.cases for side in case.shape)
        rows = [
            f"{self.name}: {len(self.cases)} {self.origin} images, {', '.join(counts)}",
            ", ".join(f"class {i} is {name}" for i, name in enumerate(self.classes)),
            f"images that are there twice: {twice}; nearly the same as another one: {near}",
            f"images whose name tells the patient: {named}",
            f"patients, or pictures with their copies: {len(members)}, the largest of {max(members.values())} images; "
            f"in more than one class: {mixed}",
            f"stored as: {modes}; sides of {sides[0]} to {sides[-1]} pixels",
            f"left out: {len(self.refused)} that cannot be read, {len(self.contradictory)} that lie in two classes",
            *(f"  {fault}" for fault in self.refused),
            f"licence: {self.licence}",
            f"source: {self.citation}",
        ]
        return "\n".join(rows)


def read_folder(folder: str | os.PathLike) -> Radiographs:
    """List the images of a folder that holds one folder a class, or a zip archive of such folders.

    Images may lie deeper in a class folder; ``masks`` and hidden files do not count. Classes that are divided into
    ``train`` and ``test`` are put together again: the course divides by patients. An archive is unpacked once, under
    ``build/``.

    Args:
        folder: The folder, or the archive itself. It stays as it is.

    Returns:
        The images, each looked at once (later calls remember). Class 0 is the healthy one (``NORMAL``, ``No_findings``
        and the like), the others follow by name.

    Raises:
        DataError: If there are fewer than two classes, or if a class holds no more than one image, be it in copies.

    Taught in notebook 04.
    """
    root = image_folders.find_root(Path(folder))
    origin = read_origin(root / "ORIGIN.json")
    listed = image_folders.list_images(root)
    classes = tuple(listed)
    paths = [(path, label) for label, name in enumerate(classes) for path in listed[name]]
    looks = look_at_all([path for path, _ in paths])
    labels_of: dict[str, set[int]] = {}
    for (_, label), look in zip(paths, looks, strict=True):
        labels_of.setdefault(look.content, set()).add(label)

    refused, contradictory, kept = [], [], []
    for (path, label), look in zip(paths, looks, strict=True):
        if look.fault:
            refused.append(DataError(path, look.fault, look.remedy))
        elif len(labels_of[look.content]) > 1:
            contradictory.append(path)
        else:
            key = origin.get("keys", {}).get(look.content, look.content)
            kept.append(_Found(path, label, key, look))
    kept.sort(key=lambda found: (found.key, found.path.as_posix()))
    # The class stands first, also where its folder lies in "train" or "test".
    inside = [PurePath(classes[one.label], *one.path.relative_to(root).parts[1:]) for one in kept]
    cases = _group(kept, patients.find_patients(inside))
    for label, name in enumerate(classes):
        _check_class(root / name, [case for case in cases if case.label == label], len(listed[name]))
    lungs = origin.get("lungs", {})
    boxes = [lungs[case.key] for case in cases if case.key in lungs]
    return Radiographs(
        root=root,
        origin=origin.get("origin", "real"),
        licence=origin.get("licence", "that of your own data"),
        citation=origin.get("what", f"your own folder, {Path(folder).resolve().name}"),
        classes=classes,
        cases=cases,
        refused=tuple(refused),
        contradictory=tuple(contradictory),
        boxes=np.array(boxes, np.float32) if len(boxes) == len(cases) else None,
    )


class _Found(NamedTuple):
    """An image before it is known which others belong to it."""

    path: Path
    label: int
    key: str
    look: Look


def _group(found: list[_Found], named: list[str | None]) -> tuple[RadiographCase, ...]:
    """Put together what is of one patient or nearly the same picture."""
    pairs, near = [], set()
    if found:
        hashes = np.array([one.look.marks.hash for one in found], np.uint64)
        alike = duplicates.near_pairs(hashes, np.stack([one.look.marks.details for one in found]))
        pairs += [(one, other) for one, other in alike.tolist()]
        near.update(index for pair in pairs if len({found[index].key for index in pair}) > 1 for index in pair)
    for same in (named, [one.key for one in found]):
        first: dict[str | None, int] = {}
        pairs += [(first.setdefault(name, index), index) for index, name in enumerate(same) if name is not None]
    groups = duplicates.unite(len(found), pairs).tolist()
    keys: dict[int, str] = {}
    for group, one in zip(groups, found, strict=True):  # in the order of their keys, so that the first is the least
        keys.setdefault(group, one.key)
    cases = []
    for index, (path, label, key, look) in enumerate(found):
        group, named_so = keys[groups[index]], named[index] is not None
        cases.append(RadiographCase(path, label, key, group, look.shape, look.mode, index in near, named_so))
    return tuple(cases)


def _check_class(path: Path, cases: list[RadiographCase], files_in_all: int) -> None:
    """Refuse a class that cannot be divided."""
    if len({case.group for case in cases}) > 1:
        return
    if len(cases) > 1:
        fault = f"its {len(cases)} images are copies of one, or of one patient"
    else:
        left = f" that can be used, of {files_in_all}" if files_in_all > len(cases) else ""
        fault = f"this class holds {'one image' if cases else 'no image'}{left}"
    raise DataError(path, fault, "add images: 2 at least, better 10, are divided into training and test")
