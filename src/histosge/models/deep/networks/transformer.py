"""The pre-norm transformer block of HisToGene and THItoGene, with heads of any width."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["TransformerBlock"]


class TransformerBlock(nn.Module):
    """Normalise, attend, add; normalise, feed forward, add.

    timm's and PyTorch's own blocks need the width to be heads × head width; THItoGene's 1408 is not.
    """

    def __init__(self, width: int, *, heads: int, head_width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        inner = heads * head_width
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        # query, key and value in one projection
        self.project = nn.Linear(width, 3 * inner, bias=False)
        self.out = nn.Sequential(nn.Linear(inner, width), nn.Dropout(dropout))
        self.feed = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, width),
            nn.Dropout(dropout),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return n × width from n × width: all tokens attend to all."""
        projected = self.project(self.norm(tokens)).unflatten(-1, (3, self.heads, -1))
        # heads × n × head width, as the attention kernel takes them
        query, key, value = projected.permute(1, 2, 0, 3)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.out(mixed.transpose(0, 1).flatten(1))
        output: Tensor = tokens + self.feed(tokens)
        return output
