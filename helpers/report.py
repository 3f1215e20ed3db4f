"""The whole comparison as one HTML page that can be mailed: prose, tables and charts in a single file, read offline.

Used by notebook 05. The page asks no machine for anything and forbids itself to; plotly's script travels in it, once.
The same sections give the same bytes.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from plotly.offline import get_plotlyjs

from helpers.charts import Chart
from helpers.files import write_atomic
from helpers.runtime import BUILD

TITLE = "Which of these results should you believe, and what did each cost?"
WARNING = "For teaching; not for clinical use."
COLUMNS = 10  # of a table that fit on a sheet of paper held upright
NUMBER = re.compile(r"[-+]?\d.*|-")  # a cell that belongs to the right, where its digits stand below each other

# Whatever a script in the page may try, the browser asks nobody.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
# Charts and tables wider than a phone scroll in a box of their own, so that their letters stay legible.
STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.25rem; background: white; color: #222222;
  font: 1rem/1.55 "DejaVu Sans", Verdana, Arial, sans-serif; overflow-wrap: break-word; }
h1 { margin: 0 0 .75rem; font-size: 1.75rem; line-height: 1.25; }
h2 { margin: 3rem 0 .75rem; padding-top: .75rem; border-top: 2px solid #0072B2; font-size: 1.3rem; line-height: 1.3; }
p { margin: 0 0 1rem; max-width: 46rem; white-space: pre-line; }
a { color: #00558a; }
header p { margin: 0 0 .25rem; }
.origin { display: inline-block; margin: 0 .5rem .25rem 0; padding: .1rem .6rem; border: 1px solid #0072B2;
  border-radius: 1rem; }
nav { margin: 1.5rem 0 0; padding: .75rem 1.25rem; background: #f3f6f9; }
nav ol { margin: .25rem 0 0; padding-left: 1.6rem; }
nav li { padding: .15rem 0; }
.box { margin: 0 0 1.5rem; overflow-x: auto; }
.box:focus-visible { outline: 2px solid #0072B2; }
table { min-width: min(100%, 28rem); border-collapse: collapse; font-size: .875rem; line-height: 1.35; }
caption, figcaption { color: #595959; font-size: .875rem; line-height: 1.45; text-align: left; }
caption { position: sticky; left: 0; max-width: calc(100vw - 2.5rem); padding-bottom: .4rem; }
th, td { padding: .4rem .7rem; border-bottom: 1px solid #d9d9d9; text-align: left; vertical-align: top;
  overflow-wrap: normal; }
thead th { border-bottom: 2px solid #595959; vertical-align: bottom; }
td { min-width: 7rem; }
th:first-child { position: sticky; left: 0; background: white; }
tbody th { font-weight: normal; }
.number { min-width: 0; text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 0 0 1.5rem; }
figure .box { margin: 0; }
.live { min-width: 42rem; }
.paper { display: none; }
@media screen and (max-width: 36rem) {
  figcaption::before { content: "The chart is wider than this screen: swipe it sideways. "; }
}
footer { margin-top: 3rem; padding-top: .75rem; border-top: 1px solid #d9d9d9; color: #595959; font-size: .875rem; }
@page { margin: 15mm; }
@page lying { size: landscape; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  h1 { font-size: 18pt; }
  h2 { margin-top: 8mm; break-after: avoid; }
  nav { background: none; border: 1px solid #d9d9d9; break-inside: avoid; }
  p { max-width: none; orphans: 3; widows: 3; }
  a { color: inherit; text-decoration: none; }
  .wide { page: lying; }
  .box { overflow: visible; }
  table { font-size: 7.5pt; }
  caption, figcaption { max-width: none; font-size: 8.5pt; }
  th, td { padding: 1mm 1.2mm; }
  th:first-child { position: static; }
  td { min-width: 0; }
  .number { white-space: normal; }
  tr, figure { break-inside: avoid; }
  .live { display: none; }
  .paper { display: block; max-width: 100%; max-height: 150mm; }
}
"""
# A chart is drawn twice: to hover over on the screen, as wide as that is, and as a picture as wide as a sheet of paper.
SCRIPT = """
for (const figure of document.querySelectorAll('figure')) {
  const chart = () => JSON.parse(figure.querySelector('script').textContent);
  const screen = chart(), paper = chart(), height = paper.layout.height;
  Plotly.newPlot(figure.querySelector('.live'), screen.data, screen.layout, {responsive: true, displayModeBar: false});
  Plotly.toImage(paper, {format: 'svg', width: 680, height}).then(
    picture => { figure.querySelector('.paper').src = picture; });
}
"""


class About(NamedTuple):
    """What every figure on the page comes from.

    Args:
        data: "phantom", "real", or a few words where it is both.
        run: The size of the run: "quick", "class" or "full".
        versions: Versions of the packages by name, such as a passport holds.

    Used by notebook 05.
    """

    data: str
    run: str
    versions: Mapping[str, str]


