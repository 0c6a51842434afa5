"""The network of DeepSpot (Nonchev et al. 2025): sets of windows, each embedded alike and pooled in its own way."""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from histosge.models.deep.inputs import Batch

from .row_parts import in_row_parts

__all__ = ["DeepSpotNetwork"]

# spots whose embeddings are in memory at once: 128 × 9 windows × 10 members × 512 floats are 24 MB
_AT_ONCE = 128


class DeepSpotNetwork(nn.Module):
    """The spot, the sum over the windows in it and the maximum over those around it; a linear map to genes.

    Parameters
    ----------
    inputs
        Features of one window.
    genes
        Number of outputs.
    parts, around
        Windows in the spot and around it; in the features they follow that of the spot, in this order.
    width
        Of an embedding.
    members
        Embeddings, whose median is taken element by element, and output layers, whose mean is taken.
    dropout, output_dropout
        Share of the embeddings, and of the outputs, that training drops.
    """

    def __init__(
        self,
        inputs: int,
        genes: int,
        *,
        parts: int,
        around: int,
        width: int,
        members: int,
        dropout: float,
        output_dropout: float,
    ) -> None:
        super().__init__()
        self.parts, self.around, self.width, self.members = parts, around, width, members
        # the members side by side: each has the first weights that it would have alone
        self.embed = nn.Linear(inputs, width * members)
        self.embed_dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Dropout(dropout), nn.ReLU(), nn.Linear(3 * width, genes), nn.Dropout(output_dropout)
            )
            for _ in range(members)
        )

    def forward(self, batch: Batch) -> Tensor:
        """Return genes, b × genes."""
        windows = batch.vectors.reshape(len(batch), 1 + self.parts + self.around, -1)
        spot, parts, around = torch.split(windows, [1, self.parts, self.around], dim=1)
        pooled = torch.cat(
            [self._pooled(spot, "sum"), self._pooled(parts, "sum"), self._pooled(around, "max")], dim=1
        )
        total = sum((self._output(head, pooled) for head in self.heads), start=pooled.new_zeros(()))
        return total / self.members

    def _output(self, head: nn.Module, pooled: Tensor) -> Tensor:
        """Return the output of a layer; of many spots its intermediate values are computed again for the gradient."""
        if self.training and len(pooled) > 2 * _AT_ONCE:
            # with the same units dropped
            return cast("Tensor", checkpoint(head, pooled, use_reentrant=False))
        return cast("Tensor", head(pooled))

    def _pooled(self, windows: Tensor, how: str) -> Tensor:
        """Return the embeddings of windows pooled over them, b × width; zeros where there are none."""
        if not windows.shape[1]:
            return windows.new_zeros(len(windows), self.width)
        embedded = partial(self._embedded, how=how)
        return in_row_parts(embedded, windows, _AT_ONCE, training=self.training)

    def _embedded(self, windows: Tensor, how: str) -> Tensor:
        # in place: neither the linear layer nor dropout needs its output for the gradient
        members = self.embed_dropout(self.embed(windows)).relu_().unflatten(-1, (self.members, self.width))
        # the lower of the two middle values where their number is even, as torch has it
        embedded: Tensor = members.median(dim=-2).values
        return embedded.sum(dim=1) if how == "sum" else embedded.amax(dim=1)
