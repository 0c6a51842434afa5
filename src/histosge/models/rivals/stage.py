"""STAGE (Li et al. 2024): an auto-encoder taught where spots are; no image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from histosge.errors import UsageError
from histosge.models.base import ModelCard, Needs
from histosge.models.deep.batches import Tensors
from histosge.models.deep.system import Deep, Grouping, Outline
from histosge.models.deep.training import Schedule

if TYPE_CHECKING:
    import torch

__all__ = ["ENTRIES", "STAGE"]


@dataclass(frozen=True, slots=True)
class STAGE(Deep):
    """Configuration; the defaults are the preset ``paper``, which leaves the training at the original's default.

    Parameters
    ----------
    batch
        Spots a step.
    learning_rate, epochs
        See :class:`histosge.models.deep.training.Schedule`. 2000 epochs are the code's default; its tutorials take 10 000.
    """

    batch: int = 512
    learning_rate: float = 1e-3
    epochs: int = 2000

    card: ClassVar[ModelCard] = ModelCard(
        "stage", "Decodes expression from positions (STAGE).", "li2024stage", uses_position=True
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"original": {"epochs": 10_000}, "paper": {}}

    def __post_init__(self) -> None:
        if self.batch < 2:
            raise UsageError(f"`batch` must be 2 or more: one spot has no variance. Got {self.batch}.")
        self.schedule  # noqa: B018  (refuses bad numbers before any work is done)

    @property
    def needs(self) -> Needs:
        """Positions alone."""
        return Needs()

    @property
    def on_array(self) -> bool:
        """Positions are array columns and rows by 77."""
        return True

    @property
    def schedule(self) -> Schedule:
        """How long and how fast to learn."""
        return Schedule(self.epochs, self.learning_rate)

    @property
    def grouping(self) -> Grouping:
        """Spots one by one."""
        return Grouping(self.batch)

    def network(self, outline: Outline) -> Any:
        """Return the untrained network."""
        from histosge.models.deep.networks.stage import STAGENetwork

        return STAGENetwork(outline.genes, 0, from_features=False, tested_on_features=False)

    def loss(self, network: Any, seen: Tensors, wanted: torch.Tensor) -> torch.Tensor:
        """Return the loss of positions and of expression rebuilt from them."""
        found: torch.Tensor = network.train_on(seen, wanted)
        return found


ENTRIES = (STAGE,)
