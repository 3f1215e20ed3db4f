"""The published L3 data set, `l3_dataset.npz`: projections of CTs with the row of L3, marked by several annotators.

Used by notebook 02, for the real file and for its phantom twin. Beside it, the table of those who bring CTs instead.
"""

import csv
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helpers import files
from helpers.files import DataError
from helpers.mip import AIR, Mip

KEYS = ("images_f", "images_s", "ydata", "names", "spacings")
AGAIN = "export the data set again, or give the published one"


@dataclass(frozen=True, eq=False)
class L3Case:
    """One patient of the data set.

    Args:
        subject: Such as "patient 0007", counted in the order of the file; no name goes further than the file.
        key: Hash of the name, the same for every scan of one patient's name, for a split by patient.
        frontal, sagittal: The projections. Heights count from the first row, which is 0 mm.
        marks: Row of L3 after each annotator, in the order of the file.
    """

    subject: str
    key: str
    frontal: Mip
    sagittal: Mip
    marks: tuple[float, ...]

    @property
    def row(self) -> float:
        """The row that counts as true: the annotators' mean."""
        return float(np.mean(self.marks))

    @property
    def disagreement(self) -> float:
        """How far the annotators lie apart in mm, from the first to the last: no network can be shown to be better."""
        return float(np.ptp(self.marks)) * self.frontal.spacing[0]


def read_dataset(path: str | os.PathLike) -> list[L3Case]:
    """Read `l3_dataset.npz` without running any code that it brings.

    Its images are [rows, columns] in HU, and so they stay: row 0 is taken as the one nearest to the head in both views,
    and ``ydata`` counts rows from there. Columns are x on a frontal image and y on a sagittal one; which side comes
    first the file does not say. In the code of its makers one view is turned upside down and the other is not, so
    a file whose two views run against each other is refused, not guessed at.

    Args:
        path: The file. ``images_f`` and ``images_s`` hold one image a patient, ``ydata`` a dict from annotator to rows,
            ``names`` and ``spacings`` (x, y, z in mm) one entry a patient; ``num_images`` may say how many there are.

    Returns:
        The cases in the order of the file.

    Raises:
        DataError: If something is missing, of unequal length, no number, or impossible (a spacing of 0, a row outside
            its image); in one sentence that names the first case by its number.

    Example:
        >>> import tempfile
        >>> image, path = np.full((9, 4), -1000.0), tempfile.mkdtemp() + "/l3_dataset.npz"
        >>> box = np.array([image, image + 1, None], dtype=object)[:2]
        >>> np.savez(path, images_f=box, images_s=box, names=["a", "b"], spacings=[[0.8, 0.8, 5.0]] * 2,
        ...          ydata={"A": [3, 4], "B": [4, 4]})
        >>> [(case.subject, case.row, case.disagreement) for case in read_dataset(path)]
        [('patient 0000', 3.5, 5.0), ('patient 0001', 4.0, 0.0)]

    Taught in notebook 02. The file is that of Kanavati et al. 2018, arXiv:1811.09244.
    """
    arrays = files.read_npz(path)
    if missing := [key for key in KEYS if key not in arrays]:
        raise DataError(path, f"it has no {' and no '.join(missing)}", AGAIN)
    marks = arrays["ydata"].item() if arrays["ydata"].shape == () else None
    if not isinstance(marks, dict) or not marks:
        raise DataError(path, "its ydata is no dict from annotator to rows", AGAIN)
    parts = {key: arrays[key] for key in KEYS if key != "ydata"}
    parts |= {f"annotator {number}": np.asarray(rows, object) for number, rows in enumerate(marks.values(), 1)}
    if scalar := [name for name, part in parts.items() if part.ndim == 0]:
        raise DataError(path, f"its {scalar[0]} is a single value, not a list", AGAIN)
    lengths = {name: len(part) for name, part in parts.items()}
    if "num_images" in arrays:
        lengths["num_images"] = _integer(arrays["num_images"])
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(path, f"its lists are not equally long ({counts})", AGAIN)
    rows = [part for name, part in parts.items() if name.startswith("annotator")]
    cases = [
        _case(path, number, parts, [_number(path, number, "a row", part[number]) for part in rows])
        for number in range(len(parts["names"]))
    ]
    if not cases:
        raise DataError(path, "it holds no image", AGAIN)
    _check_directions(path, cases)
    return cases


