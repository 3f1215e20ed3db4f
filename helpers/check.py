"""Look a folder of real data over before any training: `python -m helpers.check DIR`.

It lists what was understood, and everything that was refused, with the reason, all at once.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from helpers import ct, l3_scans, runtime, scans
from helpers.estimates import plural
from helpers.files import DataError


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0 if all can be used, 1 if anything is refused, 2 if the folder cannot be looked at."""
    parser = argparse.ArgumentParser(prog="python -m helpers.check", description="Check a folder of real data.")
    parser.add_argument("folder", type=Path, help="a data root, or a folder with one folder a class")
    chosen = parser.parse_args(arguments)
    try:
        understood, refused = check(chosen.folder)
    except OSError as error:
        fault = f"it cannot be read ({error.strerror})"
        print(DataError(error.filename or chosen.folder, fault, "check the disk and the permissions"), file=sys.stderr)
        return 2
    for line in understood:
        print(line)
    print(f"refused: {len(refused) or 'nothing'}")
    for line in refused:
        print(f"  {line}")
    return 1 if refused else 0


def check(folder: Path) -> tuple[list[str], list[str]]:
    """Read every scan of a folder and say what can be used.

    Args:
        folder: A data root that holds ``mosmed`` or ``l3``, or a folder with one folder a class.

    Returns:
        Lines on what was understood, and one sentence for each thing that was refused.

    Taught in notebook 01.
    """
    packed = runtime.find_data("l3", folder)
    if packed is not None:
        understood, refused = _check_l3(packed)
        if runtime.find_data("mosmed", folder) is None:
            return understood, refused
        others, faults = _check_classes(runtime.find_data("mosmed", folder))
        return understood + others, refused + faults
    return _check_classes(runtime.find_data("mosmed", folder) or folder)


def _check_l3(folder: Path) -> tuple[list[str], list[str]]:
    try:
        data = l3_scans.read_folder(folder)
    except DataError as fault:
        return [], [str(fault)]
    paths = [case.source for case in data.cases if isinstance(case.source, Path)]
    done = list(runtime.progress(runtime.in_parallel(_describe, paths), len(paths), "l3"))
    refused = [str(line) for line in done if isinstance(line, DataError)]
    lines = Counter(line for line in done if not isinstance(line, DataError))
    return [data.card(), *(f"  {count} x {line}" for line, count in lines.most_common())], refused


def _check_classes(found: Path) -> tuple[list[str], list[str]]:
    try:
        classes = scans.class_folders(found)
    except DataError as fault:
        return [], [str(fault)]
    understood, refused = [], []
    if len(classes) != 2:
        names = ", ".join(path.name for path in classes) or "none"
        fault = f"it holds {len(classes)} class folders ({names})"
        refused.append(str(DataError(found, fault, "arrange the scans in two, such as CT-0 and CT-23")))
    for path in classes:
        paths = scans.list_scans(path)
        if not paths:
            refused.append(str(DataError(path, *scans.NO_SCAN)))
        done = list(runtime.progress(runtime.in_parallel(_describe, paths), len(paths), path.name))
        usable = [line for line in done if not isinstance(line, DataError)]
        refused += [str(line) for line in done if isinstance(line, DataError)]
        understood.append(f"{path.name}: {len(usable)} of {plural(len(paths), 'scan')} can be used")
        understood += [f"  {count} x {line}" for line, count in Counter(usable).most_common()]
        if others := sum(1 for file in path.iterdir() if file not in paths):
            understood.append(f"  ignored: {plural(others, 'other file')}")
    try:
        card = scans.read_folder(found).card()
    except DataError as fault:  # what only the whole folder can show, such as one scan in both classes
        return understood, list(dict.fromkeys([*refused, str(fault)]))
    return understood + ([] if refused else [card]), refused


def _describe(path: Path) -> str | DataError:
    try:
        scan = ct.read_volume(path)
    except DataError as fault:
        return fault
    shape = " x ".join(str(size) for size in scan.hu.shape)
    return f"{shape} voxels of {' x '.join(f'{size:.2f}' for size in scan.spacing)} mm, axes {scan.file_axes}"


if __name__ == "__main__":
    sys.exit(main())
