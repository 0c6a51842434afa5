"""STAGE (Li et al. 2024): an auto-encoder whose latent space is trained to be the position; no image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from histosge.models.base import ModelCard
from histosge.models.deep.inputs import Batch
from histosge.models.deep.system import DeepSystem

if TYPE_CHECKING:
    import torch

__all__ = ["ENTRIES", "STAGE"]


@dataclass(frozen=True, slots=True)
class STAGE(DeepSystem):
    """Configuration; further options are those of :class:`~histosge.models.deep.training.TrainingConfig`.

    The defaults are the preset ``paper``, which trains for the 2000 epochs of the code's default. The preset
    ``original`` trains for the 10 000 of its tutorials. ``vge`` is its authors' ablation: the decoder alone, a
    perceptron on coordinates.

    Parameters
    ----------
    encoder
        Whether the decoder is trained on positions that an encoder predicts from expression, or on the true ones.
    """

    encoder: bool = True
    batch: int = 512
    epochs: int = 2000

    card: ClassVar[ModelCard] = ModelCard(
        "stage", "Decodes expression from positions (STAGE).", "li2024stage", uses_position=True, deep=True
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "original": {"epochs": 10_000},
        "paper": {},
        "vge": {"encoder": False},
    }

    @property
    def reads_lattice(self) -> bool:
        """Positions are lattice columns and rows, divided by 77."""
        return True

    def build_network(self, inputs: int, outputs: int) -> Any:
        """Return the untrained network."""
        from histosge.models.deep.networks.stage import STAGENetwork

        return STAGENetwork(outputs, 0, encodes_features=False, decodes_features=False, encoder=self.encoder)

    def loss(self, network: Any, batch: Batch, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of positions, and of the expression decoded from them."""
        loss: torch.Tensor = network.loss(batch, targets)
        return loss


ENTRIES = (STAGE,)
