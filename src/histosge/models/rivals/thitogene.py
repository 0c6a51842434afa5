"""THItoGene (Jia et al. 2024): dynamic convolution, capsules, a transformer and graph attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from histosge.errors import UsageError, refuse_nonpositive
from histosge.models.base import Crop, ModelCard, Needs
from histosge.models.deep.system import Deep, Grouping, Outline
from histosge.models.deep.training import Schedule

__all__ = ["ENTRIES", "THItoGene"]


@dataclass(frozen=True, slots=True)
class THItoGene(Deep):
    """Configuration; the defaults are the preset ``paper``.

    No same-slide script of THItoGene was published: ``paper`` is the original's network on windows of spots.

    Parameters
    ----------
    crop_um, crop_px
        Width of the window, in µm or (112) in pixels of the full-resolution image.
    network_px
        Pixels the window is brought to; the convolutions are made for 112.
    window_size
        Places that look at each other, in the order of the file; 0: all places asked for, as in the original.
    positions
        Rows of the tables of positions; the original's 64 are too few for Visium.
    depth, heads, head_width, hidden, dropout
        Of the transformer.
    graph_heads, graph_hidden, graph_out, slope
        Of graph attention.
    neighbours, graph
        How many places each looks at, nearest on the ``"array"`` (published, 4: on Visium the diagonal ones) or in
        ``"um"``.
    published_axis
        A fault of the original: attention is normalised over those who look, not over those looked at.
    raw255
        A fault of the original: pixels of 0 to 255 go into the network as they are.
    learning_rate, epochs
        See :class:`histosge.models.deep.training.Schedule`.
    """

    crop_um: float | None = None
    crop_px: int | None = 112
    network_px: int = 112
    window_size: int = 200
    positions: int = 128
    depth: int = 4
    heads: int = 16
    head_width: int = 64
    hidden: int = 2048
    dropout: float = 0.2
    graph_heads: int = 8
    graph_hidden: int = 1024
    graph_out: int = 512
    slope: float = 0.01
    neighbours: int = 4
    graph: Literal["array", "um"] = "array"
    published_axis: bool = False
    raw255: bool = False
    learning_rate: float = 1e-5
    epochs: int = 300

    card: ClassVar[ModelCard] = ModelCard(
        "thitogene",
        "Capsules, a transformer and a graph over the windows of a section (THItoGene).",
        "jia2024thitogene",
        uses_position=True,
        joint=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"original": {"window_size": 0}, "paper": {}}

    def __post_init__(self) -> None:
        if self.network_px != 112:
            raise UsageError(
                f"THItoGene's convolutions are made for windows of 112 pixels, got {self.network_px}."
            )
        refuse_nonpositive(
            self, "positions", "depth", "heads", "head_width", "hidden", "neighbours", "graph_heads"
        )
        self.schedule  # noqa: B018  (refuses bad numbers before any work is done)

    @property
    def needs(self) -> Needs:
        """Windows."""
        return Needs(patch_px=self.network_px, crop=Crop.of(self.crop_um, self.crop_px))

    @property
    def on_array(self) -> bool:
        """Tables are read at array positions."""
        return True

    @property
    def schedule(self) -> Schedule:
        """How long and how fast to learn."""
        return Schedule(self.epochs, self.learning_rate)

    @property
    def grouping(self) -> Grouping:
        """Windows of places."""
        return Grouping(window=self.window_size)

    def network(self, outline: Outline) -> Any:
        """Return the untrained network."""
        from histosge.models.deep.networks.thitogene import THItoGeneNetwork, THItoGeneShape

        return THItoGeneNetwork(
            THItoGeneShape(
                outline.genes,
                self.positions,
                self.depth,
                self.heads,
                self.head_width,
                self.hidden,
                self.dropout,
                self.graph_heads,
                self.graph_hidden,
                self.graph_out,
                self.slope,
                self.neighbours,
                self.graph == "um",
                self.published_axis,
                self.raw255,
            )
        )


ENTRIES = (THItoGene,)
