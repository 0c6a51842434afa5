"""The genes as targets: by themselves, along factors, and what factors leave of them; whole or as sums over blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from histosge._runtime.types import Array, Float

from .loadings import Loadings
from .projected import Projected

__all__ = ["DenseTargets", "GeneTargets", "SummedTargets"]


@runtime_checkable
class GeneTargets(Protocol):
    """Standardised expression of the training spots, as linear functions of which everything is kriged."""

    @property
    def shape(self) -> tuple[int, int]:
        """Spots whose values are there, and genes."""
        ...

    def along(self, directions: Float[np.ndarray, "k g"]) -> Any:
        """Return the values times directions."""
        ...

    def of_genes(self, genes: slice) -> Any:
        """Return the values of some genes."""
        ...

    def left(self, whole: Projected, scores: Projected, loadings: Loadings, genes: slice) -> Projected:
        """Return what factors leave of some genes, ``whole``; ``scores`` are the values along the factors' axes."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class DenseTargets:
    """The values of all training spots."""

    values: Float[np.ndarray, "n g"]

    @property
    def shape(self) -> tuple[int, int]:
        """Spots and genes."""
        return self.values.shape[0], self.values.shape[1]

    def along(self, directions: Float[np.ndarray, "k g"]) -> Float[np.ndarray, "n k"]:
        """Return the values times directions."""
        return np.asarray(self.values @ directions.T)

    def of_genes(self, genes: slice) -> Float[np.ndarray, "n q"]:
        """Return the values of some genes."""
        return self.values[:, genes]

    def left(self, whole: Projected, scores: Projected, loadings: Loadings, genes: slice) -> Projected:
        """Return what factors leave of some genes."""
        return whole.without(scores, loadings.axes[:, genes])


@dataclass(frozen=True, slots=True, eq=False)
class SummedTargets:
    """The values of some spots, and sums over all training spots, whose mean is 0.

    Parameters
    ----------
    values
        At the l spots whose eigenvectors are there.
    projections
        Of all training spots on the eigenvectors.
    products
        Of the values, summed over all training spots.
    auxiliary
        Projections of the spots of auxiliary sections; ``None``: there are none.
    """

    values: Float[np.ndarray, "l g"]
    projections: Float[np.ndarray, "r g"]
    products: Float[np.ndarray, "g g"]
    auxiliary: Float[np.ndarray, "r g"] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Spots whose values are there, and genes."""
        return self.values.shape[0], self.values.shape[1]

    def along(self, directions: Float[np.ndarray, "k g"]) -> Projected:
        """Return the values times directions."""
        total = np.einsum("kg,gh,kh->k", directions, self.products, directions, optimize=True)
        turned = directions.T.astype(self.projections.dtype)
        values = self.values @ turned
        auxiliary = None if self.auxiliary is None else self.auxiliary @ turned
        return _projected(values, self.projections @ turned, total, auxiliary)

    def of_genes(self, genes: slice) -> Projected:
        """Return the values of some genes."""
        auxiliary = None if self.auxiliary is None else self.auxiliary[:, genes]
        total = np.diag(self.products)[genes]
        return _projected(self.values[:, genes], self.projections[:, genes], total, auxiliary)

    def left(self, whole: Projected, scores: Projected, loadings: Loadings, genes: slice) -> Projected:
        """Return what factors leave of some genes: (I − AᵀA) of their values, A the axes."""
        axes = loadings.axes
        some = axes[:, genes]
        single = some.astype(self.projections.dtype)
        crossed = axes @ self.products
        total = whole.total - 2 * (some * crossed[:, genes]).sum(axis=0)
        total += (some * (crossed @ axes.T @ some)).sum(axis=0)
        auxiliary = None
        if whole.auxiliary is not None and scores.auxiliary is not None:
            auxiliary = whole.auxiliary - scores.auxiliary @ single
        return _projected(
            whole.targets - scores.targets @ single,
            whole.projections - scores.projections @ single,
            np.maximum(total, 0.0),
            auxiliary,
            (scores.projections, single),
        )


def _projected(
    values: Array,
    projections: Array,
    total: Array,
    auxiliary: Array | None,
    less: tuple[Array, Array] | None = None,
) -> Projected:
    """Return targets of mean 0."""
    mean = np.zeros(values.shape[1])
    return Projected(values, mean, values, projections, np.asarray(total), auxiliary, less)
