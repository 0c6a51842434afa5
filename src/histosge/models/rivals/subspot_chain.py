"""The Markov chains of BayesSpace: labels of spots, and principal components of their sub-spots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int

from .subspots import NeighbourGraph

__all__ = ["Mixture", "MixtureOptions", "spot_labels", "subspot_means", "subspot_states"]

# precision of the means of clusters, and of the scale of the Wishart prior; degrees of freedom of t and of Wishart
_PRIOR, _T, _WISHART = 0.01, 4, 1
# share of the iterations that are left out of the means
_BURN_IN = 0.1
# acceptance that the steps are adapted to, from this iteration on
_TARGET, _ADAPT_AFTER = 0.234, 10


@dataclass(frozen=True, slots=True)
class MixtureOptions:
    """What decides a chain.

    Parameters
    ----------
    smoothing
        Weight of neighbours with the same label.
    jitter_scale
        Variance of a proposed step, times the number of components; 0 adapts it to the acceptance, spot by spot.
    displacement
        Weight of the squared distance of a sub-spot from its spot, in the logarithm of its prior.
    whole_shape
        Whether the shape of the gamma distribution is rounded down.
    """

    smoothing: float
    jitter_scale: float
    displacement: float
    whole_shape: bool


class Mixture:
    """A mixture of t distributions with one precision, and a Potts prior of labels; each step draws a part anew.

    Parameters
    ----------
    values
        Components, row by row.
    labels
        Cluster of each row, to begin with.
    clusters
        How many there are.
    graph
        Neighbours of the rows.
    options, rng
        Of the chain.
    """

    def __init__(
        self,
        values: Float[np.ndarray, "n d"],
        labels: Int[np.ndarray, " n"],
        clusters: int,
        *,
        graph: NeighbourGraph,
        options: MixtureOptions,
        rng: np.random.Generator,
    ) -> None:
        self.values, self.labels, self.clusters = values, labels.copy(), clusters
        self.graph, self.options, self.rng = graph, options, rng
        self.weights = np.ones(len(values))
        self.centre = values.mean(axis=0)
        self.precision = np.linalg.inv(
            np.cov(values.T).reshape(2 * values.shape[1:]) + _PRIOR * self._identity
        )
        # the prior of the labels: a neighbour with the same label counts 2γ over the number of neighbours
        self._pull = 2 * options.smoothing / np.maximum(graph.degree, 1)

    @property
    def _identity(self) -> Array:
        return np.eye(self.values.shape[1])

    def draw_means(self) -> None:
        """Draw the mean of each cluster."""
        of_cluster = np.zeros((len(self.values), self.clusters))
        of_cluster[np.arange(len(self.values)), self.labels] = self.weights
        totals, sums = of_cluster.sum(axis=0), of_cluster.T @ self.values
        precision = _PRIOR * self._identity + totals[:, None, None] * self.precision
        right = _PRIOR * self.centre + sums @ self.precision
        mean = np.linalg.solve(precision, right[..., None])
        noise = self.rng.standard_normal(mean.shape)
        upper = np.linalg.cholesky(precision).transpose(0, 2, 1)
        self.means = (mean + np.linalg.solve(upper, noise))[..., 0]

    def draw_precision(self) -> None:
        """Draw the precision within clusters, by the decomposition of Bartlett."""
        residual = self.values - self.means[self.labels]
        scatter = _PRIOR * self._identity + (residual * self.weights[:, None]).T @ residual
        d = len(scatter)
        freedom = len(residual) + _WISHART - np.arange(d)
        lower = np.tril(self.rng.standard_normal((d, d)), -1)
        lower[np.diag_indices(d)] = np.sqrt(self.rng.chisquare(freedom))
        # scatter = c cᵀ, so that its inverse is c⁻ᵀ c⁻¹
        root = np.linalg.solve(np.linalg.cholesky(scatter).T, lower)
        self.precision = root @ root.T

    def squared_distances(self, values: Array, labels: Array) -> Array:
        """Return the squared distance of rows to the mean of a cluster, in units of the precision."""
        return np.asarray(((values @ self._root - (self.means @ self._root)[labels]) ** 2).sum(axis=-1))

    def draw_weights_and_labels(self) -> None:
        """Draw the weight of each row, and accept or refuse another label for it, group by group."""
        d, rows = self.values.shape[1], len(self.values)
        shape = (d + _T) // 2 if self.options.whole_shape else (d + _T) / 2
        rate = (self.squared_distances(self.values, self.labels) + _T) / 2
        self.weights = self.rng.gamma(shape, size=rows) / rate
        if self.clusters == 1:
            return
        proposed = (self.labels + self.rng.integers(1, self.clusters, rows)) % self.clusters
        gain = rate * 2 - _T - self.squared_distances(self.values, proposed)
        gain = 0.5 * self.weights * gain - np.log(self.rng.uniform(size=rows))
        # a row beyond the last has no label
        labels = np.append(self.labels, -1)
        for group in self.graph.groups:
            near = labels[self.graph.neighbours[group]]
            same = (near == proposed[group, None]).sum(axis=1) - (near == labels[group, None]).sum(axis=1)
            accepted = group[gain[group] + self._pull[group] * same > 0]
            labels[accepted] = proposed[accepted]
        self.labels = labels[:-1]

    def draw_clusters(self) -> None:
        """Draw means and precision."""
        self.draw_means()
        self.draw_precision()
        self._root = np.linalg.cholesky(self.precision)


def spot_labels(mixture: Mixture, iterations: int) -> Int[np.ndarray, " n"]:
    """Return the label that each row has most often after the first iterations; of equally frequent ones the first."""
    counts = np.zeros((len(mixture.values), mixture.clusters), dtype=np.intp)
    for iteration in range(iterations):
        mixture.draw_clusters()
        mixture.draw_weights_and_labels()
        if iteration >= int(_BURN_IN * iterations):
            counts[np.arange(len(counts)), mixture.labels] += 1
    return np.asarray(counts.argmax(axis=1))


def subspot_states(mixture: Mixture, subspots: int, iterations: int) -> Iterator[tuple[Array, Array]]:
    """Yield the components of the sub-spots, spots × sub-spots × d, and which spots moved, at each iteration.

    Parameters
    ----------
    mixture
        Of the sub-spots, each with the components of its spot.
    subspots
        How many a spot has.
    iterations
        How many; steps are adapted in the first tenth of them.
    """
    shape = (-1, subspots, mixture.values.shape[1])
    values = mixture.values.reshape(shape)
    spots, rng, d = values[:, :1].copy(), mixture.rng, shape[2]
    adapted = mixture.options.jitter_scale == 0
    step = np.full(len(values), np.sqrt((mixture.options.jitter_scale or 1.0) / d))
    for iteration in range(1, iterations + 1):
        mixture.draw_clusters()
        labels, weights = (part.reshape(shape[:2]) for part in (mixture.labels, mixture.weights))
        moves = rng.standard_normal(values.shape) * step[:, None, None]
        # centred, so that the mean of the sub-spots stays that of the spot
        moved = values + moves - moves.mean(axis=1, keepdims=True)
        ratio = _log_density(mixture, moved, spots, labels, weights)
        ratio -= _log_density(mixture, values, spots, labels, weights)
        accepted = np.log(rng.uniform(size=len(values))) < ratio
        values = np.where(accepted[:, None, None], moved, values)
        mixture.values = values.reshape(-1, d)
        mixture.draw_weights_and_labels()
        if adapted and _ADAPT_AFTER < iteration <= _BURN_IN * iterations:
            rate = min(1.0, d * iteration ** (-2 / 3))
            step *= np.exp(rate * (np.exp(np.minimum(ratio, 0)) - _TARGET))
        yield values, accepted


def subspot_means(
    mixture: Mixture, subspots: int, iterations: int
) -> tuple[Float[np.ndarray, "n s d"], float]:
    """Return the mean components of the sub-spots after the first tenth of the iterations, and the acceptance."""
    total = np.zeros((len(mixture.values) // subspots, subspots, mixture.values.shape[1]))
    moved, kept = 0.0, 0
    for iteration, (values, accepted) in enumerate(subspot_states(mixture, subspots, iterations)):
        if iteration >= int(_BURN_IN * iterations):
            total += values
            moved += float(accepted.mean())
            kept += 1
    return total / kept, moved / kept


def _log_density(mixture: Mixture, values: Array, spots: Array, labels: Array, weights: Array) -> Array:
    """Return the logarithm of the density of the sub-spots of each spot, but for a constant."""
    likelihood = -0.5 * weights * mixture.squared_distances(values, labels)
    away = ((values - spots) ** 2).sum(axis=2)
    return np.asarray((likelihood - mixture.options.displacement * away).sum(axis=1))
