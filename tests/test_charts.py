"""The charts of a data set: the numbers in them, what they never hold, and that same facts give same bytes."""

import json

import numpy as np
import pandas as pd
import pytest

from helpers import charts
from helpers.pictures import BLUE, VERMILION

PLOTLY = "application/vnd.plotly.v1+json"
COUNT = 60


def table(count=COUNT):
    """Every fourth image shows a pneumothorax, every twelfth in two masks and every twenty-fourth in four."""
    number = np.arange(count)
    positive = number % 4 == 0
    age = 20.0 + number
    age[number % 10 == 1] = np.nan
    age[3] = 413
    sex = pd.Series(np.where(number % 3 == 0, "F", "M"), dtype=object)
    sex[5] = None
    return pd.DataFrame(
        {
            "patient": [f"patient {n:04d}" for n in number],
            "age": age,
            "sex": sex,
            "view": "PA",
            "spacing": 0.168,
            "has_pneumothorax": positive,
            "masks": np.where(positive, 1 + (number % 12 == 0) + 2 * (number % 24 == 0), 0),
        }
    )


def bundle(chart):
    data, _ = chart._repr_mimebundle_()
    return data


def as_json(chart):
    return json.dumps(bundle(chart)[PLOTLY])


def bars(chart):
    return [trace for trace in bundle(chart)[PLOTLY]["data"] if trace["type"] == "bar"]


SETS = {"normal": {"training": 8, "test": 2}, "covid": {"training": 6, "test": 3}}
CHARTS = {name: getattr(charts, name) for name in ("cases", "ages", "sexes", "donuts")}
every_chart = pytest.mark.parametrize("draw", CHARTS.values(), ids=CHARTS)


@every_chart
def test_the_order_of_the_rows_does_not_change_a_byte(draw):
    rows = table()
    assert as_json(draw(rows, "phantom")) == as_json(draw(rows.sample(frac=1, random_state=1), "phantom"))
    assert as_json(draw(rows, "phantom")) != as_json(draw(rows[1:], "phantom"))


@every_chart
def test_a_chart_holds_counts_and_no_patient(draw):
    small, large = (as_json(draw(table(count), "phantom")) for count in (60, 6000))
    assert "patient 0" not in small
    assert len(large) < len(small) + 400, "it grows with the rows"
    assert len(large) < 4000


@every_chart
def test_every_chart_says_whether_it_shows_phantoms_and_what_it_shows(draw):
    for origin in ("phantom", "real"):
        chart = draw(table(), origin)
        data, metadata = chart._repr_mimebundle_()
        layout = data[PLOTLY]["layout"]
        assert any(note["text"].startswith(f"{origin} data") for note in layout["annotations"])
        assert chart.alt.endswith(f"({origin} data).")
        assert layout["meta"]["alt"] == data["text/plain"] == metadata["image/png"]["alt"] == chart.alt
        assert layout["title"]["text"]
        assert layout["height"] == 500


@every_chart
def test_plotlys_own_template_and_packed_numbers_stay_out(draw):
    text = as_json(draw(table()))
    assert "colorway" not in text
    assert "bdata" not in text
    assert "uid" not in text


@every_chart
def test_no_chart_offers_to_be_uploaded(draw):
    assert "sendChartToCloud" in bundle(draw(table()))[PLOTLY]["layout"]["modebar"]["remove"]


@pytest.mark.parametrize("draw", [*list(CHARTS.values())[:3], lambda _: charts.classes(SETS)])
def test_axes_are_named(draw):
    layout = bundle(draw(table()))[PLOTLY]["layout"]
    named = [layout[key]["title"]["text"] for key in layout if key.startswith(("xaxis", "yaxis"))]
    assert sum(map(bool, named)) >= 2


def test_cases_are_counted_per_class_and_masks_per_positive_image():
    classes, masks = bars(charts.cases(table()))
    assert dict(zip(classes["x"], classes["y"], strict=True)) == {"no pneumothorax": 45, "pneumothorax": 15}
    assert classes["marker"]["color"] == [BLUE, VERMILION]
    assert classes["text"] == ["45 (75 %)", "15 (25 %)"]
    assert dict(zip(masks["x"], masks["y"], strict=True)) == {"1": 10, "2": 2, "3": 0, "4": 3}


