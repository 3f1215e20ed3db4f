"""Train one of the course's networks from the command line: `python -m helpers.train ct`.

It runs the very task that the notebook explains, and writes weights, history and passport. A training that was broken
off, by Ctrl-C or by a crash, goes on with `--resume` and ends with the very numbers of one that was not.
"""

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from helpers import datasets, files, passports, runtime, tasks, training
from helpers.estimates import Estimate
from helpers.files import DataError

LAST, BEST = "last.safetensors", "best.safetensors"  # while a training is under way
ESTIMATE = ("name", "value", "low", "high", "hits", "cases", "baseline_name", "baseline")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code, 2 where data or arguments cannot be used, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m helpers.train", description="Train a network of the course.")
    parser.add_argument("task", choices=tasks.TASKS, help="which job")
    parser.add_argument("--data", type=Path, help="folder of real data (default: COURSE_DATA, else phantoms)")
    parser.add_argument("--run", choices=runtime.SIZES, help="size of the run (default: COURSE_RUN)")
    parser.add_argument("--epochs", type=int, help="train so many epochs instead of the task's own number")
    parser.add_argument("--folds", type=int, help="cross-validate in so many folds instead of one split")
    parser.add_argument("--seed", type=int, default=2020, help="of split and training (default: 2020)")
    parser.add_argument("--out", type=Path, help="folder for results (default: build/runs/TASK-SIZE)")
    parser.add_argument("--resume", action="store_true", help="go on with the training that was broken off in --out")
    chosen = parser.parse_args(arguments)
    try:
        train(chosen)
    except (ValueError, FloatingPointError) as fault:  # a DataError is a ValueError
        print(fault, file=sys.stderr)
        return 2
    except OSError as error:
        fault = f"it cannot be read or written ({error.strerror})"
        print(DataError(error.filename or "the disk", fault, "check the disk and the permissions"), file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(stop.args[0] if stop.args else "Stopped.", file=sys.stderr)
        return 130
    return 0


def train(chosen: argparse.Namespace) -> None:
    """Train as the arguments say, and print what came of it.

    Raises:
        ValueError: If a number among the arguments is too small.
        DataError: If the data cannot be used, or a training that was broken off lies where this one is to be written.

    Used by the command, which notebooks 01 to 04 name.
    """
    for name, least in (("epochs", 1), ("folds", 2), ("seed", 0)):
        value = getattr(chosen, name)
        if value is not None and value < least:
            raise ValueError(f"--{name} must be at least {least}, but is {value}")
    if chosen.data is not None and not chosen.data.is_dir():
        raise DataError(chosen.data, "there is no such folder", "correct --data, or leave it out to work on phantoms")
    run = runtime.start(chosen.seed, chosen.data, chosen.run)
    task = tasks.TASKS[chosen.task](run)
    if chosen.data is not None and runtime.find_data(task.folder, chosen.data) is None:
        raise DataError(chosen.data, "there is no data set in it", task.layout)
    if chosen.epochs is not None:
        task = replace(task, schedule=replace(task.schedule, epochs=chosen.epochs))
    out = chosen.out or runtime.BUILD / "runs" / f"{task.name}-{run.size}"
    _check_unfinished(out, chosen.resume)
    data = task.data()
    print(data.card())
    prepared = task.prepare(data)
    if getattr(prepared, "faults", ()):  # radiographs that cannot be read are left out, and named
        print(prepared.card())
    _make_folder(out)
    work = _train_once if chosen.folds is None else _train_folds
    try:
        work(task, data, prepared, out, chosen)
    except KeyboardInterrupt:
        if any(out.glob(f"*{LAST}")):
            raise KeyboardInterrupt(f"Stopped; the same command with --resume goes on, from {out}.") from None
        raise KeyboardInterrupt("Stopped before an epoch was finished, so there is nothing to resume.") from None


def _check_unfinished(out: Path, resume: bool) -> None:
    """Ask before the data are prepared, not after, and rather than overwrite what may have taken hours."""
    left = sorted(out.glob(f"*{LAST}"))
    if left and not resume:
        remedy = f"add --resume to go on with it, or delete every {LAST} there to start anew"
        raise DataError(out, "it holds a training that was not finished", remedy)
    if resume and not left:
        print(f"there is no training to go on with in {out}, so it starts at the first epoch")


def _make_folder(folder: Path) -> None:
    """Make the folder for results before the training, not after it, so that a bad name costs no hours."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fault = f"it cannot be made a folder ({error.strerror})"
        raise DataError(folder, fault, "name another one with --out") from None


def _train_once(task, data, prepared, out, chosen) -> None:
    split = task.split(data)
    print(split.card())
    sets = task.sets(prepared, split)
    network, fit = _learn(task, sets, split, out, "", chosen.resume)
    print(fit)
    found = task.evaluate(network, sets)
    with _results(out):
        training.save(out / "weights.safetensors", network, _about(task, split, found))
        files.write_json(out / "history.json", fit.rows)
        passports.write(task.passport(split, fit, found), out / "passport.json")
    _tidy(out, [""])
    print(found)
    print(f"weights, history and passport are in {out}")


def _train_folds(task, data, prepared, out, chosen) -> None:
    names, parts, rows = [f"fold{number + 1}" for number in range(chosen.folds)], [], []
    for name, split in zip(names, datasets.folds(data, chosen.folds, task.run.seed), strict=True):
        print(f"fold {name[4:]} of {chosen.folds}")
        sets = task.sets(prepared, split)
        network, fit = _learn(task, sets, split, out, f"{name}-", chosen.resume)
        found = task.evaluate(network, sets)
        parts.append(found)
        rows += [(name, *_row(estimate)) for estimate in found.estimates]
        columns = {"case": [data.cases[i].key for i in found.cases], **found.columns()}
        with _results(out):
            training.save(out / f"{name}.safetensors", network, _about(task, split, found))
            files.write_json(out / f"{name}.json", fit.rows)
            _write_csv(out / f"{name}.csv", columns, zip(*columns.values(), strict=True))
    found = task.pool(parts)
    with _results(out):
        rows += [("all", *_row(estimate)) for estimate in found.estimates]
        _write_csv(out / "folds.csv", ("fold", *ESTIMATE), rows)
    _tidy(out, [f"{name}-" for name in names])  # only now: a fold that is done is not trained again before the last is
    print(f"all {len(found.cases)} cases, each tested once by a network that had not seen it:")
    print(found)
    print(f"weights, history and scores of each fold, and the figures of all in folds.csv, are in {out}")


def _learn(task, sets, split, out: Path, prefix: str, resume: bool):
    """Train, or go on; a training that is already at its end gives back its network and history at once."""
    network = task.network(split.data.classes)
    about = files.hash_bytes(split.data.hash.encode(), split.hash.encode(), repr(task.shape).encode())
    places = {"checkpoint": out / f"{prefix}{LAST}", "weights": out / f"{prefix}{BEST}"}
    fit = task.train(network, sets, report=print, resume=resume, data=about, **places)
    if fit.by_hand:
        print(fit)
        raise KeyboardInterrupt
    return network, fit


def _about(task, split, found) -> dict:
    """What `python -m helpers.predict` must know beside the weights."""
    about = {"task": task.name, "run": task.run.size, "data": split.data.origin}
    return {**about, "classes": list(split.data.classes), **found.about}


@contextmanager
def _results(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        fault = f"the results cannot be written there ({error.strerror})"
        remedy = "make room, then run the same command with --resume: the training itself is kept"
        raise DataError(out, fault, remedy) from None


def _tidy(out: Path, prefixes: Iterable[str]) -> None:
    for prefix in prefixes:
        for name in (BEST, LAST):
            (out / f"{prefix}{name}").unlink(missing_ok=True)


def _row(estimate: Estimate) -> list:
    return [getattr(estimate, name) for name in ESTIMATE]


def _write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([list(header), *rows])
    files.write_atomic(path, lambda file: file.write(text.getvalue().encode()))


if __name__ == "__main__":
    sys.exit(main())
