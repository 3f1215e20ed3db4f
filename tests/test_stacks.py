"""A stack of slices: what lies where in each plane, whatever order the file was stored in, and what is refused."""

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from helpers import ct
from helpers.stacks import AXES, MARKS, Stack

CUBES = (1.0, 1.0, 1.0)
TOWARDS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "H": (2, 1), "F": (2, -1)}  # axis of RAS+, sign


def volume(hu, spacing=CUBES):
    return ct.Volume(np.asarray(hu, np.int16), spacing, "scan", "RAS")


@given(st.data(), st.sampled_from(list(AXES)), st.tuples(*[st.integers(1, 6)] * 3))
def test_a_voxel_lies_where_the_marks_say(data, plane, shape):
    voxel = [data.draw(st.integers(0, size - 1)) for size in shape]
    scan = np.zeros(shape, np.float32)
    scan[tuple(voxel)] = 1
    stack = Stack(scan, plane=plane)
    ((number, row, column),) = np.argwhere([stack.picture(number) for number in range(len(stack))])
    assert number == voxel[AXES[plane]]
    left, right, top, bottom = (TOWARDS[letter] for letter in MARKS[plane])
    for towards, steps in ((left, column), (top, row)):  # steps away from the edge that bears the mark
        axis, sign = towards
        assert steps == (shape[axis] - 1 - voxel[axis] if sign > 0 else voxel[axis])
    assert (left[0], left[1]) == (right[0], -right[1])
    assert (top[0], top[1]) == (bottom[0], -bottom[1])


@pytest.mark.parametrize("stored", ["RAS", "LPS", "LAI", "SPR", "AIL"])
def test_the_front_left_head_stands_in_its_corner_however_the_file_was_stored(tmp_path, stored):
    hu = np.full((20, 24, 16), -1000, np.int16)
    hu[:5, -6:, -4:] = 400  # in RAS+: the patient's left, front, head
    image = nibabel.Nifti1Image(hu, np.diag([1.5, 1.0, 2.5, 1.0]))
    turned = image.as_reoriented(ornt_transform(io_orientation(image.affine), axcodes2ornt(stored)))
    nibabel.save(turned, tmp_path / "scan.nii.gz")
    scan = ct.read_volume(tmp_path / "scan.nii.gz")
    assert scan.file_axes == stored
    # The plane, a slice through the block, one beside it, the corner's rows and columns, and the size in mm.
    for plane, through, beside, rows, columns, size in (
        ("axial", 14, 3, slice(0, 6), slice(15, 20), (30, 24)),  # front on top, the patient's left on the right
        ("coronal", 20, 3, slice(0, 4), slice(15, 20), (30, 40)),  # head on top, the patient's left on the right
        ("sagittal", 2, 15, slice(0, 4), slice(0, 6), (24, 40)),  # head on top, front on the left
    ):
        stack = Stack(scan, (-1000, 400), plane=plane)
        picture = stack.picture(through)
        expected = np.zeros_like(picture)
        expected[rows, columns] = 1
        np.testing.assert_array_equal(picture, expected)
        assert not stack.picture(beside).any()
        assert (stack.width, stack.height) == pytest.approx(size)


def test_a_slice_is_cut_in_place():
    values = np.arange(60).reshape(3, 4, 5)
    for plane in AXES:
        assert np.shares_memory(Stack(values / 60, plane=plane).cut(values, 1), values)


def test_each_plane_opens_where_most_of_the_mask_lies():
    mask = np.zeros((6, 7, 8), bool)
    mask[1, 2:5, 3:7] = True
    mask[:4, 6, 7] = True
    expected = {plane: int(mask.sum(tuple({0, 1, 2} - {axis})).argmax()) for plane, axis in AXES.items()}
    assert expected == {"axial": 7, "coronal": 2, "sagittal": 1}
    for plane, number in expected.items():
        assert Stack(np.zeros(mask.shape), mask=mask, plane=plane).choose(None) == number
        assert Stack(np.zeros(mask.shape), plane=plane).choose(None, mask) == number
        assert Stack(np.zeros(mask.shape), mask=mask & False, plane=plane).choose(None) == mask.shape[AXES[plane]] // 2


def test_words_name_plane_slice_window_and_sides():
    scan = volume(np.zeros((4, 5, 6)))
    said = [Stack(scan, "bone", plane=plane).describe(2) for plane in AXES]
    assert said == [
        "axial slice 2 of 6, bone window, the patient's right on the left, front on top",
        "coronal slice 2 of 5, bone window, the patient's right on the left, head on top",
        "sagittal slice 2 of 4, bone window, front on the left, head on top",
    ]
    assert Stack(scan, (-160, 240)).caption(0) == "slice 0 of 6, -160 to 240 HU window"


def test_a_plane_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="one of axial, coronal, sagittal, but is 'oblique'"):
        Stack(np.zeros((4, 4, 5)), plane="oblique")


@pytest.mark.parametrize(("plane", "last"), [("axial", 4), ("coronal", 3), ("sagittal", 2)])
def test_a_slice_that_is_not_there_is_refused(plane, last):
    stack = Stack(np.zeros((3, 4, 5)), plane=plane)
    assert (stack.choose(0), stack.choose(last), stack.choose(None)) == (0, last, (last + 1) // 2)
    for number in (-1, last + 1):
        with pytest.raises(ValueError, match=f"from 0 to {last}, but is {number}"):
            stack.choose(number)
