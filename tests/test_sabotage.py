"""The sabotage lab: each way to break the pipeline shows its own symptom and no other, and a sound one shows none."""

import inspect
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from helpers import sabotage, sabotage_scans, sabotage_views
from helpers.estimates import wilson
from helpers.sabotage import MM, SETS, RowFinder
from helpers.sabotage_scans import SOUND, SUSPECTS, draw_seed, draw_way

WAYS = (SOUND, *SUSPECTS)
NAMES = ("", "Maria")  # two splits, two beginnings; that of the empty name is the one every student compares with


@pytest.fixture(scope="module", params=NAMES, ids=("no name", "Maria"))
def cases(request):
    """Every way, broken with one seed. What is broken after training shares the sound training."""
    scans, seed = sabotage_scans.open_scans(), draw_seed(request.param)
    trained, cases = {}, {}
    for way in WAYS:
        kind = way if way in ("leak", "labels", "eval mode") else SOUND
        if kind not in trained:
            sets = sabotage_scans.share_out(scans, kind, seed)
            trained[kind] = (sets, *sabotage._train(sets, kind, seed))
        sets, network, fit = trained[kind]
        spoilt = sabotage_scans.spoil_test(scans, sets, way, seed)
        cases[way] = sabotage._ask(request.param, network, fit, spoilt, seed)
    return SimpleNamespace(name=request.param, seed=seed, **{"of": cases})


def share(case, name):
    return sabotage.near(case.sets[name].rows, case.found[name])


def trivial_mm(case, name):
    return float(np.mean(abs(case.sets[name].rows - case.constant)) * MM)


def symptoms(case):
    """The decision table: what a student can read off, each from one picture or table."""
    last, test = case.history[-1], case.sets["test"]
    return {
        way
        for way, seen in {
            # curves: validation ends as well as training, in both figures
            "leak": last["valid_loss"] < 1.75 * last["loss"] and last["valid_metric"] >= 0.95,
            # curves: training learns, and on validation the trivial rule is as good
            "labels": last["valid_loss"] > 0.7 * trivial_mm(case, "validation"),
            # greys: the test set's mean
            "window": abs(test.images.mean() - case.sets["training"].images.mean()) > 0.1,
            # twice: other answers to the same scans, in mm
            "eval mode": abs(case.found["test"] - case.again).max() * MM > 3,
            # scatter: what lies high is found low
            "flip": np.polyfit(test.rows, case.found["test"], 1)[0] < -0.4,
        }.items()
        if seen
    }


@pytest.mark.parametrize("way", WAYS)
def test_each_way_shows_its_own_symptom_and_no_other(cases, way):
    assert symptoms(cases.of[way]) == {way} - {SOUND}


def test_the_sound_pipeline_clearly_learns(cases):
    case = cases.of[SOUND]
    for name in ("validation", "test"):
        count = SETS[name]
        trivial = sabotage.near(case.sets[name].rows, np.full(count, case.constant))
        assert wilson(round(share(case, name) * count), count)[0] > trivial
    assert np.mean(abs(case.found["test"] - case.sets["test"].rows)) * MM < trivial_mm(case, "test") / 2


@pytest.mark.parametrize("way", ["window", "flip"])
def test_what_is_wrong_with_the_test_set_alone_leaves_the_curves_as_they_were(cases, way):
    sound, case = cases.of[SOUND], cases.of[way]
    assert case.history == sound.history
    assert share(case, "test") < share(sound, "test") - 0.3
    errors = [np.mean(abs(one.found["test"] - one.sets["test"].rows)) for one in (case, sound)]
    assert errors[0] > 2 * errors[1]


def test_a_leak_flatters_validation_and_not_the_test(cases):
    leak, sound = cases.of["leak"], cases.of[SOUND]
    assert share(leak, "validation") > 0.9
    assert share(leak, "validation") > share(sound, "validation")
    assert share(leak, "test") < share(leak, "validation") - 0.1


def test_shuffled_labels_are_learned_by_heart_and_help_nobody(cases):
    case = cases.of["labels"]
    assert case.history[-1]["loss"] < case.history[0]["loss"] / 2
    assert share(case, "test") < share(cases.of[SOUND], "test") - 0.2


@pytest.mark.parametrize("way", WAYS)
def test_the_tables_say_what_was_measured(cases, way):
    case = cases.of[way]
    shown = [line.split() for line in case.results.splitlines()[1:]]
    assert [line[0] for line in shown] == list(SETS)
    for line, (name, count) in zip(shown, SETS.items(), strict=True):
        assert line[2:5] == [str(round(share(case, name) * count)), "of", str(count)]
        assert float(line[1]) == pytest.approx(share(case, name), abs=0.006)
        median = np.median(abs(case.found[name] - case.sets[name].rows)) * MM
        assert f"{median:.1f} mm" in " ".join(line)
    greys = {line.split()[0]: float(line.split()[1]) for line in case.greys.splitlines()[1:]}
    assert greys == {name: pytest.approx(case.sets[name].images.mean(), abs=6e-4) for name in SETS}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_a_case_names_the_way(cases, way):
    case, sound = cases.of[way], cases.of[SOUND]
    pictures = (case.curves, case.twice, case.scatter, case.examples)
    assert [sorted(vars(one)) for one in (case, sound)] == [sorted(vars(sound))] * 2
    words = [repr(case), case.results, case.greys, *(picture.alt for picture in pictures), *case.found, *case.sets]
    words += [str(value) for value in vars(case).values() if isinstance(value, str | int)]
    assert not [word for word in words for suspect in SUSPECTS if suspect in word.casefold().split()]
    assert [picture.kind for picture in pictures] == ["training curves", "scatter", "scatter", "inputs"]


