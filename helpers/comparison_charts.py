"""Charts of results side by side: what mistakes do, how far seeds scatter, which network and which width is better.

Used by notebook 05. Every figure is rounded before it is drawn, so that the same results give the same bytes.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

from helpers import chart_parts as parts
from helpers.chart_parts import BLACK, CENTRE, rounded, signed
from helpers.charts import Chart
from helpers.estimates import Estimate, figure, plural
from helpers.pictures import BLUE, GREEN, GREY, ORANGE, VERMILION

EFFECTS = {"flatters": VERMILION, "harms": BLUE}  # by the first word of a verdict; others are grey
SIDES = (("◀ harms ", "right", BLUE), (" flatters ▶", "left", VERMILION))
SIZES = {"quick": ("circle", BLUE), "class": ("square", ORANGE), "full": ("diamond", VERMILION)}
TICKS = {1 / 60: "1 s", 1 / 6: "10 s", 1: "1 min", 10: "10 min", 60: "1 h", 600: "10 h", 2880: "2 days"}
LINES = (("circle", BLUE, "solid"), ("square", VERMILION, "dash"), ("diamond", GREEN, "dashdot"))
RARE = 0.05  # how seldom a difference by chance may be


def ranking(prices: Sequence, origin: str = "") -> Chart:
    """Draw what each mistake does to the result: to the right of zero it flatters, to the left it harms.

    Args:
        prices: One `prices.Price` a mistake, in any order; differences are in points, one a seed.
        origin: "phantom" or "real", written below.

    Example:
        >>> from types import SimpleNamespace as Some
        >>> flaw = Some(name="tests eight scans", source="L", retrains=False)
        >>> price = Some(flaw=flaw, seeds=[0, 1, 2], differences=[4.0, 5.0, 6.0], mean=5.0, low=2.5, high=7.5)
        >>> price.verdict = "flatters by 5 points"
        >>> ranking([price]).alt
        'Of 1 mistake, 1 flatters the result, most of all: tests eight scans (+5.0 points).'

    Taught in notebook 05.
    """
    prices = sorted(prices, key=lambda price: (-rounded(price.mean, 1), price.flaw.name))
    dots, means, data, lines = [], [], [], []
    for place, price in enumerate(prices):
        name, colour = price.flaw.name, EFFECTS.get(_effect(price), GREY)
        shape, how = ("circle", "trained") if price.flaw.retrains else ("diamond", "judged")
        levels, ends = parts.heights(place, len(price.differences)), plural(len(price.differences), "seed")
        for seed, points, y in zip(price.seeds, price.differences, levels, strict=True):
            dots.append((points, y, shape, colour, f"seed {seed}: {signed(points)} points"))
        if price.low is not None:
            ends = f"{rounded(price.low, 1)} to {rounded(price.high, 1)}"
            data.append(parts.interval(price.low, price.high, place, colour))
            means.append((price.mean, place, shape, colour, f"{name}: {price.verdict}"))
        lines.append((name, f"{how} · {price.flaw.source}", f"<b>{signed(price.mean)}</b> ({ends})"))
    data += [parts.marks(dots, 6) | {"opacity": 0.6}, parts.marks(means, 12)]
    key = (("circle", 12, "trained with the mistake"), ("diamond", 12, "same answers, judged with it"))
    for shape, size, name in (*key, ("circle", 6, "small: one seed")):
        data.append(parts.marks([(None, None, shape, GREY, "")], size, name))
    ends = [end for price in prices for end in (price.low, price.high) if end is not None]
    reach = [0.0, *(points for points, *_ in dots), *ends]
    room = 0.05 * max(1.0, max(reach) - min(reach))
    axis = parts.axis("points that the mistake adds or takes", [min(reach) - room, max(reach) + room])
    layout = {
        "title": "What each mistake does to the result",
        "xaxis": axis | {"zeroline": True, "zerolinecolor": BLACK, "zerolinewidth": 2},
        "annotations": [parts.over(f"<b>{text}</b>", 0, side, colour) for text, side, colour in SIDES],
    }
    note = "letter: tutorial; line: 95 % interval of the mean; grey: no measurable effect, or too few seeds"
    heading = "points (95 % interval)"
    return parts.rows(lines, heading, data, layout, "ranking of mistakes", _effects(prices), origin, note)


def seeds(found: Mapping[str, Mapping[int, Estimate]], origin: str = "") -> Chart:
    """Draw the headline figure of the same recipe with several seeds, beside the trivial rule.

    Args:
        found: By task, the estimate of each seed; those without a value are left out.
        origin: "phantom" or "real", written below.

    Example:
        >>> first, second = (Estimate("accuracy", v, 0.6, 0.9, 48, 60, "majority", 0.5) for v in (0.75, 0.85))
        >>> seeds({"ct": {2020: first, 1: second}}).alt
        'The same recipe with other seeds: ct, accuracy 0.75 to 0.85 with 2 seeds, majority 0.50.'

    Taught in notebook 05.
    """
    dots, rules, means, lines, said = [], [], [], [], []
    for place, (task, runs) in enumerate(found.items()):
        measured = {seed: run for seed, run in runs.items() if run.value is not None}
        if not measured:
            lines.append((task, "", "too few cases"))
            said.append(f"{task}, too few cases")
            continue
        run, values = next(iter(measured.values())), [run.value for run in measured.values()]
        for seed, value, y in zip(measured, values, parts.heights(place, len(values)), strict=True):
            dots.append((value, y, "circle", BLUE, f"{task}, seed {seed}: {figure(value)}"))
        trivial = sorted({rounded(run.baseline) for run in measured.values()})
        rules += [(value, place, "x-thin", GREY, f"{run.baseline_name}: {figure(value)}") for value in trivial]
        mean, spread = statistics.fmean(values), f"{figure(min(values))} to {figure(max(values))}"
        count, rule = plural(len(values), "seed"), " to ".join(dict.fromkeys(map(figure, (trivial[0], trivial[-1]))))
        means.append((mean, place, "line-ns", BLACK, f"{task}, mean of {count}: {figure(mean)}"))
        lines.append((task, f"{run.name} · {run.baseline_name}", f"<b>{figure(mean)}</b> ({spread})"))
        said.append(f"{task}, {run.name} {spread} with {count}, {run.baseline_name} {rule}")
    data = [parts.marks(rules, 10, "trivial rule"), parts.marks(dots, 9, "one seed"), parts.marks(means, 20, "mean")]
    span = parts.tenths(value for value, *_ in dots + rules)
    layout = {"title": "The luck of the seed", "xaxis": parts.axis("result on the test cases", span)}
    alt = f"the same recipe with other seeds: {'; '.join(said)}" if said else ""
    return parts.rows(lines, "mean (lowest to highest)", data, layout, "luck of the seed", alt, origin)


def variants(
    title: str, rows: Sequence[tuple[str, Estimate]], published: tuple[float, str] | None = None, origin: str = ""
) -> Chart:
    """Draw one result a row with its interval and trivial rule, in the order given.

    Args:
        title: What is compared.
        rows: Names and estimates of one metric.
        published: The published figure and where it stands, as in a passport; drawn as a dotted line.
        origin: "phantom" or "real", written below.

    Raises:
        ValueError: If there is more than one metric.

    Example:
        >>> found = Estimate("accuracy", 0.5, 0.4, 0.6, 35, 70, "always-majority", 0.3)
        >>> variants("Depths", [("ResNet-18", found)]).alt
        'Depths, accuracy: ResNet-18 0.50 (0.40 to 0.60); always-majority 0.30.'

    Taught in notebook 05.
    """
    dots, rules, data, lines = [], [], [], []
    for place, (name, found) in enumerate(rows):
        _, value, counts, ends, rule = found.row
        if found.value is None:
            lines.append((name, counts, "too few cases"))
            continue
        data.append(parts.interval(found.low, found.high, place, BLUE))
        dots.append((found.value, place, "circle", BLUE, f"{name}: {value} ({counts}), 95 % interval {ends}"))
        rules.append((found.baseline, place, "x-thin", GREY, rule))
        lines.append((name, counts, f"<b>{value}</b> ({ends})"))
    data += _key(rows, rules, dots)
    metric, span = _metric(rows, [published[0]] if published else [])
    layout, note = {"title": title, "xaxis": parts.axis(metric, span)}, ""
    if published:
        note = f"dotted: published, {published[1]}"
        layout["shapes"] = [parts.rule("x", published[0], GREEN)]
        side = "right" if published[0] > sum(span) / 2 else "left"
        layout["annotations"] = [parts.over(f"published {figure(published[0])}", published[0], side, GREEN)]
    alt = f"{title}, {metric}: {_results(rows)}" if rows else ""
    return parts.rows(lines, "value (95 % interval)", data, layout, "variants", alt, origin, note)


def against(title: str, xlabel: str, rows: Sequence[tuple[str, float, Estimate]], origin: str = "") -> Chart:
    """Draw results against what they cost, on a logarithmic axis.

    Args:
        title: What is compared.
        xlabel: Name of the cost, such as "parameters".
        rows: Names, costs and estimates of one metric; those without a value are left out of the drawing.
        origin: "phantom" or "real", written below.

    Raises:
        ValueError: If a cost is not positive, or there is more than one metric.

    Example:
        >>> found = Estimate("accuracy", 0.5, 0.4, 0.6, 35, 70, "always-majority", 0.3)
        >>> against("Depths", "parameters", [("ResNet-18", 11_200_000, found)]).alt
        'Depths, accuracy by parameters: ResNet-18 (11.2 M) 0.50 (0.40 to 0.60); always-majority 0.30.'

    Taught in notebook 05.
    """
    if wrong := [(name, cost) for name, cost, _ in rows if not cost > 0]:
        raise ValueError(f"costs must be positive, but found {wrong}")
    drawn = sorted((row for row in rows if row[2].value is not None), key=lambda row: (row[1], row[0]))
    costs = [cost for _, cost, _ in drawn] or [1.0]
    wide = max(0.5, math.log10(costs[-1] / costs[0]))
    data, dots, rules, spots, at = [], [], [], [], -math.inf
    for number, (name, cost, found) in enumerate(drawn):
        # Equal costs stand side by side, so that neither interval hides the other.
        at = max(math.log10(cost), at + 0.025 * wide)
        x, colour = 10**at, (BLUE, BLACK)[number % 2]
        spots.append((name, at, found.low, found.high, colour))
        data.append(parts.interval(found.low, found.high, x, colour, upright=True))
        hover = f"{name}, {parts.short(cost)}: {found.row[1]}, 95 % interval {found.row[3]}"
        dots.append((x, found.value, "circle", colour, hover))
        rules.append((x, found.baseline, "x-thin", GREY, found.row[4]))
    pairs = [(name, found) for name, _, found in rows]
    metric, span = _metric(pairs)
    ticks = {one * 10.0**power: parts.short(one * 10.0**power) for power in range(-3, 13) for one in (1, 2, 5)}
    layout = {
        "title": title,
        "xaxis": parts.log_axis(xlabel, ticks, costs, 0.12 * wide),
        "yaxis": parts.axis(metric, [span[0] - 0.04, span[1] + 0.04]),
        "annotations": parts.names(spots, 1.24 * wide),
    }
    said = _results([(f"{name} ({parts.short(cost)})", found) for name, cost, found in rows])
    alt = f"{title}, {metric} by {xlabel}: {said}" if rows else ""
    return parts.page([*data, *_key(pairs, rules, dots)], layout, "result against cost", alt, origin)


def apart(cases: Sequence[int], shares: Mapping[str, Sequence[float]], gap: float = 0.05, mark: int = 60) -> Chart:
    """Draw how often two equal recipes look apart, by the number of test scans.

    Args:
        cases: Numbers of test scans, rising.
        shares: By name, the share of comparisons that look at least ``gap`` apart, one for each number of scans.
        gap: How far apart, as a difference of accuracies.
        mark: The number of scans whose share is written.

    Raises:
        ValueError: If ``mark`` is not among the numbers, a line has not a share for each, or there are over three.

    Example:
        >>> apart([15, 60, 240], {"each its own scans": [0.8, 0.5, 0.1]}).alt
        'How often two equal recipes look 5 points apart: each its own scans, in 50 % of comparisons on 60 test scans.'

    Taught in notebook 05.
    """
    if mark not in cases or len(shares) > len(LINES) or {len(line) for line in shares.values()} != {len(cases)}:
        raise ValueError(f"{mark} must be among {list(cases)}, and one to three lines have a share for each: {shares}")
    data, names, said = [], [], []
    for number, ((name, line), (symbol, colour, dash)) in enumerate(zip(shares.items(), LINES, strict=False)):
        percent = [rounded(100 * share, 1) for share in line]
        words = [f"{name}, {count} scans: {share} %" for count, share in zip(cases, percent, strict=True)]
        points = [(*spot, symbol, colour, text) for *spot, text in zip(cases, percent, words, strict=True)]
        look = {"mode": "lines+markers", "line": {"color": colour, "dash": dash}}
        data.append(parts.marks(points, 9, name) | look)
        height, text = percent[list(cases).index(mark)], f"{percent[list(cases).index(mark)]:.0f} %"
        # The first line's figure stands above it at the right, the next one's below it at the left.
        side = {"xanchor": ("left", "right")[number % 2], "yanchor": ("bottom", "top")[number % 2]}
        where = {"x": rounded(math.log10(mark)), "y": height, "font": {"color": colour}}
        names.append(CENTRE | side | where | {"text": f"<b>{text}</b> with {mark} scans"})
        said.append(f"{name}, in {text} of comparisons on {mark} test scans")
    words = f"one comparison in {1 / RARE:.0f}"
    limit = {"x": 0.01, "xref": "paper", "xanchor": "left", "y": 100 * RARE, "text": words}
    title = f"How often two equal recipes look {100 * gap:g} points apart"
    layout = {
        "title": title,
        "xaxis": parts.log_axis("test scans", {count: str(count) for count in cases}, cases, 0.06),
        "yaxis": parts.axis("share of comparisons, %", [0, 104]),
        "annotations": [*names, CENTRE | limit],
        "shapes": [parts.rule("y", 100 * RARE, GREY)],
    }
    return parts.page(data, layout, "equal recipes apart", f"{title}: {'; '.join(said)}")


def minutes(rows: Sequence[tuple[str, str, float]]) -> Chart:
    """Draw how long each network would train at each size of the run, on a logarithmic axis.

    Args:
        rows: Network, size of the run ("quick", "class" or "full") and predicted minutes.

    Raises:
        ValueError: If a size is unknown or a time is not positive.

    Example:
        >>> minutes([("CNN3D", "quick", 0.5), ("CNN3D", "full", 2880)]).alt
        'Predicted time to train on this machine: CNN3D, quick 30 s, full 2 days.'

    Taught in notebook 05.
    """
    if wrong := [row for row in rows if row[1] not in SIZES or not row[2] > 0]:
        raise ValueError(f"sizes are {', '.join(SIZES)} and times positive, but found {wrong}")
    said = {network: [] for network, *_ in rows}
    marks, names = {size: [] for _, size, _ in rows}, []
    for network, size, time in rows:
        place, text = list(said).index(network), parts.duration(time)
        marks[size].append((time, place, *SIZES[size], f"{network}, {size} run: {text}"))
        names.append(CENTRE | {"x": rounded(math.log10(time)), "y": place, "yshift": 6, "text": text})
        said[network].append(f"{size} {text}")
    title, each = "Predicted time to train on this machine", [f"{name}, {', '.join(own)}" for name, own in said.items()]
    axis = parts.log_axis("time", TICKS | {28800: "20 days"}, [time for *_, time in rows] or [1], 0.3)
    layout = {"title": title, "xaxis": axis, "annotations": names}
    data = [parts.marks(spots, 11, f"{size} run") for size, spots in marks.items()]
    alt = f"{title}: {'; '.join(each)}" if rows else ""
    return parts.rows([(network, "", "") for network in said], "", data, layout, "minutes", alt)


def _key(rows: Sequence[tuple[str, Estimate]], rules: list[tuple], dots: list[tuple]) -> list[dict]:
    """Results, and the trivial rule by its name where there is one."""
    names = {found.baseline_name for _, found in rows if found.value is not None}
    rule = f"trivial rule: {names.pop()}" if len(names) == 1 else "trivial rule"
    return [parts.marks(dots, 12, "result, with 95 % interval"), parts.marks(rules, 18, rule)]  # in front, and larger


def _metric(rows: Sequence[tuple[str, Estimate]], more: Sequence[float] = ()) -> tuple[str, list[float]]:
    """The one metric of all estimates, and the span of their intervals, trivial rules and more."""
    names = list(dict.fromkeys(found.name for _, found in rows))
    if len(names) > 1:
        raise ValueError(f"a chart compares one metric, but found {', '.join(names)}")
    drawn = [found for _, found in rows if found.value is not None]
    return "".join(names), parts.tenths([*more, *(v for e in drawn for v in (e.low, e.high, e.baseline))])


def _results(rows: Sequence[tuple[str, Estimate]]) -> str:
    """The best and the worst of several results, in words."""
    drawn = sorted(((e.value, name, e.row) for name, e in rows if e.value is not None), key=lambda row: row[:2])
    if not drawn:
        return "too few cases"
    said = [f"{name} {value} ({ends})" for _, name, (_, value, _, ends, _) in drawn]
    best = said[0] if len(said) == 1 else f"of {len(said)} results {said[-1]} is the highest and {said[0]} the lowest"
    return f"{best}; {drawn[0][2][4]}"


def _effect(price: object) -> str:
    """The first word of a verdict; none where the seeds are too few for an interval."""
    return "" if price.low is None else price.verdict.split()[0]


def _effects(prices: Sequence) -> str:
    """What the mistakes do, in words; prices are sorted from those that flatter to those that harm."""
    said, left = [], len(prices)
    for word, rest, most in (("flatters", "the result", 0), ("harms", "it", -1)):
        alike = [price for price in prices if _effect(price) == word]
        left -= len(alike)
        if alike:
            extreme = f"{alike[most].flaw.name} ({signed(alike[most].mean)} points)"
            said.append(f"{len(alike)} {word if len(alike) == 1 else word[:-1]} {rest}, most of all: {extreme}")
    said += [f"{left} without a measurable effect or with too few seeds"] if left else []
    return f"of {plural(len(prices), 'mistake')}, {'; '.join(said)}" if prices else ""
