"""Ablations of the HisToSGE paper: what it puts in place of attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from histosge.errors import refuse_nonpositive
from histosge.models.base import ModelCard

from .batches import Batching
from .inputs import Batch
from .system import FeatureSystem

if TYPE_CHECKING:
    import torch

__all__ = ["ENTRIES", "GAT", "FeedForward", "STAGEPlus"]

# the paper's ablations read the same features as its HisToSGE
_PUBLISHED_FEATURES: Mapping[str, Any] = {"channel_order": "bgr", "standardise": "auto"}


@dataclass(frozen=True, slots=True)
class FeedForward(FeatureSystem):
    """A perceptron on image features in place of attention.

    The network is published, its training is not; it is trained as HisToSGE is. Further options are those of
    :class:`~histosge.models.deep.training.TrainingConfig` and :class:`~histosge.models.deep.system.FeatureSystem`. The
    preset ``published`` reads the features that the released HisToSGE reads: red and blue swapped, unscaled.

    Parameters
    ----------
    position
        Whether HisToSGE's tables of positions are added to the features. The paper leaves this open.
    relu
        Whether values are cut at 0 inside the network.
    hidden
        Widths of the hidden layers.
    """

    # the paper leaves open whether it has positions; without them it is an image model
    position: bool = False
    relu: bool = False
    hidden: tuple[int, ...] = (1024, 2048, 2048)
    batch: int = 512

    card: ClassVar[ModelCard] = ModelCard(
        "feedforward",
        "A perceptron on image features: an ablation of the paper.",
        "shi2024histosge",
        uses_position=False,
        deep=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"published": _PUBLISHED_FEATURES}

    @property
    def reads_lattice(self) -> bool:
        """Tables are indexed by lattice positions."""
        return self.position

    @property
    def uses_position(self) -> bool:
        """Whether tables of positions are added: the option ``position``."""
        return self.position

    def build_network(self, inputs: int, outputs: int) -> Any:
        """Return the untrained network."""
        from .networks.ablations import FeedForwardNetwork

        return FeedForwardNetwork(inputs, outputs, self.hidden, position=self.position, relu=self.relu)


@dataclass(frozen=True, slots=True)
class GAT(FeatureSystem):
    """Graph attention (Veličković et al. 2018) in place of the transformer.

    The layer is published, its sizes and its training are not. Further options are those of
    :class:`~histosge.models.deep.training.TrainingConfig` and :class:`~histosge.models.deep.system.FeatureSystem`. The
    preset ``published`` has the graph of the released code, its gene head, and the features of its HisToSGE.

    Parameters
    ----------
    window_size
        Spots of one graph, in an order without relation to space; 0: all of them. Published: 50, which are far apart.
    neighbours
        Nearest locations that each attends to. Published: 4, which leave two neighbours of the hexagon out.
    graph
        Whether nearest is in ``"um"``, or on the ``"array"``, that is in lattice positions (published).
    heads, head_width, width
        Of graph attention.
    hidden
        Width of the gene head.
    dropout, slope
        Of graph attention; the slope is that of the leaky rectifier.
    published_axis
        A fault of the published code: attention weights are normalised over the locations that attend.
    relu
        Whether values are cut at 0 inside the network.
    """

    # all locations in one graph, so that neighbours on the tissue are neighbours in the graph
    window_size: int = 0
    neighbours: int = 6
    graph: Literal["array", "um"] = "um"
    heads: int = 4
    head_width: int = 256
    width: int = 1024
    hidden: int = 2048
    dropout: float = 0.2
    slope: float = 0.01
    published_axis: bool = False
    relu: bool = False

    card: ClassVar[ModelCard] = ModelCard(
        "gat",
        "Graph attention on image features: an ablation of the paper.",
        "shi2024histosge",
        uses_position=True,
        deep=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {
            **_PUBLISHED_FEATURES,
            "window_size": 50,
            "neighbours": 4,
            "graph": "array",
            "relu": True,
        }
    }

    def validate(self) -> None:
        """Refuse sizes below 1."""
        refuse_nonpositive(self, "neighbours", "heads", "head_width", "width", "hidden")

    @property
    def batching(self) -> Batching:
        """Windows of spots."""
        return Batching(self.batch, window=self.window_size, order="unordered")

    @property
    def reads_lattice(self) -> bool:
        """A graph on the array is one of lattice positions."""
        return self.graph == "array"

    def build_network(self, inputs: int, outputs: int) -> Any:
        """Return the untrained network."""
        from .networks.ablations import GATNetwork
        from .networks.graph import GraphAttention

        graph = GraphAttention(
            inputs,
            heads=self.heads,
            hidden=self.head_width,
            out=self.width,
            dropout=self.dropout,
            slope=self.slope,
            published_axis=self.published_axis,
        )
        return GATNetwork(
            graph,
            width=self.width,
            hidden=self.hidden,
            genes=outputs,
            neighbours=self.neighbours,
            on_array=self.graph == "array",
            relu=self.relu,
        )


@dataclass(frozen=True, slots=True)
class STAGEPlus(FeatureSystem):
    """STAGE with image features for its encoder.

    The paper names this ablation and does not describe it. Further options are those of
    :class:`~histosge.models.deep.training.TrainingConfig` (STAGE's values) and
    :class:`~histosge.models.deep.system.FeatureSystem`. The preset ``published`` reads the features that the released
    HisToSGE reads.

    Parameters
    ----------
    path
        What the decoder reads in predictions: the position predicted from ``"features"``, so that the prediction
        depends on the image, or the true ``"coordinates"``, as in STAGE.
    """

    path: Literal["features", "coordinates"] = "features"
    batch: int = 512
    epochs: int = 2000

    card: ClassVar[ModelCard] = ModelCard(
        "stage-plus",
        "STAGE with image features for its encoder: an ablation of the paper.",
        "shi2024histosge",
        uses_position=False,
        deep=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"published": _PUBLISHED_FEATURES}

    @property
    def uses_image(self) -> bool:
        """Whether predictions decode what features predict; training reads the features in any case."""
        return self.path == "features"

    @property
    def uses_position(self) -> bool:
        """Whether predictions decode the true coordinates."""
        return self.path == "coordinates"

    @property
    def reads_lattice(self) -> bool:
        """The encoder is trained to output lattice positions, divided by 77."""
        return True

    def build_network(self, inputs: int, outputs: int) -> Any:
        """Return the untrained network."""
        from .networks.stage import STAGENetwork

        return STAGENetwork(outputs, inputs, encodes_features=True, decodes_features=self.path == "features")

    def loss(self, network: Any, batch: Batch, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of positions, and of the expression decoded from them."""
        loss: torch.Tensor = network.loss(batch, targets)
        return loss


ENTRIES = (FeedForward, GAT, STAGEPlus)
