"""What charts of results are drawn from: marks, intervals, axes, and rows with names and figures beside them.

Used by notebook 05 through `helpers.comparison_charts`. Figures are rounded, so that equal results give equal bytes.
"""

import html
import math
from collections.abc import Iterable, Mapping, Sequence

from helpers.charts import HEIGHT, PAPER, Chart
from helpers.pictures import GREY

BLACK, PALE = "#222222", "#e2e2e2"
TOP, BOTTOM, ROW = 106, 90, 38  # pixels: above the drawing, below it, and a row
LABELS, FIGURES = 0.33, 0.8  # where the drawing of rows begins and ends: names stand before it, figures behind it
LETTER = 0.011  # how wide a letter is, of a chart of 800 pixels
CENTRE = {"xanchor": "center", "yanchor": "bottom", "showarrow": False}
THIN = {"x-thin", "line-ns"}  # shapes that are all rim
TIMES = ((1440, 2880, " days"), (60, 60, " h"), (1, 1, " min"), (1 / 60, 0, " s"))  # a unit, and from how much on
UNITS = ((1e9, " G"), (1e6, " M"), (1e3, " k"), (1, ""))
NOTHING = "nothing is recorded yet: run make study"


def page(data: list[dict], layout: dict, kind: str, alt: str, origin: str = "", note: str = "") -> Chart:
    """Make a chart with its key below the title; where there is nothing to draw, the chart says so.

    Args:
        data: The traces.
        layout: Of the figure: title, axes, and whatever else it needs.
        kind: What it is, in words that never change.
        alt: The text alternative, without a full stop; empty where there is nothing to draw.
        origin: "phantom" or "real", written below.
        note: More words below.

    Example:
        >>> page([], {"title": "Depths"}, "depths", "").alt
        'Depths: nothing is recorded yet: run make study.'

    Used by notebook 05.
    """
    height = layout.setdefault("height", HEIGHT)
    under = {"y": rounded(1 - 42 / height), "yref": "container", "yanchor": "top"}
    key = {"orientation": "h", "x": 0.01, "xref": "container", "itemclick": False, "itemdoubleclick": False}
    layout |= {"legend": key | under, "margin": {"l": 70, "r": 20, "t": TOP, "b": BOTTOM}}
    if not alt:
        alt, data = f"{layout['title']}: {NOTHING}", []
        layout |= {"xaxis": {"visible": False}, "yaxis": {"visible": False}, "shapes": []}
        layout["annotations"] = [PAPER | {"x": 0, "y": 0.5, "text": NOTHING}]
    chart = Chart(data, layout, kind, alt, origin, note)
    chart.figure.update_layout(title={"y": rounded(1 - 14 / height), "yref": "container", "yanchor": "top"})
    return chart


def rows(
    lines: Sequence[tuple[str, str, str]],
    heading: str,
    data: list[dict],
    layout: dict,
    kind: str,
    alt: str,
    origin: str = "",
    note: str = "",
) -> Chart:
    """Make a chart of rows, the first one on top; a mark of row 2 has y = 2. It is as high as its rows need.

    Args:
        lines: A row's name, a remark below the name, and its figures, which may hold tags such as <b>.
        heading: Above the figures; empty where there are none.
        data, layout, kind, alt, origin, note: As of `page`.

    Example:
        >>> layout = {"title": "Depths", "xaxis": axis("accuracy", [0, 1])}
        >>> chart = rows([("ResNet-18", "36 of 70", "0.51")], "value", [], layout, "depths", "accuracy by depth")
        >>> chart.figure.layout.yaxis.ticktext[0][:9]
        'ResNet-18'

    Used by notebook 05.
    """
    names = [html.escape(name, quote=False) for name, *_ in lines]
    small = f'<br><span style="font-size:11px;color:{GREY}">%s</span>'
    remarks = [small % html.escape(remark, quote=False) if remark else "" for _, remark, _ in lines]
    behind = PAPER | {"x": 1, "xanchor": "right", "yref": "y", "font": {"size": 12}}
    figures = [behind | {"y": place, "text": text} for place, (*_, text) in enumerate(lines) if text]
    ticks = {
        "tickvals": list(range(len(lines))),
        "ticktext": [name + remark for name, remark in zip(names, remarks, strict=True)],
    }
    layout["xaxis"]["domain"] = [LABELS, FIGURES if heading else 1]
    layout["yaxis"] = axis("", [len(lines) - 0.4, -0.6]) | ticks | {"showline": False}
    layout["height"] = TOP + BOTTOM + ROW * max(4, len(lines))
    above = [over(heading, 1, "right") | {"xref": "paper"}] if heading else []
    layout["annotations"] = [*layout.get("annotations", ()), *above, *figures]
    return page(data, layout, kind, alt, origin, note)


