"""The figures of projections, judged by their pixels: heights, sides, proportions, and what is said in words."""

from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from test_views import panel, pixels, texts

from helpers import axial, ct, mip, views
from helpers.pictures import GREEN, SKY, VERMILION

RANDOM = np.random.default_rng(0)


def blank(rows=80, columns=60, spacing=(3.0, 2.0), view="frontal", top=100.0, step=None):
    return mip.Mip(np.full((rows, columns), -1000, np.int16), spacing, view, top, step or -spacing[0], "scan")


def pair(**changes):
    return mip.Projections(blank(**changes), blank(view="sagittal", **changes))


def asymmetric():
    """A spine, a bright block at the patient's upper right, and one in front of the lower spine."""
    hu = np.full((60, 50, 80), -1000, np.int16)
    hu[27:33, 8:14] = 500
    hu[50:58, 20:28, 68:76] = 3000
    hu[27:33, 38:46, 6:14] = 3000
    return mip.project(ct.Volume(hu, (4.0, 4.0, 4.0), "scan", "RAS"))


def slab():
    """An axial slice: fat with muscle at the patient's front right."""
    hu = np.full((90, 90), -1000)
    hu[10:80, 10:80] = -100
    hu[50:75, 55:75] = 50
    return axial.AxialSlice(hu, (3.0, 3.0), 7, 2, 7, 35.0)


def rows_of(image, colour, tolerance=60):
    """The rows of a panel that hold a colour over a third of their length."""
    hits = np.abs(image - 255 * np.array(to_rgb(colour))).max(-1) < tolerance
    return np.flatnonzero(hits.mean(axis=1) > 0.3)


Z = 100.0 - 3 * np.arange(80)
BUMP = np.exp(-(((Z - 10) / 8) ** 2) / 2)
ERRORS = {"network": [*RANDOM.normal(1, 3, 40), 400.0], "constant row": RANDOM.normal(0, 60, 40), "nobody": []}
FIGURES = {
    "projections": lambda origin: views.projections(
        pair(),
        {"L3 found": 20.0, "L3 true": 17.0, "L4": -13.0, "S1": None, "T2": 900.0},
        title="a long title, which is wrapped " * 6,
        origin=origin,
    ),
    "short": lambda origin: views.projections(pair(rows=20), {"top": 100.0, "near": 99.0, "low": 43.0}, origin=origin),
    "tall": lambda origin: views.projections(pair(rows=500, columns=40), title="Tall " * 20, origin=origin),
    "confidence": lambda origin: views.confidence(blank(), Z, BUMP, 10.0, 13.0, 0.4, origin=origin),
    "nothing found": lambda origin: views.confidence(blank(), Z, 0.1 * BUMP, None, None, 0.4, origin=origin),
    "found_rows": lambda origin: views.found_rows(
        [blank(), blank(rows=30), blank(columns=90), asymmetric().sagittal, blank()],
        [10.0, None, 300.0, 50.0, -900.0],
        [20.0, None, None, 60.0, 10.0],
        ["a long caption that is wrapped"] * 5,
        title="Worst",
        origin=origin,
    ),
    "one of them": lambda origin: views.found_rows([blank(rows=300)], [0.0], [0.0], ["tall"], origin=origin),
    "none": lambda origin: views.found_rows([], [], [], [], origin=origin),
    "errors": lambda origin: views.errors(ERRORS, origin=origin),
    "tissues": lambda origin: views.tissues(slab(), {"muscle": 45.0}, origin=origin),
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
        {"font.size": 17, "axes.facecolor": "red", "image.origin": "lower", "lines.linewidth": 9}
    ):
        assert draw("phantom").png == first
    assert draw("real").png != first


@pytest.mark.parametrize("step", [-3.0, -2.5], ids=["straight", "oblique"])
def test_lines_lie_at_their_heights_in_every_figure(step):
    """The top edge is half a row above row 0, and pixels of the picture are counted from there."""
    image, other = blank(step=step), blank(view="sagittal", step=step)
    found, truth = 40.0, -37.0
    both = views.projections(mip.Projections(image, other), {"found": found, "true": truth})
    beside = views.confidence(image, Z, BUMP, found, truth, 0.4)
    shown = [panel(both), panel(both, 1), panel(beside), panel(beside, 1)]
    shown += [panel(views.found_rows([image], [found], [truth], ["one"]))]
    for drawn in shown:
        for z, colour in ((found, VERMILION), (truth, GREEN)):
            wanted = (image.row_of(z) + 0.5) / 80 * len(drawn)
            assert rows_of(drawn, colour).mean() + 0.5 == pytest.approx(wanted, abs=1.2)


