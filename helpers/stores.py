"""Where that lies which is made once and used often: phantoms, and the arrays that networks are fed.

Used by the data sets of every notebook. Nothing is ever written among real data.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from helpers import files, runtime
from helpers.files import DataError
from helpers.parallel import in_threads


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
        fill: Called with an empty folder, if there is none for these facts yet; see `fill_rows`.

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
        except (OSError, DataError) as fault:
            if isinstance(fault, DataError):  # once a file is repaired the facts are others
                shutil.rmtree(_kept(part), ignore_errors=True)
            if not folder.exists():  # else another notebook prepared the same files meanwhile
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
        for left in folder.parent.glob(f"{folder.name}.*part"):  # by who was killed, or what was kept for all
            shutil.rmtree(left, ignore_errors=True)
    return folder


def fill_rows(
    folder: Path, work: Callable[[Any], Any], jobs: Sequence[Any], label: str, remedy: str = ""
) -> list[DataError | None]:
    """Prepare every case alone, on all cores, and write the arrays of which each case is a row.

    What is done is kept beside the folder: broken off at any moment, even killed, the next call goes on from there. Two
    that prepare the same share what is kept. No more is held than the cases that are under way.

    Args:
        folder: To write to; from `prepared`, whose facts tell all that the rows depend on.
        work: Leaves what is shared as it is; gives the arrays of one case by name, or a `DataError`.
        jobs: Its arguments, one a case, in an order that the facts fix.
        label: For the progress bar.
        remedy: What can be done beside a fault's own remedy; where there is one, a fault refuses the data set.

    Returns:
        For each case its fault, or None. For every name there is a file ``<name>.npy`` now, [cases, ...]: smaller rows
        are filled up with zeros, and those of faults are zero.

    Raises:
        DataError: The first fault, if there is a remedy.
        ValueError: If the arrays of a name are of several types.

    Example:
        >>> import tempfile
        >>> runtime.BUILD, before = Path(tempfile.mkdtemp()), runtime.BUILD
        >>> fill = partial(fill_rows, work=lambda count: {"ones": np.ones(count, int)}, jobs=[1, 3], label="counting")
        >>> folder = prepared("chest CT", "0f", fill)
        >>> runtime.BUILD = before
        >>> np.load(folder / "ones.npy")
        array([[1, 0, 0],
               [1, 1, 1]])

    Used by notebooks 01 to 04.
    """
    kept = _kept(folder)
    steps = in_threads(partial(_keep, kept, work), enumerate(jobs))
    done = list(runtime.progress(steps, len(jobs), label))
    if remedy:
        raise_first(done, remedy)
    good = [rows for rows in done if not isinstance(rows, DataError)]
    for name in good[0] if good else ():
        shapes, kinds = zip(*(rows[name] for rows in good), strict=True)
        if len(set(kinds)) > 1:
            raise ValueError(f"the {name} of all cases must be of one type, but are {', '.join(map(str, set(kinds)))}")
        row = np.zeros([max(sizes) for sizes in zip(*shapes, strict=True)], kinds[0])
        numbers = [None if isinstance(rows, DataError) else number for number, rows in enumerate(done)]
        files.write_atomic(folder / f"{name}.npy", partial(_write_rows, kept, name, numbers, row))
    return [rows if isinstance(rows, DataError) else None for rows in done]


def _kept(folder: Path) -> Path:
    """Where what is done is kept for all who prepare the same: the folder's name without the number of a process."""
    return folder.with_suffix("").with_suffix(".part")


def _keep(kept: Path, work: Callable[[Any], Any], numbered: tuple[int, Any]) -> dict[str, tuple] | DataError:
    """Do one job and keep its arrays, unless they are kept already; what comes back is their shapes and types."""
    number, job = numbered
    path = kept / f"{number}.npz"
    try:
        rows = files.read_npz(path)  # its checksums tell whether it is whole, even after a power cut
    except DataError:
        rows = work(job)
        if isinstance(rows, DataError):
            return rows
        kept.mkdir(parents=True, exist_ok=True)
        part = kept / f"{number}.{os.getpid()}.npz"
        np.savez(part, **rows)
        part.replace(path)
    return {name: (row.shape, row.dtype) for name, row in rows.items()}


def _write_rows(kept: Path, name: str, numbers: list[int | None], row: np.ndarray, file: IO[bytes]) -> None:
    """Write one array as `numpy.save` does, but holding one row at a time."""
    shape = (len(numbers), *row.shape)
    header = {"descr": np.lib.format.dtype_to_descr(row.dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    for number in numbers:
        row[...] = 0
        if number is not None:
            with np.load(kept / f"{number}.npz") as rows:
                values = rows[name]
            row[tuple(map(slice, values.shape))] = values
        file.write(row.tobytes())


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
