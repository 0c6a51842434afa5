"""STMask (Min et al. 2024): a masked graph auto-encoder of two channels, then K-means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from histosge._runtime.device import seed_everything
from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError, refuse_nonpositive
from histosge.models.deep.training import TrainingConfig

from .base import DomainCard, Runtime, refuse_unusable
from .full_graph import Whole, embedded
from .graph import nearest
from .reduce import by_size, components, standardised

if TYPE_CHECKING:
    import torch

__all__ = ["ENTRIES", "STMask"]

_KMEANS = {"max_iter": 1000, "tol": 1e-6}


@dataclass(frozen=True, slots=True)
class STMask:
    """Configuration; the defaults are those of the published DLPFC script, but for the epochs.

    Parameters
    ----------
    neighbours
        Nearest places that tell each place of themselves.
    inputs
        Principal components of the standardised genes.
    logarithm
        Whether genes are standardised as log1p(CP10k); the published pipeline takes no logarithm.
    wide, narrow
        Of the encoder's layers.
    masked, dropped
        Shares of places and of edges.
    relations
        Weight of the second channel.
    learning_rate, weight_decay, epochs
        See :class:`histosge.models.deep.training.TrainingConfig`. The published script takes 500 epochs.
    components, starts
        Of the embedding that K-means clusters, and its starts.
    genes
        Of a measured section.
    """

    neighbours: int = 12
    inputs: int = 200
    logarithm: bool = False
    wide: int = 512
    narrow: int = 256
    masked: float = 0.2
    dropped: float = 0.2
    relations: float = 1.3
    learning_rate: float = 1e-3
    weight_decay: float = 2e-4
    epochs: int = 200
    components: int = 30
    starts: int = 100
    genes: str = "hvg:2000"

    card: ClassVar[DomainCard] = DomainCard(
        "stmask", "Masked graph auto-encoder of two channels, then K-means.", "min2024stmask", True, deep=True
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"published": {"epochs": 500}}

    def __post_init__(self) -> None:
        refuse_nonpositive(self, "neighbours", "inputs", "wide", "narrow", "components", "starts")
        if not (0 < self.masked < 1 and 0 < self.dropped < 1):
            raise UsageError(
                f"`masked` and `dropped` are shares between 0 and 1, got {self.masked}, {self.dropped}."
            )
        self.training  # noqa: B018  (refuses bad numbers before any work is done)

    @property
    def training(self) -> TrainingConfig:
        """How the network is trained."""
        return TrainingConfig(
            self.epochs, self.learning_rate, weight_decay=self.weight_decay, clip=5.0, optimiser="adam"
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
        """Return the domain of each place; see :class:`~histosge.domains.base.Method`."""
        from sklearn.cluster import KMeans

        refuse_unusable(self.card, values, xy_um, clusters)
        found = components(self.embed(values, xy_um, seed=seed, runtime=runtime), self.components)
        return by_size(KMeans(clusters, n_init=self.starts, random_state=seed, **_KMEANS).fit_predict(found))

    def embed(
        self,
        values: Float[np.ndarray, "n g"],
        xy_um: Float[np.ndarray, "n 2"],
        *,
        seed: int = 0,
        runtime: Runtime = Runtime(),
    ) -> Float[np.ndarray, "n d"]:
        """Return the embedding, n × ``narrow``."""
        import torch

        edges = torch.tensor(nearest(xy_um, self.neighbours), device=runtime.device)
        features = components(standardised(values if self.logarithm else _linear(values)), self.inputs)
        seen = torch.tensor(features, dtype=torch.float32, device=runtime.device)
        seed_everything(seed)
        network = self.network(edges, seen.shape[1])

        def lost() -> torch.Tensor:
            told: torch.Tensor = network.features_lost(seen) + self.relations * network.relations_lost(seen)
            return told

        return embedded(Whole(network, lost, len(values)), seen, self.training, seed=seed, runtime=runtime)

    def network(self, edges: torch.Tensor, inputs: int) -> Any:
        """Return the untrained network."""
        from .networks.stmask import STMaskNetwork

        widths = (self.wide, self.narrow)
        return STMaskNetwork(edges, inputs, widths, masked=self.masked, dropped=self.dropped).to(edges.device)


def _linear(values: Array) -> Array:
    """Undo the logarithm; the scale does not matter to what is standardised next."""
    return np.asarray(np.expm1(values))


ENTRIES = (STMask,)
