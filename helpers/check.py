"""Look a folder of real data over before any training: `python -m helpers.check DIR`.

It lists what was understood, and everything that was refused, with the reason, all at once.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from helpers import ct, datasets, runtime
from helpers.files import DataError


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0 if all can be used, 1 if anything is refused."""
    parser = argparse.ArgumentParser(prog="python -m helpers.check", description="Check a folder of real data.")
    parser.add_argument("folder", type=Path, help="a data root, or a folder with one folder a class")
    chosen = parser.parse_args(arguments)
    understood, refused = check(chosen.folder)
    for line in understood:
        print(line)
    print(f"refused: {len(refused) or 'nothing'}")
    for line in refused:
        print(f"  {line}")
    return 1 if refused else 0


def check(folder: Path) -> tuple[list[str], list[str]]:
    """Read every scan of a folder and say what can be used.

    Args:
        folder: A data root that holds ``mosmed``, or a folder with one folder a class.

    Returns:
        Lines on what was understood, and one sentence for each thing that was refused.

    Taught in notebook 01.
    """
    found = runtime.find_data("mosmed", folder) or folder
    try:
        classes = datasets.class_folders(found)
    except DataError as fault:
        return [], [str(fault)]
    understood, refused = [], []
    if len(classes) != 2:
        names = ", ".join(path.name for path in classes) or "none"
        fault = f"it holds {len(classes)} class folders ({names})"
        refused.append(str(DataError(found, fault, "arrange the scans in two, such as CT-0 and CT-23")))
    for path in classes:
        scans = datasets.list_scans(path)
        if not scans:
            refused.append(str(DataError(path, "there is no scan in this class folder", "put .nii.gz files into it")))
        done = list(runtime.progress(runtime.in_parallel(_describe, scans), len(scans), path.name))
        usable = [line for line in done if not isinstance(line, DataError)]
        refused += [str(line) for line in done if isinstance(line, DataError)]
        understood.append(f"{path.name}: {len(usable)} of {len(scans)} scans can be used")
        understood += [f"  {count} x {line}" for line, count in Counter(usable).most_common()]
        others = sum(1 for file in path.iterdir() if file not in scans)
        if others:
            understood.append(f"  {others} other files are ignored")
    if not refused:
        try:
            understood.append(datasets.read_folder(found).card())
        except DataError as fault:
            refused.append(str(fault))
    return understood, refused


def _describe(path: Path) -> str | DataError:
    try:
        scan = ct.read_volume(path)
    except DataError as fault:
        return fault
    shape = " x ".join(str(size) for size in scan.hu.shape)
    return f"{shape} voxels of {' x '.join(f'{size:.2f}' for size in scan.spacing)} mm, axes {scan.file_axes}"


if __name__ == "__main__":
    sys.exit(main())
