"""STAGATE (Dong & Zhang 2022): a graph attention auto-encoder, then a Gaussian mixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from histosge._runtime.device import seed_everything
from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError
from histosge.models.deep.training import TrainingConfig

from .base import DomainCard, Runtime, refuse_unusable
from .full_batch import FullBatchTask, trained_embedding
from .labels import numbered_by_size
from .mixture import tied_mixture
from .neighbours import edges_within

if TYPE_CHECKING:
    import torch

__all__ = ["ENTRIES", "STAGATE"]


@dataclass(frozen=True, slots=True)
class STAGATE:
    """Configuration.

    Parameters
    ----------
    radius
        Of the neighbourhood, in distances of neighbours: 1.1 includes the six neighbours of a hexagonal lattice.
    hidden, width
        Of the layers.
    penalty
        On half the squared weights of the second layer, the only one that the published loop penalises.
    learning_rate, epochs
        See :class:`histosge.models.deep.training.TrainingConfig`. The published TensorFlow code takes 500 epochs at
        1e-4, the PyTorch code 1000 at 1e-3.
    pytorch
        Whether loss, first weights and the gradient of the decoder are those of the authors' PyTorch code; see
        :class:`~histosge.domains.networks.stagate.STAGATENetwork`.
    weight_decay
        Of all weights; 1e-4 in the PyTorch code.
    axes
        Principal axes of expression that the first layer works on, instead of the genes; 0 takes the genes. Differs
        from the published code: the same network in rotated coordinates, without the axes of little variance, and
        several times as fast.
    genes
        Genes of a measured section that are clustered.
    """

    radius: float = 1.1
    hidden: int = 512
    width: int = 30
    penalty: float = 1e-4
    learning_rate: float = 1e-3
    epochs: int = 200
    pytorch: bool = False
    weight_decay: float = 0.0
    axes: int = 300
    genes: str = "hvg:3000"

    card: ClassVar[DomainCard] = DomainCard(
        "stagate",
        "Graph attention auto-encoder, then a Gaussian mixture.",
        "dong2022stagate",
        True,
        deep=True,
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {"axes": 0, "learning_rate": 1e-4, "epochs": 500},
        "pytorch": {"axes": 0, "epochs": 1000, "penalty": 0.0, "pytorch": True, "weight_decay": 1e-4},
    }

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise UsageError(f"`radius` must be positive, got {self.radius}. 1.1 includes six neighbours.")
        if self.hidden < 1 or self.width < 1 or self.axes < 0 or self.penalty < 0:
            raise UsageError("`hidden` and `width` must be 1 or more, `axes` and `penalty` 0 or more.")
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
        refuse_unusable(self.card, values, xy_um, clusters)
        embedding = self.embed(values, xy_um, pitch_um=pitch_um, seed=seed, runtime=runtime)
        return numbered_by_size(tied_mixture(embedding, clusters or 0, seed=seed))

    def embed(
        self,
        values: Float[np.ndarray, "n g"],
        xy_um: Float[np.ndarray, "n 2"],
        *,
        pitch_um: float,
        seed: int = 0,
        runtime: Runtime = Runtime(),
    ) -> Float[np.ndarray, "n d"]:
        """Return the embedding, n × ``width``."""
        import torch

        edges = torch.tensor(edges_within(xy_um, self.radius * pitch_um), device=runtime.device)
        inputs = torch.tensor(self._axes(values), dtype=torch.float32, device=runtime.device)
        # seeded after the graph is built, right before the first weights are drawn
        seed_everything(seed)
        network = self.network(edges, inputs.shape[1])

        def loss() -> torch.Tensor:
            penalty = 0.5 * self.penalty * (network.second**2).sum()
            total: torch.Tensor = network.residual(inputs) + penalty
            return total

        task = FullBatchTask(network, loss, len(values))
        return trained_embedding(task, inputs, self.training, seed=seed, runtime=runtime)

    def network(self, edges: torch.Tensor, genes: int) -> Any:
        """Return the untrained network."""
        from .networks.stagate import STAGATENetwork

        return STAGATENetwork(edges, genes, self.hidden, self.width, pytorch=self.pytorch).to(edges.device)

    def _axes(self, values: Array) -> Array:
        """Return the values on their principal axes; not centred, so that it is a rotation only."""
        if not self.axes or self.axes >= min(values.shape):
            return values
        from sklearn.utils.extmath import randomized_svd

        # the Frobenius norm of the residual is invariant to rotations of the genes
        left, size, _ = randomized_svd(np.asarray(values, np.float64), self.axes, n_iter=4, random_state=0)
        return np.asarray(left * size)


ENTRIES = (STAGATE,)
