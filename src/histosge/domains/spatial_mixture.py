"""Domains by kriged factors of expression, the consensus of halves of the genes; the default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from histosge._runtime.seeds import seed_of_32_bits
from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError

from .base import Division, DomainCard, Runtime, refuse_unusable
from .consensus import consensus
from .kriged_factors import krige, roughness, spatial_factors
from .neighbours import edges_within
from .number_of_domains import Criterion, Half, criterion_of
from .principal_components import principal_components, standardised
from .shared_covariance import mixture_of
from .specks import NEIGHBOURS_WITHIN

__all__ = ["ENTRIES", "SpatialMixture"]

# fewer locations a domain, or a principal component, than this say nothing of it
_LOCATIONS_A_GROUP = 20
_LOCATIONS_A_FACTOR = 50
# share of a gene's variance between neighbours: below, values are predictions, without noise to measure factors by
_NOISY = 0.5
_STARTS, _QUICK_STARTS = 6, 4
# locations by which halves of the genes are compared
_COMPARED = 2500
_SHAPES = ("round", "elongated")


@dataclass(frozen=True, slots=True)
class SpatialMixture:
    """Configuration.

    Parameters
    ----------
    shape
        Of domains among expression profiles. ``"elongated"``: a Gaussian mixture of one covariance in kriged spatial
        factors, in which layers of a gradient are apart; ``"round"``: K-means in kriged principal components, which few
        spots suffice for; ``"auto"``: elongated from 50 locations a factor on (1250 by default). Kriged neighbours
        repeat each other, so fewer do not determine a covariance. Round below, and for predictions, which have no
        noise between neighbours by which factors could be measured.
    factors
        Factors or components, at most; of these the ones whose marginal likelihood tells them from noise are used.
    pairs
        Random divisions of the genes into two halves; each half is divided by itself.
    most
        Largest number of domains that is tried where it is not set.
    genes
        Genes of a measured section that are used.
    """

    shape: str = "auto"
    factors: int = 25
    pairs: int = 5
    most: int = 12
    genes: str = "hvg:3000"

    card: ClassVar[DomainCard] = DomainCard(
        "spatial_mixture",
        "Mixture of kriged factors of expression, the consensus of halves of the genes.",
        "switzer1984",
        True,
        finds_number=True,
        across_gaps=True,
    )

    def __post_init__(self) -> None:
        if self.shape not in ("auto", *_SHAPES):
            raise UsageError(f"`shape` must be auto, {' or '.join(_SHAPES)}, got '{self.shape}'.")
        if self.factors < 1 or self.pairs < 2 or self.most < 2:
            raise UsageError(
                f"Expected `factors` of 1 or more, `pairs` and `most` of 2 or more, got {self.factors}, {self.pairs}, "
                f"{self.most}."
            )

    def assign(
        self,
        values: Float[np.ndarray, "n g"],
        xy_um: Float[np.ndarray, "n 2"],
        *,
        pitch_um: float,
        clusters: int | None,
        seed: int = 0,
        runtime: Runtime = Runtime(),
    ) -> Int[np.ndarray, " n"]:
        """Return the domain of each location; see :class:`~histosge.domains.base.Method`."""
        return self.divide(
            values, xy_um, pitch_um=pitch_um, clusters=clusters, seed=seed, runtime=runtime
        ).labels

    def divide(
        self,
        values: Float[np.ndarray, "n g"],
        xy_um: Float[np.ndarray, "n 2"],
        *,
        pitch_um: float,
        clusters: int | None,
        seed: int = 0,
        runtime: Runtime = Runtime(),
    ) -> Division:
        """Return the domains, the probability of each and the criterion of their number."""
        refuse_unusable(self.card, values, xy_um, clusters)
        # sums and triangulations of a square lattice depend on the order of rows: it is made the same
        order = np.lexsort((values.sum(axis=1), xy_um[:, 1], xy_um[:, 0]))
        shape = self._shape(values, xy_um, pitch_um)
        criterion = None
        embeddings = self._embeddings(shape, values[order], xy_um[order], pitch_um=pitch_um, seed=seed)
        if clusters is None:
            most = min(self.most, len(order) // _LOCATIONS_A_GROUP)
            criterion = self._criterion(shape, embeddings[1:], range(2, most + 1), seed)
            clusters = criterion.chosen
        parts = [_divided(shape, part, clusters, seed) for part in embeddings]
        agreed = consensus(parts, edges_within(xy_um[order], NEIGHBOURS_WITHIN * pitch_um))
        # back in the order that was given
        back = np.argsort(order)
        return Division(agreed.labels[back], agreed.probability[back], criterion)

    def like(self, spots: int) -> SpatialMixture:
        """Return the configuration with the shape that a number of measured spots can carry."""
        return self if spots >= _LOCATIONS_A_FACTOR * self.factors else replace(self, shape="round")

    def _shape(self, values: Array, xy_um: Array, pitch_um: float) -> str:
        if self.shape != "auto":
            return self.shape
        enough = len(values) >= _LOCATIONS_A_FACTOR * self.factors
        noisy = enough and roughness(values, xy_um, pitch_um=pitch_um) >= _NOISY
        return "elongated" if noisy else "round"

    def _embeddings(
        self, shape: str, values: Array, xy_um: Array, *, pitch_um: float, seed: int
    ) -> list[Array]:
        """Return what is clustered: of all genes, then of each half."""
        rng = np.random.default_rng(seed)
        genes = values.shape[1]
        columns = [np.arange(genes)]
        for _ in range(self.pairs):
            drawn = rng.permutation(genes)
            columns += [np.sort(drawn[: genes // 2]), np.sort(drawn[genes // 2 :])]
        number = max(1, min(self.factors, len(values) // _LOCATIONS_A_GROUP))
        parts = [
            spatial_factors(values[:, chosen], xy_um, pitch_um=pitch_um, number=number)
            if shape == "elongated"
            else _components(values[:, chosen], number)
            for chosen in columns
        ]
        # together: equations of one range and ratio are factorised once for all halves
        kriged = krige(np.hstack(parts), xy_um, pitch_um=pitch_um)
        # a range and a ratio are two parameters more than noise has: Schwarz's criterion
        spatial = kriged.gain > np.log(len(values))
        ends = np.cumsum([part.shape[1] for part in parts])[:-1]
        return [
            mean[:, kept]
            for mean, kept in zip(np.split(kriged.mean, ends, axis=1), np.split(spatial, ends), strict=True)
        ]

    def _criterion(self, shape: str, halves: list[Array], numbers: Sequence[int], seed: int) -> Criterion:
        # the same for all numbers, shapes and halves
        rows = np.sort(np.random.default_rng(seed).permutation(len(halves[0]))[:_COMPARED])
        pairs = {}
        for number in numbers:
            labels = [
                _divided(shape, part[rows], number, seed, _QUICK_STARTS).argmax(axis=1) for part in halves
            ]
            pairs[number] = [
                Half(first, second) for first, second in zip(labels[::2], labels[1::2], strict=True)
            ]
        return criterion_of(pairs, shape)


def _components(values: Array, number: int) -> Array:
    genes = standardised(values)
    return principal_components(genes, number) if genes.shape[1] else np.zeros((len(values), 0))


def _divided(shape: str, embedding: Array, number: int, seed: int, starts: int = _STARTS) -> Array:
    """Return the probability of each domain at each location."""
    if shape == "elongated" or number < 2 or not embedding.shape[1]:
        return mixture_of(embedding, number, seed=seed, starts=starts).probability
    from sklearn.cluster import KMeans

    clustering = KMeans(number, n_init=starts, random_state=seed_of_32_bits(seed))
    return np.asarray(np.eye(number)[clustering.fit_predict(embedding)])


ENTRIES = (SpatialMixture,)
