"""Make phantoms: synthetic twins of the course's data sets, in the files and folders of the real ones.

    python -m data_scripts.make_phantoms {ct,l3,pneumothorax,xray} --out DIR

Every notebook makes its own phantoms where it finds no data; this is for more, finer or other ones.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from data_scripts.commands import at_least
from helpers import files, phantoms, phantoms_l3, phantoms_siim, runtime
from helpers.phantoms_radiography import RadiographySettings, make_radiography
from helpers.trunk_scans import L3Settings

NPZ = "l3_dataset.npz"
WIDTH = 360.0  # mm; a trunk from side to side, on which --matrix voxels lie


@dataclass(frozen=True)
class Maker:
    """Makes the data of one task: the function, what is usual for it, and the switches that it alone has."""

    make: Callable[[Path, argparse.Namespace], str]
    count: int
    matrix: int
    switches: dict[str, str] = field(default_factory=dict)  # name and help


def make_ct(root: Path, chosen: argparse.Namespace) -> str:
    """Make chest CT scans in ``root/mosmed`` and say what was made."""
    count = chosen.count
    settings = phantoms.CTSettings(healthy=count, ill=count, matrix=chosen.matrix, seed=chosen.seed)
    folder = phantoms.make_ct(root / "mosmed", settings, _show(2 * count))
    return (
        f"Wrote {2 * count} chest CT phantoms to {folder} ({_megabytes(folder)}): {count} healthy in CT-0, {count} "
        f"with ground-glass opacities in CT-23, and where these are in masks."
    )


def make_l3(root: Path, chosen: argparse.Namespace) -> str:
    """Make CT scans of the trunk in ``root/l3``, or the published file of projections, and say what was made."""
    settings = L3Settings(chosen.count, pixel=WIDTH / chosen.matrix, seed=chosen.seed)
    if chosen.npz:
        with phantoms.made_whole(root / "l3") as part:
            phantoms_l3.make_l3_npz(part / NPZ, settings, _show(chosen.count))
            files.write_json(part / "ORIGIN.json", phantoms_l3.ORIGIN | {"settings": asdict(settings)})
        place = root / "l3" / NPZ
        return f"Wrote the projections of trunk CT phantoms to {place}: of {chosen.count} scans, those that show L3."
    folder = phantoms_l3.make_l3(root / "l3", settings, _show(chosen.count))
    return f"Wrote {chosen.count} trunk CT phantoms to {folder} ({_megabytes(folder)}); truth.csv says where L3 is."


def make_pneumothorax(root: Path, chosen: argparse.Namespace) -> str:
    """Make chest radiographs and their table of masks in ``root/siim`` and say what was made."""
    settings = phantoms_siim.SIIMSettings(chosen.count, chosen.matrix, chosen.seed)
    folder = phantoms_siim.make_siim(root / "siim", settings, _show(chosen.count))
    return (
        f"Wrote {chosen.count} chest radiographs to {folder} ({_megabytes(folder)}), about 22 % with a pneumothorax; "
        f"train-rle.csv says where."
    )


def make_xray(root: Path, chosen: argparse.Namespace) -> str:
    """Make chest X-rays in ``root/radiography``, or those of other hospitals beside it, and say what was made."""
    settings = RadiographySettings(chosen.count, chosen.matrix, chosen.seed, chosen.confounded, chosen.external)
    total = 3 * chosen.count
    folder = make_radiography(
        root / ("radiography_external" if chosen.external else "radiography"), settings, _show(total)
    )
    return (
        f"Wrote {total} chest X-rays to {folder} ({_megabytes(folder)}), {chosen.count} of each class, and copies of "
        f"some; ORIGIN.json says from which hospital each is."
    )


MAKERS = {
    "ct": Maker(make_ct, phantoms.CTSettings().healthy, phantoms.CTSettings().matrix),
    "l3": Maker(
        make_l3,
        L3Settings().count,
        round(WIDTH / L3Settings().pixel),
        {"npz": "projections in the published l3_dataset.npz instead"},
    ),
    "pneumothorax": Maker(make_pneumothorax, phantoms_siim.SIIMSettings().count, phantoms_siim.SIIMSettings().pixels),
    "xray": Maker(
        make_xray,
        RadiographySettings().each,
        RadiographySettings().pixels,
        {
            "confounded": "nearly all patients of a class come from one hospital",
            "external": "they come from two other hospitals, in radiography_external",
        },
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m data_scripts.make_phantoms", description="Make phantoms.")
    usual = ", ".join(f"{name} {maker.count}" for name, maker in MAKERS.items())
    sizes = ", ".join(f"{name} {maker.matrix}" for name, maker in MAKERS.items())
    parser.add_argument("task", choices=MAKERS, help="whose data to make")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the data root to write them to")
    for name, least, default, what in (
        ("--count", 1, None, f"scans or images of each class; l3, pneumothorax: in all ({usual})"),
        ("--matrix", 32, None, f"voxels or pixels along each side ({sizes})"),
        ("--seed", 0, phantoms.CTSettings().seed, f"another seed, other patients ({phantoms.CTSettings().seed})"),
    ):
        parser.add_argument(name, type=at_least(least), default=default, metavar="N", help=what)
    switches = [(task, *switch) for task, maker in MAKERS.items() for switch in maker.switches.items()]
    for task, name, what in switches:
        parser.add_argument(f"--{name}", action="store_true", help=f"{task}: {what}")
    chosen = parser.parse_args(arguments)
    maker = MAKERS[chosen.task]
    chosen.count, chosen.matrix = chosen.count or maker.count, chosen.matrix or maker.matrix
    for task, name, _ in switches:
        if getattr(chosen, name) and chosen.task != task:
            parser.error(f"--{name} is for {task} alone")
    try:
        print(maker.make(chosen.out, chosen))
    except files.DataError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(files.DataError(chosen.out, f"it cannot be written ({error.strerror})", "name another"), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; nothing was kept.", file=sys.stderr)
        return 130
    print(runtime.say_how(chosen.out))
    return 0


def _show(total: int) -> Callable:
    return partial(runtime.progress, total=total, label="drawing phantoms")


def _megabytes(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6:.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
