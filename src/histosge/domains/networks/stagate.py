"""STAGATE's auto-encoder (Dong & Zhang 2022): attention over neighbours; the decoder shares the encoder's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, embedding_bag
from torch_geometric.utils import softmax

__all__ = ["STAGATENetwork"]


class STAGATENetwork(nn.Module):
    """Genes → hidden → few → hidden → genes; no biases, one head, one attention for both directions.

    Parameters
    ----------
    edges
        2 × e, ordered by row 1; row 0 is looked at by row 1, each place by itself too.
    genes, hidden, width
        Of the layers.
    """

    def __init__(self, edges: Tensor, genes: int, hidden: int = 512, width: int = 30) -> None:
        super().__init__()
        self.first = nn.Parameter(nn.init.xavier_uniform_(torch.empty(genes, hidden)))
        self.second = nn.Parameter(nn.init.xavier_uniform_(torch.empty(hidden, width)))
        self.looking = nn.Parameter(nn.init.xavier_uniform_(torch.empty(hidden, 1)))
        self.looked_at = nn.Parameter(nn.init.xavier_uniform_(torch.empty(hidden, 1)))
        self.edges = edges
        self.starts = torch.bincount(edges[1]).cumsum(0).roll(1)
        self.starts[0] = 0

    def attention(self, hidden: Tensor) -> Tensor:
        """Return one weight an edge; those of the edges to one place sum to 1."""
        source, target = self.edges
        score = (hidden @ self.looking)[target, 0] + (hidden @ self.looked_at)[source, 0]
        weight: Tensor = softmax(torch.sigmoid(score), target, num_nodes=len(hidden))
        return weight

    def forward(self, values: Tensor) -> Tensor:
        """Return the embedding, n × width."""
        hidden = values @ self.first
        return elu(self._told(hidden, self.attention(hidden))) @ self.second

    def residual(self, values: Tensor) -> Tensor:
        """Return the Frobenius norm of what the auto-encoder does not rebuild of ``values``."""
        hidden = values @ self.first
        weight = self.attention(hidden)
        middle = elu(self._told(hidden, weight)) @ self.second
        rebuilt = elu(self._told(middle @ self.second.T, weight)) @ self.first.T
        lost: Tensor = torch.linalg.norm(values - rebuilt)
        return lost

    def _told(self, values: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted sum of what each place's neighbours hold, without a copy of it for every edge."""
        told: Tensor = embedding_bag(
            self.edges[0], values, self.starts, mode="sum", per_sample_weights=weight
        )
        return told
