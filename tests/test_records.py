"""Records: what was written is read again, answers stay with their passport, and half a record is none."""

import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from string import ascii_letters

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import one_sentence

from helpers import files, passports, records, runtime
from helpers.estimates import Estimate
from helpers.files import DataError
from helpers.passports import Passport
from helpers.records import Record

COLUMNS = {
    "truth": np.array([0, 1, 1]),
    "score": np.float32([0.25, 1.0, 1 / 3]),
    "error_mm": np.array([np.nan, -6.0, 0.0]),
    "name": np.array(["NORMAL", "a: [b]", "Ä\n"]),
    "sure": np.array([True, False, True]),
}
ROWS = [
    {"epoch": 1, "rate": 0.01, "loss": np.float64(2 / 3), "valid_loss": None, "seconds": 3.1},
    {"epoch": 2, "rate": 0.0, "loss": math.nan, "valid_loss": 1.5, "seconds": 2.9},
]


def make_record(parts=None, rows=(), valid_cases=10, value=0.8, **changes):
    """A run of a study; the changes go into its passport."""
    limits = (None, None) if value is None else (value - 0.1, value + 0.1)
    estimate = Estimate("ROC AUC", value, *limits, None, 60, "coin toss", 0.5)
    facts = {"task": "ct", "seed": 7, "data": "phantom", "run": "quick", "data_hash": "d", "split_hash": "s"}
    facts |= {"published": (0.7833, "47 of 60"), "device": "cpu", "versions": {"numpy": "2.4"}}
    facts |= {"seconds_per_step": 0.5, "minutes": 1.0, "peak_memory_gb": None}
    return Record(Passport.of(estimate, **facts | changes), list(rows), valid_cases, parts or {"test": COLUMNS})


def answers(path):
    """Where the answers lie that belong to a passport."""
    return path.parent / "answers" / path.name


# There and back


def test_what_was_written_is_read_again(tmp_path):
    record = make_record({"test": COLUMNS, "train": {"truth": np.arange(5)}}, ROWS)
    path = records.write(record, tmp_path)
    found = records.read(path)
    assert found.passport.result == record.passport.result
    assert found.passport.estimate == record.passport.estimate
    assert found.valid_cases == 10
    assert found.rows == [
        {"epoch": 1, "rate": 0.01, "loss": 0.666667, "valid_loss": None},
        {"epoch": 2, "rate": 0.0, "loss": None, "valid_loss": 1.5},
    ]
    assert list(found.parts) == ["test", "train"]
    assert list(found.parts["test"]) == list(COLUMNS)
    for name, column in COLUMNS.items():
        got = found.parts["test"][name]
        assert got.dtype.kind == column.dtype.kind
        if column.dtype.kind == "f":
            np.testing.assert_allclose(got, column, atol=5e-7)
        else:
            np.testing.assert_array_equal(got, column)
    assert found.parts["train"]["truth"].tolist() == [0, 1, 2, 3, 4]
    assert records.read_all(tmp_path)[1] == []


COLUMN = st.one_of(
    st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=6),
    st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=6),
    st.lists(st.text(st.characters(exclude_characters='"\0', codec="utf-8"), max_size=8), min_size=1, max_size=6),
)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.text(ascii_letters, min_size=1, max_size=8), COLUMN, max_size=3))
def test_any_column_comes_back(columns):
    with tempfile.TemporaryDirectory() as folder:
        found = records.read(records.write(make_record({"test": columns}), folder)).parts["test"]
    assert list(found) == list(columns)
    for name, column in columns.items():
        if isinstance(column[0], float):
            np.testing.assert_allclose(found[name], column, atol=5.1e-7, rtol=0)
        else:
            assert found[name].tolist() == column


@pytest.mark.parametrize("name", ['"a": [', '"0'])
def test_a_quoted_name_of_a_class_breaks_no_answers(tmp_path, name):
    columns = {"truth": np.array([name]), f"p_{name}": np.array([1.0])}
    found = records.read(records.write(make_record({"test": columns}), tmp_path)).parts["test"]
    assert found["truth"].tolist() == [name]
    assert list(found) == list(columns)


def test_a_run_leaves_the_same_bytes_however_long_it_took(tmp_path):
    facts = {"seconds_per_step": None, "minutes": 55.0, "peak_memory_gb": 3.0}
    slow = make_record(rows=[row | {"seconds": 100.0} for row in ROWS], **facts)
    one, two = (records.write(record, tmp_path / f"{i}") for i, record in enumerate([make_record(rows=ROWS), slow]))
    assert one.read_bytes() == two.read_bytes()
    assert answers(one).read_bytes() == answers(two).read_bytes()
    assert records.read(two).passport.minutes is None
    assert slow.passport.minutes == 55.0


def test_answers_are_json_with_a_line_a_column(tmp_path):
    text = answers(records.write(make_record(rows=ROWS), tmp_path)).read_text()
    assert text.endswith("\n")
    for name in COLUMNS:  # so that a version control shows which column changed
        assert sum(line.startswith(f'"{name}": [') for line in text.splitlines()) == 1

    def refuse(word):
        raise ValueError(f"{word} is no JSON")

    json.loads(text, parse_constant=refuse)


