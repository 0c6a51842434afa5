"""A Gaussian mixture with one shared covariance (mclust's model EEE), fitted by scikit-learn."""

from __future__ import annotations

import numpy as np

from histosge._runtime.seeds import seed_of_32_bits
from histosge._runtime.types import Array, Float, Int

__all__ = ["tied_mixture"]

_KMEANS_STARTS = 4
_SUBSAMPLE_STARTS = 6
_SUBSAMPLE = 1000
_ITERATIONS = 300
# of the mean variance, added to the diagonal
_RIDGE = 1e-6


def tied_mixture(values: Float[np.ndarray, "n d"], clusters: int, *, seed: int = 0) -> Int[np.ndarray, " n"]:
    """Return the most probable component of each row, under the likeliest of many fits.

    Differs from mclust (Scrucca et al. 2016), which starts once, from its own hierarchical clustering. Here starts are
    trees by Ward's criterion (of all rows and of subsamples, on the values and on their whitened form) and K-means; the
    fit of the largest likelihood is taken. Labels will differ from mclust's.

    Parameters
    ----------
    values
        An embedding.
    clusters
        Number of components.
    seed
        Of subsamples and K-means.
    """
    from sklearn.mixture import GaussianMixture

    values = np.asarray(values, dtype=np.float64)
    best, likelihood = None, -np.inf
    for labels in _starts(values, clusters, seed):
        # EM starts from the moments of a hard clustering and converges to a local maximum of the likelihood
        weights, means, precision = _moments(values, labels, clusters)
        model = GaussianMixture(
            clusters,
            covariance_type="tied",
            reg_covar=_RIDGE * float(values.var(axis=0).mean()),
            max_iter=_ITERATIONS,
            weights_init=weights,
            means_init=means,
            precisions_init=precision,
            random_state=seed_of_32_bits(seed),
        ).fit(values)
        # the log-likelihood per row, comparable between starts
        if model.lower_bound_ > likelihood:
            best, likelihood = model, float(model.lower_bound_)
    return np.asarray(best.predict(values)) if best is not None else np.zeros(len(values), dtype=np.intp)


def _starts(values: Array, clusters: int, seed: int) -> list[Array]:
    """Return initial labels, each with all ``clusters`` in it."""
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(seed)
    # in whitened coordinates elongated groups of one covariance are round, as Ward's criterion expects
    white = _whitened(values)
    starts = [_tree(values, clusters, np.arange(len(values))), _tree(white, clusters, np.arange(len(values)))]
    for start in range(_SUBSAMPLE_STARTS):
        rows = np.sort(rng.permutation(len(values))[: max(_SUBSAMPLE, clusters)])
        starts.append(_tree(white if start % 2 else values, clusters, rows))
    for _ in range(_KMEANS_STARTS):
        means = KMeans(clusters, n_init=1, random_state=int(rng.integers(2**31))).fit(values)
        starts.append(np.asarray(means.labels_))
    return [labels for labels in starts if len(np.unique(labels)) == clusters]


def _tree(values: Array, clusters: int, rows: Array) -> Array:
    """Cut Ward's tree of some rows; the other rows belong to the nearest centre."""
    from scipy.spatial import cKDTree
    from sklearn.cluster import AgglomerativeClustering

    labels = AgglomerativeClustering(clusters).fit_predict(values[rows])
    if len(rows) == len(values):
        return np.asarray(labels)
    centres = np.stack([values[rows][labels == k].mean(axis=0) for k in range(clusters)])
    return np.asarray(cKDTree(centres).query(values)[1])


def _whitened(values: Array) -> Array:
    """Return the values rotated and scaled to unit covariance."""
    left, size, _ = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    # directions without variance would be rounding errors scaled up
    return np.asarray(left[:, size > 1e-9 * size[0]] * len(values) ** 0.5)


def _moments(values: Array, labels: Array, clusters: int) -> tuple[Array, Array, Array]:
    """Return shares and centres of the groups, and the inverse of the covariance within them."""
    share = np.bincount(labels, minlength=clusters) / len(labels)
    means = np.stack([values[labels == k].mean(axis=0) for k in range(clusters)])
    residuals = values - means[labels]
    covariance = residuals.T @ residuals / len(values)
    ridge = _RIDGE * max(float(values.var(axis=0).mean()), 1e-12)
    return share, means, np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
