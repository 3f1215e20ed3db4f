"""What the networks of notebooks 03 and 04 are fed: a radiograph with its mask, or with its class, varied each epoch.

Used by notebooks 03 and 04 through their tasks.
"""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Self

import numpy as np
import paddle

from helpers.film_arrays import Films

Vary = Callable[..., object]


class _VariedFilms(paddle.io.Dataset):
    """What both sets have in common: which radiographs, how they are varied, and whether they are mirrored."""

    def __init__(self, films: Films, where: Sequence[int], seed: int, vary: Vary | None = None):
        self.films, self.where = films, films.only_usable(where)
        self.seed, self.vary, self.epoch = seed, vary, 0
        self.mirrored = False  # whether to show right and left swapped

    def __len__(self) -> int:
        return len(self.where)

    def mirror(self) -> Self:
        """The same set with right and left swapped on every radiograph."""
        other = copy(self)
        other.mirrored = not self.mirrored
        return other


class MaskedFilms(_VariedFilms):
    """Radiographs and their masks, as a data set that Paddle can load from.

    Args:
        films: From `film_arrays.prepare`, with masks.
        where: Indices of the cases of this set; those that could not be read are left out.
        seed: Of the variation.
        vary: Called with image, mask and a random generator, for training only; gives back both.

    An item is (``float32`` [1, side, side] in [0, 1], ``float32`` [1, side, side] of 0 and 1). Its variation depends on
    (seed, epoch, index) alone, so that neither the order nor the number of loading processes changes it.

    Taught in notebook 03.
    """

    def __getitem__(self, item: int) -> tuple[np.ndarray, np.ndarray]:
        index = int(self.where[item])
        image, mask = self.films.images[index].astype(np.float32) / 255, np.asarray(self.films.masks[index])
        if self.vary is not None:
            image, mask = self.vary(image, mask, np.random.default_rng([self.seed, self.epoch, index]))
        if self.mirrored:
            image, mask = image[:, ::-1], mask[:, ::-1]
        return np.ascontiguousarray(image[None]), np.ascontiguousarray(mask[None], np.float32)


class LabelledFilms(_VariedFilms):
    """Radiographs and their classes, as a data set that Paddle can load from.

    Args:
        films: From `film_arrays.prepare`.
        where: Indices of the cases of this set; those that could not be read are left out.
        seed: Of the variation.
        vary: Called with an image and a random generator, for training only.

    An item is (``float32`` [1, side, side] in [0, 1], the class as ``int64``). Its variation depends on (seed, epoch,
    index) alone.

    Taught in notebook 04.
    """

    def __getitem__(self, item: int) -> tuple[np.ndarray, np.int64]:
        index = int(self.where[item])
        image = self.films.images[index].astype(np.float32) / 255
        if self.vary is not None:
            image = self.vary(image, np.random.default_rng([self.seed, self.epoch, index]))
        if self.mirrored:
            image = image[:, ::-1]
        return np.ascontiguousarray(image[None], np.float32), np.int64(self.films.labels[index])

    @property
    def targets(self) -> np.ndarray:
        """The classes of this set, in its order."""
        return self.films.labels[self.where]
