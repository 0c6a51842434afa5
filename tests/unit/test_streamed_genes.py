"""Genes outside the panel of very many spots are regressed as those of few, block by block."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from histosge.prediction import streamed_genes, unfitted_genes
from histosge.prediction.factored import Basis
from histosge.prediction.unfitted_genes import extend

N, FACTORS, GENES = 2000, 4, 30


@pytest.fixture(scope="module")
def scores() -> np.ndarray:
    """Return factor scores."""
    return np.random.default_rng(0).normal(size=(N, FACTORS)) + 0.5


@pytest.fixture(scope="module")
def counts(scores: np.ndarray) -> sparse.csr_matrix:
    """Return counts of genes that follow the scores, the last two without counts, many of them 0."""
    rng = np.random.default_rng(1)
    rates = np.exp(scores @ rng.normal(0, 0.5, (FACTORS, GENES)) + rng.normal(0, 1, GENES))
    rates[:, -2:] = 0.0
    return sparse.csr_matrix(rng.poisson(rates))


def extended(scores: np.ndarray, counts: sparse.csr_matrix) -> Basis:
    """Return the basis of all genes, of which one is fitted."""
    genes = np.array([f"g{index}" for index in range(GENES)])
    ones = np.ones(1, dtype=np.float32)
    fitted = Basis(genes[:1], ones, np.ones((1, FACTORS), dtype=np.float32), ones, ones, ones)
    return extend(fitted, scores, counts, genes, score_sd=np.full(scores.shape, 0.1))


def test_blocks_give_the_regression_of_all_spots(
    scores: np.ndarray, counts: sparse.csr_matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every spot is judged, block by block gives what a dense regression gives, but for winsorised zeros."""
    whole = extended(scores, counts)
    monkeypatch.setattr(unfitted_genes, "MANY_SPOTS", N - 1)
    monkeypatch.setattr(streamed_genes, "_ROWS", 300)
    streamed = extended(scores, counts)
    assert np.array_equal(streamed.genes, whole.genes)
    assert not streamed.fitted[1:].any()
    scale = whole.loadings[1:].std()
    assert np.abs(streamed.loadings - whole.loadings).max() < 0.05 * scale
    assert np.abs(streamed.offset - whole.offset).max() < 0.02
    assert np.abs(streamed.r_loo - whole.r_loo).max() < 0.01
    assert np.allclose(streamed.noise_sd, whole.noise_sd, rtol=0.01, atol=1e-6)
    assert np.allclose(streamed.calibration_factor, whole.calibration_factor, rtol=0.05)
    # without counts: nothing, and no grade of others changes
    assert not streamed.loadings[-2:].any()
    assert np.isfinite(streamed.noise_sd).all()
    assert (streamed.grade == whole.grade).mean() > 0.9


def test_genes_are_judged_at_some_spots(
    scores: np.ndarray, counts: sparse.csr_matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a fifth of the spots judged the loadings are the same, and accuracy is about the same."""
    monkeypatch.setattr(unfitted_genes, "MANY_SPOTS", N - 1)
    whole = extended(scores, counts)
    monkeypatch.setattr(unfitted_genes, "_JUDGED_SPOTS", N // 5)
    some = extended(scores, counts)
    assert np.array_equal(some.loadings, whole.loadings)
    assert np.abs(some.r_loo - whole.r_loo).max() < 0.15
    assert not np.array_equal(some.r_loo, whole.r_loo)
