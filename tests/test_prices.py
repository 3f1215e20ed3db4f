"""What a mistake costs: pairs by seed, signs, verdicts that claim no more than the interval, and what is left out."""

import numpy as np
import pytest

from helpers import prices
from helpers.estimates import Estimate
from helpers.flaws import FLAWS, Flaw
from helpers.passports import Passport
from helpers.records import Record


def record(task, seed, value, score=None, **changes):
    """A run of the study that reached so much; ``score`` is what a re-scoring finds in its answers."""
    limits = (None, None) if value is None else (value - 0.1, value + 0.1)
    estimate = Estimate("ROC AUC", value, *limits, None, 60, "coin toss", 0.5)
    facts = {"task": task, "seed": seed, "data": "phantom", "run": "quick", "data_hash": f"d{seed}", "split_hash": "s"}
    facts |= {"published": None, "device": "cpu", "versions": {}, "seconds_per_step": None, "minutes": None}
    parts = {} if score is None else {"test": {"score": np.array([score])}}
    return Record(Passport.of(estimate, **facts | {"peak_memory_gb": None} | changes), [], 10, parts)


RETRAINED = Flaw("blind", "shuts its eyes", "P", "ct", "ROC AUC", "It does not look.", switch=lambda task: task)
SCORED = Flaw(
    "kind", "is kind to itself", "K", "ct", "accuracy", "It looks away.",
    judge=lambda sound, flawed: (sound.passport.value, float(flawed.parts["test"]["score"][0])),
)  # fmt: skip
OWN = Flaw(
    "home", "stays at home", "X", "ct", "accuracy", "Its data are its own.", lambda task: task,
    judge=lambda sound, flawed: (float(flawed.parts["test"]["score"][0]), flawed.passport.value),
)  # fmt: skip


def study(differences, flaw="blind", **changes):
    """Sound and flawed runs of seeds 0, 1, ... that differ by so many points."""
    sound = [record("ct", seed, 0.5 + seed / 100) for seed in range(len(differences))]
    flawed = [
        record(f"ct+{flaw}", seed, 0.5 + seed / 100 + points / 100, **changes)
        for seed, points in enumerate(differences)
    ]
    return [*flawed[::-1], *sound]


def price(differences):
    (found,), missing = prices.prices(study(differences), [RETRAINED])
    assert missing == []
    return found


def test_differences_are_paired_by_seed_and_in_points():
    found = price([12.0, 10.0, 14.0, 11.0, 13.0])
    assert found.seeds == (0, 1, 2, 3, 4)
    assert found.differences == pytest.approx((12, 10, 14, 11, 13))
    assert found.mean == pytest.approx(12)
    half = 2.776445 * np.sqrt(2.5 / 5)  # Student's, 4 degrees of freedom
    assert (found.low, found.high) == pytest.approx((12 - half, 12 + half))
    assert str(found) == (
        "shuts its eyes: flatters by 12 points; ROC AUC +12.0 points on average over 5 seeds, 95 % interval +10.0 to "
        "+14.0, by seed +10.0 to +14.0."
    )


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([12.0, 12.5, 11.5], "flatters by 12 points"),
        ([-3.5, -4.0, -4.5], "harms by 4 points"),
        ([1.4, 1.5, 1.3], "flatters by 1.4 points"),
        ([-1.0, -1.01, -0.99], "harms by 1 point"),
        ([0.04, 0.05, 0.06], "flatters by 0.05 points"),
        ([1.0, -1.0, 3.0], "no measurable effect here"),
        ([0.0, 0.0, 1.0], "no measurable effect here"),
        ([0.0, 0.0, 0.0], "no difference in any run"),
        ([30.0, 30.1], "2 seeds, too few to tell"),
        ([0.0], "1 seed, too few to tell"),
    ],
)
def test_the_verdict_claims_no_more_than_the_interval(differences, verdict):
    found = price(differences)
    assert found.verdict == found.row[-1] == verdict
    assert (found.low is None) == (len(differences) < 3)
    assert "-0.0" not in str(found)


def test_a_mistake_that_only_widens_luck_has_no_mean_effect_but_a_wide_range():
    """Testing on eight scans of sixty: right on average, and far off each time."""
    rng = np.random.default_rng(5)
    runs = []
    for seed in range(5):
        right = rng.permutation(np.arange(60) < 48)
        runs.append(record("ct", seed, right.mean(), score=right[:8].mean()))
    (found,), _ = prices.prices(runs, [SCORED])
    assert abs(found.mean) < 12
    assert found.low < 0 < found.high
    assert max(found.differences) - min(found.differences) > 10
    assert found.verdict == "no measurable effect here"
    worst = max(map(abs, found.differences))
    assert str(found).endswith(f"; yet a single run is off by up to {worst:.0f} points.")


