"""HisToGene (Pang et al. 2021): a vision transformer whose patches are spots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from histosge.errors import refuse_nonpositive
from histosge.models.base import Crop, ModelCard, Needs
from histosge.models.deep.system import Deep, Grouping, Outline
from histosge.models.deep.training import Schedule

__all__ = ["ENTRIES", "HisToGene"]


@dataclass(frozen=True, slots=True)
class HisToGene(Deep):
    """Configuration; the defaults are the preset ``paper``.

    Parameters
    ----------
    crop_um, crop_px
        Width of the window, in µm or (both sources: 112) in pixels of the full-resolution image.
    network_px
        Pixels the window is brought to; each is an input of the first layer.
    window_size
        Places that look at each other, in the order of the file; 0: all places asked for, as in the original.
    positions
        Rows of the tables of positions; the original's 64 are too few for Visium.
    position
        ``"tables"`` of the integer part of the array position, or ``"interpolated"`` between entries.
    width, depth, heads, head_width, hidden, dropout
        Of the transformer.
    raw255
        A fault of both sources: pixels of 0 to 255 go into a linear layer.
    learning_rate, epochs
        See :class:`histosge.models.deep.training.Schedule`.
    """

    crop_um: float | None = None
    crop_px: int | None = 112
    network_px: int = 112
    window_size: int = 200
    positions: int = 128
    position: Literal["tables", "interpolated"] = "tables"
    width: int = 1024
    depth: int = 8
    heads: int = 16
    head_width: int = 64
    hidden: int = 2048
    dropout: float = 0.1
    raw255: bool = False
    learning_rate: float = 1e-5
    epochs: int = 100

    card: ClassVar[ModelCard] = ModelCard(
        "histogene",
        "A transformer over the windows of a whole section (HisToGene).",
        "pang2021histogene",
        uses_position=True,
        joint=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"original": {"window_size": 0}, "paper": {}}

    def __post_init__(self) -> None:
        refuse_nonpositive(self, "network_px", "positions", "width", "depth", "heads", "head_width", "hidden")
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
        from histosge.models.deep.networks.histogene import HisToGeneNetwork, HisToGeneShape

        return HisToGeneNetwork(
            HisToGeneShape(
                self.network_px,
                outline.genes,
                self.width,
                self.positions,
                self.position == "interpolated",
                self.depth,
                self.heads,
                self.head_width,
                self.hidden,
                self.dropout,
                self.raw255,
            )
        )


ENTRIES = (HisToGene,)
