"""Genes outside the panel: loadings by ridge regression, their r_loo, noise and calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist
from scipy.stats import pearsonr
from sklearn.linear_model import Ridge

from histosge.datasets import synthetic
from histosge.errors import DataError
from histosge.prediction.evidence_ridge import RidgeDesign
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.prediction.unfitted_genes import NOISE_RATIOS, extend, regress
from histosge.section.expression import log_cp10k
from histosge.section.locations import upsampled

TISSUE = synthetic(columns=20, rows=24, genes=120, seed=3)
SECTION = TISSUE.section
# every other gene of each group is in the panel
PANEL = np.flatnonzero((np.arange(120) // 6) % 2 == 0)
OTHERS = np.setdiff1d(np.arange(120), PANEL)
K = 6


def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.exp(-cdist(a, b) / 300.0)


def krige(xy_um: np.ndarray) -> tuple[Basis, np.ndarray, np.ndarray, np.ndarray]:
    """Return the panel's basis, and its kriged principal components: leave-one-out, their sd, and at other locations.

    Leave-one-out in closed form: y − (K⁻¹ y) / diag K⁻¹ (Dubrule 1983).
    """
    values = log_cp10k(SECTION.counts)[:, PANEL].toarray()
    mean = values.mean(axis=0)
    left, singular, right = np.linalg.svd(values - mean, full_matrices=False)
    pcs = left[:, :K] * singular[:K]
    xy = SECTION.spots.xy
    inverse = np.linalg.inv(kernel(xy, xy) + 0.5 * np.eye(len(xy)))
    weights = inverse @ pcs
    left_out = pcs - weights / np.diag(inverse)[:, None]
    sd = np.sqrt(1 / np.diag(inverse))[:, None] * pcs.std(axis=0) / 1.2
    ones = np.ones(len(PANEL))
    basis = Basis(SECTION.genes[PANEL], mean, right[:K].T, ones, ones, ones)
    return basis, left_out, sd, kernel(xy_um, xy) @ weights


def test_genes_outside_the_panel_follow_their_truth() -> None:
    """Loadings by regression predict new genes at new locations nearly as well as loadings of the panel."""
    locations = upsampled(SECTION, 4)
    basis, left_out, _, scores = krige(locations.xy)
    whole = extend(basis, left_out, SECTION.counts, SECTION.genes)
    predicted = FactoredPrediction(locations, whole, scores)
    truth = TISSUE.truth(locations.xy)
    column = {str(name): index for index, name in enumerate(SECTION.genes)}

    def correlation(rows: np.ndarray) -> float:
        names = [str(SECTION.genes[row]) for row in rows if not SECTION.genes[row].startswith("FLAT")]
        return float(
            np.median([pearsonr(predicted.gene(name), truth[:, column[name]]).statistic for name in names])
        )

    assert correlation(OTHERS) > 0.75
    assert correlation(OTHERS) > correlation(PANEL) - 0.05
    assert list(whole.genes) == [*SECTION.genes[PANEL], *SECTION.genes[OTHERS]]
    assert np.array_equal(whole.loadings[: len(PANEL)], basis.loadings)


def test_r_loo_is_the_correlation_with_a_second_measurement() -> None:
    """r_loo is the correlation of the leave-one-out prediction with new counts of the same tissue."""
    basis, left_out, _, _ = krige(SECTION.spots.xy)
    whole = extend(basis, left_out, SECTION.counts, SECTION.genes).take(slice(len(PANEL), None))
    rates = np.expm1(TISSUE.truth(SECTION.spots.xy)) / 1e4
    depth = np.asarray(SECTION.counts.sum(axis=1)).ravel()
    again = sparse.csr_matrix(np.random.default_rng(0).poisson(depth[:, None] * rates).astype(float))
    measured = log_cp10k(again)[:, OTHERS].toarray()
    predicted = whole.offset + left_out @ whole.loadings.T
    varies = predicted.std(axis=0) > 0
    shown = [pearsonr(predicted[:, j], measured[:, j]).statistic for j in np.flatnonzero(varies)]
    assert np.mean(whole.r_loo[varies]) == pytest.approx(np.mean(shown), abs=0.03)
    assert pearsonr(whole.r_loo[varies], shown).statistic > 0.9


def test_genes_of_noise_have_an_r_loo_of_zero() -> None:
    """Genes of noise have an r_loo around 0, neither −1 from the mean of the others nor that of fitted values."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(300, 20))
    expression = sparse.csr_matrix(rng.gamma(1.0, 1.0, (300, 400)))
    r_loo = regress(np.arange(400).astype(str), expression, scores).r_loo
    assert abs(float(np.mean(r_loo))) < 0.03
    assert float(np.abs(r_loo).max()) < 0.35


