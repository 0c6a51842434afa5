"""GAT, an ablation of the HisToSGE paper: graph attention in place of the transformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from histosge.errors import refuse_nonpositive
from histosge.models.base import Crop, ModelCard, Needs

from .system import Deep, Grouping, Outline
from .training import Schedule

__all__ = ["ENTRIES", "GAT"]


@dataclass(frozen=True, slots=True)
class GAT(Deep):
    """Configuration. The layer is published, its sizes and its training are not.

    Parameters
    ----------
    crop_um, crop_px
        Width of the window the encoder looks at; as for HisToSGE 50 pixels. Neither: the encoder's own.
    standardise
        Whether features are brought to mean 0, deviation 1 on the spots fitted.
    window_size
        Places of one graph, in the order of the file; 0: all places asked for. The published windows of 50 have
        neighbours that are far apart.
    neighbours
        Nearest places, in µm, that each looks at; the published 4 do not close the hexagon.
    heads, head_width, width
        Of graph attention.
    hidden
        Of the gene head.
    dropout, slope
        Of graph attention.
    published_axis
        A fault of the code it came from: attention is normalised over those who look.
    relu
        Whether values are cut at 0 inside the network.
    learning_rate, epochs
        See :class:`histosge.models.deep.training.Schedule`.
    """

    crop_um: float | None = None
    crop_px: int | None = 50
    standardise: bool = True
    window_size: int = 0
    neighbours: int = 6
    heads: int = 4
    head_width: int = 256
    width: int = 1024
    hidden: int = 2048
    dropout: float = 0.2
    slope: float = 0.01
    published_axis: bool = False
    relu: bool = False
    learning_rate: float = 1e-3
    epochs: int = 1000

    card: ClassVar[ModelCard] = ModelCard(
        "gat",
        "Graph attention on image features: an ablation of the paper.",
        "shi2024histosge",
        uses_position=True,
        joint=True,
    )

    def __post_init__(self) -> None:
        refuse_nonpositive(self, "neighbours", "heads", "head_width", "width", "hidden")
        self.schedule  # noqa: B018  (refuses bad numbers before any work is done)

    @property
    def needs(self) -> Needs:
        """Features."""
        return Needs(features=True, crop=Crop.of(self.crop_um, self.crop_px))

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
        """All places, or windows of them."""
        return Grouping(window=self.window_size)

    def network(self, outline: Outline) -> Any:
        """Return the untrained network."""
        from .networks.ablations import GATNetwork
        from .networks.graph import GraphAttention

        graph = GraphAttention(
            outline.inputs,
            heads=self.heads,
            hidden=self.head_width,
            out=self.width,
            dropout=self.dropout,
            slope=self.slope,
            published_axis=self.published_axis,
        )
        neighbours = self.neighbours
        return GATNetwork(
            graph, self.width, outline.genes, self.hidden, neighbours=neighbours, relu=self.relu
        )


ENTRIES = (GAT,)
