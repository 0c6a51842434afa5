"""Ridge regression by marginal likelihood against scikit-learn, dense algebra and refits."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from histosge.prediction.evidence_ridge import EvidenceRidge, RidgeDesign, log_marginal_likelihood

RNG = np.random.default_rng(2)
FEATURES = RNG.normal(size=(40, 5)) @ RNG.normal(size=(5, 5))
TARGETS = FEATURES @ RNG.normal(size=(5, 8)) + RNG.uniform(-5, 5, (40, 8))
TARGETS -= TARGETS.mean(axis=0)
RATIOS = np.concatenate([np.logspace(-5, 3, 33), [np.inf]])


def test_the_likelihood_is_that_of_dense_algebra() -> None:
    """The log likelihood equals the multivariate normal density at the best signal variance, up to a constant."""
    left, singular, _ = np.linalg.svd(FEATURES, full_matrices=False)
    ratios = np.array([0.1, 1.0, 30.0])
    projections = left.T @ TARGETS
    residual = (TARGETS**2).sum(axis=0) - (projections**2).sum(axis=0)
    logs, variance = log_marginal_likelihood(
        singular**2, projections**2, residual=residual, noise_ratios=ratios, n=40
    )
    for row, ratio in enumerate(ratios):
        covariance = FEATURES @ FEATURES.T + ratio * np.eye(40)
        expected = np.einsum("ng,ng->g", TARGETS, np.linalg.solve(covariance, TARGETS)) / 40
        assert np.allclose(variance[row], expected)
        assert np.allclose(logs[row], -0.5 * (40 * np.log(expected) + np.linalg.slogdet(covariance)[1]))


def test_an_infinite_ratio_is_the_limit() -> None:
    """No signal has the likelihood that ever larger ratios approach."""
    logs, variance = log_marginal_likelihood(
        np.array([2.0, 1.0]),
        np.ones((2, 3)),
        residual=np.full(3, 5.0),
        noise_ratios=np.array([1e9, np.inf]),
        n=20,
    )
    assert np.allclose(logs[0], logs[1], atol=1e-5)
    assert not variance[1].any()


@pytest.mark.parametrize("intercept", [True, False])
def test_left_out_predictions_are_those_of_refits(intercept: bool) -> None:
    """Coefficients and leave-one-out predictions are scikit-learn's, refitted without each row."""
    design = RidgeDesign.of(FEATURES, unit="column", intercept=intercept)
    fit = design.fit(TARGETS, RATIOS)
    assert len(set(fit.choice)) > 1
    unit = float(np.mean(design.singular**2))
    for target, penalty in enumerate(RATIOS[fit.choice] * unit):
        if not np.isfinite(penalty):
            assert not fit.coefficients[:, target].any()
            continue
        model = Ridge(alpha=penalty, fit_intercept=intercept)
        assert np.allclose(
            fit.coefficients[:, target], model.fit(FEATURES, TARGETS[:, target]).coef_, atol=1e-8
        )
        for row in range(40):
            rest = np.arange(40) != row
            prediction = model.fit(FEATURES[rest], TARGETS[rest, target]).predict(FEATURES[[row]])[0]
            assert fit.left_out[row, target] == pytest.approx(prediction, abs=1e-8)


def test_the_chosen_ratio_has_the_highest_likelihood() -> None:
    """With an intercept, no other ratio has a higher likelihood under the normal distribution of the contrasts."""
    scores = FEATURES - FEATURES.mean(axis=0)
    design = RidgeDesign.of(scores, unit="column", intercept=True)
    choice = design.fit(TARGETS, RATIOS).choice
    unit = float(np.mean(design.singular**2))
    # centring removes one dimension, the constant vector
    contrasts = np.linalg.svd(np.ones((1, 40)))[2][1:]
    for target in range(TARGETS.shape[1]):
        logs = []
        for ratio in RATIOS:
            covariance = contrasts @ (scores @ scores.T / (ratio * unit) + np.eye(40)) @ contrasts.T
            values = contrasts @ TARGETS[:, target]
            noise = values @ np.linalg.solve(covariance, values) / 39
            logs.append(-39 * np.log(noise) - np.linalg.slogdet(covariance)[1])
        assert logs[choice[target]] == pytest.approx(max(logs), abs=1e-6)


def test_a_constant_design_predicts_nothing() -> None:
    """Columns without variance have coefficients 0 and finite leave-one-out predictions."""
    fit = RidgeDesign.of(np.ones((30, 4)), unit="column", intercept=True).fit(
        RNG.normal(size=(30, 3)), RATIOS
    )
    assert not fit.coefficients.any()
    assert np.isfinite(fit.left_out).all()


def test_predictions_are_restored_from_arrays() -> None:
    """Arrays restore a regression with the same means and standard deviations."""
    ridge = EvidenceRidge.fit(FEATURES, TARGETS)
    again = EvidenceRidge.from_arrays(ridge.arrays())
    for before, after in zip(ridge.predict(FEATURES), again.predict(FEATURES), strict=True):
        assert np.array_equal(before, after)


def test_more_features_than_spots_have_the_same_ridge(monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix of spots × spots, decomposed where there are many features, gives the weights of one of features."""
    from histosge.prediction import evidence_ridge

    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 90))
    features -= features.mean(axis=0)
    targets = features[:, :3] @ rng.normal(size=(3, 6)) + rng.normal(size=(20, 6))
    predicted = []
    for wide in (4, 100):
        monkeypatch.setattr(evidence_ridge, "_WIDE", wide)
        predicted.append(EvidenceRidge.fit(features, targets).predict(features[::-1] + 0.3))
    for first, second in zip(*predicted, strict=True):
        assert np.allclose(first, second, rtol=1e-5)
