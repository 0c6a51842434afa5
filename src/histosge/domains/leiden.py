"""Leiden communities of alike places; finds the number of domains where nobody says it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError

from .base import DomainCard, Runtime, refuse_unusable
from .reduce import by_size, components

if TYPE_CHECKING:
    import igraph

__all__ = ["ENTRIES", "Leiden"]

# the search for a resolution halves an interval this often
_HALVINGS = 24
_LOWEST, _HIGHEST = 1e-3, 30.0


@dataclass(frozen=True, slots=True)
class Leiden:
    """Configuration.

    Parameters
    ----------
    components
        Principal components of log1p(CP10k).
    neighbours
        Of each place among expression profiles, not on the tissue.
    resolution
        Of modularity, where the number of domains is not given.
    genes
        Of a measured section.
    """

    components: int = 30
    neighbours: int = 15
    resolution: float = 1.0
    genes: str = "hvg:1000"

    card: ClassVar[DomainCard] = DomainCard(
        "leiden",
        "Communities among expression profiles; knows nothing of positions.",
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
        """Return the domain of each place; see :class:`~histosge.domains.base.Method`.

        Raises
        ------
        UsageError
            When no resolution gives the number wanted.
        """
        refuse_unusable(self.card, values, xy_um, clusters)
        graph = self._graph(values)
        if clusters is None:
            return by_size(_communities(graph, self.resolution, seed))
        return by_size(_searched(graph, clusters, seed))

    def _graph(self, values: Array) -> igraph.Graph:
        """Return places joined to those alike, weighted by the share of neighbours they have in common."""
        import igraph
        from sklearn.neighbors import kneighbors_graph

        number = min(self.neighbours, len(values) - 1)
        near = kneighbors_graph(components(values, self.components), number, include_self=False)
        near = near + near.T
        near.data[:] = 1.0
        shared = near.multiply(near @ near)
        joined = (shared + near).tocoo()
        upper = joined.row < joined.col
        graph = igraph.Graph(len(values), np.stack([joined.row[upper], joined.col[upper]], axis=1))
        graph.es["weight"] = joined.data[upper]
        return graph


def _communities(graph: igraph.Graph, resolution: float, seed: int) -> Array:
    import igraph

    igraph.set_random_number_generator(random.Random(seed))
    try:
        found = graph.community_leiden("modularity", "weight", resolution, n_iterations=5)
    finally:
        igraph.set_random_number_generator(random)
    return np.asarray(found.membership)


def _searched(graph: igraph.Graph, clusters: int, seed: int) -> Array:
    """Return communities at the first resolution that gives the number wanted."""
    low, high = _LOWEST, _HIGHEST
    seen = set()
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        labels = _communities(graph, middle, seed)
        number = len(np.unique(labels))
        seen.add(number)
        if number == clusters:
            return labels
        low, high = (middle, high) if number < clusters else (low, middle)
    nearest = min(seen, key=lambda number: (abs(number - clusters), number))
    raise UsageError(
        f"Leiden finds no {clusters} communities here at any resolution; {nearest} it finds. Try --clusters {nearest}, "
        "or leave --clusters out."
    )


ENTRIES = (Leiden,)
