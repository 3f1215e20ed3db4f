"""The scans of the sabotage lab: how they are shared out and prepared, and most of what can be broken on the way.

Used by notebook 05 through `sabotage`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers import bodies, ct, files, mip, runtime, spines, stores, trunk
from helpers.canvas import Canvas
from helpers.parallel import in_processes
from helpers.voxels import Grid

SUSPECTS = {
    "leak": "validation scans are training scans",
    "labels": "the labels of the training scans were shuffled",
    "window": "the test scans were prepared with another HU window",
    "eval mode": "the network is asked in training mode: dropout on, BatchNorm on the batch",
    "flip": "the test scans stand upside down, head to foot",
}
SOUND = "sound"  # what the empty name stands for
ROWS, COLUMNS, MM = 64, 48, 6.0  # of an image, and the size of its pixels
SETS = {"training": 32, "validation": 20, "test": 36}  # scans
BACK, DEEP, THICK = 140.0, 26, 9.0  # mm behind L3 to begin, voxels to the front, mm of each: all is projected
WINDOWS = {"right": mip.WINDOW, "other": ct.WINDOWS["published"]}
SHUFFLES = 100
VERSION = 1  # of the drawing


class Scans(NamedTuple):
    """Frontal projections of phantoms: ``hu`` int16 [scans, rows, columns], and the ``rows`` of L3, [scans]."""

    hu: np.ndarray
    rows: np.ndarray


class Prepared(NamedTuple):
    """One set as a pipeline has it: images ``float32`` [scans, 1, rows, columns] in [0, 1], and rows of L3 [scans]."""

    images: np.ndarray
    rows: np.ndarray


def draw_way(name: str) -> str:
    """What is broken in the pipeline of this name, one of ``SUSPECTS``; "sound" for the empty name.

    Used by the checker of notebook 05's sabotage lab.
    """
    return [*SUSPECTS][_number(name) % len(SUSPECTS)] if name.strip() else SOUND


def draw_seed(name: str) -> int:
    """The seed that belongs to a name; it is drawn apart from the way. Used by notebook 05 through `sabotage`."""
    return _number(f"seed of {name}") % 2**31


def _number(name: str) -> int:
    return int(files.hash_bytes(" ".join(name.split()).casefold().encode()), 16)


def open_scans() -> Scans:
    """Phantoms from the lower ribs to the hips; drawn on the first call, later ones find them on disk.

    Used by notebook 05 through `sabotage`.
    """
    facts = (VERSION, sum(SETS.values()), ROWS, COLUMNS, MM, BACK, DEEP, THICK)
    folder = stores.prepared("sabotage", facts, _fill_cache)
    return Scans(np.load(folder / "hu.npy"), np.load(folder / "rows.npy"))


def _fill_cache(folder: Path) -> None:
    count = sum(SETS.values())
    drawn = list(runtime.progress(in_processes(_draw, range(count)), count, "drawing phantoms"))
    np.save(folder / "hu.npy", np.stack([hu for hu, _ in drawn]))
    np.save(folder / "rows.npy", np.array([row for _, row in drawn], np.float32))


def _draw(number: int) -> tuple[np.ndarray, float]:
    """One phantom's frontal projection in HU, and the row of L3 on it, anywhere in the middle 60 %."""
    rng = np.random.default_rng([5, number])
    person = trunk.sample_trunk(rng)
    _, y, z = person.chest.to_scanner([person.vertebra("L3").centre])[0]
    row = rng.uniform(0.2, 0.8) * (ROWS - 1)
    corner = (-(COLUMNS - 1) / 2 * MM, y - BACK, z + (row - ROWS + 1) * MM)
    canvas = Canvas(person.chest, Grid((COLUMNS, DEEP, ROWS), (MM, THICK, MM), corner))
    bodies.draw_body(canvas, person)
    spines.draw_bones(canvas, person)
    hu = np.clip(canvas.hu + rng.normal(0, 20, canvas.hu.shape), ct.AIR, 3071)
    return np.rint(hu.max(axis=1).T[::-1, ::-1]).astype(np.int16), row


def share_out(scans: Scans, way: str, seed: int) -> dict[str, Prepared]:
    """Share the scans out and prepare them for training, with a leak or shuffled labels if that is the way.

    Args:
        scans: From `open_scans`.
        way: One of ``SUSPECTS``, or "sound".
        seed: Of the split.

    Returns:
        The three sets; the test set is still sound.

    Seen in notebook 05.
    """
    train, valid, test = _parts(seed)
    rng = np.random.default_rng([seed, 1])
    rows = scans.rows.copy()
    if way == "leak":
        valid = rng.permutation(train)[: len(valid)]
    if way == "labels":
        # The most thorough of many shuffles. A convolution sees the same anatomy the same way wherever it lies: where
        # wrong labels lie as often above the truth as below, the best that it can learn is the truth again.
        true = rows[train]
        shuffles = [rng.permutation(true) for _ in range(SHUFFLES)]
        rows[train] = min(shuffles, key=lambda labels: np.corrcoef(labels, true)[0, 1])
    parts = zip(SETS, (train, valid, test), strict=True)
    return {name: _prepare(scans.hu[part], rows[part]) for name, part in parts}


def spoil_test(scans: Scans, sets: dict[str, Prepared], way: str, seed: int) -> dict[str, Prepared]:
    """Prepare the test set in another window or upside down, if that is the way; all else stays as it is.

    Seen in notebook 05.
    """
    test = sets["test"]
    if way == "window":
        test = _prepare(scans.hu[_parts(seed)[2]], test.rows, "other")
    if way == "flip":
        test = Prepared(np.ascontiguousarray(test.images[:, :, ::-1]), test.rows)
    return sets | {"test": test}


def _parts(seed: int) -> list[np.ndarray]:
    order = np.random.default_rng([seed, 0]).permutation(sum(SETS.values()))
    return np.split(order, np.cumsum([*SETS.values()])[:-1])


def _prepare(hu: np.ndarray, rows: np.ndarray, window: str = "right") -> Prepared:
    return Prepared(ct.window(hu, WINDOWS[window])[:, None], rows)
