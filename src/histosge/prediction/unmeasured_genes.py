"""Genes that a section did not measure, predicted from measured ones by the covariance of gene programs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.draws import random_order
from histosge._runtime.types import Array, Float, Int
from histosge.errors import DataError
from histosge.metrics.given_depth import partial_correlation
from histosge.metrics.pearson import pearson

__all__ = ["GeneCovariance", "HeldOutGenes", "held_out_genes"]

# a gene's variance that no direction explains is at least this share: none is without noise
_LEAST_NOISE = 0.05
_FOLDS = 10
# how often the genes of the programs are exchanged, to see what any programs would give
_EXCHANGES = 5
# genes of like expected correlation that a gene is judged by
_ALIKE = 50
# fewer measured genes that programs have show nothing
_LEAST_GENES = 30


@dataclass(frozen=True, slots=True, eq=False)
class GeneCovariance:
    """A factor model of standardised expression: x = Bᵀf + e, with independent e (Eq. 22 of docs/method.md).

    Parameters
    ----------
    scaled
        B: directions times their standard deviations, k × g.
    """

    scaled: Float[np.ndarray, "k g"]

    def weights(
        self, known: Int[np.ndarray, " p"], asked: Int[np.ndarray, " m"]
    ) -> tuple[Float[np.ndarray, "m p"], Float[np.ndarray, " m"]]:
        """Return the regression of some genes on others, and the correlation that it has in the programs' own data.

        Parameters
        ----------
        known
            Positions of the genes that are measured.
        asked
            Positions of the genes to predict.
        """
        at_known = np.asarray(self.scaled[:, known], dtype=np.float64)
        at_asked = np.asarray(self.scaled[:, asked], dtype=np.float64)
        noise = np.maximum(1 - (at_known**2).sum(axis=0), _LEAST_NOISE)
        # posterior of f given the known genes (Rasmussen & Williams 2006, § 2.1)
        weighted = at_known / noise
        precision = np.eye(len(at_known)) + weighted @ at_known.T
        factors = np.linalg.solve(precision, weighted)
        # variance of the posterior mean of f: I − (I + B Ψ⁻¹ Bᵀ)⁻¹
        explained = np.einsum(
            "km,kl,lm->m", at_asked, np.eye(len(precision)) - np.linalg.inv(precision), at_asked
        )
        return at_asked.T @ factors, np.sqrt(np.clip(explained, 0.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutGenes:
    """How well measured genes are predicted from the others, as if they had not been measured.

    Parameters
    ----------
    expected
        Correlation of each gene in the programs' own data.
    r, r_given_depth
        Correlation with the measurement at spots left out of the fit, also given the depth of the spots.
    r_exchanged
        Mean correlation with the genes of the programs exchanged, five times.
    error
        Root mean square of measurement less prediction, in standard deviations of the measurement.
    """

    expected: Float[np.ndarray, " p"]
    r: Float[np.ndarray, " p"]
    r_given_depth: Float[np.ndarray, " p"]
    r_exchanged: Float[np.ndarray, " p"]
    error: Float[np.ndarray, " p"]

    def r_of(self, expected: Float[np.ndarray, " m"]) -> Float[np.ndarray, "6 m"]:
        """Return r of genes that are not measured by the most alike measured genes, in the order of the names below.

        Mean r, mean r given depth, 5 % and 95 % of r, mean r with the genes of the programs exchanged, and root mean
        square error in standard deviations. All are NaN
        where nothing shows that programs predict such genes: where r is not two standard errors above r with exchanged
        genes. Most genes follow the depth of a spot, and so any positive combination of other genes.

        Parameters
        ----------
        expected
            Correlation of each gene in the programs' own data.
        """
        order = np.argsort(self.expected, kind="stable")
        ascending = self.expected[order]
        size = min(_ALIKE, len(order))
        start = np.searchsorted(ascending, expected) - size // 2
        rows = order[np.clip(start, 0, len(order) - size)[:, None] + np.arange(size)]
        gain = (self.r - self.r_exchanged)[rows]
        shown = gain.mean(axis=1) > 2 * gain.std(axis=1, ddof=1) / np.sqrt(size)
        # a gene that is less expected than any that was tried is like none of these
        shown &= np.asarray(expected >= ascending[0])
        low, high = np.quantile(self.r[rows], (0.05, 0.95), axis=1)
        means = (values[rows].mean(axis=1) for values in (self.r, self.r_given_depth, self.r_exchanged))
        r, given_depth, exchanged = means
        error = np.sqrt((self.error[rows] ** 2).mean(axis=1))
        return np.where(shown, np.array([r, given_depth, low, high, exchanged, error]), np.nan)


def held_out_genes(
    covariance: GeneCovariance,
    known: Int[np.ndarray, " p"],
    *,
    names: Array,
    expression: Float[np.ndarray, "s p"],
    predicted: Float[np.ndarray, "s p"],
    log_depth: Float[np.ndarray, " s"],
) -> HeldOutGenes:
    """Predict each measured gene from the others, in ten folds of genes, at spots left out of the fit.

    Parameters
    ----------
    covariance, known
        The programs, and the positions of the measured genes among theirs.
    names
        Names of the measured genes: they decide the folds.
    expression
        Their measurements.
    predicted
        Their predictions at each spot from the other spots.
    log_depth
        Logarithm of the total counts of each spot.

    Raises
    ------
    DataError
        For fewer than 30 genes, which show nothing of others.
    """
    if len(known) < _LEAST_GENES:
        raise DataError(
            f"Expected at least {_LEAST_GENES} measured genes that the gene programs have, got {len(known)}. They do "
            "not show how well other genes are predicted."
        )
    sd = expression.std(axis=0)
    inverse = np.divide(1.0, sd, out=np.zeros(len(sd)), where=sd > 0)
    standardised = (predicted - predicted.mean(axis=0)) * inverse
    varies = np.flatnonzero(sd > 0)
    predict = _Folds(covariance, standardised, names)
    expected, pattern = predict(known)
    r = np.nan_to_num(pearson(expression, pattern))
    given_depth = np.nan_to_num(partial_correlation(expression, pattern, log_depth))
    exchanged = np.zeros((_EXCHANGES, len(known)))
    for number in range(_EXCHANGES):
        others = known[random_order(names, number, "genes exchanged")]
        exchanged[number] = np.nan_to_num(pearson(expression, predict(others)[1]))
    error = np.sqrt(np.mean(((expression - expression.mean(axis=0)) * inverse - pattern) ** 2, axis=0))
    parts = (expected, r, given_depth, exchanged.mean(axis=0), error)
    return HeldOutGenes(*(values[varies] for values in parts))


class _Folds:
    """Predictions of genes from those of other folds."""

    def __init__(self, covariance: GeneCovariance, standardised: Array, names: Array) -> None:
        self.covariance, self.standardised = covariance, standardised
        self.fold = np.empty(len(names), dtype=np.intp)
        self.fold[random_order(names, 0, "folds of genes")] = np.arange(len(names)) % _FOLDS

    def __call__(self, positions: Int[np.ndarray, " p"]) -> tuple[Array, Array]:
        """Return the expected correlation and the predicted pattern of each gene; the programs know it by position."""
        expected, pattern = np.zeros(len(positions)), np.zeros(self.standardised.shape)
        for number in range(_FOLDS):
            asked, others = np.flatnonzero(self.fold == number), np.flatnonzero(self.fold != number)
            weights, expected[asked] = self.covariance.weights(positions[others], positions[asked])
            pattern[:, asked] = self.standardised[:, others] @ weights.T
        return expected, pattern
