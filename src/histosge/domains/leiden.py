"""Leiden communities of similar expression profiles; the number of domains need not be set."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError

from .base import DomainCard, Runtime, refuse_unusable
from .labels import numbered_by_size
from .principal_components import principal_components

if TYPE_CHECKING:
    import igraph

__all__ = ["ENTRIES", "Leiden"]

# bisections of the search for a resolution
_BISECTIONS = 24
_LOWEST, _HIGHEST = 1e-3, 30.0


@dataclass(frozen=True, slots=True)
class Leiden:
    """Configuration.

    Parameters
    ----------
    components
        Principal components of log1p(CP10k).
    neighbours
        Of each location among expression profiles, not on the tissue.
    resolution
        Of modularity (Reichardt & Bornholdt 2006), where the number of domains is not set.
    genes
        Genes of a measured section that are clustered.
    """

    components: int = 30
    neighbours: int = 15
    resolution: float = 1.0
    genes: str = "hvg:1000"

    card: ClassVar[DomainCard] = DomainCard(
        "leiden",
        "Communities among expression profiles; does not use positions.",
        "traag2019",
        False,
        finds_number=True,
    )

    def __post_init__(self) -> None:
        if self.components < 1 or self.neighbours < 1 or not self.resolution > 0:
            raise UsageError("`components` and `neighbours` must be 1 or more, `resolution` positive.")

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
        """Return the domain of each location; see :class:`~histosge.domains.base.Method`.

        Raises
        ------
        UsageError
            When no resolution gives this number of domains.
        """
        refuse_unusable(self.card, values, xy_um, clusters)
        graph = self._graph(values)
        if clusters is None:
            return numbered_by_size(_communities(graph, self.resolution, seed))
        return numbered_by_size(_at_number(graph, clusters, seed))

    def _graph(self, values: Array) -> igraph.Graph:
        """Return the graph of nearest expression profiles, weighted by shared neighbours."""
        import igraph
        from sklearn.neighbors import kneighbors_graph

        number = min(self.neighbours, len(values) - 1)
        near = kneighbors_graph(principal_components(values, self.components), number, include_self=False)
        # neighbours in either direction: nearness among profiles is not symmetric
        near = near + near.T
        near.data[:] = 1.0
        # shared nearest neighbours (Jarvis & Patrick 1973): near @ near counts common neighbours of each pair
        shared = near.multiply(near @ near)
        joined = (shared + near).tocoo()
        # an undirected graph has each edge once
        upper = joined.row < joined.col
        graph = igraph.Graph(len(values), np.stack([joined.row[upper], joined.col[upper]], axis=1))
        graph.es["weight"] = joined.data[upper]
        return graph


def _communities(graph: igraph.Graph, resolution: float, seed: int) -> Array:
    import igraph

    # igraph has one generator for the whole process: it is set and reset
    igraph.set_random_number_generator(random.Random(seed))
    try:
        communities = graph.community_leiden("modularity", "weight", resolution, n_iterations=5)
    finally:
        igraph.set_random_number_generator(random)
    return np.asarray(communities.membership)


def _at_number(graph: igraph.Graph, clusters: int, seed: int) -> Array:
    """Return the communities at the first resolution, by bisection, that gives the number of domains."""
    low, high = _LOWEST, _HIGHEST
    numbers = set()
    for _ in range(_BISECTIONS):
        # the geometric mean: resolutions are spaced by factors
        middle = (low * high) ** 0.5
        labels = _communities(graph, middle, seed)
        number = len(np.unique(labels))
        numbers.add(number)
        if number == clusters:
            return labels
        # more resolution, more communities
        low, high = (middle, high) if number < clusters else (low, middle)
    # the smaller of two equally near numbers
    nearest = min(numbers, key=lambda number: (abs(number - clusters), number))
    raise UsageError(
        f"Leiden finds no {clusters} communities here at any resolution, but {nearest}. "
        f"Set `clusters` to {nearest}, or leave it out."
    )


ENTRIES = (Leiden,)
