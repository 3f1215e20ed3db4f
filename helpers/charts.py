"""Charts of what is in a data set, to be hovered over: cases per class, ages, sexes.

Used by notebooks 03 and 04. They hold counts only, never a row a patient, and the same table gives the same bytes in
whatever order its rows come. Charts of results are in `comparison_charts`.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from helpers.estimates import plural
from helpers.pictures import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION

HEIGHT = 500  # pixels, as high as the picture that stands beside a chart in a committed notebook
PAPER = {"xref": "paper", "yref": "paper", "showarrow": False}
FONT = {"family": "DejaVu Sans, Verdana, Arial, sans-serif", "size": 13, "color": "#222222"}
# A key of the table, its name, its colour, and a colour for letters that is legible on it.
GROUPS = ((False, "no pneumothorax", BLUE, "white"), (True, "pneumothorax", VERMILION, "black"))
SEXES = {"F": "female", "M": "male"}
DECADE, OLDEST = 10, 120  # years; some headers say 148 or 413


class Chart:
    """A plotly figure that any notebook shows, with words beside it for those who cannot see it.

    Attributes:
        figure: The plotly figure.
        kind: What it is, in two or three words that never change between runs.
        alt: The text alternative, one sentence.

    Example:
        >>> classes({"normal": {"training": 8, "test": 2}}, origin="phantom")
        Chart(cases per class)

    Used by notebooks 03 and 04.
    """

    def __init__(self, data: list[dict], layout: dict, kind: str, alt: str, origin: str = "", note: str = ""):
        self.kind = kind
        self.alt = f"{alt[:1].upper()}{alt[1:]}" + (f" ({origin} data)." if origin else ".")
        footer = ", ".join(filter(None, [origin and f"{origin} data", note]))
        below = {"text": footer, "x": 0, "y": 0, "xshift": -62, "yshift": -66, "xanchor": "left", "yanchor": "top"}
        look = {
            "template": {},  # plotly's own is twenty times as long as the figures
            "height": HEIGHT,
            "margin": {"l": 70, "r": 20, "t": 80, "b": 90},
            "font": FONT,
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
            # plotly offers by itself to upload a chart to its makers' servers.
            "modebar": {"remove": ["sendChartToCloud", "select2d", "lasso2d"]},
            "dragmode": False,
            "separators": ".",
            "meta": {"alt": self.alt},
            "annotations": [*layout.pop("annotations", ()), PAPER | below | {"font": {"size": 11, "color": GREY}}],
        }
        title = {"text": layout.pop("title"), "x": 0.01, "xanchor": "left", "font": {"size": 16}}
        self.figure = go.Figure({"data": data, "layout": look | layout | {"title": title}})

    def __repr__(self) -> str:
        return f"Chart({self.kind})"

    def _repr_mimebundle_(self, **_) -> tuple[dict, dict]:
        data = {"application/vnd.plotly.v1+json": self.figure.to_plotly_json(), "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt}}  # of the picture that `make outputs` puts beside it


def cases(table: pd.DataFrame, origin: str = "") -> Chart:
    """Draw how many images show a pneumothorax, and in how many pieces it was outlined.

    Args:
        table: One row an image, with ``has_pneumothorax`` (bool) and ``masks`` (how many the CSV holds for it).
        origin: "phantom" or "real", written below.

    Raises:
        ValueError: If the table is empty or lacks a column.

    Example:
        >>> table = pd.DataFrame({"has_pneumothorax": [False, False, True], "masks": [0, 0, 2]})
        >>> cases(table).alt
        'Images per class: 2 no pneumothorax (67 %), 1 pneumothorax (33 %); masks per positive image: 2 in 1.'

    Taught in notebook 03.
    """
    positive = _positive(table)
    counts = [int((positive == key).sum()) for key, *_ in GROUPS]
    pieces = np.bincount(_column(table, "masks")[positive], minlength=2)[1:].tolist()
    names, colours = [name for _, name, *_ in GROUPS], [colour for _, _, colour, _ in GROUPS]
    shares = [_percent(count, len(table)) for count in counts]
    numbers = [str(number) for number in range(1, len(pieces) + 1)]
    # Room for the figures above the bars.
    left, right = ([0, round(1.12 * max(1, *values), 1)] for values in (counts, [*pieces, 0]))
    data = [
        _bars(names, counts, [f"{n} ({share})" for n, share in zip(counts, shares, strict=True)], colours),
        _bars(numbers, pieces, [str(n) for n in pieces], VERMILION) | {"xaxis": "x2", "yaxis": "y2"},
    ]
    layout = {
        "title": "Images with and without pneumothorax",
        "showlegend": False,
        "annotations": [_heading("images per class", 0), _heading("masks per positive image", 0.56)],
        "xaxis": _axis("", domain=[0, 0.44], type="category"),
        "yaxis": _axis("images", range=left),
        "xaxis2": _axis("masks", domain=[0.56, 1], type="category", anchor="y2"),
        "yaxis2": _axis("", range=right, anchor="x2"),
    }
    said = ", ".join(f"{n} {name} ({share})" for n, name, share in zip(counts, names, shares, strict=True))
    each = ", ".join(f"{number} in {n}" for number, n in zip(numbers, pieces, strict=True) if n) or "none"
    alt = f"images per class: {said}; masks per positive image: {each}"
    return Chart(data, layout, "cases per class", alt, origin)


def ages(table: pd.DataFrame, origin: str = "") -> Chart:
    """Draw the ages of patients without and with pneumothorax, in shares on one scale, with counts above the bars.

    Args:
        table: One row an image, with ``has_pneumothorax`` (bool) and ``age`` in years, NaN where it is not known.
        origin: "phantom" or "real", written below.

    Raises:
        ValueError: If the table is empty or lacks a column.

    Example:
        >>> ages(pd.DataFrame({"has_pneumothorax": [False, True], "age": [31.0, np.nan]})).alt
        'Ages in decades: no pneumothorax, most often 30-39; pneumothorax, no age known.'

    Taught in notebook 03.
    """
    positive, age = _positive(table), _column(table, "age").astype(float)
    known = (age >= 0) & (age <= OLDEST)
    edges = np.arange(0, max(age[known].max() if known.any() else 0, DECADE) + DECADE + 1, DECADE)
    names = [f"{low:.0f}-{low + DECADE - 1:.0f}" for low in edges[:-1]]
    data, said, headings, highest = [], [], [], 0.0
    for number, (key, name, colour, _) in enumerate(GROUPS):
        counts = np.histogram(age[known & (positive == key)], edges)[0]
        shares = (100 * counts / max(1, counts.sum())).round(1)
        highest = max(highest, shares.max())
        said.append(f"{name}, {f'most often {names[counts.argmax()]}' if counts.any() else 'no age known'}")
        bars = _bars(names, shares.tolist(), [str(n) if n else "" for n in counts.tolist()], colour)
        hover = {"hovertemplate": "%{x} years: %{text} images, %{y} %<extra></extra>", "name": name}
        data.append(bars | hover | {"yaxis": ("y", "y2")[number]})
        headings.append(_heading(f"{name}, {plural(int(counts.sum()), 'image')}", 0, (1, 0.46)[number]))
    upright = _axis("share, %", range=[0, max(1.0, round(1.2 * float(highest), 1))])
    layout = {
        "title": "Age of the patient",
        "showlegend": False,
        "bargap": 0.1,
        "annotations": headings,
        "xaxis": _axis("age in years", type="category", anchor="y2"),
        "yaxis": upright | {"domain": [0.57, 1]},
        "yaxis2": upright | {"domain": [0, 0.43]},
    }
    left = len(table) - int(known.sum())
    note = "counts above the bars" + (f"; {plural(left, 'image')} without a usable age left out" if left else "")
    return Chart(data, layout, "ages", f"ages in decades: {'; '.join(said)}", origin, note)


def sexes(table: pd.DataFrame, origin: str = "") -> Chart:
    """Draw the images of each sex as a bar, with pneumothorax stacked on those without.

    Args:
        table: One row an image, with ``has_pneumothorax`` (bool) and ``sex`` ("F", "M" or None).
        origin: "phantom" or "real", written below.

    Raises:
        ValueError: If the table is empty or lacks a column.

    Example:
        >>> sexes(pd.DataFrame({"has_pneumothorax": [False, True, True], "sex": ["F", "F", "M"]})).alt
        'Images by sex: female 2, of which 1 (50 %) with pneumothorax; male 1, of which 1 (100 %) with pneumothorax.'

    Taught in notebook 03.
    """
    counts = _by_sex(table)
    data = []
    for place, (_, name, colour, letters) in enumerate(GROUPS):
        values = [pair[place] for pair in counts.values()]
        shares = [f"{n} ({_percent(n, sum(pair))})" for n, pair in zip(values, counts.values(), strict=True)]
        bars = _bars([f"{sex}, {sum(pair)}" for sex, pair in counts.items()], values, shares, colour)
        inside = {"textposition": "inside", "insidetextanchor": "middle", "textfont": {"color": letters}}
        data.append(bars | inside | {"name": name, "textangle": 0})
    layout = {
        "title": "Images by sex",
        "barmode": "stack",
        "uniformtext": {"minsize": 10, "mode": "hide"},
        "bargap": 0.4,
        "legend": {"traceorder": "reversed"},
        "xaxis": _axis("sex of the patient, images", type="category"),
        "yaxis": _axis("images"),
    }
    return Chart(data, layout, "sexes", f"images by sex: {_said(counts)}", origin)


def donuts(table: pd.DataFrame, origin: str = "") -> Chart:
    """Draw the share of images with pneumothorax as a ring for each sex.

    Arguments and errors are those of `sexes`.

    Example:
        >>> donuts(pd.DataFrame({"has_pneumothorax": [False, True], "sex": ["F", "F"]})).alt
        'Share with pneumothorax by sex: female 2, of which 1 (50 %) with pneumothorax.'

    Taught in notebook 03.
    """
    counts = _by_sex(table)
    wide, data, annotations = 1 / len(counts), [], []
    for place, (sex, pair) in enumerate(counts.items()):
        domain = [round((place + edge) * wide, 3) for edge in (0.05, 0.95)]
        data.append(
            {
                "type": "pie",
                "labels": [name for _, name, *_ in GROUPS],
                "values": pair,
                "domain": {"x": domain, "y": [0.03, 1]},
                "hole": 0.55,
                "sort": False,
                "direction": "clockwise",
                "text": [f"{count}<br>{_percent(count, sum(pair))}" for count in pair],
                "textinfo": "text",
                "textposition": "inside",
                "insidetextorientation": "horizontal",
                "hovertemplate": "%{label}: %{value} images<extra></extra>",
                "marker": {"colors": [colour for _, _, colour, _ in GROUPS], "line": {"color": "white", "width": 2}},
                "insidetextfont": {"color": [letters for *_, letters in GROUPS]},
            }
        )
        middle = {"x": sum(domain) / 2, "y": 0.5, "xanchor": "center", "yanchor": "middle"}
        annotations.append(PAPER | middle | {"text": f"<b>{sex}</b><br>{plural(sum(pair), 'image')}"})
    legend = {"orientation": "h", "x": 0.5, "xanchor": "center", "y": -0.02, "yanchor": "top"}
    layout = {"title": "Share of images with pneumothorax", "annotations": annotations, "legend": legend}
    return Chart(data, layout, "donuts", f"share with pneumothorax by sex: {_said(counts)}", origin)


def classes(counts: Mapping[str, Mapping[str, int]], origin: str = "") -> Chart:
    """Draw how many cases each class has in each set.

    Args:
        counts: Number of cases by class and, within a class, by set.
        origin: "phantom" or "real", written below.

    Raises:
        ValueError: If there is no class, or the classes do not name the same sets in the same order.

    Example:
        >>> classes({"normal": {"training": 8, "test": 2}, "covid": {"training": 6, "test": 2}}).alt
        'Cases per class: normal, 8 training, 2 test; covid, 6 training, 2 test.'

    Taught in notebook 04.
    """
    sets = list(next(iter(counts.values()), {}))
    if not sets or any(list(of_class) != sets for of_class in counts.values()):
        raise ValueError(f"each class needs a number for each set, but found {dict(counts)}")
    data = []
    for name, colour in zip(sets, [BLUE, ORANGE, GREEN, SKY, VERMILION, GREY][: len(sets)], strict=True):
        values = [int(of_class[name]) for of_class in counts.values()]
        data.append(_bars(list(counts), values, [str(n) for n in values], colour) | {"name": name})
    layout = {
        "title": "Cases per class and set",
        "barmode": "group",
        "legend": {"title": {"text": "set"}},
        "xaxis": _axis("class", type="category"),
        "yaxis": _axis("cases"),
    }
    said = [", ".join([name, *(f"{n} {part}" for part, n in of_class.items())]) for name, of_class in counts.items()]
    return Chart(data, layout, "cases per class", f"cases per class: {'; '.join(said)}", origin)


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    """A column of a table that holds something, or a sentence."""
    if name not in table or not len(table):
        raise ValueError(f"the table must have rows and a column {name!r}, but has {len(table)} and {list(table)}")
    return table[name]


def _positive(table: pd.DataFrame) -> pd.Series:
    """Which images show a pneumothorax; an image without a row in the CSV is not known, and would count as one."""
    positive = _column(table, "has_pneumothorax")
    if positive.dtype != bool:
        raise ValueError(f"has_pneumothorax must be bool, but is {positive.dtype}: drop the images without a row first")
    return positive


def _by_sex(table: pd.DataFrame) -> dict[str, list[int]]:
    """Images without and with pneumothorax by sex; sexes that no image has are left out."""
    positive, sex = _positive(table), _column(table, "sex")
    chosen = {name: sex.isin([key]) for key, name in SEXES.items()}
    chosen["not known"] = ~sex.isin(list(SEXES))
    counts = {
        name: [int((of_sex & (positive == group)).sum()) for group, *_ in GROUPS] for name, of_sex in chosen.items()
    }
    return {name: pair for name, pair in counts.items() if sum(pair)}


def _said(counts: Mapping[str, list[int]]) -> str:
    of_which = {sex: f"{pair[1]} ({_percent(pair[1], sum(pair))})" for sex, pair in counts.items()}
    return "; ".join(f"{sex} {sum(counts[sex])}, of which {part} with pneumothorax" for sex, part in of_which.items())


def _percent(count: int, whole: int) -> str:
    return f"{100 * count / max(1, whole):.0f} %"


def _bars(names: list[str], values: list[float], texts: list[str], colour: str | list[str]) -> dict:
    """Bars with words above them; lists, because plotly packs arrays into codes that no reader can check."""
    look = {"marker": {"color": colour}, "textposition": "outside", "cliponaxis": False}
    look["hovertemplate"] = "%{x}: %{text}<extra></extra>"
    return {"type": "bar", "x": names, "y": values, "text": texts} | look


def _heading(text: str, x: float, y: float = 1.0) -> dict:
    place = {"x": x, "y": y, "xanchor": "left", "yanchor": "bottom", "yshift": 4}
    return PAPER | place | {"text": text, "font": {"size": 14}}


def _axis(title: str, **more: object) -> dict:
    named = {"title": {"text": title, "font": {"size": 13}, "standoff": 12}}
    return named | {"showline": True, "linecolor": GREY, "fixedrange": True, "exponentformat": "none"} | more
