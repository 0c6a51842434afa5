"""Choose the weight of the image in the covariance by marginal likelihood, and test it against shuffled images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.draws import random_order
from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float, Int
from histosge.metrics.pearson import pearson

from .eigensolver import Eigendecomposition, precision
from .folds import Folds, LeftOut, folds_of
from .kernels import Covariance, KernelInputs

__all__ = ["Selection", "select_image_weight"]

# spots of the marginal likelihood: it grows with them, and the ranking of the weights stays the same
_SPOTS = 1000
# above so many spots whole neighbourhoods are taken: isolated spots do not determine ranges
_MANY_SPOTS, _NEIGHBOURHOODS = 5000, 4
# gain in log marginal likelihood that an image weight above 0 must have. With expression exchanged between spots, where
# there is nothing to find, one fit in 280 (94 to 398 spots) gained more, and 4 more than 7; halves of real sections of
# about 90 spots gain 15 to 38 with 1000 genes and 9 to 31 with 100 (docs/results/nothing-to-find.md)
_LEAST_GAIN = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The chosen image weight and what it was chosen by.

    Parameters
    ----------
    image_weight
        The candidate of highest marginal likelihood; 0, where that is a candidate, unless the likelihood gains more
        than it does by chance.
    log_marginal_likelihood
        Of all factors together, for each candidate, less that of the best.
    eigens
        Eigendecompositions of the covariance of the sampled spots: with the chosen weight (``fitted``), without the
        image (``positions``), and with the images of other spots (``shuffled_image``, the control).
    rows
        The sampled spots.
    fold
        Fold of each sampled spot.
    """

    image_weight: float
    log_marginal_likelihood: Mapping[float, float]
    eigens: Mapping[str, Eigendecomposition]
    rows: Array
    fold: Int[np.ndarray, " a"]

    def summary(self, values: Float[np.ndarray, "n g"], factors: int) -> dict[str, Any]:
        """Return plain values: the log likelihoods, and the mean leave-one-out correlation over genes of each fit.

        The correlations are of predictions by at most ``factors`` factors, which are found without the spot.
        """
        measured = values[self.rows]
        folds = Folds.of(measured, self.fold, factors)
        sections, rows = np.zeros(len(measured), dtype=np.intp), np.arange(len(measured))
        r_loo = {}
        for name, eigen in self.eigens.items():
            left_out = LeftOut.of(eigen, folds, rows=rows, sections=sections, gene_weight=0.0)
            r = pearson(measured, left_out.expression(slice(None)))
            r_loo[name] = float(np.nan_to_num(r).mean())
        likelihoods = {f"{weight:g}": round(log, 2) for weight, log in self.log_marginal_likelihood.items()}
        return {
            "image_weight": self.image_weight,
            "log_marginal_likelihood": likelihoods,
            "r_loo_factors": r_loo,
        }


def select_image_weight(
    spots: KernelInputs,
    factors: Float[np.ndarray, "n f"],
    *,
    ranges_um: tuple[float, ...],
    image_weights: tuple[float, ...],
    seed: int,
    short_range_um: float | None = None,
    names: Array | None = None,
) -> Selection:
    """Choose the image weight by the marginal likelihood of all factors together (Eq. 10 and 11 of docs/method.md).

    Parameters
    ----------
    spots
        The training spots.
    factors
        Their factors.
    ranges_um, short_range_um
        Of the covariance.
    image_weights
        The candidates.
    seed
        Samples the spots where there are many, and shuffles the images.
    names
        Ids of the spots, by which they are sampled and shuffled: their order does not matter. ``None``: row numbers.
    """
    names = np.arange(len(factors)) if names is None else names
    rows = _sampled(spots.separated_xy_um, random_order(names, seed, "sample"))
    sample, measured = spots.take(rows), factors[rows]
    if sample.image_features is None:
        # without features there is nothing to choose
        image_weights = (0.0,)
    # the kernels do not depend on the weight: they are computed once, and mixed for each candidate
    kernels = _Kernels.of(sample, ranges_um, short_range_um)
    eigens = dict(zip(image_weights, map_parts(kernels.eigen, image_weights), strict=True))
    logs = {
        weight: float(eigen.posterior(measured).log_marginal_likelihood.sum())
        for weight, eigen in eigens.items()
    }
    best = _chosen(logs)
    compared = {"fitted": eigens[best]}
    if best > 0 and sample.image_features is not None:
        # the control: features of another spot carry no information on this one
        compared["positions"] = eigens.get(0.0) or kernels.eigen(0.0)
        compared["shuffled_image"] = kernels.shuffled(names[rows], seed).eigen(best)
    relative = {weight: log - max(logs.values()) for weight, log in logs.items()}
    return Selection(best, relative, compared, rows, folds_of(names[rows], seed))


def _chosen(logs: Mapping[float, float]) -> float:
    """Return the weight of highest likelihood; 0 where no other one gains more than chance."""
    best = max(logs, key=lambda weight: logs[weight])
    return 0.0 if 0.0 in logs and logs[best] - logs[0.0] < _LEAST_GAIN else best


def _sampled(xy_um: Array, order: Array) -> Array:
    """Return the rows of the sampled spots, the first ones in a random order."""
    if len(xy_um) <= _MANY_SPOTS:
        return np.sort(order[:_SPOTS])
    from scipy.spatial import cKDTree

    centres = xy_um[order[:_NEIGHBOURHOODS]]
    return np.unique(cKDTree(xy_um).query(centres, k=_SPOTS // _NEIGHBOURHOODS)[1])


@dataclass(frozen=True, slots=True, eq=False)
class _Kernels:
    """Parts of the covariance of the sampled spots, each for a weight of 1.

    ``position`` is the covariance without image; ``image`` and ``short_range`` are the parts of one with image alone.
    """

    position: Float[np.ndarray, "a a"]
    image: Float[np.ndarray, "a a"]
    short_range: Float[np.ndarray, "a a"]

    @classmethod
    def of(cls, spots: KernelInputs, ranges_um: tuple[float, ...], short_range_um: float | None) -> _Kernels:
        without, alone = (
            Covariance.of(spots, ranges_um, image_weight=weight, short_range_um=short_range_um)
            for weight in (0.0, 1.0)
        )
        dtype = precision(len(spots))
        return cls(
            without.position(spots, spots, dtype),
            alone.image(spots, spots),
            alone.position(spots, spots, dtype),
        )

    def eigen(self, image_weight: float) -> Eigendecomposition:
        """Return the eigendecomposition of the covariance with an image weight."""
        # the short-range kernel is a kernel of position with the weight of an image kernel
        covariance = (1 - image_weight) * self.position
        covariance += image_weight * (self.image + self.short_range)
        return Eigendecomposition.exact(covariance)

    def shuffled(self, names: Array, seed: int) -> _Kernels:
        """Return the kernels with the image of another spot at each spot."""
        order = np.empty(len(names), dtype=np.intp)
        # two random orders of the names make pairs of spots, whatever the order of the rows
        order[random_order(names, seed, "spots")] = random_order(names, seed, "images")
        return _Kernels(self.position, self.image[np.ix_(order, order)], self.short_range)
