"""STMask's two channels (Min et al. 2024): features rebuilt where they are masked, edges told from random pairs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, softplus
from torch_geometric.nn import GCNConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import remove_self_loops, to_torch_csr_tensor, to_undirected

__all__ = ["STMaskNetwork"]

_JUDGE_DROPOUT, _JUDGE_WIDTH = 0.5, 512


class STMaskNetwork(nn.Module):
    """One encoder of graph convolutions, taught through two channels.

    Parameters
    ----------
    edges
        2 × e; row 0 tells row 1. Self-loops are added.
    inputs, widths
        Of the features and of the encoder's two layers.
    masked
        Share of the places whose features are to be rebuilt.
    dropped
        Share of the edges that are to be told from random pairs.
    """

    def __init__(
        self, edges: Tensor, inputs: int, widths: tuple[int, int], *, masked: float, dropped: float
    ) -> None:
        super().__init__()
        self.masked, self.dropped = masked, dropped
        wide, narrow = widths
        plain: dict[str, Any] = {"normalize": False}
        self.convolutions = nn.ModuleList([GCNConv(inputs, wide, **plain), GCNConv(wide, narrow, **plain)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(width) for width in widths])
        self.activations = nn.ModuleList([nn.PReLU() for _ in widths])
        self.token = nn.Parameter(torch.zeros(1, inputs))
        self.bridge = nn.Linear(narrow, narrow, bias=False)
        nn.init.xavier_uniform_(self.bridge.weight)
        self.rebuild = GCNConv(narrow, inputs, **plain)
        self.judge = nn.Sequential(
            nn.Dropout(_JUDGE_DROPOUT), nn.Linear(narrow, _JUDGE_WIDTH), nn.ReLU(), nn.Linear(_JUDGE_WIDTH, 1)
        )
        self.edges = remove_self_loops(edges)[0]
        self.graph: Tensor | None = None

    def forward(self, values: Tensor) -> Tensor:
        """Return the embedding, n × the narrower width."""
        return self._encode(values, self._whole(len(values)))

    def features_lost(self, values: Tensor) -> Tensor:
        """Return (1 − cosine)² of rebuilt and true features, over the masked places.

        As published, the mask adds a token that starts as zero to the features and does not hide them; what the
        decoder does not see is the masked places' own embedding.
        """
        graph = self._whole(len(values))
        chosen = torch.randperm(len(values), device=values.device)[: max(1, int(self.masked * len(values)))]
        mask = torch.zeros(len(values), 1, device=values.device)
        mask[chosen] = 1.0
        middle = self.bridge(self._encode(values + mask * self.token, graph)) * (1 - mask)
        likeness = cosine_similarity(self.rebuild(middle, graph)[chosen], values[chosen], dim=1)
        loss: Tensor = ((1 - likeness) ** 2).mean()
        return loss

    def relations_lost(self, values: Tensor) -> Tensor:
        """Return the cross-entropy of dropped edges against as many random pairs."""
        n = len(values)
        kept = torch.rand(self.edges.shape[1], device=values.device) >= self.dropped
        if kept.all():
            # chance may drop none of a few edges; the mean over none is no number
            kept[0] = False
        found = self._encode(values, _normalised(to_undirected(self.edges[:, kept], num_nodes=n), n))
        true = self.edges[:, ~kept]
        false = torch.randint(0, n, (2, true.shape[1]), device=values.device)
        alike, unlike = (self.judge(found[pair[0]] * found[pair[1]]) for pair in (true, false))
        return softplus(-alike).mean() + softplus(unlike).mean()

    def _encode(self, values: Tensor, graph: Tensor) -> Tensor:
        for convolve, norm, activate in zip(self.convolutions, self.norms, self.activations, strict=True):
            values = activate(norm(convolve(values, graph)))
        return values

    def _whole(self, n: int) -> Tensor:
        if self.graph is None:
            self.graph = _normalised(self.edges, n)
        return self.graph


def _normalised(edges: Tensor, n: int) -> Tensor:
    """Return D^−½ (A + I) D^−½ as a sparse matrix, which multiplies faster than edges are walked."""
    edges, weights = gcn_norm(edges, num_nodes=n, add_self_loops=True)
    graph: Tensor = to_torch_csr_tensor(edges.flip(0), weights, size=(n, n))
    return graph
