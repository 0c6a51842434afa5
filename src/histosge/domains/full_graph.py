"""Teaching a network on all places at once, by the one training loop."""

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

__all__ = ["Whole", "embedded"]


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """A task of one batch: every place.

    Parameters
    ----------
    network
        On its device.
    lost
        Returns the loss over all places.
    places
        How many there are.
    """

    network: torch.nn.Module
    lost: Callable[[], torch.Tensor]
    places: int

    def batches(self, rng: np.random.Generator) -> Iterator[Array]:
        """Yield all rows."""
        yield np.arange(self.places)

    def loss(self, batch: Array) -> torch.Tensor:
        """Return the loss."""
        return self.lost()

    def validation(self) -> float | None:
        """Nothing is kept back: there is nothing to predict."""
        return None


def embedded(
    task: Whole, values: torch.Tensor, config: TrainingConfig, *, seed: int, runtime: Runtime
) -> Float[np.ndarray, "n d"]:
    """Train ``task.network`` and return what it makes of ``values``."""
    import torch

    train(task, config, seed=seed, runtime=runtime)
    with torch.no_grad():
        found: Any = task.network(values)
    return np.asarray(found.double().cpu().numpy())