def marks(points: Sequence[tuple], size: int, name: str = "") -> dict:
    """Draw marks.

    Args:
        points: Of each mark x, y, shape, colour, and the words that appear when the mouse is over it.
        size: Pixels.
        name: In the key; nameless marks are not in it.

    Example:
        >>> marks([(0.5, 0, "circle", "black", "half")], 9)["x"]
        [0.5]

    Used by notebook 05.
    """
    x, y, shapes, colours, words = ([point[part] for point in points] for part in range(5))
    rim = {"color": colours, "width": 2} if THIN & set(shapes) else {"color": "white", "width": 1}
    marker = {"symbol": shapes, "color": colours, "size": size, "line": rim}
    look = {"mode": "markers", "marker": marker, "text": words, "hovertemplate": "%{text}<extra></extra>"}
    look |= {"name": html.escape(name, quote=False), "showlegend": bool(name), "cliponaxis": False}
    return {"type": "scatter", "x": [rounded(value) for value in x], "y": [rounded(value) for value in y]} | look


def interval(low: float, high: float, at: float, colour: str, upright: bool = False) -> dict:
    """Draw an interval as a thick line, across or upright.

    Example:
        >>> interval(0.25, 0.75, 2, "black")["x"]
        [0.25, 0.75]

    Used by notebook 05.
    """
    ends, still = [rounded(low), rounded(high)], [rounded(at)] * 2
    x, y = (still, ends) if upright else (ends, still)
    look = {"mode": "lines", "line": {"color": colour, "width": 3}, "hoverinfo": "skip", "showlegend": False}
    return {"type": "scatter", "x": x, "y": y, "cliponaxis": False} | look


def axis(title: str, span: Sequence[float]) -> dict:
    """Draw an axis from end to end.

    Example:
        >>> axis("accuracy", [0, 1])["range"]
        [0.0, 1.0]

    Used by notebook 05.
    """
    words = {"text": html.escape(title, quote=False), "font": {"size": 13}, "standoff": 12}
    line = {"showline": True, "linecolor": GREY, "gridcolor": PALE, "zeroline": False, "fixedrange": True}
    return {"title": words, "range": [rounded(end) for end in span]} | line


def log_axis(title: str, ticks: Mapping[float, str], values: Sequence[float], room: float) -> dict:
    """Draw a logarithmic axis around some values.

    Args:
        title: What it shows.
        ticks: Words for values; those that lie outside are left out.
        values: What must have its place on it.
        room: How much more at each end, in powers of ten.

    Example:
        >>> log_axis("minutes", {1: "1 min", 60: "1 h", 600: "10 h"}, [2, 90], room=0.1)["ticktext"]
        ['1 h']

    Used by notebook 05.
    """
    low, high = math.log10(min(values)) - room, math.log10(max(values)) + room
    kept = {value: text for value, text in ticks.items() if low <= math.log10(value) <= high}
    scale = {"type": "log", "tickvals": [rounded(value, 6) for value in kept], "ticktext": list(kept.values())}
    return axis(f"{title} (logarithmic)", [low, high]) | scale


def names(spots: Sequence[tuple], whole: float) -> list[dict]:
    """Write names above and below upright intervals by turns, away from neighbours that are near.

    Args:
        spots: Of each, from left to right: name, place (a power of ten), lower and upper end, and colour.
        whole: The width of the axis in powers of ten.

    Example:
        >>> written = names([("18", 7.05, 0.4, 0.6, "black"), ("34", 7.33, 0.5, 0.7, "black")], whole=1)
        >>> [(name["text"], name["yanchor"], name["y"]) for name in written]
        [('18', 'bottom', 0.6), ('34', 'top', 0.5)]

    Used by notebook 05.
    """
    written = []
    for number, (name, here, *_, colour) in enumerate(spots):
        half = LETTER / 2 * whole * len(name)
        left = number > 0 and here - spots[number - 1][1] < half
        right = number + 1 < len(spots) and spots[number + 1][1] - here < half
        side, before = {(True, False): ("left", 0), (False, True): ("right", 2)}.get((left, right), ("center", 1))
        near = [spot for spot in spots if -before * half <= spot[1] - here <= (2 - before) * half]
        above, below = max(spot[3] for spot in near), min(spot[2] for spot in near)
        level = {"y": rounded(below), "yanchor": "top"} if number % 2 else {"y": rounded(above)}
        words = {"text": html.escape(name, quote=False), "font": {"color": colour}}
        written.append(CENTRE | {"x": rounded(here), "xanchor": side} | level | words)
    return written


