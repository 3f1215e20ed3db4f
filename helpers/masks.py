"""Masks of a radiograph as the published table writes them, in runs of pixels, and back, without losing a pixel.

Used by notebook 03. A text holds pairs of figures: the gap since the end of the last run, and the length of the run,
counted down the columns from 0. "-1" or nothing stands for an empty mask.
"""

import csv
import gzip
import io
import itertools
import os
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers.files import DataError

EMPTY = "-1"
COLUMNS = ("ImageId", "EncodedPixels")
LARGEST = 256 << 20  # bytes of a table once unpacked; the published one has 6 MB
WHOLE = re.compile("-?[0-9]{1,15}")  # int() would also take "1_000"


def is_empty(text: str) -> bool:
    """Tell whether a text stands for an empty mask, however the table writes that.

    Example:
        >>> [is_empty(text) for text in ("-1", " -1", "", "5 2")]
        [True, True, True, False]

    Taught in notebook 03. The published notebook knows " -1" alone: with a table that writes "-1", all are ill.
    """
    return text.strip() in ("", EMPTY)


def decode_rle(text: str, shape: tuple[int, int]) -> np.ndarray:
    """Draw the mask that a text stands for.

    Args:
        text: Pairs of gap and length, or an empty mask (see `is_empty`).
        shape: (rows, columns) of the image.

    Returns:
        ``bool`` [rows, columns], stored column after column.

    Raises:
        ValueError: If it is no text of whole numbers in pairs, if one is negative, or if a run ends beyond the image.

    Example:
        >>> decode_rle("1 2 2 1", (3, 2)).astype(int)
        array([[0, 0],
               [1, 0],
               [1, 1]])

    Taught in notebook 03.
    """
    return decode_union([text], shape)


def decode_union(texts: Iterable[str], shape: tuple[int, int]) -> np.ndarray:
    """Draw the mask of an image with one text or several; where they overlap, a pixel still counts once.

    Args:
        texts: All texts of the image.
        shape: (rows, columns) of the image.

    Returns:
        ``bool`` [rows, columns], stored column after column.

    Raises:
        ValueError: As `decode_rle`, and if there is no text: then it is not known what the image shows.

    Example:
        >>> decode_union(["0 3", "1 3", "-1"], (2, 3)).astype(int)
        array([[1, 1, 0],
               [1, 1, 0]])

    Taught in notebook 03. In the published table 183 of 624 images with several masks have overlapping ones.
    """
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"an image has rows and columns, but the shape is {shape}")
    texts, (rows, columns) = list(texts), shape
    if not texts:
        raise ValueError("there is no text to decode: an image without a row in the table is not known to be empty")
    flat = np.zeros(rows * columns, bool)
    for text in texts:
        runs = _runs(text)
        if runs and runs[-1][1] > flat.size:
            size = f"an image of {rows} x {columns} has {flat.size} pixels"
            raise ValueError(f"{size}, but a run ends behind pixel {runs[-1][1]}")
        for start, end in runs:
            flat[start:end] = True
    return flat.reshape(columns, rows).T


def _runs(text: str) -> list[tuple[int, int]]:
    """The runs of a text, each from its first pixel to the one behind its last, in ascending order."""
    if not isinstance(text, str):
        raise ValueError(f"a mask is decoded from a text, but found {text!r}")
    if is_empty(text):
        return []
    words = text.split()
    for number, word in enumerate(words, 1):
        if not WHOLE.fullmatch(word):
            raise ValueError(f"runs are whole numbers, but figure {number} is {word[:20]!r}")
        if word[0] == "-":
            raise ValueError(f"gaps and lengths are 0 or more, but figure {number} is {word}")
    if len(words) % 2:
        raise ValueError(f"figures come in pairs of gap and length, but there are {len(words)}")
    runs, end = [], 0
    for gap, length in zip(map(int, words[::2]), map(int, words[1::2]), strict=True):
        start = end + gap
        end = start + length
        runs.append((start, end))
    return runs


def encode_rle(mask: np.ndarray) -> str:
    """Write a mask as text, in the one shortest way; `decode_rle` gives the same mask back.

    Args:
        mask: [rows, columns], ``bool``, or of 0 and 1, or of 0 and 255.

    Returns:
        Pairs of gap and length, "-1" for an empty mask.

    Raises:
        ValueError: If it is no image, or holds anything else, such as probabilities.

    Example:
        >>> encode_rle(np.array([[0, 0], [1, 0], [1, 1]]))
        '1 2 2 1'
        >>> encode_rle(np.zeros((3, 2), bool))
        '-1'

    Taught in notebook 03.
    """
    flat = np.pad(_checked(mask).ravel(order="F"), 1)
    edges = np.flatnonzero(flat[1:] != flat[:-1])  # where runs start and end, in turn
    return " ".join(map(str, np.diff(edges, prepend=0))) if edges.size else EMPTY


def bounding_box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """The smallest rectangle around a mask; None around an empty one. Masks and errors are those of `encode_rle`.

    Returns:
        (top, left, bottom, right) in pixels, so that ``mask[top:bottom, left:right]`` holds all of it.

    Example:
        >>> bounding_box(decode_rle("1 2 2 1", (3, 2)))
        (1, 0, 3, 2)
        >>> bounding_box(decode_rle("-1", (3, 2))) is None
        True

    Taught in notebook 03. The published notebook ends in an IndexError at an empty mask.
    """
    mask = _checked(mask)
    rows, columns = (np.flatnonzero(mask.any(axis=axis)).tolist() for axis in (1, 0))
    return (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) if rows else None


