"""Where that lies which is made once and used often: phantoms, and the arrays that networks are fed.

Used by the data sets of every notebook. Nothing is ever written among real data.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from helpers import files, runtime
from helpers.files import DataError


def find_or_make(
    name: str, make: Callable[..., object], settings: Any, version: int, total: int, root: Path | None = None
) -> Path:
    """The folder of a data set: the real one if it is there, else its phantom twin, which is made once.

    Args:
        name: One of `runtime.DATA_SETS`.
        make: Called with a folder, ``settings`` and a wrapper that shows how far it is, if there are no phantoms yet.
        settings: A dataclass: how many phantoms, how fine, which seed.
        version: Of the drawing; another one makes the phantoms anew.
        total: How many files there will be, for the progress bar.
        root: The data root; ``COURSE_DATA`` when left out.

    Returns:
        A folder in ``data/phantoms`` with a hash of the settings in its name, or the real one.

    Used by every notebook.
    """
    found = runtime.find_data(name, root)
    if found is not None:
        return found
    made = files.hash_bytes(repr((version, asdict(settings))).encode())[:12]
    folder = runtime.ROOT / "data" / "phantoms" / f"{name}-{made}"
    if not folder.exists():
        try:
            make(folder, settings, partial(runtime.progress, total=total, label="drawing phantoms"))
        except (OSError, DataError):
            if not folder.exists():  # else another notebook made the same phantoms meanwhile
                raise
    return folder


def prepared(name: str, facts: Any, fill: Callable[[Path], object]) -> Path:
    """The folder of arrays that were prepared for a network; made whole, or not at all.

    Args:
        name: Of the data set; blanks become hyphens.
        facts: All that the arrays depend on: the hash of the data, sizes, the version of the preparation. Their repr
            goes into the folder's name.
        fill: Called with an empty folder, if there is none for these facts yet.

    Returns:
        A folder in ``build/cache``.

    Example:
        >>> import tempfile
        >>> runtime.BUILD, before = Path(tempfile.mkdtemp()), runtime.BUILD
        >>> fill = lambda folder: (folder / "images.txt").write_text("filled")
        >>> one, two = prepared("chest CT", ("0f", 64), fill), prepared("chest CT", ("0f", 64), fill)
        >>> runtime.BUILD = before
        >>> one == two, (one / "images.txt").read_text()
        (True, 'filled')

    Used by every notebook.
    """
    known = files.hash_bytes(repr(facts).encode())[:16]
    folder = runtime.BUILD / "cache" / f"{name.replace(' ', '-')}-{known}"
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        part.mkdir(parents=True, exist_ok=True)
        try:
            fill(part)
            part.rename(folder)
        except OSError:
            if not folder.exists():  # else another notebook prepared the same files meanwhile
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


def raise_first(results: Iterable[object], remedy: str) -> None:
    """Refuse a data set of which a file cannot be used.

    Args:
        results: Of all files; those that are a `DataError` are faults.
        remedy: What can be done beside the fault's own remedy, such as "or move it out of the folder".

    Raises:
        DataError: The first fault, with how many more there are.

    Used by notebooks 01 and 02.
    """
    faults = [result for result in results if isinstance(result, DataError)]
    if faults:
        first, more = faults[0], len(faults) - 1
        others = f" ({more} more cannot be used: python -m helpers.check lists them all)" if more else ""
        raise DataError(first.path, first.fault, f"{first.remedy}, {remedy}{others}")
