"""Loadings are shrunken by what noise has added to them, and not at all where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from cokriging_samples import SAMPLES, XY, N

from histosge.models.cokriging.loadings import Shrinkage
from histosge.models.cokriging.model import Cokriging
from histosge.prediction.principal_components import principal_axes
from histosge.section.inputs import Samples

SPOTS, GENES = 100, 400
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=(SPOTS, GENES))
WEIGHT = np.full(GENES, 0.5**0.5)


def unit(values: np.ndarray) -> np.ndarray:
    """Return rows of length 1."""
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True))


def test_shrinkage_is_the_slope_at_other_spots() -> None:
    """Of spots that were not fitted, the part along an axis is what shrinkage says of that at fitted spots."""
    loading, score = unit(RNG.normal(size=GENES)), unit(RNG.normal(size=SPOTS))
    loading = unit(loading - loading.mean())
    signal = 40.0 * np.outer(score, loading)
    found = Shrinkage.of(signal + NOISE, WEIGHT, 2).loadings(signal + NOISE)
    assert len(found) == 2
    share = float(np.linalg.norm(found.shrunken[1]))
    assert 0.5 < share < 0.95
    # the best multiple of the fitted pattern, whose scores are smoothed without error
    along = found.axes[1]
    smooth = score * (score @ (signal + NOISE) @ along)
    best = float((signal * np.outer(smooth, along)).sum() / (smooth @ smooth))
    assert abs(share - best) < 0.05


def test_directions_of_noise_are_left_out() -> None:
    """Noise alone leaves the leading direction, an equal change of all genes."""
    found = Shrinkage.of(NOISE, WEIGHT, 30).loadings(NOISE)
    assert len(found) <= 2
    assert np.allclose(found.axes[0], GENES**-0.5)


def test_noise_variance_is_found() -> None:
    """The median eigenvalue says how large the noise is, with more genes than spots and with fewer."""
    for values in (3.0 * NOISE, 3.0 * NOISE.T):
        values = values - values.mean(axis=0)
        rule = Shrinkage.of(values, np.full(values.shape[1], 0.7), 30)
        assert abs(rule.noise_variance - 9.0) < 0.5


def test_few_genes_and_no_shrinkage_keep_principal_axes() -> None:
    """Loadings of few genes, and with the option off, are principal axes as they are."""
    few = NOISE[:, :20]
    for rule, values in (
        (Shrinkage.of(few, WEIGHT[:20], 5), few),
        (Shrinkage.none(GENES, 5), NOISE),
    ):
        found = rule.loadings(values)
        assert np.array_equal(found.axes, principal_axes(values, 5))
        assert np.array_equal(found.axes, found.shrunken)


def test_genes_that_do_not_vary_follow_nothing() -> None:
    """A gene of one value everywhere has no part in any direction."""
    values = NOISE.copy()
    values[:, 3] = 0.0
    found = Shrinkage.of(values, WEIGHT, 5).loadings(values)
    assert not found.axes[:, 3].any()


def test_components_of_genes_add_up() -> None:
    """With every factor there is, nothing is left of a gene beside the factors: the residual component is 0."""
    options = {"image": False, "factors": 60, "gene_weight": 0.0, "winsorise_sd": None}
    with_residual, without = (
        Cokriging(**options, residual_weight=weight).fit(SAMPLES).basis.loadings for weight in (1.0, 0.0)
    )
    assert np.allclose(with_residual, without, atol=1e-6)


def test_programs_of_noise_are_refused() -> None:
    """Directions of noise predict no spot better: none is used, and no prediction changes."""
    noise = unit(np.random.default_rng(1).normal(size=(6, len(SAMPLES.genes))))
    plain, refused = (
        Cokriging(image=False).fit(replace(SAMPLES, programs=programs)) for programs in (None, noise)
    )
    assert "programs" not in plain.summary()
    assert refused.summary()["programs"]["used"] == 0
    assert refused.summary()["programs"]["given"] == 6
    assert np.array_equal(plain.basis.loadings, refused.basis.loadings)


def test_programs_of_the_tissue_are_used() -> None:
    """Where spots are few, directions of the noise-free tissue predict spots left out better."""
    rng = np.random.default_rng(2)
    directions = unit(rng.normal(size=(2, GENES)))
    pattern = np.stack([np.sin(XY[:, 0] / 250), np.cos(XY[:, 1] / 200)], axis=1)
    values = 6.0 * pattern @ directions + rng.normal(size=(N, GENES))
    inputs = replace(SAMPLES.inputs, features=None)
    samples = Samples(inputs, values - values.min(), np.arange(GENES).astype(str), SAMPLES.depth, directions)
    summary = Cokriging(image=False).fit(samples).summary()["programs"]
    assert summary["used"] == 2
    assert summary["worth"]["5"]["r_loo"] > summary["worth"]["0"]["r_loo"]


def test_leading_directions_stay_orthonormal() -> None:
    """Directions of programs are made orthonormal to the leading one, and repeated ones are dropped."""
    given = NOISE[:3]
    rule = Shrinkage.of(NOISE, WEIGHT, 30).with_leading(np.concatenate([given, given]))
    assert np.allclose(rule.leading @ rule.leading.T, np.eye(4), atol=1e-10)
    assert rule.leading_share[0] < 1
    assert np.array_equal(rule.leading_share[1:], np.ones(3))
