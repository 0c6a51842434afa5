"""Graph attention over nearest neighbours (Veličković et al. 2018), by PyTorch Geometric."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv
from torch_geometric.utils import scatter, softmax

__all__ = ["GraphAttention", "nearest_edges"]


def nearest_edges(xy: Tensor, neighbours: int) -> Tensor:
    """Return edges to each location from its nearest others, 2 × (n · k): row 1 attends to row 0; no self-loops."""
    n = len(xy)
    number = min(neighbours, n - 1)
    # on the CPU in double precision: equal distances on a lattice must break ties in the same way everywhere
    distance = torch.cdist(xy.double().cpu(), xy.double().cpu())
    distance.fill_diagonal_(float("inf"))
    # rounded, because distances that are equal on the lattice differ in their last bits
    near = distance.round(decimals=6).argsort(dim=1, stable=True)[:, :number]
    attending = torch.arange(n).repeat_interleave(number)
    return torch.stack([near.flatten(), attending]).to(xy.device)


class GraphAttention(nn.Module):
    """Concatenated heads, then a single head of the output width; ELU after both layers."""

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
        # the published layer attends to neighbours only
        shared["add_self_loops"] = False
        self.multi_head = kind(width, hidden, heads=heads, **shared)
        self.single_head = kind(heads * hidden, out, heads=1, concat=False, **shared)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, edges: Tensor) -> Tensor:
        """Return n × out."""
        # concatenated heads, Veličković et al. 2018, eq. 5; a single last head in place of their mean, eq. 6
        hidden = nn.functional.elu(self.multi_head(self.dropout(tokens), edges))
        output: Tensor = nn.functional.elu(self.single_head(self.dropout(hidden), edges))
        return output


class _PublishedAxis(GATConv):
    """The fault of the published code: weights are normalised over the locations that attend.

    The weights of the locations that one location attends to then do not add up to 1, and a location that none attends
    to contributes equally to all: a softmax over an empty row of the dense matrix is uniform.
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
        # LeakyReLU(a_lᵀ W h_i + a_rᵀ W h_j), Veličković et al. 2018, eq. 3
        score = alpha_j if alpha_i is None else alpha_j + alpha_i
        score = nn.functional.leaky_relu(score, self.negative_slope)
        # the fault: eq. 3 sums over the neighbours of i, here the sum is over those that attend to j
        weights = softmax(score, self._attended, num_nodes=dim_size)
        return nn.functional.dropout(weights, p=self.dropout, training=self.training)

    def forward(self, x: Tensor, edge_index: Tensor, **_: Any) -> Tensor:
        """Return n × heads · width."""
        self._attended = edge_index[0]
        output: Tensor = super().forward(x, edge_index)
        ones = torch.ones(edge_index.shape[1], device=x.device)
        # PyTorch Geometric has no entry for an empty row; its uniform softmax is added here
        unattended = scatter(ones, edge_index[0], dim=0, dim_size=len(x)) == 0
        values = self.lin(x).unflatten(-1, (self.heads, self.out_channels))
        uniform = (values * unattended[:, None, None]).sum(0) / len(x)
        shifted: Tensor = output + (uniform.flatten() if self.concat else uniform.mean(0))
        return shifted
