"""The tutorial's mistakes as arithmetic: known answers, and what must hold for any errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers import ct, l3_flaws, localization, mip

ERRORS = arrays(float, st.integers(1, 40), elements=st.floats(-300, 300))


@given(ERRORS)
def test_means_stay_between_the_smallest_and_the_largest_error_and_repeat(errors):
    drawn = l3_flaws.means(errors, 8)
    assert abs(errors).min() - 1e-9 <= drawn.min() <= drawn.max() <= abs(errors).max() + 1e-9
    assert np.array_equal(drawn, l3_flaws.means(-errors, 8))


def test_means_of_more_scans_jump_less_and_lie_around_the_mean():
    errors = np.random.default_rng(0).exponential(10, 200)
    spread = [np.std(l3_flaws.means(errors, count)) for count in (8, 32, 128)]
    assert spread[0] > 1.8 * spread[1] > 3 * spread[2]  # halved by four times as many
    assert np.mean(l3_flaws.means(errors, 8)) == pytest.approx(errors.mean(), abs=0.3)


def test_no_error_has_no_mean():
    with pytest.raises(ValueError, match="no error to draw from"):
        l3_flaws.means([])


def test_the_sentence_names_the_mean_that_the_tutorial_reports():
    assert l3_flaws.say_means(l3_flaws.PRINTED).startswith("Mean error of all 8 scans 8.5 mm; ")


@given(ERRORS)
def test_measured_its_way_every_error_moves_six_millimetres_towards_the_feet(errors):
    truth = np.full(len(errors), 400.0)
    assert l3_flaws.edge_errors(truth + errors, truth) == pytest.approx(errors + 6)


def test_scans_without_l3_are_no_part_of_it():
    assert l3_flaws.edge_errors([10.0, 50.0], [np.nan, 50.0]).tolist() == [6.0]


def test_the_six_is_that_of_the_labels_themselves():
    """Drawn, read and compared as the tutorial does, on a label of 1 mm rows."""
    label = localization.band(200, (512, 512), half_mm=l3_flaws.HALF)
    upper = np.flatnonzero(label.any(axis=1))[0]
    middle = np.flatnonzero(label.any(axis=1)).mean()
    assert middle + l3_flaws.ADDED - upper == l3_flaws.edge_errors([200.0], [200.0])[0]


def test_the_label_overruns_the_mask_by_a_twentieth_of_the_columns():
    label, black = l3_flaws.overrun(1000)
    assert (label, black) == (350, 50)
    image = mip.blank_sides(np.ones((1, 1000)))[0]
    assert image[649] == 1
    assert not image[650:700].any()


def test_scans_are_counted_by_what_512_mm_do_to_them():
    images = np.zeros((5, 2, 300, 4), np.uint8)
    for scan, end in enumerate((100, 170, 171, 250, 250)):  # 300, 510, 513, 750 and 750 mm
        images[scan, :, :end] = 7
    lost = l3_flaws.lost(images, [0.5, 160.0, np.nan, 170.0, 171.0], mm=3.0)
    assert lost == (5, 4, 3, 1, 1)  # L3 at 510 mm is still on the image, at 513 no more; at 1.5 mm its label vanishes
    assert str(lost).startswith("Of 5 scans 3 would lose their lower end; of 4 with L3 1 would be dropped, 1 would")


def test_the_grey_of_bone_depends_on_the_brightest_voxel_alone():
    low, high = mip.WINDOW
    hu = np.array([[[100.0, 400.0]], [[400.0, 800.0]], [[400.0, 3000.0]]])
    images = np.round(ct.window(hu, mip.WINDOW) * 255).astype(np.uint8)
    by_hand = [(400 - low) / (min(scan.max(), high) - low) for scan in hu]
    assert l3_flaws.greys(images, hu=400) == pytest.approx(by_hand, rel=0.01)
    assert l3_flaws.greys(images)[2] == pytest.approx(ct.window(np.array(400.0), mip.WINDOW))
