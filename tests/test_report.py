"""The page of the comparison says what it was given and no more, loads nothing, and a real browser shows it whole."""

import base64
import json
import os
import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import charts, report

NASTY = "</script><script>alert('&amp;')</script><b onload=\"x\">"
VOID = {"meta", "img"}
ABOUT = report.About("phantom", "quick", {"numpy": "2.4.0", "plotly": "7.1.0"})
HEADER = ["task", "network", "parameters", "s/step", "peak GB", "minutes", "accuracy", "95 % interval"]
ROWS = [
    [task, "3D CNN", "1,352,897", "0.71", "1.92", "-", "0.78", "0.66 to 0.87"]
    for task in ("ct", "l3", "siim", "x", "y")
]
LETTERS = st.text(st.characters(exclude_categories=("Cs", "Cc")))


def chart(words="plain"):
    bars = [{"type": "bar", "x": ["16", "32"], "y": [0.7, 0.74]}]
    return charts.Chart(bars, {"title": f"Accuracy {words}"}, "widths", f"accuracy by width, {words}", "phantom")


def sections():
    wide = [[*HEADER, "a", "b", "c"], *([*row, "4", "5 of 6", "not measured"] for row in ROWS)]
    text = "The first paragraph.\n\nThe second.\nIts second line."
    return [
        report.Section("One table", text, [HEADER, *ROWS]),
        report.Section("The price of each flaw", "Dots are seeds.", chart=chart()),
        report.Section("A table for a sheet of paper that lies on its side", rows=wide, chart=chart("and more of it")),
    ]


class Reader(HTMLParser):
    """What a page holds: elements with what they say, and whether each was closed where it should be."""

    def __init__(self, html):
        super().__init__()
        self.open, self.found, self.said = [], [], {}
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.said.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in set(self.open):
            self.said[tag][-1] += data

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]


@pytest.fixture(scope="module")
def html():
    return report.page("Costs & prices", sections(), ABOUT)


@pytest.fixture(scope="module")
def page(html):
    return Reader(html)


@pytest.fixture
def without_plotly(monkeypatch):
    monkeypatch.setattr(report, "get_plotlyjs", lambda: "/* plotly */")


def test_the_page_says_what_it_is_and_where_its_figures_come_from(page):
    assert page.said["title"] == page.said["h1"] == ["Costs & prices"]
    assert page.all("html") == [{"lang": "en"}]
    for part in ("header", "footer"):
        assert "For teaching; not for clinical use." in page.said[part][0]
        assert "phantom" in page.said[part][0]
        assert "quick" in page.said[part][0]
    assert "numpy 2.4.0, plotly 7.1.0" in page.said["footer"][0]


def test_every_section_stands_in_the_contents_and_is_found_from_there(page):
    assert page.said["h2"] == page.said["li"] == [section.title for section in sections()]
    ids = Counter(attrs["id"] for _, attrs in page.found if "id" in attrs)
    assert set(ids.values()) == {1}
    assert [attrs["href"] for attrs in page.all("a")] == [f"#{attrs['id']}" for attrs in page.all("section")]
    labels = {attrs["aria-labelledby"] for _, attrs in page.found if "aria-labelledby" in attrs}
    assert labels <= set(ids)


def test_paragraphs_are_parted_by_empty_lines_only(page):
    assert {"The first paragraph.", "The second.\nIts second line."} <= set(page.said["p"])


def test_tables_are_tables_with_captions_headers_and_numbers_to_the_right(page):
    assert page.said["caption"] == [
        "One table (phantom data, run size quick)",
        "A table for a sheet of paper that lies on its side (phantom data, run size quick)",
    ]
    scopes = Counter(attrs["scope"] for attrs in page.all("th"))
    assert scopes == {"col": 8 + 11, "row": 5 + 5}
    assert page.said["td"][:7] == ROWS[0][1:]
    right = [attrs.get("class") == "number" for attrs in page.all("td")]
    assert right[:7] == [True] * 7  # "3D CNN" opens with a digit
    assert right[-1:] == [False]
    assert [attrs.get("class") for attrs in page.all("section")] == [None, None, "wide"]


def test_words_stay_words_whatever_is_in_them(without_plotly):
    about = report.About(NASTY, NASTY, {NASTY: NASTY})
    section = report.Section(NASTY, NASTY, [[NASTY, NASTY], [NASTY, NASTY]], chart(NASTY))
    page = Reader(report.page(NASTY, [section], about))
    for tag in ("title", "h1", "h2", "li", "td"):
        assert page.said[tag] == [NASTY]
    assert page.said["th"] == [NASTY] * 3
    assert NASTY in page.said["p"]
    assert page.said["figcaption"] == [chart(NASTY).alt] == [attrs["alt"] for attrs in page.all("img")]
    assert len(page.said["script"]) == 3
    assert "b" not in page.said
    assert not any(name.startswith("on") for _, attrs in page.found for name in attrs)


@settings(max_examples=60, deadline=None)
@given(LETTERS, LETTERS, LETTERS)
def test_every_text_comes_back(title, text, cell):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "get_plotlyjs", lambda: "")
        page = Reader(report.page(title, [report.Section("s", f"!{text}!", [["a", cell], [cell, "b"]])], ABOUT))
    assert page.said["h1"] == [title]
    assert f"!{text}!" in page.said["p"]
    assert page.said["th"] == ["a", cell, cell]


