"""Loadings of the factors, shrunken by as much as noise has turned and stretched them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.prediction.principal_components import axes_of_products, principal_axes

__all__ = ["Loadings", "Shrinkage"]

# power of a gene's signal-to-noise ratio in the shrinkage of its loadings: 1 where all reproducible variance of a gene
# is in patterns that other genes share, 0 where as much of it is in every gene. Chosen on her2st C2 and MOB1
_SIGNAL_POWER = 0.5
# share of the leading direction that is kept, 1 − 15/n and no less; without this r is larger and r given depth lower
_LEAST_SHARE, _LOST_SPOTS = 0.92, 15.0
# more spots determine the first principal axis better than the assumption that depth changes all genes equally
_MANY_SPOTS = 1000
# no gene is measured without noise, or without signal
_LEAST_RELIABILITY, _MOST_RELIABILITY = 0.01, 0.95
# fewer do not determine the noise
_LEAST_GENES, _LEAST_SPOTS = 50, 20
# a direction with less than this part that is new follows from the earlier ones
_LEAST_NEW = 1e-6
# points of the numerical integral of a density
_GRID = 20_001
_TINY = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class Loadings:
    """Directions of expression that define the factors, and what a factor score adds to each gene.

    Parameters
    ----------
    axes
        Orthonormal: factor scores are projections of the values on them.
    shrunken
        The same directions times what is signal in them, at most 1: predictions are scores times these.
    """

    axes: Float[np.ndarray, "k g"]
    shrunken: Float[np.ndarray, "k g"]

    def __len__(self) -> int:
        return len(self.axes)

    @classmethod
    def plain(cls, axes: Float[np.ndarray, "k g"]) -> Loadings:
        """Return axes that are not shrunken."""
        return cls(axes, axes)


@dataclass(frozen=True, slots=True, eq=False)
class Shrinkage:
    """How loadings follow from the values of some spots (Eq. 3a and 3b of docs/method.md).

    Principal axes of few spots follow their noise: values of these spots along them are larger than those of any
    other spot, and the axes are turned away from the true ones. An axis is multiplied by the share of its variance
    that is signal, a function of its eigenvalue alone where noise is the same in all genes (Gavish & Donoho 2014).

    Parameters
    ----------
    factors
        At most this many.
    leading
        Orthonormal directions that the values did not determine. They come first.
    leading_share
        What is kept of each.
    gene_signal
        Signal of each gene relative to its noise, to the power of a half.
    noise_variance
        Variance of the noise of one value; infinite where loadings are not shrunken.
    """

    factors: int
    leading: Float[np.ndarray, "j g"]
    leading_share: Float[np.ndarray, " j"]
    gene_signal: Float[np.ndarray, " g"]
    noise_variance: float

    @classmethod
    def of(
        cls,
        values: Float[np.ndarray, "n g"],
        weight: Float[np.ndarray, " g"],
        factors: int,
    ) -> Shrinkage:
        """Return the shrinkage of loadings of standardised, weighted values.

        The leading direction is an equal change of all genes in standard deviations: what depth changes first.
        From 1000 spots on there is none. A few genes do not say which eigenvalues are noise, and their loadings are
        not shrunken.

        Parameters
        ----------
        values
            Standardised expression of all training spots.
        weight
            Of each gene, the root of its reliability.
        factors
            At most this many.
        """
        if values.shape[1] < _LEAST_GENES or len(values) < _LEAST_SPOTS or not values.any():
            return cls.none(values.shape[1], factors)
        leading = _leading(np.asarray(values.any(axis=0)), weight, len(values))
        noise = _noise_variance(_without(values, leading))
        return cls._of(leading, noise, weight, factors, len(values))

    @classmethod
    def of_products(
        cls, products: Float[np.ndarray, "g g"], spots: int, weight: Float[np.ndarray, " g"], factors: int
    ) -> Shrinkage:
        """Return the same from the products of the values summed over all spots, which blocks of spots give.

        Parameters
        ----------
        products
            Of the centred values of the genes.
        spots
            How many.
        weight, factors
            As for :meth:`of`.
        """
        if len(products) < _LEAST_GENES or spots < _LEAST_SPOTS or not products.any():
            return cls.none(len(products), factors)
        leading = _leading(np.diag(products) > 0, weight, spots)
        eigenvalues = np.linalg.eigvalsh(_both_without(products, leading))
        noise = _noise_of_eigenvalues(eigenvalues, spots, len(products))
        return cls._of(leading, noise, weight, factors, spots)

    @classmethod
    def _of(cls, leading: Array, noise: float, weight: Array, factors: int, spots: int) -> Shrinkage:
        reliability = np.clip(weight**2, _LEAST_RELIABILITY, _MOST_RELIABILITY)
        ratio = reliability / (1 - reliability)
        mean = (reliability**2).sum() / (reliability * (1 - reliability)).sum()
        share = max(_LEAST_SHARE, 1 - _LOST_SPOTS / spots)
        return cls(factors, leading, np.full(len(leading), share), (ratio / mean) ** _SIGNAL_POWER, noise)

    def with_leading(self, directions: Float[np.ndarray, "p g"]) -> Shrinkage:
        """Return the rule with further leading directions, which are made orthonormal in their order and kept whole.

        Parameters
        ----------
        directions
            In the units of the values; those that follow from earlier ones are dropped.
        """
        leading, share = self.leading, self.leading_share
        for direction in directions[: max(self.factors - len(leading), 0)]:
            own = _without(_without(direction[None], leading), leading)
            size = np.linalg.norm(own)
            if size > _LEAST_NEW * np.linalg.norm(direction):
                leading, share = np.concatenate([leading, own / size]), np.append(share, 1.0)
        return replace(self, leading=leading, leading_share=share)

    @classmethod
    def none(cls, genes: int, factors: int) -> Shrinkage:
        """Return the rule that loadings are principal axes as they are."""
        return cls(factors, np.empty((0, genes)), np.empty(0), np.ones(genes), np.inf)

    @property
    def learnt(self) -> int:
        """At most so many directions follow from the values."""
        return max(self.factors - len(self.leading), 0)

    def rest(self, values: Float[np.ndarray, "n g"]) -> Float[np.ndarray, "n g"]:
        """Return values less their part along the leading directions."""
        return _without(values, self.leading)

    def loadings(self, values: Float[np.ndarray, "n g"]) -> Loadings:
        """Return the loadings that follow from the values of some spots."""
        rest = self.rest(values)
        return self.shrink(principal_axes(rest, max(self.learnt, 1)), rest)

    def loadings_of_products(self, products: Float[np.ndarray, "g g"], spots: int) -> Loadings:
        """Return the loadings that follow from the products of the values, summed over some spots."""
        rest = _both_without(products, self.leading)
        axes = axes_of_products(rest, max(self.learnt, 1))[: self.learnt]
        return self._shrunken(
            axes, np.einsum("kg,gh,kh->k", axes, rest, axes, optimize=True), (spots, len(rest))
        )

    def shrink(self, axes: Float[np.ndarray, "k g"], rest: Float[np.ndarray, "n g"]) -> Loadings:
        """Return loadings of principal axes of ``rest``, with the leading directions before them."""
        axes = axes[: self.learnt]
        return self._shrunken(axes, ((rest @ axes.T) ** 2).sum(axis=0), rest.shape)

    def _shrunken(self, axes: Array, eigenvalues: Array, shape: tuple[int, ...]) -> Loadings:
        if np.isinf(self.noise_variance):
            return Loadings.plain(np.concatenate([self.leading, axes]))
        signal = _signal(eigenvalues, shape, self.noise_variance)
        axes, signal = axes[signal > 0], signal[signal > 0]
        strength = signal[:, None] * self.gene_signal
        noise = self.noise_variance * shape[1]
        shrunken = axes * (strength / np.maximum(strength + noise, _TINY))
        return Loadings(
            np.concatenate([self.leading, axes]),
            np.concatenate([self.leading_share[:, None] * self.leading, shrunken]),
        )


def _without(values: Array, directions: Array) -> Array:
    """Return values less their part along orthonormal directions."""
    return values - (values @ directions.T) @ directions if len(directions) else values


def _both_without(products: Array, directions: Array) -> Array:
    """Return products of values less their part along orthonormal directions."""
    return _without(_without(products, directions).T, directions) if len(directions) else products


def _leading(varies: Array, weight: Array, spots: int) -> Array:
    """Return the direction of an equal change of all genes that vary; of many spots none."""
    leading = np.where(varies, weight, 0.0)[None]
    return np.asarray(leading[: spots < _MANY_SPOTS] / np.linalg.norm(leading))


def _signal(eigenvalues: Array, shape: tuple[int, ...], noise_variance: float) -> Array:
    """Return the sum of squares of the signal along each axis; 0 where noise alone may have the eigenvalue.

    The inverse of the largest root of λ = (d + nσ²)(d + gσ²)/d (Benaych-Georges & Nadakuditi 2012).
    """
    spots, genes = (size * noise_variance for size in shape)
    middle = eigenvalues - spots - genes
    edge = 2 * np.sqrt(spots * genes)
    return np.where(middle > edge, (middle + np.sqrt(np.maximum(middle**2 - edge**2, 0.0))) / 2, 0.0)


def _noise_variance(values: Array) -> float:
    """Return the variance of the noise of one value, from the median eigenvalue (Gavish & Donoho 2014, section III.E).

    Signal is in few directions, so that the median is an eigenvalue of noise, whose law is Marchenko and Pastur's.
    """
    spots, genes = values.shape
    products = values @ values.T if genes > spots else values.T @ values
    return _noise_of_eigenvalues(np.linalg.eigvalsh(np.asarray(products, dtype=np.float64)), spots, genes)


def _noise_of_eigenvalues(eigenvalues: Array, spots: int, genes: int) -> float:
    # the values are centred, which is one direction less
    few, many = sorted((max(spots - 1, 1), genes))
    return float(np.median(eigenvalues[-few:]) / (many * _median_of_noise(few / many)))


def _median_of_noise(aspect: float) -> float:
    """Return the median of the law of Marchenko and Pastur (1967) for a ratio of sides."""
    least, most = (1 - aspect**0.5) ** 2, (1 + aspect**0.5) ** 2
    edges = np.linspace(least, most, _GRID)
    at = (edges[1:] + edges[:-1]) / 2
    density = np.sqrt(np.maximum((most - at) * (at - least), 0.0)) / at
    below = np.cumsum(density)
    return float(at[np.searchsorted(below, below[-1] / 2)])
