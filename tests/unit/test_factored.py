"""A factored prediction gives the numbers of its matrix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from factored_samples import BASIS, FACTORED, LOCATIONS, SCORE_SD, SCORES, K

from histosge.errors import DataError, UsageError
from histosge.prediction.factored import FactoredPrediction


def test_a_gene_is_its_offset_and_a_weighted_sum_of_factor_scores() -> None:
    """Means are at least 0; variances of factors add; a measurement adds noise; the calibration factor multiplies."""
    row = 11
    name = str(BASIS.genes[row])
    mean = [
        BASIS.offset[row] + sum(f * w for f, w in zip(scores, BASIS.loadings[row], strict=True))
        for scores in SCORES
    ]
    assert np.allclose(FACTORED.gene(name), np.maximum(mean, 0), atol=1e-5)
    variance = np.array(
        [sum((s * w) ** 2 for s, w in zip(sd, BASIS.loadings[row], strict=True)) for sd in SCORE_SD]
    )
    # the factor is of measurements: below 1 it makes the expression itself no better known
    latent = np.sqrt(variance) * max(BASIS.calibration_factor[row], 1.0)
    assert np.allclose(FACTORED.gene_sd(name), latent, rtol=1e-4)
    noisy = np.sqrt(variance + BASIS.noise_sd[row] ** 2) * BASIS.calibration_factor[row]
    assert np.allclose(FACTORED.gene_sd(name, observation=True), noisy, rtol=1e-4)


def test_the_standard_deviation_is_that_of_random_scores() -> None:
    """The standard deviation of a gene is that of random factor scores, before the cut at 0."""
    draws = SCORES[0] + SCORE_SD[0] * np.random.default_rng(0).normal(size=(200_000, K))
    drawn = draws @ BASIS.loadings.T.astype(float)
    expected = drawn.std(axis=0) * np.maximum(BASIS.calibration_factor, 1.0)
    sd = FACTORED.take([0]).whole().sd
    assert sd is not None
    assert np.allclose(sd[0], expected, rtol=0.02)


@pytest.mark.parametrize("bytes_", [1, 1 << 10, 1 << 24])
def test_blocks_of_any_size_make_the_matrix(monkeypatch: pytest.MonkeyPatch, bytes_: int) -> None:
    """Blocks hold every row once and in order, and the genes in the requested order."""
    monkeypatch.setattr("histosge.prediction.factored._BLOCK_BYTES", bytes_)
    genes = [str(BASIS.genes[i]) for i in (3, 0, 17)]
    parts = list(FACTORED.blocks(genes))
    assert np.array_equal(np.concatenate([part[0] for part in parts]), np.arange(len(LOCATIONS)))
    matrix = FACTORED.whole(genes)
    for column, gene in enumerate(genes):
        assert np.allclose(matrix.mean[:, column], FACTORED.gene(gene), atol=1e-6)
    assert list(matrix.genes) == genes


def test_unknown_standard_deviations_stay_unknown() -> None:
    """Without standard deviations of the scores, genes and matrices have none."""
    unknown = replace(FACTORED, score_sd=None)
    assert unknown.gene_sd(str(BASIS.genes[0])) is None
    assert unknown.whole().sd is None


def test_draws_need_standard_deviations() -> None:
    """Without standard deviations of the scores, drawing is refused in a sentence."""
    with pytest.raises(UsageError, match="Cannot draw"):
        next(replace(FACTORED, score_sd=None).draws(1, [str(BASIS.genes[0])]))


def test_unknown_and_repeated_genes_are_refused() -> None:
    """The message offers similar names; a basis has each gene once; scores fit the loadings."""
    with pytest.raises(UsageError, match="Did you mean"):
        FACTORED.gene(str(BASIS.genes[0]) + "x")
    with pytest.raises(DataError, match="twice"):
        BASIS.take([1, 1])
    with pytest.raises(DataError, match="scores"):
        FactoredPrediction(LOCATIONS, BASIS, SCORES[:, :3])
