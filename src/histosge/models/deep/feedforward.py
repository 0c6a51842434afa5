"""FeedForward, an ablation of the HisToSGE paper: a perceptron in place of attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from histosge.errors import UsageError
from histosge.models.base import Crop, ModelCard, Needs

from .system import Deep, Grouping, Outline
from .training import Schedule

__all__ = ["ENTRIES", "FeedForward"]


@dataclass(frozen=True, slots=True)
class FeedForward(Deep):
    """Configuration. The network is published, its training is not; it is trained as HisToSGE says it is.

    Parameters
    ----------
    crop_um, crop_px
        Width of the window the encoder looks at; as for HisToSGE 50 pixels. Neither: the encoder's own.
    standardise
        Whether features are brought to mean 0, deviation 1 on the spots fitted.
    position
        Whether HisToSGE's tables of positions are added to the features; whether the paper did is not known.
    relu
        Whether values are cut at 0 inside the network.
    hidden
        Widths.
    batch, learning_rate, epochs
        See :class:`histosge.models.deep.training.Schedule`; the batch is the paper's.
    """

    crop_um: float | None = None
    crop_px: int | None = 50
    standardise: bool = True
    position: bool = False
    relu: bool = False
    hidden: tuple[int, ...] = (1024, 2048, 2048)
    batch: int = 512
    learning_rate: float = 1e-3
    epochs: int = 1000

    card: ClassVar[ModelCard] = ModelCard(
        "feedforward",
        "A perceptron on image features: an ablation of the paper.",
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
        """Tables are read at array positions."""
        return self.position

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
        from .networks.ablations import FeedForwardNetwork

        return FeedForwardNetwork(
            outline.inputs, outline.genes, self.hidden, position=self.position, relu=self.relu
        )


ENTRIES = (FeedForward,)
