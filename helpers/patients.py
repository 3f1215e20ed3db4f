"""Whose picture it is, where the names of files tell: pictures of one patient must stay in one set.

Used by notebook 04. The answers are for grouping only and are never shown.
"""

import re
from collections.abc import Sequence
from pathlib import PurePath

# A file or folder that names its patient: person13_virus_2 (Kermany), patient00012 (CheXpert), sub-S03047 (BIDS), ...
NAMED = (
    re.compile(r"(?<![a-z])((?:person|patient|subject)[-_ ]?\d+)(?!\d)", re.IGNORECASE),
    re.compile(r"(sub-[A-Za-z0-9]+)(?![A-Za-z0-9])"),
    re.compile(r"(?<![0-9])(000[0-3]\d{4})_\d{3}(?![0-9])"),  # ... 00001543_002 (ChestX-ray14), patient and follow-up
    re.compile(r"(.*IM-\d{4})-\d{4}"),  # ... and NORMAL2-IM-0035-0001 (Kermany), study and image
)
# One of several pictures of a case: COVID-00003a, fig-3-b, pneumonia-24-day6, pneumonia-15-PA.
SERIES = re.compile(r"(.*\d.*?)(?:[-_ ]?day[-_ ]?\d+|(?:[-_]|(?<=\d))[a-h]|[-_](?:PA|AP|lateral))")


def find_patients(paths: Sequence[PurePath]) -> list[str | None]:
    """Read from file and folder names which pictures are of one patient.

    A number alone tells nothing: ``COVID-12.png`` and ``NORMAL (12).png`` are two people. Letters, days and views at
    the end tell pictures of one case apart, within its class folder.

    Args:
        paths: Relative to the data set: the class folder first.

    Returns:
        A name for each; what has the same one is of the same patient. None where the name does not tell.

    Example:
        >>> names = ["VIRAL/person13_virus_2.png", "NORMAL/person13_1.png", "COVID/COVID-12.png", "COVID/COVID-13.png"]
        >>> find_patients([PurePath(name) for name in names])
        ['person13', 'person13', None, None]

    Taught in notebook 04.
    """
    found = [_named(path) or _series(path) for path in paths]
    known = set(found)
    # COVID-12 is the first picture of a case if there is a COVID-12-b.
    return [name or (stem if (stem := _stem(path)) in known else None) for name, path in zip(found, paths, strict=True)]


def _named(path: PurePath) -> str | None:
    for part in (path.stem, *reversed(path.parts[1:-1])):
        for pattern in NAMED:
            if match := pattern.search(part):
                return match[1].lower()
    return None


def _series(path: PurePath) -> str | None:
    match = SERIES.fullmatch(path.stem)
    return f"{path.parts[0]}/{match[1]}" if match else None


def _stem(path: PurePath) -> str:
    return f"{path.parts[0]}/{path.stem}"
