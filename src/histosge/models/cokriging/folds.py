"""Leave-one-out expression for judging: factors found without the spot, predictions of the spot from all others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.draws import random_order
from histosge._runtime.types import Array, Float, Int
from histosge.prediction.principal_components import principal_axes

from .eigensolver import Eigendecomposition
from .loadings import Loadings, Shrinkage
from .projected import Members
from .targets import DenseTargets, GeneTargets

__all__ = ["FOLDS", "Folds", "LeftOut", "folds_of"]

# loadings from nine tenths of the spots: with 5 folds and with one fold a spot, r_loo was the same to 0.001
FOLDS = 10
# matrices of products above this size are decomposed by Lanczos' method, which finds the largest eigenvalues only
_LARGE = 600
# relative precision of these eigenvalues: factors of noise, whose eigenvalues are near each other, may mix
_TOLERANCE = 1e-4
_TINY = 1e-300


def folds_of(names: Iterable[object], seed: int, number: int = FOLDS) -> Int[np.ndarray, " n"]:
    """Return the fold of each spot: folds of equal size, drawn by the names of the spots and not by their order.

    Examples
    --------
    >>> import numpy as np
    >>> names = np.array(["a", "b", "c", "d"])
    >>> bool((folds_of(names, 0, 2) == folds_of(names[::-1], 0, 2)[::-1]).all())
    True
    """
    order = random_order(names, seed, "folds")
    folds = np.empty(len(order), dtype=np.intp)
    folds[order] = np.arange(len(order)) % number
    return folds


@dataclass(frozen=True, slots=True, eq=False)
class Folds:
    """Folds of the spots, and the loadings of the factors without each fold.

    Loadings that were found with a spot resemble its noise, and predictions along them its measurement.

    Parameters
    ----------
    targets
        Standardised expression.
    index
        Fold of each spot.
    loadings
        For each fold those that follow from the other spots' values; not the same number of them in each.
    of_all, scores
        Loadings that follow from all spots, and scores along them. What they leave of each gene is kriged by itself;
        with loadings without the fold there, r of small sections is higher by 0.001 to 0.005.
    """

    targets: GeneTargets
    index: Int[np.ndarray, " n"]
    loadings: tuple[Loadings, ...]
    of_all: Loadings
    scores: Any

    @classmethod
    def of(
        cls, values: Float[np.ndarray, "n g"], index: Int[np.ndarray, " n"], shrinkage: Shrinkage
    ) -> Folds:
        """Find the loadings without each fold."""
        rest, most = shrinkage.rest(values), max(shrinkage.learnt, 1)
        if min(values.shape) <= _LARGE:
            axes = [principal_axes(rest[index != fold], most) for fold in range(index.max() + 1)]
        else:
            axes = _leading_axes(rest, index, most)
        loadings = (shrinkage.shrink(part, rest[index != fold]) for fold, part in enumerate(axes))
        of_all = shrinkage.loadings(values)
        targets = DenseTargets(values)
        return cls(targets, index, tuple(loadings), of_all, targets.along(of_all.axes))


@dataclass(frozen=True, slots=True, eq=False)
class LeftOut:
    """Predictions of some spots from all others, for judging (Eq. 12a of docs/method.md).

    The one eigendecomposition serves every fold. Nothing is projected on the output factors, which are directions of
    predictions that have seen the spot.

    Parameters
    ----------
    eigen
        Of the covariance of all spots.
    folds
        Loadings without each fold.
    rows, sections
        Spots to predict, and the section of each spot.
    gene_weight, residual_weight
        Weights of each gene kriged by itself, and of what the factors leave of it.
    scores
        For each fold the positions in ``rows`` of its spots, and their left-out factor scores.
    members
        Sections of all training spots, where ``eigen`` has the eigenvectors of ``rows`` alone, in their order;
        ``sections`` are then those of ``rows`` too. ``None``: it has those of all.
    further
        Factor scores of ``rows`` that are added, predicted without the spots too, and their loadings, k × g.
    """

    eigen: Eigendecomposition
    folds: Folds
    rows: Int[np.ndarray, " l"]
    sections: Int[np.ndarray, " n"]
    gene_weight: float
    residual_weight: float
    scores: tuple[tuple[Array, Array], ...]
    members: Members | None = None
    further: tuple[Array, Array] | None = None

    @classmethod
    def of(
        cls,
        eigen: Eigendecomposition,
        folds: Folds,
        *,
        rows: Int[np.ndarray, " l"],
        sections: Int[np.ndarray, " n"],
        gene_weight: float,
        residual_weight: float = 0.0,
        members: Members | None = None,
    ) -> LeftOut:
        """Predict the factor scores of every fold."""
        scores = []
        for fold, loadings in enumerate(folds.loadings):
            held = np.flatnonzero(folds.index[rows] == fold)
            if len(held):
                at = rows[held] if members is None else held
                targets = folds.targets.along(loadings.axes)
                scores.append((held, eigen.left_out(targets, at, sections, members)))
            else:
                scores.append((held, np.empty((0, len(loadings)))))
        return cls(eigen, folds, rows, sections, gene_weight, residual_weight, tuple(scores), members)

    def expression(self, genes: slice) -> Float[np.ndarray, "l g"]:
        """Return standardised expression of some genes, less the mean of the other spots of the section."""
        targets, of_all = self.folds.targets, self.folds.of_all
        total = np.zeros((len(self.rows), of_all.axes[:0, genes].shape[1]))
        for (held, scores), loadings in zip(self.scores, self.folds.loadings, strict=True):
            total[held] = (1 - self.gene_weight) * scores @ loadings.shrunken[:, genes]
        at = self.rows if self.members is None else np.arange(len(self.rows))
        if self.gene_weight > 0 or self.residual_weight > 0:
            whole = self.eigen.projected(targets.of_genes(genes))
            parts = [(self.gene_weight, whole)]
            if self.residual_weight > 0:
                factors = self.eigen.projected(self.folds.scores)
                parts.append((self.residual_weight, targets.left(whole, factors, of_all, genes)))
            total += self.eigen.left_out_sum(parts, at, self.sections, self.members)
        if self.further is not None:
            total += self.further[0] @ self.further[1][:, genes]
        return total


def _leading_axes(values: Array, index: Array, most: int) -> list[Array]:
    """Return the leading principal axes without each fold; the matrix of products is computed once."""
    from scipy.sparse.linalg import eigsh

    wide = values.shape[1] > len(values)
    products = np.asarray(values @ values.T if wide else values.T @ values, dtype=np.float64)
    result = []
    for fold in range(index.max() + 1):
        others = np.flatnonzero(index != fold)
        if wide:
            part = products[np.ix_(others, others)]
        else:
            held = values[index == fold]
            part = products - held.T @ held
        # started from the same vector, so that the result is the same every time
        start = np.full(len(part), len(part) ** -0.5)
        _, vectors = eigsh(part, k=min(most, len(part) - 1), v0=start, tol=_TOLERANCE)
        axes = vectors.T
        if wide:
            axes = axes @ values[others]
            axes /= np.sqrt(np.maximum((axes**2).sum(axis=1, keepdims=True), _TINY))
        result.append(axes)
    return result
