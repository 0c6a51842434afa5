"""STAGATE (Dong & Zhang 2022): a graph attention auto-encoder, then Gaussians of one covariance."""

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
from .full_graph import Whole, embedded
from .graph import within
from .mixture import tied_mixture
from .reduce import by_size

if TYPE_CHECKING:
    import torch

__all__ = ["ENTRIES", "STAGATE"]


@dataclass(frozen=True, slots=True)
class STAGATE:
    """Configuration.

    Parameters
    ----------
    radius
        Of the neighbourhood, in distances between places: 1.1 takes in the six neighbours of a hexagonal lattice.
    hidden, width
        Of the layers.
    penalty
        On half the squared weights of the second layer; the published loop penalises no other.
    learning_rate, epochs
        See :class:`histosge.models.deep.training.TrainingConfig`. The published TensorFlow code takes 500 epochs at
        1e-4.
    axes
        Principal axes of expression that the first layer works on, instead of the genes; 0 takes the genes. Differs
        from the published code: the same network in turned coordinates, without the axes that hold little but noise,
        and several times as fast.
    genes
        Of a measured section.
    """

    radius: float = 1.1
    hidden: int = 512
    width: int = 30
    penalty: float = 1e-4
    learning_rate: float = 1e-3
    epochs: int = 200
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
        "published": {"axes": 0, "learning_rate": 1e-4, "epochs": 500}
    }

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise UsageError(f"`radius` must be positive, got {self.radius}. 1.1 takes in six neighbours.")
        if self.hidden < 1 or self.width < 1 or self.axes < 0 or self.penalty < 0:
            raise UsageError("`hidden` and `width` must be 1 or more, `axes` and `penalty` 0 or more.")
        self.training  # noqa: B018  (refuses bad numbers before any work is done)

    @property
    def training(self) -> TrainingConfig:
        """How the network is trained."""
        return TrainingConfig(self.epochs, self.learning_rate, clip=5.0, optimiser="adam")

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
        refuse_unusable(self.card, values, xy_um, clusters)
        found = self.embed(values, xy_um, pitch_um=pitch_um, seed=seed, runtime=runtime)
        return by_size(tied_mixture(found, clusters or 0, seed=seed))

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

        edges = torch.tensor(within(xy_um, self.radius * pitch_um), device=runtime.device)
        seen = torch.tensor(self._axes(values), dtype=torch.float32, device=runtime.device)
        seed_everything(seed)
        network = self.network(edges, seen.shape[1])

        def lost() -> torch.Tensor:
            decay = 0.5 * self.penalty * (network.second**2).sum()
            total: torch.Tensor = network.residual(seen) + decay
            return total

        task = Whole(network, lost, len(values))
        return embedded(task, seen, self.training, seed=seed, runtime=runtime)

    def network(self, edges: torch.Tensor, genes: int) -> Any:
        """Return the untrained network."""
        from .networks.stagate import STAGATENetwork

        return STAGATENetwork(edges, genes, self.hidden, self.width).to(edges.device)

    def _axes(self, values: Array) -> Array:
        """Return the values on their principal axes; not centred, so that it is a turn and no more."""
        if not self.axes or self.axes >= min(values.shape):
            return values
        from sklearn.utils.extmath import randomized_svd

        left, size, _ = randomized_svd(np.asarray(values, np.float64), self.axes, n_iter=4, random_state=0)
        return np.asarray(left * size)


ENTRIES = (STAGATE,)
