"""Run the comparisons that are too long for a notebook: `make study`. Each run leaves a passport.

Quick runs on phantoms go to notebooks/passports/study/ and are committed; other sizes and real data to build/. A run
whose passport is there already is not repeated, so that a study that was broken off goes on; --again starts anew.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from helpers import jobs, passports, runtime, tasks
from helpers.files import DataError

ROOT = Path(__file__).resolve().parents[1]
COMMITTED, LOCAL = ROOT / "notebooks" / "passports" / "study", ROOT / "build" / "passports" / "study"

L3 = [
    ("frontal", "levels"),
    ("sagittal", "levels"),
    ("both", "levels"),
    ("frontal", "row"),
    ("frontal", "pixel"),
]


def studies() -> dict[str, list[Callable[[runtime.Run], jobs.Task]]]:
    """What is compared, by task: one function a run, from the run to its `Task`."""
    return {
        "l3": [lambda run, view=view, ask=ask: tasks.l3(run, view, ask) for view, ask in L3],
        "pneumothorax": [lambda run, name=name: tasks.pneumothorax(run, name) for name in ("ResUNet", "UNet")],
        "xray": [lambda run, on=on: tasks.xray(run, depth=34, shortcuts=on) for on in (True, False)],
    }


def study(make: Callable[[runtime.Run], jobs.Task], run: runtime.Run, again: bool) -> None:
    """Train one task to its end and write its passport, unless it is there."""
    task = make(run)
    data = task.data()
    folder = COMMITTED if (run.size, data.origin) == ("quick", "phantom") else LOCAL
    path = folder / task.passport_name(data.origin)
    if path.exists() and not again:
        print(f"  {task.name}: {passports.read(path).estimate} (from {path.parent.name}/{path.name})", flush=True)
        return
    prepared, split = task.prepare(data), task.split(data)
    sets, network = task.sets(prepared, split), task.network(data.classes)
    fit = task.train(network, sets)
    found = task.evaluate(network, sets)
    task.passport(split, fit, found, folder)
    print(f"  {task.name}: {found.headline} ({fit.minutes:.1f} minutes)", flush=True)


def main() -> None:
    """Run all studies, or those of the tasks named."""
    every = studies()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", help=f"default: all ({', '.join(every)})")
    parser.add_argument("--again", action="store_true", help="repeat runs whose passport is there already")
    parser.add_argument("--seed", type=int, default=2020)
    chosen = parser.parse_args()
    if unknown := set(chosen.tasks) - set(every):
        parser.error(f"there is no study of {', '.join(sorted(unknown))}; there are those of {', '.join(every)}")
    try:
        run = runtime.start(chosen.seed)
        for name in chosen.tasks or every:
            print(f"{name}:")
            for make in every[name]:
                study(make, run, chosen.again)
    except (DataError, ValueError) as fault:
        sys.exit(str(fault))


if __name__ == "__main__":
    main()
