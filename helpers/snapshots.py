"""A snapshot ensemble: one training, several networks, one answer - the mean of theirs.

Used by notebook 03.
"""

from collections.abc import Callable, Sequence

import numpy as np
import paddle

from helpers.checkpoints import Arrays, arrays, set_arrays


def mean_answer(
    network: paddle.nn.Layer, snapshots: Sequence[Arrays], ask: Callable[[paddle.nn.Layer], np.ndarray]
) -> np.ndarray:
    """Ask a network once with the weights of each snapshot, and take the mean; it then has its own weights again.

    Args:
        network: Of the build that the snapshots were taken of.
        snapshots: From `training.fit`, at least one.
        ask: Called with the network; gives an array of answers. Let it give probabilities: a mean of log-odds would
            let the one snapshot that is surest decide alone.

    Returns:
        An array like that of ``ask``.

    Raises:
        ValueError: If there is no snapshot.

    Example:
        >>> line = paddle.nn.Linear(1, 1, bias_attr=False)
        >>> snapshots = [{"weight": np.float32([[slope]])} for slope in (1, 3)]
        >>> mean_answer(line, snapshots, lambda network: network(paddle.ones([1, 1])).numpy())
        array([[2.]], dtype=float32)

    Taught in notebook 03. Source: Huang et al. 2017.
    """
    if not snapshots:
        raise ValueError('there is no snapshot; train with a schedule of the kind "cosine", to the end of a cycle')
    own = {name: array.copy() for name, array in arrays(network).items()}
    total: np.ndarray | float = 0.0
    try:
        for weights in snapshots:
            set_arrays(network, weights)
            total = total + ask(network) / len(snapshots)
    finally:
        set_arrays(network, own)
    return total
