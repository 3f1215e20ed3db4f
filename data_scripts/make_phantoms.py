"""Make phantoms: synthetic twins of the course's data sets, in the files and folders of the real ones.

    python -m data_scripts.make_phantoms ct --out DIR

Every notebook makes its own phantoms where it finds no data; this is for more, finer or other ones.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from helpers import files, phantoms, runtime


def make_ct(root: Path, count: int, matrix: int, seed: int) -> str:
    """Make chest CT scans in ``root/mosmed`` and say what was made."""
    settings = phantoms.CTSettings(healthy=count, ill=count, matrix=matrix, seed=seed)
    show = partial(runtime.progress, total=2 * count, label="drawing phantoms")
    folder = phantoms.make_ct(root / "mosmed", settings, show)
    size = sum(path.stat().st_size for path in folder.rglob("*.nii.gz")) / 1e6
    return (
        f"Wrote {2 * count} chest CT phantoms to {folder} ({size:.1f} MB): {count} healthy in CT-0, {count} with "
        f"ground-glass opacities in CT-23, and where these are in masks."
    )


MAKERS: dict[str, Callable[[Path, int, int, int], str]] = {"ct": make_ct}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m data_scripts.make_phantoms", description="Make phantoms.")
    usual = phantoms.CTSettings()
    parser.add_argument("task", choices=MAKERS, help="whose data to make")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the data root to write them to")
    for name, least, default, what in (
        ("--count", 1, usual.healthy, "scans of each class"),
        ("--matrix", 32, usual.matrix, "voxels along each side of a slice; scanners use 512"),
        ("--seed", 0, usual.seed, "another seed, other patients"),
    ):
        parser.add_argument(name, type=_at_least(least), default=default, metavar="N", help=f"{what} ({default})")
    chosen = parser.parse_args(arguments)
    try:
        print(MAKERS[chosen.task](chosen.out, chosen.count, chosen.matrix, chosen.seed))
    except files.DataError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(files.DataError(chosen.out, f"it cannot be written ({error.strerror})", "name another"), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; nothing was kept.", file=sys.stderr)
        return 130
    print(f"To work on them, set COURSE_DATA to that data root: COURSE_DATA={chosen.out.resolve()} make run")
    return 0


def _at_least(least: int) -> Callable[[str], int]:
    """A type for argparse: whole numbers from ``least`` on."""

    def whole_number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, but is {text!r}")
        return int(text)

    return whole_number


if __name__ == "__main__":
    sys.exit(main())
