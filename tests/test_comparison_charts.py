"""Charts of results: what is drawn where, told apart without colours too; and same results give same bytes."""

import json
import random
import re
from types import SimpleNamespace as Some

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import chart_parts, charts
from helpers import comparison_charts as cc
from helpers.estimates import Estimate, wilson
from helpers.pictures import BLUE, GREY, VERMILION

PLOTLY = "application/vnd.plotly.v1+json"


def price(name, differences, half=1.0, retrains=True, verdict=None):
    """A price with an interval as wide as said, or none with fewer than three seeds."""
    mean, few = sum(differences) / len(differences), len(differences) < 3
    low, high = (None, None) if few else (mean - half, mean + half)
    if verdict is None:
        verdict = "no measurable effect here" if few or low <= 0 <= high else "flatters" if low > 0 else "harms"
    flaw = Some(name=name, source="P", retrains=retrains)
    seeds = list(range(len(differences)))
    return Some(flaw=flaw, seeds=seeds, differences=differences, mean=mean, low=low, high=high, verdict=verdict)


PRICES = [
    price("drops tall scans", [0.5, -0.5, 0.0], retrains=False),
    price("lacks a ReLU", [-6.0, -5.0, -7.0]),
    price("validates on training scans", [20.0, 22.0, 24.0], retrains=False),
    price('reads "-1" as a mask', [-30.0, -32.0]),
    price("a < b & c", [3.0, 3.0, 3.0, 3.0, 3.0], half=0.0),
]


def found(hits, cases=60, name="accuracy", rule=0.5):
    return Estimate(name, hits / cases, *wilson(hits, cases), hits, cases, "always-majority", rule)


FEW = Estimate("accuracy", cases=2, reason="too few cases")
RUNS = {"ct": {2020: found(47), 1: found(51), 2: found(51)}, "xray": {2020: found(36, 70, rule=0.3), 1: FEW}}
ROWS = [("frontal", found(30)), ("sagittal", found(45)), ("both", FEW)]
DEPTHS = [("ResNet-34", 21.3e6, found(36)), ("plain", 21.3e6, found(24)), ("ResNet-18", 11.2e6, found(48))]
SHARES = {"own scans": [0.8, 0.5, 0.04], "same scans": [0.6, 0.3, 0.01]}
TIMES = [("CNN3D", "quick", 0.9), ("CNN3D", "full", 1900), ("RowNet", "quick", 0.6), ("RowNet", "class", 7)]
CHARTS = {
    "ranking": lambda origin="": cc.ranking(PRICES, origin),
    "seeds": lambda origin="": cc.seeds(RUNS, origin),
    "variants": lambda origin="": cc.variants("Views", ROWS, (0.875, "7 of 8 scans"), origin),
    "against": lambda origin="": cc.against("Depths", "parameters", DEPTHS, origin),
    "apart": lambda: cc.apart([15, 60, 480], SHARES),
    "minutes": lambda: cc.minutes(TIMES),
}
every_chart = pytest.mark.parametrize("draw", CHARTS.values(), ids=CHARTS)


def bundle(chart):
    data, _ = chart._repr_mimebundle_()
    return data[PLOTLY]


def as_json(chart):
    return json.dumps(bundle(chart), allow_nan=False)


def marks(chart):
    """All marks as (x, y, shape, colour, words), without those that stand in the key alone."""
    spots = []
    for trace in bundle(chart)["data"]:
        if "marker" in trace:
            look = trace["marker"]
            rows = zip(trace["x"], trace["y"], look["symbol"], look["color"], trace["text"], strict=False)
            spots += [row for row in rows if row[0] is not None]
    return spots


def bars(chart):
    return [trace for trace in bundle(chart)["data"] if trace["mode"] == "lines"]


def words(chart):
    return [note["text"] for note in bundle(chart)["layout"]["annotations"]]


def row_names(chart):
    return [re.split("<br>", text)[0] for text in bundle(chart)["layout"]["yaxis"]["ticktext"]]


def figures(chart):
    """What stands behind each row, from top to bottom."""
    notes = [note for note in bundle(chart)["layout"]["annotations"] if note.get("yref") == "y" and note["x"] == 1]
    return [note["text"] for note in sorted(notes, key=lambda note: note["y"])]


