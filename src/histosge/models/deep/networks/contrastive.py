"""Networks that embed an image and the expression measured there in one space: BLEEP's and mclSTExp's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from histosge.models.deep.inputs import Batch

from .histosge import Tables
from .transformer import TransformerBlock

__all__ = [
    "BLEEPNetwork",
    "MclSTExpNetwork",
    "ProjectionHead",
    "identity_contrast",
    "similarity_contrast",
]


class ProjectionHead(nn.Module):
    """A linear layer, a second one as its residual, and layer normalisation (Xie et al. 2023)."""

    def __init__(self, inputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, width)
        self.second = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Tensor) -> Tensor:
        """Return embeddings, b × width."""
        projected = self.project(values)
        embeddings: Tensor = self.norm(projected + self.dropout(self.second(nn.functional.gelu(projected))))
        return embeddings


class BLEEPNetwork(nn.Module):
    """One head for image features and one for expression."""

    def __init__(self, inputs: int, genes: int, width: int, dropout: float) -> None:
        super().__init__()
        self.image = ProjectionHead(inputs, width, dropout)
        self.spot = ProjectionHead(genes, width, dropout)

    def forward(self, batch: Batch) -> Tensor:
        """Return embeddings of image features, b × width."""
        embeddings: Tensor = self.image(batch.vectors)
        return embeddings

    def spot_embeddings(self, batch: Batch, expression: Tensor) -> Tensor:
        """Return embeddings of expression, b × width."""
        embeddings: Tensor = self.spot(expression)
        return embeddings


class MclSTExpNetwork(nn.Module):
    """A head for image features; for expression two position tables, transformer blocks over the spots, and a head.

    Parameters
    ----------
    inputs, genes
        Numbers of features and genes.
    width, dropout
        Of the embeddings and of their heads.
    positions
        Rows of each table.
    depth, heads, head_width
        Of the transformer, whose tokens are as wide as there are genes.
    """

    def __init__(
        self,
        inputs: int,
        genes: int,
        *,
        width: int,
        dropout: float,
        positions: int,
        depth: int,
        heads: int,
        head_width: int,
    ) -> None:
        super().__init__()
        self.image = ProjectionHead(inputs, width, dropout)
        self.spot = ProjectionHead(genes, width, dropout)
        self.position = Tables(genes, positions)
        self.blocks = nn.Sequential(
            *(
                TransformerBlock(genes, heads=heads, head_width=head_width, hidden=genes, dropout=0.0)
                for _ in range(depth)
            )
        )

    def forward(self, batch: Batch) -> Tensor:
        """Return embeddings of image features, b × width."""
        embeddings: Tensor = self.image(batch.vectors)
        return embeddings

    def spot_embeddings(self, batch: Batch, expression: Tensor) -> Tensor:
        """Return embeddings of expression, b × width; the spots attend to each other."""
        embeddings: Tensor = self.spot(self.blocks(expression + self.position(batch)))
        return embeddings


def similarity_contrast(images: Tensor, spots: Tensor, temperature: float) -> Tensor:
    """Return BLEEP's loss: cross-entropy against targets that are themselves similarities.

    L = S Iᵀ / τ against T = softmax((I Iᵀ + S Sᵀ) / 2τ), and Lᵀ against Tᵀ. Gradients flow through T.
    """
    logits = spots @ images.T / temperature
    targets = ((images @ images.T + spots @ spots.T) / (2 * temperature)).softmax(dim=1)
    return (_cross_entropy(logits, targets) + _cross_entropy(logits.T, targets.T)) / 2


def identity_contrast(images: Tensor, spots: Tensor, temperature: float) -> Tensor:
    """Return the symmetric cross-entropy of S Iᵀ / τ against the identity: each image belongs to its own spot."""
    logits = spots @ images.T / temperature
    own = torch.arange(len(logits), device=logits.device)
    return (nn.functional.cross_entropy(logits, own) + nn.functional.cross_entropy(logits.T, own)) / 2


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()