def test_a_case_is_drawn(cases):
    case = cases.of["eval mode"]
    for picture in (case.curves, case.twice, case.scatter, case.examples):
        assert picture.png.startswith(b"\x89PNG")
        assert "phantom data" in picture.alt


def test_the_same_name_gives_the_same_case(cases):
    if cases.name:
        pytest.skip("once is enough")
    case, before = sabotage.sabotage("  "), cases.of[SOUND]
    timeless = [[{key: row[key] for key in row if key != "seconds"} for row in one.history] for one in (case, before)]
    assert timeless[0] == timeless[1]
    assert (case.found["test"] == before.found["test"]).all()
    assert (case.again == before.again).all()
    assert repr(case).startswith("Case(sound: ")


def test_a_name_hides_its_way_and_all_ways_are_drawn():
    ways = Counter(draw_way(f"student {number}") for number in range(500))
    assert set(ways) == set(SUSPECTS)
    assert min(ways.values()) > 60
    assert draw_way("") == draw_way("  ") == SOUND
    assert draw_way(" ada\tLovelace ") == draw_way("Ada Lovelace")
    assert draw_seed(" ada\tLovelace ") == draw_seed("Ada Lovelace") != draw_seed("Ada")
    assert list(inspect.signature(sabotage.sabotage).parameters) == ["name"]


def keys(one):
    return {image.tobytes() for image in one.images}


def test_sets_share_no_scan_unless_there_is_a_leak():
    scans = sabotage_scans.open_scans()
    for seed in range(5):
        sets = sabotage_scans.share_out(scans, SOUND, seed)
        assert [len(keys(sets[name])) for name in SETS] == list(SETS.values())
        assert len(set.union(*map(keys, sets.values()))) == sum(SETS.values())
        leaked = sabotage_scans.share_out(scans, "leak", seed)
        assert keys(leaked["validation"]) < keys(leaked["training"])
        assert len(keys(leaked["validation"])) == SETS["validation"]
        assert keys(leaked["test"]) == keys(sets["test"])


def test_shuffled_labels_are_the_same_labels_on_other_training_scans():
    scans = sabotage_scans.open_scans()
    sound, shuffled = (sabotage_scans.share_out(scans, way, 3) for way in (SOUND, "labels"))
    assert (shuffled["training"].images == sound["training"].images).all()
    assert sorted(shuffled["training"].rows) == sorted(sound["training"].rows)
    assert np.corrcoef(shuffled["training"].rows, sound["training"].rows)[0, 1] < 0
    for name in ("validation", "test"):
        assert (shuffled[name].rows == sound[name].rows).all()


def test_the_test_set_is_spoilt_as_the_way_says_and_the_others_are_left():
    scans = sabotage_scans.open_scans()
    sets = sabotage_scans.share_out(scans, SOUND, 3)
    spoilt = {way: sabotage_scans.spoil_test(scans, sets, way, 3) for way in WAYS}
    for way, found in spoilt.items():
        assert all(found[name] is sets[name] for name in ("training", "validation"))
        assert (found["test"].rows == sets["test"].rows).all()
        same = np.array_equal(found["test"].images, sets["test"].images)
        assert same == (way not in ("window", "flip"))
    assert (spoilt["flip"]["test"].images[:, :, ::-1] == sets["test"].images).all()
    # a wider window, counted from far below: everything is brighter, and the order of the greys stays
    assert (spoilt["window"]["test"].images >= sets["test"].images).all()


def test_a_phantom_is_the_same_each_time_and_its_l3_is_bone_in_the_middle_of_the_body():
    scans = sabotage_scans.open_scans()
    for number in (0, 41):
        hu, row = sabotage_scans._draw(number)
        assert (hu == scans.hu[number]).all()
        assert scans.rows[number] == np.float32(row)
        here = hu[round(row)]
        assert here[18:30].max() > 150 > np.median(here[:8])
    assert scans.rows.min() > 0.2 * 63 - 0.1
    assert scans.rows.max() < 0.8 * 63 + 0.1


def test_only_a_forgetful_network_stays_in_training():
    for forgets in (False, True):
        network = RowFinder(forgets)
        network.eval()
        assert all(layer.training == forgets for layer in network.sublayers(include_self=True))


def test_a_scatter_counts_who_is_near_and_refuses_what_does_not_pair():
    alt = sabotage_views.scatter(np.array([1.0, 9.0, 9.0]), np.array([3.4, 9.0, 1.0]), ("a", "b"), 16, 6.0).alt
    assert "3 scans" in alt
    assert ": 2 lie within 15 mm" in alt
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        sabotage_views.scatter(np.zeros(2), np.zeros(3), ("a", "b"), 16, 6.0)
    one, other = (sabotage_views.scatter(np.ones(2), np.full(2, row), ("a", "b"), 16, 6.0) for row in (1.0, 15.0))
    assert [picture.figure.axes[0].get_ylim() for picture in (one, other)] == [(0, 96)] * 2
