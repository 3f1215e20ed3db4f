"""The job of notebook 02, L3 on projections: its `Task`, what a network is shown and asked, how its answers are judged.

Used by notebook 02 and by `python -m helpers.train l3`, through `tasks`.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from helpers import (
    axial,
    ct,
    files,
    l3_scans,
    localization,
    mip,
    mip_views,
    networks,
    runtime,
    training,
    views,
)
from helpers.datasets import Split
from helpers.estimates import Estimate, table, wilson
from helpers.jobs import Sets, Task
from helpers.l3_scans import LEVELS, MM, TARGET
from helpers.rows import ROWS, VIEWS, Rows, confidence, right_level, row_entropy
from helpers.trunk_scans import L3Settings

RARE = -4.6  # log-odds of 1 in 100: so rare are rows and pixels of L3, and a network that must first learn this is slow


def answers(network: paddle.nn.Layer, rows: Rows) -> np.ndarray:
    """The confidence of every row for every case of a set: the mean over the image and its mirror image.

    Returns:
        ``float64`` [cases, rows].

    Taught in notebook 02.
    """
    parts = [confidence(training.predict(network, rows))]
    if rows.view != "sagittal":
        mirrored = copy(rows)
        mirrored.mirrored = True
        parts.append(confidence(training.predict(network, mirrored)))
    return np.mean(parts, axis=0)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network said of the test cases.

    Attributes:
        cases: Their indices.
        truth, found: Rows of L3, NaN where it is not in view; ``found`` is the best row, also where it is doubted.
        confidence: Of the best row.
        threshold: Below this confidence L3 is said not to be in view.
        constant: The row that the trivial rule names for every case: the training scans' median.
        groups: Whose scan it is, for the intervals: two scans of one patient are no two proofs.
    """

    cases: np.ndarray
    truth: np.ndarray
    found: np.ndarray
    confidence: np.ndarray
    threshold: np.ndarray
    constant: np.ndarray
    groups: np.ndarray

    @property
    def shown(self) -> np.ndarray:
        """Which cases show L3, bool [cases]."""
        return np.isfinite(self.truth)

    @property
    def errors(self) -> np.ndarray:
        """Found minus true place in mm, positive towards the feet, for the cases that show L3, doubted ones too."""
        return ((self.found - self.truth) * MM)[self.shown]

    @property
    def constant_errors(self) -> np.ndarray:
        """The same for the trivial rule."""
        return ((self.constant - self.truth) * MM)[self.shown]

    @property
    def report(self) -> localization.LocalizationReport:
        """How far off, with intervals, beside the constant row."""
        return localization.report(self.errors, self.constant_errors, self.groups[self.shown])

    @property
    def doubt(self) -> tuple[Estimate, Estimate]:
        """How often "not in view" is said where L3 is not in view, and where it is."""
        doubted = self.confidence < self.threshold
        return (
            _share("'not in view' without L3", doubted[~self.shown], "never said", 0.0),
            _share("'not in view' with L3", doubted[self.shown], "never said", 0.0),
        )

    @property
    def headline(self) -> Estimate:
        """The share within half a vertebra of the truth."""
        return self.report.near

    @property
    def estimates(self) -> Sequence[Estimate]:
        """All figures."""
        return (*self.report, *self.doubt)

    @property
    def about(self) -> dict[str, Any]:
        """What the command `predict` must know beside the weights."""
        return {"threshold": float(self.threshold[0])}

    def columns(self) -> dict[str, Sequence]:
        """Rows, confidence and error in mm of each case."""
        error = (self.found - self.truth) * MM
        return {
            "true_row": self.truth,
            "found_row": self.found,
            "error_mm": error,
            "confidence": self.confidence,
            "threshold": self.threshold,
            "constant_row": self.constant,
        }

    def worst(self, count: int = 8) -> np.ndarray:
        """Places in this evaluation, the largest errors first."""
        return np.argsort(-np.nan_to_num(abs(self.found - self.truth), nan=-1), kind="stable")[:count]

    def __str__(self) -> str:
        return table(self.estimates)


