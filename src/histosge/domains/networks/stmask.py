"""STMask's two channels (Min et al. 2024): masked features are reconstructed, edges are separated from random pairs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, softplus
from torch_geometric.nn import GCNConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import remove_self_loops, to_torch_csr_tensor, to_undirected

__all__ = ["STMaskNetwork"]

_CLASSIFIER_DROPOUT, _CLASSIFIER_WIDTH = 0.5, 512


class STMaskNetwork(nn.Module):
    """One encoder of graph convolutions, trained through two channels.

    Parameters
    ----------
    edges
        2 × e; row 1 averages over row 0. Self-loops are added.
    inputs, widths
        Of the features and of the encoder's two layers.
    masked
        Share of the locations whose features are reconstructed.
    dropped
        Share of the edges that are separated from random pairs.
    """

    def __init__(
        self, edges: Tensor, inputs: int, widths: tuple[int, int], *, masked: float, dropped: float
    ) -> None:
        super().__init__()
        self.masked, self.dropped = masked, dropped
        hidden, width = widths
        plain: dict[str, Any] = {"normalize": False}
        self.convolutions = nn.ModuleList([GCNConv(inputs, hidden, **plain), GCNConv(hidden, width, **plain)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(size) for size in widths])
        self.activations = nn.ModuleList([nn.PReLU() for _ in widths])
        self.token = nn.Parameter(torch.zeros(1, inputs))
        self.bridge = nn.Linear(width, width, bias=False)
        nn.init.xavier_uniform_(self.bridge.weight)
        self.decoder = GCNConv(width, inputs, **plain)
        self.classifier = nn.Sequential(
            nn.Dropout(_CLASSIFIER_DROPOUT),
            nn.Linear(width, _CLASSIFIER_WIDTH),
            nn.ReLU(),
            nn.Linear(_CLASSIFIER_WIDTH, 1),
        )
        # a dropped self-loop would be no relation of two locations; normalisation adds the loops again
        self.edges = remove_self_loops(edges)[0]
        self.graph: Tensor | None = None

    def forward(self, values: Tensor) -> Tensor:
        """Return the embedding, n × the second width."""
        return self._encode(values, self._full_graph(len(values)))

    def feature_loss(self, values: Tensor) -> Tensor:
        """Return (1 − cosine)² of reconstructed and true features, over the masked locations.

        As published, the mask adds a token, which starts as zero, to the features and does not hide them; the embedding
        of the masked locations is what the decoder does not receive.
        """
        graph = self._full_graph(len(values))
        chosen = torch.randperm(len(values), device=values.device)[: max(1, int(self.masked * len(values)))]
        # 1 at the masked locations
        mask = torch.zeros(len(values), 1, device=values.device)
        mask[chosen] = 1.0
        latent = self.bridge(self._encode(values + mask * self.token, graph)) * (1 - mask)
        cosine = cosine_similarity(self.decoder(latent, graph)[chosen], values[chosen], dim=1)
        loss: Tensor = ((1 - cosine) ** 2).mean()
        return loss

    def relation_loss(self, values: Tensor) -> Tensor:
        """Return the cross-entropy of dropped edges against as many random pairs."""
        n = len(values)
        kept = torch.rand(self.edges.shape[1], device=values.device) >= self.dropped
        if kept.all():
            # of a few edges none may be dropped; the mean over none is not a number
            kept[0] = False
        # the encoder does not receive the edges that it is to recognise
        embedding = self._encode(values, _normalised(to_undirected(self.edges[:, kept], num_nodes=n), n))
        true = self.edges[:, ~kept]
        false = torch.randint(0, n, (2, true.shape[1]), device=values.device)
        # the product of two embeddings is symmetric in the pair
        true_score, false_score = (
            self.classifier(embedding[pair[0]] * embedding[pair[1]]) for pair in (true, false)
        )
        return softplus(-true_score).mean() + softplus(false_score).mean()

    def _encode(self, values: Tensor, graph: Tensor) -> Tensor:
        for convolve, norm, activate in zip(self.convolutions, self.norms, self.activations, strict=True):
            values = activate(norm(convolve(values, graph)))
        return values

    def _full_graph(self, n: int) -> Tensor:
        # the same in every epoch
        if self.graph is None:
            self.graph = _normalised(self.edges, n)
        return self.graph


def _normalised(edges: Tensor, n: int) -> Tensor:
    """Return D^−½ (A + I) D^−½ as a sparse matrix, which is faster than a loop over edges."""
    edges, weights = gcn_norm(edges, num_nodes=n, add_self_loops=True)
    graph: Tensor = to_torch_csr_tensor(edges.flip(0), weights, size=(n, n))
    return graph
