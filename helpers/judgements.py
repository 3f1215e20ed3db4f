"""How a result is judged, soundly and as the published tutorials do it, from the answers that a run left behind.

Used by notebook 05 through `flaws`. Each function takes the records of a sound run and of one with the mistake, which
are the same where only the judgement is wrong, and gives the sound figure and the flawed one, from 0 to 1.
"""

import numpy as np

from helpers import l3_flaws, localization, overlap
from helpers.l3_scans import MM
from helpers.records import Columns, Record
from helpers.siim_flaws import BATCH

CLOSE = 5.0  # mm; a shift of 6 mm shows on a fine ruler only
FIRST = 8  # scans, after which the testing of L stops
Figures = tuple[float | None, float | None]


def headlines(sound: Record, flawed: Record) -> Figures:
    """What both runs reached on their test sets.

    Taught in notebook 05.
    """
    return sound.passport.value, flawed.passport.value


def right(columns: Columns) -> float:
    """Accuracy at a probability of one half.

    Taught in notebook 05.
    """
    return float(np.mean((columns["score"] >= 0.5) == (columns["truth"] == 1)))


def by_heart(sound: Record, flawed: Record) -> Figures:
    """Accuracy on unseen scans, and on those that the network was trained with.

    Taught in notebook 05.
    """
    return right(sound.parts["test"]), right(sound.parts["train"])


def best_of_all(sound: Record, flawed: Record) -> Figures:
    """Validation accuracy of the epoch that was kept, that of the lowest loss, and the best of any epoch.

    Taught in notebook 05.
    """
    seen = [row for row in sound.rows if row["valid_metric"] is not None]
    if not seen:
        return None, None
    kept = min(seen, key=lambda row: row["valid_loss"])
    return kept["valid_metric"], max(row["valid_metric"] for row in seen)


def near(columns: Columns, among: np.ndarray | bool = True, limit: float = localization.NEAR) -> float | None:
    """The share of scans whose L3 is found within a limit in mm: by default half a vertebra.

    Args:
        columns: Answers, one a scan.
        among: Which scans count, bool [scans]; those that do not show L3 never do.
        limit: In mm.

    Returns:
        The share; None where no scan counts.

    Taught in notebook 05.
    """
    errors = columns["error_mm"][np.isfinite(columns["error_mm"]) & among]
    return float(np.mean(abs(errors) <= limit)) if len(errors) else None


def first_eight(sound: Record, flawed: Record) -> Figures:
    """The share found on all test scans, and on the first eight.

    Taught in notebook 05.
    """
    test = sound.parts["test"]
    shown = np.isfinite(test["error_mm"])
    return near(test), near(test, shown & (np.cumsum(shown) <= FIRST))


def from_the_edge(sound: Record, flawed: Record) -> Figures:
    """The share found within ``CLOSE``, and the share when found rows are held against the upper edge of the label.

    Taught in notebook 05.
    """
    test = sound.parts["test"]
    wrong = l3_flaws.edge_errors(test["found_row"] * MM, test["true_row"] * MM)
    return near(test, limit=CLOSE), near({"error_mm": wrong}, limit=CLOSE)


def without_the_tall(sound: Record, flawed: Record) -> Figures:
    """The share found on all test scans, and on those whose L3 lies in the first 512 mm.

    Taught in notebook 05.
    """
    test = sound.parts["test"]
    return near(test), near(test, test["true_row"] * MM < l3_flaws.ROWS)


def dice(test: Columns, both: str = "both_pixels", truth: str = "true_pixels") -> np.ndarray:
    """Dice of every image, 1 where there is nothing and nothing was found.

    Args:
        test: Counts of pixels, one an image.
        both, truth: The columns of pixels in both masks, and in the true one.

    Taught in notebook 05.
    """
    whole = test[truth] + test["found_pixels"]
    return np.where(whole > 0, 2 * test[both] / np.maximum(whole, 1), 1.0)


def _positives(dice: np.ndarray, positive: np.ndarray) -> float | None:
    return float(dice[positive].mean()) if positive.any() else None


def healthy_as_ill(sound: Record, flawed: Record) -> Figures:
    """Dice of the positives, and the same if every healthy image counts as one of them.

    Taught in notebook 05.
    """
    test = sound.parts["test"]
    return _positives(dice(test), test["truth"] == 1), float(dice(test).mean())


def against(kind: str, sound: Record, flawed: Record) -> Figures:
    """Dice of the positives, and the same against the last mask of each image, or against the sum of its masks.

    Args:
        kind: "last" or "summed".
        sound, flawed: The same record twice.

    Taught in notebook 05.
    """
    test = sound.parts["test"]
    ill = test["truth"] == 1
    return _positives(dice(test), ill), _positives(dice(test, f"{kind}_both", f"{kind}_pixels"), ill)


def pooled_by_batch(sound: Record, flawed: Record) -> Figures:
    """Mean Dice per image, and the mean of Dice pooled over batches.

    Taught in notebook 05.
    """
    test = sound.parts["test"]
    counts = np.array([test[name] for name in ("both_pixels", "true_pixels", "found_pixels")])
    batches = [counts[:, start : start + BATCH] for start in range(0, counts.shape[1], BATCH)]
    return float(dice(test).mean()), float(np.mean([overlap.Overlaps(*batch).pooled for batch in batches]))


def at_home(sound: Record, flawed: Record) -> Figures:
    """Accuracy of a network from one hospital a class in other hospitals, and at home.

    Taught in notebook 05.
    """
    away = flawed.parts["elsewhere"]
    names = [name.removeprefix("p_") for name in away if name.startswith("p_")]
    said = np.array(names)[np.argmax([away[f"p_{name}"] for name in names], axis=0)]
    return float(np.mean(said == away["truth"])), flawed.passport.value
