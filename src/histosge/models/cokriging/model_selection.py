"""Choose the weight of the image in the covariance by marginal likelihood, and test it against shuffled images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from histosge._runtime.draws import random_order
from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float, Int
from histosge.metrics.pearson import pearson

from .eigensolver import Eigendecomposition, precision
from .encoder_shares import Shares, choose_shares
from .folds import Folds, LeftOut, folds_of
from .kernels import Covariance, KernelInputs
from .loadings import Shrinkage

__all__ = ["Selection", "sampled_rows", "select_image_weight"]

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
    shares
        Of the encoders in the image kernels; ``None`` where there is one encoder, or none.
    """

    image_weight: float
    log_marginal_likelihood: Mapping[float, float]
    eigens: Mapping[str, Eigendecomposition]
    rows: Array
    fold: Int[np.ndarray, " a"]
    shares: Shares | None = None

    def covariance(
        self, spots: KernelInputs, ranges_um: tuple[float, ...], short_range_um: float | None
    ) -> Covariance:
        """Return the chosen covariance, in the scales of all training spots."""
        return Covariance.of(
            spots,
            ranges_um,
            image_weight=self.image_weight,
            short_range_um=short_range_um,
            shares=self.shares,
        )

    def summary(
        self, values: Float[np.ndarray, "n g"], shrinkage: Shrinkage, joined: Sequence[tuple[str, int]] = ()
    ) -> dict[str, Any]:
        """Return plain values: the log likelihoods, and the mean leave-one-out correlation over genes of each fit.

        The correlations are of predictions by factors alone, whose loadings are found without the spot. Of ``joined``
        encoders the shares are named.
        """
        measured = values[self.rows]
        folds = Folds.of(measured, self.fold, shrinkage)
        sections, rows = np.zeros(len(measured), dtype=np.intp), np.arange(len(measured))
        r_loo = {}
        for name, eigen in self.eigens.items():
            left_out = LeftOut.of(eigen, folds, rows=rows, sections=sections, gene_weight=0.0)
            r = pearson(measured, left_out.expression(slice(None)))
            r_loo[name] = float(np.nan_to_num(r).mean())
        likelihoods = {f"{weight:g}": round(log, 2) for weight, log in self.log_marginal_likelihood.items()}
        shares = [[name, share] for (name, _), share in zip(joined, self.shares or (), strict=False)]
        return {
            "image_weight": self.image_weight,
            "log_marginal_likelihood": likelihoods,
            "r_loo_factors": r_loo,
            **({"encoder_shares": shares} if shares else {}),
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
    rows = sampled_rows(spots.separated_xy_um, random_order(names, seed, "sample"))
    sample, measured = spots.take(rows), factors[rows]
    if not sample.image_features:
        # without features there is nothing to choose
        image_weights = (0.0,)
    # the kernels do not depend on the weight: they are computed once, and mixed for each candidate
    kernels = _Kernels.of(sample, ranges_um, short_range_um)
    shares = None
    if len(kernels.images) > 1:
        shares = choose_shares(len(kernels.images), _Score(kernels, measured, image_weights))
        kernels = kernels.mixed(shares)
    eigens = dict(zip(image_weights, map_parts(kernels.eigen, image_weights), strict=True))
    logs = {weight: _log(eigen, measured) for weight, eigen in eigens.items()}
    best = _chosen(logs)
    compared = {"fitted": eigens[best]}
    if best > 0 and sample.image_features:
        # the control: features of another spot carry no information on this one
        compared["positions"] = eigens.get(0.0) or kernels.eigen(0.0)
        compared["shuffled_image"] = kernels.shuffled(names[rows], seed).eigen(best)
    relative = {weight: log - max(logs.values()) for weight, log in logs.items()}
    return Selection(best, relative, compared, rows, folds_of(names[rows], seed), shares)


def _log(eigen: Eigendecomposition, measured: Array) -> float:
    """Return the log marginal likelihood of all factors together."""
    return float(eigen.posterior(measured).log_marginal_likelihood.sum())


def _chosen(logs: Mapping[float, float]) -> float:
    """Return the weight of highest likelihood; 0 where no other one gains more than chance."""
    best = max(logs, key=lambda weight: logs[weight])
    return 0.0 if 0.0 in logs and logs[best] - logs[0.0] < _LEAST_GAIN else best


def sampled_rows(xy_um: Array, order: Array) -> Array:
    """Return the rows of the sampled spots, the first ones in a random order."""
    if len(xy_um) <= _MANY_SPOTS:
        return np.sort(order[:_SPOTS])
    from scipy.spatial import cKDTree

    centres = xy_um[order[:_NEIGHBOURHOODS]]
    return np.unique(cKDTree(xy_um).query(centres, k=_SPOTS // _NEIGHBOURHOODS)[1])


@dataclass(frozen=True, slots=True, eq=False)
class _Kernels:
    """Parts of the covariance of the sampled spots, each for a weight of 1.

    ``position`` is the covariance without image; ``images``, one for each encoder, and ``short_range`` are the parts of
    one with image alone.
    """

    position: Float[np.ndarray, "a a"]
    images: tuple[Float[np.ndarray, "a a"], ...]
    short_range: Float[np.ndarray, "a a"]

    @classmethod
    def of(cls, spots: KernelInputs, ranges_um: tuple[float, ...], short_range_um: float | None) -> _Kernels:
        without, alone = (
            Covariance.of(spots, ranges_um, image_weight=weight, short_range_um=short_range_um)
            for weight in (0.0, 1.0)
        )
        dtype, encoders = precision(len(spots)), range(max(1, len(spots.image_features)))
        images = (
            replace(alone, shares=tuple(float(other == number) for other in encoders)).image(spots, spots)
            for number in encoders
        )
        return cls(without.position(spots, spots, dtype), tuple(images), alone.position(spots, spots, dtype))

    def mixed(self, shares: Shares) -> _Kernels:
        """Return the kernels with one image kernel, in which the encoders have these shares."""
        parts = [share * image for share, image in zip(shares, self.images, strict=True) if share > 0]
        return replace(self, images=(np.sum(parts, axis=0),))

    def eigen(self, image_weight: float) -> Eigendecomposition:
        """Return the eigendecomposition of the covariance with an image weight."""
        # the short-range kernel is a kernel of position with the weight of an image kernel
        covariance = (1 - image_weight) * self.position
        covariance += image_weight * (self.images[0] + self.short_range)
        return Eigendecomposition.exact(covariance)

    def shuffled(self, names: Array, seed: int) -> _Kernels:
        """Return the kernels with the image of another spot at each spot."""
        order = np.empty(len(names), dtype=np.intp)
        # two random orders of the names make pairs of spots, whatever the order of the rows
        order[random_order(names, seed, "spots")] = random_order(names, seed, "images")
        return replace(self, images=tuple(image[np.ix_(order, order)] for image in self.images))


@dataclass(frozen=True, slots=True, eq=False)
class _Score:
    """The log marginal likelihood of shares, at the image weight where it is highest."""

    kernels: _Kernels
    measured: Array
    image_weights: tuple[float, ...]

    def __call__(self, shares: Shares) -> float:
        # without the image all shares are equal
        weights = [weight for weight in self.image_weights if weight > 0]
        eigens = map_parts(self.kernels.mixed(shares).eigen, weights)
        return max((_log(eigen, self.measured) for eigen in eigens), default=0.0)
