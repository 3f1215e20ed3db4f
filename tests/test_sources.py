"""Where the real data come from: addresses, terms and counts as the public record has them."""

from urllib.parse import urlsplit

import pytest

from data_scripts import layouts, sources
from data_scripts.sources import SOURCES
from helpers import l3_scans, runtime, scans, siim

VARIANTS = [(source, variant) for source in SOURCES.values() for variant in source.variants]
NAMES = [f"{source.name} {variant.name}" for source, variant in VARIANTS]


def test_every_data_set_of_the_notebooks_has_a_source():
    assert set(SOURCES) == set(runtime.DATA_SETS) - {"radiography_external"}  # which each brings from a hospital
    assert all(source.name == name for name, source in SOURCES.items())


@pytest.mark.parametrize(("source", "variant"), VARIANTS, ids=NAMES)
def test_a_variant_says_what_where_and_how_large(source, variant):
    assert variant.what
    assert variant.where.startswith("https://")
    assert 1e8 < variant.unpacked < 1e11
    assert 1e8 < variant.size < 1e11
    assert not (variant.files and variant.kaggle)
    assert set(variant.counts) <= set(variant.classes)
    if variant.kaggle:
        assert variant.where == f"https://www.kaggle.com/datasets/{variant.kaggle}"
    for file in variant.files:
        assert urlsplit(file.url).scheme == "https"
        assert file.url.endswith(f"/{file.name}")
    assert sum(file.size or 0 for file in variant.files) <= variant.size


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_terms_name_the_authors_and_say_what_may_be_handed_on(source):
    assert source.layout in layouts.LAYOUTS
    assert source.citation
    assert source.licence
    assert "hand" in source.terms
    assert ("do not hand" in source.terms) == (not source.may_hand_on)
    names = [variant.name for variant in source.variants]
    assert len(set(names)) == len(names)


def test_the_readers_say_the_same_of_citation_and_licence():
    assert (SOURCES["mosmed"].citation, SOURCES["mosmed"].licence) == (scans.MOSMED, scans.MOSMED_LICENCE)
    assert (SOURCES["siim"].citation, SOURCES["siim"].licence) == (siim.CITATION, siim.LICENCE)
    assert SOURCES["l3"].citation == l3_scans.CITATION


def test_no_altered_scan_of_mosmed_may_be_handed_on():
    assert "CC BY-NC-ND" in SOURCES["mosmed"].licence
    assert "resampled" in SOURCES["mosmed"].terms


def test_the_archives_of_the_tutorial_are_those_of_its_release():
    first = SOURCES["mosmed"].variant().files[0]
    assert (first.name, first.size) == ("CT-0.zip", 1_045_162_547)
    assert "/v0.2/" in first.url


def test_the_counts_are_those_published():
    counts = {name: SOURCES["radiography"].variant(name).counts for name in ("2020", "2021", "2021-four-classes")}
    assert list(counts["2020"].values()) == [1200, 1341, 1345]
    assert sum(counts["2021-four-classes"].values()) == 21_165
    assert counts["2021-four-classes"].keys() - counts["2021"].keys() == {sources.OPACITY}
    assert sum(SOURCES["mosmed"].variant("full").counts.values()) == 254 + 125 + 45


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="the variants of mosmed are subset, full, but found 'half'"):
        SOURCES["mosmed"].variant("half")