def test_ages_are_shares_of_each_group_on_one_scale():
    rows = table()
    chart = charts.ages(rows)
    without, with_air = bars(chart)
    layout = bundle(chart)[PLOTLY]["layout"]
    assert without["x"] == with_air["x"] == [f"{low}-{low + 9}" for low in range(0, 80, 10)]
    assert layout["yaxis"]["range"] == layout["yaxis2"]["range"]
    for trace, group in ((without, ~rows.has_pneumothorax), (with_air, rows.has_pneumothorax)):
        ages = rows.age[group & (rows.age < 120)]
        assert [int(n or 0) for n in trace["text"]] == [int(((ages // 10) == low).sum()) for low in range(8)]
        assert sum(trace["y"]) == pytest.approx(100, abs=0.4)
    left_out = int(rows.age.isna().sum()) + 1
    assert f"{left_out} images without a usable age left out" in layout["annotations"][-1]["text"]


def test_the_last_year_of_a_decade_and_the_first_fall_into_their_bins():
    rows = pd.DataFrame({"age": [0.0, 9.9, 10.0, 19.0, 20.0, 120.0], "has_pneumothorax": False})
    (without, _) = bars(charts.ages(rows))
    counts = dict(zip(without["x"], without["text"], strict=True))
    assert {name: n for name, n in counts.items() if n} == {"0-9": "2", "10-19": "2", "20-29": "1", "120-129": "1"}


def test_ages_of_nobody_known_are_drawn_as_nothing():
    rows = table()
    rows["age"] = np.nan
    chart = charts.ages(rows)
    assert all(not any(trace["y"]) for trace in bars(chart))
    assert chart.alt.count("no age known") == 2


def test_sexes_are_stacked_and_those_not_known_are_kept():
    rows = table()
    without, with_air = bars(charts.sexes(rows))
    assert bundle(charts.sexes(rows))[PLOTLY]["layout"]["barmode"] == "stack"
    sums = [a + b for a, b in zip(without["y"], with_air["y"], strict=True)]
    assert sums == [20, 39, 1]
    assert without["x"] == ["female, 20", "male, 39", "not known, 1"]
    assert with_air["y"] == [int(((rows.sex == s) & rows.has_pneumothorax).sum()) for s in "FM"] + [0]


def test_donuts_hold_the_same_counts_as_the_bars():
    rows = table()
    rings = bundle(charts.donuts(rows))[PLOTLY]["data"]
    stacked = [trace["y"] for trace in bars(charts.sexes(rows))]
    assert [ring["values"] for ring in rings] == [list(pair) for pair in zip(*stacked, strict=True)]
    edges = [edge for ring in rings for edge in ring["domain"]["x"]]
    assert edges == sorted(edges), "rings lie beside each other"
    assert rings[0]["text"] == ["15<br>75 %", "5<br>25 %"]
    known = rows[rows.sex.notna()]
    assert len(bundle(charts.donuts(known))[PLOTLY]["data"]) == 2


def test_a_table_of_one_class_is_drawn():
    rows = table()
    for only in (rows[rows.has_pneumothorax], rows[~rows.has_pneumothorax]):
        for draw in CHARTS.values():
            assert as_json(draw(only))
    assert "masks per positive image: none" in charts.cases(rows[~rows.has_pneumothorax]).alt


def test_classes_are_counted_per_set():
    traces = bars(charts.classes(SETS, "real"))
    assert {trace["name"]: trace["y"] for trace in traces} == {"training": [8, 6], "test": [2, 3]}
    assert traces[0]["x"] == ["normal", "covid"]


def half_known():
    rows = table()
    rows["has_pneumothorax"] = rows.has_pneumothorax.astype(float)
    return rows


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: charts.cases(table()[:0]), "must have rows"),
        (lambda: charts.ages(table().drop(columns="age")), "a column 'age'"),
        (lambda: charts.sexes(half_known()), "must be bool, but is float64"),
        (lambda: charts.classes({}), "a number for each set"),
        (lambda: charts.classes({"a": {"training": 1}, "b": {"test": 1}}), "a number for each set"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(draw, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        draw()
    assert "\n" not in str(refusal.value)
    assert "patient 0" not in str(refusal.value)
