"""Run the comparisons that are too long for a notebook: `make study`. Each run leaves a passport and its answers.

Quick runs on phantoms go to notebooks/passports/study/ and are committed; other sizes and real data to build/. A run
whose passport is there already is not repeated, so that a study that was broken off, or whose time was up, goes on;
--again starts anew. The first round, of one seed, holds every comparison; later rounds repeat what needs several seeds.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from helpers import (
    datasets,
    film_arrays,
    flaws,
    jobs,
    masks,
    records,
    runtime,
    siim,
    tasks,
    variants,
    xray_answers,
    xray_job,
)
from helpers.files import DataError

LOCAL = runtime.BUILD / "passports" / "study"
SEEDS = (2020, 1, 2, 3, 4)
MINUTES = 60

Make = Callable[[runtime.Run], jobs.Task]


def repeated(task: str) -> list[Make]:
    """What is trained with every seed: the job, and the job with each mistake that changes it."""
    jobs_by_name = {task: tasks.TASKS[task], flaws.PIXEL: variants.COMPARED["views"][flaws.PIXEL].make}
    names = [task] + [flaws.PIXEL] * (task == "l3")
    runs = [jobs_by_name[name] for name in names]
    for flaw in flaws.FLAWS:
        if flaw.retrains and flaw.task in names:
            runs.append(lambda run, flaw=flaw: flaw.on(jobs_by_name[flaw.task](run)))
    return runs


def once(task: str) -> list[Make]:
    """What is trained with the first seed alone: views and answers, networks, depths and widths."""
    every = {name: one.make for group in variants.COMPARED.values() for name, one in group.items()}
    return [make for name, make in every.items() if name.startswith(f"{task}-") and name != flaws.PIXEL]


def plan(names: list[str]) -> Iterator[tuple[int, Make]]:
    """All runs of some jobs, seed by seed."""
    for place, seed in enumerate(SEEDS):
        for name in names:
            for make in repeated(name) + (once(name) if not place else []):
                yield seed, make


def columns(found: jobs.Evaluation) -> dict[str, Any]:
    """What was said of each case, and whose case it is, as a number that tells nothing else."""
    return {**found.columns(), "group": np.unique(np.asarray(found.groups), return_inverse=True)[1]}


def other_masks(data: siim.MaskedRadiographs, found: Any) -> dict[str, np.ndarray]:
    """Pixels of each test image's last mask, and of all its masks added up, alone and shared with what was found."""
    side, counts, said = found.found.shape[1], [], found.masks
    for place, case in enumerate(found.cases):
        shape = data.mask(case).shape
        drawn = [
            film_arrays.shrink_mask(masks.decode_rle(text, shape), side)
            for text in data.runs[case]
            if not masks.is_empty(text)
        ]
        pixels = [int(mask.sum()) for mask in drawn] or [0]
        both = [int((mask & said[place]).sum()) for mask in drawn] or [0]
        counts.append((pixels[-1], both[-1], sum(pixels), sum(both)))
    return dict(zip(("last_pixels", "last_both", "summed_pixels", "summed_both"), np.array(counts).T, strict=True))


def parts(task: jobs.Task, data: Any, split: datasets.Split, sets: jobs.Sets, network: Any, found: Any) -> dict:
    """What is kept of a run's answers: those to the test cases, and what judging them anew needs beside."""
    kept = {"test": columns(found)}
    if task.name == "ct":
        plain = task.sets(task.prepare(data), replace(split, test=split.train)).test
        kept["train"] = columns(task.evaluate(network, sets._replace(test=plain)))
    elif task.name == "pneumothorax":
        kept["test"] |= other_masks(data, found)
    elif task.name.startswith("xray") and "hospital" in task.name:
        away = film_arrays.prepare(xray_job.open_external(task.run, confounded=True), task.shape[-1])
        kept["elsewhere"] = columns(xray_answers.elsewhere(network, found, away))
    return kept


def study(make: Make, run: runtime.Run, again: bool) -> bool:
    """Train one job to its end and keep its record, unless it is there already; tell whether it was trained."""
    task = make(run)
    data = task.data()
    folder = records.FOLDER if (run.size, data.origin) == ("quick", "phantom") else LOCAL
    path = records.path_of(folder, task.name, run, data.origin)
    if path.exists() and not again and (kept := _still_good(path, data)):
        print(f"  {task.name}, seed {run.seed}: {kept} (kept)", flush=True)
        return False
    prepared, split = task.prepare(data), task.split(data)
    sets, network = task.sets(prepared, split), task.network(data.classes)
    fit = task.train(network, sets)
    found = task.evaluate(network, sets)
    passport = task.judge(split, fit, found)
    kept = parts(task, data, split, sets, network, found)
    records.write(records.Record(passport, fit.rows, len(sets.valid), kept), folder)
    print(f"  {task.name}, seed {run.seed}: {found.headline} ({fit.minutes:.1f} minutes)", flush=True)
    return True


def _still_good(path: Path, data: datasets.Cases) -> str:
    """What a kept record says; nothing, with the reason printed, if it is damaged or of other data."""
    try:
        passport = records.read(path).passport
    except DataError as fault:
        print(f"  {fault} It is made anew.", flush=True)
        return ""
    if passport.data_hash != data.hash:
        print(f"  {path.name} is of other files than those here. It is made anew.", flush=True)
        return ""
    return str(passport.estimate)


def main() -> None:
    """Run all studies, or those of the jobs named, until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", help=f"default: all ({', '.join(tasks.TASKS)})")
    parser.add_argument("--again", action="store_true", help="repeat runs whose passport is there already")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help=f"begin no run after so many (default: {MINUTES})"
    )
    chosen = parser.parse_args()
    if unknown := set(chosen.tasks) - set(tasks.TASKS):
        parser.error(f"there is no study of {', '.join(sorted(unknown))}; there are those of {', '.join(tasks.TASKS)}")
    began = time.monotonic()
    try:
        first = runtime.start(SEEDS[0])
        for seed, make in plan(chosen.tasks or list(tasks.TASKS)):
            if time.monotonic() - began > 60 * chosen.minutes:
                print(f"{chosen.minutes:g} minutes are over; the same command goes on from here.")
                break
            study(make, replace(first, seed=seed), chosen.again)
    except (DataError, ValueError) as fault:
        sys.exit(str(fault))


if __name__ == "__main__":
    main()
