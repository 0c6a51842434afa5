"""K-means on expression alone: the baseline of methods that use positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from histosge._runtime.seeds import seed_of_32_bits
from histosge._runtime.types import Float, Int
from histosge.errors import UsageError

from .base import DomainCard, Runtime, refuse_unusable
from .labels import numbered_by_size
from .principal_components import principal_components

__all__ = ["ENTRIES", "KMeans"]


@dataclass(frozen=True, slots=True)
class KMeans:
    """Configuration.

    Parameters
    ----------
    components
        Principal components of log1p(CP10k) to cluster; 0 takes the genes themselves.
    starts
        Starts by k-means++ (Arthur & Vassilvitskii 2007); the one of the smallest sum of squares is taken.
    genes
        Genes of a measured section that are clustered.
    """

    components: int = 30
    starts: int = 20
    genes: str = "hvg:1000"

    card: ClassVar[DomainCard] = DomainCard(
        "kmeans", "K-means++ on principal components; does not use positions.", "arthur2007", False
    )

    # the genes themselves, one start; the published code also counts spots without annotation as a domain
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"published": {"components": 0, "starts": 1}}

    def __post_init__(self) -> None:
        if self.components < 0 or self.starts < 1:
            raise UsageError(
                f"Expected `components` of 0 or more and `starts` of 1 or more, got {self.components}, {self.starts}."
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
        from sklearn.cluster import KMeans as Clusterer

        refuse_unusable(self.card, values, xy_um, clusters)
        # components of small variance are noise of single genes and add to all distances
        reduced = principal_components(values, self.components) if self.components else values
        return numbered_by_size(
            Clusterer(clusters, n_init=self.starts, random_state=seed_of_32_bits(seed)).fit_predict(reduced)
        )


ENTRIES = (KMeans,)
