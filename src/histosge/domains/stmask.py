"""STMask (Min et al. 2024): a masked graph auto-encoder of two channels, then K-means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from histosge._runtime.device import seed_everything
from histosge._runtime.seeds import seed_of_32_bits
from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError, refuse_nonpositive
from histosge.models.deep.training import TrainingConfig

from .base import DomainCard, Runtime, refuse_unusable
from .full_batch import FullBatchTask, trained_embedding
from .labels import numbered_by_size
from .neighbours import nearest_edges
from .principal_components import principal_components, standardised

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
        Nearest locations that each location averages over.
    inputs
        Principal components of the standardised genes.
    logarithm
        Whether genes are standardised as log1p(CP10k); the published pipeline takes no logarithm.
    hidden, width
        Of the encoder's layers.
    masked, dropped
        Shares of locations whose features are masked, and of edges that are dropped.
    relation_weight
        Weight of the second channel, which separates dropped edges from random pairs.
    learning_rate, weight_decay, epochs
        See :class:`histosge.models.deep.training.TrainingConfig`. The published script takes 500 epochs.
    components, starts
        Of the embedding that K-means clusters, and its starts.
    genes
        Genes of a measured section that are clustered. Published: those with counts in 50 spots or more.
    """

    neighbours: int = 12
    inputs: int = 200
    logarithm: bool = False
    hidden: int = 512
    width: int = 256
    masked: float = 0.2
    dropped: float = 0.2
    relation_weight: float = 1.3
    learning_rate: float = 1e-3
    weight_decay: float = 2e-4
    epochs: int = 200
    components: int = 30
    starts: int = 100
    genes: str = "hvg:2000"

    card: ClassVar[DomainCard] = DomainCard(
        "stmask", "Masked graph auto-encoder of two channels, then K-means.", "min2024stmask", True, deep=True
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {"epochs": 500, "genes": "hvg:2000:50"}
    }

    def __post_init__(self) -> None:
        refuse_nonpositive(self, "neighbours", "inputs", "hidden", "width", "components", "starts")
        if not (0 < self.masked < 1 and 0 < self.dropped < 1):
            raise UsageError(
                f"`masked` and `dropped` are shares between 0 and 1, got {self.masked}, {self.dropped}."
            )
        self.training  # noqa: B018  (refuses values that cannot be trained with)

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
        """Return the domain of each location; see :class:`~histosge.domains.base.Method`."""
        from sklearn.cluster import KMeans

        refuse_unusable(self.card, values, xy_um, clusters)
        embedding = self.embed(values, xy_um, seed=seed, runtime=runtime)
        # as published, K-means clusters components of the embedding
        reduced = principal_components(embedding, self.components)
        clustering = KMeans(clusters, n_init=self.starts, random_state=seed_of_32_bits(seed), **_KMEANS)
        return numbered_by_size(clustering.fit_predict(reduced))

    def embed(
        self,
        values: Float[np.ndarray, "n g"],
        xy_um: Float[np.ndarray, "n 2"],
        *,
        seed: int = 0,
        runtime: Runtime = Runtime(),
    ) -> Float[np.ndarray, "n d"]:
        """Return the embedding, n × ``width``."""
        import torch

        edges = torch.tensor(nearest_edges(xy_um, self.neighbours), device=runtime.device)
        # differs from common practice, as published: raw CP10k are standardised, without a logarithm
        features = standardised(values if self.logarithm else _linear(values))
        features = principal_components(features, self.inputs)
        inputs = torch.tensor(features, dtype=torch.float32, device=runtime.device)
        seed_everything(seed)
        network = self.network(edges, inputs.shape[1])

        def loss() -> torch.Tensor:
            relations = self.relation_weight * network.relation_loss(inputs)
            total: torch.Tensor = network.feature_loss(inputs) + relations
            return total

        task = FullBatchTask(network, loss, len(values))
        return trained_embedding(task, inputs, self.training, seed=seed, runtime=runtime)

    def network(self, edges: torch.Tensor, inputs: int) -> Any:
        """Return the untrained network."""
        from .networks.stmask import STMaskNetwork

        widths = (self.hidden, self.width)
        return STMaskNetwork(edges, inputs, widths, masked=self.masked, dropped=self.dropped).to(edges.device)


def _linear(values: Array) -> Array:
    """Undo the logarithm; standardising makes the scale irrelevant."""
    return np.asarray(np.expm1(values))


ENTRIES = (STMask,)
