"""STAGATE's auto-encoder (Dong & Zhang 2022): attention over neighbours; the decoder shares the encoder's weights."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, embedding_bag
from torch_geometric.utils import softmax

__all__ = ["STAGATENetwork"]


class STAGATENetwork(nn.Module):
    """Genes → hidden → width → hidden → genes; no biases, one head, one attention for both directions.

    Parameters
    ----------
    edges
        2 × e, ordered by row 1; row 1 attends to row 0, each location to itself too.
    genes, hidden, width
        Of the layers.
    pytorch
        First weights are drawn from a normal distribution (Xavier, gain 1.414), and the decoder's transposed weights
        pass no gradient to the encoder, as in the authors' PyTorch code; otherwise as in their TensorFlow code.
    """

    def __init__(
        self, edges: Tensor, genes: int, hidden: int = 512, width: int = 30, *, pytorch: bool = False
    ) -> None:
        super().__init__()
        self.pytorch = pytorch
        first = partial(nn.init.xavier_normal_, gain=1.414) if pytorch else nn.init.xavier_uniform_
        self.first = nn.Parameter(first(torch.empty(genes, hidden)))
        self.second = nn.Parameter(first(torch.empty(hidden, width)))
        self.attending = nn.Parameter(first(torch.empty(hidden, 1)))
        self.attended = nn.Parameter(first(torch.empty(hidden, 1)))
        self.edges = edges
        # edges are in the order of their receiving location: where each one's edges start
        self.starts = torch.bincount(edges[1]).cumsum(0).roll(1)
        self.starts[0] = 0

    def attention(self, hidden: Tensor) -> Tensor:
        """Return one weight an edge; those of the edges to a location sum to 1."""
        source, target = self.edges
        # sigmoid of v_sᵀ h_i + v_rᵀ h_j, then softmax over neighbours (Dong & Zhang 2022)
        score = (hidden @ self.attending)[target, 0] + (hidden @ self.attended)[source, 0]
        weight: Tensor = softmax(torch.sigmoid(score), target, num_nodes=len(hidden))
        return weight

    def forward(self, values: Tensor) -> Tensor:
        """Return the embedding, n × width."""
        hidden = values @ self.first
        return elu(self._averaged(hidden, self.attention(hidden))) @ self.second

    def residual(self, values: Tensor) -> Tensor:
        """Return the reconstruction error of ``values``: its Frobenius norm, in the PyTorch code its mean square."""
        hidden = values @ self.first
        weight = self.attention(hidden)
        # the decoder has the transposed weights and the encoder's attention: no parameters of its own
        latent = elu(self._averaged(hidden, weight)) @ self.second
        first, second = self.first.T, self.second.T
        if self.pytorch:
            # its decoder holds copies of the encoder's weights, made at every step
            first, second = first.detach(), second.detach()
        decoded = elu(self._averaged(latent @ second, weight)) @ first
        error = values - decoded
        residual: Tensor = error.square().mean() if self.pytorch else torch.linalg.norm(error)
        return residual

    def _averaged(self, values: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted mean over the neighbours of each location, without a copy of it for every edge."""
        averaged: Tensor = embedding_bag(
            self.edges[0], values, self.starts, mode="sum", per_sample_weights=weight
        )
        return averaged