def test_of_mistakes_without_effect_one_in_twenty_seems_to_have_one():
    rng = np.random.default_rng(0)
    claims = [price(rng.normal(0, 3, 5)).verdict != "no measurable effect here" for _ in range(600)]
    assert 0.03 < np.mean(claims) < 0.075


def test_re_scoring_needs_sound_runs_alone():
    runs = [record("ct", seed, 0.8, score=0.9) for seed in (7, 3, 5)]
    (found,), missing = prices.prices([*runs, record("ct-wide", 1, 0.1, score=1.0)], [SCORED])
    assert missing == []
    assert (found.seeds, found.metric) == ((3, 5, 7), "accuracy")
    assert found.differences == pytest.approx((10, 10, 10))


def test_what_has_no_record_is_named_with_the_command():
    sound = [record("ct", seed, 0.8) for seed in range(3)]
    found, missing = prices.prices(sound, [RETRAINED])
    assert (found, missing) == (
        [], ["shuts its eyes has no price here: no run of ct+blind is recorded, `make study` makes them."]
    )  # fmt: skip
    every, missing = prices.prices([], FLAWS)
    assert every == []
    assert len(missing) == len(FLAWS)
    assert all(flaw.name in line and "`make study`" in line for flaw, line in zip(FLAWS, missing, strict=True))


def test_a_seed_without_its_pair_or_without_a_value_is_left_out_and_named():
    runs = study([5.0, 6.0, 7.0, 8.0, 9.0])
    runs = [one for one in runs if (one.flaw, one.seed) not in (("", 1), ("blind", 3))]
    (found,), missing = prices.prices([*runs, record("ct+blind", 3, None)], [RETRAINED])
    assert found.seeds == (0, 2, 4)
    assert missing == [
        "shuts its eyes: seed 1 is left out, no sound run of ct has it.",
        "shuts its eyes: seed 3 is left out, too few cases for ROC AUC.",
    ]


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [({"data_hash": "e"}, "files"), ({"run": "class"}, "run size"), ({"data": "real"}, "kind of data")],
)
def test_unlike_runs_are_refused_with_the_reason(changes, kinds):
    found, missing = prices.prices(study([5.0, 6.0], **changes), [RETRAINED])
    assert found == []
    assert missing[1] == f"shuts its eyes: seed 1 is left out, its sound and its flawed run differ in {kinds}."


def test_runs_of_two_sizes_are_not_thrown_together():
    both = [*study([5.0, 6.0]), record("ct", 9, 0.8, run="class")]
    found, (missing,) = prices.prices(both, [RETRAINED])
    assert found == []
    assert "unlike runs cannot be put together: ROC AUC of a class run on phantom data, ROC AUC of a quick" in missing
    found, (missing,) = prices.prices([*study([5.0, 6.0]), record("ct+blind", 1, 0.8)], [RETRAINED])
    assert missing == "shuts its eyes has no price here: there are several runs of seed 1."


def test_a_mistake_judged_from_its_own_run_alone_may_have_data_of_its_own():
    runs = [record("ct", seed, 0.8) for seed in range(3)]
    runs += [record("ct+home", seed, 0.9, score=0.4, data_hash="other") for seed in range(3)]
    (found,), missing = prices.prices(runs, [OWN])
    assert missing == []
    assert found.differences == pytest.approx((50, 50, 50))
    assert found.verdict == "flatters by 50 points"


def test_prices_are_sorted_by_size_and_set_out_with_what_luck_does():
    runs = study([2.0, 2.5, 1.5]) + [record("ct+home", seed, 0.3, score=0.9) for seed in range(3)]
    found, missing = prices.prices(runs, [RETRAINED, OWN])
    assert missing == []
    assert [one.flaw for one in found] == [OWN, RETRAINED]
    lines = prices.table(found).splitlines()
    assert lines[0].split() == " ".join(prices.HEADER).split()
    assert "harms by 60 points" in lines[1]
    assert "shuts its eyes" in lines[2]
    assert "+0.8 to +3.2" in lines[2]
    assert lines[-1] == "Of 2 intervals of 95 %, 0.1 miss the truth by luck alone, on average."
    assert prices.table([]) == "No mistake has a price here."
