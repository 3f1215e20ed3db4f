"""What a network that draws masks is trained to lower: cross-entropy of every pixel, and overlap of every image.

Used by notebook 03.
"""

import paddle
from paddle.nn import functional


def bce_dice(logits: paddle.Tensor, target: paddle.Tensor) -> paddle.Tensor:
    """Binary cross-entropy of every image, plus 1 minus the soft Dice of those that have a mask: a mean over images.

    Cross-entropy alone is content with an empty mask where few pixels are ill; Dice alone has next to no slope while
    nothing overlaps. On an image without a mask the Dice would drown everything else: it punishes each faint doubt of
    any of thousands of pixels, and a network soon learns to answer nothing at all. There cross-entropy is enough.

    Args:
        logits: Log-odds, ``float32`` [cases, 1, rows, columns].
        target: Masks of 0 and 1, of the same shape and kind.

    Returns:
        One number, 0 or above.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> target = paddle.to_tensor([[[[0.0, 1.0, 1.0]]], [[[0.0, 0.0, 0.0]]]])
        >>> round(bce_dice(40 * (target - 0.5), target).item(), 3)
        0.0
        >>> round(bce_dice(paddle.zeros([2, 1, 1, 3]), target).item(), 3)
        0.86

    Taught in notebook 03. Source of the soft Dice: Milletari et al. 2016, here with sums instead of squares.
    """
    if logits.shape != target.shape:
        raise ValueError(
            f"masks must have the shape of the answers, {list(logits.shape)}, but have {list(target.shape)}"
        )
    entropy = functional.binary_cross_entropy_with_logits(logits, target)
    found, pixels = functional.sigmoid(logits), list(range(1, logits.ndim))
    both = (found * target).sum(axis=pixels)
    true = target.sum(axis=pixels)
    dice = (2 * both + 1) / (found.sum(axis=pixels) + true + 1)  # with 1, the slope stays finite where nothing is
    return entropy + ((1 - dice) * (true > 0).astype(dice.dtype)).mean()
