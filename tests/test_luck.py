"""The luck of the seed: intervals that cover, simulations that agree with sums over all outcomes, and honest words."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom, binom, t

from helpers import luck
from helpers.estimates import Estimate, wilson
from helpers.passports import Passport
from helpers.records import Record


def record(task="ct", seed=0, hits=45, cases=60, **changes):
    """A run of the study with so many right test cases."""
    estimate = Estimate("accuracy", hits / cases, *wilson(hits, cases), hits, cases, "always-majority", 0.5)
    if cases < 10:
        estimate = Estimate("accuracy", cases=cases, reason=f"only {cases} test cases")
    facts = {"task": task, "seed": seed, "data": "phantom", "run": "quick", "data_hash": f"d{seed}", "split_hash": "s"}
    facts |= {"published": None, "device": "cpu", "versions": {}, "seconds_per_step": None, "minutes": None}
    return Record(Passport.of(estimate, **facts | {"peak_memory_gb": None} | changes), [], 10, {})


def test_it_loads_without_paddle():
    line = "import sys; import helpers.luck; sys.exit('paddle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", line]).returncode == 0


@pytest.mark.parametrize("count", [3, 5, 8])
def test_the_interval_of_the_mean_covers_the_truth_in_95_of_100_studies(count):
    """For values of a bell curve, and for differences of accuracies on 60 test scans, which are none."""
    rng = np.random.default_rng(count)
    normal = rng.normal(10, 7, (4000, count))
    counted = 100 * np.subtract(*rng.binomial(60, [[[0.9]], [[0.8]]], (2, 4000, count))) / 60
    for studies in (normal, counted):
        found = [luck.mean_interval(study) for study in studies]
        assert np.mean([one.low <= 10 <= one.high for one in found]) == pytest.approx(0.95, abs=0.015)


def test_the_interval_is_students():
    values = [0.71, 0.80, 0.78, 0.84, 0.75]
    mean, sd, low, high = luck.mean_interval(values)
    expected = t.interval(0.95, 4, loc=np.mean(values), scale=np.std(values, ddof=1) / np.sqrt(5))
    assert (mean, sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert (low, high) == pytest.approx(expected)


def test_few_seeds_have_no_interval_and_none_no_mean():
    assert luck.mean_interval([0.5]) == (0.5, None, None, None)
    two = luck.mean_interval([0.5, 0.7])
    assert two.sd == pytest.approx(np.sqrt(0.02))
    assert (two.low, two.high) == (None, None)
    assert luck.mean_interval([0.5] * 3) == (0.5, 0, 0.5, 0.5)
    for values in ([], [0.5, float("nan")]):
        with pytest.raises(ValueError, match="one finite value a seed is needed"):
            luck.mean_interval(values)


def test_seeds_takes_the_sound_runs_of_the_task_alone():
    runs = [record(seed=seed, hits=hits) for seed, hits in ((3, 45), (1, 48), (2, 51))]
    others = [record("ct+no-relu", 1, 10), record("ct-wide", 1, 10), record("l3", 1, 10)]
    found = luck.seeds([*others, *runs], "ct")
    assert (found.seeds, found.values) == ((1, 2, 3), (0.8, 0.85, 0.75))
    assert (found.mean, found.sd, found.low, found.high) == pytest.approx(luck.mean_interval([0.75, 0.8, 0.85]))
    assert found.chance == pytest.approx(np.sqrt(0.8 * 0.2 / 60), rel=0.05)
    assert found.spread == 0  # 0.05 apart is what test sets of 60 do by themselves
    assert str(found) == (
        "ct: accuracy 0.80 on average over 3 seeds, 95 % interval 0.68 to 0.92; from 0.75 to 0.85; SD 0.050, where "
        f"test sets of this size alone make {found.chance:.3f}."
    )


def test_the_interval_of_seeds_ends_where_no_figure_can_lie():
    found = luck.seeds([record(seed=seed, hits=hits) for seed, hits in ((1, 60), (2, 59), (3, 50))], "ct")
    assert found.high == 1
    assert found.low < 0.9


def test_the_spread_is_what_the_test_sets_do_not_explain():
    rng, true_sd = np.random.default_rng(0), 0.08
    both = 0.8 * 0.2 / true_sd**2 - 1
    excess = []
    for _ in range(150):
        hits = rng.binomial(60, rng.beta(0.8 * both, 0.2 * both, 8))
        found = luck.seeds([record(seed=seed, hits=int(hit)) for seed, hit in enumerate(hits)], "ct")
        assert found.spread == pytest.approx(np.sqrt(max(0, found.sd**2 - found.chance**2)))
        excess.append(found.sd**2 - found.chance**2)
    assert np.sqrt(np.mean(excess)) == pytest.approx(true_sd, rel=0.12)


def test_what_is_missing_unlike_twice_or_too_small_is_said():
    assert str(luck.seeds([], "l3")) == "l3: no run is recorded here, `make study` makes them."
    unlike = luck.seeds([record(seed=1), record(seed=2, run="class")], "ct")
    assert unlike.mean is unlike.spread is None
    assert "accuracy of a class run on phantom data, accuracy of a quick run on phantom data" in str(unlike)
    assert "several runs of seed 7" in str(luck.seeds([record(seed=7), record(seed=7)], "ct"))
    small = luck.seeds([record(seed=1), record(seed=2, cases=5, hits=5)], "ct")
    assert small.values == (0.75,)
    assert str(small) == (
        "ct: accuracy 0.75 on average over 1 seed, too few for an interval (3 are needed); seed 2 left out, too "
        "few cases."
    )
    assert str(luck.seeds([record(cases=5, hits=5)], "ct")) == "ct: seed 0 left out, too few cases."


def exact(chances, hits):
    """How often two numbers of right scans with these chances lie so far apart, summed over all pairs."""
    apart = abs(np.subtract.outer(np.arange(len(chances)), np.arange(len(chances)))) >= hits
    return chances @ apart @ chances


@pytest.mark.parametrize(
    ("accuracy", "cases", "gap", "hits"), [(0.9, 60, 0.05, 3), (0.75, 60, 0.05, 3), (0.6, 61, 0.1, 7), (0.8, 8, 0.3, 3)]
)
def test_own_test_scans_agree_with_the_binomial(accuracy, cases, gap, hits):
    found = luck.apart(accuracy, cases, gap)
    assert found.own == pytest.approx(exact(binom.pmf(np.arange(cases + 1), cases, accuracy), hits), abs=0.01)
    assert found.same is found.same_needed is None


def test_own_test_scans_with_a_spread_agree_with_the_beta_binomial():
    both = 0.8 * 0.2 / 0.06**2 - 1
    chances = betabinom.pmf(np.arange(61), 60, 0.8 * both, 0.2 * both)
    found = luck.apart(0.8, spread=0.06)
    assert found.own == pytest.approx(exact(chances, 3), abs=0.01)
    assert found.own > luck.apart(0.8).own + 0.05


def test_the_same_scans_agree_with_the_trinomial():
    """Of 60 scans 10 % are right for one alone, for the one as often as for the other."""
    shares = [
        binom.pmf(alone, 60, 0.1) * sum(binom.pmf(k, alone, 0.5) for k in range(alone + 1) if abs(2 * k - alone) >= 3)
        for alone in range(61)
    ]
    found = luck.apart(0.8, agreement=0.9)
    assert found.same == pytest.approx(sum(shares), abs=0.01)
    assert found.own == luck.apart(0.8).own
    # networks that agree no more than chance makes them are as far apart as on scans of their own
    assert luck.apart(0.8, agreement=0.8**2 + 0.2**2).same == pytest.approx(found.own, abs=0.01)
    assert luck.apart(0.8, agreement=1.0).same == 0
    assert luck.apart(0.8, spread=0.05, agreement=1.0).same > 0.3


@pytest.mark.parametrize(("accuracy", "gap"), [(0.9, 0.05), (0.8, 0.1), (0.7, 0.15)])
def test_so_many_scans_are_needed_and_enough(accuracy, gap):
    def share(cases):
        return exact(binom.pmf(np.arange(cases + 1), cases, accuracy), int(np.ceil(gap * cases - 1e-9)))

    too_few = max(cases for cases in range(1, 400) if share(cases) >= 0.05)
    assert too_few < luck.apart(accuracy, gap=gap).own_needed <= too_few + 2 / gap


def test_where_the_seed_alone_sets_them_apart_no_number_of_scans_is_enough():
    found = luck.apart(0.8, spread=0.03, agreement=0.9)
    assert found.own_needed is found.same_needed is None
    own, same = (f"{100 * share:.0f} %" for share in (found.own, found.same))
    assert str(found) == (
        "Two equal recipes with an accuracy of 0.80 that varies by 3.0 points (SD) from seed to seed look 5 points or "
        f"more apart {own} of the time with 60 test scans each; not even 100,000 scans would bring that below 5 %. On "
        f"the same 60 scans, if both are right or both wrong on 90 % of them, it is {same}; not even 100,000 scans "
        "would bring that below 5 %."
    )


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 0.95), st.integers(1, 300), st.floats(0.01, 0.5), st.floats(0, 0.9), st.floats(0, 1))
def test_any_recipe_gives_shares_and_twice_the_same(accuracy, cases, gap, spread, agreement):
    spread *= np.sqrt(accuracy * (1 - accuracy))  # as wide as it may be
    agreement = max(agreement, abs(2 * accuracy - 1))
    found = luck.apart(accuracy, cases, gap, spread, agreement, draws=300)
    assert 0 <= found.own <= 1
    assert 0 <= found.same <= 1
    assert found == luck.apart(accuracy, cases, gap, spread, agreement, draws=300)
    assert found.own_needed is None or 1 <= found.own_needed <= luck.MOST


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"accuracy": 1.0}, "the accuracy must lie between 0 and 1, but is 1.0"),
        ({"accuracy": 0.8, "cases": 0}, "found 0, 40000 and 0.05"),
        ({"accuracy": 0.8, "gap": 0}, "found 60, 40000 and 0"),
        ({"accuracy": 0.8, "spread": 0.4}, r"must lie in \[0, 0.400\), but is 0.4"),
        ({"accuracy": 0.8, "agreement": 0.5}, r"must lie in \[0.60, 1\], but is 0.5"),
    ],
)
def test_what_cannot_be_is_refused(facts, words):
    with pytest.raises(ValueError, match=words):
        luck.apart(**facts)
