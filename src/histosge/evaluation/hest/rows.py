"""Spots of samples as a head is given them: features, targets and positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from histosge._runtime.draws import random_order
from histosge._runtime.types import Array, Float, Int

from .sample import Sample

__all__ = ["Rows", "divided"]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Spots of one sample, or of several after one another.

    Parameters
    ----------
    features
        Of the encoder.
    targets
        log1p of raw counts.
    sample
        Index of the sample of each spot.
    ids
        Barcodes, with the index of the sample before them.
    xy_um
        Positions within the sample; ``None`` where one of the samples has none.
    """

    features: Float[np.ndarray, "n d"]
    targets: Float[np.ndarray, "n g"]
    sample: Int[np.ndarray, " n"]
    ids: Array
    xy_um: Float[np.ndarray, "n 2"] | None

    @classmethod
    def of(cls, sample: Sample, features: Float[np.ndarray, "n d"], index: int) -> Rows:
        """Return the spots of one sample."""
        ids = np.array([f"{index}/{barcode}" for barcode in sample.barcodes.tolist()])
        return cls(features, sample.targets, np.full(len(sample), index), ids, sample.positions.xy_um)

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """Return the spots of several samples."""
        placed = [part.xy_um for part in parts]
        return cls(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.targets for part in parts]),
            np.concatenate([part.sample for part in parts]),
            np.concatenate([part.ids for part in parts]),
            None
            if any(xy is None for xy in placed)
            else np.concatenate([xy for xy in placed if xy is not None]),
        )

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, index: Any) -> Rows:
        """Return the spots at ``index``."""
        return Rows(
            self.features[index],
            self.targets[index],
            self.sample[index],
            self.ids[index],
            None if self.xy_um is None else self.xy_um[index],
        )

    def with_features(self, features: Float[np.ndarray, "n d"]) -> Rows:
        """Return the spots with other features."""
        return replace(self, features=features)


def divided(rows: Rows, seed: int) -> tuple[Array, Array]:
    """Divide the spots of a sample at random into those to score and those that may be known, in a random order.

    Both depend on the barcodes and the seed alone; the first k of the second are among its first k + 1.

    Examples
    --------
    >>> import numpy as np
    >>> ids = np.array([f"0/{number}" for number in range(9)])
    >>> rows = Rows(np.zeros((9, 2)), np.zeros((9, 1)), np.zeros(9, dtype=int), ids, None)
    >>> scored, known = divided(rows, 0)
    >>> sorted([*scored.tolist(), *known.tolist()]) == list(range(9)), len(known)
    (True, 4)
    """
    order = random_order(rows.ids.tolist(), seed, "known spot")
    return np.sort(order[: -(-len(rows) // 2)]), order[-(-len(rows) // 2) :]