@every_chart
def test_the_same_results_give_the_same_bytes_whole_and_short(draw):
    text = as_json(draw())
    assert text == as_json(draw())
    assert max(len(digits) for digits in re.findall(r"\.(\d+)", text)) <= 6, "an unrounded figure"
    assert "bdata" not in text
    assert "colorway" not in text
    assert len(text) < 10_000


@every_chart
def test_every_chart_has_a_title_named_axes_and_a_sentence(draw):
    chart = draw()
    layout = bundle(chart)["layout"]
    assert layout["title"]["text"]
    assert layout["xaxis"]["title"]["text"]
    assert layout["meta"]["alt"] == chart.alt
    assert chart.alt.endswith(".")
    assert "\n" not in chart.alt
    assert "sendChartToCloud" in layout["modebar"]["remove"]


@pytest.mark.parametrize("draw", [CHARTS[name] for name in ("ranking", "seeds", "variants", "against")])
def test_charts_of_results_say_whether_they_show_phantoms(draw):
    for origin in ("phantom", "real"):
        chart = draw(origin)
        assert chart.alt.endswith(f"({origin} data).")
        assert any(text.startswith(f"{origin} data") for text in words(chart))


@pytest.mark.parametrize(
    "chart",
    [
        lambda: cc.ranking([]),
        lambda: cc.seeds({}),
        lambda: cc.variants("Views", [], (0.5, "there")),
        lambda: cc.against("Depths", "parameters", []),
        lambda: cc.minutes([]),
    ],
)
def test_without_records_the_notebook_goes_on_and_is_told_the_command(chart):
    chart = chart()
    assert "make study" in chart.alt
    assert any("make study" in text for text in words(chart))
    assert as_json(chart)


def test_mistakes_are_ranked_from_those_that_flatter_to_those_that_harm():
    chart = cc.ranking(PRICES)
    ranked = ["validates on training scans", "a &lt; b &amp; c", "drops tall scans", "lacks a ReLU"]
    assert row_names(chart) == [*ranked, 'reads "-1" as a mask']
    assert bundle(chart)["layout"]["yaxis"]["range"] == [4.6, -0.6], "the first row is on top"
    shown = ["<b>+22.0</b> (21.0 to 23.0)", "<b>+3.0</b> (3.0 to 3.0)", "<b>0.0</b> (-1.0 to 1.0)"]
    assert figures(chart) == [*shown, "<b>-6.0</b> (-7.0 to -5.0)", "<b>-31.0</b> (2 seeds)"]


def test_their_order_does_not_change_a_byte():
    mixed = random.Random(3).sample(PRICES, len(PRICES))
    assert mixed != PRICES
    assert as_json(cc.ranking(mixed)) == as_json(cc.ranking(PRICES))


def test_each_seed_is_a_dot_of_its_own_and_means_have_their_interval():
    chart = cc.ranking(PRICES)
    spots = marks(chart)
    dots = [spot for spot in spots if spot[4].startswith("seed ")]
    assert sorted(x for x, *_ in dots) == sorted(points for price in PRICES for points in price.differences)
    assert len({spot[:2] for spot in dots}) == len(dots), "one dot hides another"
    assert all(abs(y - round(y)) < 0.3 for _, y, *_ in dots), "a dot lies nearer to another row"
    means = {y: x for x, y, *_, text in spots if not text.startswith("seed ")}
    assert means == {0: 22.0, 1: 3.0, 2: 0.0, 3: -6.0}, "two seeds have no mean"
    first, *others = bars(chart)
    assert (first["x"], first["y"]) == ([21.0, 23.0], [0.0, 0.0])
    assert len(others) == 3


def test_trained_and_judged_are_told_apart_by_shape_and_word():
    chart = cc.ranking(PRICES)
    remarks = bundle(chart)["layout"]["yaxis"]["ticktext"]
    for _, y, shape, *_ in marks(chart):
        how = {"circle": "trained", "diamond": "judged"}[shape]
        assert how in remarks[round(y)]
    assert {shape for _, _, shape, *_ in marks(chart)} == {"circle", "diamond"}
    key = {trace["name"]: trace["marker"]["symbol"] for trace in bundle(chart)["data"] if trace["showlegend"]}
    assert key["trained with the mistake"] == ["circle"]
    assert key["same answers, judged with it"] == ["diamond"]


