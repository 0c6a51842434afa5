"""HisToGene (Pang et al. 2021): a vision transformer over the patches of a window of spots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from histosge.errors import refuse_nonpositive
from histosge.models.base import ModelCard
from histosge.models.deep.batches import Batching

from .patch_system import PatchSystem

__all__ = ["ENTRIES", "HisToGene"]


@dataclass(frozen=True, slots=True)
class HisToGene(PatchSystem):
    """Configuration; the defaults are the preset ``paper``, and ``mouse`` is the same for a mouse brain.

    ``paper`` follows the HisToSGE group's adaptation to half of a section; ``original`` attends over a whole section.
    The original's targets are log10 of shares of the chosen genes; here, as in every model, log1p(CP10k) of all genes.
    Its dense prediction is a grid of patches 56 pixels apart; here locations are the user's. Further options are those
    of :class:`~histosge.models.deep.training.TrainingConfig` and
    :class:`~histosge.models.rivals.patch_system.PatchSystem`; both sources have patches of 112 pixels, and each pixel
    is an input of the first layer.

    Parameters
    ----------
    window_size
        Locations that attend to each other, in an order without relation to space; 0: all of them, as in the original.
    positions
        Rows of the tables of positions. Differs from the original: its 64 are too few for Visium.
    position
        ``"tables"`` indexed by the integer part of the lattice position, or ``"interpolated"`` between entries.
    width, depth, heads, head_width, hidden, dropout
        Of the transformer.
    raw255
        Whether pixels from 0 to 255 go into a linear layer unscaled, as in both sources. Their learning rate is made
        for it: divided by 255, the network hardly leaves its first weights.
    """

    # the original attends over the whole section, n² in memory; windows of 200 spots fit any device
    window_size: int = 200
    positions: int = 128
    position: Literal["tables", "interpolated"] = "tables"
    width: int = 1024
    depth: int = 8
    heads: int = 16
    head_width: int = 64
    hidden: int = 2048
    dropout: float = 0.1
    raw255: bool = True
    learning_rate: float = 1e-5
    epochs: int = 100

    card: ClassVar[ModelCard] = ModelCard(
        "histogene",
        "A transformer over the patches of a whole section (HisToGene).",
        "pang2021histogene",
        uses_position=True,
        deep=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "original": {"window_size": 0},
        "paper": {},
        # the group trains longer, and faster, on the mouse brain
        "mouse": {"learning_rate": 1e-4, "epochs": 800},
    }

    def validate(self) -> None:
        """Refuse sizes below 1."""
        refuse_nonpositive(self, "network_px", "positions", "width", "depth", "heads", "head_width", "hidden")

    @property
    def batching(self) -> Batching:
        """Windows of locations."""
        return Batching(self.batch, window=self.window_size, order="unordered")

    @property
    def reads_lattice(self) -> bool:
        """Tables are indexed by lattice positions."""
        return True

    def build_network(self, inputs: int, outputs: int) -> Any:
        """Return the untrained network."""
        from histosge.models.deep.networks.histogene import HisToGeneNetwork, HisToGeneShape

        return HisToGeneNetwork(
            HisToGeneShape(
                px=self.network_px,
                genes=outputs,
                width=self.width,
                positions=self.positions,
                interpolated=self.position == "interpolated",
                depth=self.depth,
                heads=self.heads,
                head_width=self.head_width,
                hidden=self.hidden,
                dropout=self.dropout,
                raw=self.raw255,
            )
        )


ENTRIES = (HisToGene,)
