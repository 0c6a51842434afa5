"""What the paper's ablation puts in place of attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import MLP

from histosge.models.deep.batches import Tensors

from .graph import GraphAttention, nearest_edges
from .histosge import Tables

__all__ = ["FeedForwardNetwork", "GATNetwork"]

_TABLE = 512


class FeedForwardNetwork(nn.Module):
    """Spot by spot, no look around."""

    def __init__(
        self, inputs: int, genes: int, hidden: tuple[int, ...], *, position: bool, relu: bool
    ) -> None:
        super().__init__()
        self.position = Tables(inputs, _TABLE) if position else None
        self.layers = MLP(inputs, [*hidden, genes], norm_layer=nn.BatchNorm1d)
        self.relu = relu

    def forward(self, seen: Tensors) -> Tensor:
        """Return genes."""
        tokens = seen.vectors if self.position is None else seen.vectors + self.position(seen.place)
        answer: Tensor = self.layers(tokens)
        return torch.relu(answer) if self.relu else answer


class GATNetwork(nn.Module):
    """Graph attention in place of HisToSGE's block; the same gene head."""

    def __init__(
        self, graph: GraphAttention, width: int, genes: int, hidden: int, *, neighbours: int, relu: bool
    ) -> None:
        super().__init__()
        self.graph, self.neighbours, self.relu = graph, neighbours, relu
        self.head = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.LayerNorm(hidden), nn.Linear(hidden, genes)
        )

    def forward(self, seen: Tensors) -> Tensor:
        """Return genes of all places asked for, each looking at its nearest."""
        answer: Tensor = self.head(self.graph(seen.vectors, nearest_edges(seen.xy, self.neighbours)))
        return torch.relu(answer) if self.relu else answer