def test_only_what_can_be_told_from_zero_is_coloured():
    colours = {round(y): colour for _, y, _, colour, _ in marks(cc.ranking(PRICES))}
    assert colours == {0: VERMILION, 1: VERMILION, 2: GREY, 3: BLUE, 4: GREY}
    bold = price("bold", [5.0], verdict="flatters by 5 points")
    assert {colour for *_, colour, _ in marks(cc.ranking([bold]))} == {GREY}, "one seed shows nothing"


def test_the_sentence_counts_what_flatters_harms_and_neither():
    assert cc.ranking(PRICES).alt == (
        "Of 5 mistakes, 2 flatter the result, most of all: validates on training scans (+22.0 points); 1 harms it, "
        "most of all: lacks a ReLU (-6.0 points); 2 without a measurable effect or with too few seeds."
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.floats(-100, 100), min_size=1, max_size=5), min_size=1, max_size=20))
def test_all_that_is_drawn_lies_on_the_axis_beside_its_zero(table):
    chart = cc.ranking([price(f"mistake {number}", row) for number, row in enumerate(table)])
    low, high = bundle(chart)["layout"]["xaxis"]["range"]
    assert low < 0 < high
    ends = [x for x, *_ in marks(chart)] + [x for bar in bars(chart) for x in bar["x"]]
    assert all(low <= x <= high for x in ends)
    shown = [float(re.search("<b>(.*)</b>", text)[1]) for text in figures(chart)]
    assert len(shown) == len(table)
    assert shown == sorted(shown, reverse=True)


def test_a_ranking_is_as_high_as_its_rows_need():
    many = [price(f"mistake {number}", [1.0, 2.0, 3.0]) for number in range(16)]
    layout = bundle(cc.ranking(many))["layout"]
    drawn = layout["height"] - layout["margin"]["t"] - layout["margin"]["b"]
    assert drawn / 16 >= 36, "two lines of letters a row"
    assert bundle(cc.ranking(many[:2]))["layout"]["height"] < layout["height"]


def test_seeds_are_drawn_beside_their_rule_and_those_without_a_value_left_out():
    chart = cc.seeds(RUNS)
    shapes = {shape: [(x, y) for x, y, drawn, *_ in marks(chart) if drawn == shape] for shape in ("circle", "x-thin")}
    assert [x for x, y in shapes["circle"] if round(y) == 0] == pytest.approx([47 / 60, 0.85, 0.85], abs=1e-4)
    assert len(set(shapes["circle"])) == 4, "equal results hide each other"
    assert shapes["x-thin"] == [(0.5, 0), (0.3, 1)], "equal rules are one mark"
    assert figures(chart) == ["<b>0.83</b> (0.78 to 0.85)", "<b>0.51</b> (0.51 to 0.51)"]
    assert "xray, accuracy 0.51 to 0.51 with 1 seed, always-majority 0.30" in chart.alt
    assert "too few cases" in cc.seeds({"l3": {1: FEW}}).alt


def test_variants_keep_their_order_with_intervals_and_the_published_figure():
    chart = cc.variants("Views", ROWS, (0.875, "7 of 8 scans"))
    assert row_names(chart) == ["frontal", "sagittal", "both"]
    assert figures(chart) == ["<b>0.50</b> (0.38 to 0.62)", "<b>0.75</b> (0.63 to 0.84)", "too few cases"]
    assert [bar["x"] for bar in bars(chart)] == [pytest.approx(wilson(hits, 60), abs=1e-4) for hits in (30, 45)]
    (line,) = bundle(chart)["layout"]["shapes"]
    assert (line["x0"], line["x1"], line["y0"], line["y1"]) == (0.875, 0.875, 0, 1)
    assert any("7 of 8 scans" in text for text in words(chart))
    assert "of 2 results sagittal 0.75 (0.63 to 0.84) is the highest and frontal 0.50 (0.38 to 0.62) the" in chart.alt
    assert not bundle(cc.variants("Views", ROWS))["layout"].get("shapes")
    assert "too few cases" in cc.variants("Views", ROWS[2:]).alt


