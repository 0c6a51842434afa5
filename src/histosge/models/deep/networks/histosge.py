"""The network of HisToSGE (Shi et al. 2024), with each of its parts exchangeable."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["Attention", "Context", "HisToSGENetwork", "Shape"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides the network's parameters.

    Parameters
    ----------
    inputs, genes
        Columns in and out.
    width
        Of a token; ``None`` takes the inputs as they are, as published.
    heads, head_width
        Of attention; independent of the width, as 1029 is not divisible by 4.
    shared_qkv
        Whether query, key and value are one projection: the paper's V = Q = K.
    learner
        ``"block"``: normalise, attend, add, normalise, feed forward, add. ``"attention"``: attend.
    hidden
        Width of the gene head.
    relu
        Whether values are cut at 0 inside the network.
    position
        ``"tables"``, ``"interpolated"``, ``"fourier"`` or ``"none"``.
    table_size
        Rows of the tables.
    distance_bias
        Whether attention falls off with distance, at a rate that is learnt.
    dropout
        Share of tokens' and the head's units dropped while training.
    """

    inputs: int
    genes: int
    width: int | None = None
    heads: int = 4
    head_width: int = 64
    shared_qkv: bool = False
    learner: Literal["block", "attention"] = "block"
    hidden: int = 2048
    relu: bool = True
    position: Literal["tables", "interpolated", "fourier", "none"] = "tables"
    table_size: int = 512
    distance_bias: bool = False
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class Context:
    """Whom each of b places looks at, beside itself.

    Parameters
    ----------
    tokens
        n × width: all that can be looked at.
    chosen
        Rows of ``tokens`` that each place looks at, b × m; ``None``: every place looks at all (m = n).
    hidden
        True where a place must not look, b × m; ``None`` hides nothing.
    distance
        Between them in pitches, b × m.
    """

    tokens: Tensor
    chosen: Tensor | None = None
    hidden: Tensor | None = None
    distance: Tensor | None = None


