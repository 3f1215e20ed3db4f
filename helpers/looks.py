"""Each image of a data set looked at once: can it be read, how is it stored, and what would a copy be known by.

Used by notebook 04 through `radiography`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from helpers import duplicates, files, runtime, stores, xray
from helpers.duplicates import Marks
from helpers.files import DataError
from helpers.parallel import in_threads

VERSION = 2  # of what is remembered; a change of `_look` or of `duplicates.mark` raises it
MODES = {"L": "grey", "1": "black and white", "P": "palette", "LA": "grey with transparency", "I;16": "16-bit grey"}


class Look(NamedTuple):
    """What is remembered of an image.

    ``content`` is the hash of its file, ``shape`` (rows, columns) in pixels, ``mode`` how it is stored, such as "RGB"
    or "grey". ``fault`` and ``remedy`` are those of a `DataError` if it cannot be read, else empty.
    """

    content: str
    marks: Marks
    shape: tuple[int, int]
    mode: str
    fault: str = ""
    remedy: str = ""


def look_at_all(paths: Sequence[Path]) -> list[Look]:
    """Look at every image; later calls find what was seen by the content of the files.

    Args:
        paths: The image files.

    Returns:
        What was seen of each. An image that cannot be read is no error here: its ``fault`` tells.

    Raises:
        DataError: If a file cannot be opened at all.

    Seen in notebook 04 through `radiography.read_folder`.
    """
    contents = list(in_threads(files.hash_file, paths))
    known = dict(sorted(zip(contents, paths, strict=True)))

    def fill(folder: Path) -> None:
        seen = list(runtime.progress(in_threads(_look, known.values()), len(known), "looking at images"))
        hashes = np.array([look.marks.hash for look in seen], np.uint64)
        details = np.array([look.marks.details for look in seen])
        texts = {
            name: np.array([getattr(look, name) for look in seen]) for name in ("mode", "fault", "remedy", "shape")
        }
        np.savez(folder / "looks.npz", hash=hashes, details=details, **texts)

    with np.load(stores.prepared("images seen", (VERSION, list(known)), fill) / "looks.npz") as stored:
        table = {name: stored[name] for name in stored.files}
    seen = {}
    for row, content in enumerate(known):
        marks = Marks(int(table["hash"][row]), table["details"][row])
        mode, fault, remedy = (str(table[name][row]) for name in ("mode", "fault", "remedy"))
        rows, columns = table["shape"][row].tolist()
        seen[content] = Look(content, marks, (rows, columns), mode, fault, remedy)
    return [seen[content] for content in contents]


def _look(path: Path) -> Look:
    """Look at one image; its content is known to the caller."""
    try:
        pixels = xray.read_pixels(path)
    except DataError as error:
        return Look("", duplicates.mark(np.zeros((1, 1))), (0, 0), "", error.fault, error.remedy)
    try:
        with Image.open(path) as image:
            mode = MODES.get(image.mode, image.mode)
    except UnidentifiedImageError:
        mode = "DICOM"
    return Look("", duplicates.mark(pixels), pixels.shape, mode)