def test_results_stand_over_their_cost_and_equal_costs_beside_each_other():
    chart = cc.against("Depths", "parameters", DEPTHS)
    places = {text.split(",")[0]: x for x, _, shape, _, text in marks(chart) if shape == "circle"}
    assert list(places) == ["ResNet-18", "ResNet-34", "plain"]
    assert places["ResNet-18"] == pytest.approx(11.2e6)
    assert places["ResNet-34"] == pytest.approx(21.3e6)
    assert 1.01 < places["plain"] / places["ResNet-34"] < 1.05
    assert any("plain, 21.3 M" in text for *_, text in marks(chart)), "the true cost, not the place"
    assert bundle(chart)["layout"]["xaxis"]["type"] == "log"
    assert {"10 M", "20 M"} <= set(bundle(chart)["layout"]["xaxis"]["ticktext"])


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(7, 8), st.integers(0, 60)), min_size=1, max_size=8, unique_by=lambda row: row[0]))
def test_a_name_never_lies_on_an_interval(rows):
    spots = [(f"R{number}", x, *wilson(hits, 60), BLUE) for number, (x, hits) in enumerate(sorted(rows))]
    written = chart_parts.names(spots, 1.24)
    half = chart_parts.LETTER / 2 * 1.24 * 2
    for number, name in enumerate(written):
        shift = {"left": half, "right": -half, "center": 0}[name["xanchor"]]
        for _, x, low, high, _ in spots:
            if abs(x - (name["x"] + shift)) < half - 1e-4:
                assert name["y"] <= low + 1e-4 if number % 2 else name["y"] >= high - 1e-4


def test_shares_are_drawn_by_the_number_of_scans_and_that_of_the_class_is_written():
    chart = cc.apart([15, 60, 480], SHARES)
    own, same = bundle(chart)["data"]
    assert (own["x"], own["y"]) == ([15, 60, 480], [80, 50, 4])
    assert same["y"] == [60, 30, 1]
    assert own["line"]["dash"] != same["line"]["dash"]
    assert own["marker"]["symbol"] != same["marker"]["symbol"]
    assert {"<b>50 %</b> with 60 scans", "<b>30 %</b> with 60 scans"} <= set(words(chart))
    assert "3 points" in bundle(cc.apart([60], {"own": [0.5]}, gap=0.03))["layout"]["title"]["text"]


def test_times_are_written_in_words_at_their_place():
    chart = cc.minutes(TIMES)
    assert row_names(chart) == ["CNN3D", "RowNet"]
    shown = [(x, y, shape) for x, y, shape, *_ in marks(chart)]
    assert shown == [(0.9, 0, "circle"), (0.6, 1, "circle"), (1900, 0, "diamond"), (7, 1, "square")]
    assert {"54 s", "32 h", "36 s", "7 min"} <= set(words(chart))
    assert chart.alt.endswith("CNN3D, quick 54 s, full 32 h; RowNet, quick 36 s, class 7 min.")
    assert {"1 min", "10 h"} <= set(bundle(chart)["layout"]["xaxis"]["ticktext"])


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: cc.variants("Views", [("a", found(3)), ("b", found(3, name="ROC AUC"))]), "one metric, but found acc"),
        (lambda: cc.against("Depths", "parameters", [("a", 0, found(3))]), "must be positive, but found .*'a', 0"),
        (lambda: cc.apart([15, 30], {"own": [0.5, 0.4]}), "60 must be among"),
        (lambda: cc.apart([60], {"own": [0.5, 0.4]}), "a share for each"),
        (lambda: cc.apart([60], {name: [0.5] for name in "abcd"}), "one to three lines"),
        (lambda: cc.minutes([("CNN3D", "huge", 1)]), "sizes are quick, class, full"),
        (lambda: cc.minutes([("CNN3D", "full", 0)]), "times positive"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(draw, sentence):
    with pytest.raises(ValueError, match=sentence):
        draw()


@settings(deadline=None)
@given(st.floats(-100, 100), st.sampled_from([-1, 1]))
def test_an_error_in_the_last_bits_changes_no_figure(value, sign):
    halves = round(value * 2) / 2 * 0.1  # halves of a tenth are where rounding may tip over
    assert chart_parts.rounded(halves + sign * 1e-13, 1) == chart_parts.rounded(halves, 1)
    assert chart_parts.signed(halves + sign * 1e-13) == chart_parts.signed(halves)


def test_it_fits_the_picture_that_stands_beside_charts():
    """`charts` are drawn 800 pixels wide; at that width names of 38 letters have room before their row."""
    assert 70 + chart_parts.LABELS * (800 - 90) > 38 * 7.6
    assert bundle(CHARTS["against"]())["layout"]["height"] == charts.HEIGHT
