"""Runs of pixels: exact both ways, masks united, "-1" empty however it is written, the published table counted."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from helpers import masks
from helpers.files import DataError

SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)
MASKS = SHAPES.flatmap(lambda shape: arrays.arrays(bool, shape))
EMPTIES = ["-1", " -1", "", "  ", "-1\n"]


def pairs(figures) -> str:
    return " ".join(map(str, figures))


@settings(max_examples=150)
@given(MASKS)
def test_every_mask_comes_back_whole(mask):
    text = masks.encode_rle(mask)
    back = masks.decode_rle(text, mask.shape)
    assert back.dtype == bool
    np.testing.assert_array_equal(back, mask)
    assert masks.encode_rle(back) == text


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (3, 5), (64, 48)])
def test_empty_and_full_masks_come_back(shape):
    size = shape[0] * shape[1]
    assert masks.encode_rle(np.zeros(shape, bool)) == "-1"
    assert masks.encode_rle(np.ones(shape, bool)) == f"0 {size}"
    assert masks.area(masks.decode_rle(f"0 {size}", shape)) == size


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=20), st.booleans())
def test_a_text_of_the_shortest_form_comes_back(runs, touches):
    figures = [figure for run in runs for figure in run]
    figures[0] -= touches and figures[0]  # the first run may begin at pixel 0
    rows = 37
    text, columns = pairs(figures), sum(figures) // rows + 1
    assert masks.encode_rle(masks.decode_rle(text, (rows, columns))) == text


def test_runs_go_down_the_columns_from_0_and_gaps_count_from_the_last_end():
    expected = np.zeros((4, 3), bool)
    expected[2:, 0] = expected[1, 1] = expected[0, 2] = True  # pixels 2, 3, then 5, then 8
    np.testing.assert_array_equal(masks.decode_rle("2 2 1 1 2 1", (4, 3)), expected)


def test_other_spellings_of_a_run_mean_the_same():
    for text in ("2 3", " 2  3 ", "2\t3\n", "2 1 0 2", "2 3 0 0", "02 3"):
        assert masks.encode_rle(masks.decode_rle(text, (3, 4))) == "2 3"


@pytest.mark.parametrize("text", EMPTIES)
def test_an_empty_mask_however_it_is_written(text):
    """Published: only " -1" counts as empty, and decoding "-1" ends in an IndexError."""
    assert masks.is_empty(text)
    mask = masks.decode_rle(text, (5, 4))
    assert mask.shape == (5, 4)
    assert (masks.area(mask), masks.bounding_box(mask), masks.encode_rle(mask)) == (0, None, "-1")


@settings(max_examples=100)
@given(SHAPES.flatmap(lambda shape: arrays.arrays(bool, st.just((3, *shape)))))
def test_several_masks_are_united_never_summed_nor_the_last_alone(several):
    texts, shape = [masks.encode_rle(mask) for mask in several], several.shape[1:]
    union = masks.decode_union(texts, shape)
    assert union.dtype == bool
    np.testing.assert_array_equal(union, several.any(axis=0))
    np.testing.assert_array_equal(masks.decode_union(texts[::-1], shape), union)


def test_overlapping_masks_count_a_pixel_once():
    union = masks.decode_union(["0 4", "2 4"], (8, 1))
    assert masks.area(union) == 6  # the sum would be 8, the last alone 4


def test_an_image_without_a_text_is_not_an_empty_one():
    with pytest.raises(ValueError, match="not known to be empty"):
        masks.decode_union([], (4, 4))


@settings(max_examples=100)
@given(MASKS)
def test_the_box_holds_all_of_the_mask_and_no_smaller_one_does(mask):
    box = masks.bounding_box(mask)
    if box is None:
        assert not mask.any()
        return
    top, left, bottom, right = box
    inside = mask[top:bottom, left:right]
    assert inside.sum() == mask.sum() == masks.area(mask)
    assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()  # noqa: PT018


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("5", "pairs of gap and length, but there are 1"),
        ("5 2 7", "pairs of gap and length, but there are 3"),
        ("5 -2", "0 or more, but figure 2 is -2"),
        ("5 2 -3 1", "0 or more, but figure 3 is -3"),
        ("-1 -1", "0 or more, but figure 1 is -1"),
        ("5 two", "whole numbers, but figure 2 is 'two'"),
        ("5 2.0", "whole numbers, but figure 2 is '2.0'"),
        ("1_0 2", "whole numbers, but figure 1 is '1_0'"),
        ("٣ 2", "whole numbers, but figure 1 is"),
        ("5 " + "9" * 5000, "whole numbers, but figure 2 is '9{20}'$"),
        ("0 13", "4 x 3 has 12 pixels, but a run ends behind pixel 13"),
        ("10 2 1 0", "4 x 3 has 12 pixels, but a run ends behind pixel 13"),
        (float("nan"), "a text, but found nan"),
    ],
)
def test_what_is_no_text_of_runs_is_refused_in_one_sentence(text, match):
    with pytest.raises(ValueError, match=match) as refusal:
        masks.decode_rle(text, (4, 3))
    assert "\n" not in str(refusal.value)


def test_a_run_may_end_at_the_last_pixel():
    assert masks.decode_rle("11 1", (4, 3))[3, 2]


@pytest.mark.parametrize("shape", [(4,), (4, 3, 1), (0, 4), (-2, -3)])
def test_an_image_needs_rows_and_columns(shape):
    with pytest.raises(ValueError, match="the shape is"):
        masks.decode_rle("0 1", shape)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("high", [1, 255])
def test_masks_of_numbers_are_masks_too(kind, high):
    mask = np.arange(12).reshape(4, 3) % 5 == 0
    assert masks.encode_rle(mask.astype(kind) * kind(high)) == masks.encode_rle(mask)
    assert masks.encode_rle(np.asfortranarray(mask)[:, ::-1]) == masks.encode_rle(mask[:, ::-1].copy())


@pytest.mark.parametrize("values", [[0, 0.3], [0.3, 0.3], [0, 2], [1, 255], [-1, 0], [-1, 1], [0, np.nan]])
def test_what_is_no_mask_is_refused(values):
    for function in (masks.encode_rle, masks.bounding_box, masks.area):
        with pytest.raises(ValueError, match="0 and 1, or 0 and 255"):
            function(np.array([values]))
        with pytest.raises(ValueError, match="the shape is"):
            function(np.zeros((2, 2, 2), bool))


ROWS = [("a", "{}"), ("b", "1 2"), ("b", "2 3"), ("c", "{}"), ("d", "1 2"), ("d", "3 4")]


def write(path, rows, header="ImageId, EncodedPixels", encoding="utf8", end="\n"):
    text = end.join([header, *(",".join(row) for row in rows)]) + end
    path.write_bytes((gzip.compress if path.suffix == ".gz" else bytes)(text.encode(encoding)))
    return path


@pytest.mark.parametrize("empty", ["-1", " -1", ""])
def test_a_table_however_it_writes_an_empty_mask(tmp_path, empty):
    """Published: with "-1" for " -1" every healthy case becomes a pneumothorax."""
    path = write(tmp_path / "train-rle.csv", [(name, runs.format(empty)) for name, runs in ROWS])
    assert masks.facts(masks.read_table(path)) == (6, 4, 2, 2, 0, 2, 1)


@pytest.mark.parametrize("header", ["ImageId,EncodedPixels", "ImageId, EncodedPixels", " ImageId , EncodedPixels "])
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_headers_packing_and_line_ends_do_not_matter(tmp_path, header, name, encoding, end):
    table = masks.read_table(write(tmp_path / name, ROWS, header, encoding, end))
    assert table.rows == 6
    assert table.images == {"a": ("{}",), "b": ("1 2", "2 3"), "c": ("{}",), "d": ("1 2", "3 4")}


def test_columns_are_found_by_name(tmp_path):
    path = write(tmp_path / "t.csv", [("1 2", "0", "x"), ("-1", "1", "y")], "EncodedPixels,row,ImageId")
    assert masks.read_table(path).images == {"x": ("1 2",), "y": ("-1",)}


def test_the_names_of_images_stay_inside(tmp_path):
    assert repr(masks.read_table(write(tmp_path / "t.csv", ROWS))) == "RunTable(t.csv: 6 rows for 4 images)"
    with pytest.raises(DataError) as refusal:
        masks.read_table(write(tmp_path / "t.csv", [("secret",)]))
    assert "secret" not in str(refusal.value)


def test_runs_without_a_pixel_are_no_mask(tmp_path):
    rows = [("a", "5 0"), ("b", "0 9"), ("b", "4 0"), ("c", "0 4"), ("c", "4 0 0 2")]
    counted = masks.facts(masks.read_table(write(tmp_path / "t.csv", rows)))
    assert (counted.positive, counted.empty, counted.several, counted.overlapping) == (2, 1, 1, 0)


def test_texts_that_cannot_be_decoded_are_read_and_counted(tmp_path):
    table = masks.read_table(write(tmp_path / "t.csv", [*ROWS, ("e", "1 2 3"), ("f", "1 2"), ("f", "x")]))
    assert table.images["e"] == ("1 2 3",)
    counted = masks.facts(table)
    assert counted.unreadable == 4  # "{}" is none either
    assert counted.positive + counted.empty + counted.unreadable == counted.images == 6


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "no column ImageId and no column EncodedPixels"),
        (b"ImageId,Target\na,1\n", "no column EncodedPixels; its first line must name"),
        (b"a,-1\nb,-1\n", "no column ImageId"),
        (b"ImageId,EncodedPixels\na,-1\nb\n", "line 3 has 1 of 2 fields"),
        (b"ImageId,EncodedPixels\na,1,2\n", "line 2 has 3 of 2 fields"),
        (b"ImageId,EncodedPixels\n ,1 2\n", "line 2 has no ImageId"),
        (b'ImageId,EncodedPixels\na,"1 2\nb,-1\n', "not a whole .csv file"),
        (b"PK\x03\x04\xff\xfe\x00", "not a whole .csv file"),
    ],
)
def test_what_is_no_table_is_refused_in_one_sentence(tmp_path, content, match):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=match) as refusal:
        masks.read_table(path)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).endswith(".")


def test_damaged_missing_and_endless_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="no such file"):
        masks.read_table(tmp_path / "t.csv")
    with pytest.raises(DataError, match="cannot be read"):
        masks.read_table(tmp_path)
    path = write(tmp_path / "t.csv.gz", ROWS)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-9] + b"x" + whole[-8:], b"ImageId,EncodedPixels\n"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="not a whole"):
            masks.read_table(path)
    monkeypatch.setattr(masks, "LARGEST", 20)
    with pytest.raises(DataError, match="has more than"):
        masks.read_table(write(tmp_path / "t.csv", ROWS))


@pytest.fixture(scope="module")
def table(realdata):
    return masks.read_table(realdata / "siim" / "train-rle.csv.gz")


def test_the_published_table(table):
    assert (table.rows, len(table.images)) == (12954, 12047)
    assert masks.facts(table) == (12954, 12047, 2669, 9378, 0, 624, 183)


def test_the_masks_of_the_published_table_overlap_and_lie_in_upright_lungs(table):
    """Drawn, not counted by their runs. Read along the rows, the two lungs would lie on their side."""
    several = [texts for texts in table.images.values() if len(texts) > 1]
    assert len(several) == 624
    overlapping, heat = 0, np.zeros((256, 256), np.int32)
    for texts in several:
        union = masks.decode_union(texts, (1024, 1024))
        figures = sum(sum(map(int, text.split()[1::2])) for text in texts)  # the sum of all lengths
        overlapping += masks.area(union) < figures
        heat += union[::4, ::4]
    assert overlapping == 183
    assert heat[:128].sum() > 1.5 * heat[128:].sum()  # air rises
    right, middle, left = (heat[:, column : column + 20].sum() for column in (70, 122, 175))
    assert 2 * middle < min(right, left)  # the mediastinum


def test_a_published_text_comes_back_as_it_was(table):
    single = [texts[0] for texts in table.images.values() if not masks.is_empty(texts[0])][:100]
    for text in single:
        assert masks.encode_rle(masks.decode_rle(text, (1024, 1024))) == text
