"""The process that inducing points carry, from sums over blocks of spots: no matrix of spots × inducing points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from histosge._runtime.types import Array, Float, Int

from .eigensolver import Eigendecomposition, eigen_of, inverse_diagonals_of, inverse_root, precision
from .kernels import Covariance, KernelInputs
from .row_blocks import summed
from .streamed_values import SpotTargets

__all__ = ["NormalEquations"]


@dataclass(frozen=True, slots=True, eq=False)
class NormalEquations:
    """Eigenvalues and eigenvectors of the covariance of all training spots (Eq. 13), the latter for some at a time.

    With K the covariance of spots and inducing points, K_mm that of inducing points and Φ = K K_mm^(−½), the
    eigenvalues are those of ΦᵀΦ = K_mm^(−½) (Σ KᵀK) K_mm^(−½), and projections of targets follow from Σ KᵀY
    (Eq. 13a of docs/method.md). Both sums run over blocks.

    Parameters
    ----------
    covariance
        The covariance function.
    spots, inducing
        Training spots, and the locations that carry the process.
    eigenvalues
        Largest first.
    along, dual
        m × r: from covariances with the inducing points to eigenvectors, and to coordinates along them.
    """

    covariance: Covariance
    spots: KernelInputs
    inducing: KernelInputs
    eigenvalues: Float[np.ndarray, " r"]
    along: Float[np.ndarray, "m r"]
    dual: Float[np.ndarray, "m r"]

    @classmethod
    def of(
        cls,
        covariance: Covariance,
        spots: KernelInputs,
        inducing: KernelInputs,
        *,
        order: Int[np.ndarray, " n"],
        targets: SpotTargets,
        device: str = "cpu",
    ) -> tuple[NormalEquations, Float[np.ndarray, "r q"]]:
        """Sum over all blocks; return also the projections of the targets on the eigenvectors.

        Parameters
        ----------
        covariance, spots, inducing
            See the class.
        order
            Rows of the spots, in the order of the blocks.
        targets
            Of the spots; their workers compute the sums.
        device
            ``"cuda"`` computes the eigenvectors there.
        """
        work = _Projections(covariance, spots, inducing, targets, precision(len(spots)), products=True)
        sums, products = summed(work, order, targets.values.workers)
        lower = np.tril(products)
        back = inverse_root(covariance(inducing, inducing))
        eigenvalues, rotation = eigen_of(back.T @ (lower + np.tril(lower, -1).T) @ back, device)
        dual = back @ rotation
        along = dual / np.sqrt(eigenvalues)
        equations = cls(covariance, spots, inducing, eigenvalues, along=along, dual=dual)
        return equations, equations.projections(sums)

    def projections(self, sums: Float[np.ndarray, "m q"]) -> Float[np.ndarray, "r q"]:
        """Return projections on the eigenvectors of targets whose sums Σ KᵀY these are."""
        return np.asarray((self.along.T @ sums).astype(self.precision))

    def sums(self, order: Int[np.ndarray, " n"], targets: SpotTargets) -> Float[np.ndarray, "m q"]:
        """Return Σ KᵀY over some spots."""
        work = _Projections(self.covariance, self.spots, self.inducing, targets, self.precision)
        return np.asarray(summed(work, order, targets.values.workers)[0])

    @property
    def precision(self) -> type[np.floating[Any]]:
        """Precision of covariances and projections."""
        return precision(len(self.spots))

    def covariances(self, rows: Array) -> Float[np.ndarray, "b m"]:
        """Return the covariance of some training spots with the inducing points."""
        return self.covariance(self.spots.take(rows), self.inducing, self.precision)

    def at(self, rows: Array, covariances: Array | None = None) -> Eigendecomposition:
        """Return the eigendecomposition with the eigenvectors of some training spots."""
        dtype, some = self.precision, self.spots.take(rows)
        covariances = self.covariances(rows) if covariances is None else covariances
        eigenvectors = covariances @ self.along.astype(dtype)
        carried = eigenvectors**2 @ self.eigenvalues.astype(dtype)
        return Eigendecomposition(
            self.eigenvalues,
            eigenvectors,
            self.dual,
            inverse_diagonals_of(self.eigenvalues, eigenvectors),
            np.maximum(self.covariance.variance(some) - carried, 0.0),
            spots=len(self.spots),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Projections:
    """Sums Σ KᵀY of targets, and where asked for Σ KᵀK of the covariances."""

    covariance: Covariance
    spots: KernelInputs
    inducing: KernelInputs
    targets: SpotTargets
    dtype: type[np.floating[Any]]
    products: bool = False

    def __call__(self, blocks: Iterator[Array]) -> list[Array]:
        from scipy.linalg.blas import dsyrk

        m = len(self.inducing)
        # half of a symmetric matrix, in double precision: the square root of K_mm magnifies rounding a thousandfold
        products = np.zeros((m, m), order="F") if self.products else None
        sums = np.zeros((m, 0))
        for rows in blocks:
            matrix = self.covariance(self.spots.take(rows), self.inducing, self.dtype)
            if products is not None:
                double = matrix.astype(np.float64)
                products = dsyrk(1.0, double.T, beta=1.0, c=products, lower=1, overwrite_c=1)
            part = matrix.T @ self.targets(rows).astype(self.dtype, copy=False)
            sums = sums + part if sums.size else part.astype(np.float64)
        return [sums] if products is None else [sums, products]

    def take(self, rows: Array) -> _Projections:
        return replace(self, spots=self.spots.take(rows), targets=self.targets.take(rows))
