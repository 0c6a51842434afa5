"""How many molecules a spot would have at each location, predicted from the factor scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float
from histosge.section.expression import log_depth

from .factored import Basis
from .unfitted_genes import regress

__all__ = ["COLUMN", "TotalCounts"]

#: name of the column in ``obs``
COLUMN = "predicted_total_counts"


@dataclass(frozen=True, slots=True, eq=False)
class TotalCounts:
    """The regression of log total counts on factor scores.

    log1p(CP10k) says nothing of how many molecules there are; total counts do. They follow the density of cells and
    how well the tissue was permeabilised, and cannot tell the two apart.

    Parameters
    ----------
    basis
        Log total counts as if they were a gene (Eq. 20 of docs/method.md).
    """

    basis: Basis

    @classmethod
    def of(
        cls,
        scores: Float[np.ndarray, "s k"],
        depth: Float[np.ndarray, " s"],
        *,
        score_sd: Float[np.ndarray, "s k"] | None = None,
    ) -> TotalCounts:
        """Regress the total counts of spots on scores that were predicted without them.

        Parameters
        ----------
        scores, score_sd
            Leave-one-out mean and standard deviation of each factor score at each spot.
        depth
            Total counts of the spots.

        Examples
        --------
        >>> scores = np.linspace(-1, 1, 50)[:, None]
        >>> totals = TotalCounts.of(scores, np.exp(5 + scores[:, 0]))
        >>> bool(totals.r_loo > 0.99), totals.at(np.array([[0.0]])).round(-1).tolist()
        (True, [150.0])
        """
        logarithms = sparse.csr_matrix(log_depth(depth)[:, None])
        return cls(regress(np.array(["total counts"]), logarithms, scores, score_sd=score_sd))

    @property
    def r_loo(self) -> float:
        """Correlation of log total counts with their prediction at spots left out of the fit."""
        return float(self.basis.r_loo[0])

    @property
    def log_sd(self) -> float:
        """Standard deviation of the errors of log total counts."""
        return float(self.basis.noise_sd[0])

    def at(self, scores: Float[np.ndarray, "n k"]) -> Array:
        """Return the expected total count of a spot at locations with these factor scores."""
        logarithms = self.basis.offset[0] + np.asarray(scores, dtype=np.float64) @ self.basis.loadings[0]
        return np.asarray(np.exp(np.maximum(logarithms, 0.0)), dtype=np.float32)
