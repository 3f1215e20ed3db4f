"""The figures, judged by their pixels: what lies where, what is legible, and that same input gives same bytes."""

import base64
import io
import subprocess
import sys

import matplotlib
import nbformat
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from nbclient import NotebookClient
from PIL import Image

from helpers import ct, metrics, views
from helpers.pictures import DPI, ORANGE
from tools.run_notebooks import kernel_environment

RANDOM = np.random.default_rng(0)
SHAPE = (30, 24, 20)
SCAN = RANDOM.random(SHAPE, dtype=np.float32)
VOLUME = ct.Volume(RANDOM.integers(-1000, 400, SHAPE, dtype=np.int16), (3.0, 4.0, 8.0), "scan", "RAS")
MASK = np.zeros(SHAPE, bool)
MASK[20:26, 4:10, 13] = True
HEAT = MASK.astype(float)
TRUTH = np.arange(20) % 2
SCORE = np.clip(TRUTH * 0.4 + 0.3 + RANDOM.normal(size=20) * 0.3, 0, 1)
ROWS = [
    {"epoch": n, "loss": 1 / n, "valid_loss": 1.1 / n, "metric": 1 - 0.5 / n, "valid_metric": 0.9 - 0.4 / n}
    for n in (1, 2, 3)
]
SAID = "ROC AUC 0.93 (60 cases), 95 % interval 0.85 to 0.97; coin toss 0.50"

FIGURES = {
    "axial": lambda origin: views.axial(VOLUME, mask=MASK, title="A chest CT", origin=origin),
    "montage": lambda origin: views.montage(VOLUME, mask=MASK, title="Feet to head", origin=origin),
    "before_after": lambda origin: views.before_after(SCAN, [SCAN] * 6, ["turned by -20°"] * 6, origin=origin),
    "curves": lambda origin: views.curves(ROWS, 2, "ROC AUC", origin=origin),
    "roc": lambda origin: views.roc(metrics.roc_curve(TRUTH, SCORE), SAID, origin=origin),
    "scores": lambda origin: views.scores(TRUTH, SCORE, ("CT-0", "CT-23"), origin=origin),
    "gallery": lambda origin: views.gallery(
        [SCAN, VOLUME, SCAN], ["CT-23, said 12 %, " * 5] * 3, [None, MASK, None], title="Worst", origin=origin
    ),
    "gallery of none": lambda origin: views.gallery([], [], origin=origin),
    "heat": lambda origin: views.heat(SCAN, HEAT, MASK, label="drop in probability", title="Where", origin=origin),
}
every_figure = pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture.png))).astype(int)


def panel(picture, number=0):
    """The pixels of one panel."""
    everything, box = pixels(picture), picture.figure.axes[number].get_window_extent()
    rows = slice(round(len(everything) - box.y1), round(len(everything) - box.y0))
    return everything[rows, round(box.x0) : round(box.x1)]


