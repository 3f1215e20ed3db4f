"""The stack of axial pictures and its viewer: what lies where, what a move of a slider does, what stands still."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from helpers import ct, viewer
from helpers.viewer import SliceViewer, Stack

CUBES = (1.0, 1.0, 1.0)


def volume(hu, spacing=CUBES):
    return ct.Volume(np.asarray(hu, np.int16), spacing, "scan", "RAS")


def shown(slice_viewer):
    return np.asarray(Image.open(io.BytesIO(slice_viewer.image.value)).convert("RGB")).astype(int)


def is_orange(picture):
    return np.abs(picture - np.array(viewer.OUTLINE)).max(-1) < 30


@pytest.fixture
def noise():
    return volume(np.random.default_rng(0).integers(-1000, 400, (40, 30, 7)), (2.0, 2.0, 5.0))


@given(st.data(), st.tuples(*[st.integers(1, 6)] * 3))
def test_a_voxel_stands_in_front_on_top_and_right_on_the_left(data, shape):
    x, y, z = (data.draw(st.integers(0, size - 1)) for size in shape)
    scan = np.zeros(shape, np.float32)
    scan[x, y, z] = 1
    pictures = [Stack(scan).picture(number) for number in range(shape[2])]
    assert np.argwhere(pictures).tolist() == [[z, shape[1] - 1 - y, shape[0] - 1 - x]]


def test_the_viewer_shows_the_patients_front_right_at_the_top_left():
    hu = np.full((16, 16, 3), -1350)
    hu[12:, 12:, 1] = 150
    picture = shown(SliceViewer(volume(hu)))
    quarter = viewer.PIXELS // 4
    assert picture[10 : quarter - 20, 10 : quarter - 20].min() == 255
    assert picture[10 : quarter - 20, -quarter:].max() == 0  # the left: no letters up here
    assert picture[-quarter:-40].max() == 0


def test_letters_mark_the_sides():
    plain = shown(SliceViewer(volume(np.full((16, 16, 3), -1350))))
    lit = np.argwhere(plain.max(-1) > 200)
    beside = lit[lit[:, 0] < 400]  # above the footer
    assert set(beside[:, 1] < viewer.PIXELS / 2) == {True, False}
    assert np.abs(beside[:, 0] - viewer.PIXELS / 2).max() < 20
    assert np.abs(beside[:, 1] - viewer.PIXELS / 2).min() > 220
    top = beside[beside[:, 0] < beside[:, 0].min() + 3]  # the head of an R is broad, that of an L is its stem
    on_the_left = (top[:, 1] < viewer.PIXELS / 2).sum()
    assert on_the_left > 1.5 * (len(top) - on_the_left) > 0


@pytest.mark.parametrize(("spacing", "height"), [((1.0, 5.0, 3.0), 5), ((5.0, 1.0, 3.0), 0.2), ((0.7, 0.7, 9.0), 1)])
def test_proportions_are_those_of_the_patient(spacing, height):
    picture = shown(SliceViewer(volume(np.zeros((20, 20, 3)), spacing)))
    assert picture.shape[:2] == (round(viewer.PIXELS * height), viewer.PIXELS)


def test_the_windows_middle_is_middle_grey():
    for name, (low, high) in ct.WINDOWS.items():
        picture = shown(SliceViewer(volume(np.full((9, 9, 3), (low + high) / 2)), window=name))
        assert abs(np.median(picture) - 127.5) <= 256 / viewer.SHADES


def test_every_control_changes_the_picture_and_the_static_one_follows(noise):
    slice_viewer = SliceViewer(noise)
    seen = []
    for control, value in ((slice_viewer.z, 0), (slice_viewer.z, 6), (slice_viewer.window, "bone")):
        control.value = value
        seen.append(slice_viewer.image.value)
        bundle, metadata = slice_viewer._repr_mimebundle_()
        assert base64.b64decode(bundle["image/png"]) == seen[-1]
        assert f"slice {slice_viewer.z.value} of 7" in metadata["image/png"]["alt"]
    assert len(set(seen)) == 3
    assert bundle["text/plain"] == "SliceViewer(40 x 30 x 7 voxels, slice 6 of 7, bone window)"
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert slice_viewer.children == (slice_viewer.z, slice_viewer.window, slice_viewer.image)


def test_two_viewers_of_one_scan_are_the_same_to_the_byte(noise):
    (first, _), (second, _) = (SliceViewer(noise, origin="phantom")._repr_mimebundle_() for _ in range(2))
    widget = "application/vnd.jupyter.widget-view+json"
    assert first.pop(widget) != second.pop(widget)
    assert first == second


def test_a_move_windows_the_slice_shown_and_nothing_else(monkeypatch):
    slice_viewer = SliceViewer(volume(np.zeros((12, 10, 300))))
    sizes, window = [], ct.window
    monkeypatch.setattr(ct, "window", lambda hu, preset: sizes.append(np.shape(hu)) or window(hu, preset))
    slice_viewer.z.value = 17
    assert sizes == [(12, 10)]


def test_a_prepared_scan_has_no_window_to_choose():
    slice_viewer = SliceViewer(np.full((8, 8, 4), 0.5, np.float32))
    assert slice_viewer.window is None
    assert len(slice_viewer.children) == 2
    assert abs(np.median(shown(slice_viewer)) - 127.5) <= 256 / viewer.SHADES


def test_the_mask_is_outlined_and_opens_the_viewer():
    mask = np.zeros((32, 32, 9), bool)
    mask[20:28, 4:12, 6] = True
    slice_viewer = SliceViewer(volume(np.full((32, 32, 9), -600)), mask=mask)
    assert slice_viewer.z.value == 6
    rows, columns = np.nonzero(is_orange(shown(slice_viewer)))
    per_voxel = viewer.PIXELS / 32
    assert (rows.min(), rows.max() + 1) == (20 * per_voxel, 28 * per_voxel)
    assert (columns.min(), columns.max() + 1) == (4 * per_voxel, 12 * per_voxel)
    assert not is_orange(shown(slice_viewer))[21 * 16 : 27 * 16, 5 * 16 : 11 * 16].any()  # what is inside stays visible
    slice_viewer.z.value = 5
    assert not is_orange(shown(slice_viewer)).any()


def test_a_mask_at_the_rim_is_outlined_there_too():
    scan = np.zeros((16, 16, 2), np.float32)
    assert is_orange(shown(SliceViewer(scan, mask=np.ones(scan.shape, bool))))[0].mean() > 0.9


def test_the_origin_is_written_at_the_bottom_and_nowhere_else(noise):
    changed = np.argwhere((shown(SliceViewer(noise)) != shown(SliceViewer(noise, origin="phantom"))).any(-1))
    height = viewer.PIXELS * 30 / 40
    assert len(changed) > 200
    assert changed[:, 0].min() > height - 40


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


def test_a_slice_that_is_not_there_is_refused():
    stack = Stack(np.zeros((4, 4, 5)))
    assert (stack.choose(0), stack.choose(4), stack.choose(None)) == (0, 4, 2)
    for z in (-1, 5):
        with pytest.raises(ValueError, match=f"from 0 to 4, but is {z}"):
            stack.choose(z)
