"""Radiographs as the arrays that a network is fed: small squares, made once on all cores and kept on disk.

Used by notebooks 03 and 04. A file that cannot be used is left out and counted; the others go on.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers import dicom_pixels, files, masks, stores, xray
from helpers.datasets import Cases
from helpers.estimates import plural
from helpers.files import DataError
from helpers.squares import to_square

PREPARED = 2  # version of what a cache holds; a change of the preparation raises it


class Films(NamedTuple):
    """Radiographs as a network sees them.

    ``images`` is ``uint8`` [cases, side, side], black to white; ``masks`` is ``bool`` of the same shape, or None where
    the data have no masks; ``labels``, ``groups`` [cases] and ``classes`` are those of the data; ``usable`` [cases]
    tells which files could be read, and ``faults`` says why the others could not.
    """

    images: np.ndarray
    masks: np.ndarray | None
    labels: np.ndarray
    groups: np.ndarray
    classes: tuple[str, ...]
    usable: np.ndarray
    faults: tuple[DataError, ...] = ()

    def only_usable(self, where: Sequence[int]) -> np.ndarray:
        """Those of some cases that could be read."""
        where = np.asarray(where, dtype=int)
        return where[self.usable[where]]

    def card(self) -> str:
        """How many images are used, and one line for each that is left out."""
        side = self.images.shape[1]
        head = f"{plural(int(self.usable.sum()), 'image')} of {side} x {side} pixels, {len(self.faults)} left out"
        return "\n".join([head, *(f"  {fault}" for fault in self.faults)])


def prepare(data: Cases, side: int, runs: Sequence[Sequence[str]] | None = None) -> Films:
    """Bring every radiograph to a small square, once, on all cores; later runs find the result on disk.

    Args:
        data: The radiographs; each case has a ``path``.
        side: Of the square, in pixels.
        runs: For each case the run-length codes of its masks, if the data have masks.

    Returns:
        The images, memory-mapped. The cache lies under ``build/``, never among the data, and its name holds a hash of
        content and settings.

    Raises:
        DataError: If not one image can be read.

    Taught in notebook 03.
    """
    facts = (data.hash, side, runs is not None, PREPARED)
    folder = stores.prepared(data.name, facts, partial(_fill, data, side, runs))
    read = partial(np.load, mmap_mode="r")
    told = files.read_json(folder / "faults.json")
    faults = tuple(DataError(data.cases[index].path, *words) for index, *words in told)  # where the files lie now
    usable = np.load(folder / "usable.npy")
    if not usable.any():
        raise DataError(faults[0].path, faults[0].fault, f"{faults[0].remedy}; none of the others can be used either")
    groups = np.array([case.group for case in data.cases])
    found = None if runs is None else read(folder / "masks.npy")
    return Films(read(folder / "images.npy"), found, data.labels, groups, tuple(data.classes), usable, faults)


def _fill(data: Cases, side: int, runs: Sequence[Sequence[str]] | None, folder: Path) -> None:
    jobs = [(case.path, None if runs is None else tuple(runs[i])) for i, case in enumerate(data.cases)]
    with dicom_pixels.quiet():  # once for all: to hush and to wake takes time that threads cannot share
        found = stores.fill_rows(folder, partial(_shrink, side), jobs, "preparing images")
    np.save(folder / "usable.npy", np.array([fault is None for fault in found]))
    faults = [(index, fault.fault, fault.remedy) for index, fault in enumerate(found) if fault]
    files.write_json(folder / "faults.json", faults)


def _shrink(side: int, job: tuple[Path, tuple[str, ...] | None]) -> dict[str, np.ndarray] | DataError:
    path, texts = job
    try:
        pixels = xray.read_pixels(path)
    except DataError as fault:
        return fault
    rows = {"images": np.round(to_square(pixels, side) * 255).astype(np.uint8)}
    if texts is None:
        return rows
    try:
        return rows | {"masks": shrink_mask(masks.decode_union(texts, pixels.shape), side)}
    except ValueError as fault:
        return DataError(path, f"its mask cannot be decoded ({fault})", "correct its rows in the table of masks")


def shrink_mask(mask: np.ndarray, side: int) -> np.ndarray:
    """Bring a mask to the square that its radiograph is brought to; a small one shrinks, but never to nothing.

    Args:
        mask: ``bool`` [rows, columns].
        side: Of the square, in pixels.

    Returns:
        ``bool`` [side, side]: pixels half covered or more; where there are none, those that are covered most.

    Example:
        >>> sliver = np.zeros((8, 8), bool); sliver[3, 5] = True
        >>> shrink_mask(sliver, 2).astype(int)
        array([[0, 1],
               [0, 0]])

    Taught in notebook 03.
    """
    share = to_square(mask, side)
    return share >= min(0.5, share.max() or 0.5)
