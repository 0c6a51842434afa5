"""The network of HisToGene (Pang et al. 2021): a vision transformer over the patches of a window of spots."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from histosge.models.deep.inputs import Batch

from .histosge import Interpolated, Tables
from .transformer import TransformerBlock

__all__ = ["HisToGeneNetwork", "HisToGeneShape"]


@dataclass(frozen=True, slots=True)
class HisToGeneShape:
    """What the number of parameters depends on."""

    px: int
    genes: int
    width: int
    positions: int
    interpolated: bool
    depth: int
    heads: int
    head_width: int
    hidden: int
    dropout: float
    raw: bool


class HisToGeneNetwork(nn.Module):
    """A linear map of the pixels, plus position; a transformer; a linear map to genes."""

    def __init__(self, shape: HisToGeneShape) -> None:
        super().__init__()
        self.divisor = 1.0 if shape.raw else 255.0
        # a patch is one token: no convolution, as published
        self.project = nn.Linear(3 * shape.px**2, shape.width)
        self.position = (Interpolated if shape.interpolated else Tables)(shape.width, shape.positions)
        self.dropout = nn.Dropout(shape.dropout)
        self.blocks = nn.Sequential(
            *(
                TransformerBlock(
                    shape.width,
                    heads=shape.heads,
                    head_width=shape.head_width,
                    hidden=shape.hidden,
                    dropout=shape.dropout,
                )
                for _ in range(shape.depth)
            )
        )
        self.head = nn.Sequential(nn.LayerNorm(shape.width), nn.Linear(shape.width, shape.genes))

    def forward(self, batch: Batch) -> Tensor:
        """Return genes of a window of locations that attend to each other."""
        tokens = self.project(batch.images.flatten(1) / self.divisor) + self.position(batch)
        output: Tensor = self.head(self.blocks(self.dropout(tokens)))
        return output