class Section(NamedTuple):
    """A part of the page; whatever is left out is not there.

    Args:
        title: Its heading, and its line in the contents.
        text: Paragraphs with an empty line between them; plain text, shown as it is written.
        rows: A table, its header first; the first cell of a row names the row.
        chart: A chart.
        origin: What the table comes from, if not from what the page says; a dash where it holds nothing measured.

    Used by notebook 05.
    """

    title: str
    text: str = ""
    rows: Sequence[Sequence[str]] = ()
    chart: Chart | None = None
    origin: str = ""


def page(title: str, sections: Sequence[Section], about: About) -> str:
    """Set the sections out as one HTML page.

    Args:
        title: The heading of the page.
        sections: Its parts in order.
        about: Where the figures come from.

    Returns:
        The page, some 5 MB, nearly all of it plotly's script.

    Raises:
        ValueError: If there is no section, or a table's rows are not equally long.

    Example:
        >>> section = Section("Speed", "5 < 6 steps.", [["task", "s/step"], ["ct", "0.71"]])
        >>> html = page("Costs", [section], About("phantom", "quick", {"numpy": "2.4"}))
        >>> "<h2>Speed</h2>" in html, "<p>5 &lt; 6 steps.</p>" in html, '<td class="number">0.71</td>' in html
        (True, True, True)

    Taught in notebook 05.
    """
    if not sections:
        raise ValueError("a page needs at least one section, but found none")
    contents = "\n".join(f'<li><a href="#section-{n}">{escape(s.title)}</a></li>' for n, s in enumerate(sections, 1))
    body = "\n".join(_section(number, section, about) for number, section in enumerate(sections, 1))
    versions = ", ".join(f"{name} {version}" for name, version in about.versions.items())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p><span class="origin">data: <strong>{escape(about.data)}</strong></span>\
<span class="origin">run size: <strong>{escape(about.run)}</strong></span></p>
<p><strong>{WARNING}</strong></p>
<noscript><p>The charts need JavaScript, which is off here; what each shows is written below it.</p></noscript>
</header>
<nav aria-labelledby="contents">
<strong id="contents">Contents</strong>
<ol>
{contents}
</ol>
</nav>
<main>
{body}
</main>
<footer>
<p>Made by notebook 05 of the course from {escape(about.data)} data, run size {escape(about.run)}. {WARNING}</p>
<p>Versions: {escape(versions)}.</p>
</footer>
<script>{get_plotlyjs()}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""


def write(sections: Sequence[Section], about: About, path: str | Path = BUILD / "report.html") -> Path:
    """Write the comparison as one HTML file that opens in any browser, with or without a network.

    Arguments and errors are those of `page`.

    Returns:
        The path of the file, which is never half there.

    Taught in notebook 05.
    """
    html = page(TITLE, sections, about)
    return write_atomic(path, lambda file: file.write(html.encode("utf8")))


def _section(number: int, section: Section, about: About) -> str:
    title = escape(section.title)
    paragraphs = [f"<p>{escape(part.strip())}</p>" for part in re.split(r"\n\s*\n", section.text) if part.strip()]
    table = [_table(number, section, about)] if section.rows else []
    figure = [_figure(number, section.chart)] if section.chart else []
    wide = ' class="wide"' if section.rows and len(section.rows[0]) > COLUMNS else ""
    parts = [f'<section id="section-{number}"{wide}>', f"<h2>{title}</h2>", *paragraphs, *table, *figure, "</section>"]
    return "\n".join(parts)


def _table(number: int, section: Section, about: About) -> str:
    """A table whose columns of numbers are set to the right, and that says itself where they come from."""
    header, *rows = section.rows
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"each row needs {len(header)} cells like its header, but found {list(row)}")
    look = [' class="number"' if all(map(NUMBER.fullmatch, column)) else "" for column in zip(*rows, strict=True)]
    look = ["", *look[1:]] if rows else [""] * len(header)
    names = "".join(f'<th scope="col"{c}>{escape(cell)}</th>' for c, cell in zip(look, header, strict=True))
    lines = [f"<tr>{names}</tr>\n</thead>\n<tbody>"]
    for first, *rest in rows:
        cells = "".join(f"<td{c}>{escape(cell)}</td>" for c, cell in zip(look[1:], rest, strict=True))
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    # A box that scrolls must be reached by keyboard, and then needs a name.
    box = f'<div class="box" tabindex="0" role="region" aria-labelledby="table-{number}">'
    origin = section.origin or f"{about.data} data, run size {about.run}"
    words = escape(section.title if origin == "-" else f"{section.title} ({origin})")
    caption = f'<caption id="table-{number}">{words}</caption>'
    return "\n".join([box, f"<table>\n{caption}\n<thead>", *lines, "</tbody>\n</table>\n</div>"])


def _figure(number: int, chart: Chart) -> str:
    """A chart, its picture for paper, and its words below for everybody."""
    json = chart.figure.to_json(engine="json")  # which escapes every "<": no text can end the script around it
    alt = escape(chart.alt)
    return f"""<figure>
<div class="box" tabindex="0" role="region" aria-label="Chart">
<div class="live" role="img" aria-labelledby="figure-{number}"></div>
</div>
<img class="paper" alt="{alt}">
<figcaption id="figure-{number}">{alt}</figcaption>
<script type="application/json">{json}</script>
</figure>"""
