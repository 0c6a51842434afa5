"""The Gaussian mixture with one shared covariance."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import adjusted_rand_score

from histosge.domains.mixture import tied_mixture


def test_the_mixture_separates_elongated_groups_that_kmeans_does_not() -> None:
    """Groups with one elongated covariance are separated across its short axis."""
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 150)
    values = rng.normal(size=(300, 2)) * [12.0, 0.5] + truth[:, None] * [0.0, 4.0]
    assert adjusted_rand_score(truth, tied_mixture(values, 2)) > 0.95
    assert adjusted_rand_score(truth, KMeans(2, n_init=10, random_state=0).fit_predict(values)) < 0.5
