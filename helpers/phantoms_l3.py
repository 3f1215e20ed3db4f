"""Synthetic twins of the course's second data set: CT scans of the trunk whose vertebra L3 is known, or projections.

Used by notebook 02, where it finds no data. The projections have the layout of the published `l3_dataset.npz`.
"""

import csv
import io
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from helpers import ct, files, mip, phantoms
from helpers.parallel import in_processes
from helpers.trunk_scans import L3Settings, Truth, draw_trunk
from helpers.voxels import Grid

VERSION = 1  # of the drawing: a change that moves voxels raises it, so that stored phantoms are made anew
LEVELS = ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "L6", "S1")
ORIGIN = {
    "origin": "phantom",
    "what": "synthetic CT scans of the trunk; no patient was scanned",
    "licence": "CC0-1.0",
}
ANNOTATORS = {"A": (0.3, 1.0), "B": (-0.4, 1.3)}  # habit and spread of two readers, in mm


def make_l3(folder: str | Path, settings: L3Settings, progress: Callable[[Iterable], Iterable] = iter) -> Path:
    """Write CT scans of the trunk: `ct/study_0000.nii.gz` and so on, and `truth.csv` with what is known of each.

    The columns of the table are the scan's name, the index of the slice of L3 (counted from the feet) and its height
    in mm, the areas of muscle and fat in that slice in cm2, the region that was scanned, and the height in mm of
    every vertebra from T9 to S1. What is out of view is left empty.

    Args:
        folder: Where they shall be; it must not exist yet.
        settings: How many scans, how fine, which seed.
        progress: Wraps the iteration over the finished scans, to show how far it is.

    Returns:
        The folder. Its ORIGIN.json says that these are phantoms, how they were made, and which file is which.

    Raises:
        DataError: If the folder exists: phantoms are made once, whole, and never mixed.
        OSError: If it cannot be written; nothing is left behind.

    Example:
        >>> import tempfile
        >>> folder = make_l3(tempfile.mkdtemp() + "/l3", L3Settings(count=1, pixel=6.0))
        >>> sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
        ['ORIGIN.json', 'ct/study_0000.nii.gz', 'truth.csv']

    Seen in notebook 02.
    """
    with phantoms.made_whole(folder) as part:
        with closing(in_processes(partial(_write, part, settings), range(settings.count))) as written:
            done = list(progress(written))
        table = io.StringIO()
        writer = csv.DictWriter(table, list(done[0][2]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for _, _, row in done)
        files.write_atomic(part / "truth.csv", lambda file: file.write(table.getvalue().encode()))
        keys = dict(sorted((content, key) for content, key, _ in done))
        files.write_json(part / "ORIGIN.json", ORIGIN | {"settings": asdict(settings), "keys": keys})
    return Path(folder)


def _write(folder: Path, settings: L3Settings, number: int) -> tuple[str, str, dict[str, object]]:
    """Write one scan; returns its content hash, the key that is the same on every machine, and its row of the truth."""
    hu, truth, grid = draw_trunk(number, settings)
    name = f"study_{number:04d}.nii.gz"
    scan = phantoms.save_nifti(folder / "ct" / name, hu, grid)
    row = {"name": name, "l3_slice": truth.l3, "l3_mm": _seen(truth, "L3")}
    row |= {"muscle_cm2": truth.muscle and round(truth.muscle, 2), "fat_cm2": truth.fat and round(truth.fat, 2)}
    row |= {"region": truth.region} | {f"{level.lower()}_mm": _seen(truth, level) for level in LEVELS}
    return files.hash_file(scan), files.hash_bytes(repr((VERSION, settings, number)).encode()), row


def _seen(truth: Truth, level: str) -> float | None:
    return round(truth.centres[level][2], 2) if truth.slices.get(level) is not None else None


def make_l3_npz(path: str | Path, settings: L3Settings, progress: Callable[[Iterable], Iterable] = iter) -> Path:
    """Write the projections of scans that show L3 in the layout of the published `l3_dataset.npz`.

    The keys: ``images_f`` and ``images_s`` (object arrays of int16 [rows from head to foot, columns] in HU, as
    `mip.project` makes them), ``ydata`` (a 0-d object: a dict of two annotators, the row of L3 in every image),
    ``names``, ``spacings`` ([images, 3]: x, y, z in mm) and ``num_images``. Two readers never quite agree: they are
    apart by 1 to 2 mm, which is the best error that anything can be shown to have.

    Args:
        path: The file; it is replaced if it exists.
        settings: How many scans are drawn; about a quarter does not show L3 and is left out, as in the published set.
        progress: Wraps the iteration over the finished scans, to show how far it is.

    Returns:
        The path.

    Raises:
        OSError: If it cannot be written; nothing is left behind.

    Example:
        >>> import tempfile
        >>> path = make_l3_npz(tempfile.mkdtemp() + "/l3_dataset.npz", L3Settings(count=3, pixel=6.0))
        >>> sorted(files.read_npz(path))
        ['images_f', 'images_s', 'names', 'num_images', 'spacings', 'ydata']

    Used by `python -m data_scripts.make_phantoms l3 --npz`, for notebook 02.
    """
    with closing(in_processes(partial(_project, settings), range(settings.count))) as drawn:
        rows = [row for row in progress(drawn) if row is not None]
    names, frontal, sagittal, spacings, *marks = zip(*rows, strict=True) if rows else [()] * 6
    arrays = {
        "images_f": _ragged(frontal),
        "images_s": _ragged(sagittal),
        "ydata": np.array(dict(zip(ANNOTATORS, map(list, marks), strict=True)), dtype=object),
        "names": np.array(names, dtype=str),
        "spacings": np.array(spacings, dtype=float).reshape(-1, 3),
        "num_images": np.array(len(rows)),
    }
    return files.write_atomic(Path(path), lambda file: np.savez_compressed(file, **arrays))


def _ragged(images: Iterable[np.ndarray]) -> np.ndarray:
    """An object array of images, also where all are of one size."""
    images = list(images)
    packed = np.empty(len(images), dtype=object)
    for index, image in enumerate(images):
        packed[index] = image
    return packed


def _project(settings: L3Settings, number: int) -> tuple | None:
    """One scan's name, projections, spacing, and the row of L3 as each annotator marked it; None if it is not there."""
    hu, truth, grid = draw_trunk(number, settings)
    if truth.l3 is None:
        return None
    name = f"study_{number:04d}"
    views = mip.project(as_volume(hu, grid, name))
    rng = np.random.default_rng([settings.seed, number, 1])
    exact = views.frontal.row_of(truth.centres["L3"][2])
    marks = [
        int(np.clip(round(exact + rng.normal(habit, spread) / grid.spacing[2]), 0, grid.shape[2] - 1))
        for habit, spread in ANNOTATORS.values()
    ]
    return name, views.frontal.pixels.copy(), views.sagittal.pixels.copy(), grid.spacing, *marks


def as_volume(hu: np.ndarray, grid: Grid, name: str) -> ct.Volume:
    """A drawn scan as if it had been read from its file.

    Args:
        hu: int16 [x, y, z], axes RAS+, see `trunk_scans.draw_trunk`.
        grid: Where its voxels lie.
        name: What it is called.

    Example:
        >>> as_volume(*(draw_trunk(0, L3Settings(pixel=9.0))[i] for i in (0, 2)), "phantom").source
        'phantom'

    Seen in notebook 02.
    """
    affine = np.diag([*grid.spacing, 1.0])
    affine[:3, 3] = grid.origin
    return ct.Volume(np.maximum(hu, np.int16(ct.AIR)), grid.spacing, name, "RAS", affine)
