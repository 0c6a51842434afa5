"""The network of HisToGene (Pang et al. 2021): a vision transformer whose patches are spots."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from histosge.models.deep.batches import Tensors

from .histosge import Interpolated, Tables
from .transformer import TransformerBlock

__all__ = ["HisToGeneNetwork", "HisToGeneShape"]


@dataclass(frozen=True, slots=True)
class HisToGeneShape:
    """What decides its parameters."""

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
    """Pixels → tokens; position added; transformer; genes."""

    def __init__(self, shape: HisToGeneShape) -> None:
        super().__init__()
        self.divisor = 1.0 if shape.raw else 255.0
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

    def forward(self, seen: Tensors) -> Tensor:
        """Return genes of a window of places that look at each other."""
        tokens = self.project(seen.windows.flatten(1) / self.divisor) + self.position(seen.place)
        answer: Tensor = self.head(self.blocks(self.dropout(tokens)))
        return answer