def area(mask: np.ndarray) -> int:
    """Count the pixels of a mask. Masks and errors are those of `encode_rle`.

    Example:
        >>> area(decode_rle("1 2 2 1", (3, 2)))
        3

    Seen in notebook 03.
    """
    return int(np.count_nonzero(_checked(mask)))


def _checked(mask: np.ndarray) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.ndim != 2 or not mask.size:
        raise ValueError(f"a mask has rows and columns, but the shape is {mask.shape}")
    if mask.dtype != bool:
        inside = mask != 0
        if not np.isin(high := mask.max(), (0, 1, 255)) or not (mask[inside] == high).all():
            raise ValueError(f"a mask is of 0 and 1, or 0 and 255, but found values from {mask.min()} to {high}")
        return inside
    return mask


@dataclass(frozen=True, eq=False, repr=False)
class RunTable:
    """The texts of a table by image; printed, it tells counts alone, because the names of images stay inside.

    Attributes:
        path: The file.
        rows: How many rows it has.
        images: All texts of every image by its ImageId, as the table writes them and in its order.

    Taught in notebook 03.
    """

    path: Path
    rows: int
    images: Mapping[str, tuple[str, ...]]

    def __repr__(self) -> str:
        return f"RunTable({self.path.name}: {self.rows} rows for {len(self.images)} images)"


def read_table(path: str | os.PathLike) -> RunTable:
    """Read a table of masks, such as train-rle.csv. Whether a text can be decoded is not judged here.

    Args:
        path: A .csv or .csv.gz file with the columns ImageId and EncodedPixels; spaces around a header do not matter.

    Returns:
        The texts by image.

    Raises:
        DataError: If the file is missing, damaged, larger than ``LARGEST``, lacks a column, or if a row of it has
            too few or too many fields, or no ImageId.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "train-rle.csv")
        >>> _ = path.write_text("ImageId, EncodedPixels\\na,-1\\nb,1 2\\nb,2 3\\n")
        >>> read_table(path)
        RunTable(train-rle.csv: 3 rows for 2 images)
        >>> read_table(path).images["b"]
        ('1 2', '2 3')

    Taught in notebook 03.
    """
    path = Path(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise DataError(path, f"it has more than {LARGEST >> 20} MiB", "is it a table of masks?")
        # strict: an open quotation mark would swallow the rows behind it
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        lines = [(reader.line_num, fields) for fields in reader if fields]
    except FileNotFoundError:
        raise DataError(path, "there is no such file", "check the name") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"it is not a whole .csv file ({error})", "copy or download it again") from None
    except OSError as error:
        raise DataError(path, f"it cannot be read ({error.strerror})", "check the disk and the permissions") from None
    header = [name.strip() for name in lines[0][1]] if lines else []
    if lacking := [name for name in COLUMNS if name not in header]:
        remedy = f"its first line must name the columns {' and '.join(COLUMNS)}"
        raise DataError(path, f"it has no column {' and no column '.join(lacking)}", remedy)
    image, runs = map(header.index, COLUMNS)
    images = {}
    for number, fields in lines[1:]:
        if len(fields) != len(header):
            fault = f"line {number} has {len(fields)} of {len(header)} fields"
            raise DataError(path, fault, "copy it again, or mend that line")
        if not fields[image].strip():
            raise DataError(path, f"line {number} has no ImageId", "mend or remove that line")
        images.setdefault(fields[image].strip(), []).append(fields[runs])
    return RunTable(path, len(lines) - 1, {name: tuple(texts) for name, texts in images.items()})


class TableFacts(NamedTuple):
    """What a table of masks holds.

    Attributes:
        rows: Rows, one a mask.
        images: Images; each is positive, empty or unreadable.
        positive: Images with a mask.
        empty: Images that are known to have none.
        unreadable: Images with a text that is no pairs of whole numbers.
        several: Positive images with more than one mask.
        overlapping: Those of them where two masks share a pixel.
    """

    rows: int
    images: int
    positive: int
    empty: int
    unreadable: int
    several: int
    overlapping: int


def facts(table: RunTable) -> TableFacts:
    """Count what a table holds, without drawing a mask.

    Example:
        >>> table = RunTable(Path("train-rle.csv"), 5, {"a": ("-1",), "b": ("1 2", "2 3"), "c": ("1 2", "9 9")})
        >>> facts(table)
        TableFacts(rows=5, images=3, positive=2, empty=1, unreadable=0, several=2, overlapping=1)

    Taught in notebook 03.
    """
    positive = empty = unreadable = several = overlapping = 0
    for texts in table.images.values():
        try:
            drawn = [[run for run in _runs(text) if run[0] < run[1]] for text in texts]
        except ValueError:
            unreadable += 1
            continue
        count = sum(map(bool, drawn))
        positive += count > 0
        empty += count == 0
        several += count > 1
        # Runs of one text never meet, so any two that do belong to two masks.
        spans = sorted(itertools.chain(*drawn))
        overlapping += any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans))
    return TableFacts(table.rows, len(table.images), positive, empty, unreadable, several, overlapping)
