"""Shares of position, histology and auxiliary sections in the variance of a gene's prediction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from factored_samples import BASIS, RNG, SECTION, K, attributed

from histosge.errors import DataError
from histosge.prediction.attribution import Attribution
from histosge.prediction.unfitted_genes import extend


def test_shares_are_covariances_with_the_whole() -> None:
    """A share is the covariance of a component with the gene over the variance of the gene."""
    components = np.random.default_rng(2).normal(size=(3, 80, K))
    shares = Attribution.of(components).shares(BASIS.loadings)
    genes = np.stack([component @ BASIS.loadings.T.astype(float) for component in components])
    whole = genes.sum(axis=0)
    for row in range(0, len(BASIS), 7):
        expected = [
            np.cov(component[:, row], whole[:, row])[0, 1] / whole[:, row].var(ddof=1) for component in genes
        ]
        assert min(expected) > 0
        assert np.allclose(shares[row], expected)


def test_shares_are_never_negative() -> None:
    """A component of negative covariance has share 0; the shares add up to 1, or are 0 for a constant gene."""
    wave = np.random.default_rng(0).normal(size=(50, 1))
    shares = Attribution.of(np.stack([2 * wave, -0.5 * wave, 0.5 * wave])).shares(
        np.array([[1.0], [0.0], [1e-9]])
    )
    assert np.allclose(shares, [[0.8, 0.0, 0.2], [0, 0, 0], [0, 0, 0]])
    assert np.allclose(attributed(BASIS).attribution.as_auxiliary().shares(BASIS.loadings), [0, 0, 1])  # type: ignore[union-attr]


def test_attributions_of_other_factors_are_refused() -> None:
    """Matrices of another number of factors, and arrays of another shape, are refused."""
    with pytest.raises(DataError, match="attribution of 5 factors, got 4"):
        replace(BASIS, attribution=Attribution(np.zeros((3, 4, 4))))
    with pytest.raises(DataError, match="factors × factors"):
        Attribution(np.zeros((2, 5, 5)))


def test_genes_outside_the_panel_have_shares_too() -> None:
    """Shares follow from the loadings for genes outside the panel too, and for a selection of genes."""
    basis = attributed(BASIS)
    scores = RNG.normal(size=(len(SECTION), K))
    whole = extend(basis, scores, SECTION.counts, SECTION.genes)
    assert whole.shares is not None
    assert basis.attribution is not None
    assert np.allclose(whole.shares[40:], basis.attribution.shares(whole.loadings[40:]))
    assert (whole.shares[40:].sum(axis=1) > 0.99).any()
    some = whole.take([50, 3])
    assert some.shares is not None
    assert np.allclose(some.shares, whole.shares[[50, 3]])
