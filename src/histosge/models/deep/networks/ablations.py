"""The networks of the paper's ablations: a perceptron and graph attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import MLP

from histosge.models.deep.inputs import Batch

from .graph import GraphAttention, nearest_edges
from .histosge import Tables

__all__ = ["FeedForwardNetwork", "GATNetwork"]

# rows of the tables, as in the published code
_TABLE = 512


class FeedForwardNetwork(nn.Module):
    """A perceptron with batch normalisation, spot by spot."""

    def __init__(
        self, inputs: int, genes: int, hidden: tuple[int, ...], *, position: bool, relu: bool
    ) -> None:
        super().__init__()
        self.position = Tables(inputs, _TABLE) if position else None
        self.layers = MLP(inputs, [*hidden, genes], norm_layer=nn.BatchNorm1d)
        self.relu = relu

    def forward(self, batch: Batch) -> Tensor:
        """Return genes."""
        tokens = batch.vectors if self.position is None else batch.vectors + self.position(batch)
        output: Tensor = self.layers(tokens)
        return torch.relu(output) if self.relu else output


class GATNetwork(nn.Module):
    """Graph attention in place of HisToSGE's block; the same gene head."""

    def __init__(
        self,
        graph: GraphAttention,
        *,
        width: int,
        hidden: int,
        genes: int,
        neighbours: int,
        on_array: bool,
        relu: bool,
    ) -> None:
        super().__init__()
        self.graph, self.neighbours, self.on_array, self.relu = graph, neighbours, on_array, relu
        self.head = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.LayerNorm(hidden), nn.Linear(hidden, genes)
        )

    def forward(self, batch: Batch) -> Tensor:
        """Return genes of all locations of a window, each attending to its nearest."""
        edges = nearest_edges(batch.lattice_xy if self.on_array else batch.xy, self.neighbours)
        output: Tensor = self.head(self.graph(batch.vectors, edges))
        return torch.relu(output) if self.relu else output
