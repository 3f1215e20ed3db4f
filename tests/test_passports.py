"""Passports survive the disk, and refuse what was cut, edited, outdated or unlike."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import passports
from helpers.estimates import Estimate
from helpers.files import DataError
from helpers.metrics import roc_auc

FACTS = {
    "task": "ct",
    "published": (0.7833, "Keras example, best epoch, é"),
    "data": "phantom",
    "data_hash": "ab" * 32,
    "split_hash": "cd" * 32,
    "seed": 0,
    "run": "quick",
    "device": "cpu",
    "versions": {"numpy": "2.4.6", "paddle": "3.3.1"},
    "seconds_per_step": 0.31,
    "minutes": 0.9,
    "peak_memory_gb": 1.25,
}
PASSPORT = passports.Passport.of(Estimate("ROC AUC", 0.9, 0.8, 0.95, None, 60, "coin toss", 0.5), **FACTS)
EMPTY = passports.Passport.of(roc_auc([0, 1], [0.1, 0.2]), **FACTS)
PROPORTION = passports.Passport.of(Estimate("accuracy", 0.9, 0.8, 0.95, 54, 60, "always-majority", 0.5), **FACTS)


@pytest.mark.parametrize("passport", [PASSPORT, EMPTY, PROPORTION, replace(PASSPORT, published=None, minutes=None)])
def test_round_trip(tmp_path, passport):
    path = passports.write(passport, tmp_path / "results" / "ct.json")
    assert passports.read(path) == passport
    assert passports.write(passports.read(path), tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_an_estimate_comes_out_as_it_went_in():
    estimate = Estimate("accuracy", 0.9, 0.8, 0.95, 54, 60, "always-majority", 0.5)
    assert passports.Passport.of(estimate, **FACTS).estimate == estimate
    assert EMPTY.value is EMPTY.interval is None
    assert EMPTY.counts == (None, 2)


@given(value=st.floats(0, 1), seconds=st.floats(1e-9, 1e9), name=st.text(max_size=20))
@settings(max_examples=30)
def test_any_number_and_text_survive(tmp_path_factory, value, seconds, name):
    passport = replace(PASSPORT, value=value, seconds_per_step=seconds, published=(value, name))
    assert passports.read(passports.write(passport, tmp_path_factory.mktemp("p") / "a.json")) == passport


def test_a_number_that_is_not_finite_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="nan"):
        passports.write(replace(PASSPORT, value=float("nan")), tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_cut_short_anywhere_it_is_refused(tmp_path):
    path = passports.write(PASSPORT, tmp_path / "ct.json")
    whole = path.read_bytes()
    for length in range(len(whole.rstrip())):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"ct\.json: .+; .+\.$"):
            passports.read(path)


def edit(path, **changes):
    content = json.loads(path.read_text(encoding="utf8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf8")


@pytest.mark.parametrize(
    "changes",
    [
        {"value": 0.99},
        {"minutes": 0.1},
        {"interval": [0.85, 0.95]},
        {"data": "real"},
        {"run": "huge"},
        {"versions": {}},
        {"published": None},
        {"checksum": "0" * 64},
        {"checksum": None},
        {"extra": 1},
    ],
)
def test_edited_by_hand_it_is_refused(tmp_path, changes):
    path = passports.write(PASSPORT, tmp_path / "ct.json")
    edit(path, **changes)
    with pytest.raises(DataError, match="checksum"):
        passports.read(path)


def test_laid_out_anew_it_is_still_the_same(tmp_path):
    path = passports.write(PASSPORT, tmp_path / "ct.json")
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf8")), sort_keys=True), encoding="utf8")
    assert passports.read(path) == PASSPORT


def test_another_version_is_refused_by_its_number(tmp_path):
    path = passports.write(replace(PASSPORT, version=99), tmp_path / "ct.json")
    with pytest.raises(DataError, match="version 99"):
        passports.read(path)


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"value": 1}', '"ct"', "null"])
def test_other_json_is_no_passport(tmp_path, text):
    path = tmp_path / "ct.json"
    path.write_text(text)
    with pytest.raises(DataError, match="not a passport"):
        passports.read(path)


def test_read_all_leaves_out_and_names_what_is_spoilt(tmp_path):
    for name in ("b", "a", "edited", "cut"):
        passports.write(replace(PASSPORT, seed=ord(name[0])), tmp_path / f"{name}.json")
    edit(tmp_path / "edited.json", value=1.0)
    (tmp_path / "cut.json").write_text('{"version": 1, ')
    (tmp_path / "notes.txt").write_text("not looked at")
    good, refused = passports.read_all(tmp_path)
    assert [passport.seed for passport in good] == [ord("a"), ord("b")]
    assert len(refused) == 2
    assert "cut.json: it is not whole JSON" in refused[0]
    assert "edited.json: it was changed" in refused[1]
    with pytest.raises(DataError, match="no such folder"):
        passports.read_all(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": "real"}, "data phantom against real"),
        ({"run": "full"}, "run quick against full"),
        ({"split_hash": "ef" * 32}, "split hash cdcdcdcdcdcd against efefefefefef"),
        ({"data_hash": "ef" * 32}, "data hash"),
        ({"task": "l3"}, "task ct against l3"),
        ({"metric": "accuracy"}, "metric ROC AUC against accuracy"),
    ],
)
def test_unlike_runs_are_not_compared(change, reason):
    with pytest.raises(ValueError, match=reason):
        passports.compare(PASSPORT, replace(PASSPORT, **change))


def test_all_reasons_are_given_at_once():
    with pytest.raises(ValueError, match=r"data phantom against real, run quick against full$"):
        passports.compare(PASSPORT, replace(PASSPORT, data="real", run="full"))


def test_like_runs_are_compared():
    other = replace(PASSPORT, value=0.86, seed=1, device="gpu:0", minutes=9.0, versions={}, published=None)
    assert passports.compare(PASSPORT, other).difference == pytest.approx(-0.04)
    assert passports.compare(PASSPORT, other).agrees
    assert not passports.compare(PASSPORT, other, tolerance=0.03).agrees
    assert not passports.compare(other, PASSPORT, tolerance=0.03).agrees
    assert passports.compare(PASSPORT, replace(EMPTY)) == (None, False)
    assert passports.compare(EMPTY, EMPTY) == (None, True)


def test_the_result_leaves_out_only_what_is_measured():
    slow = replace(PASSPORT, minutes=99.0, seconds_per_step=None, peak_memory_gb=3.0)
    assert slow.result == PASSPORT.result
    for change in ({"value": 0.91}, {"seed": 1}, {"device": "gpu:0"}, {"data_hash": "0"}, {"interval": (0.8, 0.96)}):
        assert replace(PASSPORT, **change).result != PASSPORT.result


@pytest.mark.parametrize("change", [{"data": "synthetic"}, {"run": "fast"}])
def test_unknown_words_are_quoted(change):
    with pytest.raises(ValueError, match=next(iter(change.values()))):
        replace(PASSPORT, **change)


def test_the_table():
    text = passports.table([PASSPORT, PROPORTION, replace(EMPTY, data="real", published=None, minutes=None)])
    assert text.splitlines() == [
        "task  data     run    metric    value    counts    95 % interval  trivial rule          published  minutes",
        "ct    phantom  quick  ROC AUC   0.90     60 cases  0.80 to 0.95   coin toss 0.50        0.7833     0.9",
        "ct    phantom  quick  accuracy  0.90     54 of 60  0.80 to 0.95   always-majority 0.50  0.7833     0.9",
        "ct    real     quick  ROC AUC   too few  2 cases   -              -                     -          -",
    ]
