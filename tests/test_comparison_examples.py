"""What notebook 05 puts together: from the committed records, and from none at all."""

from types import SimpleNamespace

import numpy as np
import pytest
from test_records import make_record

from helpers import clock, comparison, comparison_examples, flaws, luck, prices, records, runtime, variants
from helpers.comparison import Sheet


def recorded(parts, **changes):
    """A run with the seed of those that are compared."""
    return make_record(parts, **{"seed": variants.SEED} | changes)


@pytest.fixture(scope="module")
def kept():
    found, refused = records.read_all()
    assert refused == []
    return found


@pytest.fixture(scope="module")
def table():
    sheet = Sheet("Sizes", [["task", "network"], ["ct", "CNN3D"]], ("a note",))
    return comparison.Table(sheet, sheet, sheet)


TIMES = clock.Clock((clock.Timing("ct", "CNN3D", "quick", 8, 8, 0.1, 270, 0.8),))


def scans(right, task):
    truth = np.tile([0, 1], len(right))[: len(right)]
    score = np.where(right, truth, 1 - truth).astype(float)
    return recorded({"test": {"truth": truth, "score": score, "group": np.arange(len(right))}}, task=task)


def test_the_committed_records_serve_every_comparison_and_every_price(kept):
    paid, missing = prices.prices(kept)
    assert missing == []
    assert {one.flaw.slug for one in paid} == {flaw.slug for flaw in flaws.FLAWS}
    assert all(len(one.seeds) >= luck.LEAST_SEEDS for one in paid)
    card = comparison_examples.card(kept, [])
    assert [line.split()[0] for line in card.splitlines()] == ["ct", "l3", "pneumothorax", "xray"]
    assert sum(int(line.split()[1]) + int(line.split()[4]) for line in card.splitlines()) == len(kept)


def test_crossing_counts_every_scan_once(kept):
    one, other = scans([1, 1, 1, 0, 0, 1], "ct"), scans([1, 0, 0, 1, 0, 1], "ct-width2")
    assert comparison_examples.crossed([one, other], "ct", "ct-width2") == (2, 2, 1, 1)
    assert sum(comparison_examples.crossed(kept, "ct", "ct-width2")) == 60
    with pytest.raises(ValueError, match="ct-width2 is recorded"):
        comparison_examples.crossed([one], "ct", "ct-width2")
    with pytest.raises(ValueError, match="same scans"):
        comparison_examples.crossed(
            [one, recorded(other.parts, task="ct-width2", split_hash="other")], "ct", "ct-width2"
        )


def test_one_run_is_judged_both_ways_and_a_missing_one_named(kept):
    said = comparison_examples.judged(kept, "eight", seed=2020)
    assert said.startswith("l3, seed 2020: found within 15 mm 0.")
    assert "tests eight scans: " in said
    assert "`make study` makes it" in comparison_examples.judged([], "eight", seed=2020)


def test_luck_is_that_of_the_records_or_cannot_be_told(kept):
    found = comparison_examples.chances(kept)
    rights = [comparison_examples.right(one.parts["test"]) for one in kept if one.task == "ct" and not one.flaw]
    assert found.accuracy == pytest.approx(np.mean(rights))
    assert found.cases == 60
    cases, shares = comparison_examples.apart_by_cases(found)
    assert shares["each its own scans"][cases.index(60)] == found.own
    assert all(first > last for first, *_, last in shares.values())
    assert "`make study`" in comparison_examples.chances([])


def test_the_reader_s_own_passports_come_first_but_in_a_quick_run():
    own, committed = comparison_examples.OWN, comparison_examples.COMMITTED
    facts = {"seed": 1, "device": "cpu", "data_root": own}
    assert comparison_examples.folders(runtime.Run(size="quick", **facts)) == [committed, own]
    assert comparison_examples.folders(runtime.Run(size="class", **facts)) == [own, committed]


def test_the_report_holds_every_part_and_survives_without_records(kept, table):
    paid, _ = prices.prices(kept)
    full = comparison_examples.sections(table, paid, kept, TIMES, comparison_examples.chances(kept))
    bare = comparison_examples.sections(table, [], [], TIMES, comparison_examples.chances([]))
    assert [one.title for one in full] == [one.title for one in bare]
    for section in full:
        assert section.text or section.rows or section.chart
    assert len([one for one in full if one.chart]) >= 6
    about = comparison_examples.about([SimpleNamespace(data="phantom")], runtime.Run(1, "quick", "cpu", runtime.ROOT))
    assert (about.data, about.run) == ("phantom", "quick")