def over(text: str, x: float, side: str, colour: str = BLACK) -> dict:
    """Write words above the drawing, with one side, or their centre, at x.

    Example:
        >>> over("published 0.88", 0.875, "center")["x"]
        0.875

    Used by notebook 05.
    """
    place = CENTRE | {"x": rounded(x), "xanchor": side, "y": 1, "yref": "paper", "yshift": 4}
    return place | {"text": text, "font": {"size": 12, "color": colour}}


def rule(along: str, value: float, colour: str) -> dict:
    """Draw a dotted line through the whole drawing, at a value of the axis "x" or "y".

    Example:
        >>> line = rule("x", 0.875, "black")
        >>> line["x0"], line["x1"], line["y0"], line["y1"]
        (0.875, 0.875, 0, 1)

    Used by notebook 05.
    """
    other = {"x": "y", "y": "x"}[along]
    ends = {f"{along}0": rounded(value), f"{along}1": rounded(value), f"{other}0": 0, f"{other}1": 1}
    return {
        "type": "line",
        "line": {"color": colour, "width": 2, "dash": "dot"},
        "layer": "below",
        f"{other}ref": "paper",
    } | ends


def tenths(values: Iterable[float]) -> list[float]:
    """The span from tenth to tenth around figures between 0 and 1, and a little more.

    Example:
        >>> [round(end, 2) for end in tenths([0.31, 0.66])]
        [0.28, 0.72]

    Used by notebook 05.
    """
    values = [rounded(value) for value in values] or [0.0, 1.0]
    return [math.floor(10 * min(values)) / 10 - 0.02, math.ceil(10 * max(values)) / 10 + 0.02]


def heights(place: int, count: int) -> list[float]:
    """A height in its row for each of several seeds: on one and the same, equal results would hide each other.

    Example:
        >>> heights(2, 3)
        [1.75, 2.0, 2.25]

    Used by notebook 05.
    """
    return [place + (0.5 * number / (count - 1) - 0.25 if count > 1 else 0) for number in range(count)]


def rounded(value: float | None, digits: int = 4) -> float | None:
    """Round a figure, so that an error in its last bit changes no byte; None stays None, and there is no -0.0.

    Example:
        >>> rounded(-0.00001), rounded(0.125, 2), rounded(0.125 + 1e-12, 2)
        (0.0, 0.12, 0.12)

    Used by notebook 05.
    """
    # First to more digits: a half, and a half with such an error, then go the same way.
    return None if value is None else round(round(float(value), digits + 5), digits) + 0.0


def signed(points: float) -> str:
    """Print a difference in points.

    Example:
        >>> signed(3.25), signed(-0.04)
        ('+3.2', '0.0')

    Used by notebook 05.
    """
    return f"{rounded(points, 1):+.1f}" if rounded(points, 1) else "0.0"


def short(number: float) -> str:
    """Print three digits of a number.

    Example:
        >>> short(11_181_642), short(999_999), short(0.25)
        ('11.2 M', '1 M', '0.25')

    Used by notebook 05.
    """
    unit, name = next((row for row in UNITS if number >= 0.9995 * row[0]), UNITS[-1])
    return f"{number / unit:.3g}{name}"


def duration(minutes: float) -> str:
    """Print minutes in the unit that suits them.

    Example:
        >>> duration(0.5), duration(9.97), duration(90), duration(2880)
        ('30 s', '10 min', '1.5 h', '2 days')

    Used by notebook 05.
    """
    unit, _, name = next(row for row in TIMES if minutes >= row[1])
    return f"{minutes / unit:.{0 if minutes / unit >= 9.95 else 1}f}".removesuffix(".0") + name