def test_the_name_says_what_was_run(tmp_path):
    record = make_record(task="l3-frontal-pixel+band", seed=3, run="class", data="real")
    assert (record.task, record.flaw, record.seed) == ("l3-frontal-pixel", "band", 3)
    sound = make_record(task="l3-frontal-pixel")
    assert (sound.task, sound.flaw) == ("l3-frontal-pixel", "")
    run = runtime.Run(3, "class", "gpu", Path("elsewhere"))
    path = records.path_of(tmp_path, "l3-frontal-pixel+band", run, "real")
    assert path == tmp_path / "l3-frontal-pixel+band-class-real-seed3.json"
    assert records.write(record, tmp_path) == path
    assert path.is_file()
    assert answers(path).is_file()


def test_another_result_makes_the_answers_those_of_another_run(tmp_path):
    record = make_record()
    path = records.write(record, tmp_path)
    passports.write(replace(record.passport, minutes=9.0), path)  # only measured anew
    assert records.read(path).passport.minutes == 9.0
    passports.write(replace(record.passport, value=0.81), path)
    with pytest.raises(DataError, match="not those of the passport beside them"):
        records.read(path)


# What cannot be used


def test_answers_of_another_run_are_refused(tmp_path):
    one, two = (records.write(make_record(seed=seed), tmp_path) for seed in (1, 2))
    answers(one).write_bytes(answers(two).read_bytes())
    with pytest.raises(DataError, match="not those of the passport beside them") as fault:
        records.read(one)
    one_sentence(str(fault.value))
    assert fault.value.path == answers(one)
    found, refused = records.read_all(tmp_path)
    assert [record.seed for record in found] == [2]
    assert refused == [str(fault.value)]


def cut(path):
    answers(path).write_bytes(answers(path).read_bytes()[:-9])


def lack_a_part(path):
    content = files.read_json(answers(path))
    del content["rows"]
    files.write_json(answers(path), content)


DAMAGE = {
    "answers cut short": cut,
    "answers gone": lambda path: answers(path).unlink(),
    "answers of another kind": lambda path: answers(path).write_text("[1, 2]\n"),
    "a part of the answers gone": lack_a_part,
    "answers that are no text": lambda path: answers(path).write_bytes(b"\xff\xfe\x00"),
    "passport cut short": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "passport edited": lambda path: path.write_text(path.read_text().replace('"value": 0.8', '"value": 0.9')),
    "no passport at all": lambda path: path.write_text("{}\n"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_named_and_left_out(tmp_path, damage):
    one, two, three = (records.write(make_record(seed=seed), tmp_path) for seed in (1, 2, 3))
    DAMAGE[damage](two)
    with pytest.raises(DataError) as fault:
        records.read(two)
    one_sentence(str(fault.value))
    assert fault.value.path.name == two.name
    found, refused = records.read_all(tmp_path)
    assert [record.seed for record in found] == [1, 3]
    assert refused == [str(fault.value)]
    assert found[0].passport == records.read(one).passport
    assert found[1].passport == records.read(three).passport


@pytest.mark.parametrize("folder", ["empty", "none"])
def test_without_a_record_there_is_a_sentence_with_the_command(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    found, (sentence,) = records.read_all(tmp_path / folder)
    assert found == []
    one_sentence(sentence)
    assert "`make study`" in sentence


def test_if_all_are_damaged_each_is_named_beside_the_command(tmp_path):
    cut(records.write(make_record(seed=1), tmp_path))
    found, refused = records.read_all(tmp_path)
    assert (found, len(refused)) == ([], 2)
    assert "`make study` trains" in refused[1]


def test_records_come_in_the_order_of_their_names(tmp_path):
    for task, seed in (("xray", 1), ("ct+no-relu", 1), ("ct", 2020), ("ct", 1)):
        records.write(make_record(task=task, seed=seed), tmp_path)
    found, refused = records.read_all(tmp_path)
    names = [f"{one.passport.task}-quick-phantom-seed{one.seed}.json" for one in found]
    assert names == sorted(names)
    assert len(set(names)) == 4
    assert refused == []


# Whole or not at all


class Killed(BaseException):
    """What ends a process wherever it is."""


def kill(*_):
    raise Killed


def test_killed_between_both_files_nothing_passes_for_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(passports, "write", kill)
    with pytest.raises(Killed):
        records.write(make_record(), tmp_path)
    monkeypatch.undo()
    found, (sentence,) = records.read_all(tmp_path)
    assert found == []
    assert "There is no record" in sentence


def test_killed_between_both_files_a_new_run_does_not_pass_for_the_old_one(tmp_path, monkeypatch):
    old, new = make_record(value=0.8), make_record({"test": {"truth": np.array([1])}}, value=0.6)
    path = records.write(old, tmp_path)
    monkeypatch.setattr(passports, "write", kill)
    with pytest.raises(Killed):
        records.write(new, tmp_path)
    monkeypatch.undo()
    found, refused = records.read_all(tmp_path)
    assert found == []
    assert str(answers(path)) in refused[0].replace("\\", "/")
    records.write(new, tmp_path)
    assert records.read(path).passport.result == new.passport.result


@pytest.mark.parametrize("place", ["fsync", "replace"])
def test_killed_within_a_file_the_old_record_stays(tmp_path, monkeypatch, place):
    old = make_record(value=0.8)
    path = records.write(old, tmp_path)
    before = {one: one.read_bytes() for one in tmp_path.rglob("*.json")}
    monkeypatch.setattr(files.os, place, kill)
    with pytest.raises(Killed):
        records.write(make_record(value=0.6), tmp_path)
    monkeypatch.undo()
    assert {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()} == before
    assert records.read(path).passport.result == old.passport.result
