"""Graph attention over nearest neighbours (Veličković et al. 2018), by PyTorch Geometric."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv
from torch_geometric.utils import scatter, softmax

__all__ = ["GraphAttention", "nearest_edges"]

# of the Xavier initialisation, published as 1.414
_GAIN = 1.414


def nearest_edges(xy: Tensor, neighbours: int) -> Tensor:
    """Return edges to each location from its nearest others, 2 × (n · k): row 1 attends to row 0; no self-loops."""
    # on the CPU in double precision: equal distances on a lattice must break ties in the same way everywhere
    positions = xy.detach().double().cpu().numpy()
    return _edges(positions.tobytes(), min(neighbours, len(xy) - 1)).to(xy.device)


# the positions of a window are the same in every epoch
@lru_cache(maxsize=64)
def _edges(positions: bytes, number: int) -> Tensor:
    xy = torch.from_numpy(np.frombuffer(positions).reshape(-1, 2).copy())
    distance = torch.cdist(xy, xy)
    distance.fill_diagonal_(float("inf"))
    # rounded, because distances that are equal on the lattice differ in their last bits
    near = distance.round(decimals=6).argsort(dim=1, stable=True)[:, :number]
    attending = torch.arange(len(xy)).repeat_interleave(number)
    return torch.stack([near.flatten(), attending])


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
        # published: each head is a layer of its own, whose bound does not shrink with the number of heads
        for layer in (self.multi_head, self.single_head):
            for weights in layer.lin.weight.split(layer.out_channels):
                nn.init.xavier_uniform_(weights, gain=_GAIN)

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
