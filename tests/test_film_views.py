"""The pictures of radiographs and of classes, judged by their pixels: what lies where, and what is said in words."""

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from test_views import panel, pixels, texts

from helpers import class_views, film_views
from helpers.estimates import wilson
from helpers.pictures import SKY, VERMILION
from helpers.xray import Radiograph, clahe, read_radiograph

GREY = np.full((120, 100), 0.5, np.float32)
EMPTY = np.zeros((120, 100), bool)
MASK = EMPTY.copy()
MASK[30:60, 20:50] = True
OTHER = EMPTY.copy()
OTHER[70:100, 60:90] = True
WAVES = (np.indices((120, 100)).sum(axis=0) % 20 / 19).astype(np.float32)
FILM = Radiograph(WAVES, (0.5, 0.5), "PA", 58.0, "F", "patient 0007")
SURE, HITS, CASES = [0.4, 0.6, 0.8, 0.95], [1, 0, 9, 40], [3, 0, 12, 41]


def near(image, colour, tolerance=40):
    return np.abs(image - 255 * np.array(to_rgb(colour))).max(-1) < tolerance


def extent(hits):
    """Top, left, bottom and right of what was hit, as shares of the panel."""
    rows, columns = np.nonzero(hits)
    high, wide = hits.shape
    return rows.min() / high, columns.min() / wide, (rows.max() + 1) / high, (columns.max() + 1) / wide


def segmentations(**changes):
    given = {"images": [GREY] * 4, "truths": [MASK, MASK, EMPTY, EMPTY], "found": [MASK, OTHER, OTHER, EMPTY]}
    return film_views.segmentations(**given | {"captions": ["Dice 1.00", "Dice 0.00", "false", "none"]} | changes)


FIGURES = {
    "radiographs": lambda origin: film_views.radiographs(
        [FILM, np.full((500, 700), 0.5), GREY], ["a long label that is wrapped " * 3] * 3, origin=origin
    ),
    "no radiograph": lambda origin: film_views.radiographs([], origin=origin),
    "compare": lambda origin: film_views.compare(FILM, MASK, clahe(FILM.pixels), title="CLAHE", origin=origin),
    "nothing to compare": lambda origin: film_views.compare(FILM, EMPTY, FILM.pixels, origin=origin),
    "varied": lambda origin: film_views.varied([GREY] * 5, [MASK] * 5, ["turned by -20°"] * 5, origin=origin),
    "segmentations": lambda origin: segmentations(title="Four", origin=origin),
    "misses": lambda origin: segmentations(plain=True, origin=origin),
    "no misses": lambda origin: film_views.segmentations([], [], [], [], title="Misses", origin=origin),
    "cam": lambda origin: film_views.cam(
        [FILM, GREY, GREY], [np.eye(4)] * 3, ["covid, said normal"] * 3, origin=origin
    ),
    "one cam": lambda origin: film_views.cam([FILM], [np.eye(4)], ["covid"], title="Grad-CAM", origin=origin),
    "confusion": lambda origin: class_views.confusion(
        [[9, 1, 0], [2, 80, 3], [0, 0, 0]], ["normal", "Viral_Pneumonia", "a long name " * 4], "Test", origin
    ),
    "many classes": lambda origin: class_views.confusion(
        np.eye(9, dtype=int) * 1234, [f"class {n}" for n in range(9)], origin=origin
    ),
    "reliability": lambda origin: class_views.reliability(
        SURE, HITS, CASES, "ECE 0.04 (56 cases), 95 % interval 0.02 to 0.09; always-majority 0.44", "Test", origin
    ),
}
every_figure = pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)


@every_figure
def test_every_figure_is_legible_whole_and_says_where_its_data_come_from(draw):
    picture = draw("phantom")
    height, width, _ = pixels(picture).shape
    assert width <= 900
    assert picture.alt.endswith("(phantom data).")
    assert [text for text in texts(picture) if text.get_text().startswith("phantom data")]
    for text in texts(picture):
        assert text.get_size() >= 8, text
        box = text.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= width, text
        assert 0 <= box.y0 < box.y1 <= height, text


