"""A result that can be trusted later: what was measured, on which data and split, by which run, and a checksum.

Used by every notebook and by the commands, which write the same passport; notebook 05 compares them.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from helpers import files
from helpers.estimates import HEADER, Estimate, aligned

VERSION = 1
DATA = ("phantom", "real")
RUNS = ("quick", "class", "full")
MEASURED = ("seconds_per_step", "minutes", "peak_memory_gb")
LIKE = ("task", "metric", "data", "run", "data_hash", "split_hash")  # in which two results must be alike


@dataclass(frozen=True, kw_only=True)
class Passport:
    """A result with everything needed to judge it.

    Attributes:
        task: Which job, such as "ct".
        metric, value, interval, counts, baseline: The figure (None with too few cases), its 95 % limits, the right
            cases and all cases, the trivial rule's name and figure. `of` takes these from an estimate.
        published: The published figure and where it stands, or None.
        data: "phantom" or "real".
        data_hash, split_hash: Hashes of the files' content and of which case fell into which set.
        seed, run: The seed of the run, and its size: "quick", "class" or "full".
        device, versions: What it ran on, and the versions of the packages.
        seconds_per_step, minutes, peak_memory_gb: What it cost, None where that could not be measured.
        version: The version of this layout.

    Raises:
        ValueError: If the kind of data or the run size is unknown.

    Example:
        >>> facts = {"task": "ct", "published": None, "data": "phantom", "data_hash": "d1", "split_hash": "5e"}
        >>> facts |= {"seed": 0, "run": "quick", "device": "cpu", "versions": {"numpy": "2.4"}}
        >>> facts |= {"seconds_per_step": 0.5, "minutes": 1.0, "peak_memory_gb": 2.0}
        >>> passport = Passport.of(Estimate("accuracy", 0.9, 0.80, 0.95, 54, 60, "always-majority", 0.5), **facts)
        >>> print(table([passport]).splitlines()[1])
        ct    phantom  quick  accuracy  0.90   54 of 60  0.80 to 0.95   always-majority 0.50  -          1.0

    Taught in notebook 01.
    """

    task: str
    metric: str
    value: float | None
    interval: tuple[float, float] | None
    counts: tuple[int | None, int]
    baseline: tuple[str, float | None]
    published: tuple[float, str] | None
    data: str
    data_hash: str
    split_hash: str
    seed: int
    run: str
    device: str
    versions: dict[str, str]
    seconds_per_step: float | None
    minutes: float | None
    peak_memory_gb: float | None
    version: int = VERSION

    def __post_init__(self):
        for word, known in ((self.data, DATA), (self.run, RUNS)):
            if word not in known:
                raise ValueError(f"one of {', '.join(known)} is expected, but found {word!r}")

    @classmethod
    def of(cls, estimate: Estimate, **facts: Any) -> "Passport":
        """Make the passport of an estimate; the facts are the attributes that the estimate does not hold."""
        e = estimate
        interval = None if e.value is None else (e.low, e.high)
        counts, baseline = (e.hits, e.cases), (e.baseline_name, e.baseline)
        return cls(metric=e.name, value=e.value, interval=interval, counts=counts, baseline=baseline, **facts)

    @property
    def estimate(self) -> Estimate:
        """The figure with its interval and trivial rule, as `of` took it."""
        return Estimate(self.metric, self.value, *(self.interval or (None, None)), *self.counts, *self.baseline)

    @property
    def result(self) -> dict[str, Any]:
        """What two runs of one thing on one machine must have in common: all but measured time and memory."""
        return {name: value for name, value in asdict(self).items() if name not in MEASURED}


class Comparison(NamedTuple):
    """How the second of two results differs from the first; no difference where one has no value."""

    difference: float | None
    agrees: bool


def write(passport: Passport, path: str | Path) -> Path:
    """Write a passport as JSON, with a checksum over all of it.

    Raises:
        ValueError: If a number in it is not finite.

    Taught in notebook 01.
    """
    content = asdict(passport)
    return files.write_json(path, {**content, "checksum": _checksum(content)})


def read(path: str | Path) -> Passport:
    """Read what `write` wrote.

    Raises:
        DataError: If the file is missing, cut short, edited since it was written, or of another version.

    Used by notebooks 02 to 05.
    """
    content = files.read_json(path)
    if not isinstance(content, dict) or not {"version", "checksum"} <= content.keys():
        raise files.DataError(path, "it is not a passport", "name a file that a run of this course wrote")
    if content["version"] != VERSION:
        fault = f"it is a passport of version {content['version']!r}, and this course reads version {VERSION}"
        raise files.DataError(path, fault, "run its notebook again")
    checksum = content.pop("checksum")
    if checksum != _checksum(content) or content.keys() != {field.name for field in fields(Passport)}:
        raise files.DataError(path, "it was changed after it was written (its checksum is wrong)", "run it again")
    return Passport(**{name: tuple(value) if isinstance(value, list) else value for name, value in content.items()})


def read_all(folder: str | Path) -> tuple[list[Passport], list[str]]:
    """Read every passport of a folder, in the order of the file names; what cannot be used is left out and named.

    Returns:
        The passports, and a sentence for each ``.json`` file that was refused.

    Raises:
        DataError: If there is no such folder.

    Used by notebooks 02 to 04 through `studies`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise files.DataError(folder, "there is no such folder", "run a notebook first, or check the name")
    passports, refused = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            passports.append(read(path))
        except files.DataError as error:
            refused.append(str(error))
    return passports, refused


def compare(first: Passport, second: Passport, tolerance: float = 0.05) -> Comparison:
    """Hold two results of one task against each other, if they can be.

    Args:
        first, second: The results, for instance the committed one and a fresh one.
        tolerance: The largest difference that still counts as agreement, in units of the metric.

    Returns:
        The difference, second minus first, and whether they agree.

    Raises:
        ValueError: With the reason, if the runs are unlike: another task or metric, phantom against real, another
            run size, other data, another split.

    Taught in notebook 05.
    """
    unlike = {
        name: f"{name.replace('_', ' ')} {str(a)[:12]} against {str(b)[:12]}"
        for name in LIKE
        if (a := getattr(first, name)) != (b := getattr(second, name))
    }
    if unlike:
        # Another kind of run has other files and another split anyway.
        reasons = [reason for name, reason in unlike.items() if not name.endswith("hash")] or unlike.values()
        raise ValueError(f"these results cannot be compared: {', '.join(reasons)}")
    if first.value is None or second.value is None:
        return Comparison(None, first.value == second.value)
    difference = second.value - first.value
    return Comparison(difference, abs(difference) <= tolerance)


def table(passports: Iterable[Passport]) -> str:
    """Set results out as plain text, one a line; the last column is measured, so it differs from run to run.

    Used by notebooks 02 to 04 through `studies`.
    """
    rows = [["task", "data", "run", *HEADER, "published", "minutes"]]
    for passport in passports:
        published = "-" if passport.published is None else f"{passport.published[0]:.4g}"
        minutes = "-" if passport.minutes is None else f"{passport.minutes:.1f}"
        rows.append([passport.task, passport.data, passport.run, *passport.estimate.row, published, minutes])
    return aligned(rows)


def _checksum(content: dict[str, Any]) -> str:
    return files.hash_bytes(json.dumps(content, sort_keys=True).encode())
