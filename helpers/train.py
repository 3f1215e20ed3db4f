"""Train one of the course's networks from the command line: `python -m helpers.train ct`.

It runs the very task that the notebook explains, and writes weights, history and passport.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from helpers import datasets, files, metrics, passports, runtime, tasks, training
from helpers.files import DataError


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code, 2 where data or arguments cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m helpers.train", description="Train a network of the course.")
    parser.add_argument("task", choices=tasks.TASKS, help="which job")
    parser.add_argument("--data", type=Path, help="folder of real data (default: COURSE_DATA, else phantoms)")
    parser.add_argument("--run", choices=runtime.SIZES, help="size of the run (default: COURSE_RUN)")
    parser.add_argument("--epochs", type=int, help="train so many epochs instead of the task's own number")
    parser.add_argument("--folds", type=int, help="cross-validate in so many folds instead of one split")
    parser.add_argument("--seed", type=int, default=2020, help="of split and training (default: 2020)")
    parser.add_argument("--out", type=Path, help="folder for results (default: build/runs/TASK-SIZE)")
    chosen = parser.parse_args(arguments)
    try:
        train(chosen)
    except (ValueError, FloatingPointError, OSError) as fault:  # a DataError is a ValueError
        print(fault, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 0


def train(chosen: argparse.Namespace) -> None:
    """Train as the arguments say, and print what came of it."""
    for name, least in (("epochs", 1), ("folds", 2), ("seed", 0)):
        value = getattr(chosen, name)
        if value is not None and value < least:
            raise ValueError(f"--{name} must be at least {least}, but is {value}")
    if chosen.data is not None and not chosen.data.is_dir():
        raise DataError(chosen.data, "there is no such folder", "correct --data, or leave it out to work on phantoms")
    if chosen.data is not None and runtime.find_data("mosmed", chosen.data) is None:
        raise DataError(chosen.data, "there is no data set in it", "arrange its scans in CT-0 and CT-23")
    run = runtime.start(chosen.seed, chosen.data, chosen.run)
    task = tasks.TASKS[chosen.task](run)
    if chosen.epochs is not None:
        task = replace(task, schedule=replace(task.schedule, epochs=chosen.epochs))
    data = task.data()
    print(data.card())
    volumes = datasets.prepare(data, task.shape).volumes
    out = _make_folder(chosen.out or runtime.BUILD / "runs" / f"{task.name}-{run.size}")
    if chosen.folds is None:
        split = datasets.split(data, run.seed)
        print(split.card())
        found, passport = _train_once(task, volumes, split, out)
        passports.write(passport, out / "passport.json")
        print(found)
        print(f"weights, history and passport are in {out}")
        return
    truth, score = [], []
    for number, split in enumerate(datasets.folds(data, chosen.folds, run.seed), start=1):
        print(f"fold {number} of {chosen.folds}")
        sets = tasks.make_sets(task, volumes, split)
        network = task.network()
        tasks.train(task, network, sets, report=print, weights=out / f"fold{number}.safetensors")
        truth.append(sets.test.targets)
        score.append(tasks.probabilities(network, sets.test))
    truth, score = np.concatenate(truth), np.concatenate(score)
    majority = int(np.mean(data.labels) > 0.5)
    print(f"all {len(truth)} cases, each tested once by a network that had not seen it:")
    print(metrics.binary_report(truth, score, majority=majority))
    print(f"the weights of each fold are in {out}")


def _make_folder(folder: Path) -> Path:
    """Make the folder for results before the training, not after it, so that a bad name costs no hours."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fault = f"it cannot be made a folder ({error.strerror})"
        raise DataError(folder, fault, "name another one with --out") from None
    return folder


def _train_once(task, volumes, split, out):
    sets = tasks.make_sets(task, volumes, split)
    network = task.network()
    fit = tasks.train(task, network, sets, report=print)
    print(fit)
    found = tasks.evaluate(network, sets)
    training.save(out / "weights.safetensors", network)
    files.write_json(out / "history.json", fit.rows)
    return found, tasks.passport(task, split, fit, found)


if __name__ == "__main__":
    sys.exit(main())