def test_the_charts_in_the_page_are_the_charts(page):
    held = [json.loads(text) for text in page.said["script"][:2]]
    assert held == [json.loads(section.chart.figure.to_json()) for section in sections()[1:]]
    assert [attrs["alt"] for attrs in page.all("img")] == [section.chart.alt for section in sections()[1:]]


def test_nothing_is_loaded_from_anywhere(html, page):
    assert html.count(report.get_plotlyjs()) == 1
    assert not {"link", "iframe", "object", "embed", "base", "form", "video", "audio"} & {tag for tag, _ in page.found}
    addresses = [attrs[name] for _, attrs in page.found for name in ("src", "href", "srcset", "data") if name in attrs]
    assert [address for address in addresses if not address.startswith("#")] == []
    assert not re.search(r"url\(|@import", "".join(page.said["style"]))
    policy = {attrs.get("http-equiv"): attrs["content"] for attrs in page.all("meta") if "content" in attrs}
    rules = dict(rule.split(" ", 1) for rule in policy["Content-Security-Policy"].split("; "))
    assert rules.pop("default-src") == "'none'"
    assert set(rules.values()) == {"'unsafe-inline'", "data:"}


def test_the_same_sections_give_the_same_file_and_it_is_never_half_there(tmp_path, without_plotly, monkeypatch):
    path = report.write(sections(), ABOUT, tmp_path / "new" / "report.html")
    whole = path.read_bytes()
    assert whole == report.page(report.TITLE, sections(), ABOUT).encode("utf8")
    assert report.write(sections(), ABOUT, path).read_bytes() == whole

    def full(_):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="the disk is full"):
        report.write(sections()[:1], ABOUT, path)
    assert path.read_bytes() == whole
    assert [found.name for found in path.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize("cells", [["ct"], ["ct", "1", "2"]])
def test_a_crooked_table_and_an_empty_page_are_refused(cells):
    with pytest.raises(ValueError, match=re.escape(f"needs 2 cells like its header, but found {cells}")):
        report.page("t", [report.Section("s", rows=[["task", "s"], cells])], ABOUT)
    with pytest.raises(ValueError, match="at least one section"):
        report.page("t", [], ABOUT)


def test_a_table_may_have_a_header_alone(without_plotly):
    page = Reader(report.page("t", [report.Section("s", rows=[["task", "minutes"]])], ABOUT))
    assert page.said["th"] == ["task", "minutes"]
    assert "td" not in page.said


LOOK = """
const wide = part => Math.round(part.getBoundingClientRect().width);
return {
  page: [document.documentElement.scrollWidth, innerWidth],
  charts: [...document.querySelectorAll('.live')].map(live =>
    live.querySelectorAll('.bars path').length && wide(live.querySelector('.main-svg'))),
  pictures: [...document.querySelectorAll('.paper')].map(img => img.complete && img.naturalWidth && wide(img)),
  loaded: [...document.querySelectorAll('.paper')].filter(img => img.naturalWidth > 0).length,
  tables: [...document.querySelectorAll('table')].map(table => table.rows.length * (wide(table) > 0)),
  cut: [...document.querySelectorAll('table')].map(wide).filter(width => width > innerWidth).length,
};"""


def test_a_real_browser_shows_it_whole_on_screen_phone_and_paper(browser, tmp_path):
    from tools.browser import requests_elsewhere, until
    from tools.headless import chrome

    path = report.write(sections(), ABOUT, tmp_path / "report.html")
    with chrome() as driver:

        def look(width, height=900, phone=False):
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            return driver.execute_script(LOOK)

        driver.get(path.as_uri())
        until(30, "drawing the pictures for paper", lambda: driver.execute_script(LOOK)["loaded"] == 2)
        screen = look(1280)
        assert screen["page"] == [1280, 1280]
        until(30, "drawing for this width", lambda: look(1280)["charts"] == [1112, 1112])
        assert (screen["tables"], screen["pictures"]) == ([6, 6], [0, 0])
        until(30, "drawing for a phone", lambda: look(360, 740, True)["charts"] == [672, 672])
        phone = look(360, 740, True)
        assert phone["page"] == [360, 360]
        assert phone["tables"] == [6, 6]
        paper = driver.execute_cdp_cmd("Page.printToPDF", {})["data"]
        sheets = [
            float(w) > float(h) for w, h in re.findall(rb"MediaBox \[0 0 (\S+) (\S+?)\]", base64.b64decode(paper))
        ]
        assert sheets[0] is False
        assert True in sheets, "the section with the wide table lies on its side"
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert look(680)["charts"] == [0, 0]
        assert look(680)["pictures"] == [680, 680]
        assert look(600)["pictures"] == [600, 600]
        assert look(1000)["cut"] == 0
        assert driver.get_log("browser") == []
        assert requests_elsewhere(driver, 0) == [path.as_uri()]


def test_the_browser_would_tell_of_faults(browser, tmp_path, without_plotly):
    from tools.browser import requests_elsewhere
    from tools.headless import chrome

    path = tmp_path / "report.html"
    html = report.page("t", sections(), ABOUT).replace("</main>", '<img src="http://192.0.2.1/a.png"></main>')
    path.write_text(html, encoding="utf8")
    with chrome() as driver:
        driver.get(path.as_uri())
        said = " ".join(entry["message"] for entry in driver.get_log("browser"))
        assert "Plotly is not defined" in said
        assert "violates the following Content Security Policy" in said, "the page forbids itself to ask"
        assert requests_elsewhere(driver, 0) == [path.as_uri(), "http://192.0.2.1/a.png"]
