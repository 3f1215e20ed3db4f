"""The four results side by side: what may stand in one table, what is left out and why, and that its cells are true."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import paddle
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from paddle.vision import models

from helpers import comparison, files, networks, passports, runtime, tasks
from helpers.costs import Costs
from tests.tiny import one_sentence

COMMITTED = runtime.ROOT / "notebooks" / "passports"
CT, L3, PNEUMOTHORAX, XRAY = RESULTS = comparison.gather([COMMITTED])[0]


def save(folder: Path, *results: passports.Passport, name: str = "{0.task}-{0.run}-{0.data}.json") -> Path:
    for result in results:
        passports.write(result, folder / name.format(result))
    return folder


def columns(sheet: comparison.Sheet) -> list[dict[str, str]]:
    return [dict(zip(sheet.rows[0], row, strict=True)) for row in sheet.rows[1:]]


@pytest.fixture
def asked(monkeypatch) -> list:
    """Which network and which shape the costs are asked of; counting them is tested with `costs`."""
    calls = []

    def count(network, shape):
        calls.append((network, shape))
        return Costs(*networks.count_parameters(network), 2_130_000_000, 0, 0)

    monkeypatch.setattr(comparison, "costs", count)
    return calls


# gather


def test_the_committed_results_are_all_there_in_the_order_of_the_notebooks():
    found, sentences = comparison.gather([COMMITTED])
    assert [one.task for one in found] == list(tasks.TASKS) == list(comparison.REFERENCES)
    assert found == RESULTS
    assert sentences == []


def test_a_fresh_result_takes_the_place_of_the_committed_one(tmp_path):
    fresh = replace(L3, value=0.7, minutes=9.0)
    found, sentences = comparison.gather([COMMITTED, save(tmp_path, fresh)])
    assert found == [CT, fresh, PNEUMOTHORAX, XRAY]
    assert sentences == []


def test_another_seed_under_another_name_stands_beside_it(tmp_path):
    other = replace(CT, seed=1)
    found, sentences = comparison.gather([COMMITTED, save(tmp_path, other, name="ct-again.json")])
    assert (found[:2], sentences) == ([CT, other], [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": "real"}, "data phantom against real"),
        ({"run": "class"}, "run quick against class"),
        ({"data_hash": "0" * 64}, f"data hash {CT.data_hash[:12]} against 000000000000"),
        ({"split_hash": "0" * 64}, f"split hash {CT.split_hash[:12]} against 000000000000"),
        ({"metric": "accuracy"}, "metric ROC AUC against accuracy"),
    ],
)
@pytest.mark.parametrize("name", ["ct-quick-phantom.json", "another.json"])
def test_an_unlike_result_is_left_out_with_the_reason(tmp_path, change, reason, name):
    found, (sentence,) = comparison.gather([COMMITTED, save(tmp_path, replace(CT, **change), name=name)])
    assert found == RESULTS
    assert sentence.startswith(f"{tmp_path.name}/{name} is left out beside notebooks/passports/ct-quick-phantom.json: ")
    assert sentence.endswith(f"{reason}.")
    one_sentence(sentence)


def test_the_folder_that_is_named_first_decides_the_kind_of_run(tmp_path):
    mine = replace(CT, run="class", data_hash="0" * 64)
    found, (sentence,) = comparison.gather([save(tmp_path, mine), COMMITTED])
    assert found == [mine, L3, PNEUMOTHORAX, XRAY]
    assert sentence.startswith("notebooks/passports/ct-quick-phantom.json is left out")
    assert "class against quick" in sentence


def test_what_is_missing_is_said_once_with_the_command_that_makes_it(tmp_path):
    found, (sentence,) = comparison.gather([tmp_path / "nowhere", save(tmp_path, XRAY, L3)])
    assert found == [L3, XRAY]
    assert sentence == "No usable passport of ct, pneumothorax: `make run` runs the notebooks that write them."


@pytest.mark.parametrize("damage", ["", "[]", "null", '{"version": 1, "checksum": 3}', "[" * 9999, "\0", "folder"])
def test_a_damaged_passport_is_named_and_left_out(tmp_path, damage):
    save(tmp_path, *RESULTS)
    (tmp_path / "l3-quick-phantom.json").unlink()
    if damage == "folder":
        (tmp_path / "l3-quick-phantom.json").mkdir()
    else:
        (tmp_path / "l3-quick-phantom.json").write_text(damage)
    found, (sentence, missing) = comparison.gather([tmp_path])
    assert found == [CT, PNEUMOTHORAX, XRAY]
    assert sentence.startswith(f"{tmp_path.name}/l3-quick-phantom.json: ")
    one_sentence(sentence)
    assert missing.startswith("No usable passport of l3: `make run`")
    assert comparison.gather([COMMITTED, tmp_path]) == (RESULTS, [sentence])  # and it replaces nothing


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_byte_is_wrong_nothing_breaks_and_no_other_figure_comes_out(tmp_path_factory, data):
    path = save(tmp_path_factory.mktemp("p"), CT) / "ct-quick-phantom.json"
    whole = bytearray(path.read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole[: data.draw(st.sampled_from([len(whole), len(whole) // 2]))])
    found, sentences = comparison.gather([path.parent])
    assert found in ([], [CT])
    assert len(sentences) == 2 - len(found)


def test_a_word_of_another_version_of_the_course_is_left_out_too(tmp_path):
    """Whole, with the right checksum, but of a run size that is not known here."""
    content = {**asdict(CT), "run": "huge"}
    checksum = files.hash_bytes(json.dumps(content, sort_keys=True).encode())
    files.write_json(tmp_path / "ct.json", {**content, "checksum": checksum})
    found, (sentence, _) = comparison.gather([tmp_path])
    assert found == []
    assert sentence == f"{tmp_path.name}/ct.json: one of quick, class, full is expected, but found 'huge'."


# table


def test_the_committed_results_side_by_side():
    table = comparison.table(RESULTS)
    assert [row[1:] for row in table.sizes.rows[1:]] == [
        ["CNN3D, 8 filters", "21.7 k", "CNN3D, 64 filters", "1,352,897", "= the tutorial's count"],
        ["RowNet, 8 filters", "685 k", "UNet, 64 filters", "31,055,297", "= the tutorial's count"],
        ["ResUNet, 6 filters", "73.9 k", "ResUNet, 64 filters", "8,227,521", "= a count by hand"],
        ["ResNet-18, 12 filters", "397 k", "ResNet-50, 64 filters", "23,567,299", "= Paddle's ResNet-50"],
    ]
    for row, result in zip(columns(table.costs), RESULTS, strict=True):
        assert row["FLOPs a case"].endswith(" MFLOP")
        assert 1 < float(row["FLOPs a case"].split()[0]) < 1000
        assert float(row["s/step"]) == pytest.approx(result.seconds_per_step, rel=0.005)
        assert float(row["peak GB"]) == pytest.approx(result.peak_memory_gb, abs=0.051)
        assert float(row["minutes"]) == pytest.approx(result.minutes, abs=0.051)
    for row, result in zip(columns(table.results), RESULTS, strict=True):
        assert [row[name] for name in comparison.HEADER] == result.estimate.row
        assert (row["run"], row["seed"]) == ("quick, phantom", "2020")
        assert float(row["published"]) == result.published[0]
        assert f"  {row['published']}: {result.published[1]}" in table.results.notes
    assert max(map(len, str(table).splitlines())) <= 120


def test_every_row_is_as_long_as_the_header_and_of_one_task(asked):
    table = comparison.table([*RESULTS, replace(CT, task="ct+no-relu")])
    for sheet in (table.sizes, table.costs, table.results):
        assert [row[0] for row in sheet.rows] == ["task", *tasks.TASKS, "ct+no-relu"]
    assert table.rows[1] == table.sizes.rows[1] + table.costs.rows[1][1:] + table.results.rows[1][1:]
    assert {len(row) for row in table.rows} == {19}
    assert len(set(table.rows[0])) == 19
    for sheet in (table.sizes, table.costs, table.results):
        assert str(sheet) in str(table)
    assert comparison.table([]).rows == table.rows[:1]


def test_the_network_is_that_of_the_run_and_takes_the_shape(asked):
    comparison.table(RESULTS)
    for (network, shape), result in zip(asked, RESULTS, strict=True):
        task = tasks.TASKS[result.task](runtime.Run(2020, "quick", "cpu", Path("no real data")))
        assert networks.count_parameters(network) == networks.count_parameters(task.network())
        assert sorted(shape) == sorted((1,) * (result.task == "ct") + tuple(task.shape))
        network = task.network()
        network.eval()
        with paddle.no_grad():
            assert network(paddle.zeros([1, *shape])).shape[0] == 1


def test_a_full_run_has_the_published_network_and_volumes_with_their_slices_first(asked):
    row = columns(comparison.table([replace(CT, run="full")]).sizes)[0]
    assert (row["network"], row["parameters"]) == (row["as published"], "1.35 M")
    assert asked[0][1] == (1, 64, 128, 128)


def test_few_real_radiographs_get_the_larger_network(asked):
    few, phantoms = columns(comparison.table([replace(XRAY, data="real"), XRAY]).sizes)
    assert (few["network"], phantoms["network"]) == ("ResNet-18, 32 filters", "ResNet-18, 12 filters")
    assert asked[0][1] == (1, 128, 128)


def test_paddles_own_count_is_the_one_we_hold_ours_against():
    with paddle.LazyGuard():
        assert networks.count_parameters(models.resnet50(num_classes=3))[0] == comparison.REFERENCES["xray"].count


@pytest.mark.parametrize(
    ("more", "words"), [(1, "1 fewer than a count by hand"), (-1200, "1,200 more than a count by hand")]
)
def test_a_network_of_another_size_is_not_called_equal(asked, monkeypatch, more, words):
    reference = comparison.REFERENCES["pneumothorax"]
    monkeypatch.setitem(comparison.REFERENCES, "pneumothorax", reference._replace(count=reference.count + more))
    assert columns(comparison.table([PNEUMOTHORAX]).sizes)[0]["against"] == words


def test_where_there_is_no_value_the_cell_says_why(asked):
    nothing = {"seconds_per_step": None, "minutes": None, "peak_memory_gb": None, "published": None}
    table = comparison.table([replace(CT, value=None, interval=None, **nothing), replace(CT, task="mine")])
    spent, size, result = (columns(sheet) for sheet in (table.costs, table.sizes, table.results))
    assert [spent[0][name] for name in ("s/step", "peak GB", "minutes")] == ["not measured"] * 3
    assert (result[0]["value"], result[0]["published"]) == ("too few", "none")
    assert (size[1]["network"], spent[1]["FLOPs a case"]) == ("not known", "not known")
    assert result[1]["value"] == CT.estimate.row[1]
    assert len(asked) == 1


def test_a_result_no_better_than_the_trivial_rule_is_named(asked):
    table = comparison.table([replace(XRAY, interval=(0.31, 0.74)), CT])
    doubt = "xray: accuracy cannot be told from always-majority: the interval reaches down to it."
    assert [note for note in table.results.notes if "told" in note] == [doubt]


def test_only_the_costs_change_with_the_machine(asked):
    slow = [replace(one, seconds_per_step=7.0, minutes=60.0, peak_memory_gb=8.0) for one in RESULTS]
    here, there = comparison.table(RESULTS), comparison.table(slow)
    assert (here.sizes, here.results) == (there.sizes, there.results)
    assert here.costs != there.costs


@example(999_900.0)
@given(st.floats(1, 9.9e14))
def test_numbers_in_words_are_right_to_three_digits(number):
    figure, _, unit = comparison.human(number, "FLOP").partition(" ")
    assert float(figure) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[unit.removesuffix("FLOP")] == pytest.approx(
        number, rel=0.00501
    )
    assert 1 <= float(figure) < 1000
    assert len(figure) <= 4
