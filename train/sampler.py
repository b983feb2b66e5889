"""The order of the training examples: batches of similar length, the same for one process as for several."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Sampler

GROUPED_BATCHES = 50  # batches that are sorted by length together


class LengthGroupedSampler(Sampler[int]):
    """Draws batches of examples of similar length, in an order that depends on seed and epoch alone.

    The last batch is filled up from the beginning of the epoch's order, so every batch is whole and the batches are the
    same for one process as for several that share them.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        """Take the examples' lengths and the size of a global batch."""
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of examples drawn in an epoch."""
        return -(-len(self.lengths) // self.batch_size) * self.batch_size

    def __iter__(self) -> Iterator[int]:
        """Yield indices, batch after batch."""
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.lengths))
        order = np.resize(order, len(self))
        batches: list[np.ndarray[Any, Any]] = []
        pool = self.batch_size * GROUPED_BATCHES
        for start in range(0, len(order), pool):
            chunk = order[start : start + pool]
            chunk = chunk[np.argsort([-self.lengths[i] for i in chunk], kind="stable")]
            batches += np.split(chunk, len(chunk) // self.batch_size)
        for index in rng.permutation(len(batches)):
            yield from batches[index].tolist()
