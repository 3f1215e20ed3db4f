"""The slice viewer: what a move of a control does, what it costs, what is said and drawn, and what stands still."""

import base64
import io
import time

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from helpers import ct, viewer
from helpers.stacks import MARKS, Stack
from helpers.viewer import LOWEST, PIXELS, STRIP, SliceViewer

CUBES = (1.0, 1.0, 1.0)
PLANES = ("axial", "coronal", "sagittal")


def volume(hu, spacing=CUBES):
    return ct.Volume(np.asarray(hu, np.int16), spacing, "scan", "RAS")


def shown(slice_viewer):
    return np.asarray(Image.open(io.BytesIO(slice_viewer.image.value)).convert("RGB")).astype(int)


def is_orange(picture):
    return np.abs(picture - np.array(viewer.OUTLINE)).max(-1) < 30


@pytest.fixture
def noise():
    return volume(np.random.default_rng(0).integers(-1000, 400, (40, 30, 7)), (2.0, 2.0, 5.0))


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("flip", [False, True], ids=["right front head", "left back feet"])
def test_a_block_stands_in_its_corner_in_each_plane(plane, flip):
    hu = np.full((20, 16, 12), -1350)
    hu[15:, 12:, 9:] = 150
    hu = hu[::-1, ::-1, ::-1] if flip else hu
    slice_viewer = SliceViewer(volume(hu))
    slice_viewer.plane.value = plane
    slice_viewer.slice.value = 1 if flip else slice_viewer.slice.max - 1
    picture = shown(slice_viewer)[:-STRIP]
    margin = 40  # the marks stand in the middle of the edges
    high, wide = (size // 4 - margin for size in picture.shape[:2])
    corners = {
        "top left": picture[:high, :wide],
        "top right": picture[:high, -wide:],
        "bottom left": picture[-high:, :wide],
        "bottom right": picture[-high:, -wide:],
    }
    bright = "bottom right" if flip else "top left"
    assert corners.pop(bright).min() == 255
    assert max(corner.max() for corner in corners.values()) == 0


def glyph(letter, ground):
    page = Image.new("L", (40, 40), ground)
    ImageDraw.Draw(page).text(
        (20, 20), letter, "white", ImageFont.load_default(18), "mm", stroke_width=2, stroke_fill=0
    )
    return inked(np.asarray(page), ground)


def inked(pixels, ground):
    """What was written on the ground, pushed into the corner of a small page."""
    there = np.abs(pixels.astype(int) - ground) > 128
    rows, columns = (np.flatnonzero(there.any(axis)) for axis in (1, 0))
    page = np.zeros((24, 24), bool)
    part = there[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    page[: part.shape[0], : part.shape[1]] = part
    return page


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize(("hu", "depth"), [(-1350, 0.02), (-1350, 1.0), (150, 0.15), (150, 1.0), (150, 3.0)])
def test_letters_mark_the_four_edges(plane, hu, depth):
    """Read by likeness, on white through the black rim; where the slice is narrow, on the black beside it."""
    slice_viewer = SliceViewer(volume(np.full((16, 16, 16), hu), (1.0, 1.0, depth)))
    slice_viewer.plane.value = plane
    picture = shown(slice_viewer)[:-STRIP].max(-1)
    height = len(picture)
    middle, centre = slice(height // 2 - 12, height // 2 + 12), slice(PIXELS // 2 - 12, PIXELS // 2 + 12)
    edges = (middle, slice(4, 28)), (middle, slice(-28, -4)), (slice(4, 28), centre), (slice(-28, -4), centre)
    read = ""
    for edge in edges:
        ground = int(picture[edge][0, 0])
        written = inked(picture[edge], ground)
        read += min("RLAPHF", key=lambda letter: (written ^ glyph(letter, ground)).sum())
    assert read == MARKS[plane]


@pytest.mark.parametrize(
    ("spacing", "sizes"),  # height and width in pixels of the axial, coronal and sagittal slice
    [
        ((1.0, 1.0, 0.5), ((512, 512), (256, 512), (256, 512))),
        ((1.0, 0.5, 2.0), ((256, 512), (512, 256), (512, 128))),
        ((0.5, 1.0, 1.0), ((512, 256), (512, 256), (512, 512))),
        ((1.0, 1.0, 0.05), ((512, 512), (26, 512), (26, 512))),  # lies in the middle of a higher picture
    ],
)
def test_proportions_are_those_of_the_patient(spacing, sizes):
    slice_viewer = SliceViewer(volume(np.full((20, 20, 20), -600), spacing))
    for plane, (height, width) in zip(PLANES, sizes, strict=True):
        slice_viewer.plane.value = plane
        picture = shown(slice_viewer)
        assert picture.shape[:2] == (max(height, LOWEST) + STRIP, PIXELS)
        grey = picture[:-STRIP, :, 0] == viewer.GREYS[32]
        rows, columns = (np.flatnonzero(grey.sum(axis) > 20) for axis in (1, 0))  # more than the rim of a letter has
        assert (rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1) == (height, width)


def test_the_windows_middle_is_middle_grey():
    for name, (low, high) in ct.WINDOWS.items():
        picture = shown(SliceViewer(volume(np.full((9, 9, 3), (low + high) / 2)), window=name))
        assert abs(np.median(picture) - 127.5) <= 256 / viewer.SHADES


def test_every_control_changes_the_picture_and_the_static_one_follows(noise):
    mask = np.zeros(noise.hu.shape, bool)
    mask[10:20, 10:20, 2:5] = True
    slice_viewer = SliceViewer(noise, mask=mask, origin="phantom")
    seen, said = [slice_viewer.image.value], []
    moves = [("slice", 4), ("window", "bone"), ("plane", "coronal"), ("slice", 12), ("outline", False)]
    for name, value in [*moves, ("plane", "sagittal")]:
        getattr(slice_viewer, name).value = value
        seen.append(slice_viewer.image.value)
        bundle, metadata = slice_viewer._repr_mimebundle_()
        assert base64.b64decode(bundle["image/png"]) == seen[-1]
        said.append(metadata["image/png"]["alt"])
        assert f">{said[-1]}<" in slice_viewer.text.value
    assert len(set(seen)) == 7
    assert len(set(said)) == 6
    hanging = "bone window, the patient's right on the left, head on top, mask not outlined (phantom data)."
    assert said[-2] == f"Coronal slice 12 of 30, {hanging}"
    assert bundle["text/plain"] == "SliceViewer(40 x 30 x 7 voxels, sagittal slice 10 of 40, bone window)"
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_each_plane_keeps_its_own_slice(noise):
    mask = np.zeros(noise.hu.shape, bool)
    mask[33, 25, 1] = True
    slice_viewer = SliceViewer(noise, mask=mask)
    opened = []
    for plane in PLANES:
        slice_viewer.plane.value = plane
        opened.append((slice_viewer.slice.value, slice_viewer.slice.max))
    assert opened == [(1, 6), (25, 29), (33, 39)]
    slice_viewer.slice.value = 39
    for plane, number, last in (("axial", 1, 6), ("sagittal", 39, 39), ("coronal", 25, 29), ("sagittal", 39, 39)):
        slice_viewer.plane.value = plane
        assert (slice_viewer.slice.min, slice_viewer.slice.value, slice_viewer.slice.max) == (0, number, last)


def test_every_move_draws_once(noise):
    """Planes too, whether the slider's range shrinks or grows and whether its value changes with it or not."""
    slice_viewer = SliceViewer(noise, mask=np.ones(noise.hu.shape, bool))
    drawn = []
    slice_viewer.image.observe(lambda change: drawn.append(change.new), "value")
    moves = [("plane", plane) for plane in ("sagittal", "axial", "coronal", "sagittal", "coronal")]
    moves += [("slice", 9), ("plane", "axial"), ("slice", 6), ("plane", "coronal"), ("window", "bone")]
    for name, value in [*moves, ("outline", False)]:
        before = len(drawn)
        getattr(slice_viewer, name).value = value
        assert len(drawn) == before + 1, (name, value)


def test_two_viewers_of_one_scan_are_the_same_to_the_byte(noise):
    (first, _), (second, _) = (SliceViewer(noise, origin="phantom")._repr_mimebundle_() for _ in range(2))
    widget = "application/vnd.jupyter.widget-view+json"
    assert first.pop(widget) != second.pop(widget)
    assert first == second


def test_a_move_windows_the_slice_shown_and_nothing_else(monkeypatch):
    slice_viewer = SliceViewer(volume(np.zeros((12, 10, 300))))
    sizes, window = [], ct.window
    monkeypatch.setattr(ct, "window", lambda hu, preset: sizes.append(np.shape(hu)) or window(hu, preset))
    slice_viewer.slice.value = 17
    slice_viewer.plane.value = "coronal"
    slice_viewer.slice.value = 7
    slice_viewer.plane.value = "sagittal"
    assert sizes == [(10, 12), (300, 12), (300, 12), (300, 10)]


@pytest.mark.parametrize(("kind", "order"), [(np.int16, "F"), (np.float32, "C")])
def test_a_move_on_a_large_scan_costs_little_more_than_on_a_small_one(kind, order):
    """The large scan has 500 times the voxels; a move that goes through all of them takes thrice as long at least."""
    grain = np.random.default_rng(0).integers(-1000, 400, (64, 64, 38)).astype(kind)
    hu = np.empty((512, 512, 300), kind, order)
    for x in range(0, 512, 64):
        for y in range(0, 512, 64):
            for z in range(0, 300, 38):
                hu[x : x + 64, y : y + 64, z : z + 38] = grain[:, :, : 300 - z]
    small = SliceViewer(ct.Volume(grain, (8.0, 8.0, 8.0), "small", "RAS"), mask=grain > 0)
    large = SliceViewer(ct.Volume(hu, CUBES, "large", "RAS"), mask=hu > 0)
    for plane in PLANES:
        small.plane.value = large.plane.value = plane
        least = {}
        for slice_viewer in (small, large):
            spent = []
            for step in range(1, 9):
                start = time.perf_counter()
                slice_viewer.slice.value = slice_viewer.slice.max * step // 9
                spent.append(time.perf_counter() - start)
            least[slice_viewer] = min(spent)
        assert least[large] < 2.5 * least[small], plane


def test_a_prepared_scan_has_no_window_to_choose():
    slice_viewer = SliceViewer(np.full((8, 8, 4), 0.5, np.float32))
    assert (slice_viewer.window, slice_viewer.outline) == (None, None)
    assert slice_viewer.children == (slice_viewer.plane, slice_viewer.slice, slice_viewer.image, slice_viewer.text)
    assert abs(np.median(shown(slice_viewer)) - 127.5) <= 256 / viewer.SHADES
    assert "window" not in slice_viewer.text.value


def test_every_control_is_on_the_page_above_the_picture(noise):
    slice_viewer = SliceViewer(noise, mask=np.ones(noise.hu.shape, bool))
    names = [control.description for control in slice_viewer.children[:4]]
    assert names == ["plane", "slice", "window", "outline"]
    assert slice_viewer.children[4:] == (slice_viewer.image, slice_viewer.text)
    assert slice_viewer.plane.options == PLANES


def test_the_mask_is_outlined_and_opens_the_viewer():
    mask = np.zeros((32, 32, 9), bool)
    mask[20:28, 4:12, 6] = True
    slice_viewer = SliceViewer(volume(np.full((32, 32, 9), -600)), mask=mask)
    assert slice_viewer.slice.value == 6
    rows, columns = np.nonzero(is_orange(shown(slice_viewer)))
    per_voxel = PIXELS / 32
    assert (rows.min(), rows.max() + 1) == (20 * per_voxel, 28 * per_voxel)
    assert (columns.min(), columns.max() + 1) == (4 * per_voxel, 12 * per_voxel)
    assert not is_orange(shown(slice_viewer))[21 * 16 : 27 * 16, 5 * 16 : 11 * 16].any()  # what is inside stays visible
    assert slice_viewer.text.value.count("mask outlined") == 1
    slice_viewer.outline.value = False
    assert not is_orange(shown(slice_viewer)).any()
    slice_viewer.outline.value = True
    slice_viewer.slice.value = 5
    assert not is_orange(shown(slice_viewer)).any()
    assert "no mask here" in slice_viewer.text.value


def test_the_outline_lies_on_the_voxels_of_the_mask_in_every_plane():
    mask = np.zeros((32, 24, 16), bool)
    mask[20:28, 4:12, 6:10] = True
    slice_viewer = SliceViewer(volume(np.full(mask.shape, -600), (1.0, 1.0, 2.0)), mask=mask)
    # Rows and columns in mm, of a picture 32 mm wide: 32 x 24, 32 x 32, and 24 x 32 in the middle of the width.
    for plane, rows, columns in (
        ("axial", (12, 20), (4, 12)),
        ("coronal", (12, 20), (4, 12)),
        ("sagittal", (12, 20), (4 + 12, 4 + 20)),
    ):
        slice_viewer.plane.value = plane
        orange = [np.flatnonzero(is_orange(shown(slice_viewer)).any(axis)) for axis in (1, 0)]
        assert [(place[0] / 16, (place[-1] + 1) / 16) for place in orange] == [rows, columns], plane


def test_a_mask_at_the_rim_is_outlined_there_too():
    scan = np.zeros((16, 16, 2), np.float32)
    assert is_orange(shown(SliceViewer(scan, mask=np.ones(scan.shape, bool))))[0].mean() > 0.9


def test_the_origin_is_written_below_the_picture_and_nowhere_else(noise):
    for plane in PLANES:
        plain, named = SliceViewer(noise), SliceViewer(noise, origin="phantom")
        plain.plane.value = named.plane.value = plane
        changed = np.argwhere((shown(plain) != shown(named)).any(-1))
        assert len(changed) > 200
        assert changed[:, 0].min() >= len(shown(plain)) - STRIP


def test_the_longest_caption_fits_its_line():
    slice_viewer = SliceViewer(volume(np.zeros((2000, 2, 2))), window="mediastinum", origin="phantom")
    slice_viewer.plane.value = "sagittal"
    strip = shown(slice_viewer)[-STRIP:].max(-1)
    assert strip[:, 300:].max() > 200
    assert strip[:, -8:].max() == strip[0].max() == strip[-1].max() == 0


def test_the_static_picture_of_a_real_scan_is_light(realdata):
    scan = ct.read_volume(realdata / "ct" / "lidc_0314_512x512x28.nii.gz")
    slice_viewer = SliceViewer(scan, mask=(scan.hu > -950) & (scan.hu < -500), origin="real")
    for window in ct.WINDOWS:
        slice_viewer.window.value = window
        for plane in PLANES:
            slice_viewer.plane.value = plane
            assert len(slice_viewer.image.value) < 120_000, (window, plane)


NAN = np.full((4, 4, 4), np.nan, np.float32)


@pytest.mark.parametrize(
    ("scan", "arguments", "sentence"),
    [
        (np.zeros((4, 4)), {}, r"three axes .* but its shape is \(4, 4\)"),
        (np.zeros((4, 4, 0)), {}, r"three axes"),
        (NAN, {}, "NaN or infinite"),
        (ct.Volume(NAN, CUBES, "scan", "RAS"), {}, "NaN or infinite"),
        (np.full((4, 4, 4), -700.0), {}, "found -700 to -700: wrap Hounsfield units in a ct.Volume"),
        (volume(np.zeros((4, 4, 4))), {"spacing": CUBES}, "knows its own spacing"),
        (volume(np.zeros((4, 4, 4))), {"window": "brain"}, "one of published, lung, .* but is 'brain'"),
        (np.zeros((4, 4, 4)), {"spacing": (1.0, 1.0)}, "three lengths in mm, but is"),
        (np.zeros((4, 4, 4)), {"spacing": (1.0, 0.0, 1.0)}, "three lengths in mm, but is"),
        (np.zeros((4, 4, 4)), {"mask": np.zeros((4, 4, 5), bool)}, r"bool \(4, 4, 5\) on a scan of \(4, 4, 4\)"),
        (np.zeros((4, 4, 4)), {"mask": np.zeros((4, 4, 4), np.uint8)}, "must be bool .* but is uint8"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_sentence(scan, arguments, sentence):
    for show in (Stack, SliceViewer):
        with pytest.raises(ValueError, match=sentence) as refusal:
            show(scan, **arguments)
        assert "\n" not in str(refusal.value)