def test_loadings_are_those_of_scikit_learn() -> None:
    """Without outliers, loadings and offsets are those of scikit-learn's ridge regression."""
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(40, 5)) @ rng.normal(size=(5, 5))
    values = np.abs(scores @ rng.normal(size=(5, 8)) + rng.uniform(-5, 5, (40, 8)))
    design = RidgeDesign.of(scores, unit="column", intercept=True)
    centred = values - values.mean(axis=0)
    fit = design.fit(centred, NOISE_RATIOS)
    error = centred - fit.left_out
    assert (np.abs(error) < 3 * np.sqrt((error**2).mean(axis=0))).all()
    basis = regress(np.arange(8).astype(str), sparse.csr_matrix(values), scores)
    assert len(set(fit.choice)) > 1
    for gene, penalty in enumerate(NOISE_RATIOS[fit.choice] * float(np.mean(design.singular**2))):
        if not np.isfinite(penalty):
            assert not basis.loadings[gene].any()
            continue
        model = Ridge(alpha=penalty).fit(scores, values[:, gene])
        assert np.allclose(basis.loadings[gene], model.coef_, atol=1e-5)
        assert basis.offset[gene] == pytest.approx(model.intercept_, abs=1e-4)


def test_winsorising_protects_the_loadings() -> None:
    """Where one value in fifty is an outlier, loadings are nearer to the true ones than plain ridge regression's."""
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(200, 6))
    slopes = rng.normal(size=(6, 50))
    clean = 20 + scores @ slopes + rng.normal(size=(200, 50))
    outlying = clean + 25 * (rng.random(clean.shape) < 0.02)
    loadings = regress(np.arange(50).astype(str), sparse.csr_matrix(outlying), scores).loadings
    plain = Ridge(alpha=1.0).fit(scores, outlying).coef_
    assert ((loadings - slopes.T) ** 2).mean() < 0.5 * ((plain - slopes.T) ** 2).mean()


def test_intervals_cover_new_measurements() -> None:
    """Nine in ten new measurements lie in the 90 % interval, pooled over genes."""
    basis, left_out, sd, _ = krige(SECTION.spots.xy)
    whole = extend(basis, left_out, SECTION.counts, SECTION.genes, score_sd=sd)
    whole = whole.take(slice(len(PANEL), None))
    rates = np.expm1(TISSUE.truth(SECTION.spots.xy)) / 1e4
    depth = np.asarray(SECTION.counts.sum(axis=1)).ravel()
    again = sparse.csr_matrix(np.random.default_rng(0).poisson(depth[:, None] * rates).astype(float))
    measured = log_cp10k(again)[:, OTHERS].toarray()
    locations = upsampled(SECTION, 1)
    predicted = FactoredPrediction(locations, whole, left_out, sd).whole(observation=True)
    assert predicted.sd is not None
    within = np.abs(measured - predicted.mean) <= 1.645 * predicted.sd
    assert within.mean() == pytest.approx(0.9, abs=0.02)
    assert (whole.noise_sd > 0).all()


def test_constant_genes_have_no_loadings() -> None:
    """Genes without counts, or with the same value everywhere: this value, loadings 0, r_loo 0, no NaN."""
    scores = np.random.default_rng(0).normal(size=(12, 3))
    expression = np.zeros((12, 3))
    expression[:, 1] = 1.5
    expression[0, 2] = 1.0
    basis = regress(np.array(["none", "same", "once"]), sparse.csr_matrix(expression), scores)
    assert np.allclose(basis.offset[:2], [0.0, 1.5])
    assert not basis.loadings[:2].any()
    assert not basis.r_loo[:2].any()
    for name in ("offset", "loadings", "noise_sd", "calibration_factor", "r_loo"):
        assert np.isfinite(getattr(basis, name)).all(), name


