"""The eigendecomposition of cokriging: contributions of single measurements."""

from __future__ import annotations

import numpy as np
from cokriging_samples import EXPRESSION, TEST, TRAINING, N, kernel_inputs

from histosge.models.cokriging.eigensolver import Eigendecomposition
from histosge.models.cokriging.kernels import Covariance


def test_contributions_of_measurements_add_up() -> None:
    """Contributions of two halves of the spots add up to the whole; measurements equal to the mean add nothing."""
    spots = kernel_inputs(55.0, image=False)
    covariance = Covariance.of(spots, (200.0, 800.0), image_weight=0.0)
    eigen = Eigendecomposition.exact(covariance(spots, spots))
    targets = EXPRESSION[:, :6].copy()
    posterior = eigen.posterior(targets)
    left, right = (eigen.contribution(posterior, targets, rows) for rows in (TRAINING, TEST))
    assert np.allclose(left + right, posterior.projections)
    assert np.abs(left).max() > 0.1
    assert np.allclose(eigen.contribution(posterior, np.tile(posterior.mean, (N, 1)), TRAINING), 0.0)