def texts(picture):
    """Every text that is drawn: tick labels only where there is an axis, and within its limits."""
    found = list(picture.figure.texts)
    for ax in picture.figure.axes:
        ticks = [tick for axis in (ax.xaxis, ax.yaxis) for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())]
        hidden = {text for tick in ticks for text in tick.findobj(Text)} | (
            {ax.xaxis.label} if not ax.axison else set()
        )
        found += [text for text in ax.findobj(Text) if text not in hidden]
        for axis in (ax.xaxis, ax.yaxis) if ax.axison else ():
            low, high = sorted(axis.get_view_interval())
            found += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            found += [tick.label2 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [text for text in found if text.get_text() and text.get_visible()]


def corner(shape=SHAPE, spacing=(1.0, 1.0, 1.0)):
    """A dark scan with a bright block at the patient's front right, in all slices."""
    hu = np.full(shape, -1350, np.int16)
    hu[-shape[0] // 4 :, -shape[1] // 4 :] = 150
    return ct.Volume(hu, spacing, "scan", "RAS")


@every_figure
def test_every_figure_says_whether_it_shows_phantoms(draw):
    for origin in ("phantom", "real"):
        picture = draw(origin)
        assert [text for text in texts(picture) if text.get_text().startswith(f"{origin} data")]
        assert picture.alt.endswith(f"({origin} data).")
    assert draw("phantom").png != draw("real").png


@every_figure
def test_every_figure_is_legible_and_nothing_is_cut_off(draw):
    picture = draw("phantom")
    height, width, _ = pixels(picture).shape
    assert width <= 900
    assert picture.figure.dpi == DPI
    for text in texts(picture):
        assert text.get_size() >= 8, text
        box = text.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= width, text
        assert 0 <= box.y0 < box.y1 <= height, text


@every_figure
def test_the_bytes_are_the_same_whatever_the_users_settings(draw):
    first = draw("phantom").png
    odd = {"font.size": 17, "savefig.bbox": "tight", "axes.facecolor": "red", "image.origin": "lower", "figure.dpi": 50}
    with matplotlib.rc_context(odd):
        assert draw("phantom").png == first
        assert matplotlib.rcParams["font.size"] == 17  # and are left alone


def test_a_notebook_shows_a_figure_once_with_its_text_alternative():
    drawn = "views.axial(np.zeros((9, 9, 5), np.float32))"
    sources = [f"import numpy as np\nfrom helpers import views\n{drawn}"]
    sources += [f"%matplotlib inline\nimport matplotlib.pyplot as plt\n{drawn}", f"views.slices{drawn[11:]}"]
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(nb, kernel_name="python3", timeout=60).execute(env=kernel_environment(phantoms=True))
    assert [[output.output_type for output in cell.outputs] for cell in nb.cells] == [["execute_result"]] * 3
    (bare,), (inline,), (slider,) = (cell.outputs for cell in nb.cells)
    assert base64.b64decode(bare.data["image/png"]) == views.axial(np.zeros((9, 9, 5), np.float32)).png
    assert (inline.data, inline.metadata) == (bare.data, bare.metadata)
    assert bare.data["text/plain"] == "Picture(axial slice)"
    assert bare.metadata["image/png"]["alt"] == "Axial slice 2 of 5."
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} < set(slider.data)


def test_neither_pyplot_nor_paddle_is_loaded():
    code = "import sys, helpers.views; sys.exit(str({'matplotlib.pyplot', 'paddle'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr.strip() == "set()"


@pytest.mark.parametrize(
    "draw",
    [
        lambda scan: panel(views.axial(scan)),
        lambda scan: panel(views.before_after(scan, [scan], ["same"]), 1),
        lambda scan: panel(views.gallery([scan], ["a scan"])),
        lambda scan: panel(views.heat(scan, np.zeros(SHAPE)), 1),
        lambda scan: panel(views.montage(scan, rows=1, columns=1)),
    ],
    ids=["axial", "before_after", "gallery", "heat", "montage"],
)
def test_the_patients_front_right_is_at_the_top_left(draw):
    picture = draw(corner()).mean(-1)
    high, wide = (size // 6 for size in picture.shape)
    assert picture[2:high, 2:wide].min() > 250
    assert picture[2:high, -wide:].max() < 5
    assert picture[picture.shape[0] // 2 + 20 : -60].max() < 5


def test_letters_mark_right_and_left_on_their_sides():
    places = {text.get_text(): text.get_window_extent() for text in texts(views.axial(VOLUME))}
    assert places["R"].x1 < 60
    assert places["L"].x0 > 400


@pytest.mark.parametrize("spacing", [(1.0, 5.0, 3.0), (1.0, 1.0, 9.0), (2.0, 1.5, 1.0)])
def test_a_slice_has_the_proportions_of_the_patient(spacing):
    height, width = panel(views.axial(corner((20, 20, 4), spacing))).shape[:2]
    assert height / width == pytest.approx(spacing[1] / spacing[0], rel=0.01)


def test_a_gallery_keeps_the_proportions_of_each_scan():
    flat, tall = (ct.Volume(np.full(SHAPE, 150, np.int16), (1.0, dy, 1.0), "scan", "RAS") for dy in (0.5, 2.5))
    picture = views.gallery([flat, tall], ["flat", "tall"])
    for number, dy in ((0, 0.5), (1, 2.5)):
        image = panel(picture, number)
        assert image.shape[0] / image.shape[1] == pytest.approx(dy * SHAPE[1] / SHAPE[0], rel=0.02)
        assert image[3:-3, 3:-3].mean() > 240  # and the picture fills its panel


def test_the_scale_is_as_long_as_it_says():
    dark = ct.Volume(np.full((100, 100, 3), -1350, np.int16), (3.0, 3.0, 3.0), "scan", "RAS")
    picture = views.axial(dark)
    assert "100 mm" in [text.get_text() for text in texts(picture)]
    slice_ = panel(picture).mean(-1)
    row = slice_[round(0.95 * len(slice_))]
    assert (row > 200).sum() == pytest.approx(slice_.shape[1] * 100 / 300, abs=3)
    assert not [text for text in texts(views.axial(SCAN)) if "mm" in text.get_text()]  # no size is known, none is said


def test_the_mask_is_outlined_where_it_lies():
    dark = ct.Volume(np.full(SHAPE, -1350, np.int16), (1.0, 1.0, 1.0), "scan", "RAS")
    picture = panel(views.axial(dark, mask=MASK))  # the slice with the mask is chosen
    rows, columns = np.nonzero(np.abs(picture - 255 * np.array(to_rgb(ORANGE))).max(-1) < 40)
    per_voxel = picture.shape[1] / SHAPE[0]
    assert (columns.min() / per_voxel, columns.max() / per_voxel) == pytest.approx((30 - 26, 30 - 20), abs=0.2)
    assert (rows.min() / per_voxel, rows.max() / per_voxel) == pytest.approx((24 - 10, 24 - 4), abs=0.2)
    assert len(rows) < 0.3 * (6 * per_voxel) ** 2  # an outline: the inside stays visible


def test_a_montage_leads_from_the_feet_to_the_head():
    ramp = np.ones((8, 8, 1), np.float32) * np.linspace(0.2, 1, 20, dtype=np.float32)
    picture = views.montage(ramp, rows=2, columns=5)
    image = panel(picture)
    high, wide = image.shape[0] / 2, image.shape[1] / 5
    middles = [image[int(high * (r + 0.5)), int(wide * (c + 0.5))].mean() for r in range(2) for c in range(5)]
    assert middles == sorted(middles)
    assert middles[0] == pytest.approx(0.2 * 255, abs=5)
    assert middles[-1] == pytest.approx(255, abs=5)
    numbers = [int(text.get_text()) for text in texts(picture) if text.get_text().isdigit()]
    assert numbers == [0, 2, 4, 6, 8, 11, 13, 15, 17, 19]


@pytest.mark.parametrize(("depth", "tiles"), [(13, 13), (40, 40), (41, 40), (300, 40)])
def test_a_montage_shows_no_slice_twice(depth, tiles):
    numbers = [text.get_text() for text in texts(views.montage(np.zeros((4, 4, depth)))) if text.get_text().isdigit()]
    assert len(set(numbers)) == len(numbers) == tiles
    assert {"0", str(depth - 1)} <= set(numbers)


def test_the_first_panel_is_the_scan_before():
    picture = views.before_after(SCAN, [SCAN, SCAN[::-1]], ["same", "mirrored"], z=3)
    original, same, mirrored = (panel(picture, number)[20:60, 20:200] for number in range(3))
    assert picture.figure.axes[0].get_title("left") == "original"
    assert np.abs(original - same).mean() < 5  # panels start at fractions of a pixel
    assert np.abs(original - mirrored).mean() > 25
    assert panel(picture).tolist() == panel(views.before_after(SCAN, [SCAN] * 2, ["a", "b"], z=3)).tolist()


def test_curves_draw_what_was_measured():
    loss, metric = views.curves(ROWS, 2, "ROC AUC").figure.axes
    for ax, key in ((loss, "loss"), (metric, "metric")):
        training, validation, best = ax.lines[:3]
        assert training.get_ydata().tolist() == [row[key] for row in ROWS]
        assert validation.get_ydata().tolist() == [row[f"valid_{key}"] for row in ROWS]
        assert list(best.get_xdata()) == [2, 2]
    assert list(metric.lines[3].get_ydata()) == [0.5, 0.5]
    assert metric.get_ylim()[0] == 0
    assert metric.get_ylim()[1] >= 1


def test_names_of_curves_never_overlap():
    level = [row | {"metric": 0.5, "valid_metric": 0.5, "loss": 0.7, "valid_loss": 0.7} for row in ROWS]
    for ax in views.curves(level, 1, "accuracy").figure.axes:
        boxes = [text.get_window_extent() for text in ax.texts if not text.get_text().startswith("best")]
        assert len(boxes) >= 2
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_without_validation_only_training_is_drawn():
    rows = [row | {"valid_loss": None, "valid_metric": None} for row in ROWS]
    picture = views.curves(rows, 3, "ROC AUC")
    said = [text.get_text() for text in texts(picture)]
    assert said.count("training") == 2
    assert "validation" not in said
    assert "validation" not in picture.alt
    assert len(picture.figure.axes[0].lines) == 2  # training and the best epoch


def test_one_epoch_can_be_seen():
    line = views.curves(ROWS[:1], 1, "ROC AUC").figure.axes[0].lines[0]
    assert line.get_marker() == "o"


def test_the_roc_curve_is_the_one_given():
    curve = metrics.roc_curve(TRUTH, SCORE)
    picture = views.roc(curve, SAID)
    drawn = picture.figure.axes[0].lines[1].get_xydata()
    assert drawn.tolist() == np.transpose([curve.false_positive_rate, curve.true_positive_rate]).tolist()
    assert picture.figure.axes[0].get_title("left").replace("\n", "; ") == SAID
    assert SAID in picture.alt


def test_each_score_is_a_point_and_each_error_a_cross():
    picture = views.scores(TRUTH, SCORE, ("CT-0", "CT-23"), threshold=0.4)
    dots_0, crosses_0, dots_1, crosses_1 = (points.get_offsets() for points in picture.figure.axes[0].collections)
    called = SCORE >= 0.4
    for points, wanted in (
        (dots_0, ~called & (TRUTH == 0)),
        (crosses_0, called & (TRUTH == 0)),
        (dots_1, called & (TRUTH == 1)),
        (crosses_1, ~called & (TRUTH == 1)),
    ):
        assert sorted(points[:, 0]) == sorted(SCORE[wanted])
    assert len(crosses_0) + len(crosses_1) > 0
    assert np.abs(np.concatenate([dots_0, crosses_0])[:, 1]).max() <= 0.25  # strips stay apart
    assert f"{len(dots_0)} of 10 CT-0 and {len(dots_1)} of 10 CT-23 are right" in picture.alt


def test_the_gallery_takes_the_slice_asked_for_or_the_one_with_most_mask():
    picture = views.gallery([SCAN] * 3, ["a", "b", "c"], [MASK, MASK, None], z=[None, 2, None])
    numbers = [text.get_text() for text in texts(picture) if text.get_text().startswith("slice")]
    assert numbers == ["slice 13", "slice 2", "slice 10"]


def test_without_errors_the_gallery_says_so():
    assert "no scan to show" in [text.get_text() for text in texts(views.gallery([], []))]


def test_heat_lies_where_it_was_measured_and_nowhere_else():
    grey = np.full(SHAPE, 0.5, np.float32)
    plain, warm = (panel(views.heat(grey, heat, z=13), 1) for heat in (-HEAT, HEAT))
    assert np.ptp(plain, axis=-1).max() == 0  # what is below 0 is not warm: all grey
    rows, columns = np.nonzero(np.ptp(warm, axis=-1) > 60)
    per_voxel = warm.shape[1] / SHAPE[0]
    assert (columns.mean() / per_voxel, rows.mean() / per_voxel) == pytest.approx((30 - 23, 24 - 7), abs=0.3)


def test_heat_chooses_the_slice_with_the_lesion_and_then_the_warmest():
    heat = np.zeros(SHAPE)
    heat[3, 3, 4] = 1
    assert "Slice 13 of 20" in views.heat(SCAN, heat, MASK).alt
    assert "Slice 4 of 20" in views.heat(SCAN, heat).alt
    assert "Slice 4 of 20" in views.heat(SCAN, heat, np.zeros(SHAPE, bool)).alt


def test_heat_says_when_there_is_nothing_to_outline():
    titles = [views.heat(SCAN, HEAT, *rest).figure.axes[2].get_title("left") for rest in ((), (MASK,), (MASK, 2))]
    assert titles == ["no mask for this scan", "lesion outlined", "no lesion in this slice"]


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: views.axial(SCAN, z=20), "from 0 to 19, but is 20"),
        (lambda: views.axial(SCAN, mask=MASK[1:]), "mask must be bool on the voxels"),
        (lambda: views.montage(np.full(SHAPE, np.nan)), "NaN or infinite"),
        (lambda: views.before_after(SCAN, [SCAN], []), "found 2 scans, but 1 titles"),
        (lambda: views.before_after(SCAN, [SCAN[1:]], ["cut"]), "must keep its shape"),
        (lambda: views.gallery([SCAN], []), "found 1 scans, but 0 captions"),
        (lambda: views.gallery([SCAN], ["a"], [MASK, MASK]), "but 2 masks"),
        (lambda: views.heat(SCAN, HEAT[1:]), r"but its shape is \(29, 24, 20\)"),
        (lambda: views.heat(SCAN, HEAT * np.nan), "NaN or infinity"),
        (lambda: views.curves(ROWS, 4, "ROC AUC"), r"\[1, 2, 3\], but is 4"),
        (lambda: views.scores([0, 1], [0.1, np.nan], "ab"), "case 1 has nan"),
        (lambda: views.scores([0, 1], [0.1, 0.2], ["a"]), "found the names"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(draw, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        draw()
    assert "\n" not in str(refusal.value)


def test_a_class_that_is_missing_leaves_a_figure_that_says_why():
    reason = str(metrics.roc_auc([1, 1], [0.2, 0.9]))
    empty = views.roc(metrics.RocCurve(np.array([]), np.array([]), np.array([])), reason)
    assert "cannot be measured: no normal case" in empty.figure.axes[0].get_title("left").replace("\n", " ")
    one_sided = views.scores([1, 1], [0.2, 0.9], ("CT-0", "CT-23"))
    assert "0 of 0 CT-0 and 1 of 2 CT-23" in one_sided.alt
    assert empty.png != one_sided.png


def test_curves_of_no_epoch_say_so():
    assert views.curves([], 0, "ROC AUC", "phantom").alt == ("No curves, because no epoch was finished (phantom data).")