@pytest.mark.parametrize("case", ["constant", "repeated", "one spot", "two spots", "more factors than spots"])
def test_degenerate_scores_give_no_nan(case: str) -> None:
    """Scores that are constant, repeated or fewer than the factors give finite numbers."""
    rng = np.random.default_rng(0)
    n = {"one spot": 1, "two spots": 2, "more factors than spots": 4}.get(case, 30)
    scores = rng.normal(size=(n, 6))
    if case == "constant":
        scores[:] = 2.0
    elif case == "repeated":
        scores[:, 1:] = scores[:, :1]
    expression = sparse.csr_matrix(rng.gamma(1.0, 1.0, (n, 20)))
    basis = regress(np.arange(20).astype(str), expression, scores)
    for name in ("offset", "loadings", "noise_sd", "calibration_factor", "r_loo"):
        assert np.isfinite(getattr(basis, name)).all(), name
    assert np.abs(basis.r_loo).max() <= 1.0 + 1e-6


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gene by gene the result is that of all genes at once."""
    basis, left_out, sd, _ = krige(SECTION.spots.xy)
    at_once = extend(basis, left_out, SECTION.counts, SECTION.genes, score_sd=sd)
    monkeypatch.setattr("histosge.prediction.unfitted_genes._BLOCK", 1)
    single = extend(basis, left_out, SECTION.counts, SECTION.genes, score_sd=sd)
    for name in ("offset", "loadings", "noise_sd", "calibration_factor", "r_loo"):
        assert np.allclose(getattr(at_once, name), getattr(single, name), atol=1e-5), name


def test_unusable_scores_are_refused_in_a_sentence() -> None:
    """Scores of other spots and NaN are refused; a panel of all genes is returned as it is."""
    basis, left_out, _, _ = krige(SECTION.spots.xy)
    with pytest.raises(DataError, match="scores of"):
        extend(basis, left_out[:-1], SECTION.counts, SECTION.genes)
    with pytest.raises(DataError, match="NaN"):
        extend(basis, left_out * np.nan, SECTION.counts, SECTION.genes)
    same = extend(basis, left_out, SECTION.counts[:, PANEL], SECTION.genes[PANEL])
    assert same is basis


def test_draws_have_the_moments_of_the_prediction() -> None:
    """Draws at a location have the mean, the standard deviation and the covariance of genes of the prediction."""
    basis, left_out, sd, _ = krige(SECTION.spots.xy)
    basis = replace(basis, offset=basis.offset + 50.0, calibration_factor=np.full(len(PANEL), 1.3))
    prediction = FactoredPrediction(upsampled(SECTION, 1), basis, left_out, sd).take(np.arange(5))
    names = [str(name) for name in SECTION.genes[PANEL][:4]]
    drawn = np.stack(list(prediction.draws(4000, names, seed=1)))
    expected = prediction.whole(names)
    assert expected.sd is not None
    assert np.allclose(drawn.mean(axis=0), expected.mean, atol=5 * expected.sd.max() / 4000**0.5)
    assert np.allclose(drawn.std(axis=0), expected.sd, rtol=0.06)
    loadings = basis.loadings[:4]
    covariance = (loadings * prediction.score_sd[0] ** 2) @ loadings.T * 1.3**2  # type: ignore[index]
    assert np.allclose(np.cov(drawn[:, 0].T), covariance, atol=0.1 * np.abs(covariance).max())
    noisy = np.stack(list(prediction.draws(4000, names, seed=1, observation=True)))
    with_noise = prediction.whole(names, observation=True).sd
    assert np.allclose(noisy.std(axis=0), np.asarray(with_noise), rtol=0.06)
    again = np.stack(list(prediction.draws(10, names[::-1], seed=1)))
    assert np.allclose(again[:, :, ::-1], drawn[:10])
