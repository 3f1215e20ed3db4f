"""Pictures of what the network sees: the line stands where L3 is, nothing is left out, and words say the same."""

import numpy as np
import pytest

from helpers import views
from helpers.pictures import GREEN


def images(*heights):
    return [np.pad(np.full((rows, 24), 0.5), ((0, 64 - rows), (0, 0))) for rows in heights]


def test_the_line_stands_at_its_row_and_only_where_l3_is_in_view():
    picture = views.inputs(images(60, 40), [33.0, np.nan], ["a", "b"], origin="phantom")
    first, second = picture.figure.axes
    assert [line.get_ydata()[0] for line in first.lines] == [33.0]
    assert first.lines[0].get_color() == GREEN
    assert not second.lines
    assert picture.alt == "2 images as the network sees them: a (L3 in row 33), b (L3 not in view) (phantom data)."


def test_all_are_on_one_scale_down_to_the_last_row_that_shows_something():
    axes = views.inputs(images(60, 40), [1.0, 1.0], ["a", "b"]).figure.axes
    assert {ax.get_ylim() for ax in axes} == {(59.5, -0.5)}
    assert {ax.get_window_extent().height for ax in axes} == {axes[0].get_window_extent().height}


def test_bytes_and_shares_look_alike():
    share = images(60)[0]
    drawn = [views.inputs([image], [3.0], ["a"]).png for image in (share, np.round(share * 255).astype(np.uint8) / 255)]
    assert drawn[1] == views.inputs([np.round(share * 255).astype(np.uint8)], [3.0], ["a"]).png
    assert len(drawn[0]) > 1000


@pytest.mark.parametrize("lists", [([], [], []), (images(9), [], ["a"]), (images(9), [1.0], ["a", "b"])])
def test_lists_that_do_not_pair_are_refused(lists):
    with pytest.raises(ValueError, match="its row and its caption"):
        views.inputs(*lists)
