"""Copies of a picture: found after what people do to files, and different chests told apart."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import duplicates


def picture(seed: int, shape=(160, 140)) -> np.ndarray:
    """Soft blobs of all sizes, uint8; no two seeds alike."""
    rng = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(rng.normal(size=shape), (0, 0), size) * size for size in (3, 8, 20)]
    image = sum(layers)
    return np.uint8(20 + 200 * (image - image.min()) / np.ptp(image))


def resave(image, quality):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)


def resize(image, scale):
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def grade(image, gain, shift):
    return np.uint8(np.clip(gain * image.astype(float) + shift, 0, 255))


CHANGES = {
    "nothing": lambda image: image,
    "JPEG of quality 60": lambda image: resave(image, 60),
    "JPEG of quality 90": lambda image: resave(image, 90),
    "half": lambda image: resize(image, 0.5),
    "twice": lambda image: resize(image, 2),
    "a third, and JPEG": lambda image: resave(resize(image, 0.35), 70),
    "brighter": lambda image: grade(image, 1, 12),
    "less contrast": lambda image: grade(image, 0.8, 20),
    "other range": lambda image: image / 255.0,
    "16 bits": lambda image: image.astype(np.uint16) * 257,
}
TOLD_APART = {
    "mirrored": lambda image: image[:, ::-1],
    "upside down": lambda image: image[::-1],
    "a quarter": lambda image: image[: len(image) // 2, : image.shape[1] // 2],
    "negative": lambda image: 255 - image,
}


def pairs(images):
    marks = [duplicates.mark(image) for image in images]
    hashes, details = np.array([mark.hash for mark in marks], np.uint64), np.stack([mark.details for mark in marks])
    return {(int(one), int(other)) for one, other in duplicates.near_pairs(hashes, details)}


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_found_and_nothing_else(change):
    originals = [picture(seed) for seed in range(12)]
    copies = [CHANGES[change](image) for image in originals]
    assert pairs(originals + copies) == {(i, i + 12) for i in range(12)}


@pytest.mark.parametrize("change", TOLD_APART)
def test_other_pictures_are_told_apart(change):
    originals = [picture(seed) for seed in range(12)]
    assert pairs(originals + [TOLD_APART[change](image) for image in originals]) == set()


def test_pictures_of_one_grey_are_like_nothing():
    flat = [np.full((20, 30), grey, np.uint8) for grey in (0, 0, 7, 255)]
    assert pairs([*flat, picture(0)]) == set()
    assert duplicates.mark(flat[2]).hash == 0


def test_no_picture_at_all_makes_no_pair():
    found = duplicates.near_pairs(np.zeros(0, np.uint64), np.zeros((0, 575), np.float32))
    assert found.shape == (0, 2)


def test_both_the_hash_and_the_details_must_agree(monkeypatch):
    one, other = picture(0), picture(1)
    copy = resave(one, 60)
    monkeypatch.setattr(duplicates, "MOST_BITS", 63)
    assert pairs([one, other, copy]) == {(0, 2)}
    monkeypatch.setattr(duplicates, "MOST_BITS", -1)
    assert pairs([one, other, copy]) == set()


@given(st.integers(1, 12), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=12))
def test_groups_are_what_hangs_together(count, links):
    links = [(one % count, other % count) for one, other in links]
    groups = duplicates.unite(count, links)
    reached = np.eye(count, dtype=bool)
    for one, other in links:
        reached[one, other] = reached[other, one] = True
    for _ in range(count):
        reached = reached @ reached
    assert np.array_equal(groups[:, None] == groups, reached)


def test_real_radiographs_their_copies_and_nobody_else(realdata):
    """Every pair below was compared by eye; another 120 images are enough to notice a change of the thresholds."""
    paths = sorted((realdata / "radiography").glob("*/*"))[::2]
    paths += [realdata / "radiography" / "COVID" / name for name in ("COVID-00033.jpg", "COVID-00037.jpg")]
    images = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in dict.fromkeys(paths)]
    known = pairs(images)
    assert 1 <= len(known) <= 5
    copies = [CHANGES["a third, and JPEG"](grade(image, 1, 8)) for image in images]
    count = len(images)
    found = pairs(images + copies)
    missed = [i for i in range(count) if (i, i + count) not in found]
    assert len(missed) <= 0.01 * count
    others = {pair for pair in found if pair[1] - pair[0] != count}
    expected = {(a + i, b + j) for a, b in known for i, j in itertools.product((0, count), repeat=2)}
    assert others <= expected | {(b, a) for a, b in expected}