def test_the_patients_right_front_and_head_are_where_the_letters_say():
    images = asymmetric()
    picture = views.projections(images)
    frontal, sagittal = (panel(picture, number).mean(-1) > 250 for number in (0, 1))
    high, wide = frontal.shape
    # x 50 to 58 of 60 from the left side, z 68 to 76 of 80 from the feet
    block = frontal[: high // 3, : wide // 4]
    rows, columns = np.nonzero(block)
    assert rows.mean() / high == pytest.approx(1 - 72 / 80, abs=0.02)
    assert columns.mean() / wide == pytest.approx(1 - 54 / 60, abs=0.02)
    assert not frontal[: high // 3, -wide // 4 :].sum() > 100  # a letter is there
    # y 38 to 46 of 50 from the back, z 6 to 14
    high, wide = sagittal.shape
    rows, columns = np.nonzero(sagittal[-high // 3 :, : wide // 3])
    assert rows.mean() / high + 2 / 3 == pytest.approx(1 - 10 / 80, abs=0.02)
    assert columns.mean() / wide == pytest.approx(1 - 42 / 50, abs=0.02)
    letters = [{text.get_text(): text.get_position() for text in ax.texts} for ax in picture.figure.axes]
    assert [sorted(places) for places in letters] == [["F", "H", "L", "R"], ["A", "F", "H", "P"]]
    assert letters[0]["R"][0] < letters[0]["L"][0]
    assert letters[1]["A"][0] < letters[1]["P"][0]
    assert letters[0]["H"][1] > letters[0]["F"][1]


def test_sides_that_a_file_does_not_tell_are_not_claimed():
    said = [text.get_text() for text in texts(views.projections(pair(), sides=False))]
    assert said.count("H") == said.count("F") == 2
    assert not set("RLAP") & set(said)


@pytest.mark.parametrize(("spacing", "step"), [((5.0, 0.8), None), ((0.8, 1.5), None), ((2.0, 2.0), -1.9)])
def test_a_projection_has_the_proportions_of_the_patient(spacing, step):
    images = pair(spacing=spacing, step=step)
    figures = views.projections(images), views.confidence(images.frontal, Z, BUMP, None, None, 0.5)
    for picture in figures:
        height, width = panel(picture).shape[:2]
        assert height / width == pytest.approx(80 * spacing[0] / (60 * spacing[1]), rel=0.01)
        dark = (panel(picture).max(-1) < 10).mean()
        assert dark > 0.95  # the image fills its panel


def test_both_projections_share_their_scale_and_rows():
    images = mip.Projections(blank(columns=60), blank(columns=90, view="sagittal"))
    frontal, sagittal = (ax.get_window_extent() for ax in views.projections(images).figure.axes)
    assert (frontal.y0, frontal.y1) == pytest.approx((sagittal.y0, sagittal.y1))
    assert sagittal.width / frontal.width == pytest.approx(90 / 60)


def test_a_gallery_is_on_one_scale():
    shown = [blank(), blank(rows=40), blank(columns=30)]
    images = [mip.Mip(np.full_like(i.pixels, 2000), i.spacing, "frontal", 100.0, -3.0, "scan") for i in shown]
    picture = views.found_rows(images, [None] * 3, [None] * 3, ["a", "b", "c"])
    # What is off the image is white as well, so the images are told by their extent.
    sizes = []
    for ax in picture.figure.axes:
        left, right, low, top = ax.images[0].get_extent()
        (x0, y0), (x1, y1) = ax.transData.transform([(left, low), (right, top)])
        sizes.append((x1 - x0, y1 - y0))
    assert sizes[1] == pytest.approx((sizes[0][0], sizes[0][1] / 2), rel=0.01)
    assert sizes[2] == pytest.approx((sizes[0][0] / 2, sizes[0][1]), rel=0.01)
    assert sizes[0][1] / sizes[0][0] == pytest.approx(240 / 120, rel=0.01)


def test_names_of_heights_never_touch_and_keep_their_order():
    heights = {f"level {number}": 100.0 - number for number in range(12)} | {"low": -100.0}
    picture = views.projections(pair(), heights)
    pixels(picture)  # places the labels
    labels = [text for text in picture.figure.axes[1].texts if text.get_text() in heights]
    boxes = {label.get_text(): Text.get_window_extent(label) for label in labels}  # without its line
    assert list(boxes) == sorted(boxes, key=lambda name: boxes[name].y0)
    assert sorted(boxes, key=lambda name: -boxes[name].y0) == list(heights)
    assert all(below.y1 <= above.y0 for below, above in pairwise(boxes.values()))
    assert boxes["level 0"].y1 <= picture.figure.axes[1].get_window_extent().y1 + 10


def test_what_is_not_in_view_is_said_and_not_drawn():
    cases = views.found_rows([blank()] * 3, [None, 10.0, None], [10.0, None, None], ["a", "b", "c"])
    said = [[text.get_text() for text in ax.texts] for ax in cases.figure.axes]
    assert said == [["found: not in view"], ["true: not in view"], ["true: not in view", "found: not in view"]]
    for number, lines in enumerate(((0, 1), (1, 0), (0, 0))):
        drawn = panel(cases, number)
        assert [len(rows_of(drawn, colour)) > 0 for colour in (VERMILION, GREEN)] == list(map(bool, lines))
    assert "c (found not in view, true not in view)" in cases.alt
    found, truth = views.projections(pair(), {"found": None, "true": None}).figure.axes[1].texts[-2:][::-1]
    assert (found.get_text(), truth.get_text()) == ("found: not in view", "true: not in view")
    assert found.xyann[1] > truth.xyann[1]
    nothing = views.confidence(blank(), Z, 0.1 * BUMP, None, 13.0, 0.4)
    assert "L3 found: not in view" in [text.get_text() for text in texts(nothing)]
    assert not len(rows_of(panel(nothing), VERMILION))
    assert "L3 found: not in view, L3 true: 13 mm" in nothing.alt


@pytest.mark.parametrize(("z", "words"), [(500.0, "above the image"), (-500.0, "below the image")])
def test_a_row_off_the_image_is_said(z, words):
    picture = views.found_rows([blank()], [z], [0.0], ["a"])
    assert [text.get_text() for text in picture.figure.axes[0].texts] == [f"found: {words}"]
    assert f"found: {words}" in views.projections(pair(), {"found": z}).alt
    assert not len(rows_of(panel(picture), VERMILION))


def test_the_curve_is_the_confidence_at_its_height():
    picture = views.confidence(blank(), Z, 0.8 * BUMP, 10.0, 10.0, 0.4)
    image, curve = picture.figure.axes
    assert image.get_ylim() == curve.get_ylim()
    shade = panel(picture, 1)
    blue = (shade[..., 2] - shade[..., 0] > 30).sum(axis=1) / shade.shape[1]
    places = blank().z_of(np.linspace(-0.5, 79.5, len(shade)))
    away = abs(places - 10) > 4  # beside the lines
    np.testing.assert_allclose(blue[away], 0.8 * np.exp(-(((places[away] - 10) / 8) ** 2) / 2), atol=0.06)


def test_errors_are_counted_where_they_lie():
    picture = views.errors({"network": [0.0, 3.0, -4.0, 14.0, -16.0], "row": [200.0, 300.0, -100.0, 1.0]})
    (ax,) = picture.figure.axes
    assert [points.get_offsets()[:, 0].tolist() for points in ax.collections] == [[-16, -4, 0, 3, 14], [1]]
    assert ax.get_xlim() == (-90, 90)
    said = {text.get_text(): text.xy[0] for text in ax.texts if text.get_text().isdigit()}
    assert said == {"2": 90, "1": -90}
    assert "network, median 4.0 mm, bias -0.6 mm, 4 of 5 within 15 mm" in picture.alt
    assert "row, median 150.0 mm, bias +100.2 mm, 1 of 4 within 15 mm" in picture.alt
    assert "none, no scan." in views.errors({"none": []}).alt


def test_tissues_are_coloured_where_they_lie():
    drawn = panel(views.tissues(slab()))
    high, wide = drawn.shape[:2]
    red, blue = (drawn[..., first] - drawn[..., last] > 25 for first, last in ((0, 2), (2, 0)))
    red[:, : wide // 9 + 6], red[: high // 9 + 6] = False, False  # the orange outline
    red[:, -wide // 9 - 6 :], red[-high // 9 - 6 :] = False, False
    rows, columns = np.nonzero(red)  # x 50 to 75 of 90 and y 55 to 75, the front right
    assert (columns.min() / wide, columns.max() / wide) == pytest.approx((1 - 75 / 90, 1 - 50 / 90), abs=0.02)
    assert (rows.min() / high, rows.max() / high) == pytest.approx((1 - 75 / 90, 1 - 55 / 90), abs=0.02)
    assert blue.mean() == pytest.approx((70 * 70 - 25 * 20) / 90**2, abs=0.03)
    assert np.linalg.norm(np.subtract(to_rgb(SKY), to_rgb(VERMILION))) > 0.8


def test_areas_are_those_of_the_masks():
    piece = slab()
    masks = axial.tissue_masks(piece.hu, piece.spacing)
    assert not (masks["muscle"] & masks["fat"]).any()
    assert axial.tissue_areas(piece.hu, piece.spacing) == {name: mask.sum() * 0.09 for name, mask in masks.items()}
    assert views.tissues(piece).alt == "Axial slice 7 at z = 35 mm: muscle 45 cm²; fat 396 cm²."


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: views.projections(mip.Projections(blank(), blank(rows=79))), "must show the same rows"),
        (lambda: views.confidence(blank(), Z, BUMP[1:], None, None, 0.5), r"shapes are \(80,\) and \(79,\)"),
        (lambda: views.confidence(blank(), Z, BUMP * 2, None, None, 0.5), r"confidences lie in \[0, 1\]"),
        (lambda: views.confidence(blank(), Z, BUMP * np.nan, None, None, 0.5), r"confidences lie in \[0, 1\]"),
        (lambda: views.found_rows([blank()], [], [1.0], ["a"]), "found 1 images, but 0 found"),
        (lambda: views.errors({"network": [1.0, np.nan]}), "leave out the scans"),
        (lambda: views.errors({}), "a method or more"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(draw, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        draw()
    assert "\n" not in str(refusal.value)