class HisToSGENetwork(nn.Module):
    """Tokens → attention → genes."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width or shape.inputs
        self.project = nn.Identity() if shape.width is None else nn.Linear(shape.inputs, width)
        self.position = _POSITIONS[shape.position](width, shape.table_size)
        attention = Attention(
            width, shape.heads, shape.head_width, shared=shape.shared_qkv, distance_bias=shape.distance_bias
        )
        learner = Block(width, attention, shape.dropout) if shape.learner == "block" else Alone(attention)
        self.learner: Block | Alone = learner
        self.head = nn.Sequential(
            nn.Linear(width, shape.hidden),
            nn.ReLU(),
            nn.LayerNorm(shape.hidden),
            nn.Dropout(shape.dropout),
            nn.Linear(shape.hidden, shape.genes),
        )
        self.relu = shape.relu
        self.dropout = nn.Dropout(shape.dropout)

    def tokens(self, inputs: Tensor, place: Tensor) -> Tensor:
        """Return … × width from inputs … × d and lattice positions … × 2."""
        projected: Tensor = self.dropout(self.project(inputs)) + self.position(place)
        return projected

    def forward(self, tokens: Tensor, context: Context) -> Tensor:
        """Return b × genes from b tokens and their context."""
        values: Tensor = self.head(self.learner(tokens, context))
        return torch.relu(values) if self.relu else values


class Attention(nn.Module):
    """Multi-head attention of each place to itself and its context (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int, head_width: int, *, shared: bool, distance_bias: bool) -> None:
        super().__init__()
        self.heads, self.head_width, self.shared = heads, head_width, shared
        inner = heads * head_width
        self.project = nn.Linear(width, inner * (1 if shared else 3), bias=False)
        self.out = nn.Linear(inner, width)
        # heads differ from the start: the first falls off within a pitch, the last hardly at all
        self.fall = nn.Parameter(torch.linspace(0.0, -3.0, heads)) if distance_bias else None

    def split(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return query, key and value, … × heads × head width."""
        projected = self.project(tokens)
        parts = (projected,) * 3 if self.shared else projected.chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, self.head_width)) for part in parts)
        return query, key, value

    def forward(self, tokens: Tensor, context: Context) -> Tensor:
        """Return b × width."""
        query, own_key, own_value = self.split(tokens)
        # inside a window places look at each other: the same projections serve
        within = context.tokens is tokens
        keys, values = (own_key, own_value) if within else self.split(context.tokens)[1:]
        each = ""
        if context.chosen is not None:
            keys, values, each = keys[context.chosen], values[context.chosen], "b"
        scale = 1 / math.sqrt(self.head_width)
        scores = torch.einsum(f"bhw,{each}mhw->bhm", query, keys) * scale
        if self.fall is not None and context.distance is not None:
            scores = scores - nn.functional.softplus(self.fall)[:, None] * context.distance[:, None]
        if context.hidden is not None:
            scores = scores.masked_fill(context.hidden[:, None], -math.inf)
        own = (query * own_key).sum(-1, keepdim=True) * scale
        weights = torch.softmax(torch.cat([own, scores], dim=-1), dim=-1)
        seen = torch.einsum(f"bhm,{each}mhw->bhw", weights[..., 1:], values)
        seen = seen + weights[..., :1] * own_value
        answer: Tensor = self.out(seen.flatten(1))
        return answer


class Block(nn.Module):
    """The published block: pre-norm attention and a GELU network, each added to what came in."""

    def __init__(self, width: int, attention: Attention, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = attention
        self.norm_forward = nn.LayerNorm(width)
        self.forward_network = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width)
        )

    def forward(self, tokens: Tensor, context: Context) -> Tensor:
        """Return b × width."""
        normed = self.norm_attention(tokens)
        around = normed if context.tokens is tokens else self.norm_attention(context.tokens)
        tokens = tokens + self.attention(normed, replace(context, tokens=around))
        answer: Tensor = tokens + self.forward_network(self.norm_forward(tokens))
        return answer


class Alone(nn.Module):
    """The paper's Eq. 6: attention and nothing else."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, tokens: Tensor, context: Context) -> Tensor:
        """Return b × width."""
        answer: Tensor = self.attention(tokens, context)
        return answer


class Tables(nn.Module):
    """Two learnt tables, one of columns and one of rows, read at the integer part of the lattice position."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.column, self.row = nn.Embedding(size, width), nn.Embedding(size, width)

    def forward(self, place: Tensor) -> Tensor:
        """Return … × width; positions beyond the tables take the nearest entry."""
        column, row = place.trunc().long().clamp(0, self.column.num_embeddings - 1).unbind(-1)
        found: Tensor = self.column(column) + self.row(row)
        return found


class Interpolated(Tables):
    """The same tables, read between entries by linear interpolation."""

    def forward(self, place: Tensor) -> Tensor:
        """Return … × width."""
        return self._between(self.column, place[..., 0]) + self._between(self.row, place[..., 1])

    @staticmethod
    def _between(table: nn.Embedding, position: Tensor) -> Tensor:
        position = position.clamp(0, table.num_embeddings - 1)
        low = position.floor().long().clamp(max=table.num_embeddings - 2)
        share = (position - low)[..., None]
        found: Tensor = (1 - share) * table(low) + share * table(low + 1)
        return found


class Fourier(nn.Module):
    """Sines and cosines of the position in pitches, at wavelengths from 4 to 256 pitches, and a linear map."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        wavelengths = 2.0 ** torch.arange(2, 9)
        angles = torch.tensor([0.0, math.pi / 4, math.pi / 2, 3 * math.pi / 4])
        directions = torch.stack([angles.cos(), angles.sin()])
        waves = (2 * math.pi / wavelengths)[:, None, None] * directions.T[None]
        self.register_buffer("waves", waves.reshape(-1, 2).T.contiguous(), persistent=False)
        self.project = nn.Linear(2 * len(wavelengths) * len(angles), width)

    def forward(self, place: Tensor) -> Tensor:
        """Return … × width."""
        phase = place @ self.get_buffer("waves")
        found: Tensor = self.project(torch.cat([phase.sin(), phase.cos()], dim=-1))
        return found


class Nowhere(nn.Module):
    """No position."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()

    def forward(self, place: Tensor) -> Tensor:
        """Return nothing to add."""
        return place.new_zeros(())


_POSITIONS = {"tables": Tables, "interpolated": Interpolated, "fourier": Fourier, "none": Nowhere}