@every_figure
def test_the_bytes_are_the_same_whatever_the_users_settings(draw):
    first = draw("phantom").png
    with matplotlib.rc_context(
        {"font.size": 17, "axes.facecolor": "red", "image.origin": "lower", "lines.linewidth": 9, "figure.dpi": 50}
    ):
        assert draw("phantom").png == first


@pytest.mark.parametrize(("shape", "spacing"), [((60, 40), (1.0, 2.0)), ((40, 60), (1.0, 1.0)), ((2000, 900), None)])
def test_a_film_lies_upright_in_the_middle_with_its_proportions(shape, spacing):
    """Bright, with a dark block in its upper left quarter, the patient's upper right."""
    values = np.full(shape, 0.6, np.float32)
    values[: shape[0] // 2, : shape[1] // 2] = 0.2
    film = Radiograph(values, spacing)
    row, column = spacing or (1, 1)
    # Beside one that is much wider, so that there is free room above and below, or at the sides.
    drawn = panel(film_views.radiographs([film, np.full((50, 60), 0.6, np.float32)], columns=2))[..., 0]
    top, left, bottom, right = extent(drawn < 200)
    high, wide = drawn.shape
    assert (bottom - top) * high / ((right - left) * wide) == pytest.approx(
        shape[0] * row / shape[1] / column, rel=0.02
    )
    assert top == pytest.approx(1 - bottom, abs=0.02)
    assert left == pytest.approx(1 - right, abs=0.02)
    assert extent(drawn < 100) == pytest.approx((top, left, (top + bottom) / 2, (left + right) / 2), abs=0.02)


def test_a_large_film_is_averaged_and_not_sampled():
    stripes = np.zeros((1600, 1600), np.float32)
    stripes[:, ::2] = 1
    drawn = panel(film_views.radiographs([stripes]))[8:-8, 8:-8]
    assert drawn.mean() == pytest.approx(127.5, abs=2)
    assert drawn.std() < 20, "sampled, it would be 127"


def test_greys_are_those_of_the_pixels():
    ramp = np.tile(np.linspace(0, 1, 100, dtype=np.float32), (100, 1))
    drawn = panel(film_views.radiographs([ramp]))[..., 0]
    middle = drawn[len(drawn) // 2]
    places = (np.arange(len(middle)) + 0.5) / len(middle)
    np.testing.assert_allclose(middle[5:-5], 255 * places[5:-5], atol=6)


def test_captions_say_what_is_known_and_sides_only_where_a_view_tells():
    picture = film_views.radiographs([FILM], ["pneumothorax"])
    assert picture.alt == "1 radiograph: pneumothorax, patient 0007, 58 years, F, PA, 0.5 mm."
    footers = [
        " ".join(text.get_text() for text in film_views.radiographs(f).figure.texts) for f in ([FILM], [FILM, GREY])
    ]
    assert ["right is on the left" in footer for footer in footers] == [True, False]


def test_compare_outlines_the_mask_inside_its_box():
    oval = np.hypot(*(np.mgrid[:120, :100] - np.array([60, 50])[:, None, None])) < 20
    picture = film_views.compare(GREY, oval, 1 - GREY / 2)
    plain, enhanced, boxed = (panel(picture, number) for number in range(3))
    assert np.median(plain) == pytest.approx(127.5, abs=2)
    assert np.median(enhanced) == pytest.approx(191, abs=4)  # in 64 shades
    for untouched in (plain, enhanced):
        assert not near(untouched, VERMILION, 80).any()
        assert not near(untouched, SKY, 80).any()
    wanted = (41 / 120, 31 / 100, 80 / 120, 70 / 100)
    box = near(boxed, VERMILION, 80)
    assert extent(box) == pytest.approx(wanted, abs=0.02)
    assert extent(near(boxed, SKY, 80)) == pytest.approx(wanted, abs=0.02)
    # The box goes through its corners, where no oval is.
    top, left = round(extent(box)[0] * len(box)), round(extent(box)[1] * box.shape[1])
    assert box[top : top + 3, left : left + 3].any()
    assert "in rows 41 to 79, columns 31 to 69" in picture.alt


def test_an_empty_mask_has_no_box_and_the_picture_says_so():
    picture = film_views.compare(GREY, EMPTY, GREY)
    assert not near(panel(picture, 2), VERMILION).any()
    assert picture.figure.axes[2].get_title(loc="left") == "no mask: nothing to outline"
    assert "an empty mask" in picture.alt


def test_both_outlines_lie_where_their_masks_are():
    picture = segmentations()
    same, apart, alarm, none = (panel(picture, number) for number in range(4))
    top, left, bottom, right = 30 / 120, 20 / 100, 60 / 120, 50 / 100
    for colour in (SKY, VERMILION):  # both are seen where they agree
        assert extent(near(same, colour)) == pytest.approx((top, left, bottom, right), abs=0.03)
    assert extent(near(apart, SKY)) == pytest.approx((top, left, bottom, right), abs=0.03)
    assert extent(near(apart, VERMILION)) == pytest.approx((70 / 120, 60 / 100, 100 / 120, 90 / 100), abs=0.03)
    # The words in the corner have the same colours: look above them.
    assert not near(alarm[: len(alarm) * 4 // 5], SKY).any()
    assert not near(none[: len(none) * 4 // 5], VERMILION).any()
    said = [[text.get_text() for text in ax.texts] for ax in picture.figure.axes]
    assert said == [[], [], ["truth: empty"], ["found: empty", "truth: empty"]]
    assert "none (truth empty, found empty)" in picture.alt
    assert "Dice 0.00 (truth 7.5 % of the image, found 7.5 % of the image)" in picture.alt


def test_a_sliver_in_a_large_image_is_still_outlined():
    mask = np.zeros((2400, 2400), bool)
    mask[500:1500, 700:703] = True
    drawn = panel(film_views.varied([np.full(mask.shape, 0.5, np.float32)], [mask], ["sliver"]))
    assert near(drawn, SKY, 80).sum() > 100


def test_misses_stand_plain_beside_themselves():
    picture = segmentations(plain=True)
    assert len(picture.figure.axes) == 8
    for number in range(0, 8, 2):
        assert np.ptp(panel(picture, number)) <= 2
    assert near(panel(picture, 1), VERMILION).any()
    titles = [ax.get_title(loc="left") for ax in picture.figure.axes]
    assert titles == ["Dice 1.00", "", "Dice 0.00", "", "false", "", "none", ""]


def test_heat_lies_where_the_map_is_warm():
    heat = np.full((6, 5), -1.0)
    heat[1, 4] = 7
    picture = film_views.cam([GREY], [heat], ["covid"])
    plain, warm, bar = (panel(picture, number) for number in range(3))
    assert np.ptp(plain) <= 2
    coloured = np.ptp(warm, axis=-1) > 60
    top, left, bottom, right = extent(coloured)
    assert (top + bottom) / 2 == pytest.approx(1.5 / 6, abs=0.04)
    assert right == pytest.approx(1, abs=0.02)
    assert left > 0.6
    assert not np.ptp(warm[len(warm) // 2 :], axis=-1).any()
    assert bar[2].sum() > bar[-3].sum()
    assert film_views.cam([GREY], [100 * heat], ["covid"]).png == picture.png, "only its own scale counts"
    assert not np.ptp(panel(film_views.cam([GREY], [-np.ones((2, 2))], ["cold"]), 1), axis=-1).any()


def test_a_confusion_is_counted_by_row_and_shaded_by_share():
    matrix = np.array([[6, 2, 0], [0, 50, 50], [0, 0, 0]])
    picture = class_views.confusion(matrix, ["a", "b", "c"])
    (ax,) = picture.figure.axes
    said = [text.get_text() for text in ax.texts]
    assert said[:6] == ["6\n75 %", "2\n25 %", "0\n0 %", "0\n0 %", "50\n50 %", "50\n50 %"]
    assert said[6:] == ["0\nno case"] * 3
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a\n8 cases", "b\n100 cases", "c\n0 cases"]
    drawn = panel(picture)
    high, wide = drawn.shape[0] // 3, drawn.shape[1] // 3
    blue = [[255 - drawn[high * r + 8, wide * c + 8, 0] for c in range(3)] for r in range(3)]
    np.testing.assert_allclose(np.array(blue) / 255, [[0.75, 0.25, 0], [0, 0.5, 0.5], [0, 0, 0]], atol=0.02)
    assert "of 100 b: 0 said a, 50 said b, 50 said c" in picture.alt


def test_reliability_puts_each_bin_at_its_share_with_its_interval():
    picture = class_views.reliability(SURE, HITS, CASES, "ECE 0.04")
    upper, lower = picture.figure.axes
    points = next(line for line in upper.lines if line.get_marker() == "o")
    np.testing.assert_allclose(points.get_xydata(), [[0.4, 1 / 3], [0.8, 0.75], [0.95, 40 / 41]])
    segments = upper.collections[0].get_segments()
    for segment, hits, cases in zip(segments, (1, 9, 40), (3, 12, 41), strict=True):
        np.testing.assert_allclose(segment[:, 1], wilson(hits, cases))
    assert [bar.get_height() for bar in lower.patches] == [3, 12, 41]
    assert "sure 80 %: 75 % of 12 right" in picture.alt


def test_real_radiographs_are_drawn(realdata):
    (path,) = (realdata / "siim").glob("1.2.276*.dcm")
    film, twin = read_radiograph(path, "patient 0001"), read_radiograph(realdata / "siim" / "monochrome1_twin.dcm")
    picture = film_views.radiographs([film, twin], ["no pneumothorax", "the same, inverted"], columns=2)
    one, other = (panel(picture, number)[4:-4, 4:-4] for number in range(2))
    assert one.std() > 30
    np.testing.assert_allclose(one + other, 255, atol=4)
    assert path.stem not in picture.alt


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: film_views.radiographs([GREY], []), "found 1 images, but 0 captions"),
        (lambda: film_views.radiographs([GREY[0]]), r"its shape is \(100,\)"),
        (lambda: film_views.radiographs([GREY * 255]), "from 0 to 1, but found 127.5 to 127.5"),
        (lambda: film_views.radiographs([GREY * np.nan]), "from 0 to 1, but found nan"),
        (lambda: film_views.compare(GREY, MASK[1:], GREY), r"shape \(120, 100\), but found \(119, 100\)"),
        (lambda: film_views.compare(GREY, MASK, GREY[1:]), r"shape \(120, 100\), but found \(119, 100\)"),
        (lambda: segmentations(found=[GREY] * 4), "compare probabilities with a threshold"),
        (lambda: segmentations(found=[MASK] * 3), "found 4 images, but 3 found"),
        (lambda: film_views.varied([GREY], [MASK], []), "found 1 images, but 0 captions"),
        (lambda: film_views.cam([GREY] * 5, [GREY] * 5, [""] * 5), "one to four images, but found 5"),
        (lambda: film_views.cam([GREY], [GREY * np.inf], [""]), "be finite"),
        (lambda: class_views.confusion([[1, 2]], ["a", "b"]), "2 classes need counts"),
        (lambda: class_views.confusion([[0.5]], ["a"]), "1 classes need counts"),
        (lambda: class_views.reliability([0.5], [1], [1, 2], "ECE"), "each bin needs three figures"),
        (lambda: class_views.reliability([1.5], [1], [1], "ECE"), r"lie in \[0, 1\]"),
        (lambda: class_views.reliability([0.5], [0], [0], "ECE"), "each bin needs three figures"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(draw, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        draw()
    assert "\n" not in str(refusal.value)
