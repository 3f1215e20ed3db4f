"""Controls: what a network can know of a class without a look at the lungs.

Used by notebook 04. Where one of these comes near the full result, accuracy is no evidence of disease.
"""

from collections.abc import Sequence

import numpy as np

MARGIN = 0.07  # of each side; in 251 real radiographs hardly a lung reaches so far out
# Top, left, bottom, right of the lungs as shares of the image, where no mask tells: it covers them, but for the tips of
# some, in the same 251 radiographs. It is the same for all: a box measured on each would tell the patient's size.
LUNGS = (0.10, 0.08, 0.85, 0.92)
BLANK = 0.0
BINS = 16


def borders_only(images: np.ndarray, margin: float = MARGIN) -> np.ndarray:
    """Keep a frame along the edges and blank all inside of it: markers, collimation, shoulders, no lungs.

    Args:
        images: float32 [images, rows, columns].
        margin: Width of the frame as a share of each side, less than a half.

    Returns:
        Changed copies, blank where nothing is left.

    Raises:
        ValueError: If the margin leaves no frame, or nothing but frame.

    Example:
        >>> borders_only(np.ones((1, 4, 5), np.float32), margin=0.25)[0]
        array([[1., 1., 1., 1., 1.],
               [1., 0., 0., 0., 1.],
               [1., 0., 0., 0., 1.],
               [1., 1., 1., 1., 1.]], dtype=float32)

    Taught in notebook 04.
    """
    if not 0 < margin < 0.5:
        raise ValueError(f"a margin must be a share between 0 and 0.5, but is {margin:g}")
    return blank_boxes(images, (margin, margin, 1 - margin, 1 - margin))


def blank_boxes(images: np.ndarray, boxes: Sequence[float] | np.ndarray = LUNGS) -> np.ndarray:
    """Blank a box in each image: the lungs are gone, all around them stays.

    A box, and not the lungs' own outline: the shape of a mask tells the class.

    Args:
        images: float32 [images, rows, columns].
        boxes: [4] for all, or [images, 4]: top, left, bottom and right as shares of the image. All that a box touches
            is blanked.

    Returns:
        Changed copies.

    Raises:
        ValueError: If a box is none, or if there is not one for each image.

    Example:
        >>> blank_boxes(np.ones((1, 2, 4), np.float32), (0, 0.25, 0.5, 0.75))[0]
        array([[1., 0., 0., 1.],
               [1., 1., 1., 1.]], dtype=float32)

    Taught in notebook 04.
    """
    count, rows, columns = images.shape
    boxes = np.asarray(boxes, float)
    boxes = np.broadcast_to(boxes, (count, 4)) if boxes.ndim == 1 and boxes.shape == (4,) else boxes
    if boxes.shape != (count, 4):
        raise ValueError(f"{count} images need boxes of shape (4,) or ({count}, 4), but found {boxes.shape}")
    left = images.copy()
    for image, box in zip(left, boxes, strict=True):
        top, west, bottom, east = box
        if not (0 <= top < bottom <= 1 and 0 <= west < east <= 1):
            raise ValueError(f"a box must be top < bottom and left < right in [0, 1], but found {box.tolist()}")
        # A share such as 0.85 of 20 rows must not become a row more by rounding.
        first, last = np.floor(box[:2] * (rows, columns) + 1e-6), np.ceil(box[2:] * (rows, columns) - 1e-6)
        image[int(first[0]) : int(last[0]), int(first[1]) : int(last[1])] = BLANK
    return left


def histogram_features(images: np.ndarray, bins: int = BINS) -> np.ndarray:
    """How much of each image lies in each range of grey, wherever it is.

    Args:
        images: float32 [images, rows, columns] in [0, 1].
        bins: So many ranges of equal width.

    Returns:
        float32 [images, bins]; each row sums to 1.

    Example:
        >>> histogram_features(np.array([[[0.0, 0.1], [0.6, 1.0]]]), bins=2)
        array([[0.5, 0.5]], dtype=float32)

    Taught in notebook 04.
    """
    place = np.clip((images.reshape(len(images), -1) * bins).astype(np.int64), 0, bins - 1)
    counts = [np.bincount(row, minlength=bins) for row in place]
    return (np.array(counts) / place.shape[1]).astype(np.float32)


def histogram_rule(
    images: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray, bins: int = BINS
) -> np.ndarray:
    """Predict the class from the histogram of grey alone, by logistic regression on the training images.

    Args:
        images: float32 [images, rows, columns] in [0, 1].
        labels: int64 [images].
        train: Indices of the images that are learnt from; also the features are scaled by these alone.
        test: Indices of the images to predict.
        bins: Of the histogram.

    Returns:
        float64 [test images, classes], probabilities; 0 for a class that no training image has.

    Raises:
        ValueError: If the training images are all of one class.

    Example:
        >>> images = np.random.default_rng(0).random((40, 8, 8)).astype("float32")
        >>> labels = np.arange(40) % 2
        >>> images[labels == 1] *= 0.5  # one hospital's darker radiographs
        >>> found = histogram_rule(images, labels, np.arange(20), np.arange(20, 40)).argmax(1)
        >>> bool((found == labels[20:]).all())
        True

    Taught in notebook 04.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = np.unique(labels[train])
    if len(known) < 2:
        raise ValueError(f"there must be training images of two classes, but all are of class {known.tolist()}")
    rule = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    rule.fit(histogram_features(images[train], bins), labels[train])
    probabilities = np.zeros((len(test), int(labels.max()) + 1))
    probabilities[:, known] = rule.predict_proba(histogram_features(images[test], bins))
    return probabilities
