"""Training on all locations at once, by the training loop of all deep models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.models.base import Runtime
from histosge.models.deep.training import TrainingConfig, train

if TYPE_CHECKING:
    import torch

__all__ = ["FullBatchTask", "trained_embedding"]


@dataclass(frozen=True, slots=True, eq=False)
class FullBatchTask:
    """A :class:`~histosge.models.deep.training.TrainingTask` of one batch: all locations.

    Parameters
    ----------
    network
        On its device.
    full_loss
        Returns the loss over all locations.
    locations
        Their number.
    """

    network: torch.nn.Module
    full_loss: Callable[[], torch.Tensor]
    locations: int

    def batches(self, rng: np.random.Generator) -> Iterator[Array]:
        """Yield all rows."""
        yield np.arange(self.locations)

    def loss(self, batch: Array) -> torch.Tensor:
        """Return the loss over all locations."""
        return self.full_loss()

    def validation(self) -> None:
        """There are no validation locations: nothing is predicted."""
        return None


def trained_embedding(
    task: FullBatchTask, values: torch.Tensor, config: TrainingConfig, *, seed: int, runtime: Runtime
) -> Float[np.ndarray, "n d"]:
    """Train ``task.network`` and return its embedding of ``values``."""
    import torch

    train(task, config, seed=seed, runtime=runtime)
    with torch.no_grad():
        embedding: Any = task.network(values)
    return np.asarray(embedding.double().cpu().numpy())
