"""What a network is fed: prepared volumes and their labels, one at a time, varied anew in every epoch.

Used by notebook 01 through `tasks.make_sets`.
"""

from collections.abc import Callable, Sequence

import numpy as np
import paddle


class Samples(paddle.io.Dataset):
    """One prepared volume and its label at a time, as a data set that Paddle can load from.

    Args:
        volumes: ``float32`` [cases, x, y, z] in [0, 1].
        labels: 0 or 1 a case.
        where: Indices of the cases of this set.
        seed: Of the variation.
        vary: Called with a volume and a random generator, for training only.

    An item is (``float32`` [1, z, y, x], ``float32`` [1]). Its variation depends on (seed, epoch, index) alone, so
    that neither the order nor the number of loading processes changes it.

    Example:
        >>> samples = Samples(np.zeros((3, 46, 47, 48), "float32"), [0, 1, 1], where=[1, 2], seed=0)
        >>> volume, label = samples[0]
        >>> volume.shape, label
        ((1, 48, 47, 46), array([1.], dtype=float32))

    Taught in notebook 01.
    """

    def __init__(
        self,
        volumes: np.ndarray,
        labels: Sequence[int],
        where: Sequence[int],
        seed: int,
        vary: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    ):
        self.volumes, self.labels, self.where = volumes, np.asarray(labels), np.asarray(where, dtype=int)
        self.seed, self.vary, self.epoch = seed, vary, 0

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, item: int) -> tuple[np.ndarray, np.ndarray]:
        index = int(self.where[item])
        volume = np.asarray(self.volumes[index])
        if self.vary is not None:
            volume = self.vary(volume, np.random.default_rng([self.seed, self.epoch, index]))
        return np.ascontiguousarray(volume.transpose(2, 1, 0)[None]), np.float32([self.labels[index]])

    @property
    def targets(self) -> np.ndarray:
        """The labels of this set, in its order."""
        return self.labels[self.where]