def _share(name: str, said: np.ndarray, rule: str, trivial: float) -> Estimate:
    if not len(said):
        return Estimate(name, reason="there is no such test scan")
    hits = int(said.sum())
    return Estimate(name, hits / len(said), *wilson(hits, len(said)), hits, len(said), rule, trivial)


def evaluate(network: paddle.nn.Layer, sets: Sets) -> Evaluation:
    """Find L3 on the test set; the threshold for "not in view" is chosen on the validation set.

    To the validation scans that lack L3 come copies of the others on which it was cut off.

    Taught in notebook 02.
    """
    valid, test = sets.valid, sets.test
    threshold = 0.0
    shown = valid.where[np.isfinite(valid.prepared.levels[valid.where, TARGET])]
    if len(shown):
        sure = answers(network, valid).max(axis=1)
        hidden = answers(network, Rows(valid.prepared, shown, valid.seed, valid.view, "leave out", valid.ask)).max(
            axis=1
        )
        has = np.isin(valid.where, shown)
        threshold = localization.choose_threshold(sure[has], np.concatenate([hidden, sure[~has]]))
    said = answers(network, test)
    found = [mip.locate(np.maximum(rows, 1e-12)) for rows in said]  # a row is named however small the confidence
    rows = sets.train.prepared.levels[sets.train.where, TARGET]
    return Evaluation(
        cases=test.where,
        truth=test.prepared.levels[test.where, TARGET],
        found=np.array([one.row for one in found]),
        confidence=np.array([one.confidence for one in found]),
        threshold=np.full(len(test), threshold),
        constant=np.full(len(test), np.nanmedian(rows)),
        groups=test.where if test.prepared.patients is None else test.prepared.patients[test.where],
    )


