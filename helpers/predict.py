"""Ask a trained network about files of your own: `python -m helpers.predict l3 scan.nii.gz --weights W --out DIR`.

One JSON a file; notebooks 02, 03 and 04 add pictures. A file that cannot be used costs a sentence, not the others.
"""

import argparse
import re
import sys
from pathlib import Path

from helpers import files, runtime, tasks, training
from helpers.files import DataError

FILES = "ct, l3: a NIfTI file, or a folder of DICOM slices; pneumothorax, xray: a DICOM, PNG or JPEG file"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, 1 if a file could not be used, 2 if nothing could be done."""
    parser = argparse.ArgumentParser(prog="python -m helpers.predict", description="Ask a trained network.")
    parser.add_argument("task", choices=tasks.TASKS, help="which job")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help=FILES)
    parser.add_argument("--weights", type=Path, required=True, help="weights.safetensors of python -m helpers.train")
    parser.add_argument("--out", type=Path, required=True, help="folder for the answers")
    chosen = parser.parse_args(arguments)
    try:
        refused = predict(chosen.task, chosen.files, chosen.weights, chosen.out)
    except ValueError as fault:  # a DataError is a ValueError
        print(fault, file=sys.stderr)
        return 2
    except OSError as error:
        fault = f"it cannot be read or written ({error.strerror})"
        print(DataError(error.filename or chosen.out, fault, "check the disk and the permissions"), file=sys.stderr)
        return 2
    for fault in refused:
        print(fault, file=sys.stderr)
    return 1 if refused else 0


def predict(name: str, paths: list[Path], weights: Path, out: Path) -> list[DataError]:
    """Write one JSON a file, and return what could not be used.

    Args:
        name: The task.
        paths: The files.
        weights: From a training of that task; they say what size of network they belong to.
        out: Folder for the answers; made if it is missing.

    Raises:
        DataError: If the weights cannot be used.

    Used by the command `python -m helpers.predict`, which notebook 02 names.
    """
    about = files.read_about(weights)
    if about.get("task") != name:
        fault = f"it holds weights of the task {about['task']}" if "task" in about else "it does not say of which task"
        raise DataError(weights, fault, f"give weights from python -m helpers.train {name}")
    if about.get("run") not in runtime.SIZES:
        raise DataError(
            weights, "it does not say of which run size it is", f"train again: python -m helpers.train {name}"
        )
    # Only this task's network depends on what it was trained on: real X-rays get a larger one than phantoms.
    options = {"real": about.get("data") == "real"} if name == "xray" else {}
    task = tasks.TASKS[name](runtime.Run(0, about["run"], runtime.device(), runtime.ROOT), **options)
    network = task.network(about.get("classes", ()))
    training.load(weights, network)
    refused, taken = [], set()
    for path in paths:
        called = path.resolve().name  # "." has a name only so
        stem = find_stem(called)
        stems = (f"{stem}-{n + 1}" if n else stem for n in range(len(paths)))
        place = out / next(stem for stem in stems if stem.lower() not in taken)  # not every disk tells A from a
        taken.add(place.name.lower())
        try:
            answer = task.predict(network, about, path, place)
        except DataError as fault:
            refused.append(fault)
            continue
        written = files.write_json(place.with_name(f"{place.name}.json"), {"file": called, "task": name, **answer})
        print(f"{called}: {written}")
    return refused


def find_stem(name: str) -> str:
    """The name of a scan or an image without the ending that says how it is stored.

    Args:
        name: Of a file or folder; points that belong to the name, such as those of a DICOM number, stay.

    Example:
        >>> [find_stem(name) for name in ("scan.nii.gz", "chest.JPEG", "1.2.840.dcm", "1.2.840", ".png")]
        ['scan', 'chest', '1.2.840', '1.2.840', '.png']

    Used by `predict`.
    """
    return re.sub(r"(?<=.)\.(nii|nii\.gz|gz|dcm|png|jpg|jpeg)$", "", name, flags=re.IGNORECASE)


if __name__ == "__main__":
    sys.exit(main())
