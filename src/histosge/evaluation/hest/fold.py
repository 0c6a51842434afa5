"""A fold with the features of one encoder: spots to fit, spots to score, and patches that belong to other spots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array

from .rows import Rows
from .sample import Sample
from .scores import FoldScores, ceiling_of
from .task import Fold, Task

__all__ = ["EncodedFold"]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedFold:
    """A fold with the features of one encoder.

    Parameters
    ----------
    task, fold
        Which.
    samples, rows
        Of the task, by name.
    seed
        Of known spots, shuffled patches and the noise ceiling.
    """

    task: Task
    fold: Fold
    samples: Mapping[str, Sample]
    rows: Mapping[str, Rows]
    seed: int

    @property
    def fitted(self) -> Rows:
        """The spots of the samples to fit."""
        return Rows.joined([self.rows[name] for name in self.fold.train])

    @property
    def asked(self) -> list[Rows]:
        """The spots of each test sample."""
        return [self.rows[name] for name in self.fold.test]

    def scores(self, asked: Sequence[Rows], predicted: Sequence[Array]) -> FoldScores:
        """Score predictions of spots of the test samples."""
        truth = [part.targets for part in asked]
        return FoldScores.of(self.task.genes, self.fold.test, list(zip(truth, predicted, strict=True)))

    def ceiling(self, asked: Sequence[Rows]) -> FoldScores:
        """Return the noise ceiling at spots of the test samples."""
        samples = [self.samples[name] for name in self.fold.test]
        return ceiling_of(self.task.genes, samples, asked, self.seed)

    def shuffled(self, rows: Rows) -> Rows:
        """Return spots with the features of other spots of their sample."""
        rng, order = np.random.default_rng([self.seed, self.fold.number]), np.arange(len(rows))
        for index in np.unique(rows.sample):
            some = np.flatnonzero(rows.sample == index)
            order[some] = rng.permutation(some)
        return rows.with_features(rows.features[order])
