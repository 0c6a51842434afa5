"""THItoGene (Jia et al. 2024): dynamic convolution, capsules, a transformer and graph attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from histosge.errors import UsageError, refuse_nonpositive
from histosge.models.base import ModelCard
from histosge.models.deep.batches import Batching

from .patch_system import PatchSystem

__all__ = ["ENTRIES", "THItoGene"]


@dataclass(frozen=True, slots=True)
class THItoGene(PatchSystem):
    """Configuration; the defaults are the preset ``paper``.

    No same-slide script of THItoGene was published: ``paper`` is the original's network on windows of spots, with
    attention over neighbours; ``original`` has the whole section and the faulty axis. The original's targets are log10
    of shares of the chosen genes; here, as in every model, log1p(CP10k) of all genes. Further
    options are those of :class:`~histosge.models.deep.training.TrainingConfig` and
    :class:`~histosge.models.rivals.patch_system.PatchSystem`; patches have 112 pixels, for which the convolutions are
    made.

    Parameters
    ----------
    window_size
        Locations that attend to each other, in an order without relation to space; 0: all of them, as in the original.
    positions
        Rows of the tables of positions. Differs from the original: its 64 are too few for Visium.
    depth, heads, head_width, hidden, dropout
        Of the transformer.
    graph_heads, graph_hidden, graph_out, slope
        Of graph attention.
    neighbours, graph
        How many locations each attends to, and whether these are nearest on the ``"array"``, that is in lattice
        positions (published, 4: on Visium the diagonal ones), or in ``"um"``.
    published_axis
        A fault of the original: attention weights are normalised over the locations that attend.
    raw255
        Whether pixels from 0 to 255 go into the network unscaled, as in the original. Batch normalisation follows.
    """

    # the original attends over the whole section, n² in memory; windows of 200 spots fit any device
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
    raw255: bool = True
    learning_rate: float = 1e-5
    epochs: int = 300

    card: ClassVar[ModelCard] = ModelCard(
        "thitogene",
        "Capsules, a transformer and a graph over the patches of a section (THItoGene).",
        "jia2024thitogene",
        uses_position=True,
        deep=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "original": {"window_size": 0, "published_axis": True},
        "paper": {},
    }

    def validate(self) -> None:
        """Refuse sizes below 1, and patches that the convolutions are not made for."""
        if self.network_px != 112:
            raise UsageError(
                f"`network_px` must be 112, for which THItoGene's convolutions are made; got {self.network_px}."
            )
        refuse_nonpositive(
            self, "positions", "depth", "heads", "head_width", "hidden", "neighbours", "graph_heads"
        )

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
        from histosge.models.deep.networks.thitogene import THItoGeneNetwork, THItoGeneShape

        return THItoGeneNetwork(
            THItoGeneShape(
                genes=outputs,
                positions=self.positions,
                depth=self.depth,
                heads=self.heads,
                head_width=self.head_width,
                hidden=self.hidden,
                dropout=self.dropout,
                graph_heads=self.graph_heads,
                graph_hidden=self.graph_hidden,
                graph_out=self.graph_out,
                slope=self.slope,
                neighbours=self.neighbours,
                graph_in_um=self.graph == "um",
                published_axis=self.published_axis,
                raw=self.raw255,
            )
        )


ENTRIES = (THItoGene,)