def read_heights(table: str | os.PathLike, levels: Sequence[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Read a CSV table of scans and the heights of their vertebrae: ``name``, ``l3_mm``, and such columns for others.

    Args:
        table: The file.
        levels: Of which vertebrae, "L3" among them.

    Returns:
        The names; which levels have a column, ``bool`` [levels]; and the heights in mm, ``float64`` [scans, levels],
        NaN where the table has nothing.

    Raises:
        DataError: If it is no table in UTF-8, has no line, lacks a column, or holds a height that is no number.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/truth.csv"
        >>> with open(path, "w") as file:
        ...     _ = file.write("name,l3_mm\\na.nii.gz,31.5\\nb.nii.gz,\\n")
        >>> read_heights(path, ["L2", "L3"])
        (['a.nii.gz', 'b.nii.gz'], array([False,  True]), array([[ nan, 31.5],
               [ nan,  nan]]))

    Taught in notebook 02.
    """
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:  # Excel begins a file with a mark
            lines = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error):
        raise DataError(table, "it is no table in UTF-8", "save it as CSV (UTF-8), with commas") from None
    if not lines or not {"name", "l3_mm"} <= lines[0].keys():
        remedy = "give it a line for each scan in ct/, with commas between the columns"
        raise DataError(table, "it has no line, or no column name or l3_mm", remedy)
    columns = [f"{level.lower()}_mm" for level in levels]
    heights = np.array([[_height(table, line, column) for column in columns] for line in lines])
    known = np.array([column in lines[0] for column in columns])
    return [(line["name"] or "").strip() for line in lines], known, heights


def _height(table: str | os.PathLike, line: dict[str, str], column: str) -> float:
    text = (line.get(column) or "").strip()
    try:
        height = float(text or "nan")
    except ValueError:
        height = np.inf
    if np.isinf(height) or (text and np.isnan(height)):
        raise DataError(table, f"its {column} of {line['name']} is {text!r}", "write millimetres, or nothing")
    return height


def _case(path: str | os.PathLike, number: int, parts: dict[str, np.ndarray], marks: list[float]) -> L3Case:
    x, y, z = _spacing(path, number, parts["spacings"][number])
    frontal = _image(path, number, "frontal", parts["images_f"][number])
    sagittal = _image(path, number, "sagittal", parts["images_s"][number])
    if len(frontal) != len(sagittal):
        fault = f"the images of case {number} have {len(frontal)} and {len(sagittal)} rows"
        raise DataError(path, fault, AGAIN)
    outside = [mark for mark in marks if not 0 <= mark <= len(frontal) - 1]
    if outside:
        raise DataError(path, f"case {number} has L3 at row {outside[0]:g} of {len(frontal)}", AGAIN)
    subject, name = f"patient {number:04d}", str(parts["names"][number])
    views = [
        Mip(image, (z, width), view, 0.0, -z, subject)
        for image, width, view in ((frontal, x, "frontal"), (sagittal, y, "sagittal"))
    ]
    return L3Case(subject, files.hash_bytes(name.encode("utf8", "surrogatepass")), *views, tuple(marks))


def _image(path: str | os.PathLike, number: int, view: str, image: np.ndarray) -> np.ndarray:
    if not isinstance(image, np.ndarray) or image.ndim != 2 or image.dtype.kind not in "iuf" or min(image.shape) < 2:
        raise DataError(path, f"the {view} image of case {number} is no image", AGAIN)
    if not np.isfinite(image).all():
        raise DataError(path, f"the {view} image of case {number} holds values that are no numbers", AGAIN)
    low, high = float(image.min()), float(image.max())
    if low < -32768 or high > 32767 or (low >= 0 and high <= 1):
        fault = f"the values of the {view} image of case {number}, {low:g} to {high:g}, are not Hounsfield units"
        raise DataError(path, fault, AGAIN)
    kind = np.float32 if image.dtype.kind == "f" else np.int16
    return np.maximum(image, AIR).astype(kind)


def _spacing(path: str | os.PathLike, number: int, spacing: np.ndarray) -> tuple[float, ...]:
    sizes = tuple(_number(path, number, "a spacing", size) for size in np.ravel(spacing))
    if len(sizes) != 3 or not all(0.01 <= size <= 100 for size in sizes):
        raise DataError(path, f"the spacing of case {number} is {' x '.join(f'{s:g}' for s in sizes)} mm", AGAIN)
    return sizes


def _number(path: str | os.PathLike, number: int, what: str, value: object) -> float:
    value = value.item() if isinstance(value, np.generic | np.ndarray) and np.size(value) == 1 else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise DataError(path, f"case {number} has {what} that is no number", AGAIN)
    return float(value)


def _integer(value: np.ndarray) -> object:
    return value.item() if value.size == 1 else "of another kind"


def _check_directions(path: str | os.PathLike, cases: list[L3Case]) -> None:
    """Refuse a file whose sagittal images stand on their heads: row by row, both views must show as much bone."""
    votes = defaultdict(list)
    for case in cases:
        front, side = (np.clip(image.pixels, 100, 1500).mean(axis=1) for image in (case.frontal, case.sagittal))
        if front.std() > 0 and side.std() > 0 and len(front) >= 20:
            votes["same"].append(np.corrcoef(front, side)[0, 1])
            votes["turned"].append(np.corrcoef(front, side[::-1])[0, 1])
    if len(votes["same"]) >= 8 and np.median(votes["turned"]) > np.median(votes["same"]) + 0.4:
        fault = "its frontal and sagittal images run in opposite directions, one from head to foot and one back"
        raise DataError(
            path, fault, "turn those over whose rows do not fit ydata, so that row 0 is at the head in both"
        )
