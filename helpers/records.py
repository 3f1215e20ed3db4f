"""What a run of a study leaves beside its passport: its history and what it said of each case, to be judged anew.

Used by notebook 05, which re-scores these answers, and written by `make study`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from helpers import files, passports, runtime
from helpers.files import DataError
from helpers.passports import Passport

FOLDER = runtime.ROOT / "notebooks" / "passports" / "study"
ANSWERS = "answers"  # the folder beside the passports
DIGITS = 6
TEXT = r'"(?:[^"\\]|\\.)*"(: \[)?'  # in JSON; with its group, the name of a column, which begins a line
FLAWED = "+"  # between the name of a task and the flaw that was put into it

Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Record:
    """A run that can be judged again without its network.

    Attributes:
        passport: Its result, as it was judged then.
        rows: Its history: one line an epoch, see `training.fit`.
        valid_cases: Over how many cases the history's validation figures were counted.
        parts: What was said of the cases of a set, one column a fact; "test" is always there.
    """

    passport: Passport
    rows: Sequence[Mapping[str, float | None]]
    valid_cases: int
    parts: Mapping[str, Columns]

    @property
    def task(self) -> str:
        """The job, such as "ct" or "l3-frontal-pixel", without a flaw."""
        return self.passport.task.partition(FLAWED)[0]

    @property
    def flaw(self) -> str:
        """The flaw that was put into the job, or an empty string."""
        return self.passport.task.partition(FLAWED)[2]

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.passport.seed


def path_of(folder: str | Path, task: str, run: runtime.Run, origin: str) -> Path:
    """Where the passport of a study's run lies, such as "ct+no-relu-quick-phantom-seed1.json".

    Used by `make study`, whose records notebook 05 reads.
    """
    return Path(folder) / f"{task}-{run.size}-{origin}-seed{run.seed}.json"


def write(record: Record, folder: str | Path) -> Path:
    """Write a passport, and its answers into the folder beside it; both whole, the passport last.

    Measured times and memory are left out: a study runs for an hour beside other work, and the same run shall leave the
    same files. What a training costs is measured by the notebooks, and by `clock`.

    Returns:
        Where the passport is.

    Used by `make study`, whose records notebook 05 reads.
    """
    passport = replace(record.passport, **dict.fromkeys(passports.MEASURED))
    run = runtime.Run(passport.seed, passport.run, passport.device, Path())
    path = path_of(folder, passport.task, run, passport.data)
    parts = {name: {key: _plain(column) for key, column in part.items()} for name, part in record.parts.items()}
    rows = [{name: _rounded(value) for name, value in row.items() if name != "seconds"} for row in record.rows]
    content = {"result": _hash(passport), "valid_cases": record.valid_cases, "rows": rows, "parts": parts}
    text = re.sub(TEXT, lambda found: f"\n{found[0]}" if found[1] else found[0], json.dumps(content, allow_nan=False))
    files.write_atomic(path.parent / ANSWERS / path.name, lambda file: file.write(f"{text}\n".encode()))
    return passports.write(passport, path)


def read(path: str | Path) -> Record:
    """Read what `write` wrote, by the path of its passport.

    Raises:
        DataError: If the passport or its answers are missing or damaged, or do not belong together.

    Taught in notebook 05.
    """
    path = Path(path)
    passport, place = passports.read(path), path.parent / ANSWERS / path.name
    content = files.read_json(place)
    known = {"result": str, "valid_cases": int, "rows": list, "parts": dict}
    if not isinstance(content, dict) or {name: type(value) for name, value in content.items()} != known:
        raise DataError(place, "it holds no answers of a study", "run `make study` again")
    if content["result"] != _hash(passport):
        raise DataError(place, "these answers are not those of the passport beside them", "run `make study` again")
    parts = {
        name: {key: np.array([np.nan if value is None else value for value in column]) for key, column in part.items()}
        for name, part in content["parts"].items()
    }
    return Record(passport, content["rows"], content["valid_cases"], parts)


def read_all(folder: str | Path = FOLDER) -> tuple[list[Record], list[str]]:
    """Read every record of a folder, in the order of the file names; what cannot be used is left out and named.

    Returns:
        The records, and a sentence for each passport that was refused; one with the remedy if there is no record.

    Taught in notebook 05.
    """
    found, refused = [], []
    for path in sorted(Path(folder).glob("*.json")):
        try:
            found.append(read(path))
        except DataError as fault:
            refused.append(str(fault))
    if not found:
        refused.append("There is no record of a study: `make study` trains what is compared, and keeps its answers.")
    return found, refused


def _plain(column: Sequence) -> list[Any]:
    return [_rounded(value) for value in np.asarray(column).tolist()]


def _rounded(value: Any) -> Any:
    """A number that JSON can hold, NaN as None, with as many digits as a figure needs."""
    if not isinstance(value, float):
        return value
    return round(value, DIGITS) if np.isfinite(value) else None


def _hash(passport: Passport) -> str:
    """Of the result: time and memory may be measured anew."""
    return files.hash_bytes(json.dumps(passport.result, sort_keys=True).encode())
