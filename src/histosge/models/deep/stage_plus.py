"""STAGE_Plus, an ablation of the HisToSGE paper: STAGE whose encoder reads image features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from histosge.errors import UsageError
from histosge.models.base import Crop, ModelCard, Needs

from .batches import Tensors
from .system import Deep, Grouping, Outline
from .training import Schedule

if TYPE_CHECKING:
    import torch

__all__ = ["ENTRIES", "STAGEPlus"]


@dataclass(frozen=True, slots=True)
class STAGEPlus(Deep):
    """Configuration; the paper names the ablation and says no more.

    Parameters
    ----------
    crop_um, crop_px
        Width of the window the encoder looks at; as for HisToSGE 50 pixels. Neither: the encoder's own.
    standardise
        Whether features are brought to mean 0, deviation 1 on the spots fitted.
    path
        What is decoded at new places: the position that ``"features"`` say (an image model, the sensible reading), or
        the true ``"coordinates"``, as STAGE does.
    batch, learning_rate, epochs
        STAGE's.
    """

    crop_um: float | None = None
    crop_px: int | None = 50
    standardise: bool = True
    path: Literal["features", "coordinates"] = "features"
    batch: int = 512
    learning_rate: float = 1e-3
    epochs: int = 2000

    card: ClassVar[ModelCard] = ModelCard(
        "stage-plus",
        "STAGE with image features for its encoder: an ablation of the paper.",
        "shi2024histosge",
        uses_position=False,
    )

    def __post_init__(self) -> None:
        if self.batch < 2:
            raise UsageError(f"`batch` must be 2 or more: one spot has no variance. Got {self.batch}.")
        self.schedule  # noqa: B018  (refuses bad numbers before any work is done)

    @property
    def needs(self) -> Needs:
        """Features."""
        return Needs(features=True, crop=Crop.of(self.crop_um, self.crop_px))

    @property
    def on_array(self) -> bool:
        """The middle of the network is taught array columns and rows by 77."""
        return True

    @property
    def scales_features(self) -> bool:
        """As the option says."""
        return self.standardise

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
        from .networks.stage import STAGENetwork

        tested = self.path == "features"
        return STAGENetwork(outline.genes, outline.inputs, from_features=True, tested_on_features=tested)

    def loss(self, network: Any, seen: Tensors, wanted: torch.Tensor) -> torch.Tensor:
        """Return the loss of positions and of expression rebuilt from them."""
        found: torch.Tensor = network.train_on(seen, wanted)
        return found


ENTRIES = (STAGEPlus,)
