"""The tutorial's mistakes on tables and masks: known answers, the published table, and what must always hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import masks, overlap, siim_flaws

SHAPE = (12, 9)
DRAWN = st.lists(st.integers(0, 2**32), min_size=2, max_size=4)


def drawn_mask(seed):
    """A mask of one rectangle."""
    rng, mask = np.random.default_rng(seed), np.zeros(SHAPE, bool)
    top, left = rng.integers(0, 8), rng.integers(0, 6)
    mask[top : top + rng.integers(1, 5), left : left + rng.integers(1, 4)] = True
    return mask


def counts(*rows):
    return overlap.Overlaps(*np.array(rows).T)


@pytest.mark.parametrize(("written", "turned"), [("-1", 3), (" -1", 0), ("", 3)])
def test_healthy_images_turn_ill_unless_written_with_the_space(written, turned):
    table = {"a": ["-1"], "b": [" -1"], "c": ["5 2", "9 1"], "d": [""], "e": ["0 1"]}
    found = siim_flaws.misread(table, written)
    assert found == (written, 5, 3, 2, turned)
    assert f"{2 + turned} of 5 instead of 2" in str(found)


@pytest.mark.parametrize("text", ["-1", " -1", "", "5 2"])
def test_what_the_tutorial_knows_is_one_text_alone(text):
    """Its own rule, on one text: ill unless equal to " -1"."""
    taken_for_ill = text != siim_flaws.KNOWN
    found = siim_flaws.misread({"a": [text]}, written=text)
    assert found.ill + found.turned == taken_for_ill


@given(DRAWN)
def test_several_masks_are_compared_as_pixels_would_be(seeds):
    parts = [drawn_mask(seed) for seed in seeds]
    table = {"a": [masks.encode_rle(part) for part in parts], "b": ["-1"], "c": ["0 5"]}
    found = siim_flaws.several_masks(table, SHAPE)
    union, added, last = np.any(parts, axis=0), np.sum(parts, axis=0), parts[-1]
    assert found.images == 1
    assert found.overlapping == (added > 1).any()
    assert found.lost == pytest.approx(1 - last.sum() / union.sum())
    assert found.dice == pytest.approx(overlap.dice(union, last))
    assert found.twice == pytest.approx((added - union).sum() / union.sum())
    assert found.highest == pytest.approx(2 * (added * union).sum() / (added.sum() + union.sum()))
    assert found.highest >= 1


def test_masks_side_by_side_lose_only_by_keeping_the_last():
    table = {"a": ["0 30", "40 10"], "b": ["0 20", "40 20"]}
    found = siim_flaws.several_masks(table, SHAPE)
    assert (found.images, found.overlapping, found.twice, found.highest) == (2, 0, 0.0, 1.0)
    assert found.lost == pytest.approx(50 / 80)
    assert found.dice == pytest.approx((2 * 10 / 50 + 2 * 20 / 60) / 2)
    assert str(found).startswith("Of 2 images with several masks 0 overlap: the last mask alone loses 62 % of the")
    with pytest.raises(ValueError, match="none of 1 images has them"):
        siim_flaws.several_masks({"a": ["0 5", "-1"]}, SHAPE)


def test_the_published_table(realdata):
    table = masks.read_table(realdata / "siim" / "train-rle.csv.gz").images
    assert siim_flaws.misread(table) == ("-1", 12047, 9378, 2669, 9378)
    several = [name for name, texts in table.items() if len(texts) > 1]
    found = siim_flaws.several_masks({name: table[name] for name in several[:60]}, (1024, 1024))
    assert found.images == 60
    assert 5 < found.overlapping < 40
    assert 0.4 < found.lost < 0.65
    assert found.highest > 1.05


def test_dice_is_four_different_figures():
    # a large one found, a small one missed, a false alarm, a healthy one; in batches of two
    found = siim_flaws.dice_kinds(counts((900, 1000, 1000), (0, 20, 0), (0, 0, 50), (0, 0, 0)), batch=2)
    assert found.per_image == pytest.approx((0.9 + 0 + 0 + 1) / 4)
    assert found.positives == pytest.approx(0.45)
    assert found.pooled == pytest.approx(1800 / 2070)
    assert found.batches == pytest.approx((1800 / 2020 + 0) / 2)
    assert found.all_empty == 0.5
    assert "per image 0.475, positives only 0.450, pooled 0.870, pooled by batch 0.446; all-empty" in str(found)


COUNTS = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))


@given(st.lists(COUNTS, min_size=1, max_size=20), st.integers(1, 9))
def test_the_kinds_agree_where_they_must(rows, batch):
    overlaps = counts(*[(both, both + truth, both + found) for both, truth, found in rows])
    found = siim_flaws.dice_kinds(overlaps, batch)
    assert found.pooled == pytest.approx(siim_flaws.dice_kinds(overlaps, len(rows)).batches)
    assert found.per_image == pytest.approx(siim_flaws.dice_kinds(overlaps, 1).batches)
    nothing = overlap.Overlaps(np.zeros(len(rows), int), overlaps.truth, np.zeros(len(rows), int))
    assert found.all_empty == pytest.approx(nothing.dice.mean())


def test_without_positives_their_dice_is_unknown_and_without_images_all_is():
    assert np.isnan(siim_flaws.dice_kinds(counts((0, 0, 7))).positives)
    for images, batch in ((0, 16), (3, 0)):
        with pytest.raises(ValueError, match=f"found {images} in batches of {batch}"):
            siim_flaws.dice_kinds(overlap.Overlaps(*np.zeros((3, images), int)), batch)


def test_a_batch_normalisation_takes_the_scale_back():
    images = np.random.default_rng(1).random((3, 40, 40), np.float32)
    layer = siim_flaws.first_layer(images)
    assert layer.bytes == pytest.approx(255 * layer.unit)
    # independent greys of SD 12^-0.5 through nine weights of variance 2/9
    assert layer.unit == pytest.approx((2 / 12) ** 0.5, rel=0.25)
    assert 0 < layer.apart < 0.001
    assert siim_flaws.first_layer(images) == layer
    assert siim_flaws.first_layer(images * 0.02).apart > 10 * layer.apart  # faint images meet the epsilon
    for wrong in (images * 255, images[0], images[:0]):
        with pytest.raises(ValueError, match="are expected"):
            siim_flaws.first_layer(wrong)


@given(st.integers(0, 5000), st.integers(1, 64))
def test_whole_batches_and_what_is_never_seen_make_all(images, batch):
    found = siim_flaws.never_validated(images, batch)
    assert 0 <= found.unseen < batch
    assert found.unseen + len(range(0, images - batch + 1, batch)) * batch == images


def test_batches_without_images_are_refused():
    with pytest.raises(ValueError, match="found 9 in batches of 0"):
        siim_flaws.never_validated(9, 0)
