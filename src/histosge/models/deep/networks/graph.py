"""Graph attention over nearest neighbours (Veličković et al. 2018), by PyTorch Geometric."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv
from torch_geometric.utils import scatter, softmax

__all__ = ["GraphAttention", "nearest_edges"]


def nearest_edges(xy: Tensor, neighbours: int) -> Tensor:
    """Return edges from each place's nearest others to it, 2 × (n · k): row 0 is looked at by row 1; no self-loops."""
    n = len(xy)
    number = min(neighbours, n - 1)
    # on the CPU in double precision: equal distances on a lattice must break ties in the same way everywhere
    apart = torch.cdist(xy.double().cpu(), xy.double().cpu())
    apart.fill_diagonal_(float("inf"))
    near = apart.round(decimals=6).argsort(dim=1, stable=True)[:, :number]
    receiving = torch.arange(n).repeat_interleave(number)
    return torch.stack([near.flatten(), receiving]).to(xy.device)


class GraphAttention(nn.Module):
    """Heads side by side, then one head of the width wanted; ELU after each."""

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        hidden: int,
        out: int,
        dropout: float,
        slope: float,
        published_axis: bool = False,
    ) -> None:
        super().__init__()
        kind = _PublishedAxis if published_axis else GATConv
        shared: dict[str, Any] = {"negative_slope": slope, "dropout": dropout, "bias": False}
        shared["add_self_loops"] = False
        self.several = kind(width, hidden, heads=heads, **shared)
        self.one = kind(heads * hidden, out, heads=1, concat=False, **shared)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, edges: Tensor) -> Tensor:
        """Return n × out."""
        between = nn.functional.elu(self.several(self.dropout(tokens), edges))
        answer: Tensor = nn.functional.elu(self.one(self.dropout(between), edges))
        return answer


class _PublishedAxis(GATConv):
    """The fault of the published code: weights are normalised over those who look, not over those looked at.

    What a place is told then does not add up to 1, and places that nobody looks at speak to everybody equally.
    """

    def edge_update(
        self,
        alpha_j: Tensor,
        alpha_i: Tensor | None,
        edge_attr: Tensor | None,
        index: Tensor,
        ptr: Tensor | None,
        dim_size: int | None,
    ) -> Tensor:
        """Return the weight of each edge."""
        score = alpha_j if alpha_i is None else alpha_j + alpha_i
        score = nn.functional.leaky_relu(score, self.negative_slope)
        weights = softmax(score, self._looked_at, num_nodes=dim_size)
        return nn.functional.dropout(weights, p=self.dropout, training=self.training)

    def forward(self, x: Tensor, edge_index: Tensor, **_: Any) -> Tensor:
        """Return n × heads · width."""
        self._looked_at = edge_index[0]
        answer: Tensor = super().forward(x, edge_index)
        ones = torch.ones(edge_index.shape[1], device=x.device)
        alone = scatter(ones, edge_index[0], dim=0, dim_size=len(x)) == 0
        spoken = self.lin(x).unflatten(-1, (self.heads, self.out_channels))
        everybody = (spoken * alone[:, None, None]).sum(0) / len(x)
        told: Tensor = answer + (everybody.flatten() if self.concat else everybody.mean(0))
        return told