def pool(parts: Sequence[Evaluation]) -> Evaluation:
    """The test sets of several folds as one, each case with its own fold's threshold and constant row.

    Used by `python -m helpers.train --folds`.
    """
    names = ("cases", "truth", "found", "confidence", "threshold", "constant", "groups")
    return Evaluation(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def constant_row(prepared: l3_scans.Prepared, split: Split) -> Estimate:
    """The share within half a vertebra of a rule that names one row for every scan: the training scans' median.

    Taught in notebook 02.
    """
    row = np.nanmedian(prepared.levels[split.train, TARGET])
    errors = (row - prepared.levels[split.test, TARGET]) * MM
    errors = errors[np.isfinite(errors)]
    return localization.report(errors, errors).near


def find(
    network: paddle.nn.Layer, volume: ct.Volume, threshold: float, view: str = "frontal"
) -> tuple[mip.Projections, np.ndarray, np.ndarray, mip.Found]:
    """Find L3 in a CT.

    Args:
        network: Trained for this view.
        volume: The scan.
        threshold: See `mip.locate`.
        view: As in `Rows`.

    Returns:
        The projections that were looked at, the confidence of every row, the heights of the rows in mm, and what was
        found.

    Taught in notebook 02.
    """
    views = l3_scans.project(volume)
    seen = l3_scans.see(views)
    shape = (1, len(LEVELS))
    one = l3_scans.Prepared(seen.images[None], np.zeros(1), np.ones(1), np.full(shape, np.nan), np.zeros(shape, bool))
    sure = answers(network, Rows(one, [0], 0, view))[0][: seen.frontal.rows]
    heights = np.array([seen.frontal.z_of(row) for row in range(len(sure))])
    return views, sure, heights, mip.locate(sure, threshold)


def predict(network: paddle.nn.Layer, about: dict[str, Any], path: Path, place: Path) -> dict[str, Any]:
    """Answer for one CT: where L3 is, its axial slice and both projections as pictures; or that it is not in view.

    Args:
        network: Trained on frontal projections.
        about: Its ``threshold``.
        path: A NIfTI file, or a folder of DICOM slices.
        place: Folder and beginning of the names of the pictures.

    Returns:
        ``in_view``, ``confidence``, ``threshold`` and, if it is in view, ``z_mm`` (height in the scan's RAS
        millimetres) with ``file_axis`` and ``file_index``: the slice as the file counts it.

    Raises:
        DataError: If the scan cannot be used.
        ValueError: If the weights bring no threshold.

    Taught in notebook 02.
    """
    if "threshold" not in about:
        raise ValueError('these weights bring no threshold for "not in view"; train again: python -m helpers.train l3')
    volume = ct.read_volume(path)
    images, _, heights, found = find(network, volume, about["threshold"])
    answer = {"in_view": found.in_view, "confidence": round(found.confidence, 4), "threshold": about["threshold"]}
    lines = {}
    if found.in_view:
        first, step = axial.heights(volume)
        reach = sorted((first, first + step * (volume.hu.shape[2] - 1)))
        z_mm = float(np.clip(np.interp(found.row, range(len(heights)), heights), *reach))
        piece = axial.extract(volume, z_mm)
        answer |= {"z_mm": round(z_mm, 2), "file_axis": piece.file_axis, "file_index": piece.file_index}
        lines["L3"] = z_mm
        picture = views.axial(volume, piece.index, "mediastinum", title="L3")
        files.write_atomic(place.with_name(f"{place.name}_l3.png"), lambda file: file.write(picture.png))
    picture = mip_views.projections(images, lines)
    files.write_atomic(place.with_name(f"{place.name}_mips.png"), lambda file: file.write(picture.png))
    return answer


def l3(run: runtime.Run, view: str = "frontal", ask: str = "levels") -> Task:
    """Notebook 02: which axial slice shows L3?

    Args:
        run: From `runtime.start`; its size sets the number of phantoms, the width and the epochs.
        view: What the network sees: "frontal", "sagittal" or "both".
        ask: "levels" asks a `RowNet` for every vertebra; "row" and "pixel" ask a `UNet` for L3 alone, in one dimension
            or two, as the published tutorial does.

    Example:
        >>> task = l3(runtime.Run(seed=0, size="full", device="cpu", data_root="data"))
        >>> task.shape
        (1, 160, 96)

    Taught in notebook 02.
    """
    count, width, batch, epochs, rate = {
        "quick": (110, 8, 8, 20, 6e-3),
        "class": (420, 10, 16, 50, 4e-3),
        "full": (1500, 32, 16, 60, 2e-3),
    }[run.size]

    def sets(prepared: l3_scans.Prepared, split: Split) -> Sets:
        return Sets(
            Rows(prepared, split.train, run.seed, view, "vary", ask),
            Rows(prepared, split.valid, run.seed, view, ask=ask),
            Rows(prepared, split.test, run.seed, view, ask=ask),
        )

    def network(_: Sequence[str] = ()) -> paddle.nn.Layer:
        paddle.seed(run.seed)
        if ask == "levels":
            return networks.RowNet(width, channels=len(VIEWS[view]), outputs=len(LEVELS))
        asks_one = networks.UNet(width, channels=len(VIEWS[view]), rows=ask == "row", columns=l3_scans.COLUMNS)
        asks_one.head.bias.set_value(paddle.to_tensor([RARE]))
        return asks_one

    return Task(
        name="l3" if (view, ask) == ("frontal", "levels") else f"l3-{view}-{ask}",
        folder="l3",
        layout="put l3_dataset.npz, or ct/ and truth.csv, into its folder l3",
        run=run,
        shape=(len(VIEWS[view]), ROWS, l3_scans.COLUMNS),
        data=lambda: l3_scans.open_l3(L3Settings(count, seed=run.seed), run.data_root),
        prepare=l3_scans.prepare,
        sets=sets,
        network=network,
        loss=row_entropy if ask == "levels" else paddle.nn.functional.binary_cross_entropy_with_logits,
        metric=right_level,
        schedule=training.Schedule(epochs, batch, rate, kind="one-cycle", weight_decay=1e-4, patience=epochs),
        evaluate=evaluate,
        pool=pool,
        predict=predict,
        baseline=constant_row,
        published=(0.875, "7 of the 8 scans that the published tutorial tests"),
    )
