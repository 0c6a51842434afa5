"""The image weight is the one of highest marginal likelihood."""

from __future__ import annotations

import numpy as np
from cokriging_samples import EXPRESSION, kernel_inputs

from histosge.models.cokriging.eigensolver import Eigendecomposition
from histosge.models.cokriging.kernels import Covariance
from histosge.models.cokriging.model_selection import select_image_weight

RANGES_UM = (200.0, 800.0)


def test_the_likelihood_is_that_of_the_covariance() -> None:
    """Kernels computed once for all weights give the likelihoods of the covariance with each weight."""
    spots, factors = kernel_inputs(55.0), EXPRESSION[:, :4]
    selection = select_image_weight(
        spots, factors, ranges_um=RANGES_UM, image_weights=(0.25, 0.75), seed=0, short_range_um=50.0
    )
    logs = []
    for weight in (0.25, 0.75):
        covariance = Covariance.of(spots, RANGES_UM, image_weight=weight, short_range_um=50.0)
        posterior = Eigendecomposition.exact(covariance(spots, spots)).posterior(factors)
        logs.append(posterior.log_marginal_likelihood.sum())
    expected = np.array(logs) - max(logs)
    assert np.allclose(
        [selection.log_marginal_likelihood[weight] for weight in (0.25, 0.75)], expected, atol=1e-3
    )


def test_likelihoods_are_relative_to_the_best() -> None:
    """The log likelihood is 0 for the chosen weight and negative for all others."""
    selection = select_image_weight(
        kernel_inputs(0.0), EXPRESSION[:, :6], ranges_um=RANGES_UM, image_weights=(0.0, 0.5), seed=0
    )
    logs = selection.log_marginal_likelihood
    assert logs[selection.image_weight] == 0.0
    assert max(logs.values()) == 0.0
    assert min(logs.values()) < 0.0


def test_without_an_image_the_weight_is_zero() -> None:
    """Spots without image features have one candidate, whatever was asked for."""
    selection = select_image_weight(
        kernel_inputs(0.0, image=False), EXPRESSION[:, :3], ranges_um=RANGES_UM, image_weights=(0.5,), seed=0
    )
    assert selection.image_weight == 0.0
    assert list(selection.eigens) == ["fitted"]
